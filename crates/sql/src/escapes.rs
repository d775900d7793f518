//! What literals with escapes stand for.
//!
//! Only their letters matter here. Characters beyond ASCII become spaces, as do those that nobody sees.

/// The value of `E'…'`, given what stands between its quotes; `None` for what the server refuses.
///
/// A backslash before any other character is left out: `E'n\ow'` is `now` (`scan.l`).
pub(crate) fn escaped(inner: &[u8]) -> Option<Vec<u8>> {
    let mut plain = Vec::with_capacity(inner.len());
    let mut rest = inner;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'\\' {
            plain.push(byte);
            continue;
        }
        let (&kind, after) = rest.split_first()?;
        match kind {
            b'0'..=b'7' => plain.push(number(&mut rest, 8, 3).to_le_bytes()[0]),
            b'u' | b'U' => {
                rest = after;
                let digits = if kind == b'u' { 4 } else { 8 };
                plain.push(character(&mut rest, digits)?);
            }
            b'x' if after.first().is_some_and(u8::is_ascii_hexdigit) => {
                rest = after;
                plain.push(number(&mut rest, 16, 2).to_le_bytes()[0]);
            }
            other => {
                rest = after;
                let blank = matches!(other, b'b' | b'f' | b'n' | b'r' | b't' | b'v');
                plain.push(if blank { b' ' } else { other });
            }
        }
    }
    Some(plain)
}

/// The value of `U&'…'`, whose escapes begin with a backslash.
pub(crate) fn unicode(inner: &[u8]) -> Option<Vec<u8>> {
    let mut plain = Vec::with_capacity(inner.len());
    let mut rest = inner;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'\\' {
            plain.push(byte);
            continue;
        }
        match rest {
            [b'\\', after @ ..] => {
                rest = after;
                plain.push(b'\\');
            }
            [b'+', after @ ..] => {
                rest = after;
                plain.push(character(&mut rest, 6)?);
            }
            _ => plain.push(character(&mut rest, 4)?),
        }
    }
    Some(plain)
}

/// A character by so many hexadecimal digits.
fn character(rest: &mut &[u8], digits: usize) -> Option<u8> {
    let written = rest.get(..digits)?;
    written.iter().all(u8::is_ascii_hexdigit).then_some(())?;
    let code = number(rest, 16, digits);
    Some(u8::try_from(code).ok().filter(u8::is_ascii).unwrap_or(b' '))
}

/// At most so many digits.
fn number(rest: &mut &[u8], radix: u32, digits: usize) -> u32 {
    let mut value = 0_u32;
    for _ in 0..digits {
        let Some((&byte, after)) = rest.split_first() else {
            break;
        };
        let Some(digit) = char::from(byte).to_digit(radix) else {
            break;
        };
        value = value.wrapping_mul(radix).wrapping_add(digit);
        *rest = after;
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_read_as_the_server_reads_them() {
        let check = |inner: &str, expected: Option<&str>| {
            let found = escaped(inner.as_bytes());
            assert_eq!(found.as_deref(), expected.map(str::as_bytes), "{inner}");
        };
        check(r"n\ow", Some("now"));
        check(r"\tnow\r\n", Some(" now  "));
        check(r"\\\'\x", Some(r"\'x"));
        check(r"\156\157w\7", Some("now\u{7}"));
        check(r"\x6eo\x7", Some("no\u{7}"));
        check(r"\u006eo\U00000077\u00e9", Some("now "));
        check(r"a''b", Some("a''b"));
        for refused in [r"\u00", r"\U0000006", r"\u00zz", "\\"] {
            check(refused, None);
        }
    }

    #[test]
    fn code_points_are_read_as_the_server_reads_them() {
        let check = |inner: &str, expected: Option<&str>| {
            let found = unicode(inner.as_bytes());
            assert_eq!(found.as_deref(), expected.map(str::as_bytes), "{inner}");
        };
        check(r"\006e\+00006fw", Some("now"));
        check(r"caf\00e9 \\", Some(r"caf  \"));
        for refused in [r"\0", r"\+0000", r"\n", "\\"] {
            check(refused, None);
        }
    }
}
