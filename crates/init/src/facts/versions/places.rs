//! The files that hold the version.

use super::super::Saw;
use super::super::calls::calls;
use crate::tree::Tree;
use drydock_config::release::Version;

/// A file with the version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionPlace {
    /// The file.
    pub path: String,
    /// The line, with `{version}`; none if a key has it, or if the file has nothing else.
    pub line: Option<String>,
    /// The key, such as `package.version`.
    pub key: Option<&'static str>,
    /// The version there.
    pub version: String,
    /// What was seen.
    pub why: String,
}

/// All places, that of the build system first. `latest` is the newest released version.
pub(super) fn find(tree: &Tree, latest: Option<&str>) -> Vec<VersionPlace> {
    let mut places = Vec::new();
    let configure = tree.first(&["configure.ac", "configure.in"]).unwrap_or("configure.ac");
    let literal = [(configure, "AC_INIT"), ("meson.build", "project"), ("CMakeLists.txt", "project")];
    for (path, name) in literal {
        let Some(text) = tree.text(path) else { continue };
        let Some(call) = calls(&text, name).into_iter().next() else { continue };
        let version = match name {
            "AC_INIT" => call.arguments().get(1).cloned(),
            _ if path == "meson.build" => call.keyword("version"),
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
                line: None,
                key: Some(key),
                version: version.to_owned(),
                why,
            });
        }
    }
    for path in ["VERSION", "version", "VERSION.txt", "version.txt", ".version"] {
        let text = tree.text(path).unwrap_or_default();
        if is_version(text.trim()) {
            let why = format!("saw {}", Saw::line(path, 1, text.trim()));
            places.push(VersionPlace {
                path: path.to_owned(),
                line: None,
                key: None,
                version: text.trim().to_owned(),
                why,
            });
        }
    }
    for path in ["Makefile", "GNUmakefile", "setup.py", "config.mk"] {
        let Some(text) = tree.text(path) else { continue };
        let assigned = text.lines().enumerate().find_map(|(number, line)| Some((number + 1, assigned(line)?)));
        places.extend(assigned.and_then(|(number, version)| on_line(path, &text, number, version)));
    }
    for place in &mut places {
        place.why.push_str(&match latest {
            Some(latest) if latest == place.version => ", as the newest tag has it".to_owned(),
            Some(latest) => format!(", while the newest tag has {latest}"),
            None => String::new(),
        });
    }
    // The first version file names the version of a trial, so one that agrees with the tags comes first.
    places.sort_by_key(|place| latest.is_some_and(|latest| !same_form(latest, &place.version)));
    places
}

/// True if two versions have the same separators, so that one may be a later form of the other.
fn same_form(one: &str, other: &str) -> bool {
    one.contains('.') == other.contains('.') && one.contains('_') == other.contains('_')
}

/// The version that a line assigns to a variable of that name: `VERSION := 1.2`, `version="1.2",`.
fn assigned(line: &str) -> Option<&str> {
    let (name, value) = line.split_once('=')?;
    let name = name.trim().trim_end_matches([':', '?', '+']).trim();
    if !["VERSION", "version", "PACKAGE_VERSION", "__version__"].contains(&name) {
        return None;
    }
    let value = value.split('#').next()?.trim().trim_end_matches(',').trim_matches(['"', '\'']);
    is_version(value).then_some(value)
}

/// A version on the line, or one of the few after it on which the call goes on, if that line can be told from all others.
fn on_line(path: &str, text: &str, from: usize, version: &str) -> Option<VersionPlace> {
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
        key: None,
        version: version.to_owned(),
        why,
    })
}

/// A version as people write it: it parses, and is more than one word.
fn is_version(text: &str) -> bool {
    text.parse::<Version>().is_ok()
        && text.len() < 40
        && (text.contains('.') || text.bytes().all(|byte| byte.is_ascii_digit()))
}
