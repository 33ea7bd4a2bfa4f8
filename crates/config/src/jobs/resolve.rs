//! Resolves declared jobs: applies the defaults, parses the texts, and validates each job.

use super::declared::{DefaultsDeclaration, JobDeclaration, JobsFile, RetryDeclaration, Text};
use super::tools::Tools;
use super::words::{command, template};
use super::{ForEach, Items, Job, Retry, Runner, for_each, graph, rules, runners};
use crate::decode::{Entries, EnvName, Limit, Size, Spanned};
use crate::diagnostic::{Problem, Problems};
use crate::paths;
use crate::template::{Placeholder, Template};
use drydock_base::text::quoted;
use drydock_base::units::{ByteSize, JobName, exact};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

/// The smallest memory limit within which a process can start.
const LEAST_MEMORY_LIMIT: ByteSize = ByteSize::mib(1);
/// The maximum total size of the copies of `defaults` and `tools` that the jobs get, in bytes.
const MOST_COPIED: usize = 64 << 20;

/// The settings that jobs inherit.
struct Inherited {
    timeout: Duration,
    grace: Duration,
    memory: ByteSize,
    log_limit: ByteSize,
    env: BTreeMap<String, Template>,
    pass_env: Vec<String>,
}

/// What is valid in a file.
#[derive(Default)]
pub(super) struct Resolved {
    /// The jobs.
    pub(super) jobs: Vec<Job>,
    /// The wrappers of malloc.
    pub(super) wrappers: Vec<String>,
    /// The classes of machines.
    pub(super) runners: Vec<Runner>,
}

/// Resolves everything that is valid; the problems of the rest are added to `problems`.
pub(super) fn suite(file: JobsFile, project: Option<&Path>, problems: &mut Problems) -> Resolved {
    let JobsFile { defaults, tools, runners, jobs: Spanned { place, value: jobs } } = file;
    let runners = runners::resolve(runners, problems);
    let inherited = inherited(defaults, problems);
    let tools = Tools::resolve(tools, project, problems);
    let Some(Entries(jobs)) = jobs else {
        return Default::default();
    };
    if jobs.is_empty() {
        problems.push(Problem::new(place, "`jobs` is empty").expected("at least one job with a `run`"));
    }
    let copied = jobs.len().saturating_mul(inherited.bytes() + tools.shared_bytes());
    if copied > MOST_COPIED {
        let problem = Problem::new(place, "`defaults` and `tools` are too large for this number of jobs");
        problems.push(problem.expected("less text under `defaults` and `tools`"));
        return Default::default();
    }
    let graph: Vec<graph::Needs<'_>> = jobs
        .iter()
        .filter_map(|(name, job)| {
            let job = job.value.as_ref();
            let after = job.and_then(|job| job.for_each.as_ref()?.value.as_ref()?.after.value.as_deref());
            let needs = job.map_or(&[][..], |job| &job.needs);
            let after =
                after.unwrap_or_default().iter().filter(|after| needs.iter().all(|need| need.value != after.value));
            let needs = needs.iter().chain(after).collect();
            Some(graph::Needs { name: name.value.as_ref()?, needs })
        })
        .collect();
    graph::check(&graph, problems);
    let jobs = jobs
        .iter()
        .filter_map(|(name, declared)| job(name, declared.value.as_ref()?, &inherited, &tools, problems))
        .collect();
    Resolved { jobs, wrappers: tools.massif_wrappers(), runners }
}

fn inherited(defaults: DefaultsDeclaration, problems: &mut Problems) -> Inherited {
    let DefaultsDeclaration { timeout, grace, memory, log_limit, env, pass_env } = defaults;
    // A wrong value is already reported; its substitute only has to be harmless.
    let duration = |limit: &Spanned<Limit>| limit.value.map_or(Duration::from_secs(600), |limit| limit.0);
    let size = |size: &Spanned<Size>| size.value.map_or(ByteSize::mib(16), |size| size.0);
    let set = environment(&env, &Placeholder::OF_JOB, problems);
    let passed = passed(&pass_env, &set, problems);
    Inherited {
        timeout: duration(&timeout),
        grace: duration(&grace),
        memory: size(&memory),
        log_limit: size(&log_limit),
        env: set,
        pass_env: passed,
    }
}

impl Inherited {
    fn bytes(&self) -> usize {
        let set: usize =
            self.env.iter().map(|(name, value)| name.len() + value.bytes() + 2 * size_of::<String>()).sum();
        set + self.pass_env.iter().map(|name| name.len() + size_of::<String>()).sum::<usize>()
    }
}

fn job(
    name: &Spanned<JobName>,
    declared: &JobDeclaration,
    inherited: &Inherited,
    tools: &Tools,
    problems: &mut Problems,
) -> Option<Job> {
    let allowed: &[Placeholder] = if declared.for_each.is_some() { &Placeholder::ALL } else { &Placeholder::OF_JOB };
    let directory = directory(&declared.directory, allowed, problems);
    let for_each = declared.for_each.as_ref().map(|items| for_each::resolve(items, problems));
    let run = run(name, declared, for_each.as_ref().and_then(Option::as_ref), allowed, problems);
    let rules = rules::resolve(declared, problems);
    let tool = tools.job_tool(declared, allowed, problems);
    let (timeout, grace) = times(declared, inherited, problems);
    let (memory, memory_limit) = memory(declared, inherited, problems);
    let (env, pass_env) = variables(declared, inherited, allowed, problems);
    let retry = declared.retry.as_ref().map_or(Retry::NEVER, |retry| self::retry(retry, problems));
    let for_each = match for_each {
        Some(resolved) => Some(resolved?),
        None => None,
    };
    Some(Job {
        name: name.value.clone()?,
        run: run?,
        directory: directory?,
        needs: needs(declared),
        for_each,
        tool: tool?,
        env,
        pass_env,
        timeout,
        grace,
        memory,
        memory_declared: declared.memory.is_some(),
        memory_limit,
        timeout_factor: declared.timeout_factor.value?.0,
        expect_exit: u8::try_from(declared.expect_exit.0).ok()?,
        rules: rules?,
        locks: declared.locks.iter().filter_map(|lock| lock.value.clone()).collect(),
        serial: declared.serial,
        user: declared.user.as_ref().and_then(|user| rules::user(user, problems)),
        share: runners::share(&declared.share, problems),
        retry,
        log_limit: size_or(declared.log_limit.as_ref(), inherited.log_limit),
        place: name.place,
    })
}

/// The command, which the tests of a suite have themselves.
fn run(
    name: &Spanned<JobName>,
    declared: &JobDeclaration,
    for_each: Option<&ForEach>,
    allowed: &[Placeholder],
    problems: &mut Problems,
) -> Option<Vec<Template>> {
    let suite = match for_each.map(|for_each| &for_each.items) {
        Some(Items::Suite(source)) => Some(source.kind.word()),
        Some(Items::Glob { .. } | Items::LinesOf { .. }) | None => None,
    };
    match (&declared.run, suite) {
        (Some(run), None) => command(run, allowed, problems),
        (None, Some(_)) => Some(Vec::new()),
        (Some(run), Some(word)) => {
            let problem = Problem::new(run.place, format!("`run` in a job whose commands `{word}` lists"));
            problems.push(problem.help("remove `run`; each test runs with its own command"));
            None
        }
        (None, None) => {
            // An invalid `for-each` was reported.
            if declared.for_each.is_none() || for_each.is_some() {
                problems.push(Problem::new(name.place, "the required key `run` is missing"));
            }
            None
        }
    }
}

/// The jobs that must have passed before, those that the tests are listed after included.
fn needs(declared: &JobDeclaration) -> Vec<JobName> {
    let after = declared.for_each.as_ref().and_then(|items| items.value.as_ref()?.after.value.as_deref());
    let mut needs: Vec<JobName> = Vec::new();
    for need in declared.needs.iter().chain(after.unwrap_or_default()).filter_map(|need| need.value.as_ref()) {
        if !needs.contains(need) {
            needs.push(need.clone());
        }
    }
    needs
}

fn directory(text: &Text, allowed: &[Placeholder], problems: &mut Problems) -> Option<Template> {
    if let Err(bad) = paths::inside(text.value.as_ref()?) {
        problems.push(Problem::bad_value(text.place, bad));
    }
    template(text, allowed, problems)
}

/// The timeout and the grace period after it.
fn times(declared: &JobDeclaration, inherited: &Inherited, problems: &mut Problems) -> (Duration, Duration) {
    let timeout = declared.timeout.and_then(|timeout| timeout.value).map_or(inherited.timeout, |timeout| timeout.0);
    let Some(Spanned { place, value: Some(Limit(grace)) }) = declared.grace else {
        return (timeout, inherited.grace.min(timeout));
    };
    let timeout_is_wrong = declared.timeout.is_some_and(|timeout| timeout.value.is_none());
    if grace > timeout && !timeout_is_wrong {
        let problem = Problem::new(
            place,
            format!("the `grace` of {} is longer than the `timeout` of {}", exact(grace), exact(timeout)),
        );
        problems.push(problem.expected(format!("at most `{}`, or a longer `timeout`", exact(timeout))));
    }
    (timeout, grace)
}

/// The reservation and the limit.
fn memory(declared: &JobDeclaration, inherited: &Inherited, problems: &mut Problems) -> (ByteSize, Option<ByteSize>) {
    let limit = declared.memory_limit.and_then(|limit| Some((limit.place, limit.value?.0)));
    let reserved = declared.memory.and_then(|memory| memory.value).map(|memory| memory.0);
    if let Some((place, limit)) = limit {
        if limit < LEAST_MEMORY_LIMIT {
            let problem = Problem::new(place, format!("no program can start within {}", limit.exact()));
            problems.push(problem.expected(format!("at least `{}`", LEAST_MEMORY_LIMIT.exact())));
        } else if let Some(reserved) = reserved.filter(|reserved| limit < *reserved) {
            let problem = format!(
                "the memory limit of {} is below the memory of {} that is reserved",
                limit.exact(),
                reserved.exact()
            );
            problems.push(
                Problem::new(place, problem).expected(format!("at least `{}`, or less `memory`", reserved.exact())),
            );
        }
    }
    let limit = limit.map(|(_, limit)| limit);
    let usual = limit.map_or(inherited.memory, |limit| limit.min(inherited.memory));
    (reserved.unwrap_or(usual), limit)
}

/// The environment of a job: its own variables replace inherited ones, set or passed.
fn variables(
    declared: &JobDeclaration,
    inherited: &Inherited,
    allowed: &[Placeholder],
    problems: &mut Problems,
) -> (BTreeMap<String, Template>, Vec<String>) {
    let own = environment(&declared.env, allowed, problems);
    let own_passed = passed(&declared.pass_env, &own, problems);
    let mut set = inherited.env.clone();
    own_passed.iter().for_each(|name| drop(set.remove(name)));
    let mut pass: Vec<String> = inherited.pass_env.iter().filter(|name| !own.contains_key(*name)).cloned().collect();
    pass.extend(own_passed);
    pass.sort();
    pass.dedup();
    set.extend(own);
    (set, pass)
}

fn environment(
    declared: &Entries<EnvName, Text>,
    allowed: &[Placeholder],
    problems: &mut Problems,
) -> BTreeMap<String, Template> {
    let entry = |(name, value): &(Spanned<EnvName>, Text)| {
        let value = template(value, allowed, problems);
        Some((name.value.clone()?.0, value?))
    };
    declared.0.iter().filter_map(entry).collect()
}

fn passed(declared: &[Spanned<EnvName>], set: &BTreeMap<String, Template>, problems: &mut Problems) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for Spanned { place, value } in declared {
        let Some(EnvName(name)) = value else { continue };
        if set.contains_key(name) {
            let problem = Problem::new(*place, format!("{} is both in `env` and in `pass-env`", quoted(name)));
            problems.push(problem.help("remove it from one of them"));
        }
        names.push(name.clone());
    }
    names.sort();
    names.dedup();
    names
}

fn retry(declared: &RetryDeclaration, problems: &mut Problems) -> Retry {
    let RetryDeclaration { attempts, on } = declared;
    let mut outcomes = Vec::new();
    if let Some(list) = &on.value {
        if list.is_empty() {
            problems.push(
                Problem::new(on.place, "`on` is empty")
                    .expected("at least one outcome, such as `[timed-out]`, or no `retry`"),
            );
        }
        for outcome in list {
            let Some(value) = outcome.value else { continue };
            if outcomes.contains(&value) {
                problems.push(Problem::new(outcome.place, "the outcome is listed twice").help("remove one of them"));
            } else {
                outcomes.push(value);
            }
        }
    }
    Retry { attempts: attempts.value.map_or(2, |attempts| attempts.0), on: outcomes }
}

fn size_or(declared: Option<&Spanned<Size>>, usual: ByteSize) -> ByteSize {
    declared.and_then(|size| size.value).map_or(usual, |size| size.0)
}
