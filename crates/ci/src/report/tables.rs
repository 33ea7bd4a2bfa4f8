//! The tables at the end of a summary: the slowest and the biggest jobs, and those that allocated most.

use std::fmt::Write as _;
use std::time::Duration;

use super::summary::WORTH_A_TABLE;
use crate::run::{JobState, Run};
use drydock_base::units::{self, ByteSize};

/// The number of jobs that the tables list.
pub(super) const MOST_ROWS: usize = 5;
/// The number of allocation sites shown of a job.
const MOST_SITES: usize = 3;

/// The slowest jobs, and the biggest ones where these may be others.
pub(super) fn write_tables(text: &mut String, run: &Run) -> std::fmt::Result {
    let ended = || {
        run.plan
            .jobs
            .iter()
            .zip(&run.jobs)
            .filter(|(_, job)| job.carried_from.is_none())
            .flat_map(|(planned, job)| job.attempts.iter().map(move |attempt| (planned.name.as_str(), attempt)))
    };
    let mut slowest: Vec<_> = ended().collect();
    slowest.sort_by_key(|(_, attempt)| std::cmp::Reverse(attempt.duration_ms()));
    if slowest.len() < 2 || slowest[0].1.duration_ms() < WORTH_A_TABLE {
        return Ok(());
    }
    let mut biggest: Vec<_> = ended().filter(|(_, attempt)| attempt.peak.is_some()).collect();
    biggest.sort_by_key(|(_, attempt)| std::cmp::Reverse(attempt.peak));
    writeln!(text)?;
    // Of few jobs, both would be the same.
    if biggest.len() <= MOST_ROWS {
        biggest.clear();
    }
    for (title, rows) in [("slowest", slowest), ("biggest", biggest)].into_iter().filter(|(_, rows)| !rows.is_empty()) {
        writeln!(text, "{title}")?;
        for (name, attempt) in rows.into_iter().take(MOST_ROWS) {
            let memory = attempt.peak.map_or_else(|| "-".into(), |peak| ByteSize::new(peak).to_string());
            let time = units::human(Duration::from_millis(attempt.duration_ms()));
            let cpu = attempt.cpu_ms.map_or_else(|| "-".into(), |ms| units::human(Duration::from_millis(ms)));
            writeln!(text, "  {time:>8} {cpu:>8} CPU {memory:>9}  {name}")?;
        }
    }
    Ok(())
}

/// The jobs under dhat that allocated most.
pub(super) fn write_allocations(text: &mut String, run: &Run) -> std::fmt::Result {
    let profile = |job: &JobState| job.attempts.last().and_then(|last| last.evidence.allocations.clone());
    let jobs = run.plan.jobs.iter().zip(&run.jobs);
    let mut profiled: Vec<_> = jobs.filter_map(|(planned, job)| Some((planned.name.as_str(), profile(job)?))).collect();
    profiled.sort_by_key(|(_, profile)| std::cmp::Reverse(profile.largest.total.bytes));
    if !profiled.is_empty() {
        writeln!(text, "\nallocations")?;
    }
    for (name, profile) in profiled.iter().take(MOST_ROWS) {
        writeln!(text, "  {name}: {}", profile.largest.line())?;
        for site in profile.largest.sites.iter().take(MOST_SITES) {
            writeln!(text, "    {}", site.line())?;
        }
    }
    Ok(())
}
