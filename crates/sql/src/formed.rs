//! Literals whose values depend on settings.

use crate::scan::{Kind, lexemes};
use crate::tokens::{is_any, is_word};

/// Whether a text may hold a literal that is read as settings have it, or from which the server computes
/// beforehand what is written as they have it.
pub fn has_formed_literals(text: &[u8]) -> bool {
    let mut tested = false;
    lexemes(text)
        .filter(|lexeme| !lexeme.kind.is_blank())
        .any(|lexeme| {
            // By a setting, `= NULL` means IS NULL.
            let null = is_word(&lexeme, "null") && !tested;
            tested = is_any(&lexeme, &["is", "not"]);
            // In one encoding or another, with escapes or without, as `bytea` and then as text again.
            let string = lexeme.kind.is_string() || lexeme.kind == Kind::Unterminated;
            // As digits of a float, and then as text.
            let fraction = lexeme.kind == Kind::Number && lexeme.bytes.contains(&b'.');
            string || null || fraction
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_tests_for_null_do_not_depend_on_settings() {
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
            "select 'active'",
            r"select 'a\nb'",
            "select 'ä'",
            "select 'abc'::bytea::text",
            "select (1/3.0)::float8::text",
        ] {
            assert!(has_formed_literals(formed.as_bytes()), "{formed}");
        }
        for plain in [
            "select 1, $1, a2, \"b3\" -- '4'",
            "select a is null, a is not null, a IS /* 1 */ NULL, nullif(a, b)",
            "select a from t order by a nulls last",
        ] {
            assert!(!has_formed_literals(plain.as_bytes()), "{plain}");
        }
    }
}
