//! Execute: a portal's rows, from the store or from the server.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use sql::Plan;
use wire::{
    backend,
    frontend::{self, Bind, Target},
};

use crate::{
    RefusedFill,
    client::Step,
    prepared::{Prepared, Types},
    queue::{Description, Execution, Expect, Slot},
    registry::{Registry, Source, Undo},
    session::Session,
    stale::ends_block,
};

impl Session {
    pub(crate) fn execute(&mut self, frame: &[u8]) -> Step {
        let Ok((name, limit)) = frontend::execute(frame) else {
            return self.forward_part(Expect::Execute(Execution::default()));
        };
        if self.awaits_portal(name, Registry::is_unsure_bound) {
            return Step::Wait;
        }
        let quiet = self.server_is_quiet();
        let settled = !self.queue.is_unsettled();
        let failed = self.is_failed();
        let segment = self.segment.segment;
        let in_block = self.status() != backend::Status::Idle;
        let Some(portal) = self.registry.portal_mut(name) else {
            // A cursor of SQL, or an error.
            self.close_lost_portal(name);
            let stranger = self.stranger();
            return self.execute_on_server(name, &stranger, limit);
        };
        let ours = portal.is_ours();
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
        match &mut portal.source {
            Source::Entry { .. } if failed => {
                // The server refuses to bind it, in the words in which it would refuse to run it.
                self.materialize_portal(name);
                self.forward_part(Expect::Execute(Execution::default()))
            }
            Source::Entry { entry, sent } => {
                let reply = deliver(entry, sent, limit);
                self.put_recorded(reply);
                Step::Done
            }
            Source::Control { .. } if failed => {
                // What was bound before a block has failed cannot be run in it, not even a ROLLBACK.
                self.materialize_refusal();
                self.forward_part(Expect::Execute(Execution::default()))
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
                    Some(statement) => {
                        let bound = self.bound(statement);
                        self.running(bound)
                    }
                    None => self.stranger(),
                };
                self.execute_on_server(name, &prepared, limit)
            }
        }
    }

    /// A portal has been run here: its rows leave, behind all that the client has asked for before.
    fn put_recorded(&mut self, reply: Vec<Bytes>) {
        self.note_pipelined();
        if self.queue.is_empty() {
            for part in &reply {
                self.to_client.put_shared(part);
            }
        } else {
            for part in reply {
                self.queue.push(Slot::Local(part, None));
            }
        }
    }

    /// A statement of which nothing is known here: one that SQL has prepared or declared, or one
    /// that does not exist, unless the client has made some that were not kept.
    pub(crate) fn stranger(&self) -> Arc<Prepared> {
        let mut stranger = Prepared::opaque(b"");
        stranger.may_take_data = self.registry.has_strangers;
        Arc::new(stranger)
    }

    pub(crate) fn execute_on_server(
        &mut self,
        name: &[u8],
        prepared: &Arc<Prepared>,
        limit: i32,
    ) -> Step {
        if self.awaits_names(&prepared.plan) || self.awaits_portals(name, &prepared.plan) {
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
        if writes.any() {
            self.shared.count_write(prepared, self.lane);
        }
        self.materialize_block_for(&prepared.plan);
        self.materialize_pipeline_for(&prepared.plan);
        self.materialize_portal(name);
        self.materialize_level(&prepared.plan, true);
        self.materialize_for(&prepared.plan, prepared.words());
        self.may_use_names(&prepared.plan, prepared.words());
        let mut execution = Execution::of(&prepared.plan);
        self.take_recording(name, prepared, limit, &mut execution);
        if let Some(recording) = &mut execution.recording {
            recording.lead = self.take_lead(&recording.question.key);
        }
        let settings = self.registry.portal_mut(name);
        let settings = settings.and_then(|portal| {
            portal.idle = false;
            portal.settings.take()
        });
        self.note(&prepared.plan, writes, &prepared.text, settings.as_deref());
        self.forwarded = true;
        // Portals end with the transaction, at once.
        let ended =
            ends_block(&prepared.plan).then(|| self.registry.take_portals(self.segment.segment));
        let ended = ended.or_else(|| self.leave_level(&prepared.plan));
        self.push_server(Expect::Execute(execution), ended);
        self.may_copy(prepared);
        Step::Forward
    }

    /// Whether what ends a transaction, and its portals, has to wait: what becomes of them, or of
    /// itself, is not known yet.
    fn awaits_portals(&mut self, name: &[u8], plan: &Plan) -> bool {
        if !self.queue.is_unsettled() || !ends_block(plan) {
            return false;
        }
        let segment = self.segment.segment;
        let portal = self.registry.portal_mut(name);
        let waits =
            portal.is_some_and(|it| it.segment != segment) || self.registry.has_unsure_portals();
        if waits {
            self.stall();
        }
        waits
    }

    /// The first Execute of a portal that asks for all rows is recorded, if its Bind was a miss
    /// and the description is known or on its way.
    pub(crate) fn take_recording(
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
        let Some(mut recording) = recording.take() else {
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
        let may_have_ended = portal.segment != self.segment.segment && self.queue.is_unsettled();
        let statement = portal.statement.as_ref();
        let known = Bind::read(&portal.bind).ok().and_then(|bind| {
            let row = statement.unwrap_or(prepared).row(&portal.types)?;
            backend::with_formats(&row, bind.result_formats).ok()
        });
        execution.description = match known {
            Some(description) => Description::Known(description.freeze()),
            // The server is to say that it is gone in answer to the Execute.
            None if may_have_ended => return,
            None => {
                let statement = statement.cloned();
                let types = Types::from_slice(&portal.types);
                frontend::put_describe(self.to_server.tail(), Target::Portal, name);
                let learn = statement
                    .filter(|it| self.sees_known_definitions() && it.context == self.context())
                    .map(|statement| (statement, types));
                recording.capture = self.next_capture();
                let capture = Some(recording.capture);
                self.push_swallowed(Expect::DescribePortal { capture, learn }, None);
                Description::Captured
            }
        };
        execution.recording = Some(recording);
    }

    /// An Execute at the head has ended without a tag; `back` is what comes back if nothing has run.
    pub(crate) fn end_untagged(&mut self, back: Option<Undo>) {
        self.refuse_recording(RefusedFill::Incomplete);
        // No tag will say what it did, and another's must not speak for it.
        let boundary = self.queue.boundary_mut().unwrap_or(&mut self.segment);
        boundary.convict();
        boundary.ran = true;
        let segment = boundary.segment;
        self.registry.undo(back.into_iter().collect(), segment);
    }
}

/// The frames that an Execute with a row limit delivers from a recorded reply (0: no limit).
///
/// A portal that has returned as many rows as were asked for is suspended even if none is left;
/// the next Execute finds that out, and its tag counts its own rows only.
fn deliver(entry: &cache::Entry, sent: &mut usize, limit: i32) -> Vec<Bytes> {
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
        Bytes::from_static(backend::PORTAL_SUSPENDED)
    } else {
        let mut tag = BytesMut::new();
        backend::put_command_complete(&mut tag, format!("SELECT {rows}").as_bytes());
        tag.freeze()
    };
    vec![rows_part, end]
}
