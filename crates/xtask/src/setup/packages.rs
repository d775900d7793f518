//! Debian packages.

use std::{fs, process::Command};

use anyhow::{Context, Result, ensure};
use pgmemo_tests::{Version, env::is_root};

use crate::tools::{command, find, has, run, say};

/// Something that a package brings.
pub(crate) struct Need {
    packages: &'static [&'static str],
    there: bool,
}

impl Need {
    /// A program, and the packages that bring it.
    pub(crate) fn program(program: &str, packages: &'static [&'static str]) -> Self {
        Self {
            packages,
            there: has(program),
        }
    }

    /// Server and client programs of PostgreSQL, pgbench among them.
    pub(crate) fn postgres() -> Self {
        let there = Version::System
            .bin()
            .is_ok_and(|bin| bin.join("initdb").is_file())
            && has("pgbench")
            && has("psql");
        Self {
            packages: &["postgresql", "postgresql-contrib"],
            there,
        }
    }

    /// Something whose presence the caller has looked for.
    pub(crate) const fn known(there: bool, packages: &'static [&'static str]) -> Self {
        Self { packages, there }
    }
}

/// Installs the packages of all needs that are not met.
pub(crate) fn install(needs: &[Need]) -> Result<()> {
    let missing: Vec<_> = needs
        .iter()
        .filter(|need| !need.there)
        .flat_map(|need| need.packages)
        .copied()
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    say(&format!(
        "installing Debian packages: {}",
        missing.join(" ")
    ));
    ensure!(
        has("apt-get"),
        "without apt-get, install these yourself: {}",
        missing.join(" ")
    );
    run(apt()?.args(["update", "-q"]))?;
    if missing.contains(&"postgresql") {
        create_no_cluster()?;
    }
    run(apt()?
        .args(["install", "-q", "-y", "--no-install-recommends"])
        .args(&missing))
}

/// Debian would create and start a cluster of its own; ours are throwaway ones.
fn create_no_cluster() -> Result<()> {
    run(apt()?.args([
        "install",
        "-q",
        "-y",
        "--no-install-recommends",
        "postgresql-common",
    ]))?;
    let path = "/etc/postgresql-common/createcluster.conf";
    let conf = fs::read_to_string(path).unwrap_or_default();
    if is_root()
        && !conf
            .lines()
            .any(|line| line.trim() == "create_main_cluster = false")
    {
        fs::write(path, conf + "\ncreate_main_cluster = false\n")
            .with_context(|| format!("cannot write {path}"))?;
    }
    Ok(())
}

/// `apt-get` with the rights it needs. At run level 1 no service is started on installation.
fn apt() -> Result<Command> {
    let mut apt = if is_root() {
        command("env")
    } else {
        ensure!(has("sudo"), "installing packages needs root or sudo");
        let mut sudo = command("sudo");
        sudo.arg("env");
        sudo
    };
    let program = find("apt-get").context("no apt-get")?;
    apt.args(["DEBIAN_FRONTEND=noninteractive", "RUNLEVEL=1"])
        .arg(program);
    apt.args(["-o", "Dpkg::Options::=--force-confold"]);
    Ok(apt)
}
