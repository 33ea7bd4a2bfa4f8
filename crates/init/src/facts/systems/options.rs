//! Options of build systems: which of them switch tests on, and which switch sanitizers on.

/// Words of tests.
const TESTS: [&str; 8] = ["test", "tests", "testing", "unittest", "unittests", "testsuite", "unit_tests", "unit_test"];
/// Words before `check` in the names of options for the tests of the project itself, not for one thing that is looked at.
const BEFORE_CHECK: [&str; 4] = ["", "build", "enable", "with"];
/// Words of tests of another kind: those need more than the project and a compiler, take long, or change how it is built.
const OF_SOMETHING_ELSE: [&str; 62] = [
    "doc",
    "docs",
    "documentation",
    "gtkdoc",
    "valgrind",
    "fuzz",
    "fuzzing",
    "fuzzer",
    "fuzztest",
    "perf",
    "performance",
    "coverage",
    "cov",
    "gcov",
    "lcov",
    "benchmark",
    "benchmarks",
    "bench",
    "asan",
    "sanitize",
    "installed",
    "install",
    "header",
    "memcheck",
    "stress",
    "slow",
    "long",
    "extended",
    "huge",
    "network",
    "online",
    "internet",
    "remote",
    "live",
    "external",
    "integration",
    "without",
    "no",
    "disable",
    "skip",
    "system",
    "werror",
    "gui",
    "container",
    "containers",
    "docker",
    "cuda",
    "gpu",
    "opencl",
    "mpi",
    "testdata",
    "data",
    "download",
    "root",
    "sudo",
    "manual",
    "interactive",
    "force",
    "emulator",
    "crosscompiling",
    "java",
    "dotnet",
];
/// What the help of such an option says.
const HELP_OF_SOMETHING_ELSE: [&str; 13] = [
    "reference implementation",
    "coverage",
    "crosscompil",
    "cross-compil",
    "cross compil",
    "network",
    "internet",
    "container",
    "docker",
    "as root",
    "cuda",
    "test data",
    "download",
];

/// True if an option is about the tests of the project and nothing more, by its name and its help.
pub(super) fn is_about_tests(name: &str, help: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let help = help.to_ascii_lowercase();
    let parts: Vec<&str> = name.split(['_', '-']).collect();
    let before = |at: usize| at.checked_sub(1).map_or("", |before| parts[before]);
    let is_test = parts.iter().any(|part| TESTS.contains(part));
    let is_check = parts.last() == Some(&"check") && BEFORE_CHECK.contains(&before(parts.len() - 1));
    (is_test || is_check)
        && !parts.iter().any(|part| OF_SOMETHING_ELSE.contains(part))
        && !HELP_OF_SOMETHING_ELSE.iter().any(|words| help.contains(words))
}

/// True if a name of an option is about documentation, which no test needs.
pub(super) fn is_about_documentation(name: &str) -> bool {
    let name = name.to_ascii_lowercase().replace("gtk_doc", "gtkdoc").replace("gtk-doc", "gtkdoc");
    let known = ["doc", "docs", "documentation", "gtkdoc", "doxygen"];
    let may_stand = ["build", "enable", "with", "generate", "gen", "make", "api", "html"];
    let mut parts = name.split(['_', '-']).rev();
    // The first part may be the name of the project.
    parts.next().is_some_and(|last| known.contains(&last))
        && parts.skip_while(|part| may_stand.contains(part)).count() <= 1
}

/// True if a name of an option is about a sanitizer, which cannot run under valgrind.
pub(super) fn is_about_sanitizers(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.split(['_', '-'])
        .any(|part| part.starts_with("saniti") || ["asan", "ubsan", "msan", "tsan", "safestack"].contains(&part))
        || name.contains("safe_stack")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_for_documentation_are_known() {
        for name in ["documentation", "BUILD_DOCS", "LAMP_BUILD_DOCS", "gtk_doc", "LAMP_ENABLE_DOXYGEN", "docs"] {
            assert!(is_about_documentation(name), "{name}");
        }
        for name in ["doc_tests", "LAMP_PARSE_XML_DOC", "dock", "install_docs_to"] {
            assert!(!is_about_documentation(name), "{name}");
        }
    }

    #[test]
    fn options_for_the_tests_of_the_project_are_known_and_those_of_other_things_are_not() {
        for (name, help) in [
            ("WITH_TESTS", "[TEST] Build unit tests (requires CMocka)"),
            ("BUILD_TESTING", ""),
            ("SPDLOG_BUILD_TESTS_HO", "Build tests using the header only version"),
            ("URIPARSER_BUILD_TESTS", "Build test suite (requires GTest >=1.8.0)"),
            ("tests", ""),
            ("ENABLE_CHECK", "Build the unit tests with Check"),
            ("CHECK", ""),
        ] {
            assert!(is_about_tests(name, help), "{name}");
        }
        for (name, help) in [
            ("EVENT__FORCE_KQUEUE_CHECK", "When crosscompiling forces running a test program that verifies Kqueue"),
            ("FMT_CUDA_TEST", "Generate the cuda-test target."),
            ("CHECK_ENABLE_GCOV", "Turn on test coverage"),
            ("LAMP_TEST_COUNT", "Turn on test coverage"),
            ("testdata_tests", "Run tests requiring the test data repository"),
            ("LAMP_BUILD_CONTAINER_TESTS", "Build and run container tests"),
            ("enable-fpe-check", "enable Floating Point Exception checks"),
            ("reference-test", "Run test suite against reference implementation"),
            ("doc_tests", "Run gtkdoc-check tests"),
            ("WITH_LATEST", ""),
        ] {
            assert!(!is_about_tests(name, help), "{name}");
        }
    }
}
