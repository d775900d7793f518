//! K: what makes two questions the same.

use pgmemo_tests::{
    Pgmemo, Postgres, Store, Version,
    wire::{Format, Frontend},
};

use super::{FIXTURE, check};

#[test]
fn replies_are_told_apart_by_who_asks_and_where() {
    check(&[
        (
            "K01 another role without the privilege gets no rows",
            "
            d: REVOKE ALL ON t FROM PUBLIC; GRANT SELECT ON t TO {alice}
            s1@{alice} hot: SELECT * FROM t ORDER BY id
            s2@{bob} fails: SELECT * FROM t ORDER BY id
            s1: SELECT * FROM t ORDER BY id
            ",
        ),
        (
            "K02 another database has other rows",
            "
            d/{db2}: UPDATE t SET v = 'other'
            s1 hot: SELECT * FROM t ORDER BY id
            s2/{db2}: SELECT * FROM t ORDER BY id
            s2 hot: SELECT * FROM t ORDER BY id
            s1: SELECT * FROM t ORDER BY id
            ",
        ),
        (
            "K05 parameters keep their borders",
            "
            s1 warm ext: SELECT $1::text AS x, $2::text AS y, v FROM t WHERE id = 1 <- ab, c
            s1 ext: SELECT $1::text AS x, $2::text AS y, v FROM t WHERE id = 1 <- a, bc
            s1 ext: SELECT $1::text AS x, $2::text AS y, v FROM t WHERE id = 1 <- , abc
            ",
        ),
        (
            "K07 another search_path names another table",
            "
            d: CREATE SCHEMA a; CREATE SCHEMA b; CREATE TABLE a.s AS SELECT 'in a' AS v; CREATE TABLE b.s AS SELECT 'in b' AS v
            s1: SET search_path = a
            s1 hot: SELECT * FROM s
            s1: SET search_path = b
            s1: SELECT * FROM s
            s2: SET search_path = a, b
            s2: SELECT * FROM s
            s2: SET search_path = b, a
            s2: SELECT * FROM s
            s3 fails: SELECT * FROM s
            ",
        ),
        (
            "K01 another login under the same role",
            "
            d: GRANT {alice} TO {bob}
            s1@{alice} hot: SELECT session_user, current_user, v FROM t WHERE id = 1
            s2@{bob}: SET ROLE {alice}
            s2@{bob}: SELECT session_user, current_user, v FROM t WHERE id = 1
            s2@{bob} hot: SELECT session_user, current_user, v FROM t WHERE id = 1
            s1@{alice}: SELECT session_user, current_user, v FROM t WHERE id = 1
            ",
        ),
        (
            "K07 another search_path names another type",
            "
            d: CREATE SCHEMA a; CREATE SCHEMA b; CREATE DOMAIN a.shape AS int; CREATE DOMAIN b.shape AS text
            s1: SET search_path = a, public
            s1 warm: SELECT '5'::shape AS x, v FROM t WHERE id = 1
            s1: SET search_path = b, public
            s1: SELECT '5'::shape AS x, v FROM t WHERE id = 1
            s1: SET search_path = public
            s1 fails: SELECT '5'::shape AS x, v FROM t WHERE id = 1
            ",
        ),
        (
            "K08 $user in the path follows the role",
            "
            d: CREATE SCHEMA {alice} AUTHORIZATION {alice}; CREATE SCHEMA {bob} AUTHORIZATION {bob}
            d: CREATE TABLE {alice}.s AS SELECT 'alice' AS v; CREATE TABLE {bob}.s AS SELECT 'bob' AS v
            d: GRANT SELECT ON {alice}.s TO {alice}; GRANT SELECT ON {bob}.s TO {bob}
            s1: SET search_path = \"$user\", public
            s1: SET ROLE {alice}
            s1 warm: SELECT * FROM s
            s1: SET ROLE {bob}
            s1: SELECT * FROM s
            s1: RESET ROLE
            s1 fails: SELECT * FROM s
            ",
        ),
        (
            "K08 paths that mean the same until the role is another",
            "
            d: CREATE SCHEMA {bob} AUTHORIZATION {bob}; CREATE TABLE {bob}.s AS SELECT 'bob' AS v; CREATE TABLE s AS SELECT 'public' AS v
            d: GRANT SELECT ON {bob}.s, s TO {bob}
            s1: SET search_path = public
            s1 warm: SELECT * FROM s
            s2: SET search_path = \"$user\", public
            s2 warm: SELECT * FROM s
            s1: SET ROLE {bob}
            s1 warm: SELECT * FROM s
            s2: SET ROLE {bob}
            s2: SELECT * FROM s
            ",
        ),
        (
            "K08 paths that mean the same until a schema is made",
            "
            d: CREATE SCHEMA a; CREATE TABLE a.s AS SELECT 'in a' AS v
            s1: SET search_path = a
            s1 warm: SELECT * FROM s
            s2: SET search_path = b, a
            s2 warm: SELECT * FROM s
            s3: CREATE SCHEMA b
            s3: CREATE TABLE b.s AS SELECT 'in b' AS v
            s1 warm: SELECT * FROM s
            s2: SELECT * FROM s
            ",
        ),
        (
            "K09 settings changed from within a SELECT",
            "
            d: CREATE SCHEMA b; CREATE TABLE b.t AS SELECT 9 AS id, 'in b' AS v
            s1 hot: SELECT * FROM t ORDER BY id
            s1: SELECT set_config('search_path', 'b', false)
            s1: SELECT * FROM t ORDER BY id
            ",
        ),
        (
            "K09 settings changed from within a function",
            "
            d: CREATE SCHEMA b; CREATE TABLE b.t AS SELECT 9 AS id, 'in b' AS v
            d: CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$ BEGIN PERFORM set_config('search_path', 'b', false); END $$
            s1 hot: SELECT * FROM t ORDER BY id
            s1: SELECT f()
            s1: SELECT * FROM t ORDER BY id
            s1: DO $$ BEGIN SET search_path = public; END $$
            s1: SELECT * FROM t ORDER BY id
            ",
        ),
        (
            "K09 settings changed in the same string as a read",
            "
            d: CREATE SCHEMA b; CREATE TABLE b.t AS SELECT 9 AS id, 'in b' AS v
            s1 hot: SELECT * FROM t ORDER BY id
            s1 simple: SET search_path = b; SELECT * FROM t ORDER BY id
            s1: SELECT * FROM t ORDER BY id
            ",
        ),
        (
            "K10 options of the login",
            "
            d: CREATE SCHEMA b; CREATE TABLE b.t AS SELECT 9 AS id, 'in b' AS v
            s1 hot: SELECT * FROM t ORDER BY id
            s2 startup: options=-c search_path=b
            s2: SELECT * FROM t ORDER BY id
            s3 startup: search_path=b, public
            s3: SELECT * FROM t ORDER BY id
            ",
        ),
        (
            "K10 settings of the role and of the database",
            "
            s1@{alice} hot: SELECT at FROM e
            s2: ALTER ROLE {alice} SET timezone = 'Asia/Tokyo'
            s3@{alice}: SELECT at FROM e
            s1: SELECT at FROM e
            s2: ALTER DATABASE {db} SET timezone = 'America/New_York'
            s4@{alice}: SELECT at FROM e
            s5: SELECT at FROM e
            ",
        ),
        (
            "K10 a reset returns to the settings of its own login",
            "
            d: CREATE SCHEMA b; CREATE TABLE b.s AS SELECT 'in b' AS v; CREATE TABLE s AS SELECT 'public' AS v
            d: GRANT USAGE ON SCHEMA b TO PUBLIC; GRANT SELECT ON s, b.s TO PUBLIC
            s1@{alice} warm: SELECT * FROM s
            s2: ALTER ROLE {alice} SET search_path = b
            s3@{alice} warm: SELECT * FROM s
            s1: SELECT * FROM s
            s1: SET search_path = public
            s3: SET search_path = public
            s1 warm: SELECT * FROM s
            s3: SELECT * FROM s
            s1: RESET search_path
            s1 warm: SELECT * FROM s
            s3: RESET search_path
            s3: SELECT * FROM s
            s3: DISCARD ALL
            s3: SELECT * FROM s
            s1: DISCARD ALL
            s1: SELECT * FROM s
            ",
        ),
    ]);
}

#[test]
fn replies_are_told_apart_by_settings() {
    check(&[
        (
            "K11 TimeZone changes how rows look and which there are",
            "
            s1: SET timezone = 'UTC'
            s1 warm: SELECT at FROM e
            s1 warm: SELECT date_trunc('day', at) FROM e
            s1 warm: SELECT at::date FROM e
            s1 warm: SELECT id FROM e WHERE at >= '2024-01-02'
            s2: SET timezone = 'Asia/Tokyo'
            s2: SELECT at FROM e
            s2: SELECT date_trunc('day', at) FROM e
            s2: SELECT at::date FROM e
            s2: SELECT id FROM e WHERE at >= '2024-01-02'
            s1: SELECT at FROM e
            ",
        ),
        (
            "K12 DateStyle and IntervalStyle",
            "
            s1 warm: SELECT d, i FROM e
            s1 warm: SELECT id FROM e WHERE d = '02/01/2024'
            s1: SET datestyle = 'German'
            s1: SELECT d, i FROM e
            s1: SET intervalstyle = 'iso_8601'
            s1: SELECT d, i FROM e
            s1: SET datestyle = 'ISO, DMY'
            s1: SELECT id FROM e WHERE d = '02/01/2024'
            ",
        ),
        (
            "K13 client_encoding",
            "
            d: INSERT INTO t VALUES (3, 'é'), (4, '€')
            s1 hot: SELECT v FROM t WHERE id = 3
            s1 hot: SELECT v FROM t WHERE id = 4
            s2: SET client_encoding = 'LATIN1'
            s2: SELECT v FROM t WHERE id = 3
            s2 fails: SELECT v FROM t WHERE id = 4
            ",
        ),
        (
            "K13 names in another encoding",
            "
            d: CREATE TABLE \"ö\" (id int PRIMARY KEY, v text); INSERT INTO \"ö\" VALUES (1, 'a')
            d: CREATE TABLE \"Ã¶\" (id int PRIMARY KEY, v text); INSERT INTO \"Ã¶\" VALUES (1, 'a')
            s1 hot: SELECT v FROM \"Ã¶\"
            s2: SET client_encoding = 'LATIN1'
            s2: UPDATE \"ö\" SET v = 'b'
            s1: SELECT v FROM \"Ã¶\"
            s2: UPDATE t SET v = 'ö' WHERE id = 1
            s1 hot: SELECT v FROM \"ö\"
            ",
        ),
        (
            "K14 settings that shape output",
            "
            d: CREATE TABLE o AS SELECT '\\x00ff'::bytea AS b, 0.1::float8 + 0.2 AS f, 12.5::money AS m
            s1 warm: SELECT b, f, m FROM o
            s1: SET bytea_output = 'escape'
            s1: SELECT b, f, m FROM o
            s1: SET extra_float_digits = 0
            s1: SELECT b, f, m FROM o
            s1: RESET ALL
            s1: SELECT b, f, m FROM o
            ",
        ),
        (
            "K15 settings that choose rows",
            "
            d: CREATE TABLE x AS SELECT 'The running cats'::text AS body
            s1: SET default_text_search_config = 'english'
            s1 warm: SELECT count(*) FROM x WHERE to_tsvector(body) @@ to_tsquery('run')
            s1: SET default_text_search_config = 'simple'
            s1: SELECT count(*) FROM x WHERE to_tsvector(body) @@ to_tsquery('run')
            s1 warm: SELECT count(*) FROM t WHERE v = NULL
            s1: SET transform_null_equals = on
            d2: INSERT INTO t VALUES (7, NULL)
            s1: SELECT count(*) FROM t WHERE v = NULL
            ",
        ),
        (
            "K15 backslashes in literals",
            "
            s1 warm: SELECT id, 'a\\\\b' FROM t WHERE id = 1
            s1: SET standard_conforming_strings = off
            s1: SET escape_string_warning = off
            s1: SELECT id, 'a\\\\b' FROM t WHERE id = 1
            ",
        ),
        (
            "K15 settings of an extension that is not loaded yet",
            "
            d: CREATE EXTENSION pg_trgm; CREATE TABLE x AS SELECT 'word'::text AS w
            s1: SET pg_trgm.similarity_threshold = 0.9
            s1 warm: SELECT count(*) FROM x WHERE w % 'words'
            s2: SET pg_trgm.similarity_threshold = 0.1
            s2 warm: SELECT count(*) FROM x WHERE w % 'words'
            s1: RESET pg_trgm.similarity_threshold
            s1 warm: SELECT count(*) FROM x WHERE w % 'words'
            s1: SELECT set_config('pg_trgm.similarity_threshold', '0.95', false)
            s1: SELECT count(*) FROM x WHERE w % 'words'
            s3 startup: options=-c pg_trgm.similarity_threshold=0.95
            s3: SELECT count(*) FROM x WHERE w % 'words'
            ",
        ),
        (
            "K15 a setting that nobody knows parts what might depend on it",
            "
            s1: SET no.such = 'a'
            s1 hot: SELECT * FROM t ORDER BY id
            s1: SET no.such = 'b'
            s1: SELECT * FROM t ORDER BY id
            s1 hot: SELECT * FROM t ORDER BY id
            ",
        ),
        (
            "K16 settings of the application in a view",
            "
            d: CREATE VIEW mine AS SELECT * FROM t WHERE id = current_setting('app.tenant')::int
            s1: SET app.tenant = '1'
            s1 hot: SELECT * FROM mine
            s2: SET app.tenant = '2'
            s2: SELECT * FROM mine
            s2 hot: SELECT * FROM mine
            s1: SELECT * FROM mine
            s1 hot: SELECT * FROM t ORDER BY id
            s2 hot: SELECT * FROM t ORDER BY id
            s1: SELECT set_config('app.tenant', '2', false)
            s1: SELECT * FROM mine
            ",
        ),
        (
            "K16 settings of the application in a query",
            "
            s1: SET app.tenant = '1'
            s1 hot: SELECT * FROM t WHERE id = current_setting('app.tenant')::int
            s2: SET app.tenant = '2'
            s2: SELECT * FROM t WHERE id = current_setting('app.tenant')::int
            s1: SET app.tenant = '2'
            s1: SELECT * FROM t WHERE id = current_setting('app.tenant')::int
            s1: RESET app.tenant
            s1 fails: SELECT * FROM t WHERE id = current_setting('app.tenant')::int
            s3 cold: SELECT * FROM t WHERE id::text = current_setting('app.' || 'tenant', true)
            s3 cold: SELECT * FROM t WHERE v = current_setting('search_path')
            ",
        ),
        (
            "K16 settings that nobody but a query knows of",
            "
            s1 hot: SELECT id, nullif(current_setting('Response.Status', true), '') FROM t ORDER BY id
            s2 hot: SELECT id, nullif(current_setting('response.status', true), '') FROM t ORDER BY id
            s1 fails: SELECT id, current_setting('response.status') FROM t ORDER BY id
            s1 fails: SELECT id, current_setting('response.status', false) FROM t ORDER BY id
            s3@{alice} startup: response.status=3
            s3@{alice}: SELECT id, nullif(current_setting('response.status', true), '') FROM t ORDER BY id
            s6: ALTER ROLE {bob} SET \"response.status\" = '4'
            s6: ALTER DATABASE {db} SET \"response.status\" = '5'
            s4@{bob}: SELECT id, nullif(current_setting('response.status', true), '') FROM t ORDER BY id
            s5: SELECT id, nullif(current_setting('response.status', true), '') FROM t ORDER BY id
            s5 hot: SELECT id, current_setting('response.status') FROM t ORDER BY id
            s1: SELECT id, nullif(current_setting('response.status', true), '') FROM t ORDER BY id
            s5: RESET ALL
            s5: SELECT id, current_setting('response.status') FROM t ORDER BY id
            s1: SELECT set_config('response.status', '6', false)
            s1: SELECT id, nullif(current_setting('response.status', true), '') FROM t ORDER BY id
            s1 hot: SELECT id, nullif(current_setting('response.status', true), '') FROM t ORDER BY id
            s1: DISCARD ALL
            s1: SELECT id, nullif(current_setting('response.status', true), '') FROM t ORDER BY id
            s1: SELECT id, current_setting('response.status') FROM t ORDER BY id
            ",
        ),
        (
            "K16 settings that a library brings when it is loaded",
            "
            d: CREATE EXTENSION pg_trgm
            s1 cold: SELECT id, current_setting('pg_trgm.similarity_threshold', true) FROM t ORDER BY id
            s1 warm: SELECT id, similarity(v, 'one') FROM t ORDER BY id
            s1: SELECT id, current_setting('pg_trgm.similarity_threshold', true) FROM t ORDER BY id
            s2 cold: SELECT id, current_setting('plpgsql.variable_conflict', true) FROM t ORDER BY id
            ",
        ),
        (
            "K16 a function of the user in place of current_setting",
            "
            d: CREATE SCHEMA x; CREATE TABLE x.s AS SELECT 1 AS n; CREATE FUNCTION x.current_setting(text) RETURNS text STABLE LANGUAGE sql AS $$ SELECT n::text FROM x.s $$
            s1: SET search_path = x, public, pg_catalog
            s1 cold: SELECT id, current_setting('app.tenant') FROM t ORDER BY id
            s2: UPDATE x.s SET n = 2
            s1: SELECT id, current_setting('app.tenant') FROM t ORDER BY id
            ",
        ),
        (
            "K17 SET LOCAL and SET rolled back",
            "
            d: CREATE SCHEMA b; CREATE TABLE b.t AS SELECT 9 AS id, 'in b' AS v
            s1 hot: SELECT * FROM t ORDER BY id
            s1: BEGIN
            s1: SET LOCAL search_path = b
            s1: SELECT * FROM t ORDER BY id
            s1: ROLLBACK
            s1: SELECT * FROM t ORDER BY id
            s1: BEGIN
            s1: SET LOCAL search_path = b
            s1: COMMIT
            s1: SELECT * FROM t ORDER BY id
            s1: BEGIN
            s1: SET search_path = b
            s1: ROLLBACK
            s1: SELECT * FROM t ORDER BY id
            s1: BEGIN
            s1: SAVEPOINT s
            s1: SET search_path = b
            s1: ROLLBACK TO s
            s1: SELECT * FROM t ORDER BY id
            s1: COMMIT
            s1: SELECT * FROM t ORDER BY id
            s1: BEGIN
            s1: SET search_path = b
            s1: COMMIT
            s1: SELECT * FROM t ORDER BY id
            ",
        ),
        (
            "K18 RESET, SET TO DEFAULT and DISCARD return to the login",
            "
            d: CREATE SCHEMA b; CREATE TABLE b.t AS SELECT 9 AS id, 'in b' AS v
            s1 startup: search_path=b
            s1 warm: SELECT * FROM t ORDER BY id
            s1: SET search_path = public
            s1: SELECT * FROM t ORDER BY id
            s1: RESET search_path
            s1: SELECT * FROM t ORDER BY id
            s1: SET search_path = public
            s1: SET search_path TO DEFAULT
            s1: SELECT * FROM t ORDER BY id
            s1: SET search_path = public
            s1: DISCARD ALL
            s1: SELECT * FROM t ORDER BY id
            s1: SET search_path = public
            s1: RESET ALL
            s1: SELECT * FROM t ORDER BY id
            ",
        ),
        (
            "K18 a session that was reset hits again",
            "
            s1 hot: SELECT * FROM t ORDER BY id
            s1: SET timezone = 'Asia/Tokyo'
            s1: DISCARD ALL
            s1 hot: SELECT * FROM t ORDER BY id
            ",
        ),
        (
            "K18 what pools do between two clients",
            "
            s1 hot: SELECT * FROM t ORDER BY id
            s2: CREATE TABLE made (id int)
            s1 hot: SELECT * FROM t ORDER BY id
            s1: DISCARD ALL
            s1 hot: SELECT * FROM t ORDER BY id
            s1: RESET ALL
            s1 hot: SELECT * FROM t ORDER BY id
            s1: SET SESSION AUTHORIZATION DEFAULT
            s1 hot: SELECT * FROM t ORDER BY id
            s1 simple: SELECT pg_advisory_unlock_all(); CLOSE ALL; UNLISTEN *; RESET ALL
            s1 hot: SELECT * FROM t ORDER BY id
            s1: SET client_min_messages = warning
            s1 hot: SELECT * FROM t ORDER BY id
            s1: SET timezone = 'Asia/Tokyo'
            s1 hot: SELECT * FROM t ORDER BY id
            ",
        ),
    ]);
}

#[test]
fn replies_are_told_apart_by_text() {
    check(&[
        (
            "K20 comments and spaces inside literals are text",
            "
            s1 warm: SELECT id, '/*x*/' FROM t WHERE id = 1
            s1: SELECT id, '' FROM t WHERE id = 1
            s1 warm: SELECT id, ' a  b' FROM t WHERE id = 1
            s1: SELECT id, ' a b' FROM t WHERE id = 1
            s1 warm: SELECT id, 'it''s -- no' FROM t WHERE id = 1
            s1: SELECT id, 'it''s' FROM t WHERE id = 1
            s1 warm: SELECT id, $$ /* $$ FROM t WHERE id = 1
            s1: SELECT id, $$ */ $$ FROM t WHERE id = 1
            s1 warm: SELECT id, E'\\'--' FROM t WHERE id = 1
            s1 warm: SELECT id /* /* nested */ , 2 */ FROM t WHERE id = 1
            s1: SELECT id, 2 FROM t WHERE id = 1
            ",
        ),
        (
            "K20 tracing comments do not part what is the same",
            "
            s1 hot: SELECT * FROM t ORDER BY id /* trace 1 */
            s2 hot: SELECT * FROM t ORDER BY id /* trace 1 */
            ",
        ),
        (
            "K21 case counts in literals and quoted names",
            "
            d: CREATE TABLE \"T\" AS SELECT 'upper' AS v
            s1 hot: SELECT v FROM t WHERE v = 'a'
            s1: SELECT v FROM t WHERE v = 'A'
            s1: SELECT v FROM \"T\"
            s1: SELECT v FROM T ORDER BY id
            ",
        ),
        (
            "K22 literals are part of the question",
            "
            s1 hot: SELECT v FROM t WHERE id = 1
            s1: SELECT v FROM t WHERE id = 2
            s1: SELECT v FROM t WHERE id IN (1)
            s1: SELECT v FROM t WHERE id IN (1, 2) ORDER BY id
            s1: SELECT v FROM t ORDER BY id LIMIT 1
            s1: SELECT v FROM t ORDER BY id LIMIT 2
            s1: SELECT id, v FROM t ORDER BY 2 DESC
            s1: SELECT id, v FROM t ORDER BY 1
            s1 warm: SELECT id, 1 FROM t
            s1: SELECT id, 1.0 FROM t
            s1: SELECT id, '1' FROM t
            s1: SELECT id, -1 FROM t
            ",
        ),
        (
            "K23 a role made anew under its old name",
            "
            d: REVOKE ALL ON t FROM PUBLIC; GRANT SELECT ON t TO {alice}
            s1@{alice} hot: SELECT * FROM t ORDER BY id
            s1 close:
            s2: DROP OWNED BY {alice}
            s2: DROP ROLE {alice}
            s2: CREATE ROLE {alice} LOGIN
            s3@{alice} fails: SELECT * FROM t ORDER BY id
            ",
        ),
        (
            "K27 what does not matter does not part",
            "
            s1 hot: SELECT * FROM public.t ORDER BY id
            s2 startup: application_name=two
            s2 hot: SELECT * FROM public.t ORDER BY id
            ",
        ),
    ]);
}

/// One text, one value, and another meaning by the type that was declared.
#[test]
fn k05_declared_types_are_part_of_the_question() {
    const INT4: u32 = 23;
    const TEXT: u32 = 25;
    let postgres = Postgres::shared(Version::System);
    let database = postgres.database().unwrap();
    database.connect().unwrap().run(FIXTURE).unwrap();
    let pgmemo = Pgmemo::start(postgres, Store::Memory, &[]).unwrap();
    let mut client = pgmemo.connect(database.name()).unwrap();
    let mut direct = database.connect().unwrap();
    let before = pgmemo.metrics().unwrap();
    for _ in 0..3 {
        for declared in [INT4, TEXT] {
            let batch = Frontend::new()
                .parse("", "SELECT $1 AS x, v FROM t WHERE id = 1", &[declared])
                .bind_with("", "", &[], &[Some(b"1")], &[Format::Binary])
                .describe_portal("")
                .execute("", 0)
                .sync();
            let [said, meant] = [&mut client, &mut direct].map(|conn| {
                conn.send(batch.bytes()).unwrap();
                conn.read_until(b'Z').unwrap()
            });
            assert_eq!(said, meant, "{declared}");
        }
    }
    pgmemo.expect_hits_since(&before, 2.0).unwrap();
}
