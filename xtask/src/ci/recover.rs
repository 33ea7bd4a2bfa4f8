//! After a run that was itself killed: what it left running is ended, and its open attempts are judged.

use std::path::{Path, PathBuf};

use rustix::process::Signal;

use super::containment::{self, MARKER, signal_process};
use super::event::AttemptRecord;
use super::evidence::{End, Evidence};
use super::outcome;
use super::probe::process;
use super::run::{InFlight, Run};

/// Ends every process that the run started and that still runs. Returns their command lines, for the report.
pub fn end_leftovers(run: &Run) -> Vec<String> {
    let mut killed = Vec::new();
    let Some(started) = &run.started else { return killed };
    if let Some(root) = started.group.as_deref().filter(|root| is_ours(root, &started.id)) {
        killed.extend(containment::clean_up(root).unwrap_or_default());
    }
    // Without groups: what carries the run's marker, and the recorded main processes with all that descends from them.
    let all = process::all().unwrap_or_default();
    let prefix = format!("{}/", started.id);
    let mut doomed: Vec<u32> = run
        .jobs
        .iter()
        .filter_map(|job| job.in_flight.as_ref()?.process)
        .filter(|(pid, ticks)| all.iter().any(|stat| stat.pid == *pid && stat.ticks == *ticks && stat.lives()))
        .flat_map(|(pid, _)| process::tree(&all, pid))
        .collect();
    let me = std::process::id();
    doomed.extend(
        all.iter()
            .filter(|stat| stat.pid != me && stat.lives())
            .filter(|stat| {
                process::environment_variable(stat.pid, MARKER).is_some_and(|marker| marker.starts_with(&prefix))
            })
            .map(|stat| stat.pid),
    );
    doomed.sort_unstable();
    doomed.dedup();
    for pid in doomed.into_iter().filter(|pid| *pid != me) {
        killed.push(format!("{pid} {}", process::command_line(pid)));
        signal_process(pid, Signal::KILL);
    }
    killed
}

/// A path from a journal is followed only when it is a group that Drydock made for that run.
fn is_ours(root: &Path, id: &str) -> bool {
    root.starts_with("/sys/fs/cgroup") && root.file_name() == PathBuf::from(format!("drydock-{id}")).file_name()
}

/// The record of an attempt whose end nobody saw.
pub fn lost(flight: &InFlight, expect_exit: i32, last_seen: i64) -> AttemptRecord {
    let evidence = Evidence {
        expect_exit,
        last_samples: flight.samples.iter().map(|(_, bytes)| *bytes).collect(),
        ..Evidence::of(End::NoRecord)
    };
    AttemptRecord {
        number: flight.start.attempt,
        verdict: outcome::judge(&evidence),
        evidence,
        started: flight.began,
        ended: last_seen.max(flight.began),
        peak: flight.samples.iter().map(|(_, bytes)| *bytes).max(),
        reservation: flight.start.reservation,
        alone: flight.start.alone,
        again: flight.start.again.clone(),
    }
}
