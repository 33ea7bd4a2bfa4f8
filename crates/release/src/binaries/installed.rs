//! What a build installed: files, links, and nothing that a tarball for everybody cannot hold.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::Context as _;

use drydock_archive::{ArchiveEntry, EntryKind};
use drydock_base::failure::Failure;

/// The files and links below a directory, sorted by the bytes of their paths. Directories are not among them.
///
/// # Errors
/// A file has a set-ID bit, is neither a file nor a link, or cannot be read.
pub(super) fn entries(root: &Path) -> anyhow::Result<Vec<ArchiveEntry>> {
    let mut entries = Vec::new();
    let mut directories = vec![String::new()];
    while let Some(directory) = directories.pop() {
        let at = root.join(&directory);
        for entry in fs::read_dir(&at).with_context(|| format!("cannot read {}", at.display()))? {
            let entry = entry?;
            let refused = |why: &str| {
                Failure::rejected(format!("/{} {why}", entry.path().strip_prefix(root).unwrap_or(&at).display()))
            };
            let name = entry.file_name().into_string().map_err(|_| refused("has a name that is not UTF-8"))?;
            let path = if directory.is_empty() { name } else { format!("{directory}/{name}") };
            let metadata = fs::symlink_metadata(entry.path())?;
            let mode = metadata.permissions().mode();
            let (kind, content) = if metadata.is_dir() {
                directories.push(path);
                continue;
            } else if metadata.is_symlink() {
                let target = fs::read_link(entry.path())?.into_os_string().into_string();
                let target = target.map_err(|_| refused("is a link to a name that is not UTF-8"))?;
                (EntryKind::Symlink { target: target.clone() }, target.into_bytes())
            } else if !metadata.is_file() {
                return Err(refused("is neither a file nor a link"));
            } else if mode & 0o6000 != 0 {
                return Err(refused("has a set-ID bit; set it when the files are installed"));
            } else {
                (EntryKind::File { executable: mode & 0o100 != 0 }, fs::read(entry.path())?)
            };
            entries.push(ArchiveEntry { path, kind, content: content.into() });
        }
    }
    entries.sort_by(|a, b| a.path.as_bytes().cmp(b.path.as_bytes()));
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_tarball_cannot_hold_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let bin = directory.path().join("usr/bin");
        fs::create_dir_all(&bin).unwrap();
        fs::write(bin.join("x"), "x").unwrap();
        fs::set_permissions(bin.join("x"), fs::Permissions::from_mode(0o700)).unwrap();
        fs::write(directory.path().join("usr/a"), "a").unwrap();
        std::os::unix::fs::symlink("x", bin.join("y")).unwrap();
        let found = entries(directory.path()).unwrap();
        let shown: Vec<String> = found.iter().map(|one| format!("{} {:o}", one.path, one.kind.mode())).collect();
        assert_eq!(shown, ["usr/a 644", "usr/bin/x 755", "usr/bin/y 777"]);

        fs::set_permissions(bin.join("x"), fs::Permissions::from_mode(0o4755)).unwrap();
        let error = entries(directory.path()).unwrap_err().to_string();
        assert_eq!(error, "/usr/bin/x has a set-ID bit; set it when the files are installed");
        fs::remove_file(bin.join("x")).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(bin.join("s")).unwrap();
        assert_eq!(entries(directory.path()).unwrap_err().to_string(), "/usr/bin/s is neither a file nor a link");
    }
}
