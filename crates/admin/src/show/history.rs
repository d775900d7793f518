//! `SHOW HISTORY`: what was counted in each of the last moments, the newest first.

use super::time;
use crate::{
    history::{SAMPLE_EVERY, Sample},
    table::{Column, Kind, Value, mean_ms, ratio},
};

pub(super) const COLUMNS: &[Column] = &[
    Column("until", Kind::Time),
    Column("seconds", Kind::Integer),
    Column("hits", Kind::Integer),
    Column("misses", Kind::Integer),
    Column("bypasses", Kind::Integer),
    Column("hit_ratio", Kind::Number),
    Column("hit_ms", Kind::Number),
    Column("miss_ms", Kind::Number),
];

pub(super) fn rows(samples: &[Sample], rows: &mut Vec<Vec<Value>>) {
    rows.extend(samples.iter().rev().map(|Sample { at, counts }| {
        vec![
            time(*at),
            SAMPLE_EVERY.as_secs().into(),
            counts.hits.into(),
            counts.misses.into(),
            counts.bypasses.into(),
            ratio(counts.hits, counts.lookups()),
            mean_ms(counts.hit_us.0, counts.hit_us.1),
            mean_ms(counts.miss_us.0, counts.miss_us.1),
        ]
    }));
}
