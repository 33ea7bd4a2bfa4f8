//! The properties that a planned job takes over from the suite that lists its test.

use std::path::PathBuf;
use std::time::Duration;

use super::{Plan, PlannedJob, PlannedTest};
use drydock_base::units::JobName;
use drydock_config::jobs::{Job, ListedTest, Protocol, SuiteTest, TestRules};
use drydock_valgrind::tool::Tool;

/// The longest time limit, which declarations cannot exceed either.
const LONGEST: Duration = Duration::from_secs(7 * 24 * 3600);

/// Applies the properties of a test. What the job declares for all tests is kept beside them.
pub(super) fn take_over(planned: &mut PlannedJob, job: &Job, test: &SuiteTest) {
    let SuiteTest { listed, needs, follows } = test;
    let ListedTest {
        name,
        argv,
        directory,
        env,
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
    if native.is_some() {
        planned.tool.kind = Tool::None;
        planned.tool.by_suite = false;
    }
    if let Some(timeout) = timeout {
        let factor = if planned.tool.kind.is_valgrind() { job.timeout_factor } else { 1 };
        planned.timeout = timeout.saturating_mul(factor).min(LONGEST);
        planned.grace = planned.grace.min(planned.timeout);
    }
    planned.rules = merged(std::mem::take(&mut planned.rules), rules);
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
    /// The jobs whose tests are to be listed now: `passed` says of each job of the plan whether it passed.
    pub fn awaiting_list(&self, passed: &dyn Fn(usize) -> bool) -> Vec<JobName> {
        let ready = |job: &&PlannedJob| {
            let needed =
                |other: &PlannedJob| job.needs.contains(&other.group) || job.needs_jobs().contains(&other.name);
            job.awaits_list() && self.jobs.iter().enumerate().all(|(at, other)| !needed(other) || passed(at))
        };
        self.jobs.iter().filter(ready).map(|job| job.name.clone()).collect()
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
