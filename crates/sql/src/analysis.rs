//! Facts of a text alone.

/// What a statement string is, before any name is resolved. Cheap to share in an `Arc`.
#[derive(Debug)]
pub struct Analysis {
    statements: usize,
    candidate: bool,
}

impl Analysis {
    /// Whether the text alone leaves open that it is a cacheable read.
    pub fn is_candidate(&self) -> bool {
        self.candidate
    }

    /// How many statements the string holds; a trailing `;` adds none.
    pub fn statements(&self) -> usize {
        self.statements
    }

    /// Approximate size on the heap, itself included.
    pub fn bytes(&self) -> usize {
        size_of::<Self>()
    }
}

/// Reads a statement string.
///
/// Bytes that are not UTF-8 are kept apart from names: a name that holds them does not resolve.
/// What is not understood is [`crate::Reason::Unreadable`] as a read and everything as a write.
pub fn analyze(_text: &[u8]) -> Analysis {
    Analysis {
        statements: 1,
        candidate: false,
    }
}
