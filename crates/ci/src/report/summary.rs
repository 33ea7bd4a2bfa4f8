//! The summary at the end of a run: failures by cause, jobs that passed with remarks, the slowest and the biggest jobs,
//! and one line of counts.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use super::commands::{self, Commands};
use super::problems::{Failed, Problem, problems};
use super::{ReportInput, findings, native, suppressions, tables};
use crate::event::{AttemptRecord, JobResult, RunStarted};
use crate::evidence::End;
use crate::log::excerpt;
use crate::outcome::Outcome;
use crate::retry;
use crate::run::{JobState, Run};
use crate::schedule::bound::Binding;
use crate::schedule_report::ScheduleReport;
use drydock_base::text;
use drydock_base::text::plural;
use drydock_base::units::{self, ByteSize};
use drydock_valgrind::cause::Cause;

/// The number of jobs that one cause lists.
const MOST_JOBS: usize = 12;
/// The number of lines of a log that are shown for a cause.
const LOG_LINES: usize = 10;
/// The number of processes left behind that are named.
const MOST_LEFT: usize = 5;
/// Shorter runs have no tables.
pub(super) const WORTH_A_TABLE: u64 = 1000;
/// The confidence of a verdict is shown when it is lower than this.
const CERTAIN: f64 = 0.9;

/// The text with what it is about at its top.
pub(super) fn whole(input: ReportInput<'_>) -> String {
    let run = input.run;
    let project = run.plan.project.file_name().map_or_else(|| "/".into(), |name| name.to_string_lossy());
    let revision = run.started.as_ref().and_then(|started| started.revision.as_deref());
    let commit = revision.map_or_else(String::new, |revision| format!(" at commit {revision}"));
    let head =
        format!("{}{commit}, run {}: {}", text::one_line(&project, 200), input.dir.id(), input.result.sentence());
    format!("{head}\n{}", render(input))
}

/// The text, ending with a newline.
pub fn render(input: ReportInput<'_>) -> String {
    let ReportInput { run, schedule, .. } = input;
    let mut text = String::new();
    // Writing into a text cannot fail.
    write_causes(&mut text, input)
        .and_then(|()| write_notes(&mut text, run))
        .and_then(|()| tables::write_allocations(&mut text, run))
        .and_then(|()| tables::write_tables(&mut text, run))
        .and_then(|()| schedule.map_or(Ok(()), |schedule| write_schedule(&mut text, run, schedule)))
        .and_then(|()| write_counts(&mut text, input))
        .ok();
    text
}

/// The text of a cause, which is the same for all jobs that have it.
pub(super) fn cause(record: &AttemptRecord) -> String {
    let outcome = &record.verdict.outcome;
    let with_words = || match &record.evidence.words {
        Some(words) => format!("{}: {}", outcome.describe(), alike(words)),
        None => outcome.describe(),
    };
    match outcome {
        Outcome::Failed { .. } if record.evidence.test.as_ref().is_some_and(|test| test.says_why()) => {
            verdict_reason(record)
        }
        Outcome::Failed { .. } if record.evidence.valgrind.as_ref().is_some_and(|valgrind| valgrind.nested) => {
            verdict_reason(record)
        }
        Outcome::Failed { code } if *code == record.evidence.expect_exit => {
            // Jobs with the same reason have the same remedy.
            verdict_reason(record)
        }
        Outcome::Failed { .. } | Outcome::Crashed { .. } => with_words(),
        Outcome::FailedToStart { .. } if matches!(record.evidence.end, End::NotStarted { unlisted: true, .. }) => {
            "its tests cannot be listed".into()
        }
        Outcome::FailedToStart { error } => {
            format!("could not be started: {}", last_part(error))
        }
        Outcome::OverBudget { .. } => "more heap than declared".into(),
        Outcome::Passed
        | Outcome::Skipped { .. }
        | Outcome::NothingTested { .. }
        | Outcome::Findings { .. }
        | Outcome::OutOfMemory { .. }
        | Outcome::AllocationFailure
        | Outcome::TimedOut
        | Outcome::KilledFromOutside { .. }
        | Outcome::DiskFull
        | Outcome::Cancelled
        | Outcome::Lost => outcome.describe(),
    }
}

/// What decided the verdict.
fn verdict_reason(record: &AttemptRecord) -> String {
    record.verdict.reasons.first().cloned().unwrap_or_default()
}

/// The words without the parts that differ from job to job: numbers, addresses, the directories of paths.
fn alike(words: &str) -> String {
    let mut text = String::new();
    for word in words.split(' ') {
        let word = if word.contains('/') { word.rsplit('/').next().unwrap_or(word) } else { word };
        let mut in_number = false;
        for letter in word.chars() {
            let number = letter.is_ascii_digit();
            if number && !in_number {
                text.push('N');
            } else if !number {
                text.push(letter);
            }
            in_number = number;
        }
        text.push(' ');
    }
    text.trim_end().chars().take(100).collect()
}

fn write_causes(text: &mut String, input: ReportInput<'_>) -> std::fmt::Result {
    let run = input.run;
    let problems = problems(input);
    for problem in &problems {
        write_problem(text, problem, input)?;
    }
    let bad = |job: &&JobState| {
        matches!(job.result, Some(JobResult::Failed | JobResult::Infrastructure)) && !job.attempts.is_empty()
    };
    if problems.len() > 1 || problems.iter().any(|problem| problem.jobs().len() > 1) {
        let bad = run.jobs.iter().filter(bad).count();
        writeln!(text, "\n{}, {}", plural(problems.len(), "cause"), plural(bad, "job"))?;
    }
    let dropped = findings::dropped(run);
    if dropped > 0 {
        let findings = plural(usize::try_from(dropped).unwrap_or(usize::MAX), "further finding");
        writeln!(text, "{findings} of jobs with very many were counted and are not shown; their logs have them")?;
    }
    Ok(())
}

/// Whether the job failed only because of valgrind's findings, and these were kept.
pub(super) fn is_explained_by_findings(record: &AttemptRecord) -> bool {
    let kept = record.evidence.valgrind.as_ref().is_some_and(|valgrind| !valgrind.first.is_empty());
    kept && matches!(record.verdict.outcome, Outcome::Findings { .. })
}

/// Writes a cause of failures with its jobs, its evidence and what to do.
pub(super) fn write_problem(text: &mut String, problem: &Problem<'_>, input: ReportInput<'_>) -> std::fmt::Result {
    match problem {
        Problem::Finding(cause) => write_finding(text, cause, input),
        Problem::Failure { cause, jobs } => write_cause(text, cause, jobs, input),
    }
}

fn write_finding(text: &mut String, cause: &Cause<'_>, input: ReportInput<'_>) -> std::fmt::Result {
    let run = input.run;
    let jobs: Vec<&str> = cause.jobs().into_iter().map(|job| run.plan.jobs[job].name.as_str()).collect();
    write_head(text, &format!("{}  {}", cause.title(), cause.id), &jobs)?;
    findings::describe(text, cause, &run.plan.project, input.commands)?;
    let first = cause.jobs().first().copied().unwrap_or_default();
    let unchecked =
        run.jobs[first].attempts.last().and_then(|last| last.evidence.valgrind.as_ref()?.incomplete.first());
    if let Some(why) = unchecked {
        writeln!(text, "    not completely checked: {why}")?;
    }
    writeln!(text, "    more: {}", input.commands.explain(run.plan.jobs[first].name.as_str()))
}

fn write_head(text: &mut String, cause: &str, jobs: &[&str]) -> std::fmt::Result {
    let more = jobs.len().saturating_sub(MOST_JOBS);
    let more = if more > 0 { format!(" … and {more} more") } else { String::new() };
    let names = jobs.iter().take(MOST_JOBS).copied().collect::<Vec<_>>().join(", ");
    writeln!(text, "\n✗ {cause}\n    {}: {names}{more}", plural(jobs.len(), "job"))
}

fn write_cause(text: &mut String, cause: &str, jobs: &[Failed<'_>], input: ReportInput<'_>) -> std::fmt::Result {
    write_head(text, cause, &jobs.iter().map(|failed| failed.name).collect::<Vec<_>>())?;
    // The first job with a telling line in its log represents all.
    let telling = jobs.iter().find(|failed| failed.last.evidence.words.is_some());
    let Some(Failed { position, name, job, last }) = telling.or_else(|| jobs.first()) else { return Ok(()) };
    let verdict = &last.verdict;
    if jobs.len() > 1 {
        writeln!(text, "    for example {name}")?;
    }
    if verdict.confidence < CERTAIN {
        writeln!(text, "    confidence {:.2}", verdict.confidence)?;
    }
    if job.attempts.len() > 1 {
        let steps: Vec<String> = job.attempts.iter().map(|attempt| attempt.conditions.describe()).collect();
        writeln!(text, "    {}: {}", plural(job.attempts.len(), "attempt"), steps.join("; then "))?;
    }
    if let Some(bytes) = retry::needs_more_than(&job.attempts) {
        writeln!(text, "    it needs more than the {} that it had when it was killed", ByteSize::new(bytes))?;
    }
    let by_itself = matches!(verdict.outcome, Outcome::Failed { .. } | Outcome::Findings { .. });
    // The first reason only repeats that the program ended by itself.
    for reason in verdict.reasons.iter().skip(usize::from(by_itself)).take(5) {
        writeln!(text, "    because {reason}")?;
    }
    if verdict.outcome.is_infrastructure() || matches!(verdict.outcome, Outcome::Failed { code: 137 | 143 }) {
        for reason in verdict.ruled_out.iter().take(2) {
            writeln!(text, "            {reason}")?;
        }
    }
    if let Some(advice) = input.commands.advice(&input.run.plan.jobs[*position], verdict) {
        writeln!(text, "    to do: {advice}")?;
    }
    let log = input.run.attempt_dir(input.dir, *position, last.number).join("log");
    for line in excerpt(&log, LOG_LINES) {
        writeln!(text, "      │ {line}")?;
    }
    writeln!(text, "    more: {}", input.commands.explain(name))
}

/// Writes the jobs that passed with remarks.
pub(super) fn write_notes(text: &mut String, run: &Run) -> std::fmt::Result {
    let mut unchecked: Vec<(&str, &str)> = Vec::new();
    let mut native: Vec<(&str, String)> = Vec::new();
    let mut skipped: Vec<(&str, &str)> = Vec::new();
    for (planned, job) in run.plan.jobs.iter().zip(&run.jobs) {
        let first = || job.attempts.first().map_or_else(String::new, |first| first.verdict.outcome.describe());
        match &job.result {
            Some(JobResult::Flaky { attempt }) => {
                writeln!(text, "\n! {} is flaky: {}, then passed at attempt {attempt}", planned.name, first())?;
            }
            Some(JobResult::PassedAfterInfrastructure { attempt }) => {
                let step = job.attempts.last().map_or_else(String::new, |last| last.conditions.describe());
                writeln!(
                    text,
                    "\n! {} passed at attempt {attempt} ({step}) after the machine failed it: {}",
                    planned.name,
                    first()
                )?;
                let victim = job.attempts.iter().rev().find(|attempt| !attempt.verdict.outcome.is_pass());
                for reason in victim.iter().flat_map(|victim| &victim.verdict.reasons).take(6) {
                    writeln!(text, "    because {reason}")?;
                }
                if job.attempts.last().is_some_and(|last| last.conditions.reduced) {
                    let reduced = planned.tool.reduced_args.join(" ");
                    writeln!(text, "    with reduced checking: valgrind ran with {reduced}")?;
                }
            }
            Some(JobResult::Passed) => {
                let last = job.attempts.last().and_then(|last| last.evidence.valgrind.as_ref());
                unchecked.extend(
                    last.and_then(|valgrind| Some((planned.name.as_str(), valgrind.incomplete.first()?.as_str()))),
                );
                let suite = job.attempts.last().and_then(|last| last.evidence.suite.as_ref());
                if let Some(programs) = suite.and(last).and_then(|valgrind| valgrind.crashes_in_words()) {
                    writeln!(
                        text,
                        "\n! {} passed, although processes crashed under valgrind: {programs}",
                        planned.name
                    )?;
                }
                native.extend(
                    suite.and_then(|suite| Some((planned.name.as_str(), suite.unchecked().into_iter().next()?))),
                );
            }
            Some(JobResult::Quarantined) => {
                let last = job.attempts.last().map_or_else(String::new, |last| last.verdict.outcome.describe());
                let (until, why) = planned.quarantine.as_ref().map_or_else(Default::default, |quarantine| {
                    (quarantine.expires.clone(), quarantine.reason.clone())
                });
                writeln!(text, "\n! {} did not pass: {last}; it is in quarantine until {until}: {why}", planned.name)?;
            }
            Some(JobResult::Skipped { because }) => skipped.push((planned.name.as_str(), because.as_str())),
            Some(JobResult::Failed | JobResult::Infrastructure | JobResult::Cancelled | JobResult::NotRun { .. })
            | None => {}
        }
        for record in &job.attempts {
            if !record.evidence.leftovers.is_empty() {
                let shown = |command: &str| command.chars().take(60).collect::<String>();
                let all = &record.evidence.leftovers;
                let named = all.iter().take(MOST_LEFT).map(|left| format!("{} ({})", shown(&left.command), left.pid));
                let mut left: Vec<String> = named.collect();
                if all.len() > MOST_LEFT {
                    left.push(format!("and {} more", all.len() - MOST_LEFT));
                }
                writeln!(text, "\n! {} left processes behind, which were ended: {}", planned.name, left.join(", "))?;
            }
        }
    }
    if let Some((name, why)) = skipped.first() {
        let jobs = if skipped.len() == 1 { "job was" } else { "jobs were" };
        writeln!(text, "\n! {} {jobs} skipped, such as {name}: {why}", skipped.len())?;
    }
    if let Some((name, why)) = unchecked.first() {
        let jobs = plural(unchecked.len(), "job");
        writeln!(text, "\n! {jobs} passed without being completely checked, such as {name}: {why}")?;
    }
    for (name, why) in native.iter().take(tables::MOST_ROWS) {
        writeln!(text, "\n! {name} passed, but not all of its processes were checked: {why}")?;
    }
    for group in native::groups(run) {
        let such = run.plan.jobs.get(group.first).map_or("", |job| job.name.as_str());
        writeln!(text, "\n! {}, such as {such}: {}", group.line(), group.because)?;
    }
    for note in native::around(run).into_iter().chain(suppressions::notes(run)) {
        writeln!(text, "\n! {note}")?;
    }
    Ok(())
}

/// Writes the schedule efficiency, and the effect of more slots or memory.
pub(super) fn write_schedule(text: &mut String, run: &Run, schedule: &ScheduleReport) -> std::fmt::Result {
    let Some(started) = run.started.as_ref().filter(|_| schedule.makespan >= WORTH_A_TABLE) else { return Ok(()) };
    let time = |ms: u64| units::human(Duration::from_millis(ms));
    let bound_by = bound_by(started, schedule);
    writeln!(text, "\nschedule")?;
    writeln!(
        text,
        "  {} where {} is the least possible (ratio {:.2}): {bound_by}",
        time(schedule.makespan),
        time(schedule.lower_bound),
        schedule.ratio
    )?;
    writeln!(text, "  {}", buys(started, schedule))?;
    if schedule.repeated > 0 {
        writeln!(text, "  {} went into attempts that were repeated", time(schedule.repeated))?;
    }
    if schedule.held > 0 {
        writeln!(text, "  for {} new jobs waited for memory that was not free", time(schedule.held))?;
    }
    Ok(())
}

/// The limit that kept the run from being shorter, in words.
pub(super) fn bound_by(started: &RunStarted, schedule: &ScheduleReport) -> String {
    let (slots, memory) = (started.capacity.slots, ByteSize::new(started.capacity.memory));
    match schedule.binding {
        Binding::Slots => format!("the {} are the limit", plural(slots as usize, "slot")),
        Binding::Cores => format!("the {} are the limit", plural(started.cores.unwrap_or(1) as usize, "core")),
        Binding::Memory => format!("the memory of {memory} is the limit"),
        Binding::LongestJob => format!("{} alone takes that long", schedule.jobs.join(" ")),
        Binding::CriticalPath => format!("{} wait for one another", schedule.jobs.join(" → ")),
    }
}

/// The effect of more slots or memory, in words.
pub(super) fn buys(started: &RunStarted, schedule: &ScheduleReport) -> String {
    let time = |ms: u64| units::human(Duration::from_millis(ms));
    // Less than this is in the noise.
    let worth = |saves: &u64| *saves * 50 > schedule.makespan;
    let mut buys: Vec<String> = Vec::new();
    if worth(&schedule.one_more_slot) {
        buys.push(format!("one more core with a slot would save about {}", time(schedule.one_more_slot)));
    }
    if let Some(more) = schedule.more_memory.filter(|more| worth(&more.saves)) {
        buys.push(format!(
            "{} of memory instead of {} would save about {}",
            ByteSize::new(more.memory),
            ByteSize::new(started.capacity.memory),
            time(more.saves)
        ));
    }
    if buys.is_empty() {
        let cores = if schedule.binding == Binding::Cores { "more cores would save time; " } else { "" };
        buys.push(format!("{cores}neither one more slot nor more memory would save time"));
    }
    buys.join("; ")
}

pub(super) fn write_counts(text: &mut String, input: ReportInput<'_>) -> std::fmt::Result {
    let ReportInput { run, dir, commands: Commands { is_last, .. }, .. } = input;
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for job in &run.jobs {
        *counts.entry(job.result.as_ref().map_or("unsettled", JobResult::word)).or_default() += 1;
    }
    let order =
        ["passed", "flaky", "quarantined", "skipped", "failed", "infrastructure", "cancelled", "not-run", "unsettled"];
    let parts: Vec<String> = order
        .iter()
        .filter_map(|word| counts.get(word).map(|count| format!("{count} {}", word.replace('-', " "))))
        .collect();
    let span = u64::try_from(run.last.saturating_sub(run.began.unwrap_or(run.last))).unwrap_or_default();
    let carried = run.jobs.iter().filter(|job| job.carried_from.is_some()).count();
    let carried = if carried > 0 { format!(" ({carried} carried over from an earlier run)") } else { String::new() };
    let took = units::human(Duration::from_millis(span));
    writeln!(text, "\n{}: {}{carried} in {took}", plural(run.jobs.len(), "job"), parts.join(", "))?;
    let stopped =
        run.interrupted.is_some() || run.jobs.iter().any(|job| matches!(job.result, Some(JobResult::Cancelled)));
    if stopped && *is_last {
        writeln!(text, "resume with: {}", commands::resume())?;
    } else if *is_last && counts.keys().any(|word| !matches!(*word, "passed" | "flaky" | "quarantined" | "skipped")) {
        writeln!(text, "repeat the jobs that did not pass with: {}", commands::rerun())?;
    }
    writeln!(text, "recorded in {}, for a browser in report.html", dir.root().display())
}

/// What stands behind the last colon, unless that is within a quotation.
fn last_part(error: &str) -> &str {
    let parts = error.match_indices(": ").map(|(at, colon)| &error[at + colon.len()..]);
    parts.filter(|part| part.matches('`').count() % 2 == 0).last().unwrap_or(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_from_job_to_job_is_removed() {
        assert_eq!(
            alike("run-json: tests/run-json.c:42: assertion failed"),
            "run-json: run-json.c:N: assertion failed"
        );
        assert_eq!(alike("lost 17 of 200 at 0x4a"), "lost N of N at NxNa");
    }
}
