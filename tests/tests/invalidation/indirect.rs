//! C: writes that reach further than their words.

use super::check;

#[test]
fn foreign_keys_reach_through_partitions_chains_and_defaults() {
    check(&[
        (
            "C09 ON UPDATE CASCADE, SET NULL and SET DEFAULT over three tables",
            "
            d: CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY REFERENCES a ON UPDATE CASCADE ON DELETE CASCADE); CREATE TABLE c (n int, bid int REFERENCES b ON UPDATE CASCADE ON DELETE SET NULL, aid int DEFAULT 0 REFERENCES a ON UPDATE CASCADE ON DELETE SET DEFAULT)
            d: INSERT INTO a VALUES (0), (1), (2); INSERT INTO b VALUES (1), (2); INSERT INTO c VALUES (1, 1, 1), (2, 2, 2)
            s1 hot: SELECT * FROM c ORDER BY n
            s2: UPDATE a SET id = 7 WHERE id = 1
            s1: SELECT * FROM c ORDER BY n
            s1 hot: SELECT * FROM c ORDER BY n
            s2: DELETE FROM a WHERE id = 2
            s1: SELECT * FROM c ORDER BY n
            ",
        ),
        (
            "C09 a default that writes, used by SET DEFAULT",
            "
            d: CREATE FUNCTION fallback() RETURNS int LANGUAGE plpgsql AS $$ BEGIN INSERT INTO log VALUES (1, 'fallback'); RETURN 2; END $$
            d: CREATE TABLE c (n int, tid int DEFAULT fallback() REFERENCES t ON DELETE SET DEFAULT); INSERT INTO c VALUES (1, 1)
            s1 hot: SELECT * FROM log ORDER BY n
            s1 hot: SELECT * FROM c
            s2: DELETE FROM t WHERE id = 1
            s1: SELECT * FROM log ORDER BY n
            s1: SELECT * FROM c
            ",
        ),
        (
            "C09 keys from and to partitioned tables",
            "
            d: CREATE TABLE p (id int PRIMARY KEY) PARTITION BY RANGE (id); CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10); CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (10) TO (20)
            d: CREATE TABLE r (n int, pid int REFERENCES p ON DELETE CASCADE ON UPDATE CASCADE) PARTITION BY LIST (n); CREATE TABLE r1 PARTITION OF r FOR VALUES IN (1); CREATE TABLE r2 PARTITION OF r DEFAULT
            d: INSERT INTO p VALUES (1), (2), (11); INSERT INTO r VALUES (1, 1), (2, 2), (3, 11)
            s1 hot: SELECT * FROM r1 ORDER BY n
            s1 hot: SELECT * FROM r ORDER BY n
            s2: DELETE FROM p1 WHERE id = 1
            s1: SELECT * FROM r1 ORDER BY n
            s1: SELECT * FROM r ORDER BY n
            s1 hot: SELECT * FROM r2 ORDER BY n
            s2: UPDATE p SET id = 3 WHERE id = 2
            s1: SELECT * FROM r2 ORDER BY n
            s1 hot: SELECT * FROM r2 ORDER BY n
            s2: UPDATE p SET id = 12 WHERE id = 3
            s1: SELECT * FROM r2 ORDER BY n
            s1 hot: SELECT * FROM r2 ORDER BY n
            s2: TRUNCATE p CASCADE
            s1: SELECT * FROM r2 ORDER BY n
            ",
        ),
        (
            "C09 a trigger on a partition that a key reaches",
            "
            d: CREATE TABLE r (n int, tid int REFERENCES t ON DELETE CASCADE) PARTITION BY LIST (n); CREATE TABLE r1 PARTITION OF r DEFAULT; INSERT INTO r VALUES (1, 1)
            d: CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO log VALUES (OLD.n, 'gone'); RETURN OLD; END $$
            d: CREATE TRIGGER note BEFORE DELETE ON r1 FOR EACH ROW EXECUTE FUNCTION note()
            s1 hot: SELECT * FROM log ORDER BY n
            s2: DELETE FROM t WHERE id = 1
            s1: SELECT * FROM log ORDER BY n
            ",
        ),
    ]);
}

#[test]
fn partitions_come_go_and_carry_triggers() {
    check(&[
        (
            "C14 a trigger of the whole fires on a part",
            "
            d: CREATE TABLE p (id int, v text) PARTITION BY RANGE (id); CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10) PARTITION BY LIST (v); CREATE TABLE p1x PARTITION OF p1 DEFAULT
            d: CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO log VALUES (NEW.id, 'part'); RETURN NULL; END $$
            d: CREATE TRIGGER note AFTER INSERT ON p FOR EACH ROW EXECUTE FUNCTION note()
            s1 hot: SELECT * FROM log ORDER BY n
            s2: INSERT INTO p1x VALUES (1, 'x')
            s1: SELECT * FROM log ORDER BY n
            s1 hot: SELECT * FROM log ORDER BY n
            s2: INSERT INTO p1 VALUES (2, 'y')
            s1: SELECT * FROM log ORDER BY n
            ",
        ),
        (
            "C14 DETACH CONCURRENTLY, and writes to what was detached",
            "
            d: CREATE TABLE p (id int, v text) PARTITION BY RANGE (id); CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10); CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (10) TO (20); INSERT INTO p VALUES (1, 'a'), (11, 'b')
            s1 hot: SELECT * FROM p ORDER BY id
            s2: ALTER TABLE p DETACH PARTITION p1 CONCURRENTLY
            s1: SELECT * FROM p ORDER BY id
            s1 hot: SELECT * FROM p1 ORDER BY id
            s2: INSERT INTO p1 VALUES (2, 'alone')
            s1: SELECT * FROM p1 ORDER BY id
            s2: ALTER TABLE p ATTACH PARTITION p1 FOR VALUES FROM (0) TO (10)
            s1: SELECT * FROM p ORDER BY id
            s1 hot: SELECT * FROM p ORDER BY id
            s2: UPDATE p1 SET v = 'attached'
            s1: SELECT * FROM p ORDER BY id
            ",
        ),
        (
            "C14 a row moves between parts that have triggers",
            "
            d: CREATE TABLE p (id int, v text) PARTITION BY RANGE (id); CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10); CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (10) TO (20); INSERT INTO p VALUES (1, 'a')
            d: CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO log VALUES (NEW.id, 'came'); RETURN NEW; END $$
            d: CREATE TRIGGER note BEFORE INSERT ON p2 FOR EACH ROW EXECUTE FUNCTION note()
            s1 hot: SELECT * FROM log ORDER BY n
            s1 hot: SELECT * FROM p2 ORDER BY id
            s2: UPDATE p SET id = 11 WHERE id = 1
            s1: SELECT * FROM log ORDER BY n
            s1: SELECT * FROM p2 ORDER BY id
            ",
        ),
        (
            "C15 grandchildren and several parents",
            "
            d: CREATE TABLE child () INHERITS (t); CREATE TABLE other (id int, v text); CREATE TABLE grand () INHERITS (child, other); INSERT INTO grand VALUES (9, 'grand')
            s1 hot: SELECT * FROM t ORDER BY id
            s1 hot: SELECT * FROM other ORDER BY id
            s2: INSERT INTO grand VALUES (10, 'new')
            s1: SELECT * FROM t ORDER BY id
            s1: SELECT * FROM other ORDER BY id
            s1 hot: SELECT * FROM other ORDER BY id
            s2: DELETE FROM t WHERE id = 10
            s1: SELECT * FROM other ORDER BY id
            s1 hot: SELECT * FROM t ORDER BY id
            s2: ALTER TABLE grand NO INHERIT child
            s1: SELECT * FROM t ORDER BY id
            s2: ALTER TABLE grand INHERIT child
            s1: SELECT * FROM t ORDER BY id
            ",
        ),
    ]);
}

#[test]
fn code_reaches_as_far_as_its_names() {
    check(&[
        (
            "C10 a trigger that calls functions that call functions",
            "
            d: CREATE FUNCTION last() RETURNS void LANGUAGE sql AS $$ INSERT INTO log VALUES (1, 'deep') $$
            d: CREATE FUNCTION middle() RETURNS void LANGUAGE plpgsql AS $$ BEGIN PERFORM public.last(); END $$
            d: CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM middle(); RETURN NULL; END $$
            d: CREATE TRIGGER note AFTER DELETE ON u FOR EACH ROW EXECUTE FUNCTION note()
            s1 hot: SELECT * FROM log ORDER BY n
            s2: DELETE FROM t WHERE id = 1
            s1: SELECT * FROM log ORDER BY n
            ",
        ),
        (
            "C10 a function of a trigger replaced inside a transaction of another",
            "
            d: CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$
            d: CREATE CONSTRAINT TRIGGER note AFTER UPDATE ON t DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION note()
            s1 hot: SELECT * FROM log ORDER BY n
            s2: BEGIN
            s2: UPDATE t SET v = 'x' WHERE id = 1
            s3: CREATE OR REPLACE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO log VALUES (1, 'replaced'); RETURN NULL; END $$
            s1 hot: SELECT * FROM log ORDER BY n
            s2: COMMIT
            s1: SELECT * FROM log ORDER BY n
            ",
        ),
        (
            "C10 deferred triggers run by SET CONSTRAINTS",
            "
            d: CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO log VALUES (1, 'set'); RETURN NULL; END $$
            d: CREATE CONSTRAINT TRIGGER note AFTER UPDATE ON t DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION note()
            s1 hot: SELECT * FROM log ORDER BY n
            s2: BEGIN
            s2: UPDATE t SET v = 'x' WHERE id = 1
            s2: SET CONSTRAINTS ALL IMMEDIATE
            s2: SELECT * FROM log ORDER BY n
            s2: COMMIT
            s1: SELECT * FROM log ORDER BY n
            ",
        ),
        (
            "C10 triggers that only replicas fire",
            "
            d: CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO log VALUES (1, 'replica'); RETURN NULL; END $$
            d: CREATE TRIGGER note AFTER UPDATE ON t EXECUTE FUNCTION note(); ALTER TABLE t ENABLE REPLICA TRIGGER note
            s1 hot: SELECT * FROM log ORDER BY n
            s2: SET session_replication_role = replica
            s2: UPDATE t SET v = 'x'
            s1: SELECT * FROM log ORDER BY n
            ",
        ),
        (
            "C10 event triggers, on definitions and on REFRESH",
            "
            d: CREATE MATERIALIZED VIEW mv AS SELECT * FROM t
            d: CREATE FUNCTION note() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO log VALUES (1, tg_tag); END $$
            d: CREATE EVENT TRIGGER note ON ddl_command_end EXECUTE FUNCTION note()
            s1 hot: SELECT * FROM log ORDER BY n
            s2: REFRESH MATERIALIZED VIEW mv
            s1: SELECT * FROM log ORDER BY n
            s1 hot: SELECT * FROM log ORDER BY n
            s2: COMMENT ON TABLE t IS 'x'
            s1: SELECT * FROM log ORDER BY n
            s1 hot: SELECT * FROM log ORDER BY n
            s2: REINDEX TABLE t
            s1: SELECT * FROM log ORDER BY n
            ",
        ),
        (
            "C12 defaults of arguments",
            "
            d: CREATE FUNCTION put() RETURNS int LANGUAGE sql AS $$ INSERT INTO log VALUES (1, 'argument') RETURNING n $$
            d: CREATE FUNCTION f(a int DEFAULT put()) RETURNS int LANGUAGE sql AS 'SELECT $1'
            s1 hot: SELECT * FROM log ORDER BY n
            s2: SELECT f(1)
            s2: SELECT f()
            s1: SELECT * FROM log ORDER BY n
            ",
        ),
        (
            "C12 functions in CHECK, generated columns, index expressions, policies, WHEN",
            "
            d: CREATE FUNCTION put(int, text) RETURNS int LANGUAGE sql AS $$ INSERT INTO log VALUES ($1, $2) RETURNING n $$
            d: CREATE FUNCTION calm(int, text) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN RETURN put($1, $2); END $$
            d: CREATE TABLE k (id int, CHECK (put(id, 'check') > 0)); CREATE TABLE g (id int, h int GENERATED ALWAYS AS (calm(id, 'generated')) STORED); CREATE TABLE i (id int); CREATE INDEX ON i (calm(id, 'index'))
            d: CREATE SCHEMA far; GRANT USAGE ON SCHEMA far TO PUBLIC
            d: CREATE TABLE y (id int); ALTER TABLE y ENABLE ROW LEVEL SECURITY; CREATE POLICY y ON y USING (put(id, 'policy') > 0); INSERT INTO y VALUES (5); GRANT ALL ON y, log TO PUBLIC
            d: CREATE TABLE w (id int); CREATE FUNCTION nop() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$
            d: CREATE TRIGGER w BEFORE INSERT ON w FOR EACH ROW WHEN (put(NEW.id, 'when') > 0) EXECUTE FUNCTION nop()
            s1 hot: SELECT * FROM log ORDER BY n, what
            s2: INSERT INTO k VALUES (1)
            s1: SELECT * FROM log ORDER BY n, what
            s1 hot: SELECT * FROM log ORDER BY n, what
            s2: INSERT INTO g VALUES (2)
            s1: SELECT * FROM log ORDER BY n, what
            s1 hot: SELECT * FROM log ORDER BY n, what
            s2: INSERT INTO i VALUES (3)
            s1: SELECT * FROM log ORDER BY n, what
            s1 hot: SELECT * FROM log ORDER BY n, what
            s2: INSERT INTO w VALUES (4)
            s1: SELECT * FROM log ORDER BY n, what
            s1 hot: SELECT * FROM log ORDER BY n, what
            s3@{alice}: SELECT * FROM y
            s1: SELECT * FROM log ORDER BY n, what
            s1 hot: SELECT * FROM log ORDER BY n, what
            s3: COPY y TO STDOUT
            s1: SELECT * FROM log ORDER BY n, what
            s2: ALTER TABLE y SET SCHEMA far
            s1 hot: SELECT * FROM log ORDER BY n, what
            s3: COPY far.y TO STDOUT
            s1: SELECT * FROM log ORDER BY n, what
            ",
        ),
        (
            "C12 a policy that reads a view which calls what writes",
            "
            d: CREATE FUNCTION noted() RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN INSERT INTO log VALUES (1, 'read'); RETURN true; END $$
            d: CREATE VIEW audited AS SELECT noted() AS ok; GRANT SELECT ON audited TO PUBLIC
            d: ALTER TABLE t ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON t USING (EXISTS (SELECT FROM audited))
            s1 hot: SELECT count(*) FROM log
            s2@{alice}: SELECT * FROM t ORDER BY id
            s1: SELECT count(*) FROM log
            ",
        ),
        (
            "C12 a loop whose head ends in END",
            "
            d: CREATE MATERIALIZED VIEW totals AS SELECT count(*) FROM t
            d: CREATE FUNCTION nightly() RETURNS void LANGUAGE plpgsql AS $$ DECLARE r record; BEGIN FOR r IN SELECT id FROM t ORDER BY CASE WHEN id = 1 THEN 0 ELSE 1 END LOOP REFRESH MATERIALIZED VIEW totals; END LOOP; END $$
            s1: INSERT INTO t VALUES (7, 'g')
            s1 hot: SELECT * FROM totals
            s2: SELECT nightly()
            s1: SELECT * FROM totals
            ",
        ),
        (
            "C12 views that call what writes, read under any name",
            "
            d: CREATE FUNCTION put() RETURNS int LANGUAGE sql AS $$ INSERT INTO public.log VALUES (1, 'view') RETURNING n $$
            d: CREATE SCHEMA s; CREATE VIEW s.vw AS SELECT put() AS n; CREATE VIEW over AS SELECT * FROM s.vw; CREATE MATERIALIZED VIEW s.mv AS SELECT put() AS n WITH NO DATA
            s1 hot: SELECT * FROM log ORDER BY n
            s2: SELECT * FROM s.vw
            s1: SELECT * FROM log ORDER BY n
            s1 hot: SELECT * FROM log ORDER BY n
            s2: TABLE over
            s1: SELECT * FROM log ORDER BY n
            s1 hot: SELECT * FROM log ORDER BY n
            s2: COPY (TABLE s.vw) TO STDOUT
            s1: SELECT * FROM log ORDER BY n
            s1 hot: SELECT * FROM log ORDER BY n
            s2: REFRESH MATERIALIZED VIEW s.mv
            s1: SELECT * FROM log ORDER BY n
            s1 hot: SELECT * FROM log ORDER BY n
            s2: EXPLAIN (ANALYZE, COSTS off, TIMING off, SUMMARY off, BUFFERS off) SELECT * FROM over
            s1: SELECT * FROM log ORDER BY n
            ",
        ),
        (
            "C12 functions called without parentheses, by dots and by stars",
            "
            d: CREATE FUNCTION put(t) RETURNS int LANGUAGE sql AS $$ INSERT INTO log VALUES (1, 'dot') RETURNING n $$
            d: CREATE FUNCTION public.\"left\"(int) RETURNS int LANGUAGE sql AS $$ INSERT INTO log VALUES (2, 'left') RETURNING n $$
            s1 hot: SELECT * FROM log ORDER BY n
            s2: SELECT t.put FROM t WHERE id = 1
            s1: SELECT * FROM log ORDER BY n
            s1 hot: SELECT * FROM log ORDER BY n
            s2: SELECT left(1)
            s1: SELECT * FROM log ORDER BY n
            s1 hot: SELECT * FROM log ORDER BY n
            s2: SELECT (x).put FROM (SELECT t AS x FROM t WHERE id = 2) y
            s1: SELECT * FROM log ORDER BY n
            ",
        ),
        (
            "C12 casts, domains and operators",
            "
            d: CREATE FUNCTION put(int) RETURNS boolean LANGUAGE sql AS $$ INSERT INTO log VALUES ($1, 'domain') RETURNING true $$
            d: CREATE DOMAIN noted AS int CHECK (put(VALUE))
            d: CREATE TYPE boxed AS (n int); CREATE FUNCTION unbox(boxed) RETURNS int LANGUAGE sql AS $$ INSERT INTO log VALUES (9, 'cast') RETURNING n $$; CREATE CAST (boxed AS int) WITH FUNCTION unbox(boxed)
            s1 hot: SELECT * FROM log ORDER BY n
            s2: SELECT 3::noted
            s1: SELECT * FROM log ORDER BY n
            s1 hot: SELECT * FROM log ORDER BY n
            s2: SELECT ROW(4)::boxed::int
            s1: SELECT * FROM log ORDER BY n
            ",
        ),
        (
            "C12 cursors that write as they are read",
            "
            d: CREATE FUNCTION put(int) RETURNS int LANGUAGE sql AS $$ INSERT INTO log VALUES ($1, 'cursor') RETURNING n $$
            s1 hot: SELECT * FROM log ORDER BY n
            s2: BEGIN
            s2: DECLARE c CURSOR WITH HOLD FOR SELECT put(id) FROM t ORDER BY id
            s2: FETCH 1 FROM c
            s1: SELECT * FROM log ORDER BY n
            s2: COMMIT
            s1: SELECT * FROM log ORDER BY n
            s1 hot: SELECT * FROM log ORDER BY n
            s2: FETCH ALL FROM c
            s1: SELECT * FROM log ORDER BY n
            s2: CLOSE c
            s2: BEGIN
            s2: DECLARE d CURSOR FOR SELECT * FROM t ORDER BY id FOR UPDATE
            s2: FETCH 1 FROM d
            s1 hot: SELECT * FROM t ORDER BY id
            s2: UPDATE t SET v = 'current' WHERE CURRENT OF d
            s2: DELETE FROM u WHERE id = 1
            s2: COMMIT
            s1: SELECT * FROM t ORDER BY id
            ",
        ),
        (
            "C12 procedures with COMMIT and ROLLBACK inside",
            "
            d: CREATE PROCEDURE step() LANGUAGE plpgsql AS $$ BEGIN UPDATE t SET v = 'kept' WHERE id = 1; COMMIT; UPDATE t SET v = 'lost' WHERE id = 2; ROLLBACK; INSERT INTO log VALUES (1, 'end'); END $$
            d: CREATE PROCEDURE broken() LANGUAGE plpgsql AS $$ BEGIN UPDATE t SET v = 'half' WHERE id = 1; COMMIT; PERFORM 1/0; END $$
            s1 hot: SELECT * FROM t ORDER BY id
            s1 hot: SELECT * FROM log ORDER BY n
            s2: CALL step()
            s1: SELECT * FROM t ORDER BY id
            s1: SELECT * FROM log ORDER BY n
            s1 hot: SELECT * FROM t ORDER BY id
            s2 fails: CALL broken()
            s1: SELECT * FROM t ORDER BY id
            s1 hot: SELECT * FROM t ORDER BY id
            s2 fails: DO $$ BEGIN UPDATE t SET v = 'done' WHERE id = 1; COMMIT; PERFORM 1/0; END $$
            s1: SELECT * FROM t ORDER BY id
            ",
        ),
        (
            "C12 procedures write what their bodies name, and empty nothing",
            "
            d: CREATE TABLE apart (id int); INSERT INTO apart VALUES (1)
            d: CREATE PROCEDURE rename(which int, name text) LANGUAGE plpgsql AS $$ BEGIN UPDATE t SET v = name WHERE id = which; END $$
            d: CREATE PROCEDURE outer_one(INOUT n int, name text DEFAULT 'by default') LANGUAGE plpgsql AS $$ BEGIN IF n > 0 THEN CALL rename(n, name); END IF; n := n + 1; END $$
            d: CREATE PROCEDURE in_sql(text) LANGUAGE sql AS $$ INSERT INTO log VALUES (7, $1); CALL rename(2, $1) $$
            d: CREATE FUNCTION noted() RETURNS text LANGUAGE plpgsql AS $$ BEGIN INSERT INTO log VALUES (8, 'noted'); RETURN 'noted'; END $$
            s1 hot: SELECT * FROM apart
            s1 hot: SELECT * FROM t ORDER BY id
            s1 hot: SELECT * FROM log ORDER BY n
            s2: CALL rename(1, 'called')
            s1: SELECT * FROM t ORDER BY id
            s1 still: SELECT * FROM log ORDER BY n
            s1 hot: SELECT * FROM t ORDER BY id
            s2: CALL public.outer_one(1)
            s1: SELECT * FROM t ORDER BY id
            s1 hot: SELECT * FROM t ORDER BY id
            s2: CALL in_sql('in sql')
            s1: SELECT * FROM t ORDER BY id
            s1: SELECT * FROM log ORDER BY n
            s1 hot: SELECT * FROM log ORDER BY n
            s2: CALL rename(1, noted())
            s1: SELECT * FROM log ORDER BY n
            s1 hot: SELECT * FROM t ORDER BY id
            s2: BEGIN
            s2: CALL rename(which => 2, name => 'in a block')
            s2: SELECT * FROM t ORDER BY id
            s1: SELECT * FROM t ORDER BY id
            s2: COMMIT
            s1: SELECT * FROM t ORDER BY id
            s1 hot: SELECT * FROM t ORDER BY id
            s2: BEGIN
            s2: CALL rename(2, 'undone')
            s2: ROLLBACK
            s1: SELECT * FROM t ORDER BY id
            s1 still: SELECT * FROM apart
            ",
        ),
        (
            "C12 a procedure is replaced, or one is made that is called instead",
            "
            d: CREATE PROCEDURE p(bigint) LANGUAGE plpgsql AS $$ BEGIN UPDATE t SET v = 'first'; END $$
            d: CREATE PROCEDURE o() LANGUAGE plpgsql AS $$ BEGIN CALL p(1); END $$
            s2: CALL o()
            s1 hot: SELECT * FROM t ORDER BY id
            s1 hot: SELECT * FROM log ORDER BY n
            s2: CREATE OR REPLACE PROCEDURE p(bigint) LANGUAGE plpgsql AS $$ BEGIN INSERT INTO log VALUES (1, 'p'); COMMIT; INSERT INTO log VALUES (2, 'p'); END $$
            s2: CALL o()
            s1: SELECT * FROM log ORDER BY n
            s1 hot: SELECT * FROM log ORDER BY n
            s2: CREATE PROCEDURE p(int) LANGUAGE plpgsql AS $$ BEGIN DELETE FROM log; END $$
            s2: CALL o()
            s1: SELECT * FROM log ORDER BY n
            s1 hot: SELECT * FROM log ORDER BY n
            s2: DROP PROCEDURE p(int)
            s2: CALL p(1)
            s1: SELECT * FROM log ORDER BY n
            s1 hot: SELECT * FROM log ORDER BY n
            s2 fails: CALL nowhere(1)
            s1: SELECT * FROM log ORDER BY n
            ",
        ),
        (
            "C12 a report writes what its query does, and empties nothing",
            "
            d: CREATE EXTENSION tablefunc
            d: CREATE FUNCTION bump(int) RETURNS int LANGUAGE sql AS $$ UPDATE t SET v = v || '+' WHERE id = $1 RETURNING id $$
            s1 hot: SELECT * FROM t ORDER BY id
            s2: SELECT * FROM crosstab('SELECT id, v, id FROM t ORDER BY 1, 2') AS c(id int, a int, b int) ORDER BY 1
            s2: SELECT * FROM crosstab($$ SELECT id, v, id FROM t ORDER BY 1 $$, $$ SELECT DISTINCT v FROM t ORDER BY 1; $$) AS c(id int, a int, b int) ORDER BY 1
            s2: SELECT count(*) FROM normal_rand(3, 1, 2)
            s1 still: SELECT * FROM t ORDER BY id
            s2 fails: SELECT * FROM crosstab('UPDATE t SET v = ''x'' RETURNING id, v, id') AS c(id int, a int, b int)
            s2: SELECT * FROM crosstab('SELECT id, v, bump(id) FROM t ORDER BY 1, 2') AS c(id int, a int, b int) ORDER BY 1
            s1: SELECT * FROM t ORDER BY id
            s1 hot: SELECT * FROM t ORDER BY id
            s2: SELECT * FROM crosstab('SELECT id, v, bu' || 'mp(id) FROM t ORDER BY 1, 2') AS c(id int, a int, b int) ORDER BY 1
            s1: SELECT * FROM t ORDER BY id
            ",
        ),
        (
            "C12 code with a connection of its own commits at once",
            "
            d: CREATE EXTENSION dblink
            s1 hot: SELECT * FROM t ORDER BY id
            s2: BEGIN
            s2: SELECT dblink_exec('host=127.0.0.1 user=postgres port=' || current_setting('port') || ' dbname=' || current_database(), 'UPDATE t SET v = ''elsewhere''')
            s1: SELECT * FROM t ORDER BY id
            s1 hot: SELECT * FROM t ORDER BY id
            s2: SELECT dblink_exec('host=127.0.0.1 user=postgres port=' || current_setting('port') || ' dbname=' || current_database(), 'UPDATE t SET v = ''again''')
            s2: ROLLBACK
            s1: SELECT * FROM t ORDER BY id
            ",
        ),
        (
            "C01 a table named as a keyword, and options in quotes",
            "
            d: CREATE TABLE set (set int); INSERT INTO set VALUES (1)
            s1 hot: SELECT * FROM set
            s2: UPDATE set SET set = 2
            s1: SELECT * FROM set
            s1 hot: SELECT * FROM set
            s2: WITH x AS (UPDATE SET SET set = 3 RETURNING 1) SELECT * FROM x
            s1: SELECT * FROM set
            s1 hot: SELECT * FROM set
            s2: EXPLAIN (\"analyze\", COSTS off, TIMING off, SUMMARY off, BUFFERS off) DELETE FROM set
            s1: SELECT * FROM set
            ",
        ),
        (
            "C11 rules with several actions and conditions",
            "
            d: CREATE RULE one AS ON UPDATE TO t WHERE NEW.v = 'go' DO ALSO (INSERT INTO log VALUES (NEW.id, 'rule'); DELETE FROM u WHERE tid = NEW.id)
            s1 hot: SELECT * FROM log ORDER BY n
            s1 hot: SELECT * FROM u ORDER BY id
            s2: UPDATE t SET v = 'go' WHERE id = 2
            s1: SELECT * FROM log ORDER BY n
            s1: SELECT * FROM u ORDER BY id
            ",
        ),
        (
            "B08 a function behind a view finds its names along the path of whoever looks",
            "
            d: CREATE TABLE cfg (f float8); INSERT INTO cfg VALUES (1)
            d: CREATE FUNCTION round(float8, int) RETURNS float8 LANGUAGE plpgsql AS $$ BEGIN RETURN (SELECT f FROM cfg) * $1; END $$
            d: CREATE FUNCTION price(float8) RETURNS float8 LANGUAGE sql STABLE AS 'SELECT round($1, 2)'
            d: CREATE FUNCTION printed(float8) RETURNS float8 STABLE BEGIN ATOMIC SELECT price($1); END
            d: CREATE VIEW prices AS SELECT id, price(id::float8) AS p FROM t
            s1 cold: SELECT * FROM prices ORDER BY id
            s1 cold: SELECT id, printed(1) AS p FROM t ORDER BY id
            s2: UPDATE cfg SET f = 2
            s1: SELECT * FROM prices ORDER BY id
            s1: SELECT id, printed(1) AS p FROM t ORDER BY id
            ",
        ),
    ]);
}
