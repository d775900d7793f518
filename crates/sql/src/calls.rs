//! Which names before a `(` can be nothing but functions.
//!
//! Aliases with columns, common table expressions, types and clauses look like calls as well. That
//! does not matter where what a name could mean is looked for, but it does where nothing is found.

use crate::scan::{Kind, Lexeme};
use crate::tokens::{Tokens, identifier, is_any};

/// Whether a name is that of a function, with these lexemes `before` it, and an opening parenthesis
/// first among those `after` it. What a FROM clause alone could call a function may be missed.
pub(crate) fn is_call(before: &[Lexeme<'_>], name: &Lexeme<'_>, after: &[Lexeme<'_>]) -> bool {
    let Some(previous) = before.last() else {
        return false;
    };
    if previous.kind == Kind::Mark(b'.') {
        return true;
    }
    if identifier(name).is_none_or(|name| SYNTAX.contains(&&*name)) {
        return false;
    }
    let opens = matches!(previous.kind, Kind::Mark(b'(' | b'[') | Kind::Operator);
    let listed = previous.kind == Kind::Mark(b',') && !defines(after);
    opens || listed || is_any(previous, &BEFORE_EXPRESSIONS)
}

/// Whether what is in parentheses is a list of columns, and a common table expression follows.
fn defines(after: &[Lexeme<'_>]) -> bool {
    // Nothing else is looked through, so that calls within calls are not read again and again.
    let listed = |it: &Lexeme<'_>| identifier(it).is_some() || it.kind == Kind::Mark(b',');
    let columns = after.iter().skip(1).take_while(|it| listed(it)).count();
    let mut next = Tokens::new(after.get(columns + 1..).unwrap_or_default());
    if !(next.mark(b')') && next.word("as")) {
        return false;
    }
    next.word("not");
    next.word("materialized") || next.mark(b'(')
}

/// Keywords behind which an expression stands, or a function that is selected from.
const BEFORE_EXPRESSIONS: [&str; 37] = [
    "all",
    "and",
    "any",
    "array",
    "asymmetric",
    "between",
    "by",
    "case",
    "check",
    "default",
    "distinct",
    "else",
    "escape",
    "from",
    "having",
    "ilike",
    "in",
    "join",
    "lateral",
    "like",
    "limit",
    "not",
    "offset",
    "on",
    "or",
    "overlaps",
    "returning",
    "rows",
    "select",
    "some",
    "symmetric",
    "then",
    "to",
    "using",
    "when",
    "where",
    "zone",
];

/// Keywords that stand before a parenthesis, and are no functions.
const SYNTAX: [&str; 35] = [
    "by",
    "conflict",
    "current_time",
    "current_timestamp",
    "first",
    "ilike",
    "insert",
    "inout",
    "join",
    "json",
    "json_scalar",
    "json_serialize",
    "key",
    "like",
    "localtime",
    "localtimestamp",
    "merge_action",
    "national",
    "nchar",
    "next",
    "normalize",
    "operator",
    "setof",
    "similar",
    "update",
    "xmlattributes",
    "xmlconcat",
    "xmlexists",
    "xmlforest",
    "xmlnamespaces",
    "xmlparse",
    "xmlpi",
    "xmlroot",
    "xmlserialize",
    "xmltable",
];

#[cfg(test)]
mod tests {
    use crate::facts::Bound;

    fn called(text: &str) -> Vec<String> {
        let analysis = crate::analyze(text.as_bytes());
        let [sentence] = analysis.sentences() else {
            panic!("{text} is one statement");
        };
        let Bound::Lexical(lexical) = &sentence.writes else {
            panic!("{text} has a bound");
        };
        lexical
            .run
            .iter()
            .map(|name| name.name.to_string())
            .collect()
    }

    #[test]
    fn functions_are_told_from_what_looks_like_them() {
        for (text, expected) in [
            ("select f(1)", &["f"][..]),
            (
                "select g(f(1)) as x, h() + s.k(2), array[l()]",
                &["f", "g", "h", "l", "k"],
            ),
            (
                "select 1 from f() join g() on h() where not k()",
                &["f", "g", "h", "k"],
            ),
            (
                "select 1 from f(1) as x(a, b), (select 2) y(c), t z(d)",
                &["f"],
            ),
            (
                "with a(x) as (select 1), b(y) as materialized (select 2) select 1 from a, b",
                &[],
            ),
            (
                "select 1::f(2), cast(1 as g(2)), x::h from t group by (a, b)",
                &[],
            ),
            (
                "select 1 from a join (select 1) b using (x) order by (f(1))",
                &["f"],
            ),
            (
                "insert into t (a, b) values (f(1), 2) on conflict (a) do update set (a, b) = (1, 2)",
                &["f"],
            ),
            (
                "select count(*) filter (where true) over (partition by (a)) from t",
                &["count"],
            ),
        ] {
            assert_eq!(called(text), expected, "{text}");
        }
    }
}
