//! A recorded reply: the server's frames, ready to be sent again.

use bytes::Bytes;

/// The recorded frames of one statement's reply: `RowDescription` (perhaps), every `DataRow`, and
/// `CommandComplete`, exactly as the server sent them, in one allocation of its own.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Entry {
    frames: Bytes,
    description: u32,
    complete: u32,
    rows: u32,
}

/// An entry's parts do not fit each other.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "an entry of {bytes} bytes cannot hold {description} bytes of description and a tag at {complete}"
)]
pub struct EntryError {
    bytes: usize,
    description: u32,
    complete: u32,
}

impl Entry {
    /// Puts an entry together. `description` is the length in bytes of the leading
    /// `RowDescription` or `NoData` frame (0 if it was not recorded), `complete` the offset of the
    /// `CommandComplete` frame, `rows` the number of `DataRow` frames between them.
    ///
    /// # Errors
    ///
    /// When the offsets do not lie in order inside `frames`, or the entry exceeds 2 GiB.
    pub fn new(
        frames: Bytes,
        description: u32,
        complete: u32,
        rows: u32,
    ) -> Result<Self, EntryError> {
        let bytes = frames.len();
        if description > complete || complete as usize >= bytes || bytes > i32::MAX as usize {
            return Err(EntryError {
                bytes,
                description,
                complete,
            });
        }
        Ok(Self {
            frames,
            description,
            complete,
            rows,
        })
    }

    /// All frames: description, rows, tag.
    pub const fn frames(&self) -> &Bytes {
        &self.frames
    }

    /// The `RowDescription` frame, if it was recorded.
    pub fn description(&self) -> Option<Bytes> {
        (self.description > 0).then(|| self.frames.slice(..self.description as usize))
    }

    /// The `DataRow` frames.
    pub fn data(&self) -> Bytes {
        self.frames
            .slice(self.description as usize..self.complete as usize)
    }

    /// The `DataRow` frames and the tag, which is what an Execute returns.
    pub fn execution(&self) -> Bytes {
        self.frames.slice(self.description as usize..)
    }

    /// The `CommandComplete` frame.
    pub fn complete(&self) -> Bytes {
        self.frames.slice(self.complete as usize..)
    }

    /// How many rows it has.
    pub const fn rows(&self) -> u32 {
        self.rows
    }

    /// Length of the description and offset of the tag, as [`Entry::new`] takes them.
    pub const fn offsets(&self) -> (u32, u32) {
        (self.description, self.complete)
    }

    /// Bytes of frames.
    pub fn len(&self) -> usize {
        self.frames.len()
    }

    /// Never: an entry holds at least a tag.
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }
}
