//! Replies that are kept near under leases, judged by the laws of `pgmemo_tests::history`.
//!
//! The same variables as for `consistency` make the runs longer and wider, and repeat one.

use std::{sync::atomic::Ordering, thread, time::Duration};

use anyhow::{Context, Result, ensure};
use pgmemo_tests::{
    Pgmemo, Postgres, Redis, Store, Version, env,
    faults::{self, PHASE},
    history::History,
    load::{self, Load},
    net::eventually,
    postgres::Database,
    random::{Random, seed},
};

/// How soon hits must be back, for a development build on a busy machine.
const RECOVERY: Duration = Duration::from_secs(60);

fn load(database: &Database, instances: &[&Pgmemo], duration: Duration) -> Load {
    Load {
        instances: instances.iter().map(|pgmemo| pgmemo.address()).collect(),
        database: database.name().to_owned(),
        writers: env::count("PGMEMO_LOAD_WRITERS", 3),
        readers: env::count("PGMEMO_LOAD_READERS", 4),
        rest: Duration::from_millis(20),
        duration,
        seed: seed(),
        faults: false,
    }
}

fn seconds() -> Duration {
    env::seconds("PGMEMO_LOAD_SECONDS", 8)
}

/// Runs the load from the first moment of both instances on.
fn check(first: for<'a> fn(&'a Redis) -> Store<'a>) -> Result<()> {
    let postgres = Postgres::shared(Version::System);
    let database = postgres.database()?;
    load::prepare(&database)?;
    let redis = Redis::start_faulty()?;
    let first = Pgmemo::start(postgres, first(&redis), &[])?;
    let second = Pgmemo::start(postgres, Store::Leases(&redis), &[])?;
    let load = load(&database, &[&first, &second], seconds());
    let history = load.run(|_| Ok(()))?;
    history.verdict()?;
    let reads = history.reads.load(Ordering::Relaxed);
    let writes = history.writes.load(Ordering::Relaxed);
    println!("{reads} reads, {writes} writes");
    ensure!(reads > 100 && writes > 10, "the load hardly ran");
    expect_near_hits(&second)
}

fn expect_near_hits(pgmemo: &Pgmemo) -> Result<()> {
    if pgmemo.is_real() {
        let (hits, near) = (pgmemo.hits()?, pgmemo.near_hits()?);
        println!("{near} of {hits} hits were near");
        ensure!(near > 0.0, "no hit was near");
    }
    Ok(())
}

#[test]
fn two_instances_with_leases_serve_nothing_stale() -> Result<()> {
    check(|redis| Store::Leases(redis))
}

#[test]
fn an_instance_with_leases_and_one_without_serve_nothing_stale() -> Result<()> {
    check(|redis| Store::Redis(redis))
}

/// A frozen instance holds leases that run out, and marks that do not.
#[test]
fn an_instance_that_is_frozen_serves_nothing_stale_when_it_thaws() -> Result<()> {
    let mut random = Random::new(seed());
    freeze(12, || {
        (
            Duration::from_millis(100 + random.below(2000)),
            Duration::from_millis(100 + random.below(1000)),
        )
    })
}

/// It acknowledges late, but mostly before its lease has run out.
#[test]
fn an_instance_that_stutters_serves_nothing_stale() -> Result<()> {
    let mut random = Random::new(seed());
    freeze(60, || {
        (
            Duration::from_millis(random.below(300)),
            Duration::from_millis(random.below(100)),
        )
    })
}

fn freeze(times: u32, mut phases: impl FnMut() -> (Duration, Duration)) -> Result<()> {
    let postgres = Postgres::shared(Version::System);
    let redis = Redis::start_faulty()?;
    let database = postgres.database()?;
    load::prepare(&database)?;
    let steady = Pgmemo::start(postgres, Store::Leases(&redis), &[])?;
    let mut frozen = Pgmemo::start(postgres, Store::Leases(&redis), &[])?;
    if !frozen.is_real() {
        return Ok(());
    }
    let load = load(&database, &[&steady, &frozen], Duration::ZERO);
    let history = load.run(|history| {
        await_near_hits(&[&steady, &frozen], history)?;
        for _ in 0..times {
            let (cold, warm) = phases();
            frozen.pause()?;
            thread::sleep(cold);
            frozen.cont()?;
            thread::sleep(warm);
            if history.stopped() {
                break;
            }
        }
        Ok(())
    })?;
    history.verdict()?;
    expect_near_hits(&steady)?;
    expect_near_hits(&frozen)
}

fn await_near_hits(instances: &[&Pgmemo], history: &History) -> Result<()> {
    for instance in instances.iter().filter(|instance| instance.is_real()) {
        let before = instance.metrics()?;
        let near = instance.near_hits()?;
        let more = || history.stopped() || instance.near_hits().is_ok_and(|now| now > near);
        let outcome = eventually("near hits", RECOVERY, || more().then_some(()));
        outcome.with_context(|| match instance.metrics() {
            Ok(now) => format!("bypassed for {:?}", now.bypass_reasons_since(&before)),
            Err(error) => format!("no metrics: {error:#}"),
        })?;
    }
    Ok(())
}

/// Runs the load on two instances while `fault` happens to their Redis, twice.
fn check_fault(mut fault: impl FnMut(&mut Redis) -> Result<()>) -> Result<()> {
    let postgres = Postgres::shared(Version::System);
    let database = postgres.database()?;
    load::prepare(&database)?;
    let mut redis = Redis::start_faulty()?;
    let first = Pgmemo::start(postgres, Store::Leases(&redis), &[])?;
    let second = Pgmemo::start(postgres, Store::Leases(&redis), &[])?;
    let load = load(&database, &[&first, &second], Duration::ZERO);
    let history = load.run(|history| {
        await_near_hits(&[&first, &second], history).context("before any fault")?;
        for _ in 0..2 {
            thread::sleep(PHASE);
            fault(&mut redis)?;
            await_near_hits(&[&first, &second], history).context("after the fault")?;
        }
        thread::sleep(PHASE);
        Ok(())
    })?;
    history.verdict()
}

#[test]
fn a_killed_redis_harms_nobody() -> Result<()> {
    check_fault(faults::kill)
}

/// As after a failover to a replica that had received nothing.
#[test]
fn an_empty_redis_in_place_of_the_old_one_serves_nothing_stale() -> Result<()> {
    check_fault(faults::replace)
}

#[test]
fn a_redis_that_is_back_with_an_old_memory_serves_nothing_old() -> Result<()> {
    check_fault(faults::bring_back)
}

#[test]
fn a_frozen_redis_harms_nobody() -> Result<()> {
    check_fault(faults::freeze)
}

#[test]
fn a_redis_that_stutters_serves_nothing_stale() -> Result<()> {
    check_fault(faults::stutter)
}

#[test]
fn a_flushed_redis_serves_nothing_stale() -> Result<()> {
    check_fault(faults::flush)
}

#[test]
fn a_redis_that_forgets_its_scripts_serves_nothing_stale() -> Result<()> {
    check_fault(|redis| {
        for _ in 0..5 {
            redis.command("SCRIPT FLUSH")?;
            thread::sleep(PHASE / 5);
        }
        Ok(())
    })
}

#[test]
fn a_redis_that_evicts_everything_serves_nothing_stale() -> Result<()> {
    check_fault(faults::evict)
}

#[test]
fn lost_subscriptions_harm_nobody() -> Result<()> {
    check_fault(|redis| {
        for _ in 0..10 {
            redis.command("CLIENT KILL TYPE pubsub")?;
            thread::sleep(PHASE / 5);
        }
        Ok(())
    })
}
