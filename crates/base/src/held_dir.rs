//! A directory that is held by a descriptor: what is done in it stays in it, wherever its path leads by now, and nothing in
//! it is followed to another place.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{Mode, OFlags};

/// A directory, held open.
#[derive(Debug, Clone)]
pub struct HeldDir {
    descriptor: Arc<OwnedFd>,
    path: PathBuf,
}

/// The way to open a file in a held directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Read and append; created if it is not there.
    Append,
    /// Read and write a file that was not there.
    CreateNew,
    /// Read.
    Read,
}

impl HeldDir {
    /// Holds the directory of that path, whose last component is not a link.
    ///
    /// # Errors
    /// It is not there, not a directory, or a link.
    pub fn open(path: &Path) -> io::Result<HeldDir> {
        let opened = rustix::fs::open(path, OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty());
        let descriptor = opened.map_err(|errno| wrong_kind(errno, "not a directory"))?;
        Ok(HeldDir { descriptor: Arc::new(descriptor), path: path.to_owned() })
    }

    /// Holds a directory below this one; `name` has one component. It is created if it is not there.
    ///
    /// # Errors
    /// Something else has the name, or it cannot be created.
    pub fn directory(&self, name: &str) -> io::Result<HeldDir> {
        match self.existing(name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                match self.create(name) {
                    Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                    Ok(()) | Err(_) => {}
                }
                self.existing(name)
            }
            other => other,
        }
    }

    /// Creates a directory below this one; `name` has one component.
    ///
    /// # Errors
    /// The name is taken, or nothing can be created.
    pub fn create(&self, name: &str) -> io::Result<()> {
        Ok(rustix::fs::mkdirat(&*self.descriptor, name, Mode::from_raw_mode(0o777))?)
    }

    fn existing(&self, name: &str) -> io::Result<HeldDir> {
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = rustix::fs::openat(&*self.descriptor, name, flags, Mode::empty());
        let descriptor = opened.map_err(|errno| wrong_kind(errno, "not a directory"))?;
        Ok(HeldDir { descriptor: Arc::new(descriptor), path: self.path.join(name) })
    }

    /// Opens a file in this directory; `name` has one component. It is a regular file, and to write it, it has no other
    /// name.
    ///
    /// # Errors
    /// As for any file, and for a link, a pipe, a device, a directory or a file with several names.
    pub fn file(&self, name: &str, access: Access) -> io::Result<File> {
        let how = match access {
            Access::Append => OFlags::RDWR | OFlags::APPEND | OFlags::CREATE,
            Access::CreateNew => OFlags::RDWR | OFlags::CREATE | OFlags::EXCL,
            Access::Read => OFlags::RDONLY,
        };
        let flags = how | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let opened = rustix::fs::openat(&*self.descriptor, name, flags, Mode::from_raw_mode(0o666));
        let file = File::from(opened.map_err(|errno| wrong_kind(errno, "not a regular file"))?);
        if access != Access::CreateNew {
            check_regular(&file, access == Access::Append)?;
        }
        Ok(file)
    }

    /// Its path, for people and for programs that run in it.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A path that leads to this directory as long as it is held, for this process only.
    pub fn access(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.descriptor.as_raw_fd()))
    }

    /// `true` if its path still leads to it.
    pub fn is_in_place(&self) -> bool {
        let there = fs::symlink_metadata(&self.path);
        let held = rustix::fs::fstat(&*self.descriptor);
        matches!((there, held), (Ok(there), Ok(held)) if (there.dev(), there.ino()) == (held.st_dev, held.st_ino))
    }

    /// Its path by now, where it can be told: the kernel adds ` (deleted)` to that of a directory that is gone.
    pub fn present_path(&self) -> Option<PathBuf> {
        fs::read_link(self.access()).ok()
    }
}

/// Fails for what is not a regular file; to write it, it must not have another name, under which it is somebody else's.
pub(crate) fn check_regular(file: &File, to_write: bool) -> io::Result<()> {
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::new(io::ErrorKind::Unsupported, "not a regular file"));
    }
    if to_write && metadata.nlink() > 1 {
        return Err(io::Error::new(io::ErrorKind::Unsupported, "the file has several names (hard links); remove it"));
    }
    Ok(())
}

/// The error for something of another kind, which the system names by many numbers.
pub(crate) fn wrong_kind(errno: rustix::io::Errno, what: &'static str) -> io::Error {
    use rustix::io::Errno;
    // A link, a file, a directory, a pipe without a reader, a device that is not there.
    let kinds = [Errno::LOOP, Errno::NOTDIR, Errno::ISDIR, Errno::NXIO, Errno::NODEV];
    if kinds.contains(&errno) { io::Error::new(io::ErrorKind::Unsupported, what) } else { errno.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_held_directory_is_followed() {
        let scratch = tempfile::tempdir().unwrap();
        let path = |name: &str| scratch.path().join(name);
        for name in ["held", "elsewhere", "held/directory"] {
            fs::create_dir(path(name)).unwrap();
        }
        fs::write(path("elsewhere/file"), "theirs").unwrap();
        let held = HeldDir::open(&path("held")).unwrap();
        std::os::unix::fs::symlink(path("elsewhere"), path("held/link")).unwrap();
        std::os::unix::fs::symlink(path("elsewhere/file"), path("held/to-file")).unwrap();
        std::os::unix::fs::symlink(path("elsewhere/new"), path("held/dangling")).unwrap();
        fs::hard_link(path("elsewhere/file"), path("held/hard")).unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, path("held/pipe"), rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        let kind = |result: io::Result<File>| result.map(|_| ()).map_err(|error| error.kind());
        for name in ["link", "to-file", "dangling", "hard", "pipe", "directory"] {
            let found = kind(held.file(name, Access::Append));
            assert_eq!(found, Err(io::ErrorKind::Unsupported), "{name}");
        }
        assert_eq!(kind(held.file("pipe", Access::Read)), Err(io::ErrorKind::Unsupported));
        assert_eq!(kind(held.file("hard", Access::Read)), Ok(()));
        assert_eq!(kind(held.file("hard", Access::CreateNew)), Err(io::ErrorKind::AlreadyExists));
        assert_eq!(held.directory("link").unwrap_err().kind(), io::ErrorKind::Unsupported);
        assert_eq!(HeldDir::open(&path("held/link")).unwrap_err().kind(), io::ErrorKind::Unsupported);
        assert_eq!(held.directory("new").unwrap().path(), path("held/new"));
        held.directory("new").unwrap().file("file", Access::Append).unwrap();
        assert_eq!(fs::read(path("elsewhere/file")).unwrap(), b"theirs");
        assert!(!path("elsewhere/new").exists());
    }

    #[test]
    fn a_directory_that_was_replaced_is_noticed_and_still_written() {
        let scratch = tempfile::tempdir().unwrap();
        let path = |name: &str| scratch.path().join(name);
        fs::create_dir(path("held")).unwrap();
        fs::create_dir(path("elsewhere")).unwrap();
        let held = HeldDir::open(&path("held")).unwrap();
        assert!(held.is_in_place());
        fs::rename(path("held"), path("moved")).unwrap();
        assert!(!held.is_in_place());
        std::os::unix::fs::symlink(path("elsewhere"), path("held")).unwrap();
        assert!(!held.is_in_place());
        held.file("file", Access::CreateNew).unwrap();
        fs::write(held.access().join("other"), "").unwrap();
        assert_eq!(held.present_path(), Some(path("moved")));
        assert_eq!(fs::read_dir(path("moved")).unwrap().count(), 2);
        assert_eq!(fs::read_dir(path("elsewhere")).unwrap().count(), 0);
    }
}
