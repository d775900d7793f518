//! The HTTP server: few connections, short waits, nothing to send to it.

use std::{sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use prometheus_client::registry::Registry;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{Observed, metrics};

/// Connections at the same time; more wait to be accepted.
const CONNECTIONS_MAX: usize = 64;
/// How long a request's head, or an idle connection between two requests, may take.
const HEADER_WAIT_MAX: Duration = Duration::from_secs(10);
/// How long a connection may live: whoever reads slowly does not keep a place for ever.
const CONNECTION_AGE_MAX: Duration = Duration::from_secs(300);
/// How long replies in progress may take once we are to stop.
const STOP_WAIT_MAX: Duration = Duration::from_secs(1);
/// How long to wait when the process has no file descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Most bytes of one request's head.
const HEAD_BYTES_MAX: usize = 16 << 10;

/// Answers on `listener` until `stop`, then lets replies in progress end.
///
/// Stop it after the proxy has drained, so that `/readyz` can say so. Not cancel safe: dropping it
/// cuts connections.
pub async fn serve(listener: TcpListener, observed: Arc<dyn Observed>, stop: CancellationToken) {
    let router = router(observed);
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            // Finished connections leave the set; a panic in one is its own affair.
            Some(_) = connections.join_next() => continue,
            accepted = accept(&listener, &places) => accepted,
        };
        let Some((stream, place)) = accepted else {
            sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let (router, stop) = (router.clone(), stop.clone());
        connections.spawn(async move {
            connection(stream, router, stop).await;
            drop(place);
        });
    }
    drop(listener);
    if timeout(STOP_WAIT_MAX, async {
        while connections.join_next().await.is_some() {}
    })
    .await
    .is_err()
    {
        tracing::debug!(connections = connections.len(), "admin connections cut");
    }
}

/// Waits for a free place, then for a connection. Cancel safe.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> Option<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => Some((stream, place)),
        Err(error) => {
            tracing::warn!(%error, "cannot accept on the admin port");
            None
        }
    }
}

/// Serves one connection until it ends, is too old, or we are to stop.
async fn connection(stream: TcpStream, router: Router, stop: CancellationToken) {
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_WAIT_MAX)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut served = std::pin::pin!(served);
    let ended = tokio::select! {
        ended = served.as_mut() => ended,
        () = stop.cancelled() => {
            served.as_mut().graceful_shutdown();
            served.await
        }
        () = sleep(CONNECTION_AGE_MAX) => {
            served.as_mut().graceful_shutdown();
            timeout(STOP_WAIT_MAX, served).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "admin connection failed");
    }
}

struct Shown {
    observed: Arc<dyn Observed>,
    metrics: Registry,
}

fn router(observed: Arc<dyn Observed>) -> Router {
    let metrics = metrics::registry(Arc::clone(&observed));
    Router::new()
        .route("/metrics", get(show_metrics))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(show_readiness))
        .with_state(Arc::new(Shown { observed, metrics }))
}

async fn show_metrics(State(shown): State<Arc<Shown>>) -> Response {
    let mut page = String::new();
    match prometheus_client::encoding::text::encode(&mut page, &shown.metrics) {
        Ok(()) => ([(header::CONTENT_TYPE, OPENMETRICS)], page).into_response(),
        Err(error) => {
            tracing::error!(%error, "cannot write the metrics");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

async fn show_readiness(State(shown): State<Arc<Shown>>) -> Response {
    let readiness = shown.observed.readiness();
    let status = if readiness.is_ready() {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, Json(readiness.to_json())).into_response()
}

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[cfg(test)]
mod tests;
