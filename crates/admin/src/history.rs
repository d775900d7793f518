//! What was counted in each of the last moments: for charts.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use session::{Histogram, Telemetry};
use sql::Reason;

/// How far apart moments are.
pub(crate) const SAMPLE_EVERY: Duration = Duration::from_secs(5);

/// How many are kept: an hour of them.
pub(crate) const SAMPLES_MAX: usize = 720;

/// The last moments, the oldest first.
#[derive(Debug, Default)]
pub(crate) struct History(Mutex<Samples>);

#[derive(Debug, Default)]
struct Samples {
    kept: VecDeque<Sample>,
    last: Option<Sums>,
}

/// What was counted between one moment and the one before.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Sample {
    pub(crate) at: SystemTime,
    pub(crate) counts: Sums,
}

/// Counts, and durations in microseconds with their numbers.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Sums {
    pub(crate) hits: u64,
    pub(crate) misses: u64,
    pub(crate) bypasses: u64,
    pub(crate) hit_us: (u64, u64),
    pub(crate) miss_us: (u64, u64),
}

impl Sums {
    /// What has been counted until now.
    pub(crate) fn of(telemetry: &Telemetry) -> Self {
        let bypasses = Reason::ALL.map(|reason| telemetry.bypass(reason).value());
        Self {
            hits: telemetry.hits.value(),
            misses: telemetry.misses.value(),
            bypasses: bypasses.iter().sum(),
            hit_us: durations(&telemetry.hit_latency),
            miss_us: durations(&telemetry.miss_latency),
        }
    }

    pub(crate) const fn lookups(&self) -> u64 {
        self.hits + self.misses + self.bypasses
    }

    fn since(self, before: Self) -> Self {
        let less = |(sum, count): (u64, u64), (less, fewer): (u64, u64)| {
            (sum.saturating_sub(less), count.saturating_sub(fewer))
        };
        Self {
            hits: self.hits.saturating_sub(before.hits),
            misses: self.misses.saturating_sub(before.misses),
            bypasses: self.bypasses.saturating_sub(before.bypasses),
            hit_us: less(self.hit_us, before.hit_us),
            miss_us: less(self.miss_us, before.miss_us),
        }
    }
}

impl History {
    /// To be called every [`SAMPLE_EVERY`]; the first call is where the first sample begins.
    pub(crate) fn sample(&self, at: SystemTime, telemetry: &Telemetry) {
        let now = Sums::of(telemetry);
        let mut samples = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = samples.last.replace(now) {
            if samples.kept.len() >= SAMPLES_MAX {
                samples.kept.pop_front();
            }
            let counts = now.since(last);
            samples.kept.push_back(Sample { at, counts });
        }
    }

    /// All that are kept.
    pub(crate) fn samples(&self) -> Vec<Sample> {
        let samples = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        samples.kept.iter().copied().collect()
    }
}

/// The sum in microseconds, and of how many.
fn durations(histogram: &Histogram) -> (u64, u64) {
    let count = histogram.buckets().map(|(_, count)| count).sum();
    (histogram.sum_us(), count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_differences_and_few() {
        let (history, telemetry) = (History::default(), Telemetry::default());
        let at = SystemTime::UNIX_EPOCH;
        telemetry.hits.add(100);
        history.sample(at, &telemetry);
        assert_eq!(history.samples(), []);
        telemetry.hits.add(3);
        telemetry.bypass(Reason::Clock).inc();
        telemetry.miss_latency.record_us(250);
        history.sample(at, &telemetry);
        let counts = Sums {
            hits: 3,
            bypasses: 1,
            miss_us: (250, 1),
            ..Sums::default()
        };
        assert_eq!(history.samples(), [Sample { at, counts }]);
        (0..2 * SAMPLES_MAX).for_each(|_| history.sample(at, &telemetry));
        assert_eq!(history.samples().len(), SAMPLES_MAX);
    }
}
