//! Rows that a statement keeps to, by the values of their key.
//!
//! A relation's rows fall into classes by its key ([`RowClass`]). A read is *pinned* if no row
//! outside some classes can change its reply, a write if it changes none outside them. Which they
//! are may depend on parameters, so a plan holds [`Pin`]s, and they are resolved at each Bind.
//!
//! What the words of a statement say is told by `outline`, what the catalog adds by
//! `schema::pins`. A key need not be unique for any of that, but [`Pinned::complete`] needs it.

pub(crate) mod condition;
pub(crate) mod outline;
pub(crate) mod value;

use catalog::{RelationId, RowClass};
use smallvec::SmallVec;

use crate::Writes;
use crate::form::{Form, Literals, Written};
use crate::plan::Changes;
use condition::{Operand, Term, Values};
use value::{Family, Value, binary_elements, class, text_elements};

/// Which rows a statement keeps to.
#[derive(Clone, Debug, Default)]
pub struct Pinned {
    /// For a read: each reference to a relation of which it only needs rows of some keys.
    pub(crate) reads: Box<[Pin]>,
    /// For a read: each row of the reply comes from one row of the only relation.
    pub(crate) plain: bool,
    /// For a write: what it changes, if that is less than its plan says.
    pub(crate) change: Option<Change>,
}

/// A write that says which rows of its target it changes.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    /// The target.
    pub(crate) target: RelationId,
    /// The keys that are changed: one pin for each row of VALUES. `None` if they are not known.
    pub(crate) rows: Option<Box<[Pin]>>,
    /// Rows are only added: if their keys are not known, no row that is there changes.
    pub(crate) adds: bool,
    /// What else is written, sorted.
    pub(crate) others: Box<[RelationId]>,
}

/// The keys of one relation to which a statement keeps.
#[derive(Clone, Debug)]
pub(crate) struct Pin {
    pub(crate) relation: RelationId,
    /// In the order of the key.
    pub(crate) columns: Box<[Part]>,
}

/// What one column of a key may equal.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub(crate) family: Family,
    /// Parameters may be declared as `varchar`: no operator of the user's could compare them.
    pub(crate) varchar: bool,
    pub(crate) values: Values,
}

/// The values of a Bind, as they stand in the messages.
#[derive(Clone, Copy, Debug, Default)]
pub struct Arguments<'a> {
    /// The declared types of the statement's parameters, four bytes each; 0 or missing for what the
    /// server infers.
    pub types: &'a [u8],
    /// Format codes, two bytes each: none if all values are text, one for all, or one for each.
    pub formats: &'a [u8],
    /// Each value behind its length in four bytes.
    pub values: &'a [u8],
    /// The literals of the statement's text, if its plan is that of its form.
    pub literals: Literals<'a>,
}

/// One of them.
struct Argument<'a> {
    declared: u32,
    binary: bool,
    bytes: &'a [u8],
}

/// Classes of rows.
#[derive(Debug, Default)]
pub struct Rows {
    /// Sorted, each once.
    pub classes: SmallVec<[RowClass; 2]>,
    /// How many keys they were told from.
    pub keys: usize,
}

impl Pinned {
    /// Whether nothing is pinned.
    pub const fn is_empty(&self) -> bool {
        self.reads.is_empty() && self.change.is_none()
    }

    /// The classes of rows of `relation` on which the reply depends; `None` if it may depend on
    /// any.
    pub fn reads(&self, relation: RelationId, arguments: &Arguments<'_>) -> Option<Rows> {
        let mut all: Option<Rows> = None;
        for pin in self.reads.iter().filter(|pin| pin.relation == relation) {
            let rows = pin.rows(arguments, READ_ROWS_MAX)?;
            match &mut all {
                None => all = Some(rows),
                Some(all) => all.add(rows),
            }
        }
        all.filter(|all| all.classes.len() <= READ_ROWS_MAX)
    }

    /// How many rows the reply has if the row of each key is there, and no row of it comes from
    /// anything else; `keys` as told by [`Pinned::reads`].
    pub fn complete(&self, keys: usize) -> Option<usize> {
        self.plain.then_some(keys)
    }

    /// What is written, if it is less than the plan says.
    pub fn writes(&self, arguments: &Arguments<'_>) -> Option<Writes> {
        let change = self.change.as_ref()?;
        let mut rows = Vec::new();
        let known = change.rows.as_ref().is_some_and(|pins| {
            pins.len() <= WRITE_ROWS_MAX
                && pins.iter().all(|pin| {
                    let found = pin.rows(arguments, WRITE_ROWS_MAX);
                    let classes = found.iter().flat_map(|found| &found.classes);
                    rows.extend(classes.map(|&class| (change.target, class)));
                    found.is_some() && rows.len() <= WRITE_ROWS_MAX
                })
        });
        let mut changes = Changes {
            relations: change.others.clone(),
            ..Changes::default()
        };
        if known {
            rows.sort_unstable();
            rows.dedup();
            changes.rows = rows.into();
        } else if change.adds {
            changes.inserts = [change.target].into();
        } else {
            return None;
        }
        Some(Writes::Rows(Box::new(changes)))
    }

    /// From here on the plan is that of all statements of this form: the values of their literals
    /// come with the arguments.
    pub(crate) fn open(&mut self, form: &Form) {
        let rows = self.change.iter_mut().flat_map(|change| &mut change.rows);
        let pins = self.reads.iter_mut().chain(rows.flatten());
        for part in pins.flat_map(|pin| &mut pin.columns) {
            let terms = match &mut part.values {
                Values::List(terms) => &mut **terms,
                Values::Array(term) => std::slice::from_mut(term),
            };
            for term in terms {
                let (start, negative) = term.place;
                if let Some(number) = form.number(start) {
                    term.operand = Operand::Literal { number, negative };
                }
            }
        }
    }

    /// Approximate size on the heap.
    pub fn bytes(&self) -> usize {
        let change = self.change.as_ref();
        let pins = self.reads.iter().chain(
            change
                .and_then(|change| change.rows.as_ref())
                .into_iter()
                .flatten(),
        );
        let values = pins
            .flat_map(|pin| &pin.columns)
            .map(|part| match &part.values {
                Values::List(terms) => size_of::<Part>() + terms.len() * size_of::<Term>(),
                Values::Array(_) => size_of::<Part>(),
            });
        values.sum::<usize>() + change.map_or(0, |change| change.others.len() * 4)
    }
}

impl Rows {
    fn add(&mut self, other: Self) {
        self.classes.extend(other.classes);
        self.classes.sort_unstable();
        self.classes.dedup();
        self.keys += other.keys;
    }
}

impl Pin {
    /// The classes of its keys, at most `most` of them; `None` if they are more, or one of the
    /// values has no form of which its class is certain.
    fn rows(&self, arguments: &Arguments<'_>, most: usize) -> Option<Rows> {
        let mut columns: SmallVec<[SmallVec<[Value<'_>; 2]>; 1]> = SmallVec::new();
        let mut keys = 1_usize;
        for part in &self.columns {
            let mut values = part.values(arguments)?;
            values.sort_unstable();
            values.dedup();
            keys = keys
                .checked_mul(values.len())
                .filter(|&keys| keys <= most)?;
            columns.push(values);
        }
        let mut rows = Rows {
            classes: SmallVec::new(),
            keys,
        };
        let mut key: SmallVec<[Value<'_>; 2]> = SmallVec::new();
        for number in 0..keys {
            // The number's digits, of a base for each column, choose the values.
            let mut rest = number;
            key.clear();
            for values in &columns {
                key.push(*values.get(rest % values.len())?);
                rest /= values.len();
            }
            rows.classes.push(class(&key));
        }
        rows.classes.sort_unstable();
        rows.classes.dedup();
        Some(rows)
    }
}

impl Part {
    fn values<'a>(&'a self, arguments: &Arguments<'a>) -> Option<SmallVec<[Value<'a>; 2]>> {
        match &self.values {
            Values::List(terms) => terms
                .iter()
                .map(|term| self.value(term, arguments))
                .collect(),
            Values::Array(term) => self.elements(term, arguments),
        }
    }

    fn value<'a>(&self, term: &'a Term, arguments: &Arguments<'a>) -> Option<Value<'a>> {
        let family = self.family;
        if term.cast.is_some_and(|cast| cast != family) {
            return None;
        }
        match &term.operand {
            Operand::Integer(number) => {
                (family == Family::Integer).then_some(Value::Integer(*number))
            }
            Operand::Text(text) => Value::from_text(family, text.as_bytes()),
            &Operand::Literal { number, negative } => match arguments.literals.get(number)? {
                Written::Integer(number) => {
                    let number = if negative { -number } else { number };
                    (family == Family::Integer).then_some(Value::Integer(number))
                }
                Written::Text(text) => Value::from_text(family, text),
            },
            &Operand::Parameter { number, alone } => {
                let argument = arguments.get(number)?;
                let sure = match argument.declared {
                    // Inferred from the column, or from the cast, if nothing else decides.
                    0 | UNKNOWN => alone,
                    value::VARCHAR => family.has(value::VARCHAR) && self.varchar,
                    declared => family.has(declared),
                };
                if !sure {
                    return None;
                }
                if argument.binary {
                    Value::from_binary(family, argument.bytes)
                } else {
                    Value::from_text(family, argument.bytes)
                }
            }
        }
    }

    fn elements<'a>(
        &self,
        term: &'a Term,
        arguments: &Arguments<'a>,
    ) -> Option<SmallVec<[Value<'a>; 2]>> {
        let family = self.family;
        if term.cast.is_some_and(|cast| cast != family) {
            return None;
        }
        let text = |array| {
            let elements = text_elements(array)?.into_iter();
            elements
                .map(|text| Value::from_text(family, text))
                .collect()
        };
        match &term.operand {
            Operand::Integer(_) => None,
            Operand::Text(array) => text(array.as_bytes()),
            &Operand::Literal { number, .. } => match arguments.literals.get(number)? {
                Written::Integer(_) => None,
                Written::Text(array) => text(array),
            },
            &Operand::Parameter { number, alone } => {
                let argument = arguments.get(number)?;
                let sure = match argument.declared {
                    0 | UNKNOWN => alone,
                    VARCHAR_ARRAY => family.has_array(VARCHAR_ARRAY) && self.varchar,
                    declared => family.has_array(declared),
                };
                if !sure {
                    return None;
                }
                if !argument.binary {
                    return text(argument.bytes);
                }
                let elements = binary_elements(family, argument.bytes)?.into_iter();
                elements
                    .map(|bytes| Value::from_binary(family, bytes))
                    .collect()
            }
        }
    }
}

impl<'a> Arguments<'a> {
    /// A parameter that is text, as it stands; `None` if it is NULL or may be something else.
    pub(crate) fn text(&self, number: u16) -> Option<&'a str> {
        let argument = self.get(number)?;
        let text = matches!(argument.declared, 0 | UNKNOWN | TEXT | value::VARCHAR);
        std::str::from_utf8(argument.bytes).ok().filter(|_| text)
    }

    /// The value of a parameter, counted from 1; `None` if it is NULL or not there.
    fn get(&self, number: u16) -> Option<Argument<'a>> {
        let index = usize::from(number.checked_sub(1)?);
        let declared = match self.types.get(4 * index..4 * index + 4) {
            Some(oid) => u32::from_be_bytes(oid.try_into().ok()?),
            None => 0,
        };
        let binary = match self.formats {
            [] => false,
            [one, other] => [*one, *other] == [0, 1],
            several => several.get(2 * index..2 * index + 2)? == [0, 1],
        };
        let mut rest = self.values;
        for _ in 0..index {
            value(&mut rest)?;
        }
        Some(Argument {
            declared,
            binary,
            bytes: value(&mut rest)??,
        })
    }
}

/// Whether these declared types, four bytes each, leave none of so many parameters to the server.
pub fn declares(types: &[u8], parameters: usize) -> bool {
    let undeclared = [0, UNKNOWN].map(u32::to_be_bytes);
    let declared = |oid: &&[u8]| !undeclared.iter().any(|none| none == oid);
    types.chunks_exact(4).take_while(declared).count() >= parameters
}

/// The next value; the inner option is empty for NULL, the outer one at the end.
fn value<'a>(rest: &mut &'a [u8]) -> Option<Option<&'a [u8]>> {
    let (length, after) = rest.split_first_chunk()?;
    let Ok(length) = usize::try_from(i32::from_be_bytes(*length)) else {
        *rest = after;
        return Some(None);
    };
    let (value, after) = after.split_at_checked(length)?;
    *rest = after;
    Some(Some(value))
}

/// A read of more rows of a relation depends on all of it.
const READ_ROWS_MAX: usize = 32;

/// A statement that writes more rows counts as one that does not name them.
pub(crate) const WRITE_ROWS_MAX: usize = 256;

/// `unknown`, which counts as not declared.
const UNKNOWN: u32 = 705;

const TEXT: u32 = 25;

/// `varchar[]`
const VARCHAR_ARRAY: u32 = 1_015;
