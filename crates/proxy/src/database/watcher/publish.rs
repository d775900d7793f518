//! What sessions are told of a database.

use std::sync::{Arc, atomic::Ordering};

use catalog::{DatabaseId, Snapshot};
use session::Knowledge;
use store::{Point, delay};
use tokio::task::spawn_blocking;
use tracing::{info, warn};

use super::{
    super::{Rules, State},
    Watcher,
};
use crate::control::{ControlError, check::matches_any};

/// What was derived from a snapshot under some rules.
#[derive(Clone, Debug)]
pub(super) struct Published {
    snapshot: Arc<Snapshot>,
    rules: Arc<Rules>,
    schema: Arc<sql::Schema>,
    generation: u64,
    /// The fingerprint of its code.
    print: u64,
    /// The generation that came with this code. What was there before may come back, and with it the
    /// fingerprint: not so this.
    code: u64,
}

impl Watcher {
    /// Publishes what was read, under the rules of now.
    pub(super) async fn publish(&mut self) -> Result<(), ControlError> {
        let Some(seen) = &self.seen else {
            return Ok(());
        };
        let rules = self.common.rules.load_full();
        let print = seen.fingerprint.code();
        let published = self.derive((&seen.snapshot, print), &rules).await?;
        let (id, perils) = (seen.id, published.schema.perils());
        let knowledge = Knowledge {
            database: id,
            epoch: seen.epoch,
            generation: published.generation,
            code: published.code,
            drops: seen.drops,
            schema: Arc::clone(&published.schema),
            policy: Arc::clone(&rules.policy),
            asked: Arc::clone(&self.database.asked),
            served: self.served,
        };
        let drops = seen.drops;
        let before = self.published.replace(published);
        let before = before.map(|last| last.schema.perils());
        let dropped = self.drops.replace(drops);
        delay(Point::Publishing).await;
        let stands = self.stands();
        if stands.is_ok() {
            self.database.knowledge.store(Some(Arc::new(knowledge)));
        }
        let made = before.is_some_and(|before| before != perils);
        let dropped = dropped.is_some_and(|before| before != drops);
        if self.common.store.is_shared() && (made || dropped) {
            // Through another instance. Statements have been told to change nothing meanwhile,
            // and others have had time to record replies. Those that go on know it by now.
            self.bump(id, "code was made or dropped that may have run already")
                .await;
            self.database.refresh();
        }
        stands?;
        self.compare(rules);
        if self.set_state(State::Ready) {
            let relations = self
                .seen
                .as_ref()
                .map(|seen| seen.snapshot.relations().count());
            info!(relations, "catalog read; statements are looked up");
        }
        Ok(())
    }

    /// What follows from a snapshot under these rules: the same as last time, if they are the same.
    async fn derive(
        &self,
        (snapshot, print): (&Arc<Snapshot>, u64),
        rules: &Arc<Rules>,
    ) -> Result<Published, ControlError> {
        let last = self.published.as_ref().filter(|last| {
            Arc::ptr_eq(&last.snapshot, snapshot) && Arc::ptr_eq(&last.rules, rules)
        });
        if let Some(last) = last {
            return Ok(last.clone());
        }
        let (of, functions) = (Arc::clone(snapshot), Arc::clone(rules));
        let before = self.published.as_ref();
        let before = before.map(|last| Arc::clone(&last.schema));
        let derived =
            spawn_blocking(move || sql::Schema::after(before.as_deref(), of, &functions.functions));
        let schema = derived.await.map_err(|_| ControlError::unreadable())?;
        let generation = self.common.generation.fetch_add(1, Ordering::Relaxed);
        let same = self.published.as_ref().filter(|last| last.print == print);
        Ok(Published {
            snapshot: Arc::clone(snapshot),
            rules: Arc::clone(rules),
            schema: Arc::new(schema),
            generation,
            print,
            code: same.map_or(generation, |last| last.code),
        })
    }

    /// Compares rules with what is there, once.
    fn compare(&mut self, rules: Arc<Rules>) {
        let compared = self.compared.as_ref();
        if !compared.is_some_and(|compared| Arc::ptr_eq(compared, &rules)) {
            self.warn_of_idle_rules(&rules);
            self.compared = Some(rules);
        }
    }

    /// Names the rules that match nothing: a misspelt one would otherwise be silent.
    fn warn_of_idle_rules(&self, rules: &Rules) {
        let Some(seen) = &self.seen else { return };
        for pattern in rules.policy.patterns().filter(|pattern| pattern.is_exact()) {
            if !matches_any(&seen.snapshot, pattern) {
                warn!(%pattern, "the rule for this table matches nothing in this database");
            }
        }
    }

    /// The server has said which database this is.
    pub(super) fn identify(&self, id: DatabaseId) -> Result<(), ControlError> {
        self.stands()?;
        self.database.ledger.identify(id);
        Ok(())
    }

    /// Whether the connection has not been lost. If it is lost behind this, what was said is taken
    /// back as soon as this task waits for something.
    fn stands(&self) -> Result<(), ControlError> {
        if self.lost.is_cancelled() {
            return Err(ControlError::closed());
        }
        Ok(())
    }
}
