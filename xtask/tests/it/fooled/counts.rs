//! Errors that valgrind counts: options, sources of options and programs by which its exit status and its XML differ.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::way::Way;

/// A block that is still reachable at the end.
const REACHABLE: &str = "
#include <stdlib.h>
void *keep;
int main(void) { keep = malloc(100); return 0; }
";

/// A list of two blocks, both lost.
const LIST: &str = "
#include <stdlib.h>
void **list;
int main(void) { list = malloc(16); *list = malloc(32); list = NULL; return 0; }
";

/// A block to whose middle a pointer is left.
const INTERIOR: &str = "
#include <stdlib.h>
char *middle;
int main(void) { middle = malloc(100); middle += 50; return 0; }
";

/// A read beyond a block.
const INVALID: &str = "
#include <stdlib.h>
int main(void) { volatile char *p = malloc(4); char c = p[4]; free((void *)p); return c == 99; }
";

/// As [`INVALID`], and then another end: `./x exit 3`, `./x abort`, `./x fork`, `./x exec PROGRAM`.
const ENDS: &str = "
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
static void wrong(void) { volatile char *p = malloc(4); char c = p[4]; free((void *)p); if (c == 99) _exit(9); }
int main(int argc, char **argv) {
    if (argc > 1 && !strcmp(argv[1], \"fork\")) { if (fork() == 0) { wrong(); _exit(0); } wait(NULL); return 0; }
    if (argc > 2 && !strcmp(argv[1], \"exec\")) { if (fork() == 0) { execv(argv[2], argv + 2); } wait(NULL); return 0; }
    wrong();
    if (argc > 1 && !strcmp(argv[1], \"abort\")) abort();
    if (argc > 2) return atoi(argv[2]);
    wrong();
    return 0;
}
";

/// As [`INVALID`], and then a program of the system.
const BECOMES: &str = "
#include <stdlib.h>
#include <unistd.h>
int main(void) { volatile char *p = malloc(4); char c = p[4]; if (c == 99) return 9; execl(\"/bin/true\", \"true\", (char *)0); return 8; }
";

/// Asks for a leak check before a leak is found again.
const ASKS: &str = "
#include <stdlib.h>
#include <valgrind/memcheck.h>
void *keep;
int main(void) { keep = malloc(100); keep = NULL; VALGRIND_DO_LEAK_CHECK; return 0; }
";

/// Changes what valgrind counts while it runs.
const CHANGES: &str = "
#include <stdlib.h>
#include <valgrind/valgrind.h>
void *keep;
int main(void) {
    VALGRIND_CLO_CHANGE(\"--errors-for-leak-kinds=all\");
    VALGRIND_CLO_CHANGE(\"--show-leak-kinds=none\");
    keep = malloc(100);
    return 0;
}
";

const RACE: &str = "
#include <pthread.h>
int shared;
static void *count(void *unused) { shared++; return unused; }
int main(void) {
    pthread_t one, two;
    pthread_create(&one, 0, count, 0);
    pthread_create(&two, 0, count, 0);
    pthread_join(one, 0);
    pthread_join(two, 0);
    return 0;
}
";

const EXITS: &str = "#include <stdlib.h>\nint main(int n, char **words) { return n > 1 ? atoi(words[1]) : 0; }\n";

/// 1,500 functions, each with an error of its own.
fn many() -> String {
    let mut source = "#include <stdlib.h>\nvolatile char *p, c;\n".to_owned();
    (0..1500).for_each(|number| writeln!(source, "static void f{number}(void) {{ c = p[4]; }}").unwrap());
    source.push_str("int main(void) {\n    p = malloc(4);\n");
    (0..1500).for_each(|number| writeln!(source, "    f{number}();").unwrap());
    source + "    return 0;\n}\n"
}

/// A job under memcheck with these options after `--leak-check=full`.
fn memcheck(name: &'static str, options: &str, source: &str, right: &'static str) -> Way {
    Way::new(name, &format!("run: [./x], tool: memcheck, tool-args: [{options}]"), right).c("x", source)
}

/// A job under memcheck, whose options come from elsewhere.
fn surrounded(name: &'static str, more: &str, right: &'static str) -> Way {
    Way::new(name, &format!("run: [./x], tool: memcheck{more}"), right).c("x", REACHABLE)
}

const ALL: &str = "--errors-for-leak-kinds=all";

pub(crate) fn rows() -> Vec<Way> {
    [shown(), limits(), exits(), surroundings(), refused()].into_iter().flatten().collect()
}

/// What is counted and not shown.
fn shown() -> Vec<Way> {
    vec![
        memcheck("reachable-counted-not-shown", ALL, REACHABLE, "findings{1}").report_has("run.json", "StillReachable"),
        memcheck("reachable-by-tool-prefix", "'--memcheck:errors-for-leak-kinds=all'", REACHABLE, "findings{1}"),
        memcheck("indirect-counted-not-shown", "'--errors-for-leak-kinds=definite,indirect'", LIST, "findings{2}"),
        memcheck("possibly-lost-hidden", "--show-possibly-lost=no", INTERIOR, "findings{1}"),
        memcheck("no-leak-shown", "--show-leak-kinds=none", LIST, "findings{1}"),
        memcheck("reachable-shown-not-counted", "--show-leak-kinds=all", REACHABLE, "passed"),
        memcheck("leaks-in-another-file", "--xtree-leak=yes", LIST, "findings{1}").reason("no log shows these errors"),
        memcheck("leak-check-by-request", "--leak-check=no", ASKS, "findings{1}"),
        memcheck("leak-check-no", "--leak-check=no", LIST, "passed"),
        memcheck("leak-check-summary-and-error", "--leak-check=summary", INVALID, "findings{1}"),
        memcheck("options-changed-by-program", "--error-exitcode=9", CHANGES, "findings{1}")
            .reason("no log shows these errors"),
    ]
}

/// Limits and verbosity.
fn limits() -> Vec<Way> {
    vec![
        memcheck("more-than-1000-errors", "--error-limit=yes", &many(), "findings{1500}"),
        memcheck("two-callers", "--num-callers=2", INVALID, "findings{1}"),
        memcheck("quiet", "-q, -q", INVALID, "findings{1}"),
        memcheck("verbose", "-v, -s, --show-error-list=yes", INVALID, "findings{1}"),
        memcheck("no-default-suppressions", "--default-suppressions=no", INVALID, "findings"),
        memcheck("no-suppressions-generated", "--gen-suppressions=no", INVALID, "findings{1}"),
        memcheck("addressability-only", "--undef-value-errors=no", INVALID, "findings{1}"),
        memcheck("descriptors-tracked", "--track-fds=yes, --vgdb=no", INVALID, "findings{1}"),
        Way::new("race-helgrind", "run: [./x], tool: helgrind, tool-args: [-q]", "findings").c("x", RACE),
        Way::new("race-drd", "run: [./x], tool: drd, tool-args: ['--drd:error-exitcode=5']", "findings").c("x", RACE),
    ]
}

/// Exit codes and processes.
fn exits() -> Vec<Way> {
    let ends = |name, words: &str, options: &str, right| {
        let job = format!("run: [./x{words}], tool: memcheck, tool-args: [{options}]");
        Way::new(name, &job, right).c("x", ENDS)
    };
    vec![
        ends("first-error-ends-it", "", "--exit-on-first-error=yes", "findings{1}").reason("at the first error"),
        ends("first-error-ends-it-exit-3", ", exit, '3'", "--exit-on-first-error=yes", "findings{1}"),
        ends("error-exitcode", "", "--error-exitcode=7", "findings{1}"),
        ends("error-exitcode-256", "", "--error-exitcode=256", "findings{1}"),
        ends("error-and-exit-3", ", exit, '3'", "", "failed{3}").reason("valgrind also found InvalidRead"),
        ends("error-and-sigabrt", ", abort", "--error-exitcode=7", "crashed{6}")
            .reason("valgrind also found InvalidRead"),
        ends("error-in-forked-child", ", fork", "", "findings{1}"),
        Way::new("becomes-a-program-of-the-system", "run: [./x], tool: memcheck", "findings{1}")
            .c("x", BECOMES)
            .check("it is not said that no program of the project ran", |seen| {
                !seen.reasons().contains("none of the project")
            }),
        ends("error-in-executed-child", ", exec, ./y", "", "findings{1}").c("y", INVALID),
        Way::new(
            "errors-expected",
            "run: [./x], tool: memcheck, expect-exit: 7, tool-args: [--error-exitcode=7]",
            "findings{1}",
        )
        .c("x", INVALID),
        Way::new(
            "exits-with-our-code",
            "run: [./x, '99'], tool: drd, tool-args: [--exit-on-first-error=yes]",
            "failed{99}",
        )
        .c("x", EXITS),
        Way::new(
            "exits-with-declared-code",
            "run: [./x, '7'], tool: memcheck, tool-args: [--error-exitcode=7]",
            "findings",
        )
        .c("x", EXITS)
        .reason("or the program itself chose this exit code"),
        memcheck("option-without-value", "--leak-check", INVALID, "failed{1}"),
        Way::new(
            "valgrind-fails-as-expected",
            "run: [./x, '1'], tool: memcheck, expect-exit: 1, tool-args: [--leak=full]",
            "failed{1}",
        )
        .c("x", EXITS),
    ]
}

/// Options of `.valgrindrc` and `VALGRIND_OPTS`.
fn surroundings() -> Vec<Way> {
    let hostile = "--quiet --tool=none --xml=no --xml-file=/dev/null --log-file=/dev/null --child-silent-after-fork=yes \
                   --xml-user-comment=</valgrindoutput> --trace-children=no --vgdb-error=0 --version";
    vec![
        surrounded("rc-of-directory", "", "findings{1}").file(".valgrindrc", ALL).reason("./.valgrindrc"),
        surrounded("rc-of-home", "", "findings{1}")
            .file("home/.valgrindrc", ALL)
            .env("HOME", "{directory}/home")
            .exclusive()
            .reason("~/.valgrindrc"),
        surrounded("rc-of-everybody", "", "passed")
            .file(".valgrindrc", ALL)
            .prepare(|directory| {
                fs::set_permissions(directory.join(".valgrindrc"), fs::Permissions::from_mode(0o666)).unwrap();
            })
            .reason("everybody may write to it"),
        surrounded("variable-of-caller", ", pass-env: [VALGRIND_OPTS]", "findings{1}")
            .env("VALGRIND_OPTS", ALL)
            .exclusive(),
        surrounded("variable-of-job", &format!(", env: {{VALGRIND_OPTS: '{ALL}'}}"), "findings{1}"),
        surrounded(
            "variable-against-declared",
            &format!(", env: {{VALGRIND_OPTS: '{ALL}'}}, tool-args: [--errors-for-leak-kinds=none]"),
            "passed",
        ),
        surrounded("hostile-variable", &format!(", env: {{VALGRIND_OPTS: '{hostile} {ALL}'}}"), "findings{1}")
            .reason("an option from VALGRIND_OPTS was not used"),
        surrounded("rc-of-child", "", "passed").file("below/.valgrindrc", "--tool=none --xml=no"),
        surrounded("rc-written-by-a-job", ", needs: [writer]", "failed-to-start")
            .beside("writer", "directory: rc-written-by-a-job, run: [sh, -c, 'echo --leak-check=no > .valgrindrc']")
            .report_has("run.json", "./.valgrindrc was changed during this run"),
    ]
}

/// What cannot be made right.
fn refused() -> Vec<Way> {
    let refused = |name, option: &str, words| memcheck(name, option, INVALID, "exit 3").exclusive().says(words);
    vec![
        refused("xml-elsewhere", "--xml-file=/tmp/x", "remove it; Drydock always asks for XML"),
        refused("xml-elsewhere-by-prefix", "'--memcheck:xml-fd=9'", "remove it; Drydock always asks for XML"),
        refused("silent-children", "--child-silent-after-fork=yes", "suppresses the findings of children"),
        refused("help-instead-of-job", "--help-debug", "prints the help instead of running the job"),
        refused("value-as-a-word", "--leak-check, full", "is not an option of valgrind"),
    ]
}
