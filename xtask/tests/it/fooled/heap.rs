//! Heap budgets: processes that are not measured, and files that go away.

use super::way::Way;

/// Allocates 8 MiB if it is asked to, and starts what else its words name.
const BIG: &str = r#"
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
int main(int count, char **words)
{
    if (count > 1 && !strcmp(words[1], "big")) { char *volatile p = malloc(8 << 20); memset(p, 1, 8 << 20); free(p); return 0; }
    if (count > 1) { if (fork() == 0) { execv(words[1], words + 1); _exit(9); } wait(NULL); }
    return 0;
}
"#;

const BUDGET: &str = "tool: massif, heap: {limit: 1MiB}";
const TRACED: &str = "tools: {massif: {trace-children: true}}";

fn budget(name: &'static str, run: &str, right: &'static str) -> Way {
    Way::new(name, &format!("run: {run}, {BUDGET}"), right).c("big", BIG)
}

pub(crate) fn rows() -> Vec<Way> {
    let only = "massif measured only";
    vec![
        budget("heap-of-a-program", "[./big, big]", "over-budget"),
        budget("heap-behind-a-shell", "[sh, -c, './big big; exit 0']", "failed{0}").reason(only),
        budget("heap-behind-timeout", "[timeout, '90', ./big, big]", "failed{0}").reason(only),
        budget("heap-behind-a-script", "[./run.sh]", "failed{0}")
            .file("run.sh", "#!/bin/sh\n./big big\n:\n")
            .reason(only),
        budget("heap-behind-a-shell-traced", "[sh, -c, './big big; exit 0']", "over-budget").head(TRACED),
        budget("heap-of-a-child", "[./big, ./big, big]", "passed").reason("1 process left massif no file"),
        budget("heap-of-a-child-traced", "[./big, ./big, big]", "over-budget").head(TRACED),
        budget(
            "suite-deletes-a-profile",
            "[sh, -c, 'valgrind --tool=massif ./big big; rm ../target/xtask/runs/latest/jobs/$DRYDOCK_JOB/1/massif.*; \
             valgrind --tool=massif ./big; exit 0'], valgrind: by-suite",
            "failed{0}",
        )
        .reason("left no file of massif"),
    ]
}
