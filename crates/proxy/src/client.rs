//! One client: its sockets, its session, and the marks that are set on its behalf.
//!
//! The session decides; this task reads, writes, waits, and asks the store.

use std::{
    future::poll_fn,
    io,
    pin::{Pin, pin},
    sync::Arc,
    task::Poll,
    time::{Duration, Instant},
};

use cache::Stamp;
use session::{Answer, Need, Outcome, Session, SessionError, Tally};
use sql::{Reason, Writes};
use store::{Fill, Found, Lead, Point, delay};
use tokio::{
    net::TcpStream,
    runtime::Handle,
    time::{self, Sleep},
};
use tokio_rustls::{client, server};

use self::waiting::Event;
use crate::{
    cancels::Noted,
    counted::Counted,
    flight::{Allowed, Flight, Then},
    leave::Leave,
    link::Link,
    marks::Marks,
    place::Place,
};

mod leaving;
mod waiting;

/// One client after its login.
pub(crate) struct Client {
    pub(crate) place: Place,
    pub(crate) session: Session,
    pub(crate) client: Link<server::TlsStream<TcpStream>>,
    pub(crate) server: Link<client::TlsStream<TcpStream>>,
    pub(crate) marks: Marks,
    /// When the last one was set.
    pub(crate) marked: time::Instant,
    pub(crate) timing: Timing,
    pub(crate) flight: Flight,
    /// What the statement at hand writes, and its ticket, while it waits until that can be told.
    pub(crate) unnamed: Option<Box<(u64, Writes)>>,
    /// It is counted, and its server connection is.
    pub(crate) _counted: [Counted; 2],
    /// Cancel requests find its server, and do not meet what is ours there.
    pub(crate) noted: Option<Noted>,
}

/// When the statement at hand arrived, for the latency histograms.
#[derive(Debug)]
pub(crate) struct Timing {
    arrived: Option<Instant>,
    missed: Option<(Instant, Option<Arc<Tally>>)>,
    /// Since when the server has not been at work, or longer.
    silent: Instant,
    /// When a block may have waited for too long without the server.
    waits: Option<Pin<Box<Sleep>>>,
}

impl Timing {
    /// Of a session that begins now.
    pub(crate) fn begin() -> Self {
        Self {
            arrived: None,
            missed: None,
            silent: Instant::now(),
            waits: None,
        }
    }
}

/// Why a client's task ends.
#[derive(Debug, thiserror::Error)]
pub(crate) enum End {
    /// The server closed.
    #[error("the server closed")]
    Server,
    /// We are shutting down.
    #[error("shutting down")]
    Shutdown,
    /// A socket failed.
    #[error("socket to the client: {0}")]
    ClientSocket(#[source] io::Error),
    /// A socket failed.
    #[error("socket to the server: {0}")]
    ServerSocket(#[source] io::Error),
    /// The protocol was broken.
    #[error(transparent)]
    Session(#[from] SessionError),
}

impl Client {
    /// Serves the client until either side leaves.
    pub(crate) async fn run(&mut self, leave: &Leave) -> End {
        let end = match self.serve(leave).await {
            Ok(end) | Err(end) => end,
        };
        if matches!(end, End::ClientSocket(_)) {
            self.finish_for_vanished().await;
        } else if self.unnamed.take().is_some() {
            // What waited will not be sent: the server has ended, and may have said why.
            _ = self.hear_server().await;
        }
        // Nobody else waits for what this client has yet to read.
        self.place.settle(std::mem::take(&mut self.marks));
        self.take_leave(&end).await;
        end
    }

    async fn serve(&mut self, leave: &Leave) -> Result<End, End> {
        let word = pin!(leave.wait());
        let mut word = Some(word);
        let mut last_word = pin!(leave.wait_last());
        // Once it has been polled, it wakes this task by itself.
        let mut listens = false;
        loop {
            self.pump().await?;
            if !self.session.to_server.is_empty() {
                delay(Point::Sending).await;
            }
            // Replication has no end of its own.
            let idle = self.session.is_idle() && self.unnamed.is_none();
            if word.is_none() && (idle || self.session.is_replicating()) {
                return Ok(End::Shutdown);
            }
            let event = poll_fn(|cx| {
                if let Poll::Ready(event) = self.poll(cx) {
                    return Poll::Ready(event);
                }
                let heard = word.as_mut().is_some_and(|word| {
                    let asks = !listens || leave.is_given();
                    listens = true;
                    asks && word.as_mut().poll(cx).is_ready()
                });
                if heard {
                    return Poll::Ready(Ok(Event::Shutdown));
                }
                if word.is_none() && last_word.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(Err(End::Shutdown));
                }
                Poll::Pending
            });
            match event.await? {
                Event::Progress => delay(Point::Heard).await,
                // What it has sent is carried out, then its goodbye.
                Event::ClientEnded if self.unnamed.is_some() => {}
                // Its statement goes to the server, then its goodbye.
                Event::ClientEnded if self.flight.is_waiting() => self.flight.stop_waiting(),
                // The server hears of it as it would without us: it carries out what was sent whole,
                // gives up what was not, and closes; or it notices amid its work, if it is told to.
                Event::ClientEnded => self.client_left(),
                Event::ServerEnded => return Ok(End::Server),
                Event::Shutdown => {
                    self.flight.never_wait();
                    word = None;
                }
            }
        }
    }

    /// Lets the session handle all that has been read: first what the server has answered, which
    /// may set waiting messages of the client free.
    async fn pump(&mut self) -> Result<(), End> {
        if let Some(unnamed) = self.unnamed.take() {
            if self.flight.is_waiting() {
                // The session expects to be asked the same next.
                self.unnamed = Some(unnamed);
                return Ok(());
            }
            self.mark(unnamed.0, &unnamed.1).await;
            self.session.answer(Answer::Done);
            self.hear_client().await?;
        }
        self.place.refresh(&mut self.session);
        self.hear_server().await?;
        if !self.session.records.is_empty() {
            delay(Point::Recording).await;
            self.keep_records();
        }
        if !self.client.input.is_empty()
            && let Some(noted) = &self.noted
        {
            noted.unharmed().await;
        }
        self.hear_client().await?;
        self.time_miss();
        Ok(())
    }

    async fn hear_server(&mut self) -> Result<(), End> {
        if !self.server.input.is_empty() {
            self.flight.heard();
        }
        loop {
            let need = self.session.server(&mut self.server.input)?;
            if matches!(need, Need::Input) {
                break;
            }
            if matches!(need, Need::Mark(..))
                && let Some(named) = self.place.named()
            {
                named.await;
            }
            self.perform(need).await;
        }
        Ok(())
    }

    async fn hear_client(&mut self) -> Result<(), End> {
        while !self.flight.is_waiting() {
            let need = self.session.client(&mut self.client.input)?;
            match need {
                Need::Input => {
                    self.flight.settle(false, &self.place.telemetry().flights);
                    break;
                }
                Need::Mark(ticket, writes) if self.flight.waits_for_name(&self.place) => {
                    self.unnamed = Some(Box::new((ticket, writes)));
                }
                Need::LookUp | Need::Mark(..) | Need::End(..) | Need::Dropped => {
                    self.perform(need).await;
                }
            }
        }
        Ok(())
    }

    async fn perform(&mut self, need: Need) {
        let answer = match need {
            Need::Input => return,
            Need::LookUp => match self.look_up().await {
                Some(answer) => answer,
                None => return,
            },
            Need::Mark(ticket, writes) => {
                delay(Point::Marking).await;
                self.mark(ticket, &writes).await;
                Answer::Done
            }
            Need::End(ticket, outcome) => {
                delay(Point::Ending).await;
                if outcome == Outcome::Reloaded {
                    self.place.reloaded(self.marked).await;
                }
                let everything = self.marks.end(ticket, outcome).await;
                delay(Point::Ended).await;
                if everything {
                    self.place.catalog_changed();
                }
                Answer::Done
            }
            Need::Dropped => {
                self.place.dropped().await;
                Answer::Done
            }
        };
        self.session.answer(answer);
    }

    /// What the store says; `None` if the statement waits for a reply that somebody else has asked
    /// for, after which the session asks again.
    async fn look_up(&mut self) -> Option<Answer> {
        let Some(question) = self.session.question() else {
            return Some(Answer::Nothing(Reason::NoCatalog));
        };
        let found = self.place.look_up(question).await;
        delay(Point::Answering).await;
        let answer = match found {
            Found::Hit(entry) => Answer::Hit(entry),
            Found::Miss(stamp) => self.missed(stamp).await?,
            Found::InFlight => Answer::Nothing(Reason::BeingWritten),
            Found::Outdated => {
                self.place.catalog_changed();
                Answer::Nothing(Reason::NoCatalog)
            }
            Found::Unavailable => Answer::Nothing(Reason::StoreUnavailable),
        };
        let hit = matches!(answer, Answer::Hit(_));
        self.flight.settle(hit, &self.place.telemetry().flights);
        Some(answer)
    }

    async fn missed(&mut self, stamp: Stamp) -> Option<Answer> {
        let allowed = Allowed {
            lead: self.session.may_lead(),
            follow: self.session.may_follow(),
            within: self.session.may_wait(),
        };
        let question = self.session.question()?;
        let flight = &mut self.flight;
        match flight.missed(&self.place, question, &stamp, allowed).await {
            Then::Wait => None,
            Then::Serve(entry) => Some(Answer::Hit(entry)),
            Then::Ask(lead) => {
                let tally = question.tally().map(Arc::clone);
                let missed = self.timing.arrived.map(|arrived| (arrived, tally));
                self.timing.missed = self.timing.missed.take().or(missed);
                if let Some(lead) = lead {
                    self.session.lead(Box::new(lead));
                }
                Some(Answer::Miss(stamp))
            }
        }
    }

    async fn mark(&mut self, ticket: u64, writes: &Writes) {
        self.marked = time::Instant::now();
        let planned = self.session.told_from();
        let mut marking = pin!(self.place.mark(writes, planned));
        let held = if let Ok(held) = time::timeout(LISTED_AFTER, &mut marking).await {
            held
        } else {
            let _detained = self.flight.detain(&self.place);
            marking.await
        };
        if let Some(held) = held {
            self.marks.push(ticket, held);
        }
    }

    fn keep_records(&mut self) {
        for record in self.session.records.drain(..) {
            self.place.telemetry().fills.inc();
            let lead = record.lead.and_then(|lead| lead.downcast::<Lead>().ok());
            if let Some(lead) = &lead {
                record.question.note_cost(lead.age());
            }
            let recipe = record.question.recipe.as_ref();
            let fill = Fill {
                key: record.question.key,
                database: record.question.knowledge.database,
                scopes: record.question.scopes,
                stamp: record.stamp,
                entry: record.entry,
                ttl: record.question.ttl,
                beyond: recipe.map_or(Duration::ZERO, |recipe| recipe.refresh.beyond()),
            };
            match lead {
                Some(lead) => self.place.store().fill_and_land(fill, *lead),
                None => self.place.store().fill(fill),
            }
        }
    }

    fn time_miss(&mut self) {
        if self.timing.missed.is_some()
            && !self.session.is_owed()
            && let Some((arrived, tally)) = self.timing.missed.take()
        {
            let us = micros(arrived);
            self.place.telemetry().miss_latency.record_us(us);
            if let Some(tally) = tally {
                tally.time(us);
            }
        }
    }
}

impl Drop for Client {
    /// Marks that are left are those of a task that was cut off: what was written may yet be
    /// committed.
    fn drop(&mut self) {
        if !self.marks.is_empty() && Handle::try_current().is_ok() {
            self.place.settle(std::mem::take(&mut self.marks));
        }
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("session", &self.session)
            .finish_non_exhaustive()
    }
}

/// How long a mark may take before a request to cancel its statement is expected.
const LISTED_AFTER: Duration = Duration::from_millis(5);

fn micros(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX)
}
