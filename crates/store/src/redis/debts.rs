//! What keeps this instance from serving: bumps that have not arrived.
//!
//! Invariant: from the moment a bump is owed until it was delivered, [`Debts::any`] is true.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use catalog::DatabaseId;

use super::{hold::Scopes, names::Token};

/// All that is owed.
#[derive(Debug, Default)]
pub(super) struct Debts {
    fences: Arc<AtomicU64>,
    owed: Mutex<Owed>,
}

#[derive(Debug, Default)]
struct Owed {
    bumps: VecDeque<Bump>,
    /// Databases of which everything has to go.
    rotations: HashMap<DatabaseId, Fence>,
}

/// The end of a mark that has not arrived.
#[derive(Debug)]
pub(super) struct Bump {
    pub(super) mark: Token,
    pub(super) scopes: Scopes,
    _fence: Fence,
}

/// While it exists, nothing is served.
#[derive(Debug)]
pub(super) struct Fence(Arc<AtomicU64>);

impl Drop for Fence {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Debts {
    /// Stops serving.
    pub(super) fn fence(&self) -> Fence {
        self.fences.fetch_add(1, Ordering::SeqCst);
        Fence(Arc::clone(&self.fences))
    }

    /// Whether nothing may be served.
    pub(super) fn any(&self) -> bool {
        self.count() > 0
    }

    /// How much is owed.
    pub(super) fn count(&self) -> u64 {
        self.fences.load(Ordering::SeqCst)
    }

    /// Owes the end of a mark.
    pub(super) fn owe(&self, mark: Token, scopes: Scopes) {
        let _fence = self.fence();
        self.put_back(Bump {
            mark,
            scopes,
            _fence,
        });
    }

    /// Takes the oldest bump, which stays owed until it is dropped.
    pub(super) fn next(&self) -> Option<Bump> {
        self.owed().bumps.pop_front()
    }

    /// Gives back a bump that could not be delivered; others come first now. Above a bound, its
    /// databases are rotated instead, which is more than was asked for.
    pub(super) fn put_back(&self, bump: Bump) {
        let mut owed = self.owed();
        if owed.bumps.len() < BUMPS_MAX {
            owed.bumps.push_back(bump);
            return;
        }
        for scope in bump.scopes.iter() {
            owed.rotations
                .entry(scope.database())
                .or_insert_with(|| self.fence());
        }
    }

    /// Takes the rotation of a database, which stays owed until it is dropped.
    pub(super) fn rotation(&self, database: DatabaseId) -> Option<Fence> {
        self.owed().rotations.remove(&database)
    }

    /// Owes a rotation, or gives one back.
    pub(super) fn owe_rotation(&self, database: DatabaseId, fence: Fence) {
        self.owed().rotations.insert(database, fence);
    }

    fn owed(&self) -> MutexGuard<'_, Owed> {
        self.owed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Beyond these, one rotation is cheaper.
const BUMPS_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;
    use cache::Scope;
    use catalog::{RelationId, SystemId};

    #[test]
    fn debts_beyond_the_bound_become_one_rotation() {
        let debts = Debts::default();
        let database = DatabaseId {
            system: SystemId(1),
            oid: 2,
        };
        let scopes: Scopes = [Scope::Relation(database, RelationId::from_oid(3))].into();
        for _ in 0..BUMPS_MAX + 10 {
            debts.owe([0; 16], Arc::clone(&scopes));
        }
        while let Some(bump) = debts.next() {
            assert!(debts.any());
            drop(bump);
        }
        assert_eq!(debts.count(), 1);
        drop(debts.rotation(database));
        assert!(!debts.any());
    }
}
