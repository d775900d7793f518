//! What a session becomes by settings inside a transaction block, without asking the server.
//!
//! Outside of blocks the server is asked ([`crate::identity`]); inside of one it must not be: an
//! error would end the client's block, and a query of ours come before its SET TRANSACTION. But
//! what SET does there follows from what held before, as long as the block goes on: were the server
//! to refuse it, the block would have failed. When the block ends, all that was LOCAL is undone.
//!
//! Invariant: two sessions whose predicted identities are equal are in the same state as far as any
//! reply can depend on it. What is not certain is not predicted.

use std::sync::Arc;

use cache::DigestBuilder;
use catalog::{SearchPath, Snapshot};
use sql::{SetScope, SetValue, Setting};

use crate::{
    Identity, Knowledge,
    folds::{self, Folds},
    identity,
};

/// What was set in the block so far.
#[derive(Debug)]
pub(crate) struct Local {
    /// The state before, to which the session returns.
    base: Arc<Identity>,
    /// The state once all has happened that was sent; `None` if it is not known.
    pub(crate) next: Option<Arc<Identity>>,
    /// Settings of the application that were set: after the block they have a value, if an empty
    /// one.
    touched: Vec<Box<str>>,
    /// Something stays beyond the block, if that commits.
    pub(crate) lasting: bool,
    /// What is noted as set may never have been: whether it has a value afterwards is not known.
    pub(crate) failed: bool,
    /// Bytes of all that was set.
    bytes: usize,
}

/// Bytes of settings that are followed in one block.
const FOLLOWED_MAX: usize = 64 * 1024;

impl Local {
    pub(crate) fn new(base: &Arc<Identity>) -> Self {
        Self {
            base: Arc::clone(base),
            next: Some(Arc::clone(base)),
            touched: Vec::new(),
            lasting: false,
            failed: false,
            bytes: 0,
        }
    }

    /// Statements set this, in order; false if it cannot be told what comes of it.
    pub(crate) fn follow(&mut self, settings: &[Setting], knowledge: &Knowledge) -> bool {
        let Some(mut next) = self.next.take().map(Arc::unwrap_or_clone) else {
            return false;
        };
        for setting in settings {
            self.lasting |= setting.scope == SetScope::Session;
            self.bytes += setting.bytes();
            if self.bytes > FOLLOWED_MAX {
                return false;
            }
            if next.set(setting, knowledge).is_none() {
                return false;
            }
            if !self.touched.contains(&setting.name) {
                self.touched.push(setting.name.clone());
            }
        }
        self.next = Some(Arc::new(next));
        true
    }

    /// Whether these were, and are, the settings by which constants are written.
    pub(crate) fn keeps(&self, folds: &Folds) -> bool {
        let same = |identity: &Arc<Identity>| folds.are(identity.folds);
        same(&self.base) && self.next.as_ref().is_some_and(same)
    }

    /// The state after the block, if nothing has lasted and nothing has failed.
    ///
    /// A setting that nobody had defined is an empty text from then on.
    pub(crate) fn end(self) -> Arc<Identity> {
        let mut base = self.base;
        let emptied = |(name, value): &(Box<str>, Option<Box<[u8]>>)| {
            value.is_none() && self.touched.contains(name)
        };
        if !base.settings.iter().any(emptied) {
            return base;
        }
        let after = Arc::make_mut(&mut base);
        let mut state = DigestBuilder::default();
        state.field(b"emptied").digest(&after.state);
        let mut settings = after.settings.to_vec();
        for entry in &mut settings {
            if emptied(entry) {
                entry.1 = Some(Box::default());
                state.field(entry.0.as_bytes());
            }
        }
        after.settings = settings.into();
        after.state = state.finish();
        base
    }
}

impl Identity {
    /// Takes in one setting that has been made; `None` if its outcome cannot be told.
    fn set(&mut self, setting: &Setting, knowledge: &Knowledge) -> Option<()> {
        let snapshot = knowledge.schema.snapshot();
        match &*setting.name {
            harmless if identity::is_harmless(harmless) => return Some(()),
            "role" => {
                self.is_plain(snapshot).then_some(())?;
                let name = text(&setting.value)?;
                self.role = match name {
                    "none" => self.login,
                    name => snapshot.role_by_name(name)?.id,
                };
                self.enter(snapshot)?;
            }
            "search_path" => {
                self.is_plain(snapshot).then_some(())?;
                let names = match &setting.value {
                    SetValue::Default => return None,
                    SetValue::List(names) => names.to_vec(),
                    SetValue::Text(text) => split(text)?,
                };
                let odd = |name: &str| name.starts_with("pg_temp") || name.len() > NAME_BYTES_MAX;
                if names.iter().any(|name| odd(name)) {
                    return None;
                }
                let quoted = names
                    .iter()
                    .map(|it| format!("\"{}\"", it.replace('"', "\"\"")));
                self.names = quoted.collect::<Vec<_>>().join(", ").into_bytes().into();
                self.enter(snapshot)?;
            }
            name if UNFOLLOWED.contains(&name) || name.starts_with("transaction_") => return None,
            name if name.contains('.') => self.set_custom(name, &setting.value, knowledge)?,
            name => self.shape(name, &setting.value)?,
        }
        let roles = (self.login, self.role);
        self.digest = identity::digest(knowledge.database, roles, &self.path, &self.shaping);
        Some(())
    }

    /// A setting that the server does not know: one of the application's own counts where it is
    /// read, any other everywhere.
    fn set_custom(&mut self, name: &str, value: &SetValue, knowledge: &Knowledge) -> Option<()> {
        let word = name.split('.').next()?;
        let loaded = self.libraries.iter().any(|known| **known == *word);
        let own = !loaded && knowledge.schema.is_plain_setting(name);
        let mut settings = self.settings.to_vec();
        let place = settings.binary_search_by(|(known, _)| (**known).cmp(name));
        if own {
            let value: Option<Box<[u8]>> = Some(text(value)?.as_bytes().into());
            match place {
                Ok(place) => settings.get_mut(place)?.1 = value,
                Err(place) => settings.insert(place, (name.into(), value)),
            }
        } else {
            self.shape(name, value)?;
            if let Ok(place) = place {
                // Its value is not known in the form in which it would be read.
                settings.remove(place);
            }
        }
        self.settings = settings.into();
        Some(())
    }

    /// A setting that shapes replies: what it comes to follows from its words and what was before.
    fn shape(&mut self, name: &str, value: &SetValue) -> Option<()> {
        let mut shaping = DigestBuilder::default();
        shaping.digest(&self.shaping).field(name.as_bytes());
        match value {
            SetValue::Default => return None,
            SetValue::List(list) => {
                shaping.number(list.len() as u64);
                for one in list {
                    shaping.field(one.as_bytes());
                }
            }
            SetValue::Text(text) => {
                shaping.field(text.as_bytes());
            }
        }
        self.shaping = shaping.finish();
        if identity::bears_on_reading(name) {
            self.reading = DigestBuilder::default().digest(&self.shaping).finish();
        }
        if folds::bears_on_folds(name) {
            self.folds = DigestBuilder::default().digest(&self.shaping).finish();
        }
        self.forms = DigestBuilder::default().digest(&self.shaping).finish();
        Some(())
    }

    /// Whether the path in effect follows from role and setting as we would tell it.
    fn is_plain(&self, snapshot: &Snapshot) -> bool {
        self.resolved(snapshot).as_ref() == Some(&self.path)
    }

    /// Role or path are others than they were.
    fn enter(&mut self, snapshot: &Snapshot) -> Option<()> {
        self.path = self.resolved(snapshot)?;
        Some(())
    }

    fn resolved(&self, snapshot: &Snapshot) -> Option<SearchPath> {
        let user = &snapshot.role(self.role)?.name;
        let names = split(std::str::from_utf8(&self.names).ok()?)?;
        let names: Vec<&str> = names.iter().map(|name| &**name).collect();
        Some(snapshot.search_path(&names, user))
    }
}

/// The one value that a setting is given.
fn text(value: &SetValue) -> Option<&str> {
    match value {
        SetValue::List(list) => match &**list {
            [one] => Some(one),
            _ => None,
        },
        SetValue::Text(text) => Some(text),
        SetValue::Default => None,
    }
}

/// The names in the text of a list, as `SplitIdentifierString` reads it; `None` for what it might
/// read otherwise.
fn split(list: &str) -> Option<Vec<Box<str>>> {
    let mut rest = list.trim_ascii_start();
    let mut names = Vec::new();
    if rest.is_empty() {
        return Some(names);
    }
    loop {
        let (name, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted_name(quoted)?,
            None => {
                let end = rest.find(|c: char| c == ',' || c.is_ascii_whitespace());
                let (name, after) = rest.split_at(end.unwrap_or(rest.len()));
                let plain = !name.is_empty() && name.is_ascii() && !name.contains('"');
                (plain.then(|| name.to_ascii_lowercase())?, after)
            }
        };
        if name.len() > NAME_BYTES_MAX {
            return None;
        }
        names.push(name.into());
        rest = after.trim_ascii_start();
        if rest.is_empty() {
            return Some(names);
        }
        rest = rest.strip_prefix(',')?.trim_ascii_start();
    }
}

/// A name up to its closing quote, and what follows.
fn quoted_name(mut rest: &str) -> Option<(String, &str)> {
    let mut name = String::new();
    loop {
        let end = rest.find('"')?;
        let (part, after) = rest.split_at(end);
        name.push_str(part);
        rest = after.get(1..)?;
        match rest.strip_prefix('"') {
            Some(further) => {
                name.push('"');
                rest = further;
            }
            None => return Some((name, rest)),
        }
    }
}

/// Settings that change more than how replies look.
const UNFOLLOWED: [&str; 6] = [
    "backslash_quote",
    "client_encoding",
    "default_transaction_isolation",
    "escape_string_warning",
    "session_authorization",
    "standard_conforming_strings",
];

/// `NAMEDATALEN` less its final zero.
const NAME_BYTES_MAX: usize = 63;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_names_are_read_as_the_server_reads_them() {
        let check = |text: &str, expected: Option<&[&str]>| {
            let expected = expected.map(|names| names.iter().map(|&it| it.into()).collect());
            assert_eq!(split(text), expected, "{text}");
        };
        check("", Some(&[]));
        check("  ", Some(&[]));
        check("\"$user\", Public", Some(&["$user", "public"]));
        check("a,b , \"C\"\"d\"", Some(&["a", "b", "C\"d"]));
        check("\"\"", Some(&[""]));
        for odd in ["a b", "a,", ",a", "\"a", "a\"b\"", "\u{e4}", "\"a\"b"] {
            check(odd, None);
        }
        check(&"x".repeat(64), None);
    }
}
