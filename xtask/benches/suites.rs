//! Test suites beside their own runners: the wall time of Drydock and of `ctest`, `meson test`, `make check`, `cargo nextest`
//! and `pytest -n`, two at a time, without a tool and under memcheck; and what 10,000 tests cost.
//!
//! `cargo bench -p drydock --bench suites [-- --strict] [-- WORD…]`. The suites are generated, with tests that work for a while,
//! and built before. The programs take turns, the ratio is taken round by round, and its median counts. `WORD` is a part of the
//! name of a suite, or `10000`. Of pytest, each test is a process of its own in Drydock.

#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]
#![expect(clippy::expect_used, reason = "a benchmark that cannot be set up has nothing to say")]

use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

#[path = "support/peers.rs"]
mod peers;
mod support;

use support::{Figures, median};

const ROUNDS: usize = 5;
/// The tests of a suite of programs.
const TESTS: usize = 60;
/// The tests of a suite in Python.
const SLOW_TESTS: usize = 8;
/// The jobs of the last part.
const MANY: usize = 10_000;
/// The most wall time beside that of the suite's own runner.
const MOST: f64 = 1.1;

/// Works for about 40 ms, and for as many milliseconds of waiting; the argument makes tests differ.
const WORK: &str = "#include <stdlib.h>\n#include <unistd.h>\nint main(int count, char **words) {\n  \
                    unsigned long long sum = 0, *cells = malloc(8000);\n  \
                    for (int i = 0; i < 1000; i++) cells[i] = i;\n  \
                    for (unsigned long long i = 0; i < LOOPS + atoi(words[count - 1]) * 1000ull; i++) sum += cells[i % 1000] * i;\n  \
                    free(cells);\n  usleep(40000);\n  return sum == 42;\n}\n";

/// A suite, with its own runner.
struct Suite {
    name: &'static str,
    /// The programs that it needs, with their packages.
    tools: &'static [(&'static str, &'static str)],
    /// Makes it in a directory.
    generate: fn(&Path, &str),
    /// Builds it, as a line for a shell.
    build: &'static str,
    /// The source of tests.
    source: &'static str,
    /// `true` under memcheck.
    checked: bool,
    /// Its own runner.
    own: &'static [&'static str],
}

const SUITES: [Suite; 7] = [
    Suite {
        name: "ctest -j2",
        tools: &[("cmake", "cmake"), ("gcc", "gcc"), ("make", "make")],
        generate: with_cmake,
        build: "cmake -S . -B b && cmake --build b",
        source: "ctest: b",
        checked: false,
        own: &["ctest", "--test-dir", "b", "-j2"],
    },
    Suite {
        name: "meson test",
        tools: &[("meson", "meson"), ("ninja", "ninja-build"), ("gcc", "gcc")],
        generate: with_meson,
        build: "meson setup b && ninja -C b",
        source: "meson: b",
        checked: false,
        own: &["meson", "test", "-C", "b", "--no-rebuild", "--num-processes", "2"],
    },
    Suite {
        name: "make check -j2",
        tools: &[("automake", "automake"), ("autoreconf", "autoconf"), ("gcc", "gcc"), ("make", "make")],
        generate: with_automake,
        build: "autoreconf -i && ./configure -q && make check TESTS=",
        source: "automake: .",
        checked: false,
        own: &["make", "check", "-j2"],
    },
    Suite {
        name: "cargo nextest run",
        tools: &[("cargo", "cargo"), ("cargo-nextest", "cargo-nextest, a package of crates.io")],
        generate: with_cargo,
        build: "cargo test --no-run",
        source: "cargo-test: .",
        checked: false,
        own: &["cargo", "nextest", "run", "-j2"],
    },
    Suite {
        name: "pytest -n 2",
        tools: &[("pytest-3", "python3-pytest"), ("/usr/bin/python3", "python3-pytest-xdist")],
        generate: with_pytest,
        build: "/usr/bin/python3 -c 'import xdist'",
        source: "pytest: tests",
        checked: false,
        own: &["/usr/bin/python3", "-m", "pytest", "-q", "-n", "2", "tests"],
    },
    Suite {
        name: "ctest -T memcheck -j2",
        tools: &[("cmake", "cmake"), ("gcc", "gcc"), ("make", "make"), ("valgrind", "valgrind")],
        generate: with_cmake,
        build: "cmake -S . -B b && cmake --build b",
        source: "ctest: b",
        checked: true,
        own: &["ctest", "--test-dir", "b", "-T", "memcheck", "-j2"],
    },
    Suite {
        name: "meson test --wrap=valgrind",
        tools: &[("meson", "meson"), ("ninja", "ninja-build"), ("gcc", "gcc"), ("valgrind", "valgrind")],
        generate: with_meson,
        build: "meson setup b && ninja -C b",
        source: "meson: b",
        checked: true,
        own: &[
            "meson",
            "test",
            "-C",
            "b",
            "--no-rebuild",
            "--num-processes",
            "2",
            "--wrap=valgrind --leak-check=full --error-exitcode=9",
        ],
    },
];

fn main() -> ExitCode {
    let mut figures = Figures::new("suites");
    if Figures::is_trial() {
        return ExitCode::SUCCESS;
    }
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let chosen = |name: &str| words.is_empty() || words.iter().any(|word| name.contains(word.as_str()));
    let drydock = peers::users_binary();
    for suite in SUITES.iter().filter(|suite| chosen(suite.name)) {
        measure(suite, drydock, &mut figures);
    }
    if chosen("10000") {
        many(drydock, &mut figures);
    }
    figures.finish()
}

/// Runs a suite in turns.
fn measure(suite: &Suite, drydock: &str, figures: &mut Figures) {
    let there = |tool: &str| Command::new(tool).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if let Some((tool, package)) = suite.tools.iter().find(|(tool, _)| there(tool).is_err()) {
        return figures.missing(tool, package);
    }
    let directory = tempfile::tempdir().expect("a temporary directory");
    let project = directory.path();
    // Under valgrind the same work takes much longer.
    (suite.generate)(project, if suite.checked { "1000000" } else { "8000000" });
    if !run(&["sh", "-c", suite.build], project) {
        return figures.missing(suite.name, suite.tools.last().map_or("", |(_, package)| package));
    }
    let tool = if suite.checked { ", tool: memcheck" } else { "" };
    let jobs = format!(
        "defaults: {{memory: 64MiB}}\njobs:\n  suite: {{for-each: {{{}}}{tool}, pass-env: [HOME, RUSTUP_HOME, CARGO_HOME, PATH]}}\n",
        suite.source
    );
    fs::create_dir_all(project.join("ci")).expect("a directory");
    fs::write(project.join("ci/jobs.yaml"), jobs).expect("a file");
    let place = project.display().to_string();
    let ours = [drydock, "--project", &place, "ci", "-q", "--no-progress", "-j2"];
    let (mut own, mut theirs) = (Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        let (first, second) = (time(&ours, project), time(suite.own, project));
        // The first round warms the caches and teaches both their costs.
        if round > 0 {
            own.push(first);
            theirs.push(second);
        }
    }
    let mut ratios: Vec<f64> = own.iter().zip(&theirs).map(|(own, theirs)| own / theirs).collect();
    let ratio = median(&mut ratios);
    println!("{:<28} {:>8.2} s, Drydock {:>8.2} s", suite.name, median(&mut theirs), median(&mut own));
    figures.figure(&format!("{ratio:.2} x {}", suite.name), &format!("{MOST} x"), ratio <= MOST);
}

/// What 10,000 jobs cost: memory, the size of the report, and the time in which a browser opens it.
fn many(drydock: &str, figures: &mut Figures) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let project = directory.path();
    fs::create_dir_all(project.join("ci")).expect("a directory");
    let jobs = format!(
        "defaults: {{memory: 1MiB}}\njobs:\n  t: {{for-each: {{lines-of: [seq, \"{MANY}\"]}}, run: [\"true\"]}}\n"
    );
    fs::write(project.join("ci/jobs.yaml"), jobs).expect("a file");
    let place = project.display().to_string();
    let command = [drydock, "--project", &place, "ci", "-q", "--no-progress", "-j2"].map(str::to_owned);
    let began = Instant::now();
    let child = peers::bare(&command, project).spawn().expect("Drydock starts");
    let memory = peers::watched(child, Duration::from_millis(5)) as f64 / 1024.0;
    let seconds = began.elapsed().as_secs_f64();
    println!("{MANY} x true: {seconds:.1} s");
    figures.figure(&format!("{memory:.1} MiB of memory at {MANY} jobs"), "60 MiB", memory < 60.0);
    let report = project.join("target/xtask/runs/latest/report.html");
    let size = fs::metadata(&report).expect("a report").len() as f64 / 1e6;
    figures.figure(&format!("{size:.2} MB of report.html"), "5 MB", size < 5.0);
    let open = |page: &str| {
        let profile = tempfile::tempdir().expect("a temporary directory");
        let profile = format!("--user-data-dir={}", profile.path().display());
        // A picture is taken of what is loaded and drawn.
        let picture = format!("--screenshot={}", project.join("report.png").display());
        time(&["chromium", "--headless", "--no-sandbox", "--disable-gpu", &profile, &picture, page], project)
    };
    if Command::new("chromium").arg("--version").output().is_err() {
        return figures.missing("chromium", "chromium");
    }
    let mut opened: Vec<f64> =
        (0..ROUNDS).map(|_| open(&format!("file://{}", report.display())) - open("about:blank")).collect();
    let opened = median(&mut opened);
    figures.figure(&format!("{opened:.2} s to open it in Chromium"), "2 s", opened < 2.0);
}

fn run(command: &[&str], directory: &Path) -> bool {
    let mut program = Command::new(command[0]);
    program.args(&command[1..]).current_dir(directory).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    program.env_remove("CARGO_TARGET_DIR").status().is_ok_and(|status| status.success())
}

/// The wall time of a command that must succeed.
fn time(command: &[&str], directory: &Path) -> f64 {
    let began = Instant::now();
    assert!(run(command, directory), "{command:?} failed");
    began.elapsed().as_secs_f64()
}

fn write(directory: &Path, name: &str, text: &str) {
    let file = directory.join(name);
    fs::create_dir_all(file.parent().expect("a directory")).expect("a directory");
    fs::write(file, text).expect("a file");
}

/// A line for each test.
fn each(line: impl Fn(usize) -> String) -> String {
    (0..TESTS).map(line).collect()
}

fn with_cmake(directory: &Path, loops: &str) {
    write(directory, "work.c", WORK);
    let tests = each(|number| format!("add_test(NAME t{number} COMMAND work {number})\n"));
    let text = "cmake_minimum_required(VERSION 3.22)\nproject(s C)\ninclude(CTest)\nadd_executable(work work.c)\n";
    let options = format!("target_compile_options(work PRIVATE -g -O1 -DLOOPS={loops}ull)\n");
    write(directory, "CMakeLists.txt", &format!("{text}{options}{tests}"));
}

fn with_meson(directory: &Path, loops: &str) {
    write(directory, "work.c", WORK);
    let tests = each(|number| format!("test('t{number}', work, args: ['{number}'])\n"));
    let text =
        format!("project('s', 'c')\nwork = executable('work', 'work.c', c_args: ['-O1', '-DLOOPS={loops}ull'])\n");
    write(directory, "meson.build", &format!("{text}{tests}"));
}

fn with_automake(directory: &Path, loops: &str) {
    write(directory, "work.c", WORK);
    write(
        directory,
        "configure.ac",
        "AC_INIT([s],[1])\nAM_INIT_AUTOMAKE([foreign])\nAC_PROG_CC\nAC_CONFIG_FILES([Makefile])\nAC_OUTPUT\n",
    );
    let scripts: Vec<String> = (0..TESTS).map(|number| format!("t{number}.sh")).collect();
    for (number, script) in scripts.iter().enumerate() {
        write(directory, script, &format!("exec ./work {number}\n"));
    }
    let text = format!(
        "check_PROGRAMS = work\nAM_CFLAGS = -O1 -DLOOPS={loops}ull\nTEST_EXTENSIONS = .sh\nSH_LOG_COMPILER = sh\n"
    );
    write(directory, "Makefile.am", &format!("{text}TESTS = {}\n", scripts.join(" ")));
}

fn with_cargo(directory: &Path, _loops: &str) {
    write(
        directory,
        "Cargo.toml",
        "[package]\nname = \"s\"\nversion = \"0.1.0\"\nedition = \"2021\"\n[lib]\ndoctest = false\n[workspace]\n",
    );
    let tests = each(|number| {
        format!(
            "#[test] fn t{number}() {{ std::thread::sleep(std::time::Duration::from_millis(80 + {number} % 7)); }}\n"
        )
    });
    write(directory, "src/lib.rs", "");
    write(directory, "tests/all.rs", &tests);
}

fn with_pytest(directory: &Path, _loops: &str) {
    let tests: String = (0..SLOW_TESTS)
        .map(|number| format!("def test_{number}(): time.sleep({})\n", 3.0 + number as f64 / 10.0))
        .collect();
    write(directory, "tests/test_all.py", &format!("import time\n{tests}"));
}
