//! Prepared statements and portals as the client sees them, and whether the server has them.
//!
//! Invariant: what the client believes to exist is here, and can be made on the server from what is
//! kept here, until an error of the server says that it never came to be.

mod absent;
mod by_sql;
mod doubts;
mod names;
mod own;
mod strangers;
mod undo;

use std::{collections::HashMap, sync::Arc};

use bytes::{Bytes, BytesMut};
use cache::{Digest, Entry};
use smallvec::SmallVec;
use sql::Writes;
use wire::frontend;

use crate::{
    Identity,
    folds::Folds,
    parameters::Inferred,
    prepared::{Prepared, Types},
    recorder::Recording,
};

pub(crate) use self::undo::{Former, Undo};
use self::{by_sql::BySql, doubts::Doubt, names::Names, strangers::Strangers};

/// A name the client gave; empty for the unnamed statement or portal.
pub(crate) type Name = SmallVec<[u8; 24]>;

type Map<T> = HashMap<Name, T, foldhash::fast::RandomState>;

/// A prepared statement.
#[derive(Clone, Debug)]
pub(crate) struct Statement {
    pub(crate) prepared: Arc<Prepared>,
    pub(crate) types: Types,
    /// Those of all its parameters, if the server may have inferred others than it would now.
    pub(crate) inferred: Option<Inferred>,
    /// The state of the session at its Parse, if that was known, and the server cannot have read its
    /// literals in another one since.
    pub(crate) under: Option<Arc<Identity>>,
    /// The settings by which constants are written, as they were at its Parse; `None` if the server has
    /// been told to use it under others since, and may keep what it wrote.
    pub(crate) folds: Option<Folds>,
    /// The catalog that was known at its Parse, or next.
    pub(crate) generation: Option<u64>,
    /// Temporary tables of the session's own were known at its Parse, by which it is told what it
    /// writes: names that mean these mean nothing else until they are gone.
    pub(crate) own: bool,
    pub(crate) on_server: bool,
    /// If its Parse was answered here: what a Describe would have said of its columns then.
    pub(crate) row: Option<Bytes>,
    /// The segment in which it was parsed.
    pub(crate) segment: u64,
    /// The client has been told its columns.
    pub(crate) described: bool,
    /// The server has refused to parse it since: its relations are gone or others.
    pub(crate) refused: bool,
    /// A Bind of it has brought a notice, which the server does not repeat while it keeps its plan.
    pub(crate) noisy: bool,
    /// The server parsed it when its columns were others than those of `row`.
    pub(crate) stale: Option<Stale>,
    /// Bytes that it counts for, set when it is put down.
    pub(crate) weight: usize,
}

/// What is known of a statement that the server has, but not as the client prepared it.
#[derive(Clone, Debug)]
pub(crate) struct Stale {
    /// The answer to Describe up to its columns.
    pub(crate) parameters: Bytes,
    /// The client has been refused since it was found out; things may be otherwise again.
    pub(crate) refused: bool,
}

impl Statement {
    /// Appends the Parse that makes it.
    pub(crate) fn put_parse(&self, out: &mut BytesMut, name: &[u8]) {
        let known = self.types_to_parse();
        let mut types = BytesMut::with_capacity(2 + known.len());
        let count = u16::try_from(known.len() / 4).unwrap_or(u16::MAX);
        types.extend_from_slice(&count.to_be_bytes());
        types.extend_from_slice(known);
        frontend::put_parse_typed(out, name, &self.prepared.text, &types);
    }
}

/// A portal.
#[derive(Debug)]
pub(crate) struct Portal {
    pub(crate) statement: Option<Arc<Prepared>>,
    /// The declared types of that statement.
    pub(crate) types: Types,
    pub(crate) source: Source,
    /// What its values say it writes, if that is less than its plan says.
    pub(crate) writes: Option<Box<Writes>>,
    /// What its values say it sets, if all it does is to set something.
    pub(crate) settings: Option<Box<[sql::Setting]>>,
    /// It has not been executed, and what else runs it may change settings by it.
    pub(crate) idle: bool,
    /// The segment in which it was bound.
    pub(crate) segment: u64,
    /// The names and values of its Bind, to make it on the server later.
    pub(crate) bind: SmallVec<[u8; 96]>,
    /// Bytes that it counts for, set when it is put down.
    pub(crate) weight: usize,
}

impl Portal {
    /// Whether the server does not have it.
    pub(crate) const fn is_ours(&self) -> bool {
        !matches!(self.source, Source::Server { .. })
    }

    /// Bytes of what it sets.
    fn assigned(&self) -> usize {
        let settings = self.settings.as_deref().unwrap_or_default();
        settings.iter().map(sql::Setting::bytes).sum()
    }
}

/// Where a portal's rows come from.
#[derive(Debug)]
pub(crate) enum Source {
    /// The server, perhaps to be recorded on the way.
    Server {
        recording: Option<Box<Recording>>,
        /// A Describe of it is on its way or has been answered since its Bind.
        described: bool,
    },
    /// A recorded reply; `sent` bytes of its rows have been delivered.
    Entry { entry: Entry, sent: usize },
    /// Transaction control that we may answer, or have answered: it runs once.
    Control { done: bool },
}

/// All names of one client.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    statements: Names<Statement>,
    portals: Names<Portal>,
    /// Statements that were made, or made anew, or closed, by messages that the server may yet
    /// skip, and in which segment.
    unsure: Map<u64>,
    /// The last segment whose first message has closed the statement of a name: no earlier one brings that
    /// back.
    closed: Map<u64>,
    /// Portals of which the server may turn out to have none, or one that was lost.
    unsure_portals: Map<Doubt>,
    /// What would have come back after an error in this segment, had not later ones bound portals of
    /// the same names, which may turn out to have been skipped as well.
    displaced: Map<(u64, Former)>,
    /// The last segment with which a transaction has ended.
    ended: u64,
    /// The last segment in which the server has refused to parse an unnamed statement.
    unnamed_refused: u64,
    /// A statement is on its way that may drop any named statement.
    all_unsure: bool,
    /// SQL has prepared statements whose names we do not know.
    prepared_by_sql: bool,
    /// SQL has dropped a statement whose name we do not know.
    deallocated_unseen: bool,
    /// The server has an unnamed statement, whatever the client believes.
    pub(crate) server_unnamed: bool,
    /// The client's unnamed statement was too long to be kept: the server's is it, since this segment.
    pub(crate) long_unnamed: Option<u64>,
    /// The server may have an unnamed portal that the client has lost.
    pub(crate) lost_portal: bool,
    /// The client has made statements or portals that were not kept here.
    pub(crate) has_strangers: bool,
    /// What is known of such statements.
    strangers: Strangers,
    /// And of those that SQL has prepared.
    by_sql: BySql,
    /// What all names of ours have in them, lest the client's code has them by chance.
    own_names_mark: Name,
    /// Names of ours with a smaller number may have been taken by what is not kept here.
    own_names_from: u64,
    /// Bytes that all of them count for.
    held: usize,
}

/// Bytes that the statements and portals of one client may count for. Those that come then are the
/// server's alone: they work as without us, and nothing is looked up for them.
const HELD_MAX: usize = 8 * 1024 * 1024;

/// Of a name, the server minds so many bytes.
const NAME_BYTES_MAX: usize = 63;

/// Bytes counted for a name with what is kept of it, beside its text and values.
const OVERHEAD: usize = 512;

impl Registry {
    pub(crate) fn statement(&self, name: &[u8]) -> Option<&Statement> {
        self.statements.get(minded(name))
    }

    pub(crate) fn statement_mut(&mut self, name: &[u8]) -> Option<&mut Statement> {
        self.statements.get_mut(minded(name))
    }

    pub(crate) fn portal_mut(&mut self, name: &[u8]) -> Option<&mut Portal> {
        self.portals.get_mut(minded(name))
    }

    /// The client has been told, or will be, what columns a statement returns.
    pub(crate) fn note_described(&mut self, name: &[u8]) {
        if let Some(statement) = self.statement_mut(name) {
            statement.described = true;
        }
    }

    /// The server has accepted a statement that was parsed in another context: it still returns
    /// what it did.
    pub(crate) fn prove(&mut self, name: &[u8], current: Arc<Prepared>) {
        if let Some(statement) = self.statement_mut(name)
            && statement.prepared.text == current.text
        {
            statement.prepared = current;
        }
    }

    /// A portal with transaction control has been run, if it is still there.
    pub(crate) fn finish_control(&mut self, name: &[u8]) {
        if let Some(Portal { source, .. }) = self.portal_mut(name) {
            *source = Source::Control { done: true };
        }
    }

    /// Whether nothing more may be kept, but what takes the place of something.
    pub(crate) const fn is_full(&self) -> bool {
        self.held > HELD_MAX
    }

    pub(crate) fn put_statement(&mut self, name: &[u8], mut statement: Statement) -> Undo {
        let name = kept(name);
        self.by_sql.remove(&name);
        if name.is_empty() {
            let long = self.long_unnamed.take();
            self.server_unnamed |= long.is_some() || statement.on_server;
        }
        let row = statement.row.as_ref().map_or(0, Bytes::len);
        statement.weight = OVERHEAD + statement.prepared.text.len() + statement.types.len() + row;
        let previous = self.insert_statement(name.clone(), statement);
        Undo::Statement(name, previous.map(Box::new))
    }

    /// A statement is about to be parsed that is not kept.
    pub(crate) fn put_stranger(&mut self, name: &[u8], prepared: &Prepared, segment: u64) -> Undo {
        let name = kept(name);
        self.by_sql.remove(&name);
        self.has_strangers = true;
        self.note_foreign_name(&name);
        // In another encoding the same name has other bytes.
        if name.is_ascii() {
            self.strangers.put(&name, prepared);
        }
        self.doubt(&name, segment);
        Undo::Stranger(name)
    }

    /// What a statement does that was not kept, if it was parsed in this context.
    pub(crate) fn stranger(&self, name: &[u8], context: u64) -> Option<Prepared> {
        self.strangers.get(minded(name), context)
    }

    /// Nothing is known of what the server has, or will have, under this name.
    pub(crate) fn forget_stranger(&mut self, name: &[u8]) {
        self.by_sql.remove(name);
        self.has_strangers = true;
        self.note_foreign_name(name);
        self.strangers.remove(minded(name));
    }

    /// A portal is about to be bound that is not kept.
    pub(crate) fn note_stranger_portal(&mut self, name: &[u8]) {
        self.has_strangers = true;
        self.note_foreign_name(name);
    }

    pub(crate) fn put_portal(&mut self, name: &[u8], mut portal: Portal) -> Undo {
        let name = kept(name);
        let entry = match &portal.source {
            Source::Entry { entry, .. } => entry.frames().len(),
            Source::Server { .. } | Source::Control { .. } => 0,
        };
        portal.weight =
            OVERHEAD + portal.bind.len() + portal.types.len() + portal.assigned() + entry;
        let lost = name.is_empty() && self.lost_portal;
        let ours = portal.is_ours();
        let previous = self.insert_portal(name.clone(), portal);
        if name.is_empty() {
            self.lost_portal = ours && (lost || previous.as_ref().is_some_and(|it| !it.is_ours()));
        }
        let former = match previous {
            None if lost => Former::Lost,
            previous => Former::new(previous),
        };
        Undo::Portal(name, former)
    }

    /// A simple query that the server does not see has destroyed the unnamed portal.
    pub(crate) fn lose_portal(&mut self) {
        let portal = self.remove_portal(b"");
        self.lost_portal |= portal.is_some_and(|it| !it.is_ours());
    }

    pub(crate) fn remove_statement(&mut self, name: &[u8]) -> Option<Statement> {
        self.by_sql.remove(name);
        let statement = self.statements.remove(minded(name))?;
        self.held -= statement.weight;
        Some(statement)
    }

    pub(crate) fn remove_portal(&mut self, name: &[u8]) -> Option<Portal> {
        let portal = self.portals.remove(minded(name))?;
        self.held -= portal.weight;
        Some(portal)
    }

    fn insert_statement(&mut self, name: Name, statement: Statement) -> Option<Statement> {
        self.held += statement.weight;
        let previous = self.statements.insert(name, statement)?;
        self.held -= previous.weight;
        Some(previous)
    }

    fn insert_portal(&mut self, name: Name, portal: Portal) -> Option<Portal> {
        self.held += portal.weight;
        let previous = self.portals.insert(name, portal)?;
        self.held -= previous.weight;
        Some(previous)
    }

    /// PREPARE has made a statement, so that none of its name was left.
    pub(crate) fn note_prepare(&mut self, name: Option<&str>) {
        self.prepared_by_sql = true;
        match name {
            Some(name) => {
                let sent = self.by_sql.take_sent();
                self.remove_statement(name.as_bytes());
                self.strangers.remove(minded(name.as_bytes()));
                self.by_sql.succeed(name, sent);
            }
            None if self.deallocated_unseen => self.lose_statements(),
            // Of one of these, perhaps.
            None => {
                self.strangers.clear();
                self.by_sql.clear();
            }
        }
    }

    /// DEALLOCATE has dropped a statement.
    pub(crate) fn note_deallocate(&mut self, name: Option<&str>) {
        match name {
            Some(name) => {
                self.remove_statement(name.as_bytes());
                // Another one may take its name unseen.
                self.strangers.remove(minded(name.as_bytes()));
            }
            None => {
                self.deallocated_unseen = true;
                self.by_sql.clear();
            }
        }
    }

    /// Any named statement may be another on the server.
    fn lose_statements(&mut self) {
        let (held, mut lost) = (&mut self.held, Vec::new());
        self.statements.retain(|name, statement| {
            let stays = name.is_empty() || !statement.on_server;
            if !stays {
                *held -= statement.weight;
                lost.push(Name::from_slice(name));
            }
            stays
        });
        for name in lost {
            self.note_foreign_name(&name);
        }
        self.has_strangers = true;
        self.strangers.clear();
        self.by_sql.clear();
    }

    /// Whether the server may have a statement of this name that is not here.
    pub(crate) fn may_be_taken(&self, name: &[u8]) -> bool {
        (self.prepared_by_sql || self.has_strangers) && !name.is_empty()
    }

    /// A transaction has ended: portals bound in `segment` or earlier are gone.
    pub(crate) fn end_portals(&mut self, segment: u64) {
        self.ended = self.ended.max(segment);
        self.lost_portal = false;
        if !self.portals.is_empty() {
            let held = &mut self.held;
            self.portals.retain(|_, portal| {
                let stays = portal.segment > segment;
                *held -= if stays { 0 } else { portal.weight };
                stays
            });
        }
    }

    /// DEALLOCATE ALL, DISCARD ALL: no named statement is left on the server.
    pub(crate) fn clear_statements(&mut self) {
        let held = &mut self.held;
        self.statements.retain(|name, statement| {
            let stays = name.is_empty();
            *held -= if stays { 0 } else { statement.weight };
            stays
        });
        self.strangers.clear();
        self.by_sql.clear();
        self.prepared_by_sql = false;
        self.deallocated_unseen = false;
    }

    /// The server does not parse this statement any more.
    pub(crate) fn note_refused(&mut self, name: &[u8]) {
        if let Some(statement) = self.statement_mut(name) {
            statement.refused = true;
        }
    }

    /// The server may read the literals of any statement as settings are `now`, if these are known, and
    /// write constants by these.
    pub(crate) fn read_literals_anew(&mut self, now: Option<Digest>, folds: Option<Folds>) {
        for statement in self.statements.values_mut() {
            statement.under.take_if(|then| now != Some(then.forms));
            let others = |then: &mut Folds| !folds.is_some_and(|now| now.hold(then));
            statement.folds.take_if(others);
        }
    }

    /// The catalog is known, which it was not when some of the statements were parsed.
    pub(crate) fn note_generation(&mut self, generation: u64) {
        for statement in self.statements.values_mut() {
            statement.generation.get_or_insert(generation);
        }
    }

    /// What portals have yet to return, and is to be recorded.
    pub(crate) fn recordings_mut(&mut self) -> impl Iterator<Item = &mut Option<Box<Recording>>> {
        let portals = self.portals.values_mut();
        portals.filter_map(|portal| match &mut portal.source {
            Source::Server { recording, .. } => Some(recording),
            Source::Entry { .. } | Source::Control { .. } => None,
        })
    }

    /// Whether a portal could be run whose effect on settings nobody has been told.
    pub(crate) fn has_idle_portals(&self) -> bool {
        self.portals.values().any(|portal| portal.idle)
    }
}

/// What the server minds of a name: names that begin alike are one to it.
fn minded(name: &[u8]) -> &[u8] {
    name.get(..NAME_BYTES_MAX).unwrap_or(name)
}

/// The same, to be kept.
pub(crate) fn kept(name: &[u8]) -> Name {
    Name::from_slice(minded(name))
}
