//! The task that watches one database.

mod contradicted;
mod probes;
mod publish;
mod reading;

use std::{
    future::pending,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use cache::{Scope, Version};
use catalog::DatabaseId;
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, sleep_until},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use self::{contradicted::Contradicted, publish::Published, reading::Seen};
use super::{Common, Database, Rules, State, probe::Probe};
use crate::control::{Control, ControlError};

/// Keeps the knowledge of one database true.
#[derive(Debug)]
pub(super) struct Watcher {
    common: Arc<Common>,
    database: Arc<Database>,
    probes: mpsc::Receiver<Probe>,
    /// What the last reading showed; survives the connection.
    seen: Option<Seen>,
    /// When something is to be done without being asked.
    due: Instant,
    /// When to look whether another instance has changed anything.
    glance: Instant,
    /// Whether the last reading came to nothing.
    owes_reading: bool,
    /// Whether it has been said, since the catalog was read last, that entries are given up.
    gave_up: AtomicBool,
    /// Before the next attempt at what has just failed.
    pause: Duration,
    /// Rules whose patterns were compared with what is there.
    compared: Option<Arc<Rules>>,
    /// What was published last, to be published again as long as it stays true.
    published: Option<Published>,
    /// What was dropped by then.
    drops: Option<Version>,
    /// Others have read something else.
    contradicted: Contradicted,
    /// How many refreshes had been asked for when the catalog was read.
    served: u64,
    /// Cancelled when the connection is lost.
    lost: CancellationToken,
}

/// How long to wait before the next attempt.
#[derive(Clone, Copy, Debug)]
struct Pause {
    /// If somebody comes.
    least: Duration,
    /// If nobody does.
    most: Duration,
}

/// The watcher has closed its connection so as not to stand in the way.
struct Left;

impl Watcher {
    pub(super) fn new(
        common: Arc<Common>,
        database: Arc<Database>,
        probes: mpsc::Receiver<Probe>,
    ) -> Self {
        Self {
            common,
            database,
            probes,
            seen: None,
            due: Instant::now(),
            glance: Instant::now(),
            owes_reading: true,
            gave_up: AtomicBool::new(false),
            pause: PAUSE_MIN,
            compared: None,
            published: None,
            drops: None,
            contradicted: Contradicted::default(),
            served: 0,
            lost: CancellationToken::new(),
        }
    }

    /// Watches until the database is told to stop, while somebody is there.
    pub(super) async fn run(mut self) {
        let database = Arc::clone(&self.database);
        database
            .stop
            .run_until_cancelled(async {
                let (mut has_left, mut held) = (false, Instant::now());
                loop {
                    database.presence.wanted(has_left).await;
                    if held > Instant::now() {
                        // Who comes alone, again and again, may have gone by then.
                        sleep_until(held).await;
                        continue;
                    }
                    let began = Instant::now();
                    // Its type is hidden: futures nest deeper here than the compiler follows.
                    let watch: Pin<Box<dyn Future<Output = _> + Send + '_>> =
                        Box::pin(self.watch());
                    has_left = match watch.await {
                        Ok(Left) => {
                            self.leave();
                            self.give_up().await;
                            true
                        }
                        Err(error) => {
                            let pause = self.disconnect(&error, began);
                            if self.is_refused() && !matches!(error, ControlError::Absent(_)) {
                                held = Instant::now() + pause.least;
                            }
                            self.give_up().await;
                            self.rest(pause).await
                        }
                    };
                }
            })
            .await;
        self.database.knowledge.store(None);
        self.set_state(State::Disconnected);
    }

    /// Waits for the next attempt; whether nobody is there any more: what failed may succeed for the next
    /// who comes.
    async fn rest(&self, pause: Pause) -> bool {
        let (presence, ended) = (&self.database.presence, Instant::now());
        let recalled = async {
            presence.newcomer().await;
            sleep_until(ended + pause.least).await;
        };
        tokio::select! {
            () = presence.deserted() => true,
            () = recalled => false,
            () = sleep(pause.most) => false,
        }
    }

    /// Watches through one connection, until it is lost or stands in the way.
    async fn watch(&mut self) -> Result<Left, ControlError> {
        let common = Arc::clone(&self.common);
        let database = Arc::clone(&self.database);
        let credentials = match &common.credentials {
            Ok(credentials) => credentials,
            Err(error) => return Err(ControlError::Refused(error.to_string())),
        };
        let vacated = database.presence.vacated();
        tokio::pin!(vacated);
        let control = Control::connect(&common.upstream, credentials, &database.name).await?;
        common.upstream.note(true);
        self.lost = control.lost();
        let lost = control.lost();
        let sentry = async {
            lost.cancelled().await;
            // Whoever comes now may come to another one, whatever the watcher is at.
            database.withdraw();
            pending().await
        };
        tokio::select! {
            end = Box::pin(self.attend(control, vacated)) => end,
            end = sentry => end,
        }
    }

    /// Does what is to be done as long as the connection stands.
    async fn attend(
        &mut self,
        mut control: Control,
        mut vacated: Pin<&mut impl Future<Output = ()>>,
    ) -> Result<Left, ControlError> {
        let common = Arc::clone(&self.common);
        let database = Arc::clone(&self.database);
        self.resume(&control).await?;
        loop {
            tokio::select! {
                () = &mut vacated => return Ok(Left),
                () = control.closed() => return Err(ControlError::closed()),
                () = database.refresh.notified() => {
                    // The reading before may have begun after this was asked for.
                    if database.asked.load(Ordering::Acquire) > database.served() {
                        self.attempt(&control).await?;
                    }
                }
                () = database.republish.notified() => self.publish().await?,
                () = sleep_until(self.due) => {
                    if !self.is_unchanged(&control).await? || self.owes_reading {
                        self.attempt(&control).await?;
                    }
                }
                () = sleep_until(self.glance), if common.store.is_shared() => {
                    self.glance = Instant::now() + GLANCE;
                    if self.is_behind().await {
                        self.attempt(&control).await?;
                    }
                }
                Some(probe) = self.probes.recv() => self.answer(&control, probe).await?,
            }
        }
    }

    /// Publishes what was known when the watcher left, if it is still true; else reads the catalog.
    async fn resume(&mut self, control: &Control) -> Result<(), ControlError> {
        let asked = self.database.asked.load(Ordering::Acquire);
        if self.owes_reading || !self.is_unchanged(control).await? {
            return self.attempt(control).await;
        }
        // What was asked for until then has been looked at as well.
        self.served = asked;
        self.publish().await?;
        self.database
            .progress
            .send_modify(|progress| progress.served = asked);
        Ok(())
    }

    /// Withdraws what was published, but remembers it.
    fn leave(&self) {
        self.database.withdraw();
        if self.set_state(State::Vacant) {
            debug!("nobody is there; the catalog is not watched");
        }
    }

    /// Nobody can tell those who want to know whether definitions have changed.
    async fn give_up(&self) {
        if let Some(doubt) = self.database.doubts.take().await {
            doubt.mark.bump().await;
        }
    }

    /// Tells them from what was read. The mark has kept the epoch as it was since they joined, which
    /// they did when they had ended; so if it is still that of the reading, it is the one they met.
    async fn settle(&self) {
        let Some(doubt) = self.database.doubts.take().await else {
            return;
        };
        let known = self.database.knowledge();
        let told = known.is_some_and(|known| doubt.holds(&known.definitions()));
        let last = match &self.seen {
            Some(seen) if told => self.common.store.peek(seen.id).await.ok(),
            Some(_) | None => None,
        };
        let epoch = self.seen.as_ref().map(|seen| seen.epoch);
        if last.is_some_and(|last| last.last() == epoch && epoch.is_some()) {
            doubt.mark.clear().await;
        } else {
            doubt.mark.bump().await;
            self.database.refresh();
        }
    }

    /// Gives up all entries of the database, wherever they are.
    async fn bump(&self, id: DatabaseId, why: &str) {
        // What is tried again and again is said once.
        if !self.gave_up.swap(true, Ordering::Relaxed) {
            info!(why, "all entries of this database are given up");
        } else {
            debug!(why, "all entries of this database are given up again");
        }
        self.common.store.outdate(&[Scope::Epoch(id)]).await;
    }

    /// Withdraws what was published; how long to wait behind an attempt that began then.
    fn disconnect(&mut self, error: &ControlError, began: Instant) -> Pause {
        // While nobody watches, definitions may change and servers may come back from a backup.
        self.database.withdraw();
        self.owes_reading = true;
        let state = match error {
            ControlError::Refused(reason) | ControlError::Absent(reason) => {
                State::Refused(reason.as_str().into())
            }
            ControlError::Row(_) | ControlError::Pooled => State::Refused(error.to_string().into()),
            ControlError::Upstream(_)
            | ControlError::Lost(_)
            | ControlError::Statement(_)
            | ControlError::NoEpoch
            | ControlError::Restless => State::Disconnected,
        };
        let lost = matches!(error, ControlError::Upstream(_) | ControlError::Lost(_));
        self.common.upstream.note(!lost);
        let refused = matches!(state, State::Refused(_));
        let absent = matches!(error, ControlError::Absent(_));
        self.database
            .progress
            .send_modify(|progress| progress.absent = absent.then_some(began));
        if self.set_state(state) {
            warn!(%error, "the catalog cannot be read; statements go by without the cache");
        } else {
            debug!(%error, "the catalog still cannot be read");
        }
        if !refused {
            let pause = self.longer_pause();
            return Pause {
                least: pause,
                most: pause,
            };
        }
        // Who has come since then is in a database that is there.
        let least = if absent { PAUSE_MIN } else { REFUSED_PAUSE_MIN };
        // Nobody is let in who could ask whether the way leads to a server now.
        let most = match self.common.upstream.is_itself() {
            true => REFUSED_PAUSE_MIN,
            false => REFUSED_PAUSE_MAX,
        };
        Pause { least, most }
    }

    fn is_refused(&self) -> bool {
        matches!(self.database.state(), State::Refused(_))
    }

    /// Whether the state was another one before.
    fn set_state(&self, state: State) -> bool {
        self.database.progress.send_if_modified(|progress| {
            let changed = progress.state != state;
            progress.state = state;
            changed
        })
    }

    fn longer_pause(&mut self) -> Duration {
        let pause = self.pause;
        self.pause = (pause * 2).min(PAUSE_MAX);
        pause
    }
}

/// How often it is looked whether another instance has changed anything.
const GLANCE: Duration = Duration::from_secs(1);

/// The pause before what failed is tried again, at first.
const PAUSE_MIN: Duration = Duration::from_millis(100);

/// The longest such pause.
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// The pause before a connection that was refused is tried again, if somebody comes meanwhile.
const REFUSED_PAUSE_MIN: Duration = Duration::from_secs(5);

/// The same, if nobody does.
const REFUSED_PAUSE_MAX: Duration = Duration::from_secs(60);
