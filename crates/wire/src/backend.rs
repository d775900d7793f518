//! Messages that the server sends, and those that we send in its place.

use bytes::BytesMut;

use crate::read::{Body, BodyError};

/// Tags of server messages.
pub mod tag {
    /// Authentication requests.
    pub const AUTHENTICATION: u8 = b'R';
    /// BackendKeyData.
    pub const BACKEND_KEY: u8 = b'K';
    /// BindComplete.
    pub const BIND_COMPLETE: u8 = b'2';
    /// CloseComplete.
    pub const CLOSE_COMPLETE: u8 = b'3';
    /// CommandComplete.
    pub const COMMAND_COMPLETE: u8 = b'C';
    /// CopyBothResponse.
    pub const COPY_BOTH: u8 = b'W';
    /// CopyData.
    pub const COPY_DATA: u8 = b'd';
    /// CopyDone.
    pub const COPY_DONE: u8 = b'c';
    /// CopyInResponse.
    pub const COPY_IN: u8 = b'G';
    /// CopyOutResponse.
    pub const COPY_OUT: u8 = b'H';
    /// DataRow.
    pub const DATA_ROW: u8 = b'D';
    /// EmptyQueryResponse.
    pub const EMPTY_QUERY: u8 = b'I';
    /// ErrorResponse.
    pub const ERROR: u8 = b'E';
    /// FunctionCallResponse.
    pub const FUNCTION_RESULT: u8 = b'V';
    /// NegotiateProtocolVersion.
    pub const NEGOTIATE: u8 = b'v';
    /// NoData.
    pub const NO_DATA: u8 = b'n';
    /// NoticeResponse.
    pub const NOTICE: u8 = b'N';
    /// NotificationResponse.
    pub const NOTIFICATION: u8 = b'A';
    /// ParameterDescription.
    pub const PARAMETER_DESCRIPTION: u8 = b't';
    /// ParameterStatus.
    pub const PARAMETER_STATUS: u8 = b'S';
    /// ParseComplete.
    pub const PARSE_COMPLETE: u8 = b'1';
    /// PortalSuspended.
    pub const PORTAL_SUSPENDED: u8 = b's';
    /// ReadyForQuery.
    pub const READY: u8 = b'Z';
    /// RowDescription.
    pub const ROW_DESCRIPTION: u8 = b'T';
}

/// The frame of a ParseComplete.
pub const PARSE_COMPLETE: &[u8] = b"1\0\0\0\x04";
/// The frame of a BindComplete.
pub const BIND_COMPLETE: &[u8] = b"2\0\0\0\x04";
/// The frame of a CloseComplete.
pub const CLOSE_COMPLETE: &[u8] = b"3\0\0\0\x04";
/// The frame of a NoData.
pub const NO_DATA: &[u8] = b"n\0\0\0\x04";
/// The frame of a PortalSuspended.
pub const PORTAL_SUSPENDED: &[u8] = b"s\0\0\0\x04";
/// The frame of a ParameterDescription without parameters.
pub const NO_PARAMETERS: &[u8] = b"t\0\0\0\x06\0\0";

/// The transaction status that a ReadyForQuery reports.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Status {
    /// `I`: outside a transaction block.
    Idle,
    /// `T`: inside one.
    Transaction,
    /// `E`: inside one that has failed.
    Failed,
}

/// The frame of a ReadyForQuery.
pub const fn ready(status: Status) -> &'static [u8] {
    match status {
        Status::Idle => b"Z\0\0\0\x05I",
        Status::Transaction => b"Z\0\0\0\x05T",
        Status::Failed => b"Z\0\0\0\x05E",
    }
}

/// The status in a ReadyForQuery.
///
/// # Errors
///
/// When the body has another form.
pub fn read_ready(frame: &[u8]) -> Result<Status, BodyError> {
    let mut body = Body::of(frame, tag::READY)?;
    let status = match body.u8()? {
        b'I' => Status::Idle,
        b'T' => Status::Transaction,
        b'E' => Status::Failed,
        _ => return Err(body.error()),
    };
    body.end()?;
    Ok(status)
}

/// The tag in a CommandComplete, such as `SELECT 1`.
///
/// # Errors
///
/// When the body has another form.
pub fn command_tag(frame: &[u8]) -> Result<&[u8], BodyError> {
    let mut body = Body::of(frame, tag::COMMAND_COMPLETE)?;
    let text = body.cstr()?;
    body.end()?;
    Ok(text)
}

/// Name and value in a ParameterStatus.
///
/// # Errors
///
/// When the body has another form.
pub fn parameter_status(frame: &[u8]) -> Result<(&[u8], &[u8]), BodyError> {
    let mut body = Body::of(frame, tag::PARAMETER_STATUS)?;
    let (name, value) = (body.cstr()?, body.cstr()?);
    body.end()?;
    Ok((name, value))
}

/// The five-character SQLSTATE in an ErrorResponse or NoticeResponse, if it has one.
pub fn sqlstate(frame: &[u8]) -> Option<&[u8]> {
    let mut body = Body::of(frame, tag::ERROR).ok()?;
    loop {
        match body.u8().ok()? {
            0 => return None,
            b'C' => return body.cstr().ok(),
            _ => body.cstr().ok()?,
        };
    }
}

/// Which function of the server's says what a NoticeResponse says, and the text; `None` if that came of
/// code, or is not told.
pub fn said_by(frame: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut body = Body::of(frame, tag::NOTICE).ok()?;
    let (mut routine, mut message) = (None, None);
    loop {
        match body.u8().ok()? {
            0 => return routine.zip(message),
            b'R' => routine = body.cstr().ok(),
            b'M' => message = body.cstr().ok(),
            b'W' => return None,
            _ => _ = body.cstr().ok()?,
        }
    }
}

/// Whether an ErrorResponse says that the text of a query is not understood, or means nothing: so it
/// does before it runs any of it.
///
/// Such an error (class 42) says where in the client's own text it lies. One that comes of a text
/// within code, or of what is run already, has no such place, or says where that code was.
pub fn refuses_text(frame: &[u8]) -> bool {
    let Ok(mut body) = Body::of(frame, tag::ERROR) else {
        return false;
    };
    let (mut class, mut place) = (false, false);
    loop {
        match (body.u8(), body.cstr()) {
            (Ok(0), _) => return class && place,
            (Ok(b'C'), Ok(code)) => class = code.starts_with(b"42"),
            (Ok(b'P'), Ok(_)) => place = true,
            (Ok(b'p' | b'q' | b'W') | Err(_), _) | (_, Err(_)) => return false,
            (Ok(_), Ok(_)) => {}
        }
    }
}

/// The columns of a DataRow, NULL as `None`.
///
/// # Errors
///
/// When the body has another form.
pub fn columns(frame: &[u8]) -> Result<Vec<Option<&[u8]>>, BodyError> {
    let mut body = Body::of(frame, tag::DATA_ROW)?;
    let count = body.u16()?;
    let mut columns = Vec::new();
    for _ in 0..count {
        columns.push(match usize::try_from(body.i32()?) {
            Ok(length) => Some(body.take(length)?),
            Err(_) => None,
        });
    }
    body.end()?;
    Ok(columns)
}

/// A copy of a RowDescription with the format codes that a Bind asks for: none means text, one
/// stands for all columns, otherwise one for each.
///
/// # Errors
///
/// When the description has another form, or the number of codes fits neither rule: then the
/// server has to judge the Bind.
pub fn with_formats(description: &[u8], formats: &[u8]) -> Result<BytesMut, BodyError> {
    let mut out = BytesMut::from(description);
    let mut body = Body::of(description, tag::ROW_DESCRIPTION)?;
    let count = usize::from(body.u16()?);
    let codes = formats.len() / 2;
    if codes > 1 && codes != count {
        return Err(body.error());
    }
    for column in 0..count {
        body.cstr()?;
        body.take(4 + 2 + 4 + 2 + 4)?;
        let at = description.len() - body.rest().len();
        body.u16()?;
        let index = if codes == 1 { 0 } else { column };
        let code = formats.get(index * 2..index * 2 + 2).unwrap_or(&[0, 0]);
        if let Some(field) = out.get_mut(at..at + 2) {
            field.copy_from_slice(code);
        }
    }
    body.end()?;
    Ok(out)
}

/// Whether two descriptions, each a RowDescription or a NoData, promise columns of the same names
/// and types, wherever these come from and in whatever format.
pub fn same_columns(one: &[u8], other: &[u8]) -> bool {
    if one.first() != Some(&tag::ROW_DESCRIPTION) || other.first() != Some(&tag::ROW_DESCRIPTION) {
        return one == other;
    }
    described(one).is_ok_and(|one| described(other).is_ok_and(|other| one == other))
}

/// Whether two descriptions have columns of the same types, whatever their names.
pub fn same_types(one: &[u8], other: &[u8]) -> bool {
    let types = |frame| -> Result<Vec<_>, BodyError> {
        Ok(described(frame)?.into_iter().map(|(_, ty)| ty).collect())
    };
    types(one).is_ok_and(|one| types(other).is_ok_and(|other| one == other))
}

/// The name of a column, and its type with length and modifier.
type Column<'a> = (&'a [u8], &'a [u8]);

fn described(frame: &[u8]) -> Result<Vec<Column<'_>>, BodyError> {
    let mut body = Body::of(frame, tag::ROW_DESCRIPTION)?;
    let count = body.u16()?;
    let mut columns = Vec::new();
    for _ in 0..count {
        let name = body.cstr()?;
        body.take(4 + 2)?;
        columns.push((name, body.take(4 + 2 + 4)?));
        body.u16()?;
    }
    body.end()?;
    Ok(columns)
}

/// The ErrorResponse by which PostgreSQL says that a prepared statement no longer returns what it
/// did when it was parsed, in place of `frame`, another error of the same severity.
///
/// The line of the server's source is missing: it differs from version to version.
pub fn stale_plan(frame: &[u8]) -> BytesMut {
    let mut out = BytesMut::new();
    crate::frontend::put(&mut out, tag::ERROR, |body| {
        let fields = frame.get(crate::HEADER..).unwrap_or_default();
        for field in fields.split(|&byte| byte == 0) {
            if matches!(field.first(), Some(b'S' | b'V')) {
                body.extend_from_slice(field);
                body.extend_from_slice(&[0]);
            }
        }
        body.extend_from_slice(STALE_PLAN);
    });
    out
}

const STALE_PLAN: &[u8] = b"C0A000\0Mcached plan must not change result type\0\
    Fplancache.c\0RRevalidateCachedQuery\0\0";

/// Appends a CommandComplete.
pub fn put_command_complete(out: &mut BytesMut, command: &[u8]) {
    crate::frontend::put(out, tag::COMMAND_COMPLETE, |body| {
        body.extend_from_slice(command);
        body.extend_from_slice(&[0]);
    });
}

/// An ErrorResponse of our own: only where no server can judge any more.
pub fn error(severity: &str, code: &str, message: &str) -> BytesMut {
    use pgwire::error::ErrorInfo;
    use pgwire::messages::{Message, response::ErrorResponse};
    let info = ErrorInfo::new(severity.to_owned(), code.to_owned(), message.to_owned());
    let mut out = BytesMut::new();
    let response = ErrorResponse::from(info);
    if response.encode(&mut out).is_err() {
        out.clear();
    }
    out
}

#[cfg(test)]
mod tests;
