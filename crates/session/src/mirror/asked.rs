//! Which settings the server is asked for by name: those that it does not list.

use std::sync::Arc;

use sql::{SetScope, SettingsEffect};

use super::{Mirror, alone};
use crate::{Shared, identity::may_be_asked};

/// The settings that the server is asked for by name.
#[derive(Debug)]
pub(crate) struct Asked {
    /// All of them, sorted.
    pub(crate) names: Box<[Box<str>]>,
    /// Those among them that the session may have set itself, whoever reads them; sorted.
    pub(crate) own: Box<[Box<str>]>,
}

/// Settings that were asked for, with their values.
type Given<'a> = Vec<(&'a str, Option<&'a [u8]>)>;

impl Asked {
    /// What enters all keys, and what enters those of what reads it: what views and policies read
    /// (`shared`) and statements. Nobody knows what else a setting may bear on that the session itself has
    /// set, unless views and policies read it.
    pub(crate) fn part<'a>(
        &'a self,
        values: &[Option<&'a [u8]>],
        shared: &[Box<str>],
    ) -> (Given<'a>, Given<'a>) {
        let has = |list: &[Box<str>], name: &str| {
            let found = list.binary_search_by(|known| (**known).cmp(name));
            found.is_ok()
        };
        let names = self.names.iter().map(|name| &**name);
        names
            .zip(values.iter().copied())
            .partition(|(name, _)| has(&self.own, name) && !has(shared, name))
    }
}

impl Mirror {
    /// A statement may change settings that the server does not list. One that is followed matters
    /// only if it outlasts its block.
    pub(crate) fn note_own(&mut self, effect: &SettingsEffect, followed: bool) {
        for (name, scope) in effect.named() {
            if name.contains('.') && !(followed && scope == SetScope::Local) {
                self.ask_for(name);
            }
        }
    }

    pub(super) fn ask_for(&mut self, name: &str) {
        if let Err(place) = self.own.binary_search_by(|known| (**known).cmp(name)) {
            if self.own.len() < OWN_MAX && may_be_asked(name) {
                self.own.insert(place, name.into());
            } else {
                self.crowded = true;
            }
        }
    }

    /// The server is being asked about the settings that are returned: `shared`, its own, and those
    /// that statements read.
    pub(crate) fn ask(&mut self, shared: &[Box<str>]) -> Arc<Asked> {
        let mut names = self.own.clone();
        names.extend(shared.iter().chain(&*self.wanted).cloned());
        names.sort_unstable();
        names.dedup();
        let asked = Arc::new(Asked {
            names: names.into(),
            own: self.own.clone().into(),
        });
        self.asked = Some(Arc::clone(&asked));
        asked
    }

    /// Whether all of these settings are known, or nothing is. Only names are looked at.
    pub(crate) fn has_settings(&self, names: &[Box<str>]) -> bool {
        let Some(identity) = &self.identity else {
            return true;
        };
        names.iter().all(|name| identity.has_setting(name))
    }

    /// Whether statements read settings that this session was not asked for. To be adopted outside of
    /// blocks alone: what a block has set is forgotten.
    pub(crate) fn wants_more(&self, shared: &Shared) -> bool {
        self.wanted.len() != shared.wanted().count() && !self.crowded
    }

    /// From now on the server is asked for all settings that statements read.
    ///
    /// What has led here does not say what they are: of two sessions with the same history one may have
    /// set such a name for a block, which leaves an empty text where nothing was. So this one has a
    /// history of its own from now on.
    pub(crate) fn adopt(&mut self, shared: &Shared) {
        self.wanted = shared.wanted().names();
        self.login = alone(shared);
        self.history = None;
        self.asked = None;
        let forms = self.forms;
        self.doubt(false);
        self.forms = forms;
    }

    /// What the answer that has come was asked for, unless it came too late.
    pub(crate) fn take_asked(&mut self) -> Option<Arc<Asked>> {
        self.asked.take()
    }
}

/// Settings of a session that are asked for by name. With more it is not looked up.
pub(super) const OWN_MAX: usize = 16;
