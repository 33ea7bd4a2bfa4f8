//! What the files of a project tell: its build systems with the jobs that they make, valgrind, versions, packages.

pub mod archives;
mod attributes;
mod calls;
pub mod debian;
pub mod derived;
mod fetches;
pub mod git;
mod jobs;
mod make_rules;
mod packages;
pub(crate) mod systems;
mod valgrind;
pub mod versions;

use std::fmt;

use crate::tree::Tree;
use drydock_base::text::one_line;

pub use archives::ArchiveFact;
pub use debian::DebianFacts;
pub use derived::GeneratorDraft;
pub use git::{GitFacts, GitPlace};
pub use jobs::{JobDraft, SuiteDraft};
pub use packages::Package;
pub use systems::{Group, System};
pub use valgrind::ValgrindFacts;
pub use versions::VersionFacts;

/// The place of evidence, with what is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Saw {
    /// The file, relative to the project.
    pub path: String,
    /// Its line, from 1; none if the file itself is the evidence.
    pub line: Option<usize>,
    /// The text there, at most a line.
    pub text: String,
}

impl Saw {
    /// A file that is there.
    pub fn file(path: &str) -> Saw {
        Saw { path: path.to_owned(), line: None, text: String::new() }
    }

    /// A line of a file, from 1.
    pub fn line(path: &str, line: usize, text: &str) -> Saw {
        Saw {
            path: path.to_owned(),
            line: Some(line),
            text: one_line(&text.split_whitespace().collect::<Vec<_>>().join(" "), 90),
        }
    }
}

impl fmt::Display for Saw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&one_line(&self.path, 120))?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if !self.text.is_empty() {
            write!(f, " `{}`", self.text)?;
        }
        Ok(())
    }
}

/// What is known of a project.
#[derive(Debug, Clone)]
pub struct Facts {
    /// Its name, fit for a release, and where it was found.
    pub name: (String, String),
    /// The jobs of each build system that is used, in the order in which they are declared.
    pub groups: Vec<Group>,
    /// Build systems that were seen and are not used, with the reason.
    pub unused: Vec<String>,
    /// What there is for valgrind.
    pub valgrind: ValgrindFacts,
    /// Tags, files with the version, the changelog.
    pub versions: VersionFacts,
    /// Debian packages that the project says that it needs.
    pub packages: Vec<Package>,
    /// Files of other continuous integration.
    pub workflows: Vec<String>,
    /// Dockerfiles.
    pub dockerfiles: Vec<String>,
    /// The Debian package that the project has.
    pub debian: Option<DebianFacts>,
    /// Generators of files that git does not have.
    pub generators: Vec<GeneratorDraft>,
    /// Scripts that make releases.
    pub release_scripts: Vec<String>,
    /// The archives that these scripts, or the build system, make.
    pub archives: Vec<ArchiveFact>,
    /// The repository.
    pub git: GitFacts,
    /// What keeps the archives from being unpacked on Windows and macOS.
    pub unportable: Option<String>,
    /// True if the project has submodules.
    pub submodules: bool,
    /// Where a recipe of make, or CMake, takes something from the network.
    pub fetches: Option<Saw>,
    /// Remarks for the user that concern no declaration.
    pub remarks: Vec<String>,
}

/// Directories whose images are those in which continuous integration runs.
const IN_CI: [&str; 8] = ["ci", ".ci", ".gitlab-ci", ".github", ".circleci", ".azure", ".devcontainer", "build-aux"];

impl Facts {
    /// Looks at all files.
    pub fn find(tree: &Tree, git: &GitFacts) -> Facts {
        let (groups, unused, mut remarks) = systems::find(tree);
        remarks.extend(tree.left_out.iter().cloned());
        remarks.extend(attributes::remarks(tree));
        let missing = tree.paths().filter(|path| tree.kind(path) == Some(crate::tree::Kind::Submodule));
        let missing: Vec<&str> = missing.filter(|_| tree.has(".gitmodules")).collect();
        if !missing.is_empty() {
            let command = "git submodule update --init --recursive";
            let listed = systems::listed(&missing);
            remarks.push(format!("submodules are not checked out: {listed}; run `{command}` first"));
        }
        let is_dockerfile = |path: &&str| {
            let name = path.rsplit('/').next().unwrap_or(path);
            name == "Dockerfile" || name == "Containerfile" || name.starts_with("Dockerfile.")
        };
        // Those of tests and the like are not for people who use the project.
        let is_published = |path: &&str| {
            let directory = path.rsplit_once('/').map_or("", |(directory, _)| directory);
            !crate::tree::is_foreign(path) && !systems::part::is_beside(directory) && !IN_CI.contains(&directory)
        };
        let dockerfiles = tree.paths().filter(is_dockerfile).filter(is_published);
        let system = groups.first().map(|group| group.system);
        let name = versions::name(tree, git, system);
        // Where the project is in one directory of the repository, its version is there too.
        let directory = groups.first().map(|group| group.directory.clone());
        let directory = directory.filter(|directory| !directory.is_empty() && !systems::part::is_beside(directory));
        let versions = match &directory {
            None => versions::find(tree, git, &name.0, system),
            Some(directory) => {
                let of_part = versions::find(&tree.below(directory), git, &name.0, system);
                // Or the directory has nothing but the build.
                if of_part.places.is_empty() && of_part.changelog.is_none() {
                    versions::find(tree, git, &name.0, system)
                } else {
                    of_part.within(directory)
                }
            }
        };
        let release_scripts = archives::scripts(tree);
        let tags = versions.tag.as_ref().map_or("v{version}", |(pattern, _)| pattern.as_str()).to_owned();
        let tag = tags.split('{').next().unwrap_or("v");
        let mut archives = archives::find(tree, &name.0, &groups, &release_scripts, tag);
        let mut name = name;
        if let Some(own) = versions::name_of_archives(&name, &archives) {
            name = own;
            archives = archives::find(tree, &name.0, &groups, &release_scripts, tag);
        }
        let generators = derived::find(tree, &groups, &name.0, &tags);
        Facts {
            archives,
            release_scripts,
            git: git.clone(),
            name,
            valgrind: ValgrindFacts { preload: valgrind::preload(tree), ..valgrind::find(tree) },
            versions,
            packages: packages::find(tree),
            workflows: packages::workflows(tree).map(str::to_owned).collect(),
            dockerfiles: dockerfiles.filter(|path| tree.has(path)).map(str::to_owned).collect(),
            debian: debian::find(tree),
            unportable: attributes::unportable(tree, &generators),
            generators,
            submodules: tree.has(".gitmodules"),
            fetches: groups.first().and_then(|group| match group.system {
                System::Make => fetches::find(tree, &group.directory),
                System::Cmake => fetches::of_cmake(tree, group),
                System::Meson | System::Autotools | System::Cargo | System::Python | System::Perl => None,
            }),
            groups,
            unused,
            remarks,
        }
    }
}
