//! Items: what `for-each` makes of a project and of what a command prints.

use super::*;
use drydock_base::exec;

/// A project with the files of the names given.
fn project(files: &[&str]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for file in files {
        let path = directory.path().join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "").unwrap();
    }
    directory
}

#[test]
fn items_become_planned_jobs() {
    let directory = project(&["tests/run-b.c", "tests/run-a.c", "tests/x/run-c.c"]);
    let text = "jobs:\n  build: {run: [x]}\n  units: {run: ['{item}'], for-each: {glob: '**/run-*.c'}}\n  \
                listed: {run: [x], for-each: {lines-of: [list, '{name}']}}\n";
    let suite = Suite::parse(text, Path::new("ci/jobs.yaml"), Some(directory.path())).unwrap();
    let mut asked = Vec::new();
    let planned = suite.expand(directory.path(), &mut |listing| {
        asked.push(format!("{} {:?}", listing.argv.join(" "), listing.limit));
        Ok(vec!["one two".to_owned(), String::new(), " 3 ".to_owned()])
    });
    let planned: Vec<String> = planned.unwrap().iter().map(|(_, p)| format!("{} {:?}", p.name, p.item)).collect();
    assert_eq!(asked, ["list listed 600s"]);
    assert_eq!(
        planned,
        [
            "build None",
            "units/run-a Some(\"tests/run-a.c\")",
            "units/run-b Some(\"tests/run-b.c\")",
            "units/run-c Some(\"tests/x/run-c.c\")",
            "listed/one-two Some(\"one two\")",
            "listed/_3 Some(\"3\")",
        ]
    );
}

#[test]
fn what_only_the_project_shows_is_reported_with_the_rest() {
    let directory = project(&["ci/jobs.yaml", "a/run.c", "b/run.c"]);
    let text = "\
tools: {memcheck: {suppressions: [ci/x.supp]}}
jobs:
  same: {run: [x], for-each: {glob: '*/run.c'}}
  none: {run: [x], for-each: {glob: [nowhere/*, '*.h']}, timout: 2m}
  units: {run: [x], for-each: {glob: a/run.c}}
  units/run: {run: [x]}
";
    std::fs::write(directory.path().join("ci/jobs.yaml"), text).unwrap();
    let error = Suite::load(&directory.path().join("ci/jobs.yaml"), directory.path()).unwrap_err();
    let LoadError::Invalid(diagnostics) = error else { panic!("{error}") };
    assert_eq!(
        problems(&diagnostics),
        [
            "1:35: the suppression file `ci/x.supp` does not exist (a file of the project, which may be empty)",
            "3:30: the items `a/run.c` and `b/run.c` have the same name, `same/run` (set `for-each: {…, name: \"{item}\"}`, which gives every item its own name)",
            "4:30: `nowhere/*` or `*.h` matches no file (patterns are relative to the project; `*` stays in one directory, `**` crosses directories)",
            "4:58: unknown key `timout` (did you mean `timeout`?)",
            "5:31: the jobs `units` and `units/run` both plan `units/run` (rename one of the jobs, or set `name` in this `for-each`)",
        ]
    );
    let missing = Suite::load(&directory.path().join("ci/none.yaml"), directory.path()).unwrap_err();
    assert_eq!(missing.to_string(), "cannot read ci/none.yaml; does it exist, and is it a file that you may read?");
}

#[test]
fn listed_items_can_be_wrong_too() {
    let text = "jobs: {a: {run: [x], directory: '{item}', for-each: {lines-of: [list]}}}";
    let suite = parse(text).unwrap();
    let expand = |lines: Option<&[&str]>| {
        let lines = lines.map(|lines| lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>());
        let found = suite.expand(Path::new("/nowhere"), &mut |_| lines.clone().ok_or(exec::Error::Empty));
        found.err().map(|diagnostics| problems(&diagnostics)).unwrap_or_default()
    };
    assert_eq!(expand(Some(&["x"])), [""; 0]);
    assert_eq!(
        expand(Some(&[""])),
        ["1:53: `list` printed no items (run the command in the project to see what it prints)"]
    );
    assert_eq!(
        expand(Some(&["x", "x"])),
        ["1:53: the item `x` is listed twice (change the command of `lines-of` so that it prints the item once)"]
    );
    assert_eq!(
        expand(Some(&["x y", "x-y"])),
        ["1:53: the items `x y` and `x-y` have the same name, `a/x-y` (rename one of them)"]
    );
    assert_eq!(
        expand(None),
        [
            "1:53: cannot list the items of `a` with `list`: the command is empty (run the command in the project to see what it prints)"
        ]
    );
    assert_eq!(
        expand(Some(&["../x"])),
        [
            "1:53: `a/x` cannot run in its directory: the path `../x` contains a `..` component (set `name` in this `for-each`, made of `{item}`, `{stem}` and `{dir}`)"
        ]
    );
}

#[test]
fn a_baseline_is_a_file_of_the_project() {
    let directory = project(&["tests/run-a.c", "tests/run-b.c", "ci/run-a.massif"]);
    let said = |heap: &str| {
        let text = format!(
            "jobs:\n  units: {{run: ['tests/{{stem}}'], for-each: {{glob: 'tests/*.c'}}, tool: massif, heap: {heap}}}\n"
        );
        let suite = Suite::parse(&text, Path::new("ci/jobs.yaml"), Some(directory.path()));
        suite.err().map(|diagnostics| problems(&diagnostics)).unwrap_or_default()
    };
    assert_eq!(said("{baseline: ci/run-a.massif}"), [""; 0]);
    assert_eq!(
        said("{baseline: 'ci/{stem}.massif'}"),
        ["2:96: the baseline `ci/run-b.massif` does not exist (run the job without `baseline`, then \
          `cargo xtask ci massif baseline units/run-b --output ci/run-b.massif`)"]
    );
    assert_eq!(said("{baseline: ci}")[0].split(" (").next(), Some("2:96: the baseline `ci` does not exist"));
}
