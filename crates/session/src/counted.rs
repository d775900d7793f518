//! Counting: each statement counts for the process, and for itself.

use std::sync::Arc;

use sql::Reason;

use crate::{Lane, Question, RefusedFill, Shared, Tally, prepared::Prepared};

impl Shared {
    /// It was answered from the store.
    pub(crate) fn count_hit(&self, statement: &Prepared, lane: Lane) {
        self.telemetry.hits.inc();
        self.statistics.hit(statement.tally.as_ref(), lane);
    }

    /// It was looked up in vain.
    pub(crate) fn count_miss(&self, statement: &Prepared, lane: Lane) {
        self.telemetry.misses.inc();
        self.statistics.miss(statement.tally.as_ref(), lane);
    }

    /// It is not looked up.
    pub(crate) fn count_bypass(&self, statement: &Prepared, reason: Reason) {
        self.telemetry.bypass(reason).inc();
        self.statistics.bypass(statement.tally.as_ref(), reason);
    }

    /// It goes to the server, and may change something there.
    pub(crate) fn count_write(&self, statement: &Prepared, lane: Lane) {
        self.statistics.write(statement.tally.as_ref(), lane);
    }

    /// Its reply was recorded, and is not kept.
    pub(crate) fn count_refused(&self, statement: &Prepared, why: RefusedFill) {
        self.telemetry.refused(why).inc();
        if let Some(tally) = &statement.tally {
            tally.refuse(why);
        }
    }
}

impl Question {
    /// What is counted of its statement, if that is.
    pub fn tally(&self) -> Option<&Arc<Tally>> {
        self.statement.tally.as_ref()
    }
}
