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
        let (mut relations, mut functions) = (DefaultHasher::new(), DefaultHasher::new());
        let (mut columns, mut others) = (DefaultHasher::new(), DefaultHasher::new());
        let (mut kinds, mut named) = (Vec::new(), Vec::new());
        let mut alone = true;
        let mut relation = |schema: Option<&str>, name: &str| {
            let found = snapshot.resolve_relation(path, schema, name);
            found.map(|relation| relation.id).hash(&mut relations);
            kinds.extend(found.into_iter().flat_map(kinds_of));
            alone &= schema.is_some() || snapshot.relations_in(path, name).nth(1).is_none();
        };
        let targets = lexical.targets.iter().map(|target| &target.name);
        let ranges = read.into_iter().flat_map(|read| &read.relations);
        for Name { schema, name } in targets.chain(ranges) {
            relation(schema.as_deref(), name);
        }
        for word in &lexical.words {
            relation(None, word);
        }
        collations(snapshot, lexical, &mut others);
        let mut operators = DefaultHasher::new();
        for symbol in &lexical.symbols {
            let known = snapshot.operators(symbol).map(|known| known.function);
            known.collect::<BTreeSet<_>>().hash(&mut operators);
        }
        for id in self.functions(lexical, Some(path)) {
            id.hash(&mut functions);
            if let Some(function) = snapshot.function(id) {
                named.extend(function.takes.iter().chain([&function.returns]));
            }
        }
        for Name { schema, name } in read.into_iter().flat_map(|read| &read.types) {
            let types = snapshot.types(path, schema.as_deref(), name);
            let types: Vec<_> = types.map(|known| known.id).collect();
            types.hash(&mut others);
            named.extend(types);
            let rows = snapshot.resolve_relation(path, schema.as_deref(), name);
            named.extend(rows.map(|relation| relation.row));
        }
        if self.searches(lexical, kinds.iter().chain(&named), path) {
            snapshot.text_search().hash(&mut others);
        }
        let (made, named) = (made_of(snapshot, kinds), made_of(snapshot, named));
        made.add_to(snapshot, &mut columns);
        named.add_to(snapshot, &mut others);
        let occurs = |kind: TypeId| kind.is_builtin() || made.may_be(kind) || named.may_be(kind);
        casts(snapshot, occurs, &mut columns);
        meant.hash(&mut others);
        if let Some(read) = read {
            self.usable(read, lexical, context.role, &mut others);
        }
        if let Ok(relations) = reads
            && relations.iter().any(|&id| self.is_filtered(id))
        {
            // Whom policies apply to is found out when a statement is analysed.
            self.roles.hash(&mut others);
        }
        Meaning {
            relations: relations.finish(),
            functions: functions.finish(),
            operators: operators.finish(),
            kinds: columns.finish(),
            others: others.finish(),
            casts: self.casts,
            alone,
            settled: read.is_none() || !made.is_kept(snapshot, lexical.quoted),
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
    fn searches<'a>(
        &self,
        lexical: &Lexical,
        mut kinds: impl Iterator<Item = &'a TypeId>,
        path: &SearchPath,
    ) -> bool {
        let names = |kind: &TypeId| SEARCH.contains(&kind.oid());
        let called = lexical
            .calls
            .iter()
            .flat_map(|Name { schema, name }| self.callable(Some(path), schema.as_deref(), name));
        lexical.words.iter().any(|word| word.starts_with("reg"))
            || kinds.any(names)
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

/// What values consist of.
struct Made {
    /// Types made after `initdb`.
    kinds: BTreeSet<TypeId>,
    /// There are some that the snapshot does not list.
    unknown: bool,
}

/// What values of these types consist of.
fn made_of(snapshot: &Snapshot, mut open: Vec<TypeId>) -> Made {
    let mut kinds = BTreeSet::new();
    let mut unknown = false;
    while let Some(kind) = open.pop() {
        if kind.is_builtin() || !kinds.insert(kind) {
            continue;
        }
        if let Some(all) = snapshot.made_of(kind) {
            open.extend(all);
        } else if let Some(row) = snapshot.relation_of_row(kind) {
            open.extend(row.columns.iter().map(|&(_, kind)| kind));
        } else if let Some(relation) = snapshot.relation_of_rows(kind) {
            open.push(relation.row);
        } else {
            unknown = true;
        }
    }
    Made { kinds, unknown }
}

impl Made {
    /// The rows that are such values, or parts of them.
    fn rows<'a>(&'a self, snapshot: &'a Snapshot) -> impl Iterator<Item = &'a Relation> {
        let kinds = self.kinds.iter();
        kinds.filter_map(|&kind| snapshot.relation_of_row(kind))
    }

    /// Whether such values may be of this type.
    fn may_be(&self, kind: TypeId) -> bool {
        self.unknown || self.kinds.contains(&kind)
    }

    /// Adds all of which a statement keeps what it was when it was analysed: the places of columns in
    /// rows, and the labels of enums, of which literals stand for one.
    fn add_to(&self, snapshot: &Snapshot, digest: &mut DefaultHasher) {
        for &kind in &self.kinds {
            snapshot.labels(kind).hash(digest);
        }
        let mut add = |row: &Relation| (row.row, row.numbered, &row.columns).hash(digest);
        match self.unknown {
            true => snapshot.relations().for_each(&mut add),
            false => self.rows(snapshot).for_each(&mut add),
        }
    }

    /// Whether a statement that names none of these types keeps anything of them but casts; literals may
    /// stand for labels if it is `quoted`.
    fn is_kept(&self, snapshot: &Snapshot, quoted: bool) -> bool {
        let mut kinds = self.kinds.iter();
        self.unknown
            || self.rows(snapshot).next().is_some()
            || quoted && kinds.any(|&kind| snapshot.labels(kind).is_some())
    }
}

/// Adds the casts of users that values of types like these may go through: which one it is, is found
/// out when a statement is analysed, and a cast that is dropped takes none with it.
fn casts(snapshot: &Snapshot, may_be: impl Fn(TypeId) -> bool, digest: &mut DefaultHasher) {
    for cast in snapshot.casts() {
        if may_be(cast.source) && may_be(cast.target) {
            (cast.source, cast.target, cast.function).hash(digest);
            (cast.binary, cast.implicit).hash(digest);
        }
    }
}

/// A digest over all casts of users.
pub(super) fn all_casts(snapshot: &Snapshot) -> u64 {
    let mut digest = DefaultHasher::new();
    casts(snapshot, |_| true, &mut digest);
    digest.finish()
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
