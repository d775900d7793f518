//! C, B17, O04: what a read hangs on is replaced, or changes what it is.

use super::check;

#[test]
fn what_is_replaced_answers_no_more() {
    check(&[
        (
            "B17 a table that becomes unlogged",
            "
            d: CREATE TABLE n (id int); INSERT INTO n VALUES (1)
            s1 hot: SELECT * FROM n
            s2: ALTER TABLE n SET UNLOGGED
            s1 cold: SELECT * FROM n
            ",
        ),
        (
            "C16 REFRESH inside a function",
            "
            d: CREATE MATERIALIZED VIEW mv AS SELECT * FROM t
            d: CREATE FUNCTION again() RETURNS void LANGUAGE plpgsql SET search_path = public AS $$ BEGIN REFRESH MATERIALIZED VIEW mv; END $$
            s2: UPDATE t SET v = 'new'
            s1 hot: SELECT * FROM mv ORDER BY id
            s2: SELECT again()
            s1: SELECT * FROM mv ORDER BY id
            ",
        ),
        (
            "C20 aggregates and operators replaced",
            "
            d: CREATE AGGREGATE total(int) (SFUNC = int4pl, STYPE = int, INITCOND = '0')
            d: CREATE OPERATOR @@@ (LEFTARG = int, RIGHTARG = int, FUNCTION = int4pl)
            s1 warm: SELECT total(id) FROM t
            s1 warm: SELECT id @@@ 1 FROM t ORDER BY id
            s2: CREATE OR REPLACE AGGREGATE total(int) (SFUNC = int4pl, STYPE = int, INITCOND = '100')
            s2: DROP OPERATOR @@@ (int, int)
            s2: CREATE OPERATOR @@@ (LEFTARG = int, RIGHTARG = int, FUNCTION = int4mul)
            s1: SELECT total(id) FROM t
            s1: SELECT id @@@ 1 FROM t ORDER BY id
            ",
        ),
        (
            "C21 attributes of a composite type",
            "
            d: CREATE TYPE pair AS (a int, b int); CREATE TABLE c (id int, p pair); INSERT INTO c VALUES (1, ROW(1, 2))
            s1 warm: SELECT * FROM c
            s2: ALTER TYPE pair ADD ATTRIBUTE more int
            s1: SELECT * FROM c
            s2: ALTER TYPE pair DROP ATTRIBUTE a
            s1: SELECT * FROM c
            ",
        ),
        (
            "C22 DROP OWNED BY",
            "
            d: CREATE SCHEMA s; CREATE TABLE s.x AS SELECT 1 AS id; ALTER TABLE s.x OWNER TO {alice}
            s1 hot: SELECT * FROM s.x
            s2: DROP OWNED BY {alice}
            s1 fails: SELECT * FROM s.x
            ",
        ),
        (
            "O04 an index that is built concurrently",
            "
            s1 hot: SELECT * FROM t ORDER BY id
            s2: CREATE INDEX CONCURRENTLY ON t (v)
            s1 hot: SELECT * FROM t ORDER BY id
            s2: INSERT INTO t VALUES (3, 'c')
            s1: SELECT * FROM t ORDER BY id
            ",
        ),
    ]);
}
