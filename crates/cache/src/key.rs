//! The identity of a reply.

use std::fmt;

/// Names one reply: equal keys mean the server would answer with equal bytes.
///
/// A 32-byte BLAKE3 digest; what goes into it, and in which order, is `session`'s affair.
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct CacheKey([u8; 32]);

impl CacheKey {
    /// The digest's bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Eight bytes of the digest, for choosing a shard or bucket.
    pub fn short(&self) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        u64::from_le_bytes([a, b, c, d, e, f, g, h])
    }
}

impl fmt::Debug for CacheKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}…", self.short())
    }
}

/// A digest of part of a key, itself a field of another.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest's bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// Feeds length-prefixed fields into BLAKE3, so that no two field lists glue to the same bytes.
#[derive(Clone, Debug, Default)]
pub struct DigestBuilder(Vec<u8>);

impl DigestBuilder {
    /// An empty list of fields that reuses `buffer`'s memory.
    pub fn reusing(mut buffer: Vec<u8>) -> Self {
        buffer.clear();
        Self(buffer)
    }

    /// Appends one field.
    pub fn field(&mut self, bytes: &[u8]) -> &mut Self {
        self.0
            .extend_from_slice(&(bytes.len() as u64).to_le_bytes());
        self.0.extend_from_slice(bytes);
        self
    }

    /// Appends a number.
    pub fn number(&mut self, number: u64) -> &mut Self {
        self.0.extend_from_slice(&number.to_le_bytes());
        self
    }

    /// Appends a digest of other fields.
    pub fn digest(&mut self, digest: &Digest) -> &mut Self {
        self.0.extend_from_slice(&digest.0);
        self
    }

    /// The digest of all fields so far.
    pub fn finish(&self) -> Digest {
        Digest(*blake3::hash(&self.0).as_bytes())
    }

    /// The key of all fields so far, and the buffer for the next one.
    pub fn into_key(self) -> (CacheKey, Vec<u8>) {
        (CacheKey(*blake3::hash(&self.0).as_bytes()), self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_do_not_glue() {
        let digest = |fields: &[&str]| {
            let mut builder = DigestBuilder::default();
            for field in fields {
                builder.field(field.as_bytes());
            }
            builder.finish()
        };
        assert_ne!(digest(&["x", "txa"]), digest(&["xt", "xa"]));
        assert_ne!(digest(&["ab", "c"]), digest(&["a", "bc"]));
        assert_ne!(digest(&[""]), digest(&[]));
        assert_eq!(digest(&["a", "b"]), digest(&["a", "b"]));
    }

    /// No short sum stands for them: two keys agree in no half of their bytes, whatever single bit
    /// their fields differ in.
    #[test]
    fn all_of_a_key_depends_on_every_bit_of_its_fields() {
        let key = |field: &[u8]| {
            let mut builder = DigestBuilder::default();
            builder.number(1).field(field);
            *builder.into_key().0.as_bytes()
        };
        let field = *b"SELECT * FROM t WHERE id = 1";
        let first = key(&field);
        assert_eq!(first.len(), 32);
        for bit in 0..8 * field.len() {
            let mut other = field;
            other[bit / 8] ^= 1 << (bit % 8);
            let other = key(&other);
            for part in 0..4 {
                let part = 8 * part..8 * part + 8;
                assert_ne!(first[part.clone()], other[part], "bit {bit}");
            }
        }
    }
}
