//! How well a plan for several machines is balanced: the slowest shard over a lower bound that no distribution can beat,
//! on random histories with memory, beside the usual ways to split a suite, with the cost of each; and how long the runs
//! of all shards take to merge.
//!
//! `cargo bench -p drydock --bench shards [-- --strict]`. All shards are simulated with the live run's admission, so the
//! figures are the same on every machine, but for the last ones.

#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]
#![expect(clippy::expect_used, reason = "a benchmark that cannot be set up has nothing to say")]

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;

use drydock_ci::history::{History, Line};
use drydock_ci::outcome::OutcomeKind;
use drydock_ci::plan::Plan;
use drydock_ci::shard::{self, Balance, Expected, THOROUGH, Unit};
use drydock_config::jobs::{Listed, Lister, Runner, Suite, usual_runner};
use drydock_valgrind::tool::Tool;

#[path = "support/merging.rs"]
mod merging;
#[expect(dead_code, reason = "no peer can be missing here")]
mod support;

use support::Figures;

const HISTORIES: u64 = 20;
/// The standard deviation of a run's times and peaks from those of other runs of the job.
const NOISE: f64 = 0.05;
const GIB: f64 = (1_u64 << 30) as f64;

fn main() -> ExitCode {
    let mut figures = Figures::new("shards");
    if Figures::is_trial() {
        return ExitCode::SUCCESS;
    }
    type Rule = fn(&Problem) -> Vec<Vec<usize>>;
    let rules: [(&str, Rule); 5] = [
        ("round-robin", round_robin),
        ("hash of the name", hashed),
        ("timing, in order (pytest-split)", chunks),
        ("timing, longest first (Buildkite, pytest-split)", least_duration),
        ("Drydock", |problem| shard::balance(problem.balance(), problem.machines, THOROUGH).machines),
    ];
    println!("{HISTORIES} random histories, slowest shard over the bound, and cost in started minutes\n");
    println!("{:<50} {:>8} {:>8} {:>8}", "", "mean", "worst", "minutes");
    let problems: Vec<Problem> = (0..HISTORIES).map(Problem::random).collect();
    let mut last = 0.0;
    for (name, rule) in rules {
        let (mut sum, mut worst, mut minutes) = (0.0, 0.0_f64, 0);
        for problem in &problems {
            let found = shard::evaluate(problem.balance(), rule(problem));
            let ratio = found.slowest() as f64 / found.bound as f64;
            sum += ratio;
            worst = worst.max(ratio);
            minutes += found.ends.iter().map(|end| end.div_ceil(60_000)).sum::<u64>();
        }
        last = sum / problems.len() as f64;
        println!("{name:<50} {last:>8.3} {worst:>8.3} {minutes:>8}");
    }
    println!();
    figures.figure(&format!("{last:.3} x the bound in the mean"), "1.05 x", last <= 1.05);
    merging::measure(&mut figures);
    figures.finish()
}

/// A suite with its history, and machines to distribute it over.
struct Problem {
    plan: Plan,
    expected: Vec<Expected>,
    units: Vec<Unit>,
    class: Runner,
    machines: usize,
}

impl Problem {
    /// A build that all tests need, and 300 to 1200 tests with log-normal times: the memory of one in three suites is the
    /// limit, of one the cores, and one has both.
    fn random(seed: u64) -> Problem {
        let mut random = fastrand::Rng::with_seed(seed + 1);
        let class = Runner { setup_ms: random.u64(20_000..90_000), ..usual_runner().expect("a class") };
        let (tests, machines) = (random.usize(300..1200), random.usize(3..10));
        let mut text = "jobs:\n  build: {run: [x]}\n".to_owned();
        for test in 0..tests {
            writeln!(text, "  t{}: {{needs: [build], run: [x]}}", test * 7919 % 10_007).expect("a text");
        }
        let plan = plan(&text);
        let mut lines = Vec::new();
        for (number, job) in plan.jobs.iter().enumerate() {
            let seconds = if number == 0 { 40.0 } else { 8.0 * (0.8 * normal(&mut random)).exp() };
            let x = random.f64();
            let gib = match seed % 3 {
                0 => 0.2 + 12.0 * x.powi(4),
                1 => 0.3 + 1.5 * x,
                _ => 0.1 + 14.0 * x.powi(7),
            };
            for run in 0..random.i64(3..9) {
                let noise = |random: &mut fastrand::Rng| (1.0 + NOISE * normal(random)).clamp(0.7, 1.3);
                let duration_ms = (seconds * 1000.0 * noise(&mut random)) as u64;
                let peak = (gib * GIB * noise(&mut random)).min(14.0 * GIB) as u64;
                lines.push(line(job.name.as_str(), run, duration_ms, peak));
            }
        }
        let expected = shard::expected(&plan.jobs, &History::new(lines), None);
        let units = shard::units(&plan, &HashSet::new());
        Problem { plan, expected, units, class, machines }
    }

    fn balance(&self) -> Balance<'_> {
        Balance { jobs: &self.plan.jobs, expected: &self.expected, units: &self.units, class: &self.class }
    }

    fn duration(&self, unit: usize) -> u64 {
        self.units[unit].jobs.iter().map(|job| self.expected[*job].duration).sum()
    }

    /// Machines with the units that the rule puts on each.
    fn each(&self, rule: impl Fn(usize) -> usize) -> Vec<Vec<usize>> {
        let mut machines = vec![Vec::new(); self.machines];
        (0..self.units.len()).for_each(|unit| machines[rule(unit) % self.machines].push(unit));
        machines
    }
}

fn plan(text: &str) -> Plan {
    let suite = Suite::parse(text, Path::new("ci/jobs.yaml"), None).expect("a declaration");
    let mut lines_of = |_: &_| Ok(Vec::new());
    let mut tests_of = |_: &_, _: &_| Listed::Tests(Vec::new());
    let mut lister = Lister { lines_of: &mut lines_of, tests_of: &mut tests_of };
    Plan::new(&suite, "/p".into(), 4, &mut lister).expect("a plan")
}

fn line(job: &str, at: i64, duration_ms: u64, peak: u64) -> Line {
    Line {
        at,
        run: "r".into(),
        job: job.into(),
        attempt: 1,
        tool: Tool::None,
        valgrind: None,
        outcome: OutcomeKind::Passed,
        whole: true,
        duration_ms,
        cpu_ms: None,
        uncontended_ms: None,
        peak: Some(peak),
        peak_ms: None,
        reservation: 0,
        exclusive: false,
        pressure: None,
        revision: None,
    }
}

fn round_robin(problem: &Problem) -> Vec<Vec<usize>> {
    problem.each(|unit| unit)
}

fn hashed(problem: &Problem) -> Vec<Vec<usize>> {
    let hash = |name: &str| {
        name.bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
    };
    problem.each(|unit| {
        let name = problem.plan.jobs[problem.units[unit].jobs[0]].name.as_str();
        (hash(name) >> 17) as usize
    })
}

/// Each shard takes tests in their order until it has its share of the time.
fn chunks(problem: &Problem) -> Vec<Vec<usize>> {
    let all: u64 = (0..problem.units.len()).map(|unit| problem.duration(unit)).sum();
    let share = all.div_ceil(problem.machines as u64);
    let mut machines = vec![Vec::new(); problem.machines];
    let (mut machine, mut taken) = (0, 0);
    for unit in 0..problem.units.len() {
        if taken > share && machine + 1 < problem.machines {
            (machine, taken) = (machine + 1, 0);
        }
        machines[machine].push(unit);
        taken += problem.duration(unit);
    }
    machines
}

/// The longest tests first, each to the shard with the least time.
fn least_duration(problem: &Problem) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..problem.units.len()).collect();
    order.sort_by_key(|unit| std::cmp::Reverse(problem.duration(*unit)));
    let mut times: BTreeMap<usize, u64> = (0..problem.machines).map(|machine| (machine, 0)).collect();
    let mut machines = vec![Vec::new(); problem.machines];
    for unit in order {
        let (machine, _) = times
            .iter()
            .min_by_key(|(machine, time)| (**time, **machine))
            .map(|(machine, time)| (*machine, *time))
            .expect("a machine");
        machines[machine].push(unit);
        *times.entry(machine).or_default() += problem.duration(unit);
    }
    machines
}

/// From the standard normal distribution, by Box and Muller.
fn normal(random: &mut fastrand::Rng) -> f64 {
    let (radius, angle) = (1.0 - random.f64(), random.f64());
    (-2.0 * radius.ln()).sqrt() * (std::f64::consts::TAU * angle).cos()
}
