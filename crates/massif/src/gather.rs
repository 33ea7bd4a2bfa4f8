//! The files of all processes of one attempt.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::profile::Profile;
use drydock_base::units::ByteSize;

/// A job's files beyond this size are not read.
const LARGEST: u64 = 1 << 30;
/// More processes than this are not read.
const MOST_FILES: usize = 4096;

/// The files of all processes in an attempt's directory, by pid.
///
/// # Errors
/// When the directory cannot be read.
fn files(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        let pid = name.to_str().and_then(|name| name.strip_prefix("massif.")?.parse::<u32>().ok());
        found.extend(pid.map(|pid| (pid, entry.path())));
    }
    found.sort();
    Ok(found.into_iter().map(|(_, path)| path).collect())
}

/// The process with the highest peak, and the peaks of the others.
#[derive(Debug)]
pub struct Processes {
    /// The file with the highest peak.
    pub file: PathBuf,
    /// Its content.
    pub profile: Profile,
    /// The other files: the command and the peak in bytes of each.
    pub others: Vec<(PathBuf, String, u64)>,
    /// Files that could not be read, or not completely, with the reason.
    pub incomplete: Vec<String>,
}

/// Reads the files of an attempt. Forked children repeat the heap that they inherit, so peaks are compared, never added.
/// `None` when the directory has none of them.
///
/// # Errors
/// When the directory or all of its files cannot be read.
pub fn processes(directory: &Path) -> io::Result<Option<Processes>> {
    let mut files = files(directory)?;
    let mut incomplete = Vec::new();
    if files.len() > MOST_FILES {
        incomplete.push(format!("{} further massif files were not read", files.len() - MOST_FILES));
        files.truncate(MOST_FILES);
    }
    let mut best: Option<(PathBuf, Profile)> = None;
    let mut others = Vec::new();
    for file in files {
        let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let profile = match fs::symlink_metadata(&file) {
            Ok(metadata) if metadata.len() > LARGEST => Err(format!("it is larger than {}", ByteSize::new(LARGEST))),
            Ok(_) => Profile::open(&file).map_err(|fault| fault.to_string()),
            Err(error) => Err(error.to_string()),
        };
        let profile = match profile {
            Ok(profile) => profile,
            Err(why) => {
                incomplete.push(format!("{name}: {why}"));
                continue;
            }
        };
        if let super::format::Extent::Cut { line, why } = &profile.extent {
            incomplete.push(format!("{name}: it was cut at line {line}, {why}"));
        }
        let is_higher = best.as_ref().is_none_or(|(_, best)| profile.peak().measured() > best.peak().measured());
        let other = if is_higher { best.replace((file, profile)) } else { Some((file, profile)) };
        others.extend(other.map(|(file, profile)| (file, profile.command(), profile.peak().measured())));
    }
    match (best, incomplete.first()) {
        (Some((file, profile)), _) => {
            others.sort_by_key(|(_, _, peak)| std::cmp::Reverse(*peak));
            Ok(Some(Processes { file, profile, others, incomplete }))
        }
        (None, Some(why)) => Err(io::Error::other(why.clone())),
        (None, None) => Ok(None),
    }
}
