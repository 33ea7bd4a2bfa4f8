//! The decision after an attempt: the job is settled, or it is retried. A pure function.

use super::capacity::Limits;
use super::conditions::Conditions;
use super::event::{AttemptRecord, JobResult};
use super::outcome::{MemoryScope, Outcome};
use super::plan::PlannedJob;
use drydock_config::jobs::RetryOn;

/// Attempts of a job that are killed from outside before it is given up.
const KILLED_ATTEMPTS: usize = 2;
/// Attempts of a job that are lost together with their run before it is given up: a lost run says little about the job.
const LOST_ATTEMPTS: usize = 5;

/// The step after an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Run the job once more under these conditions.
    Retry(Conditions),
    /// That was the last attempt.
    Settle(JobResult),
}

/// Decides after the last of `attempts`. Only what the machine did wrong is rerun without being asked. What the
/// declaration allows to retry ends as flaky, never as passed.
pub fn next(job: &PlannedJob, attempts: &[AttemptRecord], limits: Limits) -> Next {
    let Some(last) = attempts.last() else { return Next::Settle(JobResult::Cancelled) };
    let outcome = &last.verdict.outcome;
    let count =
        |wanted: fn(&Outcome) -> bool| attempts.iter().filter(|attempt| wanted(&attempt.verdict.outcome)).count();
    let broken_by_machine = count(Outcome::is_infrastructure);
    let lost = count(|outcome| matches!(outcome, Outcome::Lost));
    let killed = count(|outcome| matches!(outcome, Outcome::KilledFromOutside { .. }));
    let cancelled = count(|outcome| matches!(outcome, Outcome::Cancelled));
    // A cancelled or machine-broken attempt is not a failure of the job itself.
    let own_failures = attempts.len() - broken_by_machine - cancelled;
    let machine = || format!("the machine failed it: {}", outcome.describe());
    let retry = |exclusive, reservation, reason| {
        let reduced = last.conditions.reduced;
        Next::Retry(Conditions { reservation, deviation: 0, exclusive, reduced, retry_reason: Some(reason) })
    };
    match outcome {
        Outcome::Passed => Next::Settle(if own_failures > 1 {
            JobResult::Flaky { attempt: last.number }
        } else if broken_by_machine > 0 {
            JobResult::PassedAfterInfrastructure { attempt: last.number }
        } else {
            JobResult::Passed
        }),
        Outcome::Skipped { why } => Next::Settle(JobResult::Skipped { because: why.clone() }),
        // The run stops when a disk is full; a resumed one repeats the job.
        Outcome::Cancelled | Outcome::DiskFull => Next::Settle(JobResult::Cancelled),
        // A job that died of its own declared ceiling failed by its own declaration.
        Outcome::OutOfMemory { scope: MemoryScope::OwnLimit, .. } => Next::Settle(JobResult::Failed),
        Outcome::OutOfMemory { .. } => {
            escalated(job, attempts, limits).map_or(Next::Settle(JobResult::Infrastructure), Next::Retry)
        }
        Outcome::Lost if lost < LOST_ATTEMPTS => {
            // A run that was lost was not lost through this job, unless its memory was running away.
            let runaway = last.evidence.memory_was_rising();
            retry(runaway, if runaway { used(last).saturating_mul(2) } else { used(last) }, machine())
        }
        Outcome::KilledFromOutside { .. } if killed < KILLED_ATTEMPTS => retry(true, used(last), machine()),
        Outcome::Lost | Outcome::KilledFromOutside { .. } => Next::Settle(JobResult::Infrastructure),
        Outcome::Failed { .. }
        | Outcome::NothingTested { .. }
        | Outcome::Findings { .. }
        | Outcome::Crashed { .. }
        | Outcome::AllocationFailure
        | Outcome::TimedOut
        | Outcome::OverBudget { .. }
        | Outcome::FailedToStart { .. } => {
            let declared = retry_on(outcome).is_some_and(|kind| job.retry_on.contains(&kind));
            if declared && own_failures < job.attempts as usize {
                let Conditions { exclusive, reservation, .. } = last.conditions;
                retry(exclusive, reservation, format!("its `retry.on` lists this outcome: {}", outcome.describe()))
            } else {
                Next::Settle(failed(job, attempts))
            }
        }
    }
}

/// A failure counts unless the job's quarantine lists it. Findings of valgrind in any attempt always count.
fn failed(job: &PlannedJob, attempts: &[AttemptRecord]) -> JobResult {
    let found = |attempt: &AttemptRecord| {
        matches!(attempt.verdict.outcome, Outcome::Findings { .. } | Outcome::OverBudget { .. })
            || attempt.evidence.valgrind.as_ref().is_some_and(|valgrind| valgrind.findings > 0)
    };
    let known = job.quarantine.as_ref().zip(attempts.last()).is_some_and(|(quarantine, last)| {
        retry_on(&last.verdict.outcome).is_some_and(|kind| quarantine.on.contains(&kind))
    });
    if known && !attempts.iter().any(found) { JobResult::Quarantined } else { JobResult::Failed }
}

/// The next escalation step of a job that the machine killed for lack of memory: twice the memory, or, if its memory was
/// learned and so shared with others, all that it was promised; then exclusive,
/// then, if `reduced-args` are declared, exclusive with reduced checking. Each step is taken once.
fn escalated(job: &PlannedJob, attempts: &[AttemptRecord], limits: Limits) -> Option<Conditions> {
    let last = attempts.last()?;
    let killed = || attempts.iter().filter(|attempt| ran_out(&attempt.verdict.outcome));
    let doubled = killed().map(used).max()?.saturating_mul(2);
    let step = Conditions {
        retry_reason: Some(format!("the machine failed it: {}", last.verdict.outcome.describe())),
        deviation: 0,
        ..last.conditions.clone()
    };
    // Its room was shared with others, which needed it: now it has all that it was promised, or that it had.
    if last.conditions.deviation > 0 && killed().count() == 1 {
        return Some(Conditions { reservation: used(last).min(limits.memory), ..step });
    }
    if !last.conditions.exclusive && killed().count() == 1 && doubled <= limits.memory {
        return Some(Conditions { reservation: doubled, ..step });
    }
    if !killed().any(|attempt| attempt.conditions.exclusive) {
        return Some(Conditions { exclusive: true, reservation: doubled.min(limits.memory), ..step });
    }
    let was_reduced = killed().any(|attempt| attempt.conditions.reduced);
    let reservation = used(last).min(limits.memory);
    (!was_reduced && !job.tool.reduced_args.is_empty()).then_some(Conditions {
        reservation,
        exclusive: true,
        reduced: true,
        ..step
    })
}

/// Bytes that the attempt had: its reservation, or its usage if that was higher.
fn used(attempt: &AttemptRecord) -> u64 {
    attempt.conditions.reservation.max(attempt.peak.unwrap_or(0))
}

fn ran_out(outcome: &Outcome) -> bool {
    matches!(
        outcome,
        Outcome::OutOfMemory { scope: MemoryScope::Machine | MemoryScope::Userspace | MemoryScope::Unknown, .. }
    )
}

/// A lower bound, in bytes, for the memory of a job whose every retry ran out of memory: the most it had when it was
/// killed.
pub fn needs_more_than(attempts: &[AttemptRecord]) -> Option<u64> {
    let last = attempts.last()?;
    let killed = attempts.iter().filter(|attempt| ran_out(&attempt.verdict.outcome));
    ran_out(&last.verdict.outcome).then(|| killed.filter_map(|attempt| attempt.peak).max()).flatten()
}

fn retry_on(outcome: &Outcome) -> Option<RetryOn> {
    match outcome {
        Outcome::TimedOut => Some(RetryOn::TimedOut),
        Outcome::Failed { .. } => Some(RetryOn::Failed),
        Outcome::Findings { .. } => Some(RetryOn::Findings),
        Outcome::Crashed { .. } => Some(RetryOn::Crashed),
        Outcome::AllocationFailure => Some(RetryOn::AllocationFailure),
        Outcome::OverBudget { .. } => Some(RetryOn::OverBudget),
        Outcome::Passed
        | Outcome::Skipped { .. }
        | Outcome::NothingTested { .. }
        | Outcome::OutOfMemory { .. }
        | Outcome::KilledFromOutside { .. }
        | Outcome::DiskFull
        | Outcome::Cancelled
        | Outcome::FailedToStart { .. }
        | Outcome::Lost => None,
    }
}

#[cfg(test)]
mod tests;
