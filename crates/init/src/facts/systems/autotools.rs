//! autoconf and automake: bootstrap, configure, and the tests of automake.

use super::super::Saw;
use super::super::calls::calls;
use super::super::jobs::JobDraft;
use super::make::UNDER_VALGRIND;
use super::{Group, System, is_about_tests, own_texts};
use crate::tree::Tree;

/// Files of automake with more of them before are not searched for what they include.
const MOST_FILES: usize = 100;

pub(super) fn find(tree: &Tree) -> Option<Group> {
    let path = tree.first(&["configure.ac", "configure.in"])?;
    let text = tree.text(path)?;
    // In old files, the macro has no arguments.
    let bare = || text.lines().position(|line| line.trim() == "AC_INIT");
    let because = match calls(&text, "AC_INIT").into_iter().next() {
        Some(init) => Saw::line(path, init.line, &format!("AC_INIT({})", init.inside)),
        None => Saw::line(path, bare()? + 1, "AC_INIT"),
    };
    let because = because.to_string();
    let mut jobs = Vec::new();
    let mut programs = vec![("make", "make"), ("gcc", "gcc")];
    // What git does not have, a build makes.
    for (signs, program) in [(["AC_PROG_LEX", "AM_PROG_LEX"], "flex"), (["AC_PROG_YACC", "AC_PROG_BISON"], "bison")] {
        if signs.iter().any(|sign| text.contains(sign)) {
            programs.push((program, program));
        }
    }
    let mut last: Vec<&str> = Vec::new();
    let mut configures = false;
    if !tree.has("configure") {
        let (job, also_configures) = bootstrap(tree, &text);
        configures = also_configures;
        programs.extend([("autoreconf", "autoconf"), ("automake", "automake")]);
        if ["LT_INIT", "AC_PROG_LIBTOOL", "AM_PROG_LIBTOOL"].iter().any(|name| text.contains(name)) {
            programs.push(("libtoolize", "libtool"));
        }
        if text.contains("PKG_CHECK_MODULES") || text.contains("PKG_PROG_PKG_CONFIG") {
            programs.push(("pkg-config", "pkg-config"));
        }
        if ["AM_GNU_GETTEXT", "AM_ICONV"].iter().any(|name| text.contains(name)) {
            programs.push(("autopoint", "autopoint"));
        }
        last = vec!["bootstrap"];
        jobs.push(job);
    }
    if !configures {
        let mut run = vec!["./configure".to_owned()];
        let mut configure = JobDraft::command("configure", [""]).because(format!("saw {because}")).after(&last);
        for call in calls(&text, "AC_ARG_ENABLE") {
            let arguments = call.arguments();
            let Some(name) = arguments.first() else { continue };
            let is_off = arguments.get(1).is_some_and(|help| help.contains(&format!("--enable-{name}")));
            let saw = Saw::line(path, call.line, &format!("AC_ARG_ENABLE([{name}], …)"));
            if is_about_tests(name, arguments.get(1).map_or("", String::as_str))
                && is_off
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
            {
                configure.comments.push(format!("saw {saw}, so tests are switched on"));
                run.push(format!("--enable-{name}"));
            }
        }
        if text.contains("gl_VALGRIND_TESTS") {
            configure.comments.push("saw gl_VALGRIND_TESTS: the suite must not start valgrind as well".to_owned());
            run.push("--disable-valgrind-tests".to_owned());
        }
        configure.run = run;
        last = vec!["configure"];
        jobs.push(configure.within("30m"));
    }
    jobs.push(JobDraft::command("build", ["make", "-j", "{jobs}"]).after(&last).within("1h"));
    let makefiles = makefiles(tree);
    let tests = makefiles.iter().find_map(|(path, text)| {
        let is_list = |line: &str| {
            let name = line.split(['=', '+']).next().unwrap_or_default().trim();
            line.contains('=') && (name == "TESTS" || name == "check_SCRIPTS")
        };
        let found = text.lines().enumerate().find(|(_, line)| is_list(line));
        found.map(|(number, line)| Saw::line(path, number + 1, line))
    });
    let dejagnu = makefiles.iter().find_map(|(path, text)| {
        let is_option = |line: &str| line.trim_start().starts_with("AUTOMAKE_OPTIONS") && line.contains("dejagnu");
        let (number, line) = text.lines().enumerate().find(|(_, line)| is_option(line))?;
        Some(Saw::line(path, number + 1, line))
    });
    if dejagnu.is_some() {
        programs.push(("runtest", "dejagnu"));
    }
    let has_tests = match &tests {
        Some(tests) => {
            let programs = JobDraft::command("programs", ["make", "-j", "{jobs}", "check", "TESTS="])
                .after(&["build"])
                .within("1h");
            let mut programs = programs.because("builds the programs of the suite, and runs none");
            programs.allow_no_tests = true;
            jobs.push(programs);
            let suite = JobDraft::suite("suite", "automake", ".", &["programs"]).checked().within("30m");
            jobs.push(
                suite.because(format!("saw {tests}: make lists the tests when they are built, and each is a job")),
            );
            true
        }
        None => own_check(tree, &makefiles, dejagnu, &mut jobs),
    };
    Some(Group {
        system: System::Autotools,
        because,
        jobs,
        has_tests,
        programs,
        least: None,
        directory: String::new(),
        build_release: vec![vec!["./configure".to_owned()], vec!["make".to_owned()]],
    })
}

/// The files of automake with what they include, each with its text.
fn makefiles(tree: &Tree) -> Vec<(String, String)> {
    let mut found = own_texts(tree, "Makefile.am");
    let mut at = 0;
    while at < found.len().min(MOST_FILES) {
        let (path, text) = found[at].clone();
        let directory = path.rsplit_once('/').map_or("", |(directory, _)| directory);
        let below = |name: &str| if directory.is_empty() { name.to_owned() } else { format!("{directory}/{name}") };
        for name in text.lines().filter_map(|line| line.trim_start().strip_prefix("include ")).map(str::trim) {
            let top = ["$(top_srcdir)/", "${top_srcdir}/", "$(top_builddir)/"];
            let own = ["$(srcdir)/", "${srcdir}/", "%reldir%/"];
            let strip = |starts: &[&str]| starts.iter().find_map(|start| name.strip_prefix(start));
            let included = strip(&top).map_or_else(|| below(strip(&own).unwrap_or(name)), str::to_owned);
            if !found.iter().any(|(known, _)| *known == included) {
                found.extend(tree.text(&included).map(|text| (included, text)));
            }
        }
        at += 1;
    }
    found
}

/// A suite that is a rule of a Makefile template, or that DejaGnu runs.
fn own_check(tree: &Tree, makefiles: &[(String, String)], dejagnu: Option<Saw>, jobs: &mut Vec<JobDraft>) -> bool {
    let template = tree.text("Makefile.in").filter(|_| !tree.has("Makefile.am"));
    let template = template.map(|text| ("Makefile.in".to_owned(), text));
    let all = || makefiles.iter().chain(&template);
    // A hook of automake counts in all directories, and a target only in the topmost.
    let rule = |names: &[&str], everywhere: bool| {
        all().filter(|(path, _)| everywhere || !path.contains('/')).find_map(|(path, text)| {
            let names: Vec<String> = names.iter().map(|name| format!("{name}:")).collect();
            let starts = |line: &str| names.iter().any(|name| line.replace(" :", ":").starts_with(name));
            let (number, line) = text.lines().enumerate().find(|(_, line)| starts(line))?;
            Some(Saw::line(path, number + 1, line))
        })
    };
    let found = rule(&["check-local"], true).map(|saw| (saw, "check"));
    let found = found.or_else(|| dejagnu.map(|saw| (saw, "check")));
    let found = found.or_else(|| Some((rule(&["check"], false)?, "check")));
    let found = found.or_else(|| Some((rule(&["test"], false)?, "test")));
    let found = found.or_else(|| Some((rule(&["tests"], false)?, "tests")));
    let under_valgrind = UNDER_VALGRIND.iter().find_map(|name| {
        let saw = rule(&[name], false)?;
        let text = all().find(|(path, _)| *path == saw.path).map(|(_, text)| text.as_str())?;
        let recipe = text.lines().skip(saw.line?).take_while(|line| line.starts_with('\t'));
        recipe.clone().any(|line| line.to_ascii_lowercase().contains("valgrind")).then_some((*name, saw))
    });
    if let Some((name, saw)) = &under_valgrind {
        let job = JobDraft::command(name, ["make", name]).after(&["build"]).within("2h");
        let mut job = job.because(format!("saw {saw}: it starts valgrind itself, and Drydock collects its logs"));
        job.memcheck = true;
        job.by_suite = true;
        jobs.push(job);
    }
    let Some((saw, target)) = found else { return under_valgrind.is_some() };
    let check = JobDraft::command("check", ["make", target]).after(&["build"]).within("1h");
    let why = format!("saw {saw}: the suite is one job, since make does not list its tests");
    jobs.push(match under_valgrind {
        Some((name, _)) => check.because(format!("{why}; without valgrind, since {name} runs it under valgrind")),
        None => check.checked().because(why),
    });
    true
}

/// The lines of a script that run without arguments: not those below `if [ $# -gt 0 ]` or `if [ -n "$1" ]`.
fn unconditional(script: &str) -> impl Iterator<Item = &str> {
    let mut open: Vec<bool> = Vec::new();
    script.lines().filter(move |line| {
        let first = line.split_whitespace().next().unwrap_or_default().trim_end_matches(';');
        let wants_arguments = line.contains("-n \"$1\"") || line.contains("$#") && !line.contains("-eq 0");
        match first {
            "if" => open.push(wants_arguments),
            "elif" | "else" => {
                if let Some(last) = open.last_mut() {
                    *last = first == "elif" && wants_arguments;
                }
            }
            "fi" => {
                open.pop();
            }
            _ => {}
        }
        !open.iter().any(|open| *open)
    })
}

/// The job that makes `configure`, and whether it runs it, too.
fn bootstrap(tree: &Tree, text: &str) -> (JobDraft, bool) {
    let script = tree.first(&["autogen.sh", "bootstrap", "bootstrap.sh", "buildconf", "autogen"]);
    let Some(script) = script else {
        // With --force, files of automake that the project has in git would be replaced.
        let job = JobDraft::command("bootstrap", ["autoreconf", "--install"]);
        return (job.because("saw no `configure` in the sources, and no script that makes it"), false);
    };
    let content = tree.text(script).unwrap_or_default();
    let number = |wanted: &str| {
        let found =
            content.lines().enumerate().find(|(_, line)| !line.trim_start().starts_with('#') && line.contains(wanted));
        found.map(|(number, line)| Saw::line(script, number + 1, line))
    };
    let is_run = |line: &str| {
        // `test -n "$NOCONFIGURE" || ./configure`
        line.split("||").flat_map(|part| part.split("&&")).map(str::trim_start).any(|command| {
            let command = command.strip_prefix("exec ").unwrap_or(command);
            let names = [
                "./configure",
                "$srcdir/configure",
                "\"$srcdir/configure\"",
                "\"$srcdir\"/configure",
                "${srcdir}/configure",
            ];
            names.iter().any(|name| command.starts_with(name))
        })
    };
    let runs = unconditional(&content).any(is_run);
    let words: &[&str] =
        if matches!(tree.kind(script), Some(crate::tree::Kind::File { executable: true })) { &[] } else { &["sh"] };
    let command = words.iter().map(|word| (*word).to_owned()).chain([format!("./{script}")]);
    let job = JobDraft::command("bootstrap", command)
        .because(format!("saw {}, and no `configure` in the sources", Saw::file(script)))
        .within("30m");
    match number("NOCONFIGURE") {
        Some(saw) if runs => (
            job.with_env("NOCONFIGURE", "1").because(format!("saw {saw}: without it, the script runs `configure` too")),
            false,
        ),
        _ if runs && !text.is_empty() => (job.because("the script runs `configure` too"), true),
        _ => (job, false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suite_of_autotest_is_one_job_and_tests_is_a_target_too() {
        let last = |path: &str, text: &str| {
            let files = [("configure.ac", "AC_INIT([a],[1.0])\n"), ("configure", "#!/bin/sh\n"), (path, text)];
            let job = find(&Tree::from_texts(files)).unwrap().jobs.pop().unwrap();
            (job.run.join(" "), job.suite.is_some())
        };
        let autotest = "TESTSUITE = $(srcdir)/testsuite\ncheck-local: atconfig $(TESTSUITE)\n\t$(SHELL) $(TESTSUITE)\n";
        assert_eq!(last("tests/Makefile.am", autotest), ("make check".to_owned(), false));
        assert_eq!(last("Makefile.in", "all:\ntests:\tunit t-exec\n"), ("make tests".to_owned(), false));
    }

    #[test]
    fn a_script_that_configures_only_with_arguments_does_not_configure_here() {
        let names = |script: &str| {
            let files = [("configure.ac", "AC_INIT([a],[1.0])\n"), ("autogen.sh", script)];
            let group = find(&Tree::from_texts(files)).unwrap();
            group.jobs.iter().map(|job| job.name.clone()).collect::<Vec<_>>()
        };
        let start = "#!/bin/sh\nautoreconf -i\n";
        let all = ["bootstrap", "configure", "build"];
        assert_eq!(names(&format!("{start}if [ $# -gt 0 ] ; then\n  exec ./configure \"$@\"\nfi\n")), all);
        assert_eq!(
            names(&format!("{start}if [ -n \"$1\" ]; then\n  x\nelse\n  ./configure\nfi\n")),
            ["bootstrap", "build"]
        );
        assert_eq!(names(&format!("{start}./configure \"$@\"\n")), ["bootstrap", "build"]);
        assert_eq!(names(&format!("{start}cd .. && \"$srcdir/configure\"\n")), ["bootstrap", "build"]);
        assert_eq!(names(&format!("{start}test -n \"$NOCONFIGURE\" || \"$srcdir/configure\" \"$@\"\n")), all);
    }

    #[test]
    fn generators_that_configure_looks_for_are_needed() {
        let text = "AC_INIT([a], [1.0])\nAC_PROG_CC\nAM_PROG_LEX\nAC_PROG_YACC\n";
        let group = find(&Tree::from_texts([("configure.ac", text), ("configure", "#!/bin/sh\n")])).unwrap();
        assert_eq!(group.programs, [("make", "make"), ("gcc", "gcc"), ("flex", "flex"), ("bison", "bison")]);
    }

    fn runs(texts: &[(&str, &str)]) -> Vec<String> {
        let group = find(&Tree::from_texts(texts.iter().copied())).unwrap();
        let words = |job: &JobDraft| match &job.suite {
            Some(suite) => format!("for-each {}", suite.key),
            None => job.run.join(" "),
        };
        group.jobs.iter().skip(2).map(words).collect()
    }

    #[test]
    fn tests_are_found_in_what_automake_includes_and_in_rules_without_a_list() {
        let configure = ("configure.ac", "AC_INIT([a], [1.0])\n");
        let made = ("configure", "#!/bin/sh\n");
        let listed = ["make -j {jobs} check TESTS=", "for-each automake"];
        let including = [
            configure,
            made,
            ("Makefile.am", "include Makefile-tests.am\n"),
            ("Makefile-tests.am", "include $(top_srcdir)/build/tap.mk\n"),
            ("build/tap.mk", "TESTS = $(test_programs)\n"),
        ];
        assert_eq!(runs(&including), listed);
        let hook = [configure, made, ("Makefile.am", "SUBDIRS = t\n"), ("t/Makefile.am", "check-local:\n\t./run\n")];
        assert_eq!(runs(&hook), ["make check"]);
        let dejagnu = [configure, made, ("Makefile.am", ""), ("t/Makefile.am", "AUTOMAKE_OPTIONS = foreign dejagnu\n")];
        assert_eq!(runs(&dejagnu), ["make check"]);
        assert!(find(&Tree::from_texts(dejagnu)).unwrap().programs.contains(&("runtest", "dejagnu")));
        let valgrind = "test: all\n\t./run\nvalgrind-test: all\n\t./run_valgrind.sh\n";
        assert_eq!(runs(&[configure, made, ("Makefile.am", valgrind)]), ["make valgrind-test", "make test"]);
        // In an old file, the macro has no arguments, and the project has a template of its own.
        let template = "all:\n\tcc a.c\ncheck: lint\n\t$(MAKE) -C test\n";
        assert_eq!(
            runs(&[("configure.ac", "AC_PREREQ(2.59)\nAC_INIT\n"), made, ("Makefile.in", template)]),
            ["make check"]
        );
    }
}
