//! Transaction blocks and savepoints.

use super::{Level, Outcome, Rows, Server, State, fault};
use crate::tests::sql::Sql;

impl Server {
    pub(super) fn start(&mut self) {
        match self.state {
            State::Default => {
                self.state = State::Started;
                self.repeatable = false;
                self.levels = vec![self.level(String::new())];
            }
            State::Started | State::Implicit | State::Block | State::Aborted => {}
        }
    }

    pub(super) fn level(&self, name: String) -> Level {
        Level {
            name,
            changes: Rows::new(),
            session: self.session.clone(),
            effective: self.effective.clone(),
        }
    }

    /// Ends what is not a block.
    pub(super) fn finish(&mut self) {
        if matches!(self.state, State::Started | State::Implicit) {
            self.commit();
        }
    }

    pub(super) fn commit(&mut self) {
        let mut database = self.database.borrow_mut();
        for level in self.levels.drain(..) {
            for (row, change) in level.changes {
                *database.entry(row).or_default() += change;
            }
        }
        drop(database);
        self.effective = self.session.clone();
        self.over();
    }

    pub(super) fn abort(&mut self) {
        if let Some(first) = self.levels.drain(..).next() {
            self.session = first.session;
            self.effective = first.effective;
        }
        self.over();
    }

    pub(super) fn over(&mut self) {
        self.state = State::Default;
        self.snapshot = None;
        self.looked = false;
        self.pipelining = false;
        self.portals.clear();
    }

    /// The rows that a statement sees which begins now.
    pub(super) fn visible(&mut self) -> Rows {
        self.looked = true;
        let mut rows = match &self.snapshot {
            Some(rows) => rows.clone(),
            None => self.database.borrow().clone(),
        };
        if self.repeatable && self.snapshot.is_none() {
            self.snapshot = Some(rows.clone());
        }
        for level in &self.levels {
            for (row, change) in &level.changes {
                *rows.entry(*row).or_default() += change;
            }
        }
        rows
    }

    pub(super) fn write(&mut self, table: &'static str, id: i32, change: i64) {
        let level = self.levels.last_mut().expect("a transaction");
        *level.changes.entry((table, id)).or_default() += change;
    }

    pub(super) fn control(&mut self, sql: &Sql) -> Outcome<&'static str> {
        match sql {
            Sql::Begin { .. } if self.refuses_blocks => {
                fault("57014", "canceling statement due to user request")
            }
            Sql::Begin { start, repeatable } => {
                if self.state == State::Block {
                    self.warn("25001", "there is already a transaction in progress");
                }
                if *repeatable && !self.repeatable {
                    if self.looked || self.levels.len() > 1 {
                        let text =
                            "SET TRANSACTION ISOLATION LEVEL must be called before any query";
                        return fault("25001", text);
                    }
                    self.repeatable = true;
                }
                self.state = State::Block;
                Ok(if *start { "START TRANSACTION" } else { "BEGIN" })
            }
            Sql::Commit { chain } => self.end(*chain, true),
            Sql::Rollback { chain } => self.end(*chain, false),
            Sql::Savepoint(name) => {
                self.requires_block("SAVEPOINT")?;
                let level = self.level(name.clone());
                self.levels.push(level);
                Ok("SAVEPOINT")
            }
            Sql::RollbackTo(name) => {
                self.requires_block("ROLLBACK TO SAVEPOINT")?;
                let at = self.savepoint(name)?;
                self.levels.truncate(at + 1);
                let level = &mut self.levels[at];
                level.changes.clear();
                (self.session, self.effective) = (level.session.clone(), level.effective.clone());
                self.portals.retain(|_, portal| portal.level <= at);
                self.state = State::Block;
                Ok("ROLLBACK")
            }
            Sql::Release(name) => {
                self.requires_block("RELEASE SAVEPOINT")?;
                let at = self.savepoint(name)?;
                for level in self.levels.split_off(at) {
                    for ((table, id), change) in level.changes {
                        self.write(table, id, change);
                    }
                }
                for portal in self.portals.values_mut() {
                    portal.level = portal.level.min(at);
                }
                Ok("RELEASE")
            }
            _ => unreachable!("no transaction control"),
        }
    }

    pub(super) fn requires_block(&self, what: &str) -> Outcome<()> {
        if matches!(self.state, State::Block | State::Aborted) {
            return Ok(());
        }
        fault(
            "25P01",
            format!("{what} can only be used in transaction blocks"),
        )
    }

    pub(super) fn savepoint(&self, name: &str) -> Outcome<usize> {
        let at = self.levels.iter().skip(1).rposition(|it| it.name == name);
        match at {
            Some(at) => Ok(at + 1),
            None => fault("3B001", format!("savepoint \"{name}\" does not exist")),
        }
    }

    pub(super) fn end(&mut self, chain: bool, commit: bool) -> Outcome<&'static str> {
        let command = match (commit, self.state) {
            (true, State::Block | State::Started | State::Implicit) => "COMMIT",
            _ => "ROLLBACK",
        };
        let block = matches!(self.state, State::Block | State::Aborted);
        if !block {
            if chain {
                let what = if commit { "COMMIT" } else { "ROLLBACK" };
                return fault(
                    "25P01",
                    format!("{what} AND CHAIN can only be used in transaction blocks"),
                );
            }
            self.warn("25P01", "there is no transaction in progress");
        }
        let repeatable = self.repeatable;
        if command == "COMMIT" {
            self.commit();
        } else {
            self.abort();
        }
        if chain {
            self.start();
            self.state = State::Block;
            self.repeatable = repeatable;
        }
        Ok(command)
    }
}
