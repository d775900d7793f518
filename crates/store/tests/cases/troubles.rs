//! What a server may go through, and what must hold all the same.

use std::time::{Duration, Instant};

use pgmemo_store::{Found, OnOutage, Question, State, Store, Trouble};
use tokio_util::sync::CancellationToken;

use super::{
    DATABASE, Reader, TTL, eventually, hasty, key, limits, ready, scope, settings, store, within,
    write,
};
use crate::server::Server;

#[tokio::test]
async fn an_instance_that_falls_silent_costs_all_entries() {
    let server = Server::start(&[]);
    let (a, b) = (ready(&server).await, ready(&server).await);
    let reader = Reader::new(&b, 1);
    reader.warm("old").await;
    drop(a);
    within(Duration::from_secs(20), &mut async || {
        reader.text().await.is_none()
    })
    .await;
    reader.never_again("old", "new").await;
}

#[tokio::test]
async fn a_flush_loses_everything_and_nothing_comes_back() {
    let server = Server::start(&[]);
    let store = ready(&server).await;
    let reader = Reader::new(&store, 1);
    reader.warm("old").await;
    let stamp = {
        server.cli(&["DEL", "nothing"]);
        let other = Reader::new(&store, 2);
        other.stamp().await
    };
    server.cli(&["FLUSHALL"]);
    Reader::new(&store, 2).fill(stamp, "old");
    Reader::new(&store, 2).never_again("old", "new").await;
    reader.never_again("old", "new").await;
}

#[tokio::test]
async fn a_connection_that_was_replaced_is_verified_again_and_costs_nothing_else() {
    let server = Server::start(&[]);
    let store = ready(&server).await;
    let reader = Reader::new(&store, 1);
    reader.warm("old").await;
    let mut rounds = 0;
    while rounds < 5 {
        let (before, start) = (store.status().count(Trouble::Rotated), Instant::now());
        server.cli(&["CLIENT", "KILL", "TYPE", "normal"]);
        eventually(async || !matches!(reader.look_up().await, Found::Unavailable)).await;
        if start.elapsed() > Duration::from_millis(200) {
            // Who was out for long may have missed something, and keeps nothing.
            reader.never_again("nothing", "old").await;
            continue;
        }
        rounds += 1;
        eventually(async || reader.text().await.as_deref() == Some("old")).await;
        assert_eq!(store.status().count(Trouble::Rotated), before);
    }
}

/// Sessions that never pause, and still hold the epoch from before, while the server comes back
/// again and again as it was.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_moment_of_a_restart_serves_anything_old() {
    let mut server = Server::start(&[]);
    let store = ready(&server).await;
    for round in 0..5 {
        let reader = Reader::new(&store, round);
        reader.warm("old").await;
        let epoch = store.epoch(DATABASE).await.unwrap().unwrap();
        server.cli(&["SAVE"]);
        write(&store, 1).await.bump().await;
        let end = CancellationToken::new();
        let mut sessions = tokio::task::JoinSet::new();
        for _ in 0..4 {
            let (store, end) = (store.clone(), end.clone());
            sessions.spawn(async move {
                let (key, scopes) = (&key(round), &[scope(1)]);
                let question = Question {
                    key,
                    database: DATABASE,
                    epoch,
                    scopes,
                    ttl: TTL,
                };
                let mut asked = 0_u32;
                while !end.is_cancelled() {
                    let found = store.look_up(&question).await;
                    assert!(!matches!(found, Found::Hit(_)), "{found:?}");
                    asked += 1;
                    if asked.is_multiple_of(100) {
                        // The server needs the processors, too.
                        tokio::time::sleep(Duration::from_millis(1)).await;
                    }
                    tokio::task::yield_now().await;
                }
            });
        }
        server.kill();
        server.restart(&[]);
        reader.never_again("old", "new").await;
        end.cancel();
        while let Some(done) = sessions.join_next().await {
            done.unwrap();
        }
    }
}

#[tokio::test]
async fn a_restart_with_an_old_snapshot_serves_nothing_old() {
    let mut server = Server::start(&[]);
    let (a, b) = (ready(&server).await, ready(&server).await);
    let (here, there) = (Reader::new(&a, 1), Reader::new(&b, 1));
    here.warm("old").await;
    server.cli(&["SAVE"]);
    write(&a, 1).await.bump().await;
    server.kill();
    server.restart(&[]);
    assert!(
        server.cli(&["KEYS", "*:k:*"]).contains(":k:"),
        "the old reply is there again"
    );
    // Both race to be first, and neither may see it.
    tokio::join!(
        here.never_again("old", "new"),
        there.never_again("old", "new")
    );
}

#[tokio::test]
async fn a_bump_that_met_a_dead_server_is_delivered_when_it_returns() {
    let mut server = Server::start(&["--appendonly", "yes", "--appendfsync", "always"]);
    let store = ready(&server).await;
    let reader = Reader::new(&store, 1);
    reader.warm("old").await;
    server.kill();
    write(&store, 1).await.bump().await;
    let status = store.status();
    assert_eq!((status.state, status.owed), (State::Fenced, 1));
    assert!(matches!(reader.look_up().await, Found::Unavailable));
    server.restart(&["--appendonly", "yes", "--appendfsync", "always"]);
    assert!(
        server.cli(&["KEYS", "*:k:*"]).contains(":k:"),
        "the old reply is there again"
    );
    reader.never_again("old", "new").await;
    assert_eq!(store.status().owed, 0);
}

#[tokio::test]
async fn a_store_without_a_server_is_down_and_comes_up_later() {
    let mut server = Server::start(&[]);
    server.kill();
    let store = store(&server);
    let start = Instant::now();
    assert!(store.epoch(DATABASE).await.is_err());
    write(&store, 1).await.clear().await;
    assert_eq!(store.status().state, State::Down);
    assert!(start.elapsed() < Duration::from_secs(2));
    server.restart(&[]);
    Reader::new(&store, 1).warm("new").await;
    assert_eq!(store.status().state, State::Up);
    store.shutdown().await;
}

#[tokio::test]
async fn a_server_that_wants_a_password_is_down_until_it_does_not() {
    let server = Server::start(&["--requirepass", "secret"]);
    let store = store(&server);
    eventually(async || store.status().count(Trouble::Disconnected) > 3).await;
    assert_eq!(store.status().state, State::Down);
    server.cli(&["-a", "secret", "CONFIG", "SET", "requirepass", ""]);
    Reader::new(&store, 1).warm("new").await;
}

#[tokio::test]
async fn a_server_that_forgot_the_scripts_is_told_again() {
    let server = Server::start(&[]);
    let store = ready(&server).await;
    let reader = Reader::new(&store, 1);
    reader.warm("old").await;
    server.cli(&["SCRIPT", "FLUSH"]);
    write(&store, 1).await.bump().await;
    assert_eq!(store.status().owed, 0);
    reader.never_again("old", "new").await;
}

#[tokio::test]
async fn a_server_out_of_memory_serves_nothing_old() {
    let server = Server::start(&["--maxmemory-policy", "noeviction"]);
    let (a, b) = (ready(&server).await, ready(&server).await);
    let (here, there) = (Reader::new(&a, 1), Reader::new(&b, 1));
    here.warm("old").await;
    assert_eq!(there.text().await.as_deref(), Some("old"));
    server.cli(&["CONFIG", "SET", "maxmemory", "1"]);
    let mark = write(&a, 1).await;
    assert!(there.text().await.is_none());
    mark.bump().await;
    for _ in 0..50 {
        assert!(there.text().await.is_none());
        assert!(here.text().await.is_none());
    }
    server.cli(&["CONFIG", "SET", "maxmemory", "0"]);
    tokio::join!(
        here.never_again("old", "new"),
        there.never_again("old", "new")
    );
}

#[tokio::test]
async fn a_demoted_server_serves_nothing_and_bumps_are_owed() {
    let server = Server::start(&[]);
    let (a, b) = (ready(&server).await, ready(&server).await);
    let (here, there) = (Reader::new(&a, 1), Reader::new(&b, 1));
    here.warm("old").await;
    server.cli(&["REPLICAOF", "127.0.0.1", "1"]);
    assert!(there.text().await.is_none());
    write(&a, 1).await.bump().await;
    assert_eq!(a.status().state, State::Fenced);
    assert!(here.text().await.is_none());
    server.cli(&["REPLICAOF", "NO", "ONE"]);
    tokio::join!(
        here.never_again("old", "new"),
        there.never_again("old", "new")
    );
    assert_eq!(a.status().owed, 0);
}

/// Who has written meanwhile is gone before it could deliver what it owes.
#[test]
fn what_lies_in_redis_from_before_an_outage_is_given_up() {
    let server = Server::start(&[]);
    let runtime = || {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(1).enable_all().build().unwrap()
    };
    let (gone, stays) = (runtime(), runtime());
    let mut settings = settings(&server);
    settings.deadline = Duration::from_millis(50);
    settings.on_outage = OnOutage::GoOn;
    let writer = gone.block_on(async { Store::redis(settings, limits()).unwrap() });
    let store = stays.block_on(ready(&server));
    gone.block_on(eventually(async || {
        matches!(writer.epoch(DATABASE).await, Ok(Some(_)))
    }));
    let reader = Reader::new(&store, 1);
    stays.block_on(reader.warm("old"));
    // Not so long that the writer would be missed as a member.
    server.cli(&["CLIENT", "PAUSE", "3000", "ALL"]);
    gone.block_on(async {
        eventually(async || {
            _ = writer.epoch(DATABASE).await;
            writer.status().state == State::Down
        })
        .await;
        // Nothing of it waits in a connection.
        write(&writer, 1).await.bump().await;
        assert_eq!(writer.status().state, State::Fenced);
    });
    gone.shutdown_background();
    let bound = Duration::from_secs(20);
    stays.block_on(reader.never_again_within(bound, "old", "new"));
}

/// What failed long ago does not make the next failure an outage.
#[tokio::test]
async fn an_outage_ends_when_what_is_owed_has_arrived() {
    let mut server = Server::start(&[]);
    let store = hasty(&server).await;
    server.kill();
    write(&store, 1).await.bump().await;
    assert!(store.status().owed > 0);
    server.restart(&[]);
    within(Duration::from_secs(15), &mut async || {
        store.status().owed == 0 && store.status().state == State::Up
    })
    .await;
    // As soon as the writer does without, it would not wait for this one.
    server.kill();
    let start = Instant::now();
    write(&store, 1).await.clear().await;
    let waited = start.elapsed();
    assert!(waited > Duration::from_millis(350), "{waited:?}");
}

/// Whatever becomes of its object, a mark that is held is there again before it could lapse.
#[tokio::test]
async fn a_mark_that_is_lost_with_its_object_is_set_again() {
    let server = Server::start(&[]);
    let (store, reads) = (ready(&server).await, ready(&server).await);
    let reader = Reader::new(&reads, 1);
    reader.warm("old").await;
    let mark = write(&store, 1).await;
    server.cli(&["DEL", "test:2:{0000000000000abc:5}:r:1"]);
    // Somebody has made another version meanwhile.
    reader.stamp().await;
    within(Duration::from_secs(9), &mut async || {
        matches!(reader.look_up().await, Found::InFlight)
    })
    .await;
    mark.bump().await;
    reader.never_again("old", "new").await;
}

/// Whoever may do what to a server may be changed at any time.
#[tokio::test]
async fn a_server_that_forbids_some_commands_serves_nothing_old() {
    let server = Server::start(&[]);
    let (a, b) = (ready(&server).await, ready(&server).await);
    let (here, there) = (Reader::new(&a, 1), Reader::new(&b, 1));
    let mut text = "0".to_owned();
    here.warm(&text).await;
    for (n, commands) in [
        &["getex"][..],
        &["mget"],
        &["get"],
        &["set"],
        &["zadd"],
        &["publish"],
        &["info"],
        &["eval", "evalsha"],
    ]
    .into_iter()
    .enumerate()
    {
        let rule = |sign| {
            let rules = commands.iter().map(|command| format!("{sign}{command}"));
            let rules: Vec<_> = rules.collect();
            let mut words = vec!["ACL", "SETUSER", "default"];
            words.extend(rules.iter().map(String::as_str));
            assert_eq!(server.cli(&words).trim(), "OK", "{commands:?}");
        };
        rule("-");
        let begun = Instant::now();
        write(&a, 1).await.bump().await;
        let took = begun.elapsed();
        assert!(took < Duration::from_secs(9), "{commands:?}: {took:?}");
        for reader in [&here, &there] {
            assert_ne!(reader.text().await.as_ref(), Some(&text), "{commands:?}");
        }
        rule("+");
        let new = (n + 1).to_string();
        let bound = Duration::from_secs(15);
        tokio::join!(
            here.never_again_within(bound, &text, &new),
            there.never_again_within(bound, &text, &new)
        );
        text = new;
    }
    assert_eq!(a.status().owed, 0);
}

#[tokio::test]
async fn a_server_that_speaks_an_old_protocol_is_not_used() {
    let server = Server::start(&["--rename-command", "HELLO", ""]);
    let store = store(&server);
    eventually(async || store.status().count(Trouble::Reply) > 2).await;
    assert_eq!(store.status().state, State::Down);
    let begun = Instant::now();
    write(&store, 1).await.bump().await;
    assert!(begun.elapsed() < Duration::from_secs(2));
}
