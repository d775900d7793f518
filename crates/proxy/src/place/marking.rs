//! Marks: what a statement may write is marked before it can.

use std::{sync::Arc, time::Duration};

use cache::Scope;
use catalog::DatabaseId;
use session::Definitions;
use sql::Writes;
use store::Mark;
use tokio::time::Instant;

use super::Place;
use crate::{
    database::{Ledger, Visit},
    marks::{Blind, Held, Planned, Told},
};

/// How long after its login a client's writes wait until they can be told to other instances; where a
/// database of that name is remembered, how long after the first who asked. Later they are sent
/// without: the server does not say which database it is, and may not for long.
const NAME_MAX: Duration = Duration::from_secs(5);

impl Place {
    /// Resolves when it is known, or will not be for now, which database this is; `None` if a write has
    /// not to wait for that. Where it is not known, other instances may serve what a write changes, and
    /// nobody could tell them.
    pub(crate) fn named(&self) -> Option<impl Future<Output = ()> + Send + use<>> {
        if !self.services.store.is_shared() {
            return None;
        }
        let database = self.watched()?;
        let deadline = database.ledger().wanted_since(self.seated)? + NAME_MAX;
        let (database, came) = (database.clone(), self.seated);
        let late = Instant::now() >= deadline;
        (!late).then_some(async move { database.named(came, deadline).await })
    }

    /// Marks what a statement may write, which was told from what was `planned`. Never fails: see [`store::Mark`].
    pub(crate) async fn mark(&self, writes: &Writes, planned: Option<Planned>) -> Option<Held> {
        if writes.is_unbounded() {
            self.services.databases.leave_vacant(&self.name);
        }
        let Some(database) = self.watched() else {
            return self.mark_unwatched(writes).await;
        };
        let identity = match database.ledger().identity() {
            Some(identity) => identity,
            None => {
                let mut blind = Blind::new(&self.services, database.ledger(), Some(database));
                // Whoever sees what is known from now on sees the count as well.
                match database.ledger().identity() {
                    Some(identity) => identity,
                    None => {
                        blind.mark = self.mark_remembered(writes, database.ledger()).await;
                        return Some(Held::Blind(blind));
                    }
                }
            }
        };
        let telemetry = self.telemetry();
        match writes {
            Writes::Nothing => None,
            Writes::Code => Some(Held::Code(self.told(database, identity, planned))),
            Writes::Relations(_) | Writes::Rows(_) => {
                let scopes = session::written(writes, identity);
                for scope in &scopes {
                    match scope {
                        Scope::Bulk(..) => telemetry.table_bumps.inc(),
                        Scope::Row(..) | Scope::Insert(..) => telemetry.row_bumps.inc(),
                        Scope::Relation(..) | Scope::Epoch(_) | Scope::Drops(_) => {}
                    }
                }
                self.services.written.count(&scopes);
                let hottest = self.services.refresher.hit_by(&scopes);
                let mark = self.services.store.mark(&scopes).await;
                self.services.flights.outdate(&scopes);
                let told = Told {
                    hottest,
                    ..self.told(database, identity, planned)
                };
                Some(Held::Relations(mark, told))
            }
            Writes::Everything => {
                telemetry.epoch_bumps.inc();
                let scope = Scope::Epoch(identity);
                let mark = self.services.store.mark(&[scope]).await;
                self.services.flights.outdate(&[scope]);
                // Any change since then could be one of what fires on definitions.
                let planned = planned.map(|(epoch, _)| (epoch, Definitions::UNKNOWN));
                let told = self.told(database, identity, planned);
                Some(Held::Everything(mark, Some(told)))
            }
            Writes::Cluster => {
                telemetry.epoch_bumps.inc();
                let scopes = self.cluster(identity);
                let mark = self.services.store.mark(&scopes).await;
                self.services.flights.outdate(&scopes);
                Some(Held::Everything(mark, None))
            }
        }
    }

    /// The database, which may be watched by now although it was not at the login.
    fn watched(&self) -> Option<&Visit> {
        if self.database.get().is_none()
            && let Some(database) = self.services.databases.seek(&self.name)
        {
            // Only this client's task sets it.
            _ = self.database.set(database);
        }
        self.database.get()
    }

    /// The same in a database that is not watched. It may be at any moment, for somebody else.
    async fn mark_unwatched(&self, writes: &Writes) -> Option<Held> {
        let ledger = self.ledger.as_ref()?;
        let mut blind = Blind::new(&self.services, ledger, None);
        blind.mark = self.mark_remembered(writes, ledger).await;
        Some(Held::Blind(blind))
    }

    fn told(&self, database: &Visit, identity: DatabaseId, planned: Option<Planned>) -> Told {
        Told {
            services: Arc::clone(&self.services),
            identity,
            database: database.clone(),
            planned,
            hottest: Vec::new(),
        }
    }

    /// Marks everything in the database that bore the name last: most likely it still does.
    async fn mark_remembered(&self, writes: &Writes, ledger: &Ledger) -> Option<Mark> {
        let identity = ledger.remembered()?;
        let scopes = match writes {
            Writes::Nothing => return None,
            Writes::Code | Writes::Relations(_) | Writes::Rows(_) | Writes::Everything => {
                vec![Scope::Epoch(identity)]
            }
            Writes::Cluster => self.cluster(identity),
        };
        self.telemetry().epoch_bumps.inc();
        let mark = self.services.store.mark(&scopes).await;
        self.services.flights.outdate(&scopes);
        Some(mark)
    }

    /// The epochs of all databases of a cluster: those that the catalog lists, and those that were
    /// made since and are known here.
    fn cluster(&self, identity: DatabaseId) -> Vec<Scope> {
        let mut all = self.services.databases.identities();
        all.push(identity);
        if let Some(known) = self.database.get().and_then(|it| it.knowledge()) {
            let listed = known.schema.snapshot().databases();
            all.extend(listed.iter().map(|&oid| DatabaseId { oid, ..identity }));
        }
        all.retain(|id| id.system == identity.system);
        all.sort_unstable();
        all.dedup();
        all.into_iter().map(Scope::Epoch).collect()
    }
}
