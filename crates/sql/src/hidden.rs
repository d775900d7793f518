//! Words that keep a query from being looked up, wherever they stand.
//!
//! The syntax tree hides them: as columns (`current_schema`, `ctid`), as types (`regclass`), in
//! literals (`'today'`).

use std::borrow::Cow;

use crate::escapes::{escaped, unicode};
use crate::plain::is_table_command;
use crate::scan::{Kind, Lexeme};
use crate::tokens::{identifier, is_any, is_word};
use crate::{Reason, names_clock};

/// The first reason in the order of [`Reason`] that the words of a query give.
pub(crate) fn reason(lexemes: &[Lexeme<'_>]) -> Option<Reason> {
    let mut found: Option<Reason> = None;
    for (index, lexeme) in lexemes.iter().enumerate() {
        let before = lexemes.get(..index).unwrap_or_default();
        let after = lexemes.get(index + 1..).unwrap_or_default();
        let reason = match lexeme.kind {
            Kind::Word => word(lexeme, before, after),
            Kind::Quoted => identifier(lexeme).and_then(|name| named(&name)),
            Kind::String | Kind::Escape | Kind::Dollar => string(lexeme, before),
            // Other escapes, or an identifier.
            Kind::Unicode if is_plain_unicode(lexeme, after) => string(lexeme, before),
            Kind::Number => number(lexeme.bytes),
            Kind::Mark(mark) => (!MARKS.contains(&mark)).then_some(Reason::Unsupported),
            Kind::Unicode | Kind::Unterminated => Some(Reason::Unsupported),
            Kind::Bits | Kind::Parameter | Kind::Operator => None,
            Kind::Space | Kind::LineComment | Kind::BlockComment => None,
        };
        found = match (found, reason) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
    }
    found
}

fn word(lexeme: &Lexeme<'_>, before: &[Lexeme<'_>], after: &[Lexeme<'_>]) -> Option<Reason> {
    if has_space(lexeme.bytes) {
        return Some(Reason::Unsupported);
    }
    let next = after.first();
    let follows = |words: &[&str]| next.is_some_and(|next| is_any(next, words));
    if is_word(lexeme, "for") && follows(&["update", "share", "no", "key"]) {
        return Some(Reason::LocksRows);
    }
    if is_word(lexeme, "tablesample") {
        return Some(Reason::Sample);
    }
    // The parser would lose what follows a `TABLE` that was not replaced.
    if is_word(lexeme, "table") && !is_table_command(before, lexeme, after) {
        return Some(Reason::Unsupported);
    }
    // `time [(n)] with time zone`: its zone is that of today.
    if is_word(lexeme, "with") && follows(&["time"]) && is_time(before) {
        return Some(Reason::Clock);
    }
    // After a dot or AS these are names like any other.
    let label = before
        .last()
        .is_some_and(|last| last.kind == Kind::Mark(b'.') || is_word(last, "as"));
    if !label {
        if is_any(lexeme, &CLOCK) {
            return Some(Reason::Clock);
        }
        if is_any(lexeme, &SESSION) {
            return Some(Reason::SessionState);
        }
    }
    identifier(lexeme).and_then(|name| named(&name))
}

/// Whether a word holds a character that is white space to the parser, but a letter to the server.
fn has_space(word: &[u8]) -> bool {
    !word.is_ascii() && String::from_utf8_lossy(word).contains(char::is_whitespace)
}

/// Whether the type before `with time zone` is `time`, not `timestamp`.
fn is_time(before: &[Lexeme<'_>]) -> bool {
    match before {
        [.., time] if is_word(time, "time") => true,
        [.., time, _, _, _] => is_word(time, "time"),
        _ => false,
    }
}

/// Names that mean the same with and without quotes.
fn named(name: &str) -> Option<Reason> {
    // The type of an array has the name of its elements.
    let element = name.strip_prefix('_').unwrap_or(name);
    if SYSTEM_COLUMNS.contains(&name) {
        Some(Reason::SystemColumn)
    } else if CATALOG_TYPES.contains(&element) {
        Some(Reason::SystemCatalog)
    } else if element == "timetz" {
        Some(Reason::Clock)
    } else {
        None
    }
}

/// Whether a lexeme is `U&'…'`, and no UESCAPE comes next.
fn is_plain_unicode(lexeme: &Lexeme<'_>, after: &[Lexeme<'_>]) -> bool {
    let other = after.first().is_some_and(|next| is_word(next, "uescape"));
    lexeme.bytes.ends_with(b"'") && !other
}

fn string(lexeme: &Lexeme<'_>, before: &[Lexeme<'_>]) -> Option<Reason> {
    // Two strings are one, if a line break stands between them.
    if before.last().is_some_and(|last| last.kind.is_string()) {
        return Some(Reason::Unsupported);
    }
    let Some(value) = value(lexeme) else {
        return Some(Reason::Unsupported);
    };
    names_clock(&value).then_some(Reason::Clock)
}

/// What a literal stands for, as far as its letters go; `None` if that is not known.
fn value<'a>(lexeme: &Lexeme<'a>) -> Option<Cow<'a, [u8]>> {
    let bytes = lexeme.bytes;
    let (opening, closing) = if lexeme.kind == Kind::Dollar {
        let tag = memchr::memchr(b'$', bytes.get(1..)?)? + 2;
        (tag, tag)
    } else {
        (memchr::memchr(b'\'', bytes)? + 1, 1)
    };
    let inner = bytes.get(opening..bytes.len().checked_sub(closing)?)?;
    if memchr::memchr(b'\\', inner).is_none() {
        Some(Cow::Borrowed(inner))
    } else if lexeme.kind == Kind::Escape {
        escaped(inner).map(Cow::Owned)
    } else if lexeme.kind == Kind::Unicode {
        unicode(inner).map(Cow::Owned)
    } else {
        Some(Cow::Borrowed(inner))
    }
}

/// Old servers end a number before a letter, so that a keyword could hide in it.
fn number(bytes: &[u8]) -> Option<Reason> {
    let radix = matches!(bytes, [b'0', b'x' | b'X' | b'o' | b'O' | b'b' | b'B', ..]);
    let odd = |byte: &u8| byte.is_ascii_alphabetic() && !matches!(byte, b'e' | b'E');
    (radix || bytes.iter().any(odd)).then_some(Reason::Unsupported)
}

const MARKS: [u8; 7] = [b'(', b')', b'[', b']', b',', b'.', b':'];

const CLOCK: [&str; 5] = [
    "current_date",
    "current_time",
    "current_timestamp",
    "localtime",
    "localtimestamp",
];

/// The roles of a session, such as CURRENT_USER, are in every key.
const SESSION: [&str; 3] = ["current_catalog", "current_schema", "system_user"];

const SYSTEM_COLUMNS: [&str; 6] = ["cmax", "cmin", "ctid", "tableoid", "xmax", "xmin"];

/// Types whose text is looked up in the catalogs.
const CATALOG_TYPES: [&str; 9] = [
    "regclass",
    "regcollation",
    "regnamespace",
    "regoper",
    "regoperator",
    "regproc",
    "regprocedure",
    "regrole",
    "regtype",
];
