//! The annotations of a run on GitHub: at most ten errors and ten warnings, which is what GitHub shows of one step.

use super::problems::{Problem, problems};
use super::sources::Sources;
use super::{ReportInput, suppressions};
use crate::event::JobResult;
use crate::run::JobState;
use drydock_base::hint;
use drydock_base::text::plural;
use drydock_base::workflow_command::{Place, Severity, WorkflowCommand};

/// The annotations of one severity that GitHub shows of a step.
const MOST: usize = 10;
/// The number of jobs that one annotation names.
const MOST_JOBS: usize = 8;

/// The most important annotations, errors first: causes of most jobs before others, and jobs before remarks.
pub fn annotations(input: ReportInput<'_>) -> Vec<WorkflowCommand> {
    let at_most = |severity: Severity, mut all: Vec<WorkflowCommand>| {
        let more = all.len().saturating_sub(MOST);
        if more > 0 {
            let more = more + 1;
            all.truncate(MOST - 1);
            let noun = if severity == Severity::Error { "cause of failures" } else { "remark" };
            let message = format!("{} in the summary of this step and in report.html", counted(more, noun));
            all.push(annotation(severity, format!("and {more} more"), message));
        }
        all
    };
    [at_most(Severity::Error, errors(input)), at_most(Severity::Warning, warnings(input))].concat()
}

/// `2 causes of failures`.
fn counted(count: usize, noun: &str) -> String {
    match noun.split_once(' ') {
        Some((first, rest)) => format!("{} {rest}", plural(count, &format!("more {first}"))),
        None => plural(count, &format!("more {noun}")),
    }
}

fn annotation(severity: Severity, title: String, message: String) -> WorkflowCommand {
    WorkflowCommand::Annotation { severity, title, place: None, message }
}

fn errors(input: ReportInput<'_>) -> Vec<WorkflowCommand> {
    let run = input.run;
    let sources = Sources::new(&run.plan.project);
    let mut errors: Vec<WorkflowCommand> =
        problems(input).iter().map(|problem| error(problem, input, &sources)).collect();
    let not_run = named(input, |job| match &job.result {
        Some(JobResult::NotRun { because }) => Some(because.clone()),
        _ => None,
    });
    let cancelled = named(input, |job| {
        matches!(job.result, None | Some(JobResult::Cancelled)).then(|| "the run ended before they did".into())
    });
    for (what, jobs) in [("not run", not_run), ("not finished", cancelled)] {
        if let Some((_, because)) = jobs.first() {
            let message = format!("{}\n{because}", list(&jobs));
            errors.push(annotation(Severity::Error, format!("{} {what}", plural(jobs.len(), "job")), message));
        }
    }
    errors
}

fn error(problem: &Problem<'_>, input: ReportInput<'_>, sources: &Sources) -> WorkflowCommand {
    let run = input.run;
    let positions = problem.jobs();
    let names: Vec<(String, String)> =
        positions.iter().map(|job| (run.plan.jobs[*job].name.to_string(), String::new())).collect();
    let mut lines = vec![list(&names)];
    let place = match problem {
        Problem::Finding(cause) => cause.example().and_then(|finding| {
            lines.push(format!("{}, at {}", finding.what, finding.place));
            let (at, file) = sources.best(&finding.stack)?;
            Some(Place { file, line: finding.stack[at].line })
        }),
        Problem::Failure { jobs, .. } => {
            let reasons = jobs.iter().take(1).flat_map(|failed| &failed.last.verdict.reasons);
            lines.extend(reasons.take(4).map(|reason| format!("because {reason}")));
            let advice = jobs
                .first()
                .and_then(|failed| input.commands.advice(&run.plan.jobs[failed.position], &failed.last.verdict));
            lines.extend(advice.map(|advice| format!("to do: {advice}")));
            None
        }
    };
    if let Some((name, _)) = names.first() {
        lines.push(format!("to reproduce it: {}", hint::drydock(&["ci", "run"]).arg(name)));
    }
    let title = problem.title();
    WorkflowCommand::Annotation { severity: Severity::Error, title, place, message: lines.join("\n") }
}

fn warnings(input: ReportInput<'_>) -> Vec<WorkflowCommand> {
    let run = input.run;
    let first = |job: &JobState| job.attempts.first().map(|attempt| attempt.verdict.outcome.describe());
    let last = |job: &JobState| job.attempts.last().map(|attempt| attempt.verdict.outcome.describe());
    let flaky = named(input, |job| matches!(job.result, Some(JobResult::Flaky { .. })).then(|| first(job))?);
    let machine = named(input, |job| {
        matches!(job.result, Some(JobResult::PassedAfterInfrastructure { .. })).then(|| first(job))?
    });
    let quarantined = named(input, |job| matches!(job.result, Some(JobResult::Quarantined)).then(|| last(job))?);
    let unchecked = named(input, |job| {
        let passed = matches!(job.result, Some(JobResult::Passed));
        let evidence = &job.attempts.last().filter(|_| passed)?.evidence;
        let of_valgrind = evidence.valgrind.as_ref().and_then(|valgrind| valgrind.incomplete.first().cloned());
        of_valgrind.or_else(|| evidence.suite.as_ref()?.unchecked().into_iter().next())
    });
    let left = named(input, |job| {
        let left = job.attempts.iter().flat_map(|attempt| &attempt.evidence.leftovers).next()?;
        Some(format!("{} ({})", left.command, left.pid))
    });
    let kinds = [
        ("flaky", flaky),
        ("passed only after the machine failed", machine),
        ("failed, but in quarantine", quarantined),
        ("passed without being completely checked", unchecked),
        ("left processes behind", left),
    ];
    let of_jobs = kinds.into_iter().filter_map(|(what, jobs)| {
        let (_, why) = jobs.first()?;
        let message = format!("{}\n{why}", list(&jobs));
        Some(annotation(Severity::Warning, format!("{} {what}", plural(jobs.len(), "job")), message))
    });
    let of_run = run.warnings.iter().map(|text| ("warning of the run", hint::shown(text)));
    let of_suppressions = suppressions::notes(run).into_iter().map(|text| ("suppressions", text));
    let others = of_run.chain(of_suppressions);
    of_jobs.chain(others.map(|(title, text)| annotation(Severity::Warning, title.into(), text))).collect()
}

/// The names of the jobs about which there is something to say, with that.
fn named(input: ReportInput<'_>, about: impl Fn(&JobState) -> Option<String>) -> Vec<(String, String)> {
    let jobs = input.run.plan.jobs.iter().zip(&input.run.jobs);
    jobs.filter_map(|(planned, job)| Some((planned.name.to_string(), about(job)?))).collect()
}

fn list(jobs: &[(String, String)]) -> String {
    let names: Vec<&str> = jobs.iter().take(MOST_JOBS).map(|(name, _)| name.as_str()).collect();
    let more = jobs.len().saturating_sub(MOST_JOBS);
    let more = if more > 0 { format!(" … and {more} more") } else { String::new() };
    format!("{}{more}", names.join(", "))
}

#[cfg(test)]
mod tests;
