//! Unpacks the layers of an image into a directory, and never writes outside of it.
//!
//! The directory is empty at first, and all its files are tracked: so symlinks are resolved here, and the kernel never
//! follows one.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _, lchown, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use super::image_files::{FileKind, ImageFile, ImageFiles, Whiteout, clean_path, visit_layer, whiteout};
use super::layout::Layout;
use super::model::Descriptor;
use drydock_archive::read::{Member, MemberKind, ReadError};
use drydock_base::failure::Failure;

/// Unpacks layers, the lowest first, into an empty directory. All files belong to one user; set-ID bits and devices are
/// omitted.
///
/// # Errors
/// A layer is damaged or contains a path out of the directory, or the directory cannot be written.
pub fn unpack(
    layout: &Layout,
    layers: &[Descriptor],
    directory: &Path,
    owner: Option<(u32, u32)>,
) -> anyhow::Result<()> {
    let mut disk = Disk { root: directory, owner, files: ImageFiles::default(), modes: BTreeMap::new() };
    for layer in layers {
        let mut fresh = BTreeSet::new();
        visit_layer(&layout.path(&layer.digest), &layer.media_type, &mut |member, content| {
            disk.add(member, content, &mut fresh)
        })
        .map_err(|error| {
            let failure =
                if matches!(error, ReadError::Io(_)) { Failure::Infrastructure } else { Failure::NotReproducible };
            failure(format!("cannot unpack the layer {}: {error}", layer.digest))
        })?;
    }
    disk.finish()
}

struct Disk<'a> {
    root: &'a Path,
    owner: Option<(u32, u32)>,
    files: ImageFiles,
    /// The modes of directories, which must be writable until all files are unpacked.
    modes: BTreeMap<String, u32>,
}

impl Disk<'_> {
    fn add(&mut self, member: &Member, content: &mut dyn Read, fresh: &mut BTreeSet<String>) -> Result<(), ReadError> {
        let path = clean_path(&member.path)?;
        if let Some(whiteout) = whiteout(&path) {
            return Ok(self.apply_whiteout(&whiteout, fresh)?);
        }
        let real = self.files.real(&path).map_err(|error| ReadError::Unsafe(error.to_string()))?;
        if real.is_empty() {
            return Ok(());
        }
        self.parents(&real)?;
        let at = self.root.join(&real);
        let there = self.files.get(&real).map(|found| found.kind.clone());
        let kind = match &member.kind {
            MemberKind::Directory => {
                if there != Some(FileKind::Directory) {
                    self.remove(&real)?;
                    fs::create_dir(&at)?;
                }
                self.modes.insert(real.clone(), member.mode);
                FileKind::Directory
            }
            MemberKind::File => {
                self.remove(&real)?;
                let mode = (member.mode & 0o777) | 0o400;
                let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&at)?;
                io::copy(content, &mut file)?;
                file.set_permissions(fs::Permissions::from_mode(mode))?;
                if let Some(time) = UNIX_EPOCH.checked_add(Duration::from_secs(member.time)) {
                    file.set_modified(time)?;
                }
                FileKind::File
            }
            MemberKind::Link(target) => {
                self.remove(&real)?;
                let raw = member.raw_link.as_deref().unwrap_or(target.as_bytes());
                symlink(std::ffi::OsStr::from_bytes(raw), &at)?;
                FileKind::Link(target.clone())
            }
            MemberKind::HardLink(to) => {
                let target = self.files.real(&clean_path(to)?).map_err(|error| ReadError::Unsafe(error.to_string()))?;
                let there = self.files.get(&target).map(|found| found.kind.clone());
                let there = there.filter(|kind| matches!(kind, FileKind::File | FileKind::Link(_)));
                let Some(kind) = there else {
                    return Err(ReadError::Unsafe(format!(
                        "{path:?} is a hard link to {to:?}, which is not a file of the image"
                    )));
                };
                if target != real {
                    self.remove(&real)?;
                    // The kernel does not follow a symlink here.
                    fs::hard_link(self.root.join(&target), &at)?;
                }
                kind
            }
            MemberKind::Other(_) => return Ok(()),
        };
        self.own(&at)?;
        self.files.set(&real, ImageFile { kind, mode: member.mode, owner: member.owner, time: member.time });
        fresh.insert(real);
        Ok(())
    }

    fn own(&self, at: &Path) -> io::Result<()> {
        self.owner.map_or(Ok(()), |(uid, gid)| lchown(at, Some(uid), Some(gid)))
    }

    fn parents(&mut self, real: &str) -> io::Result<()> {
        for (at, _) in real.match_indices('/') {
            let directory = &real[..at];
            if self.files.get(directory).is_none() {
                fs::create_dir(self.root.join(directory))?;
                self.own(&self.root.join(directory))?;
                let found = ImageFile { kind: FileKind::Directory, mode: 0o755, owner: (0, 0), time: 0 };
                self.files.set(directory, found);
            }
        }
        Ok(())
    }

    /// Takes away what stands at a real path.
    fn remove(&mut self, real: &str) -> io::Result<()> {
        let at: PathBuf = self.root.join(real);
        match self.files.get(real).map(|found| &found.kind) {
            None => return Ok(()),
            Some(FileKind::Directory) => fs::remove_dir_all(at)?,
            Some(FileKind::File | FileKind::Link(_) | FileKind::Other) => fs::remove_file(at)?,
        }
        self.files.remove(real);
        let below = format!("{real}/");
        self.modes.retain(|path, _| path != real && !path.starts_with(&below));
        Ok(())
    }

    /// Whiteouts remove entries of lower layers, not entries of their own layer.
    fn apply_whiteout(&mut self, whiteout: &Whiteout, fresh: &BTreeSet<String>) -> io::Result<()> {
        let (path, itself) = match whiteout {
            Whiteout::One(path) => (path, true),
            Whiteout::All(path) => (path, false),
        };
        let Ok(real) = self.files.real(path) else { return Ok(()) };
        let has_fresh = |path: &str| {
            let below = format!("{path}/");
            fresh.contains(path) || fresh.range(below.clone()..).next().is_some_and(|one| one.starts_with(&below))
        };
        let children: Vec<String> = self.files.children(&real).map(str::to_owned).collect();
        if itself && !has_fresh(&real) {
            return self.remove(&real);
        }
        for child in children {
            if has_fresh(&child) {
                self.apply_whiteout(&Whiteout::All(child), fresh)?;
            } else {
                self.remove(&child)?;
            }
        }
        Ok(())
    }

    fn finish(self) -> anyhow::Result<()> {
        for (path, mode) in self.modes.iter().rev() {
            // The directory has to go away again, whoever its owner is.
            fs::set_permissions(self.root.join(path), fs::Permissions::from_mode((mode & 0o777) | 0o700))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::media;

    struct Tar(::tar::Builder<Vec<u8>>);

    impl Tar {
        fn new() -> Tar {
            Tar(::tar::Builder::new(Vec::new()))
        }

        fn add(mut self, path: &str, kind: ::tar::EntryType, link: &str, content: &str) -> Tar {
            let mut header = ::tar::Header::new_ustar();
            header.set_entry_type(kind);
            header.set_mode(if kind == ::tar::EntryType::Directory { 0o500 } else { 0o4644 });
            header.set_size(content.len() as u64);
            // By hand, as the builder refuses what a hostile layer has.
            header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
            header.as_mut_bytes()[157..157 + link.len()].copy_from_slice(link.as_bytes());
            header.set_cksum();
            self.0.append(&header, content.as_bytes()).unwrap();
            self
        }

        fn file(self, path: &str, content: &str) -> Tar {
            self.add(path, ::tar::EntryType::Regular, "", content)
        }

        fn directory(self, path: &str) -> Tar {
            self.add(path, ::tar::EntryType::Directory, "", "")
        }

        fn link(self, path: &str, target: &str) -> Tar {
            self.add(path, ::tar::EntryType::Symlink, target, "")
        }

        fn hard(self, path: &str, target: &str) -> Tar {
            self.add(path, ::tar::EntryType::Link, target, "")
        }
    }

    fn unpacked(layers: Vec<Tar>) -> anyhow::Result<(tempfile::TempDir, PathBuf)> {
        let directory = tempfile::tempdir().unwrap();
        let layout = Layout::create(&directory.path().join("oci")).unwrap();
        let layers: Vec<Descriptor> =
            layers.into_iter().map(|tar| layout.put(media::LAYER, &tar.0.into_inner().unwrap()).unwrap()).collect();
        let root = directory.path().join("root");
        fs::create_dir(&root).unwrap();
        fs::write(directory.path().join("secret"), "secret").unwrap();
        unpack(&layout, &layers, &root, None)?;
        assert_eq!(fs::read_to_string(directory.path().join("secret")).unwrap(), "secret");
        Ok((directory, root))
    }

    #[test]
    fn layers_remove_and_replace_what_is_below() {
        let lower = Tar::new()
            .directory("a/")
            .file("a/one", "1")
            .file("a/two", "2")
            .directory("b/")
            .file("b/x", "x")
            .file("c", "c");
        let upper = Tar::new()
            .file("a/.wh.one", "")
            .file("a/three", "3")
            .file("b/y", "y")
            .file("b/.wh..wh..opq", "")
            .link("c", "a")
            .file("c/four", "4")
            .hard("a/five", "c/four");
        let (_directory, root) = unpacked(vec![lower, upper]).unwrap();
        let list = |directory: &str| {
            let mut names: Vec<String> = fs::read_dir(root.join(directory))
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            names.sort();
            names
        };
        assert_eq!(list("a"), ["five", "four", "three", "two"]);
        assert_eq!(list("b"), ["y"]);
        assert_eq!(fs::read_to_string(root.join("c/five")).unwrap(), "4");
        assert_eq!(fs::metadata(root.join("a")).unwrap().permissions().mode() & 0o7777, 0o700);
        assert_eq!(fs::metadata(root.join("a/four")).unwrap().permissions().mode() & 0o7777, 0o644);
    }

    #[test]
    fn nothing_leaves_the_directory() {
        for (tar, why) in [
            (Tar::new().file("../secret", "x"), "`..` component"),
            (Tar::new().hard("a", "../secret"), "`..` component"),
            (Tar::new().hard("a", "gone"), "not a file of the image"),
            (Tar::new().directory("d").hard("a", "d"), "not a file of the image"),
            (Tar::new().file("f", "x").file("f/g", "x"), "is not a directory"),
            (Tar::new().link("l", "l").file("l/x", "x"), "too many symlinks"),
        ] {
            let found = unpacked(vec![tar]).map(drop).unwrap_err();
            assert!(found.to_string().contains(why), "{why}: {found}");
        }
        // Links out of the directory lead to its root, as in a container.
        let up = Tar::new().link("up", "../..").file("up/secret", "x").link("abs", "/etc").file("abs/passwd", "mine");
        // A hard link to a link is another link, and what is below it is in the root too.
        let up = up.hard("other", "abs").file("other/group", "mine");
        let (_directory, root) = unpacked(vec![up]).unwrap();
        assert_eq!(fs::read_to_string(root.join("etc/group")).unwrap(), "mine");
        assert_eq!(fs::read_link(root.join("other")).unwrap(), Path::new("/etc"));
        assert_eq!(fs::read_to_string(root.join("secret")).unwrap(), "x");
        assert_eq!(fs::read_to_string(root.join("etc/passwd")).unwrap(), "mine");
    }
}
