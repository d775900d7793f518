//! The ways to read.

use anyhow::{Result, ensure};

use super::{COUNTERS, PAIRS, Session, VOICES, loss, number, numbers, voice_register};
use crate::wire::{Answer, Frontend};

const ONE: &str = "SELECT n FROM counter WHERE k = $1";

impl Session<'_> {
    /// One read in one of the ways.
    pub(super) fn read(&mut self) -> Result<()> {
        match self.random.below(14) {
            0 | 1 => self.one("simple query", |s, k| {
                s.run(&format!("SELECT n FROM counter WHERE k = {k}"))
            }),
            2 => self.one("extended query", |s, k| s.extended(ONE, &[&k.to_string()])),
            3 => self.one("prepared statement", Self::prepared),
            4 => self.one("transaction", Self::in_transaction),
            5 => self.all(),
            6 => self.pair(),
            7 => self.joined(),
            8 => self.echo(),
            9 => self.echoed(),
            _ => self.read_slots(),
        }
    }

    fn one(
        &mut self,
        how: &str,
        ask: impl FnOnce(&mut Self, usize) -> Result<Answer>,
    ) -> Result<()> {
        let counter = self.random.index(COUNTERS);
        let floor = self.history.floor(counter);
        let value = number(&ask(self, counter)?)?;
        self.history.judge(self.seen, counter, floor, value, how);
        Ok(())
    }

    fn prepared(&mut self, counter: usize) -> Result<Answer> {
        let batch = Frontend::new()
            .bind("", "one", &[&counter.to_string()])
            .execute("", 0)
            .sync();
        self.conn.send(batch.bytes())?;
        loss::whole(self.conn.read_until(b'Z')?)
    }

    fn in_transaction(&mut self, counter: usize) -> Result<Answer> {
        self.run("BEGIN")?;
        let answer = self.run(&format!("SELECT n FROM counter WHERE k = {counter}"))?;
        self.run("COMMIT")?;
        Ok(answer)
    }

    fn all(&mut self) -> Result<()> {
        let floors: Vec<_> = (0..COUNTERS)
            .map(|counter| self.history.floor(counter))
            .collect();
        let rows = numbers(&self.run("SELECT k, n FROM counter ORDER BY k")?)?;
        ensure!(rows.len() == COUNTERS, "{} counters", rows.len());
        for (counter, floor) in floors.into_iter().enumerate() {
            let value = rows[counter][1];
            self.history
                .judge(self.seen, counter, floor, value, "whole table");
        }
        Ok(())
    }

    fn pair(&mut self) -> Result<()> {
        let pair = self.random.index(PAIRS);
        let register = COUNTERS + pair;
        let floor = self.history.floor(register);
        let sql = format!("SELECT n FROM pair WHERE id = {pair} ORDER BY side");
        let rows = numbers(&self.run(&sql)?)?;
        ensure!(rows.len() == 2, "{} sides", rows.len());
        self.history
            .judge_pair(self.seen, register, rows[0][0], rows[1][0], "two rows");
        self.history
            .judge(self.seen, register, floor, rows[0][0], "two rows");
        Ok(())
    }

    /// One reply that depends on both tables.
    fn joined(&mut self) -> Result<()> {
        let pair = self.random.index(PAIRS);
        let register = COUNTERS + pair;
        let floors = (self.history.floor(pair), self.history.floor(register));
        let sql = format!(
            "SELECT c.n, l.n, r.n FROM counter c JOIN pair l ON l.id = c.k AND l.side = 0 \
             JOIN pair r ON r.id = c.k AND r.side = 1 WHERE c.k = {pair}"
        );
        let rows = numbers(&self.run(&sql)?)?;
        let row = rows.first().filter(|row| row.len() == 3);
        let row = row.ok_or_else(|| anyhow::anyhow!("the join has no row"))?;
        self.history
            .judge(self.seen, pair, floors.0, row[0], "join");
        self.history
            .judge_pair(self.seen, register, row[1], row[2], "join");
        self.history
            .judge(self.seen, register, floors.1, row[1], "join");
        Ok(())
    }

    /// What a trigger wrote.
    fn echo(&mut self) -> Result<()> {
        let voice = self.random.index(VOICES);
        let register = voice_register(voice);
        let floor = self.history.floor(register);
        let answer = self.run(&format!("SELECT n FROM echo WHERE k = {voice}"))?;
        self.history
            .judge(self.seen, register, floor, number(&answer)?, "echo");
        Ok(())
    }

    /// A table and what its trigger wrote, in one reply.
    fn echoed(&mut self) -> Result<()> {
        let voice = self.random.index(VOICES);
        let register = voice_register(voice);
        let floor = self.history.floor(register);
        let sql = format!("SELECT v.n, e.n FROM voice v JOIN echo e USING (k) WHERE k = {voice}");
        let rows = numbers(&self.run(&sql)?)?;
        let row = rows.first().filter(|row| row.len() == 2);
        let row = row.ok_or_else(|| anyhow::anyhow!("the join has no row"))?;
        let values = (row[0], row[1]);
        self.history
            .judge_same(self.seen, register, values, "what a trigger wrote");
        self.history
            .judge(self.seen, register, floor, row[0], "join with its echo");
        Ok(())
    }
}
