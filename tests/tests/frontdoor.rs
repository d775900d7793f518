//! pgmemo as operators meet it: files, signals, health and numbers, with clients at work.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use pgmemo_tests::{
    Pgmemo, Postgres, Redis, Store, Version, env,
    gate::Gate,
    http,
    net::{SOON, accepts, eventually, free_port, local},
    postgres::Database,
    server::Signal,
    wire::{Conn, Frontend, Login, Message},
};

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

#[test]
fn a_bad_configuration_ends_with_status_2_and_names_every_problem() -> Result<()> {
    if env::direct() {
        return Ok(());
    }
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("pgmemo.toml");
    fs::write(
        &path,
        "listn = 'x'\n[cache]\ndefault_ttl = 'soon'\nbytes_max = '-1'\n",
    )?;
    for command in ["serve", "check"] {
        let output = Command::new(env::pgmemo_bin()?)
            .args([command, "--upstream", "http://nowhere", "--config"])
            .arg(&path)
            .output()?;
        ensure!(
            output.status.code() == Some(2),
            "{command}: {}",
            output.status
        );
        let text = String::from_utf8_lossy(&output.stderr);
        for part in [
            "listn",
            "listen",
            "default_ttl",
            "bytes_max",
            "upstream",
            ":1:",
            ":3:",
        ] {
            ensure!(
                text.contains(part),
                "{command} does not mention {part}:\n{text}"
            );
        }
    }
    Ok(())
}

#[test]
fn health_readiness_and_metrics_are_served() -> Result<()> {
    let Some((database, pgmemo)) = ground("")? else {
        return Ok(());
    };
    for path in ["/healthz", "/readyz", "/metrics"] {
        let (status, body) = http::get(pgmemo.admin(), path)?;
        ensure!(
            status == 200 && !body.is_empty(),
            "{path} answers {status}: {body}"
        );
    }
    ensure!(
        http::get(pgmemo.admin(), "/nothing")?.0 == 404,
        "/nothing exists"
    );
    let mut client = pgmemo.connect(database.name())?;
    for _ in 0..5 {
        client.run(READ)?;
    }
    ensure!(
        pgmemo.metrics()?.sum("pgmemo_clients", &[]) >= 1.0,
        "no client is counted"
    );
    Ok(())
}

#[test]
fn hits_misses_and_bypasses_add_up_to_the_reads() -> Result<()> {
    let Some((database, pgmemo)) = ground("")? else {
        return Ok(());
    };
    let mut client = pgmemo.connect(database.name())?;
    let before = pgmemo.metrics()?;
    let reads = [
        READ,
        "SELECT 1",
        "SELECT count(*) FROM t WHERE random() < 2",
        "TABLE t",
    ];
    for _ in 0..10 {
        reads
            .iter()
            .try_for_each(|sql| client.run(sql).map(|_| ()))?;
        for sql in reads {
            client.extended(sql, &[])?;
        }
    }
    let sum = || -> Result<f64> {
        let now = pgmemo.metrics()?;
        let all = [now.hits(), now.misses(), now.bypasses()]
            .iter()
            .sum::<f64>();
        Ok(all - before.hits() - before.misses() - before.bypasses())
    };
    eventually("80 reads", SOON, || (sum().ok()? >= 80.0).then_some(()))
        .with_context(|| format!("{:?} reads were counted", sum()))?;
    ensure!(sum()? == 80.0, "{} of 80 reads were counted", sum()?);
    pgmemo.expect_hits_since(&before, 10.0)
}

#[test]
fn sigterm_lets_a_transaction_end_and_takes_no_new_client() -> Result<()> {
    let Some((database, mut pgmemo)) = ground("")? else {
        return Ok(());
    };
    let mut busy = pgmemo.connect(database.name())?;
    let mut idle = pgmemo.connect(database.name())?;
    idle.run(READ)?;
    busy.run("BEGIN")?;
    busy.run("UPDATE t SET v = 'drained'")?;
    pgmemo.server()?.signal(Signal::Term)?;
    eventually("readiness withdrawn", SOON, || {
        (!ready(&pgmemo)).then_some(())
    })?;
    ensure!(idle.ends(), "an idle client was not sent away");
    ensure!(
        pgmemo.connect(database.name()).is_err(),
        "a new client was accepted"
    );
    ensure!(
        busy.value(READ)? == "drained",
        "the transaction does not read its own write"
    );
    busy.run("COMMIT")?;
    ensure!(
        busy.ends(),
        "the client was not sent away after its transaction"
    );
    let status = pgmemo.server()?.wait(SOON)?;
    ensure!(status.success(), "{status}");
    ensure!(
        database.connect()?.value(READ)? == "drained",
        "the transaction was lost"
    );
    Ok(())
}

/// As PostgreSQL's sockets are: a client whose host is gone must not hold its locks for ever.
#[test]
fn the_system_looks_after_clients() -> Result<()> {
    let Some((database, pgmemo)) = ground("[limits]\nclient_gone_after = '20s'\n")? else {
        return Ok(());
    };
    let _client = pgmemo.connect(database.name())?;
    let port = format!(":{:04X}", pgmemo.address().port());
    let sockets = fs::read_to_string("/proc/net/tcp")?;
    let timers: Vec<_> = sockets
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|it| it.len() > 5 && it[1].ends_with(&port) && it[3] == "01")
        .map(|it| it[5].to_owned())
        .collect();
    ensure!(!timers.is_empty(), "no connection of ours in {sockets}");
    for timer in timers {
        // A timer of the second kind, in hundredths of a second.
        let (kind, left) = timer.split_once(':').context("no timer")?;
        let left = u64::from_str_radix(left, 16)?;
        ensure!(kind == "02" && left <= 1000, "{timer}");
    }
    Ok(())
}

/// Each hit is timed once, when it is served.
/// The server says which versions of the protocol it speaks.
#[test]
fn another_version_of_the_protocol_is_refused_by_the_server() -> Result<()> {
    let Some((_database, pgmemo)) = ground("")? else {
        return Ok(());
    };
    let postgres = Postgres::shared(Version::System);
    for (major, minor) in [(0_u16, 0_u16), (1, 0), (2, 0), (4, 0), (99, 9)] {
        let mut packet = [0, 0, 0, 31].to_vec();
        packet.extend([major.to_be_bytes(), minor.to_be_bytes()].concat());
        packet.extend(b"user\0postgres\0extra\0x\0\0");
        packet[3] = u8::try_from(packet.len())?;
        let said = |address| -> Result<String> {
            let mut stream = TcpStream::connect(address)?;
            stream.set_read_timeout(Some(SOON))?;
            stream.write_all(&packet)?;
            let mut said = Vec::new();
            stream.read_to_end(&mut said)?;
            Ok(String::from_utf8_lossy(&said).into_owned())
        };
        let (directly, through) = (said(postgres.address())?, said(pgmemo.address())?);
        ensure!(directly.contains("unsupported"), "{directly:?}");
        ensure!(directly == through, "{directly:?} is not {through:?}");
    }
    Ok(())
}

/// Who comes when no more files can be opened does not wait for somebody to leave.
#[test]
fn who_comes_when_no_file_can_be_opened_is_told_so() -> Result<()> {
    let Some((database, mut pgmemo)) = ground("")? else {
        return Ok(());
    };
    let mut conn = pgmemo.connect(database.name())?;
    conn.value(READ)?;
    let process = pgmemo.server()?.pid();
    let open = || -> Result<Vec<u64>> {
        let files = fs::read_dir(format!("/proc/{process}/fd"))?;
        let numbers = files.map(|file| Ok(file?.file_name().to_string_lossy().parse()?));
        numbers.collect()
    };
    let numbers = open()?;
    let limit = 4 + numbers.iter().max().context("no file is open")?;
    let set = Command::new("prlimit")
        .args([format!("--pid={process}"), format!("--nofile={limit}:")])
        .status()?;
    ensure!(set.success());
    let room = limit - numbers.len() as u64;
    let silent: Vec<_> = (0..room)
        .map(|_| Conn::raw(pgmemo.address()))
        .collect::<Result<_>>()?;
    eventually("no more files", SOON, || {
        (open().ok()?.len() as u64 == limit).then_some(())
    })?;
    for _ in 0..3 {
        let start = Instant::now();
        let error = pgmemo.connect(database.name()).err().context("let in")?;
        ensure!(format!("{error:?}").contains("53300"), "{error:?}");
        let took = start.elapsed();
        ensure!(took < Duration::from_secs(2), "{took:?}");
    }
    conn.send(Frontend::new().query("SELECT pg_sleep(20)").bytes())?;
    thread::sleep(Duration::from_millis(300));
    conn.cancel()?;
    let error = conn.read_until(b'Z')?.error();
    ensure!(error.is_some_and(|error| error.contains("57014")));
    drop(silent);
    eventually("a client is let in", SOON, || {
        pgmemo.connect(database.name()).ok()
    })?;
    Ok(())
}

#[test]
fn hits_that_wait_for_earlier_replies_are_timed_once() -> Result<()> {
    let Some((database, pgmemo)) = ground("")? else {
        return Ok(());
    };
    let mut client = pgmemo.connect(database.name())?;
    eventually("hits", SOON, || {
        client.run(READ).ok()?;
        (pgmemo.hits().ok()? > 0.0).then_some(())
    })?;
    for _ in 0..5 {
        let batch = Frontend::new().query("SELECT pg_sleep(0.1)").query(READ);
        client.send(batch.bytes())?;
        client.read_until(b'Z')?;
        client.read_until(b'Z')?;
    }
    client.run(READ)?;
    let now = pgmemo.metrics()?;
    let labels = [r#"result="hit""#];
    let timed = now.sum("pgmemo_lookup_duration_seconds_count", &labels);
    ensure!(
        timed > 5.0 && timed <= now.hits(),
        "{timed} of {} hits",
        now.hits()
    );
    Ok(())
}

/// Who cannot cache serves all the same; who cannot reach PostgreSQL does not.
#[test]
fn readiness_is_whether_clients_would_be_served() -> Result<()> {
    if env::direct() {
        return Ok(());
    }
    let mut redis = Redis::start_faulty()?;
    redis.kill9()?;
    let postgres = Postgres::start(Version::System)?;
    let nobody = format!("postgres://{}", postgres.address());
    let without_user = Pgmemo::start_upstream(&nobody, Store::Memory, &[], "")?;
    let without_store = Pgmemo::start(&postgres, Store::Redis(&redis), &[])?;
    for pgmemo in [&without_user, &without_store] {
        let login = || {
            let begun = Instant::now();
            pgmemo.connect("postgres")?.run("SELECT 1")?;
            anyhow::Ok(begun.elapsed())
        };
        let quickest = login()?.min(login()?).min(login()?);
        ensure!(quickest < Duration::from_millis(1500), "logins wait");
    }
    drop(postgres);
    for pgmemo in [&without_user, &without_store] {
        eventually("readiness withdrawn", SOON, || {
            (!ready(pgmemo)).then_some(())
        })?;
    }
    Ok(())
}

#[test]
fn what_holds_up_a_stop_can_be_cancelled() -> Result<()> {
    let Some((database, mut pgmemo)) = ground("")? else {
        return Ok(());
    };
    let mut busy = pgmemo.connect(database.name())?;
    busy.send(Frontend::new().query("SELECT pg_sleep(600)").bytes())?;
    pgmemo.server()?.signal(Signal::Term)?;
    eventually("readiness withdrawn", SOON, || {
        (!ready(&pgmemo)).then_some(())
    })?;
    let login = Login::to(database.name());
    let late = Conn::greet(pgmemo.address(), &login)?;
    let code = late.greeting().last().map(Message::sqlstate);
    ensure!(code.as_deref() == Some("57P03"), "{code:?}");
    let mut control = database.connect()?;
    let (pid, _) = busy.cancel_key()?;
    let event = format!("SELECT wait_event FROM pg_stat_activity WHERE pid = {pid}");
    eventually("the statement runs", SOON, || {
        (control.value(&event).ok()? == "PgSleep").then_some(())
    })?;
    busy.cancel()?;
    let error = busy.read_until(b'Z')?.error();
    ensure!(error.is_some_and(|it| it.contains("57014")), "it goes on");
    let status = pgmemo.server()?.wait(SOON)?;
    ensure!(status.success(), "{status}");
    Ok(())
}

#[test]
fn sigterm_waits_no_longer_than_it_is_told() -> Result<()> {
    let Some((database, mut pgmemo)) = ground("[limits]\ndrain_timeout = '1s'\n")? else {
        return Ok(());
    };
    let mut stuck = pgmemo.connect(database.name())?;
    stuck.run("BEGIN")?;
    stuck.run("UPDATE t SET v = 'stuck'")?;
    pgmemo.term(Duration::from_secs(15))?;
    // As the server says it to those whom it cuts off.
    let last = stuck.read()?;
    ensure!(
        (last.tag, &*last.sqlstate()) == (b'E', "57P01"),
        "{last:?} as the last word"
    );
    ensure!(stuck.ends(), "the client was left hanging");
    ensure!(
        database.connect()?.value(READ)? == "a",
        "an open transaction was committed"
    );
    Ok(())
}

/// Whoever has no session yet has begun nothing.
#[test]
fn a_stop_does_not_wait_for_who_says_nothing() -> Result<()> {
    let Some((database, mut pgmemo)) = ground("")? else {
        return Ok(());
    };
    let silent = Conn::raw(pgmemo.address())?;
    let mut half = Conn::raw(pgmemo.address())?;
    half.send(&[0, 0, 0, 40, 0, 3])?;
    let mut idle = pgmemo.connect(database.name())?;
    idle.run(READ)?;
    pgmemo.term(Duration::from_secs(10))?;
    ensure!(idle.ends(), "a client was left hanging");
    drop((silent, half));
    Ok(())
}

#[test]
fn sighup_takes_a_good_file_and_keeps_the_old_one_if_it_is_bad() -> Result<()> {
    let on = "[cache]\ndefault_ttl = '60s'\n";
    let Some((database, mut pgmemo)) = ground(on)? else {
        return Ok(());
    };
    let file = pgmemo.dir()?.join("pgmemo.toml");
    let mut client = pgmemo.connect(database.name())?;
    let mut hits = |pgmemo: &Pgmemo| -> Result<bool> {
        let before = pgmemo.hits()?;
        for _ in 0..3 {
            client.run(READ)?;
        }
        Ok(pgmemo.hits()? > before)
    };
    eventually("hits", SOON, || hits(&pgmemo).ok()?.then_some(()))?;

    fs::write(&file, "[cache]\ndefault_ttl = 'off'\n")?;
    pgmemo.server()?.signal(Signal::Hup)?;
    eventually("no hits after the reload", SOON, || {
        (!hits(&pgmemo).ok()?).then_some(())
    })?;

    fs::write(&file, on)?;
    pgmemo.server()?.signal(Signal::Hup)?;
    eventually("hits after the second reload", SOON, || {
        hits(&pgmemo).ok()?.then_some(())
    })?;

    fs::write(&file, "[cache]\ndefault_ttl = 'off'\nnonsense = 1\n")?;
    pgmemo.server()?.signal(Signal::Hup)?;
    eventually("a complaint", SOON, || {
        let log = pgmemo.server().ok()?.log_tail();
        log.contains("nonsense").then_some(())
    })?;
    ensure!(hits(&pgmemo)?, "a bad file was taken in part");
    Ok(())
}

#[test]
fn readiness_follows_the_server() -> Result<()> {
    if env::direct() {
        return Ok(());
    }
    let postgres = Postgres::start(Version::System)?;
    let pgmemo = Pgmemo::start(&postgres, Store::Memory, &[])?;
    drop(postgres);
    eventually("readiness withdrawn", Duration::from_secs(60), || {
        (!ready(&pgmemo)).then_some(())
    })?;
    ensure!(
        http::get(pgmemo.admin(), "/healthz")?.0 == 200,
        "health depends on the server"
    );
    Ok(())
}

#[test]
fn a_client_is_told_when_the_server_is_away() -> Result<()> {
    if env::direct() {
        return Ok(());
    }
    let postgres = Postgres::start(Version::System)?;
    let pgmemo = Pgmemo::start(&postgres, Store::Memory, &[])?;
    let mut client = pgmemo.connect("postgres")?;
    drop(postgres);
    ensure!(client.ends(), "the client was left hanging");
    let login = pgmemo_tests::wire::Login::default();
    let refused = pgmemo_tests::wire::Conn::greet(pgmemo.address(), &login)?;
    let last = refused
        .greeting()
        .last()
        .context("no word for the client")?;
    ensure!(last.tag == b'E', "the client was told {last:?}");
    let text = format!("{last:?}");
    ensure!(
        !text.contains("127.0.0.1"),
        "the client was told where the server is: {text}"
    );
    Ok(())
}

/// By a name, or by a port that somebody forwards: no address tells.
#[test]
fn a_pgmemo_in_front_of_itself_says_so_and_does_not_spin() -> Result<()> {
    if env::direct() {
        return Ok(());
    }
    type Url = fn(std::net::SocketAddr) -> Result<String>;
    let named: Url = |address| Ok(format!("postgres://postgres@localhost:{}", address.port()));
    let forwarded: Url = |address| {
        let gate = Gate::close(address, "nowhere")?;
        gate.open();
        Ok(gate.url())
    };
    for url in [named, forwarded] {
        let pgmemo = Pgmemo::start_before_itself(url)?;
        eventually("a word of it", SOON, || {
            pgmemo.log_tail().contains("leads back").then_some(())
        })?;
        for _ in 0..3 {
            let refused = Conn::greet(pgmemo.address(), &Login::to("postgres"))?;
            let last = refused.greeting().last().context("no word")?;
            ensure!(format!("{last:?}").contains("leads back"), "{last:?}");
        }
        ensure!(!ready(&pgmemo), "it says that it is ready");
        let log = pgmemo.log_tail();
        ensure!(
            log.matches("leads back to this pgmemo:").count() == 1,
            "{log}"
        );
        ensure!(log.lines().count() < 20, "{log}");
    }
    Ok(())
}

#[test]
fn a_server_with_a_password_is_reached_by_clients_and_by_us() -> Result<()> {
    if env::direct() {
        return Ok(());
    }
    let postgres = Postgres::shared(Version::System);
    let database = postgres.database()?;
    database
        .connect()?
        .run("CREATE TABLE t (id int PRIMARY KEY, v text)")?;
    database
        .connect()?
        .run("INSERT INTO t VALUES (1, 'a'); GRANT SELECT ON t TO PUBLIC")?;
    let upstream = format!(
        "postgres://scram_user:open%20sesame@{}/{}?sslmode=disable",
        postgres.address(),
        database.name()
    );
    let pgmemo = Pgmemo::start_upstream(&upstream, Store::Memory, &[], "")?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    for user in ["scram_user", "md5_user", "clear_user"] {
        let before = pgmemo.metrics()?;
        let through = |password: &str| {
            let url = format!(
                "postgres://{user}:{password}@{}/{}?sslmode=disable",
                pgmemo.address(),
                database.name()
            );
            runtime.block_on(async move {
                let (client, connection) =
                    tokio_postgres::connect(&url, tokio_postgres::NoTls).await?;
                let driving = tokio::spawn(connection);
                for _ in 0..4 {
                    client.simple_query(READ).await?;
                }
                drop(client);
                Ok::<_, anyhow::Error>(driving.await??)
            })
        };
        through("open%20sesame").with_context(|| user.to_owned())?;
        pgmemo
            .expect_hits_since(&before, 1.0)
            .with_context(|| user.to_owned())?;
        let refused = through("wrong")
            .err()
            .context("a wrong password was accepted")?;
        let code = refused
            .downcast_ref::<tokio_postgres::Error>()
            .and_then(|error| error.code());
        ensure!(
            code == Some(&tokio_postgres::error::SqlState::INVALID_PASSWORD),
            "{user}: {refused:#}"
        );
    }
    Ok(())
}

#[test]
fn check_says_what_is_wrong_with_server_and_store() -> Result<()> {
    if env::direct() {
        return Ok(());
    }
    let postgres = Postgres::shared(Version::System);
    let redis = Redis::start()?;
    let check = |upstream: &str, store: &str| {
        Command::new(env::pgmemo_bin()?)
            .args(["check", "--upstream", upstream, "--store", store])
            .output()
            .context("pgmemo check")
    };
    let good = check(&postgres.url("postgres"), &redis.url())?;
    ensure!(
        good.status.success(),
        "{}",
        String::from_utf8_lossy(&good.stderr)
    );
    let nobody = local(free_port()?);
    ensure!(!accepts(nobody), "somebody listens on a free port");
    let bad = check(
        &format!("postgres://postgres@{nobody}/postgres"),
        &format!("redis://{nobody}"),
    )?;
    ensure!(!bad.status.success(), "what is not there was found good");
    // And the words of those who refuse.
    for (store, words) in [
        (format!("redis://{nobody}"), "refused"),
        (format!("{}/99", redis.url()), "out of range"),
    ] {
        let told = check(&postgres.url("postgres"), &store)?;
        let told = String::from_utf8_lossy(&told.stderr).into_owned();
        ensure!(
            told.contains("the store is not up") && told.contains(words),
            "{store}: {told}"
        );
    }
    Ok(())
}
