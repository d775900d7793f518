//! What all sessions of one database share.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use cache::{Policy, Version};
use catalog::DatabaseId;

/// A catalog snapshot with what was derived from it, and the epoch under which it was read.
///
/// The epoch was read *before* the snapshot's queries ran: while it is current, nothing that
/// passed through pgmemo has changed the catalog since.
#[derive(Debug)]
pub struct Knowledge {
    /// The database it describes.
    pub database: DatabaseId,
    /// The epoch it was read under.
    pub epoch: Version,
    /// Differs between any two snapshots or policies of this process; an epoch that passed without
    /// a change of definitions leaves it.
    pub generation: u64,
    /// Changes whenever functions, operators, views, policies or the like do, back to what they
    /// were before as well, if they have been seen to be otherwise in between.
    pub code: u64,
    /// The version of what was dropped of the database's code, read after the epoch and before the
    /// snapshot's queries ran.
    pub drops: Version,
    /// Names, effects, classes.
    pub schema: Arc<sql::Schema>,
    /// What is cached, and for how long.
    pub policy: Arc<Policy>,
    /// How often somebody has asked for the catalog to be read again.
    pub asked: Arc<AtomicU64>,
    /// How often somebody had when it was read.
    pub served: u64,
}

/// From which definitions it was told what statements change.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Definitions {
    /// See [`Knowledge::generation`].
    pub generation: u64,
    /// See [`Knowledge::code`].
    pub code: u64,
    /// See [`sql::Schema::perils`].
    pub perils: u64,
    /// See [`Knowledge::drops`].
    pub drops: Version,
}

impl Definitions {
    /// None that ever were: with other definitions anything may have happened.
    pub const UNKNOWN: Self = Self {
        generation: u64::MAX,
        code: u64::MAX,
        perils: u64::MAX,
        drops: Version::from_bytes([0; 16]),
    };

    /// Whether these say what `other` ones do, and nothing was there in between that neither shows.
    pub fn are(&self, other: &Self) -> bool {
        self.generation == other.generation && self.drops == other.drops
    }

    /// Whether code that these say changes nothing changes nothing by `other` ones either.
    pub fn have_code_of(&self, other: &Self) -> bool {
        self.drops == other.drops && self.show_code_of(other)
    }

    /// Whether these show the same code as `other` ones, whatever was dropped in between.
    pub(crate) fn show_code_of(&self, other: &Self) -> bool {
        let same = self.code == other.code && self.perils == other.perils;
        self.generation == other.generation || same
    }
}

impl Knowledge {
    /// From which definitions it is told here what statements change.
    pub fn definitions(&self) -> Definitions {
        Definitions {
            generation: self.generation,
            code: self.code,
            perils: self.schema.perils(),
            drops: self.drops,
        }
    }

    /// Whether definitions may have changed since: somebody has asked for another reading, which
    /// is not done yet.
    pub fn is_outdated(&self) -> bool {
        self.asked.load(Ordering::Acquire) > self.served
    }
}
