//! C, B17, O04: what a read hangs on is replaced, or changes what it is.

use anyhow::{Result, ensure};
use pgmemo_tests::{
    net::{SOON, eventually},
    wire::{Conn, Frontend},
};

use super::{
    check,
    pair::{warm, with_sessions},
};

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
            "C21 a cast that is dropped, and its function stays",
            "
            d: CREATE TYPE boxed AS (n int); CREATE FUNCTION unbox(boxed) RETURNS int LANGUAGE sql AS $$ INSERT INTO log VALUES (9, 'cast') RETURNING n $$; CREATE CAST (boxed AS int) WITH FUNCTION unbox(boxed) AS ASSIGNMENT
            d: CREATE TABLE n (id int, v int); CREATE FUNCTION put() RETURNS int LANGUAGE plpgsql AS $$ BEGIN INSERT INTO n VALUES (1, ROW(7)::boxed); RETURN 1; END $$
            s2: SELECT put()
            s1 hot: SELECT * FROM log ORDER BY n
            s3: DROP CAST (boxed AS int)
            s1 hot: SELECT * FROM log ORDER BY n
            s2: SELECT put()
            s1: SELECT * FROM log ORDER BY n
            s3: DROP FUNCTION unbox(boxed)
            s1 hot: SELECT * FROM log ORDER BY n
            ",
        ),
        (
            "C21 the default of a domain that is dropped, and its function stays",
            "
            d: CREATE FUNCTION given() RETURNS int LANGUAGE sql AS $$ INSERT INTO log VALUES (9, 'given') RETURNING n $$; CREATE DOMAIN counted AS int DEFAULT given()
            d: CREATE TABLE n (id int, v counted); CREATE FUNCTION put() RETURNS int LANGUAGE plpgsql AS $$ BEGIN INSERT INTO n VALUES (1); RETURN 1; END $$
            s2: SELECT put()
            s1 hot: SELECT * FROM log ORDER BY n
            s3: ALTER DOMAIN counted DROP DEFAULT
            s1 hot: SELECT * FROM log ORDER BY n
            s2: SELECT put()
            s1: SELECT * FROM log ORDER BY n
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

// A server hears of new definitions when it locks a table, as any query does, not for a FETCH.
#[test]
fn what_runs_under_new_definitions_is_counted() {
    check(&[
        (
            "C12 a cursor over a function that is replaced",
            "
            d: CREATE FUNCTION f(int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN 1; END $$
            s2: BEGIN
            s2: DECLARE c CURSOR FOR SELECT f(id) FROM t
            s2: FETCH c
            s3: CREATE OR REPLACE FUNCTION f(int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN INSERT INTO log VALUES (1, 'replaced'); RETURN 1; END $$
            s1 hot: SELECT * FROM log ORDER BY n
            s2: SELECT count(*) > 0 FROM pg_class
            s2: FETCH c
            s2: SELECT * FROM log ORDER BY n
            s2: COMMIT
            s1: SELECT * FROM log ORDER BY n
            ",
        ),
        (
            "C12 a cursor that is kept, over a function that is replaced",
            "
            d: CREATE FUNCTION f(int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN 1; END $$
            s2: BEGIN
            s2: DECLARE c CURSOR WITH HOLD FOR SELECT f(id) FROM t
            s3: CREATE OR REPLACE FUNCTION f(int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN INSERT INTO log VALUES (1, 'replaced'); RETURN 1; END $$
            s1 hot: SELECT * FROM log ORDER BY n
            s2: SELECT count(*) > 0 FROM pg_class
            s2: COMMIT
            s1: SELECT * FROM log ORDER BY n
            ",
        ),
        (
            "C12 a cursor that a function has opened, over one that is replaced",
            "
            d: CREATE FUNCTION f(int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN 1; END $$
            d: CREATE FUNCTION opened() RETURNS refcursor LANGUAGE plpgsql AS $$ DECLARE c CURSOR FOR SELECT f(id) FROM t; BEGIN c := 'c'; OPEN c; RETURN c; END $$
            s2: BEGIN
            s2: SELECT opened()
            s3: CREATE OR REPLACE FUNCTION f(int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN INSERT INTO log VALUES (1, 'replaced'); RETURN 1; END $$
            s1 hot: SELECT * FROM log ORDER BY n
            s2: SELECT count(*) > 0 FROM pg_class
            s2: FETCH c
            s2: COMMIT
            s1: SELECT * FROM log ORDER BY n
            ",
        ),
        (
            "C12 a cursor over a view whose function is replaced",
            "
            d: CREATE FUNCTION f(int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN 1; END $$; CREATE VIEW vw AS SELECT f(id) FROM t
            s2: BEGIN
            s2: DECLARE c CURSOR FOR SELECT * FROM vw
            s3: CREATE OR REPLACE FUNCTION f(int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN INSERT INTO log VALUES (1, 'replaced'); RETURN 1; END $$
            s1 hot: SELECT * FROM log ORDER BY n
            s2: SELECT count(*) > 0 FROM pg_class
            s2: MOVE c
            s2: COMMIT
            s1: SELECT * FROM log ORDER BY n
            ",
        ),
        (
            "C12 a cursor over an operator whose function is replaced",
            "
            d: CREATE FUNCTION g(int, int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN 1; END $$; CREATE OPERATOR @@@ (LEFTARG = int, RIGHTARG = int, FUNCTION = g)
            s2: BEGIN
            s2: DECLARE c CURSOR FOR SELECT id @@@ 1 FROM t
            s3: CREATE OR REPLACE FUNCTION g(int, int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN INSERT INTO log VALUES (2, 'replaced'); RETURN 1; END $$
            s1 hot: SELECT * FROM log ORDER BY n
            s2: LOCK TABLE u IN ACCESS SHARE MODE
            s2: FETCH c
            s2: COMMIT
            s1: SELECT * FROM log ORDER BY n
            ",
        ),
        (
            "C12 a cursor over tables alone is no write",
            "
            s1 hot: SELECT * FROM log ORDER BY n
            s2: BEGIN
            s2: DECLARE c CURSOR FOR SELECT lower(v) FROM t ORDER BY id
            s2: FETCH c
            s2 still: SELECT * FROM log ORDER BY n
            s2: COMMIT
            s1 still: SELECT * FROM log ORDER BY n
            ",
        ),
    ]);
}

/// A server goes on running what a read was analysed with: a cast that is gone, and, before the releases
/// of August 2026, a policy that does not apply to its role any more. What the text means now is a plain
/// read.
#[test]
fn what_a_prepared_read_runs_of_what_was_there_is_counted() -> Result<()> {
    const COUNT: &str = "SELECT count(*) FROM called";
    const COUNT_NOW: &str = "SELECT count(*) FROM called HAVING random() < 1";
    let cast = "CREATE CAST (point AS int) WITH FUNCTION call(point)";
    let policy =
        "CREATE POLICY p ON q USING (call(p) = 1); ALTER TABLE q ENABLE ROW LEVEL SECURITY";
    let reads = [
        (
            cast,
            "SELECT id FROM q WHERE p::int = 1",
            "DROP CAST (point AS int)",
        ),
        (policy, "SELECT id FROM q", "ALTER ROLE sees_some BYPASSRLS"),
    ];
    for (made, read, gone) in reads {
        with_sessions(|pgmemo, reader, writer| {
            writer.run(
                "CREATE TABLE called (n int);
                CREATE FUNCTION call(point) RETURNS int LANGUAGE plpgsql SECURITY DEFINER AS
                    $$ BEGIN INSERT INTO public.called VALUES (1); RETURN 1; END $$;
                CREATE TABLE q (id int, p point); INSERT INTO q VALUES (1, '(1,1)');
                CREATE ROLE sees_some; GRANT SELECT ON q TO sees_some",
            )?;
            writer.run(made)?;
            let hits = pgmemo.hits()?;
            eventually("it is known", SOON, || {
                reader.run("SELECT id FROM q").ok()?;
                let metrics = pgmemo.metrics().ok()?;
                let refused = metrics.sum("pgmemo_lookups_total", &[r#"reason="unknown_cast""#]);
                (metrics.hits() > hits || refused > 0.0 || !pgmemo.is_real()).then_some(())
            })?;
            writer.run("SET ROLE sees_some")?;
            let parse = Frontend::new().parse("s", read, &[]).sync();
            writer.send(parse.bytes())?;
            writer.read_until(b'Z')?;
            let batch = Frontend::new().bind("", "s", &[]).execute("", 0).sync();
            let run = |writer: &mut Conn| {
                writer.send(batch.bytes())?;
                let answer = writer.read_until(b'Z')?;
                ensure!(answer.value().as_deref() == Some("1"), "{answer:?}");
                anyhow::Ok(())
            };
            run(writer)?;
            reader.run(gone)?;
            for round in 0..4 {
                let before: u32 = warm(pgmemo, reader, COUNT)?.parse()?;
                run(writer)?;
                let (after, now) = (reader.value(COUNT)?, reader.value(COUNT_NOW)?);
                ensure!(after == now, "{read}: {after} of {now} in {round}");
                let runs = made != cast || now == (before + 1).to_string();
                ensure!(runs, "{read}: the server runs no cast that is gone");
            }
            Ok(())
        })?;
    }
    Ok(())
}

/// It is still a COPY, whatever its words have come to mean.
#[test]
fn a_prepared_copy_takes_data_behind_changes_of_definitions() -> Result<()> {
    with_sessions(|pgmemo, reader, writer| {
        writer.run("CREATE TABLE copied (a int, b text)")?;
        warm(pgmemo, writer, "SELECT count(*) FROM copied")?;
        let parse = Frontend::new().parse("s", "COPY copied(a,b) FROM STDIN", &[]);
        writer.send(parse.sync().bytes())?;
        writer.read_until(b'Z')?;
        let copy = |writer: &mut Conn| {
            let begin = Frontend::new().bind("", "s", &[]).execute("", 0).sync();
            writer.send(begin.bytes())?;
            writer.read_until(b'G')?;
            let data = Frontend::new().copy_data(b"1\tx\n").copy_done().sync();
            writer.send(data.bytes())?;
            ensure!(writer.read_until(b'Z')?.error().is_none());
            anyhow::Ok(())
        };
        copy(writer)?;
        let before = pgmemo.metrics()?;
        reader.run(
            "CREATE FUNCTION copied(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1';
            CREATE FUNCTION first_of(point) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT 1';
            CREATE CAST (point AS int) WITH FUNCTION first_of(point)",
        )?;
        eventually("it is known", SOON, || {
            reader.run("SELECT count(*) FROM copied").ok()?;
            let now = pgmemo.metrics().ok()?;
            let refused = now.sum("pgmemo_lookups_total", &[r#"reason="unknown_cast""#]);
            (now.hits() > before.hits() || refused > 0.0 || !pgmemo.is_real()).then_some(())
        })?;
        for _ in 0..3 {
            writer.run("SELECT count(*) FROM copied")?;
            copy(writer)?;
        }
        Ok(())
    })
}

/// In another encoding the same name has other bytes.
#[test]
fn a_statement_is_not_told_by_bytes_that_hang_on_the_encoding() -> Result<()> {
    const UTF8: &[u8] = "s\u{e9}".as_bytes();
    const LATIN1: &[u8] = b"s\xe9";
    with_sessions(|pgmemo, reader, writer| {
        let send = |writer: &mut Conn, batch: Frontend| {
            writer.send(batch.sync().bytes())?;
            let answer = writer.read_until(b'Z')?;
            ensure!(answer.error().is_none(), "{answer:?}");
            anyhow::Ok(())
        };
        let parse = |name: &[u8], sql: &str| {
            let body = [name, b"\0", sql.as_bytes(), b"\0\0\0"].concat();
            Frontend::new().message(b'P', &body)
        };
        send(writer, parse(UTF8, "SELECT v FROM t WHERE id = 1"))?;
        writer.run("SET client_encoding = latin1")?;
        let close = [b"S", LATIN1, b"\0"].concat();
        send(writer, Frontend::new().message(b'C', &close))?;
        send(
            writer,
            parse(LATIN1, "UPDATE t SET v = v || 'x' WHERE id = 1"),
        )?;
        writer.run("SET client_encoding = utf8")?;
        for _ in 0..2 {
            let before = warm(pgmemo, reader, "SELECT v FROM t WHERE id = 1")?;
            let bind = [b"\0", UTF8, b"\0\0\0\0\0\0\0"].concat();
            let batch = Frontend::new().message(b'B', &bind).execute("", 0);
            send(writer, batch)?;
            let after = reader.value("SELECT v FROM t WHERE id = 1")?;
            ensure!(after == format!("{before}x"), "{before} became {after}");
        }
        Ok(())
    })
}
