//! The startup packet.

use bytes::{Buf, Bytes};
use session::Timeouts;

use crate::options::{self, StartupOptions};

/// A startup packet: what the server gets, and what we read in it. Names and values are bytes in
/// no particular encoding.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StartupPacket {
    /// The whole packet as the client sent it, length included.
    pub raw: Bytes,
    /// The protocol's version: major in the upper 16 bits, minor in the lower ones.
    pub protocol: u32,
    /// The role that logs in; empty if none is named, which the server will refuse.
    pub user: Bytes,
    /// The database; the user's name if none is named.
    pub database: Bytes,
    /// `options`: switches of the server's command line, not yet split.
    pub options: Bytes,
    /// Settings, `application_name` and `client_encoding` among them, in order. The server applies
    /// them after those in `options`.
    pub parameters: Vec<(Bytes, Bytes)>,
    /// Whether, and how, the connection will speak the replication protocol.
    pub replication: Replication,
}

/// Which commands a connection takes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Replication {
    /// SQL.
    None,
    /// Those of replication alone.
    Physical,
    /// Those of replication, and SQL by the simple protocol.
    Logical,
}

impl StartupPacket {
    /// Reads a packet of protocol 3; `None` if its strings do not end where they must.
    pub fn parse(raw: Bytes) -> Option<Self> {
        let mut rest = raw.get(4..)?;
        let protocol = rest.try_get_u32().ok()?;
        let mut packet = Self {
            raw: raw.clone(),
            protocol,
            user: Bytes::new(),
            database: Bytes::new(),
            options: Bytes::new(),
            parameters: Vec::new(),
            replication: Replication::None,
        };
        loop {
            let name = string(&mut rest)?;
            if name.is_empty() {
                break;
            }
            let value = raw.slice_ref(string(&mut rest)?);
            match name {
                b"user" => packet.user = value,
                b"database" => packet.database = value,
                b"options" => packet.options = value,
                b"replication" => packet.replication = replication(&value),
                // Requests of the protocol, not settings.
                name if name.starts_with(b"_pq_.") => {}
                name => packet.parameters.push((raw.slice_ref(name), value)),
            }
        }
        if !rest.is_empty() {
            return None;
        }
        if packet.database.is_empty() {
            packet.database = packet.user.clone();
        }
        Some(packet)
    }

    /// How long statements may take, for all that is set here.
    pub(crate) fn timeouts(&self) -> Timeouts {
        let mut timeouts = Timeouts::default();
        let options = self.startup_options().settings;
        let options = options.iter().map(|(name, value)| (&name[..], &value[..]));
        let parameters = self.parameters.iter();
        for (name, value) in options.chain(parameters.map(|(name, value)| (&name[..], &value[..])))
        {
            let value = str::from_utf8(value).unwrap_or_default();
            let name = String::from_utf8_lossy(name).to_ascii_lowercase();
            timeouts.set(&name, value);
        }
        timeouts
    }

    /// What `options` sets.
    pub fn startup_options(&self) -> StartupOptions {
        options::parse(&self.options)
    }
}

/// Takes a string and the NUL that ends it.
fn string<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let end = rest.iter().position(|&byte| byte == 0)?;
    let (text, tail) = rest.split_at_checked(end)?;
    *rest = tail.get(1..)?;
    Some(text)
}

/// What a value of `replication` asks for: it is `database`, in lower case, or true, as `parse_bool`
/// understands true: any beginning of a word that leaves no doubt.
fn replication(value: &[u8]) -> Replication {
    if value == b"database" {
        return Replication::Logical;
    }
    let value = value.to_ascii_lowercase();
    let begins = |word: &[u8]| !value.is_empty() && word.starts_with(&value);
    if value == b"on" || value == b"1" || begins(b"true") || begins(b"yes") {
        Replication::Physical
    } else {
        Replication::None
    }
}
