//! One cgroup per job in the memory hierarchy of cgroup version 1 (Documentation/admin-guide/cgroup-v1/memory.rst).

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::Signal;

use super::killers::{SeenPids, kills_by_pid};
use super::{
    Containment, Group, Kind, Unavailable, Usage, mounts, read_keyed, read_members, read_number, remove_group,
    signal_process, subtree, with_escaped, without_cache,
};
use crate::evidence::{GroupCounters, Reading};
use crate::spawn::Program;
use drydock_base::units::ByteSize;

pub(super) struct V1 {
    root: PathBuf,
    path: String,
    /// The `tasks` file of Drydock's own group.
    home: Arc<File>,
    /// Whether the groups note the pids that they see.
    notes_pids: bool,
}

impl V1 {
    pub(super) fn new(run: &str) -> Result<V1, Unavailable> {
        let place = mounts::memory().ok_or(Unavailable::NotMounted { hierarchy: "cgroup v1 memory" })?;
        let name = format!("drydock-{run}");
        let root = place.dir.join(&name);
        fs::create_dir(&root)
            .or_else(|error| if error.kind() == io::ErrorKind::AlreadyExists { Ok(()) } else { Err(error) })
            .map_err(|source| Unavailable::Undelegated { dir: place.dir.clone(), source })?;
        let home = File::options().write(true).open(place.dir.join("tasks"));
        let home = home.map_err(|source| Unavailable::NotEnterable { dir: place.dir, source })?;
        let path = format!("{}/{name}", place.path.trim_end_matches('/'));
        Ok(V1 { root, path, home: Arc::new(home), notes_pids: kills_by_pid() })
    }
}

impl Containment for V1 {
    fn kind(&self) -> Kind {
        Kind::V1
    }

    fn root(&self) -> Option<&Path> {
        Some(&self.root)
    }

    fn open(&mut self, id: &str, limit: Option<ByteSize>) -> io::Result<Box<dyn Group>> {
        let dir = self.root.join(id);
        fs::create_dir(&dir)?;
        if let Some(limit) = limit {
            fs::write(dir.join("memory.limit_in_bytes"), limit.bytes().to_string())?;
            // Where the kernel accounts swap, the limit must hold for both together, or the job would only swap.
            // The file is absent where it does not.
            fs::write(dir.join("memory.memsw.limit_in_bytes"), limit.bytes().to_string()).ok();
        }
        let (path, home) = (format!("{}/{id}", self.path), Arc::clone(&self.home));
        Ok(Box::new(V1Group { path, dir, home, limit, seen: SeenPids::new(self.notes_pids) }))
    }
}

impl Drop for V1 {
    fn drop(&mut self) {
        // It stays while a cgroup is left in it.
        fs::remove_dir(&self.root).ok();
    }
}

struct V1Group {
    dir: PathBuf,
    path: String,
    home: Arc<File>,
    limit: Option<ByteSize>,
    seen: SeenPids,
}

impl V1Group {
    /// Moves the calling thread, and only it.
    fn enter(mut tasks: &File) -> io::Result<()> {
        tasks.write_all(b"0")
    }
}

impl Group for V1Group {
    /// A child is born in the group of the thread that makes it. So this thread enters the group, spawns, and goes
    /// back: the child needs no code of ours before exec, and spawning stays as quick as `posix_spawn`.
    fn start(&mut self, program: &Program) -> io::Result<u32> {
        V1Group::enter(&File::options().write(true).open(self.dir.join("tasks"))?)?;
        let started = program.start();
        let back = V1Group::enter(&self.home);
        if let (Ok(pid), Err(_)) = (&started, &back) {
            // The error below gives the reason.
            signal_process(*pid, Signal::KILL);
        }
        back.and(started)
    }

    fn members(&self, adopted: Option<&[u32]>) -> io::Result<Vec<u32>> {
        read_members(&self.dir).and_then(|members| with_escaped(members, adopted.unwrap_or_default()))
    }

    fn cpu(&self) -> Option<Duration> {
        // Where the hierarchy of memory counts CPU time too.
        read_number(self.dir.join("cpuacct.usage")).ok().map(Duration::from_nanos)
    }

    fn usage(&mut self, _adopted: &[u32]) -> io::Result<Usage> {
        self.seen.note(&self.dir);
        let stat = self.dir.join("memory.stat");
        let resident = read_keyed(stat.clone(), "total_rss")?;
        // The line is absent where the kernel does not account swap.
        let swapped = read_keyed(stat, "total_swap").unwrap_or(0);
        Ok(Usage { bytes: resident + swapped, swapped })
    }

    fn counters(&self) -> Reading<GroupCounters> {
        let read = || -> io::Result<GroupCounters> {
            // Version 1 does not count descendants, so the groups that the job created are added.
            let mut oom_kill = 0;
            for group in subtree(&self.dir) {
                oom_kill += read_keyed(group.join("memory.oom_control"), "oom_kill")?;
            }
            // `failcnt` also counts hits that reclaim could satisfy, so it matters only if the usage reached the limit.
            let at_limit = self
                .limit
                .is_some_and(|limit| self.highest().is_some_and(|highest| highest >= limit.bytes() / 64 * 63));
            let limit_hits = if oom_kill > 0 && at_limit { read_number(self.dir.join("memory.failcnt"))? } else { 0 };
            Ok(GroupCounters { oom_kill, limit_hits, peak: self.highest(), limit: self.limit.map(ByteSize::bytes) })
        };
        Reading::from_result(read())
    }

    /// With page cache.
    fn highest(&self) -> Option<u64> {
        read_number(self.dir.join("memory.max_usage_in_bytes")).ok()
    }

    fn peak(&self, highest: Option<u64>) -> Option<u64> {
        let stat = self.dir.join("memory.stat");
        highest.map(|highest| without_cache(highest, &stat, ["total_cache", "total_shmem"]))
    }

    fn known_pids(&self) -> &[u32] {
        &self.seen.pids
    }

    fn cgroup(&self) -> Option<&str> {
        Some(&self.path)
    }

    fn remove(&mut self) -> io::Result<()> {
        remove_group(&self.dir)
    }
}
