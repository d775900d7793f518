//! Clients that are gone amid what they do.

use anyhow::Result;
use pgmemo_tests::{
    net::{SOON, eventually},
    wire::{Conn, Frontend, Login},
};

use super::{Ground, READ};

/// Every prefix of a conversation that has a bit of everything.
#[test]
fn clients_that_vanish_at_any_byte_leave_nothing_behind() -> Result<()> {
    let mut ground = Ground::new()?;
    let whole = Frontend::new()
        .query("BEGIN")
        .query("UPDATE t SET v = v WHERE id = 1")
        .parse("s", READ, &[])
        .bind("", "s", &[])
        .describe_portal("")
        .execute("", 1)
        .sync()
        .query("COPY t FROM STDIN")
        .copy_data(b"7\tseven\n")
        .into_bytes();
    for length in (0..whole.len()).step_by(5) {
        let mut session = ground.session()?;
        session.send(&whole[..length])?;
    }
    ground.await_quiet()?;
    ground.session()?.run("UPDATE t SET v = v")?;
    ground.check()
}

#[test]
fn clients_that_vanish_without_reading_leave_nothing_behind() -> Result<()> {
    let mut ground = Ground::new()?;
    let large = "SELECT repeat('x', 1000000) FROM t, generate_series(1, 20)";
    for _ in 0..10 {
        let mut session = ground.session()?;
        session.send(Frontend::new().query(large).bytes())?;
    }
    ground.await_quiet()?;
    ground.check()
}

/// The server would end their work at once without us, and so would the marks on what they write.
#[test]
fn clients_that_vanish_amid_what_they_send_hold_nothing() -> Result<()> {
    let ground = Ground::new()?;
    let taking = Frontend::new().query("COPY t FROM STDIN").into_bytes();
    let mut half = Frontend::new()
        .query(&format!("UPDATE t SET v = '{}'", "x".repeat(2 << 20)))
        .into_bytes();
    half.truncate(1 << 20);
    for (what, bytes) in [("copy data", taking), ("a message", half)] {
        let mut session = ground.session()?;
        session.send(&bytes)?;
        if what == "copy data" {
            session.read_until(b'G')?;
            session.send(Frontend::new().copy_data(b"7\tseven\n").bytes())?;
        }
        let (pid, _) = session.cancel_key()?;
        drop(session);
        let mut control = ground.database.connect()?;
        let living = format!("SELECT count(*) FROM pg_stat_activity WHERE pid = {pid}");
        eventually(what, SOON, || {
            (control.value(&living).ok()? == "0").then_some(())
        })?;
        let mut reader = ground.session()?;
        eventually("hits", SOON, || {
            let before = ground.pgmemo.hits().ok()?;
            reader.run(READ).ok()?;
            let hit = ground.pgmemo.hits().ok()? > before;
            (hit || !ground.pgmemo.is_real()).then_some(())
        })?;
    }
    Ok(())
}

/// A server that looks now and then whether its client is still there has to see that it is not.
#[test]
fn a_server_that_looks_after_its_client_sees_it_go() -> Result<()> {
    let ground = Ground::new()?;
    let login = Login::to(ground.database.name()).with("client_connection_check_interval", "100ms");
    for goodbye in [false, true] {
        let mut session = Conn::connect(ground.pgmemo.address(), &login)?;
        let (pid, _) = session.cancel_key()?;
        let mut batch = Frontend::new().query("SELECT pg_sleep(600)");
        if goodbye {
            batch = batch.terminate();
        }
        session.send(batch.bytes())?;
        let mut control = ground.database.connect()?;
        let event = format!("SELECT wait_event FROM pg_stat_activity WHERE pid = {pid}");
        eventually("the statement runs", SOON, || {
            (control.value(&event).ok()? == "PgSleep").then_some(())
        })?;
        drop(session);
        let living = format!("SELECT count(*) FROM pg_stat_activity WHERE pid = {pid}");
        eventually("the statement is given up", SOON, || {
            (control.value(&living).ok()? == "0").then_some(())
        })?;
    }
    Ok(())
}
