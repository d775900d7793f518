//! Interleavings of statements as short scripts, judged by PostgreSQL itself.
//!
//! A scenario runs twice on equal databases: once with every session at the server, once through
//! pgmemo. Every answer must be the same. A line is
//!
//! ```text
//! session[@role][/database] [flag …]: statement [<- parameter, parameter]
//! ```
//!
//! Sessions named `d…` always speak with the server itself; those named `p2…` with a second
//! instance on the same store; all others with pgmemo. `d` sessions send simple queries. A session connects at its first line, so
//! `d` lines before it are its world. Flags:
//!
//! - `hot`: repeat until pgmemo answers from its store, and fail if it never does;
//! - `still`: run once, and fail if pgmemo does not answer from its store;
//! - `soon`: repeat until the answer is that of the server, and fail if it never is;
//! - `warm`: run three times, whatever answers;
//! - `cold`: run three times, and fail if pgmemo ever answers from its store;
//! - `ext`, `simple`: by this protocol, whatever the run prefers;
//! - `fails`: the server answers with an error; without it, it must not;
//! - `send`: do not wait for the answer, but until the server is seen waiting; `wait`: now read it;
//! - `notified`: wait for a notification; `close`: vanish; `startup`: `name=value` for the login.
//!
//! `{alice}`, `{bob}`, `{db}` and `{db2}` stand for roles and databases of this run alone; `db2` is
//! made when it is named.

mod runner;
mod script;

use std::fmt::Write;

use anyhow::Result;

use self::runner::Heard;
use crate::{Pgmemo, Postgres};

pub use script::{Line, Mode};

/// A name that is a sentence, and the script.
pub type Scenario = (&'static str, &'static str);

/// Where scenarios run.
#[derive(Debug)]
pub struct Stage<'a> {
    /// The server.
    pub postgres: &'a Postgres,
    /// The instance under test.
    pub first: &'a Pgmemo,
    /// Another one on the same store, for sessions `p2…`.
    pub second: Option<&'a Pgmemo>,
}

impl Stage<'_> {
    /// Runs all scenarios by both protocols; `fixture` fills each database first.
    ///
    /// `PGMEMO_SCENARIO` selects those whose name contains it, and shows what PostgreSQL answers.
    pub fn check(&self, fixture: &str, scenarios: &[Scenario]) -> Result<()> {
        let wanted = std::env::var("PGMEMO_SCENARIO").unwrap_or_default();
        let template = self.postgres.database()?;
        template.connect()?.run(fixture)?;
        let mut failures = String::new();
        let mut failed = 0;
        let chosen = scenarios.iter().filter(|(name, _)| name.contains(&wanted));
        for (name, text) in chosen {
            for mode in [Mode::Simple, Mode::Extended] {
                if let Err(error) = self.compare(template.name(), text, mode) {
                    failed += 1;
                    let _ = writeln!(failures, "\n--- {name} ({mode:?})\n{error:#}");
                }
            }
        }
        anyhow::ensure!(
            failed == 0,
            "{failed} of {} runs failed{failures}",
            scenarios.len() * 2
        );
        Ok(())
    }

    fn compare(&self, template: &str, text: &str, mode: Mode) -> Result<()> {
        let lines = script::parse(text)?;
        let expected = self.run(template, &lines, mode, None)?;
        if std::env::var_os("PGMEMO_SCENARIO").is_some() {
            expected.iter().for_each(|heard| println!("{heard:#?}"));
        }
        let wrong = |(line, heard): (&Line, &Heard)| {
            let answer = heard.answer.join("; ");
            (line.fails != heard.failed).then(|| format!("{}\n  PostgreSQL: {answer}", heard.line))
        };
        let wrong: Vec<_> = lines.iter().zip(&expected).filter_map(wrong).collect();
        anyhow::ensure!(
            wrong.is_empty(),
            "the script is wrong:\n{}",
            wrong.join("\n")
        );
        let found = self.run(template, &lines, mode, Some(&expected))?;
        for (expected, found) in expected.iter().zip(&found) {
            anyhow::ensure!(
                expected == found,
                "{}\n  PostgreSQL: {}\n  pgmemo:     {}",
                expected.line,
                expected.answer.join("\n              "),
                found.answer.join("\n              ")
            );
        }
        Ok(())
    }
}
