//! Messages that clients send.
//!
//! Each reader takes one whole frame, header included, and borrows from it.

use bytes::{BufMut, BytesMut};

use crate::read::{Body, BodyError};

/// Tags of client messages.
pub mod tag {
    /// Bind.
    pub const BIND: u8 = b'B';
    /// Close.
    pub const CLOSE: u8 = b'C';
    /// CopyData.
    pub const COPY_DATA: u8 = b'd';
    /// CopyDone.
    pub const COPY_DONE: u8 = b'c';
    /// CopyFail.
    pub const COPY_FAIL: u8 = b'f';
    /// Describe.
    pub const DESCRIBE: u8 = b'D';
    /// Execute.
    pub const EXECUTE: u8 = b'E';
    /// Flush.
    pub const FLUSH: u8 = b'H';
    /// FunctionCall.
    pub const FUNCTION_CALL: u8 = b'F';
    /// Parse.
    pub const PARSE: u8 = b'P';
    /// PasswordMessage, SASL and GSS responses.
    pub const PASSWORD: u8 = b'p';
    /// Query.
    pub const QUERY: u8 = b'Q';
    /// Sync.
    pub const SYNC: u8 = b'S';
    /// Terminate.
    pub const TERMINATE: u8 = b'X';
}

/// The frame of a Flush.
pub const FLUSH: &[u8] = b"H\0\0\0\x04";
/// The frame of a Sync.
pub const SYNC: &[u8] = b"S\0\0\0\x04";
/// The frame of a Terminate.
pub const TERMINATE: &[u8] = b"X\0\0\0\x04";

/// The text of a Query.
///
/// # Errors
///
/// When the text is not ended by the frame's only NUL.
#[inline]
pub fn query(frame: &[u8]) -> Result<&[u8], BodyError> {
    let mut body = Body::of(frame, tag::QUERY)?;
    let text = body.cstr()?;
    body.end()?;
    Ok(text)
}

/// A Parse.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Parse<'a> {
    /// The statement's name; empty for the unnamed one.
    pub name: &'a [u8],
    /// The statement's text.
    pub text: &'a [u8],
    /// The declared parameter types: object identifiers, four bytes each in network order.
    pub types: &'a [u8],
}

impl<'a> Parse<'a> {
    /// Reads a frame.
    ///
    /// # Errors
    ///
    /// When its body has another form.
    pub fn read(frame: &'a [u8]) -> Result<Self, BodyError> {
        let mut body = Body::of(frame, tag::PARSE)?;
        let (name, text) = (body.cstr()?, body.cstr()?);
        let count = usize::from(body.u16()?);
        let types = body.take(count * 4)?;
        body.end()?;
        Ok(Self { name, text, types })
    }
}

/// Whether a name stands for a statement or a portal.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Target {
    /// `S`
    Statement,
    /// `P`
    Portal,
}

/// A Describe or Close: what it is about, and its name.
///
/// # Errors
///
/// When the body has another form.
pub fn target(frame: &[u8]) -> Result<(Target, &[u8]), BodyError> {
    let mut body = Body::of(frame, frame.first().copied().unwrap_or(0))?;
    let target = match body.u8()? {
        b'S' => Target::Statement,
        b'P' => Target::Portal,
        _ => return Err(body.error()),
    };
    let name = body.cstr()?;
    body.end()?;
    Ok((target, name))
}

/// An Execute: the portal, and the largest number of rows to return (0 for all).
///
/// # Errors
///
/// When the body has another form.
pub fn execute(frame: &[u8]) -> Result<(&[u8], i32), BodyError> {
    let mut body = Body::of(frame, tag::EXECUTE)?;
    let portal = body.cstr()?;
    let rows = body.i32()?;
    body.end()?;
    Ok((portal, rows))
}

/// A Bind.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Bind<'a> {
    /// The portal's name; empty for the unnamed one.
    pub portal: &'a [u8],
    /// The statement's name; empty for the unnamed one.
    pub statement: &'a [u8],
    /// Parameter formats, parameter values and result formats as they stand in the frame: two
    /// Binds with equal bytes here bind equal values in equal formats.
    pub arguments: &'a [u8],
    /// The values alone, with their count and lengths.
    values: &'a [u8],
    /// Result format codes, two bytes each.
    pub result_formats: &'a [u8],
}

impl<'a> Bind<'a> {
    /// Reads a frame.
    ///
    /// # Errors
    ///
    /// When its body has another form.
    pub fn read(frame: &'a [u8]) -> Result<Self, BodyError> {
        let mut body = Body::of(frame, tag::BIND)?;
        let (portal, statement) = (body.cstr()?, body.cstr()?);
        let arguments = body.rest();
        let formats = usize::from(body.u16()?);
        body.take(formats * 2)?;
        let values = body.rest();
        for _ in 0..body.u16()? {
            if let Ok(length) = usize::try_from(body.i32()?) {
                body.take(length)?;
            }
        }
        let values = values
            .get(..values.len() - body.rest().len())
            .unwrap_or(values);
        let results = usize::from(body.u16()?);
        let result_formats = body.take(results * 2)?;
        body.end()?;
        Ok(Self {
            portal,
            statement,
            arguments,
            values,
            result_formats,
        })
    }

    /// The two names alone, for a frame whose rest has not arrived.
    ///
    /// # Errors
    ///
    /// When the names do not end within `prefix`.
    pub fn names(prefix: &'a [u8]) -> Result<(&'a [u8], &'a [u8]), BodyError> {
        let mut body = Body::of(prefix, tag::BIND)?;
        Ok((body.cstr()?, body.cstr()?))
    }

    /// The values that are not NULL.
    pub fn values(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let mut body = Body::over(self.values);
        let count = body.u16().unwrap_or(0);
        (0..count).filter_map(move |_| {
            let length = usize::try_from(body.i32().ok()?).ok()?;
            body.take(length).ok()
        })
    }

    /// The format codes of the parameters, two bytes each.
    pub fn formats(&self) -> &'a [u8] {
        let mut body = Body::over(self.arguments);
        let count = usize::from(body.u16().unwrap_or(0));
        body.take(2 * count).unwrap_or_default()
    }

    /// All values as they stand in the frame, each behind its length.
    pub fn encoded_values(&self) -> &'a [u8] {
        self.values.get(2..).unwrap_or_default()
    }

    /// How many parameters it binds.
    pub fn parameters(&self) -> u16 {
        Body::over(self.values).u16().unwrap_or(0)
    }
}

/// Appends a Query.
pub fn put_query(out: &mut BytesMut, text: &[u8]) {
    put(out, tag::QUERY, |body| {
        body.put_slice(text);
        body.put_u8(0);
    });
}

/// Appends a Parse without declared types.
pub fn put_parse(out: &mut BytesMut, name: &[u8], text: &[u8]) {
    put_parse_typed(out, name, text, &[0, 0]);
}

/// Appends a Parse; `types` holds the number of declared types in two bytes, then four bytes each.
pub fn put_parse_typed(out: &mut BytesMut, name: &[u8], text: &[u8], types: &[u8]) {
    put(out, tag::PARSE, |body| {
        body.put_slice(name);
        body.put_u8(0);
        body.put_slice(text);
        body.put_u8(0);
        body.put_slice(types);
    });
}

/// Appends a Bind without parameters, all results in text.
pub fn put_bind(out: &mut BytesMut, portal: &[u8], statement: &[u8]) {
    put(out, tag::BIND, |body| {
        body.put_slice(portal);
        body.put_u8(0);
        body.put_slice(statement);
        body.put_u8(0);
        body.put_slice(&[0; 6]);
    });
}

/// Appends a Bind of the unnamed statement to the unnamed portal; `arguments` as in [`Bind`].
pub fn put_bind_with(out: &mut BytesMut, arguments: &[u8]) {
    put(out, tag::BIND, |body| {
        body.put_slice(&[0; 2]);
        body.put_slice(arguments);
    });
}

/// Appends an Execute that returns all rows.
pub fn put_execute(out: &mut BytesMut, portal: &[u8]) {
    put(out, tag::EXECUTE, |body| {
        body.put_slice(portal);
        body.put_u8(0);
        body.put_i32(0);
    });
}

/// Appends a Describe.
pub fn put_describe(out: &mut BytesMut, target: Target, name: &[u8]) {
    put_named(out, tag::DESCRIBE, target, name);
}

/// Appends a Close.
pub fn put_close(out: &mut BytesMut, target: Target, name: &[u8]) {
    put_named(out, tag::CLOSE, target, name);
}

fn put_named(out: &mut BytesMut, tag: u8, target: Target, name: &[u8]) {
    put(out, tag, |body| {
        body.put_u8(match target {
            Target::Statement => b'S',
            Target::Portal => b'P',
        });
        body.put_slice(name);
        body.put_u8(0);
    });
}

/// Appends a frame whose body `write` appends.
pub(crate) fn put(out: &mut BytesMut, tag: u8, write: impl FnOnce(&mut BytesMut)) {
    out.put_u8(tag);
    let start = out.len();
    out.put_u32(0);
    write(out);
    let length = u32::try_from(out.len() - start).unwrap_or(u32::MAX);
    if let Some(field) = out.get_mut(start..start + 4) {
        field.copy_from_slice(&length.to_be_bytes());
    }
}

#[cfg(test)]
mod tests;
