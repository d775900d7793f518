//! What became of each test, and which differences are explained.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context, Result, ensure};

/// The outcome of each test, by its name.
#[derive(Debug, Default)]
pub(super) struct Outcomes(BTreeMap<String, String>);

impl Outcomes {
    /// Adds one; a test that reports twice, as in its body and its end, has both outcomes.
    pub(super) fn add(&mut self, test: &str, outcome: &str) {
        let known = self.0.entry(test.to_owned()).or_default();
        if !known.is_empty() {
            known.push_str(", ");
        }
        known.push_str(outcome);
    }

    /// Reads the summary that `pytest -rA` prints.
    pub(super) fn of_pytest(output: &str) -> Self {
        const WORDS: [&str; 6] = ["PASSED", "FAILED", "ERROR", "SKIPPED", "XFAIL", "XPASS"];
        let mut outcomes = Self::default();
        for line in output.lines() {
            let Some((word, test)) = line.split_once(' ') else {
                continue;
            };
            let test = test.split(" - ").next().unwrap_or(test).trim_end();
            if WORDS.contains(&word) && test.contains(".py") && !test.starts_with(' ') {
                outcomes.add(test, word);
            }
        }
        outcomes
    }

    /// Reads what Django's runner prints when it is to name each test.
    pub(super) fn of_django(output: &str) -> Self {
        let mut outcomes = Self::default();
        for line in output.lines() {
            if let Some((test, outcome)) = line.rsplit_once(" ... ")
                && let Some(word) = outcome.split([' ', '(']).next()
                && ["ok", "FAIL", "ERROR", "skipped", "expected"].contains(&word)
            {
                outcomes.add(test, word);
            }
        }
        // What happens outside of tests, at the end most of all.
        for line in output
            .lines()
            .filter(|line| line.starts_with("django.db.utils."))
        {
            outcomes.add(line, "raised");
        }
        outcomes
    }

    /// Reads what the test harness of Rust prints.
    pub(super) fn of_cargo(output: &str) -> Self {
        let mut outcomes = Self::default();
        for line in output.lines() {
            if let Some((test, outcome)) = line
                .strip_prefix("test ")
                .and_then(|it| it.rsplit_once(" ... "))
            {
                outcomes.add(test, outcome);
            }
        }
        outcomes
    }

    /// Adds what a test program of Rust or Go prints, and whether it ended in time.
    pub(super) fn add_program(&mut self, program: &str, is_go: bool, output: &str) {
        let found = if is_go {
            Self::of_go(output)
        } else {
            Self::of_cargo(output)
        };
        for (test, outcome) in found.0 {
            self.add(&format!("{program}: {test}"), &outcome);
        }
        let late = output.contains("Not done in time");
        self.add(program, if late { "not done in time" } else { "ended" });
    }

    /// Reads what the test programs of Go print when they are to name each test.
    fn of_go(output: &str) -> Self {
        let mut outcomes = Self::default();
        for line in output.lines() {
            let words = line.trim_start().strip_prefix("--- ");
            if let Some((outcome, test)) = words.and_then(|it| it.split_once(": ")) {
                outcomes.add(test.split(' ').next().unwrap_or(test), outcome);
            }
        }
        outcomes
    }

    /// Adds the tests of a file that are marked as done, as node-postgres does, and how it ended.
    pub(super) fn add_marked(&mut self, file: &str, output: &str) {
        let done = output
            .lines()
            .filter_map(|line| line.strip_suffix(" \u{2714}"));
        for test in done {
            self.add(&format!("{file}: {}", test.trim()), "ok");
        }
        let failed = ["FAILED!", "Error", "Message: ", "Not done in time"];
        let failed = failed.iter().any(|sign| output.contains(sign));
        self.add(file, if failed { "failed" } else { "ok" });
    }

    /// Adds what is printed in the form TAP.
    pub(super) fn add_tap(&mut self, suite: &str, output: &str) {
        for line in output.lines() {
            let (outcome, rest) = match line.strip_prefix("not ok ") {
                Some(rest) => ("failed", rest),
                None => ("ok", line.strip_prefix("ok ").unwrap_or_default()),
            };
            if let Some((_, test)) = rest.split_once(' ') {
                self.add(&format!("{suite}: {test}"), outcome);
            }
        }
    }

    /// How many there are of each.
    pub(super) fn summary(&self) -> String {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for outcome in self.0.values() {
            let word = outcome
                .split_once(' ')
                .map_or(outcome.as_str(), |(word, _)| word);
            *counts.entry(word.trim_end_matches(',')).or_default() += 1;
        }
        let mut counts: Vec<_> = counts.into_iter().collect();
        counts.sort_by_key(|&(_, count)| std::cmp::Reverse(count));
        let shown = counts
            .iter()
            .map(|(outcome, count)| format!("{count} {outcome}"));
        shown.collect::<Vec<_>>().join(", ")
    }

    /// The tests that became something else, with both outcomes.
    fn differences<'a>(&'a self, other: &'a Self) -> Vec<(&'a str, &'a str, &'a str)> {
        let none = "not run";
        let mut differences: Vec<_> = (self.0.iter())
            .map(|(test, left)| (test, left, other.0.get(test).map_or(none, String::as_str)))
            .filter(|(_, left, right)| left != right)
            .map(|(test, left, right)| (test.as_str(), left.as_str(), right))
            .collect();
        let added = other
            .0
            .iter()
            .filter(|(test, _)| !self.0.contains_key(*test));
        differences.extend(added.map(|(test, right)| (test.as_str(), none, right.as_str())));
        differences
    }
}

/// Differences that are explained.
#[derive(Debug)]
pub(super) struct Known(Vec<Entry>);

#[derive(Debug)]
struct Entry {
    suite: String,
    /// A test, or the beginning of its name if it ends in `*`.
    test: String,
    reason: String,
}

impl Known {
    /// Reads the list: suite, test and reason in each line, with tabs between.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
        let mut entries = Vec::new();
        for line in text
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
        {
            let words: Vec<_> = line.split('\t').collect();
            let [suite, test, reason] = words[..] else {
                anyhow::bail!("not suite, test and reason: {line}");
            };
            ensure!(!reason.trim().is_empty(), "no reason: {line}");
            entries.push(Entry {
                suite: suite.to_owned(),
                test: test.to_owned(),
                reason: reason.to_owned(),
            });
        }
        Ok(Self(entries))
    }

    /// Lists what differs; whether all of it is explained.
    pub(super) fn judge(&self, suite: &str, expected: &Outcomes, found: &Outcomes) -> bool {
        let mut clean = true;
        for (test, expected, found) in expected.differences(found) {
            match self.reason(suite, test) {
                Some(reason) => println!("    explained: {test}: {expected} / {found}: {reason}"),
                None => {
                    clean = false;
                    println!(
                        "    DIFFERENT: {test}\n      PostgreSQL: {expected}\n      pgmemo:     {found}"
                    );
                }
            }
        }
        clean
    }

    fn reason(&self, suite: &str, test: &str) -> Option<&str> {
        let fits = |entry: &&Entry| {
            let same = match entry.test.strip_suffix('*') {
                Some(start) => test.starts_with(start),
                None => test == entry.test,
            };
            entry.suite == suite && same
        };
        self.0.iter().find(fits).map(|entry| entry.reason.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::Outcomes;

    #[test]
    fn summaries_of_runners_are_read() {
        let pytest = Outcomes::of_pytest(concat!(
            "PASSED tests/test_a.py::test_one[x-1]\n",
            "FAILED tests/test_a.py::test_two - AssertionError: 1 - 2\n",
            "ERROR tests/test_a.py::test_two - at the end\n",
            "ERROR    psycopg:connection.py:353 a line of a log\n",
        ));
        assert_eq!(pytest.summary(), "1 FAILED, 1 PASSED");
        let django = Outcomes::of_django(concat!(
            "test_one (basic.tests.T.test_one) ... ok\n",
            "What it does ... skipped \"not here\"\n",
            "  Applying sites.0001_initial... OK\n",
        ));
        assert_eq!(django.summary(), "1 ok, 1 skipped");
        let cargo = Outcomes::of_cargo("test a::b ... ok\ntest c ... FAILED\nno test ... x\n");
        assert_eq!(cargo.summary(), "1 FAILED, 1 ok");
        let mut node = Outcomes::default();
        node.add_marked("a.js", "a.js\n  one \u{2714}\n  two FAILED!\n");
        node.add_tap("b", "ok 1 one\nnot ok 2 two\n# pass 1\n");
        assert_eq!(node.summary(), "2 failed, 2 ok");
        let mut programs = Outcomes::default();
        let go =
            "=== RUN   TestA\n--- FAIL: TestA (0.10s)\n    --- PASS: TestA/one (0.00s)\nFAIL\n";
        programs.add_program("a.test", true, go);
        programs.add_program("b", false, "test one ... ok\n");
        assert_eq!(programs.summary(), "2 ended, 1 FAIL, 1 PASS, 1 ok");
        assert_eq!(pytest.differences(&django).len(), 4);
        assert_eq!(pytest.differences(&pytest).len(), 0);
    }
}
