//! PREPARE and EXECUTE of SQL: what a statement does that is known by its name alone.

use std::sync::Arc;

use sql::{Plan, Sight};

use crate::{prepared::Prepared, session::Session};

impl Session {
    /// The same statement; if it runs one that SQL has prepared, and of which it is known what it does, as
    /// that.
    ///
    /// Reads are not looked up: only the protocol says in which form their values are wanted.
    pub(crate) fn running(&self, prepared: Arc<Prepared>) -> Arc<Prepared> {
        let plan = &prepared.plan;
        let Sight::Statement(name) = &plan.effects.sight else {
            return prepared;
        };
        if !plan.effects.names || !sql::executes_with_values(&prepared.text) {
            return prepared;
        }
        match self.prepared_by_sql(name) {
            Some(run) if !run.plan.own => Arc::new(prepared.running(&run.plan)),
            Some(_) | None => prepared,
        }
    }

    /// What a statement of this name does, if it was prepared in the present context, or when that was not
    /// known, so that its names counted for all that they could mean.
    fn prepared_by_sql(&self, name: &str) -> Option<Prepared> {
        let here = self.registry.prepared_by_sql(name, self.context());
        here.or_else(|| {
            let knowledge = self.knowledge.as_ref()?;
            let anywhere = self.shared.anywhere(knowledge, self.mirror.temporary());
            self.registry.prepared_by_sql(name, anywhere)
        })
    }

    /// Notes which names a statement that is about to leave may give to others.
    pub(crate) fn note_names_given(&mut self, plan: &Plan, text: &[u8]) {
        self.registry.note_names_given(plan);
        if let Sight::Name(name) = &plan.effects.sight
            && !self.queue.is_at_work()
            && let Some(inner) = sql::prepared_text(text)
        {
            let prepared = self.prepared(inner);
            self.registry.note_prepare_sent(name, prepared);
        }
    }
}
