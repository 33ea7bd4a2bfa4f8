//! A runner that went away, recognised from what the API says of its job.
//!
//! When a runner stops answering, GitHub ends the job after some minutes with `failure` or `cancelled`, but nobody ends its
//! steps: one stays `in_progress`, or later ones stay `queued`. A job that no runner took has no runner and no steps.

use crate::model::{COMPLETED, Job};

/// How a job lost its runner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Loss {
    /// The runner stopped answering in this step.
    During(String),
    /// No runner took the job.
    NeverStarted,
}

/// The loss of a job's runner; `None` if its runner ended it.
pub fn loss(job: &Job) -> Option<Loss> {
    if !job.has_ended() || !matches!(job.conclusion.as_deref(), Some("failure" | "cancelled" | "timed_out" | "stale")) {
        return None;
    }
    let unfinished = job.steps.iter().find(|step| step.status != COMPLETED || step.conclusion.is_none());
    match unfinished {
        Some(step) => Some(Loss::During(step.name.clone())),
        // Somebody may have cancelled a job that was still waiting.
        None if job.steps.is_empty()
            && job.runner_id.unwrap_or(0) == 0
            && job.conclusion.as_deref() != Some("cancelled") =>
        {
            Some(Loss::NeverStarted)
        }
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Step;

    #[test]
    fn a_runner_that_went_away_leaves_a_step_without_an_end() {
        let step = |status: &str, conclusion: Option<&str>| Step {
            name: format!("{status} step"),
            status: status.into(),
            conclusion: conclusion.map(Into::into),
        };
        let done = || step("completed", Some("success"));
        let job = |conclusion: &str, runner: u64, steps: Vec<Step>| Job {
            id: 1,
            name: "shard (1/2)".into(),
            run_attempt: 1,
            status: "completed".into(),
            conclusion: Some(conclusion.into()),
            steps,
            runner_id: Some(runner),
            runner_name: None,
        };
        let during = |name: &str| Some(Loss::During(name.into()));
        for (job, expected) in [
            (job("failure", 7, vec![done(), step("in_progress", None)]), during("in_progress step")),
            (
                job("cancelled", 7, vec![done(), step("in_progress", None), step("queued", None)]),
                during("in_progress step"),
            ),
            (job("failure", 7, vec![done(), step("completed", None)]), during("completed step")),
            (job("failure", 0, vec![]), Some(Loss::NeverStarted)),
            (job("failure", 7, vec![done(), step("completed", Some("failure"))]), None),
            (job("cancelled", 7, vec![done(), step("completed", Some("cancelled"))]), None),
            (job("cancelled", 0, vec![]), None),
            (job("success", 7, vec![done(), step("in_progress", None)]), None),
            (job("skipped", 0, vec![]), None),
        ] {
            assert_eq!(loss(&job), expected, "{job:?}");
        }
    }
}
