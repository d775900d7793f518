//! Drivers of other languages, run as programs that print what they read.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};

use crate::{Pgmemo, Postgres, env, net::eventually, postgres::Database};

/// How long one script may take.
const DEADLINE: Duration = Duration::from_secs(60);

/// How often a script runs through pgmemo; the first run fills the store.
const RUNS: usize = 3;

/// A program that takes a URL as its last argument and prints what it reads.
#[derive(Debug)]
pub struct Script {
    program: PathBuf,
    file: PathBuf,
    arguments: Vec<String>,
    variables: Vec<(String, String)>,
}

impl Script {
    /// A script of `tests/drivers` for Python.
    pub fn python(file: &str, arguments: &[&str]) -> Result<Self> {
        Self::new(env::cache().join("venv/bin/python"), file, arguments)
    }

    /// A script of `tests/drivers` for Node.js.
    pub fn node(file: &str, arguments: &[&str]) -> Result<Self> {
        let packages = env::cache().join("node/node_modules");
        ensure!(
            packages.is_dir(),
            "Node packages are missing; run `cargo xtask setup`"
        );
        Self::new(PathBuf::from("node"), file, arguments)
    }

    fn new(program: PathBuf, file: &str, arguments: &[&str]) -> Result<Self> {
        if program.is_absolute() {
            ensure!(
                program.exists(),
                "{} is missing; run `cargo xtask setup`",
                program.display()
            );
        }
        let file = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("drivers")
            .join(file);
        let arguments = arguments
            .iter()
            .map(|&argument| argument.to_owned())
            .collect();
        Ok(Self {
            program,
            file,
            arguments,
            variables: Vec::new(),
        })
    }

    /// With one more variable in its environment.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// What it prints against this server.
    pub fn output(&self, url: &str) -> Result<String> {
        let mut command = Command::new(&self.program);
        command.arg(&self.file).args(&self.arguments).arg(url);
        command.env("NODE_PACKAGES", env::cache().join("node/"));
        command.env("PYTHONDONTWRITEBYTECODE", "1");
        let variables = self.variables.iter().map(|(name, value)| (name, value));
        command.envs(variables);
        output(&mut command)
            .with_context(|| format!("{} {:?}", self.file.display(), self.arguments))
    }

    /// Runs it at the server and then, three times, through pgmemo, which must not show, except in
    /// its hits.
    pub fn check(&self, postgres: &Postgres, database: &Database, pgmemo: &Pgmemo) -> Result<()> {
        let expected = self.output(&postgres.url(database.name()))?;
        ensure!(!expected.trim().is_empty(), "the script printed nothing");
        let before = pgmemo.metrics()?;
        for run in 0..RUNS {
            let found = self.output(&pgmemo.url(database.name()))?;
            compare(&expected, &found).with_context(|| format!("run {run}"))?;
        }
        pgmemo.expect_hits_since(&before, 1.0)
    }
}

/// What a command prints; it must succeed within the deadline.
pub fn output(command: &mut Command) -> Result<String> {
    let dir = tempfile::tempdir()?;
    let paths = (dir.path().join("out"), dir.path().join("err"));
    let mut child = command
        .stdin(Stdio::null())
        .stdout(std::fs::File::create(&paths.0)?)
        .stderr(std::fs::File::create(&paths.1)?)
        .spawn()?;
    let ended = eventually("end of the program", DEADLINE, || {
        child.try_wait().ok().flatten()
    });
    let Ok(status) = ended else {
        let _ = child.kill();
        let _ = child.wait();
        bail!(
            "no end within {DEADLINE:?}; so far it printed\n{}",
            read(&paths.0)?
        );
    };
    ensure!(
        status.success(),
        "{status}\n{}{}",
        read(&paths.0)?,
        read(&paths.1)?
    );
    read(&paths.0)
}

fn read(path: &Path) -> Result<String> {
    Ok(String::from_utf8_lossy(&std::fs::read(path)?).into_owned())
}

/// Fails at the first line that differs.
pub fn compare(expected: &str, found: &str) -> Result<()> {
    let (mut left, mut right) = (expected.lines(), found.lines());
    loop {
        match (left.next(), right.next()) {
            (None, None) => return Ok(()),
            (expected, found) => ensure!(
                expected == found,
                "the output differs\n  PostgreSQL: {}\n  pgmemo:     {}",
                expected.unwrap_or("(no more)"),
                found.unwrap_or("(no more)")
            ),
        }
    }
}
