//! Which planned jobs are in quarantine: entries put on the plan.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::plan::Plan;
use drydock_config::diagnostic::Problem;
use drydock_config::jobs::RetryOn;
use drydock_config::quarantine::Quarantine;

/// The quarantine of one job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Quarantined {
    /// Why.
    pub reason: String,
    /// The last day on which it holds, as `2026-12-31`, in UTC.
    pub expires: String,
    /// The outcomes that do not fail a run.
    pub on: Vec<RetryOn>,
}

/// Puts the entries that hold today on the jobs that they select. Returns what a person should know of the others.
///
/// # Errors
/// Entries that select no job of the whole plan.
pub fn apply(quarantine: &Quarantine, plan: &mut Plan, today: Date) -> Result<Vec<String>, Vec<Problem>> {
    let mut problems = Vec::new();
    let mut expired = Vec::new();
    for entry in &quarantine.entries {
        let chosen = match plan.matching(std::slice::from_ref(&entry.selector)) {
            Ok(chosen) => chosen,
            Err(error) => {
                problems
                    .push(Problem::new(entry.place, error.to_string()).help("remove the entry, or correct its name"));
                continue;
            }
        };
        if entry.expires < today {
            expired.push(format!(
                "the quarantine of {} ended on {}: its failures count again ({})",
                entry.selector, entry.expires, entry.reason
            ));
            continue;
        }
        for job in plan.jobs.iter_mut().filter(|job| chosen.contains(&job.name)) {
            job.quarantine = Some(Quarantined {
                reason: entry.reason.clone(),
                expires: entry.expires.to_string(),
                on: entry.on.clone(),
            });
        }
    }
    if problems.is_empty() { Ok(expired) } else { Err(problems) }
}
