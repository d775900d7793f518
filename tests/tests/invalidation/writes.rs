//! C: which writes change which replies.

use super::check;

#[test]
fn every_form_of_a_write_is_seen() {
    check(&[
        (
            "C01 aliases",
            "
            s1 hot: SELECT * FROM t ORDER BY id
            s2: UPDATE t AS foo SET v = 'b1' WHERE foo.id = 1
            s1: SELECT * FROM t ORDER BY id
            s2: UPDATE t foo SET v = 'b2' WHERE foo.id = 1
            s1: SELECT * FROM t ORDER BY id
            s2: UPDATE ONLY t SET v = 'b3' WHERE id = 1
            s1: SELECT * FROM t ORDER BY id
            s2: DELETE FROM t x WHERE x.id = 2
            s1: SELECT * FROM t ORDER BY id
            s2: INSERT INTO t AS x VALUES (3, 'c')
            s1: SELECT * FROM t ORDER BY id
            ",
        ),
        (
            "C02 MERGE",
            "
            s1 hot: SELECT * FROM t ORDER BY id
            s2: MERGE INTO t USING u ON t.id = u.tid WHEN MATCHED THEN UPDATE SET v = u.w
            s1: SELECT * FROM t ORDER BY id
            s2: MERGE INTO t AS target USING (VALUES (8, 'h')) s(id, v) ON target.id = s.id WHEN NOT MATCHED THEN INSERT VALUES (s.id, s.v)
            s1: SELECT * FROM t ORDER BY id
            ",
        ),
        (
            "C02 triggers of MERGE, which inserts and deletes",
            "
            d: CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO log VALUES (1, TG_OP); RETURN NULL; END $$
            d: CREATE TRIGGER added AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION note()
            d: CREATE TRIGGER removed AFTER DELETE ON u FOR EACH ROW EXECUTE FUNCTION note()
            s1 hot: SELECT * FROM log ORDER BY what
            s2: MERGE INTO t USING (VALUES (8, 'h')) s(id, v) ON t.id = s.id WHEN NOT MATCHED THEN INSERT VALUES (s.id, s.v)
            s1: SELECT * FROM log ORDER BY what
            s1 hot: SELECT * FROM log ORDER BY what
            s2: MERGE INTO u USING t ON t.id = u.tid WHEN MATCHED AND t.id = 1 THEN DELETE
            s1: SELECT * FROM log ORDER BY what
            ",
        ),
        (
            "C03 spellings of a name",
            "
            d: CREATE TABLE \"T t\" AS SELECT 1 AS id
            s1 hot: SELECT * FROM public.t ORDER BY id
            s2: UPDATE t SET v = 'one'
            s1: SELECT * FROM public.t ORDER BY id
            s1 hot: SELECT * FROM t ORDER BY id
            s2: UPDATE \"public\".\"t\" SET v = 'two'
            s1: SELECT * FROM t ORDER BY id
            s2: UPDATE U&\"\\0074\" SET v = 'three'
            s1: SELECT * FROM t ORDER BY id
            s2: UPDATE PUBLIC.T SET v = 'four'
            s1: SELECT * FROM t ORDER BY id
            s1 hot: SELECT * FROM \"T t\"
            s2: UPDATE public.\"T t\" SET id = 2
            s1: SELECT * FROM \"T t\"
            ",
        ),
        (
            "C03 names that are too long",
            "
            d: CREATE TABLE a23456789012345678901234567890123456789012345678901234567890123 (n int)
            s1 hot: SELECT * FROM a23456789012345678901234567890123456789012345678901234567890123
            s2: INSERT INTO a23456789012345678901234567890123456789012345678901234567890123_and_more VALUES (1)
            s1: SELECT * FROM a23456789012345678901234567890123456789012345678901234567890123
            ",
        ),
        (
            "C04 a second table in the write",
            "
            s1 hot: SELECT * FROM t ORDER BY id
            s2: INSERT INTO t SELECT id + 10, w FROM u
            s1: SELECT * FROM t ORDER BY id
            s2: UPDATE t SET v = u.w FROM u WHERE u.tid = t.id
            s1: SELECT * FROM t ORDER BY id
            s2: DELETE FROM t USING u WHERE t.id = u.id + 10
            s1: SELECT * FROM t ORDER BY id
            s2: INSERT INTO t VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET v = 'conflict'
            s1: SELECT * FROM t ORDER BY id
            ",
        ),
        (
            "C05 WITH in front of a write",
            "
            s1 hot: SELECT * FROM t ORDER BY id
            s1 hot: SELECT * FROM u ORDER BY id
            s2: WITH d AS (DELETE FROM u WHERE id = 2 RETURNING tid) INSERT INTO t SELECT tid + 20, 'moved' FROM d
            s1: SELECT * FROM t ORDER BY id
            s1: SELECT * FROM u ORDER BY id
            ",
        ),
        (
            "C06 EXPLAIN ANALYZE of a write",
            "
            s1 hot: SELECT * FROM t ORDER BY id
            s2: CREATE FUNCTION quiet(text) RETURNS void LANGUAGE plpgsql AS $$ DECLARE r record; BEGIN FOR r IN EXECUTE $1 LOOP END LOOP; END $$
            s2: SELECT quiet('EXPLAIN (ANALYZE) DELETE FROM t WHERE id = 1')
            s1: SELECT * FROM t ORDER BY id
            s1 hot: SELECT * FROM t ORDER BY id
            s2: EXPLAIN (COSTS off) DELETE FROM t
            s1: SELECT * FROM t ORDER BY id
            s2: BEGIN
            s2: EXPLAIN (ANALYZE, COSTS off, TIMING off, SUMMARY off) UPDATE t SET v = 'analyzed'
            s2: COMMIT
            s1: SELECT * FROM t ORDER BY id
            ",
        ),
        (
            "C08 TRUNCATE and what it takes along",
            "
            s1 hot: SELECT * FROM t ORDER BY id
            s1 hot: SELECT * FROM u ORDER BY id
            s2: TRUNCATE t CASCADE
            s1: SELECT * FROM t ORDER BY id
            s1: SELECT * FROM u ORDER BY id
            s2: INSERT INTO t VALUES (1, 'again')
            s1: SELECT * FROM t ORDER BY id
            s2: TRUNCATE TABLE ONLY u, t RESTART IDENTITY
            s1: SELECT * FROM t ORDER BY id
            ",
        ),
        (
            "C27 a write prepared and executed by SQL",
            "
            s2: PREPARE w AS UPDATE t SET v = v || $1
            s1 hot: SELECT * FROM t ORDER BY id
            s2: EXECUTE w('!')
            s1: SELECT * FROM t ORDER BY id
            s1 hot: SELECT * FROM t ORDER BY id
            s2: EXECUTE w('?')
            s1: SELECT * FROM t ORDER BY id
            s2: DEALLOCATE w
            s1 hot: SELECT * FROM t ORDER BY id
            ",
        ),
        (
            "C29 writes inside a string of statements",
            "
            s1 hot: SELECT * FROM t ORDER BY id
            s2 simple: SELECT 1; UPDATE t SET v = 'm'
            s1: SELECT * FROM t ORDER BY id
            s1 hot: SELECT * FROM t ORDER BY id
            s2 simple: BEGIN; UPDATE t SET v = 'n'; COMMIT
            s1: SELECT * FROM t ORDER BY id
            s2 simple fails: UPDATE t SET v = 'lost'; SELECT 1/0
            s1: SELECT * FROM t ORDER BY id
            ",
        ),
        (
            "C30 writes that few parsers know",
            "
            s1 hot: SELECT * FROM t ORDER BY id
            s2: DO LANGUAGE plpgsql $$ BEGIN UPDATE t SET v = 'done'; END $$
            s1: SELECT * FROM t ORDER BY id
            s2: CLUSTER t USING t_pkey
            s1: SELECT * FROM t ORDER BY id
            s2: UPDATE t SET (id, v) = (SELECT t.id, w FROM u WHERE u.tid = t.id)
            s1: SELECT * FROM t ORDER BY id
            s2: INSERT INTO t OVERRIDING SYSTEM VALUE VALUES (40, 'forty')
            s1: SELECT * FROM t ORDER BY id
            ",
        ),
        (
            "C32 one table that nobody reads does not stop the rest",
            "
            s1 hot: SELECT * FROM t ORDER BY id
            s2: BEGIN
            s2: INSERT INTO log VALUES (1, 'never read')
            s2: UPDATE t SET v = 'after'
            s2: COMMIT
            s1: SELECT * FROM t ORDER BY id
            ",
        ),
    ]);
}

#[test]
fn writes_reach_what_they_touch_indirectly() {
    check(&[
        (
            "C09 foreign keys",
            "
            s1 hot: SELECT * FROM u ORDER BY id
            s2: UPDATE t SET id = 5 WHERE id = 1
            s1: SELECT * FROM u ORDER BY id
            s1 hot: SELECT * FROM u ORDER BY id
            s2: DELETE FROM t WHERE id = 5
            s1: SELECT * FROM u ORDER BY id
            ",
        ),
        (
            "C09 chains of foreign keys, and to oneself",
            "
            d: CREATE TABLE v (id int PRIMARY KEY, uid int REFERENCES u ON DELETE SET NULL); INSERT INTO v VALUES (1, 1)
            d: CREATE TABLE tree (id int PRIMARY KEY, up int REFERENCES tree ON DELETE CASCADE); INSERT INTO tree VALUES (1, NULL), (2, 1), (3, 2)
            s1 hot: SELECT * FROM v ORDER BY id
            s1 hot: SELECT * FROM tree ORDER BY id
            s2: DELETE FROM t WHERE id = 1
            s2: DELETE FROM tree WHERE id = 2
            s1: SELECT * FROM v ORDER BY id
            s1: SELECT * FROM tree ORDER BY id
            ",
        ),
        (
            "C10 triggers",
            "
            d: CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO log SELECT count(*), TG_OP FROM log; RETURN NULL; END $$
            d: CREATE TRIGGER note AFTER INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION note()
            s1 hot: SELECT * FROM log ORDER BY n
            s2: INSERT INTO t VALUES (3, 'c')
            s1: SELECT * FROM log ORDER BY n
            s1 hot: SELECT * FROM log ORDER BY n
            s2: UPDATE t SET v = 'd' WHERE id = 3
            s1: SELECT * FROM log ORDER BY n
            ",
        ),
        (
            "C10 a trigger made a moment ago",
            "
            s1 hot: SELECT * FROM log ORDER BY n
            s2: CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO log VALUES (1, 'fired'); RETURN NULL; END $$
            s2: CREATE TRIGGER note AFTER INSERT ON t EXECUTE FUNCTION note()
            s1 hot: SELECT * FROM log ORDER BY n
            s2: INSERT INTO t VALUES (3, 'c')
            s1: SELECT * FROM log ORDER BY n
            s2: ALTER TABLE t DISABLE TRIGGER note
            s1 hot: SELECT * FROM log ORDER BY n
            s2: ALTER TABLE t ENABLE ALWAYS TRIGGER note
            s2: INSERT INTO t VALUES (4, 'd')
            s1: SELECT * FROM log ORDER BY n
            ",
        ),
        (
            "C10 a trigger whose text hides the table",
            "
            d: CREATE FUNCTION hide() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN EXECUTE 'INSERT INTO l' || 'og VALUES (1, ''hidden'')'; RETURN NEW; END $$
            d: CREATE TRIGGER hide BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION hide()
            s1 hot: SELECT * FROM log ORDER BY n
            s2: UPDATE t SET v = 'seen' WHERE id = 1
            s1: SELECT * FROM log ORDER BY n
            ",
        ),
        (
            "C10 a trigger on a table that a foreign key reaches",
            "
            d: CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO log VALUES (OLD.id, 'gone'); RETURN OLD; END $$
            d: CREATE TRIGGER note AFTER DELETE ON u FOR EACH ROW EXECUTE FUNCTION note()
            s1 hot: SELECT * FROM log ORDER BY n
            s2: DELETE FROM t WHERE id = 1
            s1: SELECT * FROM log ORDER BY n
            ",
        ),
        (
            "C10 a trigger that waits for COMMIT",
            "
            d: CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO log VALUES (1, 'late'); RETURN NULL; END $$
            d: CREATE CONSTRAINT TRIGGER note AFTER UPDATE ON t DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION note()
            s1 hot: SELECT * FROM log ORDER BY n
            s2: BEGIN
            s2: UPDATE t SET v = 'x' WHERE id = 1
            s1: SELECT * FROM log ORDER BY n
            s2: COMMIT
            s1: SELECT * FROM log ORDER BY n
            ",
        ),
        (
            "C11 rules",
            "
            d: CREATE RULE also AS ON INSERT TO t DO ALSO INSERT INTO log VALUES (NEW.id, 'also')
            d: CREATE RULE instead AS ON DELETE TO u DO INSTEAD UPDATE t SET v = 'instead'
            s1 hot: SELECT * FROM log ORDER BY n
            s2: INSERT INTO t VALUES (3, 'c')
            s1: SELECT * FROM log ORDER BY n
            s1 hot: SELECT * FROM t ORDER BY id
            s2: DELETE FROM u
            s1: SELECT * FROM t ORDER BY id
            ",
        ),
        (
            "C12 functions, procedures and DO",
            "
            d: CREATE FUNCTION add(int) RETURNS int LANGUAGE sql AS $$ INSERT INTO t VALUES ($1, 'added') RETURNING id $$
            d: CREATE PROCEDURE twice() LANGUAGE plpgsql AS $$ BEGIN UPDATE t SET v = 'first'; COMMIT; UPDATE t SET v = 'second'; COMMIT; END $$
            s1 hot: SELECT * FROM t ORDER BY id
            s2: SELECT add(3)
            s1: SELECT * FROM t ORDER BY id
            s1 hot: SELECT * FROM t ORDER BY id
            s2: SELECT id, add(id + 10) FROM u ORDER BY id
            s1: SELECT * FROM t ORDER BY id
            s1 hot: SELECT * FROM t ORDER BY id
            s2: CALL twice()
            s1: SELECT * FROM t ORDER BY id
            s1 hot: SELECT * FROM t ORDER BY id
            s2: DO $$ BEGIN DELETE FROM t WHERE id = 3; END $$
            s1: SELECT * FROM t ORDER BY id
            ",
        ),
        (
            "C12 functions behind operators, defaults, checks and indexes",
            "
            d: CREATE FUNCTION side(int, int) RETURNS int LANGUAGE sql AS $$ UPDATE t SET v = 'operated'; SELECT 1 $$
            d: CREATE OPERATOR @+@ (LEFTARG = int, RIGHTARG = int, FUNCTION = side)
            d: CREATE FUNCTION fill() RETURNS int LANGUAGE sql AS $$ INSERT INTO log VALUES (1, 'default') RETURNING n $$
            d: CREATE TABLE o (id int, n int DEFAULT fill())
            s1 hot: SELECT * FROM t ORDER BY id
            s2: SELECT 1 @+@ 2
            s1: SELECT * FROM t ORDER BY id
            s1 hot: SELECT * FROM log ORDER BY n
            s2: INSERT INTO o (id) VALUES (1)
            s1: SELECT * FROM log ORDER BY n
            ",
        ),
        (
            "C13 writable views",
            "
            d: CREATE VIEW vw AS SELECT * FROM t; CREATE VIEW over AS SELECT id AS key, v AS value FROM vw
            s1 hot: SELECT * FROM t ORDER BY id
            s2: UPDATE vw SET v = 'by view'
            s1: SELECT * FROM t ORDER BY id
            s1 hot: SELECT * FROM over ORDER BY key
            s2: INSERT INTO over VALUES (3, 'over')
            s1: SELECT * FROM t ORDER BY id
            s1: SELECT * FROM over ORDER BY key
            ",
        ),
        (
            "C13 a view with a trigger instead",
            "
            d: CREATE VIEW vw AS SELECT id, count(*) AS n FROM t GROUP BY id
            d: CREATE FUNCTION put() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO u VALUES (NEW.id, 1, 'put'); RETURN NEW; END $$
            d: CREATE TRIGGER put INSTEAD OF INSERT ON vw FOR EACH ROW EXECUTE FUNCTION put()
            s1 hot: SELECT * FROM u ORDER BY id
            s2: INSERT INTO vw VALUES (7, 1)
            s1: SELECT * FROM u ORDER BY id
            ",
        ),
        (
            "C28 large objects",
            "
            s1: SELECT lo_from_bytea(0, '\\x01') > 0
            s1 hot: SELECT * FROM t ORDER BY id
            s1 warm: SELECT count(*) FROM t, pg_largeobject_metadata
            ",
        ),
    ]);
}
