//! A cursor over one message's body.

/// A message's body does not have the form its tag promises.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("malformed `{}` message", char::from(*.tag))]
pub struct BodyError {
    /// The message's type.
    pub tag: u8,
}

/// Reads fields in order and never past the end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Body<'a> {
    tag: u8,
    rest: &'a [u8],
}

impl<'a> Body<'a> {
    /// The body of a whole frame, which starts with its header.
    pub(crate) fn of(frame: &'a [u8], tag: u8) -> Result<Self, BodyError> {
        let rest = frame.get(crate::HEADER..).ok_or(BodyError { tag })?;
        Ok(Self { tag, rest })
    }

    /// Part of the body of a Bind.
    pub(crate) const fn over(rest: &'a [u8]) -> Self {
        Self { tag: b'B', rest }
    }

    /// The bytes not read yet.
    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(crate) const fn error(&self) -> BodyError {
        BodyError { tag: self.tag }
    }

    /// Bytes up to a NUL, which is consumed too.
    pub(crate) fn cstr(&mut self) -> Result<&'a [u8], BodyError> {
        let end = memchr::memchr(0, self.rest).ok_or(self.error())?;
        let text = self.take(end)?;
        self.take(1)?;
        Ok(text)
    }

    pub(crate) fn take(&mut self, bytes: usize) -> Result<&'a [u8], BodyError> {
        let (head, tail) = self.rest.split_at_checked(bytes).ok_or(self.error())?;
        self.rest = tail;
        Ok(head)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, BodyError> {
        let (&first, tail) = self.rest.split_first().ok_or(self.error())?;
        self.rest = tail;
        Ok(first)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, BodyError> {
        let (&head, tail) = self.rest.split_first_chunk().ok_or(self.error())?;
        self.rest = tail;
        Ok(u16::from_be_bytes(head))
    }

    pub(crate) fn i32(&mut self) -> Result<i32, BodyError> {
        let (&head, tail) = self.rest.split_first_chunk().ok_or(self.error())?;
        self.rest = tail;
        Ok(i32::from_be_bytes(head))
    }

    /// Everything must have been read.
    pub(crate) fn end(&self) -> Result<(), BodyError> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(self.error())
        }
    }
}
