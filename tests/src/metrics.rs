//! One scrape of `/metrics`.

use std::collections::BTreeMap;

/// Samples by name and labels, as written.
#[derive(Clone, Debug, Default)]
pub struct Metrics(BTreeMap<String, f64>);

impl Metrics {
    /// Reads the Prometheus text format; comments and what is not a sample are skipped.
    pub fn parse(text: &str) -> Self {
        let sample = |line: &str| {
            let (series, value) = line.rsplit_once(' ')?;
            Some((series.to_owned(), value.parse().ok()?))
        };
        Self(
            text.lines()
                .filter(|line| !line.starts_with('#'))
                .filter_map(sample)
                .collect(),
        )
    }

    /// The sum of all series of `name` that carry all `labels`, written `label="value"`.
    pub fn sum(&self, name: &str, labels: &[&str]) -> f64 {
        let matches = |series: &str| {
            series.split('{').next() == Some(name)
                && labels.iter().all(|label| series.contains(label))
        };
        self.0
            .iter()
            .filter(|(series, _)| matches(series))
            .map(|(_, value)| value)
            .sum()
    }

    /// Statements answered from the store.
    pub fn hits(&self) -> f64 {
        self.sum("pgmemo_lookups_total", &[r#"result="hit""#])
    }

    /// Statements looked up and not found.
    pub fn misses(&self) -> f64 {
        self.sum("pgmemo_lookups_total", &[r#"result="miss""#])
    }

    /// Statements not looked up.
    pub fn bypasses(&self) -> f64 {
        self.sum("pgmemo_lookups_total", &[r#"result="bypass""#])
    }

    /// Why statements were not looked up since `before`, with how often.
    pub fn bypass_reasons_since(&self, before: &Self) -> Vec<(String, f64)> {
        self.0
            .iter()
            .filter(|(series, _)| series.contains(r#"result="bypass""#))
            .map(|(series, value)| (series, value - before.0.get(series).unwrap_or(&0.0)))
            .filter(|(_, grown)| *grown > 0.0)
            .filter_map(|(series, grown)| {
                let reason = series.split(r#"reason=""#).nth(1)?.split('"').next()?;
                Some((reason.to_owned(), grown))
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::Metrics;

    #[test]
    fn series_are_summed_by_label() {
        let metrics = Metrics::parse(concat!(
            "# TYPE pgmemo_lookups counter\n",
            "pgmemo_lookups_total{result=\"hit\",reason=\"\"} 3\n",
            "pgmemo_lookups_total{result=\"bypass\",reason=\"clock\"} 1\n",
            "pgmemo_lookups_total{result=\"bypass\",reason=\"writes\"} 2\n",
            "pgmemo_lookups_totals{result=\"hit\"} 100\n",
        ));
        assert_eq!(
            (metrics.hits(), metrics.misses(), metrics.bypasses()),
            (3.0, 0.0, 3.0)
        );
        let reasons = metrics.bypass_reasons_since(&Metrics::default());
        assert_eq!(
            reasons,
            [("clock".to_owned(), 1.0), ("writes".to_owned(), 2.0)]
        );
    }
}
