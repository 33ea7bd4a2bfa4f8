//! The commands that reports tell their readers to run.

use crate::outcome::Verdict;
use crate::plan::PlannedJob;
use drydock_base::exec::paste;
use drydock_base::hint::{self, Hint};

/// What stands for a job in the advice of a verdict, which is kept.
pub(crate) const JOB: &str = "{job}";

/// Makes the commands about one run.
#[derive(Debug, Clone, Default)]
pub struct Commands {
    /// The run's id; `None` where the run is the last one when the reader sees the command.
    pub run: Option<String>,
    /// `true` if no run began after it, so that it can be resumed and completed.
    pub is_last: bool,
}

impl Commands {
    /// The commands for the terminal at the end of a run.
    pub fn now() -> Commands {
        Commands { run: None, is_last: true }
    }

    /// The command that shows what ended a job.
    pub fn explain(&self, job: &str) -> Hint {
        self.about(hint::drydock(&["ci", "explain", job]))
    }

    /// The command that suppresses a finding. Its reason is for the reader to write.
    pub fn suppress(&self, id: &str) -> Hint {
        self.about(hint::drydock(&["ci", "suppress", id, "--reason", "TEXT"]))
    }

    /// The advice of a verdict about a job.
    pub fn advice(&self, planned: &PlannedJob, verdict: &Verdict) -> Option<String> {
        let run = self.run.iter().flat_map(|id| ["--run", id.as_str()]);
        let job: Vec<&str> = [planned.name.as_str()].into_iter().chain(run).collect();
        Some(hint::shown(&verdict.advice.as_ref()?.replace(JOB, &paste(&job))))
    }

    fn about(&self, command: Hint) -> Hint {
        match &self.run {
            Some(id) => command.args(["--run", id]),
            None => command,
        }
    }
}

/// The command that continues the last run.
pub fn resume() -> Hint {
    hint::drydock(&["ci", "--resume"])
}

/// The command that repeats what did not pass in the last run.
pub fn rerun() -> Hint {
    hint::drydock(&["ci", "rerun"])
}
