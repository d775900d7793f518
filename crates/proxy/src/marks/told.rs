//! Writes whose effects were told from definitions: they may have changed by the end of it.

use std::{sync::Arc, time::Duration};

use cache::{Scope, Version};
use catalog::DatabaseId;
use session::{Definitions, Recipe};
use store::{Epoch, Mark, Point, Trouble, delay};
use tokio::time::Instant;

use crate::{
    database::{Told as Doubted, Visit},
    services::Services,
};

/// How long the end of a write waits for the catalog, if definitions may have changed under it.
const VERIFY_MAX: Duration = Duration::from_secs(1);

/// What was known when the effects of a statement were told: the epoch, and the definitions.
pub(crate) type Planned = (Version, Definitions);

/// The definitions from which the effects of a write were told.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) services: Arc<Services>,
    pub(crate) identity: DatabaseId,
    pub(crate) database: Visit,
    pub(crate) planned: Option<Planned>,
    /// What is to be read again when the write is done.
    pub(crate) hottest: Vec<Arc<Recipe>>,
}

impl Told {
    /// Ends the mark of a write that was committed. Gives up everything recorded of the database if
    /// its definitions have changed since the write was planned: a trigger that nobody knew of may
    /// have fired. Returns whether it did.
    pub(crate) async fn end(&self, mark: Mark) -> bool {
        let store = &self.services.store;
        let current = mark.bump_and_see(store, self.identity).await;
        delay(Point::Verified).await;
        self.compare(current, Doubted::Rows).await
    }

    /// The same for what needed no mark: a function may have been replaced by one that writes.
    pub(crate) async fn verify(&self) -> bool {
        let current = self.services.store.epoch(self.identity).await;
        self.compare(current, Doubted::Code).await
    }

    /// Another epoch does not yet mean other definitions; the catalog tells. What was read under the
    /// current epoch shows all that was done before: who does more takes the epoch away first. So
    /// one reading is enough for all who wait; and who would wait too long leaves it to that reading.
    async fn compare(
        &self,
        current: Result<Option<Version>, Trouble>,
        doubted: impl Fn(Definitions) -> Doubted,
    ) -> bool {
        // Whether definitions have changed, nobody can tell otherwise.
        let (Ok(current), Some((epoch, then))) = (current, self.planned) else {
            return self.give_up().await;
        };
        let (store, database) = (&self.services.store, &self.database);
        let seen = match current {
            Some(current) => Epoch::Current(current),
            None => match store.peek(self.identity).await {
                Ok(seen) => seen,
                Err(_) => return self.give_up().await,
            },
        };
        // While it is being written nothing is served. If it ends as another, nothing from before
        // will be; if not, it was this all the while.
        let Some(last) = seen.last().filter(|&last| last != epoch) else {
            return false;
        };
        if then == Definitions::UNKNOWN {
            return self.give_up().await;
        }
        let told = doubted(then);
        if seen.current().is_some() && !database.is_doubted() {
            let deadline = Instant::now() + VERIFY_MAX;
            if database.wait_current(last, deadline).await {
                let known = database.knowledge();
                let now = known.map(|known| known.definitions());
                return !now.is_some_and(|now| told.holds(&now)) && self.give_up().await;
            }
        }
        if database.doubt(store, self.identity, told).await {
            return false;
        }
        self.give_up().await
    }

    async fn give_up(&self) -> bool {
        let scope = Scope::Epoch(self.identity);
        self.services.store.mark(&[scope]).await.bump().await;
        true
    }

    /// The write is done, and what it made worthless has new versions.
    pub(crate) fn renew(self) {
        self.services
            .refresher
            .renew_all(&self.hottest, &self.database);
    }
}
