//! The tables of the databases that are watched.

use std::{cmp::Reverse, sync::Arc};

use admin::ShownTable;
use catalog::{Relation, RelationKind};
use session::Knowledge;
use sql::Reason;

use crate::written::{Writes, Written};

/// Those that are written most, and no more than `limit`.
pub(super) fn tables(
    databases: &[(Box<str>, Arc<Knowledge>)],
    written: &Written,
    limit: usize,
) -> Vec<ShownTable> {
    let mut found = Vec::new();
    for (name, knowledge) in databases {
        let relations = knowledge.schema.snapshot().relations();
        for relation in relations.filter(|relation| is_shown(knowledge, relation)) {
            let writes = written.of(knowledge.database, relation.id);
            found.push((writes, &**name, &**knowledge, relation));
        }
    }
    found.sort_by_key(|(writes, ..)| Reverse(writes.all()));
    found.truncate(limit);
    let shown = |(writes, name, knowledge, relation)| shown(knowledge, name, relation, writes);
    found.into_iter().map(shown).collect()
}

/// Whether it is a table of the user's that others can read.
fn is_shown(knowledge: &Knowledge, relation: &Relation) -> bool {
    let kept = match relation.kind {
        RelationKind::Table
        | RelationKind::PartitionedTable
        | RelationKind::MaterializedView
        | RelationKind::ForeignTable => true,
        RelationKind::View
        | RelationKind::Sequence
        | RelationKind::CompositeType
        | RelationKind::Other => false,
    };
    let snapshot = knowledge.schema.snapshot();
    kept && !relation.temporary && !snapshot.is_system_schema(relation.schema)
}

fn shown(knowledge: &Knowledge, database: &str, relation: &Relation, writes: Writes) -> ShownTable {
    let schema = knowledge.schema.snapshot().schema(relation.schema);
    let schema = schema.map_or("", |schema| &schema.name);
    let ttl = knowledge.policy.of(schema, &relation.name).ttl;
    let reason = if relation.kind == RelationKind::ForeignTable {
        Some(Reason::ForeignTable)
    } else if relation.unlogged {
        Some(Reason::Unlogged)
    } else {
        ttl.is_none().then_some(Reason::Policy)
    };
    ShownTable {
        database: database.into(),
        schema: schema.into(),
        name: relation.name.as_ref().into(),
        ttl: ttl.filter(|_| reason.is_none()),
        reason,
        row_writes: writes.rows,
        table_writes: writes.table,
    }
}
