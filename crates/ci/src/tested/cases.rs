//! The single tests that a job reports in its output, each with its result, for reports. They decide nothing.

use std::collections::HashMap;
use std::path::Path;

use drydock_base::text::{self, printable};
use drydock_config::jobs::Protocol;

use super::reports::RUNNERS;
use super::{LONGEST_QUOTE, tap};

/// The most of a job's tests that reports list.
pub const MOST_CASES: usize = 10_000;

/// The result of a test that a job reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CaseResult {
    /// It passed, or failed as expected.
    Passed,
    /// It failed, or passed where a failure was expected.
    Failed,
    /// It was skipped.
    Skipped,
}

/// A test that a job reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// Its name, as printed.
    pub name: String,
    /// Its result.
    pub result: CaseResult,
}

/// The tests that the log of an attempt reports, in their order. Of one that is reported again, such as one that is repeated,
/// the last result counts. A log that cannot be read has none.
pub fn read(protocol: Protocol, log: &Path) -> Vec<Case> {
    text::whole_file(log).map_or_else(|_| Vec::new(), |output| cases(protocol, &output))
}

pub(super) fn cases(protocol: Protocol, output: &str) -> Vec<Case> {
    let mut cases = Cases::default();
    if protocol.is_tap() {
        tap::cases(output, protocol).for_each(|(name, result)| cases.count(name, result));
        return cases.listed;
    }
    let lines: Vec<String> = output.lines().map(|line| text::without_escapes(line.trim_end()).into_owned()).collect();
    for runner in &RUNNERS {
        if lines.iter().any(|line| (runner.report)(line.trim()).is_some()) {
            let found = lines.iter().filter_map(|line| (runner.case)(line));
            found.for_each(|(name, result)| cases.name(name, result));
        }
    }
    cases.listed
}

#[derive(Default)]
struct Cases {
    listed: Vec<Case>,
    positions: HashMap<String, usize>,
}

impl Cases {
    /// Adds a test whose name is its own only with its number.
    fn count(&mut self, name: &str, result: CaseResult) {
        if self.listed.len() < MOST_CASES {
            self.listed.push(Case { name: printable(name, LONGEST_QUOTE), result });
        }
    }

    /// Adds a test, or another result of it.
    fn name(&mut self, name: &str, result: CaseResult) {
        match self.positions.get(name) {
            Some(at) => self.listed[*at].result = result,
            None if self.listed.len() < MOST_CASES => {
                self.positions.insert(name.to_owned(), self.listed.len());
                self.count(name, result);
            }
            None => {}
        }
    }
}

/// The result that stands for one of these words.
fn word(text: &str, words: &[(&str, CaseResult)]) -> Option<CaseResult> {
    words.iter().find(|(word, _)| *word == text).map(|(_, result)| *result)
}

/// `test a::b ... ok`, `FAILED`, `ignored, reason` or `bench:  12 ns/iter`
pub(super) fn libtest(line: &str) -> Option<(&str, CaseResult)> {
    let (name, result) = line.strip_prefix("test ")?.split_once(" ... ")?;
    let first = result.split([' ', ',']).next()?;
    let words = [
        ("ok", CaseResult::Passed),
        ("bench:", CaseResult::Passed),
        ("FAILED", CaseResult::Failed),
        ("ignored", CaseResult::Skipped),
    ];
    Some((name, word(first, &words)?))
}

/// `        PASS [   0.004s] (1/3) package::binary test::name`
pub(super) fn nextest(line: &str) -> Option<(&str, CaseResult)> {
    let (status, rest) = line.trim_start().split_once(" [")?;
    let mut words = status.split_whitespace();
    let first = words.next()?;
    // `TRY 2 PASS` of one that is repeated, and `FLAKY 2/3` after it.
    let status = if first == "TRY" { words.nth(1)? } else { first };
    let rest = rest.split_once(']')?.1.trim_start();
    let name = match rest.strip_prefix('(').and_then(|counted| counted.split_once(')')) {
        Some((count, name)) if count.contains('/') => name.trim_start(),
        Some(_) | None => rest,
    };
    let result = match status {
        "PASS" | "LEAK" | "FLAKY" => CaseResult::Passed,
        "SKIP" => CaseResult::Skipped,
        "FAIL" | "ABORT" | "TIMEOUT" | "LEAK-FAIL" => CaseResult::Failed,
        signal if signal.starts_with("SIG") => CaseResult::Failed,
        _ => return None,
    };
    (!name.is_empty()).then_some((name, result))
}

/// ` 1/23 Test  #1: name ......   Passed    0.01 sec`, or `***Failed`
pub(super) fn ctest(line: &str) -> Option<(&str, CaseResult)> {
    let (position, rest) = line.split_once(" Test ")?;
    position.trim().split_once('/')?.0.trim().parse::<u64>().ok()?;
    let (number, rest) = rest.trim_start().strip_prefix('#')?.split_once(": ")?;
    number.parse::<u64>().ok()?;
    let (name, result) = rest.split_once(" ..").or_else(|| rest.split_once("   "))?;
    let result = result.trim_start_matches('.').trim();
    let result = if result.starts_with("Passed") {
        CaseResult::Passed
    } else if result.starts_with("***Skipped") || result.starts_with("***Not Run (Disabled)") {
        CaseResult::Skipped
    } else {
        result.starts_with("***").then_some(CaseResult::Failed)?
    };
    Some((name, result))
}

/// `tests/test_x.py::test_y PASSED   [ 10%]`, and at the end `FAILED tests/test_x.py::test_y - why`
pub(super) fn pytest(line: &str) -> Option<(&str, CaseResult)> {
    const WORDS: [(&str, CaseResult); 6] = [
        ("PASSED", CaseResult::Passed),
        ("XFAIL", CaseResult::Passed),
        ("FAILED", CaseResult::Failed),
        ("ERROR", CaseResult::Failed),
        ("XPASS", CaseResult::Passed),
        ("SKIPPED", CaseResult::Skipped),
    ];
    let (first, rest) = line.split_once(' ')?;
    if let Some(result) = word(first, &WORDS) {
        let name = rest.split_once(" - ").map_or(rest, |(name, _)| name).trim();
        return name.contains("::").then_some((name, result));
    }
    // A parameter may have spaces.
    let (before, result) = WORDS.iter().find_map(|(word, result)| {
        let at = line.rfind(&format!(" {word}"))?;
        let after = line.get(at + 1 + word.len()..)?;
        (after.is_empty() || after.starts_with(' ')).then(|| (&line[..at], *result))
    })?;
    before.contains("::").then_some((before, result))
}

/// `t/a.t .. ok`, `t/b.t .. Failed 1/2 subtests`, `t/c.t .. skipped: why`
pub(super) fn prove(line: &str) -> Option<(&str, CaseResult)> {
    let (name, result) = line.split_once(" ..")?;
    let result = result.trim_start_matches('.').trim();
    let result = if result == "ok" || result.starts_with("ok ") {
        CaseResult::Passed
    } else if result.starts_with("skipped:") {
        CaseResult::Skipped
    } else {
        let failed = ["Failed", "Dubious", "No subtests run", "All "];
        failed.iter().any(|start| result.starts_with(start)).then_some(CaseResult::Failed)?
    };
    Some((name, result))
}

/// `PASS: name`
pub(super) fn automake(line: &str) -> Option<(&str, CaseResult)> {
    let words = [
        ("PASS", CaseResult::Passed),
        ("XFAIL", CaseResult::Passed),
        ("FAIL", CaseResult::Failed),
        ("XPASS", CaseResult::Failed),
        ("ERROR", CaseResult::Failed),
        ("SKIP", CaseResult::Skipped),
    ];
    let (first, name) = line.split_once(": ")?;
    Some((name, word(first, &words)?))
}

/// ` 1/23 suite / name        OK              0.01s`
pub(super) fn meson(line: &str) -> Option<(&str, CaseResult)> {
    let (position, rest) = line.trim_start().split_once(' ')?;
    let (number, of) = position.split_once('/')?;
    (number.parse::<u64>().is_ok() && of.parse::<u64>().is_ok()).then_some(())?;
    let words = [
        ("OK", CaseResult::Passed),
        ("EXPECTEDFAIL", CaseResult::Passed),
        ("FAIL", CaseResult::Failed),
        ("UNEXPECTEDPASS", CaseResult::Failed),
        ("ERROR", CaseResult::Failed),
        ("TIMEOUT", CaseResult::Failed),
        ("INTERRUPT", CaseResult::Failed),
        ("SKIP", CaseResult::Skipped),
    ];
    words.iter().find_map(|(word, result)| {
        let at = rest.find(&format!(" {word} "))?;
        let (name, after) = (rest[..at].trim(), rest[at + word.len() + 2..].trim_start());
        (after.starts_with(|c: char| c.is_ascii_digit()) && !name.is_empty()).then_some((name, *result))
    })
}

/// `test_a (module.Class.test_a) ... ok`
pub(super) fn unittest(line: &str) -> Option<(&str, CaseResult)> {
    let (name, result) = line.rsplit_once(" ... ")?;
    let words = [
        ("ok", CaseResult::Passed),
        ("expected failure", CaseResult::Passed),
        ("FAIL", CaseResult::Failed),
        ("ERROR", CaseResult::Failed),
        ("unexpected success", CaseResult::Failed),
    ];
    let skipped = || result.starts_with("skipped").then_some(CaseResult::Skipped);
    Some((name, word(result, &words).or_else(skipped)?))
}

/// `[       OK ] Suite.Name (0 ms)`
pub(super) fn googletest(line: &str) -> Option<(&str, CaseResult)> {
    let (first, rest) = line.strip_prefix('[')?.split_once("] ")?;
    let words = [("OK", CaseResult::Passed), ("FAILED", CaseResult::Failed), ("SKIPPED", CaseResult::Skipped)];
    // Without its time, the line is of the list at the end.
    let name = rest.strip_suffix(" ms)")?.rsplit_once(" (")?.0;
    let name = name.split_once(", where ").map_or(name, |(name, _)| name);
    Some((name, word(first.trim(), &words)?))
}

/// `--- PASS: TestName (0.00s)`
pub(super) fn go(line: &str) -> Option<(&str, CaseResult)> {
    let (first, rest) = line.trim_start().strip_prefix("--- ")?.split_once(": ")?;
    let words = [("PASS", CaseResult::Passed), ("FAIL", CaseResult::Failed), ("SKIP", CaseResult::Skipped)];
    Some((rest.rsplit_once(" (")?.0, word(first, &words)?))
}

/// `file.c:12:P:core:name:0: Passed`, which Check prints for those that failed, and for all with `CK_VERBOSE`
pub(super) fn check(line: &str) -> Option<(&str, CaseResult)> {
    let mut parts = line.splitn(7, ':');
    let (_file, number, result) = (parts.next()?, parts.next()?, parts.next()?);
    number.parse::<u64>().ok()?;
    let words =
        [("P", CaseResult::Passed), ("F", CaseResult::Failed), ("E", CaseResult::Failed), ("S", CaseResult::Skipped)];
    let (_case, name) = (parts.next()?, parts.next()?);
    Some((name, word(result, &words)?))
}

/// `ok 1 - name`, since Node reports by TAP
pub(super) fn node(line: &str) -> Option<(&str, CaseResult)> {
    tap::case(line, Protocol::MesonTap)
}
