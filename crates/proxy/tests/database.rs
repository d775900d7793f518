//! What is known of a database, while a real server changes behind our back.

#![expect(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod support;

use std::{sync::mpsc, time::Duration};

use cache::Scope;
use config::{FunctionRule, Place, Secret, TableRule, TlsMode};
use pgmemo_proxy::{control::check::check, database::State};
use session::Knowledge;
use support::{
    PASSWORD, Postgres,
    watched::{NEVER, SOON, Watched, config},
};
use tokio::time::{Instant, sleep};
use tokio_postgres::NoTls;

fn rule(pattern: &str) -> TableRule {
    TableRule {
        refresh: cache::Refresh::default(),
        pattern: pattern.to_owned(),
        ttl: None,
        cache: false,
        place: Place::Nowhere,
    }
}

fn knows(knowledge: &Knowledge, relation: &str) -> bool {
    knowledge
        .schema
        .snapshot()
        .relations_named(relation)
        .next()
        .is_some()
}

#[tokio::test]
async fn what_changed_is_known_to_those_who_wait() {
    let server = Postgres::shared();
    let watched = Watched::ready(&config(&server, NEVER), "postgres").await;
    let before = watched.knowledge();
    assert_eq!(before.epoch, watched.epoch().await);
    assert!(!knows(&before, "asked_for"));
    server.sql("CREATE TABLE asked_for (id int)");
    // As a session does that has seen the statement.
    watched
        .store
        .mark(&[Scope::Epoch(before.database)])
        .await
        .bump()
        .await;
    let told = watched.epoch().await;
    assert!(watched.fresh().await);
    let after = watched.knowledge();
    assert!(knows(&after, "asked_for"));
    assert_eq!(
        (after.epoch, watched.epoch().await),
        (told, told),
        "it was told: no other bump"
    );
    assert!(after.generation > before.generation);
    watched.databases.shutdown().await;
    assert!(watched.database.knowledge().is_none());
}

#[tokio::test]
async fn what_changes_behind_our_back_bumps_the_epoch() {
    let server = Postgres::start();
    server.sql("CREATE TABLE t (a int)");
    let watched = Watched::ready(&config(&server, Duration::from_millis(50)), "postgres").await;
    for change in [
        "CREATE VIEW v AS SELECT a FROM t",
        "CREATE OR REPLACE VIEW v AS SELECT a + 1 AS a FROM t",
        "ALTER TABLE t RENAME a TO b",
        "GRANT SELECT ON t TO scram",
        "REVOKE SELECT ON t FROM scram",
        "ALTER TABLE t ENABLE ROW LEVEL SECURITY",
        "CREATE POLICY p ON t USING (b > 0)",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 2'",
        "GRANT pg_read_all_data TO scram",
        "ALTER ROLE scram BYPASSRLS",
        "ALTER ROLE scram SET search_path = pg_catalog",
        "ALTER DATABASE postgres SET geqo = off",
        "CREATE TYPE mood AS ENUM ('ok')",
        "ALTER TYPE mood RENAME VALUE 'ok' TO 'fine'",
        "DROP FUNCTION f",
    ] {
        let before = watched.knowledge();
        server.sql(change);
        watched
            .await_knowledge(|now| now.is_some_and(|now| now.epoch != before.epoch))
            .await;
        assert_eq!(watched.knowledge().epoch, watched.epoch().await, "{change}");
    }
}

#[tokio::test]
async fn ordinary_work_does_not() {
    let server = Postgres::start();
    server.sql("CREATE TABLE t AS SELECT 1 AS a; CREATE MATERIALIZED VIEW m AS SELECT a FROM t");
    let age = Duration::from_millis(20);
    let watched = Watched::ready(&config(&server, age), "postgres").await;
    let before = watched.knowledge();
    for work in [
        "INSERT INTO t VALUES (2)",
        "TRUNCATE t",
        "REFRESH MATERIALIZED VIEW m",
        "CREATE TEMP TABLE x (a int PRIMARY KEY, b text); CREATE TEMP VIEW y AS SELECT * FROM x",
        "VACUUM FULL t",
        "VACUUM ANALYZE",
        "CHECKPOINT",
    ] {
        server.sql(work);
        // Long enough for a look or two; fewer would only prove less.
        sleep(age * 3).await;
    }
    let after = watched.knowledge();
    assert_eq!(
        (before.epoch, before.generation),
        (after.epoch, after.generation)
    );
}

#[tokio::test]
async fn a_restarted_server_is_another_one() {
    let server = Postgres::start();
    let watched = Watched::ready(&config(&server, NEVER), "postgres").await;
    let before = watched.knowledge();
    server.restart();
    watched
        .await_knowledge(|now| now.is_some_and(|now| now.epoch != before.epoch))
        .await;
    assert_eq!(watched.knowledge().database, before.database);
}

/// What it had not yet written is lost, though its postmaster lives on.
#[tokio::test]
async fn a_server_that_has_crashed_is_another_one() {
    let server = Postgres::start();
    let watched = Watched::ready(&config(&server, NEVER), "postgres").await;
    let before = watched.knowledge();
    server.crash();
    watched
        .await_knowledge(|now| now.is_some_and(|now| now.epoch != before.epoch))
        .await;
    assert_eq!(watched.knowledge().database, before.database);
}

#[tokio::test]
async fn a_lost_connection_alone_changes_nothing() {
    let server = Postgres::start();
    let watched = Watched::ready(&config(&server, NEVER), "postgres").await;
    let before = watched.knowledge();
    server.sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
         WHERE application_name LIKE 'pgmemo control%'",
    );
    watched.await_knowledge(|now| now.is_none()).await;
    watched.await_knowledge(|now| now.is_some()).await;
    assert_eq!(watched.knowledge().epoch, before.epoch);
}

/// Who logs in behind it may come to another database, though the watcher is at something.
#[test]
fn a_connection_that_is_lost_while_the_catalog_is_indexed_is_missed_at_once() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(1)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let server = Postgres::start();
        let watched = Watched::ready(&config(&server, NEVER), "postgres").await;
        server.sql("CREATE TABLE indexed (id int)");
        let (go_on, waits) = mpsc::channel();
        let busy = tokio::task::spawn_blocking(move || waits.recv());
        let control = server.session("postgres").await;
        let now = control.query_one("SELECT clock_timestamp()::text", &[]);
        let now: String = now.await.unwrap().get(0);
        watched.database.refresh();
        // Behind the statements that read the catalog it waits for a thread.
        let says = format!(
            "SELECT FROM pg_stat_activity WHERE application_name LIKE 'pgmemo control%' \
             AND state = 'idle' AND query ~ 'EXECUTE pgmemo_catalog' AND query_start > '{now}'"
        );
        let end = Instant::now() + SOON;
        while control.query(&says, &[]).await.unwrap().is_empty() {
            assert!(Instant::now() < end);
            sleep(Duration::from_millis(50)).await;
        }
        let ends = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
            WHERE application_name LIKE 'pgmemo control%'";
        control.execute(ends, &[]).await.unwrap();
        watched.await_knowledge(|now| now.is_none()).await;
        go_on.send(()).unwrap();
        busy.await.unwrap().unwrap();
        watched.await_knowledge(|now| now.is_some()).await;
        assert!(knows(&watched.knowledge(), "indexed"));
    });
}

#[tokio::test]
async fn without_a_connection_nothing_is_known() {
    let server = Postgres::shared();
    let mut config = config(&server, NEVER);
    for (user, password, database, why) in [
        (Some("scram"), "wrong", "postgres", "28P01"),
        (Some("scram"), PASSWORD, "nowhere", "3D000"),
        (None, PASSWORD, "postgres", "names no user"),
    ] {
        config.upstream.user = user.map(str::to_owned);
        config.upstream.password = Some(Secret::new(password.to_owned()));
        let watched = Watched::start(&config, database);
        assert!(!watched.fresh().await);
        let State::Refused(reason) = watched.database.state() else {
            panic!()
        };
        assert!(reason.contains(why), "{reason}");
        assert!(watched.database.knowledge().is_none());
        assert!(!watched.database.backend_gone(1, SOON).await);
    }
}

/// It is in a database that is there, or comes when somebody has seen to what was wrong. But who is
/// refused does not ask for each of many.
#[tokio::test]
async fn a_newcomer_recalls_a_watcher_that_was_refused() {
    let server = Postgres::start();
    let mut config = config(&server, NEVER);
    let absent = Watched::start(&config, "later");
    config.upstream.user = Some("scram".to_owned());
    config.upstream.password = Some(Secret::new("at last".to_owned()));
    let locked_out = Watched::start(&config, "postgres");
    assert!(!absent.fresh().await && !locked_out.fresh().await);
    let refused = Instant::now();
    server.sql("CREATE DATABASE later");
    server.sql("ALTER ROLE scram PASSWORD 'at last'");
    // Nobody has come.
    sleep(Duration::from_secs(1)).await;
    for watched in [&absent, &locked_out] {
        assert!(matches!(watched.database.state(), State::Refused(_)));
    }
    let _client = absent.databases.of(b"later").unwrap();
    absent.await_knowledge(|now| now.is_some()).await;
    assert!(refused.elapsed() < Duration::from_secs(30));
    for _ in 0..10 {
        let _client = locked_out.databases.of(b"postgres").unwrap();
        sleep(Duration::from_millis(50)).await;
    }
    assert!(locked_out.database.knowledge().is_none());
    locked_out.await_knowledge(|now| now.is_some()).await;
    assert!(refused.elapsed() > Duration::from_secs(4));
}

#[tokio::test]
async fn a_watcher_that_was_refused_does_not_ask_for_each_who_comes_alone() {
    let server = Postgres::start();
    let mut config = config(&server, NEVER);
    config.upstream.user = Some("scram".to_owned());
    config.upstream.password = Some(Secret::new("wrong".to_owned()));
    let Watched {
        databases,
        database,
        ..
    } = Watched::start(&config, "postgres");
    database.wait_fresh(Instant::now() + SOON).await;
    assert!(matches!(database.state(), State::Refused(_)));
    drop(database);
    for _ in 0..10 {
        sleep(Duration::from_millis(20)).await;
        let _client = databases.of(b"postgres").unwrap();
        sleep(Duration::from_millis(50)).await;
    }
    let log = std::fs::read_to_string(server.file("log")).unwrap();
    assert_eq!(log.matches("password authentication failed").count(), 1);
}

#[tokio::test]
async fn any_role_over_any_channel_can_read_the_catalog() {
    let server = Postgres::shared();
    let mut config = config(&server, NEVER);
    // `plain` may log in without TLS only, to which `prefer` gives way.
    for (user, tls) in [
        ("scram", TlsMode::Disable),
        ("scram", TlsMode::Require),
        ("md5", TlsMode::VerifyFull),
        ("plain", TlsMode::Prefer),
    ] {
        config.upstream.user = Some(user.to_owned());
        config.upstream.tls = tls;
        config.upstream.root_certificate = Some(server.file("root.crt"));
        Watched::ready(&config, "postgres").await;
    }
    config.upstream.host = server.socket_directory();
    Watched::ready(&config, "postgres").await;
}

#[tokio::test]
async fn databases_are_told_apart() {
    let server = Postgres::shared();
    let watched = Watched::ready(&config(&server, NEVER), "postgres").await;
    let other = watched.databases.of(b"other").unwrap();
    assert!(other.wait_fresh(Instant::now() + SOON).await);
    assert_ne!(
        other.knowledge().unwrap().database,
        watched.knowledge().database
    );
    assert!(std::ptr::eq(
        &*other,
        &*watched.databases.of(b"other").unwrap()
    ));
    assert!(watched.databases.of(b"\xff").is_none());
    assert_eq!(watched.databases.states().len(), 2);
}

#[tokio::test]
async fn new_rules_are_published_under_the_same_epoch() {
    let server = Postgres::shared();
    let mut config = config(&server, NEVER);
    let watched = Watched::ready(&config, "postgres").await;
    let before = watched.knowledge();
    config.tables.push(rule("public.t"));
    watched.databases.set_rules(&config);
    let generation = before.generation;
    watched
        .await_knowledge(|now| now.is_some_and(|now| now.generation > generation))
        .await;
    let after = watched.knowledge();
    assert_eq!(after.epoch, before.epoch);
    assert_eq!(after.policy.of("public", "t").ttl, None);
    assert!(before.policy.of("public", "t").ttl.is_some());
}

#[tokio::test]
async fn a_process_is_gone_when_it_has_ended() {
    let server = Postgres::shared();
    let watched = Watched::ready(&config(&server, NEVER), "postgres").await;
    let mut login = tokio_postgres::Config::new();
    login
        .host("127.0.0.1")
        .port(server.port)
        .user("clear")
        .password(PASSWORD)
        .dbname("postgres");
    let (client, connection) = login.connect(NoTls).await.unwrap();
    let connection = tokio::spawn(connection);
    let process = client
        .query_one("SELECT pg_backend_pid()", &[])
        .await
        .unwrap()
        .get(0);
    assert!(
        !watched
            .database
            .backend_gone(process, Duration::from_millis(100))
            .await
    );
    drop(client);
    let (gone, _) = tokio::join!(watched.database.backend_gone(process, SOON), connection);
    assert!(gone);
}

#[tokio::test]
async fn a_locked_view_delays_and_does_not_disconnect() {
    let server = Postgres::start();
    server.sql("CREATE TABLE t (a int); CREATE VIEW v AS SELECT a FROM t");
    let watched = Watched::ready(&config(&server, NEVER), "postgres").await;
    let mut login = tokio_postgres::Config::new();
    login
        .host("127.0.0.1")
        .port(server.port)
        .user("postgres")
        .password(PASSWORD);
    let (client, connection) = login.connect(NoTls).await.unwrap();
    tokio::spawn(connection);
    client
        .batch_execute("BEGIN; LOCK TABLE v IN ACCESS EXCLUSIVE MODE")
        .await
        .unwrap();
    // So that there is something to be read.
    server.sql("CREATE TABLE u (a int)");
    assert!(
        !watched
            .database
            .wait_fresh(Instant::now() + Duration::from_millis(200))
            .await
    );
    assert_eq!(watched.database.state(), State::Ready);
    client.batch_execute("ROLLBACK").await.unwrap();
    assert!(watched.fresh().await);
}

#[tokio::test]
async fn a_check_lists_everything_the_server_does_not_have() {
    let server = Postgres::start();
    server.sql(
        "CREATE TABLE city (a int); CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    );
    let mut config = config(&server, NEVER);
    config.tables = ["city", "public.city", "citty", "app.*"].map(rule).to_vec();
    let function = |name: &str, table: &str| FunctionRule {
        schema: "public".to_owned(),
        name: name.to_owned(),
        reads: vec![("public".to_owned(), table.to_owned())],
        place: Place::Nowhere,
    };
    config.functions = vec![function("f", "city"), function("g", "town")];
    let found: Vec<_> = check(&config)
        .await
        .into_iter()
        .map(|problem| problem.what)
        .collect();
    assert_eq!(
        found,
        [
            "table rule `citty` matches nothing",
            "there is no function `public.g`",
            "`public.g` is said to read `public.town`, which does not exist",
        ]
    );
    config.upstream.password = None;
    let found = check(&config).await;
    let [problem] = &found[..] else {
        panic!("{found:?}")
    };
    assert!(problem.what.contains("cannot be watched"), "{problem}");
}
