//! What the names of a statement mean, so that it can be told whether they have come to mean
//! something else.
//!
//! A server keeps a prepared statement as it has analysed it until something that it refers to
//! changes. A table that comes to lie before another one in the search path, or a function that
//! fits better, does not change what is there already. So a statement that was parsed under other
//! definitions reads and writes what it did, and not what the same text would now.

use std::hash::{DefaultHasher, Hash, Hasher};

use catalog::{RelationId, RowSecurity, SearchPath, Snapshot};

use super::Schema;
use crate::Reason;
use crate::facts::{Lexical, Name, Read};

impl Schema {
    /// A digest over what the names of a statement mean.
    pub(super) fn meaning(
        &self,
        lexical: &Lexical,
        read: Option<&Read>,
        reads: &Result<Box<[RelationId]>, Reason>,
        path: &SearchPath,
    ) -> u64 {
        let snapshot = &*self.snapshot;
        let mut digest = DefaultHasher::new();
        let mut relation = |schema: Option<&str>, name: &str| {
            let found = snapshot.resolve_relation(path, schema, name);
            found.map(|relation| relation.id).hash(&mut digest);
        };
        let targets = lexical.targets.iter().map(|target| &target.name);
        let named = read.into_iter().flat_map(|read| &read.relations);
        for Name { schema, name } in targets.chain(named) {
            relation(schema.as_deref(), name);
        }
        for word in &lexical.words {
            relation(None, word);
        }
        for function in self.functions(lexical, Some(path)) {
            function.hash(&mut digest);
        }
        if let Ok(relations) = reads
            && relations.iter().any(|&id| self.is_filtered(id))
        {
            // Whom policies apply to is found out when a statement is analysed.
            self.roles.hash(&mut digest);
        }
        digest.finish()
    }

    fn is_filtered(&self, id: RelationId) -> bool {
        let relation = self.snapshot.relation(id);
        relation.is_none_or(|relation| relation.row_security != RowSecurity::Off)
    }
}

/// A digest over what decides which policies apply to whom.
pub(super) fn roles(snapshot: &Snapshot) -> u64 {
    let mut digest = DefaultHasher::new();
    for role in snapshot.roles() {
        (role.id, role.superuser, role.bypasses_row_security).hash(&mut digest);
    }
    for membership in snapshot.memberships() {
        (membership.member, membership.role).hash(&mut digest);
    }
    digest.finish()
}
