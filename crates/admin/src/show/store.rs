//! `SHOW STORE`: one row about where replies and versions live.

use store::Trouble;

use crate::{
    Observed,
    table::{Column, Kind, Value},
};

pub(super) const COLUMNS: &[Column] = &[
    Column("state", Kind::Text),
    Column("entries", Kind::Integer),
    Column("bytes", Kind::Integer),
    Column("evictions", Kind::Integer),
    Column("owed", Kind::Integer),
    Column("near_hits", Kind::Integer),
    Column("leases_lost", Kind::Integer),
    Column("waits", Kind::Integer),
    Column("waits_for_leases", Kind::Integer),
    Column("waited_us", Kind::Integer),
    Column("errors", Kind::Text),
];

pub(super) fn row(observed: &dyn Observed) -> Vec<Value> {
    let status = observed.store();
    let errors = Trouble::ALL.map(|kind| (kind.code(), status.count(kind)));
    let errors: Vec<_> = errors
        .into_iter()
        .filter(|(_, count)| *count > 0)
        .map(|(code, count)| format!("{code} {count}"))
        .collect();
    vec![
        status.state.code().into(),
        status.entries.into(),
        status.bytes.into(),
        status.evictions.into(),
        status.owed.into(),
        status.near_hits.into(),
        status.leases_lost.into(),
        status.waits.into(),
        status.waits_out.into(),
        u64::try_from(status.waited.as_micros())
            .unwrap_or(u64::MAX)
            .into(),
        Some(errors.join(", ")).filter(|it| !it.is_empty()).into(),
    ]
}
