//! One client asks the server for a reply, others wait for it: what the session has to do with it.
//!
//! Who leads and who follows is the shell's affair. The session says when it may do either, and
//! carries what the shell ties to a recording, so that it is dropped when the recording ends,
//! however that comes.

use std::any::Any;

use cache::CacheKey;

use crate::Session;

/// What the shell ties to the reply that is recorded. Dropped, those who wait for the reply must
/// be freed.
pub type Lead = Box<dyn Any + Send + Sync>;

impl Session {
    /// Whether the statement that is being looked up may wait for a reply that another session has
    /// asked for.
    ///
    /// Only while the server knows of nothing of ours: in an open block, or behind a Parse without
    /// a Sync, the server holds locks for us, for which the other session may be waiting in turn.
    /// The server could not see such a circle.
    pub fn may_follow(&self) -> bool {
        self.server_is_quiet() && !self.transaction.is_open() && !self.ended
    }

    /// Whether the statement that is being looked up would be the next one that the server works
    /// on, so that others may wait for its reply.
    pub fn may_lead(&self) -> bool {
        !self.queue.is_at_work() && !self.stalled
    }

    /// Ties something to the recording that will follow from the next answer, which is
    /// [`crate::Answer::Miss`].
    pub fn lead(&mut self, lead: Lead) {
        if let Some(question) = &self.question {
            self.lead = Some((question.key, lead));
        }
    }

    /// The client does not read: nobody shall wait for what is recorded meanwhile.
    pub fn release_leads(&mut self) {
        self.lead = None;
        if std::mem::take(&mut self.leads) {
            if let Some(recorder) = &mut self.recorder {
                recorder.release();
            }
            for recording in self.queue.recordings_mut().flatten() {
                recording.lead = None;
            }
            for record in &mut self.recorded {
                record.lead = None;
            }
        }
    }

    /// What was tied to the recording under this key, whose statement is about to leave.
    pub(crate) fn take_lead(&mut self, key: &CacheKey) -> Option<Lead> {
        let (_, lead) = self.lead.take_if(|(known, _)| known == key)?;
        self.leads = true;
        Some(lead)
    }
}
