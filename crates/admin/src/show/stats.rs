//! `SHOW STATS`: one row about everything.

use std::time::SystemTime;

use session::{Histogram, RefusedFill};
use sql::Reason;

use super::time;
use crate::{
    Observed,
    table::{Column, Kind, Value, mean_ms, ratio},
};

pub(super) const COLUMNS: &[Column] = &[
    Column("since", Kind::Time),
    Column("lookups", Kind::Integer),
    Column("hits", Kind::Integer),
    Column("misses", Kind::Integer),
    Column("bypasses", Kind::Integer),
    Column("hit_ratio", Kind::Number),
    Column("hit_ms", Kind::Number),
    Column("miss_ms", Kind::Number),
    Column("fills", Kind::Integer),
    Column("fills_refused", Kind::Integer),
    Column("stale_served", Kind::Integer),
    Column("invalidated_rows", Kind::Integer),
    Column("invalidated_tables", Kind::Integer),
    Column("invalidated_databases", Kind::Integer),
    Column("clients", Kind::Integer),
    Column("server_connections", Kind::Integer),
    Column("connections", Kind::Integer),
];

pub(super) fn row(observed: &dyn Observed, since: SystemTime) -> Vec<Value> {
    let telemetry = observed.telemetry();
    let (hits, misses) = (telemetry.hits.value(), telemetry.misses.value());
    let bypasses = Reason::ALL.map(|reason| telemetry.bypass(reason).value());
    let bypasses: u64 = bypasses.iter().sum();
    let lookups = hits + misses + bypasses;
    let refused = RefusedFill::ALL.map(|why| telemetry.refused(why).value());
    vec![
        time(since),
        lookups.into(),
        hits.into(),
        misses.into(),
        bypasses.into(),
        ratio(hits, lookups),
        mean(&telemetry.hit_latency),
        mean(&telemetry.miss_latency),
        telemetry.fills.value().into(),
        refused.iter().sum::<u64>().into(),
        telemetry.stale.value().into(),
        telemetry.row_bumps.value().into(),
        telemetry.table_bumps.value().into(),
        telemetry.epoch_bumps.value().into(),
        telemetry.clients.value().into(),
        telemetry.servers.value().into(),
        telemetry.connections.value().into(),
    ]
}

fn mean(durations: &Histogram) -> Value {
    let count = durations.buckets().map(|(_, count)| count).sum();
    mean_ms(durations.sum_us(), count)
}
