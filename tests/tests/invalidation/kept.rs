//! C21: what the server keeps of views, policies and bodies that it has parsed, and no text shows.

use pgmemo_tests::Version;

use super::{check, check_instances, check_on, check_with};

#[test]
fn the_function_of_a_cast_outlives_it_in_what_was_made_with_it() {
    check(&[
        (
            "C21 a view over a cast that is dropped",
            "
            d: CREATE TABLE p (id int PRIMARY KEY, a point); INSERT INTO p VALUES (1, '(1,1)')
            d: CREATE FUNCTION weight(point) RETURNS int STABLE LANGUAGE plpgsql SET search_path = public AS $$ BEGIN RETURN (SELECT max(id) FROM t); END $$
            d: CREATE CAST (point AS int) WITH FUNCTION weight(point)
            d: CREATE VIEW w AS SELECT id, a::int AS n FROM p; CREATE VIEW over AS SELECT n + 1 AS n FROM w
            d: DROP CAST (point AS int)
            s1 cold: SELECT n FROM w
            s1 cold: SELECT n FROM over
            s1 hot: SELECT id FROM p
            s2: INSERT INTO t VALUES (3, 'c')
            s1: SELECT n FROM w
            s1: SELECT n FROM over
            ",
        ),
        (
            "C21 a view over a cast that is dropped, and was not asked for",
            "
            d: CREATE TABLE p (id int PRIMARY KEY, a point); INSERT INTO p VALUES (1, '(1,1)')
            d: CREATE FUNCTION light(point) RETURNS boolean STABLE LANGUAGE plpgsql SET search_path = public AS $$ BEGIN RETURN (SELECT max(id) < 3 FROM t); END $$
            d: CREATE CAST (point AS boolean) WITH FUNCTION light(point) AS IMPLICIT
            d: CREATE VIEW w AS SELECT id FROM p WHERE a; CREATE VIEW many AS SELECT id, ARRAY[a]::boolean[] AS n FROM p
            d: DROP CAST (point AS boolean)
            s1 cold: SELECT id FROM w
            s1 cold: SELECT n FROM many
            s2: INSERT INTO t VALUES (3, 'c')
            s1: SELECT id FROM w
            s1: SELECT n FROM many
            ",
        ),
        (
            "C21 a view over a cast that writes, and is dropped",
            "
            d: CREATE TABLE p (id int PRIMARY KEY, a point); INSERT INTO p VALUES (1, '(1,1)')
            d: CREATE FUNCTION weight(point) RETURNS int LANGUAGE sql AS $$ INSERT INTO public.log VALUES (1, 'weight') RETURNING n $$
            d: CREATE CAST (point AS int) WITH FUNCTION weight(point)
            d: CREATE VIEW w AS SELECT id FROM p WHERE a::int = 1
            d: DROP CAST (point AS int)
            s1 hot: SELECT count(*) FROM log
            s2: SELECT id FROM w
            s1: SELECT count(*) FROM log
            s2: SELECT id FROM w
            s1: SELECT count(*) FROM log
            ",
        ),
        (
            "C21 a policy over a cast that is dropped",
            "
            d: CREATE TABLE p (id int PRIMARY KEY, a point); INSERT INTO p VALUES (1, '(1,1)'); GRANT SELECT ON p TO PUBLIC
            d: CREATE FUNCTION weight(point) RETURNS int STABLE LANGUAGE plpgsql SET search_path = public AS $$ BEGIN RETURN (SELECT max(id) FROM t); END $$
            d: CREATE CAST (point AS int) WITH FUNCTION weight(point)
            d: CREATE POLICY light ON p USING (a::int < 3); ALTER TABLE p ENABLE ROW LEVEL SECURITY
            d: DROP CAST (point AS int)
            s1@{alice} cold: SELECT id FROM p
            s2: INSERT INTO t VALUES (3, 'c')
            s1: SELECT id FROM p
            ",
        ),
        (
            "C21 the body of a function over a cast that is dropped",
            "
            d: CREATE TABLE p (id int PRIMARY KEY, a point); INSERT INTO p VALUES (1, '(1,1)')
            d: CREATE FUNCTION weight(point) RETURNS int STABLE LANGUAGE plpgsql SET search_path = public AS $$ BEGIN RETURN (SELECT max(id) FROM t); END $$
            d: CREATE CAST (point AS int) WITH FUNCTION weight(point)
            d: CREATE FUNCTION heaviest() RETURNS int STABLE BEGIN ATOMIC SELECT max(a::int) FROM p; END
            d: DROP CAST (point AS int)
            s1 cold: SELECT heaviest() FROM p
            s2: INSERT INTO t VALUES (3, 'c')
            s1: SELECT heaviest() FROM p
            ",
        ),
        (
            "C21 a view over a cast of another's function",
            "
            d: CREATE TABLE p (id int PRIMARY KEY, o oid); INSERT INTO p VALUES (1, lo_from_bytea(0, 'one'))
            d: CREATE CAST (oid AS bytea) WITH FUNCTION lo_get(oid)
            s1 cold: SELECT o::bytea FROM p
            d: CREATE VIEW w AS SELECT id, o::bytea AS b FROM p
            d: DROP CAST (oid AS bytea)
            s2: SELECT lo_put(o, 0, 'two') FROM p
            s1 cold: SELECT b FROM w
            s2: SELECT lo_put(o, 0, 'six') FROM p
            s1: SELECT b FROM w
            ",
        ),
        (
            "C21 an operator by which a type was told apart",
            "
            d: CREATE TYPE num; CREATE FUNCTION num_in(cstring) RETURNS num IMMUTABLE STRICT LANGUAGE internal AS 'int4in'; CREATE FUNCTION num_out(num) RETURNS cstring IMMUTABLE STRICT LANGUAGE internal AS 'int4out'; CREATE TYPE num (INPUT = num_in, OUTPUT = num_out, LIKE = int4)
            d: CREATE FUNCTION alike(num, num) RETURNS boolean IMMUTABLE LANGUAGE plpgsql SET search_path = public AS $$ BEGIN RETURN (SELECT count(*) > 2 FROM t); END $$
            d: CREATE OPERATOR === (LEFTARG = num, RIGHTARG = num, FUNCTION = alike, HASHES)
            d: CREATE FUNCTION hashed(num) RETURNS int IMMUTABLE LANGUAGE internal AS 'hashoid'; CREATE OPERATOR CLASS nums DEFAULT FOR TYPE num USING hash AS OPERATOR 1 ===, FUNCTION 1 hashed(num)
            d: CREATE TABLE x (m num); INSERT INTO x VALUES ('1'), ('1')
            d: CREATE VIEW w AS SELECT DISTINCT m FROM x
            s1 cold: SELECT count(*) FROM w
            s1 cold: SELECT DISTINCT m FROM x
            s1 cold: SELECT count(*) FROM x GROUP BY m
            s1 cold: SELECT count(*) FROM (SELECT m FROM x UNION SELECT m FROM x) AS u
            s1 cold: SELECT DISTINCT ARRAY[m] FROM x
            s2: INSERT INTO t VALUES (3, 'c')
            s1: SELECT count(*) FROM w
            s1: SELECT DISTINCT m FROM x
            s1: SELECT count(*) FROM x GROUP BY m
            s1: SELECT count(*) FROM (SELECT m FROM x UNION SELECT m FROM x) AS u
            s1: SELECT DISTINCT ARRAY[m] FROM x
            ",
        ),
    ]);
}

#[test]
fn what_is_known_is_read_behind_views_and_policies() {
    let file = "[functions.\"public.listed\"]\nreads = [\"public.t\"]\n";
    check_with(file, &[
        (
            "C21 views over casts and operators of extensions",
            "
            d: CREATE EXTENSION citext; CREATE EXTENSION hstore; CREATE EXTENSION pg_trgm; CREATE EXTENSION ltree
            d: CREATE TABLE c (id int PRIMARY KEY, w citext, h hstore, v varchar(9), l ltree); INSERT INTO c VALUES (1, 'Word', 'a=>1', 'word', 'a.b')
            d: CREATE VIEW words AS SELECT id, w || v AS x, w = v AS same, v::citext = w AS other, upper(w) AS y, w::text % 'wor' AS alike FROM c WHERE w LIKE 'w%'
            d: CREATE VIEW keys AS SELECT id, h -> 'a' AS a, h::json AS j, (h || 'b=>2'::hstore) ? 'b' AS b, l <@ 'a'::ltree AS below, nlevel(l) AS n FROM c
            d: CREATE VIEW counted AS SELECT w, count(DISTINCT w) AS n, max(w) AS most FROM c GROUP BY w ORDER BY w
            s1 hot: SELECT * FROM words
            s1 hot: SELECT * FROM keys
            s1 hot: SELECT * FROM counted
            s2: UPDATE c SET w = 'WORDS', h = 'a=>3'
            s1: SELECT * FROM words
            s1: SELECT * FROM keys
            s1: SELECT * FROM counted
            ",
        ),
        (
            "C21 views and policies over functions that are read",
            "
            d: CREATE FUNCTION most() RETURNS int STABLE LANGUAGE sql AS $$ SELECT max(id) FROM public.u $$
            d: CREATE FUNCTION lowest() RETURNS int STABLE BEGIN ATOMIC SELECT min(id) + most() FROM u; END
            d: CREATE FUNCTION near(int, int) RETURNS boolean IMMUTABLE LANGUAGE sql AS $$ SELECT $1 - $2 < 2 $$
            d: CREATE OPERATOR ~~= (LEFTARG = int, RIGHTARG = int, FUNCTION = near)
            d: CREATE FUNCTION listed(int) RETURNS int STABLE LANGUAGE plpgsql SET search_path = public AS $$ BEGIN RETURN $1 + (SELECT count(*) FROM t); END $$
            d: CREATE FUNCTION strict_enough(int) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RETURN $1 > 0; END $$
            d: CREATE VIEW w AS SELECT id, most() AS m, lowest() AS l, listed(id) AS n, id ~~= 1 AS close FROM t
            d: CREATE POLICY p ON t USING (id::bigint < most() + 10 AND id ~~= 2) WITH CHECK (strict_enough(id)); ALTER TABLE t ENABLE ROW LEVEL SECURITY
            s1 hot: SELECT * FROM w ORDER BY id
            s3@{alice} hot: SELECT * FROM t ORDER BY id
            s2: INSERT INTO u VALUES (7, 1, 'z')
            s1: SELECT * FROM w ORDER BY id
            s3: SELECT * FROM t ORDER BY id
            s2: INSERT INTO t VALUES (3, 'c')
            s1: SELECT * FROM w ORDER BY id
            s3: SELECT * FROM t ORDER BY id
            ",
        ),
        (
            "B06 casts and operators of functions that are read",
            "
            d: CREATE FUNCTION written(int) RETURNS text IMMUTABLE STRICT LANGUAGE sql AS 'SELECT textin(int4out($1))'; CREATE CAST (int AS text) WITH FUNCTION written(int) AS IMPLICIT
            d: CREATE FUNCTION same(boolean, int) RETURNS boolean IMMUTABLE LANGUAGE sql AS 'SELECT $1 = ($2 <> 0)'; CREATE OPERATOR = (LEFTARG = boolean, RIGHTARG = int, FUNCTION = same)
            d: CREATE FUNCTION below(int, text) RETURNS boolean STABLE LANGUAGE sql AS 'SELECT $1 < max(id) FROM public.u WHERE w <> $2'; CREATE OPERATOR <~ (LEFTARG = int, RIGHTARG = text, FUNCTION = below)
            d: CREATE TABLE p (id int PRIMARY KEY, b boolean, n int, v text); INSERT INTO p VALUES (1, true, 7, 'a'), (2, false, 8, 'b')
            s1 hot: SELECT * FROM p ORDER BY id
            s1 hot: SELECT upper(n) AS c, length(n) AS l FROM p WHERE b = 1
            s1 hot: SELECT id FROM p WHERE id <~ v ORDER BY id
            s1 cold: SELECT id FROM p WHERE now() > '2000-01-01'
            s2: UPDATE p SET n = 99, b = true
            s1: SELECT upper(n) AS c, length(n) AS l FROM p WHERE b = 1 ORDER BY id
            s2: INSERT INTO u VALUES (7, 1, 'z')
            s1: SELECT id FROM p WHERE id <~ v ORDER BY id
            ",
        ),
        (
            "C21 views over the server's own casts",
            "
            d: CREATE TYPE mood AS ENUM ('sad', 'happy'); CREATE DOMAIN short AS varchar(5)
            d: CREATE TABLE x (id int, m mood, s short, j jsonb, at timestamptz, n numeric, a varchar(3)[]); INSERT INTO x VALUES (1, 'sad', 's', '1', '2000-01-01', 1.5, '{a}')
            d: CREATE VIEW w AS SELECT id, m::text AS m, s || 'x' AS s, j::int AS j, at::date AS at, n::int + id AS n, a || ARRAY['b']::text[] AS a, s::text = 's' AND 'happy'::mood > m AS more FROM x
            s1 hot: SELECT * FROM w
            s2: UPDATE x SET n = 7, m = 'happy'
            s1: SELECT * FROM w
            ",
        ),
    ]);
}

/// The text of a query need not say that anything is cast.
#[test]
fn a_cast_that_is_not_applied_by_itself_counts_where_its_types_occur() {
    check(&[
        (
            "B06 a cast that conditions apply as if something was assigned",
            "
            d: CREATE TABLE p (id int PRIMARY KEY, a point); INSERT INTO p VALUES (1, '(1,1)')
            d: CREATE FUNCTION light(point) RETURNS boolean STABLE LANGUAGE plpgsql SET search_path = public AS $$ BEGIN RETURN (SELECT max(id) < 3 FROM t); END $$
            d: CREATE CAST (point AS boolean) WITH FUNCTION light(point) AS ASSIGNMENT
            s1 cold: SELECT id FROM p WHERE a
            s2: INSERT INTO t VALUES (3, 'c')
            s1: SELECT id FROM p WHERE a
            ",
        ),
        (
            "B06 a cast that functions of the server's own ask for",
            "
            d: CREATE TYPE mood AS ENUM ('sad', 'happy'); CREATE TABLE felt (id int, m mood); INSERT INTO felt VALUES (1, 'sad')
            d: CREATE FUNCTION told(mood) RETURNS json STABLE LANGUAGE plpgsql SET search_path = public AS $$ BEGIN RETURN (SELECT max(id)::text::json FROM t); END $$
            d: CREATE FUNCTION said(mood) RETURNS text LANGUAGE sql AS $$ INSERT INTO public.log VALUES (1, 'said') RETURNING 'said' $$
            d: CREATE CAST (mood AS json) WITH FUNCTION told(mood)
            s1 cold: SELECT to_jsonb(m) FROM felt
            s1 cold: SELECT json_agg(f) FROM felt f
            s2: INSERT INTO t VALUES (3, 'c')
            s1: SELECT to_jsonb(m) FROM felt
            s1: SELECT json_agg(f) FROM felt f
            s2: CREATE CAST (mood AS text) WITH FUNCTION said(mood)
            s1 hot: SELECT count(*) FROM log
            s2: SELECT 'x' || m FROM felt
            s1: SELECT count(*) FROM log
            s2: SELECT quote_literal(m) FROM felt
            s1: SELECT count(*) FROM log
            ",
        ),
        (
            "B06 casts through text, by which applications store their enums and documents",
            "
            d: CREATE TYPE mood AS ENUM ('sad', 'happy'); CREATE TABLE felt (id int, m mood, v varchar, j jsonb, k uuid); INSERT INTO felt VALUES (1, 'sad', 'sad', '{}')
            d: CREATE CAST (varchar AS mood) WITH INOUT AS IMPLICIT; CREATE CAST (varchar AS jsonb) WITH INOUT AS IMPLICIT; CREATE CAST (varchar AS uuid) WITH INOUT AS IMPLICIT; CREATE CAST (mood AS varchar) WITH INOUT AS IMPLICIT
            s1 hot: SELECT id, m, v, j, k, m = v::mood AS same FROM felt WHERE id = 1
            s1 hot: SELECT sum(id) FROM u WHERE id = 1
            s2: UPDATE felt SET v = 'happy', j = '[]'
            s1: SELECT id, m, v, j, k, m = v::mood AS same FROM felt WHERE id = 1
            s2: ALTER TYPE mood RENAME VALUE 'sad' TO 'blue'
            s1: SELECT id, m, v, j, k, m = v::mood AS same FROM felt WHERE id = 1
            ",
        ),
        (
            "B06 a cast between the server's own types",
            "
            d: CREATE FUNCTION weight(oid) RETURNS bytea STABLE LANGUAGE plpgsql SET search_path = public AS $$ BEGIN RETURN (SELECT max(v)::bytea FROM t); END $$
            d: CREATE CAST (oid AS bytea) WITH FUNCTION weight(oid)
            s1 cold: SELECT id::oid::bytea FROM u
            s2: INSERT INTO t VALUES (3, 'c')
            s1: SELECT id::oid::bytea FROM u
            ",
        ),
    ]);
}

#[test]
fn trees_are_read_on_the_newest_server() {
    check_on(Version::V18, &[
        (
            "C21 a view and a policy over a cast that is dropped",
            "
            d: CREATE TABLE p (id int PRIMARY KEY, a point); INSERT INTO p VALUES (1, '(1,1)'); GRANT SELECT ON p TO PUBLIC
            d: CREATE FUNCTION light(point) RETURNS boolean STABLE LANGUAGE plpgsql SET search_path = public AS $$ BEGIN RETURN (SELECT max(id) < 3 FROM t); END $$
            d: CREATE CAST (point AS boolean) WITH FUNCTION light(point) AS IMPLICIT
            d: CREATE VIEW w AS SELECT id, ARRAY[a]::boolean[] AS n FROM p
            d: CREATE POLICY light ON p USING (a); ALTER TABLE p ENABLE ROW LEVEL SECURITY
            d: DROP CAST (point AS boolean)
            s1 cold: SELECT n FROM w
            s2@{alice} cold: SELECT id FROM p
            s3: INSERT INTO t VALUES (3, 'c')
            s1: SELECT n FROM w
            s2: SELECT id FROM p
            ",
        ),
    ]);
}

// What is made and dropped again through another instance, before this one has looked.
#[test]
fn what_comes_and_goes_is_counted() {
    check_instances(&[
        (
            "C12 a function that fits better for a moment",
            "
            d: CREATE FUNCTION f(bigint) RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN 1; END $$
            s1 hot: SELECT * FROM log ORDER BY n
            s2: SELECT f(1)
            p2: SELECT count(*) FROM t
            d2: SELECT pg_advisory_lock(7)
            p2: CREATE FUNCTION f(int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_advisory_xact_lock(7); INSERT INTO log VALUES (9, 'made'); RETURN 2; END $$
            s2 send: SELECT f(1)
            p2: DROP FUNCTION f(int)
            s1 hot: SELECT * FROM log ORDER BY n
            d2: SELECT pg_advisory_unlock(7)
            s2 wait:
            s1: SELECT * FROM log ORDER BY n
            ",
        ),
        (
            "C21 a cast that is there for a moment",
            "
            d: CREATE TABLE p (id int PRIMARY KEY, a point); INSERT INTO p VALUES (1, '(1,1)')
            d: CREATE FUNCTION weight(point) RETURNS int LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_advisory_xact_lock(7); INSERT INTO log VALUES (9, 'cast'); RETURN 2; END $$
            s1 hot: SELECT * FROM log ORDER BY n
            p2: SELECT count(*) FROM t
            d2: SELECT pg_advisory_lock(7)
            p2: CREATE CAST (point AS int) WITH FUNCTION weight(point)
            s2 send: SELECT a::int FROM p
            p2: DROP CAST (point AS int)
            s1 hot: SELECT * FROM log ORDER BY n
            d2: SELECT pg_advisory_unlock(7)
            s2 wait:
            s1: SELECT * FROM log ORDER BY n
            ",
        ),
        (
            "C12 a function in the place of the server's own for a moment",
            "
            s1 hot: SELECT * FROM log ORDER BY n
            s2: SELECT upper('a'::varchar)
            p2: SELECT count(*) FROM t
            d2: SELECT pg_advisory_lock(7)
            p2: CREATE FUNCTION upper(varchar) RETURNS text LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_advisory_xact_lock(7); INSERT INTO log VALUES (9, 'upper'); RETURN 'A'; END $$
            s2 send: SELECT upper('a'::varchar)
            p2: DROP FUNCTION upper(varchar)
            s1 hot: SELECT * FROM log ORDER BY n
            d2: SELECT pg_advisory_unlock(7)
            s2 wait:
            s1: SELECT * FROM log ORDER BY n
            ",
        ),
        (
            "C12 a function that goes with the default of a new column",
            "
            d: CREATE FUNCTION f(bigint) RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN 1; END $$
            d: CREATE FUNCTION dropper() RETURNS int LANGUAGE plpgsql AS $$ BEGIN DROP FUNCTION IF EXISTS public.f(int); RETURN 1; END $$
            d: CREATE TABLE z AS SELECT 1 AS id
            s1 hot: SELECT * FROM log ORDER BY n
            s2: SELECT f(1)
            p2: SELECT count(*) FROM t
            d2: SELECT pg_advisory_lock(7)
            p2: CREATE FUNCTION f(int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_advisory_xact_lock(7); INSERT INTO log VALUES (9, 'made'); RETURN 2; END $$
            s2 send: SELECT f(1)
            p2: ALTER TABLE z ADD COLUMN c int DEFAULT dropper()
            s1 hot: SELECT * FROM log ORDER BY n
            d2: SELECT pg_advisory_unlock(7)
            s2 wait:
            s1: SELECT * FROM log ORDER BY n
            ",
        ),
        (
            "C12 a function that code makes and drops",
            "
            d: CREATE FUNCTION f(bigint) RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN 1; END $$
            d: CREATE PROCEDURE better() LANGUAGE plpgsql AS $p$ BEGIN CREATE FUNCTION public.f(int) RETURNS int LANGUAGE plpgsql AS 'BEGIN INSERT INTO public.log VALUES (9, ''made''); RETURN 2; END'; COMMIT; PERFORM pg_advisory_unlock(7); PERFORM pg_advisory_lock(8); DROP FUNCTION public.f(int); END $p$
            s1 hot: SELECT * FROM log ORDER BY n
            p2: SELECT count(*) FROM t
            d2: SELECT pg_advisory_lock(8)
            p2: SELECT pg_advisory_lock(7)
            p2 send: CALL better()
            d3: SELECT pg_advisory_lock(7)
            s2: BEGIN
            s2: SELECT f(1)
            d2: SELECT pg_advisory_unlock(8)
            p2 wait:
            s1 hot: SELECT * FROM log ORDER BY n
            s2: COMMIT
            s1: SELECT * FROM log ORDER BY n
            ",
        ),
    ]);
}
