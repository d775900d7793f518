use pgwire::messages::data::{DataRow, FieldDescription, RowDescription};
use pgwire::messages::response::{CommandComplete, ReadyForQuery, TransactionStatus};
use pgwire::messages::startup::ParameterStatus;
use pgwire::messages::{Message, extendedquery as extended};
use proptest::prelude::*;

use super::*;

fn encoded(message: &impl Message) -> BytesMut {
    let mut out = BytesMut::new();
    message.encode(&mut out).unwrap();
    out
}

fn description(formats: &[i16]) -> BytesMut {
    let fields = formats
        .iter()
        .enumerate()
        .map(|(i, &format)| FieldDescription::new(format!("c{i}"), 1, 1, 23, 4, -1, format))
        .collect();
    encoded(&RowDescription::new(fields))
}

#[test]
fn static_frames_are_what_pgwire_writes() {
    assert_eq!(encoded(&extended::ParseComplete::new()), PARSE_COMPLETE);
    assert_eq!(encoded(&extended::BindComplete::new()), BIND_COMPLETE);
    assert_eq!(encoded(&extended::CloseComplete::new()), CLOSE_COMPLETE);
    assert_eq!(encoded(&extended::PortalSuspended::new()), PORTAL_SUSPENDED);
    for (ours, theirs) in [
        (Status::Idle, TransactionStatus::Idle),
        (Status::Transaction, TransactionStatus::Transaction),
        (Status::Failed, TransactionStatus::Error),
    ] {
        assert_eq!(encoded(&ReadyForQuery::new(theirs)), ready(ours));
        assert_eq!(read_ready(ready(ours)), Ok(ours));
    }
    let mut out = BytesMut::new();
    put_command_complete(&mut out, b"SELECT 1");
    assert_eq!(encoded(&CommandComplete::new("SELECT 1".into())), out);
    assert_eq!(command_tag(&out), Ok(&b"SELECT 1"[..]));
}

#[test]
fn reads_a_parameter_status() {
    let frame = encoded(&ParameterStatus::new("TimeZone".into(), "UTC".into()));
    assert_eq!(
        parameter_status(&frame),
        Ok((&b"TimeZone"[..], &b"UTC"[..]))
    );
}

#[test]
fn reads_the_sqlstate_of_an_error() {
    assert_eq!(
        sqlstate(&error("FATAL", "28000", "no")),
        Some(&b"28000"[..])
    );
    assert_eq!(sqlstate(b"E\0\0\0\x05\0"), None);
}

#[test]
fn format_codes_are_laid_over_a_description() {
    let plain = description(&[0, 0]);
    assert_eq!(with_formats(&plain, &[]).unwrap(), plain);
    assert_eq!(with_formats(&plain, &[0, 1]).unwrap(), description(&[1, 1]));
    assert_eq!(
        with_formats(&plain, &[0, 1, 0, 0]).unwrap(),
        description(&[1, 0])
    );
    assert!(with_formats(&plain, &[0, 1, 0, 0, 0, 0]).is_err());
}

#[test]
fn reads_the_columns_of_a_row() {
    let mut data = BytesMut::new();
    data.extend_from_slice(&1_i32.to_be_bytes());
    data.extend_from_slice(b"x");
    data.extend_from_slice(&(-1_i32).to_be_bytes());
    let frame = encoded(&DataRow::new(data, 2));
    assert_eq!(columns(&frame), Ok(vec![Some(&b"x"[..]), None]));
}

proptest! {
    #[test]
    fn no_reader_panics(frame in proptest::collection::vec(any::<u8>(), 0..64), formats in proptest::collection::vec(any::<u8>(), 0..8)) {
        let _ = (read_ready(&frame), command_tag(&frame), parameter_status(&frame), sqlstate(&frame));
        let _ = (columns(&frame), with_formats(&frame, &formats));
    }
}

#[test]
fn columns_are_the_same_by_name_and_type() {
    let description = |name: &str, table: u32, kind: u32, format: u16| {
        let mut out = BytesMut::new();
        crate::frontend::put(&mut out, tag::ROW_DESCRIPTION, |body| {
            body.extend_from_slice(&1_u16.to_be_bytes());
            body.extend_from_slice(name.as_bytes());
            body.extend_from_slice(b"\0");
            body.extend_from_slice(&table.to_be_bytes());
            body.extend_from_slice(&1_u16.to_be_bytes());
            body.extend_from_slice(&kind.to_be_bytes());
            body.extend_from_slice(&[0, 4, 0xff, 0xff, 0xff, 0xff]);
            body.extend_from_slice(&format.to_be_bytes());
        });
        out
    };
    let one = description("a", 1, 23, 0);
    assert!(same_columns(&one, &description("a", 2, 23, 1)));
    assert!(!same_columns(&one, &description("b", 1, 23, 0)));
    assert!(!same_columns(&one, &description("a", 1, 20, 0)));
    assert!(!same_columns(&one, NO_DATA) && same_columns(NO_DATA, NO_DATA));
}

#[test]
fn the_refusal_of_a_stale_plan_keeps_the_severity() {
    let frame = error("FEHLER", "26000", "no such statement");
    let stale = stale_plan(&frame);
    assert_eq!(sqlstate(&stale), Some(&b"0A000"[..]));
    assert!(stale.windows(8).any(|part| part == b"SFEHLER\0"));
    let header = crate::header(&stale).unwrap().unwrap();
    assert_eq!(header.total, stale.len());
}

#[test]
fn a_text_is_refused_where_the_error_lies_in_it() {
    let frame = |fields: &[&str], end: &[u8]| {
        let mut body = Vec::new();
        for field in fields {
            body.extend_from_slice(field.as_bytes());
            body.push(0);
        }
        body.extend_from_slice(end);
        let length = u32::try_from(body.len() + 4).expect("it is short");
        let mut frame = vec![b'E'];
        frame.extend_from_slice(&length.to_be_bytes());
        frame.extend_from_slice(&body);
        frame
    };
    let refused = ["SERROR", "VERROR", "C42601", "Mno", "P1", "Fscan.l"];
    assert!(refuses_text(&frame(&refused, b"\0")));
    // The rest is missing, and may hold anything.
    assert!(!refuses_text(&frame(&refused, b"")));
    assert!(!refuses_text(&frame(&refused, b"Wa")));
    for other in [
        &["C42601", "Mno"][..],
        &["C22P02", "Mno", "P1"],
        &["C42601", "Mno", "P1", "WPL/pgSQL function f()"],
        &["C42601", "Mno", "p1", "qSELEC"],
        &["C42601", "Mno", "P1", "qSELEC"],
    ] {
        assert!(!refuses_text(&frame(other, b"\0")), "{other:?}");
    }
}
