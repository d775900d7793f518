//! When Redis is out of reach: how long writers wait for it, and what is not believed afterwards.
//!
//! Writers go on without their marks once an outage has lasted for long enough. What they owe is
//! delivered when Redis is back. If it is the same one, with all that it had before, then whoever
//! asks it first would find entries that those writes have outdated. So an instance for which Redis
//! was away for as long as that gives up all entries before it looks anything up again.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use super::{clock, line::Line, shared::Shared};

/// What is known of it.
#[derive(Debug, Default)]
pub(super) struct Outage {
    /// Since when marks fail; `None` once one has arrived, or the end of one.
    since: Mutex<Option<Instant>>,
    /// When all entries were given up last, in nanoseconds of [`clock::now`].
    doubted: AtomicU64,
}

impl Outage {
    /// A mark, or the end of one, has arrived.
    pub(super) fn end(&self) {
        self.since().take();
    }

    fn since(&self) -> MutexGuard<'_, Option<Instant>> {
        self.since.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    /// Whether marks have failed for so long that writes go on without them.
    ///
    /// Other instances go on serving while they reach Redis, so a short outage is waited out: once,
    /// by those who write when it begins. Where replies are kept near it is waited out until all
    /// leases have run out that Redis may have granted before.
    pub(super) fn is_out(&self) -> bool {
        let patience = if self.are_leases_possible() {
            OUTAGE_LEASES_MAX
        } else {
            OUTAGE_MAX
        };
        let mut since = self.outage.since();
        since.get_or_insert_with(Instant::now).elapsed() >= patience
    }

    /// Gives up all entries before anything is looked up again, if a line that is about to be
    /// believed was out of use for so long that others may have written without marks, had they
    /// fared alike.
    pub(super) fn doubt(&self, line: &Line) {
        let (lost, hung) = line.loss();
        let now = clock::now();
        let long = lost.0 > 0 && clock::between(lost, now) >= OUT_MIN;
        // Another line has come back before, and has been in use since.
        let settled = lost.0 < self.outage.doubted.load(Ordering::Relaxed) && self.line().is_some();
        if !(long || hung) || settled {
            return;
        }
        self.outage.doubted.store(now.0, Ordering::Relaxed);
        for database in self.databases() {
            database.doubt();
        }
    }
}

/// How long writes wait for their marks to arrive when Redis begins to fail.
const OUTAGE_MAX: Duration = Duration::from_millis(400);

/// The same where replies are kept near: as long as a renewal may take, and a lease lasts.
const OUTAGE_LEASES_MAX: Duration = Duration::from_millis(1600);

/// Below what others wait for, by what it takes to notice.
const OUT_MIN: Duration = Duration::from_millis(300);
