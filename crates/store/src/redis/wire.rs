//! One connection to Redis, from its beginning to its end.
//!
//! Invariant: whatever is answered through a [`Wire`] was answered over that one connection. There is
//! no other behind it: when it is lost it stays lost, and another one is another `Wire`.
//!
//! One task reads and writes. Commands that are sent before it has its turn travel in one go, from
//! however many clients they are; so do their answers.

use std::{
    collections::VecDeque,
    io,
    pin::{Pin, pin},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker, ready},
    time::{Duration, Instant},
};

use bytes::{Buf, Bytes, BytesMut};
use fred::types::Value;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::{broadcast, oneshot},
    time::{Interval, MissedTickBehavior, interval, timeout},
};
use tokio_util::{
    io::poll_read_buf,
    sync::{CancellationToken, DropGuard},
};

use super::resp::{Broken, Command, Frame, Reader};
use crate::lease::Moment;

/// Why there is no answer, or not the one that was wanted.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(super) enum Fault {
    /// It has not come in time.
    #[error("no answer in time")]
    Timeout,
    /// The same, while much was received that others had asked for, or a part of it.
    #[error("no answer in time, behind large ones")]
    Behind,
    /// More is under way than the connection takes.
    #[error("too much is under way")]
    Full,
    #[error("the connection was lost")]
    Lost,
    /// There is no connection; with where to, and what the system said.
    #[error("{0}")]
    Unreached(String),
    /// Redis says no.
    #[error("{0}")]
    Said(String),
}

/// What was published in a channel.
#[derive(Clone, Debug)]
pub(super) struct Message {
    pub(super) channel: Bytes,
    pub(super) value: Bytes,
}

/// Whether a push is of this kind.
fn is(push: &[Value], kind: &[u8]) -> bool {
    push.first().and_then(Value::as_bytes) == Some(kind)
}

/// What a connection is made of.
pub(super) type Socket = Pin<Box<dyn Duplex>>;

pub(super) trait Duplex: AsyncRead + AsyncWrite + Send {}

impl<S: AsyncRead + AsyncWrite + Send> Duplex for S {}

/// A connection.
#[derive(Debug)]
pub(super) struct Wire {
    out: Mutex<Out>,
    /// Commands that have not been answered.
    open: AtomicUsize,
    closed: CancellationToken,
    /// It was ended because an answer was overdue.
    silent: AtomicBool,
    /// How many bytes have come, in all.
    received: AtomicU64,
    /// When somebody began to make it.
    begun: Moment,
}

/// What is to be sent, and who waits for what.
#[derive(Debug, Default)]
struct Out {
    bytes: BytesMut,
    asked: Vec<Asked>,
    /// Wakes the task when there is something to be sent.
    idle: Option<Waker>,
    ended: bool,
}

/// Commands that were sent together.
#[derive(Debug)]
struct Asked {
    /// Which of them are answered by a push, the first one in the lowest place.
    subscriptions: u32,
    commands: usize,
    replies: Vec<Result<Value, Fault>>,
    since: Instant,
    answer: oneshot::Sender<Vec<Result<Value, Fault>>>,
}

impl Wire {
    /// Starts to read and write, on the current runtime, until the connection is lost or `close`d.
    /// What is published goes to `messages`, if anybody listens. It has been made since `begun`.
    pub(super) fn start(
        socket: Socket,
        messages: Option<broadcast::Sender<Message>>,
        begun: Moment,
    ) -> Arc<Self> {
        let wire = Arc::new(Self {
            out: Mutex::default(),
            open: AtomicUsize::new(0),
            closed: CancellationToken::new(),
            silent: AtomicBool::new(false),
            received: AtomicU64::new(0),
            begun,
        });
        let mut watch = interval(UNRESPONSIVE / 5);
        watch.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let running = Running {
            wire: Arc::clone(&wire),
            socket,
            sending: BytesMut::new(),
            received: Reader::default(),
            flushed: true,
            expected: VecDeque::new(),
            messages,
            watch,
        };
        tokio::spawn(running.run());
        wire
    }

    /// Resolves when the connection is lost. Cancel safe.
    pub(super) async fn lost(&self) {
        self.closed.cancelled().await;
    }

    /// Whether it is.
    pub(super) fn is_lost(&self) -> bool {
        self.closed.is_cancelled()
    }

    /// Whether it was given up because nothing came that was awaited.
    pub(super) fn fell_silent(&self) -> bool {
        self.silent.load(Ordering::Relaxed)
    }

    /// When somebody began to make it: the way to the server was found after that.
    pub(super) const fn begun(&self) -> Moment {
        self.begun
    }

    /// Ends the connection.
    pub(super) fn close(&self) {
        self.closed.cancel();
    }

    /// Ends the connection when that is dropped.
    pub(super) fn close_when_dropped(&self) -> DropGuard {
        self.closed.clone().drop_guard()
    }

    /// Sends commands in one go, in this order, at most once each, and waits for all answers.
    ///
    /// Not cancel safe: cancelled, they may have been performed.
    pub(super) async fn ask(
        &self,
        commands: &[Command],
        deadline: Duration,
    ) -> Result<Vec<Result<Value, Fault>>, Fault> {
        let before = self.received.load(Ordering::Relaxed);
        let answer = self.send(commands)?;
        match timeout(deadline, answer).await {
            Ok(Ok(replies)) => Ok(replies),
            Ok(Err(_)) => Err(Fault::Lost),
            Err(_) if self.received.load(Ordering::Relaxed) - before > MUCH => Err(Fault::Behind),
            Err(_) => Err(Fault::Timeout),
        }
    }

    fn send(
        &self,
        commands: &[Command],
    ) -> Result<oneshot::Receiver<Vec<Result<Value, Fault>>>, Fault> {
        let (answer, answered) = oneshot::channel();
        let mut subscriptions = 0;
        let mut out = self.out();
        if out.ended || self.is_lost() {
            return Err(Fault::Lost);
        }
        let open = self.open.fetch_add(commands.len(), Ordering::Relaxed);
        if open + commands.len() > COMMANDS_MAX {
            self.open.fetch_sub(commands.len(), Ordering::Relaxed);
            return Err(Fault::Full);
        }
        for (place, command) in commands.iter().enumerate() {
            command.encode(&mut out.bytes);
            subscriptions |= u32::from(command.is_subscription()) << place.min(31);
        }
        out.asked.push(Asked {
            subscriptions,
            commands: commands.len(),
            replies: Vec::with_capacity(commands.len()),
            since: Instant::now(),
            answer,
        });
        let idle = out.idle.take();
        drop(out);
        if let Some(idle) = idle {
            idle.wake();
        }
        Ok(answered)
    }

    fn out(&self) -> MutexGuard<'_, Out> {
        self.out.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the task has.
struct Running {
    wire: Arc<Wire>,
    socket: Socket,
    sending: BytesMut,
    received: Reader,
    flushed: bool,
    expected: VecDeque<Asked>,
    messages: Option<broadcast::Sender<Message>>,
    watch: Interval,
}

impl Running {
    async fn run(mut self) {
        let wire = Arc::clone(&self.wire);
        let mut closed = pin!(wire.closed.cancelled());
        std::future::poll_fn(|cx| {
            if closed.as_mut().poll(cx).is_ready() {
                return Poll::Ready(());
            }
            self.poll(cx).map(|error| {
                tracing::debug!(%error, "a connection to redis was lost");
            })
        })
        .await;
    }

    /// Writes and reads what there is; resolves when the connection is lost.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        for _ in 0..READS_MAX {
            if let Poll::Ready(Err(error)) = self.poll_send(cx) {
                return Poll::Ready(error);
            }
            match self.poll_receive(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(error),
                Poll::Pending => return self.poll_watch(cx),
            }
        }
        // Others have their turn.
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Sends what is there; ready when all of it is sent, and somebody will wake us for more.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            if self.sending.is_empty() {
                let mut out = self.wire.out();
                if out.bytes.is_empty() {
                    let waker = cx.waker();
                    if !out.idle.as_ref().is_some_and(|idle| idle.will_wake(waker)) {
                        out.idle = Some(waker.clone());
                    }
                    break;
                }
                std::mem::swap(&mut self.sending, &mut out.bytes);
                let since = Instant::now();
                let asked = out.asked.drain(..);
                self.expected
                    .extend(asked.map(|asked| Asked { since, ..asked }));
                self.flushed = false;
            }
            while !self.sending.is_empty() {
                let written = ready!(self.socket.as_mut().poll_write(cx, &self.sending))?;
                if written == 0 {
                    return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                }
                self.sending.advance(written);
            }
            if self.sending.capacity() > BUFFER_KEPT {
                self.sending = BytesMut::new();
            }
        }
        if !self.flushed {
            ready!(self.socket.as_mut().poll_flush(cx))?;
            self.flushed = true;
        }
        Poll::Ready(Ok(()))
    }

    /// Receives once, and hands on what is whole.
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let read = poll_read_buf(self.socket.as_mut(), cx, self.received.buffer());
        let count = ready!(read)?;
        if count == 0 {
            return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
        }
        let counted = &self.wire.received;
        counted.fetch_add(count as u64, Ordering::Relaxed);
        loop {
            match self.received.next() {
                Ok(Some(frame)) => self.deliver(frame)?,
                Ok(None) => return Poll::Ready(Ok(())),
                Err(Broken) => return Poll::Ready(Err(io::ErrorKind::InvalidData.into())),
            }
        }
    }

    /// Hands a frame to who waits for it.
    fn deliver(&mut self, frame: Frame) -> io::Result<()> {
        let reply = match frame {
            Frame::Value(value) => Ok(value),
            Frame::Error(error) => Err(Fault::Said(error)),
            Frame::Push(parts) => {
                if !self.awaits_subscription() || !is(&parts, b"subscribe") {
                    self.publish(parts);
                    return Ok(());
                }
                Ok(Value::Null)
            }
        };
        let Some(asked) = self.expected.front_mut() else {
            return Err(io::ErrorKind::InvalidData.into());
        };
        asked.replies.push(reply);
        if asked.replies.len() == asked.commands
            && let Some(asked) = self.expected.pop_front()
        {
            self.wire.open.fetch_sub(asked.commands, Ordering::Relaxed);
            // Whoever has given up does not listen.
            _ = asked.answer.send(asked.replies);
        }
        Ok(())
    }

    /// Whether the next answer is to be a push.
    fn awaits_subscription(&self) -> bool {
        let place = |asked: &Asked| asked.subscriptions >> asked.replies.len().min(31) & 1 == 1;
        self.expected.front().is_some_and(place)
    }

    fn publish(&self, parts: Vec<Value>) {
        let Some(messages) = self.messages.as_ref().filter(|_| is(&parts, b"message")) else {
            return;
        };
        let mut parts = parts.into_iter().skip(1);
        if let (Some(Value::Bytes(channel)), Some(Value::Bytes(value))) =
            (parts.next(), parts.next())
        {
            // Who listens may have gone.
            _ = messages.send(Message { channel, value });
        }
    }

    /// Ends a connection on which an answer is overdue.
    fn poll_watch(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        while self.watch.poll_tick(cx).is_ready() {
            let oldest = self.expected.front().map(|asked| asked.since);
            if oldest.is_some_and(|since| since.elapsed() > UNRESPONSIVE) {
                self.wire.silent.store(true, Ordering::Relaxed);
                return Poll::Ready(io::ErrorKind::TimedOut.into());
            }
        }
        Poll::Pending
    }
}

impl Drop for Running {
    /// Its runtime may have ended as well.
    fn drop(&mut self) {
        let mut out = self.wire.out();
        out.ended = true;
        // Who waits hears of it by that.
        out.asked.clear();
        drop(out);
        self.expected.clear();
        self.wire.close();
    }
}

/// An answer that is overdue by this much ends the connection.
const UNRESPONSIVE: Duration = Duration::from_secs(1);

/// Who has received as many bytes while an answer was awaited is not to be taken for silent.
const MUCH: u64 = 64 * 1024;

/// Commands that wait for their answers, per connection.
const COMMANDS_MAX: usize = 4096;

/// A buffer that has become larger is given back, in bytes.
const BUFFER_KEPT: usize = 256 * 1024;

/// Reads in a row before others have their turn.
const READS_MAX: usize = 16;

#[cfg(test)]
mod tests;
