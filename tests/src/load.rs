//! Writers and readers that together make a [`History`].

mod read;
mod slot;
mod write;

use std::{
    net::SocketAddr,
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
/// All registers.
pub const REGISTERS: usize = COUNTERS + PAIRS + SLOTS;

/// The register of a slot.
const fn slot_register(slot: usize) -> usize {
    COUNTERS + PAIRS + slot
}

/// Tables of the load.
const SCHEMA: &str = "
CREATE TABLE counter (k int PRIMARY KEY, n bigint NOT NULL);
CREATE TABLE pair (id int, side int, n bigint NOT NULL, PRIMARY KEY (id, side));
CREATE TABLE slot (k int PRIMARY KEY, n bigint NOT NULL);
INSERT INTO slot SELECT k, 0 FROM generate_series(0, 7) k;
INSERT INTO counter SELECT k, 0 FROM generate_series(0, 7) k;
INSERT INTO pair SELECT id, side, 0 FROM generate_series(0, 3) id, generate_series(0, 1) side;
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
        let address = self.instances[number % self.instances.len()];
        if let Err(error) = self.work(number, writes, address, name.clone(), history) {
            history.client_error(&name, &error);
            history.stop();
        }
    }

    fn work(
        &self,
        number: usize,
        writes: bool,
        address: SocketAddr,
        name: String,
        history: &History,
    ) -> Result<()> {
        let mut session = Session {
            conn: Conn::connect(address, &Login::to(&self.database))?,
            random: Random::new(self.seed ^ ((number as u64) << 32)),
            seen: Seen::new(name, REGISTERS),
            history,
            number,
            writers: self.writers,
        };
        session.prepare()?;
        while !history.stopped() {
            if writes {
                session.write()?;
                session.read()?;
                thread::sleep(self.rest);
            } else {
                session.read()?;
            }
        }
        Ok(())
    }
}

/// One session of the load.
struct Session<'a> {
    conn: Conn,
    random: Random,
    seen: Seen,
    history: &'a History,
    number: usize,
    writers: usize,
}

/// The numbers of one answer, row by row; an error is a failure of the whole run.
fn numbers(answer: &Answer) -> Result<Vec<Vec<i64>>> {
    if let Some(error) = answer.0.iter().find(|message| message.tag == b'E') {
        anyhow::bail!("the client saw {error:?}");
    }
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
