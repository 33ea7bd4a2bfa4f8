//! From a plan to shards: which class each unit runs on, how many machines of each class, and what each of them takes.

use std::collections::{BTreeSet, HashSet};

use super::balance::{Balance, Balanced, HASTY, THOROUGH, balance, limits};
use super::durations::Expected;
use super::units::{Unit, units};
use super::{MOST_SHARDS, PlannedShard};
use crate::plan::Plan;
use crate::schedule::Source;
use drydock_base::units::ByteSize;
use drydock_config::jobs::Runner;

/// What the shards are to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    /// So many of them.
    Shards(usize),
    /// As few as end within so many milliseconds.
    Within(u64),
}

/// The shards of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shards {
    /// At least one.
    pub shards: Vec<PlannedShard>,
    /// Milliseconds below which no distribution over these machines can stay.
    pub bound: u64,
    /// What the caller should know, in sentences.
    pub notes: Vec<String>,
}

/// A job that no class has room for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfit {
    /// Its position in the plan.
    pub job: usize,
    /// Bytes that it needs.
    pub needed: u64,
    /// The sentence that says why it needs them.
    pub because: String,
    /// The class with the most memory.
    pub largest: Runner,
}

/// The reason why a plan cannot be split.
#[derive(Debug, thiserror::Error)]
pub enum SplitError {
    /// No class has room for these.
    #[error("{} jobs fit no class of machines", .0.len())]
    Unfit(Vec<Unfit>),
    /// There is nothing to run.
    #[error("the plan has no job that a shard could run")]
    Empty,
    /// More classes are needed than shards may be made.
    #[error("{given} shards are not enough: the jobs need {needed} classes of machines ({classes})")]
    TooFew {
        /// As asked for.
        given: usize,
        /// The number of classes.
        needed: usize,
        /// Their names.
        classes: String,
    },
}

/// Splits a plan. `prepared` are the jobs that have run before; `classes` has at least one class.
///
/// # Errors
/// [`SplitError`]
pub fn split(
    plan: &Plan,
    expected: &[Expected],
    classes: &[Runner],
    prepared: &HashSet<usize>,
    goal: Goal,
) -> Result<Shards, SplitError> {
    let all = units(plan, prepared);
    if all.is_empty() {
        return Err(SplitError::Empty);
    }
    let by_class = choose(&all, expected, classes)?;
    let used: Vec<(&Runner, Vec<Unit>)> = by_class.into_iter().filter(|(_, units)| !units.is_empty()).collect();
    let parts: Vec<Balance<'_>> =
        used.iter().map(|(class, units)| Balance { jobs: &plan.jobs, expected, units, class }).collect();
    let mut notes = notes(plan, expected, &parts);
    let balanced = match goal {
        Goal::Shards(shards) => exactly(&parts, shards, &mut notes)?,
        Goal::Within(target) => within(&parts, target, &mut notes),
    };
    let bound = balanced.iter().map(|balanced| balanced.bound).max().unwrap_or(0);
    let mut shards = Vec::new();
    for (part, balanced) in parts.iter().zip(balanced) {
        for (machine, end) in balanced.machines.iter().zip(&balanced.ends) {
            shards.push(shard(part, machine, *end));
        }
    }
    Ok(Shards { shards, bound, notes })
}

/// The shard with these units.
fn shard(part: &Balance<'_>, machine: &[usize], end: u64) -> PlannedShard {
    let mut jobs: Vec<usize> = machine.iter().flat_map(|unit| part.units[*unit].jobs.iter().copied()).collect();
    jobs.sort_unstable();
    let setup: BTreeSet<usize> = machine.iter().flat_map(|unit| part.units[*unit].setup.iter().copied()).collect();
    let repeated: u64 = setup.iter().map(|job| part.expected[*job].duration).sum();
    PlannedShard {
        class: part.class.clone(),
        jobs,
        setup: setup.into_iter().collect(),
        expected_ms: end,
        setup_ms: (part.class.setup_ms + repeated).min(end),
    }
}

/// The units of each class: each goes to the cheapest that has room for all of its jobs.
fn choose<'a>(
    all: &[Unit],
    expected: &[Expected],
    classes: &'a [Runner],
) -> Result<Vec<(&'a Runner, Vec<Unit>)>, SplitError> {
    let mut cheapest: Vec<&Runner> = classes.iter().collect();
    cheapest.sort_by_key(|class| (class.cost, class.memory, class.cores));
    let Some(largest) = cheapest.iter().copied().max_by_key(|class| class.memory) else {
        return Err(SplitError::Empty);
    };
    let mut chosen: Vec<(&Runner, Vec<Unit>)> = cheapest.iter().map(|class| (*class, Vec::new())).collect();
    let mut unfit: Vec<Unfit> = Vec::new();
    for unit in all {
        let jobs = || unit.jobs.iter().chain(unit.setup.iter());
        let room = |class: &Runner, demanding: bool| {
            jobs().all(|job| needed(&expected[*job], demanding) <= limits(class).memory)
        };
        // A job that was killed gets twice its memory if a class has that much, and otherwise what it had.
        let fits = |demanding| cheapest.iter().position(|class| room(class, demanding));
        let class = fits(true).or_else(|| {
            let most = cheapest.iter().position(|class| class.name == largest.name)?;
            room(largest, false).then_some(most)
        });
        match class {
            Some(class) => chosen[class].1.push(unit.clone()),
            None => {
                let too_big = jobs().filter(|job| needed(&expected[**job], false) > limits(largest).memory);
                unfit.extend(too_big.map(|job| self::unfit(*job, &expected[*job], largest)));
            }
        }
    }
    unfit.sort_by_key(|unfit| unfit.job);
    unfit.dedup_by_key(|unfit| unfit.job);
    if unfit.is_empty() { Ok(chosen) } else { Err(SplitError::Unfit(unfit)) }
}

/// The bytes that a machine must have for a job.
fn needed(expected: &Expected, demanding: bool) -> u64 {
    match expected.prediction.source {
        Source::Killed if demanding => expected.prediction.demand.mean,
        Source::Killed | Source::Learned { .. } | Source::Declared => expected.prediction.needed,
        // What is assumed of all jobs says nothing of this one.
        Source::Usual => 0,
    }
}

fn unfit(job: usize, expected: &Expected, largest: &Runner) -> Unfit {
    let needed = needed(expected, false);
    let because = expected.prediction.source.sentence(needed);
    let because = because.unwrap_or_else(|| format!("it may need {} of memory, the default", ByteSize::new(needed)));
    Unfit { job, needed, because, largest: largest.clone() }
}

/// So many shards in all: each class gets one, and each further machine goes to the class that would take longest.
fn exactly(parts: &[Balance<'_>], shards: usize, notes: &mut Vec<String>) -> Result<Vec<Balanced>, SplitError> {
    if shards < parts.len() {
        let classes: Vec<&str> = parts.iter().map(|part| part.class.name.as_str()).collect();
        return Err(SplitError::TooFew { given: shards, needed: parts.len(), classes: classes.join(", ") });
    }
    let most: usize = parts.iter().map(|part| part.units.len()).sum();
    if most < shards {
        notes.push(format!(
            "{most} shards instead of {shards}: there are no more jobs that can run on machines of their own"
        ));
    }
    let mut counts = vec![1; parts.len()];
    let mut ends: Vec<u64> = parts.iter().map(|part| balance(*part, 1, 0).bound).collect();
    for _ in parts.len()..shards.min(most) {
        let may_grow = |part: &usize| counts[*part] < parts[*part].units.len();
        let Some(next) = (0..parts.len()).filter(may_grow).max_by_key(|part| ends[*part]) else { break };
        counts[next] += 1;
        if parts.len() > 1 {
            ends[next] = balance(parts[next], counts[next], 0).bound;
        }
    }
    Ok(parts.iter().zip(counts).map(|(part, count)| balance(*part, count, THOROUGH)).collect())
}

/// As few shards of each class as end in time, at most [`MOST_SHARDS`].
fn within(parts: &[Balance<'_>], target: u64, notes: &mut Vec<String>) -> Vec<Balanced> {
    let mut left = MOST_SHARDS.saturating_sub(parts.len());
    let mut all = Vec::new();
    for part in parts {
        let most = part.units.len().min(left + 1);
        let mut count = first(part, target, most);
        let balanced = loop {
            let hasty = balance(*part, count, HASTY);
            // Where the last few percent are missing, a longer search may find them.
            let close = hasty.slowest() <= target + target / 20;
            let found = if hasty.slowest() <= target || close || count >= most {
                balance(*part, count, THOROUGH)
            } else {
                hasty
            };
            // One job with what it needs is the least that any shard can take.
            if found.slowest() <= target
                || count >= most
                || found.slowest() <= found.bound + found.bound / 100 && found.bound > target
            {
                break found;
            }
            let missing = found.slowest() - target;
            let step =
                usize::try_from(u128::from(missing) * count as u128 / u128::from(target.max(1)) / 2).unwrap_or(1);
            count = (count + step.clamp(1, count.div_ceil(4))).min(most);
        };
        left -= balanced.machines.len() - 1;
        if balanced.slowest() > target {
            let longest = human(balanced.slowest());
            notes.push(format!(
                "the slowest shard of class {} takes about {longest} instead of {}: no more machines help",
                part.class.name,
                human(target)
            ));
        }
        all.push(balanced);
    }
    all
}

/// The least number of machines whose bound is within the target.
fn first(part: &Balance<'_>, target: u64, most: usize) -> usize {
    let (mut low, mut high) = (1, most.max(1));
    while low < high {
        let middle = low + (high - low) / 2;
        if balance(*part, middle, 0).bound <= target { high = middle } else { low = middle + 1 }
    }
    low
}

fn human(milliseconds: u64) -> String {
    drydock_base::units::human(std::time::Duration::from_millis(milliseconds))
}

/// What the caller should know of a plan, whatever its shards are.
fn notes(plan: &Plan, expected: &[Expected], parts: &[Balance<'_>]) -> Vec<String> {
    let mut notes = Vec::new();
    let assumed = expected.iter().filter(|expected| expected.is_assumed).count();
    if assumed > 0 {
        notes.push(format!("the time of {assumed} of {} jobs is assumed, since they have no history", expected.len()));
    }
    // A job that needs many others keeps them on its machine.
    let many = parts
        .iter()
        .flat_map(|part| part.units)
        .find(|unit| unit.setup.len() * 2 > plan.jobs.len() && unit.setup.len() > 8);
    if let Some(unit) = many {
        let name = unit.jobs.first().map_or("", |job| plan.jobs[*job].name.as_str());
        notes.push(format!(
            "{name} needs {} of {} jobs, which therefore run on its machine; remove it from the plan, or from `needs`",
            unit.setup.len(),
            plan.jobs.len()
        ));
    }
    notes
}
