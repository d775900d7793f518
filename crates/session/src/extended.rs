//! The extended query protocol: statements and portals, some of which the server has never seen.
//!
//! Here are Parse and Close; Bind, Describe and Execute have modules of their own.

use std::sync::Arc;

use sql::Reason;
use wire::{
    backend,
    frontend::{self, Parse, Target},
};

use crate::{
    client::Step,
    parameters::Inferred,
    prepared::{Prepared, Types},
    queue::{Boundary, Expect},
    registry::{Former, Registry, Statement, Undo, kept},
    session::Session,
    simple::Protocol,
    transaction::Block,
};

impl Session {
    pub(crate) fn parse(&mut self, frame: &[u8]) -> Step {
        let Ok(Parse { name, text, types }) = Parse::read(frame) else {
            return self.forward_part(Expect::Parse(None));
        };
        if self.awaits(name) {
            return Step::Wait;
        }
        let mut prepared = self.prepared(text);
        if self.should_know_itself(&prepared) {
            if !self.knows_itself() {
                return Step::Wait;
            }
            prepared = self.prepared(text);
        }
        if self.awaits_names(&prepared.plan) {
            return Step::Wait;
        }
        let taken = !name.is_empty() && self.registry.statement(name).is_some();
        if taken && self.awaits_parsed(name) {
            return Step::Wait;
        }
        if taken {
            // The server has to say so. If it does not, the statement was dropped unseen.
            self.materialize_taken(name);
            self.registry.doubt(name, self.segment.segment);
        }
        // Behind a reply that is owed the server may yet skip it.
        let virtually = !taken
            && self.may_keep(name, taken)
            && self.queue.is_empty()
            && self.status() != backend::Status::Failed
            && !self.registry.may_be_taken(name)
            && self.may_pretend(name, &prepared, types);
        if !virtually {
            // Beginning a block costs the server its unnamed statement, so it comes first.
            self.materialize_block_for(&prepared.plan);
        }
        let statement = self.statement(&prepared, (text, types), virtually);
        if virtually {
            let undo = self.registry.put_statement(name, statement);
            if !is_plain_control(&prepared) {
                self.note_queried(Protocol::Extended);
            }
            self.push_local_undoable(backend::PARSE_COMPLETE, undo);
            return Step::Done;
        }
        let segment = self.segment.segment;
        let undo = match self.may_keep(name, taken) {
            true => self.registry.put_statement(name, statement),
            false => self.registry.put_stranger(name, &prepared, segment),
        };
        // What it returns may depend on them.
        self.materialize_names(&prepared.plan, prepared.words());
        self.doubt(name);
        self.forwarded = true;
        let learn = prepared.plan.read.is_ok().then_some(prepared);
        self.push_server(Expect::Parse(learn), Some(undo));
        Step::Forward
    }

    /// What is kept of a statement, whether or not the server is sent it.
    fn statement(
        &self,
        prepared: &Arc<Prepared>,
        (text, types): (&[u8], &[u8]),
        virtually: bool,
    ) -> Statement {
        // What it means under definitions of its own block is to be found out when that has ended.
        let common = virtually || self.sees_common_definitions();
        Statement {
            prepared: match common {
                true => Arc::clone(prepared),
                false if prepared.path.is_none() => Arc::clone(prepared),
                false => self.unplanned(text),
            },
            types: Types::from_slice(types),
            inferred: (!common).then(Inferred::default),
            under: self.mirror.identity().cloned(),
            folds: Some(self.mirror.folds()),
            generation: self.knowledge.as_ref().map(|known| known.generation),
            own: prepared.plan.own,
            on_server: !virtually,
            row: virtually.then(|| prepared.row(types)).flatten(),
            segment: self.segment.segment,
            described: false,
            refused: false,
            noisy: false,
            stale: None,
            weight: 0,
        }
    }

    /// Whether something may be kept under a name: there is room, and the name stays what it is; what
    /// takes the place of something, or has no name, always finds it. What is not kept is the server's
    /// alone.
    pub(crate) fn may_keep(&self, name: &[u8], taken: bool) -> bool {
        taken || name.is_empty() || is_plain_name(name) && !self.registry.is_full()
    }

    /// Whether a message about this statement has to wait: one that was sent before may yet turn
    /// out to have been skipped, or drop it; or the server has to be given the statement, which a
    /// block refuses that turns out to have failed.
    pub(crate) fn awaits(&mut self, statement: &[u8]) -> bool {
        if self.queue.is_empty() {
            return false;
        }
        let in_block = self.status() != backend::Status::Idle || self.queue.has_control();
        let skipped = self.registry.is_unsure(statement, self.segment.segment)
            || in_block && self.registry.is_absent(statement)
            // What stands in for it is no use outside of a failed block.
            || self.registry.is_stale(statement);
        let waits = self.queue.is_unsettled() && skipped || self.registry.may_drop(statement);
        if waits {
            self.stall();
        }
        waits
    }

    /// Whether a message that drops this statement, and may be skipped, has to wait: were the server to
    /// refuse the Parse in an earlier segment as well, the statement would be put back.
    fn awaits_parsed(&mut self, statement: &[u8]) -> bool {
        let segment = self.segment.segment;
        let parsed = self.registry.statement(statement);
        let waits = parsed.is_some_and(|it| {
            let owed = |boundary: &Boundary| boundary.segment <= it.segment;
            it.on_server && it.segment < segment && self.queue.boundaries().any(owed)
        });
        if waits {
            self.stall();
        }
        waits
    }

    /// Whether a message about this portal has to wait: one that was sent before may turn out to have
    /// been skipped, and the portal to be ours again, which the server does not have, or lost.
    pub(crate) fn awaits_portal(
        &mut self,
        portal: &[u8],
        is_unsure: fn(&Registry, &[u8], u64) -> bool,
    ) -> bool {
        let waits =
            self.queue.is_unsettled() && is_unsure(&self.registry, portal, self.segment.segment);
        if waits {
            self.stall();
        }
        waits
    }

    /// A message is about to be sent that makes or drops this statement. The first of a segment
    /// is not skipped.
    fn doubt(&mut self, statement: &[u8]) {
        if self.forwarded {
            self.registry.doubt(statement, self.segment.segment);
        }
    }

    /// Whether the server would accept a Parse that it is not sent.
    fn may_pretend(&self, name: &[u8], prepared: &Prepared, types: &[u8]) -> bool {
        if prepared.plan.effects.control.is_some() {
            return types.is_empty() && is_plain_control(prepared);
        }
        prepared.plan.read.is_ok()
            && prepared.ttl.is_ok()
            && !prepared.is_noisy()
            && (!prepared.literal || self.mirror.identity().is_some())
            // In an open block it could not be made before settings change.
            && !(prepared.literal
                && !name.is_empty()
                && matches!(self.transaction.block, Block::Open { .. }))
            && self.sees_known_definitions()
            && prepared.row(types).is_some()
    }

    pub(crate) fn close(&mut self, frame: &[u8]) -> Step {
        if let Ok((Target::Statement, name)) = frontend::target(frame) {
            if self.may_close_for_certain(name) {
                self.registry.close_for_certain(name, self.segment.segment);
                return self.forward_part(Expect::Close);
            }
            if self.awaits(name) || self.forwarded && self.awaits_parsed(name) {
                return Step::Wait;
            }
            self.doubt(name);
        }
        if let Ok((Target::Portal, name)) = frontend::target(frame)
            && self.awaits_portal(name, Registry::is_unsure_portal)
        {
            return Step::Wait;
        }
        let (on_server, undo) = match frontend::target(frame) {
            Ok((Target::Statement, name)) => match self.registry.remove_statement(name) {
                Some(statement) => {
                    let on_server =
                        statement.on_server || (name.is_empty() && self.registry.server_unnamed);
                    let undo = Undo::Statement(kept(name), Some(Box::new(statement)));
                    (on_server, Some(undo))
                }
                None => (true, None),
            },
            Ok((Target::Portal, name)) => match self.registry.remove_portal(name) {
                Some(portal) => {
                    let on_server = !portal.is_ours();
                    let undo = Undo::Portal(kept(name), Former::Portal(Box::new(portal)));
                    (on_server, Some(undo))
                }
                None => (true, None),
            },
            Err(_) => (true, None),
        };
        if !on_server && self.status() != backend::Status::Failed {
            match undo {
                Some(undo) => self.push_local_undoable(backend::CLOSE_COMPLETE, undo),
                None => self.push_local(backend::CLOSE_COMPLETE),
            }
            return Step::Done;
        }
        self.materialize_block();
        self.forwarded = true;
        self.push_server(Expect::Close, undo);
        Step::Forward
    }

    /// Whether a Close that is the first of its segment, which is not skipped, leaves nothing of a statement
    /// under way, whatever has become of that.
    fn may_close_for_certain(&self, statement: &[u8]) -> bool {
        !statement.is_empty()
            && !self.forwarded
            && self.queue.is_unsettled()
            && self.status() == backend::Status::Idle
            && !self.queue.has_control()
            && self.registry.is_unsure(statement, self.segment.segment)
            && !self.registry.may_drop(statement)
    }

    /// Sends a part of the extended protocol on as it is.
    pub(crate) fn forward_part(&mut self, expect: Expect) -> Step {
        self.materialize_block();
        self.forwarded = true;
        self.push_server(expect, None);
        Step::Forward
    }

    /// Counts a read that is not looked up because of the size of its arguments.
    pub(crate) fn count_bypass(&self, reason: Reason, statement: &[u8]) {
        let statement = self.registry.statement(statement);
        if let Some(statement) = statement.filter(|it| it.prepared.plan.read.is_ok()) {
            self.shared.count_bypass(&statement.prepared, reason);
        }
    }
}

/// Whether a name is one in every encoding, and the same in all. Of any other the server says whether
/// it is, in that of the client, and for which it stands.
pub(crate) const fn is_plain_name(name: &[u8]) -> bool {
    name.is_ascii()
}

/// Transaction control that we may answer in some state of the session.
pub(crate) fn is_plain_control(prepared: &Prepared) -> bool {
    use sql::Control;
    matches!(
        prepared.plan.effects.control,
        Some(
            Control::Begin(_)
                | Control::Commit { chain: false }
                | Control::Rollback { chain: false }
        )
    )
}
