//! What is put back when the server skips messages, or refuses one.
//!
//! A message is believed when it is sent. Behind an error it turns out not to have been carried out,
//! and by then later segments may be under way that were understood as if it had been.

use super::{Map, Name, Portal, Registry, Source, Statement};

/// What to put back if the server skips a message.
#[derive(Debug)]
pub(crate) enum Undo {
    /// Boxed, as is the next: hardly any message takes the place of something, and every slot of the
    /// queue has room for this.
    Statement(Name, Option<Box<Statement>>),
    Portal(Name, Former),
    /// These portals have not ended with a transaction.
    Portals(Box<[(Name, Portal)]>),
    /// The statement is not on the server.
    Absent(Name),
    /// The portal is not on the server; its rows come from here.
    Source(Name, Box<Source>),
    /// The server still has an unnamed statement.
    Unnamed,
    /// The name of a statement that is not kept may stand for another one.
    Stranger(Name),
}

/// What a portal has taken the place of.
#[derive(Debug)]
pub(crate) enum Former {
    Nothing,
    /// The client had lost it, the server may not have.
    Lost,
    Portal(Box<Portal>),
}

impl Former {
    pub(super) fn new(portal: Option<Portal>) -> Self {
        portal.map_or(Self::Nothing, |portal| Self::Portal(Box::new(portal)))
    }

    /// Whether it was made by a later segment than this one.
    fn is_later_than(&self, segment: u64) -> bool {
        matches!(self, Self::Portal(portal) if portal.segment > segment)
    }
}

impl Registry {
    /// What a message makes or drops that leaves open, until its segment has ended, which portals the
    /// server has: one of ours may come back, or one that was lost.
    pub(crate) fn doubt_undone(&mut self, undo: &Undo, segment: u64) {
        match undo {
            Undo::Source(name, _) => self.doubt_portal(name, segment, true),
            Undo::Portal(name, Former::Lost) => self.doubt_portal(name, segment, false),
            Undo::Portal(name, Former::Portal(portal)) if portal.is_ours() => {
                self.doubt_portal(name, segment, false);
            }
            Undo::Portals(portals) => {
                for (name, _) in portals.iter().filter(|(_, portal)| portal.is_ours()) {
                    self.doubt_portal(name, segment, false);
                }
            }
            Undo::Portal(..) | Undo::Statement(..) | Undo::Absent(_) | Undo::Unnamed => {}
            Undo::Stranger(_) => {}
        }
    }

    /// Messages of `segment` were skipped, or refused; the last one comes first. What later segments
    /// have made under the same names stays.
    pub(crate) fn undo(&mut self, undos: Vec<Undo>, segment: u64) {
        // What was there before the first message that bound, or closed, a portal of this name.
        let mut formers: Map<Former> = Map::default();
        for undo in undos {
            match undo {
                Undo::Portal(name, former) => {
                    formers.insert(name, former);
                }
                Undo::Portals(portals) => {
                    let portals = portals.into_iter();
                    formers.extend(portals.map(|(name, it)| (name, Former::new(Some(it)))));
                }
                Undo::Source(name, source) => match formers.get_mut(&name) {
                    Some(Former::Portal(portal)) => portal.source = *source,
                    Some(Former::Nothing | Former::Lost) => {}
                    None => self.undo_source(&name, *source, segment),
                },
                Undo::Statement(name, former) => self.undo_statement(name, former, segment),
                Undo::Unnamed => self.server_unnamed = true,
                Undo::Stranger(name) => self.strangers.remove(&name),
                Undo::Absent(name) if self.is_parsed_behind(&name, segment) => {}
                Undo::Absent(name) => {
                    if let Some(statement) = self.statement_mut(&name) {
                        statement.on_server = false;
                        statement.stale = None;
                    }
                }
            }
        }
        for (name, former) in formers {
            self.undo_portal(name, former, segment);
        }
    }

    fn undo_statement(&mut self, name: Name, former: Option<Box<Statement>>, segment: u64) {
        if self.is_parsed_behind(&name, segment) {
            return;
        }
        if name.is_empty() {
            // Of a long one that was not made, whatever the server had before is still there.
            self.server_unnamed |= self.long_unnamed.take().is_some();
        }
        let refused = |it: &Statement| name.is_empty() && it.segment <= self.unnamed_refused;
        match former.filter(|it| !refused(it)) {
            Some(statement) => drop(self.insert_statement(name, *statement)),
            None => drop(self.remove_statement(&name)),
        }
    }

    fn undo_source(&mut self, name: &[u8], source: Source, segment: u64) {
        if self.is_bound_behind(name, segment) {
            return;
        }
        self.lost_portal |= name.is_empty();
        if let Some(portal) = self.portal_mut(name) {
            portal.source = source;
        }
    }

    /// The server has refused to parse an unnamed statement in `segment`, and has dropped the one that it
    /// had. Call before that is undone.
    pub(crate) fn drop_unnamed(&mut self, segment: u64) {
        self.unnamed_refused = segment;
        let behind = self.is_parsed_behind(b"", segment);
        self.server_unnamed = behind && self.statement(b"").is_some_and(|it| it.on_server);
        self.long_unnamed.take_if(|_| !behind);
    }

    fn is_bound_behind(&self, name: &[u8], segment: u64) -> bool {
        let portal = self.portals.get(name);
        portal.is_some_and(|it| it.segment > segment)
    }

    /// Whether a later segment has parsed a statement of this name, or closed what there was.
    fn is_parsed_behind(&self, name: &[u8], segment: u64) -> bool {
        let long = self.long_unnamed.filter(|_| name.is_empty());
        let statement = self.statements.get(name).map(|it| it.segment);
        let closed = self.closed.get(name).copied();
        long.max(statement)
            .max(closed)
            .is_some_and(|it| it > segment)
    }

    fn undo_portal(&mut self, name: Name, former: Former, segment: u64) {
        // It may have been made by a segment that had failed as well.
        let former = match self.displaced.remove(&name) {
            Some((failed, older)) if !former.is_later_than(failed) => older,
            Some(_) | None => former,
        };
        if self.is_bound_behind(&name, segment) {
            self.displaced.insert(name, (segment, former));
            return;
        }
        if name.is_empty() {
            // One of ours may have stood for one that was lost.
            self.lost_portal = match &former {
                Former::Nothing => false,
                Former::Lost => true,
                Former::Portal(portal) => portal.is_ours(),
            };
        }
        match former {
            Former::Portal(portal) if portal.segment > self.ended => {
                self.insert_portal(name, *portal);
            }
            // Or its transaction has ended.
            Former::Portal(_) | Former::Nothing | Former::Lost => {
                self.remove_portal(&name);
            }
        }
    }

    /// A statement leaves that ends a transaction, unless it turns out not to have run: portals bound in
    /// `segment` or earlier are gone.
    pub(crate) fn take_portals(&mut self, segment: u64) -> Undo {
        Undo::Portals(self.extract_portals(|portal| portal.segment <= segment))
    }

    /// The same for portals that the server does not have, if there are some.
    pub(crate) fn take_own_portals(&mut self) -> Option<Undo> {
        let ended = self.extract_portals(Portal::is_ours);
        (!ended.is_empty()).then_some(Undo::Portals(ended))
    }

    fn extract_portals(&mut self, ends: impl FnMut(&Portal) -> bool) -> Box<[(Name, Portal)]> {
        let ended = self.portals.extract(ends);
        for (_, portal) in &ended {
            self.held -= portal.weight;
        }
        ended
    }
}

#[cfg(test)]
mod tests;
