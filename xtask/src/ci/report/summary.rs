//! The end of a run for a person: failures by cause, then the slowest and the biggest jobs, then one line of counts.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use crate::ci::event::{AttemptRecord, JobResult};
use crate::ci::log;
use crate::ci::outcome::Outcome;
use crate::ci::run::{JobState, Run};
use crate::config::units::{self, ByteSize};
use crate::paths::RunDir;

/// How many jobs one cause lists.
const MOST_JOBS: usize = 12;
/// How many lines of a log are shown for a cause.
const LOG_LINES: usize = 12;
/// How many jobs the tables list.
const MOST_ROWS: usize = 5;

/// The text, ending with a newline.
pub fn render(run: &Run, dir: &RunDir) -> String {
    let mut text = String::new();
    let _infallible = write_causes(&mut text, run, dir)
        .and_then(|()| write_notes(&mut text, run))
        .and_then(|()| write_tables(&mut text, run))
        .and_then(|()| write_counts(&mut text, run, dir));
    text
}

/// What one cause looks like to a person: the same words for the same thing.
fn cause(record: &AttemptRecord) -> String {
    let outcome = &record.verdict.outcome;
    match outcome {
        // One error found in many jobs is one cause.
        Outcome::Findings { .. } => match record.evidence.valgrind.as_ref().and_then(|valgrind| valgrind.first.first())
        {
            Some(first) => format!("valgrind: {first}"),
            None => outcome.describe(),
        },
        Outcome::OverBudget { .. } => "more heap than declared".into(),
        Outcome::Passed
        | Outcome::Failed { .. }
        | Outcome::Crashed { .. }
        | Outcome::OutOfMemory { .. }
        | Outcome::AllocationFailure
        | Outcome::TimedOut
        | Outcome::KilledFromOutside { .. }
        | Outcome::Cancelled
        | Outcome::FailedToStart { .. }
        | Outcome::Lost => outcome.describe(),
    }
}

fn write_causes(text: &mut String, run: &Run, dir: &RunDir) -> std::fmt::Result {
    let mut causes: BTreeMap<String, Vec<(String, &JobState)>> = BTreeMap::new();
    for (planned, job) in run.plan.jobs.iter().zip(&run.jobs) {
        let bad = matches!(job.result, Some(JobResult::Failed | JobResult::Infrastructure | JobResult::Cancelled));
        if let (true, Some(last)) = (bad, job.attempts.last()) {
            causes.entry(cause(last)).or_default().push((planned.name.to_string(), job));
        }
    }
    let mut causes: Vec<_> = causes.into_iter().collect();
    causes.sort_by_key(|(_, jobs)| std::cmp::Reverse(jobs.len()));
    for (cause, jobs) in causes {
        let count = if jobs.len() == 1 { String::new() } else { format!("  ({} jobs)", jobs.len()) };
        writeln!(text, "\n✗ {cause}{count}")?;
        for (name, job) in jobs.iter().take(MOST_JOBS) {
            let confidence = job.attempts.last().map_or(0.0, |last| last.verdict.confidence);
            writeln!(text, "    {name}  (confidence {confidence:.2}, attempts {})", job.attempts.len())?;
        }
        if jobs.len() > MOST_JOBS {
            writeln!(text, "    … and {} more", jobs.len() - MOST_JOBS)?;
        }
        let Some((name, job)) = jobs.first() else { continue };
        let Some(last) = job.attempts.last() else { continue };
        for reason in last.verdict.reasons.iter().take(4) {
            writeln!(text, "    because {reason}")?;
        }
        for reason in last.verdict.ruled_out.iter().take(2) {
            writeln!(text, "            {reason}")?;
        }
        if let Some(advice) = &last.verdict.advice {
            writeln!(text, "    to do: {advice}")?;
        }
        let from = if job.carried_from.is_some() {
            Vec::new()
        } else {
            log::tail(&dir.attempt(name, last.number).join("log"), LOG_LINES).unwrap_or_default()
        };
        if !from.is_empty() {
            writeln!(text, "    end of the log of {name}:")?;
            for line in from {
                writeln!(text, "      │ {line}")?;
            }
        }
    }
    Ok(())
}

/// What passed, but not quietly.
fn write_notes(text: &mut String, run: &Run) -> std::fmt::Result {
    for (planned, job) in run.plan.jobs.iter().zip(&run.jobs) {
        match &job.result {
            Some(JobResult::Flaky { attempt }) => {
                let first = job.attempts.first().map_or_else(String::new, |first| first.verdict.outcome.describe());
                writeln!(text, "\n! {} is flaky: {first}, then passed at attempt {attempt}", planned.name)?;
            }
            Some(JobResult::PassedAfterInfrastructure { attempt }) => {
                let first = job.attempts.first().map_or_else(String::new, |first| first.verdict.outcome.describe());
                writeln!(
                    text,
                    "\n! {} passed at attempt {attempt}, alone; before, the machine broke it: {first}",
                    planned.name
                )?;
            }
            _ => {}
        }
        for record in &job.attempts {
            if !record.evidence.leftovers.is_empty() {
                let left: Vec<String> = record
                    .evidence
                    .leftovers
                    .iter()
                    .take(5)
                    .map(|left| format!("{} ({})", left.command, left.pid))
                    .collect();
                writeln!(text, "\n! {} left processes behind, which were ended: {}", planned.name, left.join(", "))?;
            }
        }
    }
    Ok(())
}

fn write_tables(text: &mut String, run: &Run) -> std::fmt::Result {
    let ended = || {
        run.plan
            .jobs
            .iter()
            .zip(&run.jobs)
            .filter(|(_, job)| job.carried_from.is_none())
            .flat_map(|(planned, job)| job.attempts.iter().map(move |attempt| (&planned.name, attempt)))
    };
    let mut slowest: Vec<_> = ended().collect();
    if slowest.len() < 2 {
        return Ok(());
    }
    slowest.sort_by_key(|(_, attempt)| std::cmp::Reverse(attempt.duration_ms()));
    writeln!(text, "\nslowest                                            time    memory")?;
    for (name, attempt) in slowest.iter().take(MOST_ROWS) {
        write_row(text, name.as_str(), attempt)?;
    }
    let mut biggest: Vec<_> = ended().filter(|(_, attempt)| attempt.peak.is_some()).collect();
    biggest.sort_by_key(|(_, attempt)| std::cmp::Reverse(attempt.peak));
    if !biggest.is_empty() {
        writeln!(text, "biggest")?;
        for (name, attempt) in biggest.iter().take(MOST_ROWS) {
            write_row(text, name.as_str(), attempt)?;
        }
    }
    Ok(())
}

fn write_row(text: &mut String, name: &str, attempt: &AttemptRecord) -> std::fmt::Result {
    let memory = attempt.peak.map_or_else(|| "-".into(), |peak| ByteSize::new(peak).to_string());
    let time = units::human(Duration::from_millis(attempt.duration_ms()));
    writeln!(text, "  {name:<44} {time:>8} {memory:>9}")
}

fn write_counts(text: &mut String, run: &Run, dir: &RunDir) -> std::fmt::Result {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for job in &run.jobs {
        *counts.entry(job.result.as_ref().map_or("unsettled", JobResult::word)).or_default() += 1;
    }
    let order = ["passed", "flaky", "failed", "infrastructure", "cancelled", "not-run", "unsettled"];
    let parts: Vec<String> =
        order.iter().filter_map(|word| counts.get(word).map(|count| format!("{count} {word}"))).collect();
    let span = u64::try_from(run.last - run.began.unwrap_or(run.last)).unwrap_or_default();
    let carried = run.jobs.iter().filter(|job| job.carried_from.is_some()).count();
    let carried = if carried > 0 { format!(" ({carried} taken over from an earlier run)") } else { String::new() };
    writeln!(
        text,
        "\n{} jobs: {}{carried} in {}\nrecorded in {}",
        run.jobs.len(),
        parts.join(", "),
        units::human(Duration::from_millis(span)),
        dir.root().display()
    )
}
