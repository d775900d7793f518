//! Cancel requests for statements that wait here, and not at the server.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// Clients whose statements wait, by the process that serves them.
///
/// The key of a cancel request is not compared: all that a request does here is to send a statement
/// to the server, which judges the request as ever.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cancels {
    waiting: Arc<Mutex<HashMap<i32, Entry>>>,
    /// The servers of all clients, by process and key.
    servers: Arc<Mutex<HashMap<Bytes, SocketAddr>>>,
}

/// Where a client's server is. Dropped, it is forgotten.
#[derive(Debug)]
pub(crate) struct Noted {
    cancels: Cancels,
    who: Bytes,
}

#[derive(Clone, Debug, Default)]
struct Entry {
    cancelled: CancellationToken,
    /// The statement has been written to the server, or has its answer.
    left: CancellationToken,
    /// The server has said something since, or is not needed.
    heard: CancellationToken,
}

/// A statement that was freed by a cancel request.
#[derive(Debug)]
pub(crate) struct Freed(Entry);

/// A client on the list. Dropped, it is off.
#[derive(Debug)]
pub(crate) struct Listed {
    cancels: Cancels,
    process: Option<i32>,
    entry: Entry,
}

impl Cancels {
    /// Puts a client on the list.
    pub(crate) fn list(&self, process: Option<i32>) -> Listed {
        let entry = Entry::default();
        if let Some(process) = process {
            self.entries().insert(process, entry.clone());
        }
        Listed {
            cancels: self.clone(),
            process,
            entry,
        }
    }

    /// Notes where the server of a client is, whose process and key are these.
    pub(crate) fn note(&self, who: Bytes, server: SocketAddr) -> Noted {
        self.servers().insert(who.clone(), server);
        Noted {
            cancels: self.clone(),
            who,
        }
    }

    /// The server that a CancelRequest is meant for.
    pub(crate) fn server(&self, packet: &[u8]) -> Option<SocketAddr> {
        self.servers().get(packet.get(8..)?).copied()
    }

    fn servers(&self) -> MutexGuard<'_, HashMap<Bytes, SocketAddr>> {
        self.servers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Frees the client that a CancelRequest means, and waits until its statement has left for the
    /// server, for which the request is meant in truth. `None` if it does not wait. Cancel safe.
    pub(crate) async fn free(&self, packet: &[u8]) -> Option<Freed> {
        let process = i32::from_be_bytes(packet.get(8..12)?.try_into().ok()?);
        let entry = self.entries().get(&process).cloned()?;
        entry.cancelled.cancel();
        _ = timeout(LEAVE_MAX, entry.left.cancelled()).await;
        Some(Freed(entry))
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<i32, Entry>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Freed {
    /// Whether the request should be sent to the server once more: it may have come before the
    /// statement, and the server ignores it then. To be asked after each attempt, of which this is
    /// the number. Cancel safe.
    pub(crate) async fn is_running(&self, attempt: u32) -> bool {
        let patience = AGAIN_AFTER.saturating_mul(1 << attempt.min(8));
        attempt < ATTEMPTS_MAX && timeout(patience, self.0.heard.cancelled()).await.is_err()
    }
}

impl Freed {
    /// Whether the server has not begun to answer yet.
    pub(crate) fn is_unanswered(&self) -> bool {
        !self.0.heard.is_cancelled()
    }
}

impl Drop for Noted {
    fn drop(&mut self) {
        self.cancels.servers().remove(&self.who);
    }
}

impl Listed {
    /// The statement has been written to the server.
    pub(crate) fn left(&self) {
        self.entry.left.cancel();
    }

    /// Resolves when the client's statement is cancelled.
    pub(crate) fn cancelled(&self) -> impl Future<Output = ()> + Send + use<> {
        self.entry.cancelled.clone().cancelled_owned()
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        if let Some(process) = self.process {
            self.cancels.entries().remove(&process);
        }
        self.entry.left.cancel();
        self.entry.heard.cancel();
    }
}

/// How long a statement may take to leave for the server, before the request leaves without it.
const LEAVE_MAX: Duration = Duration::from_secs(1);

/// How soon a request is sent again, at first.
const AGAIN_AFTER: Duration = Duration::from_millis(20);

/// How often it is.
const ATTEMPTS_MAX: u32 = 5;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_request_waits_until_the_statement_it_frees_has_left() {
        let cancels = Cancels::default();
        let listed = cancels.list(Some(7));
        let mut packet = vec![0, 0, 0, 16, 4, 210, 22, 46, 0, 0, 0, 7, 0, 0, 0, 1];
        let (asking, sent) = (cancels.clone(), packet.clone());
        let request = tokio::spawn(async move { asking.free(&sent).await });
        listed.cancelled().await;
        assert!(!request.is_finished());
        listed.left();
        let freed = request.await.unwrap().expect("it was on the list");
        assert!(
            freed.is_running(0).await,
            "it may not have come to the server yet"
        );
        assert!(!freed.is_running(ATTEMPTS_MAX).await);
        drop(listed);
        assert!(!freed.is_running(1).await);
        assert!(
            cancels.free(&packet).await.is_none(),
            "nobody of this name is left"
        );
        packet.truncate(9);
        assert!(cancels.free(&packet).await.is_none());
    }

    #[test]
    fn a_request_finds_the_server_of_its_session() {
        let cancels = Cancels::default();
        let server = SocketAddr::from(([127, 0, 0, 1], 5432));
        let noted = cancels.note(Bytes::from_static(b"\0\0\0\x07key"), server);
        let packet = b"\0\0\0\x0f\x04\xd2\x16\x2e\0\0\0\x07key";
        assert_eq!(cancels.server(packet), Some(server));
        assert_eq!(cancels.server(&packet[..14]), None);
        assert_eq!(cancels.server(b"short"), None);
        drop(noted);
        assert_eq!(cancels.server(packet), None);
    }
}
