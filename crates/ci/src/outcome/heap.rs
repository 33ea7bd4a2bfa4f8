//! The comparison of the heap with its budgets.

use super::{Budget, Outcome, Verdict};
use crate::evidence::{Evidence, HeapEvidence, Reading};
use crate::report::commands::JOB;
use drydock_base::hint;

/// The verdict on a program that ended as expected with `code`, but whose heap was too large or was not fully measured.
pub(super) fn over_budget(heap: &HeapEvidence, code: i32) -> Option<Verdict> {
    if let Some(limit) = heap.limit.filter(|limit| heap.peak > *limit) {
        let mut verdict = Verdict::new(
            Outcome::OverBudget { limit, used: heap.peak, budget: Budget::Limit },
            0.99,
            format!("massif measured a peak of {} of heap; the limit is {limit}", heap.peak),
        );
        verdict.reasons.extend(held_by(heap));
        verdict.reasons.extend(beyond_baseline(heap));
        return Some(verdict.advise(format!(
            "`{} {JOB}` draws the heap and lists the allocating functions",
            hint::drydock(&["ci", "massif", "show"]).kept()
        )));
    }
    if let (Some(beyond), Reading::Read(baseline)) = (beyond_baseline(heap), &heap.baseline) {
        let mut verdict = Verdict::new(
            Outcome::OverBudget { limit: baseline.allowed, used: heap.peak, budget: Budget::Baseline },
            0.99,
            beyond,
        );
        verdict.reasons.extend(baseline.grown.iter().map(|grown| format!("most grew at {grown}")));
        verdict.reasons.extend(held_by(heap));
        let diff = hint::drydock(&["ci", "massif", "diff", &baseline.file]).kept();
        return Some(verdict.advise(format!(
            "`{diff} {JOB}` shows what changed; if it is meant to be so, rewrite the baseline with `{}`",
            rewrite()
        )));
    }
    let unknown = |why| unknown(why, code);
    if let Reading::Unreadable(why) = &heap.baseline {
        let verdict = unknown(format!("the heap could not be compared with its baseline: {why}"));
        return Some(verdict.advise(format!("rewrite the baseline with `{}`", rewrite())));
    }
    let is_budgeted = heap.limit.is_some() || heap.baseline.get().is_some();
    if is_budgeted && !heap.incomplete.is_empty() {
        let verdict = unknown("the program ended as expected, but its heap was not completely measured".into());
        return Some(
            verdict.advise("check for a full disk, and for a process that was killed while massif wrote its file"),
        );
    }
    None
}

fn unknown(why: String, code: i32) -> Verdict {
    Verdict::new(Outcome::Failed { code }, 0.9, why)
        .and("whether the heap is within its budget is not known, so this is not a pass")
}

/// The verdict on a suite that ended as expected with `code`, and has a budget, but not a file of each of its processes.
pub(super) fn missing_files(evidence: &Evidence, code: i32) -> Option<Verdict> {
    let heap = evidence.heap.as_ref()?;
    heap.limit.is_some().then_some(()).or(heap.baseline.get().map(|_| ()))?;
    evidence.suite.as_ref().filter(|suite| !suite.without_log.is_empty())?;
    let why = "the suite ended as expected, but one of its processes left no file of massif";
    Some(
        unknown(why.into(), code)
            .advise("let the suite leave massif's files alone, and end its processes with SIGTERM"),
    )
}

/// The verdict on a command that ended as expected with `code`, and of which only a shell or the like was measured.
pub(super) fn launcher_only(evidence: &Evidence, code: i32) -> Option<Verdict> {
    let (tool, launcher) = (evidence.profile_expected?.name(), evidence.measured_launcher.as_ref()?);
    (evidence.unmeasured > 0).then(|| {
        let why = format!("the command ended as expected, but {tool} measured only {launcher}, and not what that runs");
        Verdict::new(Outcome::Failed { code }, 0.9, why)
            .and("nothing of the test was measured, so this is not a pass")
            .advise(format!(
                "declare `tools: {{{tool}: {{trace-children: true}}}}`, or let the job run the program itself"
            ))
    })
}

/// The processes without a file, in words.
pub(super) fn unmeasured(evidence: &Evidence) -> Option<String> {
    let tool = evidence.profile_expected?.name();
    let (processes, they) = match evidence.unmeasured {
        0 => return None,
        1 => ("1 process".to_owned(), "it became a program"),
        count => (format!("{count} processes"), "they became programs"),
    };
    Some(format!(
        "{processes} left {tool} no file: {they} that it does not measure (`trace-children`), or ended by SIGKILL"
    ))
}

/// The command that rewrites the job's baseline.
fn rewrite() -> String {
    format!("{} {JOB}", hint::drydock(&["ci", "massif", "baseline"]).kept())
}

fn held_by(heap: &HeapEvidence) -> Option<String> {
    heap.largest_site.as_ref().map(|site| format!("at the peak, most is held by {site}"))
}

fn beyond_baseline(heap: &HeapEvidence) -> Option<String> {
    let baseline = heap.baseline.get().filter(|baseline| heap.peak > baseline.allowed)?;
    Some(format!(
        "massif measured a peak of {} of heap; the baseline {} has {}, and {} more are allowed",
        heap.peak, baseline.file, baseline.peak, baseline.tolerance
    ))
}
