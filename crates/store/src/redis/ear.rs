//! What keeps replies near servable: one task that holds this instance's seats.
//!
//! It has a connection of its own, on which marks are heard, leases renewed and acknowledgements
//! sent. On one connection everything comes in the order in which Redis did it, so that a renewal's
//! answer finds all marks heard that were posted before it. Safety does not rest on that: what was
//! not heard is missed by its number.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use catalog::DatabaseId;
use fred::types::Value;
use futures_util::future::join_all;
use tokio::{
    sync::broadcast::{Receiver, error::RecvError, error::TryRecvError},
    time::sleep,
};
use tokio_util::sync::CancellationToken;

use super::{
    clock,
    database::Database,
    line::{Line, MESSAGES_MAX, Patience},
    names::{self, Token},
    near::{Near, Stripe},
    notice::{Acknowledgement, Notice},
    refusal::classify,
    resp::command,
    scripts::LEDGER,
    shared::{Shared, TOGETHER_MAX, VERSION_TTL, millis},
    verify::Trust,
    wire::Message,
};
use crate::{
    Trouble,
    lease::{Action, Answer, Holder, Order},
};

/// The task's own state.
struct Ear<'a> {
    shared: &'a Shared,
    near: &'a Near,
    line: &'a Line,
    /// The verification under which everything below was done.
    trust: Option<Arc<Trust>>,
    messages: Receiver<Message>,
    /// Until when nothing is tried after a refusal.
    pause: Option<Instant>,
    seats: HashMap<DatabaseId, Seat>,
}

/// What is done for one database.
struct Seat {
    database: Arc<Database>,
    /// Its channel of marks.
    channel: String,
    holder: Holder,
    renewed: Option<Instant>,
    /// Whose marks have been applied and not acknowledged.
    writers: Vec<Token>,
}

/// What is asked for a seat.
struct Asked {
    id: DatabaseId,
    /// There is none yet.
    joins: bool,
    keys: Vec<Value>,
    arguments: Vec<Value>,
}

/// Holds seats until `stop`, then gives them up.
pub(super) async fn listen(shared: Arc<Shared>, stop: CancellationToken) {
    let (Some(near), Some(line)) = (&shared.near, shared.ear()) else {
        return;
    };
    let mut ear = Ear {
        shared: &shared,
        near,
        line,
        trust: None,
        messages: line.messages(),
        pause: None,
        seats: HashMap::new(),
    };
    loop {
        ear.settle().await;
        ear.renew().await;
        let heard = tokio::select! {
            () = stop.cancelled() => break,
            () = sleep(ROUND_EVERY) => Ok(()),
            message = ear.messages.recv() => ear.receive(message),
        };
        if heard.and_then(|()| ear.receive_all()).is_err() {
            ear.hang_up();
            sleep(ROUND_EVERY).await;
        }
    }
    for seat in std::mem::take(&mut ear.seats).values_mut() {
        seat.leave(&ear).await;
    }
}

/// Messages do not come any more.
#[derive(Debug)]
struct Deaf;

impl Ear<'_> {
    /// Begins anew if the connection is another one; takes seats for databases that are claimed.
    async fn settle(&mut self) {
        if self.pause.is_some_and(|until| Instant::now() < until) {
            return;
        }
        let trust = self.line.trust();
        let same = match (&trust, &self.trust) {
            (Some(now), Some(before)) => Arc::ptr_eq(now, before),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        if !same {
            self.hang_up();
            let channel = self.shared.acknowledgements(self.shared.instance());
            if let Some(trust) = &trust
                && !self.subscribe(trust, std::iter::once(channel)).await
            {
                return;
            }
            self.trust = trust;
        }
        let Some(trust) = self.trust.clone() else {
            return;
        };
        let mut new = self.shared.databases();
        new.retain(|it| !self.seats.contains_key(&it.id) && it.is_claimed(&trust));
        for some in new.chunks(SUBSCRIPTIONS_MAX) {
            let channels = some.iter().map(|database| database.keys.marks());
            if !self.subscribe(&trust, channels).await {
                return;
            }
            let seats = some
                .iter()
                .map(|database| (database.id, Seat::new(database)));
            self.seats.extend(seats);
        }
    }

    /// Hears from now on what is published in some channels; whether that is so.
    async fn subscribe(&mut self, trust: &Trust, channels: impl Iterator<Item = String>) -> bool {
        let subscribe = channels.map(|channel| command("SUBSCRIBE", [channel.into()]));
        let told = self
            .line
            .ask(trust, Patience::Background, subscribe.collect());
        let told: Result<Vec<_>, _> = told.await.and_then(|told| told.into_iter().collect());
        let trouble = match told {
            Ok(_) => return true,
            Err(fault) => classify(&fault),
        };
        self.shared.troubles.add(trouble);
        tracing::warn!(
            trouble = trouble.code(),
            "redis lets nobody subscribe; every lookup asks it"
        );
        self.pause = Some(Instant::now() + SUBSCRIBE_PAUSE);
        false
    }

    /// Serves nothing more from nearby, and forgets the connection.
    fn hang_up(&mut self) {
        for seat in self.seats.values_mut() {
            seat.give_up(self.near);
        }
        if !self.seats.is_empty() {
            self.near.note_lost();
        }
        self.seats.clear();
        self.trust = None;
        self.messages = self.line.messages();
    }

    /// Asks for every seat that is due: for its time, or because somebody waits for us.
    async fn renew(&mut self) {
        let Some(trust) = self.trust.clone() else {
            return;
        };
        let near = self.near;
        self.seats.retain(|_, seat| {
            // Where lookups ask another server, or none, marks are posted there, and not here.
            let claimed = seat.database.is_claimed(&trust);
            if !claimed {
                seat.give_up(near);
                near.note_lost();
            }
            claimed
        });
        let due = self.seats.values().filter(|seat| {
            let late = seat.renewed.is_none_or(|at| at.elapsed() >= RENEW_EVERY);
            late || !seat.writers.is_empty()
        });
        let mut due: Vec<_> = due
            .map(|seat| (seat.writers.is_empty(), seat.database.id))
            .collect();
        // Who is waited for comes first.
        due.sort_by_key(|&(idle, _)| idle);
        for some in due.chunks(TOGETHER_MAX) {
            let ids = some.iter().map(|&(_, id)| id);
            if self.ask(ids, &trust).await.is_err() {
                self.hang_up();
                return;
            }
        }
    }

    /// Asks for seats, in one round trip.
    async fn ask(
        &mut self,
        ids: impl Iterator<Item = DatabaseId>,
        trust: &Arc<Trust>,
    ) -> Result<(), Deaf> {
        let asked: Vec<_> = ids.filter_map(|id| self.order(id, trust)).collect();
        let by = (self.line, &**trust);
        let told = asked.iter().map(|asked| {
            let (keys, arguments) = (asked.keys.clone(), asked.arguments.clone());
            LEDGER.run(by, Patience::Background, keys, arguments)
        });
        let told = join_all(told).await;
        if self.line.check(trust).is_err() {
            return Err(Deaf);
        }
        let answers = asked.iter().zip(told);
        let (joins, beats): (Vec<_>, Vec<_>) = answers.partition(|(asked, _)| asked.joins);
        // Without a seat, what was published behind the answer would have meant nothing.
        joins.into_iter().for_each(|it| self.answered(it));
        // What was published before an answer is on its way to us no more: it is here.
        self.receive_all()?;
        beats.into_iter().for_each(|it| self.answered(it));
        Ok(())
    }

    /// What is to be asked for a seat now.
    fn order(&mut self, id: DatabaseId, trust: &Trust) -> Option<Asked> {
        let seat = self.seats.get_mut(&id)?;
        if seat.database.ward.has_lapsed() {
            self.near.note_lost();
        }
        seat.renewed = Some(Instant::now());
        let mut actions = Vec::new();
        let fresh = self.shared.dice.token();
        let order = seat.holder.ask(clock::now(), fresh, &mut actions);
        seat.perform(self.near, &actions, &[]);
        let writers = std::mem::take(&mut seat.writers);
        let mut arguments = arguments(self.shared, trust, order, writers);
        let joins = if let Order::Join { member } = order {
            // Nothing is served under that name any more, so nobody need wait for it.
            arguments.extend(seat.database.member().as_ref().map(names::value));
            // Whether or not the answer comes: the next to join takes it off.
            seat.database.seat(member);
            true
        } else {
            false
        };
        let keys = vec![seat.database.keys.ledger(), seat.database.keys.term()];
        Some(Asked {
            id,
            joins,
            keys,
            arguments,
        })
    }

    fn answered(&mut self, (asked, told): (&Asked, Result<Vec<Value>, Trouble>)) {
        let answer = match told {
            Ok(reply) => answer(&reply),
            Err(trouble) => {
                self.shared.note(trouble);
                Answer::Silence
            }
        };
        if let Some(seat) = self.seats.get_mut(&asked.id) {
            let mut actions = Vec::new();
            seat.holder.answered(answer, clock::now(), &mut actions);
            seat.perform(self.near, &actions, &[]);
            if answer == Answer::Stranger && !asked.joins {
                self.near.note_lost();
                seat.renewed = None;
            }
        }
    }

    /// Takes all messages that have come.
    fn receive_all(&mut self) -> Result<(), Deaf> {
        for _ in 0..MESSAGES_MAX {
            let message = match self.messages.try_recv() {
                Ok(message) => Ok(message),
                Err(TryRecvError::Lagged(lost)) => Err(RecvError::Lagged(lost)),
                Err(TryRecvError::Empty) => return Ok(()),
                Err(TryRecvError::Closed) => Err(RecvError::Closed),
            };
            self.receive(message)?;
        }
        Ok(())
    }

    fn receive(&mut self, message: Result<Message, RecvError>) -> Result<(), Deaf> {
        let message = match message {
            Ok(message) => message,
            // The next mark, or renewal, misses them.
            Err(RecvError::Lagged(_)) => return Ok(()),
            Err(RecvError::Closed) => return Err(Deaf),
        };
        let bytes = &message.value;
        let seat = self.seats.values_mut();
        let seat = seat
            .into_iter()
            .find(|seat| seat.channel.as_bytes() == message.channel);
        match (seat, Notice::parse(bytes)) {
            (Some(seat), Some(notice)) => {
                let mut actions = Vec::new();
                seat.holder
                    .heard(&notice.ledger, notice.sequence, clock::now(), &mut actions);
                seat.perform(self.near, &actions, &notice.stripes);
                let own = notice.writer == *self.shared.instance();
                if !own && notice.writer != NOBODY && !seat.writers.contains(&notice.writer) {
                    seat.writers.push(notice.writer);
                }
            }
            (Some(_), None) => {}
            (None, _) => {
                if let Some(heard) = Acknowledgement::parse(bytes) {
                    self.shared.acknowledged.note(&heard);
                }
            }
        }
        Ok(())
    }
}

impl Seat {
    /// Not taken yet.
    fn new(database: &Arc<Database>) -> Self {
        Self {
            channel: database.keys.marks(),
            holder: Holder::new(clock::PACE),
            renewed: None,
            writers: Vec::new(),
            database: Arc::clone(database),
        }
    }

    fn perform(&self, near: &Near, actions: &[Action], stripes: &[Stripe]) {
        near.perform(&self.database.ward, actions, stripes);
    }

    /// Serves no more.
    fn give_up(&mut self, near: &Near) {
        let mut actions = Vec::new();
        self.holder.leave(&mut actions);
        self.perform(near, &actions, &[]);
    }

    /// Serves no more, and says so.
    async fn leave(&mut self, ear: &Ear<'_>) {
        let Some(member) = self.holder.member() else {
            return;
        };
        self.give_up(ear.near);
        if let Some(trust) = &ear.trust {
            let arguments = vec![
                "leave".into(),
                trust.server.value(),
                millis(VERSION_TTL),
                names::value(&member),
            ];
            let keys = vec![self.database.keys.ledger()];
            // Unsaid, it costs a writer the time of a lease.
            _ = LEDGER
                .run((ear.line, trust), Patience::Writer, keys, arguments)
                .await;
        }
    }
}

/// An order as the script takes it.
fn arguments(shared: &Shared, trust: &Trust, order: Order, writers: Vec<Token>) -> Vec<Value> {
    let (server, ttl) = (trust.server.value(), millis(VERSION_TTL));
    match order {
        Order::Join { member } => vec![
            "join".into(),
            server,
            ttl,
            names::value(&member),
            shared.dice.value(),
            MEMBERS_MAX.into(),
        ],
        Order::Beat {
            ledger,
            member,
            applied,
            ripe,
        } => {
            let channels = writers.iter().map(|writer| shared.acknowledgements(writer));
            let mut arguments = vec![
                "beat".into(),
                server,
                ttl,
                names::value(&ledger),
                names::value(&member),
                Value::from(applied.to_string()),
                if ripe { "1" } else { "0" }.into(),
            ];
            arguments.extend(channels.map(Value::from));
            arguments
        }
    }
}

/// What the script says to an order.
fn answer(reply: &[Value]) -> Answer {
    let [id, sequence] = reply else {
        return Answer::Stranger;
    };
    let id = id.as_bytes().and_then(|id| id.try_into().ok());
    let sequence = sequence.as_i64().and_then(|n| u64::try_from(n).ok());
    match (id, sequence) {
        (Some(ledger), Some(sequence)) => Answer::Member { ledger, sequence },
        _ => Answer::Stranger,
    }
}

/// The writer of what nobody waits for.
pub(super) const NOBODY: Token = [0; 16];

/// Between two renewals of a lease. Four of them fit into it.
const RENEW_EVERY: Duration = Duration::from_millis(200);

/// Between two looks at what is due.
const ROUND_EVERY: Duration = Duration::from_millis(50);

/// Subscriptions that travel together, which a connection can tell from other commands.
const SUBSCRIPTIONS_MAX: usize = 16;

/// Between two attempts at a subscription.
const SUBSCRIBE_PAUSE: Duration = Duration::from_secs(1);

/// Instances that keep replies near, per database. The others ask Redis.
const MEMBERS_MAX: u32 = 64;
