//! Files that appear only where there were none: no link is followed, and nothing is replaced.

use std::fs;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use drydock_base::exec::plain;
use drydock_base::failure::Failure;

/// What is at the place of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Nothing.
    Missing,
    /// A file with the same text.
    Same,
    /// A file that init itself wrote, with less than it knows by now.
    Outdated,
    /// Anything else.
    Different,
}

/// What is at the place of `file` in the project.
///
/// # Errors
/// Something else than a directory is in the way.
pub(super) fn state(project: &Path, file: &str, text: &str) -> anyhow::Result<State> {
    for directory in directories(project, file) {
        match fs::symlink_metadata(&directory) {
            Ok(metadata) if metadata.is_dir() => {}
            Ok(_) => {
                let text = format!(
                    "{} is not a directory, so {file} cannot be written; move it, or keep the declarations elsewhere and pass --config",
                    directory.display()
                );
                return Err(Failure::rejected(text));
            }
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(State::Missing),
            Err(error) => {
                return Err(Failure::missing(format!("cannot look at {}: {}", directory.display(), plain(&error))));
            }
        }
    }
    let path = project.join(file);
    match fs::symlink_metadata(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(State::Missing),
        Err(error) => Err(Failure::missing(format!("cannot look at {}: {}", path.display(), plain(&error)))),
        Ok(metadata) if metadata.is_file() && metadata.len() == text.len() as u64 => {
            let same = fs::read(&path).is_ok_and(|bytes| bytes == text.as_bytes());
            Ok(if same { State::Same } else { State::Different })
        }
        Ok(_) => Ok(State::Different),
    }
}

/// Writes a file that does not exist. It appears whole or not at all.
///
/// # Errors
/// It exists by now, or cannot be written.
pub(super) fn create(project: &Path, file: &str, text: &str, executable: bool) -> anyhow::Result<()> {
    let path = project.join(file);
    let parent = path.parent().unwrap_or(project);
    let cannot = || format!("cannot write {}", path.display());
    fs::create_dir_all(parent).with_context(cannot)?;
    let mut scratch = tempfile::Builder::new().prefix(".drydock-init-").tempfile_in(parent).with_context(cannot)?;
    scratch.write_all(text.as_bytes()).with_context(cannot)?;
    use std::os::unix::fs::PermissionsExt as _;
    // As the user's other files: readable for all that the umask lets.
    let umask = rustix::process::umask(rustix::fs::Mode::empty());
    rustix::process::umask(umask);
    let mode = if executable { 0o777 } else { 0o666 } & !umask.bits();
    scratch.as_file().set_permissions(fs::Permissions::from_mode(mode)).with_context(cannot)?;
    scratch.persist_noclobber(&path).map_err(|error| error.error).with_context(cannot)?;
    Ok(())
}

/// The directories between the project and the file, the outermost first.
fn directories(project: &Path, file: &str) -> Vec<PathBuf> {
    let parents: Vec<&Path> = Path::new(file).ancestors().skip(1).filter(|path| !path.as_os_str().is_empty()).collect();
    parents.into_iter().rev().map(|path| project.join(path)).collect()
}
