//! Settings by which the planner writes constants down beforehand, as text.
//!
//! What is immutable by its name may hang on a setting all the same: `(1::float8/3)::text` on
//! `extra_float_digits`. A prepared statement has it computed when it is planned, and the plan is
//! kept, so that what a server says to it may be in the form of a setting that holds no more.
//!
//! Such settings change next to never, so they are compared whatever a statement says. What is sure
//! is only that they were known to be the same, or that nothing has happened that could change them.

use cache::{Digest, DigestBuilder};

/// These settings of a session, for all that is known; or as they were at some time.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Folds {
    /// How often they have changed, or may have.
    turn: u64,
    /// What they are, if it is known.
    known: Option<Digest>,
    /// Something has happened that may have changed them since they were known.
    doubted: bool,
}

/// Settings that functions look at which are declared immutable, if those are read; of extensions the
/// first word. Sorted.
const FOLDING: [&str; 5] = [
    "bytea_output",
    "extra_float_digits",
    "h3",
    "postgis",
    "quote_all_identifiers",
];

/// Whether a (lower-case) name is that of such a setting.
pub(crate) fn bears_on_folds(name: &str) -> bool {
    let word = name.split_once('.').map_or(name, |(word, _)| word);
    FOLDING.binary_search(&word).is_ok()
}

/// A digest over those among settings in these lists, each as the server gives it.
pub(crate) fn folding(lists: [&[u8]; 2]) -> Digest {
    let mut digest = DigestBuilder::default();
    for list in lists {
        let Some(settings) = crate::recipe::listed(list) else {
            digest.field(list);
            continue;
        };
        for (name, value) in settings {
            let name = name.to_ascii_lowercase();
            if bears_on_folds(&name) {
                digest.field(name.as_bytes()).field(value.as_bytes());
            }
        }
    }
    digest.finish()
}

impl Folds {
    /// They are known.
    pub(crate) fn learn(&mut self, digest: Digest) {
        let others = self.known.is_some_and(|known| known != digest);
        self.turn += u64::from(others || self.doubted);
        self.known = Some(digest);
        self.doubted = false;
    }

    /// Something has happened that may have changed them.
    pub(crate) const fn doubt(&mut self) {
        self.turn += 1;
        self.known = None;
        self.doubted = true;
    }

    /// They are known to be these.
    pub(crate) fn are(&self, digest: Digest) -> bool {
        self.known == Some(digest)
    }

    /// They are what they were `then`.
    pub(crate) fn hold(&self, then: &Self) -> bool {
        self.turn == then.turn || self.known.is_some() && self.known == then.known
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(number: u64) -> Digest {
        DigestBuilder::default().number(number).finish()
    }

    #[test]
    fn what_nothing_has_changed_is_what_it_was() {
        let mut folds = Folds::default();
        let login = folds;
        folds.learn(digest(1));
        assert!(folds.hold(&login));
        let first = folds;
        folds.doubt();
        let doubted = folds;
        assert!(!folds.hold(&first) && !folds.hold(&login));
        folds.learn(digest(1));
        // It may have been another one meanwhile.
        assert!(folds.hold(&first) && !folds.hold(&login) && !folds.hold(&doubted));
        folds.learn(digest(2));
        assert!(!folds.hold(&first));
    }

    #[test]
    fn what_changes_unseen_is_another() {
        let mut folds = Folds::default();
        folds.learn(digest(1));
        let first = folds;
        folds.learn(digest(2));
        assert!(!folds.hold(&first) && folds.are(digest(2)));
        folds.learn(digest(1));
        assert!(folds.hold(&first));
    }

    #[test]
    fn few_settings_bear_on_constants() {
        assert!(FOLDING.is_sorted());
        assert!(bears_on_folds("bytea_output") && bears_on_folds("h3.strict"));
        assert!(!bears_on_folds("timezone") && !bears_on_folds("app.bytea_output"));
        let digest = |listed: &[u8]| folding([listed, b""]);
        let escape = digest(b"bytea_output\x1e6\x1eescape\x1ftimezone\x1e3\x1eUTC");
        assert_eq!(escape, digest(b"bytea_output\x1e6\x1eescape"));
        assert_ne!(escape, digest(b"bytea_output\x1e3\x1ehex"));
    }
}
