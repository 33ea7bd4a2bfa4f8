//! One small project a build system: `init`, then `ci`, without an edit in between.

use crate::support::git;

use super::{init, needed, project, read, results};

/// A program that ends as its first argument says.
const END: &str =
    "#include <stdlib.h>\nint main(int n, char **w) { char *p = malloc(9); free(p); return n > 1 ? atoi(w[1]) : 0; }\n";
/// One with a leak.
const LEAK: &str = "#include <stdlib.h>\nint main(void) { char *volatile p = malloc(9); p = 0; return p != 0; }\n";

/// A build system, with the comments that its declaration must have and the results of its jobs.
struct Kind {
    tools: &'static [(&'static str, &'static str)],
    files: &'static [(&'static str, &'static str)],
    says: &'static [&'static str],
    results: &'static [(&'static str, &'static str)],
}

/// What is written for a project that has nothing yet.
const ALL: &str = "ci/jobs.yaml\npackaging/release.yaml\n.github/actions/setup/action.yml\n.github/workflows/ci.yml\n\
                   .github/workflows/rerun.yml\n.github/workflows/nightly.yml\n.github/workflows/release.yml\n";

const KINDS: &[Kind] = &[
    Kind {
        tools: &[],
        files: &[
            // A shell that leaks is the system's, and what it starts is the project's.
            (
                "Makefile",
                "VERSION = 1.0\nall: end leak\nend leak:\n\t$(CC) -g -o $@ $@.c\ncheck: all\n\t./tests.sh\n.PHONY: check\n",
            ),
            ("tests.sh", "#!/bin/sh\n./end && ./end 3\ntest $? = 3\n"),
            ("end.c", END),
            ("leak.c", LEAK),
        ],
        says: &["# saw Makefile:5 `check: all`", "# Make: saw Makefile:4"],
        results: &[("build", "passed"), ("check", "passed")],
    },
    Kind {
        tools: &[],
        files: &[
            ("Makefile", "all: leak\nleak:\n\t$(CC) -g -o $@ $@.c\ntest: all\n\t@sh -c 'true; ./leak'\n"),
            ("leak.c", LEAK),
            ("own.supp", "{\n  x\n  Memcheck:Leak\n  fun:nothing\n}\n"),
            ("tsan.supp", "race:x\n"),
        ],
        says: &["# saw own.supp, which has suppressions for memcheck", "# not used: tsan.supp is for something else"],
        results: &[("build", "passed"), ("test", "failed")],
    },
    Kind {
        tools: &[],
        files: &[
            (
                "Makefile",
                "all: leak\nleak:\n\t$(CC) -g -o $@ $@.c\ncheck: all\n\t$(VALGRIND) ./leak\ncheck-valgrind:\n\t$(MAKE) check VALGRIND='valgrind -q --error-exitcode=7'\n",
            ),
            ("leak.c", "int main(void) { return 0; }\n"),
        ],
        says: &["it starts valgrind itself, and Drydock collects its logs", "valgrind: by-suite"],
        results: &[("build", "passed"), ("check-valgrind", "passed"), ("check", "passed")],
    },
    Kind {
        tools: &[],
        files: &[
            (
                "Makefile",
                "T = end\nall: end\nend:\n\t$(CC) -g -o $@ $@.c\ncheck: units\nunits: $(T:%=run/%)\nrun/%: %\n\t./$*\n.PHONY: check\n",
            ),
            ("end.c", END),
        ],
        says: &["what it needs and make would run are the tests, and each is a job"],
        results: &[
            ("build", "passed"),
            ("programs", "passed"),
            ("check/prerequisites", "passed"),
            ("check/run/end", "passed"),
        ],
    },
    // Nothing but tests, each linked and run by one recipe.
    Kind {
        tools: &[],
        files: &[
            (
                "Makefile",
                "all: test testmore\n.PHONY: test testmore\ntest:\n\t$(CC) -g -o $@ end.c\n\t./$@\ntestmore:\n\t$(CC) -g -o $@ leak.c\n\t./$@\n",
            ),
            ("end.c", END),
            ("leak.c", LEAK),
        ],
        says: &["what it needs and make would run are the tests, and each is a job"],
        results: &[("all/test", "passed"), ("all/testmore", "failed")],
    },
    Kind {
        tools: &[("cmake", "cmake")],
        files: &[
            (
                "CMakeLists.txt",
                "cmake_minimum_required(VERSION 3.16)\nproject(c VERSION 1.2.3 LANGUAGES C)\noption(BUILD_TESTS \"tests\" OFF)\noption(SANITIZE \"asan\" ON)\nif(SANITIZE)\n  message(FATAL_ERROR \"no sanitizer\")\nendif()\nadd_executable(end end.c)\nif(BUILD_TESTS)\n  enable_testing()\n  add_test(NAME well COMMAND end)\n  add_test(NAME wrong COMMAND end 3)\n  set_tests_properties(wrong PROPERTIES WILL_FAIL ON)\nendif()\n",
            ),
            ("end.c", END),
        ],
        says: &["so tests are switched on", "a sanitizer cannot run under valgrind"],
        results: &[("configure", "passed"), ("build", "passed"), ("suite/well", "passed"), ("suite/wrong", "passed")],
    },
    Kind {
        tools: &[("meson", "meson"), ("ninja", "ninja-build")],
        files: &[
            (
                "meson.build",
                "project('m', 'c', version: '0.1')\nend = executable('end', 'end.c')\nif get_option('tests')\n  test('well', end)\nendif\n",
            ),
            ("meson_options.txt", "option('tests', type: 'boolean', value: false)\n"),
            ("end.c", END),
        ],
        says: &["# saw meson_options.txt:1 `option('tests', type: 'boolean', value: false)`, so tests are switched on"],
        results: &[("configure", "passed"), ("build", "passed"), ("suite/well", "passed")],
    },
    Kind {
        tools: &[("automake", "automake"), ("autoreconf", "autoconf")],
        files: &[
            (
                "configure.ac",
                "AC_INIT([a], [1.0])\nAM_INIT_AUTOMAKE([foreign])\nAC_PROG_CC\nAC_CONFIG_FILES([Makefile])\nAC_OUTPUT\n",
            ),
            (
                "Makefile.am",
                "check_PROGRAMS = end\nend_SOURCES = end.c\nTESTS = end script.sh\nEXTRA_DIST = script.sh\n",
            ),
            ("script.sh", "#!/bin/sh\n./end 3\ntest $? = 3\n"),
            ("end.c", END),
        ],
        says: &["saw no `configure` in the sources", "# saw Makefile.am:3 `TESTS = end script.sh`"],
        results: &[
            ("bootstrap", "passed"),
            ("configure", "passed"),
            ("build", "passed"),
            ("programs", "passed"),
            ("suite/end", "passed"),
            ("suite/script.sh", "passed"),
        ],
    },
    Kind {
        tools: &[("cargo", "cargo")],
        files: &[
            ("Cargo.toml", "[package]\nname = \"r\"\nversion = \"0.1.0\" # ours\nedition = \"2021\"\n"),
            ("src/lib.rs", "/// One.\npub fn one() -> u8 { 1 }\n#[test]\nfn is_one() { assert_eq!(one(), 1); }\n"),
        ],
        says: &["saw no Cargo.lock", "saw neither `unsafe` nor linked code"],
        results: &[("build", "passed"), ("tests/r/lib/is_one", "passed")],
    },
    Kind {
        tools: &[("python3", "python3"), ("pytest-3", "python3-pytest")],
        files: &[
            ("pyproject.toml", "[project]\nname = \"p\"\nversion = \"0.1\"\n"),
            ("src/p/__init__.py", "ONE = 1\n"),
            ("tests/test_one.py", "import p\n\ndef test_one():\n    assert p.ONE == 1\n"),
        ],
        says: &["# saw tests/test_one.py: pytest lists the tests, and each is a job"],
        results: &[("tests/tests/test_one.py::test_one", "passed")],
    },
    Kind {
        tools: &[("perl", "perl"), ("make", "make"), ("cpanm", "cpanminus")],
        files: &[
            (
                "Makefile.PL",
                "use ExtUtils::MakeMaker;\nWriteMakefile(\n    NAME => 'Lamp::Oil',\n    VERSION_FROM => 'lib/Lamp/Oil.pm',\n    PL_FILES => {'made.PL' => '$(INST_LIB)/Made.pm'},\n);\n",
            ),
            // A module that only the build makes.
            ("made.PL", "open my $out, '>', shift or die; print $out \"package Made; sub one { 1 } 1;\\n\";\n"),
            ("lib/Lamp/Oil.pm", "package Lamp::Oil;\nour $VERSION = '1.002';\n1;\n"),
            ("t/one.t", "use Test::More tests => 1;\nuse Made;\nuse Lamp::Oil;\nis(Made::one(), 1);\n"),
            (
                "t/away.t",
                "use Test::More tests => 1;\nchdir '/';\nrequire Made;\nis(`$^X -MMade -e 'print Made::one'`, 1);\n",
            ),
            ("t/below/none.t", "die;\n"),
            ("xt/author.t", "die;\n"),
        ],
        says: &[
            "# Perl: saw Makefile.PL",
            "so the tests run without memcheck",
            "each script is a job, as prove runs it",
        ],
        results: &[
            ("dependencies", "passed"),
            ("configure", "passed"),
            ("build", "passed"),
            ("tests/t/away.t", "passed"),
            ("tests/t/one.t", "passed"),
        ],
    },
    Kind {
        tools: &[("perl", "perl")],
        files: &[
            ("dist.ini", "name = Lamp-Oil\nversion = 1.002\nlicense = Perl_5\n"),
            ("lib/Lamp/Oil.pm", "package Lamp::Oil;\nsub one { 1 }\n1;\n"),
            ("t/deep/one.t", "use Test::More tests => 1;\nuse Lamp::Oil;\nis(Lamp::Oil::one(), 1);\n"),
        ],
        says: &["the modules that the tests need have to be there: dist.ini names them only to its own program"],
        results: &[("tests/t/deep/one.t", "passed")],
    },
    // A suite that only a workflow starts, in the directory of its build.
    Kind {
        tools: &[("cmake", "cmake"), ("python3", "python3")],
        files: &[
            (
                "CMakeLists.txt",
                "cmake_minimum_required(VERSION 3.16)\nproject(c VERSION 1.2.3 LANGUAGES C)\nadd_executable(end end.c)\n",
            ),
            ("end.c", END),
            (
                ".github/workflows/own.yml",
                "name: own\non: push\npermissions: {}\njobs:\n  a:\n    runs-on: ubuntu-latest\n    timeout-minutes: 9\n    steps:\n      - run: cmake .\n      - run: python3 scripts/run-tests.py\n",
            ),
            (
                "scripts/run-tests.py",
                "import subprocess, sys\nsys.exit(subprocess.run(['./end', '3']).returncode != 3)\n",
            ),
        ],
        says: &["# saw .github/workflows/own.yml:10 `- run: python3 scripts/run-tests.py`", "directory: build"],
        results: &[("configure", "passed"), ("build", "passed"), ("check", "passed")],
    },
];

#[test]
fn programs_in_a_variable_are_built_before_the_suite() {
    if !needed(&[("make", "make"), ("gcc", "gcc")]) {
        return;
    }
    let makefile = "all: one\none two:\n\t$(CC) -o $@ $@.c\ncheck: $(T:%=run/%)\nrun/%: %\n\t./$*\nT = two\n";
    let project = project(&[("Makefile", makefile), ("one.c", END), ("two.c", END)]);
    let finished = init(&project, &[]);
    assert_eq!(finished.code(), 0, "{}", finished.transcript());
    let run = project.xtask(&["ci", "programs"]).run();
    assert_eq!(run.code(), 0, "{}", run.transcript());
    assert!(project.path().join("two").is_file(), "{}", run.transcript());
}

#[test]
fn what_init_writes_runs_as_it_stands() {
    for kind in KINDS {
        if !needed(kind.tools) {
            continue;
        }
        let project = project(kind.files);
        let finished = init(&project, &[]);
        assert_eq!(finished.code(), 0, "{}", finished.transcript());
        assert_eq!(finished.stdout, ALL, "{}", finished.transcript());
        assert!(finished.stderr.contains(" ci\n"), "the next command is missing: {}", finished.stderr);
        let jobs = read(&project.path().join("ci/jobs.yaml"));
        let flat = jobs.replace("\n  #  ", "").replace("\n    #  ", "").replace("\n      #  ", "").replace("\n#  ", "");
        for wanted in kind.says {
            assert!(flat.contains(wanted), "{wanted} is not in\n{flat}");
        }
        let again = init(&project, &[]);
        assert!(again.stderr.contains("ci/jobs.yaml is as init would write it"), "{}", again.transcript());
        assert_eq!(read(&project.path().join("ci/jobs.yaml")), jobs);
        let run = project.xtask(&["ci", "--no-progress"]).run();
        let found = results(&project);
        for (name, wanted) in kind.results {
            let same =
                found.iter().any(|(found, result)| found.starts_with(name) && (wanted.is_empty() || result == wanted));
            assert!(same, "{name} is not {wanted}: {found:?}\n{jobs}\n{}", run.transcript());
        }
        let failed = kind.results.iter().any(|(_, result)| *result == "failed");
        assert_eq!(run.code(), i32::from(failed), "{}", run.transcript());
        let workflows = project.xtask(&["workflows", "check"]).run();
        assert!([0, 4].contains(&workflows.code()), "{}", workflows.transcript());
        git(project.path(), &["add", "ci", "packaging"]);
        git(project.path(), &["commit", "--quiet", "-m", "declare"]);
        let release = project.xtask(&["release", "check", "--untagged", "--allow-dirty"]).run();
        assert_eq!(release.code(), 0, "{}", release.transcript());
    }
}
