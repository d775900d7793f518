//! Metrics, health and a dashboard over HTTP, and the console in PostgreSQL's protocol, on one port.
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
mod history;
mod http;
mod metrics;
mod page;
mod readiness;
mod show;
mod table;

use std::time::Duration;

use config::ShownSetting;
use session::{Statistics, Telemetry};
use sql::Reason;

pub use http::serve;
pub use readiness::{Part, Readiness, State};

/// What is looked at: the proxy, which this crate must not know.
pub trait Observed: Send + Sync + 'static {
    /// What its sessions have counted.
    fn telemetry(&self) -> &Telemetry;

    /// What it has counted of each statement.
    fn statistics(&self) -> &Statistics;

    /// What is set, as anyone may see it.
    fn settings(&self) -> Vec<ShownSetting>;

    /// The databases that are watched.
    fn databases(&self) -> Vec<ShownDatabase>;

    /// Their tables, those first that are written most, and no more than `limit`.
    fn tables(&self, limit: usize) -> Vec<ShownTable>;

    /// How its store is doing. Called per scrape; must not wait.
    fn store(&self) -> store::Status;

    /// Whether clients should come here. Called per request; must not wait, so the answer is what
    /// was found out last.
    fn readiness(&self) -> Readiness;
}

/// A database that is watched.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ShownDatabase {
    /// Its name.
    pub name: String,
    /// How it is doing, as a stable code.
    pub state: &'static str,
    /// Why, if there is more to say. Anyone who reaches the port reads it.
    pub reason: Option<String>,
}

/// A table of a database that is watched.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ShownTable {
    /// The database.
    pub database: String,
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// How long replies that read it alone live, if they are kept.
    pub ttl: Option<Duration>,
    /// Why no reply that reads it is kept.
    pub reason: Option<Reason>,
    /// How often rows of it were written that could be told apart.
    pub row_writes: u64,
    /// How often any of its rows may have been.
    pub table_writes: u64,
}
