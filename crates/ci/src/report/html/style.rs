//! The style of results: a word and a sign with every colour, since some readers do not see colours.

use super::markup::Html;
use crate::event::JobResult;
use crate::outcome::{MemoryScope, Outcome};

/// The style of the result of an attempt or a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Style {
    Failed,
    Infrastructure,
    Flaky,
    Quarantined,
    Cancelled,
    NotRun,
    Unsettled,
    Skipped,
    Passed,
}

impl Style {
    /// All, the most urgent first.
    pub(super) const ALL: [Style; 9] = [
        Style::Failed,
        Style::Infrastructure,
        Style::Flaky,
        Style::Quarantined,
        Style::Cancelled,
        Style::NotRun,
        Style::Unsettled,
        Style::Skipped,
        Style::Passed,
    ];

    pub(super) fn of_job(result: Option<&JobResult>) -> Style {
        match result {
            Some(JobResult::Passed | JobResult::PassedAfterInfrastructure { .. }) => Style::Passed,
            Some(JobResult::Flaky { .. }) => Style::Flaky,
            Some(JobResult::Skipped { .. }) => Style::Skipped,
            Some(JobResult::Quarantined) => Style::Quarantined,
            Some(JobResult::Failed) => Style::Failed,
            Some(JobResult::Infrastructure) => Style::Infrastructure,
            Some(JobResult::Cancelled) => Style::Cancelled,
            Some(JobResult::NotRun { .. }) => Style::NotRun,
            None => Style::Unsettled,
        }
    }

    pub(super) fn of_attempt(outcome: &Outcome) -> Style {
        match outcome {
            Outcome::Passed => Style::Passed,
            Outcome::Skipped { .. } => Style::Skipped,
            Outcome::Cancelled => Style::Cancelled,
            // A limit that the job declares is part of the job.
            Outcome::OutOfMemory { scope: MemoryScope::OwnLimit, .. } => Style::Failed,
            Outcome::OutOfMemory { .. } | Outcome::KilledFromOutside { .. } | Outcome::DiskFull | Outcome::Lost => {
                Style::Infrastructure
            }
            Outcome::Failed { .. }
            | Outcome::NothingTested { .. }
            | Outcome::Findings { .. }
            | Outcome::Crashed { .. }
            | Outcome::AllocationFailure
            | Outcome::TimedOut
            | Outcome::OverBudget { .. }
            | Outcome::FailedToStart { .. } => Style::Failed,
        }
    }

    /// As in `run.json`, with spaces.
    pub(super) fn word(self) -> &'static str {
        match self {
            Style::Failed => "failed",
            Style::Infrastructure => "infrastructure",
            Style::Flaky => "flaky",
            Style::Quarantined => "quarantined",
            Style::Cancelled => "cancelled",
            Style::NotRun => "not run",
            Style::Unsettled => "unsettled",
            Style::Skipped => "skipped",
            Style::Passed => "passed",
        }
    }

    pub(super) fn sign(self) -> &'static str {
        match self {
            Style::Failed => "✗",
            Style::Infrastructure => "▲",
            Style::Flaky => "≈",
            Style::Quarantined => "◇",
            Style::Cancelled => "■",
            Style::NotRun => "–",
            Style::Unsettled => "?",
            Style::Skipped => "○",
            Style::Passed => "✓",
        }
    }

    /// The class in the style sheet.
    pub(super) fn class(self) -> &'static str {
        match self {
            Style::Failed => "x",
            Style::Infrastructure => "i",
            Style::Flaky => "f",
            Style::Quarantined => "q",
            Style::Cancelled => "c",
            Style::NotRun => "n",
            Style::Unsettled => "u",
            Style::Skipped => "s",
            Style::Passed => "p",
        }
    }

    /// The sign and the word.
    pub(super) fn badge(self, html: &mut Html) {
        self.mark(html);
        html.raw(" ").text(self.word());
    }

    /// The sign, which screen readers skip, since they read the word.
    pub(super) fn mark(self, html: &mut Html) {
        html.tag("b", &[("class", self.class()), ("aria-hidden", "true")], self.sign());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_style_differs_in_word_sign_and_class() {
        for property in [Style::word, Style::sign, Style::class] {
            let mut seen: Vec<&str> = Style::ALL.iter().map(|style| property(*style)).collect();
            seen.sort_unstable();
            seen.dedup();
            assert_eq!(seen.len(), Style::ALL.len(), "{seen:?}");
        }
    }
}
