//! How good the schedules are: mean makespan over a lower bound that no schedule can beat, on random instances, beside
//! the usual rules, with known and with noisy predictions; and how long planning takes.
//!
//! `cargo bench -p drydock --bench schedule [-- --strict] [-- planning]`. Everything is simulated with the live run's
//! admission, so the figures are the same on every machine, but for the last one; `planning` leaves out the others.

#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]
#![expect(clippy::expect_used, reason = "a benchmark that cannot be set up has nothing to say")]

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::process::ExitCode;
use std::time::Instant;

use drydock_ci::capacity::{Capacity, Limits};
use drydock_ci::history;
use drydock_ci::plan::Plan;
use drydock_ci::schedule::{Prediction, Schedule, Source, THOROUGH, Task, Workload, bound, order, simulate_run};

#[expect(dead_code, reason = "no peer can be missing here")]
mod support;

use support::{Figures, median};

const INSTANCES: usize = 150;
const SEED: u64 = 1;
const MIB: u64 = 1 << 20;
const MEMORY: u64 = 16 << 30;
/// The standard deviation of a run's times and peaks from those of the last run.
const NOISE: f64 = 0.15;
/// The number of peaks that history remembers.
const REMEMBERED: usize = 10;

/// A kind of instance: its jobs, its slots, and the share of the memory that a job needs, from a number in 0..1.
struct Kind {
    name: &'static str,
    jobs: usize,
    slots: u32,
    share: fn(f64) -> f64,
}

/// Jobs that run by the slots, by both, by the memory, and many small beside few big ones.
const KINDS: [Kind; 4] = [
    Kind { name: "CPU-bound", jobs: 60, slots: 4, share: |x| 0.02 + 0.38 * x },
    Kind { name: "balanced", jobs: 60, slots: 4, share: |x| x * x * x },
    Kind { name: "memory-bound", jobs: 60, slots: 4, share: |x| 0.05 + 0.75 * x },
    Kind { name: "P=16, n=200", jobs: 200, slots: 16, share: |x| 0.5 * x.powi(7) },
];

fn main() -> ExitCode {
    let mut figures = Figures::new("schedule");
    if Figures::is_trial() {
        return ExitCode::SUCCESS;
    }
    if !std::env::args().any(|argument| argument == "planning") {
        schedules(&mut figures);
    }
    let seconds = planning();
    figures.figure(&format!("{seconds:.3} s to plan 10,000 jobs"), "0.2 s", seconds < 0.2);
    figures.finish()
}

/// Prints how long the simulated runs are.
fn schedules(figures: &mut Figures) {
    println!("mean makespan / lower bound, {INSTANCES} instances a kind\n");
    print!("{:<34}", "");
    for kind in &KINDS {
        print!(" {:>13}", kind.name);
    }
    println!(" {:>8}", "all");
    type Rule = fn(&Instance) -> u64;
    let rules: [(&str, Rule); 7] = [
        ("first come, no backfill", |instance| no_backfill(&instance.jobs, instance.limits)),
        ("first come, backfill", |instance| by(instance, |_, _| 0.0)),
        ("longest first, backfill", |instance| by(instance, |task, _| task.duration as f64)),
        ("biggest memory first, backfill", |instance| by(instance, |task, _| task.memory as f64)),
        ("dominant share first, backfill", |instance| by(instance, dominant)),
        ("Drydock, known", known),
        ("Drydock, 15 % noise in times", noisy_times),
    ];
    let mut table = Vec::new();
    for (name, rule) in rules {
        let means: Vec<f64> = KINDS.iter().map(|kind| mean(kind, rule)).collect();
        let all = means.iter().sum::<f64>() / means.len() as f64;
        print!("{name:<34}");
        for mean in &means {
            print!(" {mean:>13.3}");
        }
        println!(" {all:>8.3}");
        table.push((means, all));
    }
    println!();
    let [.., known, noisy] = table.as_slice() else { unreachable!("there are seven rules") };
    figures.figure(&format!("{:.3} x the bound, known", known.1), "1.05 x", known.1 <= 1.05);
    figures.figure(&format!("{:.3} x the bound, known, memory-bound", known.0[2]), "1.08 x", known.0[2] <= 1.08);
    figures.figure(&format!("{:.3} x the bound, 15 % noise in times", noisy.1), "1.12 x", noisy.1 <= 1.12);
    let today = outgrown(REMEMBERED, 1.0);
    let ratio = today.ratio;
    figures.figure(&format!("{ratio:.3} x the bound of the true peaks, 15 % noise in both"), "1.15 x", ratio <= 1.15);
    figures.figure(&format!("{:.2} % of the jobs outgrow the memory", today.killed), "1 %", today.killed <= 1.0);
    figures.figure(&format!("{} jobs are lost", today.lost), "0", today.lost == 0);
    let Outgrown { ratio, killed, lost } = outgrown(REMEMBERED, 1.3);
    println!(
        "schedule: with all peaks 30 % higher than before, {ratio:.3} x the bound; {killed:.2} % of the jobs outgrow the \
         memory, and {lost} are lost"
    );
}

/// Jobs with their true times and peaks.
struct Instance {
    jobs: Workload,
    limits: Limits,
    random: fastrand::Rng,
}

fn instance(kind: &Kind, number: usize) -> Instance {
    let mut random = fastrand::Rng::with_seed(SEED + number as u64);
    let tasks = (0..kind.jobs)
        .map(|_| {
            // Log-normal times around ten seconds, as test suites have them.
            let duration = 10_000.0 * normal(&mut random).exp();
            let share = (kind.share)(random.f64());
            Task::known(duration.clamp(100.0, 600_000.0) as u64, (share * MEMORY as f64) as u64 + MIB)
        })
        .collect();
    Instance { jobs: Workload::independent(tasks), limits: Limits { slots: kind.slots, memory: MEMORY }, random }
}

/// From the standard normal distribution, by Box and Muller.
fn normal(random: &mut fastrand::Rng) -> f64 {
    let (radius, angle) = (1.0 - random.f64(), random.f64());
    (-2.0 * radius.ln()).sqrt() * (std::f64::consts::TAU * angle).cos()
}

fn mean(kind: &Kind, rule: fn(&Instance) -> u64) -> f64 {
    let ratio = |number| {
        let instance = instance(kind, number);
        rule(&instance) as f64 / bound::lower(&instance.jobs, instance.limits).makespan as f64
    };
    (0..INSTANCES).map(ratio).sum::<f64>() / INSTANCES as f64
}

fn dominant(task: &Task, limits: Limits) -> f64 {
    task.duration as f64 * (task.memory as f64 / limits.memory as f64).max(1.0 / f64::from(limits.slots))
}

/// List scheduling by a key, with backfill.
fn by(instance: &Instance, key: fn(&Task, Limits) -> f64) -> u64 {
    let tasks = &instance.jobs.tasks;
    let mut order: Vec<usize> = (0..tasks.len()).collect();
    let key = |job: usize| key(&tasks[job], instance.limits);
    order.sort_by(|left, right| key(*right).total_cmp(&key(*left)));
    instance.jobs.makespan(instance.limits, &order)
}

/// The order of the file; whoever does not fit holds up all behind it.
fn no_backfill(jobs: &Workload, limits: Limits) -> u64 {
    let mut running: BinaryHeap<Reverse<(u64, u64)>> = BinaryHeap::new();
    let (mut now, mut reserved, mut last) = (0, 0, 0);
    for task in &jobs.tasks {
        while running.len() >= limits.slots as usize || reserved + task.memory > limits.memory {
            let Some(Reverse((end, memory))) = running.pop() else { break };
            now = end;
            reserved -= memory;
        }
        reserved += task.memory;
        last = last.max(now + task.duration);
        running.push(Reverse((now + task.duration, task.memory)));
    }
    last
}

fn known(instance: &Instance) -> u64 {
    instance.jobs.makespan(instance.limits, &order(&instance.jobs, instance.limits, SEED, THOROUGH))
}

/// The value with noise, never below a tenth of it.
fn noisy(value: u64, random: &mut fastrand::Rng) -> u64 {
    (value as f64 * (1.0 + NOISE * normal(random)).max(0.1)) as u64
}

/// Planned with the median of ten noisy times, run with the true ones.
fn predicted_times(instance: &Instance, random: &mut fastrand::Rng) -> Workload {
    let mut jobs = instance.jobs.clone();
    for task in &mut jobs.tasks {
        let mut seen: Vec<f64> = (0..REMEMBERED).map(|_| noisy(task.duration, random) as f64).collect();
        task.duration = median(&mut seen) as u64;
    }
    jobs
}

fn noisy_times(instance: &Instance) -> u64 {
    let mut random = instance.random.clone();
    let order = order(&predicted_times(instance, &mut random), instance.limits, SEED, THOROUGH);
    let mut today = instance.jobs.clone();
    for task in &mut today.tasks {
        task.duration = noisy(task.duration, &mut random);
    }
    // The bound is of the times that are true today; the ratio is scaled to the one that `mean` divides by.
    let makespan = today.makespan(instance.limits, &order);
    rescaled(makespan, &today, instance)
}

/// A run whose times and peaks were learned from earlier noisy runs.
struct Learned {
    /// Its makespan, for the ratio to the bound of the peaks that were true.
    makespan: u64,
    /// Attempts that were killed, since all that ran had more than there is.
    killed: usize,
    /// Jobs that never ended.
    lost: usize,
}

/// Planned and admitted with what history has learned of times and peaks in so many runs. Today every peak is `grown`
/// times as high, as with a new compiler.
fn learned(instance: &Instance, runs: usize, grown: f64) -> Learned {
    let mut random = instance.random.clone();
    let mut predicted = predicted_times(instance, &mut random);
    let peaks: Vec<Vec<u64>> = instance
        .jobs
        .tasks
        .iter()
        .map(|task| (0..runs).map(|_| noisy(task.memory, &mut random).min(instance.limits.memory)).collect())
        .collect();
    let mut predictions = Vec::with_capacity(peaks.len());
    for (task, demand) in predicted.tasks.iter_mut().zip(history::expected(&peaks)) {
        let demand = demand.within(instance.limits.memory);
        (task.memory, task.deviation) = (demand.mean, demand.deviation);
        predictions.push(Prediction {
            demand,
            needed: 0,
            source: Source::Learned { runs },
            duration_ms: Some(task.duration),
            // Every job had its peak from its start on.
            peak_past_ms: history::peak_past(&vec![0; runs]),
        });
    }
    let mut today = instance.jobs.clone();
    for task in &mut today.tasks {
        task.duration = noisy(task.duration, &mut random);
        let peak = noisy((task.memory as f64 * grown) as u64, &mut random);
        task.memory = peak.min(instance.limits.memory);
    }
    let Limits { slots, memory } = instance.limits;
    let capacity = Capacity { slots, slots_source: String::new(), memory, memory_source: String::new() };
    let run = simulate_run(Schedule::new(&plan(today.tasks.len()), &capacity, &predictions), &today.tasks);
    Learned {
        makespan: rescaled(run.ends.iter().copied().max().unwrap_or_default(), &today, instance),
        killed: run.kills,
        lost: run.ends.iter().filter(|end| **end == 0).count(),
    }
}

/// So many jobs that need no others, as a plan has them.
fn plan(count: usize) -> Plan {
    let tool = serde_json::json!({
        "kind": "none", "args": [], "suppressions": [], "trace-children": false, "skip-children": [],
        "reduced-args": [], "heap-limit": null
    });
    let job = |number: usize| {
        serde_json::json!({
            "name": format!("all/j{number}"), "group": "all", "argv": ["true"], "directory": ".", "env": {},
            "pass-env": [], "needs": [], "tool": tool, "timeout": 1, "grace": 1, "memory": 0, "memory-declared": false,
            "memory-limit": null, "expect-exit": 0, "attempts": 1, "retry-on": [], "log-limit": 0, "quarantine": null
        })
    };
    let jobs: Vec<serde_json::Value> = (0..count).map(job).collect();
    let plan = serde_json::json!({ "format": 1, "project": "/", "declaration": "/ci/jobs.yaml", "jobs": jobs });
    serde_json::from_value(plan).expect("a plan as Drydock stores it")
}

/// What became of all instances.
struct Outgrown {
    /// The mean makespan over the bound of the true peaks.
    ratio: f64,
    /// Attempts that were killed, in percent of the jobs.
    killed: f64,
    lost: usize,
}

/// The results of [`learned`] over all kinds.
fn outgrown(runs: usize, grown: f64) -> Outgrown {
    let (mut ratio, mut killed, mut lost, mut jobs) = (0.0, 0, 0, 0);
    for kind in &KINDS {
        for number in 0..INSTANCES {
            let instance = instance(kind, number);
            let result = learned(&instance, runs, grown);
            ratio += result.makespan as f64 / bound::lower(&instance.jobs, instance.limits).makespan as f64;
            (killed, lost, jobs) = (killed + result.killed, lost + result.lost, jobs + kind.jobs);
        }
    }
    let runs = (KINDS.len() * INSTANCES) as f64;
    Outgrown { ratio: ratio / runs, killed: killed as f64 * 100.0 / jobs as f64, lost }
}

fn rescaled(makespan: u64, today: &Workload, instance: &Instance) -> u64 {
    let bound = |jobs: &Workload| bound::lower(jobs, instance.limits).makespan as f64;
    (makespan as f64 * bound(&instance.jobs) / bound(today)) as u64
}

/// Seconds to plan 10,000 jobs of each kind, a tenth of which need another group; the slowest kind's median of five.
fn planning() -> f64 {
    let mut slowest = 0.0_f64;
    for kind in &KINDS {
        let Instance { mut jobs, limits, .. } = instance(&Kind { jobs: 10_000, ..*kind }, 0);
        jobs.needs = vec![Vec::new(), vec![0]];
        for (job, group) in jobs.group.iter_mut().enumerate() {
            *group = usize::from(job % 10 == 0);
        }
        let mut seconds: Vec<f64> = (0..5)
            .map(|_| {
                let began = Instant::now();
                let planned = order(&jobs, limits, SEED, THOROUGH);
                assert_eq!(planned.len(), jobs.tasks.len());
                began.elapsed().as_secs_f64()
            })
            .collect();
        slowest = slowest.max(median(&mut seconds));
    }
    slowest
}
