//! Levels that fall again, however their cause ends.

use std::sync::Arc;

use session::{Gauge, Telemetry};

/// One more of what is counted, until it is dropped.
pub(crate) struct Counted {
    telemetry: Arc<Telemetry>,
    gauge: fn(&Telemetry) -> &Gauge,
}

impl Counted {
    /// Counts one.
    pub(crate) fn new(telemetry: &Arc<Telemetry>, gauge: fn(&Telemetry) -> &Gauge) -> Self {
        gauge(telemetry).add(1);
        Self {
            telemetry: Arc::clone(telemetry),
            gauge,
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        (self.gauge)(&self.telemetry).add(-1);
    }
}

impl std::fmt::Debug for Counted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Counted")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_is_cut_off_is_counted_no_more() {
        let telemetry = Arc::new(Telemetry::default());
        let (counting, (seen, sees)) = (Arc::clone(&telemetry), tokio::sync::oneshot::channel());
        let task = tokio::spawn(async move {
            let _counted = Counted::new(&counting, |it| &it.clients);
            seen.send(counting.clients.value()).unwrap();
            panic!("a client's task is not to end like this");
        });
        assert_eq!(sees.await.unwrap(), 1);
        task.await.unwrap_err();
        assert_eq!(telemetry.clients.value(), 0);
    }
}
