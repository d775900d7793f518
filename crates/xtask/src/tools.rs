//! Running programs.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail, ensure};
use pgmemo_tests::env;

/// The root of the checkout.
pub(crate) fn root() -> PathBuf {
    env::root()
}

/// What set-up fetches lies here.
pub(crate) fn cache() -> PathBuf {
    env::cache()
}

/// Says what is done now.
pub(crate) fn say(what: &str) {
    eprintln!("==> {what}");
}

/// Whether a program can be found.
pub(crate) fn has(program: &str) -> bool {
    find(program).is_some()
}

/// Where a program lies.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|dir| dir.join(program))
        .find(|file| file.is_file())
}

/// A command in the root of the checkout, without a terminal.
pub(crate) fn command(program: impl AsRef<Path>) -> Command {
    let mut command = Command::new(program.as_ref());
    command.current_dir(root()).stdin(Stdio::null());
    command
}

/// Cargo, as it started us.
pub(crate) fn cargo() -> Command {
    command(std::env::var_os("CARGO").map_or_else(|| PathBuf::from("cargo"), PathBuf::from))
}

/// Runs it; it must succeed.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let shown = shown(command);
    let status = command
        .status()
        .with_context(|| format!("cannot run {shown}"))?;
    ensure!(status.success(), "{shown}: {status}");
    Ok(())
}

/// Runs it without showing what it says, unless it fails.
pub(crate) fn run_quietly(command: &mut Command) -> Result<String> {
    let shown = shown(command);
    let output = command
        .output()
        .with_context(|| format!("cannot run {shown}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        bail!(
            "{shown}: {}\n{text}{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(text)
}

/// The command as one would type it, its program without directories.
fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program())
        .file_name()
        .unwrap_or_default();
    let words = std::iter::once(program).chain(command.get_args());
    words
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}

/// Builds the program as it is shipped, and says where it lies.
pub(crate) fn build_pgmemo() -> Result<PathBuf> {
    say("building pgmemo");
    build_released(&["--package", "pgmemo", "--bin", "pgmemo"])?;
    Ok(released("pgmemo"))
}

/// Builds as it is shipped.
pub(crate) fn build_released(what: &[&str]) -> Result<()> {
    run(cargo().args(["build", "--release"]).args(what))
}

/// Where a program lies that was built as it is shipped.
pub(crate) fn released(program: &str) -> PathBuf {
    env::target().join("release").join(program)
}
