//! What a job does to its own output, its terminal and what it leaves behind.

use super::way::{Seen, Way};

/// A job that is a script of bash in a file; `$1` is the marker.
fn script(name: &'static str, text: &str, right: &'static str) -> Way {
    Way::new(name, "run: [./run.sh, \"{marker}\"]", right).file("run.sh", format!("#!/bin/bash\n{text}\n"))
}

/// A job that is a C program.
fn program(name: &'static str, source: &str, right: &'static str) -> Way {
    let includes = "#define _GNU_SOURCE\n#include <errno.h>\n#include <fcntl.h>\n#include <signal.h>\n#include <stdio.h>\n\
                    #include <stdlib.h>\n#include <string.h>\n#include <sys/ioctl.h>\n#include <sys/ptrace.h>\n\
                    #include <sys/resource.h>\n#include <sys/sendfile.h>\n#include <sys/stat.h>\n#include <unistd.h>\n\
                    static inline void say(const char *text) { if (write(1, text, strlen(text)) < 0) _exit(99); }\n";
    Way::new(name, "run: [./r, \"{marker}\"]", right).c("r", &format!("{includes}{source}\n"))
}

/// A daemon as careful as can be: a session and a parent of its own, no environment, no descriptors.
const DAEMON: &str = "
int main(int argc, char **argv) {
    if (argc > 2) { WHAT_IT_DOES; for (;;) pause(); }
    if (fork() == 0) {
        setsid();
        if (fork() == 0) {
            for (int fd = 0; fd < 256; fd++) close(fd);
            char *const arguments[] = {argv[0], argv[1], \"daemon\", NULL}, *const environment[] = {NULL};
            execve(argv[0], arguments, environment);
        }
        _exit(0);
    }
    usleep(100000);
    return 0;
}";

fn daemon(name: &'static str, what_it_does: &str, containment: &'static str) -> Way {
    program(name, &DAEMON.replace("WHAT_IT_DOES", what_it_does), "passed")
        .args(&["--containment", containment])
        .nothing_left()
        .check("the process that was left behind is reported", |seen| {
            seen.finished.transcript().contains("left processes behind") && !leftovers(seen).is_empty()
        })
}

fn leftovers(seen: &Seen<'_>) -> Vec<String> {
    let attempt = seen.job.and_then(|job| job.attempts.first());
    attempt.map(|attempt| attempt.leftovers.iter().map(|left| left.command.clone()).collect()).unwrap_or_default()
}

/// The log has these lines in this order.
fn in_order(way: Way, lines: &'static [&'static str]) -> Way {
    way.check(format!("its log has {lines:?} in this order"), move |seen| {
        let log = String::from_utf8_lossy(&seen.log()).into_owned();
        let mut rest = log.as_str();
        lines.iter().all(|line| match rest.split_once(line) {
            Some((_, after)) => {
                rest = after;
                true
            }
            None => false,
        })
    })
}

/// The log is within a limit of 64 KiB.
fn limited(way: Way) -> Way {
    way.check("its log is within its limit", |seen| seen.log().len() <= 64 << 10)
}

pub(crate) fn rows() -> Vec<Way> {
    [output(), terminal(), leftovers_rows(), tracing(), inherited()].into_iter().flatten().collect()
}

/// What it does with its standard output and its log.
fn output() -> Vec<Way> {
    let steps = "for i in $(seq 300); do echo \"step $i\"; done\necho \"FATAL the real reason\"\n";
    vec![
        in_order(
            script("tee-dev-stderr", &format!("{steps}echo bye | tee /dev/stderr >/dev/null\nexit 1"), "failed{1}"),
            &["step 1\n", "step 300\n", "FATAL the real reason\n", "bye\n"],
        ),
        in_order(
            script("redirect-dev-stderr", "echo one\necho two >/dev/stderr\necho three >/dev/stdout\nexit 1", "failed{1}"),
            &["one\n", "two\n", "three\n"],
        ),
        in_order(
            script("truncate-proc-fd", "echo one\n: >/proc/self/fd/2\n: >/proc/$$/fd/1\necho two\nexit 1", "failed{1}"),
            &["one\n", "two\n"],
        ),
        in_order(
            script("dd-over-dev-stdout", "echo one\ndd if=/dev/null of=/dev/stdout status=none\necho two\nexit 1", "failed{1}"),
            &["one\n", "two\n"],
        ),
        in_order(
            program(
                "ftruncate-and-seek",
                "int main(void) { say(\"one\\n\"); if (ftruncate(1, 0) == 0) return 9; lseek(1, 0, SEEK_SET);\n\
                 if (pwrite(1, \"XXXX\", 4, 0) > 0) return 9;\n\
                 say(\"two\\n\"); return 1; }",
                "failed{1}",
            ),
            &["one\n", "two\n"],
        ),
        program(
            "closes-everything",
            "int main(void) { say(\"the reason\\n\"); for (int fd = 0; fd < 1024; fd++) close(fd); return 3; }",
            "failed{3}",
        )
        .log_has(b"the reason\n"),
        program(
            "reopens-for-reading",
            // Reading its own output would take it away; whoever is not root may not.
            "int main(void) { if (geteuid() == 0 && (setgid(65534) || setuid(65534))) return 9; say(\"the reason\\n\");\n\
             int fd = open(\"/dev/stdout\", O_RDONLY | O_NONBLOCK); if (fd >= 0) return 9;\n\
             fd = open(\"/dev/stderr\", O_WRONLY | O_TRUNC | O_CREAT, 0600); if (fd < 0) return 8;\n\
             return write(fd, \"more\\n\", 5) == 5 ? 1 : 7; }",
            "failed{1}",
        )
        .log_has(b"the reason\nmore\n"),
        in_order(
            limited(
                script("gigabytes", "echo FIRST\nhead -c 1G /dev/zero | tr '\\0' x\necho\necho LAST\nexit 1", "failed{1}")
                    .with("log-limit: 64KiB"),
            ),
            &["FIRST\n", "bytes dropped here", "LAST\n"],
        ),
        in_order(
            limited(
                script("many-short-lines", "seq 200000\necho LAST\nexit 1", "failed{1}").with("log-limit: 64KiB"),
            ),
            &["1\n2\n3\n", "bytes dropped here", "199999\n200000\nLAST\n"],
        ),
        script("nul-and-invalid-bytes", "printf 'a\\0b\\377\\376c\\0'\nexit 1", "failed{1}").log_has(b"a\0b\xff\xfec\0"),
        script("no-newline", "for i in $(seq 2000); do printf 'word%s ' $i; done\nprintf THE-END\nexit 1", "failed{1}")
            .log_has(b"word1 word2 ")
            .log_has(b"word2000 THE-END"),
        program(
            "nonblocking-output",
            "int main(void) { fcntl(1, F_SETFL, O_NONBLOCK); char line[64]; for (int i = 0; i < 20000; i++) {\n\
             int length = sprintf(line, \"line %d of all of them\\n\", i);\n\
             while (write(1, line, length) < 0) { if (errno != EAGAIN) return 9; usleep(100); } } return 1; }",
            "failed{1}",
        )
        .log_has(b"line 0 of all of them\nline 1 of all of them\n")
        .log_has(b"line 19998 of all of them\nline 19999 of all of them\n"),
        program(
            "small-pipe-and-packets",
            "int main(void) { fcntl(1, F_SETPIPE_SZ, 4096); fcntl(1, F_SETFL, O_DIRECT); char line[64];\n\
             for (int i = 0; i < 5000; i++) { sprintf(line, \"packet %d\\n\", i); say(line); } return 1; }",
            "failed{1}",
        )
        .log_has(b"packet 0\npacket 1\n")
        .log_has(b"packet 4998\npacket 4999\n"),
        program(
            "sendfile-and-splice",
            "int main(int argc, char **argv) { say(\"one\\n\"); int file = open(argv[0], O_RDONLY); struct stat stat;\n\
             fstat(file, &stat); while (sendfile(1, file, NULL, 65536) > 0) {} int ends[2]; if (pipe(ends)) return 9;\n\
             if (write(ends[1], \"two\\n\", 4) != 4 || splice(ends[0], NULL, 1, NULL, 4, 0) != 4) return 9;\n\
             (void)argc; return 1; }",
            "failed{1}",
        )
        .log_has(b"one\n\x7fELF")
        .log_has(b"two\n"),
        program(
            "dies-with-a-full-pipe",
            "int main(void) { char text[60000]; memset(text, 'x', sizeof text); memcpy(text, \"FIRST\", 5);\n\
             memcpy(text + sizeof text - 5, \"LAST\\n\", 5); if (write(1, text, sizeof text) < 0) return 9;\n\
             kill(getpid(), SIGABRT); return 0; }",
            "crashed",
        )
        .log_has(b"FIRSTx")
        .log_has(b"xLAST\n")
        .check("its log has all 60000 bytes", |seen| seen.log().len() == 60_000),
        script("deletes-its-log", "echo the reason\nrm -f ../target/xtask/runs/latest/jobs/deletes-its-log/1/log\nexit 1", "failed{1}")
            .says("the log of deletes-its-log was deleted while the job ran"),
        script(
            "cuts-its-log",
            "echo the reason\nlog=$(echo ../target/xtask/runs/latest/jobs/cuts-its-log/1/log)\n\
             until [ -s \"$log\" ]; do sleep 0.01; done\n: >\"$log\"\nexit 1",
            "failed{1}",
        )
        .says("the log of cuts-its-log has 0 bytes and not the 11 that were written to it"),
    ]
}

/// What it does to the user's terminal.
fn terminal() -> Vec<Way> {
    let on_terminal = |way: Way| way.through(&["script", "-qec", "{call}", "/dev/null"]).needs("script", "bsdutils");
    vec![
        on_terminal(Way::new("interactive-shell", "run: [bash, -ic, \"echo hi\"], timeout: 50s", "passed"))
            .log_has(b"hi\n"),
        on_terminal(script(
            "writes-to-dev-tty",
            "if echo LEAKED-TO-THE-TERMINAL >/dev/tty; then exit 9; fi\ntty && exit 8\nexit 0",
            "passed",
        ))
        .check("nothing reaches the terminal", |seen| !seen.finished.transcript().contains("LEAKED")),
        on_terminal(script(
            "asks-for-a-password",
            "read -rsp 'password: ' answer </dev/tty && exit 9\nexit 0",
            "passed",
        )),
        on_terminal(program(
            "pushes-into-the-terminal",
            "int main(void) { char letter = 'x'; int tty = open(\"/dev/tty\", O_RDWR);\n\
             for (int fd = 0; fd < 3; fd++) if (ioctl(fd, TIOCSTI, &letter) == 0) return 9;\n\
             return tty >= 0 && ioctl(tty, TIOCSTI, &letter) == 0 ? 8 : 0; }",
            "passed",
        )),
        on_terminal(program(
            "hangs-up-its-session",
            "int main(void) { signal(SIGHUP, SIG_IGN); if (getsid(0) != getpid()) return 9; kill(0, SIGHUP); return 0; }",
            "passed",
        )),
    ]
}

/// What it leaves behind.
fn leftovers_rows() -> Vec<Way> {
    let own_group = "signal(SIGTERM, SIG_IGN)";
    let unmarked = "struct rlimit none = {RLIM_INFINITY, RLIM_INFINITY}; setrlimit(RLIMIT_RTTIME, &none)";
    let respawning = "for (int i = 0; i < 50; i++) { usleep(3000); if (fork() > 0) _exit(0); setsid(); }";
    let needed = |name: &'static str, containment: &'static str| {
        let daemon =
            "env -i setsid sh -c 'exec 0<&- 1>&- 2>&-; sleep 1000 & echo $! > left.pid' & wait; test -s left.pid";
        Way::new(name, "needs: [leaves], run: [sh, -c, \"! kill -0 $(cat ../left.pid)\"]", "passed")
            .beside("leaves", &format!("run: [sh, -c, \"{daemon}\"]"))
            .args(&["--containment", containment])
            .exclusive()
    };
    vec![
        daemon("careful-daemon", "", "none"),
        daemon("stubborn-daemon", own_group, "none"),
        daemon("unmarked-daemon", unmarked, "none").exclusive(),
        daemon("respawning-daemon", respawning, "none"),
        daemon("contained-daemon", unmarked, "v1"),
        script(
            "leaves-its-cgroup",
            "trap '' TERM\nfor group in /sys/fs/cgroup /sys/fs/cgroup/memory; do echo $$ >$group/cgroup.procs; done 2>/dev/null\n\
             exec -a \"$1\" sleep 1000 &\nwait\nsleep 1000",
            "timed-out",
        )
        .with("timeout: 2s, grace: 1s")
        .nothing_left()
        .check("all of them could be ended", |seen| !seen.finished.transcript().contains("survive SIGKILL")),
        script("leaves-many-behind", "for i in $(seq 12); do exec -a \"$1\" sleep 1000 & done", "passed")
            .says(", and 7 more")
            .nothing_left(),
        needed("gone-before-it-is-needed", "none"),
        script("holds-the-output", "sleep 1000 \"$1\" &\nexec -a \"$1\" sleep 1001 &\necho done", "passed")
            .args(&["--containment", "none"])
            .log_has(b"done\n")
            .nothing_left(),
        script("floods-after-its-end", "(exec -a \"$1\" yes) &\nsleep 0.1\nexit 1", "failed{1}")
            .args(&["--containment", "none"])
            .nothing_left(),
    ]
}

/// Stops and traces.
fn tracing() -> Vec<Way> {
    vec![
        program(
            "stops-as-a-tracee",
            "int main(void) { ptrace(PTRACE_TRACEME, 0, 0, 0); raise(SIGUSR1); pause(); return 0; }",
            "timed-out",
        )
        .with("timeout: 1s")
        .reason("stopped")
        .nothing_left(),
        program(
            "traced-to-its-end",
            "int main(void) { ptrace(PTRACE_TRACEME, 0, 0, 0); say(\"done\\n\"); _exit(7); }",
            "failed{7}",
        ),
        program("stops-itself", "int main(void) { raise(SIGSTOP); return 0; }", "timed-out")
            .with("timeout: 1s")
            .reason("stopped")
            .nothing_left(),
        script("uses-up-its-processor-time", "ulimit -t 1; while :; do :; done", "crashed{9}")
            .reason("all of the 1s of processor time that it may use (RLIMIT_CPU"),
        script("signals-its-parent", "kill $PPID; sleep 50", "cancelled")
            .exclusive()
            .says("SIGTERM was sent to Drydock by a process of the job signals-its-parent: process "),
        script("asked-twice-to-end", "trap '' TERM\ntouch started\nwhile :; do sleep 1; done", "cancelled")
            .exclusive()
            .through(&[
                "sh",
                "-c",
                "{call} & until test -e asked-twice-to-end/started; do sleep 0.1; done; kill $!; sleep 0.3; kill $!; wait $!",
            ])
            .check("the sender is named once", |seen| {
                seen.finished.transcript().matches("SIGTERM was sent by process").count() == 1
            }),
        program(
            "stopped-and-continued",
            "int main(void) { pid_t me = getpid(); if (fork() == 0) { usleep(300000); kill(me, SIGCONT); _exit(0); }\n\
             raise(SIGSTOP); return 5; }",
            "failed{5}",
        ),
    ]
}

/// What the caller of `ci` leaves to it.
fn inherited() -> Vec<Way> {
    let clean = "test \"$(ls /proc/self/fd | wc -l)\" = 4 && ! grep -E 'SigBlk:.*[1-9a-f]' /proc/self/status &&\n\
                 test \"$(awk '/SigIgn/ {print substr($2, 9)}' /proc/self/status)\" = 80000000 ||\n\
                 test \"$(awk '/SigIgn/ {print substr($2, 9)}' /proc/self/status)\" = 00000000";
    let bash = |name, before: &'static str| script(name, clean, "passed").through(&["bash", "-c", before]);
    let blocked = "import os, signal, sys; signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65)); \
                   [signal.signal(s, signal.SIG_IGN) for s in (1, 2, 3, 10, 12, 13, 14, 17, 20, 21, 22, 25)]; \
                   os.execvp('sh', ['sh', '-c', sys.argv[1]])";
    vec![
        bash("open-descriptors", "exec 9</ 8>>/dev/null 200</dev/null; {call}"),
        bash("ignored-signals", "trap '' HUP INT QUIT PIPE CHLD USR1 USR2 TSTP TTIN TTOU XFSZ; {call}"),
        bash("closed-descriptors", "exec <&- >&- 2>&-; {call}"),
        bash("no-home-and-no-tmpdir", "unset HOME; export TMPDIR=/nowhere/at/all; {call}"),
        bash("small-limits", "ulimit -S -n 64; ulimit -S -c 0; ulimit -S -s 1024; umask 777; {call}"),
        bash("small-files", "ulimit -f 100; {call}"),
        script("log-beyond-the-limit-of-files", "seq 100000; exit 3", "disk-full")
            .exclusive()
            .through(&["bash", "-c", "ulimit -f 100; {call}"])
            .reason("no file may be that long (`ulimit -f`)")
            .says("ended and its log could not be written"),
        bash("huge-limits", "ulimit -n $(ulimit -H -n); ulimit -c unlimited; {call}"),
        script("blocked-and-ignored", clean, "passed")
            .through(&["python3", "-c", blocked, "{call}"])
            .needs("python3", "python3"),
    ]
}
