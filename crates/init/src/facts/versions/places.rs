//! The files that hold the version.

use super::super::calls::calls;
use super::super::{GitFacts, Saw};
use super::numbers;
use crate::tree::Tree;
use drydock_config::release::Version;

/// A file with the version.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VersionPlace {
    /// The file.
    pub path: String,
    /// The line, with `{version}`; none if a key has it, or if the file has nothing else.
    pub line: Option<String>,
    /// The lines with `{major}`, `{minor}` and `{patch}`; empty if one has the version.
    pub lines: Vec<String>,
    /// The key, such as `package.version`.
    pub key: Option<&'static str>,
    /// The version there.
    pub version: String,
    /// What was seen.
    pub why: String,
}

/// All places, that of the build system first.
pub(super) fn find(tree: &Tree, git: &GitFacts) -> Vec<VersionPlace> {
    let mut places = Vec::new();
    let configure = tree.first(&["configure.ac", "configure.in"]).unwrap_or("configure.ac");
    let literal =
        [(configure, "AC_INIT"), ("meson.build", "project"), ("CMakeLists.txt", "project"), ("setup.py", "setup")];
    for (path, name) in literal {
        let Some(text) = tree.text(path) else { continue };
        let Some(call) = calls(&text, name).into_iter().next() else { continue };
        let version = match name {
            "AC_INIT" => call.arguments().get(1).cloned(),
            _ if path != "CMakeLists.txt" => call.keyword("version"),
            _ => {
                let words = call.words();
                words.iter().position(|word| word == "VERSION").and_then(|at| words.get(at + 1).cloned())
            }
        };
        places.extend(version.and_then(|version| on_line(path, &text, call.line, &version)));
    }
    let keys = [
        ("Cargo.toml", &["package", "version"][..], "package.version"),
        ("Cargo.toml", &["workspace", "package", "version"][..], "workspace.package.version"),
        ("pyproject.toml", &["project", "version"][..], "project.version"),
        ("pyproject.toml", &["tool", "poetry", "version"][..], "tool.poetry.version"),
    ];
    for (path, keys, key) in keys {
        let text = tree.text(path).unwrap_or_default();
        let Ok(table) = text.parse::<toml::Table>() else { continue };
        let mut value = Some(toml::Value::Table(table));
        for key in keys {
            value = value.and_then(|value| value.get(*key).cloned());
        }
        let version = value.as_ref().and_then(toml::Value::as_str).unwrap_or_default();
        if is_version(version) {
            let line =
                text.lines().position(|line| line.contains("version") && line.contains(version)).map_or(1, |at| at + 1);
            let why = format!("saw {}", Saw::line(path, line, &format!("{key} = \"{version}\"")));
            places.push(VersionPlace {
                path: path.to_owned(),
                key: Some(key),
                version: version.to_owned(),
                why,
                ..VersionPlace::default()
            });
        }
    }
    for path in ["VERSION", "version", "VERSION.txt", "version.txt", ".version", ".tarball-version"] {
        let text = tree.text(path).unwrap_or_default();
        if is_version(text.trim()) {
            let why = format!("saw {}", Saw::line(path, 1, text.trim()));
            places.push(VersionPlace {
                path: path.to_owned(),
                version: text.trim().to_owned(),
                why,
                ..VersionPlace::default()
            });
        }
    }
    for path in ["Makefile", "GNUmakefile", "setup.cfg", "config.mk", "dist.ini", "version.sh"] {
        let Some(text) = tree.text(path) else { continue };
        let assigned = text.lines().enumerate().find_map(|(number, line)| Some((number + 1, assigned(line)?)));
        places.extend(assigned.and_then(|(number, version)| on_line(path, &text, number, version)));
    }
    places.extend(of_node(tree));
    let of_modules = modules(tree).into_iter().filter_map(|(path, text)| {
        let (number, version) =
            text.lines().enumerate().find_map(|(number, line)| Some((number + 1, assigned(line)?)))?;
        on_line(&path, &text, number, version)
    });
    // A package of Python may have parts with versions of their own.
    let is_released = |place: &VersionPlace| super::is_tagged(git, &place.version);
    let alone = places.is_empty();
    places.extend(of_cmake(tree).filter(|place| alone || is_released(place)));
    places.extend(of_modules.filter(|place| alone || is_released(place)).take(1));
    places
}

/// Says of each place whether it has the newest released version, and leaves out what only stands for a version, such as 0.
pub(super) fn compare(places: &mut Vec<VersionPlace>, latest: Option<&str>) {
    let Some(latest) = latest else { return };
    places.retain(|place| place.version.contains('.') || !latest.contains('.'));
    for place in places.iter_mut() {
        let is_latest = latest == place.version || !place.lines.is_empty() && numbers::is_same(&place.version, latest);
        place.why.push_str(&if is_latest {
            ", as the newest tag has it".to_owned()
        } else {
            format!(", while the newest tag has {latest}")
        });
    }
    // The first version file names the version of a trial, so one that agrees with the tags comes first.
    places.sort_by_key(|place| !same_form(latest, &place.version));
}

/// The version that `CMakeLists.txt` sets as a whole: `set(VERSION 1.2.3)`.
fn of_cmake(tree: &Tree) -> Option<VersionPlace> {
    let path = "CMakeLists.txt";
    let text = tree.text(path)?;
    calls(&text, "set").into_iter().find_map(|call| {
        let words = call.words();
        let (name, version) = (words.first()?, words.get(1)?);
        let is_own =
            ["VERSION", "PROJECT_VERSION", "PACKAGE_VERSION", "CPACK_PACKAGE_VERSION"].contains(&name.as_str());
        if is_own && version.contains('.') { on_line(path, &text, call.line, version) } else { None }
    })
}

/// The version of `package.json`.
fn of_node(tree: &Tree) -> Option<VersionPlace> {
    let path = "package.json";
    let text = tree.text(path)?;
    // In a file as npm writes it, the members of the outermost object have two blanks or a tab before them.
    let (number, version) = text.lines().enumerate().find_map(|(number, line)| {
        let rest = line.strip_prefix("  ").or_else(|| line.strip_prefix('\t'))?;
        let value = rest.strip_prefix("\"version\"")?.trim_start().strip_prefix(':')?.trim();
        Some((number + 1, value.trim_end_matches(',').trim_matches('"').to_owned()))
    })?;
    // npm wants a version of every package, so those that are not published have one of zeros.
    let is_real = is_version(&version) && version.bytes().any(|byte| byte.is_ascii_digit() && byte != b'0');
    is_real.then(|| VersionPlace {
        path: path.to_owned(),
        key: Some("version"),
        why: format!("saw {}", Saw::line(path, number, &format!("\"version\": \"{version}\""))),
        version,
        ..VersionPlace::default()
    })
}

/// The modules of a distribution of Perl, the shortest path first: that is the one with its name.
fn modules_of_perl(tree: &Tree) -> Vec<(String, String)> {
    let mut paths: Vec<&str> = tree.with_extension(&[".pm"]).filter(|path| path.starts_with("lib/")).collect();
    paths.sort_by_key(|path| path.matches('/').count());
    paths.into_iter().take(20).filter_map(|path| Some((path.to_owned(), tree.text(path)?))).collect()
}

/// Files of packages of Python and Perl that may assign the version, those nearest to the top first.
fn modules(tree: &Tree) -> Vec<(String, String)> {
    if tree.first(&["Makefile.PL", "Build.PL", "dist.ini", "minil.toml"]).is_some() {
        return modules_of_perl(tree);
    }
    if tree.first(&["pyproject.toml", "setup.py", "setup.cfg"]).is_none() {
        return Vec::new();
    }
    let names = ["__init__.py", "_version.py", "version.py", "__about__.py", "__version__.py"];
    let of_tests = |path: &str| path.split('/').any(|part| ["test", "tests", "docs", "examples"].contains(&part));
    let mut paths: Vec<&str> = names.iter().flat_map(|name| tree.named(name)).collect();
    // A package may be a single module.
    let says =
        |path: &&str| tree.text(path).is_some_and(|text| text.lines().any(|line| line.starts_with("__version__")));
    let alone = tree.with_extension(&[".py"]).filter(|path| !path.contains('/')).filter(says);
    paths.extend(alone.filter(|path| !names.contains(path)));
    paths.retain(|path| path.matches('/').count() <= 2 && !of_tests(path));
    paths.sort_by_key(|path| path.matches('/').count());
    paths.into_iter().take(20).filter_map(|path| Some((path.to_owned(), tree.text(path)?))).collect()
}

/// True if two versions have the same separators, so that one may be a later form of the other.
fn same_form(one: &str, other: &str) -> bool {
    one.contains('.') == other.contains('.') && one.contains('_') == other.contains('_')
}

/// The version that a line assigns to a variable of that name: `VERSION := 1.2`, `version="1.2",`.
fn assigned(line: &str) -> Option<&str> {
    let (name, value) = line.split_once('=')?;
    let name = name.trim().trim_end_matches([':', '?', '+']).trim();
    let name = name.strip_prefix("our ").unwrap_or(name);
    if !["VERSION", "version", "PACKAGE_VERSION", "__version__", "$VERSION"].contains(&name) {
        return None;
    }
    let value = value.split('#').next()?.trim().trim_end_matches([',', ';']).trim_matches(['"', '\'']);
    // Perl has versions such as `v1.2.3`.
    let value = value.strip_prefix('v').filter(|_| name.starts_with('$')).unwrap_or(value);
    is_version(value).then_some(value)
}

/// A version on the line, or one of the few after it on which the call goes on, if that line can be told from all others.
pub(super) fn on_line(path: &str, text: &str, from: usize, version: &str) -> Option<VersionPlace> {
    if !is_version(version) {
        return None;
    }
    let lines: Vec<&str> = text.lines().collect();
    let (number, line) = lines.iter().enumerate().skip(from - 1).take(12).find(|(_, line)| line.contains(version))?;
    let pattern = line.trim().replacen(version, "{version}", 1);
    let is_simple = pattern.matches("{version}").count() == 1
        && !pattern.replace("{version}", "").contains(version)
        && line.len() < 300;
    let why = format!("saw {}", Saw::line(path, number + 1, line));
    is_simple.then(|| VersionPlace {
        path: path.to_owned(),
        line: Some(pattern),
        version: version.to_owned(),
        why,
        ..VersionPlace::default()
    })
}

/// A version as people write it: it parses, and is more than one word.
pub(super) fn is_version(text: &str) -> bool {
    text.parse::<Version>().is_ok()
        && text.len() < 40
        && (text.contains('.') || text.bytes().all(|byte| byte.is_ascii_digit()))
}
