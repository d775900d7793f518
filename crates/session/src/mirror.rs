//! What is known of the session's state on the server: settings, role, search path, temporary
//! objects.
//!
//! The server is asked once per history: sessions that logged in alike and changed the same
//! settings in the same order are in the same state, so that a pool of connections asks once.
//!
//! What a login sets, and what a reset returns to, depends on the catalog of its time. A session
//! that lives to see another catalog has no login in common with others any more: what it is asked
//! is remembered for itself alone.

mod asked;

use std::sync::Arc;

use cache::{Digest, DigestBuilder};

use sql::{Setting, Temporary};

pub(crate) use self::asked::Asked;
use crate::{Identity, Knowledge, Shared, folds::Folds, local::Local, queue::SettingsChange};

/// The mirrored state of one session.
#[derive(Debug)]
pub(crate) struct Mirror {
    /// Everything that was said at login, under a catalog that has not changed since; otherwise
    /// something that no other session has.
    login: Digest,
    /// The generation of the catalog that was known before the login.
    born: Option<u64>,
    /// The catalog that is known now.
    generation: Option<u64>,
    /// What led here since the state was last known; `None`: only the server can tell.
    history: Option<Digest>,
    /// The state, if known.
    identity: Option<Arc<Identity>>,
    /// [`Identity::forms`] of the state, which outlives `identity` where only names are in doubt.
    forms: Option<Digest>,
    /// [`Identity::folds`] of the state, which outlives `identity` where nothing can have changed it.
    folds: Folds,
    /// The number of the context in which names are resolved; it may outlive `identity` when only
    /// settings have changed that do not bear on names.
    naming: Option<(u64, Arc<Identity>)>,
    /// What the session's temporary objects may do, as far as that is known; `None` if it has none.
    temporary: Option<Temporary>,
    /// The present block has made some of them, for all that is known.
    founded: bool,
    /// What the present block has set; it ends with it.
    local: Option<Local>,
    /// How often the server has refused to tell.
    refusals: u8,
    /// Settings that the server does not list and that this session may have changed, sorted.
    own: Vec<Box<str>>,
    /// There are more of those than are asked for.
    crowded: bool,
    /// Further settings that the server is asked for.
    wanted: Arc<[Box<str>]>,
    /// Which settings the server was asked for; `None` if its answer is no use any more.
    asked: Option<Arc<Asked>>,
}

/// What the server's answer was good for.
#[derive(Debug)]
pub(crate) enum Told {
    All(Box<Identity>),
    /// Of temporary objects alone.
    Temporary(Option<Temporary>),
    Nothing,
}

/// How often the server is asked that refuses to tell.
const REFUSALS_MAX: u8 = 2;

impl Mirror {
    /// `born` is the generation of the catalog that was known before the login began.
    ///
    /// All that logged in alike, and are asked for the same settings, have that in common; `wanted` are
    /// those that all are asked for from the beginning.
    pub(crate) fn new(login: Digest, born: Option<u64>, wanted: Arc<[Box<str>]>) -> Self {
        Self {
            login,
            born,
            generation: None,
            history: Some(login),
            identity: None,
            forms: None,
            folds: Folds::default(),
            naming: None,
            temporary: None,
            founded: false,
            local: None,
            refusals: 0,
            own: Vec::new(),
            crowded: false,
            wanted,
            asked: None,
        }
    }

    /// The state, if it is known.
    pub(crate) const fn identity(&self) -> Option<&Arc<Identity>> {
        self.identity.as_ref()
    }

    /// By which settings literals are read, if that is known.
    pub(crate) const fn forms(&self) -> Option<Digest> {
        self.forms
    }

    /// By which settings constants are written.
    pub(crate) const fn folds(&self) -> Folds {
        self.folds
    }

    /// In which context names are resolved.
    pub(crate) fn naming(&self) -> Option<&(u64, Arc<Identity>)> {
        self.naming.as_ref()
    }

    /// What the session's temporary objects may do, for all that is known.
    pub(crate) fn temporary(&self) -> &Temporary {
        self.temporary.as_ref().unwrap_or(&Temporary::Plain)
    }

    /// Whether the session may have temporary objects.
    pub(crate) const fn has_temporary(&self) -> bool {
        self.temporary.is_some()
    }

    /// A statement is on its way that may make temporary objects, or change them.
    pub(crate) fn doubt_temporary(&mut self) {
        self.temporary = Some(Temporary::Unknown);
        self.founded = false;
        self.doubt_names();
    }

    /// Settings are what they were, and stay so when the block ends.
    fn doubt_names(&mut self) {
        let forms = self.forms.filter(|_| self.local.is_none());
        self.doubt(true);
        self.forms = forms;
    }

    /// A statement is on its way that makes a temporary table which holds rows and does no more, in a
    /// block that will have failed if that fails. False if too little is known of the others.
    pub(crate) fn found(&mut self, table: &str, shared: &Shared, knowledge: &Knowledge) -> bool {
        let known = self
            .naming
            .as_ref()
            .filter(|_| self.temporary.as_ref() != Some(&Temporary::Unknown));
        let Some(next) = known.and_then(|(_, identity)| identity.with_table(table)) else {
            return false;
        };
        // What is there afterwards only the server can tell.
        self.history = None;
        self.doubt_names();
        self.founded = true;
        self.temporary.clone_from(&next.temporary);
        self.naming = Some((shared.context(knowledge, &next), Arc::new(next)));
        true
    }

    /// Whether asking the server may help: to know the session, or at least its temporary objects,
    /// without which whatever it does may change anything.
    pub(crate) fn can_ask(&self) -> bool {
        let (doubted, most) = match self.temporary {
            Some(Temporary::Unknown) => (true, REFUSALS_MAX),
            Some(_) | None => (false, 1),
        };
        self.identity.is_none() && self.refusals < most && (doubted || !self.crowded)
    }

    /// Whether the server is to be asked what temporary objects may do, not only whether there are
    /// any. That question is long, and may be what the server had no time for.
    pub(crate) const fn wants_details(&self) -> bool {
        self.has_temporary() && self.refusals == 0
    }

    /// Another session may have been here before.
    pub(crate) fn recall(&mut self, shared: &Shared, knowledge: &Knowledge) -> bool {
        if self.crowded {
            return false;
        }
        // What code at the login has set may hang on rows, and nothing tells such logins apart.
        if self.history == Some(self.login) && knowledge.schema.has_login_triggers() {
            return false;
        }
        let known = self
            .history
            .and_then(|history| shared.identity(&self.at(&history, knowledge)));
        match known {
            Some(identity) => {
                self.settle(identity, shared, knowledge);
                true
            }
            None => false,
        }
    }

    /// The server has told of the session, or no more than of its temporary objects.
    pub(crate) fn learn(&mut self, told: Told, shared: &Shared, knowledge: &Knowledge) {
        let identity = match told {
            Told::All(identity) => Arc::new(*identity),
            Told::Temporary(temporary) => {
                self.refusals = REFUSALS_MAX;
                self.temporary = temporary;
                return;
            }
            Told::Nothing => {
                self.refusals += 1;
                return;
            }
        };
        if self.crowded {
            // It has set more than was asked for, none of which bears on names.
            self.temporary.clone_from(&identity.temporary);
            self.naming = Some((shared.context(knowledge, &identity), identity));
            // To ask again would bring the same.
            self.refusals = REFUSALS_MAX;
            return;
        }
        if let Some(history) = self.history {
            shared.learn_identity(self.at(&history, knowledge), Arc::clone(&identity));
        }
        let history = self.root(&identity);
        shared.learn_identity(self.at(&history, knowledge), Arc::clone(&identity));
        self.settle(identity, shared, knowledge);
    }

    fn settle(&mut self, identity: Arc<Identity>, shared: &Shared, knowledge: &Knowledge) {
        self.history = Some(self.root(&identity));
        self.temporary.clone_from(&identity.temporary);
        self.naming = Some((shared.context(knowledge, &identity), Arc::clone(&identity)));
        self.know(identity);
    }

    fn know(&mut self, identity: Arc<Identity>) {
        self.forms = Some(identity.forms);
        self.folds.learn(identity.folds);
        self.identity = Some(identity);
    }

    fn lose_identity(&mut self) {
        self.forms = None;
        self.identity = None;
    }

    /// The history of a session of which this is known, and what a reset returns to.
    fn root(&self, identity: &Identity) -> Digest {
        after(&self.login, &identity.state)
    }

    /// A statement that changes settings is on its way. `names` when it may bear on how names are
    /// resolved.
    pub(crate) fn doubt(&mut self, names: bool) {
        self.lose_identity();
        self.local = None;
        self.refusals = 0;
        if names {
            self.naming = None;
        }
    }

    /// A statement inside a block sets this; false if it cannot be told what comes of it.
    ///
    /// Names are resolved as if it had succeeded already: were it to fail, so would all behind it.
    pub(crate) fn follow(
        &mut self,
        settings: &[Setting],
        shared: &Shared,
        knowledge: &Knowledge,
    ) -> bool {
        if self.local.is_none() && self.history.is_some() {
            self.local = self.identity.as_ref().map(Local::new);
        }
        let Some(local) = &mut self.local else {
            return false;
        };
        let followed = local.follow(settings, knowledge);
        if !local.keeps(&self.folds) {
            self.folds.doubt();
        }
        (self.identity, self.forms) = (None, None);
        if let (true, Some(next)) = (followed, &local.next) {
            self.naming = Some((shared.context(knowledge, next), Arc::clone(next)));
        }
        followed
    }

    /// All that was sent has happened, and the block goes on.
    pub(crate) fn arrive(&mut self) {
        if let Some(Local {
            next: Some(next), ..
        }) = &self.local
        {
            self.know(Arc::clone(next));
        }
    }

    /// A statement is on its way that may end the block, or a part of it.
    pub(crate) fn leave_block(&mut self) {
        if self.founded {
            self.doubt_temporary();
        }
        if let Some(local) = &mut self.local {
            if !local.keeps(&self.folds) {
                self.folds.doubt();
            }
            local.next = None;
            (self.identity, self.forms) = (None, None);
            self.naming = None;
        }
    }

    /// The block has ended, and with it all that was set for it alone.
    pub(crate) fn end_block(&mut self, shared: &Shared, knowledge: &Knowledge) {
        let Some(local) = self.local.take() else {
            return;
        };
        if local.lasting || local.failed {
            self.forget();
        } else {
            self.settle(local.end(), shared, knowledge);
        }
    }

    /// What the statement's end says of it. In a transaction block nothing is certain before the
    /// block has ended.
    pub(crate) fn changed(&mut self, change: SettingsChange, failed: bool, in_block: bool) {
        match change {
            SettingsChange::None => {}
            SettingsChange::Followed => {
                if failed {
                    self.leave_block();
                    self.local.iter_mut().for_each(|local| local.failed = true);
                }
            }
            SettingsChange::One(_) if failed && !in_block => {}
            SettingsChange::One(text) if !in_block => {
                self.history = self.history.map(|history| after(&history, &text));
            }
            SettingsChange::One(_) | SettingsChange::Unknown => self.history = None,
        }
        if change.is_doubtful() {
            self.doubt(false);
        }
    }

    /// Nothing is known any more.
    pub(crate) fn forget(&mut self) {
        self.history = None;
        self.doubt(true);
    }

    /// Nothing is known any more but settings, unless those are in doubt by themselves.
    pub(crate) fn forget_names(&mut self) {
        self.history = None;
        self.doubt_names();
    }

    /// The server has told of a setting that is another.
    pub(crate) const fn doubt_forms(&mut self) {
        self.forms = None;
    }

    /// A statement is on its way, or something has happened, that may change by which settings constants
    /// are written.
    pub(crate) const fn doubt_folds(&mut self) {
        self.folds.doubt();
    }

    /// The catalog snapshot is another one: names and identities are resolved anew.
    ///
    /// An answer that is on its way tells of the time before.
    pub(crate) fn relearn(&mut self, generation: Option<u64>, shared: &Shared) {
        if self.generation.is_none() && generation.is_some() && self.born == generation {
            let mut born = DigestBuilder::default();
            born.digest(&self.login).number(generation.unwrap_or(0));
            self.login = born.finish();
            self.history = self.history.map(|_| self.login);
        } else {
            self.login = alone(shared);
            self.history = None;
        }
        // From now on it cannot be that of the login.
        self.born = None;
        self.generation = generation;
        self.asked = None;
        if !self.temporary().is_plain() {
            // What they reach may be more.
            self.temporary = Some(Temporary::Unknown);
        }
        self.doubt_names();
    }

    /// What a history leads to under a catalog, as far as the settings go that the server is asked for.
    fn at(&self, history: &Digest, knowledge: &Knowledge) -> Digest {
        DigestBuilder::default()
            .digest(history)
            .number(knowledge.generation)
            .number(self.wanted.len() as u64)
            .finish()
    }
}

/// A login that no other session has in common.
fn alone(shared: &Shared) -> Digest {
    let mut alone = DigestBuilder::default();
    alone.field(b"alone").number(shared.nonce());
    alone.finish()
}

fn after(history: &Digest, step: &Digest) -> Digest {
    DigestBuilder::default()
        .digest(history)
        .digest(step)
        .finish()
}

#[cfg(test)]
mod tests;
