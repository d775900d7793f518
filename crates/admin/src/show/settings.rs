//! `SHOW CONFIG`, `SHOW DATABASES` and `SHOW TABLES`: what is in force, and what is watched.

use sql::Reason;

use crate::{
    Observed,
    table::{Column, Kind, Value},
};

pub(super) const CONFIG: &[Column] = &[
    Column("setting", Kind::Text),
    Column("value", Kind::Text),
    Column("default", Kind::Text),
    Column("takes_effect", Kind::Text),
];

pub(super) const DATABASES: &[Column] = &[
    Column("database", Kind::Text),
    Column("state", Kind::Text),
    Column("reason", Kind::Text),
];

pub(super) const TABLES: &[Column] = &[
    Column("database", Kind::Text),
    Column("schema", Kind::Text),
    Column("table", Kind::Text),
    Column("ttl_seconds", Kind::Number),
    Column("reason", Kind::Text),
    Column("writes_to_rows", Kind::Integer),
    Column("writes_to_all", Kind::Integer),
];

pub(super) fn config(observed: &dyn Observed, rows: &mut Vec<Vec<Value>>) {
    let reload = |reloads| {
        if reloads {
            "with a reload"
        } else {
            "after a restart"
        }
    };
    rows.extend(observed.settings().into_iter().map(|setting| {
        vec![
            setting.key.into(),
            setting.value.into(),
            setting.default.into(),
            reload(setting.reloads).into(),
        ]
    }));
}

pub(super) fn databases(observed: &dyn Observed, rows: &mut Vec<Vec<Value>>) {
    rows.extend(observed.databases().into_iter().map(|database| {
        vec![
            database.name.into(),
            database.state.into(),
            database.reason.into(),
        ]
    }));
}

/// Those written most come first: they cost most hits.
pub(super) fn tables(observed: &dyn Observed, limit: usize, rows: &mut Vec<Vec<Value>>) {
    rows.extend(observed.tables(limit).into_iter().map(|table| {
        let seconds = table.ttl.map(|ttl| Value::Number(ttl.as_secs_f64()));
        vec![
            table.database.into(),
            table.schema.into(),
            table.name.into(),
            seconds.unwrap_or(Value::Null),
            table.reason.map(Reason::code).into(),
            table.row_writes.into(),
            table.table_writes.into(),
        ]
    }));
}
