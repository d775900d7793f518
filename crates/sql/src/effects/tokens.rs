//! The words of a text, folded as the server folds names.

use crate::scan::{self, Kind};

/// What the grammar sees of a lexeme, as far as names and commands are concerned.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Token {
    /// A name or keyword without quotes, folded.
    Word(Box<str>),
    /// A quoted name, unquoted.
    Quoted(Box<str>),
    /// A single byte such as `(`.
    Mark(u8),
    /// `>>`, which ends a label in PL/pgSQL.
    Shift,
    /// Any other operator.
    Operator,
    /// A literal, number or parameter.
    Other,
}

impl Token {
    /// The name it may stand for.
    pub(super) fn name(&self) -> Option<&str> {
        match self {
            Self::Word(name) | Self::Quoted(name) => Some(name),
            Self::Mark(_) | Self::Shift | Self::Operator | Self::Other => None,
        }
    }

    /// The keyword it may be: quoted names never are.
    pub(super) fn word(&self) -> Option<&str> {
        match self {
            Self::Word(word) => Some(word),
            Self::Quoted(_) | Self::Mark(_) | Self::Shift | Self::Operator | Self::Other => None,
        }
    }
}

/// The tokens of a text; `None` if it has no end, names that are not UTF-8 or written with Unicode
/// escapes, or strings that end elsewhere without `standard_conforming_strings`.
pub(super) fn tokens(text: &[u8]) -> Option<Vec<Token>> {
    scan::lexemes(text)
        .filter(|lexeme| !lexeme.kind.is_blank())
        .map(|lexeme| match lexeme.kind {
            Kind::Word => folded(lexeme.bytes).map(Token::Word),
            Kind::Quoted => unquoted(lexeme.bytes).map(Token::Quoted),
            Kind::Unicode if !lexeme.bytes.ends_with(b"'") => None,
            Kind::Unterminated => None,
            Kind::String if scan::is_ambiguous(&lexeme) => None,
            Kind::Mark(byte) => Some(Token::Mark(byte)),
            Kind::Operator if lexeme.bytes == b">>" => Some(Token::Shift),
            Kind::Operator => Some(Token::Operator),
            Kind::String
            | Kind::Unicode
            | Kind::Escape
            | Kind::Bits
            | Kind::Dollar
            | Kind::Number
            | Kind::Parameter
            | Kind::Space
            | Kind::LineComment
            | Kind::BlockComment => Some(Token::Other),
        })
        .collect()
}

fn folded(bytes: &[u8]) -> Option<Box<str>> {
    let name = std::str::from_utf8(bytes).ok()?;
    Some(truncated(name).to_ascii_lowercase().into())
}

fn unquoted(bytes: &[u8]) -> Option<Box<str>> {
    let name = std::str::from_utf8(bytes).ok()?;
    let name = name
        .strip_prefix('"')?
        .strip_suffix('"')?
        .replace("\"\"", "\"");
    Some(truncated(&name).into())
}

/// The server keeps this much of a longer name.
fn truncated(name: &str) -> &str {
    if name.len() <= NAME_BYTES_MAX {
        return name;
    }
    let cut = (0..=NAME_BYTES_MAX).rev().find_map(|end| name.get(..end));
    cut.unwrap_or(name)
}

/// `NAMEDATALEN` less its final zero.
const NAME_BYTES_MAX: usize = 63;

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Option<Vec<String>> {
        let tokens = tokens(text.as_bytes())?;
        Some(
            tokens
                .iter()
                .filter_map(Token::name)
                .map(String::from)
                .collect(),
        )
    }

    #[test]
    fn names_are_folded_unless_they_are_quoted() {
        let names = names(r#"Select "A ""b""" from CITY -- x"#).unwrap();
        assert_eq!(names, ["select", r#"A "b""#, "from", "city"]);
    }

    #[test]
    fn names_are_cut_between_characters() {
        let long = format!("{}é", "a".repeat(62));
        assert_eq!(names(&long).unwrap(), ["a".repeat(62)]);
        assert_eq!(names(&format!("\"{long}\"")).unwrap(), ["a".repeat(62)]);
    }

    #[test]
    fn literals_and_comments_hold_no_names() {
        assert_eq!(
            names("'a' E'b' $$c$$ /* d */ $1 x'e' U&'f' g").unwrap(),
            ["g"]
        );
    }

    #[test]
    fn refuses_what_could_be_cut_elsewhere() {
        for text in ["'open", r"'a\' b'", r#"U&"d\0061t""#, "/* /* */"] {
            assert_eq!(names(text), None, "{text}");
        }
        assert_eq!(tokens(b"\xff"), None);
    }
}
