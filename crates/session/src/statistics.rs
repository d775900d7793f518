//! What is counted of each statement: hits, misses, why it was not looked up, writes.
//!
//! Statements that are shown alike ([`sql::shown`]) are counted together, whatever their context.
//! Invariant: no more of them are kept than was set, and those kept are the ones used most. What the
//! rest did is the difference to [`Telemetry`](crate::Telemetry), which counts everything.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use sql::Reason;

use crate::{Counter, RefusedFill};

/// Statements by what is shown of them.
#[derive(Debug)]
pub struct Statistics {
    /// How many are kept.
    most: usize,
    rows: Mutex<Rows>,
    /// Of statements that nobody has read, and of all where none are kept.
    unread: Arc<Tally>,
}

#[derive(Debug, Default)]
struct Rows {
    by_text: HashMap<Arc<str>, Row, foldhash::fast::RandomState>,
    /// How many there have been.
    born: u64,
}

#[derive(Debug)]
struct Row {
    tally: Arc<Tally>,
    /// Which it was of all.
    born: u64,
    /// How often it had been used when room was made last.
    seen: u64,
    /// How much it was used before that, what is long past counting less.
    past: u64,
}

/// What is counted of one statement.
#[derive(Debug)]
pub struct Tally {
    stripes: [Stripe; STRIPES],
    /// Most statements need none.
    refusals: OnceLock<Box<Refusals>>,
    text: Arc<str>,
    /// It had to make room for others.
    gone: AtomicBool,
}

/// Why a statement was not looked up, and why its replies were not kept.
#[derive(Debug)]
struct Refusals {
    reasons: [Counter; Reason::ALL.len()],
    unkept: [Counter; RefusedFill::ALL.len()],
}

/// What one thread counts, or a few, so that those of many do not wait for each other.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Stripe {
    hits: Counter,
    misses: Counter,
    writes: Counter,
    timed: Counter,
    microseconds: Counter,
}

/// Where a thread counts.
#[derive(Clone, Copy, Debug)]
pub struct Lane(usize);

impl Lane {
    /// That of the thread at hand.
    pub fn here() -> Self {
        static THREADS: AtomicUsize = AtomicUsize::new(0);
        thread_local! {
            static LANE: usize = THREADS.fetch_add(1, Ordering::Relaxed) % STRIPES;
        }
        Self(LANE.with(|lane| *lane))
    }
}

/// Stripes of a tally.
const STRIPES: usize = 4;

/// Of so many uses, one looks whether the statement is still kept.
const LOOKS_EACH: u64 = 256;

/// When room is made, one of so many leaves.
const LEAVES_EACH: usize = 16;

impl Tally {
    fn new(text: Arc<str>) -> Self {
        Self {
            stripes: Default::default(),
            refusals: OnceLock::new(),
            text,
            gone: AtomicBool::new(false),
        }
    }

    /// What is shown of the statement; empty if nobody has read it.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// How often it was answered from the store.
    pub fn hits(&self) -> u64 {
        self.sum(|it| &it.hits)
    }

    /// How often it was looked up in vain.
    pub fn misses(&self) -> u64 {
        self.sum(|it| &it.misses)
    }

    /// How often it was sent to the server to change something.
    pub fn writes(&self) -> u64 {
        self.sum(|it| &it.writes)
    }

    /// How often it was not looked up for this reason.
    pub fn bypasses(&self, reason: Reason) -> u64 {
        let counter = self.refusals.get();
        let counter = counter.and_then(|it| it.reasons.get(reason as usize));
        counter.map_or(0, Counter::value)
    }

    /// How often its reply was not kept for this reason.
    pub fn refused(&self, why: RefusedFill) -> u64 {
        let counter = self.refusals.get();
        let counter = counter.and_then(|it| it.unkept.get(why as usize));
        counter.map_or(0, Counter::value)
    }

    /// Of how many misses the time is known, and all of these together, in microseconds.
    pub fn missed(&self) -> (u64, u64) {
        (self.sum(|it| &it.timed), self.sum(|it| &it.microseconds))
    }

    /// All reasons for which it was not looked up, those given most first.
    pub fn reasons(&self) -> Vec<(Reason, u64)> {
        let counted = Reason::ALL.map(|reason| (reason, self.bypasses(reason)));
        let mut reasons: Vec<_> = counted
            .into_iter()
            .filter(|(_, count)| *count > 0)
            .collect();
        reasons.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        reasons
    }

    /// How often it was seen.
    pub fn calls(&self) -> u64 {
        let bypasses = self.refusals.get().map_or(0, |it| {
            let counts = it.reasons.iter().map(Counter::value);
            counts.sum::<u64>()
        });
        self.hits() + self.misses() + self.writes() + bypasses
    }

    fn sum(&self, counter: impl Fn(&Stripe) -> &Counter) -> u64 {
        self.stripes.iter().map(|it| counter(it).value()).sum()
    }

    fn stripe(&self, Lane(lane): Lane) -> &Stripe {
        let [first, ..] = &self.stripes;
        self.stripes.get(lane).unwrap_or(first)
    }

    /// A miss took the server this long. May be called from any thread.
    pub fn time(&self, microseconds: u64) {
        let stripe = self.stripe(Lane::here());
        stripe.timed.inc();
        stripe.microseconds.add(microseconds);
    }

    /// Its reply was recorded, and is not kept.
    pub fn refuse(&self, why: RefusedFill) {
        if let Some(counter) = self.refusals().unkept.get(why as usize) {
            counter.inc();
        }
    }

    fn refusals(&self) -> &Refusals {
        self.refusals.get_or_init(|| {
            Box::new(Refusals {
                reasons: std::array::from_fn(|_| Counter::default()),
                unkept: Default::default(),
            })
        })
    }

    /// What it takes, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        let refusals = self.refusals.get().map_or(0, |it| size_of_val(&**it));
        size_of::<Self>() + self.text.len() + refusals
    }
}

impl Statistics {
    /// None yet, and never more than `most`.
    pub fn new(most: usize) -> Self {
        Self {
            most,
            rows: Mutex::default(),
            unread: Arc::new(Tally::new("".into())),
        }
    }

    /// What is counted of this text, which is read as the server reads it.
    pub fn of(&self, text: &[u8]) -> Option<Arc<Tally>> {
        if self.most == 0 {
            return None;
        }
        let shown = sql::shown(text);
        let mut rows = self.rows();
        if let Some(row) = rows.by_text.get(&*shown) {
            return Some(Arc::clone(&row.tally));
        }
        let tally = Arc::new(Tally::new(shown.into()));
        rows.put(Arc::clone(&tally), self.most);
        Some(tally)
    }

    /// Those that are kept, and last that of what nobody has read.
    pub fn tallies(&self) -> Vec<Arc<Tally>> {
        let rows = self.rows();
        let kept = rows.by_text.values().map(|row| &row.tally);
        kept.chain([&self.unread]).map(Arc::clone).collect()
    }

    /// It was answered from the store.
    pub fn hit(&self, tally: Option<&Arc<Tally>>, lane: Lane) {
        let tally = tally.unwrap_or(&self.unread);
        let before = tally.stripe(lane).hits.inc_from();
        self.used(tally, before);
    }

    /// It was looked up in vain.
    pub fn miss(&self, tally: Option<&Arc<Tally>>, lane: Lane) {
        let tally = tally.unwrap_or(&self.unread);
        let before = tally.stripe(lane).misses.inc_from();
        self.used(tally, before);
    }

    /// It goes to the server, and may change something there.
    pub fn write(&self, tally: Option<&Arc<Tally>>, lane: Lane) {
        let tally = tally.unwrap_or(&self.unread);
        let before = tally.stripe(lane).writes.inc_from();
        self.used(tally, before);
    }

    /// It is not looked up.
    pub fn bypass(&self, tally: Option<&Arc<Tally>>, reason: Reason) {
        let tally = tally.unwrap_or(&self.unread);
        if let Some(counter) = tally.refusals().reasons.get(reason as usize) {
            self.used(tally, counter.inc_from());
        }
    }

    /// Brings a statement back that is used again.
    fn used(&self, tally: &Arc<Tally>, before: u64) {
        if before % LOOKS_EACH == LOOKS_EACH - 1 && tally.gone.load(Ordering::Relaxed) {
            self.bring_back(tally);
        }
    }

    #[cold]
    fn bring_back(&self, tally: &Arc<Tally>) {
        let mut rows = self.rows();
        // Where another has come in its place, that one is shown.
        if !rows.by_text.contains_key(&tally.text) {
            tally.gone.store(false, Ordering::Relaxed);
            rows.put(Arc::clone(tally), self.most);
        }
    }

    fn rows(&self) -> MutexGuard<'_, Rows> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Rows {
    fn put(&mut self, tally: Arc<Tally>, most: usize) {
        if self.by_text.len() >= most {
            self.make_room((most / LEAVES_EACH).max(1));
        }
        self.born += 1;
        let row = Row {
            born: self.born,
            seen: 0,
            past: 0,
            tally,
        };
        self.by_text.insert(Arc::clone(&row.tally.text), row);
    }

    /// Those leave that were used least, the oldest of them first.
    fn make_room(&mut self, leaving: usize) {
        let used = |row: &mut Row| {
            let calls = row.tally.calls();
            row.past = row.past / 2 + calls.saturating_sub(row.seen);
            row.seen = calls;
            (row.past, row.born, Arc::clone(&row.tally))
        };
        let mut all: Vec<_> = self.by_text.values_mut().map(used).collect();
        all.sort_unstable_by_key(|&(used, born, _)| (used, born));
        for (_, _, tally) in all.into_iter().take(leaving) {
            tally.gone.store(true, Ordering::Relaxed);
            self.by_text.remove(&tally.text);
        }
    }
}

#[cfg(test)]
mod tests;
