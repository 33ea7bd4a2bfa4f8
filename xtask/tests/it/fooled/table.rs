//! Runs the rows of the table, a few calls of `ci` for all of them, and draws it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use super::way::{Seen, Way};
use crate::deaths::{panics, tail};
use crate::support::{Finished, Project, RunJson, marker, need_tools, text};

/// The limit for one call of `ci`; the machine may be busy.
const LIMIT: Duration = Duration::from_secs(400);
/// The number of calls at once.
const CALLS: usize = 2;

/// One row with what was said of it.
pub(crate) struct Judged {
    kind: &'static str,
    name: &'static str,
    verdict: String,
    /// The errors of this row; empty if it is right.
    pub(crate) problems: Vec<String>,
}

/// Runs all rows whose tools are there.
pub(crate) fn run(ways: &[Way]) -> Vec<Judged> {
    let ways = ways.iter().filter(|way| need_tools(&way.needs));
    let mut batches: BTreeMap<String, Vec<&Way>> = BTreeMap::new();
    for way in ways {
        // Rows that need a call of their own have a key of their own.
        let own = if way.exclusive { way.name } else { "" };
        let key = (own, &way.head, &way.arguments, &way.environment, &way.through);
        batches.entry(format!("{key:?}")).or_default().push(way);
    }
    let order: Vec<_> = batches.values().flatten().map(|way| (way.kind, way.name)).collect();
    let waiting = Mutex::new(batches.into_values().collect::<Vec<_>>());
    let judged = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..CALLS {
            scope.spawn(|| {
                loop {
                    let Some(batch) = waiting.lock().unwrap().pop() else { return };
                    let results = call(&batch);
                    judged.lock().unwrap().extend(results);
                }
            });
        }
    });
    let mut judged = judged.into_inner().unwrap();
    judged.sort_by_key(|row| order.iter().position(|(kind, name)| (*kind, *name) == (row.kind, row.name)));
    judged.sort_by_key(|row| row.kind);
    judged
}

/// One call of `ci` with a job for each row.
fn call(ways: &[&Way]) -> Vec<Judged> {
    let markers: Vec<String> = ways.iter().map(|way| marker(way.name)).collect();
    let first = ways[0];
    let mut yaml = "defaults: {timeout: 100s, grace: 2s, memory: 64MiB}\n".to_owned();
    writeln!(yaml, "{}\njobs:", first.head).unwrap();
    for (way, marker) in ways.iter().zip(&markers) {
        let job = way.job.replace("{marker}", marker);
        writeln!(yaml, "  {0}: {{directory: {0}, {job}}}\n{1}", way.name, way.beside).unwrap();
    }
    let project = Project::new().jobs(&yaml);
    for way in ways {
        let directory = project.path().join(way.name);
        fs::create_dir(&directory).unwrap();
        for (path, contents) in &way.files {
            write(&directory.join(path), contents);
        }
        for (path, source) in &way.programs {
            fs::copy(compiled(source), directory.join(path)).unwrap();
        }
        if let Some(act) = way.prepare {
            act(&directory);
        }
    }
    let mut arguments = vec!["ci", "run", "-j", "4", "--no-progress"];
    arguments.extend(first.arguments.iter().map(String::as_str));
    let mut call = project.xtask(&arguments).limit(LIMIT);
    for (name, value) in &first.environment {
        call = call.env(name, &value.replace("{directory}", &text(&project.path().join(first.name))));
    }
    if !first.through.is_empty() {
        call = call.through(&first.through);
    }
    let finished = call.run();
    let run = RunJson::latest(&project.state()).ok();
    let seen = |way: &Way, marker: &String| judge(way, marker, &project, &finished, run.as_ref());
    let mut judged: Vec<Judged> = ways.iter().zip(&markers).map(|(way, marker)| seen(way, marker)).collect();
    // The output is one for all jobs of the call.
    if let Some(row) =
        judged.iter_mut().find(|row| !row.problems.is_empty()).filter(|_| ways.len() == 1 || run.is_none())
    {
        row.problems.push(format!("`ci` said: {}", tail(&finished.transcript(), 60)));
    }
    judged
}

fn judge(way: &Way, marker: &str, project: &Project, finished: &Finished, run: Option<&RunJson>) -> Judged {
    let directory = project.state().join("runs/latest");
    let job = run.and_then(|run| run.job(way.name));
    let attempt = job.and_then(|job| job.attempts.first());
    let verdict = match (attempt, job) {
        (Some(attempt), _) => attempt.outcome.to_string(),
        (None, Some(job)) => job.result.clone(),
        (None, None) => format!("exit {}", finished.code()),
    };
    let mut problems = panics(finished);
    // `findings` is right for any number of them.
    let is = |right: &str| verdict == right || verdict.split('{').next() == Some(right);
    if !way.right.iter().any(|right| is(right)) {
        problems.push(format!("the verdict is {verdict}, right is {}", way.right.join(" or ")));
    }
    let seen = Seen {
        project: project.path(),
        attempt: directory.join("jobs").join(way.name).join("1"),
        run: directory,
        job,
        finished,
        marker,
    };
    let failed = way.checks.iter().filter(|check| !(check.holds)(&seen));
    problems.extend(failed.map(|check| format!("not true: {}", check.what)));
    if !problems.is_empty() {
        problems.push(format!("reasons: {}", seen.reasons()));
        let log = seen.log();
        let end = String::from_utf8_lossy(&log[log.len().saturating_sub(1000)..]).into_owned();
        problems.push(format!("end of its log:\n{}", tail(&end, 12)));
    }
    Judged { kind: way.kind, name: way.name, verdict, problems }
}

fn write(path: &Path, contents: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, contents).unwrap();
    if contents.starts_with(b"#!") {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
}

/// The program made of that source, built once.
fn compiled(source: &str) -> PathBuf {
    let mut hasher = DefaultHasher::new();
    source.hash(&mut hasher);
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("fixtures-fooled");
    fs::create_dir_all(&directory).unwrap();
    let program = directory.join(format!("{:016x}", hasher.finish()));
    if !program.exists() {
        let file = tempfile::Builder::new().suffix(".c").tempfile_in(&directory).unwrap();
        fs::write(file.path(), source).unwrap();
        // Several tests may build at once, and a program that runs cannot be overwritten.
        let new = tempfile::Builder::new().tempfile_in(&directory).unwrap().into_temp_path();
        let gcc = ["-Wall", "-g", "-O0", "-fno-builtin", "-pthread", "-o"];
        let built = Command::new("gcc").args(gcc).arg(&new).arg(file.path()).status().unwrap();
        assert!(built.success(), "cannot compile:\n{source}");
        new.persist(&program).unwrap();
    }
    program
}

/// The table as text, with an account of each wrong row.
pub(crate) fn render(rows: &[Judged]) -> String {
    let mut text = format!("\n{:24}{:38}{:28}right?\n", "kind", "way", "verdict");
    for row in rows {
        let right = if row.problems.is_empty() { "yes" } else { "NO" };
        writeln!(text, "{:24}{:38}{:28}{right}", row.kind, row.name, row.verdict).unwrap();
    }
    let wrong: Vec<_> = rows.iter().filter(|row| !row.problems.is_empty()).collect();
    writeln!(text, "\n{} of {} rows are right", rows.len() - wrong.len(), rows.len()).unwrap();
    for row in wrong {
        writeln!(text, "\n✗ {}, {}:", row.kind, row.name).unwrap();
        for problem in &row.problems {
            writeln!(text, "  - {}", problem.trim_end().replace('\n', "\n    ")).unwrap();
        }
    }
    text
}
