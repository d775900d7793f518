//! Dialogues: what several sessions send, message by message, chosen by a seed or written down.
//!
//! A dialogue is sent to PostgreSQL and through pgmemo, each with a database of its own that holds
//! the same, and the answers are compared ([`stage`]). One that brings a difference is shortened as
//! long as it does ([`shrink`]) and printed in the notation in which it can be kept ([`notation`]).

pub mod generate;
pub mod notation;
pub mod oracle;
mod pool;
pub mod shrink;
pub mod stage;

use crate::wire::{Format, Frontend};

/// What the sessions send, in order; who sends next waits until the one before has been answered.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Dialogue(pub Vec<Burst>);

/// What one session sends in one piece.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Burst {
    /// Which session, by a letter.
    pub who: char,
    /// The messages.
    pub says: Vec<Say>,
}

/// One message of a client.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Say {
    /// `Query`.
    Query(String),
    /// `Parse`.
    Parse {
        /// Of the statement.
        name: String,
        /// Its text.
        text: String,
        /// Declared types.
        types: Vec<u32>,
    },
    /// `Bind`.
    Bind {
        /// The portal's name.
        portal: String,
        /// The statement's name.
        statement: String,
        /// Formats of the values.
        formats: Vec<Format>,
        /// The values; `None` is NULL.
        values: Vec<Option<Vec<u8>>>,
        /// Formats of the results.
        results: Vec<Format>,
    },
    /// `Describe` of a statement.
    DescribeStatement(String),
    /// `Describe` of a portal.
    DescribePortal(String),
    /// `Execute`.
    Execute {
        /// The portal's name.
        portal: String,
        /// How many rows at most; 0 means all.
        rows: u32,
    },
    /// `Close` of a statement.
    CloseStatement(String),
    /// `Close` of a portal.
    ClosePortal(String),
    /// `Flush`.
    Flush,
    /// `Sync`.
    Sync,
    /// `CopyData`.
    CopyData(String),
    /// `CopyDone`.
    CopyDone,
    /// `CopyFail`.
    CopyFail(String),
    /// `FunctionCall` with arguments as text.
    Call(u32, Vec<String>),
}

impl Say {
    /// Appends it to what is sent.
    #[must_use]
    pub fn put(&self, out: Frontend) -> Frontend {
        match self {
            Self::Query(text) => out.query(text),
            Self::Parse { name, text, types } => out.parse(name, text, types),
            Self::Bind {
                portal,
                statement,
                formats,
                values,
                results,
            } => {
                let values: Vec<_> = values.iter().map(Option::as_deref).collect();
                out.bind_with(portal, statement, formats, &values, results)
            }
            Self::DescribeStatement(name) => out.describe_statement(name),
            Self::DescribePortal(name) => out.describe_portal(name),
            Self::Execute { portal, rows } => out.execute(portal, *rows),
            Self::CloseStatement(name) => out.close_statement(name),
            Self::ClosePortal(name) => out.close_portal(name),
            Self::Flush => out.flush(),
            Self::Sync => out.sync(),
            Self::CopyData(text) => out.copy_data(text.as_bytes()),
            Self::CopyDone => out.copy_done(),
            Self::CopyFail(why) => out.copy_fail(why),
            Self::Call(function, arguments) => {
                let arguments: Vec<_> = arguments.iter().map(|text| &**text).collect();
                out.function_call(*function, &arguments)
            }
        }
    }
}

impl Burst {
    /// Its bytes.
    pub fn bytes(&self) -> Vec<u8> {
        let said = self
            .says
            .iter()
            .fold(Frontend::new(), |out, say| say.put(out));
        said.into_bytes()
    }
}

impl Dialogue {
    /// All messages, whoever sends them.
    pub fn len(&self) -> usize {
        self.0.iter().map(|burst| burst.says.len()).sum()
    }

    /// Whether nobody says anything.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether a simple query or function call comes behind an Execute without a Sync between them.
    pub fn mixes_protocols(&self) -> bool {
        let mut amid: Vec<char> = Vec::new();
        for Burst { who, says } in &self.0 {
            for say in says {
                let simple = matches!(say, Say::Query(_) | Say::Call(..));
                if simple && amid.contains(who) {
                    return true;
                }
                if matches!(say, Say::Execute { .. }) {
                    amid.push(*who);
                } else if *say == Say::Sync {
                    amid.retain(|known| known != who);
                }
            }
        }
        false
    }

    /// Who takes part, in order of appearance.
    pub fn sessions(&self) -> Vec<char> {
        let mut sessions = Vec::new();
        for burst in &self.0 {
            if !sessions.contains(&burst.who) {
                sessions.push(burst.who);
            }
        }
        sessions
    }
}
