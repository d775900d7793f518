//! One statement: which command it is, and what the command alone implies.
//!
//! Commands are told by their keywords. Only what could be a read is handed to the parser; what a
//! statement may write is never the parser's opinion.

use std::sync::Arc;

use crate::facts::{Bound, Read, Sentence};
use crate::pin::outline::{Outline, outline};
use crate::scan::{Kind, Lexeme};
use crate::tokens::{Tokens, is_any, is_word};
use crate::{
    Effects, Reason, SettingsEffect, assign, lexical, own, prepared, read, setting, skips,
    transaction, utility,
};

/// One statement, from its lexemes without blanks. `text` is what they were cut from; `None` if
/// it is too long to be parsed.
pub(crate) fn sentence(text: Option<&[u8]>, lexemes: &[Lexeme<'_>]) -> Sentence {
    let mut tokens = Tokens::new(lexemes);
    if lexemes
        .iter()
        .any(|lexeme| lexeme.kind == Kind::Unterminated)
    {
        return unreadable();
    }
    if begins_query(lexemes) {
        return query(text, lexemes);
    }
    if tokens.any(&["insert", "update", "delete", "merge"]) {
        // A long text has been cut.
        let outline = text.and_then(|_| outline(lexemes));
        return rows(Err(Reason::Writes), lexical::bound(lexemes), outline);
    }
    if tokens.any(&DEFINITION) {
        let mut definition = definition(lexemes, runs_query(lexemes));
        if text.is_none() {
            // There are no commas left.
            definition.effects.skips = None;
        }
        return definition;
    }
    transaction::control(tokens)
        .or_else(|| setting::setting(tokens))
        .or_else(|| prepared::prepared(tokens))
        .or_else(|| utility::utility(tokens))
        .unwrap_or_else(unreadable)
}

/// What is not understood: anything may have happened, until the tag says otherwise.
fn unreadable() -> Sentence {
    Sentence {
        read: Err(Reason::Unreadable),
        ..Sentence::everything(Effects {
            settings: SettingsEffect::Unknown,
            temporary: true,
            names: true,
            commits: true,
            tag_judges: true,
            pins: true,
            ..Effects::default()
        })
    }
}

fn begins_query(lexemes: &[Lexeme<'_>]) -> bool {
    let first = lexemes
        .iter()
        .find(|lexeme| lexeme.kind != Kind::Mark(b'('));
    first.is_some_and(|first| is_any(first, &["select", "with", "values", "table"]))
}

/// SELECT and its kin, with a data-modifying WITH perhaps.
fn query(text: Option<&[u8]>, lexemes: &[Lexeme<'_>]) -> Sentence {
    if creates_table(lexemes) {
        return definition(lexemes, true);
    }
    let writes = lexical::bound(lexemes);
    let read = match (&writes, text) {
        (Bound::Everything, _) => Err(Reason::Unsupported),
        (Bound::Lexical(lexical), _) if !lexical.targets.is_empty() => Err(Reason::Writes),
        (_, Some(text)) => read::read(text, lexemes),
        (_, None) => Err(Reason::TooLong),
    };
    let outline = read.as_ref().ok().and_then(|_| outline(lexemes));
    let mut sentence = rows(read, writes, outline);
    if matches!(sentence.writes, Bound::Lexical(_))
        && let Some(assigned) = assign::assignments(Tokens::new(lexemes))
    {
        sentence.effects.settings = SettingsEffect::Calls(assigned);
    }
    sentence
}

/// A statement that reads or writes rows; without a bound it may call anything.
pub(crate) fn rows(
    read: Result<Box<Read>, Reason>,
    writes: Bound,
    outline: Option<Box<Outline>>,
) -> Sentence {
    let effects = match &writes {
        Bound::Lexical(lexical) => Effects {
            names: lexical.words.iter().any(|word| NAMES.contains(&&**word)),
            ..Effects::default()
        },
        Bound::Nothing | Bound::Own(_) | Bound::Everything | Bound::Cluster => Effects {
            settings: SettingsEffect::Unknown,
            temporary: true,
            names: true,
            pins: true,
            ..Effects::default()
        },
    };
    Sentence {
        read,
        writes,
        outline,
        effects,
    }
}

/// Whether a query holds SELECT INTO. `INTO` is reserved and has no other use but these two.
fn creates_table(lexemes: &[Lexeme<'_>]) -> bool {
    lexemes.windows(2).any(|pair| match pair {
        [before, into] => is_word(into, "into") && !is_any(before, &["insert", "merge"]),
        _ => false,
    })
}

/// CREATE, ALTER, DROP, GRANT and the like. `runs` if it runs a query, which may call anything.
fn definition(lexemes: &[Lexeme<'_>], runs: bool) -> Sentence {
    let has = |keyword: &str| lexemes.iter().any(|lexeme| is_word(lexeme, keyword));
    let schema = || {
        lexemes.iter().any(|lexeme| {
            let starts = |part: &[u8]| part.eq_ignore_ascii_case(b"pg_temp");
            lexeme.bytes.windows(7).any(starts)
        })
    };
    let effects = Effects {
        settings: match runs {
            true => SettingsEffect::Unknown,
            false => SettingsEffect::Untouched,
        },
        temporary: has("temp") || has("temporary") || schema(),
        makes: made(lexemes, runs),
        names: runs && has("execute"),
        // What follows a body of SQL was not told apart from it.
        commits: has("atomic"),
        whole: !runs && !is_piecemeal(lexemes),
        skips: skips::skips(lexemes).map(Arc::new),
        ..Effects::default()
    };
    Sentence {
        writes: match own::own(lexemes) {
            _ if is_shared(lexemes) => Bound::Cluster,
            Some(own) => Bound::Own(Box::new(own)),
            None => Bound::Everything,
        },
        ..Sentence::control(effects)
    }
}

/// Whether a definition that fails may have committed some of it before. Libraries that make more of one
/// are asked to by its options.
fn is_piecemeal(lexemes: &[Lexeme<'_>]) -> bool {
    let word = |lexeme: &Lexeme<'_>| is_any(lexeme, &PIECEMEAL);
    let options = |pair: &[Lexeme<'_>]| match pair {
        [with, list] => is_word(with, "with") && list.kind == Kind::Mark(b'('),
        _ => false,
    };
    lexemes.iter().any(word) || lexemes.windows(2).any(options)
}

/// The name of the temporary relation that a definition makes, if it makes no more: functions that
/// its query calls may make others.
fn made(lexemes: &[Lexeme<'_>], runs: bool) -> Option<Box<str>> {
    let mut tokens = Tokens::new(lexemes);
    tokens.word("create").then_some(())?;
    tokens.words(&["or", "replace"]);
    tokens.any(&["local", "global"]);
    tokens.any(&["temp", "temporary"]).then_some(())?;
    tokens.word("recursive");
    tokens.any(&["table", "view"]).then_some(())?;
    tokens.words(&["if", "not", "exists"]);
    let name = tokens.name()?.name;
    let calls = tokens.rest().windows(2).any(|pair| match pair {
        [word, mark] => word.kind != Kind::Operator && mark.kind == Kind::Mark(b'('),
        _ => false,
    });
    (!runs || !calls).then_some(name)
}

/// Whether a definition changes what all databases share. GRANT and REVOKE without ON are about
/// memberships.
fn is_shared(lexemes: &[Lexeme<'_>]) -> bool {
    let mut tokens = Tokens::new(lexemes);
    let on = lexemes.iter().any(|lexeme| is_word(lexeme, "on"));
    if tokens.any(&["grant", "revoke"]) {
        !on
    } else if tokens.word("alter") {
        tokens.any(&["role", "user", "group", "database", "system"])
    } else if tokens.any(&["create", "drop", "reassign"]) {
        tokens.any(&["role", "user", "group", "owned"])
    } else {
        false
    }
}

/// Whether a text that cannot be read may change what all databases share.
pub fn may_be_shared(text: &[u8]) -> bool {
    let within = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let words = || text.split(|byte| !within(byte));
    let has = |keywords: &[&str]| {
        let is = |word: &[u8]| {
            let mut all = keywords.iter();
            all.any(|it| it.as_bytes().eq_ignore_ascii_case(word))
        };
        words().any(is)
    };
    has(&["grant", "revoke"]) || has(&["alter", "create", "drop", "reassign"]) && has(&SHARED)
}

/// Whether a definition is CREATE TABLE AS or CREATE MATERIALIZED VIEW.
fn runs_query(lexemes: &[Lexeme<'_>]) -> bool {
    let mut tokens = Tokens::new(lexemes);
    tokens.word("create")
        && tokens.any(&[
            "table",
            "materialized",
            "temp",
            "temporary",
            "unlogged",
            "local",
            "global",
        ])
        && tokens.rest().iter().any(|lexeme| is_word(lexeme, "as"))
}

/// What the names of statements and portals can be read from: views, and what is behind them.
const NAMES: [&str; 4] = [
    "pg_cursor",
    "pg_cursors",
    "pg_prepared_statement",
    "pg_prepared_statements",
];

/// What is not of one database.
const SHARED: [&str; 6] = ["database", "group", "owned", "role", "system", "user"];

/// Words of definitions that may commit on the way, or change what no transaction holds.
const PIECEMEAL: [&str; 7] = [
    "concurrently",
    "database",
    "materialized",
    // Its bounds are expressions, which are computed.
    "partition",
    "subscription",
    "system",
    "tablespace",
];

/// Commands that make, name or drop objects; all of them write the catalog.
const DEFINITION: [&str; 9] = [
    "alter", "comment", "create", "drop", "grant", "import", "reassign", "revoke", "security",
];
