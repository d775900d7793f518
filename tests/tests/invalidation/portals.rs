//! C: writes of portals that live longer than a message.

use anyhow::Result;
use pgmemo_tests::wire::Frontend;

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
