//! The plan of one statement of a string.

use super::{Schema, combine::nothing};
use crate::facts::{Bound, Lexical, Read, Sentence};
use crate::needs::{Meant, Needs};
use crate::{Context, Plan, Reason, SettingsEffect, Temporary, Writes};

impl Schema {
    /// Without a context names mean everything they could mean.
    pub(super) fn sentence(
        &self,
        sentence: &Sentence,
        context: Option<&Context<'_>>,
        temporary: &Temporary,
    ) -> Plan {
        let path = context.map(|context| context.path);
        let mut plan = Plan {
            effects: sentence.effects.clone(),
            ..nothing(refusal(&sentence.read))
        };
        match &sentence.writes {
            Bound::Lexical(lexical) => {
                let meant = self.by_words(sentence, lexical, (context, temporary), &mut plan);
                if let Some(context) = context {
                    let named = sentence.read.as_deref().ok();
                    plan.meaning = self.meaning(lexical, named, (&plan.read, &meant), context);
                }
            }
            Bound::Nothing => {}
            Bound::Own(defined) if self.keeps_apart(defined, path, temporary) => {
                plan.writes = self.own_definition(defined, path, temporary, &mut plan.effects);
            }
            Bound::Own(_) | Bound::Everything => self.define(Writes::Everything, &mut plan),
            Bound::Cluster => self.define(Writes::Cluster, &mut plan),
        }
        if let Some(path) = path.filter(|_| temporary.is_plain()) {
            plan.pinned = self.pinned(sentence, &plan.read, &plan.writes, path);
        }
        plan
    }

    /// What is told from the words of a statement: what it reads, and if that cannot be recorded, what it
    /// may write. Returns what the names mean in the functions that are read along with it.
    fn by_words(
        &self,
        sentence: &Sentence,
        lexical: &Lexical,
        (context, temporary): (Option<&Context<'_>>, &Temporary),
        plan: &mut Plan,
    ) -> Box<[Meant]> {
        let path = context.map(|context| context.path);
        match self.needs(&sentence.read, lexical, context, temporary) {
            Ok(needs) => {
                // Whatever such a read runs is known to write nothing.
                if self.runs_code(lexical, path, temporary) {
                    plan.writes = Writes::Code;
                }
                plan.take(needs)
            }
            Err(reason) => {
                plan.read = Err(reason);
                plan.own = self.is_own(lexical, path, temporary);
                plan.writes = self.lexical(lexical, path, temporary, &mut plan.effects);
                if plan.writes.is_nothing() && self.hinges(lexical, &plan.read, path) {
                    plan.writes = Writes::Code;
                }
                plan.effects.calls_unknown = self.calls_unknown(lexical, path);
                Box::default()
            }
        }
    }

    /// What the reply to a read depends on, or why it is not looked up.
    fn needs(
        &self,
        read: &Result<Box<Read>, Reason>,
        lexical: &Lexical,
        context: Option<&Context<'_>>,
        temporary: &Temporary,
    ) -> Result<Needs, Reason> {
        let read = read.as_ref().map_err(|reason| *reason)?;
        match context {
            // Its names may mean what is not in the snapshot.
            Some(_) if !temporary.is_plain() => Err(Reason::TemporaryObjects),
            Some(context) => self.read(read, lexical, context),
            None => Err(Reason::SettingsUnknown),
        }
    }

    /// Definitions change.
    fn define(&self, writes: Writes, plan: &mut Plan) {
        if !self.snapshot.event_triggers().is_empty() {
            // Their functions run.
            plan.effects.whole = false;
            plan.effects.settings = SettingsEffect::Unknown;
            plan.effects.makes = None;
            plan.effects.skips = None;
        }
        plan.writes = writes;
    }
}

impl Plan {
    /// It may be looked up, with a reply that depends on this.
    fn take(&mut self, needs: Needs) -> Box<[Meant]> {
        self.read = Ok(needs.relations);
        self.settings = needs.settings;
        self.builtin_parameters = needs.builtin_parameters;
        self.timeless_parameters = needs.timeless_parameters;
        self.formed_literals = needs.formed_literals;
        self.folds = needs.folds;
        needs.meant
    }
}

/// Why a statement without a bound from its words is not looked up.
fn refusal(read: &Result<Box<Read>, Reason>) -> Reason {
    read.as_ref().err().copied().unwrap_or(Reason::Unsupported)
}
