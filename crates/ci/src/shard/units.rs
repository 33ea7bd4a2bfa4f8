//! The units that are distributed over machines: jobs that stay together, with the jobs that they need.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::rc::Rc;

use crate::plan::{Plan, PlannedJob};
use drydock_base::units::JobName;

/// Jobs that run on one machine together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    /// Positions in the plan, in ascending order.
    pub jobs: Vec<usize>,
    /// The positions of all jobs that they need, directly or not, which run in each shard that has such a unit.
    pub setup: Rc<Vec<usize>>,
}

/// The units of a plan, in its order. Jobs that others need run where they are needed, unless they are `prepared`: then
/// they have run before, and nothing that only they need runs again. Jobs that run one after the other stay together.
pub fn units(plan: &Plan, prepared: &HashSet<usize>) -> Vec<Unit> {
    let links = Links::new(plan, prepared);
    let needed = links.needed();
    let is_unit = |job: &usize| !needed.contains(job) && !prepared.contains(job) && !links.cleans_up(*job);
    let own: Vec<usize> = (0..plan.jobs.len()).filter(is_unit).collect();
    let together = links.together(&own);
    let mut closures: HashMap<Vec<usize>, Rc<Vec<usize>>> = HashMap::new();
    let mut members: HashMap<usize, Vec<usize>> = HashMap::new();
    for job in &own {
        members.entry(together[job]).or_default().push(*job);
    }
    let mut units: Vec<Unit> = members
        .into_values()
        .map(|jobs| {
            let mut direct: BTreeSet<usize> = jobs.iter().flat_map(|job| links.direct(*job)).collect();
            direct.extend(jobs.iter().flat_map(|job| links.cleaners_of(*job)));
            let direct: Vec<usize> = direct.into_iter().filter(|job| !jobs.contains(job)).collect();
            let found = closures.entry(direct).or_insert_with_key(|direct| Rc::new(links.closure(direct)));
            let setup = if found.iter().any(|job| jobs.contains(job)) {
                Rc::new(found.iter().copied().filter(|job| !jobs.contains(job)).collect())
            } else {
                Rc::clone(found)
            };
            Unit { jobs, setup }
        })
        .collect();
    units.sort_by(|left, right| left.jobs.cmp(&right.jobs));
    units
}

/// What jobs need of one another.
struct Links<'a> {
    plan: &'a Plan,
    prepared: &'a HashSet<usize>,
    groups: HashMap<&'a JobName, Vec<usize>>,
    names: HashMap<&'a JobName, usize>,
    /// The jobs that clean up after each.
    cleaners: HashMap<usize, Vec<usize>>,
}

impl<'a> Links<'a> {
    fn new(plan: &'a Plan, prepared: &'a HashSet<usize>) -> Links<'a> {
        let mut groups: HashMap<&JobName, Vec<usize>> = HashMap::new();
        for (position, job) in plan.jobs.iter().enumerate() {
            groups.entry(&job.group).or_default().push(position);
        }
        let names: HashMap<&JobName, usize> =
            plan.jobs.iter().enumerate().map(|(position, job)| (&job.name, position)).collect();
        let mut cleaners: HashMap<usize, Vec<usize>> = HashMap::new();
        for (position, job) in plan.jobs.iter().enumerate().filter(|(_, job)| cleans_up(job)) {
            for followed in job.follows().iter().filter_map(|name| names.get(name)) {
                cleaners.entry(*followed).or_default().push(position);
            }
        }
        Links { plan, prepared, groups, names, cleaners }
    }

    /// What a job names as needed, without what ran before.
    fn direct(&self, job: usize) -> Vec<usize> {
        let job = &self.plan.jobs[job];
        let groups = job.needs.iter().filter_map(|need| self.groups.get(need)).flatten();
        let single = job.needs_jobs().iter().filter_map(|name| self.names.get(name));
        groups.chain(single).copied().filter(|need| !self.prepared.contains(need)).collect()
    }

    fn cleans_up(&self, job: usize) -> bool {
        cleans_up(&self.plan.jobs[job])
    }

    fn cleaners_of(&self, job: usize) -> Vec<usize> {
        self.cleaners.get(&job).cloned().unwrap_or_default()
    }

    /// All jobs that some other job needs.
    fn needed(&self) -> HashSet<usize> {
        // Whole groups are mostly needed by many jobs, so each is looked at once.
        let groups: HashSet<&JobName> = self.unprepared().flat_map(|job| &job.needs).collect();
        let single = self.unprepared().flat_map(|job| job.needs_jobs()).filter_map(|name| self.names.get(name));
        groups.iter().filter_map(|group| self.groups.get(*group)).flatten().chain(single).copied().collect()
    }

    fn unprepared(&self) -> impl Iterator<Item = &'a PlannedJob> + use<'a, '_> {
        let jobs = self.plan.jobs.iter().enumerate();
        jobs.filter(|(position, _)| !self.prepared.contains(position)).map(|(_, job)| job)
    }

    /// These jobs and everything that they need, with what cleans up after it, in ascending order.
    fn closure(&self, direct: &[usize]) -> Vec<usize> {
        let mut found: BTreeSet<usize> = direct.iter().copied().collect();
        let mut open: Vec<usize> = direct.to_vec();
        while let Some(job) = open.pop() {
            for more in self.direct(job).into_iter().chain(self.cleaners_of(job)) {
                if found.insert(more) {
                    open.push(more);
                }
            }
        }
        found.into_iter().collect()
    }

    /// For each of these jobs, the first of those that it stays together with.
    fn together(&self, own: &[usize]) -> HashMap<usize, usize> {
        let mut first: HashMap<usize, usize> = own.iter().map(|job| (*job, *job)).collect();
        fn root(first: &HashMap<usize, usize>, mut job: usize) -> usize {
            while let Some(next) = first.get(&job).filter(|next| **next != job) {
                job = *next;
            }
            job
        }
        for job in own {
            for followed in self.plan.jobs[*job].follows().iter().filter_map(|name| self.names.get(name)) {
                if first.contains_key(followed) {
                    let (one, other) = (root(&first, *job), root(&first, *followed));
                    first.insert(one.max(other), one.min(other));
                }
            }
        }
        own.iter().map(|job| (*job, root(&first, *job))).collect()
    }
}

fn cleans_up(job: &PlannedJob) -> bool {
    job.test.as_ref().is_some_and(|test| test.cleans_up)
}
