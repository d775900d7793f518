//! The few errors that we author ourselves, because there is no server that could.

use bytes::{BufMut, BytesMut};

/// A FATAL ErrorResponse, after which the connection is closed.
pub(crate) fn fatal(code: &str, message: &str, hint: Option<&str>) -> BytesMut {
    let mut fields = BytesMut::new();
    let texts = [
        (b'S', "FATAL"),
        (b'V', "FATAL"),
        (b'C', code),
        (b'M', message),
    ];
    for (field, text) in texts.into_iter().chain(hint.map(|hint| (b'H', hint))) {
        fields.put_u8(field);
        fields.put_slice(text.as_bytes());
        fields.put_u8(0);
    }
    fields.put_u8(0);
    let mut frame = BytesMut::with_capacity(wire::HEADER + fields.len());
    frame.put_u8(wire::backend::tag::ERROR);
    frame.put_u32(u32::try_from(4 + fields.len()).unwrap_or(u32::MAX));
    frame.put_slice(&fields);
    frame
}
