//! What the names of a statement mean, so that it can be told whether they have come to mean
//! something else.
//!
//! A server keeps a prepared statement as it has analysed it until something that it refers to
//! changes. A table that comes to lie before another one in the search path, or a function that
//! fits better, does not change what is there already; nor does a composite type whose attributes
//! are renamed. So a statement that was parsed under other definitions reads and writes what it did,
//! and not what the same text would now.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use catalog::{
    Relation, RelationId, RelationKind, RoleId, RowSecurity, SearchPath, Snapshot, TypeId,
};

use super::Schema;
use crate::facts::{Lexical, Name, Read};
use crate::needs::Meant;
use crate::resolve::{SEARCH, collations};
use crate::{Context, Meaning, Reason};

impl Schema {
    /// What the names of a statement mean, and those in the bodies of functions in SQL:
    /// the server may have put these in the place of their calls.
    pub(super) fn meaning(
        &self,
        lexical: &Lexical,
        read: Option<&Read>,
        (reads, meant): (&Result<Box<[RelationId]>, Reason>, &[Meant]),
        context: &Context<'_>,
    ) -> Meaning {
        let path = context.path;
        let snapshot = &*self.snapshot;
        let (mut relations, mut digest) = (DefaultHasher::new(), DefaultHasher::new());
        let mut kinds = Vec::new();
        let mut alone = true;
        let mut relation = |schema: Option<&str>, name: &str| {
            let found = snapshot.resolve_relation(path, schema, name);
            found.map(|relation| relation.id).hash(&mut relations);
            kinds.extend(found.into_iter().flat_map(kinds_of));
            alone &= schema.is_some() || snapshot.relations_in(path, name).nth(1).is_none();
        };
        let targets = lexical.targets.iter().map(|target| &target.name);
        let named = read.into_iter().flat_map(|read| &read.relations);
        for Name { schema, name } in targets.chain(named) {
            relation(schema.as_deref(), name);
        }
        for word in &lexical.words {
            relation(None, word);
        }
        collations(snapshot, lexical, &mut digest);
        for id in self.functions(lexical, Some(path)) {
            id.hash(&mut digest);
            if let Some(function) = snapshot.function(id) {
                kinds.extend(function.takes.iter().chain([&function.returns]));
            }
        }
        for Name { schema, name } in read.into_iter().flat_map(|read| &read.types) {
            let named = snapshot.types(path, schema.as_deref(), name);
            let named: Vec<_> = named.map(|known| known.id).collect();
            named.hash(&mut digest);
            kinds.extend(named);
            let rows = snapshot.resolve_relation(path, schema.as_deref(), name);
            kinds.extend(rows.map(|relation| relation.row));
        }
        if self.searches(lexical, &kinds, path) {
            snapshot.text_search().hash(&mut digest);
        }
        rows(snapshot, kinds, &mut digest);
        meant.hash(&mut digest);
        if let Some(read) = read {
            self.usable(read, lexical, context.role, &mut digest);
        }
        if let Ok(relations) = reads
            && relations.iter().any(|&id| self.is_filtered(id))
        {
            // Whom policies apply to is found out when a statement is analysed.
            self.roles.hash(&mut digest);
        }
        Meaning {
            relations: relations.finish(),
            others: digest.finish(),
            alone,
        }
    }

    /// Adds which of the schemas that a read names the role may use: that is asked when a statement is
    /// analysed.
    fn usable(&self, read: &Read, lexical: &Lexical, role: RoleId, digest: &mut DefaultHasher) {
        let names = read.relations.iter().chain(&read.types);
        let schemas = names
            .chain(&lexical.calls)
            .filter_map(|name| name.schema.as_deref());
        for schema in schemas {
            let schema = self.snapshot.schema_by_name(schema).map(|schema| schema.id);
            let usable = schema.map(|schema| self.snapshot.may_use_schema(role, schema));
            usable.hash(digest);
        }
    }

    /// Whether a literal may be the name of a configuration or dictionary of text search, which is
    /// looked up when a statement is analysed.
    fn searches(&self, lexical: &Lexical, kinds: &[TypeId], path: &SearchPath) -> bool {
        let names = |kind: &TypeId| SEARCH.contains(&kind.oid());
        let called = lexical
            .calls
            .iter()
            .flat_map(|Name { schema, name }| self.callable(Some(path), schema.as_deref(), name));
        lexical.words.iter().any(|word| word.starts_with("reg"))
            || kinds.iter().any(names)
            || called.flat_map(|function| &function.takes).any(names)
    }

    fn is_filtered(&self, id: RelationId) -> bool {
        let relation = self.snapshot.relation(id);
        relation.is_none_or(|relation| relation.row_security != RowSecurity::Off)
    }
}

/// The types of values that a relation, or a composite type, brings with it.
fn kinds_of(relation: &Relation) -> impl Iterator<Item = TypeId> {
    let own = (relation.kind == RelationKind::CompositeType).then_some(relation.row);
    let columns = relation.columns.iter().map(|&(_, kind)| kind);
    columns.chain(own)
}

/// Adds what rows consist of that are values, or parts of values, of these types: a statement keeps
/// to the places that their columns had when it was analysed. And the labels that enums have, of which
/// literals stand for one.
fn rows(snapshot: &Snapshot, mut open: Vec<TypeId>, digest: &mut DefaultHasher) {
    let mut seen = BTreeSet::new();
    let mut unknown = false;
    while let Some(kind) = open.pop() {
        if kind.is_builtin() || !seen.insert(kind) {
            continue;
        }
        if let Some(all) = snapshot.made_of(kind) {
            open.extend(all);
        } else if let Some(row) = snapshot.relation_of_row(kind) {
            open.extend(row.columns.iter().map(|&(_, kind)| kind));
        } else if let Some(relation) = snapshot.relation_of_rows(kind) {
            open.push(relation.row);
        } else {
            // The snapshot does not list it.
            unknown = true;
        }
    }
    for &kind in &seen {
        snapshot.labels(kind).hash(digest);
    }
    casts(snapshot, |kind| unknown || seen.contains(&kind), digest);
    let mut add = |row: &Relation| (row.row, row.numbered, &row.columns).hash(digest);
    if unknown {
        snapshot.relations().for_each(&mut add);
    } else {
        let known = seen
            .iter()
            .filter_map(|&kind| snapshot.relation_of_row(kind));
        known.for_each(&mut add);
    }
}

/// Adds the casts of users that values of types like these may go through: which one it is, is found
/// out when a statement is analysed, and a cast that is dropped takes none with it.
fn casts(snapshot: &Snapshot, occurs: impl Fn(TypeId) -> bool, digest: &mut DefaultHasher) {
    let may_be = |kind: TypeId| kind.is_builtin() || occurs(kind);
    for cast in snapshot.casts() {
        if may_be(cast.source) && may_be(cast.target) {
            (cast.source, cast.target, cast.function).hash(digest);
            (cast.binary, cast.implicit).hash(digest);
        }
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
