//! Drivers as people use them: what they print must not depend on whether pgmemo stands between.

#![allow(clippy::panic, reason = "helpers of tests fail as tests do")]

use std::{fs, process::Command};

use anyhow::{Context, Result, ensure};
use pgmemo_tests::{
    Metrics, Pgmemo, Postgres, Store, Version,
    driver::{Script, compare as compare_output, output},
    postgres::Database,
};

const FIXTURE: &str = include_str!("../drivers/fixture.sql");
const ALL: &str = "SELECT id, name, price::text, ratio, tags, raw, ok FROM item ORDER BY id";

/// On a server alone: where others make databases and roles, the catalog is read again, and what is
/// counted to the last statement would be wrong.
fn ground() -> Result<(Postgres, Database, Pgmemo)> {
    let postgres = Postgres::start(Version::System)?;
    let database = postgres.database()?;
    database.connect()?.run(FIXTURE)?;
    let pgmemo = Pgmemo::start(&postgres, Store::Memory, &[])?;
    Ok((postgres, database, pgmemo))
}

fn check(script: &Script) -> Result<()> {
    let (postgres, database, pgmemo) = ground()?;
    script.check(&postgres, &database, &pgmemo)
}

#[test]
fn psycopg_3_sees_no_difference() -> Result<()> {
    check(&Script::python("psycopg3.py", &["text"])?)
}

#[test]
fn psycopg_3_in_binary_sees_no_difference() -> Result<()> {
    check(&Script::python("psycopg3.py", &["binary"])?)
}

#[test]
fn psycopg_3_in_pipelines_sees_no_difference() -> Result<()> {
    check(&Script::python("psycopg3.py", &["pipeline"])?)
}

#[test]
fn psycopg2_sees_no_difference() -> Result<()> {
    check(&Script::python("psycopg2_script.py", &[])?)
}

#[test]
fn asyncpg_sees_no_difference() -> Result<()> {
    check(&Script::python("asyncpg_script.py", &[])?)
}

#[test]
fn node_postgres_sees_no_difference() -> Result<()> {
    check(&Script::node("pg.mjs", &[])?)
}

#[test]
fn postgres_js_sees_no_difference() -> Result<()> {
    check(&Script::node("postgres.mjs", &[])?)
}

/// Values of every type as parameters: what a driver makes of them, and that each was a hit when it
/// was asked for again, in the same session and in another.
fn check_typed(script: Script) -> Result<()> {
    let (postgres, database, pgmemo) = ground()?;
    let expected = script.output(&postgres.url(database.name()))?;
    let dir = tempfile::tempdir()?;
    let report = dir.path().join("report");
    let script = if pgmemo.is_real() {
        let metrics = format!("http://{}/metrics", pgmemo.admin());
        script
            .with("PGMEMO_METRICS", &metrics)
            .with("HITS_REPORT", &report.to_string_lossy())
    } else {
        script
    };
    for run in 0..2 {
        let found = script.output(&pgmemo.url(database.name()))?;
        compare_output(&expected, &found).with_context(|| format!("run {run}"))?;
        if !pgmemo.is_real() {
            continue;
        }
        let hits = fs::read_to_string(&report)?;
        ensure!(hits.lines().count() > 30, "columns are missing: {hits}");
        let missed: Vec<_> = hits.lines().filter(|it| !it.ends_with("\thit")).collect();
        ensure!(missed.is_empty(), "not remembered: {missed:?}");
    }
    Ok(())
}

#[test]
fn psycopg_3_sends_every_type_in_text() -> Result<()> {
    check_typed(Script::python("typed.py", &["text"])?)
}

#[test]
fn psycopg_3_sends_every_type_in_binary() -> Result<()> {
    check_typed(Script::python("typed.py", &["binary"])?)
}

#[test]
fn asyncpg_sends_every_type() -> Result<()> {
    check_typed(Script::python("typed.py", &["asyncpg"])?)
}

#[test]
fn node_postgres_sends_every_type() -> Result<()> {
    check_typed(Script::node("typed.mjs", &["pg"])?)
}

#[test]
fn postgres_js_sends_every_type() -> Result<()> {
    check_typed(Script::node("typed.mjs", &["postgres"])?)
}

/// Runs `read` at the server and three times through pgmemo, and compares what it gives.
async fn compare<F: AsyncFn(String) -> Result<Vec<String>>>(read: F) -> Result<()> {
    let (postgres, database, pgmemo) = ground()?;
    let expected = read(postgres.url(database.name())).await?;
    let before = pgmemo.metrics()?;
    for run in 0..3 {
        let found = read(pgmemo.url(database.name())).await?;
        assert_eq!(expected, found, "run {run}");
    }
    pgmemo.expect_hits_since(&before, 1.0)
}

#[tokio::test]
async fn tokio_postgres_sees_no_difference() -> Result<()> {
    compare(async |url| {
        let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await?;
        let driving = tokio::spawn(connection);
        let mut shown = Vec::new();
        let one = client
            .prepare("SELECT name, ratio FROM item WHERE id = $1")
            .await?;
        for _ in 0..3 {
            for row in client.query(ALL, &[]).await? {
                let id: i32 = row.get(0);
                let (name, tags): (Option<String>, Option<Vec<Option<String>>>) =
                    (row.get(1), row.get(4));
                shown.push(format!(
                    "{id} {name:?} {tags:?} {:?}",
                    row.get::<_, Option<&[u8]>>(5)
                ));
            }
            for key in [1, 2, 99] {
                let row = client.query_one(&one, &[&key]).await?;
                shown.push(format!("{:?}", row.get::<_, Option<f64>>(1)));
            }
            let several = client
                .simple_query("SELECT 1; SELECT name FROM item WHERE id = 1")
                .await?;
            shown.push(format!("{several:?}"));
        }
        // Sent without waiting for one another.
        let (left, right) = tokio::try_join!(
            client.query(&one, &[&1]),
            client.query("SELECT count(*) FROM item", &[])
        )?;
        shown.push(format!("{} {}", left.len(), right[0].get::<_, i64>(0)));
        let error = client
            .query("SELECT 1 / (id - 1) FROM item", &[])
            .await
            .err();
        shown.push(format!("{error:?}"));
        for value in 0..4 {
            client
                .execute("UPDATE stock SET n = $1 WHERE id = 1", &[&value])
                .await?;
            let row = client
                .query_one("SELECT n FROM stock WHERE id = 1", &[])
                .await?;
            shown.push(format!("{}", row.get::<_, i32>(0)));
        }
        drop(client);
        driving.await??;
        Ok(shown)
    })
    .await
}

#[tokio::test]
async fn sqlx_sees_no_difference() -> Result<()> {
    use sqlx::{Connection, Row, postgres::PgConnection};
    compare(async |url| {
        let mut conn = PgConnection::connect(&url).await?;
        let mut shown = Vec::new();
        for _ in 0..3 {
            for row in sqlx::query(ALL).fetch_all(&mut conn).await? {
                let (id, name): (i32, Option<String>) = (row.get(0), row.get(1));
                shown.push(format!("{id} {name:?} {:?}", row.get::<Option<bool>, _>(6)));
            }
            for key in [1, 2, 99, 1234] {
                let row = sqlx::query("SELECT name FROM item WHERE id = $1")
                    .bind(key)
                    .fetch_optional(&mut conn)
                    .await?;
                shown.push(format!(
                    "{:?}",
                    row.map(|row| row.get::<Option<String>, _>(0))
                ));
            }
        }
        let mut transaction = conn.begin().await?;
        sqlx::query("UPDATE stock SET n = 5 WHERE id = 1")
            .execute(&mut *transaction)
            .await?;
        let row = sqlx::query("SELECT n FROM stock WHERE id = 1").fetch_one(&mut *transaction);
        shown.push(format!("{}", row.await?.get::<i32, _>(0)));
        transaction.rollback().await?;
        let error = sqlx::query("SELECT 1 / (id - 1) FROM item")
            .fetch_all(&mut conn)
            .await
            .err();
        shown.push(format!("{error:?}"));
        conn.close().await?;
        Ok(shown)
    })
    .await
}

/// The share of hits that pgbench's reads must reach once warm.
const HIT_RATE_MIN: f64 = 0.95;

fn pgbench(protocol: &str) -> Result<()> {
    let (_postgres, database, pgmemo) = ground()?;
    let dir = tempfile::tempdir()?;
    let script = dir.path().join("read.sql");
    std::fs::write(
        &script,
        "\\set id random(1, 20)\nSELECT name FROM item WHERE id = :id;\n",
    )?;
    let run = |transactions: &str| {
        let mut command = Command::new("pgbench");
        command.args([
            "--no-vacuum",
            "--client=4",
            "--jobs=2",
            "--protocol",
            protocol,
        ]);
        command
            .args(["--transactions", transactions, "--file"])
            .arg(&script);
        output(command.arg(pgmemo.url(database.name())))
    };
    run("200")?;
    let before = pgmemo.metrics()?;
    let report = run("1000")?;
    ensure!(
        report.contains("number of transactions actually processed: 4000/4000"),
        "{report}"
    );
    check_rate(&pgmemo, &before)
}

fn check_rate(pgmemo: &Pgmemo, before: &Metrics) -> Result<()> {
    if !pgmemo.is_real() {
        return Ok(());
    }
    let now = pgmemo.metrics()?;
    let hits = now.hits() - before.hits();
    let all = hits + now.misses() - before.misses() + now.bypasses() - before.bypasses();
    let reasons = now.bypass_reasons_since(before);
    ensure!(
        hits / all >= HIT_RATE_MIN,
        "{hits} hits of {all} reads; bypassed for {reasons:?}"
    );
    Ok(())
}

#[test]
fn pgbench_by_simple_queries_hits() -> Result<()> {
    pgbench("simple")
}

#[test]
fn pgbench_by_extended_queries_hits() -> Result<()> {
    pgbench("extended")
}

#[test]
fn pgbench_by_prepared_statements_hits() -> Result<()> {
    pgbench("prepared")
}

#[test]
fn psql_describes_tables_and_dumps_are_equal() -> Result<()> {
    let (postgres, database, pgmemo) = ground()?;
    let run = |url: String| {
        let mut psql = Command::new("psql");
        psql.args([
            "--no-psqlrc",
            "--echo-all",
            "-c",
            "\\d item",
            "-c",
            "TABLE stock",
            "-c",
            "\\dt",
        ]);
        let described = output(psql.arg(&url))?;
        // It refuses servers that are newer than itself.
        let dumped = match std::env::var_os("PGMEMO_TEST_VERSION") {
            None => output(Command::new("pg_dump").arg(&url))?,
            Some(_) => String::new(),
        };
        // Newer dumps carry a random word against injection.
        let steady =
            |line: &&str| !line.starts_with("\\restrict") && !line.starts_with("\\unrestrict");
        let dumped: Vec<_> = dumped.lines().filter(steady).collect();
        Ok::<_, anyhow::Error>(format!("{described}\n{}", dumped.join("\n")))
    };
    let expected = run(postgres.url(database.name()))?;
    assert_eq!(expected, run(pgmemo.url(database.name()))?);
    Ok(())
}
