use bytes::BytesMut;
use pgwire::messages::extendedquery::{
    Bind as PgBind, Close as PgClose, Describe as PgDescribe, Execute as PgExecute,
    Parse as PgParse,
};
use pgwire::messages::{Message, simplequery::Query as PgQuery};
use proptest::prelude::*;

use super::*;

fn encoded(message: &impl Message) -> BytesMut {
    let mut out = BytesMut::new();
    message.encode(&mut out).unwrap();
    out
}

fn name() -> impl Strategy<Value = Option<String>> {
    proptest::option::of("[a-z_]{1,12}")
}

proptest! {
    #[test]
    fn reads_every_parse_that_can_be_written(
        name in name(), text in "[^\0]{0,40}", types in proptest::collection::vec(any::<u32>(), 0..5),
    ) {
        let frame = encoded(&PgParse::new(name.clone(), text.clone(), types.clone()));
        let parse = Parse::read(&frame).unwrap();
        prop_assert_eq!(parse.name, name.unwrap_or_default().into_bytes());
        prop_assert_eq!(parse.text, text.as_bytes());
        let expected: Vec<u8> = types.iter().flat_map(|oid| oid.to_be_bytes()).collect();
        prop_assert_eq!(parse.types, &expected[..]);
    }

    #[test]
    fn reads_every_bind_that_can_be_written(
        portal in name(), statement in name(),
        formats in proptest::collection::vec(0..2_i16, 0..3),
        values in proptest::collection::vec(proptest::option::of(proptest::collection::vec(any::<u8>(), 0..9)), 0..5),
        results in proptest::collection::vec(0..2_i16, 0..3),
    ) {
        let bound = values.iter().map(|v| v.clone().map(Into::into)).collect();
        let frame = encoded(&PgBind::new(portal.clone(), statement.clone(), formats, bound, results.clone()));
        let bind = Bind::read(&frame).unwrap();
        prop_assert_eq!(bind.portal, portal.unwrap_or_default().into_bytes());
        prop_assert_eq!(bind.statement, statement.unwrap_or_default().into_bytes());
        prop_assert_eq!(usize::from(bind.parameters()), values.len());
        let read: Vec<_> = bind.values().map(<[u8]>::to_vec).collect();
        prop_assert_eq!(read, values.into_iter().flatten().collect::<Vec<_>>());
        let expected: Vec<u8> = results.iter().flat_map(|code| code.to_be_bytes()).collect();
        prop_assert_eq!(bind.result_formats, &expected[..]);
    }

    #[test]
    fn no_reader_panics_or_accepts_trailing_bytes(tag in any::<u8>(), body in proptest::collection::vec(any::<u8>(), 0..64)) {
        let mut frame = vec![tag, 0, 0, 0, 0];
        frame.extend_from_slice(&body);
        let _ = (query(&frame), Parse::read(&frame).is_ok(), target(&frame), execute(&frame), Bind::names(&frame));
        if let Ok(bind) = Bind::read(&frame) {
            bind.values().for_each(drop);
            frame.push(0);
            prop_assert!(Bind::read(&frame).is_err());
        }
    }
}

#[test]
fn reads_the_short_messages() {
    assert_eq!(
        query(&encoded(&PgQuery::new("select 1".into()))),
        Ok(&b"select 1"[..])
    );
    assert_eq!(
        execute(&encoded(&PgExecute::new(Some("c".into()), 7))),
        Ok((&b"c"[..], 7))
    );
    let describe = encoded(&PgDescribe::new(b'S', Some("s1".into())));
    assert_eq!(target(&describe), Ok((Target::Statement, &b"s1"[..])));
    let close = encoded(&PgClose::new(b'P', None));
    assert_eq!(target(&close), Ok((Target::Portal, &b""[..])));
}

#[test]
fn a_query_with_a_nul_inside_is_malformed() {
    assert_eq!(query(b"Q\0\0\0\x08a\0b\0"), Err(BodyError { tag: b'Q' }));
}

#[test]
fn writes_what_it_reads() {
    let mut out = BytesMut::new();
    put_parse(&mut out, b"s", b"select");
    assert_eq!(
        Parse::read(&out),
        Ok(Parse {
            name: b"s",
            text: b"select",
            types: b""
        })
    );
    out.clear();
    put_bind(&mut out, b"p", b"s");
    let bind = Bind::read(&out).unwrap();
    assert_eq!(
        (bind.portal, bind.statement, bind.parameters()),
        (&b"p"[..], &b"s"[..], 0)
    );
    out.clear();
    put_close(&mut out, Target::Portal, b"p");
    assert_eq!(target(&out), Ok((Target::Portal, &b"p"[..])));
    out.clear();
    put_execute(&mut out, b"p");
    assert_eq!(execute(&out), Ok((&b"p"[..], 0)));
    out.clear();
    put_query(&mut out, b"BEGIN");
    assert_eq!(query(&out), Ok(&b"BEGIN"[..]));
}
