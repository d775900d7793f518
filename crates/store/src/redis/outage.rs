//! When Redis is out of reach: how long writers wait for it, and what is not believed afterwards.
//!
//! Writers go on without their marks once nobody serves any more what they are about to outdate:
//! this instance is heard of no longer as a member, so that others have given up everything, and
//! the last leases that were granted before have run out. From the first mark that fails until one
//! arrives its membership is not renewed, or that moment would never come.
//!
//! A mark may fail again and again while others arrive. It too keeps the membership from being
//! renewed, once it has failed for a second, so that its wait ends.
//!
//! Where writers need not wait for so long (`GoOn`), others may not notice. What they owe is
//! delivered when Redis is back. If it is the same one, with all that it had before, then whoever
//! asks it first would find entries that those writes have outdated. So an instance for which Redis
//! was away for as long as that gives up all entries before it looks anything up again.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
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
    /// How many marks have failed for long, whatever else arrives.
    stuck: AtomicUsize,
}

/// What has to be heard and is not, of which it is tried to tell.
#[derive(Debug)]
pub(super) struct Unheard<'a> {
    outage: &'a Outage,
    begun: Instant,
    /// It counts as stuck.
    long: bool,
}

impl Unheard<'_> {
    /// It has failed once more.
    fn failed(&mut self) {
        if !self.long && self.begun.elapsed() >= STUCK {
            self.long = true;
            self.outage.stuck.fetch_add(1, Ordering::SeqCst);
        }
    }
}

impl Drop for Unheard<'_> {
    fn drop(&mut self) {
        if self.long {
            self.outage.stuck.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

impl Outage {
    /// Something begins to be told that has to be heard.
    pub(super) fn begin(&self) -> Unheard<'_> {
        Unheard {
            outage: self,
            begun: Instant::now(),
            long: false,
        }
    }

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
        let fails = || self.is_on() || self.stuck.load(Ordering::SeqCst) > 0;
        if fails() {
            return false;
        }
        // In this order: who finds that marks fail looks at it afterwards.
        let missed = member::PACE.outlasted(sent).0;
        self.missed.fetch_max(missed, Ordering::SeqCst);
        !fails()
    }

    fn since(&self) -> MutexGuard<'_, Option<Instant>> {
        self.since.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    /// Whether a mark has failed for so long, or all have, that writes go on without.
    ///
    /// Other instances go on serving while they reach Redis, so an outage is waited out: once, by
    /// those who write when it begins, until the others have missed us. Who need not wait for that
    /// waits out a short one; where replies are kept near, until all leases have run out that Redis
    /// may have granted before.
    pub(super) fn is_out(&self, unheard: &mut Unheard<'_>) -> bool {
        unheard.failed();
        let patience = if self.are_leases_possible() {
            OUTAGE_LEASES_MAX
        } else {
            OUTAGE_MAX
        };
        let since = *self.outage.since().get_or_insert_with(Instant::now);
        let missed = Moment(self.outage.missed.load(Ordering::SeqCst));
        let failing = since.elapsed().max(unheard.begun.elapsed());
        failing >= patience && (self.on_outage == OnOutage::GoOn || clock::now() >= missed)
    }

    /// Has all lines verified again if one has lost its trust by silence: those that have asked nothing
    /// meanwhile do not know that others may have written without marks.
    pub(super) fn question_others(&self, line: &Line) {
        if line.was_silent() && self.on_outage == OnOutage::GoOn {
            for other in self.lines.all().filter(|other| other.trust().is_some()) {
                other.question();
            }
        }
    }

    /// Gives up all entries before anything is looked up again, if a line that is about to be
    /// believed was out of use for so long that others may have written without marks, had they
    /// fared alike.
    pub(super) fn doubt(&self, line: &Line) {
        let (lost, hung) = line.loss();
        let now = clock::now();
        let long = lost.0 > 0 && clock::between(lost, now) >= OUT_MIN;
        // Another line has come back before, and has been in use since.
        let others = self.line().is_some();
        let settled = lost.0 < self.outage.doubted.load(Ordering::Relaxed) && others;
        // Others do not write without marks before they have been missed, which the lines show that
        // are in use: one thread that had no time for its own is no outage.
        let told = self.on_outage == OnOutage::Wait && others;
        if !(long || hung) || settled || told {
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

/// How long a mark fails before it counts by itself.
const STUCK: Duration = Duration::from_secs(1);

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

    #[test]
    fn a_mark_that_fails_while_others_arrive_is_waited_for_no_longer() {
        let outage = Outage::default();
        let mut unheard = outage.begin();
        unheard.failed();
        assert!(outage.may_renew(Moment(1)));
        unheard.begun -= STUCK;
        unheard.failed();
        unheard.failed();
        outage.end();
        assert!(!outage.may_renew(Moment(2)), "others must miss us");
        drop(unheard);
        assert!(outage.may_renew(Moment(3)));
    }
}
