//! Servers that end, in every state of a session: the client hears of it as it would without us, and
//! nobody waits for ever.

#![allow(clippy::panic, clippy::unwrap_used, reason = "tests fail by panicking")]

use std::{net::SocketAddr, process::Command, thread, time::Duration};

use anyhow::{Context, Result, ensure};
use pgmemo_tests::{
    Pgmemo, Postgres, Store, Version,
    net::{SOON, eventually},
    postgres::Database,
    wire::{Conn, Frontend, Login, Message},
};

const READ: &str = "SELECT id, v FROM t ORDER BY id";
const FIXTURE: &str = "
CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'a'), (2, 'b');
CREATE TABLE w (id int PRIMARY KEY, v text); INSERT INTO w VALUES (1, 'one');
CREATE TABLE log (line text)";

/// Brings a session into a state.
type Enter = fn(&mut Conn) -> Result<()>;

const STATES: [(&str, Enter); 13] = [
    ("idle", |_| Ok(())),
    ("served from the store", |conn| {
        conn.run(READ)?;
        conn.extended(READ, &[])?;
        conn.run(READ).map(drop)
    }),
    ("in a block", |conn| {
        conn.run("BEGIN")?;
        conn.run("INSERT INTO log VALUES ('x')").map(drop)
    }),
    ("in a block that has only read", |conn| {
        conn.run("BEGIN")?;
        conn.run(READ).map(drop)
    }),
    ("in a failed block", |conn| {
        conn.run("BEGIN")?;
        conn.query("SELECT 1/0").map(drop)
    }),
    ("behind an error, without Sync", |conn| {
        say(conn, |f| f.parse("", "SELEC", &[]).flush())?;
        conn.read_until(b'E').map(drop)
    }),
    ("amid a pipeline", |conn| {
        say(conn, |f| f.parse("s", READ, &[]).bind("", "s", &[]).flush())?;
        conn.read_until(b'2').map(drop)
    }),
    ("with a portal that is suspended", |conn| {
        conn.run("BEGIN")?;
        say(conn, |f| {
            let f = f.parse("", "SELECT * FROM w, t ORDER BY 1, 3", &[]);
            f.bind("p", "", &[]).execute("p", 1).flush()
        })?;
        conn.read_until(b's').map(drop)
    }),
    ("taking copy data", |conn| {
        say(conn, |f| f.query("COPY log FROM STDIN"))?;
        conn.read_until(b'G')?;
        say(conn, |f| f.copy_data(b"three\n"))
    }),
    ("taking copy data amid a Sync", |conn| {
        say(conn, |f| {
            let f = f.parse("", "COPY log FROM STDIN", &[]).bind("", "", &[]);
            f.execute("", 0).sync()
        })?;
        conn.read_until(b'G')?;
        say(conn, |f| f.copy_data(b"three\n").sync())
    }),
    ("at work", |conn| {
        say(conn, |f| f.query("SELECT pg_sleep(600)"))
    }),
    ("at work, by the extended protocol", |conn| {
        say(conn, |f| {
            let f = f.parse("", "SELECT pg_sleep(600)", &[]).bind("", "", &[]);
            f.execute("", 0).sync()
        })
    }),
    ("at work, with more to come", |conn| {
        say(conn, |f| f.query("SELECT pg_sleep(600)").query(READ))
    }),
];

fn say(conn: &mut Conn, more: impl FnOnce(Frontend) -> Frontend) -> Result<()> {
    conn.send(more(Frontend::new()).bytes())
}

/// Everything up to the end of the connection, but for how far copy data had been read.
fn last_words(conn: &mut Conn) -> Result<Vec<Message>> {
    let mut words = Vec::new();
    while let Some(mut message) = conn.try_read()? {
        if matches!(message.tag, b'E' | b'N') {
            let fields = message.body.split(|&byte| byte == 0);
            let kept = fields.filter(|field| !field.starts_with(b"WCOPY"));
            message.body = kept.collect::<Vec<_>>().join(&0);
        }
        words.push(message);
    }
    Ok(words)
}

/// Waits until the process sleeps, or waits for its client, as this event says.
fn await_rest(control: &mut Conn, pid: u32, event: &str) -> Result<()> {
    let sql = format!("SELECT wait_event FROM pg_stat_activity WHERE pid = {pid}");
    eventually("the server has come to rest", SOON, || {
        (control.value(&sql).ok()? == event).then_some(())
    })
}

fn terminate(control: &mut Conn, pid: u32) -> Result<()> {
    control.run(&format!("SELECT pg_terminate_backend({pid})"))?;
    let sql = format!("SELECT count(*) FROM pg_stat_activity WHERE pid = {pid}");
    eventually("the server's process is gone", SOON, || {
        (control.value(&sql).ok()? == "0").then_some(())
    })
}

struct Scene {
    database: Database,
    pgmemo: Pgmemo,
}

impl Scene {
    fn new(postgres: &Postgres) -> Result<Self> {
        let database = postgres.database()?;
        database.connect()?.run(FIXTURE)?;
        let pgmemo = Pgmemo::start(postgres, Store::Memory, &[])?;
        let scene = Self { database, pgmemo };
        scene.warm()?;
        Ok(scene)
    }

    /// Reads become hits.
    fn warm(&self) -> Result<()> {
        if !self.pgmemo.is_real() {
            return Ok(());
        }
        let before = self.pgmemo.hits()?;
        eventually("reads are hits", SOON, || {
            let mut conn = self.pgmemo.connect(self.database.name()).ok()?;
            conn.run(READ).ok()?;
            conn.extended(READ, &[]).ok()?;
            (self.pgmemo.hits().ok()? > before + 1.0).then_some(())
        })
    }

    /// The server, and pgmemo in front of it.
    fn ways(&self) -> [SocketAddr; 2] {
        [self.database.address(), self.pgmemo.address()]
    }

    fn both(&self) -> Result<[Conn; 2]> {
        let [direct, through] = self.ways();
        let login = self.login();
        Ok([
            Conn::connect(direct, &login)?,
            Conn::connect(through, &login)?,
        ])
    }

    fn login(&self) -> Login {
        Login::to(self.database.name())
    }
}

#[test]
fn a_terminated_server_is_heard_of_in_every_state() {
    let scene = Scene::new(Postgres::shared(Version::System)).unwrap();
    let mut control = scene.database.connect().unwrap();
    for (state, enter) in STATES {
        let words = scene.both().unwrap().map(|mut conn| {
            let (pid, _) = conn.cancel_key().unwrap();
            enter(&mut conn).unwrap();
            let works = state.starts_with("at work");
            let event = if works { "PgSleep" } else { "ClientRead" };
            await_rest(&mut control, pid, event).unwrap();
            terminate(&mut control, pid).unwrap();
            last_words(&mut conn)
                .with_context(|| state.to_owned())
                .unwrap()
        });
        assert_eq!(words[0], words[1], "{state}");
        let last = words[1].last().map(Message::sqlstate);
        assert_eq!(last.as_deref(), Some("57P01"), "{state}");
    }
}

/// The server finds that its client does not read, and leaves without a word.
#[test]
fn a_server_that_is_terminated_amid_rows_closes() {
    let scene = Scene::new(Postgres::shared(Version::System)).unwrap();
    let mut control = scene.database.connect().unwrap();
    let sql = "SELECT repeat('x', 1000) FROM generate_series(1, 100000)";
    for mut conn in scene.both().unwrap() {
        let (pid, _) = conn.cancel_key().unwrap();
        say(&mut conn, |f| f.query(sql)).unwrap();
        await_rest(&mut control, pid, "ClientWrite").unwrap();
        terminate(&mut control, pid).unwrap();
        assert!(conn.ends());
    }
}

/// What the server has said before it left is read to its end, however late, and so is the end. How
/// much waits in pgmemo by then is the system's affair, so that all sizes are tried.
#[test]
fn a_client_that_reads_late_hears_of_the_end() {
    let scene = Scene::new(Postgres::shared(Version::System)).unwrap();
    let [_, through] = scene.ways();
    let login = scene.login();
    let sizes: Vec<usize> = (5..60).collect();
    thread::scope(|scope| {
        for sizes in sizes.chunks(7) {
            let login = &login;
            scope.spawn(move || {
                for size in sizes {
                    let rows = size * 20;
                    let sql = format!("SELECT repeat('x', 9990) FROM generate_series(1, {rows})");
                    let mut conn = Conn::connect(through, login).unwrap();
                    say(&mut conn, |f| f.query(&sql).terminate()).unwrap();
                    thread::sleep(Duration::from_millis(500));
                    let mut read = 0;
                    while conn.try_read().unwrap().is_some() {
                        read += 1;
                    }
                    assert!(read > rows, "{read} messages of {rows} rows");
                }
            });
        }
    });
}

/// What a write that was cut off has done is not known, so that nobody is served what was before it.
#[test]
fn a_write_whose_server_is_terminated_is_seen() {
    let scene = Scene::new(Postgres::shared(Version::System)).unwrap();
    let mut control = scene.database.connect().unwrap();
    let mut writer = scene.pgmemo.connect(scene.database.name()).unwrap();
    let mut reader = scene.pgmemo.connect(scene.database.name()).unwrap();
    reader.run(READ).unwrap();
    let (pid, _) = writer.cancel_key().unwrap();
    let sql = "WITH x AS (UPDATE t SET v = v || '!' RETURNING id) SELECT pg_sleep(600) FROM x";
    say(&mut writer, |f| f.query(sql)).unwrap();
    await_rest(&mut control, pid, "PgSleep").unwrap();
    terminate(&mut control, pid).unwrap();
    last_words(&mut writer).unwrap();
    control.run("UPDATE t SET v = 'around'").unwrap();
    let rows = reader.run(READ).unwrap().shown();
    assert!(
        rows.iter().any(|row| row.contains("around")),
        "an unknown outcome counts as a commit: {rows:?}"
    );
}

/// Whoever cancels while a commit waits for the disk is heard only behind it, if the server writes
/// the statement to its log: CommandComplete, then an error. The rows have changed.
#[test]
fn a_write_that_is_cancelled_behind_its_commit_is_seen() {
    let postgres = Postgres::start(Version::System).unwrap();
    let scene = Scene::new(&postgres).unwrap();
    let mut control = scene.database.connect().unwrap();
    control.run("ALTER SYSTEM SET fsync = on").unwrap();
    control.run("SELECT pg_reload_conf()").unwrap();
    let mut writer = scene.pgmemo.connect(scene.database.name()).unwrap();
    let mut reader = scene.pgmemo.connect(scene.database.name()).unwrap();
    for setting in [
        "log_min_duration_statement = 0",
        "commit_delay = 100000",
        "commit_siblings = 0",
    ] {
        writer.run(&format!("SET {setting}")).unwrap();
    }
    let (pid, _) = writer.cancel_key().unwrap();
    let cancel = format!("SELECT pg_cancel_backend({pid})");
    let update = "UPDATE t SET v = v || '!' WHERE id = 1";
    let mut attempts = (10..80).step_by(10).cycle().take(70);
    let late = attempts.any(|wait| {
        reader.run(READ).unwrap();
        say(&mut writer, |f| f.query(update)).unwrap();
        thread::sleep(Duration::from_millis(wait));
        control.run(&cancel).unwrap();
        let heard = writer.read_until(b'Z').unwrap();
        let [shown, expected] =
            [&mut reader, &mut control].map(|conn| conn.run(READ).unwrap().shown());
        assert_eq!(shown, expected);
        matches!(&heard.0[..], [ended, failed, _] if ended.tag == b'C' && failed.tag == b'E')
    });
    assert!(late, "no cancel was heard behind a commit");
}

#[test]
fn sessions_that_are_idle_for_too_long_end_as_without_us() {
    let scene = Scene::new(Postgres::shared(Version::System)).unwrap();
    let timeouts: [(&str, &str, Enter); 4] = [
        ("idle_session_timeout", "57P05", |_| Ok(())),
        ("idle_session_timeout", "57P05", |conn| {
            conn.run(READ)?;
            conn.run(READ).map(drop)
        }),
        ("idle_in_transaction_session_timeout", "25P03", |conn| {
            conn.run("BEGIN")?;
            conn.run("INSERT INTO log VALUES ('x')").map(drop)
        }),
        ("idle_in_transaction_session_timeout", "25P03", |conn| {
            conn.run("BEGIN")?;
            conn.query("SELECT 1/0").map(drop)
        }),
    ];
    for (setting, code, enter) in timeouts {
        let login = scene.login().with(setting, "2s");
        let words = scene.ways().map(|address| {
            let mut conn = Conn::connect(address, &login).unwrap();
            enter(&mut conn).unwrap();
            last_words(&mut conn).unwrap()
        });
        assert_eq!(words[0], words[1], "{setting}");
        let last = words[1].last().map(Message::sqlstate);
        assert_eq!(last.as_deref(), Some(code), "{setting}");
    }
}

/// One process is killed, and the server ends all others, as its memory may be damaged.
#[test]
fn a_crash_is_heard_of_and_survived() {
    let mut postgres = Postgres::start(Version::System).unwrap();
    let scene = Scene::new(&postgres).unwrap();
    let mut control = scene.database.connect().unwrap();
    // Not those in which what is heard depends on how far the process has come.
    let calm = &STATES[..10];
    let mut pairs = Vec::new();
    for (state, enter) in calm {
        let mut pair = scene.both().unwrap();
        for conn in &mut pair {
            let (pid, _) = conn.cancel_key().unwrap();
            enter(conn).unwrap();
            await_rest(&mut control, pid, "ClientRead").unwrap();
        }
        pairs.push((state, pair));
    }
    let mut victims = scene.both().unwrap();
    for victim in &victims[..1] {
        let (pid, _) = victim.cancel_key().unwrap();
        kill(pid).unwrap();
    }
    for (state, pair) in pairs {
        let words = pair.map(|mut conn| last_words(&mut conn).unwrap());
        assert_eq!(words[0], words[1], "{state}");
        let last = words[1].last().map(Message::sqlstate);
        assert_eq!(last.as_deref(), Some("57P02"), "{state}");
    }
    assert!(victims[1].ends());
    await_recovery(&scene).unwrap();

    // The one that is killed has no last words.
    let mut victim = scene.pgmemo.connect(scene.database.name()).unwrap();
    let mut bystander = scene.database.connect().unwrap();
    let (pid, _) = victim.cancel_key().unwrap();
    kill(pid).unwrap();
    assert_eq!(last_words(&mut victim).unwrap(), []);
    // Until the server has noticed, it lets people in whom it will throw out.
    last_words(&mut bystander).unwrap();
    await_recovery(&scene).unwrap();

    // Who only hits hears of a stop, too.
    let mut conn = scene.pgmemo.connect(scene.database.name()).unwrap();
    conn.run(READ).unwrap();
    postgres.crash_and_restart(Version::System).unwrap();
    last_words(&mut conn).unwrap();
    await_recovery(&scene).unwrap();
}

/// New sessions come, and are served, and see what was written meanwhile.
fn await_recovery(scene: &Scene) -> Result<()> {
    let database = &scene.database;
    let mut direct = eventually("the server is back", SOON * 3, || database.connect().ok())?;
    direct.run("UPDATE t SET v = v || '.'")?;
    let expected = direct.run(READ)?.shown();
    let mut conn = eventually("so is pgmemo", SOON * 3, || {
        scene.pgmemo.connect(database.name()).ok()
    })?;
    let found = conn.run(READ)?.shown();
    ensure!(expected == found, "{found:?} instead of {expected:?}");
    scene.warm()
}

fn kill(pid: u32) -> Result<()> {
    let status = Command::new("kill")
        .args(["-9", &pid.to_string()])
        .status()?;
    ensure!(status.success(), "cannot kill {pid}");
    Ok(())
}
