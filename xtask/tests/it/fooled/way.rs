//! One row of the table: a job that tries to fool the supervisor, and what is right.

#![allow(dead_code, reason = "not every kind of row needs every part")]

use std::path::{Path, PathBuf};

use crate::support::{Finished, JobJson, Process, processes_with};

/// A way to fool the supervisor: one job with its files, and what must be said of it.
///
/// Each row has a directory of its own, in which its job runs and in which its files are. Rows with equal heads,
/// arguments and environments are jobs of one call of `ci`, unless they are exclusive.
pub(crate) struct Way {
    /// Set by the table.
    pub(crate) kind: &'static str,
    /// The name of the row, of its job and of its directory: letters, digits and `-`.
    pub(crate) name: &'static str,
    /// The fields of the job in YAML, as they stand between braces. `{marker}` is a word that no other process has.
    pub(crate) job: String,
    /// The text of `ci/jobs.yaml` before `jobs:`, such as `tools: {…}`.
    pub(crate) head: String,
    /// Further jobs, as lines of YAML, which may be needed by this one.
    pub(crate) beside: String,
    /// Files by their path within the row's directory.
    pub(crate) files: Vec<(&'static str, Vec<u8>)>,
    /// C programs by their path within the row's directory, with their source.
    pub(crate) programs: Vec<(&'static str, String)>,
    /// Whatever else has to be done to the row's directory before the call.
    pub(crate) prepare: Option<fn(&Path)>,
    /// Further arguments of `ci`.
    pub(crate) arguments: Vec<String>,
    /// Variables in the environment of `ci`. `{directory}` is the row's directory.
    pub(crate) environment: Vec<(&'static str, String)>,
    /// A command that calls `ci` instead of the test, such as `script`; `{call}` is the call as one word for a shell.
    pub(crate) through: Vec<&'static str>,
    /// Tools that the row needs, with their Debian packages.
    pub(crate) needs: Vec<(&'static str, &'static str)>,
    /// Whether the job is the only one of its call.
    pub(crate) exclusive: bool,
    /// The verdicts that are right: `passed`, `findings{1}` or, for any number, `findings`; `exit 3` if `ci` refused
    /// before any job.
    pub(crate) right: Vec<&'static str>,
    pub(crate) checks: Vec<Check>,
}

/// A check beyond the verdict.
pub(crate) struct Check {
    /// The words for a failure, such as `the log contains "x"`.
    pub(crate) what: String,
    pub(crate) holds: Box<dyn Fn(&Seen<'_>) -> bool + Send + Sync>,
}

/// What the checks look at, after the call has ended.
pub(crate) struct Seen<'a> {
    /// The project.
    pub(crate) project: &'a Path,
    /// The directory of the run, `runs/latest`.
    pub(crate) run: PathBuf,
    /// The directory of the job's first attempt.
    pub(crate) attempt: PathBuf,
    /// The job in `run.json`.
    pub(crate) job: Option<&'a JobJson>,
    /// What the call of `ci` printed, and its exit code.
    pub(crate) finished: &'a Finished,
    /// The word for `{marker}`.
    pub(crate) marker: &'a str,
}

impl Seen<'_> {
    /// The job's log.
    pub(crate) fn log(&self) -> Vec<u8> {
        std::fs::read(self.attempt.join("log")).unwrap_or_default()
    }

    /// A report of the run, such as `junit.xml`.
    pub(crate) fn report(&self, name: &str) -> String {
        std::fs::read_to_string(self.run.join(name)).unwrap_or_default()
    }

    /// All reasons of the job's first verdict, one a line.
    pub(crate) fn reasons(&self) -> String {
        let attempt = self.job.and_then(|job| job.attempts.first());
        attempt.map(|attempt| attempt.reasons.join("\n")).unwrap_or_default()
    }
}

impl Way {
    /// A row whose job has these fields (`run: [./x], tool: memcheck`), and the verdict that is right.
    pub(crate) fn new(name: &'static str, job: &str, right: &'static str) -> Self {
        Self {
            kind: "",
            name,
            job: job.to_owned(),
            head: String::new(),
            beside: String::new(),
            files: Vec::new(),
            programs: Vec::new(),
            prepare: None,
            arguments: Vec::new(),
            environment: Vec::new(),
            through: Vec::new(),
            needs: Vec::new(),
            exclusive: false,
            right: vec![right],
            checks: Vec::new(),
        }
    }

    /// A further verdict that is right.
    pub(crate) fn or(mut self, right: &'static str) -> Self {
        self.right.push(right);
        self
    }

    /// Adds fields of the job in YAML.
    pub(crate) fn with(mut self, fields: &str) -> Self {
        self.job.push_str(&format!(", {fields}"));
        self
    }

    /// The text of `ci/jobs.yaml` before `jobs:`.
    pub(crate) fn head(mut self, yaml: &str) -> Self {
        yaml.clone_into(&mut self.head);
        self
    }

    /// A further job: its name and its fields as they stand between braces.
    pub(crate) fn beside(mut self, name: &str, job: &str) -> Self {
        self.beside.push_str(&format!("  {name}: {{{job}}}\n"));
        self
    }

    /// Adds a file; one that begins with `#!` is executable.
    pub(crate) fn file(mut self, path: &'static str, contents: impl Into<Vec<u8>>) -> Self {
        self.files.push((path, contents.into()));
        self
    }

    /// Adds a C program, compiled with `gcc -g -O0 -fno-builtin -pthread`.
    pub(crate) fn c(mut self, path: &'static str, source: &str) -> Self {
        self.programs.push((path, source.to_owned()));
        self
    }

    /// Does something to the row's directory before the call, after its files are there.
    pub(crate) fn prepare(mut self, act: fn(&Path)) -> Self {
        self.prepare = Some(act);
        self
    }

    /// Adds arguments of `ci`.
    pub(crate) fn args(mut self, arguments: &[&str]) -> Self {
        self.arguments.extend(arguments.iter().map(|argument| (*argument).to_owned()));
        self
    }

    /// Sets a variable in the environment of `ci`.
    pub(crate) fn env(mut self, name: &'static str, value: &str) -> Self {
        self.environment.push((name, value.to_owned()));
        self
    }

    /// Calls `ci` by way of another command.
    pub(crate) fn through(mut self, command: &[&'static str]) -> Self {
        self.through = command.to_vec();
        self
    }

    pub(crate) fn needs(mut self, tool: &'static str, package: &'static str) -> Self {
        self.needs.push((tool, package));
        self
    }

    /// Makes the job the only one of its call.
    pub(crate) fn exclusive(mut self) -> Self {
        self.exclusive = true;
        self
    }

    /// Adds a check of any kind.
    pub(crate) fn check(
        mut self,
        what: impl Into<String>,
        holds: impl Fn(&Seen<'_>) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.checks.push(Check { what: what.into(), holds: Box::new(holds) });
        self
    }

    /// The job's log contains these bytes.
    pub(crate) fn log_has(self, bytes: &[u8]) -> Self {
        let what = format!("its log contains {:?}", String::from_utf8_lossy(bytes));
        let bytes = bytes.to_vec();
        self.check(what, move |seen| seen.log().windows(bytes.len()).any(|window| window == bytes))
    }

    /// A reason of the verdict contains these words.
    pub(crate) fn reason(self, words: &'static str) -> Self {
        self.check(format!("a reason says {words:?}"), move |seen| seen.reasons().contains(words))
    }

    /// The call printed these words.
    pub(crate) fn says(self, words: &'static str) -> Self {
        self.check(format!("`ci` says {words:?}"), move |seen| seen.finished.transcript().contains(words))
    }

    /// A report of the run contains these words.
    pub(crate) fn report_has(self, name: &'static str, words: &'static str) -> Self {
        self.check(format!("{name} contains {words:?}"), move |seen| seen.report(name).contains(words))
    }

    /// No process that has `{marker}` among its arguments outlives the call.
    pub(crate) fn nothing_left(self) -> Self {
        self.check("no process is left", |seen| {
            let left = processes_with(seen.marker);
            left.iter().for_each(Process::kill);
            left.is_empty()
        })
    }
}
