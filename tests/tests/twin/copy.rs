//! COPY, in both directions and by both protocols.

use pgmemo_tests::{twin::Talk, wire::Frontend};

use super::{check, talk, writing};

const ALL: &str = "SELECT * FROM w ORDER BY id";

#[test]
fn copy_out_is_the_same() {
    check(
        0,
        vec![
            ("text", talk().query("COPY t TO STDOUT")),
            (
                "CSV of a query",
                talk().query("COPY (SELECT * FROM t ORDER BY id) TO STDOUT CSV HEADER"),
            ),
            ("binary", talk().query("COPY t TO STDOUT (FORMAT binary)")),
            (
                "by extended query",
                talk().extended("COPY t TO STDOUT", &[]),
            ),
            (
                "between reads",
                talk().query("SELECT 1; COPY t TO STDOUT; SELECT 2"),
            ),
            ("of a missing table", talk().query("COPY missing TO STDOUT")),
            (
                "many rows",
                talk().query(
                    "COPY (SELECT repeat('x', i % 99) FROM generate_series(1, 20000) i) TO STDOUT",
                ),
            ),
        ],
    );
}

#[test]
fn copy_in_is_the_same() {
    check(
        0,
        vec![
            (
                "rows, then a read",
                writing()
                    .query(ALL)
                    .say(|f| f.query("COPY w FROM STDIN"))
                    .until(b'G')
                    .say(|f| {
                        f.copy_data(b"3\tthree\n")
                            .copy_data(b"4\t\\N\n")
                            .copy_done()
                    })
                    .ready()
                    .query(ALL),
            ),
            (
                "rows cut anywhere, sent at once",
                writing()
                    .say(|f| {
                        f.query("COPY w FROM STDIN")
                            .copy_data(b"3\tth")
                            .copy_data(b"")
                            .copy_data(b"ree\n4\tfour")
                            .copy_done()
                            .query(ALL)
                    })
                    .ready()
                    .ready(),
            ),
            (
                "CopyFail",
                writing()
                    .say(|f| f.query("COPY w FROM STDIN"))
                    .until(b'G')
                    .say(|f| f.copy_data(b"3\tthree\n").copy_fail("no more"))
                    .ready()
                    .query(ALL),
            ),
            (
                "a bad row",
                writing()
                    .say(|f| f.query("COPY w FROM STDIN"))
                    .until(b'G')
                    .say(|f| f.copy_data(b"x\ty\n").copy_done())
                    .ready()
                    .query(ALL),
            ),
            (
                "by extended query",
                writing()
                    .query(ALL)
                    .say(|f| {
                        f.parse("", "COPY w FROM STDIN", &[])
                            .bind("", "", &[])
                            .describe_portal("")
                            .execute("", 0)
                            .flush()
                    })
                    .until(b'G')
                    .say(|f| f.copy_data(b"3\tthree\n").copy_done().sync())
                    .ready()
                    .query(ALL),
            ),
            (
                "a Sync too early is passed over",
                writing()
                    .say(|f| {
                        f.parse("", "COPY w FROM STDIN", &[])
                            .bind("", "", &[])
                            .execute("", 0)
                            .sync()
                    })
                    .until(b'G')
                    .say(|f| f.copy_data(b"3\tthree\n").flush().copy_done().sync())
                    .ready()
                    .query(ALL),
            ),
            (
                "two in one string",
                writing()
                    .say(|f| {
                        f.query("COPY w FROM STDIN; COPY w FROM STDIN; SELECT count(*) FROM w")
                    })
                    .until(b'G')
                    .say(|f| f.copy_data(b"3\tthree\n").copy_done())
                    .until(b'G')
                    .say(|f| f.copy_data(b"4\tfour\n").copy_done())
                    .ready(),
            ),
            (
                "in a transaction that is rolled back",
                writing()
                    .query("BEGIN")
                    .say(|f| f.query("COPY w FROM STDIN"))
                    .until(b'G')
                    .say(|f| f.copy_data(b"3\tthree\n").copy_done())
                    .ready()
                    .query(ALL)
                    .query("ROLLBACK")
                    .query(ALL),
            ),
        ],
    );
}

/// What is sent at once, and how many ReadyForQuery it brings.
fn at_once(readies: usize, say: impl FnOnce(Frontend) -> Frontend) -> Talk {
    let said = writing().query(ALL).say(say);
    (0..readies).fold(said, |talk, _| talk.ready()).query(ALL)
}

fn extended(f: Frontend, text: &str) -> Frontend {
    f.parse("", text, &[]).bind("", "", &[]).execute("", 0)
}

/// Found out at once.
const BAD: &[u8] = b"x\ty\n";
/// Found out when the rows are put into the index, at the end.
const TAKEN: &[u8] = b"1\tagain\n";
const GOOD: &[u8] = b"3\tthree\n";
const COPY: &str = "COPY w FROM STDIN";

/// While the server takes copy data it passes over Sync; once it has refused them, it does not.
#[test]
fn copy_data_that_are_refused_are_the_same() {
    check(
        0,
        vec![
            (
                "Sync behind them",
                at_once(1, |f| extended(f, COPY).copy_data(BAD).sync()),
            ),
            (
                "Sync behind them, once the copy has begun",
                writing()
                    .say(|f| extended(f, COPY).flush())
                    .until(b'G')
                    .say(|f| f.copy_data(BAD).sync())
                    .ready()
                    .query(ALL),
            ),
            (
                "the rest of them, then Sync",
                at_once(1, |f| {
                    let f = extended(f, COPY).copy_data(BAD).copy_data(GOOD);
                    f.copy_done().sync()
                }),
            ),
            (
                "Syncs before, amid and behind",
                at_once(2, |f| {
                    let f = extended(f, COPY)
                        .sync()
                        .copy_data(GOOD)
                        .sync()
                        .copy_data(BAD);
                    f.sync().copy_data(GOOD).copy_done().sync()
                }),
            ),
            (
                "Syncs of which all are passed over but the last",
                at_once(1, |f| {
                    let f = extended(f, COPY).sync().copy_data(TAKEN).sync().sync();
                    f.copy_done().sync()
                }),
            ),
            (
                "Sync behind CopyFail",
                at_once(1, |f| {
                    let f = extended(f, COPY).sync().copy_data(GOOD).sync();
                    f.copy_fail("no more").sync()
                }),
            ),
            (
                "a simple query behind them",
                at_once(2, |f| f.query(COPY).copy_data(BAD).query(ALL)),
            ),
            (
                "Syncs and a simple query",
                at_once(4, |f| {
                    let f = f.query(COPY).sync().copy_data(BAD).sync().sync();
                    f.copy_done().query(ALL)
                }),
            ),
            (
                "Syncs that are passed over, and a simple query",
                at_once(2, |f| {
                    let f = f.query(COPY).sync().copy_data(TAKEN).sync().sync();
                    f.copy_done().query(ALL)
                }),
            ),
        ],
    );
}

#[test]
fn statements_behind_refused_copy_data_are_the_same() {
    check(
        0,
        vec![
            (
                "skipped up to Sync",
                at_once(1, |f| {
                    extended(extended(f, COPY).copy_data(BAD), ALL).sync()
                }),
            ),
            (
                "carried out behind Sync",
                at_once(2, |f| {
                    extended(extended(f, COPY).copy_data(BAD).sync(), ALL).sync()
                }),
            ),
            (
                "a write",
                at_once(2, |f| {
                    let f = f.query(COPY).copy_data(BAD);
                    extended(f, "INSERT INTO w VALUES (9, 'nine')").sync()
                }),
            ),
            (
                "each kind of message",
                at_once(7, |f| {
                    let f = f
                        .query(COPY)
                        .copy_data(BAD)
                        .describe_statement("missing")
                        .sync();
                    let f = f
                        .query(COPY)
                        .sync()
                        .copy_data(BAD)
                        .close_portal("missing")
                        .sync();
                    let f = f.query(COPY).copy_data(BAD).bind("", "missing", &[]).sync();
                    f.query("SELECT 1")
                }),
            ),
            (
                "a function call",
                at_once(2, |f| {
                    f.query(COPY).copy_data(BAD).function_call(870, &["A"])
                }),
            ),
            (
                "in a block",
                writing()
                    .query("BEGIN")
                    .say(|f| extended(f, COPY).sync().copy_data(BAD).sync().query(ALL))
                    .ready()
                    .ready()
                    .query("ROLLBACK")
                    .query(ALL),
            ),
            (
                "two in one string",
                at_once(3, |f| {
                    let f = f.query("COPY w FROM STDIN; COPY w FROM STDIN; SELECT 1");
                    let f = f.copy_data(GOOD).sync().copy_done().sync();
                    f.copy_data(BAD).sync().copy_done().sync()
                }),
            ),
        ],
    );
}

#[test]
fn copies_that_fail_before_they_read_are_the_same() {
    check(
        0,
        vec![
            (
                "a view",
                at_once(1, |f| extended(f, "COPY seen FROM STDIN").sync()),
            ),
            (
                "a view, with data",
                at_once(2, |f| {
                    let f = extended(f, "COPY seen FROM STDIN").sync();
                    f.copy_data(GOOD).copy_done().sync()
                }),
            ),
            (
                "a view by a simple query",
                at_once(3, |f| {
                    let f = f.query("COPY seen FROM STDIN").sync();
                    f.copy_data(GOOD).copy_done().sync()
                }),
            ),
            (
                "a missing table",
                at_once(1, |f| {
                    let f = extended(f, "COPY missing FROM STDIN");
                    f.copy_data(GOOD).copy_done().sync()
                }),
            ),
            (
                "data that nobody takes",
                at_once(2, |f| {
                    let f = f.copy_data(GOOD).copy_done().copy_fail("no more");
                    extended(f, ALL)
                        .copy_data(BAD)
                        .copy_done()
                        .sync()
                        .query(ALL)
                }),
            ),
        ],
    );
}

/// The server ends the connection over them.
#[test]
fn statements_amid_copy_data_are_the_same() {
    let copying = || writing().say(|f| f.query(COPY)).until(b'G');
    check(
        0,
        vec![
            (
                "a simple query",
                copying().say(|f| f.copy_data(GOOD).query(ALL)).until_end(),
            ),
            (
                "Sync and Parse",
                copying()
                    .say(|f| f.copy_data(GOOD).sync().parse("", ALL, &[]))
                    .until_end(),
            ),
            (
                "a function call at once",
                writing()
                    .say(|f| f.query(COPY).function_call(870, &["A"]))
                    .until_end(),
            ),
            (
                "Execute, by extended query",
                writing()
                    .say(|f| extended(f, COPY).sync().execute("", 0))
                    .until_end(),
            ),
        ],
    );
}
