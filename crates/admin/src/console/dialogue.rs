//! What the console says to what it is told: bytes in, bytes out.
//!
//! Invariant: nothing that a client says changes anything but its own statements, portals and whether
//! it believes itself in a block. All of these are bounded.

use std::collections::HashMap;

use bytes::{BufMut, Bytes, BytesMut};
use wire::{
    Header,
    backend::{self, Status, tag as told},
    frontend::{self, Bind, Parse, Target, tag},
};

use super::{
    command::{Command, Unknown, commands},
    encode::{Formats, put, put_description, put_error, put_row},
};
use crate::{
    show::Shown,
    table::{Column, Table, Value},
};

/// One client's dialogue behind its login.
pub(super) struct Dialogue {
    shown: Shown,
    statements: HashMap<Bytes, Command>,
    portals: HashMap<Bytes, Portal>,
    in_block: bool,
    /// An error came in answer to a part of the extended protocol: what follows is passed over.
    skipping: bool,
}

/// Whether more is to be heard.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Then {
    GoOn,
    Close,
}

struct Portal {
    command: Command,
    formats: Formats,
    /// From its first Execute on.
    begun: Option<Table>,
    sent: usize,
}

/// Most bytes of a message. No command is longer.
pub(super) const MESSAGE_MAX: usize = 16 << 10;

/// Most statements that a client may have.
const STATEMENTS_MAX: usize = 64;

/// Most portals that it may have: each may hold a table.
const PORTALS_MAX: usize = 4;

/// No further command of a string is carried out when there are so many bytes of results.
const RESULTS_MAX: usize = 4 << 20;

impl Dialogue {
    pub(super) fn new(shown: Shown) -> Self {
        Self {
            shown,
            statements: HashMap::new(),
            portals: HashMap::new(),
            in_block: false,
            skipping: false,
        }
    }

    /// Handles every whole message in `input`, as long as no more than `most` bytes are to be sent.
    pub(super) fn hear(&mut self, input: &mut BytesMut, out: &mut BytesMut, most: usize) -> Then {
        loop {
            let header = match wire::header(input) {
                Ok(Some(header)) if header.total <= MESSAGE_MAX => header,
                Ok(None) => return Then::GoOn,
                Ok(Some(_)) | Err(_) => {
                    TOO_LONG.put(out, "FATAL");
                    return Then::Close;
                }
            };
            if input.len() < header.total || out.len() >= most {
                return Then::GoOn;
            }
            let frame = input.split_to(header.total);
            if self.message(header, &frame, out) == Then::Close {
                return Then::Close;
            }
        }
    }

    fn message(&mut self, header: Header, frame: &[u8], out: &mut BytesMut) -> Then {
        if header.tag == tag::TERMINATE {
            return Then::Close;
        }
        if header.tag == tag::SYNC {
            self.skipping = false;
            self.ready(out);
            return Then::GoOn;
        }
        if self.skipping {
            return Then::GoOn;
        }
        let done = match header.tag {
            tag::QUERY => {
                self.query(frame, out);
                return Then::GoOn;
            }
            tag::PARSE => self.parse(frame, out),
            tag::BIND => self.bind(frame, out),
            tag::DESCRIBE => self.describe(frame, out),
            tag::EXECUTE => self.execute(frame, out),
            tag::CLOSE => self.close(frame, out),
            tag::FLUSH => Ok(()),
            _ => {
                MALFORMED.put(out, "FATAL");
                return Then::Close;
            }
        };
        if let Err(refusal) = done {
            refusal.put(out, "ERROR");
            self.skipping = true;
        }
        Then::GoOn
    }

    fn query(&mut self, frame: &[u8], out: &mut BytesMut) {
        let done = frontend::query(frame)
            .map_err(|_| MALFORMED)
            .and_then(text_of)
            .and_then(|text| {
                commands(text).into_iter().try_for_each(|text| {
                    let command = Command::read(text)?;
                    if out.len() > RESULTS_MAX {
                        return Err(TOO_MUCH);
                    }
                    if let Some(columns) = columns(command) {
                        put_description(out, columns, &Formats::default());
                    }
                    let table = self.begin(command);
                    let rows = table.iter().flat_map(|table| &table.rows);
                    rows.for_each(|row| put_row(out, row, &Formats::default()));
                    put_end(out, command);
                    Ok(())
                })
            });
        if let Err(refusal) = done {
            refusal.put(out, "ERROR");
        }
        self.ready(out);
    }

    fn parse(&mut self, frame: &[u8], out: &mut BytesMut) -> Result<(), Refusal> {
        let parse = Parse::read(frame).map_err(|_| MALFORMED)?;
        let [text] = commands(text_of(parse.text)?)[..] else {
            return Err(SEVERAL);
        };
        let command = Command::read(text)?;
        room(&self.statements, parse.name, STATEMENTS_MAX)?;
        self.statements
            .insert(Bytes::copy_from_slice(parse.name), command);
        out.put_slice(backend::PARSE_COMPLETE);
        Ok(())
    }

    fn bind(&mut self, frame: &[u8], out: &mut BytesMut) -> Result<(), Refusal> {
        let bind = Bind::read(frame).map_err(|_| MALFORMED)?;
        let command = *self.statements.get(bind.statement).ok_or(NO_STATEMENT)?;
        if bind.parameters() > 0 {
            return Err(PARAMETERS);
        }
        let count = columns(command).unwrap_or_default().len();
        let formats = Formats::read(bind.result_formats, count).ok_or(FORMATS)?;
        room(&self.portals, bind.portal, PORTALS_MAX)?;
        let portal = Portal {
            command,
            formats,
            begun: None,
            sent: 0,
        };
        self.portals
            .insert(Bytes::copy_from_slice(bind.portal), portal);
        out.put_slice(backend::BIND_COMPLETE);
        Ok(())
    }

    fn describe(&self, frame: &[u8], out: &mut BytesMut) -> Result<(), Refusal> {
        let (target, name) = frontend::target(frame).map_err(|_| MALFORMED)?;
        let (command, formats) = match target {
            Target::Statement => {
                let command = self.statements.get(name).ok_or(NO_STATEMENT)?;
                out.put_slice(backend::NO_PARAMETERS);
                (*command, Formats::default())
            }
            Target::Portal => {
                let portal = self.portals.get(name).ok_or(NO_PORTAL)?;
                (portal.command, portal.formats.clone())
            }
        };
        match columns(command) {
            Some(columns) => put_description(out, columns, &formats),
            None => out.put_slice(backend::NO_DATA),
        }
        Ok(())
    }

    fn execute(&mut self, frame: &[u8], out: &mut BytesMut) -> Result<(), Refusal> {
        let (name, limit) = frontend::execute(frame).map_err(|_| MALFORMED)?;
        let mut portal = self.portals.remove(name).ok_or(NO_PORTAL)?;
        if portal.begun.is_none() {
            portal.begun = self.begin(portal.command);
        }
        let limit = usize::try_from(limit).ok().filter(|limit| *limit > 0);
        let rows = portal.begun.as_ref().map_or(&[][..], |it| &it.rows[..]);
        let rows = rows.get(portal.sent..).unwrap_or_default();
        let (now, _) = rows.split_at(rows.len().min(limit.unwrap_or(usize::MAX)));
        for row in now {
            put_row(out, row, &portal.formats);
        }
        portal.sent += now.len();
        // As in PostgreSQL, a portal does not know that it has ended before it is asked for more.
        if limit == Some(now.len()) && portal.begun.is_some() {
            out.put_slice(backend::PORTAL_SUSPENDED);
        } else {
            put_end(out, portal.command);
        }
        self.portals.insert(Bytes::copy_from_slice(name), portal);
        Ok(())
    }

    fn close(&mut self, frame: &[u8], out: &mut BytesMut) -> Result<(), Refusal> {
        match frontend::target(frame).map_err(|_| MALFORMED)? {
            (Target::Statement, name) => _ = self.statements.remove(name),
            (Target::Portal, name) => _ = self.portals.remove(name),
        }
        out.put_slice(backend::CLOSE_COMPLETE);
        Ok(())
    }

    /// Carries a command out; its rows, if it has any.
    fn begin(&mut self, command: Command) -> Option<Table> {
        match command {
            Command::Show { topic, limit } => Some(topic.table(&self.shown, limit)),
            Command::Setting(setting) => Some(Table {
                columns: &setting.column,
                rows: vec![vec![Value::from(setting.value)]],
            }),
            Command::Begin => {
                self.in_block = true;
                None
            }
            Command::End(_) => {
                self.in_block = false;
                None
            }
            Command::Nothing("DISCARD ALL" | "DEALLOCATE ALL") => {
                self.statements.clear();
                None
            }
            Command::Nothing(_) | Command::Empty => None,
        }
    }

    fn ready(&mut self, out: &mut BytesMut) {
        if !self.in_block {
            // Portals end with their transaction.
            self.portals.clear();
        }
        out.put_slice(backend::ready(match self.in_block {
            true => Status::Transaction,
            false => Status::Idle,
        }));
    }
}

/// The columns of the rows that answer a command.
fn columns(command: Command) -> Option<&'static [Column]> {
    match command {
        Command::Show { topic, .. } => Some(topic.columns()),
        Command::Setting(setting) => Some(&setting.column),
        Command::Nothing(_) | Command::Begin | Command::End(_) | Command::Empty => None,
    }
}

fn put_end(out: &mut BytesMut, command: Command) {
    let command = match command {
        Command::Show { .. } | Command::Setting(..) => "SHOW",
        Command::Begin => "BEGIN",
        Command::End(tag) | Command::Nothing(tag) => tag,
        Command::Empty => return put(out, told::EMPTY_QUERY, |_| ()),
    };
    backend::put_command_complete(out, command.as_bytes());
}

fn text_of(text: &[u8]) -> Result<&str, Refusal> {
    std::str::from_utf8(text).map_err(|_| ENCODING)
}

/// Whether one more of a name may be kept.
fn room<T>(known: &HashMap<Bytes, T>, name: &[u8], most: usize) -> Result<(), Refusal> {
    let fits = known.len() < most || known.contains_key(name);
    fits.then_some(()).ok_or(TOO_MANY)
}

/// An error: its SQLSTATE, what it says, and what to do.
#[derive(Clone, Copy)]
struct Refusal(&'static str, &'static str, &'static str);

impl Refusal {
    fn put(self, out: &mut BytesMut, severity: &str) {
        let Self(code, text, hint) = self;
        put_error(out, &error(severity, code, text, hint));
    }
}

impl From<Unknown> for Refusal {
    fn from(_: Unknown) -> Self {
        UNKNOWN
    }
}

/// The fields of an error.
pub(super) fn error<'a>(
    severity: &'a str,
    code: &'a str,
    text: &'a str,
    hint: &'a str,
) -> [(u8, &'a str); 5] {
    [
        (b'S', severity),
        (b'V', severity),
        (b'C', code),
        (b'M', text),
        (b'H', hint),
    ]
}

const HELP: &str = "SHOW HELP lists what it knows.";

const UNKNOWN: Refusal = Refusal(
    "0A000",
    "the console of pgmemo knows no such command; it runs no SQL",
    HELP,
);
const SEVERAL: Refusal = Refusal("42601", "a prepared statement holds one command", HELP);
const PARAMETERS: Refusal = Refusal("08P01", "commands of the console have no parameters", HELP);
const FORMATS: Refusal = Refusal("08P01", "the result formats fit no column", HELP);
const NO_STATEMENT: Refusal = Refusal("26000", "there is no such prepared statement", HELP);
const NO_PORTAL: Refusal = Refusal("34000", "there is no such portal", HELP);
const ENCODING: Refusal = Refusal("22021", "the command is not in UTF-8", HELP);
const TOO_MANY: Refusal = Refusal(
    "53000",
    "too many prepared statements or portals",
    "Close some of them, or connect anew.",
);
const TOO_MUCH: Refusal = Refusal(
    "54000",
    "too many results at once",
    "Send one command each.",
);
const TOO_LONG: Refusal = Refusal("08P01", "the message is too long for the console", HELP);
const MALFORMED: Refusal = Refusal("08P01", "malformed message", HELP);

#[cfg(test)]
mod tests;
