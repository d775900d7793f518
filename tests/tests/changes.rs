//! Reads that are asked again after every change, in `changes/*.txt`; see `pgmemo_tests::survey`.

use std::fs;

use anyhow::Result;
use pgmemo_tests::{
    Pgmemo, Postgres, Redis, Store, Version, env,
    survey::{Ground, parse},
};

/// Runs the surveys of a file, some of which change roles: on a server alone.
fn check(name: &str, postgres: &Postgres, instances: &[Pgmemo]) -> Result<()> {
    let folder = env::root().join("tests/changes");
    let fixture = fs::read_to_string(folder.join("fixture.sql"))?;
    let text = fs::read_to_string(folder.join(name))?;
    let ground = Ground {
        postgres,
        instances,
    };
    ground.check(&fixture, &parse(&text)?)
}

fn in_memory(name: &str) -> Result<()> {
    let postgres = Postgres::start(Version::System)?;
    let instance = Pgmemo::start(&postgres, Store::Memory, &[])?;
    check(name, &postgres, &[instance])
}

fn through_every_instance(name: &str) -> Result<()> {
    let (postgres, redis) = (Postgres::start(Version::System)?, Redis::start()?);
    let start = || Pgmemo::start(&postgres, Store::Redis(&redis), &[]);
    check(name, &postgres, &[start()?, start()?])
}

#[test]
fn what_was_prepared_before_a_change_sees_it() -> Result<()> {
    in_memory("prepared.txt")
}

#[test]
fn what_was_prepared_before_a_change_sees_it_through_every_instance() -> Result<()> {
    through_every_instance("prepared.txt")
}
