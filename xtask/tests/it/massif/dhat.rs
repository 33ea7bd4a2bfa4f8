//! Jobs under dhat: the totals and the sites of the real valgrind in every report, and no pass without a file.

use std::fs;
use std::process::Command;

use super::TOOLS;
use crate::support::{Project, need_tools, text};

const PROGRAM: &str = "\
#include <stdlib.h>
#include <string.h>
static void *wrap(size_t size) { return malloc(size); }
static char *keep[10];
static void fill(int at) {
    keep[at] = wrap(100000);
    memset(keep[at], 1, 1000);
}
int main(void) {
    for (int at = 0; at < 10; at++) fill(at);
    for (int at = 0; at < 1000; at++) free(malloc(24));
    for (int at = 0; at < 5; at++) free(keep[at]);
    return 0;
}
";

#[test]
fn the_totals_and_sites_of_dhat_are_in_every_report() {
    if !need_tools(TOOLS) {
        return;
    }
    let project = Project::new().file("alloc.c", PROGRAM).jobs(
        "defaults: {memory: 64MiB}\n\
         tools: {dhat: {wrappers: [wrap]}}\n\
         jobs:\n\
         \x20 alloc: {run: [./alloc], tool: dhat}\n\
         \x20 lost: {run: [sh, -c, \"exec ./alloc\"], tool: dhat}\n",
    );
    let (source, program) = (text(&project.path().join("alloc.c")), text(&project.path().join("alloc")));
    assert!(Command::new("gcc").args(["-g", "-O0", "-o", &program, &source]).status().unwrap().success());
    let finished = project.xtask(&["ci"]).run();
    assert_eq!(finished.code(), 1, "{}", finished.transcript());
    for expected in ["1000 KiB in 1010 blocks allocated, 977 KiB in 11 blocks at the peak", "fill (alloc.c:6): 977 KiB"]
    {
        assert!(finished.stdout.contains(expected), "{expected} is missing in {}", finished.stdout);
    }

    let latest = project.state().join("runs/latest");
    let run: serde_json::Value = serde_json::from_slice(&fs::read(latest.join("run.json")).unwrap()).unwrap();
    let jobs = run["jobs"].as_array().unwrap();
    let attempt = &jobs[0]["attempts"][0];
    assert_eq!(attempt["outcome"]["kind"], "passed");
    let largest = &attempt["allocations"]["largest"];
    assert_eq!((largest["total"]["bytes"].as_u64(), largest["at-end"]["blocks"].as_u64()), (Some(1_024_000), Some(5)));
    assert_eq!(largest["sites"][0]["place"], "fill (alloc.c:6)");
    assert_eq!(largest["sites"][0]["callers"][0], "main (alloc.c:10)");
    // A shell that becomes another program leaves no file, which is not a pass.
    assert_eq!(jobs[1]["attempts"][0]["outcome"]["kind"], "failed", "{}", finished.transcript());
    let lost = project.xtask(&["ci", "explain", "lost"]).run().stdout;
    assert!(lost.contains("dhat left no file"), "{lost}");

    let explained = project.xtask(&["ci", "explain", "alloc"]).run().stdout;
    let html = fs::read_to_string(latest.join("report.html")).unwrap();
    for report in [&explained, &html] {
        assert!(
            report.contains("fill (alloc.c:6): 977 KiB in 10 blocks, 977 KiB in 10 blocks at the peak"),
            "{report}"
        );
    }
    let files = fs::read_dir(latest.join("jobs/alloc/1")).unwrap();
    let names: Vec<String> = files.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert!(names.iter().any(|name| name.starts_with("dhat.") && !name.ends_with(".log")), "{names:?}");
}
