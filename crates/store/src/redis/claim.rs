//! Claims: which of all instances asks the server for a reply that is missing.
//!
//! A claim is a key with a lease. Its name is a digest of the reply's key and of the stamp, so that
//! whoever sees other versions claims something else. Nothing is served or kept back for the sake
//! of a claim: if it is lost, somebody else asks the server as well.

use std::sync::Arc;
use std::time::Duration;

use cache::Stamp;
use fred::types::Value;
use tokio::time::sleep;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    Redis,
    line::Patience,
    names::{Token, value},
    resp::command,
    scripts::CLAIM,
    shared::{Shared, millis},
};
use crate::{Question, Trouble};

/// A claim that is held, and renewed, until this is dropped.
#[derive(Debug)]
pub(crate) struct Claim {
    _held: DropGuard,
}

/// Whose a reply is to ask for.
#[derive(Debug)]
pub(crate) enum Claimed {
    /// Ours.
    Ours(Claim),
    /// Somebody else's.
    Theirs,
    /// Redis does not say, or there is nobody else.
    Unknown,
}

impl Redis {
    /// Claims a reply that was missing under this stamp. Waits for one answer of Redis.
    ///
    /// Not cancel safe: cancelled, the claim may stand until its lease ends.
    pub(crate) async fn claim(&self, question: &Question<'_>, stamp: &Stamp) -> Claimed {
        let shared = &self.shared;
        let database = shared.database(question.database);
        if database.is_alone() {
            return Claimed::Unknown;
        }
        let Some((line, trust)) = shared.line() else {
            return Claimed::Unknown;
        };
        let mut digest = blake3::Hasher::new();
        digest.update(question.key.as_bytes());
        for version in stamp.versions() {
            digest.update(version.as_bytes());
        }
        let name = database.keys.claim(&digest.finalize());
        let token = shared.dice.token();
        let words = [
            name.clone(),
            value(&token),
            "NX".into(),
            "PX".into(),
            millis(LEASE),
        ];
        let claim = command("SET", words);
        match line.ask_one(&trust, Patience::Client, claim).await {
            Ok(Value::Null) => Claimed::Theirs,
            Ok(_) => {
                let held = CancellationToken::new();
                let ended = either(held.clone(), self.stop.clone());
                self.tasks
                    .spawn(hold(Arc::clone(shared), name, token, ended));
                Claimed::Ours(Claim {
                    _held: held.drop_guard(),
                })
            }
            Err(error) => {
                shared.note(line.blame(&trust, &error));
                Claimed::Unknown
            }
        }
    }
}

/// Resolves when the first of two is cancelled.
async fn either(one: CancellationToken, other: CancellationToken) {
    tokio::select! {
        () = one.cancelled() => {}
        () = other.cancelled() => {}
    }
}

/// Renews a claim until it is given up, and then removes it, if it is still ours.
async fn hold(shared: Arc<Shared>, name: Value, token: Token, given_up: impl Future<Output = ()>) {
    let renewed = async {
        loop {
            sleep(LEASE / 3).await;
            if tell(&shared, &name, &token, LEASE).await == Some(false) {
                shared.troubles.add(Trouble::ClaimLost);
                return;
            }
        }
    };
    tokio::select! {
        () = given_up => {
            _ = tell(&shared, &name, &token, Duration::ZERO).await;
        }
        () = renewed => {}
    }
}

/// Makes a claim last from now on, or end; whether it was ours, if Redis says.
async fn tell(shared: &Shared, name: &Value, token: &Token, lasts: Duration) -> Option<bool> {
    let (line, trust) = shared.line()?;
    let arguments = vec![value(token), millis(lasts)];
    let reply = CLAIM
        .run(
            (line, &trust),
            Patience::Background,
            vec![name.clone()],
            arguments,
        )
        .await
        .ok()?;
    Some(reply.first().and_then(Value::as_i64) == Some(1))
}

/// How long a claim outlives an instance that has died.
const LEASE: Duration = Duration::from_secs(1);
