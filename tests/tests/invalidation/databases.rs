//! Databases that are dropped, renamed, copied and made anew while pgmemo knows them.

use anyhow::{Context, Result, anyhow};
use pgmemo_tests::{
    Pgmemo, Postgres, Store, Version,
    net::{SOON, eventually},
    postgres::Database,
};

struct Ground {
    postgres: &'static Postgres,
    pgmemo: Pgmemo,
    /// Gives names that nobody else takes, and is dropped at the end.
    database: Database,
}

impl Ground {
    fn new() -> Result<Self> {
        let postgres = Postgres::shared(Version::System);
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
