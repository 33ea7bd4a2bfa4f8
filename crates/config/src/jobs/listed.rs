//! Tests as their own suite lists them: the properties that a planned job takes over.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// The kind of a test suite.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SuiteKind {
    /// CTest of CMake.
    Ctest,
    /// Meson.
    Meson,
    /// GNU automake.
    Automake,
    /// pytest of Python.
    Pytest,
    /// `cargo test`.
    CargoTest,
    /// Programs that print TAP.
    Tap,
    /// A target of make, whose prerequisites are the tests.
    Make,
}

impl SuiteKind {
    /// All, by their keys in `for-each`.
    pub const WORDS: [(&'static str, SuiteKind); 7] = [
        ("ctest", SuiteKind::Ctest),
        ("meson", SuiteKind::Meson),
        ("automake", SuiteKind::Automake),
        ("pytest", SuiteKind::Pytest),
        ("cargo-test", SuiteKind::CargoTest),
        ("tap", SuiteKind::Tap),
        ("make", SuiteKind::Make),
    ];

    /// Its key in `for-each`.
    pub fn word(self) -> &'static str {
        Self::WORDS.iter().find(|(_, kind)| *kind == self).map_or("", |(word, _)| word)
    }
}

/// The end that a job must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Expected {
    /// The exit code of `expect-exit`.
    #[default]
    Success,
    /// Any other exit code than that (`WILL_FAIL` of CTest).
    Failure,
    /// Any other exit code, or the end by a signal (`should_fail` of Meson, `XFAIL_TESTS` of automake).
    FailureOrSignal,
}

/// What a job prints about its tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// Nothing in particular: only reports of well-known runners are recognised.
    #[default]
    None,
    /// The Test Anything Protocol, as automake's driver takes it.
    Tap,
    /// The same, as Meson takes it: a plan is not needed.
    MesonTap,
    /// The same, as prove(1) takes it: a test that is still to be done may pass.
    ProveTap,
    /// A Rust test program of which one test runs.
    Libtest,
    /// pytest with one test.
    Pytest,
}

/// The rules by which a job's end and its output become a result.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct TestRules {
    /// The end that it must have.
    #[serde(skip_serializing_if = "is_default")]
    pub expected: Expected,
    /// Exit codes that mean that it was skipped.
    #[serde(skip_serializing_if = "is_default")]
    pub skip_exit: Vec<i32>,
    /// Exit codes that are a failure even where one is expected: the test could not be run.
    #[serde(skip_serializing_if = "is_default")]
    pub fail_exit: Vec<i32>,
    /// Regular expressions of which one must match its output; then the exit code does not matter.
    #[serde(skip_serializing_if = "is_default")]
    pub pass: Vec<String>,
    /// Regular expressions none of which may match its output.
    #[serde(skip_serializing_if = "is_default")]
    pub fail: Vec<String>,
    /// Regular expressions that mean that it was skipped.
    #[serde(skip_serializing_if = "is_default")]
    pub skip: Vec<String>,
    /// A regular expression that must match its output, whatever its exit code.
    #[serde(skip_serializing_if = "is_default")]
    pub expect_output: Option<String>,
    /// What it prints about its tests.
    #[serde(skip_serializing_if = "is_default")]
    pub protocol: Protocol,
    /// `true` if it may pass although it reports that it ran no test.
    #[serde(skip_serializing_if = "is_default")]
    pub allow_no_tests: bool,
}

impl Protocol {
    /// `true` for the Test Anything Protocol.
    pub fn is_tap(self) -> bool {
        match self {
            Protocol::Tap | Protocol::MesonTap | Protocol::ProveTap => true,
            Protocol::None | Protocol::Libtest | Protocol::Pytest => false,
        }
    }
}

impl TestRules {
    /// `true` if the whole output of the job decides, and not only its end.
    pub fn reads_everything(&self) -> bool {
        let lists = [&self.pass, &self.fail, &self.skip];
        self.expect_output.is_some() || self.protocol.is_tap() || lists.iter().any(|list| !list.is_empty())
    }
}

/// A time limit that begins when the output of a test matches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct TimeoutAfter {
    /// The limit from then on.
    pub timeout: Duration,
    /// Regular expressions of which one must match a line.
    pub expressions: Vec<String>,
}

/// One test of a suite.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct ListedTest {
    /// Its name in the suite.
    #[serde(skip_serializing_if = "is_default")]
    pub name: String,
    /// Its command; empty if the suite lists it without one, since its program is not built.
    #[serde(skip_serializing_if = "is_default")]
    pub argv: Vec<String>,
    /// Its working directory: absolute, or relative to the project.
    #[serde(skip_serializing_if = "is_default")]
    pub directory: String,
    /// Variables that are set for it.
    #[serde(skip_serializing_if = "is_default")]
    pub env: BTreeMap<String, String>,
    /// Variables that it does not get, whatever the environment of Drydock has.
    #[serde(skip_serializing_if = "is_default")]
    pub unset: Vec<String>,
    /// Files without which it cannot run, absolute.
    #[serde(skip_serializing_if = "is_default")]
    pub required_files: Vec<String>,
    /// Its time limit from the moment at which its output matches, if the suite has one.
    #[serde(skip_serializing_if = "is_default")]
    pub timeout_after: Option<TimeoutAfter>,
    /// Its time limit; none if the suite does not say.
    #[serde(skip_serializing_if = "is_default")]
    pub timeout: Option<Duration>,
    /// Labels, or the suites that it belongs to.
    #[serde(skip_serializing_if = "is_default")]
    pub labels: Vec<String>,
    /// Names of tests that must pass before.
    #[serde(skip_serializing_if = "is_default")]
    pub needs: Vec<String>,
    /// Names of tests that must have ended before.
    #[serde(skip_serializing_if = "is_default")]
    pub follows: Vec<String>,
    /// Names of resources that only one running job may use.
    #[serde(skip_serializing_if = "is_default")]
    pub locks: Vec<String>,
    /// `true` if no other job runs beside it.
    #[serde(skip_serializing_if = "is_default")]
    pub serial: bool,
    /// The number of processors that it uses; 0 if the suite does not say.
    #[serde(skip_serializing_if = "is_default")]
    pub processors: u32,
    /// The reason why the suite does not run it, if so: it is reported as skipped.
    #[serde(skip_serializing_if = "is_default")]
    pub disabled: Option<String>,
    /// `true` if it puts things in order after those that it follows, so that it runs whenever one of them does.
    #[serde(skip_serializing_if = "is_default")]
    pub cleans_up: bool,
    /// The time that it is expected to take, in milliseconds.
    #[serde(skip_serializing_if = "is_default")]
    pub cost_ms: Option<u64>,
    /// The reason why it cannot run under valgrind, if so: its command is not the program that is tested.
    #[serde(skip_serializing_if = "is_default")]
    pub native: Option<String>,
    /// The rules for its result.
    #[serde(skip_serializing_if = "is_default")]
    pub rules: TestRules,
}

/// `true` for what a stored list leaves out.
pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
