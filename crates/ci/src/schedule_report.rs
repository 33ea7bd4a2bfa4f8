//! Schedule efficiency: the length of a run beside a lower bound, the resource that limited it, and the
//! effect of more slots or memory. A pure function of the run.

use schemars::JsonSchema;
use serde::Serialize;

use super::capacity::Limits;
use super::event::AttemptRecord;
use super::plan::PlannedJob;
use super::run::Run;
use super::schedule::bound::{self, Binding, Bound};
use super::schedule::contention;
use super::schedule::{Demand, QUICK, SEED, Task, Workload, order};

/// Factors of the memory that are tried.
const MORE_MEMORY: [u64; 4] = [125, 150, 200, 400];
/// The number of jobs of a chain that are named.
const MOST_NAMED: usize = 8;

/// The efficiency of a schedule.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct ScheduleReport {
    /// Milliseconds from the start of the first attempt to the end of the last.
    pub makespan: u64,
    /// Milliseconds that no schedule of these jobs within these slots and this memory can stay below, by the times and
    /// peaks that were measured.
    pub lower_bound: u64,
    /// `makespan` over `lower-bound`, at least 1.
    pub ratio: f64,
    /// The origin of the lower bound: `slots`, `cores`, `memory`, `longest-job` or `critical-path`.
    pub binding: Binding,
    /// For `longest-job` and `critical-path`, the jobs.
    pub jobs: Vec<String>,
    /// Milliseconds that one more slot would save, by simulation.
    pub one_more_slot: u64,
    /// The effect of more memory, by simulation; absent if it would save no time.
    pub more_memory: Option<MoreMemory>,
    /// Milliseconds spent in attempts that were repeated.
    pub repeated: u64,
    /// Milliseconds in which jobs that could start were held back by the live guard.
    pub held: u64,
}

/// The effect of more memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct MoreMemory {
    /// Bytes in all; more than that helps little.
    pub memory: u64,
    /// Milliseconds that it would save.
    pub saves: u64,
}

/// The efficiency of the part of a run that its last process ran. `None` if fewer than two jobs ran.
pub fn assess(run: &Run) -> Option<ScheduleReport> {
    // The machines of a merged run did not share their slots and their memory.
    let started = run.started.as_ref().filter(|_| run.shards.is_empty())?;
    let (limits, cores) = (started.capacity.limits(), started.cores);
    let mut ran: Vec<&PlannedJob> = Vec::new();
    let mut last: Vec<&AttemptRecord> = Vec::new();
    let (mut first_start, mut last_end, mut repeated) = (i64::MAX, i64::MIN, 0);
    for (planned, job) in run.plan.jobs.iter().zip(&run.jobs) {
        let here = || job.attempts.iter().filter(|attempt| attempt.started >= run.session_began);
        let Some(record) = here().next_back().filter(|_| job.carried_from.is_none()) else { continue };
        for attempt in here() {
            first_start = first_start.min(attempt.started);
            last_end = last_end.max(attempt.ended);
            repeated += attempt.duration_ms();
        }
        repeated -= record.duration_ms();
        ran.push(planned);
        last.push(record);
    }
    if last.len() < 2 {
        return None;
    }
    let measured = |demand: fn(&AttemptRecord) -> Demand| {
        let task = |record: &&AttemptRecord| {
            let demand = demand(record).within(limits.memory);
            let duration = cores.map_or(record.duration_ms(), |cores| {
                contention::uncontended(record.duration_ms(), record.cpu_ms, cores, limits.slots)
            });
            Task { duration, memory: demand.mean, deviation: demand.deviation }
        };
        Workload::new(&ran, last.iter().map(task).collect())
    };
    let jobs = measured(|record| Demand::fixed(record.peak.unwrap_or(0)));
    let cpu_ms: u64 = last.iter().filter_map(|record| record.cpu_ms).sum();
    let cores_bound = cores.map_or(0, |cores| cpu_ms.div_ceil(u64::from(cores.max(1))));
    let mut bound = bound::lower(&jobs, limits);
    if cores_bound > bound.makespan {
        bound = Bound { makespan: cores_bound, binding: Binding::Cores };
    }
    let makespan = u64::try_from(last_end.saturating_sub(first_start)).unwrap_or_default();
    // Whole milliseconds are rounded, so a perfect schedule can seem to be shorter than possible.
    let lower_bound = bound.makespan.clamp(1, makespan.max(1));
    // The next run expects the same peaks, as certain as this one was of them.
    let expected = measured(|record| {
        let conditions = &record.conditions;
        record.peak.map_or(conditions.demand(), |mean| Demand { mean, deviation: conditions.deviation })
    });
    // However many slots and however much memory there is, the processors have this much to do.
    let simulated = |limits| expected.makespan(limits, &order(&expected, limits, SEED, QUICK)).max(cores_bound);
    let base = simulated(limits);
    let saved = |limits| base.saturating_sub(simulated(limits));
    let held = run.earlier_pauses.iter().map(|(from, to, _)| u64::try_from(to - from).unwrap_or_default()).sum();
    Some(ScheduleReport {
        makespan,
        lower_bound,
        ratio: ratio(makespan, lower_bound),
        binding: bound.binding,
        jobs: named(&ran, &jobs, bound.binding),
        one_more_slot: saved(Limits { slots: limits.slots.saturating_add(1), ..limits }),
        more_memory: more_memory(limits, saved),
        repeated,
        held,
    })
}

#[expect(clippy::cast_precision_loss, reason = "a ratio of milliseconds")]
fn ratio(makespan: u64, bound: u64) -> f64 {
    (makespan as f64 / bound as f64).max(1.0)
}

/// The least of the tried amounts with nearly the effect of four times the memory.
fn more_memory(limits: Limits, saved: impl Fn(Limits) -> u64) -> Option<MoreMemory> {
    let tried: Vec<MoreMemory> = MORE_MEMORY
        .iter()
        .map(|percent| {
            let memory = limits.memory.saturating_mul(*percent) / 100;
            MoreMemory { memory, saves: saved(Limits { memory, ..limits }) }
        })
        .collect();
    let most = tried.iter().map(|more| more.saves).max().filter(|most| *most > 0)?;
    tried.into_iter().find(|more| more.saves.saturating_mul(10) >= most.saturating_mul(9))
}

/// The jobs that a bound comes from, where it comes from a few.
fn named(ran: &[&PlannedJob], jobs: &Workload, binding: Binding) -> Vec<String> {
    let longest = |candidates: &mut dyn Iterator<Item = usize>, key: &dyn Fn(usize) -> u64| {
        candidates.max_by_key(|job| (key(*job), std::cmp::Reverse(*job)))
    };
    match binding {
        Binding::Slots | Binding::Cores | Binding::Memory => Vec::new(),
        Binding::LongestJob => {
            let job = longest(&mut (0..ran.len()), &|job| jobs.tasks[job].duration);
            job.map(|job| ran[job].name.to_string()).into_iter().collect()
        }
        Binding::CriticalPath => {
            let tails = jobs.tails();
            let mut chain = Vec::new();
            let mut next = longest(&mut (0..ran.len()), &|job| tails[job]);
            while let Some(job) = next.filter(|_| chain.len() < MOST_NAMED) {
                chain.push(ran[job].name.to_string());
                let group = &ran[job].group;
                let mut after = (0..ran.len()).filter(|other| ran[*other].needs.contains(group));
                next = longest(&mut after, &|job| tails[job]);
            }
            chain
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capacity::Capacity;
    use crate::conditions::Conditions;
    use crate::event::Measured;
    use crate::event::{Event, RunStarted, Stamped};
    use crate::evidence::{End, Evidence};
    use crate::plan::{FORMAT, Plan};

    const MIB: u64 = 1 << 20;

    /// A run of jobs that need each other in a chain or not, each with its start, end and peak in MiB.
    fn run(chain: bool, slots: u32, memory: u64, jobs: &[(i64, i64, u64)]) -> Run {
        let names: Vec<String> = (0..jobs.len()).map(|number| format!("j{number}")).collect();
        let planned = |number: usize| {
            let needs: Vec<&str> =
                number.checked_sub(1).filter(|_| chain).map(|before| names[before].as_str()).into_iter().collect();
            PlannedJob::plain(&names[number], &names[number], &needs)
        };
        let plan = Plan {
            partial: false,
            lists: std::collections::BTreeMap::new(),
            format: FORMAT,
            project: "/p".into(),
            declaration: "/p/ci/jobs.yaml".into(),
            jobs: (0..jobs.len()).map(planned).collect(),
        };
        let capacity =
            Capacity { slots, slots_source: String::new(), memory: memory * MIB, memory_source: String::new() };
        let started = RunStarted {
            id: "r".into(),
            version: String::new(),
            containment: "none".into(),
            group: None,
            capacity,
            resumed: false,
            reruns: None,
            valgrind: None,
            revision: None,
            cores: None,
            shard: None,
        };
        let mut run = Run::new(plan.clone());
        run.apply(&Stamped { at: 0, event: Event::RunStarted(started) });
        for (job, (started, ended, peak)) in plan.jobs.iter().zip(jobs) {
            let measured = Measured { started: *started, ended: *ended, peak: Some(peak * MIB), ..Measured::default() };
            let evidence = Evidence::new(End::Exited { code: 0 });
            let record = AttemptRecord::new(1, Conditions::default(), evidence, measured);
            run.apply(&Stamped {
                at: *ended,
                event: Event::AttemptEnded { job: job.name.clone(), record: Box::new(record) },
            });
        }
        run
    }

    #[test]
    fn a_run_that_memory_held_up_says_how_much_would_help() {
        // Four jobs of 60 of 100 MiB, one after the other, on two slots.
        let jobs = [(0, 1000, 60), (1000, 2000, 60), (2000, 3000, 60), (3000, 4000, 60)];
        let schedule = assess(&run(false, 2, 100, &jobs)).unwrap();
        assert_eq!((schedule.lower_bound, schedule.binding, schedule.ratio), (4000, Binding::Memory, 1.0));
        assert_eq!(schedule.one_more_slot, 0);
        assert_eq!(schedule.more_memory, Some(MoreMemory { memory: 125 * MIB, saves: 2000 }));
    }

    #[test]
    fn a_run_that_slots_held_up_gains_by_one() {
        let jobs = [(0, 1000, 1), (0, 1000, 1), (1000, 2000, 1), (1000, 2500, 1), (2000, 3500, 1)];
        let schedule = assess(&run(false, 2, 100, &jobs)).unwrap();
        assert_eq!((schedule.lower_bound, schedule.binding), (3000, Binding::Slots));
        assert!((schedule.ratio - 3500.0 / 3000.0).abs() < 1e-9);
        assert_eq!((schedule.one_more_slot, schedule.more_memory), (500, None));
    }

    /// The run on two processors, with the CPU time of each job in milliseconds.
    fn on_two_cores(mut run: Run, cpu_ms: u64) -> ScheduleReport {
        run.started.as_mut().unwrap().cores = Some(2);
        for record in run.jobs.iter_mut().flat_map(|job| &mut job.attempts) {
            record.cpu_ms = Some(cpu_ms);
        }
        assess(&run).unwrap()
    }

    #[test]
    fn more_slots_than_cores_save_nothing_if_jobs_compute() {
        let jobs = [(0, 2000, 1), (0, 2000, 1), (0, 2000, 1), (0, 2000, 1), (2000, 4000, 1), (2000, 4000, 1)];
        let jobs = [jobs.as_slice(), &[(2000, 4000, 1), (2000, 4000, 1)]].concat();
        let computing = on_two_cores(run(false, 4, 100, &jobs), 1000);
        assert_eq!((computing.lower_bound, computing.binding, computing.one_more_slot), (4000, Binding::Cores, 0));
        let asleep = on_two_cores(run(false, 4, 100, &jobs), 1);
        assert_eq!(asleep.binding, Binding::Slots);
        assert!(asleep.lower_bound > 3990 && computing.ratio < 1.01);
        let longer = on_two_cores(run(false, 3, 100, &jobs[..4]), 1);
        assert!(longer.one_more_slot > 1900, "{longer:?}");
    }

    #[test]
    fn a_chain_names_its_jobs() {
        let schedule = assess(&run(true, 2, 100, &[(0, 500, 1), (500, 600, 1), (700, 900, 1)])).unwrap();
        assert_eq!((schedule.lower_bound, schedule.binding), (800, Binding::CriticalPath));
        assert_eq!(schedule.jobs, ["j0", "j1", "j2"]);
        assert_eq!((schedule.one_more_slot, schedule.makespan), (0, 900));
    }

    #[test]
    fn one_job_has_no_schedule() {
        assert_eq!(assess(&run(false, 2, 100, &[(0, 500, 1)])), None);
    }
}
