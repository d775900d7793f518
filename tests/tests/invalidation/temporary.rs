//! Temporary objects through which what lasts is changed.

use anyhow::Result;
use pgmemo_tests::{
    Pgmemo,
    net::local,
    wire::{Conn, Frontend, Login},
};

use crate::{
    check,
    pair::{warm, with_sessions},
};

const READ: &str = "SELECT string_agg(w, ' ' ORDER BY id) FROM u";

/// Whether a read that was a hit is still one.
fn still_hits(pgmemo: &Pgmemo, reader: &mut Conn) -> Result<bool> {
    let before = pgmemo.hits()?;
    reader.value(READ)?;
    Ok(pgmemo.hits()? > before || !pgmemo.is_real())
}

#[test]
fn many_rows_of_a_temporary_table_leave_replies_alone() -> Result<()> {
    with_sessions(|pgmemo, reader, writer| {
        warm(pgmemo, reader, READ)?;
        writer.run("CREATE TEMP TABLE mine (id int, v text)")?;
        let prepare = Frontend::new().parse("i", "INSERT INTO mine VALUES ($1, 'ext')", &[]);
        writer.send(prepare.sync().bytes())?;
        writer.read_until(b'Z')?;
        for n in 0..100 {
            writer.run(&format!("INSERT INTO mine VALUES ({n}, 'simple')"))?;
            let n = n.to_string();
            let bound = Frontend::new().bind("", "i", &[&n]);
            writer.send(bound.execute("", 0).sync().bytes())?;
            writer.read_until(b'Z')?;
        }
        writer.send(Frontend::new().query("COPY mine FROM STDIN").bytes())?;
        writer.read_until(b'G')?;
        let data = Frontend::new().copy_data(b"7\tcopied\n").copy_done();
        writer.send(data.bytes())?;
        writer.read_until(b'Z')?;
        assert_eq!(writer.value("SELECT count(*) FROM mine")?, "201");
        for n in 0..20 {
            writer.run(&format!("CREATE TEMP TABLE another{n} (id int)"))?;
            writer.run(&format!("DROP TABLE another{n}"))?;
        }
        assert!(still_hits(pgmemo, reader)?);
        Ok(())
    })
}

/// The server keeps to what a name meant when it parsed a statement.
#[test]
fn a_statement_prepared_before_a_temporary_table_may_mean_another() -> Result<()> {
    with_sessions(|pgmemo, reader, writer| {
        let database = reader.value("SELECT current_database()")?;
        let port = reader.value("SELECT inet_server_port()")?.parse()?;
        let mut direct = Conn::connect(local(port), &Login::to(&database))?;
        writer.run("CREATE TEMP TABLE other (id int)")?;
        warm(pgmemo, reader, READ)?;
        // Nobody here has heard of it.
        direct.run("CREATE TABLE fresh (id int)")?;
        let prepare = Frontend::new().parse("i", "INSERT INTO fresh VALUES (1)", &[]);
        writer.send(prepare.sync().bytes())?;
        writer.read_until(b'Z')?;
        writer.run("CREATE TEMP TABLE fresh (id int)")?;
        writer.run("INSERT INTO fresh VALUES (1)")?;
        assert!(still_hits(pgmemo, reader)?);
        let bound = Frontend::new().bind("", "i", &[]);
        writer.send(bound.execute("", 0).sync().bytes())?;
        writer.read_until(b'Z')?;
        assert_eq!(direct.value("SELECT count(*) FROM fresh")?, "1");
        assert!(!still_hits(pgmemo, reader)? || !pgmemo.is_real());
        Ok(())
    })
}

#[test]
fn temporary_views_stand_for_tables() {
    check(&[
        (
            "B13 a temporary view with the name of another table",
            "
            s2 hot: SELECT * FROM u ORDER BY id
            s1: CREATE TEMP VIEW log AS SELECT id, w FROM u
            s2 hot: SELECT * FROM u ORDER BY id
            s1: UPDATE log SET w = 'by a view' WHERE id = 1
            s2: SELECT * FROM u ORDER BY id
            s2 hot: SELECT * FROM u ORDER BY id
            s1: BEGIN
            s1: DELETE FROM log WHERE id = 2
            s1: COMMIT
            s2: SELECT * FROM u ORDER BY id
            s1: DROP VIEW log
            s2 hot: SELECT * FROM u ORDER BY id
            s1: INSERT INTO log VALUES (1, 'x')
            s2 still: SELECT * FROM u ORDER BY id
            ",
        ),
        (
            "B13 a temporary view that is made in the same message, or before the answer",
            "
            s2 hot: SELECT * FROM u ORDER BY id
            s1 simple: CREATE TEMP VIEW log AS SELECT id, w FROM u; UPDATE log SET w = 'at once'
            s2: SELECT * FROM u ORDER BY id
            s3: BEGIN
            s3: CREATE TEMP VIEW log AS SELECT id, w FROM u
            s2 hot: SELECT * FROM u ORDER BY id
            s3: UPDATE log SET w = 'in a block'
            s3: COMMIT
            s2: SELECT * FROM u ORDER BY id
            ",
        ),
        (
            "B13 functions and rules write by a name that a temporary view has",
            "
            d1: CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$ BEGIN INSERT INTO log VALUES (8, 'f'); END $$
            d1: CREATE TABLE busy (id int)
            d1: CREATE FUNCTION g() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO log VALUES (7, 'g'); RETURN NEW; END $$
            d1: CREATE TRIGGER g BEFORE INSERT ON busy FOR EACH ROW EXECUTE FUNCTION g()
            s2 hot: SELECT * FROM u ORDER BY id
            s1: CREATE TEMP VIEW log AS SELECT id AS n, w AS what FROM u
            s2 hot: SELECT * FROM u ORDER BY id
            s1: SELECT f()
            s2: SELECT * FROM u ORDER BY id
            ",
        ),
        (
            "B13 a trigger writes by a name that a temporary view has",
            "
            d1: CREATE TABLE busy (id int)
            d1: CREATE FUNCTION g() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO log VALUES (7, 'g'); RETURN NEW; END $$
            d1: CREATE TRIGGER g BEFORE INSERT ON busy FOR EACH ROW EXECUTE FUNCTION g()
            s1: CREATE TEMP VIEW log AS SELECT id AS n, w AS what FROM u
            s2 hot: SELECT * FROM u ORDER BY id
            s1: INSERT INTO busy VALUES (1)
            s2: SELECT * FROM u ORDER BY id
            ",
        ),
        (
            "B13 temporary views that call functions which write, directly and through others",
            "
            d1: CREATE FUNCTION note(text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN INSERT INTO log VALUES (1, $1); RETURN $1; END $$
            d1: CREATE VIEW noting AS SELECT note('by a view') AS n
            s2 hot: SELECT * FROM log ORDER BY 1, 2
            s1: CREATE TEMP VIEW mine AS SELECT note(w) FROM u
            s2 hot: SELECT * FROM log ORDER BY 1, 2
            s1: SELECT * FROM mine
            s2: SELECT * FROM log ORDER BY 1, 2
            s1: CREATE TEMP VIEW yours AS SELECT * FROM noting
            s2 hot: SELECT * FROM log ORDER BY 1, 2
            s1: SELECT count(n) FROM yours
            s2: SELECT * FROM log ORDER BY 1, 2
            s2 hot: SELECT * FROM log ORDER BY 1, 2
            s1: SELECT u.w FROM u WHERE EXISTS (SELECT FROM pg_temp.yours WHERE n <> u.w)
            s2: SELECT * FROM log ORDER BY 1, 2
            ",
        ),
        (
            "B13 what a temporary view calls is replaced by one that writes",
            "
            d1: CREATE VIEW calm AS SELECT 1 AS n
            d1: CREATE FUNCTION note() RETURNS int LANGUAGE plpgsql AS $$ BEGIN INSERT INTO log VALUES (1, 'note'); RETURN 1; END $$
            s1: CREATE TEMP VIEW mine AS SELECT * FROM calm
            s1: SELECT * FROM mine
            s2: CREATE OR REPLACE VIEW calm AS SELECT note() AS n
            s2 hot: SELECT * FROM log ORDER BY 1, 2
            s1: SELECT * FROM mine
            s2: SELECT * FROM log ORDER BY 1, 2
            ",
        ),
    ]);
}

#[test]
fn temporary_tables_may_do_more_than_hold_rows() {
    check(&[
        (
            "B13 triggers and rules of a temporary table with the name of another table",
            "
            d1: CREATE FUNCTION g() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN UPDATE u SET w = 'g'; RETURN NEW; END $$
            s2 hot: SELECT * FROM u ORDER BY id
            s1: CREATE TEMP TABLE log (n int, what text)
            s1: CREATE TRIGGER g BEFORE INSERT ON log FOR EACH ROW EXECUTE FUNCTION g()
            s2 hot: SELECT * FROM u ORDER BY id
            s1: INSERT INTO log VALUES (1, 'x')
            s2: SELECT * FROM u ORDER BY id
            s3: CREATE TEMP TABLE log (n int, what text)
            s3: CREATE RULE r AS ON INSERT TO log DO ALSO DELETE FROM u WHERE id = NEW.n
            s2 hot: SELECT * FROM u ORDER BY id
            s3: INSERT INTO log VALUES (1, 'x')
            s2: SELECT * FROM u ORDER BY id
            ",
        ),
        (
            "B13 defaults of a temporary table, and a trigger behind a foreign key",
            "
            d1: CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$ BEGIN UPDATE u SET w = w || 'f'; RETURN 1; END $$
            d1: CREATE FUNCTION g() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN UPDATE u SET w = w || 'g'; RETURN OLD; END $$
            s1: CREATE TEMP TABLE log (n int DEFAULT f(), what text)
            s2 hot: SELECT * FROM u ORDER BY id
            s1: INSERT INTO log (what) VALUES ('x')
            s2: SELECT * FROM u ORDER BY id
            s3: CREATE TEMP TABLE log (n int PRIMARY KEY)
            s3: CREATE TEMP TABLE behind (n int REFERENCES log ON DELETE CASCADE)
            s3: CREATE TRIGGER g BEFORE DELETE ON behind FOR EACH ROW EXECUTE FUNCTION g()
            s3: INSERT INTO log VALUES (1)
            s3: INSERT INTO behind VALUES (1)
            s2 hot: SELECT * FROM u ORDER BY id
            s3: DELETE FROM log WHERE n = 1
            s2: SELECT * FROM u ORDER BY id
            ",
        ),
        (
            "B13 triggers on a temporary child of a permanent table",
            "
            d1: CREATE FUNCTION g() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN UPDATE u SET w = w || 'g'; RETURN NEW; END $$
            s1: CREATE TEMP TABLE child () INHERITS (log)
            s1: INSERT INTO child VALUES (1, 'mine')
            s1: CREATE TRIGGER g BEFORE UPDATE ON child FOR EACH ROW EXECUTE FUNCTION g()
            s2 hot: SELECT * FROM u ORDER BY id
            s1: UPDATE log SET what = 'ours' WHERE n = 1
            s2: SELECT * FROM u ORDER BY id
            s2 hot: SELECT * FROM u ORDER BY id
            s1: BEGIN
            s1: SET LOCAL timezone = 'Asia/Tokyo'
            s1: UPDATE log SET what = 'ours again'
            s1: COMMIT
            s2: SELECT * FROM u ORDER BY id
            ",
        ),
        (
            "B13 a trigger that comes in a block that sets something for itself",
            "
            d1: CREATE FUNCTION g() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN UPDATE u SET w = w || 'g'; RETURN NEW; END $$
            s1: CREATE TEMP TABLE log (n int, what text)
            s1: SELECT 1 FROM t
            s1: BEGIN
            s1: SET LOCAL timezone = 'Asia/Tokyo'
            s1: CREATE TRIGGER g BEFORE INSERT ON log FOR EACH ROW EXECUTE FUNCTION g()
            s1: COMMIT
            s2 hot: SELECT * FROM u ORDER BY id
            s1: INSERT INTO log VALUES (1, 'x')
            s2: SELECT * FROM u ORDER BY id
            ",
        ),
        (
            "B13 functions of the session's own",
            "
            s1: CREATE FUNCTION pg_temp.f() RETURNS void LANGUAGE plpgsql AS $$ BEGIN UPDATE u SET w = 'f'; END $$
            s2 hot: SELECT * FROM u ORDER BY id
            s1: SELECT pg_temp.f()
            s2: SELECT * FROM u ORDER BY id
            ",
        ),
        (
            "B13 a check of a domain of the session's own",
            "
            d1: CREATE FUNCTION f(int) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN UPDATE u SET w = w || 'f'; RETURN true; END $$
            s1: CREATE DOMAIN pg_temp.d AS int CHECK (f(value))
            s2 hot: SELECT * FROM u ORDER BY id
            s1: SELECT 1::pg_temp.d FROM t
            s2: SELECT * FROM u ORDER BY id
            ",
        ),
    ]);
}

#[test]
fn temporary_objects_that_reach_nothing_leave_replies_alone() {
    check(&[
        (
            "B13 writes beside a temporary table",
            "
            s1: CREATE TEMP TABLE mine (id int PRIMARY KEY, v text)
            s1: CREATE TEMP TABLE yours (id int REFERENCES mine ON DELETE CASCADE)
            s1: CREATE TEMP TABLE child () INHERITS (log)
            s2 hot: SELECT * FROM u ORDER BY id
            s1: UPDATE e SET d = '2024-02-02' WHERE id = 1
            s2 still: SELECT * FROM u ORDER BY id
            s1: INSERT INTO log VALUES (1, 'x')
            s2 still: SELECT * FROM u ORDER BY id
            s1: SELECT * FROM mine JOIN u USING (id)
            s2 still: SELECT * FROM u ORDER BY id
            ",
        ),
        (
            "B13 a temporary table hides another",
            "
            s1: CREATE TEMP TABLE log (n int, what text)
            s2 hot: SELECT * FROM u ORDER BY id
            s1: INSERT INTO log VALUES (1, 'x')
            s2 still: SELECT * FROM u ORDER BY id
            ",
        ),
        (
            "B13 temporary views that call nothing",
            "
            d1: CREATE VIEW plain AS SELECT lower(w) AS w FROM u
            s1: CREATE TEMP VIEW mine AS SELECT * FROM plain JOIN t ON t.v = plain.w
            s2 hot: SELECT * FROM u ORDER BY id
            s1: SELECT * FROM mine
            s1: SELECT count(*) FROM mine WHERE w LIKE 'x%'
            s2 still: SELECT * FROM u ORDER BY id
            s1: INSERT INTO log SELECT 1, w FROM mine
            s2 still: SELECT * FROM u ORDER BY id
            s1: UPDATE e SET d = '2024-02-02' WHERE id = 1
            s2 still: SELECT * FROM u ORDER BY id
            ",
        ),
    ]);
}

#[test]
fn rows_of_the_session_alone_are_no_matter_to_others() {
    check(&[
        (
            "B13 rows of temporary tables that hold rows and do no more",
            "
            s1: CREATE TEMP TABLE mine (id serial PRIMARY KEY, v text DEFAULT 'x' CHECK (length(v) < 9), at timestamptz DEFAULT now())
            s1: CREATE TEMP TABLE yours (id int REFERENCES mine ON DELETE CASCADE)
            s2 hot: SELECT * FROM u ORDER BY id
            s1: INSERT INTO mine (v) VALUES ('a'), ('b')
            s1: INSERT INTO pg_temp.yours VALUES (1)
            s1: UPDATE mine SET v = 'c' WHERE id = 1
            s1: DELETE FROM mine WHERE id = 1
            s1: SELECT id, v FROM mine
            s1: WITH x AS (DELETE FROM mine RETURNING v) INSERT INTO mine (v) SELECT v FROM x
            s2 still: SELECT * FROM u ORDER BY id
            s1: TRUNCATE mine, yours
            s1: INSERT INTO mine (v) SELECT w FROM u
            s1: SELECT id, v FROM mine ORDER BY id
            s2 still: SELECT * FROM u ORDER BY id
            s1: BEGIN
            s1: INSERT INTO mine (v) VALUES ('d')
            s1: SAVEPOINT a
            s1: DELETE FROM mine
            s1: ROLLBACK TO a
            s1: COMMIT
            s1: SELECT id, v FROM mine ORDER BY id
            s2 still: SELECT * FROM u ORDER BY id
            s1 fails: INSERT INTO mine (v) VALUES ('longer than that')
            s1: DISCARD PLANS
            s1: INSERT INTO mine (v) VALUES ('e')
            s2 still: SELECT * FROM u ORDER BY id
            ",
        ),
        (
            "B13 what is written beside rows of temporary tables",
            "
            d1: CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$ BEGIN UPDATE u SET w = w || 'f'; RETURN 1; END $$
            s1: CREATE TEMP TABLE mine (id int, v text)
            s1: INSERT INTO mine VALUES (1, 'a')
            s2 hot: SELECT * FROM u ORDER BY id
            s1: WITH x AS (INSERT INTO mine VALUES (2, 'q') RETURNING v) UPDATE u SET w = x.v FROM x WHERE u.id = 1
            s2: SELECT * FROM u ORDER BY id
            s2 hot: SELECT * FROM u ORDER BY id
            s1: INSERT INTO mine SELECT f(), 'b'
            s2: SELECT * FROM u ORDER BY id
            s2 hot: SELECT * FROM u ORDER BY id
            s1: BEGIN
            s1: INSERT INTO mine VALUES (3, 'c')
            s1: UPDATE u SET w = mine.v FROM mine WHERE mine.id = 3 AND u.id = 2
            s1: COMMIT
            s2: SELECT * FROM u ORDER BY id
            ",
        ),
    ]);
}

#[test]
fn definitions_of_the_session_alone_are_no_matter_to_others() {
    check(&[
        (
            "B13 temporary tables that come and go",
            "
            s2 hot: SELECT * FROM u ORDER BY id
            s1: CREATE TEMP TABLE mine (id int PRIMARY KEY, v text)
            s2 still: SELECT * FROM u ORDER BY id
            s1: INSERT INTO mine VALUES (1, 'a')
            s1: CREATE INDEX i ON mine (lower(v))
            s1: ALTER TABLE mine ADD COLUMN n int DEFAULT 7
            s1: SELECT * FROM mine
            s1: INSERT INTO mine VALUES (2, 'b')
            s2 still: SELECT * FROM u ORDER BY id
            s1: CREATE TEMP TABLE yours AS SELECT id, w FROM u WHERE id = 1
            s1: UPDATE yours SET w = 'mine'
            s1: ALTER TABLE yours RENAME TO hers
            s1: DELETE FROM hers
            s1: CREATE TEMP VIEW v AS SELECT * FROM mine
            s1: SELECT * FROM v ORDER BY id
            s1: DROP TABLE hers
            s1 fails: DROP TABLE mine
            s1 fails: CREATE TEMP TABLE mine (id int)
            s1: INSERT INTO mine VALUES (3, 'c')
            s2 still: SELECT * FROM u ORDER BY id
            s3: SELECT * FROM u ORDER BY id
            s3: CREATE TABLE pg_temp.mine (id int)
            s3: INSERT INTO pg_temp.mine VALUES (1)
            s3: DROP TABLE pg_temp.mine
            s3 hot: SELECT * FROM u ORDER BY id
            ",
        ),
        (
            "B13 a temporary table that lives for one block",
            "
            s2 hot: SELECT * FROM u ORDER BY id
            s1: BEGIN
            s1: CREATE TEMP TABLE mine (id int, v text) ON COMMIT DROP
            s1: INSERT INTO mine VALUES (1, 'a')
            s1: CREATE TEMP TABLE yours ON COMMIT DROP AS SELECT * FROM mine
            s1: UPDATE yours SET v = 'b'
            s1: SELECT * FROM yours
            s1: COMMIT
            s2 still: SELECT * FROM u ORDER BY id
            s1 fails: INSERT INTO mine VALUES (1, 'a')
            s1: BEGIN
            s1: CREATE TEMP TABLE mine (id int, v text) ON COMMIT DROP
            s1: INSERT INTO mine VALUES (1, 'a')
            s2 hot: SELECT * FROM t ORDER BY id
            s1: UPDATE u SET w = mine.v FROM mine WHERE u.id = mine.id
            s1: COMMIT
            s2: SELECT * FROM u ORDER BY id
            s2 still: SELECT * FROM t ORDER BY id
            ",
        ),
        (
            "B13 a block that makes a temporary table and takes it back",
            "
            s2 hot: SELECT * FROM u ORDER BY id
            s1: CREATE TEMP VIEW mine AS SELECT id, w FROM u
            s1: BEGIN
            s1: SAVEPOINT a
            s1 fails: CREATE TEMP TABLE mine (id int, w text)
            s1: ROLLBACK TO a
            s1: INSERT INTO mine VALUES (9, 'nine')
            s1: COMMIT
            s2: SELECT * FROM u ORDER BY id
            s1: BEGIN
            s1: DROP VIEW mine
            s1: CREATE TEMP TABLE mine (id int, w text)
            s1: INSERT INTO mine VALUES (8, 'eight')
            s1: ROLLBACK
            s2 hot: SELECT * FROM u ORDER BY id
            s1: INSERT INTO mine VALUES (7, 'seven')
            s2: SELECT * FROM u ORDER BY id
            ",
        ),
        (
            "B13 a permanent table behind a temporary one that a block has made",
            "
            s1: BEGIN
            s1: SAVEPOINT a
            s1: CREATE TEMP TABLE fresh (id int)
            s1: INSERT INTO fresh VALUES (1)
            s1: ROLLBACK TO a
            s2: CREATE TABLE fresh (id int)
            s2 hot: SELECT * FROM fresh
            s1: INSERT INTO fresh VALUES (2)
            s1: COMMIT
            s2: SELECT * FROM fresh
            s1: BEGIN
            s1: CREATE TEMP TABLE fresh (id int) ON COMMIT DROP
            s1: INSERT INTO fresh VALUES (3)
            s1: COMMIT AND CHAIN
            s2 hot: SELECT * FROM fresh
            s1: INSERT INTO fresh VALUES (4)
            s1: COMMIT
            s2: SELECT * FROM fresh
            ",
        ),
    ]);
}

#[test]
fn definitions_of_temporary_relations_may_change_what_lasts() {
    check(&[
        (
            "B13 what is run to make a temporary table",
            "
            d1: CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$ BEGIN UPDATE u SET w = w || 'f'; RETURN 1; END $$
            d1: CREATE FUNCTION g(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN PERFORM f(); RETURN $1; END $$
            s2 hot: SELECT * FROM u ORDER BY id
            s1: CREATE TEMP TABLE mine AS SELECT f() AS n
            s2: SELECT * FROM u ORDER BY id
            s2 hot: SELECT * FROM u ORDER BY id
            s1: SELECT f() AS n INTO TEMP yours
            s2: SELECT * FROM u ORDER BY id
            s2 hot: SELECT * FROM u ORDER BY id
            s1: CREATE INDEX ON mine (g(n))
            s2: SELECT * FROM u ORDER BY id
            s2 hot: SELECT * FROM u ORDER BY id
            s1: ALTER TABLE mine ADD COLUMN m int DEFAULT f()
            s2: SELECT * FROM u ORDER BY id
            s2 hot: SELECT * FROM u ORDER BY id
            s1: BEGIN
            s1: CREATE TEMP TABLE hers AS SELECT f() AS n
            s1: INSERT INTO hers VALUES (2)
            s1: COMMIT
            s2: SELECT * FROM u ORDER BY id
            ",
        ),
        (
            "B13 event triggers on temporary tables",
            "
            d1: CREATE FUNCTION e() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN UPDATE u SET w = w || 'e'; END $$
            d1: CREATE EVENT TRIGGER e ON ddl_command_end EXECUTE FUNCTION e()
            d1: CREATE EVENT TRIGGER d ON sql_drop EXECUTE FUNCTION e()
            s2 hot: SELECT * FROM u ORDER BY id
            s1: CREATE TEMP TABLE mine (id int)
            s2: SELECT * FROM u ORDER BY id
            s1: INSERT INTO mine VALUES (1)
            s2 hot: SELECT * FROM u ORDER BY id
            s1: CREATE INDEX ON mine (id)
            s2: SELECT * FROM u ORDER BY id
            s2 hot: SELECT * FROM u ORDER BY id
            s1: BEGIN
            s1: CREATE TEMP TABLE yours (id int)
            s1: COMMIT
            s2: SELECT * FROM u ORDER BY id
            s2 hot: SELECT * FROM u ORDER BY id
            s1: DROP TABLE mine
            s2: SELECT * FROM u ORDER BY id
            s1: CREATE TEMP TABLE hers (id int)
            s2 hot: SELECT * FROM u ORDER BY id
            s1: ALTER TABLE hers ADD COLUMN n int
            s2: SELECT * FROM u ORDER BY id
            ",
        ),
        (
            "B13 a table made with a trigger, or an event trigger that comes, in one block",
            "
            d1: CREATE FUNCTION g() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN UPDATE u SET w = w || 'g'; RETURN NEW; END $$
            d1: CREATE FUNCTION e() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN UPDATE u SET w = w || 'e'; END $$
            s2 hot: SELECT * FROM u ORDER BY id
            s1: BEGIN
            s1: CREATE TEMP TABLE mine (id int)
            s1: CREATE TRIGGER g BEFORE INSERT ON mine FOR EACH ROW EXECUTE FUNCTION g()
            s1: INSERT INTO mine VALUES (1)
            s1: COMMIT
            s2: SELECT * FROM u ORDER BY id
            s2 hot: SELECT * FROM u ORDER BY id
            s3: BEGIN
            s3: CREATE EVENT TRIGGER e ON ddl_command_end EXECUTE FUNCTION e()
            s3: CREATE TEMP TABLE mine (id int)
            s3: COMMIT
            s2: SELECT * FROM u ORDER BY id
            s2 hot: SELECT * FROM u ORDER BY id
            s1: CREATE TEMP TABLE yours (id int)
            s2: SELECT * FROM u ORDER BY id
            s2 hot: SELECT * FROM u ORDER BY id
            s3: CREATE TEMP TABLE yours (id int)
            s2: SELECT * FROM u ORDER BY id
            ",
        ),
        (
            "B13 a permanent function that a temporary table takes along",
            "
            s1: CREATE TEMP TABLE mine (id int)
            s1: INSERT INTO mine VALUES (1)
            s1: CREATE FUNCTION public.h(pg_temp.mine) RETURNS int LANGUAGE sql AS $$ SELECT 1 $$
            s2 hot: SELECT * FROM u ORDER BY id
            s1 fails: DROP TABLE mine
            s1: DROP TABLE mine CASCADE
            s2: SELECT * FROM u ORDER BY id
            ",
        ),
    ]);
}

#[test]
fn temporary_tables_that_come_to_do_more_are_not_believed() {
    check(&[
        (
            "B13 triggers, rules and defaults that come when the table is known",
            "
            d1: CREATE FUNCTION f() RETURNS text LANGUAGE plpgsql AS $$ BEGIN UPDATE u SET w = w || 'f'; RETURN 'f'; END $$
            d1: CREATE FUNCTION g() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN UPDATE u SET w = w || 'g'; RETURN NEW; END $$
            s1: CREATE TEMP TABLE mine (id int, v text)
            s1: INSERT INTO mine VALUES (1, 'a')
            s1: CREATE TRIGGER g BEFORE INSERT ON mine FOR EACH ROW EXECUTE FUNCTION g()
            s2 hot: SELECT * FROM u ORDER BY id
            s1: INSERT INTO mine VALUES (2, 'b')
            s2: SELECT * FROM u ORDER BY id
            s1: DROP TRIGGER g ON mine
            s1: INSERT INTO mine VALUES (3, 'c')
            s1: ALTER TABLE mine ALTER v SET DEFAULT f()
            s2 hot: SELECT * FROM u ORDER BY id
            s1: INSERT INTO mine VALUES (4)
            s2: SELECT * FROM u ORDER BY id
            s1: ALTER TABLE mine ALTER v DROP DEFAULT
            s1: INSERT INTO mine VALUES (5)
            s1: CREATE RULE r AS ON INSERT TO mine DO ALSO UPDATE u SET w = 'r'
            s2 hot: SELECT * FROM u ORDER BY id
            s1: INSERT INTO mine VALUES (6)
            s2: SELECT * FROM u ORDER BY id
            ",
        ),
        (
            "B13 a trigger that comes, or goes and comes back, in a block",
            "
            d1: CREATE FUNCTION g() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN UPDATE u SET w = w || 'g'; RETURN NEW; END $$
            s1: CREATE TEMP TABLE mine (id int, v text)
            s1: INSERT INTO mine VALUES (1, 'a')
            s2 hot: SELECT * FROM u ORDER BY id
            s1: BEGIN
            s1: CREATE TRIGGER g BEFORE INSERT ON mine FOR EACH ROW EXECUTE FUNCTION g()
            s1: INSERT INTO mine VALUES (2, 'b')
            s1: COMMIT
            s2: SELECT * FROM u ORDER BY id
            s2 hot: SELECT * FROM u ORDER BY id
            s1: BEGIN
            s1: SAVEPOINT a
            s1: DROP TRIGGER g ON mine
            s1: ROLLBACK TO a
            s1: INSERT INTO mine VALUES (3, 'c')
            s1: COMMIT
            s2: SELECT * FROM u ORDER BY id
            s1: BEGIN
            s1: DROP TRIGGER g ON mine
            s1: ROLLBACK
            s2 hot: SELECT * FROM u ORDER BY id
            s1: INSERT INTO mine VALUES (4, 'd')
            s2: SELECT * FROM u ORDER BY id
            ",
        ),
        (
            "B13 functions of the server that run text, in a default and in a check",
            "
            d1: CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$ BEGIN UPDATE u SET w = w || 'f'; RETURN 1; END $$
            d1: CREATE VIEW fv AS SELECT f() AS n
            s1: CREATE TEMP TABLE mine (id int, x xml DEFAULT query_to_xml('SELECT f()', true, true, ''))
            s2 hot: SELECT * FROM u ORDER BY id
            s1: INSERT INTO mine (id) VALUES (1)
            s2: SELECT * FROM u ORDER BY id
            s3: CREATE TEMP TABLE mine (id int CHECK (table_to_xml('fv', true, true, '') IS NOT NULL))
            s2 hot: SELECT * FROM u ORDER BY id
            s3: INSERT INTO mine (id) VALUES (1)
            s2: SELECT * FROM u ORDER BY id
            ",
        ),
        (
            "B13 domains, operators and index expressions",
            "
            d1: CREATE FUNCTION f(int) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN UPDATE u SET w = w || 'f'; RETURN true; END $$
            d1: CREATE FUNCTION g(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN PERFORM f($1); RETURN $1; END $$
            d1: CREATE DOMAIN d AS int CHECK (f(value))
            s1: CREATE TEMP TABLE mine (id int, d d)
            s2 hot: SELECT * FROM u ORDER BY id
            s1: INSERT INTO mine VALUES (1, 2)
            s2: SELECT * FROM u ORDER BY id
            s3: CREATE TEMP TABLE mine (id int)
            s3: INSERT INTO mine VALUES (1)
            s3: CREATE INDEX i ON mine (g(id))
            s2 hot: SELECT * FROM u ORDER BY id
            s3: INSERT INTO mine VALUES (2)
            s2: SELECT * FROM u ORDER BY id
            ",
        ),
        (
            "B13 a trigger of another temporary table behind a foreign key, and a child of a permanent one",
            "
            d1: CREATE FUNCTION g() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN UPDATE u SET w = w || 'g'; RETURN OLD; END $$
            s1: CREATE TEMP TABLE mine (id int PRIMARY KEY)
            s1: INSERT INTO mine VALUES (1)
            s1: CREATE TEMP TABLE yours (id int REFERENCES mine ON DELETE CASCADE)
            s1: INSERT INTO yours VALUES (1)
            s1: CREATE TRIGGER g BEFORE DELETE ON yours FOR EACH ROW EXECUTE FUNCTION g()
            s2 hot: SELECT * FROM u ORDER BY id
            s1: DELETE FROM mine
            s2: SELECT * FROM u ORDER BY id
            s3: CREATE TEMP TABLE child () INHERITS (u)
            s3: SELECT * FROM u ORDER BY id
            s2: SELECT * FROM u ORDER BY id
            s3: INSERT INTO child VALUES (7, 1, 'mine')
            s3: SELECT * FROM u ORDER BY id
            s2: SELECT * FROM u ORDER BY id
            ",
        ),
    ]);
}

#[test]
fn what_defaults_of_temporary_tables_run_is_found() {
    check(&[
        (
            "B13 a column is added whose domain has a default that writes",
            "
            d1: CREATE TYPE mood AS ENUM ('a'); CREATE FUNCTION fm() RETURNS mood LANGUAGE plpgsql AS $$ BEGIN UPDATE t SET v = v || 'm' WHERE id = 1; RETURN 'a'; END $$; CREATE DOMAIN _m AS mood DEFAULT fm()
            s1: CREATE TEMP TABLE x (a int)
            s1: INSERT INTO x VALUES (1)
            s2 hot: SELECT * FROM t ORDER BY id
            s1: ALTER TABLE x ADD COLUMN b _m
            s2: SELECT * FROM t ORDER BY id
            s2 hot: SELECT * FROM t ORDER BY id
            s1: BEGIN
            s1: CREATE TEMP TABLE y (a int, b _m)
            s1: INSERT INTO y (a) VALUES (1)
            s1: COMMIT
            s2: SELECT * FROM t ORDER BY id
            ",
        ),
        (
            "B13 the time is told by a function of the user's",
            "
            d1: CREATE FUNCTION public.now() RETURNS timestamptz LANGUAGE plpgsql AS $$ BEGIN UPDATE public.t SET v = v || 'n' WHERE id = 1; RETURN clock_timestamp(); END $$
            s1: SET search_path = public, pg_catalog
            s1: SELECT v FROM t WHERE id = 2
            s2 hot: SELECT * FROM t ORDER BY id
            s1: BEGIN
            s1: CREATE TEMP TABLE x (a int, b timestamptz DEFAULT now())
            s1: INSERT INTO x (a) VALUES (1)
            s1: COMMIT
            s2: SELECT * FROM t ORDER BY id
            ",
        ),
    ]);
}

#[test]
fn names_of_temporary_tables_may_come_to_mean_others() {
    check(&[
        (
            "B13 a permanent table in the place of a temporary one",
            "
            s1: CREATE TEMP TABLE mine (id int)
            s1: INSERT INTO mine VALUES (1)
            s2: CREATE TABLE mine (id int)
            s2 hot: SELECT * FROM mine
            s1: INSERT INTO mine VALUES (2)
            s2: SELECT * FROM mine
            s1: DISCARD TEMP
            s2 hot: SELECT * FROM mine
            s1: INSERT INTO mine VALUES (3)
            s2: SELECT * FROM mine
            s1: CREATE TEMP TABLE mine (id int)
            s1: INSERT INTO mine VALUES (4)
            s1: DROP TABLE mine
            s2 hot: SELECT * FROM mine
            s1: INSERT INTO mine VALUES (5)
            s2: SELECT * FROM mine
            s1: CREATE TEMP TABLE mine (id int)
            s1: INSERT INTO mine VALUES (6)
            s1: DISCARD ALL
            s2 hot: SELECT * FROM mine
            s1: INSERT INTO mine VALUES (7)
            s2: SELECT * FROM mine
            ",
        ),
        (
            "B13 temporary tables behind others in the search path",
            "
            s1: SET search_path = public, pg_temp
            s1: CREATE TEMP TABLE mine (id int)
            s1: INSERT INTO mine VALUES (1)
            s2: CREATE TABLE mine (id int)
            s2 hot: SELECT * FROM mine
            s1: INSERT INTO mine VALUES (2)
            s2: SELECT * FROM mine
            s1: RESET search_path
            s1: INSERT INTO mine VALUES (3)
            s1: BEGIN
            s1: SET LOCAL search_path = public, pg_temp
            s2 hot: SELECT * FROM mine
            s1: INSERT INTO mine VALUES (4)
            s1: COMMIT
            s2: SELECT * FROM mine
            ",
        ),
        (
            "B13 a temporary view in the place of a temporary table",
            "
            s1: CREATE TEMP TABLE mine (id int, w text)
            s1: INSERT INTO mine VALUES (1, 'a')
            s1: ALTER TABLE mine RENAME TO yours
            s1: CREATE TEMP VIEW mine AS SELECT id, w FROM u
            s2 hot: SELECT * FROM u ORDER BY id
            s1: INSERT INTO mine VALUES (9, 'b')
            s2: SELECT * FROM u ORDER BY id
            s2 hot: SELECT * FROM u ORDER BY id
            s1: INSERT INTO yours VALUES (1, 'a')
            s2 still: SELECT * FROM u ORDER BY id
            s1 simple: DROP VIEW mine; ALTER TABLE yours RENAME TO mine
            s2 hot: SELECT * FROM u ORDER BY id
            s1: INSERT INTO mine VALUES (2, 'c')
            s2 still: SELECT * FROM u ORDER BY id
            s1 simple: INSERT INTO mine VALUES (3, 'd'); DROP TABLE mine; CREATE TEMP VIEW mine AS SELECT id, w FROM u; INSERT INTO mine VALUES (8, 'e')
            s2: SELECT * FROM u ORDER BY id
            ",
        ),
    ]);
}

#[test]
fn who_has_no_temporary_objects_writes_none_whatever_else_is_known() {
    check(&[(
        "B13 a session with more settings than are asked for",
        "
        s1: SELECT set_config('app.n0', 'x', false), set_config('app.n1', 'x', false), set_config('app.n2', 'x', false), set_config('app.n3', 'x', false), set_config('app.n4', 'x', false), set_config('app.n5', 'x', false), set_config('app.n6', 'x', false), set_config('app.n7', 'x', false), set_config('app.n8', 'x', false), set_config('app.n9', 'x', false), set_config('app.n10', 'x', false), set_config('app.n11', 'x', false), set_config('app.n12', 'x', false), set_config('app.n13', 'x', false), set_config('app.n14', 'x', false), set_config('app.n15', 'x', false), set_config('app.n16', 'x', false)
        s1: DO $$ BEGIN PERFORM 1; END $$
        s2 hot: SELECT * FROM t ORDER BY id
        s1: SELECT * FROM t ORDER BY id
        s2 still: SELECT * FROM t ORDER BY id
        s1: CREATE TEMP TABLE n (id int)
        s2 hot: SELECT * FROM t ORDER BY id
        s1: SELECT * FROM t ORDER BY id
        s2 still: SELECT * FROM t ORDER BY id
        ",
    )]);
}

#[test]
fn names_of_temporary_objects_are_not_kept() {
    check(&[(
        "B22 a value that is the name of another session's temporary table",
        "
        d: CREATE TABLE o (id int, c regclass)
        s2: CREATE TEMP TABLE mine (id int)
        s2: INSERT INTO o SELECT 1, 'mine'::regclass
        s1 warm: SELECT substr(c::text, 1, 7) = 'pg_temp' FROM o
        s2: DROP TABLE mine
        s1: SELECT substr(c::text, 1, 7) = 'pg_temp' FROM o
        ",
    )]);
}
