//! What fails as a whole has written nothing, though there be no bound of what it might have.

use anyhow::Result;
use pgmemo_tests::wire::Frontend;

use super::{
    check, check_instances,
    pair::{warm, with_sessions},
};

#[test]
fn what_fails_before_it_runs_leaves_replies_alone() {
    check(&[
        (
            "texts that cannot be read, or mean nothing",
            "
            s1 hot: SELECT v FROM t WHERE id = 1
            s2 fails: SELEC 1
            s1 still: SELECT v FROM t WHERE id = 1
            s2 fails: UPDATE nope SET v = 'x'
            s1 still: SELECT v FROM t WHERE id = 1
            s2 fails: CALL nope()
            s1 still: SELECT v FROM t WHERE id = 1
            s2 fails: SELECT nope(1)
            s1 still: SELECT v FROM t WHERE id = 1
            ",
        ),
        (
            "the same in a block",
            "
            s1 hot: SELECT v FROM t WHERE id = 1
            s1 hot: SELECT count(*) FROM log
            s2: BEGIN
            s2: INSERT INTO log VALUES (1, 'x')
            s2 fails: SELEC 1
            s1 still: SELECT v FROM t WHERE id = 1
            s1 still: SELECT count(*) FROM log
            s2: ROLLBACK
            s1 still: SELECT v FROM t WHERE id = 1
            s1 still: SELECT count(*) FROM log
            s2: BEGIN
            s2: INSERT INTO log VALUES (1, 'x')
            s2: SAVEPOINT a
            s2 fails: SELEC 1
            s2: ROLLBACK TO SAVEPOINT a
            s2: COMMIT
            s1 still: SELECT v FROM t WHERE id = 1
            s1: SELECT count(*) FROM log
            ",
        ),
    ]);
}

#[test]
fn definitions_that_fail_leave_replies_alone() {
    check(&[(
        "definitions",
        "
        s1 hot: SELECT v FROM t WHERE id = 1
        s2 fails: CREATE TABLE u (id int)
        s1 still: SELECT v FROM t WHERE id = 1
        s2 fails: ALTER TABLE u DROP COLUMN nope
        s1 still: SELECT v FROM t WHERE id = 1
        s2 fails: DROP TABLE t
        s1 still: SELECT v FROM t WHERE id = 1
        s2 fails: CREATE ROLE {alice}
        s1 still: SELECT v FROM t WHERE id = 1
        s2 fails: GRANT SELECT ON nope TO {alice}
        s1 still: SELECT v FROM t WHERE id = 1
        s2 fails: CREATE UNIQUE INDEX ON t ((1))
        s1 still: SELECT v FROM t WHERE id = 1
        ",
    )]);
}

#[test]
fn definitions_that_are_skipped_leave_replies_alone() {
    check(&[
        (
            "skipped definitions",
            "
            d: CREATE SCHEMA x; CREATE SEQUENCE s; CREATE INDEX by_v ON t (v)
            s1 hot: SELECT v FROM t WHERE id = 1
            s2: CREATE TABLE IF NOT EXISTS u (id int, a text, b text)
            s1 still: SELECT v FROM t WHERE id = 1
            s2: CREATE TABLE IF NOT EXISTS u AS SELECT 1 AS id
            s1 still: SELECT v FROM t WHERE id = 1
            s2: CREATE EXTENSION IF NOT EXISTS plpgsql
            s1 still: SELECT v FROM t WHERE id = 1
            s2: CREATE SCHEMA IF NOT EXISTS x
            s2: CREATE SEQUENCE IF NOT EXISTS public.s
            s2: CREATE INDEX IF NOT EXISTS by_v ON t (v)
            s1 still: SELECT v FROM t WHERE id = 1
            s2: DROP TABLE IF EXISTS nope
            s2: DROP TABLE IF EXISTS nowhere.nope CASCADE
            s2: DROP FUNCTION IF EXISTS nope(int, text)
            s2: DROP TRIGGER IF EXISTS nope ON t
            s2: DROP VIEW IF EXISTS nope
            s1 still: SELECT v FROM t WHERE id = 1
            ",
        ),
        (
            "an index that is skipped behind what it has computed",
            "
            d: CREATE FUNCTION w() RETURNS int LANGUAGE plpgsql AS $$ BEGIN UPDATE public.t SET v = 'w' WHERE id = 1; RETURN 1; END $$
            d: CREATE FUNCTION constant() RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN RETURN public.w(); END $$
            d: CREATE INDEX by_v ON t (v)
            s1 hot: SELECT v FROM t WHERE id = 1
            s2: CREATE INDEX IF NOT EXISTS by_v ON t ((id + constant()))
            s1: SELECT v FROM t WHERE id = 1
            ",
        ),
        (
            "an index that is skipped behind its condition",
            "
            d: CREATE FUNCTION w() RETURNS int LANGUAGE plpgsql AS $$ BEGIN UPDATE public.t SET v = 'w' WHERE id = 1; RETURN 1; END $$
            d: CREATE FUNCTION constant() RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN RETURN public.w(); END $$
            d: CREATE INDEX by_v ON t (v)
            s1 hot: SELECT v FROM t WHERE id = 1
            s2: CREATE INDEX IF NOT EXISTS by_v ON t (v) WHERE id = constant()
            s1: SELECT v FROM t WHERE id = 1
            ",
        ),
        (
            "definitions that are not skipped",
            "
            d: CREATE TABLE w AS SELECT 1 AS id
            s1 hot: SELECT v FROM t WHERE id = 1
            s1 hot: SELECT id FROM w
            s2: CREATE TABLE IF NOT EXISTS new (id int)
            s1 fails: SELECT nope FROM new
            s1 hot: SELECT id FROM w
            s2: DROP TABLE IF EXISTS nope, w
            s1 fails: SELECT id FROM w
            s2: BEGIN
            s2: CREATE TABLE IF NOT EXISTS t (id int)
            s2: CREATE TABLE w AS SELECT 2 AS id
            s2: COMMIT
            s1: SELECT id FROM w
            s1 hot: SELECT id FROM w
            s2 simple: CREATE TABLE IF NOT EXISTS t (id int); UPDATE w SET id = 3
            s1: SELECT id FROM w
            ",
        ),
        (
            "what fires on definitions that are skipped",
            "
            d: CREATE TABLE w AS SELECT 0 AS n
            d: CREATE FUNCTION count_up() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN UPDATE public.w SET n = n + 1; END $$
            s1 hot: SELECT n FROM w
            s2: CREATE EVENT TRIGGER counts ON ddl_command_end EXECUTE FUNCTION count_up()
            s2: CREATE TABLE IF NOT EXISTS t (id int)
            s1: SELECT n FROM w
            s1 hot: SELECT n FROM w
            s2: CREATE TABLE IF NOT EXISTS t (id int)
            s1: SELECT n FROM w
            s2: DROP EVENT TRIGGER counts
            ",
        ),
    ]);
    check_instances(&[(
        "what fires on definitions, and was made through another instance",
        "
        d: CREATE TABLE w AS SELECT 0 AS n
        d: CREATE FUNCTION count_up() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN UPDATE public.w SET n = n + 1; END $$
        s1 hot: SELECT n FROM w
        p2s: CREATE EVENT TRIGGER counts ON ddl_command_end EXECUTE FUNCTION count_up()
        p2r hot: SELECT n FROM w
        s2: CREATE TABLE IF NOT EXISTS t (id int)
        p2r: SELECT n FROM w
        s1: SELECT n FROM w
        p2s: DROP EVENT TRIGGER counts
        ",
    )]);
}

#[test]
fn what_has_committed_on_the_way_is_told() {
    check(&[
        (
            "code that commits and fails",
            "
            d: CREATE PROCEDURE half(x text) LANGUAGE plpgsql AS $$ BEGIN UPDATE t SET v = x WHERE id = 1; COMMIT; PERFORM 1 / 0; END $$
            d: CREATE PROCEDURE bad(x text) LANGUAGE plpgsql AS $$ BEGIN UPDATE t SET v = x WHERE id = 1; COMMIT; EXECUTE 'SELEC 1'; END $$
            d: CREATE PROCEDURE lost(x text) LANGUAGE plpgsql AS $$ BEGIN UPDATE t SET v = x WHERE id = 1; COMMIT; PERFORM nope(1); END $$
            s1 hot: SELECT v FROM t WHERE id = 1
            s2 fails: CALL half('b')
            s1: SELECT v FROM t WHERE id = 1
            s1 hot: SELECT v FROM t WHERE id = 1
            s2 fails: CALL bad('c')
            s1: SELECT v FROM t WHERE id = 1
            s1 hot: SELECT v FROM t WHERE id = 1
            s2 fails: CALL lost('d')
            s1: SELECT v FROM t WHERE id = 1
            s1 hot: SELECT v FROM t WHERE id = 1
            s2 fails: DO $$ BEGIN UPDATE t SET v = 'e' WHERE id = 1; COMMIT; EXECUTE 'DO $x$ BEGIN nonsense $x$'; END $$
            s1: SELECT v FROM t WHERE id = 1
            ",
        ),
        (
            "a string whose beginning has committed",
            "
            s1 hot: SELECT v FROM t WHERE id = 1
            s2 simple fails: BEGIN; UPDATE t SET v = 'b' WHERE id = 1; COMMIT; UPDATE nope SET v = 'x'
            s1: SELECT v FROM t WHERE id = 1
            s1 hot: SELECT v FROM t WHERE id = 1
            s2 simple fails: UPDATE t SET v = 'c' WHERE id = 1; COMMIT; DROP TABLE nope
            s1: SELECT v FROM t WHERE id = 1
            ",
        ),
    ]);
}

/// What was run in front of a text that is refused may have committed by itself.
#[test]
fn a_text_that_is_refused_in_a_pipeline_takes_back_no_commit() -> Result<()> {
    with_sessions(|pgmemo, reader, writer| {
        const READ: &str = "SELECT v FROM t WHERE id = 1";
        let first = |text| {
            Frontend::new()
                .parse("", text, &[])
                .bind("", "", &[])
                .execute("", 0)
        };
        assert_eq!(warm(pgmemo, reader, READ)?, "a");
        let commits = "DO $$ BEGIN UPDATE t SET v = 'b' WHERE id = 1; COMMIT; END $$";
        let refused = first(commits).parse("", "SELEC 1", &[]).sync();
        writer.send(refused.bytes())?;
        writer.read_until(b'Z')?;
        assert_eq!(reader.value(READ)?, "b");
        assert_eq!(warm(pgmemo, reader, READ)?, "b");
        let undone = "UPDATE t SET v = 'c' WHERE id = 1";
        let refused = first(undone).parse("", "SELEC 1", &[]).sync();
        writer.send(refused.bytes())?;
        writer.read_until(b'Z')?;
        assert_eq!(reader.value(READ)?, "b");
        Ok(())
    })
}
