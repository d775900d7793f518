//! Statements that applications and ORMs really send: equal bytes, and a hit at the second run.
//!
//! A statement of `tests/corpus/statements.sql` that is never a hit names its reason there.

#![allow(clippy::panic, reason = "helpers of tests fail as tests do")]

use std::{collections::BTreeMap, fs};

use anyhow::{Context, Result, ensure};
use pgmemo_tests::{
    Metrics, Pgmemo, Postgres, Store, Version,
    driver::Script,
    postgres::Database,
    wire::{Conn, Format, Frontend, Login, Message},
};
use tokio_postgres::types::{IsNull, ToSql, Type, private::BytesMut, to_sql_checked};

const SCHEMA: &str = include_str!("../corpus/schema.sql");
const STATEMENTS: &str = include_str!("../corpus/statements.sql");

/// The least share of the corpus that must hit.
const HIT_SHARE_MIN: f64 = 0.95;

/// One statement.
#[derive(Debug)]
struct Statement {
    name: String,
    /// Why it is never a hit.
    reason: Option<String>,
    sql: String,
    values: Vec<serde_json::Value>,
}

impl Statement {
    fn expected(&self) -> &str {
        self.reason.as_deref().unwrap_or("hit")
    }

    /// The statement whose rows differ each time.
    fn is_random(&self) -> bool {
        self.reason.as_deref() == Some("volatile")
    }
}

fn corpus() -> Result<Vec<Statement>> {
    let mut found: Vec<Statement> = Vec::new();
    for line in STATEMENTS.lines() {
        if let Some(values) = line.strip_prefix("-- <- ") {
            let last = found.last_mut().context("values without a statement")?;
            last.values = serde_json::from_str(values).context(line)?;
        } else if let Some(title) = line.strip_prefix("-- ") {
            let (name, reason) = title.split_once(": ").unwrap_or((title, ""));
            found.push(Statement {
                name: name.to_owned(),
                reason: (!reason.is_empty()).then(|| reason.to_owned()),
                sql: String::new(),
                values: Vec::new(),
            });
        } else if let Some(last) = found.last_mut() {
            last.sql.push_str(line);
            last.sql.push('\n');
        }
    }
    found.retain(|statement| !statement.sql.trim().is_empty());
    Ok(found)
}

/// On a server alone: where others make databases and roles, the catalog is read again, and what is
/// counted to the last statement would be wrong.
fn ground() -> Result<(Postgres, Database, Pgmemo)> {
    ground_with("")
}

fn ground_with(more: &str) -> Result<(Postgres, Database, Pgmemo)> {
    let postgres = Postgres::start(Version::System)?;
    let database = postgres.database()?;
    database.connect()?.run(SCHEMA)?;
    database.connect()?.run(more)?;
    let pgmemo = Pgmemo::start(&postgres, Store::Memory, &[])?;
    Ok((postgres, database, pgmemo))
}

/// Compares what came of each statement with what the corpus says, all at once.
fn judge(found: &BTreeMap<String, String>) -> Result<()> {
    let corpus = corpus()?;
    let mut odd = Vec::new();
    let mut hits = 0;
    for statement in &corpus {
        let outcome = found.get(&statement.name).map_or("not run", |it| &**it);
        hits += usize::from(outcome == "hit");
        if outcome != statement.expected() {
            odd.push(format!(
                "{outcome} instead of {}: {}",
                statement.expected(),
                statement.name
            ));
        }
    }
    ensure!(odd.is_empty(), "{}", odd.join("\n"));
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    let share = hits as f64 / corpus.len() as f64;
    ensure!(share >= HIT_SHARE_MIN, "{hits} hits of {}", corpus.len());
    Ok(())
}

/// What came of one run.
fn outcome(before: &Metrics, after: &Metrics) -> String {
    if after.hits() > before.hits() {
        return "hit".into();
    }
    let reasons = after.bypass_reasons_since(before);
    reasons
        .first()
        .map_or("miss".into(), |(reason, _)| reason.clone())
}

#[test]
fn the_corpus_is_as_large_as_it_should_be() -> Result<()> {
    let corpus = corpus()?;
    ensure!(corpus.len() >= 130, "{} statements", corpus.len());
    let names: std::collections::HashSet<_> = corpus.iter().map(|it| &it.name).collect();
    assert_eq!(names.len(), corpus.len(), "names are unique");
    Ok(())
}

/// One statement by one protocol; the messages up to ReadyForQuery.
fn exchange(conn: &mut Conn, statement: &Statement, way: Way) -> Result<Vec<Message>> {
    let values: Vec<String> = statement.values.iter().map(text_of).collect();
    let values: Vec<&str> = values.iter().map(String::as_str).collect();
    let frames = match way {
        Way::Simple => Frontend::new().query(&statement.sql),
        Way::Text => Frontend::new()
            .parse("", &statement.sql, &[])
            .bind("", "", &values)
            .describe_portal("")
            .execute("", 0)
            .sync(),
        Way::Binary => {
            let arguments: Vec<_> = values.iter().map(|value| Some(value.as_bytes())).collect();
            Frontend::new()
                .parse("", &statement.sql, &[])
                .bind_with("", "", &[], &arguments, &[Format::Binary])
                .describe_portal("")
                .execute("", 0)
                .sync()
        }
    };
    conn.send(frames.bytes())?;
    Ok(conn.read_until(b'Z')?.0)
}

#[derive(Clone, Copy, Debug)]
enum Way {
    Simple,
    Text,
    Binary,
}

fn check_bytes(way: Way) -> Result<()> {
    check_bytes_with(way, "")
}

fn check_bytes_with(way: Way, more: &str) -> Result<()> {
    let (postgres, database, pgmemo) = ground_with(more)?;
    let login = Login::to(database.name());
    let mut direct = Conn::connect(postgres.address(), &login)?;
    let mut through = Conn::connect(pgmemo.address(), &login)?;
    let mut found = BTreeMap::new();
    for statement in corpus()? {
        if matches!(way, Way::Simple) && !statement.values.is_empty() {
            found.insert(statement.name.clone(), statement.expected().to_owned());
            continue;
        }
        let expected = exchange(&mut direct, &statement, way)?;
        for run in 0..3 {
            let before = pgmemo.metrics()?;
            let answer = exchange(&mut through, &statement, way)?;
            if run == 1 {
                let outcome = outcome(&before, &pgmemo.metrics()?);
                found.insert(statement.name.clone(), outcome);
            }
            let same = statement.is_random() || answer == expected;
            ensure!(same, "{} differs at run {run}", statement.name);
        }
    }
    if pgmemo.is_real() {
        judge(&found)
    } else {
        Ok(())
    }
}

#[test]
fn simple_queries_are_equal_and_hit() -> Result<()> {
    check_bytes(Way::Simple)
}

#[test]
fn extended_queries_are_equal_and_hit() -> Result<()> {
    check_bytes(Way::Text)
}

#[test]
fn binary_results_are_equal_and_hit() -> Result<()> {
    check_bytes(Way::Binary)
}

/// Operators of the usual names over types of the user's: those of extensions, and some of which
/// nobody knows what they do. Ranges, which bring functions and a cast of their own.
const OPERATORS: &str = "
CREATE EXTENSION IF NOT EXISTS citext; CREATE EXTENSION IF NOT EXISTS hstore;
CREATE EXTENSION IF NOT EXISTS ltree; CREATE EXTENSION IF NOT EXISTS intarray;
CREATE EXTENSION IF NOT EXISTS pg_trgm; CREATE EXTENSION IF NOT EXISTS cube;
CREATE EXTENSION IF NOT EXISTS seg; CREATE EXTENSION IF NOT EXISTS isn;
CREATE EXTENSION IF NOT EXISTS btree_gist; CREATE EXTENSION IF NOT EXISTS btree_gin;
CREATE TYPE grade AS ENUM ('good', 'bad'); CREATE TYPE amount AS (n numeric, unit text);
CREATE TYPE span AS RANGE (SUBTYPE = float8, SUBTYPE_DIFF = float8mi); CREATE TYPE words AS RANGE (SUBTYPE = text);
CREATE FUNCTION is_same(grade, grade) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN RETURN random() < 2; END $$;
CREATE FUNCTION is_same(amount, amount) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN RETURN random() < 2; END $$;
CREATE FUNCTION times(amount, amount) RETURNS amount LANGUAGE plpgsql AS $$ BEGIN RETURN $1; END $$;
CREATE OPERATOR = (LEFTARG = grade, RIGHTARG = grade, FUNCTION = is_same);
CREATE OPERATOR < (LEFTARG = grade, RIGHTARG = grade, FUNCTION = is_same);
CREATE OPERATOR = (LEFTARG = amount, RIGHTARG = amount, FUNCTION = is_same);
CREATE OPERATOR < (LEFTARG = amount, RIGHTARG = amount, FUNCTION = is_same);
CREATE OPERATOR * (LEFTARG = amount, RIGHTARG = amount, FUNCTION = times);
";

#[test]
fn operators_of_the_users_keep_no_read_from_the_store() -> Result<()> {
    check_bytes_with(Way::Simple, OPERATORS)?;
    check_bytes_with(Way::Text, OPERATORS)
}

fn check_script(script: Script) -> Result<()> {
    let (postgres, database, pgmemo) = ground()?;
    let dir = tempfile::tempdir()?;
    let (corpus, report) = (dir.path().join("corpus.sql"), dir.path().join("report"));
    fs::write(&corpus, STATEMENTS)?;
    let script = script.with("CORPUS", &corpus.to_string_lossy());
    let expected = script.output(&postgres.url(database.name()))?;
    let script = if pgmemo.is_real() {
        let metrics = format!("http://{}/metrics", pgmemo.admin());
        script
            .with("PGMEMO_METRICS", &metrics)
            .with("HITS_REPORT", &report.to_string_lossy())
    } else {
        script
    };
    let found = script.output(&pgmemo.url(database.name()))?;
    pgmemo_tests::driver::compare(&expected, &found)?;
    if !pgmemo.is_real() {
        return Ok(());
    }
    let outcomes = fs::read_to_string(&report)?;
    let pairs = outcomes
        .lines()
        .filter_map(|line| line.split_once('\t'))
        .map(|(name, what)| (name.to_owned(), what.to_owned()));
    judge(&pairs.collect())
}

#[test]
fn psycopg_reads_the_corpus_in_text() -> Result<()> {
    check_script(Script::python("corpus.py", &["text"])?)
}

#[test]
fn psycopg_reads_the_corpus_in_binary() -> Result<()> {
    check_script(Script::python("corpus.py", &["binary"])?)
}

#[test]
fn asyncpg_reads_the_corpus() -> Result<()> {
    check_script(Script::python("corpus.py", &["asyncpg"])?)
}

#[test]
fn node_postgres_reads_the_corpus_by_simple_queries() -> Result<()> {
    check_script(Script::node("corpus.mjs", &["plain"])?)
}

#[test]
fn node_postgres_reads_the_corpus_by_named_statements() -> Result<()> {
    check_script(Script::node("corpus.mjs", &["named"])?)
}

#[tokio::test]
async fn tokio_postgres_reads_the_corpus() -> Result<()> {
    let (postgres, database, pgmemo) = ground()?;
    let (expected, _) = read_all(&postgres.url(database.name()), None).await?;
    let (found, outcomes) = read_all(&pgmemo.url(database.name()), Some(&pgmemo)).await?;
    assert_eq!(expected, found);
    if pgmemo.is_real() {
        judge(&outcomes)
    } else {
        Ok(())
    }
}

/// The rows of all statements in binary, three times each, and what came of each second run.
async fn read_all(
    url: &str,
    pgmemo: Option<&Pgmemo>,
) -> Result<(Vec<String>, BTreeMap<String, String>)> {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await?;
    let driving = tokio::spawn(connection);
    let (mut shown, mut outcomes) = (Vec::new(), BTreeMap::new());
    for one in corpus()? {
        let prepared = client.prepare(&one.sql).await.context(one.name.clone())?;
        let values: Vec<Json<'_>> = one.values.iter().map(Json).collect();
        for run in 0..3 {
            let before = pgmemo.map(Pgmemo::metrics).transpose()?;
            let values = values.iter().map(|value| value as &(dyn ToSql + Sync));
            let values: Vec<_> = values.collect();
            let rows = client.query(&prepared, &values).await?;
            if let (1, Some(pgmemo), Some(before)) = (run, pgmemo, before) {
                outcomes.insert(one.name.clone(), outcome(&before, &pgmemo.metrics()?));
            }
            if !one.is_random() {
                let raw = |row: &tokio_postgres::Row| -> Result<Vec<Option<Vec<u8>>>> {
                    let columns = 0..row.len();
                    columns
                        .map(|at| Ok(row.try_get::<_, Option<Raw>>(at)?.map(|it| it.0)))
                        .collect()
                };
                let rows: Result<Vec<_>> = rows.iter().map(raw).collect();
                shown.push(format!("{} {:?}", one.name, rows?));
            }
        }
    }
    drop(client);
    driving.await??;
    Ok((shown, outcomes))
}

/// The bytes of a column, whatever its type.
struct Raw(Vec<u8>);

impl<'a> tokio_postgres::types::FromSql<'a> for Raw {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self(raw.to_vec()))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

/// A value of the corpus as the type that the server wants; in binary where that is simple.
#[derive(Debug)]
struct Json<'a>(&'a serde_json::Value);

impl ToSql for Json<'_> {
    fn to_sql(
        &self,
        kind: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        let number = || self.0.as_i64().unwrap_or_default();
        match *kind {
            Type::BOOL => self.0.as_bool().to_sql(kind, out),
            Type::INT2 => i16::try_from(number())?.to_sql(kind, out),
            Type::INT4 => i32::try_from(number())?.to_sql(kind, out),
            Type::INT8 => number().to_sql(kind, out),
            Type::FLOAT8 => self.0.as_f64().to_sql(kind, out),
            Type::INT4_ARRAY => {
                let list = self.0.as_array().into_iter().flatten();
                let numbers: Vec<i32> = list
                    .filter_map(|it| i32::try_from(it.as_i64()?).ok())
                    .collect();
                numbers.to_sql(kind, out)
            }
            _ => {
                out.extend_from_slice(text_of(self.0).as_bytes());
                Ok(IsNull::No)
            }
        }
    }

    fn encode_format(&self, kind: &Type) -> tokio_postgres::types::Format {
        match *kind {
            Type::BOOL | Type::INT2 | Type::INT4 | Type::INT8 | Type::FLOAT8 | Type::INT4_ARRAY => {
                tokio_postgres::types::Format::Binary
            }
            _ => tokio_postgres::types::Format::Text,
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

/// A value of the corpus as the server reads it.
fn text_of(value: &serde_json::Value) -> String {
    if let Some(text) = value.as_str() {
        text.to_owned()
    } else if let Some(list) = value.as_array() {
        let list: Vec<String> = list.iter().map(text_of).collect();
        format!("{{{}}}", list.join(","))
    } else {
        value.to_string()
    }
}
