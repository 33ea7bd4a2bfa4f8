//! Everything that was built, in one file: artifacts of GitHub Actions keep neither all names nor links.

use std::fs;
use std::path::Path;

use anyhow::Context as _;

use drydock_archive::bundle;
use drydock_base::failure::Failure;
use drydock_base::paths::State;

/// The directory with the results, in the state directory.
const RESULTS: &str = "dist";

/// Writes the results.
pub(super) fn pack(state: &State, file: &Path) -> anyhow::Result<()> {
    let results = state.root().join(RESULTS);
    let files = bundle::files_below(&results).with_context(|| format!("cannot read {}", results.display()))?;
    bundle::write(&results, RESULTS, &files, file).with_context(|| format!("cannot write {}", file.display()))
}

/// Takes the results of another machine. Nothing in them is executed; later steps compare them with their checksums.
pub(super) fn unpack(state: &State, file: &Path) -> anyhow::Result<()> {
    state.create()?;
    let scratch = tempfile::Builder::new().prefix(".unpack-").tempdir_in(state.root())?;
    let inside = scratch.path().join(RESULTS);
    fs::create_dir(&inside)?;
    bundle::unpack(file, &inside).with_context(|| format!("cannot unpack {}", file.display()))?;
    let results = state.root().join(RESULTS);
    fs::create_dir_all(&results)?;
    for entry in fs::read_dir(&inside)? {
        let entry = entry?;
        let into = results.join(entry.file_name());
        if fs::symlink_metadata(&into).is_ok() {
            let text = format!("{} is there already; remove it, or call without --unpack", into.display());
            return Err(Failure::usage(text));
        }
        fs::rename(entry.path(), &into).with_context(|| format!("cannot create {}", into.display()))?;
    }
    Ok(())
}
