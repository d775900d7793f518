//! Replies that are read again in the background.
//!
//! Writes that go around pgmemo show which reply is served: the old one until it has been renewed.

use std::{thread, time::Duration};

use anyhow::{Context, Result, ensure};
use pgmemo_tests::{
    Pgmemo, Postgres, Store, Version,
    net::{SOON, eventually},
    postgres::Database,
    wire::{Answer, Conn, Format, Frontend, Login},
};

const FIXTURE: &str = "
CREATE SCHEMA other;
CREATE TABLE t (id int PRIMARY KEY, v text, at timestamptz);
INSERT INTO t VALUES (1, 'a', '2024-01-01 20:00+00');
CREATE TABLE other.t (id int PRIMARY KEY, v text, at timestamptz);
INSERT INTO other.t VALUES (1, 'other', '2024-01-01 20:00+00');
GRANT USAGE ON SCHEMA other TO PUBLIC;
GRANT SELECT ON t, other.t TO PUBLIC;
CREATE SEQUENCE calls;
GRANT USAGE ON calls TO PUBLIC;
CREATE FUNCTION slow(seconds float8) RETURNS float8 LANGUAGE plpgsql AS $$
BEGIN PERFORM nextval('public.calls'); PERFORM pg_sleep(seconds); RETURN seconds; END $$;
";

const FUNCTION: &str = "[functions.'public.slow']\nreads = ['public.t']\n";

const STALE: &str = "
[tables.t]
ttl = '500ms'
stale_while_revalidate = '1h'
";

struct Stage {
    database: Database,
    direct: Conn,
    pgmemo: Pgmemo,
}

impl Stage {
    fn new(rules: &str) -> Result<Self> {
        let postgres = Postgres::shared(Version::System);
        let database = postgres.database()?;
        let mut direct = database.connect()?;
        direct.run(FIXTURE)?;
        let file = format!("{FUNCTION}{rules}");
        let pgmemo = Pgmemo::start_with(postgres, Store::Memory, &[], &file)?;
        Ok(Self {
            database,
            direct,
            pgmemo,
        })
    }

    fn connect(&self) -> Result<Conn> {
        self.pgmemo.connect(self.database.name())
    }

    fn count(&self, name: &str, label: &str) -> Result<f64> {
        Ok(self.pgmemo.metrics()?.sum(name, &[label]))
    }

    fn renewals(&self, result: &str) -> Result<f64> {
        self.count("pgmemo_refreshes_total", &format!("result=\"{result}\""))
    }

    fn calls(&mut self) -> Result<i64> {
        let sql = "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM calls";
        Ok(self.direct.value(sql)?.parse()?)
    }

    /// Waits until more replies than these have been renewed.
    fn renewed(&self, before: f64) -> Result<()> {
        if !self.pgmemo.is_real() {
            return Ok(());
        }
        let ask = || (self.renewals("done").ok()? > before).then_some(());
        eventually("it is renewed", SOON, ask)
            .with_context(|| format!("{:?}", self.pgmemo.metrics()))
    }
}

fn value(answer: &Answer) -> Result<String> {
    answer
        .value()
        .with_context(|| format!("no value: {:?}", answer.shown()))
}

/// Asks again and again until the answer is this one.
fn comes_to(expected: &str, mut ask: impl FnMut() -> Result<Answer>) -> Result<Answer> {
    eventually(expected, SOON, || {
        let answer = ask().ok()?;
        (answer.value().as_deref() == Some(expected)).then_some(answer)
    })
}

#[test]
fn a_reply_past_its_ttl_is_served_and_renewed() -> Result<()> {
    let mut stage = Stage::new(STALE)?;
    let mut client = stage.connect()?;
    let sql = "SELECT v, id, at FROM t WHERE id = 1";
    let batch = Frontend::new()
        .parse("", "SELECT v, id, at FROM t WHERE id = $1", &[23])
        .bind_with("", "", &[], &[Some(b"1")], &[Format::Binary])
        .describe_portal("")
        .execute("", 0)
        .sync();
    let bytes = batch.bytes().to_vec();
    let extended = |conn: &mut Conn| {
        conn.send(&bytes)?;
        conn.read_until(b'Z')
    };
    for _ in 0..3 {
        value(&client.query(sql)?)?;
        extended(&mut client)?;
    }
    let before = stage.pgmemo.metrics()?;
    stage.direct.run("UPDATE t SET v = 'b'")?;
    let answer = comes_to("b", || client.query(sql))?;
    ensure!(answer.shown() == stage.direct.query(sql)?.shown());
    let answer = comes_to("b", || extended(&mut client))?;
    ensure!(answer.0 == extended(&mut stage.direct)?.0, "other bytes");
    if stage.pgmemo.is_real() {
        ensure!(
            stage.pgmemo.metrics()?.misses() == before.misses(),
            "it was missed"
        );
        stage.renewed(1.0)?;
        ensure!(stage.count("pgmemo_stale_served_total", "")? >= 2.0);
    }
    Ok(())
}

#[test]
fn a_write_is_seen_at_once_whatever_may_be_stale() -> Result<()> {
    let mut stage = Stage::new(STALE)?;
    let mut client = stage.connect()?;
    let sql = "SELECT v FROM t WHERE id = 1";
    for n in 0..20 {
        client.query(sql)?;
        // Old enough to be served stale, for the first few.
        if n < 3 {
            thread::sleep(Duration::from_millis(600));
        }
        client.run(&format!("UPDATE t SET v = 'written {n}'"))?;
        ensure!(client.value(sql)? == format!("written {n}"));
        ensure!(client.value(sql)? == format!("written {n}"));
    }
    stage.direct.run("SELECT 1")?;
    Ok(())
}

/// T20: what was read before the write must not be written over what came after it.
#[test]
fn a_renewal_that_a_write_overtakes_is_never_served() -> Result<()> {
    let mut stage = Stage::new(STALE)?;
    if !stage.pgmemo.is_real() {
        return Ok(());
    }
    let (mut client, mut writer) = (stage.connect()?, stage.connect()?);
    let sql = "SELECT v, slow(1) FROM t WHERE id = 1";
    ensure!(client.value(sql)? == "a");
    let calls = stage.calls()?;
    eventually("it is being renewed", SOON, || {
        client.query(sql).ok()?;
        (stage.calls().ok()? > calls).then_some(())
    })?;
    writer.run("UPDATE t SET v = 'after'")?;
    let done = stage.renewals("done")?;
    stage.renewed(done)?;
    for _ in 0..3 {
        ensure!(client.value(sql)? == "after");
    }
    Ok(())
}

#[test]
fn what_is_asked_for_is_renewed_before_it_ends() -> Result<()> {
    let mut stage = Stage::new("[tables.t]\nttl = '2s'\nprefetch = true\n")?;
    let mut client = stage.connect()?;
    let sql = "SELECT v FROM t WHERE id = 1";
    for _ in 0..3 {
        client.query(sql)?;
    }
    let before = stage.pgmemo.metrics()?;
    stage.direct.run("UPDATE t SET v = 'b'")?;
    let ask = || {
        thread::sleep(Duration::from_millis(5));
        client.query(sql)
    };
    comes_to("b", ask)?;
    if stage.pgmemo.is_real() {
        ensure!(
            stage.pgmemo.metrics()?.misses() == before.misses(),
            "it was missed"
        );
        stage.renewed(0.0)?;
    }
    Ok(())
}

/// R17
#[test]
fn a_renewal_that_fails_does_not_stand_in_the_way_of_the_next() -> Result<()> {
    let mut stage = Stage::new(STALE)?;
    if !stage.pgmemo.is_real() {
        return Ok(());
    }
    let mut client = stage.connect()?;
    let sql = "SELECT v, slow(0.7) FROM t WHERE id = 1";
    ensure!(client.value(sql)? == "a");
    stage.direct.run("UPDATE t SET v = 'b'")?;
    let kill = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE \
        application_name = 'pgmemo refresh' AND datname = current_database() AND state = 'active'";
    eventually("a renewal is killed", SOON, || {
        client.query(sql).ok()?;
        let killed = stage.direct.value(kill).ok()?;
        (killed != "0").then_some(())
    })?;
    comes_to("b", || client.query(sql))?;
    stage.renewed(0.0)
}

#[test]
fn sessions_in_other_states_get_what_they_would_get() -> Result<()> {
    let mut stage = Stage::new(&STALE.replace("[tables.t]", "[tables.'*.t']"))?;
    let states = [
        "SET timezone = 'Asia/Tokyo'",
        "SET search_path = other, public; SET datestyle = 'German'",
        "SET intervalstyle = 'iso_8601'; SET extra_float_digits = 0",
        "SET ROLE alice",
        "SET \"app.tenant\" = 'it''s one'",
    ];
    let sql = "SELECT v, at FROM t WHERE id = 1";
    for state in states {
        let (mut client, mut direct) = (stage.connect()?, stage.database.connect()?);
        for part in state.split("; ") {
            client.run(part)?;
            direct.run(part)?;
        }
        for _ in 0..3 {
            client.query(sql)?;
        }
        let done = stage.renewals("done")?;
        let new = format!("new, {}", state.len());
        for table in ["public.t", "other.t"] {
            let update = format!("UPDATE {table} SET v = '{new}'");
            stage.direct.run(&update)?;
        }
        let answer = comes_to(&new, || client.query(sql))?;
        ensure!(answer.shown() == direct.query(sql)?.shown(), "{state}");
        stage.renewed(done).context(state)?;
    }
    Ok(())
}

#[test]
fn what_cannot_be_renewed_ends_with_its_ttl() -> Result<()> {
    let mut stage = Stage::new(STALE)?;
    let login = Login::of("alice", stage.database.name());
    let mut client = Conn::connect(stage.pgmemo.address(), &login)?;
    let sql = "SELECT v FROM t WHERE id = 1";
    for _ in 0..3 {
        client.query(sql)?;
    }
    stage.direct.run("UPDATE t SET v = 'b'")?;
    comes_to("b", || client.query(sql))?;
    if stage.pgmemo.is_real() {
        ensure!(stage.renewals("done")? == 0.0);
        ensure!(stage.renewals("other_login")? >= 1.0);
        ensure!(stage.count("pgmemo_stale_served_total", "")? == 0.0);
    }
    Ok(())
}
