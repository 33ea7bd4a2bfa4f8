//! What the search found, for people and for programs.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use schemars::JsonSchema;
use serde::Serialize;

use super::search::{Count, Found, How};
use super::shared::{Shared, Weight};
use drydock_base::text::plural;

/// More of what two tests share is not shown.
const MOST_SHARED: usize = 3;

/// The result of a search.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Report {
    /// The number of tests.
    pub tests: usize,
    /// The number of runs that were made, of one or more tests each.
    pub runs: u32,
    /// `true` if what tests use could be recorded; otherwise nothing is known of what they share, and orders were not tried.
    pub traced: bool,
    /// `true` if the budget was used up before the end.
    pub incomplete: bool,
    /// Tests that disturb each other.
    pub collisions: Vec<Group>,
    /// Tests that use the same things, and did not fail for it.
    pub harmless: Vec<Harmless>,
    /// Tests that fail now and then by themselves.
    pub flaky: Vec<Failures>,
    /// Tests that always fail.
    pub failing: Vec<String>,
    /// Tests that failed with others, without a known cause.
    pub unresolved: Vec<Unresolved>,
}

/// Tests that disturb each other.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Group {
    /// All of them.
    pub tests: Vec<String>,
    /// How they disturb each other.
    pub how: How,
    /// Those that fail, with the number of runs.
    pub failures: Vec<Failures>,
    /// What they share, that which says most first; empty if it is not known.
    pub shared: Vec<Shared>,
    /// Other tests that use the first of these in the same way.
    pub also_use: Vec<String>,
    /// A name for `locks`; none if a lock does not help.
    pub lock: Option<String>,
}

/// The failures of one test.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Failures {
    /// The test.
    pub test: String,
    /// With the others; the same as `apart` for a test that fails by itself.
    pub together: Count,
    /// By itself.
    pub apart: Count,
    /// The line of its output that says most.
    pub said: Option<String>,
}

/// Tests that use the same things without harm.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Harmless {
    /// The tests.
    pub tests: [String; 2],
    /// The runs of both at the same time.
    pub runs: u32,
    /// What they share.
    pub shared: Vec<Shared>,
}

/// A test whose failures have no known cause.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Unresolved {
    /// The test.
    pub test: String,
    /// The number of tests among which the cause may be.
    pub among: usize,
    /// The line of its output that says most.
    pub said: Option<String>,
}

/// One test, as its declaration names it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name {
    /// The whole name of the job.
    pub job: String,
    /// The declared job; the same for one without items.
    pub group: String,
}

/// What is known of the tests.
pub struct Known<'a> {
    /// Their names.
    pub names: &'a [Name],
    /// What two of them share.
    pub shared: &'a dyn Fn(usize, usize) -> Vec<Shared>,
    /// The line of a test's output that says most.
    pub said: &'a dyn Fn(usize) -> Option<String>,
    /// The number of runs.
    pub runs: u32,
    /// Whether what tests use was recorded.
    pub traced: bool,
}

impl Report {
    /// The report of a search.
    pub fn new(found: &Found, known: &Known<'_>) -> Report {
        let name = |test: usize| known.names[test].job.clone();
        let mut groups: Vec<(BTreeSet<usize>, Group)> = Vec::new();
        for collision in &found.collisions {
            let members: BTreeSet<usize> = collision.others.iter().copied().chain([collision.test]).collect();
            let mut shared: Vec<Shared> = match collision.others.as_slice() {
                [other] => {
                    let (first, second) = (collision.test.min(*other), collision.test.max(*other));
                    (known.shared)(first, second)
                }
                _ => Vec::new(),
            };
            if shared.iter().any(|one| one.weight > Weight::Weak) {
                shared.retain(|one| one.weight > Weight::Weak);
            }
            let runs = collision.together.runs;
            let failures: Vec<Failures> = collision
                .failures
                .iter()
                .map(|(test, failed)| Failures {
                    test: name(*test),
                    together: Count { failed: *failed, runs },
                    apart: if *test == collision.test {
                        collision.apart
                    } else {
                        Count { failed: 0, ..collision.apart }
                    },
                    said: (known.said)(*test),
                })
                .collect();
            // Those that share the same thing are one group.
            let same = |group: &(BTreeSet<usize>, Group)| {
                group.1.how == collision.how
                    && collision.how == How::Beside
                    && (group.0 == members
                        || shared
                            .first()
                            .is_some_and(|one| group.1.shared.first().is_some_and(|other| one.same(other))))
            };
            if let Some((known_members, group)) = groups.iter_mut().find(|group| same(group)) {
                known_members.extend(members);
                let known: Vec<String> = group.failures.iter().map(|known| known.test.clone()).collect();
                group.failures.extend(failures.into_iter().filter(|new| !known.contains(&new.test)));
                continue;
            }
            shared.truncate(MOST_SHARED);
            let group =
                Group { tests: Vec::new(), how: collision.how, failures, lock: None, shared, also_use: Vec::new() };
            groups.push((members, group));
        }
        let mut locks: BTreeMap<String, usize> = BTreeMap::new();
        for (members, group) in &mut groups {
            group.tests = members.iter().map(|test| name(*test)).collect();
            if group.how == How::Beside {
                let lock = group.shared.first().map_or_else(|| "exclusive".to_owned(), Shared::lock);
                let lock = if lock.is_empty() { "exclusive".to_owned() } else { lock };
                let number = locks.entry(lock.clone()).or_default();
                *number += 1;
                group.lock = Some(if *number == 1 { lock } else { format!("{lock}-{number}") });
            }
            let Some(first) = group.shared.first().filter(|shared| shared.weight == Weight::Strong) else { continue };
            let Some(member) = members.first().copied() else { continue };
            let uses = |test: &usize| {
                !members.contains(test)
                    && (known.shared)(*test.min(&member), *test.max(&member))
                        .iter()
                        .any(|one| one.same(first) && one.weight == Weight::Strong)
            };
            group.also_use = (0..known.names.len()).filter(uses).map(name).collect();
        }
        let harmless = found.harmless.iter().map(|([left, right], count)| {
            let mut shared = (known.shared)(*left, *right);
            shared.truncate(MOST_SHARED);
            Harmless { tests: [name(*left), name(*right)], runs: count.runs, shared }
        });
        let flaky = found.flaky.iter().map(|(test, count)| Failures {
            test: name(*test),
            together: *count,
            apart: *count,
            said: (known.said)(*test),
        });
        let unresolved = found.unresolved.iter().map(|(test, among)| Unresolved {
            test: name(*test),
            among: among.len(),
            said: (known.said)(*test),
        });
        Report {
            tests: known.names.len(),
            runs: known.runs,
            traced: known.traced,
            incomplete: found.is_incomplete,
            collisions: groups.into_iter().map(|(_, group)| group).collect(),
            harmless: harmless.collect(),
            flaky: flaky.collect(),
            failing: found.failing.iter().map(|test| name(*test)).collect(),
            unresolved: unresolved.collect(),
        }
    }

    /// The text for people. `names` are those that the report was made with.
    pub fn render(&self, names: &[Name]) -> String {
        let mut text = format!(
            "{} among {} ({})\n",
            plural(self.collisions.len(), "collision"),
            plural(self.tests, "test"),
            plural(self.runs as usize, "run")
        );
        let groups: Vec<String> = self.collisions.iter().map(Group::render).collect();
        for part in &groups {
            let _infallible = write!(text, "\n{part}");
        }
        for Failures { test, apart, said, .. } in &self.flaky {
            let _infallible = write!(
                text,
                "\n{test} fails by itself in {} of {} runs: no other test is needed for that\n",
                apart.failed, apart.runs
            );
            said.iter().for_each(|said| text.push_str(&format!("    it printed: {said}\n")));
        }
        if !self.failing.is_empty() {
            let _infallible =
                writeln!(text, "\nalways failed, so nothing is known of them: {}", self.failing.join(", "));
        }
        for Unresolved { test, among, said } in &self.unresolved {
            let _infallible = write!(
                text,
                "\n{test} failed with other tests and not by itself; the cause was not found among {}\n",
                plural(*among, "test")
            );
            said.iter().for_each(|said| text.push_str(&format!("    it printed: {said}\n")));
        }
        for Harmless { tests: [left, right], runs, shared } in &self.harmless {
            let what: Vec<String> = shared.iter().map(Shared::shown).collect();
            let _infallible = write!(
                text,
                "\n{left} and {right} both use {}, and both passed in {} at the same time\n",
                what.join(", "),
                plural(*runs as usize, "run")
            );
        }
        if self.incomplete {
            text.push_str("\nthe budget was used up before everything was tried; `--budget` gives more\n");
        }
        text.push_str(&self.paste(names));
        text
    }

    /// The declarations that keep them apart.
    fn paste(&self, names: &[Name]) -> String {
        let mut locks: BTreeMap<&Name, Vec<&str>> = BTreeMap::new();
        for group in &self.collisions {
            let Some(lock) = &group.lock else { continue };
            for test in group.tests.iter().chain(&group.also_use) {
                if let Some(name) = names.iter().find(|name| name.job == *test) {
                    locks.entry(name).or_default().push(lock);
                }
            }
        }
        let mut text = String::new();
        let jobs: Vec<(&&Name, &Vec<&str>)> = locks.iter().filter(|(name, _)| name.job == name.group).collect();
        if !jobs.is_empty() {
            text.push_str("\nin ci/jobs.yaml, beside the other keys of these jobs:\n\njobs:\n");
            for (name, locks) in jobs {
                let _infallible = writeln!(text, "  {}: {{locks: [{}]}}", key(&name.job), locks.join(", "));
            }
        }
        let mut items: BTreeMap<&str, Vec<(&str, &Vec<&str>)>> = BTreeMap::new();
        for (name, locks) in locks.iter().filter(|(name, _)| name.job != name.group) {
            let item = name.job.strip_prefix(&format!("{}/", name.group)).unwrap_or(&name.job);
            items.entry(&name.group).or_default().push((item, locks));
        }
        for (group, tests) in items {
            let _infallible = write!(
                text,
                "\nin ci/{group}.yaml, with `properties: ci/{group}.yaml` in the `for-each` of {group}:\n\ntests:\n"
            );
            for (item, locks) in tests {
                let _infallible = writeln!(text, "  {}: {{locks: [{}]}}", key(item), locks.join(", "));
            }
        }
        text
    }
}

impl Group {
    fn render(&self) -> String {
        let mut text = String::new();
        let what = self.shared.first().map(Shared::shown);
        let first = self.failures.first().map_or("", |failed| failed.test.as_str());
        let others: Vec<&str> = self.tests.iter().map(String::as_str).filter(|test| *test != first).collect();
        let _infallible = match self.how {
            How::Beside => match &what {
                Some(what) => writeln!(text, "{} share {what}", listed(&self.tests)),
                None => writeln!(text, "{} fail at the same time", listed(&self.tests)),
            },
            How::After => {
                let what = what.map_or_else(String::new, |what| format!(", which leaves {what}"));
                writeln!(text, "{first} fails after {}{what}", others.join(" and "))
            }
            How::Needs => {
                let what = what.map_or_else(String::new, |what| format!(", which leaves {what}"));
                writeln!(text, "{first} passes only after {}{what}", others.join(" and "))
            }
        };
        for Failures { test, together, apart, said } in &self.failures {
            let with = match self.how {
                How::Beside => "with the others",
                How::After | How::Needs => "after it",
            };
            let _infallible = writeln!(
                text,
                "    {test} failed in {} of {} runs {with}, and in {} of {} by itself",
                together.failed, together.runs, apart.failed, apart.runs
            );
            said.iter().for_each(|said| text.push_str(&format!("    it printed: {said}\n")));
        }
        for shared in &self.shared {
            let (left, right) = (&self.tests[0], self.tests.get(1).map_or("", String::as_str));
            let [ours, theirs] = &shared.acts;
            let _infallible = if ours == theirs {
                writeln!(text, "    {}: each {ours}", shared.shown())
            } else {
                writeln!(text, "    {}: {left} {ours}; {right} {theirs}", shared.shown())
            };
        }
        if !self.also_use.is_empty() {
            let _infallible = writeln!(text, "    also used by {}", self.also_use.join(", "));
        }
        let remedy = match self.how {
            How::Beside if self.shared.iter().any(|shared| shared.variable.is_some()) => {
                "give each test a directory of its own in that variable, or the same lock to all"
            }
            How::Beside => "let each test use its own, or give them the same lock",
            How::After => "let the first clean up, or the second not depend on what is there",
            How::Needs => "let the test make what it needs, or declare the other in `needs`",
        };
        let _infallible = writeln!(text, "    to do: {remedy}");
        text
    }
}

/// A key as YAML needs it.
fn key(name: &str) -> String {
    let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-./".contains(&byte))
        && name.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic());
    if plain { name.to_owned() } else { format!("\"{name}\"") }
}

fn listed(names: &[String]) -> String {
    match names {
        [all @ .., last] if !all.is_empty() => format!("{} and {last}", all.join(", ")),
        _ => names.join(", "),
    }
}
