//! What a statement could come to change that is told to change nothing.
//!
//! A statement that calls no function of users and reads no view may have been told from definitions
//! that have passed: a view has taken the place of its table, a policy was added, a function fits
//! better than the server's own. It has changed something only if what came in between changes
//! something by itself, and of that there is little in any database.

use std::hash::{DefaultHasher, Hash, Hasher};

use catalog::{SchemaId, Snapshot};

use crate::effects::Effects;

/// A digest over all by which calling or reading it changes anything, and the names it goes by.
pub(super) fn perils(snapshot: &Snapshot, effects: &Effects) -> u64 {
    let writers = effects.writers();
    let mut digest = DefaultHasher::new();
    writers.any.hash(&mut digest);
    let schema = |id: SchemaId| snapshot.schema(id).map(|schema| &schema.name);
    for id in &writers.functions {
        let known = snapshot.function(*id);
        let named = known.map(|function| (schema(function.schema), &function.name));
        (id, named).hash(&mut digest);
    }
    for operator in snapshot.all_operators() {
        if writers.functions.binary_search(&operator.function).is_ok() {
            (&operator.symbol, operator.function, operator.operands).hash(&mut digest);
        }
    }
    for id in &writers.relations {
        let known = snapshot.relation(*id);
        let named = known.map(|relation| (schema(relation.schema), &relation.name));
        (id, named).hash(&mut digest);
    }
    digest.finish()
}
