//! What is counted. Plain atomics; how they are shown is `admin`'s affair.
//!
//! Law: hits + misses + bypasses = statements that could have been reads.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use sql::Reason;

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds one.
    pub fn inc(&self) {
        self.add(1);
    }

    /// Adds `n`.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// Adds one, and says how many there were.
    pub(crate) fn inc_from(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed)
    }

    /// The sum so far.
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A number that moves both ways.
#[derive(Debug, Default)]
pub struct Gauge(AtomicI64);

impl Gauge {
    /// Adds `n`, which may be negative.
    pub fn add(&self, n: i64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// The level now.
    pub fn value(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Durations in buckets that double: the bucket with index `i` holds those below `2^i` µs.
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [Counter; Self::BUCKETS],
    sum_us: Counter,
}

impl Histogram {
    /// How many buckets there are; the last one holds everything from about two seconds up.
    pub const BUCKETS: usize = 22;

    /// Counts one duration in microseconds.
    pub fn record_us(&self, us: u64) {
        let index = (u64::BITS - us.leading_zeros()) as usize;
        if let Some(bucket) = self.buckets.get(index.min(Self::BUCKETS - 1)) {
            bucket.inc();
        }
        self.sum_us.add(us);
    }

    /// Exclusive upper bounds in microseconds (`None` for the last) with their counts, not accumulated.
    pub fn buckets(&self) -> impl Iterator<Item = (Option<u64>, u64)> {
        self.buckets.iter().enumerate().map(|(index, bucket)| {
            (
                (index + 1 < Self::BUCKETS).then(|| 1 << index),
                bucket.value(),
            )
        })
    }

    /// The sum of all durations in microseconds.
    pub fn sum_us(&self) -> u64 {
        self.sum_us.value()
    }
}

/// Why a reply that was being recorded was not kept.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RefusedFill {
    /// It exceeds the largest entry.
    TooLarge,
    /// The server answered with an error.
    Error,
    /// A notice came with it.
    Notice,
    /// It did not end with `CommandComplete`, or not as a read does.
    Incomplete,
    /// It lacks a row while rows come to its table.
    Lacking,
}

impl RefusedFill {
    /// Every kind, in order.
    pub const ALL: [Self; 5] = [
        Self::TooLarge,
        Self::Error,
        Self::Notice,
        Self::Incomplete,
        Self::Lacking,
    ];

    /// The stable code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::TooLarge => "too_large",
            Self::Error => "error",
            Self::Notice => "notice",
            Self::Incomplete => "incomplete",
            Self::Lacking => "lacking",
        }
    }

    /// What is the matter with the reply.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::TooLarge => "larger than `cache.entry_bytes_max`",
            Self::Error => "the server answered with an error",
            Self::Notice => "a notice came with it, which a repetition would lack",
            Self::Incomplete => "it did not end as a read does",
            Self::Lacking => "it lacks a row by its key while rows are being added to the table",
        }
    }

    /// What to do about it.
    pub const fn remedy(self) -> &'static str {
        match self {
            Self::TooLarge => "raise `cache.entry_bytes_max` if it is worth the room",
            Self::Error | Self::Incomplete => "nothing",
            Self::Notice => "find out what raises the notice",
            Self::Lacking => "nothing; it is kept once the rows are there",
        }
    }
}

/// What became of statements that waited for a reply which somebody else had asked for.
#[derive(Debug, Default)]
pub struct FlightCounters {
    /// Those that wait now.
    pub waiting: Gauge,
    /// They got it.
    pub served: Counter,
    /// It did not come, or no longer held: they were asked anew.
    pub vain: Counter,
    /// They waited as long as is allowed.
    pub late: Counter,
    /// Their client cancelled them.
    pub cancelled: Counter,
    /// Claims taken in the shared store before the server was asked.
    pub claims: Counter,
    /// Claims that somebody else held.
    pub claimed: Counter,
}

/// What became of a reply that was to be read again in the background.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Renewal {
    /// It was renewed.
    Done,
    /// Somebody else is reading it.
    Held,
    /// A write or a change of definitions came between.
    Changed,
    /// Its client has logged in as another role than pgmemo's own connections.
    OtherLogin,
    /// Its session's state could not be established on a connection of our own.
    Context,
    /// The server answered with an error, a notice, too much, or what is no reply of a read.
    Refused,
    /// There was no connection, or it was lost.
    Disconnected,
    /// The server took too long.
    Late,
    /// Too many replies were waiting already.
    Busy,
}

impl Renewal {
    /// Every kind, in order.
    pub const ALL: [Self; 9] = [
        Self::Done,
        Self::Held,
        Self::Changed,
        Self::OtherLogin,
        Self::Context,
        Self::Refused,
        Self::Disconnected,
        Self::Late,
        Self::Busy,
    ];

    /// The stable code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Held => "held",
            Self::Changed => "changed",
            Self::OtherLogin => "other_login",
            Self::Context => "context",
            Self::Refused => "refused",
            Self::Disconnected => "disconnected",
            Self::Late => "late",
            Self::Busy => "busy",
        }
    }
}

/// Everything that one process counts about its sessions.
#[derive(Debug)]
pub struct Telemetry {
    /// Statements answered from the store.
    pub hits: Counter,
    /// Statements looked up and not found.
    pub misses: Counter,
    /// Statements not looked up, by reason.
    bypasses: [Counter; Reason::ALL.len()],
    /// Replies handed to the store.
    pub fills: Counter,
    /// Waiting for others' replies.
    pub flights: FlightCounters,
    /// Replies served after the end of their TTL.
    pub stale: Counter,
    /// Replies that were to be read again because of a write.
    pub rewritten: Counter,
    /// Replies that were to be read again in the background.
    renewals: [Counter; Renewal::ALL.len()],
    /// Replies that were being recorded and not kept, by reason.
    refused: [Counter; RefusedFill::ALL.len()],
    /// Bumps of single tables (one per table).
    pub table_bumps: Counter,
    /// Bumps of rows that were named (one per row), and of new rows (one per table).
    pub row_bumps: Counter,
    /// Bumps of an epoch.
    pub epoch_bumps: Counter,
    /// Clients connected now.
    pub clients: Gauge,
    /// Server connections open now on behalf of clients.
    pub servers: Gauge,
    /// Connections accepted since start.
    pub connections: Counter,
    /// Time from the arrival of a statement to its reply, for hits.
    pub hit_latency: Histogram,
    /// The same for misses that went to the server.
    pub miss_latency: Histogram,
}

impl Default for Telemetry {
    fn default() -> Self {
        Self {
            hits: Counter::default(),
            misses: Counter::default(),
            bypasses: std::array::from_fn(|_| Counter::default()),
            fills: Counter::default(),
            flights: FlightCounters::default(),
            stale: Counter::default(),
            rewritten: Counter::default(),
            renewals: Default::default(),
            refused: Default::default(),
            table_bumps: Counter::default(),
            row_bumps: Counter::default(),
            epoch_bumps: Counter::default(),
            clients: Gauge::default(),
            servers: Gauge::default(),
            connections: Counter::default(),
            hit_latency: Histogram::default(),
            miss_latency: Histogram::default(),
        }
    }
}

impl Telemetry {
    /// The counter of one reason.
    pub fn bypass(&self, reason: Reason) -> &Counter {
        static NOWHERE: Counter = Counter(AtomicU64::new(0));
        self.bypasses.get(reason as usize).unwrap_or(&NOWHERE)
    }

    /// The counter of one kind of renewal.
    pub fn renewal(&self, outcome: Renewal) -> &Counter {
        static NOWHERE: Counter = Counter(AtomicU64::new(0));
        self.renewals.get(outcome as usize).unwrap_or(&NOWHERE)
    }

    /// The counter of one kind of refused fill.
    pub fn refused(&self, why: RefusedFill) -> &Counter {
        static NOWHERE: Counter = Counter(AtomicU64::new(0));
        self.refused.get(why as usize).unwrap_or(&NOWHERE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documentation_says_the_same_of_replies_that_were_not_kept() {
        let page = include_str!("../../../docs/operations.md");
        for why in RefusedFill::ALL {
            let row = format!(
                "| `{}` | {} | {} |",
                why.code(),
                why.meaning(),
                why.remedy()
            );
            assert!(page.lines().any(|line| line == row), "{row}");
        }
    }
}
