//! `check`: what can be said without running pgmemo.

use std::{path::PathBuf, process::Command};

use anyhow::{Result, ensure};

use crate::{
    setup::{self, Need},
    tools::{cache, cargo, command, find, has, root, run, run_quietly, say},
};

/// The release of cargo-deny that is installed where there is none.
const DENY: &str = "0.20.2";

/// Runs all checks, and fails at the end if any did.
pub(crate) fn all() -> Result<()> {
    type Check = fn() -> Result<()>;
    let checks: [(&str, Check); 6] = [
        ("formatting", formatting),
        ("lints", lints),
        ("documentation", documentation),
        ("licences and sources of dependencies", dependencies),
        ("shell scripts", scripts),
        ("compose files", compose),
    ];
    let mut failed = Vec::new();
    for (what, check) in checks {
        say(what);
        if let Err(error) = check() {
            eprintln!("{error:#}");
            failed.push(what);
        }
    }
    ensure!(failed.is_empty(), "checks failed: {}", failed.join(", "));
    Ok(())
}

fn formatting() -> Result<()> {
    run(cargo().args(["fmt", "--all", "--check"]))
}

fn lints() -> Result<()> {
    let mut clippy = cargo();
    run(clippy.args([
        "clippy",
        "--workspace",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ]))
}

fn documentation() -> Result<()> {
    let mut doc = cargo();
    run(doc
        .env("RUSTDOCFLAGS", "-D warnings")
        .args(["doc", "--workspace", "--no-deps"]))
}

/// Advisories are left to a scheduled run: they change without a change of ours.
fn dependencies() -> Result<()> {
    let own = cache().join("tools/bin/cargo-deny");
    let deny = find("cargo-deny").or_else(|| own.is_file().then(|| own.clone()));
    let deny = match deny {
        Some(deny) => deny,
        None => {
            say(&format!("installing cargo-deny {DENY}"));
            let mut install = cargo();
            install.args([
                "install",
                "cargo-deny",
                "--version",
                DENY,
                "--locked",
                "--debug",
            ]);
            run(install
                .args(["--quiet", "--root"])
                .arg(cache().join("tools")))?;
            own
        }
    };
    run(command(deny).args(["--workspace", "check", "bans", "licenses", "sources"]))
}

fn scripts() -> Result<()> {
    let files = tracked(&["*.sh", ".ci/*"])?;
    if files.is_empty() {
        return Ok(());
    }
    if setup::install(&[Need::program("shellcheck", &["shellcheck"])]).is_err() {
        say("no shellcheck here; bash looks at the syntax alone");
        return files
            .iter()
            .try_for_each(|file| run(command("bash").arg("-n").arg(file)));
    }
    run(command("shellcheck").args(&files))
}

fn compose() -> Result<()> {
    let able = has("docker") && run_quietly(command("docker").args(["compose", "version"])).is_ok();
    if !able {
        say("no docker compose here; left out");
        return Ok(());
    }
    for file in tracked(&["*compose*.yml", "*compose*.yaml"])? {
        run(command("docker")
            .args(["compose", "--file"])
            .arg(&file)
            .args(["config", "--quiet"]))?;
    }
    Ok(())
}

/// Files under version control that match.
fn tracked(patterns: &[&str]) -> Result<Vec<PathBuf>> {
    let mut list = Command::new("git");
    list.current_dir(root()).args([
        "ls-files",
        "--cached",
        "--others",
        "--exclude-standard",
        "--",
    ]);
    let files = run_quietly(list.args(patterns))?;
    Ok(files
        .lines()
        .map(|file| root().join(file))
        .filter(|file| file.is_file())
        .collect())
}
