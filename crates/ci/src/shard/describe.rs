//! A plan for several machines in words, and as the matrix of a workflow.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};

use super::balance::limits;
use super::durations::Expected;
use super::split::Shards;
use super::{FrozenPlan, PlannedShard};
use crate::plan::PlannedJob;
use crate::schedule::bound::{self, Binding};
use crate::schedule::{Task, Workload};
use drydock_base::text::plural;
use drydock_base::units::{ByteSize, human};

/// The number of jobs of a group that are named.
const MOST_NAMED: usize = 3;

/// The matrix for `strategy: {matrix: …}`: one entry a shard.
pub fn matrix(plan: &FrozenPlan) -> Value {
    let entry = |(number, shard): (super::ShardNumber, &PlannedShard)| {
        let runs_on = match shard.class.runs_on.as_slice() {
            [one] => json!(one),
            several => json!(several),
        };
        json!({
            "shard": number.to_string(),
            "number": number.number,
            "class": shard.class.name,
            "runs-on": runs_on,
            "jobs": shard.jobs.len(),
            "minutes": shard.minutes(),
        })
    };
    json!({"include": plan.numbers().zip(&plan.shards).map(entry).collect::<Vec<_>>()})
}

/// What each shard takes and why, and what it costs.
pub fn describe(plan: &FrozenPlan, shards: &Shards, expected: &[Expected]) -> String {
    let mut text = String::new();
    // Writing into a text cannot fail.
    write(&mut text, plan, shards, expected).ok();
    text
}

fn write(text: &mut String, plan: &FrozenPlan, shards: &Shards, expected: &[Expected]) -> std::fmt::Result {
    let slowest = plan.shards.iter().map(|shard| shard.expected_ms).max().unwrap_or(0);
    let minutes: u64 = plan.shards.iter().map(PlannedShard::minutes).sum();
    let cost: u64 = plan.shards.iter().map(PlannedShard::cost).sum();
    writeln!(
        text,
        "{} in {}: about {}, where {} is the least possible",
        plural(plan.plan.jobs.len(), "job"),
        plural(plan.shards.len(), "shard"),
        time(slowest),
        time(shards.bound.min(slowest)),
    )?;
    writeln!(text, "cost: {minutes} started minutes; {cost} with the cost of each class")?;
    if let Some(prepared) = &plan.prepared {
        let names: Vec<&str> = prepared.jobs.iter().map(|job| job.as_str()).take(MOST_NAMED * 2).collect();
        let more = prepared.jobs.len().saturating_sub(names.len());
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        writeln!(text, "ran for this plan, and do not run again: {}{more}", names.join(", "))?;
    }
    for note in &shards.notes {
        writeln!(text, "note: {note}")?;
    }
    let width = plan.shards.iter().map(|shard| shard.class.name.as_str().len()).max().unwrap_or(0).max(5);
    writeln!(
        text,
        "\n{:<8} {:<width$} {:>9} {:>9} {:>8} {:>6}  jobs",
        "shard", "class", "time", "set-up", "minutes", "cost"
    )?;
    for (number, shard) in plan.numbers().zip(&plan.shards) {
        writeln!(
            text,
            "{:<8} {:<width$} {:>9} {:>9} {:>8} {:>6}  {}",
            number.to_string(),
            shard.class.name.as_str(),
            time(shard.expected_ms),
            time(shard.setup_ms),
            shard.minutes(),
            shard.cost(),
            named(&plan.plan.jobs, &shard.jobs),
        )?;
        if !shard.setup.is_empty() {
            writeln!(text, "         repeats {}, which they need", named(&plan.plan.jobs, &shard.setup))?;
        }
        writeln!(text, "         {}", limit(plan, shard, expected))?;
        if let Some(why) = class_reason(plan, shard, expected) {
            writeln!(text, "         {why}")?;
        }
    }
    Ok(())
}

fn time(milliseconds: u64) -> String {
    human(Duration::from_millis(milliseconds))
}

/// Jobs by group, the first few of each named.
fn named(jobs: &[PlannedJob], positions: &[usize]) -> String {
    let mut groups: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for job in positions.iter().map(|position| &jobs[*position]) {
        groups.entry(job.group.as_str()).or_default().push(job.name.as_str());
    }
    let group = |(group, names): (&str, Vec<&str>)| match names.as_slice() {
        names if names.len() <= MOST_NAMED => names.join(", "),
        names => format!("{} of {group} ({}, …)", names.len(), names[..MOST_NAMED - 1].join(", ")),
    };
    groups.into_iter().map(group).collect::<Vec<_>>().join(", ")
}

/// What keeps the shard from being shorter.
fn limit(plan: &FrozenPlan, shard: &PlannedShard, expected: &[Expected]) -> String {
    let limits = limits(&shard.class);
    let mut positions: Vec<usize> = shard.jobs.iter().chain(&shard.setup).copied().collect();
    positions.sort_unstable();
    let jobs: Vec<&PlannedJob> = positions.iter().map(|job| &plan.plan.jobs[*job]).collect();
    let task =
        |job: &usize| Task::known(expected[*job].duration, expected[*job].prediction.demand.mean.min(limits.memory));
    let workload = Workload::new(&jobs, positions.iter().map(task).collect());
    let longest = positions
        .iter()
        .max_by_key(|job| expected[**job].duration)
        .map_or("", |job| plan.plan.jobs[*job].name.as_str());
    match bound::lower(&workload, limits).binding {
        Binding::Memory => format!("the memory of {} is the limit", ByteSize::new(limits.memory)),
        Binding::Slots | Binding::Cores => format!("the {} cores are the limit", limits.slots),
        Binding::LongestJob => format!("its longest job is the limit: {longest}"),
        Binding::CriticalPath => format!("jobs that wait for one another are the limit; the longest is {longest}"),
    }
}

/// The job for which a class is needed that is not the cheapest one.
fn class_reason(plan: &FrozenPlan, shard: &PlannedShard, expected: &[Expected]) -> Option<String> {
    let other = plan.shards.iter().map(|other| &other.class).filter(|class| class.cost < shard.class.cost);
    let cheaper = other.min_by_key(|class| class.cost)?;
    let most = shard.jobs.iter().chain(&shard.setup).max_by_key(|job| expected[**job].prediction.needed)?;
    Some(format!(
        "{} needs {}, and jobs on {} may use {}",
        plan.plan.jobs[*most].name,
        ByteSize::new(expected[*most].prediction.needed),
        cheaper.name,
        ByteSize::new(limits(cheaper).memory),
    ))
}
