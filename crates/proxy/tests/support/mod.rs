//! A throwaway PostgreSQL for the tests of this crate.

#![allow(dead_code, reason = "each test binary uses its part")]

pub(crate) mod watched;

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, id},
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use config::{Secret, TlsMode, Upstream};

/// The password of every role that has one.
pub(crate) const PASSWORD: &str = "open sesame";

/// A running server, stopped and removed when dropped.
///
/// It knows the roles `trusted`, `clear`, `md5` and `scram`, each logging in by the method of its
/// name, and `postgres`, a superuser with a SCRAM password.
pub(crate) struct Postgres {
    dir: PathBuf,
    pub(crate) port: u16,
}

impl Postgres {
    /// The server that the tests of one binary share.
    pub(crate) fn shared() -> Arc<Self> {
        static SHARED: Mutex<Weak<Postgres>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        shared.upgrade().unwrap_or_else(|| {
            let server = Arc::new(Self::start());
            *shared = Arc::downgrade(&server);
            server
        })
    }

    /// A session of the superuser, in the clear.
    pub(crate) async fn session(&self, database: &str) -> tokio_postgres::Client {
        let mut login = tokio_postgres::Config::new();
        login
            .host("127.0.0.1")
            .port(self.port)
            .user("postgres")
            .password(PASSWORD)
            .dbname(database);
        let (client, connection) = login.connect(tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        client
    }

    /// A server of its own.
    pub(crate) fn start() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let dir = env::temp_dir().join(format!("pgmemo-proxy-{}-{count}", id()));
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("password"), PASSWORD).unwrap();
        own(&dir);
        let server = Self {
            dir,
            port: pgmemo_tests::net::free_port().unwrap(),
        };
        server.run(&format!(
            "initdb -D {0}/data -A trust -U postgres --pwfile={0}/password --no-sync",
            server.dir.display()
        ));
        server.make_certificates();
        fs::write(server.dir.join("data/pg_hba.conf"), HBA).unwrap();
        let port = server.port;
        let conf = format!(
            "port = {port}\nunix_socket_directories = '{}'\n",
            server.dir.display()
        );
        fs::write(server.dir.join("data/postgresql.auto.conf"), conf + CONF).unwrap();
        own(&server.dir);
        server.restart();
        for statement in ROLES {
            server.sql(statement);
        }
        server
    }

    /// Stops it as a crash would, if it runs, and starts it.
    pub(crate) fn restart(&self) {
        let data = self.dir.join("data");
        if data.join("postmaster.pid").exists() {
            self.stop();
        }
        let log = self.dir.join("log");
        self.run(&format!(
            "pg_ctl -w -D {} -l {} start",
            data.display(),
            log.display()
        ));
    }

    /// Kills one of its processes: it ends all others, as its memory may be damaged, and recovers.
    pub(crate) fn crash(&self) {
        let address = format!(
            "host=127.0.0.1 port={} user=postgres dbname=postgres",
            self.port
        );
        let kill = "COPY (SELECT pid FROM pg_stat_activity WHERE backend_type = 'walwriter') \
            TO PROGRAM 'xargs kill -9'";
        // It may be gone before it has answered.
        Command::new(bin().join("psql"))
            .args(["-X", "-q", "-c", kill, &address])
            .env("PGPASSWORD", PASSWORD)
            .output()
            .unwrap();
    }

    fn stop(&self) {
        let data = self.dir.join("data");
        self.run(&format!(
            "pg_ctl -w -m immediate -D {} stop",
            data.display()
        ));
    }

    /// Runs a statement as superuser through psql, behind pgmemo's back.
    pub(crate) fn sql(&self, statement: &str) {
        let output = Command::new(bin().join("psql"))
            .args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-c", statement])
            .arg(format!(
                "host=127.0.0.1 port={} user=postgres dbname=postgres",
                self.port
            ))
            .env("PGPASSWORD", PASSWORD)
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    /// A file of its directory: `root.crt`, `server.crt`, `other.crt`.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Where its Unix-domain socket lies.
    pub(crate) fn socket_directory(&self) -> String {
        self.dir.display().to_string()
    }

    /// How to reach it, as superuser.
    pub(crate) fn upstream(&self, tls: TlsMode) -> Upstream {
        Upstream {
            host: "localhost".to_owned(),
            port: self.port,
            user: Some("postgres".to_owned()),
            password: Some(Secret::new(PASSWORD.to_owned())),
            database: Some("postgres".to_owned()),
            tls,
            root_certificate: None,
            client_certificate: None,
            names_host: true,
            channel_binding: config::ChannelBinding::Prefer,
            options: None,
            ignored: Vec::new(),
            connect_timeout: Duration::from_secs(20),
            liveness: config::Liveness::default(),
        }
    }

    /// A root, a server certificate for `localhost` signed by it, and a stranger's.
    fn make_certificates(&self) {
        let dir = self.dir.display();
        let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2";
        for name in ["root", "other"] {
            shell(&format!(
                "openssl req -x509 {key} -subj /CN={name} \
                 -keyout {dir}/{name}.key -out {dir}/{name}.crt"
            ));
        }
        fs::write(self.dir.join("san"), "subjectAltName=DNS:localhost").unwrap();
        shell(&format!(
            "openssl req {key} -keyout {dir}/certified.key -out {dir}/certified.csr \
             -subj /CN=certified && \
             openssl x509 -req -in {dir}/certified.csr -CA {dir}/root.crt -CAkey {dir}/root.key \
             -set_serial 8 -days 2 -out {dir}/certified.crt && \
             cp {dir}/root.crt {dir}/data/"
        ));
        shell(&format!(
            "openssl req {key} -keyout {dir}/server.key -out {dir}/server.csr -subj /CN=server && \
             openssl x509 -req -in {dir}/server.csr -CA {dir}/root.crt -CAkey {dir}/root.key \
             -set_serial 7 -days 2 -extfile {dir}/san -out {dir}/server.crt && \
             cp {dir}/server.crt {dir}/server.key {dir}/data/ && chmod 600 {dir}/data/server.key"
        ));
    }

    /// Runs one of PostgreSQL's programs as a user that it accepts.
    fn run(&self, command: &str) {
        let command = format!(
            "{}/{command} >>{}/output 2>&1",
            bin().display(),
            self.dir.display()
        );
        if is_root() {
            shell(&format!("su postgres -s /bin/sh -c '{command}'"));
        } else {
            shell(&command);
        }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.stop();
        let _ = fs::remove_dir_all(&self.dir);
    }
}

fn shell(command: &str) {
    let output = Command::new("sh").args(["-c", command]).output().unwrap();
    assert!(
        output.status.success(),
        "{command}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

fn own(dir: &Path) {
    if is_root() {
        shell(&format!("chown -R postgres {}", dir.display()));
    }
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().unwrap().stdout == b"0\n"
}

/// The newest server that the distribution has installed.
pub(crate) fn bin() -> PathBuf {
    let mut versions: Vec<_> = fs::read_dir("/usr/lib/postgresql")
        .expect("PostgreSQL is installed")
        .map(|entry| entry.unwrap().path().join("bin"))
        .collect();
    versions.sort();
    versions.pop().expect("PostgreSQL is installed")
}

const HBA: &str = "\
hostssl all certified 127.0.0.1/32 cert
hostssl all certified ::1/128 cert
local all all trust
host all trusted all trust
host all clear all password
host all md5 all md5
hostnossl all plain all scram-sha-256
host all all all scram-sha-256
host replication all all scram-sha-256
";

const CONF: &str = "\
listen_addresses = '127.0.0.1'
ssl = on
ssl_ca_file = 'root.crt'
fsync = off
autovacuum = off
shared_buffers = 16MB
";

const ROLES: [&str; 7] = [
    "CREATE ROLE certified LOGIN",
    "CREATE ROLE trusted LOGIN",
    "CREATE ROLE scram LOGIN PASSWORD 'open sesame'",
    "CREATE ROLE plain LOGIN PASSWORD 'open sesame'",
    "CREATE ROLE clear LOGIN PASSWORD 'open sesame'",
    "SET password_encryption = 'md5'; CREATE ROLE md5 LOGIN PASSWORD 'open sesame'",
    "CREATE DATABASE other",
];
