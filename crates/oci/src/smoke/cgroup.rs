//! A cgroup that limits the memory and the number of a smoke test's processes together, where one can be made.
//!
//! Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/memory.rst in the kernel's sources.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use drydock_base::units::ByteSize;

/// How the names of groups begin.
const NAME: &str = "drydock-smoke-";
/// The age at which an empty group is certainly left over: until its first process is in it, a new one is empty, too.
const LEFT_OVER: Duration = Duration::from_secs(3600);

/// The number of groups that this process has made.
static MADE: AtomicUsize = AtomicUsize::new(0);

/// The file of a group with the IDs of its processes.
const PROCS: &str = "cgroup.procs";

/// A cgroup, which is removed when dropped.
#[derive(Debug)]
pub(super) struct Cgroup {
    directory: PathBuf,
    /// The group below it that has the processes, if it is another one.
    inner: Option<PathBuf>,
    /// The group in the hierarchy that counts processes, if it is another one, as under version 1.
    counted: Option<PathBuf>,
    /// The file that counts the processes that the kernel killed at the limit.
    counter: &'static str,
}

impl Cgroup {
    /// Makes a group with limits of its memory and its number of processes; none where this process may not, or where no hierarchy
    /// counts memory.
    pub(super) fn make(limit: ByteSize, processes: u32) -> Option<Cgroup> {
        let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
        let name = format!("{NAME}{}-{}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
        let group = Cgroup::version_2(&groups, &name, limit).or_else(|| Cgroup::version_1(&groups, &name, limit))?;
        // Without the controller of processes, their memory limits them.
        fs::write(group.counted().join("pids.max"), processes.to_string()).ok();
        Some(group)
    }

    /// A group beside that of this process, since a group with processes gives no memory to groups below it. The processes are in
    /// another group below: who is root in its own namespaces can mount the group that it is in, and the files of a group that is
    /// delegated to this user are its own. The group with the limits is not reached from there.
    fn version_2(groups: &str, name: &str, limit: ByteSize) -> Option<Cgroup> {
        let path = groups.lines().find_map(|line| line.strip_prefix("0::"))?;
        let own = Path::new("/sys/fs/cgroup").join(path.trim_start_matches('/'));
        // Beside a job of Drydock, it would escape the job's limit.
        if path.contains("/drydock-") || !own.join("memory.max").is_file() {
            return None;
        }
        let mut group = Cgroup::create(own.parent()?, name, "memory.events")?;
        let outer = fs::read_to_string(own.join("memory.max")).ok()?;
        let limit = outer.trim().parse().map_or(limit.bytes(), |outer: u64| outer.min(limit.bytes()));
        fs::write(group.directory.join("memory.max"), limit.to_string()).ok()?;
        // Absent without swap.
        fs::write(group.directory.join("memory.swap.max"), "0").ok();
        let inner = group.directory.join("processes");
        fs::create_dir(&inner).ok()?;
        group.inner = Some(inner);
        Some(group)
    }

    fn version_1(groups: &str, name: &str, limit: ByteSize) -> Option<Cgroup> {
        let own = |controller: &str| {
            let path = groups.lines().find_map(|line| {
                let mut fields = line.splitn(3, ':').skip(1);
                let (controllers, path) = (fields.next()?, fields.next()?);
                controllers.split(',').any(|name| name == controller).then_some(path)
            })?;
            Some(Path::new("/sys/fs/cgroup").join(controller).join(path.trim_start_matches('/')))
        };
        let mut group = Cgroup::create(&own("memory")?, name, "memory.oom_control")?;
        let limit = limit.bytes().to_string();
        fs::write(group.directory.join("memory.limit_in_bytes"), &limit).ok()?;
        // Absent where the kernel does not count swap.
        fs::write(group.directory.join("memory.memsw.limit_in_bytes"), &limit).ok();
        let counted = own("pids").inspect(|own| sweep(own, LEFT_OVER));
        group.counted = counted.map(|own| own.join(name)).filter(|counted| fs::create_dir(counted).is_ok());
        Some(group)
    }

    fn create(parent: &Path, name: &str, counter: &'static str) -> Option<Cgroup> {
        sweep(parent, LEFT_OVER);
        let directory = parent.join(name);
        fs::create_dir(&directory).ok()?;
        let group = Cgroup { directory, inner: None, counted: None, counter };
        group.directory.join(PROCS).is_file().then_some(group)
    }

    /// The files that take the ID of a process into the group.
    pub(super) fn procs(&self) -> Vec<PathBuf> {
        let directories = [self.inner.as_ref().unwrap_or(&self.directory)].into_iter().chain(&self.counted);
        directories.map(|directory| directory.join(PROCS)).collect()
    }

    /// Returns true if the kernel killed a process of the group at its limit.
    pub(super) fn was_exceeded(&self) -> bool {
        is_counted(&self.directory.join(self.counter), "oom_kill ")
    }

    /// Returns true if the kernel refused a process or thread at the limit of their number.
    pub(super) fn is_out_of_processes(&self) -> bool {
        is_counted(&self.counted().join("pids.events"), "max ")
    }

    /// The group that counts processes.
    fn counted(&self) -> &Path {
        self.counted.as_ref().unwrap_or(&self.directory)
    }
}

/// Returns true if a file of a group counts at least one event of a kind.
fn is_counted(file: &Path, kind: &str) -> bool {
    let text = fs::read_to_string(file).unwrap_or_default();
    let number = text.lines().find_map(|line| line.strip_prefix(kind));
    number.and_then(|number| number.trim().parse::<u64>().ok()).is_some_and(|number| number > 0)
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        remove(&self.directory);
        if let Some(counted) = &self.counted {
            remove(counted);
        }
    }
}

/// Removes the groups of smoke tests whose Drydock was killed, once they are that old. The kernel removes no group that has a
/// process.
fn sweep(parent: &Path, age: Duration) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let is_old = || {
            entry.metadata().and_then(|found| found.modified()).is_ok_and(|at| at.elapsed().is_ok_and(|old| old >= age))
        };
        if entry.file_name().to_string_lossy().starts_with(NAME) && is_old() {
            for below in fs::read_dir(entry.path()).into_iter().flatten().flatten() {
                fs::remove_dir(below.path()).ok();
            }
            fs::remove_dir(entry.path()).ok();
        }
    }
}

/// Removes a group with the groups that its processes made, once they are gone: they are dead.
fn remove(group: &Path) {
    for entry in fs::read_dir(group).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove(&entry.path());
        }
    }
    for _ in 0..200 {
        match fs::remove_dir(group) {
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::BUSY.raw_os_error()) => {
                thread::sleep(Duration::from_millis(10));
            }
            Ok(()) | Err(_) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn groups_whose_maker_was_killed_are_removed_once_they_are_old_and_empty() {
        // Where this process may make no group, none is left behind.
        let Some(group) = Cgroup::make(ByteSize::mib(64), 1024) else { return };
        // As a kill leaves them; in this group, so that nobody else's are swept.
        let at = |name: &str| group.directory.join(name);
        let [empty, busy, foreign] = ["drydock-smoke-1-0", "drydock-smoke-1-1", "other"].map(at);
        for made in [&empty, &empty.join("processes"), &busy, &foreign] {
            fs::create_dir(made).unwrap();
        }
        let mut child = Command::new("sleep").arg("60").stdin(Stdio::null()).spawn().unwrap();
        fs::write(busy.join(PROCS), child.id().to_string()).unwrap();
        let there = || [&empty, &busy, &foreign].map(|group| group.exists());
        sweep(&group.directory, LEFT_OVER);
        assert_eq!(there(), [true; 3], "they are new");
        sweep(&group.directory, Duration::ZERO);
        assert_eq!(there(), [false, true, true]);
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
