//! Containment: the processes of a job are tracked, measured and killed as a whole, with cgroup v2, cgroup v1, or
//! neither.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Pid, Signal};

use super::evidence::{GroupCounters, Reading};
use super::probe::process;
use super::spawn::Program;
use drydock_base::units::ByteSize;

mod killers;
mod mounts;
mod none;
mod scope;
mod v1;
mod v2;

pub use killers::OomdKill;
pub use scope::{enter as enter_scope, is_available as has_scope, is_needed as needs_scope};

/// The kinds of containment, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// One cgroup per job in the unified hierarchy.
    V2,
    /// One cgroup per job in the memory hierarchy of version 1.
    V1,
    /// Process groups, sessions and sampling only.
    None,
}

impl Kind {
    /// The word used in files and reports.
    pub fn name(self) -> &'static str {
        match self {
            Kind::V2 => "cgroup-v2",
            Kind::V1 => "cgroup-v1",
            Kind::None => "none",
        }
    }
}

/// Makes a group for each attempt.
pub trait Containment: Send {
    /// Its kind.
    fn kind(&self) -> Kind;
    /// The directory that holds the groups, for those that have one.
    fn root(&self) -> Option<&Path>;
    /// A fresh group; `id` is unique in the run and fit for a file name.
    fn open(&mut self, id: &str, limit: Option<ByteSize>) -> io::Result<Box<dyn Group>>;
}

/// One sample of a group's memory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Memory that cannot be reclaimed: anonymous memory for cgroups, PSS otherwise, and what was swapped out of it; in
    /// bytes.
    pub bytes: u64,
    /// The part of it that was swapped out, in bytes; zero where that is not counted.
    pub swapped: u64,
}

/// The processes of one attempt.
pub trait Group: Send {
    /// Starts the command inside, so that no descendant can be born outside.
    fn start(&mut self, program: &Program) -> io::Result<u32>;
    /// The living processes. `adopted` are the attempt's orphans, which are children of this process; `None` if this
    /// process has no orphans at all.
    fn members(&self, adopted: Option<&[u32]>) -> io::Result<Vec<u32>>;
    /// The time for which all of its processes waited for memory (PSI `full`), where the kernel counts it.
    fn stalled(&self) -> Option<Duration> {
        None
    }
    /// CPU time of all processes that were ever in it, user and system, where the kernel counts it for the group.
    fn cpu(&self) -> Option<Duration> {
        None
    }
    /// Present memory.
    fn usage(&mut self, adopted: &[u32]) -> io::Result<Usage>;
    /// The counters; to be read before [`Group::remove`].
    fn counters(&self) -> Reading<GroupCounters>;
    /// The most memory that its processes ever had, in bytes, page cache included, where the kernel counts it.
    fn highest(&self) -> Option<u64> {
        None
    }
    /// The most memory seen, in bytes, for the scheduler: without page cache that can be given back, as far as it is
    /// still there to be told apart. `highest` is [`GroupCounters::peak`].
    fn peak(&self, highest: Option<u64>) -> Option<u64>;
    /// Pids of processes that are known to have belonged to it.
    fn known_pids(&self) -> &[u32];
    /// The cgroup of the job, or one that the job made below it, whose processes systemd-oomd killed; to be read before
    /// [`Group::remove`].
    fn killed_by_oomd(&self) -> Option<OomdKill> {
        None
    }
    /// Its path within the cgroup file system, as the kernel log names it.
    fn cgroup(&self) -> Option<&str>;
    /// Kills all members in one step, where the kernel can.
    fn kill_at_once(&self) {}
    /// Signals every member once; the next call signals members that were started meanwhile.
    fn signal(&self, signal: Signal, adopted: Option<&[u32]>) -> io::Result<()> {
        if signal == Signal::KILL {
            self.kill_at_once();
        }
        for pid in self.members(adopted)? {
            signal_process(pid, signal);
        }
        Ok(())
    }
    /// Gives the group back. All processes must be gone.
    fn remove(&mut self) -> io::Result<()>;
}

/// The reason why jobs cannot be contained by cgroups of some version.
#[derive(Debug, thiserror::Error)]
pub enum Unavailable {
    /// The kernel or the container does not provide it.
    #[error("no {hierarchy} hierarchy is mounted")]
    NotMounted {
        /// The kind of hierarchy, such as `unified cgroup`.
        hierarchy: &'static str,
    },
    /// Memory is neither limited nor counted there.
    #[error("the memory controller is not available in {}", .dir.display())]
    NoMemoryController {
        /// This process's cgroup.
        dir: PathBuf,
    },
    /// A cgroup v2 could not be created or set up.
    #[error("cannot create a cgroup in {} ({source})", .dir.display())]
    Refused {
        /// This process's cgroup.
        dir: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// A cgroup v1 could not be created.
    #[error("cannot create a cgroup in {} ({source}); cgroup v1 requires root or delegation", .dir.display())]
    Undelegated {
        /// This process's cgroup.
        dir: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// Threads cannot be moved back into this process's cgroup.
    #[error("cannot write the `tasks` file of {} ({source})", .dir.display())]
    NotEnterable {
        /// This process's cgroup.
        dir: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The cgroup holds other processes, and is the top of what can be seen.
    #[error("{} holds other processes and has no parent cgroup", .dir.display())]
    NoParent {
        /// This process's cgroup.
        dir: PathBuf,
    },
    /// The cgroup holds other processes, and its parent does not control memory.
    #[error("{} holds other processes, and the memory controller is not available in its parent", .dir.display())]
    Shared {
        /// This process's cgroup.
        dir: PathBuf,
    },
    /// This process is part of a job of another run.
    #[error("{} belongs to another run of Drydock", .dir.display())]
    OtherRun {
        /// This process's cgroup.
        dir: PathBuf,
    },
}

/// Chooses the best containment that works here, or the one asked for.
///
/// The second value is the reason, for a person, why no cgroups are used.
///
/// # Errors
/// The one asked for is unavailable.
pub fn choose(asked: Option<Kind>, run: &str) -> Result<(Box<dyn Containment>, Option<String>), Unavailable> {
    let v2 = || v2::V2::new(run).map(|v2| Box::new(v2) as Box<dyn Containment>);
    let v1 = || v1::V1::new(run).map(|v1| Box::new(v1) as Box<dyn Containment>);
    match asked {
        Some(Kind::V2) => v2().map(|containment| (containment, None)),
        Some(Kind::V1) => v1().map(|containment| (containment, None)),
        Some(Kind::None) => Ok((Box::new(none::Uncontained), None)),
        None => {
            let no_v2 = match v2() {
                Ok(containment) => return Ok((containment, None)),
                Err(unavailable) => unavailable,
            };
            match v1() {
                Ok(containment) => Ok((containment, None)),
                Err(no_v1) => Ok((Box::new(none::Uncontained), Some(format!("{no_v2}; {no_v1}")))),
            }
        }
    }
}

/// The path of the group whose memory limit this process lives under, as the kernel log names it.
pub fn own_cgroup() -> Option<String> {
    mounts::memory().or_else(mounts::unified).map(|place| place.path)
}

/// The groups of this process that control memory in the hierarchy of that version: its own, then those above it.
pub fn own_groups(kind: Kind) -> Vec<PathBuf> {
    let place = match kind {
        Kind::V2 => mounts::unified(),
        Kind::V1 => mounts::memory(),
        Kind::None => None,
    };
    let Some(place) = place else { return Vec::new() };
    place.dir.ancestors().take_while(|dir| dir.join("cgroup.procs").exists()).map(Path::to_owned).collect()
}

/// The variable that marks each process of an attempt, so that it is recognized even if it left its session and parent.
pub const MARKER: &str = "DRYDOCK_ATTEMPT";

/// Sends a signal; one that is gone already is ignored.
pub fn signal_process(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        rustix::process::kill_process(pid, signal).ok();
    }
}

/// A group and all groups below it, which a job may have made (a container engine, systemd, Drydock itself).
fn subtree(group: &Path) -> Vec<PathBuf> {
    let mut groups = vec![group.to_owned()];
    let mut next = 0;
    while let Some(group) = groups.get(next) {
        // A leaf has two links, so that most groups need no listing.
        let is_leaf = fs::metadata(group).is_ok_and(|metadata| std::os::unix::fs::MetadataExt::nlink(&metadata) == 2);
        let below: Vec<PathBuf> = if is_leaf {
            Vec::new()
        } else {
            let entries = fs::read_dir(group).into_iter().flatten().flatten();
            entries
                .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
                .map(|entry| entry.path())
                .collect()
        };
        groups.extend(below);
        next += 1;
    }
    groups
}

/// The pids in the `cgroup.procs` files of a group and those below that still run.
fn read_members(group: &Path) -> io::Result<Vec<u32>> {
    let mut pids: Vec<u32> = Vec::new();
    for group in subtree(group) {
        match fs::read_to_string(group.join("cgroup.procs")) {
            Ok(text) => pids.extend(text.lines().filter_map(|line| line.parse::<u32>().ok())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    pids.retain(|pid| process::stat(*pid).is_some_and(|stat| stat.lives()));
    Ok(pids)
}

/// The members of a group with an attempt's orphans, which a privileged job may have moved out of it.
fn with_escaped(mut members: Vec<u32>, adopted: &[u32]) -> io::Result<Vec<u32>> {
    let escaped: Vec<u32> = adopted.iter().copied().filter(|pid| !members.contains(pid)).collect();
    if !escaped.is_empty() {
        let all = process::all()?;
        members.extend(escaped.into_iter().flat_map(|pid| process::tree(&all, pid)));
        members.sort_unstable();
        members.dedup();
        members.retain(|pid| all.iter().any(|stat| stat.pid == *pid && stat.lives()));
    }
    Ok(members)
}

/// Reads a file that holds one number.
fn read_number(path: PathBuf) -> io::Result<u64> {
    let text = fs::read_to_string(&path)?;
    text.trim().parse().map_err(|_| io::Error::other(format!("{}: `{}` is not a number", path.display(), text.trim())))
}

/// Peaks below this are not worth a closer look.
const SMALL_PEAK: u64 = 32 << 20;

/// A group's highest usage without the page cache that it holds now, which the kernel would have given back under
/// pressure. Shared memory counts as cache, but cannot be given back.
fn without_cache(highest: u64, stat: &Path, [cache, shared]: [&str; 2]) -> u64 {
    if highest < SMALL_PEAK {
        return highest;
    }
    let read = |key| read_keyed(stat.to_owned(), key).unwrap_or(0);
    highest.saturating_sub(read(cache).saturating_sub(read(shared)))
}

/// The number behind a key in a `key value` file.
pub(crate) fn read_keyed(path: PathBuf, key: &str) -> io::Result<u64> {
    let text = fs::read_to_string(&path)?;
    text.lines()
        .filter_map(|line| line.split_once(' '))
        .find(|(name, _)| *name == key)
        .and_then(|(_, value)| value.trim().parse().ok())
        .ok_or_else(|| io::Error::other(format!("{} has no `{key}`", path.display())))
}

/// Removes a group's directory. The kernel reports EBUSY for a moment after the last process has gone.
fn remove_group(group: &Path) -> io::Result<()> {
    for below in subtree(group).iter().skip(1).rev() {
        // The last removal fails if one of these does.
        fs::remove_dir(below).ok();
    }
    for _ in 0..50 {
        match fs::remove_dir(group) {
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {
                std::thread::sleep(std::time::Duration::from_millis(2));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            other => return other,
        }
    }
    fs::remove_dir(group)
}

/// Kills the processes that a killed run left in its groups, and removes the groups. Returns the killed command lines.
pub fn clean_up(root: &Path) -> Vec<String> {
    let mut killed = Vec::new();
    for round in 0..200 {
        let members = read_members(root).unwrap_or_default();
        if members.is_empty() {
            break;
        }
        for pid in members {
            if round == 0 {
                killed.push(format!("{pid} {}", process::command_line(pid)));
            }
            signal_process(pid, Signal::KILL);
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    // A cgroup with a process that cannot die stays.
    remove_group(root).ok();
    killed
}

/// Bytes that may still be used under each memory limit of this process's groups, in both hierarchies and all the way
/// up, with the name of the limit.
pub fn memory_room() -> Vec<(u64, String)> {
    let files = [
        (mounts::unified(), ["memory.max", "memory.high"], "memory.current", ["active_file", "inactive_file"]),
        (
            mounts::memory(),
            ["memory.limit_in_bytes", "hierarchical_memory_limit"],
            "memory.usage_in_bytes",
            ["total_active_file", "total_inactive_file"],
        ),
    ];
    let mut room = Vec::new();
    for (place, limits, usage, cache) in files {
        let Some(place) = place else { continue };
        let mut group = Some(place.dir.as_path());
        while let Some(dir) = group.filter(|dir| dir.join("cgroup.procs").exists()) {
            let limit = limits.into_iter().filter_map(|name| Some((limit(dir, name)?, name)));
            let limit = limit.min_by_key(|(bytes, _)| *bytes);
            if let (Some((limit, name)), Ok(usage)) = (limit, read_number(dir.join(usage))) {
                // The kernel reclaims page cache under pressure: all inactive pages, and about half of the active ones.
                let [active, idle] = cache.map(|key| read_keyed(dir.join("memory.stat"), key).unwrap_or(0));
                let free = limit.saturating_sub(usage.saturating_sub(idle + active / 2));
                room.push((free, format!("{name} of {}", dir.display())));
            }
            group = dir.parent();
        }
    }
    room
}

/// A limit of a group in bytes. "max", and version 1's rounded maximum, mean unlimited. A container may not see the
/// groups above it, but version 1 reports the tightest limit of them all in `memory.stat`.
fn limit(group: &Path, name: &str) -> Option<u64> {
    let limit = if name == "hierarchical_memory_limit" {
        read_keyed(group.join("memory.stat"), name)
    } else {
        read_number(group.join(name))
    };
    limit.ok().filter(|limit| *limit < 1 << 60)
}
