//! What goes on in the background.
//!
//! One task per line verifies it, and looks at it again now and then. One task, the keeper, pays
//! what is owed, keeps databases claimed and marks alive, and settles marks that have lapsed.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use cache::Scope;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::{
    hold::Scopes,
    line::{Line, Patience},
    shared::{By, LEASE, Shared},
    version::Operation,
};
use crate::Trouble;

/// Keeps the line with this index verified until `stop`; without an index, the ear.
pub(super) async fn tend(shared: Arc<Shared>, index: Option<usize>, stop: CancellationToken) {
    let line = match index {
        Some(index) => shared.lines.all().nth(index),
        None => shared.ear(),
    };
    let Some(line) = line else { return };
    let mut pause = PAUSE_MIN;
    loop {
        let verified = match line.connect().await {
            Ok(()) => line.verify(shared.dice.name(), shared.probe()).await,
            Err(trouble) => Err(trouble),
        };
        let wait = match verified {
            Ok(trust) => {
                // Before anything is asked by it.
                shared.doubt(line);
                line.believe(trust);
                tracing::info!(line = index, "redis is in use");
                shared.nudge.notify_one();
                pause = PAUSE_MIN;
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = watch(&shared, line) => PAUSE_MIN,
                }
            }
            Err(trouble) => {
                shared.note(trouble);
                if pause == PAUSE_MIN {
                    tracing::warn!(
                        line = index,
                        trouble = trouble.code(),
                        "redis is not in use"
                    );
                }
                if trouble == Trouble::Refused {
                    // A demoted or loading server: its name may lead to another one by now.
                    line.hang_up();
                }
                pause = (2 * pause).min(PAUSE_MAX);
                pause
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = sleep(wait) => {}
        }
    }
}

/// Looks at a line now and then until it has lost its trust. Cancel safe.
async fn watch(shared: &Shared, line: &Line) {
    while line.trust().is_some() {
        if timeout(LOOK_EVERY, line.lost()).await.is_err()
            && let Err(trouble) = line.verify_again().await
        {
            shared.note(trouble);
        }
    }
}

/// Does the rest until `stop`.
pub(super) async fn keep(shared: Arc<Shared>, stop: CancellationToken) {
    let mut beat = None;
    loop {
        let due = beat.is_none_or(|beat: Instant| beat.elapsed() >= BEAT_EVERY);
        if let Some((line, trust)) = shared.line_to_be_heard() {
            match round(&shared, (line, &trust), due).await {
                Ok(()) if due => beat = Some(Instant::now()),
                Ok(()) => {}
                Err(trouble) => shared.note(trouble),
            }
        }
        let wait = if shared.debts.any() {
            RETRY_EVERY
        } else {
            BEAT_EVERY
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = shared.nudge.notified() => {}
            () = sleep(wait) => {}
        }
    }
}

/// Pays what is owed and claims what is not claimed; every `BEAT_EVERY`, all the rest.
async fn round(shared: &Shared, by: By<'_>, due: bool) -> Result<(), Trouble> {
    if shared.outage.is_on() {
        prove(shared, by).await?;
    }
    for database in shared.databases() {
        let owed = shared.debts.rotation(database.id);
        if !due && owed.is_none() && database.is_claimed(by.1) {
            continue;
        }
        let kept = shared
            .keep(by, Patience::Background, &database, owed.is_some())
            .await;
        match (&kept, owed) {
            (Err(_), Some(fence)) => shared.debts.owe_rotation(database.id, fence),
            // The notice of it comes to us too, but later than the fence falls.
            (Ok(()), Some(_fence)) => database.ward.forget(),
            (_, None) => {}
        }
        kept?;
    }
    pay(shared, by).await?;
    if due {
        for (mark, scopes) in shared.held.older_than(LEASE / 4) {
            let renew = Operation::Renew;
            shared
                .tell_by(by, Patience::Background, renew, &mark, &scopes)
                .await?;
        }
        for scopes in shared
            .suspects()
            .chunk_by(|a, b| a.database() == b.database())
        {
            shared.look(by, Patience::Background, scopes).await?;
        }
    }
    Ok(())
}

/// Sees whether marks arrive again: pays what is owed, or ends a mark that nobody has set.
async fn prove(shared: &Shared, by: By<'_>) -> Result<(), Trouble> {
    pay(shared, by).await?;
    let Some(database) = shared.databases().into_iter().next() else {
        shared.outage.end();
        return Ok(());
    };
    let (clear, mark) = (Operation::Clear, shared.dice.token());
    let scopes = [Scope::Epoch(database.id)];
    shared
        .tell_by(by, Patience::Background, clear, &mark, &scopes)
        .await
        .map(drop)
}

/// Delivers owed bumps, the oldest first.
async fn pay(shared: &Shared, by: By<'_>) -> Result<(), Trouble> {
    while let Some(bump) = shared.debts.next() {
        let scopes: &Scopes = &bump.scopes;
        let operation = Operation::Bump;
        let told = shared
            .tell_by(by, Patience::Background, operation, &bump.mark, scopes)
            .await;
        if let Err(trouble) = told {
            shared.debts.put_back(bump);
            return Err(trouble);
        }
        // Before the fence falls.
        shared.touch(scopes);
    }
    Ok(())
}

/// Pays what is owed and says good-bye, within a bound. What is still owed then is what silence
/// says: the others give up all entries when our membership lapses.
pub(super) async fn leave(shared: &Shared) {
    let farewell = async {
        while shared.debts.any() || shared.line_to_be_heard().is_none() {
            if let Some((line, trust)) = shared.line_to_be_heard() {
                _ = round(shared, (line, &trust), false).await;
            }
            sleep(PAUSE_MIN).await;
        }
        for database in shared.databases() {
            if let Some((line, _)) = shared.line_to_be_heard() {
                _ = shared.leave(line, &database).await;
            }
        }
    };
    if timeout(FAREWELL, farewell).await.is_err() {
        tracing::warn!(
            owed = shared.debts.count(),
            "left redis without saying good-bye"
        );
    }
    for line in shared.lines.all().chain(shared.ear()) {
        line.hang_up();
    }
}

/// Between two looks at a line that works.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Between two heartbeats. Five of them fit into a membership's lease.
const BEAT_EVERY: Duration = Duration::from_secs(1);

/// Between two attempts at what is owed.
const RETRY_EVERY: Duration = Duration::from_millis(100);

/// Between two verifications, at first and at most.
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// How long shutdown waits for Redis.
const FAREWELL: Duration = Duration::from_secs(1);
