//! Sources that Cython makes and git does not have, where pip would not make them: the project does not name Cython as what its build needs.

use crate::facts::{JobDraft, Saw};
use crate::tree::Tree;

/// The directory of programs that only a build needs.
const TOOLS: &str = "target/python-build";

/// The jobs before pip builds, and whether pip has to build with their programs instead of in an environment of its own.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Before {
    pub(super) jobs: Vec<JobDraft>,
    pub(super) without_isolation: bool,
}

impl Before {
    /// The job that builds, with these before it.
    pub(super) fn prepare(&self, job: JobDraft) -> JobDraft {
        let job = match self.jobs.last() {
            Some(last) => job.after(&[last.name.as_str()]),
            None => job,
        };
        if self.without_isolation {
            let mut job = job.with_env("PYTHONPATH", TOOLS);
            let at = job.run.iter().position(|word| word == "install").map_or(job.run.len(), |at| at + 1);
            job.run.insert(at, "--no-build-isolation".to_owned());
            return job;
        }
        job
    }
}

/// What has to be made before the extension is built.
pub(super) fn before(tree: &Tree) -> Before {
    let manifest: toml::Table = tree.text("pyproject.toml").and_then(|text| text.parse().ok()).unwrap_or_default();
    let requires = manifest.get("build-system").and_then(|system| system.get("requires")?.as_array());
    let required = requires.into_iter().flatten().filter_map(toml::Value::as_str).any(is_cython);
    if required {
        return Before::default();
    }
    let imported = imported(tree);
    let sources = missing(tree);
    let Some(saw) = imported.as_ref().or(sources.first().map(|(_, _, saw)| saw)) else { return Before::default() };
    let pip = ["python3", "-m", "pip", "install", "--quiet", "--upgrade", "--target", TOOLS].map(str::to_owned);
    // Without an environment of its own, pip builds with what is here.
    let others: &[&str] = if imported.is_some() { &["setuptools", "wheel"] } else { &[] };
    let words = pip.into_iter().chain([wanted(tree, &manifest)]).chain(others.iter().map(|word| (*word).to_owned()));
    let why = format!("saw {saw}, and pyproject.toml does not name Cython as what a build needs");
    let mut jobs = vec![JobDraft::command("cython", words).within("30m").because(why)];
    if !sources.is_empty() {
        let run = ["python3", "-m", "cython"].map(str::to_owned).into_iter();
        let is_cpp = sources.iter().any(|(_, made, _)| !made.ends_with(".c"));
        let options = options(tree).unwrap_or_else(|| if is_cpp { vec!["--cplus".to_owned()] } else { Vec::new() });
        let run = run.chain(options).chain(sources.iter().map(|(source, ..)| source.clone()));
        let mut job = JobDraft::command("generate", run).after(&["cython"]).with_env("PYTHONPATH", TOOLS);
        job.comments
            .extend(sources.iter().map(|(source, _, saw)| format!("saw {saw}, which Cython makes of {source}")));
        jobs.push(job);
    }
    Before { jobs, without_isolation: imported.is_some() }
}

/// True for a requirement such as `Cython>=3`.
fn is_cython(requirement: &str) -> bool {
    let end =
        requirement.find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '-').unwrap_or(requirement.len());
    requirement[..end].eq_ignore_ascii_case("cython")
}

/// The requirement on Cython that the project has somewhere, or only its name.
fn wanted(tree: &Tree, manifest: &toml::Table) -> String {
    let groups = manifest.get("dependency-groups").and_then(toml::Value::as_table);
    let extras = manifest.get("project").and_then(|project| project.get("optional-dependencies")?.as_table());
    let declared = [groups, extras].into_iter().flatten().flat_map(toml::Table::values);
    let declared =
        declared.filter_map(toml::Value::as_array).flatten().filter_map(toml::Value::as_str).map(str::to_owned);
    let files = tree.with_extension(&[".txt"]).filter(|path| path.contains("requirements"));
    let listed = files.filter_map(|path| tree.text(path)).flat_map(|text| {
        let lines = text.lines().map(|line| line.split(['#', ';']).next().unwrap_or_default().trim().to_owned());
        lines.collect::<Vec<_>>()
    });
    declared.chain(listed).find(|requirement| is_cython(requirement)).unwrap_or_else(|| "Cython".to_owned())
}

/// Sources of extensions that git does not have, beside the file that Cython makes them of: that one, the source, and where it is named.
fn missing(tree: &Tree) -> Vec<(String, String, Saw)> {
    let mut found: Vec<(String, String, Saw)> = Vec::new();
    for path in ["setup.py", "pyproject.toml"] {
        let text = tree.text(path).unwrap_or_default();
        for (number, line) in text.lines().enumerate() {
            for word in line.split(['"', '\'']).skip(1).step_by(2) {
                let Some(stem) = [".c", ".cpp", ".cc", ".cxx"].iter().find_map(|end| word.strip_suffix(end)) else {
                    continue;
                };
                let source = format!("{stem}.pyx");
                if !tree.has(word) && tree.has(&source) && !found.iter().any(|(known, ..)| *known == source) {
                    found.push((source, word.to_owned(), Saw::line(path, number + 1, line)));
                }
            }
        }
    }
    found
}

/// Where setup.py imports Cython, not only if it is there.
fn imported(tree: &Tree) -> Option<Saw> {
    let text = tree.text("setup.py")?;
    let is_import = |line: &str| {
        ["from Cython", "import Cython", "from cython", "import cython"].iter().any(|start| line.starts_with(start))
    };
    let (number, line) = text.lines().enumerate().find(|(_, line)| is_import(line))?;
    Some(Saw::line("setup.py", number + 1, line))
}

/// The options with which the project calls Cython itself.
fn options(tree: &Tree) -> Option<Vec<String>> {
    tree.with_extension(&["Makefile", ".sh", ".yml", ".yaml", "tox.ini"]).find_map(|path| {
        tree.text(path)?.lines().find_map(|line| {
            let mut words = line.split_whitespace().skip_while(|word| !["cython", "cython3"].contains(word)).skip(1);
            let options: Vec<String> =
                words.by_ref().take_while(|word| word.starts_with('-')).map(str::to_owned).collect();
            let names_source = line.split_whitespace().any(|word| word.ends_with(".pyx"));
            (names_source && !options.is_empty()).then_some(options)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(texts: &[(&str, &str)]) -> Vec<String> {
        let files = texts.iter().copied().chain([("lamp/_lamp.pyx", "")]);
        let found = before(&Tree::from_texts(files));
        let mut runs: Vec<String> = found.jobs.iter().map(|job| job.run.join(" ")).collect();
        runs.extend(found.without_isolation.then(|| "no isolation".to_owned()));
        runs
    }

    const SETUP: (&str, &str) =
        ("setup.py", "setup(ext_modules=[Extension(\"lamp._lamp\", sources=[\"lamp/_lamp.c\"])])\n");

    #[test]
    fn what_cython_makes_is_made_where_pip_would_not_do_it() {
        let tool = |what: &str| format!("python3 -m pip install --quiet --upgrade --target target/python-build {what}");
        let generate = |options: &str| format!("python3 -m cython {options}lamp/_lamp.pyx");
        assert_eq!(runs(&[SETUP]), [tool("Cython"), generate("")]);
        let groups = "[build-system]\nrequires = [\"setuptools\"]\n[dependency-groups]\ndev = [\"cython-lint\", \"cython>=3.2\"]\n";
        assert_eq!(runs(&[SETUP, ("pyproject.toml", groups)]), [tool("cython>=3.2"), generate("")]);
        let more = [
            SETUP,
            ("requirements-dev.txt", "Cython~=3.0 # newest\n"),
            ("Makefile", "x:\n\tcython -3 lamp/_lamp.pyx\n"),
        ];
        assert_eq!(runs(&more), [tool("Cython~=3.0"), generate("-3 ")]);
        let plus =
            ("pyproject.toml", "[[tool.setuptools.ext-modules]]\nname = \"lamp\"\nsources = ['lamp/_lamp.cpp']\n");
        assert_eq!(runs(&[plus]), [tool("Cython"), generate("--cplus ")]);
        let imports =
            ("setup.py", "from Cython.Build import cythonize\nsetup(ext_modules=cythonize('lamp/_lamp.pyx'))\n");
        assert_eq!(runs(&[imports]), [tool("Cython setuptools wheel"), "no isolation".to_owned()]);
    }

    #[test]
    fn pip_makes_it_where_the_project_says_so_and_git_may_have_it() {
        let own =
            ("pyproject.toml", "[build-system]\nrequires = [\"setuptools\", \"Cython>=3; python_version > '3'\"]\n");
        assert_eq!(runs(&[SETUP, own]), [""; 0]);
        assert_eq!(runs(&[SETUP, ("lamp/_lamp.c", "")]), [""; 0]);
        assert_eq!(
            runs(&[("setup.py", "try:\n    from Cython.Build import cythonize\nexcept ImportError:\n    pass\n")]),
            [""; 0]
        );
    }
}
