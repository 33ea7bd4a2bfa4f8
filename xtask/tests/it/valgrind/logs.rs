//! Logs themselves: everything that a fuzzer found, hostile ones of a million elements, and one that is too long.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use drydock_valgrind::suppression;
use drydock_valgrind::xml::{Extent, parse};

use rustix::process::Signal;

use crate::support::{Project, marker, processes_with, wait_for};

use super::{ends, job_of, project, ready, reasons_of, run_json};

/// The limit for each file of the corpus.
const MOST: Duration = Duration::from_secs(2);

/// Processor time of this thread: other tests on the same processors do not count.
fn now() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.try_into().unwrap(), time.tv_nsec.try_into().unwrap())
}

fn corpus(name: &str) -> Vec<(String, Vec<u8>)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(name);
    let read =
        |entry: fs::DirEntry| (entry.file_name().to_string_lossy().into_owned(), fs::read(entry.path()).unwrap());
    let files: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| read(entry.unwrap())).collect();
    assert!(files.len() >= 2, "the corpus is not where this test looks for it");
    files
}

#[test]
fn the_corpus_is_read_in_time_and_whole_logs_are_distinguished_from_others() {
    for (name, bytes) in corpus("valgrind-xml") {
        let start = now();
        let log = parse(bytes.as_slice());
        assert!(now() - start < MOST, "{name} took {:?}", now() - start);
        assert!(log.extent == Extent::Stub || name != "stub.xml", "{name}: {:?}", log.extent);
        let whole = !["killed.xml", "stub.xml"].contains(&name.as_str()) && !name.starts_with("bad-");
        assert_eq!(log.extent == Extent::Complete, whole, "{name}: {:?}", log.extent);
        assert!(!whole || name == "suppressed.xml" || !log.errors.is_empty(), "{name}");
    }
    for (name, bytes) in corpus("suppressions") {
        let start = now();
        let read = suppression::parse(&String::from_utf8_lossy(&bytes));
        assert!(now() - start < MOST, "{name} took {:?}", now() - start);
        assert!(read.is_ok() || name.starts_with("bad-"), "{name}: {read:?}");
    }
}

/// Twice the input takes at most about three times the time, where both take long enough to be measured.
#[track_caller]
fn check(what: &str, make: impl Fn(usize) -> String, size: usize) {
    let took = |text: &str| {
        let start = now();
        let log = parse(text.as_bytes());
        assert!(log.errors.len() <= 10_000);
        now() - start
    };
    let (small, large) = (make(size), make(2 * size));
    let grows = |once: Duration, twice: Duration| twice >= once * 3 + Duration::from_millis(50);
    let (mut once, mut twice) = (took(&small), took(&large));
    // What else runs on the same processors only ever makes it longer.
    for _ in 0..4 {
        if grows(once, twice) {
            (once, twice) = (once.min(took(&small)), twice.min(took(&large)));
        }
    }
    println!("{what:<16} {:>10} bytes {once:>12.2?}, twice as many {twice:>12.2?}", small.len());
    assert!(!grows(once, twice), "{what}: {once:?}, then {twice:?}");
}

#[test]
fn time_grows_with_the_input_and_with_nothing_else() {
    let repeat = |head: &str, part: &str, count: usize, tail: &str| format!("{head}{}{tail}", part.repeat(count));
    let error = "<error><kind>InvalidRead</kind><what>x</what><stack><frame><fn>f</fn></frame></stack></error>";
    check("errors", |size| repeat("<valgrindoutput>", error, size, ""), 15_000);
    check("frames", |size| repeat("<valgrindoutput><error><stack>", "<frame><fn>f</fn></frame>", size, ""), 50_000);
    check(
        "side stacks",
        |size| repeat("<valgrindoutput><error>", "<auxwhat>a</auxwhat><stack><frame></frame></stack>", size, ""),
        20_000,
    );
    check("nesting", |size| repeat("", "<a>", size, ""), 1_000_000);
    check("shallow tags", |size| repeat("<valgrindoutput>", "<a><b></b></a>", size, ""), 50_000);
    check("an attribute", |size| repeat("<valgrindoutput a=\"", "b", size, "\">"), 10_000_000);
    check("a long name", |size| repeat("<", "b", size, ">"), 10_000_000);
    check("a long text", |size| repeat("<valgrindoutput><error><what>", "b", size, "</what>"), 10_000_000);
    check("references", |size| repeat("<valgrindoutput><error><what>", "&amp;", size, "</what>"), 200_000);
    check("ampersands", |size| repeat("<valgrindoutput><error><what>", "&", size, "</what>"), 200_000);
    check("a raw text", |size| repeat("<valgrindoutput><error><suppression><rawtext>", ">", size, ""), 200_000);
    check("closing tags", |size| repeat("<valgrindoutput>", "</a>", size, ""), 1_000_000);
    check(
        "threads",
        |size| {
            let mut text = "<valgrindoutput>".to_owned();
            for thread in 0..size {
                write!(
                    text,
                    "<announcethread><hthreadid>{thread}</hthreadid><stack><frame></frame></stack></announcethread>"
                )
                .unwrap();
            }
            text
        },
        10_000,
    );
    check(
        "entities",
        |size| {
            let mut text = "<!DOCTYPE x [<!ENTITY a0 \"lol\">".to_owned();
            for entity in 1..=size {
                write!(text, "<!ENTITY a{entity} \"&a{};&a{};\">", entity - 1, entity - 1).unwrap();
            }
            write!(text, "]><valgrindoutput><error><what>&a{size};</what></error></valgrindoutput>").unwrap();
            text
        },
        20_000,
    );
}

/// A program that keeps, or loses, a block on each of a thousand ways to it, as soon as a file `go` is there.
const MANY: &str = r#"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
static void *blocks[1024];
static int loses, next;
static void left(int depth);
static void right(int depth);
static void both(int depth) {
  if (depth == 0) { void *block = malloc(8); if (!loses) blocks[next++] = block; return; }
  left(depth - 1);
  right(depth - 1);
}
__attribute__((noinline)) static void left(int depth) { both(depth); }
__attribute__((noinline)) static void right(int depth) { both(depth); }
int main(int count, char **words) {
  loses = strcmp(words[1], "loses") == 0;
  symlink(words[count - 1], words[1]);
  while (access("go", F_OK) != 0) usleep(10000);
  both(10);
  return 0;
}
"#;

/// Valgrind writes a thousand errors while Drydock is stopped, which is more than the kernel keeps events of.
#[test]
fn a_thousand_errors_while_drydock_is_stopped_are_judged_rightly() {
    if !ready() {
        return;
    }
    let mark = marker("many");
    let args = "[--num-callers=40, --show-leak-kinds=all, --errors-for-leak-kinds=definite]";
    let job = |name: &str| format!("  {name}: {{run: [./many, {name}, {mark}], tool: memcheck, tool-args: {args}}}\n");
    let project = Project::new().file("many.c", MANY).jobs(&format!("jobs:\n{}{}", job("keeps"), job("loses")));
    let built =
        Command::new("gcc").args(["-g", "-O0", "-w", "-o", "many", "many.c"]).current_dir(project.path()).status();
    assert!(built.unwrap().success());
    let mut running = project.xtask(&["ci", "-j", "2", "--no-progress"]).spawn();
    let waits = |name: &str| fs::symlink_metadata(project.path().join(name)).is_ok();
    let began = running.wait_for(Duration::from_secs(60), || (waits("keeps") && waits("loses")).then_some(()));
    if began.is_some() {
        running.signal_main(Signal::STOP).unwrap();
        fs::write(project.path().join("go"), "").unwrap();
        let over = wait_for(Duration::from_secs(60), || processes_with(&mark).is_empty().then_some(()));
        running.signal_main(Signal::CONT).unwrap();
        assert!(over.is_some());
    }
    let finished = running.wait();
    ends(&finished, 1);
    let run = run_json(&project);
    assert_eq!(job_of(&run, "keeps")["outcome"]["kind"], "passed", "{}", finished.transcript());
    assert!(finished.stderr.contains("loses  1024 valgrind findings"), "{}", finished.transcript());
}

/// The parser of a hundred megabytes takes seconds, and no deadline waits for it: a second job is ended at its timeout
/// while the first one's log is read, and the part that was not read is reported.
#[test]
fn a_huge_log_neither_delays_deadlines_nor_counts_as_checked() {
    if !ready() {
        return;
    }
    let jobs: &[(&str, &[&str])] = &[("flood", &["sh", "flood.sh"]), ("hang", &["sh", "-c", "sleep 2; sleep 60"])];
    let project = project("", "tool: none", jobs);
    let yaml = fs::read_to_string(project.path().join("ci/jobs.yaml")).unwrap();
    let yaml =
        yaml.replace("[\"sh\", \"flood.sh\"], tool: none", "[\"sh\", \"flood.sh\"], tool: memcheck, memory: 128MiB");
    let yaml = yaml.replace("sleep 60\"], tool: none", "sleep 60\"], tool: none, timeout: 4s, grace: 1s");
    fs::write(project.path().join("ci/jobs.yaml"), yaml).unwrap();
    // The job puts a log beside its own, as a process of its own would.
    let script = "cp huge.xml target/xtask/runs/latest/jobs/flood/1/memcheck.1.xml\n";
    fs::write(project.path().join("flood.sh"), script).unwrap();
    let error = "<error><kind>Leak_StillReachable</kind><what>x</what><stack><frame><ip>0x1</ip><obj>/a</obj><fn>f</fn></frame>\
                 <frame><ip>0x1</ip><obj>/a</obj><fn>main</fn><dir>/src</dir><file>a.c</file><line>3</line></frame></stack></error>\n";
    let mut file = BufWriter::new(fs::File::create(project.path().join("huge.xml")).unwrap());
    write!(file, "<valgrindoutput><protocolversion>4</protocolversion><args><argv><exe>a</exe></argv></args>").unwrap();
    for _ in 0..(100 << 20) / error.len() {
        file.write_all(error.as_bytes()).unwrap();
    }
    file.flush().unwrap();
    let finished = project.xtask(&["ci", "-j", "2", "--no-progress"]).run();
    ends(&finished, 1);
    let run = run_json(&project);
    assert_eq!(job_of(&run, "hang")["outcome"]["kind"], "timed-out");
    // The loop went on while the log was read: it sampled memory every second or so from the end of the process to the
    // verdict about it.
    let ended = job_of(&run, "flood")["attempts"][0]["ended"].as_i64().unwrap();
    let journal = fs::read_to_string(project.state().join("runs/latest/journal.jsonl")).unwrap();
    let events: Vec<serde_json::Value> = journal.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let kind = |event: &serde_json::Value, kind: &str| event["event"]["kind"] == kind;
    let of_flood = |event: &&serde_json::Value| kind(event, "attempt-ended") && event["event"]["job"] == "flood";
    let judged = events.iter().find(of_flood).unwrap()["at"].as_i64().unwrap();
    let reading = |event: &&serde_json::Value| (ended..judged).contains(&event["at"].as_i64().unwrap());
    let samples = events.iter().filter(reading).filter(|event| kind(event, "samples")).count();
    println!("100 MB of log: read in {} ms, {samples} samples meanwhile", judged - ended);
    assert!(samples > 0 || judged - ended < 1500, "{samples} samples in {} ms", judged - ended);
    let reasons = reasons_of(&run, "flood");
    assert!(reasons.contains("memcheck.1.1.xml: it has 100 MiB, of which only the first"), "{reasons}");
    assert!(reasons.contains("what it said there is not known, so this is not a pass"), "{reasons}");
    // Half a million leaks of a kind that does not count do not make a finding.
    assert_eq!(job_of(&run, "flood")["outcome"]["kind"], "failed");
    fs::remove_file(project.path().join("huge.xml")).unwrap();
}
