//! SIGTERM: who may end what it has begun, and for how long.

use std::time::Duration;

use anyhow::{Result, ensure};
use pgmemo_tests::{
    net::{SOON, eventually},
    server::Signal,
    wire::{Conn, Frontend, Login, Message},
};

use super::{READ, ground, ready};

#[test]
fn sigterm_lets_a_transaction_end_and_takes_no_new_client() -> Result<()> {
    let Some((database, mut pgmemo)) = ground("")? else {
        return Ok(());
    };
    let mut busy = pgmemo.connect(database.name())?;
    let mut idle = pgmemo.connect(database.name())?;
    idle.run(READ)?;
    busy.run("BEGIN")?;
    busy.run("UPDATE t SET v = 'drained'")?;
    pgmemo.server()?.signal(Signal::Term)?;
    eventually("readiness withdrawn", SOON, || {
        (!ready(&pgmemo)).then_some(())
    })?;
    ensure!(idle.ends(), "an idle client was not sent away");
    ensure!(
        pgmemo.connect(database.name()).is_err(),
        "a new client was accepted"
    );
    ensure!(
        busy.value(READ)? == "drained",
        "the transaction does not read its own write"
    );
    busy.run("COMMIT")?;
    ensure!(
        busy.ends(),
        "the client was not sent away after its transaction"
    );
    let status = pgmemo.server()?.wait(SOON)?;
    ensure!(status.success(), "{status}");
    ensure!(
        database.connect()?.value(READ)? == "drained",
        "the transaction was lost"
    );
    Ok(())
}

#[test]
fn what_holds_up_a_stop_can_be_cancelled() -> Result<()> {
    let Some((database, mut pgmemo)) = ground("")? else {
        return Ok(());
    };
    let mut busy = pgmemo.connect(database.name())?;
    busy.send(Frontend::new().query("SELECT pg_sleep(600)").bytes())?;
    pgmemo.server()?.signal(Signal::Term)?;
    eventually("readiness withdrawn", SOON, || {
        (!ready(&pgmemo)).then_some(())
    })?;
    let login = Login::to(database.name());
    let late = Conn::greet(pgmemo.address(), &login)?;
    let code = late.greeting().last().map(Message::sqlstate);
    ensure!(code.as_deref() == Some("57P03"), "{code:?}");
    let mut control = database.connect()?;
    let (pid, _) = busy.cancel_key()?;
    let event = format!("SELECT wait_event FROM pg_stat_activity WHERE pid = {pid}");
    eventually("the statement runs", SOON, || {
        (control.value(&event).ok()? == "PgSleep").then_some(())
    })?;
    busy.cancel()?;
    let error = busy.read_until(b'Z')?.error();
    ensure!(error.is_some_and(|it| it.contains("57014")), "it goes on");
    let status = pgmemo.server()?.wait(SOON)?;
    ensure!(status.success(), "{status}");
    Ok(())
}

#[test]
fn sigterm_waits_no_longer_than_it_is_told() -> Result<()> {
    let Some((database, mut pgmemo)) = ground("[limits]\ndrain_timeout = '1s'\n")? else {
        return Ok(());
    };
    let mut stuck = pgmemo.connect(database.name())?;
    stuck.run("BEGIN")?;
    stuck.run("UPDATE t SET v = 'stuck'")?;
    pgmemo.term(Duration::from_secs(15))?;
    // As the server says it to those whom it cuts off.
    let last = stuck.read()?;
    ensure!(
        (last.tag, &*last.sqlstate()) == (b'E', "57P01"),
        "{last:?} as the last word"
    );
    ensure!(stuck.ends(), "the client was left hanging");
    ensure!(
        database.connect()?.value(READ)? == "a",
        "an open transaction was committed"
    );
    Ok(())
}

/// Whoever has no session yet has begun nothing.
#[test]
fn a_stop_does_not_wait_for_who_says_nothing() -> Result<()> {
    let Some((database, mut pgmemo)) = ground("")? else {
        return Ok(());
    };
    let silent = Conn::raw(pgmemo.address())?;
    let mut half = Conn::raw(pgmemo.address())?;
    half.send(&[0, 0, 0, 40, 0, 3])?;
    let mut idle = pgmemo.connect(database.name())?;
    idle.run(READ)?;
    pgmemo.term(Duration::from_secs(10))?;
    ensure!(idle.ends(), "a client was left hanging");
    drop((silent, half));
    Ok(())
}
