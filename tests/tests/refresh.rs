//! Replies that are read again in the background.
//!
//! Writes that go around pgmemo show which reply is served: the old one until it has been renewed.

use std::{thread, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use pgmemo_tests::{
    Pgmemo, Postgres, Redis, Store, Version,
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
        Self::on(Postgres::shared(Version::System), Store::Memory, rules)
    }

    fn on(postgres: &Postgres, store: Store<'_>, rules: &str) -> Result<Self> {
        let database = postgres.database()?;
        let mut direct = database.connect()?;
        direct.run(FIXTURE)?;
        let file = format!("{FUNCTION}{rules}");
        let pgmemo = Pgmemo::start_with(postgres, store, &[], &file)?;
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

/// Asks until the answer comes from the store.
fn warm(pgmemo: &Pgmemo, mut ask: impl FnMut() -> Result<Answer>) -> Result<()> {
    eventually("it is remembered", SOON, || {
        let before = pgmemo.metrics();
        ask().ok()?;
        let hit = before.is_ok_and(|before| pgmemo.expect_hits_since(&before, 1.0).is_ok());
        (hit || !pgmemo.is_real()).then_some(())
    })
}

/// With Redis asked at every lookup, and under leases.
fn in_redis(check: impl Fn(Store<'_>) -> Result<()>) -> Result<()> {
    check(Store::Redis(&Redis::start()?)).context("strict")?;
    check(Store::Leases(&Redis::start()?)).context("leases")
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
    is_served_past_its_ttl(Store::Memory)
}

#[test]
fn a_reply_past_its_ttl_is_served_and_renewed_in_redis() -> Result<()> {
    in_redis(is_served_past_its_ttl)
}

fn is_served_past_its_ttl(store: Store<'_>) -> Result<()> {
    let mut stage = Stage::on(Postgres::shared(Version::System), store, STALE)?;
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
    warm(&stage.pgmemo, || client.query(sql))?;
    warm(&stage.pgmemo, || extended(&mut client))?;
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
    is_seen_at_once(Store::Memory)
}

#[test]
fn a_write_is_seen_at_once_whatever_may_be_stale_in_redis() -> Result<()> {
    in_redis(is_seen_at_once)
}

fn is_seen_at_once(store: Store<'_>) -> Result<()> {
    let mut stage = Stage::on(Postgres::shared(Version::System), store, STALE)?;
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
    is_renewed_before_it_ends(Store::Memory)
}

#[test]
fn what_is_asked_for_is_renewed_before_it_ends_in_redis() -> Result<()> {
    in_redis(is_renewed_before_it_ends)
}

fn is_renewed_before_it_ends(store: Store<'_>) -> Result<()> {
    let rule = "[tables.t]\nttl = '2s'\nprefetch = true\n";
    let mut stage = Stage::on(Postgres::shared(Version::System), store, rule)?;
    let mut client = stage.connect()?;
    let sql = "SELECT v FROM t WHERE id = 1";
    warm(&stage.pgmemo, || client.query(sql))?;
    // Where the machine stands still in the last part of the TTL, it ends all the same.
    for round in ["b", "c", "d", "e", "f"] {
        let before = stage.pgmemo.metrics()?;
        stage.direct.run(&format!("UPDATE t SET v = '{round}'"))?;
        let ask = || {
            thread::sleep(Duration::from_millis(5));
            client.query(sql)
        };
        comes_to(round, ask)?;
        if !stage.pgmemo.is_real() {
            return Ok(());
        }
        if stage.pgmemo.metrics()?.misses() == before.misses() {
            // One lookup that Redis answered too late shows the new row as well.
            return eventually("it is renewed", SOON, || {
                client.query(sql).ok()?;
                (stage.renewals("done").ok()? > 0.0).then_some(())
            });
        }
    }
    bail!("it was missed each time")
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

const REWRITTEN: &str = "
[tables.t]
ttl = '1h'
on_write = 'refresh'
";

/// What is asked for often is there again after a write before anybody asks.
fn is_read_again_after_a_write(store: Store<'_>) -> Result<()> {
    let mut stage = Stage::on(Postgres::shared(Version::System), store, REWRITTEN)?;
    stage
        .direct
        .run("INSERT INTO t VALUES (2, 'other', now())")?;
    let (mut client, mut writer) = (stage.connect()?, stage.connect()?);
    let (hot, all, cold) = (
        "SELECT v FROM t WHERE id = 1",
        "SELECT string_agg(v, ',' ORDER BY id) FROM t",
        "SELECT v FROM t WHERE id = 2",
    );
    for _ in 0..5 {
        for sql in [hot, all, cold] {
            client.query(sql)?;
        }
    }
    // At first the catalog may yet be read once more, and statements planned anew.
    eventually("a write is followed", SOON, || {
        for sql in [hot, all] {
            client.query(sql).ok()?;
        }
        let done = stage.renewals("done").ok()?;
        writer.run("UPDATE t SET v = 'first' WHERE id = 1").ok()?;
        let followed = || (stage.renewals("done").ok()? >= done + 2.0).then_some(());
        let followed = eventually("it is", Duration::from_secs(1), followed).is_ok();
        (followed || !stage.pgmemo.is_real()).then_some(())
    })?;
    for n in 0..3 {
        let (done, before) = (stage.renewals("done")?, stage.pgmemo.metrics()?);
        writer.run(&format!("UPDATE t SET v = 'written {n}' WHERE id = 1"))?;
        if stage.pgmemo.is_real() {
            // The row and the whole; the other row is what it was.
            stage.renewed(done + 1.0)?;
        }
        for _ in 0..2 {
            ensure!(client.value(hot)? == format!("written {n}"));
            ensure!(client.value(all)? == format!("written {n},other"));
            ensure!(client.value(cold)? == "other");
        }
        if stage.pgmemo.is_real() {
            let missed = stage.pgmemo.metrics()?.misses() - before.misses();
            ensure!(missed == 0.0, "{missed} were missed");
            let rewritten = stage.count("pgmemo_write_refreshes_total", "")?
                - before.sum("pgmemo_write_refreshes_total", &[]);
            ensure!(rewritten == 2.0, "{rewritten} were to be read again");
        }
    }
    Ok(())
}

#[test]
fn what_is_hot_is_read_again_after_a_write() -> Result<()> {
    is_read_again_after_a_write(Store::Memory)
}

#[test]
fn what_is_hot_is_read_again_into_redis() -> Result<()> {
    is_read_again_after_a_write(Store::Redis(&Redis::start()?))
}

#[test]
fn a_write_that_overtakes_a_renewal_has_it_done_once_more() -> Result<()> {
    let mut stage = Stage::new(REWRITTEN)?;
    if !stage.pgmemo.is_real() {
        return Ok(());
    }
    let (mut client, mut writer) = (stage.connect()?, stage.connect()?);
    let sql = "SELECT v, slow(0.5) FROM t WHERE id = 1";
    for _ in 0..3 {
        client.query(sql)?;
    }
    let calls = stage.calls()?;
    writer.run("UPDATE t SET v = 'first'")?;
    eventually("it is being read again", SOON, || {
        (stage.calls().ok()? > calls).then_some(())
    })?;
    writer.run("UPDATE t SET v = 'second'")?;
    // The first reading is done in vain, the second is not.
    stage.renewed(1.0)?;
    let before = stage.pgmemo.metrics()?;
    ensure!(client.value(sql)? == "second");
    ensure!(
        stage.pgmemo.metrics()?.misses() == before.misses(),
        "it was missed"
    );
    Ok(())
}

#[test]
fn every_write_is_seen_at_once_while_replies_are_read_again() -> Result<()> {
    let stage = Stage::new(REWRITTEN)?;
    let (mut client, mut writer) = (stage.connect()?, stage.connect()?);
    let queries = ["SELECT v FROM t WHERE id = 1", "SELECT max(v) FROM t"];
    for n in 0..100 {
        writer.run(&format!("UPDATE t SET v = '{n:03}'"))?;
        for sql in queries {
            ensure!(client.value(sql)? == format!("{n:03}"), "{sql}, write {n}");
            ensure!(writer.value(sql)? == format!("{n:03}"), "{sql}, write {n}");
        }
    }
    Ok(())
}

/// Age is forgiven for longer while the server takes no further connection; a write never is.
#[test]
fn a_reply_is_served_past_its_end_while_reading_it_again_fails() -> Result<()> {
    is_served_while_reading_fails(Store::Memory)
}

#[test]
fn a_reply_is_served_past_its_end_while_reading_it_again_fails_in_redis() -> Result<()> {
    in_redis(is_served_while_reading_fails)
}

fn is_served_while_reading_fails(store: Store<'_>) -> Result<()> {
    const RULE: &str = "
[tables.t]
ttl = '300ms'
stale_while_revalidate = '1s'
stale_if_error = '1h'
";
    let postgres = Postgres::start(Version::System)?;
    let mut stage = Stage::on(&postgres, store, RULE)?;
    if !stage.pgmemo.is_real() {
        return Ok(());
    }
    let mut client = stage.connect()?;
    let sql = "SELECT v FROM t WHERE id = 1";
    warm(&stage.pgmemo, || client.query(sql))?;
    let lines = "pg_catalog.string_to_table(pg_catalog.pg_read_file('pg_hba.conf'), E'\\n')";
    stage
        .direct
        .run(&format!("CREATE TABLE hba AS SELECT {lines} AS line"))?;
    let file = stage.direct.value("SHOW hba_file")?;
    let admit = |stage: &mut Stage, admit: bool| -> Result<()> {
        let all = if admit {
            "TABLE hba"
        } else {
            "SELECT 'host all all 127.0.0.1/32 reject'"
        };
        let copy = format!("COPY ({all}) TO '{file}' WITH (DELIMITER E'\\x01')");
        stage.direct.run(&copy)?;
        stage.direct.run("SELECT pg_reload_conf()")?;
        Ok(())
    };
    admit(&mut stage, false)?;
    stage.direct.run("UPDATE t SET v = 'around'")?;
    let failed = |stage: &Stage| stage.renewals("disconnected");
    eventually("reading it again fails", SOON, || {
        client.query(sql).ok()?;
        (failed(&stage).ok()? > 0.0).then_some(())
    })?;
    // Well past what a server that answers would be given.
    thread::sleep(Duration::from_secs(2));
    let before = stage.pgmemo.metrics()?;
    ensure!(client.value(sql)? == "a", "it was not served");
    ensure!(
        stage.pgmemo.metrics()?.misses() == before.misses(),
        "it was missed"
    );
    client.run("UPDATE t SET v = 'through'")?;
    ensure!(client.value(sql)? == "through", "age alone is forgiven");

    stage.direct.run("UPDATE t SET v = 'again around'")?;
    admit(&mut stage, true)?;
    comes_to("again around", || client.query(sql))?;
    Ok(())
}

/// What one instance has renewed is there for all, and one whose rule forgives no age forgives none.
#[test]
fn instances_share_what_is_renewed_and_not_what_is_forgiven() -> Result<()> {
    for leases in [false, true] {
        let redis = Redis::start()?;
        let store = if leases {
            Store::Leases(&redis)
        } else {
            Store::Redis(&redis)
        };
        shares_what_is_renewed(store).with_context(|| format!("leases: {leases}"))?;
    }
    Ok(())
}

fn shares_what_is_renewed(store: Store<'_>) -> Result<()> {
    let postgres = Postgres::shared(Version::System);
    let mut stage = Stage::on(postgres, store, STALE)?;
    if !stage.pgmemo.is_real() {
        return Ok(());
    }
    let second = Pgmemo::start_with(postgres, store, &[], STALE)?;
    let strict = Pgmemo::start_with(postgres, store, &[], "[tables.t]\nttl = '500ms'\n")?;
    let name = stage.database.name().to_owned();
    let (mut one, mut two) = (stage.connect()?, second.connect(&name)?);
    let mut three = strict.connect(&name)?;
    let sql = "SELECT v FROM t WHERE id = 1";
    warm(&stage.pgmemo, || one.query(sql))?;
    warm(&second, || two.query(sql))?;
    // A reply that the others keep for longer is a hit here as well, as long as it is young.
    warm(&strict, || {
        one.query(sql)?;
        three.query(sql)
    })?;
    warm(&stage.pgmemo, || one.query(sql))?;
    stage.direct.run("UPDATE t SET v = 'b'")?;
    thread::sleep(Duration::from_millis(600));
    let before = strict.metrics()?;
    ensure!(three.value(sql)? == "b", "its rule forgives no age");
    ensure!(strict.metrics()?.misses() > before.misses());
    comes_to("b", || one.query(sql))?;
    comes_to("b", || two.query(sql))?;
    Ok(())
}
