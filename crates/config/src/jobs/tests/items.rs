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

/// For declarations without a suite.
fn no_suite(_: &Job, source: &TestSource) -> Listed {
    panic!("{source:?}")
}

#[test]
fn items_become_planned_jobs() {
    let directory = project(&["tests/run-b.c", "tests/run-a.c", "tests/x/run-c.c"]);
    let text = "jobs:\n  build: {run: [x]}\n  units: {run: ['{item}'], for-each: {glob: '**/run-*.c'}}\n  \
                listed: {run: [x], for-each: {lines-of: [list, '{name}']}}\n";
    let suite = Suite::parse(text, Path::new("ci/jobs.yaml"), Some(directory.path())).unwrap();
    let mut asked = Vec::new();
    let mut lines_of = |listing: &Listing| {
        asked.push(format!("{} {:?}", listing.argv.join(" "), listing.limit));
        Ok(vec!["one two".to_owned(), String::new(), " 3 ".to_owned()])
    };
    let mut lister = Lister { lines_of: &mut lines_of, tests_of: &mut no_suite };
    let planned = suite.expand(directory.path(), &mut lister);
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
    assert_eq!(
        missing.to_string(),
        "cannot read ci/none.yaml, which `cargo xtask init` writes for a project whose build system it knows"
    );
}

#[test]
fn listed_items_can_be_wrong_too() {
    let text = "jobs: {a: {run: [x], directory: '{item}', for-each: {lines-of: [list]}}}";
    let suite = parse(text).unwrap();
    let expand = |lines: Option<&[&str]>| {
        let lines = lines.map(|lines| lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>());
        let found = {
            let mut lines_of = |_: &Listing| lines.clone().ok_or(exec::Error::Empty);
            let mut lister = Lister { lines_of: &mut lines_of, tests_of: &mut no_suite };
            suite.expand(Path::new("/nowhere"), &mut lister)
        };
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

#[test]
fn tests_of_a_suite_become_jobs_with_names_of_their_own() {
    let text =
        "jobs:\n  configure: {run: [x]}\n  suite: {for-each: {ctest: build, args: [-C, Debug], after: [configure]}}\n";
    let suite = Suite::parse(text, Path::new("ci/jobs.yaml"), None).unwrap();
    let test = |name: &str, needs: &[&str]| ListedTest {
        name: name.to_owned(),
        needs: needs.iter().map(|need| (*need).to_owned()).collect(),
        ..ListedTest::default()
    };
    let long = "x/".repeat(200);
    let tests = vec![
        test("a b", &[]),
        test("a-b", &["a b", "none", "a-b"]),
        test("7", &["twice"]),
        test("Ä", &[]),
        test("twice", &[]),
        test("twice", &[]),
        test(&long, &[]),
    ];
    let mut tests_of = |job: &Job, source: &TestSource| {
        assert_eq!((job.name.as_str(), source.kind, source.at.as_str()), ("suite", SuiteKind::Ctest, "build"));
        assert_eq!((source.args.len(), source.after.len(), job.needs.len()), (2, 1, 1));
        Listed::Tests(tests.clone())
    };
    let mut lines_of = |_: &Listing| -> Result<Vec<String>, exec::Error> { unreachable!() };
    let mut lister = Lister { lines_of: &mut lines_of, tests_of: &mut tests_of };
    let planned = suite.expand(Path::new("/nowhere"), &mut lister).unwrap();
    let names: Vec<&str> = planned.iter().map(|(_, item)| item.name.as_str()).collect();
    let expected = ["configure", "suite/a-b", "suite/a-b-2", "suite/_7", "suite/test", "suite/twice", "suite/twice-2"];
    assert_eq!(names[..7], expected);
    assert!(names[7].len() <= JobName::LONGEST && names[7].starts_with("suite/x/x/"), "{}", names[7]);
    let needs = |at: usize| planned[at].1.test.as_ref().unwrap().needs.iter().map(JobName::as_str).collect::<Vec<_>>();
    assert_eq!((needs(2), needs(3)), (vec!["suite/a-b"], vec!["suite/twice", "suite/twice-2"]));

    let mut later = |_: &Job, _: &TestSource| Listed::Later("not built".into());
    let mut lister = Lister { lines_of: &mut lines_of, tests_of: &mut later };
    let planned = suite.expand(Path::new("/nowhere"), &mut lister).unwrap();
    assert_eq!(planned[1].1.unlisted.as_deref(), Some("not built"));
}

#[test]
fn wrong_suites_are_reported() {
    let text = "\
jobs:
  a: {run: [x], for-each: {ctest: build}}
  b: {for-each: {ctest: build, meson: build}}
  c: {for-each: {glob: x, tap: 't/*.t'}}
  d: {run: [x], for-each: {lines-of: [x], after: [a], args: [x]}}
  e: {for-each: {automake: ../x}}
  f: {for-each: {pytest: tests, after: [f, nowhere]}}
  g: {run: [x], expect-output: '(', skip-exit: [0], locks: ['']}
  h: {for-each: {}}
";
    let said = problems(&Suite::parse(text, Path::new("ci/jobs.yaml"), None).unwrap_err());
    let said: Vec<&str> = said.iter().map(String::as_str).collect();
    let any = "one of `glob` with a pattern of files, `lines-of` with a command, and the suites `ctest`, `meson`, \
               `automake`, `pytest`, `cargo-test`, `tap` and `make`";
    assert_eq!(
        said,
        [
            "2:12: `run` in a job whose commands `ctest` lists (remove `run`; each test runs with its own command)",
            "3:39: both `ctest` and `meson` (one suite; declare another job for the other one)",
            &format!("4:24: both `tap` and another source ({any})"),
            "5:50: `after` without a test suite (remove it)",
            "5:61: `args` without a test suite (remove it)",
            "6:28: the path `../x` contains a `..` component (a path relative to the project and inside of it)",
            "7:41: the job `f` needs itself (remove it)",
            "7:44: unknown job `nowhere` (the name of a job in this file)",
            "8:32: `(` is not a regular expression: found open group without closing ')' (an expression such as `[1-9][0-9]* \
             tests`)",
            "8:49: `0` is out of range (a whole number from 1 to 255)",
            "8:61: the name of a lock is empty (a name such as `port-8080`)",
            &format!("9:17: `for-each` has no source of items ({any})"),
        ]
    );
}
