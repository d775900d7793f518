//! A throwaway Redis that can be killed, frozen, emptied and brought back with an old memory.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::{
    net::{SOON, free_port, local},
    server::{Server, Signal},
};

/// A Redis on a port of its own; the port stays the same over restarts.
#[derive(Debug)]
pub struct Redis {
    address: SocketAddr,
    /// The other port, and where certificate and key are.
    encrypted: Option<(u16, PathBuf)>,
    server: Option<Server>,
    dir: TempDir,
    patience: Duration,
}

/// What a stalled machine may take for one lookup.
pub(crate) const PATIENCE: Duration = Duration::from_millis(500);

/// Where everything shares two cores, the scheduler alone takes longer than the default.
pub(crate) const IMPATIENCE: Duration = Duration::from_millis(20);

impl Redis {
    /// An empty one, whose answers are waited for: each lookup counts.
    pub fn start() -> Result<Self> {
        Self::start_by(None)
    }

    /// The same for tests in which it does not answer: nobody waits for long.
    pub fn start_faulty() -> Result<Self> {
        Ok(Self {
            patience: IMPATIENCE,
            ..Self::start()?
        })
    }

    /// One that also encrypts, on a port of its own, with `server.crt` and `server.key`.
    pub fn start_encrypted(certificate: &Path) -> Result<Self> {
        Self::start_by(Some((free_port()?, certificate.to_owned())))
    }

    fn start_by(encrypted: Option<(u16, PathBuf)>) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("pgmemo-redis-").tempdir()?;
        let mut redis = Self {
            address: local(free_port()?),
            encrypted,
            server: None,
            dir,
            patience: PATIENCE,
        };
        redis.launch()?;
        Ok(redis)
    }

    /// `redis://…`.
    pub fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// `rediss://…`, by the name in the certificate, and the file of the certificate.
    pub fn encrypted(&self) -> Result<(String, PathBuf)> {
        let (port, dir) = self.encrypted.as_ref().context("Redis does not encrypt")?;
        Ok((format!("rediss://localhost:{port}"), dir.join("server.crt")))
    }

    /// How long one lookup may take.
    pub(crate) const fn patience(&self) -> Duration {
        self.patience
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Kills it as a crash would; nothing that was not saved survives.
    pub fn kill9(&mut self) -> Result<()> {
        self.server.take().context("Redis is not running")?.kill()
    }

    /// Starts it again with what was saved last, if anything.
    pub fn launch(&mut self) -> Result<()> {
        let mut command = Command::new("redis-server");
        command.args([
            "--bind",
            "127.0.0.1",
            "--port",
            &self.address.port().to_string(),
        ]);
        command.args(["--save", "", "--appendonly", "no", "--daemonize", "no"]);
        command
            .args(["--dbfilename", "dump.rdb", "--dir"])
            .arg(self.dir.path());
        if let Some((port, dir)) = &self.encrypted {
            let certificate = dir.join("server.crt");
            command.args(["--tls-auth-clients", "no", "--tls-port", &port.to_string()]);
            command.arg("--tls-key-file").arg(dir.join("server.key"));
            command.arg("--tls-cert-file").arg(&certificate);
            command.arg("--tls-ca-cert-file").arg(&certificate);
        }
        let log = self.dir.path().join("log");
        let mut server = Server::spawn("Redis", command, Signal::Term, &log, self.dir.path())?;
        let address = self.address;
        server.await_ready(SOON, || {
            ask(address, "PING").is_ok_and(|answer| answer == "+PONG")
        })?;
        self.server = Some(server);
        Ok(())
    }

    /// Freezes the process: connections stay open, nothing answers.
    pub fn pause(&self) -> Result<()> {
        self.server
            .as_ref()
            .context("Redis is not running")?
            .signal(Signal::Stop)
    }

    /// Thaws it.
    pub fn cont(&self) -> Result<()> {
        self.server
            .as_ref()
            .context("Redis is not running")?
            .signal(Signal::Cont)
    }

    /// Forgets everything.
    pub fn flush(&self) -> Result<()> {
        self.command("FLUSHALL").map(|_| ())
    }

    /// Writes its memory to disk, for a later [`Self::launch`].
    pub fn save(&self) -> Result<()> {
        self.command("SAVE").map(|_| ())
    }

    /// Removes what was saved.
    pub fn forget_saved(&self) -> Result<()> {
        match fs::remove_file(self.dir.path().join("dump.rdb")) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// First line of the answer to an inline command.
    pub fn command(&self, line: &str) -> Result<String> {
        let answer = ask(self.address, line)?;
        ensure!(!answer.starts_with('-'), "Redis answers {line}: {answer}");
        Ok(answer)
    }
}

fn ask(address: SocketAddr, line: &str) -> Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    write!(stream, "{line}\r\n")?;
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer)?;
    Ok(answer.trim_end().to_owned())
}
