//! What fails as a whole has written nothing, though there be no bound of what it might have.

use anyhow::Result;
use pgmemo_tests::wire::Frontend;

use super::{
    check,
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
