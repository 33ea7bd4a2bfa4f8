//! The build systems of a project, and which of them is declared.

mod autotools;
mod beside;
mod called;
mod cargo;
mod cmake;
pub(crate) mod generators;
mod make;
mod meson;
mod options;
pub(super) mod part;
mod perl;
pub(super) mod python;

use super::Saw;
use super::jobs::JobDraft;
use crate::tree::{SOURCES, Tree, is_foreign};
use options::{is_about_documentation, is_about_sanitizers, is_about_tests};

/// A build system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum System {
    /// Meson and ninja.
    Meson,
    /// CMake and CTest.
    Cmake,
    /// autoconf, mostly with automake.
    Autotools,
    /// A Makefile that is written by hand.
    Make,
    /// Cargo.
    Cargo,
    /// setuptools and pytest.
    Python,
    /// MakeMaker, Module::Build, Dist::Zilla, and scripts that print TAP.
    Perl,
}

impl System {
    /// The name that its users know.
    pub fn name(self) -> &'static str {
        match self {
            System::Meson => "Meson",
            System::Cmake => "CMake",
            System::Autotools => "autotools",
            System::Make => "Make",
            System::Cargo => "Cargo",
            System::Python => "Python",
            System::Perl => "Perl",
        }
    }
}

/// The jobs of one build system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// The build system.
    pub system: System,
    /// What was seen of it.
    pub because: String,
    /// The jobs, in the order of their needs.
    pub jobs: Vec<JobDraft>,
    /// True if one of them tests.
    pub has_tests: bool,
    /// The programs that it calls, each with its Debian package.
    pub programs: Vec<(&'static str, &'static str)>,
    /// The program whose version the project demands, and the lowest one.
    pub least: Option<(&'static str, String)>,
    /// The directory of all that; empty for the top.
    pub directory: String,
    /// The command that builds the project from an archive of its sources, if one command does.
    pub build_release: Vec<Vec<String>>,
}

/// The groups that are declared, the build systems that are not, each with the reason, and remarks.
pub(super) fn find(tree: &Tree) -> (Vec<Group>, Vec<String>, Vec<String>) {
    let mut native: Vec<Group> =
        [meson::find(tree), cmake::find(tree), autotools::find(tree), make::find(tree)].into_iter().flatten().collect();
    let mut unused = Vec::new();
    let mut remarks = Vec::new();
    let backend = python::backend(tree);
    native.retain(|group| match &backend {
        Some((system, saw)) if *system == group.system && is_only_for(tree, group) => {
            unused.push(only_for(group, saw));
            false
        }
        _ => true,
    });
    // A system whose tests can be listed is better than one that only builds; beyond that the order above decides.
    let chosen = native.iter().position(|group| group.has_tests).or((!native.is_empty()).then_some(0));
    let mut groups = Vec::new();
    if let Some(chosen) = chosen {
        let group = native.remove(chosen);
        for other in &native {
            let why = if other.has_tests || !group.has_tests {
                format!(
                    "{} is declared, which lists its tests one by one and builds outside of the sources where it can",
                    group.system.name()
                )
            } else {
                "no tests were found in it".to_owned()
            };
            unused.push(format!("{} ({}): {why}", other.system.name(), other.because));
        }
        groups.push(with_suite(tree, group));
    }
    let alone = groups.is_empty();
    let cargo = cargo::find(tree, alone);
    groups.extend(cargo.filter(|group| match &backend {
        Some((System::Cargo, saw)) if is_only_for(tree, group) => {
            unused.push(only_for(group, saw));
            false
        }
        _ => true,
    }));
    groups.extend(python::find(tree, groups.is_empty(), &groups));
    if groups.is_empty() {
        groups.extend(perl::find(tree));
    }
    if groups.is_empty() {
        groups.extend(make::without_compiler(tree));
    }
    if groups.is_empty() {
        match part::find(tree) {
            Ok(Some(directory)) => {
                let below = tree.below(&directory);
                let (found, unused, remarks) = find(&below);
                let mut moved: Vec<Group> =
                    found.into_iter().map(|group| part::moved(group, &directory, &below)).collect();
                // The script that tests may be beside the directory.
                if let [group] = &mut moved[..] {
                    let suite = called::suite(tree, None).filter(|_| group.system == System::Make && !group.has_tests);
                    group.has_tests |= suite.is_some();
                    group.jobs.extend(suite);
                }
                return (moved, unused, remarks);
            }
            Ok(None) => {}
            Err(directories) => remarks.push(format!(
                "no build system was found at the top, but several below it: {}; try `init` in one of them",
                listed(&directories)
            )),
        }
    }
    unique_names(&mut groups);
    (groups, unused, remarks)
}

/// True if a build system, which the backend of a package in Python calls, has nothing to do without it.
fn is_only_for(tree: &Tree, group: &Group) -> bool {
    match group.system {
        System::Cargo => !tree
            .with_extension(&[".rs"])
            .any(|path| tree.text(path).is_some_and(|text| text.contains("#[test]") || text.contains("```\n"))),
        // The backend sets these.
        System::Cmake => {
            !group.has_tests || tree.text("CMakeLists.txt").is_some_and(|text| text.contains("${SKBUILD_"))
        }
        System::Meson | System::Autotools | System::Make | System::Python | System::Perl => !group.has_tests,
    }
}

fn only_for(group: &Group, saw: &Saw) -> String {
    format!("{} ({}): saw {saw}, which calls it to build the extension", group.system.name(), group.because)
}

/// The same with the script by which the project's workflows test, or a directory of tests, if it has no other tests.
fn with_suite(tree: &Tree, mut group: Group) -> Group {
    let build = matches!(group.system, System::Meson | System::Cmake).then(|| build_directory(tree));
    let beside = || beside::suite(tree).filter(|_| build.is_none());
    let suite = if group.has_tests { None } else { called::suite(tree, build.as_deref()).or_else(beside) };
    group.has_tests |= suite.is_some();
    group.jobs.extend(suite);
    group
}

/// The first names of a list, and how many more there are.
pub(super) fn listed<N: AsRef<str>>(names: &[N]) -> String {
    const SHOWN: usize = 5;
    let shown = names.iter().take(SHOWN).map(AsRef::as_ref).collect::<Vec<_>>().join(", ");
    match names.len().checked_sub(SHOWN) {
        None | Some(0) => shown,
        Some(more) => format!("{shown} and {more} more"),
    }
}

/// Files of build systems below the top, the nearest first.
fn nested(tree: &Tree) -> Vec<&str> {
    let names = ["meson.build", "CMakeLists.txt", "configure.ac", "Cargo.toml", "Makefile", "pyproject.toml"];
    let mut found: Vec<&str> =
        names.iter().flat_map(|name| tree.named(name)).filter(|path| path.contains('/')).collect();
    found.sort_by_key(|path| path.matches('/').count());
    found
}

/// Gives the jobs of the second and later groups a prefix where a name is taken.
fn unique_names(groups: &mut [Group]) {
    let mut taken: Vec<String> = Vec::new();
    for group in groups {
        let own: Vec<String> = group.jobs.iter().map(|job| job.name.clone()).collect();
        if own.iter().any(|name| taken.contains(name)) {
            let prefix = group.system.name().to_ascii_lowercase();
            let renamed = |name: &str| {
                let is_renamed = name != prefix && own.iter().any(|own| own == name);
                if is_renamed { format!("{prefix}-{name}") } else { name.to_owned() }
            };
            for job in &mut group.jobs {
                job.name = renamed(&job.name);
                job.needs = job.needs.iter().map(|name| renamed(name)).collect();
                if let Some(suite) = &mut job.suite {
                    suite.after = suite.after.iter().map(|name| renamed(name)).collect();
                }
            }
        }
        taken.extend(group.jobs.iter().map(|job| job.name.clone()));
    }
}

/// The directory for a build outside of the sources, in which the project has nothing: one that git ignores, where there is one.
fn build_directory(tree: &Tree) -> String {
    let is_free = |name: &&str| !tree.has_directory(name) && tree.kind(name).is_none();
    let names = ["build", "builddir", "_build"];
    let found = names.into_iter().filter(is_free).find(|name| is_ignored(tree, name));
    found.or_else(|| names.into_iter().find(|name| is_free(name))).unwrap_or("target/build").to_owned()
}

/// True if git ignores a directory at the top.
fn is_ignored(tree: &Tree, directory: &str) -> bool {
    let ignored = tree.text(".gitignore").unwrap_or_default();
    let mut is_ignored = false;
    for line in ignored.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
        let pattern = line.trim_start_matches('!').trim_matches('/').trim_end_matches("/*").trim_end_matches("/**");
        if is_like(pattern.trim_start_matches("**/"), directory) {
            is_ignored = !line.starts_with('!');
        }
    }
    is_ignored
}

/// True if a name is like a pattern with `*` in it.
fn is_like(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((start, rest)) => {
            let tails = name.strip_prefix(start).into_iter();
            tails.flat_map(|tail| (0..=tail.len()).filter_map(move |at| tail.get(at..))).any(|tail| is_like(rest, tail))
        }
    }
}

/// The number of files in C or C++ that are the project's own.
fn sources_in_c(tree: &Tree) -> usize {
    tree.with_extension(&SOURCES).count()
}

/// The files of this name that are the project's own, with their texts.
fn own_texts(tree: &Tree, name: &str) -> Vec<(String, String)> {
    let paths = tree.named(name).into_iter().take(300);
    paths.filter_map(|path| Some((path.to_owned(), tree.text(path)?))).filter(|(path, _)| !is_foreign(path)).collect()
}

/// The first number with dots in a text such as `>= 1.3.0` or `3.5...4.0`.
fn lowest(text: &str) -> Option<String> {
    let start = text.find(|letter: char| letter.is_ascii_digit())?;
    let rest = &text[start..];
    let end = rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(rest.len());
    let number = rest[..end].split("..").next().unwrap_or_default().trim_end_matches('.');
    Some(number.to_owned()).filter(|number| number.contains('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(texts: &[(&str, &str)]) -> (Vec<String>, Vec<String>) {
        let (groups, unused, _) = find(&Tree::from_texts(texts.iter().copied()));
        (groups.iter().flat_map(|group| &group.jobs).map(|job| job.name.clone()).collect(), unused)
    }

    #[test]
    fn a_build_is_in_a_directory_that_git_ignores() {
        for (ignored, directory, is_hidden) in [
            ("build/\n", "build", true),
            ("/_build\n", "_build", true),
            ("*.o\n**/build*/**\n", "build", true),
            ("cmake-*\n*build*\n", "build", true),
            ("build*\n!build\n", "builddir", true),
            ("# build\nbuild.log\n", "build", false),
            ("", "build", false),
        ] {
            let tree = Tree::from_texts([(".gitignore", ignored)]);
            let found = build_directory(&tree);
            assert_eq!((found.as_str(), is_ignored(&tree, &found)), (directory, is_hidden), "{ignored}");
        }
    }

    #[test]
    fn a_build_system_that_only_builds_an_extension_is_left_to_the_backend() {
        let test = ("tests/test_a.py", "");
        let backend = |name: &str| format!("[project]\nname = \"lamp\"\n[build-system]\nbuild-backend = \"{name}\"\n");
        let scikit = backend("scikit_build_core.build");
        let cmake = "project(${SKBUILD_PROJECT_NAME} C)\nenable_testing()\nadd_test(a b)\n";
        let (jobs, unused) = names(&[("pyproject.toml", &scikit), ("CMakeLists.txt", cmake), ("a.c", ""), test]);
        assert_eq!(jobs, ["build", "tests"]);
        assert!(unused[0].contains("build-backend"), "{unused:?}");
        let maturin = backend("maturin");
        let cargo = ("Cargo.toml", "[package]\nname = \"lamp-rs\"\n");
        let locked = ("uv.lock", "");
        let (jobs, _) = names(&[("pyproject.toml", &maturin), cargo, ("src/lib.rs", "fn a() {}\n"), test, locked]);
        assert_eq!(jobs, ["python", "tests"]);
        // What Cargo can test, it tests.
        let (jobs, _) = names(&[("pyproject.toml", &maturin), cargo, ("src/lib.rs", "#[test]\n"), test, locked]);
        assert_eq!(jobs, ["build", "tests", "python", "python-tests"]);
    }
}
