//! Cuts text into lexemes as PostgreSQL's `scan.l` does, comments and white space included.
//!
//! Invariant: the lexemes of a text follow each other without a gap, so that their concatenation
//! is the text. What cannot be cut is one [`Kind::Unterminated`] up to the end.
//!
//! Assumes `standard_conforming_strings = on`; a string that would end elsewhere without it is
//! told by [`is_ambiguous`].

/// What a lexeme is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    /// White space.
    Space,
    /// `-- …`, without the line's end.
    LineComment,
    /// `/* … */`, nested ones included.
    BlockComment,
    /// An identifier or keyword without quotes.
    Word,
    /// `"…"`
    Quoted,
    /// `'…'`, also `N'…'`.
    String,
    /// `E'…'`
    Escape,
    /// `B'…'`, `X'…'`
    Bits,
    /// `U&'…'`, `U&"…"`
    Unicode,
    /// `$tag$…$tag$`
    Dollar,
    /// A number.
    Number,
    /// `$1`
    Parameter,
    /// A run of operator characters.
    Operator,
    /// Any other single byte, such as `(`.
    Mark(u8),
    /// A literal, quoted identifier or comment that does not end.
    Unterminated,
}

impl Kind {
    /// Whether the grammar never sees it.
    pub(crate) const fn is_blank(self) -> bool {
        matches!(self, Self::Space | Self::LineComment | Self::BlockComment)
    }

    /// Whether it is a character literal of any form.
    pub(crate) const fn is_string(self) -> bool {
        matches!(
            self,
            Self::String | Self::Escape | Self::Unicode | Self::Dollar
        )
    }
}

/// A piece of text.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Lexeme<'a> {
    /// What it is.
    pub(crate) kind: Kind,
    /// Where it begins in the text, in bytes.
    pub(crate) start: usize,
    /// Its bytes, quotes included.
    pub(crate) bytes: &'a [u8],
}

impl Lexeme<'_> {
    /// Where it ends in the text, in bytes.
    pub(crate) const fn end(&self) -> usize {
        self.start + self.bytes.len()
    }
}

/// The lexemes of a text.
pub(crate) fn lexemes(text: &[u8]) -> Lexemes<'_> {
    Lexemes { text, at: 0 }
}

/// See [`lexemes`].
pub(crate) struct Lexemes<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Iterator for Lexemes<'a> {
    type Item = Lexeme<'a>;

    fn next(&mut self) -> Option<Lexeme<'a>> {
        let start = self.at;
        let rest = self.text.get(start..).filter(|rest| !rest.is_empty())?;
        let (kind, length) = first(rest).unwrap_or((Kind::Unterminated, rest.len()));
        let bytes = rest.get(..length).unwrap_or(rest);
        self.at = start + bytes.len();
        Some(Lexeme { kind, start, bytes })
    }
}

/// Whether a plain string ends elsewhere when backslashes escape.
pub(crate) fn is_ambiguous(lexeme: &Lexeme<'_>) -> bool {
    lexeme.kind == Kind::String && lexeme.bytes.windows(2).any(|pair| pair == b"\\'")
}

/// The kind and length of the first lexeme of a text that is not empty; `None` if it has no end.
fn first(text: &[u8]) -> Option<(Kind, usize)> {
    let byte = |index: usize| text.get(index).copied().unwrap_or(0);
    match OPENINGS.get(usize::from(byte(0))) {
        Some(Opening::Space) => return Some((Kind::Space, run(text, may_be_space))),
        Some(Opening::Word) => return Some((Kind::Word, word(text))),
        Some(Opening::Mark) => return Some((Kind::Mark(byte(0)), 1)),
        Some(Opening::Open) | None => {}
    }
    match byte(0) {
        b'-' if byte(1) == b'-' => Some((
            Kind::LineComment,
            run(text, |byte| byte != b'\n' && byte != b'\r'),
        )),
        b'/' if byte(1) == b'*' => Some((Kind::BlockComment, block_comment(text)?)),
        b'\'' => Some((Kind::String, quoted(text, 0, b'\'')?)),
        b'"' => Some((Kind::Quoted, quoted(text, 0, b'"')?)),
        b'e' | b'E' if byte(1) == b'\'' => Some((Kind::Escape, escaped(text)?)),
        b'n' | b'N' if byte(1) == b'\'' => Some((Kind::String, quoted(text, 1, b'\'')?)),
        b'b' | b'B' | b'x' | b'X' if byte(1) == b'\'' => {
            Some((Kind::Bits, quoted(text, 1, b'\'')?))
        }
        b'u' | b'U' if byte(1) == b'&' && matches!(byte(2), b'\'' | b'"') => {
            Some((Kind::Unicode, quoted(text, 2, byte(2))?))
        }
        letter if is_word_start(letter) => Some((Kind::Word, word(text))),
        b'$' if byte(1).is_ascii_digit() => {
            let digits = run(text.get(1..)?, |byte| byte.is_ascii_digit());
            Some((Kind::Parameter, 1 + digits))
        }
        b'$' => match dollar_tag(text) {
            Some(tag) => {
                let body = text.get(tag.len()..)?;
                let end = memchr::memmem::find(body, tag)?;
                Some((Kind::Dollar, end + 2 * tag.len()))
            }
            None => Some((Kind::Mark(b'$'), 1)),
        },
        digit if digit.is_ascii_digit() || (digit == b'.' && byte(1).is_ascii_digit()) => {
            Some((Kind::Number, number(text)))
        }
        operator if is_operator(operator) => Some((Kind::Operator, operator_length(text))),
        other => Some((Kind::Mark(other), 1)),
    }
}

/// What a byte opens, where it says so alone.
#[derive(Clone, Copy)]
enum Opening {
    Space,
    Word,
    Mark,
    /// What follows decides.
    Open,
}

/// Most lexemes are told by their first byte, and this runs over every text.
#[expect(clippy::indexing_slicing, reason = "a byte is no more than 255")]
const OPENINGS: [Opening; 256] = {
    let mut openings = [Opening::Open; 256];
    let mut byte = u8::MIN;
    loop {
        openings[byte as usize] = match byte {
            b'b' | b'B' | b'e' | b'E' | b'n' | b'N' | b'u' | b'U' | b'x' | b'X' => Opening::Open,
            b'(' | b')' | b',' | b';' | b'[' | b']' => Opening::Mark,
            space if may_be_space(space) => Opening::Space,
            letter if is_word_start(letter) => Opening::Word,
            _ => Opening::Open,
        };
        if byte == u8::MAX {
            break openings;
        }
        byte += 1;
    }
};

#[expect(clippy::indexing_slicing, reason = "a byte is no more than 255")]
const WORD_PARTS: [bool; 256] = {
    let mut parts = [false; 256];
    let mut byte = u8::MIN;
    loop {
        parts[byte as usize] = is_word_part(byte);
        if byte == u8::MAX {
            break parts;
        }
        byte += 1;
    }
};

/// The length of a word.
fn word(text: &[u8]) -> usize {
    run(text, |byte| {
        WORD_PARTS.get(usize::from(byte)).is_some_and(|&part| part)
    })
}

/// How many leading bytes `belongs` accepts.
fn run(text: &[u8], belongs: impl Fn(u8) -> bool) -> usize {
    text.iter()
        .position(|&byte| !belongs(byte))
        .unwrap_or(text.len())
}

pub(crate) const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | b'\x0c')
}

/// The vertical tab is white space since PostgreSQL 17, and an error before (`scan.l`).
const fn may_be_space(byte: u8) -> bool {
    is_space(byte) || byte == b'\x0b'
}

const fn is_word_start(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || !byte.is_ascii()
}

const fn is_word_part(byte: u8) -> bool {
    is_word_start(byte) || byte.is_ascii_digit() || byte == b'$'
}

const fn is_operator(byte: u8) -> bool {
    matches!(
        byte,
        b'~' | b'!' | b'@' | b'#' | b'^' | b'&' | b'|' | b'`' | b'?'
    ) || is_arithmetic(byte)
        || byte == b'%'
}

const fn is_arithmetic(byte: u8) -> bool {
    matches!(byte, b'+' | b'-' | b'*' | b'/' | b'<' | b'>' | b'=')
}

/// The length of a nested comment.
fn block_comment(text: &[u8]) -> Option<usize> {
    let mut depth = 0_u32;
    let mut at = 0;
    loop {
        at += memchr::memchr2(b'/', b'*', text.get(at..)?)?;
        match text.get(at..at + 2)? {
            b"/*" => (depth, at) = (depth + 1, at + 2),
            b"*/" => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return Some(at);
        }
    }
}

/// The length of a literal that opens at `opening` and doubles its quote inside.
fn quoted(text: &[u8], opening: usize, quote: u8) -> Option<usize> {
    let mut at = opening + 1;
    loop {
        at += memchr::memchr(quote, text.get(at..)?)? + 1;
        if text.get(at) != Some(&quote) {
            return Some(at);
        }
        at += 1;
    }
}

/// The length of `E'…'`. A string goes on behind a line's end, in the mode in which it began; `None`
/// if backslashes there decide where it ends, which nobody could tell from the rest alone.
fn escaped(text: &[u8]) -> Option<usize> {
    let length = to_quote(text, 2)?;
    let mut end = length;
    while let Some(blank) = to_continuation(text.get(end..)?) {
        let start = end + blank + 1;
        end = to_quote(text, start)?;
        if text.get(start..end)?.contains(&b'\\') {
            return None;
        }
    }
    Some(length)
}

/// How far it is to the quote with which a string goes on (`quotecontinue` in `scan.l`).
fn to_continuation(text: &[u8]) -> Option<usize> {
    let (mut at, mut on_another_line) = (0, false);
    loop {
        match text.get(at)? {
            b'\n' | b'\r' => on_another_line = true,
            &space if may_be_space(space) => {}
            b'-' if text.get(at + 1) == Some(&b'-') => {
                at += run(text.get(at..)?, |byte| !matches!(byte, b'\n' | b'\r'));
                continue;
            }
            b'\'' if on_another_line => return Some(at),
            _ => return None,
        }
        at += 1;
    }
}

/// Where a string of which `at` is the inside ends if backslashes escape.
fn to_quote(text: &[u8], mut at: usize) -> Option<usize> {
    loop {
        at += memchr::memchr2(b'\'', b'\\', text.get(at..)?)?;
        let backslash = text.get(at) == Some(&b'\\');
        at += 1;
        if !backslash && text.get(at) != Some(&b'\'') {
            return Some(at);
        }
        at += 1;
    }
}

/// `$$` or `$tag$` at the beginning.
fn dollar_tag(text: &[u8]) -> Option<&[u8]> {
    let name = text.get(1..)?;
    let length = run(name, |byte| is_word_part(byte) && byte != b'$');
    let starts_well = length == 0 || name.first().copied().is_some_and(is_word_start);
    let closed = name.get(length) == Some(&b'$');
    (starts_well && closed).then(|| text.get(..length + 2))?
}

fn number(text: &[u8]) -> usize {
    let mut end = run(text, |byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if text.get(end) == Some(&b'.') && text.get(end + 1) != Some(&b'.') {
        end += 1 + run(text.get(end + 1..).unwrap_or_default(), |byte| {
            byte.is_ascii_alphanumeric() || byte == b'_'
        });
    }
    // `1e-5`: the sign belongs to the number, what follows it as well.
    let exponent = end > 0 && matches!(text.get(end - 1), Some(b'e' | b'E'));
    let hexadecimal = matches!(text.get(1), Some(b'x' | b'X'));
    if exponent && !hexadecimal && matches!(text.get(end), Some(b'+' | b'-')) {
        end += 1 + run(text.get(end + 1..).unwrap_or_default(), |byte| {
            byte.is_ascii_digit() || byte == b'_'
        });
    }
    end
}

/// An operator ends before a comment, and in `+` or `-` only if it has a character that SQL's
/// own operators do not.
fn operator_length(text: &[u8]) -> usize {
    let mut end = run(text, is_operator);
    let symbol = text.get(..end).unwrap_or_default();
    let comment = symbol
        .windows(2)
        .position(|pair| pair == b"--" || pair == b"/*");
    if let Some(comment) = comment {
        end = comment;
    }
    let symbol = text.get(..end).unwrap_or_default();
    if symbol.iter().all(|&byte| is_arithmetic(byte)) {
        while end > 1 && matches!(text.get(end - 1), Some(b'+' | b'-')) {
            end -= 1;
        }
    }
    end.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(text: &str) -> Vec<&str> {
        lexemes(text.as_bytes())
            .filter(|lexeme| lexeme.kind != Kind::Space)
            .map(|lexeme| std::str::from_utf8(lexeme.bytes).unwrap())
            .collect()
    }

    fn check(text: &str, expected: &[&str]) {
        assert_eq!(cut(text), expected, "{text}");
    }

    #[test]
    fn literals_end_where_the_server_ends_them() {
        check("'it''s -- no' x", &["'it''s -- no'", "x"]);
        check(r"E'\'--' x", &[r"E'\'--'", "x"]);
        check(r"e'a''b\\' x", &[r"e'a''b\\'", "x"]);
        check(r"'\' x", &[r"'\'", "x"]);
        check("$$ /* $$ x", &["$$ /* $$", "x"]);
        check("$a$ $b$ $$ $a$x", &["$a$ $b$ $$ $a$", "x"]);
        check("a$b$ 1$$x$$", &["a$b$", "1", "$$x$$"]);
        check(
            "U&\"d\\0061t\" n'x' X'1F'",
            &["U&\"d\\0061t\"", "n'x'", "X'1F'"],
        );
        check("date'x' \"a\"\"b\"", &["date", "'x'", "\"a\"\"b\""]);
        check("'open", &["'open"]);
    }

    #[test]
    fn literals_that_go_on_with_escapes_have_no_end_that_is_told() {
        let open = |text: &str| check(text, &[text]);
        open("E'a'\n'\\'' x --'");
        open("E'a' -- '\r\t'\\'' x --'");
        open("E'a'\n--'\n'b' \n 'c\\''");
        check("E'a'\n'b' x", &["E'a'", "'b'", "x"]);
        check("E'a' '\\' x", &["E'a'", r"'\'", "x"]);
        check("E'a'\n/**/'\\' x", &["E'a'", "/**/", r"'\'", "x"]);
        check("'a'\n'\\' x", &["'a'", r"'\'", "x"]);
        check("E'a'\n--", &["E'a'", "--"]);
    }

    #[test]
    fn comments_nest() {
        check("/* /* */ */ x", &["/* /* */ */", "x"]);
        check("/*/ */x", &["/*/ */", "x"]);
        check("a--b\nc", &["a", "--b", "c"]);
        check("/* /* */ x", &["/* /* */ x"]);
    }

    #[test]
    fn operators_end_where_the_server_ends_them() {
        check("a*-1", &["a", "*", "-", "1"]);
        check("a@-1", &["a", "@-", "1"]);
        check("a+--x", &["a", "+", "--x"]);
        check("a<-b", &["a", "<", "-", "b"]);
        check("a->>b::c", &["a", "->>", "b", ":", ":", "c"]);
        check("1-/**/-2", &["1", "-", "/**/", "-", "2"]);
        check(
            "1e-5+1.5E+2-1..2",
            &["1e-5", "+", "1.5E+2", "-", "1", ".", ".2"],
        );
    }

    #[test]
    fn lexemes_leave_no_gap() {
        for text in [
            "select $1,$x, 'a' -- b",
            "\u{e9}t\u{e9} = E'\\",
            "$",
            "",
            "a/*",
        ] {
            let whole: Vec<u8> = lexemes(text.as_bytes())
                .flat_map(|lexeme| lexeme.bytes.to_vec())
                .collect();
            assert_eq!(whole, text.as_bytes());
        }
    }
}
