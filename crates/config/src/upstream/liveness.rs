//! How it is noticed that the server's host is gone: parameters of libpq's, with its units.

use std::time::Duration;

use crate::problem::Refusal;

/// What the system does for a connection to the server.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Liveness {
    /// `keepalives`: an idle connection is asked for signs of life.
    pub asks: bool,
    /// `keepalives_idle`: after how long. Default 60 s.
    pub after: Duration,
    /// `keepalives_interval`: how long an answer is waited for. Default 10 s.
    pub every: Duration,
    /// `keepalives_count`: how many may fail; without it, what the system thinks right.
    pub count: Option<u32>,
    /// `tcp_user_timeout`: how long what was sent may stay unacknowledged; without it, what the system
    /// thinks right, which is about 15 minutes on Linux.
    pub unacknowledged_max: Option<Duration>,
}

impl Default for Liveness {
    fn default() -> Self {
        Self {
            asks: true,
            after: Duration::from_secs(60),
            every: Duration::from_secs(10),
            count: None,
            unacknowledged_max: None,
        }
    }
}

/// Their names.
pub(super) const NAMES: [&str; 5] = [
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_count",
    "tcp_user_timeout",
];

impl Liveness {
    /// Takes in one of [`NAMES`]. As in libpq, 0 leaves the default.
    pub(super) fn parameter(&mut self, name: &str, text: &str) -> Result<(), Refusal> {
        let usual = Self::default();
        let number = number(name, text)?;
        let given = (number > 0).then_some(number);
        let seconds = given.map(|number| Duration::from_secs(number.into()));
        match name {
            "keepalives" => self.asks = number != 0,
            "keepalives_idle" => self.after = seconds.unwrap_or(usual.after),
            "keepalives_interval" => self.every = seconds.unwrap_or(usual.every),
            "keepalives_count" => self.count = given,
            _ => {
                let most = given.map(|number| Duration::from_millis(number.into()));
                self.unacknowledged_max = most;
            }
        }
        Ok(())
    }
}

/// A number that the system takes for any of them.
fn number(name: &str, text: &str) -> Result<u32, Refusal> {
    let most = match name {
        "keepalives" => 1,
        "keepalives_count" => 127,
        "tcp_user_timeout" => 3_600_000,
        _ => 32_767,
    };
    let parsed = text.parse().ok().filter(|number| *number <= most);
    parsed.ok_or_else(|| {
        let unit = match name {
            "keepalives" | "keepalives_count" => "",
            "tcp_user_timeout" => " of milliseconds",
            _ => " of seconds",
        };
        Refusal::new(
            format!("has {name} `{}`", text.escape_debug()),
            format!("write a number{unit} from 0 to {most}"),
        )
    })
}
