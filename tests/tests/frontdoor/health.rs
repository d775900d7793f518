//! Health, readiness and numbers.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use pgmemo_tests::{
    Pgmemo, Postgres, Redis, Store, Version, env, http,
    net::{SOON, eventually},
    wire::Frontend,
};

use super::{READ, ground, ready};

#[test]
fn health_readiness_and_metrics_are_served() -> Result<()> {
    let Some((database, pgmemo)) = ground("")? else {
        return Ok(());
    };
    for path in ["/healthz", "/readyz", "/metrics"] {
        let (status, body) = http::get(pgmemo.admin(), path)?;
        ensure!(
            status == 200 && !body.is_empty(),
            "{path} answers {status}: {body}"
        );
    }
    ensure!(
        http::get(pgmemo.admin(), "/nothing")?.0 == 404,
        "/nothing exists"
    );
    let mut client = pgmemo.connect(database.name())?;
    for _ in 0..5 {
        client.run(READ)?;
    }
    ensure!(
        pgmemo.metrics()?.sum("pgmemo_clients", &[]) >= 1.0,
        "no client is counted"
    );
    Ok(())
}

#[test]
fn hits_misses_and_bypasses_add_up_to_the_reads() -> Result<()> {
    let Some((database, pgmemo)) = ground("")? else {
        return Ok(());
    };
    let mut client = pgmemo.connect(database.name())?;
    let before = pgmemo.metrics()?;
    let reads = [
        READ,
        "SELECT 1",
        "SELECT count(*) FROM t WHERE random() < 2",
        "TABLE t",
    ];
    for _ in 0..10 {
        reads
            .iter()
            .try_for_each(|sql| client.run(sql).map(|_| ()))?;
        for sql in reads {
            client.extended(sql, &[])?;
        }
    }
    let sum = || -> Result<f64> {
        let now = pgmemo.metrics()?;
        let all = [now.hits(), now.misses(), now.bypasses()]
            .iter()
            .sum::<f64>();
        Ok(all - before.hits() - before.misses() - before.bypasses())
    };
    eventually("80 reads", SOON, || (sum().ok()? >= 80.0).then_some(()))
        .with_context(|| format!("{:?} reads were counted", sum()))?;
    ensure!(sum()? == 80.0, "{} of 80 reads were counted", sum()?);
    pgmemo.expect_hits_since(&before, 10.0)
}

/// Each hit is timed once, when it is served.
#[test]
fn hits_that_wait_for_earlier_replies_are_timed_once() -> Result<()> {
    let Some((database, pgmemo)) = ground("")? else {
        return Ok(());
    };
    let mut client = pgmemo.connect(database.name())?;
    eventually("hits", SOON, || {
        client.run(READ).ok()?;
        (pgmemo.hits().ok()? > 0.0).then_some(())
    })?;
    for _ in 0..5 {
        let batch = Frontend::new().query("SELECT pg_sleep(0.1)").query(READ);
        client.send(batch.bytes())?;
        client.read_until(b'Z')?;
        client.read_until(b'Z')?;
    }
    client.run(READ)?;
    let now = pgmemo.metrics()?;
    let labels = [r#"result="hit""#];
    let timed = now.sum("pgmemo_lookup_duration_seconds_count", &labels);
    ensure!(
        timed > 5.0 && timed <= now.hits(),
        "{timed} of {} hits",
        now.hits()
    );
    Ok(())
}

/// Who cannot cache serves all the same; who cannot reach PostgreSQL does not.
#[test]
fn readiness_is_whether_clients_would_be_served() -> Result<()> {
    if env::direct() {
        return Ok(());
    }
    let mut redis = Redis::start_faulty()?;
    redis.kill9()?;
    let postgres = Postgres::start(Version::System)?;
    let nobody = format!("postgres://{}", postgres.address());
    let without_user = Pgmemo::start_upstream(&nobody, Store::Memory, &[], "")?;
    let without_store = Pgmemo::start(&postgres, Store::Redis(&redis), &[])?;
    for pgmemo in [&without_user, &without_store] {
        let login = || {
            let begun = Instant::now();
            pgmemo.connect("postgres")?.run("SELECT 1")?;
            anyhow::Ok(begun.elapsed())
        };
        let quickest = login()?.min(login()?).min(login()?);
        ensure!(quickest < Duration::from_millis(1500), "logins wait");
    }
    drop(postgres);
    for pgmemo in [&without_user, &without_store] {
        eventually("readiness withdrawn", SOON, || {
            (!ready(pgmemo)).then_some(())
        })?;
    }
    Ok(())
}

#[test]
fn readiness_follows_the_server() -> Result<()> {
    if env::direct() {
        return Ok(());
    }
    let postgres = Postgres::start(Version::System)?;
    let pgmemo = Pgmemo::start(&postgres, Store::Memory, &[])?;
    drop(postgres);
    eventually("readiness withdrawn", Duration::from_secs(60), || {
        (!ready(&pgmemo)).then_some(())
    })?;
    ensure!(
        http::get(pgmemo.admin(), "/healthz")?.0 == 200,
        "health depends on the server"
    );
    Ok(())
}
