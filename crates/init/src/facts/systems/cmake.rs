//! CMake: options for tests, and CTest.

use super::super::Saw;
use super::super::calls::calls;
use super::super::jobs::JobDraft;
use super::{
    Group, System, build_directory, generators, is_about_documentation, is_about_sanitizers, is_about_tests,
    is_ignored, lowest, own_texts,
};
use crate::tree::Tree;

/// Commands that declare tests.
const TESTS: [&str; 6] = [
    "add_test",
    "enable_testing",
    "gtest_discover_tests",
    "catch_discover_tests",
    "doctest_discover_tests",
    "add_cmocka_test",
];

/// Targets of the project's own that run its tests.
const TARGETS: [&str; 5] = ["check", "test", "tests", "runtests", "run_tests"];

pub(super) fn find(tree: &Tree) -> Option<Group> {
    let top = tree.text("CMakeLists.txt")?;
    let project = calls(&top, "project").into_iter().next()?;
    let texts = own_texts(tree, "CMakeLists.txt");
    let tests = texts.iter().find_map(|(path, text)| {
        let found = TESTS.iter().find_map(|name| Some((calls(text, name).into_iter().next()?, name)))?;
        Some(Saw::line(path, found.0.line, &format!("{}({})", found.1, found.0.inside)))
    });
    // Without one of these, CTest finds no test, and the project runs the programs in another way.
    let lists = |text: &str| {
        let includes = calls(text, "include").iter().any(|call| call.inside.trim() == "CTest");
        includes || !calls(text, "enable_testing").is_empty()
    };
    let build = build_directory(tree);
    let mut run: Vec<String> =
        ["cmake", "-S", ".", "-B", &build, "-DCMAKE_BUILD_TYPE=Debug"].iter().map(|word| (*word).to_owned()).collect();
    let mut configure = Vec::new();
    let mut for_release = Vec::new();
    let modules =
        tree.with_extension(&[".cmake"]).take(100).filter_map(|path| Some((path.to_owned(), tree.text(path)?)));
    let options: Vec<(String, String)> = texts.iter().cloned().chain(modules).collect();
    // Where it is called decides what CTest lists in which directory; a module is usually included at the top.
    let listing = |(path, _): &&(String, String)| *path == "CMakeLists.txt" || path.ends_with(".cmake");
    let at_top = options.iter().filter(listing).any(|(_, text)| lists(text));
    let below = texts.iter().filter(|(_, text)| lists(text)).find_map(|(path, _)| Some(path.rsplit_once('/')?.0));
    let tests = tests.filter(|_| at_top || below.is_some());
    let listed = match below.filter(|_| !at_top) {
        Some(directory) => format!("{build}/{directory}"),
        None => build.clone(),
    };
    let declared = |text: &str| ["option", "cmake_dependent_option"].map(|name| calls(text, name)).concat();
    let has_value = |words: &[String], values: &[&str]| {
        let value = words.get(2).map_or("OFF", String::as_str).to_ascii_lowercase();
        values.contains(&value.as_str())
    };
    let is_off = |words: &[String]| has_value(words, &["off", "false", "no", "0"]);
    // Of these, other options test a part that is not built.
    let all_off: Vec<String> = options
        .iter()
        .flat_map(|(_, text)| declared(text))
        .map(|call| call.words())
        .filter(|words| is_off(words))
        .filter_map(|words| words.into_iter().next())
        .collect();
    for (path, text) in &options {
        for call in declared(text) {
            let words = call.words();
            let Some(name) = words.first() else { continue };
            let is_on = has_value(&words, &["on", "true", "yes", "1"]);
            let saw = Saw::line(path, call.line, &format!("option({})", call.inside));
            let is_plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
            if !is_plain {
                continue;
            }
            let help = words.get(1).map_or("", String::as_str);
            let wanted = if tests.is_some() && is_about_tests(name, help) && is_off(&words) {
                if let Some(part) = part_of_tests(name).filter(|part| all_off.iter().any(|off| off == part)) {
                    configure.push(format!("saw {saw}: it stays off, as {part} does"));
                    continue;
                }
                configure.push(format!("saw {saw}, so tests are switched on"));
                "ON"
            } else if is_about_sanitizers(name) && is_on {
                configure.push(format!("saw {saw}: a sanitizer cannot run under valgrind, so it is switched off"));
                "OFF"
            } else if is_about_documentation(name) && is_on {
                configure.push(format!("saw {saw}: no test needs documentation, so it is switched off"));
                for_release.push(format!("-D{name}=OFF"));
                "OFF"
            } else {
                let is_known = |known: &String| known.contains(&format!("({name} "));
                if name.to_ascii_lowercase().contains("valgrind") && !configure.iter().any(is_known) {
                    configure.push(format!("saw {saw}: it stays off, since Drydock starts valgrind itself"));
                }
                continue;
            };
            let word = format!("-D{name}={wanted}");
            if !run.contains(&word) {
                run.push(word);
            }
        }
    }
    // A variable that the project asks for and nothing sets.
    let asks = texts.iter().find_map(|(path, text)| {
        let call =
            calls(text, "if").into_iter().find(|call| call.words().iter().any(|word| word == "BUILD_TESTING"))?;
        Some(Saw::line(path, call.line, &format!("if({})", call.inside)))
    });
    let is_set = options.iter().any(|(_, text)| {
        calls(text, "include").iter().any(|call| call.inside.trim() == "CTest")
            || ["option", "set", "cmake_dependent_option"]
                .iter()
                .flat_map(|name| calls(text, name))
                .any(|call| call.words().first().is_some_and(|name| name == "BUILD_TESTING"))
    });
    if let (Some(saw), false, true) = (asks, is_set, tests.is_some()) {
        configure.push(format!("saw {saw}, and nothing that sets it, so tests are switched on"));
        run.push("-DBUILD_TESTING=ON".to_owned());
    }
    let because = Saw::line("CMakeLists.txt", project.line, &format!("project({})", project.inside)).to_string();
    let note = "Debug keeps assertions, and the lines that valgrind quotes";
    let mut first = JobDraft::command("configure", run).because(format!("saw {because}")).because(note);
    first.comments.extend(configure);
    // Meson does that itself.
    if !is_ignored(tree, &build) {
        first.comments.push(format!("saw no line of .gitignore for {build}, so it gets a .gitignore of its own"));
        first.hides.clone_from(&build);
    }
    let mut jobs = vec![
        first,
        JobDraft::command("build", ["cmake", "--build", build.as_str(), "--parallel", "{jobs}"])
            .after(&["configure"])
            .within("1h"),
    ];
    if let Some(tests) = &tests {
        let suite = JobDraft::suite("suite", "ctest", &listed, &["build"]).checked();
        jobs.push(suite.because(format!("saw {tests}: CTest lists the tests when they are built, and each is a job")));
    }
    let target = texts.iter().filter(|_| tests.is_none()).find_map(|(path, text)| {
        calls(text, "add_custom_target").into_iter().find_map(|call| {
            let name = call.words().into_iter().next().filter(|name| TARGETS.contains(&name.as_str()))?;
            Some((name, Saw::line(path, call.line, &format!("add_custom_target({})", call.inside))))
        })
    });
    if let Some((name, saw)) = &target {
        let job = JobDraft::command(name, ["cmake", "--build", build.as_str(), "--target", name]).after(&["build"]);
        let why = format!("saw {saw}: the suite is one job, since no test of CTest is declared");
        jobs.push(job.checked().within("1h").because(why));
    }
    Some(Group {
        system: System::Cmake,
        because,
        jobs,
        has_tests: tests.is_some() || target.is_some(),
        programs: [("cmake", "cmake"), ("make", "make"), ("gcc", "gcc")]
            .into_iter()
            .chain(generators::of_cmake(&options))
            .collect(),
        least: calls(&top, "cmake_minimum_required")
            .first()
            .and_then(|call| Some(("cmake", lowest(call.words().get(1)?)?))),
        directory: String::new(),
        build_release: vec![
            ["cmake", "-S", ".", "-B", &build].map(str::to_owned).into_iter().chain(for_release).collect(),
            ["cmake", "--build", &build].map(str::to_owned).to_vec(),
        ],
    })
}

/// The part that an option such as `ENABLE_TLS_TESTS` is about.
fn part_of_tests(name: &str) -> Option<&str> {
    ["_TESTS", "_TEST", "_TESTING"].iter().find_map(|end| name.strip_suffix(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configure(text: &str) -> (bool, String) {
        let group = find(&Tree::from_texts([("CMakeLists.txt", text)])).unwrap();
        (group.has_tests, group.jobs[0].run.iter().skip(6).cloned().collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn documentation_is_made_neither_for_tests_nor_for_the_proof() {
        let lists = "project(a C)\nenable_testing()\nadd_test(a b)\noption(LAMP_BUILD_DOCS \"docs\" ON)\n";
        let group = find(&Tree::from_texts([("CMakeLists.txt", lists)])).unwrap();
        let words = [group.jobs[0].run.join(" "), group.build_release[0].join(" ")];
        assert!(words.iter().all(|words| words.ends_with(" -DLAMP_BUILD_DOCS=OFF")), "{words:?}");
        let options = "option('documentation', type: 'boolean', value: true)\n";
        let texts = [("meson.build", "project('a', 'c')\ntest('a', b)\n"), ("meson_options.txt", options)];
        let group = super::super::meson::find(&Tree::from_texts(texts)).unwrap();
        let words = [group.jobs[0].run.join(" "), group.build_release[0].join(" ")];
        assert!(words.iter().all(|words| words.ends_with(" -Ddocumentation=false")), "{words:?}");
    }

    #[test]
    fn a_build_that_git_does_not_ignore_ignores_itself() {
        let group = find(&Tree::from_texts([("CMakeLists.txt", "project(a C)\n")])).unwrap();
        let script = "cmake -S . -B build -DCMAKE_BUILD_TYPE=Debug && echo '*' > build/.gitignore";
        assert_eq!(group.jobs[0].command_line(), ["sh", "-c", script]);
    }

    #[test]
    fn the_tests_of_a_part_that_is_not_built_stay_off() {
        let body = "project(lamp)\noption(LAMP_TLS_TESTS \"\" OFF)\nenable_testing()\nadd_test(NAME a COMMAND a)\n";
        let on = "-DLAMP_TLS_TESTS=ON".to_owned();
        assert_eq!(configure(body), (true, on.clone()));
        assert_eq!(configure(&format!("{body}option(LAMP_TLS \"\" OFF)\n")), (true, String::new()));
        assert_eq!(configure(&format!("{body}option(LAMP_TLS \"\" ON)\n")), (true, on));
    }

    #[test]
    fn tests_are_those_that_ctest_finds() {
        let body = "project(lamp)\nif(BUILD_TESTING)\n  add_test(NAME a COMMAND a)\nendif()\n";
        assert_eq!(configure(body), (false, String::new()), "CTest is not switched on");
        let on = "-DBUILD_TESTING=ON".to_owned();
        assert_eq!(configure(&format!("{body}enable_testing()\n")), (true, on.clone()));
        assert_eq!(configure(&format!("{body}include(CTest)\n")), (true, String::new()), "it is on by itself");
        assert_eq!(configure(&format!("{body}enable_testing()\noption(BUILD_TESTING \"\" OFF)\n")), (true, on));
        assert_eq!(
            configure(&format!("{body}enable_testing()\noption(BUILD_TESTING \"\" ON)\n")),
            (true, String::new())
        );
    }
}
