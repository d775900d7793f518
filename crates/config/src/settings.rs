//! What can be set, as the rest of the program sees it.

use std::{fmt, net::SocketAddr, path::PathBuf, time::Duration};

use crate::{Place, Upstream};

/// Everything that can be set.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Config {
    /// Where clients connect. Default `127.0.0.1:6432`.
    pub listen: SocketAddr,
    /// The PostgreSQL server behind us.
    pub upstream: Upstream,
    /// Where replies and versions live.
    pub store: StoreChoice,
    /// Where metrics, health and the console are served; `None` switches it off. Default `127.0.0.1:9187`.
    pub admin: Option<SocketAddr>,
    /// What is cached and how large it may grow.
    pub cache: CacheSettings,
    /// Bounds on connections and waits.
    pub limits: Limits,
    /// TLS towards clients; `None` declines it.
    pub tls: Option<ClientTls>,
    /// Rules per table, in file order.
    pub tables: Vec<TableRule>,
    /// User functions the operator vouches for, in file order.
    pub functions: Vec<FunctionRule>,
    /// For tests alone: by this seed, half of what would be answered from the store is asked of
    /// the server instead. Read from `PGMEMO_TESTING_FORGET`, and nowhere else.
    pub testing_forget: Option<u64>,
    /// For tests alone, and without effect in a released build: by this seed, points between which
    /// others may come wait now and then. Read from `PGMEMO_TESTING_DELAY`, and nowhere else.
    pub testing_delay: Option<u64>,
}

/// A password, or a URL that holds one. It does not print.
#[derive(Clone, Default, Eq, PartialEq)]
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

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

/// Where replies and versions live.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum StoreChoice {
    /// In this process.
    Memory,
    /// In Redis.
    Redis(RedisSettings),
}

/// Redis as a store.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct RedisSettings {
    /// `redis://`, `rediss://`, `redis-sentinel://`, `rediss-sentinel://`, `redis+unix://`.
    pub url: Secret,
    /// How long one lookup may take. Default 5 ms.
    pub deadline: Duration,
    /// Prefix of all keys. Default `pgmemo`.
    pub prefix: String,
    /// Connections beside those of single threads. Default 1.
    pub connections: usize,
    /// How a reply is known to hold. Default strict.
    pub mode: RedisMode,
    /// What a write does of which Redis cannot be told. Default wait.
    pub on_outage: OnOutage,
}

/// How a reply in Redis is known to hold.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum RedisMode {
    /// Redis is asked at every lookup.
    #[default]
    Strict,
    /// Replies are kept in the process too, and served without asking while it holds a lease.
    Leases,
}

/// What a write does of which Redis cannot be told.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum OnOutage {
    /// It waits until no other instance serves what was there before.
    #[default]
    Wait,
    /// It goes on soon.
    GoOn,
}

/// What is cached and how large it may grow.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
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
    /// How long a client waits for a reply that another has asked for; `None`: not at all.
    /// Default 5 s.
    pub flight_wait_max: Option<Duration>,
}

/// Bounds on connections and waits.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Limits {
    /// Clients at the same time. Default 10,000.
    pub clients_max: u32,
    /// How long login may take. Default 60 s.
    pub login_timeout: Duration,
    /// How long SIGTERM waits for transactions to end. Default 30 s.
    pub drain_timeout: Duration,
    /// How long a client may answer nothing at all before it counts as gone; default the system's.
    pub client_gone_after: Option<Duration>,
    /// Threads that serve clients; default one per core.
    pub threads: Option<usize>,
    /// Accept clients from other hosts to whom the server asked no challenge. Default false.
    pub allow_trust_relay: bool,
    /// Of how many statements it is counted what becomes of each. Default 1,000.
    pub statements_max: usize,
}

/// TLS towards clients.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ClientTls {
    /// PEM file with pgmemo's certificate and those between it and its root, in this order.
    pub certificate: PathBuf,
    /// PEM file with its key.
    pub key: PathBuf,
    /// Refuse clients that do not encrypt. Default false.
    pub required: bool,
}

/// `[tables."pattern"]`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TableRule {
    /// `table`, `schema.table`, or a pattern with `*` and `?`; valid for [`cache::Pattern`].
    pub pattern: String,
    /// TTL, if the rule sets one.
    pub ttl: Option<Duration>,
    /// `cache = false`, or a TTL of `0` or `"off"`, refuses.
    pub cache: bool,
    /// How its entries are renewed in the background.
    pub refresh: cache::Refresh,
    /// Where the rule stands, for messages about it.
    pub place: Place,
}

/// `[functions."schema.name"]`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FunctionRule {
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// The tables it reads, as (schema, name).
    pub reads: Vec<(String, String)>,
    /// Where the rule stands, for messages about it.
    pub place: Place,
}

impl Config {
    /// The rules as the cache applies them: a rule without a TTL takes the default, and one that
    /// refuses has none.
    pub fn policy(&self) -> cache::Policy {
        let rules = self.tables.iter().filter_map(|rule| {
            // Patterns were checked when the file was read, so none is left out here.
            let pattern = cache::Pattern::parse(&rule.pattern).ok()?;
            let ttl = rule.ttl.or(self.cache.default_ttl).filter(|_| rule.cache);
            let refresh = rule.refresh;
            Some((pattern, cache::Rule { ttl, refresh }))
        });
        cache::Policy::new(self.cache.default_ttl, rules.collect())
    }
}
