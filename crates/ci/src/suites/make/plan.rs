//! Which targets are tests, and what has to be made before them.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::database::Database;
use super::products;

/// The tests of a target, and what is no test.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Plan<'a> {
    /// In the order of make.
    pub(super) tests: Vec<Test<'a>>,
    /// What they need that make has a rule for, and that is none of them.
    pub(super) made: BTreeSet<&'a str>,
    /// Targets that may be tests, and that make would not run now: there is a file with their name that is up to date.
    pub(super) dormant: Vec<&'a str>,
    /// A target on the way to a test whose own variables count for that test, if there is one.
    pub(super) variables_of: Option<&'a str>,
}

/// A target that is a test.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Test<'a> {
    /// The target.
    pub(super) name: &'a str,
    /// The tests that make would run before it, and without which it would not run.
    pub(super) needs: Vec<&'a str>,
    /// What it needs that is no test.
    pub(super) made: Vec<&'a str>,
}

/// Finds the tests: all targets with something to run to which targets without anything to run lead from the suite. The suite itself is
/// the last test if it has a recipe.
pub(super) fn plan<'a>(database: &Database<'a>, suite: &str) -> Plan<'a> {
    let Some((&suite, _)) = database.rules.get_key_value(suite) else { return Plan::default() };
    let mut found =
        Found { database, tests: Vec::new(), seen: HashSet::from([suite]), plan: Plan::default(), made: Vec::new() };
    let rule = &database.rules[suite];
    for need in &rule.needs {
        found.visit(need, rule.has_variables.then_some(suite));
    }
    found.alone();
    if found.works(suite) {
        found.tests.push(suite);
    }
    let names: HashSet<&str> = found.tests.iter().copied().collect();
    let mut plan = found.plan;
    plan.made.extend(found.made);
    for name in found.tests {
        let mut test = Test { name, ..Test::default() };
        found_needs(database, &names, name, &mut HashSet::from([name]), &mut test);
        // Its own variables count for what it needs, too, so that is made with it.
        if database.rules.get(name).is_some_and(|rule| rule.has_variables) {
            test.made.clear();
        }
        plan.made.extend(&test.made);
        plan.tests.push(test);
    }
    plan
}

struct Found<'a, 'd> {
    database: &'d Database<'a>,
    tests: Vec<&'a str>,
    seen: HashSet<&'a str>,
    /// What is found beside the tests.
    plan: Plan<'a>,
    /// Targets that would be linked or compiled.
    made: Vec<&'a str>,
}

impl<'a> Found<'a, '_> {
    /// True if make would run something for this target that is more than a message.
    fn works(&self, name: &str) -> bool {
        self.database.runs.get(name).is_some_and(|lines| lines.iter().any(|line| !only_says(line)))
    }

    /// Visits a target. `with` is one on the way to it that has variables of its own.
    fn visit(&mut self, name: &'a str, with: Option<&'a str>) {
        if !self.seen.insert(name) {
            return;
        }
        let rule = self.database.rules.get(name);
        let is_file = rule.is_some_and(|rule| rule.has_recipe && !rule.phony);
        if self.works(name) {
            if is_file && products::only_builds(&self.database.runs[name]) {
                self.made.push(name);
                return;
            }
            self.plan.variables_of = self.plan.variables_of.or(with);
            self.tests.push(name);
        } else if let Some(rule) = rule {
            if is_file && !self.database.runs.contains_key(name) {
                self.plan.dormant.push(name);
            }
            for need in &rule.needs {
                self.visit(need, with.or(rule.has_variables.then_some(name)));
            }
        }
    }

    /// Adds targets of `.PHONY` that only one test needs: they are tests that run before it. What several tests need prepares
    /// something for all of them.
    fn alone(&mut self) {
        let mut first = 0;
        while first < self.tests.len() {
            let mut users: BTreeMap<&str, usize> = BTreeMap::new();
            let needs = |name: &&'a str| self.database.rules.get(*name).map_or(&[][..], |rule| &rule.needs[..]);
            for need in self.tests.iter().flat_map(needs) {
                *users.entry(need).or_default() += 1;
            }
            let is_alone = |need: &&&'a str| {
                let phony = self.database.rules.get(**need).is_some_and(|rule| rule.phony);
                users[**need] == 1 && phony && self.works(need) && !self.seen.contains(**need)
            };
            let more: Vec<&str> = self.tests[first..].iter().flat_map(needs).filter(is_alone).copied().collect();
            first = self.tests.len();
            self.seen.extend(&more);
            self.tests.extend(more);
        }
    }
}

/// Sorts what a test needs.
fn found_needs<'a>(
    database: &Database<'a>,
    names: &HashSet<&'a str>,
    of: &str,
    seen: &mut HashSet<&'a str>,
    test: &mut Test<'a>,
) {
    let Some(rule) = database.rules.get(of) else { return };
    for need in &rule.needs {
        if !seen.insert(need) {
            continue;
        }
        if names.contains(need) {
            test.needs.push(need);
        } else if let Some(below) = database.rules.get(need) {
            if below.has_recipe {
                test.made.push(need);
            } else if !below.needs.is_empty() {
                found_needs(database, names, need, seen, test);
            }
        }
    }
}

/// True for a line that only prints a message, or does nothing.
fn only_says(line: &str) -> bool {
    let first = line.split_whitespace().next().unwrap_or_default();
    ["echo", ":", "true"].contains(&first)
        && !line.contains([';', '&', '|', '>', '<', '`', '\n'])
        && !line.contains("$(")
}

#[cfg(test)]
mod tests {
    use super::super::database::Rule;
    use super::*;

    /// Rules: a target, what it needs, and what make would run for it.
    fn database(rules: &[(&'static str, &'static str, &str)]) -> Database<'static> {
        let mut database = Database::default();
        for (name, needs, run) in rules {
            let phony = name.starts_with('.');
            let variables = name.contains('=');
            let name = name.trim_end_matches('=');
            let rule = Rule {
                needs: needs.split_whitespace().collect(),
                has_recipe: !run.is_empty(),
                phony,
                has_variables: variables,
                ..Rule::default()
            };
            database.rules.insert(name, rule);
            // `-` stands for a target that is up to date.
            if !["", "-"].contains(run) {
                database.runs.insert(name, run.lines().map(str::to_owned).collect());
            }
        }
        database
    }

    #[test]
    fn tests_are_what_make_would_run() {
        let rules = [
            ("check", "units .sum late", ""),
            ("late", "late.c", "cc -o late late.c"),
            ("units", "unit/a unit/b prog", "echo all"),
            ("unit/a", "a .pre", "./a"),
            ("unit/b", "b .pre unit/a more", "./b > /dev/null"),
            ("a", "a.c", "-"),
            ("b", "b.c", "cc b.c"),
            ("prog", "a.c", "-"),
            ("more", "b extra", ""),
            ("extra", "", "cc extra"),
            (".pre", "", "mkdir x"),
            (".sum", ".lonely", "./sum"),
            (".lonely", "", "./lonely"),
        ];
        let plan = plan(&database(&rules), "check");
        let found: Vec<(&str, String, String)> =
            plan.tests.iter().map(|test| (test.name, test.needs.join(" "), test.made.join(" "))).collect();
        let own = |name, needs: &str, made: &str| (name, needs.to_owned(), made.to_owned());
        assert_eq!(
            found,
            [
                own("unit/a", "", "a .pre"),
                own("unit/b", "unit/a", "b .pre extra"),
                own(".sum", ".lonely", ""),
                own(".lonely", "", ""),
            ]
        );
        assert_eq!(plan.made.iter().copied().collect::<Vec<_>>(), [".pre", "a", "b", "extra", "late"]);
    }

    #[test]
    fn up_to_date_targets_and_variables_on_the_way_are_reported() {
        let rules = [
            ("check=", "units .said", ""),
            ("units", "unit/a unit/b", ""),
            ("unit/a", "a", "-"),
            ("unit/b=", "b", "./b"),
        ];
        let found = plan(&database(&rules), "check");
        assert_eq!((&found.dormant[..], found.variables_of), (&["unit/a"][..], Some("check")));
        // What is made for a test with variables is made with it.
        let rules = [("check", "unit/b prog", ""), ("unit/b=", "b", "./b"), ("b", "b.c", "cc b.c"), ("prog=", "", "-")];
        let found = plan(&database(&rules), "check");
        assert_eq!((found.variables_of, found.made.len(), &found.tests[0].made[..]), (None, 0, &[][..]));
        // Phony targets are tests whatever they run.
        let found = plan(&database(&[("check", ".gen", ""), (".gen", "", "cc -o .gen x.c")]), "check");
        assert_eq!(found.tests[0].name, ".gen");
    }

    #[test]
    fn a_suite_with_a_recipe_is_its_own_last_test() {
        let plan = super::plan(&database(&[("check", "unit/a", "./all\necho done"), ("unit/a", "", "./a")]), "check");
        let found: Vec<(&str, &[&str])> = plan.tests.iter().map(|test| (test.name, &test.needs[..])).collect();
        assert_eq!(found, [("unit/a", &[][..]), ("check", &["unit/a"][..])]);
        assert_eq!(
            super::plan(&database(&[("check", "unit/a", "echo passed"), ("unit/a", "", "./a")]), "check").tests.len(),
            1
        );
        assert_eq!(super::plan(&database(&[]), "check"), Plan::default());
    }

    #[test]
    fn a_message_is_no_test() {
        for (line, expected) in [
            ("echo all passed", true),
            (":", true),
            ("true", true),
            ("echo a; ./b", false),
            ("echo x | ./b", false),
            ("./echo", false),
            ("echo $(./b)", false),
        ] {
            assert_eq!(only_says(line), expected, "{line}");
        }
    }
}
