//! Settings, roles and paths that hold for a transaction, as PostgREST, Supabase, Django and others
//! set them for each request.

use super::check;

/// A server hears of other definitions when a transaction begins and when it locks a relation.
#[test]
fn code_that_was_replaced_runs_on_in_a_block() {
    check(&[
        (
            "C12 a procedure runs as it was when the block began",
            "
            d: CREATE PROCEDURE p(int) LANGUAGE plpgsql AS $$ BEGIN UPDATE u SET w = 'old' WHERE id = $1; END $$
            s1: CALL p(0)
            s2 hot: SELECT * FROM u ORDER BY id
            s1: BEGIN
            s1: SELECT pg_sleep(0)
            s3: CREATE OR REPLACE PROCEDURE p(int) LANGUAGE plpgsql AS $$ BEGIN INSERT INTO log VALUES ($1, 'new'); END $$
            s2 hot: SELECT * FROM u ORDER BY id
            s1: CALL p(1)
            s1: COMMIT
            s2: SELECT * FROM u ORDER BY id
            ",
        ),
        (
            "C12 so does a function, whose block sees what it has done",
            "
            d: CREATE FUNCTION f(int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN UPDATE u SET w = 'old' WHERE id = $1; RETURN 1; END $$
            s1: SELECT f(0)
            s2 hot: SELECT * FROM u ORDER BY id
            s1: BEGIN
            s1: SELECT pg_sleep(0)
            s3: CREATE OR REPLACE FUNCTION f(int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN INSERT INTO log VALUES ($1, 'new'); RETURN 2; END $$
            s2 hot: SELECT * FROM u ORDER BY id
            s1: SELECT f(2)
            s1: SELECT * FROM u ORDER BY id
            s1: COMMIT
            s2: SELECT * FROM u ORDER BY id
            ",
        ),
    ]);
}

#[test]
fn a_setting_in_a_block_gives_up_nothing() {
    check(&[
        (
            "C12 settings of a request leave replies alone",
            "
            d: CREATE SCHEMA b; GRANT USAGE ON SCHEMA b TO PUBLIC
            s2 hot: SELECT * FROM t ORDER BY id
            s1: BEGIN
            s1: SELECT set_config('app.x', '1', true)
            s1: SELECT * FROM u ORDER BY id
            s1: COMMIT
            s2 still: SELECT * FROM t ORDER BY id
            s1: BEGIN
            s1: SET LOCAL ROLE {alice}
            s1: SET LOCAL search_path = b, public
            s1: SELECT count(*) FROM t
            s1: SET LOCAL TimeZone = 'Asia/Tokyo'
            s1: SELECT count(*) FROM u
            s1: COMMIT
            s2 still: SELECT * FROM t ORDER BY id
            s1: BEGIN
            s1: SET SESSION AUTHORIZATION {alice}
            s1: SELECT count(*) FROM u
            s1: ROLLBACK
            s2 still: SELECT * FROM t ORDER BY id
            ",
        ),
        (
            "C03 a write under a path of the block finds its table",
            "
            d: CREATE SCHEMA b; CREATE TABLE b.t AS SELECT 9 AS id, 'in b' AS v; GRANT ALL ON b.t TO PUBLIC; GRANT USAGE ON SCHEMA b TO PUBLIC
            s2 hot: SELECT * FROM t ORDER BY id
            s2 hot: SELECT * FROM b.t ORDER BY id
            s2 hot: SELECT * FROM u ORDER BY id
            s1: BEGIN
            s1: SELECT set_config('search_path', 'b', true)
            s1: UPDATE t SET v = 'new'
            s1: COMMIT
            s2: SELECT * FROM b.t ORDER BY id
            s2: SELECT * FROM t ORDER BY id
            s2 hot: SELECT * FROM t ORDER BY id
            s1: BEGIN
            s1: SET LOCAL search_path = b
            s1: SET LOCAL search_path = public
            s1: UPDATE t SET v = 'newer'
            s1: COMMIT
            s2: SELECT * FROM t ORDER BY id
            s2: SELECT * FROM b.t ORDER BY id
            ",
        ),
        (
            "C03 a write under a path of the block leaves others alone",
            "
            s2 hot: SELECT * FROM e ORDER BY id
            s1: BEGIN
            s1: SELECT set_config('app.x', '1', true)
            s1: UPDATE u SET w = 'new'
            s1: COMMIT
            s2 still: SELECT * FROM e ORDER BY id
            s2: SELECT * FROM u ORDER BY id
            ",
        ),
    ]);
}

/// A table of which everybody sees the row that his claims name.
const OWN: &str = "d: ALTER TABLE t ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON t USING (id::text = (nullif(current_setting('request.jwt.claims', true), '')::json ->> 'sub'))";

#[test]
fn a_request_has_a_role_and_claims_of_its_own() {
    let begin = |user: &str, who: &str, claims: &str, headers: &str| {
        format!(
            "{user}: BEGIN
            {user}: SELECT set_config('search_path', 'public', true), set_config('role', '{who}', true), set_config('request.jwt.claims', '{{\"sub\":\"{claims}\"}}', true) AS claims, set_config('request.headers', '{headers}', true)"
        )
    };
    let alice = |claims, headers| begin("s1", "{alice}", claims, headers);
    let bob = |claims, headers| begin("s2", "{bob}", claims, headers);
    let script = format!(
        "
        {OWN}
        {}
        s1: SELECT * FROM t ORDER BY id
        s1: COMMIT
        {}
        s1 still: SELECT * FROM t ORDER BY id
        s1: COMMIT
        {}
        s1: SELECT * FROM t ORDER BY id
        s1: ROLLBACK
        {}
        s1 still: SELECT * FROM t ORDER BY id
        s1: COMMIT
        {}
        s2: SELECT * FROM t ORDER BY id
        s2: COMMIT
        {}
        s2 still: SELECT * FROM t ORDER BY id
        s2: COMMIT
        s1 hot: SELECT * FROM t ORDER BY id
        s3: UPDATE t SET v = 'new' WHERE id = 1
        {}
        s1: SELECT * FROM t ORDER BY id
        s1: COMMIT
        {}
        s1 still: SELECT * FROM t ORDER BY id
        s1: COMMIT
        s3: DROP POLICY own ON t
        {}
        s1: SELECT * FROM t ORDER BY id
        s1: COMMIT
        s1: SELECT * FROM t ORDER BY id
        ",
        alice("1", "a"),
        alice("1", "b"),
        alice("2", "c"),
        alice("2", "d"),
        bob("2", "e"),
        bob("2", "f"),
        alice("1", "g"),
        alice("1", "h"),
        alice("1", "i"),
    );
    let bound = format!(
        "
        {OWN}
        s1: BEGIN
        s1: SET LOCAL ROLE {{alice}}
        s1 ext: SELECT set_config('request.jwt.claims', $1, true) <- {{\"sub\":\"1\"}}
        s1: SELECT * FROM t ORDER BY id
        s1: COMMIT
        s1: BEGIN
        s1: SET LOCAL ROLE {{alice}}
        s1 ext: SELECT set_config('request.jwt.claims', $1, true) <- {{\"sub\":\"1\"}}
        s1 still: SELECT * FROM t ORDER BY id
        s1: COMMIT
        s1: BEGIN
        s1: SET LOCAL ROLE {{alice}}
        s1 ext: SELECT set_config('request.jwt.claims', $1, true) <- {{\"sub\":\"2\"}}
        s1: SELECT * FROM t ORDER BY id
        s1: COMMIT
        s1: SELECT * FROM t ORDER BY id
        "
    );
    check(&[
        ("S04 set_config as PostgREST calls it", script.leak()),
        ("S04 set_config with values that are bound", bound.leak()),
        (
            "S04 SET LOCAL",
            "
            d: ALTER TABLE t ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON t USING (id = nullif(current_setting('app.tenant'), '')::int)
            s1: BEGIN
            s1: SET LOCAL ROLE {alice}
            s1: SET LOCAL app.tenant = 1
            s1: SELECT * FROM t ORDER BY id
            s1: COMMIT
            s1: BEGIN
            s1: SET LOCAL ROLE {alice}
            s1: SET LOCAL app.tenant = '1'
            s1 still: SELECT * FROM t ORDER BY id
            s1: SET LOCAL app.tenant = '2'
            s1: SELECT * FROM t ORDER BY id
            s1: SET LOCAL ROLE NONE
            s1: SELECT * FROM t ORDER BY id
            s1: COMMIT AND CHAIN
            s1: SET LOCAL ROLE {alice}
            s1: SELECT * FROM t ORDER BY id
            s1: ROLLBACK
            s1: SELECT * FROM t ORDER BY id
            s1: SELECT current_user FROM t LIMIT 1
            s1: BEGIN
            s1: SET LOCAL ROLE {alice}
            s1: SELECT current_user FROM t LIMIT 1
            s1 simple: COMMIT; BEGIN
            s1: SELECT current_user FROM u LIMIT 1
            s1: COMMIT
            s1: SELECT current_user FROM u LIMIT 1
            ",
        ),
    ]);
}

#[test]
fn what_was_set_in_a_block_ends_with_it() {
    check(&[
        (
            "K17 output settings",
            "
            s1 hot: SELECT * FROM e ORDER BY id
            s1: BEGIN
            s1: SET LOCAL TIME ZONE 'Asia/Tokyo'
            s1: SELECT * FROM e ORDER BY id
            s1: COMMIT
            s1 still: SELECT * FROM e ORDER BY id
            s1: BEGIN
            s1: SET LOCAL TIME ZONE 'Asia/Tokyo'
            s1 still: SELECT * FROM e ORDER BY id
            s1: SET LOCAL DateStyle = 'SQL'
            s1: SELECT * FROM e ORDER BY id
            s1: SET LOCAL DateStyle = 'DMY'
            s1: SELECT * FROM e ORDER BY id
            s1: ROLLBACK
            s1 still: SELECT * FROM e ORDER BY id
            s1: BEGIN
            s1: SET TIME ZONE 'Asia/Tokyo'
            s1 still: SELECT * FROM e ORDER BY id
            s1: COMMIT
            s1: SELECT * FROM e ORDER BY id
            ",
        ),
        (
            "K17 paths",
            "
            d: CREATE SCHEMA b; CREATE TABLE b.t AS SELECT 9 AS id, 'in b' AS v
            s1 hot: SELECT * FROM t ORDER BY id
            s1: BEGIN
            s1: SET LOCAL search_path = b, public
            s1: SELECT * FROM t ORDER BY id
            s1: COMMIT
            s1: BEGIN
            s1: SELECT set_config('search_path', 'B, public', true)
            s1 still: SELECT * FROM t ORDER BY id
            s1: UPDATE t SET v = 'other'
            s1: COMMIT
            s1 still: SELECT * FROM t ORDER BY id
            s1: BEGIN
            s1: SET LOCAL search_path = b, public
            s1: SELECT * FROM t ORDER BY id
            s1: COMMIT
            ",
        ),
        (
            "K17 savepoints",
            "
            d: CREATE SCHEMA b; CREATE TABLE b.t AS SELECT 9 AS id, 'in b' AS v
            s2 hot: SELECT * FROM t ORDER BY id
            s1: BEGIN
            s1: SAVEPOINT a
            s1: SET LOCAL search_path = b
            s1: SELECT * FROM t ORDER BY id
            s1: RELEASE a
            s1: SELECT * FROM t ORDER BY id
            s1: SAVEPOINT c
            s1: SET LOCAL search_path = public
            s1: SELECT * FROM t ORDER BY id
            s1: ROLLBACK TO c
            s1: SELECT * FROM t ORDER BY id
            s1: UPDATE t SET v = 'changed'
            s1: COMMIT
            s2: SELECT * FROM b.t ORDER BY id
            s2: SELECT * FROM t ORDER BY id
            s1: SELECT * FROM t ORDER BY id
            s1: BEGIN
            s1: SAVEPOINT a
            s1 fails: SET LOCAL ROLE nobody_at_all
            s1: ROLLBACK TO a
            s1: SELECT current_user FROM t LIMIT 1
            s1: COMMIT
            s1: SELECT current_user FROM t LIMIT 1
            ",
        ),
        (
            "K17 a setting that has been set once is never NULL again",
            "
            d: CREATE VIEW seen AS SELECT id, current_setting('app.x', true) IS NULL AS never FROM t
            s1 hot: SELECT * FROM seen ORDER BY id
            s1: BEGIN
            s1: SET LOCAL app.x = '1'
            s1: SELECT * FROM seen ORDER BY id
            s1: COMMIT
            s1: SELECT * FROM seen ORDER BY id
            s2 still: SELECT * FROM seen ORDER BY id
            s1: SET TIME ZONE 'Asia/Tokyo'
            s1: SELECT * FROM seen ORDER BY id
            s2: SET TIME ZONE 'Asia/Tokyo'
            s2: SELECT * FROM seen ORDER BY id
            s3: BEGIN
            s3: SELECT set_config('app.x', '1', true)
            s3: ROLLBACK
            s3: SELECT * FROM seen ORDER BY id
            ",
        ),
        (
            "K17 a setting that only a statement reads is never NULL again either",
            "
            s1 hot: SELECT id, current_setting('app.y', true) IS NULL AS never FROM t ORDER BY id
            s2: BEGIN
            s2: SET LOCAL app.z = '1'
            s2: COMMIT
            s3: SELECT v FROM t ORDER BY id
            s1 hot: SELECT id, current_setting('app.z', true) IS NULL AS never FROM t ORDER BY id
            s2: SELECT id, current_setting('app.z', true) IS NULL AS never FROM t ORDER BY id
            s2 hot: SELECT id, current_setting('app.z', true) IS NULL AS never FROM t ORDER BY id
            s3 hot: SELECT id, current_setting('app.z', true) IS NULL AS never FROM t ORDER BY id
            s4: SELECT id, current_setting('app.z', true) IS NULL AS never FROM t ORDER BY id
            s1: BEGIN
            s1: SET LOCAL app.y = '1'
            s1: SELECT id, current_setting('app.y', true) FROM t ORDER BY id
            s1: COMMIT
            s1: SELECT id, current_setting('app.y', true) IS NULL AS never FROM t ORDER BY id
            s2: SELECT id, current_setting('app.y', true) IS NULL AS never FROM t ORDER BY id
            s3: BEGIN
            s3: SAVEPOINT a
            s3: SELECT set_config('app.y', '1', true)
            s3: ROLLBACK TO a
            s3: COMMIT
            s3: SELECT id, current_setting('app.y', true) IS NULL AS never FROM t ORDER BY id
            s4: DO $$ BEGIN PERFORM set_config('app.y', '7', true); END $$
            s4: SELECT id, current_setting('app.y', true) IS NULL AS never FROM t ORDER BY id
            ",
        ),
        (
            "S04 a setting that was refused has no value after the block",
            "
            d: ALTER TABLE t ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON t USING (current_setting('app.t', true) IS NULL OR v = current_setting('app.t', true))
            s1@{alice}: BEGIN
            s1 fails: SELECT 1 / 0
            s1 fails: SET LOCAL app.t = 'a'
            s1: ROLLBACK
            s1: SELECT * FROM t ORDER BY id
            s1: SELECT * FROM t ORDER BY id
            s2@{alice}: SET app.t = ''
            s2: SELECT * FROM t ORDER BY id
            s3@{alice}: BEGIN
            s3 fails: SELECT set_config('role', 'nobody_at_all', true), set_config('app.t', 'a', true)
            s3: ROLLBACK
            s3: SELECT * FROM t ORDER BY id
            s2: SELECT * FROM t ORDER BY id
            ",
        ),
    ]);
}
