//! Statements that SQL runs by their names.
//!
//! For a name alone an empty statement may stand in, which cannot be refused. Whoever runs it would run
//! nothing.

use std::collections::HashSet;

use crate::{registry::Name, session::Session};

impl Session {
    /// A statement is to be made for SQL to run it. It has been made apart where that can be; in a
    /// block, what the server has against it is what the client is to hear.
    pub(crate) fn materialize_run(&mut self, name: &[u8]) {
        if self.registry.is_stale(name) {
            self.close_stale(name);
        }
        if self.may_be_parsed(name) {
            self.materialize_statement(name);
        }
    }

    /// The statements that a text may run of those that the server lacks, or has others in place of.
    pub(crate) fn run_by(&self, text: Option<&[u8]>) -> Vec<Name> {
        let Some(text) = text.filter(|text| sql::may_name(text, "execute")) else {
            return Vec::new();
        };
        // It may be written otherwise.
        let odd = text.windows(2).any(|it| it.eq_ignore_ascii_case(b"u&"));
        let words = words(text);
        let named = |name: &[u8]| match name.iter().all(|&byte| is_letter(byte)) {
            true => words.contains(&name.to_ascii_lowercase()),
            false => std::str::from_utf8(name).is_ok_and(|name| sql::may_name(text, name)),
        };
        let mut names = self.registry.lacking_statements();
        names.retain(|name| !name.is_empty() && (odd || named(name)));
        names
    }
}

/// A text's words, in lower case. There may be many names to look for.
fn words(text: &[u8]) -> HashSet<Vec<u8>> {
    let words = text.split(|&byte| !is_letter(byte));
    words.map(<[u8]>::to_ascii_lowercase).collect()
}

fn is_letter(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_$".contains(&byte) || byte >= 0x80
}
