//! Transactions: status bytes, tags, and what is seen inside.

use super::{READ, check, talk, writing};

const ALL: &str = "SELECT * FROM w ORDER BY id";

#[test]
fn reads_in_transactions_are_the_same() {
    check(
        2,
        vec![
            (
                "BEGIN, read, COMMIT",
                talk().query("BEGIN").query(READ).query("COMMIT"),
            ),
            (
                "the level comes too late",
                talk()
                    .query("BEGIN")
                    .query(READ)
                    .query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
                    .query("ROLLBACK"),
            ),
            (
                "it may become read-only at any time",
                talk()
                    .query("BEGIN")
                    .query(READ)
                    .query("SET TRANSACTION READ ONLY")
                    .query(READ)
                    .query("COMMIT"),
            ),
            (
                "the level comes too late, prepared",
                talk()
                    .query("BEGIN")
                    .extended(READ, &[])
                    .extended("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", &[])
                    .query("ROLLBACK"),
            ),
            (
                "BEGIN, read, ROLLBACK",
                talk().query("BEGIN").query(READ).query("ROLLBACK"),
            ),
            (
                "nothing inside",
                talk().query("BEGIN").query("COMMIT").query(READ),
            ),
            (
                "every spelling",
                talk()
                    .query("START TRANSACTION")
                    .query(READ)
                    .query("END")
                    .query("BEGIN WORK")
                    .query(READ)
                    .query("ABORT")
                    .query("BEGIN TRANSACTION READ ONLY")
                    .query(READ)
                    .query("COMMIT WORK"),
            ),
            (
                "BEGIN in a transaction",
                talk()
                    .query("BEGIN")
                    .query("BEGIN")
                    .query(READ)
                    .query("END"),
            ),
            (
                "AND CHAIN",
                talk()
                    .query("BEGIN ISOLATION LEVEL REPEATABLE READ")
                    .query("COMMIT AND CHAIN")
                    .query("SHOW transaction_isolation")
                    .query("ROLLBACK"),
            ),
            (
                "isolation levels",
                talk()
                    .query("BEGIN ISOLATION LEVEL SERIALIZABLE")
                    .query(READ)
                    .query("COMMIT")
                    .query("BEGIN")
                    .query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
                    .query(READ)
                    .query("SHOW transaction_isolation")
                    .query("COMMIT"),
            ),
            (
                "BEGIN and the first query at once",
                talk()
                    .say(|f| f.query("BEGIN").query(READ).query("COMMIT"))
                    .ready()
                    .ready()
                    .ready(),
            ),
            (
                "BEGIN, read and COMMIT in one batch",
                talk()
                    .say(|f| {
                        ["BEGIN", READ, "COMMIT"]
                            .into_iter()
                            .fold(f, |f, sql| {
                                f.parse("", sql, &[]).bind("", "", &[]).execute("", 0)
                            })
                            .sync()
                    })
                    .ready(),
            ),
        ],
    );
}

#[test]
fn writes_in_transactions_are_the_same() {
    check(
        0,
        vec![
            (
                "a transaction reads its own write",
                writing()
                    .query(ALL)
                    .query("BEGIN")
                    .query("UPDATE w SET v = 'mine' WHERE id = 1")
                    .query(ALL)
                    .query("COMMIT")
                    .query(ALL),
            ),
            (
                "a rollback takes it back",
                writing()
                    .query(ALL)
                    .query("BEGIN")
                    .query("DELETE FROM w")
                    .query(ALL)
                    .query("ROLLBACK")
                    .query(ALL),
            ),
            (
                "another session sees nothing before COMMIT",
                writing()
                    .query("BEGIN")
                    .query("UPDATE w SET v = 'secret'")
                    .query(ALL)
                    .by('b')
                    .query(ALL)
                    .query(ALL)
                    .by('a')
                    .query("COMMIT")
                    .by('b')
                    .query(ALL),
            ),
            (
                "savepoints",
                writing()
                    .query("BEGIN")
                    .query("UPDATE w SET v = 'kept' WHERE id = 1")
                    .query("SAVEPOINT s")
                    .query("UPDATE w SET v = 'lost' WHERE id = 2")
                    .query(ALL)
                    .query("ROLLBACK TO s")
                    .query(ALL)
                    .query("RELEASE s")
                    .query("COMMIT")
                    .query(ALL),
            ),
            (
                "two phases",
                writing()
                    .query("ROLLBACK PREPARED 'missing'")
                    .query("BEGIN")
                    .query("UPDATE w SET v = 'prepared' WHERE id = 1")
                    .query("PREPARE TRANSACTION 'twin'")
                    .query(ALL)
                    .query("COMMIT PREPARED 'twin'")
                    .query(ALL),
            ),
        ],
    );
}

#[test]
fn failed_transactions_are_the_same() {
    check(
        0,
        vec![
            (
                "a read in a failed transaction",
                talk()
                    .query(READ)
                    .query("BEGIN")
                    .query("SELECT 1/0")
                    .query(READ)
                    .query("ROLLBACK"),
            ),
            (
                "COMMIT of a failed transaction",
                writing()
                    .query("BEGIN")
                    .query("INSERT INTO w VALUES (3, 'x')")
                    .query("SELECT 1/0")
                    .query("COMMIT")
                    .query(ALL),
            ),
            (
                "an extended read in a failed transaction",
                talk()
                    .query("BEGIN")
                    .query("SELEC")
                    .extended(READ, &[])
                    .query("END"),
            ),
            (
                "back to a savepoint, and on",
                writing()
                    .query("BEGIN")
                    .query("SAVEPOINT s")
                    .query("SELECT 1/0")
                    .query(ALL)
                    .query("ROLLBACK TO s")
                    .query("UPDATE w SET v = 'after'")
                    .query("COMMIT")
                    .query(ALL),
            ),
            (
                "a COMMIT that fails",
                writing()
                    .query("BEGIN")
                    .query("INSERT INTO late VALUES (1)")
                    .query("UPDATE w SET v = 'never'")
                    .query("COMMIT")
                    .query(ALL),
            ),
            (
                "a write where only reads may be",
                writing()
                    .query("BEGIN READ ONLY")
                    .query("DELETE FROM w")
                    .query("END"),
            ),
        ],
    );
}
