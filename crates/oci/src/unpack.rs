//! Unpacks the layers of an image into a directory, and never writes outside of it.
//!
//! The directory is empty at first, and all its files are tracked: so symlinks are resolved here, and the kernel never
//! follows one.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _, lchown, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use rustix::fs::{XattrFlags, setxattr};
use rustix::io::Errno;

use super::image_files::{FileKind, ImageFiles, visit_layer};
use super::layer_change::Placed;
use super::layer_path::bytes_of;
use super::layout::Layout;
use super::model::Descriptor;
use drydock_archive::read::{Member, MemberKind, ReadError};
use drydock_base::failure::Failure;

/// The length of the longest name of an attribute, in bytes (linux/limits.h: `XATTR_NAME_MAX`).
const LONGEST_NAME: usize = 255;
/// The size of the largest value of an attribute, in bytes (`XATTR_SIZE_MAX`).
const LARGEST_VALUE: usize = 64 << 10;

/// Unpacks layers, the lowest first, into an empty directory. All files belong to one user; set-ID bits, capabilities and devices
/// are omitted, and so are attributes of users on file systems that have none.
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
        .map_err(|error| cannot_unpack(layer, &error))?;
    }
    disk.finish()
}

/// The error of a layer. What this machine cannot do is no defect of the layer.
fn cannot_unpack(layer: &Descriptor, error: &ReadError) -> Failure {
    let failure = if matches!(error, ReadError::Io(_)) { Failure::Infrastructure } else { Failure::NotReproducible };
    failure(format!("cannot unpack the layer {}: {error}", layer.digest))
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
        let change = self.files.change(member, fresh)?;
        for path in &change.removed {
            self.remove(path)?;
        }
        for path in &change.parents {
            fs::create_dir(self.at(path))?;
            self.own(&self.at(path))?;
        }
        match &change.placed {
            Some(placed) => self.place(placed, member, content),
            None => Ok(()),
        }
    }

    fn place(&mut self, placed: &Placed, member: &Member, content: &mut dyn Read) -> Result<(), ReadError> {
        let at = self.at(&placed.path);
        match (&member.kind, &placed.kind) {
            (MemberKind::Directory, _) => {
                if !placed.existed {
                    fs::create_dir(&at)?;
                }
                set_attributes(&at, member)?;
                self.modes.insert(placed.path.clone(), member.mode);
            }
            (MemberKind::File, _) => {
                let mode = (member.mode & 0o777) | 0o400;
                let mut file = File::options().write(true).create_new(true).mode(0o600).open(&at)?;
                io::copy(content, &mut file)?;
                set_attributes(&at, member)?;
                file.set_permissions(fs::Permissions::from_mode(mode))?;
                if let Some(time) = UNIX_EPOCH.checked_add(Duration::from_secs(member.time)) {
                    file.set_modified(time)?;
                }
            }
            (MemberKind::Link(_), FileKind::Link(target)) => symlink(OsStr::from_bytes(&bytes_of(target)), &at)?,
            // The kernel does not follow a symlink here.
            (MemberKind::HardLink(_), FileKind::File | FileKind::Link(_)) => match &placed.same_as {
                Some(target) if !placed.existed => fs::hard_link(self.at(target), &at)?,
                Some(_) | None => {}
            },
            (MemberKind::Link(_) | MemberKind::HardLink(_) | MemberKind::Other(_), _) => return Ok(()),
        }
        Ok(self.own(&at)?)
    }

    /// The place of a resolved path.
    fn at(&self, real: &str) -> PathBuf {
        self.root.join(OsStr::from_bytes(&bytes_of(real)))
    }

    fn own(&self, at: &Path) -> io::Result<()> {
        self.owner.map_or(Ok(()), |(uid, gid)| lchown(at, Some(uid), Some(gid)))
    }

    /// Removes what is at a resolved path. Devices were never made.
    fn remove(&mut self, real: &str) -> io::Result<()> {
        let at = self.at(real);
        match fs::symlink_metadata(&at) {
            Ok(found) if found.is_dir() => fs::remove_dir_all(at)?,
            Ok(_) => fs::remove_file(at)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let below = format!("{real}/");
        self.modes.retain(|path, _| path != real && !path.starts_with(&below));
        Ok(())
    }

    fn finish(self) -> anyhow::Result<()> {
        for (path, mode) in self.modes.iter().rev() {
            // The directory has to go away again, whoever its owner is.
            fs::set_permissions(self.at(path), fs::Permissions::from_mode((mode & 0o777) | 0o700))?;
        }
        Ok(())
    }
}

/// Sets the attributes of users. Those of overlays would have a meaning for the smoke test's own.
fn set_attributes(at: &Path, member: &Member) -> Result<(), ReadError> {
    for (name, value) in &member.attributes {
        if !name.starts_with("user.") || name.starts_with("user.overlay.") || value.is_empty() {
            continue;
        }
        match setxattr(at, name.as_str(), value, XattrFlags::empty()) {
            Ok(()) | Err(Errno::NOTSUP) => {}
            Err(_) if name.len() > LONGEST_NAME || value.len() > LARGEST_VALUE => {
                return Err(ReadError::NotKept {
                    path: format!("{:?}", member.path),
                    what: format!("the attribute {name:?} with {} bytes", value.len()),
                    remedy: "Linux has attributes with names of up to 255 bytes and values of up to 64 KiB; leave it out",
                });
            }
            // Such as ext4, which has 4 KiB for all attributes of a file.
            Err(error) => {
                let text = format!("cannot set the attribute {name:?} of {:?} here ({error})", member.path);
                let remedy = "set TMPDIR to a directory on another file system";
                return Err(io::Error::new(io::Error::from(error).kind(), format!("{text}; {remedy}")).into());
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::media;
    use crate::test_member::member;

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
    fn an_attribute_that_this_file_system_cannot_hold_is_no_defect_of_the_layer() {
        let directory = tempfile::tempdir().unwrap();
        let (file, layer) = (directory.path().join("file"), Descriptor::for_bytes(media::LAYER, b""));
        fs::write(&file, "").unwrap();
        let set = |name: &str, size: usize| {
            let attributes = vec![(name.to_owned(), vec![b'x'; size])];
            let member = Member { attributes, ..member("bin/file", MemberKind::File) };
            set_attributes(&file, &member).map_err(|error| cannot_unpack(&layer, &error))
        };
        set("user.x", 10).unwrap();
        // ext4 has no room, others do not have attributes or hold this one.
        if let Err(Failure::Infrastructure(text)) = set("user.x", 60_000) {
            let words = "cannot set the attribute \"user.x\" of \"bin/file\" here (No space left on device (os error 28)); set TMPDIR to";
            assert!(text.contains(words), "{text}");
        } else {
            set("user.x", 60_000).unwrap();
        }
        // No file system has these.
        for (name, size) in [("user.x", (64 << 10) + 1), (&format!("user.{}", "x".repeat(251)), 10)] {
            let Err(Failure::NotReproducible(text)) = set(name, size) else { panic!("{name} is refused") };
            assert!(text.contains("with names of up to 255 bytes and values of up to 64 KiB; leave it out"), "{text}");
        }
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
