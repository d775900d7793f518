//! Settings, parsed and checked once.
//!
//! Flag beats environment beats file beats default. All problems are reported at once.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

/// Everything that can be set.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where clients connect. Default `127.0.0.1:6432`.
    pub listen: SocketAddr,
    /// The PostgreSQL server behind us.
    pub upstream: Upstream,
    /// Where replies and versions live.
    pub store: StoreChoice,
    /// Where metrics and health are served; `None` switches it off. Default `127.0.0.1:9187`.
    pub admin: Option<SocketAddr>,
    /// What is cached and how large it may grow.
    pub cache: CacheSettings,
    /// Bounds on connections and waits.
    pub limits: Limits,
    /// Rules per table, in file order.
    pub tables: Vec<TableRule>,
    /// User functions the operator vouches for.
    pub functions: Vec<FunctionRule>,
}

/// The PostgreSQL server behind us, as a `postgres://` URL says it.
#[derive(Clone, Debug)]
pub struct Upstream {
    /// Host name, address, or the directory of a Unix-domain socket (starts with `/`).
    pub host: String,
    /// Port; default 5432.
    pub port: u16,
    /// User of our own control connections.
    pub user: Option<String>,
    /// Password of our own control connections.
    pub password: Option<Secret>,
    /// Database of the URL.
    pub database: Option<String>,
    /// `sslmode`; default `prefer`.
    pub tls: TlsMode,
    /// `sslrootcert`.
    pub root_certificate: Option<PathBuf>,
    /// How long a connection to the server may take. Default 10 s.
    pub connect_timeout: Duration,
}

/// A password that does not print.
#[derive(Clone, Eq, PartialEq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret.
    pub const fn new(secret: String) -> Self {
        Self(secret)
    }

    /// The secret itself, for the one place that sends it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("…")
    }
}

/// libpq's `sslmode`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TlsMode {
    /// Never.
    Disable,
    /// If the server offers it, unverified.
    Prefer,
    /// Always, unverified unless a root certificate is given.
    Require,
    /// Always, certificate verified.
    VerifyCa,
    /// Always, certificate and host name verified.
    VerifyFull,
}

/// Where replies and versions live.
#[derive(Clone, Debug)]
pub enum StoreChoice {
    /// In this process.
    Memory,
    /// In Redis.
    Redis(RedisSettings),
}

/// Redis as a store.
#[derive(Clone, Debug)]
pub struct RedisSettings {
    /// `redis://`, `rediss://`, `redis-cluster://`, `redis-sentinel://`, `redis+unix://`.
    pub url: Secret,
    /// How long one lookup, mark or bump may take. Default 5 ms.
    pub deadline: Duration,
    /// Prefix of all keys. Default `pgmemo`.
    pub prefix: String,
    /// Connections. Default 2.
    pub connections: usize,
}

/// What is cached and how large it may grow.
#[derive(Clone, Debug)]
pub struct CacheSettings {
    /// TTL of tables without a rule of their own; `None` caches only tables with a rule.
    /// Default 60 s.
    pub default_ttl: Option<Duration>,
    /// By how much of its TTL an entry may expire early, in percent. Default 10.
    pub jitter_percent: u8,
    /// Largest entry in bytes. Default 1 MiB.
    pub entry_bytes_max: u64,
    /// All entries in memory together, in bytes. Default 256 MiB.
    pub bytes_max: u64,
    /// All remembered analyses together, in bytes. Default 64 MiB.
    pub analysis_bytes_max: u64,
    /// Age at which a catalog snapshot is read again even if nothing was seen. Default 30 s.
    pub catalog_age_max: Duration,
}

/// Bounds on connections and waits.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Clients at the same time. Default 10,000.
    pub clients_max: u32,
    /// How long login may take. Default 60 s.
    pub login_timeout: Duration,
    /// How long SIGTERM waits for transactions to end. Default 30 s.
    pub drain_timeout: Duration,
    /// Worker threads; default one per core.
    pub threads: Option<usize>,
    /// Accept clients from other hosts to whom the server asked no challenge. Default false.
    pub allow_trust_relay: bool,
}

/// `[tables."pattern"]`.
#[derive(Clone, Debug)]
pub struct TableRule {
    /// `table`, `schema.table`, or a pattern with `*` and `?`.
    pub pattern: String,
    /// TTL, if the rule sets one.
    pub ttl: Option<Duration>,
    /// `cache = false` refuses.
    pub cache: bool,
}

/// `[functions."schema.name"]`.
#[derive(Clone, Debug)]
pub struct FunctionRule {
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// The tables it reads, as (schema, name).
    pub reads: Vec<(String, String)>,
}
