//! Cancel requests for statements that wait here, and not at the server, or behind something of ours.

use std::{
    collections::HashMap,
    net::SocketAddr,
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use tokio::{sync::Notify, time::timeout};
use tokio_util::sync::CancellationToken;

/// Clients whose statements wait, by the process that serves them.
///
/// The key of a cancel request is not compared: all that a request does here is to send a statement
/// to the server, which judges the request as ever.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cancels {
    waiting: Arc<Mutex<HashMap<i32, Entry>>>,
    /// All clients, by process and key of their server.
    clients: Arc<Mutex<HashMap<Bytes, Noticed>>>,
}

/// What is known of a client. Dropped, it is forgotten.
#[derive(Debug)]
pub(crate) struct Noted {
    cancels: Cancels,
    who: Bytes,
    crossing: Arc<Crossing>,
    asking: bool,
}

#[derive(Clone, Debug)]
struct Noticed {
    server: Option<SocketAddr>,
    crossing: Arc<Crossing>,
}

/// What a client's task and the requests to cancel its statement have to know of each other: a request
/// that hits something of ours would do harm, and miss what it is meant for.
#[derive(Debug, Default)]
struct Crossing {
    /// The server is at something of ours.
    asking: AtomicBool,
    /// Requests that are on their way.
    going: AtomicU32,
    changed: Notify,
}

/// A request that is on its way. Dropped, it has been delivered, or never will be.
#[derive(Debug)]
pub(crate) struct Going(Arc<Crossing>);

#[derive(Clone, Debug, Default)]
struct Entry {
    cancelled: CancellationToken,
    /// The statement has been written to the server, or has its answer.
    left: CancellationToken,
    /// The server has said something since, or is not needed.
    heard: CancellationToken,
    /// It has to wait, and so have requests for it.
    detained: Arc<AtomicBool>,
}

/// A statement that has to wait. Dropped, it goes.
#[derive(Debug)]
pub(crate) struct Detained(Arc<AtomicBool>);

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

    /// Notes a client whose server has this process and key, and where that is.
    pub(crate) fn note(&self, who: Bytes, server: Option<SocketAddr>) -> Noted {
        let crossing = Arc::new(Crossing::default());
        let noticed = Noticed {
            server,
            crossing: Arc::clone(&crossing),
        };
        self.clients().insert(who.clone(), noticed);
        Noted {
            cancels: self.clone(),
            who,
            crossing,
            asking: false,
        }
    }

    /// The server that a CancelRequest is meant for.
    pub(crate) fn server(&self, packet: &[u8]) -> Option<SocketAddr> {
        self.clients().get(packet.get(8..)?)?.server
    }

    /// Waits, but not for long, until the server of the client that a CancelRequest means is not at
    /// something of ours. As long as what is returned lives, the client asks for nothing. Cancel safe.
    pub(crate) async fn go(&self, packet: &[u8]) -> Option<Going> {
        let noticed = self.clients().get(packet.get(8..)?).cloned()?;
        let crossing = noticed.crossing;
        let free = async {
            loop {
                let is_free = || !crossing.asking.load(Ordering::SeqCst);
                crossing.until(is_free).await;
                let going = Going::new(&crossing);
                if is_free() {
                    break going;
                }
            }
        };
        let going = timeout(ASKING_MAX, free).await;
        Some(going.unwrap_or_else(|_| Going::new(&crossing)))
    }

    fn clients(&self) -> MutexGuard<'_, HashMap<Bytes, Noticed>> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Frees the client that a CancelRequest means, and waits until its statement has left for the
    /// server, for which the request is meant in truth. `None` if it does not wait. Cancel safe.
    pub(crate) async fn free(&self, packet: &[u8]) -> Option<Freed> {
        let process = i32::from_be_bytes(packet.get(8..12)?.try_into().ok()?);
        let entry = self.entries().get(&process).cloned()?;
        entry.cancelled.cancel();
        while timeout(LEAVE_MAX, entry.left.cancelled()).await.is_err()
            && entry.detained.load(Ordering::SeqCst)
        {}
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

impl Crossing {
    /// Waits until this is so. Cancel safe.
    async fn until(&self, is_so: impl Fn() -> bool) {
        loop {
            let mut changed = pin!(self.changed.notified());
            changed.as_mut().enable();
            if is_so() {
                return;
            }
            changed.await;
        }
    }
}

impl Going {
    fn new(crossing: &Arc<Crossing>) -> Self {
        crossing.going.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(crossing))
    }
}

impl Drop for Going {
    fn drop(&mut self) {
        self.0.going.fetch_sub(1, Ordering::SeqCst);
        self.0.changed.notify_waiters();
    }
}

impl Noted {
    /// Whether the server is, or is about to be, at something of ours.
    pub(crate) fn set_asking(&mut self, asking: bool) {
        if self.asking != asking {
            self.asking = asking;
            self.crossing.asking.store(asking, Ordering::SeqCst);
            self.crossing.changed.notify_waiters();
        }
    }

    /// Waits, but not for long, until no request for this client is on its way, so that none can hit
    /// what follows. Cancel safe.
    pub(crate) async fn unharmed(&self) {
        let none = || self.crossing.going.load(Ordering::SeqCst) == 0;
        if !none() {
            _ = timeout(GOING_MAX, self.crossing.until(none)).await;
        }
    }
}

impl Drop for Noted {
    fn drop(&mut self) {
        // Another session may have the same process and key by now.
        let mut clients = self.cancels.clients();
        let ours = |it: &Noticed| Arc::ptr_eq(&it.crossing, &self.crossing);
        if clients.get(&self.who).is_some_and(ours) {
            clients.remove(&self.who);
        }
    }
}

impl Listed {
    /// The statement has been written to the server.
    pub(crate) fn left(&self) {
        self.entry.left.cancel();
    }

    /// Whether the statement has been written to the server.
    pub(crate) fn has_left(&self) -> bool {
        self.entry.left.is_cancelled()
    }

    /// It has to wait for something, and not for long.
    pub(crate) fn detain(&self) -> Detained {
        self.entry.detained.store(true, Ordering::SeqCst);
        Detained(Arc::clone(&self.entry.detained))
    }

    /// Whether a request for it has come.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.entry.cancelled.is_cancelled()
    }

    /// Resolves when the client's statement is cancelled.
    pub(crate) fn cancelled(&self) -> impl Future<Output = ()> + Send + use<> {
        self.entry.cancelled.clone().cancelled_owned()
    }
}

impl Drop for Detained {
    fn drop(&mut self) {
        self.0.store(false, Ordering::SeqCst);
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

/// How long a request waits for the answer to something of ours.
const ASKING_MAX: Duration = Duration::from_millis(500);

/// How long a client's next statement waits for a request that is on its way.
const GOING_MAX: Duration = Duration::from_secs(1);

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
        let noted = cancels.note(Bytes::from_static(b"\0\0\0\x07key"), Some(server));
        let packet = b"\0\0\0\x0f\x04\xd2\x16\x2e\0\0\0\x07key";
        assert_eq!(cancels.server(packet), Some(server));
        assert_eq!(cancels.server(&packet[..14]), None);
        assert_eq!(cancels.server(b"short"), None);
        drop(noted);
        assert_eq!(cancels.server(packet), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_waits_for_what_it_is_not_meant_for() {
        let cancels = Cancels::default();
        let mut noted = cancels.note(Bytes::from_static(b"\0\0\0\x07key"), None);
        let packet = b"\0\0\0\x0f\x04\xd2\x16\x2e\0\0\0\x07key";
        noted.set_asking(true);
        let asking = cancels.clone();
        let request = tokio::spawn(async move { asking.go(packet).await });
        tokio::task::yield_now().await;
        assert!(!request.is_finished());
        noted.set_asking(false);
        let going = request.await.unwrap().expect("the client is known");
        {
            let mut next = pin!(noted.unharmed());
            assert!(timeout(GOING_MAX / 2, &mut next).await.is_err());
            drop(going);
            next.await;
        }
        // Neither waits for ever.
        noted.set_asking(true);
        let going = cancels.go(packet).await;
        assert!(going.is_some());
        noted.unharmed().await;
        assert!(cancels.go(b"short").await.is_none());
    }
}
