//! pgmemo as a process: started, asked for its numbers, signalled.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, ExitStatus},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::{
    env::{direct, pgmemo_bin},
    http,
    metrics::Metrics,
    net::{SOON, accepts, free_port, local},
    postgres::Postgres,
    redis::{self, Redis},
    server::{Server, Signal},
    way::Way,
    wire::{Conn, Login},
};

/// Where replies and versions live.
#[derive(Clone, Copy, Debug)]
pub enum Store<'a> {
    /// In the process.
    Memory,
    /// In this Redis.
    Redis(&'a Redis),
    /// In this Redis, and near under leases.
    Leases(&'a Redis),
    /// In the Redis to which this way leads.
    Far(&'a Way),
    /// In the Redis behind this URL, which shows this certificate or another one.
    Encrypted(&'a str, &'a Path),
}

impl Store<'_> {
    fn argument(self) -> String {
        match self {
            Self::Memory => "memory".to_owned(),
            Self::Redis(redis) | Self::Leases(redis) => redis.url(),
            Self::Far(way) => way.url(),
            Self::Encrypted(url, _) => url.to_owned(),
        }
    }

    const fn patience(self) -> Duration {
        match self {
            Self::Redis(redis) | Self::Leases(redis) => redis.patience(),
            Self::Far(_) => redis::IMPATIENCE,
            Self::Memory | Self::Encrypted(..) => redis::PATIENCE,
        }
    }
}

/// A running pgmemo, or PostgreSQL in its place.
#[derive(Debug)]
pub struct Pgmemo {
    address: SocketAddr,
    admin: SocketAddr,
    process: Option<(Server, TempDir)>,
}

impl Pgmemo {
    /// Starts it with further arguments and waits until it is ready.
    pub fn start(upstream: &Postgres, store: Store<'_>, arguments: &[&str]) -> Result<Self> {
        Self::start_with(upstream, store, arguments, "")
    }

    /// The same with a configuration file.
    pub fn start_with(
        upstream: &Postgres,
        store: Store<'_>,
        arguments: &[&str],
        file: &str,
    ) -> Result<Self> {
        if direct() {
            return Ok(Self {
                address: upstream.address(),
                admin: local(1),
                process: None,
            });
        }
        Self::start_upstream(&upstream.url("postgres"), store, arguments, file)
    }

    /// The same; of what it could answer itself it asks the server half, as the seed says.
    pub fn start_forgetful(upstream: &Postgres, store: Store<'_>, seed: u64) -> Result<Self> {
        if direct() {
            return Self::start(upstream, store, &[]);
        }
        let seed = ("PGMEMO_TESTING_FORGET", seed.to_string());
        let mut pgmemo = Self::launch(&upstream.url("postgres"), store, &[], "", &[seed])?;
        pgmemo.await_ready()?;
        Ok(pgmemo)
    }

    /// The same; points between which others may come wait now and then, as the seed says.
    pub fn start_delayed(upstream: &Postgres, store: Store<'_>, seed: u64) -> Result<Self> {
        if direct() {
            return Self::start(upstream, store, &[]);
        }
        let seed = ("PGMEMO_TESTING_DELAY", seed.to_string());
        let mut pgmemo = Self::launch(&upstream.url("postgres"), store, &[], "", &[seed])?;
        pgmemo.await_ready()?;
        Ok(pgmemo)
    }

    /// The same, but waits only until it listens: it is not ready while its store is away.
    pub fn start_unready(upstream: &Postgres, store: Store<'_>) -> Result<Self> {
        if direct() {
            return Self::start(upstream, store, &[]);
        }
        let mut pgmemo = Self::launch(&upstream.url("postgres"), store, &[], "", &[])?;
        let address = pgmemo.address;
        pgmemo.server()?.await_ready(SOON, || accepts(address))?;
        Ok(pgmemo)
    }

    /// The same in front of any URL; there is no stand-in for it.
    pub fn start_upstream(
        upstream: &str,
        store: Store<'_>,
        arguments: &[&str],
        file: &str,
    ) -> Result<Self> {
        let mut pgmemo = Self::launch(upstream, store, arguments, file, &[])?;
        pgmemo.await_ready()?;
        Ok(pgmemo)
    }

    /// The same where the URL leads back to it, by the address that it is told.
    pub fn start_before_itself(url: impl FnOnce(SocketAddr) -> Result<String>) -> Result<Self> {
        let ports = (local(free_port()?), local(free_port()?));
        let mut pgmemo = Self::launch_at(ports, &url(ports.0)?, Store::Memory, &[], "", &[])?;
        pgmemo.server()?.await_ready(SOON, || accepts(ports.0))?;
        Ok(pgmemo)
    }

    fn await_ready(&mut self) -> Result<()> {
        let admin = self.admin;
        self.server()?.await_ready(SOON, || {
            http::get(admin, "/readyz").is_ok_and(|(status, _)| status == 200)
        })
    }

    fn launch(
        upstream: &str,
        store: Store<'_>,
        arguments: &[&str],
        file: &str,
        variables: &[(&str, String)],
    ) -> Result<Self> {
        let ports = (local(free_port()?), local(free_port()?));
        Self::launch_at(ports, upstream, store, arguments, file, variables)
    }

    fn launch_at(
        (address, admin): (SocketAddr, SocketAddr),
        upstream: &str,
        store: Store<'_>,
        arguments: &[&str],
        file: &str,
        variables: &[(&str, String)],
    ) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("pgmemo-").tempdir()?;
        let mut command = Command::new(pgmemo_bin()?);
        command.arg("serve").args(["--upstream", upstream]);
        command.args([
            "--listen",
            &address.to_string(),
            "--admin",
            &admin.to_string(),
        ]);
        command.args(["--store", &store.argument()]).args(arguments);
        let patience = store.patience().as_millis();
        command.env("PGMEMO_REDIS_DEADLINE", format!("{patience}ms"));
        command.envs(variables.iter().map(|(name, value)| (name, value)));
        if let Store::Leases(_) = store {
            command.env("PGMEMO_REDIS_MODE", "leases");
        }
        if let Store::Encrypted(_, trusted) = store {
            command.env("SSL_CERT_FILE", trusted);
        }
        if !file.is_empty() {
            fs::write(dir.path().join("pgmemo.toml"), file)?;
            command.arg("--config").arg(dir.path().join("pgmemo.toml"));
        }
        let log = dir.path().join("log");
        let server = Server::spawn("pgmemo", command, Signal::Term, &log, dir.path())?;
        Ok(Self {
            address,
            admin,
            process: Some((server, dir)),
        })
    }

    /// Starts it again on the same ports after it was killed, and waits until it is ready.
    pub fn start_again(&mut self, upstream: &Postgres, store: Store<'_>) -> Result<()> {
        let (address, admin) = (self.address, self.admin);
        let again = Self::launch_at(
            (address, admin),
            &upstream.url("postgres"),
            store,
            &[],
            "",
            &[],
        )?;
        *self = again;
        self.await_ready()
    }

    /// Whether there is a proxy whose hits can be counted.
    pub const fn is_real(&self) -> bool {
        self.process.is_some()
    }

    /// Where clients connect.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where metrics and health are served.
    pub const fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// A URL for the superuser.
    pub fn url(&self, database: &str) -> String {
        format!(
            "postgres://postgres@{}/{database}?sslmode=disable",
            self.address
        )
    }

    /// A session of the superuser.
    pub fn connect(&self, database: &str) -> Result<Conn> {
        Conn::connect(self.address, &Login::to(database))
    }

    /// Its numbers now; all zero when it is not real.
    pub fn metrics(&self) -> Result<Metrics> {
        if !self.is_real() {
            return Ok(Metrics::default());
        }
        let (status, body) = http::get(self.admin, "/metrics")?;
        ensure!(status == 200, "/metrics answers {status}");
        Ok(Metrics::parse(&body))
    }

    /// Statements answered from the store so far.
    pub fn hits(&self) -> Result<f64> {
        Ok(self.metrics()?.hits())
    }

    /// Statements answered without asking Redis so far.
    pub fn near_hits(&self) -> Result<f64> {
        Ok(self.metrics()?.sum("pgmemo_store_near_hits_total", &[]))
    }

    /// Fails unless at least `least` statements were answered from the store since `before`.
    pub fn expect_hits_since(&self, before: &Metrics, least: f64) -> Result<()> {
        if self.is_real() {
            let now = self.metrics()?;
            let grown = now.hits() - before.hits();
            ensure!(
                grown >= least,
                "{grown} hits, expected {least}; misses {}, bypassed for {:?}\n{}",
                now.misses() - before.misses(),
                now.bypass_reasons_since(before),
                self.log_tail()
            );
        }
        Ok(())
    }

    /// The end of its log, which tells when the catalog was read and why entries were given up.
    pub fn log_tail(&self) -> String {
        let process = self.process.as_ref();
        process.map_or_else(String::new, |(server, _)| server.log_tail())
    }

    /// Its process.
    pub fn server(&mut self) -> Result<&mut Server> {
        Ok(&mut self.process.as_mut().context("pgmemo is not running")?.0)
    }

    /// Its directory, with the configuration file.
    pub fn dir(&self) -> Result<&Path> {
        Ok(self
            .process
            .as_ref()
            .context("pgmemo is not running")?
            .1
            .path())
    }

    /// Sends SIGTERM and waits for the end.
    pub fn term(&mut self, deadline: Duration) -> Result<ExitStatus> {
        let server = self.server()?;
        server.signal(Signal::Term)?;
        server.wait(deadline)
    }

    /// Freezes it.
    pub fn pause(&mut self) -> Result<()> {
        self.server()?.signal(Signal::Stop)
    }

    /// Thaws it.
    pub fn cont(&mut self) -> Result<()> {
        self.server()?.signal(Signal::Cont)
    }

    /// Kills it as `kill -9` does.
    pub fn kill(&mut self) -> Result<()> {
        self.server()?.kill()
    }

    /// Resident memory in bytes.
    pub fn resident_bytes(&mut self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.server()?.pid()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib: u64 = line
            .context("no VmRSS")?
            .trim()
            .trim_end_matches(" kB")
            .parse()?;
        Ok(kib * 1024)
    }

    /// Lets it run on, with its directory; gives its process id.
    pub fn leave_running(self) -> Option<(u32, PathBuf)> {
        let (server, dir) = self.process?;
        let pid = server.pid();
        server.leave_running();
        Some((pid, dir.keep()))
    }
}
