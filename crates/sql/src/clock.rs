//! Text that means the time of day when a date or time is read from it.

/// Whether a literal or bound value would mean the clock as date or time input.
///
/// True if it holds `now`, `today`, `tomorrow` or `yesterday` as a word in any case. Longer text
/// than the server reads as one date or time never does, unless it could be an array, range, row
/// or JSON document of several, in text or in binary. In such a one, quotes and backslashes are left out:
/// `{n\ow}` and `(n"o"w)` are an array and a row that hold `now`.
pub fn names_clock(value: &[u8]) -> bool {
    let value = value.trim_ascii();
    // In binary all of these begin with a small number.
    let compound = matches!(value.first(), Some(b'{' | b'[' | b'(' | 0..=0x1f));
    if value.len() < 3 || (value.len() > DATE_BYTES_MAX && !compound) {
        return false;
    }
    if !may_name_clock(value) {
        return false;
    }
    let is_clock = |word: &[u8]| WORDS.iter().any(|it| word.eq_ignore_ascii_case(it));
    if compound && memchr::memchr2(b'"', b'\\', value).is_some() {
        return value
            .split(|&byte| !byte.is_ascii_alphabetic() && !is_quote(byte))
            .any(|quoted| is_clock_unquoted(quoted, is_clock));
    }
    value
        .split(|byte| !byte.is_ascii_alphabetic())
        .any(is_clock)
}

const fn is_quote(byte: u8) -> bool {
    matches!(byte, b'"' | b'\\')
}

/// Whether letters are such a word without the quotes among them.
fn is_clock_unquoted(quoted: &[u8], is_clock: impl Fn(&[u8]) -> bool) -> bool {
    let mut word = [0; LONGEST];
    let mut length = 0;
    for &letter in quoted.iter().filter(|&&byte| !is_quote(byte)) {
        let Some(place) = word.get_mut(length) else {
            return false;
        };
        *place = letter;
        length += 1;
    }
    word.get(..length).is_some_and(is_clock)
}

/// Whether a value has a letter that each of the words has: few dates have one, and no number.
fn may_name_clock(value: &[u8]) -> bool {
    if value.len() <= SHORT {
        return value.iter().any(|byte| matches!(byte | 0x20, b'o' | b'y'));
    }
    memchr::memchr2(b'o', b'O', value).is_some() || memchr::memchr2(b'y', b'Y', value).is_some()
}

/// Whether a path for JSON may make times of day, of which some have a zone and others none.
pub(crate) fn path_names_clock(path: &[u8]) -> bool {
    // An escape may spell a letter. Methods have parentheses, perhaps behind a comment.
    if memchr::memchr(b'\\', path).is_some() {
        return true;
    }
    if memchr::memchr(b'(', path).is_none() {
        return false;
    }
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let mut rest = path;
    while let Some(start) = rest.iter().position(is_word) {
        rest = rest.get(start..).unwrap_or_default();
        let length = rest.iter().position(|byte| !is_word(byte));
        let (word, behind) = rest.split_at(length.unwrap_or(rest.len()));
        let called = matches!(behind.trim_ascii_start(), [b'(' | b'/', ..]);
        let method = |name: &&[u8]| word.eq_ignore_ascii_case(name);
        if called && TIMES.iter().any(method) {
            return true;
        }
        rest = behind;
    }
    false
}

/// Methods of a path that make times of day.
const TIMES: [&[u8]; 3] = [b"datetime", b"time", b"time_tz"];

/// What is shorter, in bytes, is looked through sooner than a search by vectors begins.
const SHORT: usize = 32;

/// `MAXDATELEN` of the server.
const DATE_BYTES_MAX: usize = 128;

/// The longest of the words, in bytes.
const LONGEST: usize = 9;

const WORDS: [&[u8]; 4] = [b"now", b"today", b"tomorrow", b"yesterday"];

#[cfg(test)]
mod tests {
    use super::*;

    fn check(value: &str, expected: bool) {
        assert_eq!(names_clock(value.as_bytes()), expected, "{value}");
    }

    #[test]
    fn finds_the_clock_as_a_word() {
        for value in [
            "now",
            " NOW ",
            "Today",
            "tomorrow 12:00",
            "yesterday",
            "{today,2024-01-01}",
            "[now,infinity)",
            "{\"at\": \"now\"}",
            "now1",
            r"{n\ow}",
            r#"{"2024-01-01",n"o"w}"#,
            r#"(1,"to\day")"#,
            r#"[2024-01-01,"n""o""w")"#,
            r#"{"(1,\"t\\omorrow\")"}"#,
        ] {
            check(value, true);
        }
        for padding in 0..80 {
            check(&format!("{}YESTERDAY", " ".repeat(padding)), true);
            check(&format!("{{{}now}}", "1,".repeat(padding)), true);
        }
        check(&format!("{{{}now}}", "2024-01-01,".repeat(30)), true);
        let binary = |word: &str| format!("\0\0\0\u{3}{word}");
        check(
            &format!("{}{}", binary("abc").repeat(30), binary("now")),
            true,
        );
    }

    #[test]
    fn paths_that_make_times_of_day_are_found() {
        for path in [
            "$.at.datetime()",
            "$ ? (@.at.TIME_TZ() < $x)",
            "$.time ( )",
            "$.time/**/()",
            r"$.d\u0061tetime()",
        ] {
            assert!(path_names_clock(path.as_bytes()), "{path}");
        }
        for path in [
            "$.time",
            "$.a ? (@.time == 1)",
            "$.at.timestamp()",
            "$.at.date()",
            "",
        ] {
            assert!(!path_names_clock(path.as_bytes()), "{path}");
        }
    }

    #[test]
    fn other_text_does_not_name_it() {
        for value in [
            "",
            "no",
            "nowhere",
            "knowing",
            "2024-01-01",
            "monday",
            "allballs",
            "known",
            r"n\ow",
            r#"{"k\now":"no","w":1}"#,
            r#"{"yesterdays":"\"to\" \"day\""}"#,
        ] {
            check(value, false);
        }
        check(&format!("now {}", "x".repeat(200)), false);
    }
}
