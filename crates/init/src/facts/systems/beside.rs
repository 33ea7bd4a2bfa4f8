//! A directory of tests whose Makefile nothing at the top calls: people enter it and call make.

use super::super::jobs::JobDraft;
use super::super::{Saw, make_rules};
use super::make::SUITES;
use crate::tree::Tree;

/// Names of such directories.
const DIRECTORIES: [&str; 5] = ["regress", "tests", "test", "testsuite", "t"];

/// The job of the first such directory, for a project that is built in its sources.
pub(super) fn suite(tree: &Tree) -> Option<JobDraft> {
    DIRECTORIES.into_iter().find_map(|directory| {
        let (target, saw) = by_hand(tree, directory).or_else(|| of_automake(tree, directory))?;
        let words = ["make".to_owned()].into_iter().chain(target.map(str::to_owned));
        let mut job = JobDraft::command("check", words).after(&["build"]).checked().within("1h");
        directory.clone_into(&mut job.directory);
        Some(job.because(format!(
            "saw {saw}, which nothing at the top calls: the suite is one job; all programs that it starts run under memcheck"
        )))
    })
}

/// The target that tests (none for the one that make takes by itself), and its rule, in a Makefile that is written by hand.
fn by_hand(tree: &Tree, directory: &str) -> Option<(Option<&'static str>, Saw)> {
    let makefile = make_rules::read(tree, directory)?;
    if let Some((name, target)) = SUITES.iter().find_map(|name| Some((*name, makefile.target(name)?))) {
        return Some((Some(name), target.saw()));
    }
    let first = makefile.first.as_deref().filter(|first| ["all", "default"].contains(first))?;
    let target = makefile.target(first).filter(|target| !target.recipe.is_empty())?;
    Some((None, target.saw()))
}

/// The same of a rule that is written into a file of automake.
fn of_automake(tree: &Tree, directory: &str) -> Option<(Option<&'static str>, Saw)> {
    let path = format!("{directory}/Makefile.am");
    let text = tree.text(&path)?;
    SUITES.iter().find_map(|name| {
        let start = format!("{name}:");
        let (number, line) = text.lines().enumerate().find(|(_, line)| line.starts_with(&start))?;
        Some((Some(*name), Saw::line(&path, number + 1, line)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_of_tests_that_nothing_calls_is_the_suite() {
        let found = |path: &str, text: &str| {
            let job = suite(&Tree::from_texts([(path, text)]))?;
            Some(format!("{}: {}", job.directory, job.run.join(" ")))
        };
        for (path, text, expected) in [
            (
                "regress/Makefile",
                "TESTS!= echo *.sh\nall:\n\tfor t in $(TESTS); do sh $$t; done\n",
                Some("regress: make"),
            ),
            ("tests/Makefile", "all: a\na: a.c\n\tcc a.c\ncheck: a\n\t./a\n", Some("tests: make check")),
            (
                "tests/Makefile.am",
                "noinst_PROGRAMS = a\ntest: $(noinst_PROGRAMS)\n\tsh a.sh\n",
                Some("tests: make test"),
            ),
            ("tests/Makefile.am", "noinst_PROGRAMS = a\n", None),
            ("tests/Makefile", "all: a\na: a.c\n\tcc a.c\n", None),
            ("docs/Makefile", "check:\n\tspell\n", None),
        ] {
            assert_eq!(found(path, text).as_deref(), expected, "{text}");
        }
    }
}
