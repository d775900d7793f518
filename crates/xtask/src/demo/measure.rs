//! One run of pgbench.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use crate::tools::{cache, command, run_quietly};

/// Point reads over a part of the table that is small enough to be warm.
const SCRIPT: &str = "\\set aid random(1, 2000)
SELECT abalance FROM pgbench_accounts WHERE aid = :aid;
";

/// How long a run lasts, in seconds, and its warm-up.
const SECONDS: u32 = 5;
const WARM_UP_SECONDS: u32 = 3;
const CLIENTS: u32 = 16;
const THREADS: u32 = 2;

/// What pgbench said.
pub(crate) struct Measured {
    pub(crate) tps: f64,
    pub(crate) p50_us: u64,
    pub(crate) p99_us: u64,
}

/// The read workload, with a directory for scripts and logs.
pub(crate) struct Workload(PathBuf);

impl Workload {
    pub(crate) fn new() -> Result<Self> {
        let dir = cache().join("demo");
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir)?;
        fs::write(dir.join("read.sql"), SCRIPT)?;
        Ok(Self(dir))
    }

    /// Reads until the store has seen every row.
    pub(crate) fn warm_up(&self, url: &str) -> Result<()> {
        self.pgbench(url, WARM_UP_SECONDS, &[]).map(|_| ())
    }

    /// Reads and measures.
    pub(crate) fn run(&self, url: &str) -> Result<Measured> {
        let output = self.pgbench(url, SECONDS, &["--log", "--log-prefix=run"])?;
        let line = output.lines().find_map(|line| line.strip_prefix("tps = "));
        let tps = line
            .and_then(|line| line.split(' ').next())
            .context("pgbench says no tps")?;
        let mut times = take_times(&self.0)?;
        times.sort_unstable();
        let at = |percent: usize| times.get(times.len() * percent / 100).copied();
        Ok(Measured {
            tps: tps.parse()?,
            p50_us: at(50).context("pgbench logged nothing")?,
            p99_us: at(99).context("pgbench logged nothing")?,
        })
    }

    fn pgbench(&self, url: &str, seconds: u32, more: &[&str]) -> Result<String> {
        let mut pgbench = command("pgbench");
        pgbench
            .current_dir(&self.0)
            .args(["--no-vacuum", "--protocol=prepared"]);
        pgbench.args([format!("--client={CLIENTS}"), format!("--jobs={THREADS}")]);
        pgbench.args([&format!("--time={seconds}"), "--file=read.sql"]);
        run_quietly(pgbench.args(more).arg(url))
    }
}

impl Drop for Workload {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The third column of each log line is the transaction's time in microseconds.
fn take_times(dir: &Path) -> Result<Vec<u64>> {
    let mut times = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with("run."))
        {
            let log = fs::read_to_string(&path)?;
            let time = |line: &str| line.split(' ').nth(2)?.parse::<u64>().ok();
            times.extend(log.lines().filter_map(time));
            fs::remove_file(path)?;
        }
    }
    Ok(times)
}
