//! The lease protocol: who may answer from nearby, and how long a writer waits for it.
//!
//! An instance keeps replies near and answers from them without asking Redis. That is safe if no
//! mark takes effect before every instance that may answer has heard of it. Two machines see to
//! that, and neither has sockets, a clock or random numbers:
//!
//! - [`Holder`] is an instance's seat in the *ledger* of one database, which lies in Redis. It says
//!   until when replies may be served from nearby, and when they must be forgotten.
//! - [`Wait`] is a writer that has posted a mark. It is over when every other member of the ledger
//!   has acknowledged the mark, or its lease has surely run out.
//!
//! Invariant: a holder serves only while each mark that is in effect has been applied here. Why it
//! holds, and under what assumptions, is in `docs/adr/0011-near-replies-under-leases.md`; `tests`
//! explore this very code with lost messages, pauses, drifting clocks and an emptied Redis.

mod holder;
mod wait;

#[cfg(test)]
pub(crate) mod tests;

pub(crate) use holder::{Action, Answer, Holder, Order};
pub(crate) use wait::{Peer, Posted, Wait};

/// Sixteen random bytes.
pub(crate) type Token = [u8; 16];

/// A reading of this machine's own clock, which never goes back. Clocks of two machines have
/// nothing in common but their pace.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) struct Moment(pub(crate) u64);

/// How long leases last, in the unit of [`Moment`], and how far clocks are trusted.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Pace {
    /// What a renewal grants, counted from before it was sent.
    pub(crate) lease: u64,
    /// By how much earlier than granted a holder stops.
    pub(crate) margin: u64,
    /// By how much the pace of a clock may differ from true time, in thousandths.
    pub(crate) drift_permille: u64,
}

impl Pace {
    /// Until when a holder serves that has sent its renewal at a moment.
    pub(crate) const fn serves_until(&self, sent: Moment) -> Moment {
        Moment(
            sent.0
                .saturating_add(self.lease.saturating_sub(self.margin)),
        )
    }

    /// When all leases have run out that were granted before a moment, by anybody's clock.
    ///
    /// The slowest holder's lease takes `lease / (1 - drift)` of true time; the fastest of our
    /// clocks shows `1 + drift` times as much.
    pub(crate) const fn outlasted(&self, seen: Moment) -> Moment {
        let (slow, fast) = (1000 - self.drift_permille, 1000 + self.drift_permille);
        let wait = (self.lease.saturating_mul(fast)).div_ceil(slow);
        Moment(seen.0.saturating_add(wait))
    }
}
