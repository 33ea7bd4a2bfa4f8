//! Where state lives on disk, and how files appear there.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::path::{Component, Path, PathBuf};

use anyhow::Context as _;
use tempfile::NamedTempFile;

use crate::exec;
use crate::held_dir::{self, Access, HeldDir};

/// The state directory of a project, by default `PROJECT/target/xtask`.
#[derive(Debug, Clone)]
pub struct State {
    root: PathBuf,
    /// The directory around it, if that is the project's `target`.
    target: Option<PathBuf>,
}

impl State {
    /// The state of `project`, or the directory named on the command line.
    pub fn new(project: &Path, named: Option<&Path>) -> anyhow::Result<State> {
        let target = project.join("target");
        Ok(match named {
            Some(path) => {
                let root = absolute(path).with_context(|| format!("cannot resolve {}", path.display()))?;
                State { root, target: None }
            }
            None => State { root: target.join("xtask"), target: Some(target) },
        })
    }

    /// Creates the directory, with a `.gitignore` of its own so that it never shows up in the project's status; and one in `target`,
    /// if the project does not have that directory yet.
    ///
    /// # Errors
    /// It cannot be created, or something else has the place of a directory in it.
    pub fn create(&self) -> anyhow::Result<()> {
        self.runs_held().map(drop)
    }

    /// The directory of all runs, created if it is not there.
    ///
    /// # Errors
    /// As [`State::create`].
    fn runs_held(&self) -> anyhow::Result<HeldDir> {
        let cannot = || format!("cannot create the state directory {}", self.root.display());
        // Jobs that init writes install and build in `target`. Where no build system has it already, git is to ignore all of it.
        if let Some(target) = self.target.as_ref().filter(|target| fs::create_dir(target).is_ok()) {
            let file = fs::File::create_new(target.join(".gitignore"));
            file.and_then(|mut file| file.write_all(b"*\n")).with_context(cannot)?;
        }
        fs::create_dir_all(&self.root).with_context(cannot)?;
        // The user may have put the directory itself elsewhere, but nothing in it.
        let real = fs::canonicalize(&self.root).with_context(cannot)?;
        let root = HeldDir::open(&real).with_context(cannot)?;
        match root.file(".gitignore", Access::CreateNew) {
            Ok(mut file) => {
                file.write_all(b"*\n").with_context(|| format!("cannot write in {}", self.root.display()))?
            }
            // Whatever it is, it only matters to git.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error).with_context(|| format!("cannot write in {}", self.root.display())),
        }
        root.directory("runs").map_err(|error| in_the_way(&self.runs(), error))
    }

    /// The directory itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// One directory a run.
    pub fn runs(&self) -> PathBuf {
        self.root.join("runs")
    }

    /// The lock that keeps two runs apart.
    pub fn lock(&self) -> PathBuf {
        self.root.join("lock")
    }

    /// Duration, peak and outcome of each attempt.
    pub fn history(&self) -> PathBuf {
        self.root.join("history.jsonl")
    }

    /// The directory with the files of a release of that version.
    pub fn dist(&self, version: &str) -> PathBuf {
        self.root.join("dist").join(version)
    }

    /// The run that `runs/latest` points at, if there is one. The link leads nowhere else.
    pub fn latest_run(&self) -> Option<RunDir> {
        let target = fs::read_link(self.runs().join("latest")).ok()?;
        let [Component::Normal(name)] = target.components().collect::<Vec<_>>()[..] else { return None };
        let dir = self.runs().join(name);
        fs::symlink_metadata(&dir).is_ok_and(|metadata| metadata.is_dir()).then(|| RunDir::new(dir))
    }

    /// The identifiers of all runs, the newest first: each begins with its time.
    pub fn run_ids(&self) -> Vec<String> {
        let entries = fs::read_dir(self.runs()).into_iter().flatten();
        let mut ids: Vec<String> = entries
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter(|name| name != "latest" && !name.starts_with('.'))
            .collect();
        ids.sort_unstable_by(|left, right| right.cmp(left));
        ids
    }

    /// Makes the directory of a new run, and holds it.
    ///
    /// # Errors
    /// The name is taken, or nothing can be created there.
    pub fn new_run(&self, id: &str) -> anyhow::Result<RunDir> {
        let runs = self.runs_held()?;
        let cannot = || format!("cannot create the run's directory in {}", self.runs().display());
        runs.create(id).with_context(cannot)?;
        self.run(id).held().with_context(cannot)
    }

    /// The run of the given identifier.
    pub fn run(&self, id: &str) -> RunDir {
        RunDir::new(self.runs().join(id))
    }

    /// Makes `runs/latest` point at the run.
    pub fn set_latest(&self, id: &str) -> io::Result<()> {
        let fresh = self.runs().join(format!(".latest-{}", std::process::id()));
        // Only an interrupted run with the same process id leaves such a link.
        fs::remove_file(&fresh).ok();
        std::os::unix::fs::symlink(id, &fresh)?;
        fs::rename(&fresh, self.runs().join("latest")).inspect_err(|_| {
            // The first error is the one to report.
            fs::remove_file(&fresh).ok();
        })
    }
}

/// The name of the file with the events of a run, and that of its plan.
pub const JOURNAL: &str = "journal.jsonl";
/// See [`JOURNAL`].
pub const PLAN: &str = "plan.json";

/// The directory of one run.
#[derive(Debug, Clone)]
pub struct RunDir {
    root: PathBuf,
    /// While the run goes on, so that nothing is written elsewhere, whatever a job puts into its place.
    held: Option<HeldDir>,
}

impl RunDir {
    /// The name of the directory with those of all jobs.
    pub const JOBS: &str = "jobs";

    /// The run kept in `root`.
    pub fn new(root: PathBuf) -> RunDir {
        RunDir { root, held: None }
    }

    /// The same directory, held.
    ///
    /// # Errors
    /// It is not a directory.
    pub fn held(self) -> io::Result<RunDir> {
        let held = HeldDir::open(&self.root)?;
        Ok(RunDir { held: Some(held), ..self })
    }

    /// The held directory, or the directory that is there now.
    ///
    /// # Errors
    /// It is not a directory.
    pub fn directory(&self) -> io::Result<HeldDir> {
        match &self.held {
            Some(held) => Ok(held.clone()),
            None => HeldDir::open(&self.root),
        }
    }

    /// `false` if the directory was moved, deleted or replaced since it is held.
    pub fn is_in_place(&self) -> bool {
        self.held.as_ref().is_none_or(HeldDir::is_in_place)
    }

    /// Writes a file of this directory as [`write_atomically`] does. Returns its path.
    ///
    /// # Errors
    /// The directory is gone, or cannot be written.
    pub fn write(&self, name: &str, content: &[u8]) -> anyhow::Result<PathBuf> {
        let shown = self.root.join(name);
        let write = || replace(&self.directory()?.access(), Path::new(name), content);
        write().with_context(|| cannot_write(&shown))?;
        Ok(shown)
    }

    /// Writes a file of this directory in the same way, with the content that `render` writes piece by piece.
    ///
    /// # Errors
    /// As [`RunDir::write`], and those of `render`.
    pub fn write_with(
        &self,
        name: &str,
        render: impl FnOnce(&mut dyn io::Write) -> anyhow::Result<()>,
    ) -> anyhow::Result<PathBuf> {
        let shown = self.root.join(name);
        let open = || temporary(&self.directory()?.access());
        let mut writer = io::BufWriter::with_capacity(1 << 16, open().with_context(|| cannot_write(&shown))?);
        render(&mut writer).with_context(|| cannot_write(&shown))?;
        let persist = || -> io::Result<()> {
            let file = writer.into_inner().map_err(io::IntoInnerError::into_error)?;
            persist(file, &self.directory()?.access(), Path::new(name))
        };
        persist().with_context(|| cannot_write(&shown))?;
        Ok(shown)
    }

    /// The directory itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The run's identifier: the directory's name.
    pub fn id(&self) -> String {
        self.root.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
    }

    /// The file with the plan of the run.
    pub fn plan(&self) -> PathBuf {
        self.root.join(PLAN)
    }

    /// The file with the events of the run, in order.
    pub fn journal(&self) -> PathBuf {
        self.root.join(JOURNAL)
    }

    /// The directory of one attempt, relative to the run: `jobs/NAME/ATTEMPT`.
    pub fn attempt_relative(job: &str, attempt: u32) -> PathBuf {
        Path::new(RunDir::JOBS).join(job).join(attempt.to_string())
    }

    /// The directory of one attempt.
    pub fn attempt(&self, job: &str, attempt: u32) -> PathBuf {
        self.root.join(RunDir::attempt_relative(job, attempt))
    }
}

/// The absolute path, without `..` where it exists. Links stay, since people know a directory by the name that they gave.
///
/// # Errors
/// The path is empty, or the current directory cannot be told.
pub fn absolute(path: &Path) -> io::Result<PathBuf> {
    let whole = std::path::absolute(path)?;
    // Only the file system knows what is above a link.
    if whole.components().any(|part| part == Component::ParentDir) {
        return Ok(fs::canonicalize(&whole).unwrap_or(whole));
    }
    Ok(whole)
}

/// Opens a file that a job may have put there: never a link, and never a pipe or device that would block.
///
/// # Errors
/// As for any file, and for what is none.
pub fn open_regular(path: &Path) -> io::Result<fs::File> {
    open_own(path, fs::OpenOptions::new().read(true))
}

/// Opens a file as [`open_regular`] does, with these options. One that is to be written has no other name.
///
/// # Errors
/// As for any file, and for what is none.
pub fn open_own(path: &Path, options: &mut fs::OpenOptions) -> io::Result<fs::File> {
    let flags = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOFOLLOW;
    let flags = i32::try_from(flags.bits()).unwrap_or_default();
    let opened = std::os::unix::fs::OpenOptionsExt::custom_flags(options, flags).open(path);
    let file = opened.map_err(|error| match rustix::io::Errno::from_io_error(&error) {
        Some(errno) => held_dir::wrong_kind(errno, "not a regular file"),
        None => error,
    })?;
    let writes = rustix::fs::fcntl_getfl(&file)?.intersects(rustix::fs::OFlags::RDWR | rustix::fs::OFlags::WRONLY);
    held_dir::check_regular(&file, writes)?;
    Ok(file)
}

/// The most bytes that [`read_regular`] reads: no file that Drydock writes as a whole is longer.
const LONGEST: u64 = 1 << 30;

/// Reads a whole file that [`open_regular`] opens.
///
/// # Errors
/// As [`open_regular`], and for a file that is too long.
pub fn read_regular(path: &Path) -> io::Result<Vec<u8>> {
    let file = open_regular(path)?;
    if file.metadata()?.len() > LONGEST {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the file is too long"));
    }
    let mut bytes = Vec::new();
    file.take(LONGEST).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Something has the place of a directory that Drydock needs.
fn in_the_way(path: &Path, error: io::Error) -> anyhow::Error {
    let text = format!(
        "cannot use {}: {}; move it away, or name another directory with --state",
        path.display(),
        exec::plain(&error)
    );
    anyhow::Error::new(error).context(text)
}

/// Writes a whole file so that readers see the old content or the new, never a part: a temporary file in the same
/// directory, synced, then renamed over the target.
pub fn write_atomically(path: &Path, content: &[u8]) -> anyhow::Result<()> {
    let directory = path.parent().unwrap_or_else(|| Path::new("."));
    replace(directory, path, content).with_context(|| cannot_write(path))
}

fn cannot_write(path: &Path) -> String {
    format!("cannot write {}; is the disk full or the directory read-only?", path.display())
}

/// Writes a file of the directory; `path` is relative to it, or leads into it.
fn replace(directory: &Path, path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = temporary(directory)?;
    file.write_all(content)?;
    persist(file, directory, path)
}

fn temporary(directory: &Path) -> io::Result<NamedTempFile> {
    tempfile::Builder::new()
        .prefix(".part-")
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))
        .tempfile_in(directory)
}

/// Gives a temporary file of the directory its name, once its content is on the disk.
fn persist(file: NamedTempFile, directory: &Path, path: &Path) -> io::Result<()> {
    file.as_file().sync_data()?;
    let target =
        if path.is_absolute() { path.to_owned() } else { directory.join(path.file_name().unwrap_or_default()) };
    file.persist(target)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_as_a_whole_and_nothing_is_left_beside_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("run.json");
        write_atomically(&path, b"old").unwrap();
        write_atomically(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_is_above_a_link_is_not_what_its_name_says() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().canonicalize().unwrap();
        fs::create_dir_all(root.join("far/deep")).unwrap();
        std::os::unix::fs::symlink(root.join("far/deep"), root.join("link")).unwrap();
        let shown = |path: &str| absolute(&root.join(path)).unwrap();
        assert_eq!(shown("far/../far/deep"), root.join("far/deep"));
        assert_eq!(shown("link/.."), root.join("far"));
        assert_eq!(shown("link/./"), root.join("link"));
        assert_eq!(shown("none/../far"), root.join("none/../far"));
    }

    #[test]
    fn only_regular_files_are_opened() {
        let directory = tempfile::tempdir().unwrap();
        let (file, link, pipe) =
            (directory.path().join("file"), directory.path().join("link"), directory.path().join("pipe"));
        fs::write(&file, "x").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        assert!(open_regular(&file).is_ok());
        assert!(
            open_regular(&link).is_err() && open_regular(&pipe).is_err() && open_regular(directory.path()).is_err()
        );
    }

    #[test]
    fn latest_follows_the_newest_run() {
        let directory = tempfile::tempdir().unwrap();
        let state = State::new(directory.path(), None).unwrap();
        state.create().unwrap();
        assert!(state.latest_run().is_none());
        for id in ["a", "b"] {
            fs::create_dir(state.runs().join(id)).unwrap();
            state.set_latest(id).unwrap();
        }
        assert_eq!(state.latest_run().unwrap().id(), "b");
        assert_eq!(state.run_ids(), ["b", "a"]);
    }
}
