//! What statements do.

use bytes::BufMut;

use super::{
    Column, Copy, DEFAULTS, End, Outcome, Server, State, Statement, TABLES, Work, fault, matches,
    spread,
};
use crate::tests::{
    message::{count, cstr},
    sql::{Shape, Sql, Which},
};

impl Server {
    /// The table that a name stands for under the search path.
    pub(super) fn resolve(&self, name: &str) -> Outcome<(&'static str, u32)> {
        let path = self.effective["search_path"].split(", ");
        let mut names: Vec<String> = path.map(|schema| format!("{schema}.{name}")).collect();
        names.push(name.to_owned());
        let found = names
            .iter()
            .find_map(|name| TABLES.iter().find(|(table, _)| table == name));
        match found {
            Some(found) => Ok(*found),
            None => fault("42P01", format!("relation \"{name}\" does not exist")),
        }
    }

    pub(super) fn analyze(&mut self, sql: &Sql) -> Outcome<()> {
        if matches!(sql, Sql::CopyIn(_) | Sql::CopyOut(_) | Sql::Declare(..)) {
            return Ok(());
        }
        if let Some(table) = sql.table() {
            self.resolve(table)?;
            if matches!(sql, Sql::Select { .. } | Sql::Update { .. }) {
                self.visible();
            }
        }
        Ok(())
    }

    pub(super) fn columns(&self, sql: &Sql) -> Option<Vec<Column>> {
        let column = |name, table, number, kind| Column {
            name,
            table,
            number,
            kind,
        };
        match sql {
            Sql::Select { shape, table, .. } => {
                let (_, table) = self.resolve(table).ok()?;
                Some(match shape {
                    Shape::Value => vec![column("v", table, 2, 23)],
                    Shape::Both => vec![column("id", table, 1, 23), column("v", table, 2, 23)],
                    Shape::Fails => vec![column("?column?", 0, 0, 23)],
                })
            }
            Sql::Show | Sql::Look => Some(vec![column("TimeZone", 0, 0, 25)]),
            Sql::Probe => Some((0..9).map(|_| column("?column?", 0, 0, 25)).collect()),
            Sql::Execute(name) => {
                let statement = self.statements.get(name)?;
                self.columns(statement.sql.as_ref()?)
            }
            Sql::Fetch(_, name) => self.portals.get(name)?.columns.clone(),
            _ => None,
        }
    }

    pub(super) fn describe_row(&mut self, columns: &[Column], formats: &[u16]) {
        let formats = spread(formats, columns.len());
        self.send(b'T', |body| {
            count(body, columns.len());
            for (column, format) in columns.iter().zip(formats) {
                cstr(body, column.name);
                body.put_u32(column.table);
                body.put_u16(column.number);
                body.put_u32(column.kind);
                body.put_i16(if column.kind == 23 { 4 } else { -1 });
                body.put_i32(-1);
                body.put_u16(format);
            }
        });
    }

    pub(super) fn select(&mut self, sql: &Sql, parameter: Option<i32>) -> Work {
        let (mut found, mut fails, mut notice) = (Vec::new(), false, false);
        match sql {
            Sql::Select { shape, table, rows } => {
                let (table, _) = self.resolve(table).expect("it was analysed");
                for ((owner, id), value) in self.visible() {
                    if owner != table || !matches(rows, parameter, id) {
                        continue;
                    }
                    let (copies, value) = if table == "public.copied" {
                        (value, 7)
                    } else {
                        (1, value)
                    };
                    let row = match shape {
                        Shape::Value | Shape::Fails => vec![value.to_string()],
                        Shape::Both => vec![id.to_string(), value.to_string()],
                    };
                    found.extend((0..copies).map(|_| row.clone()));
                }
                fails = *shape == Shape::Fails;
                notice = table == "public.noisy";
            }
            _ => found.push(self.state_row()),
        }
        Work::Rows {
            rows: found,
            next: 0,
            command: "SELECT",
            fails,
            notice,
        }
    }

    /// What `identity::WHO` returns.
    pub(super) fn state_row(&self) -> Vec<String> {
        let path = self.effective["search_path"].replace(", ", "\x1f");
        [
            "10".to_owned(),
            "10".to_owned(),
            format!("pg_catalog\x1f{path}"),
            "f".to_owned(),
            "read committed".to_owned(),
            format!("TimeZone\x1e{}", self.effective["timezone"]),
            self.effective["search_path"].clone(),
            String::new(),
            "plpgsql".to_owned(),
        ]
        .into()
    }

    /// Runs a portal.
    pub(super) fn run(&mut self, name: &str, limit: usize) -> Outcome<End> {
        let portal = self.portals.get_mut(name).expect("it was looked up");
        match &portal.work {
            Work::Rows { .. } => self.deliver(name, limit),
            Work::Done => fault("55000", format!("portal \"{name}\" cannot be run")),
            Work::Once => {
                portal.work = Work::Done;
                let sql = portal.sql.clone().expect("it is not empty");
                let parameter = portal.parameter;
                let formats = portal.formats.clone();
                self.run_once(&sql, parameter, &formats, name, limit)
            }
        }
    }

    pub(super) fn deliver(&mut self, name: &str, limit: usize) -> Outcome<End> {
        let portal = self.portals.get_mut(name).expect("it was looked up");
        let Work::Rows {
            rows,
            next,
            command,
            fails,
            notice,
        } = &mut portal.work
        else {
            unreachable!("rows were asked for");
        };
        let left = rows.len() - *next;
        let taken = if limit == 0 { left } else { left.min(limit) };
        let part: Vec<_> = rows[*next..*next + taken].to_vec();
        let (fails, command, notice) = (
            *fails && taken > 0,
            *command,
            std::mem::take(notice) && left > 0,
        );
        *next += taken;
        let suspended = limit != 0 && taken == limit;
        let columns = portal.columns.clone().unwrap_or_default();
        let formats = spread(&portal.formats, columns.len());
        if notice {
            self.say(b'N', "NOTICE", "00000", "it is noisy here");
        }
        if fails {
            return fault("22012", "division by zero");
        }
        self.announce();
        for row in part {
            self.row(&row, &columns, &formats);
        }
        Ok(if suspended {
            End::Suspended
        } else {
            End::Complete(match command {
                "SHOW" => command.to_owned(),
                _ => format!("{command} {taken}"),
            })
        })
    }

    /// The description that a simple query has coming, if it has not come.
    pub(super) fn announce(&mut self) {
        if let Some(columns) = self.announced.take() {
            self.describe_row(&columns, &[]);
        }
    }

    pub(super) fn row(&mut self, row: &[String], columns: &[Column], formats: &[u16]) {
        self.send(b'D', |body| {
            count(body, row.len());
            for ((text, column), format) in row.iter().zip(columns).zip(formats) {
                if column.kind == 23 && *format == 1 {
                    body.put_u32(4);
                    body.put_i32(text.parse().expect("a number"));
                } else {
                    body.put_u32(u32::try_from(text.len()).expect("short"));
                    body.put_slice(text.as_bytes());
                }
            }
        });
    }

    pub(super) fn run_once(
        &mut self,
        sql: &Sql,
        parameter: Option<i32>,
        formats: &[u16],
        portal: &str,
        limit: usize,
    ) -> Outcome<End> {
        let blind = matches!(
            sql,
            Sql::Set { .. } | Sql::ResetAll | Sql::Show | Sql::Fetch(..)
        );
        if !sql.is_control() && !blind {
            self.visible();
        }
        let command = match sql {
            Sql::Select { .. } | Sql::Probe => unreachable!("it has rows"),
            Sql::Update { table, rows, fails } => self.update(table, rows, parameter, *fails)?,
            Sql::Begin { .. }
            | Sql::Commit { .. }
            | Sql::Rollback { .. }
            | Sql::Savepoint(_)
            | Sql::RollbackTo(_)
            | Sql::Release(_) => self.control(sql)?.to_owned(),
            Sql::Set { local, name, value } => self.set(*local, name, value.as_deref())?,
            Sql::ResetAll => {
                self.reset_all();
                "RESET".to_owned()
            }
            Sql::DiscardAll => self.discard_all(portal)?,
            Sql::Show | Sql::Look => {
                let rows = vec![vec![self.effective["timezone"].clone()]];
                return self.deliver_late(portal, rows, "SHOW", limit);
            }
            Sql::Prepare(name, inner) => {
                if self.statements.contains_key(name) {
                    return fault(
                        "42P05",
                        format!("prepared statement \"{name}\" already exists"),
                    );
                }
                let types = match inner.has_parameter() {
                    true => vec![23],
                    false => Vec::new(),
                };
                let sql = Some((**inner).clone());
                self.statements
                    .insert(name.clone(), Statement { sql, types });
                "PREPARE".to_owned()
            }
            Sql::Execute(name) => return self.run_prepared(name, formats, portal, limit),
            Sql::Deallocate(None) => {
                self.statements.retain(|name, _| name.is_empty());
                "DEALLOCATE ALL".to_owned()
            }
            Sql::Deallocate(Some(name)) => {
                self.statement(name)?;
                self.statements.remove(name);
                "DEALLOCATE".to_owned()
            }
            Sql::Declare(name, inner) => self.declare(name, inner)?,
            Sql::Fetch(limit, name) => return self.fetch(*limit, name, portal),
            Sql::CloseCursor(name) => {
                if name == portal {
                    return fault("24000", format!("cannot drop active portal \"{name}\""));
                }
                if self.portals.remove(name).is_none() {
                    return fault("34000", format!("cursor \"{name}\" does not exist"));
                }
                "CLOSE CURSOR".to_owned()
            }
            Sql::CopyIn(table) => {
                let (table, _) = self.resolve(table)?;
                self.send(b'G', |body| body.put_slice(&[0, 0, 2, 0, 0, 0, 0]));
                self.flush();
                if table == "public.noisy" {
                    return fault("42809", "cannot copy to view \"noisy\"");
                }
                self.copy = Some(Copy {
                    table,
                    lines: 0,
                    taken: false,
                    simple: false,
                });
                return Ok(End::CopyIn);
            }
            Sql::CopyOut(table) => self.copy_out(table)?,
        };
        Ok(End::Complete(command))
    }

    pub(super) fn update(
        &mut self,
        table: &str,
        which: &Which,
        parameter: Option<i32>,
        fails: bool,
    ) -> Outcome<String> {
        let (table, _) = self.resolve(table)?;
        let ids: Vec<i32> = self
            .visible()
            .into_keys()
            .filter(|(owner, id)| *owner == table && matches(which, parameter, *id))
            .map(|(_, id)| id)
            .collect();
        if fails && !ids.is_empty() {
            return fault("22012", "division by zero");
        }
        for &id in &ids {
            self.write(table, id, 1);
            if table == "public.t" {
                // A trigger keeps count.
                self.write("public.log", 1, 1);
            }
        }
        Ok(format!("UPDATE {}", ids.len()))
    }

    pub(super) fn set(&mut self, local: bool, name: &str, value: Option<&str>) -> Outcome<String> {
        let Some((name, default)) = DEFAULTS.iter().find(|(known, _)| *known == name) else {
            return fault(
                "42704",
                format!("unrecognized configuration parameter \"{name}\""),
            );
        };
        if local && matches!(self.state, State::Started) {
            self.warn("25P01", "SET LOCAL can only be used in transaction blocks");
        }
        let command = if value.is_none() { "RESET" } else { "SET" };
        let value = value.unwrap_or(default).to_owned();
        if !local {
            self.session.insert(name, value.clone());
        }
        self.effective.insert(name, value);
        Ok(command.to_owned())
    }

    pub(super) fn reset_all(&mut self) {
        for (name, value) in DEFAULTS {
            self.session.insert(name, value.to_owned());
            self.effective.insert(name, value.to_owned());
        }
    }

    pub(super) fn discard_all(&mut self, portal: &str) -> Outcome<String> {
        if matches!(self.state, State::Block | State::Implicit) {
            let text = "DISCARD ALL cannot run inside a transaction block";
            return fault("25001", text);
        }
        if self.pipelining {
            let text = "DISCARD ALL cannot be executed within a pipeline";
            return fault("25001", text);
        }
        self.reset_all();
        self.portals.retain(|name, _| name == portal);
        self.statements.retain(|name, _| name.is_empty());
        Ok("DISCARD ALL".to_owned())
    }

    /// Rows that come into being when the portal is executed.
    pub(super) fn deliver_late(
        &mut self,
        portal: &str,
        rows: Vec<Vec<String>>,
        command: &'static str,
        limit: usize,
    ) -> Outcome<End> {
        let it = self.portals.get_mut(portal).expect("it runs");
        it.work = Work::Rows {
            rows,
            next: 0,
            command,
            fails: false,
            notice: false,
        };
        self.deliver(portal, limit)
    }

    pub(super) fn run_prepared(
        &mut self,
        name: &str,
        formats: &[u16],
        portal: &str,
        limit: usize,
    ) -> Outcome<End> {
        let Statement { sql, types } = self.statement(name)?;
        if !types.is_empty() {
            let text = format!("wrong number of parameters for prepared statement \"{name}\"");
            return fault("42601", text);
        }
        let Some(sql) = sql else {
            return Ok(End::Complete("EXECUTE".to_owned()));
        };
        self.analyze(&sql)?;
        match &sql {
            Sql::Select { .. } => {
                let work = self.select(&sql, None);
                let it = self.portals.get_mut(portal).expect("it runs");
                it.work = work;
                self.deliver(portal, limit)
            }
            sql => self.run_once(sql, None, formats, portal, limit),
        }
    }

    pub(super) fn declare(&mut self, name: &str, inner: &Sql) -> Outcome<String> {
        if self.state == State::Started {
            let text = "DECLARE CURSOR can only be used in transaction blocks";
            return fault("25P01", text);
        }
        self.analyze(inner)?;
        if self.portals.contains_key(name) {
            return fault("42P03", format!("cursor \"{name}\" already exists"));
        }
        let portal = self.portal(Some(inner.clone()), None, Vec::new())?;
        self.portals.insert(name.to_owned(), portal);
        Ok("DECLARE CURSOR".to_owned())
    }

    pub(super) fn fetch(&mut self, limit: usize, name: &str, portal: &str) -> Outcome<End> {
        let Some(cursor) = self.portals.get_mut(name) else {
            return fault("34000", format!("cursor \"{name}\" does not exist"));
        };
        let Work::Rows {
            rows,
            next,
            fails,
            notice,
            ..
        } = &mut cursor.work
        else {
            return match cursor.work {
                Work::Done => fault("55000", format!("portal \"{name}\" cannot be run")),
                _ => fault("XX000", "unsupported portal strategy"),
            };
        };
        let end = (*next + limit).min(rows.len());
        let part = rows[*next..end].to_vec();
        *next = end;
        let (fails, notice) = (
            *fails && !part.is_empty(),
            std::mem::take(notice) && !part.is_empty(),
        );
        if notice {
            self.say(b'N', "NOTICE", "00000", "it is noisy here");
        }
        if fails {
            return fault("22012", "division by zero");
        }
        self.deliver_late(portal, part, "FETCH", 0)
    }
}
