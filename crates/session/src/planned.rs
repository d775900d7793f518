//! What is known of a text: in the session's present context, in any, or in none.

use std::sync::Arc;

use crate::{
    prepared::{Place, Prepared},
    session::Session,
};

impl Session {
    /// What is known of a text in this session's present context.
    pub(crate) fn prepared(&self, text: &[u8]) -> Arc<Prepared> {
        if !self.may_read(text) {
            return Arc::new(Prepared::opaque(text));
        }
        let context = self.context();
        let plan = || {
            let place = self.knowledge.as_ref().map(|knowledge| Place {
                knowledge,
                identity: self.mirror.naming().map(|(_, identity)| &**identity),
                temporary: self.mirror.temporary(),
                context,
            });
            Prepared::new(text, place)
        };
        self.shared.prepared(context, text, plan)
    }

    /// Whether a text means to us what it means to the server.
    fn may_read(&self, text: &[u8]) -> bool {
        if self.awaits_other_texts() || !self.texts.are_plain() {
            return text.is_ascii() && !text.contains(&b'\\');
        }
        self.texts.are_utf8() || text.is_ascii() || !sql::has_foreign_names(text)
    }

    /// What is known of a text whatever the context.
    pub(crate) fn unplanned(&self, text: &[u8]) -> Arc<Prepared> {
        self.shared.prepared(0, text, || Prepared::new(text, None))
    }

    /// What is known of a text if its names mean all that they could.
    pub(crate) fn anywhere(&self, text: &[u8]) -> Arc<Prepared> {
        let Some(knowledge) = &self.knowledge else {
            return Arc::new(Prepared::opaque(text));
        };
        let temporary = self.mirror.temporary();
        let context = self.shared.anywhere(knowledge, temporary);
        self.shared.prepared(context, text, || {
            let place = Place {
                knowledge,
                identity: None,
                temporary,
                context,
            };
            Prepared::new(text, Some(place))
        })
    }

    /// Whether a statement was planned in the present context, or in none that could be another.
    fn is_planned_now(&self, prepared: &Prepared) -> bool {
        let anywhere = |knowledge| self.shared.anywhere(knowledge, self.mirror.temporary());
        prepared.context == self.context()
            || prepared.is_unplanned()
                && self.knowledge.as_deref().map(anywhere) == Some(prepared.context)
    }

    /// The same statement, planned in the present context.
    pub(crate) fn current(&self, prepared: &Arc<Prepared>) -> Arc<Prepared> {
        if prepared.context == self.context() {
            Arc::clone(prepared)
        } else {
            self.prepared(&prepared.text)
        }
    }

    /// A statement that is bound already, in a context that may have passed: its names mean what
    /// they meant, but what hangs on them may be new.
    pub(crate) fn bound(&self, prepared: Arc<Prepared>) -> Arc<Prepared> {
        let plan = &prepared.plan;
        let only_reads = plan.read.is_ok() && plan.writes.is_nothing();
        if only_reads || self.is_planned_now(&prepared) {
            prepared
        } else {
            Arc::new(prepared.outdated())
        }
    }
}
