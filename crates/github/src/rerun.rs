//! Runs jobs of a run again: waits until GitHub allows it, asks for it, follows the new attempt, and says what changed.
//!
//! GitHub refuses while any job of the run goes on, takes the jobs along that need one that is run again, gives all jobs of the
//! new attempt new ids, and allows it for 30 days and 50 times.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::SignedDuration;

use crate::api::Api;
use crate::error::Error;
use crate::lost::{self, Loss};
use crate::model::{Job, WorkflowRun};

/// The time within which a run can be run again.
const OLDEST: SignedDuration = SignedDuration::from_hours(30 * 24);
/// The attempts that a run can have: the first, and 50 reruns.
const MOST_ATTEMPTS: u64 = 51;
/// The tries where GitHub refuses although the run has ended, since it knows of the end a little later.
const TRIES: u32 = 5;

/// What is run again.
#[derive(Debug, Clone)]
pub struct Rerun {
    /// The run.
    pub run: u64,
    /// Names of jobs; all that failed, if there are none.
    pub jobs: Vec<String>,
    /// The wait between two questions about the run.
    pub every: Duration,
    /// The longest wait for an end of the run, before and after.
    pub at_most: Duration,
}

/// What the new attempts changed.
#[derive(Debug, Clone)]
pub struct RerunReport {
    /// The run after the last attempt.
    pub run: WorkflowRun,
    /// The number of the attempt before.
    pub before: u64,
    /// The jobs by name.
    pub jobs: Vec<JobChange>,
}

/// One job before and after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobChange {
    /// The name.
    pub name: String,
    /// How it ended before; `None` if it did not exist.
    pub before: Option<String>,
    /// How it ended now; `None` if it does not exist any more.
    pub after: Option<String>,
    /// Whether it was part of a new attempt.
    pub again: bool,
    /// The loss of its runner in the newest attempt.
    pub loss: Option<Loss>,
}

impl RerunReport {
    /// Whether all jobs that did not pass lost their runner.
    pub fn only_lost(&self) -> bool {
        let mut bad =
            self.jobs.iter().filter(|job| !matches!(job.after.as_deref(), Some("success" | "skipped" | "neutral")));
        let (mut any, mut all) = (false, true);
        bad.by_ref().for_each(|job| {
            any = true;
            all &= job.loss.is_some();
        });
        any && all
    }
}

impl Rerun {
    /// Runs the jobs again.
    ///
    /// # Errors
    /// [`Error`]: no such job, nothing failed, GitHub refuses, or the run does not end in time.
    pub fn run(&self, api: &Api) -> Result<RerunReport, Error> {
        let first = self.ended(api, self.run_of(api)?, "before it can be run again")?;
        let before = api.jobs(self.run)?;
        let failed: Vec<&str> = before.iter().filter(|job| job.has_failed()).map(|job| job.name.as_str()).collect();
        let wanted = resolve(&before, &self.jobs)?;
        let all_failed = self.jobs.is_empty() || !failed.is_empty() && same(&wanted, &failed);
        if all_failed && failed.is_empty() {
            return Err(Error::Usage(format!(
                "no job of run {} failed; name the jobs to run again with --job",
                self.run
            )));
        }
        let mut run = first.clone();
        if all_failed {
            let path = format!("actions/runs/{}/rerun-failed-jobs", self.run);
            run = self.attempt(api, &run, &path, &format!("{} jobs that failed", failed.len()))?;
        } else {
            for name in &wanted {
                // Each attempt gives every job a new id.
                let jobs = api.jobs(self.run)?;
                let job = jobs.iter().find(|job| job.name == *name).ok_or_else(|| no_such(&jobs, name))?;
                let path = format!("actions/jobs/{}/rerun", job.id);
                run = self.attempt(api, &run, &path, &drydock_base::text::one_line(name, 100))?;
            }
        }
        let after = api.jobs(self.run)?;
        let jobs = changes(&before, &after, first.run_attempt);
        Ok(RerunReport { run, before: first.run_attempt, jobs })
    }

    fn run_of(&self, api: &Api) -> Result<WorkflowRun, Error> {
        api.run(self.run)
    }

    /// Asks for an attempt, and waits for its end.
    fn attempt(&self, api: &Api, run: &WorkflowRun, path: &str, what: &str) -> Result<WorkflowRun, Error> {
        let mut now = run.clone();
        for tried in 1.. {
            check_allowed(api, &now)?;
            // Nobody knows whether a request without a response arrived.
            let unknown = match api.post(path) {
                Ok(Ok(())) => break,
                Err(Error::Http(drydock_http::Error::NoResponse { .. })) if tried < TRIES => true,
                Err(error) => return Err(error),
                Ok(Err(refusal)) if refusal.status >= 500 && tried < TRIES => true,
                Ok(Err(refusal)) => {
                    // Somebody else may have started an attempt meanwhile; any other refusal is final.
                    if self.run_of(api)?.has_ended() || tried >= TRIES {
                        return Err(refusal.error(""));
                    }
                    false
                }
            };
            let state = self.run_of(api)?;
            if unknown && state.run_attempt > now.run_attempt {
                break;
            }
            now = self.ended(api, state, "before it can be run again")?;
            api.sleep(self.every);
        }
        api.notify(&format!("run {}: running again {what}", self.run));
        self.follow(api, now.run_attempt)
    }

    /// Waits until an attempt after `before` has ended.
    fn follow(&self, api: &Api, before: u64) -> Result<WorkflowRun, Error> {
        let mut shown: BTreeMap<String, String> = BTreeMap::new();
        let mut left = self.at_most;
        loop {
            let run = self.run_of(api)?;
            if run.run_attempt > before {
                for job in api.jobs(self.run)?.iter().filter(|job| job.run_attempt > before) {
                    let state = job.state().to_owned();
                    if shown.get(&job.name) != Some(&state) {
                        api.notify(&format!("{:>12}  {}", state, drydock_base::text::one_line(&job.name, 100)));
                        shown.insert(job.name.clone(), state);
                    }
                }
                if run.has_ended() {
                    return Ok(run);
                }
            }
            left = left.checked_sub(self.every).ok_or_else(|| {
                Error::TooLate(format!("the new attempt of run {} has not ended in the time given by --wait", self.run))
            })?;
            api.sleep(self.every);
        }
    }

    /// The run once its newest attempt has ended.
    fn ended(&self, api: &Api, run: WorkflowRun, why: &str) -> Result<WorkflowRun, Error> {
        let mut run = run;
        let mut left = self.at_most;
        if !run.has_ended() {
            api.notify(&format!("run {} is still going on; waiting for its end {why}", self.run));
        }
        while !run.has_ended() {
            left = left
                .checked_sub(self.every)
                .ok_or_else(|| Error::TooLate(format!("run {} has not ended in the time given by --wait", self.run)))?;
            api.sleep(self.every);
            run = self.run_of(api)?;
        }
        Ok(run)
    }
}

/// Whether GitHub can run it again at all; it says so itself, but not always why.
fn check_allowed(api: &Api, run: &WorkflowRun) -> Result<(), Error> {
    let age = api.now().duration_since(run.created_at);
    if age > OLDEST {
        return Err(Error::Usage(format!(
            "run {} is {} days old, and GitHub runs jobs again for 30 days only; start a new run of the workflow",
            run.id,
            age.as_hours() / 24
        )));
    }
    if run.run_attempt >= MOST_ATTEMPTS {
        return Err(Error::Usage(format!(
            "run {} has had {} attempts, and GitHub allows 50 reruns; start a new run of the workflow",
            run.id, run.run_attempt
        )));
    }
    Ok(())
}

/// The wanted names, each of which must be a job. A name without the values of a matrix stands for all jobs of the matrix.
fn resolve(jobs: &[Job], wanted: &[String]) -> Result<Vec<String>, Error> {
    let mut names = Vec::new();
    for name in wanted {
        let exact: Vec<&Job> = jobs.iter().filter(|job| job.name == *name).collect();
        let of_matrix = || {
            jobs.iter().filter(|job| job.name.strip_prefix(name.as_str()).is_some_and(|rest| rest.starts_with(" (")))
        };
        let found: Vec<&Job> = if exact.is_empty() { of_matrix().collect() } else { exact };
        if found.is_empty() {
            return Err(no_such(jobs, name));
        }
        names.extend(found.iter().map(|job| job.name.clone()));
    }
    names.sort();
    names.dedup();
    Ok(names)
}

fn no_such(jobs: &[Job], name: &str) -> Error {
    let nearest = jobs.iter().max_by(|a, b| {
        let near = |job: &Job| strsim::jaro_winkler(&job.name, name);
        near(a).total_cmp(&near(b))
    });
    let shown = drydock_base::text::quoted(name);
    let hint =
        nearest.map_or_else(String::new, |job| format!("; did you mean {}?", drydock_base::text::quoted(&job.name)));
    Error::Usage(format!("the run has no job {shown}{hint}"))
}

fn same(names: &[String], others: &[&str]) -> bool {
    names.len() == others.len() && names.iter().all(|name| others.contains(&name.as_str()))
}

fn changes(before: &[Job], after: &[Job], attempt: u64) -> Vec<JobChange> {
    let state = |jobs: &[Job], name: &str| jobs.iter().find(|job| job.name == name).map(|job| job.state().to_owned());
    let gone = before.iter().filter(|job| after.iter().all(|other| other.name != job.name));
    let all = after.iter().map(|job| (job, true)).chain(gone.map(|job| (job, false)));
    all.map(|(job, is_there)| JobChange {
        name: job.name.clone(),
        before: state(before, &job.name),
        after: is_there.then(|| job.state().to_owned()),
        again: is_there && job.run_attempt > attempt,
        loss: lost::loss(job).filter(|_| is_there),
    })
    .collect()
}
