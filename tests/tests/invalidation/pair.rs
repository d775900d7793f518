//! A reader and a writer behind one instance.

use anyhow::Result;
use pgmemo_tests::{
    Pgmemo, Postgres, Store, Version,
    net::{SOON, eventually},
    wire::Conn,
};

use super::FIXTURE;

/// A database with the fixture, an instance, and two sessions, on a server alone: where others make
/// databases or roles, sessions are asked anew, and what is counted to the last hit would be wrong.
pub(crate) fn with_sessions(
    test: impl FnOnce(&Pgmemo, &mut Conn, &mut Conn) -> Result<()>,
) -> Result<()> {
    let postgres = Postgres::start(Version::System)?;
    let database = postgres.database()?;
    database.connect()?.run(FIXTURE)?;
    let pgmemo = Pgmemo::start(&postgres, Store::Memory, &[])?;
    let connect = || pgmemo.connect(database.name());
    let (mut reader, mut writer) = (connect()?, connect()?);
    test(&pgmemo, &mut reader, &mut writer)
}

/// Runs a read until it is a hit.
pub(crate) fn warm(pgmemo: &Pgmemo, conn: &mut Conn, read: &str) -> Result<String> {
    let mut hits = pgmemo.hits()?;
    eventually("a hit", SOON, || {
        let value = conn.value(read).ok()?;
        let before = std::mem::replace(&mut hits, pgmemo.hits().ok()?);
        (hits > before || !pgmemo.is_real()).then_some(value)
    })
}
