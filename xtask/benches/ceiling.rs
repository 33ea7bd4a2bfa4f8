//! Memory that does not suffice for all at once: 60 jobs under memcheck with peaks of 50 to 250 MiB in a cgroup of
//! 600 MB, beside `make -jN -k` and `parallel -jN --memfree`: who loses jobs to the out-of-memory killer, and who is
//! quickest without losing any.
//!
//! `cargo bench -p drydock --bench ceiling [-- --strict]`. Each program runs in a fresh group, in turns. It needs a memory
//! controller that may be written to, and takes several minutes.

#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]
#![expect(clippy::expect_used, reason = "a benchmark that cannot be set up has nothing to say")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Instant;

#[path = "support/peers.rs"]
mod peers;
mod support;

use support::{Figures, median};

const JOBS: usize = 60;
const LIMIT: u64 = 600_000_000;
const AT_A_TIME: [usize; 3] = [2, 4, 8];
const ROUNDS: usize = 2;
/// The highest peak, which is what the declaration reserves before there is a history.
const DECLARED: &str = "250MiB";
const VALGRIND: [&str; 3] = ["valgrind", "--tool=memcheck", "--leak-check=full"];

/// A way to run the jobs, so many at a time.
struct Peer {
    name: String,
    at_a_time: usize,
    /// Drydock, and whether it has seen the jobs before.
    learned: Option<bool>,
    command: Vec<String>,
    seconds: Vec<f64>,
    /// CPU seconds of it and of all its jobs.
    cpu: Vec<f64>,
    /// Jobs that did not pass at the first attempt, in the worst round.
    lost: usize,
}

fn main() -> ExitCode {
    let mut figures = Figures::new("ceiling");
    if Figures::is_trial() {
        return ExitCode::SUCCESS;
    }
    let tools = [("gcc", "gcc"), ("valgrind", "valgrind"), ("make", "make"), ("parallel", "parallel")];
    if !peers::are_there(&mut figures, &tools) {
        return figures.finish();
    }
    if let Err(why) = Group::new("probe") {
        figures.missing(&format!("a memory cgroup ({why})"), "nothing: run it as root or in a delegated cgroup");
        return figures.finish();
    }
    let directory = tempfile::tempdir().expect("a temporary directory");
    set_up(directory.path());
    let mut peers = peers(directory.path());
    for round in 0..ROUNDS {
        for peer in &mut peers {
            run(peer, directory.path(), round);
        }
    }
    println!("{JOBS} memcheck jobs of 50 to 250 MiB in a group of 600 MB, {ROUNDS} rounds\n");
    println!("{:<32} {:>3} {:>10} {:>10} {:>12}", "", "N", "lost jobs", "seconds", "CPU seconds");
    for peer in &peers {
        let [seconds, cpu] = [&peer.seconds, &peer.cpu].map(|values| median(&mut values.clone()));
        println!("{:<32} {:>3} {:>10} {seconds:>10.1} {cpu:>12.1}", peer.name, peer.at_a_time, peer.lost);
    }
    println!();
    judge(&peers, &mut figures);
    figures.finish()
}

fn judge(peers: &[Peer], figures: &mut Figures) {
    let lossless = peers.iter().filter(|peer| peer.name.starts_with("make") && peer.lost == 0);
    let best = lossless.map(|peer| (median(&mut peer.seconds.clone()), peer)).min_by(|a, b| a.0.total_cmp(&b.0));
    for learned in [false, true] {
        let own = || peers.iter().filter(|peer| peer.learned == Some(learned));
        let history = if learned { "with history" } else { "without history" };
        let lost: usize = own().map(|peer| peer.lost).sum();
        figures.figure(&format!("{lost} jobs lost {history}, at 2, 4 and 8 at a time"), "0", lost == 0);
        let Some((seconds, best)) = best else {
            println!("ceiling: no make is without loss");
            continue;
        };
        for peer in own() {
            let ratio = median(&mut peer.seconds.clone()) / seconds;
            figures.figure(
                &format!("{ratio:.2} x {} {history} at N={}", best.name, peer.at_a_time),
                "1.05 x",
                ratio <= 1.05,
            );
            let [own, others] = [peer, best].map(|peer| median(&mut peer.cpu.clone()));
            println!("ceiling: {:.2} x its CPU time", own / others);
        }
    }
}

/// The jobs as a declaration, a Makefile and a list.
fn set_up(directory: &Path) {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/support/ballast.c");
    let built = Command::new("gcc").args(["-O1", "-g", "-o"]).arg(directory.join("ballast")).arg(source).status();
    assert!(built.is_ok_and(|status| status.success()), "the jobs' program is built");
    fs::create_dir(directory.join("ci")).expect("a directory");
    let mut list = String::new();
    let mut rules = String::new();
    for (number, (size, rounds)) in jobs().into_iter().enumerate() {
        list.push_str(&format!("{number:02} {size} {rounds}\n"));
        rules.push_str(&format!("j{number:02}:\n\t@{}\n", by_hand(&format!("{number:02}"), size, rounds)));
    }
    fs::write(directory.join("list"), &list).expect("a file");
    let names: Vec<String> = (0..JOBS).map(|number| format!("j{number:02}")).collect();
    fs::write(directory.join("Makefile"), format!("all: {0}\n.PHONY: all {0}\n{rules}", names.join(" ")))
        .expect("a file");
    let mut yaml =
        format!("defaults: {{memory: {DECLARED}}}\ntools:\n  memcheck: {{args: [--leak-check=full]}}\njobs:\n");
    for line in list.lines() {
        let mut words = line.split(' ');
        let (number, size, rounds) = (words.next(), words.next(), words.next());
        yaml.push_str(&format!(
            "  j{}: {{run: [./ballast, \"{}\", \"{}\"], tool: memcheck}}\n",
            number.unwrap_or_default(),
            size.unwrap_or_default(),
            rounds.unwrap_or_default()
        ));
    }
    fs::write(directory.join("ci/jobs.yaml"), yaml).expect("a file");
}

/// Native MiB and rounds of each job, in no order.
fn jobs() -> Vec<(usize, usize)> {
    let size = |number: usize| 1 + 154 * number / (JOBS - 1);
    let mut jobs: Vec<usize> = (0..JOBS).map(size).collect();
    fastrand::Rng::with_seed(7).shuffle(&mut jobs);
    jobs.into_iter().map(|size| (size, 150_000 * 40 / (40 + size))).collect()
}

/// The shell line that a job is for make and parallel: the same valgrind, and a file that says that it passed.
fn by_hand(number: &str, size: usize, rounds: usize) -> String {
    let valgrind = VALGRIND.join(" ");
    format!(
        "{valgrind} --xml=yes --xml-file=out/{number}.xml ./ballast {size} {rounds} > out/{number}.log 2>&1 && touch out/{number}.passed"
    )
}

fn peers(directory: &Path) -> Vec<Peer> {
    let project = directory.display().to_string();
    let xtask = peers::users_binary();
    let mut peers = Vec::new();
    for at_a_time in AT_A_TIME {
        let jobs = format!("-j{at_a_time}");
        let state = format!("{project}/state-{at_a_time}");
        let drydock = [xtask, "--project", &project, "--state", &state, "ci", "-q", "--no-progress", &jobs];
        let shell = by_hand("{1}", 0, 0).replace(" 0 0 >", " {2} {3} >");
        let parallel = ["parallel", &jobs, "--memfree", DECLARED_FREE, "--colsep", " ", "-a", "list", &shell];
        let mut peer = |name: &str, learned, command: &[&str]| {
            peers.push(Peer {
                name: name.to_owned(),
                at_a_time,
                learned,
                command: command.iter().map(|word| (*word).to_owned()).collect(),
                seconds: Vec::new(),
                cpu: Vec::new(),
                lost: 0,
            });
        };
        peer(&format!("make -j{at_a_time} -k"), None, &["make", "-s", "-k", &jobs, "all"]);
        peer(&format!("parallel -j{at_a_time} --memfree"), None, &parallel);
        peer("cargo xtask ci, no history", Some(false), &drydock);
        peer("cargo xtask ci, with history", Some(true), &drydock);
    }
    peers
}

/// The memory that parallel wants to see free before it starts another job.
const DECLARED_FREE: &str = "250M";

/// Runs all jobs once in a fresh group.
fn run(peer: &mut Peer, directory: &Path, round: usize) {
    let out = directory.join("out");
    // There may be none from the last run.
    fs::remove_dir_all(&out).ok();
    fs::create_dir(&out).expect("a directory");
    let state = directory.join(format!("state-{}", peer.at_a_time));
    if peer.learned == Some(false) {
        // There may be none from the last round.
        fs::remove_dir_all(&state).ok();
    }
    let group = Group::new(&format!("{}-{round}", peer.at_a_time)).expect("a cgroup");
    let procs = group.directory.join("cgroup.procs");
    let began = Instant::now();
    let enter = ["sh", "-c", "echo $$ > \"$0\" && exec \"$@\""].map(str::to_owned);
    let command: Vec<String> =
        enter.into_iter().chain([procs.display().to_string()]).chain(peer.command.iter().cloned()).collect();
    let (cpu, status) = peers::cpu(peers::bare(&command, directory).spawn().expect("the program starts"));
    peer.cpu.push(cpu);
    let seconds = began.elapsed().as_secs_f64();
    peer.seconds.push(seconds);
    let passed = if peer.learned.is_some() {
        passed_at_once(&state)
    } else {
        fs::read_dir(&out)
            .expect("a directory")
            .flatten()
            .filter(|entry| entry.path().extension().is_some_and(|end| end == "passed"))
            .count()
    };
    let lost = JOBS - passed;
    assert!(status.success() || lost > 0 || peer.learned.is_none(), "{} ended with {status}", peer.name);
    println!("  {} N={}: {lost} lost, {seconds:.1} s, {cpu:.1} s of CPU time", peer.name, peer.at_a_time);
    peer.lost = peer.lost.max(lost);
}

/// The number of jobs that passed at their first attempt.
fn passed_at_once(state: &Path) -> usize {
    let text = fs::read(state.join("runs/latest/run.json")).expect("a result");
    let run: serde_json::Value = serde_json::from_slice(&text).expect("a result");
    let jobs = run["jobs"].as_array().expect("jobs");
    let at_once = |job: &&serde_json::Value| {
        job["result"] == "passed" && job["attempts"].as_array().is_some_and(|attempts| attempts.len() == 1)
    };
    jobs.iter().filter(at_once).count()
}

/// A cgroup with the limit, removed when dropped.
struct Group {
    directory: PathBuf,
}

impl Group {
    fn new(name: &str) -> std::io::Result<Group> {
        let v1 = Path::new("/sys/fs/cgroup/memory");
        let (root, limit) = if v1.join("memory.limit_in_bytes").exists() {
            (v1, "memory.limit_in_bytes")
        } else {
            (Path::new("/sys/fs/cgroup"), "memory.max")
        };
        let directory = root.join(format!("drydock-bench-{}-{name}", std::process::id()));
        fs::create_dir(&directory)?;
        let group = Group { directory };
        fs::write(group.directory.join(limit), LIMIT.to_string())?;
        Ok(group)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        for _ in 0..100 {
            if fs::remove_dir(&self.directory).is_ok() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        println!("cannot remove {}", self.directory.display());
    }
}
