//! `bench`: builds what is measured, installs what it is measured beside, and measures.

use anyhow::Result;
use pgmemo_bench::Options;

use crate::{
    setup::{self, Need, install},
    tools::{build_released, released, root, say},
};

/// Runs the benchmarks.
pub(crate) fn run(words: &[&str]) -> Result<()> {
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
    build_released(&["--package", "pgmemo", "--package", "pgmemo-canned"])?;
    pgmemo_bench::run(&options)
}
