//! Temporary directories that nobody else can read, and that do not stay behind: they are removed when they are dropped, when a
//! signal ends this process, and by the next process that makes one, if this one was killed.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use rustix::fs::{FlockOperation, Mode, OFlags, flock};
use rustix::io::Errno;

/// The beginning of the names of all of them, after a dot if they are hidden.
const PREFIX: &str = "drydock-scratch-";
/// A file that is locked as long as the directory is in use.
const LOCK: &str = "drydock.lock";
/// An empty directory without a lock was made by a process that has been killed at once, if it is older than this.
const MADE: Duration = Duration::from_secs(3600);

/// The file system in memory.
const MEMORY: &str = "/dev/shm";

/// Those of this process.
static LIVE: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());
static SWEPT: Once = Once::new();

/// A temporary directory, with the mode 0700.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
    /// Locked until the directory is removed.
    _lock: File,
}

impl Scratch {
    /// An empty directory in the directory for temporary files. `name` is a part of its name. The first call also removes those
    /// of processes that were killed.
    ///
    /// # Errors
    /// It cannot be made; the error names the directory for temporary files.
    pub fn new(name: &str) -> anyhow::Result<Scratch> {
        Scratch::new_in(name, &std::env::temp_dir())
    }

    /// As [`Scratch::new`], for many files: in memory, where there is room.
    ///
    /// # Errors
    /// As [`Scratch::new`].
    pub fn roomy(name: &str) -> anyhow::Result<Scratch> {
        Scratch::new_in(name, &roomy_memory().map_or_else(std::env::temp_dir, Path::to_owned))
    }

    /// As [`Scratch::new`], but hidden, in this directory, in which those of processes that were killed are removed first.
    ///
    /// # Errors
    /// As [`Scratch::new`].
    pub fn within(name: &str, parent: &Path) -> anyhow::Result<Scratch> {
        sweep(parent);
        Scratch::named(&format!(".{PREFIX}{name}-"), parent)
    }

    /// Lets other users enter and read it, such as one who builds.
    ///
    /// # Errors
    /// The permissions cannot be changed.
    pub fn open_to_others(self) -> anyhow::Result<Scratch> {
        fs::set_permissions(&self.path, Permissions::from_mode(0o755))
            .with_context(|| format!("cannot set the permissions of {}", self.path.display()))?;
        Ok(self)
    }

    fn new_in(name: &str, parent: &Path) -> anyhow::Result<Scratch> {
        Scratch::named(&format!("{PREFIX}{name}-"), parent)
    }

    fn named(prefix: &str, parent: &Path) -> anyhow::Result<Scratch> {
        SWEPT.call_once(|| {
            sweep(&std::env::temp_dir());
            sweep(Path::new(MEMORY));
        });
        let cannot = || format!("cannot make a temporary directory in {}", parent.display());
        // Once this process ends, none is made any more: the lock stays taken.
        let mut live = live();
        let made = tempfile::Builder::new()
            .prefix(prefix)
            .permissions(Permissions::from_mode(0o700))
            .tempdir_in(parent)
            .with_context(cannot)?;
        let unlocked = made.path().join("drydock.unlocked");
        let lock = OpenOptions::new().write(true).create_new(true).open(&unlocked).with_context(cannot)?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive).with_context(cannot)?;
        // Only now others may find it: a lock that is not taken means that nobody uses the directory.
        fs::rename(&unlocked, made.path().join(LOCK)).with_context(cannot)?;
        let path = made.keep();
        live.push(path.clone());
        Ok(Scratch { path, _lock: lock })
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Held until it is gone, so that this process does not end in the middle.
        let mut live = live();
        // What cannot be removed now is removed by the next process.
        remove(&self.path).ok();
        live.retain(|path| *path != self.path);
    }
}

/// A file system in memory with room for a whole Debian and a build in it, while that leaves as much again: for many small
/// files that nobody needs any more in a minute. Programs can be run there. Directories that are in use there, and may have
/// little in them yet, count with what they will need.
pub fn roomy_memory() -> Option<&'static Path> {
    const NEEDED: u64 = 8 << 30;
    const OTHER: u64 = 2 << 30;
    let space = rustix::fs::statvfs(MEMORY).ok()?;
    let meminfo = fs::read_to_string("/proc/meminfo").ok()?;
    let available = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = available.split_whitespace().next()?.parse().ok()?;
    let runs = !space.f_flag.contains(rustix::fs::StatVfsMountFlags::NOEXEC);
    let needed = NEEDED + OTHER * all_in(Path::new(MEMORY)).count() as u64;
    let roomy = space.f_bavail.saturating_mul(space.f_frsize) > needed && kib > needed >> 10;
    (runs && roomy).then_some(Path::new(MEMORY))
}

/// The temporary directories of all processes in a directory.
fn all_in(parent: &Path) -> impl Iterator<Item = PathBuf> {
    let is_own = |name: &str| name.strip_prefix('.').unwrap_or(name).starts_with(PREFIX);
    let entries = fs::read_dir(parent).into_iter().flatten().flatten();
    entries.filter(move |entry| is_own(&entry.file_name().to_string_lossy())).map(|entry| entry.path())
}

fn live() -> MutexGuard<'static, Vec<PathBuf>> {
    LIVE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Removes those of this process, which is about to end. Its threads may still write to them, so it is tried for a while; a
/// thread that wants to make or to remove one waits for ever.
pub(crate) fn remove_all() {
    let mut live = live();
    for path in std::mem::take(&mut *live) {
        for _ in 0..50 {
            match remove(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => std::thread::sleep(Duration::from_millis(5)),
                Ok(()) | Err(_) => break,
            }
        }
    }
    std::mem::forget(live);
}

/// Removes what processes of this user left behind that were killed.
fn sweep(parent: &Path) {
    // The time by the clock of the file system: that of this process may be varied.
    let Ok(now) = tempfile::tempfile_in(parent).and_then(|file| file.metadata()?.modified()) else { return };
    for path in all_in(parent) {
        if is_dead(&path, now) {
            // Another process may be removing it too.
            remove(&path).ok();
        }
    }
}

/// `true` if it is a directory of this user that a process made here and no process uses.
fn is_dead(path: &Path, now: SystemTime) -> bool {
    // Not followed, if it is a link.
    let Ok(data) = fs::symlink_metadata(path) else { return false };
    if !data.is_dir() || data.uid() != rustix::process::geteuid().as_raw() {
        return false;
    }
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    match rustix::fs::open(path.join(LOCK), flags, Mode::empty()).map(File::from) {
        Ok(lock) if lock.metadata().is_ok_and(|data| data.is_file()) => {
            flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok()
        }
        Ok(_) => false,
        Err(Errno::NOENT) => {
            let age = data.modified().ok().and_then(|made| now.duration_since(made).ok());
            let is_old = age.is_some_and(|age| age > MADE);
            let known = ["drydock.unlocked"];
            is_old
                && fs::read_dir(path).is_ok_and(|mut all| {
                    all.all(|entry| entry.is_ok_and(|entry| known.iter().any(|name| entry.file_name() == *name)))
                })
        }
        Err(_) => false,
    }
}

/// Removes a directory with all that is in it: no link is followed, no mount is entered, and directories that their owner may not
/// write, such as those of a tree of sources, are removed too.
fn remove(path: &Path) -> io::Result<()> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    // Blanks in the paths are written as \040; a directory with one in its name has none of ours.
    let below = format!("{}/", path.display());
    if mounts.lines().filter_map(|line| line.split(' ').nth(4)).any(|point| point.starts_with(&below)) {
        return Err(Errno::BUSY.into());
    }
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            let removed = open_up(path).and_then(|()| fs::remove_dir_all(path));
            removed.or_else(|error| if remove_with_subordinates(path) { Ok(()) } else { Err(error) })
        }
        result => result,
    }
}

/// Removes a directory in which subordinate users of this one have files, such as a chroot that sbuild unpacked.
fn remove_with_subordinates(path: &Path) -> bool {
    let words = ["unshare", "--map-root-user", "--map-auto", "rm", "-rf", "--one-file-system", "--"].map(str::to_owned);
    let argv: Vec<String> = words.into_iter().chain([path.display().to_string()]).collect();
    crate::exec::read(&argv, Path::new("/")).is_ok()
}

/// Lets the owner write all directories.
fn open_up(directory: &Path) -> io::Result<()> {
    fs::set_permissions(directory, Permissions::from_mode(0o700))?;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            open_up(&entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn it_is_private_and_gone_afterwards() {
        let scratch = Scratch::new("tests").unwrap();
        let path = scratch.path().to_owned();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o700);
        fs::create_dir_all(path.join("a/b")).unwrap();
        fs::write(path.join("a/b/c"), "").unwrap();
        fs::set_permissions(path.join("a/b"), Permissions::from_mode(0o555)).unwrap();
        assert!(!is_dead(&path, SystemTime::now()));
        drop(scratch);
        assert!(!path.exists());
        let parent = tempfile::tempdir().unwrap();
        let open = Scratch::within("tests", parent.path()).unwrap().open_to_others().unwrap();
        assert_eq!(fs::metadata(open.path()).unwrap().mode() & 0o7777, 0o755);
        assert!(open.path().starts_with(parent.path()));
    }

    #[test]
    fn only_what_nobody_uses_is_swept() {
        let parent = tempfile::tempdir().unwrap();
        let at = |name: &str| parent.path().join(format!("{PREFIX}{name}"));
        let make = |name: &str, mode: u32| {
            fs::create_dir(at(name)).unwrap();
            fs::write(at(name).join("theirs"), "").unwrap();
            fs::write(at(name).join(LOCK), "").unwrap();
            fs::set_permissions(at(name), Permissions::from_mode(mode)).unwrap();
        };
        let stays = ["used", "without-a-lock", "a-link", "a-pipe-as-lock", "a-link-as-lock", "a-file", "new"];
        make("dead", 0o700);
        make("used", 0o700);
        let used = File::open(at("used").join(LOCK)).unwrap();
        flock(&used, FlockOperation::LockExclusive).unwrap();
        make("dead-and-open", 0o755);
        make("without-a-lock", 0o700);
        fs::remove_file(at("without-a-lock").join(LOCK)).unwrap();
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join(LOCK), "").unwrap();
        symlink(outside.path(), at("a-link")).unwrap();
        for name in ["a-pipe-as-lock", "a-link-as-lock"] {
            make(name, 0o700);
            fs::remove_file(at(name).join(LOCK)).unwrap();
        }
        let pipe = at("a-pipe-as-lock").join(LOCK);
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        symlink(outside.path().join(LOCK), at("a-link-as-lock").join(LOCK)).unwrap();
        fs::write(at("a-file"), "").unwrap();
        fs::create_dir(at("new")).unwrap();
        fs::set_permissions(at("new"), Permissions::from_mode(0o700)).unwrap();
        fs::create_dir(at("old")).unwrap();
        let long_ago = SystemTime::now() - MADE * 2;
        File::open(at("old")).unwrap().set_modified(long_ago).unwrap();
        let theirs = parent.path().join("drydock-else");
        fs::create_dir(&theirs).unwrap();

        sweep(parent.path());
        assert!(!at("dead").exists() && !at("dead-and-open").exists() && !at("old").exists());
        for name in stays {
            assert!(fs::symlink_metadata(at(name)).is_ok(), "{name}");
        }
        assert!(theirs.exists() && outside.path().join(LOCK).exists());
    }
}
