//! A transaction block that has begun for the client and not at the server: how it begins there.

use std::sync::Arc;

use sql::{Control, Plan};
use wire::frontend::{self, Target};

use crate::{
    own,
    queue::{Awaited, Boundary, Expect, Route, Slot},
    session::Session,
    transaction::Block,
};

impl Session {
    /// Begins that block at the server, which then counts its time and holds back notifications.
    /// False, and nothing done, unless the session stands between commands.
    pub fn begin_block(&mut self) -> bool {
        let may = self.server_is_quiet() && self.is_between_messages();
        let may = may && !self.ended && !self.broken;
        if may {
            self.materialize_block();
        }
        may
    }

    /// Makes sure that the server is in the transaction block which the client believes to be in.
    pub(crate) fn materialize_block(&mut self) {
        if let Block::Virtual {
            begin,
            read_committed,
        } = &self.transaction.block
        {
            let (begin, read_committed) = (Arc::clone(begin), *read_committed);
            self.materialize_in_front();
            let boundary = Boundary {
                read_committed: Some(read_committed),
                ..Boundary::new(self.segment.segment.saturating_sub(1))
            };
            self.put_begin(&begin.text, boundary);
            self.transaction.block = Block::Open { read_committed };
        }
    }

    /// A simple query would cost the server its unnamed statement, which could be made again, but not
    /// with what its names and literals have come to.
    fn put_begin(&mut self, text: &[u8], boundary: Boundary) {
        let unnamed = self.registry.statement(b"");
        if self.registry.long_unnamed.is_none() && !unnamed.is_some_and(|it| it.on_server) {
            frontend::put_query(self.to_server.tail(), text);
            self.registry.server_unnamed = false;
            self.push_swallowed(Expect::Query(Default::default(), boundary), None);
            return;
        }
        self.run_own(own::BLOCK, text);
        self.to_server.put(frontend::SYNC);
        self.push_swallowed(Expect::Sync(boundary), None);
    }

    /// The same for a statement: what sets the level of its transaction is refused behind a query
    /// (25001), also behind one that the server has not seen.
    pub(crate) fn materialize_block_for(&mut self, plan: &Plan) {
        let needs = self.needs_snapshot(plan) && !self.queue.is_unsettled();
        self.materialize_block();
        if needs && !self.is_failed() {
            self.materialize_snapshot();
        }
    }

    /// Whether a statement has to wait that needs a snapshot in front: in a block that turns out to have
    /// failed the client would hear of one error more.
    pub(crate) fn awaits_snapshot(&self, plan: &Plan) -> bool {
        self.queue.is_unsettled() && self.needs_snapshot(plan)
    }

    /// Whether the server has to take a snapshot in front of a statement that may set the level.
    fn needs_snapshot(&self, plan: &Plan) -> bool {
        let sets_level = match &plan.effects.control {
            Some(Control::Other) => true,
            Some(Control::Begin(begin)) => begin.isolation.is_some(),
            Some(_) => false,
            // It may be among other statements.
            None => plan.effects.commits,
        };
        let ends = self.segment.control || self.queue.has_control();
        let queried = self.transaction.queried || self.segment.queried;
        sets_level && queried && !ends
    }

    /// The server is to take a snapshot, as it does to analyse a statement.
    fn materialize_snapshot(&mut self) {
        (self.transaction.queried, self.segment.queried) = (false, false);
        let amid = self.forwarded || self.unsynced;
        let name = self.parse_own(own::BLOCK, b"SELECT 1");
        self.close_own(Target::Statement, &name);
        if amid || !self.transaction.is_open() {
            self.forwarded = true;
            return;
        }
        self.to_server.put(frontend::SYNC);
        let boundary = Boundary::new(self.segment.segment.saturating_sub(1));
        self.queue.push(Slot::Server(Awaited {
            expect: Expect::Sync(boundary),
            route: Route::Repeat,
            undo: None,
        }));
    }
}
