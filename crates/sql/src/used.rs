//! Columns that a query shows or sorts by, and does nothing else with.
//!
//! Text beside a time of day with a zone is read as one, by the offset that the session's zone has today,
//! and a time without a zone becomes one in the same way. Beside a column that is selected as it is there
//! is no such text. Only lexemes are looked at, and whatever is not certain is use.

use crate::scan::{Kind, Lexeme};
use crate::tokens::{identifier, is_any, is_star, is_word};

/// What a query does more than show.
#[derive(Debug, Default)]
pub(crate) struct Used {
    /// Digests of the names that it uses; sorted.
    names: Box<[u32]>,
    /// It may use others, whatever they are called.
    others: bool,
}

impl Used {
    /// Whether a column of this name may be used, of whatever table.
    pub(crate) fn may_be(&self, name: &str) -> bool {
        self.others || self.names.binary_search(&digest(name)).is_ok()
    }

    /// Approximate size on the heap.
    pub(crate) fn bytes(&self) -> usize {
        size_of_val(&*self.names)
    }
}

/// What a query uses. Of a name that is at one place shown and at another used, it is use.
pub(crate) fn used(lexemes: &[Lexeme<'_>]) -> Used {
    let (mut names, mut others, mut depth) = (Vec::new(), false, 0_usize);
    for (at, lexeme) in lexemes.iter().enumerate() {
        let before = lexemes.get(..at).unwrap_or_default();
        let after = lexemes.get(at + 1..).unwrap_or_default();
        match lexeme.kind {
            Kind::Mark(b'(' | b'[') => {
                others |= lexeme.kind == Kind::Mark(b'(') && may_rename(before);
                depth += 1;
            }
            Kind::Mark(b')' | b']') => depth = depth.saturating_sub(1),
            Kind::Word | Kind::Quoted => match identifier(lexeme) {
                Some(_) if is_any(lexeme, &COMBINING) => others = true,
                Some(_) if depth == 0 && ends_item(after) && begins_item(before) => {}
                Some(name) => names.push(digest(&name)),
                None => others = true,
            },
            // It may be a name.
            Kind::Unicode => others = true,
            // All columns, compared with something perhaps; but a call with a star names none.
            Kind::Operator if is_star(before, lexeme) => {
                let called = before.last().is_some_and(|it| it.kind == Kind::Mark(b'('));
                others |= depth > 0 && !called;
            }
            Kind::Space
            | Kind::LineComment
            | Kind::BlockComment
            | Kind::String
            | Kind::Escape
            | Kind::Bits
            | Kind::Dollar
            | Kind::Number
            | Kind::Parameter
            | Kind::Operator
            | Kind::Mark(_)
            | Kind::Unterminated => {}
        }
    }
    names.sort_unstable();
    names.dedup();
    Used {
        names: names.into(),
        others,
    }
}

/// Whether what comes next is a column, perhaps with its table, which is all of what is selected or sorted
/// by; or the name of something in the result.
fn begins_item(before: &[Lexeme<'_>]) -> bool {
    let mut before = before;
    while let [rest @ .., name, dot] = before
        && dot.kind == Kind::Mark(b'.')
        && matches!(name.kind, Kind::Word | Kind::Quoted)
    {
        before = rest;
    }
    let last = before.last();
    last.is_some_and(|last| last.kind == Kind::Mark(b',') || is_any(last, &BEFORE))
}

fn ends_item(after: &[Lexeme<'_>]) -> bool {
    let first = after.first();
    first.is_none_or(|first| first.kind == Kind::Mark(b',') || is_any(first, &AFTER))
}

/// Whether a parenthesis may open a list of names for the columns of what is selected from, `t AS x (a, b)`:
/// unless it is a call, or belongs to a word that is no name.
fn may_rename(before: &[Lexeme<'_>]) -> bool {
    let [rest @ .., name] = before else {
        return false;
    };
    if !matches!(name.kind, Kind::Word | Kind::Quoted) || is_any(name, &RESERVED) {
        return false;
    }
    match rest {
        [.., dot] if dot.kind == Kind::Mark(b'.') => false,
        [.., close] if matches!(close.kind, Kind::Mark(b')' | b']')) => true,
        [.., order, by] if is_word(by, "by") => !is_any(order, &["group", "order"]),
        [.., word] if matches!(word.kind, Kind::Word | Kind::Quoted) => {
            is_word(word, "as") || !is_any(word, &RESERVED)
        }
        _ => false,
    }
}

/// Thirty-two bits of a name (FNV-1a). Names that have them in common count as one.
fn digest(name: &str) -> u32 {
    name.bytes().fold(0x811c_9dc5, |digest, byte| {
        (digest ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    })
}

/// What compares or puts together columns that it does not name.
const COMBINING: [&str; 5] = ["except", "intersect", "natural", "table", "union"];

/// Behind these a list of what is selected or sorted by begins; and a name for what is selected.
const BEFORE: [&str; 4] = ["as", "by", "distinct", "select"];

/// Before these one of its items ends.
const AFTER: [&str; 10] = [
    "as", "asc", "desc", "fetch", "from", "having", "limit", "nulls", "offset", "order",
];

/// Words that no relation is called without quotes.
const RESERVED: [&str; 33] = [
    "all", "and", "any", "array", "as", "case", "distinct", "else", "except", "from", "group",
    "having", "ilike", "in", "is", "join", "lateral", "like", "limit", "not", "offset", "on", "or",
    "order", "select", "similar", "some", "then", "union", "using", "when", "where", "with",
];
