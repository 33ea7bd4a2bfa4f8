//! CTest.

use super::{SAY, agree, printed, results};
use crate::support::{Project, RunJson, need_tools, text};
use std::collections::BTreeMap;

/// Each test with its arguments, its properties, and the results of Drydock and of CTest.
const TESTS: &[(&str, &str, &str, &str, &str)] = &[
    ("plain", "0", "", "passed", "run"),
    ("fails", "3", "", "failed failed{3}", "fail"),
    ("will-fail", "3", "WILL_FAIL TRUE", "passed", "run"),
    ("will-fail-passes", "0", "WILL_FAIL TRUE", "failed failed{0}", "fail"),
    // CTest takes a signal for a failure even there.
    ("will-fail-dies", "abort", "WILL_FAIL TRUE", "failed crashed{6}", "fail"),
    ("skipped", "77", "SKIP_RETURN_CODE 77", "skipped", "skip"),
    ("skipped-125", "125", "SKIP_RETURN_CODE 125 WILL_FAIL TRUE", "skipped", "skip"),
    ("skip-text", "0 no-gpu bad", "SKIP_REGULAR_EXPRESSION no-gpu FAIL_REGULAR_EXPRESSION bad", "skipped", "skip"),
    ("pass-text", "3 all good", "PASS_REGULAR_EXPRESSION \"never;^all.good\"", "passed", "run"),
    ("pass-text-dies", "abort good", "PASS_REGULAR_EXPRESSION good", "failed crashed{6}", "fail"),
    ("no-pass-text", "0 bad", "PASS_REGULAR_EXPRESSION good", "failed failed{0}", "fail"),
    ("fail-text", "0 ERR7", "FAIL_REGULAR_EXPRESSION ERR[0-9]", "failed failed{0}", "fail"),
    ("fail-text-will-fail", "0 ERR7", "FAIL_REGULAR_EXPRESSION ERR[0-9] WILL_FAIL TRUE", "passed", "run"),
    ("disabled", "3", "DISABLED TRUE", "skipped", "disabled"),
    // CTest removes a variable without a value, and does not run a test with a modification that it does not know.
    ("no-value", "0 $HOME", "ENVIRONMENT HOME PASS_REGULAR_EXPRESSION \"^unset\"", "passed", "run"),
    ("unknown-change", "3", "ENVIRONMENT_MODIFICATION A=wrong:1 WILL_FAIL TRUE", "failed failed{99}", "fail"),
    ("incomplete-change", "0", "ENVIRONMENT_MODIFICATION A=unset", "failed failed{99}", "fail"),
    (
        "environment",
        "0 $A $B $C $D",
        "ENVIRONMENT \"A=1 2;B=x\" ENVIRONMENT_MODIFICATION \"B=string_append:y;C=set:z;D=set:d;D=unset:\" \
         PASS_REGULAR_EXPRESSION \"^1 2.xy.z.unset\"",
        "passed",
        "run",
    ),
    ("directory", "0", "WORKING_DIRECTORY ${CMAKE_SOURCE_DIR}/sub", "passed", "run"),
    ("no-directory", "0", "WORKING_DIRECTORY /nowhere/at/all", "failed failed-to-start", "fail"),
    ("removed", "0 $HOME", "ENVIRONMENT_MODIFICATION HOME=unset: PASS_REGULAR_EXPRESSION ^unset", "passed", "run"),
    ("file-there", "0", "REQUIRED_FILES \"CMakeCache.txt;${CMAKE_SOURCE_DIR}/say.c\"", "passed", "run"),
    ("no-file", "0", "REQUIRED_FILES nope", "failed failed-to-start", "fail"),
    ("ready", "ready", "TIMEOUT 50 TIMEOUT_AFTER_MATCH \"0.3;re.dy\"", "failed timed-out", "fail"),
    (
        "groups",
        "0 $CTEST_RESOURCE_GROUP_COUNT $CTEST_RESOURCE_GROUP_1_GPUS",
        "RESOURCE_GROUPS \"2,gpus:2\" PASS_REGULAR_EXPRESSION \"^(unset.unset|2.id:[ab],slots:2)\"",
        "passed",
        "run",
    ),
    ("slow", "sleep", "TIMEOUT 0.3", "failed timed-out", "fail"),
    ("starts", "0", "FIXTURES_SETUP good", "passed", "run"),
    ("uses", "0", "FIXTURES_REQUIRED good LABELS \"net;quick\" COST 7 PROCESSORS 2", "passed", "run"),
    ("stops", "0", "FIXTURES_CLEANUP good", "passed", "run"),
    ("starts-badly", "1", "FIXTURES_SETUP bad", "failed failed{1}", "fail"),
    ("uses-bad", "0", "FIXTURES_REQUIRED bad", "not-run", "fail"),
    ("stops-bad", "0", "FIXTURES_CLEANUP bad", "passed", "run"),
    ("locked-1", "0", "RESOURCE_LOCK \"port;file\"", "passed", "run"),
    ("locked-2", "0", "RESOURCE_LOCK port RUN_SERIAL TRUE", "passed", "run"),
    ("is/in a directory", "0", "", "passed", "run"),
];

fn cmake_lists() -> String {
    let mut text =
        "cmake_minimum_required(VERSION 3.22)\nproject(suite C)\nenable_testing()\nadd_executable(say say.c)\n"
            .to_owned();
    for (name, arguments, properties, ..) in TESTS {
        let program = match *arguments {
            "sleep" => "sleep 60".to_owned(),
            "ready" => "sh -c \"echo ready; exec sleep 60\"".to_owned(),
            _ => format!("say {arguments}"),
        };
        text.push_str(&format!("add_test(NAME \"{name}\" COMMAND {program})\n"));
        if !properties.is_empty() {
            text.push_str(&format!("set_tests_properties(\"{name}\" PROPERTIES {properties})\n"));
        }
    }
    text
}

/// What CTest itself says of each test, from its JUnit report: `run`, `fail`, `skip`, `disabled`.
fn own_verdicts(project: &Project) -> BTreeMap<String, String> {
    let file = project.path().join("own.xml");
    printed(&project.path().join("build"), &["ctest", "-j2", "--output-junit", &text(&file)]);
    let xml = std::fs::read_to_string(file).unwrap();
    let attribute = |part: &str, name: &str| {
        part.split_once(&format!("{name}=\"")).map(|(_, rest)| rest.split('"').next().unwrap().to_owned()).unwrap()
    };
    let word = |part: &str| match attribute(part, "status").as_str() {
        // A test that was skipped has the message.
        "notrun" if part.contains("SKIP_") => "skip".to_owned(),
        "notrun" => "fail".to_owned(),
        other => other.to_owned(),
    };
    xml.split("<testcase ").skip(1).map(|part| (attribute(part, "name"), word(part))).collect()
}

#[test]
fn each_property_of_ctest_is_kept_and_ctest_agrees() {
    if !need_tools(&[("cmake", "cmake"), ("gcc", "gcc"), ("make", "make")]) {
        return;
    }
    let project = Project::new().file("say.c", SAY).file("sub/file", "").file("CMakeLists.txt", &cmake_lists()).jobs(
        "defaults: {memory: 16MiB}\njobs:\n  configure: {run: [cmake, -S, ., -B, build]}\n  \
             build: {needs: [configure], run: [cmake, --build, build]}\n  \
             suite: {for-each: {ctest: build, after: [build]}}\n",
    );
    // The tree is not built: no error, and it is said what stands for the tests.
    let planned = project.xtask(&["ci", "plan"]).run();
    assert_eq!(planned.code(), 0, "{}", planned.transcript());
    assert!(planned.stdout.contains("its tests are not listed yet: build does not exist"), "{}", planned.stdout);

    let finished = project.xtask(&["ci", "-j", "2"]).run();
    assert_eq!(finished.code(), 1, "{}", finished.transcript());
    let expected: Vec<(&str, &str)> = TESTS.iter().map(|(name, _, _, result, _)| (*name, *result)).collect();
    let slug = |name: &str| name.replace(' ', "-");
    let named: Vec<(String, &str)> = expected.iter().map(|(name, result)| (slug(name), *result)).collect();
    let named: Vec<(&str, &str)> = named.iter().map(|(name, result)| (name.as_str(), *result)).collect();
    agree(&project, &finished, "suite", &named);

    let own = own_verdicts(&project);
    let expected: BTreeMap<String, String> =
        TESTS.iter().map(|(name, _, _, _, own)| ((*name).to_owned(), (*own).to_owned())).collect();
    assert_eq!(own, expected);

    // With a specification of the machine's resources, both give them to the tests that need some.
    let machine = r#"{"version": {"major": 1, "minor": 0}, "local": [{"gpus": [{"id": "a", "slots": 3}, {"id": "b", "slots": 2}]}]}"#;
    std::fs::write(project.path().join("machine.json"), machine).unwrap();
    std::fs::create_dir(project.path().join("machine")).unwrap();
    let specified = "defaults: {memory: 16MiB}\njobs:\n  given: {for-each: {ctest: build, args: \
                     [--resource-spec-file, ../machine.json, -R, ^groups]}}\n";
    std::fs::write(project.path().join("machine/jobs.yaml"), specified).unwrap();
    let plan = project.xtask(&["--config", "machine", "ci", "plan", "--format", "json"]).run();
    assert!(plan.stdout.contains("\"id:b,slots:2\"") && plan.stdout.contains("resource-gpus"), "{}", plan.transcript());
    let given = project.xtask(&["--config", "machine", "ci"]).run();
    assert_eq!(given.code(), 0, "{}", given.transcript());
    let build = project.path().join("build");
    let own = printed(&build, &["ctest", "--resource-spec-file", "../machine.json", "-R", "^groups"]);
    assert!(own.stdout.contains("100% tests passed"), "{own:?}");
    project.xtask(&["ci", "-j", "2"]).run();

    // The list is frozen: what did not pass runs again as the same jobs, although the suite changed.
    std::fs::remove_file(project.path().join("build/CTestTestfile.cmake")).unwrap();
    let rerun = project.xtask(&["ci", "rerun", "suite/fails"]).run();
    assert_eq!(rerun.code(), 1, "{}", rerun.transcript());
    assert_eq!(results(&project).len(), TESTS.len() + 2, "{}", rerun.transcript());
    // Selectors know the tests and their labels once they are listed; what they need runs before.
    let chosen = project.xtask(&["ci", "run", "label:net"]).run();
    assert_eq!(chosen.code(), 0, "{}", chosen.transcript());
    let ran: Vec<String> = results(&project).into_keys().collect();
    assert_eq!(ran, ["build", "configure", "suite/starts", "suite/stops", "suite/uses"]);
    let unknown = project.xtask(&["ci", "run", "suite/unknown"]).run();
    assert_eq!(unknown.code(), 1, "{}", unknown.transcript());
    assert!(unknown.stdout.contains("no test that it lists is selected"), "{}", unknown.transcript());
}

#[test]
fn a_suite_under_memcheck_finds_errors_in_tests_that_are_expected_to_fail() {
    if !need_tools(&[("cmake", "cmake"), ("gcc", "gcc"), ("make", "make"), ("valgrind", "valgrind")]) {
        return;
    }
    let lists = "cmake_minimum_required(VERSION 3.22)\nproject(suite C)\nenable_testing()\nadd_executable(say say.c)\n\
                 add_test(NAME leaks COMMAND say leak)\nadd_test(NAME clean COMMAND say 0)\n\
                 add_test(NAME skips COMMAND say 77)\nadd_test(NAME fails COMMAND say 1)\n\
                 set_tests_properties(skips PROPERTIES SKIP_RETURN_CODE 77)\n\
                 set_tests_properties(fails PROPERTIES WILL_FAIL TRUE)\n\
                 set_tests_properties(clean PROPERTIES TIMEOUT 60)\n";
    let project = Project::new().file("say.c", SAY).file("CMakeLists.txt", lists).jobs(
        "tools: {memcheck: {args: [--leak-check=full]}}\njobs:\n  \
         build: {run: [cmake, -S, ., -B, build]}\n  make: {needs: [build], run: [cmake, --build, build]}\n  \
         suite: {for-each: {ctest: build, after: [make]}, tool: memcheck, timeout-factor: 7}\n",
    );
    let finished = project.xtask(&["ci"]).run();
    let expected = [("leaks", "failed findings{1}"), ("clean", "passed"), ("skips", "skipped"), ("fails", "passed")];
    agree(&project, &finished, "suite", &expected);
    let plan = project.xtask(&["ci", "plan", "--format", "json"]).run();
    let plan: serde_json::Value = serde_json::from_str(&plan.stdout).unwrap();
    let clean = plan["jobs"].as_array().unwrap().iter().find(|job| job["name"] == "suite/clean").unwrap();
    assert_eq!(clean["timeout"], 420_000, "{clean}");
    assert_eq!(RunJson::latest(&project.state()).unwrap().result.as_deref(), Some("failed"));
}
