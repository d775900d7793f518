//! What all clients meet: bringing each from its first byte to its session.

use std::{
    hash::{BuildHasher as _, RandomState},
    io,
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use arc_swap::{ArcSwap, ArcSwapOption};
use bytes::BytesMut;
use cache::DigestBuilder;
use config::Config;
use session::Session;
use socket2::{SockRef, TcpKeepalive};
use tokio::{
    io::AsyncWriteExt,
    net::TcpStream,
    time::{Instant, timeout, timeout_at},
};

use crate::{
    acceptor::{Acceptor, begins_with_tls},
    client::{Client, Timing},
    counted::Counted,
    database::State,
    flight::Flight,
    greeting::{Encryption, GreetError, Greeting, Replication, StartupPacket, greet},
    leave::Leave,
    link::Link,
    login::{Login, LoginError, LoginRules, Sasl, Trust, refusal, relay_login, unreachable},
    marks::Marks,
    place::Place,
    seldom::Seldom,
    services::Services,
    stream::{ClientStream, ServerStream, Stream},
    upstream::{Upstream, UpstreamError},
};

mod strangers;

/// How long a login waits for the first catalog snapshot of its database, rather than begin
/// without a cache.
const FIRST_SNAPSHOT_MAX: Duration = Duration::from_secs(2);

/// How often the server is looked for while no connection to it stands.
const PROBE_EVERY: Duration = Duration::from_secs(5);

/// How long a refusal may take to be delivered.
pub(crate) const REFUSAL_MAX: Duration = Duration::from_secs(2);

/// What accepting and observing have in common.
#[derive(Debug)]
pub(crate) struct Front {
    pub(crate) config: ArcSwap<Config>,
    pub(crate) upstream: Arc<Upstream>,
    pub(crate) acceptor: ArcSwapOption<Acceptor>,
    pub(crate) services: Arc<Services>,
    pub(crate) leave: Leave,
    /// About a server that cannot be reached.
    pub(crate) unreached: Seldom,
}

impl Front {
    /// Looks now and then whether the server is there, as long as no connection of ours tells.
    pub(crate) async fn look_after_upstream(&self) {
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

    /// Serves a client from its first byte to its last.
    pub(crate) async fn serve(&self, stream: TcpStream, peer: SocketAddr) {
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
            Ok((stream, _, Greeting::Foreign(packet))) => {
                Box::pin(self.judge(&packet, stream)).await;
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

    async fn cancel(&self, packet: &[u8], mut stream: ClientStream) {
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
        close(&mut stream).await;
    }

    async fn deliver(&self, cancel: &[u8], due: impl Fn() -> bool) {
        if self.upstream.is_itself() {
            return;
        }
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
        if self.upstream.knocks_with(&packet.parameters) {
            self.meets_itself();
        }
        let required = acceptor.as_ref().is_some_and(|acceptor| acceptor.required);
        if let Err(refused) = self.admit(client.is_tls() || !required, &config) {
            refused.tell(&mut client).await;
            return None;
        }
        let mut server = match self.upstream.connect().await {
            Ok(server) => server,
            Err(error) => {
                self.cannot_reach(&mut client, &error).await;
                return None;
            }
        };
        let counted = [client_counted, Counted::new(telemetry, |it| &it.servers)];
        let rules = |client: &ClientStream, server: &ServerStream| LoginRules {
            trust: self.trust(peer, server, &config),
            sasl: sasl(client, server, acceptor.as_deref()),
            over_tls: server.is_tls() && self.upstream.is_plain_allowed(),
            timeout: config.limits.login_timeout,
        };
        // Before the server reads what it sets at this login.
        let generation = self.services.databases.generation(&packet.database);
        let login = tokio::select! {
            login = self.relayed(&mut client, &mut server, &packet.raw, ahead, rules) => login,
            () = self.stop_for_strangers() => {
                Refusal::STOPPING.tell(&mut client).await;
                return None;
            }
        };
        let Some(login) = self.logged_in(login) else {
            close(&mut client).await;
            return None;
        };
        if packet.replication == Replication::Physical {
            tokio::select! {
                () = pipe(client, server, login) => {}
                () = self.leave.wait() => {}
            }
            return None;
        }
        self.upstream.note(true);
        let state = state(&packet, &login, generation);
        let session = self.session(client, server, &packet, (login, state), counted);
        Some(session.await)
    }

    /// Relays a login, and does so once more over a connection without TLS where the server turns it away
    /// for coming over TLS and need not be spoken to so.
    async fn relayed(
        &self,
        client: &mut ClientStream,
        server: &mut ServerStream,
        startup: &[u8],
        ahead: BytesMut,
        rules: impl Fn(&ClientStream, &ServerStream) -> LoginRules,
    ) -> Result<Login, LoginError> {
        let over_tls = rules(client, server);
        let login = relay_login(client, server, startup, ahead, over_tls).await;
        let Err(LoginError::OverTls { ahead }) = login else {
            return login;
        };
        tracing::debug!("the server refuses a login over TLS: going on without");
        match self.upstream.connect_plain().await {
            Ok(plain) => *server = plain,
            Err(error) => {
                self.cannot_reach(client, &error).await;
                return Err(LoginError::ServerGone);
            }
        }
        let plain = rules(client, server);
        relay_login(client, server, startup, ahead, plain).await
    }

    async fn cannot_reach(&self, client: &mut ClientStream, error: &UpstreamError) {
        if self.unreached.is_due() {
            tracing::warn!(%error, "cannot reach the server");
        } else {
            tracing::debug!(%error, "cannot reach the server");
        }
        tell(client, &unreachable(error)).await;
    }

    /// A connection of our own has come back to us: each client's would do so as well, again and again.
    fn meets_itself(&self) {
        if !self.upstream.note_itself(true) {
            tracing::error!(
                "`upstream` leads back to this pgmemo: name the server in it, not what clients connect to; until then nobody is let in"
            );
        }
    }

    /// Whether there is room for another client, who has come by a connection that is good enough.
    fn admit(&self, encrypted: bool, config: &Config) -> Result<(), Refusal> {
        let clients = self.services.sessions.telemetry.clients.value();
        if self.leave.is_given() {
            Err(Refusal::STOPPING)
        } else if self.upstream.is_itself() {
            Err(Refusal::ITSELF)
        } else if clients > i64::from(config.limits.clients_max) {
            Err(Refusal::FULL)
        } else if !encrypted {
            Err(Refusal::UNENCRYPTED)
        } else {
            Ok(())
        }
    }

    /// The login, if it succeeded: else its client was told.
    fn logged_in(&self, login: Result<Login, LoginError>) -> Option<Login> {
        match login {
            Ok(login) => return Some(login),
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
        let cancels = &self.services.cancels;
        let noted = login
            .backend()
            .map(|who| cancels.note(who, server.address()));
        // The client has been told that it may begin.
        let listed = place.list();
        tokio::select! {
            () = place.wait(FIRST_SNAPSHOT_MAX) => {}
            () = listed.cancelled() => {}
        }
        let mut session = Session::new(Arc::clone(&self.services.sessions), &state);
        session.set_timeouts(packet.timeouts());
        Box::new(Client {
            place,
            session,
            client: Link::new(client, login.leftover_client),
            server: Link::new(server, login.leftover_server),
            marks: Marks::default(),
            marked: Instant::now(),
            timing: Timing::begin(),
            flight: Flight::held(listed),
            unnamed: None,
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
        secret: Some(secret()),
    }
}

/// Sixty-four bits that nobody guesses.
fn secret() -> u64 {
    // Keyed by the system's entropy, each with another key.
    RandomState::new().hash_one(0)
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

/// What a client is told who is not let in.
#[derive(Debug)]
struct Refusal {
    sqlstate: &'static str,
    text: &'static str,
    hint: Option<&'static str>,
}

impl Refusal {
    const STOPPING: Self = Self {
        sqlstate: "57P03",
        text: "the database system is shutting down",
        hint: None,
    };
    const FULL: Self = Self {
        sqlstate: "53300",
        text: "sorry, too many clients already",
        hint: Some("raise limits.clients_max"),
    };
    const ITSELF: Self = Self {
        // To a control connection it means that somebody has to change something first.
        sqlstate: "0A000",
        text: "`upstream` leads back to this pgmemo",
        hint: Some("name the PostgreSQL server in it"),
    };
    const CRAMPED: Self = Self {
        sqlstate: "53300",
        text: "sorry, too many clients already",
        hint: Some("let pgmemo open more files"),
    };
    const UNENCRYPTED: Self = Self {
        sqlstate: "28000",
        text: "pgmemo accepts encrypted connections only",
        hint: Some("Connect with sslmode=require."),
    };

    async fn tell(&self, client: &mut ClientStream) {
        let frame = refusal::fatal(self.sqlstate, self.text, self.hint);
        tell(client, &frame).await;
    }
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

/// Ends a connection in the way that its form has: who encrypts says so.
async fn close(client: &mut ClientStream) {
    let _ = timeout(REFUSAL_MAX, client.shutdown()).await;
}

/// Says a last word; whoever does not listen has left already.
async fn tell(client: &mut ClientStream, frame: &[u8]) {
    let _ = timeout(REFUSAL_MAX, async {
        client.write_all(frame).await?;
        client.shutdown().await
    })
    .await;
}
