//! What the repository of a project tells: tags and the address that it was cloned from.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use drydock_base::exec;

/// The repository of a project.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GitFacts {
    /// True if there is one.
    pub is_repository: bool,
    /// All tags, the newest first.
    pub tags: Vec<String>,
    /// The nearest tag before the commit that is checked out.
    pub nearest: Option<String>,
    /// The address of the remote `origin`.
    pub remote: Option<String>,
    /// The branch that the remote has checked out, or else this one's.
    pub branch: Option<String>,
    /// The author of the newest commit, with the address.
    pub author: Option<String>,
    /// The name of the directory.
    pub directory: String,
    /// What is wrong with the place, or special about it.
    pub place: GitPlace,
}

/// Where a directory is in a repository.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum GitPlace {
    /// It is a work tree, or git knows nothing of it.
    #[default]
    WorkTree,
    /// It is a work tree whose history was cut off when it was cloned, so that tags may be missing.
    Shallow,
    /// It is a directory of this work tree, which has files of it.
    Below(PathBuf),
    /// It is a repository without a work tree.
    Bare,
    /// It is in the directory that git keeps its own data in.
    OwnData,
}

impl GitFacts {
    /// The owner and the name of the repository on GitHub, if that is where it was cloned from.
    pub fn on_github(&self) -> Option<(&str, &str)> {
        let address = self.remote.as_deref()?;
        let (_, path) = address.split_once("github.com")?;
        let (owner, name) = path.trim_start_matches([':', '/']).split_once('/')?;
        let name = name.trim_end_matches('/').trim_end_matches(".git");
        let fits = |text: &str| {
            !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
        };
        (fits(owner) && fits(name)).then_some((owner, name))
    }

    /// Asks git; without git or a repository, only the directory is known.
    pub fn read(root: &Path) -> GitFacts {
        let ask = |words: &[&str]| {
            let fixed = ["git", "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null"];
            let argv: Vec<String> = fixed.iter().chain(words).map(|word| (*word).to_owned()).collect();
            let answer = exec::bytes(&argv, root, exec::environment(&[], &BTreeMap::new())).ok()?;
            Some(String::from_utf8_lossy(&answer).trim().to_owned()).filter(|answer| !answer.is_empty())
        };
        let directory = root.canonicalize().ok();
        let directory = directory.as_deref().and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
        // Of a directory in somebody else's work tree, the tags are not those of the project.
        let is_repository =
            ask(&["rev-parse", "--show-prefix"]).is_none() && ask(&["rev-parse", "--git-dir"]).is_some();
        let of_repository = |words: &[&str]| if is_repository { ask(words) } else { None };
        let tags = of_repository(&["tag", "--list", "--sort=-creatordate"]).unwrap_or_default();
        GitFacts {
            is_repository,
            tags: tags.lines().take(2000).map(str::to_owned).collect(),
            nearest: of_repository(&["describe", "--tags", "--abbrev=0"]),
            remote: of_repository(&["remote", "get-url", "origin"]),
            branch: of_repository(&["symbolic-ref", "--short", "refs/remotes/origin/HEAD"])
                .and_then(|name| name.strip_prefix("origin/").map(str::to_owned))
                .or_else(|| of_repository(&["symbolic-ref", "--short", "HEAD"])),
            author: of_repository(&["log", "-1", "--format=%an <%ae>"]),
            directory: directory.unwrap_or_default(),
            place: match ask(&["rev-parse", "--is-inside-work-tree"]).as_deref() {
                Some("false") if ask(&["rev-parse", "--is-bare-repository"]).as_deref() == Some("true") => {
                    GitPlace::Bare
                }
                Some("false") => GitPlace::OwnData,
                Some(_) if is_repository => match ask(&["rev-parse", "--is-shallow-repository"]).as_deref() {
                    Some("true") => GitPlace::Shallow,
                    _ => GitPlace::WorkTree,
                },
                // A project that git does not track only happens to be in there.
                Some(_) if ask(&["ls-files", "-z"]).is_some() => {
                    ask(&["rev-parse", "--show-toplevel"]).map_or(GitPlace::WorkTree, |top| GitPlace::Below(top.into()))
                }
                _ => GitPlace::WorkTree,
            },
        }
    }
}
