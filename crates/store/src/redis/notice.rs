//! What is published: marks, to those who keep replies near, and their acknowledgements.
//!
//! | mark: bytes | | acknowledgement: bytes | |
//! |---|---|---|---|
//! | 16 | ledger | 16 | ledger |
//! | 14 | its number, in digits | 16 | member |
//! | 16 | writer | 14 | all marks up to this number, in digits |
//! | 2 each | stripes; none stands for all | | |

use bytes::Bytes;

use super::near::Stripe;
use crate::lease::Token;

/// A mark that was posted.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Notice {
    pub(super) ledger: Token,
    pub(super) sequence: u64,
    /// Whose acknowledgements are to be sent to.
    pub(super) writer: Token,
    pub(super) stripes: Vec<Stripe>,
}

/// What a member has applied.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Acknowledgement {
    pub(super) ledger: Token,
    pub(super) member: Token,
    pub(super) applied: u64,
}

/// What a script publishes behind ledger and number.
pub(super) fn announce(writer: &Token, stripes: impl Iterator<Item = Stripe>) -> Bytes {
    let mut notice = writer.to_vec();
    for stripe in stripes {
        if notice.len() >= 16 + 2 * STRIPES_MAX {
            // Too many to name: all.
            notice.truncate(16);
            break;
        }
        notice.extend_from_slice(&stripe.to_le_bytes());
    }
    notice.into()
}

impl Notice {
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let (ledger, rest) = bytes.split_first_chunk()?;
        let (sequence, rest) = number(rest)?;
        let (writer, rest) = rest.split_first_chunk()?;
        let (stripes, []) = rest.as_chunks() else {
            return None;
        };
        Some(Self {
            ledger: *ledger,
            sequence,
            writer: *writer,
            stripes: stripes.iter().copied().map(Stripe::from_le_bytes).collect(),
        })
    }
}

impl Acknowledgement {
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let (ledger, rest) = bytes.split_first_chunk()?;
        let (member, rest) = rest.split_first_chunk()?;
        let (applied, []) = number(rest)? else {
            return None;
        };
        Some(Self {
            ledger: *ledger,
            member: *member,
            applied,
        })
    }
}

/// Fourteen digits, and what follows.
fn number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (digits, rest) = bytes.split_at_checked(14)?;
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = std::str::from_utf8(digits).ok()?.parse().ok()?;
    Some((number, rest))
}

/// As many stripes are named in one notice: a mark that names its rows has no more.
const STRIPES_MAX: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn published(stripes: &[Stripe]) -> Vec<u8> {
        let notice = announce(&[7; 16], stripes.iter().copied());
        [&[5; 16][..], b"00000000000042", &notice].concat()
    }

    #[test]
    fn a_mark_says_what_it_touches() {
        let notice = Notice::parse(&published(&[1, 65_535])).unwrap();
        let expected = Notice {
            ledger: [5; 16],
            sequence: 42,
            writer: [7; 16],
            stripes: vec![1, 65_535],
        };
        assert_eq!(notice, expected);
    }

    #[test]
    fn too_many_stripes_are_all() {
        let count = |n: usize| {
            Notice::parse(&published(&vec![1; n]))
                .unwrap()
                .stripes
                .len()
        };
        assert_eq!(count(STRIPES_MAX), STRIPES_MAX);
        assert_eq!(count(STRIPES_MAX + 1), 0);
    }

    #[test]
    fn an_acknowledgement_says_who_and_how_far() {
        let bytes = [&[5; 16][..], &[6; 16], b"00000000000009"].concat();
        let expected = Acknowledgement {
            ledger: [5; 16],
            member: [6; 16],
            applied: 9,
        };
        assert_eq!(Acknowledgement::parse(&bytes), Some(expected));
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_strange(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            Notice::parse(&bytes);
            Acknowledgement::parse(&bytes);
        }
    }
}
