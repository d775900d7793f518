//! Messages as tests write and read them: what clients send, and what they are sent.

use std::fmt;

use bytes::{BufMut, BytesMut};

/// What a client sends. Names are empty for the unnamed statement and portal.
#[derive(Clone, Eq, PartialEq)]
pub(super) enum Message {
    Query(String),
    Parse {
        name: String,
        text: String,
        types: Vec<u32>,
    },
    Bind {
        portal: String,
        statement: String,
        values: Vec<Value>,
        /// Result formats.
        formats: Vec<u16>,
    },
    DescribeStatement(String),
    DescribePortal(String),
    Execute {
        portal: String,
        rows: i32,
    },
    CloseStatement(String),
    ClosePortal(String),
    Flush,
    Sync,
    CopyData(String),
    CopyDone,
    CopyFail(String),
}

/// A bound parameter.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Value {
    Null,
    Text(String),
    Binary(i32),
}

impl Message {
    /// Appends the frame.
    pub(super) fn put(&self, out: &mut BytesMut) {
        match self {
            Self::Query(text) => put(out, b'Q', |body| cstr(body, text)),
            Self::Parse { name, text, types } => put(out, b'P', |body| {
                cstr(body, name);
                cstr(body, text);
                count(body, types.len());
                types.iter().for_each(|&oid| body.put_u32(oid));
            }),
            Self::Bind {
                portal,
                statement,
                values,
                formats,
            } => put(out, b'B', |body| {
                cstr(body, portal);
                cstr(body, statement);
                put_values(body, values);
                count(body, formats.len());
                formats.iter().for_each(|&code| body.put_u16(code));
            }),
            Self::DescribeStatement(name) => put(out, b'D', |body| named(body, b'S', name)),
            Self::DescribePortal(name) => put(out, b'D', |body| named(body, b'P', name)),
            Self::Execute { portal, rows } => put(out, b'E', |body| {
                cstr(body, portal);
                body.put_i32(*rows);
            }),
            Self::CloseStatement(name) => put(out, b'C', |body| named(body, b'S', name)),
            Self::ClosePortal(name) => put(out, b'C', |body| named(body, b'P', name)),
            Self::Flush => put(out, b'H', |_| ()),
            Self::Sync => put(out, b'S', |_| ()),
            Self::CopyData(data) => put(out, b'd', |body| body.put_slice(data.as_bytes())),
            Self::CopyDone => put(out, b'c', |_| ()),
            Self::CopyFail(text) => put(out, b'f', |body| cstr(body, text)),
        }
    }
}

fn put_values(body: &mut BytesMut, values: &[Value]) {
    let binary = |value: &Value| matches!(value, Value::Binary(_));
    if values.iter().any(binary) {
        count(body, values.len());
        values
            .iter()
            .for_each(|value| body.put_u16(u16::from(binary(value))));
    } else {
        count(body, 0);
    }
    count(body, values.len());
    for value in values {
        match value {
            Value::Null => body.put_i32(-1),
            Value::Text(text) => {
                body.put_u32(u32::try_from(text.len()).unwrap());
                body.put_slice(text.as_bytes());
            }
            Value::Binary(number) => {
                body.put_u32(4);
                body.put_i32(*number);
            }
        }
    }
}

/// Appends a frame whose body `write` appends.
pub(super) fn put(out: &mut BytesMut, tag: u8, write: impl FnOnce(&mut BytesMut)) {
    let mut body = BytesMut::new();
    write(&mut body);
    out.put_u8(tag);
    out.put_u32(u32::try_from(body.len() + 4).unwrap());
    out.put_slice(&body);
}

pub(super) fn cstr(body: &mut BytesMut, text: &str) {
    body.put_slice(text.as_bytes());
    body.put_u8(0);
}

fn named(body: &mut BytesMut, target: u8, name: &str) {
    body.put_u8(target);
    cstr(body, name);
}

pub(super) fn count(body: &mut BytesMut, count: usize) {
    body.put_u16(u16::try_from(count).unwrap());
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// As a transcript has it; [`read`] is the inverse.
impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = |f: &mut fmt::Formatter<'_>, key: &str, value: &str| match value {
            "" => Ok(()),
            value => write!(f, " {key}{value}"),
        };
        match self {
            Self::Query(text) => write!(f, "Query \"{text}\""),
            Self::Parse { name, text, types } => {
                write!(f, "Parse")?;
                word(f, "", name)?;
                write!(f, " \"{text}\"")?;
                let types: Vec<_> = types.iter().map(|&oid| type_name(oid)).collect();
                word(f, "types=", &types.join("+"))
            }
            Self::Bind {
                portal,
                statement,
                values,
                formats,
            } => {
                write!(f, "Bind")?;
                word(f, "portal=", portal)?;
                word(f, "statement=", statement)?;
                let values: Vec<_> = values.iter().map(Value::to_string).collect();
                word(f, "values=", &values.join("+"))?;
                let formats: Vec<_> = formats.iter().map(|&code| format_name(code)).collect();
                word(f, "results=", &formats.join("+"))
            }
            Self::DescribeStatement(name) => write!(f, "Describe statement={name}"),
            Self::DescribePortal(name) => write!(f, "Describe portal={name}"),
            Self::Execute { portal, rows } => {
                write!(f, "Execute")?;
                word(f, "portal=", portal)?;
                match rows {
                    0 => Ok(()),
                    rows => write!(f, " rows={rows}"),
                }
            }
            Self::CloseStatement(name) => write!(f, "Close statement={name}"),
            Self::ClosePortal(name) => write!(f, "Close portal={name}"),
            Self::Flush => write!(f, "Flush"),
            Self::Sync => write!(f, "Sync"),
            Self::CopyData(data) => write!(f, "CopyData \"{}\"", data.escape_default()),
            Self::CopyDone => write!(f, "CopyDone"),
            Self::CopyFail(text) => write!(f, "CopyFail \"{text}\""),
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => write!(f, "null"),
            Self::Text(text) => write!(f, "'{text}'"),
            Self::Binary(number) => write!(f, "0x{number:08x}"),
        }
    }
}

/// Reads one message of a transcript.
pub(super) fn read(text: &str) -> Message {
    let (kind, rest) = text.split_once(' ').unwrap_or((text, ""));
    let (quoted, rest) = match rest.split_once('"') {
        Some((before, after)) => {
            let (quoted, after) = after.rsplit_once('"').expect("a closing quote");
            (quoted.to_owned(), format!("{before}{after}"))
        }
        None => (String::new(), rest.to_owned()),
    };
    let words: Vec<&str> = rest.split_whitespace().collect();
    let option = |key: &str| words.iter().find_map(|word| word.strip_prefix(key));
    let value = |key| option(key).unwrap_or_default().to_owned();
    let list = |key: &str| -> Vec<&str> {
        let parts = option(key).unwrap_or_default().split('+');
        parts.filter(|part| !part.is_empty()).collect()
    };
    match kind {
        "Query" => Message::Query(quoted),
        "Parse" => Message::Parse {
            name: words
                .iter()
                .find(|word| !word.contains('='))
                .map_or(String::new(), |&word| word.to_owned()),
            text: quoted,
            types: list("types=").into_iter().map(type_oid).collect(),
        },
        "Bind" => Message::Bind {
            portal: value("portal="),
            statement: value("statement="),
            values: list("values=").into_iter().map(read_value).collect(),
            formats: list("results=")
                .into_iter()
                .map(|name| u16::from(name == "binary"))
                .collect(),
        },
        "Describe" if option("portal=").is_some() => Message::DescribePortal(value("portal=")),
        "Describe" => Message::DescribeStatement(value("statement=")),
        "Close" if option("portal=").is_some() => Message::ClosePortal(value("portal=")),
        "Close" => Message::CloseStatement(value("statement=")),
        "Execute" => Message::Execute {
            portal: value("portal="),
            rows: option("rows=").map_or(0, |rows| rows.parse().unwrap()),
        },
        "Flush" => Message::Flush,
        "Sync" => Message::Sync,
        "CopyData" => Message::CopyData(quoted.replace("\\t", "\t").replace("\\n", "\n")),
        "CopyDone" => Message::CopyDone,
        "CopyFail" => Message::CopyFail(quoted),
        _ => panic!("no message is called `{kind}`"),
    }
}

fn read_value(text: &str) -> Value {
    match text.strip_prefix("0x") {
        Some(digits) => Value::Binary(i32::from_str_radix(digits, 16).unwrap()),
        None if text == "null" => Value::Null,
        None => Value::Text(text.trim_matches('\'').to_owned()),
    }
}

const TYPES: [(u32, &str); 3] = [(20, "int8"), (23, "int4"), (25, "text")];

fn type_name(oid: u32) -> &'static str {
    TYPES
        .iter()
        .find(|(known, _)| *known == oid)
        .map_or("other", |(_, name)| name)
}

fn type_oid(name: &str) -> u32 {
    let known = TYPES.iter().find(|(_, known)| *known == name);
    known.expect("a known type").0
}

const fn format_name(code: u16) -> &'static str {
    match code {
        0 => "text",
        _ => "binary",
    }
}

/// Cuts bytes into frames; the last may be incomplete.
pub(super) fn frames(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut frames = Vec::new();
    while !bytes.is_empty() {
        let total = match wire::header(bytes) {
            Ok(Some(header)) => header.total.min(bytes.len()),
            Ok(None) | Err(_) => bytes.len(),
        };
        let (frame, rest) = bytes.split_at(total);
        frames.push(frame);
        bytes = rest;
    }
    frames
}

/// Every message in bytes that a client sent, one string each.
pub(super) fn show_client(bytes: &[u8]) -> Vec<String> {
    frames(bytes).into_iter().map(client_frame).collect()
}

/// Every message in bytes that a server sent, one string each.
pub(super) fn show_server(bytes: &[u8]) -> Vec<String> {
    frames(bytes).into_iter().map(server_frame).collect()
}

fn client_frame(frame: &[u8]) -> String {
    let mut body = Fields(frame.get(5..).unwrap_or_default());
    let message = match frame[0] {
        b'Q' => Message::Query(body.text()),
        b'P' => Message::Parse {
            name: body.text(),
            text: body.text(),
            types: (0..body.u16()).map(|_| body.u32()).collect(),
        },
        b'B' => {
            let (portal, statement) = (body.text(), body.text());
            let codes: Vec<u16> = (0..body.u16()).map(|_| body.u16()).collect();
            let values = (0..body.u16()).map(|n| match body.value() {
                None => Value::Null,
                Some(bytes) if codes.get(usize::from(n)) == Some(&1) => {
                    Value::Binary(i32::from_be_bytes(bytes.try_into().unwrap_or_default()))
                }
                Some(bytes) => Value::Text(String::from_utf8_lossy(bytes).into_owned()),
            });
            let values = values.collect();
            Message::Bind {
                portal,
                statement,
                values,
                formats: (0..body.u16()).map(|_| body.u16()).collect(),
            }
        }
        b'D' if body.u8() == b'S' => Message::DescribeStatement(body.text()),
        b'D' => Message::DescribePortal(body.text()),
        b'C' if body.u8() == b'S' => Message::CloseStatement(body.text()),
        b'C' => Message::ClosePortal(body.text()),
        b'E' => Message::Execute {
            portal: body.text(),
            rows: body.u32().cast_signed(),
        },
        b'H' => Message::Flush,
        b'S' => Message::Sync,
        b'd' => Message::CopyData(String::from_utf8_lossy(body.0).into_owned()),
        b'c' => Message::CopyDone,
        b'f' => Message::CopyFail(body.text()),
        b'X' => return "Terminate".to_owned(),
        tag => return format!("message `{}`", char::from(tag)),
    };
    message.to_string()
}

fn server_frame(frame: &[u8]) -> String {
    let mut body = Fields(frame.get(5..).unwrap_or_default());
    let mut coded = |name: &str| {
        let fields = body.fields();
        let field = |tag| {
            let found = fields.iter().find(|(known, _)| *known == tag);
            found.map_or("", |(_, text)| text.as_str())
        };
        format!("{name} {} \"{}\"", field(b'C'), field(b'M'))
    };
    match frame[0] {
        b'E' => coded("ErrorResponse"),
        b'N' => coded("NoticeResponse"),
        b'1' => "ParseComplete".to_owned(),
        b'2' => "BindComplete".to_owned(),
        b'3' => "CloseComplete".to_owned(),
        b'n' => "NoData".to_owned(),
        b's' => "PortalSuspended".to_owned(),
        b'I' => "EmptyQueryResponse".to_owned(),
        b'G' => "CopyInResponse".to_owned(),
        b'H' => "CopyOutResponse".to_owned(),
        b'c' => "CopyDone".to_owned(),
        b'd' => format!("CopyData {:?}", String::from_utf8_lossy(body.0)),
        b'C' => format!("CommandComplete \"{}\"", body.text()),
        b'S' => format!("ParameterStatus {} \"{}\"", body.text(), body.text()),
        b't' => {
            let types: Vec<_> = (0..body.u16()).map(|_| type_name(body.u32())).collect();
            format!("ParameterDescription {}", types.join(" "))
                .trim_end()
                .to_owned()
        }
        b'T' => format!("RowDescription {}", body.columns().join(" ")),
        b'D' => {
            let values = (0..body.u16()).map(|_| match body.value() {
                None => "null".to_owned(),
                Some(bytes) => format!("\"{}\"", bytes.escape_ascii()),
            });
            format!("DataRow {}", values.collect::<Vec<_>>().join(" "))
        }
        b'Z' => match body.u8() {
            b'I' => "ReadyForQuery idle".to_owned(),
            b'T' => "ReadyForQuery transaction".to_owned(),
            _ => "ReadyForQuery failed".to_owned(),
        },
        tag => format!("message `{}`", char::from(tag)),
    }
}

/// The rest of a body that is read field by field; past its end everything is empty.
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, count: usize) -> &'a [u8] {
        let (head, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        head
    }

    pub(super) fn u8(&mut self) -> u8 {
        self.take(1).first().copied().unwrap_or_default()
    }

    pub(super) fn u16(&mut self) -> u16 {
        u16::from_be_bytes(self.take(2).try_into().unwrap_or_default())
    }

    pub(super) fn u32(&mut self) -> u32 {
        u32::from_be_bytes(self.take(4).try_into().unwrap_or_default())
    }

    pub(super) fn text(&mut self) -> String {
        let end = self.0.iter().position(|&byte| byte == 0);
        let bytes = self.take(end.unwrap_or(self.0.len()));
        self.take(1);
        String::from_utf8_lossy(bytes).into_owned()
    }

    pub(super) fn value(&mut self) -> Option<&'a [u8]> {
        let length = self.u32();
        let length = usize::try_from(length.cast_signed()).ok()?;
        Some(self.take(length))
    }

    fn fields(&mut self) -> Vec<(u8, String)> {
        let mut fields = Vec::new();
        loop {
            match self.u8() {
                0 => return fields,
                tag => fields.push((tag, self.text())),
            }
        }
    }

    fn columns(&mut self) -> Vec<String> {
        let columns = (0..self.u16()).map(|_| {
            let name = self.text();
            let table = self.u32();
            self.u16();
            let kind = type_name(self.u32());
            self.take(6);
            let format = match self.u16() {
                0 => "",
                _ => ":binary",
            };
            let table = match table {
                0 => String::new(),
                table => format!("@{table}"),
            };
            format!("{name}{table}:{kind}{format}")
        });
        columns.collect()
    }
}
