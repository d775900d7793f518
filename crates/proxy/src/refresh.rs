//! Reading replies again in the background, before or shortly after their TTL ends.
//!
//! Invariants: a renewed reply is recorded under a stamp that was read before its query left, so
//! that one that a write has overtaken is never served; and it was read on a connection that had
//! just proved to be in the state of the session it was first read for.
//!
//! One task reads one reply after the other. What waits for it, and how often it reads, is bounded.

mod line;

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use cache::{CacheKey, Entry};
use session::{Recipe, Renewal, Telemetry};
use store::{Fill, Flights, Found, Role, Store};
use tokio::{
    sync::mpsc,
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::line::Line;
use crate::{
    control::{ControlError, Credentials},
    database::Visit,
    upstream::Upstream,
};

/// Renews replies.
#[derive(Debug)]
pub(crate) struct Refresher {
    common: Arc<Common>,
    /// The task is started with the first job.
    jobs: OnceLock<mpsc::Sender<Job>>,
    tasks: TaskTracker,
}

/// What the task needs.
#[derive(Debug)]
struct Common {
    upstream: Arc<Upstream>,
    credentials: Result<Credentials, ControlError>,
    store: Store,
    flights: Arc<Flights>,
    telemetry: Arc<Telemetry>,
    entry_bytes_max: usize,
    stop: CancellationToken,
    /// Replies that wait to be renewed, or are being renewed.
    pending: Mutex<HashSet<CacheKey>>,
}

/// A reply to be read again.
#[derive(Debug)]
struct Job {
    recipe: Arc<Recipe>,
    database: Visit,
}

impl Refresher {
    /// Starts nothing yet.
    pub(crate) fn new(
        upstream: Arc<Upstream>,
        config: &config::Upstream,
        (store, flights): (Store, Arc<Flights>),
        sessions: &session::Shared,
    ) -> Self {
        let common = Common {
            upstream,
            credentials: Credentials::of(config),
            store,
            flights,
            telemetry: Arc::clone(&sessions.telemetry),
            entry_bytes_max: sessions.limits.entry_bytes_max,
            stop: CancellationToken::new(),
            pending: Mutex::default(),
        };
        Self {
            common: Arc::new(common),
            jobs: OnceLock::new(),
            tasks: TaskTracker::new(),
        }
    }

    /// Asks for a reply to be renewed; false if that cannot be done at all. Never waits; a reply
    /// that waits already is not asked for twice. To be called on a runtime.
    pub(crate) fn renew(&self, recipe: &Arc<Recipe>, database: &Visit) -> bool {
        let able = self.common.is_own(recipe);
        if able {
            self.enqueue(recipe, database);
        } else {
            self.common.count(Renewal::OtherLogin);
        }
        able
    }

    fn enqueue(&self, recipe: &Arc<Recipe>, database: &Visit) {
        let common = &self.common;
        {
            let mut pending = common.pending();
            if pending.contains(&recipe.key) {
                return;
            }
            if pending.len() >= PENDING_MAX {
                return common.count(Renewal::Busy);
            }
            pending.insert(recipe.key);
        }
        let job = Job {
            recipe: Arc::clone(recipe),
            database: database.clone(),
        };
        let jobs = self.jobs.get_or_init(|| {
            let (sender, receiver) = mpsc::channel(PENDING_MAX);
            self.tasks.spawn(work(Arc::clone(common), receiver));
            sender
        });
        if jobs.try_send(job).is_err() {
            common.pending().remove(&recipe.key);
            common.count(Renewal::Busy);
        }
    }

    /// Ends the task. Cancel safe.
    pub(crate) async fn shutdown(&self) {
        self.common.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// Renews one reply after the other until it is told to stop.
async fn work(common: Arc<Common>, mut jobs: mpsc::Receiver<Job>) {
    let mut line = None;
    loop {
        let idle = line.is_some();
        let job = tokio::select! {
            () = common.stop.cancelled() => return,
            job = jobs.recv() => job,
            // A connection that stays open would stand in the way of DROP DATABASE, which waits
            // for five seconds.
            () = sleep(IDLE_MAX), if idle => {
                line = None;
                continue;
            }
        };
        let Some(job) = job else { return };
        let renewed = timeout(RENEWAL_MAX, common.read_again(&job, &mut line));
        let outcome = tokio::select! {
            () = common.stop.cancelled() => return,
            outcome = renewed => outcome.unwrap_or(Renewal::Late),
        };
        if matches!(
            outcome,
            Renewal::Context | Renewal::Refused | Renewal::Disconnected | Renewal::Late
        ) {
            // Who knows what it would answer next.
            line = None;
        }
        common.pending().remove(&job.recipe.key);
        common.count(outcome);
        sleep(PAUSE).await;
    }
}

impl Common {
    async fn read_again(&self, job: &Job, line: &mut Option<Line>) -> Renewal {
        let recipe = &job.recipe;
        let known = job.database.knowledge();
        if known.is_none_or(|known| known.generation != recipe.knowledge.generation) {
            return Renewal::Changed;
        }
        let question = store::Question {
            key: &recipe.key,
            database: recipe.knowledge.database,
            epoch: recipe.knowledge.epoch,
            scopes: &recipe.scopes,
            ttl: recipe.ttl,
        };
        // From here on a write makes what is read worthless, and it will not be served.
        let stamp = match self.store.stamp(&question).await {
            // One that lacks the last version is of use only to replies that lack no row.
            Found::Miss(stamp) if stamp.versions().len() == recipe.scopes.len() + 1 => stamp,
            Found::Miss(_) => return Renewal::Changed,
            Found::Hit(_) => return Renewal::Held,
            Found::InFlight | Found::Outdated | Found::Unavailable => return Renewal::Changed,
        };
        let lead = match self.flights.join(&question, &stamp, (true, false)) {
            Role::Lead(lead) => Some(lead),
            Role::Alone if self.flights.wait_max().is_none() => None,
            Role::Alone | Role::Follow(_) => return Renewal::Held,
        };
        let entry = match self.entry(job, line).await {
            Ok(entry) => entry,
            Err(outcome) => return outcome,
        };
        let fill = Fill {
            key: recipe.key,
            database: recipe.knowledge.database,
            scopes: recipe.scopes.clone(),
            stamp,
            entry,
            ttl: recipe.ttl,
        };
        match lead {
            Some(lead) => self.store.fill_and_land(fill, lead),
            None => self.store.fill(fill),
        }
        Renewal::Done
    }

    /// Reads the reply on a connection in the state it was first read in.
    async fn entry(&self, job: &Job, kept: &mut Option<Line>) -> Result<Entry, Renewal> {
        let recipe = &job.recipe;
        let name = job.database.name();
        if kept.as_ref().is_none_or(|line| !line.is_for(name, recipe)) {
            *kept = None;
            let Ok(credentials) = &self.credentials else {
                return Err(Renewal::OtherLogin);
            };
            *kept = Some(Line::open(&self.upstream, credentials, name, recipe).await?);
        }
        let line = kept.as_mut().ok_or(Renewal::Disconnected)?;
        line.prove(recipe).await?;
        line.read(recipe, self.entry_bytes_max).await
    }

    /// Whether a reply's client has logged in as we do. As anybody else we could only pass
    /// ourselves off, and the statement would run one RESET away from our own privileges.
    fn is_own(&self, recipe: &Recipe) -> bool {
        let login = recipe.login();
        self.credentials
            .as_ref()
            .is_ok_and(|credentials| login == Some(credentials.user()))
    }

    fn count(&self, outcome: Renewal) {
        self.telemetry.renewal(outcome).inc();
    }

    fn pending(&self) -> MutexGuard<'_, HashSet<CacheKey>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Replies that may wait to be renewed. Those beyond it are asked for again by their next reader.
const PENDING_MAX: usize = 256;

/// How long reading one may take, connecting included.
const RENEWAL_MAX: Duration = Duration::from_secs(30);

/// How long a connection stays open when there is nothing to do on it.
const IDLE_MAX: Duration = Duration::from_secs(1);

/// Between two of them, so that the server is asked for at most a hundred a second.
const PAUSE: Duration = Duration::from_millis(10);
