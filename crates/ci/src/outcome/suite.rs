//! The verdicts on a suite that starts valgrind itself: its own exit code and the logs of all its processes.

use super::end::errors;
use super::{Outcome, Verdict};
use crate::evidence::{End, Evidence, Finding, ValgrindEvidence};

/// The number of reasons of one kind that a verdict lists.
const MOST: usize = 5;

/// The verdict on a suite that failed while valgrind found errors. Its own exit code may only say the same: it comes from
/// `--error-exitcode`.
pub(super) fn found_errors(evidence: &Evidence, code: i32) -> Option<Verdict> {
    evidence.suite.as_ref()?;
    let valgrind = evidence.valgrind.as_ref().filter(|valgrind| valgrind.findings + valgrind.unshown > 0)?;
    let verdict = if valgrind.findings > 0 {
        let why = format!("valgrind's logs hold {} of the suite's processes", errors(valgrind.findings));
        Verdict::new(Outcome::Findings { count: valgrind.findings }, 0.99, why)
    } else {
        let why =
            format!("valgrind counted {} of the suite's processes, and its logs show none", errors(valgrind.unshown));
        Verdict::new(Outcome::Findings { count: valgrind.unshown }, 0.99, why)
    };
    let mut verdict = verdict.and(format!(
        "the suite ended by itself with exit code {code}; whether because of these errors or also of others, its log says"
    ));
    verdict.reasons.extend(valgrind.first.iter().take(3).map(Finding::line));
    Some(verdict)
}

/// The verdict on a suite that ended as expected although valgrind ended without having checked one of its programs. Its exit
/// status told the suite so.
pub(super) fn gave_up(evidence: &Evidence, valgrind: &ValgrindEvidence, code: i32) -> Option<Verdict> {
    evidence.suite.as_ref().filter(|_| !valgrind.gave_up.is_empty())?;
    let why = "the suite ended as expected, but valgrind gave up before it had checked one of its programs";
    let verdict = Verdict::new(Outcome::Failed { code }, 0.9, why);
    Some(verdict.and("what the program would have done is not known, so this is not a pass").advise(
        "correct the options or files that valgrind complains about; if the suite only tries whether valgrind knows an option, let \
         it send valgrind's standard error to /dev/null",
    ))
}

/// The verdict on a job that starts valgrind by itself, and that runs under valgrind as well.
pub(super) fn starts_valgrind(evidence: &Evidence) -> Option<Verdict> {
    let End::Exited { code } = evidence.end else { return None };
    evidence.valgrind.as_ref().filter(|valgrind| valgrind.nested)?;
    let why = "it starts valgrind by itself, which does not run under another valgrind";
    let verdict = Verdict::new(Outcome::Failed { code }, 0.98, why);
    Some(verdict.and("what that valgrind would have checked is not known, so this is not a pass").advise(
        "declare `valgrind: by-suite` for this job: then Drydock starts its command as it is, and collects what its valgrind finds",
    ))
}

/// The advice for a suite that failed although valgrind found nothing in processes that it checked to their end.
pub(super) fn on_failure(evidence: &Evidence) -> Option<&'static str> {
    evidence.suite.as_ref()?;
    evidence.valgrind.as_ref().filter(|valgrind| valgrind.complete > 0)?;
    Some(
        "look at the end of its log; if the suite searches valgrind's text for words such as `ERROR SUMMARY`, it finds none, since \
         valgrind writes XML to Drydock instead: let it use `--error-exitcode`, or declare its programs as jobs that Drydock runs under \
         valgrind",
    )
}

/// The verdict on a suite that ended as expected, with `code`, but whose processes were not checked. `None` if they were.
pub(super) fn not_checked(evidence: &Evidence, code: i32) -> Option<Verdict> {
    let suite = evidence.suite.as_ref()?;
    let failed = |why: String| Verdict::new(Outcome::Failed { code }, 0.9, why);
    if !suite.unlogged.is_empty() {
        let verdict = failed("the suite ended as expected, but Drydock did not get all that valgrind found".into());
        let verdict =
            listed(verdict, suite.unlogged.iter()).and("what valgrind found there is not known, so this is not a pass");
        return Some(verdict.advise(
            "let the suite pass VALGRIND_OPTS on (`env -i VALGRIND_OPTS=\"$VALGRIND_OPTS\" …`, `sudo \
             --preserve-env=VALGRIND_OPTS …`), append to it instead of replacing it, and remove options that redirect \
             valgrind's XML or silence children",
        ));
    }
    let valgrind = evidence.valgrind.as_ref()?;
    if valgrind.complete > 0 {
        return None;
    }
    let begun = valgrind.incomplete.len() as u64 + valgrind.stubs;
    let verdict = if begun == 0 {
        failed(format!("the suite ended as expected, but none of its processes ran under {}", suite.tool.name()))
            .advise("check that the suite starts valgrind (most need a variable such as `VALGRIND: \"1\"` in `env`), and that it \
                     passes VALGRIND_OPTS on; a single test that starts no program can have `without-tool` in the file of \
                     `properties` of its suite")
    } else {
        failed(format!(
            "the suite ended as expected, but of {begun} processes under valgrind none was checked to its end"
        ))
        .advise("end daemons with SIGTERM instead of SIGKILL, so that valgrind can look for leaks")
    };
    Some(verdict.and("nothing was checked to its end, so this is not a pass"))
}

pub(super) fn listed<'r>(mut verdict: Verdict, reasons: impl Iterator<Item = &'r String> + Clone) -> Verdict {
    let more = reasons.clone().skip(MOST).count();
    verdict.reasons.extend(reasons.take(MOST).cloned());
    if more > 0 {
        verdict.reasons.push(format!("and {more} more"));
    }
    verdict
}

#[cfg(test)]
mod tests;
