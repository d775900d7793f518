//! What a reply depends on, as far as names say.

use std::collections::BTreeSet;

use catalog::{FunctionId, RelationId, SchemaId, TypeId};
use foldhash::HashSet;

/// What a reply depends on.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Needs {
    /// Relations, sorted.
    pub(crate) relations: Box<[RelationId]>,
    /// Settings of the application, sorted.
    pub(crate) settings: Box<[Box<str>]>,
    /// Changes when names in the bodies of functions in SQL come to mean something else.
    /// It is known only as long as no parameter is declared to be of a type of the user's.
    pub(crate) builtin_parameters: bool,
    /// The same for times of day.
    pub(crate) timeless_parameters: bool,
    /// Functions that are read like views hold literals whose values depend on settings.
    pub(crate) formed_literals: bool,
    /// It may hold constants that are written down as text when it is planned.
    pub(crate) folds: bool,
    /// What names in such functions mean, sorted.
    pub(crate) meant: Box<[Meant]>,
}

/// What a name in the body of a function means. The server keeps to it as long as it keeps the plan of
/// a statement that calls the function.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) enum Meant {
    Relation(RelationId),
    Function(FunctionId),
    /// With a digest over its labels, if it has any.
    Type(TypeId, i64),
    /// Whether names in it may be looked up.
    Schema(SchemaId, bool),
    /// By its OID.
    Collation(u32),
    /// With a digest over all configurations and dictionaries.
    TextSearch(u64),
}

/// The same while it is being collected.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) relations: HashSet<RelationId>,
    pub(crate) settings: BTreeSet<Box<str>>,
    pub(crate) builtin_parameters: bool,
    pub(crate) timeless_parameters: bool,
    pub(crate) formed_literals: bool,
    pub(crate) folds: bool,
    pub(crate) meant: BTreeSet<Meant>,
    /// Functions that are called, but for the server's own.
    pub(crate) functions: BTreeSet<FunctionId>,
}

impl Found {
    pub(crate) fn add(&mut self, needs: &Needs) {
        self.relations.extend(&needs.relations);
        self.settings.extend(needs.settings.iter().cloned());
        self.formed_literals |= needs.formed_literals;
        self.folds |= needs.folds;
        self.meant.extend(needs.meant.iter().copied());
    }

    pub(crate) fn needs(self) -> Needs {
        let mut relations: Vec<RelationId> = self.relations.into_iter().collect();
        relations.sort_unstable();
        Needs {
            relations: relations.into(),
            settings: self.settings.into_iter().collect(),
            builtin_parameters: self.builtin_parameters,
            timeless_parameters: self.timeless_parameters,
            formed_literals: self.formed_literals,
            folds: self.folds,
            meant: self.meant.into_iter().collect(),
        }
    }
}
