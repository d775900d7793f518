//! Portals that the server has not seen are made there once it must know them, or run them on.

use bytes::{BufMut, BytesMut};
use smallvec::SmallVec;
use sql::{Plan, SettingsEffect};
use wire::frontend::{self, Bind, Target};

use crate::{
    identity::is_harmless,
    own,
    prepared::Types,
    queue::{Awaited, Execution, Expect, Route, Slot},
    registry::{Former, Name, Source, Statement, Undo, kept},
    savepoint::may_change_level,
    session::Session,
};

/// What the client has had of a portal.
enum Had {
    /// So many rows.
    Rows(i32),
    /// All that running it once brings.
    Run,
}

impl Session {
    /// The server must have this portal from here on.
    pub(crate) fn materialize_portal(&mut self, name: &[u8]) {
        let Some(portal) = self.registry.portal_mut(name) else {
            return;
        };
        if !portal.is_ours() {
            return;
        }
        let server = Source::Server {
            recording: None,
            described: false,
        };
        let source = std::mem::replace(&mut portal.source, server);
        let had = match &source {
            Source::Entry { entry, sent } => Had::Rows(rows(&entry.data(), *sent)),
            Source::Control { done: true } => Had::Run,
            Source::Server { .. } | Source::Control { done: false } => Had::Rows(0),
        };
        let frame = SmallVec::<[u8; 96]>::from_slice(&portal.bind);
        let types = Types::from_slice(&portal.types);
        let bound = portal.statement.clone();
        let undo = Undo::Source(kept(name), Box::new(source));
        if name.is_empty() {
            // It takes the place of a lost one.
            self.registry.lost_portal = false;
        }
        self.materialize_block();
        let (Ok(bind), Some(prepared)) = (Bind::read(&frame), bound) else {
            return;
        };
        let now = self.registry.statement(bind.statement);
        // What the server has in its place is not it.
        let stands = now.filter(|it| it.stale.is_none());
        if stands.is_some_and(|it| it.prepared.text == prepared.text && it.types == types) {
            self.materialize_statement(bind.statement);
            self.may_read_anew(bind.statement);
            self.to_server.put(&frame);
            self.forwarded = true;
            self.push_swallowed(Expect::Bind(None), Some(undo));
            self.advance_portal(name, had);
            return;
        }
        // The client has closed or replaced the statement, which is nothing to the portal.
        let statement = Statement {
            prepared,
            types,
            inferred: None,
            under: None,
            folds: None,
            generation: None,
            own: false,
            on_server: true,
            row: None,
            segment: self.segment.segment,
            described: false,
            refused: false,
            noisy: false,
            stale: None,
            weight: 0,
        };
        let own = self.make_own(own::PORTAL, |out, own| statement.put_parse(out, own));
        put_bind(self.to_server.tail(), &own, &bind);
        self.push_swallowed(Expect::Bind(None), Some(undo));
        self.close_own(Target::Statement, &own);
        self.forwarded = true;
        self.advance_portal(name, had);
    }

    /// A failed block is asked for something that it refuses, in the words in which it would refuse to
    /// run a portal.
    pub(crate) fn materialize_refusal(&mut self) {
        self.parse_own(own::PORTAL, b"SELECT 1");
        self.forwarded = true;
    }

    /// Brings a portal that was made on the server to where the client has come in it.
    fn advance_portal(&mut self, name: &[u8], had: Had) {
        let (rows, route) = match had {
            Had::Rows(0) => return,
            Had::Rows(rows) => (rows, Route::Swallow),
            // A BEGIN in its own block does no more than warn.
            Had::Run => (0, Route::Repeat),
        };
        put_execute(self.to_server.tail(), name, rows);
        self.queue.push(Slot::Server(Awaited {
            expect: Expect::Execute(Execution::default()),
            route,
            undo: None,
        }));
    }

    /// Whether portals of ours are to be made in front of a statement, and it is not known whether the
    /// transaction to which they belong has ended: what they ran, a BEGIN perhaps, would run again. Or it
    /// has failed, and would refuse to make them. Some may come back by then.
    pub(crate) fn awaits_own_portals(&self, plan: &Plan) -> bool {
        let changes_level = may_change_level(&plan.effects);
        let is_own = || !self.registry.absent_portals().is_empty();
        (changes_level || makes_portals(plan))
            && self.queue.is_unsettled()
            && (changes_level && self.registry.has_unsure_portals() || is_own())
    }

    /// A statement is about to leave that may change settings, of which role and path are two. What a
    /// portal returns hangs on what they are when it runs, by its functions and by the policies on its
    /// tables: one that is answered from here goes on at the server.
    pub(crate) fn materialize_portals(&mut self, plan: &Plan) {
        if makes_portals(plan) && !self.is_failed() {
            for name in self.registry.absent_portals() {
                self.materialize_portal(&name);
            }
        }
    }

    /// The client has no such portal. Its unnamed one may have ended with what the server has not
    /// seen: the server's must not answer for it.
    pub(crate) fn close_lost_portal(&mut self, name: &[u8]) {
        if name.is_empty() && std::mem::take(&mut self.registry.lost_portal) {
            self.materialize_block();
            frontend::put_close(self.to_server.tail(), Target::Portal, b"");
            self.forwarded = true;
            let undo = Undo::Portal(Name::new(), Former::Lost);
            self.push_swallowed(Expect::Close, Some(undo));
        }
    }
}

/// Whether a statement may change what portals of the session return.
fn makes_portals(plan: &Plan) -> bool {
    changes_settings(plan) || plan.writes.is_unbounded()
}

/// Whether a statement may change a setting that anything hangs on.
fn changes_settings(plan: &Plan) -> bool {
    let settings = &plan.effects.settings;
    matches!(settings, SettingsEffect::ResetAll | SettingsEffect::Unknown)
        || settings.named().any(|(name, _)| !is_harmless(name))
}

/// Appends a Bind that is like another but for the name of the statement.
fn put_bind(out: &mut BytesMut, statement: &[u8], bind: &Bind<'_>) {
    let length = 4 + bind.portal.len() + 1 + statement.len() + 1 + bind.arguments.len();
    out.put_u8(frontend::tag::BIND);
    out.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
    for name in [bind.portal, statement] {
        out.put_slice(name);
        out.put_u8(0);
    }
    out.put_slice(bind.arguments);
}

/// Appends an Execute.
fn put_execute(out: &mut BytesMut, portal: &[u8], rows: i32) {
    let length = 4 + portal.len() + 1 + 4;
    out.put_u8(frontend::tag::EXECUTE);
    out.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
    out.put_slice(portal);
    out.put_u8(0);
    out.put_i32(rows);
}

/// How many frames lie in the first `bytes` of `frames`.
fn rows(frames: &[u8], bytes: usize) -> i32 {
    let (mut at, mut rows) = (0, 0);
    while at < bytes
        && let Ok(Some(header)) = wire::header(frames.get(at..).unwrap_or_default())
    {
        at += header.total;
        rows += 1;
    }
    rows
}
