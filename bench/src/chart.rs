//! Charts, drawn by hand: bars beside bars, one group per cell.

use std::{fmt::Write as _, fs, path::Path};

use anyhow::Result;

use crate::{measure::Sample, report::Row};

const BAR: f64 = 14.0;
const GAP: f64 = 22.0;
const LEFT: f64 = 230.0;
const WIDTH: f64 = 900.0;
const COLOURS: [&str; 8] = [
    "#4c566a", "#a3be8c", "#d08770", "#b48ead", "#5e81ac", "#88c0d0", "#ebcb8b", "#bf616a",
];

/// A file, its title, and the figure that its bars show.
type Chart = (&'static str, &'static str, fn(&Sample) -> f64);

/// Writes one chart of rates and one of costs.
pub(crate) fn write(dir: &Path, rows: &[Row]) -> Result<()> {
    let charts: [Chart; 2] = [
        ("tps.svg", "transactions per second", |sample| sample.tps),
        (
            "cpu.svg",
            "CPU time of the contender per transaction, µs",
            |sample| sample.cpu_us,
        ),
    ];
    for (file, title, figure) in charts {
        fs::write(dir.join(file), bars(title, rows, figure))?;
    }
    Ok(())
}

fn bars(title: &str, rows: &[Row], figure: fn(&Sample) -> f64) -> String {
    let mut contenders: Vec<&str> = Vec::new();
    for row in rows {
        if !contenders.contains(&&*row.contender) {
            contenders.push(&row.contender);
        }
    }
    let colour = |name: &str| {
        let index = contenders
            .iter()
            .position(|other| *other == name)
            .unwrap_or(0);
        COLOURS
            .get(index % COLOURS.len())
            .copied()
            .unwrap_or("black")
    };
    let mut body = String::new();
    let mut y = 60.0;
    let mut cell = None;
    for row in rows {
        let here = (row.workload, row.protocol.name(), row.clients);
        if cell != Some(here) {
            y += GAP;
            let label = format!(
                "{}, {}, {} clients",
                row.workload,
                row.protocol.name(),
                row.clients
            );
            let _ = writeln!(body, r#"<text x="4" y="{:.0}">{label}</text>"#, y + 11.0);
            cell = Some(here);
        }
        // Each group has a scale of its own, or the slow ones would not be seen.
        let most = rows
            .iter()
            .filter(|other| (other.workload, other.protocol.name(), other.clients) == here)
            .map(|other| other.median(figure))
            .fold(1e-9, f64::max);
        let value = row.median(figure);
        let _ = writeln!(
            body,
            r#"<rect x="{LEFT}" y="{y:.0}" width="{:.1}" height="{:.0}" fill="{}"/><text x="{:.0}" y="{:.0}">{value:.0} {}</text>"#,
            value / most * (WIDTH - LEFT - 200.0),
            BAR - 2.0,
            colour(&row.contender),
            LEFT + value / most * (WIDTH - LEFT - 200.0) + 6.0,
            y + 10.0,
            row.contender,
        );
        y += BAR;
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{:.0}\" \
         font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"4\" y=\"24\" font-size=\"16\">{title}</text>\n\
         <text x=\"4\" y=\"44\">each group has its own scale</text>\n{body}</svg>\n",
        y + 20.0
    )
}
