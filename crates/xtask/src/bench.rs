//! `bench`: builds what is measured, installs what it is measured beside, and measures.

use anyhow::Result;
use pgmemo_bench::{Options, USAGE};

use crate::{
    setup::{self, Need, install},
    tools::{build_released, released, root, say},
};

/// Runs the benchmarks.
pub(crate) fn run(words: &[&str]) -> Result<()> {
    if words.contains(&"--help") {
        println!("{USAGE}");
        return Ok(());
    }
    let options = Options::parse(
        words,
        released("pgmemo"),
        released("pgmemo-canned"),
        root().join("bench/results"),
    )?;
    setup::servers()?;
    install(&[
        Need::program("pgbouncer", &["pgbouncer"]),
        Need::program("pgpool", &["pgpool2"]),
    ])?;
    say("building pgmemo and the canned responder");
    // Of the whole workspace: a part of it would turn on other features, and build all anew.
    build_released(&["--workspace", "--bin=pgmemo", "--bin=pgmemo-canned"])?;
    pgmemo_bench::run(&options)
}
