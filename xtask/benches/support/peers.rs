//! Programs to measure: whether they are there, how they are started, their wall time and their highest memory.
#![allow(dead_code, reason = "each benchmark uses what it needs")]

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use super::support::Figures;

/// Whether all tools, each with its Debian package, are there; says which is not.
pub(crate) fn are_there(figures: &mut Figures, tools: &[(&str, &str)]) -> bool {
    for (tool, package) in tools {
        let found = Command::new(tool).arg("--version").stdin(Stdio::null()).output();
        if found.is_err() {
            figures.missing(tool, package);
            return false;
        }
    }
    true
}

/// A program with a clean environment, its words about itself thrown away, in a process group of its own.
pub(crate) fn bare(command: &[String], directory: &Path) -> Command {
    let mut program = Command::new(&command[0]);
    program
        .args(&command[1..])
        .current_dir(directory)
        .env_clear()
        .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
        .env("HOME", directory)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0);
    program
}

/// Waits for a program that ends well. Its highest resident set in KiB is `VmHWM`, looked at every `pause`: the figure
/// of wait4 would be that of its largest child too, and not fall below the memory of this process.
pub(crate) fn watched(mut child: Child, pause: Duration) -> u64 {
    let file = format!("/proc/{}/status", child.id());
    let mut highest = 0;
    let status = loop {
        let text = fs::read_to_string(&file).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        highest = line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0).max(highest);
        if let Some(status) = child.try_wait().expect("the program can be waited for") {
            break status;
        }
        std::thread::sleep(pause);
    };
    assert!(status.success(), "the program ended with {status}");
    highest
}

/// Waits for a program. Its CPU seconds, user and system, with those of all descendants that were waited for: as the
/// kernel has them until the program is reaped, in hundredths.
pub(crate) fn cpu(mut child: Child) -> (f64, ExitStatus) {
    let pid = rustix::process::Pid::from_child(&child);
    let ended = rustix::process::WaitIdOptions::EXITED | rustix::process::WaitIdOptions::NOWAIT;
    rustix::process::waitid(rustix::process::WaitId::Pid(pid), ended).expect("the program can be waited for");
    let text = fs::read_to_string(format!("/proc/{}/stat", child.id())).expect("the program is not reaped");
    // Behind its name: utime, stime, cutime and cstime are 14 to 17 of all fields (proc(5)).
    let fields = text.rsplit_once(')').map_or("", |(_, fields)| fields).split_whitespace();
    let ticks: f64 = fields.skip(11).take(4).filter_map(|field| field.parse::<f64>().ok()).sum();
    (ticks / rustix::param::clock_ticks_per_second() as f64, child.wait().expect("the program can be waited for"))
}

/// Wall seconds of a shell line that succeeds; `$OUT` is `out`.
pub(crate) fn shell(line: &str, directory: &Path, out: &Path) -> f64 {
    let began = Instant::now();
    let script = format!("set -e; set -o pipefail; {line}");
    let status = Command::new("bash").args(["-c", &script]).current_dir(directory).env("OUT", out).status();
    assert!(status.expect("bash runs").success(), "{line}");
    began.elapsed().as_secs_f64()
}

/// The program that `cargo xtask` runs, built as `cargo xtask` builds it: in the dev profile. It is built at the first call, so
/// that cargo's own time is in no measurement after it.
pub(crate) fn users_binary() -> &'static str {
    static BUILT: OnceLock<String> = OnceLock::new();
    BUILT.get_or_init(|| {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let arguments = ["build", "--quiet", "--package", "drydock", "--bin", "drydock"];
        let built = Command::new(cargo).args(arguments).status().expect("cargo starts");
        assert!(built.success(), "cargo build failed");
        let target = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("the target directory");
        target.join("debug/drydock").display().to_string()
    })
}
