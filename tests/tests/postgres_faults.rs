//! PostgreSQL killed, restarted, paused, its sessions terminated, and instances killed and paused,
//! all under a load whose sessions come back.
//!
//! What is acknowledged is never forgotten, whatever happens to those who acknowledged it: the
//! histories are judged by the same laws as without faults (`pgmemo_tests::history`).
//!
//! `PGMEMO_FAULT_ROUNDS` says how often each fault comes; `PGMEMO_SEED` repeats the choices of the
//! load, not the moments of the faults.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use pgmemo_tests::{
    Pgmemo, Postgres, Redis, Store, Version, env,
    history::History,
    load::{self, Load},
    postgres::Database,
    random::seed,
    server::Signal,
};

/// How long the load runs before, between and after faults.
const PHASE: Duration = Duration::from_millis(1500);

/// How soon after a fault hits must be back: the control connection is made again within a second,
/// and a development build shares two cores with everything else.
const RECOVERY: Duration = Duration::from_secs(60);

/// How often a fault comes.
fn rounds() -> usize {
    env::count("PGMEMO_FAULT_ROUNDS", 1)
}

fn load(database: &Database, instances: &[&Pgmemo]) -> Load {
    Load {
        instances: instances.iter().map(|it| it.address()).collect(),
        database: database.name().to_owned(),
        writers: env::count("PGMEMO_LOAD_WRITERS", 2),
        readers: env::count("PGMEMO_LOAD_READERS", 4),
        rest: Duration::from_millis(20),
        duration: Duration::ZERO,
        seed: seed(),
        faults: true,
    }
}

/// Waits until each instance answers from the store again.
fn await_hits(instances: &[&Pgmemo], history: &History) -> Result<()> {
    for instance in instances.iter().filter(|instance| instance.is_real()) {
        let (before, end) = (instance.metrics()?, Instant::now() + RECOVERY);
        while !history.stopped() && instance.hits()? <= before.hits() {
            let now = instance.metrics()?;
            ensure!(
                Instant::now() < end,
                "no hits; bypassed for {:?}",
                now.bypass_reasons_since(&before)
            );
            thread::sleep(Duration::from_millis(20));
        }
    }
    Ok(())
}

/// What happened, for those who read the log of a run.
fn tell(history: &History) -> Result<()> {
    let count = |number: &AtomicU64| number.load(Ordering::Relaxed);
    let (reads, writes) = (count(&history.reads), count(&history.writes));
    println!(
        "{reads} reads, {writes} writes, {} connections lost",
        count(&history.losses)
    );
    history.verdict()?;
    ensure!(reads > 100 && writes > 10, "the load hardly ran");
    Ok(())
}

/// Runs the load on two instances that share a Redis while `fault` happens to the server.
fn check(mut fault: impl FnMut(&mut Postgres, &Database) -> Result<()>) -> Result<()> {
    let mut postgres = Postgres::start(Version::System)?;
    let database = postgres.database()?;
    load::prepare(&database)?;
    let redis = Redis::start()?;
    let first = Pgmemo::start(&postgres, Store::Redis(&redis), &[])?;
    let second = Pgmemo::start(&postgres, Store::Redis(&redis), &[])?;
    let instances = [&first, &second];
    let history = load(&database, &instances).run(|history| {
        await_hits(&instances, history)?;
        for _ in 0..rounds() {
            thread::sleep(PHASE);
            fault(&mut postgres, &database)?;
            await_hits(&instances, history)?;
        }
        thread::sleep(PHASE);
        Ok(())
    })?;
    tell(&history)
}

#[test]
fn a_killed_server_leaves_nothing_stale_behind() -> Result<()> {
    check(|postgres, _| postgres.kill_and_restart(Version::System))
}

#[test]
fn a_restarted_server_leaves_nothing_stale_behind() -> Result<()> {
    check(|postgres, _| postgres.crash_and_restart(Version::System))
}

#[test]
fn a_paused_server_leaves_nothing_stale_behind() -> Result<()> {
    check(|postgres, _| {
        postgres.signal_all(Signal::Stop)?;
        thread::sleep(PHASE * 2);
        postgres.signal_all(Signal::Cont).map(drop)
    })
}

/// At whatever point of a write: the outcome is unknown to the client, and counts as committed.
#[test]
fn terminated_sessions_leave_nothing_stale_behind() -> Result<()> {
    check(|postgres, database| {
        let mut control = postgres.connect("postgres")?;
        let terminate = format!(
            "SELECT count(pg_terminate_backend(pid)) FROM (SELECT pid FROM pg_stat_activity \
             WHERE datname = '{}' ORDER BY random() LIMIT 2) x",
            database.name()
        );
        for _ in 0..40 {
            control.run(&terminate)?;
            thread::sleep(Duration::from_millis(25));
        }
        Ok(())
    })
}

/// Its marks are with the other one, whose clients must see every write.
#[test]
fn a_killed_instance_leaves_nothing_stale_behind() -> Result<()> {
    with_a_second(|postgres, redis, survivor, victim, history| {
        for _ in 0..rounds() {
            thread::sleep(PHASE);
            victim.kill()?;
            thread::sleep(PHASE);
            await_hits(&[survivor], history)?;
            victim.start_again(postgres, Store::Redis(redis))?;
            await_hits(&[survivor, victim], history)?;
        }
        Ok(())
    })
}

/// While it sleeps its membership lapses, and its marks do not: they last longer.
#[test]
fn a_paused_instance_serves_nothing_stale_when_it_wakes() -> Result<()> {
    with_a_second(|_, _, waking, sleeper, history| {
        for _ in 0..rounds() {
            thread::sleep(PHASE);
            sleeper.server()?.signal(Signal::Stop)?;
            thread::sleep(ASLEEP);
            sleeper.server()?.signal(Signal::Cont)?;
            await_hits(&[waking, sleeper], history)?;
        }
        Ok(())
    })
}

/// Longer than a member's lease, shorter than that of a mark.
const ASLEEP: Duration = Duration::from_secs(7);

/// Runs the load on two instances while something happens to the second of them.
fn with_a_second(
    meanwhile: impl FnOnce(&Postgres, &Redis, &Pgmemo, &mut Pgmemo, &History) -> Result<()>,
) -> Result<()> {
    let postgres = Postgres::start(Version::System)?;
    let database = postgres.database()?;
    load::prepare(&database)?;
    let redis = Redis::start()?;
    let first = Pgmemo::start(&postgres, Store::Redis(&redis), &[])?;
    let mut second = Pgmemo::start(&postgres, Store::Redis(&redis), &[])?;
    if !first.is_real() {
        return Ok(());
    }
    let history = load(&database, &[&first, &second]).run(|history| {
        await_hits(&[&first, &second], history)?;
        meanwhile(&postgres, &redis, &first, &mut second, history)?;
        thread::sleep(PHASE);
        Ok(())
    })?;
    tell(&history)
}
