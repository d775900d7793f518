//! What comes before a ReadyForQuery, and with it: marks end, and a transaction may.

use sql::Writes;
use wire::backend::{self, Status, tag};

use crate::{
    identity::Identity,
    mirror::Told,
    need::{Need, Outcome, SessionError},
    queue::{Awaited, Boundary, Expect, Judged, Route, SettingsChange, Slot, boundary_mut},
    session::Session,
};

impl Session {
    /// What has to happen before a ReadyForQuery may reach the client: the marks of its segment
    /// end, so that the client's next read, anywhere, finds new versions.
    pub(crate) fn before_ready(&mut self, frame: &[u8]) -> Option<Need> {
        let told = std::mem::take(&mut self.dropped);
        let answered = self.answer.take().is_some() && !told;
        // Where replication begins, no command will ever complete.
        let status = backend::read_ready(frame).unwrap_or(Status::Idle);
        let Some(Slot::Server(Awaited { expect, .. })) = self.queue.front_mut() else {
            return None;
        };
        if matches!(expect, Expect::Fence(fence) if !fence.is_marked()) {
            return None;
        }
        let boundary = boundary_mut(expect)?;
        // Before the epoch is another: whoever reads the catalog under that has to see it.
        if std::mem::take(&mut boundary.drops) || !told && may_have_dropped(boundary, status) {
            self.dropped = true;
            return Some(Need::Dropped);
        }
        if let Some(ticket) = boundary.ticket.take() {
            return Some(Need::End(ticket, outcome(boundary, status)));
        }
        if answered && !boundary.unmarked {
            return None;
        }
        // A block without a COMMIT, which the server began by itself and ends at a Sync.
        let block = &self.transaction;
        let ended = status == Status::Idle
            && block.is_open()
            && !boundary.control
            && !answered
            && !block.writes.is_nothing();
        // Nobody has served anything from before definitions changed; but what was recorded since may
        // be from before this.
        let unmarked = std::mem::take(&mut boundary.unmarked) && status == Status::Idle;
        let stray = unmarked || ended || strays(boundary, status);
        let mut written = stray.then(|| boundary.writes.clone())?;
        if ended {
            written.add(&block.writes);
        }
        Some(self.mark_stray(written))
    }

    /// A segment has committed by itself what it wrote, as its block turns out not to be there: a mark
    /// is set before anybody hears of it.
    ///
    /// Marks end in order, and none that later segments hold may end with this one's.
    fn mark_stray(&mut self, written: Writes) -> Need {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        let last = if self.segment.ticket.is_some() {
            Some(&mut self.segment)
        } else {
            self.queue.last_marked_mut()
        };
        if let Some(boundary) = last {
            boundary.ticket = Some(ticket);
            boundary.commits = true;
            boundary.ran = true;
            boundary.convict();
        } else if let Some(boundary) = self.queue.boundary_mut() {
            boundary.ticket = Some(ticket);
            boundary.barren = false;
        }
        Need::Mark(ticket, written)
    }

    pub(crate) fn ready(&mut self, frame: &[u8]) -> Result<(), SessionError> {
        let status =
            backend::read_ready(frame).map_err(|_| SessionError::Unexpected(tag::READY))?;
        self.records.append(&mut self.recorded);
        if self.meets_fence(tag::READY) {
            return Ok(());
        }
        let Some(Slot::Server(awaited)) = self.queue.pop() else {
            return Err(SessionError::Unexpected(tag::READY));
        };
        if let Expect::Fence(fence) = awaited.expect {
            self.end_fence(status, *fence);
            return Ok(());
        }
        let synced = matches!(awaited.expect, Expect::Sync(_));
        let (Expect::Sync(boundary) | Expect::Query(_, boundary) | Expect::Function(boundary)) =
            awaited.expect
        else {
            return Err(SessionError::Unexpected(tag::READY));
        };
        self.recorder = None;
        match awaited.route {
            Route::Probe => self.learn_state(),
            // A sign of life: the client may be in a block of which the server knows nothing.
            Route::Repeat => {}
            Route::Swallow | Route::Refusal => self.transaction.end(status, &boundary),
            Route::Relay => {
                // Whatever it was, no block is open.
                self.unsynced &= status != Status::Idle;
                // Of a block that an Execute has ended, the portals were taken as it left: those that
                // stand there now belong to the next one.
                if status == Status::Idle || boundary.is_chained() && !synced {
                    self.registry.end_portals(boundary.segment);
                }
                self.end_boundary(status, boundary);
                self.to_client.put(frame);
            }
        }
        self.emit_local();
        Ok(())
    }

    pub(crate) fn learn_state(&mut self) {
        let row = self.probed.take();
        if let Some(knowledge) = &self.knowledge
            && let Some(asked) = self.mirror.take_asked()
        {
            let told = row.map_or(Told::Nothing, |row| {
                match Identity::read(&row, knowledge, &asked) {
                    Some(identity) => Told::All(identity.into()),
                    None => Identity::read_temporary(&row).map_or(Told::Nothing, Told::Temporary),
                }
            });
            self.mirror.learn(told, &self.shared, knowledge);
        }
    }

    pub(crate) fn end_boundary(&mut self, status: Status, mut boundary: Boundary) {
        if boundary.judged == Judged::Cleared && !boundary.failed {
            boundary.writes = Writes::Nothing;
        }
        if boundary.barren {
            (boundary.writes, boundary.commits) = (Writes::Nothing, false);
            boundary.unbounded = false;
        }
        let in_block = status != Status::Idle;
        let chained = boundary.is_chained();
        let settings = self.transaction.settings;
        let dropped = boundary.writes.is_unbounded() && self.mirror.has_temporary();
        self.transaction.end(status, &boundary);
        if !in_block && !self.forwarded && !self.queue.is_unsettled() {
            (self.unknown, self.former_code) = (None, false);
        }
        if in_block {
            self.transaction.settings = settings || boundary.settings.is_doubtful();
        }
        // A COMMIT or ROLLBACK outside a block ends what came before it in the segment, whatever
        // becomes of the rest.
        let unsure = in_block || settings || boundary.control || boundary.commits;
        self.mirror
            .changed(boundary.settings, boundary.failed, unsure);
        let founds = boundary.founds && !boundary.failed && in_block && !chained;
        if boundary.temporary && !founds || dropped {
            self.mirror.forget_names();
        } else if settings && !in_block {
            self.mirror.changed(SettingsChange::Unknown, false, false);
        } else if !in_block || chained {
            if let Some(knowledge) = &self.knowledge {
                self.mirror.end_block(&self.shared, knowledge);
            }
        } else if status == Status::Transaction && !self.awaits_settings() {
            self.mirror.arrive();
        }
    }

    /// Whether statements are on their way that may change how the server reads texts.
    pub(crate) fn awaits_other_texts(&self) -> bool {
        // A block that ends takes back what it has set.
        let ends = self.segment.control || self.queue.has_control();
        self.segment.texts
            || self.queue.boundaries().any(|it| it.texts)
            || self.transaction.settings && ends
    }

    /// Whether statements are on their way that change settings.
    fn awaits_settings(&self) -> bool {
        let none = |change| change == SettingsChange::None;
        !none(self.segment.settings) || !self.queue.boundaries().all(|it| none(it.settings))
    }
}

/// CommandComplete is the judge of text that was not understood. If it is not that of such a text, it
/// clears nobody.
pub(crate) fn judge(boundary: &mut Boundary, command: &[u8], judges: bool) {
    if !sql::tag_clears(command) {
        boundary.convict();
    } else if judges && boundary.judged == Judged::Pending {
        boundary.judged = Judged::Cleared;
    }
}

/// Whether a segment that has written without a mark, as its block was to end by itself, ended outside
/// of one: the server had refused the BEGIN.
fn strays(boundary: &Boundary, status: Status) -> bool {
    status == Status::Idle
        && !boundary.writes.is_nothing()
        && !boundary.control
        && !boundary.failed
        && boundary.judged != Judged::Cleared
}

/// Whether a segment that failed may have dropped code all the same: of such commands no tag tells.
fn may_have_dropped(boundary: &Boundary, status: Status) -> bool {
    boundary.failed
        && boundary.ticket.is_some()
        && boundary.unbounded
        && outcome(boundary, status) != Outcome::RolledBack
}

/// How the work of a segment ended, as far as its marks are concerned.
fn outcome(boundary: &Boundary, status: Status) -> Outcome {
    // What commits by itself, or begins with a commit, may have got that far. Some definitions
    // change in several transactions of one command.
    let piecemeal = boundary.writes.is_unbounded() && boundary.piecemeal;
    let commits = boundary.commits || boundary.control || piecemeal;
    let undone = boundary.failed && !boundary.late && !commits && status == Status::Idle;
    let harmless = boundary.judged == Judged::Cleared && !boundary.failed;
    let alone = !boundary.commits && !boundary.control && !boundary.reloads;
    let skipped = boundary.skipped && boundary.judged == Judged::Pending && alone;
    if undone || harmless || boundary.barren {
        Outcome::RolledBack
    } else if skipped && !boundary.failed && status == Status::Idle {
        Outcome::Skipped
    } else if boundary.reloads {
        Outcome::Reloaded
    } else {
        Outcome::Committed
    }
}
