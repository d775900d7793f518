//! The suites of drivers for Node.js, whose packages carry no tests: these come from a checkout.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};
use pgmemo_tests::env;

use super::{
    kind::{Site, copy, output},
    outcomes::Outcomes,
};
use crate::{setup, tools::command};

/// What the tests of node-postgres need, the driver itself among it.
const PG: [&str; 7] = [
    "pg@8.23.1",
    "pg-cursor@2.22.0",
    "async@2.6.4",
    "bluebird@3.7.2",
    "co@4.6.0",
    "pg-copy-streams@0.3.0",
    "mocha@11.7.5",
];

/// How long one file of tests may take, in seconds.
const SECONDS_MAX: &str = "120";

const RUNNER: &str = include_str!("../../../../tests/suites/postgres_js_runner.js");

/// Installs what node-postgres needs.
pub(super) fn fetch_pg() -> Result<()> {
    setup::node_packages(&environment(), &PG)
}

/// Runs the tests of node-postgres that need a server, and those of its cursors.
pub(super) fn pg(checkout: &Path, site: &Site) -> Result<Outcomes> {
    let modules = environment().join("node_modules");
    for name in ["pg", "pg-cursor"] {
        copy(&modules.join(name), &site.dir)?;
        let tests = checkout.join("packages").join(name).join("test");
        copy(&tests, &site.dir.join(name))?;
    }
    std::os::unix::fs::symlink(&modules, site.dir.join("node_modules"))?;
    let mut outcomes = Outcomes::default();
    let home = site.dir.join("pg");
    for file in tests(&home.join("test/integration"))? {
        let name = file.strip_prefix(&home).unwrap_or(&file).to_string_lossy();
        let mut node = within(site);
        node.arg("node").arg(&file).current_dir(&home);
        let printed = output(&mut node, &site.dir.join(name.replace('/', ".")))?;
        outcomes.add_marked(&name, &printed);
    }
    let mut mocha = within(site);
    mocha.arg("node").arg(modules.join("mocha/bin/mocha.js"));
    mocha.args(["--exit", "--reporter", "tap"]);
    mocha.current_dir(site.dir.join("pg-cursor"));
    outcomes.add_tap("pg-cursor", &output(&mut mocha, &site.dir.join("cursor"))?);
    Ok(outcomes)
}

/// Runs the tests of postgres.js, with a runner that does not stop at the first that fails.
pub(super) fn postgres_js(checkout: &Path, site: &Site) -> Result<Outcomes> {
    for part in ["src", "tests", "package.json"] {
        copy(&checkout.join(part), &site.dir)?;
    }
    let tests = site.dir.join("tests");
    fs::write(tests.join("test.js"), RUNNER)?;
    let (_, port) = site.place();
    let index = fs::read_to_string(tests.join("index.js"))?;
    fs::write(tests.join("index.js"), index.replace("5432", &port))?;
    let mut node = within(site);
    node.args(["node", "tests/index.js"]).current_dir(&site.dir);
    Ok(Outcomes::of_django(&output(
        &mut node,
        &site.dir.join("output"),
    )?))
}

fn environment() -> PathBuf {
    env::target().join("suites/environments/pg")
}

/// A command that ends, and finds what is tested.
fn within(site: &Site) -> Command {
    let mut timeout = command("timeout");
    // Warnings would come in the midst of a line.
    timeout.arg(SECONDS_MAX).env("NODE_NO_WARNINGS", "1");
    site.tell(&mut timeout);
    timeout
}

/// All files of tests below a directory, in order.
fn tests(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut open = vec![dir.to_owned()];
    while let Some(dir) = open.pop() {
        let entries = fs::read_dir(&dir).with_context(|| dir.display().to_string())?;
        for path in entries.flatten().map(|entry| entry.path()) {
            if path.is_dir() {
                open.push(path);
            } else if path.to_string_lossy().ends_with("-tests.js") {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}
