//! `suites`: test suites that nobody here wrote, at the server and through pgmemo.
//!
//! Each suite runs once at the server and twice through one pgmemo with all tables cached, and its
//! results are compared test by test. What differs must stand in `tests/suites/known.txt`, with the
//! reason. The suites come from source packages into the target directory; none of their code is
//! part of this project.

mod fetch;
mod kind;
mod node;
mod outcomes;
mod programs;
mod regress;
mod reread;
mod rust;
mod source;

use std::{fs, path::PathBuf};

use anyhow::{Context, Result, bail};
use pgmemo_tests::{Metrics, Pgmemo, Postgres, Store, Version, env};

use self::{
    kind::{Site, Suite},
    outcomes::{Known, Outcomes},
};
use crate::{setup, suite, tools::say};

/// Runs the suites that are named, or all that can be had; whether nothing unexplained was seen.
///
/// The program is built first, unless `PGMEMO_BIN` names one.
pub(crate) fn run(names: &[&str]) -> Result<bool> {
    let suites = chosen(names)?;
    setup::servers()?;
    if std::env::var_os("PGMEMO_BIN").is_none() {
        env::use_pgmemo_bin(suite::build_pgmemo()?);
    }
    let known = Known::read(&env::root().join("tests/suites/known.txt"))?;
    let mut clean = true;
    for suite in suites {
        clean &= compare(suite, &known).with_context(|| suite.name())?;
    }
    Ok(clean)
}

fn chosen(names: &[&str]) -> Result<Vec<Suite>> {
    if names.is_empty() {
        return Ok(Suite::ALL
            .into_iter()
            .filter(|&suite| suite.can_be_had())
            .collect());
    }
    let find = |&name: &&str| {
        let found = Suite::ALL.into_iter().find(|suite| suite.name() == name);
        let Some(suite) = found else {
            let all = Suite::ALL.map(Suite::name);
            bail!("no such suite: {name}; choose among {}", all.join(", "));
        };
        Ok(suite)
    };
    names.iter().map(find).collect()
}

/// Runs one suite three times, and says what differed.
fn compare(suite: Suite, known: &Known) -> Result<bool> {
    suite.fetch()?;
    let postgres = Postgres::start(Version::System)?;
    let pgmemo = Pgmemo::start(&postgres, Store::Memory, &[])?;
    let stage = |run: &'static str, address, fresh| -> Result<Outcomes> {
        say(&format!("{}: {run}", suite.name()));
        let site = Site {
            server: postgres.address(),
            address,
            dir: dir(suite).join(run),
        };
        let _ = fs::remove_dir_all(&site.dir);
        fs::create_dir_all(&site.dir)?;
        if fresh {
            suite.prepare(&postgres)?;
        }
        let outcomes = suite.run(&site)?;
        println!("{:>24} {run}: {}", suite.name(), outcomes.summary());
        Ok(outcomes)
    };
    let expected = stage("direct", postgres.address(), true)?;
    let mut clean = true;
    for (run, fresh) in [("through", true), ("again", suite.needs_fresh())] {
        let before = pgmemo.metrics()?;
        let found = stage(run, pgmemo.address(), fresh)?;
        counters(&before, &pgmemo.metrics()?);
        clean &= known.judge(suite.name(), &expected, &found);
    }
    Ok(clean)
}

/// What became of the reads of one run.
fn counters(before: &Metrics, after: &Metrics) {
    let hits = after.hits() - before.hits();
    let misses = after.misses() - before.misses();
    let bypasses = after.bypasses() - before.bypasses();
    let mut reasons = after.bypass_reasons_since(before);
    reasons.sort_by(|a, b| b.1.total_cmp(&a.1));
    let reasons: Vec<_> = reasons
        .iter()
        .map(|(reason, count)| format!("{reason} {count}"))
        .collect();
    println!(
        "    hits {hits}, misses {misses}, bypasses {bypasses}: {}",
        reasons.join(", ")
    );
}

/// Where the output of a suite lies.
fn dir(suite: Suite) -> PathBuf {
    env::target().join("suites").join(suite.name())
}
