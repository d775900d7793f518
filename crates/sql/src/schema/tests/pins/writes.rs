//! Which rows writes keep to.

use super::*;

#[test]
fn writes_by_key_change_their_rows() {
    check_writes(
        &database(),
        &[
            ("UPDATE acc SET v = 'x' WHERE id = 5", "acc 5"),
            (
                "UPDATE public.acc AS a SET n = a.n + 1, v = 'x' WHERE a.id IN (5, 6) AND v = 'y'",
                "acc 5, acc 6",
            ),
            (
                "update \"acc\" set (v, n) = ('x', 1) where \"acc\".\"id\" = 5 returning v, id",
                "acc 5",
            ),
            (
                "UPDATE acc SET n = (SELECT max(id) FROM acc) WHERE id = 5",
                "acc 5",
            ),
            (
                "UPDATE acc SET v = CASE WHEN n = 1 AND id = 6 THEN 'x' END WHERE id = 5",
                "acc 5",
            ),
            ("DELETE FROM seen WHERE id = 5 RETURNING *", "seen 5"),
            ("DELETE FROM acc WHERE id = 5", "acc 5, kid *"),
            ("UPDATE pair SET v = 1 WHERE a = 1 AND b = 2", "pair 1.2"),
            (
                "INSERT INTO acc (id, v) VALUES (5, 'x'), (6, 'y') RETURNING id",
                "acc 5, acc 6",
            ),
            ("INSERT INTO acc VALUES (5, 'x')", "acc 5"),
            ("INSERT INTO acc (v) VALUES ('x')", "acc +"),
            ("INSERT INTO acc (id, v) VALUES (DEFAULT, 'x')", "acc +"),
            (
                "INSERT INTO acc (id, v) VALUES (5, 'x'), (DEFAULT, 'y')",
                "acc +",
            ),
            ("INSERT INTO acc DEFAULT VALUES", "acc +"),
            ("INSERT INTO acc (id) SELECT id + 1 FROM acc", "acc +"),
            (
                "INSERT INTO acc (id) VALUES (5) ON CONFLICT DO NOTHING",
                "acc 5",
            ),
            (
                "INSERT INTO acc (v) VALUES ('x') ON CONFLICT (v) DO NOTHING",
                "acc +",
            ),
            (
                "INSERT INTO acc (id, v) VALUES (5, 'x') ON CONFLICT (id) DO UPDATE SET v = excluded.v WHERE acc.n > 1",
                "acc 5",
            ),
            (
                "INSERT INTO pair VALUES (1, 2, 3) ON CONFLICT (b, a) DO UPDATE SET v = 4",
                "pair 1.2",
            ),
            ("INSERT INTO word VALUES ('x')", "word x"),
            ("INSERT INTO short VALUES ('x')", "short +"),
            ("UPDATE watched SET v = 1 WHERE id = 5", "watched *"),
            ("DELETE FROM watched WHERE id = 5", "watched 5"),
            ("INSERT INTO watched VALUES (5)", "watched 5"),
        ],
    );
}

#[test]
fn writes_that_may_change_other_rows_change_all() {
    let db = database();
    for text in [
        "UPDATE acc SET v = 'x'",
        "UPDATE acc SET v = 'x' WHERE id > 5",
        "UPDATE acc SET v = 'x' WHERE id = 5 OR n = 1",
        "UPDATE acc SET v = 'x' FROM pair WHERE acc.id = 5",
        "UPDATE acc SET v = 'x' WHERE id = 5 AND (SELECT true WHERE n = 1 AND id = 6)::int = 5.0 OR true",
        "UPDATE acc SET id = 6 WHERE id = 5",
        "UPDATE acc SET v = 'x', \"id\" = 6 WHERE id = 5",
        "UPDATE acc SET (v, id) = ('x', 6) WHERE id = 5",
        "UPDATE acc SET U&\"id\" = 6 WHERE id = 5",
        "UPDATE ONLY acc SET v = 'x' WHERE id = 5",
        "UPDATE acc SET v = 'x' WHERE CURRENT OF c",
        "DELETE FROM acc",
        "DELETE FROM acc USING pair WHERE acc.id = 5",
        "DELETE FROM acc WHERE (SELECT true FROM pair WHERE v = 1 AND id = 5)",
        "WITH x AS (SELECT 1) UPDATE acc SET v = 'x' WHERE id = 5",
        "WITH x AS (DELETE FROM acc) UPDATE acc SET v = 'x' WHERE id = 5",
        "INSERT INTO acc (id, v) VALUES (5, 'x') ON CONFLICT (v) DO UPDATE SET v = 'y'",
        "INSERT INTO acc (id, v) VALUES (5, 'x') ON CONFLICT ON CONSTRAINT k DO UPDATE SET v = 'y'",
        "INSERT INTO acc (id, v) VALUES (5, 'x') ON CONFLICT (id) WHERE id > 1 DO UPDATE SET v = 'y'",
        "INSERT INTO acc (id, v) VALUES (5, 'x') ON CONFLICT (id, v) DO UPDATE SET v = 'y'",
        "INSERT INTO acc (id, v) VALUES (5, 'x') ON CONFLICT (id) DO UPDATE SET id = 6",
        "INSERT INTO acc (v) VALUES ('x') ON CONFLICT (id) DO UPDATE SET v = 'y'",
        "INSERT INTO pair VALUES (1, 2, 3) ON CONFLICT (a, a) DO UPDATE SET v = 4",
        "INSERT INTO pair VALUES ((ROW(1, 2)::two).*, 3)",
        "INSERT INTO pair VALUES (1, 2, 3), (($1::two).*, 3) ON CONFLICT (a, b) DO UPDATE SET v = 4",
        "INSERT INTO acc (id) OVERRIDING USER VALUE VALUES (5)",
        "INSERT INTO acc (id) VALUES (5) UNION SELECT 6",
        "INSERT INTO acc (id) SELECT 5 ON CONFLICT (id) DO UPDATE SET v = 'y'",
        "MERGE INTO acc USING pair ON acc.id = 5 WHEN MATCHED THEN DELETE",
        "UPDATE acc SET v = 'x' WHERE id = 5; UPDATE acc SET v = 'y' WHERE id = 6",
        "UPDATE acc SET n = bump_acc() WHERE id = 5",
        "UPDATE bare SET v = 1 WHERE id = 5",
        "UPDATE tree SET up = 1 WHERE id = 5",
        "DELETE FROM tree WHERE id = 5",
        "UPDATE ruled SET v = 1 WHERE id = 5",
        "INSERT INTO ruled VALUES (5)",
        "UPDATE defaults SET v = 1 WHERE id = 5",
        "UPDATE seen_view SET id = 1 WHERE id = 5",
        "INSERT INTO seen_view VALUES (5)",
        "INSERT INTO word VALUES ('x') ON CONFLICT (k) DO UPDATE SET v = 1",
    ] {
        let found = db.changes(text, &Arguments::default());
        let whole = |change: &str| change.ends_with('*') || change == "everything";
        let whole = found.split(", ").all(whole);
        assert!(whole && !found.is_empty(), "{text}: {found}");
    }
    check_writes(
        &db,
        &[
            ("UPDATE part SET v = 1 WHERE id = 5", "part *, whole *"),
            ("UPDATE whole SET v = 1 WHERE id = 5", "part *, whole *"),
            ("INSERT INTO part VALUES (5)", "part *, whole *"),
        ],
    );
}

#[test]
fn texts_that_were_cut_pin_nothing() {
    let db = database();
    let long = format!(
        "UPDATE seen SET v = '{}', id = 6 WHERE id = 5",
        "x".repeat(20_000)
    );
    assert_eq!(db.changes(&long, &Arguments::default()), "seen *");
    let rows = vec!["(5)"; 10_000].join(",");
    let long = format!("INSERT INTO seen VALUES {rows}");
    assert_eq!(db.changes(&long, &Arguments::default()), "seen *");
}
