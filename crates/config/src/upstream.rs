//! The PostgreSQL server behind us, as a `postgres://` URL says it.

mod liveness;
mod parameters;
#[cfg(test)]
mod tests;

use std::{fmt, path::PathBuf, time::Duration};

use crate::{
    Secret,
    nearest::nearest,
    problem::Refusal,
    units,
    url::{Parts, decode},
};

pub use liveness::Liveness;

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
    /// `sslcert` and `sslkey`: how we prove to the server who we are.
    pub client_certificate: Option<ClientCertificate>,
    /// `sslsni`: the server hears which host is meant. Default yes.
    pub names_host: bool,
    /// `channel_binding`, of our own connections.
    pub channel_binding: ChannelBinding,
    /// `options` of our own connections.
    pub options: Option<String>,
    /// How long a connection to the server may take. Default 10 s.
    pub connect_timeout: Duration,
    /// How it is noticed that the server's host is gone.
    pub liveness: Liveness,
    /// Parameters that were left aside, since they are for clients alone.
    pub ignored: Vec<String>,
}

/// A certificate towards the server.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ClientCertificate {
    /// PEM file with the certificate and those between it and its root.
    pub certificate: PathBuf,
    /// PEM file with its key.
    pub key: PathBuf,
}

/// libpq's `channel_binding`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum ChannelBinding {
    /// Never.
    Disable,
    /// If the server offers it.
    #[default]
    Prefer,
    /// Always.
    Require,
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
        scheme(parts.scheme)?;
        let mut draft = Draft::of(&parts)?;
        for &(name, value) in &parts.parameters {
            draft.parameter(&decoded(name)?, &decoded(value)?)?;
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
    certificate: Option<String>,
    key: Option<String>,
    names_host: bool,
    channel_binding: ChannelBinding,
    options: Option<String>,
    connect_timeout: Duration,
    liveness: Liveness,
    ignored: Vec<String>,
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
            certificate: None,
            key: None,
            names_host: true,
            channel_binding: ChannelBinding::default(),
            options: None,
            connect_timeout: Duration::from_secs(10),
            liveness: Liveness::default(),
            ignored: Vec::new(),
        })
    }

    fn parameter(&mut self, name: &str, value: &str) -> Result<(), Refusal> {
        match name {
            "host" => value.clone_into(&mut self.host),
            "port" => self.port = port(value)?,
            "user" => self.user = Some(value.to_owned()),
            "password" => self.password = Some(value.to_owned()),
            "dbname" => self.database = Some(value.to_owned()),
            "sslmode" | "ssl-mode" => self.tls = Some(tls_mode(value)?),
            "ssl" | "ssl_require" => self.tls = self.tls.or(tls_of_switch(value)?),
            "sslrootcert" | "ssl-root-cert" | "ssl-ca" => self.root = Some(value.to_owned()),
            "sslcert" | "ssl-cert" => self.certificate = Some(value.to_owned()),
            "sslkey" | "ssl-key" => self.key = Some(value.to_owned()),
            "sslsni" => self.names_host = value != "0",
            "channel_binding" => self.channel_binding = channel_binding(value)?,
            "options" => self.options = Some(value.to_owned()),
            "connect_timeout" => self.connect_timeout = connect_timeout(value)?,
            name if liveness::NAMES.contains(&name) => self.liveness.parameter(name, value)?,
            other => {
                parameters::judge(other, value)?;
                self.ignored.push(other.to_owned());
            }
        }
        Ok(())
    }

    fn client_certificate(&self) -> Result<Option<ClientCertificate>, Refusal> {
        match (&self.certificate, &self.key) {
            (None, None) => Ok(None),
            (Some(certificate), Some(key)) => Ok(Some(ClientCertificate {
                certificate: certificate.into(),
                key: key.into(),
            })),
            (Some(_), None) => Err(Refusal::new(
                "has sslcert without sslkey",
                "name the file of its key with sslkey; if it is the server's certificate, as in \
                 URLs for Prisma, call it sslrootcert",
            )),
            (None, Some(_)) => Err(Refusal::new(
                "has sslkey without sslcert",
                "name the file of the certificate with sslcert, or remove both",
            )),
        }
    }

    fn finish(self) -> Result<Upstream, Refusal> {
        if self.host.is_empty() {
            return Err(Refusal::new("names no host", EXAMPLE));
        }
        if self.host.contains(',') {
            return Err(several_hosts());
        }
        // As in libpq, the platform's roots are worth nothing unless the name is checked.
        let platform = self.root.as_deref() == Some("system");
        if platform && self.tls.is_some_and(|tls| tls != TlsMode::VerifyFull) {
            return Err(Refusal::new(
                "has sslrootcert=system with a weaker sslmode",
                "write sslmode=verify-full, or leave sslmode out",
            ));
        }
        let client_certificate = self.client_certificate()?;
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
            client_certificate,
            names_host: self.names_host,
            channel_binding: self.channel_binding,
            options: self.options,
            connect_timeout: self.connect_timeout,
            liveness: self.liveness,
            ignored: self.ignored,
        })
    }
}

/// Libraries add the name of a driver, or of an extension that theirs needs.
fn scheme(text: &str) -> Result<(), Refusal> {
    let scheme = text.strip_prefix("jdbc:").unwrap_or(text);
    if scheme == "prisma" || scheme == "prisma+postgres" {
        return Err(Refusal::new(
            "is the address of a service of Prisma's, not of a PostgreSQL server",
            "write the URL that Prisma calls direct, which starts with postgres://",
        ));
    }
    let (base, _) = scheme.split_once('+').unwrap_or((scheme, ""));
    if ["postgres", "postgresql", "postgis"].contains(&base) {
        Ok(())
    } else {
        Err(Refusal::new("does not start with postgres://", EXAMPLE))
    }
}

fn channel_binding(text: &str) -> Result<ChannelBinding, Refusal> {
    match text {
        "disable" => Ok(ChannelBinding::Disable),
        "prefer" => Ok(ChannelBinding::Prefer),
        "require" => Ok(ChannelBinding::Require),
        _ => Err(Refusal::new(
            format!("has the unknown channel_binding `{}`", text.escape_debug()),
            "write disable, prefer or require",
        )),
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

fn several_hosts() -> Refusal {
    Refusal::new(
        "names several hosts",
        "name one; run one pgmemo per server, or an address that moves with the primary",
    )
}

// The text is not repeated: in `postgres://user:password` it is a password.
fn port(text: &str) -> Result<u16, Refusal> {
    // As in `one:5432,two:5432`.
    if text.contains(',') {
        return Err(several_hosts());
    }
    text.parse().ok().filter(|&port| port > 0).ok_or_else(|| {
        Refusal::new(
            "has a port that is not a number from 1 to 65535",
            format!("write host:port; {ENCODING}"),
        )
    })
}

/// What libraries call `ssl` is on or off to some, and a mode to others.
fn tls_of_switch(value: &str) -> Result<Option<TlsMode>, Refusal> {
    match value {
        "" | "true" | "1" | "on" => Ok(Some(TlsMode::Require)),
        "false" | "0" | "off" => Ok(None),
        mode => tls_mode(mode).map(Some),
    }
}

fn tls_mode(text: &str) -> Result<TlsMode, Refusal> {
    // As node-postgres calls what libpq's `require` does.
    if text == "no-verify" {
        return Ok(TlsMode::Require);
    }
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

/// libpq counts in seconds, so a plain number does here, too; and none means for ever, as long as
/// anything here waits.
fn connect_timeout(text: &str) -> Result<Duration, Refusal> {
    if text == "0" {
        return Ok(CONNECT_TIMEOUT_MAX);
    }
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
