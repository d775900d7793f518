//! Version objects as `scripts/versions.lua` keeps them, and the operations it knows.

use cache::{Stamp, Version};
use fred::types::Value;

use super::names::Token;

/// What a version object shows to a reader.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Seen {
    /// A token that is current.
    Current(Token),
    /// Somebody is writing, or did and fell silent. What it was before, unless it will be another for
    /// certain.
    Written(Option<Token>),
    /// Nothing, or nothing of ours.
    Missing,
}

impl Seen {
    /// An object with a current token, as an argument.
    pub(super) fn fresh(token: &Token) -> Value {
        Value::Bytes([&b"C"[..], token].concat().into())
    }

    /// Reads an object.
    pub(super) fn parse(object: Option<&[u8]>) -> Self {
        match object.and_then(<[u8]>::split_first) {
            Some((b'C', token)) => token.try_into().map_or(Self::Missing, Self::Current),
            Some((b'M', rest)) if rest.len() >= 17 && (rest.len() - 17).is_multiple_of(30) => {
                let (changed, rest) = (rest.first() == Some(&b'1'), rest.get(1..17));
                let before = rest.and_then(|token| token.try_into().ok());
                Self::Written(before.filter(|_| !changed))
            }
            Some(_) | None => Self::Missing,
        }
    }
}

/// The stamp of these versions; `None` if one of them is not current.
///
/// The first version is the epoch combined with the generation: both are random, so a change of
/// either is a change of the whole.
pub(super) fn stamp(generation: Token, versions: &[Seen]) -> Option<Stamp> {
    let mut mask = u128::from_ne_bytes(generation);
    let versions = versions.iter().map(|seen| match *seen {
        Seen::Current(token) => {
            let masked = u128::from_ne_bytes(token) ^ std::mem::take(&mut mask);
            Some(Version::from_bytes(masked.to_ne_bytes()))
        }
        Seen::Written(_) | Seen::Missing => None,
    });
    versions.collect::<Option<Vec<_>>>().map(Stamp::new)
}

/// The epoch of this token.
pub(super) fn version(generation: Token, token: Token) -> Option<Version> {
    let stamp = stamp(generation, &[Seen::Current(token)])?;
    stamp.versions().first().copied()
}

/// What the script does to an object.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Operation {
    /// Gives it a token if it has none; ends marks that have lapsed.
    Look,
    /// Adds a mark.
    Mark,
    /// Ends a mark with a change.
    Bump,
    /// Ends a mark without a change.
    Clear,
    /// Postpones the lapse of a mark, or sets it again if it was lost.
    Renew,
}

impl Operation {
    /// The script's word for it.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Look => "look",
            Self::Mark => "mark",
            Self::Bump => "bump",
            Self::Clear => "clear",
            Self::Renew => "renew",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_whole_objects_are_read() {
        let object = |form: u8, rest: usize| [vec![form], vec![b'0'; rest]].concat();
        let parse = |form, rest| Seen::parse(Some(&object(form, rest)));
        assert_eq!(parse(b'C', 16), Seen::Current([b'0'; 16]));
        assert_eq!(parse(b'M', 17), Seen::Written(Some([b'0'; 16])));
        assert_eq!(parse(b'M', 17 + 60), Seen::Written(Some([b'0'; 16])));
        let changed = [&b"M1"[..], &[b'0'; 46]].concat();
        assert_eq!(Seen::parse(Some(&changed)), Seen::Written(None));
        for (form, rest) in [
            (b'C', 15),
            (b'C', 17),
            (b'M', 16),
            (b'M', 18),
            (b'X', 0),
            (b'c', 16),
        ] {
            assert_eq!(parse(form, rest), Seen::Missing);
        }
        let fresh = Seen::fresh(&[7; 16]);
        assert_eq!(Seen::parse(fresh.as_bytes()), Seen::Current([7; 16]));
        assert_eq!(Seen::parse(None), Seen::Missing);
        assert_eq!(Seen::parse(Some(b"")), Seen::Missing);
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_strange(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            Seen::parse(Some(&bytes));
        }
    }
}
