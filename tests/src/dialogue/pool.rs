//! The database all dialogues are about, and the statements they choose from.

/// What only ever is read.
pub(super) const CONSTANT: &str = "
CREATE TABLE r (id int PRIMARY KEY, v text, n numeric, at timestamptz);
INSERT INTO r VALUES (1, 'a', 1.50, '2024-01-01 00:00+00'), (2, 'b', NULL, '2024-06-01 12:00+00'),
    (3, NULL, -0.1, NULL), (4, '', 10, '2000-02-29 23:59:59.5+00'), (5, 'ü', 0, 'infinity');
CREATE TABLE s (id int PRIMARY KEY, r_id int REFERENCES r, w text);
INSERT INTO s VALUES (1, 1, 'x'), (2, 1, 'y'), (3, 2, 'z');
CREATE VIEW rv AS SELECT id, v FROM r WHERE id < 4;
CREATE SCHEMA other;
CREATE TABLE other.r (id int PRIMARY KEY, v text);
INSERT INTO other.r VALUES (1, 'elsewhere');
CREATE FUNCTION says(text) RETURNS text LANGUAGE plpgsql AS
    $$ BEGIN RAISE NOTICE 'said %', $1; RETURN $1; END $$;
CREATE FUNCTION put(text) RETURNS text LANGUAGE plpgsql AS
    $$ BEGIN UPDATE x SET v = v || '+' WHERE id = 1; RETURN $1; END $$;
CREATE FUNCTION puts() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN UPDATE x SET v = v || '-' WHERE id = 1; RETURN NEW; END $$;
SET check_function_bodies = off;
CREATE FUNCTION since() RETURNS SETOF r STABLE LANGUAGE sql AS
    $$ SELECT * FROM r WHERE at <= '2024-01-01' AND EXISTS (SELECT FROM w) $$;
CREATE VIEW sv AS SELECT id FROM since();
GRANT SELECT ON r TO alice;
";

/// Brings the rows back.
pub(super) const ROWS: &str = "
DELETE FROM w; INSERT INTO w VALUES (1, 'one'), (2, 'two'), (3, NULL);
DELETE FROM d; INSERT INTO d VALUES (1, 'x'), (2, 'y');
DELETE FROM x; INSERT INTO x VALUES (1, 'far'), (2, NULL), (3, 'away');
SELECT setval('q', 1, false);
";

/// Brings the tables back.
pub(super) const CHANGING: &str = "
DROP TABLE IF EXISTS n, other.n; DROP VIEW IF EXISTS wv, dv, other.dv;
DROP TABLE IF EXISTS w, d, x, renamed, other.d, other.renamed;
DROP SEQUENCE IF EXISTS q;
CREATE TABLE w (id int PRIMARY KEY, v text); INSERT INTO w VALUES (1, 'one'), (2, 'two'), (3, NULL);
CREATE TABLE d (a int, b text); INSERT INTO d VALUES (1, 'x'), (2, 'y');
CREATE TABLE x (id int PRIMARY KEY, v text); INSERT INTO x VALUES (1, 'far'), (2, NULL), (3, 'away');
CREATE VIEW wv AS SELECT id, v FROM w WHERE id < 10;
CREATE SEQUENCE q;
";

/// One row: the definitions that dialogues change.
pub(super) const DEFINITIONS: &str = "
SELECT string_agg(format('%s %s %s %s %s', relnamespace::regnamespace, relname, attname, attnum, atttypid), ','
    ORDER BY relnamespace, relname, attnum)
FROM pg_attribute JOIN pg_class c ON c.oid = attrelid
WHERE relnamespace IN ('public'::regnamespace, 'other'::regnamespace) AND attnum > 0 AND NOT attisdropped AND relkind <> 'i'";

/// One row: the rows that dialogues change, if all tables are there.
pub(super) const CONTENT: &str = "
SELECT (SELECT string_agg(w::text, ',' ORDER BY w::text) FROM w) AS w,
    (SELECT string_agg(d::text, ',' ORDER BY d::text) FROM d) AS d,
    (SELECT string_agg(x::text, ',' ORDER BY x::text) FROM x) AS x,
    (SELECT last_value::text || is_called FROM q) AS q";

/// What a parameter is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    Int,
    Text,
}

/// A statement with its parameters.
pub(super) type Text = (&'static str, &'static [Kind]);

use Kind::{Int, Text as Words};

pub(super) const READS: &[Text] = &[
    ("SELECT id, v FROM r ORDER BY id", &[]),
    ("SELECT * FROM r ORDER BY id", &[]),
    ("SELECT v FROM r WHERE id = $1", &[Int]),
    ("SELECT id, v, n FROM r WHERE id < $1 ORDER BY id", &[Int]),
    ("SELECT id FROM r WHERE v = $1", &[Words]),
    (
        "SELECT r.v, s.w FROM r JOIN s ON r.id = s.r_id WHERE s.id > $1 ORDER BY s.id",
        &[Int],
    ),
    ("SELECT count(*) FROM s", &[]),
    ("SELECT * FROM rv ORDER BY id", &[]),
    ("SELECT FROM r", &[]),
    ("SELECT id, at FROM r ORDER BY 1 DESC", &[]),
    ("SELECT id, v FROM w ORDER BY id", &[]),
    ("SELECT v FROM w WHERE id = $1", &[Int]),
    ("SELECT count(*), max(v) FROM w", &[]),
    ("SELECT * FROM wv ORDER BY id", &[]),
    ("TABLE s", &[]),
    ("SELECT id, v FROM x ORDER BY id", &[]),
    ("SELECT v FROM x WHERE id = $1", &[Int]),
    ("SELECT 1 / (id - 2) FROM r WHERE id < 4 ORDER BY id", &[]),
    ("SELECT id / $1 FROM r ORDER BY id", &[Int]),
];

/// Of what only one session of a dialogue reads and changes.
pub(super) const OWN: &[Text] = &[
    ("SELECT * FROM d ORDER BY 1", &[]),
    ("SELECT a, b FROM d WHERE a = $1", &[Int]),
    ("SELECT count(*) FROM d", &[]),
    ("SELECT * FROM n", &[]),
    ("SELECT * FROM dv ORDER BY 1", &[]),
    ("INSERT INTO d (a) VALUES ($1)", &[Int]),
    ("DELETE FROM d WHERE a = 2", &[]),
];

pub(super) const SCHEMA: &[Text] = &[
    ("ALTER TABLE d ADD COLUMN c int DEFAULT 7", &[]),
    ("ALTER TABLE d DROP COLUMN b", &[]),
    ("ALTER TABLE d ALTER COLUMN a TYPE bigint", &[]),
    ("ALTER TABLE d RENAME COLUMN b TO bb", &[]),
    ("ALTER TABLE d RENAME TO renamed", &[]),
    ("DROP TABLE d", &[]),
    ("DROP TABLE IF EXISTS d", &[]),
    ("CREATE TABLE n (id int, extra text)", &[]),
    ("CREATE TABLE d (a int, b text)", &[]),
    ("CREATE TEMP TABLE r (id int, v text)", &[]),
    ("CREATE TEMP TABLE n (t text) ON COMMIT DROP", &[]),
    ("DROP TABLE n", &[]),
    ("CREATE OR REPLACE VIEW dv AS SELECT a FROM d", &[]),
    ("CREATE INDEX ON d (a)", &[]),
    ("TRUNCATE d", &[]),
    ("TRUNCATE w", &[]),
    ("SELECT * INTO n FROM d", &[]),
];

pub(super) const WRITES: &[Text] = &[
    ("UPDATE w SET v = 'changed' WHERE id = 1", &[]),
    ("UPDATE w SET v = $2 WHERE id = $1", &[Int, Words]),
    (
        "INSERT INTO w VALUES ($1, 'new') ON CONFLICT (id) DO UPDATE SET v = 'again'",
        &[Int],
    ),
    ("INSERT INTO w VALUES (1, 'twice')", &[]),
    (
        "INSERT INTO w VALUES ($1, $2) RETURNING id, v",
        &[Int, Words],
    ),
    ("DELETE FROM w WHERE id = $1 RETURNING *", &[Int]),
    (
        "WITH x AS (UPDATE w SET v = v || '!' RETURNING id) SELECT count(*) FROM x",
        &[],
    ),
    ("UPDATE wv SET v = 'view' WHERE id = 2", &[]),
];

/// Temporary objects that hide permanent ones, and reach others.
pub(super) const TEMPORARY: &[Text] = &[
    ("CREATE TEMP VIEW w AS SELECT id, v FROM x", &[]),
    ("CREATE TEMP VIEW w AS SELECT id, v FROM x", &[]),
    (
        "CREATE TEMP VIEW wv AS SELECT id, v FROM x WHERE id < 3",
        &[],
    ),
    (
        "CREATE TEMP VIEW rv AS SELECT id, put(v) AS v FROM r WHERE id < 3",
        &[],
    ),
    ("CREATE TEMP TABLE w (id int PRIMARY KEY, v text)", &[]),
    (
        "CREATE TEMP TABLE r (id int, v text, n numeric, at timestamptz)",
        &[],
    ),
    (
        "CREATE TEMP TABLE x (id int PRIMARY KEY, v text) ON COMMIT DROP",
        &[],
    ),
    ("CREATE TEMP TABLE mine AS SELECT id FROM r", &[]),
    ("CREATE TEMP TABLE child () INHERITS (w)", &[]),
    ("INSERT INTO child VALUES (1, 'child')", &[]),
    (
        "CREATE TRIGGER puts BEFORE INSERT OR UPDATE ON pg_temp.w FOR EACH ROW EXECUTE FUNCTION puts()",
        &[],
    ),
    (
        "CREATE TRIGGER puts BEFORE UPDATE ON pg_temp.child FOR EACH ROW EXECUTE FUNCTION puts()",
        &[],
    ),
    ("DROP VIEW w", &[]),
    ("DROP VIEW IF EXISTS pg_temp.rv, pg_temp.wv", &[]),
    ("DROP TABLE pg_temp.w", &[]),
    ("DROP TABLE pg_temp.r", &[]),
    ("DROP TABLE child", &[]),
    ("DISCARD TEMP", &[]),
];

pub(super) const CONTROL: &[Text] = &[
    ("BEGIN", &[]),
    ("BEGIN", &[]),
    ("START TRANSACTION", &[]),
    ("COMMIT", &[]),
    ("COMMIT", &[]),
    ("ROLLBACK", &[]),
    ("END", &[]),
    ("ABORT", &[]),
    ("BEGIN ISOLATION LEVEL REPEATABLE READ", &[]),
    ("BEGIN READ ONLY", &[]),
    ("BEGIN TRANSACTION ISOLATION LEVEL READ COMMITTED", &[]),
    ("SAVEPOINT a", &[]),
    ("SAVEPOINT b", &[]),
    ("ROLLBACK TO a", &[]),
    ("ROLLBACK TO SAVEPOINT b", &[]),
    ("RELEASE a", &[]),
    ("RELEASE SAVEPOINT b", &[]),
    ("ROLLBACK WORK TO SAVEPOINT a", &[]),
    ("COMMIT AND CHAIN", &[]),
    ("ROLLBACK AND CHAIN", &[]),
    ("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ", &[]),
    ("/* c */ begin;", &[]),
    ("commit ;", &[]),
];

pub(super) const SETTINGS: &[Text] = &[
    ("SET timezone = 'Asia/Tokyo'", &[]),
    ("SET timezone = 'UTC'", &[]),
    ("SET TIME ZONE 'nowhere'", &[]),
    ("SET LOCAL timezone = 'America/New_York'", &[]),
    ("SET search_path = other, public", &[]),
    ("SET search_path = public", &[]),
    ("SET datestyle = 'German'", &[]),
    ("SET client_encoding = 'LATIN1'", &[]),
    ("SET client_encoding = 'UTF8'", &[]),
    ("SET extra_float_digits = 0", &[]),
    ("SET application_name = 'dialogue'", &[]),
    ("SET default_transaction_isolation = 'repeatable read'", &[]),
    ("SET ROLE alice", &[]),
    ("RESET ROLE", &[]),
    ("RESET timezone", &[]),
    ("RESET ALL", &[]),
    ("DISCARD ALL", &[]),
    ("DISCARD PLANS", &[]),
    ("DISCARD TEMP", &[]),
    ("SELECT set_config('timezone', 'Europe/Berlin', false)", &[]),
    ("SELECT set_config('search_path', 'other', true)", &[]),
    ("SHOW timezone", &[]),
    ("SHOW search_path", &[]),
    ("SHOW transaction_isolation", &[]),
];

pub(super) const NAMES: &[Text] = &[
    ("PREPARE s AS SELECT v FROM r WHERE id = $1", &[]),
    (
        "PREPARE t (int) AS UPDATE w SET v = 'prepared' WHERE id = $1",
        &[],
    ),
    ("EXECUTE s", &[]),
    ("EXECUTE s (1)", &[]),
    ("EXECUTE t (2)", &[]),
    ("DEALLOCATE s", &[]),
    ("DEALLOCATE PREPARE t", &[]),
    ("DEALLOCATE ALL", &[]),
    (
        "SELECT name, statement, parameter_types, from_sql FROM pg_prepared_statements ORDER BY name",
        &[],
    ),
    ("DECLARE p CURSOR FOR SELECT id, v FROM r ORDER BY id", &[]),
    (
        "DECLARE c SCROLL CURSOR FOR SELECT id FROM r ORDER BY id",
        &[],
    ),
    (
        "DECLARE h CURSOR WITH HOLD FOR SELECT id FROM w ORDER BY id",
        &[],
    ),
    (
        "DECLARE h SCROLL CURSOR WITH HOLD FOR SELECT id, v FROM r ORDER BY id",
        &[],
    ),
    ("FETCH 1 FROM h", &[]),
    ("FETCH PRIOR FROM h", &[]),
    ("FETCH 2 FROM p", &[]),
    ("FETCH BACKWARD 1 FROM c", &[]),
    ("FETCH ALL FROM h", &[]),
    ("MOVE 1 FROM p", &[]),
    ("CLOSE p", &[]),
    ("CLOSE h", &[]),
    ("CLOSE ALL", &[]),
    (
        "SELECT name, statement, is_holdable FROM pg_cursors ORDER BY name",
        &[],
    ),
];

pub(super) const ODD: &[Text] = &[
    ("", &[]),
    (";", &[]),
    ("-- nothing", &[]),
    ("SELECT 1", &[]),
    ("VALUES (1, 'x'), (2, NULL)", &[]),
    ("SELECT $1::int + 1, $2::text", &[Int, Words]),
    ("SELECT 1/0", &[]),
    ("SELEC", &[]),
    ("SELECT * FROM missing", &[]),
    ("SELECT nothing FROM r", &[]),
    ("SELECT v FROM r WHERE id = $2", &[Int, Int]),
    ("SELECT says('x'), id FROM r WHERE id = 1", &[]),
    ("SELECT nextval('q')", &[]),
    ("SELECT id FROM w ORDER BY id FOR UPDATE", &[]),
    ("LISTEN l", &[]),
    ("UNLISTEN *", &[]),
    ("NOTIFY l, 'heard'", &[]),
    ("SELECT pg_notify('l', 'called')", &[]),
    ("EXPLAIN (COSTS OFF) SELECT id FROM r", &[]),
    ("DO $$ BEGIN UPDATE w SET v = 'done'; END $$", &[]),
    ("LOCK TABLE w IN ROW SHARE MODE", &[]),
    ("SELECT pg_advisory_xact_lock(1)", &[]),
];

/// What sessions tell each other.
pub(super) const NOTES: &[Text] = &[
    ("LISTEN l", &[]),
    ("LISTEN l", &[]),
    ("NOTIFY l, 'heard by all'", &[]),
    ("NOTIFY l", &[]),
    ("SELECT pg_notify('l', $1)", &[Words]),
    ("UNLISTEN l", &[]),
];

/// Both phases, in one session or several. What is left is rolled back when a dialogue is over.
pub(super) const TWO_PHASES: &[Text] = &[
    ("PREPARE TRANSACTION 'dialogue'", &[]),
    ("PREPARE TRANSACTION 'dialogue'", &[]),
    ("COMMIT PREPARED 'dialogue'", &[]),
    ("ROLLBACK PREPARED 'dialogue'", &[]),
];

/// Several statements in one string; only simple queries hold them.
pub(super) const STRINGS: &[Text] = &[
    (
        "SELECT id, v FROM r ORDER BY id; SELECT count(*) FROM s",
        &[],
    ),
    ("BEGIN; SELECT v FROM w WHERE id = 1; COMMIT", &[]),
    ("BEGIN; UPDATE w SET v = 'string'", &[]),
    ("INSERT INTO w VALUES (8, 'eight'); SELECT 1/0", &[]),
    (
        "UPDATE w SET v = 'first' WHERE id = 1; COMMIT; SELECT 1/0",
        &[],
    ),
    (
        "SET timezone = 'Asia/Tokyo'; SELECT id, at FROM r ORDER BY 1 DESC",
        &[],
    ),
    ("SELECT 1;;SELECT 2", &[]),
    ("ROLLBACK; BEGIN; SELECT v FROM w WHERE id = 1", &[]),
    ("COMMIT; COMMIT", &[]),
    ("SAVEPOINT a; SELECT 1/0", &[]),
];
