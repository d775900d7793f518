//! Redis killed, frozen, emptied and brought back with an old memory, all under load.
//!
//! In each case: no client sees an error, nobody reads anything stale, and hits come back soon
//! after Redis does.

use std::{
    process::Command,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use pgmemo_tests::{
    Pgmemo, Postgres, Redis, Store, Version,
    driver::output,
    env,
    faults::{self, PHASE},
    history::History,
    load::{self, Load},
    net::eventually,
    random::seed,
    way::Way,
};

/// How soon after Redis is back hits must be back: five seconds, twice over for a development build
/// that shares two cores with PostgreSQL, Redis and the load.
const RECOVERY: Duration = Duration::from_secs(60);

/// Runs the load on two instances while `fault` happens to their Redis, twice.
fn check(mut fault: impl FnMut(&mut Redis) -> Result<()>) -> Result<()> {
    let postgres = Postgres::shared(Version::System);
    let mut redis = Redis::start_faulty()?;
    let instances = [
        Pgmemo::start(postgres, Store::Redis(&redis), &[])?,
        Pgmemo::start(postgres, Store::Redis(&redis), &[])?,
    ];
    check_load(postgres, &instances, || fault(&mut redis))
}

fn check_load(
    postgres: &Postgres,
    instances: &[Pgmemo],
    mut fault: impl FnMut() -> Result<()>,
) -> Result<()> {
    let database = postgres.database()?;
    load::prepare(&database)?;
    let load = Load {
        instances: instances.iter().map(Pgmemo::address).collect(),
        database: database.name().to_owned(),
        writers: env::count("PGMEMO_LOAD_WRITERS", 2),
        readers: env::count("PGMEMO_LOAD_READERS", 4),
        rest: Duration::from_millis(20),
        duration: Duration::ZERO,
        seed: seed(),
        faults: false,
    };
    let history = load.run(|history| {
        await_hits(instances, history).context("before any fault")?;
        for _ in 0..env::count("PGMEMO_FAULT_ROUNDS", 2) {
            thread::sleep(PHASE);
            fault()?;
            await_hits(instances, history).context("after the fault")?;
        }
        thread::sleep(PHASE);
        Ok(())
    })?;
    history.verdict()
}

/// Waits until every instance answers from the store again.
fn await_hits(instances: &[Pgmemo], history: &History) -> Result<()> {
    for instance in instances.iter().filter(|instance| instance.is_real()) {
        let before = instance.metrics()?;
        let more = || history.stopped() || instance.hits().is_ok_and(|hits| hits > before.hits());
        let outcome = eventually("hits", RECOVERY, || more().then_some(()));
        outcome.with_context(|| match instance.metrics() {
            Ok(now) => format!("bypassed for {:?}", now.bypass_reasons_since(&before)),
            Err(error) => format!("no metrics: {error:#}"),
        })?;
    }
    Ok(())
}

#[test]
fn a_killed_redis_harms_nobody() -> Result<()> {
    check(faults::kill)
}

#[test]
fn a_redis_that_comes_back_with_an_old_memory_serves_nothing_old() -> Result<()> {
    check(|redis| {
        redis.save()?;
        thread::sleep(PHASE);
        redis.kill9()?;
        thread::sleep(PHASE);
        redis.launch()
    })
}

#[test]
fn a_redis_that_is_back_at_once_with_an_old_memory_serves_nothing_old() -> Result<()> {
    check(faults::bring_back)
}

#[test]
fn a_frozen_redis_holds_nobody_up() -> Result<()> {
    check(faults::freeze)
}

#[test]
fn a_redis_that_stutters_serves_nothing_stale() -> Result<()> {
    check(faults::stutter)
}

#[test]
fn a_flushed_redis_serves_nothing_stale() -> Result<()> {
    check(faults::flush)
}

#[test]
fn a_redis_that_evicts_everything_serves_nothing_stale() -> Result<()> {
    check(faults::evict)
}

#[test]
fn a_redis_that_refuses_writes_serves_nothing_stale() -> Result<()> {
    check(|redis| {
        redis.command("CONFIG SET maxmemory-policy noeviction")?;
        redis.command("CONFIG SET maxmemory 1")?;
        thread::sleep(PHASE);
        redis.command("CONFIG SET maxmemory 0").map(|_| ())
    })
}

/// Writes of the one that is cut off wait until it can be heard of again, as long as the other may
/// serve what they replace.
fn check_cut(file: &str, time: Duration) -> Result<()> {
    let postgres = Postgres::shared(Version::System);
    let redis = Redis::start_faulty()?;
    let way = Way::to(&redis)?;
    let instances = [
        Pgmemo::start_with(postgres, Store::Redis(&redis), &[], file)?,
        Pgmemo::start_with(postgres, Store::Far(&way), &[], file)?,
    ];
    check_load(postgres, &instances, || {
        way.cut();
        thread::sleep(time);
        way.mend();
        Ok(())
    })
}

#[test]
fn an_instance_that_loses_redis_for_a_while_is_heard_all_the_same() -> Result<()> {
    check_cut("", PHASE * 2)
}

#[test]
fn with_leases_too_an_instance_that_loses_redis_for_a_while_is_heard() -> Result<()> {
    check_cut("[redis]\nmode = \"leases\"\n", PHASE * 2)
}

#[test]
fn without_redis_at_the_start_queries_flow_and_hits_come_later() -> Result<()> {
    let postgres = Postgres::shared(Version::System);
    let database = postgres.database()?;
    load::prepare(&database)?;
    let mut redis = Redis::start_faulty()?;
    redis.kill9()?;
    let pgmemo = Pgmemo::start_unready(postgres, Store::Redis(&redis))?;
    let mut client = pgmemo.connect(database.name())?;
    let read = "SELECT n FROM counter WHERE k = 0";
    assert_eq!(client.value(read)?, "0");
    client.run("UPDATE counter SET n = 1 WHERE k = 0")?;
    assert_eq!(client.value(read)?, "1");
    redis.launch()?;
    if pgmemo.is_real() {
        let before = pgmemo.hits()?;
        eventually("hits", RECOVERY * 2, || {
            assert_eq!(client.value(read).ok()?, "1");
            (pgmemo.hits().ok()? > before).then_some(())
        })?;
    }
    Ok(())
}

/// The clients of a `pgbench` run, which gives up at the first error.
const BENCH_CLIENTS: &str = "16";

#[test]
fn pgbench_sees_no_error_when_redis_is_killed() -> Result<()> {
    let postgres = Postgres::shared(Version::System);
    let database = postgres.database()?;
    let mut redis = Redis::start_faulty()?;
    let pgmemo = Pgmemo::start(postgres, Store::Redis(&redis), &[])?;
    let init = ["--initialize", "--quiet", "--scale", "1"];
    output(
        Command::new("pgbench")
            .args(init)
            .arg(postgres.url(database.name())),
    )?;
    let mut bench = Command::new("pgbench");
    bench.args(["--select-only", "--no-vacuum", "--jobs", "2"]);
    bench.args(["--client", BENCH_CLIENTS, "--time", "8"]);
    bench.arg(pgmemo.url(database.name()));
    let bench = thread::spawn(move || output(&mut bench));
    // Few of its reads repeat: one of ours does, all the time.
    let mut client = pgmemo.connect(database.name())?;
    let read = "SELECT abalance FROM pgbench_accounts WHERE aid = 1";
    let mut hit = |deadline| {
        let start = Instant::now();
        eventually("a hit", deadline, || {
            let before = pgmemo.hits().ok()?;
            client.value(read).ok()?;
            (pgmemo.hits().ok()? > before || !pgmemo.is_real()).then(|| start.elapsed())
        })
    };
    hit(RECOVERY)?;
    thread::sleep(PHASE);
    redis.kill9()?;
    thread::sleep(PHASE);
    redis.launch()?;
    println!("hits were back after {:?}", hit(RECOVERY)?);
    let report = bench.join().expect("pgbench does not panic")?;
    println!("{report}");
    ensure!(
        report.contains("number of failed transactions: 0 "),
        "{report}"
    );
    Ok(())
}
