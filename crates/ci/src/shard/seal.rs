//! The list of all files of a run that is carried to another machine, with their checksums: written last, so that a
//! run without it is one that was cut.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use drydock_base::checksum::Checksum;
use drydock_base::paths::{self, JOURNAL, RunDir};

/// The name of the file, in the directory of the run.
pub const SEAL: &str = "seal.json";
/// The version of its shape.
const FORMAT: u32 = 1;
/// The most files of a run, and the deepest directory.
const MOST_FILES: usize = 1_000_000;
const DEEPEST: usize = 128;

/// The files of a run with their length and their checksum, by their path in its directory: the journal, and
/// everything in the directories of its attempts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed {
    format: u32,
    files: BTreeMap<String, (u64, Checksum)>,
}

/// The reason why a run cannot be relied on.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// It was not sealed: the machine was lost, or the copy was cut.
    #[error("it was not closed, so its machine was lost or its copy was cut")]
    Open,
    /// The list cannot be read.
    #[error("its list of files cannot be read: {0}")]
    Unreadable(String),
    /// A file is missing or differs.
    #[error("its file `{file}` {problem}")]
    Differs {
        /// The path in the directory of the run.
        file: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The directory cannot be read, or has too many files.
    #[error("its files cannot be read: {0}")]
    Files(#[from] io::Error),
}

/// Seals a run that has ended: other machines then notice when its files are cut or changed.
///
/// # Errors
/// A file cannot be read or written.
pub fn seal(dir: &RunDir) -> anyhow::Result<()> {
    let mut files = BTreeMap::new();
    for path in files_of(dir.root())? {
        let (checksum, length) = Checksum::from_file(&dir.root().join(&path))?;
        files.insert(path, (length, checksum));
    }
    dir.write(SEAL, &serde_json::to_vec(&Sealed { format: FORMAT, files })?)?;
    Ok(())
}

impl Sealed {
    /// Reads the list of a run and compares all of its files with it. With `checksum`, the list must have that one.
    ///
    /// # Errors
    /// [`SealError`]
    pub fn check(dir: &Path, checksum: Option<Checksum>) -> Result<Sealed, SealError> {
        let path = dir.join(SEAL);
        if fs::symlink_metadata(&path).is_err() {
            return Err(SealError::Open);
        }
        let text = paths::read_regular(&path).map_err(|error| SealError::Unreadable(error.to_string()))?;
        if checksum.is_some_and(|checksum| checksum != Checksum::new(&text)) {
            return Err(SealError::Differs { file: SEAL.to_owned(), problem: "is not the one that the plan names" });
        }
        let sealed: Sealed = serde_json::from_slice(&text).map_err(|error| SealError::Unreadable(error.to_string()))?;
        if sealed.format != FORMAT {
            return Err(SealError::Unreadable(format!("its format is {} and not {FORMAT}", sealed.format)));
        }
        let differs = |file: &str, problem| SealError::Differs { file: file.to_owned(), problem };
        // What is there is compared with the list, so no path of the list is followed.
        let mut left: BTreeMap<&str, &(u64, Checksum)> =
            sealed.files.iter().map(|(path, file)| (path.as_str(), file)).collect();
        for path in files_of(dir)? {
            let Some((length, checksum)) = left.remove(path.as_str()) else {
                return Err(differs(&path, "is not one that the run left"));
            };
            let full = dir.join(&path);
            if fs::symlink_metadata(&full)?.len() != *length {
                return Err(differs(&path, "was cut or lengthened"));
            }
            if Checksum::from_file(&full)?.0 != *checksum {
                return Err(differs(&path, "was changed"));
            }
        }
        match left.keys().next() {
            Some(path) => Err(differs(path, "is missing")),
            None => Ok(sealed),
        }
    }
}

/// The paths of the journal and of all regular files of attempts, in order. Links and devices are left out: nothing
/// follows them.
///
/// # Errors
/// A directory cannot be read, there are too many files, or a name is not UTF-8.
pub fn files_of(dir: &Path) -> io::Result<Vec<String>> {
    let mut files = Vec::new();
    if fs::symlink_metadata(dir.join(JOURNAL)).is_ok_and(|metadata| metadata.is_file()) {
        files.push(JOURNAL.to_owned());
    }
    let mut open = vec![(PathBuf::from(RunDir::JOBS), 0)];
    if !fs::symlink_metadata(dir.join(RunDir::JOBS)).is_ok_and(|metadata| metadata.is_dir()) {
        open.clear();
    }
    let too_many = || io::Error::new(io::ErrorKind::InvalidData, "there are too many files in it");
    while let Some((below, depth)) = open.pop() {
        for entry in fs::read_dir(dir.join(&below))? {
            let entry = entry?;
            let (path, kind) = (below.join(entry.file_name()), entry.file_type()?);
            if kind.is_dir() && depth < DEEPEST {
                open.push((path, depth + 1));
            } else if kind.is_file() {
                let text =
                    path.to_str().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "a name is not UTF-8"));
                files.push(text?.to_owned());
            }
            if files.len() + open.len() > MOST_FILES {
                return Err(too_many());
            }
        }
    }
    files.sort();
    Ok(files)
}
