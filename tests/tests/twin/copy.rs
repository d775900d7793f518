//! COPY, in both directions and by both protocols.

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
