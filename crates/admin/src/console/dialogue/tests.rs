use std::sync::Arc;

use proptest::prelude::*;
use session::Lane;

use super::*;
use crate::fake::Fake;

fn dialogue(fake: Fake) -> Dialogue {
    Dialogue::new(Shown::new(Arc::new(fake)))
}

/// A proxy with so many statements, each used as often as its number says.
fn used(statements: u32) -> Fake {
    let fake = Fake::default();
    for number in 1..=statements {
        let tally = fake.statistics.of(format!("select c{number}").as_bytes());
        for _ in 0..number {
            fake.telemetry.hits.inc();
            fake.statistics.hit(tally.as_ref(), Lane::here());
        }
    }
    fake
}

/// What is answered, message by message, with its tag and what of it can be read.
fn answers(dialogue: &mut Dialogue, said: impl FnOnce(&mut BytesMut)) -> Vec<(u8, String)> {
    let (mut input, mut out) = (BytesMut::new(), BytesMut::new());
    said(&mut input);
    dialogue.hear(&mut input, &mut out, usize::MAX);
    let mut answers = Vec::new();
    while let Ok(Some(header)) = wire::header(&out) {
        let frame = out.split_to(header.total);
        let text = match header.tag {
            told::DATA_ROW => {
                let columns = backend::columns(&frame).unwrap();
                let text = |column: Option<&[u8]>| {
                    column.map_or("NULL".into(), |it| String::from_utf8_lossy(it).into_owned())
                };
                columns.into_iter().map(text).collect::<Vec<_>>().join("|")
            }
            told::COMMAND_COMPLETE => {
                String::from_utf8_lossy(backend::command_tag(&frame).unwrap()).into_owned()
            }
            told::ERROR => String::from_utf8_lossy(backend::sqlstate(&frame).unwrap()).into_owned(),
            told::READY => char::from(frame[5]).into(),
            _ => String::new(),
        };
        answers.push((header.tag, text));
    }
    answers
}

fn query(text: &str) -> impl FnOnce(&mut BytesMut) {
    move |out| frontend::put_query(out, text.as_bytes())
}

fn check(text: &str, expected: &[(u8, &str)]) {
    let found = answers(&mut dialogue(Fake::default()), query(text));
    let found: Vec<_> = found
        .iter()
        .map(|(tag, text)| (*tag, text.as_str()))
        .collect();
    assert_eq!(found, expected, "{text}");
}

#[test]
fn commands_are_answered_with_rows() {
    let version = env!("CARGO_PKG_VERSION");
    check(
        "SHOW VERSION",
        &[(b'T', ""), (b'D', version), (b'C', "SHOW"), (b'Z', "I")],
    );
    check("", &[(b'I', ""), (b'Z', "I")]);
    check(
        "set x = 1; begin; show timezone",
        &[
            (b'C', "SET"),
            (b'C', "BEGIN"),
            (b'T', ""),
            (b'D', "UTC"),
            (b'C', "SHOW"),
            (b'Z', "T"),
        ],
    );
}

#[test]
fn what_is_not_known_is_refused() {
    check("select * from pg_class", &[(b'E', "0A000"), (b'Z', "I")]);
    check(
        "set x = 1; select 1; set y = 2",
        &[(b'C', "SET"), (b'E', "0A000"), (b'Z', "I")],
    );
    let mut console = dialogue(Fake::default());
    let answers = answers(&mut console, |out| {
        frontend::put_parse(out, b"", b"select 1");
        frontend::put_bind(out, b"", b"");
        frontend::put_execute(out, b"");
        out.put_slice(frontend::SYNC);
        frontend::put_query(out, b"commit");
    });
    let tags: Vec<_> = answers.iter().map(|(tag, _)| *tag).collect();
    assert_eq!(tags, [b'E', b'Z', b'C', b'Z']);
}

#[test]
fn statements_are_prepared_and_run_in_portions() {
    let mut console = dialogue(used(5));
    let answers = answers(&mut console, |out| {
        frontend::put_parse(out, b"s", b"show statements");
        frontend::put_describe(out, Target::Statement, b"s");
        frontend::put_bind(out, b"", b"s");
        frontend::put_describe(out, Target::Portal, b"");
        for _ in 0..3 {
            put(out, tag::EXECUTE, |body| {
                body.put_u8(0);
                body.put_i32(2);
            });
        }
        frontend::put_close(out, Target::Statement, b"s");
        out.put_slice(frontend::SYNC);
    });
    let tags: String = answers.iter().map(|(tag, _)| char::from(*tag)).collect();
    assert_eq!(tags, "1tT2TDDsDDsDC3Z");
    let rows: Vec<_> = answers.iter().filter(|(tag, _)| *tag == b'D').collect();
    assert!(rows[0].1.starts_with("5|5|0|0|0|1|"), "{:?}", rows[0]);
    assert!(rows[0].1.ends_with("|select c5"), "{:?}", rows[0]);
}

#[test]
fn statements_and_portals_are_few() {
    let mut console = dialogue(Fake::default());
    for number in 0..2 * STATEMENTS_MAX {
        let name = number.to_string();
        let answers = answers(&mut console, |out| {
            frontend::put_parse(out, name.as_bytes(), b"show help");
            frontend::put_bind(out, name.as_bytes(), name.as_bytes());
            out.put_slice(frontend::SYNC);
            frontend::put_query(out, b"begin");
        });
        let accepted = answers[0].0 == told::PARSE_COMPLETE;
        assert_eq!(accepted, number < STATEMENTS_MAX, "{answers:?}");
        assert!(console.statements.len() <= STATEMENTS_MAX);
        assert!(console.portals.len() <= PORTALS_MAX);
    }
}

#[test]
fn a_string_does_not_make_results_without_end() {
    let mut console = dialogue(used(1_000));
    let text = "show statements;".repeat(1_000);
    let found = answers(&mut console, query(&text));
    assert_eq!(found[found.len() - 2], (b'E', "54000".to_owned()));
    let bytes: usize = found.iter().map(|(_, text)| text.len()).sum();
    assert!(bytes < 2 * RESULTS_MAX, "{bytes}");
}

#[test]
fn messages_that_are_too_long_or_of_no_kind_end_the_dialogue() {
    for input in [&b"Q\0\0\xff\xff"[..], b"F\0\0\0\x04", b"Q\0\0\0\x03"] {
        let (mut input, mut out) = (BytesMut::from(input), BytesMut::new());
        let then = dialogue(Fake::default()).hear(&mut input, &mut out, usize::MAX);
        assert_eq!(then, Then::Close);
        assert_eq!(backend::sqlstate(&out), Some(&b"08P01"[..]));
    }
}

#[test]
fn no_more_is_heard_while_much_is_to_be_sent() {
    let mut console = dialogue(Fake::default());
    let (mut input, mut out) = (BytesMut::new(), BytesMut::new());
    (0..10).for_each(|_| frontend::put_query(&mut input, b"show help"));
    let before = input.len();
    console.hear(&mut input, &mut out, 1);
    assert_eq!(input.len(), before / 10 * 9);
}

fn message() -> impl Strategy<Value = (u8, Vec<u8>)> {
    let tag = prop::sample::select(b"QPBDECHSXFdcf".to_vec());
    let body = prop_oneof![
        any::<Vec<u8>>(),
        Just(b"show stats\0".to_vec()),
        Just(b"\0show stats\0\0\0".to_vec()),
        Just(vec![0; 8]),
        Just(b"S\0".to_vec()),
        Just(vec![0; 5]),
    ];
    (tag, body)
}

proptest! {
    #[test]
    fn nothing_is_too_strange_to_be_heard(messages in prop::collection::vec(message(), 0..12)) {
        answers(&mut dialogue(Fake::default()), |out| {
            for (tag, body) in messages {
                put(out, tag, |out| out.put_slice(&body));
            }
        });
    }
}
