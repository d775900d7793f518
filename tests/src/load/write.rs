//! The ways to write.

use anyhow::Result;

use super::{COUNTERS, PAIRS, Session, VOICES, loss, number, numbers, voice_register};
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
        loss::whole(self.conn.read_until(b'Z')?).map(drop)
    }

    /// One write in one of the ways.
    pub(super) fn write(&mut self) -> Result<()> {
        // What writes everything comes seldom: nothing is a hit beside it.
        if self.random.chance(3) {
            return self.write_everything();
        }
        match self.random.below(15) {
            0 => self.increment(|s, k| s.run(&increment(k))),
            1 => self.increment(|s, k| s.extended(INCREMENT, &[&k.to_string()])),
            2 => self.increment(Self::increment_in_transaction),
            3 => self.increment(|s, k| s.run(&format!("BEGIN; {}; COMMIT", increment(k)))),
            4 => self.increment(Self::increment_prepared),
            5 => self.increment(Self::increment_in_pipeline),
            6 => self.increment(Self::increment_under_savepoint),
            7 => self.roll_back(),
            8 => self.write_pair(),
            9 => self.increment(|s, k| s.run(&format!("SELECT increment({k})"))),
            10 => self.write_voice(),
            _ => self.write_slot(),
        }
    }

    fn increment(&mut self, how: impl FnOnce(&mut Self, usize) -> Result<Answer>) -> Result<()> {
        let counter = self.random.index(COUNTERS);
        let floor = self.history.begin(counter, 1);
        let value = number(&how(self, counter)?)?;
        self.history.acknowledge(self.seen, counter, floor, value);
        Ok(())
    }

    /// A write of which nobody knows where it goes.
    fn write_everything(&mut self) -> Result<()> {
        if self.random.below(2) == 0 {
            self.increment(|s, k| s.run(&format!("CALL increment({k}, NULL)")))
        } else {
            self.increment(Self::increment_in_two_phases)
        }
    }

    fn increment_in_two_phases(&mut self, counter: usize) -> Result<Answer> {
        // The name says whose it is: see `settle`.
        let name = format!("'load {} {:x}'", self.number, self.random.next());
        self.run("BEGIN")?;
        let answer = self.run(&increment(counter))?;
        self.run(&format!("PREPARE TRANSACTION {name}"))?;
        self.run(&format!("COMMIT PREPARED {name}"))?;
        Ok(answer)
    }

    fn increment_in_transaction(&mut self, counter: usize) -> Result<Answer> {
        self.run("BEGIN")?;
        let answer = self.run(&increment(counter))?;
        self.expect_own_write(counter, number(&answer)?)?;
        self.run("COMMIT")?;
        Ok(answer)
    }

    fn increment_under_savepoint(&mut self, counter: usize) -> Result<Answer> {
        self.run("BEGIN")?;
        self.run("SAVEPOINT s")?;
        self.run(&spoil(counter))?;
        self.run("ROLLBACK TO s")?;
        let answer = self.run(&increment(counter))?;
        self.run("COMMIT")?;
        Ok(answer)
    }

    fn increment_prepared(&mut self, counter: usize) -> Result<Answer> {
        let batch = Frontend::new().bind("", "increment", &[&counter.to_string()]);
        self.conn.send(batch.execute("", 0).sync().bytes())?;
        loss::whole(self.conn.read_until(b'Z')?)
    }

    /// A write and a read of it between two `Sync`s.
    fn increment_in_pipeline(&mut self, counter: usize) -> Result<Answer> {
        let key = counter.to_string();
        let batch = Frontend::new()
            .bind("", "increment", &[&key])
            .execute("", 0)
            .bind("", "one", &[&key])
            .execute("", 0)
            .sync();
        self.conn.send(batch.bytes())?;
        let answer = loss::whole(self.conn.read_until(b'Z')?)?;
        let rows = numbers(&answer)?;
        anyhow::ensure!(rows.len() == 2, "a pipeline brings {rows:?}");
        self.judge_own(counter, (rows[0][0], rows[1][0]), "pipeline");
        Ok(answer)
    }

    fn expect_own_write(&mut self, counter: usize, value: i64) -> Result<()> {
        let read = self.run(&format!("SELECT n FROM counter WHERE k = {counter}"))?;
        self.judge_own(counter, (value, number(&read)?), "transaction");
        Ok(())
    }

    /// A session reads what it has written itself.
    fn judge_own(&self, counter: usize, values: (i64, i64), what: &str) {
        let what = format!("one's own write in a {what}");
        self.history.judge_same(self.seen, counter, values, &what);
    }

    fn roll_back(&mut self) -> Result<()> {
        let counter = self.random.index(COUNTERS);
        self.run("BEGIN")?;
        self.run(&spoil(counter))?;
        self.run(&format!("SELECT n FROM counter WHERE k = {counter}"))?;
        self.run("ROLLBACK").map(|_| ())
    }

    fn write_pair(&mut self) -> Result<()> {
        let pair = self.random.index(PAIRS);
        let side = |side| {
            format!("UPDATE pair SET n = n + 1 WHERE id = {pair} AND side = {side} RETURNING n")
        };
        let register = COUNTERS + pair;
        let floor = self.history.begin(register, 1);
        self.run("BEGIN")?;
        let answer = self.run(&side(0))?;
        self.run(&side(1))?;
        self.run("COMMIT")?;
        let value = number(&answer)?;
        self.history.acknowledge(self.seen, register, floor, value);
        Ok(())
    }

    /// A write that a trigger repeats elsewhere.
    fn write_voice(&mut self) -> Result<()> {
        let voice = self.random.index(VOICES);
        let register = voice_register(voice);
        let floor = self.history.begin(register, 1);
        let sql = format!("UPDATE voice SET n = n + 1 WHERE k = {voice} RETURNING n");
        let value = number(&self.run(&sql)?)?;
        self.history.acknowledge(self.seen, register, floor, value);
        Ok(())
    }
}

fn increment(counter: usize) -> String {
    format!("UPDATE counter SET n = n + 1 WHERE k = {counter} RETURNING n")
}

fn spoil(counter: usize) -> String {
    format!("UPDATE counter SET n = n + {NEVER_COMMITTED} WHERE k = {counter}")
}
