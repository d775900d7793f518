//! The port: HTTP for most, the console for who speaks PostgreSQL's protocol. Few connections, short
//! waits, nothing to send to it.

use std::{sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::{Path, State},
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
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
    time::{MissedTickBehavior, interval, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{
    Observed, console,
    history::SAMPLE_EVERY,
    metrics, page,
    show::{ROWS_MAX, Shown, Topic},
};

/// Connections at the same time, without those to the console; more wait to be accepted.
const CONNECTIONS_MAX: usize = 64;
/// Connections to the console at the same time; more are refused.
const CONSOLES_MAX: usize = 16;
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
    let doors = Doors::new(Shown::new(observed));
    let mut samples = interval(SAMPLE_EVERY);
    samples.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            // Finished connections leave the set; a panic in one is its own affair.
            Some(_) = connections.join_next() => continue,
            _ = samples.tick() => {
                doors.shown.sample();
                continue;
            }
            accepted = accept(&listener, &places) => accepted,
        };
        let Some((stream, place)) = accepted else {
            sleep(ACCEPT_PAUSE).await;
            continue;
        };
        connections.spawn(connection(stream, place, doors.clone(), stop.clone()));
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
) -> Option<(TcpStream, OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => Some((stream, place)),
        Err(error) => {
            tracing::warn!(%error, "cannot accept on the admin port");
            None
        }
    }
}

/// What there is behind the port.
#[derive(Clone)]
struct Doors {
    router: Router,
    shown: Shown,
    consoles: Arc<Semaphore>,
}

impl Doors {
    fn new(shown: Shown) -> Self {
        Self {
            router: router(shown.clone()),
            shown,
            consoles: Arc::new(Semaphore::new(CONSOLES_MAX)),
        }
    }
}

/// Serves one connection until it ends, or we are to stop. Who stays long gives its place back.
async fn connection(
    stream: TcpStream,
    place: OwnedSemaphorePermit,
    doors: Doors,
    stop: CancellationToken,
) {
    let first = tokio::select! {
        first = timeout(HEADER_WAIT_MAX, first_byte(&stream)) => first.ok().flatten(),
        () = stop.cancelled() => None,
    };
    match first {
        Some(console::FIRST_BYTE) => {
            let room = doors.consoles.try_acquire_owned().ok();
            let place = Some(place).filter(|_| room.is_none());
            console::serve(stream, doors.shown, room.is_some(), &stop).await;
            drop((room, place));
        }
        Some(_) => {
            request(stream, doors.router, stop).await;
            drop(place);
        }
        None => {}
    }
}

/// What a client sends first, which stays to be read.
async fn first_byte(stream: &TcpStream) -> Option<u8> {
    let mut first = [0];
    match stream.peek(&mut first).await {
        Ok(1..) => Some(first[0]),
        Ok(_) | Err(_) => None,
    }
}

/// Serves HTTP on one connection until it ends, is too old, or we are to stop.
async fn request(stream: TcpStream, router: Router, stop: CancellationToken) {
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

/// What requests are answered from.
struct Pages {
    shown: Shown,
    metrics: Registry,
}

fn router(shown: Shown) -> Router {
    let metrics = metrics::registry(Arc::clone(&shown.observed));
    Router::new()
        .route("/", get(show_page))
        .route("/page.css", get(page::style))
        .route("/page.js", get(page::script))
        .route("/metrics", get(show_metrics))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(show_readiness))
        .route("/api/{topic}", get(show_topic))
        .with_state(Arc::new(Pages { shown, metrics }))
}

async fn show_page(State(pages): State<Arc<Pages>>) -> Response {
    page::page(&pages.shown)
}

async fn show_metrics(State(pages): State<Arc<Pages>>) -> Response {
    let mut page = String::new();
    match prometheus_client::encoding::text::encode(&mut page, &pages.metrics) {
        Ok(()) => ([(header::CONTENT_TYPE, OPENMETRICS)], page).into_response(),
        Err(error) => {
            tracing::error!(%error, "cannot write the metrics");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

async fn show_readiness(State(pages): State<Arc<Pages>>) -> Response {
    let readiness = pages.shown.observed.readiness();
    let status = if readiness.is_ready() {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, Json(readiness.to_json())).into_response()
}

/// What the console shows under the same name.
async fn show_topic(State(pages): State<Arc<Pages>>, Path(name): Path<String>) -> Response {
    match Topic::named(&name) {
        Some(topic) => Json(topic.table(&pages.shown, ROWS_MAX).to_json()).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[cfg(test)]
mod tests;
