//! What is known of each database, and how it stays true.
//!
//! A database that a client has logged into is watched by one task with one control connection.
//! It reads the catalog, publishes it as [`Knowledge`], and reads it again when it is asked to, if
//! the epoch has changed, or if a look at the catalog shows that definitions changed and nobody
//! said so. In that last case, and whenever the server may have forgotten what it had acknowledged,
//! the epoch is bumped first.
//!
//! Invariant: knowledge is published only while the control connection stands, and only with an
//! epoch that was read before its snapshot. Without knowledge nothing is looked up.

mod doubt;
mod ledger;
mod presence;
mod probe;
mod watcher;

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::{ArcSwap, ArcSwapOption};
use cache::{Policy, Version};
use catalog::DatabaseId;
use config::Config;
use session::Knowledge;
use store::Store;
use tokio::{
    sync::{Notify, mpsc, watch},
    time::{Instant, timeout_at},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{Instrument, info_span, warn};

pub use self::presence::Visit;
use self::{
    doubt::Doubts,
    presence::Presence,
    probe::{PROBES_MAX, Probe},
    watcher::Watcher,
};
pub(crate) use self::{doubt::Told, ledger::Ledger};
use crate::{
    control::{ControlError, Credentials},
    upstream::Upstream,
};

/// All databases that clients have logged into.
#[derive(Debug)]
pub struct Databases {
    common: Arc<Common>,
    tasks: TaskTracker,
    /// Ends every task.
    stop: CancellationToken,
    known: Mutex<Known>,
}

/// Databases by name.
#[derive(Debug, Default)]
struct Known {
    /// Those that are watched.
    watched: HashMap<Box<str>, Arc<Database>>,
    /// Also of those that are not watched any more, as long as a client remembers them.
    ledgers: HashMap<Box<str>, Weak<Ledger>>,
}

impl Known {
    fn ledger(&mut self, name: &str) -> Arc<Ledger> {
        if let Some(ledger) = self.ledgers.get(name).and_then(Weak::upgrade) {
            return ledger;
        }
        self.ledgers.retain(|_, ledger| ledger.strong_count() > 0);
        let ledger = Arc::new(Ledger::default());
        self.ledgers.insert(name.into(), Arc::downgrade(&ledger));
        ledger
    }
}

/// What the watchers of all databases share.
#[derive(Debug)]
struct Common {
    upstream: Arc<Upstream>,
    /// Why there are none, otherwise.
    credentials: Result<Credentials, ControlError>,
    store: Store,
    rules: ArcSwap<Rules>,
    /// How long a change that nobody told us of may stay unseen.
    catalog_age_max: Duration,
    generation: AtomicU64,
}

/// What the operator wrote down about tables and functions.
#[derive(Debug)]
struct Rules {
    policy: Arc<Policy>,
    functions: Vec<sql::FunctionRule>,
}

impl Rules {
    fn of(config: &Config) -> Self {
        let pair = |schema: &str, name: &str| (schema.into(), name.into());
        let functions = config.functions.iter().map(|rule| sql::FunctionRule {
            function: pair(&rule.schema, &rule.name),
            reads: rule
                .reads
                .iter()
                .map(|(schema, name)| pair(schema, name))
                .collect(),
        });
        Self {
            policy: Arc::new(config.policy()),
            functions: functions.collect(),
        }
    }
}

impl Databases {
    /// Knows nothing and connects to nothing yet.
    pub fn new(config: &Config, upstream: Arc<Upstream>, store: Store) -> Self {
        let common = Common {
            upstream,
            credentials: Credentials::of(&config.upstream),
            store,
            rules: ArcSwap::from_pointee(Rules::of(config)),
            catalog_age_max: config.cache.catalog_age_max,
            generation: AtomicU64::new(1),
        };
        Self {
            common: Arc::new(common),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            known: Mutex::default(),
        }
    }

    /// A database by its name, watched as long as the visit lasts.
    ///
    /// To be called for clients whom the server has let in: names that somebody merely claims must
    /// not fill the table. `None` if the name is no UTF-8, or too many databases are watched; such
    /// clients are served without the cache.
    pub fn of(&self, name: &[u8]) -> Option<Visit> {
        let visit = self.seek(name);
        if visit.is_none() {
            warn!(
                database = %name.escape_ascii(),
                limit = DATABASES_MAX,
                "too many databases, or no name: no cache for this one"
            );
        }
        visit
    }

    /// What all who come by a name share, whether or not the database is watched.
    pub(crate) fn ledger(&self, name: &[u8]) -> Option<Arc<Ledger>> {
        let name = str::from_utf8(name).ok()?;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        Some(known.ledger(name))
    }

    /// The same, for a client that may ask again.
    pub(crate) fn seek(&self, name: &[u8]) -> Option<Visit> {
        let name = str::from_utf8(name).ok()?;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(database) = known.watched.get(name) {
            database.presence.come();
            return Some(Visit::new(Arc::clone(database)));
        }
        if known.watched.len() >= DATABASES_MAX {
            known
                .watched
                .retain(|_, database| !database.retire_if_useless());
        }
        if known.watched.len() >= DATABASES_MAX {
            return None;
        }
        let ledger = known.ledger(name);
        let database = self.start(name, ledger, false);
        known.watched.insert(name.into(), Arc::clone(&database));
        Some(Visit::new(database))
    }

    /// Watches a database also while nobody is there: its state stands for the server's. To be
    /// called before the first client comes.
    pub fn stand_in(&self, name: &str) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let ledger = known.ledger(name);
        let database = self.start(name, ledger, true);
        known.watched.insert(name.into(), database);
    }

    fn start(&self, name: &str, ledger: Arc<Ledger>, standing: bool) -> Arc<Database> {
        let presence = Presence::new(standing);
        let (database, probes) = Database::new(name, presence, ledger, self.stop.child_token());
        let database = Arc::new(database);
        let watcher = Watcher::new(Arc::clone(&self.common), Arc::clone(&database), probes);
        self.tasks
            .spawn(watcher.run().instrument(info_span!("database", name)));
        database
    }

    /// Ends all connections to databases where no client is: one of them may be about to be dropped,
    /// renamed, moved or copied. That is not said in the database itself.
    pub fn leave_vacant(&self, own: &[u8]) {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let others = known
            .watched
            .iter()
            .filter(|(name, _)| name.as_bytes() != own);
        for (_, database) in others {
            database.presence.leave_when_vacant();
        }
    }

    /// Which knowledge of a database is in force, if it is watched already.
    pub(crate) fn generation(&self, name: &[u8]) -> Option<u64> {
        let name = str::from_utf8(name).ok()?;
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let knowledge = known.watched.get(name)?.knowledge()?;
        Some(knowledge.generation)
    }

    /// Puts new rules into force: every database publishes its knowledge anew.
    pub fn set_rules(&self, config: &Config) {
        self.common.rules.store(Arc::new(Rules::of(config)));
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        for database in known.watched.values() {
            database.republish.notify_one();
        }
    }

    /// The databases that are watched, by name, and how each is doing.
    pub fn states(&self) -> Vec<(Box<str>, State)> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let mut states: Vec<_> = known
            .watched
            .iter()
            .map(|(name, database)| (name.clone(), database.state()))
            .collect();
        states.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        states
    }

    /// The databases of which something is known, by name, and what that is.
    pub(crate) fn known(&self) -> Vec<(Box<str>, Arc<Knowledge>)> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let watched = known.watched.iter();
        let mut known: Vec<_> = watched
            .filter_map(|(name, database)| Some((name.clone(), database.knowledge()?)))
            .collect();
        known.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        known
    }

    /// Which databases they are, as far as anybody was told.
    pub(crate) fn identities(&self) -> Vec<DatabaseId> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let watched = known.watched.values();
        watched
            .filter_map(|database| database.ledger.remembered())
            .collect()
    }

    /// Ends all tasks and closes their connections. Cancel safe.
    pub async fn shutdown(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// What is known of one database.
#[derive(Debug)]
pub struct Database {
    name: Box<str>,
    ledger: Arc<Ledger>,
    knowledge: ArcSwapOption<Knowledge>,
    progress: watch::Sender<Progress>,
    /// How many refreshes were asked for.
    asked: Arc<AtomicU64>,
    /// Holds one permit: of many refreshes asked for, one runs and one waits.
    refresh: Notify,
    republish: Notify,
    presence: Presence,
    probes: mpsc::Sender<Probe>,
    doubts: Doubts,
    stop: CancellationToken,
}

/// Whether statements on a database can be looked up.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum State {
    /// The catalog is being read for the first time.
    Starting,
    /// Yes.
    Ready,
    /// Not before the catalog can be read, which is being tried; the server is there. Says why.
    Unread(Arc<str>),
    /// Not before somebody has changed something; says what. Clients are served without the cache.
    Refused(Arc<str>),
    /// Not before the control connection is back, which is being tried.
    Disconnected,
    /// Not before somebody comes: nobody is there, and what is known is not kept true.
    Vacant,
}

impl State {
    /// Whether to wait for what is known would be to wait for others.
    const fn is_hopeless(&self) -> bool {
        matches!(self, Self::Refused(_) | Self::Unread(_))
    }
}

/// How far a watcher has come.
#[derive(Clone, Debug)]
struct Progress {
    state: State,
    /// How many of the refreshes that were asked for are done.
    served: u64,
    /// When the server was asked last, if it said that there was no such database.
    absent: Option<Instant>,
}

impl Progress {
    /// Whether the server will not say which database it is to somebody whom it let in at that time, who
    /// knows better than it did before that there is one.
    fn is_refused(&self, came: Instant) -> bool {
        matches!(self.state, State::Refused(_)) && self.absent.is_none_or(|asked| asked >= came)
    }
}

impl Database {
    fn new(
        name: &str,
        presence: Presence,
        ledger: Arc<Ledger>,
        stop: CancellationToken,
    ) -> (Self, mpsc::Receiver<Probe>) {
        let (probes, receiver) = mpsc::channel(PROBES_MAX);
        let database = Self {
            name: name.into(),
            ledger,
            knowledge: ArcSwapOption::empty(),
            progress: watch::Sender::new(Progress {
                state: State::Starting,
                served: 0,
                absent: None,
            }),
            asked: Arc::default(),
            refresh: Notify::new(),
            republish: Notify::new(),
            presence,
            probes,
            doubts: Doubts::default(),
            stop,
        };
        (database, receiver)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What is known now; `None` while nothing may be looked up.
    pub fn knowledge(&self) -> Option<Arc<Knowledge>> {
        self.knowledge.load_full()
    }

    /// Whether that is what is known now. Touches no count that other threads touch.
    pub fn is_known(&self, knowledge: Option<&Arc<Knowledge>>) -> bool {
        match (&*self.knowledge.load(), knowledge) {
            (Some(now), Some(knowledge)) => Arc::ptr_eq(now, knowledge),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        }
    }

    /// What is known of it without its catalog.
    pub(crate) fn ledger(&self) -> &Arc<Ledger> {
        &self.ledger
    }

    /// Waits until the server has said which database it is, or will not say to a client that came at
    /// that time, or the deadline has passed. Cancel safe.
    pub(crate) async fn named(&self, came: Instant, deadline: Instant) {
        let mut progress = self.progress.subscribe();
        let named = async {
            tokio::select! {
                () = self.ledger.told() => {}
                _ = progress.wait_for(|now| now.is_refused(came)) => {}
            }
        };
        _ = timeout_at(deadline, named).await;
    }

    /// How it is doing.
    pub fn state(&self) -> State {
        self.progress.borrow().state.clone()
    }

    /// Asks for the catalog to be read again. However often this is called, at most one reading
    /// runs and one more follows.
    pub fn refresh(&self) {
        self.ask();
    }

    /// Asks for the catalog to be read again, and waits for knowledge that was read after the call.
    ///
    /// `false` if there is none by the deadline, or there will be none. Cancel safe.
    pub async fn wait_fresh(&self, deadline: Instant) -> bool {
        let ticket = self.ask();
        let mut progress = self.progress.subscribe();
        let done =
            progress.wait_for(|progress| progress.served >= ticket || progress.state.is_hopeless());
        match timeout_at(deadline, done).await {
            Ok(Ok(progress)) => progress.served >= ticket,
            Ok(Err(_)) | Err(_) => false,
        }
    }

    /// Waits for knowledge that was read under this epoch, or else after the call. Where another
    /// reading has been asked for, it may be the one.
    ///
    /// `false` if there is none by the deadline, or there will be none. Cancel safe.
    pub(crate) async fn wait_current(&self, epoch: Version, deadline: Instant) -> bool {
        let is_known = || self.knowledge().is_some_and(|known| known.epoch == epoch);
        let asked = self.asked.load(Ordering::Acquire);
        let mut progress = self.progress.subscribe();
        let done = progress.wait_for(|progress| {
            progress.served >= asked || is_known() || progress.state.is_hopeless()
        });
        let done = timeout_at(deadline, done).await.is_ok();
        is_known() || (done && self.wait_fresh(deadline).await)
    }

    /// Whether somebody wants to know whether definitions have changed, and the epoch is marked.
    pub(crate) fn is_doubted(&self) -> bool {
        self.doubts.any()
    }

    /// Leaves it to the next reading whether definitions are those that a statement was told from which
    /// has ended. Until then the epoch is marked. False if nobody will tell.
    pub(crate) async fn doubt(&self, store: &Store, id: DatabaseId, told: Told) -> bool {
        let ready = || self.state() == State::Ready;
        let joined = self.doubts.join(store, id, told, ready).await;
        if joined && self.asked.load(Ordering::Acquire) == self.served() {
            self.ask();
        }
        joined
    }

    /// Nothing is looked up any more, and whether it is still the same database nobody knows.
    fn withdraw(&self) {
        self.knowledge.store(None);
        self.ledger.doubt();
    }

    /// How many of the refreshes that were asked for are done.
    fn served(&self) -> u64 {
        self.progress.borrow().served
    }

    fn ask(&self) -> u64 {
        let ticket = self.asked.fetch_add(1, Ordering::AcqRel) + 1;
        self.refresh.notify_one();
        ticket
    }

    /// Ends the watching of a database that cannot be watched, or where nobody is; whether it did.
    fn retire_if_useless(&self) -> bool {
        let state = &self.progress.borrow().state;
        let vacant = matches!(state, State::Vacant) && self.presence.is_vacant();
        let useless = vacant || matches!(state, State::Refused(_));
        if useless {
            self.stop.cancel();
        }
        useless
    }
}

/// How many databases are watched. Each costs a server connection.
const DATABASES_MAX: usize = 100;
