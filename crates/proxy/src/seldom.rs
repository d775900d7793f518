//! Lines of the log for what may happen many times a second.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// Tells when it is time to say something again.
#[derive(Debug, Default)]
pub(crate) struct Seldom(Mutex<Option<Instant>>);

impl Seldom {
    /// Whether it was not said for a while; if so, it counts as said now.
    pub(crate) fn is_due(&self) -> bool {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let due = said.is_none_or(|when| when.elapsed() >= PAUSE);
        if due {
            *said = Some(Instant::now());
        }
        due
    }
}

/// How long nothing more is said.
const PAUSE: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn something_is_said_once_in_a_while() {
        let seldom = Seldom::default();
        assert!(seldom.is_due() && !seldom.is_due());
        tokio::time::advance(PAUSE).await;
        assert!(seldom.is_due() && !seldom.is_due());
    }
}
