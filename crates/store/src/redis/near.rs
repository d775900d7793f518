//! Replies kept in this process, and whether they may be served without asking Redis.
//!
//! A reply comes here from Redis, after a lookup that compared its stamp. It is served as long as
//! nothing it depends on has been *touched* since before that lookup was sent, and the lease of its
//! database has not run out. What it depends on is what its stamp cites, by the rules of every
//! store: a reply that lacks no row does without a last `Insert` ([`cache::suffices`]). The touches
//! are counted in stripes that scopes share: a stripe that was touched for the sake of another scope
//! costs a lookup in Redis, and no more.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use cache::{CacheKey, Entry, Refresh, Scope, Scopes, Version};
use quick_cache::{Lifecycle, Weighter, sync::Cache};
use smallvec::SmallVec;

use super::{clock, database::Database, value::Stored};
use crate::{
    Age, Limits, Question, Status,
    lease::{Action, Moment},
    limits::RECORD_BYTES,
};

/// All replies of this process, bounded in bytes.
#[derive(Debug)]
pub(super) struct Near {
    replies: Cache<CacheKey, Arc<Record>, Weight, foldhash::fast::RandomState, Evictions>,
    stripes: Box<[AtomicU64]>,
    evictions: Arc<AtomicU64>,
    hits: AtomicU64,
    lost: AtomicU64,
}

/// What the replies of one database have in common.
#[derive(Debug, Default)]
pub(super) struct Ward {
    /// Until when they may be served, in nanoseconds of [`clock::now`].
    until: AtomicU64,
    /// How often all of them were forgotten.
    forgotten: AtomicU64,
}

/// How often what a reply depends on had been touched before it was asked for.
#[derive(Debug)]
pub(super) struct Touches {
    asked: Moment,
    forgotten: u64,
    /// Those of the epoch and of each scope of the question, in its order.
    stripes: SmallVec<[(Stripe, u64); 4]>,
}

/// A place where touches of some scopes are counted.
pub(super) type Stripe = u16;

#[derive(Debug)]
struct Record {
    entry: Entry,
    epoch: Version,
    /// What its stamp cites besides the epoch, in the order of the question.
    scopes: Scopes,
    database: Arc<Database>,
    /// As many as are cited.
    before: Touches,
    /// How old it was at most when it was asked for.
    age: Duration,
    /// For how long it is fresh.
    fresh: Duration,
    /// What the rules said when it was recorded.
    ttl: Duration,
}

impl Record {
    fn age_at(&self, now: Moment) -> Duration {
        self.age
            .saturating_add(clock::between(self.before.asked, now))
    }
}

impl Near {
    pub(super) fn new(limits: &Limits) -> Self {
        let evictions = Arc::new(AtomicU64::new(0));
        Self {
            replies: Cache::with_options(
                limits.options(),
                Weight,
                foldhash::fast::RandomState::default(),
                Evictions(Arc::clone(&evictions)),
            ),
            stripes: std::iter::repeat_with(AtomicU64::default)
                .take(1 << Stripe::BITS)
                .collect(),
            evictions,
            hits: AtomicU64::new(0),
            lost: AtomicU64::new(0),
        }
    }

    /// A reply that may be served now.
    pub(super) fn look_up(&self, question: &Question<'_>) -> Option<Entry> {
        let (record, now) = self.find(question)?;
        let young = record.age_at(now) < record.fresh && record.ttl <= question.ttl;
        young.then(|| self.serve(&record))
    }

    /// The same for one that is renewed, and how old it is if it should be.
    pub(super) fn look_up_aging(
        &self,
        question: &Question<'_>,
        refresh: &Refresh,
    ) -> Option<(Entry, Option<Age>)> {
        let (record, now) = self.find(question)?;
        let ages = refresh.ages(record.fresh.min(question.ttl));
        let age = Age::of(record.age_at(now), &ages)?;
        Some((self.serve(&record), age))
    }

    /// A reply that holds now, whatever its age.
    ///
    /// The lease is looked at before the touches, and both here and where they change all accesses
    /// are ordered: whoever sees a lease that was renewed sees what was forgotten before. So at the
    /// moment of the look at the clock no mark was in effect that this reply would contradict.
    fn find(&self, question: &Question<'_>) -> Option<(Arc<Record>, Moment)> {
        let record = self.replies.get(question.key)?;
        let until = record.database.ward.until.load(Ordering::SeqCst);
        let now = clock::now();
        let holds = now.0 < until
            && self.are_untouched(&record)
            && record.epoch == question.epoch
            && record.database.id == question.database
            && question.scopes.starts_with(&record.scopes)
            && cache::suffices(record.scopes.len(), question.scopes);
        holds.then_some((record, now))
    }

    fn serve(&self, record: &Record) -> Entry {
        self.hits.fetch_add(1, Ordering::Relaxed);
        record.entry.clone()
    }

    /// Forgets a reply that is replaced by another.
    pub(super) fn remove(&self, key: &CacheKey) {
        self.replies.remove(key);
    }

    fn are_untouched(&self, record: &Record) -> bool {
        let Touches {
            forgotten, stripes, ..
        } = &record.before;
        record.database.ward.forgotten.load(Ordering::SeqCst) == *forgotten
            && stripes
                .iter()
                .all(|&(stripe, seen)| self.count(stripe) == seen)
    }

    /// The touches so far, to be taken before a lookup is sent; `None` if nothing may be served.
    pub(super) fn touches(&self, database: &Database, scopes: &[Scope]) -> Option<Touches> {
        let asked = clock::now();
        let ward = &database.ward;
        (asked.0 < ward.until.load(Ordering::SeqCst)).then(|| Touches {
            asked,
            forgotten: ward.forgotten.load(Ordering::SeqCst),
            stripes: database
                .scopes(scopes)
                .map(|scope| database.keys.stripe(scope))
                .map(|stripe| (stripe, self.count(stripe)))
                .collect(),
        })
    }

    /// Keeps what a lookup has found, and how old it was at most when that was sent.
    pub(super) fn keep(
        &self,
        question: &Question<'_>,
        (database, mut before): (&Arc<Database>, Touches),
        stored: &Stored,
        age: Duration,
    ) {
        let entry = &stored.entry;
        let Some((&epoch, cited)) = stored.stamp.versions().split_first() else {
            return;
        };
        let Some(scopes) = question.scopes.get(..cited.len()) else {
            return;
        };
        before.stripes.truncate(1 + cited.len());
        let (description, complete) = entry.offsets();
        // It shares a buffer with whatever else arrived, which would be kept with it.
        let frames = Bytes::copy_from_slice(entry.frames());
        let Ok(entry) = Entry::new(frames, description, complete, entry.rows()) else {
            return;
        };
        let record = Record {
            entry,
            epoch,
            scopes: scopes.into(),
            database: Arc::clone(database),
            before,
            age,
            fresh: stored.fresh.min(stored.ttl),
            ttl: stored.ttl,
        };
        self.replies.insert(*question.key, Arc::new(record));
    }

    /// Touches scopes of one database.
    pub(super) fn touch(&self, database: &Database, scopes: impl Iterator<Item = Scope>) {
        self.touch_stripes(scopes.map(|scope| database.keys.stripe(scope)));
    }

    fn touch_stripes(&self, stripes: impl Iterator<Item = Stripe>) {
        for stripe in stripes {
            if let Some(count) = self.stripes.get(usize::from(stripe)) {
                count.fetch_add(1, Ordering::SeqCst);
            }
        }
    }

    fn count(&self, stripe: Stripe) -> u64 {
        self.stripes
            .get(usize::from(stripe))
            .map_or(0, |count| count.load(Ordering::SeqCst))
    }

    /// Does what a holder says, in its order. `stripes` are those of the mark that was heard of;
    /// none stands for all.
    pub(super) fn perform(&self, ward: &Ward, actions: &[Action], stripes: &[Stripe]) {
        for action in actions {
            match action {
                Action::Touch if !stripes.is_empty() => {
                    self.touch_stripes(stripes.iter().copied());
                }
                Action::Touch | Action::Forget => ward.forget(),
                Action::Serve(until) => ward.until.store(until.0, Ordering::SeqCst),
            }
        }
    }

    /// Notes that a lease ran out, or was taken away, before it was renewed.
    pub(super) fn note_lost(&self) {
        self.lost.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn report(&self, status: &mut Status) {
        status.entries = Some(self.replies.len() as u64);
        status.bytes = Some(self.replies.weight());
        status.evictions = self.evictions.load(Ordering::Relaxed);
        status.near_hits = self.hits.load(Ordering::Relaxed);
        status.leases_lost = self.lost.load(Ordering::Relaxed);
    }
}

impl Ward {
    /// Forgets all replies of the database.
    pub(super) fn forget(&self) {
        self.forgotten.fetch_add(1, Ordering::SeqCst);
    }

    /// Whether a lease has run out since the last call. Only for who alone grants time here.
    pub(super) fn has_lapsed(&self) -> bool {
        let until = self.until.load(Ordering::SeqCst);
        let lapsed = until != 0 && until <= clock::now().0;
        if lapsed {
            self.until.store(0, Ordering::SeqCst);
        }
        lapsed
    }
}

/// Weighs a record by the memory it takes.
#[derive(Clone, Copy, Debug)]
struct Weight;

impl Weighter<CacheKey, Arc<Record>> for Weight {
    fn weight(&self, _: &CacheKey, record: &Arc<Record>) -> u64 {
        let scopes = record.scopes.len() * SCOPE_BYTES;
        (record.entry.len() + scopes) as u64 + RECORD_BYTES
    }
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

/// What a scope takes in a record: itself and its stripe.
const SCOPE_BYTES: usize = 64;
