//! Many clients miss the same reply: one asks the server, the others wait for it.
//!
//! A function that counts its calls and takes its time stands for an expensive query. Waits are
//! bounded by a minute here and reads by twenty seconds, so that a client that is not freed in time
//! fails its test.

mod followers;
mod instances;
mod leaders;

use std::{sync::Barrier, thread};

use anyhow::{Context, Result};
use pgmemo_tests::{
    Pgmemo, Postgres, Store, Version,
    net::{SOON, eventually},
    postgres::Database,
    wire::{Answer, Conn, Frontend, Login},
};

const FIXTURE: &str = "
CREATE TABLE t (id int PRIMARY KEY, v text);
INSERT INTO t VALUES (1, 'a');
CREATE SEQUENCE calls;
CREATE FUNCTION slow(seconds float8) RETURNS float8 LANGUAGE plpgsql AS $$
BEGIN PERFORM nextval('calls'); PERFORM pg_sleep(seconds); RETURN seconds; END $$;
CREATE FUNCTION fails(seconds float8) RETURNS float8 LANGUAGE plpgsql AS $$
BEGIN PERFORM nextval('calls'); PERFORM pg_sleep(seconds); RAISE 'no luck'; END $$;
";

const FILE: &str = "
[cache]
flight_wait_max = '1m'
entry_bytes_max = '64MiB'
[functions.'public.slow']
reads = ['public.t']
[functions.'public.fails']
reads = ['public.t']
";

/// A database, and a session on it that does not pass through pgmemo.
struct Stage {
    database: Database,
    direct: Conn,
}

impl Stage {
    fn new() -> Result<Self> {
        let database = Postgres::shared(Version::System).database()?;
        let mut direct = database.connect()?;
        direct.run(FIXTURE)?;
        Ok(Self { database, direct })
    }

    fn pgmemo(&self) -> Result<Pgmemo> {
        self.pgmemo_with(Store::Memory, FILE)
    }

    fn pgmemo_with(&self, store: Store<'_>, file: &str) -> Result<Pgmemo> {
        Pgmemo::start_with(Postgres::shared(Version::System), store, &[], file)
    }

    /// A session that has run `sql` already, so that it is known.
    fn warm(&self, pgmemo: &Pgmemo, sql: &str) -> Result<Conn> {
        let mut conn = Conn::connect(pgmemo.address(), &Login::to(self.database.name()))?;
        conn.query(sql)?;
        conn.extended(sql, &[])?;
        Ok(conn)
    }

    /// How often the server has run the expensive function.
    fn calls(&mut self) -> Result<i64> {
        let sql = "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM calls";
        Ok(self.direct.value(sql)?.parse()?)
    }

    /// Waits until the server runs it `count` times more than `before`.
    fn called(&mut self, before: i64, count: i64) -> Result<()> {
        eventually("the server is asked", SOON, || {
            (self.calls().ok()? >= before + count).then_some(())
        })
    }
}

/// Waits until so many statements wait.
fn waiting(pgmemo: &Pgmemo, count: f64) -> Result<()> {
    if !pgmemo.is_real() {
        return Ok(());
    }
    eventually("statements wait", SOON, || {
        let metrics = pgmemo.metrics().ok()?;
        (metrics.sum("pgmemo_flight_waiting", &[]) == count).then_some(())
    })
}

fn waits(pgmemo: &Pgmemo, result: &str) -> Result<f64> {
    let label = format!("result=\"{result}\"");
    let metrics = pgmemo.metrics()?;
    Ok(metrics.sum("pgmemo_flight_waits_total", &[&label]))
}

fn send(conn: &mut Conn, sql: &str) -> Result<()> {
    conn.send(Frontend::new().query(sql).bytes())
}

fn received(conn: &mut Conn) -> Result<Answer> {
    conn.read_until(b'Z')
}

fn first(answer: &Answer) -> Result<String> {
    answer
        .value()
        .with_context(|| format!("no value: {:?}", answer.shown()))
}

/// All clients ask at once; what each got.
fn together(
    clients: &mut [Conn],
    ask: impl Fn(&mut Conn) -> Result<Answer> + Sync,
) -> Result<Vec<Answer>> {
    let barrier = Barrier::new(clients.len());
    thread::scope(|scope| {
        let threads: Vec<_> = clients
            .iter_mut()
            .map(|conn| {
                scope.spawn(|| {
                    barrier.wait();
                    ask(conn)
                })
            })
            .collect();
        let join = |thread: thread::ScopedJoinHandle<'_, _>| thread.join().expect("no panic");
        threads.into_iter().map(join).collect()
    })
}
