//! What is known of the database, and what was told from it.

use std::sync::Arc;

use cache::Version;
use sql::Plan;

use crate::{Definitions, Knowledge, queue::Passed, session::Session};

impl Session {
    /// What is known of the database from now on. Call when it changes.
    pub fn know(&mut self, knowledge: Option<Arc<Knowledge>>) {
        let passed = |now: &&Arc<Knowledge>| self.unknown.is_some_and(|then| then != now.epoch);
        if knowledge.as_ref().filter(passed).is_some() {
            self.taint(Passed::Code);
        }
        if generation(self.knowledge.as_ref()) != generation(knowledge.as_ref()) {
            self.mirror
                .relearn(generation(knowledge.as_ref()), &self.shared);
            if let Some(known) = &knowledge {
                self.registry.note_generation(known.generation);
            }
        }
        if let Some(known) = &knowledge {
            let now = known.definitions();
            let then = self.definitions.replace((known.epoch, now));
            if let Some((epoch, then)) = then.filter(|(_, then)| !then.are(&now)) {
                self.distrust(&then, &now);
                if !then.show_code_of(&now) && self.may_run_former_code() {
                    self.unknown.get_or_insert(epoch);
                    self.former_code = true;
                }
            }
        }
        self.knowledge = knowledge;
    }

    /// What was sent so far was told from definitions that may not be those it has met.
    fn distrust(&mut self, then: &Definitions, now: &Definitions) {
        // What was dropped may have been anything, and met by what is merely read.
        let passed = if then.perils != now.perils || then.drops != now.drops {
            Passed::All
        } else if then.have_code_of(now) {
            Passed::Rows
        } else {
            Passed::Code
        };
        self.taint(passed);
    }

    /// Whether a transaction may be under way. The server hears of other definitions when one begins and
    /// when it locks a relation (`AcceptInvalidationMessages`), and until then runs functions and procedures
    /// as they were.
    fn may_run_former_code(&self) -> bool {
        self.transaction.is_open() || self.forwarded || self.queue.is_unsettled()
    }

    fn taint(&mut self, passed: Passed) {
        if self.transaction.is_open() {
            passed.taint(&mut self.transaction.writes);
        }
        if self.forwarded {
            self.segment.distrust(passed);
        }
        self.queue.distrust(passed);
    }

    /// From what it was told what is to be marked: the epoch, and the definitions.
    pub fn told_from(&self) -> Option<(Version, Definitions)> {
        let known = self.knowledge.as_ref()?;
        Some(match self.unknown {
            Some(epoch) => (epoch, Definitions::UNKNOWN),
            None => (known.epoch, known.definitions()),
        })
    }

    /// Notes that a statement calls what is not known, if it does: unless the epoch stays what it was,
    /// it may have been there for a while.
    pub(crate) fn note_unknown(&mut self, plan: &Plan) {
        if plan.effects.calls_unknown && self.unknown.is_none() {
            self.unknown = self.knowledge.as_ref().map(|known| known.epoch);
        }
    }
}

fn generation(knowledge: Option<&Arc<Knowledge>>) -> Option<u64> {
    knowledge.map(|knowledge| knowledge.generation)
}
