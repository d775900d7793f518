use session::{Lane, RefusedFill};
use sql::Reason;

use super::*;
use crate::fake::Fake;

fn shown(fake: Fake) -> Shown {
    Shown {
        since: SystemTime::UNIX_EPOCH,
        ..Shown::new(Arc::new(fake))
    }
}

/// The values of some columns.
fn check(topic: Topic, fake: Fake, columns: &[&str], expected: &[&[Value]]) {
    let table = topic.table(&shown(fake), ROWS_MAX);
    let place = |name: &str| topic.columns().iter().position(|it| it.0 == name);
    let found: Vec<Vec<Value>> = table
        .rows
        .iter()
        .map(|row| {
            assert_eq!(row.len(), table.columns.len());
            let value = |name: &&str| row[place(name).unwrap()].clone();
            columns.iter().map(value).collect()
        })
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn every_topic_has_as_many_values_as_columns() {
    let fake = Fake::default();
    fake.telemetry.bypass(Reason::Clock).inc();
    let shown = shown(fake);
    (0..2).for_each(|_| shown.sample());
    for topic in Topic::ALL {
        assert_eq!(Topic::named(topic.name()), Some(topic));
        let table = topic.table(&shown, ROWS_MAX);
        assert!(!table.rows.is_empty(), "{topic:?}");
        for row in &table.rows {
            assert_eq!(row.len(), topic.columns().len(), "{topic:?}");
            for (value, Column(name, kind)) in row.iter().zip(topic.columns()) {
                let found = match value {
                    Value::Null => *kind,
                    Value::Text(_) => Kind::Text,
                    Value::Integer(_) => Kind::Integer,
                    Value::Number(_) => Kind::Number,
                    Value::Time(_) => Kind::Time,
                };
                assert_eq!(found, *kind, "{topic:?} {name}");
            }
        }
    }
}

#[test]
fn each_statement_says_why_it_is_not_cached_and_what_to_do() {
    let fake = Fake::default();
    let (statistics, telemetry) = (&fake.statistics, &fake.telemetry);
    let of = |text: &str| statistics.of(text.as_bytes());
    let clock = of("select now() from t where a = 'secret'");
    for reason in [Reason::Clock, Reason::Clock, Reason::NoCatalog] {
        telemetry.bypass(reason).inc();
        statistics.bypass(clock.as_ref(), reason);
    }
    let large = of("select * from large");
    for _ in 0..2 {
        telemetry.misses.inc();
        statistics.miss(large.as_ref(), Lane::here());
        large.as_ref().unwrap().refuse(RefusedFill::TooLarge);
    }
    let hit = of("select 1 from t");
    (0..5).for_each(|_| statistics.hit(hit.as_ref(), Lane::here()));
    telemetry.hits.add(5 + 7);
    statistics.write(None, Lane::here());
    let text = |text: &'static str| Value::from(text);
    check(
        Topic::Statements,
        fake,
        &["calls", "hits", "reason", "reasons", "advice", "statement"],
        &[
            &[
                5_u64.into(),
                5_u64.into(),
                Value::Null,
                Value::Null,
                Value::Null,
                text("select ? from t"),
            ],
            &[
                3_u64.into(),
                0_u64.into(),
                text("clock"),
                text("clock 2, no_catalog 1"),
                text(Reason::Clock.remedy()),
                text("select now() from t where a = ?"),
            ],
            &[
                2_u64.into(),
                0_u64.into(),
                text("too_large"),
                text("too_large 2"),
                text(RefusedFill::TooLarge.remedy()),
                text("select * from large"),
            ],
            &[
                1_u64.into(),
                0_u64.into(),
                Value::Null,
                Value::Null,
                Value::Null,
                text("(not read)"),
            ],
            &[
                7_u64.into(),
                7_u64.into(),
                Value::Null,
                Value::Null,
                Value::Null,
                text("(others)"),
            ],
        ],
    );
}

#[test]
fn of_many_statements_those_used_most_are_shown() {
    let fake = Fake::default();
    for number in 1..=20_u64 {
        let tally = fake.statistics.of(format!("select c{number}").as_bytes());
        (0..number).for_each(|_| fake.statistics.hit(tally.as_ref(), Lane::here()));
        fake.telemetry.hits.add(number);
    }
    fake.telemetry.misses.inc();
    let table = Topic::Statements.table(&shown(fake), 3);
    let last = |row: &Vec<Value>| row.last().cloned();
    let texts: Vec<_> = table.rows.iter().map(last).collect();
    let expected = ["select c20", "select c19", "(others)"];
    assert_eq!(texts, expected.map(|text| Some(text.into())));
}

#[test]
fn reasons_come_with_their_remedies() {
    let fake = Fake::default();
    fake.telemetry.bypass(Reason::Volatile).inc();
    fake.telemetry.bypass(Reason::Clock).add(3);
    check(
        Topic::Reasons,
        fake,
        &["reason", "count", "remedy"],
        &[
            &["clock".into(), 3_u64.into(), Reason::Clock.remedy().into()],
            &[
                "volatile".into(),
                1_u64.into(),
                Reason::Volatile.remedy().into(),
            ],
        ],
    );
}

#[test]
fn sums_and_ratios_add_up() {
    let fake = Fake::default();
    fake.telemetry.hits.add(3);
    fake.telemetry.misses.add(1);
    fake.telemetry.bypass(Reason::Clock).inc();
    fake.telemetry.hit_latency.record_us(500);
    check(
        Topic::Stats,
        fake,
        &[
            "since",
            "lookups",
            "bypasses",
            "hit_ratio",
            "hit_ms",
            "miss_ms",
        ],
        &[&[
            Value::Time(0),
            5_u64.into(),
            1_u64.into(),
            Value::Number(0.6),
            Value::Number(0.5),
            Value::Null,
        ]],
    );
}

#[test]
fn tables_come_with_what_holds_for_them() {
    check(
        Topic::Tables,
        Fake::default(),
        &["table", "ttl_seconds", "writes_to_rows"],
        &[
            &["stock".into(), Value::Number(1.5), 7_u64.into()],
            &["city".into(), Value::Number(1.5), 1_u64.into()],
        ],
    );
}
