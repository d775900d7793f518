//! One database, as this instance knows it.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use arc_swap::ArcSwapOption;
use cache::Scope;
use catalog::DatabaseId;

use super::{
    clock,
    names::{Keys, Token},
    near::Ward,
    verify::{Server, Trust},
};
use crate::lease::Moment;

/// One database, as far as this instance has come with it.
#[derive(Debug)]
pub(super) struct Database {
    pub(super) id: DatabaseId,
    pub(super) keys: Keys,
    /// The server on which it is claimed, as far as we know.
    claimed: ArcSwapOption<Server>,
    /// The generation seen last, and until when nothing is believed that was read under it.
    settling: Mutex<(Option<Token>, Option<Instant>)>,
    /// Until when replies that are kept here may be served.
    pub(super) ward: Ward,
    /// Our name in the ledger, or the last one we had.
    seat: ArcSwapOption<Token>,
    /// The server on which it was last claimed, or first written. Bumps it acknowledged may be
    /// missing on any other.
    last: ArcSwapOption<Server>,
    /// How often all entries had to be given up, and up to where that was done.
    doubts: AtomicU64,
    settled: AtomicU64,
    /// Until when somebody may keep replies near, in nanoseconds of [`clock::now`]; the end of time
    /// while there is a ledger.
    leases: AtomicU64,
    /// Nobody else was a member, when that was seen last.
    alone: AtomicBool,
    /// What a server's clock showed, in Unix milliseconds, before a moment.
    time: Mutex<Option<(Server, i64, Moment)>>,
}

impl Database {
    pub(super) fn new(prefix: &str, id: DatabaseId) -> Self {
        Self {
            id,
            keys: Keys::new(prefix, id),
            claimed: ArcSwapOption::empty(),
            settling: Mutex::default(),
            ward: Ward::default(),
            seat: ArcSwapOption::empty(),
            last: ArcSwapOption::empty(),
            doubts: AtomicU64::new(0),
            settled: AtomicU64::new(0),
            leases: AtomicU64::new(0),
            alone: AtomicBool::new(false),
            time: Mutex::default(),
        }
    }

    /// Whether it is claimed on the server of a verification.
    pub(super) fn is_claimed(&self, trust: &Trust) -> bool {
        !self.is_doubtful(self.doubts()) && self.claimed.load().as_deref() == Some(&trust.server)
    }

    /// Nothing is believed until all entries have been given up.
    pub(super) fn doubt(&self) {
        self.doubts.fetch_add(1, Ordering::SeqCst);
        self.ward.forget();
    }

    /// How often that was said.
    pub(super) fn doubts(&self) -> u64 {
        self.doubts.load(Ordering::SeqCst)
    }

    /// Whether the last of so many doubts is not settled.
    pub(super) fn is_doubtful(&self, doubts: u64) -> bool {
        self.settled.load(Ordering::SeqCst) < doubts
    }

    /// Notes that it is claimed on the server of a verification. All entries that were doubtful
    /// before that was asked for, `doubts` times, are gone.
    pub(super) fn claim(&self, trust: &Trust, doubts: u64) {
        self.settled.fetch_max(doubts, Ordering::SeqCst);
        let server = Some(Arc::new(trust.server));
        self.last.store(server.clone());
        self.claimed.store(server);
    }

    /// Notes what the server's clock has shown before `now`.
    pub(super) fn note_time(&self, trust: &Trust, time: Option<i64>, now: Moment) {
        *self.time.lock().unwrap_or_else(PoisonError::into_inner) =
            time.map(|time| (trust.server, time, now));
    }

    /// What the server's clock shows at a moment, or a little less; `None` if nobody knows.
    pub(super) fn time_at(&self, trust: &Trust, now: Moment) -> Option<i64> {
        let time = *self.time.lock().unwrap_or_else(PoisonError::into_inner);
        let (_, time, seen) = time.filter(|(server, ..)| *server == trust.server)?;
        let passed = clock::between(seen, now) * (1000 - clock::DRIFT_PERMILLE) / 1000;
        time.checked_add(i64::try_from(passed.as_millis()).ok()?)
    }

    /// Notes that it is to be claimed anew.
    pub(super) fn disclaim(&self) {
        self.claimed.store(None);
    }

    /// Whether it was claimed, or written, on another server than that of a verification.
    pub(super) fn has_moved(&self, trust: &Trust) -> bool {
        let last = self.last.load();
        last.as_deref().is_some_and(|last| *last != trust.server)
    }

    /// Whether a generation is so young that writes may be in flight whose marks went with the one
    /// before: what is read from the server now may be older than what somebody has seen already.
    pub(super) fn is_settling(&self, generation: Token) -> bool {
        let mut settling = self.settling.lock().unwrap_or_else(PoisonError::into_inner);
        let (known, until) = &mut *settling;
        if *known != Some(generation) {
            *until = (*until).max(known.map(|_| Instant::now() + SETTLING));
            *known = Some(generation);
        }
        until.is_some_and(|until| Instant::now() < until)
    }

    /// Believes nothing for a while, whatever the generation.
    pub(super) fn settle_for(&self, time: Duration) {
        let mut settling = self.settling.lock().unwrap_or_else(PoisonError::into_inner);
        settling.1 = settling.1.max(Some(Instant::now() + time));
    }

    /// Notes that something is about to be written on the server of a verification. Another one
    /// that was noted before stays: what it acknowledged is still to be given up.
    pub(super) fn used(&self, trust: &Trust) {
        if self.last.load().is_none() {
            let server = Some(Arc::new(trust.server));
            self.last.compare_and_swap(&None::<Arc<Server>>, server);
        }
    }

    /// Notes whether there was a ledger just now. When it has gone, those who were in it go on until
    /// their leases have run out.
    pub(super) fn saw_ledger(&self, there: bool) {
        if there {
            self.leases.store(u64::MAX, Ordering::SeqCst);
            return;
        }
        let until = clock::PACE.outlasted(clock::now()).0 + NOTICED;
        // Only the first look that finds none counts.
        _ = self
            .leases
            .compare_exchange(u64::MAX, until, Ordering::SeqCst, Ordering::SeqCst);
    }

    /// Whether somebody may keep replies near whom Redis does not know of any more.
    pub(super) fn are_leases_possible(&self) -> bool {
        clock::now().0 < self.leases.load(Ordering::SeqCst)
    }

    /// Notes whether there is no other member. Who comes gives the epoch another version before he
    /// looks anything up, so that we find out.
    pub(super) fn note_alone(&self, alone: bool) {
        self.alone.store(alone, Ordering::Relaxed);
    }

    /// Whether there was no other member when that was seen last, as far as we have noticed.
    pub(super) fn is_alone(&self) -> bool {
        self.alone.load(Ordering::Relaxed)
    }

    /// Notes our name in the ledger.
    pub(super) fn seat(&self, member: Token) {
        self.seat.store(Some(Arc::new(member)));
    }

    /// Our name in the ledger, or the last one we had.
    pub(super) fn member(&self) -> Option<Token> {
        self.seat.load().as_deref().copied()
    }

    /// The epoch, then others.
    pub(super) fn scopes(&self, others: &[Scope]) -> impl Iterator<Item = Scope> {
        std::iter::once(Scope::Epoch(self.id)).chain(others.iter().copied())
    }
}

/// How long others may renew leases on a server that is not the one in use any more, in
/// nanoseconds: twice what lies between two looks at a line.
const NOTICED: u64 = 2_000_000_000;

/// How long nothing is recorded after marks may have been lost. Those of writes that take longer
/// are set again when they are renewed.
const SETTLING: Duration = Duration::from_secs(1);
