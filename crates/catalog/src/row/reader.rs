//! One row, column by column.

use crate::{FunctionId, RelationId, RoleId, TypeId};

/// A row that a catalog query cannot have returned; without it there is no snapshot.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("column {column} of a catalog row is `{found:?}`; expected {expected}")]
pub struct RowError {
    /// Counted from zero.
    pub(super) column: usize,
    /// The value, `None` for NULL or a missing column.
    found: Option<Box<str>>,
    /// What would have been right.
    expected: &'static str,
}

/// A row being read from left to right.
pub(super) struct Row<'r, 'a> {
    columns: &'r mut dyn Iterator<Item = Option<&'a str>>,
    read: usize,
}

impl<'r, 'a> Row<'r, 'a> {
    pub(super) fn new(columns: &'r mut dyn Iterator<Item = Option<&'a str>>) -> Self {
        Self { columns, read: 0 }
    }

    /// The next column; `None` when it is NULL or missing.
    pub(super) fn next(&mut self) -> Option<&'a str> {
        self.read += 1;
        self.columns.next().flatten()
    }

    fn error(&self, found: Option<&str>, expected: &'static str) -> RowError {
        RowError {
            column: self.read.saturating_sub(1),
            found: found.map(Into::into),
            expected,
        }
    }

    pub(super) fn text(&mut self) -> Result<&'a str, RowError> {
        self.next().ok_or_else(|| self.error(None, "text"))
    }

    pub(super) fn boxed(&mut self) -> Result<Box<str>, RowError> {
        self.text().map(Into::into)
    }

    pub(super) fn optional<T: std::str::FromStr>(&mut self) -> Result<Option<T>, RowError> {
        let Some(text) = self.next() else {
            return Ok(None);
        };
        text.parse()
            .map(Some)
            .map_err(|_| self.error(Some(text), "a number or NULL"))
    }

    pub(super) fn number<T: std::str::FromStr>(&mut self) -> Result<T, RowError> {
        let text = self.next();
        text.and_then(|text| text.parse().ok())
            .ok_or_else(|| self.error(text, "a number"))
    }

    pub(super) fn flag(&mut self) -> Result<bool, RowError> {
        match self.next() {
            Some("t") => Ok(true),
            Some("f") => Ok(false),
            other => Err(self.error(other, "`t` or `f`")),
        }
    }

    /// Object identifiers separated by spaces; NULL is an empty list.
    pub(super) fn list<T>(&mut self, wrap: impl Fn(u32) -> T) -> Result<Box<[T]>, RowError> {
        let text = self.next().unwrap_or_default();
        text.split_ascii_whitespace()
            .map(|oid| oid.parse().map(&wrap))
            .collect::<Result<_, _>>()
            .map_err(|_| self.error(Some(text), "numbers separated by spaces"))
    }

    /// Texts separated by U+001F; NULL is an empty list.
    pub(super) fn names(&mut self) -> Box<[Box<str>]> {
        self.next().map_or_else(Box::default, |names| {
            names.split('\u{1f}').map(Into::into).collect()
        })
    }

    pub(super) fn relation(&mut self) -> Result<RelationId, RowError> {
        self.number().map(RelationId::from_oid)
    }

    pub(super) fn role(&mut self) -> Result<RoleId, RowError> {
        self.number().map(RoleId::from_oid)
    }

    pub(super) fn function(&mut self) -> Result<FunctionId, RowError> {
        self.number().map(FunctionId::from_oid)
    }

    pub(super) fn kind(&mut self) -> Result<TypeId, RowError> {
        self.number().map(TypeId::from_oid)
    }
}
