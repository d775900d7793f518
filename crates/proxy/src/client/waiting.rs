//! What a client's task waits for: its sockets, a flight, an alarm.

use std::{
    task::{Context, Poll},
    time::{Duration, Instant},
};

use session::PENDING_MAX;

use super::{Client, End, micros};

/// How long the server may go without a word while its client is served from the store: settings
/// and firewalls end connections that seem to be idle.
const SILENCE_MAX: Duration = Duration::from_millis(250);

/// How long a client may wait in a block before its server hears of it.
const WAIT_MAX: Duration = Duration::from_secs(1);

/// What woke the task.
pub(super) enum Event {
    Progress,
    ClientEnded,
    ServerEnded,
    Shutdown,
}

impl Client {
    /// Writes what waits and reads what comes.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Event, End>> {
        self.note_asking();
        self.poll_drains(cx)?;
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
            && (self.unnamed.is_none() || self.server.input.len() < PENDING_MAX)
            && let Poll::Ready(read) = self.server.poll_fill(cx)
        {
            // It has been at work since then at the earliest, and is idle from now on.
            self.timing.silent = self.timing.arrived.unwrap_or(self.timing.silent);
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
        if self.session.to_server.is_empty() {
            self.flight.rest();
        }
        self.client.shrink();
        self.server.shrink();
        self.session.rest();
        Poll::Pending
    }

    /// Lets those know who bring cancel requests whether the server is at something of ours, and
    /// whether a statement waits for the end of that.
    fn note_asking(&mut self) {
        let asking = self.session.is_asking();
        if asking && !self.client.input.is_empty() {
            self.flight.hold(&self.place);
        } else if !asking {
            let goes = !self.session.to_server.is_empty();
            self.flight.let_go(goes, self.timing.arrived.is_some());
        }
        if let Some(noted) = &mut self.noted {
            noted.set_asking(asking);
        }
    }

    /// Writes what waits, as far as it goes.
    fn poll_drains(&mut self, cx: &mut Context<'_>) -> Result<(), End> {
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
            return Err(End::ClientSocket(error));
        }
        Ok(())
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
        if self.unnamed.is_some() && self.client.ended {
            return false;
        }
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
        if now.duration_since(self.timing.silent) >= SILENCE_MAX {
            self.timing.silent = now;
            self.session.keep_alive();
        }
    }
}
