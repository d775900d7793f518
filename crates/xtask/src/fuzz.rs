//! `fuzz`: every fuzz target for a few seconds.
//!
//! The targets are a workspace of their own in `fuzz/`, built with the coverage instrumentation
//! that libFuzzer reads. The flags are those of LLVM's pass, which any toolchain has.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};

use crate::tools::{cargo, command, root, run, run_quietly, say};

/// The fuzz targets.
const TARGETS: [&str; 7] = [
    "codec",
    "startup",
    "value",
    "resp",
    "analysis",
    "session",
    "conversation",
];

/// How long each runs when nothing is said, in seconds.
const SECONDS: u32 = 5;

/// What cargo hands to rustc: count edges, note what is compared, keep assertions.
const FLAGS: [&str; 7] = [
    "--cfg=fuzzing",
    "-Cdebug-assertions",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
];

/// Builds and runs the targets, for so many seconds each; all of them, or those named.
pub(crate) fn all(words: &[&str]) -> Result<()> {
    let mut seconds = SECONDS;
    let mut targets = Vec::new();
    for &word in words {
        if TARGETS.contains(&word) {
            targets.push(word);
        } else {
            seconds = word
                .parse()
                .with_context(|| format!("neither seconds nor a target: {word}"))?;
        }
    }
    if targets.is_empty() {
        targets.extend(TARGETS);
    }
    say("building fuzz targets");
    let built = build()?;
    let mut failed = Vec::new();
    for target in targets {
        say(&format!("fuzzing {target} for {seconds} s"));
        if let Err(error) = fuzz(&built, target, seconds) {
            eprintln!("{error:#}");
            failed.push(target);
        }
    }
    ensure!(failed.is_empty(), "fuzzing failed: {}", failed.join(", "));
    Ok(())
}

/// The directory of the crate.
fn home() -> PathBuf {
    root().join("fuzz")
}

/// Builds all targets, and says where they lie.
///
/// The platform is named so that build scripts and macros go without the flags.
fn build() -> Result<PathBuf> {
    let host = run_quietly(command("rustc").arg("-vV"))?;
    let host = host
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .context("rustc does not say for which platform it builds")?;
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(
        || home().join("target"),
        |dir| root().join(dir).join("fuzz"),
    );
    let mut build = cargo();
    build
        .current_dir(home())
        .env("CARGO_ENCODED_RUSTFLAGS", FLAGS.join("\u{1f}"))
        .env("CARGO_TARGET_DIR", &target)
        .env("CARGO_TERM_PROGRESS_WHEN", "never")
        .args(["build", "--release", "--target", host]);
    run(&mut build)?;
    Ok(target.join(host).join("release"))
}

/// Starts from the seeds and from what earlier runs have found, and keeps what is new.
fn fuzz(built: &Path, target: &str, seconds: u32) -> Result<()> {
    let found = home().join("target/corpus").join(target);
    let crashes = home().join("target/crashes").join(target);
    for dir in [&found, &crashes] {
        fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    }
    let before = inputs(&crashes)?;
    let mut fuzzer = command(built.join(target));
    fuzzer
        .arg(&found)
        .arg(home().join("corpus").join(target))
        .arg(format!("-artifact_prefix={}/", crashes.display()))
        .arg(format!("-max_total_time={seconds}"))
        .args(["-max_len=1024", "-timeout=60", "-rss_limit_mb=2048"]);
    if let Ok(seed) = std::env::var("PGMEMO_SEED") {
        fuzzer.arg(format!("-seed={seed}"));
    }
    let words = home().join("words").join(target);
    if words.is_file() {
        fuzzer.arg(format!("-dict={}", words.display()));
    }
    match run_quietly(&mut fuzzer) {
        Ok(_) => Ok(()),
        Err(error) => {
            let kept: Vec<String> = inputs(&crashes)?
                .into_iter()
                .filter(|input| !before.contains(input))
                .map(|input| input.display().to_string())
                .collect();
            match kept.as_slice() {
                [] => Err(error),
                kept => bail!(
                    "{error:#}\n{target}: the input is kept in {}",
                    kept.join(", ")
                ),
            }
        }
    }
}

fn inputs(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut inputs = Vec::new();
    for entry in fs::read_dir(dir)? {
        inputs.push(entry?.path());
    }
    Ok(inputs)
}
