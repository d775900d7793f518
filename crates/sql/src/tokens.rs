//! The lexemes of one statement, asked by keyword.

use crate::facts::Name;
use crate::scan::{Kind, Lexeme};

/// Lexemes that carry meaning, read from left to right.
///
/// Methods that look for something move past it if it is there, and say whether it was.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tokens<'a> {
    rest: &'a [Lexeme<'a>],
}

impl<'a> Tokens<'a> {
    /// Lexemes without blanks.
    pub(crate) const fn new(lexemes: &'a [Lexeme<'a>]) -> Self {
        Self { rest: lexemes }
    }

    /// What was not read yet.
    pub(crate) const fn rest(&self) -> &'a [Lexeme<'a>] {
        self.rest
    }

    /// Whether nothing is left.
    pub(crate) const fn is_done(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next lexeme, which is moved past.
    pub(crate) fn take(&mut self) -> Option<&'a Lexeme<'a>> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(first)
    }

    /// Whether the next lexeme is this keyword.
    pub(crate) fn sees(&self, keyword: &str) -> bool {
        self.rest
            .first()
            .is_some_and(|lexeme| is_word(lexeme, keyword))
    }

    /// One keyword.
    pub(crate) fn word(&mut self, keyword: &str) -> bool {
        let found = self.sees(keyword);
        if found {
            self.take();
        }
        found
    }

    /// Any of these keywords.
    pub(crate) fn any(&mut self, keywords: &[&str]) -> bool {
        keywords.iter().any(|keyword| self.word(keyword))
    }

    /// These keywords in a row, or none of them.
    pub(crate) fn words(&mut self, keywords: &[&str]) -> bool {
        let mut ahead = *self;
        let found = keywords.iter().all(|keyword| ahead.word(keyword));
        if found {
            *self = ahead;
        }
        found
    }

    /// One single byte such as `(`.
    pub(crate) fn mark(&mut self, byte: u8) -> bool {
        let found = self
            .rest
            .first()
            .is_some_and(|lexeme| lexeme.kind == Kind::Mark(byte));
        if found {
            self.take();
        }
        found
    }

    /// This operator.
    pub(crate) fn operator(&mut self, symbol: &str) -> bool {
        let found = self.rest.first().is_some_and(|lexeme| {
            lexeme.kind == Kind::Operator && lexeme.bytes == symbol.as_bytes()
        });
        if found {
            self.take();
        }
        found
    }

    /// An identifier, folded.
    pub(crate) fn identifier(&mut self) -> Option<Box<str>> {
        let name = identifier(self.rest.first()?)?;
        self.take();
        Some(name)
    }

    /// A plain string without backslashes, unquoted.
    pub(crate) fn string(&mut self) -> Option<Box<str>> {
        let value = string(self.rest.first()?)?;
        self.take();
        // A second string would go on with the first.
        let goes_on = self.rest.first().is_some_and(|next| next.kind.is_string());
        (!goes_on).then_some(value)
    }

    /// A name with or without a schema. Names with a database are not read.
    pub(crate) fn name(&mut self) -> Option<Name> {
        let first = self.identifier()?;
        if !self.mark(b'.') {
            return Some(Name {
                schema: None,
                name: first,
            });
        }
        let second = self.identifier()?;
        (!self.mark(b'.')).then_some(Name {
            schema: Some(first),
            name: second,
        })
    }

    /// What stands between a `(` that comes next and its `)`; moves past both.
    pub(crate) fn parentheses(&mut self) -> Option<&'a [Lexeme<'a>]> {
        if self.rest.first()?.kind != Kind::Mark(b'(') {
            return None;
        }
        let mut depth = 0_usize;
        for (index, lexeme) in self.rest.iter().enumerate() {
            if lexeme.kind == Kind::Mark(b'(') {
                depth += 1;
            } else if lexeme.kind == Kind::Mark(b')') {
                depth = depth.checked_sub(1)?;
            }
            if depth == 0 {
                let inner = self.rest.get(1..index);
                self.rest = self.rest.get(index + 1..).unwrap_or_default();
                return inner;
            }
        }
        None
    }
}

/// Whether an operator is no operator but the star of `count(*)`, `SELECT *` or `t.*`: what stands
/// before it is no operand, and no operator `*` does without.
pub(crate) fn is_star(before: &[Lexeme<'_>], lexeme: &Lexeme<'_>) -> bool {
    if lexeme.kind != Kind::Operator || lexeme.bytes != b"*" {
        return false;
    }
    match before {
        // Unless it is `OPERATOR(schema.*)`.
        [.., last] if matches!(last.kind, Kind::Mark(b'(' | b'.')) => {
            let name = |lexeme: &&Lexeme<'_>| {
                !matches!(lexeme.kind, Kind::Mark(b'.') | Kind::Word | Kind::Quoted)
            };
            let opening = before.iter().rposition(|lexeme| name(&lexeme));
            let keyword = opening.and_then(|index| before.get(index.checked_sub(1)?));
            !keyword.is_some_and(|word| is_word(word, "operator"))
        }
        [.., last] if last.kind == Kind::Mark(b',') => true,
        [.., dot, word] => dot.kind != Kind::Mark(b'.') && is_any(word, &BEFORE_STAR),
        [word] => is_any(word, &BEFORE_STAR),
        [] => false,
    }
}

/// Whether a lexeme is this keyword, without quotes and in any case.
pub(crate) fn is_word(lexeme: &Lexeme<'_>, keyword: &str) -> bool {
    lexeme.kind == Kind::Word && lexeme.bytes.eq_ignore_ascii_case(keyword.as_bytes())
}

/// Whether a lexeme is one of these keywords.
pub(crate) fn is_any(lexeme: &Lexeme<'_>, keywords: &[&str]) -> bool {
    keywords.iter().any(|keyword| is_word(lexeme, keyword))
}

/// The name that a word or quoted identifier means. What is not UTF-8 is one in another encoding, and
/// could mean any.
pub(crate) fn identifier(lexeme: &Lexeme<'_>) -> Option<Box<str>> {
    let text = std::str::from_utf8(lexeme.bytes).ok()?;
    let name = if lexeme.kind == Kind::Word {
        text.to_ascii_lowercase()
    } else if lexeme.kind == Kind::Quoted {
        let inner = text.strip_prefix('"')?.strip_suffix('"')?;
        inner.replace("\"\"", "\"")
    } else {
        return None;
    };
    Some(truncated(name))
}

/// Cuts a name where the server does.
pub(crate) fn truncated(mut name: String) -> Box<str> {
    if name.len() > NAME_BYTES_MAX {
        let end = (0..=NAME_BYTES_MAX)
            .rev()
            .find(|&end| name.is_char_boundary(end))
            .unwrap_or(0);
        name.truncate(end);
    }
    name.into_boxed_str()
}

/// The value of a plain string that holds no backslash.
fn string(lexeme: &Lexeme<'_>) -> Option<Box<str>> {
    if lexeme.kind != Kind::String || lexeme.bytes.contains(&b'\\') {
        return None;
    }
    let text = std::str::from_utf8(lexeme.bytes).ok()?;
    let inner = text.strip_prefix('\'')?.strip_suffix('\'')?;
    Some(inner.replace("''", "'").into())
}

/// Reserved words that begin a list of columns.
const BEFORE_STAR: [&str; 3] = ["all", "distinct", "select"];

/// `NAMEDATALEN - 1`.
const NAME_BYTES_MAX: usize = 63;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scan::lexemes;

    fn stars(text: &str) -> Vec<bool> {
        let lexemes: Vec<Lexeme<'_>> = lexemes(text.as_bytes())
            .filter(|lexeme| !lexeme.kind.is_blank())
            .collect();
        let star = |(_, lexeme): &(usize, &Lexeme<'_>)| lexeme.bytes == b"*";
        let found = lexemes.iter().enumerate().filter(star);
        found
            .map(|(index, lexeme)| is_star(&lexemes[..index], lexeme))
            .collect()
    }

    #[test]
    fn a_star_without_an_operand_before_it_is_no_operator() {
        for text in [
            "select * from t",
            "select all * from t",
            "select distinct *, t.* from t",
            "select count(*) from t",
            "select a, * from t",
            "select (t).* from t",
            "select \"operator\".* from t",
        ] {
            assert!(stars(text).iter().all(|&star| star), "{text}");
        }
        for text in [
            "select a * b",
            "select 1 * 2",
            "select (a) * (b)",
            "select f() * $1 * 'x' * a[1] * 2",
            "select t.select * 2",
            "select a operator(*) b",
            "select a operator(public.*) b",
            "select a Operator ( x.\"y\".* ) b",
        ] {
            assert!(stars(text).iter().all(|&star| !star), "{text}");
        }
    }
}
