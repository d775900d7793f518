//! Waiting for a reply that somebody else has asked the server for.
//!
//! A client's task does not stop while its statement waits: it goes on to write, to read, to notice
//! that either side leaves. When the wait is over the session asks again, so that what is served
//! then is judged like any other hit.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use cache::{CacheKey, Entry, Stamp};
use session::{FlightCounters, Question};
use store::{Claimed, Ending, Lead, Point, Role, delay};
use tokio::time::{sleep, timeout_at};

use crate::{
    cancels::{Detained, Listed},
    place::Place,
    services::Services,
};

/// How far the statement at hand has come with waiting.
#[derive(Default)]
pub(crate) struct Flight {
    /// Which reply it is about.
    key: Option<CacheKey>,
    waiting: Option<Waiting>,
    /// Flights in this process that it has waited for.
    rounds: u8,
    /// Looks at what another instance is doing.
    polls: u8,
    /// How the last wait ended.
    ending: Option<Ending>,
    /// Until when it may wait in all.
    deadline: Option<Instant>,
    /// It leads those in this process, while another instance asks the server.
    lead: Option<Lead>,
    /// Why it may not wait any more.
    alone: Option<Alone>,
    /// This client's statements do not wait at all.
    never: bool,
    /// Where a cancel request finds it, until the server has begun to answer.
    listed: Option<Listed>,
    /// It has yet to be looked at: the server is at something of ours in front of it.
    held: bool,
    /// It waits for what others are to be told, and has to.
    detained: bool,
}

type Waiting = Pin<Box<dyn Future<Output = Ended> + Send>>;

/// Why a statement does not wait any more.
#[derive(Clone, Copy)]
enum Alone {
    /// It has waited as long as is allowed.
    Late,
    /// Its client has cancelled it.
    Cancelled,
    /// Its client leaves, or we do.
    Leaving,
}

/// Why a wait ended.
enum Ended {
    Flight(Ending),
    Cancelled,
    /// It is known, or will not be for now, what is to be told of the statement.
    Named,
}

/// What becomes of a statement whose reply is missing.
#[derive(Debug)]
pub(crate) enum Then {
    /// The server is asked; others may wait for this one.
    Ask(Option<Lead>),
    /// Somebody else has just read it.
    Serve(Entry),
    /// It waits.
    Wait,
}

/// What the session allows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Allowed {
    pub(crate) lead: bool,
    pub(crate) follow: bool,
    /// For how long at most, if that is limited.
    pub(crate) within: Option<Duration>,
}

impl Flight {
    /// Whether the statement at hand waits.
    pub(crate) const fn is_waiting(&self) -> bool {
        self.waiting.is_some()
    }

    /// Resolves when the wait is over.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(waiting) = &mut self.waiting else {
            return Poll::Pending;
        };
        let Poll::Ready(ended) = waiting.as_mut().poll(cx) else {
            return Poll::Pending;
        };
        self.waiting = None;
        match ended {
            Ended::Cancelled => self.alone = Some(Alone::Cancelled),
            Ended::Flight(Ending::Late) => self.alone = Some(Alone::Late),
            Ended::Flight(ending) => self.ending = Some(ending),
            Ended::Named => self.detained = false,
        }
        Poll::Ready(())
    }

    /// The statement at hand goes to the server now, unless others would not be told of it.
    pub(crate) fn stop_waiting(&mut self) {
        if !self.detained {
            self.waiting = None;
        }
        self.alone = Some(Alone::Leaving);
    }

    /// No statement of this client waits for replies from now on.
    pub(crate) fn never_wait(&mut self) {
        self.stop_waiting();
        self.never = true;
    }

    /// The statement at hand has to wait, and so have requests to cancel it.
    pub(crate) fn detain(&mut self, place: &Place) -> Detained {
        let listed = self.listed.take().filter(|listed| !listed.has_left());
        let listed = self.listed.insert(listed.unwrap_or_else(|| place.list()));
        listed.detain()
    }

    /// Whether the statement at hand has to wait until it is known in which database it writes; if so
    /// it does. A request to cancel it waits as well: when it has gone without being told, it may be too late.
    pub(crate) fn waits_for_name(&mut self, place: &Place) -> bool {
        let Some(named) = place.named() else {
            return false;
        };
        let detained = self.detain(place);
        self.detained = true;
        self.waiting = Some(Box::pin(async move {
            named.await;
            drop(detained);
            Ended::Named
        }));
        true
    }

    /// Of a client whose first statement may have come meanwhile.
    pub(crate) fn held(listed: Listed) -> Self {
        Self {
            listed: Some(listed),
            held: true,
            ..Self::default()
        }
    }

    /// The statement at hand waits behind something of ours.
    pub(crate) fn hold(&mut self, place: &Place) {
        self.listed.get_or_insert_with(|| place.list());
        self.held = true;
    }

    /// Nothing of ours is in its way; `goes` if it is on its way to the server now, and not answered
    /// already. One that has yet to be read keeps the request that has come for it.
    pub(crate) fn let_go(&mut self, goes: bool, read: bool) {
        if std::mem::take(&mut self.held) && !goes && self.waiting.is_none() {
            let listed = self.listed.take();
            self.listed = listed.filter(|listed| !read && listed.is_cancelled());
        }
    }

    /// The client has said nothing that was not seen to: what has not been sent is not on its way, and a
    /// request that has come meant nothing.
    pub(crate) fn rest(&mut self) {
        if self.waiting.is_none() && !self.held {
            self.listed = self.listed.take().filter(Listed::has_left);
        }
    }

    /// Whatever was to be said to the server has been written.
    pub(crate) fn sent(&mut self) {
        if self.waiting.is_none()
            && !self.held
            && let Some(listed) = &self.listed
        {
            listed.left();
        }
    }

    /// The server has said something.
    pub(crate) fn heard(&mut self) {
        if self.waiting.is_none() && !self.held {
            self.listed = self.listed.take().filter(|listed| !listed.has_left());
        }
    }

    /// The statement at hand has its answer, `hit` if it need not go to the server.
    pub(crate) fn settle(&mut self, hit: bool, counters: &FlightCounters) {
        if self.key.is_none() && self.alone.is_none() {
            return;
        }
        if self.rounds > 0 || self.polls > 0 {
            let outcome = match self.alone {
                _ if hit => &counters.served,
                Some(Alone::Late) => &counters.late,
                Some(Alone::Cancelled) => &counters.cancelled,
                Some(Alone::Leaving) | None => &counters.vain,
            };
            outcome.inc();
        }
        if let Some(lead) = self.lead.take() {
            // Those who follow find what we have found.
            lead.give_way();
        }
        let listed = self.listed.take().filter(|_| !hit);
        *self = Self {
            never: self.never,
            held: self.held,
            listed,
            ..Self::default()
        };
    }

    /// Decides what to do about a reply that is missing under `stamp`.
    pub(crate) async fn missed(
        &mut self,
        place: &Place,
        question: &Question,
        stamp: &Stamp,
        allowed: Allowed,
    ) -> Then {
        if self.key != Some(question.key) {
            // What was waited for has been forgotten: the session sees its statement otherwise now.
            self.settle(false, &place.telemetry().flights);
            self.key = Some(question.key);
        }
        if let Some(Ending::Landed(landed)) = self.ending.take()
            && let Some(entry) = landed.under(stamp, &question.scopes, question.ttl)
        {
            return Then::Serve(entry.clone());
        }
        let Some(wait_max) = place.flights().wait_max() else {
            return Then::Ask(None);
        };
        let now = Instant::now();
        let within = allowed.within.map_or(wait_max, |it| it.min(wait_max));
        let deadline = *self.deadline.get_or_insert(now + within);
        let follow = allowed.follow
            && self.alone.is_none()
            && !self.never
            && self.rounds < ROUNDS_MAX
            && now < deadline;
        let cost = question.cost().filter(|_| place.store().is_shared());
        let pays = cost.is_none_or(|cost| cost >= FOLLOWING_PAYS);
        let lead = match self.lead.take() {
            Some(lead) => lead,
            None => match place.join(question, stamp, (allowed.lead, follow && pays)) {
                Role::Alone => return Then::Ask(None),
                Role::Lead(lead) => lead,
                Role::Follow(follower) => {
                    self.rounds += 1;
                    let ending = timeout_at(deadline.into(), follower.ending());
                    self.wait(place, async move { ending.await.unwrap_or(Ending::Late) });
                    return Then::Wait;
                }
            },
        };
        if !place.store().is_shared() || cost.is_some_and(|cost| cost < CLAIMING_PAYS) {
            return Then::Ask(Some(lead));
        }
        self.claim(place, question, stamp, lead, follow).await
    }

    /// Who leads in this process asks the server, unless another instance does already.
    async fn claim(
        &mut self,
        place: &Place,
        question: &Question,
        stamp: &Stamp,
        mut lead: Lead,
        follow: bool,
    ) -> Then {
        let counters = &place.telemetry().flights;
        let claimed = place.claim(question, stamp).await;
        delay(Point::Claimed).await;
        match claimed {
            Claimed::Ours(None) => {}
            Claimed::Ours(Some(claim)) => {
                counters.claims.inc();
                lead.hold(claim);
            }
            Claimed::Theirs if follow => {
                if self.polls == 0 {
                    counters.claimed.inc();
                }
                let pause = POLL_MIN
                    .saturating_mul(1 << self.polls.min(8))
                    .min(POLL_MAX);
                self.polls = self.polls.saturating_add(1);
                self.lead = Some(lead);
                let deadline = self.deadline;
                self.wait(place, async move {
                    sleep(pause).await;
                    match deadline {
                        Some(deadline) if Instant::now() >= deadline => Ending::Late,
                        Some(_) | None => Ending::Over,
                    }
                });
                return Then::Wait;
            }
            Claimed::Theirs => {}
        }
        lead.departs();
        Then::Ask(Some(lead))
    }

    fn wait(&mut self, place: &Place, ending: impl Future<Output = Ending> + Send + 'static) {
        let listed = self.listed.get_or_insert_with(|| place.list());
        let cancelled = listed.cancelled();
        let counted = Counted::new(place.services());
        self.waiting = Some(Box::pin(async move {
            let _counted = counted;
            let ended = tokio::select! {
                ending = ending => Ended::Flight(ending),
                () = cancelled => Ended::Cancelled,
            };
            delay(Point::Woken).await;
            ended
        }));
    }
}

impl std::fmt::Debug for Flight {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Flight")
            .field("waiting", &self.is_waiting())
            .finish_non_exhaustive()
    }
}

/// One statement that waits.
struct Counted(Arc<Services>);

impl Counted {
    fn new(services: &Arc<Services>) -> Self {
        services.sessions.telemetry.flights.waiting.add(1);
        Self(Arc::clone(services))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.sessions.telemetry.flights.waiting.add(-1);
    }
}

/// Flights that one statement waits for, one after the other: each further one means that what was
/// waited for has failed or been outdated.
const ROUNDS_MAX: u8 = 2;

/// Where a look at the store costs a round trip, waiting for a reply that the server gives sooner
/// than this is no gain.
const FOLLOWING_PAYS: Duration = Duration::from_millis(1);

/// A claim costs a round trip before the server is asked.
const CLAIMING_PAYS: Duration = Duration::from_millis(5);

/// Between two looks at what another instance is doing, at first and at most.
const POLL_MIN: Duration = Duration::from_millis(2);
const POLL_MAX: Duration = Duration::from_millis(50);
