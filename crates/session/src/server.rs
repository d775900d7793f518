//! Messages of the server: which reply they belong to, where they go, and what they teach.

mod error;

use std::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};
use wire::{
    Header,
    backend::{self, tag},
};

use crate::{
    RefusedFill,
    copy::CopyIn,
    ending::judge,
    need::{Need, SessionError},
    queue::{Awaited, Expect, Judged, Route, Slot},
    session::{Session, reserve},
};

/// Server messages longer than this, in bytes, pass piece by piece even if they are not rows.
const WHOLE_MAX: usize = 64 * 1024 * 1024;

/// So many bytes of an ErrorResponse hold its severity, which comes first.
const SEVERITY_WITHIN: usize = 1024;

impl Session {
    /// Handles what the server has sent, consuming from `input` whatever is dealt with.
    ///
    /// # Errors
    ///
    /// When the bytes cannot be cut into messages, or answer nothing that was asked.
    pub fn server(&mut self, input: &mut BytesMut) -> Result<Need, SessionError> {
        loop {
            if self.server_rest > 0 {
                let step = self.server_rest.min(input.len());
                self.pass_rows(input, step, 0);
                self.server_rest -= step;
                if self.server_rest > 0 {
                    return Ok(Need::Input);
                }
            }
            let Some(header) = wire::header(input)? else {
                return Ok(Need::Input);
            };
            // The answer to our own question is read, so it has to be whole.
            let whole = input.len() >= header.total || !self.is_probing();
            if matches!(header.tag, tag::DATA_ROW | tag::COPY_DATA) && whole {
                self.rows(header, input)?;
                continue;
            }
            let Some(frame) = input.get(..header.total) else {
                let headless = header.tag == tag::ERROR && input.len() < SEVERITY_WITHIN;
                if header.total <= WHOLE_MAX || headless {
                    let whole = header.total <= WHOLE_MAX;
                    reserve(input, if whole { header.total } else { SEVERITY_WITHIN });
                    return Ok(Need::Input);
                }
                self.pass_large(header, input);
                continue;
            };
            if matches!(header.tag, tag::READY | tag::COPY_BOTH)
                && let Some(need) = self.before_ready(frame)
            {
                return Ok(need);
            }
            self.reply(header.tag, frame)?;
            input.advance(header.total);
        }
    }

    /// The server connection has ended: whatever it had in hand may have been committed.
    pub const fn lost_server(&mut self) -> u64 {
        self.next_ticket
    }

    /// Passes a run of rows in one piece.
    fn rows(&mut self, header: Header, input: &mut BytesMut) -> Result<(), SessionError> {
        self.start_recorder();
        let (mut bytes, mut rows) = (0, 0);
        loop {
            match wire::header(input.get(bytes..).unwrap_or_default())? {
                Some(next) if next.tag == header.tag && bytes + next.total <= input.len() => {
                    bytes += next.total;
                    rows += 1;
                }
                // A row that is not here whole: what there is of it may leave.
                Some(next) if next.tag == header.tag && rows == 0 => {
                    self.server_rest = next.total - input.len();
                    bytes = input.len();
                    rows = 1;
                    break;
                }
                _ => break,
            }
        }
        if self.is_probing() {
            self.probed = Some(Bytes::copy_from_slice(
                input.get(..bytes).unwrap_or_default(),
            ));
        }
        self.pass_rows(input, bytes, rows);
        Ok(())
    }

    fn pass_rows(&mut self, input: &mut BytesMut, bytes: usize, rows: u32) {
        if let Some(recorder) = &mut self.recorder {
            let kept = recorder.rows(input.get(..bytes).unwrap_or_default(), rows);
            self.keep_recording(kept);
        }
        if self.is_swallowing() {
            input.advance(bytes.min(input.len()));
        } else {
            self.to_client.take_from(input, bytes);
        }
    }

    /// A long message that is no row: nothing is learned from it.
    fn pass_large(&mut self, header: Header, input: &mut BytesMut) {
        self.refuse_recording(RefusedFill::TooLarge);
        if header.tag == tag::ROW_DESCRIPTION {
            self.finish_description(None);
        }
        if header.tag == tag::ERROR {
            let beginning = input.get(..SEVERITY_WITHIN).unwrap_or_default().to_vec();
            self.fail(&beginning);
        }
        let step = input.len().min(header.total);
        self.to_client.take_from(input, step);
        self.server_rest = header.total - step;
    }

    /// Where the reply at the head goes, if that is the server's to give.
    fn route(&mut self) -> Option<Route> {
        match self.queue.front_mut() {
            Some(Slot::Server(awaited)) => Some(awaited.route),
            Some(Slot::Local(..) | Slot::Ready) | None => None,
        }
    }

    fn is_probing(&mut self) -> bool {
        self.route() == Some(Route::Probe)
    }

    /// Whether notices at the head's reply are not for the client.
    fn is_hushed(&mut self) -> bool {
        matches!(self.route(), Some(Route::Repeat | Route::Probe))
    }

    fn is_swallowing(&mut self) -> bool {
        matches!(
            self.route(),
            Some(Route::Swallow | Route::Repeat | Route::Probe)
        )
    }

    /// One whole message other than a row.
    fn reply(&mut self, message: u8, frame: &[u8]) -> Result<(), SessionError> {
        match message {
            tag::NOTICE | tag::NOTIFICATION => self.asynchronous(message, frame),
            tag::PARAMETER_STATUS => self.parameter(frame),
            tag::ERROR => self.error(frame),
            tag::READY => self.ready(frame)?,
            _ => self.part(message, frame)?,
        }
        Ok(())
    }

    fn asynchronous(&mut self, message: u8, frame: &[u8]) {
        if message == tag::NOTICE {
            if let Some(Slot::Server(Awaited {
                expect: Expect::Query(execution, _) | Expect::Execute(execution),
                ..
            })) = self.queue.front_mut()
            {
                execution.note(frame);
            }
            self.refuse_recording(RefusedFill::Notice);
            if std::mem::take(&mut self.just_recorded)
                && let Some(record) = self.recorded.pop()
            {
                // How long something took the server says behind its end.
                let statement = &record.question.statement;
                self.shared.count_refused(statement, RefusedFill::Notice);
            }
            self.note_notice();
        }
        // Code may have made it listen, too.
        self.listens |= message == tag::NOTIFICATION;
        if !(message == tag::NOTICE && self.is_hushed()) {
            self.to_client.put(frame);
        }
    }

    /// What brings a notice outside of a reply: whoever is answered here would miss it.
    fn note_notice(&mut self) {
        let Some(Slot::Server(Awaited { expect, .. })) = self.queue.front_mut() else {
            return;
        };
        let name = if let Expect::Parse(Some(prepared)) = expect {
            return prepared.make_noisy();
        } else if let Expect::Bind(Some(name)) = expect {
            &*name
        } else if let Expect::Proof(proof) = expect {
            &proof.0
        } else {
            return;
        };
        // It comes while the statement is planned, and not again as long as that plan is kept.
        if let Some(statement) = self.registry.statement_mut(name) {
            statement.noisy = true;
        }
        let waiting = self.queue.recordings_mut();
        for recording in waiting.chain(self.registry.recordings_mut()) {
            if let Some(refused) = recording.take() {
                let statement = &refused.question.statement;
                self.shared.count_refused(statement, RefusedFill::Notice);
            }
        }
    }

    fn parameter(&mut self, frame: &[u8]) {
        self.to_client.put(frame);
        let Ok((name, value)) = backend::parameter_status(frame) else {
            return;
        };
        match name {
            b"application_name" | b"is_superuser" => return,
            b"in_hot_standby" => {
                self.primary = value == b"off";
                return;
            }
            _ => {}
        }
        self.texts.note(name, value);
        // Reported with the statement that did it; otherwise something changed behind our back.
        let expected = self.mirror.identity().is_none();
        if !expected {
            // It held for the replies before it as well: the server takes its configuration in
            // before it runs a command, and tells of it behind.
            self.recorded.clear();
            self.mirror.forget();
            self.mirror.doubt_folds();
        }
        self.mirror.doubt_forms();
    }

    /// A part of a reply, which may complete it.
    fn part(&mut self, message: u8, frame: &[u8]) -> Result<(), SessionError> {
        self.just_recorded = false;
        if matches!(message, tag::COMMAND_COMPLETE | tag::ROW_DESCRIPTION) {
            self.start_recorder();
        }
        if self.meets_fence(message) {
            return Ok(());
        }
        let relayed = self.route() == Some(Route::Relay);
        let done = self.take_part(message, frame)?;
        if relayed {
            self.to_client.put(frame);
        }
        if done {
            self.queue.pop();
            self.emit_local();
        }
        Ok(())
    }

    /// What a part of the head's reply teaches, and whether it is the last.
    fn take_part(&mut self, message: u8, frame: &[u8]) -> Result<bool, SessionError> {
        let Some(Slot::Server(Awaited { expect, undo, .. })) = self.queue.front_mut() else {
            return Err(SessionError::Unexpected(message));
        };
        let is_query = matches!(expect, Expect::Query(..));
        let last = match (expect, message) {
            (Expect::Parse(_), tag::PARSE_COMPLETE)
            | (Expect::Bind(_), tag::BIND_COMPLETE)
            | (Expect::Close, tag::CLOSE_COMPLETE) => true,
            (Expect::Proof(proof), tag::BIND_COMPLETE) => {
                let (name, current) = &**proof;
                self.registry.prove(name, Arc::clone(current));
                true
            }
            (Expect::DescribeStatement { parameters, .. }, tag::PARAMETER_DESCRIPTION) => {
                *parameters = Some(Bytes::copy_from_slice(frame));
                false
            }
            (
                Expect::DescribeStatement { .. } | Expect::DescribePortal { .. },
                tag::ROW_DESCRIPTION | tag::NO_DATA,
            ) => {
                self.finish_description(Some(frame));
                true
            }
            (Expect::Execute(_), tag::EMPTY_QUERY | tag::PORTAL_SUSPENDED) => {
                // Nothing has run: a portal of which the Bind has failed is as good as empty.
                let back = undo.take().filter(|_| message == tag::EMPTY_QUERY);
                self.end_untagged(back);
                true
            }
            (Expect::Execute(_) | Expect::Query(..), tag::COMMAND_COMPLETE) => {
                self.completed(frame);
                !is_query
            }
            (Expect::Execute(_) | Expect::Query(..), tag::COPY_IN) => {
                if !self.copy.begin(!is_query) {
                    return Err(SessionError::Unexpected(message));
                }
                // What waits for this reply is what the server has to hear now.
                self.stalled = false;
                self.flushed = false;
                false
            }
            (Expect::Query(..), tag::COPY_BOTH) => {
                self.copy = CopyIn::Both;
                self.stalled = false;
                false
            }
            (Expect::Query(..), tag::ROW_DESCRIPTION) => {
                self.description_in_reply(frame);
                false
            }
            (Expect::Execute(_) | Expect::Query(..), tag::COPY_OUT | tag::COPY_DONE)
            | (Expect::Query(..), tag::EMPTY_QUERY)
            | (Expect::Function(_), tag::FUNCTION_RESULT) => false,
            _ => return Err(SessionError::Unexpected(message)),
        };
        Ok(last)
    }

    /// CommandComplete: one statement of the head has ended well.
    fn completed(&mut self, frame: &[u8]) {
        if let Some(recorder) = self.recorder.take() {
            let statement = Arc::clone(recorder.statement());
            match recorder.finish(frame) {
                Ok(record) => self.keep_until_ready(record),
                Err(why) => self.shared.count_refused(&statement, why),
            }
        }
        let command = backend::command_tag(frame).unwrap_or_default();
        let names = matches!(command, b"PREPARE" | b"DEALLOCATE");
        let front = self.queue.front_mut();
        let is_query = matches!(
            front,
            Some(Slot::Server(Awaited {
                expect: Expect::Query(..),
                ..
            }))
        );
        let (deallocates, judges, skipped) = match front {
            Some(Slot::Server(Awaited {
                expect: Expect::Query(execution, _) | Expect::Execute(execution),
                undo,
                ..
            })) => {
                if is_query {
                    // It has run a statement: what that took the place of does not come back.
                    *undo = None;
                }
                let name = names.then(|| execution.deallocates.pop_front()).flatten();
                (name, execution.judges, execution.skipped)
            }
            _ => (None, false, false),
        };
        // Deferred triggers run now.
        let commits = command == b"COMMIT" && self.transaction.unbounded;
        let boundary = self.queue.boundary_mut().unwrap_or(&mut self.segment);
        boundary.late |= is_query;
        boundary.ran = true;
        if skipped && boundary.judged == Judged::Pending {
            boundary.skipped = true;
        } else {
            judge(boundary, command, judges);
            // Code drops code as well, and no tag tells; so do definitions that run some, or take it along
            // with something else.
            let code = commits || boundary.unbounded && !sql::tag_clears(command);
            let along = boundary.defines && !sql::tag_only_makes(command);
            boundary.drops |= code || along || sql::tag_drops(command);
        }
        match command {
            b"DEALLOCATE ALL" | b"DISCARD ALL" => self.registry.clear_statements(),
            b"PREPARE" => self.registry.note_prepare(deallocates.as_deref()),
            b"LISTEN" => self.listens = true,
            b"DEALLOCATE" => self.registry.note_deallocate(deallocates.as_deref()),
            _ => {}
        }
    }
}
