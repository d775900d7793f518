//! Membership: who may write in a database without being heard.
//!
//! Every instance is a member of the databases it knows, under a lease that it renews. One that has
//! fallen silent may have written what nobody could be told of, so all entries are given up then.

use std::time::Duration;

use fred::types::Value;

use super::{
    clock,
    database::Database,
    ear::NOBODY,
    line::Patience,
    names::value,
    resp::command,
    scripts::KEEP,
    shared::{By, Shared, VERSION_TTL, millis},
    wire::Fault,
};
use crate::{Trouble, lease::Pace};

impl Shared {
    /// Claims a database on the server of a line, or keeps it claimed. Not while marks fail.
    ///
    /// All entries are given up if the server is not the one it was, for Redis or for us: bumps
    /// that it acknowledged may be lost.
    pub(super) async fn keep(
        &self,
        (line, trust): By<'_>,
        patience: Patience,
        database: &Database,
        rotate: bool,
    ) -> Result<(), Trouble> {
        let doubts = database.doubts();
        let force = if rotate || database.has_moved(trust) || database.is_doubtful(doubts) {
            "1"
        } else {
            "0"
        };
        let sent = clock::now();
        if !self.outage.may_renew(sent) {
            return Err(Trouble::Disconnected);
        }
        let arguments = vec![
            self.dice.value(),
            force.into(),
            value(self.instance()),
            millis(MEMBER_LEASE),
            millis(VERSION_TTL),
            database.keys.marks().into(),
            // Nobody waits for it, and it touches everything.
            value(&NOBODY),
            // However late it arrives, the lease counts from when it was sent.
            database.time_at(trust, sent).map_or("".into(), Value::from),
        ];
        let keys = &database.keys;
        let keys = vec![keys.term(), keys.members(), keys.ledger()];
        let reply = KEEP.run((line, trust), patience, keys, arguments).await?;
        let term = reply.first().and_then(Value::as_bytes);
        if trust.server.generation(term).is_none() {
            // Another server has answered, whatever is between us.
            return Err(line.blame(trust, &Fault::Lost));
        }
        if !self.agreement.is_on(trust.server) {
            return Err(Trouble::Disconnected);
        }
        if reply.get(1).and_then(Value::as_i64) == Some(1) {
            self.troubles.add(Trouble::Rotated);
        }
        database.saw_ledger(reply.get(2).and_then(Value::as_i64) == Some(1));
        database.note_alone(reply.get(4).and_then(Value::as_i64) == Some(1));
        let time = reply.get(3).and_then(Value::as_i64);
        database.note_time(trust, time, clock::now());
        database.claim(trust, doubts);
        Ok(())
    }

    /// Takes this instance off the members of a database: it owes nothing and will write no more.
    pub(super) async fn leave(
        &self,
        (line, trust): By<'_>,
        database: &Database,
    ) -> Result<(), Trouble> {
        let words = [database.keys.members(), value(self.instance())];
        let leave = command("ZREM", words);
        let reply = line.ask_one(trust, Patience::Background, leave).await;
        reply.map(drop).map_err(|error| line.blame(trust, &error))
    }
}

/// How long an instance may be silent before all entries it might have outdated are given up.
const MEMBER_LEASE: Duration = Duration::from_secs(5);

/// How long it may be before nobody serves them: a membership has run out, and a lease that was
/// granted to somebody else just before.
pub(super) const PACE: Pace = Pace {
    lease: 5_000_000_000 + clock::PACE.lease,
    ..clock::PACE
};
