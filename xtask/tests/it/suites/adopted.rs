//! Suites of other people: declared in a few lines, run by Drydock and by their own runner, and compared test by test.
//!
//! `DRYDOCK_TEST_SUITES=1 cargo test -p drydock --test it suites::adopted -- --nocapture` prints the table; without the variable,
//! only the small ones run. The sources come from Debian, PyPI and crates.io, and are kept.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{printed, results, run_json};
use crate::deb::fixture::{kept_directory, run};
use crate::support::{Project, need_tools, text};

/// Where a suite comes from.
enum Source {
    /// A source package of Debian 12.
    Debian(&'static str),
    /// A source distribution of PyPI.
    PyPi(&'static str),
    /// A crate of crates.io.
    Crate(&'static str, &'static str),
}

/// A suite of other people.
struct Adopted {
    name: &'static str,
    system: &'static str,
    source: Source,
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

const SUITES: [Adopted; 9] = [
    Adopted {
        name: "scdoc",
        system: "Make",
        source: Source::Debian("scdoc"),
        small: true,
        tools: C,
        yaml: "  build: {run: [make]}\n  suite: {needs: [build], for-each: {glob: 'test/*', except: [test/lib.sh]}, run: ['{item}']}\n",
        own: by_find,
        explained: &[],
    },
    Adopted {
        name: "json-c",
        system: "CMake",
        source: Source::Debian("json-c"),
        small: true,
        tools: &[("gcc", "gcc"), ("make", "make"), ("cmake", "cmake")],
        yaml: "  configure: {run: [cmake, -S, ., -B, b]}\n  build: {needs: [configure], run: [cmake, --build, b, -j2]}\n  suite: {for-each: {ctest: b, after: [build]}}\n",
        own: by_ctest,
        explained: &[],
    },
    Adopted {
        name: "libmd",
        system: "automake",
        source: Source::Debian("libmd"),
        small: true,
        tools: C,
        yaml: "  configure: {run: [./configure, -q]}\n  build: {needs: [configure], run: [make, check, 'TESTS='], allow-no-tests: true}\n  suite: {for-each: {automake: ., after: [build]}}\n",
        own: by_make_check,
        explained: &[],
    },
    Adopted {
        name: "hello",
        system: "automake, scripts",
        source: Source::Debian("hello"),
        small: false,
        tools: C,
        yaml: "  configure: {run: [./configure, -q], env: {FORCE_UNSAFE_CONFIGURE: '1'}}\n  build: {needs: [configure], run: [make, 'MAKEINFO=true', 'HELP2MAN=true']}\n  suite: {for-each: {automake: ., after: [build]}}\n",
        own: by_make_check,
        explained: &[],
    },
    Adopted {
        name: "wayland",
        system: "Meson",
        source: Source::Debian("wayland"),
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
        source: Source::Debian("libuv1"),
        small: false,
        tools: &[("gcc", "gcc"), ("make", "make"), ("cmake", "cmake"), ("setpriv", "util-linux")],
        yaml: "  configure: {run: [cmake, -S, ., -B, b]}\n  build: {needs: [configure], run: [cmake, --build, b, -j2], timeout: 30m}\n  suite: {for-each: {ctest: b, after: [build]}, serial: true, user: nobody, timeout: 20m}\n",
        own: by_ctest,
        explained: &[
            ("uv_test", "it refuses to run as root, and Drydock runs it as `nobody`"),
            ("uv_test_a", "it refuses to run as root, and Drydock runs it as `nobody`"),
        ],
    },
    Adopted {
        name: "parse",
        system: "pytest",
        source: Source::PyPi("parse==1.20.2"),
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
        small: false,
        tools: &[("pytest-3", "python3-pytest"), ("pip", "python3-pip")],
        yaml: "  suite: {for-each: {pytest: testing}, env: {PYTHONPATH: src}}\n",
        own: by_pytest,
        explained: &[],
    },
    Adopted {
        name: "semver",
        system: "Cargo",
        source: Source::Crate("semver", "1.0.20"),
        small: false,
        tools: &[],
        yaml: "  suite: {for-each: {cargo-test: .}, pass-env: [CARGO_HOME, RUSTUP_HOME]}\n",
        own: by_cargo,
        explained: &[],
    },
];

#[test]
fn suites_of_other_people_agree_with_their_own_runners() {
    let all = std::env::var_os("DRYDOCK_TEST_SUITES").is_some();
    let mut rows = vec![format!("{:<10} {:<20} {:>5} {:>5} {:>12}", "suite", "system", "YAML", "jobs", "agree")];
    let mut problems = Vec::new();
    for suite in SUITES.iter().filter(|suite| all || suite.small) {
        if !need_tools(suite.tools) {
            continue;
        }
        let Some(sources) = fetched(suite) else {
            rows.push(format!("{:<10} its sources cannot be fetched", suite.name));
            if all {
                problems.push(format!("{}: no sources", suite.name));
            }
            continue;
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
    // What runs as another user reaches its log.
    fs::set_permissions(project.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let finished = project.xtask(&["ci", "-j", "2", "--no-progress"]).limit(std::time::Duration::from_secs(1800)).run();
    let ours: BTreeMap<String, String> = results(&project)
        .into_iter()
        .filter_map(|(name, result)| Some((name.strip_prefix("suite/")?.to_owned(), verdict(&result))))
        .collect();
    let own: BTreeMap<String, String> =
        (suite.own)(project.path()).into_iter().map(|(name, word)| (slug(&name), word)).collect();
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
    (format!("{:<10} {:<20} {lines:>5} {jobs:>5} {agreed:>12}{notes}", suite.name, suite.system), problems)
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

/// The unpacked sources of a suite, which are kept; `None` without a network.
fn fetched(suite: &Adopted) -> Option<PathBuf> {
    let directory = kept_directory("adopted").join(suite.name);
    let sources = directory.join("sources");
    if sources.exists() {
        return Some(sources);
    }
    fs::create_dir_all(&directory).unwrap();
    let succeeds = |words: &[&str], variables: &[(&str, &str)]| {
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).current_dir(&directory).envs(variables.iter().copied());
        command.output().is_ok_and(|output| output.status.success())
    };
    let with_end = |end: &str| {
        let files = fs::read_dir(&directory).unwrap().map(|entry| text(&entry.unwrap().path()));
        files.filter(|file| file.ends_with(end)).min()
    };
    match suite.source {
        Source::Debian(package) => {
            let config = apt(&directory);
            let variables = [("APT_CONFIG", config.as_str())];
            let got = succeeds(&["apt-get", "-qq", "update"], &variables)
                && succeeds(&["apt-get", "-qq", "source", "--download-only", "--only-source", package], &variables);
            let package = with_end(".dsc").filter(|_| got)?;
            succeeds(&["dpkg-source", "--no-check", "--extract", &package, "sources"], &[]).then_some(sources)
        }
        Source::PyPi(package) => {
            succeeds(&["pip", "download", "-q", "--no-deps", "--no-binary", ":all:", package], &[]).then_some(())?;
            let archive = with_end(".tar.gz")?;
            fs::create_dir_all(&sources).unwrap();
            succeeds(&["tar", "xf", &archive, "-C", "sources", "--strip-components=1"], &[]).then_some(sources)
        }
        Source::Crate(name, version) => {
            let manifest = format!(
                "[package]\nname = \"fetch\"\nversion = \"0.0.0\"\nedition = \"2021\"\n[dependencies]\n{name} = \"={version}\"\n[workspace]\n"
            );
            fs::create_dir_all(directory.join("src")).unwrap();
            fs::write(directory.join("src/lib.rs"), "").unwrap();
            fs::write(directory.join("Cargo.toml"), manifest).unwrap();
            succeeds(&["cargo", "vendor", "-q", "vendor"], &[]).then_some(())?;
            fs::rename(directory.join("vendor").join(name), &sources).ok()?;
            // A package in the directory of another one belongs to that one's workspace.
            let manifest = fs::read_to_string(sources.join("Cargo.toml")).unwrap();
            fs::write(sources.join("Cargo.toml"), format!("{manifest}\n[workspace]\n")).unwrap();
            Some(sources)
        }
    }
}

/// A configuration of apt with the sources of Debian 12, and nothing of this machine's.
fn apt(directory: &Path) -> String {
    let at = |name: &str| directory.join(name);
    for name in ["lists/partial", "cache/archives/partial"] {
        fs::create_dir_all(at(name)).unwrap();
    }
    let line = "deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian bookworm main\n";
    fs::write(at("sources.list"), line).unwrap();
    fs::write(at("status"), "").unwrap();
    let root = text(directory);
    let config = format!(
        "Dir::State::Lists \"{root}/lists\";\nDir::State::status \"{root}/status\";\nDir::Cache \"{root}/cache\";\n\
         Dir::Etc::sourcelist \"{root}/sources.list\";\nDir::Etc::sourceparts \"{root}/none\";\nAPT::Sandbox::User \"root\";\n"
    );
    fs::write(at("apt.conf"), config).unwrap();
    text(&at("apt.conf"))
}

/// `find test -perm -111 -exec '{}' \;`, which the Makefile runs.
fn by_find(project: &Path) -> BTreeMap<String, String> {
    let tests = fs::read_dir(project.join("test")).unwrap().map(|entry| entry.unwrap().file_name());
    tests
        .map(|name| text(Path::new(&name)))
        .filter(|name| name != "lib.sh")
        .map(|name| {
            let ended = printed(project, &[&format!("./test/{name}")]);
            (name, if ended.status.success() { "pass".to_owned() } else { "fail".to_owned() })
        })
        .collect()
}

fn by_ctest(project: &Path) -> BTreeMap<String, String> {
    printed(&project.join("b"), &["ctest", "-j2", "--output-junit", "own.xml"]);
    let xml = fs::read_to_string(project.join("b/own.xml")).unwrap();
    let attribute = |part: &str, name: &str| {
        part.split_once(&format!("{name}=\"")).map(|(_, rest)| rest.split('"').next().unwrap().to_owned()).unwrap()
    };
    let word = |part: &str| match attribute(part, "status").as_str() {
        "run" => "pass",
        "notrun" if part.contains("SKIP_") => "skip",
        "disabled" => "skip",
        _ => "fail",
    };
    xml.split("<testcase ").skip(1).map(|part| (attribute(part, "name"), word(part).to_owned())).collect()
}

fn by_meson(project: &Path) -> BTreeMap<String, String> {
    printed(project, &["meson", "test", "-C", "b", "--no-rebuild"]);
    let log = fs::read_to_string(project.join("b/meson-logs/testlog.json")).unwrap();
    let tests = log.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    tests
        .map(|test| {
            let name = test["name"].as_str().unwrap().rsplit(" / ").next().unwrap().to_owned();
            let word = match test["result"].as_str().unwrap() {
                "OK" | "EXPECTEDFAIL" => "pass",
                "SKIP" => "skip",
                _ => "fail",
            };
            (name, word.to_owned())
        })
        .collect()
}

fn by_make_check(project: &Path) -> BTreeMap<String, String> {
    printed(project, &["make", "-k", "check"]);
    let mut found = BTreeMap::new();
    let mut waiting = vec![project.to_owned()];
    while let Some(directory) = waiting.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("target") {
                waiting.push(path);
            } else if path.extension().is_some_and(|end| end == "trs") {
                let result = fs::read_to_string(&path).unwrap();
                let result = result.lines().find_map(|line| line.strip_prefix(":global-test-result: ")).unwrap();
                let word = match result {
                    "PASS" | "XFAIL" => "pass",
                    "SKIP" => "skip",
                    _ => "fail",
                };
                let name = path.strip_prefix(project).unwrap().with_extension("");
                found.insert(text(&name), word.to_owned());
            }
        }
    }
    found
}

fn by_pytest(project: &Path) -> BTreeMap<String, String> {
    let yaml = fs::read_to_string(project.join("ci/jobs.yaml")).unwrap();
    let (at, modules) = if yaml.contains("pytest: testing") { ("testing", "src") } else { ("tests", ".") };
    let modules = format!("PYTHONPATH={modules}");
    printed(project, &["env", &modules, "pytest-3", "-q", "--junit-xml", "own.xml", at]);
    let xml = fs::read_to_string(project.join("own.xml")).unwrap();
    let attribute = |part: &str, name: &str| {
        let text = part.split_once(&format!(" {name}=\"")).unwrap().1.split('"').next().unwrap();
        text.replace("&quot;", "\"").replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    };
    let word = |part: &str| match ["<failure", "<error", "<skipped"].iter().find(|word| part.contains(*word)) {
        Some(&"<skipped") if !part.contains("pytest.xfail") => "skip",
        Some(&"<skipped") | None => "pass",
        Some(_) => "fail",
    };
    xml.split("<testcase")
        .skip(1)
        .map(|part| {
            let mut class: Vec<String> = attribute(part, "classname").split('.').map(str::to_owned).collect();
            let inner = class.iter().position(|part| part.starts_with("test_")).unwrap() + 1;
            let own = class.split_off(inner);
            let name = attribute(part, "name");
            let parts: Vec<String> =
                std::iter::once(format!("{}.py", class.join("/"))).chain(own).chain([name]).collect();
            (parts.join("::"), word(part).to_owned())
        })
        .collect()
}

fn by_cargo(project: &Path) -> BTreeMap<String, String> {
    let output = printed(project, &["cargo", "test", "--no-fail-fast"]);
    let mut found = BTreeMap::new();
    let mut program = String::new();
    let name = fs::read_to_string(project.join("Cargo.toml")).unwrap();
    let package =
        name.lines().find_map(|line| line.strip_prefix("name = \"")).unwrap().trim_end_matches('"').to_owned();
    // The programs are named on standard error, their tests on the other.
    let programs: Vec<String> = output
        .stderr
        .lines()
        .filter_map(|line| {
            let line = line.trim();
            if let Some(rest) = line.strip_prefix("Running ") {
                let path = rest.trim_start_matches("unittests ").split(' ').next().unwrap();
                let stem = text(Path::new(path).file_stem().unwrap().as_ref());
                return Some(if path.starts_with("src") {
                    format!("{package}/lib")
                } else {
                    format!("{package}/test-{stem}")
                });
            }
            line.starts_with("Doc-tests").then(|| format!("{package}/doc"))
        })
        .collect();
    let mut programs = programs.into_iter();
    for line in output.stdout.lines() {
        if line.starts_with("running ") {
            program = programs.next().unwrap();
        } else if let Some((test, result)) = line.strip_prefix("test ").and_then(|rest| rest.split_once(" ... ")) {
            let word = match result.split([' ', ',']).next().unwrap() {
                "ok" => "pass",
                "ignored" => "skip",
                _ => "fail",
            };
            let name = if program.ends_with("/doc") { program.clone() } else { format!("{program}/{test}") };
            let known = found.entry(name).or_insert_with(|| word.to_owned());
            // Documentation tests are one job.
            if word == "fail" || known == "skip" {
                *known = word.to_owned();
            }
        }
    }
    found
}
