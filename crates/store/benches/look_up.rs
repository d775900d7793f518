//! What a hit costs: `cargo bench -p pgmemo-store`.
//!
//! CPU time of this process, so that a busy machine does not count; Linux only. In memory, on one
//! thread and on all; in Redis, one client waiting for each answer and many sharing the
//! connections; near, under a lease. What Redis itself spends is not in it.

#![expect(clippy::unwrap_used, reason = "a benchmark may fail")]

#[path = "../tests/server/mod.rs"]
#[expect(dead_code, reason = "tests use more of it")]
mod server;

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use cache::{CacheKey, DigestBuilder, Entry, Scope, Version};
use catalog::{DatabaseId, RelationId, SystemId};
use pgmemo_store::{Fill, Found, Limits, OnOutage, Question, RedisMode, RedisSettings, Store};

const DATABASE: DatabaseId = DatabaseId {
    system: SystemId(1),
    oid: 5,
};
const SCOPES: [Scope; 2] = [
    Scope::Relation(DATABASE, RelationId::from_oid(1)),
    Scope::Relation(DATABASE, RelationId::from_oid(2)),
];
const TTL: Duration = Duration::from_secs(600);
const LIMITS: Limits = Limits {
    bytes_max: 1 << 28,
    entry_bytes_max: 1 << 20,
    jitter_percent: 10,
};
const KEYS: u64 = 1000;

fn main() {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for bytes in [100, 10_000] {
        let memory = Store::memory(LIMITS);
        let epoch = runtime.block_on(warm(&memory, bytes));
        for threads in [1, threads] {
            let spent = in_memory(&memory, epoch, threads);
            println!(
                "memory, {bytes} bytes, {threads} threads: {:.0} ns a hit",
                spent * 1e9
            );
        }

        let server = server::Server::start(&[]);
        let mut settings = RedisSettings {
            url: format!("redis://127.0.0.1:{}", server.port()),
            deadline: Duration::from_secs(1),
            prefix: "bench".to_owned(),
            connections: 2,
            mode: RedisMode::Strict,
            on_outage: OnOutage::Wait,
        };
        let strict = settings.clone();
        runtime.block_on(async {
            let redis = Store::redis(strict, LIMITS).unwrap();
            let epoch = warm(&redis, bytes).await;
            for clients in [1, 16, 128] {
                let (start, spent) = (Instant::now(), cpu());
                let hits = f64::from(in_redis(&redis, epoch, clients).await);
                let each = (cpu() - spent) / hits;
                let waited = start.elapsed().as_secs_f64() / hits * f64::from(clients);
                println!(
                    "redis, {bytes} bytes, {clients} clients: {:.1} µs a hit, {:.0} µs waited",
                    each * 1e6,
                    waited * 1e6,
                );
            }
            redis.shutdown().await;
        });

        settings.mode = RedisMode::Leases;
        let (leases, epoch) = runtime.block_on(async {
            let leases = Store::redis(settings, LIMITS).unwrap();
            warm(&leases, bytes).await;
            // Once more under a lease, so that all of it is near.
            tokio::time::sleep(Duration::from_secs(1)).await;
            let epoch = warm(&leases, bytes).await;
            (leases, epoch)
        });
        for threads in [1, threads] {
            let spent = in_memory(&leases, epoch, threads);
            println!(
                "near, {bytes} bytes, {threads} threads: {:.0} ns a hit",
                spent * 1e9
            );
        }
        runtime.block_on(leases.shutdown());
    }
}

/// Seconds that this process has spent, in hundredths.
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let (_, fields) = stat.rsplit_once(')').unwrap();
    let ticks = fields.split_whitespace().skip(11).take(2);
    ticks
        .map(|field| field.parse::<f64>().unwrap())
        .sum::<f64>()
        / 100.0
}

fn key(n: u64) -> CacheKey {
    let mut fields = DigestBuilder::default();
    fields.number(n % KEYS);
    fields.into_key().0
}

const fn question(key: &CacheKey, epoch: Version) -> Question<'_> {
    Question {
        key,
        database: DATABASE,
        epoch,
        scopes: &SCOPES,
        ttl: TTL,
    }
}

/// Fills all keys; returns the epoch.
async fn warm(store: &Store, bytes: usize) -> Version {
    let epoch = loop {
        if let Ok(Some(epoch)) = store.epoch(DATABASE).await {
            break epoch;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    for key in (0..KEYS).map(key) {
        loop {
            match store.look_up(&question(&key, epoch)).await {
                Found::Hit(_) => break,
                Found::Miss(stamp) => store.fill(Fill {
                    key,
                    database: DATABASE,
                    scopes: SCOPES.as_slice().into(),
                    stamp,
                    entry: Entry::new(vec![b'x'; bytes].into(), 0, 0, 1).unwrap(),
                    ttl: TTL,
                    beyond: Duration::ZERO,
                }),
                Found::InFlight | Found::Outdated | Found::Unavailable => {}
            }
            tokio::task::yield_now().await;
        }
    }
    epoch
}

/// Seconds per hit.
fn in_memory(store: &Store, epoch: Version, threads: usize) -> f64 {
    const HITS: u64 = 3_000_000;
    let keys: Vec<_> = (0..KEYS).map(key).collect();
    let spent = cpu();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .build()
                    .unwrap();
                runtime.block_on(async {
                    for key in keys.iter().cycle().take(HITS.try_into().unwrap()) {
                        let found = store.look_up(&question(key, epoch)).await;
                        assert!(matches!(black_box(found), Found::Hit(_)));
                    }
                });
            });
        }
    });
    (cpu() - spent) / (HITS * threads as u64) as f64
}

/// How many hits so many clients had together.
async fn in_redis(store: &Store, epoch: Version, clients: u32) -> u32 {
    let each = 40_000 / clients.max(4);
    let mut tasks = tokio::task::JoinSet::new();
    for client in 0..clients {
        let store = store.clone();
        tasks.spawn(async move {
            for n in 0..each {
                let key = key(u64::from(client * 7 + n));
                let found = store.look_up(&question(&key, epoch)).await;
                assert!(matches!(found, Found::Hit(_)), "{found:?}");
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    each * clients
}
