//! What an idle client costs in memory.

use anyhow::{Context, Result};
use pgmemo_tests::wire::{Conn, Login};

use crate::contender::Contender;

/// Bytes per client that has logged in, run a statement, and sits there.
///
/// The upstream is a canned responder: of the server's processes there could not be that many.
pub(crate) fn bytes_per_client(contender: &Contender, clients: u32) -> Result<f64> {
    let connect = || -> Result<Conn> {
        let mut conn = Conn::connect(contender.address, &Login::default())?;
        for _ in 0..3 {
            conn.query("SELECT id, text FROM wide WHERE part = 7")?;
            conn.extended("SELECT id, text FROM wide WHERE part = 7", &[])?;
        }
        Ok(conn)
    };
    // What the first clients cost is there only once.
    let first: Vec<_> = (0..20).map(|_| connect()).collect::<Result<_>>()?;
    let before = contender.resident_bytes()?;
    let more: Vec<_> = (0..clients).map(|_| connect()).collect::<Result<_>>()?;
    let after = contender.resident_bytes()?;
    let grown = i64::try_from(after)? - i64::try_from(before)?;
    drop((first, more));
    let grown = i32::try_from(grown / 1024).context("more than a process can hold")?;
    Ok(f64::from(grown) * 1024.0 / f64::from(clients))
}
