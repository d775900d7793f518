//! T: at which level a transaction reads, whoever says so and how often.

use super::check;

#[test]
fn a_block_keeps_its_level() {
    check(&[
        (
            "T03 another BEGIN only warns",
            "
            s1: BEGIN ISOLATION LEVEL REPEATABLE READ
            s1: SELECT * FROM u ORDER BY id
            s2: UPDATE t SET v = 'later'
            s1: BEGIN
            s1: SELECT * FROM t ORDER BY id
            s3: SELECT * FROM t ORDER BY id
            s1: SELECT * FROM t ORDER BY id
            s1: COMMIT
            s1: SELECT * FROM t ORDER BY id
            ",
        ),
        (
            "T03 another BEGIN with words of its own",
            "
            s1: BEGIN ISOLATION LEVEL REPEATABLE READ
            s1: SELECT * FROM u ORDER BY id
            s2: UPDATE t SET v = 'later'
            s1: SAVEPOINT s
            s1 fails: BEGIN ISOLATION LEVEL READ COMMITTED
            s1: ROLLBACK TO s
            s1: SELECT * FROM t ORDER BY id
            s3: SELECT * FROM t ORDER BY id
            s1: COMMIT
            ",
        ),
        (
            "T03 a BEGIN that a failed block refuses",
            "
            s1: BEGIN ISOLATION LEVEL SERIALIZABLE
            s1: SELECT * FROM u ORDER BY id
            s1: SAVEPOINT s
            s2: UPDATE t SET v = 'later'
            s1 fails: SELECT 1 / 0
            s1 fails: BEGIN
            s1: ROLLBACK TO s
            s1: SELECT * FROM t ORDER BY id
            s3: SELECT * FROM t ORDER BY id
            s1: COMMIT
            ",
        ),
        (
            "T03 BEGIN and SET TRANSACTION in one string",
            "
            s1 simple: BEGIN; SET TRANSACTION ISOLATION LEVEL REPEATABLE READ
            s1: SELECT * FROM u ORDER BY id
            s2: UPDATE t SET v = 'later'
            s1: SELECT * FROM t ORDER BY id
            s3: SELECT * FROM t ORDER BY id
            s1: COMMIT
            ",
        ),
    ]);
}

#[test]
fn outside_of_blocks_the_default_level_counts() {
    check(&[(
        "T03 a session that is SERIALIZABLE without a block",
        "
        s2 hot: SELECT * FROM t ORDER BY id
        s1: SET default_transaction_isolation = 'serializable'
        s1 cold: SELECT * FROM t ORDER BY id
        s1: SET default_transaction_isolation = 'repeatable read'
        s1 ext cold: SELECT * FROM t ORDER BY id
        s1 simple hot: SELECT * FROM t ORDER BY id
        s2: UPDATE t SET v = 'later'
        s1 simple: SELECT * FROM t ORDER BY id
        s1: BEGIN
        s1: SELECT * FROM u ORDER BY id
        s2: UPDATE t SET v = 'last'
        s1 simple: SELECT * FROM t ORDER BY id
        s3: SELECT * FROM t ORDER BY id
        s1: COMMIT
        s1: RESET default_transaction_isolation
        s1 hot: SELECT * FROM t ORDER BY id
        ",
    )]);
}
