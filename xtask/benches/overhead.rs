//! What supervision costs: 1,000 × `true`, two at a time, journalled and contained, beside make, xargs and GNU parallel.
//!
//! `cargo bench -p drydock --bench overhead [-- --strict]`. The programs take turns, so that a noisy machine is noisy for
//! all of them; the ratio is taken round by round, and its median counts.

#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]
#![expect(clippy::expect_used, reason = "a benchmark that cannot be set up has nothing to say")]

use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

#[path = "support/peers.rs"]
mod peers;
mod support;

use support::{Figures, median};

const JOBS: usize = 1000;
const ROUNDS: usize = 9;

/// A way to run the jobs: name, program, arguments.
struct Peer {
    name: &'static str,
    package: &'static str,
    command: Vec<String>,
    seconds: Vec<f64>,
    /// Highest resident set of the program itself in KiB.
    memory: u64,
}

fn main() -> ExitCode {
    let mut figures = Figures::new("overhead");
    if Figures::is_trial() {
        return ExitCode::SUCCESS;
    }
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut peers = peers(directory.path());
    let tools: Vec<(&str, &str)> = peers.iter().map(|peer| (peer.command[0].as_str(), peer.package)).collect();
    if !peers::are_there(&mut figures, &tools) {
        return figures.finish();
    }
    for round in 0..=ROUNDS {
        for peer in &mut peers {
            let (seconds, memory) = time(&peer.command, directory.path());
            // The first round warms the caches.
            if round > 0 {
                peer.seconds.push(seconds);
                peer.memory = peer.memory.max(memory);
            }
        }
    }
    println!("{JOBS} x true, 2 at a time, {ROUNDS} rounds\n");
    println!("{:<28} {:>10} {:>12} {:>12} {:>10}", "", "median s", "ms a job", "x xargs", "memory");
    let xargs = peers.iter().position(|peer| peer.name == "xargs -P2").expect("xargs is a peer");
    let ratio = |peer: &Peer| {
        let mut ratios: Vec<f64> =
            peer.seconds.iter().zip(&peers[xargs].seconds).map(|(own, other)| own / other).collect();
        median(&mut ratios)
    };
    for peer in &peers {
        let middle = median(&mut peer.seconds.clone());
        let memory = format!("{:.1} MiB", peer.memory as f64 / 1024.0);
        println!(
            "{:<28} {middle:>10.3} {:>12.3} {:>12.2} {memory:>10}",
            peer.name,
            middle * 1000.0 / JOBS as f64,
            ratio(peer)
        );
    }
    println!();
    let drydock = &peers[0];
    let parallel = peers.iter().find(|peer| peer.name == "parallel -j2").expect("parallel is a peer");
    let of_xargs = ratio(drydock);
    figures.figure(&format!("{of_xargs:.2} x xargs"), "1.5 x", of_xargs <= 1.5);
    let (own, other) = (median(&mut drydock.seconds.clone()), median(&mut parallel.seconds.clone()));
    figures.figure(&format!("{:.2} x GNU parallel", own / other), "below 1 x", own < other);
    let mib = drydock.memory as f64 / 1024.0;
    figures.figure(&format!("{mib:.1} MiB of memory at {JOBS} jobs"), "30 MiB", mib < 30.0);
    figures.finish()
}

fn peers(directory: &Path) -> Vec<Peer> {
    fs::create_dir(directory.join("ci")).expect("a directory");
    let items: String = (0..JOBS).map(|number| format!("{number:04}\n")).collect();
    fs::write(directory.join("items"), items).expect("a file");
    let declaration = "jobs:\n  t:\n    for-each: {lines-of: [cat, items]}\n    run: [\"true\"]\n    memory: 1MiB\n";
    fs::write(directory.join("ci/jobs.yaml"), declaration).expect("a file");
    let targets: String = (0..JOBS).map(|number| format!("t{number}:\n\t@true\n")).collect();
    let all: Vec<String> = (0..JOBS).map(|number| format!("t{number}")).collect();
    fs::write(directory.join("Makefile"), format!("all: {0}\n.PHONY: all {0}\n{targets}", all.join(" ")))
        .expect("a file");
    let peer = |name, package, command: &[&str]| Peer {
        name,
        package,
        command: command.iter().map(|word| (*word).to_owned()).collect(),
        seconds: Vec::new(),
        memory: 0,
    };
    let project = directory.display().to_string();
    let xtask = peers::users_binary();
    vec![
        peer("cargo xtask ci", "", &[xtask, "--project", &project, "ci", "-q", "-j2"]),
        peer(
            "the same, no containment",
            "",
            &[xtask, "--project", &project, "ci", "-q", "-j2", "--containment", "none"],
        ),
        peer("make -j2", "make", &["make", "-s", "-j2", "all"]),
        peer("xargs -P2", "findutils", &["xargs", "-a", "items", "-P2", "-n1", "true"]),
        peer("parallel -j2", "parallel", &["parallel", "-a", "items", "-j2", "true"]),
    ]
}

/// Wall seconds, and the highest resident set of the program alone in KiB.
fn time(command: &[String], directory: &Path) -> (f64, u64) {
    let began = Instant::now();
    let child = peers::bare(command, directory).spawn().expect("the program starts");
    let memory = peers::watched(child, Duration::from_millis(5));
    (began.elapsed().as_secs_f64(), memory)
}
