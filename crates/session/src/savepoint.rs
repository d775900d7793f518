//! Portals of ours at savepoints.
//!
//! A portal belongs to the subtransaction in which it was bound, and goes with it. The server keeps
//! that account: at a SAVEPOINT it is given the portals that it does not have, so that those which
//! are ours later were all bound behind the innermost one. Any ROLLBACK TO ends these, unless there is
//! no such savepoint: then they stay, in a block that has failed. So it is given them there, too, as
//! long as the block has not failed yet.

use sql::{Control, Effects, Plan};
use wire::backend::Status;

use crate::{registry::Undo, session::Session};

/// Whether a statement may be a SAVEPOINT or ROLLBACK TO. Among several it is not told apart.
pub(crate) const fn may_change_level(effects: &Effects) -> bool {
    match effects.control {
        Some(Control::Savepoint | Control::RollbackTo) => true,
        Some(_) => false,
        None => effects.commits,
    }
}

impl Session {
    /// A statement is about to leave that may be a SAVEPOINT or ROLLBACK TO. `unnamed`, if it does not end the
    /// unnamed portal.
    pub(crate) fn materialize_level(&mut self, plan: &Plan, unnamed: bool) {
        if !may_change_level(&plan.effects) || self.status() == Status::Failed {
            return;
        }
        for name in self.registry.absent_portals() {
            if unnamed || !name.is_empty() {
                self.materialize_portal(&name);
            }
        }
    }

    /// A statement leaves that may be a ROLLBACK TO, or end a block that has failed: what is to be put
    /// back if it does not.
    pub(crate) fn leave_level(&mut self, plan: &Plan) -> Option<Undo> {
        let leaves = match plan.effects.control {
            Some(Control::RollbackTo) => true,
            Some(_) => false,
            // Whatever a string does in a failed block comes behind one of them.
            None => plan.effects.commits && self.status() == Status::Failed,
        };
        leaves.then(|| self.registry.take_own_portals()).flatten()
    }
}
