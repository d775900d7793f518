//! Histories of concurrent writers and readers, judged by the laws (`pgmemo_tests::history`).
//!
//! `PGMEMO_LOAD_SECONDS`, `PGMEMO_LOAD_WRITERS` and `PGMEMO_LOAD_READERS` make the runs longer and
//! wider; `PGMEMO_SEED` repeats one.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Result, ensure};
use pgmemo_tests::{
    Pgmemo, Postgres, Redis, Store, Version, env,
    load::{self, Load},
    net::{SOON, eventually},
    postgres::Database,
    random::seed,
    wire::{Conn, Login},
};

fn load(database: &Database, instances: &[&Pgmemo], rest: Duration) -> Load {
    Load {
        instances: instances
            .iter()
            .map(|instance| instance.address())
            .collect(),
        database: database.name().to_owned(),
        writers: env::count("PGMEMO_LOAD_WRITERS", 3),
        readers: env::count("PGMEMO_LOAD_READERS", 4),
        rest,
        duration: env::seconds("PGMEMO_LOAD_SECONDS", 8),
        seed: seed(),
        faults: false,
    }
}

/// Runs the load and expects a valid history that the store took part in.
fn check(database: &Database, instances: &[&Pgmemo], rest: Duration) -> Result<()> {
    load::prepare(database)?;
    let history = load(database, instances, rest).run(|_| Ok(()))?;
    history.verdict()?;
    let (reads, writes) = (
        history.reads.load(std::sync::atomic::Ordering::Relaxed),
        history.writes.load(std::sync::atomic::Ordering::Relaxed),
    );
    println!("{reads} reads, {writes} writes");
    ensure!(reads > 100 && writes > 10, "the load hardly ran");
    for instance in instances.iter().filter(|instance| instance.is_real()) {
        let hits = instance.hits()?;
        println!("{hits} hits");
        ensure!(hits > 0.0, "nothing was answered from the store");
    }
    Ok(())
}

/// Writers that hardly pause: most lookups meet a write in flight.
const BUSY: Duration = Duration::ZERO;
/// Writers that leave room for hits between writes.
const CALM: Duration = Duration::from_millis(20);

#[test]
fn one_instance_serves_nothing_older_than_an_acknowledged_write() -> Result<()> {
    let postgres = Postgres::shared(Version::System);
    let pgmemo = Pgmemo::start(postgres, Store::Memory, &[])?;
    check(&postgres.database()?, &[&pgmemo], CALM)
}

#[test]
fn one_instance_under_constant_writes_serves_nothing_stale() -> Result<()> {
    let postgres = Postgres::shared(Version::System);
    let pgmemo = Pgmemo::start(postgres, Store::Memory, &[])?;
    check(&postgres.database()?, &[&pgmemo], BUSY)
}

#[test]
fn one_instance_with_redis_serves_nothing_stale() -> Result<()> {
    let postgres = Postgres::shared(Version::System);
    let redis = Redis::start()?;
    let pgmemo = Pgmemo::start(postgres, Store::Redis(&redis), &[])?;
    check(&postgres.database()?, &[&pgmemo], CALM)
}

#[test]
fn two_instances_on_one_redis_serve_nothing_older_than_the_others_writes() -> Result<()> {
    let postgres = Postgres::shared(Version::System);
    let redis = Redis::start()?;
    let first = Pgmemo::start(postgres, Store::Redis(&redis), &[])?;
    let second = Pgmemo::start(postgres, Store::Redis(&redis), &[])?;
    check(&postgres.database()?, &[&first, &second], CALM)
}

/// Fills, writes and readings of the catalog overtake each other where they seldom do.
#[test]
fn one_instance_with_delays_serves_nothing_stale() -> Result<()> {
    let postgres = Postgres::shared(Version::System);
    let pgmemo = Pgmemo::start_delayed(postgres, Store::Memory, seed())?;
    check(&postgres.database()?, &[&pgmemo], CALM)
}

#[test]
fn one_instance_with_redis_and_delays_serves_nothing_stale() -> Result<()> {
    let postgres = Postgres::shared(Version::System);
    let redis = Redis::start()?;
    let pgmemo = Pgmemo::start_delayed(postgres, Store::Redis(&redis), seed())?;
    check(&postgres.database()?, &[&pgmemo], CALM)
}

#[test]
fn two_instances_with_delays_serve_nothing_older_than_the_others_writes() -> Result<()> {
    let postgres = Postgres::shared(Version::System);
    let redis = Redis::start()?;
    let seed = seed();
    let first = Pgmemo::start_delayed(postgres, Store::Redis(&redis), seed)?;
    let second = Pgmemo::start_delayed(postgres, Store::Redis(&redis), !seed)?;
    check(&postgres.database()?, &[&first, &second], CALM)
}

/// The judge is judged: a writer who passes by pgmemo makes it serve what is stale.
#[test]
fn writes_around_pgmemo_are_found_out() -> Result<()> {
    let postgres = Postgres::shared(Version::System);
    let pgmemo = Pgmemo::start(postgres, Store::Memory, &[])?;
    let database = postgres.database()?;
    if !pgmemo.is_real() {
        return Ok(());
    }
    expect_stale(&database, vec![database.address(), pgmemo.address()])
}

/// Two instances that know nothing of each other serve what is stale.
#[test]
fn instances_without_a_store_in_common_are_found_out() -> Result<()> {
    let postgres = Postgres::shared(Version::System);
    let first = Pgmemo::start(postgres, Store::Memory, &[])?;
    let second = Pgmemo::start(postgres, Store::Memory, &[])?;
    if !first.is_real() {
        return Ok(());
    }
    expect_stale(
        &postgres.database()?,
        vec![first.address(), second.address()],
    )
}

/// Runs the load where it must read what is stale, until it is judged so.
fn expect_stale(database: &Database, instances: Vec<SocketAddr>) -> Result<()> {
    load::prepare(database)?;
    let mut load = load(database, &[], CALM);
    load.instances = instances;
    load.duration = load.duration.max(SOON);
    let history = load.run(|_| Ok(()))?;
    let verdict = history.verdict().err().map(|error| error.to_string());
    println!("{}", verdict.as_deref().unwrap_or("nothing was found"));
    ensure!(
        verdict.is_some_and(|it| it.contains("known was")),
        "stale reads were not found"
    );
    Ok(())
}

#[test]
fn an_instance_killed_amid_writes_leaves_nothing_stale_behind() -> Result<()> {
    let postgres = Postgres::shared(Version::System);
    let redis = Redis::start()?;
    let database = postgres.database()?;
    load::prepare(&database)?;
    let survivor = Pgmemo::start(postgres, Store::Redis(&redis), &[])?;
    if !survivor.is_real() {
        return Ok(());
    }
    for round in 0..3 {
        let mut reset = Conn::connect(survivor.address(), &Login::to(database.name()))?;
        reset.run("UPDATE counter SET n = 0")?;
        reset.run("UPDATE pair SET n = 0")?;
        // And what repeats it.
        reset.run("UPDATE voice SET n = 0")?;
        reset.run("DELETE FROM slot")?;
        reset.run("INSERT INTO slot SELECT k, 0 FROM generate_series(0, 7) k")?;
        let mut victim = Pgmemo::start(postgres, Store::Redis(&redis), &[])?;
        for _ in 0..3 {
            totals(survivor.address(), &database)?;
        }
        kill_amid_writes(&database, &mut victim)?;
        settle(&survivor, &database)?;
        let expected = totals(database.address(), &database)?;
        let found = totals(survivor.address(), &database)?;
        ensure!(
            expected == found,
            "round {round}: {found:?} instead of {expected:?}"
        );
    }
    Ok(())
}

/// Its clients fail with it, so the history of this load is not judged.
fn kill_amid_writes(database: &Database, victim: &mut Pgmemo) -> Result<()> {
    let mut load = load(database, &[victim], BUSY);
    load.duration = Duration::ZERO;
    load.run(|history| {
        std::thread::sleep(Duration::from_millis(500));
        ensure!(
            !history.stopped(),
            "the load ended before the kill: {:?}",
            history.verdict()
        );
        victim.kill()
    })
    .map(drop)
}

/// What the victim had sent is finished by the server before anyone compares.
///
/// What its clients had prepared holds its locks until the survivor commits it.
fn settle(survivor: &Pgmemo, database: &Database) -> Result<()> {
    let (mut control, mut through) = (database.connect()?, survivor.connect(database.name())?);
    let busy = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                AND pid <> pg_backend_pid() AND state <> 'idle'";
    let prepared = "SELECT gid FROM pg_prepared_xacts WHERE database = current_database()";
    eventually("an idle server", SOON, || {
        let in_doubt = control.run(prepared).ok()?.rows();
        for gid in in_doubt.iter().flatten().flatten() {
            // The server may be about to, and then refuses.
            through.query(&format!("COMMIT PREPARED '{gid}'")).ok()?;
        }
        let idle = control.value(busy).is_ok_and(|count| count == "0");
        (in_doubt.is_empty() && idle).then_some(())
    })
}

fn totals(address: SocketAddr, database: &Database) -> Result<Vec<Vec<Option<String>>>> {
    let login = Login::to(database.name());
    let mut conn = Conn::connect(address, &login)?;
    let mut rows = conn.run("SELECT k, n FROM counter ORDER BY k")?.rows();
    rows.extend(
        conn.run("SELECT id, side, n FROM pair ORDER BY id, side")?
            .rows(),
    );
    for slot in 0..load::SLOTS {
        rows.extend(
            conn.run(&format!("SELECT k, n FROM slot WHERE k = {slot}"))?
                .rows(),
        );
    }
    Ok(rows)
}
