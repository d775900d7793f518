//! Where a client's session stands: its database, what is known of it, and the store.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use cache::{Scope, Stamp, Version};
use catalog::DatabaseId;
use session::{Definitions, Question, Recipe, Session, Telemetry};
use sql::Writes;
use store::{Age, Claimed, Epoch, Flights, Found, Mark, Point, Role, Store, Trouble, delay};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use crate::{
    cancels::{Cancels, Listed},
    database::{Databases, Ledger, State, Told as Doubted, Visit},
    marks::{Held, Marks},
    refresh::Refresher,
};

/// How long a lost connection's backend may go on working before its tables are released.
const BACKEND_GONE_MAX: Duration = Duration::from_secs(60);

/// How long after its login a client's writes wait until they can be told to other instances. Later
/// they are sent without: the server does not say which database it is, and may not for long.
const NAME_MAX: Duration = Duration::from_secs(5);

/// How long the end of a write waits for the catalog, if definitions may have changed under it.
const VERIFY_MAX: Duration = Duration::from_secs(1);

/// What all clients share.
#[derive(Debug)]
pub(crate) struct Services {
    pub(crate) store: Store,
    pub(crate) databases: Databases,
    pub(crate) flights: Arc<Flights>,
    pub(crate) cancels: Cancels,
    pub(crate) refresher: Refresher,
    pub(crate) sessions: Arc<session::Shared>,
    /// Tasks that outlive their client.
    pub(crate) tasks: TaskTracker,
    /// See [`config::Config::testing_forget`].
    forget: Option<u64>,
}

impl Services {
    pub(crate) fn new(
        store: Store,
        databases: Databases,
        sessions: Arc<session::Shared>,
        flights: Arc<Flights>,
        refresher: Refresher,
        forget: Option<u64>,
    ) -> Self {
        let tasks = TaskTracker::new();
        Self {
            store,
            databases,
            flights,
            cancels: Cancels::default(),
            refresher,
            sessions,
            tasks,
            forget,
        }
    }
}

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

/// A write in a database of which nobody knows for sure which it is. While one is in flight nothing
/// is looked up there, so that nothing is recorded that the write makes stale.
#[derive(Debug)]
pub(crate) struct Blind {
    services: Arc<Services>,
    ledger: Arc<Ledger>,
    database: Option<Visit>,
    /// On the database that bore the name last, which other instances may be serving.
    mark: Option<Mark>,
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

    /// Marks what a statement may write, which was told from what was `planned`. Never fails: see [`store::Mark`].
    pub(crate) async fn mark(&self, writes: &Writes, planned: Option<Planned>) -> Option<Held> {
        if writes.is_unbounded() {
            self.services.databases.leave_vacant();
        }
        let Some(database) = self.watched() else {
            return self.mark_unwatched(writes).await;
        };
        if self.services.store.is_shared() && database.ledger().remembered().is_none() {
            // Other instances may serve what this changes, and nobody could tell them.
            Box::pin(database.named(self.seated + NAME_MAX)).await;
        }
        let identity = match database.ledger().identity() {
            Some(identity) => identity,
            None => {
                let mut blind = Blind::new(&self.services, database.ledger(), Some(database));
                // Whoever sees what is known from now on sees the count as well.
                match database.ledger().identity() {
                    Some(identity) => identity,
                    None => {
                        blind.mark = self.mark_remembered(writes, database.ledger()).await;
                        return Some(Held::Blind(blind));
                    }
                }
            }
        };
        let telemetry = self.telemetry();
        match writes {
            Writes::Nothing => None,
            Writes::Code => Some(Held::Code(self.told(database, identity, planned))),
            Writes::Relations(_) | Writes::Rows(_) => {
                let scopes = session::written(writes, identity);
                for scope in &scopes {
                    match scope {
                        Scope::Bulk(..) => telemetry.table_bumps.inc(),
                        Scope::Row(..) | Scope::Insert(..) => telemetry.row_bumps.inc(),
                        Scope::Relation(..) | Scope::Epoch(_) => {}
                    }
                }
                let hottest = self.services.refresher.hit_by(&scopes);
                let mark = self.services.store.mark(&scopes).await;
                self.services.flights.outdate(&scopes);
                let told = Told {
                    hottest,
                    ..self.told(database, identity, planned)
                };
                Some(Held::Relations(mark, told))
            }
            Writes::Everything => {
                telemetry.epoch_bumps.inc();
                let scope = Scope::Epoch(identity);
                let mark = self.services.store.mark(&[scope]).await;
                self.services.flights.outdate(&[scope]);
                Some(Held::Everything(mark))
            }
            Writes::Cluster => {
                telemetry.epoch_bumps.inc();
                let scopes = self.cluster(identity);
                let mark = self.services.store.mark(&scopes).await;
                self.services.flights.outdate(&scopes);
                Some(Held::Everything(mark))
            }
        }
    }

    /// The database, which may be watched by now although it was not at the login.
    fn watched(&self) -> Option<&Visit> {
        if self.database.get().is_none()
            && let Some(database) = self.services.databases.seek(&self.name)
        {
            // Only this client's task sets it.
            _ = self.database.set(database);
        }
        self.database.get()
    }

    /// The same in a database that is not watched. It may be at any moment, for somebody else.
    async fn mark_unwatched(&self, writes: &Writes) -> Option<Held> {
        let ledger = self.ledger.as_ref()?;
        let mut blind = Blind::new(&self.services, ledger, None);
        blind.mark = self.mark_remembered(writes, ledger).await;
        Some(Held::Blind(blind))
    }

    fn told(&self, database: &Visit, identity: DatabaseId, planned: Option<Planned>) -> Told {
        Told {
            services: Arc::clone(&self.services),
            identity,
            database: database.clone(),
            planned,
            hottest: Vec::new(),
        }
    }

    /// Marks everything in the database that bore the name last: most likely it still does.
    async fn mark_remembered(&self, writes: &Writes, ledger: &Ledger) -> Option<Mark> {
        let identity = ledger.remembered()?;
        let scopes = match writes {
            Writes::Nothing => return None,
            Writes::Code | Writes::Relations(_) | Writes::Rows(_) | Writes::Everything => {
                vec![Scope::Epoch(identity)]
            }
            Writes::Cluster => self.cluster(identity),
        };
        self.telemetry().epoch_bumps.inc();
        let mark = self.services.store.mark(&scopes).await;
        self.services.flights.outdate(&scopes);
        Some(mark)
    }

    /// The epochs of all databases of a cluster: those that the catalog lists, and those that were
    /// made since and are known here.
    fn cluster(&self, identity: DatabaseId) -> Vec<Scope> {
        let mut all = self.services.databases.identities();
        all.push(identity);
        if let Some(known) = self.database.get().and_then(|it| it.knowledge()) {
            let listed = known.schema.snapshot().databases();
            all.extend(listed.iter().map(|&oid| DatabaseId { oid, ..identity }));
        }
        all.retain(|id| id.system == identity.system);
        all.sort_unstable();
        all.dedup();
        all.into_iter().map(Scope::Epoch).collect()
    }

    /// Ends the marks of a client that is gone. If the server's process may still be at work, they
    /// hold until it is gone as well: what it was doing may yet be committed.
    pub(crate) fn settle(&self, mut marks: Marks) {
        if marks.is_empty() {
            return;
        }
        let (database, process) = (self.database.get().cloned(), self.process);
        self.services.tasks.spawn(async move {
            if let (Some(database), Some(process)) = (&database, process)
                && !database.backend_gone(process, BACKEND_GONE_MAX).await
            {
                tracing::warn!(
                    process,
                    "the server's process did not end in time; its writes count as done"
                );
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

/// What was known when the effects of a statement were told: the epoch, and the definitions.
pub(crate) type Planned = (Version, Definitions);

/// The definitions from which the effects of a write were told.
#[derive(Debug)]
pub(crate) struct Told {
    services: Arc<Services>,
    identity: DatabaseId,
    database: Visit,
    planned: Option<Planned>,
    /// What is to be read again when the write is done.
    hottest: Vec<Arc<Recipe>>,
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

impl Blind {
    fn new(services: &Arc<Services>, ledger: &Arc<Ledger>, database: Option<&Visit>) -> Self {
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

#[cfg(test)]
mod tests;
