//! The plan: a complete description of the jobs of a run, printed by `--dry-run` and stored with the run.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use drydock_base::hint;
use drydock_base::units::{ByteSize, JobName, Percent, millis};
use drydock_config::diagnostic::Diagnostics;
use drydock_config::jobs::{Job, JobTool, ListedTest, Lister, PlannedItem, RetryOn, Suite, TestRules};
use drydock_config::template::Values;
use drydock_valgrind::tool::Tool;

mod baseline;
mod properties;
mod recognised;
mod suite;

pub use suite::{Native, PlannedTest};

/// The version of the files that hold plans.
pub const FORMAT: u32 = 1;

/// All jobs of one run, each with everything resolved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Plan {
    /// [`FORMAT`].
    pub format: u32,
    /// The work tree that the jobs run in.
    pub project: PathBuf,
    /// The declaration that the plan was made from.
    pub declaration: PathBuf,
    /// In declaration order; the items of a `for-each` in theirs.
    pub jobs: Vec<PlannedJob>,
    /// `true` if jobs of the declaration were left out.
    #[serde(default)]
    pub partial: bool,
    /// The tests of each suite as they were listed, by the job that declares it.
    #[serde(default)]
    pub lists: BTreeMap<JobName, Vec<ListedTest>>,
}

/// One job as it will be started.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct PlannedJob {
    /// `build`, or `units/run-wire` for an item.
    pub name: JobName,
    /// The declared job that it comes from, which `needs` refers to.
    pub group: JobName,
    /// The command, without the tool in front.
    pub argv: Vec<String>,
    /// The directory to run in, relative to the project.
    pub directory: PathBuf,
    /// Declared variables.
    pub env: BTreeMap<String, String>,
    /// Variables handed through from Drydock's own environment.
    pub pass_env: Vec<String>,
    /// The groups that must have passed before.
    pub needs: Vec<JobName>,
    /// The tool that it runs under. Neighbours in the plan share it where it is the same, and their `rules`.
    pub tool: Arc<PlannedTool>,
    /// Limit of the wall time, in milliseconds.
    #[serde(with = "millis")]
    pub timeout: Duration,
    /// Between TERM and KILL, in milliseconds.
    #[serde(with = "millis")]
    pub grace: Duration,
    /// The declared reservation, in bytes.
    pub memory: ByteSize,
    /// `true` if the job itself declares it; otherwise it is a default that does not describe this job.
    pub memory_declared: bool,
    /// The hard ceiling of the job's own cgroup, in bytes.
    pub memory_limit: Option<ByteSize>,
    /// The exit code that means success.
    pub expect_exit: i32,
    /// Attempts in all, when the outcome is one of `retry-on`.
    pub attempts: u32,
    /// The outcomes that are retried.
    pub retry_on: Vec<RetryOn>,
    /// The most output that is kept, in bytes.
    pub log_limit: ByteSize,
    /// The rules by which its output decides, and the end that its suite expects.
    #[serde(default, skip_serializing_if = "is_default")]
    pub rules: Arc<TestRules>,
    /// Names of resources that only one running job may use.
    #[serde(default, skip_serializing_if = "is_default")]
    pub locks: Vec<String>,
    /// `true` if no other job runs beside it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub serial: bool,
    /// The user that it runs as, if it is another one than Drydock's.
    #[serde(default, skip_serializing_if = "is_default")]
    pub user: Option<String>,
    /// The files and directories that shards share instead of running the job, relative to the project.
    #[serde(default, skip_serializing_if = "is_default")]
    pub share: Vec<String>,
    /// The number of processors that it uses, so of slots that it takes.
    #[serde(default = "one")]
    pub processors: u32,
    /// Its properties in the suite that lists it.
    #[serde(default)]
    pub test: Option<Box<PlannedTest>>,
    /// Its quarantine, if its failures are known.
    pub quarantine: Option<Box<Quarantined>>,
}

/// The tool that a job runs under.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct PlannedTool {
    /// The tool.
    pub kind: Tool,
    /// `true` if the command starts valgrind itself, and gets the options in `VALGRIND_OPTS`.
    #[serde(default)]
    pub by_suite: bool,
    /// `true` if that is not declared, but seen in the words of the command.
    #[serde(default, skip_serializing_if = "is_default")]
    pub recognised: bool,
    /// Options for valgrind.
    pub args: Vec<String>,
    /// Suppression files, relative to the project.
    pub suppressions: Vec<PathBuf>,
    /// `true` if child processes are traced.
    pub trace_children: bool,
    /// Executables that are not traced.
    pub skip_children: Vec<String>,
    /// `true` if errors of programs of the system count.
    #[serde(default, skip_serializing_if = "is_default")]
    pub check_system: bool,
    /// Options that save memory and check less, for a job that ran out of memory even exclusively.
    pub reduced_args: Vec<String>,
    /// The most heap that passes, for massif.
    pub heap_limit: Option<ByteSize>,
    /// The file whose peak may be exceeded only by a margin, for massif.
    #[serde(default)]
    pub heap_baseline: Option<PlannedBaseline>,
    /// Functions that only pass an allocation on, for profilers of the heap.
    #[serde(default)]
    pub wrappers: Vec<String>,
}

/// A checked-in massif file and the margin over its peak.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct PlannedBaseline {
    /// Relative to the project.
    pub file: PathBuf,
    /// In hundredths of a percent.
    pub tolerance: Percent,
}

/// The quarantine of one job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Quarantined {
    /// The declared reason, as written in `quarantine.yaml`.
    pub reason: String,
    /// The last day on which it holds, as `2026-12-31`, in UTC.
    pub expires: String,
    /// The outcomes that do not fail a run.
    pub on: Vec<RetryOn>,
}

impl PlannedTool {
    /// The options of valgrind; with `reduced`, followed by the `reduced-args`.
    pub fn options(&self, reduced: bool) -> Vec<String> {
        let more = if reduced { self.reduced_args.as_slice() } else { &[] };
        [self.args.as_slice(), more].concat()
    }
}

/// The reason why a selector cannot be applied.
#[derive(Debug, thiserror::Error)]
pub enum SelectError {
    /// Nothing matches.
    #[error("no job matches `{selector}`{}", or_list(.nearest))]
    NoMatch {
        /// As given.
        selector: String,
        /// The nearest job name.
        nearest: Option<String>,
    },
    /// Not a glob.
    #[error("`{selector}` is not a valid selector: {problem}")]
    Invalid {
        /// As given.
        selector: String,
        /// The problem.
        problem: String,
    },
}

fn or_list(nearest: &Option<String>) -> String {
    nearest.as_ref().map_or_else(
        || format!("; `{}` lists them", hint::drydock(&["ci", "plan"])),
        |name| format!("; did you mean `{name}`?"),
    )
}

impl Plan {
    /// Expands a validated suite. `lister` lists items that only other programs know; `slots` is what `{jobs}` stands
    /// for.
    pub fn new(
        suite: &Suite,
        project: PathBuf,
        slots: usize,
        lister: &mut Lister<'_, '_>,
    ) -> Result<Plan, Diagnostics> {
        let items = suite.expand(&project, lister)?;
        baseline::check(suite, &items, &project)?;
        let mut jobs: Vec<PlannedJob> = Vec::with_capacity(items.len());
        for (job, item) in items {
            let mut planned = planned(job, &item, slots);
            if let Some(last) = jobs.last() {
                share(&last.tool, &mut planned.tool);
                share(&last.rules, &mut planned.rules);
            }
            jobs.push(planned);
        }
        Ok(Plan {
            format: FORMAT,
            project,
            declaration: suite.file.clone(),
            jobs,
            partial: false,
            lists: BTreeMap::new(),
        })
    }

    /// A plan of the same project with other jobs, and without lists of tests.
    pub fn with_jobs(&self, jobs: Vec<PlannedJob>) -> Plan {
        Plan {
            format: self.format,
            project: self.project.clone(),
            declaration: self.declaration.clone(),
            jobs,
            partial: self.partial,
            lists: BTreeMap::new(),
        }
    }

    /// The jobs that the selectors name, with all that they need, in the order of the plan. No selector selects all.
    pub fn select(mut self, selectors: &[String]) -> Result<Plan, SelectError> {
        if selectors.is_empty() {
            return Ok(self);
        }
        let mut wanted: BTreeSet<JobName> = self.matching(selectors)?;
        self.jobs.iter_mut().for_each(|job| job.choose_later(selectors));
        loop {
            let chosen = || self.jobs.iter().filter(|job| wanted.contains(&job.name));
            let groups: BTreeSet<&JobName> = chosen().flat_map(|job| &job.needs).collect();
            let single: BTreeSet<&JobName> =
                chosen().filter_map(|job| job.test.as_ref()).flat_map(|test| &test.needs).collect();
            let put_in_order = |job: &PlannedJob| {
                job.test
                    .as_ref()
                    .is_some_and(|test| test.cleans_up && test.follows.iter().any(|name| wanted.contains(name)))
            };
            let is_needed =
                |job: &PlannedJob| groups.contains(&job.group) || single.contains(&job.name) || put_in_order(job);
            let more: Vec<JobName> = self
                .jobs
                .iter()
                .filter(|job| !wanted.contains(&job.name) && is_needed(job))
                .map(|job| job.name.clone())
                .collect();
            if more.is_empty() {
                break;
            }
            wanted.extend(more);
        }
        let all = self.jobs.len();
        self.jobs.retain(|job| wanted.contains(&job.name));
        self.partial |= self.jobs.len() < all;
        Ok(self)
    }

    /// The names that the selectors match: a job's name, a group's name, a glob in which `*` stays within one part, or
    /// `label:` and a label that a test suite gives.
    pub fn matching(&self, selectors: &[String]) -> Result<BTreeSet<JobName>, SelectError> {
        let options = glob::MatchOptions { require_literal_separator: true, ..glob::MatchOptions::new() };
        let mut wanted = BTreeSet::new();
        for selector in selectors {
            let pattern = glob::Pattern::new(selector)
                .map_err(|error| SelectError::Invalid { selector: selector.clone(), problem: error.msg.into() })?;
            let before = wanted.len();
            let found = self.jobs.iter().filter(|job| {
                job.may_match(selector)
                    || job.name.as_str() == selector
                    || job.group.as_str() == selector
                    || pattern.matches_with(job.name.as_str(), options)
                    || selector.strip_prefix("label:").is_some_and(|label| job.has_label(label))
            });
            let mut any = false;
            for job in found {
                any = true;
                wanted.insert(job.name.clone());
            }
            if !any && wanted.len() == before {
                return Err(SelectError::NoMatch { selector: selector.clone(), nearest: self.nearest(selector) });
            }
        }
        Ok(wanted)
    }

    fn nearest(&self, selector: &str) -> Option<String> {
        self.jobs
            .iter()
            .flat_map(|job| [job.name.as_str(), job.group.as_str()])
            .map(|name| (strsim::jaro_winkler(name, selector), name))
            .filter(|(similarity, _)| *similarity > 0.8)
            .max_by(|left, right| left.0.total_cmp(&right.0))
            .map(|(_, name)| name.to_owned())
    }

    /// The job of that name.
    pub fn job(&self, name: &str) -> Option<&PlannedJob> {
        self.jobs.iter().find(|job| job.name.as_str() == name)
    }
}

/// `true` for what a stored plan leaves out.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

fn one() -> u32 {
    1
}

/// Makes two equal values one.
fn share<T: PartialEq>(known: &Arc<T>, value: &mut Arc<T>) {
    if known == value {
        *value = Arc::clone(known);
    }
}

fn planned(job: &Job, item: &PlannedItem, slots: usize) -> PlannedJob {
    let mut planned = declared(job, item, slots);
    if let Some(why) = &item.unlisted {
        planned.test = Some(Box::new(PlannedTest { unlisted: Some(why.clone()), ..PlannedTest::default() }));
    }
    if let Some(test) = &item.test {
        suite::take_over(&mut planned, job, test);
    }
    recognised::recognise(&mut planned);
    planned
}

fn declared(job: &Job, item: &PlannedItem, slots: usize) -> PlannedJob {
    let values: Values = item.values(slots);
    PlannedJob {
        name: item.name.clone(),
        group: job.name.clone(),
        argv: job.run.iter().map(|argument| argument.render(&values)).collect(),
        directory: PathBuf::from(job.directory.render(&values)),
        env: job.env.iter().map(|(name, value)| (name.clone(), value.render(&values))).collect(),
        pass_env: job.pass_env.clone(),
        needs: job.needs.clone(),
        tool: Arc::new(planned_tool(&job.tool, &values)),
        timeout: job.timeout,
        grace: job.grace,
        memory: job.memory,
        memory_declared: job.memory_declared,
        memory_limit: job.memory_limit,
        expect_exit: i32::from(job.expect_exit),
        attempts: job.retry.attempts,
        retry_on: job.retry.on.clone(),
        log_limit: job.log_limit,
        rules: Arc::new(job.rules.clone()),
        locks: job.locks.clone(),
        serial: job.serial,
        user: job.user.clone(),
        share: job.share.clone(),
        processors: 1,
        test: None,
        quarantine: None,
    }
}

fn planned_tool(tool: &JobTool, values: &Values) -> PlannedTool {
    let JobTool { kind, by_suite, settings, heap } = tool;
    PlannedTool {
        kind: *kind,
        by_suite: *by_suite,
        recognised: false,
        args: settings.args.clone(),
        suppressions: settings.suppressions.iter().map(PathBuf::from).collect(),
        trace_children: settings.trace_children,
        skip_children: settings.skip_children.clone(),
        check_system: settings.check_system,
        reduced_args: settings.reduced_args.clone(),
        heap_limit: heap.as_ref().and_then(|heap| heap.limit),
        heap_baseline: heap.as_ref().and_then(|heap| heap.baseline.as_ref()).map(|baseline| PlannedBaseline {
            file: baseline.file.render(values).into(),
            tolerance: baseline.tolerance,
        }),
        wrappers: settings.wrappers.clone(),
    }
}

impl PlannedJob {
    /// Its tool, to change it for this job only.
    pub fn tool_mut(&mut self) -> &mut PlannedTool {
        Arc::make_mut(&mut self.tool)
    }
}

#[cfg(test)]
impl PlannedJob {
    /// A job that runs `true` with nothing declared, for tests.
    pub(crate) fn plain(name: &str, group: &str, needs: &[&str]) -> PlannedJob {
        let parse = |name: &str| name.parse::<JobName>().unwrap_or_else(|error| panic!("{name}: {error:?}"));
        let values = Values { item: None, name: name.to_owned(), jobs: 1 };
        PlannedJob {
            name: parse(name),
            group: parse(group),
            argv: vec!["true".into()],
            directory: ".".into(),
            env: BTreeMap::new(),
            pass_env: Vec::new(),
            needs: needs.iter().map(|need| parse(need)).collect(),
            tool: Arc::new(planned_tool(&JobTool::default(), &values)),
            timeout: Duration::from_secs(1),
            grace: Duration::from_secs(1),
            memory: ByteSize::ZERO,
            memory_declared: false,
            memory_limit: None,
            expect_exit: 0,
            attempts: 1,
            retry_on: Vec::new(),
            log_limit: ByteSize::mib(1),
            rules: Arc::default(),
            locks: Vec::new(),
            serial: false,
            user: None,
            share: Vec::new(),
            processors: 1,
            test: None,
            quarantine: None,
        }
    }
}
