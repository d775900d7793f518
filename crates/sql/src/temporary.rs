//! What a session's temporary objects may do to what lasts.
//!
//! They are not in the snapshot, and other sessions never meet them; but a temporary view may stand
//! for permanent tables, and a trigger on a temporary table may write some.

use crate::facts::Name;

/// So many tables of a session are known to hold rows and do no more.
pub const PLAIN_MAX: usize = 64;

/// What may change besides temporary rows when a session's temporary objects are used.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub enum Temporary {
    /// Nothing: there are none, or tables that hold rows and do no more. A name that means one of
    /// these may be taken for that of a permanent relation.
    #[default]
    Plain,
    /// Anything, by whoever names certain relations; nothing, by whoever names certain others.
    Named(Box<Reaching>),
    /// Anything, by anybody: which ones there are is not known.
    Unknown,
}

/// Temporary relations that reach what lasts, and some that do not, by name.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct Reaching {
    /// Whoever changes rows of these may change anything.
    pub written: Box<[Box<str>]>,
    /// Whoever reads these may.
    pub read: Box<[Box<str>]>,
    /// These are tables that hold rows and do no more, and nothing comes before the temporary schema
    /// when their names are looked up: whoever changes rows of these changes nothing that lasts.
    pub plain: Box<[Box<str>]>,
}

impl Temporary {
    /// Whether nothing has to be looked into for their sake.
    pub fn is_plain(&self) -> bool {
        match self {
            Self::Plain => true,
            Self::Named(names) => names.written.is_empty() && names.read.is_empty(),
            Self::Unknown => false,
        }
    }

    /// What is known of a session in which other relations may come first.
    #[must_use]
    pub fn behind_others(self) -> Self {
        match self {
            Self::Named(names) => Self::Named(Box::new(Reaching {
                plain: Box::default(),
                ..*names
            })),
            known @ (Self::Plain | Self::Unknown) => known,
        }
    }

    /// The same with one more table that holds rows and does no more; `None` if nothing is known of the
    /// others, or there are many.
    pub fn with_table(&self, name: &str) -> Option<Self> {
        let mut names = match self {
            Self::Plain => Box::default(),
            Self::Named(names) => names.clone(),
            Self::Unknown => return None,
        };
        let mut plain = names.plain.into_vec();
        plain.push(name.into());
        plain.sort_unstable();
        plain.dedup();
        let few = plain.len() <= PLAIN_MAX;
        names.plain = plain.into();
        few.then_some(Self::Named(names))
    }

    /// Whether nothing that lasts changes when rows of what has this name do, if no permanent relation
    /// is meant.
    pub(crate) fn holds(&self, name: &Name) -> bool {
        let own = |schema: &str| schema == "pg_temp";
        match self {
            Self::Plain | Self::Unknown => false,
            Self::Named(names) => {
                name.schema.as_deref().is_none_or(own) && has(&names.plain, &name.name)
            }
        }
    }

    /// Whether anything may change when rows of what has this name do.
    pub(crate) fn is_written(&self, name: &str) -> bool {
        match self {
            Self::Plain => false,
            Self::Named(names) => has(&names.written, name),
            Self::Unknown => true,
        }
    }

    /// Whether anything may change when what has this name is read.
    pub(crate) fn is_read(&self, name: &str) -> bool {
        match self {
            Self::Plain => false,
            Self::Named(names) => has(&names.read, name),
            Self::Unknown => true,
        }
    }

    /// Whether a body may name any of them. Names stand in it as they are, but for their case.
    pub(crate) fn may_occur(&self, body: &str) -> bool {
        match self {
            Self::Plain => false,
            Self::Named(names) => {
                let mut all = names.written.iter().chain(&names.read);
                all.any(|name| occurs(name.as_bytes(), body.as_bytes()))
            }
            Self::Unknown => true,
        }
    }
}

fn has(names: &[Box<str>], name: &str) -> bool {
    names.iter().any(|known| **known == *name)
}

/// Whether a statement may name what is made with a relation of this name: it, its row type, and
/// arrays of those.
pub fn may_name(text: &[u8], name: &str) -> bool {
    // Either could be written otherwise.
    let odd = text.windows(2).any(|pair| pair.eq_ignore_ascii_case(b"u&"));
    let plain = name.is_ascii() && !name.contains('"');
    let array = || occurs(format!("_{name}").as_bytes(), text);
    odd || !plain || occurs(name.as_bytes(), text) || array()
}

/// Whether a text holds a name as a word of its own.
fn occurs(name: &[u8], text: &[u8]) -> bool {
    let letter = |byte: Option<&u8>| {
        byte.is_some_and(|&byte| {
            byte.is_ascii_alphanumeric() || b"_$".contains(&byte) || byte >= 0x80
        })
    };
    let found = text.windows(name.len().max(1)).enumerate();
    let mut found = found.filter(|(_, part)| part.eq_ignore_ascii_case(name));
    found.any(|(at, part)| {
        let before = at.checked_sub(1).and_then(|at| text.get(at));
        !letter(before) && !letter(text.get(at + part.len()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_occur_in_any_case_as_whole_words() {
        let occurs = |name: &str, text: &str| occurs(name.as_bytes(), text.as_bytes());
        for text in ["n", "FROM N", "\"n\".x", "insert into pg_temp.n(a)", "a,n;"] {
            assert!(occurs("n", text), "{text}");
        }
        for text in ["", "an", "n1", "n_", "n$", "\u{e4}n", "nn"] {
            assert!(!occurs("n", text), "{text}");
        }
        assert!(may_name(b"select '{}'::_n[]", "n") && !may_name(b"select n_", "n"));
        assert!(may_name(b"from U&\"\\006e\"", "n") && may_name(b"", "a\"b"));
        assert!(occurs("a b", "from \"A B\"") && !occurs("long", "lon"));
    }
}
