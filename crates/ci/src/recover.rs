//! Recovery after a run that was itself killed: its leftover processes are ended and its open attempts are judged.

use std::path::{Component, Path};

use rustix::process::Signal;

use super::containment::{self, MARKER, signal_process};
use super::event::{AttemptRecord, Event, JobResult, Measured, Stamped};
use super::evidence::{End, Evidence, KillIntent, SupervisorLoss};
use super::mark::Mark;
use super::probe::process;
use super::run::{InFlight, Run};
use drydock_base::units::JobName;

/// Ends every process that the run of that identifier started and that still runs. Returns their command lines, for the
/// report. What the journal says is followed only to groups named after the run and to processes that carry its marker.
pub fn end_leftovers(run: &Run, id: &str) -> Vec<String> {
    let mut killed = Vec::new();
    let Some(started) = &run.started else { return killed };
    if let Some(root) = started.group.as_deref().filter(|root| is_ours(root, id)) {
        killed.extend(containment::clean_up(root));
    }
    let all = process::all().unwrap_or_default();
    let prefix = format!("{id}/");
    let me = std::process::id();
    let marked = all.iter().filter(|stat| stat.pid > 1 && stat.pid != me && stat.lives()).filter(|stat| {
        Mark::read(stat.pid).is_some_and(|mark| mark.is_of(id))
            || process::environment_variable(stat.pid, MARKER).is_some_and(|marker| marker.starts_with(&prefix))
    });
    let mut doomed: Vec<u32> = marked.flat_map(|stat| process::tree(&all, stat.pid)).collect();
    doomed.sort_unstable();
    doomed.dedup();
    for pid in doomed.into_iter().filter(|pid| *pid > 1 && *pid != me) {
        killed.push(format!("{pid} {}", process::command_line(pid)));
        signal_process(pid, Signal::KILL);
    }
    killed
}

/// `true` if it is a cgroup that Drydock made for that run.
fn is_ours(root: &Path, id: &str) -> bool {
    let plain = root.components().skip(1).all(|part| matches!(part, Component::Normal(_)));
    let named = root.file_name().is_some_and(|name| name.to_str() == Some(&format!("drydock-{id}")));
    plain && named && root.starts_with("/sys/fs/cgroup") && root.join("cgroup.procs").is_file()
}

/// What became of the Drydock that ran it, if that run has no end.
pub fn loss(run: &Run) -> Option<SupervisorLoss> {
    let open = run.result.is_none() && run.interrupted.is_none();
    let since = run.began.unwrap_or(run.last) / 1000;
    run.surroundings.as_ref().filter(|_| open).map(|surroundings| surroundings.loss(since))
}

/// Ends a run that was recorded on another machine, which went away: what was running there is lost, and no command about runs
/// looks for its processes on this machine. `is_closed` says that the machine itself has closed the run, so that only Drydock was
/// killed there.
pub fn end_elsewhere(run: &mut Run, is_closed: bool) {
    if let Some(started) = &mut run.started {
        started.group = None;
    }
    let at = run.last;
    let open: Vec<(JobName, AttemptRecord)> = run
        .plan
        .jobs
        .iter()
        .zip(&run.jobs)
        .filter_map(|(planned, job)| {
            let machine = Some(SupervisorLoss::Machine { heard: at }).filter(|_| !is_closed);
            let record = lost(job.in_flight.as_deref()?, planned.expect_exit, at, machine);
            Some((planned.name.clone(), record))
        })
        .collect();
    for (job, record) in open {
        run.apply(&Stamped { at, event: Event::AttemptEnded { job: job.clone(), record: Box::new(record) } });
        run.apply(&Stamped { at, event: Event::JobSettled { job, result: JobResult::Infrastructure } });
    }
    let result = run.verdict(false);
    run.apply(&Stamped { at, event: Event::RunEnded { result } });
}

/// The record of an attempt whose end nobody saw.
pub fn lost(flight: &InFlight, expect_exit: i32, last_seen: i64, supervisor: Option<SupervisorLoss>) -> AttemptRecord {
    let evidence = Evidence {
        supervisor,
        expect_exit,
        // A kill that was journalled was sent, whether or not its effect was seen.
        intent: flight.intent.map(|reason| KillIntent { reason, at: last_seen, escalated: false }),
        last_samples: flight.samples.iter().map(|(_, bytes)| *bytes).collect(),
        ..Evidence::new(End::NoRecord)
    };
    let measured = Measured {
        started: flight.began,
        ended: last_seen.max(flight.began),
        peak: flight.samples.iter().map(|(_, bytes)| *bytes).max(),
        ..Measured::default()
    };
    AttemptRecord::new(flight.start.attempt, flight.start.conditions.clone(), evidence, measured)
}
