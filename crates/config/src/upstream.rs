//! The PostgreSQL server behind us, as a `postgres://` URL says it.

use std::{fmt, path::PathBuf, time::Duration};

use crate::{
    Secret,
    nearest::nearest,
    problem::Refusal,
    units,
    url::{Parts, decode},
};

/// The PostgreSQL server behind us, as a `postgres://` URL says it.
#[derive(Clone, Debug, Eq, PartialEq)]
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
    /// `sslrootcert`; without it, the roots that the platform trusts.
    pub root_certificate: Option<PathBuf>,
    /// How long a connection to the server may take. Default 10 s.
    pub connect_timeout: Duration,
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

impl TlsMode {
    const ALL: [(&'static str, Self); 5] = [
        ("disable", Self::Disable),
        ("prefer", Self::Prefer),
        ("require", Self::Require),
        ("verify-ca", Self::VerifyCa),
        ("verify-full", Self::VerifyFull),
    ];
}

impl Upstream {
    /// Whether the host is the directory of a Unix-domain socket.
    pub fn is_local_socket(&self) -> bool {
        self.host.starts_with('/')
    }

    /// Reads a URL.
    pub(crate) fn parse(text: &str) -> Result<Self, Refusal> {
        let parts = Parts::split(text).ok_or_else(|| {
            let remedy = format!("{EXAMPLE}; {ENCODING}");
            Refusal::new("is not a URL", remedy)
        })?;
        if !["postgres", "postgresql"].contains(&parts.scheme) {
            return Err(Refusal::new("does not start with postgres://", EXAMPLE));
        }
        let mut draft = Draft::of(&parts)?;
        for &(name, value) in &parts.parameters {
            draft.parameter(name, &decoded(value)?)?;
        }
        draft.finish()
    }
}

impl fmt::Display for Upstream {
    /// Host, port and database: what may be logged.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bracketed = self.host.contains(':');
        let (open, close) = if bracketed { ("[", "]") } else { ("", "") };
        write!(f, "postgres://{open}{}{close}:{}", self.host, self.port)?;
        self.database
            .as_ref()
            .map_or(Ok(()), |database| write!(f, "/{database}"))
    }
}

const EXAMPLE: &str = "write a URL such as \"postgres://user:password@host:5432/database\"";
const ENCODING: &str = "write `%25` for a percent sign, `%40` for `@`, `%2F` for `/`, `%3A` for `:` \
    and `%3F` for `?` in a password";
const PARAMETERS: [&str; 9] = [
    "host",
    "port",
    "user",
    "password",
    "dbname",
    "sslmode",
    "sslrootcert",
    "connect_timeout",
    "application_name",
];
const CONNECT_TIMEOUT_MAX: Duration = Duration::from_secs(600);

/// What has been read so far.
struct Draft {
    host: String,
    port: u16,
    user: Option<String>,
    password: Option<String>,
    database: Option<String>,
    tls: Option<TlsMode>,
    root: Option<String>,
    connect_timeout: Duration,
}

impl Draft {
    fn of(parts: &Parts<'_>) -> Result<Self, Refusal> {
        let optional = |text: Option<&str>| {
            text.filter(|text| !text.is_empty())
                .map(decoded)
                .transpose()
        };
        Ok(Self {
            host: decoded(parts.host)?,
            port: parts
                .port
                .filter(|port| !port.is_empty())
                .map_or(Ok(5432), port)?,
            user: optional(parts.user)?,
            password: optional(parts.password)?,
            database: optional(Some(parts.path))?,
            tls: None,
            root: None,
            connect_timeout: Duration::from_secs(10),
        })
    }

    fn parameter(&mut self, name: &str, value: &str) -> Result<(), Refusal> {
        match name {
            "host" => value.clone_into(&mut self.host),
            "port" => self.port = port(value)?,
            "user" => self.user = Some(value.to_owned()),
            "password" => self.password = Some(value.to_owned()),
            "dbname" => self.database = Some(value.to_owned()),
            "sslmode" => self.tls = Some(tls_mode(value)?),
            "sslrootcert" => self.root = Some(value.to_owned()),
            "connect_timeout" => self.connect_timeout = connect_timeout(value)?,
            // Ours is always `pgmemo`; each client keeps its own.
            "application_name" => {}
            unknown => {
                let remedy = nearest(unknown, PARAMETERS).map_or_else(
                    || format!("remove it; known are {}", PARAMETERS.join(", ")),
                    |known| format!("did you mean `{known}`?"),
                );
                let what = format!("has the unknown parameter `{}`", unknown.escape_debug());
                return Err(Refusal::new(what, remedy));
            }
        }
        Ok(())
    }

    fn finish(self) -> Result<Upstream, Refusal> {
        if self.host.is_empty() {
            return Err(Refusal::new("names no host", EXAMPLE));
        }
        if self.host.contains(',') {
            return Err(Refusal::new(
                "names several hosts",
                "name one; run one pgmemo per server, or an address that moves with the primary",
            ));
        }
        // As in libpq, the platform's roots are worth nothing unless the name is checked.
        let platform = self.root.as_deref() == Some("system");
        if platform && self.tls.is_some_and(|tls| tls != TlsMode::VerifyFull) {
            return Err(Refusal::new(
                "has sslrootcert=system with a weaker sslmode",
                "write sslmode=verify-full, or leave sslmode out",
            ));
        }
        let default = if platform {
            TlsMode::VerifyFull
        } else {
            TlsMode::Prefer
        };
        Ok(Upstream {
            host: self.host,
            port: self.port,
            user: self.user,
            password: self.password.map(Secret::new),
            database: self.database,
            tls: self.tls.unwrap_or(default),
            root_certificate: self.root.filter(|_| !platform).map(PathBuf::from),
            connect_timeout: self.connect_timeout,
        })
    }
}

fn decoded(text: &str) -> Result<String, Refusal> {
    decode(text)
        .map(std::borrow::Cow::into_owned)
        .ok_or_else(|| {
            Refusal::new(
                "has a `%` that is not followed by two hexadecimal digits of UTF-8 text",
                ENCODING,
            )
        })
}

// The text is not repeated: in `postgres://user:password` it is a password.
fn port(text: &str) -> Result<u16, Refusal> {
    text.parse().ok().filter(|&port| port > 0).ok_or_else(|| {
        Refusal::new(
            "has a port that is not a number from 1 to 65535",
            format!("write host:port; {ENCODING}"),
        )
    })
}

fn tls_mode(text: &str) -> Result<TlsMode, Refusal> {
    let known = TlsMode::ALL.into_iter().find(|(name, _)| *name == text);
    known.map(|(_, mode)| mode).ok_or_else(|| {
        let names = TlsMode::ALL.map(|(name, _)| name);
        let remedy = match nearest(text, names) {
            _ if text == "allow" => "write sslmode=prefer or sslmode=disable".to_owned(),
            Some(name) => format!("did you mean sslmode={name}?"),
            None => format!("write one of {}", names.join(", ")),
        };
        Refusal::new(
            format!("has the unknown sslmode `{}`", text.escape_debug()),
            remedy,
        )
    })
}

/// libpq counts in seconds, so a plain number does here, too.
fn connect_timeout(text: &str) -> Result<Duration, Refusal> {
    let plain = text.parse().map(Duration::from_secs);
    plain
        .or_else(|_| units::duration(text))
        .ok()
        .filter(|wait| !wait.is_zero() && *wait <= CONNECT_TIMEOUT_MAX)
        .ok_or_else(|| {
            Refusal::new(
                format!("has the connect_timeout `{}`", text.escape_debug()),
                "write seconds from 1 to 600, such as connect_timeout=10",
            )
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(url: &str) -> Upstream {
        Upstream::parse(url).unwrap()
    }

    #[test]
    fn reads_every_part() {
        let all = parsed(
            "postgresql://a%40b:p%3Aw@db.example:6000/sh%6Fp?sslmode=verify-ca\
             &sslrootcert=/etc/ca.pem&connect_timeout=3&application_name=x",
        );
        assert_eq!(
            all,
            Upstream {
                host: "db.example".to_owned(),
                port: 6000,
                user: Some("a@b".to_owned()),
                password: Some(Secret::new("p:w".to_owned())),
                database: Some("shop".to_owned()),
                tls: TlsMode::VerifyCa,
                root_certificate: Some(PathBuf::from("/etc/ca.pem")),
                connect_timeout: Duration::from_secs(3),
            }
        );
        assert!(!format!("{all:?}").contains("p:w"));
        assert_eq!(all.to_string(), "postgres://db.example:6000/shop");
    }

    #[test]
    fn fills_in_defaults() {
        let least = parsed("postgres://db");
        assert_eq!((least.port, least.tls), (5432, TlsMode::Prefer));
        assert_eq!((least.user, least.database), (None, None));
        assert_eq!(least.connect_timeout, Duration::from_secs(10));
        assert_eq!(
            parsed("postgres://db?sslrootcert=system").tls,
            TlsMode::VerifyFull
        );
    }

    #[test]
    fn reads_sockets_and_ipv6() {
        let check = |url, host: &str| assert_eq!(parsed(url).host, host, "{url}");
        check(
            "postgres://%2Fvar%2Frun%2Fpostgresql/db",
            "/var/run/postgresql",
        );
        check(
            "postgres:///db?host=/var/run/postgresql",
            "/var/run/postgresql",
        );
        check("postgres://[2001:db8::1]:5433", "2001:db8::1");
        assert!(parsed("postgres:///db?host=/run/postgresql").is_local_socket());
        assert_eq!(
            parsed("postgres://[::1]:5433").to_string(),
            "postgres://[::1]:5433"
        );
    }

    #[test]
    fn refuses_what_would_be_misread() {
        let check = |url, what: &str| assert_eq!(Upstream::parse(url).unwrap_err().what, what);
        check("db:5432", "is not a URL");
        check("mysql://db", "does not start with postgres://");
        check("postgres:///db", "names no host");
        check("postgres://a,b/db", "names several hosts");
        check(
            "postgres://db:0",
            "has a port that is not a number from 1 to 65535",
        );
        check(
            "postgres://db:65536",
            "has a port that is not a number from 1 to 65535",
        );
        check(
            "postgres://user:secret",
            "has a port that is not a number from 1 to 65535",
        );
        check(
            "postgres://db?sslmode=verify",
            "has the unknown sslmode `verify`",
        );
        check(
            "postgres://db?sslmdoe=require",
            "has the unknown parameter `sslmdoe`",
        );
        check(
            "postgres://db?connect_timeout=0",
            "has the connect_timeout `0`",
        );
        check(
            "postgres://db?sslrootcert=system&sslmode=require",
            "has sslrootcert=system with a weaker sslmode",
        );
        check(
            "postgres://u:100%@db",
            "has a `%` that is not followed by two hexadecimal digits of UTF-8 text",
        );
    }
}
