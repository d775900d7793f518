//! Literals whose values depend on settings.

use crate::scan::{Kind, lexemes};
use crate::tokens::{is_any, is_word};

/// Whether a text may hold a literal that is read as settings have it.
pub fn has_formed_literals(text: &[u8]) -> bool {
    let mut tested = false;
    lexemes(text)
        .filter(|lexeme| !lexeme.kind.is_blank())
        .any(|lexeme| {
            let string = lexeme.kind.is_string() && is_formed(lexeme.bytes);
            // By a setting, `= NULL` means IS NULL.
            let null = is_word(&lexeme, "null") && !tested;
            tested = is_any(&lexeme, &["is", "not"]);
            string || null || lexeme.kind == Kind::Unterminated
        })
}

/// The same for a string with its quotes. Dates, times, intervals and amounts of money have digits,
/// and so have escapes of these; in an array, NULL may be a text.
pub fn is_formed(string: &[u8]) -> bool {
    let formed = |byte: &u8| byte.is_ascii_digit() || *byte == b'{';
    string.iter().any(formed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_tests_for_null_do_not_depend_on_settings() {
        for formed in [
            "select '2024-01-01'",
            "select date '01/02/2024'",
            "select $$1 day$$",
            r"select e'\x31'",
            r"select u&'\0031'",
            "select '{NULL}'::text[]",
            "select a = null",
            "select NULL = a",
            "select 'never ended",
        ] {
            assert!(has_formed_literals(formed.as_bytes()), "{formed}");
        }
        for plain in [
            "select 1, $1, a2, \"b3\" -- '4'",
            "select 'active', $$word$$, N'x'",
            "select a is null, a is not null, a IS /* 1 */ NULL, nullif(a, b)",
            "select a from t order by a nulls last",
        ] {
            assert!(!has_formed_literals(plain.as_bytes()), "{plain}");
        }
    }
}
