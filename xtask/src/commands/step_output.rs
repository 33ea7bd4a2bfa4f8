//! Outputs of a step of GitHub Actions, which other steps and jobs of the workflow read.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;

/// The variable with the file that outputs are appended to.
const OUTPUT: &str = "GITHUB_OUTPUT";

/// Sets an output of the step, where this is one. The value must be on one line.
///
/// # Errors
/// The file cannot be written: a later job would see no value.
pub(super) fn step_output(name: &str, value: &str) -> anyhow::Result<()> {
    let Some(path) = std::env::var_os(OUTPUT).filter(|path| !path.is_empty()).map(PathBuf::from) else { return Ok(()) };
    let cannot = || format!("cannot write the output `{name}` to {}", path.display());
    let mut file = OpenOptions::new().create(true).append(true).open(&path).with_context(cannot)?;
    let value = value.replace(['\n', '\r'], " ");
    file.write_all(format!("{name}={value}\n").as_bytes()).with_context(cannot)
}
