//! The form of a statement: its text with plain literals taken out.
//!
//! Invariant: texts of one form have the same analysis but for the values of these literals, which
//! no reader of this crate looks at save `pin`, where they stand as numbered places. So a form is
//! analysed once, whatever values come.
//!
//! Only literals are taken out of which that can be said: digits that fit into four bytes, those that
//! fit into eight (which stay apart, for they are of another type), and strings without quotes,
//! backslashes or words for the clock, in queries and changes of rows. What stays in the text belongs
//! to the form.

use smallvec::SmallVec;

use crate::clock::path_names_clock;
use crate::names_clock;
use crate::scan::{Kind, Lexeme, lexemes};
use crate::tokens::is_any;

/// A text without its literals.
#[derive(Debug)]
pub struct Form {
    /// With one number of its type, or the empty string, in place of each literal.
    pub text: Vec<u8>,
    /// Where the literals stand in the text that was given, in order.
    pub literals: FormLiterals,
}

/// Where the literals of a text stand: a few, in most.
pub type FormLiterals = SmallVec<[Literal; 6]>;

/// Where a literal stands in a text, in bytes, its quotes included.
#[derive(Clone, Copy, Debug)]
pub struct Literal {
    start: u16,
    end: u16,
}

/// Literals of a text.
#[derive(Clone, Copy, Debug, Default)]
pub struct Literals<'a> {
    /// The text.
    pub text: &'a [u8],
    /// Where they stand.
    pub places: &'a [Literal],
}

/// A literal's value.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Written<'a> {
    Integer(i64),
    Text(&'a [u8]),
}

/// The form of a statement string; `None` if it has no such literals, or cannot be told.
pub fn form(text: &[u8]) -> Option<Form> {
    if text.len() > TEXT_BYTES_MAX {
        return None;
    }
    let mut begun = false;
    let mut form = Vec::new();
    let mut literals = FormLiterals::new();
    let mut ended = false;
    let mut copied = 0;
    for lexeme in lexemes(text) {
        if !lexeme.kind.is_blank() {
            if ended || !begun && !is_any(&lexeme, &FIRST) {
                return None;
            }
            begun = true;
            ended = lexeme.kind == Kind::Mark(b';');
        }
        let Some(common) = common(&lexeme) else {
            if may_stay(&lexeme) {
                continue;
            }
            return None;
        };
        if literals.is_empty() {
            form.reserve(text.len());
        }
        form.extend_from_slice(text.get(copied..lexeme.start)?);
        form.extend_from_slice(common);
        copied = lexeme.end();
        literals.push(Literal {
            start: u16::try_from(lexeme.start).ok()?,
            end: u16::try_from(lexeme.end()).ok()?,
        });
    }
    if literals.is_empty() || literals.len() > LITERALS_MAX {
        return None;
    }
    form.extend_from_slice(text.get(copied..)?);
    Some(Form {
        text: form,
        literals,
    })
}

impl Form {
    /// The number of the literal that begins there.
    pub(crate) fn number(&self, start: usize) -> Option<u16> {
        let start = u16::try_from(start).ok()?;
        let found = self
            .literals
            .binary_search_by_key(&start, |literal| literal.start);
        u16::try_from(found.ok()?).ok()
    }
}

impl Literal {
    /// Where it stands.
    pub fn place(self) -> std::ops::Range<usize> {
        self.start.into()..self.end.into()
    }
}

impl<'a> Literals<'a> {
    pub(crate) fn get(&self, number: u16) -> Option<Written<'a>> {
        let literal = self.places.get(usize::from(number))?;
        let written = self.text.get(literal.place())?;
        match written.strip_prefix(b"'") {
            Some(rest) => rest.strip_suffix(b"'").map(Written::Text),
            None => {
                let digits = std::str::from_utf8(written).ok()?;
                digits.parse().ok().map(Written::Integer)
            }
        }
    }
}

/// Whether a lexeme may be part of a form: it is understood, and not the name of a function whose
/// arguments say which setting is read or set, or what is run.
fn may_stay(lexeme: &Lexeme<'_>) -> bool {
    match lexeme.kind {
        Kind::Word | Kind::Quoted => !is_told_by_literals(lexeme.bytes),
        Kind::Unterminated | Kind::Unicode => false,
        Kind::Space | Kind::LineComment | Kind::BlockComment => true,
        Kind::String | Kind::Escape | Kind::Bits | Kind::Dollar | Kind::Number => true,
        Kind::Parameter | Kind::Operator | Kind::Mark(_) => true,
    }
}

fn is_told_by_literals(word: &[u8]) -> bool {
    TOLD.iter().any(|function| {
        let mut parts = word.windows(function.len());
        parts.any(|part| part.eq_ignore_ascii_case(function))
    })
}

/// What stands for a lexeme in the form of its statement, if it is a plain literal.
fn common(lexeme: &Lexeme<'_>) -> Option<&'static [u8]> {
    if lexeme.kind == Kind::String {
        return is_simple(lexeme.bytes).then_some(b"''");
    }
    if lexeme.kind != Kind::Number {
        return None;
    }
    match digits(lexeme.bytes)? {
        number if number <= INTEGER_MAX => Some(SMALL),
        // The one number that is an `integer` only with a sign is left out.
        number if number > INTEGER_MAX + 1 && number <= BIGINT_MAX => Some(BIG),
        _ => None,
    }
}

fn digits(number: &[u8]) -> Option<u64> {
    let plain = number.len() <= DIGITS_MAX && number.iter().all(u8::is_ascii_digit);
    let number = std::str::from_utf8(number).ok().filter(|_| plain)?;
    number.parse().ok()
}

/// A string that stands for itself, byte by byte, in every encoding, and means no time of day.
fn is_simple(string: &[u8]) -> bool {
    let inner = string
        .strip_prefix(b"'")
        .and_then(|rest| rest.strip_suffix(b"'"));
    inner.is_some_and(|inner| {
        let plain = |byte: &u8| byte.is_ascii() && !matches!(byte, b'\'' | b'\\');
        inner.iter().all(plain) && !names_clock(inner) && !path_names_clock(inner)
    })
}

/// What a statement begins with whose literals are nothing but values.
const FIRST: [&str; 6] = ["select", "insert", "update", "delete", "with", "values"];

const TOLD: [&[u8]; 3] = [b"crosstab", b"current_setting", b"set_config"];

/// Longer texts are analysed each, in bytes.
const TEXT_BYTES_MAX: usize = 4096;

/// Texts with more literals are analysed each.
const LITERALS_MAX: usize = 64;

/// More are a `numeric`, or begin with zeros.
const DIGITS_MAX: usize = 19;

/// The server makes an `integer` of digits up to here, with a sign before them or without.
const INTEGER_MAX: u64 = i32::MAX.unsigned_abs() as u64;

/// And a `bigint` up to here.
const BIGINT_MAX: u64 = i64::MAX.unsigned_abs();

/// What stands for any `integer`, and for any `bigint`.
const SMALL: &[u8] = b"0";
const BIG: &[u8] = b"3000000000";

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<(&str, &[&str])>) {
        let found = form(text.as_bytes());
        let found = found.as_ref().map(|form| {
            let literals = form.literals.iter();
            let written = literals.map(|literal| &text[literal.place()]);
            let formal = std::str::from_utf8(&form.text).unwrap();
            (formal, written.collect::<Vec<_>>())
        });
        let expected = expected.map(|(text, literals)| (text, literals.to_vec()));
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn literals_are_taken_out() {
        check(
            "select a1 from t where id = 5 and x in ('a', 'b c') limit 10;",
            Some((
                "select a1 from t where id = 0 and x in ('', '') limit 0;",
                &["5", "'a'", "'b c'", "10"],
            )),
        );
        check(
            "UPDATE t SET n = -7 /* 8 */ WHERE u = ''",
            Some(("UPDATE t SET n = -0 /* 8 */ WHERE u = ''", &["7", "''"])),
        );
        check("(select 1)", None);
        check("select a from t", None);
        check("", None);
    }

    #[test]
    fn what_may_mean_more_stays() {
        check(
            "select 1.5, 1e5, 0x10, 2147483648, E'a', 'a''b', 'é', $1, $$x$$, n'x', 3",
            Some((
                "select 1.5, 1e5, 0x10, 2147483648, E'a', 'a''b', 'é', $1, $$x$$, n'x', 0",
                &["3"],
            )),
        );
        check(
            r"select 'now', '{today}', 'a\b', 1",
            Some((r"select 'now', '{today}', 'a\b', 0", &["1"])),
        );
    }

    #[test]
    fn numbers_stay_with_those_of_their_type() {
        check(
            "select 2147483647, -2147483649, 9223372036854775807 from t where id = 1234567890",
            Some((
                "select 0, -3000000000, 3000000000 from t where id = 0",
                &[
                    "2147483647",
                    "2147483649",
                    "9223372036854775807",
                    "1234567890",
                ],
            )),
        );
        for number in [
            "2147483648",
            "9223372036854775808",
            "00000000000000000001",
            "1_000",
            "5000000000.0",
        ] {
            check(&format!("select {number}"), None);
        }
    }

    #[test]
    fn what_is_no_query_or_change_of_rows_has_no_form() {
        for text in [
            "set x = 1",
            "begin; select 1",
            "select 1; set x = 2",
            "prepare transaction 'x'",
            "select current_setting('app.x')",
            "select * from crosstab('select 1') as t(a int)",
            "select \"Current_Setting\"('app.x', 1)",
            "select set_config('app.x', '1', true)",
            "select pg_catalog.\"set_config\"('app.x', '1', true)",
            "select U&'x', 1",
            "select 1, 'open",
        ] {
            check(text, None);
        }
        let many = format!("select {}", "1,".repeat(LITERALS_MAX + 1));
        check(&many, None);
        check(&format!("select 1{}", " ".repeat(TEXT_BYTES_MAX)), None);
    }
}
