//! `cargo xtask check`: the checks that every change must pass.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, IsTerminal as _, Write as _};
use std::path::Path;

use anyhow::Context as _;
use xshell::{Cmd, Shell, cmd};

use super::tidy;
use crate::cli;
use crate::exit::Exit;
use crate::tools::Purpose;
use drydock_base::failure::Failure;
use drydock_base::hint;
use drydock_base::output;

impl cli::Check {
    /// The tests come last, so that the end of the output is their summary.
    pub(crate) fn run(self) -> anyhow::Result<Exit> {
        let Some(root) = crate::workspace::own() else {
            let text = format!(
                "`check` tests Drydock's own code, and this program does not belong to a clone of it; to test your project, run `{}`",
                hint::drydock(&["ci"])
            );
            return Err(Failure::usage(text));
        };
        super::doctor::preflight(Purpose::Check, self.install)?;
        let shell = Shell::new()?;
        shell.change_dir(&root);
        step("format", cmd!(shell, "cargo fmt --all --check"), "run `cargo fmt --all`")?;
        let lints = cmd!(shell, "cargo clippy --workspace --all-targets --quiet -- -D warnings");
        let lints = set_by_cargo_run().into_iter().fold(lints, |lints, name| lints.env_remove(name));
        step("lints", lints, "fix the clippy warnings above")?;
        let breaches = tidy::breaches(&root)?;
        if !breaches.is_empty() {
            return Err(Failure::rejected(format!("the layout of the code is wrong:\n{}", breaches.join("\n"))));
        }
        tests(&root)
    }
}

/// Runs a command. Only its start is announced, so that the output ends with that of the last command.
fn step(name: &str, command: Cmd<'_>, remedy: &str) -> anyhow::Result<()> {
    output::announce(format_args!("{name}: {command}"));
    command.quiet().run().map_err(|error| Failure::rejected(format!("{name}: {error}; {remedy}")))?;
    Ok(())
}

/// The variables that `cargo run` sets for this program. With them, cargo would build some crates again, which read them, and
/// all that need these.
fn set_by_cargo_run() -> Vec<String> {
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    names.filter(|name| name.starts_with("CARGO_MANIFEST_") || name.starts_with("CARGO_PKG_")).collect()
}

/// cargo, as a user would call it.
fn cargo<'w>(words: impl IntoIterator<Item = &'w str>, root: &Path, notes: &Path) -> duct::Expression {
    let command = duct::cmd("cargo", words).dir(root).env(SKIPS, notes).stdin_null();
    set_by_cargo_run().into_iter().fold(command, |command, name| command.env_remove(name))
}

/// Names the file to which tests append what they skip: a line with the test, a tab, and the reason.
const SKIPS: &str = "DRYDOCK_TEST_SKIPS";

/// Runs all tests of all crates. Each test binary has a summary of its own, and the test harness hides what tests that
/// pass say. So the end is the list of what was skipped, and one summary of all.
fn tests(root: &Path) -> anyhow::Result<Exit> {
    let notes = tempfile::NamedTempFile::new().context("cannot create a temporary file")?;
    let color = if io::stdout().is_terminal() { "always" } else { "auto" };
    // Most tests wait for other programs, which leaves the cores idle with one thread for each.
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = (2 * cores).to_string();
    let words = [
        "test",
        "--workspace",
        "--quiet",
        "--no-fail-fast",
        "--",
        "--color",
        color,
        "--test-threads",
        threads.as_str(),
    ];
    output::announce(format_args!("tests: cargo {}", words.join(" ")));
    let mut running = cargo(words, root, notes.path()).unchecked().reader().context("cannot run cargo")?;
    let passed_on = pass_on(&mut running)?;
    let succeeded = running.try_wait()?.is_some_and(|output| output.status.success());
    let again = if succeeded {
        BTreeSet::new()
    } else {
        again(root, &failed(&passed_on), notes.path(), &mut |said| output::announce(said))?
    };
    let summary = Summary::new(&passed_on, &again, &std::fs::read_to_string(notes.path())?);
    output::out(format_args!("\n{summary}"));
    // Without a test that failed it was the build, or a test binary that was killed: nothing excuses that.
    if succeeded || summary.failed == 0 && !again.is_empty() && is_whole(&passed_on) {
        return Ok(Exit::Success);
    }
    Err(Failure::rejected("tests failed; repeat one with `cargo test --workspace NAME`"))
}

/// More tests that failed are not run again: then the change is broken, not the machine busy.
const MOST_AGAIN: usize = 3;

/// The names of the tests that failed. The harness lists them, indented, between a heading and the summary of the binary.
fn failed(output: &str) -> BTreeSet<String> {
    let lines: Vec<&str> = output.lines().collect();
    let ends = lines.iter().enumerate().filter(|(_, line)| line.starts_with("test result: FAILED"));
    let names = ends.flat_map(|(end, _)| {
        let before = lines.iter().take(end).rev().skip_while(|line| line.is_empty());
        before.map_while(|line| line.strip_prefix("    "))
    });
    names.map(str::to_owned).collect()
}

/// `true` if every test binary that began to run tests came to its summary.
fn is_whole(output: &str) -> bool {
    let (mut begun, mut ended, mut is_output_of_tests) = (0, 0, false);
    for line in output.lines() {
        if line.starts_with("test result: ") {
            (ended, is_output_of_tests) = (ended + 1, false);
        } else if line == "failures:" {
            is_output_of_tests = true;
        } else if !is_output_of_tests && line.starts_with("running ") && line.trim_end_matches('s').ends_with(" test") {
            begun += 1;
        }
    }
    begun == ended
}

/// Runs tests that failed once more, each alone; returns those that pass then. What fails only beside other tests is
/// flaky: it is reported, as `ci` reports it, and to be fixed, but it says nothing about a change. `tell` is called with each
/// command before it runs, and with the output of those that fail.
fn again(
    root: &Path,
    failed: &BTreeSet<String>,
    notes: &Path,
    tell: &mut dyn FnMut(std::fmt::Arguments<'_>),
) -> anyhow::Result<BTreeSet<String>> {
    let mut passed = BTreeSet::new();
    if failed.len() > MOST_AGAIN {
        return Ok(passed);
    }
    for name in failed {
        let words = ["test", "--workspace", "--quiet", "--no-fail-fast", "--", "--exact", name, "--test-threads", "1"];
        tell(format_args!("again, alone: cargo {}", words.join(" ")));
        let command = cargo(words, root, notes).stderr_to_stdout().unchecked();
        let finished = command.stdout_capture().run().context("cannot run cargo")?;
        let said = String::from_utf8_lossy(&finished.stdout);
        // A name that selects nothing would pass too.
        if finished.status.success() && said.lines().any(|line| line.starts_with("test result: ok. 1 passed")) {
            passed.insert(name.clone());
        } else {
            tell(format_args!("{said}"));
        }
    }
    Ok(passed)
}

/// Copies to standard output until the end, dot by dot, and returns all of it.
fn pass_on(source: &mut impl io::Read) -> anyhow::Result<String> {
    let (mut all, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        let count = match source.read(&mut buffer) {
            Ok(0) => return Ok(String::from_utf8_lossy(&all).into_owned()),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error.into()),
        };
        let piece = buffer.get(..count).unwrap_or_default();
        let mut stdout = io::stdout().lock();
        stdout.write_all(piece)?;
        stdout.flush()?;
        all.extend_from_slice(piece);
    }
}

/// The tests of all binaries.
struct Summary<'s> {
    passed: usize,
    failed: usize,
    /// The tests that failed first, and passed when they ran again, alone. They count as passed.
    flaky: &'s BTreeSet<String>,
    /// The reasons of each test that skipped itself or a part of itself.
    skipped: BTreeMap<String, Vec<String>>,
}

impl<'s> Summary<'s> {
    /// `output` holds the summaries of the test harness, `flaky` the tests that passed when run again, `notes` the lines of
    /// [`SKIPS`].
    fn new(output: &str, flaky: &'s BTreeSet<String>, notes: &str) -> Summary<'s> {
        let count = |word: &str| -> usize {
            let lines = output.lines().filter(|line| line.starts_with("test result: "));
            let counts =
                lines.filter_map(|line| line.split(['.', ';']).find_map(|part| part.trim().strip_suffix(word)));
            counts.filter_map(|count| count.trim().parse::<usize>().ok()).sum()
        };
        let mut skipped: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (test, reason) in notes.lines().filter_map(|line| line.split_once('\t')) {
            let reasons = skipped.entry(test.to_owned()).or_default();
            if !reasons.iter().any(|known| known == reason) {
                reasons.push(reason.to_owned());
            }
        }
        // The harness names only the tests that failed, each on a line of its own.
        skipped.retain(|test, _| flaky.contains(test) || !output.lines().any(|line| line.trim() == test));
        // A test that skips itself returns early, and the harness counts it as passed.
        Summary {
            passed: (count(" passed") + flaky.len()).saturating_sub(skipped.len()),
            failed: count(" failed").saturating_sub(flaky.len()),
            flaky,
            skipped,
        }
    }
}

impl std::fmt::Display for Summary<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.skipped.is_empty() {
            writeln!(f, "nothing was skipped")?;
        } else {
            writeln!(f, "skipped, wholly or in part:")?;
            for (test, reasons) in &self.skipped {
                for reason in reasons {
                    writeln!(f, "  {test}: {reason}")?;
                }
            }
        }
        if !self.flaky.is_empty() {
            writeln!(f, "flaky: failed, and passed when run again, alone; please fix them:")?;
            self.flaky.iter().try_for_each(|test| writeln!(f, "  {test}"))?;
        }
        // As the test harness words it, so that a CI system which reads the last line understands it.
        let result = if self.failed == 0 { "ok" } else { "FAILED" };
        let skipped = self.skipped.len();
        write!(f, "test result: {result}. {} passed; {} failed; {skipped} ignored", self.passed, self.failed)
    }
}

#[cfg(test)]
mod tests {
    use super::{BTreeSet, Summary, again, failed, is_whole};

    const OUTPUT: &str = "\nrunning 3 tests\n...\n\
        failures:\n    runs::broken\n\n\
        test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s\n\
        running 4 tests\n..F.\n\
        test result: FAILED. 2 passed; 1 failed; 1 ignored; 0 measured; 7 filtered out; finished in 71.20s\n";

    #[test]
    fn what_was_skipped_is_listed_and_does_not_count_as_passed() {
        let notes = "deaths::matrix\tno v1\nhtml::opens\tno chromium\ndeaths::matrix\tno v1\ndeaths::matrix\tno mount\n\
                     runs::broken\tno tool\n";
        let shown = Summary::new(OUTPUT, &BTreeSet::new(), notes).to_string();
        let right = "skipped, wholly or in part:\n  deaths::matrix: no v1\n  deaths::matrix: no mount\n  \
                     html::opens: no chromium\ntest result: FAILED. 3 passed; 1 failed; 2 ignored";
        assert_eq!(shown, right);
        let all = "nothing was skipped\ntest result: FAILED. 5 passed; 1 failed; 0 ignored";
        assert_eq!(Summary::new(OUTPUT, &BTreeSet::new(), "").to_string(), all);
        let fine = OUTPUT.replace("1 failed; 1", "0 failed; 1");
        assert!(
            Summary::new(&fine, &BTreeSet::new(), "")
                .to_string()
                .ends_with("test result: ok. 5 passed; 0 failed; 0 ignored")
        );
    }

    #[test]
    fn what_passes_when_run_again_is_flaky_and_told() {
        assert_eq!(failed(OUTPUT), BTreeSet::new());
        let output = "running 2 tests\nF.\nfailures:\n\n---- a::b stdout ----\nrunning 7 tests\n    failures:\n    x\n\n\n\
             failures:\n    a::b\n    a::c\n\ntest result: FAILED. 0 passed; 2 failed; 0 ignored; finished in 0s\n";
        let two = BTreeSet::from(["a::b".to_owned(), "a::c".to_owned()]);
        assert_eq!(failed(output), two);
        let shown = Summary::new(output, &two, "a::c\tno tool\n").to_string();
        let right = "skipped, wholly or in part:\n  a::c: no tool\n\
                     flaky: failed, and passed when run again, alone; please fix them:\n  a::b\n  a::c\n\
                     test result: ok. 1 passed; 0 failed; 1 ignored";
        assert_eq!(shown, right);
        let one = BTreeSet::from(["a::b".to_owned()]);
        assert!(Summary::new(output, &one, "").to_string().ends_with("FAILED. 1 passed; 1 failed; 0 ignored"));

        // A binary that was killed has no summary, and no test that could be run again.
        assert!(is_whole(output) && is_whole(OUTPUT));
        assert!(!is_whole(&format!("{output}\nrunning 1 test\n")));
    }

    /// With cargo itself: a test that passes alone, one that fails again, and one that there is not.
    #[test]
    fn only_what_passes_alone_is_flaky() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| std::fs::write(root.path().join(path), text).unwrap();
        write("Cargo.toml", "[package]\nname = \"moody\"\nedition = \"2021\"\n[lib]\npath = \"lib.rs\"\n[workspace]\n");
        write("lib.rs", "#[test] fn passes() {}\n#[test] fn passes_not() { panic!() }\n");
        write("notes", "");
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<String>>();
        let mut told = String::new();
        let mut run = |failed: &[&str]| {
            let tell = &mut |said: std::fmt::Arguments<'_>| told.push_str(&said.to_string());
            again(root.path(), &names(failed), &root.path().join("notes"), tell).unwrap()
        };
        assert_eq!(run(&["passes", "passes_not", "absent"]), names(&["passes"]));
        // So many do not fail by chance.
        assert_eq!(run(&["passes", "passes_not", "absent", "fourth"]), names(&[]));
        assert!(told.contains("---- passes_not stdout ----"), "{told}");
    }
}
