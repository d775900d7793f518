//! Every setting, once: file, environment, flags and the reference page are read off this list.

use std::time::Duration;

use crate::form::Form;

/// One setting.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Its place in the file, with dots: `cache.default_ttl` is `default_ttl` in `[cache]`.
    pub key: &'static str,
    /// Its flag without dashes, if it has one.
    pub flag: Option<&'static str>,
    /// What holds if nobody says anything.
    pub default: DefaultValue,
    /// Whether a reload can change it; otherwise it needs a restart.
    pub reloads: bool,
    /// What it does, in one or two sentences of Markdown.
    pub help: &'static str,
    pub(crate) form: Form,
}

/// What holds if nobody says anything.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum DefaultValue {
    /// This text, written as in the environment.
    Text(&'static str),
    /// Something that depends on the machine.
    Derived(&'static str),
    /// Nothing: it must be set.
    Required,
}

impl Setting {
    /// Its environment variable: `PGMEMO_CACHE_DEFAULT_TTL`.
    pub fn variable(&self) -> String {
        format!(
            "{VARIABLE_PREFIX}{}",
            self.key.replace('.', "_").to_ascii_uppercase()
        )
    }

    /// A placeholder for the value of its flag.
    pub const fn placeholder(&self) -> &'static str {
        self.form.placeholder()
    }

    /// The section and the key in it; settings above all sections have an empty one.
    pub(crate) fn path(&self) -> (&'static str, &'static str) {
        self.key.split_once('.').unwrap_or(("", self.key))
    }
}

/// What all variables start with.
pub(crate) const VARIABLE_PREFIX: &str = "PGMEMO_";

pub(crate) const TTL_MIN: Duration = Duration::from_millis(1);
pub(crate) const TTL_MAX: Duration = Duration::from_secs(30 * DAY);
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: u64 = 86_400;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// Every setting that is not a rule, in the order of the reference page.
pub const SETTINGS: &[Setting] = &[
    Setting {
        key: "listen",
        flag: Some("listen"),
        default: DefaultValue::Text("127.0.0.1:6432"),
        reloads: false,
        help: "Where clients connect. Port 0 takes any free one.",
        form: Form::Address(|draft, address| draft.listen = Some(address)),
    },
    Setting {
        key: "upstream",
        flag: Some("upstream"),
        default: DefaultValue::Required,
        reloads: false,
        help: "The PostgreSQL server. User, password and database of the URL are those of \
            pgmemo's own connections, which read the catalog; clients log in as themselves.",
        form: Form::Upstream(|draft, upstream| draft.upstream = Some(upstream)),
    },
    Setting {
        key: "store",
        flag: Some("store"),
        default: DefaultValue::Text("memory"),
        reloads: false,
        help: "Where replies and versions live. Instances that serve one database share one Redis.",
        form: Form::Store(|draft, url| draft.store = url),
    },
    Setting {
        key: "admin",
        flag: Some("admin"),
        default: DefaultValue::Text("127.0.0.1:9187"),
        reloads: false,
        help: "Where metrics, health and the dashboard are served over HTTP, and the console to `psql`, \
            without a password.",
        form: Form::AddressOrOff(|draft, address| draft.admin = address),
    },
    Setting {
        key: "cache.default_ttl",
        flag: Some("default-ttl"),
        default: DefaultValue::Text("60s"),
        reloads: true,
        help: "TTL of tables without a rule of their own. With `\"off\"` or `0`, such tables are \
            not cached.",
        form: Form::DurationOrOff(TTL_MIN, TTL_MAX, |draft, ttl| draft.cache.default_ttl = ttl),
    },
    Setting {
        key: "cache.jitter_percent",
        flag: None,
        default: DefaultValue::Text("10"),
        reloads: false,
        help: "By how much of its TTL an entry may expire early, at random, so that entries \
            filled together do not expire together.",
        form: Form::Integer(0, 90, |draft, percent| {
            draft.cache.jitter_percent = u8::try_from(percent).unwrap_or(u8::MAX);
        }),
    },
    Setting {
        key: "cache.entry_bytes_max",
        flag: None,
        default: DefaultValue::Text("1MiB"),
        reloads: false,
        help: "Largest reply that is kept. At most `cache.bytes_max`.",
        form: Form::Size(1 << 10, GIB, |draft, bytes| {
            draft.cache.entry_bytes_max = bytes
        }),
    },
    Setting {
        key: "cache.bytes_max",
        flag: Some("bytes-max"),
        default: DefaultValue::Text("256MiB"),
        reloads: false,
        help: "All replies in memory together, with Redis and `redis.mode = \"leases\"` too. Redis \
            has a bound of its own, `maxmemory`.",
        form: Form::Size(MIB, 1 << 40, |draft, bytes| draft.cache.bytes_max = bytes),
    },
    Setting {
        key: "cache.analysis_bytes_max",
        flag: None,
        default: DefaultValue::Text("64MiB"),
        reloads: false,
        help: "All remembered analyses of statements together.",
        form: Form::Size(MIB, 64 * GIB, |draft, bytes| {
            draft.cache.analysis_bytes_max = bytes
        }),
    },
    Setting {
        key: "cache.catalog_age_max",
        flag: None,
        default: DefaultValue::Text("30s"),
        reloads: false,
        help: "Age at which the catalog is read again even if no change was seen. Bounds how long \
            DDL that did not pass through pgmemo goes unnoticed.",
        form: Form::Duration(SECOND, Duration::from_secs(DAY), |draft, age| {
            draft.cache.catalog_age_max = age;
        }),
    },
    Setting {
        key: "cache.flight_wait_max",
        flag: None,
        default: DefaultValue::Text("5s"),
        reloads: true,
        help: "When several clients miss the same reply, one asks the server and the others wait for \
            it, at most this long after it was asked; then they ask themselves. With `\"off\"` or \
            `0`, nobody waits.",
        form: Form::DurationOrOff(Duration::from_millis(1), HOUR, |draft, wait| {
            draft.cache.flight_wait_max = wait;
        }),
    },
    Setting {
        key: "redis.deadline",
        flag: None,
        default: DefaultValue::Text("5ms"),
        reloads: false,
        help: "How long one lookup may take, up to the last byte of the reply; then PostgreSQL answers. Writes wait for longer. The longest reply, `cache.entry_bytes_max`, has to fit through the network in that time.",
        form: Form::Duration(Duration::from_millis(1), SECOND, |draft, deadline| {
            draft.redis.deadline = deadline;
        }),
    },
    Setting {
        key: "redis.prefix",
        flag: None,
        default: DefaultValue::Text("pgmemo"),
        reloads: false,
        help: "What all keys start with. Instances that share a cache have the same.",
        form: Form::Prefix(|draft, prefix| prefix.clone_into(&mut draft.redis.prefix)),
    },
    Setting {
        key: "redis.connections",
        flag: None,
        default: DefaultValue::Text("1"),
        reloads: false,
        help: "Connections to Redis that are shared. Each thread that serves clients has one more, \
            of its own (`limits.threads`).",
        form: Form::Integer(1, 64, |draft, count| {
            draft.redis.connections = count as usize
        }),
    },
    Setting {
        key: "redis.mode",
        flag: None,
        default: DefaultValue::Text("strict"),
        reloads: false,
        help: "How a reply is known to hold. `\"strict\"` asks Redis at every lookup. \
            `\"leases\"` keeps replies in the process too, up to `cache.bytes_max`, and serves \
            them without asking; a write then waits for all instances that do, which takes a \
            second when one of them has just died. Instances that share a cache may differ.",
        form: Form::RedisMode(|draft, mode| draft.redis.mode = mode),
    },
    Setting {
        key: "redis.on_outage",
        flag: None,
        default: DefaultValue::Text("wait"),
        reloads: false,
        help: "What a write does of which other instances cannot be told, because Redis does not \
            answer. With `\"wait\"` it waits until none of them serves any more what was there \
            before, six seconds after Redis was last heard of; writes that come later go on at \
            once. With `\"go_on\"` it waits for 0.4 s, or 1.6 s under leases, and others may \
            serve for some seconds what it has replaced; that is right for a lone instance.",
        form: Form::OnOutage(|draft, choice| draft.redis.on_outage = choice),
    },
    Setting {
        key: "limits.clients_max",
        flag: Some("clients-max"),
        default: DefaultValue::Text("10000"),
        reloads: true,
        help: "Clients at the same time. Those above it are refused as PostgreSQL does.",
        form: Form::Integer(1, 1_000_000, |draft, count| {
            draft.limits.clients_max = count
        }),
    },
    Setting {
        key: "limits.login_timeout",
        flag: None,
        default: DefaultValue::Text("60s"),
        reloads: true,
        help: "How long a client may take to log in.",
        form: Form::Duration(SECOND, HOUR, |draft, wait| {
            draft.limits.login_timeout = wait
        }),
    },
    Setting {
        key: "limits.client_gone_after",
        flag: None,
        default: DefaultValue::Derived("as the system is set up: two hours, as a rule"),
        reloads: true,
        help: "How long a client's host may answer nothing at all before the client counts as gone: \
            its server connection is closed then, with the locks it holds. It takes the place of \
            PostgreSQL's `tcp_keepalives_*`, which guard the connection between pgmemo and \
            PostgreSQL now.",
        form: Form::Duration(SECOND, Duration::from_secs(DAY), |draft, wait| {
            draft.limits.client_gone_after = Some(wait)
        }),
    },
    Setting {
        key: "limits.drain_timeout",
        flag: Some("drain-timeout"),
        default: DefaultValue::Text("30s"),
        reloads: true,
        help: "How long a stop waits for transactions to end. `0` does not wait.",
        form: Form::Duration(Duration::ZERO, HOUR, |draft, wait| {
            draft.limits.drain_timeout = wait
        }),
    },
    Setting {
        key: "limits.threads",
        flag: Some("threads"),
        default: DefaultValue::Derived("one for every core"),
        reloads: false,
        help: "Threads that serve clients. A client stays on the one where it was seated. Fewer threads \
            that are busy cost less than many that sleep in between; more of them help where pgmemo \
            has a machine of its own and its threads are busy.",
        form: Form::Integer(1, 1024, |draft, count| {
            draft.limits.threads = Some(count as usize)
        }),
    },
    Setting {
        key: "limits.statements_max",
        flag: None,
        default: DefaultValue::Text("1000"),
        reloads: false,
        help: "Of how many statements it is counted what becomes of each: hits, misses, why they are \
            not looked up. Those used least make room for others; all of these together are one row. \
            Each takes 1 KiB and its text without its values. `0` counts none.",
        form: Form::Integer(0, 100_000, |draft, count| {
            draft.limits.statements_max = count as usize
        }),
    },
    Setting {
        key: "limits.allow_trust_relay",
        flag: None,
        default: DefaultValue::Text("false"),
        reloads: true,
        help: "Accept clients from other hosts even where the server asks for no password. The \
            server sees pgmemo's address instead of theirs, so its `trust` was not meant for them.",
        form: Form::Boolean(|draft, allow| draft.limits.allow_trust_relay = allow),
    },
    Setting {
        key: "tls.certificate",
        flag: None,
        default: DefaultValue::Derived(
            "none: clients that ask for TLS are told that there is none",
        ),
        reloads: true,
        help: "The certificate shown to clients that ask for TLS, as PEM, followed by those between \
            it and its root. The file is read again on every reload.",
        form: Form::Path(|draft, path| draft.tls.certificate = Some(path)),
    },
    Setting {
        key: "tls.key",
        flag: None,
        default: DefaultValue::Derived("none"),
        reloads: true,
        help: "The key of that certificate, as PEM without a passphrase. It comes with \
            `tls.certificate` or not at all.",
        form: Form::Path(|draft, path| draft.tls.key = Some(path)),
    },
    Setting {
        key: "tls.required",
        flag: None,
        default: DefaultValue::Text("false"),
        reloads: true,
        help: "Refuse clients that do not encrypt, as `hostssl` does in PostgreSQL's `pg_hba.conf`.",
        form: Form::Boolean(|draft, required| draft.tls.required = required),
    },
];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::form::{Draft, Written};

    #[test]
    fn every_default_is_allowed() {
        let mut draft = Draft::default();
        for setting in SETTINGS {
            if let DefaultValue::Text(text) = setting.default {
                let read = setting.form.read(&mut draft, &Written::Untyped(text));
                assert_eq!(read, Ok(()), "{}", setting.key);
            }
        }
    }

    #[test]
    fn no_two_settings_share_a_name() {
        let names: Vec<String> = SETTINGS
            .iter()
            .flat_map(|setting| [Some(setting.variable()), setting.flag.map(str::to_owned)])
            .flatten()
            .collect();
        assert_eq!(names.iter().collect::<HashSet<_>>().len(), names.len());
    }

    /// An orchestrator may set these for a service that is called pgmemo.
    #[test]
    fn no_variable_is_one_that_service_discovery_sets() {
        for setting in SETTINGS {
            let variable = setting.variable();
            assert!(!variable.starts_with("PGMEMO_PORT"), "{variable}");
            assert!(!variable.starts_with("PGMEMO_SERVICE"), "{variable}");
        }
    }
}
