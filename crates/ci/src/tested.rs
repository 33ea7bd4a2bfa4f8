//! What the output of a job says about the tests that it ran: skipped, failed, or none at all.

use std::path::Path;

use regex_lite::Regex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::log::CUT;
use drydock_base::text::{self, printable};
use drydock_config::jobs::{Expected, Protocol, TestRules};

pub mod cases;
mod reports;
mod tap;

/// Quoted lines are cut to this length.
const LONGEST_QUOTE: usize = 200;
/// The number of failed subtests that are named.
pub const MOST_NAMED: usize = 20;

/// What is known of a job's tests beside its exit code.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct TestEvidence {
    /// The end that the job must have.
    pub expected: Expected,
    /// What said that it was skipped.
    pub skipped: Option<String>,
    /// What said that it ran no test.
    pub nothing: Option<String>,
    /// What said that it failed, whatever its exit code.
    pub failed: Option<String>,
    /// What said that it could not be run, which is a failure even where one is expected.
    pub broken: Option<String>,
    /// What said that it passed, whatever its exit code.
    pub passed: Option<String>,
    /// The subtests that it reported.
    pub subtests: Option<Subtests>,
}

/// The subtests that a job reported, by their results.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", default)]
pub struct Subtests {
    /// The number that passed, those that were expected to fail and did included.
    pub passed: u64,
    /// The number that failed.
    pub failed: u64,
    /// The number that were skipped.
    pub skipped: u64,
    /// The first of those that failed, at most [`MOST_NAMED`].
    pub failures: Vec<String>,
}

impl Subtests {
    /// The tests of a job that runs several, by the report of its runner and the lines of each. `None` of a job that runs one.
    fn reported(protocol: Protocol, report: &Report, output: &str) -> Option<Subtests> {
        let failures: Vec<String> = cases::cases(protocol, output)
            .into_iter()
            .filter(|case| case.result == CaseResult::Failed)
            .map(|case| case.name)
            .collect();
        let failed = (failures.len() as u64).min(report.ran);
        let subtests = Subtests {
            passed: report.ran - failed,
            failed,
            skipped: report.skipped,
            failures: failures.into_iter().take(MOST_NAMED).collect(),
        };
        let is_single = protocol != Protocol::None && subtests.total() < 2;
        (subtests.total() > 0 && !is_single).then_some(subtests)
    }

    /// All of them.
    pub fn total(&self) -> u64 {
        self.passed + self.failed + self.skipped
    }

    /// Their numbers in words.
    pub fn describe(&self) -> String {
        let counts = [(self.passed, "passed"), (self.failed, "failed"), (self.skipped, "skipped")];
        let parts: Vec<String> =
            counts.iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}")).collect();
        if parts.is_empty() { "none".into() } else { parts.join(", ") }
    }
}

impl TestEvidence {
    /// `true` if a failure follows from the rules of the test and not from its exit code alone.
    pub fn says_why(&self) -> bool {
        self.broken.is_some() || self.failed.is_some() || self.expected != Expected::Success
    }

    /// Judges the end of a job and its log by its rules. `code` is its exit code, if it ended by itself. `None` if the
    /// exit code says everything.
    pub fn read(rules: &TestRules, code: Option<i32>, expect_exit: i32, log: &Path) -> Option<TestEvidence> {
        let evidence = TestEvidence::gather(rules, code, expect_exit, log);
        (evidence != TestEvidence::default()).then_some(evidence)
    }

    fn gather(rules: &TestRules, code: Option<i32>, expect_exit: i32, log: &Path) -> TestEvidence {
        let mut evidence = TestEvidence { expected: rules.expected, ..TestEvidence::default() };
        let Some(code) = code else { return evidence };
        // CTest, too, skips a test that ends with such a code, even with 0.
        if rules.skip_exit.contains(&code) {
            evidence.skipped = Some(format!("exit code {code}"));
            return evidence;
        }
        if rules.fail_exit.contains(&code) && code != expect_exit {
            evidence.broken = Some(format!("exit code {code}, by which the suite says that a test could not be run"));
            return evidence;
        }
        if rules.reads_everything() {
            match text::whole_file(log) {
                Ok(output) => evidence.apply(rules, code, expect_exit, &output),
                Err(error) => evidence.failed = Some(format!("its log, which decides, could not be read: {error}")),
            }
        }
        if !rules.protocol.is_tap() {
            let end = text::end_of_file(log).unwrap_or_default();
            let mut report = evidence.recognise(rules, code, &end);
            let mut whole = None;
            if evidence.nothing.is_some() {
                // The last report may say zero where an earlier one does not.
                evidence.nothing = None;
                report = evidence.recognise(rules, code, whole.insert(text::whole_file(log).unwrap_or(end)));
            }
            evidence.subtests = report.and_then(|report| {
                let output = whole.or_else(|| text::whole_file(log).ok()).unwrap_or_default();
                Subtests::reported(rules.protocol, &report, &output)
            });
        }
        if rules.allow_no_tests {
            evidence.nothing = None;
        }
        evidence
    }

    /// Applies the expressions and the protocol to the whole output.
    fn apply(&mut self, rules: &TestRules, code: i32, expect_exit: i32, output: &str) {
        let found = |expressions: &[String]| expressions.iter().find_map(|text| matching(text, output));
        if let Some(line) = found(&rules.skip) {
            // Whatever else it printed, as in CTest.
            self.skipped = Some(format!("it printed `{line}`"));
            return;
        }
        if let Some(line) = found(&rules.fail) {
            self.failed = Some(format!("it printed `{line}`, which a fail expression matches"));
        }
        if !rules.pass.is_empty() {
            match found(&rules.pass) {
                Some(line) => self.passed = Some(format!("it printed `{line}`, which a pass expression matches")),
                None => self.failed = self.failed.take().or(Some("no pass expression matches its output".into())),
            }
        }
        if let Some(wanted) = &rules.expect_output {
            if matching(wanted, output).is_none() {
                self.failed = Some(format!("`expect-output` does not match its output: {wanted}"));
            }
        }
        if rules.protocol.is_tap() {
            tap::read(output, rules.protocol, self);
            if code != expect_exit && self.broken.is_none() {
                self.broken = Some(format!("exit code {code} of a program that reports by TAP"));
            }
        }
        // A plan says how many tests there must be; without one, and for an expression, what was dropped may be a failure.
        let decides = !rules.fail.is_empty() || rules.protocol == Protocol::MesonTap && !tap::has_plan(output);
        if decides && self.failed.is_none() && self.broken.is_none() && output.contains(CUT) {
            let why = "its output is longer than `log-limit`, so a failure may be in what was dropped; raise the limit";
            self.failed = Some(why.to_owned());
        }
    }

    /// Recognises the reports of well-known runners at the end of the output.
    fn recognise(&mut self, rules: &TestRules, code: i32, end: &str) -> Option<Report> {
        let report = reports::read(end);
        let Some(report) = report else {
            // With options of the project's, pytest prints no report, but it has an exit code for no tests.
            if rules.protocol == Protocol::Libtest && code == 0 {
                self.nothing = Some("it printed no report of a test".into());
            }
            return None;
        };
        if report.ran == 0 && report.skipped == 0 {
            self.nothing = Some(format!("it printed `{}`", report.line));
        } else if report.ran == 0 && rules.protocol != Protocol::None {
            self.skipped = Some(format!("it printed `{}`", report.line));
        }
        Some(report)
    }
}

/// The first line of the match of a regular expression, or nothing. An expression that is invalid matches nothing: the
/// declaration was checked, and CTest treats its own in the same way.
fn matching(expression: &str, output: &str) -> Option<String> {
    let found = compile(expression)?.find(output)?;
    Some(printable(found.as_str().lines().next().unwrap_or_default(), LONGEST_QUOTE))
}

/// A compiled expression.
fn compile(expression: &str) -> Option<Regex> {
    Regex::new(expression).ok()
}

/// What is wrong with a regular expression, if anything.
pub fn invalid(expression: &str) -> Option<String> {
    Regex::new(expression).err().map(|error| error.to_string())
}

use cases::CaseResult;
use reports::Report;

#[cfg(test)]
mod tests;
