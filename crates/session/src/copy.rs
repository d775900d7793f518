//! Copy data of the client, and what it sends amid them.
//!
//! While the server takes copy data it passes over Sync and Flush, and ends the connection over
//! anything but CopyData, CopyDone and CopyFail. Once the copy has failed, it takes what follows for
//! what it is, and drops copy data. When it fails, and what it has read by then, only the server
//! knows: it does not say.
//!
//! So nothing but copy data is sent on while it is open whether they are taken, or whether they
//! were all taken. A Sync that the client sends amid them has to be sent on at once, since the
//! server may owe it an answer. If the copy fails then, it is followed by a *fence*: messages of our
//! own, whose answer tells how many such Syncs were answered before it.

use wire::{
    backend::{Status, tag as from_server},
    frontend::{self, Target, tag},
};

use crate::{
    client::Step,
    own,
    queue::{Awaited, Boundary, Expect, Route, Slot},
    session::Session,
};

/// What is known of copy data that the server takes from the client.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum CopyIn {
    /// No statement is under way that may take any.
    #[default]
    None,
    /// One is, the last that was sent, and whether it does is open.
    Asked,
    /// The server takes them.
    Taking(Amid),
    /// The client has sent their end; whether the server has taken them all is open.
    Ended(Amid),
    /// It sends some as well, until both have sent their end: replication.
    Both,
    /// A fence was sent amid them, in front of a message which the server would not survive there.
    Fenced,
}

/// What was sent amid copy data.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Amid {
    /// The statement came by the extended protocol.
    extended: bool,
    /// How many Syncs.
    syncs: u32,
}

/// A fence that the server is to answer: a Sync, a message that it answers by itself, and a
/// ReadyForQuery.
#[derive(Debug)]
pub(crate) struct Fence {
    /// What the segment of the copy amounts to, if it had not ended before.
    pub(crate) boundary: Boundary,
    /// An error of the copy makes the server skip to the next Sync.
    extended: bool,
    /// How many Syncs of the client it may answer.
    syncs: u32,
    /// How many ReadyForQuery have come so far.
    heard: u32,
    /// The message in it was answered: the next ReadyForQuery is the last.
    marked: bool,
}

impl Fence {
    /// Whether the next ReadyForQuery is its last message.
    pub(crate) const fn is_marked(&self) -> bool {
        self.marked
    }
}

impl CopyIn {
    /// The server asks for copy data; `extended` tells how their statement came. False if no
    /// statement was sent that may take any.
    pub(crate) fn begin(&mut self, extended: bool) -> bool {
        let asked = matches!(self, Self::Asked | Self::Ended(_));
        *self = Self::Taking(Amid { extended, syncs: 0 });
        asked
    }
}

impl Session {
    /// What becomes of a message of the client where copy data may be due; `None` if none are.
    pub(crate) fn amid_copy(&mut self, message: u8, whole: bool) -> Option<Step> {
        match self.copy {
            CopyIn::None => None,
            CopyIn::Asked | CopyIn::Ended(_) => {
                self.stall();
                Some(Step::Wait)
            }
            CopyIn::Fenced => {
                self.stalled = true;
                Some(Step::Wait)
            }
            CopyIn::Both => Some(self.while_replicating(message)),
            CopyIn::Taking(amid) => Some(self.while_taking(amid, message, whole)),
        }
    }

    fn while_taking(&mut self, amid: Amid, message: u8, whole: bool) -> Step {
        match message {
            tag::COPY_DONE | tag::COPY_FAIL => {
                self.copy = CopyIn::Ended(amid);
                Step::Forward
            }
            // The server reads no further if it is not what it should be.
            tag::SYNC | tag::FLUSH if !whole => Step::Forward,
            tag::SYNC => {
                let syncs = amid.syncs.saturating_add(1);
                self.copy = CopyIn::Taking(Amid { syncs, ..amid });
                self.to_server.put(frontend::SYNC);
                Step::Done
            }
            // It is nothing amid copy data, and there is nothing to be flushed if they are refused.
            tag::FLUSH => Step::Done,
            tag::QUERY | tag::FUNCTION_CALL => self.ask_whether_it_failed(amid, message, false),
            tag::PARSE | tag::BIND | tag::DESCRIBE | tag::EXECUTE | tag::CLOSE => {
                self.ask_whether_it_failed(amid, message, true)
            }
            // The server ends the connection in any case.
            _ => Step::Forward,
        }
    }

    /// Anything but copy data and their end the server does not survive, and says so.
    fn while_replicating(&mut self, message: u8) -> Step {
        if matches!(message, tag::COPY_DONE | tag::COPY_FAIL) {
            self.copy = CopyIn::Ended(Amid {
                extended: false,
                syncs: 0,
            });
        }
        Step::Forward
    }

    /// A message that the server would not survive while it takes copy data, so that they must have
    /// been refused. A message of its kind, without a body, stands in for it: in the first case the
    /// server dies of it with the same words, in the second it is an error that nobody hears of.
    fn ask_whether_it_failed(&mut self, amid: Amid, message: u8, extended: bool) -> Step {
        let out = self.to_server.tail();
        out.extend_from_slice(frontend::SYNC);
        out.extend_from_slice(&[message, 0, 0, 0, 4]);
        if extended {
            out.extend_from_slice(frontend::SYNC);
        }
        self.push_fence(amid);
        self.copy = CopyIn::Fenced;
        Step::Wait
    }

    /// The server has reported an error, which is not fatal. If it is the copy that has failed, and
    /// was not all that it was sent, a fence is needed.
    pub(crate) fn fail_copy(&mut self) {
        match std::mem::take(&mut self.copy) {
            CopyIn::Taking(amid) | CopyIn::Ended(amid) if amid.syncs > 0 => {
                self.push_fence(amid);
                self.fence_due = true;
            }
            // It may be another that has failed.
            CopyIn::Asked => self.copy = CopyIn::Asked,
            CopyIn::None | CopyIn::Taking(_) | CopyIn::Both | CopyIn::Ended(_) | CopyIn::Fenced => {
            }
        }
    }

    /// Sends a fence that is due, which must not be in the middle of a message of the client.
    pub(crate) fn put_fence(&mut self) {
        if self.fence_due && self.client_rest == 0 {
            self.fence_due = false;
            let nobody = self.registry.own_name(own::NOBODY);
            let out = self.to_server.tail();
            out.extend_from_slice(frontend::SYNC);
            frontend::put_close(out, Target::Statement, &nobody);
            out.extend_from_slice(frontend::SYNC);
        }
    }

    fn push_fence(&mut self, amid: Amid) {
        let boundary = if amid.extended {
            self.forwarded = false;
            self.end_segment()
        } else {
            Boundary::new(self.segment.segment.saturating_sub(1))
        };
        let fence = Fence {
            boundary,
            extended: amid.extended,
            syncs: amid.syncs,
            heard: 0,
            marked: false,
        };
        self.queue.push(Slot::Server(Awaited {
            expect: Expect::Fence(Box::new(fence)),
            route: Route::Swallow,
            undo: None,
        }));
        // Whether the server skips what follows is open.
        self.stalled = true;
    }

    /// A fence is at the head and gets this message, which is not its last; whether that is so.
    pub(crate) fn meets_fence(&mut self, message: u8) -> bool {
        let Some(Slot::Server(Awaited {
            expect: Expect::Fence(fence),
            ..
        })) = self.queue.front_mut()
        else {
            return false;
        };
        match message {
            from_server::READY if !fence.marked => fence.heard += 1,
            // A replication connection refuses all of the extended protocol.
            from_server::ERROR | from_server::CLOSE_COMPLETE => fence.marked = true,
            _ => return false,
        }
        true
    }

    /// The server ends the connection where a fence was to be answered: what it has said to the
    /// client before is all that the client hears.
    pub(crate) fn break_fence(&mut self) {
        if let Some(Slot::Server(Awaited {
            expect: Expect::Fence(fence),
            ..
        })) = self.queue.front_mut()
        {
            let answered = fence.heard.min(fence.syncs);
            let status = match self.transaction.status() {
                Status::Idle => Status::Idle,
                Status::Transaction | Status::Failed => Status::Failed,
            };
            for _ in 0..answered {
                self.to_client.put(wire::backend::ready(status));
            }
        }
    }

    /// The last message of a fence, a ReadyForQuery, has come: the client gets as many as the server
    /// has sent in answer to its Syncs.
    pub(crate) fn end_fence(&mut self, status: Status, fence: Fence) {
        // The first Sync of the fence itself has one, too.
        let answered = fence.heard.saturating_sub(1).min(fence.syncs);
        if status == Status::Idle || fence.boundary.is_chained() {
            self.registry.end_portals(fence.boundary.segment);
        }
        self.end_boundary(status, fence.boundary);
        for _ in 0..answered {
            self.to_client.put(wire::backend::ready(status));
        }
        if fence.extended && answered == 0 {
            self.skipping = true;
            self.segment.failed = true;
        }
        self.emit_local();
    }
}

/// Whether the server may ask for copy data in answer to a statement: if it is not known, it may.
///
/// A COPY without a file names `STDIN`, or `STDOUT`, which the server takes for a slip.
pub(crate) fn may_take_data(text: &[u8]) -> bool {
    let names = |word: &[u8]| {
        text.windows(word.len())
            .any(|window| window.eq_ignore_ascii_case(word))
    };
    // The second is a command of replication.
    text.is_empty()
        || names(b"upload_manifest")
        || (names(b"copy") && (names(b"stdin") || names(b"stdout")))
}

#[cfg(test)]
mod tests {
    use super::may_take_data;

    #[test]
    fn only_a_copy_takes_copy_data() {
        for text in [
            "COPY t FROM STDIN",
            "select 1; copy t from stdin",
            "copy t from stdout",
            "/**/Copy\nt from StdIn",
            "copy t to stdout",
            "UPLOAD_MANIFEST",
            "",
        ] {
            assert!(may_take_data(text.as_bytes()), "{text}");
        }
        for text in ["select copy from t", "copy t from '/tmp/x'", "select stdin"] {
            assert!(!may_take_data(text.as_bytes()), "{text}");
        }
    }
}
