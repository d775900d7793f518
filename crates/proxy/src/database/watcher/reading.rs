//! Reading the catalog, and telling whether what was read still holds.

use std::sync::{Arc, atomic::Ordering};

use cache::Version;
use catalog::{DatabaseId, Identity, Snapshot};
use store::{Point, delay};
use tokio::{task::spawn_blocking, time::Instant};
use tracing::{debug, info};

use super::{super::State, PAUSE_MAX, PAUSE_MIN, Watcher};
use crate::control::{Control, ControlError, Fingerprint, Reading};

/// A reading, and what it was true of.
#[derive(Debug)]
pub(super) struct Seen {
    identity: Identity,
    pub(super) id: DatabaseId,
    pub(super) epoch: Version,
    /// See [`session::Knowledge::drops`].
    pub(super) drops: Version,
    pub(super) fingerprint: Fingerprint,
    pub(super) snapshot: Arc<Snapshot>,
}

impl Seen {
    /// Names a change that came from elsewhere, if replies may differ for it.
    fn untold(&self, now: &Fingerprint) -> Option<String> {
        let changed = self.fingerprint.differences(now);
        (!changed.is_empty()).then(|| format!("changed elsewhere: {changed}"))
    }
}

impl Watcher {
    /// Reads the catalog. What may go better next time is tried again soon.
    pub(super) async fn attempt(&mut self, control: &Control) -> Result<(), ControlError> {
        // Under a mark there is no epoch to read under.
        self.give_up().await;
        let asked = self.database.asked.load(Ordering::Acquire);
        match self.read(control).await {
            Ok(()) => {
                self.served = asked;
                self.publish().await?;
                self.owes_reading = false;
                self.pause = PAUSE_MIN;
                self.gave_up.store(false, Ordering::Relaxed);
                self.due = Instant::now() + self.common.catalog_age_max;
                self.database
                    .progress
                    .send_modify(|progress| progress.served = asked);
                // Whoever doubts from here on asks for another reading.
                self.settle().await;
                Ok(())
            }
            Err(error) if error.is_passing() => {
                debug!(%error, "catalog not read");
                let pause = self.longer_pause();
                // What fails for a moment, as a store that is just being reached, is waited for.
                if pause >= PAUSE_MAX
                    && self.database.state() != State::Ready
                    && self.set_state(State::Unread(error.to_string().into()))
                {
                    info!(%error, "the catalog is not read; statements go by without the cache");
                }
                self.owes_reading = true;
                self.due = Instant::now() + pause;
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Reads the catalog under an epoch that was current before; bumps the epoch first where
    /// entries may have outlived what they were computed from, or others have read something else.
    async fn read(&mut self, control: &Control) -> Result<(), ControlError> {
        let mut bumped = None;
        for _ in 0..READINGS_MAX {
            let identity = control.identity().await?;
            let id = identity.database_id().ok_or_else(ControlError::anonymous)?;
            // Reading the catalog may have to wait for a lock; what is written meanwhile is marked.
            self.identify(id)?;
            let known = self.seen.as_ref().filter(|seen| seen.identity == identity);
            if known.is_none() && bumped != Some(identity) {
                self.bump(id, "this server was not watched until now").await;
                bumped = Some(identity);
            }
            let store = &self.common.store;
            let epoch = store.epoch(id).await.ok().flatten();
            let epoch = epoch.ok_or(ControlError::NoEpoch)?;
            // What was dropped before that epoch is seen here.
            let drops = store.drops(id).await.ok().flatten();
            let drops = drops.ok_or(ControlError::NoEpoch)?;
            delay(Point::Reading).await;
            let known = self.seen.as_ref().filter(|seen| seen.identity == identity);
            let print = known.map(|seen| (&seen.fingerprint, seen.snapshot.initdb()));
            let reading = control.read_catalog(print).await?;
            let now = reading.as_ref().map(|reading| &reading.fingerprint);
            let untold = known
                .filter(|seen| seen.epoch == epoch)
                .zip(now)
                .and_then(|(seen, now)| seen.untold(now));
            if let Some(why) = untold {
                // Unless it was told in between.
                if self.common.store.epoch(id).await == Ok(Some(epoch)) {
                    self.bump(id, &why).await;
                }
                continue;
            }
            let now = now.or_else(|| known.map(|seen| &seen.fingerprint));
            if let Some(print) = now.map(Fingerprint::print)
                && self.is_contradicted(id, epoch, &print).await
            {
                continue;
            }
            let Some(reading) = reading else {
                // Something unknown was done, and did not touch definitions.
                if let Some(seen) = &mut self.seen {
                    seen.epoch = epoch;
                    seen.drops = drops;
                }
                return Ok(());
            };
            let (fingerprint, snapshot) = index(reading).await?;
            self.seen = Some(Seen {
                identity,
                id,
                epoch,
                drops,
                fingerprint,
                snapshot,
            });
            return Ok(());
        }
        Err(ControlError::Restless)
    }

    /// Whether the last reading still holds: the cheap look.
    ///
    /// A change that nobody told us of ends the old entries at once, even if reading the new
    /// definitions then has to wait for a lock.
    pub(super) async fn is_unchanged(&mut self, control: &Control) -> Result<bool, ControlError> {
        let Some(seen) = &self.seen else {
            return Ok(false);
        };
        if control.identity().await? != seen.identity {
            return Err(ControlError::Lost(
                "the server has become another one".to_owned(),
            ));
        }
        self.identify(seen.id)?;
        let fingerprint = control.fingerprint().await?;
        if self.common.store.epoch(seen.id).await != Ok(Some(seen.epoch)) {
            return Ok(false);
        }
        if seen.fingerprint.holds(&fingerprint) {
            let (id, epoch, print) = (seen.id, seen.epoch, seen.fingerprint.print());
            // Lest it is forgotten there what was read under this epoch.
            if self.is_contradicted(id, epoch, &print).await {
                return Ok(false);
            }
            self.due = Instant::now() + self.common.catalog_age_max;
            return Ok(true);
        }
        // Had the change come through pgmemo, the epoch would have been taken away before it was
        // committed, and we have seen it committed.
        if let Some(why) = seen.untold(&fingerprint) {
            self.bump(seen.id, &why).await;
        }
        Ok(false)
    }

    /// Whether definitions may have been changed through another instance. Who looks something up
    /// finds out by itself; but not all do.
    pub(super) async fn is_behind(&self) -> bool {
        let Some(seen) = &self.seen else { return false };
        let epoch = self.common.store.epoch(seen.id).await;
        matches!(epoch, Ok(Some(epoch)) if epoch != seen.epoch)
    }
}

/// Indexes a reading, away from the threads that serve clients.
async fn index(reading: Reading) -> Result<(Fingerprint, Arc<Snapshot>), ControlError> {
    let indexing = spawn_blocking(move || {
        let fingerprint = reading.fingerprint.clone();
        reading
            .snapshot()
            .map(|snapshot| (fingerprint, Arc::new(snapshot)))
    });
    indexing.await.map_err(|_| ControlError::unreadable())?
}

/// How often the catalog is read in a row while it keeps changing.
const READINGS_MAX: u32 = 4;
