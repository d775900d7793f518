//! Names: of keys in Redis, and random ones that nobody else has.

use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use cache::{CacheKey, Scope};
use catalog::DatabaseId;
use fred::types::Value;

use super::near::Stripe;

/// The keys of one database.
///
/// `prefix:2:{system:database}:` and `t` for the term, `i` for the members, `l` for the ledger, `e`
/// for the epoch, `d` for drops, `p:kind` for what was read under it, `r:oid` for a relation, `b:oid` for rows that were not named, `r:oid:class` for
/// one class of rows, `n:oid` for new rows; marks are posted in the channel with `m`. The braces put
/// them all into one slot of a cluster, so that they are read and changed together. Replies, named
/// `prefix:2:system:database:k:digest`, are spread, and so are claims, with `f` in place of `k`.
///
/// The 2 is the version of everything that is stored: another one shares nothing with it.
#[derive(Debug)]
pub(super) struct Keys {
    versions: String,
    replies: String,
    claims: String,
}

impl Keys {
    pub(super) fn new(prefix: &str, database: DatabaseId) -> Self {
        let DatabaseId { system, oid } = database;
        Self {
            versions: format!("{prefix}:2:{{{:016x}:{oid}}}:", system.0),
            replies: format!("{prefix}:2:{:016x}:{oid}:k:", system.0),
            claims: format!("{prefix}:2:{:016x}:{oid}:f:", system.0),
        }
    }

    pub(super) fn term(&self) -> Value {
        self.version("t")
    }

    pub(super) fn members(&self) -> Value {
        self.version("i")
    }

    pub(super) fn ledger(&self) -> Value {
        self.version("l")
    }

    /// Where it is kept what was read under an epoch, by those who read in one way.
    pub(super) fn print(&self, kind: u64) -> Value {
        self.version(&format!("p:{kind:016x}"))
    }

    /// The channel in which marks are posted.
    pub(super) fn marks(&self) -> String {
        format!("{}m", self.versions)
    }

    pub(super) fn scope(&self, scope: Scope) -> Value {
        Value::Bytes(self.name(scope))
    }

    fn name(&self, scope: Scope) -> Bytes {
        let end = match scope {
            Scope::Epoch(_) => "e".to_owned(),
            Scope::Drops(_) => "d".to_owned(),
            Scope::Relation(_, relation) => format!("r:{relation}"),
            Scope::Bulk(_, relation) => format!("b:{relation}"),
            Scope::Row(_, relation, class) => format!("r:{relation}:{:05x}", class.number()),
            Scope::Insert(_, relation) => format!("n:{relation}"),
        };
        [self.versions.as_bytes(), end.as_bytes()].concat().into()
    }

    /// Where touches of a scope are counted: the same in every instance.
    pub(super) fn stripe(&self, scope: Scope) -> Stripe {
        let [low, high, ..] = *blake3::hash(&self.name(scope)).as_bytes();
        Stripe::from_le_bytes([low, high])
    }

    pub(super) fn reply(&self, key: &CacheKey) -> Value {
        digest_of(&self.replies, &blake3::Hash::from_bytes(*key.as_bytes()))
    }

    pub(super) fn claim(&self, digest: &blake3::Hash) -> Value {
        digest_of(&self.claims, digest)
    }

    fn version(&self, end: &str) -> Value {
        Value::Bytes([self.versions.as_bytes(), end.as_bytes()].concat().into())
    }
}

fn digest_of(beginning: &str, digest: &blake3::Hash) -> Value {
    let hex = digest.to_hex();
    Value::Bytes([beginning.as_bytes(), hex.as_bytes()].concat().into())
}

/// Sixteen random bytes.
pub(super) type Token = [u8; 16];

/// Makes tokens that nobody has made before: a digest of a counter, keyed by the system's entropy.
#[derive(Debug)]
pub(super) struct Dice {
    seed: [u8; 32],
    next: AtomicU64,
}

impl Dice {
    pub(super) fn new() -> Result<Self, getrandom::Error> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed)?;
        Ok(Self {
            seed,
            next: AtomicU64::new(0),
        })
    }

    pub(super) fn token(&self) -> Token {
        let count = self.next.fetch_add(1, Ordering::Relaxed).to_le_bytes();
        let digest = blake3::keyed_hash(&self.seed, &count);
        digest
            .as_bytes()
            .first_chunk()
            .copied()
            .expect("a digest has 32 bytes")
    }

    /// A token as an argument.
    pub(super) fn value(&self) -> Value {
        value(&self.token())
    }

    /// A token in printable letters.
    pub(super) fn name(&self) -> Bytes {
        let name = u128::from_le_bytes(self.token());
        format!("pgmemo-{name:032x}").into()
    }

    /// A number for jitter.
    pub(super) fn number(&self) -> u32 {
        let [a, b, c, d, ..] = self.token();
        u32::from_le_bytes([a, b, c, d])
    }
}

/// A token as an argument.
pub(super) fn value(token: &Token) -> Value {
    Value::Bytes(Bytes::copy_from_slice(token))
}

#[cfg(test)]
mod tests {
    use super::*;
    use catalog::{RelationId, SystemId};

    fn keys(system: u64, oid: u32) -> Keys {
        let system = SystemId(system);
        Keys::new("pgmemo", DatabaseId { system, oid })
    }

    fn text(value: &Value) -> String {
        String::from_utf8(value.as_bytes().unwrap_or_default().to_vec()).unwrap()
    }

    /// All names that a database has in Redis.
    fn names(system: u64, oid: u32) -> Vec<String> {
        let (keys, system) = (keys(system, oid), SystemId(system));
        let database = DatabaseId { system, oid };
        let mut fields = cache::DigestBuilder::default();
        fields.number(1);
        let digest = blake3::hash(b"claim");
        [
            keys.term(),
            keys.members(),
            keys.scope(Scope::Epoch(database)),
            keys.scope(Scope::Relation(database, RelationId::from_oid(7))),
            keys.reply(&fields.into_key().0),
            keys.claim(&digest),
        ]
        .iter()
        .map(text)
        .collect()
    }

    #[test]
    fn another_cluster_or_database_has_other_names() {
        for other in [names(2, 5), names(1, 6)] {
            for (one, other) in names(1, 5).iter().zip(&other) {
                assert_ne!(one, other);
            }
        }
    }

    /// What another format has written is under other names.
    #[test]
    fn all_names_say_in_which_format_things_are_stored() {
        for name in names(1, 5) {
            assert!(name.starts_with("pgmemo:2:"), "{name}");
        }
    }

    #[test]
    fn a_reply_is_named_by_the_whole_of_its_key() {
        let keys = keys(1, 5);
        let mut fields = cache::DigestBuilder::default();
        fields.number(1);
        let key = fields.into_key().0;
        let hex = blake3::Hash::from_bytes(*key.as_bytes()).to_hex();
        assert!(text(&keys.reply(&key)).ends_with(hex.as_str()));
    }
}
