//! The whole of it: start, verify, warm up, measure in turn, report.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use pgmemo_tests::{Postgres, Version};
use tempfile::TempDir;

use crate::{
    READS, WRITES,
    contender::{Contender, Kind},
    idle,
    measure::{Cell, Sample},
    peers::{self, Own, Residence},
    report::{self, Idle, Row},
    verify,
    workload::{Field, State, WORKLOADS, Workload},
};

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
    /// Only workloads whose name contains one of these; all if there is none.
    pub workloads: Vec<String>,
    /// Only contenders whose name contains one of these; all if there is none.
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
            workloads: Vec::new(),
            contenders: Vec::new(),
            results,
        };
        let list = |words: &str| words.split(',').map(str::to_owned).collect();
        for &word in words {
            match word.split_once('=') {
                Some(("--against", path)) => options.against = Some(path.into()),
                Some(("--only", names)) => options.contenders = list(names),
                Some(("--workload", names)) => options.workloads = list(names),
                None if word == "--quick" => options.quick = true,
                _ => bail!("`{word}` is none of --quick, --workload=…, --only=…, --against=…"),
            }
        }
        Ok(options)
    }

    /// How often everything is repeated, and for how many seconds each time.
    pub(crate) const fn effort(&self) -> (usize, u32) {
        if self.quick { (3, 1) } else { (5, 5) }
    }

    fn wants(&self, workload: &Workload) -> bool {
        let named = matches(&self.workloads, workload.name);
        named && !(workload.long && self.quick && self.workloads.is_empty())
    }
}

fn matches(wanted: &[String], name: &str) -> bool {
    wanted.is_empty() || wanted.iter().any(|wanted| name.contains(&**wanted))
}

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
    let mut rows = Vec::new();
    for workload in WORKLOADS.iter().filter(|workload| options.wants(workload)) {
        let own = start_for(options, &direct, &postgres, workload)?;
        let field: Vec<&Contender> = std::iter::once(&direct)
            .chain(&peers)
            .chain(&own)
            .filter(|contender| takes_part(options, workload, contender))
            .collect();
        for contender in &field {
            verify::same(&direct, contender, workload)?;
        }
        measure(options, workload, &field, server, dir.path(), &mut rows)?;
    }
    let idle = if matches(&options.workloads, "idle") {
        idle_memory(options)?
    } else {
        Vec::new()
    };
    report::write(options, &rows, &idle)
}

fn takes_part(options: &Options, workload: &Workload, contender: &Contender) -> bool {
    let kind = match (workload.field, contender.kind) {
        (_, Kind::Own) | (Field::All, _) => true,
        (Field::Forwarding, Kind::Direct | Kind::Pooler) => true,
        (Field::Forwarding, Kind::Canned | Kind::Cache) | (Field::Own, _) => false,
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
        ("pgmemo, leases", this, Residence::Leases),
    ];
    for (name, program, residence) in builds {
        if let Some(program) = program.filter(|_| wanted(name)) {
            own.push(peers::own(&Own {
                name,
                program,
                upstream: postgres.url("postgres"),
                residence,
                arguments: &[],
            })?);
        }
    }
    Ok(own)
}

fn measure(
    options: &Options,
    workload: &Workload,
    field: &[&Contender],
    server: u32,
    dir: &Path,
    rows: &mut Vec<Row>,
) -> Result<()> {
    let (repetitions, seconds) = options.effort();
    for &protocol in workload.protocols {
        for &clients in workload.clients {
            let cell = Cell {
                workload,
                protocol,
                clients,
            };
            eprintln!(
                "==> {}, {}, {clients} clients",
                workload.name,
                protocol.name()
            );
            if workload.state == State::Warm {
                for contender in field {
                    if matches!(contender.kind, Kind::Cache | Kind::Own) {
                        let wide = Cell {
                            clients: 16,
                            ..cell
                        };
                        wide.warm_up(dir, contender, seconds)?;
                    }
                }
            }
            let mut samples: Vec<Vec<Sample>> = vec![Vec::new(); field.len()];
            for _ in 0..repetitions {
                for (contender, samples) in field.iter().zip(&mut samples) {
                    samples.push(cell.measure(dir, contender, server, seconds)?);
                }
            }
            for (contender, samples) in field.iter().zip(samples) {
                let row = Row {
                    workload: workload.name,
                    protocol,
                    clients,
                    contender: contender.name.clone(),
                    samples,
                };
                eprintln!("{}", row.line());
                rows.push(row);
            }
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
