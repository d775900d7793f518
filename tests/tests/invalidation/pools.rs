//! What pools of connections send between one use and the next, and the hits behind it.

use anyhow::{Result, ensure};
use pgmemo_tests::wire::{Conn, Frontend};

use super::{
    check,
    pair::{warm, with_sessions},
};

const READ: &str = "SELECT v FROM t WHERE id = 1";

/// Resets and settings, as Npgsql, asyncpg, PgBouncer, pgjdbc and applications with tenants send them.
const RESETS: [&str; 7] = [
    "DISCARD ALL",
    "SELECT pg_advisory_unlock_all();\nCLOSE ALL;\nUNLISTEN *;\nRESET ALL;",
    "CLOSE ALL;UNLISTEN *;SELECT pg_advisory_unlock_all();RESET ALL",
    "SET datestyle = 'ISO, MDY'; SET timezone = 'UTC'; SET standard_conforming_strings = on",
    "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ COMMITTED",
    "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE, NOT DEFERRABLE",
    "SELECT set_config('app.tenant', '1', false)",
];

/// Nothing but the reset comes to the server.
#[test]
fn a_session_that_is_reset_is_known_without_asking() -> Result<()> {
    with_sessions(|pgmemo, conn, control| {
        if !pgmemo.is_real() {
            return Ok(());
        }
        let (pid, _) = conn.cancel_key()?;
        let last = format!("SELECT query FROM pg_stat_activity WHERE pid = {pid}");
        for reset in RESETS {
            warm(pgmemo, conn, READ)?;
            // The first who does it asks.
            for _ in 0..3 {
                conn.run(reset)?;
                conn.run(READ)?;
            }
            let before = pgmemo.metrics()?;
            for _ in 0..5 {
                conn.run(reset)?;
                conn.run(READ)?;
                let last = control.value(&last)?;
                ensure!(last == reset, "the server was asked: {last}");
            }
            pgmemo.expect_hits_since(&before, 5.0)?;
            conn.run("DISCARD ALL")?;
        }
        Ok(())
    })
}

/// The reset is held back until the next command, and both travel together.
#[test]
fn what_comes_together_with_a_reset_is_a_hit() -> Result<()> {
    with_sessions(|pgmemo, conn, _| {
        for reset in RESETS {
            warm(pgmemo, conn, READ)?;
            for extended in [true, false] {
                let both = || {
                    let reset = Frontend::new().query(reset);
                    match extended {
                        true => reset
                            .parse("", READ, &[])
                            .bind("", "", &[])
                            .describe_portal("")
                            .execute("", 0)
                            .sync(),
                        false => reset.query(READ),
                    }
                };
                for _ in 0..3 {
                    twice(conn, &both())?;
                }
                let before = pgmemo.metrics()?;
                for _ in 0..5 {
                    twice(conn, &both())?;
                }
                pgmemo.expect_hits_since(&before, 5.0)?;
            }
            conn.run("DISCARD ALL")?;
        }
        Ok(())
    })
}

/// Who changes settings amid a long pipeline is not made to wait for each change.
#[test]
fn a_pipeline_of_settings_and_reads_stays_one() -> Result<()> {
    with_sessions(|pgmemo, conn, _| {
        warm(pgmemo, conn, READ)?;
        let rounds = 50;
        let mut all = Frontend::new();
        for round in 0..rounds {
            all = all.query(&format!("SET app.x = '{round}'")).query(READ);
        }
        let before = pgmemo.metrics()?;
        conn.send(all.bytes())?;
        for _ in 0..rounds {
            ensure!(conn.read_until(b'Z')?.error().is_none());
            let rows = conn.read_until(b'Z')?.rows();
            ensure!(rows == [[Some("a".to_owned())]], "{rows:?}");
        }
        let known = pgmemo.metrics()?.hits() - before.hits();
        ensure!(known <= 5.0, "{known} of {rounds} reads waited");
        Ok(())
    })
}

/// Sends two commands at once.
fn twice(conn: &mut Conn, both: &Frontend) -> Result<()> {
    conn.send(both.bytes())?;
    for _ in 0..2 {
        let answer = conn.read_until(b'Z')?;
        ensure!(answer.error().is_none(), "{:?}", answer.error());
    }
    Ok(())
}

#[test]
fn what_is_set_together_is_told_apart() {
    check(&[
        (
            "K15 settings of one string",
            "
            s1 hot: SELECT at, at::text, d FROM e
            s1 simple: SET datestyle = 'SQL, DMY'; SET timezone = 'Asia/Tokyo'
            s1: SELECT at, at::text, d FROM e
            s1 simple: SET timezone = 'UTC'; SET datestyle = 'SQL, MDY'
            s1: SELECT at, at::text, d FROM e
            s1 simple fails: SET timezone = 'Asia/Tokyo'; SET timezone = 'nowhere'
            s1: SELECT at, at::text, d FROM e
            s1 simple: SET datestyle = 'ISO'; RESET ALL
            s1: SELECT at, at::text, d FROM e
            s1: SELECT set_config('timezone', 'Asia/Tokyo', false)
            s1: SELECT at, at::text, d FROM e
            s1: SELECT set_config('timezone', 'UTC', true)
            s1: SELECT at, at::text, d FROM e
            s1 simple: BEGIN; SET timezone = 'UTC'; ROLLBACK
            s1: SELECT at, at::text, d FROM e
            ",
        ),
        (
            "K11 the level of transactions to come",
            "
            s1: SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY
            s1: SELECT v FROM t WHERE id = 1
            s1: BEGIN
            s1: SELECT v FROM t WHERE id = 1
            s2: UPDATE t SET v = v || 'x' WHERE id = 1
            s2: SELECT v FROM t WHERE id = 1
            s1: SELECT v FROM t WHERE id = 1
            s1 fails: UPDATE t SET v = 'y'
            s1: ROLLBACK
            s1: SHOW transaction_isolation
            s1: SELECT v FROM t WHERE id = 1
            s1: SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE
            s1: UPDATE t SET v = 'y' WHERE id = 1
            s2: SELECT v FROM t WHERE id = 1
            ",
        ),
    ]);
}
