//! Clients that send nonsense, too much, or nothing more at all.
//!
//! In each case the process lives on, other clients are served, and memory stays bounded.

use std::{sync::atomic::Ordering, thread, time::Duration};

use anyhow::{Context, Result, ensure};
use pgmemo_tests::{
    Pgmemo, Postgres, Store, Version,
    net::{SOON, eventually},
    postgres::Database,
    random::{Random, seed},
    wire::{Conn, Frontend, Login},
};

const READ: &str = "SELECT id, v FROM t ORDER BY id";

/// By how much the process may grow over what a test did to it.
const GROWTH_MAX: u64 = 96 << 20;

/// pgmemo in front of a database with a little data, and one client that behaves.
struct Ground {
    pgmemo: Pgmemo,
    database: Database,
    witness: Conn,
    resident: u64,
}

impl Ground {
    fn new() -> Result<Self> {
        let postgres = Postgres::shared(Version::System);
        let database = postgres.database()?;
        database.connect()?.run(
            "CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'a'), (2, 'b')",
        )?;
        let mut pgmemo = Pgmemo::start(postgres, Store::Memory, &[])?;
        let mut witness = pgmemo.connect(database.name())?;
        for _ in 0..3 {
            witness.run(READ)?;
        }
        let resident = if pgmemo.is_real() {
            pgmemo.resident_bytes()?
        } else {
            0
        };
        Ok(Self {
            pgmemo,
            database,
            witness,
            resident,
        })
    }

    fn socket(&self) -> Result<Conn> {
        Conn::raw(self.pgmemo.address())
    }

    fn session(&self) -> Result<Conn> {
        self.pgmemo.connect(self.database.name())
    }

    /// The witness and a newcomer are served as ever, and the process has not swollen.
    fn check(&mut self) -> Result<()> {
        let rows = self.witness.run(READ).context("the witness")?.rows();
        ensure!(rows.len() == 2, "the witness reads {rows:?}");
        self.session().context("a newcomer")?.run(READ)?;
        if self.pgmemo.is_real() {
            let resident = self.pgmemo.resident_bytes()?;
            let grown = resident.saturating_sub(self.resident);
            ensure!(grown < GROWTH_MAX, "grown by {} MiB", grown >> 20);
        }
        Ok(())
    }

    /// Waits until no backend of the database does anything but idle.
    fn await_quiet(&self) -> Result<()> {
        let mut control = self.database.connect()?;
        let busy = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                    AND pid <> pg_backend_pid() AND backend_type = 'client backend' \
                    AND state <> 'idle'";
        eventually("the end of abandoned work", SOON, || {
            control
                .value(busy)
                .is_ok_and(|count| count == "0")
                .then_some(())
        })
    }
}

#[test]
fn nonsense_instead_of_a_startup_packet_is_turned_away() -> Result<()> {
    let mut ground = Ground::new()?;
    let packets: [&[u8]; 12] = [
        b"",
        b"\0",
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\0\0\0\x00",
        b"\0\0\0\x07\0\x03\0",
        b"\0\0\0\x08\0\x03\0\0",
        b"\xff\xff\xff\xff\0\x03\0\0",
        b"\x7f\xff\xff\xff\0\x03\0\0user\0x\0\0",
        b"\0\0\0\x0d\0\x03\0\0user\0",
        b"\0\0\0\x09\0\x02\0\0\0",
        b"\0\0\0\x10\x04\xd2\x16\x2e\0\0\0\x01\0\0\0\x02",
    ];
    for packet in packets {
        let mut socket = ground.socket()?;
        socket.send(packet)?;
        socket.shutdown()?;
        ensure!(
            socket.ends(),
            "no end after {:?}",
            packet.escape_ascii().to_string()
        );
    }
    ground.check()
}

#[test]
fn bytes_behind_an_ssl_request_do_not_hang_the_connection() -> Result<()> {
    let mut ground = Ground::new()?;
    let request = [0_u8, 0, 0, 8, 4, 210, 22, 47];
    let login = Frontend::new()
        .raw(&request)
        .startup(3 << 16, &[("user", "postgres"), ("database", "postgres")]);
    let mut socket = ground.socket()?;
    socket.send(login.bytes())?;
    socket.shutdown()?;
    ensure!(socket.ends(), "the connection stayed open");
    ground.check()
}

#[test]
fn impossible_lengths_end_the_connection_and_nothing_else() -> Result<()> {
    let mut ground = Ground::new()?;
    for length in [0_u32, 1, 3, 0x8000_0000, 0xffff_ffff, 0x7fff_ffff] {
        for tag in *b"QPBEDCSHXFdcfp?" {
            let mut session = ground.session()?;
            let mut message = vec![tag];
            message.extend(length.to_be_bytes());
            message.extend(b"some bytes that follow");
            session.send(&message)?;
            session.shutdown()?;
            ensure!(
                session.ends(),
                "no end after {:?} of length {length}",
                char::from(tag)
            );
        }
    }
    ground.check()
}

#[test]
fn a_length_that_is_declared_and_never_sent_costs_no_memory() -> Result<()> {
    let mut ground = Ground::new()?;
    let mut sessions = Vec::new();
    for _ in 0..20 {
        let mut session = ground.session()?;
        session.send(b"Q\x3f\xff\xff\xffSELECT")?;
        sessions.push(session);
    }
    ground.check()?;
    drop(sessions);
    ground.check()
}

#[test]
fn random_bytes_after_the_login_harm_nobody_else() -> Result<()> {
    let mut ground = Ground::new()?;
    let mut random = Random::new(seed());
    for _ in 0..100 {
        let mut session = ground.session()?;
        let length = random.index(400);
        let bytes: Vec<u8> = (0..length).map(|_| random.byte()).collect();
        session.send(&bytes)?;
        session.shutdown()?;
        ensure!(session.ends(), "no end after {}", bytes.escape_ascii());
    }
    ground.check()
}

#[test]
fn messages_with_random_bodies_harm_nobody_else() -> Result<()> {
    let mut ground = Ground::new()?;
    let mut random = Random::new(seed());
    for _ in 0..100 {
        let mut session = ground.session()?;
        let mut batch = Frontend::new();
        for _ in 0..8 {
            let tag = b"QPBEDCSHFdcf"[random.index(12)];
            let length = random.index(40);
            let body: Vec<u8> = (0..length).map(|_| random.byte() % 4).collect();
            batch = batch.message(tag, &body);
        }
        let batch = batch.sync().terminate();
        session.send(batch.bytes())?;
        session.shutdown()?;
        ensure!(
            session.ends(),
            "no end after {}",
            batch.bytes().escape_ascii()
        );
    }
    ground.check()
}

/// Every prefix of a conversation that has a bit of everything.
#[test]
fn clients_that_vanish_at_any_byte_leave_nothing_behind() -> Result<()> {
    let mut ground = Ground::new()?;
    let whole = Frontend::new()
        .query("BEGIN")
        .query("UPDATE t SET v = v WHERE id = 1")
        .parse("s", READ, &[])
        .bind("", "s", &[])
        .describe_portal("")
        .execute("", 1)
        .sync()
        .query("COPY t FROM STDIN")
        .copy_data(b"7\tseven\n")
        .into_bytes();
    for length in (0..whole.len()).step_by(5) {
        let mut session = ground.session()?;
        session.send(&whole[..length])?;
    }
    ground.await_quiet()?;
    ground.session()?.run("UPDATE t SET v = v")?;
    ground.check()
}

#[test]
fn clients_that_vanish_without_reading_leave_nothing_behind() -> Result<()> {
    let mut ground = Ground::new()?;
    let large = "SELECT repeat('x', 1000000) FROM t, generate_series(1, 20)";
    for _ in 0..10 {
        let mut session = ground.session()?;
        session.send(Frontend::new().query(large).bytes())?;
    }
    ground.await_quiet()?;
    ground.check()
}

#[test]
fn a_client_that_sends_and_never_reads_is_bounded() -> Result<()> {
    let mut ground = Ground::new()?;
    let large = "SELECT repeat('x', 1000000) FROM t, generate_series(1, 500)";
    let mut sessions = Vec::new();
    for _ in 0..4 {
        let mut session = ground.session()?;
        session.send(Frontend::new().query(large).bytes())?;
        sessions.push(session);
    }
    thread::sleep(Duration::from_secs(1));
    ground.check()
}

/// It would be served from the store for as long as it asks.
#[test]
fn a_client_that_asks_for_hits_and_never_reads_is_bounded() -> Result<()> {
    let mut ground = Ground::new()?;
    ground.session()?.run(
        "CREATE TABLE wide (id int PRIMARY KEY, v text); \
         INSERT INTO wide VALUES (1, repeat('x', 3000))",
    )?;
    let sql = "SELECT v FROM wide";
    let mut session = ground.session()?;
    eventually("hits", SOON, || {
        let before = ground.pgmemo.hits().ok()?;
        session.run(sql).ok()?;
        let hit = ground.pgmemo.hits().ok()? > before;
        (hit || !ground.pgmemo.is_real()).then_some(())
    })?;
    let count = 60_000;
    let mut batch = Frontend::new();
    for _ in 0..count {
        batch = batch.query(sql);
    }
    thread::scope(|scope| {
        let (batch, mut sender) = (batch.into_bytes(), session.another_end()?);
        let sending = scope.spawn(move || sender.send(&batch));
        thread::sleep(Duration::from_secs(2));
        ground.check().context("while it does not read")?;
        // Once it reads, it gets everything.
        let mut replies = 0;
        while replies < count {
            replies += usize::from(session.read()?.tag == b'Z');
        }
        sending.join().expect("nobody panics")
    })?;
    ground.check()
}

/// The server would end their work at once without us, and so would the marks on what they write.
#[test]
fn clients_that_vanish_amid_what_they_send_hold_nothing() -> Result<()> {
    let ground = Ground::new()?;
    let taking = Frontend::new().query("COPY t FROM STDIN").into_bytes();
    let mut half = Frontend::new()
        .query(&format!("UPDATE t SET v = '{}'", "x".repeat(2 << 20)))
        .into_bytes();
    half.truncate(1 << 20);
    for (what, bytes) in [("copy data", taking), ("a message", half)] {
        let mut session = ground.session()?;
        session.send(&bytes)?;
        if what == "copy data" {
            session.read_until(b'G')?;
            session.send(Frontend::new().copy_data(b"7\tseven\n").bytes())?;
        }
        let (pid, _) = session.cancel_key()?;
        drop(session);
        let mut control = ground.database.connect()?;
        let living = format!("SELECT count(*) FROM pg_stat_activity WHERE pid = {pid}");
        eventually(what, SOON, || {
            (control.value(&living).ok()? == "0").then_some(())
        })?;
        let mut reader = ground.session()?;
        eventually("hits", SOON, || {
            let before = ground.pgmemo.hits().ok()?;
            reader.run(READ).ok()?;
            let hit = ground.pgmemo.hits().ok()? > before;
            (hit || !ground.pgmemo.is_real()).then_some(())
        })?;
    }
    Ok(())
}

/// A server that looks now and then whether its client is still there has to see that it is not.
#[test]
fn a_server_that_looks_after_its_client_sees_it_go() -> Result<()> {
    let ground = Ground::new()?;
    let login = Login::to(ground.database.name()).with("client_connection_check_interval", "100ms");
    for goodbye in [false, true] {
        let mut session = Conn::connect(ground.pgmemo.address(), &login)?;
        let (pid, _) = session.cancel_key()?;
        let mut batch = Frontend::new().query("SELECT pg_sleep(600)");
        if goodbye {
            batch = batch.terminate();
        }
        session.send(batch.bytes())?;
        let mut control = ground.database.connect()?;
        let event = format!("SELECT wait_event FROM pg_stat_activity WHERE pid = {pid}");
        eventually("the statement runs", SOON, || {
            (control.value(&event).ok()? == "PgSleep").then_some(())
        })?;
        drop(session);
        let living = format!("SELECT count(*) FROM pg_stat_activity WHERE pid = {pid}");
        eventually("the statement is given up", SOON, || {
            (control.value(&living).ok()? == "0").then_some(())
        })?;
    }
    Ok(())
}

#[test]
fn a_client_that_never_logs_in_holds_nobody_up() -> Result<()> {
    let mut ground = Ground::new()?;
    let silent: Vec<_> = (0..100).map(|_| ground.socket()).collect::<Result<_>>()?;
    ground.check()?;
    drop(silent);
    ground.check()
}

#[test]
fn cancel_requests_with_wrong_keys_cancel_nothing() -> Result<()> {
    let mut ground = Ground::new()?;
    let mut sleeper = ground.session()?;
    let (pid, key) = sleeper.cancel_key()?;
    sleeper.send(Frontend::new().query("SELECT pg_sleep(1)").bytes())?;
    let wrong: Vec<u8> = key.iter().map(|byte| byte ^ 0xff).collect();
    for (pid, key) in [
        (pid, wrong.as_slice()),
        (1, key.as_slice()),
        (0, &[]),
        (pid, &[0; 300]),
    ] {
        let mut socket = ground.socket()?;
        socket.send(Frontend::new().cancel(pid, key).bytes())?;
        ensure!(socket.ends(), "a cancel request was not closed");
    }
    ensure!(
        sleeper.read_until(b'Z')?.error().is_none(),
        "the wrong statement was cancelled"
    );
    ground.check()
}

#[test]
fn statements_and_texts_without_end_do_not_fill_the_memory() -> Result<()> {
    let mut ground = Ground::new()?;
    let mut session = ground.session()?;
    for round in 0..40 {
        let padding = "x".repeat(10_000);
        let mut batch = Frontend::new();
        for number in 0..50 {
            let sql = format!("SELECT id, '{padding}{round}-{number}' FROM t");
            batch = batch.parse("", &sql, &[]).bind("", "", &[]).execute("", 0);
        }
        session.send(batch.sync().bytes())?;
        let answer = session.read_until(b'Z')?;
        ensure!(answer.error().is_none(), "{:?}", answer.error());
    }
    ground.check()
}

#[test]
fn a_client_with_too_many_statements_gives_up_nothing_of_others() -> Result<()> {
    let mut ground = Ground::new()?;
    if !ground.pgmemo.is_real() {
        return Ok(());
    }
    let mut hoarder = ground.session()?;
    let pad = "x".repeat(700_000);
    for number in 0..14 {
        let (name, text) = (format!("s{number}"), format!("{READ} -- {pad}"));
        hoarder.send(Frontend::default().parse(&name, &text, &[]).sync().bytes())?;
        hoarder.read_until(b'Z')?;
    }
    hoarder.send(Frontend::default().parse("last", READ, &[]).sync().bytes())?;
    hoarder.read_until(b'Z')?;
    let everything = |ground: &Ground| -> Result<f64> {
        let metrics = ground.pgmemo.metrics()?;
        Ok(metrics.sum("pgmemo_invalidations_total", &["kind=\"everything\""]))
    };
    let before = everything(&ground)?;
    for _ in 0..3 {
        let run = Frontend::default().bind("", "last", &[]);
        hoarder.send(run.execute("", 0).sync().bytes())?;
        let rows = hoarder.read_until(b'Z')?.rows();
        ensure!(rows.len() == 2, "{rows:?}");
    }
    let given_up = everything(&ground)? - before;
    ensure!(given_up == 0.0, "everything was given up {given_up} times");
    ground.check()
}

/// What is remembered of a name ends with it, however another comes to have it.
#[test]
fn a_name_beyond_the_bound_stands_for_what_has_taken_it() -> Result<()> {
    let mut ground = Ground::new()?;
    if !ground.pgmemo.is_real() {
        return Ok(());
    }
    let mut reader = ground.session()?;
    let mut hoarder = ground.session()?;
    hoarder.run("CREATE TABLE other (v text)")?;
    let pad = "x".repeat(700_000);
    for number in 0..14 {
        let (name, text) = (format!("s{number}"), format!("{READ} -- {pad}"));
        hoarder.send(Frontend::default().parse(&name, &text, &[]).sync().bytes())?;
        hoarder.read_until(b'Z')?;
    }
    let prepare = "PREPARE s AS UPDATE t SET v = v || '!' WHERE id = 1";
    for (drop, make) in [
        ("DEALLOCATE s", format!("SELECT 1; {prepare}")),
        ("SELECT 1", format!("DEALLOCATE s; {prepare}")),
        (
            "SELECT 1",
            format!("DO $$ BEGIN EXECUTE 'DEALLOCATE s'; EXECUTE $q${prepare}$q$; END $$"),
        ),
    ] {
        let insert = Frontend::default().parse("s", "INSERT INTO other VALUES ('x')", &[]);
        hoarder.send(insert.sync().bytes())?;
        hoarder.read_until(b'Z')?;
        for _ in 0..3 {
            reader.run(READ)?;
        }
        hoarder.run(drop)?;
        hoarder.run(&make)?;
        let run = Frontend::default().bind("", "s", &[]).execute("", 0);
        hoarder.send(run.sync().bytes())?;
        let answer = hoarder.read_until(b'Z')?;
        ensure!(answer.error().is_none(), "{make}: {:?}", answer.error());
        let (found, expected) = (
            reader.run(READ)?.rows(),
            ground.database.connect()?.run(READ)?.rows(),
        );
        ensure!(
            found == expected,
            "{make}: {found:?} instead of {expected:?}"
        );
        hoarder.run("DEALLOCATE s")?;
    }
    ground.check()
}

#[test]
fn texts_that_nest_too_deep_are_the_servers_affair() -> Result<()> {
    let mut ground = Ground::new()?;
    let deep = |count: usize| {
        [
            format!("SELECT {}1{} FROM t", "(".repeat(count), ")".repeat(count)),
            format!("SELECT {}id FROM t", "- ".repeat(count)),
            format!("SELECT id{} FROM t", " + 1".repeat(count)),
            format!("SELECT id FROM t WHERE true{}", " OR id = 1".repeat(count)),
            format!(
                "SELECT ARRAY{}1{} FROM t",
                "[".repeat(count),
                "]".repeat(count)
            ),
            format!(
                "SELECT * FROM {}t{}",
                "(SELECT * FROM ".repeat(count),
                ") x".repeat(count)
            ),
            format!("SELECT id{} FROM t", "::text::int".repeat(count)),
            format!("SELECT {} FROM t", "CASE WHEN true THEN ".repeat(count)),
        ]
    };
    for count in [100, 3000, 50_000] {
        for sql in deep(count) {
            let direct = ground.database.connect()?.query(&sql)?.shown();
            let through = ground.session()?.query(&sql)?.shown();
            ensure!(
                direct == through,
                "{}… nested {count} times",
                &sql[..40.min(sql.len())]
            );
        }
    }
    ground.check()
}

#[test]
fn many_clients_that_come_and_go_are_served() -> Result<()> {
    let mut ground = Ground::new()?;
    let (address, name) = (ground.pgmemo.address(), ground.database.name().to_owned());
    let served = std::sync::atomic::AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..40 {
                    let outcome = Conn::connect(address, &Login::to(&name))
                        .and_then(|mut conn| conn.run(READ));
                    if outcome.is_ok() {
                        served.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    let served = served.into_inner();
    ensure!(served == 320, "only {served} of 320 clients were served");
    ground.check()
}

/// 200 MB that could be a reply to remember, of which no more than the first part is kept.
#[test]
fn a_huge_result_streams_through() -> Result<()> {
    let mut ground = Ground::new()?;
    let mut client = ground.session()?;
    let sql = "SELECT repeat('x', 1000) FROM t, generate_series(1, 100000) g";
    client.send(Frontend::new().query(sql).bytes())?;
    for read in 0.. {
        let message = client.read()?;
        if read == 100_000 {
            ground.check().context("amid the rows")?;
        }
        if message.tag == b'Z' {
            ensure!(read > 200_000, "{read} messages");
            break;
        }
    }
    ground.check()
}

/// What came before it is answered as if nothing had followed.
#[test]
fn what_comes_before_nonsense_is_answered() -> Result<()> {
    let ground = Ground::new()?;
    for before in [
        Frontend::new().query("SELECT pg_sleep(0.1), 'answered'"),
        Frontend::new()
            .parse("", "SELECT 'answered'", &[])
            .bind("", "", &[])
            .execute("", 0),
    ] {
        let mut conn = ground.session()?;
        conn.send(before.raw(b"Q\0\0\0\x01").bytes())?;
        let mut answered = false;
        while let Some(message) = conn.try_read()? {
            answered |= message.tag == b'D';
        }
        ensure!(answered, "the reply is missing");
    }
    Ok(())
}

/// Whatever a request hits, either nothing of a transaction is done, or all that was acknowledged.
#[test]
fn a_cancel_request_never_leaves_half_a_transaction() -> Result<()> {
    let ground = Ground::new()?;
    let mut conn = ground.session()?;
    let mut random = Random::new(seed());
    let mut control = ground.database.connect()?;
    let mut expected = 0;
    control.run("CREATE TABLE counted (n int); INSERT INTO counted VALUES (0)")?;
    let [mut cancelled, mut done] = [0, 0];
    for round in 0..300 {
        conn.run("BEGIN")?;
        let other = conn.another_end()?;
        let pause = Duration::from_micros(random.below(400));
        let request = thread::spawn(move || {
            thread::sleep(pause);
            other.cancel()
        });
        conn.send(
            Frontend::new()
                .query("UPDATE counted SET n = n + 1")
                .bytes(),
        )?;
        let answer = conn.read_until(b'Z')?;
        request.join().expect("it does not panic")?;
        let last = answer.0.last().map(|message| message.body.clone());
        match answer.error() {
            Some(error) => {
                ensure!(error.contains("57014"), "round {round}: {error}");
                ensure!(last.as_deref() == Some(b"E"), "round {round}: {answer:?}");
                cancelled += 1;
                conn.run("ROLLBACK")?;
            }
            None => {
                ensure!(last.as_deref() == Some(b"T"), "round {round}: {answer:?}");
                done += 1;
                expected += 1;
                // It may come this late.
                if conn.query("COMMIT")?.error().is_some() {
                    expected -= 1;
                    conn.run("ROLLBACK")?;
                }
            }
        }
        let found = control.value("SELECT n FROM counted")?;
        ensure!(
            found == expected.to_string(),
            "round {round}: {found}, {expected}"
        );
    }
    eprintln!("{cancelled} cancelled, {done} done");
    Ok(())
}
