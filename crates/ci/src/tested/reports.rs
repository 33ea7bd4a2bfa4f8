//! The last report of a well-known test runner in the output of a job: the number of tests that it ran.

use drydock_base::text::{printable, without_escapes};

use super::LONGEST_QUOTE;
use super::cases::{self, CaseResult};

/// The numbers of all reports at the end of an output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Report {
    /// Tests that ran.
    pub(super) ran: u64,
    /// Tests that were skipped.
    pub(super) skipped: u64,
    /// The last line that says so.
    pub(super) line: String,
}

/// A well-known runner.
pub(super) struct Runner {
    /// Reads the line by which it reports: tests that ran, tests that were skipped.
    pub(super) report: fn(&str) -> Option<(u64, u64)>,
    /// Reads the line of one test.
    pub(super) case: fn(&str) -> Option<(&str, CaseResult)>,
}

/// The runners.
pub(super) const RUNNERS: [Runner; 12] = [
    Runner { report: libtest, case: cases::libtest },
    Runner { report: nextest, case: cases::nextest },
    Runner { report: ctest, case: cases::ctest },
    Runner { report: pytest, case: cases::pytest },
    Runner { report: prove, case: cases::prove },
    Runner { report: automake, case: cases::automake },
    Runner { report: meson, case: cases::meson },
    Runner { report: unittest, case: cases::unittest },
    Runner { report: googletest, case: cases::googletest },
    Runner { report: go, case: cases::go },
    Runner { report: check, case: cases::check },
    Runner { report: node, case: cases::node },
];

/// The sum of all reports, or nothing if there is none.
pub(super) fn read(output: &str) -> Option<Report> {
    let mut sum: Option<Report> = None;
    for line in output.lines().map(|line| without_escapes(line.trim())) {
        let Some((ran, skipped)) = RUNNERS.iter().find_map(|runner| (runner.report)(&line)) else { continue };
        let before = sum.as_ref().map_or((0, 0), |sum| (sum.ran, sum.skipped));
        let line = printable(&line, LONGEST_QUOTE);
        sum = Some(Report { ran: before.0.saturating_add(ran), skipped: before.1.saturating_add(skipped), line });
    }
    sum
}

/// The number in front of a word: `3 passed` → 3.
fn before(line: &str, word: &str) -> Option<u64> {
    let words: Vec<&str> = line.split([' ', ',', ';', '=', '(', ')']).filter(|word| !word.is_empty()).collect();
    words.windows(2).find(|pair| pair[1].trim_end_matches(['.', ':']) == word).and_then(|pair| pair[0].parse().ok())
}

/// The number at the start of what follows a text.
fn after(line: &str, text: &str) -> Option<u64> {
    let rest = line.split_once(text)?.1.trim_start();
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    rest[..end].parse().ok()
}

/// `test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 3 filtered out; finished in 0.00s`
fn libtest(line: &str) -> Option<(u64, u64)> {
    let counts = line.strip_prefix("test result: ")?;
    Some((
        before(counts, "passed")? + before(counts, "failed")? + before(counts, "measured")?,
        before(counts, "ignored")?,
    ))
}

/// `Summary [   0.005s] 1 test run: 1 passed, 2 skipped`; skipped ones are those that a filter left out.
fn nextest(line: &str) -> Option<(u64, u64)> {
    let counts = line.strip_prefix("Summary [")?.split_once(']')?.1;
    Some((before(counts, "run").or_else(|| before(counts, "test")).or_else(|| before(counts, "tests"))?, 0))
}

/// `100% tests passed, 0 tests failed out of 3`, or `No tests were found!!!`
fn ctest(line: &str) -> Option<(u64, u64)> {
    if line == "No tests were found!!!" {
        return Some((0, 0));
    }
    line.contains("% tests passed, ").then(|| after(line, "failed out of "))?.map(|count| (count, 0))
}

/// `===== 1 passed, 2 skipped in 0.01s =====`, also without the bars
fn pytest(line: &str) -> Option<(u64, u64)> {
    let counts = line.trim_matches('=').trim();
    let (counts, took) = counts.rsplit_once(" in ")?;
    let seconds = took.split_once('s')?.0;
    if !seconds.starts_with(|c: char| c.is_ascii_digit()) || !seconds.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return None;
    }
    if counts == "no tests ran" {
        return Some((0, 0));
    }
    let count = |word| before(counts, word);
    let ran: Vec<u64> =
        ["passed", "failed", "xfailed", "xpassed", "error", "errors"].into_iter().filter_map(count).collect();
    let (skipped, deselected) = (count("skipped"), count("deselected"));
    let known = !ran.is_empty() || skipped.is_some() || deselected.is_some();
    known.then(|| (ran.iter().sum(), skipped.unwrap_or(0)))
}

/// `Files=2, Tests=5,  0 wallclock secs …`; without a test, some of the files may have been skipped.
fn prove(line: &str) -> Option<(u64, u64)> {
    let files = line.starts_with("Files=").then(|| after(line, "Files="))??;
    let tests = after(line, "Tests=")?;
    Some((tests, if tests == 0 { files } else { 0 }))
}

/// `# TOTAL: 5`
fn automake(line: &str) -> Option<(u64, u64)> {
    line.strip_prefix("# TOTAL:")?.trim().parse().ok().map(|count| (count, 0))
}

/// `No tests defined.`, `No suitable tests defined.`, or one line a result: `Ok:                 3`
fn meson(line: &str) -> Option<(u64, u64)> {
    if line == "No tests defined." || line == "No suitable tests defined." {
        return Some((0, 0));
    }
    let (word, count) = line.split_once(':')?;
    let count = count.strip_prefix("  ")?.trim().parse().ok()?;
    match word {
        "Ok" | "Fail" | "Expected Fail" | "Unexpected Pass" | "Timeout" => Some((count, 0)),
        "Skipped" => Some((0, count)),
        _ => None,
    }
}

/// `Ran 3 tests in 0.000s`
fn unittest(line: &str) -> Option<(u64, u64)> {
    let (count, rest) = line.strip_prefix("Ran ")?.split_once(' ')?;
    rest.starts_with("test").then(|| count.parse().ok())?.map(|count| (count, 0))
}

/// `[==========] 0 tests from 0 test suites ran. (0 ms total)`
fn googletest(line: &str) -> Option<(u64, u64)> {
    let rest = line.strip_prefix("[==========] ")?;
    rest.contains(" ran.").then(|| rest.split_once(' ')?.0.parse().ok())?.map(|count| (count, 0))
}

/// `testing: warning: no tests to run`
fn go(line: &str) -> Option<(u64, u64)> {
    (line == "testing: warning: no tests to run").then_some((0, 0))
}

/// `100%: Checks: 3, Failures: 0, Errors: 0`
fn check(line: &str) -> Option<(u64, u64)> {
    line.contains("%: Checks: ").then(|| after(line, "Checks: "))?.map(|count| (count, 0))
}

/// `# tests 0`
fn node(line: &str) -> Option<(u64, u64)> {
    line.strip_prefix("# tests ")?.parse().ok().map(|count| (count, 0))
}
