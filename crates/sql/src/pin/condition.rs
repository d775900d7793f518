//! Conditions that every row of a statement meets, read from the words of its WHERE clause.
//!
//! Invariant: what is listed holds for each row that passes the clause. AND binds more loosely than
//! anything but OR, so the pieces between ANDs of one depth are conditions of their own, unless
//! an OR, CASE or BETWEEN stands at the same depth. A piece that is not exactly one of the forms
//! below is left out, which is always right.

use crate::pin::value::Family;
use crate::scan::{Kind, Lexeme};
use crate::tokens::{Tokens, is_any, is_word};

/// A column as it is written: up to a schema and a table before its name.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Column {
    pub(crate) schema: Option<Box<str>>,
    pub(crate) range: Option<Box<str>>,
    pub(crate) name: Box<str>,
}

/// A value as it is written.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Operand {
    /// Digits, perhaps with a sign.
    Integer(i64),
    /// A string of ASCII characters.
    Text(Box<str>),
    /// `$1`; `alone` if it occurs nowhere else, so that nothing else decides its type.
    Parameter { number: u16, alone: bool },
    /// One of the literals that were taken out of the text.
    Literal { number: u16, negative: bool },
}

/// An operand, and the type it is cast to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Term {
    /// Where the literal begins in the text, in bytes, and whether a `-` stands before it.
    pub(crate) place: (usize, bool),
    pub(crate) operand: Operand,
    pub(crate) cast: Option<Family>,
}

/// What a column may equal.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Values {
    /// One of these.
    List(Box<[Term]>),
    /// An element of this array.
    Array(Term),
}

/// A condition.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Equality {
    Values(Column, Values),
    Columns(Column, Column),
}

/// The conditions of a WHERE clause. `text` is the whole statement, in which parameters are
/// counted.
pub(crate) fn equalities(clause: &[Lexeme<'_>], text: &[Lexeme<'_>]) -> Vec<Equality> {
    let mut found = Vec::new();
    conjuncts(clause, DEPTH_MAX, &mut |piece| {
        found.extend(equality(piece, text));
    });
    found
}

fn conjuncts<'a>(clause: &'a [Lexeme<'a>], depth: usize, piece: &mut impl FnMut(&'a [Lexeme<'a>])) {
    let outer = depths(clause);
    let doubtful = outer
        .clone()
        .any(|(depth, lexeme)| depth == 0 && is_any(lexeme, &DOUBTFUL));
    let Some(depth) = depth.checked_sub(1).filter(|_| !doubtful) else {
        return;
    };
    let mut start = 0;
    let ends = outer
        .enumerate()
        .filter(|(_, (depth, lexeme))| *depth == 0 && is_word(lexeme, "and"))
        .map(|(index, _)| index)
        .chain([clause.len()]);
    for end in ends {
        let part = clause.get(start..end).unwrap_or_default();
        start = end + 1;
        let mut tokens = Tokens::new(part);
        match tokens.parentheses() {
            Some(inner) if tokens.is_done() => conjuncts(inner, depth, piece),
            Some(_) | None => piece(part),
        }
    }
}

/// Each lexeme with the number of parentheses and brackets around it, its own included.
pub(crate) fn depths<'a>(
    lexemes: &'a [Lexeme<'a>],
) -> impl Iterator<Item = (usize, &'a Lexeme<'a>)> + Clone {
    lexemes.iter().scan(0_usize, |depth, lexeme| {
        let opens = matches!(lexeme.kind, Kind::Mark(b'(' | b'['));
        let closes = matches!(lexeme.kind, Kind::Mark(b')' | b']'));
        *depth += usize::from(opens);
        let here = *depth;
        *depth = depth.saturating_sub(usize::from(closes));
        Some((here, lexeme))
    })
}

/// A comma-separated list at depth 0.
pub(crate) fn items<'a>(lexemes: &'a [Lexeme<'a>]) -> Vec<&'a [Lexeme<'a>]> {
    let mut start = 0;
    depths(lexemes)
        .enumerate()
        .filter(|(_, (depth, lexeme))| *depth == 0 && lexeme.kind == Kind::Mark(b','))
        .map(|(index, _)| index)
        .chain([lexemes.len()])
        .map(|end| {
            let item = lexemes.get(start..end).unwrap_or_default();
            start = end + 1;
            item
        })
        .collect()
}

fn equality(piece: &[Lexeme<'_>], text: &[Lexeme<'_>]) -> Option<Equality> {
    let mut tokens = Tokens::new(piece);
    let Some(left) = column(&mut tokens) else {
        let value = term(&mut tokens, text)?;
        let column = tokens.operator("=").then(|| column(&mut tokens))??;
        let list = Values::List([value].into());
        return tokens.is_done().then_some(Equality::Values(column, list));
    };
    if tokens.word("in") {
        let inner = tokens.parentheses().filter(|_| tokens.is_done())?;
        return Some(Equality::Values(left, list(inner, text)?));
    }
    if !tokens.operator("=") {
        return None;
    }
    if tokens.any(&["any", "some"]) {
        let inner = tokens.parentheses().filter(|_| tokens.is_done())?;
        return Some(Equality::Values(left, array(inner, text)?));
    }
    if let Some(right) = column(&mut tokens) {
        return tokens.is_done().then_some(Equality::Columns(left, right));
    }
    let value = term(&mut tokens, text)?;
    let list = Values::List([value].into());
    tokens.is_done().then_some(Equality::Values(left, list))
}

fn list(inner: &[Lexeme<'_>], text: &[Lexeme<'_>]) -> Option<Values> {
    let terms = items(inner).into_iter().map(|item| whole(item, text));
    terms.collect::<Option<_>>().map(Values::List)
}

/// `ARRAY[…]`, or one term that is an array.
fn array(inner: &[Lexeme<'_>], text: &[Lexeme<'_>]) -> Option<Values> {
    if let [array, open, elements @ .., close] = inner
        && is_word(array, "array")
        && open.kind == Kind::Mark(b'[')
        && close.kind == Kind::Mark(b']')
    {
        return list(elements, text);
    }
    let mut tokens = Tokens::new(inner);
    let (operand, place) = operand(&mut tokens, text)?;
    let cast = match cast(&mut tokens)? {
        None => None,
        // `int[]`
        Some(family) => Some(family).filter(|_| tokens.mark(b'[') && tokens.mark(b']')),
    };
    let sound = tokens.is_done() && !matches!(operand, Operand::Integer(_));
    sound.then_some(Values::Array(Term {
        place,
        operand,
        cast,
    }))
}

/// Exactly one term.
pub(crate) fn whole(item: &[Lexeme<'_>], text: &[Lexeme<'_>]) -> Option<Term> {
    let mut tokens = Tokens::new(item);
    let term = term(&mut tokens, text)?;
    tokens.is_done().then_some(term)
}

fn term(tokens: &mut Tokens<'_>, text: &[Lexeme<'_>]) -> Option<Term> {
    let (operand, place) = operand(tokens, text)?;
    let cast = cast(tokens)?;
    Some(Term {
        place,
        operand,
        cast,
    })
}

/// An operand and its place.
fn operand(tokens: &mut Tokens<'_>, text: &[Lexeme<'_>]) -> Option<(Operand, (usize, bool))> {
    let start = tokens.rest().first()?.start;
    if let Some(string) = tokens.string() {
        let ascii = string.is_ascii();
        return ascii.then_some((Operand::Text(string), (start, false)));
    }
    let negative = tokens.operator("-");
    let lexeme = tokens.take()?;
    let place = (lexeme.start, negative);
    let digits = std::str::from_utf8(lexeme.bytes).ok()?;
    if lexeme.kind == Kind::Number && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        let number: i64 = digits.parse().ok()?;
        let number = Operand::Integer(if negative { -number } else { number });
        return Some((number, place));
    }
    if lexeme.kind != Kind::Parameter || negative {
        return None;
    }
    let number = digits.strip_prefix('$')?.parse().ok()?;
    let same = |other: &&Lexeme<'_>| {
        let digits = other.bytes.strip_prefix(b"$").unwrap_or_default();
        let digits = std::str::from_utf8(digits).unwrap_or_default();
        other.kind == Kind::Parameter && digits.parse() == Ok(number)
    };
    let alone = text.iter().filter(same).count() == 1;
    Some((Operand::Parameter { number, alone }, place))
}

/// `::type` of a family; the outer option is empty for any other type.
fn cast(tokens: &mut Tokens<'_>) -> Option<Option<Family>> {
    if !tokens.mark(b':') {
        return Some(None);
    }
    let lexeme = tokens.mark(b':').then(|| tokens.take())??;
    if lexeme.kind != Kind::Word {
        return None;
    }
    let name = std::str::from_utf8(lexeme.bytes).ok()?;
    Family::named(&name.to_ascii_lowercase()).map(Some)
}

/// A column with its qualifiers. Words that stand for a value without quotes are none.
pub(crate) fn column(tokens: &mut Tokens<'_>) -> Option<Column> {
    let mut ahead = *tokens;
    if ahead.any(&VALUES) && !ahead.mark(b'.') {
        return None;
    }
    let mut ahead = *tokens;
    let mut parts = vec![ahead.identifier()?];
    while parts.len() < 3 && ahead.mark(b'.') {
        parts.push(ahead.identifier()?);
    }
    let next = ahead.rest().first().map(|lexeme| lexeme.kind);
    if matches!(next, Some(Kind::Mark(b'.' | b'(' | b'[') | Kind::String)) {
        return None;
    }
    *tokens = ahead;
    let name = parts.pop()?;
    let range = parts.pop();
    Some(Column {
        schema: parts.pop(),
        range,
        name,
    })
}

/// Words whose AND is none of ours, or that show that a clause is none.
const DOUBTFUL: [&str; 15] = [
    "or",
    "case",
    "between",
    "select",
    "with",
    "values",
    "table",
    "from",
    "where",
    "union",
    "intersect",
    "except",
    "current",
    "group",
    "window",
];

/// Reserved words that stand for a value or begin an expression.
const VALUES: [&str; 24] = [
    "true",
    "false",
    "null",
    "default",
    "not",
    "array",
    "row",
    "exists",
    "user",
    "current_user",
    "session_user",
    "system_user",
    "current_role",
    "current_date",
    "current_time",
    "current_timestamp",
    "localtime",
    "localtimestamp",
    "current_catalog",
    "current_schema",
    "any",
    "all",
    "some",
    "interval",
];

/// Parentheses around parentheses beyond this are not looked into.
const DEPTH_MAX: usize = 16;
