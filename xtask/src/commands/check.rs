//! `cargo xtask check`: the checks that every change must pass.

use std::collections::BTreeMap;
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
        step(
            "lints",
            cmd!(shell, "cargo clippy --workspace --all-targets --quiet -- -D warnings"),
            "fix the clippy warnings above",
        )?;
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
    let mut running = duct::cmd("cargo", words)
        .dir(root)
        .env(SKIPS, notes.path())
        .stdin_null()
        .unchecked()
        .reader()
        .context("cannot run cargo")?;
    let passed_on = pass_on(&mut running)?;
    let succeeded = running.try_wait()?.is_some_and(|output| output.status.success());
    let summary = Summary::new(&passed_on, &std::fs::read_to_string(notes.path())?);
    output::out(format_args!("\n{summary}"));
    if succeeded {
        return Ok(Exit::Success);
    }
    Err(Failure::rejected("tests failed; repeat one with `cargo test --workspace NAME`"))
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
struct Summary {
    passed: usize,
    failed: usize,
    /// The reasons of each test that skipped itself or a part of itself.
    skipped: BTreeMap<String, Vec<String>>,
}

impl Summary {
    /// `output` holds the summaries of the test harness, `notes` the lines of [`SKIPS`].
    fn new(output: &str, notes: &str) -> Summary {
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
        skipped.retain(|test, _| !output.lines().any(|line| line.trim() == test));
        // A test that skips itself returns early, and the harness counts it as passed.
        Summary { passed: count(" passed").saturating_sub(skipped.len()), failed: count(" failed"), skipped }
    }
}

impl std::fmt::Display for Summary {
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
        // As the test harness words it, so that a CI system which reads the last line understands it.
        let result = if self.failed == 0 { "ok" } else { "FAILED" };
        let skipped = self.skipped.len();
        write!(f, "test result: {result}. {} passed; {} failed; {skipped} ignored", self.passed, self.failed)
    }
}

#[cfg(test)]
mod tests {
    use super::Summary;

    const OUTPUT: &str = "\nrunning 3 tests\n...\n\
        failures:\n    runs::broken\n\n\
        test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s\n\
        running 4 tests\n..F.\n\
        test result: FAILED. 2 passed; 1 failed; 1 ignored; 0 measured; 7 filtered out; finished in 71.20s\n";

    #[test]
    fn what_was_skipped_is_listed_and_does_not_count_as_passed() {
        let notes = "deaths::matrix\tno v1\nhtml::opens\tno chromium\ndeaths::matrix\tno v1\ndeaths::matrix\tno mount\n\
                     runs::broken\tno tool\n";
        let shown = Summary::new(OUTPUT, notes).to_string();
        let right = "skipped, wholly or in part:\n  deaths::matrix: no v1\n  deaths::matrix: no mount\n  \
                     html::opens: no chromium\ntest result: FAILED. 3 passed; 1 failed; 2 ignored";
        assert_eq!(shown, right);
        let all = "nothing was skipped\ntest result: FAILED. 5 passed; 1 failed; 0 ignored";
        assert_eq!(Summary::new(OUTPUT, "").to_string(), all);
        let fine = OUTPUT.replace("1 failed; 1", "0 failed; 1");
        assert!(Summary::new(&fine, "").to_string().ends_with("test result: ok. 5 passed; 0 failed; 0 ignored"));
    }
}
