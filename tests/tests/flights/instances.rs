//! Instances on one Redis wait for each other as well.

use anyhow::{Result, ensure};
use pgmemo_tests::{
    Pgmemo, Redis, Store,
    net::{SOON, eventually},
    server::Signal,
};

use super::{FILE, Stage, first, received, send, together, waiting};

/// Waits until all instances know what there is to know: the start of one is news to the others.
fn settled(stage: &Stage, instances: &[&Pgmemo]) -> Result<()> {
    let sql = "SELECT v FROM t";
    let conns = instances.iter().map(|instance| stage.warm(instance, sql));
    let mut conns = conns.collect::<Result<Vec<_>>>()?;
    eventually("replies are shared", SOON, || {
        conns
            .iter_mut()
            .zip(instances)
            .all(|(conn, instance)| {
                let before = instance.metrics();
                let asked = conn.query(sql);
                before.is_ok_and(|before| {
                    asked.is_ok() && instance.expect_hits_since(&before, 1.0).is_ok()
                })
            })
            .then_some(())
    })
}

fn unavailable(instances: &[Pgmemo]) -> Result<f64> {
    let label = "reason=\"store_unavailable\"";
    let count = |it: &Pgmemo| Ok(it.metrics()?.sum("pgmemo_lookups_total", &[label]));
    instances.iter().map(count).sum()
}

#[test]
fn instances_on_one_redis_ask_once() -> Result<()> {
    let mut stage = Stage::new()?;
    let redis = Redis::start()?;
    let start = || stage.pgmemo_with(Store::Redis(&redis), FILE);
    let instances = [start()?, start()?];
    let sql = "SELECT v, slow(1) FROM t WHERE id = 1";
    let mut clients = Vec::new();
    for _ in 0..10 {
        for instance in &instances {
            clients.push(stage.warm(instance, sql)?);
        }
    }
    settled(&stage, &[&instances[0], &instances[1]])?;
    for n in 0..3 {
        let update = format!("UPDATE t SET v = 'written {n}'");
        instances[0].connect(stage.database.name())?.run(&update)?;
        let before = stage.calls()?;
        let refused = unavailable(&instances)?;
        for answer in together(&mut clients, |conn| conn.query(sql))? {
            ensure!(first(&answer)? == format!("written {n}"));
        }
        // On a busy machine Redis misses its deadline, and who has asked it goes to the server.
        let calls = (stage.calls()? - before) as f64 - (unavailable(&instances)? - refused);
        ensure!(!instances[0].is_real() || calls <= 2.0, "{calls} calls");
    }
    if instances[0].is_real() {
        let claimed = |instance: &Pgmemo| {
            let metrics = instance.metrics()?;
            anyhow::Ok(metrics.sum("pgmemo_flight_claims_total", &["holder=\"other\""]))
        };
        let waited = claimed(&instances[0])? + claimed(&instances[1])?;
        ensure!(waited >= 1.0, "no instance has waited for another");
    }
    Ok(())
}

#[test]
fn nobody_hangs_when_redis_dies_amid_a_flight() -> Result<()> {
    let mut stage = Stage::new()?;
    let mut redis = Redis::start_faulty()?;
    let start = || stage.pgmemo_with(Store::Redis(&redis), FILE);
    let instances = [start()?, start()?];
    let sql = "SELECT v, slow(2) FROM t WHERE id = 1";
    let mut clients = Vec::new();
    for _ in 0..3 {
        for instance in &instances {
            clients.push(stage.warm(instance, "SELECT v FROM t")?);
        }
    }
    settled(&stage, &[&instances[0], &instances[1]])?;
    let before = stage.calls()?;
    for client in &mut clients {
        send(client, sql)?;
    }
    stage.called(before, 1)?;
    redis.kill9()?;
    for client in &mut clients {
        ensure!(first(&received(client)?)? == "a");
    }
    Ok(())
}

#[test]
fn a_dead_instance_is_replaced() -> Result<()> {
    let mut stage = Stage::new()?;
    let redis = Redis::start()?;
    let start = || stage.pgmemo_with(Store::Redis(&redis), FILE);
    let (mut dying, other) = (start()?, start()?);
    let sql = "SELECT v, slow(2) FROM t WHERE id = 1";
    let mut leader = stage.warm(&dying, "SELECT v FROM t")?;
    let mut waiter = stage.warm(&other, "SELECT v FROM t")?;
    settled(&stage, &[&dying, &other])?;
    let before = stage.calls()?;
    send(&mut leader, sql)?;
    stage.called(before, 1)?;
    send(&mut waiter, sql)?;
    waiting(&other, 1.0)?;
    if dying.is_real() {
        dying.server()?.signal(Signal::Kill)?;
    }
    ensure!(first(&received(&mut waiter)?)? == "a");
    Ok(())
}
