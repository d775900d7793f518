//! Times of day and their zones: the offset of a zone is that of today, if no other day is said.
//!
//! A `time` that `AT TIME ZONE` is applied to becomes a `time with time zone` by the offset that the
//! session's zone has today, and is moved by the one that the other zone has. A timestamp has the
//! offset of its own day. So it matters what may be a time of day. Values of `timetz` itself are
//! kept away from all else: text without a zone is read as one by the same offset. A column of them may be
//! shown and sorted by ([`crate::used`]).

use catalog::{Function, RelationKind, Snapshot, TypeId, TypeKind};
use foldhash::HashSet;

use super::text::{DEPTH_MAX, Texts, is_made_of_arguments, is_polymorphic};
use super::{Viewer, takes};
use crate::Reason;
use crate::facts::{Name, Read, Shape};
use crate::needs::Found;

/// The types of which values hold some that are not what they seem, a time with a zone or the name of
/// an object, or that do not last.
#[derive(Debug)]
pub(super) struct Holders {
    known: HashSet<TypeId>,
    /// There are some that users have made, rows of tables among them.
    custom: bool,
    /// There are some that were made to be types.
    declared: bool,
}

impl Holders {
    /// Those that hold a time with a zone.
    pub(super) fn of_zones(snapshot: &Snapshot) -> Self {
        Self::of(snapshot, &[TIMETZ, TIMETZ_ARRAY])
    }

    /// Those that hold an object, and show it by the name that it has at the moment: to a statement
    /// that is prepared, a literal stands for the object of that moment. Objects of other sessions'
    /// temporary schemas come and go unnoticed.
    pub(super) fn of_names(snapshot: &Snapshot) -> Self {
        Self::of(snapshot, &NAMES.map(TypeId::from_oid))
    }

    /// Those that hold values of temporary types: at the end of a session, if not earlier, the columns of
    /// such types go with them, also of what lasts.
    pub(super) fn of_temporary(snapshot: &Snapshot) -> Self {
        let types = snapshot.all_types();
        let types = types.filter(|it| snapshot.is_temporary_schema(it.schema));
        let types: Vec<_> = types.map(|it| it.id).collect();
        let rows = snapshot.relations().filter(|it| it.temporary);
        let rows = rows.flat_map(|relation| [relation.row, relation.rows]);
        let rows = rows.filter(|kind| kind.oid() != 0);
        Self::of(snapshot, &rows.chain(types).collect::<Vec<_>>())
    }

    fn of(snapshot: &Snapshot, held: &[TypeId]) -> Self {
        let mut known = HashSet::from_iter(held.iter().copied());
        while !known.is_empty() {
            let before = known.len();
            let made = snapshot
                .all_types()
                .filter(|it| matches!(it.kind, TypeKind::Of(inner) if known.contains(&inner)));
            let made: Vec<_> = made.map(|it| it.id).collect();
            let rows = snapshot.relations().filter(|relation| {
                let mut kinds = relation.columns.iter().map(|(_, kind)| kind);
                kinds.any(|kind| known.contains(kind))
            });
            let rows = rows.flat_map(|relation| [relation.row, relation.rows]);
            known.extend(rows.filter(|kind| kind.oid() != 0).collect::<Vec<_>>());
            known.extend(made);
            if known.len() == before {
                break;
            }
        }
        let of_table = |kind: &TypeId| {
            let row = snapshot.relation_of_row(*kind);
            let row = row.or_else(|| snapshot.relation_of_rows(*kind));
            row.is_some_and(|relation| relation.kind != RelationKind::CompositeType)
        };
        let made = known.iter().filter(|kind| !kind.is_builtin());
        Self {
            custom: made.clone().next().is_some(),
            declared: made.clone().any(|kind| !of_table(kind)),
            known,
        }
    }

    /// Whether values of a type hold one. Of types that are not listed nothing is known.
    pub(super) fn has(&self, snapshot: &Snapshot, kind: TypeId) -> bool {
        let unknown = || {
            !kind.is_builtin()
                && snapshot.type_by_id(kind).is_none()
                && snapshot.relation_of_row(kind).is_none()
                && snapshot.relation_of_rows(kind).is_none()
        };
        self.known.contains(&kind) || (self.custom && unknown())
    }

    /// The same of those that are listed.
    pub(super) fn holds(&self, kind: TypeId) -> bool {
        self.known.contains(&kind)
    }

    /// Whether a function outside `pg_catalog` has to do with them.
    pub(super) fn is_in(&self, snapshot: &Snapshot, function: &Function) -> bool {
        let kinds = function.takes.iter().chain([&function.returns]);
        kinds
            .chain(&function.columns)
            .copied()
            .any(|kind| !is_polymorphic(kind) && self.has(snapshot, kind))
    }
}

impl Viewer<'_> {
    /// No type that a query names holds a time with a zone.
    pub(super) fn named_zones(&self, read: &Read, found: &mut Found) -> Result<(), Reason> {
        let zoned = &self.trust.zoned;
        if !zoned.custom {
            return Ok(());
        }
        let is_zoned = |Name { schema, name }: &Name| {
            let snapshot = self.snapshot;
            let mut types = snapshot.types(self.path, schema.as_deref(), name);
            let mut rows = snapshot.relations_named(name);
            types.any(|it| zoned.has(snapshot, it.id)) || rows.any(|it| zoned.has(snapshot, it.row))
        };
        if read.types.iter().any(is_zoned) {
            return Err(Reason::Clock);
        }
        // One of them could be that of a parameter.
        found.builtin_parameters |= zoned.declared;
        Ok(())
    }
}

impl Texts<'_> {
    /// Refuses a query that may take a time of day to a zone.
    pub(super) fn zones(&self, found: &mut Found) -> Result<(), Reason> {
        if self.read.zoned.is_empty() {
            return Ok(());
        }
        let hidden = self.has_unnamed_columns();
        let mut zoned = self.read.zoned.iter();
        if zoned.any(|shape| self.could_be(TIME, shape, hidden, DEPTH_MAX)) {
            return Err(Reason::Clock);
        }
        found.timeless_parameters = self.read.zoned.iter().any(|shape| self.is_given(shape));
        Ok(())
    }

    /// Whether an expression may be made of a parameter.
    fn is_given(&self, shape: &Shape) -> bool {
        match shape {
            Shape::Plain | Shape::Time | Shape::Span | Shape::Typed(_) => false,
            Shape::Given | Shape::Value | Shape::Text => true,
            Shape::Sum(both) => both.iter().any(|shape| self.is_given(shape)),
            Shape::Call(_, shapes) | Shape::Any(shapes) => {
                shapes.iter().any(|shape| self.is_given(shape))
            }
            Shape::Column(name) => self.read.outputs.iter().any(|(output, _)| output == name),
        }
    }

    /// Whether an expression may be of this type, [`TIME`] or [`INTERVAL`].
    fn could_be(&self, wanted: TypeId, shape: &Shape, hidden: bool, depth: usize) -> bool {
        let Some(depth) = depth.checked_sub(1) else {
            return true;
        };
        let is = |wanted, shape| self.could_be(wanted, shape, hidden, depth);
        match shape {
            Shape::Plain => false,
            Shape::Value | Shape::Text => true,
            Shape::Time => wanted == TIME,
            Shape::Span => wanted == INTERVAL,
            // Before anything else a timestamp is meant; but a parameter may have its type from
            // elsewhere.
            Shape::Given => wanted != TIME || self.sees_times(),
            Shape::Sum(both) => {
                let [one, other] = &**both;
                wanted != TIME
                    || (is(TIME, one) && is(INTERVAL, other))
                    || (is(INTERVAL, one) && is(TIME, other))
            }
            Shape::Column(_) if hidden => true,
            Shape::Column(name) => self.column_could_be(wanted, name, depth),
            Shape::Typed(name) => {
                let mut types = self.types(name).peekable();
                types.peek().is_none() || types.any(|it| self.holds(it.id, wanted))
            }
            Shape::Call(name, arguments) => {
                self.call_could_be(wanted, (name, arguments), hidden, depth)
            }
            Shape::Any(shapes) => {
                // A literal becomes what it stands beside.
                let given = |shape: &&Shape| **shape == Shape::Given;
                let mut typed = shapes.iter().filter(|it| !given(it)).peekable();
                match typed.peek() {
                    Some(_) => typed.any(|shape| is(wanted, shape)),
                    None => shapes.iter().any(|shape| is(wanted, shape)),
                }
            }
        }
    }

    /// Every column of this name, wherever it is defined, and every argument of the function whose
    /// body it is.
    fn column_could_be(&self, wanted: TypeId, name: &str, depth: usize) -> bool {
        let mut given = self.viewer.given.iter();
        if given.any(|&kind| is_polymorphic(kind) || self.holds(kind, wanted)) {
            return true;
        }
        let columns = self.named.iter().flat_map(|relation| &relation.columns);
        let of_relations = columns
            .filter(|(column, _)| **column == *name)
            .map(|(_, kind)| self.holds(*kind, wanted));
        let outputs = self.read.outputs.iter();
        let of_queries = outputs
            .filter(|(output, _)| **output == *name)
            .filter(|(_, shape)| !matches!(shape, Shape::Column(same) if **same == *name))
            .map(|(_, shape)| self.could_be(wanted, shape, false, depth));
        let mut all = of_relations.chain(of_queries).peekable();
        let argument = self.viewer.given.is_empty();
        (argument && all.peek().is_none()) || all.any(|it| it)
    }

    /// What every function may return that a call may mean. Nothing becomes a time of day by itself.
    fn call_could_be(
        &self,
        wanted: TypeId,
        (name, arguments): (&Name, &[Shape]),
        hidden: bool,
        depth: usize,
    ) -> bool {
        let count = u16::try_from(arguments.len()).ok();
        let fits = |function: &Function| {
            let mut pairs = function.takes.iter().zip(arguments);
            takes(function, count)
                && pairs.all(|(&kind, argument)| {
                    kind != TIME || self.could_be(TIME, argument, hidden, depth)
                })
        };
        let mut found = self.functions(name).filter(|it| fits(it)).peekable();
        found.peek().is_none()
            || found.any(|function| match is_made_of_arguments(function) {
                true => {
                    let mut all = arguments.iter();
                    all.any(|argument| self.could_be(wanted, argument, hidden, depth))
                }
                false => self.holds(function.returns, wanted),
            })
    }

    /// Whether values of a type are of the wanted one, or consist of such.
    fn holds(&self, kind: TypeId, wanted: TypeId) -> bool {
        let snapshot = self.viewer.snapshot;
        match snapshot.made_of(kind) {
            Some(all) => all.contains(&wanted),
            None => !kind.is_builtin() && snapshot.relation_of_row(kind).is_none(),
        }
    }

    /// Whether times of day occur at all.
    fn sees_times(&self) -> bool {
        let columns = self.named.iter().flat_map(|relation| &relation.columns);
        let mut kinds = columns
            .map(|(_, kind)| *kind)
            .chain(self.viewer.given.iter().copied());
        self.read.names_time || kinds.any(|kind| self.holds(kind, TIME))
    }
}

const TIME: TypeId = TypeId::from_oid(1_083);

const INTERVAL: TypeId = TypeId::from_oid(1_186);

/// `regproc`, `regprocedure`, `regoper`, `regoperator`, `regclass`, `regtype`, `regnamespace`,
/// `regrole`, `regcollation`. What text search configurations and dictionaries are called is part of
/// what a statement means.
const NAMES: [u32; 9] = [24, 2_202, 2_203, 2_204, 2_205, 2_206, 4_089, 4_096, 4_191];

const TIMETZ: TypeId = TypeId::from_oid(1_266);

const TIMETZ_ARRAY: TypeId = TypeId::from_oid(1_270);
