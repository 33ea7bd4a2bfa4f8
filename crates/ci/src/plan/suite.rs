//! The properties that a planned job takes over from the suite that lists its test.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::{Plan, PlannedJob, is_default};
use drydock_base::units::JobName;
use drydock_config::jobs::{Job, ListedTest, Protocol, SuiteTest, TestRules, TimeoutAfter};
use drydock_valgrind::tool::Tool;
use serde::{Deserialize, Serialize};

/// The longest time limit, which declarations cannot exceed either.
const LONGEST: Duration = Duration::from_secs(7 * 24 * 3600);

/// What the suite that lists a test says of it, beside what every job has.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct PlannedTest {
    /// Its name in the suite.
    #[serde(skip_serializing_if = "is_default")]
    pub name: String,
    /// Labels, or the suites that it belongs to.
    #[serde(skip_serializing_if = "is_default")]
    pub labels: Vec<String>,
    /// Jobs that must have passed before.
    #[serde(skip_serializing_if = "is_default")]
    pub needs: Vec<JobName>,
    /// Jobs that must have ended before.
    #[serde(skip_serializing_if = "is_default")]
    pub follows: Vec<JobName>,
    /// `true` if it runs whenever a job that it follows does.
    #[serde(skip_serializing_if = "is_default")]
    pub cleans_up: bool,
    /// The time that the suite expects it to take, in milliseconds.
    #[serde(skip_serializing_if = "is_default")]
    pub cost_ms: Option<u64>,
    /// What is said of a test that does not run under the declared tool.
    #[serde(skip_serializing_if = "is_default")]
    pub native: Option<Native>,
    /// Variables that it does not get.
    #[serde(skip_serializing_if = "is_default")]
    pub unset: Vec<String>,
    /// Files without which it cannot run.
    #[serde(skip_serializing_if = "is_default")]
    pub required_files: Vec<String>,
    /// Its time limit from the moment at which its output matches.
    #[serde(skip_serializing_if = "is_default")]
    pub timeout_after: Option<TimeoutAfter>,
    /// The reason why the suite does not run it, if so.
    #[serde(skip_serializing_if = "is_default")]
    pub disabled: Option<String>,
    /// The reason why the suite has no list of tests yet: this job stands for all of them.
    #[serde(skip_serializing_if = "is_default")]
    pub unlisted: Option<String>,
    /// `true` if the tests could not be listed even after what the job needs had passed.
    #[serde(skip_serializing_if = "is_default")]
    pub cannot_be_listed: bool,
    /// The selectors that choose among the tests once they are listed; none choose all.
    #[serde(skip_serializing_if = "is_default")]
    pub selectors: Vec<String>,
}

/// A test that runs without the tool that its job declares.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Native {
    /// The declared tool.
    pub without: Tool,
    /// The reason.
    pub because: String,
}

impl PlannedJob {
    /// The tool that its declaration names and that it does not run under, with the reason.
    pub fn native(&self) -> Option<&Native> {
        self.test.as_ref()?.native.as_ref()
    }

    /// `true` if a test suite gives it the label, or names it as a suite of the test.
    pub fn has_label(&self, label: &str) -> bool {
        self.test.as_ref().is_some_and(|test| test.labels.iter().any(|own| own == label))
    }

    /// The reason why this job stands for the tests of a suite that are not listed yet.
    pub fn unlisted(&self) -> Option<&str> {
        self.test.as_ref()?.unlisted.as_deref()
    }

    /// `true` if its tests are to be listed once everything that it needs has passed.
    pub fn awaits_list(&self) -> bool {
        self.test.as_ref().is_some_and(|test| test.unlisted.is_some() && !test.cannot_be_listed)
    }

    /// The names of single jobs that must have passed before, beside its `needs`.
    pub fn needs_jobs(&self) -> &[JobName] {
        self.test.as_ref().map_or(&[], |test| &test.needs)
    }

    /// The reason why its suite does not run it, if so.
    pub fn disabled(&self) -> Option<&str> {
        self.test.as_ref()?.disabled.as_deref()
    }

    /// Its time limit from the moment at which its output matches, if its suite has one.
    pub fn timeout_after(&self) -> Option<&TimeoutAfter> {
        self.test.as_ref()?.timeout_after.as_ref()
    }

    /// The names of single jobs that must have ended before.
    pub fn follows(&self) -> &[JobName] {
        self.test.as_ref().map_or(&[], |test| &test.follows)
    }
}

/// Applies the properties of a test. What the job declares for all tests is kept beside them.
pub(super) fn take_over(planned: &mut PlannedJob, job: &Job, test: &SuiteTest) {
    let SuiteTest { listed, needs, follows } = test;
    let ListedTest {
        name,
        argv,
        directory,
        env,
        unset,
        required_files,
        timeout_after,
        timeout,
        labels,
        locks,
        serial,
        processors,
        cleans_up,
        cost_ms,
        native,
        disabled,
        rules,
        ..
    } = listed.clone();
    planned.argv = argv;
    planned.directory = inside(PathBuf::from(directory), planned.directory.clone());
    // What the declaration sets wins: the test has it from its suite.
    let declared = std::mem::take(&mut planned.env);
    planned.env = env;
    planned.env.extend(declared);
    let native = native.filter(|_| planned.tool.kind.is_valgrind()).map(|because| {
        let tool = planned.tool_mut();
        tool.by_suite = false;
        Native { without: std::mem::replace(&mut tool.kind, Tool::None), because }
    });
    let factor = if planned.tool.kind.is_valgrind() { job.timeout_factor } else { 1 };
    if let Some(timeout) = timeout {
        planned.timeout = timeout.saturating_mul(factor).min(LONGEST);
        planned.grace = planned.grace.min(planned.timeout);
    }
    planned.rules = Arc::new(merged(Arc::unwrap_or_clone(std::mem::take(&mut planned.rules)), rules));
    planned.locks.extend(locks);
    planned.locks.sort();
    planned.locks.dedup();
    planned.serial |= serial;
    planned.processors = processors.max(1);
    planned.test = Some(Box::new(PlannedTest {
        name,
        labels,
        needs: needs.clone(),
        follows: follows.clone(),
        cleans_up,
        cost_ms,
        native,
        unset,
        required_files,
        timeout_after: timeout_after
            .map(|after| TimeoutAfter { timeout: after.timeout.saturating_mul(factor), ..after }),
        disabled,
        ..PlannedTest::default()
    }));
}

impl PlannedJob {
    /// `true` if a selector may match a test of a suite that is not listed yet.
    pub(super) fn may_match(&self, selector: &str) -> bool {
        if self.unlisted().is_none() {
            return false;
        }
        let literal = selector.split(['*', '?', '[']).next().unwrap_or_default();
        let is_pattern = literal.len() < selector.len();
        let (below, literal) = (format!("{}/", self.name), literal);
        selector.starts_with("label:") || selector.starts_with(&below) || is_pattern && below.starts_with(literal)
    }

    /// Keeps the selectors that choose among the tests of a suite that is not listed yet.
    pub(super) fn choose_later(&mut self, selectors: &[String]) {
        let whole = selectors.iter().any(|selector| selector == self.name.as_str());
        let later: Vec<String> = selectors.iter().filter(|selector| self.may_match(selector)).cloned().collect();
        if let Some(test) = self.test.as_mut().filter(|test| test.unlisted.is_some() && !whole) {
            test.selectors = later;
        }
    }
}

impl Plan {
    /// `true` if the plan has the job, or a suite that is not listed yet may have it.
    pub fn may_run(&self, name: &JobName) -> bool {
        self.jobs.iter().any(|job| job.name == *name || job.may_match(name.as_str()))
    }

    /// The jobs whose tests are to be listed now: `passed` says of each job of the plan whether it passed.
    pub fn awaiting_list(&self, passed: &dyn Fn(usize) -> bool) -> Vec<JobName> {
        let ready = |job: &&PlannedJob| {
            let needed =
                |other: &PlannedJob| job.needs.contains(&other.group) || job.needs_jobs().contains(&other.name);
            job.awaits_list() && self.jobs.iter().enumerate().all(|(at, other)| !needed(other) || passed(at))
        };
        self.jobs.iter().filter(ready).map(|job| job.name.clone()).collect()
    }

    /// Puts one job in the place of those of a suite, which says why its list cannot be used.
    pub fn refuse_list(&mut self, group: &JobName, why: String) {
        let Some(at) = self.jobs.iter().position(|job| job.group == *group) else { return };
        let mut first = self.jobs[at].clone();
        first.name = group.clone();
        first.test = Some(Box::new(PlannedTest { unlisted: Some(why), ..PlannedTest::default() }));
        self.jobs.retain(|job| job.group != *group);
        self.jobs.insert(at, first);
    }

    /// Puts the jobs of a freshly made plan in the place of the one that stood for them. If there is no list still, or no
    /// test is chosen, that job says why, and fails when it starts.
    pub fn put_list(&mut self, group: &JobName, made: &Plan) {
        let Some(at) = self.jobs.iter().position(|job| job.group == *group && job.awaits_list()) else { return };
        let selectors = self.jobs[at].test.as_ref().map(|test| test.selectors.clone()).unwrap_or_default();
        let listed: Vec<PlannedJob> = made.jobs.iter().filter(|job| job.group == *group).cloned().collect();
        let why = match listed.first().map(PlannedJob::unlisted) {
            Some(Some(why)) => Some(why.to_owned()),
            Some(None) | None => None,
        };
        let fail = |job: &mut PlannedJob, why: String| {
            if let Some(test) = &mut job.test {
                test.unlisted = Some(why);
                test.cannot_be_listed = true;
            }
        };
        if let Some(why) = why {
            return fail(&mut self.jobs[at], why);
        }
        if let Some(list) = made.lists.get(group) {
            self.lists.insert(group.clone(), list.clone());
        }
        let whole = made.with_jobs(listed);
        let chosen = if selectors.is_empty() {
            whole.jobs
        } else {
            let any: Vec<String> =
                selectors.into_iter().filter(|one| whole.matching(std::slice::from_ref(one)).is_ok()).collect();
            if any.is_empty() {
                return fail(&mut self.jobs[at], "no test that it lists is selected".to_owned());
            }
            match whole.select(&any) {
                Ok(plan) => plan.jobs,
                Err(error) => return fail(&mut self.jobs[at], error.to_string()),
            }
        };
        self.jobs.splice(at..=at, chosen);
    }
}

/// The directory of the test, or that of the job if the suite names none.
fn inside(listed: PathBuf, declared: PathBuf) -> PathBuf {
    if listed.as_os_str().is_empty() { declared } else { listed }
}

fn merged(declared: TestRules, listed: TestRules) -> TestRules {
    let mut skip_exit = declared.skip_exit;
    skip_exit.extend(listed.skip_exit);
    let protocol = if listed.protocol == Protocol::None { declared.protocol } else { listed.protocol };
    TestRules {
        skip_exit,
        expect_output: declared.expect_output,
        allow_no_tests: declared.allow_no_tests || listed.allow_no_tests,
        protocol,
        ..listed
    }
}
