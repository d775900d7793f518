//! How much is kept, and for how long.

use std::time::Duration;

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
}

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
