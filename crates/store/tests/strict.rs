//! The store in Redis against a real server, which is asked at every lookup.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests are tests, which clippy does not see"
)]

mod cases;
mod server;
mod threads;
mod way;

use std::time::{Duration, Instant};

use cache::Scope;
use cases::{DATABASE, Reader, TTL, eventually, limits, ready, settings, within, write};
use catalog::DatabaseId;
use pgmemo_store::{Found, OnOutage, Question, RedisMode, State, Store, Trouble};
use server::Server;
use threads::Threads;
use tokio::runtime::Handle;

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
    server.cli(&["CLIENT", "PAUSE", "9000", "ALL"]);
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
        start.elapsed() < Duration::from_secs(5),
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

/// Looks a reply up on a thread, some times.
async fn look_up_on(thread: &Handle, store: &Store) {
    let store = store.clone();
    let looked_up = thread.spawn(async move {
        let reader = Reader::new(&store, 1);
        for _ in 0..10 {
            reader.look_up().await;
        }
    });
    looked_up.await.unwrap();
}

/// How many connections looked something up last.
fn lines_looked_up(server: &Server) -> usize {
    let list = server.cli(&["CLIENT", "LIST"]);
    list.lines()
        .filter(|line| line.contains("cmd=mget"))
        .count()
}

#[tokio::test]
async fn each_thread_has_a_connection_of_its_own_and_others_take_its_place() {
    let server = Server::start(&[]);
    let store = ready(&server).await;
    let threads = Threads::start(2);
    store.serve_from(&threads.handles());
    let connections = || {
        let list = server.cli(&["CLIENT", "LIST"]);
        list.matches("name=pgmemo-").count()
    };
    eventually(async || connections() == 4).await;
    let reader = Reader::new(&store, 1);
    reader.warm("old").await;
    // Each is looked at every second, by another command.
    eventually(async || lines_looked_up(&server) == 0).await;
    eventually(async || {
        look_up_on(&threads.handles()[0], &store).await;
        lines_looked_up(&server) == 1
    })
    .await;
    eventually(async || {
        for thread in threads.handles() {
            look_up_on(&thread, &store).await;
        }
        lines_looked_up(&server) == 2
    })
    .await;
    server.cli(&["CLIENT", "KILL", "TYPE", "normal"]);
    write(&store, 1).await.bump().await;
    eventually(async || connections() == 4).await;
    reader.never_again("old", "new").await;
    // With a thread its connection ends.
    drop(threads);
    eventually(async || connections() == 2).await;
    write(&store, 1).await.bump().await;
    assert_eq!(store.status().owed, 0);
    reader.never_again("new", "newer").await;
    store.shutdown().await;
}

/// What a server is reached by, and who is let in.
#[tokio::test]
async fn all_ways_that_a_url_can_name_lead_to_the_server() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("redis.sock");
    let server = Server::start(&["--unixsocket", socket.to_str().unwrap()]);
    server.cli(&[
        "ACL", "SETUSER", "shop", "on", ">secret", "~*", "&*", "+@all",
    ]);
    let sentinel = Sentinel::start(server.port());
    let urls = [
        format!("redis+unix://{}", socket.display()),
        format!("redis://shop:secret@127.0.0.1:{}/3", server.port()),
        format!(
            "redis-sentinel://127.0.0.1:{}?sentinelServiceName=shop",
            sentinel.port
        ),
    ];
    for (n, url) in urls.into_iter().enumerate() {
        let mut settings = settings(&server);
        settings.url = url;
        settings.prefix = format!("way{n}");
        let store = cases::ready_by(settings).await;
        Reader::new(&store, 1).warm("old").await;
        store.shutdown().await;
        let database = if n == 1 { "3" } else { "0" };
        let keys = server.cli(&["-n", database, "KEYS", &format!("way{n}:*:k:*")]);
        assert!(keys.contains("way"), "way {n}");
    }
    let mut refused = settings(&server);
    refused.url = format!("redis://shop:wrong@127.0.0.1:{}", server.port());
    let store = Store::redis(refused, limits()).unwrap();
    eventually(async || store.status().count(Trouble::Disconnected) > 1).await;
    assert_eq!(store.status().state, State::Down);
}

/// One sentinel, which watches one server.
struct Sentinel {
    port: u16,
    process: std::process::Child,
    _directory: tempfile::TempDir,
}

impl Sentinel {
    fn start(master: u16) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let port = pgmemo_tests::net::free_port().unwrap();
        let file = directory.path().join("sentinel.conf");
        let text = format!("port {port}\nsentinel monitor shop 127.0.0.1 {master} 1\n");
        std::fs::write(&file, text).unwrap();
        let process = std::process::Command::new("redis-server")
            .arg(&file)
            .arg("--sentinel")
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        Self {
            port,
            process,
            _directory: directory,
        }
    }
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        _ = self.process.kill();
        _ = self.process.wait();
    }
}

/// How often a command was performed.
fn performed(server: &Server, command: &str) -> u64 {
    let stats = server.cli(&["INFO", "commandstats"]);
    let line = stats
        .lines()
        .find_map(|line| line.strip_prefix(&format!("cmdstat_{command}:calls=")));
    line.map_or(0, |line| line.split(',').next().unwrap().parse().unwrap())
}

/// The keeper runs a script now and then, and no more.
#[tokio::test]
async fn a_miss_of_what_nobody_has_asked_for_takes_one_round_trip() {
    let server = Server::start(&[]);
    let store = ready(&server).await;
    let epoch = Reader::new(&store, 1).epoch().await;
    let before = performed(&server, "evalsha");
    for oid in 100..150 {
        let scopes = [cases::scope(oid)];
        let reader = Reader {
            scopes: &scopes,
            ..Reader::new(&store, oid.into())
        };
        let found = reader.ask_under(epoch).await;
        assert!(matches!(found, Found::Miss(_)), "{found:?}");
        // What is made is made once.
        let again = reader.ask_under(epoch).await;
        let (Found::Miss(first), Found::Miss(second)) = (found, again) else {
            panic!("{oid}");
        };
        assert_eq!(first, second);
    }
    assert!(performed(&server, "evalsha") < before + 20);
}

/// It is marked, and its mark ends, which tells the epoch.
#[tokio::test]
async fn a_write_takes_two_round_trips() {
    let server = Server::start(&[]);
    let store = ready(&server).await;
    let epoch = Reader::new(&store, 1).epoch().await;
    let before = performed(&server, "mget");
    for _ in 0..20 {
        let mark = write(&store, 1).await;
        assert_eq!(mark.bump_and_see(&store, DATABASE).await, Ok(Some(epoch)));
    }
    assert_eq!(performed(&server, "mget"), before);
    let definitions = store.mark(&[Scope::Epoch(DATABASE)]).await;
    let mark = write(&store, 1).await;
    assert_eq!(mark.bump_and_see(&store, DATABASE).await, Ok(None));
    definitions.bump().await;
    let mark = write(&store, 1).await;
    let now = mark.bump_and_see(&store, DATABASE).await;
    assert!(matches!(now, Ok(Some(now)) if now != epoch), "{now:?}");
}

/// A password is changed: connections that were let in before go on, one that is lost stays lost.
#[tokio::test]
async fn a_line_that_is_not_let_in_again_leaves_the_others_alone() {
    let server = Server::start(&[]);
    let store = ready(&server).await;
    let reader = Reader::new(&store, 1);
    reader.warm("old").await;
    let one = server.cli(&["CLIENT", "LIST"]);
    let one = one.lines().find(|line| line.contains("name=pgmemo-"));
    let id = one.unwrap().split(['=', ' ']).nth(1).unwrap().to_owned();
    server.cli(&["CONFIG", "SET", "requirepass", "secret"]);
    server.cli(&["-a", "secret", "CLIENT", "KILL", "ID", &id]);
    let before = store.status().count(Trouble::Disconnected);
    eventually(async || store.status().count(Trouble::Disconnected) > before + 2).await;
    // Of two lines, one; but one lookup or the other takes too long on a busy machine.
    let mut hits = 0;
    for _ in 0..100 {
        hits += u32::from(matches!(reader.look_up().await, Found::Hit(_)));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(hits >= 80, "{hits}");
    assert_eq!(store.status().count(Trouble::Refused), 0);
}

/// Its nodes have no versions in common, whatever the URL says.
#[tokio::test]
async fn a_node_of_a_cluster_is_not_used() {
    let server = Server::start(&["--cluster-enabled", "yes"]);
    server.cli(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]);
    let store = Store::redis(settings(&server), limits()).unwrap();
    eventually(async || store.status().count(Trouble::Refused) > 2).await;
    assert_eq!(store.status().state, State::Down);
}

/// As roles are, which all of them share.
#[tokio::test]
async fn what_is_written_in_many_databases_takes_one_round_trip() {
    let server = Server::start(&[]);
    let way = way::Way::to(server.port()).await;
    let mut settings = settings(&server);
    settings.url = way.url();
    let store = cases::ready_by(settings).await;
    let databases = (100..150).map(|oid| DatabaseId { oid, ..DATABASE });
    let scopes: Vec<_> = databases.map(Scope::Epoch).collect();
    way.takes(Duration::from_millis(60));
    let begun = Instant::now();
    store.mark(&scopes).await.bump().await;
    assert_eq!(store.status().owed, 0);
    assert!(
        begun.elapsed() < Duration::from_secs(2),
        "{:?}",
        begun.elapsed()
    );
}
