//! How a client's task ends.

use std::{future::poll_fn, task::Poll, time::Duration};

use tokio::{io::AsyncWriteExt, time::timeout};

use super::{Client, End};
use crate::login::refusal;

/// How long the server may take to finish what a vanished client has left behind, before its
/// connection is closed.
const LINGER_MAX: Duration = Duration::from_secs(60);

/// How long a client may read nothing of what is left for it when its server has ended.
const READ_MAX: Duration = Duration::from_secs(60);

/// How long a goodbye may take.
const GOODBYE_MAX: Duration = Duration::from_secs(2);

impl Client {
    /// Nothing more will come of the client: the server is told that this is all.
    pub(super) fn client_left(&mut self) {
        self.session.client_left();
        self.server.stream().limit_silence(LINGER_MAX);
        self.server.finish();
    }

    /// The last words to a client, as far as it still listens.
    pub(super) async fn take_leave(&mut self, end: &End) {
        match end {
            End::ClientSocket(_) => {}
            End::Server | End::ServerSocket(_) => self.flush_to_client(READ_MAX).await,
            End::Shutdown => self.say_goodbye().await,
            End::Session(error) => {
                if self.session.is_between_replies() {
                    let text = refusal::fatal("08P01", &format!("pgmemo: {error}"), None);
                    self.session.to_client.put(&text);
                }
                self.flush_to_client(GOODBYE_MAX).await;
            }
        }
    }

    /// A client that vanishes in the middle leaves work behind: what it has sent is carried out, as
    /// it would be without us, before the connection is closed. Until then the marks hold.
    pub(super) async fn finish_for_vanished(&mut self) {
        if self.unnamed.is_some() && self.flight.is_waiting() {
            poll_fn(|cx| self.flight.poll(cx)).await;
        }
        if self.unnamed.is_some() {
            _ = self.pump().await;
        }
        self.flight.never_wait();
        self.session.release_leads();
        let work = async {
            self.client_left();
            while self.marks.are_pressing() && !self.server.ended {
                self.session.to_client.clear();
                if self.pump().await.is_err() {
                    break;
                }
                let read = poll_fn(|cx| {
                    if let Poll::Ready(Err(error)) =
                        self.server.poll_drain(cx, &mut self.session.to_server)
                    {
                        return Poll::Ready(Err(error));
                    }
                    self.server.poll_fill(cx)
                });
                if !read.await.is_ok_and(|bytes| bytes > 0) {
                    break;
                }
            }
        };
        if timeout(LINGER_MAX, work).await.is_err() {
            tracing::warn!(
                "a statement outlives its client; what it writes stays uncached until it ends"
            );
        }
        let drain = poll_fn(|cx| self.server.poll_drain(cx, &mut self.session.to_server));
        let _ = timeout(GOODBYE_MAX, drain).await;
        let _ = timeout(GOODBYE_MAX, self.server.stream().shutdown()).await;
    }

    /// Writes what the client has yet to read, as long as it reads some of it now and then.
    async fn flush_to_client(&mut self, patience: Duration) {
        loop {
            let left = self.session.to_client.len();
            let drain = poll_fn(|cx| self.client.poll_drain(cx, &mut self.session.to_client));
            let late = timeout(patience, drain).await.is_err();
            if !late || self.session.to_client.len() == left {
                break;
            }
        }
        let _ = timeout(GOODBYE_MAX, self.client.stream().shutdown()).await;
    }

    async fn say_goodbye(&mut self) {
        let text = "terminating connection due to administrator command";
        if self.session.is_between_replies() {
            self.session
                .to_client
                .put(&refusal::fatal("57P01", text, None));
        }
        if self.session.is_between_messages() {
            self.session.to_server.put(wire::frontend::TERMINATE);
        }
        let drain = poll_fn(|cx| self.server.poll_drain(cx, &mut self.session.to_server));
        let _ = timeout(GOODBYE_MAX, drain).await;
        self.flush_to_client(GOODBYE_MAX).await;
    }
}
