//! diffoscope, which compares two packages down to disassembled functions, where it is installed.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use drydock_base::exec::{self, Bounds, Contained};
use drydock_base::units::ByteSize;

/// It may take hours for large programs.
const BOUNDS: Bounds = Bounds { output: ByteSize::mib(32), time: Duration::from_secs(600) };

/// Compares two files; its report as text. `Ok(None)` if it is not installed.
///
/// # Errors
/// It failed, took too long, or had nothing to say, in a few words.
pub(super) fn report(first: &Path, second: &Path) -> Result<Option<String>, Failed> {
    if !exec::is_installed("diffoscope") {
        return Ok(None);
    }
    let words = ["diffoscope", "--no-progress", "--max-text-report-size", "4000000", "--text", "-", "--"];
    let paths = [first, second].map(|path| path.display().to_string());
    let argv: Vec<String> = words.map(str::to_owned).into_iter().chain(paths).collect();
    let environment = exec::environment(&[], &BTreeMap::new());
    let output = Contained { bounds: BOUNDS, ..Contained::new(&argv, Path::new("/"), environment) }.run()?;
    // 1 says that the files differ (diffoscope(1)).
    if output.status.code() != Some(1) || output.stdout.is_empty() {
        return Err(Failed::Status(output.status.to_string(), exec::end_of(&output.stderr)));
    }
    Ok(Some(String::from_utf8_lossy(&output.stdout).into_owned()))
}

/// The reasons why there is no report.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failed {
    /// It could not be run to its end.
    #[error(transparent)]
    Run(#[from] exec::Error),
    /// It ended in another way than with the differences.
    #[error("it ended with {0}: {1}")]
    Status(String, String),
}
