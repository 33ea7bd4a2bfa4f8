//! Python: setuptools, extensions in C, pytest.

use super::super::Saw;
use super::super::jobs::JobDraft;
use super::{Group, System};
use crate::tree::Tree;

/// The directory that a package is installed in for its tests.
const INSTALLED: &str = "target/python";

/// `alone` is true if the project has no other build system; `others` are those that it has.
pub(super) fn find(tree: &Tree, alone: bool, others: &[Group]) -> Option<Group> {
    let manifest = tree.first(&["pyproject.toml", "setup.py", "setup.cfg"])?;
    let is_test = |path: &&str| {
        let name = path.rsplit('/').next().unwrap_or(path);
        (name.starts_with("test_") || name.ends_with("_test.py")) && name.ends_with(".py")
    };
    let first = tree.with_extension(&[".py"]).find(is_test)?;
    let directory = ["tests", "test", "testing"].into_iter().find(|directory| {
        tree.with_extension(&[".py"]).filter(is_test).any(|path| path.starts_with(&format!("{directory}/")))
    });
    let at = directory.unwrap_or_else(|| first.split_once('/').map_or(first, |(top, _)| top)).to_owned();
    let extension = extension(tree);
    let mut jobs = Vec::new();
    let mut needs: Vec<String> = Vec::new();
    let source = if tree.has_directory("src") && tree.named("__init__.py").iter().any(|path| path.starts_with("src/")) {
        "src"
    } else {
        "."
    };
    let dependencies = dependencies(tree);
    let is_installed = alone && (extension.is_some() || dependencies.is_some());
    // Tests inside of a package would find the package in the sources, which has no extension: those of the installed copy run.
    let package = first.rsplit_once('/').map(|(directory, _)| format!("{directory}/__init__.py"));
    let is_inside = directory.is_none() && source == "." && package.is_some_and(|file| tree.has(&file));
    let at = if is_installed && is_inside { format!("{INSTALLED}/{at}") } else { at };
    if is_installed {
        let run = ["python3", "-m", "pip", "install", "--quiet", "--upgrade", "--target", INSTALLED, "."];
        let mut job = JobDraft::command("build", run).within("1h");
        job.comments.extend(extension.iter().map(|saw| format!("saw {saw}: an extension in C")));
        job.comments.extend(dependencies.iter().map(|saw| format!("saw {saw}: packages that it needs")));
        job.comments.push(
            "pip builds with the versions that the project names, and installs in that directory only".to_owned(),
        );
        jobs.push(job);
        needs.push("build".to_owned());
    }
    if !alone {
        // The other build system makes what the tests start.
        if let Some(build) = others.first().and_then(|group| group.jobs.iter().find(|job| job.name == "build")) {
            needs.push(build.name.clone());
        }
    }
    let needs: Vec<&str> = needs.iter().map(String::as_str).collect();
    let mut suite = JobDraft::suite("tests", "pytest", &at, &needs);
    suite.comments.push(format!("saw {}: pytest lists the tests, and each is a job", Saw::file(first)));
    suite = suite.with_env("PYTHONPATH", if is_installed { INSTALLED } else { source });
    suite.comments.push("PYTHONPATH lets the tests find the package where it is".to_owned());
    if alone && extension.is_some() {
        let why = "an interpreter under memcheck takes half a minute a test, so they run without it; to check the extension, declare one \
                   job with `tool: memcheck` and `env: {PYTHONMALLOC: malloc}`";
        suite.comments.push(why.to_owned());
    } else if let Some(saw) = super::super::valgrind::find(tree).switch.filter(|_| !alone) {
        suite = suite.with_env("VALGRIND", "1").within("30m");
        suite.memcheck = true;
        suite.by_suite = true;
        suite.comments.push(format!("saw {saw}: the suite starts its programs under valgrind itself"));
    }
    jobs.push(suite);
    Some(Group {
        system: System::Python,
        because: Saw::file(manifest).to_string(),
        jobs,
        has_tests: true,
        programs: if is_installed {
            vec![("python3", "python3"), ("pytest-3", "python3-pytest"), ("pip3", "python3-pip")]
        } else {
            vec![("python3", "python3"), ("pytest-3", "python3-pytest")]
        },
        least: None,
        directory: String::new(),
        build_release: Vec::new(),
    })
}

/// Where an extension in C or C++ is declared.
fn extension(tree: &Tree) -> Option<Saw> {
    for path in ["setup.py", "pyproject.toml"] {
        let text = tree.text(path).unwrap_or_default();
        let found = text.lines().enumerate().find(|(_, line)| {
            line.contains("Extension(") || line.contains("ext-modules") || line.contains("cffi_modules")
        });
        if let Some((number, line)) = found {
            return Some(Saw::line(path, number + 1, line));
        }
    }
    None
}

/// Where packages are declared that the project needs when it runs.
fn dependencies(tree: &Tree) -> Option<Saw> {
    let path = "pyproject.toml";
    let text = tree.text(path)?;
    let manifest: toml::Table = text.parse().ok()?;
    let declared = manifest.get("project")?.get("dependencies")?.as_array()?;
    let line = text.lines().position(|line| line.trim_start().starts_with("dependencies")).map_or(1, |at| at + 1);
    (!declared.is_empty()).then(|| Saw::line(path, line, "dependencies = […]"))
}
