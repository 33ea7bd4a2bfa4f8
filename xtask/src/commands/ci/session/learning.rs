//! The history before and after a run: other machines' histories are merged, this run's measurements are appended.

use std::collections::HashMap;

use drydock_base::output;
use drydock_base::paths::{RunDir, State};
use drydock_base::units::JobName;
use drydock_ci::history::{self, History};
use drydock_ci::run::Run;

/// The project's history after merging `others`, and a warning for each of these that does not exist.
pub(super) fn history_with(state: &State, others: &[std::path::PathBuf]) -> anyhow::Result<(History, Vec<String>)> {
    let mut warnings = Vec::new();
    for other in others {
        if other.exists() {
            history::merge(&state.history(), other)?;
        } else {
            warnings.push(format!("no history in {} yet", other.display()));
        }
    }
    Ok((History::load(&state.history()), warnings))
}

/// Appends the attempts of this session to the history.
pub(super) fn learn(state: &State, dir: &RunDir, run: &Run, already: &HashMap<JobName, usize>, valgrind: Option<&str>) {
    let lines = history::lines(run, &dir.id(), already, valgrind);
    if let Err(error) = history::append(&state.history(), lines) {
        output::err(format_args!("warning: {error:#}"));
    }
}
