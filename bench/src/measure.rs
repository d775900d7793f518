//! One run of pgbench against one contender.

use std::{
    fmt, fs,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, ensure};

use crate::{
    contender::Contender,
    cpu,
    workload::{FILL, FILLERS, Protocol, State, Workload},
};

/// What one run showed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    pub(crate) tps: f64,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    /// CPU time of the contender itself per transaction, in µs.
    pub(crate) cpu_us: f64,
    /// The same of the server behind it.
    pub(crate) server_us: f64,
    /// Hits among reads, where that can be asked.
    pub(crate) hit_rate: Option<f64>,
}

/// One cell of the table to be measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cell {
    pub(crate) workload: &'static Workload,
    pub(crate) protocol: Protocol,
    pub(crate) clients: u32,
}

/// A contender, and the database with which it is measured.
#[derive(Debug)]
pub(crate) struct Runner<'a> {
    pub(crate) contender: &'a Contender,
    pub(crate) database: String,
}

/// How long the ends of connections may take to be noticed everywhere.
const SETTLE: Duration = Duration::from_millis(100);

/// Share of transactions whose time is logged.
const SAMPLING: &str = "--sampling-rate=0.2";

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        label(f, self.workload.name, self.protocol, self.clients)
    }
}

/// How a cell is called.
pub(crate) fn label(
    f: &mut impl fmt::Write,
    workload: &str,
    protocol: Protocol,
    clients: u32,
) -> fmt::Result {
    let s = if clients == 1 { "" } else { "s" };
    write!(f, "{workload}, {}", protocol.name())?;
    if workload.contains("client") {
        return Ok(());
    }
    write!(f, ", {clients} client{s}")
}

impl Cell {
    /// Brings a contender into the state in which it is measured.
    pub(crate) fn warm_up(&self, dir: &Path, runner: &Runner<'_>, seconds: u32) -> Result<()> {
        match self.workload.state {
            State::Cold => Ok(()),
            State::Warm => {
                let wide = Cell {
                    clients: 16,
                    ..*self
                };
                wide.pgbench(dir, runner, seconds, &[]).map(|_| ())
            }
            State::Filled(keys) => {
                let share = keys / FILLERS;
                let file = dir.join("fill.sql");
                fs::write(&file, FILL)?;
                let mut command = self.command(dir);
                command.args([
                    format!("--client={FILLERS}"),
                    format!("--transactions={share}"),
                    format!("--define=share={share}"),
                    "--define=n=0".to_owned(),
                    format!("--file={}", file.display()),
                ]);
                self.output(command, runner).map(|_| ())
            }
        }
    }

    /// Runs and measures.
    pub(crate) fn measure(
        &self,
        dir: &Path,
        runner: &Runner<'_>,
        server: u32,
        seconds: u32,
    ) -> Result<Sample> {
        let contender = runner.contender;
        let hits = contender.hits()?;
        let (own, behind) = (contender.cpu()?, cpu::seconds(server)?);
        let output = self.pgbench(
            dir,
            runner,
            seconds,
            &["--log", "--log-prefix=run", SAMPLING],
        )?;
        // Processes that have just ended are still to be waited for by their parents.
        thread::sleep(SETTLE);
        let (own, behind) = (contender.cpu()? - own, cpu::seconds(server)? - behind);
        let transactions: f64 = after(&output, "number of transactions actually processed: ")?;
        ensure!(transactions > 0.0, "pgbench did nothing:\n{output}");
        let mut times = take_times(dir)?;
        times.sort_unstable();
        let hit_rate = match (hits, contender.hits()?) {
            (Some((hits, all)), Some((hits_now, all_now))) if all_now > all => {
                Some((hits_now - hits) / (all_now - all))
            }
            _ => None,
        };
        Ok(Sample {
            tps: after(&output, "tps = ")?,
            p50_us: at(&times, 50)?,
            p99_us: at(&times, 99)?,
            cpu_us: own / transactions * 1e6,
            server_us: behind / transactions * 1e6,
            hit_rate,
        })
    }

    fn pgbench(
        &self,
        dir: &Path,
        runner: &Runner<'_>,
        seconds: u32,
        more: &[&str],
    ) -> Result<String> {
        let mut command = self.command(dir);
        command.arg(format!("--client={}", self.clients));
        command.arg(format!("--time={seconds}"));
        for (number, script) in self.workload.scripts.iter().enumerate() {
            let file = format!("script{number}.sql");
            fs::write(dir.join(&file), script.1)?;
            command.arg(format!("--file={file}@{}", script.0));
        }
        if self.workload.connects {
            command.arg("--connect");
        }
        command.args(more);
        self.output(command, runner)
    }

    fn command(&self, dir: &Path) -> Command {
        let mut command = Command::new("pgbench");
        command.current_dir(dir).stdin(Stdio::null());
        command.args(["--no-vacuum", "--jobs=2"]);
        command.arg(format!("--protocol={}", self.protocol.name()));
        command
    }

    fn output(&self, mut command: Command, runner: &Runner<'_>) -> Result<String> {
        command.arg(runner.contender.url(&runner.database));
        let output = command.output().context("cannot run pgbench")?;
        ensure!(
            output.status.success(),
            "{} through {}: {}\n{}",
            self.workload.name,
            runner.contender.name,
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

/// The number that follows these words at the start of a line.
fn after(output: &str, words: &str) -> Result<f64> {
    let rest = output
        .lines()
        .find_map(|line| line.strip_prefix(words))
        .with_context(|| format!("pgbench does not say `{words}`:\n{output}"))?;
    let number = rest.split([' ', '/']).next().unwrap_or_default();
    Ok(number.parse()?)
}

fn at(sorted: &[u32], percent: usize) -> Result<f64> {
    let index = sorted.len() * percent / 100;
    let time = sorted.get(index).context("pgbench logged nothing")?;
    Ok((*time).into())
}

/// The third column of each log line is the transaction's time in microseconds.
fn take_times(dir: &Path) -> Result<Vec<u32>> {
    let mut times = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with("run.") {
            let log = fs::read_to_string(&path)?;
            let time = |line: &str| line.split(' ').nth(2)?.parse::<u32>().ok();
            times.extend(log.lines().filter_map(time));
            fs::remove_file(path)?;
        }
    }
    Ok(times)
}

#[cfg(test)]
mod tests {
    use super::after;

    #[test]
    fn numbers_are_found_behind_their_words() {
        let output = "tps = 12.5 (without initial connection time)\n\
                      number of transactions actually processed: 42/100\n";
        assert_eq!(after(output, "tps = ").unwrap(), 12.5);
        let words = "number of transactions actually processed: ";
        assert_eq!(after(output, words).unwrap(), 42.0);
        assert!(after(output, "latency ").is_err());
    }
}
