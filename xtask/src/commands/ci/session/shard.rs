//! The run of one shard: what its previous attempt finished holds, and only the rest is run again.

use std::collections::HashSet;
use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use anyhow::Context as _;

use super::{Prepared, ShardGoal, make_dir, new_run};
use drydock_base::failure::Failure;
use drydock_base::paths::{self, RunDir, State};
use drydock_ci::event::{Event, JobResult};
use drydock_ci::journal::Journal;
use drydock_ci::retell;
use drydock_ci::run::{JobState, Run};
use drydock_ci::shard::{Piece, files_of};

/// The run of a shard, with the results of its previous attempt.
pub(super) fn prepare(state: &State, goal: ShardGoal) -> anyhow::Result<Prepared> {
    let ShardGoal { plan, identity, previous, .. } = goal;
    let Some(previous) = previous else {
        return Ok(Prepared { shard: Some(identity), ..new_run(state, plan)? });
    };
    let before = |name: &str| previous.run.plan.jobs.iter().position(|job| job.name.as_str() == name);
    let result = |job: &str| before(job).and_then(|at| previous.run.jobs[at].result.as_ref());
    let passed =
        |job: &str| matches!(result(job), Some(JobResult::Passed | JobResult::PassedAfterInfrastructure { .. }));
    let repeat: Vec<String> = plan.jobs.iter().map(|job| job.name.to_string()).filter(|name| !passed(name)).collect();
    let again: HashSet<String> = if repeat.is_empty() {
        HashSet::new()
    } else {
        // What these need is run with them: this machine may be a fresh one.
        let again = plan.clone().select(&repeat).map_err(|error| Failure::usage(error.to_string()))?;
        again.jobs.iter().map(|job| job.name.to_string()).collect()
    };
    let dir = make_dir(state)?;
    let mut kept = Run::new(plan);
    kept.began = previous.run.began;
    kept.session_began = previous.run.session_began;
    kept.last = previous.run.last;
    let mut wanted = HashSet::new();
    for position in 0..kept.plan.jobs.len() {
        let name = kept.plan.jobs[position].name.to_string();
        let Some(before) = before(&name).filter(|_| !again.contains(&name)) else { continue };
        let state: &JobState = &previous.run.jobs[before];
        wanted.extend(state.attempts.iter().map(|attempt| (name.clone(), attempt.number)));
        kept.jobs[position] = JobState { carried_from: None, ..state.clone() };
    }
    copy_attempts(&previous.dir, &dir, &|job, attempt| wanted.contains(&(job.to_owned(), attempt)))?;
    let events = retell::events(&kept);
    Journal::write_anew(&dir, &events)?.close()?;
    let run = Run::replay(kept.plan, &events);
    let first = failures(&previous, &repeat).into_iter().map(|text| Event::Warning { text }).collect();
    Ok(Prepared { dir, run, first, resumed: false, reruns: Some(previous.id), shard: Some(identity) })
}

/// What became of the jobs that are run again, in their previous attempt.
fn failures(previous: &Piece, repeat: &[String]) -> Vec<String> {
    let jobs = previous.run.plan.jobs.iter().zip(&previous.run.jobs);
    let repeated = jobs.filter(|(job, _)| repeat.iter().any(|name| name == job.name.as_str()));
    let sentence = |(job, state): (&drydock_ci::plan::PlannedJob, &JobState)| {
        let outcome = &state.attempts.last()?.verdict.outcome;
        Some(format!("{} runs again: its previous attempt {}", job.name, outcome.describe()))
    };
    repeated.filter_map(sentence).take(20).collect()
}

/// Copies the files of the attempts that are wanted from the directory of one run to that of another. Links and devices
/// are not followed, and nothing but permissions to read and write is taken over.
pub(in crate::commands::ci) fn copy_attempts(
    from: &Path,
    to: &RunDir,
    wanted: &dyn Fn(&str, u32) -> bool,
) -> anyhow::Result<()> {
    let files = files_of(from).with_context(|| format!("cannot read {}", from.display()))?;
    for file in files {
        let Some((job, attempt)) = attempt_of(&file) else { continue };
        if wanted(job, attempt) {
            copy_file(&from.join(&file), &to.root().join(&file))?;
        }
    }
    Ok(())
}

/// The job and the attempt that a file in the directory of a run is of: `jobs/NAME/ATTEMPT/…`.
fn attempt_of(file: &str) -> Option<(&str, u32)> {
    let below = file.strip_prefix(RunDir::JOBS)?.strip_prefix('/')?;
    let mut end = 0_usize;
    for part in below.split('/') {
        // No part of a name is a number.
        if !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()) {
            return Some((below.get(..end.checked_sub(1)?)?, part.parse().ok()?));
        }
        end += part.len() + 1;
    }
    None
}

pub(in crate::commands::ci) fn copy_file(from: &Path, to: &Path) -> anyhow::Result<()> {
    let copy = || -> io::Result<()> {
        if let Some(parent) = to.parent() {
            fs::create_dir_all(parent)?;
        }
        let mut source = paths::open_regular(from)?;
        let mut target = fs::OpenOptions::new().write(true).create_new(true).open(to)?;
        io::copy(&mut source, &mut target)?;
        target.flush()
    };
    copy().with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))
}

#[cfg(test)]
mod tests {
    use super::attempt_of;

    #[test]
    fn files_belong_to_attempts() {
        for (file, expected) in [
            ("jobs/units/run-wire/2/log", Some(("units/run-wire", 2))),
            ("jobs/a/1/sub/3/x.xml", Some(("a", 1))),
            ("jobs/1/log", None),
            ("jobs/a/log", None),
            ("journal.jsonl", None),
            ("jobs/a/99999999999/log", None),
        ] {
            assert_eq!(attempt_of(file), expected, "{file}");
        }
    }
}
