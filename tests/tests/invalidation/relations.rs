//! C: tables made of tables, and tables deep inside a read.

use super::check;

/// They go with the session that has made their types, or earlier.
#[test]
fn columns_of_temporary_types_are_not_remembered() {
    check(&[
        (
            "B13 DISCARD TEMP takes a column along",
            "
            s2: CREATE TEMP TABLE mine (a int)
            s2: CREATE TABLE lasting (id int, c mine)
            s2: INSERT INTO lasting VALUES (1, ROW(2))
            s1 cold: SELECT * FROM lasting
            s2: DISCARD TEMP
            s1: SELECT * FROM lasting
            ",
        ),
        (
            "B13 a type of a session's own, and an array of it in a type that lasts",
            "
            s2: CREATE TYPE pg_temp.mood AS ENUM ('sad')
            s2: CREATE TYPE pair AS (a int, b pg_temp.mood[])
            s2: CREATE TABLE lasting (id int, c pair)
            s2: INSERT INTO lasting VALUES (1, ROW(2, '{sad}'))
            s1 cold: SELECT * FROM lasting
            s2: DISCARD ALL
            s1: SELECT * FROM lasting
            ",
        ),
    ]);
}

#[test]
fn partitions_and_children_belong_together() {
    const PARTS: &str = "d: CREATE TABLE p (id int, v text) PARTITION BY RANGE (id); CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10); CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (10) TO (20) PARTITION BY LIST (v); CREATE TABLE p2x PARTITION OF p2 FOR VALUES IN ('x'); CREATE TABLE pd PARTITION OF p DEFAULT; INSERT INTO p VALUES (1, 'x'), (11, 'x'), (99, 'x')";
    let with = |script: &str| -> &'static str { format!("{PARTS}\n{script}").leak() };
    check(&[
        (
            "C14 a write to a part is seen in the whole",
            with(
                "
                s1 hot: SELECT * FROM p ORDER BY id
                s2: INSERT INTO p1 VALUES (2, 'part')
                s1: SELECT * FROM p ORDER BY id
                s1 hot: SELECT * FROM p ORDER BY id
                s2: UPDATE p2x SET id = 12
                s1: SELECT * FROM p ORDER BY id
                s1 hot: SELECT * FROM p2 ORDER BY id
                s2: DELETE FROM p2x
                s1: SELECT * FROM p2 ORDER BY id
                s1: SELECT * FROM p ORDER BY id
                ",
            ),
        ),
        (
            "C14 a write to the whole is seen in a part",
            with(
                "
                s1 hot: SELECT * FROM p1 ORDER BY id
                s1 hot: SELECT * FROM p2x ORDER BY id
                s2: INSERT INTO p VALUES (3, 'routed'), (13, 'x')
                s1: SELECT * FROM p1 ORDER BY id
                s1: SELECT * FROM p2x ORDER BY id
                s1 hot: SELECT * FROM p1 ORDER BY id
                s2: UPDATE p SET id = 14, v = 'x' WHERE id = 3
                s1: SELECT * FROM p1 ORDER BY id
                s1: SELECT * FROM p2x ORDER BY id
                s1 hot: SELECT * FROM pd ORDER BY id
                s2: TRUNCATE p
                s1: SELECT * FROM pd ORDER BY id
                ",
            ),
        ),
        (
            "C14 parts come and go",
            with(
                "
                s1 hot: SELECT * FROM p ORDER BY id
                s2: CREATE TABLE p3 (id int, v text)
                s2: INSERT INTO p3 VALUES (21, 'attached')
                s2: ALTER TABLE p ATTACH PARTITION p3 FOR VALUES FROM (20) TO (30)
                s1: SELECT * FROM p ORDER BY id
                s1 hot: SELECT * FROM p ORDER BY id
                s2: INSERT INTO p3 VALUES (22, 'new part')
                s1: SELECT * FROM p ORDER BY id
                s1 hot: SELECT * FROM p ORDER BY id
                s2: ALTER TABLE p DETACH PARTITION p1
                s1: SELECT * FROM p ORDER BY id
                s1 hot: SELECT * FROM p ORDER BY id
                s2: DROP TABLE p2
                s1: SELECT * FROM p ORDER BY id
                ",
            ),
        ),
        (
            "C15 children of a table",
            "
            d: CREATE TABLE child (more int) INHERITS (t); INSERT INTO child VALUES (7, 'child', 1)
            s1 hot: SELECT * FROM t ORDER BY id
            s1 hot: SELECT * FROM child ORDER BY id
            s1 hot: SELECT * FROM ONLY t ORDER BY id
            s2: INSERT INTO child VALUES (8, 'second', 2)
            s1: SELECT * FROM t ORDER BY id
            s1: SELECT * FROM child ORDER BY id
            s1: SELECT * FROM ONLY t ORDER BY id
            s1 hot: SELECT * FROM child ORDER BY id
            s2: UPDATE t SET v = 'by the parent'
            s1: SELECT * FROM child ORDER BY id
            s1 hot: SELECT * FROM t ORDER BY id
            s2: ALTER TABLE child NO INHERIT t
            s1: SELECT * FROM t ORDER BY id
            ",
        ),
        (
            "C31 more tables than anyone would list",
            "
            d: CREATE TABLE many (id int, v text) PARTITION BY LIST (id)
            d: DO $$ BEGIN FOR i IN 1..150 LOOP EXECUTE format('CREATE TABLE many_%s PARTITION OF many FOR VALUES IN (%s)', i, i); END LOOP; END $$
            s1 warm: SELECT count(*), sum(id) FROM many
            s2: INSERT INTO many_150 VALUES (150, 'last')
            s1: SELECT count(*), sum(id) FROM many
            s1 warm: SELECT * FROM many_149
            s2: INSERT INTO many VALUES (149, 'routed')
            s1: SELECT * FROM many_149
            ",
        ),
    ]);
}

#[test]
fn tables_deep_inside_a_read_count() {
    const DEEP: [(&str, &str); 22] = [
        (
            "a scalar subquery",
            "SELECT id, (SELECT max(w) FROM u) FROM t ORDER BY id",
        ),
        (
            "EXISTS",
            "SELECT id FROM t WHERE EXISTS (SELECT FROM u WHERE w = 'changed') ORDER BY id",
        ),
        (
            "IN",
            "SELECT id FROM t WHERE 'changed' IN (SELECT w FROM u) ORDER BY id",
        ),
        (
            "ANY of an array",
            "SELECT id FROM t WHERE 'changed' = ANY (ARRAY(SELECT w FROM u)) ORDER BY id",
        ),
        (
            "ORDER BY",
            "SELECT id FROM t ORDER BY (SELECT w = 'changed' FROM u WHERE u.id = t.id), id",
        ),
        (
            "LIMIT",
            "SELECT id FROM t ORDER BY id LIMIT (SELECT count(*) FROM u WHERE w = 'changed')",
        ),
        (
            "OFFSET",
            "SELECT id FROM t ORDER BY id OFFSET (SELECT count(*) FROM u WHERE w = 'changed')",
        ),
        (
            "GROUP BY",
            "SELECT count(*) FROM t GROUP BY (SELECT max(w) FROM u WHERE u.id = t.id) ORDER BY 1",
        ),
        (
            "HAVING",
            "SELECT count(*) FROM t HAVING (SELECT max(w) FROM u) > 'm'",
        ),
        (
            "PARTITION BY",
            "SELECT id, count(*) OVER (PARTITION BY (SELECT w FROM u WHERE u.id = t.id)) FROM t ORDER BY id",
        ),
        (
            "a join condition",
            "SELECT t.id FROM t JOIN t x ON x.id = t.id AND (SELECT max(w) FROM u) > 'x' ORDER BY 1",
        ),
        (
            "LATERAL",
            "SELECT t.id, x.w FROM t, LATERAL (SELECT w FROM u WHERE u.tid = t.id) x ORDER BY 1, 2",
        ),
        (
            "VALUES",
            "SELECT t.id, x.a FROM t, (VALUES ((SELECT max(w) FROM u))) x (a) ORDER BY 1",
        ),
        (
            "a recursive expression",
            "WITH RECURSIVE r AS (SELECT id FROM t UNION SELECT length(w) + 90 FROM u, r) SELECT * FROM r ORDER BY id",
        ),
        (
            "TABLE",
            "SELECT id::text FROM t UNION ALL (SELECT w FROM (TABLE u) x) ORDER BY 1",
        ),
        (
            "UNION TABLE",
            "SELECT id, id AS tid, v FROM t UNION TABLE u ORDER BY 1, 2, 3",
        ),
        (
            "EXCEPT",
            "SELECT v FROM t EXCEPT SELECT w FROM u ORDER BY 1",
        ),
        (
            "an argument",
            "SELECT id, length((SELECT max(w) FROM u)) FROM t ORDER BY id",
        ),
        (
            "FILTER",
            "SELECT count(*) FILTER (WHERE v < (SELECT max(w) FROM u WHERE w = 'changed')) FROM t",
        ),
        (
            "CASE",
            "SELECT CASE WHEN (SELECT max(w) FROM u) > 'd' THEN 1 ELSE id END FROM t ORDER BY 1",
        ),
        (
            "a common table expression named as a table",
            "WITH t AS (SELECT * FROM u) SELECT * FROM t ORDER BY id",
        ),
        ("a whole row", "SELECT u FROM u ORDER BY id"),
    ];
    let scenario = |&(name, read): &(&'static str, &str)| {
        // What the parser reads but nobody has placed in a class may be left to the server.
        let heat = if read.contains("TABLE u") {
            "warm"
        } else {
            "hot"
        };
        let script =
            format!("s1 {heat}: {read}\ns2: UPDATE u SET w = 'changed' WHERE id = 1\ns1: {read}");
        let name: &'static str = format!("C23 a table in {name}").leak();
        let script: &'static str = script.leak();
        (name, script)
    };
    check(&DEEP.iter().map(scenario).collect::<Vec<_>>());
}
