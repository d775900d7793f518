//! How a store is doing: for metrics, health and the dashboard.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// Whether a store answers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum State {
    /// It answers.
    Up,
    /// It does not answer, or is not trusted yet; nobody waits for it.
    Down,
    /// It may answer, but a bump of ours has not arrived: nothing is served until it has.
    Fenced,
}

impl State {
    /// The stable code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
            Self::Fenced => "fenced",
        }
    }
}

/// Something that cost a hit or an entry, and no more.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Trouble {
    /// A fill exceeded the largest entry.
    TooLarge,
    /// A fill's stamp no longer held when it arrived.
    Outrun,
    /// A fill was dropped because too many were on their way.
    Busy,
    /// A stored value was damaged or not ours.
    Damaged,
    /// No answer within the deadline.
    Timeout,
    /// No connection, or it was lost.
    Disconnected,
    /// The store declined: read-only, out of memory, not allowed, loading.
    Refused,
    /// The store answered what it should not.
    Reply,
    /// The store was restarted, replaced, restored or emptied; all its entries were given up.
    Rotated,
    /// The claim to a reply lapsed while the server was asked for it: others may ask as well.
    ClaimLost,
}

impl Trouble {
    /// Every kind, in order.
    pub const ALL: [Self; 10] = [
        Self::TooLarge,
        Self::Outrun,
        Self::Busy,
        Self::Damaged,
        Self::Timeout,
        Self::Disconnected,
        Self::Refused,
        Self::Reply,
        Self::Rotated,
        Self::ClaimLost,
    ];

    /// The stable code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::TooLarge => "too_large",
            Self::Outrun => "outrun",
            Self::Busy => "busy",
            Self::Damaged => "damaged",
            Self::Timeout => "timeout",
            Self::Disconnected => "disconnected",
            Self::Refused => "refused",
            Self::Reply => "reply",
            Self::Rotated => "rotated",
            Self::ClaimLost => "claim_lost",
        }
    }
}

/// One moment of a store.
#[derive(Clone, Copy, Debug)]
pub struct Status {
    /// Whether it answers.
    pub state: State,
    /// Entries kept, if that is known here.
    pub entries: Option<u64>,
    /// Bytes kept, bookkeeping included, if that is known here.
    pub bytes: Option<u64>,
    /// Entries that had to leave before their time, since start.
    pub evictions: u64,
    /// Bumps that have not arrived yet.
    pub owed: u64,
    /// Hits that did not ask Redis, since start.
    pub near_hits: u64,
    /// Leases that ran out, or were taken away, before they were renewed.
    pub leases_lost: u64,
    /// Marks that waited until other instances had heard of them.
    pub waits: u64,
    /// Those of them that had to wait until a lease had run out.
    pub waits_out: u64,
    /// How long they waited together.
    pub waited: Duration,
    troubles: [u64; Trouble::ALL.len()],
}

impl Status {
    /// How often something went wrong since start.
    pub fn count(&self, trouble: Trouble) -> u64 {
        self.troubles
            .get(trouble as usize)
            .copied()
            .unwrap_or_default()
    }
}

/// Counts what goes wrong.
#[derive(Debug, Default)]
pub(crate) struct Troubles([AtomicU64; Trouble::ALL.len()]);

impl Troubles {
    pub(crate) fn add(&self, trouble: Trouble) {
        if let Some(count) = self.0.get(trouble as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A status with these counts, and nothing kept, evicted or owed.
    pub(crate) fn status(&self, state: State) -> Status {
        Status {
            state,
            entries: None,
            bytes: None,
            evictions: 0,
            owed: 0,
            near_hits: 0,
            leases_lost: 0,
            waits: 0,
            waits_out: 0,
            waited: Duration::ZERO,
            troubles: std::array::from_fn(|i| {
                self.0
                    .get(i)
                    .map_or(0, |count| count.load(Ordering::Relaxed))
            }),
        }
    }
}
