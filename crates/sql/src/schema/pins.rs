//! Rows that a statement keeps to: what its words say, held against the catalog.

use catalog::{Function, Relation, RelationId, RelationKind, RowSecurity, SearchPath, TypeId};
use foldhash::HashMap;

use super::Schema;
use crate::effects::Outcome;
use crate::facts::{Bound, Lexical, Name, Read, Sentence};
use crate::pin::condition::{Column, Equality, Values};
use crate::pin::outline::{Deed, Insert, Outline, Table};
use crate::pin::value::{Family, VARCHAR, is_key_type};
use crate::pin::{Change, Part, Pin, Pinned};
use crate::{Reason, Temporary, Writes};

/// Values of columns: which table of the statement, which column.
type Given<'a> = HashMap<(usize, &'a str), &'a Values>;

impl Schema {
    /// Which rows a statement keeps to, given what it reads and writes at most.
    pub(super) fn pinned(
        &self,
        sentence: &Sentence,
        read: &Result<Box<[RelationId]>, Reason>,
        writes: &Writes,
        path: &SearchPath,
    ) -> Pinned {
        let (Some(outline), Bound::Lexical(lexical)) = (&sentence.outline, &sentence.writes) else {
            return Pinned::default();
        };
        match (&sentence.read, read, writes) {
            (Ok(facts), Ok(relations), _) => self
                .select(outline, facts, lexical, relations, path)
                .unwrap_or_default(),
            (Err(_), _, Writes::Relations(_)) => Pinned {
                change: self.change(outline, lexical, path),
                ..Pinned::default()
            },
            _ => Pinned::default(),
        }
    }

    /// The pins of a read. Both readers of the text have to agree on its tables, and nothing but
    /// they may read any.
    fn select(
        &self,
        outline: &Outline,
        read: &Read,
        lexical: &Lexical,
        relations: &[RelationId],
        path: &SearchPath,
    ) -> Option<Pinned> {
        let Deed::Select { plain } = outline.deed else {
            return None;
        };
        let named = outline.tables.iter().map(|table| &table.name);
        if read.ranges.len() != outline.tables.len() || !named.eq(&read.relations) {
            return None;
        }
        let tables = self.tables(outline, path)?;
        let mut ids: Vec<RelationId> = tables.iter().map(|table| table.id).collect();
        ids.sort_unstable();
        ids.dedup();
        // A policy may call a function that reads any rows of the table.
        let filtered = tables.iter().any(|it| it.row_security != RowSecurity::Off);
        // What is read behind an extension's functions is none of the rows that are named.
        let behind = |id: &RelationId| self.trust.is_reference(*id) && !ids.contains(id);
        let alone = relations.iter().filter(|id| !behind(id)).eq(&ids);
        if !alone || filtered || self.calls_listed(read, lexical, path) {
            return None;
        }
        let given = given(outline, &tables);
        let mut reads = Vec::new();
        for id in ids {
            let of = |(_, table): &(usize, &&Relation)| table.id == id;
            let pins = tables.iter().enumerate().filter(of);
            // A table that is meant twice has to be pinned twice.
            let pins: Option<Vec<Pin>> = pins
                .map(|(index, table)| self.pin(index, table, &given))
                .collect();
            reads.extend(pins.into_iter().flatten());
        }
        let columns_only = tables.first().is_some_and(|table| {
            let known = |name: &str| *name == *table.name || has_column(table, name);
            lexical.attributes.iter().all(|name| known(name))
        });
        let calls = !read.calls.is_empty() || !lexical.calls.is_empty();
        Some(Pinned {
            plain: plain && columns_only && !calls && !reads.is_empty(),
            reads: reads.into(),
            change: None,
        })
    }

    /// Whether a function may be called that reads tables by itself.
    fn calls_listed(&self, read: &Read, lexical: &Lexical, path: &SearchPath) -> bool {
        let calls = read.calls.iter().map(|call| &call.name);
        let named = calls
            .chain(&lexical.calls)
            .flat_map(|Name { schema, name }| {
                self.snapshot.functions(path, schema.as_deref(), name)
            });
        let attributes = lexical
            .attributes
            .iter()
            .flat_map(|name| self.snapshot.functions(path, None, name));
        let operators = read
            .symbols
            .iter()
            .flat_map(|symbol| self.snapshot.operators(symbol))
            .map(|operator| operator.function);
        let listed = |id| self.trust.reads_more(id);
        named
            .chain(attributes)
            .map(|function: &Function| function.id)
            .chain(operators)
            .any(listed)
    }

    /// What a write changes, if it is certain that it changes nothing else.
    fn change(&self, outline: &Outline, lexical: &Lexical, path: &SearchPath) -> Option<Change> {
        let tables = self.tables(outline, path)?;
        let (target, [table]) = (*tables.first()?, &*outline.tables) else {
            return None;
        };
        if target.temporary || !lexical.targets.iter().all(|it| it.name == table.name) {
            return None;
        }
        let key = self.key(target)?;
        let given = given(outline, &tables);
        let free = |assigned: &[Box<str>]| !assigned.iter().any(|name| target.key.contains(name));
        let (rows, adds, assigned): (_, _, &[Box<str>]) = match &outline.deed {
            Deed::Select { .. } => return None,
            Deed::Update { assigned } if !free(assigned) => return None,
            Deed::Update { assigned } => {
                (Some([self.pin(0, target, &given)?].into()), false, assigned)
            }
            Deed::Delete => (Some([self.pin(0, target, &given)?].into()), false, &[]),
            Deed::Insert(insert) => {
                let rows = self.inserted(insert, target, &key);
                match &insert.upsert {
                    None => (rows, true, &[]),
                    Some(upsert) => {
                        // Another index on the same columns may take more texts for equal.
                        let text = key.iter().any(|(family, _)| *family == Family::Text);
                        let same = upsert.conflict.len() == target.key.len()
                            && target.key.iter().all(|name| upsert.conflict.contains(name));
                        if text || !same || !free(&upsert.assigned) {
                            return None;
                        }
                        (Some(rows?), false, &*upsert.assigned)
                    }
                }
            }
        };
        Some(Change {
            target: target.id,
            rows,
            adds,
            others: self.others(target, lexical, assigned, path)?,
        })
    }

    /// What is written besides the rows that a statement names; `None` if other rows of the same
    /// table may be among it.
    fn others(
        &self,
        target: &Relation,
        lexical: &Lexical,
        assigned: &[Box<str>],
        path: &SearchPath,
    ) -> Option<Box<[RelationId]>> {
        let outcomes = self.outcomes.within(&Temporary::Plain);
        let mut run = Outcome::NOTHING;
        for event in lexical.targets.iter().map(|target| target.event) {
            run.add(&outcomes.beside(target, event, assigned)?);
        }
        run.add(&self.runs(lexical, Some(path), outcomes));
        match run.writes {
            Writes::Nothing | Writes::Code => Some([].into()),
            Writes::Relations(others) if !others.contains(&target.id) => Some(others),
            Writes::Relations(_) | Writes::Rows(_) | Writes::Everything | Writes::Cluster => None,
        }
    }

    /// The keys of the rows of VALUES; `None` if one of them is not known.
    fn inserted(
        &self,
        insert: &Insert,
        target: &Relation,
        key: &[(Family, bool)],
    ) -> Option<Box<[Pin]>> {
        // Trailing blanks that do not fit into a `varchar(n)` are dropped.
        let cut = |name: &str| column_type(target, name).is_none_or(|kind| kind.oid() == VARCHAR);
        if insert.rows.is_empty() || target.key.iter().any(|name| cut(name)) {
            return None;
        }
        let place = |name: &str| match &insert.columns {
            Some(columns) => columns.iter().position(|column| **column == *name),
            None => target
                .columns
                .iter()
                .position(|(column, _)| **column == *name),
        };
        let places = target.key.iter().map(|name| place(name));
        let places: Vec<usize> = places.collect::<Option<_>>()?;
        let row = |row: &Vec<Option<_>>| {
            let part = |(&place, &(family, varchar)): (&usize, &(Family, bool))| {
                let term = row.get(place)?.clone()?;
                Some(Part {
                    family,
                    varchar,
                    values: Values::List([term].into()),
                })
            };
            let columns = places.iter().zip(key).map(part).collect::<Option<_>>()?;
            Some(Pin {
                relation: target.id,
                columns,
            })
        };
        insert.rows.iter().map(row).collect()
    }

    fn tables(&self, outline: &Outline, path: &SearchPath) -> Option<Vec<&Relation>> {
        let resolve = |Table { name, .. }: &Table| {
            let schema = name.schema.as_deref();
            let found = self.snapshot.resolve_relation(path, schema, &name.name)?;
            (found.kind == RelationKind::Table).then_some(found)
        };
        outline.tables.iter().map(resolve).collect()
    }

    /// The pin of one table, if each column of its key has values.
    fn pin(&self, index: usize, table: &Relation, given: &Given<'_>) -> Option<Pin> {
        let key = self.key(table)?;
        let part = |name: &str, (family, varchar): (Family, bool)| {
            let values = given.get(&(index, name))?;
            Some(Part {
                family,
                varchar,
                values: Values::clone(values),
            })
        };
        let parts = table.key.iter().zip(key);
        let parts = parts.map(|(name, kind)| part(name, kind));
        let columns = parts.collect::<Option<_>>()?;
        Some(Pin {
            relation: table.id,
            columns,
        })
    }

    /// The families of a table's key, and whether values may come as `varchar`; `None` if its rows
    /// cannot be told apart.
    ///
    /// Rows of relatives by inheritance are read and written with it, under keys of their own.
    fn key(&self, table: &Relation) -> Option<Vec<(Family, bool)>> {
        let snapshot = &self.snapshot;
        let relatives = !table.parents.is_empty() || snapshot.children(table.id).next().is_some();
        // Operators for exactly these types would be taken, others at most for `varchar`, which
        // has none of its own.
        let mut compare = snapshot.operators("=").peekable();
        let foreign = compare.peek().is_some();
        let taken = compare.any(|operator| operator.operands.iter().any(|&kind| is_key_type(kind)));
        if table.key.is_empty() || relatives || taken {
            return None;
        }
        let part = |name: &str| {
            let kind = column_type(table, name)?;
            let sure = kind.oid() != VARCHAR || !foreign;
            Family::of(kind).filter(|_| sure).map(|it| (it, !foreign))
        };
        table.key.iter().map(|name| part(name)).collect()
    }
}

/// What each column must equal, directly or by way of another column.
fn given<'a>(outline: &'a Outline, tables: &[&'a Relation]) -> Given<'a> {
    let mut given = Given::default();
    let find = |column| find(column, outline, tables);
    for equality in &outline.equalities {
        if let Equality::Values(column, values) = equality
            && let Some(place) = find(column)
        {
            given.entry(place).or_insert(values);
        }
    }
    // Each round hands values on by one step at least.
    for _ in 0..outline.equalities.len().min(STEPS_MAX) {
        for equality in &outline.equalities {
            let Equality::Columns(left, right) = equality else {
                continue;
            };
            let (Some(left), Some(right)) = (find(left), find(right)) else {
                continue;
            };
            let family = |(index, name): (usize, &str)| {
                Family::of(column_type(tables.get(index)?, name)?)
                    // What is equal as text to one column need not be to the next.
                    .filter(|family| *family != Family::Text)
            };
            if family(left).is_none() || family(left) != family(right) {
                continue;
            }
            match (given.get(&left).copied(), given.get(&right).copied()) {
                (Some(values), None) => given.insert(right, values),
                (None, Some(values)) => given.insert(left, values),
                (Some(_), Some(_)) | (None, None) => None,
            };
        }
    }
    given
}

/// The only table of a statement whose column this can be.
fn find<'a>(
    column: &Column,
    outline: &Outline,
    tables: &[&'a Relation],
) -> Option<(usize, &'a str)> {
    let fits = |table: &Table| match (&column.schema, &column.range, &table.alias) {
        (None, None, _) => true,
        (None, Some(range), Some(alias)) => range == alias,
        (None, Some(range), None) => *range == table.name.name,
        (Some(_), _, Some(_)) | (Some(_), None, None) => false,
        (Some(schema), Some(range), None) => {
            table.name.schema.as_ref() == Some(schema) && *range == table.name.name
        }
    };
    let mut found = outline
        .tables
        .iter()
        .zip(tables)
        .enumerate()
        .filter(|(_, (table, _))| fits(table))
        .filter_map(|(index, (_, relation))| {
            let columns = relation.columns.iter();
            let mut same = columns.filter(|(name, _)| *name == column.name);
            same.next().map(|(name, _)| (index, &**name))
        });
    let only = found.next()?;
    found.next().is_none().then_some(only)
}

fn has_column(table: &Relation, name: &str) -> bool {
    column_type(table, name).is_some()
}

fn column_type(table: &Relation, name: &str) -> Option<TypeId> {
    let mut columns = table.columns.iter();
    columns
        .find(|(column, _)| **column == *name)
        .map(|(_, kind)| *kind)
}

/// A chain of equal columns longer than this is not followed to its end.
const STEPS_MAX: usize = 8;
