//! Cutting URLs into parts, and printing them without their secrets.

use std::borrow::Cow;

/// The parts of `scheme://user:password@host:port/path?name=value`, still percent-encoded.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Parts<'a> {
    pub(crate) scheme: &'a str,
    pub(crate) user: Option<&'a str>,
    pub(crate) password: Option<&'a str>,
    /// Without the brackets of an IPv6 address; may be empty.
    pub(crate) host: &'a str,
    pub(crate) port: Option<&'a str>,
    /// Without the leading slash.
    pub(crate) path: &'a str,
    pub(crate) parameters: Vec<(&'a str, &'a str)>,
}

impl<'a> Parts<'a> {
    /// Cuts a URL; `None` if it has no `scheme://`, an open bracket, or an `@` behind the host.
    ///
    /// With an `@` there, a character that ends the host stands unencoded in the password, and the
    /// parts would be cut out of the secret.
    pub(crate) fn split(text: &'a str) -> Option<Self> {
        let (scheme, rest) = text.trim().split_once("://")?;
        let (authority, behind) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        if behind.contains('@') {
            return None;
        }
        let (path, query) = behind.split_once('?').unwrap_or((behind, ""));
        let path = path.strip_prefix('/').unwrap_or(path);
        let (login, address) = authority
            .rsplit_once('@')
            .map_or((None, authority), |(login, at)| (Some(login), at));
        let (user, password) = match login.map(|login| login.split_once(':').ok_or(login)) {
            None => (None, None),
            Some(Ok((user, password))) => (Some(user), Some(password)),
            Some(Err(user)) => (Some(user), None),
        };
        let (host, port) = match address.strip_prefix('[') {
            Some(bracketed) => {
                let (host, port) = bracketed.split_once(']')?;
                (
                    host,
                    if port.is_empty() {
                        None
                    } else {
                        Some(port.strip_prefix(':')?)
                    },
                )
            }
            None => address
                .split_once(':')
                .map_or((address, None), |(h, p)| (h, Some(p))),
        };
        let parameters = query
            .split('&')
            .filter(|parameter| !parameter.is_empty())
            .map(|parameter| parameter.split_once('=').unwrap_or((parameter, "")))
            .collect();
        Some(Self {
            scheme,
            user,
            password,
            host,
            port,
            path,
            parameters,
        })
    }
}

/// Undoes percent-encoding; `None` for `%` without two hexadecimal digits, for bytes that are not
/// UTF-8 afterwards, and for NUL.
pub(crate) fn decode(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains('%') {
        return Some(Cow::Borrowed(text));
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(if byte == b'%' {
            let mut digit = || char::from(bytes.next()?).to_digit(16);
            let (high, low) = (digit()?, digit()?);
            u8::try_from(high * 16 + low).ok()?
        } else {
            byte
        });
    }
    let decoded = String::from_utf8(decoded).ok()?;
    (!decoded.contains('\0')).then_some(Cow::Owned(decoded))
}

/// A URL as it may be shown: no password, and no parameters, which may hold one. What is not a URL
/// is not shown at all, since it may be a connection string.
pub(crate) fn redact(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else {
        return "\"…\"".to_owned();
    };
    // A password may contain any of the characters that should have been encoded, so everything
    // up to the last `@` counts as part of it.
    let shown = match rest.rsplit_once('@') {
        Some((login, rest)) => {
            let user = login.split_once(':').map_or(login, |(user, _)| user);
            let secret = if login.contains(':') { ":…" } else { "" };
            format!("{user}{secret}@{}", without_parameters(rest))
        }
        // Without `@`, what follows a colon is a port, or a password whose host was forgotten.
        None => {
            let rest = without_parameters(rest);
            match rest.rsplit_once(':') {
                Some((host, port)) if !port.starts_with(|c: char| c.is_ascii_digit()) => {
                    format!("{host}:…")
                }
                _ => rest,
            }
        }
    };
    format!("\"{}://{}\"", scheme.escape_debug(), shown.escape_debug())
}

fn without_parameters(rest: &str) -> String {
    rest.split_once('?')
        .map_or_else(|| rest.to_owned(), |(rest, _)| format!("{rest}?…"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn undoes_percent_encoding() {
        let check = |text, expected: Option<&str>| {
            assert_eq!(decode(text).as_deref(), expected, "{text}");
        };
        check("plain", Some("plain"));
        check("p%40ss%2Fword", Some("p@ss/word"));
        check("%C3%A5", Some("å"));
        check("%2", None);
        check("%zz", None);
        check("%ff", None);
        check("%00", None);
        check("100%", None);
    }

    #[test]
    fn shows_no_secret() {
        let check = |text, shown| assert_eq!(redact(text), shown);
        check(
            "postgres://app:se%40cret@db:5432/x",
            "\"postgres://app:…@db:5432/x\"",
        );
        check("postgres://app:se@c/ret@db", "\"postgres://app:…@db\"");
        check("postgres://app@db?password=x", "\"postgres://app@db?…\"");
        check("postgres://app:secret", "\"postgres://app:…\"");
        check("postgres://db:5432", "\"postgres://db:5432\"");
        check("postgres://:secret@db", "\"postgres://:…@db\"");
        check("host=db password=secret", "\"…\"");
    }

    #[test]
    fn cuts_addresses_in_brackets() {
        let parts = Parts::split("postgres://u@[::1]:5433/db?a=b&c").unwrap();
        assert_eq!(
            (parts.host, parts.port, parts.path),
            ("::1", Some("5433"), "db")
        );
        assert_eq!(parts.parameters, [("a", "b"), ("c", "")]);
        assert_eq!(Parts::split("postgres://[::1"), None);
        assert_eq!(Parts::split("db:5432"), None);
        assert_eq!(Parts::split("postgres://u:a/b@db"), None);
        assert_eq!(Parts::split("postgres://u:a?b@db"), None);
    }
}
