//! Lines over the last minutes, up to an hour, as SVG without script or style of its own.

use std::fmt::Write as _;

use super::html::escaped;
use crate::history::{SAMPLE_EVERY, SAMPLES_MAX};

/// A chart of some series over the moments that are kept.
pub(super) struct Chart<'a> {
    pub(super) title: &'a str,
    pub(super) unit: &'a str,
    /// The top of its scale; if there is none, what is highest in it.
    pub(super) top: Option<f64>,
    pub(super) series: Vec<Series<'a>>,
}

/// One line: its name, the class by which it has its colour, and a value per moment.
pub(super) struct Series<'a> {
    pub(super) name: &'a str,
    pub(super) class: &'a str,
    pub(super) values: Vec<Option<f64>>,
}

/// Moments in five minutes, in fifteen, and in an hour.
const SPANS: [usize; 3] = [SAMPLES_MAX / 12, SAMPLES_MAX / 4, SAMPLES_MAX];

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 140.0;

impl Chart<'_> {
    pub(super) fn put(&self, out: &mut String) {
        let title = escaped(self.title);
        let (top, span) = (self.top(), self.span());
        let minutes = span as u64 * SAMPLE_EVERY.as_secs() / 60;
        _ = write!(out, "<figure><figcaption>{title}<span class=\"legend\">");
        for series in &self.series {
            let now = series.values.iter().rev().find_map(|value| *value);
            let now = now.map_or("–".to_owned(), |value| {
                format!("{}{}", short(value), self.unit)
            });
            let (class, name) = (escaped(series.class), escaped(series.name));
            _ = write!(out, "<span class=\"{class}\"><i></i>{name} {now}</span>");
        }
        _ = write!(
            out,
            "</span></figcaption><svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" preserveAspectRatio=\"none\" \
                role=\"img\" aria-label=\"{title}, last {minutes} minutes, from 0 to {}{}\">",
            short(top),
            escaped(self.unit)
        );
        for quarter in 0..=4 {
            let y = HEIGHT * f64::from(quarter) / 4.0;
            _ = write!(
                out,
                "<line class=\"grid\" x1=\"0\" x2=\"{WIDTH}\" y1=\"{y}\" y2=\"{y}\"/>"
            );
        }
        for series in &self.series {
            for run in runs(&series.values, span, top) {
                let class = escaped(series.class);
                _ = write!(out, "<polyline class=\"{class}\" points=\"{run}\"/>");
            }
        }
        _ = write!(
            out,
            "</svg><p class=\"axis\"><span>{minutes} minutes ago</span><span>0 to {}{}</span><span>now</span></p></figure>",
            short(top),
            escaped(self.unit)
        );
    }

    /// How many moments wide it is: no wider than it has to be.
    fn span(&self) -> usize {
        let longest = self.series.iter().map(|series| series.values.len()).max();
        let fits = |span: &usize| *span >= longest.unwrap_or_default();
        SPANS.into_iter().find(fits).unwrap_or(SAMPLES_MAX)
    }

    fn top(&self) -> f64 {
        let values = self.series.iter().flat_map(|series| &series.values);
        let highest = values.flatten().copied().fold(0.0, f64::max);
        match self.top.unwrap_or(highest) {
            top if top > 0.0 => top,
            _ => 1.0,
        }
    }
}

/// The points of each run of moments that have values, the newest at the right edge. A run of one is
/// a short line.
fn runs(values: &[Option<f64>], span: usize, top: f64) -> Vec<String> {
    let step = WIDTH / span.saturating_sub(1).max(1) as f64;
    let left = WIDTH - step * values.len().saturating_sub(1) as f64;
    let mut runs = vec![String::new()];
    for (index, value) in values.iter().enumerate() {
        let Some(value) = value else {
            runs.push(String::new());
            continue;
        };
        let x = left + step * index as f64;
        let y = HEIGHT * (1.0 - (value / top).clamp(0.0, 1.0));
        if let Some(run) = runs.last_mut() {
            if run.is_empty() {
                _ = write!(run, "{:.1},{y:.1} ", x - step);
            }
            _ = write!(run, "{x:.1},{y:.1} ");
        }
    }
    runs.retain(|run| !run.is_empty());
    runs
}

/// Three digits or so.
fn short(value: f64) -> String {
    match value {
        value if value >= 100.0 => format!("{value:.0}"),
        value if value >= 10.0 => format!("{value:.1}"),
        value => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_at_the_right_and_leave_gaps() {
        let found = runs(&[Some(0.0), Some(5.0), None, Some(20.0)], 721, 10.0);
        assert_eq!(found.len(), 2);
        assert!(found[0].ends_with("140.0 718.0,70.0 "), "{found:?}");
        assert!(found[1].ends_with(" 720.0,0.0 "), "{found:?}");
        assert!(runs(&[None, None], 60, 10.0).is_empty());
        let hour = runs(&vec![Some(1.0); SAMPLES_MAX], SAMPLES_MAX, 1.0);
        assert!(hour[0].contains(" 0.0,0.0 "), "{hour:?}");
    }

    #[test]
    fn a_chart_says_what_it_shows() {
        let chart = Chart {
            title: "Hit <rate>",
            unit: " %",
            top: Some(100.0),
            series: vec![Series {
                name: "hits",
                class: "hit",
                values: vec![Some(12.5), None],
            }],
        };
        let mut out = String::new();
        chart.put(&mut out);
        assert!(
            out.contains("Hit &lt;rate&gt;, last 5 minutes, from 0 to 100 %"),
            "{out}"
        );
        assert!(out.contains("hits 12.5 %"), "{out}");
    }
}
