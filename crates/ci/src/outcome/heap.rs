//! The comparison of the heap with its budgets.

use super::{Budget, Outcome, Verdict};
use crate::evidence::{HeapEvidence, Reading};
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
    let unknown = |why: String| {
        Verdict::new(Outcome::Failed { code }, 0.9, why)
            .and("whether the heap is within its budget is not known, so this is not a pass")
    };
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
