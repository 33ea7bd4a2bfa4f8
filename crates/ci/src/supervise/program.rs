//! The program that an attempt starts: its file, arguments and environment.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::path::Path;

use super::attempt::{Launch, StartError, job_error};
use super::nature::{Nature, Wrapped};
use super::suite;
use super::user::OtherUser;
use crate::command_line::{Place, ToolOptions, command_line};
use crate::containment::MARKER;
use crate::plan::PlannedJob;
use crate::spawn::Program;
use drydock_base::exec::{self, Programs};
use drydock_valgrind::by_suite::VARIABLE;
use drydock_valgrind::tool::Tool;

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
    let test = job.test.as_deref();
    if let Some(missing) = test.and_then(|test| test.required_files.iter().find(|file| !working.join(file).exists())) {
        return Err(job_error(format!("{missing} does not exist, which the test requires (`REQUIRED_FILES`)")));
    }
    let user = job.user.as_deref().map(|name| other_user(name, launch)).transpose()?.flatten();
    let mut set = job.env.clone();
    set.insert("DRYDOCK_JOB".into(), job.name.to_string());
    set.insert("DRYDOCK_RUN".into(), launch.run.to_owned());
    set.insert("DRYDOCK_SLOT".into(), launch.slot.to_string());
    if let Some(handed) = handed {
        set.insert(VARIABLE.into(), handed.options.clone());
    }
    set.insert(MARKER.into(), marker(launch.run, &launch.id));
    let mut environment = exec::environment(&job.pass_env, &set);
    for name in test.into_iter().flat_map(|test| &test.unset) {
        environment.remove(OsStr::new(name));
    }
    if let Some(user) = &user {
        user.settle(&mut environment, &job.env);
    }
    let search = environment.get(OsStr::new("PATH")).cloned();
    let place = Place { environment: &environment, directory: &working, began: launch.run_began };
    let options = ToolOptions::new(job, place, launch.conditions.reduced);
    let mut options = options.map_err(job_error)?;
    let mut find = |program: &str| programs.find(program, &working, search.as_ref()).map_err(job_error);
    let mut adapted = Cow::Borrowed(job);
    if job.tool.kind.is_valgrind() && !job.tool.by_suite {
        // Under a tool the program itself is an argument: look for it now, so that its absence is reported as such.
        let found = find(job.argv.first().map_or("", String::as_str))?;
        adapt(&mut adapted, &found, &mut environment, &mut options)?;
        options.found = Some(found);
    }
    let mut line = command_line(&adapted, launch.project, launch.directory.path(), &options);
    if let (Some(user), Some(first)) = (user, line.first()) {
        // What starts it would say itself that the program is not there.
        let found = find(first)?.display().to_string();
        line[0] = found;
        line.splice(0..0, user.command());
    }
    let (program, arguments) = line.split_first().ok_or_else(|| StartError::Job("its command is empty".into()))?;
    let file = find(program)?;
    let arguments = arguments.to_vec();
    let program = Program { file, arguments, directory: working, environment, output, mark: launch.mark };
    Ok((program, options))
}

/// The user of a job; `None` if it is Drydock's own. From then on the attempt's directory is that user's, for what valgrind
/// writes there.
fn other_user(name: &str, launch: &Launch<'_>) -> Result<Option<OtherUser>, StartError> {
    let user = OtherUser::find(name).map_err(job_error)?;
    let Some(user) = user else { return Ok(None) };
    user.may_use(launch.directory.path()).map_err(job_error)?;
    Ok(Some(user))
}

/// Adapts the command, its environment and the options of the tool to what the program really is.
fn adapt(
    job: &mut Cow<'_, PlannedJob>,
    found: &Path,
    environment: &mut BTreeMap<OsString, OsString>,
    options: &mut ToolOptions,
) -> Result<(), StartError> {
    let (tool, shown) = (job.tool.kind, found.display());
    match Nature::of(found) {
        Nature::Ordinary => {}
        Nature::Wrapper(Wrapped { program, libraries }) => {
            options.notes.push(format!(
                "{shown} is libtool's wrapper, so {} ran under {}",
                program.display(),
                tool.name()
            ));
            if let Some(libraries) = libraries {
                let mut paths = OsString::from(libraries);
                if let Some(own) = environment.get(OsStr::new("LD_LIBRARY_PATH")).filter(|own| !own.is_empty()) {
                    paths.push(":");
                    paths.push(own);
                }
                environment.insert("LD_LIBRARY_PATH".into(), paths);
            }
            if let Some(word) = job.to_mut().argv.first_mut() {
                *word = program.display().to_string();
            }
            options.argv = Some(job.argv.clone());
        }
        Nature::Static if tool.profiles() => {
            let by_page = options.args.iter().any(|option| option.ends_with("pages-as-heap=yes"));
            if !by_page {
                let why =
                    format!("{shown} is linked statically, so {} sees no heap of it; link it dynamically", tool.name());
                return Err(StartError::Job(why));
            }
        }
        Nature::Static => {
            if tool == Tool::Memcheck {
                // The C library inside of the program uses undefined values in ways that valgrind knows of the shared one
                // only. With origins there is no switching off.
                options.args.extend(["--track-origins=no", "--undef-value-errors=no"].map(str::to_owned));
            }
            options.unchecked = Some(format!(
                "{shown} is linked statically, so valgrind sees neither its allocations nor its locks: undefined values, \
                 the heap and leaks were not checked; link it dynamically"
            ));
        }
        Nature::Privileged => {
            return Err(StartError::Job(format!(
                "{shown} runs with the rights of its owner or group, or with capabilities, and valgrind cannot run such a \
                 program; run a copy without them, or declare `tool: none`"
            )));
        }
    }
    Ok(())
}
