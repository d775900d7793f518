//! Random clients.

use std::fmt;

use proptest::{collection::vec, prelude::*, sample::select};

use super::message::{Message, Value};

/// What a client sends before it waits for all that it is owed.
#[derive(Clone)]
pub(super) struct Script(pub(super) Vec<Vec<Message>>);

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f)?;
        for burst in &self.0 {
            let shown: Vec<_> = burst.iter().map(Message::to_string).collect();
            writeln!(f, "a> {}", shown.join(", "))?;
        }
        Ok(())
    }
}

const READS: &[&str] = &[
    "select v from t where id = 1",
    "select v from t where id = 1",
    "select v from t where id = $1",
    "select id, v from t order by id",
    "select v from u where id = 1",
    "select id, v from u order by id",
    "select v from log where id = 1",
    "select v from t where id = 9",
    "select v from other.t where id = 1",
];

const WRITES: &[&str] = &[
    "update t set v = v + 1 where id = 1",
    "update t set v = v + 1 where id = $1",
    "update u set v = v + 1",
    "update other.t set v = v + 1",
];

const CONTROLS: &[&str] = &[
    "begin",
    "begin",
    "start transaction",
    "commit",
    "commit",
    "rollback",
    "end",
    "begin isolation level repeatable read",
];

const FAILURES: &[&str] = &[
    "select v / 0 from t where id = 1",
    "select v from missing",
    "selec",
    "update t set v = v / 0",
];

const REST: &[&str] = &[
    "",
    "select v from noisy where id = 1",
    "set search_path = other, public",
    "set search_path = public",
    "set local search_path = other, public",
    "set timezone = 'Asia/Tokyo'",
    "set application_name = 'x'",
    "reset all",
    "discard all",
    "show timezone",
    "deallocate s1",
    "deallocate all",
    "prepare s2 as select v from t where id = 1",
    "declare c1 cursor for select id, v from t order by id",
    "fetch 1 from p1",
    "fetch 2 from c1",
    "close p1",
    "savepoint a",
    "rollback to a",
    "release a",
    "commit and chain",
    "rollback and chain",
    "copy u to stdout",
];

/// Sent as simple queries only: several statements, and those whose result has a shape that is
/// not known before they run.
const STRINGS: &[&str] = &[
    "execute s2",
    "select v from t where id = 1; select v from u where id = 1",
    "begin; update t set v = v + 1 where id = 1",
    "update t set v = v + 1 where id = 1; commit",
    "update t set v = v + 1 where id = 1; select v / 0 from t",
    "begin; update t set v = v + 1 where id = 1; commit; select v / 0 from t",
];

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        9 => select(READS),
        3 => select(WRITES),
        3 => select(CONTROLS),
        1 => select(FAILURES),
        3 => select(REST),
    ]
    .prop_map(str::to_owned)
}

fn statement() -> impl Strategy<Value = String> {
    select(&["", "", "s1", "s1", "s2"][..]).prop_map(str::to_owned)
}

/// Only what SQL may execute by name has the name `s2`.
fn named(name: String, text: &str) -> String {
    match name.as_str() {
        "s2" if !text.starts_with("select") => "s1".to_owned(),
        _ => name,
    }
}

fn portal() -> impl Strategy<Value = String> {
    select(&["", "", "", "p1"][..]).prop_map(str::to_owned)
}

fn values(text: &str) -> BoxedStrategy<Vec<Value>> {
    if !text.contains("$1") {
        return prop_oneof![15 => Just(vec![]), 1 => Just(vec![Value::Null])].boxed();
    }
    prop_oneof![
        6 => Just(vec![Value::Text("1".to_owned())]),
        1 => Just(vec![Value::Text("x".to_owned())]),
        1 => Just(vec![Value::Null]),
        2 => Just(vec![Value::Binary(1)]),
        1 => Just(vec![]),
    ]
    .boxed()
}

fn formats() -> impl Strategy<Value = Vec<u16>> {
    prop_oneof![8 => Just(vec![]), 3 => Just(vec![1]), 1 => Just(vec![0]), 1 => Just(vec![0, 1])]
}

fn types() -> impl Strategy<Value = Vec<u32>> {
    prop_oneof![10 => Just(vec![]), 1 => Just(vec![23])]
}

fn rows() -> impl Strategy<Value = i32> {
    select(&[0, 0, 0, 1, 2, 5, -1][..])
}

fn parse() -> impl Strategy<Value = Message> {
    (statement(), text(), types()).prop_map(|(name, text, types)| Message::Parse {
        name: named(name, &text),
        types: if text.contains("$1") { types } else { vec![] },
        text,
    })
}

fn bind() -> impl Strategy<Value = Message> {
    let values = prop_oneof![3 => values(""), 1 => values("$1")];
    (portal(), statement(), values, formats()).prop_map(|(portal, statement, values, formats)| {
        Message::Bind {
            portal,
            statement,
            values,
            formats,
        }
    })
}

fn any_part() -> impl Strategy<Value = Message> {
    prop_oneof![
        3 => parse(),
        5 => bind(),
        1 => statement().prop_map(Message::DescribeStatement),
        2 => portal().prop_map(Message::DescribePortal),
        5 => (portal(), rows()).prop_map(|(portal, rows)| Message::Execute { portal, rows }),
        1 => statement().prop_map(Message::CloseStatement),
        1 => portal().prop_map(Message::ClosePortal),
        1 => Just(Message::Flush),
        2 => Just(Message::Sync),
        1 => text().prop_map(Message::Query),
    ]
}

/// What most drivers send for one statement, with parts left out.
fn statement_series() -> impl Strategy<Value = Vec<Message>> {
    (
        text(),
        types(),
        statement(),
        portal(),
        formats(),
        rows(),
        any::<[bool; 4]>(),
    )
        .prop_flat_map(
            |(text, types, name, portal, formats, rows, [describe, again, close, flush])| {
                let name = named(name, &text);
                values(&text).prop_map(move |values| {
                    let types = if text.contains("$1") {
                        types.clone()
                    } else {
                        vec![]
                    };
                    let mut series = vec![Message::Parse {
                        name: name.clone(),
                        text: text.clone(),
                        types,
                    }];
                    if flush {
                        series.push(Message::DescribeStatement(name.clone()));
                        series.push(if again { Message::Flush } else { Message::Sync });
                    }
                    series.push(Message::Bind {
                        portal: portal.clone(),
                        statement: name.clone(),
                        values,
                        formats: formats.clone(),
                    });
                    if describe {
                        series.push(Message::DescribePortal(portal.clone()));
                    }
                    series.push(Message::Execute {
                        portal: portal.clone(),
                        rows,
                    });
                    if again && rows > 0 {
                        series.push(Message::Execute {
                            portal: portal.clone(),
                            rows: 0,
                        });
                    }
                    if close {
                        series.push(Message::CloseStatement(name.clone()));
                    }
                    series
                })
            },
        )
}

/// Execution of a statement that was prepared before.
fn bind_series() -> impl Strategy<Value = Vec<Message>> {
    (bind(), any::<bool>(), rows()).prop_map(|(bind, describe, rows)| {
        let Message::Bind { portal, .. } = &bind else {
            unreachable!("it is a Bind");
        };
        let portal = portal.clone();
        let mut series = vec![bind];
        if describe {
            series.push(Message::DescribePortal(portal.clone()));
        }
        series.push(Message::Execute { portal, rows });
        series
    })
}

/// COPY FROM STDIN; `alone` if nothing but a Sync follows in its burst.
fn copy_in(alone: bool) -> impl Strategy<Value = Vec<Message>> {
    let table = select(&["copied", "copied", "copied", "noisy", "missing"][..]);
    let start = (table, any::<bool>()).prop_map(|(table, simple)| {
        let text = format!("copy {table} from stdin");
        if simple {
            return vec![Message::Query(text)];
        }
        let parse = Message::Parse {
            name: String::new(),
            text,
            types: vec![],
        };
        let bind = Message::Bind {
            portal: String::new(),
            statement: String::new(),
            values: vec![],
            formats: vec![],
        };
        let execute = Message::Execute {
            portal: String::new(),
            rows: 0,
        };
        vec![parse, bind, execute]
    });
    // The last of these is found out at the end only.
    let data = select(&["7\t7\n", "7\t7\n", "7\t7\n", "x\n", "8\t8\n8\t8\n"][..])
        .prop_map(|line| Message::CopyData(line.to_owned()));
    let amid = prop_oneof![
        8 => data,
        2 => Just(Message::Sync),
        1 => Just(Message::Flush),
    ];
    let end = prop_oneof![
        4 => Just(vec![Message::CopyDone]),
        1 => Just(vec![Message::CopyFail("no more".to_owned())]),
        1 => any_part().prop_map(|part| vec![part]),
        1 => Just(vec![Message::Query("select v from t where id = 1".to_owned())]),
    ];
    (start, vec(amid, 0..5), end).prop_map(move |(mut all, amid, end)| {
        // Clients that do not know yet that it is a copy send Sync, which the server ignores.
        all.extend(alone.then_some(Message::Sync));
        all.extend(amid);
        all.extend(end);
        all
    })
}

fn burst() -> impl Strategy<Value = Vec<Message>> {
    let query = prop_oneof![6 => text(), 1 => select(STRINGS).prop_map(str::to_owned)];
    let series = prop_oneof![
        6 => query.prop_map(|text| vec![Message::Query(text)]),
        6 => statement_series(),
        3 => bind_series(),
        2 => vec(any_part(), 1..5),
        1 => copy_in(false),
    ];
    let end = prop_oneof![
        8 => Just(vec![Message::Sync]),
        1 => Just(vec![Message::Flush]),
        1 => Just(vec![]),
    ];
    let series = (vec(series, 1..4), end).prop_map(|(series, end)| {
        let mut burst = series.concat();
        let query_ends = burst.len() == 1 && matches!(burst[0], Message::Query(_));
        if !query_ends {
            burst.extend(end);
        }
        burst
    });
    let copy = copy_in(true).prop_map(|mut burst| {
        burst.push(Message::Sync);
        burst
    });
    prop_oneof![19 => series, 1 => copy]
}

/// Any client.
pub(super) fn script() -> impl Strategy<Value = Script> {
    vec(burst(), 1..8).prop_map(|bursts| Script(without_ghosts(bursts)))
}

/// Leaves out uses of an unnamed portal of an earlier segment. A simple query or a Bind drops it,
/// unless they fail too early; we do not tell that from other failures, and nobody depends on it.
fn without_ghosts(mut bursts: Vec<Vec<Message>>) -> Vec<Vec<Message>> {
    for burst in &mut bursts {
        let mut bound = false;
        burst.retain(|message| match message {
            Message::Query(_) | Message::Sync => {
                bound = false;
                true
            }
            Message::Bind { portal, .. } if portal.is_empty() => {
                bound = true;
                true
            }
            Message::DescribePortal(portal) | Message::Execute { portal, .. } => {
                bound || !portal.is_empty()
            }
            _ => true,
        });
    }
    bursts
}
