//! Orphans: processes whose parent died became children of Drydock, which is a child subreaper. All of them descend from
//! jobs, however they left their session, group and environment.

use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use rustix::process::{Pid, WaitOptions};

use super::attempt::Attempt;
use crate::containment::MARKER;
use crate::mark::Mark;
use crate::probe::process;

/// The processes that were adopted.
pub(super) struct Orphans {
    /// The list of the children of the first thread, to which the kernel gives orphans; jobs are started by another one.
    children: Option<File>,
    /// Children that this process had before any job, such as those of a shell that it was started from by exec. Their
    /// orphans cannot be told from a job's.
    foreign: HashSet<u32>,
}

/// The living orphans at one moment.
#[derive(Debug, Default)]
pub(super) struct Adopted(Vec<(u32, Option<Mark>)>);

impl Orphans {
    /// Begins to adopt. Call before the first job starts.
    ///
    /// # Errors
    /// The kernel refuses it.
    pub(super) fn adopt() -> io::Result<Orphans> {
        rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
        let me = std::process::id();
        let children = File::open(format!("/proc/self/task/{me}/children")).ok();
        let mut this = Orphans { children, foreign: HashSet::new() };
        this.foreign = this.children(&[])?.into_iter().collect();
        Ok(this)
    }

    /// The living orphans. Dead ones are reaped.
    ///
    /// # Errors
    /// The processes cannot be listed.
    pub(super) fn living(&self, running: &[Attempt]) -> io::Result<Adopted> {
        loop {
            let children = self.children(running)?;
            let (living, dead): (Vec<u32>, Vec<u32>) =
                children.into_iter().partition(|pid| process::stat(*pid).is_some_and(|stat| stat.lives()));
            let reaped = dead.into_iter().filter(|pid| {
                let pid = i32::try_from(*pid).ok().and_then(Pid::from_raw);
                matches!(rustix::process::waitpid(pid, WaitOptions::NOHANG), Ok(Some(_)))
            });
            // What a dead one left behind may have been adopted after the list was read.
            if reaped.count() == 0 {
                return Ok(Adopted(living.into_iter().map(|pid| (pid, Mark::read(pid))).collect()));
            }
        }
    }

    /// Children of this process, dead or alive, that are neither the main process of a running attempt nor foreign.
    fn children(&self, running: &[Attempt]) -> io::Result<Vec<u32>> {
        let mut children = match &self.children {
            Some(file) => {
                let mut text = String::new();
                let mut piece = [0; 4096];
                while let read @ 1.. = file.read_at(&mut piece, text.len() as u64)? {
                    text.push_str(&String::from_utf8_lossy(piece.get(..read).unwrap_or_default()));
                }
                text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
            }
            // The kernel is built without CONFIG_PROC_CHILDREN.
            None => {
                let me = std::process::id();
                process::all()?.iter().filter(|stat| stat.parent == me).map(|stat| stat.pid).collect::<Vec<u32>>()
            }
        };
        let is_main = |pid: u32| running.iter().any(|attempt| attempt.pid == pid && attempt.end.is_none());
        children.retain(|pid| !self.foreign.contains(pid) && !is_main(*pid));
        Ok(children)
    }

    /// `true` if an orphan without a mark can only be a job's.
    fn are_all_from_jobs(&self) -> bool {
        self.foreign.is_empty() && std::process::id() != 1
    }

    /// Those that belong to an attempt, by its mark or by the variable in its environment. One that a privileged job took
    /// the mark from belongs to the last attempt that runs.
    pub(super) fn of(&self, adopted: &Adopted, attempt: &Attempt, is_last: bool) -> Vec<u32> {
        let unmarked = |pid| {
            let variable = process::environment_variable(pid, MARKER);
            variable.map_or(is_last && self.are_all_from_jobs(), |value| value == attempt.marker)
        };
        let belongs =
            |(pid, mark): &(u32, Option<Mark>)| mark.map_or_else(|| unmarked(*pid), |mark| mark == attempt.mark);
        adopted.0.iter().copied().filter(belongs).map(|(pid, _)| pid).collect()
    }

    /// Those that are left at the end of a run, and that only its jobs can have started.
    pub(super) fn left(&self, run: &str) -> io::Result<Vec<u32>> {
        let from_job = |mark: Option<Mark>| mark.map_or(self.are_all_from_jobs(), |mark| mark.is_of(run));
        let living = self.living(&[])?;
        Ok(living.0.into_iter().filter(|(_, mark)| from_job(*mark)).map(|(pid, _)| pid).collect())
    }
}

impl Adopted {
    /// `true` if there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
