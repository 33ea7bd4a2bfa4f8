//! Where Drydock's own sources are: what `demo` and `check` work on.

use std::path::{Path, PathBuf};

/// Where this crate was built. A package that has to be the same wherever it is built names a directory of its own by
/// `DRYDOCK_BUILT_IN`; then the true one is nowhere in the program.
const BUILT_IN: &str = match option_env!("DRYDOCK_BUILT_IN") {
    Some(directory) => directory,
    None => env!("CARGO_MANIFEST_DIR"),
};

/// The directory of Drydock's own workspace: where cargo runs it from, else where it was built.
pub(crate) fn root() -> PathBuf {
    let manifest = std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| BUILT_IN.into(), PathBuf::from);
    manifest.parent().map_or_else(|| manifest.clone(), Path::to_owned)
}

/// The same, if it is a clone of Drydock and not a project that uses Drydock as its own xtask, and if it is there.
pub(crate) fn own() -> Option<PathBuf> {
    let root = root();
    root.join("xtask/src/commands/tidy.rs").is_file().then_some(root)
}
