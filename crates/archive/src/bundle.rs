//! Plain files in one archive that any tar can open, from a directory and back into one.

use std::fs;
use std::io::{self, BufWriter, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::read::{self, Limits, MemberKind, ReadError};
use crate::source::{NameRules, check_paths};
use drydock_config::release::Format;

/// The limits of a bundle.
const LIMITS: Limits = Limits { bytes: 16 << 30, entries: 1_000_000 };

/// Writes these files of a directory, in this order, below `top`.
///
/// # Errors
/// A file cannot be read, is not a regular file, or the archive cannot be written; then there is none.
pub fn write(directory: &Path, top: &str, files: &[String], out: &Path) -> io::Result<()> {
    let parent = out.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let file = tempfile::Builder::new().prefix(".part-").tempfile_in(parent)?;
    let mut tar = tar::Builder::new(GzEncoder::new(BufWriter::new(file.as_file()), Compression::default()));
    for path in files {
        let content = drydock_base::paths::open_regular(&directory.join(path))?;
        let size = content.metadata()?.len();
        let mut header = tar::Header::new_ustar();
        header.set_size(size);
        header.set_mode(0o644);
        header.set_mtime(0);
        let mut content = io::Read::take(content, size);
        tar.append_data(&mut header, format!("{top}/{path}"), &mut content)?;
        if content.limit() > 0 {
            return Err(io::Error::other(format!("{path} became shorter while it was read")));
        }
    }
    tar.into_inner()?.finish()?.flush()?;
    file.as_file().set_permissions(fs::Permissions::from_mode(0o644))?;
    file.persist(out)?;
    Ok(())
}

/// A zip file with one file of that name.
///
/// # Errors
/// The content has 4 GiB or more.
pub fn zip(name: &str, content: &[u8]) -> io::Result<Vec<u8>> {
    let mut zip = crate::zip::Writer::new(Vec::with_capacity(content.len() + 512));
    // The first moment that a zip file can hold.
    zip.add(name, &crate::EntryKind::File { executable: false }, 315_532_800, content)?;
    Ok(zip.finish()?.into_parts().0)
}

/// The paths of all regular files below a directory, in order.
///
/// # Errors
/// A directory cannot be read, or there is something else in it, or a name that is not UTF-8.
pub fn files_below(directory: &Path) -> io::Result<Vec<String>> {
    let mut files = Vec::new();
    let mut open = vec![std::path::PathBuf::new()];
    while let Some(below) = open.pop() {
        for entry in fs::read_dir(directory.join(&below))? {
            let entry = entry?;
            let (path, kind) = (below.join(entry.file_name()), entry.file_type()?);
            let wrong = |what: &str| io::Error::other(format!("{} {what}", path.display()));
            if kind.is_dir() {
                open.push(path);
            } else if kind.is_file() {
                files.push(path.to_str().ok_or_else(|| wrong("has a name that is not UTF-8"))?.to_owned());
            } else {
                return Err(wrong("is neither a file nor a directory"));
            }
        }
    }
    files.sort();
    Ok(files)
}

/// Unpacks an archive of plain files below one top directory into an empty directory, without that top. Returns its name.
///
/// # Errors
/// [`ReadError`]; nothing is written if there is anything but files and directories in it, or a path that leads out.
pub fn unpack(file: &Path, directory: &Path) -> Result<String, ReadError> {
    let mut paths = Vec::new();
    let mut top: Option<String> = None;
    read::visit(file, Format::TarGz, LIMITS, &mut |member, _| {
        match member.kind {
            MemberKind::File => {}
            MemberKind::Directory => return Ok(()),
            MemberKind::Link(_) | MemberKind::HardLink(_) | MemberKind::Other(_) => {
                return Err(ReadError::Unsafe(format!("{} is not a plain file", member.path.escape_debug())));
            }
        }
        let (first, rest) = member.path.split_once('/').unwrap_or(("", &member.path));
        if first.is_empty() || top.as_deref().is_some_and(|top| top != first) {
            return Err(ReadError::Unsafe("its files are not in one directory".to_owned()));
        }
        top.get_or_insert_with(|| first.to_owned());
        paths.push(rest.to_owned());
        Ok(())
    })?;
    if let Some(problem) = check_paths(paths.iter().map(String::as_str), NameRules::Unix).first() {
        return Err(ReadError::Unsafe(problem.to_string()));
    }
    read::visit(file, Format::TarGz, LIMITS, &mut |member, content| {
        if member.kind == MemberKind::File {
            let (_, rest) = member.path.split_once('/').unwrap_or(("", &member.path));
            let path = directory.join(rest);
            fs::create_dir_all(path.parent().unwrap_or(directory))?;
            let mut out = fs::OpenOptions::new().write(true).create_new(true).mode(0o644).open(&path)?;
            io::copy(content, &mut out)?;
        }
        Ok(())
    })?;
    top.ok_or_else(|| ReadError::Damaged("it is empty".to_owned()))
}
