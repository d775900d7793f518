//! What outlives the watching of a database.

use std::{
    pin::pin,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use catalog::DatabaseId;
use tokio::{sync::Notify, time::Instant};

/// What is written in a database while it is not known. All who share its name share this, also
/// those who came while it was watched before.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// Writes in flight of which the store does not know, or not for sure.
    blind: AtomicUsize,
    identity: Mutex<Named>,
    told: Notify,
}

/// Which database bears the name.
#[derive(Debug, Default)]
struct Named {
    /// As the server said last, perhaps before its catalog was read.
    id: Option<DatabaseId>,
    /// Nobody has looked away since: while nobody watches, a database may be dropped and made anew.
    sure: bool,
    doubt: Option<Doubt>,
}

/// It may be another database than the one that is remembered.
#[derive(Clone, Copy, Debug)]
struct Doubt {
    /// Whoever was there before has a session in the one that is remembered.
    since: Instant,
    /// Since when somebody wants to know.
    asked: Option<Instant>,
}

impl Ledger {
    /// Which database it is, as far as anybody was ever told.
    pub(crate) fn remembered(&self) -> Option<DatabaseId> {
        self.named().id
    }

    /// Which database it is, beyond doubt.
    pub(crate) fn identity(&self) -> Option<DatabaseId> {
        let named = self.named();
        named.id.filter(|_| named.sure)
    }

    /// The server has said which database it is.
    pub(crate) fn identify(&self, id: DatabaseId) {
        *self.named() = Named {
            id: Some(id),
            sure: true,
            doubt: None,
        };
        self.told.notify_waiters();
    }

    /// Waits until the server has said which database it is. Cancel safe.
    pub(super) async fn told(&self) {
        let mut told = pin!(self.told.notified());
        // Who is told from here on wakes us.
        told.as_mut().enable();
        if self.identity().is_none() {
            told.await;
        }
    }

    /// Since when a client that came at that time wants to know which database it is; `None` if that
    /// needs no telling. Where one is remembered, all who come share the time since the first of them:
    /// what does not come about for one does not keep each of them.
    pub(crate) fn wanted_since(&self, came: Instant) -> Option<Instant> {
        let mut named = self.named();
        if named.id.is_none() {
            return Some(came);
        }
        let doubt = named.doubt.as_mut().filter(|doubt| came >= doubt.since)?;
        Some(*doubt.asked.get_or_insert_with(Instant::now))
    }

    /// Nobody watches any more. To be called when nothing is looked up any more.
    pub(crate) fn doubt(&self) {
        let mut named = self.named();
        named.sure = false;
        named.doubt.get_or_insert_with(|| Doubt {
            since: Instant::now(),
            asked: None,
        });
    }

    /// Whether something is being written of which the store does not know for sure.
    pub(crate) fn is_blind(&self) -> bool {
        self.blind.load(Ordering::SeqCst) > 0
    }

    /// A write begins of which the store does not know for sure.
    pub(crate) fn begin_blind(&self) {
        self.blind.fetch_add(1, Ordering::SeqCst);
    }

    /// It has ended.
    pub(crate) fn end_blind(&self) {
        self.blind.fetch_sub(1, Ordering::SeqCst);
    }

    fn named(&self) -> MutexGuard<'_, Named> {
        self.identity.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use catalog::SystemId;

    use super::*;

    #[test]
    fn who_has_looked_away_remembers_and_is_not_sure() {
        let id = |oid| DatabaseId {
            system: SystemId(1),
            oid,
        };
        let ledger = Ledger::default();
        assert_eq!((ledger.remembered(), ledger.identity()), (None, None));
        ledger.identify(id(5));
        assert_eq!(ledger.identity(), Some(id(5)));
        ledger.doubt();
        assert_eq!(
            (ledger.remembered(), ledger.identity()),
            (Some(id(5)), None)
        );
        ledger.identify(id(6));
        assert_eq!(ledger.identity(), Some(id(6)));
    }

    #[tokio::test(start_paused = true)]
    async fn who_came_behind_a_doubt_wants_to_know_for_as_long_as_all_others() {
        let id = DatabaseId {
            system: SystemId(1),
            oid: 5,
        };
        let ledger = Ledger::default();
        let pass = || tokio::time::advance(Duration::from_secs(1));
        let first = Instant::now();
        assert_eq!(ledger.wanted_since(first), Some(first));
        ledger.identify(id);
        assert_eq!(ledger.wanted_since(first), None);
        pass().await;
        ledger.doubt();
        // Its session has lasted since.
        assert_eq!(ledger.wanted_since(first), None);
        pass().await;
        let second = Instant::now();
        assert_eq!(ledger.wanted_since(second), Some(second));
        pass().await;
        ledger.doubt();
        assert_eq!(ledger.wanted_since(Instant::now()), Some(second));
        ledger.identify(id);
        assert_eq!(ledger.wanted_since(second), None);
    }
}
