use std::sync::Arc;

use catalog::DatabaseId;
use config::Config;
use session::{Outcome, Shared, Telemetry};
use sql::Writes;
use store::{Flights, Store};

use super::*;
use crate::{database::Databases, refresh::Refresher, upstream::Upstream};

/// Nobody listens at its server, so that no database is ever known, and none is given up.
fn services() -> Arc<Services> {
    let config = Config::from_toml("upstream = 'postgres://u@127.0.0.1:1/db'").unwrap();
    let limits = store::Limits {
        bytes_max: 1 << 20,
        entry_bytes_max: 1 << 16,
        jitter_percent: 0,
    };
    let store = Store::memory(limits);
    let upstream = Arc::new(Upstream::new(&config.upstream).unwrap());
    let databases = Databases::new(&config, Arc::clone(&upstream), store.clone());
    let limits = session::Limits {
        analysis_bytes_max: 1 << 20,
        entry_bytes_max: 1 << 16,
        statements_max: 10,
    };
    let sessions = Arc::new(Shared::new(limits, Arc::new(Telemetry::default())));
    let flights = Arc::new(Flights::new(None));
    let kept = (store.clone(), Arc::clone(&flights));
    let refresher = Refresher::new(upstream, &config.upstream, kept, &sessions);
    let services = Services::new(store, databases, sessions, flights, refresher, None);
    Arc::new(services)
}

#[tokio::test]
async fn what_is_written_where_nobody_watches_is_noted_for_those_who_come() {
    let services = services();
    let others: Vec<_> = (0..100)
        .map(|number| services.databases.of(format!("d{number}").as_bytes()))
        .collect();
    assert!(others.iter().all(Option::is_some));
    let place = Place::new(Arc::clone(&services), b"late", None, false);
    assert!(place.database.get().is_none());
    let ledger = services.databases.ledger(b"late").unwrap();

    let held = place.mark(&Writes::Everything, None).await;
    assert!(ledger.is_blind(), "whoever comes now must not record");
    let mut marks = Marks::default();
    marks.push(1, held.expect("a mark"));
    marks.end(1, Outcome::Committed).await;
    assert!(!ledger.is_blind());

    // What is known by then of the name is marked, and given up.
    let id = DatabaseId {
        system: catalog::SystemId(1),
        oid: 5,
    };
    ledger.identify(id);
    let before = services.store.epoch(id).await.unwrap();
    let held = place.mark(&Writes::Everything, None).await;
    assert_eq!(services.store.epoch(id).await, Ok(None));
    marks.push(2, held.expect("a mark"));
    marks.end(2, Outcome::Committed).await;
    let after = services.store.epoch(id).await.unwrap();
    assert!(after.is_some() && after != before);
}
