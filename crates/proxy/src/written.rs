//! How often each table is written, for people to see which tables cost hits.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use cache::Scope;
use catalog::{DatabaseId, RelationId};

/// How often each table was written since the start.
#[derive(Debug, Default)]
pub(crate) struct Written(Mutex<HashMap<(DatabaseId, RelationId), Writes>>);

/// How often one table was.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Writes {
    /// Rows of it that could be told apart.
    pub(crate) rows: u64,
    /// Any of its rows, for all that is known.
    pub(crate) table: u64,
}

impl Writes {
    pub(crate) const fn all(self) -> u64 {
        self.rows.saturating_add(self.table)
    }
}

/// Tables that are counted; those that are written first after so many are not.
const TABLES_MAX: usize = 10_000;

impl Written {
    /// These are about to be written.
    pub(crate) fn count(&self, scopes: &[Scope]) {
        let mut counts = self.counts();
        for scope in scopes {
            match *scope {
                Scope::Bulk(database, relation) => add(&mut counts, (database, relation), true),
                Scope::Row(database, relation, _) | Scope::Insert(database, relation) => {
                    add(&mut counts, (database, relation), false);
                }
                Scope::Relation(..) | Scope::Epoch(_) | Scope::Drops(_) => {}
            }
        }
    }

    /// How often a table was.
    pub(crate) fn of(&self, database: DatabaseId, relation: RelationId) -> Writes {
        let counts = self.counts();
        counts
            .get(&(database, relation))
            .copied()
            .unwrap_or_default()
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<(DatabaseId, RelationId), Writes>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn add(
    counts: &mut HashMap<(DatabaseId, RelationId), Writes>,
    table: (DatabaseId, RelationId),
    all: bool,
) {
    if counts.len() >= TABLES_MAX && !counts.contains_key(&table) {
        return;
    }
    let writes = counts.entry(table).or_default();
    match all {
        true => writes.table += 1,
        false => writes.rows += 1,
    }
}

#[cfg(test)]
mod tests {
    use catalog::SystemId;

    use super::*;

    #[test]
    fn tables_are_counted_up_to_a_bound() {
        let database = DatabaseId {
            system: SystemId(1),
            oid: 2,
        };
        let table = RelationId::from_oid;
        let written = Written::default();
        for oid in 0..2 * u32::try_from(TABLES_MAX).unwrap() {
            written.count(&[Scope::Bulk(database, table(oid))]);
        }
        written.count(&[Scope::Insert(database, table(1)), Scope::Epoch(database)]);
        assert_eq!(written.of(database, table(1)), Writes { rows: 1, table: 1 });
        assert_eq!(written.of(database, table(20_000)), Writes::default());
        assert_eq!(written.counts().len(), TABLES_MAX);
    }
}
