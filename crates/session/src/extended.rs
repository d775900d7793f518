//! The extended query protocol: statements and portals, some of which the server has never seen.
//!
//! A portal's rows are those visible at its Bind (`PortalStart` takes the snapshot), so the Bind is
//! where the store is asked; Describe and Execute only deliver.

use std::sync::Arc;

use sql::{Arguments, Reason};
use wire::{
    backend,
    frontend::{self, Bind, Parse, Target},
};

use crate::{
    client::Step,
    prepared::{Prepared, Types},
    queue::{Description, Execution, Expect, Slot},
    recorder::Recording,
    registry::{Name, Portal, Source, Statement, Undo},
    session::Session,
    simple::{Lookup, Protocol},
    stale::Stage,
    transaction::Block,
};

/// A Bind longer than this, in bytes, is not looked up: its values are part of the key.
const ARGUMENTS_MAX: usize = 64 * 1024;

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
        if self.awaits_names(&prepared) {
            return Step::Wait;
        }
        let taken = !name.is_empty() && self.registry.statement(name).is_some();
        if taken {
            // The server has to say so. If it does not, the statement was dropped unseen.
            let failed = self.status() == backend::Status::Failed;
            let absent = |it: &Statement| !it.on_server && !is_plain_control(&it.prepared);
            if failed && self.registry.statement(name).is_some_and(absent) {
                self.stand_in(name);
            } else {
                self.materialize_statement(name);
            }
            self.registry.doubt(name, self.segment.segment);
        }
        // Behind a reply that is owed the server may yet skip it.
        let virtually = !taken
            && self.queue.is_empty()
            && self.status() != backend::Status::Failed
            && !self.registry.may_be_taken(name)
            && self.may_pretend(&prepared, types);
        let statement = Statement {
            prepared: Arc::clone(&prepared),
            types: Types::from_slice(types),
            on_server: !virtually,
            row: virtually.then(|| prepared.row(types)).flatten(),
            segment: self.segment.segment,
            described: false,
            stale: None,
            weight: 0,
        };
        let mut undo = None;
        if self.may_keep(name, taken) {
            let put = self.registry.put_statement(name, statement);
            if virtually {
                self.push_local_undoable(backend::PARSE_COMPLETE, put);
                return Step::Done;
            }
            undo = Some(put);
        } else {
            self.registry.has_strangers = true;
        }
        self.materialize_block();
        if prepared.plan.effects.names {
            // What it returns may depend on them.
            self.materialize_names();
        }
        self.doubt(name);
        self.forwarded = true;
        let learn = prepared.plan.read.is_ok().then_some(prepared);
        self.push_server(Expect::Parse(learn), undo);
        Step::Forward
    }

    /// Whether there is room to keep something under a name; what takes the place of something, or
    /// has no name, always finds it. What is not kept is the server's alone.
    pub(crate) fn may_keep(&self, name: &[u8], taken: bool) -> bool {
        taken || name.is_empty() || !self.registry.is_full()
    }

    /// Whether a message about this statement has to wait: one that was sent before may yet turn
    /// out to have been skipped, or drop it.
    pub(crate) fn awaits(&mut self, statement: &[u8]) -> bool {
        let skipped =
            self.queue.is_unsettled() && self.registry.is_unsure(statement, self.segment.segment);
        let waits = skipped || (!self.queue.is_empty() && self.registry.may_drop(statement));
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
    fn may_pretend(&self, prepared: &Prepared, types: &[u8]) -> bool {
        if prepared.plan.effects.control.is_some() {
            return types.is_empty() && is_plain_control(prepared);
        }
        prepared.plan.read.is_ok()
            && prepared.ttl.is_ok()
            && !prepared.is_noisy()
            && self.sees_known_definitions()
            && prepared.row(types).is_some()
    }

    pub(crate) fn bind(&mut self, frame: &[u8]) -> Step {
        let Ok(bind) = Bind::read(frame) else {
            return self.forward_part(Expect::Bind);
        };
        if self.awaits(bind.statement) {
            return Step::Wait;
        }
        let Some(statement) = self.registry.statement(bind.statement) else {
            self.close_stale_unnamed(bind.statement);
            return self.forward_bind(&bind, frame, None, None);
        };
        let (mut prepared, types) = (Arc::clone(&statement.prepared), statement.types.clone());
        let context = prepared.context;
        if statement.stale.is_some() && self.status() != backend::Status::Failed {
            return self.meet_stale(bind.statement, Stage::Bind);
        }
        let taken = match self.registry.portal_mut(bind.portal) {
            Some(portal) if !bind.portal.is_empty() => Some(portal.segment),
            Some(_) | None => None,
        };
        if let Some(segment) = taken {
            if segment != self.segment.segment && self.queue.is_unsettled() {
                // Unless the portal has ended with its transaction.
                self.stall();
                return Step::Wait;
            }
            // The server has to say that the name is taken. If it does not, the portal has ended.
            self.materialize_portal(bind.portal);
            prepared = self.current(&prepared);
            return self.forward_bind(&bind, frame, Some(prepared), None);
        }
        if self.should_know_itself(&prepared) && !self.knows_itself() {
            return Step::Wait;
        }
        prepared = self.current(&prepared);
        if bind.parameters() == 0
            && types.is_empty()
            && is_plain_control(&prepared)
            && self.server_is_quiet()
            && self.status() != backend::Status::Failed
        {
            self.put_portal(
                &bind,
                frame,
                (prepared, types),
                Source::Control { done: false },
            );
            return Step::Done;
        }
        let proven = context == prepared.context || self.is_proven(bind.statement, &prepared);
        if !proven && self.is_suspicious(bind.statement) {
            return self.verify(bind.statement);
        }
        if prepared.refusal().is_none() && prepared.plan.read.is_ok() {
            let refusal = if !proven {
                // The server proves it by accepting this Bind.
                Some(Reason::NoCatalog)
            } else if frame.len() > ARGUMENTS_MAX || !self.may_keep(bind.portal, false) {
                Some(Reason::LargeParameters)
            } else {
                bind.values()
                    .any(sql::names_clock)
                    .then_some(Reason::ClockParameter)
            };
            if refusal.is_some() && self.is_suspicious(bind.statement) {
                return self.verify(bind.statement);
            }
            if let Some(reason) = refusal {
                self.shared.telemetry.bypass(reason).inc();
                return self.forward_bind(&bind, frame, Some(prepared), None);
            }
        }
        let values = values(&bind, &types);
        match self.look_up(&prepared, Protocol::Extended, &values, bind.arguments) {
            Lookup::Ask(need) => Step::Ask(need),
            Lookup::Wait => Step::Wait,
            Lookup::Hit(entry) => {
                self.put_portal(
                    &bind,
                    frame,
                    (prepared, types),
                    Source::Entry { entry, sent: 0 },
                );
                Step::Done
            }
            Lookup::Forward(None) if self.is_suspicious(bind.statement) => {
                self.refused = true;
                self.verify(bind.statement)
            }
            Lookup::Forward(recording) => {
                self.forward_bind(&bind, frame, Some(prepared), recording)
            }
        }
    }

    /// A portal that the server does not know.
    fn put_portal(
        &mut self,
        bind: &Bind<'_>,
        frame: &[u8],
        (statement, types): (Arc<Prepared>, Types),
        source: Source,
    ) {
        let portal = Portal {
            statement: Some(statement),
            types,
            source,
            writes: None,
            segment: self.segment.segment,
            bind: frame.into(),
            weight: 0,
        };
        let undo = self.registry.put_portal(bind.portal, portal);
        self.push_local_undoable(backend::BIND_COMPLETE, undo);
    }

    fn forward_bind(
        &mut self,
        bind: &Bind<'_>,
        frame: &[u8],
        prepared: Option<Arc<Prepared>>,
        recording: Option<Box<Recording>>,
    ) -> Step {
        self.materialize_block();
        self.materialize_statement(bind.statement);
        let mut types = Types::new();
        let mut expect = Expect::Bind;
        if let (Some(statement), Some(current)) =
            (self.registry.statement(bind.statement), &prepared)
        {
            types = statement.types.clone();
            if statement.prepared.context != current.context {
                let name = Name::from_slice(bind.statement);
                expect = Expect::Proof(Box::new((name, Arc::clone(current))));
            }
        }
        // Only what may be looked up again needs its arguments.
        let kept = if recording.is_some() { frame } else { &[] };
        let writes = prepared.as_ref().and_then(|prepared| {
            let types = &self.registry.statement(bind.statement)?.types;
            let narrow = prepared.plan.pinned.writes(&values(bind, types));
            narrow.map(Box::new)
        });
        let portal = Portal {
            statement: prepared,
            types,
            source: Source::Server {
                recording,
                described: false,
            },
            writes,
            segment: self.segment.segment,
            bind: kept.into(),
            weight: 0,
        };
        let taken = self.registry.portal_mut(bind.portal).is_some();
        let undo = self
            .may_keep(bind.portal, taken)
            .then(|| self.registry.put_portal(bind.portal, portal));
        self.registry.has_strangers |= undo.is_none();
        self.forwarded = true;
        self.push_server(expect, undo);
        Step::Forward
    }

    pub(crate) fn execute(&mut self, frame: &[u8]) -> Step {
        let Ok((name, limit)) = frontend::execute(frame) else {
            return self.forward_part(Expect::Execute(Execution::default()));
        };
        let quiet = self.server_is_quiet();
        let settled = !self.queue.is_unsettled();
        let segment = self.segment.segment;
        let in_block = self.status() != backend::Status::Idle;
        let Some(portal) = self.registry.portal_mut(name) else {
            // A cursor of SQL, or an error.
            let stranger = self.stranger();
            return self.execute_on_server(name, &stranger, limit);
        };
        let ours = !matches!(portal.source, Source::Server { .. });
        if ours && !settled {
            // What is owed decides whether it still exists.
            self.stall();
            return Step::Wait;
        }
        if ours && portal.segment != segment && !in_block {
            // It ended with its transaction, as the server will say.
            self.registry.remove_portal(name);
            return self.forward_part(Expect::Execute(Execution::default()));
        }
        let statement = portal.statement.clone();
        let failed = matches!(self.transaction.block, Block::Failed);
        match &mut portal.source {
            Source::Entry { .. } if failed => {
                // The server refuses to bind it, in the words in which it would refuse to run it.
                self.materialize_portal(name);
                self.forward_part(Expect::Execute(Execution::default()))
            }
            Source::Entry { entry, sent } => {
                let reply = deliver(entry, sent, limit);
                if self.queue.is_empty() {
                    for part in &reply {
                        self.to_client.put_shared(part);
                    }
                } else {
                    for part in reply {
                        self.queue.push(Slot::Local(part, None));
                    }
                }
                Step::Done
            }
            Source::Control { done } => {
                let may = quiet && !*done;
                let prepared = statement.unwrap_or_else(|| Arc::new(Prepared::opaque(b"")));
                if may && let Some(tag) = self.answer_control(&prepared) {
                    self.registry.finish_control(name);
                    backend::put_command_complete(self.to_client.tail(), tag);
                    return Step::Done;
                }
                self.execute_on_server(name, &prepared, limit)
            }
            Source::Server { .. } => {
                let prepared = match statement {
                    Some(statement) => self.bound(statement),
                    None => self.stranger(),
                };
                self.execute_on_server(name, &prepared, limit)
            }
        }
    }

    /// A statement of which nothing is known here: one that SQL has prepared or declared, or one
    /// that does not exist, unless the client has made some that were not kept.
    fn stranger(&self) -> Arc<Prepared> {
        let mut stranger = Prepared::opaque(b"");
        stranger.may_take_data = self.registry.has_strangers;
        Arc::new(stranger)
    }

    fn execute_on_server(&mut self, name: &[u8], prepared: &Arc<Prepared>, limit: i32) -> Step {
        if self.awaits_names(prepared) {
            return Step::Wait;
        }
        let narrow = self.registry.portal_mut(name);
        // Rows are told apart only as long as the plan holds.
        let narrow = narrow
            .filter(|_| !prepared.plan.writes.is_unbounded())
            .and_then(|portal| portal.writes.clone());
        let writes = narrow.as_deref().unwrap_or(&prepared.plan.writes);
        if let Some(step) = self.mark_for(&prepared.plan, writes) {
            return step;
        }
        self.materialize_block();
        self.materialize_portal(name);
        if prepared.plan.effects.names {
            self.materialize_names();
            self.registry.doubt_all();
        }
        let mut execution = Execution {
            deallocates: prepared.plan.effects.deallocates.clone(),
            ..Execution::default()
        };
        self.take_recording(name, prepared, limit, &mut execution);
        if let Some(recording) = &mut execution.recording {
            recording.lead = self.take_lead(&recording.question.key);
        }
        self.note(&prepared.plan, writes, &prepared.text);
        self.forwarded = true;
        self.push_server(Expect::Execute(execution), None);
        self.may_copy(prepared);
        if self.segment.chains {
            // Portals end with the transaction, at once.
            self.registry.end_portals(self.segment.segment);
        }
        Step::Forward
    }

    /// The first Execute of a portal that asks for all rows is recorded, if its Bind was a miss
    /// and the description is known or on its way.
    fn take_recording(
        &mut self,
        name: &[u8],
        prepared: &Arc<Prepared>,
        limit: i32,
        execution: &mut Execution,
    ) {
        let Some(portal) = self.registry.portal_mut(name) else {
            return;
        };
        let Source::Server {
            recording,
            described,
        } = &mut portal.source
        else {
            return;
        };
        let Some(recording) = recording.take() else {
            return;
        };
        if limit != 0 {
            return;
        }
        if *described {
            execution.description = Description::Captured;
            execution.recording = Some(recording);
            return;
        }
        let (bind, statement) = (portal.bind.clone(), portal.statement.clone());
        let types = portal.types.clone();
        let known = Bind::read(&bind).ok().and_then(|bind| {
            let row = statement.as_ref().unwrap_or(prepared).row(&types)?;
            backend::with_formats(&row, bind.result_formats).ok()
        });
        execution.description = match known {
            Some(description) => Description::Known(description.freeze()),
            None => {
                frontend::put_describe(self.to_server.tail(), Target::Portal, name);
                let learn = statement
                    .filter(|_| self.sees_known_definitions())
                    .map(|statement| (statement, types));
                let capture = true;
                self.push_swallowed(Expect::DescribePortal { capture, learn }, None);
                Description::Captured
            }
        };
        execution.recording = Some(recording);
    }

    pub(crate) fn close(&mut self, frame: &[u8]) -> Step {
        if let Ok((Target::Statement, name)) = frontend::target(frame) {
            if self.awaits(name) {
                return Step::Wait;
            }
            self.doubt(name);
        }
        let (on_server, undo) = match frontend::target(frame) {
            Ok((Target::Statement, name)) => match self.registry.remove_statement(name) {
                Some(statement) => {
                    let on_server =
                        statement.on_server || (name.is_empty() && self.registry.server_unnamed);
                    let undo = Undo::Statement(Name::from_slice(name), Some(statement));
                    (on_server, Some(undo))
                }
                None => (true, None),
            },
            Ok((Target::Portal, name)) => match self.registry.remove_portal(name) {
                Some(portal) => {
                    let on_server = matches!(portal.source, Source::Server { .. });
                    let undo = Undo::Portal(Name::from_slice(name), Some(portal));
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

    /// Sends a part of the extended protocol on as it is.
    pub(crate) fn forward_part(&mut self, expect: Expect) -> Step {
        self.materialize_block();
        self.forwarded = true;
        self.push_server(expect, None);
        Step::Forward
    }

    /// Counts a read that is not looked up because of the size of its arguments.
    pub(crate) fn count_bypass(&self, reason: Reason, statement: &[u8]) {
        let is_read = self
            .registry
            .statement(statement)
            .is_some_and(|it| it.prepared.plan.read.is_ok());
        if is_read {
            self.shared.telemetry.bypass(reason).inc();
        }
    }
}

/// The values of a Bind, for a statement with these declared types.
fn values<'a>(bind: &Bind<'a>, types: &'a [u8]) -> Arguments<'a> {
    Arguments {
        types,
        formats: bind.formats(),
        values: bind.encoded_values(),
    }
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

/// The frames that an Execute with a row limit delivers from a recorded reply (0: no limit).
///
/// A portal that has returned as many rows as were asked for is suspended even if none is left;
/// the next Execute finds that out, and its tag counts its own rows only.
fn deliver(entry: &cache::Entry, sent: &mut usize, limit: i32) -> Vec<bytes::Bytes> {
    let limit = u64::try_from(limit).unwrap_or(0);
    if limit == 0 && *sent == 0 {
        *sent = entry.data().len();
        return vec![entry.execution()];
    }
    let data = entry.data().slice((*sent).min(entry.data().len())..);
    let (mut bytes, mut rows) = (0, 0_u64);
    while (limit == 0 || rows < limit)
        && let Ok(Some(header)) = wire::header(data.get(bytes..).unwrap_or_default())
    {
        bytes += header.total;
        rows += 1;
    }
    *sent += bytes;
    let rows_part = data.slice(..bytes.min(data.len()));
    let end = if limit > 0 && rows == limit {
        bytes::Bytes::from_static(backend::PORTAL_SUSPENDED)
    } else {
        let mut tag = bytes::BytesMut::new();
        backend::put_command_complete(&mut tag, format!("SELECT {rows}").as_bytes());
        tag.freeze()
    };
    vec![rows_part, end]
}
