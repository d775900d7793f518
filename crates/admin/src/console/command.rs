//! What can be said to the console.

use crate::{
    show::{ROWS_MAX, Topic},
    table::{Column, Kind},
};

/// One command.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Command {
    /// To be answered with rows.
    Show {
        topic: Topic,
        limit: usize,
    },
    /// A setting of the session, which has no other value.
    Setting(&'static Setting),
    /// What drivers say before and after a command; nothing comes of it but its tag.
    Nothing(&'static str),
    Begin,
    /// COMMIT or ROLLBACK.
    End(&'static str),
    /// Nothing at all.
    Empty,
}

/// The console does not know such a command.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Unknown;

/// The commands of a string, each behind a semicolon but the last.
pub(super) fn commands(text: &str) -> Vec<&str> {
    // No command that is known holds one in a literal; of what SET is told nothing is kept.
    let mut commands: Vec<_> = text.split(';').map(str::trim).collect();
    if commands.len() > 1 {
        commands.retain(|command| !command.is_empty());
    }
    if commands.is_empty() {
        commands.push("");
    }
    commands
}

impl Command {
    /// Reads one.
    pub(super) fn read(text: &str) -> Result<Self, Unknown> {
        let text = text.trim().trim_end_matches(';');
        let words: Vec<String> = text
            .split_ascii_whitespace()
            .take(WORDS_MAX + 1)
            .map(str::to_ascii_lowercase)
            .collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match words.as_slice() {
            [] => Ok(Self::Empty),
            ["show", rest @ ..] => show(rest),
            ["begin", ..] => Ok(Self::Begin),
            ["start", "transaction", ..] => Ok(Self::Begin),
            ["commit" | "end", ..] => Ok(Self::End("COMMIT")),
            ["rollback" | "abort", ..] => Ok(Self::End("ROLLBACK")),
            ["set", _, ..] => Ok(Self::Nothing("SET")),
            ["reset", _] => Ok(Self::Nothing("RESET")),
            ["discard", "all"] => Ok(Self::Nothing("DISCARD ALL")),
            ["deallocate", "all"] => Ok(Self::Nothing("DEALLOCATE ALL")),
            ["close", "all"] => Ok(Self::Nothing("CLOSE CURSOR ALL")),
            ["unlisten", "*"] => Ok(Self::Nothing("UNLISTEN")),
            _ => Err(Unknown),
        }
    }
}

fn show(words: &[&str]) -> Result<Command, Unknown> {
    let (name, limit) = match words {
        [name] => (*name, ROWS_MAX),
        [name, "limit", limit] => (*name, limit.parse().map_err(|_| Unknown)?),
        ["transaction", "isolation", "level"] => ("transaction_isolation", ROWS_MAX),
        _ => return Err(Unknown),
    };
    if let Some(topic) = Topic::named(name) {
        let limit = limit.min(ROWS_MAX);
        return Ok(Command::Show { topic, limit });
    }
    let setting = SETTINGS
        .iter()
        .find(|it| it.name().eq_ignore_ascii_case(name));
    setting.map(Command::Setting).ok_or(Unknown)
}

/// A setting of the session, which has one value.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Setting {
    pub(super) column: [Column; 1],
    pub(super) value: &'static str,
}

impl Setting {
    const fn new(name: &'static str, value: &'static str) -> Self {
        Self {
            column: [Column(name, Kind::Text)],
            value,
        }
    }

    pub(super) const fn name(&self) -> &'static str {
        let [Column(name, _)] = &self.column;
        name
    }
}

/// More words than any command that is told apart has.
const WORDS_MAX: usize = 8;

/// What drivers ask for. The first ones are reported at the login, too.
pub(super) static SETTINGS: [Setting; 14] = [
    Setting::new("server_version", SERVER_VERSION),
    Setting::new("server_encoding", "UTF8"),
    Setting::new("client_encoding", "UTF8"),
    Setting::new("DateStyle", "ISO, MDY"),
    Setting::new("IntervalStyle", "postgres"),
    Setting::new("TimeZone", "UTC"),
    Setting::new("integer_datetimes", "on"),
    Setting::new("standard_conforming_strings", "on"),
    Setting::new("default_transaction_read_only", "on"),
    Setting::new("in_hot_standby", "off"),
    Setting::new("is_superuser", "off"),
    Setting::new("transaction_isolation", "read committed"),
    Setting::new("transaction_read_only", "on"),
    Setting::new("max_identifier_length", "63"),
];

/// How many of these are reported.
pub(super) const REPORTED: usize = 11;

/// Clients choose by it how to speak: as with the oldest server that pgmemo knows.
const SERVER_VERSION: &str = concat!("15.0 (pgmemo ", env!("CARGO_PKG_VERSION"), ")");

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str, expected: Result<Command, Unknown>) {
        assert_eq!(Command::read(text), expected, "{text}");
    }

    #[test]
    fn commands_are_read_in_any_case_and_spacing() {
        let limit = ROWS_MAX;
        for topic in Topic::ALL {
            check(
                &format!("show {}", topic.name()),
                Ok(Command::Show { topic, limit }),
            );
        }
        let topic = Topic::Statements;
        check(" SHOW\n\tStatements ; ", Ok(Command::Show { topic, limit }));
        check(
            "show statements limit 5",
            Ok(Command::Show { topic, limit: 5 }),
        );
        check(
            "show statements limit 99999999",
            Ok(Command::Show {
                topic,
                limit: ROWS_MAX,
            }),
        );
        check("show Server_Version", Ok(Command::Setting(&SETTINGS[0])));
        check(
            "SHOW TRANSACTION ISOLATION LEVEL",
            Ok(Command::Setting(&SETTINGS[REPORTED])),
        );
        check("", Ok(Command::Empty));
        check("BEGIN ISOLATION LEVEL SERIALIZABLE", Ok(Command::Begin));
        check("rollback", Ok(Command::End("ROLLBACK")));
        check("SET extra_float_digits = 3", Ok(Command::Nothing("SET")));
    }

    #[test]
    fn anything_else_is_not_known() {
        for text in [
            "show",
            "show nothing",
            "show statements limit",
            "show statements limit x",
            "show statements limit -1",
            "set",
            "select 1",
            "show statements where hits > 0",
            "shutdown",
        ] {
            check(text, Err(Unknown));
        }
    }

    #[test]
    fn strings_are_cut_into_commands() {
        for (text, expected) in [
            ("", &[""][..]),
            (";", &[""]),
            ("show help", &["show help"]),
            ("show help;", &["show help"]),
            (" set x = 1; ; show stats ;", &["set x = 1", "show stats"]),
        ] {
            assert_eq!(commands(text), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn nothing_is_too_strange_to_be_read(text: String) {
            for command in commands(&text) {
                let _ = Command::read(command);
            }
        }
    }
}
