//! Settings that a query assigns: `SELECT set_config('app.user', $1, true), …` and nothing else.

use crate::pin::Arguments;
use crate::scan::Kind;
use crate::tokens::Tokens;
use crate::{SetScope, SetValue, Setting};

/// One call of `set_config`, as far as the text says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Assignment {
    name: Box<str>,
    scope: SetScope,
    value: Given,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Given {
    Text(Box<str>),
    Parameter(u16),
}

impl Assignment {
    /// The name of what is set, in lower case.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How long it lasts.
    pub const fn scope(&self) -> SetScope {
        self.scope
    }

    /// What is set once values are bound; `None` if that is no text.
    pub fn resolve(&self, arguments: &Arguments<'_>) -> Option<Setting> {
        let value = match &self.value {
            Given::Text(text) => text.clone(),
            Given::Parameter(number) => arguments.text(*number)?.into(),
        };
        Some(Setting {
            name: self.name.clone(),
            scope: self.scope,
            value: SetValue::Text(value),
        })
    }
}

/// The assignments of a query that consists of nothing but calls of `set_config` with names and
/// scopes that are written out.
pub(crate) fn assignments(mut tokens: Tokens<'_>) -> Option<Box<[Assignment]>> {
    tokens.word("select").then_some(())?;
    let mut all = vec![assignment(&mut tokens)?];
    while tokens.mark(b',') {
        all.push(assignment(&mut tokens)?);
    }
    (tokens.is_done() && all.len() <= ASSIGNMENTS_MAX).then(|| all.into())
}

fn assignment(tokens: &mut Tokens<'_>) -> Option<Assignment> {
    let called = tokens.name()?;
    let schema = called.schema.as_deref();
    let meant = &*called.name == SET_CONFIG && schema.is_none_or(|schema| schema == "pg_catalog");
    (meant && tokens.mark(b'(')).then_some(())?;
    let name = tokens.string()?.to_ascii_lowercase().into();
    cast(tokens)?;
    tokens.mark(b',').then_some(())?;
    let value = match tokens.string() {
        Some(text) => Given::Text(text),
        None => Given::Parameter(parameter(tokens)?),
    };
    cast(tokens)?;
    tokens.mark(b',').then_some(())?;
    let scope = if tokens.word("true") {
        SetScope::Local
    } else if tokens.word("false") {
        SetScope::Session
    } else {
        return None;
    };
    tokens.mark(b')').then_some(())?;
    if tokens.word("as") {
        tokens.identifier()?;
    }
    Some(Assignment { name, scope, value })
}

/// `::text`, perhaps; anything else that follows is not understood.
fn cast(tokens: &mut Tokens<'_>) -> Option<()> {
    if tokens.mark(b':') {
        (tokens.mark(b':') && tokens.word("text")).then_some(())?;
    }
    Some(())
}

fn parameter(tokens: &mut Tokens<'_>) -> Option<u16> {
    let lexeme = tokens.take().filter(|it| it.kind == Kind::Parameter)?;
    let digits = lexeme.bytes.strip_prefix(b"$")?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// The function that sets a setting.
pub(crate) const SET_CONFIG: &str = "set_config";

/// A query that sets more has effects that are not followed.
const ASSIGNMENTS_MAX: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scan::{Lexeme, lexemes};

    fn parse(text: &str) -> Option<Vec<Setting>> {
        let lexemes: Vec<Lexeme<'_>> = lexemes(text.as_bytes())
            .filter(|lexeme| !lexeme.kind.is_blank())
            .collect();
        let found = assignments(Tokens::new(&lexemes))?;
        let arguments = Arguments {
            types: &[],
            formats: &[],
            values: b"\0\0\0\x01x\xff\xff\xff\xff",
            ..Arguments::default()
        };
        found.iter().map(|one| one.resolve(&arguments)).collect()
    }

    fn check(text: &str, expected: &[(&str, SetScope, &str)]) {
        let expected = expected.iter().map(|&(name, scope, value)| Setting {
            name: name.into(),
            scope,
            value: SetValue::Text(value.into()),
        });
        assert_eq!(parse(text), Some(expected.collect()), "{text}");
    }

    #[test]
    fn calls_of_set_config_are_assignments() {
        use SetScope::{Local, Session};
        check(
            "select set_config('A.b', 'c', true)",
            &[("a.b", Local, "c")],
        );
        check(
            "SELECT pg_catalog.set_config('role'::text, $1, true) AS x, set_config('y.z', 'it''s'::text, false)",
            &[("role", Local, "x"), ("y.z", Session, "it's")],
        );
    }

    #[test]
    fn anything_more_is_none() {
        for text in [
            "select set_config('a.b', 'c', true) from t",
            "select set_config('a.b', 'c', true) where false",
            "select set_config('a.b', 'c' || 'd', true)",
            "select set_config('a.b', lower('c'), true)",
            "select set_config('a.b', 'c', $1)",
            "select set_config($1, 'c', true)",
            "select set_config('a.b', $1::varchar, true)",
            "select set_config('a.b', E'\\x41', true)",
            "select set_config('a.b', null, true)",
            "select set_config('a.b', 'c')",
            "select other.set_config('a.b', 'c', true)",
            "select set_config('a.b', 'c', true) limit 0",
            "select distinct set_config('a.b', 'c', true)",
            "select 1, set_config('a.b', 'c', true)",
            // NULL, and a parameter that is not there.
            "select set_config('a.b', $2, true)",
            "select set_config('a.b', $3, true)",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn values_of_other_types_are_not_understood() {
        let resolve = |declared: u32| {
            let lexemes: Vec<Lexeme<'_>> = lexemes(b"select set_config('a.b',$1,true)")
                .filter(|lexeme| !lexeme.kind.is_blank())
                .collect();
            let found = assignments(Tokens::new(&lexemes)).unwrap();
            let arguments = Arguments {
                types: &declared.to_be_bytes(),
                formats: &[0, 1],
                values: b"\0\0\0\x01x",
                ..Arguments::default()
            };
            found[0].resolve(&arguments)
        };
        assert!(resolve(0).is_some() && resolve(25).is_some() && resolve(1_043).is_some());
        // `char(n)` loses its spaces.
        assert!(resolve(1_042).is_none() && resolve(19).is_none());
    }
}
