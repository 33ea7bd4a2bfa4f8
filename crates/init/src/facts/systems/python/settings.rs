//! What a project tells pytest: where its tests are, and what to leave out.

use crate::facts::Saw;
use crate::tree::Tree;

/// The settings of pytest that matter to who calls it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Settings {
    /// The directories and files that pytest searches by itself.
    pub(super) paths: Vec<String>,
    /// Those that it leaves out.
    pub(super) ignored: Vec<String>,
    /// Where that is said.
    pub(super) saw: Saw,
}

/// The files that pytest reads, each with the section that it takes.
const FILES: [(&str, &str); 4] =
    [("pytest.ini", "[pytest]"), (".pytest.ini", "[pytest]"), ("tox.ini", "[pytest]"), ("setup.cfg", "[tool:pytest]")];

/// The settings in the first file that has them.
pub(super) fn find(tree: &Tree) -> Option<Settings> {
    of_manifest(tree).or_else(|| FILES.iter().find_map(|(path, section)| of_ini(tree, path, section)))
}

fn of_manifest(tree: &Tree) -> Option<Settings> {
    let path = "pyproject.toml";
    let text = tree.text(path)?;
    let manifest: toml::Table = text.parse().ok()?;
    let options = manifest.get("tool")?.get("pytest")?.get("ini_options")?;
    let words = |key: &str| match options.get(key) {
        Some(toml::Value::String(words)) => words.split_whitespace().map(str::to_owned).collect(),
        Some(toml::Value::Array(words)) => words.iter().filter_map(|word| word.as_str().map(str::to_owned)).collect(),
        _ => Vec::new(),
    };
    let line = text.lines().position(|line| line.trim_start().starts_with("testpaths")).map_or(1, |at| at + 1);
    settings(words("testpaths"), &words("addopts"), Saw::line(path, line, "testpaths"))
}

fn of_ini(tree: &Tree, path: &str, section: &str) -> Option<Settings> {
    let text = tree.text(path)?;
    let (mut inside, mut key, mut line) = (false, "", 1);
    let (mut paths, mut options): (Vec<String>, Vec<String>) = (Vec::new(), Vec::new());
    for (number, row) in text.lines().enumerate().filter(|(_, row)| !row.trim_start().starts_with(['#', ';'])) {
        if row.starts_with('[') {
            (inside, key) = (row.trim() == section, "");
            continue;
        }
        let value = match row.split_once('=').filter(|_| !row.starts_with([' ', '\t'])) {
            Some((name, value)) => {
                key = name.trim();
                value
            }
            None => row,
        };
        let words = value.split_whitespace().map(str::to_owned);
        match key {
            "testpaths" if inside => {
                line = if paths.is_empty() { number + 1 } else { line };
                paths.extend(words);
            }
            "addopts" if inside => options.extend(words),
            _ => {}
        }
    }
    settings(paths, &options, Saw::line(path, line, "testpaths"))
}

/// The settings, unless they say nothing.
fn settings(paths: Vec<String>, options: &[String], saw: Saw) -> Option<Settings> {
    let pairs = options.windows(2).filter(|pair| pair[0] == "--ignore").map(|pair| pair[1].clone());
    let ignored =
        options.iter().filter_map(|word| word.strip_prefix("--ignore=").map(str::to_owned)).chain(pairs).collect();
    let plain = |path: String| path.trim_start_matches("./").trim_end_matches('/').to_owned();
    let paths: Vec<String> = paths.into_iter().map(plain).filter(|path| !path.contains('*')).collect();
    (!paths.is_empty()).then_some(Settings { paths, ignored, saw })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read_where_pytest_reads_them() {
        for (path, text) in [
            ("pytest.ini", "[pytest]\n# here\ntestpaths = lamp\naddopts = -v --ignore=lamp/test_x.py\n"),
            (
                "tox.ini",
                "[tox]\ntestpaths = no\n[pytest]\naddopts =\n    --ignore lamp/test_x.py\ntestpaths =\n    ./lamp/\n",
            ),
            ("setup.cfg", "[tool:pytest]\ntestpaths=lamp\naddopts=--ignore=lamp/test_x.py -q\n[other]\nx = y\n"),
            (
                "pyproject.toml",
                "[tool.pytest.ini_options]\ntestpaths = [\"lamp\"]\naddopts = \"--ignore=lamp/test_x.py\"\n",
            ),
        ] {
            let found = find(&Tree::from_texts([(path, text)])).unwrap();
            assert_eq!(
                (found.paths.concat(), found.ignored.concat()),
                ("lamp".into(), "lamp/test_x.py".into()),
                "{text}"
            );
        }
        assert!(find(&Tree::from_texts([("pytest.ini", "[pytest]\naddopts = -v\n")])).is_none());
    }
}
