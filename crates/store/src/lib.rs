//! Where recorded replies and the versions of scopes live.
//!
//! Invariant: [`Store::look_up`] returns a hit only if the entry's stamp equals the versions that
//! were current after the question was asked; a scope that is unknown, or being written, has none.
//!
//! Nothing here fails towards the caller: whatever goes wrong is a miss that must not be recorded,
//! or a bump that is owed and fences the store until it is delivered.

mod delay;
mod flights;
mod lease;
mod limits;
mod memory;
mod redis;
mod status;

use std::{sync::Arc, time::Duration};

use cache::{Ages, CacheKey, Entry, Refresh, Scope, Scopes, Stamp, Version};
use catalog::DatabaseId;
use tokio::runtime::Handle;

#[cfg(debug_assertions)]
pub use delay::delay_by;
pub use delay::{Point, delay};
pub use flights::{Ending, Flights, Follower, Landed, Lead, Role};
pub use limits::Limits;
pub use memory::Memory;
pub use redis::{OnOutage, Redis, RedisMode, RedisSettings, StoreError};
pub use status::{State, Status, Trouble};

/// What a lookup asks.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// The reply's name.
    pub key: &'a CacheKey,
    /// The database that was asked.
    pub database: DatabaseId,
    /// The epoch under which the asking session's catalog snapshot was read.
    pub epoch: Version,
    /// What the reply depends on besides the epoch, sorted. A reply that lacks no row may have been
    /// recorded without a last `Insert`.
    pub scopes: &'a [Scope],
    /// How old the reply may be by the rules of today, whatever it was recorded under.
    pub ttl: Duration,
}

impl Question<'_> {
    /// Everything that the reply depends on, the epoch first.
    pub fn all_scopes(&self) -> impl Iterator<Item = Scope> {
        let rest = self.scopes.iter().copied();
        std::iter::once(Scope::Epoch(self.database)).chain(rest)
    }
}

/// What a lookup found.
#[derive(Clone, Debug)]
pub enum Found {
    /// A reply that holds.
    Hit(Entry),
    /// None; a reply to a query sent from now on may be recorded under this stamp. While a last
    /// `Insert` scope is being written, its version is not in it.
    Miss(Stamp),
    /// A scope is being written: ask the server, record nothing.
    InFlight,
    /// The epoch is not the one of the question: the catalog snapshot must be read again.
    Outdated,
    /// The store did not answer in time, is down, or is fenced.
    Unavailable,
}

/// What the epoch of a database is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Epoch {
    /// This.
    Current(Version),
    /// Nothing, while it is being written. It was this before, and will be again if nothing comes of
    /// that.
    Written(Version),
    /// Nothing, and it will be another.
    Passed,
}

impl Epoch {
    /// What is current.
    pub const fn current(self) -> Option<Version> {
        match self {
            Self::Current(version) => Some(version),
            Self::Written(_) | Self::Passed => None,
        }
    }

    /// What it is, or was before it was written.
    pub const fn last(self) -> Option<Version> {
        match self {
            Self::Current(version) | Self::Written(version) => Some(version),
            Self::Passed => None,
        }
    }
}

/// What stands for the definitions of a database as they were read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Print {
    /// How they are read: what was read in other ways is not compared.
    pub kind: u64,
    /// A digest of what was read, the same wherever it was read.
    pub sum: [u8; 32],
}

/// How old a reply is that should be renewed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Age {
    /// Its TTL is about to end.
    Due,
    /// Its TTL has ended.
    Stale,
    /// So has the time in which it may be served while it is being renewed. It is to be served
    /// only if renewing it fails.
    Expired,
}

impl Age {
    /// What a reply of this age is within its bounds; nothing if it is not to be served, and nothing
    /// inside if it is not to be renewed.
    fn of(age: Duration, bounds: &Ages) -> Option<Option<Self>> {
        if age >= bounds.failing {
            return None;
        }
        Some(if age >= bounds.stale {
            Some(Self::Expired)
        } else if age >= bounds.ttl {
            Some(Self::Stale)
        } else {
            (age >= bounds.due).then_some(Self::Due)
        })
    }
}

/// A reply to be remembered.
#[derive(Clone, Debug)]
pub struct Fill {
    /// Its name.
    pub key: CacheKey,
    /// The database that answered.
    pub database: DatabaseId,
    /// What it depends on besides the epoch, in the order of the stamp.
    pub scopes: Scopes,
    /// What [`Found::Miss`] gave before the query left. The reply is as old as that, however long the
    /// server took, and its client to read.
    pub stamp: Stamp,
    /// The frames.
    pub entry: Entry,
    /// How long it may be served.
    pub ttl: Duration,
    /// For how long afterwards it may be of use while it is renewed: see
    /// [`Store::look_up_aging`].
    pub beyond: Duration,
}

/// One residence of replies and versions. Clones share it.
///
/// What waits for Redis takes kilobytes, and is an allocation of its own: otherwise it would be part
/// of every client's task, idle ones included.
#[derive(Clone, Debug)]
pub enum Store {
    /// In this process.
    Memory(Arc<Memory>),
    /// In Redis, shared by all instances.
    Redis(Arc<Redis>),
}

impl Store {
    /// A store in this process, which no other shares.
    pub fn memory(limits: Limits) -> Self {
        Self::Memory(Arc::new(Memory::new(limits)))
    }

    /// A store in Redis. Never waits for Redis; its tasks run on the current tokio runtime.
    ///
    /// # Errors
    ///
    /// When the settings cannot be used, or outside a tokio runtime.
    pub fn redis(settings: RedisSettings, limits: Limits) -> Result<Self, StoreError> {
        Ok(Self::Redis(Arc::new(Redis::new(settings, limits)?)))
    }

    /// Says on which threads clients are served, each of which has a runtime of its own. Whoever asks
    /// Redis from there uses a connection of that thread's own. To be called once.
    pub fn serve_from(&self, threads: &[Handle]) {
        match self {
            Self::Memory(_) => {}
            Self::Redis(redis) => redis.serve_from(threads),
        }
    }

    /// Looks a reply up.
    ///
    /// In memory this never waits, nor for what is kept near. Cancel safe.
    pub async fn look_up(&self, question: &Question<'_>) -> Found {
        match self {
            Self::Memory(memory) => memory.look_up(question),
            Self::Redis(redis) => match redis.look_up_near(question) {
                Some(entry) => Found::Hit(entry),
                None => Box::pin(redis.look_up(question)).await,
            },
        }
    }

    /// As [`Store::look_up`], for a reply that is renewed in the background: one whose TTL has ended
    /// may be found as well. How old it is, if it should be renewed, comes with it.
    ///
    /// Cancel safe.
    pub async fn look_up_aging(
        &self,
        question: &Question<'_>,
        refresh: &Refresh,
    ) -> (Found, Option<Age>) {
        match self {
            Self::Memory(memory) => memory.look_up_aging(question, refresh),
            Self::Redis(redis) => match redis.look_up_near_aging(question, refresh) {
                Some((entry, age)) => (Found::Hit(entry), age),
                None => Box::pin(redis.look_up_aging(question, refresh)).await,
            },
        }
    }

    /// What a reply may be recorded under if its query leaves from now on, whether or not there is
    /// one already; [`Found::Miss`] holds it. In a shared store one that is not due to be renewed, or
    /// not any more, is a [`Found::Hit`]. Cancel safe.
    pub async fn stamp(&self, question: &Question<'_>, refresh: &Refresh) -> Found {
        match self {
            Self::Memory(memory) => memory.stamp(question),
            Self::Redis(redis) => redis.stamp(question, refresh).await,
        }
    }

    /// The epoch of a database, created if it is unknown; `None` while it is being written.
    /// Cancel safe.
    ///
    /// # Errors
    ///
    /// When the store cannot tell.
    pub async fn epoch(&self, database: DatabaseId) -> Result<Option<Version>, Trouble> {
        match self {
            Self::Memory(memory) => Ok(memory.epoch(database)),
            Self::Redis(redis) => Box::pin(redis.epoch(database)).await,
        }
    }

    /// The version of what was dropped of a database's code, likewise. Cancel safe.
    ///
    /// # Errors
    ///
    /// When the store cannot tell.
    pub async fn drops(&self, database: DatabaseId) -> Result<Option<Version>, Trouble> {
        match self {
            Self::Memory(memory) => Ok(memory.drops(database)),
            Self::Redis(redis) => Box::pin(redis.drops(database)).await,
        }
    }

    /// As [`Store::epoch`]; what it was before, while it is being written. Cancel safe.
    ///
    /// # Errors
    ///
    /// When the store cannot tell.
    pub async fn peek(&self, database: DatabaseId) -> Result<Epoch, Trouble> {
        match self {
            Self::Memory(memory) => Ok(memory.peek(database)),
            Self::Redis(redis) => Box::pin(redis.peek(database)).await,
        }
    }

    /// Whether another process has read other definitions under this epoch. If none has read any,
    /// it will hear of these. Not so if the store cannot tell, or the epoch is another by now.
    ///
    /// Cancel safe.
    pub async fn contradicts(&self, database: DatabaseId, epoch: Version, print: &Print) -> bool {
        match self {
            Self::Memory(_) => false,
            Self::Redis(redis) => Box::pin(redis.contradicts(database, epoch, print)).await,
        }
    }

    /// Takes away the current versions of `scopes` until the mark ends.
    ///
    /// To be awaited before anything leaves that could make the change visible. Waits until others
    /// have heard of it, where they keep replies near: a second at most. While the store does not
    /// answer it waits for six seconds once; a mark that does not arrive ends all the same.
    /// Not cancel safe: cancelled, it may end as a bump, which costs misses and no more.
    pub async fn mark(&self, scopes: &[Scope]) -> Mark {
        match self {
            Self::Memory(memory) => Mark(Held::Memory(memory.mark(scopes))),
            Self::Redis(redis) => Mark(Held::Redis(Box::pin(redis.mark(scopes)).await)),
        }
    }

    /// Gives `scopes` new versions, for a change that was seen and not announced.
    ///
    /// Waits for one answer of the store, and not for other instances to have heard of it: what
    /// they keep near goes within a second. Cancel safe: cancelled, it is
    /// delivered in the background.
    pub async fn outdate(&self, scopes: &[Scope]) {
        match self {
            Self::Memory(memory) => drop(memory.mark(scopes)),
            Self::Redis(redis) => redis.outdate(scopes).await,
        }
    }

    /// Remembers a reply. Never waits; refuses it, now or at every lookup, if its stamp no longer holds.
    pub fn fill(&self, fill: Fill) {
        match self {
            Self::Memory(memory) => memory.fill(fill),
            Self::Redis(redis) => redis.fill(fill, None),
        }
    }

    /// Remembers a reply that others may be waiting for, and wakes them.
    pub fn fill_and_land(&self, fill: Fill, lead: Lead) {
        let (stamp, entry, ttl) = (fill.stamp.clone(), fill.entry.clone(), fill.ttl);
        match self {
            Self::Memory(memory) => {
                memory.fill(fill);
                lead.land(&stamp, &entry, ttl);
            }
            Self::Redis(redis) => {
                let claim = lead.land(&stamp, &entry, ttl);
                redis.fill(fill, claim.map(|claim| claim.0));
            }
        }
    }

    /// Claims, among all instances on this store, to ask the server for a reply that was missing
    /// under this stamp.
    ///
    /// Waits for one answer of the store if it is a shared one. Not cancel safe: cancelled, a claim
    /// may stand until its lease ends.
    pub async fn claim(&self, question: &Question<'_>, stamp: &Stamp) -> Claimed {
        match self {
            Self::Memory(_) => Claimed::Ours(None),
            Self::Redis(redis) => match redis.claim(question, stamp).await {
                redis::Claimed::Ours(claim) => Claimed::Ours(Some(Claim(claim))),
                redis::Claimed::Unknown => Claimed::Ours(None),
                redis::Claimed::Theirs => Claimed::Theirs,
            },
        }
    }

    /// Whether other processes may be asking the server for the same.
    pub const fn is_shared(&self) -> bool {
        matches!(self, Self::Redis(_))
    }

    /// How it is doing.
    pub fn status(&self) -> Status {
        match self {
            Self::Memory(memory) => memory.status(),
            Self::Redis(redis) => redis.status(),
        }
    }

    /// What went wrong last where it is not in use, for people to read; never a password.
    pub fn fault(&self) -> Option<String> {
        match self {
            Self::Memory(_) => None,
            Self::Redis(redis) => redis.fault(),
        }
    }

    /// Ends background work after what is owed has been delivered, or a bounded wait. Cancel safe.
    pub async fn shutdown(&self) {
        match self {
            Self::Memory(_) => {}
            Self::Redis(redis) => redis.shutdown().await,
        }
    }
}

/// A claim among all instances on a store, held until it is dropped.
#[derive(Debug)]
pub struct Claim(redis::Claim);

/// Whose it is to ask the server.
#[derive(Debug)]
pub enum Claimed {
    /// Ours; `None` if there are no others, or the store does not say.
    Ours(Option<Claim>),
    /// Another instance's.
    Theirs,
}

/// Scopes that are being written: they have no current version until this ends.
///
/// Dropped without an outcome, it ends as a bump: what may have been committed counts as committed.
#[derive(Debug)]
#[must_use = "a mark that is dropped at once ends before the write it announces"]
pub struct Mark(Held);

#[derive(Debug)]
enum Held {
    Memory(memory::Hold),
    Redis(redis::Hold),
}

impl Mark {
    /// Ends the mark with new versions: the outcome is committed, or unknown.
    ///
    /// To be awaited before the client hears of the outcome. Cancel safe: cancelled, it is
    /// delivered in the background.
    pub async fn bump(self) {
        match self.0 {
            Held::Memory(hold) => drop(hold),
            Held::Redis(hold) => Box::pin(hold.bump()).await,
        }
    }

    /// As [`Mark::bump`]; then says what the epoch of a database is, as [`Store::epoch`] does.
    ///
    /// Cancel safe, as [`Mark::bump`] is.
    ///
    /// # Errors
    ///
    /// When the store cannot tell.
    pub async fn bump_and_see(
        self,
        store: &Store,
        database: DatabaseId,
    ) -> Result<Option<Version>, Trouble> {
        let seen = match self.0 {
            Held::Memory(hold) => {
                drop(hold);
                None
            }
            Held::Redis(hold) => Box::pin(hold.bump_and_see(Some(database))).await,
        };
        match seen {
            Some(epoch) => Ok(epoch),
            None => store.epoch(database).await,
        }
    }

    /// Ends the mark and nothing else: what was announced was rolled back.
    ///
    /// Not cancel safe: cancelled, it may end as a bump, which costs misses and no more.
    pub async fn clear(self) {
        match self.0 {
            Held::Memory(hold) => hold.clear(),
            Held::Redis(hold) => Box::pin(hold.clear()).await,
        }
    }
}
