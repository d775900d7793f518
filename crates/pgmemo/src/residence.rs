//! From the choice of a store to the store.

use std::time::Duration;

use config::{Config, Place, Problem, StoreChoice};
use store::{Limits, OnOutage, RedisMode, RedisSettings, State, Store, StoreError};
use tokio::time::{sleep, timeout};

/// How long `check` waits for a store to be up.
const UP_WAIT_MAX: Duration = Duration::from_secs(5);
const UP_POLL: Duration = Duration::from_millis(20);

/// Opens the store. It never waits for Redis: until Redis answers, PostgreSQL does.
pub(crate) fn open(config: &Config) -> Result<Store, StoreError> {
    let limits = Limits {
        bytes_max: config.cache.bytes_max,
        entry_bytes_max: config.cache.entry_bytes_max,
        jitter_percent: config.cache.jitter_percent,
    };
    match &config.store {
        StoreChoice::Memory => Ok(Store::memory(limits)),
        StoreChoice::Redis(redis) => {
            let settings = RedisSettings {
                url: redis.url.reveal().to_owned(),
                deadline: redis.deadline,
                prefix: redis.prefix.clone(),
                connections: redis.connections,
                mode: match redis.mode {
                    config::RedisMode::Strict => RedisMode::Strict,
                    config::RedisMode::Leases => RedisMode::Leases,
                },
                on_outage: match redis.on_outage {
                    config::OnOutage::Wait => OnOutage::Wait,
                    config::OnOutage::GoOn => OnOutage::GoOn,
                },
            };
            Store::redis(settings, limits)
        }
    }
}

/// What is wrong with the store, found out by using it.
pub(crate) async fn check(config: &Config) -> Option<Problem> {
    let problem = |what: String, remedy: &str| {
        let remedy = remedy.to_owned();
        Some(Problem {
            place: Place::Nowhere,
            what,
            remedy,
        })
    };
    let store = match open(config) {
        Ok(store) => store,
        Err(error) => {
            let remedy = "docs/configuration.md describes what store may be";
            return problem(format!("store: {error}"), remedy);
        }
    };
    let up = timeout(UP_WAIT_MAX, async {
        while store.status().state != State::Up {
            sleep(UP_POLL).await;
        }
    });
    let up = up.await.is_ok();
    let fault = store.fault().map(|fault| format!(": {fault}"));
    store.shutdown().await;
    if up {
        return None;
    }
    problem(
        format!(
            "the store is not up after {}{}",
            config::duration_text(UP_WAIT_MAX),
            fault.unwrap_or_default()
        ),
        "see that Redis is reached from here, takes the password, and allows EVAL; pgmemo would \
            serve without a cache",
    )
}
