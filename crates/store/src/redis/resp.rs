//! Redis's protocol: commands to bytes, and bytes to frames (RESP3).
//!
//! Only whole frames are read. Bulk strings share the buffer they were read from.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use fred::types::Value;

/// A command's name and arguments.
#[derive(Debug)]
pub(super) struct Command {
    name: &'static str,
    words: Vec<Value>,
}

pub(super) fn command(name: &'static str, words: impl IntoIterator<Item = Value>) -> Command {
    Command {
        name,
        words: words.into_iter().collect(),
    }
}

impl Command {
    /// Whether what answers it is sent as a push.
    pub(super) fn is_subscription(&self) -> bool {
        self.name == "SUBSCRIBE"
    }

    /// Appends it as it is sent.
    pub(super) fn encode(&self, buffer: &mut BytesMut) {
        header(buffer, b'*', self.words.len() + 1);
        bulk(buffer, self.name.as_bytes());
        for word in &self.words {
            if let Value::Integer(number) = word {
                bulk(buffer, number.to_string().as_bytes());
            } else {
                bulk(buffer, word.as_bytes().unwrap_or_default());
            }
        }
    }
}

fn bulk(buffer: &mut BytesMut, bytes: &[u8]) {
    header(buffer, b'$', bytes.len());
    buffer.put_slice(bytes);
    buffer.put_slice(b"\r\n");
}

fn header(buffer: &mut BytesMut, kind: u8, count: usize) {
    buffer.put_u8(kind);
    if let Ok(digit @ 0..10) = u8::try_from(count) {
        buffer.put_u8(b'0' + digit);
    } else {
        buffer.put_slice(count.to_string().as_bytes());
    }
    buffer.put_slice(b"\r\n");
}

/// What Redis sends.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Frame {
    /// An answer.
    Value(Value),
    /// An answer that is an error, or holds one.
    Error(String),
    /// What nobody asked for.
    Push(Vec<Value>),
}

/// These bytes are no frames, or too long ones.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Broken;

/// Takes the first frame; or says how many bytes it has at least, if it is not whole.
pub(super) fn decode(buffer: &mut BytesMut) -> Result<Result<Frame, usize>, Broken> {
    let total = match measure(buffer, 0, DEPTH_MAX)? {
        Ok(total) => total,
        Err(least) => return Ok(Err(least)),
    };
    let push = buffer.first() == Some(&b'>');
    let mut frame = buffer.split_to(total).freeze();
    let mut error = None;
    let value = take(&mut frame, &mut error).ok_or(Broken)?;
    Ok(Ok(match (error, value) {
        (Some(error), _) => Frame::Error(error),
        (None, Value::Array(values)) if push => Frame::Push(values),
        (None, value) => Frame::Value(value),
    }))
}

/// Where the frame ends that begins at `at`; or how many bytes there have to be at least.
fn measure(bytes: &[u8], at: usize, depth: u8) -> Result<Result<usize, usize>, Broken> {
    let Some(line) = bytes.get(at..).and_then(line) else {
        let room = bytes.len().saturating_sub(at) <= LINE_MAX;
        return if room {
            Ok(Err(bytes.len() + 1))
        } else {
            Err(Broken)
        };
    };
    let mut end = at + line.len() + 2;
    let (kind, rest) = line.split_first().ok_or(Broken)?;
    let parts = match kind {
        b'+' | b'-' | b':' | b'_' | b'#' | b',' | b'(' => return Ok(Ok(end)),
        b'$' | b'=' | b'!' => {
            let length = count(rest)?;
            end += length.map_or(0, |length| length + 2);
            return Ok(if end <= bytes.len() {
                Ok(end)
            } else {
                Err(end)
            });
        }
        b'*' | b'~' | b'>' => count(rest)?.unwrap_or(0),
        b'%' => 2 * count(rest)?.unwrap_or(0),
        _ => return Err(Broken),
    };
    let depth = depth.checked_sub(1).ok_or(Broken)?;
    for _ in 0..parts {
        match measure(bytes, end, depth)? {
            Ok(next) => end = next,
            Err(least) => return Ok(Err(least)),
        }
    }
    Ok(Ok(end))
}

/// Up to the end of the line, which is not part of it.
fn line(bytes: &[u8]) -> Option<&[u8]> {
    let end = bytes
        .iter()
        .take(LINE_MAX)
        .position(|&byte| byte == b'\r')?;
    (bytes.get(end + 1) == Some(&b'\n')).then(|| bytes.get(..end))?
}

/// A number of bytes or parts; none for what is not there.
fn count(digits: &[u8]) -> Result<Option<usize>, Broken> {
    if digits == b"-1" {
        return Ok(None);
    }
    let count = number(digits)
        .and_then(|count| usize::try_from(count).ok())
        .filter(|&count| count <= LENGTH_MAX);
    count.map(Some).ok_or(Broken)
}

fn number(digits: &[u8]) -> Option<i64> {
    str::from_utf8(digits).ok()?.parse().ok()
}

/// Takes one value of a frame that is whole. The first error in it is put aside.
fn take(bytes: &mut Bytes, error: &mut Option<String>) -> Option<Value> {
    let length = line(bytes)?.len();
    let mut line = bytes.split_to(length);
    bytes.advance(2);
    let kind = line.first().copied()?;
    line.advance(1);
    let mut blob = |line: &[u8]| {
        let blob = count(line).ok()?.map(|length| bytes.split_to(length));
        if blob.is_some() {
            bytes.advance(2);
        }
        Some(blob)
    };
    Some(match kind {
        b'+' | b'(' | b',' => Value::Bytes(line),
        b'-' => fail(&line, error),
        b'!' => fail(&blob(&line)??, error),
        b':' => Value::Integer(number(&line)?),
        b'#' => Value::Boolean(line == "t"),
        b'_' => Value::Null,
        b'$' => blob(&line)?.map_or(Value::Null, Value::Bytes),
        // Four bytes say what kind of text it is.
        b'=' => blob(&line)?
            .and_then(|text| (text.len() >= 4).then(|| text.slice(4..)))
            .map_or(Value::Null, Value::Bytes),
        b'*' | b'~' | b'>' | b'%' => match count(&line).ok()? {
            None => Value::Null,
            Some(parts) => {
                let parts = if kind == b'%' { 2 * parts } else { parts };
                let mut values = Vec::with_capacity(parts.min(bytes.len()));
                for _ in 0..parts {
                    values.push(take(bytes, error)?);
                }
                Value::Array(values)
            }
        },
        _ => return None,
    })
}

fn fail(text: &[u8], error: &mut Option<String>) -> Value {
    error.get_or_insert_with(|| String::from_utf8_lossy(text).into_owned());
    Value::Null
}

/// Bytes of a line, such as an error or a length.
const LINE_MAX: usize = 64 * 1024;

/// Bytes of a string, as Redis itself has it, and parts of a list.
const LENGTH_MAX: usize = 512 << 20;

/// How deep lists lie in one another.
const DEPTH_MAX: u8 = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(bytes: &[u8], expected: Frame) {
        let mut whole = BytesMut::from(bytes);
        whole.extend_from_slice(b"+next\r\n");
        assert_eq!(decode(&mut whole), Ok(Ok(expected)));
        assert_eq!(&whole[..], b"+next\r\n");
        for end in 0..bytes.len() {
            let mut part = BytesMut::from(bytes.get(..end).unwrap());
            let Ok(Err(least)) = decode(&mut part) else {
                panic!("{end} bytes are a frame");
            };
            assert!(end < least && least <= bytes.len(), "{end}: {least}");
            assert_eq!(part.len(), end);
        }
    }

    fn text(text: &'static str) -> Value {
        Value::Bytes(text.into())
    }

    #[test]
    fn frames_are_read_when_they_are_whole() {
        check(b"+OK\r\n", Frame::Value(text("OK")));
        check(b":-7\r\n", Frame::Value(Value::Integer(-7)));
        check(b"$3\r\na\r\n\r\n", Frame::Value(text("a\r\n")));
        check(b"$0\r\n\r\n", Frame::Value(text("")));
        check(b"=7\r\ntxt:abc\r\n", Frame::Value(text("abc")));
        for null in ["$-1\r\n", "*-1\r\n", "_\r\n"] {
            check(null.as_bytes(), Frame::Value(Value::Null));
        }
        check(b"-ERR no\r\n", Frame::Error("ERR no".to_owned()));
        check(b"!6\r\nERR no\r\n", Frame::Error("ERR no".to_owned()));
        let list = Value::Array(vec![text("a"), Value::Array(vec![Value::Integer(1)])]);
        check(b"*2\r\n$1\r\na\r\n*1\r\n:1\r\n", Frame::Value(list));
        let map = Value::Array(vec![text("a"), Value::Boolean(true)]);
        check(b"%1\r\n+a\r\n#t\r\n", Frame::Value(map));
        check(
            b"*2\r\n-ERR a\r\n-ERR b\r\n",
            Frame::Error("ERR a".to_owned()),
        );
        check(
            b">2\r\n+message\r\n$1\r\nc\r\n",
            Frame::Push(vec![text("message"), text("c")]),
        );
    }

    #[test]
    fn what_is_no_frame_ends_the_connection() {
        let deep = "*1\r\n".repeat(9);
        let long = "x".repeat(LINE_MAX + 1);
        for bytes in [
            "?1\r\n",
            "$x\r\n",
            "$-2\r\n",
            "*999999999\r\n",
            "\r\n",
            &deep,
            &long,
        ] {
            let mut buffer = BytesMut::from(bytes);
            assert_eq!(decode(&mut buffer), Err(Broken), "{bytes:.20}");
        }
    }

    #[test]
    fn commands_are_sent_as_bulk_strings() {
        let mut buffer = BytesMut::new();
        let words = ["k".into(), Value::Integer(-12), Value::from("0123456789")];
        command("SET", words).encode(&mut buffer);
        assert_eq!(
            &buffer[..],
            b"*4\r\n$3\r\nSET\r\n$1\r\nk\r\n$3\r\n-12\r\n$10\r\n0123456789\r\n"
        );
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_strange(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let mut buffer = BytesMut::from(&bytes[..]);
            while let Ok(Ok(_)) = decode(&mut buffer) {}
        }

        /// Bytes as they could be, with one of them changed.
        #[test]
        fn no_frame_is_too_strange(at in 0_usize..40, byte: u8) {
            let mut buffer = BytesMut::from(&b"*3\r\n$3\r\nabc\r\n%1\r\n+a\r\n=5\r\ntxt:a\r\n~1\r\n:5\r\n"[..]);
            if let Some(place) = buffer.get_mut(at) {
                *place = byte;
            }
            while let Ok(Ok(_)) = decode(&mut buffer) {}
        }
    }
}
