//! Requests to cancel a statement that the server has yet to hear of.

use std::{thread, time::Duration};

use anyhow::{Result, ensure};
use pgmemo_tests::{
    Pgmemo, Postgres, Redis, Store, Version,
    wire::{Conn, Frontend},
};

/// Longer than a request may take to find its statement.
const SLEEP: &str = "SELECT pg_sleep(5)";

/// Whether a client's statement ends when it cancels what it has sent so long before.
fn is_cancelled_behind(haste: Duration, conn: &mut Conn) -> Result<bool> {
    conn.send(Frontend::new().query(SLEEP).bytes())?;
    thread::sleep(haste);
    conn.cancel()?;
    let error = conn.read_until(b'Z')?.error();
    Ok(error.is_some_and(|error| error.contains("57014")))
}

/// It has been told that it may begin, and what it sends lies unread until the catalog has been.
#[test]
fn the_first_statement_in_a_database_can_be_cancelled() -> Result<()> {
    let postgres = Postgres::shared(Version::System);
    let pgmemo = Pgmemo::start(postgres, Store::Memory, &[])?;
    for _ in 0..3 {
        let database = postgres.database()?;
        let mut conn = pgmemo.connect(database.name())?;
        let cancelled = is_cancelled_behind(Duration::from_millis(5), &mut conn)?;
        ensure!(cancelled, "the request was lost");
    }
    Ok(())
}

/// It is the client that is asked for: a request finds nothing in one that has said nothing, and does
/// not wait for what it will say.
#[test]
fn a_request_for_an_idle_client_does_nothing() -> Result<()> {
    let postgres = Postgres::shared(Version::System);
    let pgmemo = Pgmemo::start(postgres, Store::Memory, &[])?;
    for begin in [false, true] {
        let database = postgres.database()?;
        let mut locker = database.connect()?;
        locker.run("BEGIN; LOCK TABLE pg_catalog.pg_policy IN ACCESS EXCLUSIVE MODE")?;
        let mut conn = pgmemo.connect(database.name())?;
        for _ in 0..2 {
            conn.cancel()?;
            thread::sleep(Duration::from_millis(300));
            if begin {
                conn.run("BEGIN")?;
            }
            conn.run("SELECT pg_sleep(0.5)")?;
            conn.run("COMMIT")?;
            thread::sleep(Duration::from_millis(300));
        }
    }
    Ok(())
}

/// Behind a change of settings that nobody has made before, the server is asked for its state first.
/// On a busy machine a request may overtake its statement on the way, as it may directly.
#[test]
fn a_statement_behind_a_question_of_ours_can_be_cancelled() -> Result<()> {
    let postgres = Postgres::shared(Version::System);
    let database = postgres.database()?;
    let pgmemo = Pgmemo::start(postgres, Store::Memory, &[])?;
    let mut conn = pgmemo.connect(database.name())?;
    conn.run("SELECT count(*) FROM pg_class")?;
    let mut lost = 0;
    for round in 0..40 {
        conn.run(&format!("SET search_path TO public, nobody_{round}"))?;
        let haste = Duration::from_micros(1000 + 250 * round);
        lost += u32::from(!is_cancelled_behind(haste, &mut conn)?);
        ensure!(lost <= 4, "{lost} of {} requests were lost", round + 1);
    }
    Ok(())
}

/// What it writes has to be told first.
#[test]
fn a_write_that_waits_for_redis_can_be_cancelled() -> Result<()> {
    let postgres = Postgres::shared(Version::System);
    let database = postgres.database()?;
    database
        .connect()?
        .run("CREATE TABLE t (v text); INSERT INTO t VALUES ('a')")?;
    let redis = Redis::start()?;
    let pgmemo = Pgmemo::start(postgres, Store::Redis(&redis), &[])?;
    let mut conn = pgmemo.connect(database.name())?;
    conn.run("UPDATE t SET v = 'b'")?;
    redis.pause()?;
    let slow = "UPDATE t SET v = 'c' WHERE pg_sleep(15) IS NOT NULL";
    conn.send(Frontend::new().query(slow).bytes())?;
    thread::sleep(Duration::from_millis(100));
    conn.cancel()?;
    let error = conn.read_until(b'Z')?.error();
    redis.cont()?;
    ensure!(
        error.is_some_and(|error| error.contains("57014")),
        "the request was lost"
    );
    Ok(())
}
