//! What massif measured in an attempt, beside what is declared.

use std::io;
use std::path::Path;

use drydock_base::units::ByteSize;
use drydock_valgrind::massif::{KEPT_POINTS, KEPT_SITES, Processes, Profile, Site, Wrappers, diff, processes, summary};

use crate::evidence::{HeapBaseline, HeapEvidence, Reading};
use crate::plan::{PlannedBaseline, PlannedTool};

/// What massif measured in an attempt, beside what is declared.
///
/// # Errors
/// As [`processes`].
pub fn gather(directory: &Path, tool: &PlannedTool, project: &Path) -> io::Result<Option<HeapEvidence>> {
    let Some(Processes { profile, incomplete, .. }) = processes(directory)? else { return Ok(None) };
    let wrappers = Wrappers::new(tool.wrappers.iter().map(String::as_str));
    let summary = summary(&profile, &wrappers, KEPT_POINTS, KEPT_SITES);
    let baseline = match &tool.heap_baseline {
        None => Reading::Absent,
        Some(declared) => Reading::from_result(compare(declared, &profile, &wrappers, project)),
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

fn compare(
    declared: &PlannedBaseline,
    measured: &Profile,
    wrappers: &Wrappers,
    project: &Path,
) -> Result<HeapBaseline, String> {
    let file = declared.file.display();
    let old = Profile::open(&project.join(&declared.file)).map_err(|fault| format!("{file}: {fault}"))?;
    let diff = diff(&old, measured, wrappers).map_err(|why| format!("{file}: {why}"))?;
    let grown = diff.grown_most().map(|change| {
        let more = ByteSize::new(change.new.saturating_sub(change.old));
        let place = change.brief.first().map_or("", String::as_str);
        format!("{place}: {more} more ({} → {})", ByteSize::new(change.old), ByteSize::new(change.new))
    });
    Ok(HeapBaseline {
        file: file.to_string(),
        peak: ByteSize::new(diff.old),
        tolerance: declared.tolerance,
        allowed: declared.tolerance.above(ByteSize::new(diff.old)),
        grown,
    })
}
