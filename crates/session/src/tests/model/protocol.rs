//! Query, and the messages of the extended protocol.

use bytes::BufMut;

use super::{
    End, Outcome, Portal, Server, State, Statement, Work, aborted, fault, read_parameter, syntax,
};
use crate::tests::{
    message::{Fields, count},
    sql::Sql,
};

impl Server {
    pub(super) fn query(&mut self, text: &str) {
        self.start();
        self.statements.remove("");
        if let Err(fault) = self.run_query(text) {
            self.fail(&fault);
        }
        self.announced = None;
        if self.copy.is_none() {
            self.ready();
        }
    }

    pub(super) fn run_query(&mut self, text: &str) -> Outcome<()> {
        let statements = syntax(text)?;
        let several = statements.len() > 1;
        if statements.is_empty() {
            self.send(b'I', |_| ());
        }
        for sql in statements {
            self.start();
            if self.state == State::Aborted && !sql.leaves_failed_block() {
                return aborted();
            }
            if several && self.state == State::Started {
                self.state = State::Implicit;
            }
            self.analyze(&sql)?;
            if sql.has_parameter() && !matches!(sql, Sql::Prepare(..)) {
                return fault("42P02", "there is no parameter $1");
            }
            let portal = self.portal(Some(sql.clone()), None, Vec::new())?;
            self.announced = portal.columns.clone();
            if matches!(sql, Sql::Select { .. } | Sql::Probe) {
                self.announce();
            }
            self.portals.insert(String::new(), portal);
            match self.run("", 0)? {
                End::Complete(command) => self.complete(&command),
                End::Suspended => unreachable!("no limit"),
                End::CopyIn => {
                    self.copy.as_mut().expect("just begun").simple = true;
                    return Ok(());
                }
            }
            self.portals.remove("");
        }
        self.finish();
        Ok(())
    }

    pub(super) fn parse(&mut self, body: &mut Fields<'_>) -> Outcome<()> {
        let (name, text) = (body.text(), body.text());
        let declared: Vec<u32> = (0..body.u16()).map(|_| body.u32()).collect();
        self.start();
        if name.is_empty() {
            self.statements.remove("");
        }
        let mut statements = syntax(&text)?;
        if statements.len() > 1 {
            let text = "cannot insert multiple commands into a prepared statement";
            return fault("42601", text);
        }
        let sql = statements.pop();
        let mut types = declared;
        if let Some(sql) = &sql {
            if self.state == State::Aborted && !sql.leaves_failed_block() {
                return aborted();
            }
            self.analyze(sql)?;
            if sql.has_parameter() {
                match types.first() {
                    None | Some(0) => types = vec![23],
                    Some(20 | 23) => {}
                    Some(_) => return fault("42883", "operator does not exist: integer = text"),
                }
            }
        }
        if !name.is_empty() && self.statements.contains_key(&name) {
            return fault(
                "42P05",
                format!("prepared statement \"{name}\" already exists"),
            );
        }
        self.statements.insert(name, Statement { sql, types });
        self.send(b'1', |_| ());
        Ok(())
    }

    pub(super) fn bind(&mut self, body: &mut Fields<'_>) -> Outcome<()> {
        let (name, statement) = (body.text(), body.text());
        let codes: Vec<u16> = (0..body.u16()).map(|_| body.u16()).collect();
        let values: Vec<Option<Vec<u8>>> = (0..body.u16())
            .map(|_| body.value().map(<[u8]>::to_vec))
            .collect();
        let formats: Vec<u16> = (0..body.u16()).map(|_| body.u16()).collect();
        self.start();
        let Statement { sql, types } = self.statement(&statement)?;
        if values.len() != types.len() {
            let (given, wanted) = (values.len(), types.len());
            return fault(
                "08P01",
                format!(
                    "bind message supplies {given} parameters, but prepared statement \"{statement}\" requires {wanted}"
                ),
            );
        }
        if self.state == State::Aborted
            && !sql
                .as_ref()
                .is_some_and(|sql| sql.leaves_failed_block() && values.is_empty())
        {
            return aborted();
        }
        if name.is_empty() {
            self.portals.remove("");
        } else if self.portals.contains_key(&name) {
            return fault("42P03", format!("cursor \"{name}\" already exists"));
        }
        let unborn = Portal {
            sql: sql.clone(),
            parameter: None,
            formats: Vec::new(),
            columns: sql.as_ref().and_then(|sql| self.columns(sql)),
            level: self.levels.len(),
            failed: true,
            work: Work::Done,
        };
        let first = values.first().map(Option::as_deref);
        let binary = codes.first() == Some(&1);
        match self.open(sql, first.map(|value| (value, binary)), formats) {
            Ok(portal) => self.portals.insert(name, portal),
            Err(fault) => {
                // It exists, and fails with its transaction.
                self.portals.insert(name, unborn);
                return Err(fault);
            }
        };
        self.send(b'2', |_| ());
        Ok(())
    }

    pub(super) fn open(
        &mut self,
        sql: Option<Sql>,
        value: Option<(Option<&[u8]>, bool)>,
        formats: Vec<u16>,
    ) -> Outcome<Portal> {
        let parameter = match value {
            None => None,
            Some((value, binary)) => read_parameter(value, binary)?,
        };
        if let Some(sql) = &sql {
            self.analyze(sql)?;
        }
        self.portal(sql, parameter, formats)
    }

    pub(super) fn statement(&self, name: &str) -> Outcome<Statement> {
        match self.statements.get(name) {
            Some(statement) => Ok(statement.clone()),
            None if name.is_empty() => fault("26000", "unnamed prepared statement does not exist"),
            None => fault(
                "26000",
                format!("prepared statement \"{name}\" does not exist"),
            ),
        }
    }

    /// A portal as its Bind makes it: a SELECT sees what is visible now.
    pub(super) fn portal(
        &mut self,
        sql: Option<Sql>,
        parameter: Option<i32>,
        formats: Vec<u16>,
    ) -> Outcome<Portal> {
        let columns = sql.as_ref().and_then(|sql| self.columns(sql));
        if let Some(columns) = &columns
            && formats.len() > 1
            && formats.len() != columns.len()
        {
            let (given, wanted) = (formats.len(), columns.len());
            let text =
                format!("bind message has {given} result formats but query has {wanted} columns");
            return fault("08P01", text);
        }
        let work = match &sql {
            Some(select @ (Sql::Select { .. } | Sql::Probe)) => self.select(select, parameter),
            _ => Work::Once,
        };
        Ok(Portal {
            sql,
            parameter,
            formats,
            columns,
            level: self.levels.len(),
            failed: false,
            work,
        })
    }

    pub(super) fn describe(&mut self, body: &mut Fields<'_>) -> Outcome<()> {
        let (target, name) = (body.u8(), body.text());
        self.start();
        let (columns, formats) = if target == b'S' {
            let statement = self.statement(&name)?;
            if let Some(sql) = &statement.sql {
                let described = self.columns(sql).is_some();
                if described && self.state == State::Aborted {
                    return aborted();
                }
                if described {
                    self.analyze(sql)?;
                }
            }
            self.send(b't', |body| {
                count(body, statement.types.len());
                statement.types.iter().for_each(|&oid| body.put_u32(oid));
            });
            let columns = statement.sql.as_ref().and_then(|sql| self.columns(sql));
            (columns, Vec::new())
        } else {
            let portal = self.named_portal(&name)?;
            if portal.columns.is_some() && self.state == State::Aborted {
                return aborted();
            }
            (portal.columns.clone(), portal.formats.clone())
        };
        match columns {
            Some(columns) => self.describe_row(&columns, &formats),
            None => self.send(b'n', |_| ()),
        }
        Ok(())
    }

    pub(super) fn named_portal(&self, name: &str) -> Outcome<&Portal> {
        match self.portals.get(name) {
            Some(portal) => Ok(portal),
            None => fault("34000", format!("portal \"{name}\" does not exist")),
        }
    }

    pub(super) fn execute(&mut self, body: &mut Fields<'_>) -> Outcome<()> {
        let (name, limit) = (body.text(), body.u32().cast_signed());
        let portal = self.named_portal(&name)?;
        let Some(sql) = portal.sql.clone() else {
            self.send(b'I', |_| ());
            return Ok(());
        };
        let failed = portal.failed;
        self.start();
        if self.state == State::Aborted && (failed || !sql.leaves_failed_block()) {
            return aborted();
        }
        if failed {
            return fault("55000", format!("portal \"{name}\" cannot be run"));
        }
        let end = self.run(&name, usize::try_from(limit).unwrap_or(0));
        match end? {
            End::Complete(command) => self.complete(&command),
            End::Suspended => self.send(b's', |_| ()),
            End::CopyIn => return Ok(()),
        }
        if sql.is_control() || matches!(sql, Sql::DiscardAll) {
            self.finish();
        } else if self.state != State::Default {
            self.pipelining = true;
        }
        Ok(())
    }

    pub(super) fn close_name(&mut self, body: &mut Fields<'_>) {
        let (target, name) = (body.u8(), body.text());
        if target == b'S' {
            self.statements.remove(&name);
        } else {
            self.portals.remove(&name);
        }
        self.send(b'3', |_| ());
    }
}
