//! What callers, marks and background tasks of one instance have in common.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use arc_swap::{ArcSwap, ArcSwapOption};
use bytes::Bytes;
use cache::{CacheKey, Scope};
use catalog::DatabaseId;
use fred::types::Value;
use tokio::sync::Notify;

use super::{
    debts::Debts,
    hold::{Held, Scopes},
    line::{Line, Patience, Server, Trust, command},
    names::{Dice, Keys, Token, value},
    scripts::{KEEP, VERSIONS},
    version::{Operation, Seen},
};
use crate::{Limits, Trouble, status::Troubles};

/// One instance's view of the store.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) lines: Box<[Line]>,
    turn: AtomicUsize,
    pub(super) prefix: String,
    pub(super) limits: Limits,
    pub(super) dice: Dice,
    /// Names this process among the members.
    instance: Token,
    databases: ArcSwap<HashMap<DatabaseId, Arc<Database>>>,
    pub(super) debts: Debts,
    pub(super) held: Held,
    /// Scopes that were seen being written, whose marks may have lapsed.
    unsettled: Mutex<HashSet<Scope>>,
    pub(super) troubles: Troubles,
    /// Since when no mark has arrived.
    outage: Mutex<Option<Instant>>,
    /// Something waits for the background.
    pub(super) nudge: Notify,
}

/// A line, and the verification by which it is believed.
pub(super) type By<'a> = (&'a Line, &'a Arc<Trust>);

/// One database, as far as this instance has come with it.
#[derive(Debug)]
pub(super) struct Database {
    pub(super) id: DatabaseId,
    pub(super) keys: Keys,
    /// The server on which it is claimed, as far as we know.
    claimed: ArcSwapOption<Server>,
    /// The generation seen last, and until when nothing is believed that was read under it.
    settling: Mutex<(Option<Token>, Option<Instant>)>,
    /// The server on which it was last claimed, or first written. Bumps it acknowledged may be
    /// missing on any other.
    last: ArcSwapOption<Server>,
}

impl Database {
    fn new(prefix: &str, id: DatabaseId) -> Self {
        Self {
            id,
            keys: Keys::new(prefix, id),
            claimed: ArcSwapOption::empty(),
            settling: Mutex::default(),
            last: ArcSwapOption::empty(),
        }
    }

    /// Whether it is claimed on the server of a verification.
    pub(super) fn is_claimed(&self, trust: &Trust) -> bool {
        self.claimed.load().as_deref() == Some(&trust.server)
    }

    /// Whether a generation is so young that writes may be in flight whose marks went with the one
    /// before: what is read from the server now may be older than what somebody has seen already.
    pub(super) fn is_settling(&self, generation: Token) -> bool {
        let mut settling = self.settling.lock().unwrap_or_else(PoisonError::into_inner);
        let (known, until) = &mut *settling;
        if *known != Some(generation) {
            *until = known.map(|_| Instant::now() + SETTLING);
            *known = Some(generation);
        }
        until.is_some_and(|until| Instant::now() < until)
    }

    /// Notes that something is about to be written on the server of a verification. Another one
    /// that was noted before stays: what it acknowledged is still to be given up.
    fn used(&self, trust: &Trust) {
        if self.last.load().is_none() {
            let server = Some(Arc::new(trust.server));
            self.last.compare_and_swap(&None::<Arc<Server>>, server);
        }
    }

    /// The epoch, then others.
    pub(super) fn scopes(&self, others: &[Scope]) -> impl Iterator<Item = Scope> {
        std::iter::once(Scope::Epoch(self.id)).chain(others.iter().copied())
    }
}

/// What one look at Redis showed.
#[derive(Debug)]
pub(super) struct Reading {
    /// Stands for the server's term: combined with the epoch, it ends all stamps at once.
    pub(super) generation: Token,
    /// The epoch first, then the scopes that were asked for.
    pub(super) versions: Vec<Seen>,
    pub(super) reply: Option<Bytes>,
}

impl Shared {
    pub(super) fn new(lines: Box<[Line]>, prefix: String, limits: Limits, dice: Dice) -> Self {
        Self {
            lines,
            turn: AtomicUsize::new(0),
            prefix,
            limits,
            instance: dice.token(),
            dice,
            databases: ArcSwap::default(),
            debts: Debts::default(),
            held: Held::default(),
            unsettled: Mutex::default(),
            troubles: Troubles::default(),
            outage: Mutex::default(),
            nudge: Notify::new(),
        }
    }

    /// A line that is trusted now, each in its turn.
    pub(super) fn line(&self) -> Option<(&Line, Arc<Trust>)> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % self.lines.len().max(1);
        let (before, from) = self.lines.split_at_checked(turn)?;
        from.iter()
            .chain(before)
            .find_map(|line| Some((line, line.trust()?)))
    }

    /// Counts what went wrong. A server that declines on one line is not believed on any other:
    /// it may have been demoted, and be promoted again before they notice.
    pub(super) fn note(&self, trouble: Trouble) {
        self.troubles.add(trouble);
        if trouble == Trouble::Refused {
            self.lines.iter().for_each(Line::distrust);
        }
    }

    /// A key of ours that is never set.
    pub(super) fn probe(&self) -> Value {
        Value::from(format!("{}:2:probe", self.prefix))
    }

    /// What is known of a database. One that was not known is claimed in the background.
    pub(super) fn database(&self, id: DatabaseId) -> Arc<Database> {
        if let Some(database) = self.databases.load().get(&id) {
            return Arc::clone(database);
        }
        let new = Arc::new(Database::new(&self.prefix, id));
        self.databases.rcu(|known| {
            let mut known = HashMap::clone(known);
            known.entry(id).or_insert_with(|| Arc::clone(&new));
            known
        });
        self.nudge.notify_one();
        self.databases.load().get(&id).map_or(new, Arc::clone)
    }

    /// All databases that have been asked for.
    pub(super) fn databases(&self) -> Vec<Arc<Database>> {
        self.databases.load().values().cloned().collect()
    }

    /// Reads versions, and a reply if one is asked for, in one round trip.
    ///
    /// The term is read first, so a stamp from here never claims to be younger than its versions.
    /// It is read by `GETEX` because a server that has been demoted refuses that.
    pub(super) async fn read(
        &self,
        (line, trust): By<'_>,
        database: &Database,
        scopes: &[Scope],
        key: Option<&CacheKey>,
    ) -> Result<Reading, Trouble> {
        if !database.is_claimed(trust) {
            self.nudge.notify_one();
            return Err(Trouble::Disconnected);
        }
        let keys = &database.keys;
        let mut words: Vec<_> = database
            .scopes(scopes)
            .map(|scope| keys.scope(scope))
            .collect();
        let count = words.len();
        words.extend(key.map(|key| keys.reply(key)));
        let commands = vec![command("GETEX", [keys.term()]), command("MGET", words)];
        let replies = line.ask(Patience::Client, commands).await;
        let mut replies = replies.map_err(|error| line.blame(&error))?.into_iter();
        let mut next = || {
            let reply = replies.next().unwrap_or(Ok(Value::Null));
            reply.map_err(|error| line.blame(&error))
        };
        let (term, mut versions) = (next()?, next()?.into_array());
        line.check(trust)?;

        let Some(generation) = trust.server.generation(term.as_bytes()) else {
            // Emptied, restored, or somebody else's: to be claimed anew.
            database.claimed.store(None);
            self.nudge.notify_one();
            return Err(Trouble::Disconnected);
        };
        let reply = key.and_then(|_| versions.pop()).and_then(bytes);
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
        })
    }

    /// Gives tokens to scopes that have none; says what they show then.
    pub(super) async fn look(
        &self,
        by: By<'_>,
        patience: Patience,
        scopes: &[Scope],
    ) -> Result<Vec<Seen>, Trouble> {
        let states = self
            .run(by, patience, Operation::Look, &[0; 16], scopes)
            .await?;
        Ok(states
            .iter()
            .map(|object| Seen::parse(object.as_bytes()))
            .collect())
    }

    /// Sends an operation of a mark on all its scopes. Whether all objects took it; one that could
    /// not be kept was removed instead, which for a bump is as good.
    ///
    /// Not cancel safe: cancelled, it may have arrived.
    pub(super) async fn tell(
        &self,
        operation: Operation,
        mark: &Token,
        scopes: &[Scope],
    ) -> Result<bool, Trouble> {
        loop {
            let told = match self.line() {
                Some((line, trust)) => {
                    self.tell_by((line, &trust), Patience::Writer, operation, mark, scopes)
                        .await
                }
                None => Err(Trouble::Disconnected),
            };
            match told {
                Ok(all) => {
                    self.outage().take();
                    return Ok(all);
                }
                Err(trouble) if operation != Operation::Mark || self.is_out() => {
                    self.note(trouble);
                    return Err(trouble);
                }
                Err(_) => tokio::time::sleep(OUTAGE_STEP).await,
            }
        }
    }

    /// Whether marks have failed for so long that writes go on without them.
    ///
    /// Other instances go on serving while they reach Redis, so a short outage is waited out: once,
    /// by those who write when it begins.
    fn is_out(&self) -> bool {
        self.outage().get_or_insert_with(Instant::now).elapsed() >= OUTAGE_MAX
    }

    fn outage(&self) -> MutexGuard<'_, Option<Instant>> {
        self.outage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// As [`Shared::tell`], by a line of the caller's choice.
    pub(super) async fn tell_by(
        &self,
        by: By<'_>,
        patience: Patience,
        operation: Operation,
        mark: &Token,
        scopes: &[Scope],
    ) -> Result<bool, Trouble> {
        let mut all = true;
        for scopes in scopes.chunk_by(|a, b| a.database() == b.database()) {
            let states = self.run(by, patience, operation, mark, scopes).await?;
            all &= states.iter().all(|state| state.as_bytes() != Some(b"X"));
        }
        Ok(all)
    }

    /// Runs the script of version objects on scopes of one database.
    async fn run(
        &self,
        by: By<'_>,
        patience: Patience,
        operation: Operation,
        mark: &Token,
        scopes: &[Scope],
    ) -> Result<Vec<Value>, Trouble> {
        let Some(&first) = scopes.first() else {
            return Ok(Vec::new());
        };
        let database = self.database(first.database());
        let (line, trust) = by;
        database.used(trust);
        let keys: Vec<_> = scopes
            .iter()
            .map(|&scope| database.keys.scope(scope))
            .collect();
        let mut arguments = vec![
            operation.word().into(),
            value(mark),
            millis(LEASE),
            millis(VERSION_TTL),
        ];
        arguments.extend(scopes.iter().map(|_| self.dice.value()));
        let states = VERSIONS.run(line, patience, keys, arguments).await?;
        if states.len() == scopes.len() {
            Ok(states)
        } else {
            Err(Trouble::Reply)
        }
    }

    /// Claims a database on the server of a line, or keeps it claimed.
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
        let moved = database
            .last
            .load()
            .as_deref()
            .is_some_and(|last| *last != trust.server);
        let force = if moved || rotate { "1" } else { "0" };
        let arguments = vec![
            self.dice.value(),
            force.into(),
            value(&self.instance),
            millis(MEMBER_LEASE),
            millis(VERSION_TTL),
        ];
        let keys = vec![database.keys.term(), database.keys.members()];
        let reply = KEEP.run(line, patience, keys, arguments).await?;
        if trust
            .server
            .generation(reply.first().and_then(Value::as_bytes))
            .is_none()
        {
            line.distrust();
            return Err(Trouble::Disconnected);
        }
        if reply.get(1).and_then(Value::as_i64) == Some(1) {
            self.troubles.add(Trouble::Rotated);
        }
        let server = Some(Arc::new(trust.server));
        database.last.store(server.clone());
        database.claimed.store(server);
        Ok(())
    }

    /// Takes this instance off the members of a database: it owes nothing and will write no more.
    pub(super) async fn leave(&self, line: &Line, database: &Database) -> Result<(), Trouble> {
        let words = [database.keys.members(), value(&self.instance)];
        let reply = line
            .ask_one(Patience::Background, command("ZREM", words))
            .await;
        reply.map(drop).map_err(|error| line.blame(&error))
    }

    /// Owes the end of a mark.
    pub(super) fn owe(&self, mark: Token, scopes: &Scopes) {
        self.debts.owe(mark, Arc::clone(scopes));
        self.nudge.notify_one();
    }

    /// Remembers scopes that were seen being written, for a look at their leases later.
    pub(super) fn suspect(&self, scopes: impl Iterator<Item = Scope>) {
        let mut unsettled = self
            .unsettled
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if unsettled.len() < UNSETTLED_MAX {
            unsettled.extend(scopes);
        }
    }

    /// Takes what is remembered of them, sorted.
    pub(super) fn suspects(&self) -> Vec<Scope> {
        let mut unsettled = self
            .unsettled
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let mut scopes: Vec<_> = unsettled.drain().collect();
        scopes.sort_unstable();
        scopes
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

/// A time as an argument.
pub(super) fn millis(time: Duration) -> Value {
    Value::Integer(i64::try_from(time.as_millis()).unwrap_or(i64::MAX))
}

/// How long a mark stands without being renewed.
pub(super) const LEASE: Duration = Duration::from_secs(10);

/// How long an instance may be silent before all entries it might have outdated are given up.
const MEMBER_LEASE: Duration = Duration::from_secs(5);

/// How long a version that nobody changes is kept. It may come to an end at any time: its
/// successor is another, and entries that cite it are then misses.
const VERSION_TTL: Duration = Duration::from_secs(24 * 3600);

/// More than are ever written at once; the rest is suspected again by the next reader.
const UNSETTLED_MAX: usize = 1024;

/// How long writes wait for their marks to arrive when Redis begins to fail.
const OUTAGE_MAX: Duration = Duration::from_millis(400);

/// The pause between two attempts at a mark.
const OUTAGE_STEP: Duration = Duration::from_millis(5);

/// How long nothing is recorded after marks may have been lost. Writes that take longer renew
/// theirs.
const SETTLING: Duration = Duration::from_secs(1);
