//! Relations that a query reads from, whether it says so or not, and what each stands for.

use catalog::{Relation, RelationKind, RowSecurity};

use super::Viewer;
use crate::Reason;
use crate::facts::{Lexical, Name, Read};
use crate::needs::Found;

impl Viewer<'_> {
    pub(super) fn resolve(&self, name: &Name) -> Result<&Relation, Reason> {
        let schema = name.schema.as_deref();
        if self.anywhere && schema.is_none() {
            return Err(Reason::UnknownRelation);
        }
        let found = self
            .snapshot
            .resolve_relation(self.path, schema, &name.name);
        found.ok_or(match schema {
            Some(schema) if schema.starts_with("pg_temp") => Reason::Temporary,
            Some("information_schema") => Reason::SystemCatalog,
            Some(schema) if schema.starts_with("pg_") => Reason::SystemCatalog,
            None if name.name.starts_with("pg_") => Reason::SystemCatalog,
            Some(_) | None => Reason::UnknownRelation,
        })
    }

    /// Adds what a relation stands for, of which a query reads.
    pub(super) fn relation(
        &self,
        relation: &Relation,
        read: Option<&Read>,
        found: &mut Found,
    ) -> Result<(), Reason> {
        self.storage(relation, read)?;
        match relation.kind {
            RelationKind::Table | RelationKind::PartitionedTable => {
                self.policies(relation, found)?;
                for id in self.snapshot.descendants(relation.id) {
                    let child = self.snapshot.relation(id).ok_or(Reason::UnknownRelation)?;
                    self.storage(child, read)?;
                    if child.kind == RelationKind::ForeignTable {
                        return Err(Reason::ForeignTable);
                    }
                }
                found.relations.insert(relation.id);
            }
            RelationKind::MaterializedView => {
                found.relations.insert(relation.id);
            }
            RelationKind::View => {
                let view = self
                    .views
                    .queries
                    .get(&relation.id)
                    .ok_or(Reason::Unsupported)?;
                found.add(view.as_ref().map_err(|reason| *reason)?);
                // Nothing writes it, but rules of the policy may name it.
                found.relations.insert(relation.id);
            }
            RelationKind::ForeignTable => return Err(Reason::ForeignTable),
            RelationKind::Sequence => return Err(Reason::Sequence),
            RelationKind::CompositeType | RelationKind::Other => {
                return Err(Reason::UnknownRelation);
            }
        }
        Ok(())
    }

    /// The rows that a query names as types are such as may be shown.
    pub(super) fn rows(&self, read: &Read) -> Result<(), Reason> {
        for Name { schema, name } in &read.types {
            let schema = schema.as_deref();
            let row = self.snapshot.resolve_relation(self.path, schema, name);
            row.map_or(Ok(()), |row| self.storage(row, None))?;
        }
        Ok(())
    }

    /// Whether rows stay until somebody changes them, and look the same until then. `None` if it is not
    /// known what is done with them.
    pub(super) fn storage(&self, relation: &Relation, read: Option<&Read>) -> Result<(), Reason> {
        if relation.temporary {
            return Err(Reason::Temporary);
        }
        if self.snapshot.is_system_schema(relation.schema) {
            return Err(Reason::SystemCatalog);
        }
        if relation.unlogged {
            return Err(Reason::Unlogged);
        }
        // Comparing these with text may ask for today's date, to know the zone's offset.
        let used = |name: &str| read.is_none_or(|read| read.whole_rows || read.used.may_be(name));
        let zoned = &self.trust.zoned;
        let depends = |&(ref name, kind): &(Box<str>, _)| {
            zoned.has(self.snapshot, kind) && (used(name) || !zoned.holds(kind))
        };
        if relation.columns.iter().any(depends) {
            return Err(Reason::Clock);
        }
        let named = |&(_, kind): &(_, _)| self.trust.named.has(self.snapshot, kind);
        if relation.columns.iter().any(named) {
            return Err(Reason::SystemCatalog);
        }
        let mut kinds = relation.columns.iter().map(|&(_, kind)| kind);
        match kinds.any(|kind| self.trust.temporary.holds(kind)) {
            true => Err(Reason::Temporary),
            false => Ok(()),
        }
    }

    /// Adds what policies read. All of them count, whatever roles they are for: the effective role
    /// and the login are in the key, and what they may see follows from definitions.
    fn policies(&self, relation: &Relation, found: &mut Found) -> Result<(), Reason> {
        if self.within == Some(relation.id) {
            return Ok(());
        }
        let role = self.role.and_then(|role| self.snapshot.role(role));
        let exempt = match relation.row_security {
            RowSecurity::Off => true,
            RowSecurity::On => {
                role.is_some_and(|role| role.bypasses_row_security || role.id == relation.owner)
            }
            RowSecurity::Forced => role.is_some_and(|role| role.bypasses_row_security),
        };
        if exempt {
            return Ok(());
        }
        let needs = self.views.policies.get(&relation.id);
        let needs = needs.and_then(|needs| needs.as_ref().ok());
        found.add(needs.ok_or(Reason::RowSecurity)?);
        Ok(())
    }

    /// Words that could be relations and that nothing else explains. Were the syntax tree to hide
    /// a table, it would be found here.
    pub(super) fn hidden_relations(
        &self,
        read: &Read,
        lexical: &Lexical,
        named: &[&Relation],
    ) -> Vec<&Relation> {
        let explained = |word: &str| {
            read.ranges.iter().any(|(range, _)| &**range == word)
                || read.labels.iter().any(|label| &**label == word)
                || named
                    .iter()
                    .any(|relation| &*relation.name == word || has_column(relation, word))
        };
        lexical
            .words
            .iter()
            .filter_map(|word| self.snapshot.resolve_relation(self.path, None, word))
            .filter(|relation| !self.snapshot.is_system_schema(relation.schema))
            .filter(|relation| !explained(&relation.name))
            .collect()
    }
}

pub(super) fn has_column(relation: &Relation, name: &str) -> bool {
    relation.columns.iter().any(|(column, _)| &**column == name)
}
