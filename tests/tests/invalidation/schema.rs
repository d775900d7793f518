//! C: changes of what names and columns mean.

use super::{check, check_with};

#[test]
fn changes_of_the_schema_are_seen() {
    check(&[
        (
            "B17 a table becomes a view of another",
            "
            s1 hot: SELECT * FROM t ORDER BY id
            s2: ALTER TABLE t RENAME TO t0
            s1 fails: SELECT * FROM t ORDER BY id
            s2: CREATE VIEW t AS SELECT id, upper(v) AS v FROM t0
            s1: SELECT * FROM t ORDER BY id
            s1 hot: SELECT * FROM t ORDER BY id
            s2: UPDATE t0 SET v = 'under'
            s1: SELECT * FROM t ORDER BY id
            ",
        ),
        (
            "C17 columns come, go and change",
            "
            s1 hot: SELECT * FROM t ORDER BY id
            s2: ALTER TABLE t ADD COLUMN more int DEFAULT 7
            s1: SELECT * FROM t ORDER BY id
            s1 hot: SELECT * FROM t ORDER BY id
            s2: ALTER TABLE t RENAME COLUMN v TO renamed
            s1: SELECT * FROM t ORDER BY id
            s1 hot: SELECT * FROM t ORDER BY id
            s2: ALTER TABLE t ALTER COLUMN id TYPE bigint
            s1: SELECT * FROM t ORDER BY id
            s1 hot: SELECT * FROM t ORDER BY id
            s2: ALTER TABLE t DROP COLUMN renamed
            s1: SELECT * FROM t ORDER BY id
            s1 fails: SELECT v FROM t
            ",
        ),
        (
            "C17 in the transaction that changes them",
            "
            s1 hot: SELECT * FROM t ORDER BY id
            s1: BEGIN
            s1: ALTER TABLE t ADD COLUMN more int DEFAULT 7
            s1: SELECT * FROM t ORDER BY id
            s1: ROLLBACK
            s1: SELECT * FROM t ORDER BY id
            ",
        ),
        (
            "C18 a new table under an old name",
            "
            d: CREATE TABLE n (id int, v text)
            s1 hot: SELECT * FROM n
            s2: DROP TABLE n
            s1 fails: SELECT * FROM n
            s2: CREATE TABLE n (v text, id int)
            s2: INSERT INTO n VALUES ('new', 1)
            s1: SELECT * FROM n
            s2: CREATE TABLE IF NOT EXISTS n (other int)
            s1: SELECT * FROM n
            ",
        ),
        (
            "C18 two tables change places",
            "
            d: CREATE TABLE t_new (id int, v text); INSERT INTO t_new VALUES (9, 'new')
            s1 hot: SELECT * FROM t ORDER BY id
            s2: BEGIN
            s2: ALTER TABLE t RENAME TO t_old
            s2: ALTER TABLE t_new RENAME TO t
            s2: COMMIT
            s1: SELECT * FROM t ORDER BY id
            s1 hot: SELECT * FROM t_old ORDER BY id
            s2: UPDATE t_old SET v = 'old'
            s1: SELECT * FROM t_old ORDER BY id
            ",
        ),
        (
            "C18 a table moves to another schema",
            "
            d: CREATE SCHEMA a; CREATE TABLE a.t AS SELECT 5 AS id, 'in a' AS v
            s1: SET search_path = a, public
            s1 hot: SELECT * FROM t ORDER BY id
            s2: ALTER TABLE a.t RENAME TO moved
            s1: SELECT * FROM t ORDER BY id
            s2: ALTER TABLE a.moved SET SCHEMA public
            s1: SELECT * FROM moved
            s2: ALTER SCHEMA a RENAME TO b
            s1: SELECT * FROM t ORDER BY id
            ",
        ),
        (
            "C19 a table appears earlier in the path",
            "
            d: CREATE SCHEMA a
            s1: SET search_path = a, public
            s1 hot: SELECT * FROM t ORDER BY id
            s2: CREATE TABLE a.t AS SELECT 5 AS id, 'in a' AS v
            s1: SELECT * FROM t ORDER BY id
            s1 hot: SELECT * FROM t ORDER BY id
            s2: DROP TABLE a.t
            s1: SELECT * FROM t ORDER BY id
            s1 hot: SELECT * FROM t ORDER BY id
            s2: SELECT 6 AS id, 'selected into a' AS v INTO a.t
            s1: SELECT * FROM t ORDER BY id
            ",
        ),
        (
            "C19 a schema of the path appears",
            "
            s1: SET search_path = late, public
            s1 hot: SELECT * FROM t ORDER BY id
            s2: CREATE SCHEMA late
            s2: CREATE TABLE late.t AS SELECT 5 AS id, 'late' AS v
            s1: SELECT * FROM t ORDER BY id
            ",
        ),
        (
            "C20 functions and operators replaced",
            "
            d: CREATE FUNCTION f(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1'; CREATE VIEW vw AS SELECT f(id) FROM t
            s1 warm: SELECT f(id) FROM t ORDER BY id
            s1 warm: SELECT * FROM vw ORDER BY 1
            s2: CREATE OR REPLACE FUNCTION f(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1 * 100'
            s1: SELECT f(id) FROM t ORDER BY id
            s1: SELECT * FROM vw ORDER BY 1
            ",
        ),
        (
            "C21 types change",
            "
            d: CREATE TYPE colour AS ENUM ('red', 'green'); CREATE TABLE c (id int, v colour); INSERT INTO c VALUES (1, 'red'), (2, 'green')
            s1 warm: SELECT * FROM c ORDER BY v
            s2: ALTER TYPE colour RENAME VALUE 'red' TO 'scarlet'
            s1: SELECT * FROM c ORDER BY v
            s2: ALTER TYPE colour ADD VALUE 'blue' BEFORE 'scarlet'
            s2: INSERT INTO c VALUES (3, 'blue')
            s1: SELECT * FROM c ORDER BY v
            ",
        ),
        (
            "C22 drops that cascade",
            "
            d: CREATE SCHEMA s; CREATE TABLE s.x AS SELECT 1 AS id; CREATE VIEW vw AS SELECT * FROM t; CREATE TYPE ty AS ENUM ('a'); CREATE TABLE c (id int, v ty)
            s1 hot: SELECT * FROM s.x
            s1 hot: SELECT * FROM vw ORDER BY id
            s1 warm: SELECT * FROM c
            s2: SET client_min_messages = warning
            s2: DROP SCHEMA s CASCADE
            s1 fails: SELECT * FROM s.x
            s2: DROP TABLE t CASCADE
            s1 fails: SELECT * FROM vw ORDER BY id
            s1 fails: SELECT * FROM t
            s2: DROP TYPE ty CASCADE
            s1: SELECT * FROM c
            ",
        ),
        (
            "C24 names that only look like tables",
            "
            s1 hot: WITH t AS (SELECT * FROM u) SELECT * FROM t ORDER BY id
            s1 hot: SELECT u.id FROM t AS u ORDER BY 1
            s1 hot: SELECT 'u', id FROM t ORDER BY id
            s2: UPDATE u SET w = 'changed'
            s2: UPDATE t SET v = 'changed'
            s1: WITH t AS (SELECT * FROM u) SELECT * FROM t ORDER BY id
            s1: SELECT u.id FROM t AS u ORDER BY 1
            s1: SELECT 'u', id FROM t ORDER BY id
            ",
        ),
        (
            "a change by DO or by a function",
            "
            s1 hot: SELECT * FROM t ORDER BY id
            s2: DO $$ BEGIN ALTER TABLE t ADD COLUMN hidden int; END $$
            s1: SELECT * FROM t ORDER BY id
            s2: CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$ BEGIN EXECUTE 'ALTER TABLE t DROP COLUMN hidden'; END $$
            s1 hot: SELECT * FROM t ORDER BY id
            s2: SELECT f()
            s1: SELECT * FROM t ORDER BY id
            ",
        ),
        (
            "tables made from reads",
            "
            s1: CREATE TABLE made AS SELECT * FROM t
            s1 hot: SELECT * FROM made ORDER BY id
            s1: DROP TABLE made
            s1: SELECT id INTO made FROM t
            s1: SELECT * FROM made ORDER BY id
            ",
        ),
    ]);
}

/// A function that the operator vouches for may get another body, or lose what was said of it.
#[test]
fn a_listed_function_that_is_replaced_is_another_one() {
    let listed = "[functions.'public.priced']\nreads = ['public.t']\n";
    check_with(
        listed,
        &[(
            "B09 the body of a listed function",
            "
            d: CREATE FUNCTION priced(text) RETURNS text STABLE LANGUAGE sql AS $$ SELECT $1 || v FROM t WHERE id = 1 $$
            s1 hot: SELECT priced('x') FROM u WHERE id = 1
            s1 hot ext: SELECT priced($1) FROM u WHERE id = 1 <- y
            s2: CREATE OR REPLACE FUNCTION priced(text) RETURNS text STABLE LANGUAGE sql AS $$ SELECT upper($1) || v FROM t WHERE id = 1 $$
            s1: SELECT priced('x') FROM u WHERE id = 1
            s1 ext: SELECT priced($1) FROM u WHERE id = 1 <- y
            s1 hot: SELECT priced('x') FROM u WHERE id = 1
            s2: UPDATE t SET v = 'read by it' WHERE id = 1
            s1: SELECT priced('x') FROM u WHERE id = 1
            s2: ALTER FUNCTION priced(text) RENAME TO renamed
            s1 fails: SELECT priced('x') FROM u WHERE id = 1
            s2: CREATE FUNCTION priced(text) RETURNS text VOLATILE LANGUAGE sql AS $$ SELECT 'made anew' || v FROM t WHERE id = 1 $$
            s1: SELECT priced('x') FROM u WHERE id = 1
            ",
        )],
    );
}

/// The catalog cannot be read while somebody holds a lock on what a view shows.
#[test]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
fn nobody_waits_for_the_catalog_more_than_once() {
    use std::time::{Duration, Instant};

    use pgmemo_tests::{
        Pgmemo, Postgres, Store, Version,
        net::{SOON, eventually},
    };

    let postgres = Postgres::shared(Version::System);
    let database = postgres.database().unwrap();
    let mut server = database.connect().unwrap();
    for statement in [
        "CREATE TABLE x (id int); CREATE VIEW xs AS SELECT id FROM x",
        "CREATE TABLE n (v int); INSERT INTO n VALUES (0)",
    ] {
        server.run(statement).unwrap();
    }
    let pgmemo = Pgmemo::start(postgres, Store::Memory, &[]).unwrap();
    let connect = || pgmemo.connect(database.name()).unwrap();
    let (mut reader, mut writer, mut other) = (connect(), connect(), connect());
    let mut hit = |expected: &str| {
        let hits = eventually("a hit", SOON, || {
            let before = pgmemo.hits().ok()?;
            assert_eq!(reader.value("SELECT v FROM n").ok()?, expected);
            (pgmemo.hits().ok()? > before || !pgmemo.is_real()).then_some(())
        });
        hits.unwrap();
    };
    hit("0");
    writer.run("UPDATE n SET v = v").unwrap();
    server.run("BEGIN").unwrap();
    server.run("LOCK TABLE x IN ACCESS EXCLUSIVE MODE").unwrap();
    other.run("CREATE TABLE y (id int)").unwrap();
    let begun = Instant::now();
    for _ in 0..10 {
        writer.run("UPDATE n SET v = v + 1").unwrap();
    }
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(9), "{took:?}");
    server.run("ROLLBACK").unwrap();
    hit("10");
    writer.run("UPDATE n SET v = v + 1").unwrap();
    hit("11");
}
