//! The store in Redis against a real server, with replies that are kept near.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests are tests, which clippy does not see"
)]

mod cases;
mod server;
mod threads;
mod way;

use pgmemo_store::RedisMode;

const MODE: RedisMode = RedisMode::Leases;

use std::time::{Duration, Instant};

use cache::{Scope, Version};
use cases::{DATABASE, Reader, eventually, hasty, ready, scope, within};
use catalog::{DatabaseId, RelationId, RowClass};
use pgmemo_store::{Found, Store};
use server::Server;

/// Longer than any lease, and than a writer waits for one.
const LEASE: Duration = Duration::from_millis(1100);

/// The ledger of the database that `cases` uses.
const LEDGER: &str = "test:2:{0000000000000abc:5}:l";

/// A store whose ledger knows all members, so that nobody waits for those it may have forgotten.
async fn ripe(server: &Server) -> Store {
    let store = ready(server).await;
    eventually(async || server.cli(&["HGET", LEDGER, "ripe"]).trim() == "1").await;
    store
}

/// A reply that is served without asking Redis.
async fn near<'a>(store: &'a Store, text: &str) -> Reader<'a> {
    let reader = Reader::new(store, 1);
    reader.warm(text).await;
    let epoch = reader.epoch().await;
    eventually(async || is_near(&reader, epoch).await).await;
    reader
}

/// Whether a reply is served without asking Redis.
async fn is_near(reader: &Reader<'_>, epoch: Version) -> bool {
    let before = reader.store.status().near_hits;
    let found = reader.ask_under(epoch).await;
    let near = reader.store.status().near_hits > before;
    assert!(!near || matches!(found, Found::Hit(_)), "{found:?}");
    near
}

async fn timed(mark: impl Future<Output = pgmemo_store::Mark>) -> Duration {
    let start = Instant::now();
    mark.await.bump().await;
    start.elapsed()
}

#[tokio::test]
async fn a_hit_does_not_ask_redis() {
    let server = Server::start(&[]);
    let store = ripe(&server).await;
    let reader = near(&store, "old").await;
    let epoch = reader.epoch().await;
    let calls = || server.cli(&["INFO", "commandstats"]);
    let reads = |text: &str| {
        text.lines()
            .find(|line| line.starts_with("cmdstat_mget"))
            .map(str::to_owned)
    };
    let before = reads(&calls());
    for _ in 0..1000 {
        assert!(matches!(reader.ask_under(epoch).await, Found::Hit(_)));
    }
    assert_eq!(reads(&calls()), before);
}

#[tokio::test]
async fn a_lone_writer_waits_for_nobody() {
    let server = Server::start(&[]);
    let store = ripe(&server).await;
    let reader = near(&store, "old").await;
    let mark = store.mark(&[scope(1)]).await;
    assert!(!matches!(reader.look_up().await, Found::Hit(_)));
    mark.bump().await;
    assert_eq!(store.status().waits, 0);
    reader.never_again("old", "new").await;
}

#[tokio::test]
async fn a_writer_waits_until_the_others_have_forgotten() {
    let server = Server::start(&[]);
    let (first, second) = (ripe(&server).await, ready(&server).await);
    let mut waits = 0;
    for n in 0..20 {
        let reader = near(&second, &n.to_string()).await;
        let epoch = reader.epoch().await;
        let mark = first.mark(&[scope(1)]).await;
        assert!(
            !matches!(reader.ask_under(epoch).await, Found::Hit(_)),
            "{n}"
        );
        mark.bump().await;
        waits = first.status().waits;
    }
    assert!(waits >= 20, "{waits}");
    // Each of them, if nobody acknowledged; one or two on a machine that stands still for a moment.
    assert!(first.status().waits_out <= 2);
    let mean = first.status().waited / u32::try_from(waits).unwrap();
    assert!(mean < LEASE / 4, "{mean:?}");
}

/// A row is forgotten for its own sake, or for what named no rows.
#[tokio::test]
async fn rows_that_are_near_are_forgotten_one_by_one() {
    let server = Server::start(&[]);
    let (writer, store) = (ripe(&server).await, ready(&server).await);
    let relation = RelationId::from_oid(1);
    let bulk = Scope::Bulk(DATABASE, relation);
    let insert = Scope::Insert(DATABASE, relation);
    let row = |n: u64| Scope::Row(DATABASE, relation, RowClass::from_digest(n << 44));
    let (one, two) = ([bulk, row(1), insert], [bulk, row(2), insert]);
    // Of the first, a row is missing; of the second, none.
    let first = Reader {
        scopes: &one,
        ..Reader::new(&store, 1)
    };
    let second = Reader {
        scopes: &two,
        ..Reader::new(&store, 2)
    };
    let epoch = first.epoch().await;
    let both = async || {
        if let Found::Miss(stamp) = first.ask_under(epoch).await {
            first.fill(stamp, "first");
        }
        if let Found::Miss(mut stamp) = second.ask_under(epoch).await {
            stamp.truncate(2);
            second.fill(stamp, "second");
        }
        is_near(&first, epoch).await && is_near(&second, epoch).await
    };
    for (written, first_stays, second_stays) in [
        (&[scope(1), row(3)][..], true, true),
        (&[scope(1), row(1)], false, true),
        (&[scope(1), row(2)], true, false),
        (&[scope(1), insert], false, true),
        (&[scope(1), bulk], false, false),
    ] {
        eventually(both).await;
        let mark = writer.mark(written).await;
        let stays = (is_near(&first, epoch).await, is_near(&second, epoch).await);
        assert_eq!(stays, (first_stays, second_stays), "{written:?}");
        mark.bump().await;
    }
}

#[tokio::test]
async fn a_silent_member_is_waited_for_once() {
    let server = Server::start(&[]);
    let store = ripe(&server).await;
    server.cli(&["HSET", LEDGER, "a-silent-member!", "0:7"]);
    let took = timed(store.mark(&[scope(1)])).await;
    assert!(took > LEASE * 9 / 10, "{took:?}");
    assert_eq!(store.status().waits_out, 1);
    // It was struck off.
    timed(store.mark(&[scope(1)])).await;
    assert_eq!(store.status().waits_out, 1);
}

#[tokio::test]
async fn a_member_that_leaves_is_not_waited_for() {
    let server = Server::start(&[]);
    let (first, second) = (ripe(&server).await, ready(&server).await);
    near(&second, "old").await;
    second.shutdown().await;
    timed(first.mark(&[scope(1)])).await;
    assert_eq!(first.status().waits, 0);
}

#[tokio::test]
async fn a_ledger_that_was_lost_is_not_believed_to_know_all() {
    let server = Server::start(&[]);
    let (first, second) = (ripe(&server).await, ready(&server).await);
    let reader = near(&second, "old").await;
    let epoch = reader.epoch().await;
    server.cli(&["DEL", LEDGER]);
    let mark = first.mark(&[scope(1)]).await;
    assert!(!matches!(reader.ask_under(epoch).await, Found::Hit(_)));
    assert_eq!(first.status().waits_out, 1);
    mark.bump().await;
}

/// Nobody can be told by it, or be heard: another one takes its place, and all begin anew.
#[tokio::test]
async fn a_ledger_that_was_garbled_is_replaced() {
    let server = Server::start(&[]);
    let (first, second) = (ripe(&server).await, ready(&server).await);
    let stranger = "a-silent-member!";
    for (field, value) in [
        ("id", "abc"),
        ("id", ""),
        ("id", "sixteen letters!"),
        ("server", "abc"),
        ("sequence", "abc"),
        ("sequence", "-1"),
        ("sequence", "0"),
        ("ripe", "abc"),
        (stranger, "abc"),
        (stranger, "7:7:7"),
        (stranger, "9999999:1"),
        ("*", "abc"),
    ] {
        let reader = near(&second, field).await;
        let epoch = reader.epoch().await;
        let fields = server.cli(&["HKEYS", LEDGER]);
        let members = fields.lines().filter(|it| it.len() == 16);
        match field {
            "*" => members.for_each(|it| _ = server.cli(&["HSET", LEDGER, it, value])),
            field => _ = server.cli(&["HSET", LEDGER, field, value]),
        }
        let mut marks = 0;
        let mut swift = async || {
            let start = Instant::now();
            let mark = first.mark(&[scope(1)]).await;
            let took = start.elapsed();
            let found = reader.ask_under(epoch).await;
            assert!(!matches!(found, Found::Hit(_)), "{field} {value}");
            mark.bump().await;
            marks += 1;
            assert!(marks < 200, "{field} {value}");
            took < LEASE / 4
        };
        within(Duration::from_secs(12), &mut swift).await;
        near(&second, "again").await;
        within(Duration::from_secs(12), &mut swift).await;
    }
}

/// A reader whose subscription was lost without its noticing misses the mark by its number.
#[tokio::test]
async fn a_mark_that_is_not_heard_is_missed_at_the_next_renewal() {
    let server = Server::start(&[]);
    let (first, second) = (ripe(&server).await, ready(&server).await);
    for n in 0..3 {
        let reader = near(&second, &n.to_string()).await;
        let epoch = reader.epoch().await;
        server.cli(&["CLIENT", "KILL", "TYPE", "pubsub"]);
        let mark = first.mark(&[scope(1)]).await;
        assert!(!matches!(reader.ask_under(epoch).await, Found::Hit(_)));
        mark.bump().await;
        eventually(async || second.status().state == pgmemo_store::State::Up).await;
    }
}

/// An instance that asks Redis at every lookup waits for those who do not.
#[tokio::test]
async fn a_strict_writer_waits_for_those_with_leases() {
    let server = Server::start(&[]);
    let (second, first) = (ripe(&server).await, strict(&server).await);
    for n in 0..10 {
        let reader = near(&second, &n.to_string()).await;
        let epoch = reader.epoch().await;
        let mark = first.mark(&[scope(1)]).await;
        assert!(
            !matches!(reader.ask_under(epoch).await, Found::Hit(_)),
            "{n}"
        );
        mark.bump().await;
    }
    assert!(first.status().waits_out <= 2);
    assert!(first.status().waits >= 10);
}

/// Redis grants nothing while it hangs, so a write waits until nobody can serve what it changes.
#[tokio::test]
async fn a_write_while_redis_hangs_waits_until_the_leases_have_run_out() {
    let server = Server::start(&[]);
    let (first, second) = (hasty(&server).await, ripe(&server).await);
    let reader = near(&second, "old").await;
    let epoch = reader.epoch().await;
    server.cli(&["CLIENT", "PAUSE", "3000", "ALL"]);
    let mark = first.mark(&[scope(1)]).await;
    let served = reader.ask_under(epoch).await;
    assert!(!matches!(served, Found::Hit(_)));
    mark.bump().await;
}

/// Nobody else hears of what is delivered later, and neither do we.
#[tokio::test]
async fn what_is_delivered_in_the_background_is_forgotten_here() {
    let server = Server::start(&[]);
    let store = ripe(&server).await;
    let reader = near(&store, "old").await;
    let epoch = reader.epoch().await;
    server.cli(&["CLIENT", "PAUSE", "150", "ALL"]);
    let scopes = [scope(1)];
    let outdate = store.outdate(&scopes);
    let cancelled = tokio::time::timeout(Duration::from_millis(20), outdate).await;
    assert!(cancelled.is_err());
    eventually(async || store.status().owed == 0).await;
    let served = reader.ask_under(epoch).await;
    assert!(!matches!(served, Found::Hit(_)), "{served:?}");
}

async fn strict(server: &Server) -> Store {
    let mut settings = cases::settings(server);
    settings.mode = RedisMode::Strict;
    cases::ready_by(settings).await
}

#[tokio::test]
async fn who_has_met_leases_does_not_wait_for_them_for_ever() {
    let server = Server::start(&[]);
    let (second, first) = (ripe(&server).await, strict(&server).await);
    timed(first.mark(&[scope(1)])).await;
    second.shutdown().await;
    server.cli(&["DEL", LEDGER]);
    // Somebody may have a lease still.
    assert!(timed(first.mark(&[scope(1)])).await > LEASE * 9 / 10);
    eventually(async || timed(first.mark(&[scope(1)])).await < LEASE / 2).await;
}

#[tokio::test]
async fn a_ledger_of_another_server_is_a_sign_of_leases() {
    let server = Server::start(&[]);
    let first = strict(&server).await;
    server.cli(&[
        "HSET",
        LEDGER,
        "id",
        "a-ledger-of-old!",
        "server",
        "another",
    ]);
    assert!(timed(first.mark(&[scope(1)])).await > LEASE * 9 / 10);
}

/// What is known of leases is known of a database: of another, nobody need be waited for.
#[tokio::test]
async fn who_has_met_leases_in_one_database_waits_for_nobody_in_another() {
    let server = Server::start(&[]);
    let (second, first) = (ripe(&server).await, strict(&server).await);
    let other = Scope::Relation(DatabaseId { oid: 6, ..DATABASE }, RelationId::from_oid(1));
    timed(first.mark(&[scope(1)])).await;
    second.shutdown().await;
    server.cli(&["DEL", LEDGER]);
    assert!(timed(first.mark(&[other])).await < LEASE / 2);
    assert!(timed(first.mark(&[scope(1)])).await > LEASE * 9 / 10);
    assert!(timed(first.mark(&[other])).await < LEASE / 2);
}

/// Seats are renewed together: one after the other, most leases would run out before their turn.
#[tokio::test]
async fn leases_of_many_databases_are_renewed_on_a_slow_redis() {
    let server = Server::start(&[]);
    let way = way::Way::to(server.port()).await;
    let mut settings = cases::settings(&server);
    settings.url = way.url();
    let store = cases::ready_by(settings).await;
    for oid in 100..140 {
        let database = DatabaseId { oid, ..DATABASE };
        eventually(async || matches!(store.epoch(database).await, Ok(Some(_)))).await;
    }
    eventually(async || server.cli(&["KEYS", "test:2:*:l"]).lines().count() >= 41).await;
    way.takes(Duration::from_millis(60));
    // Were there not time for all of them, some would be lost each time. A machine that stands
    // still for a moment loses some once.
    within(Duration::from_secs(60), &mut async || {
        let before = store.status().leases_lost;
        tokio::time::sleep(2 * LEASE).await;
        store.status().leases_lost == before
    })
    .await;
}
