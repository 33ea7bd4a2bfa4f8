//! Unpacks an archive into a directory, after checking all paths.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use super::{Limits, MemberKind, ReadError, shown, visit};
use crate::source::{NameRules, check_paths, wrong_target};
use drydock_config::release::Format;

/// Unpacks an archive into an empty directory: files with their permissions but without setuid, setgid and sticky, and
/// links last.
///
/// # Errors
/// [`ReadError`]. Nothing is written if paths lead out of the directory or collide.
pub fn unpack(file: &Path, format: Format, limits: Limits, directory: &Path) -> Result<(), ReadError> {
    let (mut paths, mut directories) = (Vec::new(), BTreeSet::new());
    let mut links: Vec<(String, String)> = Vec::new();
    visit(file, format, limits, &mut |member, _| {
        match &member.kind {
            MemberKind::Directory => drop(directories.insert(member.path.trim_end_matches('/').to_owned())),
            MemberKind::File => paths.push(member.path.clone()),
            MemberKind::Link(target) => {
                if let Some(why) = wrong_target(&member.path, target) {
                    return Err(ReadError::Unsafe(format!("{} {why}", shown(&member.path))));
                }
                paths.push(member.path.clone());
                links.push((member.path.clone(), target.clone()));
            }
            MemberKind::HardLink(to) => {
                let (path, to) = (shown(&member.path), shown(to));
                return Err(ReadError::Unsafe(format!("{path} is a hard link to {to}")));
            }
            MemberKind::Other(what) => {
                return Err(ReadError::Unsafe(format!("{} is {what}", shown(&member.path))));
            }
        }
        Ok(())
    })?;
    // Directories that are not empty are checked as components of the paths in them.
    let all: BTreeSet<&str> = paths.iter().chain(&directories).map(String::as_str).collect();
    let holds = |directory: &str| {
        let inside = format!("{directory}/");
        all.range(inside.as_str()..).next().is_some_and(|path| path.starts_with(&inside))
    };
    let empty = directories.iter().map(String::as_str).filter(|directory| !holds(directory));
    let problems = check_paths(paths.iter().map(String::as_str).chain(empty), NameRules::Unix);
    if let Some(problem) = problems.first() {
        return Err(ReadError::Unsafe(format!("{problem} ({} such paths)", problems.len())));
    }
    for path in directories.iter() {
        fs::create_dir_all(directory.join(path))?;
    }
    visit(file, format, limits, &mut |member, content| {
        if member.kind == MemberKind::File {
            let path = directory.join(&member.path);
            fs::create_dir_all(path.parent().unwrap_or(directory))?;
            let mut out = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
            io::copy(content, &mut out)?;
            out.set_permissions(fs::Permissions::from_mode(member.mode & 0o777))?;
            if let Some(time) = UNIX_EPOCH.checked_add(Duration::from_secs(member.time)) {
                out.set_modified(time)?;
            }
        }
        Ok(())
    })?;
    for (path, target) in links {
        let path = directory.join(path);
        fs::create_dir_all(path.parent().unwrap_or(directory))?;
        std::os::unix::fs::symlink(target, path)?;
    }
    Ok(())
}
