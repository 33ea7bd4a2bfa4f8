//! What runs before a plan for several machines is made: jobs that make what all shards share, and those that tests are
//! listed from.

use std::path::Path;

use super::prepared_dir;
use crate::commands::ci::session::Finished;
use drydock_base::checksum::Checksum;
use drydock_base::failure::Failure;
use drydock_base::units::JobName;
use drydock_ci::plan::{Plan, PlannedJob};
use drydock_ci::shard::{self, FrozenPlan, Prepared, SEAL};

/// The names of these jobs, each as a selector of itself.
pub(super) fn jobs(plan: &Plan) -> Vec<String> {
    let needs = |job: &PlannedJob, other: &PlannedJob| {
        job.needs.contains(&other.group) || job.needs_jobs().contains(&other.name)
    };
    let is_wanted = |other: &&PlannedJob| {
        let shares = !other.share.is_empty();
        plan.jobs.iter().any(|job| needs(job, other) && (shares || job.awaits_list()))
    };
    plan.jobs.iter().filter(is_wanted).map(|job| job.name.to_string()).collect()
}

/// Of the jobs that ran, those that no shard has to run again: everything that others need of them is shared.
pub(super) fn lasting(whole: &Plan, ran: &Plan) -> Vec<JobName> {
    let mut lasting: Vec<&PlannedJob> = whole.jobs.iter().filter(|job| ran.job(job.name.as_str()).is_some()).collect();
    loop {
        let stays = |job: &PlannedJob| {
            let is_needed = whole.jobs.iter().any(|other| {
                let needs = other.needs.contains(&job.group) || other.needs_jobs().contains(&job.name);
                needs && !lasting.iter().any(|prepared| prepared.name == other.name)
            });
            !job.share.is_empty() || !is_needed
        };
        let left: Vec<&PlannedJob> = lasting.iter().copied().filter(|job| stays(job)).collect();
        if left.len() == lasting.len() {
            return left.into_iter().map(|job| job.name.clone()).collect();
        }
        lasting = left;
    }
}

/// Puts the run and what its jobs share beside the plan. `None` if no result of it is needed.
pub(super) fn store(
    plan: &Plan,
    jobs: Vec<JobName>,
    finished: &Finished,
    file: &Path,
) -> anyhow::Result<Option<Prepared>> {
    if jobs.is_empty() {
        return Ok(None);
    }
    let target = prepared_dir(file);
    if target.exists() {
        return Err(Failure::usage(format!("{} is there already; remove it", target.display())));
    }
    shard::seal(&finished.dir)?;
    super::copy_run(&finished.dir, &target)?;
    let (seal, _) = Checksum::from_file(&target.join(SEAL))?;
    // Jobs that share nothing and that nothing needs ran for their results.
    let shared: Vec<&str> = plan
        .jobs
        .iter()
        .filter(|job| jobs.contains(&job.name))
        .flat_map(|job| job.share.iter().map(String::as_str))
        .collect();
    if !shared.is_empty() {
        return Err(Failure::usage("`share` is not supported yet"));
    }
    Ok(Some(Prepared { jobs, seal, archive: None }))
}

/// Puts what the prepared jobs share into the project.
pub(super) fn restore(frozen: &FrozenPlan, _file: &Path, _project: &Path) -> anyhow::Result<()> {
    let Some(prepared) = &frozen.prepared else { return Ok(()) };
    match prepared.archive {
        Some(_) => Err(Failure::usage("`share` is not supported yet")),
        None => Ok(()),
    }
}
