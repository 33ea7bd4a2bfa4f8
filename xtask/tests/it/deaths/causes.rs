//! The table: each way to die as one job, with the verdicts that are right for it.

use super::matrix::Column;

/// One row: a job, with its accepted verdicts.
#[derive(Clone, Copy)]
pub(crate) struct Cause {
    /// Name of the row and of the job.
    pub(crate) name: &'static str,
    /// Arguments of `mortal`; `{scratch}` is a path that nothing else uses.
    pub(crate) args: &'static [&'static str],
    /// Further fields of the job, in YAML.
    pub(crate) settings: &'static str,
    /// The limit of the job's own group. Without containment, one around all of `xtask`.
    pub(crate) limit: Option<&'static str>,
    pub(crate) company: Company,
    /// The job runs a program that does not exist.
    pub(crate) missing: bool,
    /// The test kills the job from outside, once.
    pub(crate) killed: bool,
    /// The job leaves a process behind, which must be named.
    pub(crate) leftover: bool,
    /// Words that would be untrue among the reasons.
    pub(crate) untrue: Option<&'static str>,
    right: [&'static [&'static str]; 3],
}

/// The jobs that run together with a job. An OOM kill must be attributable to one job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Company {
    /// With all others of this kind.
    Together,
    /// As the only job of its run.
    Exclusive,
    /// At the same time as all others of this kind, where groups keep them apart.
    Crowd,
}

impl Cause {
    const fn new(name: &'static str, args: &'static [&'static str], right: &'static [&'static str]) -> Self {
        Self {
            name,
            args,
            settings: "",
            limit: None,
            company: Company::Together,
            missing: false,
            killed: false,
            leftover: false,
            untrue: None,
            right: [right; 3],
        }
    }

    const fn with(mut self, settings: &'static str) -> Self {
        self.settings = settings;
        self
    }

    const fn limited(mut self, limit: &'static str, company: Company) -> Self {
        self.limit = Some(limit);
        self.company = company;
        self
    }

    const fn company(mut self, company: Company) -> Self {
        self.company = company;
        self
    }

    const fn missing(mut self) -> Self {
        self.missing = true;
        self
    }

    const fn killed(mut self) -> Self {
        self.killed = true;
        self
    }

    const fn leftover(mut self) -> Self {
        self.leftover = true;
        self
    }

    const fn never_says(mut self, words: &'static str) -> Self {
        self.untrue = Some(words);
        self
    }

    /// The right verdicts in that column.
    pub(crate) fn right(&self, column: Column) -> &'static [&'static str] {
        self.right[column as usize]
    }
}

/// The verdicts on a program that kills itself by SIGKILL, which the kernel does not distinguish from a kill by others.
const SELF_KILL: &[&str] = &["killed-from-outside{9}", "crashed{9}"];
const OUTSIDE: &[&str] = &["killed-from-outside{9}"];
const OOM: &[&str] = &["out-of-memory"];
const TIMED_OUT: &[&str] = &["timed-out"];

/// The rows, in the order of the matrix.
pub(crate) const CAUSES: &[Cause] = &[
    Cause::new("exit-0", &["exit", "0"], &["passed"]),
    Cause::new("exit-1", &["exit", "1"], &["failed{1}"]),
    Cause::new("exit-7", &["exit", "7"], &["failed{7}"]),
    // Literals that look like a shell's account of SIGKILL and SIGTERM, and are none.
    Cause::new("exit-137", &["exit", "137"], &["failed{137}"]),
    Cause::new("exit-143", &["exit", "143"], &["failed{143}"]),
    Cause::new("missing-program", &[], &["failed-to-start"]).missing(),
    Cause::new("leak", &["leak"], &["findings{1}"]).with("tool: memcheck"),
    Cause::new("invalid-read", &["invalid-read"], &["findings{1}"]).with("tool: memcheck"),
    Cause::new("clean-memcheck", &["exit", "0"], &["passed"]).with("tool: memcheck"),
    Cause::new("segv", &["segv"], &["crashed{11}"]),
    Cause::new("segv-memcheck", &["segv"], &["crashed{11}"]).with("tool: memcheck"),
    Cause::new("abort", &["abort"], &["crashed{6}"]),
    Cause::new("self-sigkill", &["selfkill", "1"], SELF_KILL),
    Cause::new("sigkill", &["sleep-once", "{scratch}", "60"], OUTSIDE).killed(),
    Cause::new("sigkill-memcheck", &["sleep-once", "{scratch}", "60"], OUTSIDE).with("tool: memcheck").killed(),
    Cause::new("malloc-failure", &["as-limit", "64"], &["allocation-failure"]),
    Cause::new("timeout-obeyed", &["obey-term", "60"], TIMED_OUT)
        .with("timeout: 2s, grace: 2s")
        .never_says("soon enough after SIGTERM"),
    Cause::new("timeout-ignored", &["ignore-term", "60"], TIMED_OUT)
        .with("timeout: 1s, grace: 1s")
        .never_says("ended on SIGTERM"),
    Cause::new("timeout-memcheck", &["obey-term", "60"], TIMED_OUT).with("tool: memcheck, timeout: 6s, grace: 6s"),
    Cause::new("timeout-200-children", &["fork", "200", "60"], TIMED_OUT).with("timeout: 2s, grace: 1s"),
    // The main process obeys, its children do not.
    Cause::new("timeout-orphans", &["fork", "20", "60", "stubborn"], TIMED_OUT)
        .with("timeout: 2s, grace: 2s")
        .never_says("soon enough after SIGTERM"),
    Cause::new("daemon", &["daemon", "60", "keep"], &["passed"]).leftover(),
    Cause::new("daemon-silent", &["daemon", "60", "close"], &["passed"]).leftover(),
    Cause::new("oom", &["hog", "400"], OOM).limited("96MiB", Company::Exclusive),
    Cause::new("oom-grandchild", &["grandchild-hog", "400"], OOM).limited("96MiB", Company::Exclusive),
    Cause::new("oom-memcheck", &["hog", "800"], OOM).with("tool: memcheck").limited("192MiB", Company::Exclusive),
    Cause::new("both-oom", &["hog", "400"], OOM).limited("64MiB", Company::Crowd),
    Cause::new("both-self-sigkill", &["selfkill", "1"], SELF_KILL).company(Company::Crowd),
    Cause::new("both-exit-1", &["exit", "1"], &["failed{1}"]).company(Company::Crowd),
];
