//! Cutting bytes into messages.

use std::fmt;

/// Bytes of a message header: the tag and the length.
pub const HEADER: usize = 5;

/// The largest length field PostgreSQL sends or accepts (`MaxAllocSize`), in bytes.
pub const MESSAGE_MAX: u32 = 0x3fff_ffff;

/// The head of one message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Header {
    /// The message's type.
    pub tag: u8,
    /// Bytes of the whole message, header included.
    pub total: usize,
}

/// The bytes can no longer be cut into messages; the connection is lost.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// The length field counts its own four bytes.
    #[error("message {} declares {declared} bytes; the least is 4", Shown(*tag))]
    TooShort {
        /// The message's type.
        tag: u8,
        /// What its length field says.
        declared: u32,
    },
    /// No server or client sends this much in one message.
    #[error("message {} declares {declared} bytes; the limit is {MESSAGE_MAX}", Shown(*tag))]
    TooLong {
        /// The message's type.
        tag: u8,
        /// What its length field says.
        declared: u32,
    },
}

struct Shown(u8);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_ascii_graphic() {
            write!(f, "`{}`", char::from(self.0))
        } else {
            write!(f, "0x{:02x}", self.0)
        }
    }
}

/// Reads the header at the front of `bytes`; `None` if fewer than [`HEADER`] bytes are there.
///
/// # Errors
///
/// When the length field cannot be that of a message.
#[inline]
pub fn header(bytes: &[u8]) -> Result<Option<Header>, FrameError> {
    let Some((&[tag, a, b, c, d], _)) = bytes.split_first_chunk::<HEADER>() else {
        return Ok(None);
    };
    let declared = u32::from_be_bytes([a, b, c, d]);
    if declared < 4 {
        return Err(FrameError::TooShort { tag, declared });
    }
    if declared > MESSAGE_MAX {
        return Err(FrameError::TooLong { tag, declared });
    }
    Ok(Some(Header {
        tag,
        total: declared as usize + 1,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_for_a_whole_header() {
        assert_eq!(header(b""), Ok(None));
        assert_eq!(header(b"Q\0\0\0"), Ok(None));
        assert_eq!(
            header(b"Q\0\0\0\x08rest"),
            Ok(Some(Header {
                tag: b'Q',
                total: 9
            }))
        );
    }

    #[test]
    fn rejects_a_length_below_four() {
        let error = header(b"Q\0\0\0\x03").unwrap_err();
        assert_eq!(
            error.to_string(),
            "message `Q` declares 3 bytes; the least is 4"
        );
    }

    #[test]
    fn rejects_lengths_no_peer_sends() {
        assert_eq!(
            header(b"\x01\xff\xff\xff\xff"),
            Err(FrameError::TooLong {
                tag: 1,
                declared: u32::MAX
            })
        );
    }
}
