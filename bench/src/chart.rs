//! Charts, drawn by hand: bars beside bars, one group per cell.

use std::{fmt::Write as _, fs, path::Path};

use anyhow::Result;

use crate::{
    measure::{Sample, label},
    report::Row,
    workload::Chapter,
};

const BAR: f64 = 14.0;
const GAP: f64 = 22.0;
const LEFT: f64 = 230.0;
const WIDTH: f64 = 900.0;
const COLOURS: [&str; 8] = [
    "#4c566a", "#a3be8c", "#d08770", "#b48ead", "#5e81ac", "#88c0d0", "#ebcb8b", "#bf616a",
];

/// Its name in that of the file, its title, and itself.
type Figure = (&'static str, &'static str, fn(&Sample) -> f64);

/// Writes one chart of rates and one of costs for each chapter.
pub(crate) fn write(dir: &Path, rows: &[Row]) -> Result<()> {
    let figures: [Figure; 2] = [
        ("tps", "transactions per second", |sample| sample.tps),
        (
            "cpu",
            "CPU time of the contender per transaction, µs",
            |sample| sample.cpu_us,
        ),
    ];
    for (chapter, name) in [(Chapter::Hits, "hits"), (Chapter::Passing, "passing")] {
        let rows: Vec<&Row> = rows
            .iter()
            .filter(|row| row.workload.chapter == chapter)
            .collect();
        if rows.is_empty() {
            continue;
        }
        for (short, title, figure) in figures {
            fs::write(
                dir.join(format!("{name}-{short}.svg")),
                bars(title, &rows, figure),
            )?;
        }
    }
    Ok(())
}

fn bars(title: &str, rows: &[&Row], figure: fn(&Sample) -> f64) -> String {
    let mut contenders: Vec<&str> = Vec::new();
    for row in rows.iter().copied() {
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
    let mut cell: Option<String> = None;
    for row in rows {
        let mut here = String::new();
        let _ = label(&mut here, row.workload.name, row.protocol, row.clients);
        if cell.as_ref() != Some(&here) {
            y += GAP;
            let _ = writeln!(body, r#"<text x="4" y="{:.0}">{here}</text>"#, y + 10.0);
        }
        // Each group has a scale of its own, or the slow ones would not be seen.
        let most = rows
            .iter()
            .filter(|other| same_cell(row, other))
            .map(|other| other.spread(figure).2)
            .fold(1e-9, f64::max);
        let scale = (WIDTH - LEFT - 200.0) / most;
        let (low, value, high) = row.spread(figure);
        let (low, long, high) = (low * scale, value * scale, high * scale);
        let _ = writeln!(
            body,
            r#"<rect x="{LEFT}" y="{y:.0}" width="{long:.1}" height="{:.0}" fill="{}"/><path d="M{:.1} {:.0}H{:.1}" stroke="black"/><text x="{:.0}" y="{:.0}">{value:.0} {}</text>"#,
            BAR - 2.0,
            colour(&row.contender),
            LEFT + low,
            y + 6.0,
            LEFT + high,
            LEFT + high + 6.0,
            y + 10.0,
            row.contender,
        );
        cell = Some(here);
        y += BAR;
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{:.0}\" \
         font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"4\" y=\"24\" font-size=\"16\">{title}</text>\n\
         <text x=\"4\" y=\"44\">medians, with lines from the least to the greatest; each group has its own scale</text>\n{body}</svg>\n",
        y + 20.0
    )
}

fn same_cell(one: &Row, other: &Row) -> bool {
    (one.workload.name, one.protocol, one.clients)
        == (other.workload.name, other.protocol, other.clients)
}
