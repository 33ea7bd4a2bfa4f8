//! A cgroup that limits the memory of a smoke test's processes together, where one can be made.
//!
//! Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/memory.rst in the kernel's sources.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use drydock_base::units::ByteSize;

/// The number of groups that this process has made.
static MADE: AtomicUsize = AtomicUsize::new(0);

/// A cgroup, which is removed when dropped.
#[derive(Debug)]
pub(super) struct Cgroup {
    directory: PathBuf,
    /// The group below it that has the processes, if it is another one.
    inner: Option<PathBuf>,
    /// The file that counts the processes that the kernel killed at the limit.
    counter: &'static str,
}

impl Cgroup {
    /// Makes a group with a limit; none where this process may not, or where no hierarchy counts memory.
    pub(super) fn make(limit: ByteSize) -> Option<Cgroup> {
        let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
        let name = format!("drydock-smoke-{}-{}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
        Cgroup::version_2(&groups, &name, limit).or_else(|| Cgroup::version_1(&groups, &name, limit))
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
        // Absent without swap, or without the controller of processes.
        fs::write(group.directory.join("memory.swap.max"), "0").ok();
        fs::write(group.directory.join("pids.max"), "1024").ok();
        let inner = group.directory.join("processes");
        fs::create_dir(&inner).ok()?;
        group.inner = Some(inner);
        Some(group)
    }

    fn version_1(groups: &str, name: &str, limit: ByteSize) -> Option<Cgroup> {
        let path = groups.lines().find_map(|line| {
            let mut fields = line.splitn(3, ':').skip(1);
            let (controllers, path) = (fields.next()?, fields.next()?);
            controllers.split(',').any(|name| name == "memory").then_some(path)
        })?;
        let own = Path::new("/sys/fs/cgroup/memory").join(path.trim_start_matches('/'));
        let group = Cgroup::create(&own, name, "memory.oom_control")?;
        let limit = limit.bytes().to_string();
        fs::write(group.directory.join("memory.limit_in_bytes"), &limit).ok()?;
        // Absent where the kernel does not count swap.
        fs::write(group.directory.join("memory.memsw.limit_in_bytes"), &limit).ok();
        Some(group)
    }

    fn create(parent: &Path, name: &str, counter: &'static str) -> Option<Cgroup> {
        let directory = parent.join(name);
        fs::create_dir(&directory).ok()?;
        let group = Cgroup { directory, inner: None, counter };
        group.procs().is_file().then_some(group)
    }

    /// The file that takes the ID of a process into the group.
    pub(super) fn procs(&self) -> PathBuf {
        self.inner.as_ref().unwrap_or(&self.directory).join("cgroup.procs")
    }

    /// Returns true if the kernel killed a process of the group at its limit.
    pub(super) fn was_exceeded(&self) -> bool {
        let text = fs::read_to_string(self.directory.join(self.counter)).unwrap_or_default();
        let killed = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
        killed.and_then(|number| number.trim().parse::<u64>().ok()).is_some_and(|number| number > 0)
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        remove(&self.directory);
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
