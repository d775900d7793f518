//! Connections that speak the replication protocol.

#![allow(clippy::panic, clippy::unwrap_used, reason = "tests fail by panicking")]

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use pgmemo_tests::{
    Pgmemo, Postgres, Store, Version,
    net::{SOON, eventually},
    postgres::Database,
    wire::{Conn, Frontend, Login, Message},
};

const READ: &str = "SELECT id, v FROM t ORDER BY id";

/// How long a stop may take that waits for nobody.
const STOP_MAX: Duration = Duration::from_secs(10);

struct Scene {
    database: Database,
    pgmemo: Pgmemo,
    /// Its own: a slot for changes waits for every transaction of the whole server.
    _postgres: Postgres,
}

impl Scene {
    fn new() -> Self {
        let postgres = Postgres::start(Version::System).unwrap();
        let database = postgres.database().unwrap();
        let fixture = "CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'a'); \
            CREATE PUBLICATION p FOR ALL TABLES";
        database.connect().unwrap().run(fixture).unwrap();
        let pgmemo = Pgmemo::start(&postgres, Store::Memory, &[]).unwrap();
        Self {
            database,
            pgmemo,
            _postgres: postgres,
        }
    }

    fn reader(&self) -> Conn {
        let mut reader = self.pgmemo.connect(self.database.name()).unwrap();
        self.await_hits(&mut reader);
        reader
    }

    fn await_hits(&self, reader: &mut Conn) {
        eventually("hits", SOON, || {
            let before = self.pgmemo.hits().ok()?;
            reader.run(READ).ok()?;
            let hit = self.pgmemo.hits().ok()? > before;
            (hit || !self.pgmemo.is_real()).then_some(())
        })
        .unwrap();
    }

    fn replication(&self, value: &str) -> Conn {
        let login = Login::to(self.database.name()).with("replication", value);
        Conn::connect(self.pgmemo.address(), &login).unwrap()
    }
}

/// Fails unless the reader sees what was written over this connection.
fn check_write(writer: &mut Conn, reader: &mut Conn, value: &str) {
    reader.run(READ).unwrap();
    writer.run(&format!("UPDATE t SET v = '{value}'")).unwrap();
    let rows = reader.run(READ).unwrap().shown();
    assert!(rows.iter().any(|row| row.contains(value)), "{rows:?}");
}

/// Reads changes until one of them holds this text.
fn await_change(conn: &mut Conn, text: &str) -> Result<()> {
    let deadline = Instant::now() + SOON;
    loop {
        let message = conn.read()?;
        let held = message
            .body
            .windows(text.len())
            .any(|it| it == text.as_bytes());
        if message.tag == b'd' && held {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "no change with {text}");
    }
}

fn start_streaming(conn: &mut Conn, slot: &str) {
    conn.run(&format!(
        "CREATE_REPLICATION_SLOT {slot} TEMPORARY LOGICAL pgoutput NOEXPORT_SNAPSHOT"
    ))
    .unwrap();
    let start = format!(
        "START_REPLICATION SLOT {slot} LOGICAL 0/0 (proto_version '1', publication_names 'p')"
    );
    conn.send(Frontend::new().query(&start).bytes()).unwrap();
    let answer = conn.read_until(b'W').unwrap();
    assert!(answer.error().is_none(), "{:?}", answer.error());
}

#[test]
fn what_is_written_by_sql_is_seen() {
    let scene = Scene::new();
    let mut reader = scene.reader();
    let mut writer = scene.replication("database");
    check_write(&mut writer, &mut reader, "first");
    // Commands of replication have written nothing.
    scene.await_hits(&mut reader);
    let before = scene.pgmemo.hits().unwrap();
    writer.run("IDENTIFY_SYSTEM").unwrap();
    reader.run(READ).unwrap();
    if scene.pgmemo.is_real() {
        assert!(
            scene.pgmemo.hits().unwrap() > before,
            "a reply was given up"
        );
    }
}

#[test]
fn changes_are_streamed_and_sql_behind_them_is_seen() {
    let scene = Scene::new();
    let mut reader = scene.reader();
    let mut stream = scene.replication("database");
    start_streaming(&mut stream, "streamed");
    scene
        .database
        .connect()
        .unwrap()
        .run("INSERT INTO t VALUES (2, 'streamed')")
        .unwrap();
    await_change(&mut stream, "streamed").unwrap();
    stream
        .send(Frontend::new().message(b'c', b"").bytes())
        .unwrap();
    let answer = stream.read_until(b'Z').unwrap();
    assert!(answer.error().is_none(), "{:?}", answer.error());
    check_write(&mut stream, &mut reader, "behind");
}

#[test]
fn what_does_not_belong_amid_changes_ends_as_without_us() {
    let scene = Scene::new();
    let login = Login::to(scene.database.name()).with("replication", "database");
    let words = [scene.database.address(), scene.pgmemo.address()].map(|address| {
        let mut conn = Conn::connect(address, &login).unwrap();
        start_streaming(&mut conn, &format!("odd_{}", address.port()));
        conn.send(Frontend::new().query(READ).bytes()).unwrap();
        let mut words: Vec<Message> = Vec::new();
        while let Some(message) = conn.try_read().unwrap() {
            words.push(message);
        }
        words.retain(|message| message.tag != b'd');
        words
    });
    assert_eq!(words[0], words[1]);
}

#[test]
fn a_stop_does_not_wait_for_replication() {
    let mut scene = Scene::new();
    if !scene.pgmemo.is_real() {
        return;
    }
    let mut streams = [scene.replication("database"), scene.replication("true")];
    start_streaming(&mut streams[0], "stopped");
    let begun = Instant::now();
    let status = scene.pgmemo.term(SOON * 3).unwrap();
    assert!(status.success());
    assert!(begun.elapsed() < STOP_MAX, "{:?}", begun.elapsed());
    assert!(streams.iter_mut().all(Conn::ends));
}
