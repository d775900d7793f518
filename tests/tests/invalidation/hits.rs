//! Writes of an ordinary application empty no more than they must.

use anyhow::{Context, Result, ensure};
use pgmemo_tests::{
    Pgmemo, Postgres, Store, Version,
    net::{SOON, eventually},
    wire::{Conn, Frontend},
};

use super::pair::{warm, with_sessions};

/// A shop whose tables say when a row was touched, and by an audit who did what.
const SHOP: &str = "
CREATE EXTENSION moddatetime;
CREATE TABLE customer (id int PRIMARY KEY, name text, updated_at timestamptz DEFAULT now());
CREATE TABLE product (id int PRIMARY KEY, name text, price numeric, updated_at timestamptz DEFAULT now());
CREATE TABLE orders (
    id int PRIMARY KEY,
    customer_id int REFERENCES customer ON DELETE CASCADE,
    total numeric,
    updated_at timestamptz DEFAULT now()
);
CREATE TABLE audit (
    id bigserial PRIMARY KEY, relation text, action text, old jsonb, new jsonb, who text, at timestamptz
);
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW IS DISTINCT FROM OLD THEN
        NEW.updated_at = now();
    END IF;
    RETURN NEW;
END $$;
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    before jsonb := CASE WHEN TG_OP = 'INSERT' THEN NULL ELSE to_jsonb(OLD) END;
BEGIN
    IF TG_OP = 'DELETE' THEN
        INSERT INTO audit (relation, action, old, who, at)
        VALUES (TG_TABLE_NAME, TG_OP, before, current_user, clock_timestamp());
        RETURN OLD;
    END IF;
    INSERT INTO audit (relation, action, old, new, who, at)
    VALUES (TG_TABLE_SCHEMA || '.' || TG_TABLE_NAME, TG_OP, before, to_jsonb(NEW), current_user, now());
    RETURN NEW;
EXCEPTION WHEN unique_violation THEN
    RAISE NOTICE 'twice';
    RETURN NULL;
END $$;
CREATE TRIGGER touch BEFORE UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION touch();
CREATE TRIGGER touch BEFORE UPDATE ON customer FOR EACH ROW EXECUTE FUNCTION moddatetime(updated_at);
CREATE TRIGGER note AFTER INSERT OR UPDATE OR DELETE ON orders FOR EACH ROW EXECUTE FUNCTION note();
CREATE TRIGGER note AFTER INSERT OR UPDATE OR DELETE ON product FOR EACH ROW EXECUTE FUNCTION note();
INSERT INTO customer SELECT n, 'customer ' || n FROM generate_series(1, 20) n;
INSERT INTO product SELECT n, 'product ' || n, n FROM generate_series(1, 20) n;
TRUNCATE audit;
";

/// What other parts of the application read all the time.
const UNTOUCHED: [&str; 3] = [
    "SELECT name FROM product WHERE id = 7",
    "SELECT count(*) FROM product WHERE price > 10",
    "SELECT c.name FROM customer c JOIN product p ON p.id = c.id WHERE p.name = 'product 3'",
];

#[test]
fn triggers_that_touch_and_audit_leave_other_tables_alone() {
    let postgres = Postgres::shared(Version::System);
    let database = postgres.database().unwrap();
    database.connect().unwrap().run(SHOP).unwrap();
    let pgmemo = Pgmemo::start(postgres, Store::Memory, &[]).unwrap();
    let mut client = pgmemo.connect(database.name()).unwrap();
    for read in UNTOUCHED {
        client.run(read).unwrap();
    }
    let before = pgmemo.metrics().unwrap();
    let (rounds, mut changes) = (10, 1);
    for round in 0..rounds {
        let (id, customer) = (round + 1, round % 20 + 1);
        for write in [
            format!("INSERT INTO orders (id, customer_id, total) VALUES ({id}, {customer}, 5)"),
            format!("UPDATE orders SET total = total + 1 WHERE id = {id}"),
            format!("DELETE FROM orders WHERE id = {id}"),
        ] {
            client.run(&write).unwrap();
            for read in UNTOUCHED {
                client.run(read).unwrap();
            }
            // What the trigger wrote is seen at once.
            let audited = client.value("SELECT count(*) FROM audit").unwrap();
            assert_eq!(audited, changes.to_string());
            changes += 1;
        }
        client.run("BEGIN").unwrap();
        client
            .run(&format!("INSERT INTO orders (id) VALUES ({})", id + 1000))
            .unwrap();
        client.run("COMMIT").unwrap();
        changes += 1;
    }
    let reads = f64::from(rounds * 3) * 3.0;
    pgmemo.expect_hits_since(&before, reads).unwrap();
}

/// Reads in all the ways in which they may be answered, and how many of them each brings.
const READS: [(&str, u32); 9] = [
    ("SELECT name FROM product WHERE id = 1", 1),
    ("SELECT name FROM product WHERE id = 1", 1),
    ("SELECT now() FROM product", 1),
    ("SELECT * FROM product FOR UPDATE", 1),
    ("SELECT count(*) FROM pg_class", 1),
    ("SELECT 1", 1),
    ("UPDATE product SET price = 1 WHERE id = 1", 0),
    ("SHOW work_mem", 0),
    ("SELECT 1/0 FROM product", 1),
];

/// Nobody here knows a table that was made a moment ago. What is prepared by then, and used for as
/// long as its session lives, is what it is as soon as the table is known.
#[test]
fn what_is_prepared_behind_a_definition_becomes_a_hit() -> Result<()> {
    becomes_a_hit("CREATE TABLE fresh (id int PRIMARY KEY, v text)")
}

#[test]
fn so_does_what_reads_columns_of_new_types() -> Result<()> {
    becomes_a_hit(
        "CREATE TYPE mood AS ENUM ('a', 'b'); CREATE DOMAIN counted AS int DEFAULT 1 CHECK (VALUE > 0);
        CREATE TABLE fresh (id int PRIMARY KEY, v mood, n counted, all_of_them mood[])",
    )
}

fn becomes_a_hit(definition: &str) -> Result<()> {
    with_sessions(|pgmemo, reader, writer| {
        warm(pgmemo, reader, "SELECT v FROM t")?;
        writer.run(definition)?;
        let prepare = Frontend::new()
            .parse("w", "UPDATE fresh SET v = 'b' WHERE id = $1", &[])
            .parse("i", "INSERT INTO fresh VALUES ($1, 'a')", &[])
            .parse("r", "SELECT v FROM fresh WHERE id = $1", &[])
            .sync();
        writer.send(prepare.bytes())?;
        writer.read_until(b'Z')?;
        let mut use_it = |name: &str, id: &str| -> Result<Option<String>> {
            let batch = Frontend::new().bind("", name, &[id]).execute("", 0).sync();
            writer.send(batch.bytes())?;
            Ok(writer.read_until(b'Z')?.value())
        };
        use_it("i", "1")?;
        eventually("a hit", SOON, || {
            let before = pgmemo.hits().ok()?;
            let read = use_it("r", "1").ok()?;
            let hit = pgmemo.hits().ok()? > before || !pgmemo.is_real();
            (hit && read.as_deref() == Some("a")).then_some(())
        })?;
        warm(pgmemo, reader, "SELECT v FROM t")?;
        let before = pgmemo.metrics()?;
        for id in 1..=20 {
            use_it("i", &(id + 1).to_string())?;
            use_it("w", &id.to_string())?;
            ensure!(use_it("r", &id.to_string())?.as_deref() == Some("b"));
            // What others read is left alone.
            reader.run("SELECT v FROM t")?;
        }
        pgmemo.expect_hits_since(&before, 20.0)
    })
}

/// What a statement keeps of the types that it was analysed with is not known of such a one, where that
/// may bear on what it returns. What it changes is known all the same.
#[test]
fn what_reads_parts_of_new_types_leaves_others_alone() -> Result<()> {
    with_sessions(|pgmemo, reader, writer| {
        warm(pgmemo, reader, "SELECT v FROM t")?;
        writer.run(
            "CREATE TYPE mood AS ENUM ('a', 'b'); CREATE TYPE pair AS (x int, y int);
            CREATE TABLE fresh (id int PRIMARY KEY, v mood, p pair)",
        )?;
        let prepare = Frontend::new()
            .parse("i", "INSERT INTO fresh VALUES ($1, 'a', ROW(1, 2))", &[])
            .parse("l", "SELECT id FROM fresh WHERE v = 'a' AND id = $1", &[])
            .parse("p", "SELECT (p).x FROM fresh WHERE id = $1", &[])
            .sync();
        writer.send(prepare.bytes())?;
        writer.read_until(b'Z')?;
        eventually("the table is known", SOON, || {
            let before = pgmemo.hits().ok()?;
            writer.query("SELECT count(*) FROM fresh").ok()?;
            (pgmemo.hits().ok()? > before || !pgmemo.is_real()).then_some(())
        })?;
        warm(pgmemo, reader, "SELECT v FROM t")?;
        let before = pgmemo.metrics()?;
        for id in 1..=5 {
            for name in ["i", "l", "p"] {
                let id = id.to_string();
                let batch = Frontend::new().bind("", name, &[&id]).execute("", 0).sync();
                writer.send(batch.bytes())?;
                let answer = writer.read_until(b'Z')?;
                assert_eq!(answer.error(), None);
                ensure!(name == "i" || answer.value().is_some());
                reader.run("SELECT v FROM t")?;
            }
            // Nobody knows what the other columns were called when the statement was prepared.
            writer.run("ALTER TYPE pair RENAME ATTRIBUTE x TO was_x")?;
            writer.run("ALTER TYPE pair RENAME ATTRIBUTE was_x TO x")?;
            warm(pgmemo, reader, "SELECT v FROM t")?;
        }
        pgmemo.expect_hits_since(&before, 20.0)
    })
}

/// Whether the server would parse such a statement as it would have before is asked in front of its
/// Bind, whatever definitions have changed.
#[test]
fn a_prepared_read_in_a_block_is_answered_behind_definitions_of_others() -> Result<()> {
    with_sessions(|pgmemo, reader, writer| {
        for round in 0..3 {
            let name = format!("s{round}");
            let prepare = Frontend::new()
                .parse(&name, "SELECT v FROM t WHERE v <> 'x' AND id = 1", &[])
                .describe_statement(&name)
                .sync();
            let run = Frontend::new().bind("", &name, &[]).execute("", 0).sync();
            let answered = |conn: &mut Conn| {
                conn.send(run.bytes())?;
                let answer = conn.read_until(b'Z')?;
                ensure!(answer.value().as_deref() == Some("a"), "{answer:?}");
                anyhow::Ok(())
            };
            // What the first one's Parse was told, the second one's is, too.
            for conn in [&mut *writer, &mut *reader] {
                conn.send(prepare.bytes())?;
                conn.read_until(b'Z')?;
                answered(conn)?;
                answered(conn)?;
            }
            writer.run(&format!("CREATE TABLE other_{round} (id int)"))?;
            warm(pgmemo, writer, "SELECT v FROM t")?;
            reader.run("BEGIN")?;
            answered(reader)?;
            reader.run("COMMIT")?;
        }
        Ok(())
    })
}

/// Where functions come to fit a call that a statement was prepared with, or take the place of one that
/// is gone, it runs one of those that it might run now.
#[test]
fn prepared_statements_outlive_changes_to_functions_and_types() -> Result<()> {
    with_sessions(|pgmemo, reader, writer| {
        writer.run(
            "CREATE TYPE mood AS ENUM ('a', 'b'); CREATE TABLE m (id int PRIMARY KEY, v mood);
            INSERT INTO m VALUES (1, 'a'); CREATE TABLE called (v text);
            CREATE FUNCTION f(mood) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RETURN $1; END $$",
        )?;
        warm(pgmemo, reader, "SELECT v FROM m")?;
        let prepare = Frontend::new()
            .parse("u", "UPDATE m SET v = 'a' WHERE id = 1", &[])
            .parse("c", "SELECT f(v), upper(v::text), now() FROM m", &[])
            .parse("l", "SELECT v FROM m FOR UPDATE", &[])
            .parse("y", "COPY called(v) FROM STDIN", &[])
            .sync();
        writer.send(prepare.bytes())?;
        writer.read_until(b'Z')?;
        let copy = |writer: &mut Conn| {
            let begin = Frontend::new().bind("", "y", &[]).execute("", 0).sync();
            writer.send(begin.bytes())?;
            writer.read_until(b'G')?;
            writer.send(Frontend::new().copy_done().sync().bytes())?;
            ensure!(writer.read_until(b'Z')?.error().is_none(), "copy");
            anyhow::Ok(())
        };
        let run = |writer: &mut Conn| {
            for name in ["u", "c", "l"] {
                let batch = Frontend::new().bind("", name, &[]).execute("", 0).sync();
                writer.send(batch.bytes())?;
                ensure!(writer.read_until(b'Z')?.error().is_none(), "{name}");
            }
            anyhow::Ok(())
        };
        for definition in [
            "ALTER TYPE mood ADD VALUE 'c'",
            "CREATE FUNCTION upper(mood) RETURNS text IMMUTABLE LANGUAGE sql AS 'SELECT $1::text'",
            "CREATE FUNCTION called(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1'",
            "CREATE FUNCTION f(text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RETURN $1; END $$",
            "DROP FUNCTION f(mood); CREATE FUNCTION f(mood) RETURNS text LANGUAGE plpgsql AS
                $$ BEGIN INSERT INTO called VALUES ($1); RETURN 'new'; END $$",
        ] {
            reader.run(definition)?;
            run(writer)?;
            copy(writer)?;
            warm(pgmemo, reader, "SELECT v FROM t")?;
            let before = pgmemo.metrics()?;
            for _ in 0..5 {
                run(writer)?;
                copy(writer)?;
                reader.run("SELECT v FROM t")?;
            }
            pgmemo.expect_hits_since(&before, 5.0).context(definition)?;
        }
        // And what one of them writes now is told.
        let count = "SELECT count(*) FROM called";
        let written: u32 = warm(pgmemo, reader, count)?.parse()?;
        run(writer)?;
        ensure!(reader.value(count)? == (written + 1).to_string());
        Ok(())
    })
}

/// A prepared read whose tables are others since is not looked up until it is prepared anew; what it
/// calls writes nothing all the same.
#[test]
fn a_prepared_call_that_reads_other_tables_now_leaves_replies_alone() -> Result<()> {
    with_sessions(|pgmemo, reader, writer| {
        writer.run(
            "CREATE TABLE a (id int PRIMARY KEY, v text); INSERT INTO a VALUES (1, 'old');
            CREATE TABLE b (id int PRIMARY KEY, v text); INSERT INTO b VALUES (1, 'new');
            CREATE FUNCTION f(int) RETURNS text STABLE LANGUAGE sql AS 'SELECT v FROM a WHERE id = $1'",
        )?;
        warm(pgmemo, reader, "SELECT v FROM a")?;
        let prepare = Frontend::new()
            .parse("s", "SELECT f(id) FROM a", &[])
            .sync();
        reader.send(prepare.bytes())?;
        reader.read_until(b'Z')?;
        let run = Frontend::new().bind("", "s", &[]).execute("", 0).sync();
        let read = |conn: &mut Conn| {
            conn.send(run.bytes())?;
            conn.read_until(b'Z')?.value().context("no row")
        };
        for _ in 0..3 {
            ensure!(read(reader)? == "old");
        }
        writer.run("BEGIN; ALTER TABLE a RENAME TO c; ALTER TABLE b RENAME TO a; COMMIT")?;
        warm(pgmemo, writer, "SELECT v FROM t")?;
        let before = pgmemo.metrics()?;
        for _ in 0..5 {
            ensure!(read(reader)? == "new");
            writer.run("SELECT v FROM t")?;
        }
        pgmemo.expect_hits_since(&before, 5.0)
    })
}

/// Hits, misses and bypasses are what could have been read, each once.
#[test]
fn o06_every_read_is_counted_once() {
    let postgres = Postgres::shared(Version::System);
    let database = postgres.database().unwrap();
    database.connect().unwrap().run(SHOP).unwrap();
    let pgmemo = Pgmemo::start(postgres, Store::Memory, &[]).unwrap();
    let mut client = pgmemo.connect(database.name()).unwrap();
    client.run(UNTOUCHED[0]).unwrap();
    let before = pgmemo.metrics().unwrap();
    let mut reads = 0;
    for block in [false, true] {
        for (sql, count) in READS {
            for extended in [false, true] {
                if block {
                    client.run("BEGIN").unwrap();
                }
                if extended {
                    client.extended(sql, &[]).unwrap();
                } else {
                    client.query(sql).unwrap();
                }
                if block {
                    client.run("ROLLBACK").unwrap();
                }
                reads += count;
            }
        }
    }
    // Of one batch, two reads around a write.
    let batch = Frontend::new()
        .parse("", UNTOUCHED[0], &[])
        .bind("", "", &[])
        .execute("", 0)
        .parse("", "UPDATE product SET price = 2 WHERE id = 2", &[])
        .bind("", "", &[])
        .execute("", 0)
        .parse("", UNTOUCHED[0], &[])
        .bind("", "", &[])
        .execute("", 0)
        .sync();
    client.send(batch.bytes()).unwrap();
    client.read_until(b'Z').unwrap();
    reads += 2;
    if pgmemo.is_real() {
        let now = pgmemo.metrics().unwrap();
        let counted = [now.hits(), now.misses(), now.bypasses()]
            .iter()
            .sum::<f64>()
            - [before.hits(), before.misses(), before.bypasses()]
                .iter()
                .sum::<f64>();
        let reasons = now.bypass_reasons_since(&before);
        assert!(
            (counted - f64::from(reads)).abs() < 0.5,
            "{counted} of {reads}; {reasons:?}"
        );
        assert!(now.hits() > before.hits() && now.misses() > before.misses());
    }
}

/// Of what was parsed while nobody knew what names meant, that is not known later, either; but they mean
/// no more than they could.
#[test]
fn what_was_parsed_amid_unknown_settings_does_not_give_everything_up() -> Result<()> {
    with_sessions(|pgmemo, reader, writer| {
        let given_up = || {
            let metrics = pgmemo.metrics()?;
            anyhow::Ok(metrics.sum("pgmemo_invalidations_total", &["kind=\"everything\""]))
        };
        writer.run("BEGIN")?;
        writer.run("DO 'BEGIN END'")?;
        let parsed = Frontend::new()
            .parse("s", "SELECT v FROM t WHERE id = 1", &[])
            .parse("w", "UPDATE u SET w = 'new' WHERE id = 1", &[])
            .sync();
        writer.send(parsed.bytes())?;
        writer.read_until(b'Z')?;
        writer.run("COMMIT")?;
        reader.run("CREATE TABLE apart ()")?;
        let read = "SELECT w FROM u WHERE id = 1";
        warm(pgmemo, reader, read)?;
        let before = given_up()?;
        for name in ["s", "w", "s"] {
            let bound = Frontend::new().bind("", name, &[]).execute("", 0).sync();
            writer.send(bound.bytes())?;
            assert_eq!(writer.read_until(b'Z')?.error(), None);
        }
        assert_eq!(reader.value(read)?, "new");
        assert_eq!(given_up()?, before);
        Ok(())
    })
}

/// What runs, and how long it took, the server says to who wants to hear it.
#[test]
fn b27_what_is_said_beside_a_reply_is_said_each_time() -> Result<()> {
    for setting in ["log_min_duration_statement = 0", "log_statement = 'all'"] {
        with_sessions(|pgmemo, reader, _| {
            reader.run("SET client_min_messages = log")?;
            warm(pgmemo, reader, "SELECT v FROM t WHERE id = 1")?;
            reader.run(&format!("SET {setting}"))?;
            for round in 0..4 {
                let simple = reader.query("SELECT v FROM t WHERE id = 1")?;
                let extended = reader.extended("SELECT v FROM t WHERE id = 2", &[])?;
                for answer in [simple, extended] {
                    let said = answer.0.iter().any(|message| message.tag == b'N');
                    ensure!(said, "{setting}, round {round}: {answer:?}");
                }
            }
            Ok(())
        })?;
    }
    Ok(())
}
