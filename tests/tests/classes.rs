//! What is believed of a server's own functions, operators, casts and types, held against the
//! catalogs of real servers: nothing that is VOLATILE; of what is not IMMUTABLE only what somebody
//! has thought about, which is written down in `classes/known.txt`.

use std::{collections::HashSet, fs};

use anyhow::{Context, Result, ensure};
use catalog::{Builder, Volatility, queries};
use pgmemo_tests::{Postgres, Version, env, wire::Conn};

/// Functions that may well look at more than their arguments, by their names and types.
const SUSPICIOUS: &str = "\
SELECT p.oid FROM pg_proc p
WHERE p.oid < 16384 AND p.provolatile = 'i'
    AND NOT p.proargtypes::oid[] && '{2281,2275}'::oid[] AND p.prorettype NOT IN (2281, 2275)
    AND p.proname !~ 'send$' AND NOT EXISTS (SELECT FROM pg_operator o WHERE o.oprcode = p.oid)
    AND (p.proname ~ '^_?(pg|txid|inet|ts|has|current|to_reg|database|schema|table)_' OR EXISTS (
        SELECT FROM unnest(p.proargtypes::oid[] || p.prorettype) a(oid) JOIN pg_type t USING (oid)
        WHERE t.typname ~ '^_?(oid|reg[a-z]+)$'))";

/// What runs without being asked for, where it is not IMMUTABLE.
const UNNAMED: [(&str, &str); 3] = [
    (
        "operator",
        "SELECT o.oid::regoperator FROM pg_operator o JOIN pg_proc p ON p.oid = o.oprcode
         WHERE o.oid < 16384 AND p.provolatile <> 'i'",
    ),
    (
        "cast",
        "SELECT castsource::regtype::text || ' > ' || casttarget::regtype::text
         FROM pg_cast c JOIN pg_proc p ON p.oid = castfunc
         WHERE c.oid < 16384 AND p.provolatile <> 'i'",
    ),
    (
        "type",
        "SELECT t.typname FROM pg_type t JOIN pg_proc i ON i.oid = t.typinput
         JOIN pg_proc o ON o.oid = t.typoutput
         WHERE t.oid < 16384 AND t.typtype IN ('b', 'r', 'm') AND t.typelem = 0
            AND (i.provolatile <> 'i' OR o.provolatile <> 'i')",
    ),
];

fn audit(version: Version) -> Result<()> {
    let known = fs::read_to_string(env::root().join("tests/classes/known.txt"))?;
    let known: HashSet<&str> = known.lines().collect();
    let mut conn = Postgres::shared(version).connect("postgres")?;
    let suspicious: HashSet<u32> = column(&mut conn, SUSPICIOUS)?
        .iter()
        .map(|oid| oid.parse())
        .collect::<Result<_, _>>()?;
    let mut thoughtless: Vec<String> = Vec::new();
    let mut believed = 0;
    for function in functions(&mut conn)? {
        if !sql::is_believed(&function) {
            continue;
        }
        believed += 1;
        let oid = function.id.oid();
        let mark = match function.volatility {
            Volatility::Volatile => "volatile",
            Volatility::Stable => "function",
            Volatility::Immutable if suspicious.contains(&oid) => "innocent",
            Volatility::Immutable => continue,
        };
        let signature = conn.value(&format!("SELECT {oid}::regprocedure"))?;
        thoughtless.push(format!("{mark} {signature}"));
    }
    for (mark, text) in UNNAMED {
        let found = column(&mut conn, text)?;
        thoughtless.extend(found.iter().map(|it| format!("{mark} {it}")));
    }
    thoughtless.retain(|line| !known.contains(&**line));
    ensure!(
        thoughtless.is_empty(),
        "believed, and nobody knows why:\n{}",
        thoughtless.join("\n")
    );
    ensure!(believed > 1_500, "{believed} functions are believed");
    Ok(())
}

/// The functions that came with `initdb`, as pgmemo reads them.
fn functions(conn: &mut Conn) -> Result<Vec<catalog::Function>> {
    let query = queries::QUERIES
        .iter()
        .find(|query| query.kind == queries::Kind::Functions && query.initdb)
        .context("no query lists functions")?;
    let mut builder = Builder::default();
    for row in conn.run(query.text)?.rows() {
        builder.push(query.kind, row.iter().map(Option::as_deref))?;
    }
    Ok(builder.functions)
}

fn column(conn: &mut Conn, text: &str) -> Result<Vec<String>> {
    let rows = conn.run(text)?.rows();
    Ok(rows
        .into_iter()
        .filter_map(|row| row.into_iter().next()?)
        .collect())
}

#[test]
fn what_is_believed_of_this_server_is_known() -> Result<()> {
    audit(Version::System)
}

#[test]
fn what_is_believed_of_a_newer_server_is_known() -> Result<()> {
    for version in [Version::V16, Version::V17, Version::V18] {
        // Not all of them have to be fetched.
        if version.bin().is_ok() || version == Version::V18 {
            audit(version).with_context(|| version.label())?;
        }
    }
    Ok(())
}
