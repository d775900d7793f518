//! What a client sends, built message by message.

use std::borrow::Cow;

/// Bytes on their way to the server.
pub type Bytes = Cow<'static, [u8]>;

/// A format code.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Format {
    /// 0.
    Text,
    /// 1.
    Binary,
}

/// Messages of a client, one behind the other.
#[derive(Clone, Debug, Default)]
pub struct Frontend(Vec<u8>);

impl Frontend {
    /// None yet.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// The bytes so far.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Takes the bytes.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// Any bytes.
    #[must_use]
    pub fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    /// A message of any type with any body.
    #[must_use]
    pub fn message(mut self, tag: u8, body: &[u8]) -> Self {
        self.0.push(tag);
        self.0
            .extend_from_slice(&(body.len() as u32 + 4).to_be_bytes());
        self.raw(body)
    }

    /// `Query`.
    #[must_use]
    pub fn query(self, sql: &str) -> Self {
        self.message(b'Q', &text(sql))
    }

    /// `Parse`.
    #[must_use]
    pub fn parse(self, name: &str, sql: &str, types: &[u32]) -> Self {
        let mut body = [text(name), text(sql), count(types.len())].concat();
        types
            .iter()
            .for_each(|kind| body.extend(kind.to_be_bytes()));
        self.message(b'P', &body)
    }

    /// `Bind` with text parameters and text results.
    #[must_use]
    pub fn bind(self, portal: &str, statement: &str, parameters: &[&str]) -> Self {
        let parameters: Vec<_> = parameters
            .iter()
            .map(|value| Some(value.as_bytes()))
            .collect();
        self.bind_with(portal, statement, &[], &parameters, &[])
    }

    /// `Bind` with everything said.
    #[must_use]
    pub fn bind_with(
        self,
        portal: &str,
        statement: &str,
        formats: &[Format],
        parameters: &[Option<&[u8]>],
        results: &[Format],
    ) -> Self {
        let mut body = [text(portal), text(statement), codes(formats)].concat();
        body.extend(count(parameters.len()));
        for parameter in parameters {
            match parameter {
                None => body.extend((-1_i32).to_be_bytes()),
                Some(value) => {
                    body.extend((value.len() as u32).to_be_bytes());
                    body.extend(*value);
                }
            }
        }
        body.extend(codes(results));
        self.message(b'B', &body)
    }

    /// `Describe` of a statement.
    #[must_use]
    pub fn describe_statement(self, name: &str) -> Self {
        self.message(b'D', &[b"S".to_vec(), text(name)].concat())
    }

    /// `Describe` of a portal.
    #[must_use]
    pub fn describe_portal(self, name: &str) -> Self {
        self.message(b'D', &[b"P".to_vec(), text(name)].concat())
    }

    /// `Execute` of at most `rows` rows, or all if zero.
    #[must_use]
    pub fn execute(self, portal: &str, rows: u32) -> Self {
        self.message(b'E', &[text(portal), rows.to_be_bytes().to_vec()].concat())
    }

    /// `Close` of a statement.
    #[must_use]
    pub fn close_statement(self, name: &str) -> Self {
        self.message(b'C', &[b"S".to_vec(), text(name)].concat())
    }

    /// `Close` of a portal.
    #[must_use]
    pub fn close_portal(self, name: &str) -> Self {
        self.message(b'C', &[b"P".to_vec(), text(name)].concat())
    }

    /// `Sync`.
    #[must_use]
    pub fn sync(self) -> Self {
        self.message(b'S', b"")
    }

    /// `Flush`.
    #[must_use]
    pub fn flush(self) -> Self {
        self.message(b'H', b"")
    }

    /// `CopyData`.
    #[must_use]
    pub fn copy_data(self, bytes: &[u8]) -> Self {
        self.message(b'd', bytes)
    }

    /// `CopyDone`.
    #[must_use]
    pub fn copy_done(self) -> Self {
        self.message(b'c', b"")
    }

    /// `CopyFail`.
    #[must_use]
    pub fn copy_fail(self, why: &str) -> Self {
        self.message(b'f', &text(why))
    }

    /// `FunctionCall` with text arguments and a text result.
    #[must_use]
    pub fn function_call(self, function: u32, arguments: &[&str]) -> Self {
        let mut body = [function.to_be_bytes().to_vec(), codes(&[])].concat();
        body.extend(count(arguments.len()));
        for argument in arguments {
            body.extend((argument.len() as u32).to_be_bytes());
            body.extend(argument.as_bytes());
        }
        body.extend(0_u16.to_be_bytes());
        self.message(b'F', &body)
    }

    /// `Terminate`.
    #[must_use]
    pub fn terminate(self) -> Self {
        self.message(b'X', b"")
    }

    /// A startup packet of any version with these parameters, in order.
    #[must_use]
    pub fn startup(mut self, version: u32, parameters: &[(&str, &str)]) -> Self {
        let mut body = version.to_be_bytes().to_vec();
        for (name, value) in parameters {
            body.extend([text(name), text(value)].concat());
        }
        body.push(0);
        self.0.extend((body.len() as u32 + 4).to_be_bytes());
        self.raw(&body)
    }

    /// A cancel request.
    #[must_use]
    pub fn cancel(mut self, pid: u32, key: &[u8]) -> Self {
        self.0.extend((12 + key.len() as u32).to_be_bytes());
        self.0.extend(80_877_102_u32.to_be_bytes());
        self.0.extend(pid.to_be_bytes());
        self.raw(key)
    }
}

fn text(value: &str) -> Vec<u8> {
    [value.as_bytes(), b"\0"].concat()
}

fn count(length: usize) -> Vec<u8> {
    (length as u16).to_be_bytes().to_vec()
}

fn codes(formats: &[Format]) -> Vec<u8> {
    let mut bytes = count(formats.len());
    formats
        .iter()
        .for_each(|&format| bytes.extend((format as u16).to_be_bytes()));
    bytes
}
