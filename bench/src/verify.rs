//! Whether a contender answers as PostgreSQL does.

use anyhow::{Result, ensure};
use pgmemo_tests::wire::{Answer, Conn, Frontend, Login};

use crate::{
    contender::{Contender, Kind},
    workload::{Protocol, Workload},
};

/// Compares answers to the workload's sample, cold and warm, byte for byte. Workloads without a
/// sample write, or are random by nature; what they leave behind is the tests' affair.
pub(crate) fn same(direct: &Contender, other: &Contender, workload: &Workload) -> Result<()> {
    let Some(sample) = workload.sample else {
        return Ok(());
    };
    if matches!(other.kind, Kind::Canned | Kind::Direct) {
        return Ok(());
    }
    for protocol in [Protocol::Simple, Protocol::Prepared] {
        let expected = ask(direct, workload, sample, protocol, 1)?;
        let answers = ask(other, workload, sample, protocol, 3)?;
        ensure!(
            answers
                .iter()
                .all(|answer| expected.first() == Some(answer)),
            "{}: {} ({}) answers\n{answers:?}\nwhere PostgreSQL answers\n{expected:?}",
            workload.name,
            other.name,
            protocol.name(),
        );
    }
    Ok(())
}

/// The reply to the workload's sample as frames: description, rows, tag.
pub(crate) fn frames(direct: &Contender, workload: &Workload) -> Result<Option<Vec<u8>>> {
    let Some(sample) = workload.sample else {
        return Ok(None);
    };
    let answers = ask(direct, workload, sample, Protocol::Simple, 1)?;
    let mut frames = Vec::new();
    for message in answers.iter().flat_map(|answer| &answer.0) {
        if matches!(message.tag, b'T' | b'D' | b'C') {
            let length = u32::try_from(message.body.len() + 4)?;
            frames.push(message.tag);
            frames.extend_from_slice(&length.to_be_bytes());
            frames.extend_from_slice(&message.body);
        }
    }
    Ok(Some(frames))
}

fn ask(
    contender: &Contender,
    workload: &Workload,
    sql: &str,
    protocol: Protocol,
    times: usize,
) -> Result<Vec<Answer>> {
    let mut conn = Conn::connect(contender.address, &Login::to(workload.database))?;
    if protocol == Protocol::Simple {
        return (0..times).map(|_| conn.query(sql)).collect();
    }
    conn.send(Frontend::new().parse("s", sql, &[]).sync().bytes())?;
    conn.read_until(b'Z')?;
    let run = Frontend::new()
        .bind("", "s", &[])
        .describe_portal("")
        .execute("", 0)
        .sync()
        .into_bytes();
    (0..times)
        .map(|_| {
            conn.send(&run)?;
            conn.read_until(b'Z')
        })
        .collect()
}
