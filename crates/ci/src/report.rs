//! Renderers of a [`Run`](super::run::Run), and the terminal, which follows its events.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::event::RunResult;
use super::history::History;
use super::run::Run;
use super::schedule_report::{self, ScheduleReport};
use commands::Commands;
use drydock_base::paths::RunDir;
use drydock_base::units::JobName;
use findings::Causes;

pub mod annotations;
pub mod commands;
pub mod explain;
pub mod findings;
pub mod html;
pub mod json;
pub mod junit;
pub mod markdown;
mod native;
mod problems;
pub mod sarif;
mod sources;
pub mod summary;
pub mod suppressions;
mod tables;
pub mod terminal;
pub mod trace;

/// A running job, for live progress.
#[derive(Debug, Clone)]
pub struct Live {
    /// The job.
    pub job: JobName,
    /// The time since its start.
    pub elapsed: Duration,
    /// Its memory in bytes at the last sample.
    pub bytes: u64,
    /// `true` if Drydock is ending it.
    pub ending: bool,
}

/// Everything that a report of a run is rendered from.
#[derive(Debug, Clone, Copy)]
pub struct ReportInput<'a> {
    /// The commands about the run.
    pub commands: &'a Commands,
    /// The state of the run.
    pub run: &'a Run,
    /// The directory that it is kept in.
    pub dir: &'a RunDir,
    /// Its result.
    pub result: RunResult,
    /// Its findings by cause.
    pub causes: &'a Causes<'a>,
    /// The quality of its schedule, where two or more jobs ran.
    pub schedule: Option<&'a ScheduleReport>,
    /// Earlier attempts of its jobs.
    pub history: &'a History,
}

/// What [`ReportInput`] is made from, with what is computed from it once.
#[derive(Debug)]
pub struct Reports<'a> {
    commands: Commands,
    run: &'a Run,
    dir: &'a RunDir,
    history: &'a History,
    causes: Causes<'a>,
    schedule: Option<ScheduleReport>,
}

impl<'a> Reports<'a> {
    /// The reports of a run.
    pub fn new(commands: Commands, run: &'a Run, dir: &'a RunDir, history: &'a History) -> Reports<'a> {
        let (causes, schedule) = (Causes::new(run), schedule_report::assess(run));
        Reports { commands, run, dir, history, causes, schedule }
    }

    /// The input of each, with the run's result.
    pub fn input(&self, result: RunResult) -> ReportInput<'_> {
        ReportInput {
            commands: &self.commands,
            run: self.run,
            dir: self.dir,
            result,
            causes: &self.causes,
            schedule: self.schedule.as_ref(),
            history: self.history,
        }
    }
}

/// A report file in the directory of a run.
#[derive(Debug)]
pub struct Report {
    /// The file's name.
    pub file: &'static str,
    /// Writes its content.
    pub render: fn(ReportInput<'_>, &mut dyn io::Write) -> anyhow::Result<()>,
}

/// All report files of a run.
pub static REPORTS: [Report; 5] = [
    Report { file: "run.json", render: json::render },
    Report { file: "junit.xml", render: junit::render },
    Report { file: "report.html", render: |input, to| Ok(html::render(input, to)?) },
    Report { file: "run.sarif", render: |input, to| Ok(to.write_all(&sarif::render(input)?)?) },
    Report { file: "summary.txt", render: |input, to| Ok(to.write_all(summary::whole(input).as_bytes())?) },
];

/// Writes all report files, whose commands name the run: other runs follow before they are read. Returns their paths.
///
/// # Errors
/// A file cannot be written. A reader sees the old content or the new, never a part of either.
pub fn write_all(input: ReportInput<'_>) -> anyhow::Result<Vec<PathBuf>> {
    let commands = Commands { run: Some(input.dir.id()), ..input.commands.clone() };
    let input = ReportInput { commands: &commands, ..input };
    let write = |report: &Report| input.dir.write_with(report.file, |to| (report.render)(input, to));
    REPORTS.iter().map(write).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a renderer makes of a run in `/nowhere/r`.
    pub(in crate::report) fn with_input<T>(run: &Run, render: impl FnOnce(ReportInput<'_>) -> T) -> T {
        let dir = RunDir::new("/nowhere/r".into());
        let history = History::default();
        let reports = Reports::new(Commands::now(), run, &dir, &history);
        render(reports.input(run.result.unwrap_or_else(|| run.verdict(false))))
    }
}
