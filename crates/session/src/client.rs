//! Messages of the client: framing, and those that are neither queries nor their parts.

use bytes::BytesMut;
use wire::{
    Header,
    frontend::{self, tag},
};

use crate::{
    bind::may_set,
    need::{Need, SessionError},
    output::PENDING_MAX,
    prepared::Prepared,
    queue::{Boundary, Execution, Expect, Slot},
    registry::{Name, Portal, Source, Undo, kept},
    session::{PREFIX, Session, reserve, wanted},
};

/// What became of one message.
pub(crate) enum Step {
    /// It is dealt with.
    Done,
    /// It was sent on as it is.
    Forward,
    /// The store has to be asked first; the message is handled again afterwards.
    Ask(Need),
    /// Replies that are owed have to come first.
    Wait,
}

/// How many replies may be owed to one client before its messages wait.
const OWED_MAX: usize = 65_536;

/// How many bytes of messages may be handled while replies are owed, before the next ones wait: what
/// undoes them is kept until then.
const UNDER_WAY_MAX: usize = 4 * 1024 * 1024;

impl Session {
    /// Handles what the client has sent, consuming from `input` whatever is dealt with.
    ///
    /// Returns [`Need::Input`] when no whole message is left or messages have to wait.
    ///
    /// # Errors
    ///
    /// When the bytes cannot be cut into messages; the connection is lost.
    pub fn client(&mut self, input: &mut BytesMut) -> Result<Need, SessionError> {
        self.choked = false;
        let need = self.messages(input)?;
        if matches!(need, Need::Input) {
            // The Execute that would lead has not come together with its Bind.
            self.lead = None;
        }
        Ok(need)
    }

    fn messages(&mut self, input: &mut BytesMut) -> Result<Need, SessionError> {
        loop {
            if self.broken {
                input.clear();
                return Ok(Need::Input);
            }
            if self.client_rest > 0 {
                let step = self.client_rest.min(input.len());
                self.to_server.take_from(input, step);
                self.client_rest -= step;
            }
            self.put_fence();
            self.put_sync();
            if self.client_rest > 0 || self.ended || (self.stalled && !self.queue.is_empty()) {
                return Ok(Need::Input);
            }
            if self.to_client.len() >= PENDING_MAX && !self.is_replicating() {
                self.choked = true;
                return Ok(Need::Input);
            }
            if self.queue.is_empty() {
                self.under_way = 0;
            }
            if self.queue.len() >= OWED_MAX || self.under_way > UNDER_WAY_MAX {
                self.stall();
                return Ok(Need::Input);
            }
            let header = match wire::header(input) {
                Ok(Some(header)) => header,
                Ok(None) => {
                    if input.is_empty() && self.queue.is_empty() {
                        self.waits = 0;
                    }
                    return Ok(Need::Input);
                }
                // What came before is answered first.
                Err(_) if !self.queue.is_empty() && !self.takes_data() => {
                    self.stall();
                    return Ok(Need::Input);
                }
                Err(error) => return Err(error.into()),
            };
            if streams(header.tag) {
                self.stream(header, input);
                continue;
            }
            let wanted = wanted(header.total);
            let Some(frame) = input.get(..wanted) else {
                reserve(input, wanted);
                return Ok(Need::Input);
            };
            let step = if wanted < header.total {
                self.oversized(header, frame)
            } else {
                self.message(header.tag, frame)
            };
            if matches!(step, Step::Done | Step::Forward) {
                self.under_way += wanted;
            }
            match step {
                Step::Done => bytes::Buf::advance(input, wanted),
                Step::Forward => {
                    self.to_server.take_from(input, wanted);
                    self.client_rest = header.total - wanted;
                }
                Step::Ask(need) => return Ok(need),
                Step::Wait => return Ok(Need::Input),
            }
        }
    }

    /// A message whose body may be long and need not be read.
    fn stream(&mut self, header: Header, input: &mut BytesMut) {
        let step = header.total.min(input.len());
        self.to_server.take_from(input, step);
        self.client_rest = header.total - step;
    }

    fn message(&mut self, message: u8, frame: &[u8]) -> Step {
        if message == tag::TERMINATE {
            self.ended = true;
            return Step::Forward;
        }
        if let Some(step) = self.amid_copy(message, true) {
            return step;
        }
        if self.skipping && message != tag::SYNC {
            // The server looks at its type first, and ends the connection over one it does not know.
            let known = SKIPPED.contains(&message);
            return if known { Step::Done } else { Step::Forward };
        }
        if frame.len() > wire::HEADER {
            // The server has to say what is wrong with a Sync or Flush that has a body.
            match message {
                tag::SYNC => self.forwarded = true,
                tag::FLUSH => return self.forward_part(Expect::Bind(None)),
                _ => {}
            }
        }
        let simple = matches!(message, tag::QUERY | tag::FUNCTION_CALL);
        if simple && (self.is_amid() || self.awaits(b"")) {
            return Step::Wait;
        }
        match message {
            tag::QUERY => self.query(frame),
            tag::PARSE => self.parse(frame),
            tag::BIND => self.bind(frame),
            tag::DESCRIBE => self.describe(frame),
            tag::EXECUTE => self.execute(frame),
            tag::CLOSE => self.close(frame),
            tag::SYNC => self.sync(frame),
            tag::FLUSH => self.flush(),
            tag::FUNCTION_CALL => self.function_call(),
            // Nothing takes copy data: the server drops them without a word.
            tag::COPY_DONE | tag::COPY_FAIL => Step::Forward,
            // The server closes the connection over it, and says why.
            _ => Step::Forward,
        }
    }

    /// Whether messages without a Sync are not answered yet, so that the server may yet skip what
    /// comes.
    fn is_amid(&mut self) -> bool {
        let amid = self.forwarded && !self.queue.is_empty();
        if amid {
            self.stall();
        }
        amid
    }

    fn flush(&mut self) -> Step {
        if self.queue.is_empty() {
            Step::Done
        } else {
            Step::Forward
        }
    }

    fn sync(&mut self, frame: &[u8]) -> Step {
        let amid = std::mem::take(&mut self.unsynced);
        let forwarded = std::mem::take(&mut self.forwarded) || self.skipping || amid;
        self.pipelined = false;
        self.flushed = false;
        let number = self.segment.segment;
        let boundary = std::mem::replace(&mut self.segment, Boundary::new(number + 1));
        if forwarded {
            self.skipping = false;
            self.push_server(Expect::Sync(boundary), None);
            if self.taken.is_empty() {
                return Step::Forward;
            }
            self.to_server.put(frame);
            self.give_names_back(number);
            return Step::Done;
        }
        // While replies are owed, a block may have begun; none of its portals is ours.
        if self.status() == wire::backend::Status::Idle && !self.queue.is_unsettled() {
            self.registry.end_portals(number);
        }
        if self.queue.is_empty() {
            let status = self.status();
            self.to_client.put(wire::backend::ready(status));
        } else {
            self.queue.push(Slot::Ready);
        }
        Step::Done
    }

    /// A function call by OID may do anything.
    fn function_call(&mut self) -> Step {
        let prepared = Prepared::opaque(b"");
        if let Some(step) = self.awaits_pipeline() {
            return step;
        }
        if self.awaits_names(&prepared.plan) {
            return Step::Wait;
        }
        if let Some(step) = self.mark_for(&prepared.plan, &prepared.plan.writes) {
            return step;
        }
        self.unsynced |= std::mem::take(&mut self.forwarded);
        self.materialize_block();
        self.materialize_for(&prepared.plan, None);
        self.may_use_names(&prepared.plan, Some(b""));
        // What of ours stands in front may fail, and take along what comes next.
        self.stalled |= std::mem::take(&mut self.forwarded);
        self.note(&prepared.plan, &prepared.plan.writes, b"", None);
        let boundary = self.end_segment();
        self.push_server(Expect::Function(boundary), None);
        Step::Forward
    }

    /// The server will have a statement under this name that nobody can make again, unless the name
    /// is taken: then it has to say so.
    fn oversized_parse(&mut self, name: &[u8]) -> Step {
        if self.awaits(name) {
            return Step::Wait;
        }
        self.materialize_block();
        if !name.is_empty() && self.registry.statement(name).is_some() {
            self.materialize_taken(name);
            self.registry.doubt(name, self.segment.segment);
        }
        let taken = self.registry.remove_statement(name).map(Box::new);
        let mut undo = None;
        if name.is_empty() || taken.is_some() {
            undo = Some(Undo::Statement(kept(name), taken));
        }
        self.registry.forget_stranger(name);
        if name.is_empty() {
            let segment = Some(self.segment.segment);
            (self.registry.server_unnamed, self.registry.long_unnamed) = (false, segment);
        }
        self.forwarded = true;
        self.push_server(Expect::Parse(None), undo);
        Step::Forward
    }

    /// A message too long to be read: what its prefix tells, and the worst otherwise.
    fn oversized(&mut self, header: Header, prefix: &[u8]) -> Step {
        if let Some(step) = self.amid_copy(header.tag, false) {
            return step;
        }
        if self.skipping {
            return Step::Forward;
        }
        let opaque = || std::sync::Arc::new(Prepared::opaque(b""));
        match header.tag {
            tag::QUERY => {
                let prepared = opaque();
                if let Some(step) = self.mark_for(&prepared.plan, &prepared.plan.writes) {
                    return step;
                }
                self.forward_query(&prepared, &prepared.plan.writes, Execution::default())
            }
            tag::FUNCTION_CALL => self.function_call(),
            tag::PARSE => {
                let name = prefix.get(wire::HEADER..PREFIX).unwrap_or_default();
                let name = name.split(|&byte| byte == 0).next().unwrap_or_default();
                self.oversized_parse(name)
            }
            tag::BIND => self.oversized_bind(prefix),
            // Nothing else can be that long; the server will say so.
            _ => Step::Forward,
        }
    }

    /// A Bind too long to be read: its names are all that is known.
    fn oversized_bind(&mut self, prefix: &[u8]) -> Step {
        if let Ok((_, statement)) = frontend::Bind::names(prefix)
            && self.awaits(statement)
        {
            return Step::Wait;
        }
        if let Ok((portal, statement)) = frontend::Bind::names(prefix) {
            let (portal, statement) = (Name::from_slice(portal), Name::from_slice(statement));
            let known = self.registry.statement(&statement);
            let prepared = known.map_or_else(|| self.stranger(), |it| it.prepared.clone());
            if let Some(step) = self.announce(&portal, &prepared) {
                return step;
            }
            self.materialize_block();
            self.count_bypass(sql::Reason::LargeParameters, &statement);
            self.materialize_statement(&statement);
            self.may_read_anew(&statement);
            let known = self.registry.statement(&statement);
            let types = known.map(|it| it.types.clone()).unwrap_or_default();
            let statement = known.map(|it| it.prepared.clone());
            let idle = !portal.is_empty() && may_set(statement.as_deref());
            let undo = self.registry.put_portal(
                &portal,
                Portal {
                    statement,
                    types,
                    source: Source::Server {
                        recording: None,
                        described: false,
                    },
                    writes: None,
                    settings: None,
                    idle,
                    segment: self.segment.segment,
                    bind: Default::default(),
                    weight: 0,
                },
            );
            self.forwarded = true;
            self.push_server(Expect::Bind(None), Some(undo));
        } else {
            self.materialize_block();
            self.forwarded = true;
            self.push_server(Expect::Bind(None), None);
        }
        Step::Forward
    }
}

/// Messages that the server passes over on its way to a Sync.
const SKIPPED: [u8; 11] = [
    tag::BIND,
    tag::CLOSE,
    tag::COPY_DATA,
    tag::COPY_DONE,
    tag::COPY_FAIL,
    tag::DESCRIBE,
    tag::EXECUTE,
    tag::FLUSH,
    tag::FUNCTION_CALL,
    tag::PARSE,
    tag::QUERY,
];

/// Messages that are passed on without being looked at.
const fn streams(message: u8) -> bool {
    message == tag::COPY_DATA
}
