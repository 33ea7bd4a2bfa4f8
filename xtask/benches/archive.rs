//! What archives cost: all four formats and every sum in one pass, beside `git archive` piped into gzip, bzip2 and xz,
//! its zip, and sha256sum, one after the other.
//!
//! `cargo bench -p drydock --bench archive [-- --strict]`. The tree is the vendored source of this workspace's own crates,
//! about 30 MB of text, as one commit. Both sides take turns; the ratio is taken round by round, and its median counts.

#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]
#![expect(clippy::expect_used, reason = "a benchmark that cannot be set up has nothing to say")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use drydock_archive::source::{NameRules, SourceTree};
use drydock_archive::{ArchiveFile, Archives};
use drydock_base::git::Repository;
use drydock_config::release::Format;

#[path = "support/corpus.rs"]
mod corpus;
#[path = "support/peers.rs"]
mod peers;
mod support;

use support::{Figures, median};

const ROUNDS: usize = 3;
const TEXT: u64 = 30_000_000;

/// The argument with which this program writes the archives and nothing else, so that its memory can be measured alone.
const WRITE: &str = "--write-archives";

/// One step of what is done today: a name, its file, a shell line.
const STEPS: [(&str, &str, &str); 4] = [
    ("git archive | gzip -9", "p.tar.gz", "git archive --format=tar --prefix=p-1/ HEAD | gzip -9n > \"$OUT\""),
    ("git archive | xz -6 -T2", "p.tar.xz", "git archive --format=tar --prefix=p-1/ HEAD | xz -6 -T2 > \"$OUT\""),
    ("git archive | bzip2 -9", "p.tar.bz2", "git archive --format=tar --prefix=p-1/ HEAD | bzip2 -9 > \"$OUT\""),
    ("git archive --format=zip", "p.zip", "git archive --format=zip -9 --prefix=p-1/ HEAD > \"$OUT\""),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    if let Some(at) = arguments.iter().position(|argument| argument == WRITE) {
        write_archives(Path::new(&arguments[at + 1]), Path::new(&arguments[at + 2]));
        return ExitCode::SUCCESS;
    }
    let mut figures = Figures::new("archive");
    if Figures::is_trial() {
        return ExitCode::SUCCESS;
    }
    let tools = [("git", "git"), ("gzip", "gzip"), ("xz", "xz-utils"), ("bzip2", "bzip2"), ("sha256sum", "coreutils")];
    if !peers::are_there(&mut figures, &tools) {
        return figures.finish();
    }
    let directory = tempfile::tempdir().expect("a temporary directory");
    let project = corpus::project(directory.path(), TEXT);
    corpus::commit(&project);
    let (ours, theirs) = (directory.path().join("ours"), directory.path().join("theirs"));
    fs::create_dir(&ours).expect("a directory");
    fs::create_dir(&theirs).expect("a directory");

    let (mut ratios, mut own, mut memory) = (Vec::new(), Vec::new(), 0);
    let mut steps = [const { Vec::new() }; STEPS.len() + 1];
    for round in 0..=ROUNDS {
        let (seconds, peak) = time_ours(&project, &ours);
        let mut total = 0.0;
        let mut round_of_steps = Vec::new();
        for (_, file, line) in STEPS {
            let took = peers::shell(line, &project, &theirs.join(file));
            round_of_steps.push(took);
            total += took;
        }
        let files: Vec<PathBuf> = STEPS.iter().map(|(_, file, _)| theirs.join(file)).collect();
        let began = Instant::now();
        let sums = Command::new("sha256sum").args(&files).output().expect("sha256sum runs");
        assert!(sums.status.success(), "sha256sum ended with {}", sums.status);
        round_of_steps.push(began.elapsed().as_secs_f64());
        total += began.elapsed().as_secs_f64();
        // The first round warms the caches.
        if round > 0 {
            ratios.push(seconds / total);
            own.push(seconds);
            memory = memory.max(peak);
            steps.iter_mut().zip(round_of_steps).for_each(|(all, one)| all.push(one));
        }
    }

    println!("{} MB of text as one commit, four archives and their sums, {ROUNDS} rounds\n", TEXT / 1_000_000);
    println!("{:<28} {:>10} {:>14}", "", "median s", "bytes");
    println!("{:<28} {:>10.2}", "drydock, all at once", median(&mut own));
    for ((name, file, _), seconds) in STEPS.iter().zip(&mut steps) {
        let size = |directory: &Path| fs::metadata(directory.join(file)).expect("the archive is there").len();
        println!("{name:<28} {:>10.2} {:>14}", median(seconds), size(&theirs));
        println!("{:<28} {:>10} {:>14}", "  drydock's", "", size(&ours));
    }
    println!("{:<28} {:>10.2}\n", "sha256sum", median(&mut steps[STEPS.len()]));
    let ratio = median(&mut ratios);
    figures.figure(&format!("{ratio:.2} x the steps one after the other"), "0.65 x", ratio <= 0.65);
    for (_, file, _) in STEPS {
        let size = |directory: &Path| fs::metadata(directory.join(file)).expect("the archive is there").len() as f64;
        let more = (size(&ours) / size(&theirs) - 1.0) * 100.0;
        figures.figure(&format!("{file} {more:+.2} % in size"), "within 2 %", more <= 2.0);
    }
    let mib = memory as f64 / 1024.0;
    figures.figure(&format!("{mib:.0} MiB of memory"), "300 MiB", mib < 300.0);
    figures.finish()
}

fn write_archives(project: &Path, out: &Path) {
    let repository = Repository::find(project).expect("a repository");
    let commit = repository.resolve("HEAD", "commit").expect("a commit");
    let tree = SourceTree::read(&repository, &commit, true, NameRules::Portable).expect("a tree");
    let path = |format: Format| out.join(format!("p.{}", format.extension()));
    let files = Format::ALL.map(|format| ArchiveFile { format, path: path(format) });
    let archives = Archives { directory: "p-1", epoch: tree.epoch, files: &files, threads: threads() };
    drydock_archive::write(tree.archive_entries(), archives).expect("archives");
}

fn threads() -> u32 {
    std::thread::available_parallelism().map_or(1, |threads| u32::try_from(threads.get()).unwrap_or(1)).min(2)
}

/// Wall seconds and the highest resident set in KiB.
fn time_ours(project: &Path, out: &Path) -> (f64, u64) {
    let began = Instant::now();
    let own = std::env::current_exe().expect("this program");
    let child = Command::new(own).arg(WRITE).args([project, out]).spawn().expect("this program starts");
    let memory = peers::watched(child, Duration::from_millis(5));
    (began.elapsed().as_secs_f64(), memory)
}
