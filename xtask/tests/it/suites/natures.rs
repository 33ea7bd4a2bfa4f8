//! What a program really is decides how it runs under valgrind: libtool's wrappers, static programs, setuid programs.

use super::results;
use crate::support::{Project, need_tools};

const BUILD: &str = "set -e\n\
    libtool --quiet --tag=CC --mode=compile gcc -g -O0 -c library.c\n\
    libtool --quiet --tag=CC --mode=link gcc -rpath /usr/lib -o liblibrary.la library.lo\n\
    libtool --quiet --tag=CC --mode=link gcc -g -O0 -o wrapped wrapped.c liblibrary.la\n\
    head -c 2 wrapped | grep -q '#!'\n\
    gcc -g -O0 -static -o static plain.c\n\
    gcc -g -O0 -static-pie -o static-pie plain.c\n\
    gcc -g -O0 -o setuid plain.c\n\
    chmod u+s setuid\n";

#[test]
fn what_a_program_is_decides_how_it_runs_under_valgrind() {
    let tools = [("libtool", "libtool-bin"), ("gcc", "gcc"), ("valgrind", "valgrind")];
    if !need_tools(&tools) {
        return;
    }
    let leak = "#include <stdlib.h>\nint leak(void) { char *volatile lost = malloc(7); lost = 0; return lost != 0; }\n";
    let project = Project::new()
        .file("build.sh", BUILD)
        .file("library.c", leak)
        .file("wrapped.c", "int leak(void);\nint main(int count, char **words) { return count > 1 ? 0 : leak(); }\n")
        .file("plain.c", "#include <stdio.h>\nint main(void) { puts(\"hello\"); return 0; }\n")
        .jobs(
            "defaults: {memory: 64MiB}\ntools: {memcheck: {args: [--leak-check=full, --track-origins=yes]}}\njobs:\n  \
             build: {run: [sh, build.sh]}\n  \
             leaks: {run: [./wrapped], needs: [build], tool: memcheck}\n  \
             works: {run: [./wrapped, x], needs: [build], tool: memcheck, env: {LD_LIBRARY_PATH: /nowhere}}\n  \
             static: {run: [./static], needs: [build], tool: memcheck}\n  \
             static-pie: {run: [./static-pie], needs: [build], tool: memcheck}\n  \
             static-threads: {run: [./static], needs: [build], tool: helgrind}\n  \
             static-heap: {run: [./static], needs: [build], tool: massif}\n  \
             setuid: {run: [./setuid], needs: [build], tool: memcheck}\n  \
             setuid-plain: {run: [./setuid], needs: [build]}\n",
        );
    let finished = project.xtask(&["ci", "-j", "2"]).run();
    assert_eq!(finished.code(), 1, "{}", finished.transcript());
    let expected = [
        ("build", "passed"),
        ("leaks", "failed findings{1}"),
        ("works", "passed"),
        ("static", "passed"),
        ("static-pie", "passed"),
        ("static-threads", "passed"),
        ("static-heap", "failed failed-to-start"),
        ("setuid", "failed failed-to-start"),
        ("setuid-plain", "passed"),
    ];
    let mut expected: Vec<(String, String)> =
        expected.iter().map(|(name, result)| ((*name).to_owned(), (*result).to_owned())).collect();
    expected.sort();
    let got: Vec<(String, String)> = results(&project).into_iter().collect();
    assert_eq!(got, expected, "{}", finished.transcript());
    let said = |job: &str, words: &str| {
        let explained = project.xtask(&["ci", "explain", job]).run();
        assert!(explained.stdout.contains(words), "{job}: {words}: {}", explained.transcript());
    };
    said("works", "/wrapped is libtool's wrapper, so");
    said("works", "/.libs/");
    // The leak is at its line, and nothing of a shell around it was not checked.
    said("leaks", "leak (library.c:2)");
    assert!(finished.stdout.contains("passed without being completely checked, such as static"), "{}", finished.stdout);
    said("static", "/static is linked statically, so valgrind sees neither its allocations nor its locks");
    said("static-heap", "so massif sees no heap of it; link it dynamically");
    said("setuid", "valgrind cannot run such a program; run a copy without them");
}

#[test]
fn errors_of_the_systems_programs_around_a_test_do_not_count() {
    if !need_tools(&[("gcc", "gcc"), ("valgrind", "valgrind"), ("perl", "perl")]) {
        return;
    }
    // It loses one block when it ends, and perl many.
    let expr = "expr 1 + 1\n";
    let leak = "#include <stdlib.h>\nint leak(void) { char *volatile lost = malloc(7); lost = 0; return lost != 0; }\n";
    let script = |lines: &str| format!("#!/bin/bash\n{lines}");
    let project = Project::new()
        .file("leak.c", leak)
        .file("main.c", "int leak(void);\nint main(int count, char **words) { return count > 1 ? leak() : 0; }\n")
        .file("preload.c", "int leak(void);\n__attribute__((constructor)) static void begin(void) { leak(); }\n")
        .file("clean.sh", &script(&format!("{expr}./prog\n")))
        .file("leaks.sh", &script(&format!("{expr}./prog x\n")))
        .file("inside.sh", &script("LD_PRELOAD=$PWD/preload.so expr 1 + 1\n"))
        .file("alone.sh", &script(expr))
        .file("tests.pl", "#!/usr/bin/perl\nexit(system('./prog') >> 8);\n")
        .jobs(
            "defaults: {memory: 64MiB}\njobs:\n  \
             build: {run: [sh, -c, 'chmod +x *.sh *.pl && gcc -g -O0 -o prog main.c leak.c && gcc -g -O0 -shared -fPIC -o preload.so preload.c leak.c']}\n  \
             clean: {run: [sh, -c, ./clean.sh], needs: [build], tool: memcheck}\n  \
             perl: {run: [./tests.pl], needs: [build], tool: memcheck}\n  \
             leaks: {run: [./leaks.sh], needs: [build], tool: memcheck}\n  \
             inside: {run: [./inside.sh], needs: [build], tool: memcheck}\n  \
             alone: {run: [./alone.sh], needs: [build], tool: memcheck}\n",
        )
        .file(
            "strict/jobs.yaml",
            "tools: {memcheck: {system-programs: check}}\ndefaults: {memory: 64MiB}\njobs:\n  \
             clean: {run: [./clean.sh], tool: memcheck}\n",
        );
    let finished = project.xtask(&["ci", "-j", "2"]).run();
    let got: Vec<(String, String)> = results(&project).into_iter().collect();
    let expected = [
        ("alone", "passed"),
        ("build", "passed"),
        ("clean", "passed"),
        ("inside", "failed findings{1}"),
        ("leaks", "failed findings{1}"),
        ("perl", "passed"),
    ];
    let expected: Vec<(String, String)> =
        expected.iter().map(|(name, result)| ((*name).to_owned(), (*result).to_owned())).collect();
    assert_eq!(got, expected, "{}", finished.transcript());
    let said = &finished.stdout;
    assert!(said.contains("! errors of programs of the system do not count in 5 jobs: /usr/bin/expr ("), "{said}");
    assert!(
        said.contains("! 1 job ran only programs of the system under memcheck, and none of the project, such as alone")
    );
    assert!(!said.contains("without being completely checked"), "{said}");
    assert!(said.contains("Leak_DefinitelyLost at leak ("), "{said}");
    let ignored = super::run_json(&project).job("clean").unwrap().attempts[0].ignored_errors.clone();
    assert!(ignored.get("/usr/bin/expr").is_some_and(|count| *count > 0) && ignored.len() == 1, "{ignored:?}");

    let strict = project.xtask(&["--config", "strict", "ci"]).run();
    assert!(results(&project)["clean"].starts_with("failed findings{"), "{}", strict.transcript());
}

#[test]
fn a_command_that_starts_valgrind_by_itself_is_recognised() {
    if !need_tools(&[("gcc", "gcc"), ("valgrind", "valgrind")]) {
        return;
    }
    let project = Project::new()
        .file("say.c", super::SAY)
        .file("tries.sh", "valgrind -q ./say leak || true\n")
        .file("asks.sh", "valgrind --version && ./say 0\n")
        .jobs(
            "defaults: {memory: 64MiB}\njobs:\n  build: {run: [gcc, -g, -O0, -o, say, say.c]}\n  \
             leaks: {run: [valgrind, -q, --error-exitcode=3, ./say, leak], needs: [build], tool: memcheck}\n  \
             works: {run: [env, A=1, valgrind, ./say, '0'], needs: [build], tool: memcheck}\n  \
             shell: {run: [sh, -c, 'valgrind -q ./say leak; true'], needs: [build], tool: memcheck}\n  \
             tries: {run: [sh, tries.sh], needs: [build], tool: memcheck}\n  \
             asks: {run: [sh, asks.sh], needs: [build], tool: memcheck}\n",
        );
    let finished = project.xtask(&["ci", "-j", "2"]).run();
    let got: Vec<(String, String)> = results(&project).into_iter().collect();
    let expected = [
        ("asks", "failed failed{1}"),
        ("build", "passed"),
        ("leaks", "failed findings{1}"),
        ("shell", "failed findings{1}"),
        ("tries", "failed failed{0}"),
        ("works", "passed"),
    ];
    let expected: Vec<(String, String)> =
        expected.iter().map(|(name, result)| ((*name).to_owned(), (*result).to_owned())).collect();
    assert_eq!(got, expected, "{}", finished.transcript());
    let said = &finished.stdout;
    assert!(said.contains("! 3 jobs start valgrind by the command, so Drydock did not as well"), "{said}");
    assert!(
        said.contains("✗ it starts valgrind by itself, which does not run under another valgrind\n    2 jobs"),
        "{said}"
    );
    assert!(said.contains("to do: declare `valgrind: by-suite` for this job"), "{said}");
}

#[test]
fn a_job_runs_as_another_user_and_its_errors_can_be_read() {
    if !need_tools(&[("gcc", "gcc"), ("valgrind", "valgrind"), ("setpriv", "util-linux")]) {
        return;
    }
    let jobs = |user: &str| {
        format!(
            "defaults: {{memory: 64MiB}}\njobs:\n  build: {{run: [gcc, -g, -O0, -o, say, say.c]}}\n  \
             leaks: {{run: [./say, leak], needs: [build], tool: memcheck, user: {user}}}\n  \
             works: {{run: [sh, -c, 'id -un; echo $HOME; exec ./say 0'], needs: [build], user: {user}, \
             expect-output: '^nobody[^a-z]*/nonexistent'}}\n"
        )
    };
    let project = Project::new().file("say.c", super::SAY).jobs(&jobs("nobody"));
    let open = |mode| {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
        std::fs::set_permissions(project.path(), mode).unwrap();
    };
    // As a directory for temporary files mostly is.
    open(0o700);
    let run = || {
        let finished = project.xtask(&["ci"]).run();
        (results(&project), finished)
    };
    let is_root = rustix::process::geteuid().is_root();
    let says = |words: &str, finished: &crate::support::Finished| {
        assert!(finished.stdout.contains(words), "{words}: {}", finished.transcript());
    };
    let (got, finished) = run();
    assert_eq!(got["works"], "failed failed-to-start", "{}", finished.transcript());
    if !is_root {
        says("only root can run a job as the user `nobody`", &finished);
        return;
    }
    says("the user `nobody` cannot reach", &finished);
    open(0o755);
    let (got, finished) = run();
    let expected = [("build", "passed"), ("leaks", "failed findings{1}"), ("works", "passed")];
    let expected = expected.map(|(name, result)| (name.to_owned(), result.to_owned()));
    assert_eq!(got.into_iter().collect::<Vec<_>>(), expected, "{}", finished.transcript());
    says("Leak_DefinitelyLost", &finished);
    let ci = project.path().join("ci/jobs.yaml");
    std::fs::write(&ci, jobs("nobody-at-all")).unwrap();
    says("there is no user `nobody-at-all` here", &run().1);
    std::fs::write(&ci, jobs("'no body'")).unwrap();
    let refused = run().1;
    assert!(refused.code() == 3 && refused.stderr.contains("`no body` is not a user"), "{}", refused.transcript());
}
