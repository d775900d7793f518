//! Definitions of a session's own temporary relations, which nobody else ever sees.
//!
//! Only forms are listed of which it is certain that they change nothing that lasts but by what they
//! run: the query of CREATE TABLE AS, the expressions of an index. What a table may do later, when its
//! rows change, is not their affair.

use crate::facts::{Bound, Lexical, Own};
use crate::lexical;
use crate::scan::{Kind, Lexeme};
use crate::tokens::{Tokens, is_any, is_word};

/// What a definition does, if it is one of temporary relations alone.
pub(crate) fn own(lexemes: &[Lexeme<'_>]) -> Option<Own> {
    let mut tokens = Tokens::new(lexemes);
    if tokens.word("create") {
        relation(tokens).or_else(|| index(tokens))
    } else if tokens.words(&["drop", "table"]) {
        dropped(tokens)
    } else if tokens.words(&["alter", "table"]) {
        altered(tokens)
    } else {
        None
    }
}

/// `CREATE TEMP TABLE` and `CREATE TEMP VIEW`, or the same with `pg_temp` before the name.
fn relation(mut tokens: Tokens<'_>) -> Option<Own> {
    tokens.words(&["or", "replace"]);
    tokens.any(&["local", "global"]);
    let temporary = tokens.any(&["temp", "temporary"]);
    tokens.word("recursive");
    let view = tokens.word("view");
    if !view && !tokens.word("table") {
        return None;
    }
    let lenient = tokens.words(&["if", "not", "exists"]);
    let name = tokens.name()?;
    match name.schema.as_deref() {
        Some("pg_temp") => {}
        None if temporary => {}
        Some(_) | None => return None,
    }
    if view {
        // Its query runs whenever it is read.
        return Some(Own::default());
    }
    let rest = tokens.rest();
    if rest.iter().any(|lexeme| is_any(lexeme, &RELATED)) {
        return None;
    }
    let (runs, plain) = match query(rest) {
        Some(query) => (Some(bounded(query)?), true),
        None => (None, holds_rows(tokens)),
    };
    Some(Own {
        founds: (plain && !lenient).then_some(name.name),
        runs,
        ..Own::default()
    })
}

/// Whether what follows the name of a table says that it holds rows and does no more.
fn holds_rows(mut tokens: Tokens<'_>) -> bool {
    let Some(columns) = tokens.parentheses() else {
        return false;
    };
    if tokens.words(&["on", "commit"]) && !tokens.word("drop") {
        tokens.any(&["delete", "preserve"]);
        tokens.word("rows");
    }
    let odd = |lexeme: &Lexeme<'_>| is_any(lexeme, &RUNNING) || lexeme.kind == Kind::Operator;
    let default = |at: usize| {
        let mut tokens = Tokens::new(columns.get(at..).unwrap_or_default());
        !tokens.word("default") || is_simple(tokens)
    };
    tokens.is_done() && !columns.iter().any(odd) && (0..columns.len()).all(default)
}

/// Whether what follows DEFAULT is a value, or the time. A name, as in `now()`, may be anyone's
/// function.
fn is_simple(mut tokens: Tokens<'_>) -> bool {
    let known = tokens.take().is_some_and(|first| {
        matches!(first.kind, Kind::Number | Kind::String) || is_any(first, &CONSTANT)
    });
    let ends = |next: &Lexeme<'_>| next.kind == Kind::Mark(b',') || is_any(next, &CONSTRAINT);
    known && tokens.rest().first().is_none_or(ends)
}

/// What follows the AS of CREATE TABLE AS. Within parentheses that word says how a column is computed.
fn query<'a>(lexemes: &'a [Lexeme<'a>]) -> Option<&'a [Lexeme<'a>]> {
    let mut depth = 0_usize;
    let found = lexemes.iter().position(|lexeme| {
        if lexeme.kind == Kind::Mark(b'(') {
            depth += 1;
        } else if lexeme.kind == Kind::Mark(b')') {
            depth = depth.saturating_sub(1);
        }
        depth == 0 && is_word(lexeme, "as")
    });
    lexemes.get(found? + 1..)
}

/// `CREATE INDEX … ON table`: its expressions run for each row.
fn index(mut tokens: Tokens<'_>) -> Option<Own> {
    tokens.word("unique");
    tokens.word("index").then_some(())?;
    tokens.word("concurrently");
    tokens.words(&["if", "not", "exists"]);
    if !tokens.sees("on") {
        tokens.identifier()?;
    }
    tokens.word("on").then_some(())?;
    tokens.word("only");
    let table = tokens.name()?;
    Some(Own {
        tables: [table].into(),
        runs: Some(bounded(tokens.rest())?),
        ..Own::default()
    })
}

/// `DROP TABLE`. With CASCADE it could take something along that lasts.
fn dropped(mut tokens: Tokens<'_>) -> Option<Own> {
    tokens.words(&["if", "exists"]);
    let mut tables = vec![tokens.name()?];
    while tokens.mark(b',') {
        tables.push(tokens.name()?);
    }
    tokens.word("restrict");
    tokens.is_done().then(|| Own {
        tables: tables.into(),
        drops: true,
        ..Own::default()
    })
}

/// `ALTER TABLE`: defaults and conversions may run for each row.
fn altered(mut tokens: Tokens<'_>) -> Option<Own> {
    tokens.words(&["if", "exists"]);
    tokens.word("only");
    let table = tokens.name()?;
    let rest = tokens.rest();
    let outwards = |lexeme: &Lexeme<'_>| is_any(lexeme, &RELATED) || is_any(lexeme, &OUTWARDS);
    if rest.iter().any(outwards) {
        return None;
    }
    Some(Own {
        tables: [table].into(),
        runs: Some(bounded(rest)?),
        ..Own::default()
    })
}

fn bounded(lexemes: &[Lexeme<'_>]) -> Option<Lexical> {
    match lexical::bound(lexemes) {
        Bound::Lexical(lexical) => Some(*lexical),
        Bound::Nothing | Bound::Own(_) | Bound::Everything | Bound::Cluster => None,
    }
}

/// Ties to other relations or to a type, and statements that SQL has prepared.
const RELATED: [&str; 4] = ["execute", "inherit", "inherits", "of"];

/// What makes columns or constraints that run something, or are those of another table.
const RUNNING: [&str; 6] = [
    "check",
    "exclude",
    "foreign",
    "generated",
    "like",
    "references",
];

/// Values of defaults that are words.
const CONSTANT: [&str; 5] = ["current_date", "current_timestamp", "false", "null", "true"];

/// What may follow a default.
const CONSTRAINT: [&str; 5] = ["constraint", "not", "null", "primary", "unique"];

/// What leads from a table to others.
const OUTWARDS: [&str; 5] = ["attach", "cascade", "detach", "owner", "schema"];
