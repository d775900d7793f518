//! The same bytes, sent to PostgreSQL and through pgmemo, bring the same messages: cold, warm, and
//! cut into small pieces.

#![allow(clippy::panic, reason = "helpers of tests fail as tests do")]

mod asynchronous;
mod copy;
mod extended;
mod login;
mod names;
mod portals;
mod settings;
mod simple;
mod transactions;
mod types;

use pgmemo_tests::{
    Version,
    twin::{Talk, check_all},
};

/// `t` is read, `w` is written; both are small.
const FIXTURE: &str = "
CREATE TABLE t (id int PRIMARY KEY, v text);
INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, NULL), (4, ''), (5, 'ü');
CREATE TABLE w (id int PRIMARY KEY, v text);
CREATE VIEW seen AS SELECT id, v FROM w;
CREATE TABLE late (id int UNIQUE DEFERRABLE INITIALLY DEFERRED);
INSERT INTO late VALUES (1);
CREATE TABLE nothing ();
INSERT INTO nothing DEFAULT VALUES;
CREATE TABLE named (id int PRIMARY KEY, größe text);
INSERT INTO named VALUES (1, 'a'), (2, 'ß');
CREATE FUNCTION says(text) RETURNS text LANGUAGE plpgsql AS
    $$ BEGIN RAISE NOTICE 'said %', $1; RETURN $1; END $$;
CREATE TYPE colour AS ENUM ('red', 'green');
CREATE TYPE pair AS (a int, b text);
CREATE DOMAIN small AS int CHECK (value < 10);
CREATE TABLE own (id int PRIMARY KEY, c colour, p pair, s small, a colour[]);
INSERT INTO own VALUES (1, 'red', '(1,x)', 3, '{green,red}'), (2, NULL, NULL, NULL, NULL);
";

/// What `w` holds before a conversation that writes.
const RESET: &str = "TRUNCATE w; INSERT INTO w VALUES (1, 'one'), (2, 'two')";

const READ: &str = "SELECT id, v FROM t ORDER BY id";
const READ_ONE: &str = "SELECT id, v FROM t WHERE id = $1";

/// Talks that leave no trace and of which at least `hits` statements can be remembered.
#[track_caller]
fn check(hits: u32, talks: Vec<(&str, Talk)>) {
    check_on(Version::System, hits, talks);
}

#[track_caller]
fn check_on(version: Version, hits: u32, talks: Vec<(&str, Talk)>) {
    if let Err(error) = check_all(version, FIXTURE, f64::from(hits), talks) {
        panic!("{error:#}");
    }
}

fn talk() -> Talk {
    Talk::new()
}

/// A talk that writes to `w`.
fn writing() -> Talk {
    Talk::new().reset(RESET)
}
