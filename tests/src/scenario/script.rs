//! Reading scripts.

use anyhow::{Context, Result, bail};

/// By which protocol sessions speak unless a line says otherwise.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mode {
    /// `Query`.
    Simple,
    /// `Parse`, `Bind`, `Describe`, `Execute`, `Sync`.
    Extended,
}

/// How often a line runs, and what is expected of the store.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Heat {
    /// Once.
    Once,
    /// Until it is a hit.
    Hot,
    /// Once, and it is a hit.
    Still,
    /// Until it is answered as by the server.
    Soon,
    /// Three times.
    Warm,
    /// Three times, never a hit.
    Cold,
}

/// What a line does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Act {
    /// Run a statement and read its answer.
    Run(Heat),
    /// Send it, and go on when the server is seen waiting.
    Send,
    /// Read the answer to what was sent.
    Wait,
    /// Read up to a notification.
    Notified,
    /// Vanish.
    Close,
    /// A parameter of the login.
    Startup,
}

/// One line.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Line {
    /// The session's name.
    pub session: String,
    /// Its role, where it first appears.
    pub role: Option<String>,
    /// Its database, where it first appears.
    pub database: Option<String>,
    /// What to do.
    pub act: Act,
    /// The protocol, if the line insists.
    pub mode: Option<Mode>,
    /// Whether the server answers with an error.
    pub fails: bool,
    /// The statement.
    pub sql: String,
    /// Its parameters.
    pub parameters: Vec<String>,
}

/// All lines of a script.
pub(super) fn parse(text: &str) -> Result<Vec<Line>> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines
        .map(|line| parse_line(line).with_context(|| format!("in {line:?}")))
        .collect()
}

fn parse_line(text: &str) -> Result<Line> {
    let (head, rest) = text.split_once(':').context("no colon")?;
    let mut words = head.split_whitespace();
    let who = words.next().context("no session")?;
    let (who, database) = split(who, '/');
    let (session, role) = split(who, '@');
    let (sql, parameters) = match rest.split_once(" <- ") {
        Some((sql, list)) => (
            sql,
            list.split(',')
                .map(|value| value.trim().to_owned())
                .collect(),
        ),
        None => (rest, Vec::new()),
    };
    let mut line = Line {
        session: session.to_owned(),
        role: role.map(str::to_owned),
        database: database.map(str::to_owned),
        act: Act::Run(Heat::Once),
        mode: (!parameters.is_empty()).then_some(Mode::Extended),
        fails: false,
        sql: sql.trim().to_owned(),
        parameters,
    };
    if session.starts_with('d') {
        line.mode = Some(Mode::Simple);
    }
    for word in words {
        match word {
            "hot" => line.act = Act::Run(Heat::Hot),
            "still" => line.act = Act::Run(Heat::Still),
            "soon" => line.act = Act::Run(Heat::Soon),
            "warm" => line.act = Act::Run(Heat::Warm),
            "cold" => line.act = Act::Run(Heat::Cold),
            "ext" => line.mode = Some(Mode::Extended),
            "simple" => line.mode = Some(Mode::Simple),
            "fails" => line.fails = true,
            "send" => line.act = Act::Send,
            "wait" => line.act = Act::Wait,
            "notified" => line.act = Act::Notified,
            "close" => line.act = Act::Close,
            "startup" => line.act = Act::Startup,
            other => bail!("unknown flag {other}"),
        }
    }
    Ok(line)
}

fn split(text: &str, at: char) -> (&str, Option<&str>) {
    text.split_once(at)
        .map_or((text, None), |(head, tail)| (head, Some(tail)))
}

#[cfg(test)]
mod tests {
    use super::{Act, Heat, Mode, parse};

    #[test]
    fn a_line_names_session_role_database_flags_statement_and_parameters() {
        let lines =
            parse("s1@alice/x hot ext: SELECT v::text FROM t WHERE id = $1 <- 7, b").unwrap();
        let line = &lines[0];
        assert_eq!(
            (&*line.session, line.role.as_deref()),
            ("s1", Some("alice"))
        );
        assert_eq!(line.database.as_deref(), Some("x"));
        assert_eq!(
            (line.act, line.mode),
            (Act::Run(Heat::Hot), Some(Mode::Extended))
        );
        assert_eq!(line.sql, "SELECT v::text FROM t WHERE id = $1");
        assert_eq!(line.parameters, ["7", "b"]);
    }

    #[test]
    fn a_line_with_an_unknown_flag_is_refused() {
        assert!(parse("s1 hott: SELECT 1").is_err());
        assert!(parse("SELECT 1").is_err());
    }
}
