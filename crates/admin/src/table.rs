//! What is shown, before anybody has asked how: rows under named columns.
//!
//! The console writes it in PostgreSQL's protocol (`console::encode`), the dashboard reads it as JSON.

use std::borrow::Cow;

use serde_json::{Value as Json, json};

/// Rows under columns.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) columns: &'static [Column],
    /// Each has one value per column.
    pub(crate) rows: Vec<Vec<Value>>,
}

/// A column's name, and of what kind its values are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Column(pub(crate) &'static str, pub(crate) Kind);

/// What a column holds, besides NULL.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    /// `text`
    Text,
    /// `int8`
    Integer,
    /// `float8`
    Number,
    /// `timestamptz`
    Time,
}

/// What stands in one place.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Null,
    Text(Cow<'static, str>),
    Integer(i64),
    Number(f64),
    /// Microseconds since 1970.
    Time(i64),
}

impl Table {
    pub(crate) const fn new(columns: &'static [Column]) -> Self {
        Self {
            columns,
            rows: Vec::new(),
        }
    }

    /// `{"columns": ["a"], "rows": [[1]]}`; times are in milliseconds, as scripts count them.
    pub(crate) fn to_json(&self) -> Json {
        let columns: Vec<_> = self.columns.iter().map(|column| column.0).collect();
        let rows: Vec<Vec<Json>> = self
            .rows
            .iter()
            .map(|row| row.iter().map(Value::to_json).collect())
            .collect();
        json!({ "columns": columns, "rows": rows })
    }
}

impl Value {
    fn to_json(&self) -> Json {
        match self {
            Self::Null => Json::Null,
            Self::Text(text) => json!(text),
            Self::Integer(number) => json!(number),
            Self::Number(number) => json!(number),
            Self::Time(us) => json!(us / 1000),
        }
    }
}

impl From<&'static str> for Value {
    fn from(text: &'static str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

impl From<u64> for Value {
    fn from(count: u64) -> Self {
        Self::Integer(i64::try_from(count).unwrap_or(i64::MAX))
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl<T: Into<Self>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// A part of a whole, from 0 to 1; NULL of nothing.
pub(crate) fn ratio(part: u64, whole: u64) -> Value {
    match whole {
        0 => Value::Null,
        whole => Value::Number(round(part as f64 / whole as f64)),
    }
}

/// A mean in milliseconds of durations that were added in microseconds; NULL of none.
pub(crate) fn mean_ms(sum_us: u64, count: u64) -> Value {
    match count {
        0 => Value::Null,
        count => Value::Number(round(sum_us as f64 / count as f64 / 1000.0)),
    }
}

/// To the fourth place: more would be noise to read.
fn round(number: f64) -> f64 {
    (number * 10_000.0).round() / 10_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_written_as_json() {
        let mut table = Table::new(&[
            Column("a", Kind::Integer),
            Column("b", Kind::Text),
            Column("c", Kind::Time),
            Column("d", Kind::Number),
        ]);
        let none: Option<u64> = None;
        table.rows.push(vec![
            7_u64.into(),
            "x".into(),
            Value::Time(1_500),
            ratio(1, 3),
        ]);
        table.rows.push(vec![
            none.into(),
            String::new().into(),
            Value::Null,
            mean_ms(0, 0),
        ]);
        assert_eq!(
            table.to_json(),
            json!({
                "columns": ["a", "b", "c", "d"],
                "rows": [[7, "x", 1, 0.3333], [null, "", null, null]],
            })
        );
    }
}
