//! A server that knows two tables, one setting, and the protocol.
//!
//! What it answers depends on what it was told alone, so that two of them can be compared. It
//! follows `postgres.c` in when it refuses what and when its output leaves.

use std::collections::HashMap;

use bytes::{BufMut, BytesMut};
use wire::{
    backend::{self, Status, tag},
    frontend::{self, Bind, Parse, Target},
};

use crate::text::{
    check_syntax, description, divided, ends_block, failed, has_rows, is_probe, no_portal,
    parameters, refuse_parameters, shown,
};

/// What can be changed, and comes back when a transaction is rolled back.
#[derive(Clone, Copy, Default)]
pub(crate) struct Content {
    pub(crate) city: u32,
    pub(crate) log: u32,
    /// Whether `TimeZone` is UTC.
    utc: bool,
}

struct Statement {
    text: Vec<u8>,
    types: Vec<u8>,
}

struct Portal {
    text: Vec<u8>,
    rows: Vec<Vec<u8>>,
    formats: Vec<u8>,
    sent: usize,
    done: bool,
    /// Its block has failed since: there is nothing left of it to be run.
    failed: bool,
}

impl Portal {
    fn of_query(text: &[u8]) -> Self {
        Self {
            text: text.to_vec(),
            rows: Vec::new(),
            formats: Vec::new(),
            sent: 0,
            done: false,
            failed: false,
        }
    }
}

/// An error: its code and what it says.
pub(crate) type Refusal = (&'static str, String);

/// One session of a server.
pub(crate) struct Server {
    pub(crate) content: Content,
    /// What a rollback brings back.
    before: Content,
    reported_utc: bool,
    status: Status,
    skipping: bool,
    statements: HashMap<Vec<u8>, Statement>,
    portals: HashMap<Vec<u8>, Portal>,
    /// What leaves with the next flush.
    pub(crate) held: BytesMut,
    pub(crate) out: BytesMut,
}

impl Server {
    pub(crate) fn new() -> Self {
        Self {
            content: Content::default(),
            before: Content::default(),
            reported_utc: false,
            status: Status::Idle,
            skipping: false,
            statements: HashMap::new(),
            portals: HashMap::new(),
            held: BytesMut::new(),
            out: BytesMut::new(),
        }
    }

    /// Whether no transaction is under way.
    pub(crate) fn is_idle(&self) -> bool {
        self.status == Status::Idle
    }

    /// Somebody else has written; nothing may be under way.
    pub(crate) fn write(&mut self, change: impl FnOnce(&mut Content)) {
        change(&mut self.content);
        self.before = self.content;
    }

    /// Handles one message.
    pub(crate) fn hear(&mut self, frame: &[u8]) {
        let message = frame[0];
        if self.skipping && message != frontend::tag::SYNC {
            return;
        }
        let outcome = match message {
            frontend::tag::QUERY => {
                let outcome = self.query(frontend::query(frame).expect("a Query"));
                if let Err(refusal) = outcome {
                    self.fail(refusal);
                }
                self.ready();
                return;
            }
            frontend::tag::PARSE => self.parse(&Parse::read(frame).expect("a Parse")),
            frontend::tag::BIND => self.bind(&Bind::read(frame).expect("a Bind")),
            frontend::tag::DESCRIBE => self.describe(frontend::target(frame).expect("a Describe")),
            frontend::tag::EXECUTE => self.execute(frontend::execute(frame).expect("an Execute")),
            frontend::tag::CLOSE => {
                match frontend::target(frame).expect("a Close") {
                    (Target::Statement, name) => drop(self.statements.remove(name)),
                    (Target::Portal, name) => drop(self.portals.remove(name)),
                }
                self.held.put_slice(backend::CLOSE_COMPLETE);
                Ok(())
            }
            frontend::tag::SYNC => {
                self.skipping = false;
                self.ready();
                return;
            }
            frontend::tag::FLUSH => {
                self.flush();
                return;
            }
            other => panic!("no client sends {other}"),
        };
        if let Err(refusal) = outcome {
            self.fail(refusal);
            self.skipping = true;
        }
    }

    fn flush(&mut self) {
        self.out.extend_from_slice(&self.held.split());
    }

    fn ready(&mut self) {
        if self.is_idle() {
            self.commit();
        }
        if self.content.utc != self.reported_utc {
            self.reported_utc = self.content.utc;
            let value: &[u8] = if self.content.utc { b"UTC\0" } else { b"PRC\0" };
            self.put(tag::PARAMETER_STATUS, &[b"TimeZone\0", value].concat());
        }
        self.held.put_slice(backend::ready(self.status));
        self.flush();
    }

    fn fail(&mut self, (code, text): Refusal) {
        let fields = format!("SERROR\0VERROR\0C{code}\0M{text}\0\0");
        self.put(tag::ERROR, fields.as_bytes());
        self.flush();
        match self.status {
            Status::Idle => self.roll_back(),
            Status::Transaction => {
                self.status = Status::Failed;
                self.portals.values_mut().for_each(|it| it.failed = true);
            }
            Status::Failed => {}
        }
    }

    fn commit(&mut self) {
        self.before = self.content;
        self.portals.clear();
    }

    fn roll_back(&mut self) {
        self.content = self.before;
        self.portals.clear();
    }

    fn query(&mut self, text: &[u8]) -> Result<(), Refusal> {
        self.statements.remove(&b""[..]);
        check_syntax(text)?;
        let parts: Vec<&[u8]> = text
            .split(|&byte| byte == b';')
            .map(<[u8]>::trim_ascii)
            .collect();
        if parts == [b""] {
            self.put(tag::EMPTY_QUERY, b"");
        }
        for part in &parts {
            if part.is_empty() {
                continue;
            }
            self.refuse_in_failed(part)?;
            if has_rows(part) {
                refuse_parameters(part)?;
            }
            // Constants are computed when it is planned.
            if part == b"SELECT 1/0" {
                return Err(divided());
            }
            // From here on its own portal has the place of the unnamed one, also in a block that it fails.
            self.portals.insert(Vec::new(), Portal::of_query(part));
            if has_rows(part) {
                self.put(tag::ROW_DESCRIPTION, &description(part, &[]));
            }
            let rows = self.rows(part, b"");
            for row in &rows {
                self.put(tag::DATA_ROW, row);
            }
            self.run(part, rows.len())?;
            self.portals.remove(&b""[..]);
        }
        Ok(())
    }

    fn parse(&mut self, parse: &Parse<'_>) -> Result<(), Refusal> {
        if parse.name.is_empty() {
            self.statements.remove(parse.name);
        }
        check_syntax(parse.text)?;
        if parse.text.contains(&b';') {
            let text = "cannot insert multiple commands into a prepared statement";
            return Err(("42601", text.to_owned()));
        }
        if !parse.text.is_empty() {
            self.refuse_in_failed(parse.text)?;
        }
        if !parse.name.is_empty() && self.statements.contains_key(parse.name) {
            let text = format!(
                "prepared statement \"{}\" already exists",
                shown(parse.name)
            );
            return Err(("42P05", text));
        }
        let statement = Statement {
            text: parse.text.to_vec(),
            types: if parameters(parse.text) > 0 && parse.types.is_empty() {
                vec![0, 0, 0, 25]
            } else {
                parse.types.to_vec()
            },
        };
        self.statements.insert(parse.name.to_vec(), statement);
        self.held.put_slice(backend::PARSE_COMPLETE);
        Ok(())
    }

    fn statement(&self, name: &[u8]) -> Result<&Statement, Refusal> {
        self.statements.get(name).ok_or_else(|| {
            let text = if name.is_empty() {
                "unnamed prepared statement does not exist".to_owned()
            } else {
                format!("prepared statement \"{}\" does not exist", shown(name))
            };
            ("26000", text)
        })
    }

    fn bind(&mut self, bind: &Bind<'_>) -> Result<(), Refusal> {
        let statement = self.statement(bind.statement)?;
        let (text, wanted) = (statement.text.clone(), statement.types.len() / 4);
        if usize::from(bind.parameters()) != wanted {
            let text = format!(
                "bind message supplies {} parameters, but prepared statement \"{}\" requires {wanted}",
                bind.parameters(),
                shown(bind.statement)
            );
            return Err(("08P01", text));
        }
        if self.status == Status::Failed && !ends_block(&text) {
            return Err(failed());
        }
        if !bind.portal.is_empty() && self.portals.contains_key(bind.portal) {
            let text = format!("cursor \"{}\" already exists", shown(bind.portal));
            return Err(("42P03", text));
        }
        let value = bind.values().next().unwrap_or_default();
        let portal = Portal {
            rows: self.rows(&text, value),
            text,
            formats: bind.result_formats.to_vec(),
            sent: 0,
            done: false,
            failed: false,
        };
        self.portals.insert(bind.portal.to_vec(), portal);
        self.held.put_slice(backend::BIND_COMPLETE);
        Ok(())
    }

    fn describe(&mut self, (target, name): (Target, &[u8])) -> Result<(), Refusal> {
        let (text, formats) = match target {
            Target::Statement => {
                let statement = self.statement(name)?;
                let text = statement.text.clone();
                let count = u16::try_from(statement.types.len() / 4).expect("few");
                let parameters = [&count.to_be_bytes()[..], &statement.types].concat();
                if self.status == Status::Failed && has_rows(&text) {
                    return Err(failed());
                }
                self.put(tag::PARAMETER_DESCRIPTION, &parameters);
                (text, Vec::new())
            }
            Target::Portal => {
                let portal = self.portals.get(name).ok_or_else(|| no_portal(name))?;
                if self.status == Status::Failed && has_rows(&portal.text) {
                    return Err(failed());
                }
                (portal.text.clone(), portal.formats.clone())
            }
        };
        if has_rows(&text) {
            self.put(tag::ROW_DESCRIPTION, &description(&text, &formats));
        } else {
            self.held.put_slice(backend::NO_DATA);
        }
        Ok(())
    }

    fn execute(&mut self, (name, limit): (&[u8], i32)) -> Result<(), Refusal> {
        let portal = self.portals.get(name).ok_or_else(|| no_portal(name))?;
        let text = portal.text.clone();
        if text.is_empty() {
            self.put(tag::EMPTY_QUERY, b"");
            return Ok(());
        }
        if portal.failed {
            return Err(failed());
        }
        self.refuse_in_failed(&text)?;
        let portal = self.portals.get_mut(name).expect("it was there");
        if !has_rows(&text) {
            if portal.done {
                let text = format!("portal \"{}\" cannot be run", shown(name));
                return Err(("55000", text));
            }
            portal.done = true;
            return self.run(&text, 0);
        }
        let left = portal.rows.len() - portal.sent;
        let limit = usize::try_from(limit).unwrap_or(0);
        let count = if limit == 0 { left } else { left.min(limit) };
        let rows = portal.rows[portal.sent..portal.sent + count].to_vec();
        portal.sent += count;
        for row in &rows {
            self.put(tag::DATA_ROW, row);
        }
        if limit > 0 && count == limit {
            self.held.put_slice(backend::PORTAL_SUSPENDED);
            return Ok(());
        }
        self.run(&text, count)
    }

    /// Runs a statement whose rows have been sent.
    fn run(&mut self, text: &[u8], rows: usize) -> Result<(), Refusal> {
        let text = std::str::from_utf8(text).expect("all texts are ours");
        let selected = format!("SELECT {rows}");
        let command = match text {
            "SELECT 1/0" => return Err(divided()),
            _ if text.starts_with("SELECT ") => &selected,
            "UPDATE city SET name = 'x'" => {
                self.content.city += 1;
                "UPDATE 1"
            }
            "INSERT INTO log(line) VALUES ('x')" => {
                self.content.log += 1;
                "INSERT 0 1"
            }
            "CREATE TABLE x (id int)" => "CREATE TABLE",
            "SET work_mem = '1MB'" => "SET",
            "SET TimeZone = 'UTC'" => {
                self.content.utc = true;
                "SET"
            }
            "SET TimeZone = 'PRC'" => {
                self.content.utc = false;
                "SET"
            }
            "BEGIN" | "START TRANSACTION" => {
                if self.is_idle() {
                    self.status = Status::Transaction;
                } else {
                    self.warn("there is already a transaction in progress");
                }
                text
            }
            "COMMIT" | "ROLLBACK" => {
                if self.is_idle() {
                    self.warn("there is no transaction in progress");
                }
                let commits = text == "COMMIT" && self.status != Status::Failed;
                self.status = Status::Idle;
                if commits {
                    self.commit();
                    "COMMIT"
                } else {
                    self.roll_back();
                    if text == "COMMIT" { "ROLLBACK" } else { text }
                }
            }
            "DEALLOCATE ALL" => {
                self.statements.retain(|name, _| name.is_empty());
                text
            }
            "DEALLOCATE a" => {
                self.statement(b"a")?;
                self.statements.remove(&b"a"[..]);
                "DEALLOCATE"
            }
            other => panic!("no such text: {other}"),
        };
        backend::put_command_complete(&mut self.held, command.as_bytes());
        Ok(())
    }

    fn warn(&mut self, text: &str) {
        let fields = format!("SWARNING\0VWARNING\0C25P01\0M{text}\0\0");
        self.put(tag::NOTICE, fields.as_bytes());
    }

    fn refuse_in_failed(&self, text: &[u8]) -> Result<(), Refusal> {
        if self.status == Status::Failed && !ends_block(text) {
            Err(failed())
        } else {
            Ok(())
        }
    }

    /// The rows of a read as of now.
    fn rows(&self, text: &[u8], value: &[u8]) -> Vec<Vec<u8>> {
        let zone = u8::from(self.content.utc);
        let row = |columns: &[Option<&[u8]>]| {
            let mut row = BytesMut::new();
            row.put_u16(u16::try_from(columns.len()).expect("few"));
            for column in columns {
                match column {
                    Some(value) => {
                        row.put_i32(i32::try_from(value.len()).expect("short"));
                        row.put_slice(value);
                    }
                    None => row.put_i32(-1),
                }
            }
            row.to_vec()
        };
        let city = format!("{} {zone}", self.content.city);
        let log = format!("{} {zone}", self.content.log);
        if is_probe(text) {
            let role = crate::WORLD.alice.oid().to_string();
            return vec![row(&[
                Some(role.as_bytes()),
                Some(role.as_bytes()),
                Some(b"public"),
                Some(b"f"),
                Some(b"read committed"),
                Some(&[zone]),
                Some(b"public"),
                None,
                None,
            ])];
        }
        if text.starts_with(b"SELECT name FROM city WHERE") {
            return vec![row(&[Some(&[city.as_bytes(), b" ", value].concat())])];
        }
        if text.starts_with(b"SELECT name") {
            return vec![row(&[Some(city.as_bytes())]); 2];
        }
        if text.starts_with(b"SELECT line") {
            return vec![row(&[Some(log.as_bytes())]); 3];
        }
        Vec::new()
    }

    fn put(&mut self, tag: u8, body: &[u8]) {
        self.held.put_u8(tag);
        self.held
            .put_u32(u32::try_from(body.len() + 4).expect("it is short"));
        self.held.put_slice(body);
    }
}
