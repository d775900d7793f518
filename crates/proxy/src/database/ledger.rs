//! What outlives the watching of a database.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicUsize, Ordering},
};

use catalog::DatabaseId;

/// What is written in a database while it is not known. All who share its name share this, also
/// those who came while it was watched before.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// Writes in flight of which the store knows nothing.
    blind: AtomicUsize,
    /// The database's identity when it was last known, perhaps before its catalog was read.
    identity: Mutex<Option<DatabaseId>>,
}

impl Ledger {
    /// Which database it is, as far as anybody was ever told.
    pub(crate) fn identity(&self) -> Option<DatabaseId> {
        *self.identity.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The server has said which database it is.
    pub(crate) fn identify(&self, id: DatabaseId) {
        *self.identity.lock().unwrap_or_else(PoisonError::into_inner) = Some(id);
    }

    /// Whether something is being written of which the store knows nothing.
    pub(crate) fn is_blind(&self) -> bool {
        self.blind.load(Ordering::SeqCst) > 0
    }

    /// A write begins of which the store knows nothing.
    pub(crate) fn begin_blind(&self) {
        self.blind.fetch_add(1, Ordering::SeqCst);
    }

    /// It has ended.
    pub(crate) fn end_blind(&self) {
        self.blind.fetch_sub(1, Ordering::SeqCst);
    }
}
