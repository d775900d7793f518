//! Writes in a database of which nobody knows which it is.

use std::sync::Arc;

use cache::Scope;
use store::Mark;

use crate::{
    database::{Ledger, Visit},
    services::Services,
};

/// A write in a database of which nobody knows for sure which it is. While one is in flight nothing
/// is looked up there, so that nothing is recorded that the write makes stale.
#[derive(Debug)]
pub(crate) struct Blind {
    services: Arc<Services>,
    ledger: Arc<Ledger>,
    database: Option<Visit>,
    /// On the database that bore the name last, which other instances may be serving.
    pub(crate) mark: Option<Mark>,
}

impl Blind {
    pub(crate) fn new(
        services: &Arc<Services>,
        ledger: &Arc<Ledger>,
        database: Option<&Visit>,
    ) -> Self {
        ledger.begin_blind();
        Self {
            services: Arc::clone(services),
            ledger: Arc::clone(ledger),
            database: database.cloned(),
            mark: None,
        }
    }

    /// The write has ended. If the database is known by now, everything recorded of it is dropped;
    /// otherwise that is the first thing its watcher does when it knows.
    pub(crate) async fn end(mut self) {
        if let Some(mark) = self.mark.take() {
            mark.bump().await;
        }
        if let Some(identity) = self.ledger.identity() {
            self.services
                .store
                .mark(&[Scope::Epoch(identity)])
                .await
                .bump()
                .await;
            if let Some(database) = &self.database {
                database.refresh();
            }
        }
    }
}

impl Drop for Blind {
    fn drop(&mut self) {
        self.ledger.end_blind();
    }
}
