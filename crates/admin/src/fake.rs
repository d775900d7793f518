//! A proxy for tests.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use config::ShownSetting;
use session::{Statistics, Telemetry};

use crate::{Observed, Part, Readiness, ShownDatabase, ShownTable};

/// A proxy that says what the test wants.
pub(crate) struct Fake {
    pub(crate) telemetry: Telemetry,
    pub(crate) statistics: Statistics,
    pub(crate) store: store::Store,
    pub(crate) fenced: AtomicBool,
    pub(crate) readiness: Mutex<Readiness>,
}

impl Default for Fake {
    fn default() -> Self {
        let limits = store::Limits {
            bytes_max: 1 << 20,
            entry_bytes_max: 1 << 16,
            jitter_percent: 0,
        };
        Self {
            telemetry: Telemetry::default(),
            statistics: Statistics::new(100),
            store: store::Store::memory(limits),
            fenced: AtomicBool::new(false),
            readiness: Mutex::new(Readiness {
                parts: vec![Part::ready("upstream")],
            }),
        }
    }
}

impl Observed for Fake {
    fn telemetry(&self) -> &Telemetry {
        &self.telemetry
    }

    fn statistics(&self) -> &Statistics {
        &self.statistics
    }

    fn settings(&self) -> Vec<ShownSetting> {
        vec![ShownSetting {
            key: "cache.default_ttl".to_owned(),
            value: "5m".to_owned(),
            default: Some("60s"),
            reloads: true,
        }]
    }

    fn databases(&self) -> Vec<ShownDatabase> {
        vec![ShownDatabase {
            name: "shop".to_owned(),
            state: "ready",
            reason: None,
        }]
    }

    fn tables(&self, _: usize) -> Vec<ShownTable> {
        let table = |name: &str, writes| ShownTable {
            database: "shop".to_owned(),
            schema: "public".to_owned(),
            name: name.to_owned(),
            ttl: Some(Duration::from_millis(1500)),
            reason: None,
            row_writes: writes,
            table_writes: 0,
        };
        vec![table("stock", 7), table("city", 1)]
    }

    fn store(&self) -> store::Status {
        let mut status = self.store.status();
        if self.fenced.load(Ordering::Relaxed) {
            status.state = store::State::Fenced;
            status.owed = 3;
            status.entries = None;
        }
        status
    }

    fn readiness(&self) -> Readiness {
        self.readiness.lock().unwrap().clone()
    }
}
