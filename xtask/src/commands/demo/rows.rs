//! The rows of the demo's table: what the runs of jobs and the release proved.

use std::time::Duration;

use super::{Row, VERSION, Verdict};
use crate::exit::Exit;
use drydock_base::paths::State;
use drydock_base::units;
use drydock_ci::event::JobResult;
use drydock_ci::run::Run;
use drydock_release::manifest::{self, Manifest};
use drydock_release::proof::Proof;
use drydock_valgrind::tool::TOOLS;

/// The claims that the run proved.
pub(super) fn proved(run: &Run) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for tool in TOOLS.map(|spec| spec.tool) {
        let of_tool: Vec<_> =
            run.plan.jobs.iter().zip(&run.jobs).filter(|(planned, _)| planned.tool.kind == tool).collect();
        if tool.finds_errors() && !of_tool.is_empty() {
            let evidence = || of_tool.iter().filter_map(|(_, job)| job.attempts.last()?.evidence.valgrind.as_ref());
            let complete: u64 = evidence().map(|valgrind| valgrind.complete).sum();
            let findings: u64 = evidence().map(|valgrind| valgrind.findings).sum();
            let incomplete: usize = evidence().map(|valgrind| valgrind.incomplete.len()).sum();
            rows.push(Row::new(
                format!("{} jobs are clean under {}", of_tool.len(), tool.name()),
                format!("{complete} processes left a complete log, {incomplete} did not; {findings} findings"),
                Verdict::from(of_tool.iter().all(|(_, job)| matches!(job.result, Some(JobResult::Passed)))),
            ));
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
            rows.push(Row::new(
                format!("{} passes", planned.name),
                proof,
                Verdict::from(job.result == Some(JobResult::Passed)),
            ));
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
    rows.push(Row::new(
        "the machine killed nothing",
        format!("{attempts} attempts, {kills} killed, by the counters of {containment} and /proc/vmstat"),
        Verdict::from(kills == 0),
    ));
    rows
}

/// The claims that the release proved.
pub(super) fn of_release(state: &State, released: &anyhow::Result<Exit>) -> Vec<Row> {
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
            return vec![Row::new("the release is proved", why, Verdict::NotProved)];
        }
        (Ok(_), Ok(_)) => return vec![Row::new("the release is proved", "it was not made", Verdict::NotProved)],
    };
    let derived = manifest.entries.iter().filter(|entry| entry.generator.is_some()).count();
    let varied: Vec<&str> =
        proof.rebuild.variations.iter().filter(|one| one.missing.is_none()).map(|one| one.name.as_str()).collect();
    let mut rows = vec![
        Row::new(
            "the sources are the commit's",
            format!(
                "{} files, {derived} of them derived twice; root {:.12}",
                manifest.entries.len(),
                manifest.root.to_string()
            ),
            Verdict::Proved,
        ),
        Row::new(
            format!("{} archives are made again byte for byte", proof.rebuild.identical.len()),
            format!(
                "{} things varied, among them {}",
                varied.len(),
                varied.iter().take(4).copied().collect::<Vec<_>>().join(", ")
            ),
            Verdict::Proved,
        ),
    ];
    let offline = proof.offline.as_ref();
    rows.push(Row::new(
        "the archive builds and passes its tests offline",
        offline.map_or_else(String::new, |offline| {
            format!("{}, without {}", offline.archive, offline.poisoned.join(", "))
        }),
        Verdict::from(offline.is_some()),
    ));
    rows
}
