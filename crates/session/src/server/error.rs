//! Errors of the server: what is owed after one, and what the client gets to see.

use wire::backend::{self, tag};

use crate::{
    RefusedFill,
    copy::CopyIn,
    queue::{Awaited, Boundary, Expect, Route, Slot},
    registry::Undo,
    session::Session,
};

impl Session {
    /// ErrorResponse, in answer to the head or out of the blue.
    pub(super) fn error(&mut self, frame: &[u8]) {
        match self.fail(frame) {
            Some(Route::Probe) | None => {}
            Some(Route::Refusal) => self.to_client.put(&backend::stale_plan(frame)),
            Some(Route::Relay | Route::Swallow | Route::Repeat) => self.to_client.put(frame),
        }
    }

    /// An ErrorResponse begins like this: what is owed after it, and what the client gets to see, as
    /// of which route; `None` if nothing.
    pub(super) fn fail(&mut self, frame: &[u8]) -> Option<Route> {
        self.refuse_recording(RefusedFill::Error);
        self.recorder = None;
        self.captured = None;
        if is_fatal(frame) {
            self.break_fence();
            self.broken = true;
        } else if self.meets_fence(tag::ERROR) {
            return None;
        } else {
            self.fail_copy();
        }
        let told = match self.queue.front_mut() {
            Some(Slot::Server(awaited)) if !is_fatal(frame) => awaited.route,
            Some(_) | None => Route::Relay,
        };
        if told == Route::Probe {
            self.probed = None;
        }
        let unrun = self.fails_unrun(frame);
        match self.queue.front_mut() {
            None => {}
            Some(Slot::Server(Awaited {
                expect: Expect::Sync(boundary),
                ..
            })) => (boundary.failed, boundary.late) = (true, true),
            Some(Slot::Server(Awaited {
                expect: Expect::Query(_, boundary) | Expect::Function(boundary),
                undo,
                ..
            })) => {
                boundary.failed = true;
                let segment = boundary.segment;
                if let Some(undo) = undo.take() {
                    self.registry.undo(vec![undo], segment);
                }
            }
            Some(Slot::Server(Awaited {
                expect: Expect::Parse(_),
                undo,
                route,
            })) => {
                if let (Some(Undo::Absent(name)), Route::Probe) = (&undo, route) {
                    self.registry.note_refused(name);
                }
                // The server drops its unnamed statement before it reads the new one.
                let drops = matches!(undo, Some(Undo::Statement(name, _)) if name.is_empty());
                self.skip_to_sync(drops);
            }
            Some(_) => self.skip_to_sync(false),
        }
        if unrun {
            let boundary = self.queue.boundary_mut().unwrap_or(&mut self.segment);
            boundary.fail_unrun();
        }
        Some(told)
    }

    /// Whether an ErrorResponse tells that nothing of what it answers has run.
    fn fails_unrun(&mut self, frame: &[u8]) -> bool {
        let Some(Slot::Server(Awaited { expect, .. })) = self.queue.front_mut() else {
            return false;
        };
        match expect {
            Expect::Parse(_)
            | Expect::Bind(_)
            | Expect::Proof(_)
            | Expect::DescribeStatement { .. }
            | Expect::DescribePortal { .. }
            | Expect::Close => true,
            Expect::Query(..) => backend::refuses_text(frame),
            Expect::Execute(_) | Expect::Sync(_) | Expect::Function(_) | Expect::Fence(_) => false,
        }
    }

    /// The server discards everything up to the next Sync, and so do we. If it `drops` its unnamed
    /// statement, what was parsed before does not come back.
    fn skip_to_sync(&mut self, drops: bool) {
        self.refused = false;
        let fronts = self.queue.is_in_front_of_query();
        let mut skipped = self.queue.fail_segment();
        if fronts && let Some(boundary) = skipped.boundary.take() {
            self.end_skipped(boundary);
            skipped.reached = true;
        }
        let failed = match self.queue.boundary_mut() {
            Some(boundary) if skipped.reached => boundary.segment,
            Some(_) | None => self.segment.segment,
        };
        if drops {
            self.registry.drop_unnamed(failed);
        }
        self.registry.undo(skipped.undos, failed);
        if !skipped.reached {
            if let Some(boundary) = skipped.boundary {
                self.segment.absorb(boundary);
            }
            self.skipping = true;
            self.segment.failed = true;
            self.copy = CopyIn::None;
            self.stalled = false;
            self.flushed = false;
        }
    }

    /// The server skips a simple query of the client's, or a function call, because of something of
    /// ours in front of it, up to a Sync that the client has no reason to send.
    fn end_skipped(&mut self, mut boundary: Boundary) {
        boundary.failed = true;
        self.copy = CopyIn::None;
        self.sync_due = true;
        self.put_sync();
        self.push_server(Expect::Sync(boundary), None);
    }

    /// Sends a Sync of ours as soon as no message of the client's is amid.
    pub(crate) fn put_sync(&mut self) {
        if self.client_rest == 0 && std::mem::take(&mut self.sync_due) {
            self.to_server.put(wire::frontend::SYNC);
        }
    }
}

fn is_fatal(frame: &[u8]) -> bool {
    // The unlocalized severity (field V) comes second; FATAL and PANIC end the connection.
    let body = frame.get(wire::HEADER..).unwrap_or_default();
    body.split(|&byte| byte == 0)
        .any(|field| matches!(field, b"VFATAL" | b"VPANIC"))
}
