//! An instance that loses Redis while another one keeps it.

use std::time::{Duration, Instant};

use catalog::DatabaseId;
use pgmemo_store::{Found, State, Store};

use super::{DATABASE, Reader, eventually, ready, ready_by, scope, settings, write};
use crate::{server::Server, way::Way};

/// A store that reaches the server by a way of its own.
async fn distant(server: &Server, way: &Way) -> Store {
    let mut settings = settings(server);
    settings.url = way.url();
    ready_by(settings).await
}

#[tokio::test]
async fn a_write_of_which_nobody_hears_waits_until_the_others_have_given_up() {
    let server = Server::start(&[]);
    let way = Way::to(server.port()).await;
    let (stays, store) = (ready(&server).await, distant(&server, &way).await);
    let reader = Reader::new(&stays, 1);
    reader.warm("old").await;
    let epoch = reader.epoch().await;
    let (other, mark) = (Reader::new(&stays, 2), write(&store, 2));
    mark.await.bump().await;
    way.cut();
    // It goes on serving, and is not told.
    let begun = Instant::now();
    let writes = async {
        let mark = write(&store, 1).await;
        (mark, begun.elapsed())
    };
    let reads = async {
        let mut served = 0;
        while begun.elapsed() < Duration::from_secs(2) {
            let found = reader.ask_under(epoch).await;
            served += u32::from(matches!(found, Found::Hit(_)));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        served
    };
    let ((mark, waited), served) = tokio::join!(writes, reads);
    assert!(served > 10, "the others went on, {served}");
    let served = reader.ask_under(epoch).await;
    assert!(!matches!(served, Found::Hit(_)), "{served:?}");
    assert!(waited > Duration::from_secs(4), "{waited:?}");
    assert!(waited < Duration::from_secs(12), "{waited:?}");
    mark.bump().await;
    // Once is enough.
    let begun = Instant::now();
    write(&store, 1).await.bump().await;
    assert!(begun.elapsed() < Duration::from_secs(4));
    way.mend();
    eventually(async || store.status().owed == 0 && store.status().state == State::Up).await;
    reader.never_again("old", "new").await;
    other.warm("new").await;
}

/// They are one key, which may be evicted like any other.
#[tokio::test]
async fn a_write_of_which_nobody_hears_is_waited_for_though_the_members_are_lost() {
    let server = Server::start(&[]);
    let way = Way::to(server.port()).await;
    let (stays, store) = (ready(&server).await, distant(&server, &way).await);
    let reader = Reader::new(&stays, 1);
    reader.warm("old").await;
    way.cut();
    server.cli(&["DEL", "test:2:{0000000000000abc:5}:i"]);
    let mark = write(&store, 1).await;
    let found = reader.look_up().await;
    assert!(!matches!(found, Found::Hit(_)), "{found:?}");
    way.mend();
    mark.bump().await;
    reader.never_again("old", "new").await;
}

#[tokio::test]
async fn a_write_that_can_be_announced_in_time_is() {
    let server = Server::start(&[]);
    let way = Way::to(server.port()).await;
    let (stays, store) = (ready(&server).await, distant(&server, &way).await);
    let reader = Reader::new(&stays, 1);
    reader.warm("old").await;
    let epoch = reader.epoch().await;
    way.cut();
    let mends = async {
        tokio::time::sleep(Duration::from_secs(2)).await;
        way.mend();
    };
    let (mark, ()) = tokio::join!(write(&store, 1), mends);
    let served = reader.ask_under(epoch).await;
    assert!(!matches!(served, Found::Hit(_)), "{served:?}");
    mark.bump().await;
    assert_eq!(store.status().owed, 0);
    reader.never_again("old", "new").await;
}

/// It has missed nothing that it could know of.
#[tokio::test]
async fn who_starts_while_redis_hangs_hears_of_what_is_written_meanwhile() {
    let server = Server::start(&[]);
    let writer = ready(&server).await;
    Reader::new(&writer, 1).warm("old").await;
    server.cli(&["CLIENT", "PAUSE", "2500", "ALL"]);
    let (mark, starts) = tokio::join!(write(&writer, 1), ready(&server));
    let reader = Reader::new(&starts, 1);
    for _ in 0..50 {
        let found = reader.look_up().await;
        assert!(!matches!(found, Found::Hit(_)), "{found:?}");
    }
    mark.bump().await;
    reader.never_again("old", "new").await;
}

/// Readers have given Redis up. Who writes can still be heard, and so need not be missed.
#[tokio::test]
async fn an_instance_for_which_redis_is_slow_is_heard_and_not_missed() {
    let server = Server::start(&[]);
    let way = Way::to(server.port()).await;
    let mut settings = settings(&server);
    (settings.url, settings.deadline) = (way.url(), Duration::from_millis(20));
    let (stays, store) = (ready(&server).await, ready_by(settings).await);
    let (reader, scopes) = (Reader::new(&stays, 1), [scope(2)]);
    let other = Reader {
        scopes: &scopes,
        ..Reader::new(&stays, 2)
    };
    reader.warm("old").await;
    other.warm("other").await;
    let epoch = reader.epoch().await;
    way.takes(Duration::from_millis(60));
    let (begun, here) = (Instant::now(), Reader::new(&store, 1));
    eventually(async || {
        here.ask_under(epoch).await;
        store.status().state == State::Down
    })
    .await;
    for _ in 0..7 {
        let asked = Instant::now();
        let mark = write(&store, 1).await;
        assert!(asked.elapsed() < Duration::from_secs(2));
        let found = reader.ask_under(epoch).await;
        assert!(!matches!(found, Found::Hit(_)), "{found:?}");
        mark.bump().await;
        assert_eq!(store.status().owed, 0);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert!(begun.elapsed() > Duration::from_secs(7));
    let found = other.ask_under(epoch).await;
    assert!(matches!(found, Found::Hit(_)), "{found:?}");
}

/// Their scripts travel together: with one after the other, some memberships would lapse.
#[tokio::test]
async fn many_databases_are_kept_by_a_slow_redis() {
    let server = Server::start(&[]);
    let way = Way::to(server.port()).await;
    let store = distant(&server, &way).await;
    let databases = (100..200).map(|oid| DatabaseId { oid, ..DATABASE });
    for database in databases.clone() {
        eventually(async || matches!(store.epoch(database).await, Ok(Some(_)))).await;
    }
    let terms = || {
        let keys = databases.clone().map(|database| {
            let system = database.system.0;
            format!("test:2:{{{system:016x}:{}}}:t", database.oid)
        });
        let keys: Vec<_> = keys.collect();
        let mut words = vec!["MGET"];
        words.extend(keys.iter().map(String::as_str));
        server.cli(&words)
    };
    let before = terms();
    way.takes(Duration::from_millis(90));
    tokio::time::sleep(Duration::from_secs(12)).await;
    assert_eq!(terms(), before);
}
