//! Questions about server processes, which the watcher asks for those who want to know.

use std::time::Duration;

use tokio::{
    sync::oneshot,
    time::{Instant, sleep, timeout},
};

use super::{Database, State};

/// A question about server processes.
#[derive(Debug)]
pub(super) enum Probe {
    /// Whether this one is still there.
    Living(i32, oneshot::Sender<bool>),
    /// Whether the watcher's own has read the configuration since then.
    Reloaded(Instant, oneshot::Sender<bool>),
}

impl Database {
    /// Waits until a server process has ended, so that nothing it was doing can still be committed.
    ///
    /// `false` if it is still there when the time is over, or nobody can tell. Cancel safe.
    pub async fn backend_gone(&self, process: i32, patience: Duration) -> bool {
        timeout(patience, self.poll_gone(process))
            .await
            .unwrap_or(false)
    }

    async fn poll_gone(&self, process: i32) -> bool {
        let mut pause = PROBE_PAUSE_MIN;
        loop {
            if matches!(self.state(), State::Refused(_)) {
                return false;
            }
            let (answer, answered) = oneshot::channel();
            let probe = Probe::Living(process, answer);
            if self.probes.send(probe).await.is_err() {
                return false;
            }
            // No answer: the control connection was lost with the question.
            if matches!(answered.await, Ok(false)) {
                return true;
            }
            sleep(pause).await;
            pause = (pause * 2).min(PROBE_PAUSE_MAX);
        }
    }

    /// Waits until the server's processes have read the configuration, which they were told to do after
    /// `since`; not for long, if they do not. Cancel safe.
    pub(crate) async fn reloaded(&self, since: Instant) {
        let poll = async {
            loop {
                let (answer, answered) = oneshot::channel();
                let probe = Probe::Reloaded(since, answer);
                if self.probes.send(probe).await.is_err() || matches!(answered.await, Ok(true)) {
                    break;
                }
                sleep(PROBE_PAUSE_MIN).await;
            }
            // They are told one after the other.
            sleep(RELOAD_PAUSE).await;
        };
        _ = timeout(RELOAD_MAX, poll).await;
    }
}

/// How many questions about processes may wait.
pub(super) const PROBES_MAX: usize = 64;

/// How soon a process is looked at again.
const PROBE_PAUSE_MIN: Duration = Duration::from_millis(5);

/// How long the server's processes may take to read the configuration.
const RELOAD_MAX: Duration = Duration::from_secs(1);

/// How much later than the watcher's own process others may be told to.
const RELOAD_PAUSE: Duration = Duration::from_millis(20);

/// The longest pause between two looks at a process.
const PROBE_PAUSE_MAX: Duration = Duration::from_millis(200);
