//! A query that could be looked up: what its words rule out, and what the parser finds in it.

use sqlparser::ast::Statement;
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::Tokenizer;

use crate::facts::Read;
use crate::scan::{Kind, Lexeme};
use crate::tokens::{Tokens, is_any, is_word};
use crate::walk::walk;
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
    let mut read = match table(lexemes) {
        Some(read) => read,
        None => walk(&parse(&plain(lexemes))?)?,
    };
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

/// `TABLE name` on its own; within a query [`hidden`] refuses it.
fn table(lexemes: &[Lexeme<'_>]) -> Option<Read> {
    let mut tokens = Tokens::new(lexemes);
    if !tokens.word("table") {
        return None;
    }
    let name = tokens.name().filter(|_| tokens.is_done())?;
    Some(Read {
        ranges: vec![(name.name.clone(), Some(name.clone()))],
        relations: vec![name],
        ..Read::default()
    })
}

/// The text as the parser understands it: without comments, and without `ONLY` and its
/// parentheses, which it takes for a table. The children of that table are then read as well, at
/// worst.
fn plain(lexemes: &[Lexeme<'_>]) -> String {
    let mut plain = String::new();
    let mut end = 0;
    let mut rows = false;
    // Between `ONLY (` and `)` stands one name.
    let mut parenthesis = false;
    for (index, lexeme) in lexemes.iter().enumerate() {
        let only = is_word(lexeme, "only") && !rows;
        let opens = lexeme.kind == Kind::Mark(b'(')
            && index.checked_sub(1).is_some_and(|before| {
                lexemes
                    .get(before)
                    .is_some_and(|before| is_word(before, "only"))
            });
        let closes = parenthesis && lexeme.kind == Kind::Mark(b')');
        parenthesis = opens || (parenthesis && !closes);
        if plain.is_empty() || only || opens || closes || end != lexeme.start {
            plain.push(' ');
        }
        if !(only || opens || closes) {
            plain.push_str(&String::from_utf8_lossy(lexeme.bytes));
        }
        end = lexeme.end();
        rows = is_any(lexeme, &["row", "rows"]);
    }
    plain
}

/// Operators as the server cuts them, and those that keywords and clauses stand for.
fn symbols(lexemes: &[Lexeme<'_>]) -> impl Iterator<Item = Box<str>> {
    let written = lexemes
        .iter()
        .filter(|lexeme| lexeme.kind == Kind::Operator)
        .map(|lexeme| String::from_utf8_lossy(lexeme.bytes).into());
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

/// DISTINCT, GROUP BY, ORDER BY, IN, UNION, USING and CASE compare without an operator.
const ALWAYS: [&str; 4] = ["<", "<>", "=", ">"];

const TEXT_BYTES_MAX: usize = 16 * 1024;

const TOKENS_MAX: usize = 4_000;

const DEPTH_MAX: usize = 40;

/// Queries over more relations are left alone.
const RELATIONS_MAX: usize = 64;

#[cfg(test)]
mod tests;
