//! Where things lie, and what the environment asks for.

use std::{
    env,
    path::{Path, PathBuf},
    sync::OnceLock,
    time::Duration,
};

use anyhow::{Context, Result};

/// The root of the checkout.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}

/// What `cargo xtask setup` fetched: servers, drivers.
pub fn cache() -> PathBuf {
    root().join(".cache")
}

/// Whether PostgreSQL itself takes pgmemo's place.
pub fn direct() -> bool {
    env::var("PGMEMO_TEST_TARGET").is_ok_and(|target| target == "direct")
}

static PGMEMO_BIN: OnceLock<PathBuf> = OnceLock::new();

/// Names the program to run, once, for a caller that has just built it.
pub fn use_pgmemo_bin(path: PathBuf) {
    let _ = PGMEMO_BIN.set(path);
}

/// The program under test: the one named, `PGMEMO_BIN`, or what cargo built last.
pub fn pgmemo_bin() -> Result<PathBuf> {
    if let Some(path) = PGMEMO_BIN.get() {
        return Ok(path.clone());
    }
    if let Some(path) = env::var_os("PGMEMO_BIN") {
        return Ok(path.into());
    }
    let built = ["release", "debug"].map(|profile| target().join(profile).join("pgmemo"));
    let age = |path: &PathBuf| path.metadata().and_then(|meta| meta.modified()).ok();
    let newest = built
        .into_iter()
        .filter(|path| path.is_file())
        .max_by_key(age);
    newest.context("no pgmemo binary; run `cargo xtask test`, or set PGMEMO_BIN")
}

/// Where cargo builds.
pub fn target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), Into::into)
}

/// Whether we run as root, who may not run PostgreSQL.
pub fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

/// A duration in whole seconds from the environment.
pub fn seconds(variable: &str, default: u64) -> Duration {
    Duration::from_secs(number(variable, default))
}

/// A number from the environment.
pub fn number(variable: &str, default: u64) -> u64 {
    env::var(variable)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(default)
}

/// A count from the environment.
pub fn count(variable: &str, default: u32) -> usize {
    number(variable, default.into()) as usize
}
