//! Temporary objects through which what lasts is changed.

use crate::check;

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
