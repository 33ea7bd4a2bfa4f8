//! A directory of this machine.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::{PART, Store, no_parent, part};
use drydock_base::checksum::Checksum;
use drydock_base::failure::Failure;

/// A directory of this machine.
#[derive(Debug)]
pub struct LocalStore {
    /// The parent of the directories of releases.
    pub parent: PathBuf,
}

impl LocalStore {
    fn at(&self, directory: &str) -> PathBuf {
        if directory.is_empty() { self.parent.clone() } else { self.parent.join(directory) }
    }
}

impl Store for LocalStore {
    fn rights(&self) -> anyhow::Result<Option<String>> {
        let parent = &self.parent;
        match rustix::fs::access(parent, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK) {
            Ok(()) => Ok(Some(format!("{} can be written to", parent.display()))),
            Err(error) => Err(Failure::missing(format!("{} cannot be written to: {error}", parent.display()))),
        }
    }

    fn missing(&self) -> Vec<String> {
        let parent = self.parent.display();
        let missing = format!("{parent} is not a directory; create it, or correct the path under `publish`");
        if self.parent.is_dir() { Vec::new() } else { vec![missing] }
    }

    fn list(&self, directory: &str) -> anyhow::Result<Option<BTreeSet<String>>> {
        if !self.parent.is_dir() {
            return Err(no_parent(&self.parent.display().to_string()));
        }
        let path = self.at(directory);
        let cannot = || format!("cannot read {}", path.display());
        let entries = match fs::read_dir(&path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(cannot),
        };
        let mut names = BTreeSet::new();
        for entry in entries {
            names.insert(entry.with_context(cannot)?.file_name().to_string_lossy().into_owned());
        }
        Ok(Some(names))
    }

    fn fetch(&self, directory: &str, names: &[String], into: &Path) -> anyhow::Result<()> {
        for name in names {
            let path = self.at(directory).join(name);
            fs::copy(&path, into.join(name)).with_context(|| format!("cannot read {}", path.display()))?;
        }
        Ok(())
    }

    fn put(&self, file: &Path, directory: &str, name: &str, replace: bool) -> anyhow::Result<()> {
        let directory = self.at(directory);
        let to = directory.join(name);
        let cannot = || format!("cannot write {}", to.display());
        match fs::create_dir(&directory) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error).with_context(cannot),
            Ok(()) | Err(_) => {}
        }
        let part = directory.join(part(name));
        fs::copy(file, &part).with_context(cannot)?;
        fs::File::open(&part).and_then(|part| part.sync_all()).with_context(cannot)?;
        if replace {
            return fs::rename(&part, &to).with_context(cannot);
        }
        // Unlike a rename, a link never replaces what somebody else put there meanwhile.
        let linked = fs::hard_link(&part, &to);
        fs::remove_file(&part).ok(); // the next attempt writes it anew
        match linked {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Err(Failure::not_reproducible(format!(
                "{} appeared meanwhile; is somebody else publishing this release?",
                to.display()
            ))),
            linked => linked.with_context(cannot),
        }
    }

    fn link(&self, link: &str, to: &str) -> anyhow::Result<()> {
        let (path, part) = (self.parent.join(link), self.parent.join(part(link)));
        let cannot = || format!("cannot make the link {}", path.display());
        fs::remove_file(&part).ok(); // left by an interrupted attempt, if it is there
        symlink(to, &part).with_context(cannot)?;
        fs::rename(&part, &path).with_context(cannot)
    }

    fn leads(&self, link: &str, to: &str, _marker: (&str, Checksum)) -> anyhow::Result<bool> {
        Ok(fs::read_link(self.parent.join(link)).is_ok_and(|found| found == Path::new(to)))
    }

    fn is_part(&self, name: &str) -> bool {
        name.starts_with('.') && name.ends_with(PART)
    }
}
