//! Extended queries: statements, pipelines, errors amid them.

use pgmemo_tests::{twin::Talk, wire::Format};

use super::{READ, READ_ONE, check, talk, writing};

const TEXT_OID: u32 = 25;
const INT4_OID: u32 = 23;

#[test]
fn reads_by_extended_query_are_the_same_and_are_remembered() {
    check(
        12,
        vec![
            ("everything unnamed", talk().extended(READ, &[])),
            (
                "a parameter",
                talk().extended(READ_ONE, &["1"]).extended(READ_ONE, &["2"]),
            ),
            ("binary results", talk().binary(READ)),
            (
                "without Describe",
                talk()
                    .say(|f| {
                        f.parse("", READ, &[])
                            .bind("", "", &[])
                            .execute("", 0)
                            .sync()
                    })
                    .ready(),
            ),
            (
                "a declared type",
                talk()
                    .say(|f| {
                        f.parse("", READ_ONE, &[INT4_OID])
                            .bind("", "", &["2"])
                            .describe_portal("")
                            .execute("", 0)
                            .sync()
                    })
                    .ready(),
            ),
            (
                "a binary parameter and formats by column",
                talk()
                    .say(|f| {
                        let formats = [Format::Binary, Format::Text];
                        f.parse("", READ_ONE, &[INT4_OID])
                            .bind_with("", "", &[Format::Binary], &[Some(&[0, 0, 0, 1])], &formats)
                            .describe_portal("")
                            .execute("", 0)
                            .sync()
                    })
                    .ready(),
            ),
            (
                "a NULL parameter",
                talk()
                    .say(|f| {
                        f.parse("", "SELECT id, $1::text FROM t", &[TEXT_OID])
                            .bind_with("", "", &[], &[None], &[])
                            .describe_portal("")
                            .execute("", 0)
                            .sync()
                    })
                    .ready(),
            ),
            (
                "a named statement, prepared alone, run twice, closed",
                talk()
                    .say(|f| f.parse("s", READ_ONE, &[]).describe_statement("s").sync())
                    .ready()
                    .say(|f| {
                        f.bind("", "s", &["1"])
                            .describe_portal("")
                            .execute("", 0)
                            .sync()
                    })
                    .ready()
                    .say(|f| f.bind("", "s", &["2"]).execute("", 0).sync())
                    .ready()
                    .say(|f| f.close_statement("s").sync())
                    .ready(),
            ),
            (
                "the unnamed statement over two Syncs",
                talk()
                    .say(|f| f.parse("", READ_ONE, &[]).describe_statement("").sync())
                    .ready()
                    .say(|f| f.bind("", "", &["1"]).execute("", 0).sync())
                    .ready(),
            ),
            (
                "Describe of the statement and of the portal",
                talk()
                    .say(|f| {
                        f.parse("", READ, &[])
                            .describe_statement("")
                            .bind("", "", &[])
                            .describe_portal("")
                            .execute("", 0)
                            .sync()
                    })
                    .ready(),
            ),
            (
                "Describe behind Execute",
                talk()
                    .say(|f| {
                        f.parse("", READ, &[])
                            .bind("", "", &[])
                            .execute("", 0)
                            .describe_portal("")
                            .sync()
                    })
                    .ready(),
            ),
            (
                "three reads between two Syncs",
                talk()
                    .say(|f| {
                        let one = |f: pgmemo_tests::wire::Frontend, id| {
                            f.parse("", READ_ONE, &[])
                                .bind("", "", &[id])
                                .execute("", 0)
                        };
                        one(one(one(f, "1"), "2"), "3").sync()
                    })
                    .ready(),
            ),
            (
                "batches that do not wait for answers",
                talk()
                    .say(|f| {
                        f.parse("", READ, &[])
                            .bind("", "", &[])
                            .execute("", 0)
                            .sync()
                            .parse("", READ_ONE, &[])
                            .bind("", "", &["4"])
                            .execute("", 0)
                            .sync()
                            .query(READ)
                    })
                    .ready()
                    .ready()
                    .ready(),
            ),
        ],
    );
}

#[test]
fn flush_brings_what_is_ready() {
    check(
        2,
        vec![
            (
                "Parse, Describe, Flush; Bind, Execute, Sync",
                talk()
                    .say(|f| f.parse("", READ, &[]).describe_statement("").flush())
                    .until(b'T')
                    .say(|f| f.bind("", "", &[]).execute("", 0).sync())
                    .ready(),
            ),
            (
                "Execute, Flush, and Sync much later",
                talk()
                    .say(|f| {
                        f.parse("", READ, &[])
                            .bind("", "", &[])
                            .execute("", 0)
                            .flush()
                    })
                    .until(b'C')
                    .say(|f| f.bind("", "", &[]).execute("", 0).flush())
                    .until(b'C')
                    .say(|f| f.sync())
                    .ready(),
            ),
            (
                "an error, Flush, messages that are skipped, Sync",
                talk()
                    .say(|f| f.parse("", "SELEC", &[]).flush())
                    .until(b'E')
                    .say(|f| f.bind("", "", &[]).execute("", 0).flush().sync())
                    .ready()
                    .query(READ),
            ),
            (
                "Flush alone",
                talk().say(|f| f.flush().flush()).query("SELECT 1"),
            ),
            (
                "Sync alone, twice",
                talk().say(|f| f.sync().sync()).ready().ready(),
            ),
        ],
    );
}

#[test]
fn an_error_skips_to_the_next_sync() {
    check(
        0,
        vec![
            (
                "a failing Execute before a read",
                talk()
                    .say(|f| {
                        f.parse("", "SELECT 1/0", &[])
                            .bind("", "", &[])
                            .execute("", 0)
                            .parse("", READ, &[])
                            .bind("", "", &[])
                            .execute("", 0)
                            .sync()
                    })
                    .ready()
                    .extended(READ, &[]),
            ),
            (
                "a read before a failing Execute",
                talk()
                    .say(|f| {
                        f.parse("", READ, &[])
                            .bind("", "", &[])
                            .execute("", 0)
                            .parse("", "SELECT 1/0", &[])
                            .bind("", "", &[])
                            .execute("", 0)
                            .close_statement("")
                            .sync()
                    })
                    .ready()
                    .query(READ),
            ),
            (
                "a statement that a skipped Parse did not make",
                talk()
                    .say(|f| f.parse("bad", "SELEC", &[]).parse("s", READ, &[]).sync())
                    .ready()
                    .say(|f| f.bind("", "s", &[]).execute("", 0).sync())
                    .ready(),
            ),
            (
                "a write undone by a later error",
                writing()
                    .say(|f| {
                        f.parse("", "UPDATE w SET v = 'gone'", &[])
                            .bind("", "", &[])
                            .execute("", 0)
                            .parse("", "SELECT v FROM w ORDER BY id", &[])
                            .bind("", "", &[])
                            .execute("", 0)
                            .parse("", "SELECT 1/0", &[])
                            .bind("", "", &[])
                            .execute("", 0)
                            .sync()
                    })
                    .ready()
                    .query("SELECT v FROM w ORDER BY id"),
            ),
            (
                "too few parameters",
                talk()
                    .say(|f| {
                        f.parse("", READ_ONE, &[])
                            .bind("", "", &[])
                            .execute("", 0)
                            .sync()
                    })
                    .ready(),
            ),
            (
                "a parameter that is no number",
                talk().extended(READ_ONE, &["x"]),
            ),
            (
                "too many format codes",
                talk()
                    .say(|f| {
                        f.parse("", READ, &[])
                            .bind_with("", "", &[], &[], &[Format::Text; 3])
                            .execute("", 0)
                            .sync()
                    })
                    .ready(),
            ),
            (
                "two statements in one Parse",
                talk()
                    .say(|f| f.parse("", "SELECT 1; SELECT 2", &[]).sync())
                    .ready(),
            ),
            (
                "a simple query amid a batch",
                talk()
                    .say(|f| f.parse("", READ, &[]).bind("", "", &[]).query(READ))
                    .ready()
                    .say(|f| f.execute("", 0).sync())
                    .ready(),
            ),
            (
                "a failing simple query amid a batch",
                talk()
                    .say(|f| {
                        f.parse("s", READ, &[])
                            .query("SELECT 1/0")
                            .bind("", "s", &[])
                    })
                    .ready()
                    .say(|f| f.execute("", 0).sync())
                    .ready(),
            ),
        ],
    );
}

#[test]
fn other_statements_by_extended_query_are_the_same() {
    check(
        0,
        vec![
            (
                "an empty statement",
                talk().extended("", &[]).extended("-- nothing", &[]),
            ),
            (
                "an INSERT",
                writing().extended("INSERT INTO w VALUES ($1, $2)", &["3", "three"]),
            ),
            (
                "a named INSERT bound again",
                writing()
                    .say(|f| f.parse("i", "INSERT INTO w VALUES ($1, 'x')", &[]).sync())
                    .ready()
                    .say(|f| {
                        f.bind("", "i", &["3"])
                            .describe_portal("")
                            .execute("", 0)
                            .sync()
                    })
                    .ready()
                    .query("SELECT * FROM w ORDER BY id")
                    .say(|f| f.bind("", "i", &["4"]).execute("", 1).sync())
                    .ready()
                    .query("SELECT * FROM w ORDER BY id"),
            ),
            (
                "SET and SHOW",
                talk()
                    .extended("SET timezone = 'Asia/Tokyo'", &[])
                    .extended("SHOW timezone", &[]),
            ),
            (
                "BEGIN and COMMIT",
                talk()
                    .extended("BEGIN", &[])
                    .extended(READ, &[])
                    .extended("COMMIT", &[]),
            ),
            (
                "a write and a read of it in one batch",
                writing()
                    .query("SELECT v FROM w ORDER BY id")
                    .say(|f| {
                        f.parse("", "UPDATE w SET v = 'mine' WHERE id = 1", &[])
                            .bind("", "", &[])
                            .execute("", 0)
                            .parse("", "SELECT v FROM w ORDER BY id", &[])
                            .bind("", "", &[])
                            .execute("", 0)
                            .sync()
                    })
                    .ready()
                    .query("SELECT v FROM w ORDER BY id"),
            ),
            (
                "names that begin alike for longer than the server minds",
                talk()
                    .say(|f| {
                        let name = |end| format!("{}{end}", "n".repeat(63));
                        f.parse(&name("a"), "SELECT v FROM w ORDER BY id", &[])
                            .bind("", &name("b"), &[])
                            .execute("", 0)
                            .sync()
                            .parse(&name("b"), "SELECT 1", &[])
                            .sync()
                    })
                    .ready()
                    .ready(),
            ),
            (
                "a setting and a read that depends on it in one batch",
                talk()
                    .say(|f| {
                        f.parse("", "SET timezone = 'Asia/Tokyo'", &[])
                            .bind("", "", &[])
                            .execute("", 0)
                            .parse(
                                "",
                                "SELECT '2024-01-01 00:00+00'::timestamptz, id FROM t",
                                &[],
                            )
                            .bind("", "", &[])
                            .execute("", 0)
                            .sync()
                    })
                    .ready(),
            ),
        ],
    );
}

/// A text that is too long to be read, under a name that the server may not have heard of.
#[test]
fn names_of_statements_that_are_too_long_to_be_read_are_the_same() {
    let long = format!("SELECT 1 /* {} */", "x".repeat(1_100_000));
    let warm = talk().extended(READ, &[]);
    check(
        3,
        vec![
            (
                "taken",
                warm.clone()
                    .say(|f| f.parse("s", READ, &[]).sync())
                    .ready()
                    .say(|f| f.parse("s", &long, &[]).sync())
                    .ready()
                    .say(|f| f.bind("", "s", &[]).execute("", 0).sync())
                    .ready(),
            ),
            (
                "free",
                warm.say(|f| f.parse("s", &long, &[]).sync())
                    .ready()
                    .say(|f| f.bind("", "s", &[]).execute("", 0).sync())
                    .ready()
                    .say(|f| f.parse("s", READ, &[]).sync())
                    .ready(),
            ),
        ],
    );
}

/// The same without a name: nothing of it is kept here, and it is not what a client has left behind.
#[test]
fn statements_without_a_name_that_are_too_long_to_be_read_are_the_same() {
    let long = format!("SELECT 1 /* {} */", "x".repeat(1_100_000));
    let parsed = talk()
        .extended(READ, &[])
        .say(|f| f.parse("b", "BEGIN", &[]).sync())
        .ready()
        .say(|f| f.parse("", &long, &[]).sync())
        .ready();
    let bound = |said: Talk| {
        said.say(|f| f.bind("", "", &[]).execute("", 0).sync())
            .ready()
    };
    check(
        3,
        vec![
            (
                "at once",
                talk()
                    .say(|f| {
                        f.parse("", &long, &[])
                            .describe_statement("")
                            .bind("", "", &[])
                            .execute("", 0)
                            .sync()
                    })
                    .ready(),
            ),
            ("later", bound(parsed.clone())),
            (
                "in a block",
                bound(
                    parsed
                        .clone()
                        .say(|f| f.bind("", "b", &[]).execute("", 0).sync())
                        .ready(),
                )
                .query("ROLLBACK"),
            ),
            ("behind a query", bound(parsed.clone().query(READ))),
            ("behind another one", bound(parsed.extended(READ, &[]))),
            (
                "skipped",
                bound(
                    talk()
                        .query(READ)
                        .say(|f| f.parse("", "SELECT 7", &[]).sync())
                        .ready()
                        .query(READ)
                        .say(|f| f.parse("s", "SELEC", &[]).parse("", &long, &[]).sync())
                        .ready(),
                ),
            ),
            (
                "skipped in front of what is left behind",
                bound(
                    talk()
                        .query(READ)
                        .extended(READ, &[])
                        .say(|f| f.parse("", "SELECT 7", &[]).sync())
                        .ready()
                        .query(READ)
                        .say(|f| f.parse("", READ, &[]).sync())
                        .ready()
                        .say(|f| f.parse("s", "SELEC", &[]).parse("", &long, &[]).sync())
                        .ready()
                        .say(|f| f.close_statement("").sync())
                        .ready(),
                ),
            ),
            (
                "behind one that was refused",
                bound(
                    talk()
                        .extended(READ, &[])
                        .say(|f| {
                            f.parse("", "SELEC", &[])
                                .sync()
                                .parse("", &long, &[])
                                .sync()
                        })
                        .ready()
                        .ready(),
                ),
            ),
        ],
    );
}

#[test]
fn a_message_of_no_known_type_ends_a_session_that_skips_as_well() {
    check(
        0,
        vec![
            (
                "skipping",
                talk()
                    .say(|f| f.parse("", "SELEC", &[]).flush())
                    .until(b'E')
                    .say(|f| f.query(READ).message(b'?', b""))
                    .until_end(),
            ),
            (
                "otherwise",
                talk().say(|f| f.query(READ).message(b'?', b"")).until_end(),
            ),
        ],
    );
}

/// The server finds nothing to look for while it plans, which is when it is told the values; and says
/// so once for each plan that it keeps.
#[test]
fn notices_of_planning_are_the_same() {
    const NOTHING: &str =
        "SELECT id FROM t WHERE to_tsvector('english', v) @@ plainto_tsquery('english', 'of the')";
    const SOUGHT: &str =
        "SELECT id FROM t WHERE to_tsvector('english', v) @@ plainto_tsquery('english', $1)";
    let kept = |talk: Talk, times: usize| {
        let talk = talk.say(|f| f.parse("s", NOTHING, &[]).sync()).ready();
        let run = |talk: Talk, _| {
            talk.say(|f| f.bind("", "s", &[]).execute("", 0).sync())
                .ready()
        };
        (0..times).fold(talk, run)
    };
    check(
        2,
        vec![
            (
                "by a text",
                talk().extended(NOTHING, &[]).extended(NOTHING, &[]),
            ),
            (
                "by a value",
                talk()
                    .extended(SOUGHT, &["the"])
                    .extended(SOUGHT, &["a word"])
                    .extended(SOUGHT, &["the"]),
            ),
            ("once", kept(talk(), 3)),
            ("once for each session", kept(kept(talk(), 3).by('b'), 2)),
            (
                "and in one batch",
                talk()
                    .say(|f| {
                        f.parse("s", NOTHING, &[])
                            .bind("p", "s", &[])
                            .bind("q", "s", &[])
                            .execute("p", 0)
                            .execute("q", 0)
                            .sync()
                    })
                    .ready(),
            ),
        ],
    );
}
