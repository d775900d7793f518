//! `SHOW STATS`: one row about everything.

use std::time::SystemTime;

use session::RefusedFill;

use super::{sums, time};
use crate::{
    Observed,
    history::Sums,
    table::{Column, Kind, Value},
};

pub(super) const COLUMNS: &[Column] = {
    let [hits, misses, bypasses, hit_ratio, hit_ms, miss_ms] = sums::COLUMNS;
    &[
        Column("since", Kind::Time),
        Column("lookups", Kind::Integer),
        hits,
        misses,
        bypasses,
        hit_ratio,
        hit_ms,
        miss_ms,
        Column("fills", Kind::Integer),
        Column("fills_refused", Kind::Integer),
        Column("stale_served", Kind::Integer),
        Column("invalidated_rows", Kind::Integer),
        Column("invalidated_tables", Kind::Integer),
        Column("invalidated_databases", Kind::Integer),
        Column("clients", Kind::Integer),
        Column("server_connections", Kind::Integer),
        Column("connections", Kind::Integer),
    ]
};

pub(super) fn row(observed: &dyn Observed, since: SystemTime) -> Vec<Value> {
    let telemetry = observed.telemetry();
    let sums = Sums::of(telemetry);
    let refused = RefusedFill::ALL.map(|why| telemetry.refused(why).value());
    let others: [Value; 9] = [
        telemetry.fills.value().into(),
        refused.iter().sum::<u64>().into(),
        telemetry.stale.value().into(),
        telemetry.row_bumps.value().into(),
        telemetry.table_bumps.value().into(),
        telemetry.epoch_bumps.value().into(),
        telemetry.clients.value().into(),
        telemetry.servers.value().into(),
        telemetry.connections.value().into(),
    ];
    let mut row = vec![time(since), sums.lookups().into()];
    row.extend(sums::values(&sums));
    row.extend(others);
    row
}
