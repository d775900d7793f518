//! C: writes of portals that live longer than a message.

use anyhow::Result;
use pgmemo_tests::{
    net::{SOON, eventually},
    wire::{Answer, Conn, Frontend},
};

use super::pair::{warm, with_sessions};

/// The trigger may be made while the statement is bound: the lock is on another table.
#[test]
fn a_trigger_made_between_bind_and_execute_is_counted() -> Result<()> {
    with_sessions(|pgmemo, reader, writer| {
        let make = "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ \
             BEGIN INSERT INTO log VALUES (1, 'fired'); RETURN NULL; END $$; \
             CREATE TRIGGER note AFTER DELETE ON u FOR EACH ROW EXECUTE FUNCTION note()";
        let bind = Frontend::new()
            .parse("", "DELETE FROM t WHERE id = 1", &[])
            .bind("", "", &[])
            .flush();
        writer.send(bind.bytes())?;
        writer.read_until(b'2')?;
        reader.run(make)?;
        let read = "SELECT count(*) FROM log";
        assert_eq!(warm(pgmemo, reader, read)?, "0");
        let execute = Frontend::new().execute("", 0).sync();
        writer.send(execute.bytes())?;
        writer.read_until(b'Z')?;
        assert_eq!(reader.value(read)?, "1");
        Ok(())
    })
}

/// What only reads when it is bound may write when it goes on: the server looks at the function when
/// it calls it for the first time.
#[test]
fn a_function_replaced_while_a_portal_of_a_read_is_open_is_counted() -> Result<()> {
    with_sessions(|pgmemo, reader, writer| {
        reader.run(
            "CREATE FUNCTION f(int) RETURNS text STABLE LANGUAGE sql AS \
             'SELECT w FROM u WHERE id = $1'",
        )?;
        let read = "SELECT count(*) FROM log";
        warm(pgmemo, reader, read)?;
        writer.run("BEGIN")?;
        let first = Frontend::new()
            .parse("", "SELECT CASE WHEN id > 1 THEN f(id) END FROM t", &[])
            .bind("p", "", &[])
            .execute("p", 1)
            .sync();
        writer.send(first.bytes())?;
        writer.read_until(b'Z')?;
        reader.run(
            "CREATE OR REPLACE FUNCTION f(int) RETURNS text VOLATILE LANGUAGE sql AS \
             $$ INSERT INTO log VALUES ($1, 'replaced'); SELECT 'x' $$",
        )?;
        assert_eq!(warm(pgmemo, reader, read)?, "0");
        // It locks a table, so that the server hears of the new function.
        writer.run("SELECT count(*) FROM pg_class")?;
        writer.send(Frontend::new().execute("p", 0).sync().bytes())?;
        writer.read_until(b'Z')?;
        writer.run("COMMIT")?;
        assert_eq!(reader.value(read)?, "1");
        Ok(())
    })
}

#[test]
fn a_suspended_execute_is_not_cleared_by_the_tag_of_the_next() -> Result<()> {
    with_sessions(|pgmemo, reader, writer| {
        let prepare = "PREPARE w AS UPDATE t SET v = 'suspended' RETURNING id";
        writer.run(prepare)?;
        let read = "SELECT v FROM t WHERE id = 1";
        assert_eq!(warm(pgmemo, reader, read)?, "a");
        let batch = Frontend::new()
            .parse("", "EXECUTE w", &[])
            .bind("p", "", &[])
            .execute("p", 1)
            .parse("", "SHOW server_version", &[])
            .bind("", "", &[])
            .execute("", 0)
            .sync();
        writer.send(batch.bytes())?;
        let answer = writer.read_until(b'Z')?;
        assert!(answer.0.iter().any(|message| message.tag == b's'));
        assert_eq!(reader.value(read)?, "suspended");
        Ok(())
    })
}

/// A reply that is recorded belongs to the moment of its Bind. What the session does between that and
/// the Execute, for itself alone, is nobody else's.
#[test]
fn what_comes_between_bind_and_execute_is_not_recorded() -> Result<()> {
    // In the session, what it reads, and what it does in between.
    let cases = [
        ("t", "FETCH 1 FROM p"),
        ("t", "MOVE 1 IN p"),
        ("t", "SELECT 1; FETCH ALL FROM p"),
        (
            "t, LATERAL (SELECT current_setting('app.x', true) AS w) x",
            "SET app.x = 'other'",
        ),
        (
            "t, LATERAL (SELECT current_setting('app.x', true) AS w) x",
            "SELECT set_config('app.x', 'other', true)",
        ),
        (
            "t, LATERAL (SELECT current_user::text AS w) x",
            "SET LOCAL ROLE alice",
        ),
        (
            "moods, LATERAL (SELECT m::text AS w) x",
            "ALTER TYPE mood RENAME VALUE 'sad' TO 'blue'",
        ),
        (
            "t, LATERAL (SELECT first() AS w) x",
            "CREATE OR REPLACE FUNCTION first() RETURNS text LANGUAGE sql STABLE AS \
             $$ SELECT 'replaced'::text FROM t $$",
        ),
        (
            "t, LATERAL (SELECT first() AS w) x",
            "CREATE TEMP TABLE t AS SELECT 1 AS id, 'temporary' AS v",
        ),
        (
            "t, LATERAL (SELECT first() AS w) x",
            "SET LOCAL search_path = other, public",
        ),
    ];
    with_sessions(|pgmemo, reader, writer| {
        writer.run(
            "CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE TABLE moods (id int, m mood); \
             INSERT INTO moods VALUES (1, 'sad'); GRANT SELECT ON moods TO PUBLIC; \
             CREATE SCHEMA other; CREATE TABLE other.t (id int, v text); \
             INSERT INTO other.t VALUES (1, 'elsewhere'); \
             CREATE FUNCTION first() RETURNS text LANGUAGE sql STABLE AS \
             $$ SELECT v FROM t ORDER BY id LIMIT 1 $$",
        )?;
        warm(pgmemo, reader, "SELECT v FROM t")?;
        warm(pgmemo, writer, "SELECT v FROM t")?;
        for (number, (from, between)) in cases.into_iter().enumerate() {
            let read = format!("SELECT * FROM {from} WHERE id > -{number} ORDER BY 1");
            writer.run("BEGIN")?;
            let bind = Frontend::new()
                .parse("s", &read, &[])
                .bind("p", "s", &[])
                .sync();
            writer.send(bind.bytes())?;
            writer.read_until(b'Z')?;
            writer.run(between)?;
            let execute = Frontend::new().execute("p", 0).sync();
            writer.send(execute.bytes())?;
            writer.read_until(b'Z')?;
            writer.run("ROLLBACK; RESET app.x")?;
            let close = Frontend::new().close_statement("s").sync();
            writer.send(close.bytes())?;
            writer.read_until(b'Z')?;
            let heard = reader.extended(&read, &[])?.rows();
            // The same in other words, of which no reply is known.
            let afresh = format!("{read}, 1");
            let expected = reader.extended(&afresh, &[])?.rows();
            assert_eq!(heard, expected, "{between}");
            assert!(!expected.is_empty());
        }
        Ok(())
    })
}

/// So it is with a reply that is known already: what it hangs on is asked for when the portal runs.
#[test]
fn a_portal_runs_under_the_settings_of_its_execute() -> Result<()> {
    with_sessions(|pgmemo, reader, writer| {
        let read = "SELECT v || current_setting('app.x') FROM t WHERE id = 1";
        writer.run("SET app.x = '1'")?;
        reader.run("SET app.x = '1'")?;
        warm(pgmemo, reader, read)?;
        for set in [
            "SET app.x = '2'",
            "SET LOCAL app.x = '2'",
            "SELECT set_config('app.x', '2', true)",
        ] {
            writer.extended(read, &[])?;
            writer.run("BEGIN")?;
            let bind = Frontend::new()
                .parse("s", read, &[])
                .bind("p", "s", &[])
                .sync();
            writer.send(bind.bytes())?;
            writer.read_until(b'Z')?;
            writer.run(set)?;
            let execute = Frontend::new().execute("p", 0).close_statement("s").sync();
            writer.send(execute.bytes())?;
            assert_eq!(
                writer.read_until(b'Z')?.value().as_deref(),
                Some("a2"),
                "{set}"
            );
            writer.run("ROLLBACK")?;
            assert_eq!(reader.extended(read, &[])?.value().as_deref(), Some("a1"));
        }
        Ok(())
    })
}

/// What a portal writes after a pause, in a block, is counted at the end of the block.
#[test]
fn a_portal_that_goes_on_in_a_block_is_counted_to_its_end() -> Result<()> {
    with_sessions(|pgmemo, reader, writer| {
        writer.run(
            "CREATE FUNCTION put(int) RETURNS int LANGUAGE sql AS \
                 $$ INSERT INTO log VALUES ($1, 'portal') RETURNING n $$",
        )?;
        let read = "SELECT count(*) FROM log";
        writer.run("BEGIN")?;
        let first = Frontend::new()
            .parse("", "SELECT put(id) FROM t ORDER BY id", &[])
            .bind("p", "", &[])
            .execute("p", 1)
            .sync();
        writer.send(first.bytes())?;
        writer.read_until(b'Z')?;
        assert_eq!(warm(pgmemo, reader, read)?, "0");
        let rest = Frontend::new().execute("p", 0).sync();
        writer.send(rest.bytes())?;
        writer.read_until(b'Z')?;
        writer.run("COMMIT")?;
        assert_eq!(reader.value(read)?, "2");
        Ok(())
    })
}

#[test]
fn rows_copied_in_are_seen_by_both_protocols() -> Result<()> {
    with_sessions(|pgmemo, reader, writer| {
        let read = "SELECT count(*) FROM log";
        let copy = "COPY log FROM STDIN";
        assert_eq!(warm(pgmemo, reader, read)?, "0");
        writer.send(Frontend::new().query(copy).bytes())?;
        writer.read_until(b'G')?;
        let rows = Frontend::new().copy_data(b"1\tsimple\n").copy_done();
        writer.send(rows.bytes())?;
        writer.read_until(b'Z')?;
        assert_eq!(reader.value(read)?, "1");
        assert_eq!(warm(pgmemo, reader, read)?, "1");
        let begin = Frontend::new()
            .parse("", copy, &[])
            .bind("", "", &[])
            .execute("", 0)
            .flush();
        writer.send(begin.bytes())?;
        writer.read_until(b'G')?;
        let rows = Frontend::new()
            .copy_data(b"2\textended\n")
            .copy_done()
            .sync();
        writer.send(rows.bytes())?;
        writer.read_until(b'Z')?;
        assert_eq!(reader.value(read)?, "2");
        assert_eq!(warm(pgmemo, reader, read)?, "2");
        writer.send(Frontend::new().query(copy).bytes())?;
        writer.read_until(b'G')?;
        let rows = Frontend::new().copy_data(b"3\tlost\n").copy_fail("no");
        writer.send(rows.bytes())?;
        writer.read_until(b'Z')?;
        assert_eq!(reader.value(read)?, "2");
        Ok(())
    })
}

#[test]
fn functions_called_by_the_fast_path_are_seen() -> Result<()> {
    with_sessions(|pgmemo, reader, writer| {
        writer.run(
            "CREATE FUNCTION put() RETURNS int LANGUAGE sql AS \
             $$ INSERT INTO log VALUES (1, 'fast') RETURNING n $$",
        )?;
        let oid: u32 = writer
            .value("SELECT 'put()'::regprocedure::oid::int8")?
            .parse()?;
        let read = "SELECT count(*) FROM log";
        assert_eq!(warm(pgmemo, reader, read)?, "0");
        writer.send(Frontend::new().function_call(oid, &[]).bytes())?;
        writer.read_until(b'Z')?;
        assert_eq!(reader.value(read)?, "1");
        Ok(())
    })
}

/// Where the server has planned a statement, it has put bodies in the place of calls.
#[test]
fn what_stands_in_the_place_of_a_call_means_what_it_meant() -> Result<()> {
    let texts = [
        ("s0", "SELECT * FROM all_of() x", "a9", None),
        ("s1", "SELECT * FROM one_of() x", "far a9", Some("near a9")),
        ("s2", "SELECT * FROM sorted() x", "a9", Some("a10")),
    ];
    let first = |answer: &Answer| -> Option<String> {
        let row = answer.0.iter().find(|message| message.tag == b'D')?;
        let value = row.values().into_iter().next()??;
        String::from_utf8(value).ok()
    };
    let run = |conn: &mut Conn, before: Frontend, name: &str| -> Result<Option<String>> {
        let batch = before
            .bind("", name, &[])
            .describe_portal("")
            .execute("", 0);
        conn.send(batch.sync().bytes())?;
        Ok(first(&conn.read_until(b'Z')?))
    };
    with_sessions(|pgmemo, reader, writer| {
        reader.run(
            "CREATE SCHEMA near; CREATE SCHEMA far; SET search_path = near, far, public; \
             CREATE TABLE far.m (v text); INSERT INTO far.m VALUES ('a9'), ('a10'); \
             CREATE COLLATION far.mine (provider = icu, locale = 'en-u-kn-true'); \
             CREATE FUNCTION far.one() RETURNS text STABLE LANGUAGE sql AS $$ SELECT 'far'::text $$; \
             CREATE FUNCTION far.all_of() RETURNS SETOF text STABLE LANGUAGE sql AS \
                 $$ SELECT v FROM m ORDER BY v DESC $$; \
             CREATE FUNCTION far.one_of() RETURNS SETOF text STABLE LANGUAGE sql AS \
                 $$ SELECT one() || ' ' || v FROM far.m ORDER BY v DESC $$; \
             CREATE FUNCTION far.sorted() RETURNS SETOF text STABLE LANGUAGE sql AS \
                 $$ SELECT v FROM far.m ORDER BY v COLLATE mine $$",
        )?;
        writer.run("SET search_path = near, far, public")?;
        for (name, text, old, _) in texts {
            // Behind a write in its block nothing is looked up.
            writer.run("BEGIN; UPDATE t SET v = v")?;
            let parse = Frontend::new().parse(name, text, &[]);
            assert_eq!(run(writer, parse, name)?.as_deref(), Some(old));
            writer.run("COMMIT")?;
        }
        reader.run("CREATE TABLE near.m (v text)")?;
        reader.run("CREATE FUNCTION near.one() RETURNS text STABLE LANGUAGE sql AS $$ SELECT 'near'::text $$")?;
        reader.run("CREATE COLLATION near.mine FROM \"C\"")?;
        warm(pgmemo, reader, "SELECT id FROM public.t WHERE id = 1")?;
        for (name, text, old, new) in texts {
            for _ in 0..3 {
                assert_eq!(
                    run(writer, Frontend::new(), name)?.as_deref(),
                    Some(old),
                    "{text}"
                );
            }
            assert_eq!(
                first(&reader.extended(text, &[])?).as_deref(),
                new,
                "{text}"
            );
            for _ in 0..3 {
                assert_eq!(
                    run(writer, Frontend::new(), name)?.as_deref(),
                    Some(old),
                    "{text}"
                );
            }
        }
        Ok(())
    })
}

/// A simple query before which a portal of pgmemo's making is refused: the server skips it, and there is
/// no Sync of the client's to end that.
#[test]
fn a_query_behind_a_portal_that_cannot_be_made_is_answered() -> Result<()> {
    with_sessions(|pgmemo, reader, writer| {
        let open = |conn: &mut Conn, rows| {
            let messages = Frontend::new()
                .parse("s", "SELECT id FROM gone ORDER BY id", &[])
                .describe_statement("s")
                .bind("p", "s", &[])
                .execute("p", rows)
                .close_statement("s")
                .sync();
            conn.send(messages.bytes())?;
            conn.read_until(b'Z')
        };
        // `now()`.
        let called = Frontend::new().function_call(1299, &[]);
        let others = ["SAVEPOINT a", "SET datestyle = 'ISO'", "DO 'BEGIN END'"];
        let others = others.map(|sql| Frontend::new().query(sql));
        for last in others.into_iter().chain([called]) {
            reader.run("CREATE TABLE gone AS SELECT id FROM t")?;
            eventually("a hit", SOON, || {
                let before = pgmemo.hits().ok()?;
                open(reader, 0).ok()?;
                (pgmemo.hits().ok()? > before).then_some(())
            })?;
            writer.run("BEGIN")?;
            open(writer, 1)?;
            reader.run("DROP TABLE gone")?;
            // Another one in the same write is answered as well.
            let both = last.query("SELECT 1");
            writer.send(both.bytes())?;
            assert_eq!(writer.read_until(b'Z')?.error().as_deref(), Some("42P01"));
            assert_eq!(writer.read_until(b'Z')?.error().as_deref(), Some("25P02"));
            writer.run("ROLLBACK")?;
            assert_eq!(writer.value("SELECT 1")?, "1");
        }
        Ok(())
    })
}
