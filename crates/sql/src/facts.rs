//! What one statement's text says, before any name is resolved.

use catalog::Event;

use crate::pin::outline::Outline;
use crate::used::Used;
use crate::{Effects, Reason};

/// A name as the server folds it.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) struct Name {
    /// The schema, when one is written.
    pub(crate) schema: Option<Box<str>>,
    /// The name itself.
    pub(crate) name: Box<str>,
}

impl Name {
    fn bytes(&self) -> usize {
        self.schema.as_ref().map_or(0, |schema| schema.len()) + self.name.len()
    }
}

/// One statement.
#[derive(Debug)]
pub(crate) struct Sentence {
    /// What it reads, or why the text alone says that it is not looked up.
    pub(crate) read: Result<Box<Read>, Reason>,
    /// What it may write, as far as the text says.
    pub(crate) writes: Bound,
    /// Which rows it keeps to, as far as the text says.
    pub(crate) outline: Option<Box<Outline>>,
    /// What it does to the session, as far as the text says.
    pub(crate) effects: Effects,
}

impl Sentence {
    /// A statement that is no read, writes nothing and does nothing but `effects`.
    pub(crate) fn control(effects: Effects) -> Self {
        Self {
            read: Err(Reason::NotARead),
            writes: Bound::Nothing,
            outline: None,
            effects,
        }
    }

    /// A statement that may write anything.
    pub(crate) fn everything(effects: Effects) -> Self {
        Self {
            writes: Bound::Everything,
            ..Self::control(effects)
        }
    }

    /// Approximate size on the heap.
    pub(crate) fn bytes(&self) -> usize {
        let read = self.read.as_ref().map_or(0, |read| read.bytes());
        let writes = match &self.writes {
            Bound::Nothing | Bound::Everything | Bound::Cluster => 0,
            Bound::Lexical(lexical) => lexical.bytes(),
            Bound::Own(own) => own.bytes(),
        };
        let outline = self.outline.as_ref().map_or(0, |outline| outline.bytes());
        size_of::<Self>() + read + writes + outline
    }
}

/// What a statement may write.
#[derive(Debug)]
pub(crate) enum Bound {
    /// Nothing.
    Nothing,
    /// What its words say.
    Lexical(Box<Lexical>),
    /// Definitions of temporary relations of the session's own, if these are what its names mean;
    /// otherwise anything.
    Own(Box<Own>),
    /// Anything.
    Everything,
    /// Anything, in all databases.
    Cluster,
}

/// The words of a statement that bear on what it writes. An upper bound: some of them may mean
/// something else.
#[derive(Debug, Default)]
pub(crate) struct Lexical {
    /// What follows INSERT INTO, UPDATE, DELETE FROM and the like.
    pub(crate) targets: Vec<Target>,
    /// Names before a `(`.
    pub(crate) calls: Vec<Name>,
    /// Those among them that are surely of functions.
    pub(crate) run: Vec<Name>,
    /// Names after a `.`, which may be calls in functional notation.
    pub(crate) attributes: Vec<Box<str>>,
    /// Operators.
    pub(crate) symbols: Vec<Box<str>>,
    /// Other words, which may be relations: reading a view may run a function that writes.
    pub(crate) words: Vec<Box<str>>,
    /// It has literals in quotes.
    pub(crate) quoted: bool,
    /// It may run a query whose text is not written out, by a function that does no more.
    pub(crate) hidden_query: bool,
    /// Event triggers fire on its command.
    pub(crate) fires: bool,
    /// The procedure that it calls.
    pub(crate) procedure: Option<Name>,
}

impl Lexical {
    fn bytes(&self) -> usize {
        let names =
            |names: &[Box<str>]| size_of_val(names) + names.iter().map(|n| n.len()).sum::<usize>();
        let targets: usize = self.targets.iter().map(|target| target.name.bytes()).sum();
        let calls = self.calls.iter().chain(&self.run).chain(&self.procedure);
        let calls: usize = calls.map(Name::bytes).sum();
        size_of::<Self>()
            + size_of_val(&*self.targets)
            + size_of_val(&*self.calls)
            + size_of_val(&*self.run)
            + targets
            + calls
            + names(&self.attributes)
            + names(&self.symbols)
            + names(&self.words)
    }
}

/// A definition of temporary relations.
#[derive(Debug, Default)]
pub(crate) struct Own {
    /// Tables that are there already: they have to be the session's own.
    pub(crate) tables: Box<[Name]>,
    /// It drops these.
    pub(crate) drops: bool,
    /// The table that it makes, if that holds rows and does no more and is not there yet.
    pub(crate) founds: Option<Box<str>>,
    /// What it runs.
    pub(crate) runs: Option<Lexical>,
}

impl Own {
    /// Whether what it does depends on what names mean.
    pub(crate) fn names_any(&self) -> bool {
        !self.tables.is_empty() || self.runs.is_some()
    }

    fn bytes(&self) -> usize {
        let names: usize = self.tables.iter().map(Name::bytes).sum();
        let runs = self.runs.as_ref().map_or(0, Lexical::bytes);
        size_of::<Self>()
            + size_of_val(&*self.tables)
            + names
            + self.founds.as_ref().map_or(0, |name| name.len())
            + runs
    }
}

/// A relation that a statement names as the target of a change.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Target {
    /// The relation.
    pub(crate) name: Name,
    /// What happens to it.
    pub(crate) event: Event,
}

/// What a query reads and runs. Names of common table expressions are not among its relations.
#[derive(Debug, Default)]
pub(crate) struct Read {
    /// Relations at any depth.
    pub(crate) relations: Vec<Name>,
    /// Functions at any depth.
    pub(crate) calls: Vec<Call>,
    /// Operators, those behind keywords such as LIKE included.
    pub(crate) symbols: Vec<Box<str>>,
    /// Qualified columns: what stands before the last dot, if it is a name, and what follows it.
    pub(crate) columns: Vec<(Option<Box<str>>, Box<str>)>,
    /// The names by which relations are known in the query, aliases included. `None` for what is
    /// not a relation: a subquery, a common table expression, a function.
    pub(crate) ranges: Vec<(Box<str>, Option<Name>)>,
    /// Names the query gives to columns.
    pub(crate) labels: Vec<Box<str>>,
    /// Whether operators are written with a schema.
    pub(crate) qualified: bool,
    /// Types it names that the parser does not know to be built in.
    pub(crate) types: Vec<Name>,
    /// Whether it names further types in another way.
    pub(crate) unnamed_types: bool,
    /// Whether it names types whose values may be made by writing others down.
    pub(crate) names_texts: bool,
    /// Whether an operator stands between operands none of which has a type of its own: literals,
    /// parameters.
    pub(crate) untyped: bool,
    /// Whether values may occur that are whole rows.
    pub(crate) whole_rows: bool,
    /// Settings of the application that it reads by `current_setting`, in lower case.
    pub(crate) settings: Vec<Box<str>>,
    /// What is read as another type, and could be text: a cast, or a call that may be one.
    pub(crate) casts: Vec<(TypeName, Shape)>,
    /// Columns that queries within it return under names of their own.
    pub(crate) outputs: Vec<(Box<str>, Shape)>,
    /// Calls among what is selected from, and whether their columns are all given names.
    pub(crate) rows: Vec<(Shape, bool)>,
    /// Columns occur whose names cannot be told from the text: `(row).*`.
    pub(crate) unnamed_columns: bool,
    /// What is taken to a zone by `AT TIME ZONE` or `timezone`.
    pub(crate) zoned: Vec<Shape>,
    /// It names the type `time`.
    pub(crate) names_time: bool,
    /// What it does more with columns than to show them.
    pub(crate) used: Used,
}

/// What could come of an expression, where only text matters.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Shape {
    /// Something other than text, times of day and intervals.
    Plain,
    /// Something other than text.
    Value,
    /// A time of day.
    Time,
    /// No text and no time of day; perhaps an interval.
    Span,
    /// The sum or difference of two.
    Sum(Box<[Shape; 2]>),
    /// A literal or parameter, or text that is nothing else: its value is looked at elsewhere.
    Given,
    /// Any text, perhaps.
    Text,
    /// What a column of this name holds.
    Column(Box<str>),
    /// A value of this type.
    Typed(Name),
    /// What a function returns.
    Call(Name, Box<[Shape]>),
    /// One of these.
    Any(Box<[Shape]>),
}

impl Shape {
    fn bytes(&self) -> usize {
        let below = |shapes: &[Self]| shapes.iter().map(Self::bytes).sum::<usize>();
        size_of::<Self>()
            + match self {
                Self::Plain | Self::Value | Self::Time | Self::Span => 0,
                Self::Given | Self::Text => 0,
                Self::Sum(both) => below(&**both),
                Self::Column(name) => name.len(),
                Self::Typed(name) => name.bytes(),
                Self::Call(name, arguments) => name.bytes() + below(arguments),
                Self::Any(shapes) => below(shapes),
            }
    }
}

/// A type, as a statement names it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum TypeName {
    /// One that the server's grammar or the parser knows.
    Known {
        /// Its values are text.
        text: bool,
        /// Text read as it may mean the clock.
        clock: bool,
    },
    /// One to be looked up.
    Named(Name),
}

impl Read {
    fn bytes(&self) -> usize {
        let names =
            |names: &[Box<str>]| size_of_val(names) + names.iter().map(|n| n.len()).sum::<usize>();
        let relations: usize = self.relations.iter().map(Name::bytes).sum();
        let calls: usize = self.calls.iter().map(|call| call.name.bytes()).sum();
        let columns: usize = self
            .columns
            .iter()
            .map(|(range, name)| range.as_ref().map_or(0, |range| range.len()) + name.len())
            .sum();
        let ranges: usize = self
            .ranges
            .iter()
            .map(|(alias, name)| alias.len() + name.as_ref().map_or(0, Name::bytes))
            .sum();
        let casts: usize = self.casts.iter().map(|(_, shape)| shape.bytes()).sum();
        let outputs: usize = self
            .outputs
            .iter()
            .map(|(name, shape)| name.len() + shape.bytes())
            .sum();
        let rows: usize = self.rows.iter().map(|(shape, _)| shape.bytes()).sum();
        let types: usize = self.types.iter().map(Name::bytes).sum();
        let zoned: usize = self.zoned.iter().map(Shape::bytes).sum();
        size_of::<Self>()
            + self.used.bytes()
            + casts
            + zoned
            + outputs
            + rows
            + types
            + size_of_val(&*self.types)
            + size_of_val(&*self.casts)
            + size_of_val(&*self.outputs)
            + size_of_val(&*self.relations)
            + size_of_val(&*self.calls)
            + size_of_val(&*self.columns)
            + size_of_val(&*self.ranges)
            + relations
            + calls
            + columns
            + ranges
            + names(&self.settings)
            + names(&self.symbols)
            + names(&self.labels)
    }
}

/// A function call.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Call {
    /// The function.
    pub(crate) name: Name,
    /// How many arguments are written; `None` if that cannot be said, as for VARIADIC.
    pub(crate) arguments: Option<u16>,
}
