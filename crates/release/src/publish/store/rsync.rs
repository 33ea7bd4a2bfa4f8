//! A directory of another machine, by rsync over SSH or of a daemon. rsync itself writes files under another name until they are
//! whole, and replaces links in one step.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use anyhow::Context as _;

use super::{Store, missing_program, no_parent, run, ssh_options};
use drydock_base::checksum::Checksum;
use drydock_base::exec;
use drydock_base::failure::Failure;
use drydock_base::scratch::Scratch;

/// rsync's exit code when files could not be read or written, as opposed to a connection that failed.
const PARTIAL: i32 = 23;

/// A directory of another machine.
#[derive(Debug)]
pub struct RsyncStore {
    /// The parent of the directories of releases, with its host.
    pub parent: String,
}

impl RsyncStore {
    fn at(&self, directory: &str, name: &str) -> String {
        let parts = [self.parent.trim_end_matches('/'), directory, name];
        parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/")
    }

    fn rsync(&self, arguments: &[String], bytes: u64) -> Result<String, exec::Error> {
        let mut argv: Vec<String> = ["rsync", "--timeout=60", "--protect-args", "--no-h"].map(str::to_owned).into();
        if !self.parent.starts_with("rsync://") {
            argv.extend(["-e".to_owned(), exec::paste(&[vec!["ssh".to_owned()], ssh_options()].concat())]);
        }
        argv.extend_from_slice(arguments);
        let output = run(&argv, Path::new("/"), bytes);
        output
            .map(|output| String::from_utf8_lossy(&output).into_owned())
            .map_err(|error| error.shown_as(["rsync", &self.parent]))
    }

    /// The entries of a directory that exists, with the targets of links.
    fn entries(&self, directory: &str) -> Result<BTreeMap<String, Option<String>>, exec::Error> {
        let path = format!("{}/", self.at(directory, ""));
        let arguments = ["--list-only", "--dirs", "--links", "--", &path].map(str::to_owned);
        Ok(self.rsync(&arguments, 0)?.lines().filter_map(entry).collect())
    }

    fn names(&self, directory: &str) -> Result<BTreeSet<String>, exec::Error> {
        Ok(self.entries(directory)?.into_keys().collect())
    }
}

/// A line of a listing: permissions, size, date, time, name; a link has ` -> ` and its target after it.
fn entry(line: &str) -> Option<(String, Option<String>)> {
    let mut rest = line;
    for _ in 0..4 {
        rest = rest.trim_start().split_once(' ')?.1;
    }
    let (name, target) = match rest.split_once(" -> ").filter(|_| line.starts_with('l')) {
        Some((name, target)) => (name, Some(target.to_owned())),
        None => (rest, None),
    };
    (!matches!(name, "" | ".")).then(|| (name.to_owned(), target))
}

impl Store for RsyncStore {
    fn missing(&self) -> Vec<String> {
        let ssh =
            if self.parent.starts_with("rsync://") { Vec::new() } else { missing_program("ssh", "openssh-client") };
        [missing_program("rsync", "rsync"), ssh].concat()
    }

    fn list(&self, directory: &str) -> anyhow::Result<Option<BTreeSet<String>>> {
        match self.names(directory) {
            Ok(names) => return Ok(Some(names)),
            Err(error) if error.exit_code() == Some(PARTIAL) => {}
            Err(error) => return Err(Failure::remote(error)),
        }
        // The directory is not there, or may not be read; only its parent tells.
        let parent = self.names("").map_err(|error| {
            let is_refused = error.exit_code() == Some(PARTIAL);
            let error = Failure::remote(error);
            if is_refused { error.context(no_parent(&self.parent)) } else { error }
        })?;
        if !parent.contains(directory) {
            return Ok(None);
        }
        self.names(directory).map(Some).map_err(Failure::remote)
    }

    fn fetch(&self, directory: &str, names: &[String], into: &Path) -> anyhow::Result<()> {
        if names.is_empty() {
            return Ok(());
        }
        let sources = names.iter().map(|name| self.at(directory, name));
        let arguments: Vec<String> =
            ["--".to_owned()].into_iter().chain(sources).chain([format!("{}/", into.display())]).collect();
        self.rsync(&arguments, 1 << 30).map_err(Failure::remote)?;
        match names.iter().find(|name| !into.join(name).is_file()) {
            None => Ok(()),
            Some(name) => Err(Failure::remote(format!("{name} of {} is not a file", self.at(directory, "")))),
        }
    }

    fn put(&self, file: &Path, directory: &str, name: &str, replace: bool) -> anyhow::Result<()> {
        let size = fs::metadata(file).with_context(|| format!("cannot read {}", file.display()))?.len();
        let scratch = Scratch::roomy("rsync")?;
        let staged = scratch.path().join(name);
        // rsync takes the name from the source; with a directory as the destination it creates its last component.
        fs::copy(file, &staged).with_context(|| format!("cannot copy {}", file.display()))?;
        let mode = if replace { "--checksum" } else { "--ignore-existing" };
        let to = format!("{}/", self.at(directory, ""));
        let arguments =
            [mode.into(), "--fsync".into(), "--chmod=F644".into(), "--".into(), staged.display().to_string(), to];
        self.rsync(&arguments, size).map_err(Failure::remote)?;
        Ok(())
    }

    fn link(&self, link: &str, to: &str) -> anyhow::Result<()> {
        let scratch = Scratch::new("rsync")?;
        let staged = scratch.path().join(link);
        symlink(to, &staged).with_context(|| format!("cannot make the link {}", staged.display()))?;
        let to = format!("{}/", self.at("", ""));
        self.rsync(&["--links".into(), "--".into(), staged.display().to_string(), to], 0).map_err(Failure::remote)?;
        Ok(())
    }

    fn leads(&self, link: &str, to: &str, _marker: (&str, Checksum)) -> anyhow::Result<bool> {
        let found = self.entries("").map_err(Failure::remote)?.remove(link).flatten();
        Ok(found.as_deref() == Some(to))
    }

    fn is_part(&self, name: &str) -> bool {
        // `.NAME.XXXXXX`, as rsync(1) says under --temp-dir.
        let ending = name.strip_prefix('.').and_then(|rest| rest.rsplit_once('.')).map(|(_, ending)| ending);
        ending.is_some_and(|ending| ending.len() == 6 && ending.bytes().all(|byte| byte.is_ascii_alphanumeric()))
    }
}
