//! Tables of extensions that are read behind functions, operators and casts which do not say so.
//!
//! Whatever has to do with values of such an extension depends on its table: it changes next to never,
//! and which of the extension's functions read it is not told by their names.

use catalog::{FunctionId, Relation, RelationId, Snapshot, TypeId};
use foldhash::HashSet;

use super::Viewer;
use super::operators::Types;
use crate::facts::{Lexical, Read};
use crate::needs::Found;
use crate::{Reason, classes};

/// One such table.
#[derive(Debug)]
pub(super) struct Reference {
    relation: RelationId,
    /// The types of its extension, as far as functions return them.
    types: HashSet<TypeId>,
    functions: HashSet<FunctionId>,
}

impl Reference {
    /// All of them.
    pub(super) fn all(snapshot: &Snapshot) -> Box<[Self]> {
        let found = snapshot.relations().filter_map(|relation| {
            let extension = relation.extension.as_deref()?;
            (classes::read_behind(extension) == Some(&*relation.name)).then_some(())?;
            let members = || {
                let all = snapshot.all_functions();
                all.filter(move |function| function.extension.as_deref() == Some(extension))
            };
            let returned = members().map(|function| function.returns);
            Some(Self {
                relation: relation.id,
                types: returned.filter(|kind| !kind.is_builtin()).collect(),
                functions: members().map(|function| function.id).collect(),
            })
        });
        found.collect()
    }

    pub(super) const fn relation(&self) -> RelationId {
        self.relation
    }
}

impl Viewer<'_> {
    /// Adds the tables that are read behind what a query over these tables runs.
    pub(super) fn references(
        &self,
        read: &Read,
        lexical: &Lexical,
        tables: &[&Relation],
        found: &mut Found,
    ) -> Result<(), Reason> {
        if self.trust.references.is_empty() {
            return Ok(());
        }
        let types = Types::named_in(self, read, lexical, tables);
        let calls = read.calls.iter().map(|call| &call.name);
        let named = calls.chain(&lexical.calls).flat_map(|name| {
            let schema = name.schema.as_deref();
            self.snapshot.functions(self.path, schema, &name.name)
        });
        let called: HashSet<FunctionId> = named.map(|function| function.id).collect();
        for reference in &self.trust.references {
            let runs =
                types.hold_any(&reference.types) || !reference.functions.is_disjoint(&called);
            if runs {
                let relation = self.snapshot.relation(reference.relation);
                self.relation(relation.ok_or(Reason::UnknownRelation)?, None, found)?;
            }
        }
        Ok(())
    }
}
