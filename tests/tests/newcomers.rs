//! An instance that has just been started writes nothing that older ones miss.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use pgmemo_tests::{
    Pgmemo, Postgres, Redis, Store, Version,
    gate::Gate,
    load,
    net::{SOON, eventually},
    postgres::Database,
    wire::{Conn, Frontend},
};

const READ: &str = "SELECT n FROM counter WHERE k = 0";
const WRITE: &str = "UPDATE counter SET n = n + 1 WHERE k = 0";

/// An instance that has been serving for long, and one that is held where it would get to know the
/// database, while its clients are let through.
fn newcomer<'a>(database: &Database, store: Store<'a>) -> Result<(Pgmemo, Pgmemo, Gate, Conn)> {
    let postgres = Postgres::shared(Version::System);
    let old = Pgmemo::start(postgres, store, &[])?;
    let gate = Gate::close(postgres.address(), database.name())?;
    let new = if old.is_real() {
        Pgmemo::start_upstream(&gate.url(), store, &[], "")?
    } else {
        Pgmemo::start(postgres, store, &[])?
    };
    let mut reader = old.connect(database.name())?;
    let before = old.hits()?;
    eventually("hits", SOON, || {
        reader.value(READ).ok()?;
        (!old.is_real() || old.hits().ok()? > before + 10.0).then_some(())
    })?;
    Ok((old, new, gate, reader))
}

/// What is written through an instance that cannot say yet to which database is not to be missed.
fn check_newcomer(store: for<'a> fn(&'a Redis) -> Store<'a>) -> Result<()> {
    let database = Postgres::shared(Version::System).database()?;
    load::prepare(&database)?;
    let redis = Redis::start()?;
    let (old, new, gate, mut reader) = newcomer(&database, store(&redis))?;
    let mut writer = new.connect(database.name())?;
    // Longer than a login waits for what is known of its database.
    let opener = thread::spawn(move || {
        thread::sleep(Duration::from_secs(3));
        gate.open();
    });
    for n in 1..4 {
        writer.run(WRITE)?;
        assert_eq!(reader.value(READ)?, n.to_string());
    }
    assert!(opener.join().is_ok());
    drop(old);
    Ok(())
}

#[test]
fn a_newcomer_with_leases_writes_nothing_that_others_miss() -> Result<()> {
    check_newcomer(|redis| Store::Leases(redis))
}

#[test]
fn a_newcomer_writes_nothing_that_others_miss() -> Result<()> {
    check_newcomer(|redis| Store::Redis(redis))
}

/// Correctness of the cache is not worth a statement that never comes.
#[test]
fn a_newcomer_that_is_told_nothing_writes_all_the_same() -> Result<()> {
    let database = Postgres::shared(Version::System).database()?;
    load::prepare(&database)?;
    let redis = Redis::start()?;
    let (_old, new, gate, mut reader) = newcomer(&database, Store::Leases(&redis))?;
    let mut writer = new.connect(database.name())?;
    let start = Instant::now();
    writer.run(WRITE)?;
    let took = start.elapsed();
    ensure!(took < Duration::from_secs(15), "{took:?}");
    // It says so as soon as it can.
    gate.open();
    eventually("the write", SOON, || {
        (reader.value(READ).ok()? == "1").then_some(())
    })
}

/// A statement that waits until it can be told has a client and a server, who may want something else
/// meanwhile.
#[test]
fn a_write_that_waits_is_cancelled_outlived_and_ended_as_any_other() -> Result<()> {
    let postgres = Postgres::shared(Version::System);
    let database = postgres.database()?;
    load::prepare(&database)?;
    let redis = Redis::start()?;
    let (_old, new, gate, mut reader) = newcomer(&database, Store::Redis(&redis))?;
    // All of them at once: each waits for as long as it is allowed to.
    let waits = |sql: &str| {
        let mut conn = new.connect(database.name())?;
        conn.send(Frontend::new().query(sql).bytes())?;
        anyhow::Ok(conn)
    };
    let slow = format!("{WRITE} AND pg_sleep(15) IS NOT NULL");
    let (mut cancelled, mut ended, left) = (waits(&slow)?, waits(WRITE)?, waits(WRITE)?);
    let reset = waits(WRITE)?;
    let start = Instant::now();
    // Longer than a login waits for what is known of its database.
    thread::sleep(Duration::from_millis(2500));
    drop(left);
    reset.reset()?;
    let (process, _) = ended.cancel_key()?;
    let mut admin = postgres.connect("postgres")?;
    admin.run(&format!("SELECT pg_terminate_backend({process})"))?;
    let end = ended.read()?;
    ensure!(
        String::from_utf8_lossy(&end.body).contains("57P01"),
        "{end:?}"
    );
    let took = start.elapsed();
    ensure!(took < Duration::from_millis(4000), "{took:?}");
    cancelled.cancel()?;
    let error = cancelled.read_until(b'Z')?.error();
    ensure!(error.is_some_and(|error| error.contains("57014")));
    let took = start.elapsed();
    ensure!(took < Duration::from_secs(12), "{took:?}");
    let mut direct = database.connect()?;
    eventually("the writes of those who have left", SOON, || {
        (direct.value(READ).ok()? == "2").then_some(())
    })?;
    gate.open();
    eventually("news of them", SOON, || {
        (reader.value(READ).ok()? == "2").then_some(())
    })
}
