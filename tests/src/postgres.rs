//! A throwaway PostgreSQL: own directory, own port, nothing synced to disk.

use std::{
    env, fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
};

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;

use crate::{
    env::{cache, is_root},
    net::{SOON, eventually, free_port, local},
    server::{Server, Signal, signal},
    wire::{Conn, Login},
};

/// Which server to run.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Version {
    /// The one the distribution installed, 15 on Debian 12, or another that `PGMEMO_TEST_VERSION`
    /// names.
    System,
    /// 16, fetched by `cargo xtask setup 16`.
    V16,
    /// 17, fetched by `cargo xtask setup 17`.
    V17,
    /// 18, fetched by `cargo xtask setup`.
    V18,
}

impl Version {
    /// The name of its directory in the cache, and of its variable.
    pub const fn label(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::V16 => "16",
            Self::V17 => "17",
            Self::V18 => "18",
        }
    }

    /// The variable that names a server already running for the whole test run.
    pub fn variable(self) -> String {
        format!("PGMEMO_TEST_POSTGRES_{}", self.label().to_ascii_uppercase())
    }

    /// Where `initdb` and `postgres` lie.
    pub fn bin(self) -> Result<PathBuf> {
        match self {
            Self::System => match env::var("PGMEMO_TEST_VERSION") {
                Ok(version) => fetched(&version),
                Err(_) => system_bin(),
            },
            Self::V16 | Self::V17 | Self::V18 => fetched(self.label()),
        }
    }
}

/// A running server.
#[derive(Debug)]
pub struct Postgres {
    address: SocketAddr,
    own: Option<(Server, TempDir)>,
}

/// The password of the users `scram_user`, `md5_user` and `clear_user`.
pub const PASSWORD: &str = "open sesame";

const HBA: &str = "\
host replication all 127.0.0.1/32 trust
host all scram_user 127.0.0.1/32 scram-sha-256
host all md5_user 127.0.0.1/32 md5
host all clear_user 127.0.0.1/32 password
host all rejected_user 127.0.0.1/32 reject
host all all 127.0.0.1/32 trust
";

/// Nothing is synced, for the machine does not crash; but what was acknowledged is written, so that
/// a server that is killed still has it.
const CONF: &str = "
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
fsync = off
full_page_writes = off
autovacuum = off
max_connections = 400
max_prepared_transactions = 20
max_wal_senders = 5
wal_level = logical
shared_buffers = 64MB
jit = off
lc_messages = 'C'
timezone = 'UTC'
log_timezone = 'UTC'
";

const ROLES: [&str; 8] = [
    "CREATE ROLE alice LOGIN",
    "CREATE ROLE bob LOGIN",
    "CREATE ROLE rejected_user LOGIN",
    "SET password_encryption = 'scram-sha-256'",
    "CREATE ROLE scram_user LOGIN PASSWORD 'open sesame'",
    "CREATE ROLE clear_user LOGIN PASSWORD 'open sesame'",
    "SET password_encryption = 'md5'",
    "CREATE ROLE md5_user LOGIN PASSWORD 'open sesame'",
];

impl Postgres {
    /// A new server of its own.
    pub fn start(version: Version) -> Result<Self> {
        let (bin, dir) = (version.bin()?, directory()?);
        let cluster = dir.path().join("cluster");
        run(as_server_user(&bin.join("initdb"), dir.path())
            .args(["--username=postgres", "--auth=trust", "--no-sync"])
            .args(["--encoding=UTF8", "--locale=C.UTF-8", "--pgdata"])
            .arg(&cluster))?;
        fs::write(cluster.join("pg_hba.conf"), HBA)?;
        let conf = fs::read_to_string(cluster.join("postgresql.conf"))?;
        fs::write(cluster.join("postgresql.conf"), conf + CONF)?;
        let postgres = Self::serve(version, dir)?;
        let mut conn = postgres.connect("postgres")?;
        for statement in ROLES {
            conn.run(statement)?;
        }
        Ok(postgres)
    }

    /// A server that follows this one, and lets others read.
    pub fn standby(&self, version: Version) -> Result<Self> {
        let (bin, dir) = (version.bin()?, directory()?);
        run(as_server_user(&bin.join("pg_basebackup"), dir.path())
            .args(["--username=postgres", "--checkpoint=fast", "--no-sync"])
            .args(["--write-recovery-conf", "--host=127.0.0.1"])
            .arg(format!("--port={}", self.address.port()))
            .arg("--pgdata")
            .arg(dir.path().join("cluster")))?;
        Self::serve(version, dir)
    }

    fn serve(version: Version, dir: TempDir) -> Result<Self> {
        let (bin, cluster) = (version.bin()?, dir.path().join("cluster"));
        let port = free_port()?;
        let address = local(port);
        let mut command = as_server_user(&bin.join("postgres"), dir.path());
        command
            .arg("-D")
            .arg(&cluster)
            .args(["-p", &port.to_string()]);
        let log = dir.path().join("log");
        let mut server = Server::spawn("PostgreSQL", command, Signal::Int, &log, dir.path())?;
        server.await_ready(SOON * 3, || {
            Conn::connect(address, &Login::default()).is_ok()
        })?;
        Ok(Self {
            address,
            own: Some((server, dir)),
        })
    }

    /// The server that all tests of a run share; each takes databases of its own.
    pub fn shared(version: Version) -> &'static Self {
        static SHARED: [OnceLock<Postgres>; 4] = [const { OnceLock::new() }; 4];
        SHARED[version as usize].get_or_init(|| match env::var(version.variable()) {
            Ok(address) => Self {
                address: address.parse().expect("an address"),
                own: None,
            },
            Err(_) => Self::start(version).expect("PostgreSQL starts"),
        })
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its first process, unless it belongs to others.
    pub fn pid(&self) -> Option<u32> {
        self.own.as_ref().map(|(server, _)| server.pid())
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

    /// A new, empty database, dropped with the handle.
    pub fn database(&self) -> Result<Database> {
        static LAST: AtomicU32 = AtomicU32::new(0);
        let number = LAST.fetch_add(1, Ordering::Relaxed);
        let name = format!("test_{}_{number}", std::process::id());
        self.connect("postgres")?
            .run(&format!("CREATE DATABASE {name}"))?;
        Ok(Database {
            address: self.address,
            name,
        })
    }

    /// Sends a signal to the server and to all its processes; gives those.
    pub fn signal_all(&self, which: Signal) -> Result<Vec<u32>> {
        let Some((server, _)) = &self.own else {
            bail!("this server belongs to others")
        };
        // The server first: it must not fork, nor see its processes end, in between.
        server.signal(which)?;
        let children = children(server.pid())?;
        for &child in &children {
            // One that has ended by itself needs no signal.
            let _ = signal(child, which);
        }
        Ok(children)
    }

    /// Kills all its processes as `kill -9` does, and starts it anew on the same port.
    pub fn kill_and_restart(&mut self, version: Version) -> Result<()> {
        // While it stands still: once it is gone, its processes are no longer its children.
        let processes = self.signal_all(Signal::Stop)?;
        for process in self.pid().into_iter().chain(processes.iter().copied()) {
            let _ = signal(process, Signal::Kill);
        }
        // Until the last of them is gone, their memory is in use, and a server refuses to start.
        eventually("the end of all processes", SOON, || {
            processes.iter().all(|&pid| !is_running(pid)).then_some(())
        })?;
        self.restart(version)
    }

    /// Stops as after a crash and starts anew on the same port: unlogged tables are empty then.
    pub fn crash_and_restart(&mut self, version: Version) -> Result<()> {
        let Some((server, _)) = &mut self.own else {
            bail!("this server belongs to others")
        };
        server.signal(Signal::Quit)?;
        self.restart(version)
    }

    fn restart(&mut self, version: Version) -> Result<()> {
        let Some((server, dir)) = &mut self.own else {
            bail!("this server belongs to others")
        };
        server.wait(SOON)?;
        server.stop();
        let mut command = as_server_user(&version.bin()?.join("postgres"), dir.path());
        command.arg("-D").arg(dir.path().join("cluster"));
        command.args(["-p", &self.address.port().to_string()]);
        let log = dir.path().join("log");
        *server = Server::spawn("PostgreSQL", command, Signal::Int, &log, dir.path())?;
        let address = self.address;
        server.await_ready(SOON * 3, || {
            Conn::connect(address, &Login::default()).is_ok()
        })
    }

    /// Lets it run on, with its directory; gives its process id.
    pub fn leave_running(self) -> Option<(u32, PathBuf)> {
        let (server, dir) = self.own?;
        let pid = server.pid();
        server.leave_running();
        Some((pid, dir.keep()))
    }
}

/// A directory of the server's user.
fn directory() -> Result<TempDir> {
    let dir = tempfile::Builder::new()
        .prefix("pgmemo-postgres-")
        .tempdir()?;
    if let Some(user) = other_user() {
        run(Command::new("chown").arg(user).arg(dir.path()))?;
    }
    Ok(dir)
}

/// A database that goes with its handle.
#[derive(Debug)]
pub struct Database {
    address: SocketAddr,
    name: String,
}

impl Database {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where its server listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// A session of the superuser with the server itself.
    pub fn connect(&self) -> Result<Conn> {
        Conn::connect(self.address, &Login::to(&self.name))
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if let Ok(mut conn) = Conn::connect(self.address, &Login::default()) {
            let _ = conn.run(&format!(
                "DROP DATABASE IF EXISTS {} WITH (FORCE)",
                self.name
            ));
        }
    }
}

/// PostgreSQL refuses to run as root; this user takes its place.
fn other_user() -> Option<&'static str> {
    if !is_root() {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let known = users.lines().any(|line| line.starts_with("postgres:"));
    Some(if known { "postgres" } else { "nobody" })
}

fn as_server_user(program: &Path, home: &Path) -> Command {
    let mut command = match other_user() {
        None => Command::new(program),
        Some(user) => {
            let mut command = Command::new("setpriv");
            command.args([
                "--reuid",
                user,
                "--regid",
                group(user),
                "--clear-groups",
                "--",
            ]);
            command.arg(program);
            command
        }
    };
    command
        .current_dir(home)
        .env("LC_ALL", "C")
        .env_remove("PGDATA")
        .env_remove("PGPORT");
    command
}

fn group(user: &'static str) -> &'static str {
    if user == "nobody" { "nogroup" } else { user }
}

/// A directory that the server's user may enter: a copy, if the checkout lies in a closed home.
fn reachable(bin: &Path) -> Result<PathBuf> {
    let Some(user) = other_user() else {
        return Ok(bin.to_owned());
    };
    let open = Command::new("setpriv")
        .args([
            "--reuid",
            user,
            "--regid",
            group(user),
            "--clear-groups",
            "--",
            "test",
            "-x",
        ])
        .arg(bin.join("initdb"))
        .status()?;
    if open.success() {
        return Ok(bin.to_owned());
    }
    let package = bin.parent().context("a bin directory has a parent")?;
    let name = package.file_name().context("a package has a name")?;
    let copy = env::temp_dir().join(format!("pgmemo-{}", name.to_string_lossy()));
    if !copy.exists() {
        let fresh = tempfile::Builder::new().prefix("pgmemo-copy-").tempdir()?;
        let whole = fresh.path().join("copy");
        run(Command::new("cp").arg("-rL").arg(package).arg(&whole))?;
        run(Command::new("chmod").args(["-R", "a+rX"]).arg(&whole))?;
        // Whoever comes second finds the first one's copy in place.
        let _ = fs::rename(&whole, &copy);
    }
    Ok(copy.join("bin"))
}

/// One that set-up has fetched.
fn fetched(version: &str) -> Result<PathBuf> {
    let bin = cache().join(format!("postgres-{version}")).join("bin");
    ensure!(
        bin.join("initdb").is_file(),
        "PostgreSQL {version} is missing; run `cargo xtask setup {version}`"
    );
    reachable(&bin)
}

fn system_bin() -> Result<PathBuf> {
    let mut found: Vec<(u32, PathBuf)> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path())))
        .map(|(version, path)| (version, path.join("bin")))
        .filter(|(_, bin)| bin.join("initdb").is_file())
        .collect();
    found.sort();
    if let Some((_, bin)) = found.pop() {
        return Ok(bin);
    }
    let output = Command::new("pg_config").arg("--bindir").output();
    let output = output.context("PostgreSQL is missing; run `cargo xtask setup`")?;
    Ok(PathBuf::from(String::from_utf8(output.stdout)?.trim()))
}

/// The processes that a process has started and that still run.
fn children(parent: u32) -> Result<Vec<u32>> {
    let pids = fs::read_dir("/proc")?
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let of = |pid: &u32| stat(*pid).is_some_and(|(_, of)| of == parent);
    Ok(pids.filter(of).collect())
}

/// Whether a process has not ended yet; one that nobody has buried has.
fn is_running(pid: u32) -> bool {
    stat(pid).is_some_and(|(state, _)| state != 'Z' && state != 'X')
}

/// The state and the parent of a process.
fn stat(pid: u32) -> Option<(char, u32)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // They stand behind the command's name in parentheses.
    let mut words = stat.rsplit(')').next()?.split_whitespace();
    Some((words.next()?.chars().next()?, words.next()?.parse().ok()?))
}

fn run(command: &mut Command) -> Result<()> {
    let output = command
        .output()
        .with_context(|| format!("cannot run {command:?}"))?;
    ensure!(
        output.status.success(),
        "{command:?} failed:\n{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}
