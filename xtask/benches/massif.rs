//! What reading and printing a large massif file costs, beside ms_print: time of the whole process, and its memory.
//!
//! `cargo bench -p drydock --bench massif [-- --strict]`. The file is made by a real program under massif, once, and kept
//! in cargo's target directory. Both print the same bytes, which is checked. The programs take turns; the ratio is taken
//! round by round, and its median counts.

#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]
#![expect(clippy::expect_used, reason = "a benchmark that cannot be set up has nothing to say")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

#[path = "support/peers.rs"]
mod peers;
mod support;

use support::{Figures, median};

/// The least size of the file in bytes.
const SIZE: u64 = 6_000_000;
const ROUNDS: usize = 9;

fn main() -> ExitCode {
    let mut figures = Figures::new("massif");
    if Figures::is_trial() {
        return ExitCode::SUCCESS;
    }
    if !peers::are_there(&mut figures, &[("valgrind", "valgrind"), ("ms_print", "valgrind"), ("gcc", "gcc")]) {
        return figures.finish();
    }
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("massif-bench");
    let file = file(&directory);
    let size = fs::metadata(&file).expect("the file is there").len();
    let file = file.display().to_string();
    let xtask = peers::users_binary();
    let ours = [xtask, "ci", "massif", "show", "--style", "ms_print", &file];
    let summary = [xtask, "ci", "massif", "show", &file];
    let peer = ["ms_print", &file];
    let (own_text, peer_text) = (output(&ours), output(&peer));
    assert!(own_text == peer_text, "the output differs from that of ms_print");

    let mut seconds: [Vec<f64>; 3] = Default::default();
    let mut used = [0_u64; 3];
    for round in 0..=ROUNDS {
        for (position, command) in [&ours[..], &peer, &summary].into_iter().enumerate() {
            // The first round warms the caches.
            if round == 0 {
                used[position] = (0..5).map(|_| memory(command)).max().unwrap_or(0);
            } else {
                seconds[position].push(time(command));
            }
        }
    }
    let mib = |bytes: f64| bytes / f64::from(1 << 20);
    println!(
        "{:.1} MiB of massif, {:.1} MiB of output, {ROUNDS} rounds\n",
        mib(size as f64),
        mib(own_text.len() as f64)
    );
    println!("{:<34} {:>10} {:>10} {:>12}", "", "median ms", "MiB/s", "memory");
    for (position, name) in ["massif show --style ms_print", "ms_print", "massif show"].into_iter().enumerate() {
        let middle = median(&mut seconds[position].clone());
        let (rate, memory) = (mib(size as f64) / middle, used[position] as f64 / 1024.0);
        println!("{name:<34} {:>10.1} {rate:>10.0} {memory:>8.1} MiB", middle * 1000.0);
    }
    println!();
    let ratio = |peer: usize, own: usize| {
        let mut ratios: Vec<f64> = seconds[peer].iter().zip(&seconds[own]).map(|(peer, own)| peer / own).collect();
        median(&mut ratios)
    };
    let same = ratio(1, 0);
    figures.figure(&format!("{same:.1} x as fast as ms_print, the same output"), "15 x", same >= 15.0);
    let summary = ratio(1, 2);
    figures.figure(&format!("{summary:.1} x as fast as ms_print, the summary"), "15 x", summary >= 15.0);
    let of_file = used[0].max(used[2]) as f64 * 1024.0 / size as f64;
    figures.figure(&format!("{of_file:.2} x the file's size of memory"), "3 x", of_file < 3.0);
    figures.finish()
}

/// A file of at least [`SIZE`] bytes, made by a program with a thousand stacks.
fn file(directory: &Path) -> PathBuf {
    let file = directory.join("branch.massif");
    if fs::metadata(&file).is_ok_and(|metadata| metadata.len() >= SIZE) {
        return file;
    }
    fs::create_dir_all(directory).expect("a directory");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/heap.c");
    let program = directory.join("heap");
    let built = Command::new("gcc").args(["-g", "-O0", "-pthread", "-o"]).arg(&program).arg(&source).status();
    assert!(built.expect("gcc starts").success(), "cannot build {}", source.display());
    let fresh = directory.join(format!("branch.{}", std::process::id()));
    let measured = Command::new("valgrind")
        .args(["-q", "--tool=massif", "--threshold=0", "--detailed-freq=4", "--max-snapshots=1000"])
        .arg(format!("--massif-out-file={}", fresh.display()))
        .arg(&program)
        .args(["branch", "5"])
        .status();
    assert!(measured.expect("valgrind starts").success(), "massif failed");
    let size = fs::metadata(&fresh).expect("massif writes its file").len();
    assert!(size >= SIZE, "the file has only {size} bytes");
    fs::rename(&fresh, &file).expect("a rename");
    file
}

fn output(command: &[&str]) -> Vec<u8> {
    let output = Command::new(command[0]).args(&command[1..]).output().expect("the program starts");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

fn start(command: &[&str]) -> Child {
    Command::new(command[0])
        .args(&command[1..])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .expect("the program starts")
}

/// Wall seconds of the whole process.
fn time(command: &[&str]) -> f64 {
    let began = Instant::now();
    let status = start(command).wait().expect("the program can be waited for");
    assert!(status.success(), "{command:?} ended with {status}");
    began.elapsed().as_secs_f64()
}

/// The highest resident set in KiB, in a run that is not timed.
fn memory(command: &[&str]) -> u64 {
    peers::watched(start(command), Duration::from_micros(200))
}
