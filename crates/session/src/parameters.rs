//! What a server keeps of a statement from the time when it parsed it: the types of parameters, the
//! objects that names meant, and the values of literals.
//!
//! Where a Parse leaves types to the server, it infers them once, from the definitions under which
//! it parses the statement, and keeps to them whatever becomes of those: only columns are compared
//! when a statement is analysed anew. So the same text with the same values may mean something else
//! to a session that has prepared it later, and may name another row. Where a statement was parsed
//! under other definitions than those of now, the server is asked which types it has; until it has
//! said so, the statement is neither looked up nor told apart by rows.

use std::sync::{Arc, OnceLock};

use sql::{Plan, Reason, SettingsEffect, Sight, declares};
use wire::{
    HEADER,
    backend::Status,
    frontend::{Bind, Target, put_describe},
};

use crate::{
    prepared::{Prepared, Types},
    queue::Expect,
    registry::Statement,
    session::Session,
};

/// The types of all parameters of one statement, once the server has named them. Whoever asked and
/// the statement share them, so that an answer never reaches another of the same name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Inferred(Arc<OnceLock<Types>>);

impl Inferred {
    /// They are known already.
    fn of(types: Types) -> Self {
        Self(Arc::new(OnceLock::from(types)))
    }

    /// The server's ParameterDescription.
    pub(crate) fn learn(&self, frame: &[u8]) {
        if let Some(types) = types(frame) {
            _ = self.0.set(types);
        }
    }
}

impl Statement {
    /// The types by which the values of a Bind have to be read in this context: the declared ones,
    /// where the others are those that the server would infer there. `None` if nobody knows.
    pub(crate) fn types_in(&self, context: u64, parameters: u16) -> Option<Types> {
        if declares(&self.types, parameters.into()) {
            return Some(Types::from_slice(&self.types));
        }
        match &self.inferred {
            Some(inferred) => inferred.0.get().map(|types| Types::from_slice(types)),
            None => (self.prepared.context == context).then(|| Types::from_slice(&self.types)),
        }
    }

    /// Whether a server that parsed this in the context of `now` would infer what it has inferred
    /// when the client prepared it, as far as that was said then.
    pub(crate) fn infers_as(&self, now: &Prepared, parameters: u16) -> bool {
        let said = |it: &Prepared| it.shape(&self.types)?.parameters;
        declares(&self.types, parameters.into())
            || said(&self.prepared).is_some_and(|then| said(now) == Some(then))
    }

    /// The server is about to parse this under other definitions than when the client prepared it:
    /// with the types that it had then, if they are known. What it infers from `common` definitions
    /// is what it would infer for anybody.
    pub(crate) fn infer_as_then(&mut self, common: bool) {
        if self.inferred.is_none() {
            let then = self.prepared.shape(&self.types);
            let then = then.and_then(|shape| types(&shape.parameters?));
            self.inferred = match then {
                Some(types) => Some(Inferred::of(types)),
                None => (!common).then(Inferred::default),
            };
        }
    }

    /// The types with which the server has to parse it.
    pub(crate) fn types_to_parse(&self) -> &[u8] {
        let inferred = self.inferred.as_ref().and_then(|it| it.0.get());
        inferred.unwrap_or(&self.types)
    }
}

impl Session {
    /// What the server may take this statement for, if that is not what its text means now: there
    /// it still reads and writes what it did when it was parsed.
    pub(crate) fn meant_otherwise(&self, name: &[u8], now: &Prepared) -> Option<Arc<Prepared>> {
        let statement = self.registry.statement(name)?;
        let then = &statement.prepared;
        let known = self.knowledge.as_ref().map(|known| known.generation);
        let believed = statement.generation.is_none() || statement.generation == known;
        // What a name meant before there was a temporary table of that name it still means.
        let owned = !now.plan.own || statement.own;
        if !statement.on_server || owned && then.means_the_same(now, believed) {
            return None;
        }
        if then.is_unplanned() && !now.is_unread() {
            // What the server has found for a name is still there, in some schema, under that name: if
            // it were not, the server would look anew.
            return Some(self.anywhere(&then.text));
        }
        if then.plan.read.is_ok() || now.plan.read.is_ok() {
            self.shared.count_bypass(now, Reason::NoCatalog);
        }
        if owned && then.writes_the_same(now) {
            return Some(match now.plan.read {
                // The text alone says what such a read may run of what was there then: a cast that is
                // gone, a policy that is not applied any more.
                Ok(_) => self.anywhere(&then.text),
                Err(_) => Arc::new(now.unread_now()),
            });
        }
        Some(match then.plan.read {
            Ok(_) => Arc::clone(then),
            Err(_) => Arc::new(now.outdated()),
        })
    }

    /// Whether the settings by which the server has read, or will read, the literals of a statement
    /// are those of now.
    pub(crate) fn reads_literals_as_then(&self, name: &[u8]) -> bool {
        let then = self
            .registry
            .statement(name)
            .and_then(|it| it.under.as_ref());
        then.is_some_and(|then| self.mirror.forms() == Some(then.forms))
    }

    /// Whether the settings by which the server has written constants of a statement, or will write
    /// them, are those of now.
    pub(crate) fn folds_as_then(&self, name: &[u8]) -> bool {
        let then = self.registry.statement(name).and_then(|it| it.folds);
        then.is_some_and(|then| self.mirror.folds().hold(&then))
    }

    /// The server is about to be told to use a statement. It may have to analyse it anew, because of
    /// another path, or because something has changed that it refers to, statistics included; then it
    /// reads the literals as settings are now, and keeps to that when they have returned. So it does with
    /// constants that it plans.
    pub(crate) fn may_read_anew(&mut self, name: &[u8]) {
        if self.is_failed() {
            return;
        }
        let (forms, folds) = (self.mirror.forms(), self.mirror.folds());
        if let Some(statement) = self.registry.statement_mut(name) {
            statement.under.take_if(|then| forms != Some(then.forms));
            statement.folds.take_if(|then| !folds.hold(then));
        }
    }

    /// The same for a statement that sees others, and may use them: if its `text`, where that is known,
    /// has the word for it. What changes settings as well may do both in any order.
    pub(crate) fn may_use_names(&mut self, plan: &Plan, text: Option<&[u8]>) {
        let effects = &plan.effects;
        if !effects.names || self.is_failed() {
            return;
        }
        if let (Sight::All | Sight::Name(_) | Sight::Portals, Some(text)) = (&effects.sight, text) {
            self.registry.note_names_in(text);
        }
        match &effects.sight {
            Sight::Statement(name) => self.may_read_anew(name.as_bytes()),
            Sight::All if text.is_none_or(|text| sql::may_name(text, "execute")) => {
                let sets = effects.settings != SettingsEffect::Untouched;
                let now = self.mirror.forms().filter(|_| !sets);
                let folds = (!sets).then(|| self.mirror.folds());
                self.registry.read_literals_anew(now, folds);
            }
            Sight::All | Sight::Name(_) | Sight::Portals | Sight::Nothing => {}
        }
    }

    /// The types by which the server reads a Bind that is about to leave. If nobody knows, and it
    /// matters, the server is asked in front of it.
    pub(crate) fn read_as(
        &mut self,
        bind: &Bind<'_>,
        current: &Prepared,
        common: bool,
    ) -> Option<Types> {
        // A failed block refuses to describe what it may find another fault with.
        let in_doubt = self.queue.is_unsettled()
            && (self.status() != Status::Idle || self.queue.has_control());
        let failed = self.status() == Status::Failed || in_doubt;
        let statement = self.registry.statement_mut(bind.statement)?;
        let types = statement.types_in(current.context, bind.parameters());
        let matters = current.plan.read.is_ok() || !current.plan.pinned.is_empty();
        if types.is_some() || !matters || !common || failed {
            return types;
        }
        let inferred = Inferred::default();
        statement.inferred = Some(inferred.clone());
        put_describe(self.to_server.tail(), Target::Statement, bind.statement);
        self.forwarded = true;
        let expect = Expect::DescribeStatement {
            learn: None,
            parameters: None,
            verify: None,
            infer: Some(inferred),
        };
        self.push_swallowed(expect, None);
        None
    }
}

/// The types that a ParameterDescription names, four bytes each.
fn types(frame: &[u8]) -> Option<Types> {
    frame.get(HEADER + 2..).map(Types::from_slice)
}
