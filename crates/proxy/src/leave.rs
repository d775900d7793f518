//! How clients hear that the proxy stops.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio_util::sync::{CancellationToken, WaitForCancellationFuture};

/// Tells all clients at once. Whoever waits is woken after the word has been given, so that a task
/// which is awake can look at the word alone: asking the token each time would take its lock.
#[derive(Debug, Default)]
pub(crate) struct Leave {
    given: AtomicBool,
    token: CancellationToken,
    /// Whoever is still at work is to leave all the same.
    last: CancellationToken,
}

impl Leave {
    /// Gives the word, for good.
    pub(crate) fn give(&self) {
        self.given.store(true, Ordering::Release);
        self.token.cancel();
    }

    /// Tells those who have not left upon the first word that they are cut off.
    pub(crate) fn insist(&self) {
        self.last.cancel();
    }

    /// Waits for the last word. Cancel safe.
    pub(crate) fn wait_last(&self) -> WaitForCancellationFuture<'_> {
        self.last.cancelled()
    }

    /// Whether the word has been given.
    pub(crate) fn is_given(&self) -> bool {
        self.given.load(Ordering::Acquire)
    }

    /// Waits for the word. Cancel safe.
    pub(crate) fn wait(&self) -> WaitForCancellationFuture<'_> {
        self.token.cancelled()
    }
}
