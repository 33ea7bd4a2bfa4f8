//! Suites that start valgrind themselves.

use super::way::Way;

mod runners;

/// The fields of a job whose suite is `suite.sh`.
const JOB: &str = "run: [sh, suite.sh], tool: memcheck, valgrind: by-suite";

/// A program that does what its arguments say, in their order.
const DAEMON: &str = r#"
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
void lose(size_t size) { char *block = malloc(size); block[0] = 1; block = NULL; }
int read_behind(void) { char *block = malloc(8); volatile int read = block[8]; free(block); return read; }
static int shared;
void *race(void *nothing) { shared++; return nothing; }
int main(int count, char **words)
{
    for (int i = 1; i < count; i++) {
        if (!strcmp(words[i], "lose")) lose(37);
        if (!strcmp(words[i], "abort")) abort();
        if (!strcmp(words[i], "read")) read_behind();
        if (!strcmp(words[i], "fork")) { if (fork() == 0) read_behind(); else wait(NULL); }
        if (!strcmp(words[i], "chroot") && (chroot("empty") || chdir("/"))) return 9;
        if (!strcmp(words[i], "ready")) fclose(fopen("ready", "w"));
        if (!strcmp(words[i], "wait")) sleep(50);
        if (!strcmp(words[i], "daemon")) { if (fork()) return 0; setsid(); if (fork()) return 0; }
        if (!strcmp(words[i], "exec")) execv(words[i + 1], words + i + 1);
        if (!strcmp(words[i], "race")) {
            pthread_t one, other;
            pthread_create(&one, NULL, race, NULL);
            pthread_create(&other, NULL, race, NULL);
            pthread_join(one, NULL);
            pthread_join(other, NULL);
        }
    }
    return 0;
}
"#;

/// A row with the program `d` and this suite.
fn suite(name: &'static str, script: &str, right: &'static str) -> Way {
    Way::new(name, JOB, right).c("d", DAEMON).file("suite.sh", format!("#!/bin/sh\n{script}\n"))
}

/// A suite that ended as expected, but was not checked for this reason.
fn unchecked(name: &'static str, script: &str, reason: &'static str) -> Way {
    suite(name, script, "failed{0}").reason(reason).reason("this is not a pass")
}

pub(crate) fn rows() -> Vec<Way> {
    let mut rows = vec![
        suite("suite-sound", "valgrind -q --log-file=own.%p ./d; valgrind ./d fork", "findings{1}")
            .reason("InvalidRead"),
        suite("suite-clean", "valgrind -q --trace-children=yes sh -c './d; ./d'", "passed"),
    ];
    rows.extend(own_exit_code());
    rows.extend(own_options());
    rows.extend(processes());
    rows.extend(logs());
    rows.extend(runners::rows());
    rows
}

/// What the suite makes of its processes' ends.
fn own_exit_code() -> Vec<Way> {
    vec![
        suite("suite-ignores-errors", "valgrind -q --log-file=own.%p ./d lose; exit 0", "findings{1}"),
        suite("suite-or-true", "valgrind -q --error-exitcode=7 ./d lose || true", "findings{1}"),
        suite("suite-error-exitcode", "valgrind -q --error-exitcode=7 ./d lose", "findings{1}")
            .reason("the suite ended by itself with exit code 7"),
        suite("suite-reads-its-own-logs", "valgrind -q --log-file=own ./d read; test ! -s own", "findings{1}"),
        suite("suite-fails-soundly", "valgrind -q ./d; exit 3", "failed{3}"),
        suite("suite-ignores-a-crash", "valgrind -q ./d abort; valgrind -q ./d", "passed")
            .says("suite-ignores-a-crash passed, although processes crashed under valgrind: ./d (SIGABRT)"),
    ]
}

/// What the suite does to the options.
fn own_options() -> Vec<Way> {
    let lost = "the suite did not pass VALGRIND_OPTS on to it";
    let replaced = "the suite replaced the value of VALGRIND_OPTS";
    let race = "valgrind -q --tool=helgrind ./d race; valgrind -q ./d";
    vec![
        unchecked("suite-without-valgrind", "./d lose", "none of its processes ran under memcheck"),
        unchecked("suite-clears-environment", "env -i /usr/bin/valgrind -q ./d lose; valgrind -q ./d", lost),
        unchecked("suite-clears-for-one-child", "valgrind -q --trace-children=yes /usr/bin/env -i ./d lose", lost),
        unchecked("suite-replaces-options", "valgrind -q ./d; VALGRIND_OPTS=-q valgrind ./d read", replaced),
        suite("suite-appends-options", "VALGRIND_OPTS=\"$VALGRIND_OPTS -q\" valgrind ./d read", "findings{1}"),
        suite("suite-has-valgrindrc", "valgrind -q ./d lose", "findings{1}").file(".valgrindrc", "--leak-check=no\n"),
        unchecked("suite-command-line-only", "valgrind --command-line-only=yes -q ./d lose", "--command-line-only=yes"),
        suite("suite-own-xml", "valgrind --xml=yes --xml-file=own.%p -q ./d lose; rm own.*", "findings{1}"),
        suite(
            "suite-own-xml-deleted-early",
            "valgrind --xml=yes --xml-file=own ./d ready read wait & \
             until test -e ready; do sleep 0.1; done; rm own; sleep 1; kill $!; wait",
            "findings{1}",
        ),
        unchecked(
            "suite-appends-xml-off",
            "VALGRIND_OPTS=\"$VALGRIND_OPTS --memcheck:xml=no\" valgrind -q ./d lose; valgrind -q ./d",
            "VALGRIND_OPTS has --xml=no",
        ),
        unchecked(
            "suite-appends-xml-elsewhere",
            "VALGRIND_OPTS=\"$VALGRIND_OPTS --xml-file=/dev/null\" valgrind -q ./d lose; valgrind -q ./d",
            "its options have --xml-file=/dev/null",
        ),
        unchecked(
            "suite-leaks-in-another-file",
            "valgrind -q --xtree-leak=yes ./d lose",
            "with --xtree-leak=yes, its leaks are not in the logs",
        ),
        unchecked(
            "suite-where-no-log-can-be",
            "unshare -rm sh -c 'mount -t tmpfs none ../target && exec valgrind -q ./d lose'; valgrind -q ./d",
            "Cannot create XML file",
        )
        .needs("unshare", "util-linux"),
        unchecked("suite-xml-off", "valgrind -q --xml=no ./d lose; valgrind -q ./d", "--xml=no"),
        unchecked("suite-xml-elsewhere", "valgrind -q --xml=yes --xml-fd=9 ./d lose 9>own", "--xml-fd=9"),
        suite("suite-own-suppressions", "valgrind -q --suppressions=own.supp ./d lose", "passed")
            .file("own.supp", "{\n   own\n   Memcheck:Leak\n   fun:malloc\n   fun:lose\n}\n"),
        suite("suite-interactive-suppressions", "valgrind -q --gen-suppressions=yes ./d read", "failed{1}"),
        suite("suite-other-error-tool", race, "findings").reason("Race"),
        suite(
            "suite-other-tool",
            "valgrind -q ./d; valgrind -q --tool=none ./d lose ready wait & until test -e ready; do sleep 0.1; done; sleep 1; kill $!",
            "passed",
        )
        .reason("under another tool of valgrind: ./d (none)"),
        unchecked(
            "suite-only-other-tool",
            "valgrind -q --tool=none ./d lose",
            "none of its processes ran under memcheck",
        ),
        suite(
            "suite-wrong-directory",
            "mkdir sub; cd sub; valgrind -q ../d lose; cd /; valgrind -q true",
            "findings{1}",
        ),
        unchecked(
            "suite-misspells-an-option",
            "valgrind -q --leak-chek=full ./d lose; valgrind -q ./d",
            "valgrind gave up: valgrind: Unknown option: --leak-chek=full",
        ),
        unchecked(
            "suite-lacks-its-suppressions",
            "valgrind -q --suppressions=absent.supp ./d lose; valgrind -q ./d",
            "valgrind gave up: FATAL: can't open suppressions file",
        ),
        suite("suite-lacks-a-program", "valgrind -q ./absent; valgrind -q ./d", "passed")
            .reason("nothing ran there, valgrind: ./absent: No such file or directory")
            .says("passed without being completely checked"),
        suite("suite-version-only", "valgrind --version; valgrind --help >/dev/null; valgrind -q ./d", "passed"),
    ]
}

/// What becomes of the processes.
fn processes() -> Vec<Way> {
    let until_ready = "until test -e ready; do sleep 0.1; done";
    let killed = |what: &str| format!("valgrind -q ./d {what} ready wait & {until_ready}; kill -9 $!; wait; exit 0");
    vec![
        suite("suite-kills-a-daemon", &format!("valgrind -q ./d\n{}", killed("read")), "findings{1}")
            .reason("it stops in the middle: the process was killed"),
        unchecked("suite-kills-all-daemons", &killed("lose"), "none was checked to its end"),
        suite("suite-native-daemon", "./d lose wait & valgrind -q ./d; kill $!", "passed")
            .reason("without valgrind: suite-native-daemon/d")
            .says("not all of its processes were checked: without valgrind: suite-native-daemon/d"),
        suite("suite-exec-chain", "valgrind -q --trace-children=yes ./d read exec ./d exec ./d", "findings{1}")
            .check("no error is lost", |seen| !seen.reasons().contains("overwritten")),
        suite("suite-shell-wrapper", "valgrind -q --trace-children=yes ./wrapper lose", "findings{1}")
            .file("wrapper", "#!/bin/sh\nexec ./d \"$@\"\n"),
        suite(
            "suite-daemon-left-behind",
            "valgrind -q ./d daemon read lose ready wait & until test -e ready; do sleep 0.1; done",
            "findings",
        )
        .says("left processes behind"),
        suite(
            "suite-same-pid-in-namespaces",
            "for what in read lose; do unshare -r --pid --fork valgrind -q ./d $what; done",
            "findings{2}",
        )
        .needs("unshare", "util-linux"),
        // Nobody looks while the second overwrites the log of the first. Other jobs of the same call would lose theirs too.
        unchecked(
            "suite-same-pid-unseen",
            "kill -STOP $PPID; for what in read nothing; do unshare -r --pid --fork valgrind -q ./d $what; done; kill -CONT $PPID",
            "it was overwritten once by a process with the same pid",
        )
        .exclusive()
        .needs("unshare", "util-linux"),
        unchecked(
            "suite-exec-unseen",
            "kill -STOP $PPID; valgrind -q --trace-children=yes ./d read exec ./d; kill -CONT $PPID",
            "it was overwritten once by a process with the same pid",
        )
        .exclusive(),
        suite("suite-chroots", "mkdir empty; unshare -r valgrind -q ./d chroot fork lose", "findings{1}")
            .reason("Cannot create XML file")
            .needs("unshare", "util-linux"),
        unchecked(
            "suite-silences-children",
            "valgrind -q --child-silent-after-fork=yes ./d daemon read ready wait; until test -e ready; do sleep 0.1; done; exit 0",
            "--child-silent-after-fork=yes",
        ),
        suite("suite-many-processes", "for i in 1 2 3 4 5 6; do valgrind -q ./d lose & done; wait", "findings{1}"),
    ]
}

/// What the suite does to the logs.
fn logs() -> Vec<Way> {
    let files = "$(ls ../target/xtask/runs/latest/jobs/$DRYDOCK_JOB/1/*.xml)";
    vec![
        unchecked(
            "suite-deletes-logs",
            &format!("valgrind -q ./d lose; rm {files}; valgrind -q ./d"),
            "but is missing",
        ),
        unchecked(
            "suite-overwrites-logs",
            &format!("valgrind -q ./d lose; echo '<valgrindoutput/>' > {files}; valgrind -q ./d"),
            "another program than valgrind opened it for writing",
        ),
        unchecked(
            "suite-truncates-logs",
            &format!("valgrind -q ./d lose; perl -e 'truncate($_, 0) for @ARGV' {files}; valgrind -q ./d"),
            "another program than valgrind put it there, linked it, or changed it",
        ),
        unchecked(
            "suite-replaces-logs",
            &format!(
                "valgrind -q ./d; cp {files} clean; valgrind -q ./d lose; for log in {files}; do cp clean new; mv new $log; done"
            ),
            "another program than valgrind put it there, linked it, or changed it",
        ),
        // Through another name, which is gone when the logs are read.
        unchecked(
            "suite-forges-a-log-from-outside",
            &format!(
                "valgrind -q ./d; cp {files} clean; valgrind -q ./d lose; \
                 for log in {files}; do ln $log outside; cat clean >outside; rm outside; done"
            ),
            "another program than valgrind put it there, linked it, or changed it",
        ),
        unchecked(
            "suite-leads-a-log-outside",
            "cd ../target/xtask/runs/latest/jobs/$DRYDOCK_JOB/1; at=$OLDPWD; \
             sh -c 'ln -s /dev/null memcheck.$$.xml; exec valgrind -q '$at'/d lose'; find . -type l -delete; valgrind -q $at/d",
            "another program than valgrind put it there, linked it, or changed it",
        ),
        unchecked(
            "suite-forges-a-log",
            &format!("valgrind -q ./d lose; for log in {files}; do sed -i '/<error>/,/<.error>/d' $log; done"),
            "another program than valgrind",
        ),
    ]
}
