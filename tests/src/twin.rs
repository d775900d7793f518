//! The same bytes to the server and through pgmemo, and the same messages back.
//!
//! A conversation is written once with [`Talk`] and run against both. Only what must differ between
//! two sessions is made equal before the comparison: process ids, cancel keys and positions in the
//! write-ahead log.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail, ensure};

use crate::{
    Pgmemo,
    net::{SOON, eventually},
    postgres::Database,
    wire::{Conn, Format, Frontend, Login, Message},
};

/// How often a conversation runs through pgmemo: cold, then warm.
const RUNS: usize = 3;

#[derive(Clone, Debug)]
enum Step {
    Login(char, Login),
    Send(char, Vec<u8>),
    Until(char, u8),
    End(char),
    Cancel(char),
    AwaitActivity(&'static str),
    Vanish(char),
}

/// A conversation of one or more sessions; the first is `a`.
#[derive(Clone, Debug)]
pub struct Talk {
    who: char,
    pending: Frontend,
    steps: Vec<Step>,
    logins: BTreeMap<char, Login>,
    /// Run before each run of the conversation, on the same way to the server.
    reset: &'static str,
    /// Whether positions in the write-ahead log are made equal.
    hides_positions: bool,
}

impl Default for Talk {
    fn default() -> Self {
        Self::new()
    }
}

impl Talk {
    /// Nothing said yet.
    pub fn new() -> Self {
        Self {
            who: 'a',
            pending: Frontend::new(),
            steps: Vec::new(),
            logins: BTreeMap::new(),
            reset: "",
            hides_positions: false,
        }
    }

    /// These statements bring the data back before each run.
    #[must_use]
    pub const fn reset(mut self, sql: &'static str) -> Self {
        self.reset = sql;
        self
    }

    /// Log positions differ between runs.
    #[must_use]
    pub const fn hide_positions(mut self) -> Self {
        self.hides_positions = true;
        self
    }

    /// From here on this session speaks; it logs in as the superuser unless told otherwise.
    #[must_use]
    pub fn by(mut self, who: char) -> Self {
        self.flush_pending();
        self.who = who;
        self
    }

    /// How the speaking session logs in; the database is that of the test unless it has a name.
    #[must_use]
    pub fn login(mut self, login: Login) -> Self {
        self.logins.insert(self.who, login.clone());
        self.flush_pending();
        self.steps.push(Step::Login(self.who, login));
        self
    }

    /// Says something.
    #[must_use]
    pub fn say(mut self, more: impl FnOnce(Frontend) -> Frontend) -> Self {
        self.pending = more(std::mem::take(&mut self.pending));
        self
    }

    /// A simple query, and its answer.
    #[must_use]
    pub fn query(self, sql: &str) -> Self {
        self.say(|f| f.query(sql)).ready()
    }

    /// Unnamed `Parse`, `Bind`, `Describe`, `Execute`, `Sync`, all text, and their answer.
    #[must_use]
    pub fn extended(self, sql: &str, parameters: &[&str]) -> Self {
        let batch = |f: Frontend| {
            f.parse("", sql, &[])
                .bind("", "", parameters)
                .describe_portal("")
                .execute("", 0)
                .sync()
        };
        self.say(batch).ready()
    }

    /// The same with every result in binary.
    #[must_use]
    pub fn binary(self, sql: &str) -> Self {
        let batch = |f: Frontend| {
            f.parse("", sql, &[])
                .bind_with("", "", &[], &[], &[Format::Binary])
                .describe_portal("")
                .execute("", 0)
                .sync()
        };
        self.say(batch).ready()
    }

    /// Reads up to `ReadyForQuery`.
    #[must_use]
    pub fn ready(self) -> Self {
        self.until(b'Z')
    }

    /// Reads up to a message of this type.
    #[must_use]
    pub fn until(mut self, tag: u8) -> Self {
        self.flush_pending();
        self.steps.push(Step::Until(self.who, tag));
        self
    }

    /// Reads until the server closes the connection.
    #[must_use]
    pub fn until_end(mut self) -> Self {
        self.flush_pending();
        self.steps.push(Step::End(self.who));
        self
    }

    /// Waits until some backend of the database is active and this condition on
    /// `pg_stat_activity` holds.
    #[must_use]
    pub fn await_activity(mut self, condition: &'static str) -> Self {
        self.flush_pending();
        self.steps.push(Step::AwaitActivity(condition));
        self
    }

    /// Cancels what the speaking session runs, from a connection of its own.
    #[must_use]
    pub fn cancel(mut self) -> Self {
        self.flush_pending();
        self.steps.push(Step::Cancel(self.who));
        self
    }

    /// The speaking session closes its socket without a word.
    #[must_use]
    pub fn vanish(mut self) -> Self {
        self.flush_pending();
        self.steps.push(Step::Vanish(self.who));
        self
    }

    fn flush_pending(&mut self) {
        let bytes = std::mem::take(&mut self.pending).into_bytes();
        if !bytes.is_empty() {
            self.steps.push(Step::Send(self.who, bytes));
        }
    }

    /// Runs it directly and through pgmemo, cold, warm, and warm in small pieces.
    pub fn check(mut self, database: &Database, pgmemo: &Pgmemo) -> Result<()> {
        self.flush_pending();
        let expected = self
            .run(database, database.address(), None)
            .context("at the server")?;
        for run in 0..RUNS {
            let piece = (run + 1 == RUNS).then_some(7);
            let found = self.run(database, pgmemo.address(), piece);
            let found = found.with_context(|| format!("through pgmemo, run {run}"))?;
            same(&expected, &found).with_context(|| format!("run {run}"))?;
        }
        Ok(())
    }

    fn run(
        &self,
        database: &Database,
        address: std::net::SocketAddr,
        piece: Option<usize>,
    ) -> Result<Vec<(char, Message)>> {
        if !self.reset.is_empty() {
            Conn::connect(address, &Login::to(database.name()))?.run(self.reset)?;
        }
        let mut run = Run {
            database,
            address,
            piece,
            conns: BTreeMap::new(),
            pids: Vec::new(),
            heard: Vec::new(),
        };
        for (number, step) in self.steps.iter().enumerate() {
            run.perform(step)
                .with_context(|| format!("step {number}: {step:?}"))?;
        }
        let normalise = |(who, message)| (who, self.normal(message, &run.pids));
        Ok(run.heard.into_iter().map(normalise).collect())
    }

    fn normal(&self, mut message: Message, pids: &[u32]) -> Message {
        match message.tag {
            b'K' => message.body.fill(0),
            b'A' => {
                let pid = message.body.get(..4).and_then(|pid| pid.try_into().ok());
                let index = pid
                    .map(u32::from_be_bytes)
                    .and_then(|pid| pids.iter().position(|&known| known == pid));
                if let (Some(index), Some(place)) = (index, message.body.get_mut(..4)) {
                    place.copy_from_slice(&(index as u32).to_be_bytes());
                }
            }
            b'D' if self.hides_positions => message.body = without_positions(&message.body),
            _ => {}
        }
        message
    }
}

struct Run<'a> {
    database: &'a Database,
    address: std::net::SocketAddr,
    piece: Option<usize>,
    conns: BTreeMap<char, Conn>,
    pids: Vec<u32>,
    heard: Vec<(char, Message)>,
}

impl Run<'_> {
    fn perform(&mut self, step: &Step) -> Result<()> {
        match step {
            Step::Login(who, login) => {
                let mut login = login.clone();
                if login.database.is_empty() {
                    login.database = self.database.name().to_owned();
                }
                self.login(*who, &login)?;
            }
            Step::Send(who, bytes) => {
                let piece = self.piece.filter(|_| bytes.len() < 4096);
                let conn = self.conn(*who)?;
                match piece {
                    Some(size) => conn.send_in_pieces(bytes, size)?,
                    None => conn.send(bytes)?,
                }
            }
            Step::Until(who, tag) => {
                let answer = self.conn(*who)?.read_until(*tag)?;
                self.heard
                    .extend(answer.0.into_iter().map(|message| (*who, message)));
            }
            Step::End(who) => {
                while let Some(message) = self.conn(*who)?.try_read()? {
                    self.heard.push((*who, message));
                }
            }
            Step::Cancel(who) => self.conn(*who)?.cancel()?,
            Step::Vanish(who) => drop(self.conns.remove(who)),
            Step::AwaitActivity(condition) => self.await_activity(condition)?,
        }
        Ok(())
    }

    fn conn(&mut self, who: char) -> Result<&mut Conn> {
        if !self.conns.contains_key(&who) {
            self.login(who, &Login::to(self.database.name()))?;
        }
        self.conns.get_mut(&who).context("no such session")
    }

    fn login(&mut self, who: char, login: &Login) -> Result<()> {
        let conn = Conn::greet(self.address, login)?;
        self.pids.extend(conn.cancel_key().map(|(pid, _)| pid));
        self.heard
            .extend(conn.greeting().iter().map(|message| (who, message.clone())));
        self.conns.insert(who, conn);
        Ok(())
    }

    fn await_activity(&self, condition: &str) -> Result<()> {
        let mut control = self.database.connect()?;
        let sql = format!(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = '{}' \
             AND pid <> pg_backend_pid() AND {condition}",
            self.database.name()
        );
        eventually(condition, SOON, || {
            control
                .value(&sql)
                .is_ok_and(|count| count != "0")
                .then_some(())
        })
    }
}

/// Replaces `hex/hex`, as log positions are written, whatever its length.
fn without_positions(body: &[u8]) -> Vec<u8> {
    let row = Message {
        tag: b'D',
        body: body.to_vec(),
    };
    let shown = row.values().into_iter().map(|value| {
        let value = value.unwrap_or_default();
        let mut halves = value.split(|&byte| byte == b'/');
        let is_hex = |half: &[u8]| !half.is_empty() && half.iter().all(u8::is_ascii_hexdigit);
        let position = halves.next().is_some_and(is_hex) && halves.next().is_some_and(is_hex);
        if position {
            b"position".to_vec()
        } else {
            value
        }
    });
    shown.collect::<Vec<_>>().join(&b'|')
}

fn same(expected: &[(char, Message)], found: &[(char, Message)]) -> Result<()> {
    for (index, pair) in expected.iter().zip(found).enumerate() {
        if pair.0 != pair.1 {
            let before: Vec<_> = expected[index.saturating_sub(5)..index].iter().collect();
            bail!(
                "message {index} differs\n  PostgreSQL: {:?}\n  pgmemo:     {:?}\n  before: {before:#?}",
                pair.0,
                pair.1
            );
        }
    }
    ensure!(
        expected.len() == found.len(),
        "{} messages from PostgreSQL, {} from pgmemo; the first that only one sent: {:?}",
        expected.len(),
        found.len(),
        expected
            .get(found.len())
            .or_else(|| found.get(expected.len()))
    );
    Ok(())
}

/// Runs named conversations in a database filled by `fixture`, and fails with all that differ.
///
/// The hits they bring together must be at least `hits`: a proxy that never answers by itself
/// passes every comparison.
pub fn check_all(
    version: crate::Version,
    fixture: &str,
    hits: f64,
    talks: Vec<(&str, Talk)>,
) -> Result<()> {
    let postgres = crate::Postgres::shared(version);
    let database = postgres.database()?;
    database.connect()?.run(fixture)?;
    let pgmemo = Pgmemo::start(postgres, crate::Store::Memory, &[])?;
    let before = pgmemo.metrics()?;
    let count = talks.len();
    let failures: Vec<_> = talks
        .into_iter()
        .filter_map(|(name, talk)| {
            let error = talk.check(&database, &pgmemo).err()?;
            Some(format!("--- {name}\n{error:#}"))
        })
        .collect();
    ensure!(
        failures.is_empty(),
        "{} of {count} conversations differ\n{}",
        failures.len(),
        failures.join("\n")
    );
    pgmemo.expect_hits_since(&before, hits)
}
