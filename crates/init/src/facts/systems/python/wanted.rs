//! The packages that the tests of a package in Python need.

use super::super::super::{Saw, packages};
use super::poetry;
use crate::tree::Tree;

/// Names of what a package has for its tests.
pub(super) const NAMES: [&str; 5] = ["test", "tests", "testing", "unittest", "pytest"];
/// Lists of packages for developers.
const FILES_OF_DEVELOPERS: [&str; 5] = [
    "requirements-dev.txt",
    "requirements_dev.txt",
    "dev-requirements.txt",
    "requirements/dev.txt",
    "requirements/development.txt",
];

/// What pip has to install for the tests, as its arguments, and where that was seen.
pub(super) fn wanted(tree: &Tree) -> Option<(Vec<String>, Saw)> {
    // Of those for developers, much is not for the tests; without others, they are the ones that pytest is in.
    const OF_DEVELOPERS: [&str; 3] = ["dev", "develop", "development"];
    let has_pytest = |words: &[String]| words.iter().any(|word| word.starts_with("pytest"));
    let path = "pyproject.toml";
    let text = tree.text(path).unwrap_or_default();
    let manifest: toml::Table = text.parse().unwrap_or_default();
    let line = |name: &str| {
        let at = text
            .lines()
            .position(|line| line.split_once('=').is_some_and(|(key, _)| key.trim().trim_matches('"') == name));
        Saw::line(path, at.map_or(1, |at| at + 1), &format!("{name} = […]"))
    };
    let line_of = |table: &str| {
        let header = format!("[{table}]");
        let at = text.lines().position(|line| line.trim() == header);
        Saw::line(path, at.map_or(1, |at| at + 1), &header)
    };
    let extras = manifest.get("project").and_then(|project| project.get("optional-dependencies"));
    let extra =
        extras.and_then(toml::Value::as_table).and_then(|extras| NAMES.iter().find(|name| extras.contains_key(**name)));
    if let Some(name) = extra {
        return Some(extras_of_workflows(tree, name).unwrap_or_else(|| (vec![format!(".[{name}]")], line(name))));
    }
    let groups = manifest.get("dependency-groups").and_then(toml::Value::as_table);
    if let Some((name, groups)) =
        groups.and_then(|groups| Some((NAMES.iter().find(|name| groups.contains_key(**name))?, groups)))
    {
        let mut words = Vec::new();
        group(groups, name, 0, &mut words);
        return Some((words, line(name))).filter(|(words, _)| !words.is_empty());
    }
    if let Some((name, words)) = poetry::group(&manifest, &NAMES) {
        return Some((words, line_of(&format!("tool.poetry.group.{name}.dependencies"))));
    }
    if let Some((table, words)) = of_hatch(&manifest) {
        return Some((words, line_of(&table)));
    }
    if let Some((name, saw)) = extra_of_setup(tree) {
        return Some(extras_of_workflows(tree, name).unwrap_or_else(|| (vec![format!(".[{name}]")], saw)));
    }
    let files = [
        "requirements-test.txt",
        "requirements-tests.txt",
        "test-requirements.txt",
        "test_requirements.txt",
        "requirements/test.txt",
        "requirements/tests.txt",
        "requirements/testing.txt",
        "requirements/pytest.txt",
        "tests/requirements.txt",
        "test/requirements.txt",
    ];
    if let Some(file) = tree.first(&files) {
        return Some((vec!["-r".to_owned(), file.to_owned()], Saw::file(file)));
    }
    let lists = |file: &&&str| {
        let text = tree.text(file).unwrap_or_default();
        has_pytest(&text.lines().map(|line| line.trim().to_owned()).collect::<Vec<_>>())
    };
    let of_developers = FILES_OF_DEVELOPERS.iter().find(lists);
    if let Some(file) = of_developers {
        return Some((vec!["-r".to_owned(), (*file).to_owned()], Saw::file(file)));
    }
    for name in OF_DEVELOPERS {
        let extra = extras.and_then(|extras| extras.get(name)?.as_array()).into_iter().flatten();
        let extra: Vec<String> = extra.filter_map(toml::Value::as_str).map(str::to_owned).collect();
        if has_pytest(&extra) {
            return Some((vec![format!(".[{name}]")], line(name)));
        }
        let mut words = Vec::new();
        groups.into_iter().for_each(|groups| group(groups, name, 0, &mut words));
        if has_pytest(&words) {
            return Some((words, line(name)));
        }
    }
    let (name, words) = poetry::group(&manifest, &OF_DEVELOPERS).filter(|(_, words)| has_pytest(words))?;
    Some((words, line_of(&format!("tool.poetry.group.{name}.dependencies"))))
}

/// The extras with which the project's own workflows install it for its tests, such as `.[testing,linkify]`, and where.
fn extras_of_workflows(tree: &Tree, name: &str) -> Option<(Vec<String>, Saw)> {
    let is_plain = |word: &str| word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".[],_-".contains(&byte));
    packages::workflows(tree).find_map(|path| {
        tree.text(path)?.lines().enumerate().find_map(|(number, line)| {
            let words = line.split_whitespace().map(|word| word.trim_matches(['"', '\'']));
            let word = words.filter(|word| is_plain(word)).find(|word| {
                let list = word.strip_prefix(".[").and_then(|rest| rest.strip_suffix(']'));
                list.is_some_and(|list| list.split(',').any(|extra| extra == name))
            })?;
            // No test needs what makes documentation.
            let list = word.trim_start_matches(".[").trim_end_matches(']').split(',');
            let list: Vec<&str> = list.filter(|extra| !["doc", "docs", "lint", "typing"].contains(extra)).collect();
            Some((vec![format!(".[{}]", list.join(","))], Saw::line(path, number + 1, line)))
        })
    })
}

/// The extra for tests in `setup.py` or `setup.cfg`.
fn extra_of_setup(tree: &Tree) -> Option<(&'static str, Saw)> {
    let begins = [("setup.cfg", "[options.extras_require]"), ("setup.py", "extras_require")];
    begins.iter().find_map(|(path, begin)| {
        let text = tree.text(path)?;
        let at = text.lines().position(|line| line.trim_start().starts_with(begin))?;
        // Up to the next section, or to where the call ends.
        let lines = text.lines().enumerate().skip(at);
        let inside = lines.take_while(|(number, line)| *number == at || !line.starts_with(['[', ')']));
        inside.filter(|(number, _)| *path == "setup.py" || *number > at).find_map(|(number, line)| {
            let key = |name: &&&str| match *path {
                "setup.py" => [format!("'{name}':"), format!("\"{name}\":")].iter().any(|key| line.contains(key)),
                _ => line.split_once('=').is_some_and(|(key, _)| key.trim_end() == **name),
            };
            NAMES.iter().find(key).map(|name| (*name, Saw::line(path, number + 1, line)))
        })
    })
}

/// The packages of a dependency group and of those that it includes (PEP 735).
fn group(groups: &toml::Table, name: &str, depth: usize, words: &mut Vec<String>) {
    for entry in groups.get(name).and_then(toml::Value::as_array).into_iter().flatten().filter(|_| depth < 5) {
        match (entry.as_str(), entry.get("include-group").and_then(toml::Value::as_str)) {
            (Some(word), _) if !words.iter().any(|known| known == word) => words.push(word.to_owned()),
            (None, Some(other)) => group(groups, other, depth + 1, words),
            _ => {}
        }
    }
}

/// The packages of the environment in which Hatch runs the tests, and the table that names them.
fn of_hatch(manifest: &toml::Table) -> Option<(String, Vec<String>)> {
    let environments = manifest.get("tool")?.get("hatch")?.get("envs")?;
    ["hatch-test", "test", "tests", "default"].iter().find_map(|name| {
        let lists = ["dependencies", "extra-dependencies"].map(|key| environments.get(*name)?.get(key)?.as_array());
        let words = lists.into_iter().flatten().flatten().filter_map(toml::Value::as_str);
        // A name in braces is filled in by Hatch.
        let words: Vec<String> = words.filter(|word| !word.contains('{')).map(str::to_owned).collect();
        (!words.is_empty()).then(|| (format!("tool.hatch.envs.{name}"), words))
    })
}
