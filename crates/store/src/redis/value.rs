//! A reply as Redis keeps it.
//!
//! | bytes | |
//! |---|---|
//! | 1 | format, 2 |
//! | 16 | checksum of all that follows, keyed by the reply's name |
//! | 8 | time to live it was recorded with, in ms |
//! | 8, 8 | how long it is fresh, and how long Redis keeps it beyond that, in ms |
//! | 4, 4, 4 | rows, length of the description, offset of the tag |
//! | 2 | number of versions |
//! | 16 each | versions: epoch, other scopes |
//! | | frames |
//!
//! Numbers are little-endian. The checksum is keyed so that a value under the wrong name, or with
//! another one's bytes, is as damaged as one with a flipped bit.

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use cache::{CacheKey, Entry, Stamp, Version};

/// What was stored.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Stored {
    pub(super) stamp: Stamp,
    /// What the rules said when it was recorded.
    pub(super) ttl: Duration,
    /// The same, cut by jitter.
    pub(super) fresh: Duration,
    /// For how long afterwards it may be of use while it is renewed.
    pub(super) beyond: Duration,
    /// Shares the buffer it was read from.
    pub(super) entry: Entry,
}

impl Stored {
    /// How old it was when Redis was asked for how long it would still keep it.
    pub(super) fn age(&self, lasts: Duration) -> Duration {
        let kept = self.fresh.saturating_add(self.beyond);
        kept.saturating_sub(lasts)
    }
}

/// The bytes for a reply; `None` if it has more versions than can be counted.
pub(super) fn encode(key: &CacheKey, stored: &Stored) -> Option<Bytes> {
    let Stored {
        stamp,
        ttl,
        fresh,
        beyond,
        entry,
    } = stored;
    let versions = stamp.versions();
    let (description, complete) = entry.offsets();
    let mut value = BytesMut::with_capacity(BODY + 38 + 16 * versions.len() + entry.len());
    value.put_u8(FORMAT);
    value.put_bytes(0, CHECKSUM);
    for time in [ttl, fresh, beyond] {
        value.put_u64_le(u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
    }
    value.put_u32_le(entry.rows());
    value.put_u32_le(description);
    value.put_u32_le(complete);
    value.put_u16_le(u16::try_from(versions.len()).ok()?);
    for version in versions {
        value.put_slice(version.as_bytes());
    }
    value.put_slice(entry.frames());
    let sum = checksum(key, value.get(BODY..)?);
    value.get_mut(1..BODY)?.copy_from_slice(&sum);
    Some(value.freeze())
}

/// Reads what was stored under a name; `None` if it is damaged or was never there.
pub(super) fn decode(key: &CacheKey, value: &Bytes) -> Option<Stored> {
    let (head, body) = value.split_first_chunk::<BODY>()?;
    let (format, sum) = head.split_first()?;
    if *format != FORMAT || *sum != checksum(key, body) {
        return None;
    }
    let (ttl, body) = body.split_first_chunk()?;
    let (fresh, body) = body.split_first_chunk()?;
    let (beyond, body) = body.split_first_chunk()?;
    let (rows, body) = body.split_first_chunk()?;
    let (description, body) = body.split_first_chunk()?;
    let (complete, body) = body.split_first_chunk()?;
    let (count, body) = body.split_first_chunk()?;
    let (versions, frames) = body.split_at_checked(16 * usize::from(u16::from_le_bytes(*count)))?;
    let entry = Entry::new(
        value.slice_ref(frames),
        u32::from_le_bytes(*description),
        u32::from_le_bytes(*complete),
        u32::from_le_bytes(*rows),
    );
    let time = |ms: &[u8; 8]| Duration::from_millis(u64::from_le_bytes(*ms));
    Some(Stored {
        stamp: Stamp::new(
            versions
                .as_chunks()
                .0
                .iter()
                .copied()
                .map(Version::from_bytes),
        ),
        ttl: time(ttl),
        fresh: time(fresh),
        beyond: time(beyond),
        entry: entry.ok()?,
    })
}

fn checksum(key: &CacheKey, body: &[u8]) -> [u8; CHECKSUM] {
    let digest = blake3::keyed_hash(key.as_bytes(), body);
    digest
        .as_bytes()
        .first_chunk()
        .copied()
        .expect("a digest has 32 bytes")
}

/// The first byte: which layout follows.
pub(super) const FORMAT: u8 = 2;
const CHECKSUM: usize = 16;
/// Where the checksum ends and what it covers begins.
const BODY: usize = 1 + CHECKSUM;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(n: u64) -> CacheKey {
        let mut fields = cache::DigestBuilder::default();
        fields.number(n);
        fields.into_key().0
    }

    fn stored() -> impl Strategy<Value = Stored> {
        let bytes = prop::collection::vec(any::<u8>(), 1..200);
        let versions = prop::collection::vec(any::<[u8; 16]>(), 1..5);
        (
            bytes,
            versions,
            any::<u32>(),
            any::<(u32, u32)>(),
            any::<[u64; 3]>(),
        )
            .prop_map(|(frames, versions, rows, (a, b), [ttl, fresh, beyond])| {
                let complete = a % u32::try_from(frames.len()).unwrap();
                Stored {
                    stamp: Stamp::new(versions.into_iter().map(Version::from_bytes)),
                    ttl: Duration::from_millis(ttl),
                    fresh: Duration::from_millis(fresh),
                    beyond: Duration::from_millis(beyond),
                    entry: Entry::new(frames.into(), b % (complete + 1), complete, rows).unwrap(),
                }
            })
    }

    proptest! {
        #[test]
        fn decoding_undoes_encoding(stored in stored()) {
            let value = encode(&key(1), &stored).unwrap();
            prop_assert_eq!(decode(&key(1), &value), Some(stored));
        }

        #[test]
        fn damage_is_noticed(stored in stored(), at: prop::sample::Index, bits in 1..=255_u8) {
            let value = encode(&key(1), &stored).unwrap();
            prop_assert_eq!(decode(&key(2), &value), None);
            let cut = value.slice(..at.index(value.len()));
            prop_assert_eq!(decode(&key(1), &cut), None);
            let mut flipped = value.to_vec();
            flipped[at.index(value.len())] ^= bits;
            prop_assert_eq!(decode(&key(1), &flipped.into()), None);
        }

        #[test]
        fn no_bytes_are_too_strange(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert_eq!(decode(&key(1), &bytes.into()), None);
        }
    }
}
