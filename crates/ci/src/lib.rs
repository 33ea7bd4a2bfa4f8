//! Supervised jobs, from a declared suite to proved outcomes: plan, schedule, supervise, judge, record, report.

pub mod capacity;
pub mod collisions;
pub mod command_line;
pub mod conditions;
pub mod containment;
pub mod dangers;
pub mod event;
pub mod evidence;
pub mod heap;
pub mod history;
pub mod journal;
pub mod ledger;
pub mod log;
pub mod mark;
pub mod outcome;
pub mod plan;
pub mod probe;
pub mod quarantine;
pub mod recover;
pub mod report;
pub mod retell;
pub mod retry;
pub mod run;
pub mod schedule;
pub mod schedule_report;
pub mod shard;
pub mod spawn;
pub mod suites;
pub mod supervise;
pub mod tested;
pub mod tune_memory;

#[cfg(test)]
mod tests;
