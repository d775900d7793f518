//! Which scopes a statement depends on, and which it changes.
//!
//! Invariant: if a write can change the reply to a read, they have a scope in common.

use cache::{Scope, Scopes};
use catalog::DatabaseId;
use sql::{Plan, Writes};

/// What the reply to a read depends on besides the epoch, sorted.
pub(crate) fn read(plan: &Plan, database: DatabaseId) -> Scopes {
    let relations = plan.read.as_deref().unwrap_or_default();
    relations
        .iter()
        .map(|&id| Scope::Relation(database, id))
        .collect()
}

/// What is to be marked before these writes may become visible.
pub fn written(writes: &Writes, database: DatabaseId) -> Vec<Scope> {
    match writes {
        Writes::Nothing => Vec::new(),
        Writes::Relations(relations) => relations
            .iter()
            .map(|&id| Scope::Relation(database, id))
            .collect(),
        Writes::Everything => vec![Scope::Epoch(database)],
    }
}
