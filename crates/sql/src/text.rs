//! Which bytes of a text carry meaning, and what a leading comment asks for.
//!
//! Invariant: two texts with the same significant text mean the same to the server. What looks
//! odd stays as it is; that costs a hit, never a wrong one.

use std::borrow::Cow;

use crate::scan::{Kind, Lexeme, is_ambiguous, is_space, lexemes};

/// The text without surrounding white space and without comments that carry no meaning.
///
/// A comment becomes one space, so that no two tokens grow together. Hints (`/*+ … */`) stay.
/// Borrowed when there was no comment.
pub fn significant_text(text: &[u8]) -> Cow<'_, [u8]> {
    let text = trimmed(text);
    if !may_hold_comment(text) {
        return Cow::Borrowed(text);
    }
    match without_comments(text) {
        Some(stripped) => Cow::Owned(stripped),
        None => Cow::Borrowed(text),
    }
}

/// The highest number of a parameter that a text names; 0 if it names none.
pub fn last_parameter(text: &[u8]) -> u16 {
    let parameters = lexemes(text).filter(|lexeme| lexeme.kind == Kind::Parameter);
    let number = |lexeme: Lexeme<'_>| {
        let digits = std::str::from_utf8(lexeme.bytes.get(1..)?).ok()?;
        digits.parse().ok()
    };
    parameters.filter_map(number).max().unwrap_or(0)
}

/// Whether characters beyond ASCII stand where they could be part of a name: anywhere but in strings
/// and comments.
pub fn has_foreign_names(text: &[u8]) -> bool {
    let inside = |kind: Kind| kind.is_blank() || matches!(kind, Kind::String | Kind::Escape);
    lexemes(text).any(|lexeme| !inside(lexeme.kind) && !lexeme.bytes.is_ascii())
}

/// Whether a comment before the first token is `/* pgmemo: nocache */`.
pub fn has_nocache_hint(text: &[u8]) -> bool {
    let text = trimmed(text);
    if !text.starts_with(b"/*") && !text.starts_with(b"--") {
        return false;
    }
    lexemes(text)
        .take_while(|lexeme| lexeme.kind.is_blank())
        .any(|lexeme| is_nocache(&lexeme))
}

fn is_nocache(comment: &Lexeme<'_>) -> bool {
    let body = if comment.kind == Kind::BlockComment {
        comment.bytes.strip_suffix(b"*/").unwrap_or_default()
    } else {
        comment.bytes
    };
    let Some((name, wish)) = body
        .get(2..)
        .and_then(|body| body.split_at_checked(body.iter().position(|&byte| byte == b':')?))
    else {
        return false;
    };
    let wish = wish.get(1..).unwrap_or_default();
    name.trim_ascii().eq_ignore_ascii_case(b"pgmemo")
        && wish.trim_ascii().eq_ignore_ascii_case(b"nocache")
}

fn trimmed(text: &[u8]) -> &[u8] {
    let start = text.iter().position(|&byte| !is_space(byte));
    let end = text.iter().rposition(|&byte| !is_space(byte));
    match (start, end) {
        (Some(start), Some(end)) => text.get(start..=end).unwrap_or(text),
        _ => &[],
    }
}

/// Looks for `--` and `/*` alone, without asking what they stand in.
fn may_hold_comment(text: &[u8]) -> bool {
    memchr::memchr2_iter(b'-', b'/', text)
        .any(|at| matches!(text.get(at..at + 2), Some(b"--" | b"/*")))
}

/// `None` if anything is odd, or if nothing would change.
fn without_comments(text: &[u8]) -> Option<Vec<u8>> {
    let mut kept = Vec::with_capacity(text.len());
    let mut changed = false;
    // A string goes on after white space with a line break, and after nothing else. Dropping a
    // comment there could turn a syntax error into a string.
    let mut after_string = false;
    let mut dropped_after_string = false;
    for lexeme in lexemes(text) {
        if lexeme.kind == Kind::Unterminated || is_ambiguous(&lexeme) {
            return None;
        }
        let hint = lexeme.bytes.starts_with(b"/*+");
        if lexeme.kind == Kind::Space {
            kept.extend_from_slice(lexeme.bytes);
        } else if lexeme.kind.is_blank() && !hint {
            kept.push(b' ');
            (changed, dropped_after_string) = (true, after_string);
        } else {
            if dropped_after_string && lexeme.bytes.starts_with(b"'") {
                return None;
            }
            after_string = lexeme.bytes.ends_with(b"'") && lexeme.kind != Kind::Dollar;
            dropped_after_string = false;
            kept.extend_from_slice(lexeme.bytes);
        }
    }
    changed.then(|| trimmed(&kept).to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_counted_where_they_are_some() {
        for (text, last) in [
            ("select 1", 0),
            ("select $2 + $1", 2),
            ("select '$7', \"$8\", $$ $9 $$ /* $5 */ -- $6\n, $12", 12),
            ("select $99999999", 0),
        ] {
            assert_eq!(last_parameter(text.as_bytes()), last, "{text}");
        }
    }

    fn check(text: &str, expected: &str) {
        let found = significant_text(text.as_bytes());
        assert_eq!(std::str::from_utf8(&found).unwrap(), expected, "{text}");
    }

    #[test]
    fn comments_become_one_space() {
        check("select 1 /* trace=1 */", "select 1");
        check("/* trace=1 */select/*x*/1", "select 1");
        check("select 1 -- x\n from t -- y", "select 1  \n from t");
        check("select a/* /* */ */-b", "select a -b");
        check("select 1 -/**/- 2", "select 1 - - 2");
        check("  select 1 ;\n", "select 1 ;");
        check("", "");
        check("  ", "");
        check("/* only */", "");
    }

    #[test]
    fn literals_keep_what_looks_like_a_comment() {
        for text in [
            "SELECT '/*x*/'",
            "SELECT ' a  b'",
            "SELECT 'it''s -- no'",
            "SELECT $$ /* $$",
            r"SELECT E'\'--'",
            "SELECT U&\"d\\0061t/**/\"",
            "SELECT \"--\"",
            "SELECT a/b - -1",
        ] {
            check(text, text);
        }
        check("SELECT E'\\'--' --x", "SELECT E'\\'--'");
        check("SELECT '\\d' --x", "SELECT '\\d'");
    }

    #[test]
    fn what_is_odd_stays() {
        for text in [
            // Ends elsewhere when backslashes escape.
            r"SELECT '\' /* x */, ' */'",
            "SELECT 'a' /* x */ \n 'b'",
            "SELECT 'a' -- x\n 'b'",
            "SELECT 1 /* open",
            "SELECT 'open /* x */",
            "/*+ SeqScan(t) */ SELECT 1",
        ] {
            check(text, text);
        }
        check(
            "/*+ SeqScan(t) */ SELECT /* x */ 1",
            "/*+ SeqScan(t) */ SELECT   1",
        );
    }

    #[test]
    fn text_without_a_comment_is_borrowed() {
        let borrowed =
            |text: &'static str| matches!(significant_text(text.as_bytes()), Cow::Borrowed(_));
        assert!(borrowed(" select a - b / c from t "));
        assert!(!borrowed("select 1 /**/ + 1"));
    }

    #[test]
    fn only_a_leading_comment_is_a_hint() {
        let check = |text: &str, expected| {
            assert_eq!(has_nocache_hint(text.as_bytes()), expected, "{text}");
        };
        check("/* pgmemo: nocache */ select 1", true);
        check(" /*x*/ /*PGMEMO:NoCache*/ select 1", true);
        check("-- pgmemo: nocache\nselect 1", true);
        check("/*+ pgmemo: nocache */ select 1", false);
        check("select 1 /* pgmemo: nocache */", false);
        check("/* pgmemo: nocaches */ select 1", false);
        check("/* pgmemo: nocache", false);
        check("select '/* pgmemo: nocache */'", false);
    }
}
