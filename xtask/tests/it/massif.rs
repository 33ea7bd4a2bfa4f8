//! Massif's files, made by real programs under the real massif: printed as ms_print prints them, shown, compared, and
//! kept as a budget.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::support::{Project, RunJson, need_tools, text, wait_for, xtask_binary};

mod dhat;
mod foreign;
mod hostile;
mod odd;

/// The tools that these tests need, each with its Debian package.
const TOOLS: &[(&str, &str)] = &[("valgrind", "valgrind"), ("ms_print", "valgrind"), ("gcc", "gcc"), ("g++", "g++")];

/// The directory with `heap`, `heap-stripped` and `templates`, built once a test process.
fn programs() -> &'static Path {
    static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();
    DIRECTORY.get_or_init(|| {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("massif");
        fs::create_dir_all(&directory).unwrap();
        for (compiler, name, file, flags) in [
            ("gcc", "heap", "heap.c", &["-g", "-O0"][..]),
            ("gcc", "heap-stripped", "heap.c", &["-O2", "-s"]),
            ("g++", "templates", "templates.cc", &["-g", "-O0"]),
        ] {
            // Several test processes may build at once, and a program that runs cannot be overwritten.
            let new = tempfile::Builder::new().tempfile_in(&directory).unwrap().into_temp_path();
            let built = Command::new(compiler)
                .args(["-Wall", "-Wextra", "-Werror", "-pthread", "-o"])
                .arg(&new)
                .args(flags)
                .arg(source.join(file))
                .status()
                .unwrap();
            assert!(built.success(), "cannot compile {file}");
            new.persist(directory.join(name)).unwrap();
        }
        directory
    })
}

/// Runs a program under massif, and returns the files that it left in `directory`.
fn massif(directory: &Path, options: &[&str], command: &[&str]) -> Vec<PathBuf> {
    fs::create_dir_all(directory).unwrap();
    let output = Command::new("valgrind")
        .args(["-q", "--tool=massif", "--massif-out-file=massif.%p"])
        .args(options)
        .arg(programs().join(command[0]))
        .args(&command[1..])
        .current_dir(directory)
        .output()
        .unwrap();
    assert!(output.status.success(), "{options:?} {command:?}: {}", String::from_utf8_lossy(&output.stderr));
    files(directory)
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.retain(|path| path.file_name().is_some_and(|name| name.to_str().unwrap().starts_with("massif.")));
    found.sort();
    found
}

fn ours(directory: &Path, args: &[&str]) -> Output {
    Command::new(xtask_binary()).args(["ci", "massif"]).args(args).current_dir(directory).output().unwrap()
}

fn ms_print(directory: &Path, args: &[&str]) -> Output {
    Command::new("ms_print").args(args).current_dir(directory).output().unwrap()
}

/// Prints a file with both, and wants the same bytes.
#[track_caller]
fn printed_alike(file: &Path, options: &[&str]) {
    let (directory, name) = (file.parent().unwrap(), file.file_name().unwrap().to_str().unwrap());
    let expected = ms_print(directory, &[options, &[name]].concat());
    assert!(expected.status.success(), "ms_print {options:?}: {}", String::from_utf8_lossy(&expected.stderr));
    let found = ours(directory, &[&["show", "--style", "ms_print"], options, &[name]].concat());
    assert!(found.status.success(), "{options:?}: {}", String::from_utf8_lossy(&found.stderr));
    if found.stdout != expected.stdout {
        let differs = |(a, b): &(&[u8], &[u8])| a != b;
        let lines = found.stdout.split(|b| *b == b'\n').zip(expected.stdout.split(|b| *b == b'\n'));
        let first = lines.enumerate().find(|(_, pair)| differs(pair));
        let (line, (a, b)) = first.unwrap_or((0, (b"", b"")));
        panic!(
            "{options:?} {}, line {}:\n{}\n{}",
            file.display(),
            line + 1,
            String::from_utf8_lossy(a),
            String::from_utf8_lossy(b)
        );
    }
}

/// Options of massif and the program.
const CASES: [(&[&str], &[&str]); 30] = [
    (&[], &["heap", "none"]),
    (&[], &["heap", "spike", "300"]),
    (&[], &["heap", "retention", "2000"]),
    (&["--time-unit=ms"], &["heap", "spike", "300"]),
    (&["--time-unit=B"], &["heap", "spike", "300"]),
    (&["--time-unit=B"], &["heap", "none"]),
    (&["--time-unit=ms"], &["heap", "none"]),
    (&["--stacks=yes"], &["heap", "deep", "200"]),
    (&["--stacks=yes", "--time-unit=B", "--detailed-freq=1"], &["heap", "spike", "100"]),
    (&["--pages-as-heap=yes"], &["heap", "spike", "3000"]),
    (&["--pages-as-heap=yes", "--time-unit=B", "--detailed-freq=1"], &["templates"]),
    (&["--detailed-freq=1", "--max-snapshots=10"], &["heap", "spike", "500"]),
    (&["--detailed-freq=1", "--max-snapshots=1000"], &["heap", "spike", "500"]),
    (&["--threshold=0", "--detailed-freq=1"], &["heap", "spike", "200"]),
    (&["--threshold=0", "--max-snapshots=10"], &["heap", "branch", "5"]),
    (&["--threshold=0", "--depth=200", "--detailed-freq=3"], &["heap", "deep", "250"]),
    (&["--depth=1"], &["heap", "deep", "150"]),
    (&["--threshold=10"], &["heap", "branch", "4"]),
    (&["--peak-inaccuracy=0.0"], &["heap", "spike", "400"]),
    (&["--peak-inaccuracy=0.0", "--time-unit=B", "--detailed-freq=2"], &["templates"]),
    (&[], &["heap", "threads", "300"]),
    (&["--detailed-freq=1"], &["heap", "fork", "200"]),
    (&["--alloc-fn=xmalloc", "--alloc-fn=pool_take"], &["heap", "spike", "300"]),
    (&["--ignore-fn=pool_take"], &["heap", "spike", "300"]),
    (&["--heap=no", "--stacks=yes"], &["heap", "deep", "50"]),
    (&["--heap-admin=0", "--alignment=64"], &["heap", "spike", "300"]),
    (&[], &["templates"]),
    (&["--detailed-freq=1", "--threshold=0.1"], &["templates"]),
    (&["--threshold=0"], &["heap-stripped", "spike", "300"]),
    (&["--time-unit=B"], &["heap", "retention", "3", "an argument # with a comment", "(and) \u{fc} a tab\t"]),
];

#[test]
fn every_file_is_printed_as_ms_print_prints_it() {
    if !need_tools(TOOLS) {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    programs();
    let next = std::sync::atomic::AtomicUsize::new(0);
    let compared = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    let Some((options, command)) = CASES.get(at) else { break };
                    let found = massif(&directory.path().join(at.to_string()), options, command);
                    let expected = if command.get(1) == Some(&"fork") { 2 } else { 1 };
                    assert_eq!(found.len(), expected, "{options:?} {command:?}");
                    for file in &found {
                        printed_alike(file, &[]);
                        if at % 3 == 0 {
                            printed_alike(file, &["--threshold=0", "--x=100", "--y=10"]);
                            printed_alike(file, &["--threshold=12.5%", "--x=4", "--y=4"]);
                        }
                        compared.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    }
                }
            });
        }
    });
    let compared = compared.into_inner();
    println!("{compared} files compared");
    assert!(compared > CASES.len());
}

/// Files that ms_print cannot read are read all the same; those that cannot be understood are refused with their line.
#[test]
fn files_that_ms_print_refuses() {
    if !need_tools(TOOLS) {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let found = massif(directory.path(), &["--detailed-freq=1"], &["heap", "spike", "50", "two\nlines"]);
    let name = found[0].file_name().unwrap().to_str().unwrap();
    assert!(!ms_print(directory.path(), &[name]).status.success());
    let shown = ours(directory.path(), &["show", "--style", "ms_print", name]);
    assert!(shown.status.success());
    assert!(String::from_utf8_lossy(&shown.stdout).contains("spike 50 two\nlines\nMassif arguments:"));

    let whole = fs::read(&found[0]).unwrap();
    fs::write(directory.path().join("cut"), &whole[..whole.len() * 2 / 3]).unwrap();
    let cut = ours(directory.path(), &["show", "--style", "ms_print", "cut"]);
    assert!(cut.status.success() && String::from_utf8_lossy(&cut.stderr).contains("cut was cut at line"), "{cut:?}");
    let cut = ours(directory.path(), &["show", "cut"]);
    assert!(String::from_utf8_lossy(&cut.stdout).contains("not whole  it was cut at line"), "{cut:?}");

    fs::write(directory.path().join("wrong"), "cmd: x\ntime_unit: i\nsnapshot=zero\n").unwrap();
    for style in ["summary", "ms_print"] {
        let wrong = ours(directory.path(), &["show", "--style", style, "wrong"]);
        assert_eq!(wrong.status.code(), Some(2));
        let said = String::from_utf8_lossy(&wrong.stderr).into_owned();
        assert_eq!(
            said.trim(),
            "error: cannot read wrong: line 3: expected `snapshot=` and a number, found `snapshot=zero`"
        );
    }
}

/// Asked to end, massif writes a whole file; killed, none.
#[test]
fn a_signal_decides_whether_there_is_a_file() {
    if !need_tools(TOOLS) {
        return;
    }
    for (signal, whole) in [(Signal::TERM, true), (Signal::KILL, false)] {
        let directory = tempfile::tempdir().unwrap();
        let mut child = Command::new("valgrind")
            .args(["-q", "--tool=massif", "--massif-out-file=massif.%p"])
            .arg(programs().join("heap"))
            .args(["wait", "100"])
            .current_dir(directory.path())
            .stdout(fs::File::create(directory.path().join("out")).unwrap())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let ready = wait_for(Duration::from_secs(60), || {
            fs::read_to_string(directory.path().join("out")).ok().filter(|out| out.contains("ready"))
        });
        assert!(ready.is_some());
        kill_process(Pid::from_child(&child), signal).unwrap();
        child.wait().unwrap();
        let found = files(directory.path());
        assert_eq!(found.len(), usize::from(whole), "{signal:?}");
        if let Some(file) = found.first() {
            printed_alike(file, &[]);
            let shown = ours(directory.path(), &["show", &text(file)]);
            let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
            assert!(shown.contains("retention") && !shown.contains("not whole"), "{shown}");
        }
    }
}

/// A project whose jobs run the fixture under massif; `{heap}` is what the job declares.
fn project(shape: &str, heap: &str) -> Project {
    Project::new().jobs(&format!(
        "tools: {{massif: {{args: [--time-unit=B], wrappers: [xmalloc, pool_*]}}}}\n\
         jobs:\n  grow: {{run: [\"{}\", {shape}], tool: massif, {heap}}}\n",
        text(&programs().join("heap"))
    ))
}

fn redeclare(project: &Project, shape: &str, heap: &str) {
    let other = self::project(shape, heap);
    fs::copy(other.path().join("ci/jobs.yaml"), project.path().join("ci/jobs.yaml")).unwrap();
}

#[test]
fn a_baseline_is_written_kept_and_outgrown() {
    if !need_tools(TOOLS) {
        return;
    }
    let project = project("retention, \"2000\"", "timeout: 10m");
    assert_eq!(project.xtask(&["ci"]).run().code(), 0);
    let written = project.xtask(&["ci", "massif", "baseline", "grow", "--output", "ci/heap/grow.massif"]).run();
    assert_eq!(written.code(), 0, "{}", written.transcript());
    assert!(
        written.stdout.contains("declare it in grow: `heap: {baseline: ci/heap/grow.massif}`"),
        "{}",
        written.stdout
    );
    let baseline = project.path().join("ci/heap/grow.massif");
    let first = fs::read(&baseline).unwrap();
    assert!(first.len() < 2048, "{} bytes", first.len());
    printed_alike(&baseline, &[]);

    // The same program stays within it, and writes the same file again.
    redeclare(&project, "retention, \"2000\"", "heap: {baseline: ci/heap/grow.massif, tolerance: 0%}");
    let same = project.xtask(&["ci"]).run();
    assert_eq!(same.code(), 0, "{}", same.transcript());
    assert_eq!(project.xtask(&["ci", "massif", "baseline", "grow"]).run().code(), 0);
    assert_eq!(fs::read(&baseline).unwrap(), first);

    // One that grew does not, and the place that grew is named past the wrappers.
    redeclare(&project, "grown, \"2000\"", "heap: {baseline: ci/heap/grow.massif}");
    let grown = project.xtask(&["ci"]).run();
    assert_eq!(grown.code(), 1, "{}", grown.transcript());
    let run = RunJson::latest(&project.state()).unwrap();
    let job = run.job("grow").unwrap();
    assert_eq!(job.outcome.as_ref().unwrap().kind, "over-budget");
    let reasons = job.attempts[0].reasons.join("\n");
    assert!(
        reasons.contains("the baseline ci/heap/grow.massif has") && reasons.contains("2% more are allowed"),
        "{reasons}"
    );
    assert!(reasons.contains("most grew at leak_more (heap.c:"), "{reasons}");
    let diff = project.xtask(&["ci", "massif", "diff", &text(&baseline), "grow"]).run();
    assert_eq!(diff.code(), 0, "{}", diff.transcript());
    assert!(diff.stdout.contains("new, or below") && diff.stdout.contains("leak_more (heap.c:"), "{}", diff.stdout);
    assert!(!diff.stdout.contains("xmalloc"), "{}", diff.stdout);

    // Within a limit it passes, beyond one it says so.
    redeclare(&project, "grown, \"2000\"", "heap: {limit: 10MiB}");
    assert_eq!(project.xtask(&["ci"]).run().code(), 0);
    redeclare(&project, "grown, \"2000\"", "heap: {limit: 10KiB, baseline: ci/heap/grow.massif}");
    let over = project.xtask(&["ci"]).run();
    assert_eq!(over.code(), 1);
    assert!(
        over.stdout.contains("more than its limit of 10 KiB") || over.stderr.contains("more than its limit of 10 KiB"),
        "{}",
        over.transcript()
    );
}

#[test]
fn a_wrong_baseline_is_a_wrong_declaration() {
    if !need_tools(TOOLS) {
        return;
    }
    let project = project("none", "heap: {baseline: ci/heap.massif}");
    let missing = project.xtask(&["ci"]).run();
    assert_eq!(missing.code(), 3, "{}", missing.transcript());
    assert!(missing.stderr.contains("ci/jobs.yaml:3:"), "{}", missing.stderr);
    assert!(missing.stderr.contains("the baseline `ci/heap.massif` does not exist"), "{}", missing.stderr);
    assert!(
        missing.stderr.contains(&format!("`{}`", project.hint("ci massif baseline grow --output ci/heap.massif"))),
        "{}",
        missing.stderr
    );
    for (content, words) in [
        ("hello\n", "cannot be read: line 1: this is not massif output"),
        (
            "desc: --pages-as-heap=yes\ncmd: x\ntime_unit: i\nsnapshot=0\ntime=0\nmem_heap_B=0\nmem_heap_extra_B=0\n\
             mem_stacks_B=0\nheap_tree=empty\n",
            "was measured with --pages-as-heap=yes, and the job runs without it",
        ),
    ] {
        fs::write(project.path().join("ci/heap.massif"), content).unwrap();
        let wrong = project.xtask(&["ci", "plan"]).run();
        assert_eq!(wrong.code(), 3, "{}", wrong.transcript());
        assert!(wrong.stderr.contains(words) && wrong.stderr.contains("ci/jobs.yaml:3:"), "{}", wrong.stderr);
    }
}

#[test]
fn a_job_is_shown_with_all_its_processes() {
    if !need_tools(TOOLS) {
        return;
    }
    let project = project("fork, \"500\"", "timeout: 10m");
    assert_eq!(project.xtask(&["ci"]).run().code(), 0);
    let shown = project.xtask(&["ci", "massif", "show", "grow"]).run();
    assert_eq!(shown.code(), 0, "{}", shown.transcript());
    assert!(
        shown.stdout.contains("retention (heap.c:") && shown.stdout.contains("← forks (heap.c:"),
        "{}",
        shown.stdout
    );
    assert!(shown.stdout.contains("other processes"), "{}", shown.stdout);
    assert!(!shown.stdout.contains("xmalloc"), "{}", shown.stdout);
    assert!(
        shown.stdout.lines().all(|line| line.chars().count() <= 80 || line.contains("massif.")),
        "{}",
        shown.stdout
    );

    let json = project.xtask(&["ci", "massif", "show", "--format", "json", "grow"]).run();
    let json: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    let (profile, others) = (&json[0]["profile"], json[0]["other-processes"].as_array().unwrap());
    assert_eq!((profile["shape"].as_str(), profile["unit"].as_str(), others.len()), (Some("retention"), Some("B"), 1));
    let peak = |value: &serde_json::Value| value["heap"].as_u64().unwrap() + value["extra"].as_u64().unwrap();
    assert!(peak(&profile["peak"]) > others[0]["peak"].as_u64().unwrap());
    assert!(profile["sites"][0]["place"].as_str().unwrap().starts_with("retention (heap.c:"));

    // The same from a file of the run, on another machine.
    let file = text(&project.path().join("carried.run.tar.gz"));
    assert_eq!(project.xtask(&["ci", "export", "--output", &file]).run().code(), 0);
    let elsewhere = Project::new().jobs("jobs: {other: {run: ['true']}}\n");
    let carried = elsewhere.xtask(&["ci", "massif", "show", "-R", &file, "grow"]).run();
    assert_eq!(carried.code(), 0, "{}", carried.transcript());
    let of_file =
        |text: &str| text.lines().filter(|line| !line.contains("massif.")).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(of_file(&carried.stdout), of_file(&shown.stdout));

    let printed = project.xtask(&["ci", "massif", "show", "--style", "ms_print", "grow"]).run();
    assert!(printed.stdout.contains("Number of snapshots:"), "{}", printed.transcript());
    for (source, words) in [("gorw", "no job matches `gorw`"), ("/nowhere/x", "`/nowhere/x` does not exist")] {
        let unknown = project.xtask(&["ci", "massif", "show", source]).run();
        assert_eq!(unknown.code(), 2, "{}", unknown.transcript());
        assert!(unknown.stderr.contains(words), "{}", unknown.stderr);
    }
}
