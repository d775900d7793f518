//! K: settings that come from the server's configuration, and change with it.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::time::Duration;

use pgmemo_tests::{
    Pgmemo, Postgres, Redis, Store, Version,
    net::{SOON, eventually},
    wire::Conn,
};

/// A server of its own with two tables `t`, of which the second is behind another path, and a table
/// of moments and of tenants.
fn server() -> Postgres {
    let postgres = Postgres::start(Version::System).unwrap();
    let mut server = postgres.connect("postgres").unwrap();
    for statement in [
        "CREATE SCHEMA b",
        "CREATE TABLE public.t (v text); INSERT INTO public.t VALUES ('public')",
        "CREATE TABLE b.t (v text); INSERT INTO b.t VALUES ('b')",
        "CREATE TABLE e (at timestamptz); INSERT INTO e VALUES ('2024-01-01 12:00+00')",
        "CREATE TABLE d (tenant text, v text); INSERT INTO d VALUES ('1', 'one'), ('2', 'two')",
        "CREATE VIEW mine AS SELECT v FROM d WHERE tenant = current_setting('app.tenant')",
    ] {
        server.run(statement).unwrap();
    }
    postgres
}

fn start(postgres: &Postgres, store: Store<'_>, age: &str) -> Pgmemo {
    let file = format!("[cache]\ncatalog_age_max = '{age}'\n");
    Pgmemo::start_with(postgres, store, &[], &file).unwrap()
}

/// Asks until the answer comes from the store.
fn hit(pgmemo: &Pgmemo, reader: &mut Conn, read: &str, expected: &str) {
    let hits = eventually("a hit", SOON, || {
        let before = pgmemo.hits().ok()?;
        assert_eq!(reader.value(read).ok()?, expected);
        (pgmemo.hits().ok()? > before || !pgmemo.is_real()).then_some(())
    });
    hits.unwrap();
}

fn reload_through(store: Store<'_>) {
    let postgres = server();
    let first = start(&postgres, store, "10m");
    let shared = !matches!(store, Store::Memory);
    let second = shared.then(|| start(&postgres, store, "10m"));
    let second = second.as_ref().unwrap_or(&first);
    let mut here = first.connect("postgres").unwrap();
    let mut there = second.connect("postgres").unwrap();
    let read = "SELECT v FROM t";
    let mut writer = first.connect("postgres").unwrap();
    for (path, expected) in [("b, public", "b"), ("public", "public"), ("b", "b")] {
        hit(&first, &mut here, "SELECT count(*) FROM public.t", "1");
        hit(second, &mut there, "SELECT count(*) FROM public.t", "1");
        let set = format!("ALTER SYSTEM SET search_path = {path}");
        writer.run(&set).unwrap();
        for reload in [
            "SELECT pg_reload_conf()",
            "DO $$ BEGIN PERFORM pg_reload_conf(); END $$",
        ] {
            writer.run(reload).unwrap();
            assert_eq!(here.value(read).unwrap(), expected);
            assert_eq!(there.value(read).unwrap(), expected);
        }
        hit(&first, &mut here, read, expected);
        hit(second, &mut there, read, expected);
    }
    // Which the server tells nobody.
    writer
        .run("ALTER SYSTEM SET default_transaction_isolation = 'repeatable read'")
        .unwrap();
    writer.run("SELECT pg_reload_conf()").unwrap();
    here.run("BEGIN").unwrap();
    assert_eq!(here.value("SELECT count(*) FROM public.e").unwrap(), "1");
    writer.run("UPDATE b.t SET v = 'new'").unwrap();
    assert_eq!(there.value(read).unwrap(), "new");
    assert_eq!(here.value(read).unwrap(), "b");
    here.run("COMMIT").unwrap();
}

#[test]
fn a_reload_through_pgmemo_holds_when_it_is_acknowledged() {
    reload_through(Store::Memory);
}

#[test]
fn a_reload_through_pgmemo_holds_at_all_instances() {
    reload_through(Store::Redis(&Redis::start().unwrap()));
}

#[test]
fn a_reply_is_not_kept_under_settings_that_have_passed() {
    let postgres = server();
    let mut server = postgres.connect("postgres").unwrap();
    let reload = |server: &mut Conn, zone: &str| {
        let set = format!("ALTER SYSTEM SET timezone = '{zone}'");
        server.run(&set).unwrap();
        server.run("SELECT pg_reload_conf()").unwrap();
        let mut other = postgres.connect("postgres").unwrap();
        let shown = eventually("the reload", SOON, || {
            (other.value("SHOW timezone").ok()? == zone).then_some(())
        });
        shown.unwrap();
    };
    reload(&mut server, "UTC");
    let pgmemo = start(&postgres, Store::Memory, "10m");
    let mut idle = pgmemo.connect("postgres").unwrap();
    let mut fixed = pgmemo.connect("postgres").unwrap();
    fixed.run("SET timezone = 'UTC'").unwrap();
    for reader in [&mut idle, &mut fixed] {
        hit(&pgmemo, reader, "SELECT count(*) FROM e", "1");
    }
    reload(&mut server, "Asia/Tokyo");
    let read = "SELECT at FROM e";
    assert_eq!(idle.value(read).unwrap(), "2024-01-01 21:00:00+09");
    assert_eq!(fixed.value(read).unwrap(), "2024-01-01 12:00:00+00");
}

#[test]
fn settings_that_no_catalog_shows_are_noticed() {
    let postgres = server();
    let mut server = postgres.connect("postgres").unwrap();
    let file = server.value("SHOW config_file").unwrap();
    let mut tenant = |name: &str| {
        use std::io::Write;
        let mut file = std::fs::OpenOptions::new().append(true).open(&file);
        writeln!(file.as_mut().unwrap(), "app.tenant = '{name}'").unwrap();
        server.run("SELECT pg_reload_conf()").unwrap();
        let mut other = postgres.connect("postgres").unwrap();
        let shown = eventually("the reload", SOON, || {
            (other.value("SHOW app.tenant").ok()? == name).then_some(())
        });
        shown.unwrap();
    };
    tenant("1");
    let pgmemo = start(&postgres, Store::Memory, "1s");
    let mut idle = pgmemo.connect("postgres").unwrap();
    let mut fixed = pgmemo.connect("postgres").unwrap();
    fixed.run("SET app.tenant = '1'").unwrap();
    let read = "SELECT v FROM mine";
    hit(&pgmemo, &mut idle, read, "one");
    hit(&pgmemo, &mut fixed, read, "one");
    tenant("2");
    let seen = eventually("the other tenant", Duration::from_secs(10), || {
        (idle.value(read).ok()? == "two").then_some(())
    });
    seen.unwrap();
    for _ in 0..3 {
        assert_eq!(idle.value(read).unwrap(), "two");
        assert_eq!(fixed.value(read).unwrap(), "one");
    }
}
