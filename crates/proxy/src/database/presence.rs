//! Who is in a database, and when its watcher has to leave.
//!
//! PostgreSQL drops, renames, moves and copies a database only while nobody is connected to it, and
//! waits five seconds for those who are. A connection of ours must not stand in the way of that.
//!
//! Invariant: without a visit, a control connection lasts for [`LINGER`] at most, or, to the
//! database that is watched for its own sake, until somebody asks for it to end.

use std::{future::pending, ops::Deref, sync::Arc, time::Duration};

use tokio::{
    sync::{Notify, watch},
    time::{Instant, timeout, timeout_at},
};

use super::Database;

/// How long a watcher stays after the last visit: well below the server's patience, and long enough
/// for clients that come and go.
const LINGER: Duration = Duration::from_secs(2);

/// How long the wish that a watcher leave is remembered where it is still connecting, or somebody is
/// there: a client that is gone for the server, but not yet for us. Less than the server's patience.
const PATIENCE: Duration = Duration::from_secs(3);

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
    /// Until when it is wished that the watcher leaves; one that is still connecting leaves once it is
    /// there.
    leave: watch::Sender<Option<Instant>>,
    /// Holds one permit: somebody has come, whom the server has let in.
    came: Notify,
    /// It is watched for its own sake: its state stands for the server's.
    standing: bool,
}

impl Presence {
    pub(super) fn new(standing: bool) -> Self {
        Self {
            visits: watch::Sender::new(0),
            leave: watch::Sender::new(None),
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

    /// Asks the watcher to leave as soon as nobody is there, which may be a moment from now: a client
    /// whose end has yet to be seen here is nobody to the server.
    pub(super) fn leave_when_vacant(&self) {
        self.leave.send_replace(Some(Instant::now() + PATIENCE));
    }

    /// Returns when the watcher has to leave. Cancel safe.
    pub(super) async fn vacated(&self) {
        let mut visits = self.visits.subscribe();
        let mut asked = self.leave.subscribe();
        loop {
            let until = *asked.borrow_and_update();
            tokio::select! {
                () = self.vacant_before(until) => {
                    self.leave.send_replace(None);
                    return;
                }
                _ = asked.changed() => {}
                () = lingered(&mut visits), if !self.standing => return,
            }
        }
    }

    /// Returns when nobody is there, if that is so before a certain time.
    async fn vacant_before(&self, until: Option<Instant>) {
        let mut visits = self.visits.subscribe();
        let vacant = visits.wait_for(|visits| *visits == 0);
        if let Some(until) = until
            && timeout_at(until, vacant).await.is_ok()
        {
            return;
        }
        pending().await
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
