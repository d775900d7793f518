//! Names of prepared statements, in the protocol and in SQL.

use pgmemo_tests::wire::Format;

use super::{READ, READ_ONE, check, talk};

const INT4_OID: u32 = 23;
const INT8_OID: u32 = 20;

#[test]
fn names_of_statements_mean_the_same() {
    check(
        0,
        vec![
            (
                "a name used twice",
                talk()
                    .say(|f| f.parse("s", READ, &[]).sync())
                    .ready()
                    .say(|f| f.parse("s", READ_ONE, &[]).sync())
                    .ready()
                    .say(|f| f.bind("", "s", &[]).execute("", 0).sync())
                    .ready(),
            ),
            (
                "an unknown name",
                talk().say(|f| f.bind("", "missing", &[]).sync()).ready(),
            ),
            (
                "Describe of an unknown name",
                talk().say(|f| f.describe_statement("m").sync()).ready(),
            ),
            (
                "Close of an unknown name",
                talk().say(|f| f.close_statement("m").sync()).ready(),
            ),
            (
                "a name closed and made anew with another text",
                talk()
                    .say(|f| {
                        f.parse("s", READ, &[])
                            .bind("", "s", &[])
                            .execute("", 0)
                            .sync()
                    })
                    .ready()
                    .say(|f| {
                        f.close_statement("s")
                            .parse("s", "SELECT max(id) FROM t", &[])
                            .sync()
                    })
                    .ready()
                    .say(|f| {
                        f.bind("", "s", &[])
                            .describe_portal("")
                            .execute("", 0)
                            .sync()
                    })
                    .ready(),
            ),
            (
                "a simple query ends the unnamed statement",
                talk()
                    .say(|f| f.parse("", READ, &[]).sync())
                    .ready()
                    .query(READ)
                    .say(|f| f.bind("", "", &[]).execute("", 0).sync())
                    .ready(),
            ),
            (
                "a failing Parse ends the unnamed statement",
                talk()
                    .say(|f| f.parse("", READ, &[]).sync())
                    .ready()
                    .say(|f| f.parse("", "SELEC", &[]).sync())
                    .ready()
                    .say(|f| f.bind("", "", &[]).execute("", 0).sync())
                    .ready(),
            ),
            (
                "names of SQL and of the protocol are one",
                talk()
                    .say(|f| f.parse("p", READ_ONE, &[]).sync())
                    .ready()
                    .query("EXECUTE p(1)")
                    .query("SELECT name, statement FROM pg_prepared_statements")
                    .query("PREPARE p AS SELECT 1")
                    .query("DEALLOCATE p")
                    .say(|f| f.bind("", "p", &["1"]).execute("", 0).sync())
                    .ready(),
            ),
            (
                "a statement of SQL is bound by the protocol",
                talk()
                    .query("PREPARE p (int) AS SELECT v FROM t WHERE id = $1")
                    .say(|f| {
                        f.describe_statement("p")
                            .bind("", "p", &["2"])
                            .execute("", 0)
                            .sync()
                    })
                    .ready()
                    .query("EXECUTE p(2)")
                    .query("DEALLOCATE ALL")
                    .say(|f| f.bind("", "p", &["2"]).execute("", 0).sync())
                    .ready(),
            ),
            (
                "DISCARD ALL forgets statements",
                talk()
                    .say(|f| {
                        f.parse("s", READ, &[])
                            .bind("", "s", &[])
                            .execute("", 0)
                            .sync()
                    })
                    .ready()
                    .query("DISCARD ALL")
                    .say(|f| f.bind("", "s", &[]).execute("", 0).sync())
                    .ready(),
            ),
            (
                "one text under two declared types",
                talk()
                    .say(|f| {
                        let formats = [Format::Binary];
                        f.parse("a", "SELECT $1, id FROM t WHERE id = 1", &[INT4_OID])
                            .parse("b", "SELECT $1, id FROM t WHERE id = 1", &[INT8_OID])
                            .bind_with("", "a", &[], &[Some(b"1")], &formats)
                            .execute("", 0)
                            .bind_with("", "b", &[], &[Some(b"1")], &formats)
                            .execute("", 0)
                            .sync()
                    })
                    .ready(),
            ),
        ],
    );
}

/// What stands between such a statement and its Bind is asked first, and the server holds its answer
/// back until it has to give it.
#[test]
fn statements_that_the_server_has_yet_to_parse_are_answered_in_blocks() {
    const NAMED: &str = "SELECT v FROM t WHERE v <> 'x' AND v <> $1";
    let prepared = || {
        talk()
            .say(|f| f.parse("s", NAMED, &[]).describe_statement("s").sync())
            .ready()
            .query("BEGIN")
    };
    check(
        0,
        vec![
            (
                "a value that is not looked up",
                prepared()
                    .say(|f| f.bind("", "s", &["now"]).execute("", 0).sync())
                    .ready()
                    .query("COMMIT"),
            ),
            (
                "the same, and more of them",
                prepared()
                    .say(|f| {
                        f.bind("", "s", &["now"])
                            .execute("", 0)
                            .bind("", "s", &["today"])
                            .describe_portal("")
                            .execute("", 0)
                            .sync()
                    })
                    .ready()
                    .query("COMMIT"),
            ),
            (
                "a value that is not looked up, and a Flush",
                prepared()
                    .say(|f| f.bind("", "s", &["now"]).execute("", 0).flush())
                    .say(|f| f.sync())
                    .ready()
                    .query("COMMIT"),
            ),
        ],
    );
}
