//! `test`: all tests, with everything they need.

use std::process::Command;

use anyhow::{Result, ensure};
use pgmemo_tests::{Postgres, Version};

use crate::{
    setup,
    tools::{build_pgmemo, cargo, run_quietly, say},
};

/// Runs the tests whose names match, or all.
///
/// The development profile serves both the tests and the program under test: its dependencies are
/// optimised, its own code checks for overflow, and nothing is built twice.
pub(crate) fn run(filters: &[&str]) -> Result<()> {
    setup::run(&[])?;
    let pgmemo = build_pgmemo(false)?;
    say("starting PostgreSQL for all tests");
    let servers = [Version::System, Version::V18];
    let running: Vec<_> = servers
        .iter()
        .map(|&version| Postgres::start(version))
        .collect::<Result<_>>()?;

    let mut tests = runner(filters);
    tests.env("PGMEMO_BIN", pgmemo);
    for (version, server) in servers.iter().zip(&running) {
        tests.env(version.variable(), server.address().to_string());
    }
    let status = tests.status()?;
    ensure!(status.success(), "some tests failed");
    Ok(())
}

/// `cargo nextest` where it is installed, else `cargo test`.
fn runner(filters: &[&str]) -> Command {
    let has_nextest = run_quietly(cargo().args(["nextest", "--version"])).is_ok();
    let mut tests = cargo();
    if has_nextest {
        tests
            .args(["nextest", "run", "--workspace", "--no-fail-fast"])
            .args(filters);
    } else {
        tests
            .args([
                "test",
                "--workspace",
                "--no-fail-fast",
                "--all-targets",
                "--",
            ])
            .args(filters);
    }
    tests
}
