//! Whether a contender answers as PostgreSQL does.

use anyhow::Result;
use pgmemo_tests::wire::{Answer, Conn, Format, Frontend, Login};

use crate::{
    contender::{Contender, Kind},
    workload::{Protocol, Workload},
};

/// Which numbers stand for `:key`.
const KEYS: std::ops::RangeInclusive<u32> = 1..=2000;

/// Every how manieth of them is asked for.
const STEP: usize = 13;

/// Whether a contender answers the workload's checks as the server does, byte for byte, at first
/// and when asked again. `database` is the one that the contender was measured with.
pub(crate) fn same(
    direct: &Contender,
    other: &Contender,
    workload: &Workload,
    database: &str,
) -> Result<bool> {
    if matches!(other.kind, Kind::Canned | Kind::Direct) {
        return Ok(true);
    }
    for protocol in [Protocol::Simple, Protocol::Prepared] {
        let (mut oracle, mut conn) = (connect(direct, database)?, connect(other, database)?);
        for check in workload.checks {
            for key in KEYS.step_by(if check.contains(":key") {
                STEP
            } else {
                usize::MAX
            }) {
                let expected = ask(&mut oracle, check, key, protocol)?;
                for _ in 0..2 {
                    let answer = ask(&mut conn, check, key, protocol)?;
                    if answer != expected {
                        eprintln!(
                            "{}: {} ({}) answers {check} for {key} with\n{answer:?}\nand \
                             PostgreSQL with\n{expected:?}",
                            workload.name,
                            other.name,
                            protocol.name(),
                        );
                        return Ok(false);
                    }
                }
            }
        }
    }
    Ok(true)
}

/// The reply to the workload's sample as frames: description, rows, tag.
pub(crate) fn frames(direct: &Contender, workload: &Workload) -> Result<Option<Vec<u8>>> {
    let Some(sample) = workload.sample else {
        return Ok(None);
    };
    let answer = connect(direct, workload.database)?.query(sample)?;
    let mut frames = Vec::new();
    for message in &answer.0 {
        if matches!(message.tag, b'T' | b'D' | b'C') {
            let length = u32::try_from(message.body.len() + 4)?;
            frames.push(message.tag);
            frames.extend_from_slice(&length.to_be_bytes());
            frames.extend_from_slice(&message.body);
        }
    }
    Ok(Some(frames))
}

fn connect(contender: &Contender, database: &str) -> Result<Conn> {
    Conn::connect(contender.address, &Login::to(database))
}

/// Asks as pgbench does, which names its results' format.
fn ask(conn: &mut Conn, check: &str, key: u32, protocol: Protocol) -> Result<Answer> {
    let key = key.to_string();
    if protocol == Protocol::Simple {
        return conn.query(&check.replace(":key", &key));
    }
    let sql = check.replace(":key", "$1");
    let parameters = [Some(key.as_bytes())];
    let given = if sql == check { &[][..] } else { &parameters };
    let batch = Frontend::new()
        .parse("", &sql, &[])
        .bind_with("", "", &[], given, &[Format::Text])
        .describe_portal("")
        .execute("", 0)
        .sync();
    conn.send(batch.bytes())?;
    conn.read_until(b'Z')
}
