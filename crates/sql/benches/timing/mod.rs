//! How long something small takes.

use std::time::{Duration, Instant};

/// The best mean of five rounds.
pub(crate) fn best(run: impl Fn()) -> Duration {
    let round = || {
        let start = Instant::now();
        let mut count = 0;
        while start.elapsed() < ROUND {
            for _ in 0..BATCH {
                run();
            }
            count += BATCH;
        }
        start.elapsed() / count
    };
    (0..5).map(|_| round()).min().unwrap_or_default()
}

const ROUND: Duration = Duration::from_millis(50);

/// Runs between two looks at the clock, which takes as long as some of them.
const BATCH: u32 = 16;
