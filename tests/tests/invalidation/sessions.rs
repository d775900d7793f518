//! K, C, T: what a session has set, opened or begun decides what it reads and what it writes.

use pgmemo_tests::Version;

use super::{check, check_on};

#[test]
fn what_functions_set_is_part_of_the_session() {
    check(&[
        (
            "K09 set_limit of pg_trgm is a setting",
            "
            d: CREATE EXTENSION pg_trgm; CREATE TABLE x AS SELECT 'word'::text AS w
            s1 warm: SELECT count(*) FROM x WHERE w % 'words'
            s1: SELECT set_limit(0.9)
            s1: SELECT count(*) FROM x WHERE w % 'words'
            s1: SELECT count(*) FROM x WHERE w % 'words'
            s2: SELECT count(*) FROM x WHERE w % 'words'
            s2: SELECT count(*) FROM x WHERE w % 'words'
            ",
        ),
        (
            "K09 set_limit inside a function",
            "
            d: CREATE EXTENSION pg_trgm; CREATE TABLE x AS SELECT 'word'::text AS w
            d: CREATE FUNCTION strict() RETURNS void LANGUAGE plpgsql AS $$ BEGIN PERFORM set_limit(0.9); END $$
            s1 warm: SELECT count(*) FROM x WHERE w % 'words'
            s1: SELECT strict()
            s1: SELECT count(*) FROM x WHERE w % 'words'
            s2: SELECT count(*) FROM x WHERE w % 'words'
            ",
        ),
    ]);
}

#[test]
fn what_no_setting_shows_is_not_shared() {
    check(&[(
        "K09 the weak mode of isn",
        "
        d: CREATE EXTENSION isn; CREATE TABLE books (isbn isbn13, title text); INSERT INTO books VALUES ('978-0-393-04002-9', 'one')
        s1: SELECT isn_weak(true)
        s1 warm: SELECT title FROM books WHERE isbn <> '978-0-393-04002-8'
        s2 fails: SELECT title FROM books WHERE isbn <> '978-0-393-04002-8'
        ",
    )]);
}

#[test]
fn code_at_logins_sets_what_logins_do_not_show() {
    check_on(
        Version::V18,
        &[(
            "K10 a login trigger that reads a table",
            "
            d: CREATE TABLE who_is (who name, tenant text); INSERT INTO who_is VALUES ('{alice}', '1')
            d: CREATE FUNCTION hello() RETURNS event_trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS $$ BEGIN PERFORM set_config('app.tenant', coalesce((SELECT tenant FROM who_is WHERE who = session_user), '0'), false); END $$
            d: CREATE EVENT TRIGGER hello ON login EXECUTE FUNCTION hello()
            d: ALTER TABLE t ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON t USING (id = current_setting('app.tenant')::int)
            s0@{alice} hot: SELECT * FROM t ORDER BY id
            s1@{alice} hot: SELECT * FROM t ORDER BY id
            s3: UPDATE who_is SET tenant = '2'
            s2@{alice}: SELECT * FROM t ORDER BY id
            s2 hot: SELECT * FROM t ORDER BY id
            ",
        )],
    );
}

#[test]
fn cursors_of_words_nobody_reads_are_writes() {
    check(&[(
        "C12 a cursor that is declared with words nobody reads",
        "
        d: CREATE FUNCTION put(int, text) RETURNS int LANGUAGE sql AS $$ INSERT INTO log VALUES ($1, $2) RETURNING n $$
        s2: SET standard_conforming_strings = off
        s2: SET escape_string_warning = off
        s1 hot: SELECT * FROM log ORDER BY n
        s2: DECLARE c CURSOR WITH HOLD FOR SELECT put(id, 'a\\\\b') FROM t
        s1: SELECT * FROM log ORDER BY n
        s1 hot: SELECT * FROM log ORDER BY n
        s2: BEGIN
        s2: DECLARE e CURSOR FOR SELECT put(id + 10, 'a\\\\b') FROM t
        s2: FETCH ALL FROM e
        s2: COMMIT
        s1: SELECT * FROM log ORDER BY n
        ",
    )]);
}

#[test]
fn snapshots_that_wait_to_be_safe_are_kept_to() {
    check(&[(
        "T03 READ ONLY DEFERRABLE",
        "
        s1 hot: SELECT * FROM t ORDER BY id
        s1: BEGIN ISOLATION LEVEL SERIALIZABLE, READ ONLY, DEFERRABLE
        s1: SELECT * FROM u ORDER BY id
        s2: UPDATE t SET v = 'later'
        s2 hot: SELECT * FROM t ORDER BY id
        s1: SELECT * FROM t ORDER BY id
        s1: COMMIT
        s1: SELECT * FROM t ORDER BY id
        ",
    )]);
}
