//! The log: to standard error, as text or as one JSON object per line.

mod lines;

use std::io::IsTerminal as _;

use anyhow::Context as _;
use tracing_subscriber::EnvFilter;

use lines::{Lines, Rest};

/// How a line looks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Format {
    /// For people.
    Text,
    /// For machines.
    Json,
}

impl Format {
    /// Their names.
    pub(crate) const NAMES: [&'static str; 2] = ["text", "json"];

    /// The format of that name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        match name {
            "text" => Some(Self::Text),
            "json" => Some(Self::Json),
            _ => None,
        }
    }
}

/// Starts the log. `filter` is `info`, `debug`, `info,pgmemo_store=debug`, …
///
/// What is returned is to be kept to the end, so that the last lines are written.
pub(crate) fn start(format: Format, filter: Option<&str>) -> anyhow::Result<Rest> {
    let filter = filter.unwrap_or("info");
    let filter = EnvFilter::builder()
        .parse(filter)
        .with_context(|| format!("PGMEMO_LOG is \"{}\"", filter.escape_debug()))?;
    let (lines, rest) = Lines::start(std::io::stderr()).context("cannot start the log's thread")?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(lines);
    let started = match format {
        Format::Text => log.try_init(),
        Format::Json => log.json().flatten_event(true).try_init(),
    };
    started.map_err(anyhow::Error::from_boxed)?;
    Ok(rest)
}
