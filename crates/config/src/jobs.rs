//! `ci/jobs.yaml`: the jobs with their tools and limits. The resolved and validated result.

mod declared;
mod for_each;
mod graph;
pub mod heap;
mod listed;
mod resolve;
mod rules;
mod runners;
mod suite_items;
mod tools;
pub use tools::usual_suppressions;
mod words;

pub use super::diagnostic::{Place, Problem};
pub use heap::{HeapBaseline, HeapBudget};
pub use listed::{Expected, ListedTest, Protocol, SuiteKind, TestRules, TimeoutAfter};
pub use runners::{Runner, usual_runner};

pub(crate) use declared::JobsFile;

use super::diagnostic::{Diagnostics, Problems};
use super::template::{Template, Values};
use super::{decode, yaml};
use drydock_base::hint;
use drydock_base::units::{ByteSize, JobName};
pub use drydock_valgrind::tool::Tool;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The maximum number of missing files reported for one job.
const MOST_MISSING: usize = 20;

/// All jobs of a project, validated, with every default applied.
#[derive(Debug, Clone, PartialEq)]
pub struct Suite {
    /// The file that was read, as it is shown in messages.
    pub file: PathBuf,
    /// The jobs in file order.
    pub jobs: Vec<Job>,
    /// The text of the file, to show problems that are found later at their place.
    pub text: Text,
    /// Functions that only wrap an allocator, from `tools.massif.wrappers`.
    pub wrappers: Vec<String>,
    /// The classes of machines of a plan for several machines, in file order; none if none are declared.
    pub runners: Vec<Runner>,
}

/// The text of a declaration.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Text(std::sync::Arc<str>);

/// Only its length, so that a suite can be printed.
impl std::fmt::Debug for Text {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Text({} bytes)", self.0.len())
    }
}

/// One declared job; with `for_each`, one planned job per item.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    /// The key under `jobs`.
    pub name: JobName,
    /// The command, at least one element; empty for the tests of a suite, which have their own.
    pub run: Vec<Template>,
    /// The directory to run in, relative to the project; `.` by default.
    pub directory: Template,
    /// The jobs that must have passed before.
    pub needs: Vec<JobName>,
    /// The items, if the job runs once per item.
    pub for_each: Option<ForEach>,
    /// The valgrind tool to run under.
    pub tool: JobTool,
    /// Environment variables to set: those of `defaults`, overridden by the job's own.
    pub env: BTreeMap<String, Template>,
    /// Environment variables to pass through: those of `defaults` and the job's own, sorted, each once.
    pub pass_env: Vec<String>,
    /// The time limit.
    pub timeout: Duration,
    /// The time between SIGTERM and SIGKILL.
    pub grace: Duration,
    /// The memory to reserve until the history has measurements.
    pub memory: ByteSize,
    /// True if the job itself declares `memory`.
    pub memory_declared: bool,
    /// The memory limit of the job's cgroup, if there is one.
    pub memory_limit: Option<ByteSize>,
    /// The factor of the time limits of a suite's tests under valgrind.
    pub timeout_factor: u32,
    /// The exit code that means success.
    pub expect_exit: u8,
    /// The rules by which its output decides.
    pub rules: TestRules,
    /// Names of resources that only one running job may use.
    pub locks: Vec<String>,
    /// True if no other job runs beside it.
    pub serial: bool,
    /// The user that it runs as, by name or number, if it is another one than Drydock's.
    pub user: Option<String>,
    /// The files and directories that shards share instead of running the job, relative to the project.
    pub share: Vec<String>,
    /// The retry policy.
    pub retry: Retry,
    /// The maximum size of the output that is kept.
    pub log_limit: ByteSize,
    /// The place of the declaration.
    pub place: Place,
}

/// The items of a job.
#[derive(Debug, Clone, PartialEq)]
pub struct ForEach {
    /// The source of the items.
    pub items: Items,
    /// The last part of each planned job's name, before it is made a [`JobName`] by [`JobName::slug`].
    pub name: Template,
    /// The file with properties of single items, relative to the project.
    pub properties: Option<String>,
    /// The place of the declaration.
    pub place: Place,
}

/// The source of items.
#[derive(Debug, Clone, PartialEq)]
pub enum Items {
    /// Files of the project, relative to it, sorted bytewise.
    Glob {
        /// Patterns of files to include; `*` does not cross `/`, `**` does.
        patterns: Vec<String>,
        /// Patterns of files to exclude.
        except: Vec<String>,
    },
    /// The tests of a suite.
    Suite(TestSource),
    /// The lines that a command prints, blank ones ignored.
    LinesOf {
        /// The command.
        run: Vec<Template>,
    },
}

/// The suite that items are the tests of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestSource {
    /// The kind of the suite.
    pub kind: SuiteKind,
    /// The directory, file or pattern of the declaration, relative to the project.
    pub at: String,
    /// Further arguments of the command that lists the tests.
    pub args: Vec<String>,
    /// The jobs that build what the list is read from.
    pub after: Vec<JobName>,
}

/// The tool to run a job under.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct JobTool {
    /// The tool.
    pub kind: Tool,
    /// True if the job's command starts valgrind itself.
    pub by_suite: bool,
    /// Its settings, with the job's own options.
    pub settings: ToolSettings,
    /// The budget of the heap, for massif.
    pub heap: Option<HeapBudget>,
}

/// The settings of a tool.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ToolSettings {
    /// The options of the tool, then those of the job.
    pub args: Vec<String>,
    /// Suppression files, relative to the project.
    pub suppressions: Vec<String>,
    /// True if child processes run under the tool too.
    pub trace_children: bool,
    /// Patterns of executables that do not, for `--trace-children-skip`.
    pub skip_children: Vec<String>,
    /// True if errors of programs of the system count.
    pub check_system: bool,
    /// Options that save memory and check less, for a job that ran out of memory even exclusively.
    pub reduced_args: Vec<String>,
    /// Functions that only wrap an allocator; `*` matches any characters.
    pub wrappers: Vec<String>,
}

/// The retry policy.
#[derive(Debug, Clone, PartialEq)]
pub struct Retry {
    /// The maximum number of attempts, including the first.
    pub attempts: u32,
    /// The outcomes that are retried.
    pub on: Vec<RetryOn>,
}

/// An outcome that can be retried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RetryOn {
    /// It ran longer than `timeout`.
    TimedOut,
    /// It exited with another code than `expect-exit`.
    Failed,
    /// The tool found errors.
    Findings,
    /// A signal that Drydock did not send ended it.
    Crashed,
    /// It could not allocate memory, although the machine had free memory.
    AllocationFailure,
    /// It exceeded its heap budget or memory limit.
    OverBudget,
}

/// One job to run: a declared job, or one of its items.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedItem {
    /// `build`, or `units/run-wire`.
    pub name: JobName,
    /// The item, if the job has a `for-each`.
    pub item: Option<String>,
    /// The test, if the item is one of a suite.
    pub test: Option<Box<SuiteTest>>,
    /// The reason why the suite has no list of tests yet: the item stands for all of them.
    pub unlisted: Option<String>,
}

/// A test of a suite, with the jobs of the tests that it names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SuiteTest {
    /// Its properties.
    pub listed: ListedTest,
    /// The jobs of [`ListedTest::needs`].
    pub needs: Vec<JobName>,
    /// The jobs of [`ListedTest::follows`].
    pub follows: Vec<JobName>,
}

/// A function that runs a command in the project and returns the lines of its standard output.
pub type LinesOf<'a> = dyn FnMut(&Listing) -> Result<Vec<String>, drydock_base::exec::Error> + 'a;

/// A function that lists the tests of a suite.
pub type TestsOf<'a> = dyn FnMut(&Job, &TestSource) -> Listed + 'a;

/// The tests of a suite.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listed {
    /// All of them, in the suite's order.
    Tests(Vec<ListedTest>),
    /// They cannot be listed now, for this reason: mostly, they are not built yet.
    Later(String),
}

/// The functions that list items which only other programs know.
pub struct Lister<'l, 'a> {
    /// The lines of a command.
    pub lines_of: &'l mut LinesOf<'a>,
    /// The tests of a suite.
    pub tests_of: &'l mut TestsOf<'a>,
}

/// A command that lists items.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// The command.
    pub argv: Vec<String>,
    /// The longest that it may take: the job's timeout.
    pub limit: Duration,
}

/// The error of loading a declaration.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file is missing, unreadable, too large or not text.
    #[error("cannot read {}, which `{}` writes for a project whose build system it knows", file.display(), hint::drydock(&["init"]))]
    Unreadable {
        /// The file, as it is shown.
        file: PathBuf,
        /// The cause.
        #[source]
        cause: std::io::Error,
    },
    /// The content of the file is not valid.
    #[error(transparent)]
    Invalid(#[from] Diagnostics),
}

impl PlannedItem {
    /// The values of the placeholders of this item's command.
    pub fn values(&self, jobs: usize) -> Values {
        Values { item: self.item.clone(), name: self.name.to_string(), jobs }
    }
}

impl Suite {
    /// Reads and validates a file, and checks its patterns and suppression files against the project.
    ///
    /// # Errors
    /// [`LoadError::Unreadable`], or all problems of the file at once.
    pub fn load(file: &Path, project: &Path) -> Result<Suite, LoadError> {
        let shown_as = file.strip_prefix(project).unwrap_or(file);
        match yaml::read(file) {
            Ok(Ok(text)) => Ok(Self::parse(&text, shown_as, Some(project))?),
            Ok(Err((problem, text))) => Err(Problems::from(vec![problem]).in_file(shown_as, &text).into()),
            Err(cause) => Err(LoadError::Unreadable { file: shown_as.to_owned(), cause }),
        }
    }

    /// Validates a text; with a project, its patterns and suppression files are checked too.
    ///
    /// # Errors
    /// All problems of the text at once.
    pub fn parse(text: &str, shown_as: &Path, project: Option<&Path>) -> Result<Suite, Diagnostics> {
        let mut problems = Problems::default();
        let declared: Option<JobsFile> = decode::document(text, &mut problems);
        let resolved = declared.map(|file| resolve::suite(file, project, &mut problems)).unwrap_or_default();
        let resolve::Resolved { jobs, wrappers, runners } = resolved;
        let suite = Suite { file: shown_as.to_owned(), jobs, text: Text(text.into()), wrappers, runners };
        if let Some(project) = project {
            let found = suite.plan(project, |job| for_each::expand(job, project, None));
            found.err().into_iter().flatten().for_each(|problem| problems.push(problem));
        }
        if problems.is_empty() { Ok(suite) } else { Err(problems.in_file(shown_as, text)) }
    }

    /// The planned jobs of all jobs, in file order, each with the job that it belongs to.
    ///
    /// # Errors
    /// All problems of [`Job::expand`] at once, and items that have the name of another job.
    pub fn expand(&self, project: &Path, lister: &mut Lister<'_, '_>) -> Result<Vec<(&Job, PlannedItem)>, Diagnostics> {
        self.plan(project, |job| job.expand(project, lister)).map_err(|problems| self.diagnose(problems))
    }

    /// The text of the file.
    pub fn text(&self) -> &str {
        &self.text.0
    }

    /// Shows problems of [`Job::expand`] as those of the file are shown.
    pub fn diagnose(&self, problems: Vec<Problem>) -> Diagnostics {
        Problems::from(problems).in_file(&self.file, &self.text.0)
    }

    /// Expands every job, and checks that the files that it needs exist and that all planned jobs have different names.
    fn plan(
        &self,
        project: &Path,
        mut expand: impl FnMut(&Job) -> Result<Vec<PlannedItem>, Vec<Problem>>,
    ) -> Result<Vec<(&Job, PlannedItem)>, Vec<Problem>> {
        let mut planned: Vec<(&Job, PlannedItem)> = Vec::new();
        let mut problems = Vec::new();
        for job in &self.jobs {
            match expand(job) {
                Ok(items) => {
                    problems
                        .extend(items.iter().filter_map(|item| heap::missing(job, item, project)).take(MOST_MISSING));
                    planned.extend(items.into_iter().map(|item| (job, item)));
                }
                Err(found) => problems.extend(found),
            }
        }
        let mut owners: HashMap<&JobName, &Job> = HashMap::new();
        for (job, item) in &planned {
            let Some(other) = owners.insert(&item.name, job) else {
                continue;
            };
            let place = job.for_each.as_ref().or(other.for_each.as_ref()).map_or(job.place, |items| items.place);
            let text = format!("the jobs `{}` and `{}` both plan `{}`", other.name, job.name, item.name);
            problems.push(Problem::new(place, text).help("rename one of the jobs, or set `name` in this `for-each`"));
        }
        drop(owners);
        if problems.is_empty() { Ok(planned) } else { Err(problems) }
    }
}

impl Job {
    /// The items of `for-each` in order, or one planned job without an item.
    ///
    /// # Errors
    /// No items, two items with the same name, an invalid name, a directory outside of the project, or a failing command;
    /// [`Suite::diagnose`] shows them.
    pub fn expand(&self, project: &Path, lister: &mut Lister<'_, '_>) -> Result<Vec<PlannedItem>, Vec<Problem>> {
        for_each::expand(self, project, Some(lister))
    }
}

impl Retry {
    /// One attempt.
    pub const NEVER: Self = Self { attempts: 1, on: Vec::new() };
}

#[cfg(test)]
mod tests;
