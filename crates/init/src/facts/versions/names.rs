//! The name of a project.

use super::super::calls::calls;
use super::super::systems::python;
use super::super::{ArchiveFact, GitFacts, System};
use crate::tree::Tree;

/// The weakest evidence of a name.
const ADDRESS: &str = "the address of the remote `origin`";
const DIRECTORY: &str = "the name of the directory";

/// The name that the archives of a release script begin with, where nothing but an address or a directory names the project.
pub(in crate::facts) fn name_of_archives(
    name: &(String, String),
    archives: &[ArchiveFact],
) -> Option<(String, String)> {
    if !name.1.ends_with(ADDRESS) && !name.1.ends_with(DIRECTORY) {
        return None;
    }
    let archive = archives.iter().find(|archive| archive.name.is_some())?;
    let (start, _) = archive.name.as_deref()?.split_once("{version}")?;
    // Between the name and the version may be the beginning of tags: `lamp-v1.0.zip`.
    let start = &start[..start.rfind(['-', '_'])?];
    let own = fit(start).filter(|own| own == start)?;
    Some((own, format!("the archives that the project makes have this name: {}", archive.why)))
}

/// The name of the project, and where it was found.
pub(in crate::facts) fn name(tree: &Tree, git: &GitFacts, system: Option<System>) -> (String, String) {
    // Beside a Makefile, a manifest is that of a part.
    let is_part = system == Some(System::Make);
    let text = |path: &str| tree.text(path).unwrap_or_default();
    let call = |path: &str, name: &str| calls(&text(path), name).into_iter().next();
    let manifest = |path: &str, keys: &[&str]| {
        let table: toml::Table = text(path).parse().ok()?;
        let mut value = toml::Value::Table(table);
        for key in keys {
            value = value.get(*key)?.clone();
        }
        value.as_str().map(str::to_owned)
    };
    let configure = tree.first(&["configure.ac", "configure.in"]).unwrap_or("configure.ac");
    // What a backend calls to build an extension may have a name of its own.
    let is_native = matches!(system, Some(System::Meson | System::Cmake | System::Autotools));
    let has_backend = python::backend(tree).is_some() && !is_native;
    let found = [
        (manifest("pyproject.toml", &["project", "name"]).filter(|_| has_backend && !is_part), "pyproject.toml"),
        (call(configure, "AC_INIT").and_then(|call| of_autoconf(&call.arguments())), configure),
        (call("meson.build", "project").and_then(|call| call.first_quoted().map(str::to_owned)), "meson.build"),
        // CMake makes no archives, so those of a forge have the name of the repository.
        (git.remote.as_deref().and_then(of_address).filter(|_| tree.has("CMakeLists.txt")), ADDRESS),
        (
            call("CMakeLists.txt", "project")
                .and_then(|call| call.words().into_iter().next())
                .map(|name| if name.eq_ignore_ascii_case(&git.directory) { git.directory.clone() } else { name }),
            "CMakeLists.txt",
        ),
        (manifest("Cargo.toml", &["package", "name"]).filter(|_| !is_part), "Cargo.toml"),
        (manifest("pyproject.toml", &["project", "name"]).filter(|_| !is_part), "pyproject.toml"),
        (of_perl(tree), "the files for CPAN"),
        (source_of_debian(&text("debian/control")), "debian/control"),
        (git.remote.as_deref().and_then(of_address), ADDRESS),
        (of_address(&git.directory), DIRECTORY),
    ];
    let found = found.into_iter().filter_map(|(name, place)| Some((fit(&name?)?, format!("saw the name in {place}"))));
    found.into_iter().next().unwrap_or_else(|| ("project".to_owned(), "no name was found".to_owned()))
}

/// The name that autoconf gives to archives: the fourth argument of `AC_INIT`, or the first one in lower case.
fn of_autoconf(arguments: &[String]) -> Option<String> {
    let own = arguments.get(3).filter(|name| !name.is_empty() && fit(name).is_some());
    let name = arguments.first().filter(|name| !name.is_empty() && !name.contains("unused"));
    let lower = |name: &String| name.strip_prefix("GNU ").unwrap_or(name).to_ascii_lowercase();
    own.cloned().or_else(|| name.map(lower))
}

/// All names by which tags may name the project: the name itself, that of its address and that of its directory.
pub(super) fn all(name: &str, git: &GitFacts) -> Vec<String> {
    let mut all = vec![name.to_owned(), git.directory.clone()];
    all.extend(git.remote.as_deref().and_then(of_address));
    all.retain(|name| !name.is_empty());
    all
}

/// The name of a distribution for CPAN: `name = Lamp-Oil` of Dist::Zilla, or `NAME => 'Lamp::Oil'` of MakeMaker.
fn of_perl(tree: &Tree) -> Option<String> {
    for (path, key, between) in [
        ("dist.ini", "name", "="),
        ("minil.toml", "name", "="),
        ("Makefile.PL", "NAME", "=>"),
        ("Build.PL", "module_name", "=>"),
    ] {
        let text = tree.text(path).unwrap_or_default();
        let value = text.lines().find_map(|line| {
            let (name, value) = line.split_once(between)?;
            let value = value.trim().trim_end_matches(',').trim_matches(['"', '\'']);
            (name.trim().trim_matches(['"', '\'']) == key).then(|| value.replace("::", "-"))
        });
        if value.is_some() {
            return value;
        }
    }
    None
}

fn source_of_debian(text: &str) -> Option<String> {
    text.lines().find_map(|line| line.strip_prefix("Source:")).map(|name| name.trim().to_owned())
}

fn of_address(address: &str) -> Option<String> {
    let last = address.trim_end_matches('/').rsplit(['/', ':']).next()?;
    // A copy may have more after it, as in `lamp.git-source`.
    let name = match last.split_once(".git") {
        Some((name, rest)) if !rest.starts_with(|next: char| next.is_ascii_alphanumeric()) => name,
        _ => last,
    };
    Some(name.to_owned()).filter(|name| !["repo", "git", "src"].contains(&name.as_str()))
}

/// A name with what names of releases may not have replaced; none if nothing is left, or if it is a variable.
fn fit(name: &str) -> Option<String> {
    if name.contains(['$', '@', '(']) {
        return None;
    }
    let fits = |letter: char| letter.is_ascii_alphanumeric() || "+._-".contains(letter);
    let name: String = name.trim().chars().map(|letter| if fits(letter) { letter } else { '-' }).take(64).collect();
    let name = name.trim_matches('-').to_owned();
    name.starts_with(|first: char| first.is_ascii_alphanumeric()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_a_release() {
        for (name, expected) in [
            ("MarkupSafe", Some("MarkupSafe")),
            ("GNU foo", Some("GNU-foo")),
            ("${X}", None),
            ("../..", None),
            ("é", None),
        ] {
            assert_eq!(fit(name).as_deref(), expected, "{name}");
        }
        for (address, expected) in [
            ("git@example.org:a/b.git", "b"),
            ("/srv/b.git-source", "b"),
            ("https://github.com/a/b.github.io", "b.github.io"),
        ] {
            assert_eq!(of_address(address).as_deref(), Some(expected));
        }
    }

    #[test]
    fn archives_have_the_name_that_the_build_system_gives_them() {
        for (path, text, expected) in [
            ("configure.ac", "AC_INIT([Lamp], [1.0], [mail], [lampd])\n", "lampd"),
            ("configure.ac", "AC_INIT([GNU Lamp], [1.0])\n", "lamp"),
            ("configure.ac", "AC_INIT([package-unused], [1.0],, [liblamp])\n", "liblamp"),
            ("configure.ac", "AC_INIT([package-unused], [1.0])\n", "lamp-ng"),
            ("meson.build", "project('Lamp', 'c')\n", "Lamp"),
            ("CMakeLists.txt", "project(LAMP)\n", "lamp-ng"),
            ("Makefile", "all:\n", "lamp-ng"),
            ("pyproject.toml", "[project]\nname = \"lamp\"\n[build-system]\nbuild-backend = \"mesonpy\"\n", "lamp"),
        ] {
            let remote = Some("https://github.com/a/lamp-ng.git".to_owned());
            let git = GitFacts { remote, directory: "lamp".into(), ..GitFacts::default() };
            assert_eq!(name(&Tree::from_texts([(path, text)]), &git, None).0, expected, "{text}");
        }
        let here = GitFacts { directory: "lamp".into(), ..GitFacts::default() };
        // Beside the build of a project, its package of Python is a part.
        let manifest = "[project]\nname = \"pylamp\"\n[build-system]\nbuild-backend = \"mesonpy\"\n";
        let tree = Tree::from_texts([("meson.build", "project('lamp', 'c')\n"), ("pyproject.toml", manifest)]);
        assert_eq!(name(&tree, &here, Some(System::Meson)).0, "lamp");
        assert_eq!(name(&tree, &here, Some(System::Python)).0, "pylamp");
        assert_eq!(name(&Tree::from_texts([("CMakeLists.txt", "project(LAMP)\n")]), &here, None).0, "lamp");
    }
}
