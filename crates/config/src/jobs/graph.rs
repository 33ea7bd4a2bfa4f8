//! The order of jobs: `needs` must name other jobs, without cycles.

use crate::decode::Spanned;
use crate::diagnostic::{Place, Problem, Problems};
use drydock_base::text::quoted;
use drydock_base::units::JobName;
use std::collections::{HashMap, HashSet};

/// A job and its `needs`, as far as both are valid.
pub(super) struct Needs<'a> {
    pub(super) name: &'a JobName,
    pub(super) needs: Vec<&'a Spanned<JobName>>,
}

/// Reports needs that name an unknown job, repeat, or form a cycle.
pub(super) fn check(jobs: &[Needs<'_>], problems: &mut Problems) {
    let index: HashMap<&str, usize> = jobs.iter().enumerate().map(|(at, job)| (job.name.as_str(), at)).collect();
    let mut edges: Vec<Vec<(usize, Place)>> = Vec::with_capacity(jobs.len());
    for job in jobs {
        let mut own = Vec::new();
        let mut seen = HashSet::new();
        for Spanned { place, value } in &job.needs {
            let Some(name) = value else { continue };
            if name == job.name {
                problems.push(
                    Problem::new(*place, format!("the job {} needs itself", quoted(name.as_str()))).help("remove it"),
                );
            } else if !seen.insert(name) {
                problems.push(
                    Problem::new(*place, format!("{} is listed twice", quoted(name.as_str())))
                        .help("remove one of them"),
                );
            } else if let Some(target) = index.get(name.as_str()) {
                own.push((*target, *place));
            } else {
                let near = problems.nearest(name.as_str(), jobs.iter().map(|job| job.name.as_str()));
                let problem = Problem::new(*place, format!("unknown job {}", quoted(name.as_str())));
                problems.push(problem.did_you_mean(near, || "the name of a job in this file".to_owned()));
            }
        }
        edges.push(own);
    }
    for (place, cycle) in cycles(&edges) {
        problems.push(
            Problem::new(place, format!("the jobs need each other: {}", show(jobs, &cycle)))
                .help("remove one of these needs"),
        );
    }
}

/// Cycles that share no job, each with the place of the need that closes it. Depth first, without recursion.
///
/// A job in a cycle is not visited again, so the work is bounded by the size of the file; other cycles through the same
/// jobs are reported when the first one is fixed.
fn cycles(edges: &[Vec<(usize, Place)>]) -> Vec<(Place, Vec<usize>)> {
    let mut done = vec![false; edges.len()];
    let mut found = Vec::new();
    for start in 0..edges.len() {
        let mut path: Vec<(usize, usize)> = Vec::new();
        let mut depth: HashMap<usize, usize> = HashMap::new();
        if !done[start] {
            path.push((start, 0));
            depth.insert(start, 0);
        }
        while let Some((job, next)) = path.last_mut() {
            let Some((target, place)) = edges[*job].get(*next) else {
                done[*job] = true;
                depth.remove(job);
                path.pop();
                continue;
            };
            *next += 1;
            if let Some(from) = depth.get(target) {
                found.push((*place, path[*from..].iter().map(|(job, _)| *job).collect()));
                path.iter().for_each(|(job, _)| done[*job] = true);
                break;
            }
            if !done[*target] {
                depth.insert(*target, path.len());
                path.push((*target, 0));
            }
        }
    }
    found
}

/// `a → b → a`, shortened in the middle.
fn show(jobs: &[Needs<'_>], cycle: &[usize]) -> String {
    const SHOWN: usize = 8;
    // Start with the first job in file order, wherever the search entered the cycle.
    let start = cycle.iter().enumerate().min_by_key(|(_, job)| **job).map_or(0, |(at, _)| at);
    let name = |at: usize| jobs[cycle[(start + at) % cycle.len()]].name.as_str();
    let mut names: Vec<String> = (0..cycle.len().min(SHOWN)).map(|at| name(at).to_owned()).collect();
    if cycle.len() > SHOWN {
        names.push(format!("… {} more", cycle.len() - SHOWN));
    }
    names.push(name(0).to_owned());
    names.join(" → ")
}
