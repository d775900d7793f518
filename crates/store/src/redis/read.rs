//! One look at Redis: the term, versions and a reply.

use std::{
    hash::BuildHasher,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use bytes::Bytes;
use cache::{CacheKey, Scope};
use fred::types::Value;

use super::{
    database::Database,
    line::Patience,
    names::Token,
    resp::command,
    shared::{By, Shared, VERSION_TTL, millis},
    version::{Operation, Seen},
};
use crate::Trouble;

/// What one look at Redis showed.
#[derive(Debug)]
pub(super) struct Reading {
    /// Stands for the server's term: combined with the epoch, it ends all stamps at once.
    pub(super) generation: Token,
    /// The epoch first, then the scopes that were asked for.
    pub(super) versions: Vec<Seen>,
    pub(super) reply: Option<Bytes>,
    /// For how long Redis will keep the reply, if that was asked.
    pub(super) lasts: Duration,
}

/// The reply that is asked for besides the versions.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted<'a> {
    pub(super) key: &'a CacheKey,
    /// It is also asked for how long Redis will keep it.
    pub(super) timed: bool,
}

impl Shared {
    /// Reads versions, and a reply if one is wanted, in one round trip.
    ///
    /// The term is read first, so a stamp from here never claims to be younger than its versions.
    /// It is read by `GETEX` because a server that has been demoted refuses that.
    ///
    /// Of scopes that nobody here has asked for before, most have no version yet. They are given one
    /// on the way, before they are read: one that is there stays.
    pub(super) async fn read(
        &self,
        (line, trust): By<'_>,
        database: &Database,
        scopes: &[Scope],
        wanted: Option<Wanted<'_>>,
    ) -> Result<Reading, Trouble> {
        if !database.is_claimed(trust) {
            self.nudge.notify_one();
            return Err(Trouble::Disconnected);
        }
        let keys = &database.keys;
        let mut words = Vec::with_capacity(scopes.len() + 2);
        let mut commands = vec![command("GETEX", [keys.term()])];
        for scope in database.scopes(scopes) {
            let name = keys.scope(scope);
            if wanted.is_some() && !self.familiar.note(&scope) {
                let words = [name.clone(), Seen::fresh(&self.dice.token())];
                let rest = ["NX".into(), "PX".into(), millis(VERSION_TTL)];
                commands.push(command("SET", words.into_iter().chain(rest)));
            }
            words.push(name);
        }
        let (made, count) = (commands.len() - 1, words.len());
        let timed = wanted.filter(|wanted| wanted.timed);
        // Asked first: of a reply that replaces another meanwhile, the lesser time counts.
        commands.extend(timed.map(|wanted| command("PTTL", [keys.reply(wanted.key)])));
        words.extend(wanted.map(|wanted| keys.reply(wanted.key)));
        commands.push(command("MGET", words));
        // Who asks for versions alone has to know them.
        let patience = wanted.map_or(Patience::Writer, |_| Patience::Client);
        let replies = line.ask(trust, patience, commands).await;
        let mut replies = replies
            .map_err(|error| line.blame(trust, &error))?
            .into_iter();
        let mut next = |skipped| {
            let reply = replies.nth(skipped).unwrap_or(Ok(Value::Null));
            reply.map_err(|error| line.blame(trust, &error))
        };
        let term = next(0)?;
        // What could not be made is missing below.
        let (lasts, versions) = match timed {
            Some(_) => (next(made)?, next(0)?),
            None => (Value::Null, next(made)?),
        };
        let mut versions = versions.into_array();
        line.check(trust)?;

        let Some(generation) = trust.server.generation(term.as_bytes()) else {
            // Emptied, restored, or somebody else's: to be claimed anew.
            database.disclaim();
            self.nudge.notify_one();
            return Err(Trouble::Disconnected);
        };
        let reply = wanted.and_then(|_| versions.pop()).and_then(bytes);
        let versions: Vec<_> = versions
            .iter()
            .map(|object| Seen::parse(object.as_bytes()))
            .collect();
        if versions.len() != count {
            return Err(Trouble::Reply);
        }
        Ok(Reading {
            generation,
            versions,
            reply,
            // Negative if there is none.
            lasts: Duration::from_millis(lasts.as_u64().unwrap_or(0)),
        })
    }

    /// Gives tokens to scopes that have none; says what they show then.
    pub(super) async fn look(
        &self,
        by: By<'_>,
        patience: Patience,
        scopes: &[Scope],
    ) -> Result<Vec<Seen>, Trouble> {
        let ran = self
            .run(by, patience, Operation::Look, &[0; 16], scopes)
            .await?;
        let states = ran.states.iter();
        Ok(states
            .map(|object| Seen::parse(object.as_bytes()))
            .collect())
    }
}

/// Scopes that were asked for here before: a guess whether Redis has a version of them.
///
/// Each place remembers the one that came last. Being wrong costs a command, or a round trip.
pub(super) struct Familiar {
    places: Box<[AtomicU32]>,
    hasher: foldhash::fast::RandomState,
}

impl Familiar {
    pub(super) fn new() -> Self {
        let places = std::iter::repeat_with(AtomicU32::default);
        Self {
            places: places.take(1 << FAMILIAR_BITS).collect(),
            hasher: foldhash::fast::RandomState::default(),
        }
    }

    /// Notes a scope; whether it was familiar before.
    fn note(&self, scope: &Scope) -> bool {
        let hash = self.hasher.hash_one(scope);
        let [a, b, c, d, rest @ ..] = hash.to_le_bytes();
        let place = u32::from_le_bytes([a, b, c, d]) >> (u32::BITS - FAMILIAR_BITS);
        // None is what an empty place shows.
        let mark = u32::from_le_bytes(rest) | 1;
        let place = self.places.get(place as usize);
        place.is_some_and(|place| {
            place.load(Ordering::Relaxed) == mark || {
                place.store(mark, Ordering::Relaxed);
                false
            }
        })
    }
}

impl std::fmt::Debug for Familiar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Familiar").finish_non_exhaustive()
    }
}

/// A bulk string without a copy.
fn bytes(reply: Value) -> Option<Bytes> {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "all else is not a bulk string"
    )]
    match reply {
        Value::Bytes(bytes) => Some(bytes),
        Value::String(text) => Some(text.into_inner()),
        _ => None,
    }
}

/// 256 KiB of places: more rows than that which are asked for in turn are all unfamiliar.
const FAMILIAR_BITS: u32 = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use catalog::{DatabaseId, RelationId, SystemId};

    #[test]
    fn what_was_asked_for_before_is_familiar() {
        let familiar = Familiar::new();
        let database = DatabaseId {
            system: SystemId(1),
            oid: 2,
        };
        let scope = |n| Scope::Relation(database, RelationId::from_oid(n));
        assert!(!familiar.note(&scope(1)));
        assert!(familiar.note(&scope(1)));
        // Few of them share a place.
        let strangers = (2..1002).filter(|&n| !familiar.note(&scope(n))).count();
        assert_eq!(strangers, 1000);
        let known = (2..1002).filter(|&n| familiar.note(&scope(n))).count();
        assert!(known > 900, "{known}");
    }
}
