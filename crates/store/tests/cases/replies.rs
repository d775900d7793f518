//! What is served, and what is not any more.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use cache::{Scope, Stamp};
use catalog::{RelationId, RowClass};
use pgmemo_store::{
    Claimed, Found, OnOutage, Question, RedisSettings, State, Store, StoreError, Trouble,
};

use super::{DATABASE, DEADLINE, Reader, TTL, eventually, limits, ready, scope, within, write};
use crate::{MODE, server::Server};

#[tokio::test]
async fn instances_share_replies_marks_and_bumps() {
    let server = Server::start(&[]);
    let (a, b) = (ready(&server).await, ready(&server).await);
    let (here, there) = (Reader::new(&a, 1), Reader::new(&b, 1));
    here.warm("old").await;
    assert_eq!(there.text().await.as_deref(), Some("old"));

    let unrelated = write(&a, 2).await;
    assert_eq!(there.text().await.as_deref(), Some("old"));
    unrelated.bump().await;
    assert_eq!(there.text().await.as_deref(), Some("old"));

    let rolled_back = write(&a, 1).await;
    assert!(matches!(there.look_up().await, Found::InFlight));
    rolled_back.clear().await;
    assert_eq!(there.text().await.as_deref(), Some("old"));

    let (first, second) = (write(&a, 1).await, write(&b, 1).await);
    first.bump().await;
    assert!(matches!(here.look_up().await, Found::InFlight));
    second.clear().await;
    assert!(matches!(here.look_up().await, Found::Miss(_)));
    assert!(matches!(there.look_up().await, Found::Miss(_)));
}

#[tokio::test]
async fn a_fill_that_was_overtaken_is_never_served() {
    let server = Server::start(&[]);
    let store = ready(&server).await;
    let reader = Reader::new(&store, 1);
    let stamp = reader.stamp().await;
    write(&store, 1).await.bump().await;
    reader.fill(stamp, "old");
    eventually(async || server.cli(&["KEYS", "*:k:*"]).contains(":k:")).await;
    assert!(matches!(reader.look_up().await, Found::Miss(_)));
}

#[tokio::test]
async fn the_epoch_stands_for_everything() {
    let server = Server::start(&[]);
    let store = ready(&server).await;
    let reader = Reader::new(&store, 1);
    reader.warm("old").await;
    let before = store.epoch(DATABASE).await.unwrap().unwrap();
    let mark = store.mark(&[Scope::Epoch(DATABASE)]).await;
    assert_eq!(store.epoch(DATABASE).await, Ok(None));
    mark.bump().await;
    assert!(matches!(reader.look_up().await, Found::Miss(_)));
    let (key, scopes) = (&reader.key, reader.scopes);
    let question = Question {
        key,
        database: DATABASE,
        epoch: before,
        scopes,
        ttl: TTL,
    };
    assert!(matches!(store.look_up(&question).await, Found::Outdated));
}

#[tokio::test]
async fn a_rule_that_was_shortened_counts_at_once() {
    let server = Server::start(&[]);
    let store = ready(&server).await;
    let reader = Reader::new(&store, 1);
    reader.warm("old").await;
    assert!(matches!(reader.ask(2 * TTL).await, Found::Hit(_)));
    assert!(matches!(reader.ask(TTL / 2).await, Found::Miss(_)));
}

#[tokio::test]
async fn a_forgotten_mark_ends_in_a_bump_at_once() {
    let server = Server::start(&[]);
    let store = ready(&server).await;
    let reader = Reader::new(&store, 1);
    reader.warm("old").await;
    drop(write(&store, 1).await);
    reader.never_again("old", "new").await;
    assert_eq!(store.status().state, State::Up);
}

#[tokio::test]
async fn the_lease_of_an_orphan_ends_in_a_new_version() {
    let server = Server::start(&[]);
    let (a, b) = (ready(&server).await, ready(&server).await);
    let reader = Reader::new(&b, 1);
    reader.warm("old").await;
    std::mem::forget(write(&a, 1).await);
    // Having said good-bye, it is not missed: only the lease tells.
    a.shutdown().await;
    assert!(matches!(reader.look_up().await, Found::InFlight));
    within(
        Duration::from_secs(30),
        &mut async || match reader.look_up().await {
            Found::InFlight | Found::Unavailable => false,
            Found::Miss(_) => true,
            found @ (Found::Hit(_) | Found::Outdated) => panic!("{found:?}"),
        },
    )
    .await;
    assert_eq!(b.status().count(Trouble::Rotated), 0);
}

#[tokio::test]
async fn a_mark_that_is_held_long_is_renewed() {
    let server = Server::start(&[]);
    let store = ready(&server).await;
    let reader = Reader::new(&store, 1);
    reader.warm("old").await;
    let mark = write(&store, 1).await;
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(13) {
        let found = reader.look_up().await;
        assert!(
            !matches!(found, Found::Hit(_) | Found::Miss(_)),
            "{found:?}"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    mark.clear().await;
    assert_eq!(reader.text().await.as_deref(), Some("old"));
}

#[tokio::test]
async fn rows_are_given_up_one_by_one() {
    let server = Server::start(&[]);
    let store = ready(&server).await;
    let relation = RelationId::from_oid(1);
    let (bulk, insert) = (
        Scope::Bulk(DATABASE, relation),
        Scope::Insert(DATABASE, relation),
    );
    let row = |n: u64| Scope::Row(DATABASE, relation, RowClass::from_digest(n << 44));
    let (one, two) = ([bulk, row(1), insert], [bulk, row(2), insert]);
    let reader = |n, scopes| Reader {
        scopes,
        ..Reader::new(&store, n)
    };
    let (first, second) = (reader(1, &one), reader(2, &two));
    first.warm("first").await;

    // A reply that lacks no row is recorded without the last scope.
    let mut stamp = second.stamp().await;
    stamp.truncate(2);
    second.fill(stamp, "second");
    eventually(async || second.text().await.as_deref() == Some("second")).await;

    let mark = store.mark(&[scope(1), insert]).await;
    assert_eq!(first.text().await, None);
    assert_eq!(second.text().await.as_deref(), Some("second"));
    let Found::Miss(stamp) = first.look_up().await else {
        panic!("what comes may yet be recorded");
    };
    assert_eq!(stamp.versions().len(), 3);
    mark.bump().await;
    assert_eq!(second.text().await.as_deref(), Some("second"));
    first.warm("again").await;

    store.mark(&[scope(1), row(1)]).await.bump().await;
    assert_eq!(first.text().await, None);
    assert_eq!(second.text().await.as_deref(), Some("second"));
    store.mark(&[scope(1), bulk]).await.bump().await;
    assert_eq!(second.text().await, None);
}

#[tokio::test]
async fn a_lost_version_gets_another() {
    let server = Server::start(&[]);
    let store = ready(&server).await;
    let reader = Reader::new(&store, 1);
    reader.warm("old").await;
    for lost in ["r:1", "e", "t"] {
        let key = format!("test:2:{{0000000000000abc:5}}:{lost}");
        assert_eq!(server.cli(&["DEL", &key]).trim(), "1");
        reader.never_again("old", lost).await;
    }
}

#[tokio::test]
async fn entries_have_bounds_and_expire() {
    let server = Server::start(&[]);
    let store = ready(&server).await;
    let reader = Reader::new(&store, 1);
    reader.fill(reader.stamp().await, &"x".repeat((1 << 16) + 1));
    assert_eq!(store.status().count(Trouble::TooLarge), 1);
    reader.warm(&"x".repeat(1 << 16)).await;
    let key = server.cli(&["KEYS", "test:*:k:*"]).trim().to_owned();
    let left: u64 = server.cli(&["PTTL", &key]).trim().parse().unwrap();
    let ttl = u64::try_from(TTL.as_millis()).unwrap();
    assert!((ttl * 85 / 100..=ttl).contains(&left), "{left}");
    for key in server.cli(&["KEYS", "*"]).lines() {
        assert_ne!(
            server.cli(&["PTTL", key]).trim(),
            "-1",
            "{key} never expires"
        );
    }
}

#[tokio::test]
async fn settings_that_cannot_work_are_refused() {
    let refused = |url: &str, prefix: &str| {
        let (url, prefix) = (url.to_owned(), prefix.to_owned());
        let settings = RedisSettings {
            url,
            deadline: DEADLINE,
            prefix,
            connections: 1,
            mode: MODE,
            on_outage: OnOutage::Wait,
        };
        Store::redis(settings, limits()).unwrap_err()
    };
    assert!(matches!(refused("not a url", "p"), StoreError::Url(_)));
    assert_eq!(
        refused("redis-cluster://localhost", "p"),
        StoreError::Clustered
    );
    assert!(matches!(
        refused("redis://localhost", "{p"),
        StoreError::Prefix(_)
    ));
}

/// Writers and readers on two instances; the database is a number.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_reader_sees_less_than_what_was_acknowledged() {
    static ROW: AtomicU64 = AtomicU64::new(0);
    static ACKNOWLEDGED: AtomicU64 = AtomicU64::new(0);
    static HITS: AtomicU64 = AtomicU64::new(0);

    let server = Server::start(&[]);
    let stores = [ready(&server).await, ready(&server).await];
    let epoch = stores[0].epoch(DATABASE).await.unwrap().unwrap();
    let end = Instant::now() + Duration::from_secs(4);
    let mut tasks = tokio::task::JoinSet::new();
    for store in &stores {
        for n in 0..4 {
            let store = store.clone();
            tasks.spawn(async move {
                let reader = Reader::new(&store, n % 2);
                while Instant::now() < end {
                    let floor = ACKNOWLEDGED.load(Ordering::SeqCst);
                    match reader.ask_under(epoch).await {
                        Found::Hit(entry) => {
                            let seen = str::from_utf8(entry.frames()).unwrap();
                            assert!(seen.parse::<u64>().unwrap() >= floor, "{seen} < {floor}");
                            HITS.fetch_add(1, Ordering::Relaxed);
                        }
                        Found::Miss(stamp) => {
                            let row = ROW.load(Ordering::SeqCst);
                            tokio::task::yield_now().await;
                            reader.fill(stamp, &row.to_string());
                        }
                        Found::InFlight | Found::Outdated | Found::Unavailable => {}
                    }
                    // A hit that is near never yields by itself.
                    tokio::task::yield_now().await;
                }
            });
        }
        let store = store.clone();
        tasks.spawn(async move {
            for n in 0_u64.. {
                if Instant::now() > end {
                    break;
                }
                let mark = write(&store, 1).await;
                if n % 3 == 0 {
                    mark.clear().await;
                } else {
                    let row = ROW.fetch_add(1, Ordering::SeqCst) + 1;
                    mark.bump().await;
                    ACKNOWLEDGED.fetch_max(row, Ordering::SeqCst);
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    assert!(HITS.load(Ordering::Relaxed) > 100);
    for store in stores {
        store.shutdown().await;
    }
}

/// Whose it is to ask for a reply; what is claimed is given up at once.
async fn claims(reader: &Reader<'_>, stamp: &Stamp) -> Option<bool> {
    let question = Question {
        key: &reader.key,
        database: DATABASE,
        epoch: *stamp.versions().first().unwrap(),
        scopes: reader.scopes,
        ttl: TTL,
    };
    match reader.store.claim(&question, stamp).await {
        Claimed::Ours(claim) => Some(claim.is_some()),
        Claimed::Theirs => None,
    }
}

#[tokio::test]
async fn who_is_alone_claims_nothing_until_another_comes() {
    let server = Server::start(&[]);
    let store = ready(&server).await;
    let reader = Reader::new(&store, 1);
    let epoch = reader.epoch().await;
    let stamp = reader.stamp().await;
    assert_eq!(claims(&reader, &stamp).await, Some(false));
    let other = ready(&server).await;
    // As everyone does who comes.
    other.outdate(&[Scope::Epoch(DATABASE)]).await;
    assert!(matches!(reader.ask_under(epoch).await, Found::Outdated));
    assert_eq!(claims(&reader, &stamp).await, Some(true));
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_ne!(claims(&reader, &stamp).await, Some(false));
    other.shutdown().await;
    eventually(async || claims(&reader, &stamp).await == Some(false)).await;
}
