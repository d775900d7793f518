//! What may befall a Redis, so that every mode of the store meets the same.

use std::{thread, time::Duration};

use anyhow::Result;

use crate::Redis;

/// How long the load runs before, during and after a fault.
pub const PHASE: Duration = Duration::from_millis(1500);

/// Killed, and started a while later.
pub fn kill(redis: &mut Redis) -> Result<()> {
    redis.kill9()?;
    thread::sleep(PHASE);
    redis.launch()
}

/// Killed, and back at once with nothing, as after a failover to a replica that had received nothing.
pub fn replace(redis: &mut Redis) -> Result<()> {
    redis.kill9()?;
    redis.launch()
}

/// Killed, and back at once with a memory that is a while old.
pub fn bring_back(redis: &mut Redis) -> Result<()> {
    redis.save()?;
    thread::sleep(PHASE);
    redis.kill9()?;
    redis.launch()
}

/// Stopped for longer than anybody waits.
pub fn freeze(redis: &mut Redis) -> Result<()> {
    redis.pause()?;
    thread::sleep(PHASE * 2);
    redis.cont()
}

/// Stopped for moments, again and again.
pub fn stutter(redis: &mut Redis) -> Result<()> {
    for _ in 0..20 {
        redis.pause()?;
        thread::sleep(Duration::from_millis(30));
        redis.cont()?;
        thread::sleep(Duration::from_millis(30));
    }
    Ok(())
}

/// Emptied again and again.
pub fn flush(redis: &mut Redis) -> Result<()> {
    for _ in 0..5 {
        redis.flush()?;
        thread::sleep(PHASE / 5);
    }
    Ok(())
}

/// Without memory for anything.
pub fn evict(redis: &mut Redis) -> Result<()> {
    redis.command("CONFIG SET maxmemory-policy allkeys-random")?;
    redis.command("CONFIG SET maxmemory 1")?;
    thread::sleep(PHASE);
    redis.command("CONFIG SET maxmemory 0").map(|_| ())
}
