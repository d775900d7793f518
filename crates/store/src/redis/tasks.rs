//! What goes on in the background.
//!
//! One task per line verifies it, and looks at it again now and then. One task, the keeper, pays
//! what is owed, keeps databases claimed and marks alive, and settles marks that have lapsed.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use cache::Scope;
use futures_util::future::join_all;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::{
    database::Database,
    debts::Bump,
    hold::Scopes,
    line::{Line, Patience},
    names::Token,
    shared::{By, LEASE, Shared, TOGETHER_MAX},
    verify::Verified,
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
        let verified = tokio::select! {
            () = stop.cancelled() => return,
            verified = verify(&shared, line) => verified,
        };
        let wait = match verified.and_then(|verified| shared.believe(line, verified)) {
            Ok(()) => {
                tracing::info!(line = index, "redis is in use");
                shared.nudge.notify_one();
                pause = PAUSE_MIN;
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = watch(&shared, line) => {}
                }
                let why = line.fault().map(tracing::field::display);
                tracing::warn!(line = index, why, "redis is not in use any more");
                shared.question_others(line);
                if line.was_questioned() {
                    Duration::ZERO
                } else {
                    PAUSE_MIN
                }
            }
            Err(trouble) => {
                shared.note(trouble);
                if pause == PAUSE_MIN {
                    tracing::warn!(
                        line = index,
                        trouble = trouble.code(),
                        why = line.fault().map(tracing::field::display),
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

/// Connects, if there is no connection, and finds out where it leads. Cancel safe.
async fn verify(shared: &Shared, line: &Line) -> Result<Verified, Trouble> {
    line.connect().await?;
    line.verify(shared.dice.name(), shared.probe()).await
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
///
/// What belongs to several databases, or marks, travels together: none waits for another's answer,
/// and none is left out because another has failed.
async fn round(shared: &Shared, by: By<'_>, due: bool) -> Result<(), Trouble> {
    if shared.outage.is_on() {
        prove(shared, by).await?;
    }
    let databases = shared.databases();
    let kept = databases.iter().map(|it| keep_one(shared, by, it, due));
    let mut outcome = all(kept.collect()).await;
    outcome = outcome.and(pay(shared, by).await);
    if due {
        let marks = shared.held.older_than(LEASE / 4);
        let renewed = marks.iter().map(|held| renew(shared, by, held));
        outcome = outcome.and(all(renewed.collect()).await);
        let suspects = shared.suspects();
        let suspects = suspects.chunk_by(|a, b| a.database() == b.database());
        let looked = suspects.map(|scopes| look(shared, by, scopes));
        outcome = outcome.and(all(looked.collect()).await);
    }
    outcome
}

/// Does all of these, some at a time; the first trouble that any of them had.
async fn all(tasks: Vec<impl Future<Output = Result<(), Trouble>>>) -> Result<(), Trouble> {
    let mut tasks = tasks.into_iter();
    let mut outcome = Ok(());
    while tasks.len() > 0 {
        let done = join_all(tasks.by_ref().take(TOGETHER_MAX)).await;
        outcome = done.into_iter().fold(outcome, Result::and);
    }
    outcome
}

/// Claims a database, or keeps it claimed, if it is time.
async fn keep_one(
    shared: &Shared,
    by: By<'_>,
    database: &Database,
    due: bool,
) -> Result<(), Trouble> {
    let owed = shared.debts.rotation(database.id);
    if !due && owed.is_none() && database.is_claimed(by.1) {
        return Ok(());
    }
    let kept = shared
        .keep(by, Patience::Background, database, owed.is_some())
        .await;
    match (&kept, owed) {
        (Err(_), Some(fence)) => shared.debts.owe_rotation(database.id, fence),
        // The notice of it comes to us too, but later than the fence falls.
        (Ok(()), Some(_fence)) => database.ward.forget(),
        (_, None) => {}
    }
    kept
}

/// Ends marks that have lapsed.
async fn look(shared: &Shared, by: By<'_>, scopes: &[Scope]) -> Result<(), Trouble> {
    let seen = shared.look(by, Patience::Background, scopes).await;
    seen.map(drop)
}

/// Postpones the lapse of a mark, unless it has ended since.
async fn renew(
    shared: &Shared,
    by: By<'_>,
    (mark, scopes): &(Token, Scopes),
) -> Result<(), Trouble> {
    let sent = Instant::now();
    if !shared.held.contains(mark) {
        return Ok(());
    }
    let operation = Operation::Renew;
    shared
        .tell_by(by, Patience::Background, operation, mark, scopes)
        .await?;
    shared.held.renewed(mark, sent);
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
    loop {
        let bumps = std::iter::from_fn(|| shared.debts.next());
        let bumps: Vec<_> = bumps.take(TOGETHER_MAX).collect();
        if bumps.is_empty() {
            return Ok(());
        }
        let delivered = bumps.into_iter().map(|bump| deliver(shared, by, bump));
        all(delivered.collect()).await?;
    }
}

async fn deliver(shared: &Shared, by: By<'_>, bump: Bump) -> Result<(), Trouble> {
    let operation = Operation::Bump;
    let told = shared
        .tell_by(
            by,
            Patience::Background,
            operation,
            &bump.mark,
            &bump.scopes,
        )
        .await;
    if let Err(trouble) = told {
        shared.debts.put_back(bump);
        return Err(trouble);
    }
    // Before the fence falls.
    shared.touch(&bump.scopes);
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
            if let Some((line, trust)) = shared.line_to_be_heard() {
                _ = shared.leave((line, &trust), &database).await;
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
