//! The launcher: makes an attempt's directory, slot and identifier, and starts its process in a cgroup.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime};

use super::attempt::{Attempt, Baseline, Launch, StartError};
use super::slots::Slots;
use super::unix_ms;
use crate::conditions::Conditions;
use crate::containment::Containment;
use crate::plan::Plan;
use drydock_base::exec::{self, Programs};
use drydock_base::paths::RunDir;

/// Everything that is needed to start an attempt.
pub(super) struct Launcher<'a> {
    plan: &'a Plan,
    dir: &'a RunDir,
    run: String,
    run_began: SystemTime,
    containment: Box<dyn Containment>,
    programs: Programs,
    slots: Slots,
}

/// An attempt that has a directory and no process yet.
#[derive(Debug)]
pub(super) struct Prepared {
    /// The job's position in the plan.
    pub(super) job: usize,
    /// The attempt's number, from 1.
    pub(super) number: u32,
    /// Its name within the run, which its cgroup has too.
    pub(super) id: String,
    directory: PathBuf,
}

impl<'a> Launcher<'a> {
    pub(super) fn new(plan: &'a Plan, dir: &'a RunDir, containment: Box<dyn Containment>) -> Launcher<'a> {
        let (programs, slots) = (Programs::default(), Slots::default());
        Launcher { plan, dir, run: dir.id(), run_began: SystemTime::now(), containment, programs, slots }
    }

    /// The name of an attempt's cgroup below the run's, for containments that have one.
    pub(super) fn group(&self, prepared: &Prepared) -> Option<String> {
        self.containment.root().map(|_| prepared.id.clone())
    }

    /// Makes the directory of the attempt that follows number `last`. A directory that is there already was left by a
    /// start that failed, and its number is skipped.
    pub(super) fn prepare(&self, job: usize, last: u32) -> io::Result<Prepared> {
        let name = self.plan.jobs[job].name.as_str();
        let mut number = last.saturating_add(1);
        loop {
            let directory = self.dir.attempt(name, number);
            match make_directory(&directory, number == 1) {
                Ok(()) => return Ok(Prepared { job, number, id: format!("{job}-{number}"), directory }),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number = number.saturating_add(1),
                Err(error) => {
                    let text = format!("{}: {}", directory.display(), exec::plain(&error));
                    return Err(io::Error::new(error.kind(), text));
                }
            }
        }
    }

    /// Starts the prepared attempt.
    pub(super) fn start(
        &mut self,
        prepared: Prepared,
        conditions: Conditions,
        baseline: Baseline,
    ) -> Result<Attempt, StartError> {
        let slot = self.slots.take();
        let launch = Launch {
            job: &self.plan.jobs[prepared.job],
            position: prepared.job,
            number: prepared.number,
            conditions,
            baseline,
            run: &self.run,
            run_began: self.run_began,
            project: &self.plan.project,
            directory: prepared.directory,
            id: prepared.id,
            slot,
            began: Instant::now(),
            began_at: unix_ms(),
        };
        let started = Attempt::start(launch, &mut self.programs, &mut *self.containment);
        if started.is_err() {
            self.slots.free(slot);
        }
        started
    }

    /// Takes note that an attempt is gone.
    pub(super) fn ended(&mut self, attempt: &Attempt) {
        self.slots.free(attempt.slot);
    }
}

/// Makes the directory of an attempt. The first attempt of a job makes the job's directory too, so its parent is tried
/// first: two calls, where the parent's parent exists.
fn make_directory(directory: &Path, first: bool) -> io::Result<()> {
    if let Some(parent) = directory.parent().filter(|_| first) {
        match fs::create_dir(parent) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(_) => fs::create_dir_all(parent)?,
        }
    }
    match fs::create_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => fs::create_dir_all(directory),
        made => made,
    }
}
