//! The text of a query as the parser understands it.
//!
//! What PostgreSQL has and the parser lacks is left out or spelt otherwise. The outcome is only
//! read for names: it may mean more than the query does, never less.

use crate::scan::{Kind, Lexeme};
use crate::tokens::{Tokens, is_any, is_word};

/// Without comments, and with these changes:
///
/// - `ONLY` and its parentheses, which the parser takes for a table, are gone, so that children of
///   that table count as read;
/// - `TABLE name` is the query it stands for;
/// - `ROWS FROM (f(…), g(…))` is a list of calls;
/// - `(row).*` is the row;
/// - `ANY (VALUES …)` compares with rows of a query;
/// - `BETWEEN SYMMETRIC` is `BETWEEN`, which applies the same operators;
/// - `EXCLUDE …` in a frame, `SEARCH …` and `CYCLE …` behind a common table expression are gone:
///   they name nothing but columns.
pub(crate) fn plain(lexemes: &[Lexeme<'_>]) -> String {
    let mut edits = vec![Edit::Keep; lexemes.len()];
    for index in 0..lexemes.len() {
        edit(lexemes, index, &mut edits);
    }
    let mut plain = String::new();
    let mut end = 0;
    for (lexeme, edit) in lexemes.iter().zip(edits) {
        if plain.is_empty() || edit != Edit::Keep || end != lexeme.start {
            plain.push(' ');
        }
        match edit {
            Edit::Keep => plain.push_str(&String::from_utf8_lossy(lexeme.bytes)),
            Edit::Drop => {}
            Edit::Select => plain.push_str("SELECT * FROM"),
            Edit::Rows => plain.push_str("SELECT"),
        }
        // What is left out must not let its neighbours grow together.
        end = if edit == Edit::Keep {
            lexeme.end()
        } else {
            usize::MAX
        };
    }
    plain
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Edit {
    Keep,
    Drop,
    Select,
    Rows,
}

fn edit(lexemes: &[Lexeme<'_>], index: usize, edits: &mut [Edit]) {
    let (before, rest) = lexemes.split_at(index);
    let (Some(lexeme), previous) = (rest.first(), before.last()) else {
        return;
    };
    let after = rest.get(1..).unwrap_or_default();
    let follows = |words: &[&str]| previous.is_some_and(|previous| is_any(previous, words));
    let length = if is_word(lexeme, "only") && !follows(&["row", "rows"]) {
        let length = 1 + usize::from(is_mark(after.first(), b'('));
        if length == 2 {
            // Between `ONLY (` and `)` stands one name.
            drop_closing(after, index + 1, edits);
        }
        length
    } else if is_word(lexeme, "rows") && is_rows_from(after) {
        drop_closing(after.get(1..).unwrap_or_default(), index + 2, edits);
        3
    } else if is_row_star(before, lexeme, after) {
        2
    } else if is_word(lexeme, "exclude") && follows(&["preceding", "following", "row"]) {
        exclusion(after).map_or(0, |length| length + 1)
    } else if is_mark(previous, b')') && is_word(lexeme, "search") {
        searching(after).map_or(0, |length| length + 1)
    } else if is_word(lexeme, "cycle") && ends_expression(before) {
        cycling(after).map_or(0, |length| length + 1)
    } else if follows(&["between"]) && is_any(lexeme, &["symmetric", "asymmetric"]) {
        1
    } else {
        let other = if is_table_command(before, lexeme, after) {
            Edit::Select
        } else if is_word(lexeme, "values") && is_quantified(before) {
            Edit::Rows
        } else {
            Edit::Keep
        };
        if let Some(edit) = edits.get_mut(index).filter(|it| **it == Edit::Keep) {
            *edit = other;
        }
        0
    };
    for edit in edits.iter_mut().skip(index).take(length) {
        *edit = Edit::Drop;
    }
}

/// Whether a word is the `TABLE` of a query `TABLE name`. It is reserved: what else it could be is
/// a column's name behind a dot, or a label behind AS.
pub(crate) fn is_table_command(
    before: &[Lexeme<'_>],
    lexeme: &Lexeme<'_>,
    after: &[Lexeme<'_>],
) -> bool {
    let begins = before.last().is_none_or(|last| {
        matches!(last.kind, Kind::Mark(b'(' | b')'))
            || is_any(last, &["union", "all", "intersect", "except", "distinct"])
    });
    let name = after
        .first()
        .is_some_and(|next| matches!(next.kind, Kind::Word | Kind::Quoted));
    begins && name && is_word(lexeme, "table")
}

/// Whether this is the `.` of `(row).*`.
pub(crate) fn is_row_star(
    before: &[Lexeme<'_>],
    lexeme: &Lexeme<'_>,
    after: &[Lexeme<'_>],
) -> bool {
    let star = after
        .first()
        .is_some_and(|next| next.kind == Kind::Operator && next.bytes == b"*");
    star && lexeme.kind == Kind::Mark(b'.') && is_mark(before.last(), b')')
}

/// Whether the last lexemes are `ANY (` or the like.
fn is_quantified(before: &[Lexeme<'_>]) -> bool {
    match before {
        [.., word, opening] => {
            opening.kind == Kind::Mark(b'(') && is_any(word, &["all", "any", "some"])
        }
        _ => false,
    }
}

/// `FROM (` behind ROWS.
fn is_rows_from(after: &[Lexeme<'_>]) -> bool {
    after.first().is_some_and(|from| is_word(from, "from")) && is_mark(after.get(1), b'(')
}

fn is_mark(lexeme: Option<&Lexeme<'_>>, mark: u8) -> bool {
    lexeme.is_some_and(|lexeme| lexeme.kind == Kind::Mark(mark))
}

/// Drops the `)` that belongs to the `(` with which `rest` begins; `start` is its index.
fn drop_closing(rest: &[Lexeme<'_>], start: usize, edits: &mut [Edit]) {
    let mut depth = 0_usize;
    for (offset, lexeme) in rest.iter().enumerate() {
        if lexeme.kind == Kind::Mark(b'(') {
            depth += 1;
        } else if lexeme.kind == Kind::Mark(b')') {
            depth = depth.saturating_sub(1);
        }
        if depth == 0 {
            if let Some(edit) = edits.get_mut(start + offset) {
                *edit = Edit::Drop;
            }
            return;
        }
    }
}

/// How many lexemes `CURRENT ROW`, `GROUP`, `TIES` or `NO OTHERS` are, if a frame ends there.
fn exclusion(after: &[Lexeme<'_>]) -> Option<usize> {
    let mut tokens = Tokens::new(after);
    let known = tokens.words(&["current", "row"])
        || tokens.words(&["no", "others"])
        || tokens.any(&["group", "ties"]);
    let length = after.len() - tokens.rest().len();
    (known && tokens.mark(b')')).then_some(length)
}

/// The length of `DEPTH FIRST BY column, … SET column`.
fn searching(after: &[Lexeme<'_>]) -> Option<usize> {
    let mut tokens = Tokens::new(after);
    let known = tokens.any(&["depth", "breadth"]) && tokens.words(&["first", "by"]);
    (known && columns(&mut tokens) && tokens.word("set")).then_some(())?;
    tokens.identifier()?;
    Some(after.len() - tokens.rest().len())
}

/// The length of `column, … SET column [TO value DEFAULT value] USING column`. The values are
/// literals: a call among them is not understood.
fn cycling(after: &[Lexeme<'_>]) -> Option<usize> {
    let mut tokens = Tokens::new(after);
    (columns(&mut tokens) && tokens.word("set")).then_some(())?;
    tokens.identifier()?;
    if tokens.word("to") {
        tokens.take()?;
        tokens.word("default").then_some(())?;
        tokens.take()?;
    }
    tokens.word("using").then_some(())?;
    tokens.identifier()?;
    Some(after.len() - tokens.rest().len())
}

fn columns(tokens: &mut Tokens<'_>) -> bool {
    loop {
        if tokens.identifier().is_none() {
            return false;
        }
        if !tokens.mark(b',') {
            return true;
        }
    }
}

/// Whether CYCLE may stand here: behind the `)` of a query, or behind `SET column` of SEARCH.
fn ends_expression(before: &[Lexeme<'_>]) -> bool {
    match before {
        [.., set, _] if is_word(set, "set") => true,
        [.., last] => last.kind == Kind::Mark(b')'),
        [] => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scan::lexemes;

    fn check(text: &str, expected: &str) {
        let lexemes: Vec<Lexeme<'_>> = lexemes(text.as_bytes())
            .filter(|lexeme| !lexeme.kind.is_blank())
            .collect();
        let found = plain(&lexemes);
        let words: Vec<&str> = found.split_whitespace().collect();
        assert_eq!(words.join(" "), expected, "{text}");
    }

    #[test]
    fn only_is_left_out_with_its_parentheses() {
        check("select * from only t", "select * from t");
        check("select * from only (a.t) x", "select * from a.t x");
        check(
            "select 1 from t fetch first 3 rows only",
            "select 1 from t fetch first 3 rows only",
        );
    }

    #[test]
    fn the_table_command_is_a_query() {
        check("table t order by 1", "SELECT * FROM t order by 1");
        check(
            "with x as (table only t) table x union all table \"U\"",
            "with x as ( SELECT * FROM t) SELECT * FROM x union all SELECT * FROM \"U\"",
        );
        check("select t.table from t", "select t.table from t");
        check("select 1 as table from t", "select 1 as table from t");
    }

    #[test]
    fn rows_from_is_a_list_of_calls() {
        check(
            "select * from rows from (f(1, (2)), g()) as r(a, b)",
            "select * from f(1, (2)), g() as r(a, b)",
        );
        check(
            "sum(x) over (rows 1 preceding)",
            "sum(x) over (rows 1 preceding)",
        );
    }

    #[test]
    fn rows_to_compare_with_are_those_of_a_query() {
        check(
            "select 1 from t where id = any (values (1), (a)) and id <> all(values (1, 2))",
            "select 1 from t where id = any ( SELECT (1), (a)) and id <> all( SELECT (1, 2))",
        );
        check(
            "select any_value(values) from t",
            "select any_value(values) from t",
        );
    }

    #[test]
    fn bounds_are_compared_alike_in_any_order() {
        check(
            "select 1 where a between symmetric 2 and 1 or b not between asymmetric 1 and 2",
            "select 1 where a between 2 and 1 or b not between 1 and 2",
        );
        check("select symmetric.a from t", "select symmetric.a from t");
    }

    #[test]
    fn the_columns_of_a_row_are_the_row() {
        check("select (x).* from x", "select (x) from x");
        check("select (f(a)).*, b from x", "select (f(a)) , b from x");
        check("select x.* from x", "select x.* from x");
    }

    #[test]
    fn clauses_that_name_columns_alone_are_left_out() {
        check(
            "over (order by a groups 2 preceding exclude current row)",
            "over (order by a groups 2 preceding )",
        );
        check(
            "over (rows between 1 preceding and current row exclude no others)",
            "over (rows between 1 preceding and current row )",
        );
        check("select row exclude from t", "select row exclude from t");
        check(
            "with r as (select 1) search depth first by a, b set o cycle a set c to true default false using p select 1",
            "with r as (select 1) select 1",
        );
        check(
            "with r as (select 1) cycle a set c using p select 1",
            "with r as (select 1) select 1",
        );
        check("select (1) cycle, a from t", "select (1) cycle, a from t");
        check("select (1) search from t", "select (1) search from t");
    }
}
