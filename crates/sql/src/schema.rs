//! What may be done with an analysed statement in one database.

mod combine;
mod hinges;
mod meaning;
mod own;
mod perils;
mod pins;
mod sentence;

use std::sync::Arc;

use catalog::{Function, FunctionId, Relation, RelationId, RowSecurity, SearchPath, Snapshot};

pub use self::combine::plan_without_catalog;
use self::combine::{Place, combine, reloading};
use crate::effects::{Effects as Outcomes, Outcome, Within};
use crate::facts::{Lexical, Name, Read};
use crate::needs::Needs;
use crate::reports::runs_query;
use crate::resolve::{DEPTH_MAX, Kept, Memo, Trust, Viewer};
use crate::views::{Views, views};
use crate::{
    Analysis, Context, Effects, FunctionRule, Plan, Reason, SettingsEffect, Sight, Temporary,
    Writes, classes,
};

/// A catalog snapshot with what was derived from it.
#[derive(Debug)]
pub struct Schema {
    snapshot: Arc<Snapshot>,
    outcomes: Outcomes,
    trust: Trust,
    views: Views,
    /// Users have made functions.
    has_code: bool,
    /// Users have made domains.
    has_domains: bool,
    /// See [`meaning::roles`].
    roles: u64,
    /// See [`meaning::all_casts`].
    casts: u64,
    /// See [`perils::perils`].
    perils: u64,
}

impl Schema {
    /// Derives view contents and write effects from a snapshot. `rules` vouch for user functions.
    pub fn new(snapshot: Arc<Snapshot>, rules: &[FunctionRule]) -> Self {
        Self::after(None, snapshot, rules)
    }

    /// The same for a snapshot that comes after another one: what servers keep of that may still run.
    pub fn after(before: Option<&Self>, snapshot: Arc<Snapshot>, rules: &[FunctionRule]) -> Self {
        let trust = Trust::new(&snapshot, rules);
        let before = before.map(|before| &before.outcomes);
        let outcomes = Outcomes::build(Arc::clone(&snapshot), before);
        Self {
            views: views(&snapshot, &trust),
            perils: perils::perils(&snapshot, &outcomes),
            outcomes,
            roles: meaning::roles(&snapshot),
            casts: meaning::all_casts(&snapshot),
            trust,
            has_code: has_code(&snapshot),
            has_domains: own::has_domains(&snapshot),
            snapshot,
        }
    }

    /// Whether a setting of this name, with which no library has to do yet, bears on nothing but
    /// what reads it by name. The code of an index may read settings, and is loaded when it is
    /// needed; an extension's settings are called after it, if it is not well known.
    pub fn is_plain_setting(&self, name: &str) -> bool {
        let known = |method: &Option<Box<str>>| {
            let extension = method.as_deref();
            extension.is_some_and(classes::is_known_method)
        };
        !self.trust.may_define(name) && self.snapshot.methods().iter().all(known)
    }

    /// Changes when there is something new that changes anything when it is merely called or read:
    /// only then may a statement that was told to change nothing, under other definitions, have
    /// changed something under these.
    pub const fn perils(&self) -> u64 {
        self.perils
    }

    /// Whether a table is read behind functions of its extension, without being named.
    pub fn is_reference(&self, relation: RelationId) -> bool {
        self.trust.is_reference(relation)
    }

    /// The snapshot it was derived from.
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// What may be done with a statement string under this search path and role.
    pub fn plan(&self, analysis: &Analysis, context: &Context<'_>) -> Plan {
        let temporary = context.temporary;
        let plan = combine(analysis, |sentence, place| {
            let context = matches!(place, Place::Same).then_some(context);
            self.sentence(sentence, context, temporary)
        });
        reloading(plan, analysis.reloads())
    }

    /// What a statement string does under a search path and role that are not known: nothing is
    /// looked up, and what it may write is all that its names could mean in any schema.
    pub fn plan_anywhere(&self, analysis: &Analysis, temporary: &Temporary) -> Plan {
        let plan = combine(analysis, |sentence, _| {
            self.sentence(sentence, None, temporary)
        });
        reloading(plan, analysis.reloads())
    }

    /// Whether code runs at logins.
    pub fn has_login_triggers(&self) -> bool {
        self.snapshot.has_login_triggers()
    }

    /// The settings of the application that views and policies read, sorted.
    pub fn settings(&self) -> &[Box<str>] {
        &self.views.settings
    }

    fn read(&self, read: &Read, lexical: &Lexical, context: &Context<'_>) -> Result<Needs, Reason> {
        let viewer = Viewer {
            snapshot: &self.snapshot,
            trust: &self.trust,
            views: &self.views,
            path: context.path,
            anywhere: false,
            caller: Some(context.path),
            role: Some(context.role),
            within: None,
            given: &[],
            returned: None,
            kept: &Kept::default(),
            immutable: false,
            depth: DEPTH_MAX,
            memo: &Memo::default(),
        };
        viewer.read(read, lexical, &[])
    }

    /// What words lead to, and what the functions among them do to the session.
    fn lexical(
        &self,
        lexical: &Lexical,
        path: Option<&SearchPath>,
        temporary: &Temporary,
        effects: &mut Effects,
    ) -> Writes {
        let outcomes = self.outcomes.within(temporary);
        let mut writes = Writes::Nothing;
        let mut run = self.by_temporary(lexical, temporary);
        if lexical.fires && !self.snapshot.event_triggers().is_empty() {
            run.add(&Outcome::EVERYTHING);
        }
        for call in &lexical.calls {
            run.add(&self.by_hidden(call, path));
        }
        if self.lacks_procedure(lexical, path) {
            run.add(&Outcome::EVERYTHING);
        }
        for target in &lexical.targets {
            let meant = self.meant(path, &target.name);
            if meant.is_empty() {
                // Temporary; or not there, or made behind our back.
                writes.add(match self.is_held(&target.name, path, temporary) {
                    true => &Writes::Code,
                    false => &Writes::Everything,
                });
            }
            for relation in meant {
                if relation.temporary || !relation.kind.is_writable() {
                    // Of another session, which may have put something else in its place; or gone by
                    // now, if the server takes this.
                    writes = Writes::Everything;
                }
                run.add(&outcomes.of_write(relation.id, target.event));
            }
        }
        run.add(&self.runs(lexical, path, outcomes));
        let told = matches!(effects.settings, SettingsEffect::Calls(_));
        if run.sets && !(told && self.sets_no_more(lexical, path)) {
            effects.settings = SettingsEffect::Unknown;
        }
        if run.writes == Writes::Everything {
            // Code that cannot be read may do to the session what it likes.
            effects.temporary = true;
            effects.names = true;
            effects.sight = Sight::All;
            effects.pins = true;
        }
        effects.commits |= run.foreign;
        effects.pins |= lexical
            .calls
            .iter()
            .any(|call| LOCKS.contains(&&*call.name));
        writes.add(&run.writes);
        writes
    }

    /// Whether a query that calls nothing but `set_config` sets no more than it says.
    fn sets_no_more(&self, lexical: &Lexical, path: Option<&SearchPath>) -> bool {
        let functions = self.functions(lexical, path);
        functions.iter().all(|id| id.is_builtin())
            && !self.outcomes.within(&Temporary::Plain).of_any().sets
            && self.readings(lexical, path).is_empty()
    }

    /// The relation that a name means; without a path, all that it could mean but temporary ones of
    /// other sessions.
    fn meant(&self, path: Option<&SearchPath>, name: &Name) -> Vec<&Relation> {
        let Name { schema, name } = name;
        if let Some(path) = path {
            let found = self
                .snapshot
                .resolve_relation(path, schema.as_deref(), name);
            return found.into_iter().collect();
        }
        let written = schema
            .as_deref()
            .map(|schema| self.snapshot.schema_by_name(schema).map(|it| it.id));
        self.snapshot
            .relations_named(name)
            .filter(|relation| !relation.temporary && relation.kind.is_writable())
            .filter(|relation| written.is_none_or(|schema| schema == Some(relation.schema)))
            .collect()
    }

    /// Whether words may run functions that their owners may replace.
    fn runs_code(
        &self,
        lexical: &Lexical,
        path: Option<&SearchPath>,
        temporary: &Temporary,
    ) -> bool {
        let outcomes = self.outcomes.within(temporary);
        self.has_code && !self.runs(lexical, path, outcomes).writes.is_nothing()
    }

    /// What words may run, apart from their targets.
    fn runs(&self, lexical: &Lexical, path: Option<&SearchPath>, outcomes: Within<'_>) -> Outcome {
        let mut run = outcomes.of_any();
        for function in self.functions(lexical, path) {
            run.add(&outcomes.of_function(function));
        }
        for relation in self.readings(lexical, path) {
            run.add(&outcomes.of_read(relation));
        }
        run
    }

    /// What words lead to by meaning temporary relations that reach what lasts.
    fn by_temporary(&self, lexical: &Lexical, temporary: &Temporary) -> Outcome {
        let may_mean = |name: &Name| {
            let schema = name.schema.as_deref();
            schema.is_none_or(|schema| schema.starts_with("pg_temp"))
        };
        let mut targets = lexical.targets.iter().map(|target| &target.name);
        let written = targets.any(|it| may_mean(it) && temporary.is_written(&it.name));
        let read = lexical.words.iter().any(|word| temporary.is_read(word));
        if !(written || read || *temporary == Temporary::Unknown) {
            return Outcome::NOTHING;
        }
        Outcome {
            foreign: self.outcomes.has_foreign(),
            ..Outcome::EVERYTHING
        }
    }

    /// The functions that words may call and that may do more than return a value.
    fn functions(&self, lexical: &Lexical, path: Option<&SearchPath>) -> Vec<FunctionId> {
        let mut found: Vec<FunctionId> = Vec::new();
        for call in &lexical.calls {
            let functions = self.callable(path, call.schema.as_deref(), &call.name);
            // Where the words of the queries that they run are among these, reports do no more.
            let does_more = |it: &&Function| lexical.hidden_query || !runs_query(it);
            let functions = functions.into_iter().filter(does_more);
            found.extend(functions.map(|function| function.id));
        }
        for attribute in &lexical.attributes {
            let functions = self.callable(path, None, attribute).into_iter();
            found.extend(
                functions
                    .map(|function| function.id)
                    .filter(|id| !id.is_builtin()),
            );
        }
        for symbol in &lexical.symbols {
            let operators = self.snapshot.operators(symbol);
            found.extend(operators.map(|operator| operator.function));
        }
        found.retain(|&id| !self.trust.vouches_for(id));
        found.sort_unstable();
        found.dedup();
        found
    }

    /// The functions that a name may mean, in any schema if the path is not known.
    fn callable(
        &self,
        path: Option<&SearchPath>,
        schema: Option<&str>,
        name: &str,
    ) -> Vec<&Function> {
        let written = schema.map(|schema| self.snapshot.schema_by_name(schema).map(|it| it.id));
        // Functions of the session's own are not told from those of others.
        let temporary = schema == Some("pg_temp");
        let seen = |function: &&Function| match (written, path) {
            (Some(_), _) if temporary => self.snapshot.is_temporary_schema(function.schema),
            (Some(schema), _) => schema == Some(function.schema),
            (None, Some(path)) => path.0.contains(&function.schema),
            (None, None) => true,
        };
        self.snapshot.functions_named(name).filter(seen).collect()
    }

    /// Relations among the words whose reading runs functions.
    fn readings(&self, lexical: &Lexical, path: Option<&SearchPath>) -> Vec<RelationId> {
        let qualified = |word| lexical.attributes.contains(word);
        let seen = |relation: &Relation| path.is_none_or(|path| path.0.contains(&relation.schema));
        lexical
            .words
            .iter()
            .flat_map(|word| {
                self.snapshot
                    .relations_named(word)
                    .filter(move |relation| qualified(word) || seen(relation))
            })
            .filter(|relation| {
                relation.definition.is_some()
                    || self.snapshot.uses(relation.id).next().is_some()
                    || relation.row_security != RowSecurity::Off
            })
            .map(|relation| relation.id)
            .collect()
    }
}

/// Whether there are functions that belong to no extension.
fn has_code(snapshot: &Snapshot) -> bool {
    let mut all = snapshot.all_functions();
    all.any(|it| !it.id.is_builtin() && it.extension.is_none())
}

/// Locks that belong to the session.
const LOCKS: [&str; 4] = [
    "pg_advisory_lock",
    "pg_advisory_lock_shared",
    "pg_try_advisory_lock",
    "pg_try_advisory_lock_shared",
];

#[cfg(test)]
mod tests;
