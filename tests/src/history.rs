//! What readers may see, given what writers were told.
//!
//! Values only grow, by one with each commit, so these laws say that each register is linearizable:
//!
//! - *fresh*: a read sees at least what was acknowledged to anyone, or seen by anyone, before it
//!   began;
//! - *committed*: nothing is seen that nobody has begun to write, least of all what was rolled back;
//! - *serial*: no two writes bring the same value, and each a greater one than was known before it.
//!
//! Two more follow from the first; they are judged by themselves because they say more when they
//! are broken: *monotonic*, no session sees a value smaller than one it saw before, and *own*, no
//! session sees less than it wrote.

use std::{
    collections::HashSet,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    },
};

use anyhow::{Result, ensure};

/// What a rolled-back write adds: no committed value ever comes near.
pub const NEVER_COMMITTED: i64 = 1_000_000_000;

/// How many violations are kept; the first few tell the story.
const VIOLATIONS_MAX: usize = 10;

/// One counter: what anybody knows of it, and what was begun.
#[derive(Debug, Default)]
struct Register {
    /// Acknowledged to a writer, or seen by a reader.
    known: AtomicI64,
    begun: AtomicI64,
    written: Mutex<HashSet<i64>>,
}

/// What all sessions of one run know together.
#[derive(Debug)]
pub struct History {
    registers: Vec<Register>,
    violations: Mutex<Vec<String>>,
    stop: AtomicBool,
    /// Reads judged.
    pub reads: AtomicU64,
    /// Writes acknowledged.
    pub writes: AtomicU64,
    /// Connections lost where that was allowed.
    pub losses: AtomicU64,
}

/// What one session has seen of each register.
#[derive(Debug)]
pub struct Seen {
    session: String,
    values: Vec<i64>,
}

impl Seen {
    /// A session that has seen nothing yet.
    pub fn new(session: String, registers: usize) -> Self {
        Self {
            session,
            values: vec![0; registers],
        }
    }
}

impl History {
    /// All registers at zero.
    pub fn new(registers: usize) -> Self {
        Self {
            registers: (0..registers).map(|_| Register::default()).collect(),
            violations: Mutex::default(),
            stop: AtomicBool::new(false),
            reads: AtomicU64::new(0),
            writes: AtomicU64::new(0),
            losses: AtomicU64::new(0),
        }
    }

    /// Called before a write is sent that brings this many steps: what it has to exceed.
    pub fn begin(&self, register: usize, steps: i64) -> i64 {
        let begun = &self.registers[register].begun;
        begun.fetch_add(steps, Ordering::SeqCst);
        self.floor(register)
    }

    /// Called by the only writer of a register when it knows again what its value is, and that
    /// nothing it has begun is under way.
    pub fn settle(&self, seen: &Seen, register: usize, value: i64) {
        let floor = self.floor(register);
        if value < floor {
            let what = format!("found {value}, known was {floor}");
            self.violate(seen, register, "asking the server", &what);
        }
        self.learn(register, value);
        self.registers[register]
            .begun
            .store(value, Ordering::SeqCst);
    }

    /// Called when a write that brought `value` was acknowledged; `floor` is what its beginning gave.
    pub fn acknowledge(&self, seen: &mut Seen, register: usize, floor: i64, value: i64) {
        let written = &self.registers[register].written;
        let first = written.lock().unwrap().insert(value);
        if value <= floor || !first {
            let twice = if first { "" } else { ", as somebody else did" };
            self.violate(
                seen,
                register,
                "write",
                &format!("wrote {value}{twice}, known was {floor}"),
            );
        }
        self.learn(register, value);
        seen.values[register] = seen.values[register].max(value);
        self.writes.fetch_add(1, Ordering::Relaxed);
    }

    /// Called before a read is sent: the least it may see.
    pub fn floor(&self, register: usize) -> i64 {
        self.registers[register].known.load(Ordering::SeqCst)
    }

    fn learn(&self, register: usize, value: i64) {
        self.registers[register]
            .known
            .fetch_max(value, Ordering::SeqCst);
    }

    /// Judges a read that found nothing, where odd values stand for that.
    pub fn judge_absent(&self, seen: &mut Seen, register: usize, floor: i64, how: &str) {
        self.reads.fetch_add(1, Ordering::Relaxed);
        let begun = self.registers[register].begun.load(Ordering::SeqCst);
        // The least odd value that it can have had.
        let least = floor.max(seen.values[register]) | 1;
        if least > begun {
            let what = format!("found nothing, known was {floor}, begun {begun}");
            self.violate(seen, register, how, &what);
        }
        seen.values[register] = least;
        self.learn(register, least);
    }

    /// Judges what a read saw.
    pub fn judge(&self, seen: &mut Seen, register: usize, floor: i64, value: i64, how: &str) {
        self.reads.fetch_add(1, Ordering::Relaxed);
        let begun = self.registers[register].begun.load(Ordering::SeqCst);
        let last = seen.values[register];
        if value < floor {
            self.violate(
                seen,
                register,
                how,
                &format!("read {value}, known was {floor}"),
            );
        }
        if value < last {
            self.violate(seen, register, how, &format!("read {value} after {last}"));
        }
        if value > begun {
            self.violate(
                seen,
                register,
                how,
                &format!("read {value}, only {begun} were begun"),
            );
        }
        seen.values[register] = last.max(value);
        self.learn(register, value);
    }

    /// Two rows that are only ever written together.
    pub fn judge_pair(&self, seen: &Seen, register: usize, left: i64, right: i64, how: &str) {
        self.judge_same(
            seen,
            register,
            (left, right),
            &format!("a torn pair by {how}"),
        );
    }

    /// Two values of which the server promises that they are equal.
    pub fn judge_same(&self, seen: &Seen, register: usize, values: (i64, i64), what: &str) {
        let (left, right) = values;
        if left != right {
            self.violate(seen, register, what, &format!("{left} and {right}"));
        }
    }

    /// Notes an error that a client saw and should not have seen.
    pub fn client_error(&self, session: &str, error: &anyhow::Error) {
        self.note(format!("{session}: {error:#}"));
    }

    fn violate(&self, seen: &Seen, register: usize, how: &str, what: &str) {
        self.note(format!(
            "{} by {how}: register {register}: {what}",
            seen.session
        ));
    }

    fn note(&self, text: String) {
        let mut violations = self.violations.lock().unwrap();
        violations.push(text);
        if violations.len() >= VIOLATIONS_MAX {
            self.stop();
        }
    }

    /// Ends the run.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
    }

    /// Whether the run has ended.
    pub fn stopped(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    /// Fails if any law was broken.
    pub fn verdict(&self) -> Result<()> {
        let violations = self.violations.lock().unwrap();
        ensure!(
            violations.is_empty(),
            "the history is not valid:\n{}",
            violations.join("\n")
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{History, Seen};

    fn history_of_two_writes() -> (History, Seen) {
        let history = History::new(1);
        let mut writer = Seen::new("writer".to_owned(), 1);
        for value in 1..=2 {
            let floor = history.begin(0, 1);
            history.acknowledge(&mut writer, 0, floor, value);
        }
        (history, Seen::new("reader".to_owned(), 1))
    }

    #[test]
    fn a_fresh_read_is_accepted() {
        let (history, mut seen) = history_of_two_writes();
        history.judge(&mut seen, 0, history.floor(0), 2, "test");
        assert!(history.verdict().is_ok());
    }

    #[test]
    fn a_read_older_than_an_acknowledged_write_is_found() {
        let (history, mut seen) = history_of_two_writes();
        history.judge(&mut seen, 0, history.floor(0), 1, "test");
        assert!(history.verdict().is_err());
    }

    #[test]
    fn a_session_that_goes_backwards_is_found() {
        let (history, mut seen) = history_of_two_writes();
        history.judge(&mut seen, 0, 0, 2, "test");
        history.judge(&mut seen, 0, 0, 1, "test");
        assert!(history.verdict().is_err());
    }

    #[test]
    fn a_value_that_nobody_committed_is_found() {
        let (history, mut seen) = history_of_two_writes();
        history.judge(&mut seen, 0, 0, 3, "test");
        assert!(history.verdict().is_err());
    }

    #[test]
    fn a_row_that_is_missing_is_found() {
        let (history, mut seen) = history_of_two_writes();
        history.judge_absent(&mut seen, 0, 1, "test");
        assert!(history.verdict().is_ok());
        history.judge_absent(&mut seen, 0, history.floor(0), "test");
        assert!(history.verdict().is_err());
    }

    #[test]
    fn a_torn_pair_is_found() {
        let (history, seen) = history_of_two_writes();
        history.judge_pair(&seen, 0, 1, 1, "test");
        assert!(history.verdict().is_ok());
        history.judge_pair(&seen, 0, 2, 1, "test");
        assert!(history.verdict().is_err());
    }

    #[test]
    fn a_reader_behind_what_another_has_seen_is_found() {
        let (history, mut seen) = history_of_two_writes();
        history.begin(0, 1);
        history.judge(&mut seen, 0, history.floor(0), 3, "test");
        let mut other = Seen::new("other".to_owned(), 1);
        history.judge(&mut other, 0, history.floor(0), 2, "test");
        assert!(history.verdict().is_err());
    }

    #[test]
    fn two_writes_that_bring_the_same_value_are_found() {
        let (history, mut seen) = history_of_two_writes();
        let floor = history.begin(0, 1);
        history.acknowledge(&mut seen, 0, floor, 2);
        assert!(history.verdict().is_err());
    }

    #[test]
    fn a_reader_behind_what_another_found_missing_is_found() {
        let (history, mut seen) = history_of_two_writes();
        history.begin(0, 1);
        history.judge_absent(&mut seen, 0, history.floor(0), "test");
        assert!(history.verdict().is_ok());
        let mut other = Seen::new("other".to_owned(), 1);
        history.judge(&mut other, 0, history.floor(0), 2, "test");
        assert!(history.verdict().is_err());
    }

    #[test]
    fn a_write_that_was_acknowledged_and_is_lost_is_found() {
        let (history, seen) = history_of_two_writes();
        history.begin(0, 1);
        history.settle(&seen, 0, 2);
        assert!(history.verdict().is_ok());
        history.settle(&seen, 0, 1);
        assert!(history.verdict().is_err());
    }

    #[test]
    fn a_write_that_did_not_happen_is_not_seen() {
        let (history, mut seen) = history_of_two_writes();
        history.begin(0, 1);
        history.settle(&seen, 0, 2);
        history.judge(&mut seen, 0, history.floor(0), 3, "test");
        assert!(history.verdict().is_err());
    }
}
