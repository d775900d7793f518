//! The store in Redis, which all instances share.
//!
//! # What holds
//!
//! A reply is served only if, in one round trip on a verified connection to a master, its stamp
//! equalled the versions there; or, under leases, if that was so once, and nothing has touched it
//! since that a writer had to wait for (`near`). Whatever Redis loses, forgets or repeats, the
//! following keep a reply that is older than an acknowledged write from being served:
//!
//! - A version is a random token. One that is missing (evicted, flushed, expired) gets another.
//! - A connection is believed only if it is the one that was verified (`line`): after any
//!   reconnection nothing is served until somebody has looked which server is there. All that are
//!   used lead to the same one (`agreement`).
//! - Every database has a *term* in Redis: the server that was verified, and a random generation
//!   that is part of every stamp. If the server is another than the term says, because it was
//!   restarted, restored or promoted, the generation changes and with it every stamp. If it is
//!   another than *this instance* last worked with, the instance changes the generation too,
//!   because its own bumps may not have reached the new one.
//! - A mark is a lease, renewed while it is held, that ends in a new version unless it was cleared.
//! - A bump that is not known to have arrived is owed (`debts`): this instance serves nothing until
//!   it has arrived.
//! - Every instance has a membership with a lease (`member`), and the term ends with the first of
//!   them: all that the lost marks and bumps of a silent one could have outdated is given up. Who
//!   cannot announce a write waits for that (`outage`).
//!
//! # What does not
//!
//! - While an instance is cut off from Redis, *other* instances do not hear of the writes that go
//!   through it. Entries recorded before are given up before the first of them goes on; those
//!   recorded later may miss its later writes until it is back, or their TTL ends, as with writes
//!   that bypass pgmemo.
//! - Replication of Redis is asynchronous. If a master fails, bumps it had acknowledged may be
//!   missing in its successor until the instance that sent them has come over, which takes it two
//!   seconds at most; during a split brain, until the split ends.
//! - A server that is demoted and promoted again within a second, with no client disconnected and
//!   nothing asked of it meanwhile, goes unnoticed for up to a second.
//! - A Redis that refuses writes (read-only, out of memory, failed persistence) is soon not used.
//!
//! Redis 6.2 or later, alone or behind Sentinel.

mod agreement;
mod claim;
mod clock;
mod database;
mod debts;
mod dial;
mod ear;
mod effect;
mod hold;
mod line;
mod lines;
mod look_up;
mod member;
mod names;
mod near;
mod notice;
mod outage;
mod print;
mod read;
mod refusal;
mod resp;
mod scripts;
mod shared;
mod tasks;
mod value;
mod verify;
mod version;
mod wire;

use std::{fmt, sync::Arc, time::Duration};

use cache::{Scope, Version};
use catalog::DatabaseId;
use fred::types::Value;
use tokio::{runtime::Handle, sync::Semaphore, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{Epoch, Fill, Limits, Point, State, Status, Trouble, delay};
pub(crate) use claim::{Claim, Claimed};
use dial::Dialer;
pub(crate) use hold::Hold;
use line::{Line, Patience};
use names::Dice;
use refusal::classify;
use resp::command;
use shared::{Shared, millis};
use value::Stored;
use version::{Seen, version};

/// Where Redis is and how it is used.
#[derive(Clone, Eq, PartialEq)]
pub struct RedisSettings {
    /// `redis://`, `rediss://`, `redis-sentinel://`, `rediss-sentinel://`, `redis+unix://`.
    pub url: String,
    /// The longest a client that reads waits for one answer. Lookups need one; two if a version
    /// has to be made first. Who writes waits for longer.
    pub deadline: Duration,
    /// Prefix of all keys, without braces.
    pub prefix: String,
    /// Connections that all threads share; at least one is made. Threads that serve clients have
    /// others ([`crate::Store::serve_from`]).
    pub connections: usize,
    /// How a reply is known to hold.
    pub mode: RedisMode,
    /// What a write does of which Redis cannot be told.
    pub on_outage: OnOutage,
}

/// How a reply is known to hold.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum RedisMode {
    /// Redis is asked at every lookup.
    #[default]
    Strict,
    /// Replies are kept in this process too, within [`Limits::bytes_max`], and served without
    /// asking while this instance holds a lease. Writers wait for those who hold one.
    Leases,
}

/// What a write does of which Redis cannot be told.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum OnOutage {
    /// It waits until other instances have surely given up what they served before: six seconds
    /// after Redis was last heard of. Those that come later go on at once.
    #[default]
    Wait,
    /// It waits for 0.4 s, or 1.6 s where replies are kept near. Others may serve for some seconds
    /// what it has outdated.
    GoOn,
}

impl fmt::Debug for RedisSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The URL may hold a password.
        f.debug_struct("RedisSettings")
            .field("deadline", &self.deadline)
            .field("prefix", &self.prefix)
            .field("connections", &self.connections)
            .field("mode", &self.mode)
            .field("on_outage", &self.on_outage)
            .finish_non_exhaustive()
    }
}

/// A Redis store cannot be made.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The client does not understand the URL.
    #[error("the URL of redis cannot be used: {0}")]
    Url(String),

    /// A cluster has many masters, and terms are kept for one.
    #[error("a redis cluster cannot be used yet; give the URL of one server, or of sentinels")]
    Clustered,

    /// Leases rest on a clock that goes on while the machine is suspended.
    #[error("redis.mode = \"leases\" needs a clock that only Linux has")]
    Clock,

    /// Braces mark the part of a key that decides where it lies.
    #[error("the prefix `{0}` holds a brace")]
    Prefix(String),

    /// Background tasks need a tokio runtime.
    #[error("there is no tokio runtime")]
    NoRuntime,

    /// The system gave no random numbers.
    #[error("the system gave no random numbers: {0}")]
    Entropy(String),
}

/// Replies and versions in Redis.
#[derive(Debug)]
pub struct Redis {
    shared: Arc<Shared>,
    /// For lines to come.
    dialer: Arc<Dialer>,
    deadline: Duration,
    tasks: TaskTracker,
    stop: CancellationToken,
    /// KiB of fills that may be on their way.
    room: Arc<Semaphore>,
}

impl Redis {
    /// Starts connecting; never waits for Redis.
    ///
    /// # Errors
    ///
    /// When the settings cannot be used, or outside a tokio runtime.
    pub fn new(settings: RedisSettings, limits: Limits) -> Result<Self, StoreError> {
        let runtime = Handle::try_current().map_err(|_| StoreError::NoRuntime)?;
        if settings.prefix.contains(['{', '}']) {
            return Err(StoreError::Prefix(settings.prefix));
        }
        let dice = Dice::new().map_err(|error| StoreError::Entropy(error.to_string()))?;
        let dialer = Arc::new(Dialer::new(&settings.url)?);
        let line = || Line::new(Arc::clone(&dialer), settings.deadline);
        let lines = (0..settings.connections.max(1)).map(|_| line()).collect();
        let ear = match settings.mode {
            RedisMode::Strict => None,
            RedisMode::Leases if !clock::GOES_ON_ASLEEP => return Err(StoreError::Clock),
            RedisMode::Leases => Some(Line::listening(Arc::clone(&dialer), settings.deadline)),
        };
        let deadline = settings.deadline;
        let RedisSettings {
            prefix, on_outage, ..
        } = settings;
        let shared = Arc::new(Shared::new(lines, ear, prefix, limits, dice, on_outage));
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let indices = (0..shared.lines.all().count()).map(Some);
        for index in indices.chain(shared.ear().map(|_| None)) {
            tasks.spawn_on(
                tasks::tend(Arc::clone(&shared), index, stop.clone()),
                &runtime,
            );
        }
        tasks.spawn_on(tasks::keep(Arc::clone(&shared), stop.clone()), &runtime);
        tasks.spawn_on(ear::listen(Arc::clone(&shared), stop.clone()), &runtime);
        let looks = agreement::look_around(Arc::clone(&shared), Arc::clone(&dialer), stop.clone());
        tasks.spawn_on(looks, &runtime);
        Ok(Self {
            shared,
            dialer,
            deadline,
            tasks,
            stop,
            room: Arc::new(Semaphore::new(FILLS_KIB_MAX)),
        })
    }

    /// Gives threads, each with a runtime of its own, a line each. Only the first call does.
    pub(crate) fn serve_from(&self, threads: &[Handle]) {
        let line = |_| Line::new(Arc::clone(&self.dialer), self.deadline);
        let first = self.shared.lines.all().count();
        if !self
            .shared
            .lines
            .add_own(threads.iter().map(line).collect())
        {
            return;
        }
        for (number, thread) in threads.iter().enumerate() {
            let (shared, stop) = (Arc::clone(&self.shared), self.stop.clone());
            let tend = async move {
                lines::number_thread(number);
                tasks::tend(shared, Some(first + number), stop).await;
            };
            self.tasks.spawn_on(tend, thread);
        }
    }

    pub(crate) async fn epoch(&self, id: DatabaseId) -> Result<Option<Version>, Trouble> {
        Ok(self.peek(id).await?.current())
    }

    pub(crate) async fn peek(&self, id: DatabaseId) -> Result<Epoch, Trouble> {
        let (generation, seen) = self.seen(id, &[]).await?;
        let version = |token| version(generation, token);
        let seen = match seen.first() {
            Some(Seen::Current(token)) => {
                return version(*token).map(Epoch::Current).ok_or(Trouble::Reply);
            }
            Some(Seen::Written(before)) => before.and_then(version),
            Some(Seen::Missing) | None => None,
        };
        self.shared.suspect(std::iter::once(Scope::Epoch(id)));
        Ok(seen.map_or(Epoch::Passed, Epoch::Written))
    }

    pub(crate) async fn drops(&self, id: DatabaseId) -> Result<Option<Version>, Trouble> {
        let (generation, seen) = self.seen(id, &[Scope::Drops(id)]).await?;
        match seen.get(1) {
            Some(Seen::Current(token)) => {
                version(generation, *token).map(Some).ok_or(Trouble::Reply)
            }
            Some(Seen::Written(_) | Seen::Missing) | None => Ok(None),
        }
    }

    /// What the epoch of a database and further scopes are, created if they are unknown, and the
    /// generation that they belong to.
    async fn seen(
        &self,
        id: DatabaseId,
        scopes: &[Scope],
    ) -> Result<(names::Token, Vec<Seen>), Trouble> {
        let shared = &self.shared;
        let read = async {
            let (line, trust) = shared.line().ok_or(Trouble::Disconnected)?;
            let database = shared.database(id);
            if !database.is_claimed(&trust) {
                shared
                    .keep((line, &trust), Patience::Writer, &database, false)
                    .await?;
            }
            let mut reading = shared.read((line, &trust), &database, scopes, None).await?;
            if reading.versions.contains(&Seen::Missing) {
                let all: Vec<_> = database.scopes(scopes).collect();
                reading.versions = shared.look((line, &trust), Patience::Writer, &all).await?;
            }
            Ok((reading.generation, reading.versions))
        };
        if shared.debts.any() {
            // Nothing that is read while a bump is owed means anything.
            return Err(Trouble::Disconnected);
        }
        read.await.inspect_err(|&trouble| shared.note(trouble))
    }

    pub(crate) async fn mark(&self, scopes: &[Scope]) -> Hold {
        Hold::new(Arc::clone(&self.shared), scopes).await
    }

    pub(crate) async fn outdate(&self, scopes: &[Scope]) {
        Hold::outdate(Arc::clone(&self.shared), scopes).await;
    }

    /// Sends a reply on its way. Under a stamp that no longer holds it does no harm: every lookup
    /// compares.
    ///
    /// A claim is given up when it has arrived.
    pub(crate) fn fill(&self, fill: Fill, claim: Option<Claim>) {
        let Fill {
            key,
            database,
            scopes: _,
            stamp,
            entry,
            ttl,
            beyond,
        } = fill;
        let (shared, bytes) = (Arc::clone(&self.shared), entry.len());
        if bytes as u64 > shared.limits.entry_bytes_max {
            return shared.troubles.add(Trouble::TooLarge);
        }
        let (rule, age) = (
            shared.limits.ttl_jitter(ttl, shared.dice.number()),
            stamp.taken().elapsed(),
        );
        let fresh = rule.saturating_sub(age);
        let beyond = beyond.saturating_sub(age.saturating_sub(rule));
        let stored = Stored {
            stamp,
            ttl,
            fresh,
            beyond,
            entry,
        };
        let Some(value) = value::encode(&key, &stored) else {
            return shared.troubles.add(Trouble::TooLarge);
        };
        let kib = u32::try_from(bytes / 1024 + 1).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.room).try_acquire_many_owned(kib);
        let (Ok(room), Ok(runtime)) = (room, Handle::try_current()) else {
            return shared.troubles.add(Trouble::Busy);
        };
        if let Some(near) = &shared.near {
            // Until this one has been read there.
            near.remove(&key);
        }
        let lasts = fresh.saturating_add(beyond);
        let deliver = async move {
            let (_room, _claim) = (room, claim);
            delay(Point::Storing).await;
            let Some((line, trust)) = shared.line() else {
                return shared.troubles.add(Trouble::Disconnected);
            };
            let key = shared.database(database).keys.reply(&key);
            let words = [key, Value::Bytes(value), "PX".into(), millis(lasts)];
            let set = command("SET", words);
            if let Err(error) = line.ask_one(&trust, Patience::Background, set).await {
                shared.troubles.add(classify(&error));
            }
        };
        if lasts >= Duration::from_millis(1) {
            self.tasks.spawn_on(deliver, &runtime);
        }
    }

    pub(crate) fn status(&self) -> Status {
        let shared = &self.shared;
        let owed = shared.debts.count();
        let state = if owed > 0 {
            State::Fenced
        } else if shared.lines.all().any(|line| line.trust().is_some()) {
            State::Up
        } else {
            State::Down
        };
        let mut status = shared.troubles.status(state);
        status.owed = owed;
        if let Some(near) = &shared.near {
            near.report(&mut status);
        }
        (status.waits, status.waits_out, status.waited) = shared.waits.sums();
        status
    }

    /// What went wrong last on a line that is not in use.
    pub(crate) fn fault(&self) -> Option<String> {
        let mut unused = self
            .shared
            .lines
            .all()
            .filter(|line| line.trust().is_none());
        unused.find_map(|line| line.fault().map(|fault| fault.to_string()))
    }

    pub(crate) async fn shutdown(&self) {
        self.stop.cancel();
        self.tasks.close();
        // What is still under way then has had its time; whoever leaves without a word is missed.
        _ = timeout(TASKS_END, self.tasks.wait()).await;
        tasks::leave(&self.shared).await;
    }
}

impl Drop for Redis {
    /// Without [`crate::Store::shutdown`], others take our silence for a failure, and connections end with
    /// the runtime.
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// How long shutdown waits for background tasks.
const TASKS_END: Duration = Duration::from_secs(2);

/// All fills that are on their way together, in KiB.
const FILLS_KIB_MAX: usize = 16 * 1024;
