//! OCI image layouts: directories with blobs by digest, and an `index.json` that names the images.
//!
//! OCI image specification 1.1, image-layout.md. Docker, buildah, podman, skopeo and oras read it.

use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use rustix::fs::{FlockOperation, flock};

use super::model::{Descriptor, Index};
use drydock_base::checksum::{Checksum, HashingStream};
use drydock_base::failure::Failure;
use drydock_base::paths;
use drydock_config::images::Digest;

/// The maximum size of a manifest, index or configuration in bytes; registries refuse larger ones.
pub const LARGEST_MANIFEST: u64 = 4 << 20;

/// The directory of blobs, in a layout.
const BLOBS: &str = "blobs/sha256";

/// The beginning of the names of blobs that are not complete.
const PART: &str = ".part-";

/// An image layout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    directory: PathBuf,
}

impl Layout {
    /// Creates a layout, or opens an existing one.
    ///
    /// # Errors
    /// The directory cannot be written.
    pub fn create(directory: &Path) -> anyhow::Result<Layout> {
        let cannot = || format!("cannot write to {}", directory.display());
        fs::create_dir_all(directory.join(BLOBS)).with_context(cannot)?;
        let layout = Layout { directory: directory.to_owned() };
        paths::write_atomically(&directory.join("oci-layout"), b"{\"imageLayoutVersion\":\"1.0.0\"}")?;
        Ok(layout)
    }

    /// Opens an existing layout.
    ///
    /// # Errors
    /// The directory is not a layout.
    pub fn open(directory: &Path) -> anyhow::Result<Layout> {
        if directory.join("oci-layout").is_file() {
            return Ok(Layout { directory: directory.to_owned() });
        }
        Err(Failure::usage(format!("{} is not an OCI image layout: it has no file oci-layout", directory.display())))
    }

    /// Returns the directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Returns the path of a blob, which need not exist.
    pub fn path(&self, digest: &Digest) -> PathBuf {
        self.directory.join(BLOBS).join(digest.hex())
    }

    /// Returns true if a blob exists in the right size.
    pub fn has(&self, descriptor: &Descriptor) -> bool {
        fs::metadata(self.path(&descriptor.digest)).is_ok_and(|data| data.is_file() && data.len() == descriptor.size)
    }

    /// Adds a blob.
    ///
    /// # Errors
    /// The blob cannot be written.
    pub fn put(&self, media_type: &str, bytes: &[u8]) -> anyhow::Result<Descriptor> {
        let descriptor = Descriptor::for_bytes(media_type, bytes);
        if !self.has(&descriptor) {
            paths::write_atomically(&self.path(&descriptor.digest), bytes)?;
        }
        Ok(descriptor)
    }

    /// Adds a value as JSON.
    ///
    /// # Errors
    /// The blob cannot be written.
    pub fn put_json(&self, media_type: &str, value: &impl serde::Serialize) -> anyhow::Result<Descriptor> {
        self.put(media_type, &serde_json::to_vec(value)?)
    }

    /// Creates a temporary file for a blob, to be passed to [`Layout::keep`].
    ///
    /// # Errors
    /// The file cannot be created.
    pub fn part(&self) -> anyhow::Result<tempfile::NamedTempFile> {
        let blobs = self.directory.join(BLOBS);
        let cannot = || format!("cannot write to {}", blobs.display());
        let part = tempfile::Builder::new()
            .prefix(PART)
            .permissions(fs::Permissions::from_mode(0o644))
            .tempfile_in(&blobs)
            .with_context(cannot)?;
        // It says that this process still writes; see `remove_interrupted`. Without locks, nothing is removed.
        flock(part.as_file(), FlockOperation::NonBlockingLockExclusive).ok();
        Ok(part)
    }

    /// Removes the temporary files of processes that were killed. Those that another process writes are locked, and stay.
    ///
    /// # Errors
    /// The directory cannot be read, or a file cannot be removed.
    pub fn remove_interrupted(&self) -> anyhow::Result<()> {
        let blobs = self.directory.join(BLOBS);
        for entry in fs::read_dir(&blobs).with_context(|| format!("cannot read {}", blobs.display()))? {
            let entry = entry?;
            // One without content may have been created just now, and be locked next.
            let is_part = entry.file_name().as_encoded_bytes().starts_with(PART.as_bytes());
            if !is_part || entry.metadata().is_ok_and(|data| data.len() == 0) {
                continue;
            }
            if let Ok(file) = paths::open_regular(&entry.path()) {
                remove_abandoned(&file, &entry.path())
                    .with_context(|| format!("cannot remove {}", entry.path().display()))?;
            }
        }
        Ok(())
    }

    /// Makes a file a blob. Its digest was computed while it was written.
    ///
    /// # Errors
    /// The file cannot be synced or renamed.
    pub fn keep(&self, part: tempfile::NamedTempFile, digest: &Digest) -> anyhow::Result<()> {
        let path = self.path(digest);
        part.as_file().sync_data().with_context(|| format!("cannot write {}", path.display()))?;
        part.persist(&path).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(())
    }

    /// Reads a small blob, and checks its digest.
    ///
    /// # Errors
    /// The blob is missing, too large, or does not match its digest.
    pub fn read(&self, descriptor: &Descriptor) -> anyhow::Result<Vec<u8>> {
        let path = self.path(&descriptor.digest);
        let file = paths::open_regular(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let mut bytes = Vec::new();
        file.take(LARGEST_MANIFEST + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > LARGEST_MANIFEST {
            return Err(Failure::not_reproducible(format!("{} is too large for a manifest", path.display())));
        }
        if Digest::for_bytes(&bytes) != descriptor.digest {
            return Err(damaged(&path));
        }
        Ok(bytes)
    }

    /// Checks the digest of a blob of any size.
    ///
    /// # Errors
    /// The blob is missing or does not match its digest.
    pub fn check(&self, descriptor: &Descriptor) -> anyhow::Result<()> {
        let path = self.path(&descriptor.digest);
        let (sum, size) = Checksum::from_file(&path).with_context(|| format!("cannot read {}", path.display()))?;
        if Digest(sum) != descriptor.digest || size != descriptor.size {
            return Err(damaged(&path));
        }
        Ok(())
    }

    /// Copies a stream into a blob of a known digest.
    ///
    /// # Errors
    /// The stream has another size or another digest.
    pub fn take(&self, descriptor: &Descriptor, stream: impl Read) -> anyhow::Result<()> {
        let mut part = self.part()?;
        let mut sum = HashingStream::new(part.as_file_mut());
        io::copy(&mut stream.take(descriptor.size + 1), &mut sum)
            .with_context(|| format!("cannot copy {}", descriptor.digest))?;
        let (sum, size) = sum.finish();
        if Digest(sum) != descriptor.digest || size != descriptor.size {
            let why = format!("received {size} bytes with the digest {}, expected {}", Digest(sum), descriptor.digest);
            return Err(Failure::not_reproducible(why));
        }
        self.keep(part, &descriptor.digest)
    }

    /// Reads `index.json`.
    ///
    /// # Errors
    /// The file is missing or cannot be parsed.
    pub fn index(&self) -> anyhow::Result<Index> {
        let path = self.directory.join("index.json");
        let file = paths::open_regular(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let mut bytes = Vec::new();
        file.take(LARGEST_MANIFEST).read_to_end(&mut bytes)?;
        serde_json::from_slice(&bytes).map_err(|error| {
            Failure::not_reproducible(format!("cannot parse {} as an image index: {error}", path.display()))
        })
    }

    /// Replaces `index.json`. It is written last, when all blobs exist.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn set_index(&self, manifests: Vec<Descriptor>) -> anyhow::Result<()> {
        paths::write_atomically(&self.directory.join("index.json"), &serde_json::to_vec(&Index::new(manifests))?)
    }
}

/// Removes a file that nobody has locked. Between opening and locking it, another process may have made a blob of it or removed it,
/// and the name may be that of another file by now.
fn remove_abandoned(file: &fs::File, path: &Path) -> io::Result<()> {
    if flock(file, FlockOperation::NonBlockingLockExclusive).is_err() {
        return Ok(());
    }
    let same = |there: fs::Metadata| file.metadata().map(|here| (here.dev(), here.ino()) == (there.dev(), there.ino()));
    let removed = match fs::symlink_metadata(path).and_then(same) {
        Ok(true) => fs::remove_file(path),
        Ok(false) => Ok(()),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Ok(()) | Err(_) => removed,
    }
}

fn damaged(path: &Path) -> anyhow::Error {
    Failure::not_reproducible(format!("{} is damaged; remove it and build again", path.display()))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn blobs_are_checked_and_incomplete_ones_are_removed() {
        let directory = tempfile::tempdir().unwrap();
        let layout = Layout::create(&directory.path().join("oci")).unwrap();
        assert!(Layout::open(directory.path()).is_err());
        let blob = layout.put("text/plain", b"hello").unwrap();
        assert_eq!(layout.read(&blob).unwrap(), b"hello");
        layout.set_index(vec![blob.clone()]).unwrap();
        assert_eq!(Layout::open(layout.directory()).unwrap().index().unwrap().manifests.first(), Some(&blob));
        let other = Descriptor::for_bytes("text/plain", b"others");
        for wrong in [&b"other"[..], b"others and more", b"othres"] {
            assert!(layout.take(&other, wrong).unwrap_err().to_string().contains("received "));
            assert!(!layout.has(&other));
        }
        layout.take(&other, &b"others"[..]).unwrap();
        layout.check(&other).unwrap();
        fs::write(layout.path(&blob.digest), b"jello").unwrap();
        assert!(layout.read(&blob).unwrap_err().to_string().contains("damaged"));
        assert!(layout.check(&blob).unwrap_err().to_string().contains("damaged"));
        assert_eq!(fs::read_dir(layout.directory().join("blobs/sha256")).unwrap().count(), 2);
    }

    /// A layout with a part of this process, and a part as a killed process leaves it.
    fn interrupted() -> (tempfile::TempDir, Layout, tempfile::NamedTempFile, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let layout = Layout::create(&directory.path().join("oci")).unwrap();
        let mut own = layout.part().unwrap();
        own.write_all(b"half").unwrap();
        let left = layout.directory().join(BLOBS).join(".part-left");
        fs::write(&left, "half").unwrap();
        (directory, layout, own, left)
    }

    #[test]
    fn parts_of_killed_processes_are_removed_and_those_of_running_ones_stay() {
        let (_directory, layout, own, left) = interrupted();
        let blob = layout.put("text/plain", b"hello").unwrap();
        // A lock belongs to an opened file, so the one of this process is as good as another's.
        layout.remove_interrupted().unwrap();
        assert!(!left.exists() && own.path().exists() && layout.has(&blob));
        layout.keep(own, &Digest::for_bytes(b"half")).unwrap();
        layout.remove_interrupted().unwrap();
        assert_eq!(fs::read_dir(layout.directory().join(BLOBS)).unwrap().count(), 2);
    }

    #[test]
    fn a_part_that_becomes_a_blob_or_goes_meanwhile_is_no_error() {
        let (_directory, layout, own, left) = interrupted();
        // Each was opened before its end.
        let (file, gone) = (paths::open_regular(own.path()).unwrap(), paths::open_regular(&left).unwrap());
        let path = own.path().to_owned();
        let digest = Digest::for_bytes(b"half");
        layout.keep(own, &digest).unwrap();
        remove_abandoned(&file, &path).unwrap();
        fs::remove_file(&left).unwrap();
        remove_abandoned(&gone, &left).unwrap();
        // The name belongs to another file, which may be locked.
        drop((file, gone));
        let file = paths::open_regular(&layout.path(&digest)).unwrap();
        fs::write(&left, "another").unwrap();
        remove_abandoned(&file, &left).unwrap();
        assert!(left.exists() && layout.path(&digest).exists());
    }
}
