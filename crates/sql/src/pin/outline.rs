//! What the words of one statement say about the rows it keeps to.
//!
//! An outline is only told of statements of the plainest forms: one SELECT from a list of tables, one
//! UPDATE or DELETE of a table without FROM or USING, one INSERT. No other statement has one.

use crate::facts::Name;
use crate::pin::condition::{Equality, Term, column, depths, equalities, items, whole};
use crate::scan::{Kind, Lexeme};
use crate::tokens::{Tokens, is_any, is_word};

/// What a statement reads or changes, by keys.
#[derive(Debug)]
pub(crate) struct Outline {
    /// The tables it reads, or the one it changes.
    pub(crate) tables: Vec<Table>,
    /// What holds for every row that it reads, or changes.
    pub(crate) equalities: Vec<Equality>,
    pub(crate) deed: Deed,
}

/// A table, and the name by which columns refer to it.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) name: Name,
    pub(crate) alias: Option<Box<str>>,
}

/// What happens to the rows.
#[derive(Debug)]
pub(crate) enum Deed {
    /// They are read. If `plain`, each row of the reply comes from one row of the only table.
    Select { plain: bool },
    /// These columns of theirs are given values.
    Update { assigned: Vec<Box<str>> },
    /// They are deleted.
    Delete,
    /// They are new.
    Insert(Insert),
}

/// An INSERT.
#[derive(Debug)]
pub(crate) struct Insert {
    /// As listed; `None` for all of the table's.
    pub(crate) columns: Option<Vec<Box<str>>>,
    /// The terms of each row of VALUES, `None` for what is no term. Empty if they come otherwise.
    pub(crate) rows: Vec<Vec<Option<Term>>>,
    /// ON CONFLICT … DO UPDATE.
    pub(crate) upsert: Option<Upsert>,
}

/// What ON CONFLICT DO UPDATE does.
#[derive(Debug)]
pub(crate) struct Upsert {
    /// The columns on which rows may conflict.
    pub(crate) conflict: Vec<Box<str>>,
    /// The columns that are given values then.
    pub(crate) assigned: Vec<Box<str>>,
}

impl Outline {
    /// Approximate size on the heap.
    pub(crate) fn bytes(&self) -> usize {
        let terms = match &self.deed {
            Deed::Insert(insert) => insert.rows.iter().map(|row| row.len() + 1).sum(),
            Deed::Select { .. } | Deed::Update { .. } | Deed::Delete => 0,
        };
        size_of::<Self>() + 128 * (self.tables.len() + self.equalities.len()) + 64 * terms
    }
}

/// The outline of a statement, from its lexemes without blanks.
pub(crate) fn outline(lexemes: &[Lexeme<'_>]) -> Option<Box<Outline>> {
    let mut tokens = Tokens::new(lexemes);
    let outline = if tokens.word("select") {
        select(tokens, lexemes)
    } else if tokens.word("update") {
        update(tokens, lexemes)
    } else if tokens.words(&["delete", "from"]) {
        delete(tokens, lexemes)
    } else if tokens.words(&["insert", "into"]) {
        insert(tokens, lexemes)
    } else {
        None
    };
    outline.map(Box::new)
}

fn select(rest: Tokens<'_>, text: &[Lexeme<'_>]) -> Option<Outline> {
    let again = |lexeme: &Lexeme<'_>| is_any(lexeme, &["select", "values", "table", "with"]);
    if rest.rest().iter().any(again) {
        return None;
    }
    let list = clause(rest.rest(), &["from"])?;
    let mut tokens = Tokens::new(list.after);
    let mut from = From {
        tables: vec![table(&mut tokens)?],
        ..From::default()
    };
    while from.join(&mut tokens)? {}
    let mut all = Vec::new();
    if tokens.word("where") {
        let end = clause(tokens.rest(), &AFTER_WHERE).map_or(tokens.rest(), |found| found.before);
        all = equalities(end, text);
    }
    // Rows that an outer join makes up need not meet its condition.
    if !from.outer {
        for condition in from.conditions {
            all.extend(equalities(condition, text));
        }
    }
    let groups = |lexeme: &Lexeme<'_>| is_any(lexeme, &["group", "having"]);
    let plain = from.tables.len() == 1 && !text.iter().any(groups);
    Some(Outline {
        tables: from.tables,
        equalities: all,
        deed: Deed::Select { plain },
    })
}

/// A FROM list.
#[derive(Default)]
struct From<'a> {
    tables: Vec<Table>,
    /// What stands behind ON.
    conditions: Vec<&'a [Lexeme<'a>]>,
    /// Whether there is an outer join.
    outer: bool,
}

impl<'a> From<'a> {
    /// Reads what comes next; false where the list ends.
    fn join(&mut self, tokens: &mut Tokens<'a>) -> Option<bool> {
        if tokens.mark(b',') {
            self.tables.push(table(tokens)?);
        } else if let Some(outer) = join(tokens) {
            self.outer |= outer;
            self.tables.push(table(tokens)?);
        } else if tokens.word("using") {
            tokens.parentheses()?;
        } else if tokens.word("on") {
            let rest = tokens.rest();
            let mut depth = 0_usize;
            while let Some(next) = tokens.rest().first() {
                let ends = next.kind == Kind::Mark(b',') || is_any(next, &AFTER_FROM);
                if depth == 0 && (ends || join(&mut tokens.clone()).is_some()) {
                    break;
                }
                depth += usize::from(matches!(next.kind, Kind::Mark(b'(' | b'[')));
                let closes = matches!(next.kind, Kind::Mark(b')' | b']'));
                depth = depth.saturating_sub(usize::from(closes));
                tokens.take();
            }
            let read = rest.len() - tokens.rest().len();
            self.conditions.push(rest.get(..read)?);
        } else {
            return Some(false);
        }
        Some(true)
    }
}

/// JOIN with the words before it; whether it is an outer one.
fn join(tokens: &mut Tokens<'_>) -> Option<bool> {
    let mut ahead = *tokens;
    ahead.word("natural");
    let outer = ahead.any(&["left", "right", "full"]);
    if outer {
        ahead.word("outer");
    } else {
        ahead.any(&["inner", "cross"]);
    }
    ahead.word("join").then(|| {
        *tokens = ahead;
        outer
    })
}

/// A table with its alias. Its columns keep their names, and all its rows are meant.
fn table(tokens: &mut Tokens<'_>) -> Option<Table> {
    if tokens
        .rest()
        .first()
        .is_some_and(|next| is_any(next, &["only", "lateral", "rows"]))
    {
        return None;
    }
    let name = tokens.name()?;
    let explicit = tokens.word("as");
    let follows = tokens.rest().first().is_some_and(|next| {
        matches!(next.kind, Kind::Word | Kind::Quoted) && (explicit || !is_any(next, &AFTER_TABLE))
    });
    let alias = if follows { tokens.identifier() } else { None };
    let odd = |next: &Lexeme<'_>| {
        matches!(next.kind, Kind::Mark(b'(' | b'.') | Kind::Operator)
            || is_word(next, "tablesample")
    };
    let sound = !tokens.rest().first().is_some_and(odd) && (alias.is_some() || !explicit);
    sound.then_some(Table { name, alias })
}

fn update(mut rest: Tokens<'_>, text: &[Lexeme<'_>]) -> Option<Outline> {
    let table = table(&mut rest)?;
    if !rest.word("set") {
        return None;
    }
    let body = before_returning(rest.rest());
    if clause(body, &["from"]).is_some() {
        return None;
    }
    let split = clause(body, &["where"])?;
    Some(Outline {
        tables: vec![table],
        equalities: equalities(split.after, text),
        deed: Deed::Update {
            assigned: assigned(split.before)?,
        },
    })
}

fn delete(mut rest: Tokens<'_>, text: &[Lexeme<'_>]) -> Option<Outline> {
    let table = table(&mut rest)?;
    if !rest.word("where") {
        return None;
    }
    Some(Outline {
        tables: vec![table],
        equalities: equalities(before_returning(rest.rest()), text),
        deed: Deed::Delete,
    })
}

fn insert(mut rest: Tokens<'_>, text: &[Lexeme<'_>]) -> Option<Outline> {
    let name = rest.name()?;
    let alias = rest.word("as").then(|| rest.identifier()).flatten();
    let columns = match rest.parentheses() {
        Some(list) => Some(names(list)?),
        None => None,
    };
    if text.iter().any(|lexeme| is_word(lexeme, "overriding")) {
        return None;
    }
    let rows = if rest.word("values") {
        let mut rows = Vec::new();
        loop {
            let row = items(rest.parentheses()?);
            if row.iter().any(|item| is_several(item)) {
                return None;
            }
            rows.push(row.into_iter().map(|item| whole(item, text)).collect());
            if !rest.mark(b',') {
                break;
            }
        }
        // Others may follow: UNION, LIMIT.
        if !(rest.is_done() || rest.sees("on") || rest.sees("returning")) {
            return None;
        }
        rows
    } else {
        Vec::new()
    };
    let upsert = match text.iter().any(|lexeme| is_word(lexeme, "conflict")) {
        true => upsert(rest)?,
        false => None,
    };
    Some(Outline {
        tables: vec![Table { name, alias }],
        equalities: Vec::new(),
        deed: Deed::Insert(Insert {
            columns,
            rows,
            upsert,
        }),
    })
}

/// Whether an item stands for all columns of a composite value, and moves those behind it.
fn is_several(item: &[Lexeme<'_>]) -> bool {
    let all = |star: &Lexeme<'_>| star.kind == Kind::Operator && star.bytes == b"*";
    matches!(item, [.., dot, star] if dot.kind == Kind::Mark(b'.') && all(star))
}

/// What stands after the rows of an INSERT; `None` if it was not understood.
fn upsert(mut rest: Tokens<'_>) -> Option<Option<Upsert>> {
    if !rest.words(&["on", "conflict"]) {
        return None;
    }
    let conflict = rest.parentheses();
    if rest.words(&["do", "nothing"]) {
        return Some(None);
    }
    if !rest.words(&["do", "update", "set"]) {
        return None;
    }
    let body = before_returning(rest.rest());
    let set = clause(body, &["where"]).map_or(body, |found| found.before);
    Some(Some(Upsert {
        conflict: names(conflict?)?,
        assigned: assigned(set)?,
    }))
}

/// The columns to which a SET clause gives values.
fn assigned(set: &[Lexeme<'_>]) -> Option<Vec<Box<str>>> {
    let mut all = Vec::new();
    for item in items(set) {
        let mut tokens = Tokens::new(item);
        match tokens.parentheses() {
            Some(list) => all.extend(names(list)?),
            None => all.push(tokens.identifier()?),
        }
        // A part of a column: `a[1]`, `a.b`.
        let part = tokens
            .rest()
            .first()
            .is_some_and(|next| matches!(next.kind, Kind::Mark(b'[' | b'.')));
        if !part && !tokens.operator("=") {
            return None;
        }
    }
    Some(all)
}

/// Nothing but names between commas.
fn names(list: &[Lexeme<'_>]) -> Option<Vec<Box<str>>> {
    let name = |item: &[Lexeme<'_>]| {
        let mut tokens = Tokens::new(item);
        let found = column(&mut tokens)?;
        let plain = tokens.is_done() && found.range.is_none();
        plain.then_some(found.name)
    };
    items(list).into_iter().map(name).collect()
}

/// Where a keyword stands.
struct Split<'a> {
    before: &'a [Lexeme<'a>],
    after: &'a [Lexeme<'a>],
}

/// The first of these keywords outside parentheses. A name behind a dot or AS is none, and FROM
/// belongs to DISTINCT behind it.
fn clause<'a>(lexemes: &'a [Lexeme<'a>], keywords: &[&str]) -> Option<Split<'a>> {
    let at = depths(lexemes)
        .enumerate()
        .position(|(index, (depth, lexeme))| {
            let before = index.checked_sub(1).and_then(|before| lexemes.get(before));
            let other = before.is_some_and(|before| {
                before.kind == Kind::Mark(b'.') || is_any(before, &["as", "distinct"])
            });
            depth == 0 && !other && is_any(lexeme, keywords)
        })?;
    Some(Split {
        before: lexemes.get(..at)?,
        after: lexemes.get(at + 1..)?,
    })
}

fn before_returning<'a>(lexemes: &'a [Lexeme<'a>]) -> &'a [Lexeme<'a>] {
    clause(lexemes, &["returning"]).map_or(lexemes, |found| found.before)
}

/// What may follow a WHERE clause.
const AFTER_WHERE: [&str; 8] = [
    "group", "having", "window", "order", "limit", "offset", "fetch", "for",
];

/// What may follow a table and is no alias.
const AFTER_TABLE: [&str; 22] = [
    "as",
    "cross",
    "fetch",
    "for",
    "full",
    "group",
    "having",
    "inner",
    "join",
    "left",
    "limit",
    "natural",
    "offset",
    "on",
    "order",
    "returning",
    "right",
    "set",
    "tablesample",
    "using",
    "where",
    "window",
];

/// What may follow a FROM list.
const AFTER_FROM: [&str; 9] = [
    "where", "group", "having", "window", "order", "limit", "offset", "fetch", "for",
];
