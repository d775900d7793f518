//! What a session asks of the shell, and what it is told.

use std::{sync::Arc, time::Duration};

use cache::{CacheKey, Digest, Entry, Scopes, Stamp};
use sql::{Reason, Writes};
use wire::FrameError;

use crate::{Knowledge, Recipe, Texts, prepared::Prepared};

/// What the shell must do before the session can go on. Everything else lies in the two outputs.
#[derive(Debug)]
pub enum Need {
    /// Read more from either peer.
    Input,
    /// Ask the store for [`Session::question`], then call [`Session::answer`].
    ///
    /// [`Session::question`]: crate::Session::question
    /// [`Session::answer`]: crate::Session::answer
    LookUp,
    /// Mark these scopes as being written under this ticket, then call [`Session::answer`]. A
    /// ticket is greater than all before it.
    ///
    /// [`Session::answer`]: crate::Session::answer
    Mark(u64, Writes),
    /// End all marks up to this ticket, then call [`Session::answer`].
    ///
    /// [`Session::answer`]: crate::Session::answer
    End(u64, Outcome),
    /// Give [`cache::Scope::Drops`] another version, then call [`Session::answer`].
    ///
    /// [`Session::answer`]: crate::Session::answer
    Dropped,
}

/// How the work under a mark ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// Committed, or unknown, which counts as committed: the scopes get new versions.
    Committed,
    /// The same; and the server's processes were told to read the configuration, which they do when
    /// they get round to it.
    Reloaded,
    /// Nothing was written, unless something fires on definitions of which nobody knew when the mark was set.
    Skipped,
    /// Nothing was written.
    RolledBack,
}

/// A question to the store.
#[derive(Debug)]
pub struct Question {
    /// The reply's name.
    pub key: CacheKey,
    /// What the statement was planned under.
    pub knowledge: Arc<Knowledge>,
    /// What the reply depends on besides the epoch, sorted.
    pub scopes: Scopes,
    /// How many rows a reply has that lacks none, if that can be said.
    pub(crate) complete: Option<u32>,
    /// How long a reply may be served.
    pub ttl: Duration,
    pub(crate) statement: Arc<Prepared>,
    /// How the reply can be read again without the client, if it is to be.
    pub recipe: Option<Arc<Recipe>>,
}

impl Question {
    /// How long the server takes for the statement, if that is known.
    pub fn cost(&self) -> Option<Duration> {
        self.statement.cost()
    }

    /// The server has taken this long for the statement.
    pub fn note_cost(&self, took: Duration) {
        self.statement.note_cost(took);
    }
}

/// What the store said, or did.
#[derive(Debug)]
pub enum Answer {
    /// A reply that holds.
    Hit(Entry),
    /// None; what comes may be recorded under this stamp.
    Miss(Stamp),
    /// None, and nothing may be recorded.
    Nothing(Reason),
    /// The mark is set, or the end of marks is delivered.
    Done,
}

/// The connection cannot go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// A peer's bytes can no longer be cut into messages.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// The server answered something that nobody asked.
    #[error("the server sent message `{}` where none of its kind was due", char::from(*.0))]
    Unexpected(u8),
}

/// How a client logged in: what the state of its session follows from.
#[derive(Clone, Copy, Debug)]
pub struct Login {
    /// Digest over the startup packet and the parameters the server reported.
    pub digest: Digest,
    /// How the session's texts are to be read.
    pub texts: Texts,
    /// The server has said that it is no standby.
    pub primary: bool,
    /// The generation of what was known of the database before the login began. What roles and
    /// database set at a login is as old as that, or the login has nothing in common with others.
    pub generation: Option<u64>,
    /// Random, for names that nobody guesses; without it, they can be.
    pub secret: Option<u64>,
}
