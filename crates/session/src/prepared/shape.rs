//! What the server said of a statement when it was asked to describe it.

use std::sync::PoisonError;

use bytes::Bytes;
use smallvec::SmallVec;

use super::Prepared;

/// Declared parameter types, four bytes each, as they stand in a Parse.
pub(crate) type Types = SmallVec<[u8; 16]>;

#[derive(Debug, Default)]
pub(super) struct Shapes {
    known: SmallVec<[(Types, Shape); 1]>,
    /// No more are taken.
    ended: bool,
}

impl Shapes {
    pub(super) fn bytes(&self) -> usize {
        let one = |(types, shape): &(Types, Shape)| types.len() + shape.bytes();
        self.known.iter().map(one).sum()
    }
}

/// What a server answers to Describe of a statement, as far as it is known: `ParameterDescription`,
/// and `RowDescription` with all formats zero.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shape {
    pub(crate) parameters: Option<Bytes>,
    pub(crate) row: Option<Bytes>,
}

impl Shape {
    fn bytes(&self) -> usize {
        let parts = [&self.parameters, &self.row];
        parts.into_iter().flatten().map(Bytes::len).sum()
    }
}

/// What is longer than this is not remembered, in bytes.
const SHAPE_BYTES_MAX: usize = 64 * 1024;

/// Combinations of declared types remembered per text.
const SHAPES_MAX: usize = 8;

impl Prepared {
    /// What the server said of it with these declared types, once it has accepted it.
    pub(crate) fn shape(&self, types: &[u8]) -> Option<Shape> {
        let shapes = self.shapes.read().unwrap_or_else(PoisonError::into_inner);
        let (_, shape) = shapes.known.iter().find(|(known, _)| known[..] == *types)?;
        Some(shape.clone())
    }

    /// What the server said of its columns, which is proof that it has accepted it.
    pub(crate) fn row(&self, types: &[u8]) -> Option<Bytes> {
        let shapes = self.shapes.read().unwrap_or_else(PoisonError::into_inner);
        let (_, shape) = shapes.known.iter().find(|(known, _)| known[..] == *types)?;
        shape.row.clone()
    }

    /// The server has accepted it and described some or all of it. Whether it takes more room now.
    pub(crate) fn learn(&self, types: &[u8], shape: Shape) -> bool {
        let mut shapes = self.shapes.write().unwrap_or_else(PoisonError::into_inner);
        if shapes.ended || types.len() + shape.bytes() > SHAPE_BYTES_MAX {
            return false;
        }
        let before = shapes.bytes();
        if let Some((_, known)) = shapes
            .known
            .iter_mut()
            .find(|(known, _)| known[..] == *types)
        {
            known.parameters = shape.parameters.or(known.parameters.take());
            known.row = shape.row.or(known.row.take());
        } else if shapes.known.len() < SHAPES_MAX {
            shapes.known.push((Types::from_slice(types), shape));
        }
        shapes.bytes() > before
    }

    /// Nobody counts any more what it holds: it forgets what the server said, and learns nothing.
    pub(crate) fn end_learning(&self) {
        let mut shapes = self.shapes.write().unwrap_or_else(PoisonError::into_inner);
        shapes.known = SmallVec::new();
        shapes.ended = true;
    }
}
