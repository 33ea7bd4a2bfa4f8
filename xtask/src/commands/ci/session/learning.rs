//! The history before and after a run: other machines' histories are merged, this run's measurements are appended.

use std::collections::HashMap;

use drydock_base::output;
use drydock_base::paths::{RunDir, State};
use drydock_base::units::JobName;
use drydock_ci::event::AttemptRecord;
use drydock_ci::history::{self, History};
use drydock_ci::run::Run;
use drydock_ci::schedule::contention;

/// The project's history after merging `others`, and a warning for each of these that does not exist.
pub(super) fn history_with(state: &State, others: &[std::path::PathBuf]) -> anyhow::Result<(History, Vec<String>)> {
    let mut warnings = Vec::new();
    for other in others {
        if other.exists() {
            history::merge(&state.history(), other)?;
        } else {
            warnings.push(format!("no history in {} yet", other.display()));
        }
    }
    Ok((History::load(&state.history()), warnings))
}

/// Appends the attempts of this session to the history.
pub(super) fn learn(state: &State, dir: &RunDir, run: &Run, already: &HashMap<JobName, usize>, valgrind: Option<&str>) {
    let mut lines = Vec::new();
    for (planned, job) in run.plan.jobs.iter().zip(&run.jobs) {
        let already = already.get(&planned.name).copied().unwrap_or(0);
        if job.carried_from.is_some() {
            continue;
        }
        for attempt in job.attempts.iter().skip(already) {
            let kind = attempt.verdict.outcome.kind();
            lines.push(history::Line {
                at: attempt.ended,
                run: dir.id().into(),
                job: planned.name.as_str().into(),
                attempt: attempt.number,
                tool: planned.tool.kind,
                valgrind: valgrind.map(Into::into),
                outcome: kind,
                whole: kind.ran_to_its_end() && !attempt.conditions.reduced,
                duration_ms: attempt.duration_ms(),
                cpu_ms: attempt.cpu_ms,
                uncontended_ms: uncontended(run, attempt),
                peak: attempt.peak,
                peak_ms: attempt.peak_ms,
                reservation: attempt.conditions.reservation,
                exclusive: attempt.conditions.exclusive,
                pressure: attempt.evidence.memory.pressure,
                revision: run.started.as_ref().and_then(|started| started.revision.as_deref().map(Into::into)),
            });
        }
    }
    if let Err(error) = history::append(&state.history(), &lines) {
        output::err(format_args!("warning: {error:#}"));
    }
}

/// The wall time without waiting for a processor, where the run knows how many there were.
fn uncontended(run: &Run, attempt: &AttemptRecord) -> Option<u64> {
    let started = run.started.as_ref()?;
    Some(contention::uncontended(attempt.duration_ms(), attempt.cpu_ms, started.cores?, started.capacity.slots))
}
