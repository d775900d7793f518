//! Tables, and what became of the targets.

use std::{fmt::Write as _, fs};

use anyhow::Result;

use crate::{
    Options, chart,
    measure::Sample,
    run::commit,
    workload::{Protocol, Workload},
};

/// All that was found.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) rows: Vec<Row>,
    pub(crate) idle: Vec<Idle>,
    /// Which peer answered otherwise than the server, in which workload, and when.
    pub(crate) doubts: Vec<String>,
    /// Which peer did not get through which runs.
    pub(crate) failed: Vec<String>,
}

/// All repetitions of one contender in one cell.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) workload: &'static Workload,
    pub(crate) protocol: Protocol,
    pub(crate) clients: u32,
    pub(crate) contender: String,
    pub(crate) samples: Vec<Sample>,
}

/// Memory of idle clients.
#[derive(Debug)]
pub(crate) struct Idle {
    pub(crate) contender: String,
    pub(crate) clients: u32,
    pub(crate) bytes: f64,
}

impl Row {
    /// Least, median and greatest of a figure.
    pub(crate) fn spread(&self, figure: impl Fn(&Sample) -> f64) -> (f64, f64, f64) {
        spread(self.samples.iter().map(figure).collect())
    }

    /// The median of a figure.
    pub(crate) fn median(&self, figure: impl Fn(&Sample) -> f64) -> f64 {
        self.spread(figure).1
    }

    /// One line for the terminal.
    pub(crate) fn line(&self) -> String {
        let (low, middle, high) = self.spread(|sample| sample.cpu_us);
        format!(
            "{:<20} {:>8.0} tps  p50 {:>7.0} µs  p99 {:>7.0} µs  CPU {middle:>7.1} µs ({low:.1}–{high:.1})  \
             server {:>7.1} µs  {}",
            self.contender,
            self.median(|sample| sample.tps),
            self.median(|sample| sample.p50_us),
            self.median(|sample| sample.p99_us),
            self.median(|sample| sample.server_us),
            self.hits(),
        )
    }

    fn hits(&self) -> String {
        let rate = self.samples.last().and_then(|sample| sample.hit_rate);
        rate.map_or_else(|| "–".to_owned(), |rate| format!("{:.1} %", rate * 100.0))
    }
}

fn spread(mut values: Vec<f64>) -> (f64, f64, f64) {
    values.sort_by(f64::total_cmp);
    let at = |index: usize| values.get(index).copied().unwrap_or(f64::NAN);
    (
        at(0),
        at(values.len() / 2),
        at(values.len().saturating_sub(1)),
    )
}

/// A ratio that was aimed at.
struct Target {
    text: &'static str,
    workload: &'static str,
    protocol: Protocol,
    of: &'static str,
    to: Other,
    figure: fn(&Sample) -> f64,
    bound: Bound,
}

/// What a figure is compared with.
#[derive(Clone, Copy)]
enum Other {
    /// Another contender in the same cell.
    Contender(&'static str),
    /// The same contender in another workload.
    Workload(&'static str),
}

#[derive(Clone, Copy)]
enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

const fn cpu(sample: &Sample) -> f64 {
    sample.cpu_us
}

const fn tps(sample: &Sample) -> f64 {
    sample.tps
}

const fn latency(sample: &Sample) -> f64 {
    sample.p50_us
}

use Bound::{AtLeast, AtMost};
use Other::{Contender as To, Workload as Beside};
use Protocol::{Extended, Prepared, Simple};

const fn target(
    text: &'static str,
    (workload, protocol): (&'static str, Protocol),
    (of, to): (&'static str, Other),
    figure: fn(&Sample) -> f64,
    bound: Bound,
) -> Target {
    Target {
        text,
        workload,
        protocol,
        of,
        to,
        figure,
        bound,
    }
}

const OWN: &str = "pgmemo";
const OWN_REDIS: &str = "pgmemo, Redis";
const OWN_LEASES: &str = "pgmemo, leases";

#[rustfmt::skip]
const TARGETS: &[Target] = &[
    target("hit: CPU to canned", ("point", Simple), (OWN, To("canned")), cpu, AtMost(1.5)),
    target("hit: CPU to canned", ("point", Extended), (OWN, To("canned")), cpu, AtMost(1.5)),
    target("hit: CPU to canned", ("point", Prepared), (OWN, To("canned")), cpu, AtMost(1.5)),
    target("hit: tps to direct", ("point", Simple), (OWN, To("direct")), tps, AtLeast(3.2)),
    target("hit: tps to direct", ("point", Extended), (OWN, To("direct")), tps, AtLeast(2.7)),
    target("hit: tps to direct", ("point", Prepared), (OWN, To("direct")), tps, AtLeast(2.2)),
    target("hit: tps to pgpool-II", ("point", Simple), (OWN, To("pgpool-II")), tps, AtLeast(3.0)),
    target("hit: tps to pgpool-II", ("point", Extended), (OWN, To("pgpool-II")), tps, AtLeast(10.0)),
    target("hit, 1 client: latency to direct", ("point, 1 client", Simple), (OWN, To("direct")), latency, AtMost(0.8)),
    target("hit, 1 client: latency to direct", ("point, 1 client", Extended), (OWN, To("direct")), latency, AtMost(0.8)),
    target("hit, 1 client: latency to direct", ("point, 1 client", Prepared), (OWN, To("direct")), latency, AtMost(0.8)),
    target("hit, wide: CPU to canned", ("wide", Simple), (OWN, To("canned")), cpu, AtMost(1.3)),
    target("hit, wide: CPU to canned", ("wide", Prepared), (OWN, To("canned")), cpu, AtMost(1.3)),
    target("hit, Redis: CPU to canned + Redis", ("point", Simple), (OWN_REDIS, To("canned + Redis")), cpu, AtMost(1.5)),
    target("hit, Redis: CPU to canned + Redis", ("point", Prepared), (OWN_REDIS, To("canned + Redis")), cpu, AtMost(1.5)),
    target("hit, leases: CPU to hit from memory", ("point", Simple), (OWN_LEASES, To(OWN)), cpu, AtMost(1.3)),
    target("hit, leases: CPU to hit from memory", ("point", Prepared), (OWN_LEASES, To(OWN)), cpu, AtMost(1.3)),
    target("hit, leases, 1 client: latency to direct", ("point, 1 client", Simple), (OWN_LEASES, To("direct")), latency, AtMost(0.9)),
    target("hit, leases, 1 client: latency to direct", ("point, 1 client", Prepared), (OWN_LEASES, To("direct")), latency, AtMost(0.9)),
    target("pass-through: CPU to PgBouncer", ("pass-through", Simple), (OWN, To("PgBouncer")), cpu, AtMost(1.0)),
    target("pass-through: CPU to PgBouncer", ("pass-through", Prepared), (OWN, To("PgBouncer")), cpu, AtMost(1.0)),
    target("miss: CPU to pass-through", ("miss", Simple), (OWN, Beside("pass-through")), cpu, AtMost(1.4)),
    target("miss: CPU to pass-through", ("miss", Prepared), (OWN, Beside("pass-through")), cpu, AtMost(1.4)),
    target("TPC-B: tps to PgBouncer", ("TPC-B", Simple), (OWN, To("PgBouncer")), tps, AtLeast(0.95)),
    target("TPC-B: tps to PgBouncer", ("TPC-B", Prepared), (OWN, To("PgBouncer")), tps, AtLeast(0.95)),
    target("mixed 95/5: tps to direct", ("mixed 95/5", Prepared), (OWN, To("direct")), tps, AtLeast(2.0)),
    target("connect: tps to PgBouncer, fresh", ("connect", Simple), (OWN, To("PgBouncer, fresh")), tps, AtLeast(0.9)),
    target("connect: tps to direct", ("connect", Simple), (OWN, To("direct")), tps, AtLeast(0.9)),
    target("cost from 10^3 to 10^6 entries", ("10^6 entries", Prepared), (OWN, Beside("10^3 entries")), cpu, AtMost(1.2)),
];

/// Bytes that an idle client may cost.
const IDLE_BYTES_MAX: f64 = 20.0 * 1024.0;

/// Writes `results.md` and the charts.
pub(crate) fn write(options: &Options, report: &Report) -> Result<()> {
    let Report {
        rows,
        idle,
        doubts,
        failed,
    } = report;
    let mut text = String::from("# Results\n\n");
    let (repetitions, seconds) = (options.runs, options.seconds);
    let _ = writeln!(
        text,
        "Commit {}, {}. Each figure is the median of {repetitions} runs of {seconds} s, taken in turn; \
         in parentheses the least and the greatest. CPU is user and system time per transaction.\n",
        commit(),
        machine(),
    );
    if doubts.is_empty() {
        text.push_str("All answers were PostgreSQL's, before and after the runs.\n\n");
    } else {
        let _ = writeln!(text, "Not PostgreSQL's answers: {}.\n", doubts.join("; "));
    }
    if !failed.is_empty() {
        let _ = writeln!(text, "Runs that broke off: {}.\n", failed.join("; "));
    }
    let targets = targets(rows, idle);
    if !targets.is_empty() {
        let _ = writeln!(
            text,
            "## Targets\n\n| what | protocol | target | measured | met |"
        );
        let _ = writeln!(text, "|---|---|---|---|---|\n{targets}");
    }
    text.push_str("## Runs\n\n| workload | protocol | clients | | tps | × direct | p50 µs | p99 µs | CPU µs | server CPU µs | hits |\n");
    text.push_str("|---|---|---|---|---|---|---|---|---|---|---|\n");
    for row in rows {
        table_line(&mut text, rows, row);
    }
    if !idle.is_empty() {
        text.push_str("\n## Idle clients\n\n| | clients | KiB each |\n|---|---|---|\n");
        for it in idle {
            let _ = writeln!(
                text,
                "| {} | {} | {:.1} |",
                it.contender,
                it.clients,
                it.bytes / 1024.0
            );
        }
    }
    fs::create_dir_all(&options.results)?;
    let path = options.results.join("results.md");
    fs::write(&path, &text)?;
    chart::write(&options.results, rows)?;
    println!("{text}\nwritten to {}", path.display());
    Ok(())
}

fn table_line(text: &mut String, rows: &[Row], row: &Row) {
    let (low, middle, high) = row.spread(cpu);
    let relative = same_cell(rows, row, "direct").map_or_else(
        || "–".to_owned(),
        |direct| format!("{:.2}", row.median(tps) / direct.median(tps)),
    );
    let _ = writeln!(
        text,
        "| {} | {} | {} | {} | {:.0} | {relative} | {:.0} | {:.0} | {middle:.1} ({low:.1}–{high:.1}) | {:.1} | {} |",
        row.workload.name,
        row.protocol.name(),
        row.clients,
        row.contender,
        row.median(tps),
        row.median(latency),
        row.median(|sample| sample.p99_us),
        row.median(|sample| sample.server_us),
        row.hits(),
    );
}

/// What another contender showed in the same cell.
pub(crate) fn same_cell<'a>(rows: &'a [Row], row: &Row, contender: &str) -> Option<&'a Row> {
    rows.iter().find(|other| {
        other.contender == contender
            && other.workload.name == row.workload.name
            && other.protocol == row.protocol
            && other.clients == row.clients
    })
}

fn targets(rows: &[Row], idle: &[Idle]) -> String {
    let mut text = String::new();
    for target in TARGETS {
        let find = |workload: &str, contender: &str| {
            rows.iter().find(|row| {
                row.workload.name == workload
                    && row.protocol == target.protocol
                    && row.contender == contender
            })
        };
        let other = match target.to {
            To(contender) => find(target.workload, contender),
            Beside(workload) => find(workload, target.of),
        };
        let (Some(row), Some(other)) = (find(target.workload, target.of), other) else {
            continue;
        };
        let ratios = row.samples.iter().zip(&other.samples);
        let ratios = ratios.map(|(own, other)| (target.figure)(own) / (target.figure)(other));
        let (low, middle, high) = spread(ratios.collect());
        let (bound, met) = match target.bound {
            AtMost(bound) => (format!("≤ {bound}"), middle <= bound),
            AtLeast(bound) => (format!("≥ {bound}"), middle >= bound),
        };
        let _ = writeln!(
            text,
            "| {} | {} | {bound} | {middle:.2} ({low:.2}–{high:.2}) | {} |",
            target.text,
            target.protocol.name(),
            yes(met),
        );
    }
    for it in idle.iter().filter(|it| it.contender == OWN) {
        let _ = writeln!(
            text,
            "| KiB per idle client, {} clients | – | ≤ 20 | {:.1} | {} |",
            it.clients,
            it.bytes / 1024.0,
            yes(it.bytes <= IDLE_BYTES_MAX),
        );
    }
    text
}

const fn yes(met: bool) -> &'static str {
    if met { "yes" } else { "**no**" }
}

fn machine() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let info = read("/proc/cpuinfo");
    let model = info
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .and_then(|rest| rest.split_once(": "))
        .map_or("an unknown processor", |(_, model)| model);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let kernel = read("/proc/sys/kernel/osrelease");
    let kernel = kernel
        .split('-')
        .next()
        .unwrap_or_default()
        .trim()
        .to_owned();
    format!("{cores} cores of {model}, Linux {kernel}, everything on loopback")
}
