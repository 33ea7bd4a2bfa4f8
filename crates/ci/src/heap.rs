//! The profiles of the heap that a tool left in an attempt's directory, as evidence.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use drydock_base::units::ByteSize;
use drydock_valgrind::around::only_launches;
use drydock_valgrind::dhat;
use drydock_valgrind::massif::{
    Fault, Incomparable, KEPT_POINTS, KEPT_SITES, Processes, Profile, Site, Wrappers, diff, processes, summary,
};
use drydock_valgrind::tool::Output;

use crate::evidence::{Evidence, HeapBaseline, HeapEvidence, Reading};
use crate::plan::{PlannedBaseline, PlannedJob, PlannedTool};

/// Reads the files of a profiler; the evidence stays as it is where there are none.
///
/// # Errors
/// The directory or all of its files cannot be read.
pub fn gather(evidence: &mut Evidence, directory: &Path, tool: &PlannedTool, project: &Path) -> io::Result<()> {
    if !tool.by_suite {
        evidence.unmeasured = unmeasured(directory, tool.kind.name())?;
    }
    let wrappers = Wrappers::new(tool.wrappers.iter().map(String::as_str));
    match tool.kind.output() {
        Output::HeapOverTime => evidence.heap = over_time(directory, tool, &wrappers, project)?.map(Box::new),
        Output::Allocations => evidence.allocations = dhat::gather(directory, &wrappers)?.map(Box::new),
        Output::Nothing | Output::Errors => {}
    }
    Ok(())
}

/// The program that a job only runs others with, if its profiler does not measure these.
pub fn measured_launcher(job: &PlannedJob, project: &Path) -> Option<String> {
    let first = job.argv.first().filter(|_| !job.tool.trace_children && !job.tool.by_suite)?;
    // What PATH names is known by its name.
    let path = if first.contains('/') { project.join(&job.directory).join(first) } else { PathBuf::from(first) };
    only_launches(&path)
}

/// The number of processes that left no file, though valgrind began a log for them: they became programs that it does not
/// trace, or were killed.
fn unmeasured(directory: &Path, tool: &str) -> io::Result<u64> {
    let mut count = 0;
    for entry in fs::read_dir(directory)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let file =
            name.strip_suffix(".log").filter(|file| file.strip_prefix(tool).is_some_and(|rest| rest.starts_with('.')));
        count += u64::from(file.is_some_and(|file| !directory.join(file).exists()));
    }
    Ok(count)
}

fn over_time(
    directory: &Path,
    tool: &PlannedTool,
    wrappers: &Wrappers,
    project: &Path,
) -> io::Result<Option<HeapEvidence>> {
    let Some(Processes { profile, incomplete, .. }) = processes(directory)? else { return Ok(None) };
    let summary = summary(&profile, wrappers, KEPT_POINTS, KEPT_SITES);
    let baseline = match &tool.heap_baseline {
        None => Reading::Absent,
        Some(declared) => Reading::from_result(compare(declared, &profile, wrappers, project)),
    };
    Ok(Some(HeapEvidence {
        peak: ByteSize::new(profile.peak().measured()),
        limit: tool.heap_limit,
        largest_site: summary.sites.first().map(Site::line),
        baseline,
        incomplete,
        profile: Some(summary),
    }))
}

/// The reason why a profile was not compared to its baseline.
#[derive(Debug, thiserror::Error)]
enum CompareError {
    #[error("{}: {source}", .file.display())]
    Unreadable { file: PathBuf, source: Fault },
    #[error("{}: {source}", .file.display())]
    Incomparable { file: PathBuf, source: Incomparable },
}

fn compare(
    declared: &PlannedBaseline,
    measured: &Profile,
    wrappers: &Wrappers,
    project: &Path,
) -> Result<HeapBaseline, CompareError> {
    let file = || declared.file.clone();
    let old = Profile::open(&project.join(&declared.file))
        .map_err(|source| CompareError::Unreadable { file: file(), source })?;
    let diff = diff(&old, measured, wrappers).map_err(|source| CompareError::Incomparable { file: file(), source })?;
    let grown = diff.grown_most().map(|change| {
        let more = ByteSize::new(change.new.saturating_sub(change.old));
        let place = change.brief.first().map_or("", String::as_str);
        format!("{place}: {more} more ({} → {})", ByteSize::new(change.old), ByteSize::new(change.new))
    });
    Ok(HeapBaseline {
        file: declared.file.display().to_string(),
        peak: ByteSize::new(diff.old),
        tolerance: declared.tolerance,
        allowed: declared.tolerance.above(ByteSize::new(diff.old)),
        grown,
    })
}
