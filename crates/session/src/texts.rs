//! How the texts of a session are to be read: by which lexical rules, and in which encoding.

/// What the server has reported of it.
#[derive(Clone, Copy, Debug)]
pub struct Texts {
    /// The lexical rules are those our reader knows: `standard_conforming_strings` is on, and no byte
    /// of a multibyte character can be mistaken for ASCII.
    plain: bool,
    client: Encoding,
    /// The server's own encoding is UTF-8, or none.
    server_is_utf8: bool,
    /// The client's encoding has been another in this session.
    changed: bool,
}

/// An encoding, as far as it matters here.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Encoding {
    Utf8,
    /// `SQL_ASCII`: that of the server, without conversion.
    AsIs,
    Other,
}

impl Default for Texts {
    fn default() -> Self {
        Self {
            plain: true,
            client: Encoding::Utf8,
            server_is_utf8: true,
            changed: false,
        }
    }
}

impl Texts {
    /// What was reported at the login.
    pub fn at_login<'a>(reports: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> Self {
        let mut texts = Self::default();
        reports.for_each(|(name, value)| texts.note(name, value));
        texts.changed = false;
        texts
    }

    /// The server reports a setting.
    pub(crate) fn note(&mut self, name: &[u8], value: &[u8]) {
        match name {
            b"standard_conforming_strings" => self.plain &= value == b"on",
            b"server_encoding" => self.server_is_utf8 = matches!(value, b"UTF8" | b"SQL_ASCII"),
            b"client_encoding" => {
                self.changed = true;
                self.plain &= is_ascii_safe(value);
                self.client = match value {
                    b"UTF8" => Encoding::Utf8,
                    b"SQL_ASCII" => Encoding::AsIs,
                    _ => Encoding::Other,
                };
            }
            _ => {}
        }
    }

    /// Whether the lexical rules are those our reader knows.
    pub(crate) const fn are_plain(&self) -> bool {
        self.plain
    }

    /// Whether names in them have the bytes that they have in a catalog snapshot.
    pub(crate) const fn are_utf8(&self) -> bool {
        match self.client {
            Encoding::Utf8 => true,
            Encoding::AsIs => self.server_is_utf8,
            Encoding::Other => false,
        }
    }

    /// Whether the server has spelled names otherwise earlier in this session.
    pub(crate) const fn have_changed(&self) -> bool {
        self.changed
    }
}

/// Whether no byte of a multibyte character of this client encoding can be mistaken for ASCII, so
/// that text in it can be read byte by byte.
fn is_ascii_safe(encoding: &[u8]) -> bool {
    const UNSAFE: [&[u8]; 8] = [
        b"SJIS",
        b"SHIFT_JIS_2004",
        b"BIG5",
        b"GBK",
        b"UHC",
        b"GB18030",
        b"JOHAB",
        b"MULE_INTERNAL",
    ];
    !UNSAFE
        .iter()
        .any(|name| name.eq_ignore_ascii_case(encoding))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_only_if_their_bytes_are_those_of_the_catalog() {
        let check = |client: &str, server: &str, plain, utf8| {
            // The client's comes first.
            let reports = [("client_encoding", client), ("server_encoding", server)];
            let reports = reports.iter().map(|it| (it.0.as_bytes(), it.1.as_bytes()));
            let texts = Texts::at_login(reports);
            let found = (texts.are_plain(), texts.are_utf8());
            assert_eq!(found, (plain, utf8), "{client}, {server}");
        };
        check("UTF8", "UTF8", true, true);
        check("UTF8", "LATIN1", true, true);
        check("LATIN1", "UTF8", true, false);
        check("LATIN1", "LATIN1", true, false);
        check("SQL_ASCII", "UTF8", true, true);
        check("SQL_ASCII", "SQL_ASCII", true, true);
        check("SQL_ASCII", "LATIN1", true, false);
        check("SJIS", "UTF8", false, false);
    }
}
