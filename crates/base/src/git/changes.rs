//! The differences between a work tree, the index and the last commit, found without running any filter.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::{Oid, Repository, view};
use crate::exec;

/// Settings of a clone that say how its work tree was written, with their values. They run nothing.
const WORK_TREE_SETTINGS: [(&str, &[&str]); 9] = [
    ("core.autocrlf", &["true", "false", "input"]),
    ("core.eol", &["lf", "crlf", "native"]),
    ("core.filemode", &["true", "false"]),
    ("core.ignorecase", &["true", "false"]),
    ("core.precomposeunicode", &["true", "false"]),
    ("core.sparsecheckout", &["true", "false"]),
    ("core.sparsecheckoutcone", &["true", "false"]),
    ("core.symlinks", &["true", "false"]),
    ("core.trustctime", &["true", "false"]),
];

/// The greatest depth of submodules in submodules.
const DEEPEST: usize = 16;

/// A path that differs from the last commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Two characters as `git status --porcelain` has them: the index, then the work tree. `??` is an untracked path.
    pub state: String,
    /// The path, relative to the top of the work tree.
    pub path: String,
    /// The value of its attribute `filter`: the file may differ only because that program was not run.
    pub filter: Option<String>,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.state, self.path)?;
        if let Some(filter) = &self.filter {
            write!(f, " (compared without its filter {filter}, which is a program of this clone)")?;
        }
        Ok(())
    }
}

/// The files that count as changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Untracked {
    /// Files that git does not know count, unless they are ignored.
    Counted,
    /// Only files that git knows count.
    Ignored,
}

impl Repository {
    /// The differences of the work tree and the index from the last commit, in submodules too; none in a bare repository.
    ///
    /// # Errors
    /// git's own, such as for a damaged index.
    pub fn changes(&self, untracked: Untracked) -> anyhow::Result<Vec<Change>> {
        let mut changes = Vec::new();
        self.add_changes("", untracked, &mut BTreeSet::new(), &mut changes)?;
        Ok(changes)
    }

    fn add_changes(
        &self,
        prefix: &str,
        untracked: Untracked,
        visited: &mut BTreeSet<PathBuf>,
        changes: &mut Vec<Change>,
    ) -> anyhow::Result<()> {
        let Some(work_tree) = self.work_tree().map(Path::to_owned) else { return Ok(()) };
        if visited.len() > DEEPEST || !visited.insert(self.location.git_dir.clone()) {
            return Ok(());
        }
        let ask = self.of_work_tree(&work_tree)?;
        let kinds = match untracked {
            Untracked::Counted => "--untracked-files=all",
            Untracked::Ignored => "--untracked-files=no",
        };
        // git would read the configuration of submodules, so it must not look at them.
        let submodules = ask.submodules()?;
        let others: Vec<String> = submodules.iter().map(|(path, _)| format!(":(exclude,top,literal){path}")).collect();
        let status = ["status", "--porcelain", "-z", kinds, "--no-renames", "--ignore-submodules=all", "--", ":/"];
        let words: Vec<&str> = status.into_iter().chain(others.iter().map(String::as_str)).collect();
        let answer = ask.bytes(&words)?;
        let own = answer.split(|byte| *byte == 0).filter(|entry| entry.len() > 3);
        let mut own: Vec<Change> = own
            .map(|entry| Change {
                state: String::from_utf8_lossy(&entry[..2]).into_owned(),
                path: String::from_utf8_lossy(&entry[3..]).into_owned(),
                filter: None,
            })
            .collect();
        ask.filters(&mut own)?;
        let head = self.resolve("HEAD", "commit");
        for (path, index) in submodules {
            let committed = head.as_ref().and_then(|head| self.at(head, &path));
            let directory = work_tree.join(&path);
            let checked_out = directory.join(".git").exists().then(|| Repository::find(&directory)).transpose()?;
            let here = checked_out.as_ref().and_then(|repository| repository.resolve("HEAD", "commit"));
            let staged = if committed.as_ref() == Some(&index) { ' ' } else { 'M' };
            let moved = if checked_out.is_none() || here.as_ref() == Some(&index) { ' ' } else { 'M' };
            if staged == 'M' || moved == 'M' {
                own.push(Change { state: format!("{staged}{moved}"), path: path.clone(), filter: None });
            }
            if let Some(repository) = checked_out {
                repository.add_changes(&format!("{prefix}{path}/"), untracked, visited, changes)?;
            }
        }
        own.sort_by(|a, b| a.path.cmp(&b.path));
        changes.extend(own.into_iter().map(|change| Change { path: format!("{prefix}{}", change.path), ..change }));
        Ok(())
    }

    /// A view with the work tree and the index of the clone.
    fn of_work_tree(&self, work_tree: &Path) -> anyhow::Result<WorkTree> {
        let view = view::directory()?;
        view::write(view.path(), &self.location, &self.format).context("cannot write to the temporary directory")?;
        let mut options = vec!["git".to_owned(), "-c".into(), "core.bare=false".into()];
        for (key, value) in view::settings(&self.location.common_dir.join("config")) {
            let value = value.to_ascii_lowercase();
            if WORK_TREE_SETTINGS.iter().any(|(known, values)| *known == key && values.contains(&value.as_str())) {
                options.extend(["-c".into(), format!("{key}={value}")]);
            }
        }
        options.extend(view::OPTIONS.map(str::to_owned));
        let mut environment = view::environment(view.path(), &self.objects());
        environment.insert("GIT_WORK_TREE".into(), work_tree.into());
        environment.insert("GIT_INDEX_FILE".into(), self.location.git_dir.join("index").into());
        Ok(WorkTree { top: work_tree.to_owned(), options, environment, _view: view })
    }
}

/// Questions about a work tree.
struct WorkTree {
    top: PathBuf,
    options: Vec<String>,
    environment: std::collections::BTreeMap<std::ffi::OsString, std::ffi::OsString>,
    _view: crate::scratch::Scratch,
}

impl WorkTree {
    fn bytes(&self, words: &[&str]) -> Result<Vec<u8>, exec::Error> {
        let argv: Vec<String> = self.options.iter().cloned().chain(words.iter().map(|word| (*word).into())).collect();
        exec::bytes(&argv, &self.top, self.environment.clone())
            .map_err(|error| error.shown_as(["git"].iter().chain(words).copied()))
    }

    /// Submodules in the index: path and commit.
    fn submodules(&self) -> Result<Vec<(String, Oid)>, exec::Error> {
        let answer = self.bytes(&["ls-files", "--stage", "-z"])?;
        let entries = answer.split(|byte| *byte == 0).filter_map(|entry| {
            // `MODE OBJECT STAGE<TAB>PATH`
            let entry = std::str::from_utf8(entry).ok()?.strip_prefix("160000 ")?;
            let (words, path) = entry.split_once('\t')?;
            Some((path.to_owned(), Oid::parse(words.split(' ').next()?)?))
        });
        Ok(entries.collect())
    }

    /// Adds the filters of files whose content differs.
    fn filters(&self, changes: &mut [Change]) -> Result<(), exec::Error> {
        for change in changes.iter_mut().filter(|change| change.state.ends_with('M')).take(MOST_ASKED) {
            let answer = self.bytes(&["check-attr", "-z", "filter", "--", &change.path])?;
            // `PATH NUL filter NUL VALUE NUL`
            let value = answer.split(|byte| *byte == 0).nth(2).map(String::from_utf8_lossy).unwrap_or_default();
            if !matches!(value.as_ref(), "" | "unspecified" | "unset" | "set") {
                change.filter = Some(value.into_owned());
            }
        }
        Ok(())
    }
}

/// The number of changed files whose filters are looked up; a message names fewer.
const MOST_ASKED: usize = 20;
