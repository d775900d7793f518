//! The console and the dashboard, as people ask for them: by psql, by drivers, in a browser.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use pgmemo_tests::{
    Pgmemo, Postgres, Store, Version,
    driver::{Script, output},
    env, http,
    postgres::Database,
};

struct Ground {
    pgmemo: Pgmemo,
    _database: Database,
    _postgres: Postgres,
}

/// pgmemo with a few statements behind it; nothing without it.
///
/// Of `SELECT v FROM t WHERE id = ?` there were two misses and two hits, with two constants.
fn ground() -> Result<Option<Ground>> {
    if env::direct() {
        return Ok(None);
    }
    // Alone: where others make databases and roles, the catalog is read again.
    let postgres = Postgres::start(Version::System)?;
    let database = postgres.database()?;
    let mut owner = database.connect()?;
    owner.run("CREATE TABLE t (id int PRIMARY KEY, v text)")?;
    owner.run("INSERT INTO t VALUES (1, 'a')")?;
    let pgmemo = Pgmemo::start(&postgres, Store::Memory, &[])?;
    let mut client = pgmemo.connect(database.name())?;
    for constant in ["8675309", "1", "8675309", "1"] {
        client.run(&format!("SELECT v FROM t WHERE id = {constant}"))?;
    }
    for _ in 0..3 {
        client.run("SELECT now() FROM t WHERE v <> 'hush-hush' /* trace 8675309 */")?;
    }
    client.run("SET application_name = 'hush-hush'")?;
    client.run("UPDATE t SET v = 'hush-hush' WHERE id = 8675309")?;
    client.run("SELECT v FROM t WHERE v = $$hush-hush$$ AND id = 1.8675309")?;
    Ok(Some(Ground {
        pgmemo,
        _database: database,
        _postgres: postgres,
    }))
}

fn url(pgmemo: &Pgmemo) -> String {
    format!("postgres://pgmemo@{}/pgmemo", pgmemo.admin())
}

/// What psql prints, without headings.
fn psql(pgmemo: &Pgmemo, command: &str) -> Result<String> {
    let mut psql = Command::new("psql");
    psql.args(["--no-psqlrc", "-A", "-t", "-F", " | ", "-c", command]);
    output(psql.arg(url(pgmemo)))
}

#[test]
fn psql_is_told_why_statements_are_not_cached() -> Result<()> {
    let Some(Ground { pgmemo, .. }) = &ground()? else {
        return Ok(());
    };
    let statements = psql(pgmemo, "SHOW STATEMENTS")?;
    for expected in [
        "4 | 2 | 2 | 0 | 0 | 0.5 | ",
        "3 | 0 | 0 | 3 | 0 | 0 |  | clock | clock 3 | pass the time as a parameter",
        "1 | 0 | 0 | 0 | 1 |  |  |  |  |  | UPDATE t SET v = ? WHERE id = ?",
        " | SELECT v FROM t WHERE id = ?\n",
        " | SELECT now() FROM t WHERE v <> ?\n",
        " | SELECT v FROM t WHERE v = ? AND id = ?\n",
    ] {
        ensure!(
            statements.contains(expected),
            "{expected:?} is not in\n{statements}"
        );
    }
    for secret in ["hush", "8675309", "trace"] {
        ensure!(!statements.contains(secret), "{secret} is in\n{statements}");
    }
    let reasons = psql(pgmemo, "SHOW REASONS")?;
    ensure!(
        reasons.starts_with("clock | 3 | reads the clock"),
        "{reasons}"
    );
    let stats = psql(pgmemo, "SHOW STATS")?;
    ensure!(stats.contains(" | 8 | 2 | 3 | 3 | 0.25 | "), "{stats}");
    let tables = psql(pgmemo, "SHOW TABLES")?;
    ensure!(
        tables.contains(" | public | t | 60 |  | 1 | 0\n"),
        "{tables}"
    );
    let databases = psql(pgmemo, "SHOW DATABASES")?;
    ensure!(databases.contains("postgres | ready | \n"), "{databases}");
    let store = psql(pgmemo, "SHOW STORE")?;
    ensure!(store.starts_with("up | 3 | "), "{store}");
    let config = psql(pgmemo, "SHOW CONFIG")?;
    ensure!(
        config.contains("store | memory | memory | after a restart\n"),
        "{config}"
    );
    let top = psql(pgmemo, "show statements limit 1;")?;
    ensure!(top.lines().count() == 1, "{top}");
    let help = psql(pgmemo, "SHOW HELP")?;
    ensure!(help.contains("SHOW STATEMENTS | "), "{help}");
    Ok(())
}

#[test]
fn the_console_runs_no_sql_and_says_what_it_knows() -> Result<()> {
    let Some(Ground { pgmemo, .. }) = &ground()? else {
        return Ok(());
    };
    for command in ["SELECT 1", "\\d", "SHOW nothing", "DROP TABLE t"] {
        let refused = psql(pgmemo, command).err().context("it was not refused")?;
        let text = format!("{refused:?}");
        ensure!(text.contains("SHOW HELP"), "{command}: {text}");
    }
    // It is not where clients connect, and they are not where it is.
    let mut psql = Command::new("psql");
    let elsewhere = format!("postgres://pgmemo@{}/shop", pgmemo.admin());
    let refused = output(psql.args(["-c", "SHOW HELP"]).arg(elsewhere)).err();
    let text = format!("{:?}", refused.context("it was let in")?);
    ensure!(text.contains("the console of pgmemo"), "{text}");
    let (status, _) = http::get(pgmemo.admin(), "/readyz")?;
    ensure!(status == 200, "/readyz answers {status}");
    Ok(())
}

fn check(script: &Script, expected: &str) -> Result<()> {
    let Some(Ground { pgmemo, .. }) = &ground()? else {
        return Ok(());
    };
    let found = script.output(&url(pgmemo))?;
    ensure!(found == expected, "expected\n{expected}\nfound\n{found}");
    Ok(())
}

#[test]
fn drivers_of_python_read_the_console() -> Result<()> {
    check(
        &Script::python("console.py", &[])?,
        "psycopg 3 in text 4 2 float None\n\
         psycopg 3 in text since True\n\
         psycopg 3 in text SHOW HELP lists what it knows.\n\
         psycopg 3 in binary 4 2 float None\n\
         psycopg 3 in binary since True\n\
         psycopg 3 in binary SHOW HELP lists what it knows.\n\
         psycopg2 4 2 float None\n\
         asyncpg 4 2 float None\n\
         asyncpg since True\n",
    )
}

#[test]
fn drivers_of_node_read_the_console() -> Result<()> {
    check(
        &Script::node("console.mjs", &[])?,
        "pg 4 2 number null\n\
         pg, prepared 4 2 number null\n\
         pg 0A000 SHOW HELP lists what it knows.\n\
         postgres 4 2 number null\n\
         postgres, prepared 4 2 number null\n",
    )
}

#[tokio::test]
async fn tokio_postgres_reads_the_console() -> Result<()> {
    let Some(Ground { pgmemo, .. }) = &ground()? else {
        return Ok(());
    };
    let (client, connection) = tokio_postgres::connect(&url(pgmemo), tokio_postgres::NoTls).await?;
    let driving = tokio::spawn(connection);
    let rows = client.query("SHOW STATEMENTS", &[]).await?;
    let counts: Vec<(i64, i64, &str)> = rows
        .iter()
        .map(|row| (row.get("calls"), row.get("hits"), row.get("statement")))
        .collect();
    ensure!(
        counts.contains(&(4, 2, "SELECT v FROM t WHERE id = ?")),
        "{counts:?}"
    );
    drop(client);
    driving.await??;
    Ok(())
}

/// A browser draws the page, takes nothing else in, and draws it anew by itself.
#[test]
fn a_browser_shows_the_dashboard() -> Result<()> {
    let Some(Ground { pgmemo, .. }) = &ground()? else {
        return Ok(());
    };
    let dir = tempfile::tempdir()?;
    let mut browser = Command::new("chromium");
    browser
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
        ])
        .args([
            "--enable-logging=stderr",
            "--virtual-time-budget=12000",
            "--dump-dom",
        ])
        .arg(format!("--user-data-dir={}", dir.path().display()))
        .arg(format!("http://{}/", pgmemo.admin()));
    let output = browser
        .output()
        .context("chromium is missing; run `cargo xtask setup`")?;
    let page = String::from_utf8_lossy(&output.stdout);
    let log = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "chromium: {}\n{log}",
        output.status
    );
    for expected in [
        "data-live=\"yes\"",
        "<td>SELECT v FROM t WHERE id = ?</td>",
        "<td>SELECT now() FROM t WHERE v &lt;&gt; ?</td>",
        "<td>clock 3</td>",
        "aria-label=\"Hit rate, last 5 minutes, from 0 to 100 %\"",
        "<li class=\"ready\">upstream ready</li>",
    ] {
        ensure!(
            page.contains(expected),
            "{expected} is not in\n{page}\n{log}"
        );
    }
    ensure!(!page.contains("hush"), "{page}");
    ensure!(!log.contains("Content Security Policy"), "{log}");
    Ok(())
}
