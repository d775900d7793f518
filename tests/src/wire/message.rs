//! What a server sends, cut into messages and shown as text.

use std::fmt;

/// One message of the server.
#[derive(Clone, Eq, PartialEq)]
pub struct Message {
    /// Its type.
    pub tag: u8,
    /// What follows the length.
    pub body: Vec<u8>,
}

impl Message {
    /// The field `code` of an error or a notice.
    pub fn field(&self, code: u8) -> Option<String> {
        let mut rest = self.body.as_slice();
        while let Some((&kind, tail)) = rest.split_first() {
            let end = tail.iter().position(|&byte| byte == 0)?;
            if kind == code {
                return Some(String::from_utf8_lossy(&tail[..end]).into_owned());
            }
            rest = &tail[end + 1..];
        }
        None
    }

    /// The SQLSTATE of an error or a notice.
    pub fn sqlstate(&self) -> String {
        self.field(b'C').unwrap_or_default()
    }

    /// The values of a row; `None` is NULL.
    pub fn values(&self) -> Vec<Option<Vec<u8>>> {
        let mut reader = Reader(&self.body);
        let count = reader.u16();
        (0..count)
            .map(|_| {
                let length = reader.i32();
                (length >= 0).then(|| reader.take(length as usize).to_vec())
            })
            .collect()
    }

    /// Names and types of the columns.
    pub fn columns(&self) -> Vec<(String, u32)> {
        let mut reader = Reader(&self.body);
        let count = reader.u16();
        (0..count)
            .map(|_| {
                let name = reader.text();
                reader.take(6);
                let kind = reader.i32() as u32;
                reader.take(8);
                (name, kind)
            })
            .collect()
    }

    /// The text of a message that holds one, such as a command tag.
    pub fn text(&self) -> String {
        Reader(&self.body).text()
    }

    /// One line that means the same on two servers with the same data: no object ids of users.
    pub fn shown(&self) -> Option<String> {
        Some(match self.tag {
            b'T' => {
                let column = |(name, kind): (String, u32)| match kind {
                    0..16384 => format!("{name}:{kind}"),
                    _ => format!("{name}:user"),
                };
                let columns: Vec<_> = self.columns().into_iter().map(column).collect();
                format!("columns {}", columns.join(" | "))
            }
            b'D' => {
                let value = |value: Option<Vec<u8>>| match value {
                    None => "NULL".to_owned(),
                    Some(bytes) => format!("'{}'", bytes.escape_ascii()),
                };
                let values: Vec<_> = self.values().into_iter().map(value).collect();
                format!("row {}", values.join(" | "))
            }
            b'C' => format!("done {}", self.text()),
            b'E' => format!("error {}", self.sqlstate()),
            b'N' => format!("notice {}", self.field(b'M').unwrap_or_default()),
            b'I' => "empty".to_owned(),
            b's' => "suspended".to_owned(),
            b'G' => "copy in".to_owned(),
            b'H' => "copy out".to_owned(),
            b'd' => format!("copied '{}'", self.body.escape_ascii()),
            b'A' => {
                let mut reader = Reader(self.body.get(4..).unwrap_or_default());
                format!("notification {} '{}'", reader.text(), reader.text())
            }
            b'Z' => format!("ready {}", self.body.escape_ascii()),
            _ => return None,
        })
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = &self.body[..self.body.len().min(200)];
        write!(f, "{} \"{}\"", char::from(self.tag), shown.escape_ascii())?;
        if shown.len() < self.body.len() {
            write!(f, "… {} bytes", self.body.len())?;
        }
        Ok(())
    }
}

/// All messages of one answer, up to and with `ReadyForQuery` unless the connection ended.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Answer(pub Vec<Message>);

impl Answer {
    /// The SQLSTATE of its first error.
    pub fn error(&self) -> Option<String> {
        self.0
            .iter()
            .find(|message| message.tag == b'E')
            .map(Message::sqlstate)
    }

    /// All rows, as text.
    pub fn rows(&self) -> Vec<Vec<Option<String>>> {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        let row = |message: &Message| message.values().into_iter().map(|v| v.map(text)).collect();
        self.0
            .iter()
            .filter(|message| message.tag == b'D')
            .map(row)
            .collect()
    }

    /// The first value of the first row.
    pub fn value(&self) -> Option<String> {
        self.rows().into_iter().next()?.into_iter().next()?
    }

    /// Its messages as lines, see [`Message::shown`].
    pub fn shown(&self) -> Vec<String> {
        self.0.iter().filter_map(Message::shown).collect()
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> &'a [u8] {
        let (head, tail) = self.0.split_at(count.min(self.0.len()));
        self.0 = tail;
        head
    }

    fn u16(&mut self) -> u16 {
        self.take(2).try_into().map_or(0, u16::from_be_bytes)
    }

    fn i32(&mut self) -> i32 {
        self.take(4).try_into().map_or(-1, i32::from_be_bytes)
    }

    fn text(&mut self) -> String {
        let end = self
            .0
            .iter()
            .position(|&byte| byte == 0)
            .unwrap_or(self.0.len());
        let text = String::from_utf8_lossy(self.take(end)).into_owned();
        self.take(1);
        text
    }
}
