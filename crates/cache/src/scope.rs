//! Scopes, their versions, and what a stamp may claim about them.

use std::{
    fmt,
    hash::{Hash, Hasher},
    time::Instant,
};

use catalog::{DatabaseId, RelationId, RowClass};
use smallvec::SmallVec;

/// A thing that writes change and replies depend on.
///
/// | | changes | depends on |
/// |---|---|---|
/// | a write that names its rows | `Relation`, `Row` of each | |
/// | new rows whose keys nobody knows | `Relation`, `Insert` | |
/// | any other write | `Relation`, `Bulk` | |
/// | a read that keeps to some keys | | `Bulk`, `Row` of each, `Insert` |
/// | the same, if no row was missing | | `Bulk`, `Row` of each |
/// | any other read | | `Relation` |
///
/// So a write and a read that it can change always have a scope in common.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Scope {
    /// All of one database that is not the rows of a table: definitions, privileges, settings,
    /// unknown effects.
    Epoch(DatabaseId),
    /// What was dropped of one database's code. No reply depends on it, but it tells whether there
    /// was something between two readings of the catalog that neither has seen.
    Drops(DatabaseId),
    /// The rows of one relation, whichever.
    Relation(DatabaseId, RelationId),
    /// Rows of one relation that a write did not name.
    Bulk(DatabaseId, RelationId),
    /// The rows of one relation whose keys are of one class.
    Row(DatabaseId, RelationId, RowClass),
    /// Rows that are new in a relation, under keys that were not there.
    Insert(DatabaseId, RelationId),
}

impl Scope {
    /// The database it belongs to.
    pub const fn database(self) -> DatabaseId {
        match self {
            Self::Epoch(database)
            | Self::Drops(database)
            | Self::Relation(database, _)
            | Self::Bulk(database, _)
            | Self::Row(database, _, _)
            | Self::Insert(database, _) => database,
        }
    }
}

/// In two words, as every miss hashes each of its scopes several times.
impl Hash for Scope {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let (kind, relation, class) = match self {
            Self::Epoch(_) => (0_u32, 0, 0),
            Self::Relation(_, relation) => (1, relation.oid(), 0),
            Self::Bulk(_, relation) => (2, relation.oid(), 0),
            Self::Row(_, relation, class) => (3, relation.oid(), class.number()),
            Self::Insert(_, relation) => (4, relation.oid(), 0),
            Self::Drops(_) => (5, 0, 0),
        };
        let pair = |high: u32, low: u32| u64::from(high) << 32 | u64::from(low);
        let database = self.database();
        state.write_u64(database.system.0 ^ pair(database.oid, relation));
        state.write_u64(pair(kind, class));
    }
}

/// The scopes that a reply depends on besides the epoch of its database, sorted.
///
/// A reply that lacks no row does not depend on a last [`Scope::Insert`].
pub type Scopes = SmallVec<[Scope; 3]>;

/// Whether a reply may be kept under the first `count` of these scopes: under all of them, or under
/// all but a last [`Scope::Insert`].
pub fn suffices(count: usize, scopes: &[Scope]) -> bool {
    count == scopes.len() || (count + 1 == scopes.len() && is_optional(scopes.last()))
}

/// Whether the last of some scopes is one on which a reply that lacks no row does not depend.
pub const fn is_optional(last: Option<&Scope>) -> bool {
    matches!(last, Some(Scope::Insert(..)))
}

/// An opaque random token that a scope has between two changes. Never repeated, never ordered.
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct Version([u8; 16]);

impl Version {
    /// Wraps sixteen random bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The bytes, as a store keeps them.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}…", u128::from_be_bytes(self.0) >> 96)
    }
}

/// The versions of everything a reply depends on, read *before* its query left for the server.
///
/// The versions stand in the order of the question's scopes, the epoch first. Stamps are equal if
/// their versions are.
#[derive(Clone, Debug)]
pub struct Stamp {
    versions: SmallVec<[Version; 4]>,
    taken: Instant,
}

impl Stamp {
    /// The versions of the epoch and of each scope of a question, in its order.
    pub fn new(versions: impl IntoIterator<Item = Version>) -> Self {
        Self {
            versions: versions.into_iter().collect(),
            taken: Instant::now(),
        }
    }

    /// When the versions were read: no reply with this stamp is younger.
    pub const fn taken(&self) -> Instant {
        self.taken
    }

    /// The versions, epoch first.
    pub fn versions(&self) -> &[Version] {
        &self.versions
    }

    /// Whether a reply recorded under `seen` may be served while these are the versions of a
    /// question's epoch and scopes.
    pub fn admits(&self, seen: &Self, scopes: &[Scope]) -> bool {
        let count = seen.versions.len().checked_sub(1);
        self.versions.starts_with(&seen.versions)
            && count.is_some_and(|count| suffices(count, scopes))
    }

    /// Keeps the epoch's version and those of the first `count` scopes.
    pub fn truncate(&mut self, count: usize) {
        self.versions.truncate(count + 1);
    }

    /// Whether a reply with this stamp may be served now.
    ///
    /// A scope that is unknown or being written has no current version (`None`) and so counts as
    /// changed: in doubt, the server answers.
    pub fn holds(&self, current: impl IntoIterator<Item = Option<Version>>) -> bool {
        let mut current = current.into_iter();
        self.versions
            .iter()
            .all(|&seen| current.next() == Some(Some(seen)))
            && current.next().is_none()
    }
}

impl PartialEq for Stamp {
    fn eq(&self, other: &Self) -> bool {
        self.versions == other.versions
    }
}

impl Eq for Stamp {}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(n: u8) -> Version {
        Version::from_bytes([n; 16])
    }

    #[test]
    fn a_stamp_admits_what_lacks_no_more_than_a_last_insert() {
        let database = DatabaseId {
            system: catalog::SystemId(1),
            oid: 5,
        };
        let relation = RelationId::from_oid(7);
        let bulk = Scope::Bulk(database, relation);
        let scopes = [bulk, Scope::Insert(database, relation)];
        let stamp = |versions: &[u8]| Stamp::new(versions.iter().map(|&n| version(n)));
        let current = stamp(&[1, 2, 3]);
        assert!(current.admits(&stamp(&[1, 2, 3]), &scopes));
        assert!(current.admits(&stamp(&[1, 2]), &scopes));
        for seen in [&[1, 2, 4][..], &[1, 3], &[1], &[], &[1, 2, 3, 4]] {
            assert!(!current.admits(&stamp(seen), &scopes), "{seen:?}");
        }
        let whole = [bulk, Scope::Relation(database, relation)];
        assert!(!current.admits(&stamp(&[1, 2]), &whole));
        assert!(!stamp(&[1, 2]).admits(&current, &scopes));
        assert!(stamp(&[1, 2]).admits(&stamp(&[1, 2]), &scopes));
    }

    #[test]
    fn a_stamp_holds_only_for_the_same_versions() {
        let stamp = Stamp::new([version(1), version(2)]);
        assert!(stamp.holds([Some(version(1)), Some(version(2))]));
        assert!(!stamp.holds([Some(version(1)), Some(version(3))]));
        assert!(!stamp.holds([Some(version(1)), None]));
        assert!(!stamp.holds([Some(version(1))]));
        assert!(!stamp.holds([Some(version(1)), Some(version(2)), Some(version(3))]));
    }
}
