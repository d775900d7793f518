//! When Redis is out of reach: how long writers wait for it, and what is not believed afterwards.
//!
//! Writers go on without their marks once nobody serves any more what they are about to outdate:
//! this instance is heard of no longer as a member, so that others have given up everything, and
//! the last leases that were granted before have run out. From the first mark that fails until one
//! arrives its membership is not renewed, or that moment would never come.
//!
//! Where writers need not wait for so long (`GoOn`), others may not notice. What they owe is
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

use super::{OnOutage, clock, line::Line, member, shared::Shared};
use crate::lease::Moment;

/// What is known of it.
#[derive(Debug, Default)]
pub(super) struct Outage {
    /// Since when marks fail; `None` once one has arrived, or the end of one.
    since: Mutex<Option<Instant>>,
    /// When all entries were given up last, in nanoseconds of [`clock::now`].
    doubted: AtomicU64,
    /// When others have surely missed us, in nanoseconds of [`clock::now`].
    missed: AtomicU64,
}

impl Outage {
    /// A mark, or the end of one, has arrived.
    pub(super) fn end(&self) {
        self.since().take();
    }

    /// Whether no mark has arrived since one failed.
    pub(super) fn is_on(&self) -> bool {
        self.since().is_some()
    }

    /// Whether a membership may be renewed by what is sent now, after this moment. If so, it is
    /// counted on that others hear of it.
    pub(super) fn may_renew(&self, sent: Moment) -> bool {
        // What is not sent must not hold anybody up.
        if self.is_on() {
            return false;
        }
        // In this order: who finds that marks fail looks at it afterwards.
        let missed = member::PACE.outlasted(sent).0;
        self.missed.fetch_max(missed, Ordering::SeqCst);
        !self.is_on()
    }

    fn since(&self) -> MutexGuard<'_, Option<Instant>> {
        self.since.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    /// Whether marks have failed for so long that writes go on without them.
    ///
    /// Other instances go on serving while they reach Redis, so an outage is waited out: once, by
    /// those who write when it begins, until the others have missed us. Who need not wait for that
    /// waits out a short one; where replies are kept near, until all leases have run out that Redis
    /// may have granted before.
    pub(super) fn is_out(&self) -> bool {
        let patience = if self.are_leases_possible() {
            OUTAGE_LEASES_MAX
        } else {
            OUTAGE_MAX
        };
        let since = *self.outage.since().get_or_insert_with(Instant::now);
        let missed = Moment(self.outage.missed.load(Ordering::SeqCst));
        since.elapsed() >= patience && (self.on_outage == OnOutage::GoOn || clock::now() >= missed)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_sent_makes_nobody_wait() {
        let outage = Outage::default();
        let missed = || outage.missed.load(Ordering::SeqCst);
        assert!(outage.may_renew(Moment(1)));
        let before = missed();
        outage.since().replace(Instant::now());
        assert!(!outage.may_renew(Moment(1 << 40)));
        assert_eq!(missed(), before);
        outage.end();
        assert!(outage.may_renew(Moment(1 << 40)));
        assert!(missed() > before);
    }
}
