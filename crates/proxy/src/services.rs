//! What all clients share.

use std::sync::Arc;

use store::{Flights, Store};
use tokio_util::task::TaskTracker;

use crate::{cancels::Cancels, database::Databases, refresh::Refresher, written::Written};

/// What all clients share.
#[derive(Debug)]
pub(crate) struct Services {
    pub(crate) store: Store,
    pub(crate) databases: Databases,
    pub(crate) flights: Arc<Flights>,
    pub(crate) cancels: Cancels,
    pub(crate) refresher: Refresher,
    pub(crate) sessions: Arc<session::Shared>,
    pub(crate) written: Written,
    /// Tasks that outlive their client.
    pub(crate) tasks: TaskTracker,
    /// See [`config::Config::testing_forget`].
    pub(crate) forget: Option<u64>,
}

impl Services {
    pub(crate) fn new(
        store: Store,
        databases: Databases,
        sessions: Arc<session::Shared>,
        flights: Arc<Flights>,
        refresher: Refresher,
        forget: Option<u64>,
    ) -> Self {
        let tasks = TaskTracker::new();
        Self {
            store,
            databases,
            flights,
            cancels: Cancels::default(),
            refresher,
            sessions,
            written: Written::default(),
            tasks,
            forget,
        }
    }
}
