//! A project in one directory of its repository, such as `expat` in that of libexpat, beside what is only about it.

use super::{Group, nested};
use crate::facts::{JobDraft, packages};
use crate::tree::Tree;

/// Names of directories that hold something about a project, not the project.
const BESIDE: [&str; 23] = [
    "doc",
    "docs",
    "documentation",
    "example",
    "examples",
    "sample",
    "samples",
    "demo",
    "demos",
    "test",
    "tests",
    "testdata",
    "fuzz",
    "bench",
    "benchmarks",
    "contrib",
    "scripts",
    "tools",
    "tutorial",
    "tutorials",
    "resources",
    "website",
    "www",
];

/// Parts of names of directories for other systems than the one that init runs on.
const OF_OTHER_SYSTEMS: [&str; 18] = [
    "mac", "macos", "osx", "darwin", "ios", "android", "bsd", "freebsd", "openbsd", "netbsd", "win", "win32", "win64",
    "windows", "msvc", "mingw", "xcode", "wasm",
];

/// Names of directories of a suite.
const SUITES: [&str; 2] = ["tests", "test"];

/// The only directory that has a build system, if the top has none; of several, the only one that is not for another system, or that
/// the project's own workflows name; or all of them.
pub(in crate::facts) fn find(tree: &Tree) -> Result<Option<String>, Vec<String>> {
    let mut tops: Vec<String> = Vec::new();
    for file in nested(tree) {
        let directory = file.rsplit_once('/').map_or("", |(directory, _)| directory);
        let is_below = tops.iter().any(|top| directory == top || directory.starts_with(&format!("{top}/")));
        if !is_beside(directory) && !is_below && !directory.is_empty() {
            tops.push(directory.to_owned());
        }
    }
    match tops.len() {
        0 => Ok(suite_alone(tree)),
        1 => Ok(tops.pop()),
        _ => {
            tops.sort();
            let here: Vec<String> = tops.iter().filter(|top| !is_of_other_system(top)).cloned().collect();
            let named: Vec<String> = here.iter().filter(|top| packages::is_named(tree, top)).cloned().collect();
            match (&here[..], &named[..]) {
                ([only], _) | (_, [only]) => Ok(Some(only.clone())),
                _ => Err(tops),
            }
        }
    }
}

/// True for a directory such as `make.mac`, or `vs2019`.
fn is_of_other_system(directory: &str) -> bool {
    let name = directory.rsplit('/').next().unwrap_or(directory).to_ascii_lowercase();
    name.starts_with("vs20") || name.split(['.', '-', '_']).any(|part| OF_OTHER_SYSTEMS.contains(&part))
}

/// The directory of the tests of a project that needs no build system, such as one of headers only.
fn suite_alone(tree: &Tree) -> Option<String> {
    let found = SUITES.into_iter().find(|directory| {
        ["Makefile", "makefile", "GNUmakefile", "CMakeLists.txt", "meson.build"]
            .iter()
            .any(|file| tree.has(&format!("{directory}/{file}")))
    });
    found.map(str::to_owned)
}

/// True if a directory holds something about the project, which has its version elsewhere.
pub(in crate::facts) fn is_beside(directory: &str) -> bool {
    directory.split('/').any(|part| BESIDE.contains(&part.to_ascii_lowercase().as_str()))
}

/// The jobs that were found in a directory, as jobs of the whole.
pub(super) fn moved(mut group: Group, directory: &str, below: &Tree) -> Group {
    group.because = format!("{directory}/{}", group.because);
    for job in &mut group.jobs {
        move_job(job, directory, below);
    }
    group.directory = within(directory, &group.directory);
    group
}

fn move_job(job: &mut JobDraft, directory: &str, below: &Tree) {
    job.directory = if job.suite.is_some() && job.run.is_empty() {
        std::mem::take(&mut job.directory)
    } else {
        within(directory, &job.directory)
    };
    if let Some(suite) = &mut job.suite {
        suite.at = within(directory, &suite.at);
    }
    for comment in &mut job.comments {
        let names_a_file = comment.strip_prefix("saw ").is_some_and(|rest| {
            let path = rest.split([':', ' ', ',']).next().unwrap_or(rest);
            below.has(path)
        });
        if names_a_file {
            comment.insert_str("saw ".len(), &format!("{directory}/"));
        }
    }
}

/// A directory below another one.
pub(in crate::facts) fn within(directory: &str, path: &str) -> String {
    match path {
        "" | "." => directory.to_owned(),
        path => format!("{directory}/{path}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::{Facts, GitFacts};

    const CMAKE: &str = "project(lamp VERSION 1.2 LANGUAGES C)\nenable_testing()\nadd_test(NAME one COMMAND one)\n";

    fn facts(texts: &[(&str, &str)]) -> Facts {
        Facts::find(&Tree::from_texts(texts.iter().copied()), &GitFacts::default())
    }

    #[test]
    fn a_project_in_one_directory_is_found_with_its_version() {
        let news = "# Changes\n\n## 1.2\n\n- First.\n";
        let texts = [
            ("README", ""),
            ("lamp/.gitignore", "build/\n"),
            ("docs/Makefile", "all:\n\tmake-html\n"),
            ("lamp/CMakeLists.txt", CMAKE),
            ("lamp/lib/CMakeLists.txt", "add_library(lamp)\n"),
            ("lamp/CHANGELOG.md", news),
        ];
        let found = facts(&texts);
        let jobs = crate::jobs::text(&found, &[]).unwrap();
        for wanted in [
            "# CMake: saw lamp/CMakeLists.txt:1 `project(",
            "run: [cmake, -S, ., -B, build, -DCMAKE_BUILD_TYPE=Debug]\n    directory: lamp\n",
            "# saw lamp/CMakeLists.txt:",
            "for-each: {ctest: lamp/build, after: [build]}\n    tool: memcheck\n",
        ] {
            assert!(jobs.contains(wanted), "{wanted} is not in\n{jobs}");
        }
        let release = crate::release::text(&found, &[]);
        for wanted in [
            "{path: lamp/CMakeLists.txt, ",
            "saw lamp/CMakeLists.txt:1 ",
            "changelog: lamp/CHANGELOG.md",
            "build: [sh, -c, \"cd lamp && cmake -S . -B build && cmake --build build\"]",
        ] {
            assert!(release.contains(wanted), "{wanted} is not in\n{release}");
        }
    }

    #[test]
    fn of_several_none_is_chosen_and_what_is_beside_a_project_is_none() {
        let several = facts(&[("one/CMakeLists.txt", CMAKE), ("two/meson.build", "project('two', 'c')\n")]);
        assert!(several.groups.is_empty());
        let remark = "no build system was found at the top, but several below it: one, two; try `init` in one of them";
        assert!(several.remarks.iter().any(|text| text == remark), "{:?}", several.remarks);
        for beside in [
            "docs/Makefile",
            "src/tests/CMakeLists.txt",
            "examples/CMakeLists.txt",
            "vendor/zlib/CMakeLists.txt",
            "contrib/x/meson.build",
        ] {
            let found = facts(&[(beside, CMAKE), ("README", "")]);
            assert!(found.groups.is_empty() && found.remarks.is_empty(), "{beside}: {:?}", found.remarks);
        }
    }

    #[test]
    fn of_several_the_one_that_workflows_build_here_is_chosen() {
        let makefile = "all: a\na: a.c\n\t$(CC) -o a a.c\ntest: a\n\t./a\n";
        let chosen = |directories: &[&str], workflow: &str| {
            let paths: Vec<[String; 2]> =
                directories.iter().map(|at| [format!("{at}/Makefile"), format!("{at}/a.c")]).collect();
            let files = paths.iter().flat_map(|[makefile_at, source]| [(makefile_at.as_str(), makefile), (source, "")]);
            let found = facts(&files.chain([(".github/workflows/a.yml", workflow)]).collect::<Vec<_>>());
            found.groups.first().map(|group| group.directory.clone())
        };
        let systems = ["projects/make", "projects/make.bsd", "projects/make.mac", "projects/vs2019"];
        assert_eq!(chosen(&systems, "").as_deref(), Some("projects/make"));
        let both = ["one", "two"];
        assert_eq!(chosen(&both, "- run: make -C two test\n").as_deref(), Some("two"));
        assert_eq!(chosen(&both, "- run: make -C one && make -C two\n"), None);
        assert_eq!(chosen(&both, ""), None);
        assert_eq!(chosen(&["tutorials/a", "tutorials/b", "test"], "").as_deref(), Some("test"));
    }

    #[test]
    fn the_script_that_tests_may_be_beside_the_build() {
        let found = facts(&[
            ("projects/make/Makefile", "all: a\na:\n\t@${MAKE} --no-print-directory -C . -f a.make\n"),
            ("src/a.c", ""),
            ("VERSION", "1.2\n"),
            ("CHANGELOG.md", "# Changes\n\n## 1.2\n\n- First.\n"),
            (".travis.yml", "script: ./ci.sh\n"),
            ("ci.sh", "#!/bin/sh\nmake -C projects/make\npython3 ./util/test.py\n"),
            ("util/test.py", ""),
        ]);
        let jobs: Vec<String> =
            found.groups[0].jobs.iter().map(|job| format!("{}: {}", job.directory, job.run.join(" "))).collect();
        assert_eq!(jobs, ["projects/make: make -j {jobs}", ": python3 util/test.py"]);
        // Only the build is there.
        assert_eq!(found.versions.changelog.map(|(path, _)| path).as_deref(), Some("CHANGELOG.md"));
    }

    #[test]
    fn the_suite_of_a_library_of_headers_is_found() {
        let makefile = "all: one run_tests\none: one.c\n\t$(CC) -I../src -o one one.c\nrun_tests: one\n\t./do_tests\n";
        let found = facts(&[
            ("lamp.h", "#define LAMP_VERSION \"1.2\"\n"),
            ("tests/Makefile", makefile),
            ("tests/one.c", ""),
            ("doc/Makefile", "all:\n"),
        ]);
        let jobs = crate::jobs::text(&found, &[]).unwrap();
        assert!(jobs.contains("run: [make, run_tests]\n    directory: tests\n"), "{jobs}");
        assert!(jobs.contains("# saw tests/Makefile:4 `run_tests: one`"), "{jobs}");
    }
}
