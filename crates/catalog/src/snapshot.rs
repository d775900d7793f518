//! One moment of one database, indexed by name and identity.

use crate::{
    Cast, Constraint, DatabaseId, Depends, Function, FunctionId, Operator, Relation, RelationId, Role,
    RoleId, Rule, Schema, SchemaId, Trigger,
};

/// Collects the rows of the catalog queries; [`Builder::finish`] indexes them.
#[derive(Debug, Default)]
pub struct Builder {
    /// All schemas.
    pub schemas: Vec<Schema>,
    /// All roles.
    pub roles: Vec<Role>,
    /// All relations.
    pub relations: Vec<Relation>,
    /// All foreign keys.
    pub constraints: Vec<Constraint>,
    /// All user triggers.
    pub triggers: Vec<Trigger>,
    /// All rules.
    pub rules: Vec<Rule>,
    /// All functions, builtin ones included.
    pub functions: Vec<Function>,
    /// Operators outside `pg_catalog`.
    pub operators: Vec<Operator>,
    /// Casts through functions outside `pg_catalog`.
    pub casts: Vec<Cast>,
    /// View dependencies.
    pub depends: Vec<Depends>,
    /// Names of event triggers that are enabled; any makes DDL write everything anyway.
    pub event_triggers: Vec<Box<str>>,
    /// `server_version_num`.
    pub server_version: u32,
}

/// The schemas in which unqualified names are looked up, in order, `pg_catalog` included where the
/// server puts it. Temporary schemas are never part of it: a session with temporary objects is
/// not looked up at all.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct SearchPath(pub Box<[SchemaId]>);

/// One moment of one database.
#[derive(Debug)]
pub struct Snapshot {
    // filled in by the crate's author
    _todo: (),
}
