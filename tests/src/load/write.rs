//! The ways to write.

use anyhow::Result;

use super::{COUNTERS, PAIRS, Session, number};
use crate::{
    history::NEVER_COMMITTED,
    wire::{Answer, Frontend},
};

const INCREMENT: &str = "UPDATE counter SET n = n + 1 WHERE k = $1 RETURNING n";

impl Session<'_> {
    /// Parses what is later bound again without a `Parse`.
    pub(super) fn prepare(&mut self) -> Result<()> {
        let batch = Frontend::new()
            .parse("increment", INCREMENT, &[])
            .parse("one", "SELECT n FROM counter WHERE k = $1", &[])
            .sync();
        self.conn.send(batch.bytes())?;
        self.conn.read_until(b'Z').map(|_| ())
    }

    /// One write in one of the ways.
    pub(super) fn write(&mut self) -> Result<()> {
        match self.random.below(13) {
            0 => self.increment(|s, k| s.conn.query(&increment(k))),
            1 => self.increment(|s, k| s.conn.extended(INCREMENT, &[&k.to_string()])),
            2 => self.increment(Self::increment_in_transaction),
            3 => self.increment(|s, k| s.conn.query(&format!("BEGIN; {}; COMMIT", increment(k)))),
            4 => self.increment(Self::increment_prepared),
            5 => self.increment(Self::increment_in_pipeline),
            6 => self.increment(Self::increment_under_savepoint),
            7 => self.roll_back(),
            8 => self.write_pair(),
            _ => self.write_slot(),
        }
    }

    fn increment(&mut self, how: impl FnOnce(&mut Self, usize) -> Result<Answer>) -> Result<()> {
        let counter = self.random.index(COUNTERS);
        self.history.begin(counter);
        let answer = how(self, counter)?;
        self.history.acknowledge(counter, number(&answer)?);
        Ok(())
    }

    fn increment_in_transaction(&mut self, counter: usize) -> Result<Answer> {
        self.conn.run("BEGIN")?;
        let answer = self.conn.query(&increment(counter))?;
        self.expect_own_write(counter, number(&answer)?)?;
        self.conn.run("COMMIT")?;
        Ok(answer)
    }

    fn increment_under_savepoint(&mut self, counter: usize) -> Result<Answer> {
        self.conn.run("BEGIN")?;
        self.conn.run("SAVEPOINT s")?;
        self.conn.run(&spoil(counter))?;
        self.conn.run("ROLLBACK TO s")?;
        let answer = self.conn.query(&increment(counter))?;
        self.conn.run("COMMIT")?;
        Ok(answer)
    }

    fn increment_prepared(&mut self, counter: usize) -> Result<Answer> {
        let batch = Frontend::new().bind("", "increment", &[&counter.to_string()]);
        self.conn.send(batch.execute("", 0).sync().bytes())?;
        self.conn.read_until(b'Z')
    }

    /// A write and a read of it between two `Sync`s.
    fn increment_in_pipeline(&mut self, counter: usize) -> Result<Answer> {
        let counter = counter.to_string();
        let batch = Frontend::new()
            .bind("", "increment", &[&counter])
            .execute("", 0)
            .bind("", "one", &[&counter])
            .execute("", 0)
            .sync();
        self.conn.send(batch.bytes())?;
        let answer = self.conn.read_until(b'Z')?;
        let rows = super::numbers(&answer)?;
        anyhow::ensure!(
            rows.len() == 2 && rows[0] == rows[1],
            "a pipeline does not read its own write: {rows:?}"
        );
        Ok(answer)
    }

    fn expect_own_write(&mut self, counter: usize, value: i64) -> Result<()> {
        let read = self
            .conn
            .query(&format!("SELECT n FROM counter WHERE k = {counter}"))?;
        let read = number(&read)?;
        anyhow::ensure!(
            read == value,
            "wrote {value} in this transaction, read {read}"
        );
        Ok(())
    }

    fn roll_back(&mut self) -> Result<()> {
        let counter = self.random.index(COUNTERS);
        self.conn.run("BEGIN")?;
        self.conn.run(&spoil(counter))?;
        self.conn
            .query(&format!("SELECT n FROM counter WHERE k = {counter}"))?;
        self.conn.run("ROLLBACK").map(|_| ())
    }

    fn write_pair(&mut self) -> Result<()> {
        let pair = self.random.index(PAIRS);
        let side = |side| {
            format!("UPDATE pair SET n = n + 1 WHERE id = {pair} AND side = {side} RETURNING n")
        };
        self.history.begin(COUNTERS + pair);
        self.conn.run("BEGIN")?;
        let answer = self.conn.query(&side(0))?;
        self.conn.run(&side(1))?;
        self.conn.run("COMMIT")?;
        self.history.acknowledge(COUNTERS + pair, number(&answer)?);
        Ok(())
    }
}

fn increment(counter: usize) -> String {
    format!("UPDATE counter SET n = n + 1 WHERE k = {counter} RETURNING n")
}

fn spoil(counter: usize) -> String {
    format!("UPDATE counter SET n = n + {NEVER_COMMITTED} WHERE k = {counter}")
}
