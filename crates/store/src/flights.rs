//! Flights: while one client asks the server for a reply, others who need the same one wait.
//!
//! Invariants: who follows has seen the same versions as who leads; whoever leads frees those who
//! follow, at the latest when its [`Lead`] is dropped; nobody waits beyond the bound.
//!
//! A reply that landed is not yet an answer: those who waited look up again, and may use it only
//! if the versions are still those it was asked under. What a shared store has to do with it is in
//! [`crate::Claim`].

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use cache::{CacheKey, Entry, Scope, Stamp};
use smallvec::SmallVec;
use tokio::{sync::watch, time::timeout_at};

use crate::{Claim, Question};

/// All flights of one process.
#[derive(Debug)]
pub struct Flights {
    shards: Box<[Mutex<Shard>]>,
    /// How long a flight may be waited for, in microseconds; 0 switches them off.
    wait_max_us: AtomicU64,
    next: AtomicU64,
    /// Flights that somebody waits for.
    followed: AtomicUsize,
}

#[derive(Debug, Default)]
struct Shard {
    flights: HashMap<CacheKey, Flight, foldhash::fast::RandomState>,
    /// Keys for which others have waited in vain: how often in a row, and when last.
    failures: HashMap<CacheKey, (u8, Instant), foldhash::fast::RandomState>,
}

/// One reply that the server was asked for.
#[derive(Debug)]
struct Flight {
    id: u64,
    stamp: Stamp,
    since: Instant,
    followed: Option<Followed>,
}

/// Those who wait for it, once there are any.
#[derive(Debug)]
struct Followed {
    ending: watch::Sender<Option<Ending>>,
    /// What the reply depends on.
    scopes: SmallVec<[Scope; 3]>,
}

/// How a wait ended.
#[derive(Clone, Debug)]
pub enum Ending {
    /// The reply is here.
    Landed(Arc<Landed>),
    /// It will not come, or not under the versions that were current.
    Over,
    /// It did not come in time.
    Late,
}

/// A reply, just read from the server.
#[derive(Debug)]
pub struct Landed {
    stamp: Stamp,
    entry: Entry,
    expires: Instant,
}

impl Landed {
    /// The reply, if these are the versions it was asked under, of the epoch and these scopes, and it
    /// is young enough for a rule.
    pub fn under(&self, stamp: &Stamp, scopes: &[Scope], ttl: Duration) -> Option<&Entry> {
        let now = Instant::now();
        (stamp.admits(&self.stamp, scopes) && now < self.expires && !ttl.is_zero())
            .then_some(&self.entry)
    }
}

/// What a client that misses a reply does.
#[derive(Debug)]
pub enum Role {
    /// It asks the server, and others may wait for it.
    Lead(Lead),
    /// It waits.
    Follow(Follower),
    /// It asks the server for itself.
    Alone,
}

impl Flights {
    /// None yet. `wait_max` bounds how long a flight may be waited for; `None` switches them off.
    pub fn new(wait_max: Option<Duration>) -> Self {
        let flights = Self {
            shards: std::iter::repeat_with(Mutex::default)
                .take(1 << SHARD_BITS)
                .collect(),
            wait_max_us: AtomicU64::new(0),
            next: AtomicU64::new(0),
            followed: AtomicUsize::new(0),
        };
        flights.set_wait_max(wait_max);
        flights
    }

    /// Puts another bound into force, for flights that are joined from now on.
    pub fn set_wait_max(&self, wait_max: Option<Duration>) {
        let us = wait_max.unwrap_or_default().as_micros();
        let us = u64::try_from(us).unwrap_or(u64::MAX);
        self.wait_max_us.store(us, Ordering::Relaxed);
    }

    /// How long a flight may be waited for; `None` if they are off.
    pub fn wait_max(&self) -> Option<Duration> {
        let us = self.wait_max_us.load(Ordering::Relaxed);
        (us > 0).then(|| Duration::from_micros(us))
    }

    /// Joins the flight of a reply that was missing under this stamp, or begins it. Without
    /// `follows` the client only leads, or goes alone.
    ///
    /// Not cancel safe in one sense: a lead that is dropped has failed.
    pub fn join(
        self: &Arc<Self>,
        question: &Question<'_>,
        stamp: &Stamp,
        (leads, follows): (bool, bool),
    ) -> Role {
        let Some(wait_max) = self.wait_max().filter(|_| leads || follows) else {
            return Role::Alone;
        };
        let now = Instant::now();
        let mut shard = self.shard(question.key);
        if shard.is_unfit(question.key, now) {
            return Role::Alone;
        }
        if let Some(flight) = shard.flights.get_mut(question.key)
            && flight.stamp == *stamp
            && now < flight.since + wait_max
        {
            return if follows {
                Role::Follow(self.follow(flight, question, wait_max))
            } else {
                Role::Alone
            };
        }
        if !leads {
            return Role::Alone;
        }
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let flight = Flight {
            id,
            stamp: stamp.clone(),
            since: now,
            followed: None,
        };
        // One that was there is of no use to those who come from now on.
        if let Some(outdated) = shard.flights.insert(*question.key, flight) {
            self.end(outdated, Ending::Over);
        }
        Role::Lead(Lead {
            flights: Arc::clone(self),
            key: *question.key,
            id,
            since: now,
            claim: None,
            ended: false,
        })
    }

    fn follow(&self, flight: &mut Flight, question: &Question<'_>, wait_max: Duration) -> Follower {
        let deadline = flight.since + wait_max;
        let followed = flight.followed.get_or_insert_with(|| {
            self.followed.fetch_add(1, Ordering::SeqCst);
            Followed {
                ending: watch::Sender::new(None),
                scopes: question.all_scopes().collect(),
            }
        });
        Follower {
            ending: followed.ending.subscribe(),
            deadline,
        }
    }

    /// Frees those who wait for what is about to be written: it will not hold.
    pub fn outdate(&self, written: &[Scope]) {
        if self.followed.load(Ordering::SeqCst) == 0 {
            return;
        }
        for shard in &self.shards {
            let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            let outdated = shard.flights.extract_if(|_, flight| {
                let followed = flight.followed.as_ref();
                followed.is_some_and(|it| it.scopes.iter().any(|scope| written.contains(scope)))
            });
            for (_, flight) in outdated {
                self.end(flight, Ending::Over);
            }
        }
    }

    /// Wakes those who wait.
    fn end(&self, flight: Flight, ending: Ending) {
        if let Some(followed) = flight.followed {
            self.followed.fetch_sub(1, Ordering::SeqCst);
            // Those who have given up do not listen.
            _ = followed.ending.send(Some(ending));
        }
    }

    fn shard(&self, key: &CacheKey) -> MutexGuard<'_, Shard> {
        // The maps' hasher mixes all of the key again.
        let index = (key.short() >> (u64::BITS - SHARD_BITS)) as usize;
        self.shards
            .get(index)
            .expect("an index has as many bits as there are shards")
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// How many replies the server is being asked for.
    #[cfg(test)]
    fn len(&self) -> usize {
        let shards = self.shards.iter();
        shards
            .map(|shard| shard.lock().unwrap().flights.len())
            .sum()
    }
}

impl Shard {
    /// Whether waiting for this key was in vain so often that nobody shall for now.
    fn is_unfit(&mut self, key: &CacheKey, now: Instant) -> bool {
        if self.failures.is_empty() {
            return false;
        }
        match self.failures.get(key) {
            Some((_, last)) if now.saturating_duration_since(*last) >= UNFIT => {
                self.failures.remove(key);
                false
            }
            Some((count, _)) => *count >= FAILURES_MAX,
            None => false,
        }
    }

    fn fail(&mut self, key: CacheKey, now: Instant) {
        if self.failures.len() >= FAILED_KEYS_MAX {
            self.failures
                .retain(|_, (_, last)| now.saturating_duration_since(*last) < UNFIT);
        }
        if self.failures.len() >= FAILED_KEYS_MAX {
            self.failures.clear();
        }
        let (count, last) = self.failures.entry(key).or_insert((0, now));
        (*count, *last) = (count.saturating_add(1), now);
    }
}

/// Leads a flight. Dropped, it has failed, and those who wait are freed.
#[derive(Debug)]
pub struct Lead {
    flights: Arc<Flights>,
    key: CacheKey,
    id: u64,
    since: Instant,
    /// The claim to it among all instances.
    claim: Option<Claim>,
    ended: bool,
}

impl Lead {
    /// How long the server has been asked for.
    pub fn age(&self) -> Duration {
        self.since.elapsed()
    }

    /// The server is asked from now on.
    pub fn departs(&mut self) {
        self.since = Instant::now();
    }

    /// Holds a claim among all instances until the flight has ended.
    pub fn hold(&mut self, claim: Claim) {
        self.claim = Some(claim);
    }

    /// The reply is here. What is returned is to be dropped once others can find it.
    pub(crate) fn land(mut self, stamp: &Stamp, entry: &Entry, ttl: Duration) -> Option<Claim> {
        let claim = self.claim.take();
        self.ended = true;
        let mut shard = self.flights.shard(&self.key);
        if !shard.failures.is_empty() {
            shard.failures.remove(&self.key);
        }
        if let Some(flight) = shard.take(&self.key, self.id) {
            let landed = || Landed {
                stamp: stamp.clone(),
                entry: entry.clone(),
                expires: Instant::now() + ttl,
            };
            if flight.followed.is_some() {
                let landed = Ending::Landed(Arc::new(landed()));
                self.flights.end(flight, landed);
            }
        }
        drop(shard);
        claim
    }

    /// Ends the flight without a reply and without a fault: those who wait look up again.
    pub fn give_way(mut self) {
        self.ended = true;
        if let Some(flight) = self.flights.shard(&self.key).take(&self.key, self.id) {
            self.flights.end(flight, Ending::Over);
        }
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        let mut shard = self.flights.shard(&self.key);
        if let Some(flight) = shard.take(&self.key, self.id) {
            if flight.followed.is_some() {
                shard.fail(self.key, Instant::now());
            }
            self.flights.end(flight, Ending::Over);
        }
    }
}

impl Shard {
    /// Removes a flight, unless another has taken its place.
    fn take(&mut self, key: &CacheKey, id: u64) -> Option<Flight> {
        self.flights
            .get(key)
            .is_some_and(|flight| flight.id == id)
            .then(|| self.flights.remove(key))?
    }
}

/// Waits for a flight.
#[derive(Debug)]
pub struct Follower {
    ending: watch::Receiver<Option<Ending>>,
    deadline: Instant,
}

impl Follower {
    /// Waits for the end of the flight, as long as that is allowed. Cancel safe.
    pub async fn ending(mut self) -> Ending {
        let ended = self.ending.wait_for(Option::is_some);
        match timeout_at(self.deadline.into(), ended).await {
            Ok(Ok(ending)) => ending.clone().unwrap_or(Ending::Over),
            Ok(Err(_)) => Ending::Over,
            Err(_) => Ending::Late,
        }
    }
}

/// Few, because only misses come here.
const SHARD_BITS: u32 = 4;

/// So often in a row may others wait for a key in vain: because its reply is an error, too large,
/// comes with a notice, or because clients leave. Then nobody waits for it for a while.
const FAILURES_MAX: u8 = 2;

/// How long that while is, and how long a failure counts.
const UNFIT: Duration = Duration::from_secs(60);

/// Keys of which failures are remembered, per shard.
const FAILED_KEYS_MAX: usize = 256;

#[cfg(test)]
mod tests;
