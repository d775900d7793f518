use std::{net::SocketAddr, sync::atomic::Ordering};

use session::RefusedFill;
use sql::Reason;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::{Part, fake::Fake};

struct Running {
    fake: Arc<Fake>,
    address: SocketAddr,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

async fn start() -> Running {
    let fake = Arc::new(Fake::default());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let observed: Arc<dyn Observed> = Arc::clone(&fake) as _;
    let task = tokio::spawn(serve(listener, observed, stop.clone()));
    Running {
        fake,
        address,
        stop,
        task,
    }
}

impl Running {
    /// Sends a request and returns the status line, the head and the body.
    async fn request(&self, request: &str) -> (String, String, String) {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let request = format!("{request} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).await.unwrap();
        let (head, body) = reply.split_once("\r\n\r\n").unwrap();
        let status = head.lines().next().unwrap().to_owned();
        (status, head.to_ascii_lowercase(), body.to_owned())
    }

    async fn metrics(&self) -> String {
        let (status, head, body) = self.request("GET /metrics").await;
        assert_eq!(status, "HTTP/1.1 200 OK");
        assert!(
            head.contains("content-type: application/openmetrics-text"),
            "{head}"
        );
        body
    }
}

fn contains(page: &str, line: &str) {
    assert!(
        page.lines().any(|found| found == line),
        "{line} is not in\n{page}"
    );
}

#[tokio::test]
async fn metrics_show_what_was_counted() {
    let running = start().await;
    let telemetry = &running.fake.telemetry;
    telemetry.hits.add(5);
    telemetry.misses.add(2);
    telemetry.bypass(Reason::Clock).inc();
    telemetry.fills.inc();
    telemetry.refused(RefusedFill::TooLarge).add(4);
    telemetry.table_bumps.add(7);
    telemetry.clients.add(3);
    telemetry.hit_latency.record_us(3);
    telemetry.hit_latency.record_us(10_000_000);
    let page = running.metrics().await;
    for line in [
        "# TYPE pgmemo_lookups counter",
        "pgmemo_lookups_total{result=\"hit\"} 5",
        "pgmemo_lookups_total{result=\"miss\"} 2",
        "pgmemo_lookups_total{result=\"bypass\",reason=\"clock\"} 1",
        "pgmemo_lookups_total{result=\"bypass\",reason=\"writes\"} 0",
        "pgmemo_fills_total 1",
        "pgmemo_fills_refused_total{reason=\"too_large\"} 4",
        "pgmemo_invalidations_total{kind=\"table\"} 7",
        "pgmemo_invalidations_total{kind=\"everything\"} 0",
        "pgmemo_clients 3",
        "pgmemo_lookup_duration_seconds_bucket{le=\"0.000002\",result=\"hit\"} 0",
        "pgmemo_lookup_duration_seconds_bucket{le=\"0.000004\",result=\"hit\"} 1",
        "pgmemo_lookup_duration_seconds_bucket{le=\"+Inf\",result=\"hit\"} 2",
        "pgmemo_lookup_duration_seconds_count{result=\"hit\"} 2",
        "pgmemo_lookup_duration_seconds_sum{result=\"hit\"} 10.000003",
        "pgmemo_store_state{state=\"up\"} 1",
        "pgmemo_store_entries 0",
        "pgmemo_store_errors_total{kind=\"timeout\"} 0",
        "pgmemo_ready 1",
        "pgmemo_build_info{version=\"0.1.0\"} 1",
        "# EOF",
    ] {
        contains(&page, line);
    }
}

#[tokio::test]
async fn what_is_not_known_is_not_shown() {
    let running = start().await;
    running.fake.fenced.store(true, Ordering::Relaxed);
    let page = running.metrics().await;
    contains(&page, "pgmemo_store_state{state=\"fenced\"} 1");
    contains(&page, "pgmemo_store_state{state=\"up\"} 0");
    contains(&page, "pgmemo_store_owed 3");
    assert!(
        !page
            .lines()
            .any(|line| line.starts_with("pgmemo_store_entries")),
        "{page}"
    );
}

#[tokio::test]
async fn health_is_not_readiness() {
    let running = start().await;
    let (status, _, body) = running.request("GET /readyz").await;
    assert_eq!(status, "HTTP/1.1 200 OK");
    assert_eq!(
        body,
        "{\"parts\":[{\"name\":\"upstream\",\"state\":\"ready\"}],\"ready\":true}"
    );
    running.fake.readiness.lock().unwrap().parts = vec![Part::unready("server", "draining")];
    let (status, head, body) = running.request("GET /readyz").await;
    assert_eq!(status, "HTTP/1.1 503 Service Unavailable");
    assert!(head.contains("content-type: application/json"), "{head}");
    assert!(body.contains("\"reason\":\"draining\""), "{body}");
    contains(&running.metrics().await, "pgmemo_ready 0");
    assert_eq!(running.request("GET /healthz").await.0, "HTTP/1.1 200 OK");
}

#[tokio::test]
async fn nothing_else_is_served() {
    let running = start().await;
    let check = async |request: &str, status: &str| {
        assert_eq!(running.request(request).await.0, status, "{request}");
    };
    check("GET /nothing", "HTTP/1.1 404 Not Found").await;
    check("POST /metrics", "HTTP/1.1 405 Method Not Allowed").await;
}

#[tokio::test]
async fn stopping_ends_idle_connections() {
    let running = start().await;
    let mut idle = TcpStream::connect(running.address).await.unwrap();
    // A reply shows that the connection was accepted; it stays open afterwards.
    idle.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    let mut reply = [0; 1024];
    assert!(idle.read(&mut reply).await.unwrap() > 0);
    running.stop.cancel();
    running.task.await.unwrap();
    assert_eq!(idle.read(&mut reply).await.unwrap(), 0);
    assert!(TcpStream::connect(running.address).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_head_that_never_ends_is_cut() {
    let running = start().await;
    let mut slow = TcpStream::connect(running.address).await.unwrap();
    slow.write_all(b"GET /healthz HTTP/1.1\r\n").await.unwrap();
    // The paused clock runs forward to the deadline when nothing else can happen.
    let mut reply = Vec::new();
    slow.read_to_end(&mut reply).await.unwrap();
    assert!(!String::from_utf8_lossy(&reply).contains("200 OK"));
}

#[tokio::test]
async fn every_metric_is_documented() {
    let manual = include_str!("../../../../docs/operations.md");
    for line in start().await.metrics().await.lines() {
        if let Some(name) = line
            .strip_prefix("# TYPE ")
            .and_then(|rest| rest.split(' ').next())
        {
            assert!(
                manual.contains(&format!("`{name}")),
                "{name} is not in docs/operations.md"
            );
        }
    }
}

#[test]
fn every_reason_is_documented() {
    let manual = include_str!("../../../../docs/operations.md");
    let codes = Reason::ALL.iter().map(|reason| reason.code());
    let codes = codes.chain(RefusedFill::ALL.iter().map(|why| why.code()));
    let codes = codes.chain(session::Renewal::ALL.iter().map(|result| result.code()));
    for code in codes.chain(store::Trouble::ALL.iter().map(|trouble| trouble.code())) {
        assert!(
            manual.contains(&format!("| `{code}` |")),
            "{code} is not in docs/operations.md"
        );
    }
}

#[tokio::test]
async fn what_the_console_shows_is_served_as_json() {
    let running = start().await;
    let (status, head, body) = running.request("GET /api/version").await;
    assert_eq!(status, "HTTP/1.1 200 OK");
    assert!(head.contains("content-type: application/json"), "{head}");
    let version = env!("CARGO_PKG_VERSION");
    let expected = serde_json::json!({ "columns": ["version"], "rows": [[version]] });
    assert_eq!(body.parse::<serde_json::Value>().unwrap(), expected);
    let (status, ..) = running.request("GET /api/nothing").await;
    assert_eq!(status, "HTTP/1.1 404 Not Found");
}

/// Logs in to the console.
async fn log_in(running: &Running) -> TcpStream {
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    let login = b"\0\0\0\x15\0\x03\0\0user\0pgmemo\0\0";
    stream.write_all(login).await.unwrap();
    stream
}

#[tokio::test]
async fn the_console_is_on_the_same_port() {
    let running = start().await;
    let mut stream = log_in(&running).await;
    stream
        .write_all(b"Q\0\0\0\x11SHOW VERSION\0X\0\0\0\x04")
        .await
        .unwrap();
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply).await.unwrap();
    let text = String::from_utf8_lossy(&reply);
    assert!(
        text.contains(env!("CARGO_PKG_VERSION")) && text.ends_with('I'),
        "{text:?}"
    );
}

#[tokio::test]
async fn consoles_are_few_and_keep_nobody_from_the_metrics() {
    let running = start().await;
    let mut consoles = Vec::new();
    for _ in 0..CONSOLES_MAX {
        let mut stream = log_in(&running).await;
        let mut first = [0];
        stream.read_exact(&mut first).await.unwrap();
        assert_eq!(first, *b"R");
        consoles.push(stream);
    }
    let mut refused = log_in(&running).await;
    let mut reply = String::new();
    refused.read_to_string(&mut reply).await.unwrap();
    assert!(reply.contains("53300"), "{reply:?}");
    running.metrics().await;
}

#[tokio::test]
async fn consoles_are_told_of_the_end() {
    let running = start().await;
    let mut stream = log_in(&running).await;
    let mut first = [0];
    stream.read_exact(&mut first).await.unwrap();
    running.stop.cancel();
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply).await.unwrap();
    assert!(String::from_utf8_lossy(&reply).contains("57P01"));
    running.task.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn who_says_nothing_is_given_up() {
    let running = start().await;
    for said in [&b""[..], b"\0", b"G"] {
        let mut stream = TcpStream::connect(running.address).await.unwrap();
        stream.write_all(said).await.unwrap();
        let mut reply = Vec::new();
        stream.read_to_end(&mut reply).await.unwrap();
        assert!(reply.is_empty() || said == b"G", "{reply:?}");
    }
    let mut stream = log_in(&running).await;
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply).await.unwrap();
    assert!(String::from_utf8_lossy(&reply).contains("57P05"));
}

#[tokio::test]
async fn the_page_takes_in_nothing_from_elsewhere() {
    let running = start().await;
    for (path, kind) in [
        ("/", "text/html"),
        ("/page.css", "text/css"),
        ("/page.js", "text/javascript"),
    ] {
        let (status, head, body) = running.request(&format!("GET {path}")).await;
        assert_eq!(status, "HTTP/1.1 200 OK");
        assert!(
            head.contains(&format!("content-type: {kind}; charset=utf-8")),
            "{head}"
        );
        assert!(
            head.contains("content-security-policy: default-src 'self';"),
            "{head}"
        );
        assert!(!body.contains("://"), "{path}");
    }
}
