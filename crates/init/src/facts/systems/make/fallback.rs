//! What tests where a Makefile has no target with a usual name: targets such as `lite-test`, scripts, and programs.

use super::{UNDER_VALGRIND, compiles, is_program};
use crate::facts::Saw;
use crate::facts::jobs::JobDraft;
use crate::facts::make_rules::{Makefile, Target};
use crate::tree::{Kind, Tree};

/// Parts of names of targets, the better ones first: what ends soon is better than what is complete.
const BETTER: [&str; 10] = ["unit", "lite", "quick", "short", "smoke", "fast", "small", "basic", "verify", "all"];
/// Parts of names of targets that only prepare or clean, or test something else.
const OTHER: [&str; 32] = [
    "build",
    "make",
    "clean",
    "distclean",
    "install",
    "uninstall",
    "dist",
    "deps",
    "data",
    "lint",
    "format",
    "fmt",
    "style",
    "spell",
    "spelling",
    "doc",
    "docs",
    "coverage",
    "cov",
    "perf",
    "bench",
    "benchmark",
    "fuzz",
    "docker",
    "release",
    "package",
    "deb",
    "rpm",
    "ci",
    "slow",
    "header",
    "headers",
];

/// A target whose name says that it tests and whose recipe can fail: `lite-test`.
pub(super) fn target<'m>(tree: &Tree, makefile: &'m Makefile) -> Option<(&'m str, &'m Target)> {
    let rank = |name: &str| {
        let parts: Vec<&str> = name.split(['-', '_']).collect();
        let says = parts.iter().any(|part| ["test", "tests", "check", "regress"].contains(part));
        let is_other = name.contains(['.', '%', '/', '$', '(']) || parts.iter().any(|part| OTHER.contains(part));
        (parts.len() > 1 && says && !is_other)
            .then(|| BETTER.iter().position(|better| parts.contains(better)).unwrap_or(BETTER.len()))
    };
    let tests = |name: &str, target: &Target| {
        // A recipe that always succeeds is no test.
        let always = target.recipe.iter().any(|line| line.trim_end().ends_with("|| true"));
        let runs = target.recipe.iter().any(|line| line.contains("./") || line.contains('/') || line.contains("$("));
        runs && !always
            && !is_program(tree, makefile, name)
            && !UNDER_VALGRIND.contains(&name)
            && !target.recipe.iter().all(|line| compiles(line))
    };
    let all = makefile.targets.iter().filter(|(name, target)| tests(name, target));
    let best = all
        .filter_map(|(name, target)| Some((rank(name)?, name, target)))
        .min_by_key(|(rank, name, _)| (*rank, name.len()));
    best.map(|(_, name, target)| (name.as_str(), target))
}

/// Scripts that test, where no target does.
pub(super) fn scripts(tree: &Tree, jobs: &mut Vec<JobDraft>) -> bool {
    let names = [
        "runtests.sh",
        "run-tests.sh",
        "run_tests.sh",
        "test.sh",
        "check.sh",
        "runtests",
        "test/run.sh",
        "tests/run.sh",
        "tests/runtests.sh",
        "tests/run-tests.sh",
        "test/runtests.sh",
    ];
    let executable = |path: &&&str| tree.kind(path) == Some(Kind::File { executable: true });
    let Some(script) = names.iter().find(executable) else { return false };
    let job = JobDraft::command("check", [format!("./{script}")]).after(&["build"]).checked().within("1h");
    jobs.push(job.because(format!("saw {}, and no target of the Makefile that tests", Saw::file(script))));
    true
}

/// Programs that the Makefile builds and whose names say that they test, where nothing runs them.
pub(super) fn programs(makefile: &Makefile, jobs: &mut Vec<JobDraft>) -> bool {
    let says_test = |name: &str| {
        let mut parts = name.split(['-', '_', '/']);
        parts.any(|part| ["test", "tests", "unittest", "unittests", "selftest", "check"].contains(&part))
    };
    let is_built = |name: &str, target: &Target| {
        let links = |line: &String| compiles(line) && line.contains("-o");
        target.recipe.iter().any(links) && !name.contains(['%', '$', '.'])
    };
    let all: Vec<&String> =
        ["all", "default"].iter().filter_map(|name| makefile.targets.get(*name)).flat_map(|all| &all.needs).collect();
    let found = makefile.targets.iter().filter(|(name, target)| says_test(name) && is_built(name, target));
    let mut any = false;
    for (name, target) in found.take(20) {
        let key = format!("run-{}", name.replace('/', "-"));
        let mut needs = "build".to_owned();
        if !all.contains(&name) {
            needs = format!("make-{}", name.replace('/', "-"));
            jobs.push(JobDraft::command(&needs, ["make", name.as_str()]).after(&["build"]).within("1h"));
        }
        let job = JobDraft::command(&key, [format!("./{name}")]).after(&[needs.as_str()]).checked().within("30m");
        jobs.push(job.because(format!("saw {}: a program that tests, and that no target runs", target.saw())));
        any = true;
    }
    any
}

#[cfg(test)]
mod tests {
    use super::super::find;
    use crate::tree::Tree;

    fn suite(rules: &str) -> Option<(String, bool)> {
        let makefile = format!("all: a\na: a.c\n\t$(CC) -o a a.c\n{rules}");
        let group = find(&Tree::from_texts([("Makefile", makefile.as_str()), ("a.c", "")])).unwrap();
        group.has_tests.then(|| group.jobs.last().map(|job| (job.run.join(" "), job.memcheck))).flatten()
    }

    #[test]
    fn a_target_that_says_what_it_tests_is_the_suite() {
        let run = "\t./a --verify\n";
        let all = format!("fast-test-all: all\n{run}lite-test: all\n{run}verify-test-all: all\n{run}");
        assert_eq!(suite(&all), Some(("make lite-test".to_owned(), true)));
        assert_eq!(suite(&format!("verify-test-all: all\n{run}")), Some(("make verify-test-all".to_owned(), true)));
        assert_eq!(suite(&format!("{all}check: all\n{run}")), Some(("make check".to_owned(), true)));
        for none in ["verify-test-all: all\n\t./a || true\n", "clean-test:\n\trm -f ./a\n", "test-style:\n\t./style\n"]
        {
            assert_eq!(suite(none), None, "{none}");
        }
    }

    #[test]
    fn what_looks_at_the_sources_is_no_suite_and_another_builder_tests_itself() {
        let rules = "check:\n\t$(PRE_COMMIT) run\ntest: all\n\t$(RAKE) test\n";
        assert_eq!(suite(rules), Some(("make test".to_owned(), false)));
        let files = [("Makefile", "all:\n\t$(RAKE)\ntest: all\n\t$(RAKE) test\n"), ("a.c", "")];
        let group = find(&Tree::from_texts(files)).unwrap();
        assert!(group.programs.contains(&("rake", "rake")), "{:?}", group.programs);
        // What only removes objects compiles nothing.
        let files = [("Makefile", "test:\n\tpython setup.py test\nclean:\n\trm -f a/*.o\n"), ("a.c", "")];
        assert!(find(&Tree::from_texts(files)).is_none());
    }
}
