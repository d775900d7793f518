//! What the sessions of one process share: texts, identities, counters.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use cache::Digest;
use catalog::{RoleId, SearchPath};
use quick_cache::{Equivalent, Lifecycle, Weighter, sync::Cache};
use sql::Temporary;

use crate::{
    Identity, Knowledge, Statistics, Telemetry,
    prepared::{Prepared, Shape},
    wanted::Wanted,
};

/// Bounds of what sessions may hold.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// All remembered texts together, in bytes.
    pub analysis_bytes_max: u64,
    /// The largest reply that is recorded, in bytes.
    pub entry_bytes_max: usize,
    /// Of how many statements it is counted what becomes of each.
    pub statements_max: usize,
}

/// Shared by all sessions of one process.
#[derive(Debug)]
pub struct Shared {
    texts: Cache<Key, Weighed, ByBytes, foldhash::fast::RandomState, EndLearning>,
    identities: Cache<Digest, Arc<Identity>>,
    wanted: Wanted,
    contexts: Mutex<Contexts>,
    next_context: AtomicU64,
    /// What is counted.
    pub telemetry: Arc<Telemetry>,
    /// What is counted of each statement.
    pub statistics: Statistics,
    /// What is bounded.
    pub limits: Limits,
}

/// Texts longer than this, in bytes, are planned each time and not remembered.
const REMEMBERED_MAX: usize = 64 * 1024;

/// Set in the context of what is remembered of forms: nothing counts as far as that.
const FORM: u64 = 1 << 63;

/// Identities that are remembered.
const IDENTITIES_MAX: usize = 10_000;

/// Contexts before their table is emptied; their numbers are never used again.
const CONTEXTS_MAX: usize = 10_000;

/// The same for those of sessions with temporary tables, which may have any names.
const NAMED_MAX: usize = 1_000;

/// No role has this identity.
const NOBODY: RoleId = RoleId::from_oid(0);

/// A catalog snapshot, role, search path, what temporary objects may do, and the settings that decide
/// how statements are parsed and described.
type Context = (u64, RoleId, SearchPath, Temporary, Digest);

/// Numbers of contexts. Those that name temporary tables must not push the others out.
#[derive(Debug, Default)]
struct Contexts {
    common: HashMap<Context, u64, foldhash::fast::RandomState>,
    named: HashMap<Context, u64, foldhash::fast::RandomState>,
}

#[derive(Clone, Debug, Eq, Hash, PartialEq)]
struct Key(u64, bytes::Bytes);

#[derive(Hash)]
struct KeyRef<'a>(u64, &'a [u8]);

impl Equivalent<Key> for KeyRef<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        self.0 == key.0 && *self.1 == *key.1
    }
}

/// What is remembered, and what it counted for when it was put down: that must not change meanwhile.
#[derive(Clone, Debug)]
struct Weighed {
    prepared: Arc<Prepared>,
    bytes: u64,
}

impl From<Arc<Prepared>> for Weighed {
    fn from(prepared: Arc<Prepared>) -> Self {
        let bytes = prepared.bytes() as u64;
        Self { prepared, bytes }
    }
}

#[derive(Clone, Debug)]
struct ByBytes;

impl Weighter<Key, Weighed> for ByBytes {
    fn weight(&self, _: &Key, weighed: &Weighed) -> u64 {
        weighed.bytes
    }
}

/// Sessions hold statements that are not remembered any more.
#[derive(Clone, Debug, Default)]
struct EndLearning;

impl Lifecycle<Key, Weighed> for EndLearning {
    type RequestState = ();

    fn before_evict(&self, (): &mut (), _: &Key, weighed: &mut Weighed) {
        weighed.prepared.end_learning();
    }
}

impl Shared {
    /// Nothing known yet.
    pub fn new(limits: Limits, telemetry: Arc<Telemetry>) -> Self {
        let items = usize::try_from(limits.analysis_bytes_max / 512).unwrap_or(usize::MAX);
        Self {
            texts: Cache::with(
                items,
                limits.analysis_bytes_max,
                ByBytes,
                foldhash::fast::RandomState::default(),
                EndLearning,
            ),
            identities: Cache::new(IDENTITIES_MAX),
            wanted: Wanted::default(),
            contexts: Mutex::default(),
            next_context: AtomicU64::new(1),
            telemetry,
            statistics: Statistics::new(limits.statements_max),
            limits,
        }
    }

    /// The number of a context: one catalog snapshot, role and search path, what temporary objects
    /// may do, and how statements are parsed and described.
    pub(crate) fn context(&self, knowledge: &Knowledge, identity: &Identity) -> u64 {
        let (role, path) = (identity.role, identity.path.clone());
        let place = (role, path, identity.reading);
        self.number(knowledge, place, identity.temporary())
    }

    /// The number of the context of those whose role and search path are not known.
    pub(crate) fn anywhere(&self, knowledge: &Knowledge, temporary: &Temporary) -> u64 {
        let place = (NOBODY, SearchPath(Box::default()), Digest::default());
        self.number(knowledge, place, temporary)
    }

    fn number(
        &self,
        knowledge: &Knowledge,
        (role, path, reading): (RoleId, SearchPath, Digest),
        temporary: &Temporary,
    ) -> u64 {
        let mut contexts = self.contexts.lock().unwrap_or_else(PoisonError::into_inner);
        let (contexts, most) = match temporary {
            Temporary::Named(_) => (&mut contexts.named, NAMED_MAX),
            Temporary::Plain | Temporary::Unknown => (&mut contexts.common, CONTEXTS_MAX),
        };
        if contexts.len() >= most {
            contexts.clear();
        }
        *contexts
            .entry((knowledge.generation, role, path, temporary.clone(), reading))
            .or_insert_with(|| self.next_context.fetch_add(1, Ordering::Relaxed))
    }

    /// A number that nobody else has.
    pub(crate) fn nonce(&self) -> u64 {
        self.next_context.fetch_add(1, Ordering::Relaxed)
    }

    /// What is known of a text under a context, which `plan` finds out at first sight.
    pub(crate) fn prepared(
        &self,
        context: u64,
        text: &[u8],
        plan: impl FnOnce() -> Prepared,
    ) -> Arc<Prepared> {
        if let Some(known) = self.texts.get(&KeyRef(context, text)) {
            return known.prepared;
        }
        let prepared = Arc::new(self.planned(context, text, plan));
        if text.len() <= REMEMBERED_MAX && prepared.is_worth_keeping() {
            let key = Key(context, prepared.text.clone());
            self.texts.insert(key, Arc::clone(&prepared).into());
        }
        prepared
    }

    /// The server has described some or all of a statement.
    pub(crate) fn learn(&self, prepared: &Arc<Prepared>, types: &[u8], shape: Shape) {
        if prepared.learn(types, shape) {
            let key = Key(prepared.context, prepared.text.clone());
            // It counts for more. Where it is gone, nobody counts it.
            let grown = Arc::clone(prepared).into();
            if self.texts.replace(key, grown, true).is_err() {
                prepared.end_learning();
            }
        }
    }

    /// A text that was not seen before; its form may have been.
    fn planned(&self, context: u64, text: &[u8], plan: impl FnOnce() -> Prepared) -> Prepared {
        let plan = || {
            let mut planned = plan();
            if planned.is_counted() {
                planned.tally = self.statistics.of(text);
            }
            planned
        };
        let Some(form) = sql::form(text) else {
            return plan();
        };
        let place = context | FORM;
        if let Some(known) = self.texts.get(&KeyRef(place, &form.text)) {
            return known.prepared.filled(text, form);
        }
        let planned = plan();
        if let Some(opened) = planned.opened(&form) {
            let opened = Arc::new(opened);
            let key = Key(place, opened.text.clone());
            self.texts.insert(key, opened.into());
        }
        planned
    }

    /// Settings that statements read by name.
    pub(crate) const fn wanted(&self) -> &Wanted {
        &self.wanted
    }

    /// An identity that a session was proven to have after what `history` stands for.
    pub(crate) fn identity(&self, history: &Digest) -> Option<Arc<Identity>> {
        self.identities.get(history)
    }

    /// Remembers one.
    pub(crate) fn learn_identity(&self, history: Digest, identity: Arc<Identity>) {
        self.identities.insert(history, identity);
    }
}

#[cfg(test)]
mod tests {
    use std::hash::{BuildHasher, Hash};

    use super::*;

    #[test]
    fn statements_that_differ_in_literals_are_planned_once() {
        let limits = Limits {
            analysis_bytes_max: 1 << 20,
            entry_bytes_max: 1 << 10,
            statements_max: 10,
        };
        let shared = Shared::new(limits, Arc::default());
        let planned = std::cell::Cell::new(0);
        let ask = |context, text: &[u8]| {
            shared.prepared(context, text, || {
                planned.set(planned.get() + 1);
                Prepared::new(text, None)
            })
        };
        let check = |context, text: &str, expected| {
            let found = ask(context, text.as_bytes());
            assert_eq!(found.text, text.as_bytes(), "{text}");
            assert_eq!(planned.get(), expected, "{text}");
            found
        };
        let one = check(1, "SELECT * FROM t WHERE id = 1", 1);
        let two = check(1, "SELECT * FROM t WHERE id = 2", 1);
        assert_ne!(one.digest(), two.digest());
        check(1, "SELECT * FROM t WHERE id = 2", 1);
        check(2, "SELECT * FROM t WHERE id = 2", 2);
        check(1, "SELECT * FROM t WHERE id = '2'", 3);
        check(1, "SELECT * FROM t WHERE id = 'now'", 4);
        check(1, "SELECT * FROM t WHERE id = 'today'", 5);
        check(1, "SET x = 1", 6);
        check(1, "SET x = 2", 7);
    }

    #[test]
    fn names_of_temporary_tables_push_no_other_context_out() {
        let limits = Limits {
            analysis_bytes_max: 1 << 20,
            entry_bytes_max: 1 << 10,
            statements_max: 10,
        };
        let shared = Shared::new(limits, Arc::default());
        let world = crate::tests::world::World::new(None);
        let number = |temporary: &Temporary| shared.anywhere(world.knowledge(), temporary);
        let plain = number(&Temporary::Plain);
        let named = |table: usize| {
            Temporary::Plain
                .with_table(&format!("tmp_{table}"))
                .unwrap()
        };
        let first = number(&named(0));
        assert_eq!(number(&named(0)), first);
        (0..CONTEXTS_MAX).for_each(|table| _ = number(&named(table)));
        assert_eq!(number(&Temporary::Plain), plain);
        assert_ne!(number(&named(0)), first);
        let contexts = shared.contexts.lock().unwrap();
        assert!(contexts.named.len() <= NAMED_MAX && contexts.common.len() == 1);
    }

    #[test]
    fn statements_of_one_form_cost_the_same() {
        let limits = Limits {
            analysis_bytes_max: 1 << 20,
            entry_bytes_max: 1 << 10,
            statements_max: 10,
        };
        let shared = Shared::new(limits, Arc::default());
        let ask = |text: &str| {
            let plan = || Prepared::new(text.as_bytes(), None);
            shared.prepared(1, text.as_bytes(), plan)
        };
        let cost = std::time::Duration::from_millis(7);
        ask("SELECT * FROM t WHERE id = 1").note_cost(cost);
        assert_eq!(ask("SELECT * FROM t WHERE id = 2").cost(), Some(cost));
        assert_eq!(ask("SELECT * FROM t WHERE id > 2").cost(), None);
    }

    #[test]
    fn what_the_server_said_counts_and_goes_with_the_text() {
        let limits = Limits {
            analysis_bytes_max: 1 << 20,
            entry_bytes_max: 1 << 10,
            statements_max: 10,
        };
        let shared = Shared::new(limits, Arc::default());
        let held: Vec<_> = (0..1_000)
            .map(|number| {
                let text = format!("SELECT a{number} FROM t");
                let prepared = shared.prepared(1, text.as_bytes(), || {
                    // As a plan of this context would be.
                    Prepared::of_context(text.as_bytes(), 1)
                });
                let row = Some(bytes::Bytes::from(vec![0; 10_000]));
                let parameters = None;
                shared.learn(&prepared, &[], Shape { parameters, row });
                prepared
            })
            .collect();
        let rows = held.iter().filter_map(|it| it.row(&[]));
        let bytes: usize = rows.map(|row| row.len()).sum();
        assert!((10_000..=1 << 20).contains(&bytes), "{bytes}");
        // What is too long is not remembered, nor what nobody counts.
        let (first, last) = (held.first().unwrap(), held.last().unwrap());
        for (prepared, length) in [(first, 10), (last, 1 << 20)] {
            let row = Some(bytes::Bytes::from(vec![0; length]));
            let parameters = None;
            shared.learn(prepared, &[7], Shape { parameters, row });
            assert!(prepared.row(&[7]).is_none(), "{length}");
        }
    }

    #[test]
    fn what_is_counted_of_a_statement_counts_with_it() {
        let limits = Limits {
            analysis_bytes_max: 1 << 20,
            entry_bytes_max: 1 << 10,
            statements_max: 1,
        };
        let shared = Shared::new(limits, Arc::default());
        let text = b"DELETE FROM t";
        let plan = || Prepared::new(text, None);
        let counted = shared.prepared(1, text, plan);
        let tally = counted.tally.as_ref().unwrap();
        assert_eq!(counted.bytes(), plan().bytes() + tally.bytes());
        assert!(tally.bytes() < 1024, "{}", tally.bytes());
    }

    #[test]
    fn borrowed_and_owned_keys_hash_alike() {
        let state = foldhash::fast::FixedState::default();
        let hash = |value: &dyn Fn(&mut <foldhash::fast::FixedState as BuildHasher>::Hasher)| {
            let mut hasher = state.build_hasher();
            value(&mut hasher);
            std::hash::Hasher::finish(&hasher)
        };
        let owned = Key(7, bytes::Bytes::from_static(b"select 1"));
        let borrowed = KeyRef(7, b"select 1");
        assert_eq!(hash(&|h| owned.hash(h)), hash(&|h| borrowed.hash(h)));
        assert!(borrowed.equivalent(&owned));
    }
}
