//! Text that is read as a date or time: it may say `now`, whatever the statement says.
//!
//! Literals and parameters are looked at elsewhere. All other text is unknown, so that only what
//! is proven not to be text may be cast to a type that reads the clock.

use catalog::{Function, Relation, TypeId};

use super::{Viewer, takes};
use crate::Reason;
use crate::facts::{Name, Read, Shape, TypeName};

/// What an expression is, with its names resolved.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Verdict {
    /// No text.
    Plain,
    /// A literal or parameter.
    Given,
    /// Text, perhaps.
    Text,
}

/// A query, and the relations that its names mean.
pub(super) struct Texts<'a> {
    pub(super) viewer: &'a Viewer<'a>,
    pub(super) read: &'a Read,
    pub(super) named: &'a [&'a Relation],
}

impl Texts<'_> {
    /// Refuses a query that may read the clock from text.
    pub(super) fn check(&self) -> Result<(), Reason> {
        if self.read.casts.is_empty() {
            return Ok(());
        }
        let hidden = self.has_unnamed_columns();
        let clock = self.read.casts.iter().any(|(target, operand)| {
            self.reads_clock(target)
                && match self.verdict(operand, hidden, DEPTH_MAX) {
                    Verdict::Plain | Verdict::Given => false,
                    Verdict::Text => true,
                }
        });
        if clock { Err(Reason::Clock) } else { Ok(()) }
    }

    /// Whether text read as this type may mean the clock.
    fn reads_clock(&self, target: &TypeName) -> bool {
        match target {
            TypeName::Known { text: _, clock } => *clock,
            TypeName::Named(name) => {
                let mut types = self.types(name).peekable();
                // What is no type is a row, or a function, which is looked at as such.
                let function = || {
                    let mut functions = self.functions(name);
                    functions.next().is_some()
                };
                match types.peek() {
                    Some(_) => types.any(|known| known.reads_clock),
                    None => self.row_reads_clock(name).unwrap_or_else(|| !function()),
                }
            }
        }
    }

    /// Whether one of the columns does, if it is a row. Along a path that is not known it may be any.
    fn row_reads_clock(&self, Name { schema, name }: &Name) -> Option<bool> {
        let Viewer { snapshot, path, .. } = self.viewer;
        let any = self.viewer.anywhere && schema.is_none();
        let row = snapshot.resolve_relation(path, schema.as_deref(), name)?;
        let timeless = |&(_, kind): &(_, TypeId)| {
            let known = snapshot.type_by_id(kind);
            known.is_some_and(|known| !known.reads_clock)
        };
        Some(any || !row.columns.iter().all(timeless))
    }

    /// Whether columns are in sight of whose names nothing is known.
    pub(super) fn has_unnamed_columns(&self) -> bool {
        self.read.unnamed_columns
            || self.read.rows.iter().any(|(rows, named)| {
                let plain = self.verdict(rows, false, DEPTH_MAX) == Verdict::Plain;
                !plain && (!named || self.returns_rows(rows))
            })
    }

    /// Whether a call may return several columns.
    fn returns_rows(&self, rows: &Shape) -> bool {
        let Shape::Call(name, _) = rows else {
            return false;
        };
        self.functions(name)
            .any(|function| !is_scalar(self, function.returns))
    }

    fn verdict(&self, shape: &Shape, hidden: bool, depth: usize) -> Verdict {
        let Some(depth) = depth.checked_sub(1) else {
            return Verdict::Text;
        };
        match shape {
            Shape::Plain | Shape::Value | Shape::Time | Shape::Span | Shape::Sum(_) => {
                Verdict::Plain
            }
            Shape::Given => Verdict::Given,
            Shape::Text => Verdict::Text,
            Shape::Column(_) if hidden => Verdict::Text,
            Shape::Column(name) => self.column(name, depth),
            Shape::Typed(name) => {
                let mut types = self.types(name).peekable();
                let known = types.peek().is_some() && types.all(|known| !known.is_text);
                if known { Verdict::Plain } else { Verdict::Text }
            }
            Shape::Call(name, arguments) => self.call(name, arguments, hidden, depth),
            Shape::Any(shapes) => all(shapes
                .iter()
                .map(|shape| self.verdict(shape, hidden, depth))),
        }
    }

    /// Every column of this name, wherever it is defined.
    fn column(&self, name: &str, depth: usize) -> Verdict {
        // Where no column of this name is in scope, it may be an argument's.
        let given = self.viewer.given.iter();
        let mut given = given.map(|&kind| (is_polymorphic(kind), self.of_type(kind)));
        if given.any(|it| it != (false, Verdict::Plain)) {
            return Verdict::Text;
        }
        let of_relations = self
            .named
            .iter()
            .flat_map(|relation| &relation.columns)
            .filter(|(column, _)| **column == *name)
            .map(|(_, kind)| self.of_type(*kind));
        let of_queries = self
            .read
            .outputs
            .iter()
            .filter(|(output, _)| **output == *name)
            // A column that is named like what it is made of says nothing new.
            .filter(|(_, shape)| !matches!(shape, Shape::Column(same) if **same == *name))
            .map(|(_, shape)| self.verdict(shape, false, depth));
        certain(of_relations.chain(of_queries))
    }

    fn of_type(&self, kind: TypeId) -> Verdict {
        match self.viewer.snapshot.type_by_id(kind) {
            Some(known) if !known.is_text => Verdict::Plain,
            _ => Verdict::Text,
        }
    }

    /// What every function returns that a call may mean.
    fn call(&self, name: &Name, arguments: &[Shape], hidden: bool, depth: usize) -> Verdict {
        let given: Vec<Verdict> = arguments
            .iter()
            .map(|argument| self.verdict(argument, hidden, depth))
            .collect();
        let count = u16::try_from(arguments.len()).ok();
        let found = self
            .functions(name)
            .filter(|function| takes(function, count) && self.fits(function, &given))
            .map(|function| {
                if is_made_of_arguments(function) {
                    // Text in, text out; a literal becomes what it stands beside, or text.
                    match all(given.iter().copied()) {
                        Verdict::Plain => Verdict::Plain,
                        Verdict::Given | Verdict::Text => Verdict::Text,
                    }
                } else {
                    self.of_type(function.returns)
                }
            });
        certain(found)
    }

    /// Whether a function may be meant: nothing becomes text by itself.
    fn fits(&self, function: &Function, given: &[Verdict]) -> bool {
        !function.takes.iter().zip(given).any(|(kind, verdict)| {
            let text = |known: &catalog::Type| known.is_text && kind.is_builtin();
            *verdict == Verdict::Plain && self.viewer.snapshot.type_by_id(*kind).is_some_and(text)
        })
    }

    pub(super) fn types(&self, name: &Name) -> impl Iterator<Item = &catalog::Type> {
        let snapshot = self.viewer.snapshot;
        snapshot.types(self.viewer.path, name.schema.as_deref(), &name.name)
    }

    pub(super) fn functions(&self, name: &Name) -> impl Iterator<Item = &Function> {
        let snapshot = self.viewer.snapshot;
        snapshot.functions(self.viewer.path, name.schema.as_deref(), &name.name)
    }
}

/// What all agree on, if there are any.
fn certain(mut verdicts: impl Iterator<Item = Verdict>) -> Verdict {
    let plain = |verdict| verdict == Verdict::Plain;
    match verdicts.next() {
        Some(first) if plain(first) && verdicts.all(plain) => Verdict::Plain,
        Some(_) | None => Verdict::Text,
    }
}

/// What one of several is.
fn all(verdicts: impl Iterator<Item = Verdict>) -> Verdict {
    verdicts.fold(Verdict::Given, |all, verdict| match (all, verdict) {
        (Verdict::Text, _) | (_, Verdict::Text) => Verdict::Text,
        (Verdict::Plain, _) | (_, Verdict::Plain) => Verdict::Plain,
        (Verdict::Given, Verdict::Given) => Verdict::Given,
    })
}

fn is_scalar(texts: &Texts<'_>, kind: TypeId) -> bool {
    texts.viewer.snapshot.type_by_id(kind).is_some()
        || (is_polymorphic(kind) && kind.oid() != RECORD_OID)
}

/// `anyelement` and its kin: the type is that of the arguments.
pub(super) const fn is_polymorphic(kind: TypeId) -> bool {
    matches!(
        kind.oid(),
        2_277 | 2_283 | 2_776 | 3_500 | 3_831 | 4_537 | 4_538 | 5_077..=5_080
    )
}

/// Whether the type it returns is that of its arguments, rows included.
pub(super) fn is_made_of_arguments(function: &Function) -> bool {
    let record = TypeId::from_oid(RECORD_OID);
    is_polymorphic(function.returns)
        || (function.returns == record && function.takes.contains(&record))
}

const RECORD_OID: u32 = 2_249;

/// Columns made of columns made of … more often than this are not followed.
pub(super) const DEPTH_MAX: usize = 32;
