//! How a setting is written, what it may be, and where it goes.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use crate::{
    CacheSettings, Limits, OnOutage, RedisMode, RedisSettings, Secret, Upstream,
    problem::Refusal,
    redis,
    units::{self, duration_text, size_text},
    url,
};

/// Settings while they are collected. The registry's defaults fill it first, so that what stands
/// here before is never seen.
#[derive(Debug, Default)]
pub(crate) struct Draft {
    pub(crate) listen: Option<SocketAddr>,
    pub(crate) upstream: Option<Upstream>,
    /// `None` is memory.
    pub(crate) store: Option<Secret>,
    pub(crate) admin: Option<SocketAddr>,
    pub(crate) cache: CacheSettings,
    pub(crate) redis: RedisSettings,
    pub(crate) limits: Limits,
    pub(crate) tls: TlsDraft,
}

/// `[tls]` while it is collected.
#[derive(Debug, Default)]
pub(crate) struct TlsDraft {
    pub(crate) certificate: Option<PathBuf>,
    pub(crate) key: Option<PathBuf>,
    pub(crate) required: bool,
}

/// How a setting is written, and where it goes. Bounds are inclusive.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Form {
    Address(fn(&mut Draft, SocketAddr)),
    AddressOrOff(fn(&mut Draft, Option<SocketAddr>)),
    Upstream(fn(&mut Draft, Upstream)),
    Store(fn(&mut Draft, Option<Secret>)),
    Duration(Duration, Duration, fn(&mut Draft, Duration)),
    DurationOrOff(Duration, Duration, fn(&mut Draft, Option<Duration>)),
    Size(u64, u64, fn(&mut Draft, u64)),
    Integer(u32, u32, fn(&mut Draft, u32)),
    Boolean(fn(&mut Draft, bool)),
    Prefix(fn(&mut Draft, &str)),
    Path(fn(&mut Draft, PathBuf)),
    RedisMode(fn(&mut Draft, RedisMode)),
    OnOutage(fn(&mut Draft, OnOutage)),
}

/// A value as it was written. Environment and flags have no types, so all is text there.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Written<'a> {
    Untyped(&'a str),
    Text(&'a str),
    Number(&'a str),
    Boolean(bool),
    /// A type of TOML that no setting has.
    Other(&'static str),
}

impl<'a> Written<'a> {
    /// The text, whatever the type.
    fn text(&self) -> &'a str {
        match self {
            Self::Untyped(text) | Self::Text(text) | Self::Number(text) => text,
            Self::Boolean(true) => "true",
            Self::Boolean(false) => "false",
            Self::Other(kind) => kind,
        }
    }

    /// The value as a message shows it.
    pub(crate) fn shown(&self) -> String {
        match self {
            Self::Untyped(text) | Self::Text(text) => {
                let cut: String = text.chars().take(SHOWN_MAX).collect();
                let more = if cut.len() < text.len() { "…" } else { "" };
                format!("\"{}{more}\"", cut.escape_debug())
            }
            Self::Number(text) => (*text).to_owned(),
            Self::Boolean(value) => value.to_string(),
            Self::Other(kind) => format!("({kind})"),
        }
    }
}

/// How much of a wrong value is repeated, in characters.
const SHOWN_MAX: usize = 80;
const PREFIX_MAX: usize = 64;
const ADDRESS_REMEDY: &str = "write an IP address and a port, such as \"127.0.0.1:6432\", \
    \"0.0.0.0:6432\" for all interfaces, or \"[::1]:6432\"";

impl Form {
    /// Reads a value and puts it in its place.
    pub(crate) fn read(self, draft: &mut Draft, written: &Written<'_>) -> Result<(), Refusal> {
        self.check_type(written)?;
        let text = written.text().trim();
        match self {
            Self::Address(put) => put(draft, address(text)?),
            Self::AddressOrOff(put) => put(draft, off(text, address)?),
            Self::Upstream(put) => put(draft, Upstream::parse(text)?),
            Self::Store(put) => put(draft, redis::store(text)?),
            Self::Duration(least, most, put) => {
                put(
                    draft,
                    bounded(units::duration(text)?, least, most, duration_text)?,
                );
            }
            Self::DurationOrOff(least, most, put) => put(draft, time_to_live(text, least, most)?),
            Self::Size(least, most, put) => {
                put(draft, bounded(units::size(text)?, least, most, size_text)?);
            }
            Self::Integer(least, most, put) => put(draft, integer(text, least, most)?),
            Self::Boolean(put) => put(draft, boolean(text)?),
            Self::Prefix(put) => put(draft, prefix(text)?),
            Self::Path(put) => put(draft, path(text)?),
            Self::RedisMode(put) => put(draft, redis::mode(text)?),
            Self::OnOutage(put) => put(draft, redis::on_outage(text)?),
        }
        Ok(())
    }

    /// The value as a message shows it: without its secrets.
    pub(crate) fn shown(self, written: &Written<'_>) -> String {
        match (self, written) {
            (Self::Upstream(_) | Self::Store(_), Written::Untyped(url) | Written::Text(url)) => {
                url::redact(url)
            }
            _ => written.shown(),
        }
    }

    /// What may be written, for the reference page.
    pub(crate) fn allowed(self) -> String {
        match self {
            Self::Address(_) => "address and port".to_owned(),
            Self::AddressOrOff(_) => "address and port, or `\"off\"`".to_owned(),
            Self::Upstream(_) => "`postgres://` URL".to_owned(),
            Self::Store(_) => "`\"memory\"` or Redis URL".to_owned(),
            Self::Duration(least, most, _) => {
                format!(
                    "duration, {} to {}",
                    duration_text(least),
                    duration_text(most)
                )
            }
            Self::DurationOrOff(least, most, _) => format!(
                "duration, {} to {}, or `\"off\"`",
                duration_text(least),
                duration_text(most)
            ),
            Self::Size(least, most, _) => {
                format!("size, {} to {}", size_text(least), size_text(most))
            }
            Self::Integer(least, most, _) => format!("number, {least} to {most}"),
            Self::Boolean(_) => "`true` or `false`".to_owned(),
            Self::RedisMode(_) => "`\"strict\"` or `\"leases\"`".to_owned(),
            Self::OnOutage(_) => "`\"wait\"` or `\"go_on\"`".to_owned(),
            Self::Prefix(_) => format!("1 to {PREFIX_MAX} of `A-Z a-z 0-9 _ - . :`"),
            Self::Path(_) => "path of a file".to_owned(),
        }
    }

    /// The placeholder of a flag's value.
    pub(crate) const fn placeholder(self) -> &'static str {
        match self {
            Self::Address(_) => "ADDRESS",
            Self::AddressOrOff(_) => "ADDRESS|off",
            Self::Upstream(_) => "URL",
            Self::Store(_) => "memory|URL",
            Self::Duration(..) => "DURATION",
            Self::DurationOrOff(..) => "DURATION|off",
            Self::Size(..) => "SIZE",
            Self::Integer(..) => "NUMBER",
            Self::Boolean(_) => "true|false",
            Self::RedisMode(_) => "strict|leases",
            Self::OnOutage(_) => "wait|go_on",
            Self::Prefix(_) => "TEXT",
            Self::Path(_) => "FILE",
        }
    }

    fn check_type(self, written: &Written<'_>) -> Result<(), Refusal> {
        let (fits, remedy) = match self {
            Self::Integer(..) => (
                matches!(written, Written::Number(_)),
                "write a whole number without quotes",
            ),
            Self::Boolean(_) => (
                matches!(written, Written::Boolean(_)),
                "write true or false without quotes",
            ),
            Self::Duration(..) | Self::DurationOrOff(..) => (
                matches!(written, Written::Text(_) | Written::Number(_)),
                units::TIME_REMEDY,
            ),
            Self::Size(..) => (
                matches!(written, Written::Text(_) | Written::Number(_)),
                units::SIZE_REMEDY,
            ),
            Self::Address(_) | Self::AddressOrOff(_) => {
                (matches!(written, Written::Text(_)), ADDRESS_REMEDY)
            }
            Self::Upstream(_)
            | Self::Store(_)
            | Self::Prefix(_)
            | Self::Path(_)
            | Self::RedisMode(_)
            | Self::OnOutage(_) => (matches!(written, Written::Text(_)), "write text in quotes"),
        };
        if fits || matches!(written, Written::Untyped(_)) {
            return Ok(());
        }
        let kind = match written {
            Written::Untyped(_) | Written::Text(_) => "string",
            Written::Number(_) => "number",
            Written::Boolean(_) => "boolean",
            Written::Other(kind) => kind,
        };
        let or_off = matches!(self, Self::AddressOrOff(_) | Self::DurationOrOff(..));
        let refusal = Refusal::new(format!("is of the wrong type, {kind}"), remedy);
        Err(if or_off { refusal.or_off() } else { refusal })
    }
}

/// Reads a TTL: `None` for `0` and `"off"`.
pub(crate) fn time_to_live(
    text: &str,
    least: Duration,
    most: Duration,
) -> Result<Option<Duration>, Refusal> {
    if text == "off" {
        return Ok(None);
    }
    let time = units::duration(text).map_err(Refusal::or_off)?;
    if time.is_zero() {
        return Ok(None);
    }
    bounded(time, least, most, duration_text)
        .map(Some)
        .map_err(Refusal::or_off)
}

fn off<T>(text: &str, read: fn(&str) -> Result<T, Refusal>) -> Result<Option<T>, Refusal> {
    if text == "off" {
        Ok(None)
    } else {
        read(text).map(Some).map_err(Refusal::or_off)
    }
}

fn address(text: &str) -> Result<SocketAddr, Refusal> {
    text.parse().map_err(|_| {
        let what = match text.rsplit_once(':').map(|(_, port)| port.parse::<u32>()) {
            Some(Ok(port)) if port > 65_535 => "has a port above 65535",
            Some(Ok(_)) => "is not an IP address and a port",
            Some(Err(_)) | None => "has no port",
        };
        Refusal::new(what, ADDRESS_REMEDY)
    })
}

fn bounded<T: PartialOrd + Copy>(
    value: T,
    least: T,
    most: T,
    show: fn(T) -> String,
) -> Result<T, Refusal> {
    let remedy = || format!("write a value from {} to {}", show(least), show(most));
    if value < least {
        Err(Refusal::new("is too small", remedy()))
    } else if value > most {
        Err(Refusal::new("is too large", remedy()))
    } else {
        Ok(value)
    }
}

fn integer(text: &str, least: u32, most: u32) -> Result<u32, Refusal> {
    let digits = text.replace('_', "");
    let number: i128 = digits.parse().map_err(|_| {
        let remedy = format!("write a whole number from {least} to {most}");
        Refusal::new("is not a whole number", remedy)
    })?;
    let show = |bound: i128| bound.to_string();
    let number = bounded(number, least.into(), most.into(), show)?;
    Ok(u32::try_from(number).unwrap_or(most))
}

fn boolean(text: &str) -> Result<bool, Refusal> {
    match text {
        "true" | "on" | "yes" | "1" => Ok(true),
        "false" | "off" | "no" | "0" => Ok(false),
        _ => Err(Refusal::new("is not a truth value", "write true or false")),
    }
}

/// Whether the file exists is for those to say who read it.
fn path(text: &str) -> Result<PathBuf, Refusal> {
    if text.is_empty() {
        return Err(Refusal::new("is no path", "write the path of a PEM file"));
    }
    Ok(PathBuf::from(text))
}

/// Braces are not allowed: Redis Cluster would read them as the part of a key that is hashed.
fn prefix(text: &str) -> Result<&str, Refusal> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_-.:".contains(c);
    if (1..=PREFIX_MAX).contains(&text.len()) && text.chars().all(allowed) {
        Ok(text)
    } else {
        let remedy = format!("write 1 to {PREFIX_MAX} letters, digits or `_-.:`");
        Err(Refusal::new("is not a prefix", remedy))
    }
}
