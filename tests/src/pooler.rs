//! PgBouncer in front of a server.

use std::{fs, net::SocketAddr, path::Path, process::Command};

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::{
    env::is_root,
    net::{SOON, accepts, free_port, local},
    server::{Server, Signal},
};

/// A running PgBouncer.
#[derive(Debug)]
pub struct Pooler {
    address: SocketAddr,
    _server: Server,
    _dir: TempDir,
}

impl Pooler {
    /// Starts one that lends connections by the `session` or the `transaction`.
    pub fn start(server: SocketAddr, mode: &str) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("pgbouncer-").tempdir()?;
        let (port, users) = (free_port()?, dir.path().join("users"));
        fs::write(&users, "\"postgres\" \"\"\n")?;
        let settings = format!(
            "[databases]\n* = host=127.0.0.1 port={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n\
             listen_port = {port}\nunix_socket_dir =\nauth_type = trust\nauth_file = {}\n\
             pool_mode = {mode}\nignore_startup_parameters = extra_float_digits\n",
            server.port(),
            users.display(),
        );
        let file = dir.path().join("pgbouncer.ini");
        fs::write(&file, settings)?;
        let mut command = Command::new("pgbouncer");
        if is_root() {
            // It refuses to run as root.
            open(dir.path())?;
            command.args(["-u", "postgres"]);
        }
        command.arg(file);
        let log = dir.path().join("log");
        let address = local(port);
        let mut server = Server::spawn("PgBouncer", command, Signal::Int, &log, dir.path())?;
        server.await_ready(SOON, || accepts(address))?;
        Ok(Self {
            address,
            _server: server,
            _dir: dir,
        })
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// A database behind it, for the superuser.
    pub fn url(&self, database: &str) -> String {
        format!(
            "postgres://postgres@{}/{database}?sslmode=disable",
            self.address
        )
    }
}

fn open(dir: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let all = fs::Permissions::from_mode(0o755);
    fs::set_permissions(dir, all).context("cannot open a directory")
}
