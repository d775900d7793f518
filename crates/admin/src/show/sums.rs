//! Hits, misses and bypasses, as `SHOW STATS` and `SHOW HISTORY` both tell of them.

use crate::{
    history::Sums,
    table::{Column, Kind, Value, mean_ms, ratio},
};

pub(super) const COLUMNS: [Column; 6] = [
    Column("hits", Kind::Integer),
    Column("misses", Kind::Integer),
    Column("bypasses", Kind::Integer),
    Column("hit_ratio", Kind::Number),
    Column("hit_ms", Kind::Number),
    Column("miss_ms", Kind::Number),
];

/// A value for each of the columns.
pub(super) fn values(sums: &Sums) -> [Value; 6] {
    [
        sums.hits.into(),
        sums.misses.into(),
        sums.bypasses.into(),
        ratio(sums.hits, sums.lookups()),
        mean_ms(sums.hit_us.0, sums.hit_us.1),
        mean_ms(sums.miss_us.0, sums.miss_us.1),
    ]
}
