//! What a reply depends on, as far as names say.

use std::collections::BTreeSet;

use catalog::RelationId;
use foldhash::HashSet;

/// What a reply depends on.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Needs {
    /// Relations, sorted.
    pub(crate) relations: Box<[RelationId]>,
    /// Settings of the application, sorted.
    pub(crate) settings: Box<[Box<str>]>,
    /// It is known only as long as no parameter is declared to be of a type of the user's.
    pub(crate) builtin_parameters: bool,
    /// The same for times of day.
    pub(crate) timeless_parameters: bool,
}

/// The same while it is being collected.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) relations: HashSet<RelationId>,
    pub(crate) settings: BTreeSet<Box<str>>,
    pub(crate) builtin_parameters: bool,
    pub(crate) timeless_parameters: bool,
}

impl Found {
    pub(crate) fn add(&mut self, needs: &Needs) {
        self.relations.extend(&needs.relations);
        self.settings.extend(needs.settings.iter().cloned());
    }

    pub(crate) fn needs(self) -> Needs {
        let mut relations: Vec<RelationId> = self.relations.into_iter().collect();
        relations.sort_unstable();
        Needs {
            relations: relations.into(),
            settings: self.settings.into_iter().collect(),
            builtin_parameters: self.builtin_parameters,
            timeless_parameters: self.timeless_parameters,
        }
    }
}
