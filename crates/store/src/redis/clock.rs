//! The clock by which leases run.
//!
//! It goes on while the machine is suspended, so that nobody wakes up with a lease that has run
//! out long ago. A guest whose hypervisor stops its clocks is beyond its reach.

use crate::lease::{Moment, Pace};

/// Now, in nanoseconds.
#[cfg(target_os = "linux")]
pub(super) fn now() -> Moment {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    // Neither part is ever negative, and the sum suffices for 584 years.
    let part = |part: i64| u64::try_from(part).unwrap_or_default();
    Moment(part(time.tv_sec) * SECOND + part(time.tv_nsec))
}

/// Whether [`now`] goes on while the machine is suspended. Without that nobody may hold a lease.
pub(super) const GOES_ON_ASLEEP: bool = cfg!(target_os = "linux");

/// Now, in nanoseconds. Other systems have no such clock under one name.
#[cfg(not(target_os = "linux"))]
pub(super) fn now() -> Moment {
    static START: std::sync::LazyLock<std::time::Instant> =
        std::sync::LazyLock::new(std::time::Instant::now);
    Moment(u64::try_from(START.elapsed().as_nanos()).unwrap_or(u64::MAX))
}

/// The time from one moment to a later one.
pub(super) const fn between(from: Moment, to: Moment) -> std::time::Duration {
    std::time::Duration::from_nanos(to.0.saturating_sub(from.0))
}

const SECOND: u64 = 1_000_000_000;

/// By how much the pace of a clock may differ from true time, in thousandths.
pub(super) const DRIFT_PERMILLE: u32 = 10;

/// How long leases last: one second, of which a holder uses 950 ms. Clocks may be wrong by one in
/// a hundred, twenty times as much as the system would correct, so a writer waits for 1.02 s.
pub(super) const PACE: Pace = Pace {
    lease: SECOND,
    margin: SECOND / 20,
    drift_permille: DRIFT_PERMILLE as u64,
};
