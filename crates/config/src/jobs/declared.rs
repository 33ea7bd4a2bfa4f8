//! The vocabulary of `ci/jobs.yaml`, as it is written: each field once, with its unit and its default.

use super::runners::RunnerDeclaration;
use crate::decode::{Bounded, Entries, EnvName, Keyword, Limit, OneOrMany, Size, Spanned, declaration};
use crate::jobs::RetryOn;
use drydock_base::units::{ByteSize, JobName, Percent};
use drydock_valgrind::tool::Tool;
use std::time::Duration;

/// A text with its place.
pub(super) type Text = Spanned<String>;

declaration! {
    /// The jobs that Drydock runs in continuous integration, with their tools and limits.
    pub(in crate) struct JobsFile {
        /// The settings of jobs that do not declare their own. Default: the defaults of its fields.
        defaults: DefaultsDeclaration,
        /// The settings of the valgrind tools. Default: the defaults of their fields.
        tools: ToolsDeclaration,
        /// The classes of machines that `ci plan --github` may use, by name. Default: `hosted`, a runner of GitHub with
        /// `runs-on: ubuntu-24.04`, 4 cores and 16 GiB.
        runners: Option<Spanned<Entries<JobName, Spanned<RunnerDeclaration>>>>,
        /// The jobs by name, at least one. A name is made of letters, digits and `. _ - + @ = :`, in parts separated by
        /// `/`.
        jobs: Spanned<Entries<JobName, Spanned<JobDeclaration>>>,
    }
}

declaration! {
    /// The settings of jobs that do not declare their own.
    pub(in crate) struct DefaultsDeclaration {
        /// The time limit of a job, as a duration with units (`90s`, `2m`, `1h30m`), at most `7d`.
        timeout: Spanned<Limit> = Spanned::unwritten(Limit(Duration::from_secs(600))),
        /// The time between SIGTERM and SIGKILL, as a duration with units, at most the timeout.
        grace: Spanned<Limit> = Spanned::unwritten(Limit(Duration::from_secs(5))),
        /// The memory reserved for a job until its history has measurements, as a size with a unit (`512MiB`).
        memory: Spanned<Size> = Spanned::unwritten(Size(ByteSize::mib(512))),
        /// The maximum size of a job's output that is kept, with a unit.
        log_limit: Spanned<Size> = Spanned::unwritten(Size(ByteSize::mib(16))),
        /// Environment variables that are set for every job. Values may contain `{name}` and `{jobs}`.
        env: Entries<EnvName, Text> = Entries::new(),
        /// Environment variables that are passed through from the environment of Drydock to every job, if they are set.
        pass_env: Vec<Spanned<EnvName>> = Vec::new(),
    }
}

declaration! {
    /// The settings of the valgrind tools.
    pub(in crate) struct ToolsDeclaration {
        /// Errors of memory use. Default: the defaults of its fields.
        memcheck: ToolDeclaration,
        /// Data races, found by lock order and happens-before. Default: the defaults of its fields.
        helgrind: ToolDeclaration,
        /// Data races, found by happens-before. Default: the defaults of its fields.
        drd: ToolDeclaration,
        /// Heap use over time. Default: the defaults of its fields.
        massif: ProfilerDeclaration,
        /// Use of heap blocks by allocation site. Default: the defaults of its fields.
        dhat: ProfilerDeclaration,
    }
}

declaration! {
    /// The settings of a valgrind tool that finds errors.
    pub(in crate) struct ToolDeclaration {
        /// Options of valgrind and of the tool. Default: `[--leak-check=full]` for memcheck, otherwise none.
        args: Option<Vec<Text>>,
        /// Suppression files, relative to the project.
        suppressions: Vec<Text> = Vec::new(),
        /// True to run the children of a job under the tool too.
        trace_children: bool = true,
        /// Patterns of executables that do not run under the tool, such as `/usr/bin/*`.
        skip_children: Vec<Text> = Vec::new(),
        /// Whether errors of programs of the system around a test count, such as those of a shell and of what a script calls:
        /// with `ignore`, only those in which code of the project takes part. The command of the job itself counts, unless
        /// it is a script or a program that runs others.
        system_programs: Spanned<SystemPrograms> = Spanned::unwritten(SystemPrograms::Ignore),
        /// Options that save memory and check less, such as `--track-origins=no`: a job that ran out of memory even
        /// exclusively is run once more with them, and the report says so. `ci tune-memory JOB` finds them. Default: none,
        /// and no such run.
        reduced_args: Vec<Text> = Vec::new(),
    }
}

declaration! {
    /// The settings of a valgrind tool that profiles the heap.
    pub(in crate) struct ProfilerDeclaration {
        /// Options of valgrind and of the tool.
        args: Vec<Text> = Vec::new(),
        /// True to run the children of a job under the tool too.
        trace_children: bool = false,
        /// Patterns of executables that do not run under the tool, such as `/usr/bin/*`.
        skip_children: Vec<Text> = Vec::new(),
        /// Functions that only wrap an allocator such as malloc: reports attribute the allocation to their callers.
        /// `*` matches any characters, as in `tal_alloc_*`.
        wrappers: Vec<Text> = Vec::new(),
    }
}

declaration! {
    /// One job, or with `for-each` one job per item.
    pub(in crate) struct JobDeclaration {
        /// The command as a list of its words, without a shell. `{item}`, `{stem}`, `{dir}`, `{name}` and `{jobs}`
        /// are replaced; `{{` and `}}` stand for braces. Required, except with a `for-each` that lists the tests of a suite,
        /// which has the commands.
        run: Option<Spanned<Vec<Text>>>,
        /// The directory to run in, relative to the project and inside of it. Placeholders are replaced.
        directory: Text = Spanned::unwritten(".".to_owned()),
        /// The jobs that must have passed before.
        needs: Vec<Spanned<JobName>> = Vec::new(),
        /// The items, if the job runs once per item. Default: it runs once.
        for_each: Option<Spanned<ForEachDeclaration>>,
        /// The tool of valgrind to run under.
        tool: Spanned<Tool> = Spanned::unwritten(Tool::None),
        /// Who starts valgrind, only with a `tool`: with `wrap`, Drydock runs the command under it. With `by-suite`, the
        /// command starts valgrind itself, for as many processes as it likes; Drydock passes it the options of the tool in
        /// `VALGRIND_OPTS`, and collects the logs of all these processes.
        valgrind: Spanned<ValgrindStart> = Spanned::unwritten(ValgrindStart::Wrap),
        /// Options of valgrind and the tool for this job, after those of `tools`.
        tool_args: Spanned<Vec<Text>> = Spanned::unwritten(Vec::new()),
        /// Environment variables that are set, overriding those of `defaults`. Placeholders in values are replaced.
        env: Entries<EnvName, Text> = Entries::new(),
        /// Environment variables that are passed through from the environment of Drydock, in addition to those of `defaults`.
        pass_env: Vec<Spanned<EnvName>> = Vec::new(),
        /// The time limit of the job, as a duration with units, at most `7d`. Default: that of
        /// `defaults`.
        timeout: Option<Spanned<Limit>>,
        /// The time between SIGTERM and SIGKILL, as a duration with units, at most the timeout. Default: that of
        /// `defaults`, or the timeout where that is shorter.
        grace: Option<Spanned<Limit>>,
        /// The memory reserved until the history has measurements, as a size with a unit. Default: that of `defaults`, or
        /// the memory limit where that is lower.
        memory: Option<Spanned<Size>>,
        /// The hard limit on the memory of the job and all its children, as a size with a unit, at least `1MiB`.
        /// Default: none.
        memory_limit: Option<Spanned<Size>>,
        /// The heap budget, only with `tool: massif`. Default: no limit.
        heap: Option<Spanned<HeapDeclaration>>,
        /// The factor of the time limits that a test suite declares, under a tool of valgrind: 1 to 1000.
        timeout_factor: Spanned<Bounded<1, 1000>> = Spanned::unwritten(Bounded(10)),
        /// The exit code that means success.
        expect_exit: Bounded<0, 255> = Bounded(0),
        /// Exit codes that mean that the job was skipped: it neither passed nor failed. A test suite may name others.
        skip_exit: Vec<Spanned<Bounded<1, 255>>> = Vec::new(),
        /// A regular expression that must match the output. Default: none.
        expect_output: Option<Text>,
        /// True if the job may pass although its output reports that no test ran.
        allow_no_tests: bool = false,
        /// Names of resources, such as a port, that only one running job may use.
        locks: Vec<Text> = Vec::new(),
        /// True if no other job may run beside this one.
        serial: bool = false,
        /// The user that the command runs as, by name or number, such as `nobody`; Drydock must be root for that. Default:
        /// that of Drydock.
        user: Option<Text>,
        /// Files and directories, relative to the project, that the job makes and that jobs which need it use. With
        /// `ci plan --github`, the job runs once, and shards get these instead of running it. Default: none, and each shard
        /// that needs the job runs it.
        share: Vec<Text> = Vec::new(),
        /// The retry policy; a job that passes only when retried is reported as flaky. Default: never retried.
        retry: Option<RetryDeclaration>,
        /// The maximum size of the output that is kept, with a unit. Default: that of `defaults`.
        log_limit: Option<Spanned<Size>>,
    }
}

declaration! {
    /// The source of items: exactly one of `glob`, `lines-of`, and the test suites `ctest`, `meson`, `automake`, `pytest`,
    /// `cargo-test`, `tap` and `make`. Of a suite, each test becomes a job with its own properties.
    pub(in crate) struct ForEachDeclaration {
        /// A pattern of files relative to the project, or a list of them: `*` stays in one directory, `**` crosses directories.
        glob: Option<Spanned<OneOrMany<Text>>>,
        /// Patterns of files to exclude, only with `glob`.
        except: Spanned<Vec<Text>> = Spanned::unwritten(Vec::new()),
        /// A command that prints one item per line. Only `{name}` is replaced.
        lines_of: Option<Spanned<Vec<Text>>>,
        /// The build directory of a CMake project: its tests, as CTest lists them.
        ctest: Option<Text>,
        /// The build directory of a Meson project: its tests.
        meson: Option<Text>,
        /// The build directory of an automake project, below which all directories with a `Makefile` are searched: their
        /// `TESTS`.
        automake: Option<Text>,
        /// The directory or file that pytest is to search: the tests that it collects.
        pytest: Option<Text>,
        /// The directory of a Cargo package or workspace: the tests of its libraries, programs and integration tests, and one
        /// job for the documentation tests of each library.
        cargo_test: Option<Text>,
        /// A pattern of programs or scripts that print TAP, as `prove` runs them.
        tap: Option<Text>,
        /// A target of the Makefile in `directory`: the prerequisites of it that make would run, each by its own commands.
        make: Option<Text>,
        /// Further arguments of the command that lists the tests, only with a suite: `[-C, Debug]` for ctest, `[-m, fast]` for
        /// pytest, `[--setup, valgrind]` for Meson, `[--features, x]` for Cargo, `[-I, lib]` for Perl scripts with `tap`.
        args: Spanned<Vec<Text>> = Spanned::unwritten(Vec::new()),
        /// The jobs that build what the list is read from, only with a suite: they run before the tests are listed, and the
        /// tests need them.
        after: Spanned<Vec<Spanned<JobName>>> = Spanned::unwritten(Vec::new()),
        /// A file with properties of single items, relative to the project: under `tests`, names or globs of the last part of
        /// their jobs' names, each with `locks`, `serial`, `user`, `timeout`, `memory`, `env`, `skip-exit`, `expect`,
        /// `disabled` or `without-tool`.
        properties: Option<Text>,
        /// The last part of the name of each item's job, made of `{item}`, `{stem}` and `{dir}`. Default: `{stem}` with
        /// `glob`, otherwise `{item}`, which for a suite is the name of the test.
        name: Option<Text>,
    }
}

declaration! {
    /// The heap budget: `limit`, `baseline`, or both. The peak is the largest snapshot of any process, including the
    /// overhead of the allocator.
    pub(in crate) struct HeapDeclaration {
        /// The largest peak that passes, as a size with a unit. Default: none.
        limit: Option<Spanned<Size>>,
        /// A massif file, relative to the project, whose peak may be exceeded by at most `tolerance`. Placeholders are
        /// replaced. `cargo xtask ci massif baseline JOB` writes it. Default: none.
        baseline: Option<Text>,
        /// The permitted increase over the peak of `baseline`, in percent. Massif itself measures a peak only within 1 %,
        /// unless it runs with `--peak-inaccuracy=0.0`. Default: `2%`.
        tolerance: Option<Spanned<Percent>>,
    }
}

declaration! {
    /// The retry policy of a job.
    pub(in crate) struct RetryDeclaration {
        /// The maximum number of attempts, including the first: 2 to 10.
        attempts: Spanned<Bounded<2, 10>>,
        /// The outcomes that are retried, at least one.
        on: Spanned<Vec<Spanned<RetryOn>>>,
    }
}

impl Keyword for Tool {
    const WHAT: &'static str = "a tool";
    const WORDS: &'static [(&'static str, Self)] = &Tool::WORDS;
    // Without an option, valgrind is memcheck.
    const MEANT: &'static [(&'static str, &'static str)] = &[("valgrind", "memcheck"), ("leak-check", "memcheck")];
}

/// Who starts valgrind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ValgrindStart {
    /// Drydock.
    Wrap,
    /// The job's command.
    BySuite,
}

impl Keyword for ValgrindStart {
    const WHAT: &'static str = "a way to start valgrind";
    const WORDS: &'static [(&'static str, Self)] = &[("wrap", Self::Wrap), ("by-suite", Self::BySuite)];
}

/// Whether errors of programs of the system count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SystemPrograms {
    /// Only with code of the project.
    Ignore,
    /// As those of all others.
    Check,
}

impl Keyword for SystemPrograms {
    const WHAT: &'static str = "a treatment of programs of the system";
    const WORDS: &'static [(&'static str, Self)] = &[("ignore", Self::Ignore), ("check", Self::Check)];
}

impl Keyword for RetryOn {
    const WHAT: &'static str = "an outcome that can be retried";
    const WORDS: &'static [(&'static str, Self)] = &[
        ("timed-out", Self::TimedOut),
        ("failed", Self::Failed),
        ("findings", Self::Findings),
        ("crashed", Self::Crashed),
        ("allocation-failure", Self::AllocationFailure),
        ("over-budget", Self::OverBudget),
    ];
}
