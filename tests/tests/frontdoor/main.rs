//! pgmemo as operators meet it: files, signals, health and numbers, with clients at work.

mod clients;
mod files;
mod health;
mod stops;
mod upstream;

use anyhow::Result;
use pgmemo_tests::{Pgmemo, Postgres, Store, Version, env, http, postgres::Database};

const READ: &str = "SELECT v FROM t WHERE id = 1";

/// pgmemo with a configuration file in front of a database with one row; nothing without it.
fn ground(file: &str) -> Result<Option<(Database, Pgmemo)>> {
    if env::direct() {
        return Ok(None);
    }
    let postgres = Postgres::shared(Version::System);
    let database = postgres.database()?;
    database
        .connect()?
        .run("CREATE TABLE t (id int PRIMARY KEY, v text)")?;
    database.connect()?.run("INSERT INTO t VALUES (1, 'a')")?;
    let pgmemo = Pgmemo::start_with(postgres, Store::Memory, &[], file)?;
    Ok(Some((database, pgmemo)))
}

fn ready(pgmemo: &Pgmemo) -> bool {
    http::get(pgmemo.admin(), "/readyz").is_ok_and(|(status, _)| status == 200)
}
