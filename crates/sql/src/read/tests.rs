//! The deepest texts within the caps, and texts that are none.

use std::thread;

use proptest::prelude::*;

use crate::analyze;

/// Analyses on the smallest stack that a thread of ours has.
fn survives(text: String) {
    let analyse = move || analyze(text.as_bytes()).bytes();
    let done = thread::Builder::new()
        .stack_size(STACK_BYTES)
        .spawn(analyse)
        .expect("a thread starts")
        .join();
    assert!(done.is_ok());
}

const STACK_BYTES: usize = 2 * 1024 * 1024;

/// As often as the caps let it stand.
fn chain(before: &str, link: &str, after: &str) {
    let tokens = crate::scan::lexemes(link.as_bytes())
        .filter(|lexeme| !lexeme.kind.is_blank())
        .count();
    let room = super::TEXT_BYTES_MAX - before.len() - after.len();
    let count = (room / link.len()).min((super::TOKENS_MAX - 20) / tokens);
    survives(format!("{before}{}{after}", link.repeat(count)));
    // Half as many, in case the parser gives up early on more.
    survives(format!("{before}{}{after}", link.repeat(count / 2)));
}

#[test]
fn chains_do_not_overflow_the_stack() {
    for (before, link, after) in [
        ("select 1", "+1", " from t"),
        ("select 1", "||1", " from t"),
        ("select a from t where a", " or a", ""),
        ("select a from t where a", " and a", ""),
        ("select 1", "::int", " from t"),
        ("select 1::int", "[]", " from t"),
        ("select 1", " is null", " from t"),
        ("select 1", " collate c", " from t"),
        ("select 1", " at time zone 'x'", " from t"),
        ("select 1", " between 1 and 1", " from t"),
        ("select 1", " in (1)", " from t"),
        ("select 1", " like 1", " from t"),
        ("select a", "[1]", " from t"),
        ("select a", ".a", " from t"),
        ("select (a)", ".a", " from t"),
        ("select a", "->1", " from t"),
        ("select 1", " union select 1", ""),
        ("select 1", " union all (select 1)", ""),
        ("select 1 from t", " join t", ""),
        ("select 1 from t", " join t on a", ""),
        ("select 1 from t", " cross join t", ""),
        ("select 1 from t", " natural join t", ""),
        ("select 1 from t", ", t", ""),
        ("select 1 from t", ", lateral (select 1) x", ""),
        ("select 1", ", 1", " from t"),
        ("select case", " when 1 then 1", " end from t"),
        (
            "with a as (select 1)",
            ", a as (select 1)",
            " select 1 from t",
        ),
        ("select 1 from t order by 1", ", 1", ""),
        ("select a = any (1)", " = any (1)", " from t"),
        ("select f(1)", " over (order by 1)", " from t"),
        ("values (1)", ", (1)", ""),
    ] {
        chain(before, link, after);
    }
}

#[test]
fn nests_do_not_overflow_the_stack() {
    for (open, core, close) in [
        ("(", "1", ")"),
        ("(select ", "1", ")"),
        ("f(", "1", ")"),
        ("array[", "1", "]"),
        ("not ", "1", ""),
        ("- ", "1", ""),
        ("+ ", "1", ""),
        ("@ ", "1", ""),
        ("~ ", "1", ""),
        ("case when ", "1", " then 1 end"),
        ("cast(", "1", " as int)"),
        ("exists (select ", "1", ")"),
        ("interval ", "'1'", ""),
        ("date ", "'1'", ""),
        ("distinct ", "1", ""),
        ("row(", "1", ")"),
        ("a in (", "1", ")"),
        ("extract(year from ", "1", ")"),
        ("trim(", "1", ")"),
        ("prior ", "1", ""),
        ("{", "1", "}"),
        ("x -> ", "1", ""),
        ("x => ", "1", ""),
        ("a is distinct from ", "1", ""),
        ("a between 1 and ", "1", ""),
    ] {
        for count in [35, 39, 45, 400, 1_900] {
            let text = format!(
                "select {}{core}{} from t",
                open.repeat(count),
                close.repeat(count)
            );
            survives(text);
        }
    }
    for (open, core, close) in [
        ("(", "select 1", ")"),
        ("(", "t join t on a", ")"),
        ("(", "values (1)", ")"),
        ("(select * from ", "t", ") x"),
        ("t join (", "t", ")"),
        ("with a as (", "select 1", ") select 1"),
    ] {
        for count in [35, 45, 400, 1_900] {
            let nest = format!("{}{core}{}", open.repeat(count), close.repeat(count));
            survives(format!("select * from {nest}"));
            survives(nest);
        }
    }
}

/// Pieces of SQL that meet in any order.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        proptest::sample::select(PIECES.as_slice()).prop_map(str::to_owned),
        "[a-z]{1,4}",
        "[ -~]{0,6}",
        "\\PC{0,3}",
    ]
}

const PIECES: [&str; 64] = [
    "select", "from", "t", "where", "(", ")", ",", ";", "'", "\"", "$$", "$a$", "/*", "*/", "--",
    "\n", "with", "as", "union", "all", "join", "on", "insert", "into", "values", "update", "set",
    "delete", "merge", "using", "when", "matched", "then", "1", "1.5e", "$1", "E'\\", "U&'", "::",
    "int", "[", "]", ".", "*", "=", "and", "or", "not", "case", "end", "null", "begin", "commit",
    "copy", "explain", "analyze", "declare", "cursor", "for", "truncate", "only", "table", "over",
    "interval",
];

proptest! {
    #[test]
    fn any_bytes_are_analysed(text in proptest::collection::vec(any::<u8>(), 0..200)) {
        let analysis = analyze(&text);
        prop_assert!(analysis.bytes() > 0);
    }

    #[test]
    fn any_words_are_analysed(pieces in proptest::collection::vec(piece(), 0..40)) {
        let text = pieces.join(" ");
        let analysis = analyze(text.as_bytes());
        prop_assert!(analysis.statements() <= text.matches(';').count() + 1);
    }

    #[test]
    fn the_significant_text_is_analysed_alike(pieces in proptest::collection::vec(piece(), 0..20)) {
        let text = pieces.join(" ");
        let significant = crate::significant_text(text.as_bytes());
        let (one, other) = (analyze(text.as_bytes()), analyze(&significant));
        prop_assert_eq!(one.statements(), other.statements());
        prop_assert_eq!(one.is_candidate(), other.is_candidate());
    }
}
