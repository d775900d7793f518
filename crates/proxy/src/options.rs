//! The `options` parameter of a startup packet: the server's command line, squeezed into a string.
//!
//! Splitting is `pg_split_opts`, reading is the part of `process_postgres_switches` that sets
//! settings. The server receives the original bytes; this is only what we believe it makes of them.

/// What an `options` string sets.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct StartupOptions {
    /// Names and values in order; a later one overrides an earlier one. Names are written as the
    /// client wrote them, save that `-` is `_`, and compare without regard to case.
    pub settings: Vec<(Vec<u8>, Vec<u8>)>,
    /// Whether that is all. `false` when there are switches other than `-c` and `--name=value`:
    /// some of them change settings under another name.
    pub understood: bool,
}

/// Reads an `options` string.
pub fn parse(options: &[u8]) -> StartupOptions {
    let mut found = StartupOptions {
        settings: Vec::new(),
        understood: true,
    };
    let mut words = split(options).into_iter();
    while let Some(word) = words.next() {
        let setting = match word.as_slice() {
            // `-c name=value`, with or without a space.
            [b'-', b'c'] => words.next(),
            [b'-', b'c', rest @ ..] => Some(rest.to_vec()),
            [b'-', b'-', rest @ ..] => Some(rest.to_vec()),
            _ => None,
        };
        match setting.and_then(assignment) {
            Some(pair) => found.settings.push(pair),
            None => found.understood = false,
        }
    }
    found
}

/// Cuts a string at white space that no backslash precedes; a backslash stands for the byte that
/// follows it.
fn split(options: &[u8]) -> Vec<Vec<u8>> {
    let mut words = Vec::new();
    let mut word: Option<Vec<u8>> = None;
    let mut bytes = options.iter().copied();
    while let Some(byte) = bytes.next() {
        match byte {
            // What C calls white space: the vertical tab is missing in Rust's notion.
            b' ' | b'\t' | b'\n' | 0x0b | 0x0c | b'\r' => words.extend(word.take()),
            b'\\' => word.get_or_insert_default().extend(bytes.next()),
            byte => word.get_or_insert_default().push(byte),
        }
    }
    words.extend(word);
    words
}

/// Splits `name=value`. A name may be written with hyphens.
fn assignment(mut word: Vec<u8>) -> Option<(Vec<u8>, Vec<u8>)> {
    let at = word.iter().position(|&byte| byte == b'=')?;
    let value = word.split_off(at + 1);
    word.truncate(at);
    for byte in &mut word {
        if *byte == b'-' {
            *byte = b'_';
        }
    }
    (!word.is_empty()).then_some((word, value))
}

#[cfg(test)]
mod tests {
    use super::parse;

    /// Parses, and writes the outcome as one string: pairs, and `?` if that is not all.
    fn check(options: &str, expected: &str) {
        let found = parse(options.as_bytes());
        let mut words: Vec<String> = found
            .settings
            .iter()
            .map(|(name, value)| {
                format!(
                    "{}={}",
                    String::from_utf8_lossy(name),
                    String::from_utf8_lossy(value)
                )
            })
            .collect();
        if !found.understood {
            words.push("?".to_owned());
        }
        assert_eq!(words.join("|"), expected, "{options:?}");
    }

    #[test]
    fn reads_the_three_spellings_of_a_setting() {
        check("-c geqo=off", "geqo=off");
        check("-cgeqo=off", "geqo=off");
        check("--geqo=off", "geqo=off");
        check(
            " -c geqo=off\t--work-mem=1MB -csearch_path=a,b ",
            "geqo=off|work_mem=1MB|search_path=a,b",
        );
        check("", "");
    }

    #[test]
    fn only_the_first_equals_sign_and_no_dash_c_inside_a_value_count() {
        check("-c a.b=x=y", "a.b=x=y");
        check("-c application_name=my-c+app", "application_name=my-c+app");
        check("-c a=", "a=");
    }

    #[test]
    fn a_backslash_keeps_the_next_byte() {
        check(r"-c search_path=a\ b", "search_path=a b");
        check(r"-c search_path=a\\b", r"search_path=a\b");
        check(r"-c\ geqo=off", " geqo=off");
        check("-c a=b\\", "a=b");
        check("-c a=\\\u{e9}", "a=\u{e9}");
    }

    #[test]
    fn the_last_of_two_stays_last() {
        check("-c a=1 --a=2", "a=1|a=2");
    }

    #[test]
    fn other_switches_are_not_understood() {
        check("-e", "?");
        check("-c a=1 -S 1024", "a=1|?");
        check("-c", "?");
        check("-c geqo", "?");
        check("--geqo", "?");
        check("--", "?");
        check("-c =1", "?");
    }

    #[test]
    fn names_need_not_be_utf8() {
        let found = parse(b"-c a=\xff\xfe");
        assert_eq!(found.settings, [(b"a".to_vec(), b"\xff\xfe".to_vec())]);
    }
}
