//! All lines of a store, and which one a thread uses.
//!
//! A thread that serves clients has a line of its own, whose connection is read and written on that
//! very thread: an answer need not wake another one. A line that all share is for everybody else,
//! and for whose own line is not trusted. Which line carries what is a matter of cost alone: each is
//! verified for itself.

use std::{
    cell::Cell,
    sync::{
        OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
};

use super::line::Line;

/// Lines that all share, and those of single threads.
#[derive(Debug)]
pub(super) struct Lines {
    common: Box<[Line]>,
    /// By number of the thread; none before threads are known.
    own: OnceLock<Box<[Line]>>,
    turn: AtomicUsize,
}

thread_local! {
    /// The number of this thread among those that serve clients. Threads of several stores are the
    /// same ones.
    static NUMBER: Cell<Option<usize>> = const { Cell::new(None) };
}

impl Lines {
    pub(super) const fn new(common: Box<[Line]>) -> Self {
        Self {
            common,
            own: OnceLock::new(),
            turn: AtomicUsize::new(0),
        }
    }

    /// Adds one line per thread, in the order of their numbers; false if that was done before.
    pub(super) fn add_own(&self, lines: Box<[Line]>) -> bool {
        self.own.set(lines).is_ok()
    }

    fn own(&self) -> &[Line] {
        self.own.get().map_or(&[], |own| own)
    }

    /// All of them, those that all share first.
    pub(super) fn all(&self) -> impl Iterator<Item = &Line> {
        self.common.iter().chain(self.own())
    }

    /// This thread's own line, those that all share, each in its turn, and then those of others.
    pub(super) fn by_preference(&self) -> impl Iterator<Item = &Line> {
        let mine = NUMBER.get().and_then(|number| self.own().get(number));
        let turn = match mine {
            // Most likely nobody asks for the next one.
            Some(_) => 0,
            None => self.turn.fetch_add(1, Ordering::Relaxed) % self.common.len().max(1),
        };
        let (before, from) = self.common.split_at_checked(turn).unwrap_or_default();
        mine.into_iter().chain(from).chain(before).chain(self.own())
    }
}

/// Gives this thread its number, by which it finds its own line.
pub(super) fn number_thread(number: usize) {
    NUMBER.set(Some(number));
}
