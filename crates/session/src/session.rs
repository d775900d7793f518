//! The state of one client's session, and what it asks of the shell.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use cache::{CacheKey, Version};
use wire::{
    HEADER,
    backend::{self, Status},
};

use crate::{
    Definitions, Knowledge, Lane, Lead, Output, Record, Shared,
    copy::CopyIn,
    mirror::Mirror,
    need::{Answer, Login, Question},
    queue::{Awaited, Boundary, Expect, Queue, Route, Slot},
    recorder::{Recorder, Recording},
    registry::{Name, Registry, Undo},
    texts::Texts,
    timeouts::Timeouts,
    transaction::{Block, Transaction},
};

/// One client's session: bytes in, bytes out, questions in between.
///
/// The shell feeds [`Session::client`] and [`Session::server`], answers what they need, and writes
/// the outputs. Nothing here waits or looks at a clock.
#[derive(Debug)]
pub struct Session {
    pub(crate) shared: Arc<Shared>,
    pub(crate) knowledge: Option<Arc<Knowledge>>,
    /// From which what was sent was told, and under which epoch, if there was ever any knowledge.
    pub(crate) definitions: Option<(Version, Definitions)>,
    /// Under which epoch the first call was sent, of what is not done yet, of a function that is not
    /// known, or that others have replaced since.
    pub(crate) unknown: Option<Version>,
    /// Code was replaced since the transaction began that may be under way.
    pub(crate) former_code: bool,
    pub(crate) mirror: Mirror,
    pub(crate) texts: Texts,
    /// The server has said that it is no standby.
    pub(crate) primary: bool,
    pub(crate) timeouts: Timeouts,
    /// To which a reset returns, for all that is known.
    pub(crate) login_timeouts: Timeouts,
    pub(crate) registry: Registry,
    pub(crate) queue: Queue,
    pub(crate) transaction: Transaction,
    /// It listens, or did. What it is notified of waits for the end of a block only where the
    /// server knows of that.
    pub(crate) listens: bool,
    pub(crate) segment: Boundary,
    /// Something of this segment has gone to the server, so its Sync must follow.
    pub(crate) forwarded: bool,
    /// Portals that were made at the server only to have their names taken.
    pub(crate) taken: Vec<Name>,
    /// A portal of this segment has been run here.
    pub(crate) pipelined: bool,
    /// A simple query came amid a segment: the server may take all of it for a block that ends with
    /// the client's next Sync.
    pub(crate) unsynced: bool,
    /// A Sync of ours is to be sent behind the client's message.
    pub(crate) sync_due: bool,
    /// The server discards what comes until the client's next Sync.
    pub(crate) skipping: bool,
    /// Whether the server takes copy data.
    pub(crate) copy: CopyIn,
    /// A fence is to be sent as soon as the message of the client that is under way has ended.
    pub(crate) fence_due: bool,
    /// Client messages wait until every reply that is owed has come.
    pub(crate) stalled: bool,
    /// How often replies have been waited for, to know the session, since nothing was owed and all
    /// that the client had sent was read.
    pub(crate) waits: u8,
    /// A Flush has been sent on behalf of a stalled message.
    pub(crate) flushed: bool,
    pub(crate) answer: Option<Answer>,
    /// The answer is that to [`crate::Need::Dropped`].
    pub(crate) dropped: bool,
    pub(crate) question: Option<Question>,
    pub(crate) granted: bool,
    /// Of a read that was looked up in vain and waits for its mark.
    pub(crate) missed: Option<Box<Recording>>,
    /// It was decided, and counted, that the message at hand is not looked up.
    pub(crate) refused: bool,
    pub(crate) next_ticket: u64,
    /// Bytes of messages that were handled while replies were owed.
    pub(crate) under_way: usize,
    /// Bytes of a client message, too large to be held, that still go straight to the server.
    pub(crate) client_rest: usize,
    /// Bytes of a server message that still go the way of its beginning.
    pub(crate) server_rest: usize,
    pub(crate) recorder: Option<Recorder>,
    /// For the recording that is about to begin, by its key.
    pub(crate) lead: Option<(CacheKey, Lead)>,
    /// Something may be tied to a recording that has begun.
    pub(crate) leads: bool,
    /// The last description that was asked for, with its number.
    pub(crate) captured: Option<(u64, Bytes)>,
    pub(crate) captures: u64,
    pub(crate) probed: Option<Bytes>,
    /// Client messages wait until the client has read some of what it was told.
    pub(crate) choked: bool,
    /// The client has said goodbye or vanished.
    pub(crate) ended: bool,
    /// The server has said why it ends the session. It answers nothing more, and neither do we.
    pub(crate) broken: bool,
    pub(crate) key_buffer: Vec<u8>,
    /// Where it counts.
    pub(crate) lane: Lane,
    /// A statement has been answered from the store. To be reset by whoever has noted it.
    pub served: bool,
    /// What was recorded since the last ReadyForQuery.
    pub(crate) recorded: Vec<Record>,
    /// The end of the last of them is the last that the server has said.
    pub(crate) just_recorded: bool,
    /// To be kept by the store.
    pub records: Vec<Record>,
    /// To be written to the client.
    pub to_client: Output,
    /// To be written to the server.
    pub to_server: Output,
}

impl Session {
    /// A session whose login has just ended with a ReadyForQuery.
    pub fn new(shared: Arc<Shared>, login: &Login) -> Self {
        Self {
            mirror: Mirror::new(login.digest, login.generation, shared.wanted().names()),
            shared,
            knowledge: None,
            definitions: None,
            unknown: None,
            former_code: false,
            texts: login.texts,
            primary: login.primary,
            timeouts: Timeouts::default(),
            login_timeouts: Timeouts::default(),
            registry: Registry::with_secret(login.secret),
            queue: Queue::default(),
            transaction: Transaction::default(),
            listens: false,
            segment: Boundary::new(1),
            forwarded: false,
            taken: Vec::new(),
            pipelined: false,
            unsynced: false,
            sync_due: false,
            skipping: false,
            copy: CopyIn::None,
            fence_due: false,
            stalled: false,
            waits: 0,
            flushed: false,
            answer: None,
            dropped: false,
            question: None,
            granted: false,
            missed: None,
            refused: false,
            next_ticket: 1,
            under_way: 0,
            client_rest: 0,
            server_rest: 0,
            recorder: None,
            lead: None,
            leads: false,
            captured: None,
            captures: 0,
            probed: None,
            choked: false,
            ended: false,
            broken: false,
            key_buffer: Vec::new(),
            lane: Lane::here(),
            served: false,
            recorded: Vec::new(),
            just_recorded: false,
            records: Vec::new(),
            to_client: Output::default(),
            to_server: Output::default(),
        }
    }

    /// What is known of the database.
    pub const fn knowledge(&self) -> Option<&Arc<Knowledge>> {
        self.knowledge.as_ref()
    }

    /// Hands over what the store said; call the method that needed it again with the same input.
    pub fn answer(&mut self, answer: Answer) {
        self.answer = Some(answer);
    }

    /// What the store is to be asked.
    pub const fn question(&self) -> Option<&Question> {
        self.question.as_ref()
    }

    /// Whether client input waits for replies of the server: reading more of it is pointless.
    pub const fn is_stalled(&self) -> bool {
        self.stalled
    }

    /// Whether client input waits until less than [`PENDING_MAX`](crate::PENDING_MAX) is to be written to the client:
    /// then the session has to be fed again.
    pub const fn is_choked(&self) -> bool {
        self.choked
    }

    /// Whether the client has sent Terminate, or left.
    pub const fn has_ended(&self) -> bool {
        self.ended
    }

    /// The client has closed its side: nothing that it may still have sent is carried out.
    pub const fn client_left(&mut self) {
        self.ended = true;
    }

    /// Whether changes are streamed to the client, which reports meanwhile how far it has come.
    pub const fn is_replicating(&self) -> bool {
        matches!(self.copy, CopyIn::Both)
    }

    /// Whether the server may be waiting for data of the client.
    pub(crate) const fn takes_data(&self) -> bool {
        !matches!(self.copy, CopyIn::None | CopyIn::Asked)
    }

    /// Whether the client has been told whole messages only.
    pub const fn is_between_replies(&self) -> bool {
        self.server_rest == 0
    }

    /// Whether the server has been told whole messages only.
    pub const fn is_between_messages(&self) -> bool {
        self.client_rest == 0
    }

    /// Whether the session stands between transactions with no reply owed, so that it can be
    /// closed without breaking anything.
    pub fn is_idle(&self) -> bool {
        self.queue.is_empty() && !self.forwarded && !self.transaction.is_open()
    }

    /// Asks the server for a sign of life, for which the client hears nothing: to the server a client
    /// that lives on hits is idle, in a block or outside. Does nothing unless it stands between
    /// commands.
    pub fn keep_alive(&mut self) {
        if !self.server_is_quiet() || !self.is_between_messages() || self.ended || self.broken {
            return;
        }
        self.to_server.put(wire::frontend::SYNC);
        let boundary = Boundary::new(self.segment.segment.saturating_sub(1));
        self.queue.push(Slot::Server(Awaited {
            expect: Expect::Sync(boundary),
            route: Route::Repeat,
            undo: None,
        }));
    }

    /// Gives back room that is not used. To be called before a wait.
    pub fn rest(&mut self) {
        self.to_client.shrink();
        self.to_server.shrink();
        self.queue.shrink();
    }

    /// Whether the server is at something of ours, which a cancel request of the client's is not
    /// meant for.
    pub fn is_asking(&self) -> bool {
        self.queue.is_ours_first()
    }

    /// Whether the client believes to be in a block of which the server has not heard.
    pub const fn is_in_virtual_block(&self) -> bool {
        matches!(self.transaction.block, Block::Virtual { .. })
    }

    /// Whether replies of the server are owed.
    pub fn is_owed(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Adds a reply that is ready: it leaves at once if nothing is owed before it.
    pub(crate) fn push_local(&mut self, frame: &[u8]) {
        if self.queue.is_empty() {
            self.to_client.put(frame);
        } else {
            self.under_way += frame.len();
            self.queue
                .push(Slot::Local(Bytes::copy_from_slice(frame), None));
        }
    }

    /// The same for a message that the server may yet turn out to skip.
    pub(crate) fn push_local_undoable(&mut self, frame: &'static [u8], undo: Undo) {
        if self.queue.is_empty() {
            self.to_client.put(frame);
        } else {
            self.registry.doubt_undone(&undo, self.segment.segment);
            self.queue
                .push(Slot::Local(Bytes::from_static(frame), Some(undo)));
        }
    }

    /// Adds a reply that the server owes the client.
    pub(crate) fn push_server(&mut self, expect: Expect, undo: Option<Undo>) {
        self.push_awaited(expect, Route::Relay, undo);
    }

    /// Adds a reply that the server owes us.
    pub(crate) fn push_swallowed(&mut self, expect: Expect, undo: Option<Undo>) {
        self.push_awaited(expect, Route::Swallow, undo);
    }

    fn push_awaited(&mut self, expect: Expect, route: Route, undo: Option<Undo>) {
        if let Some(undo) = &undo {
            self.registry.doubt_undone(undo, self.segment.segment);
        }
        self.queue.push(Slot::Server(Awaited {
            expect,
            route,
            undo,
        }));
    }

    /// Lets everything leave that is ready and first in line.
    pub(crate) fn emit_local(&mut self) {
        while !self.broken
            && let Some(slot) = self.queue.front_mut()
        {
            match slot {
                Slot::Server(_) => return,
                Slot::Local(frame, _) => self.to_client.put_shared(frame),
                Slot::Ready => {
                    let status = self.transaction.status();
                    self.to_client.put(backend::ready(status));
                }
            }
            self.queue.pop();
        }
        self.stalled = false;
        self.flushed = false;
        self.copy = CopyIn::None;
        self.registry.settle();
    }

    /// The status that a ReadyForQuery of ours reports.
    pub(crate) fn status(&self) -> Status {
        self.transaction.status()
    }

    /// Whether the server refuses what does not end the block, for all that is known. In a segment that
    /// has brought an end, what follows runs behind it or is skipped.
    pub(crate) fn is_failed(&self) -> bool {
        self.status() == Status::Failed && !self.segment.control
    }

    /// Whether the server stands between commands with nothing of this segment sent.
    pub(crate) fn server_is_quiet(&self) -> bool {
        self.queue.is_empty() && !self.forwarded && !self.skipping && !self.unsynced
    }

    /// A client message waits for all replies that are owed; the server must not hold them back.
    pub(crate) fn stall(&mut self) {
        if (self.forwarded || self.queue.is_held_back()) && !self.flushed {
            self.to_server.put(wire::frontend::FLUSH);
            self.flushed = true;
        }
        self.stalled = true;
    }
}

/// Client messages longer than this, in bytes, pass without being read.
pub(crate) const INSPECTED_MAX: usize = 1024 * 1024;

/// Of a message that is too long to be read, this many bytes must hold its names.
pub(crate) const PREFIX: usize = 16 * 1024;

/// How many bytes of a frame of `total` bytes must be there before it is looked at.
pub(crate) fn wanted(total: usize) -> usize {
    if total > INSPECTED_MAX {
        PREFIX
    } else {
        total.max(HEADER)
    }
}

/// Makes room for what is wanted.
pub(crate) fn reserve(input: &mut BytesMut, wanted: usize) {
    if input.capacity() < wanted {
        input.reserve(wanted - input.len());
    }
}
