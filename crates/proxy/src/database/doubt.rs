//! What ended while nobody knew which definitions it had met.
//!
//! Who has written something, or called code, and finds another epoch than the one it was planned under
//! has to know whether definitions have changed. Reading them takes as long as it takes. Meanwhile
//! the epoch is marked, once for all who want to know: nobody is served anything from before, and they
//! go on. When the catalog has been read, the mark ends: without a change, if definitions are those from
//! which all of them were told; else with one, by which everything is given up.
//!
//! A reading is of use only if its epoch stays. So the mark is set while one is under way or due, and
//! ends before the next one begins.

use std::sync::atomic::{AtomicBool, Ordering};

use cache::Scope;
use catalog::DatabaseId;
use session::Definitions;
use store::{Mark, Store};
use tokio::sync::Mutex;

/// What a statement was told from, and what it has to do with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Told {
    /// It writes rows: whatever hangs on their tables counts.
    Rows(Definitions),
    /// It writes nothing: only code counts.
    Code(Definitions),
}

impl Told {
    /// Whether it would be told the same from these.
    pub(crate) fn holds(&self, now: &Definitions) -> bool {
        match self {
            Self::Rows(then) => then.are(now),
            Self::Code(then) => then.have_code_of(now),
        }
    }
}

/// Those who want to know.
#[derive(Debug, Default)]
pub(super) struct Doubts {
    held: Mutex<Option<Doubt>>,
    /// Whether there are any.
    any: AtomicBool,
}

/// A mark on the epoch, and what is to be compared.
#[derive(Debug)]
pub(super) struct Doubt {
    pub(super) mark: Mark,
    told: Vec<Told>,
    /// There is more to compare than is remembered.
    more: bool,
}

impl Doubt {
    /// Whether all of them would be told the same from these definitions.
    pub(super) fn holds(&self, now: &Definitions) -> bool {
        !self.more && self.told.iter().all(|told| told.holds(now))
    }
}

impl Doubts {
    /// Whether there are any.
    pub(super) fn any(&self) -> bool {
        self.any.load(Ordering::Acquire)
    }

    /// Joins them, if somebody `settles` them; the epoch is marked then. Not cancel safe: cancelled,
    /// everything may be given up.
    pub(super) async fn join(
        &self,
        store: &Store,
        id: DatabaseId,
        told: Told,
        settles: impl Fn() -> bool,
    ) -> bool {
        let mut held = self.held.lock().await;
        if !settles() {
            return false;
        }
        let mut doubt = match held.take() {
            Some(doubt) => doubt,
            None => Doubt {
                mark: store.mark(&[Scope::Epoch(id)]).await,
                told: Vec::new(),
                more: false,
            },
        };
        if !doubt.told.contains(&told) {
            doubt.more |= doubt.told.len() >= TOLD_MAX;
            doubt.told.push(told);
            doubt.told.truncate(TOLD_MAX);
        }
        self.any.store(true, Ordering::Release);
        *held = Some(doubt);
        true
    }

    /// All who have joined.
    pub(super) async fn take(&self) -> Option<Doubt> {
        let mut held = self.held.lock().await;
        self.any.store(false, Ordering::Release);
        held.take()
    }
}

/// How many different things are remembered.
const TOLD_MAX: usize = 16;
