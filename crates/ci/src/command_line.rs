//! The valgrind command line of a planned job (valgrind manual, chapter 2).

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use drydock_valgrind::leak_kinds::{LeakKinds, count_no_leaks, show_what_counts};
use drydock_valgrind::options::{self, Surroundings, SurroundingsError};
use drydock_valgrind::tool::Tool;

use crate::plan::{PlannedJob, PlannedTool};

/// The exit code by which valgrind says that it counted errors, where a job needs one and declares none; or the next
/// one, if this means success.
const ERROR_EXIT: i32 = 99;

/// The surroundings of a job, from which valgrind takes options.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The variables that the job is started with.
    pub environment: &'a BTreeMap<OsString, OsString>,
    /// The directory that it is started in.
    pub directory: &'a Path,
    /// The beginning of the run.
    pub began: SystemTime,
}

/// The options of valgrind that decide what it counts, in the order in which it reads them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ToolOptions {
    /// The options, the strongest last.
    pub args: Vec<String>,
    /// Whether they were told to give programs with errors an exit code of the project's choice.
    pub declares_exit: bool,
    /// What the surroundings and the program changed, as sentences.
    pub notes: Vec<String>,
    /// The command that runs under the tool, if another than the declared one.
    pub argv: Option<Vec<String>>,
    /// The file that the command was found as, where Drydock starts it under the tool.
    pub found: Option<PathBuf>,
    /// What the tool cannot check of this program, and why.
    pub unchecked: Option<String>,
}

impl ToolOptions {
    /// Joins the options of the surroundings with the declared ones, and adds those that make valgrind show all errors
    /// that it counts, or say by its exit status that there are some. With `reduced`, the declared `reduced-args` come
    /// last.
    ///
    /// # Errors
    /// A file of the surroundings cannot be used.
    pub fn new(job: &PlannedJob, place: Place<'_>, reduced: bool) -> Result<ToolOptions, SurroundingsError> {
        let tool = &job.tool;
        if !tool.kind.is_valgrind() {
            return Ok(ToolOptions::default());
        }
        if tool.by_suite {
            return Ok(ToolOptions { args: tool.options(reduced), ..ToolOptions::default() });
        }
        let variable = |name: &str| place.environment.get(OsStr::new(name)).map(OsString::as_os_str);
        let Surroundings { options: mut args, notes } =
            Surroundings::read(tool.kind, variable("HOME"), variable("VALGRIND_OPTS"), place.directory, place.began)?;
        let declared = tool.options(reduced);
        args.extend(declared.into_iter().filter(|option| options::treatment(tool.kind, option).is_none()));
        if tool.kind == Tool::Memcheck {
            args.extend(show_what_counts(&args));
        }
        let declares_exit = options::error_exit(tool.kind, &args).is_some();
        let wanted = match options::error_exit(tool.kind, &args) {
            // Errors must not look like success.
            Some(code) => code == job.expect_exit,
            None => needs_error_exit(tool, &args),
        };
        if tool.kind.finds_errors() && wanted {
            let code = if job.expect_exit == ERROR_EXIT { ERROR_EXIT + 1 } else { ERROR_EXIT };
            args.push(format!("--error-exitcode={code}"));
        }
        if options::error_exit(tool.kind, &args).is_some() && !LeakKinds::from_args(&args).at_end() {
            args.push(count_no_leaks());
        }
        Ok(ToolOptions { args, declares_exit, notes, ..ToolOptions::default() })
    }
}

/// Whether only the exit status tells that there are errors: valgrind ends the program at the first, which it does not do
/// without such a code, or writes leaks to a file of another format.
fn needs_error_exit(tool: &PlannedTool, args: &[String]) -> bool {
    let says_yes = |name| options::last(tool.kind, args, name).as_deref() == Some("yes");
    says_yes("--exit-on-first-error") || says_yes("--xtree-leak")
}

/// The job's command, with its tool in front unless the command starts valgrind itself. The tool's files go to `directory`,
/// one a process.
pub fn command_line(job: &PlannedJob, project: &Path, directory: &Path, options: &ToolOptions) -> Vec<String> {
    let tool = &job.tool;
    if !tool.kind.is_valgrind() || tool.by_suite {
        return job.argv.clone();
    }
    // The surroundings were read before; the children of the job must not have others.
    let mut line = vec!["valgrind".to_owned(), "--command-line-only=yes".to_owned()];
    line.extend(tool.kind.options(directory));
    line.push(format!("--trace-children={}", if tool.trace_children { "yes" } else { "no" }));
    if tool.trace_children && !tool.skip_children.is_empty() {
        line.push(format!("--trace-children-skip={}", tool.skip_children.join(",")));
    }
    for file in &tool.suppressions {
        line.push(format!("--suppressions={}", project.join(file).display()));
    }
    line.extend(options.args.iter().cloned());
    line.push("--".into());
    line.extend(job.argv.iter().cloned());
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[track_caller]
    fn check(tool: Tool, declared: &[&str], expect_exit: i32, expected: &[&str]) {
        let mut job = PlannedJob { expect_exit, ..PlannedJob::plain("a", "a", &[]) };
        job.tool_mut().kind = tool;
        job.tool_mut().args = declared.iter().map(|option| (*option).to_owned()).collect();
        let nowhere = tempfile::tempdir().unwrap();
        let environment = BTreeMap::from([("HOME".into(), nowhere.path().into())]);
        let began = SystemTime::now() + Duration::from_secs(60);
        let place = Place { environment: &environment, directory: nowhere.path(), began };
        assert_eq!(ToolOptions::new(&job, place, false).unwrap().args, expected);
    }

    #[test]
    fn the_exit_status_is_used_only_where_the_log_does_not_tell() {
        check(Tool::Memcheck, &["-q", "--leak-check=full"], 0, &["--leak-check=full"]);
        check(Tool::Drd, &["--exit-on-first-error=yes"], 0, &["--exit-on-first-error=yes", "--error-exitcode=99"]);
        check(Tool::Memcheck, &["--xtree-leak=yes"], 99, &["--xtree-leak=yes", "--error-exitcode=100"]);
        check(Tool::Memcheck, &["--error-exitcode=256"], 0, &["--error-exitcode=256", "--error-exitcode=99"]);
        check(Tool::Memcheck, &["--error-exitcode=7"], 0, &["--error-exitcode=7"]);
        check(
            Tool::Memcheck,
            &["--error-exitcode=7", "--leak-check=no"],
            0,
            &["--error-exitcode=7", "--leak-check=no", "--errors-for-leak-kinds=none"],
        );
        check(Tool::Massif, &["--quiet", "--stacks=yes"], 0, &["--stacks=yes"]);
    }

    #[test]
    fn every_leak_that_counts_is_shown() {
        let declared = "--errors-for-leak-kinds=definite,indirect";
        check(Tool::Memcheck, &[declared], 0, &[declared, "--show-leak-kinds=definite,indirect,possible"]);
        check(Tool::Helgrind, &[declared], 0, &[declared]);
    }
}
