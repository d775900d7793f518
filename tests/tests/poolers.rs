//! A pooler as upstream: what we set must not reach those who share its connections.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use pgmemo_tests::{
    Pgmemo, Postgres, Store, Version, env,
    net::{SOON, eventually},
    pooler::Pooler,
    wire::{Conn, Login},
};

/// What PgBouncer's own clients find in its connections.
fn found(pooler: &Pooler, database: &str) -> Result<String> {
    let mut conn = Conn::connect(pooler.address(), &Login::to(database))?;
    conn.value(
        "SELECT concat_ws(' ', current_setting('search_path'), current_setting('statement_timeout'), \
         current_setting('lock_timeout'), (SELECT count(*) FROM pg_prepared_statements))",
    )
}

const UNTOUCHED: &str = "\"$user\", public 0 0 0";

#[test]
fn a_pooler_that_lends_by_the_transaction_is_left_as_it_was() -> Result<()> {
    if env::direct() {
        return Ok(());
    }
    let postgres = Postgres::start(Version::System)?;
    let database = postgres.database()?;
    database.connect()?.run("CREATE TABLE t AS SELECT 1 AS v")?;
    let pooler = Pooler::start(postgres.address(), "transaction")?;
    let url = pooler.url(database.name());
    let output = Command::new(env::pgmemo_bin()?)
        .args(["check", "--upstream", &url])
        .output()
        .context("pgmemo check")?;
    let told = String::from_utf8_lossy(&output.stderr);
    ensure!(told.contains("by the transaction"), "{told}");
    let pgmemo = Pgmemo::start_upstream(&url, Store::Memory, &[], "")?;
    eventually("a word of it", SOON, || {
        pgmemo
            .log_tail()
            .contains("by the transaction")
            .then_some(())
    })?;
    let before = pgmemo.metrics()?;
    let mut conn = pgmemo.connect(database.name())?;
    for _ in 0..3 {
        ensure!(conn.value("SELECT v FROM t")? == "1");
        ensure!(found(&pooler, database.name())? == UNTOUCHED);
    }
    ensure!(
        (pgmemo.metrics()?.hits() - before.hits()).abs() < 0.5,
        "hits"
    );
    drop((conn, pgmemo));
    let left = found(&pooler, database.name())?;
    ensure!(left == UNTOUCHED, "{left}");
    Ok(())
}

#[test]
fn a_pooler_that_lends_by_the_session_is_as_good_as_none() -> Result<()> {
    if env::direct() {
        return Ok(());
    }
    let postgres = Postgres::start(Version::System)?;
    let database = postgres.database()?;
    database.connect()?.run("CREATE TABLE t AS SELECT 1 AS v")?;
    let pooler = Pooler::start(postgres.address(), "session")?;
    let url = pooler.url(database.name());
    let pgmemo = Pgmemo::start_upstream(&url, Store::Memory, &[], "")?;
    let mut conn = pgmemo.connect(database.name())?;
    let hits = pgmemo.hits()?;
    eventually("a hit", SOON, || {
        conn.value("SELECT v FROM t").ok()?;
        (pgmemo.hits().ok()? > hits).then_some(())
    })?;
    conn.run("UPDATE t SET v = 2")?;
    ensure!(conn.value("SELECT v FROM t")? == "2");
    conn.run("ALTER TABLE t ALTER COLUMN v TYPE text")?;
    eventually("a hit under other definitions", SOON, || {
        let hits = pgmemo.hits().ok()?;
        conn.value("SELECT v FROM t").ok()?;
        (pgmemo.hits().ok()? > hits).then_some(())
    })?;
    ensure!(found(&pooler, database.name())? == UNTOUCHED);
    Ok(())
}
