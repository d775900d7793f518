//! What pgmemo knows of one database: relations, functions, names, and how a name resolves.
//!
//! A [`Snapshot`] is immutable. It is filled from rows that the shell reads through its control
//! connection with the statements of [`queries`]; nothing here talks to a server.
//!
//! Invariant: a snapshot describes one moment. Whatever it does not know is unknown, never absent:
//! callers bypass when reading and assume everything when writing.
//!
//! What a statement means is `sql`'s affair; versions of scopes are `cache`'s.

#[macro_use]
mod acting;
mod builder;
pub mod fixture;
mod ids;
mod index;
mod kept;
mod layers;
mod object;
mod path;
pub mod queries;
mod row;
mod snapshot;

pub use acting::ACTING;
pub use builder::Builder;
pub use ids::{DatabaseId, FunctionId, RelationId, RoleId, RowClass, SchemaId, SystemId, TypeId};
pub use kept::Keeper;
pub use layers::Initdb;
pub use object::{
    Cast, Collation, Constraint, Depends, Event, ForeignKeyAction, Function, FunctionKind,
    Implicit, Language, Membership, Moment, Operator, Policy, Relation, RelationKind, Role,
    RowSecurity, Rule, Schema, Trigger, Type, TypeKind, Uses, Volatility,
};
pub use path::SearchPath;
pub use row::{Identity, RowError};
pub use snapshot::Snapshot;
