//! Who is in a database, and when its watcher has to leave.
//!
//! PostgreSQL drops, renames, moves and copies a database only while nobody is connected to it, and
//! waits five seconds for those who are. A connection of ours must not stand in the way of that.
//!
//! Invariant: without a visit, a control connection lasts for [`LINGER`] at most, or, to the
//! database that is watched for its own sake, until somebody asks for it to end.

use std::{ops::Deref, sync::Arc, time::Duration};

use tokio::{
    sync::{Notify, watch},
    time::timeout,
};

use super::Database;

/// How long a watcher stays after the last visit: well below the server's patience, and long enough
/// for clients that come and go.
const LINGER: Duration = Duration::from_secs(2);

/// When a watcher that left on request comes back to a database that is watched for its own sake.
const RETURN: Duration = Duration::from_secs(10);

/// Somebody who uses a database: a client, or what a client has left to be done. The database is
/// watched as long as there is one.
#[derive(Debug)]
pub struct Visit(Arc<Database>);

impl Visit {
    pub(super) fn new(database: Arc<Database>) -> Self {
        // The watcher asks whether there are any, and each write is one: it must not be woken by all.
        database.presence.visits.send_if_modified(|visits| {
            *visits += 1;
            *visits == 1
        });
        Self(database)
    }
}

impl Clone for Visit {
    fn clone(&self) -> Self {
        Self::new(Arc::clone(&self.0))
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.0.presence.visits.send_if_modified(|visits| {
            *visits -= 1;
            *visits == 0
        });
    }
}

impl Deref for Visit {
    type Target = Database;

    fn deref(&self) -> &Database {
        &self.0
    }
}

/// The visits of one database.
#[derive(Debug)]
pub(super) struct Presence {
    visits: watch::Sender<usize>,
    /// Holds one permit: a watcher that is still connecting leaves once it is there.
    leave: Notify,
    /// Holds one permit: somebody has come, whom the server has let in.
    came: Notify,
    /// It is watched for its own sake: its state stands for the server's.
    standing: bool,
}

impl Presence {
    pub(super) fn new(standing: bool) -> Self {
        Self {
            visits: watch::Sender::new(0),
            leave: Notify::new(),
            came: Notify::new(),
            standing,
        }
    }

    /// Somebody comes.
    pub(super) fn come(&self) {
        self.came.notify_one();
    }

    /// Returns when somebody has come since this returned last. Cancel safe.
    pub(super) async fn newcomer(&self) {
        self.came.notified().await;
    }

    /// Whether nobody is there.
    pub(super) fn is_vacant(&self) -> bool {
        *self.visits.borrow() == 0
    }

    /// Asks the watcher to leave now if nobody is there.
    pub(super) fn leave_if_vacant(&self) {
        if self.is_vacant() {
            self.leave.notify_one();
        }
    }

    /// Returns when the watcher has to leave. Cancel safe.
    pub(super) async fn vacated(&self) {
        let mut visits = self.visits.subscribe();
        loop {
            tokio::select! {
                () = self.leave.notified() => {
                    if self.is_vacant() {
                        return;
                    }
                }
                () = lingered(&mut visits), if !self.standing => return,
            }
        }
    }

    /// Returns when nobody is there, for a watcher without a connection. Cancel safe.
    pub(super) async fn deserted(&self) {
        if self.standing {
            return self.vacated().await;
        }
        let mut visits = self.visits.subscribe();
        let _ = visits.wait_for(|visits| *visits == 0).await;
    }

    /// Returns when there is something to watch for. Cancel safe.
    pub(super) async fn wanted(&self, has_left: bool) {
        let mut visits = self.visits.subscribe();
        let visited = visits.wait_for(|visits| *visits > 0);
        if self.standing {
            let pause = if has_left { RETURN } else { Duration::ZERO };
            let _ = timeout(pause, visited).await;
        } else {
            // The sender lives as long as this does.
            let _ = visited.await;
        }
    }
}

/// Returns when nobody has been there for a while.
async fn lingered(visits: &mut watch::Receiver<usize>) {
    loop {
        let _ = visits.wait_for(|visits| *visits == 0).await;
        let returned = visits.wait_for(|visits| *visits > 0);
        if timeout(LINGER, returned).await.is_err() {
            return;
        }
    }
}
