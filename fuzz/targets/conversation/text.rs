//! What the server knows of the texts that clients send.

use bytes::{BufMut, BytesMut};

use crate::{messages::TEXTS, server::Refusal};

pub(crate) fn check_syntax(text: &[u8]) -> Result<(), Refusal> {
    if text == b"SELEKT" {
        return Err(("42601", "syntax error at or near \"SELEKT\"".to_owned()));
    }
    assert!(
        is_probe(text) || text == STAND_IN || TEXTS.iter().any(|known| known.as_bytes() == text),
        "nobody said {}",
        shown(text)
    );
    Ok(())
}

/// What a session sends where something was answered by itself.
const STAND_IN: &[u8] = b"SELECT 1";

/// A statement with a parameter, in a query that binds none.
pub(crate) fn refuse_parameters(text: &[u8]) -> Result<(), Refusal> {
    match parameters(text) {
        0 => Ok(()),
        _ => Err(("42P02", "there is no parameter $1".to_owned())),
    }
}

pub(crate) fn is_probe(text: &[u8]) -> bool {
    text.starts_with(b"SELECT (SELECT r.oid ")
}

pub(crate) fn parameters(text: &[u8]) -> usize {
    usize::from(text.ends_with(b"$1"))
}

pub(crate) fn has_rows(text: &[u8]) -> bool {
    text.starts_with(b"SELECT ")
}

pub(crate) fn ends_block(text: &[u8]) -> bool {
    matches!(text, b"COMMIT" | b"ROLLBACK")
}

pub(crate) fn failed() -> Refusal {
    let text = "current transaction is aborted, commands ignored until end of transaction block";
    ("25P02", text.to_owned())
}

pub(crate) fn divided() -> Refusal {
    ("22012", "division by zero".to_owned())
}

pub(crate) fn no_portal(name: &[u8]) -> Refusal {
    (
        "34000",
        format!("portal \"{}\" does not exist", shown(name)),
    )
}

pub(crate) fn shown(name: &[u8]) -> String {
    String::from_utf8_lossy(name).into_owned()
}

/// The body of a RowDescription.
pub(crate) fn description(text: &[u8], formats: &[u8]) -> Vec<u8> {
    let columns = if is_probe(text) { 8 } else { 1 };
    let mut body = BytesMut::new();
    body.put_u16(columns);
    for _ in 0..columns {
        body.put_slice(b"name\0");
        body.put_u32(16_400);
        body.put_u16(1);
        body.put_u32(25);
        body.put_i16(-1);
        body.put_i32(-1);
        body.put_slice(formats.get(..2).unwrap_or(&[0, 0]));
    }
    body.to_vec()
}
