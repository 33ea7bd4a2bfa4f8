//! A simulated run whose jobs turn out other than expected: what the live run does, on a clock of its own.

use super::{Demand, Progress, Schedule, Start, Task};
use crate::event::JobResult;

/// What became of a simulated run in which jobs were killed for lack of memory and run again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SimulatedRun {
    /// The end of each job in milliseconds; 0 if it never ended.
    pub ends: Vec<u64>,
    /// The number of kills.
    pub kills: usize,
}

/// A job that runs.
struct Running {
    start: Start,
    /// Milliseconds at which it began, and will end.
    began: u64,
    end: u64,
    /// `true` if it was seen that its peak is past.
    is_seen: bool,
}

/// Runs the jobs of a schedule, whose times and peaks turn out as in `truth`. A job has its peak from its start on, and
/// it is seen as soon as the predictions say that it is past. When all that runs outgrows the memory, the largest job is
/// killed, as the kernel does, and is run again: with as much as it had or was promised, and then exclusively.
pub fn simulate_run(mut schedule: Schedule, truth: &[Task]) -> SimulatedRun {
    let memory = schedule.limits().memory;
    let peak = |job: usize| truth[job].memory.min(memory);
    let mut running: Vec<Running> = Vec::new();
    let (mut now, mut kills) = (0, 0);
    let (mut ends, mut killed) = (vec![0; truth.len()], vec![0_u32; truth.len()]);
    loop {
        while let Some(start) = schedule.start_next(&mut |_, _| true) {
            running.push(Running { start, began: now, end: now + truth[start.job].duration, is_seen: false });
            while running.iter().map(|running| peak(running.start.job)).sum::<u64>() > memory {
                let largest = (0..running.len()).max_by_key(|at| peak(running[*at].start.job));
                let Some(largest) = largest else { break };
                let Start { job, demand, .. } = running.swap_remove(largest).start;
                kills += 1;
                killed[job] += 1;
                let exclusive = killed[job] > 1;
                let needed = if exclusive { memory } else { peak(job).max(demand.reservation()) };
                schedule.requeue(Start { job, demand: Demand::fixed(needed), exclusive });
            }
        }
        // The next end, or the next moment at which more is known of a job.
        let sight = |running: &Running| schedule.peak_past_ms(running.start.job).map(|past| running.began + past);
        let event = |running: &Running| {
            sight(running).filter(|_| !running.is_seen).map_or(running.end, |at| at.min(running.end))
        };
        let Some(next) = (0..running.len()).min_by_key(|at| (event(&running[*at]), running[*at].start.job)) else {
            break;
        };
        now = event(&running[next]);
        running[next].is_seen = true;
        for running in &running {
            let used = if running.is_seen { peak(running.start.job) } else { 0 };
            schedule.observe(running.start.job, Progress { elapsed_ms: now - running.began, used });
        }
        if running[next].end <= now {
            let job = running.swap_remove(next).start.job;
            ends[job] = now;
            schedule.settle(job, &JobResult::Passed, "");
        }
    }
    SimulatedRun { ends, kills }
}
