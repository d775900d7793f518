//! What must hold of a store in Redis, in whatever mode, in good times and in bad ones.
//!
//! Every test starts its own `redis-server` on a free port. Waits have generous bounds: what is
//! tested is what is served, and that nobody hangs.

mod cuts;
mod ends;
mod masters;
mod prints;
mod replies;
mod roads;
mod troubles;

use std::time::{Duration, Instant};

use cache::{CacheKey, DigestBuilder, Entry, Scope, Stamp, Version};
use catalog::{DatabaseId, RelationId, SystemId};
use pgmemo_store::{Fill, Found, Limits, Mark, OnOutage, Question, RedisSettings, Store};

use crate::{MODE, server::Server};

pub(crate) const DATABASE: DatabaseId = DatabaseId {
    system: SystemId(0xabc),
    oid: 5,
};
pub(crate) const TTL: Duration = Duration::from_secs(600);
/// Far above what is needed, because tests share their machine.
const DEADLINE: Duration = Duration::from_millis(250);

pub(crate) fn settings(server: &Server) -> RedisSettings {
    RedisSettings {
        url: format!("redis://127.0.0.1:{}", server.port()),
        deadline: DEADLINE,
        prefix: "test".to_owned(),
        connections: 2,
        mode: MODE,
        on_outage: OnOutage::Wait,
    }
}

pub(crate) fn limits() -> Limits {
    Limits {
        bytes_max: 1 << 20,
        entry_bytes_max: 1 << 16,
        jitter_percent: 10,
    }
}

fn store(server: &Server) -> Store {
    Store::redis(settings(server), limits()).unwrap()
}

/// A store that answers.
pub(crate) async fn ready(server: &Server) -> Store {
    ready_by(settings(server)).await
}

/// The same whose writes go on soon without Redis.
pub(crate) async fn hasty(server: &Server) -> Store {
    let mut settings = settings(server);
    settings.on_outage = OnOutage::GoOn;
    ready_by(settings).await
}

pub(crate) async fn ready_by(settings: RedisSettings) -> Store {
    let store = Store::redis(settings, limits()).unwrap();
    eventually(async || matches!(store.epoch(DATABASE).await, Ok(Some(_)))).await;
    store
}

const RELATION: [Scope; 1] = [Scope::Relation(DATABASE, RelationId::from_oid(1))];

pub(crate) fn scope(oid: u32) -> Scope {
    Scope::Relation(DATABASE, RelationId::from_oid(oid))
}

fn key(n: u64) -> CacheKey {
    let mut fields = DigestBuilder::default();
    fields.number(n);
    fields.into_key().0
}

fn entry(text: &str) -> Entry {
    Entry::new(text.to_owned().into(), 0, 0, 1).unwrap()
}

/// Awaits an event that has to come within half a minute.
pub(crate) async fn eventually(mut happened: impl AsyncFnMut() -> bool) {
    within(Duration::from_secs(30), &mut happened).await;
}

pub(crate) async fn within(bound: Duration, happened: &mut impl AsyncFnMut() -> bool) {
    let start = Instant::now();
    while !happened().await {
        assert!(
            start.elapsed() < bound,
            "it has not happened within {bound:?}"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A reply that depends on relation 1.
pub(crate) struct Reader<'a> {
    pub(crate) store: &'a Store,
    pub(crate) key: CacheKey,
    pub(crate) scopes: &'a [Scope],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(store: &'a Store, n: u64) -> Self {
        Self {
            store,
            key: key(n),
            scopes: &RELATION,
        }
    }

    async fn ask(&self, ttl: Duration) -> Found {
        match self.store.epoch(DATABASE).await {
            Ok(Some(epoch)) => self.question(epoch, ttl).await,
            Ok(None) | Err(_) => Found::Unavailable,
        }
    }

    /// Asks without asking for the epoch first, as a session does.
    pub(crate) async fn ask_under(&self, epoch: Version) -> Found {
        self.question(epoch, TTL).await
    }

    pub(crate) async fn epoch(&self) -> Version {
        let mut epoch = None;
        eventually(async || {
            epoch = self.store.epoch(DATABASE).await.ok().flatten();
            epoch.is_some()
        })
        .await;
        epoch.unwrap()
    }

    async fn question(&self, epoch: Version, ttl: Duration) -> Found {
        let (key, scopes) = (&self.key, self.scopes);
        let question = Question {
            key,
            database: DATABASE,
            epoch,
            scopes,
            ttl,
        };
        self.store.look_up(&question).await
    }

    pub(crate) async fn look_up(&self) -> Found {
        self.ask(TTL).await
    }

    pub(crate) async fn stamp(&self) -> Stamp {
        let mut stamp = None;
        eventually(async || {
            if let Found::Miss(found) = self.look_up().await {
                stamp = Some(found);
            }
            stamp.is_some()
        })
        .await;
        stamp.unwrap()
    }

    pub(crate) fn fill(&self, stamp: Stamp, text: &str) {
        self.store.fill(Fill {
            key: self.key,
            database: DATABASE,
            scopes: self.scopes.into(),
            stamp,
            entry: entry(text),
            ttl: TTL,
            beyond: Duration::ZERO,
        });
    }

    async fn text(&self) -> Option<String> {
        match self.look_up().await {
            Found::Hit(entry) => Some(String::from_utf8(entry.frames().to_vec()).unwrap()),
            Found::Miss(_) | Found::InFlight | Found::Outdated | Found::Unavailable => None,
        }
    }

    /// Fills a reply and sees it served.
    pub(crate) async fn warm(&self, text: &str) {
        self.fill(self.stamp().await, text);
        eventually(async || self.text().await.as_deref() == Some(text)).await;
    }

    /// Sees that until something else can be recorded and served, `text` is not.
    pub(crate) async fn never_again(&self, text: &str, new: &str) {
        self.never_again_within(Duration::from_secs(30), text, new)
            .await;
    }

    pub(crate) async fn never_again_within(&self, bound: Duration, text: &str, new: &str) {
        within(bound, &mut async || match self.look_up().await {
            Found::Hit(entry) if entry.frames() == new => true,
            Found::Hit(entry) => panic!("{:?} after {text}", entry.frames()),
            Found::Miss(stamp) => {
                self.fill(stamp, new);
                false
            }
            Found::InFlight | Found::Outdated | Found::Unavailable => false,
        })
        .await;
    }
}

pub(crate) async fn write(store: &Store, oid: u32) -> Mark {
    store.mark(&[scope(oid)]).await
}
