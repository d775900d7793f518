//! C: writes that look like something else.

use anyhow::Result;
use pgmemo_tests::wire::{Conn, Frontend};

use super::{
    check,
    pair::{warm, with_sessions},
};

/// Sends messages and reads the answer up to its end.
fn exchange(conn: &mut Conn, messages: &Frontend, end: u8) -> Result<()> {
    conn.send(messages.bytes())?;
    conn.read_until(end)?;
    Ok(())
}

const READ: &str = "SELECT v FROM t WHERE id = 1";

const UPDATE: &str = "UPDATE t SET v = 'x' WHERE id = 1 RETURNING id";

const PUT: &str = "CREATE FUNCTION put() RETURNS int LANGUAGE sql AS \
    $$ UPDATE t SET v = 'x' WHERE id = 1 RETURNING id $$";

#[test]
fn a_portal_that_is_read_as_a_cursor_has_written() -> Result<()> {
    with_sessions(|pgmemo, reader, writer| {
        reader.run(PUT)?;
        for (text, fetch) in [
            (UPDATE, "FETCH ALL FROM p"),
            (UPDATE, "MOVE ALL FROM p"),
            ("SELECT put()", "FETCH ALL FROM p"),
        ] {
            reader.run("UPDATE t SET v = 'a' WHERE id = 1")?;
            assert_eq!(warm(pgmemo, reader, READ)?, "a");
            writer.run("BEGIN")?;
            let bind = Frontend::new().parse("", text, &[]).bind("p", "", &[]);
            exchange(writer, &bind.sync(), b'Z')?;
            assert_eq!(reader.value(READ)?, "a");
            writer.run(fetch)?;
            assert_eq!(writer.value(READ)?, "x", "{text}, {fetch}");
            assert_eq!(warm(pgmemo, reader, READ)?, "a");
            writer.run("COMMIT")?;
            assert_eq!(reader.value(READ)?, "x", "{text}, {fetch}");
        }
        Ok(())
    })
}

#[test]
fn a_portal_that_is_read_by_code_has_written() -> Result<()> {
    with_sessions(|pgmemo, reader, writer| {
        reader.run(
            "CREATE FUNCTION pull(c refcursor) RETURNS int LANGUAGE plpgsql AS \
             $$ DECLARE r record; BEGIN FETCH c INTO r; RETURN 1; END $$",
        )?;
        assert_eq!(warm(pgmemo, reader, READ)?, "a");
        let all = Frontend::new()
            .parse("", UPDATE, &[])
            .bind("p", "", &[])
            .parse("", "SELECT pull('p')", &[])
            .bind("", "", &[])
            .execute("", 0);
        exchange(writer, &all.sync(), b'Z')?;
        assert_eq!(reader.value(READ)?, "x");
        Ok(())
    })
}

#[test]
fn a_portal_that_is_read_as_a_cursor_has_changed_settings() -> Result<()> {
    with_sessions(|pgmemo, reader, writer| {
        reader.run("CREATE SCHEMA far; CREATE TABLE far.t AS SELECT 1 AS id, 'far' AS v")?;
        for fetch in [
            "FETCH ALL FROM p",
            "SELECT 1; FETCH ALL FROM p",
            "SET a.b = '1'; MOVE ALL FROM p",
            "FETCH ALL FROM p; SET a.b = '1'",
        ] {
            assert_eq!(warm(pgmemo, writer, READ)?, "a");
            writer.run("BEGIN")?;
            let set = "SELECT set_config('search_path', 'far', false)";
            let bind = Frontend::new().parse("", set, &[]).bind("p", "", &[]);
            exchange(writer, &bind.sync(), b'Z')?;
            assert_eq!(writer.value(READ)?, "a");
            writer.run(fetch)?;
            assert_eq!(writer.value(READ)?, "far", "{fetch}");
            writer.run("COMMIT")?;
            assert_eq!(writer.value(READ)?, "far", "{fetch}");
            writer.run("RESET ALL")?;
        }
        Ok(())
    })
}

/// Text that is not understood may turn out to be harmless; the end of a block in front of it does
/// not.
#[test]
fn what_is_harmless_behind_a_commit_does_not_excuse_it() -> Result<()> {
    with_sessions(|pgmemo, reader, writer| {
        assert_eq!(warm(pgmemo, reader, READ)?, "a");
        writer.run("BEGIN")?;
        writer.run(UPDATE)?;
        let commit = Frontend::new()
            .parse("", "COMMIT", &[])
            .bind("", "", &[])
            .execute("", 0);
        exchange(writer, &commit.flush(), b'C')?;
        let set = Frontend::new()
            .parse("", "SET app.note = E'a'", &[])
            .bind("", "", &[])
            .execute("", 0);
        exchange(writer, &set.sync(), b'Z')?;
        assert_eq!(reader.value(READ)?, "x");
        Ok(())
    })
}

/// A function call has no tag, and that of another statement says nothing about it.
#[test]
fn what_is_harmless_before_a_function_call_does_not_excuse_it() -> Result<()> {
    with_sessions(|pgmemo, reader, writer| {
        writer.run(
            "CREATE FUNCTION put(text) RETURNS int LANGUAGE sql AS \
             $$ UPDATE t SET v = 'x' WHERE id = 1 RETURNING id $$",
        )?;
        let oid = writer.value("SELECT 'put(text)'::regprocedure::oid::int8")?;
        assert_eq!(warm(pgmemo, reader, READ)?, "a");
        let long = "x".repeat(1_100_000);
        let call = Frontend::new()
            .parse("", "SHOW timezone", &[])
            .bind("", "", &[])
            .execute("", 0)
            .function_call(oid.parse()?, &[&long]);
        exchange(writer, &call, b'Z')?;
        assert_eq!(reader.value(READ)?, "x");
        Ok(())
    })
}

#[test]
fn a_statement_that_was_prepared_anew_in_one_string_is_another() -> Result<()> {
    with_sessions(|pgmemo, reader, writer| {
        assert_eq!(warm(pgmemo, reader, READ)?, "a");
        let parse = Frontend::new()
            .parse("s", "SELECT 1", &[])
            .describe_statement("s");
        exchange(writer, &parse.sync(), b'Z')?;
        writer.run(&format!("DEALLOCATE s; PREPARE s AS {UPDATE}"))?;
        let run = Frontend::new().bind("", "s", &[]).execute("", 0);
        exchange(writer, &run.sync(), b'Z')?;
        assert_eq!(reader.value(READ)?, "x");
        Ok(())
    })
}

#[test]
fn execute_writes_what_was_prepared() {
    check(&[
        (
            "B29 EXECUTE empties nothing",
            "
            d: CREATE TABLE apart (id int); INSERT INTO apart VALUES (1)
            d: CREATE FUNCTION put() RETURNS int LANGUAGE plpgsql AS $$ BEGIN INSERT INTO log VALUES (5, 'put'); RETURN 1; END $$
            s2: PREPARE w(int, text) AS UPDATE t SET v = $2 WHERE id = $1
            s2: PREPARE r AS SELECT count(*) FROM t
            s2: PREPARE called AS SELECT put()
            s1 hot: SELECT * FROM apart
            s1 hot: SELECT * FROM log
            s1 hot: SELECT * FROM t ORDER BY id
            s2: EXECUTE r
            s1 still: SELECT * FROM t ORDER BY id
            s2: EXECUTE w(1, 'executed')
            s1: SELECT * FROM t ORDER BY id
            s1 hot: SELECT * FROM t ORDER BY id
            s2: BEGIN
            s2: EXECUTE w(2, 'in a block')
            s2: EXECUTE r
            s2: SELECT * FROM t ORDER BY id
            s1: SELECT * FROM t ORDER BY id
            s2: COMMIT
            s1: SELECT * FROM t ORDER BY id
            s1 still: SELECT * FROM log
            s2: EXECUTE called
            s1: SELECT * FROM log
            s1 still: SELECT * FROM apart
            s1 hot: SELECT * FROM log
            s1 hot: SELECT * FROM t ORDER BY id
            s2: EXECUTE w(-1, NULL)
            s1 still: SELECT * FROM apart
            s1 hot: SELECT * FROM t ORDER BY id
            s2: EXECUTE w(put() + 1, 'computed')
            s1: SELECT * FROM log
            s1: SELECT * FROM t ORDER BY id
            ",
        ),
        (
            "B29 EXECUTE of what is another by now, or means something else",
            "
            d: CREATE SCHEMA other; CREATE TABLE other.t (id int, v text); INSERT INTO other.t VALUES (1, 'other')
            s2: PREPARE w AS UPDATE t SET v = v || '+'
            s2: DEALLOCATE w
            s2: PREPARE w AS INSERT INTO log VALUES (1, 'w')
            s1 hot: SELECT * FROM log
            s1 hot: SELECT * FROM t ORDER BY id
            s2: EXECUTE w
            s1: SELECT * FROM log
            s2 fails: PREPARE w AS SELECT 1
            s1 hot: SELECT * FROM log
            s2: EXECUTE w
            s1: SELECT * FROM log
            s2: DO $$ BEGIN EXECUTE 'DEALLOCATE w'; EXECUTE $q$ PREPARE w AS UPDATE t SET v = v || '-' $q$; END $$
            s1 hot: SELECT * FROM log
            s1 hot: SELECT * FROM t ORDER BY id
            s2: EXECUTE w
            s1: SELECT * FROM t ORDER BY id
            s2: DISCARD ALL
            s2: PREPARE w AS UPDATE t SET v = v || '*'
            s1 hot: SELECT * FROM t ORDER BY id
            s1 hot: SELECT * FROM other.t
            s2: EXECUTE w
            s1: SELECT * FROM t ORDER BY id
            s2: SET search_path = other, public
            s1 hot: SELECT * FROM t ORDER BY id
            s1 hot: SELECT * FROM other.t
            s2: EXECUTE w
            s1: SELECT * FROM t ORDER BY id
            s1: SELECT * FROM other.t
            s2: RESET search_path
            s1 hot: SELECT * FROM t ORDER BY id
            s3: CREATE FUNCTION seen() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO log VALUES (9, 'seen'); RETURN NULL; END $$
            s3: CREATE TRIGGER seen AFTER UPDATE ON t FOR EACH ROW EXECUTE FUNCTION seen()
            s1 hot: SELECT * FROM log
            s2: EXECUTE w
            s1: SELECT * FROM log
            s2: CREATE TEMP TABLE t (id int, v text)
            s1 hot: SELECT * FROM t ORDER BY id
            s2: EXECUTE w
            s1: SELECT * FROM t ORDER BY id
            s2 simple: DEALLOCATE w; PREPARE w AS DELETE FROM log
            s1 hot: SELECT * FROM log
            s2: EXECUTE w
            s1: SELECT * FROM log
            ",
        ),
    ]);
}

/// The first of two keeps the name; the server refuses the second, or drops what the first has made.
#[test]
fn a_name_is_what_was_prepared_and_not_what_was_sent() -> Result<()> {
    const PREPARE: &str = "PREPARE s AS UPDATE t SET v = v || '!'";
    const OTHER: &str = "PREPARE s AS INSERT INTO log VALUES (3, 's')";
    let run = |text| Frontend::new().parse("", text, &[]).bind("", "", &[]);
    let executed = |text| run(text).execute("", 0).sync();
    let simple = |text: &str| Frontend::new().query(text).bytes().to_vec();
    let two = |first: Vec<u8>, second: Vec<u8>| [first, second].concat();
    let extended = two(
        executed(PREPARE).bytes().to_vec(),
        executed(OTHER).bytes().to_vec(),
    );
    let between = [simple(PREPARE), simple("DISCARD PLANS"), simple(OTHER)].concat();
    let closed = Frontend::new()
        .close_statement("s")
        .parse("s", "DELETE FROM log WHERE n = 3", &[])
        .sync();
    for (batch, answers, read) in [
        (two(simple(PREPARE), simple(OTHER)), 2, READ),
        (extended, 2, READ),
        (between, 3, READ),
        (
            two(simple(OTHER), closed.bytes().to_vec()),
            2,
            "SELECT count(*) FROM log",
        ),
    ] {
        with_sessions(|pgmemo, reader, writer| {
            writer.run("INSERT INTO log VALUES (3, 'was there')")?;
            writer.send(&batch)?;
            for _ in 0..answers {
                writer.read_until(b'Z')?;
            }
            warm(pgmemo, reader, read)?;
            let before = reader.value(read)?;
            writer.run("EXECUTE s")?;
            assert_ne!(reader.value(read)?, before);
            Ok(())
        })?;
    }
    Ok(())
}

#[test]
fn explaining_evaluates_arguments() {
    check(&[(
        "EXPLAIN EXECUTE evaluates the arguments without ANALYZE",
        "
        d: CREATE FUNCTION put() RETURNS int LANGUAGE sql AS $$ UPDATE t SET v = 'put' WHERE id = 1 RETURNING id $$
        s2: PREPARE q(int) AS SELECT $1
        s1 hot: SELECT * FROM t ORDER BY id
        s2: EXPLAIN (COSTS off) EXECUTE q(put())
        s1: SELECT * FROM t ORDER BY id
        s2: UPDATE t SET v = 'a' WHERE id = 1
        s1 hot: SELECT * FROM t ORDER BY id
        s2: EXPLAIN (COSTS off) CREATE TABLE x AS EXECUTE q(put())
        s1: SELECT * FROM t ORDER BY id
        ",
    )]);
}

#[test]
fn policies_are_followed_into_what_they_name() {
    check(&[(
        "a policy that checks what is inserted reads a view that writes",
        "
        d: CREATE FUNCTION note() RETURNS bool LANGUAGE sql SECURITY DEFINER AS $$ INSERT INTO log VALUES (1, 'seen') RETURNING true $$
        d: CREATE VIEW gate AS SELECT note() AS ok; CREATE TABLE guarded (id int); ALTER TABLE guarded ENABLE ROW LEVEL SECURITY
        d: CREATE POLICY i ON guarded FOR INSERT WITH CHECK ((SELECT ok FROM gate)); GRANT ALL ON guarded, gate TO {alice}
        s1 hot: SELECT count(*) FROM log
        s2@{alice}: INSERT INTO guarded VALUES (1)
        s1: SELECT count(*) FROM log
        ",
    )]);
}

#[test]
fn what_databases_share_is_told_to_all_of_them() {
    check(&[
        (
            "S03 a membership that ends in two phases in another database",
            "
            d: REVOKE ALL ON t FROM PUBLIC; GRANT SELECT ON t TO {bob}; GRANT {bob} TO {alice}
            s2/{db2}: SELECT 1
            s1@{alice} hot: SELECT * FROM t ORDER BY id
            s2: BEGIN
            s2: REVOKE {bob} FROM {alice}
            s2: PREPARE TRANSACTION '{db}'
            s2: COMMIT PREPARED '{db}'
            s1 fails: SELECT * FROM t ORDER BY id
            ",
        ),
        (
            "S03 a membership that ends in a text that is not read",
            "
            d: REVOKE ALL ON t FROM PUBLIC; GRANT SELECT ON t TO {bob}; GRANT {bob} TO {alice}
            s2/{db2}: SET standard_conforming_strings = off
            s1@{alice} hot: SELECT * FROM t ORDER BY id
            s2: REVOKE {bob} FROM {alice} /* \\ */
            s1 fails: SELECT * FROM t ORDER BY id
            ",
        ),
    ]);
}

#[test]
fn what_is_made_run_and_dropped_at_once_may_change_the_session() {
    check(&[
        (
            "K15 a function of one block sets the path",
            "
            d: CREATE SCHEMA far; CREATE TABLE far.t AS SELECT 5 AS id, 'far' AS v
            s1 hot: SELECT * FROM t ORDER BY id
            s1: BEGIN
            s1: CREATE FUNCTION fix() RETURNS text LANGUAGE sql AS $$ SELECT set_config('search_path', 'far', false) $$
            s1: SELECT fix()
            s1: DROP FUNCTION public.fix()
            s1: COMMIT
            s2 hot: SELECT * FROM t ORDER BY id
            s1: SELECT * FROM t ORDER BY id
            ",
        ),
        (
            "K15 a function of one string sets the path",
            "
            d: CREATE SCHEMA far; CREATE TABLE far.t AS SELECT 5 AS id, 'far' AS v
            s1 hot: SELECT * FROM t ORDER BY id
            s1 simple: CREATE FUNCTION fix() RETURNS text LANGUAGE sql AS $$ SELECT set_config('search_path', 'far', false) $$; SELECT fix(); DROP FUNCTION public.fix()
            s2 hot: SELECT * FROM t ORDER BY id
            s1: SELECT * FROM t ORDER BY id
            ",
        ),
    ]);
}

/// What a statement of a string means depends on those in front of it.
#[test]
fn a_string_that_moves_writes_where_it_has_come_to() {
    check(&[
        (
            "C a string sets the path and writes",
            "
            d: CREATE SCHEMA far; CREATE TABLE far.t (id int PRIMARY KEY, v text); INSERT INTO far.t VALUES (1, 'far')
            s1 hot: SELECT v FROM far.t WHERE id = 1
            s2 hot: SELECT v FROM t WHERE id = 1
            s2 simple: SET search_path = far; UPDATE t SET v = 'new' WHERE id = 1
            s1: SELECT v FROM far.t WHERE id = 1
            s2: SELECT v FROM t WHERE id = 1
            ",
        ),
        (
            "C a string sets the path by a function and writes",
            "
            d: CREATE SCHEMA far; CREATE TABLE far.t (id int PRIMARY KEY, v text); INSERT INTO far.t VALUES (1, 'far')
            s1 hot: SELECT v FROM far.t WHERE id = 1
            s2 hot: SELECT v FROM t WHERE id = 1
            s2 simple: SELECT set_config('search_path', 'far', true); UPDATE t SET v = 'new'
            s1: SELECT v FROM far.t WHERE id = 1
            s2: SELECT v FROM t WHERE id = 1
            ",
        ),
        (
            "C a string ends the block that had set the path, and writes",
            "
            d: CREATE SCHEMA far; CREATE TABLE far.t (id int PRIMARY KEY, v text); INSERT INTO far.t VALUES (1, 'far')
            s1 hot: SELECT v FROM t WHERE id = 1
            s2: BEGIN
            s2: SET LOCAL search_path = far
            s2 warm: SELECT v FROM t WHERE id = 1
            s2 simple: COMMIT; UPDATE t SET v = 'new' WHERE id = 1
            s1: SELECT v FROM t WHERE id = 1
            s2: SELECT v FROM t WHERE id = 1
            s2: BEGIN
            s2: SET LOCAL search_path = far
            s2 simple: ROLLBACK; DELETE FROM t WHERE id = 1
            s1: SELECT v FROM t WHERE id = 1
            ",
        ),
        (
            "C a string drops what hid a table, and writes",
            "
            s1 hot: SELECT v FROM t WHERE id = 1
            s2: CREATE TEMP TABLE t (id int PRIMARY KEY, v text)
            s2: INSERT INTO t VALUES (1, 'mine')
            s2 simple: DISCARD TEMP; UPDATE t SET v = 'new' WHERE id = 1
            s1: SELECT v FROM t WHERE id = 1
            s1 hot: SELECT v FROM t WHERE id = 1
            s2: BEGIN
            s2: CREATE TEMP TABLE t (id int PRIMARY KEY, v text) ON COMMIT DROP
            s2: INSERT INTO t VALUES (1, 'mine')
            s2 simple: COMMIT; UPDATE t SET v = 'newer' WHERE id = 1
            s1: SELECT v FROM t WHERE id = 1
            ",
        ),
    ]);
}

/// Functions of the server in what the catalog keeps as trees.
#[test]
fn what_is_run_without_being_written_out_may_change_settings() {
    check(&[
        (
            "K09 defaults, checks, conditions of triggers and policies set the path",
            "
            d: CREATE SCHEMA far; CREATE TABLE far.t AS SELECT 5 AS id, 'far' AS v
            d: CREATE TABLE public.w1 (id int, x text DEFAULT set_config('search_path', 'far', false))
            d: CREATE TABLE public.w2 (id int, CHECK (set_config('search_path', 'far', false) <> ''))
            d: CREATE TABLE public.w3 (id int); CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$
            d: CREATE TRIGGER w BEFORE INSERT ON w3 FOR EACH ROW WHEN (set_config('search_path', 'far', false) <> '') EXECUTE FUNCTION note()
            d: CREATE TABLE public.w4 (id int); ALTER TABLE w4 ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON w4 WITH CHECK (set_config('search_path', 'far', false) <> '')
            d: CREATE DOMAIN public.d5 AS text DEFAULT set_config('search_path', 'far', false); CREATE TABLE public.w5 (id int, x d5)
            d: CREATE DOMAIN public.d6 AS text CHECK (set_config('search_path', 'far', false) <> '')
            d: CREATE FUNCTION public.f7(x text DEFAULT set_config('search_path', 'far', false)) RETURNS int LANGUAGE sql AS 'SELECT 1'
            d: GRANT ALL ON ALL TABLES IN SCHEMA public, far TO PUBLIC; GRANT USAGE ON SCHEMA far TO PUBLIC
            s2@{alice} hot: SELECT * FROM t ORDER BY id
            s2: INSERT INTO public.w1 (id) VALUES (1)
            s2: SELECT * FROM t ORDER BY id
            s2: SET search_path = public
            s2 hot: SELECT * FROM t ORDER BY id
            s2: INSERT INTO public.w2 (id) VALUES (1)
            s2: SELECT * FROM t ORDER BY id
            s2: SET search_path = public
            s2 hot: SELECT * FROM t ORDER BY id
            s2: INSERT INTO public.w3 (id) VALUES (1)
            s2: SELECT * FROM t ORDER BY id
            s2: SET search_path = public
            s2 hot: SELECT * FROM t ORDER BY id
            s2: INSERT INTO public.w4 (id) VALUES (1)
            s2: SELECT * FROM t ORDER BY id
            s2: SET search_path = public
            s2 hot: SELECT * FROM t ORDER BY id
            s2: INSERT INTO public.w5 (id) VALUES (1)
            s2: SELECT * FROM t ORDER BY id
            s2: SET search_path = public
            s2 hot: SELECT * FROM t ORDER BY id
            s2: SELECT v::public.d6 FROM t WHERE random() < 2 ORDER BY id
            s2: SELECT * FROM t ORDER BY id
            s2: SET search_path = public
            s2 hot: SELECT * FROM t ORDER BY id
            s2: SELECT public.f7()
            s2: SELECT * FROM t ORDER BY id
            ",
        ),
    ]);
}

#[test]
fn what_is_run_without_being_written_out_may_write() {
    let world = "
        d: CREATE FUNCTION put() RETURNS int LANGUAGE sql AS $$ UPDATE t SET v = v || '+' WHERE id = 1 RETURNING id $$
        d: CREATE FUNCTION run(text, bool, bool, text) RETURNS xml LANGUAGE internal AS 'query_to_xml'
        ";
    let put = "query_to_xml('SELECT put()', false, false, '')";
    let changes = [
        (
            "C10 a default that runs text",
            format!("CREATE TABLE w (id int, x xml DEFAULT {put})"),
            "INSERT INTO w (id) VALUES (1)",
        ),
        (
            "C12 a default of an argument that runs text",
            format!(
                "CREATE FUNCTION g(x xml DEFAULT {put}) RETURNS int LANGUAGE sql AS 'SELECT 1'"
            ),
            "SELECT g()",
        ),
        (
            "C12 a default of a domain that runs text",
            format!("CREATE DOMAIN p AS xml DEFAULT {put}; CREATE TABLE w (id int, x p)"),
            "INSERT INTO w (id) VALUES (1)",
        ),
        (
            "C12 a check of a domain that runs compiled code",
            "CREATE DOMAIN p AS int CHECK (run('SELECT put()', false, false, '') IS NOT NULL)"
                .to_owned(),
            "SELECT 3::p",
        ),
    ];
    for (name, define, change) in changes {
        let script = format!(
            "{world}
            d: {define}
            s1 hot: SELECT * FROM t ORDER BY id
            s2: {change}
            s1: SELECT * FROM t ORDER BY id"
        );
        check(&[(name, script.leak())]);
    }
}

#[test]
fn what_a_result_is_cast_by_may_read() {
    check(&[(
        "B06 a function in SQL returns what is cast by a function that reads",
        "
        d: CREATE TYPE usd AS (v int); CREATE TYPE eur AS (v int); CREATE TABLE rates (r int); INSERT INTO rates VALUES (2)
        d: CREATE TABLE prices (id int PRIMARY KEY, p usd); INSERT INTO prices VALUES (1, ROW(10))
        d: CREATE FUNCTION to_eur(usd) RETURNS eur STABLE LANGUAGE sql AS 'SELECT ROW(($1).v * r)::eur FROM rates'
        d: CREATE CAST (usd AS eur) WITH FUNCTION to_eur(usd) AS ASSIGNMENT
        d: CREATE FUNCTION price(int) RETURNS eur STABLE LANGUAGE sql AS 'SELECT p FROM prices WHERE id = $1'
        s1 warm: SELECT price(id) AS p FROM t WHERE id = 1
        s2: UPDATE rates SET r = 3
        s1: SELECT price(id) AS p FROM t WHERE id = 1
        ",
    )]);
}
