//! Checks that the declared baselines can be compared with, when a plan is made and before anything runs.

use std::path::Path;

use drydock_config::diagnostic::{Diagnostics, Problem};
use drydock_config::jobs::heap::write_it;
use drydock_config::jobs::{Job, PlannedItem, Suite};
use drydock_valgrind::massif::Profile;

/// The number of problems that are reported.
const MOST: usize = 50;

/// Reads the baselines of all planned jobs.
pub(super) fn check(suite: &Suite, items: &[(&Job, PlannedItem)], project: &Path) -> Result<(), Diagnostics> {
    let problems: Vec<Problem> =
        items.iter().filter_map(|(job, item)| problem(job, item, project)).take(MOST).collect();
    if problems.is_empty() { Ok(()) } else { Err(suite.diagnose(problems)) }
}

fn problem(job: &Job, item: &PlannedItem, project: &Path) -> Option<Problem> {
    let baseline = job.tool.heap.as_ref()?.baseline.as_ref()?;
    let file = baseline.file.render(&item.values(1));
    let profile = match Profile::open(&project.join(&file)) {
        Ok(profile) => profile,
        Err(fault) => {
            let problem = Problem::new(baseline.place, format!("the baseline `{file}` cannot be read: {fault}"));
            return Some(problem.help(format!("rewrite it with {}", write_it(item, &file))));
        }
    };
    let pages = job.tool.settings.args.iter().rev().find_map(|arg| arg.strip_prefix("--pages-as-heap=")) == Some("yes");
    if profile.pages_as_heap() == pages {
        return None;
    }
    let what = |pages| if pages { "with" } else { "without" };
    let problem = format!(
        "the baseline `{file}` was measured {} --pages-as-heap=yes, and the job runs {} it",
        what(profile.pages_as_heap()),
        what(pages)
    );
    Some(Problem::new(baseline.place, problem).help(format!("rewrite it with {}", write_it(item, &file))))
}
