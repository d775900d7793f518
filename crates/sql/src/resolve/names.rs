//! What the names in the body of a function mean, where a server may keep what they meant.
//!
//! A prepared statement has bodies in the place of calls (those in FROM), and does not see that a
//! table or function has come to lie before the one that was meant. From PostgreSQL 18 on a
//! session keeps any body as it has first analysed it.

use std::hash::{DefaultHasher, Hash, Hasher};

use catalog::{Function, SchemaId, SearchPath, Snapshot, TypeId};

use super::Viewer;
use crate::facts::{Lexical, Name, Read};
use crate::needs::{Found, Meant};

impl Viewer<'_> {
    /// Whether what the names of a body mean may hang on when they were looked up first.
    pub(super) fn hides(&self, read: &Read, lexical: &Lexical, path: Option<&SearchPath>) -> bool {
        let mut words = lexical.words.iter();
        let Some(path) = path else {
            // Others of their names are no reason to compare a statement with what it meant.
            return words.any(|word| self.collates(word).next().is_some());
        };
        if self.snapshot.server_version() < KEEPS_BODIES {
            return false;
        }
        let seen = |schema: &SchemaId| path.0.contains(schema);
        let mut named = read.relations.iter().filter(|it| it.schema.is_none());
        named.any(|Name { name, .. }| {
            let all = self.snapshot.relations_named(name);
            all.filter(|it| seen(&it.schema)).count() > 1
        }) || words.any(|word| self.collates(word).filter(seen).count() > 1)
    }

    /// Where there are collations of this name.
    fn collates(&self, name: &str) -> impl Iterator<Item = SchemaId> {
        self.snapshot.collations_named(name).map(|it| it.schema)
    }

    /// Adds what the names in a body mean.
    pub(super) fn note_meant(
        &self,
        read: &Read,
        lexical: &Lexical,
        function: &Function,
        below: &mut Found,
    ) {
        let snapshot = self.snapshot;
        let mut kinds: Vec<TypeId> = function.takes.to_vec();
        kinds.push(function.returns);
        for Name { schema, name } in &read.types {
            let named = snapshot.types(self.path, schema.as_deref(), name);
            kinds.extend(named.map(|known| known.id));
        }
        for &id in &below.relations {
            let columns = snapshot.relation(id).map(|relation| &relation.columns);
            kinds.extend(columns.into_iter().flatten().map(|&(_, kind)| kind));
        }
        let kinds = kinds.into_iter().filter_map(|kind| snapshot.made_of(kind));
        let types = kinds.flatten().filter(|kind| !kind.is_builtin());
        let labels = |kind| snapshot.labels(kind).unwrap_or_default();
        let types = types.map(|kind| Meant::Type(kind, labels(kind)));
        let relations = below.relations.iter().copied().map(Meant::Relation);
        let functions = below.functions.iter().copied().map(Meant::Function);
        let written = read.relations.iter().chain(&read.types);
        let written = written.filter_map(|name| snapshot.schema_by_name(name.schema.as_deref()?));
        let usable = |schema| {
            self.role
                .is_some_and(|role| snapshot.may_use_schema(role, schema))
        };
        let schemas = written.map(|schema| Meant::Schema(schema.id, usable(schema.id)));
        let collations = lexical.words.iter();
        let collations = collations.flat_map(|word| snapshot.collations_named(word));
        let collations = collations.map(|it| Meant::Collation(it.oid));
        let all = types.chain(relations).chain(functions).chain(schemas);
        let all: Vec<_> = all.chain(collations).collect();
        below.meant.extend(all);
        if self.searches(lexical) {
            let mut digest = DefaultHasher::new();
            snapshot.text_search().hash(&mut digest);
            below.meant.insert(Meant::TextSearch(digest.finish()));
        }
    }

    /// Whether functions are called that look up a configuration or dictionary of text search.
    fn searches(&self, lexical: &Lexical) -> bool {
        let called = lexical.calls.iter().flat_map(|Name { schema, name }| {
            self.snapshot.functions(self.path, schema.as_deref(), name)
        });
        let mut takes = called.flat_map(|function| &function.takes);
        takes.any(|kind| SEARCH.contains(&kind.oid()))
    }
}

/// Adds the collations that words may mean.
pub(crate) fn collations(snapshot: &Snapshot, lexical: &Lexical, digest: &mut DefaultHasher) {
    for word in &lexical.words {
        for collation in snapshot.collations_named(word) {
            let schema = snapshot.schema(collation.schema);
            (schema.map(|schema| &schema.name), collation.oid).hash(digest);
        }
    }
}

/// `regconfig` and `regdictionary`.
pub(crate) const SEARCH: [u32; 2] = [3_734, 3_769];

/// From here on a session keeps what the names in a body meant when it first called the function.
pub(super) const KEEPS_BODIES: u32 = 180_000;
