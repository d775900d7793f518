//! What readers may see, given what writers were told.
//!
//! Values only grow, by one with each commit, so three laws suffice:
//!
//! - *fresh*: a read sees at least what was acknowledged to anyone before the read began;
//! - *monotonic*: no session sees a value smaller than one it saw before;
//! - *committed*: nothing is seen that nobody has begun to write, least of all what was rolled back.

use std::sync::{
    Mutex,
    atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
};

use anyhow::{Result, ensure};

/// What a rolled-back write adds: no committed value ever comes near.
pub const NEVER_COMMITTED: i64 = 1_000_000_000;

/// How many violations are kept; the first few tell the story.
const VIOLATIONS_MAX: usize = 10;

/// One counter: what was acknowledged, and what was begun.
#[derive(Debug, Default)]
struct Register {
    acknowledged: AtomicI64,
    begun: AtomicI64,
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
        }
    }

    /// Called before a write is sent.
    pub fn begin(&self, register: usize) {
        self.registers[register]
            .begun
            .fetch_add(1, Ordering::SeqCst);
    }

    /// Called when a write that brought `value` was acknowledged.
    pub fn acknowledge(&self, register: usize, value: i64) {
        self.registers[register]
            .acknowledged
            .fetch_max(value, Ordering::SeqCst);
        self.writes.fetch_add(1, Ordering::Relaxed);
    }

    /// Called before a read is sent: the least it may see.
    pub fn floor(&self, register: usize) -> i64 {
        self.registers[register].acknowledged.load(Ordering::SeqCst)
    }

    /// Judges a read that found nothing, where odd values stand for that.
    pub fn judge_absent(&self, seen: &Seen, register: usize, floor: i64, how: &str) {
        self.reads.fetch_add(1, Ordering::Relaxed);
        let begun = self.registers[register].begun.load(Ordering::SeqCst);
        // The last odd value that it can have had.
        let last = (begun - 1) | 1;
        if last < floor.max(seen.values[register]) {
            let what = format!("found nothing, acknowledged was {floor}, begun {begun}");
            self.violate(seen, register, how, &what);
        }
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
                &format!("read {value}, acknowledged was {floor}"),
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
    }

    /// Two rows that are only ever written together.
    pub fn judge_pair(&self, seen: &Seen, register: usize, left: i64, right: i64, how: &str) {
        if left != right {
            self.violate(
                seen,
                register,
                how,
                &format!("read a torn pair, {left} and {right}"),
            );
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
        for value in 1..=2 {
            history.begin(0);
            history.acknowledge(0, value);
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
        let (history, seen) = history_of_two_writes();
        history.judge_absent(&seen, 0, 1, "test");
        assert!(history.verdict().is_ok());
        history.judge_absent(&seen, 0, history.floor(0), "test");
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
}
