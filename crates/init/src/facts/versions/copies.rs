//! Descriptions of the project for other tools, which repeat its version: spec files, `vcpkg.json`, `CITATION.cff`.

use super::places::{VersionPlace, on_line};
use crate::tree::Tree;

/// Such files are not in deeper directories.
const DEEPEST: usize = 2;

/// The names of files, or their endings where they begin with a dot, and what their lines have before the version, without
/// quotes and blanks. Rules: the documentation of each tool.
const DESCRIPTIONS: [(&[&str], &[&str]); 8] = [
    // RPM; snapcraft; the Citation File Format; components of ESP-IDF.
    (
        &[".spec", ".spec.in", "snapcraft.yaml", "CITATION.cff", "idf_component.yml", "idf_component.yaml"],
        &["version:"],
    ),
    // vcpkg has four keys for versions of several kinds; PlatformIO; CodeMeta; Meson's WrapDB and others follow npm.
    (
        &["vcpkg.json", "library.json", "codemeta.json", "clib.json"],
        &["version:", "version-string:", "version-semver:", "version-date:"],
    ),
    // Arduino; setuptools; Conan; Bazel; Nix; Zig.
    (
        &["library.properties", "setup.cfg", "setup.py", "conanfile.py", "MODULE.bazel", "default.nix", "flake.nix"],
        &["version="],
    ),
    (&["build.zig.zon"], &[".version="]),
    (&["Doxyfile", "Doxyfile.in", "doxygen.cfg", "doxygen.conf"], &["PROJECT_NUMBER="]),
    // Sphinx: the whole version is the release, and the version is its beginning.
    (&["conf.py"], &["release=", "version="]),
    (&[".podspec", ".gemspec"], &["s.version=", "spec.version="]),
    // ROS; Qt's installers; Haxe.
    (&["package.xml"], &["<version>"]),
];

/// The first line of each of these files that has a version of the project, which is one of `known`.
pub(super) fn find(tree: &Tree, known: &[&str]) -> Vec<VersionPlace> {
    let mut places = Vec::new();
    for (names, keys) in DESCRIPTIONS {
        let is_one = |path: &str| {
            let file = path.rsplit('/').next().unwrap_or(path);
            names.iter().any(|name| if name.starts_with('.') { file.ends_with(name) } else { file == *name })
        };
        let mut paths: Vec<&str> = tree.with_extension(&[""]).filter(|path| is_one(path)).collect();
        paths.retain(|path| path.matches('/').count() <= DEEPEST && !is_beside(path));
        for path in paths {
            let Some(text) = tree.text(path) else { continue };
            let place = text.lines().enumerate().find_map(|(at, line)| {
                let version = known.iter().copied().find(|version| is_described(line, version, keys))?;
                on_line(path, &text, at + 1, version)
            });
            places.extend(place);
        }
    }
    places
}

/// True for what describes something else than the project: its examples, and what tests read.
fn is_beside(path: &str) -> bool {
    path.split('/').any(|part| ["test", "tests", "example", "examples", "fuzz", "bindings"].contains(&part))
}

/// True if a line gives exactly this version to one of the keys.
fn is_described(line: &str, version: &str, keys: &[&str]) -> bool {
    let Some((before, after)) = line.split_once(version) else { return false };
    let plain: String = before.chars().filter(|letter| !" \t\"'".contains(*letter)).collect();
    // The call of a function may be in one line: `setup(name='lamp', version='1.2')`.
    let plain = plain.rsplit([',', '(', '{']).next().unwrap_or_default().to_ascii_lowercase();
    let rest = after.trim_start_matches(['"', '\'']);
    let is_end = rest.is_empty() || rest.starts_with([' ', '\t', ',', ';', ')', '}', '<', '#']);
    is_end && keys.iter().any(|key| plain == key.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn found(path: &str, text: &str) -> Option<String> {
        find(&Tree::from_texts([(path, text)]), &["1.20.3"]).into_iter().next().and_then(|place| place.line)
    }

    #[test]
    fn each_description_repeats_the_version_in_its_own_way() {
        for (path, line, pattern) in [
            ("lamp.spec", "Version:        1.20.3", "Version:        {version}"),
            ("rpm/lamp.spec.in", "Version: 1.20.3", "Version: {version}"),
            ("vcpkg.json", "  \"version\": \"1.20.3\",", "\"version\": \"{version}\","),
            ("vcpkg.json", "  \"version-semver\": \"1.20.3\",", "\"version-semver\": \"{version}\","),
            ("library.properties", "version=1.20.3", "version={version}"),
            ("setup.cfg", "version = 1.20.3", "version = {version}"),
            ("setup.py", "setup(name='lamp', version='1.20.3')", "setup(name='lamp', version='{version}')"),
            ("conanfile.py", "    version = \"1.20.3\"", "version = \"{version}\""),
            ("MODULE.bazel", "    version = \"1.20.3\",", "version = \"{version}\","),
            ("flake.nix", "  version = \"1.20.3\";", "version = \"{version}\";"),
            ("CITATION.cff", "version: \"1.20.3\"", "version: \"{version}\""),
            ("snap/snapcraft.yaml", "version: '1.20.3' # ours", "version: '{version}' # ours"),
            ("build.zig.zon", "    .version = \"1.20.3\",", ".version = \"{version}\","),
            ("doc/Doxyfile.in", "PROJECT_NUMBER         = 1.20.3", "PROJECT_NUMBER         = {version}"),
            ("docs/source/conf.py", "release = u'1.20.3'", ""),
            ("docs/source/conf.py", "release = '1.20.3'", "release = '{version}'"),
            ("lamp.gemspec", "  s.version     = '1.20.3'", "s.version     = '{version}'"),
            ("package.xml", "  <version>1.20.3</version>", "<version>{version}</version>"),
        ] {
            assert_eq!(found(path, &format!("# lamp\n{line}\n")).unwrap_or_default(), pattern, "{path}: {line}");
        }
    }

    #[test]
    fn a_version_of_something_else_is_left_alone() {
        for (path, line) in [
            ("vcpkg.json", "  \"version>=\": \"1.20.3\""),
            ("vcpkg.json", "  \"builtin-baseline\": \"1.20.3\""),
            ("lamp.spec", "Requires: glow >= 1.20.3"),
            ("lamp.spec", "Version: 11.20.3"),
            ("lamp.spec", "Version: 1.20.30"),
            ("lamp.spec", "Version: 1.20.3rc1"),
            ("CITATION.cff", "cff-version: 1.20.3"),
            ("setup.py", "python_version='1.20.3'"),
            ("tests/data/vcpkg.json", "\"version\": \"1.20.3\""),
            ("third_party/glow/vcpkg.json", "\"version\": \"1.20.3\""),
            ("a/b/c/vcpkg.json", "\"version\": \"1.20.3\""),
            ("other.json", "\"version\": \"1.20.3\""),
        ] {
            assert_eq!(found(path, &format!("# lamp\n{line}\n")), None, "{path}: {line}");
        }
    }
}
