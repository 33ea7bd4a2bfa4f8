//! What the own runners of suites say of each test: `pass`, `fail` or `skip`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::suites::{meson_results, printed};
use crate::support::text;

/// `find test -perm -111 -exec '{}' \;`, which the Makefile runs.
pub(super) fn by_find(project: &Path) -> BTreeMap<String, String> {
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

pub(super) fn by_ctest(project: &Path) -> BTreeMap<String, String> {
    read_ctest(project, &["ctest", "-j2", "--output-junit", "own.xml"])
}

/// As another user than root, one test after the other.
pub(super) fn by_ctest_as_nobody(project: &Path) -> BTreeMap<String, String> {
    // What root built is written to.
    printed(project, &["chmod", "-R", "a+rwX", "."]);
    let nobody = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"];
    read_ctest(project, &[&nobody[..], &["ctest", "-j1", "--output-junit", "own.xml"]].concat())
}

fn read_ctest(project: &Path, command: &[&str]) -> BTreeMap<String, String> {
    printed(&project.join("b"), command);
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

/// What the declaration of the suite says after a word, up to one of these characters; empty without the word.
fn declared(project: &Path, word: &str, end: &[char]) -> String {
    let yaml = fs::read_to_string(project.join("ci/jobs.yaml")).unwrap();
    yaml.split_once(word).map(|(_, rest)| rest.split(end).next().unwrap().to_owned()).unwrap_or_default()
}

pub(super) fn by_meson(project: &Path) -> BTreeMap<String, String> {
    let args = declared(project, "args: [", &[']']);
    let args: Vec<&str> = args.split(", ").filter(|word| !word.is_empty()).collect();
    let word = |result: &str| match result {
        "OK" | "EXPECTEDFAIL" => "pass",
        "SKIP" => "skip",
        _ => "fail",
    };
    meson_results(project, &args).into_iter().map(|(name, result)| (name, word(&result).to_owned())).collect()
}

/// `prove` for each script.
pub(super) fn by_prove(project: &Path) -> BTreeMap<String, String> {
    let scripts = fs::read_dir(project.join("t")).unwrap().map(|entry| text(Path::new(&entry.unwrap().file_name())));
    let scripts = scripts.filter(|name| name.ends_with(".t"));
    scripts
        .map(|name| {
            let ended = printed(project, &["prove", "-l", &format!("t/{name}")]);
            let word = match ended.status.success() {
                true if ended.stdout.contains("skipped: ") => "skip",
                true => "pass",
                false => "fail",
            };
            (format!("t/{name}"), word.to_owned())
        })
        .collect()
}

pub(super) fn by_make_check(project: &Path) -> BTreeMap<String, String> {
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
                // automake leaves the extensions of scripts out.
                let scripts = ["sh", "pl"].map(|end| path.with_extension(end));
                let test = scripts.into_iter().find(|script| script.exists()).unwrap_or(path.with_extension(""));
                found.insert(text(test.strip_prefix(project).unwrap()), word.to_owned());
            }
        }
    }
    found
}

pub(super) fn by_pytest(project: &Path) -> BTreeMap<String, String> {
    let at = declared(project, "pytest: ", &['}', ',']);
    let modules = format!("PYTHONPATH={}", declared(project, "PYTHONPATH: ", &['}']));
    // A job has only variables that are declared.
    let env = ["env", "-u", "PYTHONDONTWRITEBYTECODE", &modules];
    printed(project, &[&env[..], &["pytest-3", "-q", "--junit-xml", "own.xml", &at]].concat());
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

pub(super) fn by_cargo(project: &Path) -> BTreeMap<String, String> {
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

/// `cargo nextest run`, and for the documentation, which nextest does not know, Cargo.
pub(super) fn by_nextest(project: &Path) -> BTreeMap<String, String> {
    let set = "NEXTEST_EXPERIMENTAL_LIBTEST_JSON=1";
    let run =
        ["env", set, "cargo", "nextest", "run", "--workspace", "--no-fail-fast", "--message-format", "libtest-json"];
    let output = printed(project, &run);
    let mut found = BTreeMap::new();
    for line in output.stdout.lines() {
        let Ok(event) = serde_json::from_str::<serde_json::Value>(line) else { continue };
        let Some((program, test)) = event["name"].as_str().and_then(|name| name.split_once('$')) else { continue };
        let word = match event["event"].as_str() {
            Some("ok") => "pass",
            Some("ignored") => "skip",
            Some("failed") => "fail",
            _ => continue,
        };
        let program = match program.split_once("::") {
            Some((package, program)) if package != program => format!("{package}/test-{program}"),
            Some((package, _)) => format!("{package}/lib"),
            None => format!("{program}/lib"),
        };
        found.insert(format!("{program}/{test}"), word.to_owned());
    }
    let packages = fs::read_dir(project).unwrap().map(|entry| entry.unwrap().path());
    for package in packages.filter(|path| path.join("Cargo.toml").is_file()) {
        let name = text(Path::new(package.file_name().unwrap()));
        let output = printed(project, &["cargo", "test", "--doc", "-p", &name]);
        let ran = output.stdout.lines().any(|line| line.starts_with("test ") && line.ends_with(" ok"));
        let word = if !output.status.success() {
            "fail"
        } else if ran {
            "pass"
        } else {
            "skip"
        };
        found.insert(format!("{name}/doc"), word.to_owned());
    }
    found
}
