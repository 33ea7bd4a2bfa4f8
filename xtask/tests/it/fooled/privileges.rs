//! Programs with more privileges than their caller, which valgrind cannot give them: it starts none of them, neither by itself nor
//! for a program that it traces.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::way::Way;
use crate::support::privilege::succeeds_as_root;
use crate::support::text;

/// Starts another program if its words name one, and ends as that does; else loses a block.
const STARTS: &str = r#"
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
int main(int count, char **words)
{
    int status = 0;
    if (count > 1) {
        if (fork() == 0) { execl(words[1], words[1], NULL); _exit(9); }
        wait(&status);
        return WEXITSTATUS(status);
    }
    char *volatile block = malloc(37);
    block[0] = 1;
    block = NULL;
    return 0;
}
"#;

fn set_mode(directory: &Path, mode: u32) {
    fs::set_permissions(directory.join("p"), fs::Permissions::from_mode(mode)).unwrap();
}

fn setuid(directory: &Path) {
    set_mode(directory, 0o4755);
}

fn setgid(directory: &Path) {
    set_mode(directory, 0o2755);
}

fn capable(directory: &Path) {
    assert!(succeeds_as_root(&["setcap", "cap_net_raw+ep", &text(&directory.join("p"))]), "setcap needs root");
}

/// A row whose program `p` was given privileges.
fn privileged(name: &'static str, job: &str, give: fn(&Path), right: &'static str) -> Way {
    Way::new(name, job, right).c("p", STARTS).c("q", STARTS).prepare(give)
}

/// A row in which the job does not start, since valgrind could not run its program `p`.
fn refused(name: &'static str, give: fn(&Path)) -> Way {
    privileged(name, "run: [./p], tool: memcheck", give, "failed-to-start")
        .reason("/p runs with the rights of its owner or group, or with capabilities, and valgrind cannot run such a program")
        .reason("run a copy without them")
}

pub(crate) fn rows() -> Vec<Way> {
    let child = "run: [./q, ./p], tool: memcheck";
    let suite = |script: &str| format!("run: [sh, -c, '{script}'], tool: memcheck, valgrind: by-suite");
    let capable_needs = |way: Way| way.needs("setcap", "libcap2-bin");
    vec![
        refused("setuid-program", setuid),
        refused("setgid-program", setgid),
        capable_needs(refused("capable-program", capable)),
        // The suite does not care, and ends as expected.
        privileged("suite-setuid-program", &suite("valgrind -q ./p || valgrind -q true"), setuid, "failed{0}")
            .reason("not started: valgrind runs no program that is setuid, setgid or has file capabilities: ./p")
            .reason("this is not a pass"),
        // Its parent gets EACCES, and valgrind is silent, since its log is XML.
        privileged("setuid-child", child, setuid, "failed{9}"),
        capable_needs(privileged("capable-child", child, capable, "failed{9}")),
        privileged("suite-setuid-child", &suite("valgrind -q --trace-children=yes ./q ./p"), setuid, "failed{9}"),
        // Left alone, it runs with its privileges and without valgrind, as declared.
        privileged("setuid-child-skipped", child, setuid, "passed").head("tools: {memcheck: {skip-children: ['*/p']}}"),
        privileged("suite-setuid-child-untraced", &suite("valgrind -q ./q ./p"), setuid, "passed"),
    ]
}
