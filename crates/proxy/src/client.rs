//! One client: its sockets, its session, and the marks that are set on its behalf.
//!
//! The session decides; this task reads, writes, waits, and asks the store.

use std::{
    future::poll_fn,
    io,
    pin::{Pin, pin},
    task::{Context, Poll},
    time::{Duration, Instant},
};

use cache::Stamp;
use session::{Answer, Need, Outcome, PENDING_MAX, Session, SessionError};
use sql::{Reason, Writes};
use store::{Fill, Found, Lead, Point, delay};
use tokio::{
    io::AsyncWriteExt,
    net::TcpStream,
    runtime::Handle,
    time::{self, Sleep, timeout},
};
use tokio_rustls::{client, server};

use crate::{
    cancels::Noted,
    counted::Counted,
    flight::{Allowed, Flight, Then},
    leave::Leave,
    link::Link,
    login::refusal,
    marks::Marks,
    place::Place,
};

/// How long the server may take to finish what a vanished client has left behind, before its
/// connection is closed.
const LINGER_MAX: Duration = Duration::from_secs(60);

/// How long the server may go without a word while its client is served from the store: settings
/// and firewalls end connections that seem to be idle.
const SILENCE_MAX: Duration = Duration::from_secs(1);

/// How long a client may wait in a block before its server hears of it.
const WAIT_MAX: Duration = Duration::from_secs(1);

/// How long a client may read nothing of what is left for it when its server has ended.
const READ_MAX: Duration = Duration::from_secs(60);

/// How long a goodbye may take.
const GOODBYE_MAX: Duration = Duration::from_secs(2);

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
    /// It is counted, and its server connection is.
    pub(crate) _counted: [Counted; 2],
    /// Cancel requests find its server, and do not meet what is ours there.
    pub(crate) noted: Option<Noted>,
}

/// When the statement at hand arrived, for the latency histograms.
#[derive(Debug, Default)]
pub(crate) struct Timing {
    arrived: Option<Instant>,
    missed: Option<Instant>,
    /// Since when the server has not said a word, as far as hits have looked.
    silent: Option<Instant>,
    /// When a block may have waited for too long without the server.
    waits: Option<Pin<Box<Sleep>>>,
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

/// What woke the task.
enum Event {
    Progress,
    ClientEnded,
    ServerEnded,
    Shutdown,
}

impl Client {
    /// Serves the client until either side leaves.
    pub(crate) async fn run(&mut self, leave: &Leave) -> End {
        let end = match self.serve(leave).await {
            Ok(end) | Err(end) => end,
        };
        if matches!(end, End::ClientSocket(_)) {
            self.finish_for_vanished().await;
        }
        // Nobody else waits for what this client has yet to read.
        self.place.settle(std::mem::take(&mut self.marks));
        match end {
            End::ClientSocket(_) => {}
            End::Server | End::ServerSocket(_) => self.flush_to_client(READ_MAX).await,
            End::Shutdown => self.say_goodbye().await,
            End::Session(ref error) => {
                if self.session.is_between_replies() {
                    let text = refusal::fatal("08P01", &format!("pgmemo: {error}"), None);
                    self.session.to_client.put(&text);
                }
                self.flush_to_client(GOODBYE_MAX).await;
            }
        }
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
            if word.is_none() && (self.session.is_idle() || self.session.is_replicating()) {
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
                // Its statement goes to the server, then its goodbye.
                Event::ClientEnded if self.flight.is_waiting() => self.flight.stop_waiting(),
                // The server hears of it as it would without us: it carries out what was sent whole,
                // gives up what was not, and closes; or it notices amid its work, if it is told to.
                Event::ClientEnded => {
                    self.session.client_left();
                    self.server.stream().limit_silence(LINGER_MAX);
                    self.server.finish();
                }
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
        self.place.refresh(&mut self.session);
        if !self.server.input.is_empty() {
            self.flight.heard();
        }
        loop {
            let need = self.session.server(&mut self.server.input)?;
            if matches!(need, Need::Input) {
                break;
            }
            self.perform(need).await;
        }
        if !self.session.records.is_empty() {
            delay(Point::Recording).await;
            self.keep_records();
        }
        if !self.client.input.is_empty()
            && let Some(noted) = &self.noted
        {
            noted.unharmed().await;
        }
        while !self.flight.is_waiting() {
            let need = self.session.client(&mut self.client.input)?;
            if matches!(need, Need::Input) {
                self.flight.settle(false, &self.place.telemetry().flights);
                break;
            }
            self.perform(need).await;
        }
        self.time_miss();
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
                let committed = outcome != Outcome::RolledBack;
                let everything = self.marks.end(ticket, committed).await;
                delay(Point::Ended).await;
                if everything {
                    self.place.catalog_changed();
                }
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
        };
        let question = self.session.question()?;
        let flight = &mut self.flight;
        match flight.missed(&self.place, question, &stamp, allowed).await {
            Then::Wait => None,
            Then::Serve(entry) => Some(Answer::Hit(entry)),
            Then::Ask(lead) => {
                self.timing.missed = self.timing.missed.or(self.timing.arrived);
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
        if let Some(held) = self.place.mark(writes, planned).await {
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
        if let Some(arrived) = self.timing.missed
            && !self.session.is_owed()
        {
            self.timing.missed = None;
            self.place
                .telemetry()
                .miss_latency
                .record_us(micros(arrived));
        }
    }

    /// Writes what waits and reads what comes.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Event, End>> {
        if let Some(noted) = &mut self.noted {
            noted.set_asking(self.session.is_asking());
        }
        if self.server.must_drain(&self.session.to_server)
            && let Poll::Ready(written) = self.server.poll_drain(cx, &mut self.session.to_server)
        {
            if let Err(error) = written {
                // What the server said before it closed is still to be read.
                self.session.to_server.clear();
                tracing::debug!(%error, "write to the server failed");
            }
            self.flight.sent();
        }
        if self.client.must_drain(&self.session.to_client)
            && let Poll::Ready(Err(error)) = self.client.poll_drain(cx, &mut self.session.to_client)
        {
            return Poll::Ready(Err(End::ClientSocket(error)));
        }
        let blocked = self.session.to_client.len() >= PENDING_MAX;
        if self.session.is_choked() && !blocked {
            return Poll::Ready(Ok(Event::Progress));
        }
        if self.flight.poll(cx).is_ready() {
            return Poll::Ready(Ok(Event::Progress));
        }
        if std::mem::take(&mut self.session.served)
            && let Some(arrived) = self.timing.arrived
        {
            self.place
                .telemetry()
                .hit_latency
                .record_us(micros(arrived));
            self.keep_alive(arrived);
            if !self.session.to_server.is_empty() {
                cx.waker().wake_by_ref();
            }
        }
        if blocked {
            // Nobody shall wait because this client does not read.
            self.session.release_leads();
        }
        if !self.server.ended
            && !blocked
            && let Poll::Ready(read) = self.server.poll_fill(cx)
        {
            self.timing.silent = None;
            return Poll::Ready(match read {
                Ok(0) => Ok(Event::ServerEnded),
                Ok(_) => Ok(Event::Progress),
                Err(error) => Err(End::ServerSocket(error)),
            });
        }
        if self.may_read(blocked)
            && let Poll::Ready(read) = self.client.poll_fill(cx)
        {
            if !self.flight.is_waiting() {
                self.timing.arrived = Some(Instant::now());
            }
            return Poll::Ready(match read {
                Ok(0) => Ok(Event::ClientEnded),
                Ok(_) => Ok(Event::Progress),
                Err(error) => Err(End::ClientSocket(error)),
            });
        }
        if self.session.is_in_virtual_block() && self.poll_waiting(cx).is_ready() {
            return Poll::Ready(Ok(Event::Progress));
        }
        self.client.shrink();
        self.server.shrink();
        self.session.rest();
        Poll::Pending
    }

    /// A client that waits in a block of which the server has not heard is taken for idle there: it is
    /// begun before long. Ready when that was done.
    fn poll_waiting(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let now = Instant::now();
        let since = self.timing.arrived.unwrap_or(now);
        let waits = self
            .timing
            .waits
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until((since + WAIT_MAX).into())));
        // One alarm serves all blocks of a second.
        while waits.as_mut().poll(cx).is_ready() {
            let due = now.duration_since(since) >= WAIT_MAX;
            if due && self.session.begin_block() {
                self.timing.waits = None;
                return Poll::Ready(());
            }
            let from = if due { now } else { since };
            waits.as_mut().reset((from + WAIT_MAX).into());
        }
        Poll::Pending
    }

    /// Whether more of the client would be of use now.
    fn may_read(&self, blocked: bool) -> bool {
        if self.session.has_ended() {
            // Nothing will come of it but that it has closed.
            return !self.server.is_finished() && self.client.input.is_empty();
        }
        !self.session.is_stalled()
            // Who streams changes is told, too, how far the client has come with the last ones.
            && (!blocked || self.session.is_replicating())
            && self.session.to_server.len() < PENDING_MAX
            && (!self.flight.is_waiting() || self.client.input.len() < PENDING_MAX)
    }

    /// After a hit: lets the server know that the client is at work, if it has not heard for a while.
    fn keep_alive(&mut self, now: Instant) {
        let silent = self.timing.silent.get_or_insert(now);
        if now.duration_since(*silent) >= SILENCE_MAX {
            *silent = now;
            self.session.keep_alive();
        }
    }

    /// A client that vanishes in the middle leaves work behind: what it has sent is carried out, as
    /// it would be without us, before the connection is closed. Until then the marks hold.
    async fn finish_for_vanished(&mut self) {
        self.flight.never_wait();
        self.session.release_leads();
        let work = async {
            self.session.client_left();
            self.server.stream().limit_silence(LINGER_MAX);
            self.server.finish();
            while self.marks.are_pressing() && !self.server.ended {
                self.session.to_client.clear();
                if self.pump().await.is_err() {
                    break;
                }
                let read = poll_fn(|cx| {
                    if let Poll::Ready(Err(error)) =
                        self.server.poll_drain(cx, &mut self.session.to_server)
                    {
                        return Poll::Ready(Err(error));
                    }
                    self.server.poll_fill(cx)
                });
                if !read.await.is_ok_and(|bytes| bytes > 0) {
                    break;
                }
            }
        };
        if timeout(LINGER_MAX, work).await.is_err() {
            tracing::warn!(
                "a statement outlives its client; what it writes stays uncached until it ends"
            );
        }
        let drain = poll_fn(|cx| self.server.poll_drain(cx, &mut self.session.to_server));
        let _ = timeout(GOODBYE_MAX, drain).await;
        let _ = timeout(GOODBYE_MAX, self.server.stream().shutdown()).await;
    }

    /// Writes what the client has yet to read, as long as it reads some of it now and then.
    async fn flush_to_client(&mut self, patience: Duration) {
        loop {
            let left = self.session.to_client.len();
            let drain = poll_fn(|cx| self.client.poll_drain(cx, &mut self.session.to_client));
            let late = timeout(patience, drain).await.is_err();
            if !late || self.session.to_client.len() == left {
                break;
            }
        }
        let _ = timeout(GOODBYE_MAX, self.client.stream().shutdown()).await;
    }

    async fn say_goodbye(&mut self) {
        let text = "terminating connection due to administrator command";
        if self.session.is_between_replies() {
            self.session
                .to_client
                .put(&refusal::fatal("57P01", text, None));
        }
        if self.session.is_between_messages() {
            self.session.to_server.put(wire::frontend::TERMINATE);
        }
        let drain = poll_fn(|cx| self.server.poll_drain(cx, &mut self.session.to_server));
        let _ = timeout(GOODBYE_MAX, drain).await;
        self.flush_to_client(GOODBYE_MAX).await;
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

fn micros(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX)
}
