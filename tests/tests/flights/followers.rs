//! Who waits for another's reply, for how long, and what ends that.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use pgmemo_tests::{
    Store,
    server::Signal,
    wire::{Conn, Login},
};

use super::{FILE, Stage, first, received, send, waiting};

#[test]
fn who_waits_can_be_cancelled() -> Result<()> {
    let mut stage = Stage::new()?;
    let pgmemo = stage.pgmemo()?;
    let sql = "SELECT v, slow(4) FROM t";
    let mut leader = stage.warm(&pgmemo, "SELECT v FROM t")?;
    let mut waiter = stage.warm(&pgmemo, "SELECT v FROM t")?;
    let before = stage.calls()?;
    send(&mut leader, sql)?;
    stage.called(before, 1)?;
    send(&mut waiter, sql)?;
    waiting(&pgmemo, 1.0)?;
    if !pgmemo.is_real() {
        stage.called(before, 2)?;
    }
    waiter.cancel()?;
    let answer = received(&mut waiter)?;
    ensure!(
        answer.error().is_some_and(|it| it.contains("57014")),
        "{:?}",
        answer.shown()
    );
    ensure!(leader.is_silent()?, "it has waited on");
    first(&received(&mut leader)?)?;
    // The next statement of either is not affected.
    first(&waiter.query("SELECT v FROM t")?)?;
    Ok(())
}

#[test]
fn a_client_that_leaves_does_not_wait_on() -> Result<()> {
    let mut stage = Stage::new()?;
    let pgmemo = stage.pgmemo()?;
    let sql = "SELECT v, slow(3) FROM t";
    let mut leader = stage.warm(&pgmemo, "SELECT v FROM t")?;
    let mut gone = stage.warm(&pgmemo, "SELECT v FROM t")?;
    let mut half = stage.warm(&pgmemo, "SELECT v FROM t")?;
    let before = stage.calls()?;
    send(&mut leader, sql)?;
    stage.called(before, 1)?;
    send(&mut gone, sql)?;
    send(&mut half, sql)?;
    waiting(&pgmemo, 2.0)?;
    drop(gone);
    half.shutdown()?;
    waiting(&pgmemo, 0.0)?;
    ensure!(leader.is_silent()?, "they have waited on");
    // One that has only closed its sending half still reads.
    first(&received(&mut half)?)?;
    first(&received(&mut leader)?)?;
    Ok(())
}

#[test]
fn a_stop_does_not_wait_for_a_flight() -> Result<()> {
    let mut stage = Stage::new()?;
    let mut pgmemo = stage.pgmemo()?;
    let sql = "SELECT v, slow(3) FROM t";
    let mut leader = stage.warm(&pgmemo, "SELECT v FROM t")?;
    let mut waiter = stage.warm(&pgmemo, "SELECT v FROM t")?;
    let before = stage.calls()?;
    send(&mut leader, sql)?;
    stage.called(before, 1)?;
    send(&mut waiter, sql)?;
    waiting(&pgmemo, 1.0)?;
    if pgmemo.is_real() {
        pgmemo.server()?.signal(Signal::Term)?;
    }
    first(&received(&mut waiter)?)?;
    first(&received(&mut leader)?)?;
    Ok(())
}

#[test]
fn who_may_hold_locks_does_not_wait() -> Result<()> {
    let mut stage = Stage::new()?;
    let pgmemo = stage.pgmemo()?;
    let sql = "SELECT v, slow(3) FROM t";
    let mut leader = stage.warm(&pgmemo, "SELECT v FROM t")?;
    let mut holder = stage.warm(&pgmemo, "SELECT v FROM t")?;
    holder.run("BEGIN")?;
    holder.run("SELECT pg_advisory_xact_lock(7)")?;
    let before = stage.calls()?;
    send(&mut leader, sql)?;
    stage.called(before, 1)?;
    send(&mut holder, sql)?;
    stage.called(before, 2)?;
    first(&received(&mut holder)?)?;
    first(&received(&mut leader)?)?;
    // A block that the server knows nothing of holds none.
    holder.run("COMMIT")?;
    let sql = "SELECT v, slow(3.1) FROM t";
    holder.run("BEGIN")?;
    send(&mut leader, sql)?;
    stage.called(before, 3)?;
    send(&mut holder, sql)?;
    waiting(&pgmemo, 1.0)?;
    first(&received(&mut holder)?)?;
    first(&received(&mut leader)?)?;
    holder.run("COMMIT")?;
    Ok(())
}

#[test]
fn waits_are_bounded() -> Result<()> {
    let mut stage = Stage::new()?;
    let file = FILE.replace("1m", "200ms");
    let pgmemo = stage.pgmemo_with(Store::Memory, &file)?;
    let sql = "SELECT v, slow(2) FROM t";
    let mut leader = stage.warm(&pgmemo, "SELECT v FROM t")?;
    let mut waiter = stage.warm(&pgmemo, "SELECT v FROM t")?;
    let before = stage.calls()?;
    send(&mut leader, sql)?;
    stage.called(before, 1)?;
    send(&mut waiter, sql)?;
    stage.called(before, 2)?;
    first(&received(&mut waiter)?)?;
    first(&received(&mut leader)?)?;
    Ok(())
}

/// The server takes the time anew when it gets the statement.
#[test]
fn who_may_take_little_time_does_not_wait_for_much_of_it() -> Result<()> {
    let mut stage = Stage::new()?;
    let pgmemo = stage.pgmemo()?;
    let sql = "SELECT v, slow(4) FROM t";
    let mut leader = stage.warm(&pgmemo, "SELECT v FROM t")?;
    let mut set = stage.warm(&pgmemo, "SELECT v FROM t")?;
    set.run("SET statement_timeout = '400ms'")?;
    let login = Login::to(stage.database.name()).with("statement_timeout", "0.4s");
    let born = Conn::connect(pgmemo.address(), &login)?;
    let login = login.with("options", "-c statement_timeout=9s");
    let mut reset = Conn::connect(pgmemo.address(), &login)?;
    reset.run("BEGIN; SET statement_timeout = 7; RESET statement_timeout; COMMIT")?;
    let before = stage.calls()?;
    send(&mut leader, sql)?;
    stage.called(before, 1)?;
    for mut conn in [set, born, reset] {
        let start = Instant::now();
        let answer = conn.query(sql)?;
        let took = start.elapsed();
        ensure!(
            answer.error().is_some_and(|it| it.contains("57014")),
            "{:?}",
            answer.shown()
        );
        ensure!(took < Duration::from_secs(1), "{took:?}");
    }
    ensure!(leader.is_silent()?, "they have waited on");
    first(&received(&mut leader)?)?;
    Ok(())
}
