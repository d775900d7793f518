//! A syntax tree, looked at part by part.
//!
//! Invariant: every variant is named and every structure taken apart without `..`, so that a new
//! version of the parser breaks the build instead of a promise. What PostgreSQL does not have, or
//! what was not thought through, is [`Reason::Unsupported`].
//!
//! Expressions are walked with a list instead of recursion: chains of operators are as deep as
//! the text is long. Queries nest no deeper than the parser allows.

mod call;
mod clause;
mod expr;
mod from;
mod query;
mod session;
mod shape;

use foldhash::HashSet;
use sqlparser::ast::{Ident, ObjectName, ObjectNamePart, Statement};

pub(crate) use self::session::CURRENT_SETTING;
use crate::Reason;
use crate::facts::{Call, Name, Read};
use crate::tokens::truncated;

/// What a query reads and runs, or the first reason in the order of [`Reason`] against it.
pub(crate) fn walk(statement: &Statement) -> Result<Read, Reason> {
    // The caller has seen that the text begins like a query; any other statement is a surprise.
    let Statement::Query(query) = statement else {
        return Err(Reason::Unreadable);
    };
    let mut walk = Walk::default();
    walk.query(query);
    // A name alone may be that of a table, and then means its row.
    let ranges = &walk.read.ranges;
    let is_range = |name| ranges.iter().any(|(range, _)| range == name);
    walk.read.whole_rows |= walk.alone.iter().any(is_range);
    if walk.read.casts.is_empty() && walk.read.zoned.is_empty() {
        // Nobody will ask where columns come from.
        walk.read.outputs = Vec::new();
        walk.read.rows = Vec::new();
    }
    match walk.refusal {
        Some(reason) => Err(reason),
        None => Ok(walk.read),
    }
}

/// The function behind `AT TIME ZONE`.
pub(crate) const TIMEZONE: &str = "timezone";

/// What was found so far.
#[derive(Default)]
struct Walk {
    read: Read,
    refusal: Option<Reason>,
    /// Names of common table expressions in scope, the innermost last.
    scopes: Vec<Vec<Box<str>>>,
    /// The last parts of names of columns.
    alone: HashSet<Box<str>>,
}

impl Walk {
    /// Notes a reason; the first in order wins, whatever the order of the text.
    fn refuse(&mut self, reason: Reason) {
        self.refusal = Some(self.refusal.map_or(reason, |found| found.min(reason)));
    }

    fn unsupported(&mut self) {
        self.refuse(Reason::Unsupported);
    }

    /// Refuses if `odd`: for parts that only other databases have.
    fn absent(&mut self, odd: bool) {
        if odd {
            self.unsupported();
        }
    }

    fn label(&mut self, name: &Ident) {
        self.no_string(name);
        let name = folded(name);
        self.read.labels.push(name);
    }

    /// A string is no name to PostgreSQL: `kind 'x'` is a value of that type, and runs its checks.
    fn no_string(&mut self, name: &Ident) {
        self.absent(name.quote_style == Some('\''));
    }

    fn call(&mut self, name: Name, arguments: Option<usize>) {
        self.read.calls.push(Call {
            name,
            arguments: arguments.and_then(|count| u16::try_from(count).ok()),
        });
    }

    /// A call that syntax stands for.
    fn system_call(&mut self, name: &str, arguments: usize) {
        let name = Name {
            schema: Some("pg_catalog".into()),
            name: name.into(),
        };
        self.call(name, Some(arguments));
    }

    /// Whether an unqualified name is that of a common table expression.
    fn is_common(&self, name: &str) -> bool {
        self.scopes.iter().flatten().any(|common| &**common == name)
    }
}

/// The name that an identifier means.
fn folded(ident: &Ident) -> Box<str> {
    let Ident {
        value,
        quote_style,
        span: _,
    } = ident;
    truncated(match quote_style {
        Some(_) => value.clone(),
        None => value.to_ascii_lowercase(),
    })
}

/// A name with at most a schema.
fn name(object: &ObjectName) -> Option<Name> {
    let part = |part: &ObjectNamePart| match part {
        ObjectNamePart::Identifier(ident) => Some(folded(ident)),
        ObjectNamePart::Function(_) => None,
    };
    match &*object.0 {
        [one] => Some(Name {
            schema: None,
            name: part(one)?,
        }),
        [schema, one] => Some(Name {
            schema: Some(part(schema)?),
            name: part(one)?,
        }),
        _ => None,
    }
}
