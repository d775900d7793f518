//! Collects the parts of a snapshot, in any order.

use std::sync::Arc;

use crate::layers::{Layers, Object, Objects};
use crate::{
    Cast, Collation, Constraint, Depends, Function, FunctionId, Implicit, Initdb, Keeper,
    Membership, Operator, Policy, Relation, RelationId, Role, Rule, Schema, Snapshot, Trigger,
    Type, TypeId, TypeKind, Uses,
};

/// Collects the rows of the catalog queries; [`Builder::finish`] indexes them.
#[derive(Debug, Default, Eq, PartialEq)]
pub struct Builder {
    /// Functions and types that came with `initdb`, if they are known: then the rows of those that
    /// are collected here do not count.
    pub initdb: Option<Initdb>,
    /// All schemas.
    pub schemas: Vec<Schema>,
    /// All roles.
    pub roles: Vec<Role>,
    /// Who inherits the privileges of whom.
    pub memberships: Vec<Membership>,
    /// All relations.
    pub relations: Vec<Relation>,
    /// Columns: relation, name, type; those of one relation in order.
    pub columns: Vec<(RelationId, Box<str>, TypeId)>,
    /// Types. What is made of others has their properties once [`Builder::finish`] is done.
    pub types: Vec<Type>,
    /// Inheritance and partitioning: child, parent.
    pub inherits: Vec<(RelationId, RelationId)>,
    /// The queries of views and materialized views.
    pub definitions: Vec<(RelationId, Box<str>)>,
    /// Columns of keys, in the order of the key.
    pub keys: Vec<(RelationId, Box<[Box<str>]>)>,
    /// All foreign keys.
    pub constraints: Vec<Constraint>,
    /// Policies that filter what is read.
    pub policies: Vec<Policy>,
    /// All user triggers.
    pub triggers: Vec<Trigger>,
    /// All rules.
    pub rules: Vec<Rule>,
    /// All functions, builtin ones included.
    pub functions: Vec<Function>,
    /// What functions call beside their bodies.
    pub support: Vec<(FunctionId, Box<[FunctionId]>)>,
    /// Operators outside `pg_catalog`.
    pub operators: Vec<Operator>,
    /// Casts of the user's that run a function or are implicit.
    pub casts: Vec<Cast>,
    /// View dependencies.
    pub depends: Vec<Depends>,
    /// Functions that relations run by themselves: those of users, and [`crate::ACTING`] ones.
    pub uses: Vec<Uses>,
    /// Functions of casts in the trees of views, policies and bodies, but for casts of `initdb`.
    pub kept: Vec<(Keeper, FunctionId)>,
    /// Functions that any statement may run without naming them: casts, operators, checks of
    /// domains, operator classes. Those in C are left out, but for checks.
    pub implicit: Vec<Implicit>,
    /// The extensions of access methods made after `initdb`; `None` for those without one.
    pub methods: Vec<Option<Box<str>>>,
    /// A digest over the names of text search.
    pub text_search: Box<str>,
    /// Collations of users, and others of their names.
    pub collations: Vec<Collation>,
    /// Names of event triggers that are enabled; any makes DDL write everything anyway.
    pub event_triggers: Vec<Box<str>>,
    /// Whether one of them fires at logins (since 17).
    pub login_triggers: bool,
    /// OIDs of all databases of the cluster.
    pub databases: Vec<u32>,
    /// `server_version_num`.
    pub server_version: u32,
}

impl Builder {
    /// Joins columns, parents and definitions to their relations, support functions to their
    /// aggregates, and indexes everything.
    ///
    /// Rows that belong to an object which is not there are dropped: the catalog queries leave
    /// out kinds that no decision needs.
    pub fn finish(mut self) -> Snapshot {
        self.relations.sort_unstable_by_key(|relation| relation.id);
        self.join_columns();
        self.join_parents();
        for (id, definition) in std::mem::take(&mut self.definitions) {
            if let Some(relation) = self.relation_mut(id) {
                relation.definition = Some(definition);
            }
        }
        for (id, key) in std::mem::take(&mut self.keys) {
            if let Some(relation) = self.relation_mut(id) {
                relation.key = key;
            }
        }
        let known = self.initdb.take();
        let functions = self.join_functions(known.as_ref().map(|known| &known.functions));
        let types = self.join_types(known.as_ref().map(|known| &known.types));
        Snapshot::index(self, functions, types)
    }

    fn join_functions(&mut self, known: Option<&Arc<Objects<Function>>>) -> Layers<Function> {
        let mut all = std::mem::take(&mut self.functions);
        all.sort_unstable_by_key(|function| function.id);
        for (id, support) in std::mem::take(&mut self.support) {
            let index = all.binary_search_by_key(&id, |function| function.id);
            if let Some(function) = index.ok().and_then(|index| all.get_mut(index)) {
                function.support = support;
            }
        }
        let (initdb, own) = parted(all);
        Layers {
            initdb: known.map_or_else(|| Arc::new(Objects::new(initdb)), Arc::clone),
            own: Objects::new(own),
        }
    }

    fn join_types(&mut self, known: Option<&Arc<Objects<Type>>>) -> Layers<Type> {
        let (initdb, own) = parted(std::mem::take(&mut self.types));
        let nothing = Objects::new(Vec::new());
        let initdb = known.map_or_else(
            || Arc::new(Objects::new(joined(initdb, &nothing))),
            Arc::clone,
        );
        Layers {
            own: Objects::new(joined(own, &initdb)),
            initdb,
        }
    }

    fn relation_mut(&mut self, id: RelationId) -> Option<&mut Relation> {
        let index = self
            .relations
            .binary_search_by_key(&id, |relation| relation.id)
            .ok()?;
        self.relations.get_mut(index)
    }

    fn join_columns(&mut self) {
        let mut columns = std::mem::take(&mut self.columns);
        columns.sort_by_key(|&(id, ..)| id);
        let mut columns = columns.into_iter().peekable();
        while let Some((id, name, kind)) = columns.next() {
            let mut own = vec![(name, kind)];
            while let Some((_, name, kind)) = columns.next_if(|&(next, ..)| next == id) {
                own.push((name, kind));
            }
            if let Some(relation) = self.relation_mut(id) {
                relation.columns = own.into();
            }
        }
    }

    fn join_parents(&mut self) {
        let mut inherits = std::mem::take(&mut self.inherits);
        inherits.sort_unstable();
        inherits.dedup();
        for pairs in inherits.chunk_by(|a, b| a.0 == b.0) {
            let Some(&(child, _)) = pairs.first() else {
                continue;
            };
            if let Some(relation) = self.relation_mut(child) {
                relation.parents = pairs.iter().map(|&(_, parent)| parent).collect();
            }
        }
    }
}

/// What came with `initdb`, and the rest.
fn parted<T: Object>(all: Vec<T>) -> (Vec<T>, Vec<T>) {
    all.into_iter()
        .partition(|object| T::is_initdb(object.id()))
}

/// An array, domain or range is what its elements are, which may be among those `below`. What these
/// are is not known of rows and pseudotypes, so that they count as everything.
fn joined(mut types: Vec<Type>, below: &Objects<Type>) -> Vec<Type> {
    types.sort_unstable_by_key(|known| known.id);
    let all = types.clone();
    for known in &mut types {
        let mut kind = known.kind;
        for _ in 0..TYPE_DEPTH_MAX {
            let TypeKind::Of(base) = kind else { break };
            let index = all.binary_search_by_key(&base, |base| base.id).ok();
            let beside = index.and_then(|index| all.get(index));
            let base = beside.or_else(|| below.get(base));
            known.is_text |= base.is_none_or(|base| base.is_text);
            known.reads_clock = base.is_none_or(|base| base.reads_clock);
            kind = base.map_or(TypeKind::Base, |base| base.kind);
        }
        if matches!(kind, TypeKind::Of(_)) {
            (known.is_text, known.reads_clock) = (true, true);
        }
    }
    types
}

/// Arrays of domains of arrays of … deeper than this count as everything.
const TYPE_DEPTH_MAX: usize = 16;
