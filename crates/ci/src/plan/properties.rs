//! Properties of single items, from a file of their own.

use std::path::Path;
use std::sync::Arc;

use super::{Native, Plan, PlannedTest};
use drydock_base::units::JobName;
use drydock_config::diagnostic::Problem;
use drydock_config::jobs::{LoadError, Suite};
use drydock_config::properties::{ItemProperties, Properties};
use drydock_valgrind::tool::Tool;

impl Plan {
    /// Applies the files with properties of items. `is_late` is true for a list that was made while the run goes on: a wrong
    /// entry then fails the jobs of that suite, and not the run.
    ///
    /// # Errors
    /// A file cannot be read or is invalid; an entry matches no item of a suite that is listed.
    pub fn apply_properties(&mut self, suite: &Suite, project: &Path, is_late: bool) -> Result<(), LoadError> {
        for job in &suite.jobs {
            let Some(file) = job.for_each.as_ref().and_then(|items| items.properties.as_deref()) else { continue };
            let properties = Properties::load(&project.join(file), project)?;
            let is_listed = |plan: &Plan| plan.jobs.iter().any(|own| own.group == job.name && own.unlisted().is_none());
            let unmatched: Vec<Problem> =
                properties.items.iter().filter(|item| !self.apply(&job.name, item)).filter_map(unmatched).collect();
            if !is_listed(self) || unmatched.is_empty() {
                continue;
            }
            let problems = properties.diagnose(unmatched);
            if !is_late {
                return Err(problems.into());
            }
            self.refuse_list(&job.name, problems.to_string());
        }
        Ok(())
    }

    /// Applies one entry to the items of a group. `false` if none matches.
    fn apply(&mut self, group: &JobName, item: &ItemProperties) -> bool {
        let options = glob::MatchOptions { require_literal_separator: true, ..glob::MatchOptions::new() };
        let pattern = glob::Pattern::new(&item.selector);
        let mut any = false;
        for job in self.jobs.iter_mut().filter(|job| job.group == *group) {
            let own = job.name.as_str().strip_prefix(group.as_str()).and_then(|rest| rest.strip_prefix('/'));
            let Some(own) = own else { continue };
            let matches =
                own == item.selector || pattern.as_ref().is_ok_and(|pattern| pattern.matches_with(own, options));
            if !matches {
                continue;
            }
            any = true;
            job.locks.extend(item.locks.iter().cloned());
            job.locks.sort();
            job.locks.dedup();
            job.serial = item.serial.unwrap_or(job.serial);
            job.user = item.user.clone().or(job.user.take());
            if let Some(timeout) = item.timeout {
                job.timeout = timeout;
                job.grace = job.grace.min(timeout);
            }
            if let Some(memory) = item.memory {
                (job.memory, job.memory_declared) = (memory, true);
            }
            job.env.extend(item.env.clone());
            let rules = Arc::make_mut(&mut job.rules);
            rules.skip_exit.extend(&item.skip_exit);
            rules.expected = item.expect.unwrap_or(rules.expected);
            if let Some(because) = item.without_tool.clone().filter(|_| job.tool.kind.is_valgrind()) {
                let tool = job.tool_mut();
                tool.by_suite = false;
                let without = std::mem::replace(&mut tool.kind, Tool::None);
                let test = job.test.get_or_insert_with(|| Box::new(PlannedTest::default()));
                test.native = Some(Native { without, because });
            }
            if item.disabled.is_some() {
                let test = job.test.get_or_insert_with(|| Box::new(PlannedTest::default()));
                test.disabled.clone_from(&item.disabled);
            }
        }
        any
    }
}

fn unmatched(item: &ItemProperties) -> Option<Problem> {
    let problem = Problem::new(item.place?, format!("no item is called `{}`", item.selector));
    Some(problem.help("correct the name, which is the last part of a job's name, or remove the entry"))
}
