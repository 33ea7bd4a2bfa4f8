//! Suites of other people: declared in a few lines, run by Drydock and by their own runner, and compared test by test.
//!
//! `DRYDOCK_TEST_SUITES=all cargo test -p drydock --test it suites::adopted -- --nocapture` prints the table, and with names of
//! suites (`hello,libuv`) their rows, and with `properties` those of suites that show one property each; without the variable,
//! only the small ones run. The sources come from Debian, PyPI and crates.io, and are kept.

use std::collections::BTreeMap;
use std::path::Path;

use super::{numbered, results, run_json};
use crate::deb::fixture::run;
use crate::support::{Project, need_tools, skip, text};
use fetch::Source;
use own::{by_cargo, by_ctest, by_ctest_as_nobody, by_find, by_make_check, by_meson, by_nextest, by_pytest};
use properties::PROPERTIES;

mod fetch;
mod own;
mod properties;

/// A suite of other people.
struct Adopted {
    name: &'static str,
    system: &'static str,
    source: Source,
    /// The directory of the suite within the sources; empty for all of them.
    directory: &'static str,
    /// It takes so little time that it runs always.
    small: bool,
    tools: &'static [(&'static str, &'static str)],
    /// The jobs; the tests are below `suite`.
    yaml: &'static str,
    /// What its own runner says of each test: `pass`, `fail` or `skip`.
    own: fn(&Path) -> BTreeMap<String, String>,
    /// Tests on which they may differ, and why.
    explained: &'static [(&'static str, &'static str)],
}

const C: &[(&str, &str)] = &[("gcc", "gcc"), ("make", "make")];

const SUITES: [Adopted; 12] = [
    Adopted {
        name: "scdoc",
        system: "Make",
        source: Source::Debian(
            "s/scdoc/scdoc_1.11.2.orig.tar.gz",
            "e9ff9981b5854301789a6778ee64ef1f6d1e5f4829a9dd3e58a9a63eacc2e6f0",
        ),
        directory: "",
        small: true,
        tools: C,
        yaml: "  build: {run: [make]}\n  suite: {needs: [build], for-each: {glob: 'test/*', except: [test/lib.sh]}, run: ['{item}']}\n",
        own: by_find,
        explained: &[],
    },
    Adopted {
        name: "json-c",
        system: "CMake",
        source: Source::Debian(
            "j/json-c/json-c_0.16.orig.tar.gz",
            "3ecaeedffd99a60b1262819f9e60d7d983844073abc74e495cb822b251904185",
        ),
        directory: "",
        small: true,
        tools: &[("gcc", "gcc"), ("make", "make"), ("cmake", "cmake")],
        yaml: "  configure: {run: [cmake, -S, ., -B, b]}\n  build: {needs: [configure], run: [cmake, --build, b, -j2]}\n  suite: {for-each: {ctest: b, after: [build]}}\n",
        own: by_ctest,
        explained: &[],
    },
    Adopted {
        name: "libmd",
        system: "automake",
        source: Source::Debian(
            "libm/libmd/libmd_1.0.4.orig.tar.xz",
            "f51c921042e34beddeded4b75557656559cf5b1f2448033b4c1eec11c07e530f",
        ),
        directory: "",
        small: true,
        tools: C,
        yaml: "  configure: {run: [./configure, -q]}\n  build: {needs: [configure], run: [make, check, 'TESTS='], allow-no-tests: true}\n  suite: {for-each: {automake: ., after: [build]}}\n",
        own: by_make_check,
        explained: &[],
    },
    Adopted {
        name: "hello",
        system: "automake, scripts",
        source: Source::Debian(
            "h/hello/hello_2.10.orig.tar.gz",
            "31e066137a962676e89f69d1b65382de95a7ef7d914b8cb956f41ea72e0f516b",
        ),
        directory: "",
        small: false,
        tools: C,
        yaml: "  configure: {run: [./configure, -q], env: {FORCE_UNSAFE_CONFIGURE: '1'}}\n  build: {needs: [configure], run: [make, 'MAKEINFO=true', 'HELP2MAN=true']}\n  suite: {for-each: {automake: ., after: [build]}}\n",
        own: by_make_check,
        explained: &[],
    },
    Adopted {
        name: "patch",
        system: "automake, XFAIL",
        source: Source::Debian(
            "p/patch/patch_2.7.6.orig.tar.xz",
            "ac610bda97abe0d9f6b7c963255a11dcb196c25e337c61f94e4778d632f1d8fd",
        ),
        directory: "",
        small: false,
        tools: &[("gcc", "gcc"), ("make", "make"), ("ed", "ed")],
        yaml: "  configure: {run: [./configure, -q], env: {FORCE_UNSAFE_CONFIGURE: '1'}}\n  build: {needs: [configure], run: [make], timeout: 20m}\n  suite: {for-each: {automake: ., after: [build]}}\n",
        own: by_make_check,
        explained: &[],
    },
    Adopted {
        name: "glog",
        system: "CMake, fixtures",
        source: Source::Debian(
            "g/google-glog/google-glog_0.6.0.orig.tar.gz",
            "8a83bf982f37bb70825df71a9709fa90ea9f4447fb3c099e1d720a439d88bad6",
        ),
        directory: "",
        small: false,
        tools: &[("g++", "g++"), ("make", "make"), ("cmake", "cmake")],
        yaml: "  configure: {run: [cmake, -S, ., -B, b]}\n  build: {needs: [configure], run: [cmake, --build, b, -j2], timeout: 20m}\n  suite: {for-each: {ctest: b, after: [build]}}\n",
        own: by_ctest,
        explained: &[],
    },
    Adopted {
        name: "wayland",
        system: "Meson",
        source: Source::Debian(
            "w/wayland/wayland_1.21.0.orig.tar.gz",
            "181b8885f152adef3afb361bb5f23cf466d455de86db123492fb507754b9ef36",
        ),
        directory: "",
        small: false,
        tools: &[("gcc", "gcc"), ("meson", "meson"), ("ninja", "ninja-build")],
        yaml: "  configure: {run: [meson, setup, b, -Ddocumentation=false, -Ddtd_validation=false]}\n  build: {needs: [configure], run: [ninja, -C, b]}\n  suite: {for-each: {meson: b, after: [build]}, pass-env: [XDG_RUNTIME_DIR]}\n",
        own: by_meson,
        explained: &[(
            "sanity-test",
            "it is to die by signals that it sends itself, which depend on the limits of a job",
        )],
    },
    Adopted {
        name: "libuv",
        system: "CMake, two programs",
        source: Source::Debian(
            "libu/libuv1/libuv1_1.44.2.orig.tar.gz",
            "d79b4b06ef04be85fb890bf39d55942cc64c2e15fd14eaa32dae5dce94485484",
        ),
        directory: "",
        small: false,
        tools: &[("gcc", "gcc"), ("make", "make"), ("cmake", "cmake"), ("setpriv", "util-linux")],
        yaml: "  configure: {run: [cmake, -S, ., -B, b]}\n  build: {needs: [configure], run: [cmake, --build, b, -j2], timeout: 30m}\n  suite: {for-each: {ctest: b, after: [build]}, serial: true, user: nobody, timeout: 20m}\n",
        own: by_ctest_as_nobody,
        explained: &[],
    },
    Adopted {
        name: "parse",
        system: "pytest",
        source: Source::PyPi("parse==1.20.2"),
        directory: "",
        small: false,
        tools: &[("pytest-3", "python3-pytest"), ("pip", "python3-pip")],
        yaml: "  suite: {for-each: {pytest: tests}, env: {PYTHONPATH: .}}\n",
        own: by_pytest,
        explained: &[],
    },
    Adopted {
        name: "pluggy",
        system: "pytest",
        source: Source::PyPi("pluggy==1.0.0"),
        directory: "",
        small: false,
        tools: &[("pytest-3", "python3-pytest"), ("pip", "python3-pip")],
        yaml: "  suite: {for-each: {pytest: testing}, env: {PYTHONPATH: src}}\n",
        own: by_pytest,
        explained: &[],
    },
    Adopted {
        name: "semver",
        system: "Cargo",
        source: Source::Crates(&[("semver", "1.0.20")]),
        directory: "",
        small: false,
        tools: &[],
        yaml: "  suite: {for-each: {cargo-test: .}, pass-env: [CARGO_HOME, RUSTUP_HOME]}\n",
        own: by_cargo,
        explained: &[],
    },
    Adopted {
        name: "four crates",
        system: "Cargo, nextest",
        source: Source::Crates(&[("semver", "1.0.20"), ("itoa", "1.0.9"), ("strsim", "0.10.0"), ("fnv", "1.0.7")]),
        directory: "",
        small: false,
        tools: &[("cargo-nextest", "cargo-nextest, a package of crates.io")],
        yaml: "  suite: {for-each: {cargo-test: ., args: [--workspace]}, pass-env: [CARGO_HOME, RUSTUP_HOME]}\n",
        own: by_nextest,
        explained: &[],
    },
];

#[test]
fn suites_of_other_people_agree_with_their_own_runners() {
    let wanted = std::env::var("DRYDOCK_TEST_SUITES").ok();
    let is_wanted = |suite: &Adopted| match &wanted {
        Some(names) => {
            let is_property = PROPERTIES.iter().any(|other| other.name == suite.name);
            names == "all" || names == "properties" && is_property || names.split(',').any(|name| name == suite.name)
        }
        None => suite.small,
    };
    let mut rows = vec![format!("{:<20} {:<20} {:>5} {:>5} {:>12}", "suite", "system", "YAML", "jobs", "agree")];
    let mut problems = Vec::new();
    for suite in SUITES.iter().chain(&PROPERTIES).filter(|suite| is_wanted(suite)) {
        if !need_tools(suite.tools) {
            continue;
        }
        // Several suites may be in the same sources.
        let kept = suite.name.split('/').next().unwrap();
        let sources = match fetch::sources(kept, &suite.source) {
            Ok(sources) => sources.join(suite.directory),
            // Whether a server answers is not up to this project, so that a row that nobody asked for is left out.
            Err(why) if wanted.is_none() => {
                skip(&format!("the sources of {} cannot be fetched: {why:#}", suite.name));
                continue;
            }
            Err(why) => {
                problems.push(format!("{}: its sources cannot be fetched: {why:#}", suite.name));
                continue;
            }
        };
        let (row, wrong) = adopt(suite, &sources);
        println!("{row}");
        rows.push(row);
        problems.extend(wrong);
    }
    println!("{}", rows.join("\n"));
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

/// Runs a suite in both ways, and compares.
fn adopt(suite: &Adopted, sources: &Path) -> (String, Vec<String>) {
    let yaml = format!("defaults: {{memory: 32MiB, timeout: 10m}}\njobs:\n{}", suite.yaml);
    let project = Project::new();
    run(project.path(), &["cp", "-a", &format!("{}/.", text(sources)), "."], &[]);
    let project = project.jobs(&yaml);
    // What runs as another user reaches its log, and writes where the sources are.
    run(project.path(), &["chmod", "-R", "a+rwX", "."], &[]);
    let finished = project.xtask(&["ci", "-j", "2", "--no-progress"]).limit(std::time::Duration::from_secs(1800)).run();
    let ours: BTreeMap<String, String> = results(&project)
        .into_iter()
        .filter_map(|(name, result)| Some((name.strip_prefix("suite/")?.to_owned(), verdict(&result))))
        .collect();
    let mut own = BTreeMap::new();
    for (name, word) in (suite.own)(project.path()) {
        own.insert(numbered(&own, &slug(&name)), word);
    }
    let is_explained = |name: &str| suite.explained.iter().find(|(test, _)| name.contains(test)).map(|(_, why)| *why);
    let mut problems = Vec::new();
    let (mut agree, mut notes) = (0, String::new());
    for (name, word) in &ours {
        match (own.get(name), is_explained(name)) {
            (Some(theirs), _) if theirs == word => agree += 1,
            (theirs, Some(why)) => notes.push_str(&format!("\n    {name}: {word}, and {theirs:?} there: {why}")),
            (theirs, None) => problems.push(format!("{}: {name}: {word}, and {theirs:?} there", suite.name)),
        }
    }
    let missing: Vec<&String> = own.keys().filter(|name| !ours.contains_key(*name)).collect();
    if !missing.is_empty() || ours.is_empty() {
        problems.push(format!("{}: not among the jobs: {missing:?}\n{}", suite.name, finished.transcript()));
    }
    let jobs = run_json(&project).jobs.len();
    let agreed = format!("{agree} of {}", ours.len());
    let lines = yaml.lines().count();
    (format!("{:<20} {:<20} {lines:>5} {jobs:>5} {agreed:>12}{notes}", suite.name, suite.system), problems)
}

/// A result of Drydock in the words of the own runners.
fn verdict(result: &str) -> String {
    let word = match result.split(' ').next().unwrap() {
        "passed" => "pass",
        "skipped" => "skip",
        _ => "fail",
    };
    word.to_owned()
}

/// A name as jobs have it.
fn slug(name: &str) -> String {
    drydock_base::units::JobName::slug(name)
}
