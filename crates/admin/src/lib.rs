//! Metrics and health over HTTP, and the console in PostgreSQL's protocol, on one port.
//!
//! `/metrics` for Prometheus, `/healthz` for whoever restarts processes, `/readyz` for whoever
//! sends clients here, and `SHOW …` for whoever asks with `psql`. All are read only and without a
//! password; where they listen is the operator's choice.
//!
//! Invariant: nothing here is on a statement's road. Sessions count in plain atomics, and a scrape
//! reads them.

mod console;
#[cfg(test)]
mod fake;
mod http;
mod metrics;
mod readiness;
mod show;
mod table;

use session::{Statistics, Telemetry};

pub use http::serve;
pub use readiness::{Part, Readiness, State};

/// What is looked at: the proxy, which this crate must not know.
pub trait Observed: Send + Sync + 'static {
    /// What its sessions have counted.
    fn telemetry(&self) -> &Telemetry;

    /// What it has counted of each statement.
    fn statistics(&self) -> &Statistics;

    /// How its store is doing. Called per scrape; must not wait.
    fn store(&self) -> store::Status;

    /// Whether clients should come here. Called per request; must not wait, so the answer is what
    /// was found out last.
    fn readiness(&self) -> Readiness;
}
