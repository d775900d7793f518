//! `SHOW HISTORY`: what was counted in each of the last moments, the newest first.

use super::{sums, time};
use crate::{
    history::{SAMPLE_EVERY, Sample},
    table::{Column, Kind, Value},
};

pub(super) const COLUMNS: &[Column] = {
    let [hits, misses, bypasses, hit_ratio, hit_ms, miss_ms] = sums::COLUMNS;
    &[
        Column("until", Kind::Time),
        Column("seconds", Kind::Integer),
        hits,
        misses,
        bypasses,
        hit_ratio,
        hit_ms,
        miss_ms,
    ]
};

pub(super) fn rows(samples: &[Sample], rows: &mut Vec<Vec<Value>>) {
    rows.extend(samples.iter().rev().map(|Sample { at, counts }| {
        let mut row = vec![time(*at), SAMPLE_EVERY.as_secs().into()];
        row.extend(sums::values(counts));
        row
    }));
}
