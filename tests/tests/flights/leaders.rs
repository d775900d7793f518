//! What the one that asks brings the others, and who takes over if it brings nothing.

use std::time::Instant;

use anyhow::{Result, ensure};
use pgmemo_tests::wire::Conn;

use super::{Stage, first, received, send, together, waiting, waits};

#[test]
fn a_stampede_is_one_query() -> Result<()> {
    let mut stage = Stage::new()?;
    let pgmemo = stage.pgmemo()?;
    let sql = "SELECT v, slow(1) FROM t WHERE id = 1";
    let clients = (0..200).map(|_| stage.warm(&pgmemo, sql));
    let mut clients = clients.collect::<Result<Vec<_>>>()?;
    for (n, is_extended) in [false, true].into_iter().enumerate() {
        let ask = |conn: &mut Conn| {
            if is_extended {
                conn.extended(sql, &[])
            } else {
                conn.query(sql)
            }
        };
        let update = format!("UPDATE t SET v = 'written {n}'");
        pgmemo.connect(stage.database.name())?.run(&update)?;
        let expected = ask(&mut stage.direct)?;
        let before = stage.calls()?;
        let answers = together(&mut clients, ask)?;
        for answer in &answers {
            ensure!(first(answer)? == format!("written {n}"));
            ensure!(answer.shown() == expected.shown());
        }
        let calls = stage.calls()? - before;
        ensure!(!pgmemo.is_real() || calls <= 3, "{calls} calls");
    }
    // Who came when it was over has hit.
    ensure!(!pgmemo.is_real() || waits(&pgmemo, "served")? > 100.0);
    Ok(())
}

#[test]
fn when_the_leader_is_cancelled_another_takes_over() -> Result<()> {
    let mut stage = Stage::new()?;
    let pgmemo = stage.pgmemo()?;
    let sql = "SELECT v, slow(3) FROM t";
    let clients = (0..5).map(|_| stage.warm(&pgmemo, sql));
    let mut clients = clients.collect::<Result<Vec<_>>>()?;
    for kill in [false, true] {
        pgmemo
            .connect(stage.database.name())?
            .run("UPDATE t SET v = v || 'a'")?;
        let before = stage.calls()?;
        let mut leader = stage.warm(&pgmemo, "SELECT v FROM t")?;
        send(&mut leader, sql)?;
        stage.called(before, 1)?;
        for client in &mut clients {
            send(client, sql)?;
        }
        waiting(&pgmemo, 5.0)?;
        if kill {
            let (process, _) = leader.cancel_key()?;
            let kill = format!("SELECT pg_terminate_backend({process})");
            stage.direct.run(&kill)?;
            ensure!(leader.ends(), "the leader was to be killed");
        } else {
            leader.cancel()?;
            ensure!(
                received(&mut leader)?
                    .error()
                    .is_some_and(|it| it.contains("57014"))
            );
        }
        for client in &mut clients {
            first(&received(client)?)?;
        }
        let calls = stage.calls()? - before;
        ensure!(!pgmemo.is_real() || calls == 2, "{calls} calls");
    }
    Ok(())
}

#[test]
fn errors_are_not_shared() -> Result<()> {
    let mut stage = Stage::new()?;
    let pgmemo = stage.pgmemo()?;
    let sql = "SELECT v, fails(0.2) FROM t";
    let clients = (0..6).map(|_| stage.warm(&pgmemo, sql));
    let mut clients = clients.collect::<Result<Vec<_>>>()?;
    let before = stage.calls()?;
    for answer in together(&mut clients, |conn| conn.query(sql))? {
        ensure!(answer.error().is_some_and(|it| it.contains("P0001")));
    }
    let calls = stage.calls()? - before;
    ensure!(calls == 6, "{calls} calls for six errors");
    // Nobody waits for it a third time.
    let started = Instant::now();
    together(&mut clients, |conn| conn.query(sql))?;
    println!("{:?} for six errors at once", started.elapsed());
    waiting(&pgmemo, 0.0)
}

#[test]
fn who_has_seen_a_write_does_not_join_an_older_flight() -> Result<()> {
    let mut stage = Stage::new()?;
    let pgmemo = stage.pgmemo()?;
    let sql = "SELECT v, slow(2) FROM t WHERE id = 1";
    let [mut leader, mut waiter, mut writer] = [
        stage.warm(&pgmemo, sql)?,
        stage.warm(&pgmemo, sql)?,
        stage.warm(&pgmemo, sql)?,
    ];
    writer.run("UPDATE t SET v = 'b'")?;
    let before = stage.calls()?;
    send(&mut leader, sql)?;
    stage.called(before, 1)?;
    send(&mut waiter, sql)?;
    waiting(&pgmemo, 1.0)?;
    writer.run("UPDATE t SET v = 'c'")?;
    // The write has freed the one that waited, and the writer sees what it has written.
    ensure!(writer.value(sql)? == "c", "T19");
    first(&received(&mut waiter)?)?;
    ensure!(first(&received(&mut leader)?)? == "b");
    ensure!(
        writer.value(sql)? == "c",
        "what the old flight brought is served"
    );
    ensure!(leader.value(sql)? == "c");
    Ok(())
}

#[test]
fn a_leader_that_does_not_read_holds_nobody() -> Result<()> {
    let mut stage = Stage::new()?;
    let pgmemo = stage.pgmemo()?;
    let sql = "SELECT v, slow(3), repeat('x', 40000000) FROM t";
    let mut leader = stage.warm(&pgmemo, "SELECT v FROM t")?;
    let mut waiter = stage.warm(&pgmemo, "SELECT v FROM t")?;
    let before = stage.calls()?;
    send(&mut leader, sql)?;
    stage.called(before, 1)?;
    send(&mut waiter, sql)?;
    waiting(&pgmemo, 1.0)?;
    first(&received(&mut waiter)?)?;
    first(&received(&mut leader)?)?;
    Ok(())
}
