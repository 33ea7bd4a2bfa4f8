//! The search for a project and its declarations.

use std::path::{Path, PathBuf};

use drydock_base::hint;

/// The declarations, relative to the directory that holds them: any of them makes a project.
const FILES: [&str; 3] = ["ci/jobs.yaml", "packaging/release.yaml", "docker/images.yaml"];

/// A project and the directory with its declarations, which is usually the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declarations {
    /// The work tree.
    pub project: PathBuf,
    /// The directory that holds `ci/jobs.yaml` or `jobs.yaml`, and so on.
    pub config: PathBuf,
}

/// Why no declarations were found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotFound {
    /// No ancestor holds a declaration.
    #[error("neither {} nor a directory above it has {}; name the project with --project, or let `{}` write them", .start.display(), list(), hint::drydock(&["init"]))]
    Project {
        /// The directory in which the search began.
        start: PathBuf,
    },
    /// `--project` is not a directory.
    #[error("the project {} is not a directory; give the work tree to --project", .0.display())]
    NotADirectory(PathBuf),
    /// `--project` holds no declaration, and there is no `--config`.
    #[error("the project {} has none of {}; let `{}` write them, or take declarations from another directory with --config", .0.display(), list(), hint::drydock(&["init"]))]
    Undeclared(PathBuf),
    /// `--config` is not a directory.
    #[error("{} is not a directory; give the directory with the declarations to --config", .0.display())]
    ConfigNotADirectory(PathBuf),
    /// `--config` holds no declaration.
    #[error("the directory {} has none of {}, nor any of them without its directory; give a directory with declarations to --config", .0.display(), list())]
    Config(PathBuf),
    /// `--config` is given without `--project`, and the current directory is not in a git work tree.
    #[error("{} is not in a git work tree; name the project with --project", .0.display())]
    NoWorkTree(PathBuf),
}

fn list() -> String {
    let [jobs, release, images] = FILES;
    format!("{jobs}, {release} or {images}")
}

impl Declarations {
    /// Finds the project and its declarations from the directory `start` and the options `--project` and `--config`.
    ///
    /// # Errors
    /// No project or no declarations; the message names the option that sets the missing one.
    pub fn find(start: &Path, project: Option<&Path>, config: Option<&Path>) -> Result<Self, NotFound> {
        if let Some(project) = project.filter(|project| !project.is_dir()) {
            return Err(NotFound::NotADirectory(project.to_owned()));
        }
        if let Some(config) = config.filter(|config| !config.is_dir()) {
            return Err(NotFound::ConfigNotADirectory(config.to_owned()));
        }
        match (project, config) {
            (_, Some(config)) if !FILES.iter().any(|file| locate(config, file).is_some()) => {
                Err(NotFound::Config(config.to_owned()))
            }
            (Some(project), Some(config)) => Ok(Self { project: project.to_owned(), config: config.to_owned() }),
            (Some(project), None) if declares(project) => Ok(Self::at(project)),
            (Some(project), None) => Err(NotFound::Undeclared(project.to_owned())),
            (None, Some(config)) => {
                // A project that takes its declarations from elsewhere has none of its own.
                let tree = start.ancestors().find(|directory| directory.join(".git").exists() || declares(directory));
                let project = tree.ok_or_else(|| NotFound::NoWorkTree(start.to_owned()))?.to_owned();
                Ok(Self { project, config: config.to_owned() })
            }
            (None, None) => {
                let nearest = start.ancestors().find(|directory| declares(directory));
                nearest.map(Self::at).ok_or_else(|| NotFound::Project { start: start.to_owned() })
            }
        }
    }

    fn at(project: &Path) -> Self {
        Self { project: project.to_owned(), config: project.to_owned() }
    }

    /// The file that declares jobs; where it would be, if there is none.
    pub fn jobs(&self) -> PathBuf {
        self.file(FILES[0])
    }

    /// The file that declares quarantines; where it would be, if there is none.
    pub fn quarantine(&self) -> PathBuf {
        self.file("ci/quarantine.yaml")
    }

    /// The file that declares releases; where it would be, if there is none.
    pub fn release(&self) -> PathBuf {
        self.file(FILES[1])
    }

    /// The file that declares images; where it would be, if there is none.
    pub fn images(&self) -> PathBuf {
        self.file(FILES[2])
    }

    fn file(&self, name: &str) -> PathBuf {
        locate(&self.config, name).unwrap_or_else(|| self.config.join(name))
    }
}

/// True if the directory holds one of the declarations in its usual place.
fn declares(directory: &Path) -> bool {
    FILES.iter().any(|file| directory.join(file).is_file())
}

/// A declaration in a directory of declarations, which need not repeat the directories of a project.
fn locate(config: &Path, name: &str) -> Option<PathBuf> {
    let bare = Path::new(name).file_name()?;
    [config.join(name), config.join(bare)].into_iter().find(|file| file.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[track_caller]
    fn check(
        root: &Path,
        start: &str,
        project: Option<&str>,
        config: Option<&str>,
        expected: Result<(&str, &str), &str>,
    ) {
        let at = |path: &str| root.join(path);
        let found = Declarations::find(&at(start), project.map(at).as_deref(), config.map(at).as_deref());
        let expected = expected.map(|(project, config)| Declarations { project: at(project), config: at(config) });
        match (found, expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected),
            (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{error}"),
            (found, expected) => panic!("{found:?} instead of {expected:?}"),
        }
    }

    #[test]
    fn the_nearest_project_is_found_and_errors_name_the_option() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        for file in
            ["p/ci/jobs.yaml", "p/sub/docker/images.yaml", "elsewhere/jobs.yaml", "tree/.git/HEAD", "bare/README"]
        {
            fs::create_dir_all(root.join(file).parent().unwrap()).unwrap();
            fs::write(root.join(file), "").unwrap();
        }
        fs::create_dir_all(root.join("tree/deep")).unwrap();
        check(root, "p/ci", None, None, Ok(("p", "p")));
        check(root, "p/sub/docker", None, None, Ok(("p/sub", "p/sub")));
        check(root, "bare", Some("p"), None, Ok(("p", "p")));
        check(root, "bare", Some("tree"), Some("elsewhere"), Ok(("tree", "elsewhere")));
        check(root, "tree/deep", None, Some("elsewhere"), Ok(("tree", "elsewhere")));
        check(root, "bare", None, None, Err("--project"));
        check(root, "bare", None, Some("elsewhere"), Err("not in a git work tree"));
        check(root, "bare", Some("bare"), None, Err("write them, or take"));
        check(root, "bare", Some("nowhere"), None, Err("is not a directory"));
        check(root, "p", None, Some("bare"), Err("--config"));
        check(root, "p", None, Some("p/ci/jobs.yaml"), Err("jobs.yaml is not a directory"));
        let found = Declarations { project: root.join("tree"), config: root.join("elsewhere") };
        assert_eq!(found.jobs(), root.join("elsewhere/jobs.yaml"));
        assert_eq!(found.release(), root.join("elsewhere/packaging/release.yaml"));
    }
}
