//! One Redis, and others that use it: another cluster, other programs, those who look into it.

use std::{process::Command, time::Duration};

use anyhow::{Context, Result, ensure};
use pgmemo_tests::{
    Pgmemo, Postgres, Redis, Store, Version,
    driver::output,
    env,
    net::{SOON, eventually},
    postgres::Database,
    wire::Conn,
};

/// A client of pgmemo reads until the answer comes from the store.
fn hit(pgmemo: &Pgmemo, client: &mut Conn, sql: &str) -> Result<String> {
    let before = pgmemo.hits()?;
    let found = eventually("a hit", SOON, || {
        let found = client.value(sql);
        let done = !pgmemo.is_real() || pgmemo.hits().is_ok_and(|hits| hits > before);
        (found.is_err() || done).then_some(found)
    });
    found.flatten()
}

/// Everything that a command prints, one item a line.
fn lines(redis: &Redis, command: &[&str]) -> Result<Vec<String>> {
    let text = output(
        Command::new("redis-cli")
            .args(["-u", &redis.url()])
            .args(command),
    )?;
    Ok(text.lines().map(str::to_owned).collect())
}

/// Two clusters that agree in all that can be chosen: names and numbers of databases and roles.
#[test]
fn k25_two_clusters_share_a_redis_and_nothing_else() -> Result<()> {
    if env::direct() {
        return Ok(());
    }
    let redis = Redis::start()?;
    let name = format!("same_{}", std::process::id());
    let mut stages = Vec::new();
    let one = Postgres::start(Version::System)?;
    let other = Postgres::start(Version::System)?;
    for (cluster, value) in [(&one, "one"), (&other, "other")] {
        let mut admin = cluster.connect("postgres")?;
        admin.run(&format!("CREATE DATABASE {name} OID = 54321"))?;
        let mut direct = cluster.connect(&name)?;
        direct.run(&format!(
            "CREATE TABLE t (v text); INSERT INTO t VALUES ('{value}')"
        ))?;
        let pgmemo = Pgmemo::start(cluster, Store::Redis(&redis), &[])?;
        let client = pgmemo.connect(&name)?;
        stages.push((pgmemo, client, value));
    }
    let read = "SELECT v FROM t";
    for _ in 0..2 {
        for (pgmemo, client, value) in &mut stages {
            let found = hit(pgmemo, client, read)?;
            ensure!(found == *value, "{found} instead of {value}");
        }
    }
    // Neither does a write in one of them cost the other its replies.
    let [(first, writer, _), (second, reader, _)] = &mut stages[..] else {
        unreachable!("there are two")
    };
    let before = second.metrics()?;
    writer.run("UPDATE t SET v = 'new'")?;
    ensure!(reader.value(read)? == "other" && hit(first, writer, read)? == "new");
    second.expect_hits_since(&before, 1.0)
}

/// What others keep in the same Redis stays, and nothing that pgmemo does takes longer for it.
#[test]
fn r19_keys_of_others_are_neither_touched_nor_looked_at() -> Result<()> {
    let (redis, pgmemo, database) = stage(&[])?;
    redis.command("SET theirs untouched")?;
    let mut client = pgmemo.connect(database.name())?;
    hit(&pgmemo, &mut client, "SELECT v FROM t")?;
    client.run("UPDATE t SET v = 'b'")?;
    client.run("CREATE TABLE more (n int)")?;
    client.run("DO $$ BEGIN DELETE FROM t; END $$")?;
    drop((client, pgmemo));
    let theirs = lines(&redis, &["GET", "theirs"])?;
    ensure!(theirs == ["untouched"], "{theirs:?}");
    let stats = lines(&redis, &["INFO", "commandstats"])?;
    for word in ["keys", "scan", "flushall", "flushdb", "unlink"] {
        let used = format!("cmdstat_{word}:");
        ensure!(!stats.iter().any(|line| line.starts_with(&used)), "{used}");
    }
    Ok(())
}

/// What a statement asks for stands nowhere but in its reply.
#[test]
fn s08_neither_names_in_redis_nor_numbers_nor_logs_show_what_was_asked() -> Result<()> {
    let (redis, mut pgmemo, database) = stage(&[])?;
    let mut client = pgmemo.connect(database.name())?;
    hit(&pgmemo, &mut client, "SELECT v FROM t WHERE v <> 'sesame'")?;
    client.extended("SELECT v FROM t WHERE v <> $1", &["sesame"])?;
    client.run("UPDATE t SET v = 'sesame' WHERE v = 'sesame'")?;
    client.query("SELECT 'sesame'::int FROM t")?;
    let names = lines(&redis, &["--scan"])?;
    if !pgmemo.is_real() {
        return Ok(());
    }
    let shown = pgmemo_tests::http::get(pgmemo.admin(), "/metrics")?.1;
    let log = std::fs::read_to_string(pgmemo.dir()?.join("log"))?;
    ensure!(names.iter().any(|name| name.contains(":k:")), "{names:?}");
    for text in names.iter().chain([&shown, &log]) {
        ensure!(!text.contains("sesame"), "{text}");
    }
    pgmemo.term(SOON).map(drop)
}

/// A deleted row lies in Redis as long as the TTL says, and no longer.
#[test]
fn s09_what_was_deleted_is_gone_with_the_ttl() -> Result<()> {
    let (redis, pgmemo, database) = stage(&["--default-ttl", "2s"])?;
    let mut client = pgmemo.connect(database.name())?;
    hit(&pgmemo, &mut client, "SELECT v FROM t")?;
    client.run("DELETE FROM t")?;
    let replies = || -> Result<Vec<String>> {
        let mut names = lines(&redis, &["--scan"])?;
        names.retain(|name| name.contains(":k:"));
        Ok(names)
    };
    for name in replies()? {
        let ms = lines(&redis, &["PTTL", &name])?;
        let ms: i64 = ms.first().context("no PTTL")?.parse()?;
        // -2: it has ended meanwhile.
        ensure!(
            ms == -2 || (0..=2000).contains(&ms),
            "{name} ends in {ms} ms"
        );
    }
    eventually("an empty Redis", Duration::from_secs(5), || {
        replies().is_ok_and(|names| names.is_empty()).then_some(())
    })
}

fn stage(arguments: &[&str]) -> Result<(Redis, Pgmemo, Database)> {
    let postgres = Postgres::shared(Version::System);
    let database = postgres.database()?;
    database
        .connect()?
        .run("CREATE TABLE t (v text); INSERT INTO t VALUES ('a')")?;
    let redis = Redis::start()?;
    let pgmemo = Pgmemo::start(postgres, Store::Redis(&redis), arguments)?;
    Ok((redis, pgmemo, database))
}
