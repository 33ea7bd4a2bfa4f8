//! The lines that a run adds to the history.

use std::collections::HashMap;
use std::sync::Arc;

use super::Line;
use crate::event::AttemptRecord;
use crate::run::Run;
use crate::schedule::contention;
use drydock_base::units::JobName;

/// The lines of the attempts of a run, without the first ones of each job that are there `already`.
pub fn lines<'a>(
    run: &'a Run,
    id: &str,
    already: &'a HashMap<JobName, usize>,
    valgrind: Option<&str>,
) -> impl Iterator<Item = Line> + use<'a> {
    // Words that all lines have are there once.
    let id: Arc<str> = id.into();
    let valgrind: Option<Arc<str>> = valgrind.map(Into::into);
    let revision: Option<Arc<str>> =
        run.started.as_ref().and_then(|started| started.revision.as_deref().map(Into::into));
    let own = run.plan.jobs.iter().zip(&run.jobs).filter(|(_, job)| job.carried_from.is_none());
    let attempts = own.flat_map(|(planned, job)| {
        let already = already.get(&planned.name).copied().unwrap_or(0);
        job.attempts.iter().skip(already).map(move |attempt| (planned, attempt))
    });
    attempts.map(move |(planned, attempt)| {
        let kind = attempt.verdict.outcome.kind();
        Line {
            at: attempt.ended,
            run: Arc::clone(&id),
            job: planned.name.as_str().into(),
            attempt: attempt.number,
            tool: planned.tool.kind,
            valgrind: valgrind.clone(),
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
            revision: revision.clone(),
        }
    })
}

/// The wall time without waiting for a processor, where the run knows how many there were.
fn uncontended(run: &Run, attempt: &AttemptRecord) -> Option<u64> {
    let started = run.started.as_ref()?;
    Some(contention::uncontended(attempt.duration_ms(), attempt.cpu_ms, started.cores?, started.capacity.slots))
}
