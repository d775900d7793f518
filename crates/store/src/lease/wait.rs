//! A writer that waits for its mark to take effect.
//!
//! Invariant: [`Wait::is_over`] is true only if nobody can answer from nearby with what the mark
//! touches, except those who had not posted, joined or been asked when the mark was posted: they
//! see it in Redis.

use smallvec::SmallVec;

use super::{Moment, Pace, Token};

/// What the ledger said when a mark was posted.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub(crate) struct Posted {
    /// The ledger, if there is one that has been there for longer than any lease from before it,
    /// on the server that was meant.
    pub(crate) ledger: Option<Token>,
    /// The mark's number.
    pub(crate) sequence: u64,
    /// All members but the writer.
    pub(crate) others: SmallVec<[Peer; 4]>,
}

/// Another member of a ledger.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Peer {
    pub(crate) member: Token,
    /// The marks it had applied, all up to this number.
    pub(crate) applied: u64,
    /// How often it had renewed its lease.
    pub(crate) beats: u64,
}

/// Waits for those who have not acknowledged a mark, or for time to pass.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Wait {
    /// Without one there is nobody to hear from.
    ledger: Option<Token>,
    sequence: u64,
    missing: SmallVec<[Peer; 4]>,
    until: Moment,
}

impl Wait {
    /// Begins when the answer has come, which is later than the mark was posted.
    ///
    /// Leases that were granted before the mark end within the time of a lease; those granted
    /// later are given only to who has heard of the mark.
    pub(crate) fn new(posted: Posted, now: Moment, pace: Pace) -> Self {
        let mut missing = posted.others;
        missing.retain(|peer| peer.applied < posted.sequence);
        Self {
            ledger: posted.ledger,
            sequence: posted.sequence,
            missing,
            until: pace.outlasted(now),
        }
    }

    /// Whether the mark is in effect.
    pub(crate) fn is_over(&self, now: Moment) -> bool {
        (self.ledger.is_some() && self.missing.is_empty()) || now >= self.until
    }

    /// When it is over at the latest.
    pub(crate) const fn until(&self) -> Moment {
        self.until
    }

    /// The ledger whose members are waited for.
    pub(crate) const fn ledger(&self) -> Option<Token> {
        self.ledger
    }

    /// Asks how far each member is that is waited for; `None` for one that is no member any more,
    /// because it has left, or because somebody else has waited until its lease had run out.
    pub(crate) fn learn(&mut self, ledger: &Token, applied: impl Fn(&Token) -> Option<u64>) {
        if self.ledger.as_ref() == Some(ledger) {
            let sequence = self.sequence;
            self.missing
                .retain(|peer| applied(&peer.member).is_some_and(|applied| applied < sequence));
        }
    }

    /// Those whose lease has run out: they may be struck off, unless they have renewed it since.
    pub(crate) fn overdue(&self, now: Moment) -> &[Peer] {
        if now >= self.until {
            &self.missing
        } else {
            &[]
        }
    }
}
