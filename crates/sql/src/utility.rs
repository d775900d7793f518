//! Commands that are neither queries nor definitions.

use catalog::Event;

use crate::facts::{Bound, Lexical, Name, Sentence, Target};
use crate::scan::{Kind, Lexeme};
use crate::statement::rows;
use crate::tokens::{Tokens, is_any, is_word};
use crate::{Effects, Reason, SettingsEffect, Sight, lexical, prepared};

/// COPY, TRUNCATE, EXPLAIN, CALL, DO, REFRESH and what writes nothing; `None` if it is none of
/// them, or not understood.
pub(crate) fn utility(mut tokens: Tokens<'_>) -> Option<Sentence> {
    if tokens.any(&HARMLESS) || tokens.any(&REPLICATION) {
        Some(Sentence::control(Effects::default()))
    } else if tokens.any(&["listen", "unlisten"]) {
        Some(Sentence::control(Effects {
            pins: true,
            ..Effects::default()
        }))
    } else if tokens.word("call") {
        Some(call(tokens).unwrap_or_else(code))
    } else if tokens.word("do") {
        Some(code())
    } else if tokens.word("copy") {
        copy(&mut tokens)
    } else if tokens.word("truncate") {
        truncate(&mut tokens)
    } else if tokens.words(&["refresh", "materialized", "view"]) {
        refresh(&mut tokens)
    } else if tokens.word("reindex") {
        Some(fires(Lexical::default()))
    } else if tokens.word("explain") {
        explain(&mut tokens)
    } else {
        None
    }
}

/// Code that may do whatever a session can.
fn code() -> Sentence {
    Sentence::everything(Effects {
        settings: SettingsEffect::Unknown,
        temporary: true,
        names: true,
        commits: true,
        pins: true,
        ..Effects::default()
    })
}

/// `CALL p(…)`: a procedure is read as functions are. It may have been replaced by one that ends
/// transactions, so that what it has done may be there though it failed.
fn call(mut tokens: Tokens<'_>) -> Option<Sentence> {
    let words = tokens.rest();
    let procedure = tokens.name()?;
    let Bound::Lexical(mut found) = lexical::bound(words) else {
        return None;
    };
    found.procedure = Some(procedure);
    let mut sentence = rows(Err(Reason::NotARead), Bound::Lexical(found), None);
    // What its body looks at is not followed that far.
    sentence.effects.names = true;
    sentence.effects.commits = true;
    Some(sentence)
}

fn targets(targets: Vec<Target>) -> Sentence {
    Sentence {
        writes: Bound::Lexical(Box::new(Lexical {
            targets,
            ..Lexical::default()
        })),
        ..Sentence::control(Effects::default())
    }
}

const fn target(name: Name, event: Event) -> Target {
    Target { name, event }
}

/// `COPY (query) TO`, `COPY t TO`, `COPY t (columns) FROM … WHERE …`.
fn copy(tokens: &mut Tokens<'_>) -> Option<Sentence> {
    let program = |lexeme: &Lexeme<'_>| is_word(lexeme, "program");
    if tokens.rest().iter().any(program) {
        return Some(code());
    }
    if let Some(query) = tokens.parentheses() {
        return Some(Sentence {
            writes: lexical::bound(query),
            ..Sentence::control(Effects::default())
        });
    }
    // An option of old, or the table's name.
    let mut ahead = *tokens;
    if ahead.word("binary") && !ahead.sees("from") && !ahead.sees("to") {
        *tokens = ahead;
    }
    let name = tokens.name()?;
    tokens.parentheses();
    if tokens.word("from") {
        // A condition may call functions.
        let Bound::Lexical(mut found) = lexical::bound(tokens.rest()) else {
            return None;
        };
        found.targets.push(target(name, Event::Insert));
        return Some(Sentence {
            writes: Bound::Lexical(found),
            ..Sentence::control(Effects::default())
        });
    }
    // The policies of a table may run functions that write.
    tokens.word("to").then(|| Sentence {
        writes: Bound::Lexical(Box::new(Lexical {
            attributes: name.schema.iter().map(|_| name.name.clone()).collect(),
            words: vec![name.name],
            ..Lexical::default()
        })),
        ..Sentence::control(Effects::default())
    })
}

fn truncate(tokens: &mut Tokens<'_>) -> Option<Sentence> {
    tokens.word("table");
    let mut names = Vec::new();
    loop {
        tokens.word("only");
        names.push(tokens.name()?);
        tokens.operator("*");
        if !tokens.mark(b',') {
            break;
        }
    }
    if tokens.any(&["restart", "continue"]) && !tokens.word("identity") {
        return None;
    }
    // Referencing tables are truncated with CASCADE or not at all.
    tokens.any(&["cascade", "restrict"]);
    tokens.is_done().then(|| {
        let truncated = |name| target(name, Event::Truncate);
        targets(names.into_iter().map(truncated).collect())
    })
}

fn refresh(tokens: &mut Tokens<'_>) -> Option<Sentence> {
    tokens.word("concurrently");
    let name = tokens.name()?;
    Some(fires(Lexical {
        targets: vec![target(name.clone(), Event::Insert)],
        // Its query runs as well.
        words: vec![name.name],
        ..Lexical::default()
    }))
}

/// A command on which event triggers fire although it changes no definition.
fn fires(lexical: Lexical) -> Sentence {
    let lexical = Lexical {
        fires: true,
        ..lexical
    };
    Sentence {
        writes: Bound::Lexical(Box::new(lexical)),
        ..Sentence::control(Effects::default())
    }
}

/// `EXPLAIN` plans; with ANALYZE it runs what it plans.
fn explain(tokens: &mut Tokens<'_>) -> Option<Sentence> {
    let analyze = match options(tokens) {
        Some(options) => analyzes(options),
        None => {
            let analyze = tokens.any(&["analyze", "analyse"]);
            tokens.word("verbose");
            analyze
        }
    };
    let inner = tokens.rest();
    let names = tokens.any(&["execute", "declare"]);
    if !analyze {
        // The arguments of EXECUTE are evaluated all the same (`ExplainExecuteQuery`).
        let executes = names || tokens.sees("create");
        let mut behind = inner.iter().skip_while(|it| !is_word(it, "execute"));
        if executes && behind.any(|it| it.kind == Kind::Mark(b'(')) {
            return Some(prepared::execute(Sight::All));
        }
        return Some(Sentence::control(Effects {
            names,
            ..Effects::default()
        }));
    }
    if names {
        return Some(prepared::execute(Sight::All));
    }
    let first = inner
        .iter()
        .find(|lexeme| lexeme.kind != Kind::Mark(b'('))?;
    let bounded = is_any(
        first,
        &[
            "select", "with", "values", "table", "insert", "update", "delete", "merge",
        ],
    );
    match bounded {
        true => Some(Sentence {
            writes: lexical::bound(inner),
            ..Sentence::control(Effects::default())
        }),
        // CREATE TABLE AS and REFRESH.
        false => Some(code()),
    }
}

/// A list in parentheses that is not a query in parentheses.
fn options<'a>(tokens: &mut Tokens<'a>) -> Option<&'a [Lexeme<'a>]> {
    let mut ahead = *tokens;
    let options = ahead.parentheses()?;
    let first = options.first()?;
    if is_any(first, &["select", "with", "values", "table"]) || first.kind == Kind::Mark(b'(') {
        return None;
    }
    *tokens = ahead;
    Some(options)
}

/// Whether ANALYZE is among the options and not switched off.
///
/// Of a long text there are no commas left, and no values but words.
fn analyzes(options: &[Lexeme<'_>]) -> bool {
    let known = |kind| {
        matches!(
            kind,
            Kind::Word | Kind::Number | Kind::String | Kind::Mark(b',')
        )
    };
    // In quotes it is the same option.
    let odd = options.iter().any(|lexeme| !known(lexeme.kind));
    let off = |value: &Lexeme<'_>| is_any(value, &["false", "off"]) || value.bytes == b"0";
    odd || (0..options.len()).any(|at| match options.get(at..) {
        Some([name, value @ ..]) => {
            is_any(name, &["analyze", "analyse"]) && !value.first().is_some_and(off)
        }
        Some([]) | None => false,
    })
}

/// Commands that change no row that a query can see, and no definition.
///
/// CLUSTER and VACUUM move rows; ANALYZE counts them; SHOW and LOCK look at them.
/// Commands of replication connections. One stands alone or is refused, and elsewhere the text is
/// refused as a whole.
const REPLICATION: [&str; 9] = [
    "alter_replication_slot",
    "base_backup",
    "create_replication_slot",
    "drop_replication_slot",
    "identify_system",
    "read_replication_slot",
    "start_replication",
    "timeline_history",
    "upload_manifest",
];

const HARMLESS: [&str; 8] = [
    "analyse",
    "analyze",
    "checkpoint",
    "cluster",
    "lock",
    "notify",
    "show",
    "vacuum",
];
