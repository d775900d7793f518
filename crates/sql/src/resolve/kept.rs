//! What the server keeps of a text that it has printed, beyond what that says.
//!
//! A view goes on calling the function of a cast that has been dropped, and that of the operator by which
//! a type was told apart when it was made. Read again, its text may mean others. So all that is called is
//! looked at once more, by its identity.

use catalog::{Function, FunctionId, Keeper, Moment, RelationId, Snapshot};

use super::trust::is_trusted_code;
use super::{Viewer, inline};
use crate::Reason;
use crate::needs::Found;

/// What the server keeps of a text that it has printed; nothing, of other texts.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    /// Functions of casts.
    casts: Box<[FunctionId]>,
    /// Functions of users that are called in any way, as far as they are known.
    functions: Box<[FunctionId]>,
}

impl Kept {
    /// Of a view.
    pub(crate) fn of_view(snapshot: &Snapshot, view: RelationId) -> Self {
        let uses = snapshot.uses(view);
        let uses = uses.filter(|uses| uses.moment == Moment::Read);
        Self {
            casts: snapshot.kept(Keeper::Relation(view)).collect(),
            functions: uses.map(|uses| uses.function).collect(),
        }
    }

    /// Of the policies that filter what is read of a table. What they call otherwise is not told from what
    /// those call that check what is written.
    pub(crate) fn of_policies(snapshot: &Snapshot, table: RelationId) -> Self {
        Self {
            casts: snapshot.kept(Keeper::Relation(table)).collect(),
            functions: Box::default(),
        }
    }

    /// Of the body of a function.
    pub(super) fn of_body(snapshot: &Snapshot, function: &Function) -> Self {
        Self {
            casts: snapshot.kept(Keeper::Body(function.id)).collect(),
            functions: function.support.clone(),
        }
    }
}

impl Viewer<'_> {
    /// Whatever is kept is trusted, or was `found` behind a name.
    pub(super) fn kept(&self, found: &Found) -> Result<(), Reason> {
        let Kept { casts, functions } = self.kept;
        if !casts.iter().all(|&id| self.is_harmless(id)) {
            return Err(Reason::UnknownCast);
        }
        let known = |&id: &FunctionId| found.functions.contains(&id) || self.is_harmless(id);
        match functions.iter().all(known) {
            true => Ok(()),
            false => Err(Reason::UnknownFunction),
        }
    }

    /// Whether a function that no name leads to may be run.
    fn is_harmless(&self, id: FunctionId) -> bool {
        let Some(function) = self.snapshot.function(id) else {
            return false;
        };
        let fits = !self.immutable || inline::is_immutable(function);
        let mut kinds = function.takes.iter().chain([&function.returns]);
        let strange = self.trust.zoned.is_in(self.snapshot, function)
            || self.trust.named.is_in(self.snapshot, function)
            || kinds.any(|&kind| self.trust.temporary.holds(kind));
        fits && !strange && is_trusted_code(self.snapshot, function)
    }
}
