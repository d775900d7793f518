//! A query that could be looked up: what its words rule out, and what the parser finds in it.

use sqlparser::ast::Statement;
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::Tokenizer;

use crate::facts::Read;
use crate::plain::{is_row_star, plain};
use crate::scan::{Kind, Lexeme};
use crate::tokens::{identifier, is_star, is_word};
use crate::used::used;
use crate::walk::{CURRENT_SETTING, walk};
use crate::{Reason, hidden};

/// Reads one statement that begins like a query and modifies nothing.
///
/// Words rule out what the parser hides; then every part of the syntax tree is looked at. The
/// caps come first: long chains of operators would overflow the stack when the tree is dropped.
pub(crate) fn read(text: &[u8], lexemes: &[Lexeme<'_>]) -> Result<Box<Read>, Reason> {
    if text.len() > TEXT_BYTES_MAX || lexemes.len() > TOKENS_MAX {
        return Err(Reason::TooLong);
    }
    // Joins without ON nest, and the parser follows them without counting.
    let joins = lexemes
        .iter()
        .filter(|lexeme| is_word(lexeme, "join"))
        .count();
    if joins > RELATIONS_MAX {
        return Err(Reason::Unsupported);
    }
    if let Some(reason) = hidden::reason(lexemes) {
        return Err(reason);
    }
    let mut read = walk(&parse(&plain(lexemes))?)?;
    // What the parser hides must not hide behind a setting that was understood.
    let written = lexemes
        .iter()
        .filter(|lexeme| identifier(lexeme).is_some_and(|name| &*name == CURRENT_SETTING))
        .count();
    if !read.settings.is_empty() && written != read.settings.len() {
        return Err(Reason::SessionState);
    }
    read.unnamed_columns |= lexemes.iter().enumerate().any(|(index, lexeme)| {
        let before = lexemes.get(..index).unwrap_or_default();
        let after = lexemes.get(index + 1..).unwrap_or_default();
        is_row_star(before, lexeme, after)
    });
    read.qualified = lexemes.windows(2).any(|pair| match pair {
        [word, next] => is_word(word, "operator") && next.kind == Kind::Mark(b'('),
        _ => false,
    });
    read.used = used(lexemes);
    read.symbols.extend(symbols(lexemes));
    read.symbols.sort_unstable();
    read.symbols.dedup();
    if read.relations.len() > RELATIONS_MAX {
        return Err(Reason::Unsupported);
    }
    Ok(Box::new(read))
}

fn parse(text: &str) -> Result<Statement, Reason> {
    let dialect = PostgreSqlDialect {};
    let tokens = Tokenizer::new(&dialect, text)
        .tokenize_with_location()
        .map_err(|_| Reason::Unreadable)?;
    let mut statements = Parser::new(&dialect)
        .with_recursion_limit(DEPTH_MAX)
        .with_tokens_with_locations(tokens)
        .parse_statements()
        .map_err(|_| Reason::Unreadable)?;
    match (statements.pop(), statements.is_empty()) {
        (Some(one), true) => Ok(one),
        _ => Err(Reason::Unreadable),
    }
}

/// Operators as the server cuts them, and those that keywords and clauses stand for.
fn symbols(lexemes: &[Lexeme<'_>]) -> impl Iterator<Item = Box<str>> {
    let written = lexemes
        .iter()
        .enumerate()
        .filter(|(_, lexeme)| lexeme.kind == Kind::Operator)
        .filter(|(index, lexeme)| !is_star(lexemes.get(..*index).unwrap_or_default(), lexeme))
        .map(|(_, lexeme)| String::from_utf8_lossy(lexeme.bytes).into());
    let keywords = |keyword: &str, symbols: &'static [&'static str]| {
        let found = lexemes.iter().any(|lexeme| is_word(lexeme, keyword));
        if found { symbols } else { &[] }
    };
    let implied = [
        ALWAYS.as_slice(),
        keywords("like", &["~~", "!~~"]),
        keywords("ilike", &["~~*", "!~~*"]),
        keywords("similar", &["~", "!~"]),
        keywords("between", &["<=", ">="]),
    ];
    let implied: Vec<Box<str>> = implied
        .concat()
        .into_iter()
        .map(|symbol| symbol.into())
        .collect();
    written.chain(implied)
}

/// DISTINCT, GROUP BY, ORDER BY, IN, UNION, USING and CASE compare without an operator, some of
/// them by that of the type's own, wherever it is.
pub(crate) const ALWAYS: [&str; 4] = ["<", "<>", "=", ">"];

const TEXT_BYTES_MAX: usize = 16 * 1024;

const TOKENS_MAX: usize = 4_000;

const DEPTH_MAX: usize = 40;

/// Queries over more relations are left alone.
const RELATIONS_MAX: usize = 64;

#[cfg(test)]
mod tests;
