//! What callers, marks and background tasks of one instance have in common.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use arc_swap::ArcSwap;
use cache::{Scope, Version};
use catalog::DatabaseId;
use fred::types::Value;
use futures_util::future::join_all;
use tokio::sync::Notify;

use super::{
    OnOutage,
    agreement::Agreement,
    database::Database,
    debts::Debts,
    effect::{Acknowledged, Waits},
    hold::{Held, Scopes},
    line::{Line, Patience},
    lines::Lines,
    names::{Dice, Token, value},
    near::Near,
    notice,
    outage::Outage,
    read::Familiar,
    scripts::VERSIONS,
    verify::Trust,
    version::{Operation, Seen, stamp},
};
use crate::{Limits, Trouble, lease::Wait, status::Troubles};

/// One instance's view of the store.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) lines: Lines,
    pub(super) agreement: Agreement,
    /// What is kept here, and the line on which we hear of marks.
    pub(super) near: Option<Near>,
    ear: Option<Line>,
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
    pub(super) familiar: Familiar,
    pub(super) on_outage: OnOutage,
    /// Something waits for the background.
    pub(super) nudge: Notify,
}

/// A line, and the verification by which it is believed.
pub(super) type By<'a> = (&'a Line, &'a Arc<Trust>);

/// What became of an operation.
#[derive(Debug)]
pub(super) struct Told {
    /// All objects took it; one that could not be kept was removed instead, which for a bump is as
    /// good.
    pub(super) all: bool,
    /// In which databases others have to be waited for.
    pub(super) waits: Vec<(Arc<Database>, Wait)>,
    /// What the epoch of the last database was after a bump, if that is certain.
    pub(super) epoch: Option<Option<Version>>,
}

/// What the script of version objects answers.
#[derive(Debug, Default)]
pub(super) struct Ran {
    /// What each object is now.
    pub(super) states: Vec<Value>,
    wait: Option<Wait>,
    /// After a bump, what the epoch was then, if that is certain; nothing while it is being written.
    epoch: Option<Option<Version>>,
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
            lines: Lines::new(lines),
            agreement: Agreement::default(),
            near: ear.as_ref().map(|_| Near::new(&limits)),
            ear,
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
            familiar: Familiar::new(),
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

    /// A line that is trusted now: this thread's own, or another.
    pub(super) fn line(&self) -> Option<(&Line, Arc<Trust>)> {
        self.lines
            .by_preference()
            .find_map(|line| Some((line, line.trust()?)))
    }

    /// A line for what has to be heard. One that is too slow for readers will do.
    pub(super) fn line_to_be_heard(&self) -> Option<(&Line, Arc<Trust>)> {
        self.line_besides(None)
    }

    /// The same; one that has just kept silent only if there is no other.
    fn line_besides(&self, silent: Option<&Line>) -> Option<(&Line, Arc<Trust>)> {
        let is_other = |line: &&Line| !silent.is_some_and(|silent| std::ptr::eq(*line, silent));
        let others = || self.lines.by_preference().filter(is_other);
        let all = || self.lines.by_preference();
        others()
            .find_map(|line| Some((line, line.trust()?)))
            .or_else(|| others().find_map(|line| Some((line, line.slow()?))))
            .or_else(|| all().find_map(|line| Some((line, line.trust().or_else(|| line.slow())?))))
    }

    /// Counts what went wrong. A server that declines on one line is not believed on any other:
    /// it may have been demoted, and be promoted again before they notice.
    pub(super) fn note(&self, trouble: Trouble) {
        self.troubles.add(trouble);
        if trouble == Trouble::Refused {
            self.lines.all().for_each(Line::distrust);
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
        let mut last = None;
        loop {
            let told = match self.line_besides(last) {
                Some((line, trust)) => {
                    if line.trust().is_none() {
                        patience = Patience::Background;
                    }
                    // Another one may lead there.
                    last = Some(line);
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
            epoch: None,
        };
        let databases: Vec<_> = scopes
            .chunk_by(|a, b| a.database() == b.database())
            .collect();
        for some in databases.chunks(TOGETHER_MAX) {
            // One round trip for all of them.
            let runs = some
                .iter()
                .map(|scopes| self.run(by, patience, operation, mark, scopes));
            for (scopes, ran) in some.iter().zip(join_all(runs).await) {
                let ran = ran?;
                let mut states = ran.states.iter();
                told.all &= states.all(|state| state.as_bytes() != Some(b"X"));
                let database = scopes.first().map(|scope| self.database(scope.database()));
                told.waits.extend(database.zip(ran.wait));
                told.epoch = ran.epoch;
            }
        }
        self.outage.end();
        Ok(told)
    }

    /// Runs the script of version objects on scopes of one database.
    pub(super) async fn run(
        &self,
        by: By<'_>,
        patience: Patience,
        operation: Operation,
        mark: &Token,
        scopes: &[Scope],
    ) -> Result<Ran, Trouble> {
        let Some(&first) = scopes.first() else {
            return Ok(Ran::default());
        };
        let database = self.database(first.database());
        let (line, trust) = by;
        database.used(trust);
        let keys = &database.keys;
        let mut objects: Vec<_> = scopes.iter().map(|&scope| keys.scope(scope)).collect();
        objects.push(keys.scope(Scope::Epoch(database.id)));
        objects.extend([keys.term(), keys.ledger()]);
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
        let by = (line, &**trust);
        let mut reply = VERSIONS.run(by, patience, objects, arguments).await?;
        if !self.agreement.is_on(trust.server) {
            // It has told one whom nobody asks any more.
            return Err(Trouble::Disconnected);
        }
        let (seen, posted, states) = (reply.pop(), reply.pop(), reply.pop());
        let states = states.map(Value::into_array).unwrap_or_default();
        if states.len() != scopes.len() {
            return Err(Trouble::Reply);
        }
        let believed = line.check(trust).is_ok();
        let wait = match posted {
            Some(Value::Array(posted)) => self.posted(&database, &posted, believed)?,
            Some(Value::Null) => None,
            _ => return Err(Trouble::Reply),
        };
        let epoch = match seen {
            Some(Value::Array(seen)) if believed && database.is_claimed(trust) => {
                self.epoch_of(&database, trust, &seen)
            }
            Some(_) | None => None,
        };
        Ok(Ran {
            states,
            wait,
            epoch,
        })
    }

    /// The epoch as a script has seen it, under the server's term; `None` if that says nothing.
    fn epoch_of(
        &self,
        database: &Database,
        trust: &Trust,
        seen: &[Value],
    ) -> Option<Option<Version>> {
        let [epoch, term] = seen else { return None };
        let generation = trust.server.generation(term.as_bytes())?;
        match Seen::parse(epoch.as_bytes()) {
            Seen::Missing => None,
            Seen::Written(_) => {
                self.suspect(std::iter::once(Scope::Epoch(database.id)));
                Some(None)
            }
            current @ Seen::Current(_) => {
                let stamp = stamp(generation, &[current])?;
                Some(stamp.versions().first().copied())
            }
        }
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

/// Scripts that travel together.
pub(super) const TOGETHER_MAX: usize = 128;

/// The pause between two attempts at a mark.
const OUTAGE_STEP: Duration = Duration::from_millis(5);
