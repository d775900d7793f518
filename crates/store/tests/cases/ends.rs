//! The end of an instance, in whatever it is.

use std::{
    net::TcpListener,
    time::{Duration, Instant},
};

use pgmemo_store::{Claimed, Question, Store};

use super::{DATABASE, Reader, TTL, eventually, limits, ready, settings};
use crate::server::Server;

/// What a stop may take: far less than the process is granted.
const STOP: Duration = Duration::from_millis(1800);

/// How many members there are.
fn members(server: &Server) -> String {
    let members = server.cli(&["ZCARD", "test:2:{0000000000000abc:5}:i"]);
    members.trim().to_owned()
}

/// Whoever asks the server for a reply may wait for it for as long as it takes.
#[tokio::test]
async fn a_claim_that_is_held_keeps_nobody_from_leaving() {
    let server = Server::start(&[]);
    let (store, other) = (ready(&server).await, ready(&server).await);
    let reader = Reader::new(&store, 1);
    let mut held = None;
    eventually(async || {
        let stamp = reader.stamp().await;
        let question = Question {
            key: &reader.key,
            database: DATABASE,
            epoch: *stamp.versions().first().unwrap(),
            scopes: reader.scopes,
            ttl: TTL,
        };
        if let Claimed::Ours(claim) = store.claim(&question, &stamp).await {
            held = claim;
        }
        held.is_some()
    })
    .await;
    assert_eq!(members(&server), "2");
    let stopped = tokio::time::timeout(STOP, store.shutdown()).await;
    assert!(stopped.is_ok(), "it is still waiting");
    assert_eq!(members(&server), "1");
    drop(held);
    other.shutdown().await;
}

/// Sentinels that accept connections, and say nothing.
#[tokio::test]
async fn a_stop_does_not_wait_for_a_connection_to_come_about() {
    let server = Server::start(&[]);
    let silent: Vec<_> = (0..20).map(|_| TcpListener::bind("127.0.0.1:0")).collect();
    let ports = silent.iter().map(|silent| {
        let address = silent.as_ref().unwrap().local_addr();
        address.unwrap().port()
    });
    let ports: Vec<_> = ports.collect();
    let nodes = ports
        .iter()
        .skip(1)
        .map(|port| format!("&node=127.0.0.1:{port}"));
    let mut settings = settings(&server);
    settings.url = format!(
        "redis-sentinel://127.0.0.1:{}?sentinelServiceName=shop{}",
        ports[0],
        nodes.collect::<String>()
    );
    let store = Store::redis(settings, limits()).unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    let begun = Instant::now();
    store.shutdown().await;
    // It says good-bye for a second, in vain.
    assert!(
        begun.elapsed() < Duration::from_secs(3),
        "{:?}",
        begun.elapsed()
    );
}
