//! Databases that are dropped, renamed, copied and made anew while pgmemo knows them.

use anyhow::{Context, Result, anyhow, ensure};
use pgmemo_tests::{
    Pgmemo, Postgres, Redis, Store, Version, env,
    net::{SOON, eventually},
    postgres::Database,
    wire::{Conn, Frontend},
};

struct Ground<'a> {
    postgres: &'a Postgres,
    pgmemo: Pgmemo,
    /// Gives names that nobody else takes, and is dropped at the end.
    database: Database,
}

impl Ground<'static> {
    fn new() -> Result<Self> {
        Self::on(Postgres::shared(Version::System))
    }
}

impl<'a> Ground<'a> {
    fn on(postgres: &'a Postgres) -> Result<Self> {
        let database = postgres.database()?;
        let pgmemo = Pgmemo::start(postgres, Store::Memory, &[])?;
        Ok(Self {
            postgres,
            pgmemo,
            database,
        })
    }

    /// A client reads through pgmemo until the answer comes from the store, and leaves.
    fn visit(&self, expected: &str) -> Result<()> {
        let name = self.database.name();
        let mut conn = self.pgmemo.connect(name)?;
        let before = self.pgmemo.hits()?;
        // Where the database has just been made anew, its catalog has to be read first.
        eventually("hit", SOON, || match conn.value("SELECT v FROM t") {
            Ok(found) if found != expected => Some(Err(anyhow!("{found} instead of {expected}"))),
            Ok(_) if self.pgmemo.is_real() && self.pgmemo.hits().ok()? <= before => None,
            Ok(_) => Some(Ok(())),
            Err(error) => Some(Err(error)),
        })?
    }

    fn fill(&self, value: &str) -> Result<()> {
        let sql = format!("CREATE TABLE t (v text); INSERT INTO t VALUES ('{value}')");
        self.database.connect()?.run(&sql)?;
        Ok(())
    }
}

/// A connection of pgmemo's own to a database must not count as somebody who uses it.
#[test]
fn k24_a_database_that_clients_have_left_can_be_dropped_renamed_and_copied() -> Result<()> {
    let ground = Ground::new()?;
    ground.fill("first")?;
    let name = ground.database.name();
    let mut admin = ground.pgmemo.connect("postgres")?;
    ground.visit("first")?;
    admin.run(&format!("CREATE DATABASE {name}_copy TEMPLATE {name}"))?;
    admin.run(&format!("DROP DATABASE {name}_copy"))?;
    ground.visit("first")?;
    admin.run(&format!("ALTER DATABASE {name} RENAME TO {name}_moved"))?;
    admin.run(&format!("ALTER DATABASE {name}_moved RENAME TO {name}"))?;
    ground.visit("first")?;
    admin.run(&format!("DROP DATABASE {name}"))?;
    admin.run(&format!("CREATE DATABASE {name}"))?;
    ground.fill("second")?;
    ground.visit("second")
}

/// Neither must it when the statement goes around pgmemo: PostgreSQL waits five seconds.
#[test]
fn k24_a_database_that_clients_have_left_can_be_dropped_elsewhere() -> Result<()> {
    let ground = Ground::new()?;
    ground.fill("first")?;
    let name = ground.database.name();
    let mut admin = ground.postgres.connect("postgres")?;
    ground.visit("first")?;
    admin
        .run(&format!("DROP DATABASE {name}"))
        .context("dropped")?;
    admin.run(&format!("CREATE DATABASE {name}"))?;
    ground.fill("second")?;
    ground.visit("second")
}

/// A database that is made anew while its clients are thrown out is another one.
#[test]
fn k24_a_database_made_anew_by_force_is_another_one() -> Result<()> {
    let ground = Ground::new()?;
    ground.fill("first")?;
    let name = ground.database.name();
    let mut admin = ground.pgmemo.connect("postgres")?;
    let _thrown_out = ground.pgmemo.connect(name)?;
    ground.visit("first")?;
    admin.run(&format!("DROP DATABASE {name} WITH (FORCE)"))?;
    admin.run(&format!("CREATE DATABASE {name}"))?;
    ground.fill("second")?;
    ground.visit("second")
}

/// An instance that has lost its connection to a database when that was dropped by force does not take
/// the next of its name for it: its writes wait until they can be told to others.
#[test]
fn k24_a_write_to_a_database_made_anew_by_force_is_told_to_other_instances() -> Result<()> {
    write_to_databases_made_anew(false)
}

/// Nor does one that has asked for it meanwhile, and was told that there is none: a client has been let
/// in since. It asks as long as there is a client of the old one, as one that has yet to read something.
#[test]
fn k24_a_write_to_a_database_made_anew_is_told_though_there_was_none_before() -> Result<()> {
    write_to_databases_made_anew(true)
}

/// Where somebody is left, a client of the instance outlasts its database.
fn write_to_databases_made_anew(somebody_is_left: bool) -> Result<()> {
    if env::direct() {
        return Ok(());
    }
    let postgres = Postgres::shared(Version::System);
    let redis = Redis::start()?;
    let start = || Pgmemo::start(postgres, Store::Redis(&redis), &[]);
    let (reading, writing) = (start()?, start()?);
    let database = postgres.database()?;
    let name = database.name();
    let hits = |conn: &mut Conn| {
        let before = reading.hits()?;
        eventually("hit", SOON, || {
            conn.value("SELECT v FROM t").ok()?;
            (reading.hits().ok()? > before).then_some(())
        })
    };
    let mut admin = postgres.connect("postgres")?;
    for value in ["first", "second", "third"] {
        let fill = format!("CREATE TABLE t (v text); INSERT INTO t VALUES ('{value}')");
        database.connect()?.run(&fill)?;
        let mut reader = reading.connect(name)?;
        hits(&mut reader)?;
        let mut writer = writing.connect(name)?;
        writer.run("UPDATE t SET v = 'written'")?;
        let found = reader.value("SELECT v FROM t")?;
        ensure!(found == "written", "{found} in the {value}");
        let mut other = writing.connect(name)?;
        if somebody_is_left {
            let sql = "SELECT repeat('x', 1000) FROM generate_series(1, 100000)";
            other.send(Frontend::new().query(sql).bytes())?;
            let waits = format!(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = '{name}' \
                 AND wait_event = 'ClientWrite'"
            );
            eventually("a reply that is not read", SOON, || {
                (admin.value(&waits).ok()? != "0").then_some(())
            })?;
        }
        drop((reader, writer));
        admin.run(&format!("DROP DATABASE {name} WITH (FORCE)"))?;
        if somebody_is_left {
            eventually("a refusal", SOON, || {
                let log = writing.log_tail();
                let last = log.lines().rfind(|line| line.contains(name))?;
                last.contains("3D000").then_some(())
            })
            .with_context(|| writing.log_tail())?;
        }
        admin.run(&format!("CREATE DATABASE {name}"))?;
    }
    Ok(())
}

/// Nobody watches a database while no client is there. One that was made anew meanwhile is written
/// to before anybody has looked which one it is.
#[test]
fn k24_a_write_to_a_database_made_anew_is_not_taken_for_one_to_the_old() -> Result<()> {
    if env::direct() {
        return Ok(());
    }
    let postgres = Postgres::start(Version::System)?;
    let database = postgres.database()?;
    let name = database.name();
    let role = format!("{name}_watcher");
    let mut admin = postgres.connect("postgres")?;
    for sql in [
        format!("CREATE ROLE {role} LOGIN"),
        format!("GRANT pg_monitor TO {role}"),
        format!("GRANT EXECUTE ON FUNCTION pg_control_system() TO {role}"),
        format!("GRANT EXECUTE ON FUNCTION pg_control_checkpoint() TO {role}"),
    ] {
        admin.run(&sql)?;
    }
    let upstream = postgres
        .url("postgres")
        .replace("postgres@", &format!("{role}@"));
    let pgmemo = Pgmemo::start_upstream(&upstream, Store::Memory, &[], "")?;
    let ground = Ground {
        postgres: &postgres,
        pgmemo,
        database,
    };
    ground.fill("first")?;
    let name = ground.database.name();
    ground.visit("first")?;
    // PostgreSQL waits until the watcher has left.
    admin.run(&format!("DROP DATABASE {name}"))?;
    admin.run(&format!("CREATE DATABASE {name}"))?;
    ground.fill("second")?;
    admin.run(&format!("ALTER ROLE {role} CONNECTION LIMIT 0"))?;

    let mut holder = ground.database.connect()?;
    holder.run("BEGIN; LOCK TABLE t IN SHARE ROW EXCLUSIVE MODE")?;
    let mut writer = ground.pgmemo.connect(name)?;
    writer.send(Frontend::new().query("UPDATE t SET v = 'third'").bytes())?;
    let waits = "SELECT count(*) FROM pg_locks WHERE NOT granted";
    eventually("a writer that waits", SOON, || {
        (holder.value(waits).ok()? == "1").then_some(())
    })?;
    admin.run(&format!("ALTER ROLE {role} CONNECTION LIMIT -1"))?;
    let mut reader = ground.pgmemo.connect(name)?;
    // As often as it takes until the database is known and what is read could be remembered.
    let before = ground.pgmemo.metrics()?;
    eventually("knowledge", SOON, || {
        assert_eq!(reader.value("SELECT v FROM t").ok()?, "second");
        let now = ground.pgmemo.metrics().ok()?;
        let reasons = now.bypass_reasons_since(&before);
        let known = reasons.iter().any(|(reason, _)| reason == "being_written");
        (known || now.misses() > before.misses()).then_some(())
    })?;
    reader.value("SELECT v FROM t")?;
    holder.run("COMMIT")?;
    writer.read_until(b'Z')?;
    let found = reader.value("SELECT v FROM t")?;
    drop((reader, writer));
    admin.run(&format!("DROP OWNED BY {role}; DROP ROLE {role}"))?;
    ensure!(found == "third", "{found} instead of what was written");
    ground.visit("third")
}

/// Who comes after the watcher has left finds what was known as good as new: the server hears
/// nothing of a hit, not even its Parse.
#[test]
fn what_was_known_is_not_outdated_when_its_watcher_returns() -> Result<()> {
    // On a server of its own: elsewhere others make roles and databases all the time, and what was
    // known is outdated.
    let postgres = Postgres::start(Version::System)?;
    let ground = Ground::on(&postgres)?;
    ground.fill("first")?;
    let name = ground.database.name();
    let sql = "SELECT v FROM t WHERE v > ''";
    let mut conn = ground.pgmemo.connect(name)?;
    let before = ground.pgmemo.hits()?;
    eventually("hit", SOON, || {
        conn.extended(sql, &[]).ok()?;
        (!ground.pgmemo.is_real() || ground.pgmemo.hits().ok()? > before).then_some(())
    })?;
    drop(conn);
    let mut admin = ground.postgres.connect("postgres")?;
    let present = format!("SELECT count(*) FROM pg_stat_activity WHERE datname = '{name}'");
    eventually("nobody", SOON, || {
        (admin.value(&present).ok()? == "0").then_some(())
    })?;
    let mut conn = ground.pgmemo.connect(name)?;
    let (process, _) = conn.cancel_key()?;
    let last = format!("SELECT query FROM pg_stat_activity WHERE pid = {process}");
    // A login does not wait for its database longer than two seconds.
    eventually("hit of which the server hears nothing", SOON, || {
        conn.run("SELECT 1").ok()?;
        conn.extended(sql, &[]).ok()?;
        let heard = admin.value(&last).ok()? == sql;
        (!ground.pgmemo.is_real() || !heard).then_some(())
    })
}
