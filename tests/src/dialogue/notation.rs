//! Dialogues as text: one line a burst, messages with commas between them.
//!
//! ```text
//! # why this is kept
//! a> Parse "s" "SELECT v FROM r WHERE id = $1" 23, Bind "" "s" "1", Execute "", Sync
//! b> Bind "p" "s" formats:b x00000001 null results:tb
//! ```

use std::fmt;

use anyhow::{Context, Result, bail, ensure};

use super::{Burst, Dialogue, Say};
use crate::wire::Format;

impl fmt::Display for Dialogue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for burst in &self.0 {
            let says: Vec<_> = burst.says.iter().map(Say::to_string).collect();
            writeln!(f, "{}> {}", burst.who, says.join(", "))?;
        }
        Ok(())
    }
}

impl fmt::Display for Say {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Query(text) => write!(f, "Query {text:?}"),
            Self::Parse { name, text, types } => {
                write!(f, "Parse {name:?} {text:?}")?;
                types.iter().try_for_each(|kind| write!(f, " {kind}"))
            }
            Self::Bind {
                portal,
                statement,
                formats,
                values,
                results,
            } => {
                write!(f, "Bind {portal:?} {statement:?}")?;
                if !formats.is_empty() {
                    write!(f, " formats:{}", letters(formats))?;
                }
                values
                    .iter()
                    .try_for_each(|value| show_value(f, value.as_deref()))?;
                if !results.is_empty() {
                    write!(f, " results:{}", letters(results))?;
                }
                Ok(())
            }
            Self::DescribeStatement(name) => write!(f, "DescribeStatement {name:?}"),
            Self::DescribePortal(name) => write!(f, "DescribePortal {name:?}"),
            Self::Execute { portal, rows: 0 } => write!(f, "Execute {portal:?}"),
            Self::Execute { portal, rows } => write!(f, "Execute {portal:?} {rows}"),
            Self::CloseStatement(name) => write!(f, "CloseStatement {name:?}"),
            Self::ClosePortal(name) => write!(f, "ClosePortal {name:?}"),
            Self::Flush => f.write_str("Flush"),
            Self::Sync => f.write_str("Sync"),
            Self::CopyData(text) => write!(f, "CopyData {text:?}"),
            Self::CopyDone => f.write_str("CopyDone"),
            Self::CopyFail(why) => write!(f, "CopyFail {why:?}"),
            Self::Call(function, arguments) => {
                write!(f, "Call {function}")?;
                arguments.iter().try_for_each(|text| write!(f, " {text:?}"))
            }
        }
    }
}

fn letters(formats: &[Format]) -> String {
    let letter = |format: &Format| match format {
        Format::Text => 't',
        Format::Binary => 'b',
    };
    formats.iter().map(letter).collect()
}

fn show_value(f: &mut fmt::Formatter<'_>, value: Option<&[u8]>) -> fmt::Result {
    let Some(bytes) = value else {
        return f.write_str(" null");
    };
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.contains('\0') => write!(f, " {text:?}"),
        Ok(_) | Err(_) => {
            f.write_str(" x")?;
            bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
        }
    }
}

/// Reads what [`Dialogue`] displays as; empty lines and those that begin with `#` are passed over.
pub fn read(text: &str) -> Result<Dialogue> {
    let spoken = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    let burst = |line: &str| {
        let (who, rest) = line.split_once('>').context("no `a>` in front")?;
        let who = who.chars().next().context("nobody speaks")?;
        let mut says = Vec::new();
        for words in tokens(rest)?.split(|token| *token == Token::Comma) {
            says.push(say(words)?);
        }
        anyhow::Ok(Burst { who, says })
    };
    let bursts = spoken.map(|line| burst(line).with_context(|| line.to_owned()));
    Ok(Dialogue(bursts.collect::<Result<_>>()?))
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Token {
    Word(String),
    Quoted(String),
    Comma,
}

fn tokens(line: &str) -> Result<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut rest = line.trim_start();
    while let Some(first) = rest.chars().next() {
        if first == ',' {
            tokens.push(Token::Comma);
            rest = &rest[1..];
        } else if first == '"' {
            let (text, after) = quoted(&rest[1..])?;
            tokens.push(Token::Quoted(text));
            rest = after;
        } else {
            let end = rest.find([' ', ',']).unwrap_or(rest.len());
            tokens.push(Token::Word(rest[..end].to_owned()));
            rest = &rest[end..];
        }
        rest = rest.trim_start();
    }
    Ok(tokens)
}

/// A text behind its opening quote, with the escapes that Rust shows, and what follows it.
fn quoted(text: &str) -> Result<(String, &str)> {
    let mut out = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Ok((out, &text[at + 1..])),
            '\\' => match chars.next().map(|(_, c)| c) {
                Some('n') => out.push('\n'),
                Some('t') => out.push('\t'),
                Some('r') => out.push('\r'),
                Some('0') => out.push('\0'),
                Some('u') => {
                    let code: String = chars
                        .by_ref()
                        .map(|(_, c)| c)
                        .skip_while(|&c| c == '{')
                        .take_while(|&c| c != '}')
                        .collect();
                    let code = u32::from_str_radix(&code, 16)?;
                    out.push(char::from_u32(code).context("no such character")?);
                }
                Some(other) => out.push(other),
                None => break,
            },
            other => out.push(other),
        }
    }
    bail!("a quote does not end")
}

fn say(tokens: &[Token]) -> Result<Say> {
    let Some((Token::Word(kind), rest)) = tokens.split_first() else {
        bail!("no message in {tokens:?}");
    };
    let text = |index: usize| match rest.get(index) {
        Some(Token::Quoted(text)) => Ok(text.clone()),
        other => bail!("{kind}: a quoted text instead of {other:?}"),
    };
    let number = |token: &Token| match token {
        Token::Word(word) => Ok(word.parse::<u32>()?),
        Token::Quoted(_) | Token::Comma => bail!("{kind}: a number instead of {token:?}"),
    };
    Ok(match &**kind {
        "Query" => Say::Query(text(0)?),
        "Parse" => Say::Parse {
            name: text(0)?,
            text: text(1)?,
            types: rest[2..].iter().map(number).collect::<Result<_>>()?,
        },
        "Bind" => bind(text(0)?, text(1)?, &rest[2..])?,
        "DescribeStatement" => Say::DescribeStatement(text(0)?),
        "DescribePortal" => Say::DescribePortal(text(0)?),
        "Execute" => Say::Execute {
            portal: text(0)?,
            rows: rest.get(1).map_or(Ok(0), number)?,
        },
        "CloseStatement" => Say::CloseStatement(text(0)?),
        "ClosePortal" => Say::ClosePortal(text(0)?),
        "Flush" => Say::Flush,
        "Sync" => Say::Sync,
        "CopyData" => Say::CopyData(text(0)?),
        "CopyDone" => Say::CopyDone,
        "CopyFail" => Say::CopyFail(text(0)?),
        "Call" => {
            let arguments = (1..rest.len()).map(text).collect::<Result<_>>()?;
            Say::Call(number(rest.first().context("no function")?)?, arguments)
        }
        other => bail!("no message is called {other}"),
    })
}

fn bind(portal: String, statement: String, rest: &[Token]) -> Result<Say> {
    let (mut formats, mut values, mut results) = (Vec::new(), Vec::new(), Vec::new());
    for token in rest {
        match token {
            Token::Quoted(text) => values.push(Some(text.clone().into_bytes())),
            Token::Word(word) if word == "null" => values.push(None),
            Token::Word(word) => {
                if let Some(codes) = word.strip_prefix("formats:") {
                    formats = formats_of(codes)?;
                } else if let Some(codes) = word.strip_prefix("results:") {
                    results = formats_of(codes)?;
                } else {
                    let hex = word
                        .strip_prefix('x')
                        .context("neither value nor formats")?;
                    ensure!(hex.len().is_multiple_of(2), "half a byte in {word}");
                    let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16);
                    let bytes = (0..hex.len()).step_by(2).map(byte);
                    values.push(Some(bytes.collect::<Result<_, _>>()?));
                }
            }
            Token::Comma => bail!("a comma in a message"),
        }
    }
    Ok(Say::Bind {
        portal,
        statement,
        formats,
        values,
        results,
    })
}

fn formats_of(letters: &str) -> Result<Vec<Format>> {
    let format = |letter| match letter {
        't' => Ok(Format::Text),
        'b' => Ok(Format::Binary),
        other => bail!("no format is called {other}"),
    };
    letters.chars().map(format).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{dialogue::generate, random::Random};

    #[test]
    fn what_is_written_is_read_again() {
        for seed in 0..300 {
            let dialogue = generate::dialogue(&mut Random::new(seed));
            let text = dialogue.to_string();
            assert_eq!(read(&text).unwrap(), dialogue, "{text}");
        }
    }
}
