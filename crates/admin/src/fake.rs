//! A proxy for tests.

use std::sync::{
    Mutex,
    atomic::{AtomicBool, Ordering},
};

use session::{Statistics, Telemetry};

use crate::{Observed, Part, Readiness};

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
