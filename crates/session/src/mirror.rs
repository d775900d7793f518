//! What is known of the session's state on the server: settings, role, search path, temporary
//! objects.
//!
//! The server is asked once per history: sessions that logged in alike and changed the same
//! settings in the same order are in the same state, so that a pool of connections asks once.

use std::sync::Arc;

use cache::{Digest, DigestBuilder};

use crate::{Identity, Knowledge, Shared, queue::SettingsChange};

/// The mirrored state of one session.
#[derive(Debug)]
pub(crate) struct Mirror {
    /// Everything that was said at login.
    login: Digest,
    /// What led here since the state was last known; `None`: only the server can tell.
    history: Option<Digest>,
    /// The state, if known.
    identity: Option<Arc<Identity>>,
    /// The number of the context in which names are resolved; it may outlive `identity` when only
    /// settings have changed that do not bear on names.
    naming: Option<(u64, Arc<Identity>)>,
    /// The server refused to tell.
    broken: bool,
    /// The catalog of the login's time is part of `login`.
    born: bool,
}

impl Mirror {
    pub(crate) fn new(login: Digest) -> Self {
        Self {
            login,
            history: Some(login),
            identity: None,
            naming: None,
            broken: false,
            born: false,
        }
    }

    /// The state, if it is known.
    pub(crate) const fn identity(&self) -> Option<&Arc<Identity>> {
        self.identity.as_ref()
    }

    /// In which context names are resolved.
    pub(crate) fn naming(&self) -> Option<&(u64, Arc<Identity>)> {
        self.naming.as_ref()
    }

    /// Whether asking the server may help.
    pub(crate) const fn can_ask(&self) -> bool {
        self.identity.is_none() && !self.broken
    }

    /// Another session may have been here before.
    pub(crate) fn recall(&mut self, shared: &Shared, knowledge: &Knowledge) -> bool {
        let known = self
            .history
            .and_then(|history| shared.identity(&at(&history, knowledge)));
        match known {
            Some(identity) => {
                self.settle(identity, shared, knowledge);
                true
            }
            None => false,
        }
    }

    /// The server has told.
    pub(crate) fn learn(
        &mut self,
        identity: Option<Identity>,
        shared: &Shared,
        knowledge: &Knowledge,
    ) {
        let Some(identity) = identity.map(Arc::new) else {
            self.broken = true;
            return;
        };
        if let Some(history) = self.history {
            shared.learn_identity(at(&history, knowledge), Arc::clone(&identity));
        }
        let history = after(&self.login, &identity.digest);
        shared.learn_identity(at(&history, knowledge), Arc::clone(&identity));
        self.settle(identity, shared, knowledge);
    }

    fn settle(&mut self, identity: Arc<Identity>, shared: &Shared, knowledge: &Knowledge) {
        self.history = Some(after(&self.login, &identity.digest));
        self.naming = Some((shared.context(knowledge, &identity), Arc::clone(&identity)));
        self.identity = Some(identity);
    }

    /// A statement that changes settings is on its way. `names` when it may bear on how names are
    /// resolved.
    pub(crate) fn doubt(&mut self, names: bool) {
        self.identity = None;
        self.broken = false;
        if names {
            self.naming = None;
        }
    }

    /// What the statement's end says of it. In a transaction block nothing is certain before the
    /// block has ended.
    pub(crate) fn changed(&mut self, change: SettingsChange, failed: bool, in_block: bool) {
        match change {
            SettingsChange::None => {}
            SettingsChange::One(_) if failed && !in_block => {}
            SettingsChange::One(text) if !in_block => {
                self.history = self.history.map(|history| after(&history, &text));
            }
            SettingsChange::One(_) | SettingsChange::Unknown => self.history = None,
        }
        if change != SettingsChange::None {
            self.doubt(false);
        }
    }

    /// Nothing is known any more.
    pub(crate) fn forget(&mut self) {
        self.history = None;
        self.doubt(true);
    }

    /// The catalog snapshot is another one: names and identities are resolved anew.
    ///
    /// What a login sets depends on the catalog of its time, and so does what RESET returns to.
    pub(crate) fn relearn(&mut self, generation: u64) {
        if !self.born {
            self.born = true;
            let mut login = DigestBuilder::default();
            self.login = login.digest(&self.login).number(generation).finish();
            self.history = self.history.map(|_| self.login);
        } else if self.history == Some(self.login) {
            self.history = None;
        }
        self.doubt(true);
    }
}

fn at(history: &Digest, knowledge: &Knowledge) -> Digest {
    DigestBuilder::default()
        .digest(history)
        .number(knowledge.generation)
        .finish()
}

fn after(history: &Digest, step: &Digest) -> Digest {
    DigestBuilder::default()
        .digest(history)
        .digest(step)
        .finish()
}
