//! Tests that come with the source of PostgreSQL: its isolation tests, and those of pipelines in
//! libpq. The programs that run them are not built here.

use std::{
    fs::{self, File},
    path::Path,
};

use anyhow::{Context, Result, ensure};

use super::{
    kind::{DATABASE, Site, output},
    outcomes::Outcomes,
    regress::{digest, library},
};
use crate::tools::{command, run_quietly};

/// How long one script or test may take, in seconds.
const SECONDS_MAX: &str = "400";

/// How long one step of these may wait before it is cancelled, in seconds.
const STEP_SECONDS_MAX: &str = "60";

/// Rows that the tests of pipelines insert.
const ROWS: &str = "700";

/// Tests that send until nothing more is taken, or take what has arrived: how much that is depends
/// on time, and only their end is compared.
const UNTIL_FULL: [&str; 2] = ["pipelined_insert", "uniqviol"];

/// Runs the isolation tests in the order of their schedule. The outcome of one is what it printed.
pub(super) fn isolation(checkout: &Path, site: &Site) -> Result<Outcomes> {
    let tester = library()?.join("pgxs/src/test/isolation/isolationtester");
    let home = checkout.join("src/test/isolation");
    let schedule = home.join("isolation_schedule");
    let schedule = fs::read_to_string(&schedule).with_context(|| schedule.display().to_string())?;
    let mut outcomes = Outcomes::default();
    for name in scheduled(&schedule) {
        let spec = home.join("specs").join(format!("{name}.spec"));
        let mut test = command("timeout");
        test.arg(SECONDS_MAX).arg(&tester).arg(place(site));
        test.env("PGAPPNAME", format!("isolation/{name}"));
        test.env("PGISOLATIONTIMEOUT", STEP_SECONDS_MAX);
        test.env("PGTZ", "PST8PDT")
            .env("PGDATESTYLE", "Postgres, MDY");
        test.stdin(File::open(&spec).with_context(|| spec.display().to_string())?);
        let printed = output(&mut test, &site.dir.join(name))?;
        outcomes.add(name, &digest(name, &printed, &site.dir));
    }
    Ok(outcomes)
}

/// Runs the tests of pipelines. The outcome of one is how it ended, and the messages that libpq saw
/// on its connection.
pub(super) fn pipelines(checkout: &Path, site: &Site) -> Result<Outcomes> {
    let program = checkout.join("src/test/modules/libpq_pipeline/libpq_pipeline");
    ensure!(
        program.is_file(),
        "{} has not been built",
        program.display()
    );
    let tests = run_quietly(command(&program).arg("tests"))?;
    let mut outcomes = Outcomes::default();
    for name in tests.split_whitespace() {
        let trace = site.dir.join(format!("{name}.trace"));
        let mut test = command("timeout");
        test.arg(SECONDS_MAX).arg(&program).args(["-r", ROWS]);
        test.arg("-t").arg(&trace).args([name, &place(site)]);
        let printed = output(&mut test, &site.dir.join(name))?;
        if UNTIL_FULL.contains(&name) {
            let end = printed.lines().rfind(|line| !line.is_empty());
            outcomes.add(name, &format!("ended: {}", end.unwrap_or_default()));
            continue;
        }
        outcomes.add(name, &digest(name, &printed, &site.dir));
        let trace = fs::read_to_string(&trace).unwrap_or_default();
        outcomes.add(name, &digest(name, &trace, &site.dir));
    }
    Ok(outcomes)
}

/// The names in a schedule, which come in groups.
pub(super) fn scheduled(schedule: &str) -> Vec<&str> {
    let groups = schedule
        .lines()
        .filter_map(|line| line.strip_prefix("test:"));
    groups.flat_map(str::split_whitespace).collect()
}

fn place(site: &Site) -> String {
    let (host, port) = site.place();
    format!("host={host} port={port} user=postgres dbname={DATABASE}")
}
