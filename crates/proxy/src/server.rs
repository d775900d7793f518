//! Accepting clients, and bringing each from its first byte to its session.

use std::{
    convert::Infallible,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use arc_swap::{ArcSwap, ArcSwapOption};
use bytes::BytesMut;
use cache::DigestBuilder;
use config::Config;
use session::{Session, Shared, Telemetry};
use socket2::{SockRef, TcpKeepalive};
use store::{Flights, Store};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpSocket, TcpStream},
    time::{Instant, timeout, timeout_at},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::Instrument;

use crate::{
    acceptor::{Acceptor, AcceptorError, begins_with_tls},
    client::{Client, Timing},
    control::MAINTENANCE,
    counted::Counted,
    database::{Databases, State},
    flight::Flight,
    greeting::{Encryption, GreetError, Greeting, Replication, StartupPacket, greet},
    leave::Leave,
    link::Link,
    login::{Login, LoginError, LoginRules, Sasl, Trust, refusal, relay_login, unreachable},
    marks::Marks,
    place::{Place, Services},
    refresh::Refresher,
    stream::{ClientStream, ServerStream, Stream},
    upstream::{Upstream, UpstreamError},
    workers::Workers,
};

/// Connections that wait to be accepted.
const BACKLOG: u32 = 1024;

/// How long a login waits for the first catalog snapshot of its database, rather than begin
/// without a cache.
const FIRST_SNAPSHOT_MAX: Duration = Duration::from_secs(2);

/// How often the server is looked for while no connection to it stands.
const PROBE_EVERY: Duration = Duration::from_secs(5);

/// How long a refusal may take to be delivered.
const REFUSAL_MAX: Duration = Duration::from_secs(2);

/// The proxy cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// The address is taken, or not ours.
    #[error("cannot listen on {address}: {source}; choose another with `listen`")]
    Listen {
        /// What was asked for.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The system gives no threads.
    #[error("cannot start threads: {0}")]
    Threads(#[source] io::Error),
    /// What is configured for the upstream cannot be used.
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    /// What is configured for TLS towards clients cannot be used.
    #[error(transparent)]
    Acceptor(#[from] AcceptorError),
}

/// The proxy, ready to accept.
#[derive(Debug)]
pub struct Server {
    /// Until it runs.
    listener: Mutex<Option<TcpListener>>,
    address: SocketAddr,
    shared: Arc<Front>,
    workers: Workers,
}

/// What accepting and observing have in common.
#[derive(Debug)]
pub(crate) struct Front {
    pub(crate) config: ArcSwap<Config>,
    pub(crate) upstream: Arc<Upstream>,
    acceptor: ArcSwapOption<Acceptor>,
    pub(crate) services: Arc<Services>,
    pub(crate) leave: Leave,
}

impl Server {
    /// Listens, and starts what works in the background. Does not wait for PostgreSQL or Redis.
    ///
    /// # Errors
    ///
    /// When the address cannot be listened on, or the settings of the upstream or of TLS cannot be
    /// used.
    pub fn bind(config: Arc<Config>, store: Store) -> Result<Self, BindError> {
        let refused = |source| BindError::Listen {
            address: config.listen,
            source,
        };
        let listener = listen(config.listen).map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        let upstream = Arc::new(Upstream::new(&config.upstream)?);
        let workers = Workers::start(config.limits.threads.unwrap_or_else(Workers::usual_count));
        let workers = workers.map_err(BindError::Threads)?;
        store.serve_from(&workers.runtimes());
        let acceptor = Acceptor::load(config.tls.as_ref())?.map(Arc::new);
        let limits = session::Limits {
            analysis_bytes_max: config.cache.analysis_bytes_max,
            entry_bytes_max: usize::try_from(config.cache.entry_bytes_max).unwrap_or(usize::MAX),
        };
        let sessions = Arc::new(Shared::new(limits, Arc::new(Telemetry::default())));
        let databases = Databases::new(&config, Arc::clone(&upstream), store.clone());
        // The database of the URL is known by name, and most likely the one that clients want.
        let named = config.upstream.database.as_deref().unwrap_or(MAINTENANCE);
        if config.upstream.user.is_some() {
            databases.stand_in(named);
        }
        let flights = Arc::new(Flights::new(config.cache.flight_wait_max));
        let kept = (store.clone(), Arc::clone(&flights));
        let refresher = Refresher::new(Arc::clone(&upstream), &config.upstream, kept, &sessions);
        let forget = config.testing_forget;
        let services = Services::new(store, databases, sessions, flights, refresher, forget);
        let services = Arc::new(services);
        let shared = Front {
            config: ArcSwap::new(config),
            upstream,
            acceptor: ArcSwapOption::new(acceptor),
            services,
            leave: Leave::default(),
        };
        Ok(Self {
            listener: Mutex::new(Some(listener)),
            address,
            shared: Arc::new(shared),
            workers,
        })
    }

    /// Where clients connect.
    pub const fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// What the admin port shows.
    pub fn observed(&self) -> Arc<dyn admin::Observed> {
        Arc::clone(&self.shared) as Arc<dyn admin::Observed>
    }

    /// Takes over what can be changed while running: rules, TTLs, limits of logins, certificates.
    ///
    /// # Errors
    ///
    /// When the certificate or its key cannot be used; then nothing changes.
    pub fn reload(&self, config: Arc<Config>) -> Result<(), AcceptorError> {
        let acceptor = Acceptor::load(config.tls.as_ref())?;
        self.shared.acceptor.store(acceptor.map(Arc::new));
        let services = &self.shared.services;
        services.databases.set_rules(&config);
        services.flights.set_wait_max(config.cache.flight_wait_max);
        self.shared.config.store(config);
        Ok(())
    }

    /// Accepts clients until `stop`, then lets them finish what they have begun, for at most the
    /// configured drain timeout. A second call returns at once.
    ///
    /// Not cancel safe.
    pub async fn run(&self, stop: CancellationToken) {
        let listener = self
            .listener
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let Some(listener) = listener else { return };
        let clients = TaskTracker::new();
        let front = Arc::clone(&self.shared);
        self.shared
            .services
            .tasks
            .spawn(async move { front.look_after_upstream().await });
        tokio::select! {
            () = stop.cancelled() => {}
            never = self.accept(&listener, &clients) => match never {},
        }
        self.shared.leave.give();
        clients.close();
        let patience = self.shared.config.load().limits.drain_timeout;
        // Those who come now are told so, and may cancel what others are still at.
        let late = TaskTracker::new();
        let drained = tokio::select! {
            drained = timeout(patience, clients.wait()) => drained,
            never = self.accept(&listener, &late) => match never {},
        };
        drop(listener);
        if drained.is_err() {
            tracing::warn!(
                clients = clients.len(),
                "clients were still at work when the drain timeout ended"
            );
        }
        self.shared.services.refresher.shutdown().await;
        self.shared.services.tasks.close();
        let _ = timeout(REFUSAL_MAX, self.shared.services.tasks.wait()).await;
        self.shared.services.databases.shutdown().await;
        self.shared.services.store.shutdown().await;
    }

    /// Accepts clients. Cancel safe.
    async fn accept(&self, listener: &TcpListener, clients: &TaskTracker) -> Infallible {
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => self.welcome(stream, peer, clients),
                Err(error) => {
                    // Out of file descriptors, mostly: wait for some to be given back.
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }

    fn welcome(&self, stream: TcpStream, peer: SocketAddr, clients: &TaskTracker) {
        self.shared.services.sessions.telemetry.connections.inc();
        let front = Arc::clone(&self.shared);
        // It was accepted on another thread, which is not to be woken by it.
        let stream = stream.into_std();
        let seat = self.workers.seat();
        let runtime = seat.runtime().clone();
        let span = tracing::debug_span!("client", %peer);
        let client = async move {
            match stream.and_then(TcpStream::from_std) {
                Ok(stream) => front.serve(stream, peer).await,
                Err(error) => tracing::warn!(%error, "cannot wait for a client's socket"),
            }
            drop(seat);
        };
        clients.spawn_on(client.instrument(span), &runtime);
    }
}

impl Front {
    /// Looks now and then whether the server is there, as long as no connection of ours tells.
    async fn look_after_upstream(&self) {
        loop {
            let states = self.services.databases.states();
            let tells = |state| matches!(state, State::Starting | State::Ready | State::Unread(_));
            if !states.into_iter().any(|(_, state)| tells(state))
                && !self.upstream.was_tried_within(PROBE_EVERY)
                && self.upstream.connect().await.is_ok()
            {
                self.upstream.note(true);
            }
            if timeout(PROBE_EVERY, self.leave.wait()).await.is_ok() {
                return;
            }
        }
    }

    async fn serve(&self, stream: TcpStream, peer: SocketAddr) {
        let config = self.config.load_full();
        if let Err(error) = tuned(&stream, config.limits.client_gone_after) {
            tracing::debug!(%error, "cannot set up a client's socket");
        }
        let deadline = Instant::now() + config.limits.login_timeout;
        // Each phase is an allocation of its own: what a login takes is given back when the session
        // begins, and of that there is but one copy.
        let greeted = tokio::select! {
            greeted = Box::pin(self.greet(stream, deadline)) => greeted,
            // A stop does not wait for who says nothing.
            () = self.stop_for_strangers() => return,
        };
        match greeted {
            Ok((stream, acceptor, Greeting::Startup(packet, ahead))) => {
                let client = (stream, acceptor);
                let login = Box::pin(self.log_in(client, peer, *packet, ahead));
                if let Some(mut client) = login.await {
                    let end = Box::pin(client.run(&self.leave)).await;
                    tracing::debug!(%end, "session ended");
                }
            }
            Ok((stream, _, Greeting::Cancel(packet))) => {
                Box::pin(self.cancel(&packet, stream)).await;
            }
            Ok((_, _, Greeting::Gone | Greeting::Encrypt)) => {}
            Err(error) => tracing::debug!(%error, "no startup"),
        }
    }

    /// Hears what a client wants, encrypted if it asks for that and we can: with what clients are
    /// shown now.
    async fn greet(
        &self,
        mut socket: TcpStream,
        deadline: Instant,
    ) -> Result<(ClientStream, Option<Arc<Acceptor>>, Greeting), GreetError> {
        let Some(acceptor) = self.acceptor.load_full() else {
            let greeting = greet(&mut socket, Encryption::Declined, deadline).await?;
            return Ok((Stream::Tcp(socket), None, greeting));
        };
        let in_time = |stream: Result<_, _>| stream.map_err(|_| GreetError::Timeout);
        let accepted = if in_time(timeout_at(deadline, begins_with_tls(&socket)).await)?? {
            timeout_at(deadline, acceptor.accept_direct(socket)).await
        } else {
            let greeting = greet(&mut socket, Encryption::Offered, deadline).await?;
            if !matches!(greeting, Greeting::Encrypt) {
                return Ok((Stream::Tcp(socket), Some(acceptor), greeting));
            }
            timeout_at(deadline, acceptor.accept(socket)).await
        };
        let mut stream = accepted.map_err(|_| GreetError::Timeout)??;
        let greeting = greet(&mut stream, Encryption::InForce, deadline).await?;
        Ok((stream, Some(acceptor), greeting))
    }

    /// Resolves when those who have no session yet have to leave: a while after the word was given, so
    /// that who has begun to speak is told. Cancel safe.
    async fn stop_for_strangers(&self) {
        self.leave.wait().await;
        tokio::time::sleep(REFUSAL_MAX).await;
    }

    async fn cancel(&self, packet: &[u8], stream: ClientStream) {
        let freed = self.services.cancels.free(packet).await;
        self.deliver(packet, || true).await;
        let mut attempt = 0;
        while let Some(freed) = &freed
            && freed.is_running(attempt).await
        {
            self.deliver(packet, || freed.is_unanswered()).await;
            attempt += 1;
        }
        // Whoever waits for the end of its request must not meet with it at its next statement.
        drop(stream);
    }

    async fn deliver(&self, cancel: &[u8], due: impl Fn() -> bool) {
        let cancels = &self.services.cancels;
        let server = cancels.server(cancel);
        let going = async {
            let going = cancels.go(cancel).await;
            due().then_some(going)
        };
        if let Err(error) = self.upstream.cancel(cancel, server, going).await {
            tracing::debug!(%error, "cancel request was not delivered");
        }
    }

    /// Brings a client to its session. With that comes a server connection, which is counted.
    async fn log_in(
        &self,
        (mut client, acceptor): (ClientStream, Option<Arc<Acceptor>>),
        peer: SocketAddr,
        packet: StartupPacket,
        ahead: BytesMut,
    ) -> Option<Box<Client>> {
        let config = self.config.load_full();
        let telemetry = &self.services.sessions.telemetry;
        let client_counted = Counted::new(telemetry, |it| &it.clients);
        if self.leave.is_given() {
            let text = "the database system is shutting down";
            refuse(&mut client, "57P03", text, None).await;
            return None;
        }
        let full = telemetry.clients.value() > i64::from(config.limits.clients_max);
        if full {
            let hint = Some("raise limits.clients_max");
            let text = "sorry, too many clients already";
            refuse(&mut client, "53300", text, hint).await;
            return None;
        }
        if !client.is_tls() && acceptor.as_ref().is_some_and(|acceptor| acceptor.required) {
            let text = "pgmemo accepts encrypted connections only";
            refuse(
                &mut client,
                "28000",
                text,
                Some("Connect with sslmode=require."),
            )
            .await;
            return None;
        }
        let mut server = match self.upstream.connect().await {
            Ok(server) => server,
            Err(error) => {
                tracing::warn!(%error, "cannot reach the server");
                tell(&mut client, &unreachable(&error)).await;
                return None;
            }
        };
        let counted = [client_counted, Counted::new(telemetry, |it| &it.servers)];
        let rules = LoginRules {
            trust: self.trust(peer, &server, &config),
            sasl: sasl(&client, &server, acceptor.as_deref()),
            timeout: config.limits.login_timeout,
        };
        // Before the server reads what it sets at this login.
        let generation = self.services.databases.generation(&packet.database);
        let login = tokio::select! {
            login = relay_login(&mut client, &mut server, &packet.raw, ahead, rules) => login,
            () = self.stop_for_strangers() => {
                let text = "the database system is shutting down";
                refuse(&mut client, "57P03", text, None).await;
                return None;
            }
        };
        match login {
            Ok(login) if packet.replication == Replication::Physical => {
                tokio::select! {
                    () = pipe(client, server, login) => {}
                    () = self.leave.wait() => {}
                }
            }
            Ok(login) => {
                self.upstream.note(true);
                let state = state(&packet, &login, generation);
                let session = self.session(client, server, &packet, (login, state), counted);
                return Some(session.await);
            }
            Err(error @ (LoginError::Refused { .. } | LoginError::ClientGone)) => {
                if matches!(&error, LoginError::Refused { sqlstate } if **sqlstate == *b"57P03") {
                    self.upstream.note(false);
                }
                tracing::debug!(%error, "login failed");
            }
            Err(error) => tracing::info!(%error, "login failed"),
        }
        None
    }

    /// What it is worth if the server asks a client for nothing. It judges by what it sees of us: on
    /// TCP our address, which clients of our own host share with us; on a Unix-domain socket the
    /// user we run as, or in TLS our certificate, which they do not.
    fn trust(&self, peer: SocketAddr, server: &ServerStream, config: &Config) -> Trust {
        if config.limits.allow_trust_relay {
            return Trust::Passes;
        }
        match server {
            Stream::Unix(_) => Trust::ByUser,
            Stream::Tls(_) if self.upstream.vouches() => Trust::ByUser,
            Stream::Tcp(_) | Stream::Tls(_) if peer.ip().to_canonical().is_loopback() => {
                Trust::Passes
            }
            Stream::Tcp(_) | Stream::Tls(_) => Trust::ByAddress,
        }
    }

    async fn session(
        &self,
        client: ClientStream,
        server: ServerStream,
        packet: &StartupPacket,
        (login, state): (Login, session::Login),
        counted: [Counted; 2],
    ) -> Box<Client> {
        let place = Place::new(
            Arc::clone(&self.services),
            &packet.database,
            login.process,
            packet.replication == Replication::Logical,
        );
        place.wait(FIRST_SNAPSHOT_MAX).await;
        let cancels = &self.services.cancels;
        let noted = login
            .backend()
            .map(|who| cancels.note(who, server.address()));
        let session = Session::new(Arc::clone(&self.services.sessions), &state);
        Box::new(Client {
            place,
            session,
            client: Link::new(client, login.leftover_client),
            server: Link::new(server, login.leftover_server),
            marks: Marks::default(),
            marked: Instant::now(),
            timing: Timing::default(),
            flight: Flight::default(),
            _counted: counted,
            noted,
        })
    }
}

/// What becomes of a login by SASL between these two.
fn sasl(client: &ClientStream, server: &ServerStream, acceptor: Option<&Acceptor>) -> Sasl {
    match (client.is_tls(), server.is_tls()) {
        (_, false) => Sasl::Relay,
        (false, true) => Sasl::Unbound,
        (true, true) if acceptor.is_some_and(|it| it.shows_same_as(server)) => Sasl::Relay,
        (true, true) => Sasl::Vouch,
    }
}

/// What the state of a session follows from at its login.
fn state(packet: &StartupPacket, login: &Login, generation: Option<u64>) -> session::Login {
    let mut digest = DigestBuilder::default();
    digest.field(&packet.raw);
    for (name, value) in &login.parameters {
        digest.field(name).field(value);
    }
    let reports = login.parameters.iter();
    let reports = reports.map(|(name, value)| (&name[..], &value[..]));
    session::Login {
        digest: digest.finish(),
        texts: session::Texts::at_login(reports.clone()),
        primary: reports
            .into_iter()
            .any(|report| report == (&b"in_hot_standby"[..], &b"off"[..])),
        generation,
    }
}

/// Physical replication knows no SQL: it is none of our business.
async fn pipe(mut client: ClientStream, mut server: ServerStream, login: Login) {
    let ahead = async {
        client.write_all(&login.leftover_server).await?;
        server.write_all(&login.leftover_client).await?;
        tokio::io::copy_bidirectional(&mut client, &mut server).await
    };
    if let Err(error) = ahead.await {
        tracing::debug!(%error, "replication connection ended");
    }
}

async fn refuse(client: &mut ClientStream, code: &str, text: &str, hint: Option<&str>) {
    tell(client, &refusal::fatal(code, text, hint)).await;
}

/// Sets what every socket to a client has: no waiting for more to send, and a question now and then
/// whether the client is still there, as PostgreSQL's sockets have.
fn tuned(socket: &TcpStream, gone_after: Option<Duration>) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let socket = SockRef::from(socket);
    let Some(gone_after) = gone_after else {
        return socket.set_keepalive(true);
    };
    let every = (gone_after / 10).max(Duration::from_secs(1));
    let alive = TcpKeepalive::new()
        .with_time((gone_after / 2).max(Duration::from_secs(1)))
        .with_interval(every)
        .with_retries(5);
    // No TCP_USER_TIMEOUT: it would end clients that are there and take their time to read.
    socket.set_tcp_keepalive(&alive)
}

/// Says a last word; whoever does not listen has left already.
async fn tell(client: &mut ClientStream, frame: &[u8]) {
    let _ = timeout(REFUSAL_MAX, async {
        client.write_all(frame).await?;
        client.shutdown().await
    })
    .await;
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}
