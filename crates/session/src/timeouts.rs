//! How long the session lets a statement take, as far as it has said so itself.
//!
//! The server's clock runs from when it has the statement. Who waits here for somebody else's reply
//! must not wait for long, measured by that. What follows from the role or the database is not known,
//! nor is what code has set; a SET that is rolled back counts. No reply hangs on it.

use std::time::Duration;

use sql::{SetScope, SetValue, Setting, SettingsEffect};

use crate::session::Session;

/// The timeouts that end a statement outside of a block.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Timeouts {
    statement: Option<Duration>,
    transaction: Option<Duration>,
}

impl Timeouts {
    /// Notes a setting and its value, if it is one of them; their order counts.
    pub fn set(&mut self, name: &str, value: &str) {
        self.put(name, duration(value));
    }

    fn put(&mut self, name: &str, limit: Option<Duration>) {
        match name {
            "statement_timeout" => self.statement = limit,
            "transaction_timeout" => self.transaction = limit,
            _ => {}
        }
    }

    fn least(&self) -> Option<Duration> {
        let all = [self.statement, self.transaction];
        all.into_iter().flatten().min()
    }
}

impl Session {
    /// What the client has set at its login.
    pub const fn set_timeouts(&mut self, timeouts: Timeouts) {
        (self.login_timeouts, self.timeouts) = (timeouts, timeouts);
    }

    /// How long the statement at hand may wait before it is sent, if that is limited: its client has
    /// said how long it may take, and the server takes that time anew.
    pub fn may_wait(&self) -> Option<Duration> {
        self.timeouts.least().map(|limit| limit / SHARE)
    }

    /// Notes what a statement that is about to leave does to the timeouts.
    pub(crate) fn note_timeouts(&mut self, effect: &SettingsEffect, settings: Option<&[Setting]>) {
        if *effect == SettingsEffect::ResetAll {
            self.timeouts = self.login_timeouts;
        }
        let lasting = |it: &&Setting| it.scope == SetScope::Session;
        for setting in settings.unwrap_or_default().iter().filter(lasting) {
            let mut reset = self.login_timeouts;
            match &setting.value {
                SetValue::Default => {}
                SetValue::Text(text) => reset.set(&setting.name, text),
                SetValue::List(list) => match &**list {
                    [text] => reset.set(&setting.name, text),
                    _ => reset.put(&setting.name, None),
                },
            }
            match &*setting.name {
                "statement_timeout" => self.timeouts.statement = reset.statement,
                "transaction_timeout" => self.timeouts.transaction = reset.transaction,
                _ => {}
            }
        }
    }
}

/// A value as the server reads it; `None` if there is no limit, or it is not understood.
fn duration(value: &str) -> Option<Duration> {
    let value = value.trim();
    let unit = value.find(|letter: char| letter.is_ascii_alphabetic());
    let (number, unit) = value.split_at(unit.unwrap_or(value.len()));
    let ms = match unit {
        "" | "ms" => 1.0,
        "us" => 0.001,
        "s" => 1_000.0,
        "min" => 60_000.0,
        "h" => 3_600_000.0,
        "d" => 86_400_000.0,
        _ => return None,
    };
    let number: f64 = number.trim().parse().ok()?;
    let limit = Duration::try_from_secs_f64(number * ms / 1_000.0).ok()?;
    (!limit.is_zero()).then_some(limit)
}

/// Of the time that a statement may take, one part in so many may be spent waiting.
const SHARE: u32 = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_as_the_server_reads_them() {
        let ms = |ms| Some(Duration::from_millis(ms));
        for (value, expected) in [
            ("300", ms(300)),
            (" 300ms ", ms(300)),
            ("1.5 s", ms(1_500)),
            ("2min", ms(120_000)),
            ("1h", ms(3_600_000)),
            ("1d", ms(86_400_000)),
            ("5000us", ms(5)),
            ("0", None),
            ("0s", None),
            ("-1", None),
            ("", None),
            ("soon", None),
            ("3 weeks", None),
        ] {
            assert_eq!(duration(value), expected, "{value}");
        }
    }

    #[test]
    fn the_shortest_counts() {
        let mut timeouts = Timeouts::default();
        assert_eq!(timeouts.least(), None);
        timeouts.set("statement_timeout", "2s");
        timeouts.set("lock_timeout", "1ms");
        assert_eq!(timeouts.least(), Some(Duration::from_secs(2)));
        timeouts.set("transaction_timeout", "1s");
        assert_eq!(timeouts.least(), Some(Duration::from_secs(1)));
        timeouts.set("transaction_timeout", "0");
        assert_eq!(timeouts.least(), Some(Duration::from_secs(2)));
    }
}
