//! Objects of one repository, read through one process.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Context as _;

use super::batch::Batch;
use super::{Oid, Repository, view};
use crate::exec;
use crate::failure::Failure;

/// Objects of one repository, read through one `git cat-file --batch`.
///
/// The process works in an empty repository of our own, which borrows only the directory of objects. So neither the
/// repository's configuration nor its attributes, grafts and replaced objects have a say.
#[derive(Debug)]
pub struct Objects {
    scratch: crate::scratch::Scratch,
    objects: PathBuf,
    batch: Batch,
}

/// One object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// `blob`, `tree`, `commit` or `tag`.
    pub kind: String,
    /// Its content.
    pub content: Vec<u8>,
}

/// An attribute of a path, as `.gitattributes` sets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathAttribute {
    /// The path; a directory ends with `/`.
    pub path: Vec<u8>,
    /// The name of the attribute.
    pub name: String,
    /// Its value; `set` without one.
    pub value: String,
}

impl Objects {
    /// The largest object that is read, in bytes: one is held in memory at a time.
    pub const LARGEST: u64 = 1 << 30;

    /// Starts the process.
    ///
    /// # Errors
    /// git is missing, or a temporary directory cannot be created.
    pub fn open(repository: &Repository) -> anyhow::Result<Objects> {
        let scratch = view::directory()?;
        view::write_empty(scratch.path(), repository.format()).context("cannot write to the temporary directory")?;
        let objects = repository.objects();
        let batch = Batch::start(command(scratch.path(), &objects), repository.fsck())?;
        Ok(Objects { scratch, objects, batch })
    }

    /// Reads an object; `None` when it is not there.
    ///
    /// # Errors
    /// git went away, the object is damaged, or larger than [`Objects::LARGEST`].
    pub fn read(&mut self, oid: &Oid) -> anyhow::Result<Option<Object>> {
        Ok(self.batch.read(oid.as_str())?.map(|(_, object)| object))
    }

    /// The attributes of paths from the `.gitattributes` of a tree: `ask` lists the paths (directories with a trailing `/`),
    /// the result is (path, attribute, value) for each attribute that is set. Paths are bytes.
    ///
    /// # Errors
    /// git's own.
    pub fn attributes(&self, tree: &Oid, names: &[&str], ask: &[Vec<u8>]) -> anyhow::Result<Vec<PathAttribute>> {
        let mut read_tree = command(self.scratch.path(), &self.objects);
        let read =
            read_tree.args(["read-tree", tree.as_str()]).stdin(Stdio::null()).output().context("cannot run git")?;
        if !read.status.success() {
            let why = exec::end_of(&read.stderr);
            return Err(Failure::rejected(format!("git cannot read the tree {tree}: {why}")));
        }
        let work_tree = self.scratch.path().join("refs");
        let mut child = command(self.scratch.path(), &self.objects)
            .env("GIT_WORK_TREE", &work_tree)
            .args(["-c", "core.bare=false", "check-attr", "--cached", "-z", "--stdin"])
            .args(names)
            .current_dir(&work_tree)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot run git")?;
        let mut input = child.stdin.take().context("git has no standard input")?;
        let question: Vec<u8> = ask.iter().flat_map(|path| path.iter().copied().chain([0])).collect();
        let asking = std::thread::spawn(move || input.write_all(&question));
        let output = child.wait_with_output().context("cannot read from git")?;
        let asked = asking.join().map_err(|_| anyhow::anyhow!("the question to git was cut off"))?;
        if !output.status.success() || asked.is_err() {
            return Err(Failure::rejected(format!("git cannot read the attributes of the tree {tree}")));
        }
        let fields: Vec<&[u8]> = output.stdout.split(|byte| *byte == 0).collect();
        let all = fields.chunks_exact(3).map(|triple| PathAttribute {
            path: triple[0].to_owned(),
            name: String::from_utf8_lossy(triple[1]).into_owned(),
            value: String::from_utf8_lossy(triple[2]).into_owned(),
        });
        Ok(all.filter(|attribute| !matches!(attribute.value.as_str(), "unspecified" | "unset")).collect())
    }

    /// The sizes in bytes of blobs; none for one that is missing.
    ///
    /// # Errors
    /// git's own.
    pub fn sizes(&self, blobs: &[&Oid]) -> anyhow::Result<Vec<Option<u64>>> {
        let mut child = command(self.scratch.path(), &self.objects)
            .args(["cat-file", "--buffer", "--batch-check=%(objectsize)"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot run git")?;
        let mut input = child.stdin.take().context("git has no standard input")?;
        let question: Vec<u8> = blobs.iter().flat_map(|oid| format!("{oid}\n").into_bytes()).collect();
        let asking = std::thread::spawn(move || input.write_all(&question));
        let output = child.wait_with_output().context("cannot read from git")?;
        let asked = asking.join().map_err(|_| anyhow::anyhow!("the question to git was cut off"))?;
        // A missing object has a line `OBJECT missing`.
        let sizes: Vec<Option<u64>> =
            String::from_utf8_lossy(&output.stdout).lines().map(|line| line.parse().ok()).collect();
        if !output.status.success() || asked.is_err() || sizes.len() != blobs.len() {
            return Err(Failure::rejected("git cannot tell the sizes of the files"));
        }
        Ok(sizes)
    }

    /// The values of a git configuration that a blob holds, as (key, value).
    ///
    /// # Errors
    /// The blob is not a git configuration.
    pub fn configuration(&self, blob: &Oid) -> anyhow::Result<Vec<(String, String)>> {
        let mut config = command(self.scratch.path(), &self.objects);
        let output = config
            .args(["config", "--no-includes", "-z", "--list", "--blob", blob.as_str()])
            .stdin(Stdio::null())
            .output()
            .context("cannot run git")?;
        if !output.status.success() {
            return Err(Failure::rejected(format!("git cannot read it: {}", exec::end_of(&output.stderr))));
        }
        let entries = output.stdout.split(|byte| *byte == 0).map(String::from_utf8_lossy);
        Ok(entries.filter_map(|entry| entry.split_once('\n').map(|(key, value)| (key.into(), value.into()))).collect())
    }
}

/// A command of git that works in a git directory with these objects.
pub(super) fn command(git_dir: &Path, objects: &Path) -> Command {
    let mut command = Command::new("git");
    command
        .env_clear()
        .envs(view::environment(git_dir, objects))
        .args(view::OPTIONS)
        .current_dir(git_dir)
        .stderr(Stdio::piped());
    command
}
