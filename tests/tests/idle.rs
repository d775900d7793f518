//! Sessions whose server has nothing to do, because its client is served from the store or sleeps.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use pgmemo_tests::{
    Pgmemo, Postgres, Store, Version,
    net::{SOON, eventually},
    postgres::Database,
    wire::{Conn, Login},
};

const READ: &str = "SELECT id, v FROM t ORDER BY id";

struct Scene {
    database: Database,
    pgmemo: Pgmemo,
}

fn scene() -> Result<Scene> {
    scene_on(Postgres::shared(Version::System))
}

fn scene_on(postgres: &Postgres) -> Result<Scene> {
    let database = postgres.database()?;
    database
        .connect()?
        .run("CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'a')")?;
    let pgmemo = Pgmemo::start(postgres, Store::Memory, &[])?;
    Ok(Scene { database, pgmemo })
}

impl Scene {
    fn connect(&self, login: &Login) -> Result<Conn> {
        let mut conn = Conn::connect(self.pgmemo.address(), login)?;
        if self.pgmemo.is_real() {
            let before = self.pgmemo.hits()?;
            eventually("reads are hits", SOON, || {
                conn.run(READ).ok()?;
                (self.pgmemo.hits().ok()? > before).then_some(())
            })?;
        }
        Ok(conn)
    }

    fn login(&self) -> Login {
        Login::to(self.database.name())
    }
}

/// Asks again and again, for longer than a session may be idle, and then waits for its end.
///
/// False where the machine has stood still for so long that it was idle by right.
fn stays_busy(conns: &mut [(Conn, [u8; 1])], timeout: Duration, sqlstate: &str) -> Result<bool> {
    stays_busy_asking(Duration::from_millis(300), conns, timeout, sqlstate)
}

/// The same with such a pause between two questions.
fn stays_busy_asking(
    pause: Duration,
    conns: &mut [(Conn, [u8; 1])],
    timeout: Duration,
    sqlstate: &str,
) -> Result<bool> {
    let (start, mut last) = (Instant::now(), Instant::now());
    while start.elapsed() < timeout * 2 {
        for (conn, status) in &mut *conns {
            let heard = conn.query(READ);
            if last.elapsed() > pause + timeout / 5 {
                return Ok(false);
            }
            let heard = heard?;
            let end = heard.0.last().context("no answer")?;
            ensure!((end.tag, &end.body[..]) == (b'Z', &status[..]));
        }
        last = Instant::now();
        std::thread::sleep(pause);
    }
    // And then it is.
    let (conn, _) = conns.first_mut().context("nobody")?;
    let words = conn.read()?;
    ensure!((words.tag, &*words.sqlstate()) == (b'E', sqlstate));
    ensure!(conn.try_read()?.is_none());
    Ok(true)
}

/// Tries until the machine has not stood still meanwhile.
fn in_peace(mut attempt: impl FnMut() -> Result<bool>) -> Result<()> {
    for _ in 0..5 {
        if attempt()? {
            return Ok(());
        }
    }
    bail!("the machine has stood still each time")
}

/// The server counts a session as idle until a message comes, and a hit sends none.
#[test]
fn a_client_that_is_served_from_the_store_is_not_idle() -> Result<()> {
    let scene = scene()?;
    let timeout = Duration::from_secs(4);
    let login = scene.login().with("idle_session_timeout", "4s");
    in_peace(|| {
        let (conn, mut other) = (scene.connect(&login)?, scene.connect(&login)?);
        // So is one in a block of which the server has not heard.
        other.run("BEGIN")?;
        stays_busy(&mut [(conn, *b"I"), (other, *b"T")], timeout, "57P05")
    })
}

/// The same in a block of which the server knows.
#[test]
fn a_client_that_is_served_in_a_block_is_not_idle() -> Result<()> {
    let scene = scene()?;
    let timeout = Duration::from_secs(4);
    let login = scene
        .login()
        .with("idle_in_transaction_session_timeout", "4s");
    in_peace(|| {
        let mut conn = scene.connect(&login)?;
        conn.run("BEGIN")?;
        conn.run("SHOW timezone")?;
        let before = scene.pgmemo.metrics()?;
        let busy = stays_busy(&mut [(conn, *b"T")], timeout, "25P03")?;
        if busy {
            scene.pgmemo.expect_hits_since(&before, 10.0)?;
        }
        Ok(busy)
    })
}

/// Between any two questions it is idle for less than it may.
#[test]
fn a_client_that_seldom_asks_is_idle_no_longer_than_it_is() -> Result<()> {
    let scene = scene()?;
    let (timeout, pause) = (Duration::from_secs(5), Duration::from_secs(3));
    in_peace(|| {
        let login = scene.login().with("idle_session_timeout", "5s");
        let mut outside = [(scene.connect(&login)?, *b"I")];
        if !stays_busy_asking(pause, &mut outside, timeout, "57P05")? {
            return Ok(false);
        }
        let login = scene
            .login()
            .with("idle_in_transaction_session_timeout", "5s");
        let mut conn = scene.connect(&login)?;
        conn.run("BEGIN")?;
        conn.run("SHOW timezone")?;
        stays_busy_asking(pause, &mut [(conn, *b"T")], timeout, "25P03")
    })
}

#[test]
fn a_terminated_server_is_told_to_a_client_that_only_hits() {
    let scene = scene().unwrap();
    let mut conn = scene.connect(&scene.login()).unwrap();
    let (pid, _) = conn.cancel_key().unwrap();
    let mut control = scene.database.connect().unwrap();
    control
        .run(&format!("SELECT pg_terminate_backend({pid})"))
        .unwrap();
    let last = conn.read().unwrap();
    assert_eq!((last.tag, &*last.sqlstate()), (b'E', "57P01"));
    assert!(conn.try_read().unwrap().is_none());
}

#[test]
fn notifications_come_while_reads_are_hits() {
    let scene = scene().unwrap();
    let mut conn = scene.connect(&scene.login()).unwrap();
    conn.run("LISTEN l").unwrap();
    for number in 0..20 {
        let mut other = scene.database.connect().unwrap();
        other.run(&format!("NOTIFY l, '{number}'")).unwrap();
        let heard = eventually("the notification comes", SOON, || {
            let answer = conn.query(READ).ok()?;
            let heard = answer.0.iter().find(|message| message.tag == b'A');
            heard.and_then(pgmemo_tests::wire::Message::shown)
        });
        assert_eq!(heard.unwrap(), format!("notification l '{number}'"));
    }
}

/// A block that its server has not heard of is one all the same.
#[test]
fn a_client_that_waits_in_a_block_is_not_idle() {
    let scene = scene().unwrap();
    let login = scene.login().with("idle_session_timeout", "3s");
    let mut fresh = scene.connect(&login).unwrap();
    let mut served = scene.connect(&login).unwrap();
    fresh.run("BEGIN").unwrap();
    served.run("BEGIN").unwrap();
    served.run(READ).unwrap();
    std::thread::sleep(Duration::from_secs(6));
    for mut conn in [fresh, served] {
        let answer = conn.query(READ).unwrap();
        let last = answer.0.last().unwrap();
        assert_eq!((last.tag, &last.body[..]), (b'Z', &b"T"[..]));
        conn.run("COMMIT").unwrap();
    }
}

/// And ends when its server says so.
#[test]
fn a_block_that_waits_for_too_long_is_ended() {
    let scene = scene().unwrap();
    let timeout = "idle_in_transaction_session_timeout";
    let mut conn = scene.connect(&scene.login().with(timeout, "2s")).unwrap();
    conn.run("BEGIN").unwrap();
    conn.run(READ).unwrap();
    conn.set_deadline(Duration::from_secs(20)).unwrap();
    let last = conn.read().unwrap();
    assert_eq!((last.tag, &*last.sqlstate()), (b'E', "25P03"));
    assert!(conn.try_read().unwrap().is_none());
}

/// What pgmemo itself is silent for is nobody's business.
#[test]
fn the_watch_over_a_database_is_not_idle() {
    // Settings of a database belong to the whole server, as roles do.
    let postgres = Postgres::start(Version::System).unwrap();
    let scene = scene_on(&postgres).unwrap();
    let name = scene.database.name();
    let mut control = scene.database.connect().unwrap();
    control
        .run(&format!(
            "ALTER DATABASE {name} SET idle_session_timeout = '1s'"
        ))
        .unwrap();
    // One that logs in anew watches under the new setting.
    let mut pgmemo = Pgmemo::start(&postgres, Store::Memory, &[]).unwrap();
    let login = scene.login().with("idle_session_timeout", "0");
    let mut conn = Conn::connect(pgmemo.address(), &login).unwrap();
    for _ in 0..3 {
        conn.run(READ).unwrap();
    }
    std::thread::sleep(Duration::from_secs(4));
    let before = pgmemo.metrics().unwrap();
    conn.run(READ).unwrap();
    pgmemo.expect_hits_since(&before, 1.0).unwrap();
    if pgmemo.is_real() {
        let log = pgmemo.server().unwrap().log_tail();
        assert!(!log.contains("closed by the server"), "{log}");
    }
}
