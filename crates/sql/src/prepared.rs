//! Statements that see names of prepared statements or portals.

use crate::facts::Sentence;
use crate::scan::{Kind, Lexeme, lexemes};
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

/// The statement behind `PREPARE name (types) AS`, if the text is that.
pub fn prepared_text(text: &[u8]) -> Option<&[u8]> {
    let lexemes = grammatical(text);
    let mut tokens = Tokens::new(&lexemes);
    tokens.word("prepare").then_some(())?;
    tokens.identifier()?;
    tokens.parentheses();
    tokens.word("as").then_some(())?;
    text.get(tokens.rest().first()?.start..)
}

/// Whether the text is `EXECUTE name (values)`, where the values are all written out: to compute them
/// runs nothing.
pub fn executes_with_values(text: &[u8]) -> bool {
    let lexemes = grammatical(text);
    let mut tokens = Tokens::new(&lexemes);
    let value = |it: &Lexeme<'_>, next: Option<&Lexeme<'_>>| {
        // The grammar makes one number of both (`doNegate` in `gram.y`).
        let sign = it.bytes == b"-" && next.is_some_and(|it| it.kind == Kind::Number);
        let written = matches!(it.kind, Kind::Number | Kind::String | Kind::Mark(b','));
        written || sign || is_any(it, &["null", "true", "false"])
    };
    let values = |all: &[Lexeme<'_>]| {
        let mut next = all.iter().skip(1);
        all.iter().all(|it| value(it, next.next()))
    };
    let named = tokens.word("execute") && tokens.identifier().is_some();
    let given = named && tokens.parentheses().is_none_or(values);
    tokens.mark(b';');
    given && tokens.is_done()
}

/// The lexemes of a text that the grammar sees.
fn grammatical(text: &[u8]) -> Vec<Lexeme<'_>> {
    let all = lexemes(text);
    all.filter(|lexeme| !lexeme.kind.is_blank()).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_prepared_is_told_from_its_name_and_types() {
        for (text, inner) in [
            ("prepare s as select 1", Some("select 1")),
            (
                "/* x */ PREPARE \"A b\"(int, numeric(3, 1))\nAS update t set v = $1;",
                Some("update t set v = $1;"),
            ),
            ("prepare s as", None),
            ("prepare transaction 'x'", None),
            ("select 1 as x", None),
        ] {
            let found = prepared_text(text.as_bytes());
            assert_eq!(found, inner.map(str::as_bytes), "{text}");
        }
    }

    #[test]
    fn values_that_are_written_out_run_nothing() {
        for text in [
            "execute s",
            "EXECUTE \"A b\" (1, -2.5, 'x', NULL, true);",
            "execute s() -- done",
        ] {
            assert!(executes_with_values(text.as_bytes()), "{text}");
        }
        for text in [
            "execute s(f())",
            "execute s(f)",
            "execute s('a'::x)",
            "execute s(1 + 1)",
            "execute s(- 'a')",
            "execute s((select 1))",
            "execute s($1)",
            "execute s; select 1",
            "explain execute s",
            "create table x as execute s",
        ] {
            assert!(!executes_with_values(text.as_bytes()), "{text}");
        }
    }
}
