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

/// A value as the server reads it (`parse_int` in `guc.c`, and numbers as its scanner has them); `None` if
/// there is no limit, or it is not understood.
fn duration(value: &str) -> Option<Duration> {
    let (number, unit) = number(value.trim())?;
    let ms = match unit.trim_start() {
        "" | "ms" => 1.0,
        "us" => 0.001,
        "s" => 1_000.0,
        "min" => 60_000.0,
        "h" => 3_600_000.0,
        "d" => 86_400_000.0,
        _ => return None,
    };
    let limit = Duration::try_from_secs_f64(number * ms / 1_000.0).ok()?;
    (!limit.is_zero()).then_some(limit)
}

/// A number, and what follows it. What begins with a zero is octal in quotes, and decimal without: the
/// first is less.
fn number(value: &str) -> Option<(f64, &str)> {
    let lower = value.get(..2).unwrap_or_default().to_ascii_lowercase();
    let (digits, radix) = match (&*lower, value.as_bytes()) {
        ("0x", _) => (value.get(2..)?, 16),
        ("0o", _) => (value.get(2..)?, 8),
        ("0b", _) => (value.get(2..)?, 2),
        (_, [b'0', b'0'..=b'7', ..]) => (value, 8),
        _ => return decimal(value),
    };
    let end = digits.find(|digit: char| !(digit.is_digit(radix) || digit == '_'));
    let (digits, rest) = digits.split_at(end.unwrap_or(digits.len()));
    if rest.starts_with(['.', 'e', 'E', '8', '9']) {
        return decimal(value);
    }
    let number = u32::from_str_radix(&digits.replace('_', ""), radix).ok()?;
    Some((number.into(), rest))
}

fn decimal(value: &str) -> Option<(f64, &str)> {
    let within = |digit: char| digit.is_ascii_digit() || matches!(digit, '.' | '_' | '+' | '-');
    let end = |text: &str| text.find(|digit| !within(digit)).unwrap_or(text.len());
    let mut all = end(value);
    if let Some(exponent) = value.get(all..)?.strip_prefix(['e', 'E'])
        && end(exponent) > 0
    {
        all += 1 + end(exponent);
    }
    let (number, rest) = value.split_at(all);
    Some((number.replace('_', "").parse().ok()?, rest))
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
            ("3e2", ms(300)),
            ("3E2ms", ms(300)),
            ("0.3e1 s", ms(3_000)),
            ("0x12c", ms(300)),
            ("0X12C ms", ms(300)),
            ("0b11s", ms(3_000)),
            ("1_000", ms(1_000)),
            ("0454", ms(300)),
            ("0380", ms(380)),
            ("3e", None),
            ("0x", None),
            ("0xs", None),
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
