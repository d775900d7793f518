//! Statements that the server has not seen are made there once it must know them; portals in `portals`.
//!
//! Whoever sends a message that needs one makes it first, in the same segment; the replies are
//! swallowed.

use std::sync::Arc;

use sql::{Control, Effects, Plan, SettingsEffect, Sight};
use wire::frontend::{self, Target};

use crate::{
    extended::is_plain_control,
    identity::is_harmless,
    queue::{Awaited, Boundary, Expect, Route, Slot},
    registry::{Name, Undo, kept},
    session::Session,
    transaction::Block,
};

impl Session {
    /// The server must have this statement from here on.
    pub(crate) fn materialize_statement(&mut self, name: &[u8]) {
        self.materialize_block();
        self.make_statement(name);
    }

    /// The same, in front of a block of which it has not heard.
    fn make_statement(&mut self, name: &[u8]) {
        let (context, common) = (self.context(), self.sees_common_definitions());
        let Some(statement) = self.registry.statement_mut(name) else {
            return;
        };
        if statement.on_server {
            return;
        }
        statement.on_server = true;
        if !common || statement.prepared.context != context {
            statement.infer_as_then(common);
        }
        let learn = Arc::clone(&statement.prepared);
        statement.put_parse(self.to_server.tail(), name);
        self.registry.server_unnamed |= name.is_empty();
        self.registry.doubt(name, self.segment.segment);
        self.forwarded = true;
        let undo = Undo::Absent(Name::from_slice(name));
        self.push_swallowed(Expect::Parse(Some(learn)), Some(undo));
    }

    /// Whether a statement that can see names, or changes their form, has to wait: some of them have
    /// to be made, and the server may not be in a state to make them.
    pub(crate) fn awaits_names(&mut self, plan: &Plan) -> bool {
        let form = || self.changes_form(plan) || self.opens_block(plan);
        // What has been dropped in the same segment is not to be made anew.
        let unsettled = self.queue.is_unsettled() || self.registry.may_drop_any();
        let waits = (plan.effects.names || plan.effects.temporary || form())
            && unsettled
            && self.registry.has_absent();
        if waits
            || self.awaits_snapshot(plan)
            || self.awaits_own_portals(plan)
            || self.makes_apart(plan)
        {
            self.stall();
            return true;
        }
        false
    }

    /// Makes statements that have to be there before another one leaves, if there are some which the
    /// server may still parse; whether it does has to be known before that leaves.
    fn makes_apart(&mut self, plan: &Plan) -> bool {
        if !self.stands_alone() {
            return false;
        }
        let mut names = self.absent_before(plan);
        // A BEGIN of ours would take the unnamed one away again.
        let virtual_block = matches!(self.transaction.block, Block::Virtual { .. });
        names.retain(|name| self.may_be_parsed(name) && !(virtual_block && name.is_empty()));
        for name in &names {
            self.materialize_apart(name);
        }
        !names.is_empty()
    }

    /// Whether a statement that the server refuses now would be nothing to the client. Amid its
    /// messages these would be skipped. In its block all would be that follows; and to analyse a
    /// statement there takes a snapshot, for which a client may still wait, and locks that it keeps.
    fn stands_alone(&self) -> bool {
        let open = matches!(
            self.transaction.block,
            Block::Open { .. } | Block::Failed { .. }
        );
        !self.forwarded && !self.unsynced && !open
    }

    /// The statements that the server lacks, and that another one sees; that may name what it makes;
    /// or whose literals would be read otherwise behind it.
    fn absent_before(&self, plan: &Plan) -> Vec<Name> {
        let effects = &plan.effects;
        match &effects.sight {
            Sight::All if effects.names => return self.registry.absent_statements(),
            Sight::Statement(name) if effects.names => return vec![kept(name.as_bytes())],
            Sight::All | Sight::Statement(_) | Sight::Name(_) | Sight::Portals | Sight::Nothing => {
            }
        }
        let mut names = Vec::new();
        if effects.temporary {
            names.extend(self.absent_named(effects));
        }
        if self.changes_form(plan) {
            names.extend(self.absent_formed(plan));
        } else if self.opens_block(plan) {
            names.extend(self.registry.absent_literals());
        }
        names
    }

    /// Whether a block may begin at the server with a statement.
    fn opens_block(&self, plan: &Plan) -> bool {
        match &plan.effects.control {
            Some(Control::Begin(begin)) => !self.may_defer(begin),
            Some(_) | None => plan.effects.commits,
        }
    }

    /// The statements that the server lacks and that may name what is made.
    fn absent_named(&self, Effects { makes, .. }: &Effects) -> Vec<Name> {
        let makes = makes.as_deref();
        let mut names = self.registry.absent_statements();
        names.retain(|name| {
            let statement = self.registry.statement(name);
            statement.is_some_and(|it| {
                let named = makes.is_none_or(|name| sql::may_name(&it.prepared.text, name));
                named && it.prepared.plan.read.is_ok()
            })
        });
        names
    }

    /// The statements that the server lacks and whose literals it would read otherwise, unless they go.
    fn absent_formed(&self, plan: &Plan) -> Vec<Name> {
        let goes = plan.effects.names && plan.effects.sight == Sight::Nothing;
        let mut names = self.registry.absent_literals();
        names.retain(|name| name.is_empty() || !goes);
        names
    }

    /// Whether the server lacks a statement, and would accept it for all that is known.
    pub(crate) fn may_be_parsed(&self, name: &[u8]) -> bool {
        let statement = self.registry.statement(name);
        statement.is_some_and(|it| {
            let plan = &it.prepared.plan;
            let exists = is_plain_control(&it.prepared) || self.reads_what_exists(plan);
            !it.on_server && !it.refused && exists
        })
    }

    /// A block is about to begin at the server, in which settings may change.
    ///
    /// The unnamed statement would not outlive a BEGIN of ours.
    pub(crate) fn materialize_in_front(&mut self) {
        if !self.stands_alone() {
            return;
        }
        for name in self.registry.absent_literals() {
            if !name.is_empty() && self.may_be_parsed(&name) {
                self.materialize_apart(&name);
            }
        }
    }

    /// A statement is to be made for its name alone, which the client wants to take again.
    pub(crate) fn materialize_taken(&mut self, name: &[u8]) {
        let statement = self.registry.statement(name).filter(|it| !it.on_server);
        match statement.map(|it| is_plain_control(&it.prepared)) {
            Some(false) if !self.is_failed() => {
                self.materialize_block();
                self.stand_in(name);
            }
            _ => self.materialize_or_stand_in(name),
        }
    }

    /// Whether names mean to the session what they did when it prepared a statement, and its role is
    /// the same.
    fn is_placed_as_then(&self, name: &[u8]) -> bool {
        let then = self.registry.statement(name);
        let then = then.and_then(|it| it.under.as_ref());
        match (then, self.mirror.naming()) {
            (Some(then), Some((_, now))) => then.role == now.role && then.path == now.path,
            _ => false,
        }
    }

    /// What has to be made before a statement leaves that is about to run.
    ///
    /// `text` is that of the statement, if it has been read.
    pub(crate) fn materialize_for(&mut self, plan: &Plan, text: Option<&[u8]>) {
        self.materialize_portals(plan);
        self.materialize_meaning(plan);
        self.materialize_form(plan);
        self.materialize_names(plan, text);
        if plan.effects.names {
            self.registry.doubt_all();
        }
    }

    /// A statement is about to leave that can see names: those must exist.
    ///
    /// A failed block refuses whatever comes, and would refuse to make them.
    pub(crate) fn materialize_names(&mut self, plan: &Plan, text: Option<&[u8]>) {
        if !plan.effects.names || self.is_failed() {
            return;
        }
        match &plan.effects.sight {
            Sight::All => {
                for name in self.run_by(text) {
                    self.materialize_run(&name);
                }
                for name in self.registry.absent_statements() {
                    self.materialize_or_name(&name);
                }
            }
            Sight::Statement(name) => self.materialize_run(name.as_bytes()),
            Sight::Name(name) => self.materialize_name(name.as_bytes()),
            Sight::Portals | Sight::Nothing => {}
        }
        for name in self.registry.absent_portals() {
            self.materialize_portal(&name);
        }
    }

    /// A statement is to be made for what others see of it. The server has it even if its relations
    /// are gone by now; where it refuses to parse it, nobody must hear of that.
    fn materialize_or_name(&mut self, name: &[u8]) {
        let statement = self.registry.statement(name);
        let harmless = statement.is_some_and(|it| is_plain_control(&it.prepared));
        if (harmless || self.stands_alone()) && self.may_be_parsed(name) {
            self.materialize_apart(name);
        } else if self.registry.is_absent(name) {
            let amid = self.forwarded;
            self.stand_in(name);
            self.forwarded = amid;
        }
    }

    /// A statement is to be made for its name alone. An empty one does that, and is never refused; but
    /// what may be bound in a failed block is not refused either, and is wanted there.
    fn materialize_name(&mut self, name: &[u8]) {
        let statement = self.registry.statement(name).filter(|it| !it.on_server);
        match statement.map(|it| is_plain_control(&it.prepared)) {
            Some(true) => self.materialize_statement(name),
            Some(false) => self.stand_in(name),
            None => {}
        }
    }

    /// Makes a statement in a segment of its own, if none has begun: if the server refuses it, the
    /// client does not hear of it, and what follows is not skipped.
    fn materialize_apart(&mut self, name: &[u8]) {
        let amid = self.forwarded || self.unsynced;
        if self.stands_alone() {
            self.make_statement(name);
        } else {
            self.materialize_statement(name);
        }
        if amid {
            return;
        }
        self.forwarded = false;
        self.to_server.put(frontend::SYNC);
        self.queue.hush_last();
        let boundary = Boundary::new(self.segment.segment.saturating_sub(1));
        self.queue.push(Slot::Server(Awaited {
            expect: Expect::Sync(boundary),
            route: Route::Repeat,
            undo: None,
        }));
    }

    /// A statement is about to leave that may make temporary relations, which names mean from then
    /// on. The server keeps what they meant when it parsed a statement, if a temporary schema was
    /// there: what it has yet to parse must not wait any longer.
    ///
    /// Statements whose relations are gone or others it would analyse anew in any case.
    fn materialize_meaning(&mut self, plan: &Plan) {
        let effects = &plan.effects;
        if !effects.temporary || self.is_failed() {
            return;
        }
        let makes = effects.makes.as_deref();
        let named = |text: &[u8]| makes.is_none_or(|it| sql::may_name(text, it));
        for name in self.absent_named(effects) {
            if self.may_be_parsed(&name) && (self.stands_alone() || self.is_placed_as_then(&name)) {
                self.materialize_apart(&name);
            }
        }
        for name in self.registry.absent_portals() {
            let portal = self.registry.portal_mut(&name);
            let statement = portal.and_then(|portal| portal.statement.as_ref());
            if statement.is_some_and(|statement| named(&statement.text)) {
                self.materialize_portal(&name);
            }
        }
    }

    /// Whether it is a read of relations all of which are still there, for all that is known.
    fn reads_what_exists(&self, plan: &Plan) -> bool {
        let snapshot = self.knowledge.as_ref().map(|known| known.schema.snapshot());
        let (Ok(relations), Some(snapshot)) = (&plan.read, snapshot) else {
            return false;
        };
        relations.iter().all(|&id| snapshot.relation(id).is_some())
    }

    /// A statement is about to leave that may change settings. Literals are read when a statement is
    /// parsed: what is to be read as settings are now must not wait any longer. Blocks begin behind what
    /// has literals.
    fn materialize_form(&mut self, plan: &Plan) {
        if !self.changes_form(plan) || self.is_failed() {
            return;
        }
        if self.stands_alone() {
            for name in self.absent_formed(plan) {
                self.materialize_or_name(&name);
            }
        }
    }

    /// Whether a statement may change settings by which literals are read and values are formed.
    fn changes_form(&self, plan: &Plan) -> bool {
        let schema = self.knowledge.as_ref().map(|known| &known.schema);
        // What an application keeps in a setting of its own is no matter of form.
        let own =
            |name: &str| name.contains('.') && schema.is_some_and(|it| it.is_plain_setting(name));
        let forms = |name: &str| !is_place(name) && !is_harmless(name) && !own(name);
        let changes = match &plan.effects.settings {
            SettingsEffect::Untouched => false,
            SettingsEffect::One(_) | SettingsEffect::Several(_) | SettingsEffect::Calls(_) => {
                plan.effects.settings.named().any(|(name, _)| forms(name))
            }
            SettingsEffect::ResetAll | SettingsEffect::Unknown => true,
        };
        // A block that ends takes back what it has set.
        let ends = self.transaction.settings && plan.effects.control.is_some();
        changes || ends
    }

    /// The client's unnamed statement is gone, the server's is not: it must not answer for it.
    pub(crate) fn close_stale_unnamed(&mut self, name: &[u8]) {
        if name.is_empty() && std::mem::take(&mut self.registry.server_unnamed) {
            self.materialize_block();
            frontend::put_close(self.to_server.tail(), Target::Statement, b"");
            self.registry.doubt(b"", self.segment.segment);
            self.forwarded = true;
            self.push_swallowed(Expect::Close, Some(Undo::Unnamed));
        }
    }
}

/// Whether a setting decides which objects names mean.
fn is_place(name: &str) -> bool {
    matches!(name, "role" | "search_path" | "session_authorization")
}
