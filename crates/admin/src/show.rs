//! What can be shown, by the names under which the console and the dashboard ask for it.

mod history;
mod reasons;
mod settings;
mod statements;
mod stats;
mod store;
mod sums;

use std::{sync::Arc, time::SystemTime};

use crate::{
    Observed,
    history::History,
    table::{Column, Kind, Table, Value},
};

/// What is shown, and to whom it belongs.
#[derive(Clone)]
pub(crate) struct Shown {
    pub(crate) observed: Arc<dyn Observed>,
    /// Since when it has been counted.
    pub(crate) since: SystemTime,
    pub(crate) history: Arc<History>,
}

impl Shown {
    pub(crate) fn new(observed: Arc<dyn Observed>) -> Self {
        Self {
            observed,
            since: now(),
            history: Arc::default(),
        }
    }

    /// Takes a sample of what has been counted.
    pub(crate) fn sample(&self) {
        self.history.sample(now(), self.observed.telemetry());
    }
}

/// One thing that can be shown.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Topic {
    Help,
    Version,
    Stats,
    Statements,
    Reasons,
    Tables,
    Databases,
    Store,
    Config,
    History,
}

impl Topic {
    /// All, in the order in which they are explained.
    pub(crate) const ALL: [Self; 10] = [
        Self::Help,
        Self::Version,
        Self::Stats,
        Self::Statements,
        Self::Reasons,
        Self::Tables,
        Self::Databases,
        Self::Store,
        Self::Config,
        Self::History,
    ];

    /// Its name, in lower case.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Help => "help",
            Self::Version => "version",
            Self::Stats => "stats",
            Self::Statements => "statements",
            Self::Reasons => "reasons",
            Self::Tables => "tables",
            Self::Databases => "databases",
            Self::Store => "store",
            Self::Config => "config",
            Self::History => "history",
        }
    }

    /// What it shows.
    const fn about(self) -> &'static str {
        match self {
            Self::Help => "what can be shown",
            Self::Version => "the version of pgmemo",
            Self::Stats => "what became of all statements, since the start",
            Self::Statements => {
                "what became of each statement, why it is not cached, and what to do; \
                    LIMIT n shows those used most"
            }
            Self::Reasons => "why statements are not looked up, how often, and what to do",
            Self::Tables => "how long replies of each table live, and how often it is written",
            Self::Databases => "which databases are watched, and how each is doing",
            Self::Store => "where replies live: its state, how full it is, what went wrong",
            Self::Config => "every setting and rule that is in force",
            Self::History => "hits, misses and bypasses of every five seconds of the last hour",
        }
    }

    /// The topic of that name, in whatever case.
    pub(crate) fn named(name: &str) -> Option<Self> {
        let named = |topic: &Self| topic.name().eq_ignore_ascii_case(name);
        Self::ALL.into_iter().find(named)
    }

    /// Its columns.
    pub(crate) const fn columns(self) -> &'static [Column] {
        match self {
            Self::Help => HELP,
            Self::Version => VERSION,
            Self::Stats => stats::COLUMNS,
            Self::Statements => statements::COLUMNS,
            Self::Reasons => reasons::COLUMNS,
            Self::Tables => settings::TABLES,
            Self::Databases => settings::DATABASES,
            Self::Store => store::COLUMNS,
            Self::Config => settings::CONFIG,
            Self::History => history::COLUMNS,
        }
    }

    /// What it shows now, in at most `limit` rows. Does not wait.
    pub(crate) fn table(self, shown: &Shown, limit: usize) -> Table {
        let mut table = Table::new(self.columns());
        let observed = &*shown.observed;
        match self {
            Self::Help => table.rows.extend(Self::ALL.map(|topic| {
                let command = format!("SHOW {}", topic.name().to_ascii_uppercase());
                vec![command.into(), topic.about().into()]
            })),
            Self::Version => table.rows.push(vec![env!("CARGO_PKG_VERSION").into()]),
            Self::Stats => table.rows.push(stats::row(observed, shown.since)),
            Self::Statements => statements::rows(observed, limit, &mut table.rows),
            Self::Reasons => reasons::rows(observed, &mut table.rows),
            Self::Tables => settings::tables(observed, limit, &mut table.rows),
            Self::Databases => settings::databases(observed, &mut table.rows),
            Self::Store => table.rows.push(store::row(observed)),
            Self::Config => settings::config(observed, &mut table.rows),
            Self::History => history::rows(&shown.history.samples(), &mut table.rows),
        }
        table.rows.truncate(limit);
        table
    }
}

/// Most rows that are shown.
pub(crate) const ROWS_MAX: usize = 1_000;

const HELP: &[Column] = &[Column("command", Kind::Text), Column("shows", Kind::Text)];

const VERSION: &[Column] = &[Column("version", Kind::Text)];

#[expect(
    clippy::disallowed_methods,
    reason = "it is shown, and compared with nothing"
)]
fn now() -> SystemTime {
    SystemTime::now()
}

/// A moment as a value.
fn time(at: SystemTime) -> Value {
    let since = at.duration_since(SystemTime::UNIX_EPOCH);
    let us = since
        .ok()
        .and_then(|since| i64::try_from(since.as_micros()).ok());
    us.map_or(Value::Null, Value::Time)
}

#[cfg(test)]
mod tests;
