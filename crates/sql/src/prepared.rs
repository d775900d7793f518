//! Statements that see names of prepared statements or portals.

use crate::facts::Sentence;
use crate::tokens::{Tokens, is_any, is_word};
use crate::{Effects, SettingsEffect, Sight, lexical};

/// PREPARE, EXECUTE, DEALLOCATE, DECLARE, FETCH, MOVE, CLOSE or DISCARD; `None` if it is none of
/// them.
pub(crate) fn prepared(mut tokens: Tokens<'_>) -> Option<Sentence> {
    if tokens.word("prepare") {
        let name = tokens.identifier()?;
        Some(Sentence::control(Effects {
            deallocates: [name.clone()].into(),
            ..seeing(Sight::Name(name))
        }))
    } else if tokens.word("execute") {
        let name = tokens.identifier()?;
        Some(execute(Sight::Statement(name)))
    } else if tokens.word("deallocate") {
        deallocate(&mut tokens)
    } else if tokens.word("declare") {
        declare(&mut tokens)
    } else if tokens.any(&["fetch", "move", "close"]) {
        Some(Sentence::control(seeing(Sight::Portals)))
    } else if tokens.word("discard") {
        discard(&mut tokens)
    } else {
        None
    }
}

fn seeing(sight: Sight) -> Effects {
    Effects {
        names: true,
        sight,
        ..Effects::default()
    }
}

/// What was prepared is known by name only, and may be any of SELECT, INSERT, UPDATE, DELETE.
pub(crate) fn execute(sight: Sight) -> Sentence {
    Sentence::everything(Effects {
        settings: SettingsEffect::Unknown,
        tag_judges: true,
        ..seeing(sight)
    })
}

fn deallocate(tokens: &mut Tokens<'_>) -> Option<Sentence> {
    // `DEALLOCATE prepare` drops the statement of that name.
    let mut ahead = *tokens;
    if ahead.word("prepare") && !ahead.is_done() {
        *tokens = ahead;
    }
    let all = tokens.sees("all");
    let name = tokens.identifier()?;
    let sight = match all {
        true => Sight::Nothing,
        false => Sight::Name(name.clone()),
    };
    let effects = Effects {
        deallocates: (!all).then_some(name).into_iter().collect(),
        ..seeing(sight)
    };
    tokens.is_done().then(|| Sentence::control(effects))
}

/// The query runs as the cursor is read, but what it writes is announced here: both happen in one
/// transaction.
fn declare(tokens: &mut Tokens<'_>) -> Option<Sentence> {
    tokens.identifier()?;
    while !tokens.is_done() && !tokens.sees("for") {
        tokens.take();
    }
    tokens.word("for").then(|| Sentence {
        writes: lexical::bound(tokens.rest()),
        ..Sentence::control(Effects {
            pins: true,
            ..seeing(Sight::Portals)
        })
    })
}

fn discard(tokens: &mut Tokens<'_>) -> Option<Sentence> {
    let object = tokens.take()?;
    let settings = if is_word(object, "all") {
        SettingsEffect::ResetAll
    } else {
        SettingsEffect::Untouched
    };
    let temporary = is_any(object, &["temp", "temporary"]);
    tokens.is_done().then(|| {
        Sentence::control(Effects {
            settings,
            temporary,
            ..seeing(Sight::Nothing)
        })
    })
}
