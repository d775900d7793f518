//! Start, reload and stop.

use std::{pin::pin, sync::Arc, time::Duration};

use anyhow::Context as _;
use config::{Config, Problems, Sources};
use proxy::{BindError, Server};
use tokio::{net::TcpListener, task::JoinHandle, time::sleep};
use tokio_util::sync::CancellationToken;

use crate::{
    cli::Invocation,
    descriptors,
    failure::Failure,
    logging, residence,
    signals::{Request, Signals},
    summary::{caching, summary},
};

/// The parser recurses, and what it builds is dropped by recursion.
const STACK_BYTES: usize = 8 << 20;
/// How much longer than its own deadline the server may take to stop.
const STOP_GRACE: Duration = Duration::from_secs(5);

/// Serves clients until a signal asks to stop.
pub(crate) fn serve(invocation: &Invocation) -> Result<(), Failure> {
    let config = Arc::new(invocation.sources.load().map_err(Failure::Settings)?);
    let _rest = logging::start(invocation.log_format, invocation.log_filter.as_deref())?;
    for problem in invocation.sources.environment.misspelt() {
        tracing::warn!(remedy = %problem.remedy, "{}: {}", problem.place, problem.what);
    }
    #[cfg(debug_assertions)]
    if let Some(seed) = config.testing_delay {
        tracing::warn!(seed, "delays for tests are on");
        store::delay_by(seed);
    }
    let runtime = runtime(&config)?;
    let outcome = runtime.block_on(run(&invocation.sources, config));
    // What has not ended by now has had its time.
    runtime.shutdown_background();
    outcome
}

/// The runtime that `config` asks for.
pub(crate) fn runtime(config: &Config) -> anyhow::Result<tokio::runtime::Runtime> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    if let Some(threads) = config.limits.threads {
        builder.worker_threads(threads);
    }
    builder
        .thread_name("pgmemo")
        .thread_stack_size(STACK_BYTES)
        .enable_all()
        .build()
        .context("cannot start threads")
}

async fn run(sources: &Sources, config: Arc<Config>) -> Result<(), Failure> {
    // First, so that a signal during the start is not lost.
    let mut signals = Signals::listen()?;
    let store = residence::open(&config).map_err(|error| Failure::setting("store", &error))?;
    let server = Server::bind(Arc::clone(&config), store).map_err(refused)?;
    let server = Arc::new(server);
    let admin_stop = CancellationToken::new();
    let admin = admin(&config, &server, admin_stop.clone()).await?;
    tracing::info!("{}", summary(&config, server.local_addr()));
    advise(&config);
    let outcome = serve_until_stopped(sources, config, server, &mut signals).await;
    // Last, so that `/readyz` and the metrics can be read while the server drains.
    admin_stop.cancel();
    if let Some(admin) = admin {
        admin.await.context("the admin port failed")?;
    }
    outcome
}

/// Says what is set and may not be meant.
fn advise(config: &Config) {
    if let Some(short) = descriptors::raise(config) {
        tracing::warn!("{short}");
    }
    if config.upstream.user.is_none() {
        tracing::warn!(
            "nothing is cached: the upstream URL names no user whom pgmemo could read the catalog as"
        );
    }
    if !config.upstream.ignored.is_empty() {
        tracing::info!(
            parameters = config.upstream.ignored.join(", "),
            "parameters of the upstream URL that are for clients are left aside"
        );
    }
}

/// Why the proxy does not start.
fn refused(error: BindError) -> Failure {
    match error {
        BindError::Listen { address, source } => Failure::bind(address, "listen", source),
        BindError::Upstream(error) => Failure::setting("upstream", &error),
        BindError::Acceptor(error) => Failure::setting("tls", &error),
        error @ (BindError::Threads(_) | _) => Failure::Other(error.into()),
    }
}

/// Starts the admin port, unless it is off.
async fn admin(
    config: &Config,
    server: &Server,
    stop: CancellationToken,
) -> Result<Option<JoinHandle<()>>, Failure> {
    let Some(address) = config.admin else {
        return Ok(None);
    };
    let listener = TcpListener::bind(address)
        .await
        .map_err(|error| Failure::bind(address, "admin", error))?;
    tracing::info!(
        "metrics and health at http://{}",
        listener.local_addr().unwrap_or(address)
    );
    Ok(Some(tokio::spawn(admin::serve(
        listener,
        server.observed(),
        stop,
    ))))
}

async fn serve_until_stopped(
    sources: &Sources,
    mut config: Arc<Config>,
    server: Arc<Server>,
    signals: &mut Signals,
) -> Result<(), Failure> {
    let stop = CancellationToken::new();
    let mut running = tokio::spawn({
        let (server, stop) = (Arc::clone(&server), stop.clone());
        async move { server.run(stop).await }
    });
    loop {
        let request = tokio::select! {
            ended = &mut running => {
                ended.context("the server failed")?;
                return Ok(());
            }
            request = signals.next() => request,
        };
        match request {
            Request::Reload => {
                if let Some(new) = reload(sources, &config) {
                    match server.reload(Arc::clone(&new)) {
                        Ok(()) => {
                            tracing::info!("reloaded; {}", caching(&new));
                            config = new;
                        }
                        Err(error) => {
                            tracing::error!("tls: {error}; not reloaded; the old settings stay")
                        }
                    }
                }
            }
            Request::Stop => break,
        }
    }
    let wait = config.limits.drain_timeout;
    tracing::info!(
        "stopping; transactions have {} to end",
        config::duration_text(wait)
    );
    stop.cancel();
    let mut late = pin!(sleep(wait + STOP_GRACE));
    loop {
        tokio::select! {
            ended = &mut running => {
                ended.context("the server failed")?;
                tracing::info!("stopped");
                return Ok(());
            }
            () = &mut late => return Err(Failure::Cut),
            request = signals.next() => if request == Request::Stop {
                return Err(Failure::Cut);
            },
        }
    }
}

/// Reads the settings again: all or nothing. Returns what is to be applied.
fn reload(sources: &Sources, running: &Config) -> Option<Arc<Config>> {
    match sources.load() {
        Ok(new) => {
            let restart_required = running.restart_required(&new);
            let applied = new.applied_to(running);
            if !restart_required.is_empty() {
                tracing::warn!(
                    restart_required = restart_required.join(", "),
                    "these settings changed and take effect after a restart"
                );
            }
            Some(Arc::new(applied))
        }
        Err(Problems(problems)) => {
            for problem in &problems {
                tracing::error!(remedy = %problem.remedy, "{}: {}", problem.place, problem.what);
            }
            tracing::error!(
                problems = problems.len(),
                "not reloaded; the old settings stay"
            );
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reload_is_all_or_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pgmemo.toml");
        let write = |text: &str| std::fs::write(&path, text).unwrap();
        let sources = Sources {
            file: Some(path.clone()),
            ..Sources::default()
        };
        write("upstream = 'postgres://db'");
        let running = sources.load().unwrap();
        write("upstream = 'postgres://db'\n[cache]\ndefault_ttl = '1s'\njitter_percent = 1000");
        assert_eq!(reload(&sources, &running), None);
        std::fs::remove_file(&path).unwrap();
        assert_eq!(reload(&sources, &running), None);
        write("upstream = 'postgres://other'\n[cache]\ndefault_ttl = '1s'");
        let applied = reload(&sources, &running).unwrap();
        assert_eq!(applied.upstream.host, "db");
        assert_eq!(applied.cache.default_ttl, Some(Duration::from_secs(1)));
    }
}
