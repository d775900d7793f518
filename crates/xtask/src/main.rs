//! `cargo xtask`: set-up, demo, tests and checks, the same at the desk and in CI.
//!
//! Servers are started and stopped by the test harness, so that nothing outlives a command that
//! fails or is interrupted.

mod bench;
mod check;
mod demo;
mod fuzz;
mod setup;
mod suite;
mod suites;
mod tools;

use std::process::ExitCode;

use anyhow::{Result, bail};

const USAGE: &str = "\
cargo xtask setup [16] [17]   install what tests and demo need; does nothing when all is there
cargo xtask demo [--keep]     pgbench direct, through pgmemo, and through pgmemo with Redis
cargo xtask test [filter …]   set up, build, and run all tests, or those that match
cargo xtask bench [--quick] [--workload=…] [--only=…] [--against=…]
                              measure pgmemo beside PostgreSQL, poolers and another cache
cargo xtask suites [name …]  foreign test suites, at the server and through pgmemo
cargo xtask fuzz [seconds] [target …]
                              run each fuzz target for some seconds, or those named
cargo xtask check             formatting, lints, documentation, licences, scripts";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether what was asked for went well; what went wrong has been shown.
fn run(arguments: &[String]) -> Result<bool> {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["test", filters @ ..] => return suite::run(filters),
        ["suites", names @ ..] => return suites::run(names),
        ["setup", versions @ ..] => setup::run(versions)?,
        ["demo"] => demo::run(false)?,
        ["demo", "--keep"] => demo::run(true)?,
        ["bench", words @ ..] => bench::run(words)?,
        ["fuzz", words @ ..] => fuzz::all(words)?,
        ["check"] => check::all()?,
        [] | ["help" | "--help" | "-h"] => println!("{USAGE}"),
        _ => bail!("no such command: {}\n{USAGE}", words.join(" ")),
    }
    Ok(true)
}
