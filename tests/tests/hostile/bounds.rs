//! Too much of anything: bytes, rows, statements, depth, clients.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use pgmemo_tests::{
    net::{SOON, eventually},
    wire::{Conn, Frontend, Login},
};

use super::{Ground, READ};

#[test]
fn a_length_that_is_declared_and_never_sent_costs_no_memory() -> Result<()> {
    let mut ground = Ground::new()?;
    let mut sessions = Vec::new();
    for _ in 0..20 {
        let mut session = ground.session()?;
        session.send(b"Q\x3f\xff\xff\xffSELECT")?;
        sessions.push(session);
    }
    ground.check()?;
    drop(sessions);
    ground.check()
}

#[test]
fn a_client_that_sends_and_never_reads_is_bounded() -> Result<()> {
    let mut ground = Ground::new()?;
    let large = "SELECT repeat('x', 1000000) FROM t, generate_series(1, 500)";
    let mut sessions = Vec::new();
    for _ in 0..4 {
        let mut session = ground.session()?;
        session.send(Frontend::new().query(large).bytes())?;
        sessions.push(session);
    }
    thread::sleep(Duration::from_secs(1));
    ground.check()
}

/// It would be served from the store for as long as it asks.
#[test]
fn a_client_that_asks_for_hits_and_never_reads_is_bounded() -> Result<()> {
    let mut ground = Ground::new()?;
    ground.session()?.run(
        "CREATE TABLE wide (id int PRIMARY KEY, v text); \
         INSERT INTO wide VALUES (1, repeat('x', 3000))",
    )?;
    let sql = "SELECT v FROM wide";
    let mut session = ground.session()?;
    eventually("hits", SOON, || {
        let before = ground.pgmemo.hits().ok()?;
        session.run(sql).ok()?;
        let hit = ground.pgmemo.hits().ok()? > before;
        (hit || !ground.pgmemo.is_real()).then_some(())
    })?;
    let count = 60_000;
    let mut batch = Frontend::new();
    for _ in 0..count {
        batch = batch.query(sql);
    }
    thread::scope(|scope| {
        let (batch, mut sender) = (batch.into_bytes(), session.another_end()?);
        let sending = scope.spawn(move || sender.send(&batch));
        thread::sleep(Duration::from_secs(2));
        ground.check().context("while it does not read")?;
        // Once it reads, it gets everything.
        let mut replies = 0;
        while replies < count {
            replies += usize::from(session.read()?.tag == b'Z');
        }
        sending.join().expect("nobody panics")
    })?;
    ground.check()
}

#[test]
fn a_client_that_never_logs_in_holds_nobody_up() -> Result<()> {
    let mut ground = Ground::new()?;
    let silent: Vec<_> = (0..100).map(|_| ground.socket()).collect::<Result<_>>()?;
    ground.check()?;
    drop(silent);
    ground.check()
}

#[test]
fn statements_and_texts_without_end_do_not_fill_the_memory() -> Result<()> {
    let mut ground = Ground::new()?;
    let mut session = ground.session()?;
    for round in 0..40 {
        let padding = "x".repeat(10_000);
        let mut batch = Frontend::new();
        for number in 0..50 {
            let sql = format!("SELECT id, '{padding}{round}-{number}' FROM t");
            batch = batch.parse("", &sql, &[]).bind("", "", &[]).execute("", 0);
        }
        session.send(batch.sync().bytes())?;
        let answer = session.read_until(b'Z')?;
        ensure!(answer.error().is_none(), "{:?}", answer.error());
    }
    ground.check()
}

#[test]
fn a_client_with_too_many_statements_gives_up_nothing_of_others() -> Result<()> {
    let mut ground = Ground::new()?;
    if !ground.pgmemo.is_real() {
        return Ok(());
    }
    let mut hoarder = ground.session()?;
    let pad = "x".repeat(700_000);
    for number in 0..14 {
        let (name, text) = (format!("s{number}"), format!("{READ} -- {pad}"));
        hoarder.send(Frontend::default().parse(&name, &text, &[]).sync().bytes())?;
        hoarder.read_until(b'Z')?;
    }
    hoarder.send(Frontend::default().parse("last", READ, &[]).sync().bytes())?;
    hoarder.read_until(b'Z')?;
    let everything = |ground: &Ground| -> Result<f64> {
        let metrics = ground.pgmemo.metrics()?;
        Ok(metrics.sum("pgmemo_invalidations_total", &["kind=\"everything\""]))
    };
    let before = everything(&ground)?;
    for _ in 0..3 {
        let run = Frontend::default().bind("", "last", &[]);
        hoarder.send(run.execute("", 0).sync().bytes())?;
        let rows = hoarder.read_until(b'Z')?.rows();
        ensure!(rows.len() == 2, "{rows:?}");
    }
    let given_up = everything(&ground)? - before;
    ensure!(given_up == 0.0, "everything was given up {given_up} times");
    ground.check()
}

/// What is remembered of a name ends with it, however another comes to have it.
#[test]
fn a_name_beyond_the_bound_stands_for_what_has_taken_it() -> Result<()> {
    let mut ground = Ground::new()?;
    if !ground.pgmemo.is_real() {
        return Ok(());
    }
    let mut reader = ground.session()?;
    let mut hoarder = ground.session()?;
    hoarder.run("CREATE TABLE other (v text)")?;
    let pad = "x".repeat(700_000);
    for number in 0..14 {
        let (name, text) = (format!("s{number}"), format!("{READ} -- {pad}"));
        hoarder.send(Frontend::default().parse(&name, &text, &[]).sync().bytes())?;
        hoarder.read_until(b'Z')?;
    }
    let prepare = "PREPARE s AS UPDATE t SET v = v || '!' WHERE id = 1";
    for (drop, make) in [
        ("DEALLOCATE s", format!("SELECT 1; {prepare}")),
        ("SELECT 1", format!("DEALLOCATE s; {prepare}")),
        (
            "SELECT 1",
            format!("DO $$ BEGIN EXECUTE 'DEALLOCATE s'; EXECUTE $q${prepare}$q$; END $$"),
        ),
    ] {
        let insert = Frontend::default().parse("s", "INSERT INTO other VALUES ('x')", &[]);
        hoarder.send(insert.sync().bytes())?;
        hoarder.read_until(b'Z')?;
        for _ in 0..3 {
            reader.run(READ)?;
        }
        hoarder.run(drop)?;
        hoarder.run(&make)?;
        let run = Frontend::default().bind("", "s", &[]).execute("", 0);
        hoarder.send(run.sync().bytes())?;
        let answer = hoarder.read_until(b'Z')?;
        ensure!(answer.error().is_none(), "{make}: {:?}", answer.error());
        let (found, expected) = (
            reader.run(READ)?.rows(),
            ground.database.connect()?.run(READ)?.rows(),
        );
        ensure!(
            found == expected,
            "{make}: {found:?} instead of {expected:?}"
        );
        hoarder.run("DEALLOCATE s")?;
    }
    ground.check()
}

#[test]
fn texts_that_nest_too_deep_are_the_servers_affair() -> Result<()> {
    let mut ground = Ground::new()?;
    let deep = |count: usize| {
        [
            format!("SELECT {}1{} FROM t", "(".repeat(count), ")".repeat(count)),
            format!("SELECT {}id FROM t", "- ".repeat(count)),
            format!("SELECT id{} FROM t", " + 1".repeat(count)),
            format!("SELECT id FROM t WHERE true{}", " OR id = 1".repeat(count)),
            format!(
                "SELECT ARRAY{}1{} FROM t",
                "[".repeat(count),
                "]".repeat(count)
            ),
            format!(
                "SELECT * FROM {}t{}",
                "(SELECT * FROM ".repeat(count),
                ") x".repeat(count)
            ),
            format!("SELECT id{} FROM t", "::text::int".repeat(count)),
            format!("SELECT {} FROM t", "CASE WHEN true THEN ".repeat(count)),
        ]
    };
    for count in [100, 3000, 50_000] {
        for sql in deep(count) {
            let direct = ground.database.connect()?.query(&sql)?.shown();
            let through = ground.session()?.query(&sql)?.shown();
            ensure!(
                direct == through,
                "{}… nested {count} times",
                &sql[..40.min(sql.len())]
            );
        }
    }
    ground.check()
}

#[test]
fn many_clients_that_come_and_go_are_served() -> Result<()> {
    let mut ground = Ground::new()?;
    let (address, name) = (ground.pgmemo.address(), ground.database.name().to_owned());
    let served = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..40 {
                    let outcome = Conn::connect(address, &Login::to(&name))
                        .and_then(|mut conn| conn.run(READ));
                    if outcome.is_ok() {
                        served.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    let served = served.into_inner();
    ensure!(served == 320, "only {served} of 320 clients were served");
    ground.check()
}

/// 200 MB that could be a reply to remember, of which no more than the first part is kept.
#[test]
fn a_huge_result_streams_through() -> Result<()> {
    let mut ground = Ground::new()?;
    let mut client = ground.session()?;
    let sql = "SELECT repeat('x', 1000) FROM t, generate_series(1, 100000) g";
    client.send(Frontend::new().query(sql).bytes())?;
    for read in 0.. {
        let message = client.read()?;
        if read == 100_000 {
            ground.check().context("amid the rows")?;
        }
        if message.tag == b'Z' {
            ensure!(read > 200_000, "{read} messages");
            break;
        }
    }
    ground.check()
}
