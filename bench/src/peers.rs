//! Starting those who answer, with as little configuration as shows them at their best.

use std::{fs, net::SocketAddr, path::Path, process::Command};

use anyhow::{Context, Result};
use pgmemo_tests::{
    Redis,
    env::is_root,
    http,
    net::{SOON, accepts, free_port, local},
    server::{Server, Signal},
    wire::{Conn, Login},
};
use tempfile::TempDir;

use crate::contender::{Contender, Kind};

/// Where pgmemo keeps replies.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Residence {
    Memory,
    Redis,
    /// In Redis, and near under leases.
    Leases,
}

/// How pgmemo is started.
#[derive(Debug)]
pub(crate) struct Own<'a> {
    pub(crate) name: &'a str,
    pub(crate) program: &'a Path,
    pub(crate) upstream: String,
    pub(crate) residence: Residence,
    pub(crate) arguments: &'a [&'a str],
}

/// Starts pgmemo.
pub(crate) fn own(own: &Own<'_>) -> Result<Contender> {
    let (address, admin) = (local(free_port()?), local(free_port()?));
    let redis = (own.residence != Residence::Memory).then(Redis::start);
    let redis = redis.transpose()?;
    let store = redis
        .as_ref()
        .map_or_else(|| "memory".to_owned(), Redis::url);
    let mut command = Command::new(own.program);
    command.args(["serve", "--upstream", &own.upstream, "--store", &store]);
    command.args([
        "--listen",
        &address.to_string(),
        "--admin",
        &admin.to_string(),
    ]);
    command.args(own.arguments);
    // Where everything shares few cores, the scheduler alone takes longer than the default.
    command.env("PGMEMO_REDIS_DEADLINE", "20ms");
    if own.residence == Residence::Leases {
        command.env("PGMEMO_REDIS_MODE", "leases");
    }
    let dir = directory()?;
    let mut server = Server::spawn("pgmemo", command, Signal::Term, &log(&dir), dir.path())?;
    server.await_ready(SOON, || accepts(address))?;
    if own.upstream.contains('@') {
        server.await_ready(SOON, || {
            http::get(admin, "/readyz").is_ok_and(|(status, _)| status == 200)
        })?;
    }
    let contender = Contender::started(own.name, Kind::Own, address, server, dir).with_admin(admin);
    Ok(match redis {
        Some(redis) => contender.with_redis(redis),
        None => contender,
    })
}

/// Starts the canned responder with one reply.
pub(crate) fn canned(program: &Path, reply: &[u8], redis: bool) -> Result<Contender> {
    let address = local(free_port()?);
    let dir = directory()?;
    let file = dir.path().join("reply");
    fs::write(&file, reply)?;
    let mut command = Command::new(program);
    command.arg(address.to_string()).arg(file);
    let redis = redis.then(Redis::start).transpose()?;
    if let Some(redis) = &redis {
        command.arg(redis.url());
    }
    let mut server = Server::spawn("canned", command, Signal::Term, &log(&dir), dir.path())?;
    server.await_ready(SOON, || accepts(address))?;
    let name = if redis.is_some() {
        "canned + Redis"
    } else {
        "canned"
    };
    let contender = Contender::started(name, Kind::Canned, address, server, dir);
    Ok(match redis {
        Some(redis) => contender.with_redis(redis),
        None => contender,
    })
}

/// Starts PgBouncer in session mode. `fresh`: each server connection serves one client.
pub(crate) fn pgbouncer(upstream: SocketAddr, fresh: bool) -> Result<Contender> {
    let (port, dir) = (free_port()?, directory()?);
    let users = dir.path().join("users");
    fs::write(&users, "\"postgres\" \"\"\n")?;
    let settings = format!(
        "[databases]\n* = host=127.0.0.1 port={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n\
         listen_port = {port}\nunix_socket_dir =\nauth_type = trust\nauth_file = {}\n\
         pool_mode = session\nmax_client_conn = 1000\ndefault_pool_size = 300\n\
         ignore_startup_parameters = extra_float_digits\nlog_connections = 0\n\
         log_disconnections = 0\nserver_idle_timeout = 30\n{}",
        upstream.port(),
        users.display(),
        if fresh { "server_lifetime = 0\n" } else { "" },
    );
    let file = dir.path().join("pgbouncer.ini");
    fs::write(&file, settings)?;
    let mut command = Command::new("pgbouncer");
    if is_root() {
        // It refuses to run as root.
        open(&dir)?;
        command.args(["-u", "postgres"]);
    }
    command.arg(file);
    let mut server = Server::spawn("PgBouncer", command, Signal::Int, &log(&dir), dir.path())?;
    server.await_ready(SOON, || answers(local(port)))?;
    let name = if fresh {
        "PgBouncer, fresh"
    } else {
        "PgBouncer"
    };
    Ok(Contender::started(
        name,
        Kind::Pooler,
        local(port),
        server,
        dir,
    ))
}

/// Starts pgpool-II with its cache in shared memory.
pub(crate) fn pgpool(upstream: SocketAddr) -> Result<Contender> {
    let (port, dir) = (free_port()?, directory()?);
    let home = dir.path().display();
    let settings = format!(
        "listen_addresses = '127.0.0.1'\nport = {port}\npcp_listen_addresses = ''\n\
         pcp_port = {}\nsocket_dir = '{home}'\npcp_socket_dir = '{home}'\n\
         unix_socket_directories = '{home}'\n\
         backend_hostname0 = '127.0.0.1'\nbackend_port0 = {}\nbackend_clustering_mode = 'raw'\n\
         num_init_children = 96\nmax_pool = 1\nmemory_cache_enabled = on\n\
         memqcache_method = 'shmem'\nmemqcache_total_size = 256MB\n\
         memqcache_cache_block_size = 1MB\nmemqcache_maxcache = 400kB\n\
         memqcache_oiddir = '{home}/oids'\npid_file_name = '{home}/pid'\nlogdir = '{home}'\n\
         work_dir = '{home}'\nload_balance_mode = off\nhealth_check_period = 0\n\
         sr_check_period = 0\nuse_watchdog = off\n",
        free_port()?,
        upstream.port(),
    );
    fs::create_dir(dir.path().join("oids"))?;
    let file = dir.path().join("pgpool.conf");
    fs::write(&file, settings)?;
    let (hba, pcp) = (dir.path().join("hba"), dir.path().join("pcp"));
    fs::write(&hba, "host all all 127.0.0.1/32 trust\n")?;
    fs::write(&pcp, "")?;
    let mut command = Command::new("pgpool");
    command.arg("-n").arg("-f").arg(file);
    command.arg("-a").arg(hba).arg("-F").arg(pcp);
    let mut server = Server::spawn("pgpool-II", command, Signal::Int, &log(&dir), dir.path())?;
    server.await_ready(SOON, || answers(local(port)))?;
    Ok(Contender::started(
        "pgpool-II",
        Kind::Cache,
        local(port),
        server,
        dir,
    ))
}

fn answers(address: SocketAddr) -> bool {
    Conn::connect(address, &Login::default()).is_ok()
}

fn directory() -> Result<TempDir> {
    Ok(tempfile::Builder::new().prefix("pgmemo-bench-").tempdir()?)
}

fn log(dir: &TempDir) -> std::path::PathBuf {
    dir.path().join("log")
}

/// Lets other users read a directory.
fn open(dir: &TempDir) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let all = fs::Permissions::from_mode(0o755);
    fs::set_permissions(dir.path(), all).context("cannot open a directory")
}
