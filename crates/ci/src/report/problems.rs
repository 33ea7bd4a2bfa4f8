//! What went wrong in a run, by cause: valgrind's findings, and jobs that failed in the same way.

use std::collections::BTreeMap;

use super::{ReportInput, findings, summary};
use crate::event::{AttemptRecord, JobResult};
use crate::run::JobState;
use drydock_valgrind::cause::Cause;

/// A cause of failures.
pub(super) enum Problem<'a> {
    /// Findings of valgrind with one cause.
    Finding(&'a Cause<'a>),
    /// Jobs that failed in the same way.
    Failure {
        /// The way in which they failed, in words.
        cause: String,
        /// The jobs, at least one, in the plan's order.
        jobs: Vec<Failed<'a>>,
    },
}

/// A job that failed, with its last attempt.
pub(super) struct Failed<'a> {
    /// Its position in the plan.
    pub(super) position: usize,
    /// The job's name.
    pub(super) name: &'a str,
    /// The job's state.
    pub(super) job: &'a JobState,
    /// The last attempt.
    pub(super) last: &'a AttemptRecord,
}

impl Problem<'_> {
    /// The positions of its jobs, each once.
    pub(super) fn jobs(&self) -> Vec<usize> {
        match self {
            Problem::Finding(cause) => cause.jobs().into_iter().collect(),
            Problem::Failure { jobs, .. } => jobs.iter().map(|failed| failed.position).collect(),
        }
    }

    /// Its heading.
    pub(super) fn title(&self) -> String {
        match self {
            Problem::Finding(cause) => format!("{}  {}", cause.title(), cause.id),
            Problem::Failure { cause, .. } => cause.clone(),
        }
    }
}

/// All causes of failures, those of most jobs first.
pub(super) fn problems<'a>(input: ReportInput<'a>) -> Vec<Problem<'a>> {
    let run = input.run;
    let mut failures: BTreeMap<String, Vec<Failed<'a>>> = BTreeMap::new();
    for (position, (planned, job)) in run.plan.jobs.iter().zip(&run.jobs).enumerate() {
        let failed = matches!(job.result, Some(JobResult::Failed | JobResult::Infrastructure));
        if let (true, Some(last)) = (failed, job.attempts.last()) {
            // Valgrind's findings are causes of their own.
            if !summary::is_explained_by_findings(last) {
                let name = planned.name.as_str();
                failures.entry(summary::cause(last)).or_default().push(Failed { position, name, job, last });
            }
        }
    }
    let found = input.causes.all().iter().filter(|cause| findings::failed_a_job(cause, run)).map(Problem::Finding);
    let failures = failures.into_iter().map(|(cause, jobs)| Problem::Failure { cause, jobs });
    let mut problems: Vec<Problem<'a>> = found.chain(failures).collect();
    problems.sort_by_cached_key(|problem| std::cmp::Reverse(problem.jobs().len()));
    problems
}
