//! B: what may be remembered at all.

use super::check;

#[test]
fn what_depends_on_more_than_tables_is_asked_every_time() {
    check(&[
        (
            "B01 volatile functions",
            "
            d: CREATE SEQUENCE s
            s1 cold: SELECT count(*) FROM t WHERE random() < 2
            s1 cold: SELECT count(clock_timestamp()) FROM t
            s1 cold: SELECT id FROM t WHERE gen_random_uuid() IS NOT NULL ORDER BY id
            s1 cold: SELECT nextval('s'), id FROM t WHERE id = 1
            s1 cold: SELECT id FROM t ORDER BY CASE WHEN id > 0 THEN random() * 0 END, id
            s1 cold: SELECT sum(id) FILTER (WHERE random() < 2) FROM t
            s1 cold: SELECT id FROM t ORDER BY id LIMIT (1 + random() * 0)::int
            s1 cold: SELECT t.id FROM t JOIN u ON random() < 2 AND t.id = u.id ORDER BY 1
            ",
        ),
        (
            "B02 the clock",
            "
            s1 cold: SELECT count(*) FROM e WHERE at > now() - interval '100 years'
            s1 cold: SELECT count(*) FROM e WHERE at < statement_timestamp()
            s1 cold: SELECT count(*) FROM e WHERE age(d) > interval '1 day'
            s1 cold: SELECT count(*) FROM e WHERE at < transaction_timestamp()
            ",
        ),
        (
            "B03 functions without parentheses",
            "
            s1 cold: SELECT count(*) FROM e WHERE d < CURRENT_DATE
            s1 cold: SELECT count(*) FROM e WHERE at < CURRENT_TIMESTAMP(0)
            s1 cold: SELECT count(*) FROM e WHERE at < LOCALTIMESTAMP
            s1@{alice} hot: SELECT id, CURRENT_USER FROM t ORDER BY id
            s2@{bob}: SELECT id, CURRENT_USER FROM t ORDER BY id
            s2 hot: SELECT id, CURRENT_USER, SESSION_USER, USER, CURRENT_ROLE FROM t ORDER BY id
            s3: SET ROLE {alice}
            s3 hot: SELECT id, CURRENT_USER, SESSION_USER, USER, CURRENT_ROLE FROM t ORDER BY id
            s3: SET SESSION AUTHORIZATION {bob}
            s3: SELECT id, CURRENT_USER, SESSION_USER, USER, CURRENT_ROLE FROM t ORDER BY id
            s4@{alice} cold: SELECT id, CURRENT_SCHEMA FROM t ORDER BY id
            s2: SELECT id, SESSION_USER, USER, CURRENT_ROLE FROM t ORDER BY id
            s2: SELECT id, CURRENT_SCHEMA, CURRENT_CATALOG <> '' FROM t ORDER BY id
            ",
        ),
        (
            "B03 a column may have such a name",
            "
            d: CREATE TABLE c AS SELECT 'column' AS \"current_user\"
            s1 hot: SELECT \"current_user\" FROM c
            s1: UPDATE c SET \"current_user\" = 'changed'
            s1: SELECT \"current_user\" FROM c
            ",
        ),
        (
            "B04 the clock in a literal",
            "
            s1 cold: SELECT count(*) FROM e WHERE d < 'today'
            s1 cold: SELECT count(*) FROM e WHERE d < ' Tomorrow '
            s1 cold: SELECT count(*) FROM e WHERE at < 'now'
            s1 cold: SELECT count(*) FROM e WHERE d < date 'yesterday'
            s1 cold: SELECT count(*) FROM e WHERE d < 'today'::date
            s1 cold ext: SELECT count(*) FROM e WHERE d < $1 <- today
            s1 cold ext: SELECT count(*) FROM e WHERE at < $1::timestamptz <- NOW
            s1 cold: SELECT count(*) FROM e WHERE at < E'n\\ow'
            s1 cold: SELECT count(*) FROM e WHERE at < E'\\x6eow'::timestamptz
            s1 cold: SELECT count(*) FROM e WHERE at < U&'n\\006fw'::timestamptz
            s1 cold: SELECT count(*) FROM e WHERE at < ANY ('{n\\ow}')
            s1 cold: SELECT count(*) FROM e WHERE at <@ '[2024-01-01,n\"o\"w)'::tstzrange
            s1 cold: SELECT count(*) FROM e WHERE at <@ '[2024-01-01,n\\ow)'::tstzrange
            s1 cold ext: SELECT count(*) FROM e WHERE at < ANY ($1::timestamptz[]) <- {n\\ow}
            s1 hot: SELECT id, E'\\u00e9\\n', U&'\\00e9' FROM e ORDER BY id
            ",
        ),
        (
            "B04 the clock in the text of a column, or put together",
            "
            d: CREATE TABLE x AS SELECT 1 AS id, 'now'::text AS w, '{\"at\": \"now\"}'::jsonb AS j, ARRAY['now'] AS a
            d: CREATE DOMAIN moment AS timestamptz; CREATE TYPE box2 AS (at timestamptz)
            d: CREATE VIEW vx AS SELECT w::timestamptz AS at FROM x
            s1 cold: SELECT count(w::timestamptz) FROM x
            s1 cold: SELECT count(CAST(x.w AS timestamp)) FROM x
            s1 cold: SELECT count((j ->> 'at')::timestamptz) FROM x
            s1 cold: SELECT count(a::timestamptz[]) FROM x
            s1 cold: SELECT count(a[1]::date) FROM x
            s1 cold: SELECT count(w::moment) FROM x
            s1 cold: SELECT count(('(' || w || ')')::box2) FROM x
            s1 cold: SELECT count(ROW(w)::box2) FROM x
            s1 cold: SELECT count('(n\"o\"w)'::box2) FROM x
            s1 cold ext: SELECT count($1::box2) FROM x <- (n\\ow)
            s1 hot: SELECT '(2024-01-01)'::box2, NULL::box2, id FROM x
            s1 cold: SELECT count(('no' || 'w')::timestamptz) FROM x
            s1 cold: SELECT count('nowhere'::char(3)::timestamptz) FROM x
            s1 cold ext: SELECT count(($1 || 'w')::timestamptz) FROM x <- no
            s1 cold ext: SELECT count(left($1, 3)::date) FROM x <- nowhere
            s1 cold: SELECT count(date(w)) FROM x
            s1 cold: SELECT count((w).date) FROM x
            s1 cold: SELECT count(r.at) FROM x, jsonb_to_record(j) AS r(at timestamptz)
            s1 cold: SELECT count(r.at) FROM x, jsonb_populate_record(NULL::box2, j) AS r
            s1 cold: SELECT count(y.w::date) FROM (SELECT coalesce(w, '') AS w FROM x) y
            s1 cold: SELECT count(at) FROM vx
            s1 hot: SELECT at::date, at::text, d::timestamptz, max(at)::date FROM e GROUP BY at, d
            s1 hot: SELECT w::text, j::text, id::text::int FROM x
            ",
        ),
        (
            "B04 a time of day in a zone, whose offset is that of today",
            "
            d: CREATE TABLE s (day date, begins time, at timestamptz, zone text); INSERT INTO s VALUES ('2024-01-01', '12:00', '2024-01-01 20:00+00', 'Europe/Helsinki')
            d: CREATE DOMAIN zoned AS timetz; CREATE TYPE opening AS (at timetz); CREATE TABLE z (id int, by zoned); CREATE TABLE o (id int, p opening)
            d: INSERT INTO z VALUES (1, '12:00+02'), (2, '11:30+01'); INSERT INTO o VALUES (1, '(12:00+03)')
            d: CREATE VIEW vs AS SELECT begins AT TIME ZONE zone AS b, at AT TIME ZONE zone AS a FROM s; CREATE VIEW va AS SELECT at AT TIME ZONE zone AS a FROM s
            d: CREATE FUNCTION due() RETURNS TABLE (q timetz, i int) LANGUAGE sql STABLE AS 'SELECT begins, 1 FROM public.s'; CREATE FUNCTION days() RETURNS TABLE (q date, i int) LANGUAGE sql STABLE AS 'SELECT day, 1 FROM public.s'
            s1 cold: SELECT count(q) FROM due()
            s1 hot: SELECT count(q) FROM days()
            s1 cold: SELECT count(begins AT TIME ZONE zone) FROM s
            s1 cold: SELECT count(timezone(zone, begins)) FROM s
            s1 cold: SELECT count((begins + interval '1 hour') AT TIME ZONE zone) FROM s
            s1 cold: SELECT count(max AT TIME ZONE 'UTC') FROM (SELECT max(begins) FROM s) x
            s1 cold: SELECT count(b) FROM vs
            s1 cold: SELECT count(by) FROM z WHERE by < '12:00'
            s1 cold: SELECT count('12:00'::zoned) FROM s
            s1 cold: SELECT count('(12:00)'::opening) FROM s
            s1 cold: SELECT count(p) FROM o
            s1 cold: SELECT id FROM z WHERE id = 1 AND '12:00' = by
            s1 cold: SELECT b FROM z AS q (a, b) WHERE b > '11:00'
            s1 hot: SELECT id, by AS due FROM z WHERE id IN (1, 2) LIMIT 5
            s1 hot: SELECT * FROM z WHERE id = 1
            s1 hot ext: SELECT z.*, p FROM z JOIN o ON o.id = z.id WHERE z.id = $1 <- 1
            s1 hot: SELECT (day + begins) AT TIME ZONE zone, at AT TIME ZONE zone AT TIME ZONE 'UTC' FROM s
            s1 hot: SELECT max(at) AT TIME ZONE 'UTC', max(day + begins) AT TIME ZONE 'UTC' FROM s
            s1 hot: SELECT a FROM va
            s1 hot: SELECT date_trunc('day', at AT TIME ZONE zone) AT TIME ZONE zone, begins FROM s
            s1 hot ext: SELECT at AT TIME ZONE $1 FROM s WHERE begins < $2 <- Asia/Tokyo, 13:00
            ",
        ),
        (
            "B05 a volatile function of another schema",
            "
            d: CREATE SCHEMA x; CREATE SEQUENCE x.s; CREATE FUNCTION x.lower(text) RETURNS text VOLATILE LANGUAGE sql AS $$ SELECT $1 || nextval('x.s') $$
            s1 hot: SELECT lower(v) FROM t ORDER BY id
            s1 cold: SELECT x.lower(v) FROM t WHERE id = 1
            s1: SET search_path = x, public, pg_catalog
            s1 cold: SELECT lower(v) FROM t WHERE id = 1
            ",
        ),
        (
            "B06 casts without a function name",
            "
            s1 warm: SELECT at::text, d::text, '2024-01-01'::timestamptz, at || '' FROM e
            s1: SET timezone = 'Asia/Tokyo'
            s1: SELECT at::text, d::text, '2024-01-01'::timestamptz, at || '' FROM e
            s1: SET datestyle = 'German'
            s1: SELECT at::text, d::text, '2024-01-01'::timestamptz, at || '' FROM e
            s1: SELECT e::text FROM e
            ",
        ),
        (
            "B07 a function of the user beside a builtin",
            "
            s1 hot: SELECT length(v) FROM t ORDER BY id
            s2: CREATE FUNCTION public.length(text) RETURNS int VOLATILE LANGUAGE sql AS 'SELECT 42'
            s2: SET search_path = public, pg_catalog
            s2 cold: SELECT length(v) FROM t ORDER BY id
            ",
        ),
        (
            "B08 a function that reads a table and says it does not",
            "
            d: CREATE FUNCTION f(int) RETURNS text IMMUTABLE LANGUAGE sql AS 'SELECT w FROM u WHERE id = $1'
            s1 warm: SELECT f(id) FROM t ORDER BY id
            s1: UPDATE u SET w = 'changed'
            s1: SELECT f(id) FROM t ORDER BY id
            ",
        ),
        (
            "B08 a table that an extension reads behind functions and casts that do not say so",
            "
            d: CREATE EXTENSION cube; CREATE TABLE spatial_ref_sys (srid int PRIMARY KEY, factor int); INSERT INTO spatial_ref_sys VALUES (1, 10)
            d: CREATE FUNCTION st_scaled(cube, int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN RETURN (SELECT factor FROM spatial_ref_sys WHERE srid = $2); END $$
            d: CREATE FUNCTION st_json(cube) RETURNS json IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN RETURN (SELECT json_agg(s) FROM spatial_ref_sys s); END $$; CREATE CAST (cube AS json) WITH FUNCTION st_json(cube)
            d: ALTER EXTENSION cube ADD TABLE spatial_ref_sys; ALTER EXTENSION cube ADD FUNCTION st_scaled(cube, int); ALTER EXTENSION cube ADD FUNCTION st_json(cube); ALTER EXTENSION cube ADD CAST (cube AS json)
            d: UPDATE pg_extension SET extname = 'postgis' WHERE extname = 'cube'
            d: CREATE TABLE g (id int PRIMARY KEY, c cube); INSERT INTO g VALUES (1, '(1,2)'), (2, '(3,4)')
            s1 hot: SELECT c FROM g WHERE id = 1
            s2: UPDATE g SET c = '(5,6)' WHERE id = 2
            s1 still: SELECT c FROM g WHERE id = 1
            s1 hot: SELECT st_scaled(c, 1) FROM g ORDER BY id
            s1 hot: SELECT to_json(c) FROM g ORDER BY id
            s1 hot: SELECT * FROM t ORDER BY id
            s2: UPDATE spatial_ref_sys SET factor = 20
            s1 still: SELECT * FROM t ORDER BY id
            s1: SELECT st_scaled(c, 1) FROM g ORDER BY id
            s1: SELECT to_json(c) FROM g ORDER BY id
            ",
        ),
        (
            "B06 an extension that is told by a function how to read text",
            "
            d: CREATE EXTENSION isn; CREATE TABLE books (id int, code isbn13); INSERT INTO books VALUES (1, '978-0-393-04002-8!')
            s1: SELECT isn_weak(true)
            s1 cold: SELECT count(*) FROM books WHERE code = '978-0-393-04002-8'
            s2 fails: SELECT count(*) FROM books WHERE code = '978-0-393-04002-8'
            s1 hot: SELECT * FROM t WHERE v = 'a'
            ",
        ),
        (
            "B11 reads that lock",
            "
            s1 cold: SELECT * FROM t WHERE id = 1 FOR UPDATE
            s1 cold: SELECT * FROM t WHERE id = 1 FOR SHARE OF t SKIP LOCKED
            s1 cold: SELECT * FROM (SELECT * FROM t FOR NO KEY UPDATE) x ORDER BY id
            s1 cold: WITH x AS (SELECT * FROM t FOR KEY SHARE) SELECT * FROM x ORDER BY id
            s1: BEGIN
            s1: SELECT * FROM t WHERE id = 1 FOR UPDATE
            s2: SELECT count(*) FROM t WHERE id = 1
            s2 fails: SELECT * FROM t WHERE id = 1 FOR UPDATE NOWAIT
            s1: COMMIT
            ",
        ),
        (
            "B12 reads with effects happen every time",
            "
            d: CREATE SEQUENCE s
            s1 cold: SELECT nextval('s') FROM t WHERE id = 1
            s2: SELECT last_value FROM s
            s1 cold: SELECT setval('s', 40 + id) FROM t WHERE id = 1
            s1 cold: SELECT set_config('app.x', v, false) FROM t WHERE id = 1
            s2: LISTEN c
            s1 cold: SELECT pg_notify('c', v) FROM t WHERE id = 1
            s2: SELECT 1
            s1 cold: SELECT pg_try_advisory_lock(7) FROM t WHERE id = 1
            s1: SELECT pg_advisory_unlock(7), pg_advisory_unlock(7), pg_advisory_unlock(7), pg_advisory_unlock(7)
            ",
        ),
        (
            "B14 system catalogs and statistics",
            "
            s1 cold: SELECT count(*) FROM pg_class WHERE relname LIKE 'made_%'
            s1: CREATE TABLE made_1 ()
            s1: SELECT count(*) FROM pg_class WHERE relname LIKE 'made_%'
            s1 cold: SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public'
            s1 cold: SELECT count(*) FROM t, pg_stat_activity a WHERE a.pid = pg_backend_pid()
            s1 cold: SHOW timezone
            ",
        ),
        (
            "B18 foreign tables",
            "
            d: CREATE EXTENSION file_fdw
            d: CREATE SERVER files FOREIGN DATA WRAPPER file_fdw
            d: CREATE FOREIGN TABLE f (line text) SERVER files OPTIONS (filename '/etc/hostname')
            s1 cold: SELECT count(*) FROM f
            s1 cold: SELECT count(*) FROM t, f
            ",
        ),
        (
            "B19 samples",
            "
            s1 cold: SELECT count(*) >= 0 FROM t TABLESAMPLE bernoulli (50)
            s1 cold: SELECT count(*) >= 0 FROM (SELECT * FROM t TABLESAMPLE system (50)) x
            ",
        ),
        (
            "B20 functions in FROM",
            "
            d: CREATE FUNCTION rows() RETURNS SETOF t STABLE LANGUAGE sql AS 'SELECT * FROM t'
            s1 warm: SELECT * FROM rows() ORDER BY id
            s1 warm: SELECT u.id, r.v FROM u, LATERAL rows() r ORDER BY 1, 2
            s1: UPDATE t SET v = 'changed' WHERE id = 1
            s1: SELECT * FROM rows() ORDER BY id
            s1: SELECT u.id, r.v FROM u, LATERAL rows() r ORDER BY 1, 2
            ",
        ),
        (
            "B20 harmless functions in FROM do not forbid",
            "
            s1 hot: SELECT t.id, g FROM t, generate_series(1, 2) g ORDER BY 1, 2
            s1 hot: SELECT t.id, x FROM t, unnest(ARRAY['p', 'q']) x ORDER BY 1, 2
            ",
        ),
        (
            "B21 sequences as relations",
            "
            d: CREATE SEQUENCE s
            s1 cold: SELECT last_value FROM s
            s1: SELECT nextval('s'), currval('s'), lastval()
            s1: SELECT last_value, is_called FROM s
            ",
        ),
        (
            "B22 system columns and object names",
            "
            s1 cold: SELECT xmin IS NOT NULL, ctid, id FROM t ORDER BY id
            s1: UPDATE t SET v = v
            s1: SELECT ctid, id FROM t ORDER BY id
            s1 cold: SELECT tableoid::regclass, id FROM t ORDER BY id
            s1 cold: SELECT pg_relation_size('t') >= 0, id FROM t ORDER BY id
            s1: ALTER TABLE t RENAME TO renamed
            s1: SELECT tableoid::regclass, id FROM renamed ORDER BY id
            ",
        ),
        (
            "B26 statements without a table",
            "
            s1 cold: SELECT 1
            s1 cold: VALUES (1)
            s1 cold ext: SELECT $1::int <- 7
            ",
        ),
    ]);
}

#[test]
fn what_is_not_a_plain_read_is_left_alone() {
    check(&[
        (
            "B10 a write in a common table expression happens every time",
            "
            s1 hot: SELECT * FROM t ORDER BY id
            s1: WITH x AS (INSERT INTO t VALUES (3, 'c') RETURNING *) SELECT * FROM x
            s1: SELECT * FROM t ORDER BY id
            s1 fails: WITH x AS (INSERT INTO t VALUES (3, 'c') RETURNING *) SELECT * FROM x
            s1: WITH x AS (WITH y AS (SELECT 1) SELECT * FROM y), z AS (DELETE FROM t WHERE id = 3 RETURNING *) SELECT * FROM z
            s1: SELECT * FROM t ORDER BY id
            ",
        ),
        (
            "B13 temporary tables hide others, in their session alone",
            "
            s1 hot: SELECT * FROM t ORDER BY id
            s1: CREATE TEMP TABLE t (id int, v text)
            s1: SELECT * FROM t ORDER BY id
            s1: INSERT INTO t VALUES (7, 'temporary')
            s1 cold: SELECT * FROM t ORDER BY id
            s2: SELECT * FROM t ORDER BY id
            s1: SELECT * FROM public.t ORDER BY id
            s1: DROP TABLE t
            s1: SELECT * FROM t ORDER BY id
            ",
        ),
        (
            "B13 temporary tables made in other ways",
            "
            s1 hot: SELECT * FROM t ORDER BY id
            s1: BEGIN
            s1: CREATE TEMP TABLE t ON COMMIT DROP AS SELECT 1 AS id
            s1: SELECT * FROM t ORDER BY id
            s1: COMMIT
            s1: SELECT * FROM t ORDER BY id
            s1: SELECT 5 AS id INTO TEMP t
            s1: SELECT * FROM t ORDER BY id
            s1: DISCARD TEMP
            s1: SELECT * FROM t ORDER BY id
            s1: CREATE TEMP VIEW t AS SELECT 6 AS id
            s1: SELECT * FROM t ORDER BY id
            s2: SELECT * FROM t ORDER BY id
            ",
        ),
        (
            "B13 a path that makes temporary objects of all that is created",
            "
            s1 startup: search_path=pg_temp, public
            s1: SELECT * FROM t ORDER BY id
            s1: CREATE TABLE t (id int, v text)
            s1 cold: SELECT * FROM t ORDER BY id
            s2 hot: SELECT * FROM t ORDER BY id
            s1: DROP TABLE t
            s1: SELECT * FROM t ORDER BY id
            ",
        ),
        (
            "B13 temporary types hide others as well",
            "
            d: CREATE DOMAIN word AS varchar(10)
            s1 hot: SELECT v::word FROM t ORDER BY id
            s1: CREATE DOMAIN pg_temp.word AS char(5)
            s1 cold: SELECT v::word FROM t ORDER BY id
            s2 hot: SELECT v::word FROM t ORDER BY id
            ",
        ),
        (
            "B13 a temporary table made inside a function",
            "
            d: CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$ BEGIN CREATE TEMP TABLE t (id int, v text); END $$
            s1 hot: SELECT * FROM t ORDER BY id
            s1: SELECT f()
            s1: SELECT * FROM t ORDER BY id
            s2 hot: SELECT * FROM t ORDER BY id
            ",
        ),
        (
            "B23 several statements",
            "
            s1 hot: SELECT * FROM t ORDER BY id;
            s1 cold simple: SELECT 1; SELECT * FROM t ORDER BY id
            s1 simple: SELECT * FROM t ORDER BY id; UPDATE t SET v = 'm'; SELECT * FROM t ORDER BY id
            s1: SELECT * FROM t ORDER BY id;
            ",
        ),
        (
            "B24 no hint makes a write a read",
            "
            s1 hot: SELECT * FROM t ORDER BY id
            s1: /* pgmemo: cache */ WITH x AS (DELETE FROM t WHERE id = 1 RETURNING *) SELECT * FROM x
            s1: /* pgmemo: cache */ WITH x AS (DELETE FROM t WHERE id = 1 RETURNING *) SELECT * FROM x
            s1: SELECT * FROM t ORDER BY id
            s1 cold: /* pgmemo: nocache */ SELECT * FROM t ORDER BY id
            ",
        ),
        (
            "B27 errors and notices are not remembered",
            "
            d: CREATE FUNCTION loud(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE 'loud'; RETURN $1; END $$
            s1 cold fails: SELECT 10 / (2 - id) FROM t ORDER BY id
            s1 cold: SELECT loud(id) FROM t ORDER BY id
            s1: UPDATE t SET id = 5 WHERE id = 2
            s1: SELECT 10 / (2 - id) FROM t ORDER BY id
            ",
        ),
        (
            "B28 cursors and COPY",
            "
            s1: BEGIN
            s1: DECLARE c CURSOR FOR SELECT * FROM t ORDER BY id
            s1: FETCH 1 FROM c
            s1: FETCH 1 FROM c
            s1: COMMIT
            s1 cold: COPY t TO STDOUT
            s1: UPDATE t SET v = 'changed'
            s1: COPY (SELECT * FROM t ORDER BY id) TO STDOUT
            ",
        ),
        (
            "B29 EXECUTE of SQL",
            "
            s1: PREPARE p AS SELECT * FROM t ORDER BY id
            s2: PREPARE p AS SELECT * FROM u ORDER BY id
            s1 cold: EXECUTE p
            s2: EXECUTE p
            s1: UPDATE t SET v = 'changed'
            s1: EXECUTE p
            ",
        ),
        (
            "B30 no rows are an answer too",
            "
            s1 hot: SELECT * FROM t WHERE id = 9
            s2: INSERT INTO t VALUES (9, 'born')
            s1: SELECT * FROM t WHERE id = 9
            s2: DELETE FROM t WHERE id = 9
            s1: SELECT * FROM t WHERE id = 9
            ",
        ),
    ]);
}

#[test]
fn views_are_what_they_show() {
    check(&[
        (
            "B15 a view changes with its table",
            "
            d: CREATE VIEW vw AS SELECT id, upper(v) AS v FROM t; CREATE VIEW over AS SELECT * FROM vw WHERE id = 1
            s1 hot: SELECT * FROM over
            s2: UPDATE t SET v = 'z'
            s1: SELECT * FROM over
            s1 hot: SELECT * FROM vw ORDER BY id
            s2: CREATE OR REPLACE VIEW vw AS SELECT id, lower(v) AS v FROM t
            s1: SELECT * FROM vw ORDER BY id
            s1: SELECT * FROM over
            ",
        ),
        (
            "B15 a view that asks the clock or the session",
            "
            d: CREATE VIEW past AS SELECT id FROM e WHERE at < now(); CREATE VIEW me AS SELECT id, current_user FROM t; GRANT SELECT ON me TO PUBLIC
            s1 cold: SELECT * FROM past
            s1@{alice} warm: SELECT * FROM me ORDER BY id
            s2@{bob}: SELECT * FROM me ORDER BY id
            ",
        ),
        (
            "B16 a materialized view changes when it is refreshed",
            "
            d: CREATE MATERIALIZED VIEW mv AS SELECT * FROM t; CREATE UNIQUE INDEX ON mv (id)
            s1 hot: SELECT * FROM mv ORDER BY id
            s2: UPDATE t SET v = 'new'
            s1: SELECT * FROM mv ORDER BY id
            s2: REFRESH MATERIALIZED VIEW mv
            s1: SELECT * FROM mv ORDER BY id
            s1 hot: SELECT * FROM mv ORDER BY id
            s2: UPDATE t SET v = 'newer'
            s2: REFRESH MATERIALIZED VIEW CONCURRENTLY mv
            s1: SELECT * FROM mv ORDER BY id
            ",
        ),
    ]);
}

#[test]
fn what_a_function_calls_finds_its_names_with_the_rights_it_has() {
    check(&[(
        "B08 a function that is called with the rights of the owner of another",
        "
        d: CREATE SCHEMA priv AUTHORIZATION {bob}; CREATE TABLE priv.c (id int); ALTER TABLE priv.c OWNER TO {bob}; INSERT INTO priv.c VALUES (1)
        d: CREATE TABLE public.c (id int); GRANT SELECT ON public.c TO {alice}, {bob}; CREATE TABLE one (x int); INSERT INTO one VALUES (1); GRANT SELECT ON one TO {alice}
        d: CREATE FUNCTION public.inner_n() RETURNS bigint STABLE LANGUAGE sql AS 'SELECT count(*) FROM c'
        d: CREATE FUNCTION public.outer_n() RETURNS bigint STABLE SECURITY DEFINER LANGUAGE sql BEGIN ATOMIC SELECT public.inner_n(); END
        d: ALTER FUNCTION public.outer_n() OWNER TO {bob}
        s1@{alice}: SET search_path = priv, public
        s1 warm: SELECT outer_n() FROM one
        s2: INSERT INTO priv.c VALUES (2)
        s1: SELECT outer_n() FROM one
        s3@{alice}: SET search_path = public
        s3: SELECT outer_n() FROM one
        ",
    )]);
}
