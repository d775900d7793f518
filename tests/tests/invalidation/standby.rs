//! O08: a server that follows another one.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use pgmemo_tests::{
    Pgmemo, Postgres, Store, Version,
    net::{SOON, eventually},
    wire::Conn,
};

/// Asks until the answer is this one.
fn see(reader: &mut Conn, read: &str, expected: &str) {
    let seen = eventually(read, SOON, || {
        (reader.value(read).ok()? == expected).then_some(())
    });
    seen.unwrap();
}

/// Asks until the answer comes from the store.
fn hit(pgmemo: &Pgmemo, reader: &mut Conn, read: &str, expected: &str) {
    let hits = eventually("a hit", SOON, || {
        let before = pgmemo.hits().ok()?;
        assert_eq!(reader.value(read).ok()?, expected);
        (pgmemo.hits().ok()? > before || !pgmemo.is_real()).then_some(())
    });
    hits.unwrap();
}

// Rows are as old as the TTL, since nobody tells of what is written elsewhere; definitions as the last
// look at the catalogs.
#[test]
fn a_standby_is_read_as_any_server_and_promoted_becomes_another() {
    let primary = Postgres::start(Version::System).unwrap();
    let mut writer = primary.connect("postgres").unwrap();
    writer.run("CREATE TABLE t (v text)").unwrap();
    writer.run("INSERT INTO t VALUES ('first')").unwrap();
    let standby = primary.standby(Version::System).unwrap();
    let mut direct = standby.connect("postgres").unwrap();
    see(&mut direct, "SELECT v FROM t", "first");

    let file = "[cache]\ndefault_ttl = '3s'\ncatalog_age_max = '1s'\n";
    let pgmemo = Pgmemo::start_with(&standby, Store::Memory, &[], file).unwrap();
    let mut client = pgmemo.connect("postgres").unwrap();
    hit(&pgmemo, &mut client, "SELECT v FROM t", "first");
    writer.run("UPDATE t SET v = 'second'").unwrap();
    see(&mut direct, "SELECT v FROM t", "second");
    see(&mut client, "SELECT v FROM t", "second");

    // What writes is refused in the same words.
    for write in [
        "UPDATE t SET v = 'here'",
        "CREATE TABLE u (id int)",
        "CREATE TEMP TABLE u (id int)",
        "SELECT v FROM t FOR UPDATE",
        "BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT v FROM t",
    ] {
        let told = |conn: &mut Conn| conn.run(write).map(drop).unwrap_err().to_string();
        assert_eq!(told(&mut client), told(&mut direct), "{write}");
    }
    for conn in [&mut client, &mut direct] {
        conn.run("ROLLBACK").unwrap();
    }

    hit(&pgmemo, &mut client, "SELECT v FROM t", "second");
    writer
        .run("ALTER TABLE t RENAME TO old; CREATE VIEW t AS SELECT 'view'::text AS v FROM old")
        .unwrap();
    see(&mut direct, "SELECT v FROM t", "view");
    see(&mut client, "SELECT v FROM t", "view");

    hit(&pgmemo, &mut client, "SELECT v FROM old", "second");
    assert_eq!(direct.value("SELECT pg_promote()").unwrap(), "t");
    client.run("UPDATE old SET v = 'third'").unwrap();
    assert_eq!(client.value("SELECT v FROM old").unwrap(), "third");
    hit(&pgmemo, &mut client, "SELECT v FROM old", "third");
    client.run("UPDATE old SET v = 'fourth'").unwrap();
    assert_eq!(client.value("SELECT v FROM old").unwrap(), "fourth");
}
