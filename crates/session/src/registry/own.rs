//! Names that the client has not taken.

use super::{Name, Registry, kept, minded};

/// How all names of ours begin.
const PREFIX: &[u8] = b"_pgmemo_";

impl Registry {
    /// Empty; names of ours have a secret in them, if there is one.
    pub(crate) fn with_secret(secret: Option<u64>) -> Self {
        let mark = secret.map(|secret| format!("_{secret:016x}"));
        Self {
            own_names_mark: Name::from_slice(mark.unwrap_or_default().as_bytes()),
            ..Self::default()
        }
    }

    /// The first of the names that begin like this, and go on with what is secret and a number, which no
    /// statement and no portal of the client's is known to have.
    pub(crate) fn own_name(&self, first: &[u8]) -> Name {
        let mut name = Name::from_slice(first);
        name.extend_from_slice(&self.own_names_mark);
        let length = name.len();
        let mut number = self.own_names_from;
        loop {
            if number > 0 {
                name.truncate(length);
                name.extend_from_slice(format!("_{number}").as_bytes());
            }
            // Each of those that are kept here takes one at most.
            if !self.is_name_taken(&name) {
                return name;
            }
            number = number.wrapping_add(1);
        }
    }

    fn is_name_taken(&self, name: &[u8]) -> bool {
        self.statements.get(name).is_some()
            || self.portals.get(name).is_some()
            // It may have been closed in vain.
            || self.unsure.contains_key(name)
    }

    /// The client may have a statement or a portal of this name, of which nothing is kept here.
    pub(super) fn note_foreign_name(&mut self, name: &[u8]) {
        if let Some(number) = number(minded(name)) {
            self.own_names_from = self.own_names_from.max(number.saturating_add(1));
        }
    }

    /// A statement is about to leave that may make some of the names in its text.
    pub(crate) fn note_names_in(&mut self, text: &[u8]) {
        let mut rest = text;
        while let Some(at) = rest
            .windows(PREFIX.len())
            .position(|it| it.starts_with(b"_") && it.eq_ignore_ascii_case(PREFIX))
        {
            rest = rest.get(at..).unwrap_or_default();
            let length = rest.iter().position(|&byte| !continues(byte));
            let (name, behind) = rest.split_at(length.unwrap_or(rest.len()));
            self.note_foreign_name(&kept(name).to_ascii_lowercase());
            rest = behind;
        }
    }
}

fn continues(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// The number at the end of a name that could be one of ours; none stands for the first.
fn number(name: &[u8]) -> Option<u64> {
    if !name.starts_with(PREFIX) {
        return None;
    }
    let (_, digits) = std::str::from_utf8(name).ok()?.rsplit_once('_')?;
    match digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.is_empty() {
        // Nobody counts as far as this.
        true => digits.parse().ok(),
        false => Some(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(registry: &Registry) -> String {
        String::from_utf8(registry.own_name(b"_pgmemo_x").to_vec()).unwrap()
    }

    #[test]
    fn a_name_of_ours_is_not_guessed() {
        let mut registry = Registry::with_secret(Some(0xab));
        assert_eq!(named(&registry), "_pgmemo_x_00000000000000ab");
        registry.note_names_in(b"prepare _pgmemo_x as select 1");
        assert_eq!(named(&registry), "_pgmemo_x_00000000000000ab_1");
        registry.note_names_in(b"prepare _pgmemo_x_00000000000000ab_1 as select 1");
        assert_eq!(named(&registry), "_pgmemo_x_00000000000000ab_2");
    }

    #[test]
    fn a_name_of_ours_is_nobody_elses() {
        let mut registry = Registry::default();
        let check = |registry: &Registry, expected: &str| assert_eq!(named(registry), expected);
        check(&registry, "_pgmemo_x");
        for (text, expected) in [
            ("select * from _pgmemo_", "_pgmemo_x_1"),
            ("prepare _pgmemo_x as select 1", "_pgmemo_x_1"),
            (
                "declare \"_PGMEMO_X_4\" cursor for select 1; fetch _pgmemo_x_2",
                "_pgmemo_x_5",
            ),
            ("prepare _pgmemo_y_ as select '_pgmemo'", "_pgmemo_x_5"),
            (
                "prepare _pgmemo_99999999999999999999 as select 1",
                "_pgmemo_x_5",
            ),
        ] {
            registry.note_names_in(text.as_bytes());
            check(&registry, expected);
        }
        registry.doubt(b"_pgmemo_x_5", 1);
        check(&registry, "_pgmemo_x_6");
        registry.settle();
        check(&registry, "_pgmemo_x_5");
        registry.forget_stranger(b"_pgmemo_x_5");
        check(&registry, "_pgmemo_x_6");
        registry.forget_stranger(b"_pgmemo");
        check(&registry, "_pgmemo_x_6");
    }
}
