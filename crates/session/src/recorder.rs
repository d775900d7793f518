//! Recording a reply while it passes.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use cache::{Entry, Stamp};
use wire::backend;

use crate::{
    Lead, Question, RefusedFill,
    prepared::Prepared,
    queue::{Awaited, Description, Expect, Slot},
    session::Session,
};

/// A reply that the session wants to be kept.
#[derive(Debug)]
pub struct Record {
    /// What it answers.
    pub question: Question,
    /// The versions that were current before the query left.
    pub stamp: Stamp,
    /// The frames.
    pub entry: Entry,
    /// What the shell tied to it.
    pub lead: Option<Lead>,
}

/// Under which name and stamp a reply will be kept.
#[derive(Debug)]
pub(crate) struct Recording {
    pub(crate) question: Question,
    pub(crate) stamp: Stamp,
    pub(crate) lead: Option<Lead>,
    /// The number of the Describe that tells its columns.
    pub(crate) capture: u64,
}

/// Bytes of rows and tag that most replies do not exceed.
const USUAL: usize = 512;

/// Collects the frames of one reply.
#[derive(Debug)]
pub(crate) struct Recorder {
    recording: Box<Recording>,
    frames: BytesMut,
    description: usize,
    rows: u32,
    limit: usize,
}

impl Recorder {
    /// `description` is the `RowDescription` frame if it is known from elsewhere.
    pub(crate) fn new(recording: Box<Recording>, description: Option<&[u8]>, limit: usize) -> Self {
        let description = description.unwrap_or_default();
        let mut frames = BytesMut::with_capacity(description.len() + USUAL);
        frames.extend_from_slice(description);
        Self {
            recording,
            description: frames.len(),
            frames,
            rows: 0,
            limit,
        }
    }

    /// Nobody waits for it any more.
    pub(crate) fn release(&mut self) {
        self.recording.lead = None;
    }

    /// The description, when it comes as part of the reply.
    pub(crate) fn describe(&mut self, frame: &[u8]) -> Result<(), RefusedFill> {
        if self.description > 0 || self.rows > 0 {
            return Err(RefusedFill::Incomplete);
        }
        self.description = frame.len();
        self.frames.extend_from_slice(frame);
        Ok(())
    }

    /// Bytes of `DataRow` frames, `rows` of which begin here.
    pub(crate) fn rows(&mut self, bytes: &[u8], rows: u32) -> Result<(), RefusedFill> {
        if self.frames.len() + bytes.len() > self.limit {
            return Err(RefusedFill::TooLarge);
        }
        self.rows = self.rows.saturating_add(rows);
        self.frames.extend_from_slice(bytes);
        Ok(())
    }

    /// What is recorded the reply of.
    pub(crate) const fn statement(&self) -> &Arc<Prepared> {
        &self.recording.question.statement
    }

    /// The tag ends it: a read's, counting the rows that came.
    pub(crate) fn finish(mut self, frame: &[u8]) -> Result<Record, RefusedFill> {
        let counted = backend::command_tag(frame)
            .ok()
            .and_then(|tag| tag.strip_prefix(b"SELECT "))
            .and_then(|count| std::str::from_utf8(count).ok()?.parse::<u32>().ok());
        if counted != Some(self.rows) || self.description == 0 {
            return Err(RefusedFill::Incomplete);
        }
        let complete = self.frames.len();
        self.frames.extend_from_slice(frame);
        if self.frames.len() > self.limit {
            return Err(RefusedFill::TooLarge);
        }
        // A copy of its own: the buffer may be much larger than what it holds.
        let frames = Bytes::copy_from_slice(&self.frames);
        let offset = |bytes: usize| u32::try_from(bytes).map_err(|_| RefusedFill::TooLarge);
        let entry = Entry::new(
            frames,
            offset(self.description)?,
            offset(complete)?,
            self.rows,
        )
        .map_err(|_| RefusedFill::TooLarge)?;
        let Recording {
            mut question,
            mut stamp,
            lead,
            capture: _,
        } = *self.recording;
        if question.complete == Some(self.rows) && cache::is_optional(question.scopes.last()) {
            question.scopes.pop();
            stamp.truncate(question.scopes.len());
        }
        if stamp.versions().len() != question.scopes.len() + 1 {
            return Err(RefusedFill::Lacking);
        }
        Ok(Record {
            question,
            stamp,
            entry,
            lead,
        })
    }
}

/// How many bytes of replies may wait for a ReadyForQuery.
const RECORDED_MAX: usize = 1024 * 1024;

impl Session {
    /// A number for a Describe from which the columns of a recording are to be known.
    pub(crate) const fn next_capture(&mut self) -> u64 {
        self.captures += 1;
        self.captures
    }

    /// The head's reply begins: start to record it if that is wanted.
    pub(crate) fn start_recorder(&mut self) {
        let Some(Slot::Server(Awaited {
            expect: Expect::Execute(execution) | Expect::Query(execution, _),
            ..
        })) = self.queue.front_mut()
        else {
            return;
        };
        let Some(recording) = execution.recording.take() else {
            return;
        };
        let limit = self.shared.limits.entry_bytes_max;
        self.recorder = match &execution.description {
            Description::InReply => Some(Recorder::new(recording, None, limit)),
            Description::Known(frame) => Some(Recorder::new(recording, Some(frame), limit)),
            Description::Captured => {
                let captured = self.captured.take();
                // Another portal may have been described since.
                let own = captured.filter(|(number, _)| *number == recording.capture);
                own.map(|(_, frame)| Recorder::new(recording, Some(&frame), limit))
            }
        };
    }

    /// Only behind a ReadyForQuery is it certain under which settings a reply was made: the server
    /// takes its configuration in before it runs a command, and tells of it last.
    pub(crate) fn keep_until_ready(&mut self, mut record: Record) {
        if !self.queue.ends_next() {
            // Nobody shall wait for what else the client does before.
            record.lead = None;
        }
        let kept: usize = self.recorded.iter().map(|it| it.entry.len()).sum();
        if kept + record.entry.len() > self.shared.limits.entry_bytes_max.max(RECORDED_MAX) {
            let statement = &record.question.statement;
            self.shared.count_refused(statement, RefusedFill::TooLarge);
        } else {
            self.recorded.push(record);
            self.just_recorded = true;
        }
    }

    pub(crate) fn description_in_reply(&mut self, frame: &[u8]) {
        if let Some(recorder) = &mut self.recorder {
            let kept = recorder.describe(frame);
            self.keep_recording(kept);
        }
    }

    pub(crate) fn keep_recording(&mut self, kept: Result<(), RefusedFill>) {
        if let Err(why) = kept {
            self.refuse_recording(why);
        }
    }

    pub(crate) fn refuse_recording(&mut self, why: RefusedFill) {
        if let Some(Slot::Server(Awaited {
            expect: Expect::Execute(execution) | Expect::Query(execution, _),
            ..
        })) = self.queue.front_mut()
        {
            let wanted = execution.recording.take();
            let begun = self.recorder.take().map(|it| it.recording);
            if let Some(refused) = begun.or(wanted) {
                self.shared.count_refused(&refused.question.statement, why);
            }
        }
    }
}
