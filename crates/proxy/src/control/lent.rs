//! Whether somebody stands in between who lends us the server's connections.
//!
//! A pooler tells its clients of process numbers of its own. By the session it lends a connection for as
//! long as ours lasts, and then cleans up. By the transaction it gives us another one each time, or ours
//! to somebody else: what is set there stays for others, and what is known of a session is not true of
//! it. Nothing but `pg_backend_pid()` is asked to find that out.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf, duplex},
    time::timeout,
};
use tokio_postgres::{
    Client,
    tls::{ChannelBinding, TlsConnect, TlsStream},
};

use super::{Control, ControlError, Credentials, login};
use crate::upstream::Upstream;

impl Control {
    /// Finds out whether the connection is lent, and refuses it if by the transaction. To be called before
    /// anything is set there. Not cancel safe.
    pub(super) async fn look_behind(
        &mut self,
        upstream: &Upstream,
        credentials: &Credentials,
        database: &str,
    ) -> Result<(), ControlError> {
        let process = self.process().await?;
        if told_process(&self.client).await == Some(process) {
            return Ok(());
        }
        self.lent = Some(process);
        let shared = self.is_shared(process, upstream, credentials, database);
        match timeout(PROOF_MAX, shared).await {
            Ok(Ok(true)) => Err(ControlError::Pooled),
            // Whoever lends by the session may have no other to lend.
            Ok(Ok(false) | Err(_)) | Err(_) => Ok(()),
        }
    }

    /// Whether the connection is another one now, or another's: that of a second session, which is there at
    /// the same time.
    async fn is_shared(
        &self,
        process: i32,
        upstream: &Upstream,
        credentials: &Credentials,
        database: &str,
    ) -> Result<bool, ControlError> {
        let other = login(upstream, credentials, database).await?;
        let theirs = other.process().await?;
        for _ in 0..ROUNDS {
            if self.process().await? != process || other.process().await? != theirs {
                return Ok(true);
            }
        }
        Ok(process == theirs)
    }

    /// Refuses a connection that has turned out to be lent by the transaction. Not cancel safe.
    pub(super) async fn stays(&self) -> Result<(), ControlError> {
        match self.lent {
            Some(process) if self.process().await? != process => Err(ControlError::Pooled),
            Some(_) | None => Ok(()),
        }
    }

    async fn process(&self) -> Result<i32, ControlError> {
        let rows = self.rows("SELECT pg_catalog.pg_backend_pid()").await?;
        let told = rows.first().and_then(|row| row.try_get(0).ok()?);
        told.and_then(|text| text.parse().ok())
            .ok_or_else(|| ControlError::Statement("no process has a number".to_owned()))
    }

    /// What has the statement run of this name, or its text where there is none.
    pub(super) fn run(&self, name: &str, text: &str) -> String {
        match self.lent {
            Some(_) => text.to_owned(),
            None => format!("EXECUTE {name}"),
        }
    }
}

/// The process that was told at the login. The client library tells it to nobody but the server, in a
/// request to cancel.
async fn told_process(client: &Client) -> Option<i32> {
    let (ours, mut theirs) = duplex(REQUEST_BYTES_MAX);
    // If it asks for TLS before, that is agreed to.
    theirs.write_all(b"S").await.ok()?;
    let token = client.cancel_token();
    token.cancel_query_raw(ours, AsIs).await.ok()?;
    let mut request = Vec::new();
    theirs.read_to_end(&mut request).await.ok()?;
    // Its length, what it is, the process, and a secret.
    let process = request.last_chunk::<8>()?.first_chunk::<4>()?;
    Some(i32::from_be_bytes(*process))
}

/// No TLS within this process.
struct AsIs;

impl TlsConnect<DuplexStream> for AsIs {
    type Stream = Bare;
    type Error = Infallible;
    type Future = Ready<Result<Bare, Infallible>>;

    fn connect(self, stream: DuplexStream) -> Self::Future {
        ready(Ok(Bare(stream)))
    }
}

struct Bare(DuplexStream);

impl TlsStream for Bare {
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl AsyncRead for Bare {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, into)
    }
}

impl AsyncWrite for Bare {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

/// How often both sessions are asked.
const ROUNDS: usize = 3;

/// How long all that may take.
const PROOF_MAX: Duration = Duration::from_secs(2);

/// A request for TLS and one to cancel.
const REQUEST_BYTES_MAX: usize = 64;
