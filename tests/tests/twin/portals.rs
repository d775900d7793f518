//! Portals, row limits and cursors.

use super::{READ, READ_ONE, check, talk, writing};

#[test]
fn row_limits_suspend_portals() {
    let fetch = |rows: &'static [u32]| {
        let batch = talk().say(|f| f.parse("", READ, &[]).bind("", "", &[]));
        rows.iter()
            .fold(batch, |talk, &rows| talk.say(|f| f.execute("", rows)))
            .say(|f| f.sync())
    };
    check(
        0,
        vec![
            ("fewer than there are", fetch(&[2]).ready()),
            ("as many as there are", fetch(&[5]).ready()),
            (
                "as many as there are, then the rest",
                fetch(&[5, 0]).ready(),
            ),
            ("more than there are", fetch(&[6]).ready()),
            ("piece by piece", fetch(&[2, 2, 2]).ready()),
            ("all, and once more", fetch(&[0, 0]).ready()),
            (
                "a piece, then all the rest, then nothing",
                fetch(&[1, 0, 0, 1]).ready(),
            ),
            (
                "piece by piece with Flush in a transaction",
                talk()
                    .query("BEGIN")
                    .say(|f| {
                        f.parse("", READ, &[])
                            .bind("c", "", &[])
                            .execute("c", 2)
                            .flush()
                    })
                    .until(b's')
                    .say(|f| f.execute("c", 2).sync())
                    .ready()
                    .say(|f| f.execute("c", 2).sync())
                    .ready()
                    .query("COMMIT"),
            ),
        ],
    );
}

#[test]
fn names_of_portals_mean_the_same() {
    check(
        0,
        vec![
            (
                "a named portal run twice",
                talk()
                    .query("BEGIN")
                    .say(|f| {
                        f.parse("s", READ, &[])
                            .bind("p", "s", &[])
                            .execute("p", 0)
                            .sync()
                    })
                    .ready()
                    .say(|f| f.execute("p", 0).sync())
                    .ready()
                    .query("COMMIT"),
            ),
            (
                "a portal name used twice",
                talk()
                    .query("BEGIN")
                    .say(|f| {
                        f.parse("s", READ, &[])
                            .bind("p", "s", &[])
                            .bind("p", "s", &[])
                            .sync()
                    })
                    .ready()
                    .query("ROLLBACK"),
            ),
            (
                "a portal ends with its transaction",
                talk()
                    .say(|f| {
                        f.parse("s", READ, &[])
                            .bind("p", "s", &[])
                            .execute("p", 1)
                            .sync()
                    })
                    .ready()
                    .say(|f| f.execute("p", 0).sync())
                    .ready(),
            ),
            (
                "a portal outlives Sync in a transaction",
                talk()
                    .query("BEGIN")
                    .say(|f| f.parse("", READ, &[]).bind("p", "", &[]).sync())
                    .ready()
                    .say(|f| {
                        f.describe_portal("p")
                            .execute("p", 0)
                            .close_portal("p")
                            .sync()
                    })
                    .ready()
                    .query("COMMIT"),
            ),
            (
                "two portals at a time",
                talk()
                    .query("BEGIN")
                    .say(|f| {
                        f.parse("s", READ_ONE, &[])
                            .bind("a", "s", &["1"])
                            .bind("b", "s", &["2"])
                            .execute("b", 0)
                            .execute("a", 0)
                            .close_portal("a")
                            .close_portal("b")
                            .sync()
                    })
                    .ready()
                    .query("COMMIT"),
            ),
            (
                "an unknown portal",
                talk().say(|f| f.execute("missing", 0).sync()).ready(),
            ),
            (
                "Describe of an unknown portal",
                talk().say(|f| f.describe_portal("m").sync()).ready(),
            ),
            (
                "Close of an unknown portal",
                talk().say(|f| f.close_portal("m").sync()).ready(),
            ),
            (
                "Bind twice, Execute once",
                talk()
                    .say(|f| {
                        f.parse("", READ_ONE, &[])
                            .bind("", "", &["1"])
                            .bind("", "", &["2"])
                            .execute("", 0)
                            .sync()
                    })
                    .ready(),
            ),
            (
                "a Bind that nobody executes",
                talk()
                    .say(|f| f.parse("", READ, &[]).bind("", "", &[]).sync())
                    .ready()
                    .query(READ),
            ),
            (
                "Close of the portal behind each Execute",
                talk()
                    .say(|f| {
                        f.parse("s", READ, &[])
                            .describe_statement("s")
                            .bind("", "s", &[])
                            .execute("", 0)
                            .close_portal("")
                            .close_statement("s")
                            .sync()
                    })
                    .ready(),
            ),
            (
                "SQL fetches from a portal of the protocol",
                talk()
                    .query("BEGIN")
                    .say(|f| f.parse("", READ, &[]).bind("p", "", &[]).sync())
                    .ready()
                    .query("FETCH 2 FROM p")
                    .query("MOVE 1 FROM p")
                    .say(|f| f.execute("p", 0).sync())
                    .ready()
                    .query("CLOSE p")
                    .query("COMMIT"),
            ),
        ],
    );
}

#[test]
fn cursors_of_sql_are_the_same() {
    check(
        0,
        vec![
            (
                "DECLARE, FETCH, MOVE, CLOSE",
                talk()
                    .query("BEGIN")
                    .query("DECLARE c SCROLL CURSOR FOR SELECT * FROM t ORDER BY id")
                    .query("FETCH 2 FROM c")
                    .query("FETCH 2 FROM c")
                    .query("MOVE BACKWARD 3 FROM c")
                    .query("FETCH ALL FROM c")
                    .query("CLOSE c")
                    .query("COMMIT"),
            ),
            (
                "a cursor that outlives its transaction",
                talk()
                    .query("DECLARE c CURSOR WITH HOLD FOR SELECT * FROM t ORDER BY id")
                    .query("FETCH 1 FROM c")
                    .query("FETCH 1 FROM c")
                    .query("CLOSE c"),
            ),
            (
                "a cursor does not see what comes later",
                writing()
                    .query("BEGIN")
                    .query("DECLARE c CURSOR FOR SELECT * FROM w ORDER BY id")
                    .query("INSERT INTO w VALUES (3, 'later')")
                    .query("FETCH ALL FROM c")
                    .query("SELECT * FROM w ORDER BY id")
                    .query("ROLLBACK"),
            ),
            (
                "UPDATE WHERE CURRENT OF",
                writing()
                    .query("BEGIN")
                    .query("DECLARE c CURSOR FOR SELECT * FROM w WHERE id = 1 FOR UPDATE")
                    .query("FETCH 1 FROM c")
                    .query("UPDATE w SET v = 'current' WHERE CURRENT OF c")
                    .query("COMMIT")
                    .query("SELECT * FROM w ORDER BY id"),
            ),
        ],
    );
}
