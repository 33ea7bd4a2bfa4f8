//! The sources of lanternd: those of a clone of Drydock, or else those in the program, which needs no clone.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use tempfile::TempDir;

use crate::workspace;

/// A file of the example.
struct ExampleFile {
    /// Its path in the example.
    path: &'static str,
    executable: bool,
    contents: &'static [u8],
}

// `EXAMPLE`, which the build script writes.
include!(concat!(env!("OUT_DIR"), "/example.rs"));

/// The directory with the example.
pub(super) enum Example {
    Clone(PathBuf),
    Written(TempDir),
}

impl Example {
    pub(super) fn directory(&self) -> &Path {
        match self {
            Example::Clone(directory) => directory,
            Example::Written(directory) => directory.path(),
        }
    }
}

/// The example of the clone that this program belongs to; without one, that of the program, in a temporary directory.
pub(super) fn find() -> anyhow::Result<Example> {
    if let Some(root) = workspace::own() {
        return Ok(Example::Clone(root.join("examples/lanternd")));
    }
    let directory = tempfile::Builder::new().prefix("drydock-example-").tempdir();
    let directory = directory.context("cannot make a temporary directory")?;
    write(directory.path()).with_context(|| format!("cannot write to {}", directory.path().display()))?;
    Ok(Example::Written(directory))
}

fn write(directory: &Path) -> std::io::Result<()> {
    for ExampleFile { path, executable, contents } in &EXAMPLE {
        let path = directory.join(path);
        fs::create_dir_all(path.parent().unwrap_or(directory))?;
        fs::write(&path, contents)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(if *executable { 0o755 } else { 0o644 }))?;
    }
    Ok(())
}
