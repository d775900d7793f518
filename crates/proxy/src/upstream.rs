//! Connections to the PostgreSQL server: addresses, sockets, TLS.
//!
//! Invariant: a stream handed out is at the first byte of the protocol, under the TLS rules of the
//! configuration, and nothing the server sent before the handshake is taken for something it sent
//! after.
//!
//! What is said on a connection is the affair of [`crate::login`] and [`crate::control`].

use std::{
    hash::{BuildHasher as _, RandomState},
    io,
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use config::{Liveness, TlsMode};
use socket2::{SockRef, TcpKeepalive};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UnixStream, lookup_host},
    time::{Instant, timeout, timeout_at},
};
use tracing::debug;

use crate::{
    stream::ServerStream,
    tls::{Tls, TlsError},
};

/// There is no connection to the server.
///
/// Texts name hosts and paths and belong in the log; what a client may read says
/// [`crate::login::unreachable`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UpstreamError {
    /// The name server does not know the host, or did not say.
    #[error("cannot resolve `{host}`: {source}")]
    Resolve {
        /// The host of the configuration.
        host: String,
        /// What the resolver said.
        source: io::Error,
    },
    /// The host has no address.
    #[error("`{0}` has no address")]
    NoAddress(String),
    /// No address accepted; this is the last one's answer.
    #[error("cannot connect to {target}: {source}")]
    Connect {
        /// The address or socket that was tried last.
        target: String,
        /// What the system said.
        source: io::Error,
    },
    /// The whole took too long.
    #[error("no connection to the server within {0:?}")]
    Timeout(Duration),
    /// The socket failed while TLS was being agreed on.
    #[error("connection lost while asking for TLS: {0}")]
    Negotiation(#[source] io::Error),
    /// The server said no, and the mode insists.
    #[error("the server does not offer TLS, which `sslmode` asks for")]
    TlsNotOffered,
    /// The server answered the request for TLS with an error, as those before version 7.0 do and
    /// those that cannot start another process.
    #[error("the server answered the request for TLS with an error")]
    TlsRefused,
    /// What answered is no PostgreSQL server.
    #[error("the server answered the request for TLS with byte {0:#04x}")]
    NotPostgres(u8),
    /// Bytes came behind the answer, before the handshake: they may be somebody else's.
    #[error("the server sent data behind its answer to the request for TLS")]
    EarlyData,
    /// The handshake failed, or the certificate is not accepted.
    #[error("TLS handshake with the server failed: {0}")]
    Handshake(#[source] io::Error),
    /// TLS cannot be set up as the configuration asks.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// Where the server is and how it is reached.
#[derive(Debug)]
pub struct Upstream {
    target: Target,
    /// `None`: plain text, by configuration or because the socket is a Unix-domain one.
    tls: Option<Tls>,
    tls_mode: TlsMode,
    /// What the server sees of us is a certificate of our own, whoever logs in through us.
    vouches: bool,
    connect_timeout: Duration,
    liveness: Liveness,
    /// Whether the server was there when it was last tried, and when that was.
    reached: Mutex<Option<(Instant, bool)>>,
    /// Which address of several led to it last.
    address: Mutex<Option<SocketAddr>>,
    /// Connections of our own that are logging in.
    knocks: Mutex<Vec<Arc<str>>>,
    /// One of them has come back to us.
    itself: AtomicBool,
}

/// A connection of our own that is logging in. It is known by its name as long as that takes: later on
/// everybody at the server can read it.
#[derive(Debug)]
pub(crate) struct Knock<'a> {
    upstream: &'a Upstream,
    name: Arc<str>,
}

impl Knock<'_> {
    /// What administrators see in `pg_stat_activity`.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }
}

impl Drop for Knock<'_> {
    fn drop(&mut self) {
        locked(&self.upstream.knocks).retain(|name| *name != self.name);
    }
}

/// What a socket is connected to.
#[derive(Debug)]
enum Target {
    Tcp { host: String, port: u16 },
    Unix(PathBuf),
}

impl Upstream {
    /// Prepares connections; reads certificate files, but connects to nothing.
    ///
    /// # Errors
    ///
    /// When TLS cannot be set up as the configuration asks.
    pub fn new(config: &config::Upstream) -> Result<Self, UpstreamError> {
        let (target, tls) = if config.host.starts_with('/') {
            // As in libpq, TLS settings do not apply to Unix-domain sockets.
            let socket = PathBuf::from(&config.host).join(format!(".s.PGSQL.{}", config.port));
            (Target::Unix(socket), None)
        } else {
            let tls = Tls::new(config)?;
            (
                Target::Tcp {
                    host: config.host.clone(),
                    port: config.port,
                },
                tls,
            )
        };
        Ok(Self {
            target,
            tls,
            tls_mode: config.tls,
            vouches: config.client_certificate.is_some(),
            connect_timeout: config.connect_timeout,
            liveness: config.liveness,
            reached: Mutex::default(),
            address: Mutex::default(),
            knocks: Mutex::default(),
            itself: AtomicBool::new(false),
        })
    }

    /// Connects, within the configured time.
    ///
    /// Not cancel safe: the connection is lost with the future.
    ///
    /// # Errors
    ///
    /// When no address accepts, TLS is not agreed on, or the time is over.
    pub async fn connect(&self) -> Result<ServerStream, UpstreamError> {
        self.reached(self.establish(None)).await
    }

    /// The same without TLS, where that is allowed and has turned out to be needed.
    ///
    /// Not cancel safe.
    pub(crate) async fn connect_plain(&self) -> Result<ServerStream, UpstreamError> {
        self.reached(self.dial_at(None)).await
    }

    async fn reached(
        &self,
        stream: impl Future<Output = Result<ServerStream, UpstreamError>>,
    ) -> Result<ServerStream, UpstreamError> {
        let stream = timeout(self.connect_timeout, stream)
            .await
            .unwrap_or(Err(UpstreamError::Timeout(self.connect_timeout)));
        if stream.is_err() {
            self.note(false);
        }
        stream
    }

    /// The server was there just now, or was not.
    pub(crate) fn note(&self, reached: bool) {
        *locked(&self.reached) = Some((Instant::now(), reached));
    }

    /// Whether it was there when it was last tried.
    pub(crate) fn is_reached(&self) -> bool {
        locked(&self.reached).is_some_and(|(_, reached)| reached)
    }

    /// Whether it was tried within this time.
    pub(crate) fn was_tried_within(&self, age: Duration) -> bool {
        locked(&self.reached).is_some_and(|(when, _)| when.elapsed() < age)
    }

    /// A connection of our own is about to log in.
    pub(crate) fn knock(&self) -> Knock<'_> {
        // Keyed by the system's entropy, each with another key.
        let nonce = RandomState::new().hash_one(0) >> u32::BITS;
        let name: Arc<str> = format!("{APPLICATION_NAME} {nonce:08x}").into();
        locked(&self.knocks).push(Arc::clone(&name));
        Knock {
            upstream: self,
            name,
        }
    }

    /// Whether these are parameters with which one begins that is logging in.
    pub(crate) fn knocks_with(&self, parameters: &[(Bytes, Bytes)]) -> bool {
        let named = parameters
            .iter()
            .find(|(name, _)| name == "application_name");
        named.is_some_and(|(_, value)| {
            let knocks = locked(&self.knocks);
            knocks.iter().any(|name| *value == name.as_bytes())
        })
    }

    /// One has come back to us, or has met a server. Returns what was known before.
    pub(crate) fn note_itself(&self, itself: bool) -> bool {
        self.itself.swap(itself, Ordering::Relaxed)
    }

    /// Whether it leads back to us, for all that is known.
    pub(crate) fn is_itself(&self) -> bool {
        self.itself.load(Ordering::Relaxed)
    }

    /// Sends a CancelRequest as the client sent it, and waits until the server has closed: the one
    /// at this address, if the session's is known. Nothing is sent if by then it is not `due` any
    /// more; what `due` has returned lives until it is over.
    ///
    /// The server closes once the signal is sent; there is no other answer.
    ///
    /// # Errors
    ///
    /// When the server cannot be reached or does not close in time.
    pub async fn cancel<T>(
        &self,
        packet: &[u8],
        address: Option<SocketAddr>,
        due: impl Future<Output = Option<T>>,
    ) -> Result<(), UpstreamError> {
        let deliver = async {
            let mut stream = self.establish(address).await?;
            let Some(_due) = due.await else {
                return Ok(());
            };
            stream
                .write_all(packet)
                .await
                .map_err(UpstreamError::Negotiation)?;
            stream.flush().await.map_err(UpstreamError::Negotiation)?;
            // Some systems close with a reset, which is as good an end as any.
            let mut rest = [0; 64];
            while stream.read(&mut rest).await.is_ok_and(|n| n > 0) {}
            Ok(())
        };
        timeout(self.connect_timeout, deliver)
            .await
            .map_err(|_| UpstreamError::Timeout(self.connect_timeout))?
    }

    /// The TLS rules; `None` where connections are plain.
    pub(crate) const fn tls(&self) -> Option<&Tls> {
        self.tls.as_ref()
    }

    /// Whether the server is shown a certificate of ours, on all connections.
    pub(crate) const fn vouches(&self) -> bool {
        self.vouches
    }

    /// Whether a connection without TLS is better than none.
    pub(crate) fn is_plain_allowed(&self) -> bool {
        self.tls_mode == TlsMode::Prefer
    }

    /// How long a connection may take.
    pub(crate) const fn connect_timeout(&self) -> Duration {
        self.connect_timeout
    }

    async fn establish(&self, address: Option<SocketAddr>) -> Result<ServerStream, UpstreamError> {
        let Some(tls) = &self.tls else {
            return self.dial_at(address).await;
        };
        match secure(self.dial_at(address).await?, tls, self.tls_mode).await {
            // `prefer` means plain text rather than nothing, also where TLS is offered and fails.
            Err(error @ (UpstreamError::Handshake(_) | UpstreamError::TlsRefused))
                if self.is_plain_allowed() =>
            {
                debug!(%error, "going on without TLS");
                self.dial_at(address).await
            }
            outcome => outcome,
        }
    }

    /// Opens a socket and says nothing on it yet.
    pub(crate) async fn dial(&self) -> Result<ServerStream, UpstreamError> {
        self.dial_at(None).await
    }

    async fn dial_at(&self, address: Option<SocketAddr>) -> Result<ServerStream, UpstreamError> {
        match &self.target {
            Target::Unix(path) => UnixStream::connect(path)
                .await
                .map(ServerStream::Unix)
                .map_err(|source| UpstreamError::Connect {
                    target: path.display().to_string(),
                    source,
                }),
            Target::Tcp { host, port } => {
                let socket = match address {
                    Some(address) => self.dial_tcp(host, &[address]).await?,
                    None => {
                        let addresses = self.addresses(host, *port).await?;
                        let socket = self.dial_tcp(host, &addresses).await?;
                        *locked(&self.address) = socket.peer_addr().ok();
                        socket
                    }
                };
                Ok(ServerStream::Tcp(socket))
            }
        }
    }

    /// The addresses of a host in the resolver's order, but first the one that led to the server last:
    /// behind each may be another, and what one has said of its catalog does not hold for others.
    async fn addresses(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, UpstreamError> {
        let mut addresses: Vec<_> = lookup_host((host, port))
            .await
            .map_err(|source| UpstreamError::Resolve {
                host: host.to_owned(),
                source,
            })?
            .take(ADDRESSES_MAX)
            .collect();
        if let Some(last) = *locked(&self.address) {
            // False comes first.
            addresses.sort_by_key(|address| *address != last);
        }
        Ok(addresses)
    }

    /// Tries addresses in this order; none may eat the time of the others.
    async fn dial_tcp(
        &self,
        host: &str,
        addresses: &[SocketAddr],
    ) -> Result<TcpStream, UpstreamError> {
        let end = Instant::now() + self.connect_timeout;
        let count = u32::try_from(addresses.len()).unwrap_or(u32::MAX);
        let mut outcome = Err(UpstreamError::NoAddress(host.to_owned()));
        for (left, address) in (1..=count).rev().zip(addresses) {
            let now = Instant::now();
            let share = end.saturating_duration_since(now) / left;
            let attempt = timeout_at(now + share, TcpStream::connect(address))
                .await
                .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
                .and_then(|socket| tuned(socket, &self.liveness));
            match attempt {
                Ok(socket) => return Ok(socket),
                Err(source) => {
                    outcome = Err(UpstreamError::Connect {
                        target: address.to_string(),
                        source,
                    });
                }
            }
        }
        outcome
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Asks for TLS and shakes hands if the server agrees.
async fn secure(
    stream: ServerStream,
    tls: &Tls,
    mode: TlsMode,
) -> Result<ServerStream, UpstreamError> {
    let ServerStream::Tcp(mut socket) = stream else {
        return Ok(stream);
    };
    socket
        .write_all(&SSL_REQUEST)
        .await
        .map_err(UpstreamError::Negotiation)?;
    // One byte more than the answer: whoever fills it speaks out of turn.
    let mut answer = [0; 2];
    let n = socket
        .read(&mut answer)
        .await
        .map_err(UpstreamError::Negotiation)?;
    match (n, answer) {
        (0, _) => Err(UpstreamError::Negotiation(
            io::ErrorKind::UnexpectedEof.into(),
        )),
        // An error message follows the first byte. It was never authenticated: not even logged.
        (_, [b'E', _]) => Err(UpstreamError::TlsRefused),
        (2.., _) => Err(UpstreamError::EarlyData),
        (_, [b'S', _]) => match tls.handshake(socket).await {
            Ok(stream) => Ok(ServerStream::Tls(Box::new(stream))),
            Err(error) => Err(UpstreamError::Handshake(error)),
        },
        (_, [b'N', _]) if mode == TlsMode::Prefer => Ok(ServerStream::Tcp(socket)),
        (_, [b'N', _]) => Err(UpstreamError::TlsNotOffered),
        (_, [byte, _]) => Err(UpstreamError::NotPostgres(byte)),
    }
}

/// Sets what every socket to the server has: no waiting for more to send, and a sign of life.
fn tuned(socket: TcpStream, liveness: &Liveness) -> io::Result<TcpStream> {
    socket.set_nodelay(true)?;
    let tuned = SockRef::from(&socket);
    if liveness.asks {
        let mut alive = TcpKeepalive::new()
            .with_time(liveness.after)
            .with_interval(liveness.every);
        if let Some(count) = liveness.count {
            alive = alive.with_retries(count);
        }
        tuned.set_tcp_keepalive(&alive)?;
    }
    #[cfg(target_os = "linux")]
    tuned.set_tcp_user_timeout(liveness.unacknowledged_max)?;
    Ok(socket)
}

/// Length 8, code 1234.5679.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

/// How the names of our own connections begin.
const APPLICATION_NAME: &str = "pgmemo control";

/// How many addresses of one host are tried.
const ADDRESSES_MAX: usize = 16;

#[cfg(test)]
mod tests;
