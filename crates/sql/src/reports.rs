//! Functions that run a query whose text they are given, and that read only.
//!
//! `crosstab` hands its texts to `SPI_execute` as read-only: the server refuses all but queries that
//! modify and lock nothing, though these may call any function. Where a text is written out, its words
//! count like those of the statement around it; then the function itself does no more.

use catalog::{Function, Language};

use crate::scan::{Kind, Lexeme, lexemes};
use crate::tokens::Tokens;

/// Whether a name may be that of such a function.
pub(crate) fn is_report(name: &str) -> bool {
    REPORTS.contains(&name)
}

/// Whether a function is one.
pub(crate) fn runs_query(function: &Function) -> bool {
    function.language == Language::C
        && function.extension.as_deref() == Some("tablefunc")
        && is_report(&function.name)
}

/// The texts of the queries that a call runs, with an opening parenthesis first among the lexemes
/// `after` its name; `None` if they are not all written out.
pub(crate) fn texts<'a>(after: &'a [Lexeme<'a>]) -> Option<Vec<Box<str>>> {
    let mut after = Tokens::new(after);
    let mut tokens = Tokens::new(after.parentheses()?);
    let mut texts = vec![text(&mut tokens)?];
    if tokens.mark(b',') {
        match tokens.rest() {
            // How many columns there are, which nobody asks for any more.
            [number] if number.kind == Kind::Number => return Some(texts),
            _ => texts.push(text(&mut tokens)?),
        }
    }
    tokens.is_done().then_some(texts)
}

/// The lexemes of such a text, without blanks and what ends it.
pub(crate) fn words(text: &str) -> Vec<Lexeme<'_>> {
    let mut words: Vec<_> = lexemes(text.as_bytes())
        .filter(|lexeme| !lexeme.kind.is_blank())
        .collect();
    words.pop_if(|last| last.kind == Kind::Mark(b';'));
    words
}

/// A literal, perhaps with its type behind it.
fn text(tokens: &mut Tokens<'_>) -> Option<Box<str>> {
    let text = match dollar(tokens.rest()) {
        Some(text) => {
            tokens.take();
            text
        }
        None => tokens.string()?,
    };
    if tokens.mark(b':') {
        (tokens.mark(b':') && tokens.word("text")).then_some(())?;
    }
    Some(text)
}

/// What stands between dollar signs.
fn dollar(rest: &[Lexeme<'_>]) -> Option<Box<str>> {
    let first = rest.first().filter(|it| it.kind == Kind::Dollar)?;
    let tag = memchr::memchr(b'$', first.bytes.get(1..)?)? + 2;
    let inner = first.bytes.get(tag..first.bytes.len().checked_sub(tag)?)?;
    Some(std::str::from_utf8(inner).ok()?.into())
}

const REPORTS: [&str; 4] = ["crosstab", "crosstab2", "crosstab3", "crosstab4"];

#[cfg(test)]
mod tests {
    use super::*;

    fn check(call: &str, expected: Option<&[&str]>) {
        let words = words(call);
        let found = texts(words.get(1..).unwrap_or_default());
        let found: Option<Vec<&str>> = found.as_ref().map(|it| it.iter().map(|it| &**it).collect());
        assert_eq!(found.as_deref(), expected, "{call}");
    }

    #[test]
    fn texts_are_read_where_they_are_written_out() {
        check("crosstab('select ''a''')", Some(&["select 'a'"]));
        check("crosstab($$select 'a'$$::text)", Some(&["select 'a'"]));
        check(
            "crosstab('select 1', $q$values (2)$q$) as t(a)",
            Some(&["select 1", "values (2)"]),
        );
        check("crosstab('select 1', 5)", Some(&["select 1"]));
        for call in [
            "crosstab()",
            "crosstab($1)",
            "crosstab('a' || 'b')",
            "crosstab('a' 'b')",
            "crosstab(E'a')",
            "crosstab('a\\b')",
            "crosstab('a', x)",
            "crosstab(format('a'), 'b')",
            "crosstab('a'::name)",
            "crosstab('a', 'b', 'c')",
        ] {
            check(call, None);
        }
    }
}
