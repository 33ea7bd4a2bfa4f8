//! mmdebstrap, which makes an archive of a fresh Debian or Ubuntu.

use crate::exec::{self, Error};
use crate::failure::Failure;
use crate::hint::Hint;
use crate::scratch::Scratch;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

/// The `PATH` of mmdebstrap: maintainer scripts need the programs of the administrator.
const SEARCH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What to make.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The command that lists what is missing.
    pub doctor: &'a Hint,
    /// The code name of the suite.
    pub suite: &'a str,
    /// The URL of the archive to take packages from.
    pub mirror: &'a str,
    /// Options such as `--variant=minbase`.
    pub options: &'a [String],
    /// Variables in addition to `PATH` and `TMPDIR`.
    pub environment: &'a BTreeMap<OsString, OsString>,
}

/// Writes the file tree to `tar`, an uncompressed archive. `what` names it in errors, such as `a chroot of trixie`.
///
/// # Errors
/// mmdebstrap is missing or fails; the error has what apt said of it.
pub fn make(what: &str, tar: &Path, request: Request<'_>) -> anyhow::Result<()> {
    let Request { doctor, suite, mirror, options, environment } = request;
    exec::find("mmdebstrap", Path::new("/"), Some(&SEARCH.into()))
        .map_err(|why| Failure::missing(format!("{why}; run `{}`", doctor)))?;
    let mut argv = vec!["mmdebstrap".to_owned()];
    argv.extend(options.iter().cloned());
    argv.extend([suite.to_owned(), tar.display().to_string(), mirror.to_owned()]);
    // It unpacks and removes tens of thousands of small files.
    let temporary = Scratch::roomy("debootstrap")?.open_to_others()?;
    let mut environment = environment.clone();
    environment.insert("PATH".into(), SEARCH.into());
    environment.insert("TMPDIR".into(), temporary.path().into());
    // Without `--quiet`, since it hides what apt says when it fails.
    let output = exec::Contained::new(&argv, Path::new("/"), environment).run();
    let why = match output {
        Ok(output) if output.status.success() => return Ok(()),
        Ok(output) => match reason(&output.stderr) {
            Some(reason) => format!("mmdebstrap ended with {}: {reason}", output.status),
            None => format!("mmdebstrap ended with {}: {}", output.status, exec::end_of(&output.stderr)),
        },
        Err(error) => shown(error),
    };
    Err(Failure::missing(format!("cannot make {what} from {mirror}: {why}")))
}

fn shown(error: Error) -> String {
    error.shown_as(["mmdebstrap"]).to_string()
}

/// The errors of apt, dpkg and mmdebstrap without the command lines that failed because of them; none if there are none.
fn reason(stderr: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(stderr);
    let errors = text.lines().filter_map(|line| {
        let line = line.trim();
        let is_error = line.starts_with("E: ") || line.starts_with("dpkg: error");
        (is_error && !line.ends_with(" failed") && !line.ends_with(" failed to run")).then_some(line)
    });
    let errors: Vec<&str> = errors.take(5).collect();
    (!errors.is_empty()).then(|| errors.join(" / "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_that_of_apt() {
        let said = b"I: running apt-get update...\nIgn:1 http://127.0.0.1:9/debian bookworm InRelease\n\
            E: Failed to fetch http://127.0.0.1:9/debian/dists/bookworm/InRelease  Could not connect\n\
            E: apt-get update --error-on=any -oAPT::Status-Fd=<$fd> failed\nE: mmdebstrap failed to run\n";
        let reason_of = |said: &[u8]| reason(said).unwrap_or_default();
        assert_eq!(
            reason_of(said),
            "E: Failed to fetch http://127.0.0.1:9/debian/dists/bookworm/InRelease  Could not connect"
        );
        assert_eq!(reason_of(b"E: mmdebstrap failed to run\n"), "");
    }
}
