//! What comes unasked, what is cancelled, and calls without SQL.

use super::{READ, check, talk, writing};

#[test]
fn notifications_arrive_the_same() {
    check(
        0,
        vec![
            (
                "to oneself",
                talk()
                    .query("LISTEN c")
                    .query("NOTIFY c, 'hello'")
                    .query("UNLISTEN c"),
            ),
            (
                "from another session to an idle one",
                talk()
                    .query("LISTEN c")
                    .by('b')
                    .query("NOTIFY c, 'from b'")
                    .by('a')
                    .until(b'A')
                    .query("SELECT 1"),
            ),
            (
                "to a session that reads what is remembered",
                talk()
                    .query("LISTEN c")
                    .query(READ)
                    .by('b')
                    .query("NOTIFY c, 'from b'")
                    .by('a')
                    .until(b'A')
                    .query(READ),
            ),
            (
                "not before COMMIT",
                talk()
                    .query("LISTEN c")
                    .query("BEGIN")
                    .query("NOTIFY c, 'inside'")
                    .query("SELECT 1")
                    .query("COMMIT"),
            ),
            (
                "from another session to one in a block",
                talk()
                    .query("LISTEN c")
                    .query("BEGIN")
                    .query(READ)
                    .by('b')
                    .query("NOTIFY c, 'from b'")
                    .by('a')
                    .query(READ)
                    .query("COMMIT"),
            ),
            (
                "to one that code made listen, once it is known",
                talk()
                    .query("DO 'BEGIN EXECUTE ''LISTEN c''; END'")
                    .query("NOTIFY c")
                    .query("BEGIN")
                    .query(READ)
                    .by('b')
                    .query("NOTIFY c, 'from b'")
                    .by('a')
                    .query(READ)
                    .query("COMMIT"),
            ),
            (
                "by pg_notify",
                talk()
                    .query("LISTEN c")
                    .query("SELECT pg_notify('c', 'called')"),
            ),
        ],
    );
}

#[test]
fn a_cancel_request_reaches_the_statement() {
    const SLEEPING: &str = "wait_event = 'PgSleep'";
    check(
        0,
        vec![
            (
                "a simple query",
                talk()
                    .say(|f| f.query("SELECT pg_sleep(60)"))
                    .await_activity(SLEEPING)
                    .cancel()
                    .ready()
                    .query(READ),
            ),
            (
                "a batch",
                talk()
                    .say(|f| {
                        f.parse("", "SELECT pg_sleep(60)", &[])
                            .bind("", "", &[])
                            .execute("", 0)
                            .parse("", READ, &[])
                            .bind("", "", &[])
                            .execute("", 0)
                            .sync()
                    })
                    .await_activity(SLEEPING)
                    .cancel()
                    .ready()
                    .query(READ),
            ),
            (
                "a transaction",
                talk()
                    .query("BEGIN")
                    .say(|f| f.query("SELECT pg_sleep(60)"))
                    .await_activity(SLEEPING)
                    .cancel()
                    .ready()
                    .query(READ)
                    .query("ROLLBACK"),
            ),
            (
                "a wait for a lock",
                writing()
                    .query("BEGIN")
                    .query("UPDATE w SET v = 'locked' WHERE id = 1")
                    .by('b')
                    .say(|f| f.query("UPDATE w SET v = 'blocked' WHERE id = 1"))
                    .await_activity("wait_event_type = 'Lock'")
                    .cancel()
                    .ready()
                    .by('a')
                    .query("ROLLBACK"),
            ),
            ("nothing", talk().query("SELECT 1").cancel()),
        ],
    );
}

#[test]
fn a_function_call_is_the_same() {
    /// `int4pl(int4, int4)`, `lower(text)`.
    const INT4PL: u32 = 177;
    const LOWER: u32 = 870;
    check(
        0,
        vec![
            (
                "a sum",
                talk().say(|f| f.function_call(INT4PL, &["2", "3"])).ready(),
            ),
            (
                "a text",
                talk().say(|f| f.function_call(LOWER, &["ÄbC"])).ready(),
            ),
            (
                "an unknown function",
                talk().say(|f| f.function_call(1, &[])).ready().query(READ),
            ),
            (
                "a bad argument",
                talk().say(|f| f.function_call(INT4PL, &["x", "3"])).ready(),
            ),
            (
                "in a failed transaction",
                talk()
                    .query("BEGIN")
                    .query("SELECT 1/0")
                    .say(|f| f.function_call(INT4PL, &["2", "3"]))
                    .ready()
                    .query("ROLLBACK"),
            ),
        ],
    );
}

#[test]
fn large_objects_are_the_same() {
    check(
        0,
        vec![(
            "made, written, read, removed",
            talk()
                .query("BEGIN")
                .query("SELECT lo_from_bytea(424242, '\\x0102')")
                .query("SELECT lo_put(424242, 1, '\\xff')")
                .query("SELECT lo_get(424242)")
                .query("SELECT lo_unlink(424242)")
                .query("COMMIT"),
        )],
    );
}
