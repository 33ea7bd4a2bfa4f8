//! `cargo xtask demo`: the whole pipeline on lanternd, with a table of the proofs.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use xshell::{Shell, cmd};

use super::release_context::{ReleaseSelector, VersionSource};
use super::{Context, release};
use crate::cli::{self, Place};
use crate::exit::Exit;
use crate::invocation;
use crate::tools::Purpose;
use drydock_base::hint;
use drydock_base::output;
use drydock_base::paths::State;
use drydock_base::units;
use drydock_ci::event::JobResult;
use drydock_ci::run::Run;
use drydock_release::manifest::{self, Manifest};
use drydock_release::proof::Proof;
use drydock_valgrind::tool::TOOLS;

/// The example's version.
const VERSION: &str = include_str!("../../../examples/lanternd/VERSION").trim_ascii_end();

impl cli::Demo {
    pub(crate) fn run(self) -> anyhow::Result<Exit> {
        super::doctor::preflight(Purpose::Demo, self.install)?;
        let temporary = match &self.keep {
            Some(_) => None,
            None => {
                let made = tempfile::Builder::new().prefix("drydock-demo-").tempdir();
                Some(made.context("cannot make a temporary directory")?)
            }
        };
        let directory = match (&self.keep, &temporary) {
            (Some(directory), _) => std::path::absolute(directory)?,
            (None, temporary) => temporary.as_ref().map_or_else(std::env::temp_dir, |made| made.path().to_owned()),
        };
        let project = make_project(&directory)?;
        let place = Place { project: Some(project.clone()), ..Place::default() };
        invocation::announce(&place);
        let ctx = Context::find(&place)?;
        output::err(format_args!("== ci: {}", hint::drydock(&["ci"])));
        let exit = super::ci::run_all(&ctx)?;
        let (_, run) = super::ci::recorded(&ctx.state, None)?;
        output::err(format_args!("== release: {}", hint::drydock(&["release"])));
        let released = release::All {
            selector: ReleaseSelector { revision: "HEAD".into(), version: VersionSource::Tag(None) },
            threads: release::build::threads(None),
            allow_dirty: false,
            format: cli::Format::Text,
        }
        .run(&ctx);
        let mut rows = proved(&run);
        rows.extend(of_release(&ctx.state, &released));
        output::out(format_args!("\n{}", table(&rows)));
        let exit = match (exit, released) {
            (Exit::Success, Ok(released)) => released,
            (Exit::Success, Err(error)) => return Err(error),
            (exit, _) => exit,
        };
        match temporary {
            None => output::out(format_args!(
                "the project is in {}; try `{}`",
                project.display(),
                hint::drydock(&["ci", "explain", "units/run-json"])
            )),
            Some(temporary) if exit != Exit::Success => {
                // The commands that were printed above work on it.
                output::out(format_args!("the project is kept in {}", temporary.keep().display()));
            }
            Some(_) => output::out("the project was temporary; `--keep DIR` keeps it, with logs and reports"),
        }
        Ok(exit)
    }
}

/// Creates a git project from the example: a repository with a submodule and a tag.
fn make_project(directory: &Path) -> anyhow::Result<PathBuf> {
    let shell = Shell::new()?;
    let script = crate::workspace::root().join("examples/lanternd/tools/make-project.sh");
    output::err(format_args!("== project: sh {} {}", script.display(), directory.display()));
    cmd!(shell, "sh {script} {directory}")
        .quiet()
        .ignore_stdout()
        .run()
        .context("cannot create a project from examples/lanternd")?;
    Ok(directory.join("lanternd"))
}

/// A claim, its proof, and the result.
type Row = [String; 3];

/// The claims that the run proved.
fn proved(run: &Run) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for tool in TOOLS.map(|spec| spec.tool) {
        let of_tool: Vec<_> =
            run.plan.jobs.iter().zip(&run.jobs).filter(|(planned, _)| planned.tool.kind == tool).collect();
        if tool.finds_errors() && !of_tool.is_empty() {
            let evidence = || of_tool.iter().filter_map(|(_, job)| job.attempts.last()?.evidence.valgrind.as_ref());
            let complete: u64 = evidence().map(|valgrind| valgrind.complete).sum();
            let findings: u64 = evidence().map(|valgrind| valgrind.findings).sum();
            let incomplete: usize = evidence().map(|valgrind| valgrind.incomplete.len()).sum();
            rows.push([
                format!("{} jobs are clean under {}", of_tool.len(), tool.name()),
                format!("{complete} processes left a complete log, {incomplete} did not; {findings} findings"),
                verdict(of_tool.iter().all(|(_, job)| matches!(job.result, Some(JobResult::Passed)))),
            ]);
            continue;
        }
        for (planned, job) in of_tool {
            let Some(last) = job.attempts.last() else { continue };
            let proof = match &last.evidence.heap {
                Some(heap) => {
                    let limit = heap.limit.map_or_else(|| "no limit".into(), |limit| format!("limit {limit}"));
                    format!("massif measured a peak of {} ({limit})", heap.peak)
                }
                None => format!(
                    "{} in {}",
                    last.verdict.outcome.describe(),
                    units::human(Duration::from_millis(last.duration_ms()))
                ),
            };
            rows.push([format!("{} passes", planned.name), proof, verdict(job.result == Some(JobResult::Passed))]);
        }
    }
    let kills = run
        .jobs
        .iter()
        .flat_map(|job| &job.attempts)
        .filter(|attempt| attempt.verdict.outcome.is_infrastructure())
        .count();
    let attempts: usize = run.jobs.iter().map(|job| job.attempts.len()).sum();
    let containment = run.started.as_ref().map_or("none", |started| started.containment.as_str());
    rows.push([
        "the machine killed nothing".into(),
        format!("{attempts} attempts, {kills} killed, by the counters of {containment} and /proc/vmstat"),
        verdict(kills == 0),
    ]);
    rows
}

/// The claims that the release proved.
fn of_release(state: &State, released: &anyhow::Result<Exit>) -> Vec<Row> {
    let directory = state.dist(VERSION);
    let read = || -> anyhow::Result<(Manifest, Proof)> {
        let manifest = Manifest::load(&directory.join(manifest::NAME))?;
        let proof = Proof::load(&manifest, &directory, None)?;
        Ok((manifest, proof))
    };
    let read = read();
    let (manifest, proof) = match (released, &read) {
        (Ok(Exit::Success), Ok(both)) => both,
        (Err(error), _) | (_, Err(error)) => {
            let why = error.to_string().lines().next().unwrap_or_default().to_owned();
            return vec![["the release is proved".into(), why, verdict(false)]];
        }
        (Ok(_), Ok(_)) => return vec![["the release is proved".into(), "it was not made".into(), verdict(false)]],
    };
    let derived = manifest.entries.iter().filter(|entry| entry.generator.is_some()).count();
    let varied: Vec<&str> =
        proof.rebuild.variations.iter().filter(|one| one.missing.is_none()).map(|one| one.name.as_str()).collect();
    let mut rows = vec![
        [
            "the sources are the commit's".into(),
            format!(
                "{} files, {derived} of them derived twice; root {:.12}",
                manifest.entries.len(),
                manifest.root.to_string()
            ),
            verdict(true),
        ],
        [
            format!("{} archives are made again byte for byte", proof.rebuild.identical.len()),
            format!(
                "{} things varied, among them {}",
                varied.len(),
                varied.iter().take(4).copied().collect::<Vec<_>>().join(", ")
            ),
            verdict(true),
        ],
    ];
    let offline = proof.offline.as_ref();
    rows.push([
        "the archive builds and passes its tests offline".into(),
        offline.map_or_else(String::new, |offline| {
            format!("{}, without {}", offline.archive, offline.poisoned.join(", "))
        }),
        verdict(offline.is_some()),
    ]);
    rows
}

/// The rows as aligned text.
fn table(rows: &[Row]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let (first, second) = (width(0), width(1));
    let mut text = String::from("what was proved\n");
    for [claim, proof, result] in rows {
        text.push_str(&format!("  {claim:<first$}  {proof:<second$}  {result}\n"));
    }
    text
}

fn verdict(proved: bool) -> String {
    if proved { "proved".into() } else { "NOT PROVED".into() }
}
