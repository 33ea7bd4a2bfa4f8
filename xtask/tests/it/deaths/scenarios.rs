//! Deaths of `xtask` itself and of the disk below it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;

use super::matrix::{Cell, Column};
use super::run::{evidence, panics, still_running, tail};
use crate::support::{Finished, Project, RunJson, SmallDisk, marker, mortal, processes_with, text};

/// The limit for what should take a second or two; a guest is slow.
const SOON: Duration = Duration::from_secs(40);

pub(crate) fn all(column: Column, mut done: impl FnMut(Cell)) {
    done(interrupted(column, "xtask: ctrl-c", Signal::INT));
    done(interrupted(column, "xtask: sigterm", Signal::TERM));
    done(killed_and_resumed(column));
    // What it prints is cut, which does not keep it from passing; a file that cannot be written does.
    full_disk(column, "disk full: log", "spam 64", &["passed", "cancelled"]).into_iter().for_each(&mut done);
    full_disk(column, "disk full: file", "fill-disk {disk}/filler", &["disk-full"]).into_iter().for_each(&mut done);
}

/// Collects what is wrong with a scenario.
struct Account {
    state: PathBuf,
    cell: Cell,
}

impl Account {
    fn new(state: PathBuf, column: Column, cause: &str) -> Self {
        let verdict = "nothing".to_owned();
        Self { state, cell: Cell { cause: cause.to_owned(), column, verdict, confidence: None, problems: Vec::new() } }
    }

    fn expect(&mut self, holds: bool, otherwise: impl Into<String>) {
        if !holds {
            self.cell.problems.push(otherwise.into());
        }
    }

    /// Compares the outcome of one attempt of one job. The first comparison is shown in the matrix.
    fn expect_outcome(&mut self, run: &RunJson, job: &str, attempt: usize, right: &[&str]) {
        let found = run.job(job).and_then(|job| job.attempts.get(attempt - 1));
        let found = found.map(|attempt| (attempt.outcome.to_string(), attempt.confidence));
        let (outcome, confidence) = found.unwrap_or_else(|| ("nothing".to_owned(), None));
        self.expect(
            right.contains(&outcome.as_str()),
            format!("attempt {attempt} of {job}: {outcome}, right is {}", right.join(" or ")),
        );
        if self.cell.verdict == "nothing" {
            (self.cell.verdict, self.cell.confidence) = (outcome, confidence);
        }
    }

    fn expect_result(&mut self, run: &RunJson, job: &str, right: &[&str]) {
        let result = run.job(job).map_or("nothing", |job| job.result.as_str());
        self.expect(right.contains(&result), format!("result of {job}: {result}, right is {}", right.join(" or ")));
    }

    /// Checks what holds after each call of `xtask`; gives `run.json`.
    fn expect_end(&mut self, finished: &Finished, codes: &[i32]) -> RunJson {
        self.cell.problems.extend(panics(finished));
        let code = finished.code();
        self.expect(codes.contains(&code), format!("exit code {code} of xtask, right is {codes:?}"));
        RunJson::latest(&self.state).unwrap_or_else(|error| {
            self.cell.problems.push(format!("{error:#}"));
            RunJson::default()
        })
    }

    fn close(mut self, job: &str, finished: &Finished) -> Cell {
        if !self.cell.problems.is_empty() {
            self.cell.problems.push(evidence(&self.state, job));
            self.cell.problems.push(format!("xtask said: {}", tail(&finished.transcript(), 60)));
        }
        self.cell
    }
}

/// A job as a line of YAML; arguments are split at spaces.
fn job(name: &str, arguments: &str, more: &str) -> String {
    let mut run = vec![text(&mortal())];
    run.extend(arguments.split(' ').map(str::to_owned));
    format!("  {name}: {{run: {}{more}}}\n", serde_json::to_string(&run).unwrap())
}

const DEFAULTS: &str = "defaults: {timeout: 10m, grace: 1s, memory: 32MiB}\njobs:\n";

/// SIGINT and SIGTERM to the process group: the jobs end, however stubborn, and the results so far are kept.
fn interrupted(column: Column, cause: &str, signal: Signal) -> Cell {
    let running_jobs = ["obedient", "stubborn", "family"];
    let markers = running_jobs.map(marker);
    let mut yaml = DEFAULTS.to_owned() + &job("quick", "exit 0", "");
    for (name, arguments) in
        [("obedient", "obey-term 90"), ("stubborn", "ignore-term 90"), ("family", "fork 5 90 stubborn")]
    {
        let marker = markers.iter().find(|marker| marker.ends_with(name)).unwrap();
        yaml += &job(name, &format!("{arguments} {marker}"), ", needs: [quick]");
    }
    yaml += &job("later", "exit 0", ", needs: [family]");
    let project = Project::new().jobs(&yaml);
    let mut account = Account::new(project.state(), column, cause);

    let call = project.xtask(&["ci", "run", "--containment", column.flag(), "-j", "4", "--no-progress"]);
    let mut running = call.limit(SOON * 2).spawn();
    let all_started = running.wait_for(SOON, || {
        let started = markers.iter().map(|marker| processes_with(marker).len()).collect::<Vec<_>>();
        (started == [1, 1, 6]).then_some(())
    });
    account.expect(all_started.is_some(), "the jobs did not start");
    running.signal(signal).ok();
    let finished = running.wait();

    let run = account.expect_end(&finished, &[9]);
    for name in running_jobs {
        account.expect_outcome(&run, name, 1, &["cancelled"]);
    }
    account.expect_result(&run, "quick", &["passed"]);
    account.expect_result(&run, "later", &["not-run", "cancelled"]);
    account.cell.problems.extend(markers.iter().flat_map(|marker| still_running(marker)));
    account.close("stubborn", &finished)
}

/// `kill -9` of `xtask`, then `--resume`: what was in flight is lost, ended and run again; what had ended is kept.
fn killed_and_resumed(column: Column) -> Cell {
    let scratch = tempfile::tempdir().unwrap();
    let path = |name: &str| text(&scratch.path().join(name));
    let in_flight = marker("in-flight");
    let project = Project::new().jobs(
        &(DEFAULTS.to_owned()
            + &job("ended", &format!("count {}", path("ended")), "")
            + &job("in-flight", &format!("sleep-once {} 90 {in_flight}", path("in-flight")), ", needs: [ended]")
            + &job("later", &format!("count {}", path("later")), ", needs: [in-flight]")),
    );
    let mut account = Account::new(project.state(), column, "xtask: kill -9, resume");

    let arguments = ["ci", "run", "--containment", column.flag(), "-j", "4", "--no-progress"];
    let mut running = project.xtask(&arguments).limit(SOON).spawn();
    let started = running.wait_for(SOON, || Path::new(&path("in-flight")).exists().then_some(()));
    account.expect(started.is_some(), "the job in flight did not start");
    // The journal may be 100 ms late.
    std::thread::sleep(Duration::from_millis(400));
    running.kill().ok();
    let died = running.wait();
    account.expect(died.code() == -9, format!("the first call ended before it was killed: {}", died.transcript()));

    let resumed = project.xtask(&[&arguments[..], &["--resume"]].concat()).limit(SOON).run();
    let run = account.expect_end(&resumed, &[0]);
    account.expect_outcome(&run, "in-flight", 1, &["lost"]);
    account.expect_outcome(&run, "in-flight", 2, &["passed"]);
    account.expect_outcome(&run, "ended", 1, &["passed"]);
    account.expect_outcome(&run, "later", 1, &["passed"]);
    for name in ["ended", "later"] {
        let count = fs::read(path(name)).map_or(0, |bytes| bytes.len());
        account.expect(count == 1, format!("{name} ran {count} times"));
    }
    account.cell.problems.extend(still_running(&in_flight));
    account.close("in-flight", &resumed)
}

/// A job fills the disk that the state is on. `xtask` stops or goes on, says so, and can resume when there is space.
fn full_disk(column: Column, cause: &str, arguments: &str, right: &[&str]) -> Option<Cell> {
    let disk = SmallDisk::mount(4)?;
    let state = disk.path().join("state");
    let arguments = arguments.replace("{disk}", disk.path().to_str().unwrap());
    let project = Project::new().jobs(
        &(DEFAULTS.to_owned()
            + &job("before", "exit 0", "")
            + &job("filler", &arguments, ", needs: [before]")
            + &job("beside", "sleep 2", ", needs: [before]")
            // So that there is something that the run does not start, even if the filler passes as the last of the others.
            + &job("after", "exit 0", ", needs: [filler]")),
    );
    let mut account = Account::new(state.clone(), column, cause);

    let state_text = text(&state);
    let call = ["--state", &state_text, "ci", "run", "--containment", column.flag(), "-j", "4", "--no-progress"];
    let finished = project.xtask(&call).limit(SOON).run();
    account.cell.problems.extend(panics(&finished));
    account.expect(finished.code() == 5, format!("exit code {} of xtask, right is 5", finished.code()));
    let said = finished.transcript().to_lowercase();
    account.expect(said.contains("space") || said.contains("disk"), "the disk is full, and xtask does not say so");
    account.cell.problems.extend(torn_lines(&state));

    make_space(&disk);
    let resumed = project.xtask(&[&call[..], &["--resume"]].concat()).limit(SOON).run();
    account.cell.problems.extend(panics(&resumed));
    // The filler fills the disk again, if it did not pass.
    account.expect([0, 5].contains(&resumed.code()), format!("exit code {} after --resume", resumed.code()));
    make_space(&disk);
    let reported = project.xtask(&["--state", &state_text, "ci", "report"]).limit(SOON).run();
    account.cell.problems.extend(panics(&reported));
    match RunJson::latest(&state) {
        Ok(run) => {
            account.expect_outcome(&run, "filler", 1, right);
            account.expect_outcome(&run, "beside", 1, &["passed", "cancelled"]);
            let all_ran = resumed.code() == 0;
            account.expect_result(&run, "beside", if all_ran { &["passed"] } else { &["passed", "cancelled"] });
            account.expect_result(&run, "before", &["passed"]);
        }
        Err(error) => account.cell.problems.push(format!("after --resume and ci report: {error:#}")),
    }
    account.cell.problems.extend(torn_lines(&state));
    if !account.cell.problems.is_empty() {
        account.cell.problems.push(format!("the call with --resume said: {}", resumed.transcript()));
        account.cell.problems.push(format!("ci report said: {}", reported.transcript()));
    }
    Some(account.close("filler", &finished))
}

/// The lines of the journals that are no JSON. A last line without its end may be torn: the next reader drops it.
fn torn_lines(state: &Path) -> Vec<String> {
    let runs = fs::read_dir(state.join("runs")).into_iter().flatten().flatten().map(|entry| entry.path());
    let journals = runs.filter(|run| !run.is_symlink()).map(|run| run.join("journal.jsonl"));
    let mut torn = Vec::new();
    for journal in journals.filter(|journal| journal.exists()) {
        let text = fs::read_to_string(&journal).unwrap_or_else(|error| error.to_string());
        for line in text.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
            if let Err(error) = serde_json::from_str::<serde_json::Value>(line) {
                torn.push(format!("{}: {error}: {line}", journal.display()));
            }
        }
    }
    torn
}

/// Empties the big files: the filler and its log.
fn make_space(disk: &SmallDisk) {
    let mut directories = vec![disk.path().to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap().flatten() {
            let metadata = entry.metadata().unwrap();
            if metadata.is_dir() {
                directories.push(entry.path());
            } else if metadata.is_file() && metadata.len() > 256 * 1024 {
                fs::File::create(entry.path()).unwrap();
            }
        }
    }
}
