//! Questions to a repository: its references, tags, history, and the changes of its work tree.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::scratch::Scratch;
use anyhow::Context as _;

use super::batch::Batch;
use super::discover::{Location, discover};
use super::view::{self, Format};
use super::{Mode, Object, Oid, objects, tree_entries};
use crate::exec;
use crate::failure::Failure;
use crate::hint::{self, Hint};

/// The reasons why the history of a commit is not known.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// The clone was made with a limited depth.
    #[error("the clone is shallow, so its history is not known; run `{0}`")]
    Shallow(Hint),
    /// git failed.
    #[error(transparent)]
    Git(#[from] exec::Error),
}

/// An entry of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedEntry {
    /// Its name, without a directory.
    pub name: String,
    /// The object that it names.
    pub object: Oid,
    /// Whether it is a regular file.
    pub is_file: bool,
}

/// A commit of a history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedCommit {
    /// The commit.
    pub id: Oid,
    /// Whether it has several parents.
    pub is_merge: bool,
    /// The author's name.
    pub author: String,
    /// The message.
    pub message: String,
}

/// A repository on this machine.
#[derive(Debug, Clone)]
pub struct Repository {
    /// The directory that it was found for.
    pub directory: PathBuf,
    /// True for a shallow clone, as in most CI systems.
    pub is_shallow: bool,
    pub(super) location: Location,
    pub(super) format: Format,
    /// What answers for its objects, once the first was asked for. It ends before its directory is removed.
    batch: Arc<Mutex<Option<Batch>>>,
    /// The git directory in which git works.
    view: Arc<Scratch>,
}

impl Repository {
    /// The repository that a directory belongs to.
    ///
    /// # Errors
    /// There is none, or git is missing.
    pub fn find(directory: &Path) -> anyhow::Result<Repository> {
        if !exec::is_installed("git") {
            return Err(Failure::missing("git is not installed"));
        }
        let location = discover(directory).map_err(|error| Failure::missing(error.to_string()))?;
        let format = Format::read(&view::settings(&location.common_dir.join("config")));
        let view = view::directory()?;
        let cannot = || format!("cannot read the git directory {}", location.git_dir.display());
        view::write(view.path(), &location, &format).with_context(cannot)?;
        let is_shallow = std::fs::metadata(location.common_dir.join("shallow")).is_ok_and(|file| file.len() > 0);
        let batch = Arc::default();
        Ok(Repository { directory: directory.to_owned(), is_shallow, location, format, batch, view: Arc::new(view) })
    }

    /// The top of the work tree; none in a bare repository.
    pub fn work_tree(&self) -> Option<&Path> {
        self.location.work_tree.as_deref()
    }

    /// The directories in which the repository of a submodule may be, by the submodule's name: those of clones, and those of
    /// linked work trees.
    pub fn submodule_directories(&self, name: &str) -> [PathBuf; 2] {
        [&self.location.common_dir, &self.location.git_dir].map(|directory| directory.join("modules").join(name))
    }

    /// Whether objects may be missing because they are fetched when they are needed.
    pub fn is_partial(&self) -> bool {
        let settings = view::settings(&self.location.common_dir.join("config"));
        settings.iter().any(|(key, value)| key.ends_with(".promisor") && value == "true")
    }

    /// A setting of this clone, such as `user.name`; it decides nothing about a release.
    pub fn setting(&self, key: &str) -> Option<String> {
        let settings = view::settings(&self.location.common_dir.join("config"));
        settings.into_iter().rev().find(|(found, _)| found == key).map(|(_, value)| value)
    }

    pub(super) fn objects(&self) -> PathBuf {
        self.location.common_dir.join("objects")
    }

    pub(super) fn format(&self) -> &Format {
        &self.format
    }

    fn environment(&self) -> BTreeMap<OsString, OsString> {
        view::environment(self.view.path(), &self.objects())
    }

    /// The output of a git command, without trailing whitespace.
    ///
    /// # Errors
    /// The reason with the end of its standard error.
    pub fn ask(&self, words: &[&str]) -> Result<String, exec::Error> {
        Ok(String::from_utf8_lossy(&self.ask_bytes(words)?).trim_end().to_owned())
    }

    /// The bytes that a git command prints.
    ///
    /// # Errors
    /// The reason with the end of its standard error.
    pub fn ask_bytes(&self, words: &[&str]) -> Result<Vec<u8>, exec::Error> {
        exec::bytes(&argv(words), self.view.path(), self.environment())
            .map_err(|error| error.shown_as(["git"].iter().chain(words).copied()))
    }

    /// A git command to run as part of a pipeline.
    pub fn command(&self, words: &[&str]) -> duct::Expression {
        duct::cmd("git", argv(words).split_off(1)).dir(self.view.path()).full_env(self.environment())
    }

    /// The object that a name means to git, with its content; `None` when it means none. All questions go to one process.
    ///
    /// # Errors
    /// git is missing or went away, or the object is damaged or larger than [`Objects::LARGEST`].
    fn named(&self, name: &str) -> anyhow::Result<Option<(Oid, Object)>> {
        let mut batch = self.batch.lock().unwrap_or_else(PoisonError::into_inner);
        let started = match batch.take() {
            Some(started) => started,
            None => Batch::start(objects::command(self.view.path(), &self.objects()), self.fsck())?,
        };
        let started = batch.insert(started);
        let answer = started.read(name);
        if answer.is_err() {
            // It answers no more; the next question goes to another.
            *batch = None;
        }
        answer
    }

    /// Reads an object; `None` when it is not there. Many objects are read by [`Objects`], which threads do not share.
    ///
    /// # Errors
    /// git is missing or went away, or the object is damaged or larger than [`Objects::LARGEST`].
    pub fn read(&self, oid: &Oid) -> anyhow::Result<Option<Object>> {
        Ok(self.named(oid.as_str())?.map(|(_, object)| object))
    }

    /// The command that looks for damaged objects.
    pub(super) fn fsck(&self) -> Hint {
        hint::git(&self.directory, &["fsck"])
    }

    /// The object that a revision names, once tags are followed to `kind`: `commit`, `tag`, `tree` or `blob`.
    pub fn resolve(&self, revision: &str, kind: &str) -> Option<Oid> {
        Some(self.named(&format!("{revision}^{{{kind}}}")).ok()??.0)
    }

    /// The object that a reference names: for an annotated tag its own, not that of its commit.
    pub fn reference(&self, name: &str) -> Option<Oid> {
        Some(self.named(name).ok()??.0)
    }

    /// The object at a path of a commit.
    pub fn at(&self, commit: &Oid, path: &str) -> Option<Oid> {
        let path = path.trim_end_matches('/');
        let (directory, name) = path.rsplit_once('/').unwrap_or(("", path));
        let (oid, tree) = self.named(&format!("{commit}:{directory}")).ok()??;
        if tree.kind != "tree" {
            return None;
        }
        let entries = tree_entries(&tree.content, oid.as_str().len() / 2)?;
        entries.into_iter().find(|entry| entry.name == name.as_bytes()).map(|entry| entry.object)
    }

    /// The entries of a tree, without those of its directories; `None` if there is no such tree, or it is damaged.
    pub fn list(&self, tree: &Oid) -> Option<Vec<ListedEntry>> {
        let object = self.read(tree).ok()??;
        let entries = tree_entries(&object.content, tree.as_str().len() / 2).filter(|_| object.kind == "tree")?;
        let listed = entries.into_iter().map(|entry| ListedEntry {
            name: String::from_utf8_lossy(entry.name).into_owned(),
            object: entry.object,
            is_file: matches!(Mode::canonical(entry.mode), Some(Mode::File { .. })),
        });
        Some(listed.collect())
    }

    /// The command that fetches the whole history of a shallow clone.
    pub fn unshallow(&self) -> Hint {
        hint::git(&self.directory, &["fetch", "--unshallow", "--tags"])
    }

    /// The tags whose commit this is, with the object that the tag names: itself for an annotated tag.
    ///
    /// # Errors
    /// git's own.
    pub fn tags_of(&self, commit: &Oid) -> Result<Vec<(String, Oid)>, exec::Error> {
        let format = "--format=%(objectname) %(refname:lstrip=2)";
        let answer = self.ask(&["for-each-ref", "--points-at", commit.as_str(), format, "refs/tags"])?;
        let tags = answer.lines().filter_map(|line| line.split_once(' '));
        Ok(tags.filter_map(|(oid, name)| Some((name.to_owned(), Oid::parse(oid)?))).collect())
    }

    /// The names of all tags in the history of a commit, itself included.
    ///
    /// # Errors
    /// git's own.
    pub fn tags_until(&self, commit: &Oid) -> Result<Vec<String>, exec::Error> {
        let answer =
            self.ask(&["for-each-ref", "--merged", commit.as_str(), "--format=%(refname:lstrip=2)", "refs/tags"])?;
        Ok(answer.lines().map(str::to_owned).collect())
    }

    /// All tags that lead to a commit, with that commit.
    ///
    /// # Errors
    /// git's own.
    pub fn tagged_commits(&self) -> Result<Vec<(String, Oid)>, exec::Error> {
        let format = "--format=%(objecttype) %(objectname) %(*objecttype) %(*objectname) %(refname:lstrip=2)";
        let answer = self.ask(&["for-each-ref", format, "refs/tags"])?;
        let tag = |line: &str| {
            let words: Vec<&str> = line.splitn(5, ' ').collect();
            let [own, object, peeled, tagged, name] = words[..] else { return None };
            let commit = if own == "commit" { object } else { tagged };
            let commit = Oid::parse(commit).filter(|_| own == "commit" || peeled == "commit")?;
            Some((name.to_owned(), commit))
        };
        Ok(answer.lines().filter_map(tag).collect())
    }

    /// Whether a commit is in the history of another one, or is that one.
    ///
    /// # Errors
    /// git's own; the history was cut.
    pub fn contains(&self, commit: &Oid, earlier: &Oid) -> Result<bool, HistoryError> {
        if self.is_shallow {
            return Err(HistoryError::Shallow(self.unshallow()));
        }
        Ok(self.ask(&["rev-list", "--max-count=1", earlier.as_str(), &format!("^{commit}"), "--"])?.is_empty())
    }

    /// The commits in the history of `earlier` that `commit` does not contain, neither themselves nor with another name but the same
    /// change; without merges, the oldest first.
    ///
    /// # Errors
    /// git's own; the history was cut.
    pub fn not_carried_over(&self, commit: &Oid, earlier: &Oid) -> Result<Vec<Oid>, HistoryError> {
        if self.is_shallow {
            return Err(HistoryError::Shallow(self.unshallow()));
        }
        let answer = self.ask(&["cherry", commit.as_str(), earlier.as_str()])?;
        Ok(answer.lines().filter_map(|line| Oid::parse(line.strip_prefix("+ ")?)).collect())
    }

    /// The paths that a commit without a merge changes.
    ///
    /// # Errors
    /// git's own.
    pub fn changed_paths(&self, commit: &Oid) -> Result<Vec<String>, exec::Error> {
        let words =
            ["diff-tree", "--root", "--no-commit-id", "--name-only", "--no-renames", "-r", "-z", commit.as_str()];
        let answer = self.ask_bytes(&words)?;
        let paths = answer.split(|byte| *byte == 0).filter(|path| !path.is_empty());
        Ok(paths.map(|path| String::from_utf8_lossy(path).into_owned()).collect())
    }

    /// The first line of a commit's message.
    ///
    /// # Errors
    /// git's own.
    pub fn subject(&self, commit: &Oid) -> Result<String, exec::Error> {
        self.ask(&["log", "-1", "--format=%s", commit.as_str(), "--"])
    }

    /// The commits in the history of `commit` that `earlier` has neither itself nor as the same change, the oldest first, each with its
    /// author, whether it is a merge, and its message.
    ///
    /// # Errors
    /// git's own.
    pub fn commits_since(&self, commit: &Oid, earlier: Option<&Oid>) -> Result<Vec<LoggedCommit>, exec::Error> {
        let range = earlier.map_or_else(|| commit.to_string(), |earlier| format!("{earlier}...{commit}"));
        let mut words = vec!["log", "--reverse", "--topo-order", "-z", "--format=%H%x01%P%x01%an%x01%B"];
        if earlier.is_some() {
            words.extend(["--right-only", "--cherry-pick"]);
        }
        words.extend([range.as_str(), "--"]);
        let answer = self.ask(&words)?;
        let logged = |record: &str| {
            let parts: Vec<&str> = record.splitn(4, '\x01').collect();
            let [id, parents, author, message] = parts[..] else { return None };
            Some(LoggedCommit {
                id: Oid::parse(id.trim())?,
                is_merge: parents.split(' ').count() > 1,
                author: author.to_owned(),
                message: message.trim().to_owned(),
            })
        };
        Ok(answer.split('\0').filter_map(logged).collect())
    }

    /// The branches of remotes and the tags that contain a commit, at most a few.
    ///
    /// # Errors
    /// git's own, such as for a commit that is not here.
    pub fn published_in(&self, commit: &Oid) -> Result<Vec<String>, exec::Error> {
        let words = ["for-each-ref", "--count=3", "--contains", commit.as_str(), "--format=%(refname:lstrip=2)"];
        let answer = self.ask(&[words.as_slice(), &["refs/remotes", "refs/tags"]].concat())?;
        Ok(answer.lines().map(str::to_owned).collect())
    }

    /// The number of commits in the history of a commit, including itself, and the time of the newest one in seconds since
    /// 1970. Neither decreases for descendants.
    ///
    /// # Errors
    /// git's own; the history was cut.
    pub fn history(&self, commit: &Oid) -> Result<(u64, u64), HistoryError> {
        if self.is_shallow {
            return Err(HistoryError::Shallow(self.unshallow()));
        }
        // One line for each commit: the date of the committer, and the commit.
        let answer = self.ask(&["rev-list", "--timestamp", commit.as_str(), "--"])?;
        let dates = answer.lines().filter_map(|line| line.split(' ').next()?.parse().ok());
        Ok((answer.lines().count() as u64, dates.max().unwrap_or_default()))
    }
}

fn argv(words: &[&str]) -> Vec<String> {
    ["git"].into_iter().chain(view::OPTIONS).chain(words.iter().copied()).map(str::to_owned).collect()
}
