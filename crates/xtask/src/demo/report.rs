//! The table.

use super::measure::Measured;

/// One way to the data.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) measured: Measured,
    /// Hits among all reads; `None` where nobody remembers.
    pub(crate) hit_rate: Option<f64>,
    /// Whether every update was seen by the next statement of another session.
    pub(crate) update_seen: Option<bool>,
}

impl Row {
    pub(crate) const fn direct(measured: Measured) -> Self {
        Self {
            name: "PostgreSQL",
            measured,
            hit_rate: None,
            update_seen: None,
        }
    }
}

pub(crate) fn print(rows: &[Row]) {
    println!();
    line(["", "tps", "p50", "p99", "hit rate", "update seen at once"].map(str::to_owned));
    for row in rows {
        line([
            row.name.to_owned(),
            format!("{:.0}", row.measured.tps),
            millis(row.measured.p50_us),
            millis(row.measured.p99_us),
            row.hit_rate
                .map_or_else(|| "-".to_owned(), |rate| format!("{:.1} %", rate * 100.0)),
            row.update_seen
                .map_or("-", |seen| if seen { "yes" } else { "NO" })
                .to_owned(),
        ]);
    }
}

fn line([name, tps, p50, p99, hits, seen]: [String; 6]) {
    println!("{name:<16} {tps:>9} {p50:>10} {p99:>10} {hits:>9}   {seen}");
}

fn millis(us: u64) -> String {
    format!("{}.{:03} ms", us / 1000, us % 1000)
}
