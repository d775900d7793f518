//! A statement's text as people may see it: without its values.
//!
//! Invariant: nothing of a literal or a comment is shown, and of commands that take values without
//! quotes, such as SET, only their first word. Statements that differ in those alone, or in how many
//! values a list has, are shown alike.
//!
//! Not to be taken for the form of a statement (`form`), by which it is planned: what is shown decides
//! nothing.

use crate::scan::{Kind, Lexeme, is_ambiguous, lexemes};
use crate::tokens::is_any;

/// The text of a statement string without its values, in at most [`SHOWN_BYTES_MAX`] bytes. Longer
/// ones that begin alike are shown alike.
///
/// The text has to be read as the server reads it, or pieces of literals could be taken for words.
pub fn shown(text: &[u8]) -> String {
    let mut out = Out::default();
    let mut place = Place::Start;
    for lexeme in lexemes(text) {
        if out.text.len() > SHOWN_BYTES_MAX {
            break;
        }
        if lexeme.kind.is_blank() {
            if place != Place::Hidden {
                out.space();
            }
            continue;
        }
        place = match place {
            Place::Start if lexeme.kind == Kind::Mark(b'(') => Place::Start,
            Place::Start if is_any(&lexeme, &SHOWN) => Place::Shown,
            Place::Start => {
                out.hide(&lexeme);
                Place::Hidden
            }
            Place::Shown | Place::Hidden => place,
        };
        if lexeme.kind == Kind::Mark(b';') {
            place = Place::Start;
        }
        if is_ambiguous(&lexeme) {
            // Where backslashes escape, it ends elsewhere, and what follows here is a part of it. A string
            // may turn that on for its own end.
            if place != Place::Hidden {
                out.value(REST);
            }
            break;
        }
        if place != Place::Hidden {
            out.put(&lexeme);
        }
    }
    out.finish()
}

/// Where in a statement.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Place {
    /// At its beginning.
    Start,
    /// In one that is shown.
    Shown,
    /// Behind the first word of one that is not.
    Hidden,
}

/// What has been written, and what may be contracted in it.
#[derive(Default)]
struct Out {
    text: String,
    /// White space is due.
    spaced: bool,
    last: Last,
    /// Where the parenthesis stands in which there were only values so far.
    group: Option<usize>,
    /// Where such a parenthesis ended, if there was nothing but a comma behind.
    grouped: Option<usize>,
}

/// What came last.
#[derive(Clone, Copy, Default)]
enum Last {
    #[default]
    Other,
    Value,
    /// A comma behind a value, which ended here.
    Comma(usize),
}

impl Out {
    fn space(&mut self) {
        self.spaced = !self.text.is_empty();
    }

    fn word(&mut self, bytes: &[u8]) {
        if std::mem::take(&mut self.spaced) {
            self.text.push(' ');
        }
        self.text.push_str(&String::from_utf8_lossy(bytes));
    }

    /// The first lexeme of a statement that is not shown.
    fn hide(&mut self, lexeme: &Lexeme<'_>) {
        if lexeme.kind == Kind::Word {
            self.word(&lexeme.bytes.to_ascii_uppercase());
            self.text.push_str(" …");
        } else {
            self.word("…".as_bytes());
        }
    }

    fn put(&mut self, lexeme: &Lexeme<'_>) {
        match lexeme.kind {
            Kind::String | Kind::Escape | Kind::Bits | Kind::Dollar | Kind::Number => {
                self.value(b"?");
            }
            Kind::Unterminated => self.value(REST),
            // An identifier, or a string.
            Kind::Unicode if !lexeme.bytes.ends_with(b"\"") => self.value(b"?"),
            Kind::Parameter => self.value(lexeme.bytes),
            Kind::Mark(b',') => self.comma(),
            Kind::Mark(b'(') => {
                self.word(b"(");
                self.last = Last::Other;
                self.group = Some(self.text.len() - 1);
            }
            Kind::Mark(b')') => self.close(),
            Kind::Word | Kind::Quoted | Kind::Unicode | Kind::Operator | Kind::Mark(_) => {
                self.word(lexeme.bytes);
                (self.last, self.group, self.grouped) = (Last::Other, None, None);
            }
            Kind::Space | Kind::LineComment | Kind::BlockComment => {}
        }
    }

    fn value(&mut self, shown: &[u8]) {
        match self.last {
            Last::Comma(end) if shown != REST => self.contract(end),
            Last::Comma(_) | Last::Value | Last::Other => self.word(shown),
        }
        self.last = Last::Value;
    }

    fn comma(&mut self) {
        let end = self.text.len();
        self.last = match self.last {
            Last::Value => Last::Comma(end),
            Last::Other | Last::Comma(_) => Last::Other,
        };
        self.word(b",");
    }

    fn close(&mut self) {
        self.word(b")");
        let pure = self
            .group
            .take()
            .filter(|_| matches!(self.last, Last::Value));
        self.last = Last::Other;
        self.grouped = pure.map(|start| {
            if let Some(end) = self.grouped
                && self.text.get(end..start).map(str::trim) == Some(",")
            {
                self.contract(end);
            }
            self.text.len()
        });
    }

    /// What stands behind `end` is one more of the same.
    fn contract(&mut self, end: usize) {
        self.text.truncate(end);
        self.spaced = false;
        if !self.text.ends_with(MORE) {
            self.text.push_str(MORE);
        }
    }

    fn finish(mut self) -> String {
        let end = self.text.trim_end_matches([' ', ';']).len();
        self.text.truncate(end);
        if self.text.len() > SHOWN_BYTES_MAX {
            let end = self
                .text
                .floor_char_boundary(SHOWN_BYTES_MAX - '…'.len_utf8());
            self.text.truncate(end);
            self.text.push('…');
        }
        self.text
    }
}

/// Most bytes of a statement that are shown.
pub const SHOWN_BYTES_MAX: usize = 2048;

/// What stands for a literal of which it is not certain where it ends, and for what follows.
const REST: &[u8] = "?…".as_bytes();

/// What stands for further values of a list, and for further lists.
const MORE: &str = ", …";

/// What a statement begins with whose values are all literals.
const SHOWN: [&str; 13] = [
    "select", "with", "values", "table", "insert", "update", "delete", "merge", "copy", "call",
    "truncate", "refresh", "explain",
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str, expected: &str) {
        assert_eq!(shown(text.as_bytes()), expected, "{text}");
    }

    #[test]
    fn values_and_comments_are_left_out() {
        check(
            "select a, -5, b, 'x''y' /* trace=1 */ from t -- why\n where b = E'\\'' and c = $1",
            "select a, -?, b, ? from t where b = ? and c = $1",
        );
        check(
            "SELECT 1.5e3::int, B'01', X'ff', $$a$$, $x$b$x$, U&'c', U&\"d\", \"E\" FROM t;",
            "SELECT ?::int, ?, …, U&\"d\", \"E\" FROM t",
        );
        check("select 'open", "select ?…");
        check(r"select 'a\'secret', 2 from t", "select ?…");
        check(
            r"set standard_conforming_strings = off; select 1, 'a\'secret'",
            "SET …; select ?, ?…",
        );
        check(r"select E'a\'b', 'a\b' from t", "select ?, … from t");
        check("  (select 1)  ", "(select ?)");
        check("", "");
    }

    #[test]
    fn lists_are_shown_alike_however_long() {
        for list in ["1, 2", "1,2,3", "1 , 'x', 2.5"] {
            check(
                &format!("select * from t where id in ({list}) limit 5"),
                "select * from t where id in (?, …) limit ?",
            );
        }
        for rows in ["(1, 2), (3, 4)", "(1,'a'),(2,'b'),(3,'c')"] {
            check(
                &format!("INSERT INTO t (a, b) VALUES {rows} ON CONFLICT DO NOTHING"),
                "INSERT INTO t (a, b) VALUES (?, …), … ON CONFLICT DO NOTHING",
            );
        }
        check(
            "insert into t values ($1, $2), ($3, $4), (now(), 4)",
            "insert into t values ($1, …), …, (now(), ?)",
        );
        check("select f(1), g(2) from t", "select f(?), g(?) from t");
        check("values (1), (2, a)", "values (?), (?, a)");
    }

    #[test]
    fn of_what_takes_bare_values_the_first_word_is_shown() {
        check("set app.token to s3cret", "SET …");
        check("ALTER ROLE x SET app.token TO s3cret", "ALTER …");
        check(r"set app.token to 'a\'s3cret'", "SET …");
        check(
            "/* x */ begin; select 1; set x = y; commit",
            "BEGIN …; select ?; SET …; COMMIT …",
        );
        check("'secret'", "…");
        check("$1", "…");
    }

    #[test]
    fn long_texts_are_cut() {
        let long = format!("select {}", "column_é + ".repeat(1000));
        let cut = shown(long.as_bytes());
        assert!(cut.len() <= SHOWN_BYTES_MAX && cut.ends_with('…'), "{cut}");
    }

    fn literal() -> impl Strategy<Value = String> {
        prop_oneof![
            "[0-9]{1,20}(\\.[0-9]{1,5})?",
            "[a-zA-Z ,()$\"-]{0,20}".prop_map(|text| format!("'{text}'")),
            "[a-z'\"/*-]{0,20}".prop_map(|text| format!("$q${text}$q$")),
            "[a-z\"]{0,20}".prop_map(|text| format!("E'\\'{text}'")),
            Just("U&'x'".to_owned()),
        ]
    }

    proptest! {
        #[test]
        fn no_value_makes_a_difference(
            template in prop::sample::select(vec![
                "select * from t where a = {} and b = {}",
                "select * from t where a in ({}, {}, {}) limit {}",
                "insert into t (a) values ({}, {}), ({}, {})",
                "copy t from program {}",
                "set x = {}",
                "select {} /* {} */ from t",
                "call p({}, a => {})",
            ]),
            values in prop::collection::vec(literal(), 4),
            others in prop::collection::vec(literal(), 4),
        ) {
            let fill = |values: &[String]| values.iter().fold(template.to_owned(), |text, value| {
                text.replacen("{}", value, 1)
            });
            // A comment ends where it says so.
            prop_assume!(!template.contains("/*") || values.iter().chain(&others).all(|it| {
                !it.contains("*/") && !it.contains("/*")
            }));
            prop_assert_eq!(shown(fill(&values).as_bytes()), shown(fill(&others).as_bytes()));
        }

        #[test]
        fn any_text_is_shown_in_bounds(text: Vec<u8>) {
            prop_assert!(shown(&text).len() <= SHOWN_BYTES_MAX);
        }
    }
}
