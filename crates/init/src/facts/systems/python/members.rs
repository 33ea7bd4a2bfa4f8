//! Packages in directories of a repository that has none at its top, such as `lamp` beside `lamp_pool`.

use super::super::super::Saw;
use super::wanted::NAMES;
use crate::tree::Tree;

/// What pip installs for the tests of such a repository, with the extra that each has for its tests; and the first manifest.
/// Packages that are built from C stay out: they need more, and the others do without.
pub(super) fn find(tree: &Tree) -> Option<(Vec<String>, Saw)> {
    let manifest = |path: &str| tree.text(path)?.parse::<toml::Table>().ok();
    let is_package = |path: &str| manifest(path).is_some_and(|table| table.contains_key("project"));
    let is_known = |path: &str| {
        is_package(path)
            || manifest(path).is_some_and(|table| table.get("tool").is_some_and(|tool| tool.get("poetry").is_some()))
    };
    if tree.first(&["setup.py", "setup.cfg"]).is_some() || is_known("pyproject.toml") {
        return None;
    }
    let has_sources = |directory: &str| {
        tree.with_extension(&[".c", ".cpp", ".pyx", ".rs"]).any(|path| path.starts_with(&format!("{directory}/")))
    };
    let mut found = Vec::new();
    let mut first = None;
    for path in tree.named("pyproject.toml").into_iter().filter(|path| path.matches('/').count() == 1) {
        let Some(directory) = path.strip_suffix("/pyproject.toml").filter(|_| is_package(path)) else { continue };
        if has_sources(directory) || super::super::part::is_beside(directory) {
            continue;
        }
        let table = manifest(path).unwrap_or_default();
        let extras = table.get("project").and_then(|project| project.get("optional-dependencies")?.as_table());
        let extra = NAMES.into_iter().find(|name| extras.is_some_and(|extras| extras.contains_key(*name)));
        found.push(format!("./{directory}{}", extra.map(|name| format!("[{name}]")).unwrap_or_default()));
        first.get_or_insert_with(|| Saw::file(path));
    }
    Some((found, first?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_in_directories_are_installed_together() {
        let one = "[project]\nname = \"lamp\"\n[project.optional-dependencies]\ntest = [\"anyio\"]\n";
        let two = "[project]\nname = \"lamp-pool\"\n";
        let texts = [
            ("pyproject.toml", "[tool.pytest.ini_options]\naddopts = \"-ra\"\n"),
            ("lamp/pyproject.toml", one),
            ("lamp_c/lamp_c/_lamp.pyx", ""),
            ("lamp_c/pyproject.toml", two),
            ("lamp_pool/pyproject.toml", two),
            ("docs/pyproject.toml", two),
        ];
        let found = |texts: &[(&str, &str)]| find(&Tree::from_texts(texts.iter().copied())).map(|(words, _)| words);
        assert_eq!(found(&texts), Some(vec!["./lamp[test]".to_owned(), "./lamp_pool".to_owned()]));
        assert_eq!(found(&[("pyproject.toml", two), texts[1]]), None);
        assert_eq!(found(&texts[..1]), None);
    }
}
