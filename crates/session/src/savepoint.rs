//! Portals of ours at savepoints.
//!
//! A portal belongs to the subtransaction in which it was bound, and goes with it. The server keeps
//! that account: at a SAVEPOINT it is given the portals that it does not have, so that those which
//! are ours later were all bound behind the innermost one. Any ROLLBACK TO ends these.

use sql::{Control, Effects, Plan};
use wire::backend::Status;

use crate::session::Session;

impl Session {
    /// A statement is about to leave that may be a SAVEPOINT. `unnamed`, if it does not end the
    /// unnamed portal.
    pub(crate) fn materialize_level(&mut self, plan: &Plan, unnamed: bool) {
        let Effects {
            control, commits, ..
        } = &plan.effects;
        // Among several statements it is not told apart.
        let may_be = *control == Some(Control::Savepoint) || control.is_none() && *commits;
        if !may_be || self.status() == Status::Failed {
            return;
        }
        for name in self.registry.absent_portals() {
            if unnamed || !name.is_empty() {
                self.materialize_portal(&name);
            }
        }
    }

    /// A statement has left that may be a ROLLBACK TO.
    pub(crate) fn leave_level(&mut self, plan: &Plan) {
        if plan.effects.control == Some(Control::RollbackTo) {
            self.registry.end_own_portals();
        }
    }
}
