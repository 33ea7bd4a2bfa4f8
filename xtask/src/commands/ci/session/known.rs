//! What is known before a run starts, and what it teaches: earlier attempts, histories, jobs that cannot fit.

use std::collections::HashMap;

use drydock_base::output;
use drydock_base::paths::{RunDir, State};
use drydock_ci::event::{Event, JobResult};
use drydock_ci::history::{self, History};
use drydock_ci::outcome;
use drydock_ci::plan::Plan;
use drydock_ci::retry::{self, Again, Next};
use drydock_ci::run::Run;
use drydock_ci::schedule::{Capacity, Prediction, Schedule};
use drydock_ci::supervise::Recorder;

/// The project's history, with what other machines learned taken in, and what is strange about that.
pub(super) fn history_with(state: &State, others: &[std::path::PathBuf]) -> anyhow::Result<(History, Vec<String>)> {
    let mut strange = Vec::new();
    for other in others {
        if other.exists() {
            history::merge(&state.history(), other)?;
        } else {
            strange.push(format!("there is no history in {} yet", other.display()));
        }
    }
    Ok((History::load(&state.history()), strange))
}

/// Tells the schedule what is settled already, and settles what lost attempts leave settled. Returns how the jobs that
/// earlier attempts call for again are to be run.
pub(super) fn settle_what_is_known(
    schedule: &mut Schedule,
    recorder: &mut Recorder<'_>,
    plan: &Plan,
) -> HashMap<usize, Again> {
    let mut runs_again = HashMap::new();
    let limits = schedule.limits();
    for (position, job) in plan.jobs.iter().enumerate() {
        let state = &recorder.run.jobs[position];
        let result = match (&state.result, state.attempts.as_slice()) {
            (Some(result), _) => result.clone(),
            (None, []) => continue,
            (None, attempts) => match retry::next(job, attempts, limits) {
                // A cancelled attempt was the run's doing, not the job's: it gets another one.
                Next::Settle(JobResult::Cancelled) => continue,
                Next::Again(again) => {
                    schedule.again(position, again.reservation, again.alone);
                    runs_again.insert(position, again);
                    continue;
                }
                Next::Settle(result) => {
                    recorder.emit(Event::JobSettled { job: job.name.clone(), result: result.clone() });
                    result
                }
            },
        };
        settle_beforehand(schedule, recorder, plan, (position, &result));
    }
    runs_again
}

/// Settles the jobs of which it is known that the machine would kill them.
pub(super) fn refuse_what_cannot_fit(
    schedule: &mut Schedule,
    recorder: &mut Recorder<'_>,
    plan: &Plan,
    (predictions, capacity): (&[Prediction], &Capacity),
) {
    for (position, prediction) in predictions.iter().enumerate() {
        let state = &recorder.run.jobs[position];
        if state.result.is_some() || !state.attempts.is_empty() {
            continue;
        }
        if let Some(because) = prediction.refusal(capacity) {
            let result = JobResult::NotRun { because };
            recorder.emit(Event::JobSettled { job: plan.jobs[position].name.clone(), result: result.clone() });
            settle_beforehand(schedule, recorder, plan, (position, &result));
        }
    }
}

/// Settles in the schedule what is settled, and records what can therefore never run.
fn settle_beforehand(
    schedule: &mut Schedule,
    recorder: &mut Recorder<'_>,
    plan: &Plan,
    (position, result): (usize, &JobResult),
) {
    for (dependent, because) in schedule.settle_beforehand(position, result, plan.jobs[position].name.as_str()) {
        let dependent = plan.jobs[dependent].name.clone();
        recorder.emit(Event::JobSettled { job: dependent, result: JobResult::NotRun { because } });
    }
}

/// Appends the attempts of this session to the history.
pub(super) fn learn(state: &State, dir: &RunDir, run: &Run, already: &[usize], valgrind: Option<&str>) {
    let mut lines = Vec::new();
    for ((planned, job), already) in run.plan.jobs.iter().zip(&run.jobs).zip(already) {
        if job.carried_from.is_some() {
            continue;
        }
        for attempt in job.attempts.iter().skip(*already) {
            let outcome = &attempt.verdict.outcome;
            let whole = match outcome {
                outcome::Outcome::Passed
                | outcome::Outcome::Failed { .. }
                | outcome::Outcome::Findings { .. }
                | outcome::Outcome::OverBudget { .. } => true,
                outcome::Outcome::Crashed { .. }
                | outcome::Outcome::OutOfMemory { .. }
                | outcome::Outcome::AllocationFailure
                | outcome::Outcome::TimedOut
                | outcome::Outcome::KilledFromOutside { .. }
                | outcome::Outcome::Cancelled
                | outcome::Outcome::FailedToStart { .. }
                | outcome::Outcome::Lost => false,
            };
            lines.push(history::Line {
                at: attempt.ended,
                run: dir.id().into(),
                job: planned.name.as_str().into(),
                attempt: attempt.number,
                tool: planned.tool.kind,
                valgrind: valgrind.map(Into::into),
                outcome: outcome.word().into(),
                whole: whole && !attempt.diet,
                duration_ms: attempt.duration_ms(),
                peak: attempt.peak,
                reservation: attempt.reservation,
                alone: attempt.alone,
                pressure: attempt.evidence.memory.pressure,
                revision: run.started.as_ref().and_then(|started| started.revision.as_deref().map(Into::into)),
            });
        }
    }
    if let Err(error) = history::append(&state.history(), &lines) {
        output::err(format_args!("warning: {error:#}"));
    }
}
