//! When a mark takes effect: once nobody can answer from nearby with what it touches.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use fred::types::Value;
use tokio::{
    sync::Notify,
    time::{Instant, timeout_at},
};

use super::{
    clock,
    database::Database,
    line::Patience,
    names::{self, Token},
    notice::Acknowledgement,
    resp::command,
    scripts::LEDGER,
    shared::{Shared, millis},
};
use crate::{
    Trouble,
    lease::{Peer, Posted, Wait},
};

/// What members were heard to have applied.
#[derive(Debug, Default)]
pub(super) struct Acknowledged {
    /// By ledger and member.
    applied: Mutex<HashMap<(Token, Token), u64>>,
    news: Notify,
}

impl Acknowledged {
    pub(super) fn note(&self, heard: &Acknowledgement) {
        let mut applied = self.applied();
        if applied.len() >= MEMBERS_MAX {
            // Of ledgers long gone, for the most part; a writer that misses one reads the ledger.
            applied.clear();
        }
        let most = applied.entry((heard.ledger, heard.member)).or_default();
        *most = heard.applied.max(*most);
        drop(applied);
        self.news.notify_waiters();
    }

    fn teach(&self, wait: &mut Wait) {
        if let Some(ledger) = wait.ledger() {
            let applied = self.applied();
            wait.learn(&ledger, |member| {
                Some(applied.get(&(ledger, *member)).copied().unwrap_or(0))
            });
        }
    }

    fn applied(&self) -> MutexGuard<'_, HashMap<(Token, Token), u64>> {
        self.applied.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    /// Waits until a change that was posted is in effect: not longer than a lease lasts, and what
    /// reading the ledger takes. Cancel safe.
    pub(super) async fn await_effect(&self, database: &Database, mut wait: Wait) {
        self.acknowledged.teach(&mut wait);
        if wait.is_over(clock::now()) {
            return;
        }
        let begun = clock::now();
        let mut pause = READ_EVERY_MIN;
        let mut next_read = Instant::now() + pause;
        loop {
            let mut news = std::pin::pin!(self.acknowledged.news.notified());
            // Whatever is noted from here on wakes us.
            news.as_mut().enable();
            self.acknowledged.teach(&mut wait);
            let now = clock::now();
            if wait.is_over(now) {
                break;
            }
            // However often others' acknowledgements wake us.
            if Instant::now() >= next_read {
                self.read_ledger(database, &mut wait).await;
                pause = (2 * pause).min(READ_EVERY_MAX);
                next_read = Instant::now() + pause;
                continue;
            }
            let rest = clock::between(now, wait.until()).max(TIMER_STEP);
            _ = timeout_at(next_read.min(Instant::now() + rest), news).await;
        }
        let now = clock::now();
        self.waits
            .note(clock::between(begun, now), now >= wait.until());
        self.strike(database, &wait, wait.overdue(now)).await;
    }

    /// Reads how far the members are, for those whose acknowledgement did not come.
    async fn read_ledger(&self, database: &Database, wait: &mut Wait) {
        let (Some((line, trust)), true) = (self.line_to_be_heard(), wait.ledger().is_some()) else {
            return;
        };
        let read = command("HGETALL", [database.keys.ledger()]);
        let Ok(reply) = line.ask_one(&trust, Patience::Background, read).await else {
            return;
        };
        if line.check(&trust).is_err() {
            return;
        }
        let Ok(fields) = reply.convert::<HashMap<bytes::Bytes, bytes::Bytes>>() else {
            return;
        };
        let id = fields.get(&b"id"[..]).and_then(|id| id[..].try_into().ok());
        if let Some(ledger) = id {
            wait.learn(&ledger, |member| applied(fields.get(&member[..])?));
        }
    }

    /// Strikes off members whose lease has run out, so that the next writer need not wait.
    async fn strike(&self, database: &Database, wait: &Wait, overdue: &[Peer]) {
        let (Some(ledger), Some(_)) = (wait.ledger(), overdue.first()) else {
            return;
        };
        let Some((line, trust)) = self.line_to_be_heard() else {
            return;
        };
        let mut arguments = vec![
            "strike".into(),
            trust.server.value(),
            millis(super::shared::VERSION_TTL),
            names::value(&ledger),
        ];
        for peer in overdue {
            let beats = Value::from(peer.beats.to_string());
            arguments.extend([names::value(&peer.member), beats]);
        }
        let keys = vec![database.keys.ledger()];
        let by = (line, &*trust);
        if let Err(trouble) = LEDGER.run(by, Patience::Background, keys, arguments).await {
            self.note(trouble);
        }
    }

    /// Reads what a script says of a change it has posted.
    ///
    /// What comes from another server than the one that was meant says nothing: without a ledger
    /// the writer waits until all leases have run out, if it is possible that there are any.
    pub(super) fn posted(
        &self,
        database: &Database,
        reply: &[Value],
        believed: bool,
    ) -> Result<Option<Wait>, Trouble> {
        let mut posted = Posted::default();
        let [ledger, sequence, others @ ..] = reply else {
            return Err(Trouble::Reply);
        };
        let ledger = ledger.as_bytes();
        let there = ledger.is_some_and(|id| !id.is_empty());
        if there || believed {
            database.saw_ledger(there);
        }
        let ledger = ledger.and_then(|id| id.try_into().ok());
        posted.ledger = ledger.filter(|_| believed);
        posted.sequence = number(sequence).ok_or(Trouble::Reply)?;
        for peer in others.chunks(3) {
            let [member, applied, beats] = peer else {
                return Err(Trouble::Reply);
            };
            posted.others.push(Peer {
                member: member
                    .as_bytes()
                    .and_then(|name| name.try_into().ok())
                    .ok_or(Trouble::Reply)?,
                applied: number(applied).ok_or(Trouble::Reply)?,
                beats: number(beats).ok_or(Trouble::Reply)?,
            });
        }
        let possible = self.ear().is_some() || database.are_leases_possible();
        let certain = posted.ledger.is_none() && !possible;
        Ok((!certain).then(|| Wait::new(posted, clock::now(), clock::PACE)))
    }
}

/// How far a member is, as the ledger keeps it.
fn applied(state: &[u8]) -> Option<u64> {
    let (applied, _) = std::str::from_utf8(state).ok()?.split_once(':')?;
    applied.parse().ok()
}

fn number(value: &Value) -> Option<u64> {
    u64::try_from(value.as_i64()?).ok()
}

/// How long marks have waited for others.
#[derive(Debug, Default)]
pub(super) struct Waits {
    waited: std::sync::atomic::AtomicU64,
    waited_out: std::sync::atomic::AtomicU64,
    micros: std::sync::atomic::AtomicU64,
}

impl Waits {
    fn note(&self, time: Duration, out: bool) {
        use std::sync::atomic::Ordering::Relaxed;
        self.waited.fetch_add(1, Relaxed);
        self.waited_out.fetch_add(u64::from(out), Relaxed);
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.micros.fetch_add(micros, Relaxed);
    }

    /// How many there were, how many ended only with the leases, and how long all took.
    pub(super) fn sums(&self) -> (u64, u64, Duration) {
        use std::sync::atomic::Ordering::Relaxed;
        (
            self.waited.load(Relaxed),
            self.waited_out.load(Relaxed),
            Duration::from_micros(self.micros.load(Relaxed)),
        )
    }
}

/// Ledgers times members that are remembered.
const MEMBERS_MAX: usize = 4096;

/// When a writer that has heard nothing reads the ledger, at first and at last.
const READ_EVERY_MIN: Duration = Duration::from_millis(4);
const READ_EVERY_MAX: Duration = Duration::from_millis(50);

/// Timers are no finer.
const TIMER_STEP: Duration = Duration::from_millis(1);
