//! SET and RESET, told by their keywords.

use crate::facts::Sentence;
use crate::scan::{Kind, Lexeme};
use crate::tokens::{Tokens, is_any};
use crate::{Control, Effects, SetScope, SetValue, Setting, SettingsEffect};

/// A SET or RESET statement; `None` if it is none, or not understood to its last word.
pub(crate) fn setting(mut tokens: Tokens<'_>) -> Option<Sentence> {
    let effects = if tokens.word("set") {
        set(&mut tokens)?
    } else if tokens.word("reset") {
        reset(&mut tokens)?
    } else {
        return None;
    };
    Some(Sentence::control(effects))
}

fn set(tokens: &mut Tokens<'_>) -> Option<Effects> {
    if tokens.word("constraints") {
        // Runs triggers of changes whose statements have answered for them.
        return Some(Effects::default());
    }
    if tokens.words(&["session", "characteristics", "as", "transaction"]) {
        let settings = characteristics(tokens).map_or(SettingsEffect::Unknown, |modes| {
            modes
                .into_iter()
                .fold(SettingsEffect::Untouched, |all, mode| {
                    all.and(&SettingsEffect::One(mode))
                })
        });
        return Some(Effects {
            settings,
            ..Effects::default()
        });
    }
    let scope = scope(tokens);
    if tokens.word("transaction") {
        return Some(other(SettingsEffect::Untouched));
    }
    let (name, value) = special(tokens).or_else(|| ordinary(tokens))?;
    if !tokens.is_done() {
        return None;
    }
    Some(one(name, scope, value))
}

/// The modes of `SET SESSION CHARACTERISTICS`, as the settings that they are (`ExecSetVariableStmt` in
/// `guc_funcs.c`).
fn characteristics(tokens: &mut Tokens<'_>) -> Option<Vec<Setting>> {
    const LEVELS: [(&[&str], &str); 4] = [
        (&["serializable"], "serializable"),
        (&["repeatable", "read"], "repeatable read"),
        (&["read", "committed"], "read committed"),
        (&["read", "uncommitted"], "read uncommitted"),
    ];
    let mut modes = Vec::new();
    while !tokens.is_done() {
        tokens.mark(b',');
        let (name, value) = if tokens.words(&["isolation", "level"]) {
            let level = LEVELS.iter().find(|(words, _)| tokens.words(words))?;
            ("default_transaction_isolation", level.1)
        } else if tokens.words(&["read", "only"]) {
            ("default_transaction_read_only", "on")
        } else if tokens.words(&["read", "write"]) {
            ("default_transaction_read_only", "off")
        } else if tokens.words(&["not", "deferrable"]) {
            ("default_transaction_deferrable", "off")
        } else if tokens.word("deferrable") {
            ("default_transaction_deferrable", "on")
        } else {
            return None;
        };
        modes.push(Setting {
            name: name.into(),
            scope: SetScope::Session,
            value: list(value.into()),
        });
    }
    (!modes.is_empty()).then_some(modes)
}

/// `SET SESSION AUTHORIZATION` is not a scope, `SET SESSION SESSION AUTHORIZATION` has both.
fn scope(tokens: &mut Tokens<'_>) -> SetScope {
    let mut ahead = *tokens;
    if ahead.word("session") && !ahead.sees("authorization") {
        *tokens = ahead;
    } else if tokens.word("local") {
        return SetScope::Local;
    }
    SetScope::Session
}

/// The forms of SQL that do without `=`. `None` for the value: not known.
fn special(tokens: &mut Tokens<'_>) -> Option<(Box<str>, Option<SetValue>)> {
    let mut ahead = *tokens;
    let (name, value) = if ahead.words(&["time", "zone"]) {
        ("timezone", zone(&mut ahead)?)
    } else if ahead.words(&["session", "authorization"]) {
        ("session_authorization", Some(role(&mut ahead)?))
    } else if ahead.word("role") && !ahead.sees("to") && !sees_equals(&ahead) {
        (
            "role",
            Some(list(ahead.string().or_else(|| ahead.identifier())?)),
        )
    } else if ahead.word("names") && !ahead.sees("to") && !sees_equals(&ahead) {
        ("client_encoding", Some(encoding(&mut ahead)?))
    } else if ahead.word("schema") && !ahead.sees("to") && !sees_equals(&ahead) {
        ("search_path", Some(list(ahead.string()?)))
    } else if ahead.words(&["xml", "option"]) {
        ("xmloption", Some(list(ahead.identifier()?)))
    } else {
        return None;
    };
    *tokens = ahead;
    Some((name.into(), value))
}

fn sees_equals(tokens: &Tokens<'_>) -> bool {
    tokens
        .rest()
        .first()
        .is_some_and(|lexeme| lexeme.kind == Kind::Operator)
}

fn zone(tokens: &mut Tokens<'_>) -> Option<Option<SetValue>> {
    if tokens.any(&["default", "local"]) {
        return Some(Some(SetValue::Default));
    }
    if tokens.word("interval") {
        // The value would have to be computed.
        while tokens.take().is_some() {}
        return Some(None);
    }
    element(tokens).map(|value| Some(list(value)))
}

fn role(tokens: &mut Tokens<'_>) -> Option<SetValue> {
    if tokens.word("default") {
        return Some(SetValue::Default);
    }
    tokens.string().or_else(|| tokens.identifier()).map(list)
}

fn encoding(tokens: &mut Tokens<'_>) -> Option<SetValue> {
    if tokens.is_done() || tokens.word("default") {
        return Some(SetValue::Default);
    }
    tokens.string().map(list)
}

/// `name = value, …` or `name TO value, …`.
fn ordinary(tokens: &mut Tokens<'_>) -> Option<(Box<str>, Option<SetValue>)> {
    let name = parameter(tokens)?;
    if !tokens.word("to") && !tokens.operator("=") {
        return None;
    }
    if tokens.word("default") {
        return Some((name, Some(SetValue::Default)));
    }
    let mut values = vec![element(tokens)?];
    while tokens.mark(b',') {
        values.push(element(tokens)?);
    }
    Some((name, Some(SetValue::List(values.into()))))
}

/// The name of a setting, with dots, in lower case as the server compares it.
fn parameter(tokens: &mut Tokens<'_>) -> Option<Box<str>> {
    let mut name = tokens.identifier()?.into_string();
    while tokens.mark(b'.') {
        name.push('.');
        name.push_str(&tokens.identifier()?);
    }
    Some(name.to_ascii_lowercase().into())
}

/// One value: a word, a string or a number.
fn element(tokens: &mut Tokens<'_>) -> Option<Box<str>> {
    if let Some(value) = tokens.string() {
        return Some(value);
    }
    let minus = tokens.operator("-");
    if minus || tokens.operator("+") || sees_number(tokens) {
        let digits = tokens.take().filter(|lexeme| lexeme.kind == Kind::Number)?;
        let digits = number(std::str::from_utf8(digits.bytes).ok()?)?;
        // The integer has no sign at zero.
        let minus = if minus && digits != "0" { "-" } else { "" };
        return Some(format!("{minus}{digits}").into());
    }
    let first = tokens.rest().first()?;
    // Reserved: no value where it stands.
    if is_any(first, &["default", "from", "to"]) {
        return None;
    }
    tokens.identifier()
}

/// A number as the server prints it again: an integer anew, any other as it was written.
fn number(digits: &str) -> Option<String> {
    if let Ok(integer) = digits.parse::<i32>() {
        return Some(integer.to_string());
    }
    // Since PostgreSQL 16; before, they are no numbers, and the statement fails.
    let radixes = [(["0x", "0X"], 16), (["0o", "0O"], 8), (["0b", "0B"], 2)];
    for (prefixes, radix) in radixes {
        let prefixed = prefixes
            .iter()
            .find_map(|&prefix| digits.strip_prefix(prefix));
        if let Some(Ok(integer)) = prefixed.map(|rest| i32::from_str_radix(rest, radix)) {
            return Some(integer.to_string());
        }
    }
    let plain = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E');
    digits.bytes().all(plain).then(|| digits.to_owned())
}

fn sees_number(tokens: &Tokens<'_>) -> bool {
    let first: Option<&Lexeme<'_>> = tokens.rest().first();
    first.is_some_and(|lexeme| lexeme.kind == Kind::Number)
}

fn reset(tokens: &mut Tokens<'_>) -> Option<Effects> {
    if tokens.words(&["transaction", "isolation", "level"]) {
        return tokens.is_done().then(|| other(SettingsEffect::Untouched));
    }
    let name = if tokens.words(&["time", "zone"]) {
        "timezone".into()
    } else if tokens.words(&["session", "authorization"]) {
        "session_authorization".into()
    } else if tokens.word("all") {
        return tokens.is_done().then(|| Effects {
            settings: SettingsEffect::ResetAll,
            ..Effects::default()
        });
    } else {
        parameter(tokens)?
    };
    let value = Some(SetValue::Default);
    tokens
        .is_done()
        .then(|| one(name, SetScope::Session, value))
}

fn list(value: Box<str>) -> SetValue {
    SetValue::List([value].into())
}

fn other(settings: SettingsEffect) -> Effects {
    Effects {
        control: Some(Control::Other),
        settings,
        ..Effects::default()
    }
}

fn one(name: Box<str>, scope: SetScope, value: Option<SetValue>) -> Effects {
    let Some(value) = value else {
        return Effects {
            settings: SettingsEffect::Unknown,
            ..Effects::default()
        };
    };
    // Tables may be created where the path begins.
    let temporary = &*name == "search_path"
        && matches!(&value, SetValue::List(path) if path.iter().any(|name| name.contains("pg_temp")));
    Effects {
        // These change the transaction and have no life of their own.
        control: TRANSACTION.contains(&&*name).then_some(Control::Other),
        settings: SettingsEffect::One(Setting { name, scope, value }),
        temporary,
        ..Effects::default()
    }
}

const TRANSACTION: [&str; 3] = [
    "transaction_deferrable",
    "transaction_isolation",
    "transaction_read_only",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scan::lexemes;

    fn parse(text: &str) -> Option<Effects> {
        let lexemes: Vec<Lexeme<'_>> = lexemes(text.as_bytes())
            .filter(|lexeme| !lexeme.kind.is_blank())
            .collect();
        setting(Tokens::new(&lexemes)).map(|sentence| sentence.effects)
    }

    fn check(text: &str, name: &str, scope: SetScope, value: &[&str]) {
        let expected = SettingsEffect::One(Setting {
            name: name.into(),
            scope,
            value: match value {
                ["DEFAULT"] => SetValue::Default,
                values => SetValue::List(values.iter().map(|&value| value.into()).collect()),
            },
        });
        let found = parse(text).map(|effects| effects.settings);
        assert_eq!(found, Some(expected), "{text}");
    }

    #[test]
    fn values_are_unquoted_and_folded() {
        use SetScope::{Local, Session};
        check("set x = 1", "x", Session, &["1"]);
        check("set x = -0", "x", Session, &["0"]);
        check("set x = -0.0", "x", Session, &["-0.0"]);
        check("set x = -00", "x", Session, &["0"]);
        check(
            "SET SESSION TimeZone TO 'UTC'",
            "timezone",
            Session,
            &["UTC"],
        );
        check("set local a.B = On", "a.b", Local, &["on"]);
        check(
            "set search_path to \"$user\", Public, 'It''s'",
            "search_path",
            Session,
            &["$user", "public", "It's"],
        );
        check(
            "set extra_float_digits = -1",
            "extra_float_digits",
            Session,
            &["-1"],
        );
        check("set x = -007", "x", Session, &["-7"]);
        check("set x = 1.50", "x", Session, &["1.50"]);
        check("set x = 3e2", "x", Session, &["3e2"]);
        check("set x = 0x12c", "x", Session, &["300"]);
        check("set x = -0B11", "x", Session, &["-3"]);
        check("set x to default", "x", Session, &["DEFAULT"]);
        check("reset x", "x", Session, &["DEFAULT"]);
    }

    #[test]
    fn forms_without_equals_have_the_name_of_their_setting() {
        use SetScope::{Local, Session};
        check(
            "set time zone 'Asia/Tokyo'",
            "timezone",
            Session,
            &["Asia/Tokyo"],
        );
        check("set local time zone -3", "timezone", Local, &["-3"]);
        check("set time zone local", "timezone", Session, &["DEFAULT"]);
        check(
            "set names 'LATIN1'",
            "client_encoding",
            Session,
            &["LATIN1"],
        );
        check("set schema 'a'", "search_path", Session, &["a"]);
        check("set role Bob", "role", Session, &["bob"]);
        check("set local role none", "role", Local, &["none"]);
        check("set role = bob", "role", Session, &["bob"]);
        check(
            "set session authorization 'a'",
            "session_authorization",
            Session,
            &["a"],
        );
        check(
            "set session session authorization default",
            "session_authorization",
            Session,
            &["DEFAULT"],
        );
        check(
            "reset session authorization",
            "session_authorization",
            Session,
            &["DEFAULT"],
        );
        check("reset role", "role", Session, &["DEFAULT"]);
        check("reset time zone", "timezone", Session, &["DEFAULT"]);
    }

    #[test]
    fn what_cannot_be_computed_leaves_settings_unknown() {
        for text in [
            "set time zone interval '+02:00' hour to minute",
            "set session characteristics as transaction snapshot 'x'",
        ] {
            let found = parse(text).map(|effects| effects.settings);
            assert_eq!(found, Some(SettingsEffect::Unknown), "{text}");
        }
    }

    #[test]
    fn characteristics_are_settings() {
        let one = "set session characteristics as transaction isolation level repeatable read";
        check(
            one,
            "default_transaction_isolation",
            SetScope::Session,
            &["repeatable read"],
        );
        let all = parse(&format!("{one}, read write not deferrable"));
        let settings = all.map(|effects| effects.settings);
        let Some(SettingsEffect::Several(settings)) = settings else {
            panic!("{settings:?}");
        };
        let names: Vec<_> = settings.iter().map(|it| &*it.name).collect();
        let expected =
            ["isolation", "read_only", "deferrable"].map(|it| format!("default_transaction_{it}"));
        assert_eq!(names, expected);
    }

    #[test]
    fn transactions_and_paths_to_temporary_objects_are_told() {
        let control = |text| parse(text).and_then(|effects| effects.control);
        assert_eq!(control("set transaction read only"), Some(Control::Other));
        assert_eq!(
            control("set transaction_isolation = 'serializable'"),
            Some(Control::Other)
        );
        assert_eq!(control("set x = 1"), None);
        assert!(parse("set search_path = pg_temp, public").is_some_and(|found| found.temporary));
        assert_eq!(
            parse("reset all").map(|effects| effects.settings),
            Some(SettingsEffect::ResetAll)
        );
    }

    #[test]
    fn half_understood_is_not_understood() {
        for text in [
            "set",
            "set x",
            "set x = ",
            "set x = 1 2",
            "set x = E'a\\n'",
            "set x = 1_000",
            "set x = 'a' 'b'",
        ] {
            assert!(parse(text).is_none(), "{text}");
        }
    }
}
