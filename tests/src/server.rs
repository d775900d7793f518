//! A child process that cannot outlive us.
//!
//! Beside each server stands a shell that reads a pipe whose other end is ours. When the pipe ends,
//! because we stopped the server, failed, or were killed, the shell stops what still runs and
//! removes its directory. `Drop` does the same at once in the ordinary case; statics, which are
//! never dropped, rely on the shell alone.

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use anyhow::{Context, Result};

use crate::net::eventually;

/// How long a server may take to stop before it is killed.
const STOP_DEADLINE: Duration = Duration::from_secs(15);

/// Arguments: process id, signal that stops it, directory to remove or nothing.
const GUARD: &str = r#"
trap '' HUP INT TERM
read -r word
[ "$word" = released ] && exit 0
kill -s CONT "$1" 2>/dev/null
kill -s "$2" "$1" 2>/dev/null
tries=0
while kill -0 "$1" 2>/dev/null && [ "$tries" -lt 150 ]; do
    tries=$((tries + 1))
    [ "$tries" -eq 100 ] && kill -s KILL "$1" 2>/dev/null
    sleep 0.1
done
[ -n "$3" ] && rm -rf -- "$3"
"#;

/// A signal, by its name for `kill`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Signal {
    /// Reload.
    Hup,
    /// Interrupt; fast shutdown of PostgreSQL.
    Int,
    /// Terminate.
    Term,
    /// Immediate shutdown of PostgreSQL, as after a crash.
    Quit,
    /// Kill.
    Kill,
    /// Freeze.
    Stop,
    /// Thaw.
    Cont,
}

impl Signal {
    const fn name(self) -> &'static str {
        match self {
            Self::Hup => "HUP",
            Self::Int => "INT",
            Self::Term => "TERM",
            Self::Quit => "QUIT",
            Self::Kill => "KILL",
            Self::Stop => "STOP",
            Self::Cont => "CONT",
        }
    }
}

/// Sends a signal to a process.
pub fn signal(pid: u32, signal: Signal) -> Result<()> {
    let status = Command::new("sh")
        .args([
            "-c",
            r#"kill -s "$1" "$2" 2>/dev/null"#,
            "kill",
            signal.name(),
        ])
        .arg(pid.to_string())
        .status()?;
    anyhow::ensure!(status.success(), "process {pid} is gone");
    Ok(())
}

/// A running server, its log, and the directory that goes with it.
#[derive(Debug)]
pub struct Server {
    name: &'static str,
    child: Child,
    guard: Option<Child>,
    stop: Signal,
    log: PathBuf,
}

impl Server {
    /// Starts `command` with its output in `log`; `dir` is removed if we die before it.
    pub fn spawn(
        name: &'static str,
        mut command: Command,
        stop: Signal,
        log: &Path,
        dir: &Path,
    ) -> Result<Self> {
        let output = File::options().create(true).append(true).open(log)?;
        let child = command
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        let guard = Command::new("sh")
            .args(["-c", GUARD, "guard"])
            .args([&child.id().to_string(), stop.name()])
            .arg(dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Self {
            name,
            child,
            guard: Some(guard),
            stop,
            log: log.to_owned(),
        })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal.
    pub fn signal(&self, which: Signal) -> Result<()> {
        signal(self.pid(), which)
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Waits for its end.
    pub fn wait(&mut self, deadline: Duration) -> Result<ExitStatus> {
        let what = format!("end of {}", self.name);
        eventually(&what, deadline, || self.child.try_wait().ok().flatten())
    }

    /// Waits until `ready`, or fails with its log if it ends before.
    pub fn await_ready(
        &mut self,
        deadline: Duration,
        mut ready: impl FnMut() -> bool,
    ) -> Result<()> {
        let what = format!("start of {}", self.name);
        eventually(&what, deadline, || {
            if let Some(status) = self.ended() {
                return Some(Err(anyhow::anyhow!(
                    "{} ended at once: {status}",
                    self.name
                )));
            }
            ready().then_some(Ok(()))
        })
        .flatten()
        .with_context(|| self.log_tail())
    }

    /// Stops it in the ordinary way, and by force when the deadline has passed.
    pub fn stop(&mut self) {
        if self.ended().is_none() {
            let _ = self.signal(Signal::Cont);
            let _ = self.signal(self.stop);
            if self.wait(STOP_DEADLINE).is_err() {
                let _ = self.child.kill();
                let _ = self.child.wait();
            }
        }
        self.release();
    }

    /// Kills it as `kill -9` does, and waits until it is gone.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        self.release();
        Ok(())
    }

    /// Lets it run on after us.
    pub fn leave_running(mut self) {
        self.release();
        std::mem::forget(self);
    }

    /// The end of its log.
    pub fn log_tail(&self) -> String {
        let log = fs::read(&self.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<_> = log.lines().collect();
        let tail = lines[lines.len().saturating_sub(12)..].join("\n");
        format!("log of {}:\n{tail}", self.name)
    }

    fn release(&mut self) {
        if let Some(mut guard) = self.guard.take() {
            if let Some(mut pipe) = guard.stdin.take() {
                let _ = pipe.write_all(b"released\n");
            }
            let _ = guard.wait();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.log_tail());
        }
        self.stop();
    }
}
