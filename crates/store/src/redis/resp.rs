//! Redis's protocol: commands to bytes, and bytes to frames (RESP3).
//!
//! Only whole frames are read. Bulk strings share the buffer they were read from. However long a
//! frame says that it is, no more room is made than what has come calls for.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use fred::types::Value;
use smallvec::SmallVec;

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

/// What has been received, and how much of it is the first frame.
#[derive(Debug, Default)]
pub(super) struct Reader {
    received: BytesMut,
    /// Up to here, the first frame has been gone through. So its beginning is not read again for
    /// every piece in which it comes.
    measured: usize,
    /// Parts that are to come behind that, of the lists that are open, the outermost first.
    open: SmallVec<[usize; DEPTH_MAX]>,
    /// As long as there are fewer bytes than this, they are no frame.
    least: usize,
}

impl Reader {
    /// Where bytes are to be appended, with room for some.
    pub(super) fn buffer(&mut self) -> &mut BytesMut {
        let missing = self.least.saturating_sub(self.received.len());
        self.received.reserve(missing.clamp(ROOM_MIN, ROOM_MAX));
        &mut self.received
    }

    /// Takes the first frame, if it is whole.
    pub(super) fn next(&mut self) -> Result<Option<Frame>, Broken> {
        if self.received.len() < self.least || !self.measure()? {
            return Ok(None);
        }
        let push = self.received.first() == Some(&b'>');
        let mut frame = self.received.split_to(self.measured).freeze();
        (self.measured, self.least) = (0, 0);
        let mut error = None;
        let value = take(&mut frame, &mut error).ok_or(Broken)?;
        Ok(Some(match (error, value) {
            (Some(error), _) => Frame::Error(error),
            (None, Value::Array(values)) if push => Frame::Push(values),
            (None, value) => Frame::Value(value),
        }))
    }

    /// Goes through the first frame as far as it is there; whether it is whole.
    fn measure(&mut self) -> Result<bool, Broken> {
        loop {
            let rest = self.received.get(self.measured..).unwrap_or_default();
            let Some(line) = line(rest)? else {
                self.least = self.received.len() + 1;
                return Ok(false);
            };
            let (extent, parts) = extent(line)?;
            let end = self.measured + extent;
            if end > FRAME_MAX {
                return Err(Broken);
            }
            if end > self.received.len() {
                self.least = end;
                return Ok(false);
            }
            self.measured = end;
            if parts > 0 {
                if self.open.len() == DEPTH_MAX {
                    return Err(Broken);
                }
                self.open.push(parts);
            } else if !self.close() {
                return Ok(true);
            }
        }
    }

    /// Counts a part that is whole, and the lists that end with it; whether another one is to come.
    fn close(&mut self) -> bool {
        while let Some(parts) = self.open.last_mut() {
            *parts -= 1;
            if *parts > 0 {
                return true;
            }
            self.open.pop();
        }
        false
    }
}

/// How many bytes a part has that begins with this line, and how many parts come behind it.
fn extent(line: &[u8]) -> Result<(usize, usize), Broken> {
    let head = line.len() + 2;
    let (kind, rest) = line.split_first().ok_or(Broken)?;
    Ok(match kind {
        b'+' | b'-' | b':' | b'_' | b'#' | b',' | b'(' => (head, 0),
        b'$' | b'=' | b'!' => (head + count(rest)?.map_or(0, |length| length + 2), 0),
        b'*' | b'~' | b'>' => (head, count(rest)?.unwrap_or(0)),
        b'%' => (head, 2 * count(rest)?.unwrap_or(0)),
        _ => return Err(Broken),
    })
}

/// Up to the end of the line, which is not part of it; `None` if that has not come yet.
fn line(bytes: &[u8]) -> Result<Option<&[u8]>, Broken> {
    let end = bytes.iter().take(LINE_MAX).position(|&byte| byte == b'\r');
    match end.map(|end| (end, bytes.get(end + 1))) {
        Some((end, Some(b'\n'))) => Ok(bytes.get(..end)),
        None if bytes.len() < LINE_MAX => Ok(None),
        Some((_, None)) => Ok(None),
        Some(_) | None => Err(Broken),
    }
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
    let length = line(bytes).ok()??.len();
    let mut line = bytes.split_to(length);
    bytes.advance(2);
    let kind = line.first().copied()?;
    line.advance(1);
    let mut blob = |line: &[u8]| {
        let Some(length) = count(line).ok()? else {
            return Some(None);
        };
        let blob = bytes.split_to(length);
        // Else it is not the length of what came.
        (bytes.split_to(2) == b"\r\n"[..]).then_some(Some(blob))
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

/// Bytes of a frame: that of a lookup holds one reply, and little else.
const FRAME_MAX: usize = LENGTH_MAX + 64 * 1024;

/// How deep lists lie in one another.
const DEPTH_MAX: usize = 8;

/// Room that is made for a read, in bytes.
const ROOM_MIN: usize = 16 * 1024;
const ROOM_MAX: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn reader(bytes: &[u8]) -> Reader {
        let mut reader = Reader::default();
        reader.buffer().extend_from_slice(bytes);
        reader
    }

    fn check(bytes: &[u8], expected: &Frame) {
        let mut whole = reader(&[bytes, b"+next\r\n"].concat());
        assert_eq!(whole.next().as_ref(), Ok(&Some(expected.clone())));
        assert_eq!(&whole.received[..], b"+next\r\n");
        // Cut anywhere, and byte by byte.
        let mut slow = Reader::default();
        for end in 0..bytes.len() {
            let (first, rest) = bytes.split_at(end);
            let mut part = reader(first);
            assert_eq!(part.next(), Ok(None), "{end}");
            assert!(end < part.least && part.least <= bytes.len(), "{end}");
            part.buffer().extend_from_slice(rest);
            assert_eq!(part.next().as_ref(), Ok(&Some(expected.clone())), "{end}");
            assert_eq!(slow.next(), Ok(None));
            slow.buffer().extend_from_slice(&bytes[end..=end]);
        }
        assert_eq!(slow.next().as_ref(), Ok(&Some(expected.clone())));
    }

    fn text(text: &'static str) -> Value {
        Value::Bytes(text.into())
    }

    #[test]
    fn frames_are_read_when_they_are_whole() {
        check(b"+OK\r\n", &Frame::Value(text("OK")));
        check(b":-7\r\n", &Frame::Value(Value::Integer(-7)));
        check(b"$3\r\na\r\n\r\n", &Frame::Value(text("a\r\n")));
        check(b"$0\r\n\r\n", &Frame::Value(text("")));
        check(b"=7\r\ntxt:abc\r\n", &Frame::Value(text("abc")));
        for null in ["$-1\r\n", "*-1\r\n", "_\r\n"] {
            check(null.as_bytes(), &Frame::Value(Value::Null));
        }
        check(b"-ERR no\r\n", &Frame::Error("ERR no".to_owned()));
        check(b"!6\r\nERR no\r\n", &Frame::Error("ERR no".to_owned()));
        let list = Value::Array(vec![text("a"), Value::Array(vec![Value::Integer(1)])]);
        check(b"*2\r\n$1\r\na\r\n*1\r\n:1\r\n", &Frame::Value(list));
        let map = Value::Array(vec![text("a"), Value::Boolean(true)]);
        check(b"%1\r\n+a\r\n#t\r\n", &Frame::Value(map));
        check(
            b"*2\r\n-ERR a\r\n-ERR b\r\n",
            &Frame::Error("ERR a".to_owned()),
        );
        check(
            b">2\r\n+message\r\n$1\r\nc\r\n",
            &Frame::Push(vec![text("message"), text("c")]),
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
            "$1\r\nabc\r\n",
            "+a\rb\r\n",
            "*999999999\r\n",
            "\r\n",
            &deep,
            &long,
        ] {
            assert_eq!(reader(bytes.as_bytes()).next(), Err(Broken), "{bytes:.20}");
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
            let mut reader = reader(&bytes);
            while let Ok(Some(_)) = reader.next() {}
        }

        /// Bytes as they could be, with one of them changed.
        #[test]
        fn no_frame_is_too_strange(at in 0_usize..40, byte: u8) {
            let mut buffer = Vec::from(&b"*3\r\n$3\r\nabc\r\n%1\r\n+a\r\n=5\r\ntxt:a\r\n~1\r\n:5\r\n"[..]);
            if let Some(place) = buffer.get_mut(at) {
                *place = byte;
            }
            let mut reader = reader(&buffer);
            while let Ok(Some(_)) = reader.next() {}
        }
    }
}
