//! A way to Redis, and whether what comes over it is to be believed.
//!
//! Invariant: what is asked goes over the connection that was verified, and its answer is believed
//! only while that is in use. A connection that is lost is replaced by another one ([`Wire`]), which
//! has to be verified for itself (`verify`). Every second, and at verification, the connection is also
//! asked for the name it was given: whoever stands between us and Redis may have replaced what is
//! behind.
//!
//! A line that fails loses its trust and is not asked again until it is verified: that is the
//! circuit breaker, and there is no other. One that only answers too late for readers is used by
//! those who have to be heard: for as long as Redis answers them, nobody need miss this instance.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwapOption;
use fred::types::Value;
use tokio::sync::{
    Notify,
    broadcast::{self, Receiver},
};

use super::{
    clock,
    dial::Dialer,
    refusal::classify,
    resp::Command,
    verify::{Server, Trust, Verified},
    wire::{Fault, Message, Wire},
};
use crate::{Trouble, lease::Moment};

/// Connections to one server, of which there is one at a time.
#[derive(Debug)]
pub(super) struct Line {
    dialer: Arc<Dialer>,
    /// The connection there is, or was last.
    wire: ArcSwapOption<Wire>,
    /// What is published, if anybody is to hear of it.
    messages: Option<broadcast::Sender<Message>>,
    /// How long a client may wait.
    deadline: Duration,
    trust: ArcSwapOption<Trust>,
    /// A verification that found the line too slow for readers.
    slow: ArcSwapOption<Trust>,
    /// Deadlines missed in a row.
    missed: AtomicU32,
    lost: Notify,
    /// When trust was lost, in nanoseconds of [`clock::now`]; 0 if there never was any.
    lost_at: AtomicU64,
    /// Whether it was lost because nothing came in time, or for as long as background tasks wait.
    silent: AtomicBool,
    hung: AtomicBool,
    /// Whether it is to be verified again for the sake of another line.
    questioned: AtomicBool,
    /// What went wrong last, for people to read.
    fault: ArcSwapOption<Fault>,
}

/// Who waits for an answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Patience {
    /// A client that reads: no longer than the deadline.
    Client,
    /// A client that writes: other instances must hear of it, so it may take longer.
    Writer,
    /// A background task.
    Background,
}

impl Line {
    /// Not connected yet.
    pub(super) fn new(dialer: Arc<Dialer>, deadline: Duration) -> Self {
        Self {
            dialer,
            wire: ArcSwapOption::empty(),
            messages: None,
            deadline,
            trust: ArcSwapOption::empty(),
            slow: ArcSwapOption::empty(),
            missed: AtomicU32::new(0),
            lost: Notify::new(),
            lost_at: AtomicU64::new(0),
            silent: AtomicBool::new(false),
            hung: AtomicBool::new(false),
            questioned: AtomicBool::new(false),
            fault: ArcSwapOption::empty(),
        }
    }

    /// One on which it is heard what is published.
    pub(super) fn listening(dialer: Arc<Dialer>, deadline: Duration) -> Self {
        let mut line = Self::new(dialer, deadline);
        line.messages = Some(broadcast::channel(MESSAGES_MAX).0);
        line
    }

    /// What is published from now on in channels that are subscribed to.
    pub(super) fn messages(&self) -> Receiver<Message> {
        let heard = self.messages.as_ref().map(broadcast::Sender::subscribe);
        heard.unwrap_or_else(|| broadcast::channel(1).1)
    }

    /// Connects if there is no connection. It is read and written on the current runtime.
    pub(super) async fn connect(&self) -> Result<(), Trouble> {
        if self.wire().is_ok() {
            return Ok(());
        }
        let dialled = self.dialer.dial(self.messages.as_ref()).await;
        let wire = dialled.map_err(|fault| {
            let trouble = self.classify(&fault);
            // Who is not let in has lost this line. The others may have been let in before.
            if trouble == Trouble::Refused {
                Trouble::Disconnected
            } else {
                trouble
            }
        })?;
        self.wire.store(Some(wire));
        Ok(())
    }

    /// What a fault means for us. It is remembered.
    pub(super) fn classify(&self, fault: &Fault) -> Trouble {
        self.fault.store(Some(Arc::new(fault.clone())));
        classify(fault)
    }

    /// What went wrong last.
    pub(super) fn fault(&self) -> Option<Arc<Fault>> {
        self.fault.load_full()
    }

    /// Ends the connection.
    pub(super) fn hang_up(&self) {
        if let Some(wire) = self.wire.swap(None) {
            wire.close();
        }
    }

    /// The connection there is.
    pub(super) fn wire(&self) -> Result<Arc<Wire>, Fault> {
        let wire = self.wire.load_full();
        wire.filter(|wire| !wire.is_lost()).ok_or(Fault::Lost)
    }

    /// The last verification, unless the line has failed since.
    pub(super) fn trust(&self) -> Option<Arc<Trust>> {
        self.trust.load_full()
    }

    /// The last verification if the line answered, but not as fast as readers need.
    pub(super) fn slow(&self) -> Option<Arc<Trust>> {
        self.slow.load_full()
    }

    /// Resolves when trust was lost, at once if that has been so since the last call; and when the
    /// connection was. Cancel safe.
    pub(super) async fn lost(&self) {
        let Some(wire) = self.wire.load_full() else {
            return self.distrust();
        };
        tokio::select! {
            () = self.lost.notified() => {}
            () = wire.lost() => {}
        }
        if wire.fell_silent() {
            self.hang();
        }
        if wire.is_lost() {
            self.distrust();
        }
    }

    /// Notes that nothing came for as long as background tasks wait.
    pub(super) fn hang(&self) {
        self.hung.store(true, Ordering::Relaxed);
        self.silent.store(true, Ordering::Relaxed);
    }

    /// Whether nothing came in time when trust was lost. To be asked once.
    pub(super) fn was_silent(&self) -> bool {
        self.silent.swap(false, Ordering::Relaxed)
    }

    /// Has the line verified again, at once.
    pub(super) fn question(&self) {
        self.questioned.store(true, Ordering::Relaxed);
        self.distrust();
    }

    /// Whether that was asked for. To be asked once.
    pub(super) fn was_questioned(&self) -> bool {
        self.questioned.swap(false, Ordering::Relaxed)
    }

    /// Asks nothing more until the line is verified again.
    pub(super) fn distrust(&self) {
        self.slow.store(None);
        if self.trust.swap(None).is_some() {
            self.lost_at.store(clock::now().0, Ordering::Relaxed);
            self.lost.notify_one();
        }
    }

    /// Sends commands in one go over the connection that was verified, and no other: in this order, at
    /// most once.
    ///
    /// Not cancel safe: cancelled, they may have been performed.
    pub(super) async fn ask(
        &self,
        trust: &Trust,
        patience: Patience,
        commands: Vec<Command>,
    ) -> Result<Vec<Result<Value, Fault>>, Fault> {
        trust.wire.ask(&commands, self.time(patience)).await
    }

    /// Sends one command. Not cancel safe: cancelled, it may have been performed.
    pub(super) async fn ask_one(
        &self,
        trust: &Trust,
        patience: Patience,
        command: Command,
    ) -> Result<Value, Fault> {
        let replies = self.ask(trust, patience, vec![command]).await?;
        let reply = replies.into_iter().next();
        reply.unwrap_or(Err(Fault::Lost))
    }

    /// Whether answers that have come by now are to be believed: the connection that was verified is
    /// still in use, by that verification.
    pub(super) fn check(&self, trust: &Arc<Trust>) -> Result<(), Trouble> {
        let is_last = |held: &ArcSwapOption<Trust>| {
            let held = held.load();
            held.as_ref().is_some_and(|held| Arc::ptr_eq(held, trust))
        };
        if !self.is_last(&trust.wire) || !is_last(&self.trust) && !is_last(&self.slow) {
            return Err(Trouble::Disconnected);
        }
        self.answers();
        Ok(())
    }

    /// Notes that it answers.
    pub(super) fn answers(&self) {
        self.missed.store(0, Ordering::Relaxed);
    }

    fn is_last(&self, wire: &Arc<Wire>) -> bool {
        let last = self.wire.load();
        last.as_ref().is_some_and(|last| Arc::ptr_eq(last, wire))
    }

    /// Classifies an error, and takes the trust away if it says that the line is of no use. What it
    /// was before it had this connection says nothing about it.
    pub(super) fn blame(&self, trust: &Trust, fault: &Fault) -> Trouble {
        let trouble = self.classify(fault);
        let last = self.is_last(&trust.wire);
        match trouble {
            // Nothing was sent, or the line was at work for others.
            Trouble::Timeout if matches!(fault, Fault::Full | Fault::Behind) => {}
            Trouble::Timeout if last => {
                if self.missed.fetch_add(1, Ordering::Relaxed) + 1 >= MISSED_MAX {
                    self.silent.store(true, Ordering::Relaxed);
                    self.distrust();
                }
            }
            Trouble::Disconnected | Trouble::Refused if last => self.distrust(),
            Trouble::Timeout
            | Trouble::Disconnected
            | Trouble::Refused
            | Trouble::TooLarge
            | Trouble::Outrun
            | Trouble::Busy
            | Trouble::Damaged
            | Trouble::Reply
            | Trouble::ClaimLost
            | Trouble::Rotated => {}
        }
        trouble
    }

    /// When trust was lost last, 0 if there never was any; and whether that was because nothing had
    /// come for a long time. To be asked once, before a verification is believed.
    pub(super) fn loss(&self) -> (Moment, bool) {
        let hung = self.hung.swap(false, Ordering::Relaxed);
        (Moment(self.lost_at.load(Ordering::Relaxed)), hung)
    }

    /// Believes what comes over the connection that was verified, and uses it; if it is too slow for
    /// readers, only for those who have to be heard.
    pub(super) fn believe(&self, verified: Verified) {
        if !verified.fast {
            return self.endure(Some(verified.trust));
        }
        self.trust.store(Some(Arc::new(verified.trust)));
        self.slow.store(None);
    }

    /// Lets a line be used that is too slow for readers, or not any more. If it is the same connection
    /// to the same server as before, what was asked before stays believed.
    pub(super) fn endure(&self, trust: Option<Trust>) {
        let same = trust
            .as_ref()
            .zip(self.slow())
            .is_some_and(|(trust, slow)| {
                Arc::ptr_eq(&slow.wire, &trust.wire) && slow.server == trust.server
            });
        if !same {
            self.slow.store(trust.map(Arc::new));
        }
    }

    /// Gives up a connection in use that leads to another server.
    pub(super) fn leave_all_but(&self, server: Server) {
        let elsewhere = |trust: Option<Arc<Trust>>| trust.is_some_and(|it| it.server != server);
        if elsewhere(self.trust()) || elsewhere(self.slow()) {
            self.distrust();
            self.hang_up();
        }
    }

    /// How long who asks waits.
    pub(super) fn time(&self, patience: Patience) -> Duration {
        match patience {
            Patience::Client => self.deadline,
            Patience::Writer => self.deadline.max(WRITER_DEADLINE),
            Patience::Background => BACKGROUND_DEADLINE,
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.hang_up();
    }
}

/// As many deadlines in a row may be missed before clients are spared the wait.
const MISSED_MAX: u32 = 3;

/// How long one attempt at a mark or its end may take.
const WRITER_DEADLINE: Duration = Duration::from_millis(100);

/// How long background tasks wait for an answer.
pub(super) const BACKGROUND_DEADLINE: Duration = Duration::from_millis(500);

/// What was published and not taken yet, per line.
pub(super) const MESSAGES_MAX: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    /// KiB of this process that are in memory.
    #[cfg(target_os = "linux")]
    fn resident() -> usize {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|it| it.strip_prefix("VmRSS:"));
        let number = line.unwrap().trim().trim_end_matches(" kB");
        number.parse().unwrap()
    }

    /// There is one per thread.
    #[test]
    #[cfg(target_os = "linux")]
    fn lines_on_which_nobody_listens_take_little_memory() {
        let dialer = Arc::new(Dialer::new("redis://127.0.0.1:1").unwrap());
        let before = resident();
        let line = || Line::new(Arc::clone(&dialer), Duration::from_millis(5));
        let lines: Vec<_> = std::iter::repeat_with(line).take(500).collect();
        let each = resident().saturating_sub(before) / lines.len();
        assert!(each < 16, "{each} KiB");
    }
}
