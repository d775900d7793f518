//! Messages of a client, chosen by the fuzzer from what clients say.

use std::{sync::Arc, time::Duration};

use bytes::{BufMut, BytesMut};
use cache::Policy;
use catalog::{DatabaseId, SystemId};
use wire::frontend::{self, Target};

/// The database all talk about.
pub(crate) const DATABASE: DatabaseId = DatabaseId {
    system: SystemId(1),
    oid: 5,
};

/// Statements, among them two that read the same.
pub(crate) const TEXTS: [&str; 24] = [
    "SELECT name FROM city",
    "SELECT name FROM city",
    "SELECT line FROM log",
    "SELECT name FROM city /* again */",
    "SELECT name FROM city WHERE id = $1",
    "SELECT name FROM city WHERE id = $1",
    "UPDATE city SET name = 'x'",
    "INSERT INTO log(line) VALUES ('x')",
    "BEGIN",
    "BEGIN",
    "COMMIT",
    "ROLLBACK",
    "SELECT 1/0",
    "SET work_mem = '1MB'",
    "SET TimeZone = 'UTC'",
    "SET TimeZone = 'PRC'",
    "",
    "SELEKT",
    "DEALLOCATE a",
    "DEALLOCATE ALL",
    "UPDATE city SET name = 'x'; SELECT name FROM city",
    "BEGIN; UPDATE city SET name = 'x'",
    "CREATE TABLE x (id int)",
    "START TRANSACTION",
];

/// Names of statements and portals; the unnamed one is the favourite.
const NAMES: [&[u8]; 4] = [b"", b"", b"a", b"b"];

/// What the fuzzer has left to say.
pub(crate) struct Script<'a>(pub(crate) &'a [u8]);

impl<'a> Script<'a> {
    pub(crate) fn byte(&mut self) -> Option<u8> {
        let (&first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(first)
    }

    /// Some bytes, their number first.
    pub(crate) fn some(&mut self) -> &'a [u8] {
        let count = usize::from(self.byte().unwrap_or(0)).min(self.0.len());
        let (some, rest) = self.0.split_at(count);
        self.0 = rest;
        some
    }

    pub(crate) fn choose<'b, T: ?Sized>(&mut self, among: &[&'b T]) -> &'b T {
        among[usize::from(self.byte().unwrap_or(0)) % among.len()]
    }
}

/// Appends one message, or a whole round of them.
pub(crate) fn client(script: &mut Script<'_>, out: &mut BytesMut) {
    match script.byte().unwrap_or(0) % 12 {
        0..=2 => frontend::put_query(out, script.choose(&TEXTS).as_bytes()),
        3 => parse(script, out),
        4 => bind(script, out),
        5 => frontend::put_describe(out, target(script), script.choose(&NAMES)),
        6 => execute(script, out),
        7 => frontend::put_close(out, target(script), script.choose(&NAMES)),
        8 => out.put_slice(frontend::SYNC),
        9 => out.put_slice(frontend::FLUSH),
        10 => {
            parse(script, out);
            bind(script, out);
            frontend::put_describe(out, Target::Portal, b"");
            frontend::put_execute(out, b"");
        }
        _ => {
            bind(script, out);
            frontend::put_execute(out, b"");
            out.put_slice(frontend::SYNC);
        }
    }
}

fn target(script: &mut Script<'_>) -> Target {
    match script.byte().unwrap_or(0) % 2 {
        0 => Target::Statement,
        _ => Target::Portal,
    }
}

fn parse(script: &mut Script<'_>, out: &mut BytesMut) {
    let (name, text) = (script.choose(&NAMES), script.choose(&TEXTS).as_bytes());
    if script.byte().unwrap_or(0).is_multiple_of(4) {
        frontend::put_parse_typed(out, name, text, &[0, 1, 0, 0, 0, 23]);
    } else {
        frontend::put_parse(out, name, text);
    }
}

fn bind(script: &mut Script<'_>, out: &mut BytesMut) {
    let (portal, statement) = (script.choose(&NAMES), script.choose(&NAMES));
    let shape = script.byte().unwrap_or(0);
    let mut body = BytesMut::new();
    for name in [portal, statement] {
        body.put_slice(name);
        body.put_u8(0);
    }
    body.put_u16(0);
    if shape & 1 == 0 {
        body.put_u16(0);
    } else {
        body.put_u16(1);
        body.put_i32(1);
        body.put_u8(b'0' + (shape >> 6));
    }
    if shape & 2 == 0 {
        body.put_u16(0);
    } else {
        body.put_u16(1);
        body.put_u16(u16::from(shape >> 2 & 1));
    }
    out.put_u8(frontend::tag::BIND);
    out.put_u32(u32::try_from(body.len() + 4).expect("it is short"));
    out.put_slice(&body);
}

fn execute(script: &mut Script<'_>, out: &mut BytesMut) {
    let portal = script.choose(&NAMES);
    out.put_u8(frontend::tag::EXECUTE);
    out.put_u32(u32::try_from(portal.len() + 9).expect("it is short"));
    out.put_slice(portal);
    out.put_u8(0);
    out.put_i32(i32::from(script.byte().unwrap_or(0) % 4));
}

/// Everything is cached.
pub(crate) fn policy() -> Arc<Policy> {
    Arc::new(Policy::new(Some(Duration::from_secs(60)), Vec::new()))
}
