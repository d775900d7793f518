//! Drivers of other languages, at fixed versions.

use std::{fs, path::Path};

use anyhow::Result;

use super::packages::{Need, install};
use crate::tools::{cache, command, has, run_quietly, say};

const PYTHON: [&str; 3] = [
    "psycopg[binary]==3.3.9",
    "psycopg2-binary==2.9.13",
    "asyncpg==0.32.0",
];
const NODE: [&str; 2] = ["pg@8.23.1", "postgres@3.4.9"];

/// A virtual environment with psycopg 3, psycopg 2 and asyncpg.
pub(crate) fn python() -> Result<()> {
    environment(&cache().join("venv"), &PYTHON)
}

/// A virtual environment of Python with these packages.
pub(crate) fn environment(home: &Path, packages: &[&str]) -> Result<()> {
    if is_current(home, packages) {
        return Ok(());
    }
    let there = has("python3")
        && run_quietly(command("python3").args(["-c", "import venv, ensurepip"])).is_ok();
    install(&[Need::known(there, &["python3", "python3-venv"])])?;
    run_quietly(command("python3").args(["-m", "venv", "--clear"]).arg(home))?;
    if packages.is_empty() {
        return mark(home, packages);
    }
    say(&format!("fetching Python packages: {}", packages.join(" ")));
    let mut pip = command(home.join("bin/python"));
    pip.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
    ]);
    run_quietly(pip.args(packages))?;
    mark(home, packages)
}

/// Node.js packages pg and postgres.
pub(crate) fn node() -> Result<()> {
    node_packages(&cache().join("node"), &NODE)
}

/// A directory with these packages of Node.js.
pub(crate) fn node_packages(home: &Path, packages: &[&str]) -> Result<()> {
    if is_current(home, packages) {
        return Ok(());
    }
    install(&[Need::known(has("node") && has("npm"), &["nodejs", "npm"])])?;
    say(&format!(
        "fetching Node.js packages: {}",
        packages.join(" ")
    ));
    fs::create_dir_all(home)?;
    fs::write(home.join("package.json"), r#"{"private": true}"#)?;
    let mut npm = command("npm");
    npm.current_dir(home)
        .args(["install", "--no-audit", "--no-fund", "--save-exact"]);
    run_quietly(npm.args(packages))?;
    mark(home, packages)
}

fn is_current(home: &Path, wanted: &[&str]) -> bool {
    fs::read_to_string(home.join("installed")).is_ok_and(|found| found == wanted.join("\n"))
}

fn mark(home: &Path, wanted: &[&str]) -> Result<()> {
    Ok(fs::write(home.join("installed"), wanted.join("\n"))?)
}
