//! A way to Redis, and whether what comes over it is to be believed.
//!
//! Invariant: an answer is believed only if it came over the connection that was verified. A
//! connection that is lost is replaced by another one ([`Wire`]), which has to be verified for itself.
//! Every second, and at verification, the connection is also asked for the name it was given: whoever
//! stands between us and Redis may have replaced what is behind.
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
use bytes::Bytes;
use fred::types::Value;
use tokio::sync::{
    Notify,
    broadcast::{self, Receiver},
};

use super::{
    clock,
    dial::Dialer,
    names::Token,
    resp::{Command, command},
    scripts::{IDENTITY, KEEP, LEDGER, VERSIONS},
    wire::{Fault, Message, Wire},
};
use crate::{Trouble, lease::Moment};

/// Connections to one server, of which there is one at a time.
#[derive(Debug)]
pub(super) struct Line {
    dialer: Arc<Dialer>,
    /// The connection there is, or was last.
    wire: ArcSwapOption<Wire>,
    /// What is published.
    messages: broadcast::Sender<Message>,
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
    /// Whether it was lost because nothing came for as long as background tasks wait.
    hung: AtomicBool,
}

/// The result of a verification.
#[derive(Debug)]
pub(super) struct Trust {
    /// The connection that was verified.
    wire: Arc<Wire>,
    /// What `CLIENT GETNAME` answers on it.
    name: Bytes,
    /// The server it leads to.
    pub(super) server: Server,
}

/// Names a Redis process and its term as a master: 40 hexadecimal digits.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Server([u8; 40]);

impl Server {
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// As an argument.
    pub(super) fn value(&self) -> Value {
        Value::Bytes(Bytes::copy_from_slice(&self.0))
    }

    /// The generation in a term, if the term is this server's.
    pub(super) fn generation(&self, term: Option<&[u8]>) -> Option<Token> {
        term?.strip_prefix(&self.0)?.try_into().ok()
    }
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
            messages: broadcast::channel(MESSAGES_MAX).0,
            deadline,
            trust: ArcSwapOption::empty(),
            slow: ArcSwapOption::empty(),
            missed: AtomicU32::new(0),
            lost: Notify::new(),
            lost_at: AtomicU64::new(0),
            hung: AtomicBool::new(false),
        }
    }

    /// What is published from now on in channels that are subscribed to.
    pub(super) fn messages(&self) -> Receiver<Message> {
        self.messages.subscribe()
    }

    /// Connects if there is no connection. It is read and written on the current runtime.
    pub(super) async fn connect(&self) -> Result<(), Trouble> {
        if self.wire().is_ok() {
            return Ok(());
        }
        let dialled = self.dialer.dial(&self.messages).await;
        let wire = dialled.map_err(|fault| {
            let trouble = classify(&fault);
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

    /// Ends the connection.
    pub(super) fn hang_up(&self) {
        if let Some(wire) = self.wire.swap(None) {
            wire.close();
        }
    }

    fn wire(&self) -> Result<Arc<Wire>, Fault> {
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
        let Ok(wire) = self.wire() else {
            return self.distrust();
        };
        tokio::select! {
            () = self.lost.notified() => {}
            () = wire.lost() => self.distrust(),
        }
    }

    /// Asks nothing more until the line is verified again.
    pub(super) fn distrust(&self) {
        self.slow.store(None);
        if self.trust.swap(None).is_some() {
            self.lost_at.store(clock::now().0, Ordering::Relaxed);
            self.lost.notify_one();
        }
    }

    /// Sends commands in one go. They all travel on one connection, in this order, at most once.
    ///
    /// Not cancel safe: cancelled, they may have been performed.
    pub(super) async fn ask(
        &self,
        patience: Patience,
        commands: Vec<Command>,
    ) -> Result<Vec<Result<Value, Fault>>, Fault> {
        self.wire()?.ask(&commands, self.time(patience)).await
    }

    /// Sends one command. Not cancel safe: cancelled, it may have been performed.
    pub(super) async fn ask_one(
        &self,
        patience: Patience,
        command: Command,
    ) -> Result<Value, Fault> {
        let replies = self.ask(patience, vec![command]).await?;
        let reply = replies.into_iter().next();
        reply.unwrap_or(Err(Fault::Lost))
    }

    /// Whether answers that have come by now are those of the connection that was verified.
    ///
    /// Connections do not return. If the verified one is the last one now, it was when they were asked
    /// for. The verification must also be the last one.
    pub(super) fn check(&self, trust: &Arc<Trust>) -> Result<(), Trouble> {
        let is_last = |held: &ArcSwapOption<Trust>| {
            let held = held.load();
            held.as_ref().is_some_and(|held| Arc::ptr_eq(held, trust))
        };
        if !self.is_last(&trust.wire) || !is_last(&self.trust) && !is_last(&self.slow) {
            return Err(Trouble::Disconnected);
        }
        self.missed.store(0, Ordering::Relaxed);
        Ok(())
    }

    fn is_last(&self, wire: &Arc<Wire>) -> bool {
        let last = self.wire.load();
        last.as_ref().is_some_and(|last| Arc::ptr_eq(last, wire))
    }

    /// As [`Line::ask`], over the verified connection, if it still bears its name.
    async fn ask_trusted(
        &self,
        trust: &Trust,
        patience: Patience,
        commands: Vec<Command>,
    ) -> Result<Vec<Result<Value, Fault>>, Trouble> {
        let mut sent = vec![command("CLIENT", ["GETNAME".into()])];
        sent.extend(commands);
        let replies = trust.wire.ask(&sent, self.time(patience)).await;
        let mut replies = replies.map_err(|error| self.blame(&error))?.into_iter();
        match replies.next() {
            Some(Ok(name)) if name.as_bytes() == Some(&trust.name) => Ok(replies.collect()),
            Some(Ok(_)) | None => {
                self.distrust();
                Err(Trouble::Disconnected)
            }
            Some(Err(error)) => Err(self.blame(&error)),
        }
    }

    /// Classifies an error, and takes the trust away if it says that the line is of no use.
    pub(super) fn blame(&self, fault: &Fault) -> Trouble {
        let trouble = classify(fault);
        match trouble {
            // Nothing was sent.
            Trouble::Timeout if matches!(fault, Fault::Full) => {}
            Trouble::Timeout => {
                if self.missed.fetch_add(1, Ordering::Relaxed) + 1 >= MISSED_MAX {
                    self.distrust();
                }
            }
            Trouble::Disconnected | Trouble::Refused => self.distrust(),
            Trouble::TooLarge
            | Trouble::Outrun
            | Trouble::Busy
            | Trouble::Damaged
            | Trouble::Reply
            | Trouble::ClaimLost
            | Trouble::Rotated => {}
        }
        trouble
    }

    /// Finds out who is at the other end, gives the connection `name`, which must never have been
    /// used before, and checks that it answers `GETEX probe` as fast as clients need. It is to be
    /// believed from then on. If only the last fails, those may use it who have to be heard.
    ///
    /// Cancel safe.
    pub(super) async fn verify(&self, name: Bytes, probe: Value) -> Result<Trust, Trouble> {
        let trust = self.identify(name).await;
        let trust = trust.inspect_err(|_| self.slow.store(None))?;
        let probe = vec![command("GETEX", [probe])];
        match self.ask_trusted(&trust, Patience::Client, probe).await {
            Ok(replies) => {
                for reply in replies {
                    reply.map_err(|error| self.blame(&error))?;
                }
                Ok(trust)
            }
            Err(Trouble::Timeout) => {
                self.endure(trust);
                Err(Trouble::Timeout)
            }
            Err(trouble) => Err(trouble),
        }
    }

    /// Lets a line be used that is too slow for readers. If it is the same connection to the same
    /// server as before, what was asked before stays believed.
    fn endure(&self, trust: Trust) {
        let same = self.slow().is_some_and(|slow| {
            Arc::ptr_eq(&slow.wire, &trust.wire) && slow.server == trust.server
        });
        if !same {
            self.slow.store(Some(Arc::new(trust)));
        }
    }

    /// Gives the connection its name, and asks who is at the other end.
    async fn identify(&self, name: Bytes) -> Result<Trust, Trouble> {
        let wire = self.wire().map_err(|fault| classify(&fault))?;
        let named = Value::Bytes(name.clone());
        let commands = [
            command("CLIENT", ["SETNAME".into(), named]),
            KEEP.load(),
            VERSIONS.load(),
            LEDGER.load(),
        ];
        let replies = wire.ask(&commands, self.time(Patience::Background)).await;
        for reply in replies.map_err(|fault| classify(&fault))? {
            reply.map_err(|fault| classify(&fault))?;
        }
        self.missed.store(0, Ordering::Relaxed);
        let mut trust = Trust {
            wire,
            name,
            server: Server([0; 40]),
        };
        trust.server = self.server(&trust).await?;
        Ok(trust)
    }

    /// When trust was lost last, 0 if there never was any; and whether that was because nothing had
    /// come for a long time. To be asked once, before a verification is believed.
    pub(super) fn loss(&self) -> (Moment, bool) {
        let hung = self.hung.swap(false, Ordering::Relaxed);
        (Moment(self.lost_at.load(Ordering::Relaxed)), hung)
    }

    /// Believes what comes over the connection that was verified.
    pub(super) fn believe(&self, trust: Trust) {
        self.trust.store(Some(Arc::new(trust)));
        self.slow.store(None);
    }

    /// Looks again whether the server is still what it was; if not, the trust is gone. Cancel safe.
    pub(super) async fn verify_again(&self) -> Result<(), Trouble> {
        let Some(trust) = self.trust() else {
            return Err(Trouble::Disconnected);
        };
        let server = self.server(&trust).await;
        if server != Ok(trust.server) {
            let hung = server == Err(Trouble::Timeout);
            self.hung.fetch_or(hung, Ordering::Relaxed);
            self.distrust();
        }
        server.map(drop)
    }

    async fn server(&self, trust: &Trust) -> Result<Server, Trouble> {
        let run = IDENTITY.call();
        let replies = self
            .ask_trusted(trust, Patience::Background, vec![run])
            .await?;
        match replies.into_iter().next() {
            Some(Ok(Value::Null)) => Err(Trouble::Refused),
            Some(Ok(reply)) => reply
                .as_bytes()
                .and_then(Server::from_bytes)
                .ok_or(Trouble::Reply),
            Some(Err(error)) => Err(self.blame(&error)),
            None => Err(Trouble::Reply),
        }
    }

    fn time(&self, patience: Patience) -> Duration {
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

/// What a fault means for us.
pub(super) fn classify(fault: &Fault) -> Trouble {
    tracing::debug!(?fault, "redis did not do as asked");
    match fault {
        Fault::Timeout | Fault::Full => Trouble::Timeout,
        Fault::Lost => Trouble::Disconnected,
        Fault::Said(details) if is_refusal(details) => Trouble::Refused,
        Fault::Said(_) => Trouble::Reply,
    }
}

/// Whether a command was refused, or one of a script: what that met, Redis wraps before version 7.
fn is_refusal(details: &str) -> bool {
    let refused = |text: &str| REFUSALS.iter().any(|word| text.starts_with(word));
    let wrapped = details.starts_with("ERR Error running script");
    refused(details) || wrapped && details.split('-').any(refused)
}

/// How Redis says that it would, but may not.
const REFUSALS: [&str; 14] = [
    "READONLY",
    "LOADING",
    "MASTERDOWN",
    "MISCONF",
    "OOM",
    "NOPERM",
    "NOREPLICAS",
    "BUSY",
    "EXECABORT",
    "NOAUTH",
    "WRONGPASS",
    "MOVED",
    "ASK",
    "CLUSTERDOWN",
];

/// As many deadlines in a row may be missed before clients are spared the wait.
const MISSED_MAX: u32 = 3;

/// How long one attempt at a mark or its end may take.
const WRITER_DEADLINE: Duration = Duration::from_millis(100);

/// How long background tasks wait for an answer.
const BACKGROUND_DEADLINE: Duration = Duration::from_millis(500);

/// What was published and not taken yet, per line.
pub(super) const MESSAGES_MAX: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_told_from_errors() {
        for details in [
            "MISCONF Redis is configured to save RDB snapshots",
            "ERR Error running script (call to f_0a): @user_script:63: @user_script: 63: -MISCONF Redis is",
        ] {
            assert!(is_refusal(details), "{details}");
        }
        for details in [
            "ERR unknown command",
            "ERR Error running script: -ERR wrong number",
            "",
        ] {
            assert!(!is_refusal(details), "{details}");
        }
    }
}
