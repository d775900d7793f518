//! Simple queries.

use super::{READ, check, talk, writing};

#[test]
fn reads_by_simple_query_are_the_same_and_are_remembered() {
    check(
        12,
        vec![
            ("rows with NULL and empty text", talk().query(READ)),
            ("no row", talk().query("SELECT * FROM t WHERE id = 99")),
            (
                "no column",
                talk().query("SELECT FROM t").query("SELECT * FROM nothing"),
            ),
            (
                "a trailing semicolon",
                talk().query("SELECT v FROM t WHERE id = 1;"),
            ),
            (
                "comments",
                talk().query("/* a */ SELECT v -- b\n FROM t /* c */ WHERE id = 2"),
            ),
            ("TABLE", talk().query("TABLE t")),
            (
                "a common table expression",
                talk().query("WITH x AS (SELECT * FROM t) TABLE x"),
            ),
            (
                "an aggregate",
                talk().query("SELECT count(*), max(v), sum(id) FROM t"),
            ),
            (
                "two columns of one name",
                talk().query("SELECT id AS x, v AS x FROM t"),
            ),
            (
                "the same query twice in a session",
                talk().query(READ).query(READ),
            ),
            (
                "a union",
                talk().query("SELECT id FROM t UNION ALL SELECT 7 ORDER BY 1"),
            ),
            (
                "queries that do not wait for answers",
                talk()
                    .say(|f| f.query(READ).query("SELECT 1").query(READ))
                    .ready()
                    .ready()
                    .ready(),
            ),
        ],
    );
}

#[test]
fn statements_without_a_table_are_the_same() {
    check(
        0,
        vec![
            ("a constant", talk().query("SELECT 1")),
            ("VALUES", talk().query("VALUES (1, 'a'), (2, NULL)")),
            ("an empty query", talk().query("")),
            ("only semicolons", talk().query(";;").query(" ; ")),
            (
                "only a comment",
                talk().query("-- nothing").query("/* nothing */"),
            ),
            (
                "settings of the session",
                talk().query("SELECT current_user, current_schema"),
            ),
            (
                "EXPLAIN",
                talk().query("EXPLAIN (COSTS off) SELECT * FROM t WHERE id = 1"),
            ),
            (
                "SHOW",
                talk()
                    .query("SHOW server_version")
                    .query("SHOW search_path"),
            ),
        ],
    );
}

#[test]
fn several_statements_in_one_string_are_the_same() {
    check(
        0,
        vec![
            ("two reads", talk().query("SELECT 1; SELECT * FROM t")),
            (
                "an error in the second",
                talk().query("SELECT 1; SELECT 1/0; SELECT 2"),
            ),
            (
                "an error in the syntax of the second",
                talk().query("SELECT 1; SELEC 2"),
            ),
            (
                "a write between reads",
                writing()
                    .query("SELECT * FROM w ORDER BY id; UPDATE w SET v = 'x'; SELECT * FROM w")
                    .query("SELECT * FROM w ORDER BY id"),
            ),
            (
                "a write undone by an error behind it",
                writing()
                    .query("INSERT INTO w VALUES (3, 'three'); SELECT 1/0")
                    .query("SELECT * FROM w ORDER BY id"),
            ),
            (
                "a transaction in one string",
                writing()
                    .query("BEGIN; INSERT INTO w VALUES (3, 'three'); COMMIT")
                    .query("SELECT * FROM w ORDER BY id"),
            ),
            (
                "a transaction that a string leaves open",
                writing()
                    .query("BEGIN; UPDATE w SET v = 'x'")
                    .query("SELECT * FROM w ORDER BY id")
                    .query("ROLLBACK; SELECT * FROM w ORDER BY id"),
            ),
        ],
    );
}

/// Brings a notice that the query contains nothing to look for.
const STOP_WORD: &str =
    "SELECT id FROM t WHERE to_tsvector('english', v) @@ to_tsquery('english', 'the')";

#[test]
fn errors_and_notices_are_the_same() {
    check(
        0,
        vec![
            (
                "syntax",
                talk().query("SELEC 1").query("SELECT * FROM t WHERE"),
            ),
            ("an unknown table", talk().query("SELECT * FROM missing")),
            ("an unknown column", talk().query("SELECT missing FROM t")),
            (
                "rows, then an error",
                talk().query("SELECT 10 / (3 - id) FROM t ORDER BY id"),
            ),
            (
                "an error, then a read",
                talk().query("SELECT 1/0").query(READ),
            ),
            (
                "a duplicate key",
                writing().query("INSERT INTO w VALUES (1, 'again')"),
            ),
            (
                "a notice",
                talk().query("DO $$ BEGIN RAISE NOTICE 'hello'; END $$"),
            ),
            ("a warning", talk().query("COMMIT").query("ROLLBACK")),
            (
                "silence is not kept for others",
                talk()
                    .query("SET client_min_messages = warning")
                    .query(STOP_WORD)
                    .query(STOP_WORD)
                    .query("RESET client_min_messages")
                    .query(STOP_WORD),
            ),
            (
                "a notice among rows",
                talk().query("SELECT says(v) FROM t WHERE id < 3"),
            ),
            (
                "fields of an error",
                talk().query(
                    "DO $$ BEGIN RAISE 'm' USING DETAIL = 'd', HINT = 'h', ERRCODE = '22012', \
                     TABLE = 't', COLUMN = 'c'; END $$",
                ),
            ),
        ],
    );
}

#[test]
fn writes_are_the_same() {
    const ALL: &str = "SELECT * FROM w ORDER BY id";
    check(
        0,
        vec![
            (
                "INSERT",
                writing()
                    .query(ALL)
                    .query("INSERT INTO w VALUES (3, 'c')")
                    .query(ALL),
            ),
            (
                "RETURNING",
                writing()
                    .query("UPDATE w SET v = v || '!' RETURNING id, v")
                    .query(ALL),
            ),
            (
                "DELETE",
                writing()
                    .query(ALL)
                    .query("DELETE FROM w WHERE id = 1")
                    .query(ALL),
            ),
            (
                "TRUNCATE",
                writing().query(ALL).query("TRUNCATE w").query(ALL),
            ),
            (
                "a write in a common table expression",
                writing()
                    .query(ALL)
                    .query("WITH x AS (DELETE FROM w RETURNING *) SELECT * FROM x ORDER BY id")
                    .query(ALL),
            ),
            (
                "ON CONFLICT",
                writing()
                    .query(ALL)
                    .query("INSERT INTO w VALUES (1, 'n') ON CONFLICT (id) DO UPDATE SET v = 'c'")
                    .query(ALL),
            ),
            (
                "MERGE",
                writing()
                    .query(ALL)
                    .query("MERGE INTO w USING t ON w.id = t.id WHEN MATCHED THEN DELETE")
                    .query(ALL),
            ),
            (
                "a write and a read that do not wait",
                writing()
                    .query(ALL)
                    .say(|f| f.query("UPDATE w SET v = 'z'").query(ALL))
                    .ready()
                    .ready(),
            ),
        ],
    );
}

#[test]
fn messages_with_a_bad_body_are_answered_the_same() {
    check(
        0,
        vec![
            (
                "a query without its end",
                talk().say(|f| f.message(b'Q', b"SELECT 1")).ready(),
            ),
            (
                "a query with bytes behind its end",
                talk()
                    .say(|f| f.message(b'Q', b"SELECT 1\0SELECT 2\0"))
                    .ready(),
            ),
            (
                "an empty message",
                talk().say(|f| f.message(b'Q', b"")).ready(),
            ),
            (
                "an unknown type",
                talk().say(|f| f.message(b'y', b"what")).until_end(),
            ),
            (
                "a short Bind",
                talk().say(|f| f.message(b'B', b"\0\0").sync()).ready(),
            ),
            (
                "a Describe of nothing",
                talk().say(|f| f.message(b'D', b"Qx\0").sync()).ready(),
            ),
            (
                "a Close of nothing",
                talk().say(|f| f.message(b'C', b"Qx\0").sync()).ready(),
            ),
            (
                "a Sync with a body",
                talk().say(|f| f.message(b'S', b"x")).query("SELECT 1"),
            ),
            (
                "text that is not UTF-8",
                talk().say(|f| f.message(b'Q', b"SELECT '\xff'\0")).ready(),
            ),
            (
                "a stray CopyData",
                talk()
                    .say(|f| f.copy_data(b"x").copy_done())
                    .query("SELECT 1"),
            ),
        ],
    );
}
