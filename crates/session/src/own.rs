//! What is made at the server for our own sake, under names that nobody else has there.
//!
//! PostgreSQL keeps no names back for a proxy: whatever stands in front of them, a client may call
//! something of its own that. So a name of ours is chosen where it is used, among those that the client
//! is not known to have. Lest code of the client's, whose names are nowhere in a text of its, has one by
//! chance, they have a number in them that is drawn for each session.

use bytes::BytesMut;
use wire::frontend::{self, Target};

use crate::{queue::Expect, registry::Name, session::Session};

// How names of ours begin.

/// A transaction block that begins late, or what it needs.
pub(crate) const BLOCK: &[u8] = b"_pgmemo_block";

/// A statement that the client has closed, while a portal of it is made.
pub(crate) const PORTAL: &[u8] = b"_pgmemo_portal";

/// What stands for something that was answered here without a Sync.
pub(crate) const PIPELINE: &[u8] = b"_pgmemo_pipeline";

/// The question about the session itself.
pub(crate) const STATE: &[u8] = b"_pgmemo_state";

/// Neither a statement nor a portal has this one.
pub(crate) const NOBODY: &[u8] = b"_pgmemo_nobody";

impl Session {
    /// Parses a statement of ours, and says under which name; to be closed behind its use.
    pub(crate) fn parse_own(&mut self, name: &[u8], text: &[u8]) -> Name {
        self.make_own(name, |out, name| frontend::put_parse(out, name, text))
    }

    /// The same with a Parse that is written by `put_parse`.
    pub(crate) fn make_own(
        &mut self,
        name: &[u8],
        put_parse: impl FnOnce(&mut BytesMut, &[u8]),
    ) -> Name {
        let name = self.registry.own_name(name);
        // One that was interrupted, or whose portal the server has refused, is still there.
        self.close_own(Target::Statement, &name);
        put_parse(self.to_server.tail(), &name);
        self.push_swallowed(Expect::Parse(None), None);
        name
    }

    /// Runs a statement of ours, which leaves the client's unnamed one and unnamed portal alone.
    pub(crate) fn run_own(&mut self, name: &[u8], text: &[u8]) {
        let name = self.parse_own(name, text);
        let out = self.to_server.tail();
        frontend::put_bind(out, &name, &name);
        frontend::put_execute(out, &name);
        self.push_swallowed(Expect::Bind(None), None);
        self.push_swallowed(Expect::Execute(Default::default()), None);
        self.close_own(Target::Portal, &name);
        self.close_own(Target::Statement, &name);
    }

    pub(crate) fn close_own(&mut self, target: Target, name: &[u8]) {
        frontend::put_close(self.to_server.tail(), target, name);
        self.push_swallowed(Expect::Close, None);
    }
}
