//! One moment of one database, indexed by name and identity.

use std::sync::Arc;

use foldhash::{HashSet, HashSetExt as _};

use crate::index::Index;
use crate::layers::Layers;
use crate::{
    Builder, Cast, Collation, Constraint, Function, FunctionId, Implicit, Initdb, Keeper,
    Membership, Operator, Policy, Relation, RelationId, Role, RoleId, Rule, Schema, SchemaId,
    SearchPath, Trigger, Type, TypeId, TypeKind, Uses,
};

/// One moment of one database.
///
/// Accessors answer from memory and never fail; what the snapshot does not hold is `None` or an
/// empty list.
#[derive(Debug, Eq, PartialEq)]
pub struct Snapshot {
    /// All but functions and types.
    parts: Builder,
    functions: Layers<Function>,
    types: Layers<Type>,
    schemas: Index<SchemaId>,
    schema_names: Index<Box<str>>,
    roles: Index<RoleId>,
    role_names: Index<Box<str>>,
    members: Index<RoleId>,
    relation_names: Index<Box<str>>,
    row_types: Index<TypeId>,
    array_types: Index<TypeId>,
    children: Index<RelationId>,
    inherits: Box<[(RelationId, RelationId)]>,
    referenced: Index<RelationId>,
    triggers: Index<RelationId>,
    rules: Index<RelationId>,
    operators: Index<Box<str>>,
    collations: Index<Box<str>>,
    views: Index<RelationId>,
    uses: Index<RelationId>,
    kept: Index<Keeper>,
}

impl Snapshot {
    /// Indexes what a builder has joined; relations are sorted by identity.
    pub(crate) fn index(parts: Builder, functions: Layers<Function>, types: Layers<Type>) -> Self {
        let inherits: Box<[_]> = parts
            .relations
            .iter()
            .flat_map(|relation| relation.parents.iter().map(|&parent| (relation.id, parent)))
            .collect();
        Self {
            schemas: Index::new(&parts.schemas, |schema| schema.id),
            schema_names: Index::new(&parts.schemas, |schema| schema.name.clone()),
            roles: Index::new(&parts.roles, |role| role.id),
            role_names: Index::new(&parts.roles, |role| role.name.clone()),
            members: Index::new(&parts.memberships, |membership| membership.member),
            relation_names: Index::new(&parts.relations, |relation| relation.name.clone()),
            row_types: Index::new(&parts.relations, |relation| relation.row),
            array_types: Index::new(&parts.relations, |relation| relation.rows),
            children: Index::new(&inherits, |&(_, parent)| parent),
            inherits,
            referenced: Index::new(&parts.constraints, |constraint| constraint.referenced),
            triggers: Index::new(&parts.triggers, |trigger| trigger.relation),
            rules: Index::new(&parts.rules, |rule| rule.relation),
            operators: Index::new(&parts.operators, |operator| operator.symbol.clone()),
            collations: Index::new(&parts.collations, |collation| collation.name.clone()),
            views: Index::new(&parts.depends, |depends| depends.view),
            uses: Index::new(&parts.uses, |uses| uses.relation),
            kept: Index::new(&parts.kept, |&(keeper, _)| keeper),
            functions,
            types,
            parts,
        }
    }

    /// Functions and types that came with `initdb`, to be kept while they are known not to have
    /// changed.
    pub fn initdb(&self) -> Initdb {
        Initdb {
            functions: Arc::clone(&self.functions.initdb),
            types: Arc::clone(&self.types.initdb),
        }
    }

    /// `server_version_num`, 0 if it was not read.
    pub fn server_version(&self) -> u32 {
        self.parts.server_version
    }

    /// A schema.
    pub fn schema(&self, id: SchemaId) -> Option<&Schema> {
        self.schemas.of(&self.parts.schemas, &id).next()
    }

    /// All schemas.
    pub fn schemas(&self) -> &[Schema] {
        &self.parts.schemas
    }

    /// A schema by its unquoted name.
    pub fn schema_by_name(&self, name: &str) -> Option<&Schema> {
        self.schema_names.of(&self.parts.schemas, name).next()
    }

    /// Whether a schema belongs to the server: `pg_catalog`, `information_schema`, TOAST and
    /// temporary schemas. A schema that the snapshot does not hold counts as one.
    pub fn is_system_schema(&self, id: SchemaId) -> bool {
        self.schema(id)
            .is_none_or(|schema| schema.name.starts_with("pg_") || &*schema.name == INFORMATION)
    }

    /// Whether a schema holds temporary objects of some session.
    pub fn is_temporary_schema(&self, id: SchemaId) -> bool {
        self.schema(id)
            .is_some_and(|schema| schema.name.starts_with("pg_temp_"))
    }

    /// A role.
    pub fn role(&self, id: RoleId) -> Option<&Role> {
        self.roles.of(&self.parts.roles, &id).next()
    }

    /// A role by its unquoted name.
    pub fn role_by_name(&self, name: &str) -> Option<&Role> {
        self.role_names.of(&self.parts.roles, name).next()
    }

    /// All roles.
    pub fn roles(&self) -> &[Role] {
        &self.parts.roles
    }

    /// Which roles have the privileges of which others.
    pub fn memberships(&self) -> &[Membership] {
        &self.parts.memberships
    }

    /// The roles whose privileges a role has as a direct member.
    pub fn inherits_from(&self, member: RoleId) -> impl Iterator<Item = RoleId> {
        self.members
            .of(&self.parts.memberships, &member)
            .map(|membership| membership.role)
    }

    /// All relations, by ascending identity.
    pub fn relations(&self) -> impl Iterator<Item = &Relation> {
        self.parts.relations.iter()
    }

    /// A relation.
    pub fn relation(&self, id: RelationId) -> Option<&Relation> {
        let relations = &self.parts.relations;
        let index = relations
            .binary_search_by_key(&id, |relation| relation.id)
            .ok()?;
        relations.get(index)
    }

    /// A relation by its schema and unquoted name.
    pub fn relation_by_name(&self, schema: SchemaId, name: &str) -> Option<&Relation> {
        self.relations_named(name)
            .find(|relation| relation.schema == schema)
    }

    /// The relation whose rows are of this type.
    pub fn relation_of_row(&self, kind: TypeId) -> Option<&Relation> {
        let none = kind.oid() == 0;
        self.row_types
            .of(&self.parts.relations, &kind)
            .next()
            .filter(|_| !none)
    }

    /// The relation of whose rows arrays are of this type.
    pub fn relation_of_rows(&self, kind: TypeId) -> Option<&Relation> {
        let none = kind.oid() == 0;
        self.array_types
            .of(&self.parts.relations, &kind)
            .next()
            .filter(|_| !none)
    }

    /// The relations with this unquoted name in any schema, temporary ones of other sessions
    /// included.
    pub fn relations_named(&self, name: &str) -> impl Iterator<Item = &Relation> {
        self.relation_names.of(&self.parts.relations, name)
    }

    /// The direct children of a relation by inheritance or partitioning.
    pub fn children(&self, parent: RelationId) -> impl Iterator<Item = RelationId> {
        self.children
            .of(&self.inherits, &parent)
            .map(|&(child, _)| child)
    }

    /// The direct parents of a relation by inheritance or partitioning.
    pub fn parents(&self, child: RelationId) -> &[RelationId] {
        self.relation(child)
            .map_or(&[], |relation| &relation.parents)
    }

    /// All children of a relation and theirs, without itself, by ascending identity.
    pub fn descendants(&self, relation: RelationId) -> Vec<RelationId> {
        reachable(relation, |id| self.children(id))
    }

    /// All parents of a relation and theirs, without itself, by ascending identity.
    pub fn ancestors(&self, relation: RelationId) -> Vec<RelationId> {
        reachable(relation, |id| self.parents(id).iter().copied())
    }

    /// The foreign keys that point at a table.
    pub fn constraints(&self, referenced: RelationId) -> impl Iterator<Item = &Constraint> {
        self.referenced.of(&self.parts.constraints, &referenced)
    }

    /// The policies that filter what is read of a relation.
    pub fn policies(&self, relation: RelationId) -> impl Iterator<Item = &Policy> {
        let policies = self.parts.policies.iter();
        policies.filter(move |policy| policy.relation == relation)
    }

    /// The user triggers of a relation.
    pub fn triggers(&self, relation: RelationId) -> impl Iterator<Item = &Trigger> {
        self.triggers.of(&self.parts.triggers, &relation)
    }

    /// The rules of a relation other than a view's own `_RETURN`.
    pub fn rules(&self, relation: RelationId) -> impl Iterator<Item = &Rule> {
        self.rules.of(&self.parts.rules, &relation)
    }

    /// The relations that a view or materialized view names, or the policies of a table.
    pub fn depends(&self, view: RelationId) -> impl Iterator<Item = RelationId> {
        self.views
            .of(&self.parts.depends, &view)
            .map(|depends| depends.relation)
    }

    /// The functions that a relation's definition runs: those of users, and [`crate::ACTING`] ones.
    pub fn uses(&self, relation: RelationId) -> impl Iterator<Item = &Uses> {
        self.uses.of(&self.parts.uses, &relation)
    }

    /// The functions of casts that a tree keeps, but for casts that came with `initdb`.
    pub fn kept(&self, keeper: Keeper) -> impl Iterator<Item = FunctionId> {
        let all = self.kept.of(&self.parts.kept, &keeper);
        all.map(|&(_, function)| function)
    }

    /// All functions, builtin ones included, by ascending identity.
    pub fn all_functions(&self) -> impl Iterator<Item = &Function> {
        self.functions.iter()
    }

    /// A function.
    pub fn function(&self, id: FunctionId) -> Option<&Function> {
        self.functions.get(id)
    }

    /// The functions with this unquoted name in any schema.
    pub fn functions_named<'a>(
        &'a self,
        name: &str,
    ) -> impl Iterator<Item = &'a Function> + use<'a> {
        self.functions.named(name)
    }

    /// All types that are listed, builtin ones included.
    pub fn all_types(&self) -> impl Iterator<Item = &Type> {
        self.types.iter()
    }

    /// A type.
    pub fn type_by_id(&self, id: TypeId) -> Option<&Type> {
        self.types.get(id)
    }

    /// A type and those it is made of, in this order; `None` if one of them is not known.
    pub fn made_of(&self, kind: TypeId) -> Option<Vec<TypeId>> {
        let mut all = vec![kind];
        let mut known = self.type_by_id(kind)?;
        while let TypeKind::Of(inner) = known.kind {
            known = self.type_by_id(inner).filter(|_| !all.contains(&inner))?;
            all.push(inner);
        }
        Some(all)
    }

    /// A digest over the labels of a type, if it has any.
    pub fn labels(&self, kind: TypeId) -> Option<i64> {
        match self.type_by_id(kind)?.kind {
            TypeKind::Enum(labels) => Some(labels),
            TypeKind::Base | TypeKind::Of(_) => None,
        }
    }

    /// The types with this unquoted name that `schema`, or else any schema of the path, holds.
    pub fn types<'a>(
        &'a self,
        path: &'a SearchPath,
        schema: Option<&str>,
        name: &str,
    ) -> impl Iterator<Item = &'a Type> + use<'a> {
        let written = schema.map(|schema| self.schema_by_name(schema).map(|schema| schema.id));
        self.types.named(name).filter(move |known| match written {
            Some(schema) => schema == Some(known.schema),
            None => path.0.contains(&known.schema),
        })
    }

    /// All operators outside `pg_catalog`.
    pub fn all_operators(&self) -> &[Operator] {
        &self.parts.operators
    }

    /// The operators outside `pg_catalog` with this symbol.
    pub fn operators(&self, symbol: &str) -> impl Iterator<Item = &Operator> {
        self.operators.of(&self.parts.operators, symbol)
    }

    /// The casts of the user's that run a function or are implicit.
    pub fn casts(&self) -> &[Cast] {
        &self.parts.casts
    }

    /// Functions that any statement may run without naming them: casts, operators, checks of
    /// domains, operator classes. Those in C are left out, but for checks.
    pub fn implicit_functions(&self) -> &[Implicit] {
        &self.parts.implicit
    }

    /// The extensions of access methods made after `initdb`; `None` for those without one.
    pub fn methods(&self) -> &[Option<Box<str>>] {
        &self.parts.methods
    }

    /// Another text, if configurations or dictionaries of text search stand for something else.
    pub fn text_search(&self) -> &str {
        &self.parts.text_search
    }

    /// The collations with this unquoted name in any schema, if one of them is a user's.
    pub fn collations_named(&self, name: &str) -> impl Iterator<Item = &Collation> {
        self.collations.of(&self.parts.collations, name)
    }

    /// The names of enabled event triggers.
    pub fn event_triggers(&self) -> &[Box<str>] {
        &self.parts.event_triggers
    }

    /// Whether code runs at logins, which may set what the login does not show.
    pub const fn has_login_triggers(&self) -> bool {
        self.parts.login_triggers
    }

    /// The OIDs of all databases of the cluster.
    pub fn databases(&self) -> &[u32] {
        &self.parts.databases
    }
}

/// What `next` leads to from `start` in any number of steps, without `start` itself. Circles end.
fn reachable<I: Iterator<Item = RelationId>>(
    start: RelationId,
    next: impl Fn(RelationId) -> I,
) -> Vec<RelationId> {
    let mut seen = HashSet::new();
    let mut open: Vec<_> = next(start).collect();
    while let Some(id) = open.pop() {
        if id != start && seen.insert(id) {
            open.extend(next(id));
        }
    }
    let mut all: Vec<_> = seen.into_iter().collect();
    all.sort_unstable();
    all
}

/// The one system schema whose name does not begin with `pg_`.
const INFORMATION: &str = "information_schema";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ForeignKeyAction;
    use crate::fixture::Fixture;

    #[test]
    fn relatives_are_found_at_any_distance_and_circles_end() {
        let mut db = Fixture::new();
        let [a, b, c, d] = ["a", "b", "c", "d"].map(|name| db.table("public", name, &[]));
        for (child, parent) in [(b, a), (c, b), (d, a), (c, a), (a, c)] {
            db.inherit(child, parent);
        }
        let db = db.finish();
        assert_eq!(db.children(a).collect::<Vec<_>>(), [b, c, d]);
        assert_eq!(db.parents(c), [a, b]);
        assert_eq!(db.descendants(b), [a, c, d]);
        assert_eq!(db.ancestors(d), [a, b, c]);
    }

    #[test]
    fn foreign_keys_are_found_from_the_table_they_point_at() {
        let mut db = Fixture::new();
        let (city, person) = (
            db.table("public", "city", &[]),
            db.table("public", "person", &[]),
        );
        db.foreign_key(person, city, ForeignKeyAction::Writes);
        let db = db.finish();
        assert_eq!(
            db.constraints(city)
                .map(|key| key.referencing)
                .collect::<Vec<_>>(),
            [person]
        );
        assert_eq!(db.constraints(person).count(), 0);
    }

    #[test]
    fn what_is_unknown_belongs_to_the_system() {
        let mut db = Fixture::new();
        let (user, temporary) = (db.schema("pgx"), db.schema("pg_temp_3"));
        let db = db.finish();
        assert!(!db.is_system_schema(user));
        assert!(db.is_system_schema(temporary));
        assert!(db.is_system_schema(SchemaId::from_oid(1)));
        let information = db.schema_by_name("information_schema").unwrap();
        assert!(db.is_system_schema(information.id));
    }
}
