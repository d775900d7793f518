//! Rows that come and go under the same keys, and change places.
//!
//! Each slot is one register: even values are those of its row, odd ones say that there is none.
//! Only one session writes a slot, so that it knows what comes next.

use anyhow::{Context, Result, ensure};

use super::{SLOTS, Session, numbers, slot_register};

impl Session<'_> {
    /// One write to the slots of this session.
    pub(super) fn write_slot(&mut self) -> Result<()> {
        let writers = self.load.writers;
        let (one, other) = (self.number % SLOTS, (self.number + writers) % SLOTS);
        let mine = writers * 2 <= SLOTS;
        let slot = if mine && self.random.below(2) == 0 {
            other
        } else {
            one
        };
        if self.number >= SLOTS {
            return Ok(());
        }
        match self.random.below(6) {
            0 if mine && one != other => self.swap(one, other),
            1 => self.replace(slot),
            2 | 3 => self.update(slot),
            _ => self.come_or_go(slot),
        }
    }

    fn value(&self, slot: usize) -> i64 {
        self.history.floor(slot_register(slot))
    }

    /// A statement that brings a slot to its next value.
    fn step(&mut self, slot: usize, steps: i64, sql: &[String]) -> Result<()> {
        let register = slot_register(slot);
        let floor = self.history.begin(register, steps);
        match sql {
            [one] if self.random.below(2) == 0 => self.extended(one, &[]).map(drop)?,
            [one] => self.run(one).map(drop)?,
            several => self.in_a_block(several)?,
        }
        self.history
            .acknowledge(self.seen, register, floor, floor + steps);
        Ok(())
    }

    fn in_a_block(&mut self, sql: &[String]) -> Result<()> {
        self.run("BEGIN")?;
        for sql in sql {
            self.run(sql)?;
        }
        self.run("COMMIT").map(drop)
    }

    fn come_or_go(&mut self, slot: usize) -> Result<()> {
        let next = self.value(slot) + 1;
        if next % 2 == 1 {
            return self.step(slot, 1, &[format!("DELETE FROM slot WHERE k = {slot}")]);
        }
        let sql = match self.random.below(3) {
            0 => format!("INSERT INTO slot VALUES ({slot}, {next})"),
            // Its key is nobody's business but the server's.
            1 => format!("INSERT INTO slot (k, n) SELECT {slot}, {next}"),
            _ => format!(
                "INSERT INTO slot VALUES ({slot}, {next}) ON CONFLICT (k) DO UPDATE SET n = excluded.n"
            ),
        };
        self.step(slot, 1, &[sql])
    }

    fn update(&mut self, slot: usize) -> Result<()> {
        let next = self.value(slot) + 2;
        if next % 2 == 1 {
            return self.come_or_go(slot);
        }
        let sql = format!("UPDATE slot SET n = {next} WHERE k = {slot}");
        self.step(slot, 2, &[sql])
    }

    /// Another row under the same key, in one transaction.
    fn replace(&mut self, slot: usize) -> Result<()> {
        let next = self.value(slot) + 2;
        if next % 2 == 1 {
            return self.come_or_go(slot);
        }
        let sql = [
            format!("UPDATE slot SET k = {} WHERE k = {slot}", slot + 1000),
            format!("INSERT INTO slot SELECT {slot}, {next}"),
            format!("DELETE FROM slot WHERE k = {}", slot + 1000),
        ];
        self.step(slot, 2, &sql)
    }

    /// Two rows change places.
    fn swap(&mut self, one: usize, other: usize) -> Result<()> {
        let (first, second) = (self.value(one) + 2, self.value(other) + 2);
        if first % 2 == 1 || second % 2 == 1 {
            return self.come_or_go(one);
        }
        let floors = [one, other].map(|slot| self.history.begin(slot_register(slot), 2));
        self.in_a_block(&[
            format!("UPDATE slot SET k = {} WHERE k = {one}", one + 1000),
            format!("UPDATE slot SET k = {one}, n = {first} WHERE k = {other}"),
            format!(
                "UPDATE slot SET k = {other}, n = {second} WHERE k = {}",
                one + 1000
            ),
        ])?;
        for (slot, floor) in [one, other].into_iter().zip(floors) {
            self.history
                .acknowledge(self.seen, slot_register(slot), floor, floor + 2);
        }
        Ok(())
    }

    /// One read of slots: of one, of two, or of all.
    pub(super) fn read_slots(&mut self) -> Result<()> {
        let slot = self.random.index(SLOTS);
        let next = (slot + 1) % SLOTS;
        let (asked, sql) = match self.random.below(4) {
            0 => (
                vec![slot],
                format!("SELECT k, n FROM slot WHERE k = {slot}"),
            ),
            1 => (
                vec![slot, next],
                format!("SELECT k, n FROM slot WHERE k IN ({slot}, {next}) ORDER BY n"),
            ),
            2 => (
                (0..SLOTS).collect(),
                "SELECT k, n FROM slot ORDER BY k".to_owned(),
            ),
            _ => (vec![slot], "SELECT k, n FROM slot WHERE k = $1".to_owned()),
        };
        let floors: Vec<_> = asked.iter().map(|&slot| self.value(slot)).collect();
        let answer = if sql.contains('$') {
            self.extended(&sql, &[&slot.to_string()])?
        } else {
            self.run(&sql)?
        };
        let rows = numbers(&answer)?;
        for (slot, floor) in asked.into_iter().zip(floors) {
            let key = i64::try_from(slot)?;
            let mut found = rows.iter().filter(|row| row.first() == Some(&key));
            let (register, how) = (slot_register(slot), format!("{sql:?}"));
            match found.next() {
                Some(row) => {
                    let value = *row.get(1).context("no value")?;
                    self.history.judge(self.seen, register, floor, value, &how);
                }
                None => self.history.judge_absent(self.seen, register, floor, &how),
            }
            ensure!(found.next().is_none(), "two rows under {slot}");
        }
        Ok(())
    }
}
