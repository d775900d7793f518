//! The simple query protocol, and what both protocols have in common: whether a statement is looked
//! up.

use std::sync::Arc;

use bytes::Bytes;
use cache::DigestBuilder;
use sql::{Arguments, Begin, Control, Isolation, Reason, Writes};
use wire::{backend, frontend};

use crate::{
    Recipe,
    client::Step,
    copy::CopyIn,
    need::{Answer, Need, Question},
    prepared::Prepared,
    queue::{Awaited, Boundary, Description, Execution, Expect, Route, Slot},
    recorder::Recording,
    registry::{Former, Name, Undo},
    scopes,
    session::Session,
    transaction::Block,
};

/// What distinguishes the keys of the two protocols.
#[derive(Clone, Copy)]
pub(crate) enum Protocol {
    Simple = 1,
    Extended = 2,
}

impl Session {
    pub(crate) fn query(&mut self, frame: &[u8]) -> Step {
        let Ok(text) = frontend::query(frame) else {
            return self.forward_unread(Expect::Query);
        };
        if let Some(step) = self.awaits_pipeline() {
            return step;
        }
        let mut prepared = self.prepared(text);
        if self.should_know_itself(&prepared) {
            if !self.knows_itself() {
                return Step::Wait;
            }
            prepared = self.prepared(text);
        }
        prepared = self.running(prepared);
        if self.awaits_fate_of_portal() {
            return Step::Wait;
        }
        if self.server_is_quiet()
            && let Some(step) = self.virtual_control(&prepared)
        {
            return step;
        }
        let lookup = match self.missed.take() {
            Some(recording) if self.granted => Lookup::Forward(Some(recording)),
            Some(_) | None => self.look_up(&prepared, Protocol::Simple, &Arguments::default(), &[]),
        };
        match lookup {
            Lookup::Ask(need) => Step::Ask(need),
            Lookup::Wait => Step::Wait,
            Lookup::Hit(entry) => {
                self.forget_unnamed();
                let status = self.status();
                if status == backend::Status::Idle {
                    // It ends the transaction that earlier messages have begun.
                    self.registry.end_portals(self.segment.segment);
                    self.segment.segment += 1;
                }
                self.to_client.put_shared(entry.frames());
                self.to_client.put(backend::ready(status));
                Step::Done
            }
            Lookup::Forward(_) if self.awaits_names(&prepared.plan) => {
                self.refused = true;
                Step::Wait
            }
            Lookup::Forward(recording) => {
                let arguments = prepared.arguments(Arguments::default());
                let narrow = prepared.plan.pinned.writes(&arguments);
                let writes = narrow.as_ref().unwrap_or(&prepared.plan.writes);
                if let Some(step) = self.mark_for(&prepared.plan, writes) {
                    self.missed = recording;
                    return step;
                }
                let execution = Execution {
                    recording,
                    description: Description::InReply,
                    ..Execution::of(&prepared.plan)
                };
                self.forward_query(&prepared, writes, execution)
            }
        }
    }

    pub(crate) fn forward_query(
        &mut self,
        prepared: &Arc<Prepared>,
        writes: &Writes,
        mut execution: Execution,
    ) -> Step {
        execution.judges = prepared.plan.effects.tag_judges;
        if writes.any() {
            self.shared.count_write(prepared, self.lane);
        }
        // A query ends what was begun without a Sync: none has to follow.
        self.unsynced |= std::mem::take(&mut self.forwarded);
        self.materialize_block_for(&prepared.plan);
        self.materialize_level(&prepared.plan, false);
        self.materialize_for(&prepared.plan, prepared.words());
        self.may_use_names(&prepared.plan, prepared.words());
        let unnamed = self.replace_unnamed(prepared);
        // What of ours stands in front may fail, and take along what comes next. Only copy data may
        // have to follow.
        let fronted = std::mem::take(&mut self.forwarded);
        self.stalled |= fronted && !prepared.may_take_data;
        let settings = prepared.assigned(&Arguments::default());
        self.note(&prepared.plan, writes, &prepared.text, settings.as_deref());
        let undo = unnamed.or_else(|| self.leave_level(&prepared.plan));
        if let Some(undo) = &undo {
            self.registry.doubt_undone(undo, self.segment.segment);
        }
        let boundary = self.end_segment();
        self.queue.push(Slot::Server(Awaited {
            expect: Expect::Query(execution, boundary),
            route: Route::Relay,
            undo,
        }));
        self.may_copy(prepared);
        Step::Forward
    }

    /// A statement was sent on, which may be followed by copy data.
    pub(crate) fn may_copy(&mut self, prepared: &Prepared) {
        if prepared.may_take_data {
            self.copy = CopyIn::Asked;
        }
    }

    /// A message whose body is malformed: the server ends the connection over it.
    fn forward_unread(&mut self, expect: impl FnOnce(Execution, Boundary) -> Expect) -> Step {
        self.materialize_block();
        let boundary = self.end_segment();
        self.push_server(expect(Execution::default(), boundary), None);
        Step::Forward
    }

    /// BEGIN, COMMIT and ROLLBACK that the server need not know of.
    fn virtual_control(&mut self, prepared: &Arc<Prepared>) -> Option<Step> {
        let tag = self.answer_control(prepared)?;
        self.forget_unnamed();
        backend::put_command_complete(self.to_client.tail(), tag);
        let status = self.status();
        self.to_client.put(backend::ready(status));
        Some(Step::Done)
    }

    /// Carries out transaction control without the server, if that can be done, and returns the
    /// tag of its CommandComplete. Nothing may be owed or on its way.
    pub(crate) fn answer_control(&mut self, prepared: &Arc<Prepared>) -> Option<&'static [u8]> {
        let control = prepared.plan.effects.control.as_ref()?;
        match (control, &self.transaction.block) {
            (Control::Begin(begin), Block::Idle) if self.may_defer(begin) => {
                self.transaction.block = Block::Virtual {
                    begin: Arc::clone(prepared),
                    read_committed: true,
                };
                self.transaction.queried = self.segment.queried;
                Some(if begin.start_transaction {
                    b"START TRANSACTION"
                } else {
                    b"BEGIN"
                })
            }
            (Control::Commit { chain: false }, Block::Virtual { .. }) => {
                self.end_virtual_block();
                Some(b"COMMIT")
            }
            (Control::Rollback { chain: false }, Block::Virtual { .. }) => {
                self.end_virtual_block();
                Some(b"ROLLBACK")
            }
            _ => None,
        }
    }

    /// Something was answered here for which the server would have taken a snapshot. Outside of a block
    /// a simple query has a transaction of its own.
    pub(crate) fn note_queried(&mut self, protocol: Protocol) {
        match (&self.transaction.block, protocol) {
            (Block::Idle, Protocol::Simple) => {}
            (Block::Idle, Protocol::Extended) => self.segment.queried = true,
            (Block::Virtual { .. } | Block::Open { .. } | Block::Failed { .. }, _) => {
                self.transaction.queried = true;
            }
        }
    }

    /// Whether a block may begin here: its level is READ COMMITTED, and the server would not refuse it.
    pub(crate) fn may_defer(&self, begin: &Begin) -> bool {
        if begin.isolation.is_some() && self.segment.queried {
            // The server refuses to set a level behind a Parse.
            return false;
        }
        // A standby refuses it.
        let refused = begin.read_only == Some(false) && !self.primary;
        let read_committed = self.mirror.identity().is_some_and(|identity| {
            let level = |level| level == Isolation::ReadCommitted;
            begin.isolation.map_or(identity.read_committed, level)
        });
        begin.deferrable.is_none() && !self.listens && !refused && read_committed
    }

    fn end_virtual_block(&mut self) {
        self.transaction.block = Block::Idle;
        (self.transaction.queried, self.segment.queried) = (false, false);
        self.registry.end_portals(self.segment.segment);
        // What is bound from now on has not ended.
        self.segment.segment += 1;
    }

    /// Whether a simple query has to wait: in a block that turns out to have failed, it leaves the
    /// unnamed portal alone, which the server may then turn out not to have.
    fn awaits_fate_of_portal(&mut self) -> bool {
        let waits = self.queue.is_unsettled()
            && self.status() == backend::Status::Transaction
            && self.registry.portal_mut(b"").is_some();
        if waits {
            self.stall();
        }
        waits
    }

    /// A simple query that the server does not see destroys the unnamed statement and portal.
    fn forget_unnamed(&mut self) {
        self.registry.remove_statement(b"");
        self.registry.server_unnamed |= self.registry.long_unnamed.take().is_some();
        self.registry.lose_portal();
    }

    /// A simple query destroys the unnamed statement, and the portal once it runs a statement
    /// (`exec_simple_query` in `postgres.c`). What is to be put back if it does not come to that.
    fn replace_unnamed(&mut self, prepared: &Prepared) -> Option<Undo> {
        let in_block = self.status() == backend::Status::Transaction;
        if in_block {
            // Whether the server has one of the query's own afterwards shows how it failed.
            self.close_lost_portal(b"");
        }
        self.registry.remove_statement(b"");
        (self.registry.server_unnamed, self.registry.long_unnamed) = (false, None);
        if self.is_failed() || prepared.is_empty() {
            return None;
        }
        let portal = self.registry.remove_portal(b"")?;
        // A block that has failed refuses to run whatever is there then, the query's own included.
        let stays = in_block && portal.is_ours();
        stays.then(|| Undo::Portal(Name::new(), Former::Portal(portal.into())))
    }

    /// Decides whether to ask the store about a statement, and takes in what it says.
    pub(crate) fn look_up(
        &mut self,
        prepared: &Arc<Prepared>,
        protocol: Protocol,
        values: &Arguments<'_>,
        arguments: &[u8],
    ) -> Lookup {
        if std::mem::take(&mut self.refused) {
            return Lookup::Forward(None);
        }
        if let Some(reason) = prepared.refusal() {
            if !self.granted {
                self.shared.count_bypass(prepared, reason);
            }
            return Lookup::Forward(None);
        }
        if prepared.plan.read.is_err() {
            return Lookup::Forward(None);
        }
        if let Some(answer) = self.answer.take() {
            return self.answered(answer, prepared, protocol);
        }
        match self.ask(prepared, protocol, values, arguments) {
            Ok(question) => {
                self.question = Some(question);
                Lookup::Ask(Need::LookUp)
            }
            Err(reason) => {
                self.shared.count_bypass(prepared, reason);
                Lookup::Forward(None)
            }
        }
    }

    /// The question to the store, or why none is asked.
    fn ask(
        &mut self,
        prepared: &Arc<Prepared>,
        protocol: Protocol,
        values: &Arguments<'_>,
        arguments: &[u8],
    ) -> Result<Question, Reason> {
        let extended = match protocol {
            // It ends the transaction that earlier messages have begun.
            Protocol::Simple if self.forwarded || self.unsynced => return Err(Reason::Pipeline),
            Protocol::Simple => None,
            Protocol::Extended => Some((values.types, arguments)),
        };
        self.may_look_up(protocol)?;
        let (Some(knowledge), Some(identity), Ok(ttl)) =
            (&self.knowledge, self.mirror.identity(), prepared.ttl)
        else {
            return Err(Reason::NoCatalog);
        };
        let buffer = std::mem::take(&mut self.key_buffer);
        let mut key = DigestBuilder::reusing(buffer);
        key.digest(&identity.digest)
            .digest(prepared.digest())
            .number(protocol as u64);
        if let Some((types, arguments)) = extended {
            key.field(types).field(arguments);
        }
        let known = identity.put(&mut key, &prepared.plan.settings);
        let (key, buffer) = key.into_key();
        self.key_buffer = buffer;
        if !known {
            return Err(Reason::SessionState);
        }
        let given = prepared.arguments(*values);
        let (scopes, complete) = scopes::read(&prepared.plan, knowledge.database, &given);
        let recipe = prepared.refresh.is_on().then(|| {
            let copied = |bytes: &[u8]| Bytes::copy_from_slice(bytes);
            Arc::new(Recipe {
                key,
                knowledge: Arc::clone(knowledge),
                scopes: scopes.clone(),
                ttl,
                refresh: prepared.refresh,
                identity: Arc::clone(identity),
                text: prepared.text.clone(),
                extended: extended.map(|(types, arguments)| (copied(types), copied(arguments))),
            })
        });
        Ok(Question {
            key,
            knowledge: Arc::clone(knowledge),
            scopes,
            complete,
            ttl,
            statement: Arc::clone(prepared),
            recipe,
        })
    }

    fn answered(&mut self, answer: Answer, prepared: &Prepared, protocol: Protocol) -> Lookup {
        let shared = &self.shared;
        match answer {
            Answer::Hit(entry) => {
                if !self.queue.is_empty() {
                    // Earlier replies are still owed, and could be newer than this one: ask again
                    // when they have come.
                    self.stall();
                    return Lookup::Wait;
                }
                shared.count_hit(prepared, self.lane);
                self.served = true;
                self.note_queried(protocol);
                Lookup::Hit(entry)
            }
            Answer::Miss(stamp) => {
                shared.count_miss(prepared, self.lane);
                let Some(question) = self.question.take() else {
                    return Lookup::Forward(None);
                };
                let lead = match protocol {
                    Protocol::Simple => self.take_lead(&question.key),
                    // Nobody knows yet whether an Execute follows.
                    Protocol::Extended => None,
                };
                Lookup::Forward(Some(Box::new(Recording {
                    question,
                    stamp,
                    lead,
                    capture: 0,
                })))
            }
            Answer::Nothing(reason) => {
                shared.count_bypass(prepared, reason);
                Lookup::Forward(None)
            }
            Answer::Done => Lookup::Forward(None),
        }
    }

    /// Whether a read may be looked up now, as far as the session goes.
    fn may_look_up(&self, protocol: Protocol) -> Result<(), Reason> {
        self.transaction.allows_reads()?;
        let segment = &self.segment;
        if self.queue.has_control() || segment.control || segment.commits || segment.writes.any() {
            return Err(Reason::Pipeline);
        }
        if self.transaction.is_open() && self.queue.boundaries().any(|it| it.writes.any()) {
            return Err(Reason::TransactionWrites);
        }
        if self.former_code {
            // The server may run in this transaction what is not there any more.
            return Err(Reason::NoCatalog);
        }
        match self.mirror.identity() {
            _ if self.knowledge.is_none() => Err(Reason::NoCatalog),
            None => Err(Reason::SettingsUnknown),
            Some(identity) if identity.temporary.is_some() => Err(Reason::TemporaryObjects),
            // It would be a transaction of its own at the session's level, or part of one that has
            // begun with this segment.
            Some(identity)
                if !identity.read_committed && matches!(self.transaction.block, Block::Idle) =>
            {
                // Of one statement, the snapshot is that of the statement. What a SERIALIZABLE one
                // has read may keep others from committing.
                match protocol {
                    Protocol::Simple if &*identity.isolation == b"repeatable read" => Ok(()),
                    Protocol::Simple | Protocol::Extended => Err(Reason::Isolation),
                }
            }
            Some(_) => Ok(()),
        }
    }

    /// Whether it pays, or is needed, to know the session's state before a statement is planned.
    ///
    /// A statement that was planned earlier would be planned anew without a path, and count as
    /// writing more than it does.
    pub(crate) fn should_know_itself(&mut self, prepared: &Prepared) -> bool {
        self.want_settings(prepared);
        let writes = prepared.plan.writes.any() || prepared.needs_catalog;
        self.knowledge.is_some()
            && self.mirror.can_ask()
            && (prepared.candidate
                || matches!(prepared.plan.effects.control, Some(Control::Begin(_)))
                || (writes && self.mirror.naming().is_none()))
    }

    /// The segment ends with the message at hand.
    pub(crate) fn end_segment(&mut self) -> Boundary {
        // A simple query or function call does not end the messages of an unfinished segment.
        let next = Boundary::new(self.segment.segment + 1);
        std::mem::replace(&mut self.segment, next)
    }
}

/// What to do with a statement that might be a hit.
pub(crate) enum Lookup {
    Ask(Need),
    Wait,
    Hit(cache::Entry),
    Forward(Option<Box<Recording>>),
}
