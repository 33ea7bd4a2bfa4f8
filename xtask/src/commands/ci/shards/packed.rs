//! Plans and runs in one file each: artifacts of GitHub Actions keep neither all names nor links.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use tempfile::TempDir;

use drydock_archive::bundle;
use drydock_base::failure::Failure;
use drydock_base::output;
use drydock_base::paths::{JOURNAL, PLAN, RunDir};
use drydock_ci::plan::Plan;
use drydock_ci::report::REPORTS;
use drydock_ci::shard::{self, Piece, PieceError, SEAL};

/// The end of the name of a packed plan or run.
const ENDING: &str = ".tar.gz";
/// The plan's file in a packed plan.
const PLAN_FILE: &str = "plan.json";
/// What the name of an archive with a part of a run has: what was sent while the run went on.
pub(in crate::commands::ci) const PART: &str = "-part-";

/// Whether a file is to be, or is, one archive.
pub(in crate::commands::ci) fn is_packed(path: &Path) -> bool {
    path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.ends_with(ENDING))
}

/// What was unpacked; it goes when this is dropped.
pub(in crate::commands::ci) struct Unpacked {
    scratch: TempDir,
    count: usize,
}

/// The directory of a run, and what it is called in messages.
pub(in crate::commands::ci) struct FoundRun {
    pub(in crate::commands::ci) shown: PathBuf,
    pub(in crate::commands::ci) dir: Result<PathBuf, PieceError>,
}

impl FoundRun {
    /// The run; none if it is a part that says nothing yet.
    pub(in crate::commands::ci) fn read(self, plan: &Arc<Plan>) -> Option<(PathBuf, Result<Piece, PieceError>)> {
        let is_part = is_part(&self.shown);
        match self.dir.and_then(|dir| Piece::read(&dir, plan, None)) {
            Err(PieceError::NoRun) if is_part => None,
            read => Some((self.shown, read)),
        }
    }
}

/// Whether an archive has what was sent while a run went on.
fn is_part(archive: &Path) -> bool {
    archive.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.contains(PART))
}

impl Unpacked {
    pub(in crate::commands::ci) fn new() -> anyhow::Result<Unpacked> {
        let scratch = tempfile::Builder::new().prefix("drydock-shards-").tempdir();
        Ok(Unpacked { scratch: scratch.context("cannot make a directory for what is unpacked")?, count: 0 })
    }

    /// A directory for a plan that is to be packed.
    pub(in crate::commands::ci) fn plan_to_pack(&self) -> PathBuf {
        self.scratch.path().join(PLAN_FILE)
    }

    /// Packs that plan with all that is beside it.
    pub(in crate::commands::ci) fn pack_plan(&self, file: &Path) -> anyhow::Result<()> {
        let files = bundle::files_below(self.scratch.path()).context("cannot read the plan")?;
        bundle::write(self.scratch.path(), "plan", &files, file)
            .with_context(|| format!("cannot write {}", file.display()))
    }

    fn unpack(&mut self, archive: &Path) -> Result<PathBuf, PieceError> {
        self.count += 1;
        let into = self.scratch.path().join(self.count.to_string());
        fs::create_dir(&into)?;
        bundle::unpack(archive, &into).map_err(|error| PieceError::Packed(error.to_string()))?;
        Ok(into)
    }

    /// The file of a plan, which may be packed.
    pub(in crate::commands::ci) fn plan(&mut self, file: &Path) -> anyhow::Result<PathBuf> {
        if !is_packed(file) {
            return Ok(file.to_owned());
        }
        if let Err(error) = fs::File::open(file) {
            return Err(anyhow::Error::new(error).context(format!("cannot read the plan {}", file.display())));
        }
        let unpacked = self.unpack(file);
        let dir = unpacked.map_err(|error| Failure::not_reproducible(format!("{}: {error}", file.display())))?;
        Ok(dir.join(PLAN_FILE))
    }

    /// The directories of the runs that are given: themselves, packed, or in a directory with those of several. What was cut
    /// while it was sent is left out: another part, or the merge, tells what is missing.
    pub(in crate::commands::ci) fn runs(&mut self, given: &[PathBuf]) -> Vec<FoundRun> {
        let mut found = Vec::new();
        for path in given {
            if is_packed(path) {
                self.take(path, &mut found);
                continue;
            }
            if fs::symlink_metadata(path).is_err() {
                output::err(format_args!("warning: there is no {}: no shard has left a result there", path.display()));
                continue;
            }
            let mut packed: Vec<PathBuf> = Vec::new();
            if fs::symlink_metadata(path.join(JOURNAL)).is_err() {
                let entries = fs::read_dir(path).into_iter().flatten().filter_map(Result::ok);
                packed = entries.map(|entry| entry.path()).filter(|path| is_packed(path)).collect();
                packed.sort();
            }
            packed.iter().for_each(|archive| self.take(archive, &mut found));
            let plain = shard::directories(std::slice::from_ref(path));
            let is_itself = plain.len() == 1 && plain[0] == *path;
            if !is_itself || packed.is_empty() {
                found.extend(plain.into_iter().map(|dir| FoundRun { shown: dir.clone(), dir: Ok(dir) }));
            }
        }
        found
    }

    fn take(&mut self, archive: &Path, found: &mut Vec<FoundRun>) {
        let dir = self.unpack(archive);
        match dir {
            Err(error) if is_part(archive) => {
                output::err(format_args!("warning: {} is not used: {error}", archive.display()));
            }
            dir => found.push(FoundRun { shown: archive.to_owned(), dir }),
        }
    }
}

/// Writes a run that has ended and was sealed to one file.
pub(in crate::commands::ci) fn pack_run(dir: &RunDir, file: &Path) -> anyhow::Result<()> {
    let mut files = vec![SEAL.to_owned(), PLAN.to_owned()];
    files.extend(REPORTS.iter().map(|report| report.file.to_owned()));
    files.extend(shard::files_of(dir.root())?);
    files.retain(|name| fs::symlink_metadata(dir.root().join(name)).is_ok_and(|metadata| metadata.is_file()));
    bundle::write(dir.root(), &dir.id(), &files, file).with_context(|| format!("cannot write {}", file.display()))
}
