//! `demo`: what pgmemo brings, measured here and now.
//!
//! The same read workload of pgbench runs at the server, through pgmemo with its own memory, and
//! through pgmemo with Redis. Every number is taken from outside: latencies from pgbench's log, the
//! hit rate from `/metrics`, and whether an update is seen at once from a session that asks.

mod measure;
mod report;

use anyhow::{Result, ensure};
use pgmemo_tests::{Pgmemo, Postgres, Redis, Store, Version, env, wire::Conn};

use self::{measure::Workload, report::Row};
use crate::{
    setup,
    tools::{build_pgmemo, command, run_quietly, say},
};

const DATABASE: &str = "bench";

/// The share of reads that pgmemo must answer by itself.
const HIT_RATE_MIN: f64 = 0.95;

/// Runs the demo; with `keep`, server and pgmemo stay.
pub(crate) fn run(keep: bool) -> Result<()> {
    setup::servers()?;
    env::use_pgmemo_bin(build_pgmemo()?);

    say("starting a throwaway PostgreSQL and loading pgbench data");
    let postgres = Postgres::start(Version::System)?;
    postgres
        .connect("postgres")?
        .run(&format!("CREATE DATABASE {DATABASE}"))?;
    let mut load = command("pgbench");
    load.args(["--initialize", "--quiet", "--scale=1"])
        .arg(postgres.url(DATABASE));
    run_quietly(&mut load)?;

    let workload = Workload::new()?;
    say("pgbench directly");
    let mut rows = vec![Row::direct(workload.run(&postgres.url(DATABASE))?)];

    say("pgbench through pgmemo");
    let memory = Pgmemo::start(&postgres, Store::Memory, &[])?;
    rows.push(through("pgmemo, memory", &workload, &memory)?);

    say("pgbench through pgmemo with Redis");
    let redis = Redis::start()?;
    let shared = Pgmemo::start(&postgres, Store::Redis(&redis), &[])?;
    rows.push(through("pgmemo, Redis", &workload, &shared)?);
    drop(shared);
    drop(redis);

    report::print(&rows);
    let verdict = judge(&rows);
    if keep && verdict.is_ok() {
        leave_running(postgres, memory);
    }
    verdict
}

fn through(name: &'static str, workload: &Workload, pgmemo: &Pgmemo) -> Result<Row> {
    let url = pgmemo.url(DATABASE);
    workload.warm_up(&url)?;
    let before = pgmemo.metrics()?;
    let measured = workload.run(&url)?;
    let after = pgmemo.metrics()?;
    let hits = after.hits() - before.hits();
    let others = after.misses() + after.bypasses() - before.misses() - before.bypasses();
    let hit_rate = hits / (hits + others).max(1.0);
    Ok(Row {
        name,
        measured,
        hit_rate: Some(hit_rate),
        update_seen: Some(sees_update(pgmemo)?),
    })
}

/// One session changes a row that is remembered; the other must see it with its next statement.
fn sees_update(pgmemo: &Pgmemo) -> Result<bool> {
    const READ: &str = "SELECT abalance FROM pgbench_accounts WHERE aid = 7";
    let balance = |conn: &mut Conn| -> Result<i64> { Ok(conn.value(READ)?.parse()?) };
    let mut writer = pgmemo.connect(DATABASE)?;
    let mut reader = pgmemo.connect(DATABASE)?;
    for _ in 0..100 {
        let old = balance(&mut reader)?;
        writer.run("UPDATE pgbench_accounts SET abalance = abalance + 1 WHERE aid = 7")?;
        if balance(&mut reader)? != old + 1 {
            return Ok(false);
        }
    }
    Ok(true)
}

fn judge(rows: &[Row]) -> Result<()> {
    for row in rows {
        ensure!(
            row.update_seen != Some(false),
            "{}: an update was not seen at once",
            row.name
        );
        let rate = row.hit_rate.unwrap_or(1.0);
        ensure!(
            rate >= HIT_RATE_MIN,
            "{}: a hit rate of {:.1} %",
            row.name,
            rate * 100.0
        );
    }
    Ok(())
}

fn leave_running(postgres: Postgres, pgmemo: Pgmemo) {
    let (direct, url) = (postgres.url(DATABASE), pgmemo.url(DATABASE));
    let admin = pgmemo.admin();
    println!("\nStill running; try\n  psql '{url}'\n  pgbench -S -M prepared '{url}'");
    println!("The server itself: {direct}\nMetrics: http://{admin}/metrics");
    let Some((server, data)) = postgres.leave_running() else {
        return;
    };
    let Some((proxy, log)) = pgmemo.leave_running() else {
        return;
    };
    println!(
        "To end it:\n  kill -INT {proxy} {server}; sleep 1; rm -r {} {}",
        data.display(),
        log.display()
    );
}
