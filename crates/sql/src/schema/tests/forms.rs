//! Plans of forms: what is analysed with some literals holds with any others.

use proptest::prelude::*;

use super::*;
use crate::{Arguments, Literals, form};

/// Whatever the tests about plans and their parts plan, and what has literals in odd places.
fn statements() -> Vec<&'static str> {
    let sources = [
        include_str!("reads.rs"),
        include_str!("writes.rs"),
        include_str!("effects.rs"),
        include_str!("clients.rs"),
        include_str!("inline.rs"),
        include_str!("operators.rs"),
        include_str!("pins.rs"),
        include_str!("pins/values.rs"),
        include_str!("pins/writes.rs"),
        include_str!("../../assign.rs"),
        include_str!("../../hidden.rs"),
        include_str!("../../pin/condition.rs"),
    ];
    let found = sources.iter().flat_map(|source| source.split('"'));
    found
        .chain(ODD)
        .filter(|text| form(text.as_bytes()).is_some())
        .collect()
}

const ODD: [&str; 26] = [
    "SELECT v FROM acc WHERE id = -5",
    "SELECT v FROM acc WHERE id = - 5 AND n = 7 LIMIT 3 OFFSET 4",
    "SELECT v FROM acc WHERE -5 = id",
    "SELECT v FROM acc WHERE id IN (1, -2, 3, 12345678901)",
    "SELECT v FROM acc WHERE id = 5000000000 AND 3000000000 > n LIMIT 4000000000",
    "SELECT v FROM acc WHERE id = -9223372036854775807 OFFSET 2147483647",
    "SELECT v FROM acc WHERE id = 5000000000::int AND abs(6000000000) > 1",
    "UPDATE acc SET n = 5000000000 WHERE id = 6000000000",
    "SELECT v FROM acc WHERE id = ANY ('{1,2}')",
    "SELECT v FROM acc WHERE id = ANY ('{1,2}'::int[])",
    "SELECT v FROM acc WHERE id = ANY (ARRAY[1, 2])",
    "SELECT v FROM acc WHERE id = '5'",
    "SELECT v FROM acc WHERE id = 5::text",
    "SELECT v FROM acc WHERE id = 5::float(24)::int",
    "SELECT v FROM acc WHERE id BETWEEN 1 AND 2 FETCH FIRST 3 ROWS ONLY",
    "SELECT v FROM word WHERE k = 'a' AND v LIKE 'b' ESCAPE 'c'",
    "SELECT v FROM doc WHERE id = '00000000-0000-0000-0000-000000000001' AND at = date '2024-01-01'",
    "SELECT at + interval '1 day', extract('year' FROM at) FROM doc ORDER BY 1, 2",
    "SELECT count(*) OVER (ROWS 3 PRECEDING), substring(v FROM 1 FOR 2) FROM word WHERE k = 'now'",
    "SELECT 'acc'::regclass, nextval('x'), v FROM acc WHERE id = 1",
    "WITH x AS (SELECT 1 AS id) SELECT v FROM acc JOIN x USING (id) WHERE acc.id = 2",
    "VALUES (1, 'a'), (2, 'b')",
    "INSERT INTO acc (id, v, n) VALUES (1, 'a', 2), (-3, 'b', 4) ON CONFLICT (id) DO UPDATE SET n = 5",
    "UPDATE acc SET v = 'a', n = n + 1 WHERE id = 7 RETURNING 8",
    "DELETE FROM pair WHERE a = 1 AND b IN (2, 3)",
    "UPDATE word SET v = 'x' WHERE k = 'y' OR k = 'z'",
];

/// The text with other literals.
fn refilled(text: &str, numbers: &[i32], big: &[i64], strings: &[&str]) -> String {
    let form = form(text.as_bytes()).unwrap();
    let (mut numbers, mut strings) = (numbers.iter().cycle(), strings.iter().cycle());
    let mut big = big.iter().cycle();
    let (mut other, mut end) = (String::new(), 0);
    for literal in &form.literals {
        let place = literal.place();
        other.push_str(&text[end..place.start]);
        if text[place.start..].starts_with('\'') {
            other.push_str(&format!("'{}'", strings.next().unwrap()));
        } else if text[place.clone()].parse::<i32>().is_ok() {
            other.push_str(&numbers.next().unwrap().to_string());
        } else {
            other.push_str(&big.next().unwrap().to_string());
        }
        end = place.end;
    }
    other + &text[end..]
}

/// A plan with what it says once all values are known.
fn told(plan: &Plan, literals: Literals<'_>) -> String {
    let arguments = Arguments {
        literals,
        ..Arguments::default()
    };
    let reads = plan.read.as_ref().map(|relations| {
        let rows = relations
            .iter()
            .map(|&id| plan.pinned.reads(id, &arguments));
        rows.collect::<Vec<_>>()
    });
    let kept = (
        plan.builtin_parameters,
        plan.pinned.complete(1),
        plan.pinned.is_empty(),
    );
    let (settings, writes, effects) = (&plan.settings, &plan.writes, &plan.effects);
    let narrow = plan.pinned.writes(&arguments);
    format!(
        "{:?} {reads:?} {kept:?} {settings:?} {writes:?} {narrow:?} {effects:?}",
        plan.read
    )
}

fn string() -> impl Strategy<Value = &'static str> {
    let known = "00000000-0000-0000-0000-00000000000f";
    prop::sample::select(vec![
        "",
        "x",
        "12",
        "-3",
        "{1,2}",
        "{a}",
        known,
        "1 day",
        "2024-02-03",
        "%a_",
    ])
}

#[test]
fn there_are_statements_to_look_at() {
    let all = statements();
    assert!(all.len() > 150, "{}", all.len());
    let db = super::pins::database();
    let formal = |text: &&&str| analyze(text.as_bytes()).is_formal();
    let pinned = |text: &&&str| !db.plan(text).pinned.is_empty();
    assert!(all.iter().filter(formal).filter(pinned).count() > 30);
}

proptest! {
    // Each case goes through all statements.
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn other_literals_change_nothing_but_values(
        numbers in prop::collection::vec(0..=i32::MAX, 8),
        big in prop::collection::vec(i64::from(i32::MAX) + 2..=i64::MAX, 8),
        strings in prop::collection::vec(string(), 5),
    ) {
        for db in [super::pins::database(), Database::new()] {
            for text in statements() {
                let other = refilled(text, &numbers, &big, &strings);
                let (formal, own) = (form(other.as_bytes()).unwrap(), form(text.as_bytes()).unwrap());
                prop_assert_eq!(&formal.text, &own.text);
                if !analyze(other.as_bytes()).is_formal() {
                    prop_assert!(!analyze(text.as_bytes()).is_formal());
                    continue;
                }
                let mut plan = db.plan(&other);
                plan.open(&formal);
                let literals = Literals { text: text.as_bytes(), places: &own.literals };
                let alone = told(&db.plan(text), Literals::default());
                prop_assert_eq!(told(&plan, literals), alone, "{} planned as {}", text, other);
            }
        }
    }
}
