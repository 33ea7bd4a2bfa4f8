//! The output for a runner of GitHub Actions at the end of a run: foldable logs, annotations, and the step summary.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::PathBuf;

use crate::cli::Audience;
use drydock_base::hint;
use drydock_base::output;
use drydock_base::text;
use drydock_base::workflow_command::WorkflowCommand;
use drydock_ci::event::{JobResult, RunResult};
use drydock_ci::report::annotations::annotations;
use drydock_ci::report::{ReportInput, explain, markdown};

/// The number of jobs whose logs are printed.
const MOST_JOBS: usize = 40;
/// The lines of each log.
const LOG_LINES: usize = 200;

/// The environment variable that a runner sets for all that it starts.
const ACTIONS: &str = "GITHUB_ACTIONS";
/// The variable that names the file with the step summary.
const STEP_SUMMARY: &str = "GITHUB_STEP_SUMMARY";

impl Audience {
    /// Whether a runner of GitHub Actions reads the output; if so, foreign text in it can be no command from then on.
    pub(crate) fn is_github(self) -> bool {
        let is_github = match self {
            Audience::Auto => std::env::var_os(ACTIONS).is_some_and(|value| value == "true"),
            Audience::People => false,
            Audience::Github => true,
        };
        if is_github {
            output::read_by_runner();
        }
        is_github
    }
}

/// The variable with the number of the workflow run.
const RUN_ID: &str = "GITHUB_RUN_ID";

/// The output for a runner, made while the reports of the run are at hand.
pub(super) struct RunnerOutput {
    /// The headings and lines of logs.
    logs: Vec<(String, String)>,
    annotations: Vec<WorkflowCommand>,
    /// The file with the step summary and what is appended to it.
    page: Option<(PathBuf, String)>,
}

impl RunnerOutput {
    /// The output about a run that has ended.
    pub(super) fn new(input: ReportInput<'_>) -> RunnerOutput {
        let page = std::env::var_os(STEP_SUMMARY).filter(|page| !page.is_empty()).map(PathBuf::from);
        let page = page.map(|page| {
            // Steps of several commands share one summary, which has one limit.
            let used = std::fs::metadata(&page).map_or(0, |metadata| metadata.len());
            let room = markdown::LARGEST.saturating_sub(usize::try_from(used).unwrap_or(usize::MAX));
            let mut text = markdown::render(input, room);
            let id = std::env::var(RUN_ID).ok().filter(|_| input.result != RunResult::Passed);
            if let Some(id) = id.filter(|id| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit())) {
                let fetch = hint::drydock(&["ci", "fetch", &id]);
                text.push_str(&format!("\nTo look at the run with all logs on your machine: `{fetch}`\n"));
            }
            (page, text)
        });
        RunnerOutput { logs: logs(input), annotations: annotations(input), page }
    }

    /// Prints the logs, then the summary for people, then the annotations.
    pub(super) fn print(&self, summary: &str) {
        for (title, lines) in &self.logs {
            output::command(&WorkflowCommand::Group(title.clone()));
            output::out(lines);
            output::command(&WorkflowCommand::EndGroup);
        }
        output::out(summary.trim_end());
        for annotation in &self.annotations {
            output::command(annotation);
        }
        let Some((page, text)) = &self.page else { return };
        let written = OpenOptions::new().create(true).append(true).open(page);
        if let Err(error) = written.and_then(|mut file| file.write_all(text.as_bytes())) {
            output::err(format_args!("warning: cannot write the step summary to {}: {error}", page.display()));
        }
    }
}

/// The jobs that did not pass, each with its evidence and the end of its log.
fn logs(input: ReportInput<'_>) -> Vec<(String, String)> {
    let ReportInput { run, dir, causes, commands, .. } = input;
    let jobs = run.plan.jobs.iter().zip(&run.jobs).enumerate();
    let bad = jobs.filter(|(_, (_, job))| match &job.result {
        Some(JobResult::Failed | JobResult::Infrastructure | JobResult::Flaky { .. }) => true,
        Some(JobResult::Cancelled) | None => !job.attempts.is_empty(),
        Some(
            JobResult::Passed
            | JobResult::PassedAfterInfrastructure { .. }
            | JobResult::Skipped { .. }
            | JobResult::Quarantined
            | JobResult::NotRun { .. },
        ) => false,
    });
    let shown = bad.take(MOST_JOBS).map(|(position, (planned, job))| {
        let outcome = job.attempts.last().map_or_else(String::new, |last| last.verdict.outcome.describe());
        let mut lines = explain::render(run, dir, causes, commands, position);
        if let Some(last) = job.attempts.last() {
            let log = run.attempt_dir(dir, position, last.number).join("log");
            let end = text::tail(&log, LOG_LINES).unwrap_or_default();
            lines.push_str(&format!("  the last lines of {}\n", log.display()));
            end.iter().for_each(|line| lines.push_str(&format!("  │ {line}\n")));
        }
        (format!("{}: {outcome}", planned.name), lines.trim_end().to_owned())
    });
    shown.collect()
}
