//! Reading replies again in the background: before or shortly after their TTL ends, or when a write
//! has made them worthless.
//!
//! Invariants: a renewed reply is recorded under a stamp that was read before its query left, so
//! that one that a write has overtaken is never served; and it was read on a connection that had
//! just proved to be in the state of the session it was first read for.
//!
//! One task reads one reply after the other. What waits for it, and how often it reads, is bounded.

mod line;
mod ranking;

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::{Duration, Instant},
};

use cache::{CacheKey, Scope};
use session::{Recipe, Renewal, Telemetry};
use store::{Claimed, Fill, Flights, Found, Point, Role, Store, delay};
use tokio::{
    sync::mpsc,
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{line::Line, ranking::Rankings};
use crate::{
    control::{ControlError, Credentials},
    database::Visit,
    upstream::Upstream,
};

/// Renews replies.
#[derive(Debug)]
pub(crate) struct Refresher {
    common: Arc<Common>,
    rankings: Rankings,
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
    pending: Mutex<HashMap<CacheKey, Pending>>,
    /// When renewing something last failed for want of a server that answers, and of what that is
    /// evidence.
    failing: Mutex<HashMap<Failing, Instant>>,
}

/// What a failed renewal is evidence of.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
enum Failing {
    /// The server takes no connection to this database.
    Database(Box<str>),
    /// It does not answer this statement in time.
    Reply(CacheKey),
}

/// Where a renewal stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Pending {
    /// It will see what is written up to now.
    Waiting,
    /// It may have been overtaken by a write.
    Begun,
    /// It has been overtaken by a write and is to be done once more.
    Overtaken,
}

/// A reply to be read again.
#[derive(Debug)]
struct Job {
    recipe: Arc<Recipe>,
    database: Visit,
    /// It has been overtaken once, and is not tried a third time.
    repeated: bool,
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
            failing: Mutex::default(),
        };
        Self {
            common: Arc::new(common),
            rankings: Rankings::default(),
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

    /// A reply was asked for that is to be renewed after writes, if it is among the hottest.
    pub(crate) fn note(&self, recipe: &Arc<Recipe>) {
        if self.common.is_own(recipe) {
            self.rankings.count(recipe);
        }
    }

    /// The hottest replies that a write of these scopes makes worthless. To be asked for before the
    /// write is known to have happened, and handed to [`Refresher::renew_all`] afterwards.
    pub(crate) fn hit_by(&self, scopes: &[Scope]) -> Vec<Arc<Recipe>> {
        self.rankings.hit_by(scopes)
    }

    /// A write has made these worthless: asks for them to be read again. Never waits.
    pub(crate) fn renew_all(&self, recipes: &[Arc<Recipe>], database: &Visit) {
        for recipe in recipes {
            self.common.telemetry.rewritten.inc();
            let mut pending = self.common.pending();
            if let Some(state) = pending.get_mut(&recipe.key) {
                if *state == Pending::Begun {
                    *state = Pending::Overtaken;
                }
                continue;
            }
            drop(pending);
            self.enqueue(recipe, database);
        }
    }

    /// Whether renewing a reply has failed lately, or would have, for want of a server that
    /// answers.
    pub(crate) fn is_failing(&self, key: &CacheKey, database: &Visit) -> bool {
        let failing = self.common.failing();
        [
            Failing::Reply(*key),
            Failing::Database(database.name().into()),
        ]
        .iter()
        .filter_map(|what| failing.get(what))
        .any(|since| since.elapsed() < FAILING_MAX)
    }

    fn enqueue(&self, recipe: &Arc<Recipe>, database: &Visit) {
        let common = &self.common;
        {
            let mut pending = common.pending();
            if pending.contains_key(&recipe.key) {
                return;
            }
            if pending.len() >= PENDING_MAX {
                return common.count(Renewal::Busy);
            }
            pending.insert(recipe.key, Pending::Waiting);
        }
        let job = Job {
            recipe: Arc::clone(recipe),
            database: database.clone(),
            repeated: false,
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
    // Behind all others: a table that is written all the time must not keep them waiting.
    let mut overtaken = VecDeque::new();
    loop {
        let idle = line.is_some();
        let job = match jobs.try_recv().ok().or_else(|| overtaken.pop_front()) {
            Some(job) => Some(job),
            None => tokio::select! {
                () = common.stop.cancelled() => return,
                job = jobs.recv() => job,
                // A connection that stays open would stand in the way of DROP DATABASE, which waits
                // for five seconds.
                () = sleep(IDLE_MAX), if idle => {
                    line = None;
                    continue;
                }
            },
        };
        let Some(job) = job else { return };
        let outcome = tokio::select! {
            () = common.stop.cancelled() => return,
            outcome = common.renew(&job, &mut line) => outcome,
        };
        if common.is_overtaken(&job) {
            overtaken.push_back(Job {
                repeated: true,
                ..job
            });
        }
        let failed = matches!(outcome, Renewal::Disconnected | Renewal::Late);
        tokio::select! {
            () = common.stop.cancelled() => return,
            () = sleep(if failed { PAUSE_AFTER_FAILURE } else { PAUSE }) => {}
        }
    }
}

impl Common {
    /// Renews a reply, in time or not at all, and keeps account of it.
    async fn renew(&self, job: &Job, line: &mut Option<Line>) -> Renewal {
        self.pending().insert(job.recipe.key, Pending::Begun);
        let renewed = timeout(RENEWAL_MAX, self.read_again(job, line));
        let outcome = renewed.await.unwrap_or(Renewal::Late);
        if matches!(
            outcome,
            Renewal::Context | Renewal::Refused | Renewal::Disconnected | Renewal::Late
        ) {
            // Who knows what it would answer next.
            *line = None;
        }
        self.count(outcome);
        self.note_failure(job, outcome);
        outcome
    }

    /// A renewal has ended: whether a write has overtaken it, so that it is to be done once more.
    fn is_overtaken(&self, job: &Job) -> bool {
        let mut pending = self.pending();
        let again = pending.get(&job.recipe.key) == Some(&Pending::Overtaken) && !job.repeated;
        if again {
            pending.insert(job.recipe.key, Pending::Waiting);
        } else {
            pending.remove(&job.recipe.key);
        }
        again
    }

    async fn read_again(&self, job: &Job, line: &mut Option<Line>) -> Renewal {
        let recipe = &job.recipe;
        let known = job.database.knowledge();
        let Some(known) = known.filter(|it| it.generation == recipe.knowledge.generation) else {
            return Renewal::Changed;
        };
        // Before others may wait for what is read.
        let line = match self.connected(job, line).await {
            Ok(line) => line,
            Err(outcome) => return outcome,
        };
        let question = store::Question {
            key: &recipe.key,
            database: recipe.knowledge.database,
            // The same definitions may have come under another epoch since.
            epoch: known.epoch,
            scopes: &recipe.scopes,
            ttl: recipe.ttl,
        };
        // From here on a write makes what is read worthless, and it will not be served.
        let stamp = match self.store.stamp(&question, &recipe.refresh).await {
            // One that lacks the last version is of use only to replies that lack no row.
            Found::Miss(stamp) if stamp.versions().len() == recipe.scopes.len() + 1 => stamp,
            Found::Miss(_) => return Renewal::Changed,
            Found::Hit(_) => return Renewal::Held,
            Found::InFlight | Found::Outdated | Found::Unavailable => return Renewal::Changed,
        };
        delay(Point::Renewing).await;
        let mut lead = match self.flights.join(&question, &stamp, (true, false)) {
            Role::Lead(lead) => Some(lead),
            Role::Alone if self.flights.wait_max().is_none() => None,
            Role::Alone | Role::Follow(_) => return Renewal::Held,
        };
        // All instances find it due at about the same time.
        let mut claim = match self.store.claim(&question, &stamp).await {
            Claimed::Ours(claim) => claim,
            Claimed::Theirs => return Renewal::Held,
        };
        if let Some(lead) = &mut lead
            && let Some(claim) = claim.take()
        {
            lead.hold(claim);
        }
        let entry = async {
            line.prove(recipe).await?;
            line.read(recipe, self.entry_bytes_max).await
        };
        let entry = match entry.await {
            Ok(entry) => entry,
            Err(outcome) => return outcome,
        };
        delay(Point::Recording).await;
        let fill = Fill {
            key: recipe.key,
            database: recipe.knowledge.database,
            scopes: recipe.scopes.clone(),
            stamp,
            entry,
            ttl: recipe.ttl,
            beyond: recipe.refresh.beyond(),
        };
        match lead {
            Some(lead) => self.store.fill_and_land(fill, lead),
            None => self.store.fill(fill),
        }
        Renewal::Done
    }

    /// A connection that should be in the state in which the reply was first read.
    async fn connected<'l>(
        &self,
        job: &Job,
        kept: &'l mut Option<Line>,
    ) -> Result<&'l mut Line, Renewal> {
        let recipe = &job.recipe;
        let name = job.database.name();
        if kept.as_ref().is_none_or(|line| !line.is_for(name, recipe)) {
            *kept = None;
            let Ok(credentials) = &self.credentials else {
                return Err(Renewal::OtherLogin);
            };
            *kept = Some(Line::open(&self.upstream, credentials, name, recipe).await?);
        }
        kept.as_mut().ok_or(Renewal::Disconnected)
    }

    /// Remembers whether the server could be asked for a reply.
    fn note_failure(&self, job: &Job, outcome: Renewal) {
        let database = Failing::Database(job.database.name().into());
        let reply = Failing::Reply(job.recipe.key);
        let mut failing = self.failing();
        let failed = match outcome {
            Renewal::Disconnected => database,
            Renewal::Late => reply,
            Renewal::Done => {
                failing.remove(&reply);
                failing.remove(&database);
                return;
            }
            // The server was not asked, or answered something else.
            Renewal::Held
            | Renewal::Changed
            | Renewal::OtherLogin
            | Renewal::Context
            | Renewal::Refused
            | Renewal::Busy => return,
        };
        if failing.len() >= PENDING_MAX {
            failing.retain(|_, since| since.elapsed() < FAILING_MAX);
        }
        if failing.len() < PENDING_MAX {
            failing.insert(failed, Instant::now());
        }
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

    fn pending(&self) -> MutexGuard<'_, HashMap<CacheKey, Pending>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn failing(&self) -> MutexGuard<'_, HashMap<Failing, Instant>> {
        self.failing.lock().unwrap_or_else(PoisonError::into_inner)
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

/// The same after one that failed: a server in trouble is left alone.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(500);

/// How long a failure is held against the server: longer than the next attempt takes to fail, once
/// it has its turn.
const FAILING_MAX: Duration = Duration::from_secs(60);
