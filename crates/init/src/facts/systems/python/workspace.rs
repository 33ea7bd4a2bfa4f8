//! The environment of uv, and the tests of the packages of its workspace.

use super::super::super::jobs::JobDraft;
use super::super::super::{Saw, valgrind};
use super::{is_test, under_valgrind};
use crate::tree::{Tree, is_foreign};
use drydock_config::globs::FileGlob;

/// The most packages of a workspace whose tests are declared.
const MOST_MEMBERS: usize = 30;

/// The job that makes the virtual environment.
pub(super) const ENVIRONMENT: &str = "python";

/// Installs what `uv.lock` names, with the packages of the workspace.
pub(in crate::facts::systems) fn environment(tree: &Tree) -> Option<JobDraft> {
    tree.has("uv.lock").then(|| {
        let has_members = tree.text("pyproject.toml").is_some_and(|text| text.contains("[tool.uv.workspace]"));
        // Otherwise uv installs only those that the first one needs.
        let all = has_members.then_some("--all-packages");
        let run = ["uv", "sync", "--frozen", "--all-extras", "--all-groups"].into_iter().chain(all);
        JobDraft::command(ENVIRONMENT, run).within("1h").because(format!(
            "saw {}: uv installs what it names in .venv, and pytest runs from there",
            Saw::file("uv.lock")
        ))
    })
}

/// The tests of the other packages of a workspace of uv, each a suite of its own.
pub(super) fn of_members(tree: &Tree, needs: &[&str], declared: &str) -> Vec<JobDraft> {
    let mut jobs: Vec<JobDraft> = Vec::new();
    for member in members(tree).iter().take(MOST_MEMBERS) {
        let Some(at) =
            ["tests", "test"].iter().map(|name| format!("{member}/{name}")).find(|at| tree.has_directory(at))
        else {
            continue;
        };
        let begin = format!("{at}/");
        let first = tree.with_extension(&[".py"]).filter(is_test).find(|path| path.starts_with(&begin));
        let name = format!("tests-{}", member.rsplit('/').next().unwrap_or(member));
        let is_free = at != declared && !jobs.iter().any(|job| job.name == name);
        let Some(first) = first.filter(|_| is_free) else { continue };
        let mut suite = JobDraft::suite(&name, "pytest", &at, needs);
        suite.comments.push(format!("saw {}, in a package of the workspace", Saw::file(first)));
        let own = format!("{member}/");
        let switch = tree.with_extension(&[".py"]).filter(|path| path.starts_with(&own)).find_map(|path| {
            let text = tree.text(path)?;
            let (number, line) = text.lines().enumerate().find(|(_, line)| valgrind::switches(line))?;
            Some(Saw::line(path, number + 1, line))
        });
        jobs.push(match switch {
            Some(saw) => under_valgrind(suite, &saw),
            None => suite,
        });
    }
    jobs
}

/// The directories of the packages of the workspace: those that its patterns, such as `packages/*`, name and exclude.
fn members(tree: &Tree) -> Vec<String> {
    let manifest: toml::Table = tree.text("pyproject.toml").and_then(|text| text.parse().ok()).unwrap_or_default();
    let workspace = manifest.get("tool").and_then(|tool| tool.get("uv")?.get("workspace"));
    let globs = |key: &str| -> Vec<FileGlob> {
        let list = workspace.and_then(|workspace| workspace.get(key)?.as_array()).into_iter().flatten();
        list.filter_map(toml::Value::as_str).filter_map(|text| FileGlob::parse(text).ok()).collect()
    };
    let (wanted, excluded) = (globs("members"), globs("exclude"));
    let is_one_of = |globs: &[FileGlob], directory: &str| globs.iter().any(|glob| glob.matches(directory));
    let directories = tree.paths().filter_map(|path| path.strip_suffix("/pyproject.toml"));
    let all = directories.filter(|directory| is_one_of(&wanted, directory) && !is_one_of(&excluded, directory));
    all.filter(|directory| !is_foreign(&format!("{directory}/"))).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_those_that_the_patterns_of_the_workspace_name() {
        let workspace = "[tool.uv.workspace]\nmembers = [\"core\", \"packages/*\"]\nexclude = [\"packages/old\"]\n";
        let tree = Tree::from_texts([
            ("pyproject.toml", workspace),
            ("core/pyproject.toml", ""),
            ("core/tests/test_a.py", ""),
            ("packages/lamp/pyproject.toml", ""),
            ("packages/lamp/tests/test_b.py", ""),
            ("packages/old/pyproject.toml", ""),
            ("packages/old/tests/test_c.py", ""),
            ("packages/notes/tests/test_d.py", ""),
            ("other/pyproject.toml", ""),
            ("other/tests/test_e.py", ""),
        ]);
        let found: Vec<String> = of_members(&tree, &[], "tests").into_iter().map(|job| job.name).collect();
        assert_eq!(found, ["tests-core", "tests-lamp"]);
    }
}
