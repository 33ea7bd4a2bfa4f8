//! Where state lives on disk, and how files appear there.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use rustix::fs::{FlockOperation, flock};

/// The state directory of a project, by default `PROJECT/target/xtask`.
#[derive(Debug, Clone)]
pub struct State {
    root: PathBuf,
}

impl State {
    /// The state of `project`, or the directory named on the command line.
    pub fn new(project: &Path, named: Option<&Path>) -> anyhow::Result<State> {
        let root = match named {
            Some(path) => std::path::absolute(path).with_context(|| format!("cannot resolve {}", path.display()))?,
            None => project.join("target/xtask"),
        };
        Ok(State { root })
    }

    /// Creates the directory, with a `.gitignore` of its own so that it never shows up in the project's status.
    pub fn create(&self) -> anyhow::Result<()> {
        let runs = self.runs();
        fs::create_dir_all(&runs).with_context(|| format!("cannot create the state directory {}", runs.display()))?;
        let ignore = self.root.join(".gitignore");
        if !ignore.exists() {
            fs::write(&ignore, "*\n").with_context(|| format!("cannot write {}", ignore.display()))?;
        }
        Ok(())
    }

    /// The directory itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// One directory a run.
    pub fn runs(&self) -> PathBuf {
        self.root.join("runs")
    }

    /// The lock that keeps two runs apart.
    pub fn lock(&self) -> PathBuf {
        self.root.join("lock")
    }

    /// Duration, peak and outcome of each attempt.
    pub fn history(&self) -> PathBuf {
        self.root.join("history.jsonl")
    }

    /// The directory with the files of a release of that version.
    pub fn dist(&self, version: &str) -> PathBuf {
        self.root.join("dist").join(version)
    }

    /// The run that `runs/latest` points at, if there is one.
    pub fn latest_run(&self) -> Option<RunDir> {
        let link = self.runs().join("latest");
        let target = fs::read_link(&link).ok()?;
        let dir = self.runs().join(target);
        dir.is_dir().then(|| RunDir::new(dir))
    }

    /// The run of the given identifier.
    pub fn run(&self, id: &str) -> RunDir {
        RunDir::new(self.runs().join(id))
    }

    /// Makes `runs/latest` point at the run.
    pub fn set_latest(&self, id: &str) -> io::Result<()> {
        let fresh = self.runs().join(format!(".latest-{}", std::process::id()));
        // Only an interrupted run with the same process id leaves such a link.
        fs::remove_file(&fresh).ok();
        std::os::unix::fs::symlink(id, &fresh)?;
        fs::rename(&fresh, self.runs().join("latest"))
    }
}

/// The directory of one run.
#[derive(Debug, Clone)]
pub struct RunDir {
    root: PathBuf,
}

impl RunDir {
    /// The run kept in `root`.
    pub fn new(root: PathBuf) -> RunDir {
        RunDir { root }
    }

    /// The directory itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The run's identifier: the directory's name.
    pub fn id(&self) -> String {
        self.root.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
    }

    /// The file with the plan of the run.
    pub fn plan(&self) -> PathBuf {
        self.root.join("plan.json")
    }

    /// The file with the events of the run, in order.
    pub fn journal(&self) -> PathBuf {
        self.root.join("journal.jsonl")
    }

    /// The directory of one attempt, relative to the run: `jobs/NAME/ATTEMPT`.
    pub fn attempt_relative(job: &str, attempt: u32) -> PathBuf {
        PathBuf::from("jobs").join(job).join(attempt.to_string())
    }

    /// The directory of one attempt.
    pub fn attempt(&self, job: &str, attempt: u32) -> PathBuf {
        self.root.join(RunDir::attempt_relative(job, attempt))
    }
}

/// Opens a file that a job may have put there: never a link, and never a pipe or device that would block.
///
/// # Errors
/// As for any file, and for what is none.
pub fn open_regular(path: &Path) -> io::Result<fs::File> {
    let flags = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOFOLLOW;
    let flags = i32::try_from(flags.bits()).unwrap_or_default();
    let file = std::os::unix::fs::OpenOptionsExt::custom_flags(fs::OpenOptions::new().read(true), flags).open(path)?;
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::Error::new(io::ErrorKind::Unsupported, "not a regular file"))
    }
}

/// A file system in memory with room for a whole Debian and a build in it, while that leaves as much again: for many small
/// files that nobody needs any more in a minute. Programs can be run there.
pub fn roomy_memory() -> Option<&'static Path> {
    const NEEDED: u64 = 8 << 30;
    let space = rustix::fs::statvfs("/dev/shm").ok()?;
    let meminfo = fs::read_to_string("/proc/meminfo").ok()?;
    let available = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = available.split_whitespace().next()?.parse().ok()?;
    let runs = !space.f_flag.contains(rustix::fs::StatVfsMountFlags::NOEXEC);
    let roomy = space.f_bavail.saturating_mul(space.f_frsize) > NEEDED && kib > NEEDED >> 10;
    (runs && roomy).then_some(Path::new("/dev/shm"))
}

/// A temporary directory for many files, in memory where there is room.
#[derive(Debug)]
pub struct Scratch {
    directory: tempfile::TempDir,
    /// Held while it is used, so that what a killed process left can be told from it.
    _lock: fs::File,
}

/// Directories that are younger may not have their lock yet.
const SETTLED: Duration = Duration::from_secs(60);

impl Scratch {
    /// Makes one, and removes those of its kind that killed processes left.
    ///
    /// # Errors
    /// The directory cannot be created.
    pub fn new(prefix: &str) -> anyhow::Result<Scratch> {
        Scratch::new_in(prefix, &roomy_memory().map_or_else(std::env::temp_dir, Path::to_owned))
    }

    fn new_in(prefix: &str, parent: &Path) -> anyhow::Result<Scratch> {
        forget_killed(prefix, parent);
        let cannot = || format!("cannot make a directory in {}", parent.display());
        let directory = tempfile::Builder::new().prefix(prefix).tempdir_in(parent).with_context(cannot)?;
        let lock = fs::File::create(directory.path().join("lock")).with_context(cannot)?;
        flock(&lock, FlockOperation::LockExclusive).with_context(cannot)?;
        Ok(Scratch { directory, _lock: lock })
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }
}

fn forget_killed(prefix: &str, parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let path = entry.path();
        let settled = entry.metadata().ok().and_then(|data| data.modified().ok()?.elapsed().ok()) > Some(SETTLED);
        if !settled || !entry.file_name().to_string_lossy().starts_with(prefix) {
            continue;
        }
        let Ok(lock) = open_regular(&path.join("lock")) else { continue };
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok() {
            // The directory may belong to another user.
            fs::remove_dir_all(&path).ok();
        }
    }
}

/// Writes a whole file so that readers see the old content or the new, never a part: a temporary file in the same
/// directory, synced, then renamed over the target.
pub fn write_atomically(path: &Path, content: &[u8]) -> anyhow::Result<()> {
    let directory = path.parent().unwrap_or_else(|| Path::new("."));
    let write = || -> io::Result<()> {
        let mut file = tempfile::Builder::new()
            .prefix(".part-")
            .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))
            .tempfile_in(directory)?;
        file.write_all(content)?;
        file.as_file().sync_data()?;
        file.persist(path)?;
        Ok(())
    };
    write().with_context(|| format!("cannot write {}; is the disk full or the directory read-only?", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_as_a_whole_and_nothing_is_left_beside_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("run.json");
        write_atomically(&path, b"old").unwrap();
        write_atomically(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_a_killed_process_left_is_removed_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let long_ago = std::time::SystemTime::now() - SETTLED * 2;
        let age = |path: &Path| fs::File::open(path).unwrap().set_modified(long_ago).unwrap();
        let used = Scratch::new_in("mine-", directory.path()).unwrap();
        for (name, lock) in [("mine-left", true), ("mine-young", true), ("mine-without", false), ("other", true)] {
            fs::create_dir(directory.path().join(name)).unwrap();
            if lock {
                fs::write(directory.path().join(name).join("lock"), "").unwrap();
            }
        }
        [
            used.path(),
            &directory.path().join("mine-left"),
            &directory.path().join("mine-without"),
            &directory.path().join("other"),
        ]
        .into_iter()
        .for_each(age);
        forget_killed("mine-", directory.path());
        let there = |name: &str| directory.path().join(name).exists();
        assert!(used.path().exists() && there("mine-young") && there("mine-without") && there("other"));
        assert!(!there("mine-left"));
    }

    #[test]
    fn only_regular_files_are_opened() {
        let directory = tempfile::tempdir().unwrap();
        let (file, link, pipe) =
            (directory.path().join("file"), directory.path().join("link"), directory.path().join("pipe"));
        fs::write(&file, "x").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        assert!(open_regular(&file).is_ok());
        assert!(
            open_regular(&link).is_err() && open_regular(&pipe).is_err() && open_regular(directory.path()).is_err()
        );
    }

    #[test]
    fn latest_follows_the_newest_run() {
        let directory = tempfile::tempdir().unwrap();
        let state = State::new(directory.path(), None).unwrap();
        state.create().unwrap();
        assert!(state.latest_run().is_none());
        for id in ["a", "b"] {
            fs::create_dir(state.runs().join(id)).unwrap();
            state.set_latest(id).unwrap();
        }
        assert_eq!(state.latest_run().unwrap().id(), "b");
    }
}
