//! What is to be done before a statement leaves: a mark is set for what it may write, and noted what
//! it does to its transaction and to the session's settings.

use cache::{Digest, DigestBuilder};
use sql::{Control, Isolation, Plan, SetScope, SetValue, Setting, SettingsEffect, Sight, Writes};
use wire::backend;

use crate::{
    client::Step,
    folds::bears_on_folds,
    need::Need,
    prepared::Prepared,
    queue::{Judged, Passed, SettingsChange},
    session::Session,
    transaction::Block,
};

impl Session {
    /// Sets a mark, if the statement needs one before it may leave. `writes` is what its plan says or
    /// less.
    ///
    /// Inside a block whose end is a statement of its own nothing becomes visible before that
    /// statement; it is the one that is marked, with all that the block has written.
    pub(crate) fn mark_for(&mut self, plan: &Plan, writes: &Writes) -> Option<Step> {
        if std::mem::take(&mut self.granted) {
            self.answer = None;
            return None;
        }
        self.note_unknown(plan);
        let effects = &plan.effects;
        let unsure = self.queue.has_control() || self.segment.control || self.transaction.commits;
        let in_block = self.status() != backend::Status::Idle && !unsure;
        let mut scopes = Writes::Nothing;
        if !in_block || effects.commits || effects.tag_judges {
            scopes.add(writes);
        }
        if matches!(effects.control, Some(Control::CommitPrepared(_))) {
            // Another session prepared it, perhaps through another instance, and it may have changed
            // what all databases share.
            scopes.add(&Writes::Cluster);
        }
        let ends = matches!(effects.control, Some(Control::Commit { .. }));
        if ends || effects.commits || effects.tag_judges {
            scopes.add(&self.transaction.writes);
            scopes.add(&self.segment.writes);
            for boundary in self.queue.boundaries() {
                scopes.add(&boundary.writes);
            }
        }
        if scopes.is_nothing() {
            return None;
        }
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        self.segment.ticket = Some(ticket);
        self.granted = true;
        Some(Step::Ask(Need::Mark(ticket, scopes)))
    }

    /// Announces what a portal that is about to be bound under a name may write: FETCH and MOVE run it
    /// without an Execute, as does code, and say no more than that they look at a cursor.
    pub(crate) fn announce(&mut self, portal: &[u8], prepared: &Prepared) -> Option<Step> {
        let plan = &prepared.plan;
        // A read is bound again when the store has answered, and writes nothing.
        if portal.is_empty() || plan.read.is_ok() || plan.writes.is_nothing() {
            return None;
        }
        if let Some(step) = self.mark_for(plan, &plan.writes) {
            return Some(step);
        }
        let segment = &mut self.segment;
        segment.convict();
        segment.add(&plan.writes, plan);
        if plan.effects.temporary || plan.writes.is_unbounded() && self.mirror.has_temporary() {
            self.mirror.doubt_temporary();
        }
        None
    }

    /// Notes what a statement that is about to leave does to its segment.
    ///
    /// `settings` are those that it sets, if they are known.
    pub(crate) fn note(
        &mut self,
        plan: &Plan,
        writes: &Writes,
        text: &[u8],
        settings: Option<&[Setting]>,
    ) {
        let effects = &plan.effects;
        self.note_idle_portals(plan);
        self.note_bound_portals(plan);
        self.note_new_code(plan);
        self.note_names_given(plan, text);
        let founds = self.founds(plan);
        let segment = &mut self.segment;
        if !plan.writes.is_nothing() {
            let first = segment.writes.is_nothing() && segment.judged == Judged::No;
            let judges = effects.tag_judges || effects.skips.is_some();
            segment.judged = if judges && first {
                Judged::Pending
            } else {
                Judged::Guilty
            };
        }
        segment.add(writes, plan);
        if self.former_code {
            // It may run what is not there any more.
            segment.distrust(Passed::Code);
        }
        segment.reloads |= effects.reloads;
        segment.founds |= founds;
        segment.texts |= changes_texts(&effects.settings);
        let unbounded = plan.writes.is_unbounded() && self.mirror.has_temporary();
        if effects.temporary && !founds || unbounded {
            self.mirror.doubt_temporary();
        }
        self.note_control(plan);
        if matches!(
            effects.control,
            Some(Control::Commit { .. } | Control::CommitPrepared(_))
        ) {
            // It has a mark for what was written before, of which no other's tag may clear it.
            self.segment.judged = Judged::Guilty;
        }
        let stays = matches!(effects.control, None | Some(Control::Savepoint));
        if !stays || effects.commits {
            self.mirror.leave_block();
        }
        let followed = self.follow_settings(settings);
        self.mirror.note_own(&plan.effects.settings, followed);
        if !followed {
            self.note_settings(plan, text, settings);
        }
    }

    /// Notes what a statement does to its block.
    fn note_control(&mut self, plan: &Plan) {
        let effects = &plan.effects;
        let segment = &mut self.segment;
        match &effects.control {
            Some(Control::Begin(begin)) => {
                let identity = self.mirror.identity();
                let level = begin.isolation.map_or_else(
                    || identity.is_some_and(|identity| identity.read_committed),
                    |level| level == Isolation::ReadCommitted,
                );
                segment.control = true;
                // Behind another BEGIN it only warns.
                let before = segment.read_committed.unwrap_or(true);
                segment.read_committed = Some(before && level);
            }
            Some(Control::Savepoint) => {}
            Some(Control::RollbackTo) => {
                // The block goes on, at its level.
                if !(segment.control || self.queue.has_control()) {
                    segment.read_committed = self.transaction.read_committed();
                }
                segment.control = true;
            }
            Some(Control::Commit { .. } | Control::Rollback { .. }) => {
                segment.control = true;
                segment.chains = true;
            }
            Some(_) => {
                segment.control = true;
                // SET TRANSACTION may be among them.
                segment.read_committed = Some(false);
            }
            None => segment.control |= effects.commits,
        }
    }

    /// Whether a statement makes a temporary table of which all is known. Inside a block nothing else
    /// can be known of it before that has ended: were it refused, so would be all behind it.
    fn founds(&mut self, plan: &Plan) -> bool {
        let (Some(table), Some(knowledge)) = (&plan.effects.founds, &self.knowledge) else {
            return false;
        };
        let told = !self.queue.has_control() && !self.segment.control && !self.segment.commits;
        let open = matches!(self.transaction.block, Block::Open { .. });
        told && open && self.mirror.found(table, &self.shared, knowledge)
    }

    /// A cursor is read, or code runs that may read one: so may a portal be run that was bound and not
    /// executed.
    fn note_idle_portals(&mut self, plan: &Plan) {
        let effects = &plan.effects;
        let looks = effects.sight == Sight::Portals || effects.names && effects.sight == Sight::All;
        let may_run = looks || !plan.writes.is_nothing();
        if may_run && self.registry.has_idle_portals() {
            self.doubt_settings();
        }
    }

    /// A portal that is to be recorded belongs to the moment of its Bind. What comes in front of its
    /// Execute and is no mere read may have read it in part, or have set or defined what it returns;
    /// perhaps for this session alone, and until a ROLLBACK.
    fn note_bound_portals(&mut self, plan: &Plan) {
        if plan.read.is_err() || !plan.writes.is_nothing() {
            for recording in self.registry.recordings_mut() {
                *recording = None;
            }
        }
    }

    /// What was defined in the same transaction may run, and be gone before the catalog is read: what
    /// it does to the session would never be known.
    fn note_new_code(&mut self, plan: &Plan) {
        let defined = |writes: &Writes| writes.is_unbounded();
        let may_run = !plan.writes.is_nothing()
            && (defined(&self.segment.writes)
                || defined(&self.transaction.writes)
                || self.queue.boundaries().any(|it| defined(&it.writes)));
        if may_run && plan.effects.settings != SettingsEffect::Unknown {
            self.segment.temporary = true;
            self.mirror.doubt_temporary();
            self.doubt_settings();
        }
    }

    /// What holds afterwards only the server can tell.
    fn doubt_settings(&mut self) {
        self.segment.settings = SettingsChange::Unknown;
        if self.transaction.is_open() || self.segment.control {
            self.transaction.settings = true;
        }
        self.mirror.doubt_folds();
        self.mirror.doubt(true);
    }

    /// Follows what a statement sets inside a block; false if that cannot be told.
    fn follow_settings(&mut self, settings: Option<&[Setting]>) -> bool {
        let (Some(settings), Some(knowledge)) = (settings, &self.knowledge) else {
            return false;
        };
        let told = !self.queue.has_control() && !self.segment.control && !self.segment.commits;
        if !told || !self.transaction.is_open() || self.segment.temporary {
            return false;
        }
        if settings
            .iter()
            .all(|it| crate::identity::is_harmless(&it.name))
        {
            return true;
        }
        // The server will refuse it, and the setting remains what it was, perhaps without a value.
        if matches!(self.transaction.block, Block::Failed { .. }) {
            return false;
        }
        let followed = self.mirror.follow(settings, &self.shared, knowledge);
        if followed && self.segment.settings == SettingsChange::None {
            self.segment.settings = SettingsChange::Followed;
        }
        followed
    }

    fn note_settings(&mut self, plan: &Plan, text: &[u8], settings: Option<&[Setting]>) {
        let effect = &plan.effects.settings;
        if *effect == SettingsEffect::Untouched {
            return;
        }
        self.note_timeouts(effect, settings);
        let harmless = |it: &Setting| crate::identity::is_harmless(&it.name);
        if settings.is_some_and(|settings| settings.iter().all(harmless)) {
            return;
        }
        // Outside a block, what is local lasts no longer than its statement, or than its string.
        let passes = |it: &Setting| it.scope == SetScope::Local && !self.transaction.is_open();
        let change = match (effect, settings) {
            (SettingsEffect::ResetAll, _) => {
                SettingsChange::One(DigestBuilder::default().field(text).finish())
            }
            (_, Some(settings)) if !settings.iter().any(passes) => {
                SettingsChange::One(digest(settings))
            }
            _ => SettingsChange::Unknown,
        };
        let on_names =
            |it: &Setting| matches!(&*it.name, "search_path" | "role" | "session_authorization");
        let names = settings.is_none_or(|settings| settings.iter().any(on_names));
        let on_folds = |it: &Setting| bears_on_folds(&it.name);
        if settings.is_none_or(|settings| settings.iter().any(on_folds)) {
            self.mirror.doubt_folds();
        }
        self.segment.settings = match self.segment.settings {
            SettingsChange::None => change,
            SettingsChange::Followed | SettingsChange::One(_) | SettingsChange::Unknown => {
                SettingsChange::Unknown
            }
        };
        if self.transaction.is_open() || self.segment.control {
            self.transaction.settings = true;
        }
        self.mirror.doubt(names);
    }
}

/// What tells settings that are made together from others.
fn digest(settings: &[Setting]) -> Digest {
    let mut digest = DigestBuilder::default();
    for Setting { name, scope, value } in settings {
        let scope = match scope {
            SetScope::Session => 0,
            SetScope::Local => 1,
        };
        digest.field(name.as_bytes()).number(scope);
        match value {
            SetValue::Default => digest.number(0),
            SetValue::Text(text) => digest.number(1).field(text.as_bytes()),
            SetValue::List(list) => {
                let digest = digest.number(2).number(list.len() as u64);
                list.iter().fold(digest, |it, one| it.field(one.as_bytes()))
            }
        };
    }
    digest.finish()
}

/// Whether texts are read by other rules afterwards.
fn changes_texts(settings: &SettingsEffect) -> bool {
    let mut named = settings.named();
    *settings == SettingsEffect::ResetAll
        || named.any(|(name, _)| {
            matches!(
                name,
                "standard_conforming_strings" | "client_encoding" | "names"
            )
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_read_otherwise_behind_whatever_sets_how() {
        let changes = |text: &str| {
            let analysis = sql::analyze(text.as_bytes());
            changes_texts(&sql::plan_without_catalog(&analysis).effects.settings)
        };
        for text in [
            "set standard_conforming_strings = off",
            "set client_encoding = latin1",
            "set names 'latin1'",
            "reset all",
        ] {
            assert!(changes(text), "{text}");
        }
        assert!(!changes("set search_path = a") && !changes("select 1"));
        let world = crate::tests::world::World::new(None);
        let schema = &world.knowledge().schema;
        let calls = |text: &str| {
            let analysis = sql::analyze(text.as_bytes());
            let plan = schema.plan_anywhere(&analysis, &sql::Temporary::Plain);
            changes_texts(&plan.effects.settings)
        };
        assert!(calls(
            "select set_config('a.b', 'c', true), set_config('client_encoding', 'latin1', false)"
        ));
        assert!(!calls("select set_config('a.b', 'c', true)"));
    }
}
