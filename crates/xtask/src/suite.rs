//! `test`: all tests, with everything they need.

use std::{path::PathBuf, process::Command};

use anyhow::{Result, ensure};
use pgmemo_tests::{Postgres, Version, env};

use crate::{
    setup,
    tools::{cargo, run as run_command, run_quietly, say},
};

/// Runs the tests whose names match, or all, and says whether they passed.
///
/// Nothing is printed behind the runner's own summary.
///
/// The development profile serves both the tests and the program under test: its dependencies are
/// optimised, its own code checks for overflow, and nothing is built twice.
pub(crate) fn run(filters: &[&str]) -> Result<bool> {
    setup::run(&[])?;
    let nextest = has_nextest();
    let pgmemo = build_all(nextest)?;

    say("starting PostgreSQL for all tests");
    let servers = [Version::System, Version::V18];
    let running: Vec<_> = servers
        .iter()
        .map(|&version| Postgres::start(version))
        .collect::<Result<_>>()?;

    let mut tests = runner(nextest, filters);
    tests.env("PGMEMO_BIN", pgmemo);
    for (version, server) in servers.iter().zip(&running) {
        tests.env(version.variable(), server.address().to_string());
    }
    Ok(tests.status()?.success())
}

/// Builds the program as the tests do, and says where it lies.
pub(crate) fn build_pgmemo() -> Result<PathBuf> {
    build_all(has_nextest())
}

fn build_all(nextest: bool) -> Result<PathBuf> {
    say("building tests and pgmemo");
    run_command(build(nextest).env("CARGO_TERM_PROGRESS_WHEN", "never"))?;
    let pgmemo = env::target().join("debug/pgmemo");
    ensure!(pgmemo.is_file(), "cargo built no {}", pgmemo.display());
    Ok(pgmemo)
}

fn has_nextest() -> bool {
    run_quietly(cargo().args(["nextest", "--version"])).is_ok()
}

/// Builds all tests; their package wants the program too, so it is built with the same features.
fn build(nextest: bool) -> Command {
    let mut build = cargo();
    if nextest {
        build.args(["nextest", "run", "--workspace", "--no-run"]);
    } else {
        build.args([
            "test",
            "--workspace",
            "--lib",
            "--bins",
            "--tests",
            "--no-run",
        ]);
    }
    build
}

/// `cargo nextest` where it is installed, else `cargo test`.
fn runner(nextest: bool, filters: &[&str]) -> Command {
    let mut tests = cargo();
    if nextest {
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
