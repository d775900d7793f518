//! Where a client's session stands: its database, what is known of it, and the store.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use cache::{Scope, Stamp};
use session::{Question, Recipe, Session, Telemetry};
use store::{Age, Claimed, Flights, Found, Point, Role, Store, delay};
use tokio::time::Instant;

use crate::{
    cancels::Listed,
    database::{Ledger, State, Visit},
    marks::Marks,
    services::Services,
};

mod marking;

/// How long a lost connection's backend may go on working before its tables are released.
const BACKEND_GONE_MAX: Duration = Duration::from_secs(60);

/// One client's place.
#[derive(Debug)]
pub(crate) struct Place {
    services: Arc<Services>,
    /// As the client has called it.
    name: Box<[u8]>,
    /// Not there while too many others are watched.
    database: OnceLock<Visit>,
    /// What others who come by that name share with us, if it was not there at the login.
    ledger: Option<Arc<Ledger>>,
    process: Option<i32>,
    /// The session is not to be looked up: it does not speak the extended protocol.
    simple: bool,
    /// Since when the client is here.
    seated: Instant,
    /// Hits so far, counted when some are to be forgotten.
    asked: AtomicUsize,
}

impl Place {
    /// `process` is the server's process that serves the client; `simple` when nothing is to be
    /// looked up for it, as on a replication connection.
    pub(crate) fn new(
        services: Arc<Services>,
        database: &[u8],
        process: Option<i32>,
        simple: bool,
    ) -> Self {
        let name = database.into();
        let (database, ledger) = match services.databases.of(database) {
            Some(visit) => (OnceLock::from(visit), None),
            None => (OnceLock::new(), services.databases.ledger(database)),
        };
        Self {
            services,
            name,
            database,
            ledger,
            process,
            simple,
            seated: Instant::now(),
            asked: AtomicUsize::new(0),
        }
    }

    pub(crate) fn telemetry(&self) -> &Telemetry {
        &self.services.sessions.telemetry
    }

    pub(crate) const fn services(&self) -> &Arc<Services> {
        &self.services
    }

    pub(crate) fn store(&self) -> &Store {
        &self.services.store
    }

    /// Waits a little for what is known of the database, at the first login of all.
    pub(crate) async fn wait(&self, patience: Duration) {
        if let Some(database) = self.database.get()
            && matches!(database.state(), State::Starting | State::Vacant)
        {
            database.wait_fresh(Instant::now() + patience).await;
        }
    }

    /// Hands the session what is known now.
    pub(crate) fn refresh(&self, session: &mut Session) {
        let Some(database) = self.database.get().filter(|_| !self.simple) else {
            return;
        };
        if database.is_known(session.knowledge()) {
            return;
        }
        let known = database.knowledge();
        session.know(known);
    }

    /// The catalog is, or may be, another one.
    pub(crate) fn catalog_changed(&self) {
        if let Some(database) = self.database.get() {
            database.refresh();
        }
    }

    /// Code may have been dropped: whoever has not seen it in the catalog will not. If it is not known in
    /// which database, it was most likely the one that bore the name last.
    pub(crate) async fn dropped(&self) {
        if let Some(identity) = self.ledger_at_hand().and_then(|it| it.remembered()) {
            self.services.store.outdate(&[Scope::Drops(identity)]).await;
        }
    }

    /// What is remembered of the database.
    fn ledger_at_hand(&self) -> Option<&Arc<Ledger>> {
        let watched = self.database.get().map(|it| it.ledger());
        watched.or(self.ledger.as_ref())
    }

    /// Settings may hold that no session was asked for yet: waits until they do.
    pub(crate) async fn reloaded(&self, since: Instant) {
        if let Some(database) = self.database.get() {
            Box::pin(database.reloaded(since)).await;
        }
    }

    pub(crate) async fn look_up(&self, question: &Question) -> Found {
        let found = match &question.recipe {
            None => self.services.store.look_up(&asked(question)).await,
            Some(recipe) => self.look_up_aging(question, recipe).await,
        };
        delay(Point::LookedUp).await;
        let blind = |database: &Visit| database.ledger().is_blind();
        if self.database.get().is_some_and(blind) {
            return Found::InFlight;
        }
        if let Some(seed) = self.services.forget
            && matches!(found, Found::Hit(_))
            && self.forgets(seed, question)
        {
            return Found::Unavailable;
        }
        found
    }

    /// Looks up a reply that is renewed in the background, and asks for that if it is time.
    async fn look_up_aging(&self, question: &Question, recipe: &Arc<Recipe>) -> Found {
        let (store, refresher) = (&self.services.store, &self.services.refresher);
        if recipe.refresh.on_write {
            refresher.note(recipe);
        }
        let (found, age) = store.look_up_aging(&asked(question), &recipe.refresh).await;
        let (Some(age), Some(database)) = (age, self.database.get()) else {
            return found;
        };
        if age == Age::Expired && !refresher.is_failing(&recipe.key, database) {
            return store.look_up(&asked(question)).await;
        }
        let renewed = refresher.renew(recipe, database);
        match age {
            // What is not renewed ends with its TTL.
            Age::Stale | Age::Expired if !renewed => store.look_up(&asked(question)).await,
            Age::Stale | Age::Expired => {
                self.telemetry().stale.inc();
                found
            }
            Age::Due => found,
        }
    }

    pub(crate) fn flights(&self) -> &Flights {
        &self.services.flights
    }

    /// Joins the flight of a reply that was missing under this stamp, or begins it.
    pub(crate) fn join(&self, question: &Question, stamp: &Stamp, may: (bool, bool)) -> Role {
        self.services.flights.join(&asked(question), stamp, may)
    }

    /// Claims a reply among all instances.
    pub(crate) async fn claim(&self, question: &Question, stamp: &Stamp) -> Claimed {
        self.services.store.claim(&asked(question), stamp).await
    }

    /// Makes the client known to those who bring cancel requests.
    pub(crate) fn list(&self) -> Listed {
        self.services.cancels.list(self.process)
    }

    /// Whether a test wants this hit to be none: the same seed, questions and order, the
    /// same answer.
    fn forgets(&self, seed: u64, question: &Question) -> bool {
        let number = self.asked.fetch_add(1, Ordering::Relaxed) as u64;
        let mut digest = cache::DigestBuilder::default();
        digest
            .number(seed)
            .number(number)
            .field(question.key.as_bytes());
        let digest = digest.finish();
        digest.as_bytes().first().is_some_and(|byte| byte % 2 == 0)
    }

    /// Ends the marks of a client that is gone. If the server's process may still be at work, they
    /// hold until it is gone as well: what it was doing may yet be committed.
    pub(crate) fn settle(&self, mut marks: Marks) {
        if marks.is_empty() {
            return;
        }
        let (database, process) = (self.database.get().cloned(), self.process);
        let store = self.services.store.clone();
        let ledger = self.ledger_at_hand().cloned();
        self.services.tasks.spawn(async move {
            if let (Some(database), Some(process)) = (&database, process)
                && !database.backend_gone(process, BACKEND_GONE_MAX).await
            {
                tracing::warn!(
                    process,
                    "the server's process did not end in time; its writes count as done"
                );
            }
            // It may have dropped code, and nobody has heard the tag.
            if marks.are_unbounded()
                && let Some(identity) = ledger.as_ref().and_then(|it| it.remembered())
            {
                store.outdate(&[Scope::Drops(identity)]).await;
            }
            if marks.end_all().await
                && let Some(database) = database
            {
                database.refresh();
            }
        });
    }
}

/// The session's question, as the store takes it.
fn asked(question: &Question) -> store::Question<'_> {
    store::Question {
        key: &question.key,
        database: question.knowledge.database,
        epoch: question.knowledge.epoch,
        scopes: &question.scopes,
        ttl: question.ttl,
    }
}

#[cfg(test)]
mod tests;
