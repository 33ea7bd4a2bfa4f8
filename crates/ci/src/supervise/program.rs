//! The program that an attempt starts: its file, arguments and environment.

use std::os::fd::OwnedFd;

use super::attempt::{Launch, StartError, job_error};
use super::suite;
use crate::command_line::{Place, ToolOptions, command_line};
use crate::containment::MARKER;
use crate::spawn::Program;
use drydock_base::exec::{self, Programs};
use drydock_valgrind::by_suite::VARIABLE;

/// The value of [`MARKER`] in the environment of an attempt's processes.
pub(super) fn marker(run: &str, id: &str) -> String {
    format!("{run}/{id}")
}

/// The program of an attempt, which prints to `output`, and the options of its tool.
///
/// # Errors
/// Its directory or its file does not exist, or cannot be executed.
pub(super) fn program(
    launch: &Launch<'_>,
    programs: &mut Programs,
    output: OwnedFd,
    handed: Option<&suite::Handed>,
) -> Result<(Program, ToolOptions), StartError> {
    let job = launch.job;
    if let Some(why) = job.unlisted() {
        return Err(job_error(format!("its tests cannot be listed: {why}")));
    }
    let working = launch.project.join(&job.directory);
    if !working.is_dir() {
        return Err(job_error(format!("its directory {} does not exist", working.display())));
    }
    let mut set = job.env.clone();
    set.insert("DRYDOCK_JOB".into(), job.name.to_string());
    set.insert("DRYDOCK_RUN".into(), launch.run.to_owned());
    set.insert("DRYDOCK_SLOT".into(), launch.slot.to_string());
    if let Some(handed) = handed {
        set.insert(VARIABLE.into(), handed.options.clone());
    }
    set.insert(MARKER.into(), marker(launch.run, &launch.id));
    let environment = exec::environment(&job.pass_env, &set);
    let search = environment.get(std::ffi::OsStr::new("PATH"));
    let place = Place { environment: &environment, directory: &working, began: launch.run_began };
    let options = ToolOptions::new(job, place, launch.conditions.reduced);
    let options = options.map_err(job_error)?;
    let line = command_line(job, launch.project, launch.directory.path(), &options);
    let mut find = |program: &str| programs.find(program, &working, search).map_err(job_error);
    let (program, arguments) = line.split_first().ok_or_else(|| StartError::Job("its command is empty".into()))?;
    if line.len() > job.argv.len() {
        // Under a tool the program itself is an argument: look for it now, so that its absence is reported as such.
        find(job.argv.first().map_or("", String::as_str))?;
    }
    let file = find(program)?;
    let arguments = arguments.to_vec();
    let program = Program { file, arguments, directory: working, environment, output, mark: launch.mark };
    Ok((program, options))
}
