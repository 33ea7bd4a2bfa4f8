//! What runs before a plan for several machines is made: jobs that make what all shards share, and those that tests are
//! listed from.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::{beside, prepared_dir};
use crate::commands::ci::session::Finished;
use drydock_archive::tree::{self, TreeError};
use drydock_base::checksum::Checksum;
use drydock_base::exec;
use drydock_base::failure::Failure;
use drydock_base::units::JobName;
use drydock_ci::plan::{Plan, PlannedJob};
use drydock_ci::shard::{self, FrozenPlan, Prepared, SEAL, SHARED};

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
    skip: &[PathBuf],
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
    let shared: Vec<String> = shared.into_iter().map(str::to_owned).collect();
    let archive = if shared.is_empty() { None } else { Some(pack(plan, &shared, &beside(file, SHARED), skip)?) };
    Ok(Some(Prepared { jobs, seal, archive }))
}

/// Writes the archive of what all shards share, without the state of Drydock. Returns its checksum.
fn pack(plan: &Plan, shared: &[String], file: &Path, skip: &[PathBuf]) -> anyhow::Result<Checksum> {
    let project = &plan.project;
    let sources = sources(project);
    tree::pack(project, shared, skip, &sources, file).map_err(|error| {
        let owner = plan.jobs.iter().find(|job| !job.share.is_empty()).map_or("", |job| job.name.as_str());
        match error {
            TreeError::Missing(path) => {
                let by = plan.jobs.iter().find(|job| job.share.contains(&path)).map_or(owner, |job| job.name.as_str());
                Failure::rejected(format!("{by} passed, but has not made `{path}`, which it shares"))
            }
            TreeError::Entry { .. } | TreeError::Archive(_) | TreeError::Read(_) => {
                Failure::rejected(format!("what jobs share cannot be packed: {error}"))
            }
            TreeError::Io { .. } => anyhow::Error::new(error).context("what jobs share cannot be packed"),
        }
    })?;
    Ok(Checksum::from_file(file)?.0)
}

/// The files of the project that git tracks, whose times tell build tools that nothing is to be built again.
fn sources(project: &Path) -> Vec<String> {
    let argv = ["git", "ls-files", "-z", "--cached"].map(str::to_owned);
    let listed = exec::read(&argv, project).unwrap_or_default();
    listed.split('\0').filter(|path| !path.is_empty()).map(str::to_owned).collect()
}

/// Puts what the prepared jobs share into the project.
///
/// # Errors
/// The archive is missing, or is not the one that the plan names, or is damaged.
pub(super) fn restore(frozen: &FrozenPlan, file: &Path, project: &Path) -> anyhow::Result<()> {
    let Some(expected) = frozen.prepared.as_ref().and_then(|prepared| prepared.archive) else { return Ok(()) };
    let archive = beside(file, SHARED);
    let (found, _) = Checksum::from_file(&archive).with_context(|| {
        format!("cannot read {}, which belongs to the plan; copy the whole directory of the plan", archive.display())
    })?;
    if found != expected {
        return Err(Failure::not_reproducible(format!("{} is not the archive that the plan names", archive.display())));
    }
    tree::restore(&archive, project).with_context(|| format!("cannot restore {}", archive.display()))
}
