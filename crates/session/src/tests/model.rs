//! A small PostgreSQL: its message flow, transactions, statements and portals, over tables of
//! numbers. `judge` compares it with a real one.
//!
//! What is sent waits in a buffer until the server would flush it.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

use bytes::{Buf, BufMut, BytesMut};

use super::{
    message::{Fields, cstr, put},
    sql::{self, Sql, Which},
};

mod copy;
mod protocol;
mod run;
mod transaction;

/// Rows by table and `id`; the value is `v`. In `public.copied` it counts equal rows.
pub(super) type Rows = BTreeMap<(&'static str, i32), i64>;

/// Every table: its name, and the identity that descriptions show.
const TABLES: [(&str, u32); 6] = [
    ("public.t", 16_401),
    ("public.u", 16_402),
    ("public.log", 16_403),
    ("public.noisy", 16_404),
    ("public.copied", 16_405),
    ("other.t", 16_406),
];

/// The committed rows of a database that sessions share.
pub(super) type Database = Rc<RefCell<Rows>>;

/// A database as it is created.
pub(super) fn database() -> Database {
    let mut rows = Rows::new();
    for (number, (table, _)) in (0..).zip(TABLES) {
        if table == "public.copied" {
            rows.insert((table, 7), 0);
            continue;
        }
        for id in 1..=3 {
            rows.insert((table, id), number * 1000 + i64::from(id) * 100);
        }
    }
    Rc::new(RefCell::new(rows))
}

/// What makes the server refuse.
#[derive(Debug)]
struct Fault(&'static str, String);

type Outcome<T> = Result<T, Fault>;

fn fault<T>(code: &'static str, text: impl Into<String>) -> Outcome<T> {
    Err(Fault(code, text.into()))
}

fn aborted<T>() -> Outcome<T> {
    let text = "current transaction is aborted, commands ignored until end of transaction block";
    fault("25P02", text)
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    Default,
    /// Inside one command, or the messages up to Sync.
    Started,
    /// The same in a string of several statements.
    Implicit,
    Block,
    Aborted,
}

type Settings = BTreeMap<&'static str, String>;

/// What a savepoint, or the transaction's begin, goes back to, and what was written since.
#[derive(Clone, Debug, Default)]
struct Level {
    name: String,
    changes: Rows,
    session: Settings,
    effective: Settings,
}

#[derive(Clone, Debug)]
struct Statement {
    sql: Option<Sql>,
    types: Vec<u32>,
}

#[derive(Clone, Debug)]
struct Portal {
    sql: Option<Sql>,
    parameter: Option<i32>,
    formats: Vec<u16>,
    columns: Option<Vec<Column>>,
    level: usize,
    failed: bool,
    work: Work,
}

#[derive(Clone, Debug)]
enum Work {
    /// Runs once, when it is first executed; then its rows, if any, are delivered.
    Once,
    /// Rows that wait to be delivered; `command` is their tag.
    Rows {
        rows: Vec<Vec<String>>,
        next: usize,
        command: &'static str,
        fails: bool,
        notice: bool,
    },
    Done,
}

#[derive(Clone, Debug)]
struct Column {
    name: &'static str,
    table: u32,
    number: u16,
    kind: u32,
}

/// How an execution ended.
enum End {
    Complete(String),
    Suspended,
    CopyIn,
}

struct Copy {
    table: &'static str,
    lines: i64,
    /// A line has the key of a row that is there.
    taken: bool,
    simple: bool,
}

/// One server process.
pub(super) struct Server {
    database: Database,
    state: State,
    levels: Vec<Level>,
    repeatable: bool,
    snapshot: Option<Rows>,
    /// A snapshot was taken in this transaction.
    looked: bool,
    session: Settings,
    effective: Settings,
    reported: Settings,
    statements: BTreeMap<String, Statement>,
    portals: BTreeMap<String, Portal>,
    skipping: bool,
    pipelining: bool,
    copy: Option<Copy>,
    announced: Option<Vec<Column>>,
    input: BytesMut,
    output: BytesMut,
    flushed: usize,
    /// BEGIN is refused, as if it had been cancelled.
    pub(super) refuses_blocks: bool,
    /// Everything has been said.
    pub(super) ended: bool,
}

const DEFAULTS: [(&str, &str); 3] = [
    ("application_name", ""),
    ("search_path", "public"),
    ("timezone", "UTC"),
];

/// What is reported, in the order of reports.
const REPORTED: [(&str, &str); 2] = [
    ("application_name", "application_name"),
    ("timezone", "TimeZone"),
];

impl Server {
    pub(super) fn new(database: &Database) -> Self {
        let defaults: Settings = DEFAULTS
            .iter()
            .map(|&(name, value)| (name, value.to_owned()))
            .collect();
        Self {
            database: Rc::clone(database),
            state: State::Default,
            levels: Vec::new(),
            repeatable: false,
            snapshot: None,
            looked: false,
            session: defaults.clone(),
            effective: defaults.clone(),
            reported: defaults,
            statements: BTreeMap::new(),
            portals: BTreeMap::new(),
            skipping: false,
            pipelining: false,
            copy: None,
            announced: None,
            input: BytesMut::new(),
            output: BytesMut::new(),
            flushed: 0,
            refuses_blocks: false,
            ended: false,
        }
    }

    /// Takes what the client has sent and does it.
    pub(super) fn receive(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
        while let Ok(Some(header)) = wire::header(&self.input) {
            if self.ended || self.input.len() < header.total {
                return;
            }
            let frame = self.input.split_to(header.total);
            self.message(frame[0], &frame[5..]);
        }
    }

    /// What has been flushed, up to `limit` bytes.
    pub(super) fn take(&mut self, limit: usize) -> BytesMut {
        let count = self.flushed.min(limit);
        self.flushed -= count;
        self.output.split_to(count)
    }

    /// What is said but not flushed.
    pub(super) fn unflushed(&self) -> &[u8] {
        &self.output[self.flushed..]
    }

    /// The connection is gone.
    pub(super) fn close(&mut self) {
        self.ended = true;
        self.abort();
    }

    fn flush(&mut self) {
        self.flushed = self.output.len();
    }

    fn send(&mut self, tag: u8, write: impl FnOnce(&mut BytesMut)) {
        put(&mut self.output, tag, write);
    }

    fn say(&mut self, tag: u8, severity: &str, code: &str, text: &str) {
        self.send(tag, |body| {
            for (field, text) in [
                (b'S', severity),
                (b'V', severity),
                (b'C', code),
                (b'M', text),
            ] {
                body.put_u8(field);
                cstr(body, text);
            }
            body.put_u8(0);
        });
        self.flush();
    }

    fn warn(&mut self, code: &str, text: &str) {
        self.say(b'N', "WARNING", code, text);
    }

    fn complete(&mut self, command: &str) {
        self.send(b'C', |body| cstr(body, command));
    }

    fn ready(&mut self) {
        for (name, shown) in REPORTED {
            let value = self.effective[name].clone();
            if self.reported[name] != value {
                self.send(b'S', |body| {
                    cstr(body, shown);
                    cstr(body, &value);
                });
                self.reported.insert(name, value);
            }
        }
        let status = match self.state {
            State::Default | State::Started => b'I',
            State::Implicit | State::Block => b'T',
            State::Aborted => b'E',
        };
        self.send(b'Z', |body| body.put_u8(status));
        self.flush();
    }

    fn message(&mut self, tag: u8, body: &[u8]) {
        if self.copy.is_some() {
            return self.copying(tag, body);
        }
        let extended = matches!(tag, b'P' | b'B' | b'D' | b'E' | b'C' | b'H');
        if self.skipping && tag != b'S' && tag != b'X' {
            return;
        }
        let mut body = Fields(body);
        let done = match tag {
            b'P' | b'B' | b'D' | b'E' | b'C' | b'Q' if body.0.is_empty() => {
                fault("08P01", "nothing is left in the message")
            }
            b'Q' => return self.query(&body.text()),
            b'P' => self.parse(&mut body),
            b'B' => self.bind(&mut body),
            b'D' => self.describe(&mut body),
            b'E' => self.execute(&mut body),
            b'C' => {
                self.close_name(&mut body);
                Ok(())
            }
            b'H' => {
                self.flush();
                Ok(())
            }
            b'S' => {
                self.skipping = false;
                self.finish();
                self.ready();
                Ok(())
            }
            b'd' | b'c' | b'f' => Ok(()),
            b'X' => {
                self.close();
                Ok(())
            }
            _ => {
                self.say(b'E', "FATAL", "08P01", "invalid frontend message type");
                self.close();
                Ok(())
            }
        };
        if let Err(fault) = done {
            self.fail(&fault);
            self.skipping = extended;
            if tag == b'Q' {
                self.ready();
            }
        }
    }

    fn fail(&mut self, fault: &Fault) {
        self.say(b'E', "ERROR", fault.0, &fault.1);
        match self.state {
            State::Default | State::Started | State::Implicit => self.abort(),
            State::Block => {
                let depth = self.levels.len();
                for portal in self.portals.values_mut() {
                    portal.failed |= portal.level == depth;
                }
                if let Some(level) = self.levels.last() {
                    self.session = level.session.clone();
                    self.effective = level.effective.clone();
                }
                self.state = State::Aborted;
            }
            State::Aborted => {}
        }
    }
}

fn syntax(text: &str) -> Outcome<Vec<Sql>> {
    match sql::read(text) {
        Some(statements) => Ok(statements),
        None => fault("42601", format!("syntax error in \"{text}\"")),
    }
}

fn matches(which: &Which, parameter: Option<i32>, id: i32) -> bool {
    match which {
        Which::All => true,
        Which::One(one) => *one == id,
        Which::Parameter => parameter == Some(id),
    }
}

fn read_parameter(value: Option<&[u8]>, binary: bool) -> Outcome<Option<i32>> {
    let Some(mut value) = value else {
        return Ok(None);
    };
    if binary {
        return match value.len() {
            4 => Ok(Some(value.get_i32())),
            _ => fault("22P03", "incorrect binary data format in bind parameter 1"),
        };
    }
    let text = String::from_utf8_lossy(value);
    match text.parse() {
        Ok(number) => Ok(Some(number)),
        Err(_) => fault(
            "22P02",
            format!("invalid input syntax for type integer: \"{text}\""),
        ),
    }
}

/// A format for each column, as a Bind means it.
fn spread(formats: &[u16], columns: usize) -> Vec<u16> {
    match formats {
        [] => vec![0; columns],
        [one] => vec![*one; columns],
        each => each.to_vec(),
    }
}
