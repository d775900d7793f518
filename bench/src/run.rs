//! The whole of it: start, verify, warm up, measure in turn, report.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use pgmemo_tests::{Postgres, Version};
use tempfile::TempDir;

use crate::{
    READS, WRITES,
    contender::{Contender, Kind},
    idle,
    measure::{Cell, Runner},
    peers::{self, Own, Residence},
    report::{self, Idle, Report, Row},
    verify,
    workload::{Field, WORKLOADS, Workload},
};

/// How `cargo xtask bench` is called.
pub const USAGE: &str = "\
cargo xtask bench [--quick] [--workload=NAMES] [--only=NAMES] [--against=PATH] [--runs=N] [--seconds=N]

  --quick          three runs of a second each, without the workloads that take long
  --workload=NAMES only these workloads: `point`, `miss`, `mixed`, `TPC-B`, `entries`, `idle` …
  --only=NAMES     only these contenders: direct, canned, PgBouncer, pgpool-II, pgmemo, Redis, leases
  --against=PATH   another pgmemo besides, called `other build`, in memory and with Redis
  --runs=N         how often everything is repeated
  --seconds=N      for how long each time

Names are separated by commas, whole or parts of one, in any case. A whole name means nothing else:
`pgmemo` is the one with replies in memory, `pgm` all of them.";

/// What is to be measured, and with what.
#[derive(Debug)]
pub struct Options {
    /// The program under test.
    pub pgmemo: PathBuf,
    /// The canned responder.
    pub canned: PathBuf,
    /// Another build of pgmemo to compare with.
    pub against: Option<PathBuf>,
    /// A few minutes rather than an hour.
    pub quick: bool,
    /// How often everything is repeated.
    pub runs: usize,
    /// For how many seconds each time.
    pub seconds: u32,
    /// Only workloads with such a name; all if there is none.
    pub workloads: Vec<String>,
    /// Only contenders with such a name; all if there is none.
    pub contenders: Vec<String>,
    /// Where results are written.
    pub results: PathBuf,
}

impl Options {
    /// Reads the words behind `cargo xtask bench`.
    ///
    /// # Errors
    ///
    /// When a word is not understood.
    pub fn parse(
        words: &[&str],
        pgmemo: PathBuf,
        canned: PathBuf,
        results: PathBuf,
    ) -> Result<Self> {
        let mut options = Self {
            pgmemo,
            canned,
            against: None,
            quick: false,
            runs: 5,
            seconds: 5,
            workloads: Vec::new(),
            contenders: Vec::new(),
            results,
        };
        if words.contains(&"--quick") {
            (options.quick, options.runs, options.seconds) = (true, 3, 1);
        }
        let list = |words: &str| words.split(',').map(str::to_owned).collect();
        for &word in words {
            match word.split_once('=') {
                Some(("--against", path)) => options.against = Some(path.into()),
                Some(("--only", names)) => options.contenders = list(names),
                Some(("--workload", names)) => options.workloads = list(names),
                Some(("--runs", count)) => options.runs = count.parse()?,
                Some(("--seconds", count)) => options.seconds = count.parse()?,
                None if word == "--quick" => {}
                _ => bail!("`{word}` is not understood\n\n{USAGE}"),
            }
        }
        Ok(options)
    }

    fn wants(&self, workload: &Workload) -> bool {
        let named = matches(&self.workloads, workload.name);
        named && !(workload.long && self.quick && self.workloads.is_empty())
    }
}

/// Whether one of the words is this name, or a part of it that is nobody's whole name.
fn matches(wanted: &[String], name: &str) -> bool {
    let name = name.to_lowercase();
    wanted.is_empty()
        || wanted.iter().any(|wanted| {
            let wanted = wanted.to_lowercase();
            let whole = NAMES.iter().any(|it| it.to_lowercase() == wanted)
                || WORKLOADS.iter().any(|it| it.name.to_lowercase() == wanted);
            name == wanted || (!whole && name.contains(&wanted))
        })
}

/// Contenders whose names are parts of others' names.
const NAMES: [&str; 3] = ["canned", "PgBouncer", "pgmemo"];

/// Measures, and writes the results.
///
/// # Errors
///
/// When something does not start, a run fails, or an answer is not PostgreSQL's.
pub fn run(options: &Options) -> Result<()> {
    let dir = tempfile::Builder::new().prefix("pgmemo-bench-").tempdir()?;
    let postgres = Postgres::start(Version::System)?;
    let server = postgres.pid().context("the server is ours")?;
    load(&postgres, &dir)?;
    let direct = Contender::direct(postgres.address(), server);
    let peers = start(options, &postgres)?;
    let mut report = Report::default();
    let workloads: Vec<&'static Workload> =
        WORKLOADS.iter().filter(|it| options.wants(it)).collect();
    let together =
        |one: &&Workload, other: &&Workload| !one.group.is_empty() && one.group == other.group;
    for group in workloads.chunk_by(together) {
        let mut own = Vec::new();
        for workload in group {
            if let Some(setup) = workload.setup {
                prepare(&postgres, workload, setup)?;
            }
            own.push(start_for(options, &direct, &postgres, workload)?);
        }
        let mut fields = Vec::new();
        for (&workload, own) in group.iter().zip(&own) {
            let all = std::iter::once(&direct).chain(&peers).chain(own);
            fields.push((workload, field(options, &postgres, workload, all)?));
        }
        examine(&direct, &fields, "before", &mut report)?;
        measure(options, &fields, server, dir.path(), &mut report)?;
        examine(&direct, &fields, "after", &mut report)?;
    }
    if matches(&options.workloads, "idle") {
        report.idle = idle_memory(options)?;
    }
    report::write(options, &report)
}

/// A workload, and those who take part.
type Fields<'a> = [(&'static Workload, Vec<Runner<'a>>)];

fn field<'a>(
    options: &Options,
    postgres: &Postgres,
    workload: &Workload,
    all: impl Iterator<Item = &'a Contender>,
) -> Result<Vec<Runner<'a>>> {
    let mut field = Vec::new();
    for contender in all.filter(|it| takes_part(options, workload, it)) {
        let mut database = workload.database.to_owned();
        if workload.writes() {
            database = format!("{}: {}", workload.name, contender.name);
            database.retain(|letter| letter.is_ascii_alphanumeric());
            postgres.connect("postgres")?.run(&format!(
                "CREATE DATABASE \"{database}\" TEMPLATE {}",
                workload.database
            ))?;
        }
        field.push(Runner {
            contender,
            database,
        });
    }
    Ok(field)
}

fn prepare(postgres: &Postgres, workload: &Workload, setup: &str) -> Result<()> {
    let mut conn = postgres.connect(workload.database)?;
    for statement in setup.split("; ") {
        conn.run(statement)?;
    }
    Ok(())
}

/// Compares answers with the server's. A peer's that differ are reported, pgmemo's end it all.
fn examine(direct: &Contender, fields: &Fields<'_>, when: &str, report: &mut Report) -> Result<()> {
    for (workload, field) in fields {
        for runner in field {
            let contender = runner.contender;
            let same = verify::same(direct, contender, workload, &runner.database);
            if contender.kind == Kind::Cache && !matches!(same, Ok(true)) {
                let name = &contender.name;
                report
                    .doubts
                    .push(format!("{name}, {}, {when}", workload.name));
            } else if !same? {
                bail!("{} answers otherwise than the server", contender.name);
            }
        }
    }
    Ok(())
}

fn takes_part(options: &Options, workload: &Workload, contender: &Contender) -> bool {
    let kind = match (workload.field, contender.kind) {
        (Field::Memory, _) => ["pgmemo", "pgmemo, other build"].contains(&&*contender.name),
        (_, Kind::Own) | (Field::All, _) => true,
        (Field::Forwarding, Kind::Direct | Kind::Pooler) => true,
        (Field::Forwarding, Kind::Canned | Kind::Cache) => false,
    };
    let fresh =
        contender.name.contains("fresh") == (workload.connects && contender.kind == Kind::Pooler);
    kind && fresh && matches(&options.contenders, &contender.name)
}

/// pgbench's tables twice, and a table with wide results.
fn load(postgres: &Postgres, dir: &TempDir) -> Result<()> {
    for database in [READS, WRITES] {
        postgres
            .connect("postgres")?
            .run(&format!("CREATE DATABASE {database}"))?;
        let mut init = std::process::Command::new("pgbench");
        init.current_dir(dir.path())
            .args(["--initialize", "--quiet", "--scale=1"])
            .arg(postgres.url(database));
        let output = init.output().context("cannot run pgbench")?;
        if !output.status.success() {
            bail!("{}", String::from_utf8_lossy(&output.stderr));
        }
    }
    let mut conn = postgres.connect(READS)?;
    conn.run(
        "CREATE TABLE wide AS SELECT id, id / 1000 + 1 AS part, repeat('x', 85) AS text \
         FROM generate_series(0, 9999) AS id; \
         CREATE INDEX ON wide (part)",
    )?;
    conn.run("VACUUM ANALYZE")?;
    Ok(())
}

/// Those who serve all workloads.
fn start(options: &Options, postgres: &Postgres) -> Result<Vec<Contender>> {
    let wanted = |name: &str| matches(&options.contenders, name);
    let mut peers = Vec::new();
    if wanted("PgBouncer") {
        peers.push(peers::pgbouncer(postgres.address(), false)?);
    }
    if wanted("PgBouncer, fresh") {
        peers.push(peers::pgbouncer(postgres.address(), true)?);
    }
    if wanted("pgpool-II") {
        peers.push(peers::pgpool(postgres.address())?);
    }
    Ok(peers)
}

/// Those who start afresh with each workload: pgmemo, with nothing remembered, and the canned
/// responder, with its reply.
fn start_for(
    options: &Options,
    direct: &Contender,
    postgres: &Postgres,
    workload: &Workload,
) -> Result<Vec<Contender>> {
    let wanted = |name: &str| matches(&options.contenders, name);
    let mut own = Vec::new();
    if let Some(reply) = verify::frames(direct, workload)? {
        for (name, redis) in [("canned", false), ("canned + Redis", true)] {
            if wanted(name) {
                own.push(peers::canned(&options.canned, &reply, redis)?);
            }
        }
    }
    let (this, against) = (Some(&*options.pgmemo), options.against.as_deref());
    let builds = [
        ("pgmemo", this, Residence::Memory),
        ("pgmemo, other build", against, Residence::Memory),
        ("pgmemo, Redis", this, Residence::Redis),
        ("pgmemo, Redis, other build", against, Residence::Redis),
        ("pgmemo, leases", this, Residence::Leases),
    ];
    for (name, program, residence) in builds {
        if let Some(program) = program.filter(|_| wanted(name)) {
            own.push(peers::own(&Own {
                name,
                program,
                upstream: postgres.url("postgres"),
                residence,
                arguments: workload.arguments,
            })?);
        }
    }
    Ok(own)
}

/// Measures all workloads of a group, and all who take part, in turn.
fn measure(
    options: &Options,
    fields: &Fields<'_>,
    server: u32,
    dir: &Path,
    report: &mut Report,
) -> Result<()> {
    let mut cells = Vec::new();
    for (workload, field) in fields {
        for &protocol in workload.protocols {
            for &clients in workload.clients {
                let cell = Cell {
                    workload,
                    protocol,
                    clients,
                };
                cells.push((cell, field, vec![Vec::new(); field.len()]));
            }
        }
    }
    let mut failed = Vec::new();
    let mut attempt = |cell: &Cell, runner: &Runner<'_>, outcome: Result<()>| {
        // What a peer cannot do is no reason to stop.
        let name = format!("{}, {cell}", runner.contender.name);
        match outcome {
            Err(error) if runner.contender.kind == Kind::Cache => {
                eprintln!("{error}");
                failed.push(name);
                Ok(())
            }
            outcome => outcome,
        }
    };
    for (cell, field, _) in &cells {
        for runner in *field {
            if matches!(runner.contender.kind, Kind::Cache | Kind::Own) {
                let outcome = cell.warm_up(dir, runner, options.seconds);
                attempt(cell, runner, outcome)?;
            }
        }
    }
    for _ in 0..options.runs {
        for (cell, field, samples) in &mut cells {
            for (runner, samples) in field.iter().zip(samples) {
                let sample = cell.measure(dir, runner, server, options.seconds);
                let outcome = sample.map(|sample| samples.push(sample));
                attempt(cell, runner, outcome)?;
            }
        }
    }
    failed.sort();
    failed.dedup();
    report.failed.append(&mut failed);
    for (cell, field, samples) in cells {
        eprintln!("==> {cell}");
        let samples = field.iter().zip(samples);
        for (runner, samples) in samples.filter(|(_, it)| it.len() == options.runs) {
            let row = Row {
                workload: cell.workload,
                protocol: cell.protocol,
                clients: cell.clients,
                contender: runner.contender.name.clone(),
                samples,
            };
            eprintln!("{}", row.line());
            report.rows.push(row);
        }
    }
    Ok(())
}

/// Memory per idle client, at two numbers of clients, each from a fresh start.
fn idle_memory(options: &Options) -> Result<Vec<Idle>> {
    let mut measured = Vec::new();
    let reply = b"T\0\0\0\x06\0\0C\0\0\0\x0dSELECT 0\0";
    for clients in [1000, 5000] {
        let upstream = peers::canned(&options.canned, reply, false)?;
        let own = peers::own(&Own {
            name: "pgmemo",
            program: &options.pgmemo,
            // Without a user there is no catalog to be read, which this upstream has not.
            upstream: format!("postgres://{}/postgres", upstream.address),
            residence: Residence::Memory,
            arguments: &[],
        })?;
        let bouncer = peers::pgbouncer(upstream.address, false);
        for contender in [Some(own), bouncer.ok()].into_iter().flatten() {
            if clients > 1000 && contender.kind == Kind::Pooler {
                continue;
            }
            if contender.kind == Kind::Pooler && !matches(&options.contenders, "PgBouncer") {
                continue;
            }
            let count = if contender.kind == Kind::Pooler {
                200
            } else {
                clients
            };
            let bytes = idle::bytes_per_client(&contender, count)?;
            eprintln!(
                "{}: {count} idle clients, {bytes:.0} bytes each",
                contender.name
            );
            measured.push(Idle {
                contender: contender.name.clone(),
                clients: count,
                bytes,
            });
        }
    }
    Ok(measured)
}

/// A checkout's commit, for the report.
pub(crate) fn commit() -> String {
    let git = |arguments: &[&str]| {
        let output = std::process::Command::new("git").args(arguments).output();
        output.map_or_else(
            |_| String::new(),
            |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
        )
    };
    let commit = git(&["rev-parse", "--short=10", "HEAD"]);
    let dirty = !git(&["status", "--porcelain", "--untracked-files=no"]).is_empty();
    format!("{commit}{}", if dirty { " with changes" } else { "" })
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn a_whole_name_means_nothing_else() {
        let wants = |wanted: &str, name: &str| matches(&[wanted.to_owned()], name);
        assert!(wants("pgbouncer", "PgBouncer") && !wants("pgbouncer", "PgBouncer, fresh"));
        assert!(wants("fresh", "PgBouncer, fresh") && wants("pgpool", "pgpool-II"));
        assert!(wants("pgmemo", "pgmemo") && !wants("pgmemo", "pgmemo, leases"));
        assert!(wants("leases", "pgmemo, leases") && wants("pgm", "pgmemo, Redis"));
        assert!(wants("point", "point") && !wants("point", "point, 1 client"));
        assert!(wants("mixed", "mixed 95/5") && wants("tpc-b", "TPC-B"));
    }
}
