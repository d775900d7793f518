//! Listening, accepting and draining: the proxy as a whole.

use std::{
    convert::Infallible,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use arc_swap::{ArcSwap, ArcSwapOption};
use config::Config;
use session::{Shared, Telemetry};
use store::{Flights, Store};
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::Instrument;

use crate::{
    acceptor::{Acceptor, AcceptorError},
    control::MAINTENANCE,
    database::Databases,
    front::{Front, REFUSAL_MAX},
    leave::Leave,
    refresh::Refresher,
    reserve::{Reserves, is_out_of_files},
    seldom::Seldom,
    services::Services,
    upstream::{Upstream, UpstreamError},
    workers::Workers,
};

/// Connections that wait to be accepted.
const BACKLOG: u32 = 1024;

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
            statements_max: config.limits.statements_max,
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
            unreached: Seldom::default(),
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
            self.shared.leave.insist();
            let _ = timeout(REFUSAL_MAX, clients.wait()).await;
        }
        self.shared.services.refresher.shutdown().await;
        self.shared.services.tasks.close();
        let _ = timeout(REFUSAL_MAX, self.shared.services.tasks.wait()).await;
        self.shared.services.databases.shutdown().await;
        self.shared.services.store.shutdown().await;
    }

    /// Accepts clients. Cancel safe.
    async fn accept(&self, listener: &TcpListener, clients: &TaskTracker) -> Infallible {
        let (mut reserves, cramped) = (Reserves::default(), Seldom::default());
        loop {
            reserves.refill();
            match listener.accept().await {
                Ok((stream, peer)) => self.welcome(stream, peer, clients),
                Err(error) => {
                    if is_out_of_files(&error)
                        && let Some((stream, reserve)) = reserves.accept(listener).await
                    {
                        self.shared.turn_away(stream, reserve).await;
                        continue;
                    }
                    // Wait for some to be given back.
                    if cramped.is_due() {
                        tracing::warn!(%error, "cannot accept a connection");
                    }
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
