//! Makefiles of all kinds, and the jobs that they become.

use super::*;

#[test]
fn a_program_that_tests_is_run_where_no_target_does_it() {
    let makefile =
        "all: lamp-test\nlamp-test: a.c\n\t$(CC) -o lamp-test a.c\nother_test: a.c\n\tcc -o other_test a.c\n";
    let group = find(&Tree::from_texts([("Makefile", makefile), ("a.c", "")])).unwrap();
    let runs: Vec<String> = group.jobs.iter().map(|job| job.run.join(" ")).collect();
    assert_eq!(runs, ["make -j {jobs}", "./lamp-test", "make other_test", "./other_test"]);
    assert!(group.has_tests);
}

#[test]
fn the_programs_of_a_suite_are_built_before_memcheck() {
    let run = |makefile: &str| {
        let files = [("Makefile", makefile), ("a.c", ""), ("t/one.c", ""), ("t/two.c", "")];
        let group = find(&Tree::from_texts(files)).unwrap();
        let programs = group.jobs.iter().find(|job| job.name == "programs").map(|job| job.run.join(" "));
        let last = group.jobs.last().unwrap();
        assert_eq!(last.needs, [if programs.is_some() { "programs" } else { "build" }], "{makefile}");
        programs
    };
    let all = "all: a\na: a.c\n\t$(CC) -o a a.c\n";
    for (rules, expected) in [
        ("check: t/one t/two\n\t./run\n", Some("make -j {jobs} t/one t/two")),
        ("check: test\ntest: t/one\n\t./t/one\n", Some("make -j {jobs} t/one")),
        ("check: run-one\nrun-one: t/one\n\t./t/one\n", Some("make -j {jobs} t/one")),
        (
            "TESTS = t/one \\\n  t/two\ncheck: all $(TESTS)\n\tfor t in $(TESTS); do ./$$t; done\n",
            Some(
                "sh -c echo 'drydock-programs: $(TESTS)' | make -f Makefile -f - \"$@\" drydock-programs sh -j {jobs}",
            ),
        ),
        ("check: one\none: t/one.c\n\t$(CC) -o one t/one.c\n\t./one\n", None),
        ("check: one\none: t/one.c\n\t$(CC) $< -o t/$@\n\t./t/$@\n", None),
        ("check: shortest\nshortest:\n\t$(MAKE) -C tests $@\n", None),
        (".PHONY: one\ncheck: one\none:\n\t$(CC) -c t/one.c && sh t/run\n", None),
        ("check:\n\t./run\n", None),
        ("check: $(X:%=run-%)\n\t./run\n", None),
    ] {
        assert_eq!(run(&format!("{all}{rules}")).as_deref(), expected, "{rules}");
    }
}

#[test]
fn uv_runs_make_where_the_project_does_so() {
    let found = |workflow: &str| {
        let makefile = "all: a\na: a.c\n\t$(CC) -o a a.c\ncheck: a\n\t./a\n";
        let files = [("Makefile", makefile), ("a.c", ""), ("uv.lock", ""), (".github/workflows/a.yml", workflow)];
        let jobs = find(&Tree::from_texts(files)).unwrap().jobs;
        jobs.iter().map(|job| format!("{}: {}", job.needs.join(" "), job.run.join(" "))).collect::<Vec<_>>()
    };
    let by_uv = found("- run: |\n    uv run eatmydata make -j4 all\n");
    assert_eq!(
        by_uv,
        [
            ": uv sync --frozen --all-extras --all-groups",
            "python: uv run --frozen make -j {jobs}",
            "build: uv run --frozen make check",
        ]
    );
    assert_eq!(found("- run: uv run pytest && make\n")[0], ": make -j {jobs}");
}

#[test]
fn a_template_is_read_where_a_script_of_the_project_configures_it() {
    let texts = [
        ("configure", "#!/bin/sh\n"),
        ("Makefile.in", "all:\n\t@CC@ -o a a.c $(CFLAGS)\ntest: all\n\t./a\n"),
        ("a.c", ""),
    ];
    let group = find(&Tree::from_texts(texts)).unwrap();
    let names: Vec<&str> = group.jobs.iter().map(|job| job.name.as_str()).collect();
    assert_eq!(names, ["configure", "build", "test"]);
}

#[test]
fn every_way_to_compile_is_seen_where_there_is_something_to_compile() {
    for line in ["cc -o a a.c", "c++ -o a a.cc", "${CC} a.c", "gcc a.c", "clang++ -c a.cc", "$(CXX) $^"] {
        let makefile = format!("all:\n\t{line}\ncheck: all\n\t./a\n");
        let tree = Tree::from_texts([("Makefile", makefile.as_str()), ("a.c", "int main(void) { return 0; }\n")]);
        let group = find(&tree).unwrap_or_else(|| panic!("{line}"));
        assert!(group.has_tests, "{line}");
    }
    // By a rule that make has itself.
    let built_in =
        [("Makefile", "prog: prog.o\ncheck: prog\n\t./prog\n"), ("prog.c", "int main(void) { return 0; }\n")];
    assert!(find(&Tree::from_texts(built_in)).is_some());
    assert!(find(&Tree::from_texts([("Makefile", "all:\n\tcc -o a a.c\n")])).is_none(), "it has no sources");
    let copies = [("Makefile", "install:\n\tcp a /usr/bin\n"), ("a.c", "int a;\n")];
    assert!(find(&Tree::from_texts(copies)).is_none());
}

#[test]
fn the_suite_is_not_run_to_build() {
    // Nothing waits for a job that there is not, and not the list of tests either.
    let each = "test: one two\none: a.c\n\tcc -o t/$@ a.c\n\t./t/$@\ntwo: a.c\n\tcc -o t/$@ a.c\n\t./t/$@\n";
    let group = find(&Tree::from_texts([("Makefile", each), ("a.c", "")])).unwrap();
    let after =
        group.jobs.iter().flat_map(|job| job.needs.iter().chain(job.suite.iter().flat_map(|suite| &suite.after)));
    assert_eq!(after.count(), 0, "{:?}", group.jobs);
    let runs = |makefile: &str| {
        let group = find(&Tree::from_texts([("Makefile", makefile), ("a.c", "")])).unwrap();
        let words = |job: &JobDraft| format!("{} after {}", job.run.join(" "), job.needs.join(" "));
        group.jobs.iter().map(words).collect::<Vec<_>>()
    };
    assert_eq!(
        runs("test: a\n\t./a\na: a.c\n\tcc -o a a.c\n"),
        ["make -j {jobs} a after ", "make test after programs",]
    );
    assert_eq!(runs("test: a.c\n\tcc -o a a.c\n\t./a\n"), ["make test after "]);
    assert_eq!(
        runs("test: all\n\t./a\nall: a.c\n\tcc -o a a.c\n"),
        ["make -j {jobs} all after ", "make test after build",]
    );
}

#[test]
fn a_makefile_that_only_tests_builds_nothing_first() {
    let each = |name: &str| format!("{name}: a.c\n\tcc -o {name} a.c\n\t./$@\n");
    let jobs = |all: &str| {
        let makefile = format!("all: {all}\n{}{}lamp: a.c\n\tcc -o lamp a.c\n", each("test"), each("testcpp"));
        let group = find(&Tree::from_texts([("Makefile", makefile.as_str()), ("a.c", "")])).unwrap();
        let of = |job: &JobDraft| match &job.suite {
            Some(suite) => format!("{}: {} {:?}", suite.key, suite.at, job.needs),
            None => job.run.join(" "),
        };
        group.jobs.iter().map(of).collect::<Vec<_>>()
    };
    assert_eq!(jobs("test testcpp"), ["make: all []"]);
    // One test is no list, and what else is built is no test.
    assert_eq!(jobs("lamp test"), ["make -j {jobs}", "make test"]);
}

#[test]
fn what_cargo_tests_is_not_tested_by_make_too() {
    let jobs = |program: &str, more: &[(&str, &str)]| {
        let makefile = format!("all: a.o\na.o: a.c\n\t$(CC) -c a.c\ntest:\n\t{program} fetch\n\t@{program} test\n");
        let files = [("Makefile", makefile.as_str()), ("a.c", "")].into_iter().chain(more.iter().copied());
        let group = find(&Tree::from_texts(files)).unwrap();
        let of = |job: &JobDraft| (job.run.join(" "), job.memcheck);
        (group.has_tests, group.jobs.iter().skip(1).map(of).collect::<Vec<_>>())
    };
    let cargo = [("Cargo.toml", "[workspace]\n")];
    assert_eq!(jobs("cargo", &cargo), (false, Vec::new()));
    let unchecked = vec![("make test".to_owned(), false)];
    assert_eq!(jobs("cargo", &[]), (true, unchecked.clone()));
    assert_eq!(jobs("npm", &cargo).1, Vec::new());
    assert_eq!(jobs("npm", &[]), (true, unchecked));
    assert_eq!(jobs("./run", &cargo), (true, vec![("make test".to_owned(), true)]));
}

#[test]
fn other_languages_and_other_directories_are_built_by_make() {
    let go = [("Makefile", "build:\n\tgo build ./...\ntest:\n\tgo test ./...\n"), ("a.go", "")];
    assert!(find(&Tree::from_texts(go)).is_none());
    let group = without_compiler(&Tree::from_texts(go)).unwrap();
    let runs: Vec<(String, bool)> = group.jobs.iter().map(|job| (job.run.join(" "), job.memcheck)).collect();
    assert_eq!(runs, [("make build".to_owned(), false), ("make test".to_owned(), false)]);
    // What a Makefile does not know, it passes on.
    let passed_on = [
        ("Makefile", "SUBDIRS = src\ndefault: all\n.DEFAULT:\n\tfor dir in $(SUBDIRS); do $(MAKE) -C $$dir $@; done\n"),
        ("src/Makefile", "all:\n\t$(CC) a.c\ntest: all\n\t../run\n"),
        ("src/a.c", ""),
    ];
    let group = find(&Tree::from_texts(passed_on)).unwrap();
    let runs: Vec<String> = group.jobs.iter().map(|job| job.run.join(" ")).collect();
    assert_eq!(runs, ["make -j {jobs}", "make test"]);
    // A script that copies one of several Makefiles.
    let copied = [
        ("configure", "#!/bin/sh\ncp Makefile.linux Makefile\n"),
        ("Makefile.linux", "include Makefile.bsd\n"),
        ("Makefile.bsd", "all: a\na: a.c\n\t${CC} -o a a.c\ntest: a\n\t./test.sh\n"),
        ("a.c", ""),
    ];
    let group = find(&Tree::from_texts(copied)).unwrap();
    let runs: Vec<String> = group.jobs.iter().map(|job| job.run.join(" ")).collect();
    assert_eq!(runs, ["./configure", "make -j {jobs}", "make test"]);
}

#[test]
fn an_address_is_not_an_object() {
    assert!(!compiles("wget -c http://www.example.org/a.tar.gz") && !compiles(".include <bsd.own.mk>"));
    assert!(compiles("a: a.o b.o") && compiles("%.o: %.c") && compiles("\tgcc a.c"));
}

#[test]
fn what_a_sanitizer_checks_does_not_run_under_valgrind() {
    let is_checked = |makefile: &str| {
        let tree = Tree::from_texts([("Makefile", makefile), ("a.c", "")]);
        find(&tree).unwrap().jobs.iter().any(|job| job.memcheck)
    };
    let suite = "all: a\na: a.c\n\t$(CC) $(CFLAGS) -o a a.c\ntest: a\n\t./a\n";
    assert!(!is_checked(&format!("CFLAGS=-Wall -fsanitize=address,undefined\n{suite}")));
    assert!(!is_checked(&format!("ASAN ?= -fsanitize=address\nCFLAGS ?= -O2 $(ASAN)\n{suite}")));
    assert!(is_checked(&format!("ASAN ?= -fsanitize=address\n{suite}")));
    for other in [
        "CFLAGS=-fsanitize=undefined\n",
        "asan: CFLAGS += -fsanitize=address\n",
        "ifdef X\nCFLAGS += -fsanitize=address\nendif\n",
    ] {
        assert!(is_checked(&format!("{other}{suite}")), "{other}");
    }
}

#[test]
fn what_is_around_the_makefile_of_automake_is_none() {
    let files = [("GNUmakefile", "include maint.mk\nall:\n\t$(CC) x\n"), ("maint.mk", "\n"), ("a.c", "")];
    assert!(find(&Tree::from_texts(files)).is_some());
    assert!(find(&Tree::from_texts(files.into_iter().chain([("Makefile.am", "")]))).is_none());
}

#[test]
fn a_suite_in_another_language_runs_without_memcheck() {
    let checks = |recipe: &str| {
        let makefile = format!("all: a\na: a.c\n\t$(CC) -o a a.c\ntest: a\n{recipe}");
        let group = find(&Tree::from_texts([("Makefile", makefile.as_str()), ("a.c", "")])).unwrap();
        group.jobs.iter().any(|job| job.name == "test" && job.memcheck)
    };
    assert!(checks("\tcppcheck -q .\n\t./a\n"));
    assert!(!checks("\tcppcheck -q .\n\tgo test -v\n"));
}

#[test]
fn a_makefile_beside_an_extension_of_python_has_to_compile_itself() {
    let makefile = "build:\n\tpython3 setup.py build\n\t$(MAKE) -C docs\ntest: build\n\tpython3 -m pytest\n";
    let files = [("Makefile", makefile), ("lamp/_c.c", ""), ("setup.py", "ext_modules=[Extension('_c')]\n")];
    assert!(find(&Tree::from_texts(files)).is_none());
    assert!(find(&Tree::from_texts(files.into_iter().take(2))).is_some());
}
