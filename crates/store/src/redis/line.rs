//! One connection to Redis, and whether it is to be believed.
//!
//! Invariant: an answer is believed only if no connection was made between the verification and
//! the answer. fred announces a new connection before it sends anything on it, so an answer that
//! came over a new one finds the announcement in [`Trust`]. Every second, and at verification, the
//! connection itself is asked for the name it was given, which a new one would not have.
//!
//! A line that fails loses its trust and is not asked again until it is verified: that is the
//! circuit breaker, and there is no other. One that only answers too late for readers is used by
//! those who have to be heard: for as long as Redis answers them, nobody need miss this instance.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use fred::{
    clients::Client,
    error::{Error, ErrorKind},
    interfaces::{ClientLike, EventInterface},
    types::{
        ClusterHash, ConnectHandle, CustomCommand, Value,
        config::{Options, Server as Address},
    },
};
use tokio::sync::{Notify, broadcast::Receiver};

use super::{
    clock,
    names::Token,
    scripts::{IDENTITY, KEEP, LEDGER, VERSIONS},
};
use crate::{Trouble, lease::Moment};

/// A connection that fred replaces when it is lost.
#[derive(Debug)]
pub(super) struct Line {
    client: Client,
    /// What connects, and connects again; it ends by itself only when it gives up.
    task: Mutex<ConnectHandle>,
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
    /// What `CLIENT GETNAME` answers on the connection that was verified, and on no other.
    name: Bytes,
    /// Announcements of connections since; never read, so that one is enough for ever.
    reconnections: Receiver<Address>,
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

/// A command's name and arguments.
#[derive(Debug)]
pub(super) struct Command(CustomCommand, Vec<Value>);

pub(super) fn command(name: &'static str, words: impl IntoIterator<Item = Value>) -> Command {
    let name = CustomCommand::new_static(name, ClusterHash::FirstKey, false);
    Command(name, words.into_iter().collect())
}

impl Line {
    /// Starts connecting.
    pub(super) fn new(client: Client, deadline: Duration) -> Self {
        Self {
            task: Mutex::new(client.connect()),
            client,
            deadline,
            trust: ArcSwapOption::empty(),
            slow: ArcSwapOption::empty(),
            missed: AtomicU32::new(0),
            lost: Notify::new(),
            lost_at: AtomicU64::new(0),
            hung: AtomicBool::new(false),
        }
    }

    pub(super) const fn client(&self) -> &Client {
        &self.client
    }

    /// Starts connecting again if that was given up.
    pub(super) fn revive(&self) {
        let mut task = self.task.lock().unwrap_or_else(PoisonError::into_inner);
        if task.is_finished() {
            *task = self.client.connect();
        }
    }

    /// The last verification, unless the line has failed since.
    pub(super) fn trust(&self) -> Option<Arc<Trust>> {
        self.trust.load_full()
    }

    /// The last verification if the line answered, but not as fast as readers need.
    pub(super) fn slow(&self) -> Option<Arc<Trust>> {
        self.slow.load_full()
    }

    /// Resolves when trust was lost, at once if that has been so since the last call. Cancel safe.
    pub(super) async fn lost(&self) {
        self.lost.notified().await;
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
    /// The outer error is the first one if not every command was answered.
    /// Not cancel safe: cancelled, they may have been performed.
    pub(super) async fn ask(
        &self,
        patience: Patience,
        commands: Vec<Command>,
    ) -> Result<Vec<Result<Value, Error>>, Error> {
        let pipeline = self.client.pipeline().with_options(&self.options(patience));
        let sent = commands.len();
        for Command(name, words) in commands {
            // Only queues it.
            pipeline.custom::<(), _>(name, words).await?;
        }
        let mut replies = pipeline.try_all::<Value>().await;
        if replies.len() == sent {
            return Ok(replies);
        }
        match replies.pop() {
            Some(Err(error)) => Err(error),
            Some(Ok(_)) | None => Err(Error::new(ErrorKind::Protocol, "replies are missing")),
        }
    }

    /// Sends one command. Not cancel safe: cancelled, it may have been performed.
    pub(super) async fn ask_one(
        &self,
        patience: Patience,
        Command(name, words): Command,
    ) -> Result<Value, Error> {
        let client = self.client.with_options(&self.options(patience));
        client.custom(name, words).await
    }

    /// Whether answers that have come by now are those of the connection that was verified.
    ///
    /// fred gives up its announcements when it gives up connecting. The line is not trusted any
    /// more before it is made to connect again, so the verification must also be the last one.
    pub(super) fn check(&self, trust: &Arc<Trust>) -> Result<(), Trouble> {
        if !trust.reconnections.is_empty() {
            self.distrust();
        }
        let is_last = |held: &ArcSwapOption<Trust>| {
            let held = held.load();
            held.as_ref().is_some_and(|held| Arc::ptr_eq(held, trust))
        };
        if !is_last(&self.trust) && !is_last(&self.slow) {
            return Err(Trouble::Disconnected);
        }
        self.missed.store(0, Ordering::Relaxed);
        Ok(())
    }

    /// As [`Line::ask`], but an answer from another connection than the verified one is an error.
    async fn ask_trusted(
        &self,
        trust: &Trust,
        patience: Patience,
        commands: Vec<Command>,
    ) -> Result<Vec<Result<Value, Error>>, Trouble> {
        let mut sent = vec![command("CLIENT", ["GETNAME".into()])];
        sent.extend(commands);
        let replies = self.ask(patience, sent).await;
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
    pub(super) fn blame(&self, error: &Error) -> Trouble {
        let trouble = classify(error);
        match trouble {
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
        let same = self
            .slow()
            .is_some_and(|slow| slow.reconnections.is_empty() && slow.server == trust.server);
        if !same {
            self.slow.store(Some(Arc::new(trust)));
        }
    }

    /// Gives the connection its name, and asks who is at the other end.
    async fn identify(&self, name: Bytes) -> Result<Trust, Trouble> {
        let reconnections = self.client.reconnect_rx();
        let named = Value::Bytes(name.clone());
        let replies = self
            .ask(
                Patience::Background,
                vec![
                    command("CLIENT", ["SETNAME".into(), named]),
                    KEEP.load(),
                    VERSIONS.load(),
                    LEDGER.load(),
                ],
            )
            .await
            .map_err(|error| classify(&error))?;
        for reply in replies {
            reply.map_err(|error| classify(&error))?;
        }
        self.missed.store(0, Ordering::Relaxed);
        let mut trust = Trust {
            name,
            reconnections,
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

    fn options(&self, patience: Patience) -> Options {
        Options {
            fail_fast: true,
            max_attempts: Some(1),
            max_redirections: Some(0),
            timeout: Some(match patience {
                Patience::Client => self.deadline,
                Patience::Writer => self.deadline.max(WRITER_DEADLINE),
                Patience::Background => BACKGROUND_DEADLINE,
            }),
            ..Options::default()
        }
    }
}

/// What an error means for us.
pub(super) fn classify(error: &Error) -> Trouble {
    tracing::debug!(%error, "redis did not do as asked");
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "what is not known here is not expected"
    )]
    match error.kind() {
        ErrorKind::Timeout | ErrorKind::Backpressure => Trouble::Timeout,
        ErrorKind::IO | ErrorKind::Canceled | ErrorKind::Routing | ErrorKind::Sentinel => {
            Trouble::Disconnected
        }
        ErrorKind::Auth | ErrorKind::Cluster => Trouble::Refused,
        _ if is_refusal(error.details()) => Trouble::Refused,
        _ if LOSSES.iter().any(|word| error.details().starts_with(word)) => Trouble::Disconnected,
        _ => Trouble::Reply,
    }
}

/// Whether a command was refused, or one of a script: what that met, Redis wraps before version 7.
fn is_refusal(details: &str) -> bool {
    let refused = |text: &str| REFUSALS.iter().any(|word| text.starts_with(word));
    let wrapped = details.starts_with("ERR Error running script");
    refused(details) || wrapped && details.split('-').any(refused)
}

/// How Redis says that it would, but may not.
const REFUSALS: [&str; 9] = [
    "READONLY",
    "LOADING",
    "MASTERDOWN",
    "MISCONF",
    "OOM",
    "NOPERM",
    "NOREPLICAS",
    "BUSY",
    "EXECABORT",
];

/// How fred says that it has no connection, other than by kind.
const LOSSES: [&str; 2] = ["Failed to", "Client is not"];

/// As many deadlines in a row may be missed before clients are spared the wait.
const MISSED_MAX: u32 = 3;

/// How long one attempt at a mark or its end may take.
const WRITER_DEADLINE: Duration = Duration::from_millis(100);

/// How long background tasks wait for an answer.
const BACKGROUND_DEADLINE: Duration = Duration::from_millis(500);

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
