//! Reads that are asked again and again while the world changes, judged by PostgreSQL itself.
//!
//! A survey runs on equal databases: once with every session at the server, then through pgmemo.
//! Its reads are asked after every change, by each of several readers that live as long as the
//! survey, and twice each, so that what can be remembered is. Every answer must be the same.
//! A survey begins with a line `== name` and goes on with lines of the form `mark statement`:
//!
//! | mark | meaning |
//! |---|---|
//! | `?` | a read; with parameters behind ` <- `, separated by commas |
//! | `+` | part of the world: runs once at the server, before anybody reads |
//! | `!` | a change, by a writer of its own; it may fail |
//! | `!!` | the same by the extended protocol, with a statement that is prepared once |
//! | `*` | a change that each reader makes to its own session, by its own protocol |
//! | `@` | the role of readers that connect from now on; there are new ones |
//! | `%` | `cold`: nothing may be a hit |
//!
//! `{alice}`, `{bob}` and `{db}` stand for roles and the database of this run alone.

use std::{
    cell::Cell,
    fmt::Write,
    sync::atomic::{AtomicU32, Ordering},
};

use anyhow::{Context, Result, bail, ensure};

use crate::{
    Pgmemo, Postgres,
    net::{SOON, eventually},
    wire::{Answer, Conn, Format, Frontend, Login},
};

/// One survey.
#[derive(Debug)]
pub struct Survey<'a> {
    /// What it is about.
    pub name: &'a str,
    reads: Vec<(&'a str, Vec<&'a str>)>,
    steps: Vec<(&'a str, &'a str)>,
    cold: bool,
}

/// Reads the surveys of a file.
pub fn parse(text: &str) -> Result<Vec<Survey<'_>>> {
    let mut all: Vec<Survey<'_>> = Vec::new();
    let lines = text.lines().map(str::trim);
    for line in lines.filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (mark, rest) = line.split_once(' ').with_context(|| line.to_owned())?;
        if mark == "==" {
            all.push(Survey {
                name: rest,
                reads: Vec::new(),
                steps: Vec::new(),
                cold: false,
            });
            continue;
        }
        let survey = all.last_mut().context("the first line names no survey")?;
        match mark {
            "?" => {
                survey.reads.push(split(rest));
            }
            "%" => survey.cold = true,
            "+" | "!" | "!!" | "*" | "@" => survey.steps.push((mark, rest)),
            _ => bail!("unknown mark in {line:?}"),
        }
    }
    Ok(all)
}

/// A statement and its parameters.
fn split(text: &str) -> (&str, Vec<&str>) {
    match text.split_once(" <- ") {
        Some((sql, values)) => (sql, values.split(',').map(str::trim).collect()),
        None => (text, Vec::new()),
    }
}

/// Where surveys run.
#[derive(Debug)]
pub struct Ground<'a> {
    /// The server.
    pub postgres: &'a Postgres,
    /// Instances of pgmemo on one store: the first for the writer, all for readers.
    pub instances: &'a [Pgmemo],
}

impl Ground<'_> {
    /// Runs all surveys; `fixture` fills each database first. `PGMEMO_SCENARIO` selects those whose
    /// name contains it.
    pub fn check(&self, fixture: &str, surveys: &[Survey<'_>]) -> Result<()> {
        let wanted = std::env::var("PGMEMO_SCENARIO").unwrap_or_default();
        let template = self.postgres.database()?;
        template.connect()?.run(fixture)?;
        let (mut failures, mut failed) = (String::new(), 0);
        for survey in surveys.iter().filter(|it| it.name.contains(&wanted)) {
            if let Err(error) = self.compare(template.name(), survey) {
                failed += 1;
                let _ = writeln!(failures, "\n--- {}\n{error:#}", survey.name);
            }
        }
        let all = surveys.len();
        ensure!(failed == 0, "{failed} of {all} surveys failed{failures}");
        Ok(())
    }

    fn compare(&self, template: &str, survey: &Survey<'_>) -> Result<()> {
        static LAST: AtomicU32 = AtomicU32::new(0);
        let number = LAST.fetch_add(1, Ordering::Relaxed);
        let (expected, _) = self.run(template, survey, number, true)?;
        if std::env::var_os("PGMEMO_SCENARIO").is_some() {
            for (what, answer) in &expected {
                println!("{what}\n    {}", answer.join("\n    "));
            }
        }
        let before = self.hits()?;
        let (found, settled) = self.run(template, survey, number, false)?;
        for ((what, expected), (_, found)) in expected.iter().zip(&found) {
            ensure!(
                expected == found,
                "{what}\n  PostgreSQL: {}\n  pgmemo:     {}",
                expected.join("\n              "),
                found.join("\n              ")
            );
        }
        let hits = self.hits()? - before - settled;
        let real = self.instances.iter().any(Pgmemo::is_real);
        ensure!(!real || (hits < 0.5) == survey.cold, "{hits} hits");
        Ok(())
    }

    fn hits(&self) -> Result<f64> {
        let real = self.instances.iter().filter(|it| it.is_real());
        let hits = real.map(Pgmemo::hits).collect::<Result<Vec<_>>>()?;
        Ok(hits.into_iter().sum())
    }

    fn run(
        &self,
        template: &str,
        survey: &Survey<'_>,
        number: u32,
        direct: bool,
    ) -> Result<(Vec<Heard>, f64)> {
        let mut run = Run::new(self, template, survey, number, direct)?;
        let mut heard = Vec::new();
        let mut steps = survey.steps.iter().peekable();
        while let Some((_, sql)) = steps.next_if(|(mark, _)| *mark == "+") {
            run.prepare(sql)?;
        }
        run.ask(survey, "at first", &mut heard)?;
        for (mark, sql) in steps {
            run.step(mark, sql, &mut heard)
                .with_context(|| (*sql).to_owned())?;
            run.ask(survey, sql, &mut heard)?;
        }
        Ok((heard, run.settled.get()))
    }
}

/// What nobody changes: a hit proves that definitions are known again.
const SETTLED: &str = "SELECT * FROM public.settled";

/// Who was asked what, and the answer.
type Heard = (String, Vec<String>);

struct Run<'a> {
    ground: &'a Ground<'a>,
    direct: bool,
    control: Conn,
    /// Hits on [`SETTLED`].
    settled: Cell<f64>,
    names: [(&'static str, String); 3],
    writer: Option<Reader>,
    /// What the writer has prepared.
    written: Vec<String>,
    readers: Vec<Reader>,
    role: String,
}

/// How a reader asks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Manner {
    Simple,
    Extended,
    /// Statements that are prepared once, and anew after an error, as drivers do.
    Prepared,
    /// In a block of its own.
    Block,
}

struct Reader {
    manner: Manner,
    conn: Conn,
    prepared: Vec<bool>,
}

impl<'a> Run<'a> {
    fn new(
        ground: &'a Ground<'a>,
        template: &str,
        survey: &Survey<'_>,
        number: u32,
        direct: bool,
    ) -> Result<Self> {
        let names = ["alice", "bob", "db"];
        let unique = |name: &str| format!("{name}_s{}_{number}", std::process::id());
        let names = names.map(unique);
        let [alice, bob, db] = names;
        let mut control = ground.postgres.connect("postgres")?;
        control.run(&format!("CREATE DATABASE {db} TEMPLATE {template}"))?;
        let mut run = Self {
            ground,
            direct,
            control,
            settled: Cell::new(0.0),
            names: [("{alice}", alice), ("{bob}", bob), ("{db}", db)],
            writer: None,
            written: Vec::new(),
            readers: Vec::new(),
            role: "postgres".to_owned(),
        };
        for role in ["{alice}", "{bob}"] {
            if survey.steps.iter().any(|(_, sql)| sql.contains(role)) {
                let sql = run.filled(&format!("CREATE ROLE {role} LOGIN"));
                run.control.run(&sql)?;
            }
        }
        Ok(run)
    }

    fn filled(&self, text: &str) -> String {
        let names = self.names.iter();
        names.fold(text.to_owned(), |text, (name, value)| {
            text.replace(name, value)
        })
    }

    fn prepare(&mut self, sql: &str) -> Result<()> {
        let database = self.filled("{db}");
        let sql = self.filled(sql);
        self.ground
            .postgres
            .connect(&database)?
            .run(&sql)
            .map(|_| ())
    }

    fn connect(&self, instance: usize, role: &str) -> Result<Conn> {
        let instances = self.ground.instances;
        let instance = instances.get(instance).filter(|_| !self.direct);
        let address = instance.map_or_else(|| self.ground.postgres.address(), Pgmemo::address);
        Conn::connect(address, &Login::of(role, &self.filled("{db}")))
    }

    fn step(&mut self, mark: &str, sql: &str, heard: &mut Vec<Heard>) -> Result<()> {
        let sql = self.filled(sql);
        match mark {
            "+" => return self.prepare(&sql),
            "@" => {
                self.role = sql;
                self.readers.clear();
            }
            "*" => {
                self.ensure_readers()?;
                for reader in &mut self.readers {
                    let answer = match reader.manner {
                        Manner::Extended | Manner::Prepared => reader.conn.extended(&sql, &[])?,
                        Manner::Simple | Manner::Block => reader.conn.query(&sql)?,
                    };
                    heard.push((format!("{sql} by {:?}", reader.manner), answer.shown()));
                }
            }
            _ => {
                let writer = match &mut self.writer {
                    Some(writer) => writer,
                    None => {
                        let conn = self.connect(0, "postgres")?;
                        self.writer.insert(Reader::new(Manner::Prepared, conn))
                    }
                };
                let answer = match mark {
                    "!!" => {
                        let (sql, values) = split(&sql);
                        let names = &mut self.written;
                        let known = names.iter().position(|known| known == sql);
                        let number = known.unwrap_or(names.len());
                        if known.is_none() {
                            names.push(sql.to_owned());
                        }
                        writer.prepared(number, sql, &values)?
                    }
                    _ => writer.conn.query(&sql)?,
                };
                heard.push((format!("{sql} by the writer"), answer.shown()));
            }
        }
        Ok(())
    }

    fn ensure_readers(&mut self) -> Result<()> {
        if !self.readers.is_empty() {
            return Ok(());
        }
        let manners = [
            Manner::Simple,
            Manner::Extended,
            Manner::Prepared,
            Manner::Block,
        ];
        let instances = self.ground.instances.len().max(1);
        for (number, manner) in manners.into_iter().enumerate() {
            let conn = self.connect(number % instances, &self.role)?;
            self.readers.push(Reader::new(manner, conn));
        }
        Ok(())
    }

    fn ask(&mut self, survey: &Survey<'_>, after: &str, heard: &mut Vec<Heard>) -> Result<()> {
        self.settle()?;
        self.ensure_readers()?;
        let reads: Vec<_> = survey.reads.iter().enumerate().collect();
        for (number, (sql, values)) in reads {
            let sql = self.filled(sql);
            for turn in 1..=2 {
                for reader in &mut self.readers {
                    let what = format!("{sql} by {:?}, turn {turn} after {after}", reader.manner);
                    let answer = reader.ask(number, &sql, values);
                    let answer = answer.with_context(|| what.clone())?;
                    heard.push((what, answer));
                }
            }
        }
        let mut fresh = self.connect(0, &self.role)?;
        for (sql, values) in &survey.reads {
            let sql = self.filled(sql);
            for turn in 1..=2 {
                let what = format!("{sql} by a new session, turn {turn} after {after}");
                heard.push((what, binary(&mut fresh, &sql, values)?.shown()));
            }
        }
        Ok(())
    }

    /// Waits until what was changed is known, so that what is read can be remembered.
    fn settle(&self) -> Result<()> {
        let instances = self.ground.instances.iter();
        for (number, instance) in instances.enumerate() {
            if self.direct || !instance.is_real() {
                continue;
            }
            let mut conn = self.connect(number, "postgres")?;
            eventually("a hit", SOON, || {
                let hits = instance.hits().ok()?;
                conn.query(SETTLED).ok()?;
                (instance.hits().ok()? > hits).then_some(())
            })?;
            self.settled.set(self.settled.get() + 1.0);
        }
        Ok(())
    }
}

/// An unnamed statement with binary results.
fn binary(conn: &mut Conn, sql: &str, values: &[&str]) -> Result<Answer> {
    let values: Vec<_> = values.iter().map(|it| Some(it.as_bytes())).collect();
    let batch = Frontend::new()
        .parse("", sql, &[])
        .bind_with("", "", &[], &values, &[Format::Binary])
        .describe_portal("")
        .execute("", 0)
        .sync();
    conn.send(batch.bytes())?;
    conn.read_until(b'Z')
}

impl Reader {
    fn new(manner: Manner, conn: Conn) -> Self {
        Self {
            manner,
            conn,
            prepared: Vec::new(),
        }
    }

    fn ask(&mut self, number: usize, sql: &str, values: &[&str]) -> Result<Vec<String>> {
        let conn = &mut self.conn;
        Ok(match self.manner {
            Manner::Simple | Manner::Block if !values.is_empty() => {
                conn.extended(sql, values)?.shown()
            }
            Manner::Extended => conn.extended(sql, values)?.shown(),
            Manner::Simple => conn.query(sql)?.shown(),
            Manner::Block => {
                let mut shown = Vec::new();
                for sql in ["BEGIN", sql, "COMMIT"] {
                    shown.extend(conn.query(sql)?.shown());
                }
                shown
            }
            Manner::Prepared => self.prepared(number, sql, values)?.shown(),
        })
    }

    fn prepared(&mut self, number: usize, sql: &str, values: &[&str]) -> Result<Answer> {
        let name = format!("s{number}");
        self.prepared
            .resize(self.prepared.len().max(number + 1), false);
        let mut batch = Frontend::new();
        if !self.prepared[number] {
            batch = batch
                .close_statement(&name)
                .parse(&name, sql, &[])
                .describe_statement(&name);
        }
        let values: Vec<_> = values.iter().map(|it| Some(it.as_bytes())).collect();
        batch = batch
            .bind_with("", &name, &[], &values, &[])
            .execute("", 0)
            .sync();
        self.conn.send(batch.bytes())?;
        let answer = self.conn.read_until(b'Z')?;
        self.prepared[number] = answer.error().is_none();
        Ok(answer)
    }
}

impl Drop for Run<'_> {
    fn drop(&mut self) {
        self.writer = None;
        self.readers.clear();
        let drops = [
            "DROP DATABASE IF EXISTS {db} WITH (FORCE)",
            "DROP ROLE IF EXISTS {alice}",
            "DROP ROLE IF EXISTS {bob}",
        ];
        for sql in drops {
            let _ = self.control.run(&self.filled(sql));
        }
    }
}
