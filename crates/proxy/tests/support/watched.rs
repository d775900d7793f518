//! A database that is watched, and nothing around it.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use cache::Version;
use config::{CacheSettings, Config, Limits, StoreChoice, TlsMode};
use pgmemo_proxy::{
    database::{Databases, State, Visit},
    upstream::Upstream,
};
use session::Knowledge;
use store::Store;
use tokio::time::{Instant, sleep};

use super::Postgres;

/// Far more than anything here takes.
pub(crate) const SOON: Duration = Duration::from_secs(30);

/// A catalog age at which nothing happens by itself during a test.
pub(crate) const NEVER: Duration = Duration::from_secs(3600);

pub(crate) fn config(server: &Postgres, catalog_age_max: Duration) -> Config {
    Config {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        upstream: server.upstream(TlsMode::Prefer),
        store: StoreChoice::Memory,
        admin: None,
        cache: CacheSettings {
            default_ttl: Some(Duration::from_secs(60)),
            catalog_age_max,
            ..CacheSettings::default()
        },
        limits: Limits::default(),
        tls: None,
        tables: Vec::new(),
        functions: Vec::new(),
        testing_forget: None,
        testing_delay: None,
    }
}

/// One database, watched.
pub(crate) struct Watched {
    pub(crate) databases: Databases,
    pub(crate) database: Visit,
    pub(crate) store: Store,
}

impl Watched {
    pub(crate) fn start(config: &Config, name: &str) -> Self {
        let limits = store::Limits {
            bytes_max: 1 << 20,
            entry_bytes_max: 1 << 16,
            jitter_percent: 0,
        };
        let store = Store::memory(limits);
        let upstream = Arc::new(Upstream::new(&config.upstream).unwrap());
        let databases = Databases::new(config, upstream, store.clone());
        let database = databases.of(name.as_bytes()).unwrap();
        Self {
            databases,
            database,
            store,
        }
    }

    pub(crate) async fn ready(config: &Config, name: &str) -> Self {
        let watched = Self::start(config, name);
        assert!(watched.fresh().await, "{:?}", watched.database.state());
        assert_eq!(watched.database.state(), State::Ready);
        watched
    }

    pub(crate) async fn fresh(&self) -> bool {
        self.database.wait_fresh(Instant::now() + SOON).await
    }

    pub(crate) fn knowledge(&self) -> Arc<Knowledge> {
        self.database.knowledge().unwrap()
    }

    pub(crate) async fn epoch(&self) -> Version {
        self.store
            .epoch(self.knowledge().database)
            .await
            .unwrap()
            .unwrap()
    }

    /// Waits until something that is published satisfies `wanted`.
    pub(crate) async fn await_knowledge(&self, wanted: impl Fn(Option<&Knowledge>) -> bool) {
        let end = Instant::now() + SOON;
        while !wanted(self.database.knowledge().as_deref()) {
            assert!(Instant::now() < end, "{:?}", self.database.state());
            sleep(Duration::from_millis(5)).await;
        }
    }
}
