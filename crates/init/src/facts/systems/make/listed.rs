//! Suites whose tests make lists: a target without commands, whose prerequisites run one test each.

use super::is_program;
use crate::facts::make_rules::{Makefile, Target};
use crate::tree::Tree;

/// Prerequisites made from a list by a pattern, for which there is a rule: `$(PROGRAMS:%=run/%)` with `run/%: %`.
pub(super) struct ByPattern {
    /// The list of what the rule needs, as make writes it; none if it needs nothing by its pattern, or a source.
    pub(super) programs: Option<String>,
}

/// The most rules that lead from a suite to its tests.
const DEEPEST: usize = 4;

/// True if a target only collects others, of which at least two test by their names, and none does something else, such as `clean`:
/// make would run them one after another, and the order may matter.
pub(super) fn has_tests(tree: &Tree, makefile: &Makefile, suite: &str) -> bool {
    let mut seen: Vec<&str> = Vec::new();
    let mut next = vec![(suite, 0)];
    let mut tests = 0;
    while let Some((name, depth)) = next.pop() {
        let Some(target) = makefile.targets.get(name).filter(|_| !seen.contains(&name) && depth <= DEEPEST) else {
            continue;
        };
        seen.push(name);
        if name != suite && works(target) {
            if !is_program(tree, makefile, name) && !["all", "default", "build"].contains(&name) {
                if !says_test(name) {
                    return false;
                }
                tests += 1;
            }
            continue;
        }
        if works(target) {
            return false;
        }
        for need in &target.needs {
            // It stands for as many tests as the list has.
            tests += if by_pattern(makefile, need).is_some() { 2 } else { 0 };
            next.push((need.as_str(), depth + 1));
        }
    }
    tests >= 2
}

/// True for a target with commands that are more than a message.
fn works(target: &Target) -> bool {
    target.recipe.iter().any(|line| !["@echo ", "echo ", "@:", "@true"].iter().any(|start| line.starts_with(start)))
}

/// True for a name such as `test-parser` or `testcpp`.
fn says_test(name: &str) -> bool {
    let words = ["test", "tests", "unittest", "unittests", "selftest", "check", "run"];
    name.split(['-', '_', '/', '.']).any(|part| words.contains(&part) || part.starts_with("test"))
}

/// What a word such as `$(PROGRAMS:%=run/%)` stands for.
pub(super) fn by_pattern(makefile: &Makefile, word: &str) -> Option<ByPattern> {
    let inner = word.strip_prefix("$(")?.strip_suffix(')')?;
    let (list, change) = inner.split_once(':')?;
    let (from, to) = change.split_once('=')?;
    let whole = |pattern: &str| if pattern.contains('%') { pattern.to_owned() } else { format!("%{pattern}") };
    let (from, to) = if from.contains('%') { (from.to_owned(), to.to_owned()) } else { (whole(from), whole(to)) };
    let rule = makefile.targets.get(&to).filter(|rule| works(rule))?;
    let need = rule.needs.iter().find(|need| need.contains('%'));
    let is_source = |need: &&String| need.rsplit_once('.').is_some_and(|(_, end)| !end.contains(['%', '/']));
    let programs = need
        .filter(|need| !is_source(need))
        .map(|need| if from == "%" && need == "%" { format!("$({list})") } else { format!("$({list}:{from}={need})") });
    Some(ByPattern { programs })
}

#[cfg(test)]
mod tests {
    use super::super::find;
    use crate::tree::Tree;

    #[test]
    fn a_target_that_collects_tests_lists_them() {
        let run = |rules: &str| {
            let makefile = format!("all: a\na: a.c\n\t$(CC) -o a a.c\n{rules}");
            let files = [("Makefile", makefile.as_str()), ("a.c", ""), ("t/one.c", ""), ("t/two.c", "")];
            let group = find(&Tree::from_texts(files)).unwrap();
            let programs = group.jobs.iter().find(|job| job.name == "programs").map(|job| job.run.join(" "));
            let suite = group.jobs.last().unwrap().suite.clone();
            (suite.map(|suite| format!("{}: {}", suite.key, suite.at)), programs)
        };
        let listed = Some("make: check".to_owned());
        let built = |words: &str| Some(format!("make -j {{jobs}} {words}"));
        let evaluated = |list: &str| {
            let script = format!("echo 'drydock-programs: {list}' | make -f Makefile -f - \"$@\" drydock-programs");
            Some(format!("sh -c {script} sh -j {{jobs}}"))
        };
        for (rules, expected) in [
            ("check: $(T:%=run/%)\nrun/%: %\n\t./$*\n", (listed.clone(), evaluated("$(T)"))),
            ("check: units\nunits: $(T:.c=.run)\n%.run: %\n\t./$*\n", (listed.clone(), evaluated("$(T:%.c=%)"))),
            ("check: $(T:%.c=%.ok)\n%.ok: %.c\n\t./run $<\n", (listed.clone(), None)),
            (
                "check: test-1 test-2\n\t@echo passed\ntest-1: t/one\n\t./t/one\ntest-2:\n\t./two\n",
                (listed.clone(), built("t/one")),
            ),
            (
                "check: clean test-1 test-2\ntest-1: t/one\n\t./t/one\ntest-2:\n\t./two\nclean:\n\trm -f x\n",
                (None, built("t/one")),
            ),
            ("check: test-1\ntest-1: t/one\n\t./t/one\n", (None, built("t/one"))),
            ("check: $(T:%=run/%)\n\t./all\nrun/%: %\n\t./$*\n", (None, evaluated("$(T)"))),
            ("check: $(T:%=run/%)\n", (None, None)),
            ("check: t/one t/two\n\t./run\n", (None, built("t/one t/two"))),
        ] {
            assert_eq!(run(rules), expected, "{rules}");
        }
    }
}
