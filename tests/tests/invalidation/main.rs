//! What readers must see after something has changed: one short script per hazard.
//!
//! The names begin with the hazard's number in the project's list of ways in which query caches
//! have gone wrong. How scripts are written and judged is said in `pgmemo_tests::scenario`.

#![allow(clippy::panic, reason = "helpers of tests fail as tests do")]

mod blocks;
mod databases;
mod disguised;
mod failures;
mod hits;
mod identity;
mod indirect;
mod instances;
mod kept;
mod levels;
mod pair;
mod pools;
mod portals;
mod reads;
mod relations;
mod reload;
mod replaced;
mod rows;
mod schema;
mod security;
mod sessions;
mod shared;
mod standby;
mod temporary;
mod transactions;
mod unknown;
mod writes;

use pgmemo_tests::{
    Pgmemo, Postgres, Redis, Store, Version,
    scenario::{Scenario, Stage},
};

/// Two tables, the second pointing at the first.
const FIXTURE: &str = "
CREATE TABLE t (id int PRIMARY KEY, v text);
INSERT INTO t VALUES (1, 'a'), (2, 'b');
CREATE TABLE u (
    id int PRIMARY KEY,
    tid int REFERENCES t ON DELETE CASCADE ON UPDATE CASCADE,
    w text
);
INSERT INTO u VALUES (1, 1, 'x'), (2, 2, 'y');
CREATE TABLE log (n int, what text);
CREATE TABLE e (id int PRIMARY KEY, at timestamptz, d date, i interval);
INSERT INTO e VALUES (1, '2024-01-01 20:00+00', '2024-02-01', '1 day 02:03:04');
GRANT SELECT, INSERT, UPDATE, DELETE ON t, u, log, e TO PUBLIC;
";

/// Runs scenarios against one instance with its own memory.
#[track_caller]
fn check(scenarios: &[Scenario]) {
    check_with("", scenarios);
}

/// The same with a configuration file.
#[track_caller]
fn check_with(file: &str, scenarios: &[Scenario]) {
    run(Version::System, file, scenarios);
}

/// The same on a server of this version.
#[track_caller]
fn check_on(version: Version, scenarios: &[Scenario]) {
    run(version, "", scenarios);
}

#[track_caller]
fn run(version: Version, file: &str, scenarios: &[Scenario]) {
    let own = own_server(version, scenarios);
    let postgres = own.as_ref().unwrap_or_else(|| Postgres::shared(version));
    let first = Pgmemo::start_with(postgres, Store::Memory, &[], file).expect("pgmemo starts");
    judge(
        Stage {
            postgres,
            first: &first,
            second: None,
        }
        .check(FIXTURE, scenarios),
    );
}

/// Runs scenarios against two instances on one Redis.
#[track_caller]
fn check_instances(scenarios: &[Scenario]) {
    let own = own_server(Version::System, scenarios);
    let postgres = (own.as_ref()).unwrap_or_else(|| Postgres::shared(Version::System));
    let redis = Redis::start().expect("Redis starts");
    let start = || Pgmemo::start(postgres, Store::Redis(&redis), &[]).expect("pgmemo starts");
    let (first, second) = (start(), start());
    judge(
        Stage {
            postgres,
            first: &first,
            second: Some(&second),
        }
        .check(FIXTURE, scenarios),
    );
}

/// Roles belong to the whole server: where one is made or changed, every instance reads its catalog
/// again, and what others count of hits would be wrong. Who does that has a server alone.
#[track_caller]
fn own_server(version: Version, scenarios: &[Scenario]) -> Option<Postgres> {
    let has_roles = |(_, text): &Scenario| text.contains("{alice}") || text.contains("{bob}");
    scenarios
        .iter()
        .any(has_roles)
        .then(|| Postgres::start(version).expect("PostgreSQL starts"))
}

#[track_caller]
fn judge(outcome: anyhow::Result<()>) {
    if let Err(error) = outcome {
        panic!("{error:#}");
    }
}
