//! Bind: where the store is asked.
//!
//! A portal's rows are those visible at its Bind (`PortalStart` takes the snapshot), so the Bind is
//! where the store is asked; Describe and Execute only deliver.

use std::sync::Arc;

use smallvec::SmallVec;
use sql::{Arguments, Reason, SettingsEffect, Writes};
use wire::{
    backend,
    frontend::{self, Bind, Target},
};

use crate::{
    RefusedFill,
    client::Step,
    extended::{is_plain_control, is_plain_name},
    prepared::{Prepared, Types},
    queue::{Awaited, Boundary, Expect, Route, Slot},
    recorder::Recording,
    registry::{Name, Portal, Registry, Source, kept},
    session::Session,
    simple::{Lookup, Protocol},
    stale::Stage,
};

/// A Bind longer than this, in bytes, is not looked up: its values are part of the key.
const ARGUMENTS_MAX: usize = 64 * 1024;

impl Session {
    pub(crate) fn bind(&mut self, frame: &[u8]) -> Step {
        let Ok(bind) = Bind::read(frame) else {
            return self.forward_part(Expect::Bind(None));
        };
        if self.awaits(bind.statement) || self.awaits_portal(bind.portal, Registry::is_unsure_place)
        {
            return Step::Wait;
        }
        let Some(statement) = self.registry.statement(bind.statement) else {
            self.close_stale_unnamed(bind.statement);
            let stranger = self.registry.stranger(bind.statement, self.context());
            return self.forward_bind(&bind, frame, stranger.map(Arc::new), None);
        };
        let (mut prepared, types) = (
            Arc::clone(&statement.prepared),
            Types::from_slice(&statement.types),
        );
        let context = prepared.context;
        if statement.stale.is_some() && !self.is_failed() {
            return self.meet_stale(bind.statement, Stage::Bind);
        }
        if let Some(segment) = self.taken(&bind) {
            return self.bind_again(&bind, frame, &prepared, segment);
        }
        if self.should_know_itself(&prepared) && !self.knows_itself() {
            return Step::Wait;
        }
        prepared = self.current(&prepared);
        if bind.parameters() == 0
            && types.is_empty()
            && is_plain_control(&prepared)
            && is_plain_name(bind.portal)
            && self.server_is_quiet()
            && self.status() != backend::Status::Failed
        {
            self.put_portal(
                &bind,
                frame,
                (prepared, types),
                Source::Control { done: false },
            );
            return Step::Done;
        }
        if let Some(meant) = self.meant_otherwise(bind.statement, &prepared) {
            return self.forward_bind(&bind, frame, Some(meant), None);
        }
        let count = bind.parameters();
        let proven =
            context == prepared.context || self.is_proven(bind.statement, &prepared, count);
        if !proven && self.is_suspicious(bind.statement) {
            return self.verify(bind.statement);
        }
        let statement = self.registry.statement(bind.statement);
        let read_as = statement.and_then(|it| it.types_in(prepared.context, count));
        let proven = proven && read_as.is_some();
        if let Some(reason) = self.bind_refusal(&bind, frame, (&prepared, &types), proven) {
            if self.is_suspicious(bind.statement) {
                return self.verify(bind.statement);
            }
            self.shared.count_bypass(&prepared, reason);
            return self.forward_bind(&bind, frame, Some(prepared), None);
        }
        self.ask_store(
            &bind,
            frame,
            (prepared, types),
            &read_as.unwrap_or_default(),
        )
    }

    /// Asks the store for the reply to a Bind that nothing speaks against; `read_as` has the types
    /// by which its values are read.
    fn ask_store(
        &mut self,
        bind: &Bind<'_>,
        frame: &[u8],
        (prepared, types): (Arc<Prepared>, Types),
        read_as: &Types,
    ) -> Step {
        let values = values(bind, read_as);
        match self.look_up(&prepared, Protocol::Extended, &values, bind.arguments) {
            Lookup::Ask(need) => Step::Ask(need),
            Lookup::Wait => Step::Wait,
            Lookup::Hit(entry) => {
                let source = Source::Entry { entry, sent: 0 };
                self.put_portal(bind, frame, (prepared, types), source);
                Step::Done
            }
            Lookup::Forward(None) if self.is_suspicious(bind.statement) => {
                self.refused = true;
                self.verify(bind.statement)
            }
            Lookup::Forward(recording) => self.forward_bind(bind, frame, Some(prepared), recording),
        }
    }

    /// In which segment a portal of the same name was bound, if it has one.
    fn taken(&mut self, bind: &Bind<'_>) -> Option<u64> {
        if bind.portal.is_empty() {
            return None;
        }
        let portal = self.registry.portal_mut(bind.portal)?;
        Some(portal.segment)
    }

    /// A Bind to a portal that exists, for all that is known.
    fn bind_again(
        &mut self,
        bind: &Bind<'_>,
        frame: &[u8],
        prepared: &Arc<Prepared>,
        segment: u64,
    ) -> Step {
        if segment != self.segment.segment && self.queue.is_unsettled() {
            // Unless the portal has ended with its transaction.
            self.stall();
            return Step::Wait;
        }
        // The server has to say that the name is taken. If it does not, the portal has ended.
        if self.is_failed() {
            self.take_name(bind, frame);
        } else {
            self.materialize_portal(bind.portal);
        }
        let prepared = self.current(prepared);
        let meant = self.meant_otherwise(bind.statement, &prepared);
        self.forward_bind(bind, frame, meant.or(Some(prepared)), None)
    }

    /// A failed block refuses to make the portal that has the name; what may be bound there takes
    /// the name itself.
    fn take_name(&mut self, bind: &Bind<'_>, frame: &[u8]) {
        let portal = self.registry.portal_mut(bind.portal);
        if portal.is_some_and(|it| it.is_ours()) {
            self.materialize_or_stand_in(bind.statement);
            self.to_server.put(frame);
            self.forwarded = true;
            self.push_swallowed(Expect::Bind(None), None);
            // Whether it is given back is not known before.
            self.registry
                .doubt_portal(bind.portal, self.segment.segment, true);
            self.taken.push(kept(bind.portal));
        }
    }

    /// The client's Sync has been sent: portals that have only taken a name go, before anybody runs
    /// them, or the block ends and the server wonders about them.
    pub(crate) fn give_names_back(&mut self, segment: u64) {
        for name in std::mem::take(&mut self.taken) {
            frontend::put_close(self.to_server.tail(), Target::Portal, &name);
            self.push_swallowed(Expect::Close, None);
        }
        self.to_server.put(frontend::SYNC);
        self.queue.push(Slot::Server(Awaited {
            expect: Expect::Sync(Boundary::new(segment)),
            route: Route::Repeat,
            undo: None,
        }));
    }

    /// Why a read is not looked up for what its Bind says.
    fn bind_refusal(
        &self,
        bind: &Bind<'_>,
        frame: &[u8],
        (prepared, types): (&Prepared, &[u8]),
        proven: bool,
    ) -> Option<Reason> {
        if prepared.refusal().is_some() || prepared.plan.read.is_err() {
            None
        } else if !proven {
            // The server proves it by accepting this Bind, and says how it reads it.
            Some(Reason::NoCatalog)
        } else if prepared.literal && !self.reads_literals_as_then(bind.statement)
            || prepared.plan.folds && !self.folds_as_then(bind.statement)
        {
            Some(Reason::SessionState)
        } else if !is_plain_name(bind.portal) {
            Some(Reason::Portal)
        } else if frame.len() > ARGUMENTS_MAX || !self.may_keep(bind.portal, false) {
            Some(Reason::LargeParameters)
        } else if prepared.plan.builtin_parameters && declares_foreign(types) {
            Some(Reason::UnknownOperator)
        } else if declares_any(types, &ZONED)
            || prepared.plan.timeless_parameters
                && (declares_any(types, &TIMES) || declares_foreign(types))
        {
            Some(Reason::ClockParameter)
        } else {
            bind.values()
                .any(sql::names_clock)
                .then_some(Reason::ClockParameter)
        }
    }

    /// A portal that the server does not know.
    pub(crate) fn put_portal(
        &mut self,
        bind: &Bind<'_>,
        frame: &[u8],
        (statement, types): (Arc<Prepared>, Types),
        source: Source,
    ) {
        let portal = Portal {
            statement: Some(statement),
            types,
            source,
            writes: None,
            settings: None,
            idle: false,
            segment: self.segment.segment,
            bind: SmallVec::from_slice(frame),
            weight: 0,
        };
        let undo = self.registry.put_portal(bind.portal, portal);
        self.push_local_undoable(backend::BIND_COMPLETE, undo);
    }

    pub(crate) fn forward_bind(
        &mut self,
        bind: &Bind<'_>,
        frame: &[u8],
        prepared: Option<Arc<Prepared>>,
        mut recording: Option<Box<Recording>>,
    ) -> Step {
        if let Some(prepared) = &prepared
            && recording.is_none()
            && self.awaits_names(&prepared.plan)
        {
            return Step::Wait;
        }
        let announced = match &prepared {
            Some(prepared) => self.announce(bind.portal, prepared),
            None => self.announce(bind.portal, &self.stranger()),
        };
        if let Some(step) = announced {
            return step;
        }
        match &prepared {
            Some(prepared) => self.materialize_block_for(&prepared.plan),
            None => self.materialize_block(),
        }
        self.materialize_or_stand_in(bind.statement);
        self.may_read_anew(bind.statement);
        let (expect, types, writes) = self.told_of(bind, prepared.as_ref());
        let noisy = |_: &mut _| {
            let statement = self.registry.statement(bind.statement);
            statement.is_some_and(|it| it.noisy)
        };
        if let Some(refused) = recording.take_if(noisy) {
            let statement = &refused.question.statement;
            self.shared.count_refused(statement, RefusedFill::Notice);
        }
        // Only what may be looked up again needs its arguments.
        let kept = if recording.is_some() { frame } else { &[] };
        let settings = prepared.as_ref().and_then(|prepared| {
            let types = &self.registry.statement(bind.statement)?.types;
            prepared.assigned(&values(bind, types))
        });
        let idle = !bind.portal.is_empty() && may_set(prepared.as_deref());
        let portal = Portal {
            statement: prepared,
            types,
            source: Source::Server {
                recording,
                described: false,
            },
            writes,
            settings,
            idle,
            segment: self.segment.segment,
            bind: SmallVec::from_slice(kept),
            weight: 0,
        };
        let taken = self.registry.portal_mut(bind.portal).is_some();
        let undo = self
            .may_keep(bind.portal, taken)
            .then(|| self.registry.put_portal(bind.portal, portal));
        if undo.is_none() {
            self.registry.note_stranger_portal(bind.portal);
        }
        self.forwarded = true;
        self.push_server(expect, undo);
        Step::Forward
    }

    /// What answers a Bind, the types of its values, and what it changes, if that can be told from
    /// these.
    fn told_of(
        &mut self,
        bind: &Bind<'_>,
        prepared: Option<&Arc<Prepared>>,
    ) -> (Expect, Types, Option<Box<Writes>>) {
        let nothing = (Expect::Bind(None), Types::new(), None);
        let Some(current) = prepared else {
            return nothing;
        };
        let common = self.sees_common_definitions();
        let read_as = self.read_as(bind, current, common);
        let Some(statement) = self.registry.statement(bind.statement) else {
            return nothing;
        };
        let types = Types::from_slice(&statement.types);
        let other = statement.prepared.context != current.context;
        let name = || Name::from_slice(bind.statement);
        let expect = if other && common && current.path.is_some() {
            Expect::Proof(Box::new((name(), Arc::clone(current))))
        } else {
            Expect::Bind(current.plan.read.is_ok().then(name))
        };
        let narrow = |types: &Types| {
            let arguments = current.arguments(values(bind, types));
            current.plan.pinned.writes(&arguments)
        };
        let writes = read_as.as_ref().and_then(narrow).map(Box::new);
        (expect, types, writes)
    }
}

/// Whether something else than an Execute may change settings by running a portal of this: what has
/// no rows only an Execute runs.
pub(crate) fn may_set(prepared: Option<&Prepared>) -> bool {
    let settings = prepared.map(|it| &it.plan.effects.settings);
    matches!(
        settings,
        None | Some(SettingsEffect::Calls(_) | SettingsEffect::Unknown)
    )
}

/// Whether a parameter is declared to be of a type that was made after `initdb`.
fn declares_foreign(types: &[u8]) -> bool {
    let (types, _) = types.as_chunks::<4>();
    types
        .iter()
        .any(|&oid| !catalog::TypeId::from_oid(u32::from_be_bytes(oid)).is_builtin())
}

fn declares_any(types: &[u8], wanted: &[u32]) -> bool {
    let (types, _) = types.as_chunks::<4>();
    let wanted = |&oid: &[u8; 4]| wanted.contains(&u32::from_be_bytes(oid));
    types.iter().any(wanted)
}

/// `time` and its array.
const TIMES: [u32; 2] = [1_083, 1_183];

/// `timetz` and its array: text without a zone is read as one by today's offset.
const ZONED: [u32; 2] = [1_266, 1_270];

/// The values of a Bind, for a statement with these declared types.
pub(crate) fn values<'a>(bind: &Bind<'a>, types: &'a [u8]) -> Arguments<'a> {
    Arguments {
        types,
        formats: bind.formats(),
        values: bind.encoded_values(),
        ..Arguments::default()
    }
}
