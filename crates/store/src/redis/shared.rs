//! What callers, marks and background tasks of one instance have in common.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use bytes::Bytes;
use cache::{CacheKey, Scope};
use catalog::DatabaseId;
use fred::types::Value;
use tokio::sync::Notify;

use super::{
    OnOutage,
    database::Database,
    debts::Debts,
    effect::{Acknowledged, Waits},
    hold::{Held, Scopes},
    line::{Line, Patience, Trust, command},
    names::{Dice, Token, value},
    near::Near,
    notice,
    outage::Outage,
    scripts::VERSIONS,
    version::{Operation, Seen},
};
use crate::{Limits, Trouble, lease::Wait, status::Troubles};

/// One instance's view of the store.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) lines: Box<[Line]>,
    /// What is kept here, and the line on which we hear of marks.
    pub(super) near: Option<Near>,
    ear: Option<Line>,
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
    pub(super) acknowledged: Acknowledged,
    pub(super) waits: Waits,
    pub(super) outage: Outage,
    pub(super) on_outage: OnOutage,
    /// Something waits for the background.
    pub(super) nudge: Notify,
}

/// A line, and the verification by which it is believed.
pub(super) type By<'a> = (&'a Line, &'a Arc<Trust>);

/// What one look at Redis showed.
#[derive(Debug)]
pub(super) struct Reading {
    /// Stands for the server's term: combined with the epoch, it ends all stamps at once.
    pub(super) generation: Token,
    /// The epoch first, then the scopes that were asked for.
    pub(super) versions: Vec<Seen>,
    pub(super) reply: Option<Bytes>,
    /// For how long Redis will keep the reply.
    pub(super) lasts: Duration,
}

/// What became of an operation.
#[derive(Debug)]
pub(super) struct Told {
    /// All objects took it; one that could not be kept was removed instead, which for a bump is as
    /// good.
    pub(super) all: bool,
    /// In which databases others have to be waited for.
    pub(super) waits: Vec<(Arc<Database>, Wait)>,
}

impl Shared {
    pub(super) fn new(
        lines: Box<[Line]>,
        ear: Option<Line>,
        prefix: String,
        limits: Limits,
        dice: Dice,
        on_outage: OnOutage,
    ) -> Self {
        Self {
            lines,
            near: ear.as_ref().map(|_| Near::new(&limits)),
            ear,
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
            acknowledged: Acknowledged::default(),
            waits: Waits::default(),
            outage: Outage::default(),
            on_outage,
            nudge: Notify::new(),
        }
    }

    /// The line on which we hear of marks, if replies are kept here.
    pub(super) const fn ear(&self) -> Option<&Line> {
        self.ear.as_ref()
    }

    /// Names this process.
    pub(super) const fn instance(&self) -> &Token {
        &self.instance
    }

    /// The channel in which a writer hears that its marks have been applied.
    pub(super) fn acknowledgements(&self, writer: &Token) -> String {
        let writer = u128::from_be_bytes(*writer);
        format!("{}:2:a:{writer:032x}", self.prefix)
    }

    /// Whether somebody may keep replies near, of any database.
    pub(super) fn are_leases_possible(&self) -> bool {
        let databases = self.databases.load();
        self.ear.is_some() || databases.values().any(|one| one.are_leases_possible())
    }

    /// A line that is trusted now, each in its turn.
    pub(super) fn line(&self) -> Option<(&Line, Arc<Trust>)> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % self.lines.len().max(1);
        let (before, from) = self.lines.split_at_checked(turn)?;
        from.iter()
            .chain(before)
            .find_map(|line| Some((line, line.trust()?)))
    }

    /// A line for what has to be heard. One that is too slow for readers will do.
    pub(super) fn line_to_be_heard(&self) -> Option<(&Line, Arc<Trust>)> {
        let slow = || {
            let mut lines = self.lines.iter();
            lines.find_map(|line| Some((line, line.slow()?)))
        };
        self.line().or_else(slow)
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
        let mut commands = vec![command("GETEX", [keys.term()])];
        let lasts = key.filter(|_| self.near.is_some());
        // Asked first: of a reply that replaces another meanwhile, the lesser time counts.
        commands.extend(lasts.map(|key| command("PTTL", [keys.reply(key)])));
        commands.push(command("MGET", words));
        let replies = line.ask(Patience::Client, commands).await;
        let mut replies = replies.map_err(|error| line.blame(&error))?.into_iter();
        let mut next = || {
            let reply = replies.next().unwrap_or(Ok(Value::Null));
            reply.map_err(|error| line.blame(&error))
        };
        let term = next()?;
        let lasts = lasts.map_or(Ok(Value::Null), |_| next())?;
        let mut versions = next()?.into_array();
        line.check(trust)?;

        let Some(generation) = trust.server.generation(term.as_bytes()) else {
            // Emptied, restored, or somebody else's: to be claimed anew.
            database.disclaim();
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
        let (states, _) = self
            .run(by, patience, Operation::Look, &[0; 16], scopes)
            .await?;
        Ok(states
            .iter()
            .map(|object| Seen::parse(object.as_bytes()))
            .collect())
    }

    /// Sends an operation of a mark on all its scopes. If others have to hear of it, that is tried
    /// until they have missed us instead.
    ///
    /// Not cancel safe: cancelled, it may have arrived.
    pub(super) async fn tell(
        &self,
        operation: Operation,
        mark: &Token,
        scopes: &[Scope],
        heard: bool,
    ) -> Result<Told, Trouble> {
        let mut patience = Patience::Writer;
        let mut unheard = self.outage.begin();
        loop {
            let told = match self.line_to_be_heard() {
                Some((line, trust)) => {
                    if line.trust().is_none() {
                        patience = Patience::Background;
                    }
                    self.tell_by((line, &trust), patience, operation, mark, scopes)
                        .await
                }
                None => Err(Trouble::Disconnected),
            };
            match told {
                Ok(told) => return Ok(told),
                Err(trouble) if !heard || self.is_out(&mut unheard) => {
                    self.note(trouble);
                    return Err(trouble);
                }
                Err(_) => tokio::time::sleep(OUTAGE_STEP).await,
            }
            // Slow is not away.
            patience = Patience::Background;
        }
    }

    /// As [`Shared::tell`], by a line of the caller's choice.
    pub(super) async fn tell_by(
        &self,
        by: By<'_>,
        patience: Patience,
        operation: Operation,
        mark: &Token,
        scopes: &[Scope],
    ) -> Result<Told, Trouble> {
        let mut told = Told {
            all: true,
            waits: Vec::new(),
        };
        for scopes in scopes.chunk_by(|a, b| a.database() == b.database()) {
            let (states, wait) = self.run(by, patience, operation, mark, scopes).await?;
            told.all &= states.iter().all(|state| state.as_bytes() != Some(b"X"));
            let database = scopes.first().map(|scope| self.database(scope.database()));
            told.waits.extend(database.zip(wait));
        }
        self.outage.end();
        Ok(told)
    }

    /// Runs the script of version objects on scopes of one database.
    async fn run(
        &self,
        by: By<'_>,
        patience: Patience,
        operation: Operation,
        mark: &Token,
        scopes: &[Scope],
    ) -> Result<(Vec<Value>, Option<Wait>), Trouble> {
        let Some(&first) = scopes.first() else {
            return Ok((Vec::new(), None));
        };
        let database = self.database(first.database());
        let (line, trust) = by;
        database.used(trust);
        let keys = &database.keys;
        let mut objects: Vec<_> = scopes.iter().map(|&scope| keys.scope(scope)).collect();
        objects.push(keys.ledger());
        let stripes = scopes.iter().map(|&scope| keys.stripe(scope));
        let member = database.member();
        let mut arguments = vec![
            operation.word().into(),
            value(mark),
            millis(LEASE),
            millis(VERSION_TTL),
            trust.server.value(),
            member.as_ref().map_or_else(|| "".into(), value),
            keys.marks().into(),
            Value::Bytes(notice::announce(&self.instance, stripes)),
        ];
        arguments.extend(scopes.iter().map(|_| self.dice.value()));
        let mut reply = VERSIONS.run(line, patience, objects, arguments).await?;
        let (posted, states) = (reply.pop(), reply.pop());
        let states = states.map(Value::into_array).unwrap_or_default();
        if states.len() != scopes.len() {
            return Err(Trouble::Reply);
        }
        let wait = match posted {
            Some(Value::Array(posted)) => {
                self.posted(&database, &posted, line.check(trust).is_ok())?
            }
            Some(Value::Null) => None,
            _ => return Err(Trouble::Reply),
        };
        Ok((states, wait))
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

/// How long a version that nobody changes is kept. It may come to an end at any time: its
/// successor is another, and entries that cite it are then misses.
pub(super) const VERSION_TTL: Duration = Duration::from_secs(24 * 3600);

/// More than are ever written at once; the rest is suspected again by the next reader.
const UNSETTLED_MAX: usize = 1024;

/// The pause between two attempts at a mark.
const OUTAGE_STEP: Duration = Duration::from_millis(5);
