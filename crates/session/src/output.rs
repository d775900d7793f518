//! Bytes on their way out, in order, with few copies.

use std::{collections::VecDeque, io::IoSlice};

use bytes::{Buf, Bytes, BytesMut};

/// Pieces at least this long, in bytes, are sent from where they lie; shorter ones are copied
/// together, which costs less than another slice in a vectored write.
pub(crate) const COPY_BELOW: usize = 4096;

/// Bytes that may wait to be written to one peer before no more is taken from the other.
pub const PENDING_MAX: usize = 256 * 1024;

/// Capacity in bytes above which an emptied buffer is given back.
const KEEP: usize = 64 * 1024;

/// The same while nothing is going on.
const KEEP_IDLE: usize = 1024;

/// What is to be written to one peer.
#[derive(Debug, Default)]
pub struct Output {
    chunks: VecDeque<Bytes>,
    chunked: usize,
    tail: BytesMut,
}

impl Output {
    /// Bytes not written yet.
    pub fn len(&self) -> usize {
        self.chunked + self.tail.len()
    }

    /// Whether nothing is left to write.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends a copy.
    #[inline]
    pub fn put(&mut self, bytes: &[u8]) {
        self.tail.extend_from_slice(bytes);
    }

    /// Appends a piece that is already shared.
    pub fn put_shared(&mut self, bytes: &Bytes) {
        if bytes.len() < COPY_BELOW {
            self.put(bytes)
        } else {
            self.put_owned(bytes.clone())
        }
    }

    /// Appends the first `count` bytes of `input`, which it consumes.
    pub fn take_from(&mut self, input: &mut BytesMut, count: usize) {
        if count < COPY_BELOW {
            self.put(input.get(..count).unwrap_or_default());
            input.advance(count.min(input.len()));
        } else {
            self.put_owned(input.split_to(count.min(input.len())).freeze());
        }
    }

    /// The buffer to which small messages are appended.
    pub(crate) fn tail(&mut self) -> &mut BytesMut {
        &mut self.tail
    }

    fn put_owned(&mut self, bytes: Bytes) {
        if !self.tail.is_empty() {
            let tail = self.tail.split().freeze();
            self.chunked += tail.len();
            self.chunks.push_back(tail);
        }
        self.chunked += bytes.len();
        self.chunks.push_back(bytes);
    }

    /// Fills `slices` with what is to be written, in order, and says how many were filled.
    pub fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let pieces = self
            .chunks
            .iter()
            .map(|chunk| &chunk[..])
            .chain([&self.tail[..]]);
        slices
            .iter_mut()
            .zip(pieces.filter(|piece| !piece.is_empty()))
            .map(|(slot, piece)| *slot = IoSlice::new(piece))
            .count()
    }

    /// Forgets the first `written` bytes.
    pub fn advance(&mut self, mut written: usize) {
        while let Some(front) = self.chunks.front_mut() {
            let step = written.min(front.len());
            front.advance(step);
            self.chunked -= step;
            written -= step;
            if !front.is_empty() {
                return;
            }
            self.chunks.pop_front();
        }
        self.tail.advance(written.min(self.tail.len()));
        if self.tail.is_empty() {
            if self.tail.capacity() > KEEP {
                self.tail = BytesMut::new()
            } else {
                self.tail.clear()
            }
        }
    }

    /// Gives back room that is not used.
    pub(crate) fn shrink(&mut self) {
        if self.is_empty() && self.tail.capacity() > KEEP_IDLE {
            *self = Self::default();
        }
    }

    /// Drops everything.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn bytes_leave_in_the_order_they_came(
            pieces in proptest::collection::vec((0..3_u8, 0..9000_usize), 0..12), step in 1..9999_usize,
        ) {
            let (mut output, mut expected, mut read) = (Output::default(), Vec::new(), Vec::new());
            for (n, (kind, length)) in pieces.into_iter().enumerate() {
                let bytes = vec![u8::try_from(n).unwrap(); length];
                expected.extend_from_slice(&bytes);
                match kind {
                    0 => output.put(&bytes),
                    1 => output.put_shared(&Bytes::from(bytes)),
                    _ => output.take_from(&mut BytesMut::from(&bytes[..]), length),
                }
            }
            prop_assert_eq!(output.len(), expected.len());
            while !output.is_empty() {
                let mut slices = [IoSlice::new(&[]); 3];
                let filled = output.slices(&mut slices);
                let front: Vec<u8> = slices[..filled].iter().flat_map(|slice| slice.iter().copied()).take(step).collect();
                prop_assert!(!front.is_empty());
                read.extend_from_slice(&front);
                output.advance(front.len());
            }
            prop_assert_eq!(read, expected);
        }
    }
}
