//! Marks the jobs of a plan that a declared quarantine selects.

use jiff::civil::Date;

use super::plan::{Plan, Quarantined};
use drydock_config::diagnostic::Problem;
use drydock_config::quarantine::Quarantine;

/// Marks the jobs that unexpired entries select. Returns one warning for each expired entry.
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
            job.quarantine = Some(Box::new(Quarantined {
                reason: entry.reason.clone(),
                expires: entry.expires.to_string(),
                on: entry.on.clone(),
            }));
        }
    }
    if problems.is_empty() { Ok(expired) } else { Err(problems) }
}
