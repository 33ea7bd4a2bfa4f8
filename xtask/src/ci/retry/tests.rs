//! What follows which attempts.

use super::*;
use crate::ci::evidence::{End, Evidence};
use crate::ci::outcome::{Budget, Verdict, Victim};
use crate::config::units::ByteSize;

fn job(attempts: u32, retry_on: &[RetryOn]) -> PlannedJob {
    PlannedJob { attempts, retry_on: retry_on.to_vec(), ..PlannedJob::plain("j", "j", &[]) }
}

fn attempts(outcomes: &[Outcome]) -> Vec<AttemptRecord> {
    let record = |(position, outcome): (usize, &Outcome)| AttemptRecord {
        number: u32::try_from(position).unwrap() + 1,
        verdict: Verdict {
            outcome: outcome.clone(),
            confidence: 1.0,
            reasons: Vec::new(),
            ruled_out: Vec::new(),
            advice: None,
        },
        evidence: Evidence::of(End::NoRecord),
        started: 0,
        ended: 0,
        peak: Some(300),
        reservation: 100,
        alone: false,
        again: None,
    };
    outcomes.iter().enumerate().map(record).collect()
}

fn oom(scope: MemoryScope) -> Outcome {
    Outcome::OutOfMemory { scope, victim: Victim::Main }
}

#[track_caller]
fn settles(job: &PlannedJob, outcomes: &[Outcome], expected: JobResult) {
    assert_eq!(next(job, &attempts(outcomes)), Next::Settle(expected));
}

#[test]
fn only_what_the_machine_broke_is_rerun_without_being_asked() {
    let plain = job(1, &[]);
    for outcome in [oom(MemoryScope::Machine), Outcome::KilledFromOutside { signal: 9 }] {
        let Next::Again { alone, reservation, because } = next(&plain, &attempts(std::slice::from_ref(&outcome)))
        else {
            panic!("{outcome:?} is rerun")
        };
        assert!(alone && reservation == 600 && because.starts_with("the machine broke it"));
        settles(&plain, &[outcome.clone(), Outcome::Passed], JobResult::PassedAfterInfrastructure { attempt: 2 });
        settles(&plain, &[outcome.clone(), outcome], JobResult::Infrastructure);
    }
    let own = [
        Outcome::Failed { code: 1 },
        Outcome::Findings { count: 1 },
        Outcome::Crashed { signal: 11 },
        Outcome::AllocationFailure,
        Outcome::TimedOut,
        Outcome::OverBudget { limit: ByteSize::ZERO, used: ByteSize::ZERO, budget: Budget::Limit },
        Outcome::FailedToStart { error: String::new() },
        // Its own ceiling is its own declaration; the same ceiling would kill it again.
        oom(MemoryScope::OwnLimit),
    ];
    for outcome in own {
        settles(&plain, &[outcome], JobResult::Failed);
    }
    settles(&plain, &[Outcome::Passed], JobResult::Passed);
    settles(&plain, &[Outcome::Cancelled], JobResult::Cancelled);
}

#[test]
fn a_declared_retry_ends_as_flaky_never_as_passed() {
    let twice = job(2, &[RetryOn::TimedOut]);
    assert!(matches!(next(&twice, &attempts(&[Outcome::TimedOut])), Next::Again { alone: false, .. }));
    settles(&twice, &[Outcome::TimedOut, Outcome::Passed], JobResult::Flaky { attempt: 2 });
    settles(&twice, &[Outcome::TimedOut, Outcome::TimedOut], JobResult::Failed);
    settles(&twice, &[Outcome::Failed { code: 1 }], JobResult::Failed);
}

#[test]
fn the_machines_faults_do_not_use_up_the_declared_attempts() {
    let twice = job(2, &[RetryOn::TimedOut]);
    let broken = oom(MemoryScope::Machine);
    assert!(matches!(next(&twice, &attempts(&[broken.clone(), Outcome::TimedOut])), Next::Again { .. }));
    settles(&twice, &[broken, Outcome::TimedOut, Outcome::Passed], JobResult::Flaky { attempt: 3 });
}

#[test]
fn a_job_that_was_lost_with_its_run_is_not_to_blame() {
    let plain = job(1, &[]);
    let lost = vec![Outcome::Lost; 4];
    assert!(matches!(next(&plain, &attempts(&lost)), Next::Again { alone: false, reservation: 300, .. }));
    settles(&plain, &[const { Outcome::Lost }; 5], JobResult::Infrastructure);
    settles(&plain, &[Outcome::Lost, Outcome::Passed], JobResult::PassedAfterInfrastructure { attempt: 2 });
    let mut runaway = attempts(&[Outcome::Lost]);
    runaway[0].evidence.last_samples = vec![100 << 20, 900 << 20];
    assert!(matches!(next(&plain, &runaway), Next::Again { alone: true, reservation: 600, .. }));
}

#[test]
fn a_cancelled_attempt_is_no_failure_of_the_job() {
    settles(&job(1, &[]), &[Outcome::Cancelled, Outcome::Passed], JobResult::Passed);
    let twice = job(2, &[RetryOn::TimedOut]);
    assert!(matches!(next(&twice, &attempts(&[Outcome::Cancelled, Outcome::TimedOut])), Next::Again { .. }));
}
