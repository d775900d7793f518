//! Scopes, their versions, and what a stamp may claim about them.

use std::fmt;

use catalog::{DatabaseId, RelationId};
use smallvec::SmallVec;

/// A thing that writes change and replies depend on.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Scope {
    /// All of one database that is not the rows of a table: definitions, privileges, settings,
    /// unknown effects.
    Epoch(DatabaseId),
    /// The rows of one relation.
    Relation(DatabaseId, RelationId),
}

impl Scope {
    /// The database it belongs to.
    pub const fn database(self) -> DatabaseId {
        match self {
            Self::Epoch(database) | Self::Relation(database, _) => database,
        }
    }
}

/// The scopes that a reply depends on besides the epoch of its database, sorted.
pub type Scopes = SmallVec<[Scope; 3]>;

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
/// The versions stand in the order of the question's scopes, the epoch first.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Stamp(SmallVec<[Version; 3]>);

impl Stamp {
    /// The versions of the epoch and of each scope of a question, in its order.
    pub fn new(versions: impl IntoIterator<Item = Version>) -> Self {
        Self(versions.into_iter().collect())
    }

    /// The versions, epoch first.
    pub fn versions(&self) -> &[Version] {
        &self.0
    }

    /// Whether a reply with this stamp may be served now.
    ///
    /// A scope that is unknown or being written has no current version (`None`) and so counts as
    /// changed: in doubt, the server answers.
    pub fn holds(&self, current: impl IntoIterator<Item = Option<Version>>) -> bool {
        let mut current = current.into_iter();
        self.0
            .iter()
            .all(|&seen| current.next() == Some(Some(seen)))
            && current.next().is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(n: u8) -> Version {
        Version::from_bytes([n; 16])
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
