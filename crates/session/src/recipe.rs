//! How a reply can be read again without the client that it was recorded for.
//!
//! Invariant: what a recipe brings is what its client would have read. That is so because a
//! connection is used only after the server itself has said, in answer to the very question that
//! sessions are asked, that its state has the identity which is part of the reply's key; and what
//! is sent is what the rest of the key is made of.
//!
//! Connections, and when to use them, are the shell's affair.

use std::{sync::Arc, time::Duration};

use bytes::{BufMut, Bytes, BytesMut};
use cache::{CacheKey, Digest, Entry, Refresh, Scopes};
use wire::{
    HEADER,
    backend::{self, Status, tag},
    frontend::{self, Target},
};

use crate::{Identity, Knowledge, identity, mirror::Asked, own};

/// All that is needed to read a reply again.
#[derive(Debug)]
pub struct Recipe {
    /// The reply's name.
    pub key: CacheKey,
    /// What the statement was planned under.
    pub knowledge: Arc<Knowledge>,
    /// What the reply depends on besides the epoch, sorted.
    pub scopes: Scopes,
    /// How long a reply may be served.
    pub ttl: Duration,
    /// When it is to be renewed.
    pub refresh: Refresh,
    pub(crate) identity: Arc<Identity>,
    pub(crate) text: Bytes,
    /// Declared types and the arguments of Bind; `None` in the simple protocol.
    pub(crate) extended: Option<(Bytes, Bytes)>,
}

impl Recipe {
    /// The state that a session must have.
    pub fn identity(&self) -> &Digest {
        &self.identity.digest
    }

    /// How many bytes the statement and its arguments take.
    pub fn bytes(&self) -> usize {
        let extended = self.extended.as_ref();
        self.text.len() + extended.map_or(0, |(types, arguments)| types.len() + arguments.len())
    }

    /// The name of the role that the session has logged in as.
    pub fn login(&self) -> Option<&str> {
        let role = self.knowledge.schema.snapshot().role(self.identity.login)?;
        Some(&role.name)
    }

    /// The statement that brings a fresh session of the same login into that state; `None` if it
    /// cannot be written down without doubt.
    pub fn context(&self) -> Option<String> {
        let identity = &self.identity;
        let snapshot = self.knowledge.schema.snapshot();
        if identity.temporary.is_some() {
            return None;
        }
        let mut settings = listed(&identity.listed)?;
        settings.extend(listed(&identity.unloaded)?);
        for (name, value) in &identity.settings {
            // What has no value has none in a fresh session either.
            if let Some(value) = value {
                settings.push((name, std::str::from_utf8(value).ok()?));
            }
        }
        let isolation = std::str::from_utf8(&identity.isolation).ok()?;
        settings.push(("default_transaction_isolation", isolation));
        let schemas = identity.path.0.iter().map(|&id| snapshot.schema(id));
        let schemas = schemas
            .map(|schema| Some(format!("\"{}\"", schema?.name.replace('"', "\"\""))))
            .collect::<Option<Vec<_>>>()?;
        let path = schemas.join(", ");
        settings.push(("search_path", &path));
        if identity.role != identity.login {
            // Last: another role may not be allowed to set the rest.
            settings.push(("role", &snapshot.role(identity.role)?.name));
        }
        let calls = settings.into_iter().map(|(name, value)| {
            let plain = |text: &str| text.is_ascii() && !text.contains(['\\', '\0']);
            let (name, value) = Some((name, value)).filter(|it| plain(it.0) && plain(it.1))?;
            let quoted = value.replace('\'', "''");
            Some(format!(
                "pg_catalog.set_config('{name}', '{quoted}', false)"
            ))
        });
        let calls = calls.collect::<Option<Vec<_>>>()?;
        Some(format!("SELECT {}", calls.join(", ")))
    }

    /// The question by which a session's state is told.
    pub fn put_probe(&self, out: &mut BytesMut) {
        identity::put_probe(out, own::STATE, &self.asked().names, false);
    }

    /// The settings that the question asks for by name.
    fn asked(&self) -> Asked {
        let names = self.identity.settings.iter();
        Asked {
            names: names.map(|(name, _)| name.clone()).collect(),
            own: self.identity.own.clone(),
        }
    }

    /// Whether the `DataRow` that answered it tells of that state.
    pub fn is_proven(&self, row: &[u8]) -> bool {
        Identity::read(row, &self.knowledge, &self.asked()).is_some_and(|it| {
            it.digest == self.identity.digest && it.settings == self.identity.settings
        })
    }

    /// The statement, as the client would send it.
    pub fn put(&self, out: &mut BytesMut) {
        let Some((types, arguments)) = &self.extended else {
            return frontend::put_query(out, &self.text);
        };
        let mut counted = BytesMut::with_capacity(types.len() + 2);
        counted.put_u16(u16::try_from(types.len() / 4).unwrap_or(u16::MAX));
        counted.put_slice(types);
        frontend::put_parse_typed(out, b"", &self.text, &counted);
        frontend::put_bind_with(out, arguments);
        frontend::put_describe(out, Target::Portal, b"");
        frontend::put_execute(out, b"");
        out.extend_from_slice(frontend::SYNC);
    }
}

/// Names and values of settings as the server lists them: a name, the length of its value, and
/// the value, with 30 between them and 31 between settings.
pub(crate) fn listed(mut list: &[u8]) -> Option<Vec<(&str, &str)>> {
    let text = |bytes| std::str::from_utf8(bytes).ok();
    let mut settings = Vec::new();
    while !list.is_empty() {
        let mut parts = list.splitn(3, |&byte| byte == 30);
        let (name, length, rest) = (parts.next()?, parts.next()?, parts.next()?);
        let (value, rest) = rest.split_at_checked(text(length)?.parse().ok()?)?;
        settings.push((text(name)?, text(value)?));
        list = match rest {
            [31, rest @ ..] => rest,
            [] => rest,
            _ => return None,
        };
    }
    Some(settings)
}

/// A reply that is being read for a recipe.
#[derive(Debug)]
pub struct Reply {
    frames: BytesMut,
    description: usize,
    complete: usize,
    rows: u32,
    limit: usize,
}

/// What one more frame makes of it.
#[derive(Debug, Eq, PartialEq)]
pub enum Outcome {
    /// More is to come.
    More,
    /// The reply, all of it.
    Done(Entry),
    /// It is not one that may be kept.
    Refused,
}

impl Reply {
    /// Nothing of it yet; frames of at most `limit` bytes together.
    pub fn new(limit: usize) -> Self {
        Self {
            frames: BytesMut::new(),
            description: 0,
            complete: 0,
            rows: 0,
            limit,
        }
    }

    /// Takes in the server's next frame, which is whole.
    pub fn take(&mut self, frame: &[u8]) -> Outcome {
        let ended = self.complete > 0;
        match frame.first().copied() {
            Some(tag::PARSE_COMPLETE | tag::BIND_COMPLETE) if self.frames.is_empty() => {
                return Outcome::More;
            }
            Some(tag::NOTIFICATION) => return Outcome::More,
            Some(tag::ROW_DESCRIPTION) if self.frames.is_empty() => self.description = frame.len(),
            Some(tag::DATA_ROW) if self.description > 0 && !ended => {
                self.rows = self.rows.saturating_add(1);
            }
            Some(tag::COMMAND_COMPLETE) if self.description > 0 && !ended => {
                if !self.is_counted_by(frame) {
                    return Outcome::Refused;
                }
                self.complete = self.frames.len();
            }
            Some(tag::READY) if ended && backend::read_ready(frame) == Ok(Status::Idle) => {
                return self.finish();
            }
            _ => return Outcome::Refused,
        }
        if self.frames.len() + frame.len() > self.limit {
            return Outcome::Refused;
        }
        self.frames.extend_from_slice(frame);
        Outcome::More
    }

    /// Whether a tag is a read's and counts the rows that came.
    fn is_counted_by(&self, frame: &[u8]) -> bool {
        let expected = format!("SELECT {}", self.rows);
        frame.len() > HEADER && backend::command_tag(frame) == Ok(expected.as_bytes())
    }

    fn finish(&mut self) -> Outcome {
        let frames = Bytes::copy_from_slice(&self.frames);
        let offsets = (
            u32::try_from(self.description),
            u32::try_from(self.complete),
        );
        match offsets {
            (Ok(description), Ok(complete)) => Entry::new(frames, description, complete, self.rows)
                .map_or(Outcome::Refused, Outcome::Done),
            (Ok(_), Err(_)) | (Err(_), Ok(_) | Err(_)) => Outcome::Refused,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DESCRIPTION: &[u8] = b"T\0\0\0\x06\0\0";
    const ROW: &[u8] = b"D\0\0\0\x06\0\0";
    const ONE: &[u8] = b"C\0\0\0\x0dSELECT 1\0";
    const READY: &[u8] = b"Z\0\0\0\x05I";

    fn read(frames: &[&[u8]]) -> Outcome {
        let mut reply = Reply::new(64);
        let mut outcome = Outcome::More;
        for frame in frames {
            assert_eq!(outcome, Outcome::More);
            outcome = reply.take(frame);
        }
        outcome
    }

    #[test]
    fn settings_are_told_apart_by_their_lengths() {
        let check = |list: &[u8], expected| assert_eq!(listed(list), expected);
        check(b"", Some(Vec::new()));
        check(
            b"a\x1e1\x1ex\x1fb.c\x1e3\x1e\x1fd\x1e\x1fe\x1e0\x1e",
            Some(vec![("a", "x"), ("b.c", "\u{1f}d\u{1e}"), ("e", "")]),
        );
        check(b"a\x1e2\x1ex", None);
        check(b"a\x1ex", None);
        check(b"a\x1e1\x1exy", None);
    }

    #[test]
    fn a_whole_reply_is_an_entry() {
        let Outcome::Done(entry) = read(&[DESCRIPTION, ROW, ONE, READY]) else {
            panic!("refused");
        };
        assert_eq!(entry.description().as_deref(), Some(DESCRIPTION));
        assert_eq!((&entry.data()[..], &entry.complete()[..]), (ROW, ONE));
        let prefix = [backend::PARSE_COMPLETE, backend::BIND_COMPLETE];
        let extended = [&prefix[..], &[DESCRIPTION, ROW, ONE, READY]].concat();
        assert_eq!(read(&extended), Outcome::Done(entry));
    }

    #[test]
    fn what_a_client_would_not_get_again_is_refused() {
        let check = |frames: &[&[u8]]| assert_eq!(read(frames), Outcome::Refused, "{frames:?}");
        check(&[b"E\0\0\0\x04"]);
        check(&[DESCRIPTION, b"N\0\0\0\x04"]);
        check(&[DESCRIPTION, ROW, ROW, ONE]);
        check(&[DESCRIPTION, ONE]);
        check(&[ROW]);
        check(&[DESCRIPTION, ROW, ONE, ONE]);
        check(&[DESCRIPTION, ROW, ONE, b"Z\0\0\0\x05T"]);
        check(&[DESCRIPTION, ROW, READY]);
        check(&[DESCRIPTION, ROW, b"s\0\0\0\x04"]);
        check(&[&[b'T'; 65]]);
    }
}
