//! The store in Redis against a real server, in good times and in bad ones.
//!
//! Every test starts its own `redis-server` on a free port. Waits have generous bounds: what is
//! tested is what is served, and that nobody hangs.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests are tests, which clippy does not see"
)]

mod server;

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use cache::{CacheKey, DigestBuilder, Entry, Scope, Stamp};
use catalog::{DatabaseId, RelationId, RowClass, SystemId};
use pgmemo_store::{
    Fill, Found, Limits, Mark, Question, RedisSettings, State, Store, StoreError, Trouble,
};
use server::Server;
use tokio_util::sync::CancellationToken;

const DATABASE: DatabaseId = DatabaseId {
    system: SystemId(0xabc),
    oid: 5,
};
const TTL: Duration = Duration::from_secs(600);
/// Far above what is needed, because tests share their machine.
const DEADLINE: Duration = Duration::from_millis(250);

fn settings(server: &Server) -> RedisSettings {
    RedisSettings {
        url: format!("redis://127.0.0.1:{}", server.port()),
        deadline: DEADLINE,
        prefix: "test".to_owned(),
        connections: 2,
    }
}

fn limits() -> Limits {
    Limits {
        bytes_max: 1 << 20,
        entry_bytes_max: 1 << 16,
        jitter_percent: 10,
    }
}

fn store(server: &Server) -> Store {
    Store::redis(settings(server), limits()).unwrap()
}

/// A store that answers.
async fn ready(server: &Server) -> Store {
    let store = store(server);
    eventually(async || matches!(store.epoch(DATABASE).await, Ok(Some(_)))).await;
    store
}

const RELATION: [Scope; 1] = [Scope::Relation(DATABASE, RelationId::from_oid(1))];

fn scope(oid: u32) -> Scope {
    Scope::Relation(DATABASE, RelationId::from_oid(oid))
}

fn key(n: u64) -> CacheKey {
    let mut fields = DigestBuilder::default();
    fields.number(n);
    fields.into_key().0
}

fn entry(text: &str) -> Entry {
    Entry::new(text.to_owned().into(), 0, 0, 1).unwrap()
}

/// Awaits an event that has to come within ten seconds.
async fn eventually(mut happened: impl AsyncFnMut() -> bool) {
    within(Duration::from_secs(10), &mut happened).await;
}

async fn within(bound: Duration, happened: &mut impl AsyncFnMut() -> bool) {
    let start = Instant::now();
    while !happened().await {
        assert!(
            start.elapsed() < bound,
            "it has not happened within {bound:?}"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A reply that depends on relation 1.
struct Reader<'a> {
    store: &'a Store,
    key: CacheKey,
    scopes: &'a [Scope],
}

impl<'a> Reader<'a> {
    fn new(store: &'a Store, n: u64) -> Self {
        Self {
            store,
            key: key(n),
            scopes: &RELATION,
        }
    }

    async fn ask(&self, ttl: Duration) -> Found {
        let Ok(Some(epoch)) = self.store.epoch(DATABASE).await else {
            return Found::Unavailable;
        };
        let (key, scopes) = (&self.key, self.scopes);
        let question = Question {
            key,
            database: DATABASE,
            epoch,
            scopes,
            ttl,
        };
        self.store.look_up(&question).await
    }

    async fn look_up(&self) -> Found {
        self.ask(TTL).await
    }

    async fn stamp(&self) -> Stamp {
        let mut stamp = None;
        eventually(async || {
            if let Found::Miss(found) = self.look_up().await {
                stamp = Some(found);
            }
            stamp.is_some()
        })
        .await;
        stamp.unwrap()
    }

    fn fill(&self, stamp: Stamp, text: &str) {
        self.store.fill(Fill {
            key: self.key,
            database: DATABASE,
            scopes: self.scopes.into(),
            stamp,
            entry: entry(text),
            ttl: TTL,
        });
    }

    async fn text(&self) -> Option<String> {
        match self.look_up().await {
            Found::Hit(entry) => Some(String::from_utf8(entry.frames().to_vec()).unwrap()),
            Found::Miss(_) | Found::InFlight | Found::Outdated | Found::Unavailable => None,
        }
    }

    /// Fills a reply and sees it served.
    async fn warm(&self, text: &str) {
        self.fill(self.stamp().await, text);
        eventually(async || self.text().await.as_deref() == Some(text)).await;
    }

    /// Sees that until something else can be recorded and served, `text` is not.
    async fn never_again(&self, text: &str, new: &str) {
        within(
            Duration::from_secs(5),
            &mut async || match self.look_up().await {
                Found::Hit(entry) if entry.frames() == new => true,
                Found::Hit(entry) => panic!("{:?} after {text}", entry.frames()),
                Found::Miss(stamp) => {
                    self.fill(stamp, new);
                    false
                }
                Found::InFlight | Found::Outdated | Found::Unavailable => false,
            },
        )
        .await;
    }
}

async fn write(store: &Store, oid: u32) -> Mark {
    store.mark(&[scope(oid)]).await
}

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
    for _ in 0..5 {
        server.cli(&["CLIENT", "KILL", "TYPE", "normal"]);
        eventually(async || reader.text().await.as_deref() == Some("old")).await;
    }
    assert_eq!(store.status().count(Trouble::Rotated), 1, "the first claim");
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
                while !end.is_cancelled() {
                    let found = store.look_up(&question).await;
                    assert!(!matches!(found, Found::Hit(_)), "{found:?}");
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
    let store = Store::redis(settings, limits()).unwrap();
    let reader = Reader::new(&store, 1);
    reader.warm("old").await;
    let question = Question {
        key: &reader.key,
        database: DATABASE,
        epoch: store.epoch(DATABASE).await.unwrap().unwrap(),
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
    let end = Instant::now() + Duration::from_secs(4);
    let mut tasks = tokio::task::JoinSet::new();
    for store in &stores {
        for n in 0..4 {
            let store = store.clone();
            tasks.spawn(async move {
                let reader = Reader::new(&store, n % 2);
                while Instant::now() < end {
                    let floor = ACKNOWLEDGED.load(Ordering::SeqCst);
                    match reader.look_up().await {
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
                tokio::time::sleep(Duration::from_millis(5)).await;
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
