//! T: transactions, and races between them.

use super::check;

#[test]
fn transactions_see_what_they_should() {
    check(&[
        (
            "T01 one's own writes",
            "
            s1 hot: SELECT * FROM t ORDER BY id
            s1: BEGIN
            s1: SELECT * FROM t ORDER BY id
            s1: UPDATE t SET v = 'own'
            s1: SELECT * FROM t ORDER BY id
            s1: COMMIT
            s1: SELECT * FROM t ORDER BY id
            ",
        ),
        (
            "T01 one's own writes by a trigger or a function",
            "
            d: CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO log VALUES (1, 'own'); RETURN NULL; END $$
            d: CREATE TRIGGER note AFTER UPDATE ON t EXECUTE FUNCTION note()
            d: CREATE FUNCTION act() RETURNS void LANGUAGE sql AS $$ UPDATE u SET w = 'own' $$
            s1 hot: SELECT * FROM log ORDER BY n
            s1 hot: SELECT * FROM u ORDER BY id
            s1: BEGIN
            s1: UPDATE t SET v = 'own'
            s1: SELECT * FROM log ORDER BY n
            s1: SELECT act()
            s1: SELECT * FROM u ORDER BY id
            s1: ROLLBACK
            s1: SELECT * FROM log ORDER BY n
            s1: SELECT * FROM u ORDER BY id
            ",
        ),
        (
            "T02 what is not committed stays unseen",
            "
            s2 hot: SELECT * FROM t ORDER BY id
            s1: BEGIN
            s1: UPDATE t SET v = 'dirty'
            s1: SELECT * FROM t ORDER BY id
            s2 warm: SELECT * FROM t ORDER BY id
            s1: ROLLBACK
            s2: SELECT * FROM t ORDER BY id
            s2 hot: SELECT * FROM t ORDER BY id
            ",
        ),
        (
            "T03 REPEATABLE READ keeps its snapshot",
            "
            s1 hot: SELECT * FROM t ORDER BY id
            s1: BEGIN ISOLATION LEVEL REPEATABLE READ
            s1: SELECT * FROM u ORDER BY id
            s2: UPDATE t SET v = 'later'
            s2 hot: SELECT * FROM t ORDER BY id
            s1: SELECT * FROM t ORDER BY id
            s1: COMMIT
            s1: SELECT * FROM t ORDER BY id
            ",
        ),
        (
            "T03 the same by default, by SET, and SERIALIZABLE",
            "
            s1: SET default_transaction_isolation = 'repeatable read'
            s1: BEGIN
            s1: SELECT * FROM u ORDER BY id
            s2: UPDATE t SET v = 'one'
            s2 hot: SELECT * FROM t ORDER BY id
            s1: SELECT * FROM t ORDER BY id
            s1: COMMIT
            s3: BEGIN
            s3: SET TRANSACTION ISOLATION LEVEL SERIALIZABLE
            s3: SELECT * FROM u ORDER BY id
            s2: UPDATE t SET v = 'two'
            s2 hot: SELECT * FROM t ORDER BY id
            s3: SELECT * FROM t ORDER BY id
            s3: COMMIT
            s4: SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL REPEATABLE READ
            s4: BEGIN
            s4: SELECT * FROM u ORDER BY id
            s2: UPDATE t SET v = 'three'
            s2 hot: SELECT * FROM t ORDER BY id
            s4: SELECT * FROM t ORDER BY id
            s4: COMMIT
            ",
        ),
        (
            "T03 a write skew that SERIALIZABLE forbids",
            "
            s1 hot: SELECT count(*) FROM t WHERE v = 'a'
            s1: BEGIN ISOLATION LEVEL SERIALIZABLE
            s2: BEGIN ISOLATION LEVEL SERIALIZABLE
            s1: SELECT count(*) FROM t WHERE v = 'a'
            s2: SELECT count(*) FROM t WHERE v = 'a'
            s1: UPDATE t SET v = 'a1' WHERE id = 1
            s2: UPDATE t SET v = 'a' WHERE id = 2
            s1: COMMIT
            s2 fails: COMMIT
            ",
        ),
        (
            "T04 a fill between the write and its COMMIT",
            "
            s1: BEGIN
            s1: UPDATE t SET v = 'after'
            s2 warm: SELECT * FROM t ORDER BY id
            s1: COMMIT
            s2: SELECT * FROM t ORDER BY id
            s2 hot: SELECT * FROM t ORDER BY id
            ",
        ),
        (
            "T05 a read in a transaction is not published late",
            "
            s1: BEGIN
            s1: SELECT * FROM t ORDER BY id
            s2: UPDATE t SET v = 'between'
            s1: COMMIT
            s3: SELECT * FROM t ORDER BY id
            s1: BEGIN ISOLATION LEVEL REPEATABLE READ
            s1: SELECT * FROM u ORDER BY id
            s2: UPDATE t SET v = 'again'
            s1: SELECT * FROM t ORDER BY id
            s1: COMMIT
            s3: SELECT * FROM t ORDER BY id
            ",
        ),
        (
            "T06 a slow read is overtaken by a write",
            "
            d: CREATE VIEW slow AS SELECT t.* FROM t, (SELECT pg_sleep(1)) s
            s1 send: SELECT t.* FROM t, (SELECT pg_sleep(1)) s ORDER BY id
            s2: UPDATE t SET v = 'overtaken'
            s1 wait:
            s3: SELECT t.* FROM t, (SELECT pg_sleep(1)) s ORDER BY id
            ",
        ),
        (
            "T06 a read that waits for a lock is overtaken",
            "
            s1: BEGIN
            s1: LOCK TABLE t IN ACCESS EXCLUSIVE MODE
            s2 send: SELECT * FROM t ORDER BY id
            s1: UPDATE t SET v = 'behind the lock'
            s1: COMMIT
            s2 wait:
            s3: SELECT * FROM t ORDER BY id
            s3 hot: SELECT * FROM t ORDER BY id
            ",
        ),
        (
            "T09 a COMMIT that did not commit",
            "
            s2 hot: SELECT * FROM t ORDER BY id
            s1: BEGIN
            s1: INSERT INTO t VALUES (3, 'lost')
            s1 fails: SELECT 1/0
            s1: COMMIT
            s2: SELECT * FROM t ORDER BY id
            ",
        ),
        (
            "T10 a block that goes on from a savepoint is as before",
            "
            s1: BEGIN
            s1: SAVEPOINT s
            s1 fails: SELECT 1/0
            s1: ROLLBACK TO s
            s1 hot: SELECT * FROM t ORDER BY id
            s2: UPDATE t SET v = 'new'
            s1: SELECT * FROM t ORDER BY id
            s1: COMMIT
            s1: BEGIN ISOLATION LEVEL REPEATABLE READ
            s1: SELECT * FROM u ORDER BY id
            s1: SAVEPOINT s
            s1 fails: SELECT 1/0
            s1: ROLLBACK TO s
            s2: UPDATE t SET v = 'newer'
            s1 cold: SELECT * FROM t ORDER BY id
            s1: COMMIT
            ",
        ),
        (
            "T10 savepoints",
            "
            s2 hot: SELECT * FROM t ORDER BY id
            s2 hot: SELECT * FROM u ORDER BY id
            s1: BEGIN
            s1: UPDATE t SET v = 'kept'
            s1: SAVEPOINT s
            s1: UPDATE u SET w = 'undone'
            s1: ROLLBACK TO s
            s1: COMMIT
            s2: SELECT * FROM t ORDER BY id
            s2: SELECT * FROM u ORDER BY id
            s2 hot: SELECT * FROM t ORDER BY id
            s1: BEGIN
            s1: SAVEPOINT s
            s1: UPDATE t SET v = 'released'
            s1: RELEASE s
            s1: SAVEPOINT s
            s1 fails: SELECT 1/0
            s1: ROLLBACK TO s
            s1: COMMIT
            s2: SELECT * FROM t ORDER BY id
            ",
        ),
        (
            "T11 every spelling of begin and end",
            "
            s2 hot: SELECT * FROM t ORDER BY id
            s1: START TRANSACTION
            s1: UPDATE t SET v = '1'
            s1: BEGIN
            s1: END
            s2: SELECT * FROM t ORDER BY id
            s2 hot: SELECT * FROM t ORDER BY id
            s1: BEGIN WORK
            s1: UPDATE t SET v = '2'
            s1: COMMIT AND CHAIN
            s2: SELECT * FROM t ORDER BY id
            s2 hot: SELECT * FROM t ORDER BY id
            s1: UPDATE t SET v = '3'
            s1: ROLLBACK AND CHAIN
            s2: SELECT * FROM t ORDER BY id
            s1: UPDATE t SET v = '4'
            s1: COMMIT
            s2: SELECT * FROM t ORDER BY id
            s1: ABORT
            s1: COMMIT
            ",
        ),
        (
            "T12 transactions opened inside strings",
            "
            s2 hot: SELECT * FROM t ORDER BY id
            s1 simple: BEGIN; SELECT 1
            s1: UPDATE t SET v = 'open'
            s2: SELECT * FROM t ORDER BY id
            s1 simple: SELECT 1; COMMIT; SELECT 2
            s2: SELECT * FROM t ORDER BY id
            s2 hot: SELECT * FROM t ORDER BY id
            s1 ext: BEGIN
            s1: UPDATE t SET v = 'ext'
            s1 ext: COMMIT
            s2: SELECT * FROM t ORDER BY id
            ",
        ),
        (
            "T14 a client vanishes amid a transaction",
            "
            s2 hot: SELECT * FROM t ORDER BY id
            s1: BEGIN
            s1: UPDATE t SET v = 'abandoned'
            s1 close:
            s2: SELECT * FROM t ORDER BY id
            s3: UPDATE t SET v = 'next' WHERE id = 1
            s2: SELECT * FROM t ORDER BY id
            s2 hot: SELECT * FROM t ORDER BY id
            ",
        ),
        (
            "T17 a notification tells of a write",
            "
            s2 hot: SELECT * FROM t ORDER BY id
            s2: LISTEN c
            s1: BEGIN
            s1: UPDATE t SET v = 'told'
            s1: NOTIFY c, 'go'
            s1: COMMIT
            s2 notified:
            s2: SELECT * FROM t ORDER BY id
            ",
        ),
        (
            "T18 a lock, then a read",
            "
            s1: SELECT pg_advisory_lock(4711) IS NOT NULL
            s2 hot: SELECT * FROM t ORDER BY id
            s2 send: SELECT pg_advisory_lock(4711) IS NOT NULL
            s1: UPDATE t SET v = 'locked'
            s1: SELECT pg_advisory_unlock(4711)
            s2 wait:
            s2: SELECT * FROM t ORDER BY id
            s2: SELECT pg_advisory_unlock(4711)
            ",
        ),
        (
            "C36 two phases",
            "
            s2 hot: SELECT * FROM t ORDER BY id
            s1: BEGIN
            s1: UPDATE t SET v = 'prepared'
            s1: PREPARE TRANSACTION '{db}'
            s2: SELECT * FROM t ORDER BY id
            s2 warm: SELECT * FROM t ORDER BY id
            s3: COMMIT PREPARED '{db}'
            s2: SELECT * FROM t ORDER BY id
            s2 hot: SELECT * FROM t ORDER BY id
            s1: BEGIN
            s1: UPDATE t SET v = 'never'
            s1: PREPARE TRANSACTION '{db}'
            s3: ROLLBACK PREPARED '{db}'
            s2: SELECT * FROM t ORDER BY id
            ",
        ),
        (
            "reads inside READ COMMITTED may be remembered",
            "
            s1 hot: SELECT * FROM t ORDER BY id
            s1: BEGIN
            s1 hot: SELECT * FROM t ORDER BY id
            s2: UPDATE t SET v = 'between'
            s1: SELECT * FROM t ORDER BY id
            s1: COMMIT
            ",
        ),
    ]);
}

#[test]
fn definitions_of_others_leave_what_a_block_has_called_as_it_was() {
    check(&[
        (
            "T05 tables come and go beside a block that has called a function",
            "
            d: CREATE FUNCTION calm() RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN 1; END $$
            s1: BEGIN
            s1: SELECT calm()
            s2: CREATE TABLE elsewhere (id int)
            s3 hot: SELECT * FROM t ORDER BY id
            s1: SELECT * FROM t ORDER BY id
            s1: COMMIT
            s3 still: SELECT * FROM t ORDER BY id
            ",
        ),
        (
            "C12 a function that writes for a while, called meanwhile in a block",
            "
            d: CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN 1; END $$
            s1: BEGIN
            s1: SELECT f()
            s2: CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$ BEGIN UPDATE t SET v = 'f'; RETURN 1; END $$
            s1: SELECT f()
            s2: CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN 1; END $$
            s3 hot: SELECT * FROM t ORDER BY id
            s1: SELECT * FROM t ORDER BY id
            s1: COMMIT
            s3: SELECT * FROM t ORDER BY id
            ",
        ),
    ]);
}
