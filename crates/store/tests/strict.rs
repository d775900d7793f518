//! The store in Redis against a real server, which is asked at every lookup.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests are tests, which clippy does not see"
)]

mod cases;
mod server;
mod way;

use std::time::{Duration, Instant};

use cases::{DATABASE, Reader, TTL, limits, ready, settings, within, write};
use pgmemo_store::{Found, OnOutage, Question, RedisMode, State, Store, Trouble};
use server::Server;

const MODE: RedisMode = RedisMode::Strict;

#[tokio::test]
async fn damaged_and_foreign_values_are_misses() {
    let server = Server::start(&[]);
    let store = ready(&server).await;
    let reader = Reader::new(&store, 1);
    reader.warm("old").await;
    let key = server.cli(&["KEYS", "test:*:k:*"]).trim().to_owned();
    let damages: [&[&str]; 5] = [
        &["SET", &key, "garbage"],
        &["SET", &key, ""],
        &["SETRANGE", &key, "60", "x"],
        &["APPEND", &key, "x"],
        &["LPUSH", &key, "x"],
    ];
    for damage in damages {
        if damage.first() == Some(&"LPUSH") {
            server.cli(&["DEL", &key]);
        }
        server.cli(damage);
        let damaged = store.status().count(Trouble::Damaged);
        assert!(
            matches!(reader.look_up().await, Found::Miss(_)),
            "{damage:?}"
        );
        // Another type is no string to Redis, and so no value at all.
        let counted = u64::from(damage[0] != "LPUSH");
        let now = store.status().count(Trouble::Damaged);
        assert_eq!(now, damaged + counted, "{damage:?}");
        reader.warm("old").await;
    }
    for version in ["r:1", "e"] {
        let key = format!("test:2:{{0000000000000abc:5}}:{version}");
        for damage in [["SET", &key, "Cshort"], ["SADD", &key, "x"]] {
            server.cli(&["DEL", &key]);
            server.cli(&damage);
            reader.never_again("old", damage[0]).await;
        }
    }
}

#[tokio::test]
async fn nobody_waits_for_a_server_that_hangs() {
    let server = Server::start(&[]);
    let mut settings = settings(&server);
    settings.deadline = Duration::from_millis(20);
    settings.on_outage = OnOutage::GoOn;
    let store = Store::redis(settings, limits()).unwrap();
    let reader = Reader::new(&store, 1);
    reader.warm("old").await;
    let question = Question {
        key: &reader.key,
        database: DATABASE,
        epoch: reader.epoch().await,
        scopes: reader.scopes,
        ttl: TTL,
    };
    server.cli(&["CLIENT", "PAUSE", "2500", "ALL"]);
    let start = Instant::now();
    for _ in 0..500 {
        let found = store.look_up(&question).await;
        assert!(
            !matches!(found, Found::Hit(_) | Found::Miss(_)),
            "{found:?}"
        );
    }
    write(&store, 1).await.bump().await;
    // A handful of deadlines, not five hundred.
    assert!(
        start.elapsed() < Duration::from_secs(2),
        "{:?}",
        start.elapsed()
    );
    assert_eq!(store.status().state, State::Fenced);
    assert!(store.status().count(Trouble::Timeout) > 0);
    within(Duration::from_secs(15), &mut async || {
        store.status().state == State::Up
    })
    .await;
    reader.never_again("old", "new").await;
}
