//! What the session asks the server about itself.

use crate::{
    own,
    prepared::Prepared,
    queue::{Awaited, Boundary, Expect, Route, Slot},
    session::Session,
};

/// How often what a client sends in one go is held back for its own effects. Whoever changes settings
/// again and again amid a long pipeline would pay for each change with the way to the server.
const WAITS_MAX: u8 = 2;

impl Session {
    /// Asks the server about the state of this session. Call only when it is idle.
    pub(crate) fn probe(&mut self) {
        let schema = self.knowledge.as_ref().map(|known| &known.schema);
        let shared = schema.map_or(&[][..], |schema| schema.settings());
        let asked = self.mirror.ask(shared);
        let details = self.mirror.wants_details();
        let own = self.registry.own_name(own::STATE);
        crate::identity::put_probe(self.to_server.tail(), &own, &asked.names, details);
        let execution = Default::default();
        for expect in [
            Expect::Close,
            Expect::Parse(None),
            Expect::Bind(None),
            Expect::Execute(execution),
            Expect::Close,
        ] {
            self.queue.push(Slot::Server(Awaited {
                expect,
                route: Route::Probe,
                undo: None,
            }));
        }
        let boundary = Boundary::new(self.segment.segment.saturating_sub(1));
        let expect = Expect::Sync(boundary);
        self.queue.push(Slot::Server(Awaited {
            expect,
            route: Route::Probe,
            undo: None,
        }));
    }

    /// Tries to know the session's state; false if the server has to be waited for.
    ///
    /// While anything is on its way that could change the state, nothing is recalled: what led here
    /// is not known before its replies have come.
    pub(crate) fn knows_itself(&mut self) -> bool {
        let Some(knowledge) = &self.knowledge else {
            return true;
        };
        if !self.mirror.can_ask() || self.transaction.is_open() {
            return true;
        }
        if !self.server_is_quiet() {
            if self.forwarded || self.skipping || self.unsynced || self.waits >= WAITS_MAX {
                return true;
            }
            // Behind whole segments, as pools send what resets a session together with what comes
            // next: their replies tell what led here.
            self.waits += 1;
            self.stall();
            return false;
        }
        if self.mirror.recall(&self.shared, knowledge) {
            return true;
        }
        self.probe();
        self.stalled = true;
        false
    }

    /// A statement may read settings that nobody has asked for. The server is asked for them with the
    /// state of each session, as soon as that stands outside of blocks.
    pub(crate) fn want_settings(&mut self, prepared: &Prepared) {
        let Some(knowledge) = &self.knowledge else {
            return;
        };
        let read = &prepared.plan.settings;
        if !read.is_empty() && !self.mirror.has_settings(read) {
            let known = knowledge.schema.settings();
            for name in read.iter().filter(|name| !known.contains(name)) {
                self.shared.wanted().add(name);
            }
        }
        // What the store has said belongs to who the session was when it was asked.
        let told = self.answer.is_some() || self.granted || self.missed.is_some();
        let may_ask = || !told && !self.transaction.is_open() && self.server_is_quiet();
        if self.mirror.wants_more(&self.shared) && may_ask() {
            self.mirror.adopt(&self.shared);
        }
    }
}
