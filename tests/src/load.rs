//! Writers and readers that together make a [`History`].

mod loss;
mod read;
mod slot;
mod write;

use std::{
    net::SocketAddr,
    sync::atomic::Ordering,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};

use crate::{
    history::{History, Seen},
    postgres::Database,
    random::Random,
    wire::{Answer, Conn, Login},
};

/// Rows of `counter`; each is one register.
pub const COUNTERS: usize = 8;
/// Pairs of rows of `pair`; each is one register after those of the counters.
pub const PAIRS: usize = 4;
/// Keys of `slot`; each is one register after those of the pairs.
pub const SLOTS: usize = 8;
/// Rows of `voice`, which a trigger repeats in `echo`; each is one register after those of the slots.
pub const VOICES: usize = 4;
/// All registers.
pub const REGISTERS: usize = COUNTERS + PAIRS + SLOTS + VOICES;

/// The register of a slot.
const fn slot_register(slot: usize) -> usize {
    COUNTERS + PAIRS + slot
}

/// The register of a voice.
const fn voice_register(voice: usize) -> usize {
    COUNTERS + PAIRS + SLOTS + voice
}

/// Tables of the load.
const SCHEMA: &str = "
CREATE TABLE counter (k int PRIMARY KEY, n bigint NOT NULL);
CREATE TABLE pair (id int, side int, n bigint NOT NULL, PRIMARY KEY (id, side));
CREATE TABLE slot (k int PRIMARY KEY, n bigint NOT NULL);
INSERT INTO slot SELECT k, 0 FROM generate_series(0, 7) k;
INSERT INTO counter SELECT k, 0 FROM generate_series(0, 7) k;
INSERT INTO pair SELECT id, side, 0 FROM generate_series(0, 3) id, generate_series(0, 1) side;
CREATE TABLE voice (k int PRIMARY KEY, n bigint NOT NULL);
CREATE TABLE echo (k int PRIMARY KEY, n bigint NOT NULL);
INSERT INTO voice SELECT k, 0 FROM generate_series(0, 3) k;
INSERT INTO echo SELECT k, 0 FROM generate_series(0, 3) k;
CREATE FUNCTION repeat_voice() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN UPDATE echo SET n = NEW.n WHERE k = NEW.k; RETURN NULL; END $$;
CREATE TRIGGER repeat_voice AFTER UPDATE ON voice FOR EACH ROW EXECUTE FUNCTION repeat_voice();
CREATE FUNCTION increment(int) RETURNS bigint LANGUAGE sql AS
$$ UPDATE counter SET n = n + 1 WHERE k = $1 RETURNING n $$;
CREATE PROCEDURE increment(k int, INOUT n bigint) LANGUAGE plpgsql AS
$$ BEGIN n := increment(k); COMMIT; END $$;
";

/// Who writes and reads, where, and for how long.
#[derive(Clone, Debug)]
pub struct Load {
    /// Instances; sessions are dealt out in turn.
    pub instances: Vec<SocketAddr>,
    /// The database.
    pub database: String,
    /// Sessions that write.
    pub writers: usize,
    /// Sessions that read.
    pub readers: usize,
    /// How long a writer rests between writes; longer rests leave room for hits.
    pub rest: Duration,
    /// For how long.
    pub duration: Duration,
    /// Where the choices come from.
    pub seed: u64,
    /// Connections may be lost: sessions come back, perhaps through another instance, and a write
    /// that was not acknowledged may or may not have happened.
    pub faults: bool,
}

/// Creates the tables.
pub fn prepare(database: &Database) -> Result<()> {
    database.connect()?.run(SCHEMA).map(|_| ())
}

impl Load {
    /// Runs it, and `meanwhile` beside it; the longer of the two decides when it ends.
    pub fn run(&self, meanwhile: impl FnOnce(&History) -> Result<()>) -> Result<History> {
        let history = History::new(REGISTERS);
        let outcome = thread::scope(|scope| {
            for number in 0..self.writers + self.readers {
                let history = &history;
                scope.spawn(move || self.session(number, history));
            }
            let end = Instant::now() + self.duration;
            let outcome = meanwhile(&history);
            while outcome.is_ok() && Instant::now() < end && !history.stopped() {
                thread::sleep(Duration::from_millis(50));
            }
            history.stop();
            outcome
        });
        outcome?;
        Ok(history)
    }

    fn session(&self, number: usize, history: &History) {
        let writes = number < self.writers;
        let name = format!("{} {number}", if writes { "writer" } else { "reader" });
        let mut random = Random::new(self.seed ^ ((number as u64) << 32));
        let mut seen = Seen::new(name.clone(), REGISTERS);
        let mut turn = number;
        while !history.stopped() {
            let address = self.instances[turn % self.instances.len()];
            let lost = loss::connect(address, &Login::to(&self.database)).and_then(|conn| {
                let mut session = Session {
                    conn,
                    random: &mut random,
                    seen: &mut seen,
                    history,
                    number,
                    load: self,
                };
                session.work(writes)
            });
            turn += 1;
            let Err(error) = lost else { continue };
            if !self.faults || !loss::is(&error) {
                history.client_error(&name, &error);
                return history.stop();
            }
            history.losses.fetch_add(1, Ordering::Relaxed);
            thread::sleep(RETRY);
        }
    }
}

/// One session of the load.
struct Session<'a> {
    conn: Conn,
    random: &'a mut Random,
    seen: &'a mut Seen,
    history: &'a History,
    number: usize,
    load: &'a Load,
}

impl Session<'_> {
    /// Works until the run ends, or until the session has been long enough with this instance.
    fn work(&mut self, writes: bool) -> Result<()> {
        if writes && self.load.faults {
            self.settle()?;
        }
        self.prepare()?;
        while !self.history.stopped() && !self.moves() {
            if writes {
                self.write()?;
                self.read()?;
                thread::sleep(self.load.rest);
            } else {
                self.read()?;
                if self.random.below(2) == 0 {
                    thread::sleep(READER_REST);
                }
            }
        }
        Ok(())
    }

    /// Whether it is time to leave for the next instance: who has lost one comes back to it so.
    fn moves(&mut self) -> bool {
        self.load.faults && self.random.below(STAY) == 0
    }

    /// The whole answer to a simple query that must succeed.
    fn run(&mut self, sql: &str) -> Result<Answer> {
        let answer = self.conn.query(sql)?;
        loss::whole(answer).with_context(|| sql.to_owned())
    }

    /// The same by the extended protocol.
    fn extended(&mut self, sql: &str, parameters: &[&str]) -> Result<Answer> {
        let answer = self.conn.extended(sql, parameters)?;
        loss::whole(answer).with_context(|| sql.to_owned())
    }
}

/// How many statements a session stays with an instance, on average, where there are faults.
const STAY: u64 = 500;

/// What a reader rests after half of its reads, so that it leaves writers time on a small machine.
const READER_REST: Duration = Duration::from_millis(1);

/// The pause before a lost session comes back.
const RETRY: Duration = Duration::from_millis(50);

/// The numbers of one answer, row by row.
fn numbers(answer: &Answer) -> Result<Vec<Vec<i64>>> {
    let number = |value: Option<String>| Ok(value.context("NULL")?.parse()?);
    answer
        .rows()
        .into_iter()
        .map(|row| row.into_iter().map(number).collect())
        .collect()
}

/// The first number of the first row.
fn number(answer: &Answer) -> Result<i64> {
    let rows = numbers(answer)?;
    rows.first()
        .and_then(|row| row.first())
        .copied()
        .context("no row")
}
