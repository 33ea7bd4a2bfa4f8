//! The launcher: makes an attempt's directory, slot and identifier, and starts its process in a cgroup.

use std::io;
use std::path::PathBuf;
use std::time::{Instant, SystemTime};

use anyhow::Context as _;

use super::attempt::{Attempt, Baseline, Launch, StartError};
use super::outputs::Outputs;
use super::slots::Slots;
use super::unix_ms;
use crate::conditions::Conditions;
use crate::containment::Containment;
use crate::mark::Mark;
use crate::plan::Plan;
use drydock_base::exec::{self, Programs};
use drydock_base::held_dir::HeldDir;
use drydock_base::paths::RunDir;
use drydock_valgrind::options;

/// Everything that is needed to start an attempt.
pub(super) struct Launcher<'a> {
    plan: &'a Plan,
    dir: &'a RunDir,
    /// The directory of all attempts.
    jobs: HeldDir,
    run: String,
    run_began: SystemTime,
    containment: Box<dyn Containment>,
    programs: Programs,
    slots: Slots,
    outputs: Outputs,
    /// The number of attempts that were started.
    started: u32,
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
    directory: HeldDir,
}

impl<'a> Launcher<'a> {
    /// A launcher of the plan's jobs.
    ///
    /// # Errors
    /// There are too many threads or descriptors, or something has the place of the directory of all attempts.
    pub(super) fn new(
        plan: &'a Plan,
        dir: &'a RunDir,
        containment: Box<dyn Containment>,
    ) -> anyhow::Result<Launcher<'a>> {
        let (programs, slots) = (Programs::default(), Slots::default());
        let outputs = Outputs::new().context("cannot start a thread for the output of jobs")?;
        let jobs = dir.directory().and_then(|directory| directory.directory(RunDir::JOBS));
        let jobs = jobs.with_context(|| format!("cannot use {}", dir.root().join(RunDir::JOBS).display()))?;
        let (run, run_began) = (dir.id(), options::file_clock());
        Ok(Launcher { plan, dir, jobs, run, run_began, containment, programs, slots, outputs, started: 0 })
    }

    /// The run's identifier.
    pub(super) fn run(&self) -> &str {
        &self.run
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
        let at = |error: io::Error| {
            let text = format!("{}: {}", self.jobs.path().join(name).display(), exec::plain(&error));
            io::Error::new(error.kind(), text)
        };
        // Each name by itself, so that no link is followed.
        let parts = name.split('/').try_fold(self.jobs.clone(), |above, part| above.directory(part));
        let of_job = parts.map_err(at)?;
        loop {
            match of_job.create(&number.to_string()) {
                Ok(()) => break,
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number = number.saturating_add(1),
                Err(error) => return Err(at(error)),
            }
        }
        let directory = of_job.directory(&number.to_string()).map_err(at)?;
        Ok(Prepared { job, number, id: format!("{job}-{number}"), directory })
    }

    /// The directory of an attempt.
    pub(super) fn attempt(&self, job: &str, number: u32) -> PathBuf {
        self.dir.attempt(job, number)
    }

    /// `true` if the run's directory is where it was.
    pub(super) fn is_in_place(&self) -> bool {
        self.dir.is_in_place()
    }

    /// Starts the prepared attempt.
    pub(super) fn start(
        &mut self,
        prepared: Prepared,
        conditions: Conditions,
        baseline: Baseline,
    ) -> Result<Attempt, StartError> {
        let slot = self.slots.take();
        self.started += 1;
        let launch = Launch {
            job: &self.plan.jobs[prepared.job],
            position: prepared.job,
            number: prepared.number,
            conditions,
            baseline,
            run: &self.run,
            run_began: self.run_began,
            mark: Mark::new(&self.run, self.started),
            project: &self.plan.project,
            directory: prepared.directory,
            id: prepared.id,
            slot,
            began: Instant::now(),
            began_at: unix_ms(),
        };
        let started = Attempt::start(launch, &mut self.programs, &mut *self.containment, &self.outputs);
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
