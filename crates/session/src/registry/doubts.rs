//! What the server makes of a name, as long as it is not known.
//!
//! Messages that make or drop something may yet be skipped.

use super::{Registry, kept, minded};

/// Why it is not known which portal of a name the server has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Doubt {
    /// The first segment whose messages leave it open.
    segment: u64,
    /// They have made a portal of ours there, which is ours again if they were skipped.
    made: bool,
}

impl Registry {
    /// What the server makes of this name is not known before `segment` has ended.
    pub(crate) fn doubt(&mut self, name: &[u8], segment: u64) {
        self.unsure.insert(kept(name), segment);
    }

    /// The statement of this name is closed by a message that is not skipped: what becomes of earlier
    /// ones is nothing to it any more.
    pub(crate) fn close_for_certain(&mut self, name: &[u8], segment: u64) {
        let name = kept(name);
        self.remove_statement(&name);
        self.unsure.remove(&name);
        self.closed.insert(name, segment);
    }

    /// Whether the server has a portal of this name is not known before `segment` has ended.
    pub(crate) fn doubt_portal(&mut self, name: &[u8], segment: u64, made: bool) {
        let doubt = self.unsure_portals.entry(kept(name));
        doubt.or_insert(Doubt { segment, made }).made |= made;
    }

    /// What the server makes of any name is not known before a reply has come.
    pub(crate) fn doubt_all(&mut self) {
        self.all_unsure = true;
        self.strangers.clear();
    }

    /// Whether a statement under way may drop this one.
    pub(crate) fn may_drop(&self, name: &[u8]) -> bool {
        self.all_unsure && !name.is_empty()
    }

    /// The same for any with a name.
    pub(crate) const fn may_drop_any(&self) -> bool {
        self.all_unsure
    }

    /// Whether messages of a segment before this one leave open what the name stands for.
    pub(crate) fn is_unsure(&self, name: &[u8], segment: u64) -> bool {
        !self.unsure.is_empty()
            && self
                .unsure
                .get(minded(name))
                .is_some_and(|&in_| in_ < segment)
    }

    /// The same for a portal.
    pub(crate) fn is_unsure_portal(&self, name: &[u8], segment: u64) -> bool {
        self.doubt_of(name)
            .is_some_and(|doubt| doubt.segment < segment)
    }

    /// The same where one is to be run or described: not if it was bound in this segment, with which
    /// it would be skipped.
    pub(crate) fn is_unsure_bound(&self, name: &[u8], segment: u64) -> bool {
        self.is_unsure_portal(name, segment)
            && self
                .portals
                .get(minded(name))
                .is_none_or(|it| it.segment != segment)
    }

    /// The same where one is to be bound: the unnamed one takes the place of whatever is there.
    pub(crate) fn is_unsure_place(&self, name: &[u8], segment: u64) -> bool {
        self.is_unsure_portal(name, segment)
            && (!name.is_empty() || self.doubt_of(name).is_some_and(|doubt| doubt.made))
    }

    fn doubt_of(&self, portal: &[u8]) -> Option<&Doubt> {
        let unsure = &self.unsure_portals;
        (!unsure.is_empty())
            .then(|| unsure.get(minded(portal)))
            .flatten()
    }

    /// The same for any portal.
    pub(crate) fn has_unsure_portals(&self) -> bool {
        !self.unsure_portals.is_empty()
    }

    /// Every reply has come.
    pub(crate) fn settle(&mut self) {
        if !self.unsure.is_empty() {
            self.unsure.clear();
        }
        if !self.closed.is_empty() {
            self.closed.clear();
        }
        if !self.unsure_portals.is_empty() {
            self.unsure_portals.clear();
        }
        if !self.displaced.is_empty() {
            self.displaced.clear();
        }
        self.all_unsure = false;
    }
}
