//! Writes through one instance, reads through another on the same Redis.

use std::time::Duration;

use pgmemo_tests::{
    Pgmemo, Postgres, Redis, Store, Version,
    net::{SOON, eventually},
    wire::Conn,
};

use super::{FIXTURE, check_instances, pair::warm};

#[test]
fn instances_that_share_a_store_share_what_they_know() {
    check_instances(&[
        (
            "C33 a write through another instance",
            "
            s1 hot: SELECT * FROM t ORDER BY id
            p2: SELECT * FROM t ORDER BY id
            p2: UPDATE t SET v = 'by the other'
            s1: SELECT * FROM t ORDER BY id
            s1 hot: SELECT * FROM t ORDER BY id
            p2 hot: SELECT * FROM t ORDER BY id
            s1: DELETE FROM t WHERE id = 1
            p2: SELECT * FROM t ORDER BY id
            ",
        ),
        (
            "C33 a reply filled by one is served by the other",
            "
            s1 hot: SELECT * FROM u ORDER BY id
            p2 hot: SELECT * FROM u ORDER BY id
            ",
        ),
        (
            "T04 a transaction at one, a fill at the other",
            "
            p2 hot: SELECT * FROM t ORDER BY id
            s1: BEGIN
            s1: UPDATE t SET v = 'after'
            p2 warm: SELECT * FROM t ORDER BY id
            s1: COMMIT
            p2: SELECT * FROM t ORDER BY id
            s1: SELECT * FROM t ORDER BY id
            ",
        ),
        (
            "C17 a change of the schema at one",
            "
            p2 hot: SELECT * FROM t ORDER BY id
            s1: ALTER TABLE t ADD COLUMN more int
            p2: SELECT * FROM t ORDER BY id
            p2 hot: SELECT * FROM t ORDER BY id
            s1: ALTER TABLE t RENAME TO gone
            p2 fails: SELECT * FROM t ORDER BY id
            ",
        ),
        (
            "C10 a trigger made at one, a write at the other",
            "
            s1 hot: SELECT * FROM log ORDER BY n
            p2 hot: SELECT * FROM log ORDER BY n
            s1: CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO log VALUES (1, 'fired'); RETURN NULL; END $$
            s1: CREATE TRIGGER note AFTER UPDATE ON t EXECUTE FUNCTION note()
            s1 hot: SELECT * FROM log ORDER BY n
            p2: UPDATE t SET v = 'x'
            s1: SELECT * FROM log ORDER BY n
            p2: SELECT * FROM log ORDER BY n
            ",
        ),
        (
            "C12 a function replaced at one, called at the other",
            "
            d: CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN 1; END $$
            p2: SELECT f()
            s1 hot: SELECT * FROM log ORDER BY n
            s1: CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$ BEGIN INSERT INTO log VALUES (1, 'replaced'); RETURN 1; END $$
            s1 hot: SELECT * FROM log ORDER BY n
            p2: SELECT f()
            s1: SELECT * FROM log ORDER BY n
            ",
        ),
        (
            "C12 a cursor over a function that is replaced at the other",
            "
            d: CREATE FUNCTION f(int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN 1; END $$
            p2: BEGIN
            p2: DECLARE c CURSOR FOR SELECT f(id) FROM t
            s1: CREATE OR REPLACE FUNCTION f(int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN INSERT INTO log VALUES (1, 'replaced'); RETURN 1; END $$
            s1 hot: SELECT * FROM log ORDER BY n
            p2: SELECT count(*) > 0 FROM pg_class
            p2: FETCH c
            p2: COMMIT
            s1: SELECT * FROM log ORDER BY n
            ",
        ),
        (
            "S01 a privilege revoked at one",
            "
            d: REVOKE ALL ON t FROM PUBLIC; GRANT SELECT ON t TO {alice}
            p2@{alice} hot: SELECT * FROM t ORDER BY id
            s1: REVOKE SELECT ON t FROM {alice}
            p2 fails: SELECT * FROM t ORDER BY id
            ",
        ),
        (
            "C12 a procedure at one",
            "
            d: CREATE PROCEDURE p() LANGUAGE plpgsql AS $$ BEGIN UPDATE t SET v = 'called'; COMMIT; END $$
            p2 hot: SELECT * FROM t ORDER BY id
            s1: CALL p()
            p2: SELECT * FROM t ORDER BY id
            ",
        ),
        (
            "C12 a procedure that one replaces by what commits and fails",
            "
            d: CREATE PROCEDURE p() LANGUAGE plpgsql AS $$ BEGIN UPDATE t SET v = 'called'; END $$
            p2: CALL p()
            s1: CREATE OR REPLACE PROCEDURE p() LANGUAGE plpgsql AS $$ BEGIN INSERT INTO log VALUES (4, 'kept'); COMMIT; PERFORM 1 / 0; END $$
            s1 hot: SELECT * FROM log ORDER BY n
            p2 fails: CALL p()
            s1: SELECT * FROM log ORDER BY n
            ",
        ),
        (
            "C36 prepared at one, committed at the other",
            "
            s1 hot: SELECT * FROM t ORDER BY id
            s1: BEGIN
            s1: UPDATE t SET v = 'prepared'
            s1: PREPARE TRANSACTION '{db}'
            s1 warm: SELECT * FROM t ORDER BY id
            p2: COMMIT PREPARED '{db}'
            s1: SELECT * FROM t ORDER BY id
            ",
        ),
    ]);
}

#[test]
fn a_write_behind_our_back_is_seen_within_the_ttl() {
    let postgres = Postgres::shared(Version::System);
    let database = postgres.database().unwrap();
    let mut server = database.connect().unwrap();
    server.run(FIXTURE).unwrap();
    let file = "[cache]\ndefault_ttl = \"1s\"\n";
    let pgmemo = Pgmemo::start_with(postgres, Store::Memory, &[], file).unwrap();
    let mut client = pgmemo.connect(database.name()).unwrap();
    let read = "SELECT v FROM t WHERE id = 1";
    for _ in 0..3 {
        assert_eq!(client.value(read).unwrap(), "a");
    }
    server.run("UPDATE t SET v = 'unseen'").unwrap();
    eventually("the end of the TTL", Duration::from_secs(5), || {
        (client.value(read).unwrap() == "unseen").then_some(())
    })
    .unwrap();
}

#[test]
fn unlogged_tables_that_a_crash_empties_are_not_remembered() {
    let mut postgres = Postgres::start(Version::System).unwrap();
    let mut server = postgres.connect("postgres").unwrap();
    server
        .run("CREATE UNLOGGED TABLE n (v text); INSERT INTO n VALUES ('lost')")
        .unwrap();
    server
        .run("CREATE TABLE kept (v text); INSERT INTO kept VALUES ('kept')")
        .unwrap();
    let pgmemo = Pgmemo::start(&postgres, Store::Memory, &[]).unwrap();
    let mut client = pgmemo.connect("postgres").unwrap();
    for _ in 0..3 {
        assert_eq!(client.value("SELECT count(*) FROM n").unwrap(), "1");
        assert_eq!(client.value("SELECT count(*) FROM kept").unwrap(), "1");
    }
    postgres.crash_and_restart(Version::System).unwrap();
    let mut client = pgmemo.connect("postgres").unwrap();
    assert_eq!(client.value("SELECT count(*) FROM n").unwrap(), "0");
    assert_eq!(client.value("SELECT count(*) FROM kept").unwrap(), "1");
}

/// The server comes back by itself, without what nobody has waited for, and its postmaster is the same.
#[test]
fn what_a_crash_has_lost_is_not_remembered() {
    lose_in_a_crash(Store::Memory);
    lose_in_a_crash(Store::Redis(&Redis::start().unwrap()));
}

#[allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]
fn lose_in_a_crash(store: Store<'_>) {
    let postgres = Postgres::start(Version::System).unwrap();
    let mut server = postgres.connect("postgres").unwrap();
    for statement in [
        "CREATE TABLE n (v text)",
        "INSERT INTO n VALUES ('kept')",
        "ALTER SYSTEM SET synchronous_commit = off",
        "SELECT pg_reload_conf()",
    ] {
        server.run(statement).unwrap();
    }
    let signal = |which: &str| {
        format!(
            "COPY (SELECT pid FROM pg_stat_activity WHERE backend_type = 'walwriter') \
             TO PROGRAM 'xargs kill -{which}'"
        )
    };
    // Who writes the log does not.
    server.run(&signal("STOP")).unwrap();
    let start = || Pgmemo::start(&postgres, store, &[]).unwrap();
    let instances = [start(), start()];
    let read = "SELECT v FROM n";
    let hit = |instance: &Pgmemo, reader: &mut Conn, expected: &str| {
        let hits = eventually("a hit", SOON, || {
            let before = instance.hits().ok()?;
            assert_eq!(reader.value(read).ok()?, expected);
            (instance.hits().ok()? > before || !instance.is_real()).then_some(())
        });
        hits.unwrap();
    };
    let mut writer = instances[0].connect("postgres").unwrap();
    writer.run("UPDATE n SET v = 'lost'").unwrap();
    for instance in &instances {
        let mut reader = instance.connect("postgres").unwrap();
        hit(instance, &mut reader, "lost");
    }
    // It may be gone before it has answered.
    _ = server.run(&signal("KILL"));
    // Until it has noticed, it goes on and lets people in.
    assert!(server.ends());
    let mut server = eventually("the server is back", SOON * 3, || {
        postgres.connect("postgres").ok()
    });
    let kept = server.as_mut().unwrap().value(read).unwrap();
    assert_eq!(kept, "kept");
    for instance in &instances {
        let reader = eventually("so is pgmemo", SOON * 3, || {
            instance.connect("postgres").ok()
        });
        hit(instance, &mut reader.unwrap(), &kept);
    }
}

/// The one knows a table by the number it had, the other by the one it has, and nothing that went
/// through either of them has told of it.
#[test]
#[allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]
fn c18_a_table_made_anew_around_us_between_two_readings() {
    let postgres = Postgres::start(Version::System).unwrap();
    let mut server = postgres.connect("postgres").unwrap();
    let mut make = |value: usize| {
        server.run("DROP TABLE IF EXISTS h").unwrap();
        let make = format!("CREATE TABLE h AS SELECT 1 AS id, '{value}' AS v");
        server.run(&make).unwrap();
    };
    make(0);
    let redis = Redis::start().unwrap();
    let start = || Pgmemo::start(&postgres, Store::Redis(&redis), &[]).unwrap();
    let (first, second) = (start(), start());
    let connect = |instance: &Pgmemo| instance.connect("postgres").unwrap();
    let (mut writer, mut reader) = (connect(&first), connect(&second));
    let read = "SELECT v FROM h WHERE id = 1";
    // The other one may have looked just then.
    for round in 1..=4 {
        warm(&first, &mut writer, read).unwrap();
        warm(&second, &mut reader, read).unwrap();
        // Another epoch; the one who needs it reads at once, the other when it looks.
        writer.run("DO $$ BEGIN END $$").unwrap();
        warm(&first, &mut writer, read).unwrap();
        make(round);
        warm(&second, &mut reader, read).unwrap();
        let value = format!("written {round}");
        writer
            .run(&format!("UPDATE h SET v = '{value}' WHERE id = 1"))
            .unwrap();
        for _ in 0..3 {
            assert_eq!(reader.value(read).unwrap(), value, "round {round}");
            assert_eq!(writer.value(read).unwrap(), value, "round {round}");
        }
    }
}

/// Processes of the server show the defaults of sessions as they began with them. That tells nothing of
/// definitions, and costs no entries.
#[test]
#[allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]
fn instances_whose_connections_differ_in_age_agree() {
    let postgres = Postgres::start(Version::System).unwrap();
    let mut server = postgres.connect("postgres").unwrap();
    server.run(FIXTURE).unwrap();
    let redis = Redis::start().unwrap();
    let file = "[cache]\ncatalog_age_max = \"1s\"\n";
    let start = || Pgmemo::start_with(&postgres, Store::Redis(&redis), &[], file).unwrap();
    let read = "SELECT v FROM t WHERE id = 1";
    let first = start();
    let mut one = first.connect("postgres").unwrap();
    warm(&first, &mut one, read).unwrap();
    server
        .run("ALTER DATABASE postgres SET work_mem = '5MB'")
        .unwrap();
    let second = start();
    let mut other = second.connect("postgres").unwrap();
    warm(&second, &mut other, read).unwrap();
    // All that has been noticed of it.
    std::thread::sleep(Duration::from_secs(3));
    warm(&first, &mut one, read).unwrap();
    for _ in 0..8 {
        std::thread::sleep(Duration::from_millis(500));
        let before = [first.metrics().unwrap(), second.metrics().unwrap()];
        for (reader, (instance, before)) in [&mut one, &mut other]
            .into_iter()
            .zip([&first, &second].into_iter().zip(&before))
        {
            reader.value(read).unwrap();
            instance.expect_hits_since(before, 1.0).unwrap();
        }
    }
}
