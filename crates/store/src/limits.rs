//! How much is kept, and for how long.

use std::time::Duration;

use quick_cache::{Options, OptionsBuilder};

/// Bounds on what a store keeps.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// All entries in memory together, in bytes, bookkeeping included.
    pub bytes_max: u64,
    /// The frames of one entry, in bytes.
    pub entry_bytes_max: u64,
    /// By how much of its TTL an entry may expire early, in percent; above 100 counts as 100.
    pub jitter_percent: u8,
}

impl Limits {
    /// A TTL that is shortened by a random part of the jitter, so that entries recorded together
    /// do not expire together. Never longer than `ttl`. All values of `random` are equally likely.
    pub fn ttl_jitter(&self, ttl: Duration, random: u32) -> Duration {
        let share = u128::from(self.jitter_percent.min(100)) * u128::from(random);
        let whole = 100 * (u128::from(u32::MAX) + 1);
        // Below 2^84 µs times a share below 2^39: it fits.
        let cut = u64::try_from(ttl.as_micros() * share / whole).unwrap_or(u64::MAX);
        ttl.saturating_sub(Duration::from_micros(cut))
    }

    /// A cache in this process that keeps to them, if it weighs an entry as its frames and
    /// [`RECORD_BYTES`].
    pub(crate) fn options(&self) -> Options {
        let shards = self.shards();
        let items = usize::try_from(self.bytes_max / ENTRY_BYTES_TYPICAL).unwrap_or(usize::MAX);
        OptionsBuilder::new()
            .shards(shards)
            .weight_capacity(self.bytes_max)
            // Below 32 items a shard, quick_cache would take fewer shards than it was told.
            .estimated_items_capacity(items.clamp(32 * shards, ITEMS_MAX))
            .build()
            .expect("capacity and items are given, and no share is out of range")
    }

    /// As many shards as leave room for two of the largest entries in each: a larger entry would
    /// be dropped without a word.
    pub(crate) fn shards(&self) -> usize {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let wanted = (cores * SHARDS_PER_CORE).next_power_of_two();
        let room = self.bytes_max / (2 * (self.entry_bytes_max + RECORD_BYTES));
        let fitting = usize::try_from(room).unwrap_or(usize::MAX).max(1);
        let fitting = if fitting.is_power_of_two() {
            fitting
        } else {
            fitting.next_power_of_two() / 2
        };
        wanted.min(fitting)
    }
}

/// Enough that two cores seldom want the same one.
const SHARDS_PER_CORE: usize = 8;

/// What an entry takes beside its frames: its key twice (map and slab), the record, its share of
/// the hash table, and the allocations' own headers.
pub(crate) const RECORD_BYTES: u64 = 256;

/// A guess, from which the number of remembered evicted keys follows.
const ENTRY_BYTES_TYPICAL: u64 = 2048;

/// Bounds that number: it is paid for before there is an entry.
const ITEMS_MAX: usize = 1 << 22;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn jitter_only_shortens_and_within_its_share(
            ms in 0..u64::from(u32::MAX), percent in 0..=100_u8, random: u32,
        ) {
            let limits = Limits { bytes_max: 0, entry_bytes_max: 0, jitter_percent: percent };
            let ttl = Duration::from_millis(ms);
            let jittered = limits.ttl_jitter(ttl, random);
            prop_assert!(jittered <= ttl);
            let least = ttl.as_micros() * u128::from(100 - percent) / 100;
            prop_assert!(jittered.as_micros() >= least);
        }
    }

    #[test]
    fn no_ttl_is_too_long_to_shorten() {
        let limits = Limits {
            bytes_max: 0,
            entry_bytes_max: 0,
            jitter_percent: 255,
        };
        assert!(limits.ttl_jitter(Duration::MAX, u32::MAX) < Duration::MAX);
        assert_eq!(limits.ttl_jitter(Duration::MAX, 0), Duration::MAX);
    }
}
