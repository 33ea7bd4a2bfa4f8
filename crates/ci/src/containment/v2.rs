//! One cgroup per job in the unified hierarchy (Documentation/admin-guide/cgroup-v2.rst).
//!
//! A group that gives memory to its children may hold no processes itself, unless it is the root. So the groups are
//! made below the root, below a delegated group after this process has moved into a leaf of it, or, for a privileged
//! user whose group holds other processes too, beside the own group with its limit copied.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::killers::{SeenPids, kills_by_pid};
use super::{
    Containment, Group, Kind, OomdKill, Unavailable, Usage, mounts, read_keyed, read_members, read_number,
    remove_group, with_escaped, without_cache,
};
use rustix::fs::{XattrFlags, setxattr};

use crate::capacity;
use crate::evidence::{GroupCounters, Reading};
use crate::probe::{host, systemd};
use crate::spawn::Program;
use drydock_base::units::ByteSize;

pub(super) struct V2 {
    root: PathBuf,
    path: String,
    /// The leaf that this process moved into, and the group that it came from.
    moved: Option<(PathBuf, PathBuf)>,
    /// Whether the groups note the pids that they see.
    notes_pids: bool,
}

impl V2 {
    pub(super) fn new(run: &str) -> Result<V2, Unavailable> {
        let own = mounts::unified().ok_or(Unavailable::NotMounted { hierarchy: "unified cgroup" })?;
        let has_memory = |dir: &Path| {
            fs::read_to_string(dir.join("cgroup.controllers"))
                .is_ok_and(|controllers| controllers.split_whitespace().any(|controller| controller == "memory"))
        };
        let dir = || own.dir.clone();
        if !has_memory(&own.dir) {
            return Err(Unavailable::NoMemoryController { dir: dir() });
        }
        let name = format!("drydock-{run}");
        let refused = |source: io::Error| Unavailable::Refused { dir: dir(), source };
        let is_root = !own.dir.join("cgroup.type").exists();
        if is_root {
            return V2::below(&own.dir, &own.path, &name).map_err(refused);
        }
        let me = std::process::id();
        let only_me = || {
            fs::read_to_string(own.dir.join("cgroup.procs"))
                .is_ok_and(|text| text.lines().all(|line| line.parse() == Ok(me)))
        };
        // In a unit that ends with the first process that the kernel kills in it, no job may have its cgroup.
        let ends_with_jobs = || {
            let stopped = systemd::stopped_at_kills(&super::own_groups(Kind::V2));
            stopped.iter().any(|unit| unit.group == own.dir)
        };
        if only_me() && !ends_with_jobs() {
            let leaf = own.dir.join(format!("{name}-supervisor"));
            fs::create_dir_all(&leaf).map_err(refused)?;
            // systemd-oomd takes the cgroup that was searched most for free memory: without a job in it, that may be Drydock's,
            // whose files were dropped from memory (systemd.resource-control(5), `ManagedOOMPreference=avoid`).
            setxattr(&leaf, "user.oomd_avoid", b"1", XattrFlags::empty()).ok();
            fs::write(leaf.join("cgroup.procs"), "0").map_err(refused)?;
            let mut made = V2::below(&own.dir, &own.path, &name).map_err(refused)?;
            made.moved = Some((leaf, dir()));
            made.protect_drydock().map_err(refused)?;
            return Ok(made);
        }
        let (Some(parent), Some((parent_path, _))) = (own.dir.parent(), own.path.rsplit_once('/')) else {
            return Err(Unavailable::NoParent { dir: dir() });
        };
        if own.path.contains("/drydock-") {
            // A cgroup beside that of an outer run's job would escape the outer run's kill and limit.
            return Err(Unavailable::OtherRun { dir: dir() });
        }
        if !has_memory(parent) {
            return Err(Unavailable::Shared { dir: dir() });
        }
        let made = V2::below(parent, parent_path, &name).map_err(refused)?;
        let limit = fs::read_to_string(own.dir.join("memory.max")).unwrap_or_else(|_| "max".into());
        fs::write(made.root.join("memory.max"), limit.trim()).map_err(refused)?;
        made.protect_drydock().map_err(refused)?;
        Ok(made)
    }

    /// Where the kernel would kill all processes of a group above (`memory.oom.group`), the jobs together get a limit that
    /// is reached before: then it kills one of their processes, and Drydock lives to tell.
    fn protect_drydock(&self) -> io::Result<()> {
        let kills_all =
            |group: &Path| fs::read_to_string(group.join("memory.oom.group")).is_ok_and(|set| set.trim() == "1");
        if !self.root.ancestors().skip(1).any(kills_all) {
            return Ok(());
        }
        let available = host::meminfo().available;
        let room = super::memory_room().into_iter().map(|(bytes, _)| bytes).chain(available).min();
        let Some(room) = room else { return Ok(()) };
        let own = read_number(self.root.join("memory.max")).unwrap_or(u64::MAX);
        fs::write(self.root.join("memory.max"), own.min(room - room / capacity::MARGIN).to_string())
    }

    fn below(dir: &Path, path: &str, name: &str) -> io::Result<V2> {
        give_memory(dir)?;
        let root = dir.join(name);
        fs::create_dir_all(&root)?;
        give_memory(&root)?;
        Ok(V2 { root, path: format!("{}/{name}", path.trim_end_matches('/')), moved: None, notes_pids: kills_by_pid() })
    }
}

/// Lets the groups below have memory limits and counters.
fn give_memory(dir: &Path) -> io::Result<()> {
    let control = dir.join("cgroup.subtree_control");
    if fs::read_to_string(&control)?.split_whitespace().any(|controller| controller == "memory") {
        return Ok(());
    }
    fs::write(control, "+memory")
}

impl Containment for V2 {
    fn kind(&self) -> Kind {
        Kind::V2
    }

    fn root(&self) -> Option<&Path> {
        Some(&self.root)
    }

    fn open(&mut self, id: &str, limit: Option<ByteSize>) -> io::Result<Box<dyn Group>> {
        let dir = self.root.join(id);
        fs::create_dir(&dir)?;
        if let Some(limit) = limit {
            fs::write(dir.join("memory.max"), limit.bytes().to_string())?;
            // The file is absent where the kernel does not account swap.
            fs::write(dir.join("memory.swap.max"), "0").ok();
        }
        Ok(Box::new(V2Group { path: format!("{}/{id}", self.path), dir, limit, seen: SeenPids::new(self.notes_pids) }))
    }
}

impl Drop for V2 {
    fn drop(&mut self) {
        // It stays while a cgroup is left in it.
        fs::remove_dir(&self.root).ok();
        if let Some((leaf, own)) = &self.moved {
            // The own group accepts processes again once it does not delegate memory.
            let back = fs::write(own.join("cgroup.subtree_control"), "-memory")
                .and_then(|()| fs::write(own.join("cgroup.procs"), "0"));
            if back.is_ok() {
                // Otherwise it is removed with the scope.
                fs::remove_dir(leaf).ok();
            }
        }
    }
}

struct V2Group {
    dir: PathBuf,
    path: String,
    limit: Option<ByteSize>,
    seen: SeenPids,
}

impl V2Group {}

impl Group for V2Group {
    fn start(&mut self, program: &Program) -> io::Result<u32> {
        program.start_in(&File::options().write(true).open(self.dir.join("cgroup.procs"))?)
    }

    fn members(&self, adopted: Option<&[u32]>) -> io::Result<Vec<u32>> {
        read_members(&self.dir).and_then(|members| with_escaped(members, adopted.unwrap_or_default()))
    }

    fn stalled(&self) -> Option<Duration> {
        let text = fs::read_to_string(self.dir.join("memory.pressure")).ok()?;
        let total = text.lines().find(|line| line.starts_with("full "))?.split_once("total=")?.1;
        total.trim().parse().ok().map(Duration::from_micros)
    }

    fn cpu(&self) -> Option<Duration> {
        // Every cgroup v2 has this file, whichever controllers are enabled.
        read_keyed(self.dir.join("cpu.stat"), "usage_usec").ok().map(Duration::from_micros)
    }

    fn usage(&mut self, _adopted: &[u32]) -> io::Result<Usage> {
        self.seen.note(&self.dir);
        let resident = read_keyed(self.dir.join("memory.stat"), "anon")?;
        // The file is absent where the kernel does not account swap.
        let swapped = read_number(self.dir.join("memory.swap.current")).unwrap_or(0);
        Ok(Usage { bytes: resident + swapped, swapped })
    }

    fn counters(&self) -> Reading<GroupCounters> {
        let read = || -> io::Result<GroupCounters> {
            let oom_kill = read_keyed(self.dir.join("memory.events"), "oom_kill")?;
            let limit_hits = if oom_kill > 0 { read_keyed(self.dir.join("memory.events.local"), "oom")? } else { 0 };
            Ok(GroupCounters { oom_kill, limit_hits, peak: self.highest(), limit: self.limit.map(ByteSize::bytes) })
        };
        Reading::from_result(read())
    }

    /// With page cache.
    fn highest(&self) -> Option<u64> {
        read_number(self.dir.join("memory.peak")).ok()
    }

    fn peak(&self, highest: Option<u64>) -> Option<u64> {
        let stat = self.dir.join("memory.stat");
        highest.map(|highest| without_cache(highest, &stat, ["file", "shmem"]))
    }

    fn known_pids(&self) -> &[u32] {
        &self.seen.pids
    }

    fn killed_by_oomd(&self) -> Option<OomdKill> {
        OomdKill::read(&self.dir)
    }

    fn cgroup(&self) -> Option<&str> {
        Some(&self.path)
    }

    fn kill_at_once(&self) {
        // `cgroup.kill` (Linux 5.14) kills all members, including those that are being forked.
        if let Ok(mut file) = File::options().write(true).open(self.dir.join("cgroup.kill")) {
            // Members are then killed one by one.
            file.write_all(b"1").ok();
        }
    }

    fn remove(&mut self) -> io::Result<()> {
        remove_group(&self.dir)
    }
}
