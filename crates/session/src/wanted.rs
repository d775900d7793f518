//! Settings of the application that statements read by name.
//!
//! What views and policies read is known from the catalog, and what a session has set by itself from its
//! statements. A name in the text of a query may be neither, and so not be asked for with the state of a
//! session. All sessions of the process ask for such names from then on.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicUsize, Ordering},
};

use crate::identity::may_be_asked;

/// The names, which only become more.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    names: Mutex<Arc<[Box<str>]>>,
    count: AtomicUsize,
}

/// So many are asked for. A statement that reads another one is not looked up.
const NAMES_MAX: usize = 32;

/// Longer names, in bytes, are not asked for.
const NAME_BYTES_MAX: usize = 128;

impl Wanted {
    /// How many there are, which tells one set of names from any other.
    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    /// The names.
    pub(crate) fn names(&self) -> Arc<[Box<str>]> {
        Arc::clone(&self.names.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A statement reads this (lower-case) name.
    pub(crate) fn add(&self, name: &str) {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = names.len() < NAMES_MAX && name.len() <= NAME_BYTES_MAX && may_be_asked(name);
        if !fits || names.iter().any(|known| **known == *name) {
            return;
        }
        let more: Vec<Box<str>> = names.iter().cloned().chain([name.into()]).collect();
        *names = more.into();
        self.count.store(names.len(), Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_few_and_plain_and_stay() {
        let wanted = Wanted::default();
        let long = "a.".repeat(NAME_BYTES_MAX);
        for name in ["app.x", "app.y", "app.x", "app.\u{e9}", &long] {
            wanted.add(name);
        }
        assert_eq!(*wanted.names(), ["app.x".into(), "app.y".into()]);
        (0..2 * NAMES_MAX).for_each(|number| wanted.add(&format!("app.n{number}")));
        assert_eq!(
            (wanted.count(), wanted.names().len()),
            (NAMES_MAX, NAMES_MAX)
        );
    }
}
