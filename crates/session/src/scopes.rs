//! Which scopes a statement depends on, and which it changes.
//!
//! Invariant: if a write can change the reply to a read, they have a scope in common; see
//! [`Scope`].

use cache::{Scope, Scopes};
use catalog::DatabaseId;
use sql::{Arguments, Plan, Writes};

/// What the reply to a read depends on besides the epoch, sorted; and how many rows it has if it
/// lacks none, if that can be said.
pub(crate) fn read(
    plan: &Plan,
    database: DatabaseId,
    arguments: &Arguments<'_>,
) -> (Scopes, Option<u32>) {
    let relations = plan.read.as_deref().unwrap_or_default();
    if plan.pinned.is_empty() {
        let whole = relations.iter().map(|&id| Scope::Relation(database, id));
        return (whole.collect(), None);
    }
    let (mut scopes, mut complete) = (Scopes::new(), None);
    for &id in relations {
        match plan.pinned.reads(id, arguments) {
            Some(rows) => {
                scopes.push(Scope::Bulk(database, id));
                let classes = rows.classes.iter();
                scopes.extend(classes.map(|&class| Scope::Row(database, id, class)));
                scopes.push(Scope::Insert(database, id));
                complete = plan.pinned.complete(rows.keys);
            }
            None => scopes.push(Scope::Relation(database, id)),
        }
    }
    scopes.sort_unstable();
    let complete = complete.and_then(|rows| u32::try_from(rows).ok());
    (scopes, complete)
}

/// What is to be marked before these writes may become visible.
pub fn written(writes: &Writes, database: DatabaseId) -> Vec<Scope> {
    let whole = |relations: &[_]| -> Vec<Scope> {
        let scopes = |&id| [Scope::Relation(database, id), Scope::Bulk(database, id)];
        relations.iter().flat_map(scopes).collect()
    };
    match writes {
        Writes::Nothing | Writes::Code => Vec::new(),
        Writes::Relations(relations) => whole(relations),
        Writes::Rows(changes) => {
            let mut scopes = whole(&changes.relations);
            for &(id, class) in &changes.rows {
                scopes.push(Scope::Relation(database, id));
                scopes.push(Scope::Row(database, id, class));
            }
            for &id in &changes.inserts {
                scopes.push(Scope::Relation(database, id));
                scopes.push(Scope::Insert(database, id));
            }
            scopes.sort_unstable();
            scopes.dedup();
            scopes
        }
        Writes::Everything | Writes::Cluster => vec![Scope::Epoch(database)],
    }
}
