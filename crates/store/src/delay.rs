//! Delays at the points where others may come between, for tests alone.
//!
//! What can happen between the moment a stamp is read and the moment a reply is kept happens
//! seldom, because those moments lie close together. By a seed, each of these points waits now and
//! then, so that a short run meets orders of events that would otherwise take years.
//!
//! A build without debug assertions, such as any that is released, has none of this.

/// A point where something may be held up.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Point {
    /// The store has said what it has, and the proxy has not looked whether it may be served.
    LookedUp,
    /// A reply or a stamp is about to reach its session.
    Answering,
    /// A version that is missing in Redis is about to be made.
    Making,
    /// It is known whether another instance asks the server.
    Claimed,
    /// A wait for somebody else's reply is over.
    Woken,
    /// Something is about to be sent to the server: a query behind its stamp, a write behind its
    /// mark.
    Sending,
    /// Something was read from a peer.
    Heard,
    /// A reply is about to be kept.
    Recording,
    /// It is about to be sent to Redis.
    Storing,
    /// A write is about to be marked.
    Marking,
    /// The server has said how a write ended.
    Ending,
    /// Its marks have ended, and the epoch was looked at, from which it follows whether definitions
    /// have changed.
    Verified,
    /// Its marks have ended, and its client does not know yet.
    Ended,
    /// A stamp was read for a reply that is renewed in the background.
    Renewing,
    /// An epoch was read, and the catalog is about to be.
    Reading,
    /// What was read is about to be published.
    Publishing,
}

#[cfg(debug_assertions)]
mod debug {
    use std::{
        sync::{
            OnceLock,
            atomic::{AtomicU64, Ordering},
        },
        time::Duration,
    };

    use super::Point;

    static SEED: OnceLock<u64> = OnceLock::new();
    static PASSED: AtomicU64 = AtomicU64::new(0);

    /// Lets points of this process wait from now on; a second seed changes nothing.
    pub fn delay_by(seed: u64) {
        _ = SEED.set(seed);
    }

    /// Waits, if it is this point's turn. Cancel safe.
    pub async fn delay(point: Point) {
        let Some(&seed) = SEED.get() else { return };
        let number = PASSED.fetch_add(1, Ordering::Relaxed);
        if let Some(pause) = pause(seed, number, point) {
            Box::pin(tokio::time::sleep(pause)).await;
        }
    }

    /// One time out of [`TURNS`], up to [`PAUSE_MS_MAX`].
    pub(super) fn pause(seed: u64, number: u64, point: Point) -> Option<Duration> {
        let mut mixed = seed ^ number.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ ((point as u64) << 56);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^= mixed >> 31;
        let turn = mixed.is_multiple_of(TURNS);
        turn.then(|| Duration::from_millis(1 + (mixed >> 32) % PAUSE_MS_MAX))
    }

    const TURNS: u64 = 8;

    /// As long as a write takes, several times over.
    const PAUSE_MS_MAX: u64 = 20;
}

#[cfg(debug_assertions)]
pub use debug::{delay, delay_by};

/// Never waits.
#[cfg(not(debug_assertions))]
pub async fn delay(_: Point) {}

#[cfg(all(test, debug_assertions))]
mod tests {
    use super::{Point, debug::pause};

    #[test]
    fn a_seed_holds_some_of_them_up_and_always_the_same() {
        let turns = |seed| {
            let paused = |&number: &u64| pause(seed, number, Point::Storing).is_some();
            (0..1000).filter(paused).collect::<Vec<_>>()
        };
        assert_eq!(turns(1), turns(1));
        assert_ne!(turns(1), turns(2));
        assert!((80..200).contains(&turns(1).len()));
    }
}
