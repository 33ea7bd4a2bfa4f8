//! autoconf and automake: bootstrap, configure, and the tests of automake.

use super::super::Saw;
use super::super::calls::calls;
use super::super::jobs::JobDraft;
use super::{Group, System, is_about_tests, own_texts};
use crate::tree::Tree;

pub(super) fn find(tree: &Tree) -> Option<Group> {
    let path = tree.first(&["configure.ac", "configure.in"])?;
    let text = tree.text(path)?;
    let init = calls(&text, "AC_INIT").into_iter().next()?;
    let because = Saw::line(path, init.line, &format!("AC_INIT({})", init.inside)).to_string();
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
            if is_about_tests(name)
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
    let tests = own_texts(tree, "Makefile.am").into_iter().find_map(|(path, text)| {
        let is_list = |line: &str| {
            let name = line.split(['=', '+']).next().unwrap_or_default().trim();
            line.contains('=') && (name == "TESTS" || name == "check_SCRIPTS" || name == "TESTSUITE")
        };
        let found = text.lines().enumerate().find(|(_, line)| is_list(line));
        found.map(|(number, line)| Saw::line(&path, number + 1, line))
    });
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
        None => own_check(tree, &mut jobs),
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

/// A suite that is a rule of a Makefile template.
fn own_check(tree: &Tree, jobs: &mut Vec<JobDraft>) -> bool {
    let makefile = ["Makefile.am", "Makefile.in"].into_iter().find_map(|path| {
        let text = tree.text(path)?;
        let found = text.lines().enumerate().find(|(_, line)| {
            line.starts_with("check:") || line.starts_with("check-local:") || line.starts_with("test:")
        })?;
        Some((
            Saw::line(path, found.0 + 1, found.1),
            found.1.split(':').next().unwrap_or("check").replace("-local", ""),
        ))
    });
    let Some((saw, target)) = makefile else { return false };
    let check = JobDraft::command("check", ["make".to_owned(), target]).after(&["build"]).checked().within("1h");
    jobs.push(check.because(format!("saw {saw}: the suite is one job, since make does not list its tests")));
    true
}

/// The job that makes `configure`, and whether it runs it, too.
fn bootstrap(tree: &Tree, text: &str) -> (JobDraft, bool) {
    let script = tree.first(&["autogen.sh", "bootstrap", "bootstrap.sh", "buildconf", "autogen"]);
    let Some(script) = script else {
        let job = JobDraft::command("bootstrap", ["autoreconf", "--force", "--install"]);
        return (job.because("saw no `configure` in the sources, and no script that makes it"), false);
    };
    let content = tree.text(script).unwrap_or_default();
    let number = |wanted: &str| {
        let found =
            content.lines().enumerate().find(|(_, line)| !line.trim_start().starts_with('#') && line.contains(wanted));
        found.map(|(number, line)| Saw::line(script, number + 1, line))
    };
    let is_run = |line: &str| {
        let line = line.trim_start();
        let line = line.strip_prefix("exec ").unwrap_or(line);
        ["./configure", "$srcdir/configure", "\"$srcdir/configure\"", "\"$srcdir\"/configure", "${srcdir}/configure"]
            .iter()
            .any(|start| line.starts_with(start))
    };
    let runs = content.lines().any(is_run);
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
    fn generators_that_configure_looks_for_are_needed() {
        let text = "AC_INIT([a], [1.0])\nAC_PROG_CC\nAM_PROG_LEX\nAC_PROG_YACC\n";
        let group = find(&Tree::from_texts([("configure.ac", text), ("configure", "#!/bin/sh\n")])).unwrap();
        assert_eq!(group.programs, [("make", "make"), ("gcc", "gcc"), ("flex", "flex"), ("bison", "bison")]);
    }
}
