//! The store in this process.
//!
//! Invariant: a record is served only while each of its cells shows the token that the reply was
//! recorded under. Tokens are never used twice, so no order of events brings a record back.
//!
//! A hit reads one map and one atomic per scope: a record holds its cells, and never asks where
//! they are. Writers meet readers only there.

mod cells;
mod tokens;

use std::{
    collections::hash_map::RandomState,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use cache::{CacheKey, Entry, Refresh, Scope, Stamp, Version};
use catalog::DatabaseId;
use quick_cache::{Lifecycle, Weighter, sync::Cache};
use smallvec::SmallVec;

use crate::{
    Age, Epoch, Fill, Found, Limits, Question, State, Status, Trouble, limits::RECORD_BYTES,
    status::Troubles,
};
use cells::{Cell, Cells};
use tokens::{Token, Tokens};

/// Replies and versions in this process, bounded in bytes.
#[derive(Debug)]
pub struct Memory {
    replies: Cache<CacheKey, Arc<Record>, Bytes, foldhash::fast::RandomState, Evictions>,
    cells: Cells,
    tokens: Arc<Tokens>,
    limits: Limits,
    evictions: Arc<AtomicU64>,
    troubles: Troubles,
}

/// A reply, what it was recorded under, and when.
#[derive(Debug)]
struct Record {
    entry: Entry,
    recorded: Instant,
    ttl: Duration,
    /// The epoch first, then the scopes in the order of the question.
    stamp: Cited,
}

impl Record {
    fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.recorded)
    }
}

/// Cells, and what each of them showed.
type Cited = SmallVec<[(Arc<Cell>, Token); 4]>;

impl Memory {
    /// An empty store.
    pub fn new(limits: Limits) -> Self {
        let evictions = Arc::new(AtomicU64::new(0));
        let tokens = Arc::new(Tokens::seeded(&RandomState::new()));
        Self {
            replies: Cache::with_options(
                limits.options(),
                Bytes,
                foldhash::fast::RandomState::default(),
                Evictions(Arc::clone(&evictions)),
            ),
            cells: Cells::default(),
            tokens,
            limits,
            evictions,
            troubles: Troubles::default(),
        }
    }

    pub(crate) fn look_up(&self, question: &Question<'_>) -> Found {
        self.look_up_at(question, Instant::now())
    }

    fn look_up_at(&self, question: &Question<'_>, now: Instant) -> Found {
        if let Some(record) = self.replies.get(question.key)
            && record.age(now) < record.ttl.min(question.ttl)
            && self.answers(&record, question)
        {
            return Found::Hit(record.entry.clone());
        }
        self.stamp(question)
    }

    pub(crate) fn look_up_aging(
        &self,
        question: &Question<'_>,
        refresh: &Refresh,
    ) -> (Found, Option<Age>) {
        self.look_up_aging_at(question, refresh, Instant::now())
    }

    /// Age alone is forgiven: the versions must be those of the record whatever its age.
    fn look_up_aging_at(
        &self,
        question: &Question<'_>,
        refresh: &Refresh,
        now: Instant,
    ) -> (Found, Option<Age>) {
        if let Some(record) = self.replies.get(question.key) {
            let ages = refresh.ages(record.ttl.min(question.ttl));
            if let Some(age) = Age::of(record.age(now), &ages)
                && self.answers(&record, question)
            {
                return (Found::Hit(record.entry.clone()), age);
            }
        }
        (self.stamp(question), None)
    }

    /// Whether a record may be served for a question, as far as its age goes: about the same
    /// scopes, and each of them as it was.
    fn answers(&self, record: &Record, question: &Question<'_>) -> bool {
        let Some(((epoch, seen), cells)) = record.stamp.split_first() else {
            return false;
        };
        epoch.scope() == Scope::Epoch(question.database)
            && epoch.current() == Some(*seen)
            && self.tokens.version(*seen) == question.epoch
            && cache::suffices(cells.len(), question.scopes)
            && cells
                .iter()
                .zip(question.scopes)
                .all(|((cell, seen), &scope)| {
                    cell.scope() == scope && cell.current() == Some(*seen)
                })
    }

    /// What a reply may be recorded under, if its query leaves from now on.
    ///
    /// The versions are read one after the other. If one changes meanwhile the stamp never holds,
    /// because it holds only while all of them are current at once.
    pub(crate) fn stamp(&self, question: &Question<'_>) -> Found {
        let Some(epoch) = self.epoch(question.database) else {
            return Found::InFlight;
        };
        if epoch != question.epoch {
            return Found::Outdated;
        }
        let mut versions: SmallVec<[_; 4]> = SmallVec::from_iter([epoch]);
        let current = question.scopes.iter().map(|&scope| self.version(scope));
        versions.extend(current.map_while(|version| version));
        if cache::suffices(versions.len() - 1, question.scopes) {
            Found::Miss(Stamp::new(versions))
        } else {
            Found::InFlight
        }
    }

    pub(crate) fn epoch(&self, database: DatabaseId) -> Option<Version> {
        self.version(Scope::Epoch(database))
    }

    pub(crate) fn drops(&self, database: DatabaseId) -> Option<Version> {
        self.version(Scope::Drops(database))
    }

    pub(crate) fn peek(&self, database: DatabaseId) -> Epoch {
        let scope = Scope::Epoch(database);
        let seen = self.cells.with(scope, &self.tokens, |cell| cell.peek());
        match seen.map(|(token, current)| (self.tokens.version(token), current)) {
            Some((version, true)) => Epoch::Current(version),
            Some((version, false)) => Epoch::Written(version),
            None => Epoch::Passed,
        }
    }

    fn version(&self, scope: Scope) -> Option<Version> {
        let token = self.cells.with(scope, &self.tokens, Cell::current)?;
        Some(self.tokens.version(token))
    }

    pub(crate) fn mark(&self, scopes: &[Scope]) -> Hold {
        let cells = scopes.iter().map(|&scope| {
            self.cells.with(scope, &self.tokens, |cell| {
                cell.mark();
                Arc::clone(cell)
            })
        });
        Hold {
            cells: cells.collect(),
            tokens: Arc::clone(&self.tokens),
        }
    }

    pub(crate) fn fill(&self, fill: Fill) {
        let taken = fill.stamp.taken();
        if taken.elapsed() < fill.ttl.saturating_add(fill.beyond) {
            self.fill_at(fill, taken);
        }
    }

    fn fill_at(&self, fill: Fill, recorded: Instant) {
        let Fill {
            key,
            database,
            scopes,
            stamp,
            entry,
            ttl,
            beyond: _,
        } = fill;
        let bytes = entry.len() as u64;
        if bytes > self.limits.entry_bytes_max
            || bytes + RECORD_BYTES + CELL_BYTES * rows(scopes.iter())
                > self.replies.shard_capacity()
        {
            return self.troubles.add(Trouble::TooLarge);
        }
        let Some(stamp) = self.cells_of(database, &scopes, &stamp) else {
            return self.troubles.add(Trouble::Outrun);
        };
        let ttl = self.limits.ttl_jitter(ttl, self.tokens.random());
        self.replies.insert(
            key,
            Arc::new(Record {
                entry,
                recorded,
                ttl,
                stamp,
            }),
        );
    }

    /// The cells of a stamp, if it holds. It may cease to hold at once: lookups ask again.
    fn cells_of(&self, database: DatabaseId, scopes: &[Scope], stamp: &Stamp) -> Option<Cited> {
        if stamp.versions().len() != scopes.len() + 1 {
            return None;
        }
        std::iter::once(Scope::Epoch(database))
            .chain(scopes.iter().copied())
            .zip(stamp.versions())
            .map(|(scope, &version)| {
                let seen = self.tokens.token(version)?;
                let cell = self.cells.with(scope, &self.tokens, Arc::clone);
                (cell.current() == Some(seen)).then_some((cell, seen))
            })
            .collect()
    }

    pub(crate) fn status(&self) -> Status {
        let mut status = self.troubles.status(State::Up);
        status.entries = Some(self.replies.len() as u64);
        status.bytes = Some(self.replies.weight());
        status.evictions = self.evictions.load(Ordering::Relaxed);
        status
    }
}

/// Marked cells. Dropped, they get new versions.
#[derive(Debug)]
pub(crate) struct Hold {
    cells: SmallVec<[Arc<Cell>; 4]>,
    tokens: Arc<Tokens>,
}

impl Hold {
    /// Ends the marks; nothing changed.
    pub(crate) fn clear(mut self) {
        for cell in self.cells.drain(..) {
            cell.clear(&self.tokens);
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        for cell in &self.cells {
            cell.bump(&self.tokens);
        }
    }
}

/// Weighs a record by the memory it takes.
#[derive(Clone, Copy, Debug)]
struct Bytes;

impl Weighter<CacheKey, Arc<Record>> for Bytes {
    fn weight(&self, _: &CacheKey, record: &Arc<Record>) -> u64 {
        let cells = record.stamp.iter().map(|(cell, _)| cell.scope());
        record.entry.len() as u64 + RECORD_BYTES + CELL_BYTES * rows(cells)
    }
}

/// How many of these scopes are single rows, whose cells are as many as replies.
fn rows(scopes: impl Iterator<Item = impl std::borrow::Borrow<Scope>>) -> u64 {
    scopes
        .filter(|scope| matches!(scope.borrow(), Scope::Row(..)))
        .count() as u64
}

/// Counts what had to leave.
#[derive(Clone, Debug)]
struct Evictions(Arc<AtomicU64>);

impl Lifecycle<CacheKey, Arc<Record>> for Evictions {
    type RequestState = ();

    fn on_evict(&self, (): &mut (), _: CacheKey, _: Arc<Record>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// What the cell of a row takes besides, and its place among the others, of which half may be
/// unused.
const CELL_BYTES: u64 = 384;

#[cfg(test)]
mod tests;
