//! The verdicts that the output of a test and its suite's rules decide.

use super::{Outcome, Verdict, signal_name};
use crate::evidence::{End, Evidence};
use drydock_config::jobs::Expected;

/// `true` if valgrind found errors, which count whatever a test says of itself.
fn has_findings(evidence: &Evidence) -> bool {
    evidence.valgrind.as_ref().is_some_and(|valgrind| valgrind.findings > 0 || valgrind.unshown > 0)
}

/// A test that is expected to fail, and whose suite takes a signal for a failure.
pub(super) fn died_as_expected(evidence: &Evidence) -> Option<Verdict> {
    let End::Signaled { signal, .. } = evidence.end else { return None };
    let test = evidence.test.as_ref().filter(|test| test.expected == Expected::FailureOrSignal)?;
    if evidence.intent.is_some() || has_findings(evidence) || super::signals::from_outside(signal) {
        return None;
    }
    let what = format!("{} ended the main process, and the suite expects that it fails", signal_name(signal));
    Some(test.failed.as_ref().map_or_else(
        || Verdict::new(Outcome::Passed, 0.98, what.clone()),
        |why| Verdict::new(Outcome::Crashed { signal }, 0.98, why.clone()),
    ))
}

/// A test that says that it was skipped, without an error that valgrind found.
pub(super) fn skipped(evidence: &Evidence) -> Option<Verdict> {
    let End::Exited { .. } = evidence.end else { return None };
    let test = evidence.test.as_ref()?;
    let why = test.skipped.as_ref().filter(|_| test.failed.is_none() && !has_findings(evidence))?;
    Some(Verdict::new(Outcome::Skipped { why: why.clone() }, 0.99, format!("it says that it was skipped: {why}")))
}

/// A test whose output says that it failed, or that did not fail as expected.
pub(super) fn says_otherwise(evidence: &Evidence) -> Option<Verdict> {
    let End::Exited { code } = evidence.end else { return None };
    let test = evidence.test.as_ref()?;
    if has_findings(evidence) || evidence.expects(code) {
        return None;
    }
    let ended = || format!("the main process ended by itself with exit code {code}");
    let mut verdict = match (test.broken.as_ref().or(test.failed.as_ref()), test.expected) {
        (Some(why), _) => Verdict::new(Outcome::Failed { code }, 0.98, why.clone()).and(ended()),
        (None, Expected::Success) => return None,
        (None, Expected::Failure | Expected::FailureOrSignal) => {
            let passed = test.passed.clone().unwrap_or_else(ended);
            Verdict::new(Outcome::Failed { code }, 0.98, format!("{passed}, but the suite expects that it fails"))
        }
    };
    verdict.reasons.extend(failures(evidence));
    Some(verdict)
}

/// The failed tests of a job that reports several.
pub(super) fn failures(evidence: &Evidence) -> Option<String> {
    let subtests = evidence.test.as_ref()?.subtests.as_ref().filter(|subtests| !subtests.failures.is_empty())?;
    let more = subtests.failed.saturating_sub(subtests.failures.len() as u64);
    let more = if more > 0 { format!("; and {more} more") } else { String::new() };
    Some(format!("of its {} subtests failed: {}{more}", subtests.total(), subtests.failures.join("; ")))
}

/// A job that ended as expected, but says that it ran no test.
pub(super) fn nothing(evidence: &Evidence) -> Option<Verdict> {
    let why = evidence.test.as_ref()?.nothing.as_ref()?;
    let verdict = Verdict::new(Outcome::NothingTested { why: why.clone() }, 0.95, format!("{why}, so it ran no test"))
        .and("nothing was tested, so this is not a pass");
    Some(verdict.advise(
        "check the name of the test and the program in `run`; if this job may have no tests, declare `allow-no-tests: true`",
    ))
}

/// What a passed test says in addition.
pub(super) fn details(evidence: &Evidence) -> Vec<String> {
    let Some(test) = &evidence.test else { return Vec::new() };
    let subtests = test.subtests.as_ref().map(|subtests| format!("its subtests: {}", subtests.describe()));
    let inverted = (test.expected != Expected::Success).then(|| "the suite expects that it fails".to_owned());
    test.passed.clone().into_iter().chain(inverted).chain(subtests).collect()
}
