//! What one message costs to frame and to read: `cargo bench -p pgmemo-wire`.
//!
//! The numbers are those of one core, the best of five rounds.

#![expect(clippy::unwrap_used, reason = "a benchmark may fail")]

#[path = "../../sql/benches/timing/mod.rs"]
mod timing;

use std::hint::black_box;

use bytes::BytesMut;
use pgmemo_wire::{
    backend,
    frontend::{self, Bind, Parse},
    header,
};
use timing::best;

fn main() {
    let (mut query, mut parse) = (BytesMut::new(), BytesMut::new());
    frontend::put_query(&mut query, b"SELECT * FROM users WHERE id = 5");
    frontend::put_parse(&mut parse, b"s1", b"SELECT * FROM users WHERE id = $1");
    // One value as text, and one format for all columns.
    let bind = frame(b'B', b"\0s1\0\0\0\0\x01\0\0\0\x045000\0\x01\0\0");
    let rows = frame(b'D', b"\0\x02\0\0\0\x011\0\0\0\x08a result").repeat(1000);
    let tag = frame(b'C', b"SELECT 1000\0");
    report("Query", || frontend::query(black_box(&query)));
    report("Parse", || Parse::read(black_box(&parse)));
    report("Bind, with its values", || {
        Bind::read(black_box(&bind)).unwrap().values().count()
    });
    report("CommandComplete", || backend::command_tag(black_box(&tag)));
    report("1,000 rows, framed", || {
        let mut rest = black_box(&rows[..]);
        while let Ok(Some(row)) = header(rest) {
            rest = rest.get(row.total..).unwrap_or_default();
        }
        rest.len()
    });
}

fn report<T>(name: &str, run: impl Fn() -> T) {
    let spent = best(|| _ = black_box(run()));
    println!("{name:<24}{spent:>12.1?}");
}

fn frame(tag: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap();
    [&[tag], &length.to_be_bytes()[..], body].concat()
}
