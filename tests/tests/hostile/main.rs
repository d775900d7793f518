//! Clients that send nonsense, too much, or nothing more at all.
//!
//! In each case the process lives on, other clients are served, and memory stays bounded.

mod bounds;
mod cancels;
mod nonsense;
mod vanishing;

use anyhow::{Context, Result, ensure};
use pgmemo_tests::{
    Pgmemo, Postgres, Store, Version,
    net::{SOON, eventually},
    postgres::Database,
    wire::Conn,
};

const READ: &str = "SELECT id, v FROM t ORDER BY id";

/// By how much the process may grow over what a test did to it.
const GROWTH_MAX: u64 = 96 << 20;

/// pgmemo in front of a database with a little data, and one client that behaves.
struct Ground {
    pgmemo: Pgmemo,
    database: Database,
    witness: Conn,
    resident: u64,
}

impl Ground {
    fn new() -> Result<Self> {
        let postgres = Postgres::shared(Version::System);
        let database = postgres.database()?;
        database.connect()?.run(
            "CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'a'), (2, 'b')",
        )?;
        let mut pgmemo = Pgmemo::start(postgres, Store::Memory, &[])?;
        let mut witness = pgmemo.connect(database.name())?;
        for _ in 0..3 {
            witness.run(READ)?;
        }
        let resident = if pgmemo.is_real() {
            pgmemo.resident_bytes()?
        } else {
            0
        };
        Ok(Self {
            pgmemo,
            database,
            witness,
            resident,
        })
    }

    fn socket(&self) -> Result<Conn> {
        Conn::raw(self.pgmemo.address())
    }

    fn session(&self) -> Result<Conn> {
        self.pgmemo.connect(self.database.name())
    }

    /// The witness and a newcomer are served as ever, and the process has not swollen.
    fn check(&mut self) -> Result<()> {
        let rows = self.witness.run(READ).context("the witness")?.rows();
        ensure!(rows.len() == 2, "the witness reads {rows:?}");
        self.session().context("a newcomer")?.run(READ)?;
        if self.pgmemo.is_real() {
            let resident = self.pgmemo.resident_bytes()?;
            let grown = resident.saturating_sub(self.resident);
            ensure!(grown < GROWTH_MAX, "grown by {} MiB", grown >> 20);
        }
        Ok(())
    }

    /// Waits until no backend of the database does anything but idle.
    fn await_quiet(&self) -> Result<()> {
        let mut control = self.database.connect()?;
        let busy = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                    AND pid <> pg_backend_pid() AND backend_type = 'client backend' \
                    AND state <> 'idle'";
        eventually("the end of abandoned work", SOON, || {
            control
                .value(busy)
                .is_ok_and(|count| count == "0")
                .then_some(())
        })
    }
}
